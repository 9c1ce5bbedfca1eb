#include "control/refusals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"

void refusals_init(struct refusals *f)
{
	*f = (struct refusals){0};
	TAILQ_INIT(&f->peers);
	TAILQ_INIT(&f->strangers);
}

static void list_fini(struct refusal_list *list)
{
	struct refusal_entry *e;

	while ((e = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, e, link);
		free(e);
	}
}

void refusals_fini(struct refusals *f)
{
	list_fini(&f->peers);
	list_fini(&f->strangers);
	f->n_peers = f->n_strangers = 0;
}

// Of one connection or, while that is not known, one address.
static bool is_same_peer(const struct ike_refusal *a, const struct ike_refusal *b)
{
	if (a->conn[0] || b->conn[0])
		return strcmp(a->conn, b->conn) == 0;
	return ip_addr_equal(&a->remote.addr, &b->remote.addr);
}

static bool is_same(const struct ike_refusal *a, const struct ike_refusal *b)
{
	return a->code == b->code && a->exchange == b->exchange &&
	       a->exchange_initiator == b->exchange_initiator && a->by_peer == b->by_peer &&
	       is_same_peer(a, b) && strcmp(a->child, b->child) == 0 &&
	       ip_addr_equal(&a->remote.addr, &b->remote.addr);
}

// The entry that `r` repeats; those before it of the same peer are outdated from now on.
static struct refusal_entry *find_same(struct refusal_list *list, const struct ike_refusal *r)
{
	struct refusal_entry *e, *same = NULL;

	TAILQ_FOREACH(e, list, link)
	{
		if (is_same(&e->refusal, r))
			same = e;
		else if (is_same_peer(&e->refusal, r))
			e->outdated = true;
	}
	return same;
}

static void make_room(struct refusal_list *list, unsigned *n, unsigned max)
{
	struct refusal_entry *e;

	if (*n < max)
		return;
	TAILQ_FOREACH(e, list, link)
	if (e->outdated)
		break;
	if (!e)
		e = TAILQ_FIRST(list);
	TAILQ_REMOVE(list, e, link);
	free(e);
	(*n)--;
}

int refusals_add(struct refusals *f, const struct ike_refusal *r, int64_t now_s,
		 const struct refusal_entry **out)
{
	struct refusal_list *list = r->stranger ? &f->strangers : &f->peers;
	unsigned *n = r->stranger ? &f->n_strangers : &f->n_peers;
	struct refusal_entry *e;

	if (out)
		*out = NULL;
	if (r->brief) {
		f->left_out++;
		return 0;
	}
	e = find_same(list, r);
	if (e) {
		TAILQ_REMOVE(list, e, link);
	} else {
		make_room(list, n, r->stranger ? LIMIT_IKE_REFUSALS_STRANGERS : LIMIT_IKE_REFUSALS);
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		e->first_s = now_s;
		(*n)++;
	}
	e->id = ++f->last_id;
	e->last_s = now_s;
	e->count++;
	e->outdated = false;
	e->refusal = *r;
	TAILQ_INSERT_TAIL(list, e, link);
	if (out)
		*out = e;
	return 0;
}

static const struct refusal_entry *first_above(const struct refusal_list *list, uint64_t after)
{
	const struct refusal_entry *e;

	TAILQ_FOREACH(e, list, link)
	if (e->id > after)
		break;
	return e;
}

const struct refusal_entry *refusals_next(const struct refusals *f, uint64_t after)
{
	const struct refusal_entry *p = first_above(&f->peers, after);
	const struct refusal_entry *s = first_above(&f->strangers, after);

	if (!p || !s)
		return p ? p : s;
	return p->id < s->id ? p : s;
}

static size_t source_place(const struct ip_addr *a)
{
	size_t len = a->family == IP_V6 ? 8 : ip_addr_len(a);
	uint64_t h = a->family;

	for (size_t i = 0; i < len; i++)
		h = (h ^ a->bytes[i]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 32) & (REFUSAL_SOURCES - 1);
}

bool refusal_budget_take(struct refusal_budget *b, const struct ip_addr *source, bool peer,
			 uint64_t now_ms)
{
	uint8_t *spent = &b->spent[peer][source_place(source)];

	if (now_ms - b->since_ms >= LIMIT_IKE_REFUSAL_MS)
		*b = (struct refusal_budget){.since_ms = now_ms};
	if (*spent >= LIMIT_IKE_REFUSALS_PER_SOURCE ||
	    b->total[peer] >= LIMIT_IKE_REFUSALS_EXPLAINED)
		return false;
	(*spent)++;
	b->total[peer]++;
	return true;
}
