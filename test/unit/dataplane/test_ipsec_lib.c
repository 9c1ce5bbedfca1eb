// Our ESP against DPDK's librte_ipsec, packet by packet (differential): every transform, random
// outer and inner family, UDP, extended sequence numbers, replay window and sizes. What we seal it
// opens, and of a stream of its packets, some of them late, sent twice or altered, both receivers
// take the same ones.
//
// Where librte_ipsec is known to be wrong its word does not count: rightly_refused() and draw().
//
// Skipped when DPDK has no driver for cryptography. PORT500_TEST_SEED=N repeats a failure,
// PORT500_TEST_ROUNDS=N makes it longer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dataplane/sad.h"
#include "esp_ref.h"
#include "fake_dp.h"
#include "ipsec_lib.h"
#include "test/unit/lib/random.h"

enum { ROUNDS = 2, STREAM = 96, DELIVERIES = 160, PACKET_MAX = 2000, INNER_MAX = 1380 };

static struct esp_ref_suite suites[ESP_REF_SUITES_MAX];
static unsigned n_suites;
static struct test_random rnd;
static unsigned n_compared, n_independent, n_taken, n_refused;

// What one round draws.
struct round {
	const struct esp_ref_suite *suite;
	bool outer6, inner6, udp, esn;
	uint32_t window;
	uint64_t start; // the first number
};

struct stream { // librte_ipsec's packets
	uint64_t seq[STREAM];
	size_t len[STREAM], inner_len[STREAM];
	bool taken[STREAM];
	uint8_t packet[STREAM][PACKET_MAX], inner[STREAM][PACKET_MAX];
};

static struct stream stream;

static uint32_t below(uint32_t n)
{
	return (uint32_t)test_random_below(&rnd, n);
}

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)test_random_u64(&rnd);
}

static const char *describe(const struct round *r)
{
	static char text[200];

	snprintf(text, sizeof(text), "%s outer %d inner %d udp %d esn %d window %u start %llu",
		 esp_ref_name(&r->suite->encr, &r->suite->integ), r->outer6 ? 6 : 4,
		 r->inner6 ? 6 : 4, r->udp, r->esn, r->window, (unsigned long long)r->start);
	return text;
}

// `ours`: as we have it, else as the peer at the other end has it.
static struct esp_sa sa_of(const struct round *r, uint32_t spi, bool ours)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, r->udp);
	static uint8_t key[65];
	const struct transform_info *encr = transform_find(&r->suite->encr);

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 11 + 5);
	sa.encr = r->suite->encr;
	sa.integ = r->suite->integ;
	sa.esn = r->esn;
	sa.replay_window = r->window;
	if (r->outer6) {
		assert_int_equal(ip_addr_parse(GW_A6, &sa.local.addr), 0);
		assert_int_equal(ip_addr_parse(GW_B6, &sa.remote.addr), 0);
	}
	sa.local_ts.s[sa.local_ts.n++] = sel(SITE_A6);
	sa.remote_ts.s[sa.remote_ts.n++] = sel(SITE_B6);
	assert_int_equal(secret_set(&sa.encr_key, key, encr->key_len), 0);
	if (!encr->aead)
		assert_int_equal(secret_set(&sa.integ_key, key + 1,
					    transform_find(&r->suite->integ)->key_len),
				 0);
	if (!ours) {
		const struct ip_endpoint swap = sa.local;

		sa.local = sa.remote;
		sa.remote = swap;
	}
	return sa;
}

// Random behind the header, so that one packet is not mistaken for another.
static size_t make_packet(const struct round *r, bool out, uint8_t *ip)
{
	const uint8_t proto = below(2) ? IPPROTO_UDP : 99;
	const size_t head = r->inner6 ? 40 : 20, len = head + below(INNER_MAX - 40);

	if (r->inner6)
		make_ip6(ip, len, out ? HOST_A6 : HOST_B6, out ? HOST_B6 : HOST_A6, proto, 0, 0);
	else
		make_ip(ip, len, out ? HOST_A : HOST_B, out ? HOST_B : HOST_A, proto, 0, 0);
	fill(ip + head, len - head);
	return len;
}

// ---- what we send, librte_ipsec reads ----

static bool check_ours(const struct round *r)
{
	const uint32_t spi = 0x100 + below(UINT32_MAX - 0x100);
	struct esp_sa mine = sa_of(r, spi, true), theirs = sa_of(r, spi, false);
	struct ipsec_lib *reader = ipsec_lib_create(&theirs, IPSEC_LIB_IN, r->inner6, r->start - 1);
	struct batch b = {.n = 0}, icmp = {.n = 0};
	uint32_t id;

	esp_sa_fini(&theirs);
	if (reader == NULL) {
		esp_sa_fini(&mine);
		return false;
	}
	n_independent += ipsec_lib_independent(reader);
	assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id), 0);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &mine, NULL), 0);
	atomic_store(&tunnel_sa(tunnel_get(&fake.dp, id))->seq, r->start - 1);
	for (unsigned i = 0; i < 24; i++) {
		uint8_t inner[PACKET_MAX], opened[PACKET_MAX], packet[PACKET_MAX];
		const size_t len = make_packet(r, true, inner);
		size_t n;

		batch_put(&b, mbuf_of(inner, len));
		b.tunnel[0] = tunnel_get(&fake.dp, id);
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, 1);
		n = b.pkt[0]->data_len;
		memcpy(packet, rte_pktmbuf_mtod(b.pkt[0], void *), n);
		batch_free(&b);
		if (ipsec_lib_open(reader, packet, n, opened) != (int)len ||
		    memcmp(opened, inner, len) != 0)
			fail_msg("%s: librte_ipsec does not read our packet of %zu", describe(r),
				 len);
	}
	ipsec_lib_destroy(reader);
	dp_tunnel_del(&fake.dp, id);
	return true;
}

// ---- what librte_ipsec sends, both read ----

// Of the packets that it is given, one in four has bytes behind the inner packet: RFC 4303 2.7.
static void make_stream(const struct round *r, uint32_t spi)
{
	struct esp_sa theirs = sa_of(r, spi, false);
	uint64_t seq = r->start;
	struct ipsec_lib *writer = NULL;

	for (unsigned i = 0; i < STREAM; i++) {
		size_t len = make_packet(r, false, stream.inner[i]), more = 0;

		// What the peer has lost on the way.
		if (writer == NULL || below(20) == 0) {
			ipsec_lib_destroy(writer);
			if (i > 0)
				seq += below(2) ? below(100) : below(r->window * 2 + 70);
			writer = ipsec_lib_create(&theirs, IPSEC_LIB_OUT, r->inner6, seq);
			assert_non_null(writer);
		}
		if (below(4) == 0) {
			more = below(60);
			fill(stream.inner[i] + len, more);
		}
		stream.taken[i] = false;
		stream.seq[i] = seq++;
		stream.inner_len[i] = len;
		stream.len[i] =
			ipsec_lib_seal(writer, stream.inner[i], len + more, stream.packet[i]);
	}
	ipsec_lib_destroy(writer);
	esp_sa_fini(&theirs);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

// Alters the ESP packet, not what is in front of it, except for the lengths. Returns the new one.
static size_t alter(const struct round *r, uint8_t *p, size_t len)
{
	const size_t ip_len = r->outer6 ? 40 : 20, head = ip_len + (r->udp ? 8 : 0);

	switch (below(4)) {
	case 0: // shorter
		len -= 1 + below((uint32_t)(len - head - 8));
		break;
	case 1: { // longer
		const size_t more = 1 + below(64);

		fill(p + len, more);
		len += more;
		break;
	}
	default: // one bit, in the header and at the ends more often than in the middle
		p[below(2)   ? head + below(24)
		  : below(2) ? len - 1 - below(40)
			     : head + below((uint32_t)(len - head))] ^= (uint8_t)(1u << below(8));
		break;
	}
	put16(p + (r->outer6 ? 4 : 2), r->outer6 ? len - 40 : len);
	if (r->udp)
		put16(p + ip_len + 4, len - ip_len);
	return len;
}

// The length of what we make of it, or -1.
static int open_ours(const uint8_t *packet, size_t len, uint8_t *out)
{
	struct batch b = {.n = 0};
	int n = -1;

	batch_put(&b, mbuf_of(packet, len));
	esp_in(fake.w, &b);
	if (b.n == 1) {
		n = b.pkt[0]->data_len;
		memcpy(out, rte_pktmbuf_mtod(b.pkt[0], void *), (size_t)n);
	}
	batch_free(&b);
	return n;
}

// The order in which they come: late ones, some never, some more than once.
static unsigned pick(unsigned at)
{
	const uint32_t how = below(10);
	const unsigned usual = at * STREAM / DELIVERIES;

	if (how < 6)
		return usual;
	if (how < 8)
		return usual > 8 ? usual - below(8) : usual;
	return below(usual + 1);
}

// We refuse what librte_ipsec may take, and are right. A window of W numbers ends at T - W + 1
// (RFC 4303 3.4.3), where librte_ipsec's holds one more. And it marks a number in a word of 64 bits
// by a mask of 32 (DPDK 22.11, esn_inb_update_sqn): those of the upper half it takes any number of
// times.
static bool rightly_refused(const struct round *r, unsigned i, uint64_t top)
{
	return r->window != 0 && (stream.seq[i] + r->window == top ||
				  (stream.taken[i] && (stream.seq[i] & 63) >= 32));
}

static void deliver(const struct round *r, struct ipsec_lib *judge, uint64_t *top)
{
	static uint8_t packet[PACKET_MAX], ours[PACKET_MAX], theirs[PACKET_MAX];

	for (unsigned at = 0; at < DELIVERIES; at++) {
		const unsigned i = pick(at);
		const bool altered = below(4) == 0;
		size_t len = stream.len[i];
		int n, m;

		memcpy(packet, stream.packet[i], len);
		if (altered)
			len = alter(r, packet, len);
		n = open_ours(packet, len, ours);
		m = ipsec_lib_open(judge, packet, len, theirs);
		if (n < 0 && !altered && rightly_refused(r, i, *top)) {
			n_refused++;
			continue;
		}
		if ((n < 0) != (m < 0) ||
		    (n >= 0 && (n > m || memcmp(ours, theirs, (size_t)n) != 0)))
			fail_msg("%s: number %llu of top %llu, %s, %zu bytes: ours %d, "
				 "librte_ipsec's %d",
				 describe(r), (unsigned long long)stream.seq[i],
				 (unsigned long long)*top, altered ? "altered" : "as sent", len, n,
				 m);
		if (n < 0) {
			n_refused++;
			continue;
		}
		assert_false(altered);
		assert_false(r->window != 0 && stream.taken[i]);
		assert_int_equal(n, stream.inner_len[i]);
		assert_memory_equal(ours, stream.inner[i], (size_t)n);
		stream.taken[i] = true;
		*top = RTE_MAX(*top, stream.seq[i]);
		n_taken++;
	}
}

static bool check_theirs(const struct round *r)
{
	struct ipsec_lib *judge;
	struct esp_sa mine, copy;
	uint64_t top = r->start - 1;
	uint32_t spi;

	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	mine = sa_of(r, spi, true);
	copy = sa_of(r, spi, true);
	judge = ipsec_lib_create(&copy, IPSEC_LIB_IN, r->inner6, top);
	esp_sa_fini(&copy);
	if (judge == NULL) {
		esp_sa_fini(&mine);
		return false;
	}
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &mine, NULL), 0);
	sad_lookup(fake.dp.sad, spi)->replay.top = top;
	make_stream(r, spi);
	deliver(r, judge, &top);
	ipsec_lib_destroy(judge);
	assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
	fake_reclaim();
	return true;
}

// ---- rounds ----

static struct round draw(unsigned suite)
{
	// librte_ipsec's ring of a power of two words must have one more than the window, which it
	// does not see to (RFC 6479 3): with 128 it forgets numbers and refuses fresh ones.
	static const uint32_t windows[] = {0, 64, 192, 960, 4032};
	struct round r = {
		.suite = &suites[suite],
		.outer6 = below(2),
		.inner6 = below(2),
		.udp = below(2),
		.esn = below(2),
		.window = windows[below(5)],
		.start = 1 + below(3) * 1000,
	};

	// RFC 4543 3.3 has the upper half of the number in front of the lower one, librte_ipsec at
	// the end, as for a MAC of RFC 4303 2.8.
	if (r.suite->encr.id == ENCR_NULL_AUTH_AES_GMAC)
		r.esn = false;
	// Numbers cannot be inferred alike without a window.
	if (r.esn && r.window == 0)
		r.window = 64;
	if (r.esn && below(2)) // over an edge of 2^32
		r.start = ((1 + (uint64_t)below(5)) << 32) - below(100);
	return r;
}

static void test_differential(void **state)
{
	const char *text = getenv("PORT500_TEST_ROUNDS");
	const unsigned rounds = text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;

	(void)state;
	rnd = test_random_start("ipsec_lib");
	for (unsigned k = 0; k < n_suites; k++) {
		unsigned n = 0;

		for (unsigned i = 0; i < rounds; i++) {
			const struct round r = draw(k);

			n += check_ours(&r) && check_theirs(&r);
		}
		if (n > 0)
			n_compared++;
		else
			print_message("# no driver has %s\n",
				      esp_ref_name(&suites[k].encr, &suites[k].integ));
	}
	print_message("# %u of %u suites, %u rounds with OpenSSL, %u packets taken, %u refused\n",
		      n_compared, n_suites, n_independent, n_taken, n_refused);
	assert_true(n_compared > 0 && n_taken > 0 && n_refused > 0);
}

static int teardown(void **state)
{
	ipsec_lib_teardown();
	return fake_group_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_differential, fake_setup, fake_teardown),
	};
	const char *missing;
	void *state = NULL;

	if (fake_group_setup(&state) != 0)
		return 1;
	if (!ipsec_lib_setup(&missing)) { // cmocka's own way counts as a failure with meson
		printf("1..0 # SKIP %s\n", missing);
		return teardown(&state);
	}
	n_suites = esp_ref_suites(suites, ESP_REF_SUITES_MAX);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
