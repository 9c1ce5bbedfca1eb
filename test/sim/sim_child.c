// What the dataplane does with child SAs, and the ESP that must never be without one.
#include <string.h>

#include "test/sim/sim_internal.h"

static unsigned which(const struct sim_peer *p, const struct ike_child_conf *conf)
{
	return conf == &p->child[1] ? 1 : 0;
}

static struct sim_child *slot_free(struct sim_peer *p)
{
	for (size_t k = 0; k < SIM_CHILDREN; k++)
		if (!p->children[k].live && p->children[k].lingers_ms <= p->sim->now_ms)
			return &p->children[k];
	return NULL;
}

// With MOBIKE 'dynamic' is the address that the side had when its IKE SA was set up: any of them.
static void add_dynamic(struct selector_list *list, const struct sim_peer *p,
			const struct selector_dynamic *dynamic, const struct ip_addr *a)
{
	struct ip_prefix net = {.addr = sim_addr(p->sim, 0), .len = p->sim->ipv6 ? 64 : 24};

	for (unsigned i = 0; i < dynamic->n; i++) {
		struct selector may[] = {selector_from_host(a), selector_from_prefix(&net)};

		for (unsigned k = 0; k < (p->conf.mobike ? 2 : 1); k++) {
			may[k].proto = dynamic->s[i].proto;
			may[k].port_lo = dynamic->s[i].port_lo;
			may[k].port_hi = dynamic->s[i].port_hi;
			list->s[list->n++] = may[k];
		}
	}
}

static bool has_family(const struct selector_list *list, uint8_t family)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->s[i].family == family)
			return true;
	return false;
}

// RFC 7296 2.9: nothing beyond the own policy, and nothing that no packet can match.
static bool selectors_ok(const struct sim_peer *p, const struct selector_list *list,
			 struct selector_list allowed, const struct selector_dynamic *dynamic,
			 const struct ip_addr *addr, const struct selector_list *other_side)
{
	add_dynamic(&allowed, p, dynamic, addr);
	for (unsigned i = 0; i < list->n; i++) {
		bool inside = false;

		for (unsigned k = 0; k < allowed.n; k++)
			inside |= selector_contains(&allowed.s[k], &list->s[i]);
		if (!inside || !has_family(other_side, list->s[i].family))
			return false;
	}
	return list->n > 0;
}

void sim_child_install(struct sim_peer *p, struct ike_child_install *i)
{
	struct sim_child *c = slot_free(p);

	if (!sim_spi_change(p, i->in.spi, SPI_RESERVED, SPI_INSTALLED, "install"))
		return;
	p->installs++;
	if (i->in.encr_key.len == 0 || (i->out.encr_key.len == 0) != i->out_later ||
	    i->out.spi == 0)
		sim_broken(p->sim, "%s: a child without keys or SPI", p->name);
	if (!selectors_ok(p, &i->in.local_ts, i->conf->local_ts, &i->conf->local_dynamic,
			  &i->in.local.addr, &i->in.remote_ts) ||
	    !selectors_ok(p, &i->in.remote_ts, i->conf->remote_ts, &i->conf->remote_dynamic,
			  &i->in.remote.addr, &i->in.local_ts))
		sim_broken(p->sim, "%s: a child with selectors that it must not have", p->name);
	if (!c) {
		sim_broken(p->sim, "%s: too many children", p->name);
		return;
	}
	*c = (struct sim_child){
		.live = true,
		.out_later = i->out_later,
		.conf = i->conf,
		.in = i->in,
		.out = i->out,
	};
	i->in = (struct esp_sa){0};
	i->out = (struct esp_sa){0};
	if (!c->out_later)
		p->sends_on[which(p, c->conf)] = c->out.spi;
}

void sim_child_use(struct sim_peer *p, struct ike_child_use *u)
{
	for (size_t k = 0; k < SIM_CHILDREN; k++) {
		struct sim_child *c = &p->children[k];

		if (!c->live || c->in.spi != u->spi_in || !c->out_later)
			continue;
		if (u->out.encr_key.len == 0 || u->out.spi != c->out.spi)
			sim_broken(p->sim, "%s: use of a child without keys", p->name);
		c->out = u->out;
		c->in.udp_encap = c->out.udp_encap; // it may have moved meanwhile
		u->out = (struct esp_sa){0};
		c->out_later = false;
		p->sends_on[which(p, c->conf)] = c->out.spi;
		return;
	}
	sim_broken(p->sim, "%s: use of a child that does not wait for it", p->name);
}

void sim_child_remove(struct sim_peer *p, uint32_t spi_in, uint32_t spi_out, bool linger)
{
	for (size_t k = 0; k < SIM_CHILDREN; k++) {
		struct sim_child *c = &p->children[k];

		if (!c->live || c->in.spi != spi_in || c->out.spi != spi_out)
			continue;
		if (p->sends_on[which(p, c->conf)] == spi_out)
			p->sends_on[which(p, c->conf)] = 0;
		c->live = false;
		c->spi_in = spi_in;
		c->lingers_ms = linger ? p->sim->now_ms + SIM_LINGER : 0;
		esp_sa_fini(&c->in);
		esp_sa_fini(&c->out);
		sim_spi_change(p, spi_in, SPI_INSTALLED, SPI_FREE, "remove");
		return;
	}
	sim_broken(p->sim, "%s: removal of a child that is not installed", p->name);
}

void sim_child_move(struct sim_peer *p, uint32_t spi_in, uint32_t spi_out,
		    const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	for (size_t k = 0; k < SIM_CHILDREN; k++) {
		struct sim_child *c = &p->children[k];

		if (!c->live || c->in.spi != spi_in || c->out.spi != spi_out)
			continue;
		c->out.local = *local;
		c->out.remote = *remote;
		c->in.udp_encap = c->out.udp_encap = local->port != 0;
		return;
	}
	sim_broken(p->sim, "%s: a child moves that is not installed", p->name);
}

bool sim_child_used(void *ctx, uint32_t spi_in)
{
	const struct sim_peer *p = ctx;

	for (unsigned i = 0; i < sizeof(p->used) / sizeof(p->used[0]); i++)
		if (p->used[i] == spi_in)
			return true;
	return false;
}

// ---- ESP ----

void sim_flow_start(struct sim *s)
{
	s->flow = true;
	sim_flow_send(s);
}

static void send_one(struct sim *s, struct sim_peer *from)
{
	uint32_t spi = from->sends_on[0];

	if (spi == 0)
		sim_broken(s, "%s: no SA to send on at %llu ms", from->name,
			   (unsigned long long)s->now_ms);
	if (spi == 0 || s->n_data == SIM_DATA)
		return;
	s->data[s->n_data++] = (struct sim_data){
		.at_ms = s->now_ms + s->delay_ms,
		.dest = from == &s->a ? &s->b : &s->a,
		.spi = spi,
	};
}

void sim_flow_send(struct sim *s)
{
	if (!s->flow || s->broken[0])
		return;
	send_one(s, &s->a);
	send_one(s, &s->b);
}

uint64_t sim_flow_next_ms(const struct sim *s)
{
	return s->n_data > 0 ? s->data[0].at_ms : IKE_NEVER;
}

static bool receives(struct sim_peer *p, uint32_t spi, uint64_t now_ms)
{
	for (size_t k = 0; k < SIM_CHILDREN; k++) {
		const struct sim_child *c = &p->children[k];

		if (c->live ? c->in.spi == spi : c->spi_in == spi && c->lingers_ms > now_ms)
			return true;
	}
	return false;
}

void sim_flow_deliver(struct sim *s)
{
	struct sim_data d = s->data[0];

	s->n_data--;
	memmove(&s->data[0], &s->data[1], s->n_data * sizeof(s->data[0]));
	if (!receives(d.dest, d.spi, s->now_ms))
		sim_broken(s, "%s: ESP for SPI %08x, which it does not know, at %llu ms",
			   d.dest->name, d.spi, (unsigned long long)s->now_ms);
	d.dest->used[d.dest->n_used++ % (sizeof(d.dest->used) / sizeof(d.dest->used[0]))] = d.spi;
	s->delivered++;
}
