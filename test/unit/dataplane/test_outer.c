// What the outer header takes from the inner one and what the inner one takes back (RFC 4301 5.1.2,
// RFC 6040, RFC 6438, RFC 6864), and padding that hides sizes (RFC 4303 2.7): either family in
// either. What esp_out() makes is read by OpenSSL, esp_in() is given what OpenSSL made.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fake_dp.h"

#include "dataplane/esp.h"
#include "dataplane/outer.h"

#define SPI 0xc0ffee55u

static uint32_t tunnel;
static struct batch b, icmp;

static const struct pairing {
	bool outer6, inner6;
	const char *name;
} pairings[] = {
	{false, false, "IPv4 in IPv4"},
	{false, true, "IPv6 in IPv4"},
	{true, false, "IPv4 in IPv6"},
	{true, true, "IPv6 in IPv6"},
};

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static struct esp_sa sa_of(uint32_t spi, const struct pairing *p, const struct outer_rule *rule)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, false);

	if (p->outer6) {
		sa.local.addr = addr(GW_A6);
		sa.remote.addr = addr(GW_B6);
	}
	sa.local_ts.s[sa.local_ts.n++] = sel(SITE_A6);
	sa.remote_ts.s[sa.remote_ts.n++] = sel(SITE_B6);
	sa.outer = *rule;
	return sa;
}

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	memset(&icmp, 0, sizeof(icmp));
	return err != 0 ? err : dp_tunnel_add(&fake.dp, "site-b", &tunnel);
}

// ---- out ----

static void set_out(const struct pairing *p, const struct outer_rule *rule, uint16_t tfc_padding)
{
	struct esp_sa sa = sa_of(SPI, p, rule);

	sa.tfc_padding = tfc_padding;
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
}

static void set_tos(uint8_t *ip, uint8_t tos)
{
	struct rte_ipv4_hdr h;

	if (ip[0] >> 4 == 6) {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)(tos << 4 | (ip[1] & 15));
		return;
	}
	memcpy(&h, ip, sizeof(h));
	h.type_of_service = tos;
	h.hdr_checksum = 0;
	h.hdr_checksum = rte_ipv4_cksum(&h);
	memcpy(ip, &h, sizeof(h));
}

static uint8_t tos_of(const uint8_t *ip)
{
	if (ip[0] >> 4 == 4)
		return ip[1];
	return (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

static void make_flow(uint8_t *ip, size_t len, const struct pairing *p, uint8_t proto,
		      uint16_t port)
{
	if (p->inner6)
		make_ip6(ip, len, HOST_A6, HOST_B6, proto, port, 2000);
	else
		make_ip(ip, len, HOST_A, HOST_B, proto, port, 2000);
}

// What becomes of one packet of `len` bytes; the outer header is returned, good until batch_free.
static const uint8_t *out_packet(const uint8_t *ip, size_t len)
{
	struct rte_mbuf *m = mbuf_of(ip, len);

	// What others have left in the buffer.
	memset(rte_pktmbuf_mtod_offset(m, char *, len), 0xa5, rte_pktmbuf_tailroom(m));
	batch_put(&b, m);
	b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	if (rte_pktmbuf_mtod(b.pkt[0], uint8_t *)[0] >> 4 == 4)
		assert_true(ip_checksum_ok(rte_pktmbuf_mtod(b.pkt[0], void *)));
	return rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
}

static const uint8_t *out_one(const struct pairing *p, uint8_t tos, bool df)
{
	uint8_t ip[200];

	make_flow(ip, sizeof(ip), p, 17, 1000);
	if (!p->inner6)
		ip[6] = df ? 0x40 : 0;
	set_tos(ip, tos);
	return out_packet(ip, sizeof(ip));
}

static void test_traffic_class_out(void **state)
{
	static const struct {
		struct outer_rule rule;
		uint8_t inner, want;
		const char *why;
	} rows[] = {
		{{0}, 0xb8, 0xb8, "the default copies the DSCP (RFC 4301 5.1.2.1)"},
		{{.dscp = 63}, 0xb8, 0xb8, "where it is copied, none is set"},
		{{.copy_dscp = OUTER_DSCP_BOTH}, 0x28, 0x28, "copied out as well as in"},
		{{.copy_dscp = OUTER_DSCP_NO}, 0xb8, 0, "not copied: zero"},
		{{.copy_dscp = OUTER_DSCP_IN}, 0xfc, 0, "in is not out"},
		{{.copy_dscp = OUTER_DSCP_NO, .dscp = 46}, 0x20, 0xb8, "one for all packets"},
		{{.copy_dscp = OUTER_DSCP_IN, .dscp = 63}, 0, 0xfc, "all bits of it"},
		{{0}, 0x01, 0x01, "ECT(1) (RFC 6040 4.1)"},
		{{0}, 0x02, 0x02, "ECT(0)"},
		{{0}, 0x03, 0x03, "CE is copied, unlike in RFC 3168"},
		{{.copy_dscp = OUTER_DSCP_NO, .dscp = 46}, 0x23, 0xbb, "ECN beside another DSCP"},
		{{.ecn = OUTER_ECN_COMPAT}, 0xb9, 0xb8, "ECT(1) is not told (RFC 6040 4.3)"},
		{{.ecn = OUTER_ECN_COMPAT}, 0xba, 0xb8, "ECT(0) neither"},
		{{.ecn = OUTER_ECN_COMPAT}, 0xbb, 0xb8, "CE neither"},
		{{.ecn = OUTER_ECN_COMPAT, .copy_dscp = OUTER_DSCP_NO, .dscp = 8},
		 0xff,
		 0x20,
		 "nothing of the inner one"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < 4; k++) {
			set_out(&pairings[k], &rows[i].rule, 0);
			if (tos_of(out_one(&pairings[k], rows[i].inner, false)) != rows[i].want)
				fail_msg("%s, %s: not 0x%02x", rows[i].why, pairings[k].name,
					 rows[i].want);
			batch_free(&b);
		}
	}
}

// RFC 4301 8.1, RFC 4213 3.2.2, RFC 6864.
static void test_df_and_id_out(void **state)
{
	static const struct {
		enum outer_df df;
		bool inner6, inner_df, want;
		const char *why;
	} rows[] = {
		{OUTER_DF_COPY, false, true, true, "copied"},
		{OUTER_DF_COPY, false, false, false, "copied: clear"},
		{OUTER_DF_COPY, true, false, true, "around IPv6 it is set"},
		{OUTER_DF_CLEAR, false, true, false, "cleared"},
		{OUTER_DF_CLEAR, true, false, false, "cleared around IPv6"},
		{OUTER_DF_SET, false, false, true, "set"},
		{OUTER_DF_SET, true, false, true, "set around IPv6"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pairing *p = &pairings[rows[i].inner6];
		const struct outer_rule rule = {.df = rows[i].df};
		uint16_t id[2];

		set_out(p, &rule, 0);
		for (unsigned k = 0; k < 2; k++) {
			const uint8_t *outer = out_one(p, 0, rows[i].inner_df);

			id[k] = flow_load16(outer + 4);
			if (flow_load16(outer + 6) != (rows[i].want ? 0x4000 : 0))
				fail_msg("%s: DF %d", rows[i].why, !rows[i].want);
			batch_free(&b);
		}
		// RFC 6864 4.1, 4.2: none where DF is set, else none twice in 65536 packets.
		if (rows[i].want)
			assert_int_equal(id[0] | id[1], 0);
		else
			assert_int_equal((uint16_t)(id[0] + 1), id[1]);
	}
}

// Two SAs between the same gateways begin with other IDs: a router may have to put both together.
// Their SPIs may differ in some bits only.
static void test_ids_of_two_sas(void **state)
{
	static const uint32_t differ[] = {1, 4096, 1 << 16, 1u << 31};
	const struct outer_rule rule = {.df = OUTER_DF_CLEAR};
	uint16_t first;

	(void)state;
	set_out(&pairings[0], &rule, 0);
	first = flow_load16(out_one(&pairings[0], 0, false) + 4);
	batch_free(&b);
	for (size_t i = 0; i < sizeof(differ) / sizeof(differ[0]); i++) {
		struct esp_sa sa = sa_of(SPI ^ differ[i], &pairings[0], &rule);

		assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
		assert_int_not_equal(flow_load16(out_one(&pairings[0], 0, false) + 4), first);
		batch_free(&b);
	}
}

// A packet that is encrypted whole and cut afterwards, because the SA names ports, cannot have DF.
static void test_df_is_not_set_where_the_outer_packet_is_cut(void **state)
{
	const struct outer_rule rule = {.df = OUTER_DF_SET};
	struct esp_sa sa = sa_of(SPI, &pairings[0], &rule);
	uint8_t ip[1480];

	(void)state;
	sa.local_ts = (struct selector_list){1, {sel(SITE_A " 17 1000-1000")}};
	sa.remote_ts = (struct selector_list){1, {sel(SITE_B " 17")}};
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	make_ip(ip, sizeof(ip), HOST_A, HOST_B, 17, 1000, 2000);
	assert_int_equal(flow_load16(out_packet(ip, sizeof(ip)) + 6), 0);
	batch_free(&b);
	make_ip(ip, 200, HOST_A, HOST_B, 17, 1000, 2000);
	assert_int_equal(flow_load16(out_packet(ip, 200) + 6), 0x4000);
	batch_free(&b);
}

static void test_ttl(void **state)
{
	static const uint8_t rows[][2] = {{0, 64}, {1, 1}, {64, 64}, {255, 255}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < 4; k++) {
			const struct outer_rule rule = {.ttl = rows[i][0]};
			const uint8_t *outer;

			set_out(&pairings[k], &rule, 0);
			outer = out_one(&pairings[k], 0, false);
			assert_int_equal(outer[pairings[k].outer6 ? 7 : 8], rows[i][1]);
			batch_free(&b);
		}
	}
}

// The SA goes on between other addresses by the same rules.
static void test_rules_move_with_the_sa(void **state)
{
	const struct outer_rule rule = {.copy_dscp = OUTER_DSCP_NO,
					.dscp = 46,
					.ecn = OUTER_ECN_COMPAT,
					.df = OUTER_DF_CLEAR,
					.label = OUTER_LABEL_TUNNEL,
					.ttl = 7};
	uint8_t text[2048];

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		const bool v6 = pairings[k].outer6;
		const struct ip_endpoint local = {addr(v6 ? GW_A6 : GW_A), 4500},
					 remote = {addr(v6 ? GW_B6 : GW_B), 4500};
		const uint8_t *outer;

		set_out(&pairings[k], &rule, 300);
		assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &local, &remote), 0);
		outer = out_one(&pairings[k], 3, true);
		assert_int_equal(tos_of(outer), 0xb8);
		assert_int_equal(outer[v6 ? 7 : 8], 7);
		if (v6)
			assert_int_not_equal((outer[1] & 15) << 16 | flow_load16(outer + 2), 0);
		else
			assert_int_equal(flow_load16(outer + 6), 0);
		assert_int_equal(open_esp(outer + (v6 ? 48 : 28),
					  b.pkt[0]->data_len - (v6 ? 48u : 28u), 128, text),
				 304); // 300, 2 of padding, 2 of trailer
		batch_free(&b);
	}
}

// ---- flow label (RFC 6438) ----

static uint32_t label_of(const uint8_t *ip, size_t len)
{
	const uint8_t *outer = out_packet(ip, len);
	const uint32_t label = (uint32_t)(outer[1] & 15) << 16 | flow_load16(outer + 2);

	assert_int_equal(tos_of(outer), tos_of(ip)); // beside it
	batch_free(&b);
	return label;
}

static uint32_t label_for(const struct pairing *p, uint8_t proto, uint16_t port)
{
	uint8_t ip[200];

	make_flow(ip, sizeof(ip), p, proto, port);
	set_tos(ip, 0xa5);
	if (p->inner6)
		ip[3] = 0x77; // a label of its own, which is not copied
	return label_of(ip, sizeof(ip));
}

static void test_flow_label(void **state)
{
	(void)state;
	for (size_t k = 2; k < 4; k++) {
		const struct pairing *p = &pairings[k];
		struct outer_rule rule = {.label = OUTER_LABEL_NONE};
		uint32_t one, first, different = 0;

		set_out(p, &rule, 0);
		assert_int_equal(label_for(p, 17, 1), 0);

		rule.label = OUTER_LABEL_TUNNEL;
		set_out(p, &rule, 0);
		one = label_for(p, 17, 1);
		assert_int_not_equal(one, 0);
		for (uint16_t port = 2; port < 50; port++)
			assert_int_equal(label_for(p, 17, port), one);

		rule.label = OUTER_LABEL_FLOW;
		set_out(p, &rule, 0);
		first = label_for(p, 17, 1);
		for (uint16_t port = 2; port < 50; port++) {
			assert_int_not_equal(label_for(p, 17, port), 0);
			different += label_for(p, 17, port) != first;
		}
		assert_true(different > 40);		      // by ports
		assert_int_equal(label_for(p, 17, 1), first); // of one flow it is always the same
		assert_int_not_equal(label_for(p, 6, 1), first); // by protocol
		set_out(p, &rule, 0);				 // and with the next SA
		assert_int_equal(label_for(p, 17, 1), first);
		fake_reclaim();
	}
}

// Either end's port tells flows apart, and what goes to a port is another flow than what comes from
// it.
static void test_flow_label_by_both_ports(void **state)
{
	static const uint16_t ports[][2] = {{1000, 2000}, {1000, 2001}, {2000, 1000}};
	const struct outer_rule rule = {.label = OUTER_LABEL_FLOW};
	uint32_t label[3];
	uint8_t ip[200];

	(void)state;
	for (size_t k = 2; k < 4; k++) {
		set_out(&pairings[k], &rule, 0);
		for (unsigned i = 0; i < 3; i++) {
			if (pairings[k].inner6)
				make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 17, ports[i][0],
					 ports[i][1]);
			else
				make_ip(ip, sizeof(ip), HOST_A, HOST_B, 17, ports[i][0],
					ports[i][1]);
			label[i] = label_of(ip, sizeof(ip));
		}
		assert_int_not_equal(label[0], label[1]);
		assert_int_not_equal(label[0], label[2]);
	}
}

// Fragments have no other thing to tell flows by.
static void test_flow_label_by_addresses(void **state)
{
	const struct outer_rule rule = {.label = OUTER_LABEL_FLOW};

	(void)state;
	for (size_t k = 2; k < 4; k++) {
		const unsigned src_end = pairings[k].inner6 ? 23 : 15;
		const unsigned dst_end = pairings[k].inner6 ? 39 : 19;
		uint32_t label[3];

		set_out(&pairings[k], &rule, 0);
		for (unsigned i = 0; i < 3; i++) {
			uint8_t ip[200];

			make_flow(ip, sizeof(ip), &pairings[k], 47, 0);
			if (i > 0)
				ip[i == 1 ? src_end : dst_end]++;
			set_tos(ip, 0);
			label[i] = label_of(ip, sizeof(ip));
		}
		assert_int_not_equal(label[0], label[1]);
		assert_int_not_equal(label[0], label[2]);
	}
}

// Nobody can tell from a label what flow it is of: each tunnel has a key.
static void test_flow_label_by_tunnel(void **state)
{
	const struct outer_rule rule = {.label = OUTER_LABEL_FLOW};
	uint32_t label;

	(void)state;
	set_out(&pairings[2], &rule, 0);
	label = label_for(&pairings[2], 17, 1);
	assert_int_equal(dp_tunnel_add(&fake.dp, "another", &tunnel), 0);
	set_out(&pairings[2], &rule, 0);
	assert_int_not_equal(label_for(&pairings[2], 17, 1), label);
}

static void test_which_protocols_have_ports(void **state)
{
	static const struct {
		uint8_t proto;
		bool ports;
	} rows[] = {{6, true},	 {17, true},  {33, true}, {132, true},
		    {136, true}, {47, false}, {1, false}, {58, false}}; // an ICMP type is no port
	const struct outer_rule rule = {.label = OUTER_LABEL_FLOW};

	(void)state;
	for (size_t k = 2; k < 4; k++) {
		set_out(&pairings[k], &rule, 0);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if ((label_for(&pairings[k], rows[i].proto, 1) !=
			     label_for(&pairings[k], rows[i].proto, 2)) != rows[i].ports)
				fail_msg("%s, protocol %u", pairings[k].name, rows[i].proto);
	}
}

// RFC 6437 2: 0 is none. Tunnels have labels of their own.
static void test_flow_label_of_tunnels(void **state)
{
	unsigned same = 0;

	(void)state;
	for (uint32_t seed = 1; seed < 1u << 22; seed++) {
		const uint32_t label = outer_label_tunnel(seed);

		assert_true(label != 0 && label <= 0xfffff);
		same += label == outer_label_tunnel(0);
	}
	assert_in_range(same, 1, 100); // of 20 bits
}

// Fragments of one packet go one way, whether they have ports or not.
static void test_flow_label_of_fragments(void **state)
{
	const struct outer_rule rule = {.label = OUTER_LABEL_FLOW};
	uint32_t label[2];
	uint8_t ip[200];

	(void)state;
	set_out(&pairings[2], &rule, 0);
	for (unsigned i = 0; i < 2; i++) {
		make_ip(ip, sizeof(ip), HOST_A, HOST_B, 17, 1000, 2000);
		ip[6] = i == 0 ? 0x20 : 0;
		ip[7] = i == 0 ? 0 : 20;
		set_tos(ip, 0);
		label[i] = label_of(ip, sizeof(ip));
	}
	assert_int_equal(label[0], label[1]);
	for (unsigned i = 0; i < 2; i++) {
		make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 44, 0, 0);
		memset(ip + 40, 0, 8);
		ip[40] = 17;
		ip[43] = i == 0 ? 1 : 160;
		label[i] = label_of(ip, sizeof(ip));
	}
	assert_int_equal(label[0], label[1]);
}

// ---- in ----

// RFC 2983: what the DSCP of a received packet becomes; ECN beside it follows RFC 6040 4.2.
static void test_traffic_class_in(void **state)
{
	static const struct {
		enum outer_dscp dscp;
		enum outer_ecn ecn;
		uint8_t inner, outer, want;
		const char *why;
	} rows[] = {
		{OUTER_DSCP_OUT, OUTER_ECN_COPY, 0xb8, 0x28, 0xb8, "the inner one stays"},
		{OUTER_DSCP_NO, OUTER_ECN_COPY, 0xb8, 0x28, 0xb8, "it stays"},
		{OUTER_DSCP_OUT, OUTER_ECN_COPY, 0x28, 0xb8, 0x28, "no bit of another gets in"},
		{OUTER_DSCP_IN, OUTER_ECN_COPY, 0xb8, 0x28, 0x28, "taken over"},
		{OUTER_DSCP_BOTH, OUTER_ECN_COPY, 0xb8, 0x28, 0x28, "taken over, yes"},
		{OUTER_DSCP_IN, OUTER_ECN_COPY, 0xfc, 0, 0, "zero, too"},
		{OUTER_DSCP_IN, OUTER_ECN_COPY, 0, 0xfc, 0xfc, "all bits of it"},
		{OUTER_DSCP_IN, OUTER_ECN_COPY, 0x02, 0xfc, 0xfe, "ECN is not"},
		{OUTER_DSCP_IN, OUTER_ECN_COPY, 0x02, 0xff, 0xff, "but by its own rules"},
		{OUTER_DSCP_OUT, OUTER_ECN_COMPAT, 0xba, 0x2b, 0xbb, "compatibility is of sending"},
		{OUTER_DSCP_OUT, OUTER_ECN_COMPAT, 0xba, 0x29, 0xb9, "ECT(1) over ECT(0)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < 4; k++) {
			const struct outer_rule rule = {.copy_dscp = rows[i].dscp,
							.ecn = rows[i].ecn};
			struct fake_esp how = {.seq = 1, .key_bits = 128, .tos = rows[i].outer};
			const bool inner6 = pairings[k].inner6;
			uint8_t text[200], v4[300], v6[300];
			const uint8_t *got;
			struct esp_sa sa;
			size_t len;

			assert_int_equal(dp_sa_in_reserve(&fake.dp, &how.spi), 0);
			sa = sa_of(how.spi, &pairings[k], &rule);
			assert_int_equal(dp_sa_in_publish(&fake.dp, tunnel, &sa, NULL), 0);
			if (inner6)
				make_ip6(text, 100, HOST_B6, HOST_A6, 17, 1, 2);
			else
				make_ip(text, 100, HOST_B, HOST_A, 17, 1, 2);
			set_tos(text, rows[i].inner);
			len = put_trailer(text, 100, 0, inner6 ? 41 : 4);
			len = make_esp(v4, &how, text, len);
			if (pairings[k].outer6) {
				len = over_ipv6(v4, len, v6);
				set_tos(v6, rows[i].outer);
				batch_put(&b, mbuf_of(v6, len));
			} else {
				batch_put(&b, mbuf_of(v4, len));
			}
			esp_in(fake.w, &b);
			assert_int_equal(b.n, 1);
			got = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
			if (tos_of(got) != rows[i].want)
				fail_msg("%s, %s: 0x%02x, not 0x%02x", rows[i].why,
					 pairings[k].name, tos_of(got), rows[i].want);
			if (!inner6)
				assert_true(ip_checksum_ok(got));
			batch_free(&b);
			assert_int_equal(dp_sa_in_retire(&fake.dp, how.spi), 0);
		}
	}
}

// RFC 6040 4.2: a mark that the inner packet cannot carry is a drop, in either mode.
static void test_ce_over_not_ect_is_dropped(void **state)
{
	(void)state;
	for (unsigned ecn = 0; ecn < 2; ecn++) {
		const struct outer_rule rule = {.ecn = ecn == 0 ? OUTER_ECN_COPY
								: OUTER_ECN_COMPAT};
		struct fake_esp how = {.seq = 1, .key_bits = 128, .tos = 3};
		struct esp_sa sa;
		uint8_t text[200];

		assert_int_equal(dp_sa_in_reserve(&fake.dp, &how.spi), 0);
		sa = sa_of(how.spi, &pairings[0], &rule);
		assert_int_equal(dp_sa_in_publish(&fake.dp, tunnel, &sa, NULL), 0);
		make_ip(text, 100, HOST_B, HOST_A, 17, 1, 2);
		assert_int_equal(fake_receive(&b, &how, text, put_trailer(text, 100, 0, 4)), 0);
		assert_int_equal(dropped(DROP_ESP_ECN), ecn + 1);
	}
}

// ---- padding that hides sizes ----

static void test_tfc_padding(void **state)
{
	static const struct {
		uint16_t padding, mtu, len, want; // of inner packet
		const char *why;
	} rows[] = {
		{0, 1500, 100, 100, "none"},
		{1, 1500, 100, 100, "smaller than any packet"},
		{99, 1500, 100, 100, "larger ones stay"},
		{100, 1500, 100, 100, "just as large"},
		{101, 1500, 100, 101, "by one byte"},
		{1000, 1500, 100, 1000, "all have one size"},
		{1000, 1500, 999, 1000, "by the last byte"},
		{ESP_TFC_MTU, 1500, 100, 0, "to what the path carries"},
		{ESP_TFC_MTU, 1000, 100, 0, "a smaller one"},
		{1200, 1000, 100, 0, "never beyond the path"},
		{1200, 1500, 1300, 1300, "larger ones stay"},
	};
	uint8_t ip[1500], text[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < 4; k++) {
			const struct outer_rule rule = {0};
			const size_t outer_len = pairings[k].outer6 ? 40 : 20;
			uint16_t want = rows[i].want;
			struct dp_sa_stats st;
			const uint8_t *outer;
			int n;

			fake.route_mtu = rows[i].mtu;
			set_out(&pairings[k], &rule, rows[i].padding);
			if (want == 0)
				want = dp_tunnel_inner_mtu(&fake.dp, tunnel);
			make_flow(ip, rows[i].len, &pairings[k], 17, 1);
			outer = out_packet(ip, rows[i].len);
			assert_true(b.pkt[0]->pkt_len <= rows[i].mtu);
			n = open_esp(outer + outer_len, b.pkt[0]->data_len - outer_len, 128, text);
			// The packet, padding of 0, the trailer, whose own padding is at most 3.
			assert_true(n > 0);
			if (n - 2 - text[n - 2] != want || text[n - 2] > 3)
				fail_msg("%s, %s: %d", rows[i].why, pairings[k].name, n);
			assert_int_equal(text[n - 1], pairings[k].inner6 ? 41 : 4);
			assert_memory_equal(text, ip, rows[i].len);
			for (int at = rows[i].len; at < want; at++)
				assert_int_equal(text[at], 0);
			// Volume is that of the packets, not of what hides them.
			assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
			assert_int_equal(st.bytes, rows[i].len);
			assert_int_equal(st.packets, 1);
			batch_free(&b);
			fake_reclaim();
		}
	}
	assert_int_equal(dropped_total(), 0);
}

// All sizes become one, and the largest one that fits is not made larger.
static void test_tfc_padding_hides_every_size(void **state)
{
	const struct outer_rule rule = {0};
	uint8_t ip[1500];

	(void)state;
	set_out(&pairings[0], &rule, ESP_TFC_MTU);
	for (size_t len = 24; len <= 1446; len++) {
		make_ip(ip, len, HOST_A, HOST_B, 17, 1, 2);
		out_packet(ip, len);
		assert_int_equal(b.pkt[0]->pkt_len, 1500);
		batch_free(&b);
	}
}

// A buffer without room for the padding: dropped and counted, not written beyond.
static void test_tfc_padding_without_room(void **state)
{
	const struct outer_rule rule = {0};
	uint8_t ip[100];
	struct rte_mbuf *m;

	(void)state;
	set_out(&pairings[0], &rule, 1000);
	make_ip(ip, sizeof(ip), HOST_A, HOST_B, 17, 1, 2);
	m = mbuf_of(ip, sizeof(ip));
	m->data_off = (uint16_t)(m->buf_len - 700);
	memcpy(rte_pktmbuf_mtod(m, void *), ip, sizeof(ip));
	batch_put(&b, m);
	b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_NO_MBUF), 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(test_traffic_class_out),
		T(test_df_and_id_out),
		T(test_ids_of_two_sas),
		T(test_df_is_not_set_where_the_outer_packet_is_cut),
		T(test_ttl),
		T(test_rules_move_with_the_sa),
		T(test_flow_label),
		T(test_flow_label_by_both_ports),
		T(test_flow_label_by_addresses),
		T(test_flow_label_by_tunnel),
		T(test_which_protocols_have_ports),
		T(test_flow_label_of_tunnels),
		T(test_flow_label_of_fragments),
		T(test_traffic_class_in),
		T(test_ce_over_not_ect_is_dropped),
		T(test_tfc_padding),
		T(test_tfc_padding_hides_every_size),
		T(test_tfc_padding_without_room),
	};

	return cmocka_run_group_tests(tests, fake_group_setup, fake_group_teardown);
}
