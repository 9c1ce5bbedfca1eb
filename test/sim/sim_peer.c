#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/sim_internal.h"

// ---- what the core borrows ----

static int spi_reserve(void *ctx, uint32_t *spi)
{
	struct sim_peer *p = ctx;

	if (p->no_spis)
		return -ENOSPC;
	for (size_t i = 0; i < sizeof(p->spi) / sizeof(p->spi[0]); i++) {
		if (p->spi[i].state != SPI_FREE)
			continue;
		p->spi[i].spi = (uint32_t)(fake_random(&p->sim->rng) << 8 | i) | 0x80000000u;
		p->spi[i].state = SPI_RESERVED;
		*spi = p->spi[i].spi;
		return 0;
	}
	return -ENOSPC;
}

bool sim_spi_change(struct sim_peer *p, uint32_t spi, int from, int to, const char *what)
{
	for (size_t i = 0; i < sizeof(p->spi) / sizeof(p->spi[0]); i++)
		if (p->spi[i].spi == spi && (int)p->spi[i].state == from) {
			p->spi[i].state = (unsigned)to;
			return true;
		}
	sim_broken(p->sim, "%s: %s of SPI %08x out of turn", p->name, what, spi);
	return false;
}

static void spi_release(void *ctx, uint32_t spi)
{
	sim_spi_change(ctx, spi, SPI_RESERVED, SPI_FREE, "release");
}

static const struct secret *psk_find(void *ctx, const struct identity *local,
				     const struct identity *remote)
{
	struct sim_peer *p = ctx;
	struct identity wanted;

	if (local->type == ID_ANY || remote->type == ID_ANY)
		sim_broken(p->sim, "%s: a key was looked up for no identity", p->name);
	if (!p->conf.psk)
		return NULL;
	if (p->conf.psk_for &&
	    (identity_parse(p->conf.psk_for, &wanted) || !identity_equal(&wanted, remote)))
		return NULL;
	return &p->psk;
}

static const struct ike_conn *const *conns_find(void *ctx, const struct ip_addr *local,
						const struct ip_addr *remote)
{
	struct sim_peer *p = ctx;

	(void)remote;
	if (!sim_owns(p, local) && !p->sim->nat)
		sim_broken(p->sim, "%s: connections looked up for a foreign address", p->name);
	p->conns[0] = p->conf.no_conns ? NULL : &p->conn;
	return p->conns;
}

bool sim_owns(const struct sim_peer *p, const struct ip_addr *a)
{
	for (unsigned i = 0; i < p->n_addrs; i++)
		if (ip_addr_equal(&p->addrs[i], a))
			return true;
	return false;
}

static unsigned addrs_own(void *ctx, const struct ike_conn *conn, const struct ip_addr *first,
			  struct ip_addr out[LIMIT_IKE_ADDRS])
{
	const struct sim_peer *p = ctx;
	unsigned n = 0;

	(void)conn;
	if (sim_owns(p, first))
		out[n++] = *first;
	for (unsigned i = 0; i < p->n_addrs; i++)
		if (!ip_addr_equal(&p->addrs[i], first))
			out[n++] = p->addrs[i];
	return n;
}

static bool addrs_allowed(void *ctx, const struct ike_conn *conn, const struct ip_addr *local,
			  const struct ip_addr *remote)
{
	const struct sim_peer *p = ctx;
	struct ip_addr denied;

	(void)conn;
	(void)local;
	return !p->conf.denied || ip_addr_parse(p->conf.denied, &denied) ||
	       !ip_addr_equal(&denied, remote);
}

static bool addr_source(void *ctx, const struct ike_conn *conn, const struct ip_addr *remote,
			struct ip_addr *local)
{
	const struct sim_peer *p = ctx;

	(void)conn;
	if (p->n_addrs == 0 || remote->family != p->addr.family)
		return false;
	*local = p->addr;
	return true;
}

// ---- configuration ----

static void must(bool ok, const char *what, const char *text)
{
	if (ok)
		return;
	fprintf(stderr, "sim: bad %s '%s'\n", what, text);
	abort();
}

static void proposals_from(const char *text, enum protocol_id protocol, struct proposal_list *out)
{
	char copy[512], *save, *word;
	struct error err;

	snprintf(copy, sizeof(copy), "%s", text);
	*out = (struct proposal_list){0};
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save))
		must(!proposal_parse(word, protocol, &out->p[out->n++], &err), "proposal", word);
}

static void selectors_from(const char *text, struct selector_list *out,
			   struct selector_dynamic *dynamic)
{
	char copy[512], *save, *word;

	snprintf(copy, sizeof(copy), "%s", text);
	*out = (struct selector_list){0};
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (strncmp(word, "dynamic", 7) == 0)
			must(!selector_dynamic_parse(word, &dynamic->s[dynamic->n++]), "selector",
			     word);
		else
			must(!selector_parse(word, &out->s[out->n++]), "selector", word);
}

static void child_configure(struct ike_child_conf *child, const char *name,
			    const struct sim_conf *c, const char *local_ts, const char *remote_ts)
{
	*child = (struct ike_child_conf){
		.replay_window = 64,
		.rekey_time_ms = c->rekey_ms,
		.rand_time_ms = c->rekey_ms / 10,
		.life_time_ms = c->life_ms,
		.tfc_padding = c->tfc_padding,
		.transport = c->transport,
	};
	snprintf(child->name, sizeof(child->name), "%s", name);
	proposals_from(c->esp, PROTO_ESP, &child->esp);
	selectors_from(local_ts, &child->local_ts, &child->local_dynamic);
	selectors_from(remote_ts, &child->remote_ts, &child->remote_dynamic);
}

void sim_peer_configure(struct sim_peer *p)
{
	const struct sim_conf *c = &p->conf;

	if (p->conn.name[0])
		return;
	p->conn = (struct ike_conn){
		.local_auth = c->local_auth,
		.remote_auth = c->remote_auth,
		.send_cert = c->send_cert,
		.send_certreq = !c->no_certreq,
		.force_encap = c->force_encap,
		.mobike = c->mobike,
		.fallback_port = c->fallback_port,
		.dpd_delay_ms = c->dpd_delay_ms,
		.fragmentation = c->fragmentation,
		.fragment_size = c->fragment_size,
		.retransmit_base_ms = 4000,
		.retransmit_factor = c->tries ? 1.0 : 1.8,
		.retransmit_tries = c->tries ? c->tries : 5,
		.rekey_time_ms = c->ike_rekey_ms,
		.rand_time_ms = c->ike_rekey_ms / 10,
		.over_time_ms = c->ike_over_ms,
		.children = p->child_list,
		.n_children = c->extra_child_local_ts ? 2 : 1,
	};
	snprintf(p->conn.name, sizeof(p->conn.name), "%s-conn", p->name);
	proposals_from(c->ike, PROTO_IKE, &p->conn.ike);
	must(!identity_parse(c->local_id, &p->conn.local_id), "identity", c->local_id);
	must(!identity_parse(c->remote_id, &p->conn.remote_id), "identity", c->remote_id);
	p->child_list[0] = &p->child[0];
	p->child_list[1] = &p->child[1];
	child_configure(&p->child[0], "net", c, c->local_ts, c->remote_ts);
	if (c->extra_child_local_ts)
		child_configure(&p->child[1], "extra", c, c->extra_child_local_ts,
				c->extra_child_remote_ts);
	if (c->psk)
		secret_set(&p->psk, c->psk, strlen(c->psk));
}

static bool explain(void *ctx, const struct ip_addr *remote, bool *stranger)
{
	const struct sim_peer *p = ctx;

	(void)remote;
	*stranger = false;
	return !p->brief;
}

void sim_peer_init(struct sim *s, struct sim_peer *p, const char *name, uint8_t last, uint64_t seed)
{
	p->sim = s;
	p->name = name;
	p->addr = p->addrs[0] = sim_addr(s, last);
	p->n_addrs = 1;
	fake_crypto_init(&p->fake, seed);
	p->env = (struct ike_env){
		.ctx = p,
		.crypto = &p->fake.vt,
		.spi_reserve = spi_reserve,
		.spi_release = spi_release,
		.psk_find = psk_find,
		.conns_find = conns_find,
		.child_used = sim_child_used,
		.explain = explain,
		.addrs_own = addrs_own,
		.addrs_allowed = addrs_allowed,
		.addr_source = addr_source,
		.half_open_ms = LIMIT_IKE_HALF_OPEN_MS,
	};
	p->conf = (struct sim_conf){
		.ike = "aes128gcm16-prfsha256-x25519",
		.esp = "aes128gcm16",
		.psk = "correct horse battery staple",
		.fragment_size = 1280,
	};
}
