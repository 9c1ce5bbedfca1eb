#include "known_twice.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/known.h"
#include "dataplane/pmtu.h"
#include "dataplane/reass.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

static const struct source self = {.type = SOURCE_SELF};

uint32_t second;
struct frame given[FRAMES_MAX];
unsigned n_given;
struct outcome by_stages, by_short_way;

static uint64_t seed;
static uint16_t path_mtu;

// ---- frames ----

void keep(struct rte_mbuf *m, unsigned port)
{
	struct frame *f = &given[n_given++];

	f->port = (uint16_t)port;
	f->len = m->data_len;
	memcpy(f->bytes, rte_pktmbuf_mtod(m, void *), f->len);
	rte_pktmbuf_free(m);
}

void keep_ordinary(bool edges)
{
	static const char *const to[] = {"10.2.0.9", "10.2.0.10", "10.2.200.9", "203.0.113.9"};
	static const uint16_t ports[] = {53, 443, 4500};
	static const uint8_t zeros[1500];
	// A SYN with an MSS of 1460.
	static const uint8_t syn[64] = {
		[12] = 0x60, [13] = 2, [20] = 2, [21] = 4, [22] = 5, [23] = 0xb4};
	const bool back = below(5) == 0, tcp = below(2);
	const bool opens = edges && tcp && below(4) == 0;
	const char *const there = to[below(4)];
	const struct packet p = {
		.src = back ? there : "10.1.0.9",
		.dst = back ? "10.1.0.9" : there,
		.proto = tcp ? IPPROTO_TCP : IPPROTO_UDP,
		.frag = below(2) ? RTE_IPV4_HDR_DF_FLAG : 0,
		.payload = opens ? syn : zeros,
		.payload_len = (uint16_t)(opens			   ? 24 + below(40)
					  : edges && below(3) == 0 ? 1250 + below(140)
								   : 20 + below(500)),
		.padding = (uint16_t)below(8),
		.dst_port = ports[below(3)],
		.to = &core_port_mac[back],
		.from = below(40) ? NULL : &core_port_mac[back],
	};

	keep(core_frame(&p), back);
}

void keep_anything(void)
{
	static const char *const to[] = {"10.2.0.9",  "10.2.200.9",   "203.0.113.9", "10.1.0.1",
					 "192.0.2.1", "198.51.100.2", "127.0.0.1",   "224.0.0.1",
					 "10.9.9.9",  "10.1.0.9"};
	struct rte_mbuf *m;

	switch (below(8)) {
	case 5:
	case 6:
	case 7:
		keep_ordinary(true);
		return;
	case 0:
		m = clear_packet6("2001:db8:1::9", "2001:db8:2::9", false);
		break;
	case 1:
	case 2:
		m = genuine_esp();
		if (!m)
			return;
		m = frame_for_us(m);
		if (below(3) == 0)
			mutate(m);
		keep(m, 1);
		return;
	default:
		m = clear_packet("10.1.0.9", to[below(10)], false);
		break;
	}
	if (below(3) == 0)
		mutate(m);
	keep(m, below(12) == 0);
}

// Frames given to that port.
void receive(struct batch *in, unsigned port)
{
	batch_clear(in);
	for (unsigned i = 0; i < n_given; i++) {
		struct rte_mbuf *m;

		if (given[i].port != port)
			continue;
		m = rte_pktmbuf_alloc(core.dp.pool);
		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, given[i].len), given[i].bytes, given[i].len);
		in->pkt[in->n++] = m;
	}
}

// ---- one run ----

static void note(struct outcome *o, struct rte_mbuf *m, unsigned port)
{
	struct frame *f = &o->frame[o->n++];

	assert_true(o->n <= OUT_MAX);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->data_len, m->pkt_len);
	f->port = (uint16_t)port;
	f->len = m->data_len;
	memcpy(f->bytes, rte_pktmbuf_mtod(m, void *), f->len);
	rte_pktmbuf_free(m);
}

void collect(struct outcome *o)
{
	struct rte_mbuf *m;
	struct dp_event ev;

	for (unsigned port = 0; port < 2; port++)
		while ((m = core_sent(port)) != NULL)
			note(o, m, port);
	while ((m = core_punted()) != NULL)
		note(o, m, 2);
	while (core_event(&ev))
		o->events[ev.type]++;
}

// What waits for something is given up.
static void settle(struct outcome *o)
{
	for (unsigned i = 0; i < 4; i++) {
		core.w->now_tsc += core.dp.tsc_hz * 2;
		hold_retry(core.w);
		acquire_retry(core.w);
		reass_expire(core.w);
		while (core.w->self.n > 0)
			worker_step(core.w, &self);
		collect(o);
	}
}

static int by_bytes(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->len);
}

static void count_sas(struct outcome *o)
{
	const uint32_t tunnel[2] = {storm.tunnel, second};

	for (unsigned i = 0; i < 2; i++) {
		const struct sa_out *sa = tunnel_sa(tunnel_get(&core.dp, tunnel[i]));

		o->out[i] = (struct sa_count){0};
		if (sa)
			o->out[i] = (struct sa_count){
				.seq = atomic_load(&sa->seq),
				.packets = sa_out_packets(sa),
				.bytes = atomic_load(&sa->bytes),
				.last_tsc = atomic_load(&sa->last_tsc),
			};
	}
	for (unsigned i = 0; i < STORM_PEERS; i++) {
		const struct sa_in *sa = sad_lookup(core.dp.sad, storm.spi_in[i]);

		o->in[i] = (struct sa_count){
			.seq = sa->replay.top,
			.top_seq = counter_read(&sa->top_seq),
			.packets = counter_read(&sa->packets),
			.bytes = counter_read(&sa->bytes),
			.replays = counter_read(&sa->replays),
			.auth_failures = counter_read(&sa->auth_failures),
			.last_tsc = counter_read(&sa->last_tsc),
			.dummy_tsc = counter_read(&sa->dummy_tsc),
		};
	}
}

void run(struct outcome *o)
{
	uint64_t before[DROP_REASON_COUNT];
	const uint64_t errors = counter_read(&core.w->icmp_errors);

	o->n = 0;
	memset(o->events, 0, sizeof(o->events));
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		before[r] = core_dropped((enum drop_reason)r);
	core.w->icmp_tokens = 20;
	for (uint8_t port = 0; port < 2; port++) {
		const struct source nic = {.type = SOURCE_NIC, .port = port};
		struct batch in;

		receive(&in, port);
		if (in.n > 0)
			worker_take(core.w, &nic, &in);
	}
	while (core.w->self.n > 0)
		worker_step(core.w, &self);
	collect(o);
	count_sas(o);
	settle(o);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		o->drops[r] = core_dropped((enum drop_reason)r) - before[r];
	o->icmp_errors = counter_read(&core.w->icmp_errors) - errors;
	qsort(o->frame, o->n, sizeof(o->frame[0]), by_bytes);
}

// ---- the state that a run changes ----

struct sa_state {
	struct sa_out *out;
	uint64_t seq, uncounted, bytes, last_tsc, soft_tsc, hard_tsc;
};

struct sa_in_state {
	struct sa_in *in;
	void *copy;
};

static struct sa_state out_state[2];
static struct sa_in_state in_state[STORM_PEERS];
static uint32_t frag6_id;

static void save(void)
{
	const uint32_t tunnel[2] = {storm.tunnel, second};

	for (unsigned i = 0; i < 2; i++) {
		struct sa_out *sa = tunnel_sa(tunnel_get(&core.dp, tunnel[i]));

		out_state[i].out = sa;
		if (!sa)
			continue;
		out_state[i].seq = atomic_load(&sa->seq);
		out_state[i].uncounted = atomic_load(&sa->uncounted);
		out_state[i].bytes = atomic_load(&sa->bytes);
		out_state[i].last_tsc = atomic_load(&sa->last_tsc);
		out_state[i].soft_tsc = atomic_load(&sa->soft_tsc);
		out_state[i].hard_tsc = atomic_load(&sa->hard_tsc);
	}
	for (unsigned i = 0; i < STORM_PEERS; i++) {
		struct sa_in *sa = sad_lookup(core.dp.sad, storm.spi_in[i]);

		in_state[i].in = sa;
		in_state[i].copy = malloc(sa->size);
		assert_non_null(in_state[i].copy);
		memcpy(in_state[i].copy, sa, sa->size);
	}
	frag6_id = core.w->frag6_id;
}

static void restore(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sa_state *s = &out_state[i];

		if (!s->out)
			continue;
		atomic_store(&s->out->seq, s->seq);
		atomic_store(&s->out->uncounted, s->uncounted);
		atomic_store(&s->out->bytes, s->bytes);
		atomic_store(&s->out->last_tsc, s->last_tsc);
		atomic_store(&s->out->soft_tsc, s->soft_tsc);
		atomic_store(&s->out->hard_tsc, s->hard_tsc);
	}
	for (unsigned i = 0; i < STORM_PEERS; i++) {
		memcpy(in_state[i].in, in_state[i].copy, in_state[i].in->size);
		free(in_state[i].copy);
	}
	core.w->frag6_id = frag6_id;
}

static const char *const reason[] = {
#define X(id, name, help) name,
	DROP_REASONS(X)
#undef X
};

void compare(void)
{
	const struct outcome *a = &by_stages, *b = &by_short_way;
	struct known *known = core.w->known;
	const uint64_t now = ++core.w->now_tsc;

	save();
	core.w->known = NULL;
	run(&by_stages);
	core.w->known = known;
	core.w->now_tsc = now;
	restore();
	run(&by_short_way);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		if (a->drops[r] != b->drops[r])
			fail_msg("KNOWN_SEED=%llu: %s: %llu dropped by the stages, %llu with the "
				 "short way",
				 (unsigned long long)seed, reason[r],
				 (unsigned long long)a->drops[r], (unsigned long long)b->drops[r]);
	if (a->n != b->n || a->icmp_errors != b->icmp_errors)
		fail_msg("KNOWN_SEED=%llu: %u frames and %llu ICMP errors by the stages, %u and "
			 "%llu with the short way",
			 (unsigned long long)seed, a->n, (unsigned long long)a->icmp_errors, b->n,
			 (unsigned long long)b->icmp_errors);
	// Of a batch, the short way may take the newest packet before the one that came by another
	// way, which then says nothing any more.
	for (unsigned e = DP_EV_SOFT_LIFE; e <= DP_EV_PEER_MOVED - (n_given > 1); e++)
		if (a->events[e] != b->events[e])
			fail_msg("KNOWN_SEED=%llu: event %u: %u by the stages, %u with the short "
				 "way",
				 (unsigned long long)seed, e, a->events[e], b->events[e]);
	if (memcmp(a->in, b->in, sizeof(a->in)) != 0 || memcmp(a->out, b->out, sizeof(a->out)) != 0)
		fail_msg("KNOWN_SEED=%llu: SAs have counted otherwise", (unsigned long long)seed);
	for (unsigned i = 0; i < a->n; i++)
		if (by_bytes(&a->frame[i], &b->frame[i]) != 0)
			fail_msg("KNOWN_SEED=%llu: frame %u differs, of %u: port %u, %u bytes, and "
				 "port %u, %u bytes",
				 (unsigned long long)seed, i, a->n, a->frame[i].port,
				 a->frame[i].len, b->frame[i].port, b->frame[i].len);
}

// How many of the frames does the short way take?
unsigned count_short_ways(void)
{
	struct esp_place at[BATCH_MAX];
	struct batch in, esp;
	unsigned n = 0;

	for (uint8_t port = 0; port < 2; port++) {
		batch_clear(&esp);
		receive(&in, port);
		n += in.n;
		known_frames(core.w, port, &in, &esp, at);
		n -= in.n + esp.n;
		core_free(&in);
		core_free(&esp);
	}
	by_stages.n = 0;
	collect(&by_stages);
	return n;
}

unsigned count_short_ways_in(void)
{
	struct esp_place at[BATCH_MAX];
	struct crypto_job job[BATCH_MAX];
	struct batch in, esp;
	uint64_t before;
	unsigned n;

	batch_clear(&esp);
	receive(&in, 1);
	save();
	known_frames(core.w, 1, &in, &esp, at);
	esp_in_open(core.w, &esp, at, job);
	before = counter_read(&core.w->esp_in_packets);
	known_opened(core.w, &esp, at, job);
	n = (unsigned)(counter_read(&core.w->esp_in_packets) - before);
	restore();
	core_free(&in);
	core_free(&esp);
	by_stages.n = 0;
	collect(&by_stages);
	return n;
}

void ask_for_more(struct esp_sa *sa, unsigned way)
{
	struct selector *s =
		way == ASK_PORT || way == ASK_PROTO ? &sa->local_ts.s[0] : &sa->remote_ts.s[0];

	if (way == ASK_PORT || way == ASK_PORT_THERE)
		s->port_hi = 50000;
	else
		s->proto = IPPROTO_UDP;
}

// ---- the world ----

void set_policies(unsigned kind)
{
	static const char *const there[] = {"10.2.128.0/17", "10.2.0.0/16", "203.0.113.0/24"};
	struct dp_policy p[4] = {{.action = DP_PROTECT, .tunnel = second},
				 {.action = DP_PROTECT, .tunnel = storm.tunnel},
				 {.action = DP_BYPASS}};
	struct ip_prefix prefix;
	size_t n = 3;

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ip_prefix_parse("10.1.0.0/16", &prefix), 0);
		p[i].local = selector_from_prefix(&prefix);
		assert_int_equal(ip_prefix_parse(there[i], &prefix), 0);
		p[i].remote = selector_from_prefix(&prefix);
	}
	switch (kind) {
	case 1: // the second tunnel's packets are the first one's now
		p[0].tunnel = storm.tunnel;
		break;
	case 2: // a rule about a port in front
		p[3] = p[0];
		p[0] = p[2];
		p[0].action = DP_DISCARD;
		p[0].local.proto = p[0].remote.proto = IPPROTO_UDP;
		p[0].remote.port_lo = p[0].remote.port_hi = 53;
		n = 4;
		break;
	case 3: // nothing leaves in clear any more
		n = 2;
		break;
	case 4: // of the other port alone
		p[2].ports = 1;
		break;
	case 5:
		p[2].ports = 2;
		break;
	case 6:
		p[1].action = DP_DISCARD;
		break;
	default:
		break;
	}
	assert_int_equal(dp_policies_set(&core.dp, p, n), 0);
}

static void renew_second(void)
{
	struct esp_sa sa = storm_sa_out(0x9000 + below(1000), below(storm.n_suites), below(2));

	sa.tfc_padding = below(4) ? 0 : 300;
	assert_int_equal(dp_tunnel_set_out(&core.dp, second, &sa, NULL), 0);
}

static void move_neighbour(void)
{
	static const struct mac_addr moved = {{2, 0, 0, 0, 1, 9}};

	core_neigh(1, "192.0.2.254", below(2) ? &moved : &core_gw_mac);
}

void learn_mtu(uint16_t mtu)
{
	const struct sa_out *sa = tunnel_sa(tunnel_get(&core.dp, second));
	struct dp_event ev = {
		.type = DP_EV_PMTU,
		.tunnel = second,
		.spi = sa ? sa->spi : 0,
		.addr = core_addr("198.51.100.2"),
		.mtu = path_mtu = mtu,
	};

	pmtu_learn(&core.dp, &ev);
}

void change_something(void)
{
	const struct ip_addr host = core_addr("10.2.0.10"), gw = core_addr("192.0.2.254");
	struct ip_prefix prefix;

	switch (below(11)) {
	case 0:
		renew_outbound();
		break;
	case 1:
		renew_inbound(below(STORM_PEERS));
		break;
	case 2:
		clear_outbound();
		break;
	case 3:
		renew_second();
		break;
	case 4:
		move_neighbour();
		break;
	case 5:
		dp_neigh_del(&core.dp, 1, &gw);
		break;
	case 6:
		set_policies(below(7));
		break;
	case 7:
		assert_int_equal(dp_local_addr_add(&core.dp, &host), 0);
		break;
	case 8:
		dp_local_addr_del(&core.dp, &host);
		break;
	case 9:
		assert_int_equal(ip_prefix_parse("203.0.113.0/24", &prefix), 0);
		if (below(2))
			dp_route_del(&core.dp, &prefix);
		else
			core_route("203.0.113.0/24", below(2), below(2) ? "192.0.2.254" : NULL);
		break;
	default:
		learn_mtu((uint16_t)(path_mtu - below(10)));
		break;
	}
	dp_housekeeping(&core.dp);
}

void make_world(void)
{
	const char *text = getenv("KNOWN_SEED");

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	storm_init(seed);
	assert_int_equal(dp_tunnel_add(&core.dp, "second", &second), 0);
	renew_second();
	set_policies(0);
	core_route("2001:db8:1::/48", 0, NULL);
	core_route("2001:db8::/33", 1, "2001:db8:ff::2");
	core_neigh(1, "2001:db8:ff::2", &core_gw_mac);
	core_neigh(0, "2001:db8:1::9", &core_host_mac);
	core_route("198.51.100.0/24", 1, "192.0.2.254");
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	core_route("203.0.113.0/24", 1, "192.0.2.254");
	core_neigh(1, "192.0.2.254", &core_gw_mac);
	core_neigh(0, "10.1.0.9", &core_host_mac);
	core.dp.clamp_mss = below(2);
	path_mtu = 1400;
}

void end_world(void)
{
	struct outcome *o = &by_stages;

	o->n = 0;
	settle(o);
	storm_fini();
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
}
