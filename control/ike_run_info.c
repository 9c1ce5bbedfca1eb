#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool show(struct ike_run *run, struct run_sa *s,
		 bool (*fn)(void *ctx, const struct ike_run_sa *sa), void *ctx)
{
	struct ike_run_sa shown = {.id = s->id, .sa = s->sa};
	bool more;

	ike_sa_info(s->sa, &shown.info);
	run->shown = s;
	more = fn(ctx, &shown);
	run->shown = NULL;
	return more;
}

// The first one above that id. Whoever goes on mostly stands at one that is still there.
static struct run_sa *first_above(struct ike_run *run, uint32_t id)
{
	struct run_sa *s = id ? run_sa_by_id(run, id) : NULL;

	if (s)
		return TAILQ_NEXT(s, link);
	TAILQ_FOREACH(s, &run->sas, link)
	if (s->id > id)
		break;
	return s;
}

int ike_run_each(struct ike_run *run, const struct ike_run_select *sel, uint32_t after,
		 bool (*fn)(void *ctx, const struct ike_run_sa *sa), void *ctx)
{
	struct ike_run_select of = {0};
	struct run_pick may = {0};
	struct run_sa *s;
	int rc;

	if (!sel || (!sel->conn && !sel->ike_id)) {
		for (s = first_above(run, after); s; s = TAILQ_NEXT(s, link))
			if (!show(run, s, fn, ctx))
				break;
		return 0;
	}
	of.conn = sel->conn;
	of.ike_id = sel->ike_id;
	rc = run_roll_pick(run, &of, &may);
	for (size_t i = 0; i < may.n; i++) {
		s = may.sa[i];
		if (s->id > after &&
		    (!of.conn || (s->conn && !strcmp(s->conn->ike.name, of.conn))) &&
		    !show(run, s, fn, ctx))
			break;
	}
	free(may.sa);
	return rc;
}

static uint64_t left(uint64_t at_ms, uint64_t now_ms)
{
	if (at_ms == NO_DEADLINE)
		return IKE_NEVER;
	return at_ms > now_ms ? at_ms - now_ms : 0;
}

int ike_run_child(struct ike_run *run, uint32_t ike_id, size_t i, struct ike_run_child *out)
{
	struct run_sa *s = run_sa_by_id(run, ike_id);
	struct ike_run_child shown = {.tunnel = DP_TUNNEL_NONE};
	const struct run_child_sa *c;
	uint64_t now = run_now_ms();

	if (!s || ike_sa_child_info(s->sa, i, &shown.info))
		return -ENOENT;
	shown.rekey_in_ms = shown.expires_in_ms = IKE_NEVER;
	c = run_child_by_spi(s, shown.info.spi_in);
	if (c) {
		shown.id = c->id;
		shown.tunnel = c->child->tunnel;
		shown.if_id = c->child->if_id;
		shown.iface = c->child->iface_name;
		shown.rekey_in_ms = left(shown.info.rekey_ms, now);
		shown.expires_in_ms = left(shown.info.expires_ms, now);
		shown.have_in = dp_sa_in_stats(run->dp, c->spi_in, &shown.in) == 0;
		// The tunnel has one outbound SA: a child that was replaced has none any more.
		if (c->child->sends_on == c->spi_out)
			shown.have_out =
				dp_tunnel_out_stats(run->dp, shown.tunnel, &shown.out) == 0;
		if (shown.have_out)
			shown.inner_mtu = dp_tunnel_inner_mtu(run->dp, shown.tunnel);
	}
	*out = shown;
	return 0;
}

bool ike_run_is_trapped(const struct ike_run *run, size_t conn, const char *child)
{
	const struct conn_child *c =
		conn < run->n_conns ? conn_child_find(run->conns[conn], child) : NULL;

	return c && c->trapped;
}

uint32_t ike_run_tunnel_at(const struct ike_run *run, size_t conn, const char *child)
{
	const struct conn_child *c =
		conn < run->n_conns ? conn_child_find(run->conns[conn], child) : NULL;

	return c ? c->tunnel : DP_TUNNEL_NONE;
}

void ike_run_trapped_ifaces(const struct ike_run *run, bool *trapped)
{
	for (size_t i = 0; i < run->n_conns; i++) {
		const struct conn *c = run->conns[i];

		for (size_t k = 0; k < c->n_children; k++)
			if (c->children[k]->trapped && c->children[k]->iface != DP_IFACE_NONE)
				trapped[c->children[k]->iface - DP_IFACE_FIRST] = true;
	}
}

void ike_run_follow_children(struct ike_run *run, void (*changed)(void *ctx, unsigned iface),
			     void *ctx)
{
	run->children_changed = changed;
	run->children_ctx = ctx;
}

void run_child_changed(struct ike_run *run, const struct conn_child *child)
{
	if (run->children_changed && child->iface != DP_IFACE_NONE)
		run->children_changed(run->children_ctx, child->iface);
}

void ike_run_stats(const struct ike_run *run, struct ike_run_stats *out)
{
	struct ike_run_stats st = run->stats;

	st.half_open = run->n_half_open;
	st.ike_sas = run->n_sas;
	st.children = run->n_child_sas;
	*out = st;
}
