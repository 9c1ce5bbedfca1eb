#include <string.h>

#include "test/sim/sim_internal.h"

struct ike_sa *sim_sa(const struct sim_peer *p, enum ike_state state)
{
	for (size_t i = p->n_sas; i-- > 0;) {
		struct ike_sa_info info;

		if (!p->sa[i].sa)
			continue;
		ike_sa_info(p->sa[i].sa, &info);
		if (info.state == state ||
		    (state == IKE_ST_ESTABLISHED && info.state == IKE_ST_REKEYING))
			return p->sa[i].sa;
	}
	return NULL;
}

size_t sim_open(const struct sim_peer *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_sas; i++)
		n += p->sa[i].sa != NULL;
	return n;
}

size_t sim_children(const struct sim_peer *p)
{
	size_t n = 0;

	for (size_t i = 0; i < SIM_CHILDREN; i++)
		n += p->children[i].live;
	return n;
}

const struct sim_report *sim_reported(const struct sim_peer *p, enum ike_report_code code)
{
	for (size_t i = 0; i < p->n_reports; i++)
		if (p->report[i].code == code)
			return &p->report[i];
	return NULL;
}

size_t sim_errors(const struct sim_peer *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_reports; i++)
		n += p->report[i].severity == IKE_SEV_ERROR;
	return n;
}

// ---- agreement ----

static bool lists_equal(const struct selector_list *x, const struct selector_list *y)
{
	if (x->n != y->n)
		return false;
	for (unsigned i = 0; i < x->n; i++)
		if (!selector_equal(&x->s[i], &y->s[i]))
			return false;
	return true;
}

static bool halves_match(const struct esp_sa *out, const struct esp_sa *in)
{
	return out->spi == in->spi && secret_equal(&out->encr_key, &in->encr_key) &&
	       secret_equal(&out->integ_key, &in->integ_key) && out->encr.id == in->encr.id &&
	       out->encr.key_bits == in->encr.key_bits && out->integ.id == in->integ.id &&
	       out->esn == in->esn && out->udp_encap == in->udp_encap &&
	       out->transport == in->transport &&
	       // Behind a NAT each side has its own idea of the addresses.
	       (in->local_oa.family != IP_NONE || (lists_equal(&out->local_ts, &in->remote_ts) &&
						   lists_equal(&out->remote_ts, &in->local_ts)));
}

// With MOBIKE both sides know where the other one is, unless a NAT stands between.
static bool ends_match(const struct sim *s, const struct sim_peer *x, const struct sim_child *c,
		       const struct sim_peer *y, const struct sim_child *d)
{
	if (!x->conf.mobike || !y->conf.mobike || s->nat || c->out_later || d->out_later)
		return true;
	return ip_addr_equal(&c->out.remote.addr, &d->out.local.addr) &&
	       ip_addr_equal(&c->out.local.addr, &d->out.remote.addr) &&
	       sim_owns(y, &c->out.remote.addr);
}

static bool children_within(struct sim *s, const struct sim_peer *x, const struct sim_peer *y)
{
	for (size_t i = 0; i < SIM_CHILDREN; i++) {
		bool found = false;

		if (!x->children[i].live)
			continue;
		if (secret_equal(&x->children[i].in.encr_key, &x->children[i].out.encr_key))
			sim_broken(s, "%s: both directions have one key", x->name);
		for (size_t k = 0; k < SIM_CHILDREN && !found; k++)
			found = y->children[k].live &&
				halves_match(&x->children[i].out, &y->children[k].in) &&
				halves_match(&y->children[k].out, &x->children[i].in) &&
				ends_match(s, x, &x->children[i], y, &y->children[k]);
		if (!found) {
			sim_broken(s, "%s: child %08x has no counterpart", x->name,
				   x->children[i].in.spi);
			return false;
		}
	}
	return true;
}

static bool sas_within(struct sim *s, const struct sim_peer *x, const struct sim_peer *y)
{
	for (size_t i = 0; i < x->n_sas; i++) {
		struct ike_sa_info a, b;
		bool found = false;

		if (!x->sa[i].sa)
			continue;
		ike_sa_info(x->sa[i].sa, &a);
		if (a.state != IKE_ST_ESTABLISHED) {
			sim_broken(s, "%s: an SA hangs in state %d", x->name, (int)a.state);
			return false;
		}
		for (size_t k = 0; k < y->n_sas && !found; k++) {
			if (!y->sa[k].sa)
				continue;
			ike_sa_info(y->sa[k].sa, &b);
			found = b.state == IKE_ST_ESTABLISHED && memcmp(a.spi_i, b.spi_i, 8) == 0 &&
				memcmp(a.spi_r, b.spi_r, 8) == 0 &&
				a.original_initiator != b.original_initiator &&
				a.n_children == b.n_children && a.encap == b.encap &&
				identity_equal(&a.local_id, &b.remote_id) &&
				identity_equal(&a.remote_id, &b.local_id);
		}
		if (!found) {
			sim_broken(s, "%s: an IKE SA has no counterpart", x->name);
			return false;
		}
	}
	return true;
}

bool sim_agree(struct sim *s)
{
	return sas_within(s, &s->a, &s->b) && sas_within(s, &s->b, &s->a) &&
	       children_within(s, &s->a, &s->b) && children_within(s, &s->b, &s->a) &&
	       !s->broken[0];
}
