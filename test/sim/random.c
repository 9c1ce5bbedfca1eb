// Random interleavings of everything that peers, operators and wires do, two peers at a time.
// What must hold in the end, whatever happened: once the wire is quiet and good, both sides have
// the same IKE SAs and children with the same keys, no SA hangs in between, no SPI has leaked.
//
//	random [RUNS [SEED]]	prints the seed of a failure; the same seed repeats it
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/sim/sim.h"

static uint64_t below(uint64_t *rng, uint64_t n)
{
	return fake_random(rng) % n;
}

// Half of the pairs use MOBIKE; then b has two addresses from the start.
static void configure_addresses(struct sim *s, uint64_t *rng)
{
	static const uint8_t both[] = {2, 12};

	s->a.conf.mobike = s->b.conf.mobike = below(rng, 2) == 0;
	if (s->a.conf.mobike)
		sim_addresses(s, &s->b, both, 2);
}

// a goes somewhere else, or has an address more or less.
static void wander(struct sim *s, uint64_t *rng)
{
	uint8_t pool[] = {1, 11, 21}, first = (uint8_t)below(rng, 3);
	const uint8_t list[] = {pool[first], pool[(first + 1) % 3], pool[(first + 2) % 3]};

	if (s->a.conf.mobike)
		sim_addresses(s, &s->a, list, 1 + (unsigned)below(rng, 3));
}

// Toy certificates for both, for one of them, or for none; sometimes nothing that is believed.
static void configure_certs(struct sim *s, uint64_t *rng)
{
	struct sim_peer *p[] = {&s->a, &s->b};

	for (unsigned i = 0; i < 2; i++) {
		struct fake_cred_spec spec = {
			.id = p[i]->conf.local_id,
			.ca = {"root", below(rng, 3) ? NULL : "new root"},
			.trusts = below(rng, 10) ? "root" : "new root",
			.intermediates = (unsigned)below(rng, 4),
			.cert_len = below(rng, 2) ? 0 : below(rng, 1400),
			.classic = below(rng, 4) == 0,
		};

		sim_set_certs(p[i], &spec);
		p[i]->conf.no_certreq = below(rng, 12) == 0;
		p[i]->conf.send_cert = (enum ike_send_cert)below(rng, 3);
	}
	if (below(rng, 4) == 0)
		s->a.conf.local_auth = s->b.conf.remote_auth = AUTH_BY_PSK;
	else if (below(rng, 4) == 0)
		s->b.conf.local_auth = s->a.conf.remote_auth = AUTH_BY_PSK;
}

// What is inside of the tunnel: IPv4, IPv6, both in one child, and sides that do not fit.
static void configure_inner(struct sim *s, uint64_t *rng)
{
	static const char *const a4[] = {"10.1.0.0/16", "10.1.0.0/16", "10.1.2.0/24", "0.0.0.0/0"};
	static const char *const a6[] = {"fd00:1::/48", "fd00:1::/48", "fd00:1:0:2::/64", "::/0"};
	static const char *const both_a[] = {"10.1.0.0/16 fd00:1::/48",
					     "fd00:1::/48 10.1.0.0/16",
					     "10.1.2.0/24[tcp] ::/0",
					     "fd00:1::/48",
					     "10.1.0.0/16",
					     "10.1.0.0/16 dynamic",
					     "fd00:1::/48 dynamic",
					     "dynamic[tcp/179] dynamic[gre] 10.1.0.0/16"};
	static const char *const both_b[] = {"10.2.0.0/16 fd00:2::/48",
					     "fd00:2::/48 10.2.0.0/16",
					     "::/0 0.0.0.0/0[udp]",
					     "fd00:2::/48[ipv6-icmp/128]",
					     "10.2.0.0/16",
					     "dynamic fd00:2::/48"};

	switch (below(rng, 3)) {
	case 0:
		s->a.conf.local_ts = a4[below(rng, 4)];
		s->b.conf.remote_ts = a4[below(rng, 4)];
		break;
	case 1:
		s->a.conf.local_ts = a6[below(rng, 4)];
		s->b.conf.remote_ts = a6[below(rng, 4)];
		s->b.conf.local_ts = s->a.conf.remote_ts = "fd00:2::/48";
		break;
	default:
		s->a.conf.local_ts = both_a[below(rng, 8)];
		s->b.conf.remote_ts = both_a[below(rng, 8)];
		s->b.conf.local_ts = both_b[below(rng, 6)];
		s->a.conf.remote_ts = both_b[below(rng, 6)];
		break;
	}
}

// Transport mode, which one side or the other may not want.
static void configure_mode(struct sim *s, uint64_t *rng)
{
	if (below(rng, 4))
		return;
	s->a.conf.local_ts = s->b.conf.remote_ts = "dynamic";
	s->b.conf.local_ts = s->a.conf.remote_ts = below(rng, 2) ? "dynamic" : "dynamic ::/0";
	s->a.conf.transport = below(rng, 4) > 0;
	s->b.conf.transport = below(rng, 4) > 0;
}

static void configure(struct sim *s, uint64_t *rng)
{
	static const char *const ike[] = {
		"aes128gcm16-prfsha256-x25519",
		"aes128gcm16-prfsha256-ecp256-x25519",
		"aes128-sha256-modp2048,aes128gcm16-prfsha256-x25519",
		"aes256-sha512-prfsha512-ecp384-x25519,aes128gcm16-prfsha256-ecp256",
	};
	static const char *const esp[] = {"aes128gcm16", "aes256gcm16-aes128gcm16", "aes256gcm16"};
	struct sim_peer *p[] = {&s->a, &s->b};

	for (unsigned i = 0; i < 2; i++) {
		p[i]->conf.ike = ike[below(rng, 4)];
		p[i]->conf.esp = esp[below(rng, 3)];
		p[i]->conf.force_encap = below(rng, 4) == 0;
		if (below(rng, 2)) { // from most messages in pieces to none
			p[i]->conf.fragment_size = 150 + below(rng, 200);
			p[i]->conf.fragmentation = (enum ike_fragmentation)below(rng, 3);
		}
		p[i]->conf.childless = below(rng, 8) == 0;
		// Without it an SA that only one side has would stay for ever.
		p[i]->conf.dpd_delay_ms = 20000 + below(rng, 40000);
	}
	if (below(rng, 2))
		configure_certs(s, rng);
	configure_inner(s, rng);
	configure_mode(s, rng);
	if (below(rng, 2))
		sim_use_ipv6(s);
	if (below(rng, 8) == 0)
		s->b.conf.psk = "not the same key";
	if (below(rng, 8) == 0)
		s->b.conf.remote_id = "%any";
	if (below(rng, 12) == 0)
		s->a.conf.remote_id = "gw-x.example";
	s->drop = below(rng, 3) ? (unsigned)below(rng, 400) : 0;
	s->dup = below(rng, 3) ? (unsigned)below(rng, 400) : 0;
	s->corrupt = below(rng, 3) ? 0 : (unsigned)below(rng, 300);
	s->delay_ms = 1 + below(rng, 50);
	s->jitter_ms = below(rng, 2) ? below(rng, 6000) : 0;
	s->nat = below(rng, 5) == 0;
	s->nat_port = (uint16_t)(10000 + below(rng, 20000));
	configure_addresses(s, rng);
}

static void act(struct sim *s, uint64_t *rng)
{
	struct sim_peer *p = below(rng, 2) ? &s->a : &s->b;

	// Somebody behind a NAT cannot be called.
	if (s->nat && !sim_sa(&s->a, IKE_ST_ESTABLISHED))
		p = &s->a;
	switch (below(rng, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		if (sim_open(p) < 6)
			sim_initiate(s, p);
		break;
	case 4:
		sim_terminate(s, p);
		break;
	case 5:
		sim_terminate_child(s, p);
		break;
	case 6:
		sim_check(s, p);
		break;
	case 7:
		s->drop_next = (unsigned)below(rng, 3);
		break;
	case 8:
		p->no_spis = !p->no_spis;
		break;
	case 9:
		p->last_inbound_esp_ms = s->now_ms;
		break;
	case 10:
		sim_rekey(s, p);
		break;
	case 11:
		sim_rekey_child(s, p);
		break;
	case 12:
		sim_create_child(s, p, 0);
		break;
	case 13:
		wander(s, rng);
		break;
	default:
		break;
	}
}

static struct {
	unsigned long established, children, messages, rekeyings, packets, proofs, disbelieved;
} total;

// ---- a tunnel that carries traffic while everything is replaced all the time ----

static void configure_storm(struct sim *s, uint64_t *rng)
{
	static const char *const esp[] = {"aes128gcm16", "aes128gcm16-x25519",
					  "aes128gcm16-x25519-ecp256,aes128gcm16"};
	struct sim_peer *p[] = {&s->a, &s->b};

	for (unsigned i = 0; i < 2; i++) {
		p[i]->conf.esp = esp[below(rng, 3)];
		p[i]->conf.ike = below(rng, 2) ? "aes128gcm16-prfsha256-x25519-ecp256"
					       : "aes128gcm16-prfsha256-ecp256-x25519";
		p[i]->conf.dpd_delay_ms = 20000 + below(rng, 40000);
		p[i]->conf.tries = 20; // a lossy wire is no dead peer
	}
	if (below(rng, 2))
		sim_use_ipv6(s);
	if (below(rng, 2)) {
		s->a.conf.local_ts = s->b.conf.remote_ts = "fd00:1::/48 10.1.0.0/16";
		s->b.conf.local_ts = s->a.conf.remote_ts = "fd00:2::/48 10.2.0.0/16";
	}
	s->a.conf.extra_child_local_ts = s->b.conf.extra_child_remote_ts = "10.11.0.0/16";
	s->a.conf.extra_child_remote_ts = s->b.conf.extra_child_local_ts = "10.12.0.0/16";
	s->delay_ms = 1 + below(rng, 50);
	s->nat = below(rng, 5) == 0;
	s->nat_port = (uint16_t)(10000 + below(rng, 20000));
	configure_addresses(s, rng);
}

// One of b's addresses cannot be reached for a while.
static void cut(struct sim *s, uint64_t *rng)
{
	s->dead = (struct ip_addr){0};
	if (s->a.conf.mobike && !s->nat && below(rng, 2))
		s->dead = s->b.addrs[below(rng, 2)];
	// Less than the peer is waited for: b alone cannot look for another way.
	s->dead_until_ms = s->now_ms + 40000;
}

static void act_storm(struct sim *s, uint64_t *rng)
{
	struct sim_peer *p = below(rng, 2) ? &s->a : &s->b;
	bool both = below(rng, 3) == 0;

	for (unsigned i = 0; i < (both ? 2 : 1); i++) {
		switch (below(rng, 12)) {
		case 0:
		case 1:
		case 2:
			sim_rekey_child(s, p);
			break;
		case 3:
		case 4:
			sim_rekey(s, p);
			break;
		case 5:
			sim_create_child(s, p, 1);
			break;
		case 6:
			sim_check(s, p);
			break;
		case 7:
		case 8:
		case 9:
			wander(s, rng);
			break;
		case 10:
			cut(s, rng);
			break;
		default:
			s->drop_next = (unsigned)below(rng, 3);
			break;
		}
		p = p == &s->a ? &s->b : &s->a;
	}
}

static size_t children_of(const struct sim_peer *p, unsigned which)
{
	size_t n = 0;

	for (size_t i = 0; i < SIM_CHILDREN; i++)
		n += p->children[i].live && p->children[i].conf == &p->child[which];
	return n;
}

// Nothing but rekeying, new children and liveness checks, on a bad wire: in the end there is one
// IKE SA with one child of the first kind, and no packet was ever without an SA.
static bool run_storm(struct sim *s, uint64_t seed, bool verbose)
{
	uint64_t rng = seed * 77 + 2;

	sim_init(s, seed);
	s->verbose = verbose;
	configure_storm(s, &rng);
	sim_initiate(s, &s->a);
	sim_run_until(s, s->now_ms + 1000);
	sim_flow_start(s);
	s->drop = below(&rng, 3) ? (unsigned)below(&rng, 300) : 0;
	s->dup = below(&rng, 3) ? (unsigned)below(&rng, 400) : 0;
	s->corrupt = below(&rng, 3) ? 0 : (unsigned)below(&rng, 200);
	s->jitter_ms = below(&rng, 2) ? below(&rng, 4000) : 0;
	for (uint64_t n = 1 + below(&rng, 12); n > 0; n--) {
		act_storm(s, &rng);
		sim_run_until(s,
			      s->now_ms + (below(&rng, 2) ? below(&rng, 60) : below(&rng, 20000)));
	}
	s->drop = s->dup = s->corrupt = s->drop_next = 0;
	s->jitter_ms = 0;
	s->dead = (struct ip_addr){0};
	sim_run_until(s, s->now_ms + 400000);
	sim_agree(s);
	if (!s->broken[0] && (sim_open(&s->a) != 1 || sim_open(&s->b) != 1 ||
			      children_of(&s->a, 0) != 1 || children_of(&s->b, 0) != 1))
		snprintf(s->broken, sizeof(s->broken), "%zu and %zu IKE SAs, %zu and %zu children",
			 sim_open(&s->a), sim_open(&s->b), children_of(&s->a, 0),
			 children_of(&s->b, 0));
	total.rekeyings += s->a.installs + s->b.installs - 2;
	total.packets += s->delivered;
	total.messages += s->a.sent + s->b.sent;
	return sim_fini(s);
}

// ---- anything at all ----

static bool run(struct sim *s, uint64_t seed, bool verbose)
{
	uint64_t rng = seed * 77 + 1;

	sim_init(s, seed);
	s->verbose = verbose;
	configure(s, &rng);
	sim_initiate(s, &s->a);
	for (uint64_t n = below(&rng, 12); n > 0; n--) {
		uint64_t pause = below(&rng, 2) ? below(&rng, 60) : below(&rng, 30000);

		sim_run_until(s, s->now_ms + pause);
		act(s, &rng);
	}
	// The wire is good again: within the longest of all waits both sides agree.
	s->drop = s->dup = s->corrupt = s->drop_next = 0;
	s->jitter_ms = 0;
	sim_run_until(s, s->now_ms + 700000);
	// A liveness check may be on its way at any moment; that is no disagreement.
	sim_agree(s);
	total.established += sim_sa(&s->a, IKE_ST_ESTABLISHED) != NULL;
	total.proofs += s->a.certs.verifies + s->b.certs.verifies;
	total.disbelieved += s->a.certs.refused + s->b.certs.refused;
	total.children += s->a.installs + s->b.installs;
	total.messages += s->a.sent + s->b.sent;
	if (!s->broken[0] && seed % 2) {
		sim_terminate(s, seed % 4 == 1 ? &s->a : &s->b);
		sim_run_until(s, s->now_ms + 60000);
		sim_terminate(s, &s->a);
		sim_terminate(s, &s->b);
		sim_run_until(s, s->now_ms + 60000);
		if (sim_open(&s->a) + sim_open(&s->b) > 0 && !s->broken[0])
			snprintf(s->broken, sizeof(s->broken), "SAs are left after terminating");
	}
	return sim_fini(s);
}

int main(int argc, char **argv)
{
	unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) * 1000003u;
	struct sim *s = malloc(sizeof(*s));
	struct timespec from, to;
	unsigned long failed = 0;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned long i = 0; i < runs; i++) {
		uint64_t seed = first + i;

		if (seed % 2 ? run(s, seed / 2, argc > 2 && runs == 1)
			     : run_storm(s, seed / 2, argc > 2 && runs == 1))
			continue;
		printf("seed %llu: %s\n", (unsigned long long)seed, s->broken);
		if (++failed == 5)
			break;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	printf("%lu runs from seed %llu in %.1f s (%.0f/s), %lu failed\n", runs,
	       (unsigned long long)first, seconds, (double)runs / seconds, failed);
	printf("%lu ended established, %lu child halves installed, %lu messages\n",
	       total.established, total.children, total.messages);
	printf("%lu proofs by certificate, %lu of them not believed\n", total.proofs,
	       total.disbelieved);
	printf("%lu halves replaced under traffic, %lu packets of it, none without an SA\n",
	       total.rekeyings, total.packets);
	free(s);
	return failed ? 1 : 0;
}
