#include "dataplane/policy_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "dataplane/policy6.h"

enum {
	WORTH_IT = 16,	   // policies; fewer are walked as fast
	OUTERMOST = 32,	   // this part of the cuts, at either end
	LISTS_FACTOR = 32, // entries of all lists at most, for each policy
};

// Memory to build in, kept from one time to the next: some megabytes with 10,000 policies, which
// the kernel would have to find, clear and map each time. Control only.
enum scratch { SCRATCH_RANGE, SCRATCH_NEXT, SCRATCH_START, SCRATCH_SPAN = SCRATCH_START + 2 };

static void *scratch_get(unsigned which, size_t size)
{
	static struct {
		void *p;
		size_t size;
	} scratch[SCRATCH_SPAN + 2];

	if (scratch[which].size < size) {
		free(scratch[which].p);
		scratch[which].p = malloc(size + size / 4); // not again for every policy more
		scratch[which].size = scratch[which].p ? size + size / 4 : 0;
	}
	return scratch[which].p;
}

// What is cut: the ranges of all policies on one side, in numbers of the larger family.
struct range {
	addr6 lo, hi;
};

// By the bytes in which they differ, the lowest first: the time is linear, because control does
// this for all policies whenever one of them comes or goes. `spare` has the same size.
static void sort(addr6 *at, addr6 *spare, uint32_t n)
{
	addr6 *from = at, *to = spare, differ = 0;

	for (uint32_t i = 0; i < n; i++)
		differ |= at[i] ^ at[0];
	for (unsigned shift = 0; shift < 128; shift += 8) {
		uint32_t next[257] = {0};
		addr6 *last = from;

		if ((uint8_t)(differ >> shift) == 0)
			continue;
		for (uint32_t i = 0; i < n; i++)
			next[(uint8_t)(from[i] >> shift) + 1]++;
		for (unsigned k = 1; k < 256; k++)
			next[k] += next[k - 1];
		for (uint32_t i = 0; i < n; i++)
			to[next[(uint8_t)(from[i] >> shift)]++] = from[i];
		from = to;
		to = last;
	}
	if (from != at)
		memcpy(at, from, n * sizeof(at[0]));
}

// The places where something begins or ends, ascending, each once; 0 is one. Returns how many;
// `at` has room for 2 * n + 1, and for as many behind them. `max` is the last address.
static uint32_t cut(const struct range *r, size_t n, addr6 max, addr6 *at)
{
	uint32_t m = 0, kept = 0;
	bool sorted = true;

	at[m++] = 0;
	for (size_t i = 0; i < n; i++) {
		// One side is often the same for all.
		if (i > 0 && r[i].lo == r[i - 1].lo && r[i].hi == r[i - 1].hi)
			continue;
		sorted = sorted && at[m - 1] <= r[i].lo;
		at[m++] = r[i].lo;
		if (r[i].hi != max)
			at[m++] = r[i].hi + 1;
	}
	if (!sorted)
		sort(at, at + 2 * n + 1, m);
	for (uint32_t i = 0; i < m; i++)
		if (i == 0 || at[i] != at[kept - 1])
			at[kept++] = at[i];
	return kept;
}

// The last interval that begins at or before an address. It may well be `hint`, or be close behind:
// policies of neighbours tend to follow each other.
static uint32_t interval_of(const addr6 *start, uint32_t n, addr6 addr, uint32_t hint)
{
	uint32_t lo = 0, hi = n - 1;

	if (start[hint] <= addr)
		for (uint32_t i = hint; i < hint + 4; i++)
			if (i == n - 1 || start[i + 1] > addr)
				return i;
	while (lo < hi) {
		const uint32_t mid = lo + (hi - lo + 1) / 2;

		if (start[mid] <= addr)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

struct span { // of intervals
	uint32_t first, last;
};

struct plan { // how one side would be cut
	addr6 *start;
	struct span *span; // of each range
	uint32_t n;
	uint64_t total; // entries of all lists
};

static int make_plan(unsigned side, const struct range *r, size_t n, addr6 max, struct plan *out)
{
	uint32_t hint = 0;

	*out = (struct plan){
		.start = scratch_get(SCRATCH_START + side, 2 * (2 * n + 1) * sizeof(out->start[0])),
		.span = scratch_get(SCRATCH_SPAN + side, n * sizeof(out->span[0])),
	};
	if (!out->start || !out->span)
		return -ENOMEM;
	out->n = cut(r, n, max, out->start);
	for (size_t i = 0; i < n; i++) {
		struct span *s = &out->span[i];

		s->first = interval_of(out->start, out->n, r[i].lo, hint);
		s->last = hint = interval_of(out->start, out->n, r[i].hi, s->first);
		out->total += s->last - s->first + 1;
	}
	return 0;
}

static void fill_top(struct policy_index *x, const addr6 *start)
{
	uint32_t i = 0;

	// Interval by interval: most rows hold none of their own, and are filled in one go.
	for (uint32_t k = 0; k < x->n; k++) {
		const uint32_t end =
			k + 1 < x->n ? (uint32_t)((start[k + 1] + 0xffff) >> 16) : 65536;

		while (i < end)
			x->top[i++] = k;
	}
	x->top[65536] = x->n - 1;
}

// The rows cover the addresses between the outermost cuts, which have their upper bits in common.
static void fill_top6(struct policy_index *x, const addr6 *start)
{
	const uint32_t outer = 1 + x->n / OUTERMOST;
	addr6 lo, differ;
	uint32_t k = 0;

	x->row_lo = x->n > 2 * outer ? outer : x->n > 1;
	x->row_hi = x->n > 2 * outer ? x->n - outer : x->n - 1;
	lo = start[x->row_lo];
	differ = lo ^ start[x->row_hi];
	const uint64_t upper = (uint64_t)(differ >> 64), lower = (uint64_t)differ;
	unsigned bits = 0; // that differ

	if (upper != 0)
		bits = 128 - (unsigned)__builtin_clzll(upper);
	else if (lower != 0)
		bits = 64 - (unsigned)__builtin_clzll(lower);
	x->shift = bits > 16 ? (uint8_t)(bits - 16) : 0;
	for (uint32_t i = 0; i < 65536; i++) {
		const addr6 row = (lo >> x->shift & ~(addr6)0xffff) | i;

		while (k + 1 < x->n && start[k + 1] <= row << x->shift)
			k++;
		x->top[i] = k;
	}
	x->top[65536] = x->n - 1;
}

// Policies are gone through in order, so every list is in order as well.
static void fill_lists(struct policy_index *x, const struct plan *plan, size_t n, uint32_t *next)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = plan->span[i].first; k <= plan->span[i].last; k++)
			x->first[k + 1]++;
	for (uint32_t k = 0; k < x->n; k++) {
		x->first[k + 1] += x->first[k];
		next[k] = x->first[k];
	}
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = plan->span[i].first; k <= plan->span[i].last; k++)
			x->list[next[k]++] = (uint32_t)i;
}

static int copy_starts(struct policy_index *x, const struct plan *plan, bool v6)
{
	if (v6) {
		x->start6 = rte_malloc("policy index", plan->n * sizeof(*x->start6), 64);
		if (!x->start6)
			return -ENOMEM;
		memcpy(x->start6, plan->start, plan->n * sizeof(*x->start6));
		fill_top6(x, plan->start);
		return 0;
	}
	x->start = rte_malloc("policy index", plan->n * sizeof(*x->start), 64);
	if (!x->start)
		return -ENOMEM;
	for (uint32_t i = 0; i < plan->n; i++)
		x->start[i] = (uint32_t)plan->start[i];
	fill_top(x, plan->start);
	return 0;
}

static int build(const struct plan *plan, size_t n, bool by_local, bool v6,
		 struct policy_index **out)
{
	struct policy_index *x = rte_zmalloc("policy index", sizeof(*x), 64);
	uint32_t *next = scratch_get(SCRATCH_NEXT, plan->n * sizeof(*next));

	if (!x || !next)
		goto no_memory;
	x->by_local = by_local;
	x->n = plan->n;
	x->first = rte_zmalloc("policy index", (plan->n + 1) * sizeof(*x->first), 64);
	x->list = rte_malloc("policy index", plan->total * sizeof(*x->list), 64);
	if (!x->first || !x->list || copy_starts(x, plan, v6) != 0)
		goto no_memory;
	fill_lists(x, plan, n, next);
	*out = x;
	return 0;
no_memory:
	policy_index_destroy(x);
	return -ENOMEM;
}

// Then that side tells none of the policies from another, and is not worth a plan.
static bool all_same(const struct range *r, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (r[i].lo != r[0].lo || r[i].hi != r[0].hi)
			return false;
	return true;
}

// `range` has those of the local side and behind them those of the remote one.
static int create(const struct range *range, size_t n, bool v6, struct policy_index **out)
{
	const addr6 max = v6 ? ~(addr6)0 : UINT32_MAX;
	const bool one_remote = all_same(range + n, n),
		   one_local = !one_remote && all_same(range, n);
	struct plan local = {0}, remote = {0};
	bool by_local;
	int err = 0;

	if (!one_local)
		err = make_plan(0, range, n, max, &local);
	if (err == 0 && !one_remote)
		err = make_plan(1, range + n, n, max, &remote);
	if (err == 0) {
		by_local = one_remote ||
			   (!one_local &&
			    local.total * remote.n < remote.total * local.n); // shorter lists
		if ((by_local ? local.total : remote.total) <= (uint64_t)n * LISTS_FACTOR)
			err = build(by_local ? &local : &remote, n, by_local, v6, out);
	}
	return err;
}

int policy_index_create(const struct policy_entry *entry, size_t n, struct policy_index **out)
{
	struct range *range;

	*out = NULL;
	if (n < WORTH_IT)
		return 0;
	range = scratch_get(SCRATCH_RANGE, 2 * n * sizeof(*range));
	if (!range)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		range[i] = (struct range){entry[i].local.lo, entry[i].local.hi};
		range[n + i] = (struct range){entry[i].remote.lo, entry[i].remote.hi};
	}
	return create(range, n, false, out);
}

int policy_index_create6(const struct policy_entry6 *entry, size_t n, struct policy_index **out)
{
	struct range *range;

	*out = NULL;
	if (n < WORTH_IT)
		return 0;
	range = scratch_get(SCRATCH_RANGE, 2 * n * sizeof(*range));
	if (!range)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		range[i] = (struct range){entry[i].local.lo, entry[i].local.hi};
		range[n + i] = (struct range){entry[i].remote.lo, entry[i].remote.hi};
	}
	return create(range, n, true, out);
}

void policy_index_destroy(struct policy_index *x)
{
	if (!x)
		return;
	rte_free(x->start);
	rte_free(x->start6);
	rte_free(x->first);
	rte_free(x->list);
	rte_free(x);
}
