#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// FNV-1a. Names come from the configuration alone: nobody else can make them collide.
static size_t bucket(const char *name)
{
	uint64_t h = 14695981039346656037u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	return (size_t)(h ^ h >> 32) & (SA_BUCKETS - 1);
}

void run_roll_add(struct ike_run *run, struct conn *c, struct conn_child **children, size_t n)
{
	if (!c->roll_link.le_prev)
		LIST_INSERT_HEAD(&run->conn_roll[bucket(c->ike.name)], c, roll_link);
	for (size_t i = 0; i < n; i++)
		if (!children[i]->roll_link.le_prev)
			LIST_INSERT_HEAD(&run->child_roll[bucket(children[i]->name)], children[i],
					 roll_link);
}

struct conn *run_roll_conn(const struct ike_run *run, const char *name)
{
	struct conn *c;

	LIST_FOREACH(c, &run->conn_roll[bucket(name)], roll_link)
	if (c->place && strcmp(c->ike.name, name) == 0)
		return c;
	return NULL;
}

struct conn_child *run_roll_next_child(const struct ike_run *run, const char *name,
				       const struct conn_child *after)
{
	size_t above = after ? after->conn->place : 0;
	struct conn_child *child, *found = NULL;

	LIST_FOREACH(child, &run->child_roll[bucket(name)], roll_link)
	{
		size_t place = child->conn->place; // a connection has one child of a name

		if (place <= above || (found && place >= found->conn->place) ||
		    strcmp(child->name, name) != 0 || !conn_child_is_running(child))
			continue;
		found = child;
	}
	return found;
}

// ---- IKE SAs ----

static int pick(struct run_pick *p, struct run_sa *s)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		struct run_sa **more = reallocarray(p->sa, cap, sizeof(struct run_sa *));

		if (!more)
			return -ENOMEM;
		p->sa = more;
		p->cap = cap;
	}
	p->sa[p->n++] = s;
	return 0;
}

static int pick_all_of(struct run_pick *p, const struct conn *c)
{
	struct run_sa *s;
	int rc = 0;

	TAILQ_FOREACH(s, &c->sas, conn_link)
	if (rc == 0)
		rc = pick(p, s);
	return rc;
}

static int by_id(const void *a, const void *b)
{
	const struct run_sa *const *x = a, *const *y = b;

	return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

static void put_in_order(struct run_pick *p)
{
	size_t kept = 0;

	if (p->n)
		qsort(p->sa, p->n, sizeof(struct run_sa *), by_id);
	for (size_t i = 0; i < p->n; i++)
		if (i == 0 || p->sa[i] != p->sa[kept - 1])
			p->sa[kept++] = p->sa[i];
	p->n = kept;
}

int run_roll_pick(struct ike_run *run, const struct ike_run_select *sel, struct run_pick *out)
{
	struct run_pick p = {0};
	const struct conn_child *child;
	const struct conn *c;
	struct run_sa *s;
	int rc = 0;

	if (sel->ike_id) {
		s = run_sa_by_id(run, sel->ike_id);
		rc = s ? pick(&p, s) : 0;
	} else if (sel->conn) {
		LIST_FOREACH(c, &run->conn_roll[bucket(sel->conn)], roll_link)
		if (rc == 0 && strcmp(c->ike.name, sel->conn) == 0)
			rc = pick_all_of(&p, c);
	} else if (sel->child) {
		LIST_FOREACH(child, &run->child_roll[bucket(sel->child)], roll_link)
		if (rc == 0 && strcmp(child->name, sel->child) == 0)
			rc = pick_all_of(&p, child->conn);
	} else {
		TAILQ_FOREACH(s, &run->sas, link)
		if (rc == 0)
			rc = pick(&p, s);
	}
	if (rc) {
		free(p.sa);
		return rc;
	}
	put_in_order(&p);
	*out = p;
	return 0;
}
