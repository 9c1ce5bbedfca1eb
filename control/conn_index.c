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
	// First entry of each bucket, and of a list of those that no bucket can hold; first by
	// address, then by remote identity.
	uint32_t *head;
	size_t n_buckets;
	struct entry *entries; // each list ascends by conn
	uint32_t n_entries;
	const struct ike_conn **found, **signing, **named;
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

// Where lists by identity begin in head.
static size_t names(const struct conn_index *x)
{
	return x->n_buckets + 1;
}

// Where connections with that remote identity are. Patterns stand for many, and one distinguished
// name can be written in several ways.
static size_t bucket_named(const struct conn_index *x, const struct identity *id)
{
	uint32_t h = 2166136261u ^ id->type;

	if (identity_is_pattern(id) || id->type == ID_DER_ASN1_DN)
		return names(x) + x->n_buckets;
	for (uint16_t i = 0; i < id->len; i++) {
		uint8_t c = id->data[i];

		// identity_equal does not look at the case of letters.
		h = (h ^ (c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c)) * 16777619u;
	}
	return names(x) + ((h ^ h >> 16) & (x->n_buckets - 1));
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
	put(x, bucket_named(x, &c->ike.remote_id), i);
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
		n_entries += 1 + (conns[i]->n_remote > 0 ? conns[i]->n_remote : 1);
	x->head = malloc(2 * names(x) * sizeof(x->head[0]));
	x->entries = calloc(n_entries, sizeof(x->entries[0]));
	x->found = calloc(n + 1, sizeof(struct ike_conn *));
	x->signing = calloc(n + 1, sizeof(struct ike_conn *));
	x->named = calloc(n + 1, sizeof(struct ike_conn *));
	if (!x->head || !x->entries || !x->found || !x->signing || !x->named) {
		conn_index_destroy(x);
		return -ENOMEM;
	}
	memset(x->head, 0xff, 2 * names(x) * sizeof(x->head[0]));
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
	free(x->signing);
	free(x->named);
	free(x);
}

// The next connection of either list, in the order given.
static uint32_t next(const struct conn_index *x, uint32_t *list, uint32_t *others)
{
	uint32_t *from = list, conn;

	if (*list == NONE || (*others != NONE && x->entries[*others].conn < x->entries[*list].conn))
		from = others;
	conn = x->entries[*from].conn;
	*from = x->entries[*from].next;
	return conn;
}

// What fits by address of two lists. Insertion sort by fit, in the order given among equals.
static void collect(const struct conn_index *x, uint32_t list, uint32_t others,
		    const struct ip_addr *local, const struct ip_addr *remote,
		    const struct ike_conn **out)
{
	size_t n = 0;

	while (list != NONE || others != NONE) {
		struct conn *c = x->conns[next(x, &list, &others)];
		unsigned score = conn_match(c, local, remote);
		size_t at = n;

		if (score == 0)
			continue;
		for (; at > 0; at--) {
			const struct conn *before = out[at - 1]->user;

			if (conn_match(before, local, remote) >= score)
				break;
			out[at] = out[at - 1];
		}
		out[at] = &c->ike;
		n++;
	}
	out[n] = NULL;
}

// Those without CAs of their own differ in nothing but send_certreq.
static void collect_signing(struct conn_index *x)
{
	bool there[2] = {false, false};
	size_t n = 0;

	for (size_t i = 0; x->found[i]; i++) {
		const struct ike_conn *ike = x->found[i];
		const struct conn *c = ike->user;

		if (ike->remote_auth != AUTH_BY_SIGNATURE ||
		    (!c->own_cas && there[ike->send_certreq]))
			continue;
		there[ike->send_certreq] |= !c->own_cas;
		x->signing[n++] = ike;
	}
	x->signing[n] = NULL;
}

static void find(struct conn_index *x, const struct ip_addr *local, const struct ip_addr *remote)
{
	if (x->have_last && ip_addr_equal(&x->last_local, local) &&
	    ip_addr_equal(&x->last_remote, remote))
		return;
	collect(x, x->head[bucket(x, remote)], x->head[x->n_buckets], local, remote, x->found);
	collect_signing(x);
	x->last_local = *local;
	x->last_remote = *remote;
	x->have_last = true;
}

const struct ike_conn *const *conn_index_find(struct conn_index *x, const struct ip_addr *local,
					      const struct ip_addr *remote)
{
	find(x, local, remote);
	return x->found;
}

const struct ike_conn *const *conn_index_signing(struct conn_index *x, const struct ip_addr *local,
						 const struct ip_addr *remote)
{
	find(x, local, remote);
	return x->signing;
}

const struct ike_conn *const *conn_index_named(struct conn_index *x, const struct ip_addr *local,
					       const struct ip_addr *remote,
					       const struct identity *id)
{
	size_t others = names(x) + x->n_buckets, at = bucket_named(x, id);

	collect(x, at == others ? NONE : x->head[at], x->head[others], local, remote, x->named);
	return x->named;
}
