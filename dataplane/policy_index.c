#include "dataplane/policy_index.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_malloc.h>

#include "dataplane/policy.h"

enum {
	WORTH_IT = 16,	   // policies; fewer are walked as fast
	LISTS_FACTOR = 32, // entries of all lists at most, for each policy
};

static const struct ts4 *side(const struct policy_entry *e, bool local)
{
	return local ? &e->local : &e->remote;
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

// The places where something begins or ends, ascending, each once; 0 is one. Returns how many;
// `at` has room for 2 * n + 1.
static uint32_t cut(const struct policy_entry *entry, size_t n, bool local, uint32_t *at)
{
	uint32_t m = 0, kept = 0;

	at[m++] = 0;
	for (size_t i = 0; i < n; i++) {
		const struct ts4 *t = side(&entry[i], local);

		at[m++] = t->lo;
		if (t->hi != UINT32_MAX)
			at[m++] = t->hi + 1;
	}
	qsort(at, m, sizeof(at[0]), compare);
	for (uint32_t i = 0; i < m; i++)
		if (i == 0 || at[i] != at[kept - 1])
			at[kept++] = at[i];
	return kept;
}

// The last interval that begins at or before an address.
static uint32_t interval_of(const uint32_t *start, uint32_t n, uint32_t addr)
{
	uint32_t lo = 0, hi = n - 1;

	while (lo < hi) {
		const uint32_t mid = lo + (hi - lo + 1) / 2;

		if (start[mid] <= addr)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

struct plan { // how one side would be cut
	uint32_t *start, n;
	uint64_t total; // entries of all lists
};

static int make_plan(const struct policy_entry *entry, size_t n, bool local, struct plan *out)
{
	*out = (struct plan){.start = malloc((2 * n + 1) * sizeof(uint32_t))};
	if (!out->start)
		return -ENOMEM;
	out->n = cut(entry, n, local, out->start);
	for (size_t i = 0; i < n; i++) {
		const struct ts4 *t = side(&entry[i], local);

		out->total += interval_of(out->start, out->n, t->hi) -
			      interval_of(out->start, out->n, t->lo) + 1;
	}
	return 0;
}

static void fill_top(struct policy_index *x)
{
	for (uint32_t i = 0; i < 65536; i++)
		x->top[i] = interval_of(x->start, x->n, i << 16);
	x->top[65536] = x->n - 1;
}

// Policies are gone through in order, so every list is in order as well.
static void fill_lists(struct policy_index *x, const struct policy_entry *entry, size_t n,
		       uint32_t *next)
{
	for (size_t i = 0; i < n; i++) {
		const struct ts4 *t = side(&entry[i], x->by_local);
		const uint32_t last = interval_of(x->start, x->n, t->hi);

		for (uint32_t k = interval_of(x->start, x->n, t->lo); k <= last; k++)
			x->first[k + 1]++;
	}
	for (uint32_t k = 0; k < x->n; k++) {
		x->first[k + 1] += x->first[k];
		next[k] = x->first[k];
	}
	for (size_t i = 0; i < n; i++) {
		const struct ts4 *t = side(&entry[i], x->by_local);
		const uint32_t last = interval_of(x->start, x->n, t->hi);

		for (uint32_t k = interval_of(x->start, x->n, t->lo); k <= last; k++)
			x->list[next[k]++] = (uint32_t)i;
	}
}

static int build(const struct policy_entry *entry, size_t n, bool by_local, const struct plan *plan,
		 struct policy_index **out)
{
	struct policy_index *x = rte_zmalloc("policy index", sizeof(*x), 64);
	uint32_t *next = malloc(plan->n * sizeof(*next));

	if (!x || !next)
		goto no_memory;
	x->by_local = by_local;
	x->n = plan->n;
	x->start = rte_malloc("policy index", plan->n * sizeof(*x->start), 64);
	x->first = rte_zmalloc("policy index", (plan->n + 1) * sizeof(*x->first), 64);
	x->list = rte_malloc("policy index", plan->total * sizeof(*x->list), 64);
	if (!x->start || !x->first || !x->list)
		goto no_memory;
	for (uint32_t i = 0; i < plan->n; i++)
		x->start[i] = plan->start[i];
	fill_top(x);
	fill_lists(x, entry, n, next);
	free(next);
	*out = x;
	return 0;
no_memory:
	free(next);
	policy_index_destroy(x);
	return -ENOMEM;
}

int policy_index_create(const struct policy_entry *entry, size_t n, struct policy_index **out)
{
	struct plan local = {0}, remote = {0};
	bool by_local;
	int err;

	*out = NULL;
	if (n < WORTH_IT)
		return 0;
	err = make_plan(entry, n, true, &local);
	if (err == 0)
		err = make_plan(entry, n, false, &remote);
	if (err == 0) {
		by_local = local.total * remote.n < remote.total * local.n; // shorter lists
		if ((by_local ? local.total : remote.total) <= (uint64_t)n * LISTS_FACTOR)
			err = build(entry, n, by_local, by_local ? &local : &remote, out);
	}
	free(local.start);
	free(remote.start);
	return err;
}

void policy_index_destroy(struct policy_index *x)
{
	if (!x)
		return;
	rte_free(x->start);
	rte_free(x->first);
	rte_free(x->list);
	rte_free(x);
}
