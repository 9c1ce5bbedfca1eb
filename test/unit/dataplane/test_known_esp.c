// The short way of known flows beside the stages (known_twice.h): what comes out of a tunnel. The
// ESP is made by OpenSSL (esp_ref.h), in all transforms in turn.
//
// KNOWN_SEED=N repeats a failure, KNOWN_ROUNDS=N makes it longer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/known.h"
#include "dataplane/outer.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"
#include "known_twice.h"

enum { TOS_DSCP = 0xb8, ECT0 = 2, CE = 3, TCP = IPPROTO_TCP };

// What the peer puts into ESP, and around it. Zero: as usual.
struct content {
	const char *dst; // of the inner packet
	struct {
		uint8_t at, value,
			more; // byte, what it becomes, and the one behind it if that is not 0
	} set;
	bool wrong_checksum; // of the inner header; else it fits what was set
	uint16_t payload;    // bytes behind the UDP header, or the IP header of TCP
	uint16_t tfc;	     // bytes behind the inner packet
	uint8_t proto, tos;  // tos: of the outer header
	uint8_t next_header, extra_pad, pad_len, pad_byte; // pad_byte: what the first one becomes
	bool bad_icv, udp;
	const char *src;	    // of the outer header; and of UDP, 0: 4500
	uint16_t src_port, to_port; // of UDP; 0: 4500
	uint8_t behind;		    // bytes behind what UDP says
};

static unsigned suite;
static uint32_t next_seq;

static struct esp_sa sa_to_us(uint32_t spi)
{
	return storm_sa_out(spi, suite, false);
}

// In the place of one that the world has. Takes it.
static void publish(unsigned i, struct esp_sa *sa)
{
	assert_int_equal(dp_sa_in_retire(&core.dp, storm.spi_in[i]), 0);
	assert_int_equal(dp_sa_in_reserve(&core.dp, &storm.spi_in[i]), 0);
	sa->spi = storm.spi_in[i];
	assert_int_equal(dp_sa_in_publish(&core.dp, storm.tunnel, sa, NULL), 0);
	dp_housekeeping(&core.dp);
}

static void publish_usual(unsigned i)
{
	struct esp_sa sa = sa_to_us(0);

	publish(i, &sa);
}

static void begin(void)
{
	struct esp_sa out;

	make_world();
	set_policies(0);
	core.dp.clamp_mss = true;
	n_given = 0;
	next_seq = 0;
	suite = 0;
	publish_usual(0);
	publish_usual(1);
	out = storm_sa_out(0x9999, 0, false);
	assert_int_equal(dp_tunnel_set_out(&core.dp, second, &out, NULL), 0);
}

static size_t put_inner(uint8_t *text, const struct content *c)
{
	static const uint8_t zeros[1600];
	const struct packet p = {
		.src = "10.2.0.9",
		.dst = c->dst ? c->dst : "10.1.0.9",
		.proto = c->proto,
		.payload = zeros,
		.payload_len = c->payload ? c->payload : 60,
	};
	struct rte_mbuf *m = core_bare(&p);
	const size_t len = m->pkt_len;
	uint16_t sum;

	memcpy(text, rte_pktmbuf_mtod(m, void *), len);
	rte_pktmbuf_free(m);
	if (c->set.at != 0 || c->set.value != 0)
		text[c->set.at] = c->set.value;
	if (c->set.more)
		text[c->set.at + 1] = c->set.more;
	memset(text + 10, 0, 2);
	sum = (uint16_t)~rte_raw_cksum(text, (text[0] & 0x0fu) * 4u);
	memcpy(text + 10, &sum, 2);
	if (c->wrong_checksum)
		text[10] ^= 1;
	return len;
}

// The text of ESP: packet, TFC padding, padding, trailer.
static size_t put_text(uint8_t *text, const struct content *c, unsigned align)
{
	size_t len = put_inner(text, c), pad;

	memset(text + len, 0, c->tfc);
	len += c->tfc;
	pad = (align - (len + 2) % align) % align + c->extra_pad;
	for (size_t i = 0; i < pad; i++)
		text[len + i] = (uint8_t)(i + 1);
	if (c->pad_byte)
		text[len] = c->pad_byte;
	len += pad;
	text[len++] = c->pad_len ? c->pad_len : (uint8_t)pad;
	text[len++] = c->next_header ? c->next_header : IPPROTO_IPIP;
	return len;
}

// One more frame that comes in, of that SA.
static void keep_esp(unsigned i, const struct content *c, uint32_t seq)
{
	struct esp_sa sa = sa_to_us(storm.spi_in[i]);
	const unsigned head_len = esp_ref_head_len(&sa);
	const uint32_t spi_be = rte_cpu_to_be_32(storm.spi_in[i]), seq_be = rte_cpu_to_be_32(seq);
	uint8_t payload[2000] = {0}, *esp = payload + (c->udp ? 8 : 0);
	const size_t text_len = put_text(esp + head_len, c, esp_ref_align(&sa));
	const size_t esp_len = head_len + text_len + esp_ref_icv_len(&sa);
	const uint16_t udp_be[3] = {rte_cpu_to_be_16(c->src_port ? c->src_port : 4500),
				    rte_cpu_to_be_16(c->to_port ? c->to_port : 4500),
				    rte_cpu_to_be_16((uint16_t)(esp_len + 8))};
	struct packet p = {
		.src = c->src ? c->src : "198.51.100.2",
		.dst = "192.0.2.1",
		.proto = IPPROTO_ESP,
		.payload = payload,
		.payload_len = (uint16_t)(esp_len + (c->udp ? 8 : 0) + c->behind),
	};
	struct rte_mbuf *m;
	struct rte_ipv4_hdr *ip;

	memcpy(esp, &spi_be, 4);
	memcpy(esp + 4, &seq_be, 4);
	memset(esp + 8, 7, head_len - 8);
	esp_ref_seal(&sa, esp, text_len, seq);
	esp[esp_len - 1] ^= c->bad_icv;
	if (c->udp)
		memcpy(payload, udp_be, sizeof(udp_be));
	m = core_bare(&p);
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	if (c->udp)
		ip->next_proto_id = IPPROTO_UDP;
	ip->type_of_service = c->tos;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	keep(frame_for_us(m), 1);
	esp_sa_fini(&sa);
}

static void give(unsigned i, const struct content *c)
{
	n_given = 0;
	keep_esp(i, c, ++next_seq);
}

// By what is inside and around it: does a packet go on by the short way? The outcome is the stages'
// in any case.
static void test_packets_that_are_not_ordinary(void **state)
{
	static const struct {
		const char *why;
		struct content c;
		bool stays;
		enum drop_reason dropped; // 0: not, or none that this is about
	} rows[] = {
		{"as it is"},
		{"short", {.payload = 1}},
		{"long", {.payload = 1400}},
		{"larger than the way out allows", {.payload = 1480}, true},
		{"into another tunnel", {.dst = "10.2.200.9", .set = {13, 1}}},
		{"of any traffic class", {.set = {1, TOS_DSCP}}},
		{"with DF", {.set = {6, 0x40}}},
		{"a first fragment", {.set = {6, 0x20}}, true},
		{"a last fragment", {.set = {7, 9}}, true},
		{"one hop left", {.set = {8, 2}}},
		{"no hop left", {.set = {8, 1}}, true},
		{"options", {.set = {0, 0x46}}, true},
		{"a header too short", {.set = {0, 0x44}}, true, DROP_ESP_INNER},
		{"another version", {.set = {0, 0x55}}, true, DROP_ESP_INNER},
		{"a wrong checksum", {.wrong_checksum = true}, true},
		{"less than it says", {.set = {3, 255}}, true, DROP_ESP_INNER},
		{"a byte less than it says", {.set = {3, 89}}, true, DROP_ESP_INNER},
		{"less than its header", {.set = {3, 19}}, true, DROP_ESP_INNER},
		{"more than it says", {.tfc = 100}},
		{"more padding than needed", {.extra_pad = 16}},
		{"much more", {.extra_pad = 224}},
		{"wrong padding", {.extra_pad = 16, .pad_byte = 9}, true, DROP_ESP_PADDING},
		{"wrong padding of many",
		 {.extra_pad = 224, .pad_byte = 9},
		 true,
		 DROP_ESP_PADDING},
		{"padding longer than all", {.pad_len = 255}, true, DROP_ESP_PADDING},
		{"IPv6, it says", {.next_header = IPPROTO_IPV6}, true, DROP_ESP_INNER},
		{"a dummy", {.next_header = 59}, true, DROP_ESP_DUMMY},
		{"something else", {.next_header = IPPROTO_UDP}, true, DROP_ESP_NEXT_HEADER},
		{"a wrong ICV", {.bad_icv = true}, true, DROP_ESP_AUTH},
		{"from an outer DSCP", {.tos = TOS_DSCP}},
		{"that may be marked", {.tos = ECT0, .set = {1, ECT0}}, true},
		{"marked on its way", {.tos = CE, .set = {1, ECT0}}, true},
		{"marked, which nobody may", {.tos = CE}, true, DROP_ESP_ECN},
		{"TCP", {.proto = TCP, .set = {33, 0x10}}},
		{"a SYN", {.proto = TCP, .set = {33, 2}}, true},
		{"TCP without flags", {.proto = TCP, .payload = 13}, true},
		{"to nobody the SA is for", {.dst = "10.3.0.9"}, true, DROP_ESP_SELECTOR},
		{"from nobody it is for", {.set = {13, 9}}, true, DROP_ESP_SELECTOR},
		{"to ourselves", {.dst = "10.1.0.1"}, true},
	};

	(void)state;
	begin();
	for (size_t i = 0; i < storm.n_suites * sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t r = i % (sizeof(rows) / sizeof(rows[0]));
		unsigned ways;

		if (r == 0 && i > 0) {
			suite++;
			publish_usual(0);
		}
		if (strcmp(rows[r].why, "into another tunnel") == 0) {
			struct esp_sa any = sa_to_us(0);

			any.remote_ts.s[0] = any.local_ts.s[0];
			any.local_ts.s[0].hi = core_addr("10.2.255.255");
			publish(0, &any);
		}
		give(0, &rows[r].c);
		ways = count_short_ways_in();
		if (ways == rows[r].stays)
			fail_msg("%s: %u by the short way", rows[r].why, ways);
		compare();
		if (rows[r].dropped && by_short_way.drops[rows[r].dropped] != 1)
			fail_msg("%s: not dropped as that", rows[r].why);
		if (strcmp(rows[r].why, "into another tunnel") == 0) {
			assert_int_equal(by_short_way.frame[0].port, 1);
			publish_usual(0);
		}
	}
	end_world();
}

// Without clamping a SYN is like any other packet.
static void test_a_syn_that_nobody_clamps(void **state)
{
	static const struct content syn = {.proto = TCP, .set = {33, 2}};

	(void)state;
	begin();
	core.dp.clamp_mss = false;
	give(0, &syn);
	assert_int_equal(count_short_ways_in(), 1);
	compare();
	end_world();
}

// By what its SA is.
static void test_sas_that_are_not_plain(void **state)
{
	enum { PLAIN, NETS, TRANSPORT, DSCP, ASKS };
	static const struct content usual = {0};
	struct ip_prefix more;

	(void)state;
	begin();
	assert_int_equal(ip_prefix_parse("10.7.0.0/16", &more), 0);
	for (unsigned kind = PLAIN; kind < ASKS + ASK_WAYS; kind++) {
		struct esp_sa sa = sa_to_us(0);
		struct selector *here = &sa.local_ts.s[0];
		unsigned ways;

		switch (kind) {
		case NETS:
			sa.local_ts.s[sa.local_ts.n++] = *here;
			*here = selector_from_prefix(&more);
			break;
		case TRANSPORT:
			sa.transport = true;
			break;
		case DSCP:
			sa.outer.copy_dscp = OUTER_DSCP_IN;
			break;
		case PLAIN:
			break;
		default:
			ask_for_more(&sa, kind - ASKS);
			break;
		}
		publish(0, &sa);
		give(0, &usual);
		ways = count_short_ways_in();
		if (ways != (kind == PLAIN || kind == NETS))
			fail_msg("SA %u: %u by the short way", kind, ways);
		compare();
	}
	end_world();
}

// RFC 3948: from where the peer was before, and nothing in the packet but ESP.
static void test_esp_in_udp(void **state)
{
	static const struct {
		const char *why;
		struct content c;
		bool either_form, stays, moved;
		enum drop_reason dropped; // 0: not, or none that this is about
	} rows[] = {
		{"as it is", {.udp = true}},
		{"into another port",
		 {.udp = true, .src_port = 4501},
		 .stays = true,
		 .moved = true},
		{"by another address",
		 {.udp = true, .src = "198.51.100.3"},
		 .stays = true,
		 .moved = true},
		{"with something behind it", {.udp = true, .behind = 4}, .stays = true},
		{"to another port", {.udp = true, .to_port = 4501}, .stays = true},
		{"from where nobody is", {.udp = true, .src = "127.0.0.1"}, .stays = true},
		{"from where many are", {.udp = true, .src = "224.0.0.1"}, .stays = true},
		{"without UDP", {0}, .stays = true, .dropped = DROP_ESP_ENCAP},
		{"without UDP, which may be", {0}, .either_form = true},
		{"marked, which nobody may",
		 {.udp = true, .tos = CE},
		 .stays = true,
		 .dropped = DROP_ESP_ECN},
	};

	(void)state;
	begin();
	for (size_t i = 0; i < storm.n_suites * sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t r = i % (sizeof(rows) / sizeof(rows[0]));
		struct esp_sa sa;
		unsigned ways;

		suite = (unsigned)(i / (sizeof(rows) / sizeof(rows[0])));
		sa = storm_sa_out(0, suite, true);
		sa.either_form = rows[r].either_form;
		publish(0, &sa);
		give(0, &rows[r].c);
		ways = count_short_ways_in();
		if (ways == rows[r].stays)
			fail_msg("%s: %u by the short way", rows[r].why, ways);
		compare();
		assert_int_equal(by_short_way.events[DP_EV_PEER_MOVED], rows[r].moved);
		if (rows[r].dropped && by_short_way.drops[rows[r].dropped] != 1)
			fail_msg("%s: not dropped as that", rows[r].why);
	}
	end_world();
}

// What is no ESP, to port 4500 of ours: does it take the stages?
static void test_what_udp_carries_else(void **state)
{
	static const struct {
		const char *why;
		uint8_t payload[24];
		uint16_t len;
		uint16_t says; // UDP's length, 0: the right one
		bool is_esp;   // to the short way
	} rows[] = {
		{"SPI and all that ESP must have", {[3] = 1}, 24, .is_esp = true},
		{"less than ESP must have", {[3] = 1}, 23},
		{"IKE behind the non-ESP marker", {[4] = 1}, 24},
		{"a keepalive", {0xff}, 1},
		{"nothing", {0}, 0},
		{"less than UDP says", {[3] = 1}, 24, .says = 33},
		{"more than UDP says", {[3] = 1}, 24, .says = 31},
		{"UDP of no length", {[3] = 1}, 24, .says = 1},
	};

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct packet p = {
			.src = "198.51.100.2",
			.dst = "192.0.2.1",
			.payload = rows[i].payload,
			.payload_len = rows[i].len,
			.dst_port = 4500,
		};
		struct rte_mbuf *m = core_bare(&p);
		struct esp_place at[BATCH_MAX];
		struct batch in, esp;
		uint8_t *udp = rte_pktmbuf_mtod_offset(m, uint8_t *, 20);

		if (rows[i].says) {
			udp[4] = 0;
			udp[5] = (uint8_t)rows[i].says;
		}
		n_given = 0;
		keep(frame_for_us(m), 1);
		batch_clear(&esp);
		receive(&in, 1);
		known_frames(core.w, 1, &in, &esp, at);
		if (esp.n != rows[i].is_esp || in.n == rows[i].is_esp)
			fail_msg("%s: %u ESP, %u for the stages", rows[i].why, esp.n, in.n);
		core_free(&in);
		core_free(&esp);
		compare();
	}
	end_world();
}

// While a rule asks for a port, its flow is not known by addresses alone.
static void test_a_rule_about_a_port(void **state)
{
	static const struct content usual = {0};

	(void)state;
	begin();
	set_policies(2);
	give(0, &usual);
	assert_int_equal(count_short_ways_in(), 0);
	compare();
	set_policies(0);
	give(0, &usual);
	assert_int_equal(count_short_ways_in(), 1);
	end_world();
}

static struct esp_sa narrow_sa(void)
{
	struct esp_sa sa = sa_to_us(0);

	sa.local_ts.s[0].lo = sa.local_ts.s[0].hi = core_addr("10.1.0.77");
	return sa;
}

// What one SA may carry, another one may not: neither beside it, nor when it has its SPI.
static void test_a_flow_belongs_to_its_sa(void **state)
{
	static const struct content usual = {0};
	struct esp_sa narrow;
	uint32_t spi, slot, epoch;

	(void)state;
	begin();
	narrow = narrow_sa();
	publish(1, &narrow);
	give(0, &usual);
	assert_int_equal(count_short_ways_in(), 1);
	compare();
	give(1, &usual);
	assert_int_equal(count_short_ways_in(), 0);
	compare();
	assert_int_equal(by_short_way.drops[DROP_ESP_SELECTOR], 1);

	spi = storm.spi_in[0];
	slot = spi & (SAD_SLOTS - 1);
	epoch = dp_epoch(&core.dp);
	assert_int_equal(dp_sa_in_retire(&core.dp, spi), 0);
	assert_int_equal(dp_epoch(&core.dp), epoch); // flows of others stay known
	core.dp.sad->spi[slot] = spi;		     // as if chance had given it again
	core.dp.sad->used++;
	narrow = narrow_sa();
	narrow.spi = spi;
	assert_int_equal(dp_sa_in_publish(&core.dp, storm.tunnel, &narrow, NULL), 0);
	give(0, &usual);
	compare();
	assert_int_equal(by_short_way.drops[DROP_ESP_SELECTOR], 1);

	// After any change in between, what was known of the SPI is old as it is.
	assert_int_equal(dp_sa_in_retire(&core.dp, spi), 0);
	set_policies(0);
	core.dp.sad->spi[slot] = spi;
	core.dp.sad->used++;
	narrow = narrow_sa();
	narrow.spi = spi;
	epoch = dp_epoch(&core.dp);
	assert_int_equal(dp_sa_in_publish(&core.dp, storm.tunnel, &narrow, NULL), 0);
	assert_int_equal(dp_epoch(&core.dp), epoch);
	end_world();
}

// Two copies of one packet can share a batch, and be open before one of them is counted.
static void test_replays(void **state)
{
	static const struct content usual = {0};

	(void)state;
	begin();
	n_given = 0;
	keep_esp(0, &usual, 7);
	keep_esp(0, &usual, 7);
	keep_esp(0, &usual, 5);
	keep_esp(0, &usual, 9);
	keep_esp(0, &usual, 5);
	assert_int_equal(count_short_ways_in(), 3);
	compare();
	assert_int_equal(by_short_way.drops[DROP_ESP_REPLAY], 2);
	assert_int_equal(by_short_way.in[0].replays, 2);
	assert_int_equal(by_short_way.n, 3);
	run(&by_short_way);
	assert_int_equal(by_short_way.drops[DROP_ESP_REPLAY], 5);
	end_world();
}

// Where an SA comes to a limit, the stages look at each packet.
static void test_the_end_of_an_sa(void **state)
{
	static const struct content usual = {0};

	(void)state;
	begin();
	for (unsigned kind = 0; kind < 4; kind++) {
		const bool bytes = kind & 1, soft = kind & 2;
		const struct esp_life life = {.packets = bytes ? 0 : 3,
					      .bytes = bytes ? 88 * 3 : 0};
		struct esp_sa sa = sa_to_us(0);

		*(soft ? &sa.soft : &sa.hard) = life;
		publish(0, &sa);
		n_given = 0;
		for (uint32_t seq = 1; seq <= 5; seq++)
			keep_esp(0, &usual, seq);
		assert_int_equal(count_short_ways_in(), soft ? 2 : 3);
		compare();
		assert_int_equal(by_short_way.drops[DROP_SA_LIFE], soft ? 0 : 2);
		assert_int_equal(by_short_way.events[soft ? DP_EV_SOFT_LIFE : DP_EV_HARD_LIFE], 1);
	}
	end_world();
}

// Those that go on and those that stay, mixed: each one's own place, SA and job go with it.
static void test_batches(void **state)
{
	const char *text = getenv("KNOWN_ROUNDS");
	const unsigned rounds = text ? (unsigned)strtoul(text, NULL, 10) : 1000;

	(void)state;
	make_world();
	for (unsigned r = 0; r < rounds; r++) {
		if (below(8) == 0) {
			renew_inbound(below(STORM_PEERS));
			dp_housekeeping(&core.dp);
		}
		for (unsigned i = 0; i < STORM_PEERS; i++) { // which of them is the last may differ
			struct sa_in *sa = sad_lookup(core.dp.sad, storm.spi_in[i]);

			sa->packets_check = sa->packets_hard = UINT64_MAX;
		}
		n_given = 0;
		while (n_given < 1 + below(FRAMES_MAX)) {
			struct rte_mbuf *m = below(4) ? genuine_esp() : forged_esp();

			if (m == NULL)
				continue;
			m = frame_for_us(m);
			if (below(10) == 0)
				mutate(m);
			keep(m, 1);
		}
		by_stages.n = 0;
		collect(&by_stages);
		compare();
	}
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packets_that_are_not_ordinary, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_a_syn_that_nobody_clamps, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_sas_that_are_not_plain, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_esp_in_udp, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_what_udp_carries_else, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_a_rule_about_a_port, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_a_flow_belongs_to_its_sa, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_replays, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_the_end_of_an_sa, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_batches, core_setup, core_teardown),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
