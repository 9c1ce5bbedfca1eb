#include "control/conn_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct entry {
	uint32_t conn, next; // NONE: the last one
};

struct conn_index {
	struct conn *const *conns;
	uint32_t *head; // first entry of each bucket; [n_buckets]: not found by address
	size_t n_buckets;
	struct entry *entries; // each list ascends by conn
	uint32_t n_entries;
	const struct ike_conn **found;
	struct ip_addr last_local, last_remote;
	bool have_last;
};

static size_t bucket(const struct conn_index *x, const struct ip_addr *a)
{
	uint64_t h = a->family;

	for (size_t i = 0; i < sizeof(a->bytes); i++)
		h = (h ^ a->bytes[i]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 32) & (x->n_buckets - 1);
}

// What a name leads to changes: such an entry is not found by address.
static bool is_fixed(const struct config_endpoint *e)
{
	return !e->name && endpoint_is_host(e);
}

// Twice in one bucket is once enough.
static void put(struct conn_index *x, size_t at, uint32_t conn)
{
	if (x->head[at] != NONE && x->entries[x->head[at]].conn == conn)
		return;
	x->entries[x->n_entries] = (struct entry){conn, x->head[at]};
	x->head[at] = x->n_entries++;
}

static void add(struct conn_index *x, uint32_t i)
{
	const struct conn *c = x->conns[i];
	bool hosts = c->n_remote > 0;

	for (unsigned k = 0; k < c->n_remote; k++)
		hosts = hosts && is_fixed(&c->remote[k]);
	for (unsigned k = 0; hosts && k < c->n_remote; k++)
		put(x, bucket(x, &c->remote[k].lo), i);
	if (!hosts)
		put(x, x->n_buckets, i);
}

int conn_index_create(struct conn *const *conns, size_t n, struct conn_index **out)
{
	struct conn_index *x = calloc(1, sizeof(*x));
	size_t n_entries = 1;

	if (!x)
		return -ENOMEM;
	x->conns = conns;
	for (x->n_buckets = 16; x->n_buckets < n; x->n_buckets *= 2)
		;
	for (size_t i = 0; i < n; i++)
		n_entries += conns[i]->n_remote > 0 ? conns[i]->n_remote : 1;
	x->head = malloc((x->n_buckets + 1) * sizeof(x->head[0]));
	x->entries = calloc(n_entries, sizeof(x->entries[0]));
	x->found = calloc(n + 1, sizeof(struct ike_conn *));
	if (!x->head || !x->entries || !x->found) {
		conn_index_destroy(x);
		return -ENOMEM;
	}
	memset(x->head, 0xff, (x->n_buckets + 1) * sizeof(x->head[0]));
	for (size_t i = n; i > 0; i--) // put makes each entry the first of its list
		add(x, (uint32_t)(i - 1));
	*out = x;
	return 0;
}

bool conn_index_names(const struct conn_index *x, const struct ip_addr *remote)
{
	for (uint32_t at = x->head[bucket(x, remote)]; at != NONE; at = x->entries[at].next) {
		const struct conn *c = x->conns[x->entries[at].conn];

		for (unsigned k = 0; k < c->n_remote; k++)
			if (ip_addr_equal(&c->remote[k].lo, remote))
				return true;
	}
	return false;
}

void conn_index_destroy(struct conn_index *x)
{
	if (!x)
		return;
	free(x->head);
	free(x->entries);
	free(x->found);
	free(x);
}

// The next connection of either list, in the order given.
static uint32_t next(const struct conn_index *x, uint32_t *hosts, uint32_t *others)
{
	uint32_t *from = hosts, conn;

	if (*hosts == NONE ||
	    (*others != NONE && x->entries[*others].conn < x->entries[*hosts].conn))
		from = others;
	conn = x->entries[*from].conn;
	*from = x->entries[*from].next;
	return conn;
}

// Insertion sort by fit, in the order given among equals.
const struct ike_conn *const *conn_index_find(struct conn_index *x, const struct ip_addr *local,
					      const struct ip_addr *remote)
{
	uint32_t hosts = x->head[bucket(x, remote)], others = x->head[x->n_buckets];
	size_t n = 0;

	if (x->have_last && ip_addr_equal(&x->last_local, local) &&
	    ip_addr_equal(&x->last_remote, remote))
		return x->found;
	while (hosts != NONE || others != NONE) {
		struct conn *c = x->conns[next(x, &hosts, &others)];
		unsigned score = conn_match(c, local, remote);
		size_t at = n;

		if (score == 0)
			continue;
		for (; at > 0; at--) {
			const struct conn *before = x->found[at - 1]->user;

			if (conn_match(before, local, remote) >= score)
				break;
			x->found[at] = x->found[at - 1];
		}
		x->found[at] = &c->ike;
		n++;
	}
	x->found[n] = NULL;
	x->last_local = *local;
	x->last_remote = *remote;
	x->have_last = true;
	return x->found;
}
