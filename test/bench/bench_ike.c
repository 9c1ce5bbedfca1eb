// CPU time of an IKE handshake (IKE_SA_INIT and IKE_AUTH with a child, PSK) in the pure core with
// OpenSSL, initiator and responder apart, beside the key exchange alone: the difference is what
// everything but the group's arithmetic costs.
//
//   bench_ike [--json] [HANDSHAKES] [PROPOSAL...]
//
// Two peers in one process hand each other their messages; no socket, no timer, no dataplane. A
// side's figure is the thread's CPU time in ike_sa_create, ike_step and ike_sa_destroy of that
// side, the best of BLOCKS blocks of HANDSHAKES / BLOCKS, so that a busy machine does less harm.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/ike/ike.h"
#include "control/openssl/ike_openssl.h"

#define BLOCKS 10

struct peer {
	struct ike_env env;
	struct ip_endpoint addr;
	struct ike_conn conn;
	struct ike_child_conf child;
	const struct ike_child_conf *child_list[1];
	const struct ike_conn *conns[2];
	struct secret psk;
	uint32_t last_spi;
	struct ike_sa *sa;
	uint64_t cpu_ns;
	unsigned installed;
};

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_ike: %s\n", what);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- what the core borrows ----

static int spi_reserve(void *ctx, uint32_t *spi)
{
	*spi = ((struct peer *)ctx)->last_spi++;
	return 0;
}

static void spi_release(void *ctx, uint32_t spi)
{
	(void)ctx;
	(void)spi;
}

static const struct secret *psk_find(void *ctx, const struct identity *local,
				     const struct identity *remote)
{
	(void)local;
	(void)remote;
	return &((struct peer *)ctx)->psk;
}

static const struct ike_conn *const *conns_find(void *ctx, const struct ip_addr *local,
						const struct ip_addr *remote)
{
	(void)local;
	(void)remote;
	return ((struct peer *)ctx)->conns;
}

static void peer_init(struct peer *p, const struct ike_crypto *crypto, const char *proposal,
		      bool first)
{
	static const char *const id[] = {"gw-a.example", "gw-b.example"};
	static const char *const ts[] = {"10.1.0.0/24", "10.2.0.0/24"};
	struct error err;

	*p = (struct peer){.last_spi = 0x1000};
	p->env = (struct ike_env){
		.ctx = p,
		.crypto = crypto,
		.spi_reserve = spi_reserve,
		.spi_release = spi_release,
		.psk_find = psk_find,
		.conns_find = conns_find,
		.half_open_ms = LIMIT_IKE_HALF_OPEN_MS,
	};
	p->addr.addr = ip_addr_v4(first ? 0xc0000201u : 0xc6336401u);
	p->addr.port = IKE_PORT;
	p->conn = (struct ike_conn){.retransmit_base_ms = 4000,
				    .retransmit_factor = 1.8,
				    .retransmit_tries = 5,
				    .children = p->child_list,
				    .n_children = 1};
	snprintf(p->conn.name, sizeof(p->conn.name), "bench");
	p->child_list[0] = &p->child;
	snprintf(p->child.name, sizeof(p->child.name), "net");
	if (proposal_parse(proposal, PROTO_IKE, &p->conn.ike.p[p->conn.ike.n++], &err)) {
		fprintf(stderr, "bench_ike: %s\n", err.text);
		exit(1);
	}
	must(!proposal_parse("aes128gcm16", PROTO_ESP, &p->child.esp.p[p->child.esp.n++], &err) &&
		     !identity_parse(id[!first], &p->conn.local_id) &&
		     !identity_parse(id[first], &p->conn.remote_id) &&
		     !selector_parse(ts[!first], &p->child.local_ts.s[p->child.local_ts.n++]) &&
		     !selector_parse(ts[first], &p->child.remote_ts.s[p->child.remote_ts.n++]) &&
		     !secret_set(&p->psk, "who moved my port 500", 21),
	     "bad configuration");
	p->child.replay_window = 64;
	p->conns[0] = &p->conn;
}

// ---- one handshake ----

// Steps `p` and hands what it sends to `to`, until nobody has anything to say.
static void step(struct peer *p, struct peer *to, struct ike_event *ev)
{
	struct ike_actions acts = {0};
	uint64_t before = cpu_ns();

	ev->now_ms = 1;
	must(!ike_step(p->sa, ev, &acts), "out of memory");
	p->cpu_ns += cpu_ns() - before;
	for (size_t i = 0; i < acts.n; i++) {
		const struct ike_action *a = &acts.a[i];

		if (a->type == IKE_ACT_INSTALL_CHILD)
			p->installed++;
		if (a->type == IKE_ACT_SEND) {
			struct ike_event next = {.type = IKE_EV_MESSAGE,
						 .local = a->send.remote,
						 .remote = a->send.local,
						 .bytes = a->send.bytes,
						 .len = a->send.len};

			step(to, p, &next);
		}
	}
	ike_actions_fini(&acts);
}

static void handshake(struct peer *i, struct peer *r)
{
	struct ike_event ev = {.type = IKE_EV_INITIATE, .child = &i->child};
	uint64_t t[5];

	t[0] = cpu_ns();
	must(!ike_sa_create_initiator(&i->env, &i->conn, &i->addr, &r->addr, &i->sa), "no memory");
	t[1] = cpu_ns();
	must(!ike_sa_create_responder(&r->env, &r->sa), "no memory");
	t[2] = cpu_ns();
	step(i, r, &ev);
	t[3] = cpu_ns();
	ike_sa_destroy(i->sa);
	t[4] = cpu_ns();
	ike_sa_destroy(r->sa);
	i->cpu_ns += t[1] - t[0] + t[4] - t[3];
	r->cpu_ns += t[2] - t[1] + cpu_ns() - t[4];
}

// One side's key exchange: a pair of its own and the secret shared with the other's.
static uint64_t key_exchange(const struct ike_crypto *c, const struct peer *p)
{
	uint16_t group = 0;
	uint8_t theirs[IKE_KE_PUBLIC_MAX], ours[IKE_KE_PUBLIC_MAX];
	size_t theirs_len = sizeof(theirs), ours_len = sizeof(ours);
	struct ike_ke *peer, *own;
	struct secret shared = {0};
	uint64_t before, after;

	for (size_t i = 0; i < p->conn.ike.p[0].n; i++)
		if (p->conn.ike.p[0].t[i].type == TRANSFORM_KE)
			group = p->conn.ike.p[0].t[i].id;
	must(!c->ke_create(c->ctx, group, &peer) &&
		     !c->ke_public(c->ctx, peer, theirs, &theirs_len),
	     "the proposal has no group");
	before = cpu_ns();
	must(!c->ke_create(c->ctx, group, &own) && !c->ke_public(c->ctx, own, ours, &ours_len) &&
		     !c->ke_derive(c->ctx, own, theirs, theirs_len, &shared),
	     "no key exchange");
	secret_fini(&shared);
	c->ke_destroy(c->ctx, own);
	after = cpu_ns();
	c->ke_destroy(c->ctx, peer);
	return after - before;
}

static void measure(const struct ike_crypto *c, const char *proposal, unsigned n, bool json)
{
	uint64_t best[3] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
	static struct peer i, r;
	unsigned per_block = n / BLOCKS ? n / BLOCKS : 1;
	double us[3];

	peer_init(&i, c, proposal, true);
	peer_init(&r, c, proposal, false);
	for (unsigned block = 0; block < BLOCKS; block++) {
		uint64_t sum[3] = {0};

		i.cpu_ns = r.cpu_ns = 0;
		for (unsigned k = 0; k < per_block; k++) {
			handshake(&i, &r);
			sum[2] += key_exchange(c, &i);
		}
		sum[0] = i.cpu_ns;
		sum[1] = r.cpu_ns;
		for (unsigned k = 0; k < 3; k++)
			best[k] = sum[k] < best[k] ? sum[k] : best[k];
	}
	must(i.installed == BLOCKS * per_block && r.installed == BLOCKS * per_block,
	     "a handshake failed");
	for (unsigned k = 0; k < 3; k++)
		us[k] = (double)best[k] / 1000 / per_block;
	printf(json ? "{\"proposal\": \"%s\", \"initiator_us\": %.1f, \"responder_us\": %.1f, "
		      "\"key_exchange_us\": %.1f, \"per_second\": %.0f}\n"
		    : "%-32s %10.1f %10.1f %10.1f %12.0f\n",
	       proposal, us[0], us[1], us[2], 1e6 / (us[0] > us[1] ? us[0] : us[1]));
	secret_fini(&i.psk);
	secret_fini(&r.psk);
}

int main(int argc, char **argv)
{
	static const char *const proposals[] = {
		"aes128gcm16-prfsha256-x25519",
		"aes128gcm16-prfsha256-ecp256",
		"aes128gcm16-prfsha256-modp2048",
		"aes128-sha256-x25519",
	};
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	char **arg = argv + 1 + json;
	unsigned n = *arg ? (unsigned)strtoul(*arg++, NULL, 10) : 2000;
	struct ike_crypto *crypto;

	must(!ike_openssl_create(&crypto), "OpenSSL lacks an algorithm");
	if (!json)
		printf("microseconds of CPU a handshake and side\n%-32s %10s %10s %10s %12s\n",
		       "proposal", "initiator", "responder", "of it KE", "a second");
	for (size_t i = 0; !*arg && i < sizeof(proposals) / sizeof(proposals[0]); i++)
		measure(crypto, proposals[i], n, json);
	for (; *arg; arg++)
		measure(crypto, *arg, n, json);
	ike_openssl_destroy(crypto);
	return 0;
}
