#include "dataplane/tunnel_count.h"

#include <stdlib.h>

#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

struct tunnel_count *tunnel_count_create(void)
{
	struct tunnel_count *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->refs = 1;
	LIST_INIT(&c->in);
	LIST_INIT(&c->out);
	return c;
}

void tunnel_count_put(struct tunnel_count *c)
{
	if (c != NULL && --c->refs == 0)
		free(c);
}

static void add_in(struct dp_tunnel_totals *t, const struct sa_in *sa)
{
	t->in_packets += counter_read(&sa->packets);
	t->in_bytes += counter_read(&sa->bytes);
	t->replays += counter_read(&sa->replays);
	t->auth_failures += counter_read(&sa->auth_failures);
}

static void add_out(struct dp_tunnel_totals *t, struct sa_out *sa)
{
	t->out_packets += sa_out_packets(sa);
	t->out_bytes += atomic_load_explicit(&sa->bytes, memory_order_relaxed);
}

void tunnel_count_join_in(struct tunnel_count *c, struct sa_in *sa)
{
	sa->count = c;
	if (c == NULL)
		return;
	c->refs++;
	LIST_INSERT_HEAD(&c->in, sa, count_link);
}

void tunnel_count_join_out(struct tunnel_count *c, struct sa_out *sa)
{
	sa->count = c;
	if (c == NULL)
		return;
	c->refs++;
	LIST_INSERT_HEAD(&c->out, sa, count_link);
}

void tunnel_count_leave_in(struct sa_in *sa)
{
	if (sa->count == NULL)
		return;
	LIST_REMOVE(sa, count_link);
	add_in(&sa->count->gone, sa);
	tunnel_count_put(sa->count);
	sa->count = NULL;
}

void tunnel_count_leave_out(struct sa_out *sa)
{
	if (sa->count == NULL)
		return;
	LIST_REMOVE(sa, count_link);
	add_out(&sa->count->gone, sa);
	tunnel_count_put(sa->count);
	sa->count = NULL;
}

void tunnel_count_move_out(struct sa_out *from, struct sa_out *to)
{
	tunnel_count_join_out(from->count, to);
	if (from->count == NULL)
		return;
	LIST_REMOVE(from, count_link);
	tunnel_count_put(from->count);
	from->count = NULL;
}

void tunnel_count_totals(const struct tunnel_count *c, struct dp_tunnel_totals *out)
{
	struct dp_tunnel_totals sum = c->gone;
	struct sa_out *sa_out;
	struct sa_in *sa_in;

	LIST_FOREACH(sa_in, &c->in, count_link)
	add_in(&sum, sa_in);
	LIST_FOREACH(sa_out, &c->out, count_link)
	add_out(&sum, sa_out);
	*out = sum;
}
