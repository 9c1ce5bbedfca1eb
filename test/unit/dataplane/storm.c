#include "storm.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include <rte_udp.h>

#include "dataplane/flow6.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

struct storm storm;

uint32_t below(uint32_t n)
{
	storm.rng ^= storm.rng << 13;
	storm.rng ^= storm.rng >> 7;
	storm.rng ^= storm.rng << 17;
	return (uint32_t)(storm.rng >> 16) % n;
}

// ---- SAs ----

static struct esp_sa make_sa(uint32_t spi, unsigned suite, bool esn, bool udp, bool ours,
			     bool outer6)
{
	const struct esp_ref_suite *with = &storm.suite[suite];
	const struct transform_info *encr = transform_find(&with->encr);
	const struct ip_addr us = core_addr(outer6 ? "2001:db8::1" : "192.0.2.1"),
			     peer = core_addr(outer6 ? "2001:db8:9::2" : "198.51.100.2");
	struct ip_prefix here, there;
	struct esp_sa sa = {
		.spi = spi,
		.encr = with->encr,
		.integ = with->integ,
		.esn = esn,
		.udp_encap = udp,
		.local = {ours ? us : peer, udp ? 4500 : 0},
		.remote = {ours ? peer : us, udp ? 4500 : 0},
		.replay_window = esn ? 64 : 64 * below(3),
	};
	uint8_t key[65];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 5 + 9);
	for (unsigned i = 0; i < 2; i++) {
		static const char *const a[] = {"10.1.0.0/16", "2001:db8:1::/48"},
					 *const b[] = {"10.2.0.0/16", "2001:db8:2::/48"};

		assert_int_equal(ip_prefix_parse(ours ? a[i] : b[i], &here), 0);
		assert_int_equal(ip_prefix_parse(ours ? b[i] : a[i], &there), 0);
		sa.local_ts.s[sa.local_ts.n++] = selector_from_prefix(&here);
		sa.remote_ts.s[sa.remote_ts.n++] = selector_from_prefix(&there);
	}
	assert_int_equal(secret_set(&sa.encr_key, key, encr->key_len), 0);
	if (!encr->aead)
		assert_int_equal(
			secret_set(&sa.integ_key, key + 1, transform_find(&with->integ)->key_len),
			0);
	return sa;
}

struct esp_sa storm_sa_out(uint32_t spi, unsigned suite, bool udp)
{
	return make_sa(spi, suite, true, udp, true, false);
}

void clear_outbound(void)
{
	struct dp_sa_stats stats;

	if (dp_tunnel_out_stats(&core.dp, storm.tunnel, &stats) != 0)
		return;
	storm.sealed[storm.out_suite] += stats.packets;
	dp_tunnel_clear_out(&core.dp, storm.tunnel,
			    tunnel_sa(tunnel_get(&core.dp, storm.tunnel))->spi);
}

// All of the suites get their turn, one after the other.
void renew_outbound(void)
{
	const bool esn = below(2);
	const uint32_t which = below(4);
	struct esp_sa sa;
	struct sa_out *out;

	clear_outbound();
	storm.out_suite = storm.next_out++ % storm.n_suites;
	sa = make_sa(0x1000 + below(1000), storm.out_suite, esn, below(2), true, below(3) == 0);
	if (which == 0)
		sa.hard.packets = 1 + below(10);
	assert_int_equal(dp_tunnel_set_out(&core.dp, storm.tunnel, &sa, NULL), 0);
	out = tunnel_sa(tunnel_get(&core.dp, storm.tunnel));
	if (which == 1) // its last numbers, or those around 2^32
		atomic_store(&out->seq, UINT32_MAX - 1 - below(12));
}

// What the peer puts into a tunnel comes out as IP in IP, and what it forges as anything at all.
static void receive_in_transport_mode(struct esp_sa *sa, bool outer6)
{
	const char *const all = outer6 ? "::/0" : "0.0.0.0/0";
	struct ip_prefix any;

	assert_int_equal(ip_prefix_parse(all, &any), 0);
	sa->transport = true;
	sa->local_ts.n = sa->remote_ts.n = 1;
	sa->local_ts.s[0] = sa->remote_ts.s[0] = selector_from_prefix(&any);
	if (sa->udp_encap && below(2)) {
		sa->local_oa = sa->local.addr; // a NAT has changed the peer's address
		sa->remote_oa = core_addr(outer6 ? "2001:db8:9::9" : "198.51.100.9");
	}
}

// A new pair in the place of the old one: late packets of that find nothing.
void renew_inbound(unsigned i)
{
	const bool esn = below(2), udp = i & 1, outer6 = i & 2;
	const uint64_t start = below(4) != 0 ? 0 : esn ? UINT32_MAX - below(60) : below(1000000);
	struct esp_sa in, out;
	struct dp_sa_stats stats;

	if (storm.spi_in[i] != 0) {
		assert_int_equal(dp_sa_in_stats(&core.dp, storm.spi_in[i], &stats), 0);
		storm.opened[storm.in_suite[i]] += stats.packets;
		if (sad_lookup(core.dp.sad, storm.spi_in[i])->transport)
			storm.opened_transport += stats.packets;
		assert_int_equal(dp_sa_in_retire(&core.dp, storm.spi_in[i]), 0);
		esp_sa_fini(&storm.peer_sa[i]);
	}
	storm.in_suite[i] = storm.next_in++ % storm.n_suites;
	assert_int_equal(dp_sa_in_reserve(&core.dp, &storm.spi_in[i]), 0);
	in = make_sa(storm.spi_in[i], storm.in_suite[i], esn, udp, true, outer6);
	out = make_sa(storm.spi_in[i], storm.in_suite[i], esn, udp, false, outer6);
	storm.peer_sa[i] = make_sa(storm.spi_in[i], storm.in_suite[i], esn, udp, false, outer6);
	if (below(8) == 0)
		in.hard.packets = 1 + below(40);
	if (below(8) == 0)
		receive_in_transport_mode(&in, outer6);
	assert_int_equal(dp_sa_in_publish(&core.dp, storm.tunnel, &in, NULL), 0);
	assert_int_equal(dp_tunnel_set_out(&core.dp, storm.mirror[i], &out, NULL), 0);
	sad_lookup(core.dp.sad, storm.spi_in[i])->replay.top = start;
	atomic_store(&tunnel_sa(tunnel_get(&core.dp, storm.mirror[i]))->seq, start);
}

void storm_init(uint64_t seed)
{
	memset(&storm, 0, sizeof(storm));
	storm.rng = seed * 0x9e3779b97f4a7c15u + 1;
	storm.n_suites = esp_ref_suites(storm.suite, ESP_REF_SUITES_MAX);
	assert_int_equal(dp_tunnel_add(&core.dp, "ours", &storm.tunnel), 0);
	for (unsigned i = 0; i < STORM_PEERS; i++) {
		assert_int_equal(dp_tunnel_add(&core.dp, "mirror", &storm.mirror[i]), 0);
		renew_inbound(i);
	}
	renew_outbound();
}

void storm_fini(void)
{
	for (unsigned i = 0; i < STORM_PEERS; i++)
		esp_sa_fini(&storm.peer_sa[i]);
}

// ---- packets ----

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)below(256);
}

struct rte_mbuf *clear_packet(const char *src, const char *dst, bool bare)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP, 99};
	static const uint16_t ports[] = {53, 500, 4500, 4500};
	static uint8_t payload[1500];
	struct packet p = {
		.src = src,
		.dst = dst,
		.proto = protos[below(4)],
		.ttl = (uint8_t)(below(20) ? 64 : 1),
		.payload = payload,
		.payload_len = (uint16_t)(below(4) ? below(200) : below(1472)),
		.dst_port = ports[below(4)],
	};

	fill(payload, p.payload_len);
	if (below(3) == 0)
		p.frag = (uint16_t)(below(2) ? RTE_IPV4_HDR_DF_FLAG
					     : below(50) | (below(2) ? RTE_IPV4_HDR_MF_FLAG : 0));
	return bare ? core_bare(&p) : core_frame(&p);
}

struct rte_mbuf *clear_packet6(const char *src, const char *dst, bool bare)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMPV6, 59},
			     extensions[] = {0, 43, 44, 60};
	const uint16_t len = (uint16_t)(8 + (below(4) ? below(200) : below(1440)));
	const struct ip_addr from = core_addr(src), to = core_addr(dst);
	struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.pool);
	uint8_t *eth = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(14 + 40 + len)), *ip = eth + 14;
	uint8_t *next = ip + 6, *at = ip + 40;

	memcpy(eth, &core_port_mac[0], 6);
	memcpy(eth + 6, &core_host_mac, 6);
	memcpy(eth + 12, "\x86\xdd", 2);
	memset(ip, 0, 8);
	ip[0] = 0x60;
	ip[1] = (uint8_t)(below(4) << 4);
	ip[4] = (uint8_t)(len >> 8);
	ip[5] = (uint8_t)len;
	ip[7] = (uint8_t)(below(20) ? 64 : 1);
	memcpy(ip + 8, from.bytes, 16);
	memcpy(ip + 24, to.bytes, 16);
	fill(at, len);
	while (below(3) == 0 && at + 16 < ip + 40 + len) {
		*next = extensions[below(4)];
		next = at;
		if (below(8) != 0)
			at[1] = 0;
		at += 8;
	}
	*next = protos[below(4)];
	if (bare)
		rte_pktmbuf_adj(m, 14);
	return m;
}

struct rte_mbuf *genuine_esp(void)
{
	const unsigned i = below(STORM_PEERS);
	const bool inner6 = below(2);
	struct batch b = {.n = 0}, icmp = {.n = 0};
	struct rte_mbuf *m = inner6 ? clear_packet6("2001:db8:2::9", "2001:db8:1::9", true)
				    : clear_packet("10.2.0.9", "10.1.0.9", true);

	// It must fit, or it is cut and leaves by our own port.
	if (!inner6)
		rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->fragment_offset = 0;
	if (m->pkt_len > 1200) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	core_put(&b, m, 1, FROM_TAP);
	b.tunnel[0] = tunnel_get(&core.dp, storm.mirror[i]);
	esp_out(core.w, &b, &icmp);
	if (b.n == 0) // nobody can say what is in it: the peer's loss
		counter_add(&core.w->drops[DROP_OUT_SELECTOR], (uint64_t)-1);
	return b.n == 1 ? b.pkt[0] : NULL;
}

// An inner packet, or what is left of one; the trailer is most often right.
static size_t forged_text(uint8_t *text, size_t room, unsigned align)
{
	const bool inner6 = below(2);
	struct rte_mbuf *m = inner6 ? clear_packet6("2001:db8:2::9", "2001:db8:1::9", true)
				    : clear_packet("10.2.0.9", "10.1.0.9", true);
	size_t len = m->data_len < room - 300 ? m->data_len : room - 300, pad_len;

	memcpy(text, rte_pktmbuf_mtod(m, void *), len);
	rte_pktmbuf_free(m);
	for (unsigned i = below(4); i > 0; i--)
		text[below(below(2) ? 48 : (uint32_t)len) % len] ^= (uint8_t)(1u << below(8));
	if (below(6) == 0)
		len = below((uint32_t)len);
	if (below(6) == 0) { // RFC 4303 2.7
		const size_t more = below(100);

		fill(text + len, more);
		len += more;
	}
	pad_len = (align - (len + 2) % align) % align;
	for (size_t i = 0; i < pad_len; i++)
		text[len++] = (uint8_t)(i + 1);
	text[len++] = (uint8_t)(below(10) ? pad_len : below(256));
	text[len++] = (uint8_t)(below(10) ? (inner6 ? 41 : 4) : below(2) ? 59 : below(256));
	return len;
}

// The peer's next number, whoever of the two seals the packet.
struct rte_mbuf *forged_esp(void)
{
	const unsigned i = below(STORM_PEERS);
	const struct esp_sa *sa = &storm.peer_sa[i];
	const unsigned like = below(20) ? i : i ^ 1; // or in UDP where plain ESP is due
	const bool udp = like & 1, outer6 = like & 2;
	const struct sa_out *out = tunnel_sa(tunnel_get(&core.dp, storm.mirror[like]));
	const uint64_t seq =
		atomic_fetch_add(&tunnel_sa(tunnel_get(&core.dp, storm.mirror[i]))->seq, 1) + 1;
	const uint32_t spi_be = rte_cpu_to_be_32(storm.spi_in[i]),
		       seq_be = rte_cpu_to_be_32((uint32_t)seq);
	const unsigned head_len = esp_ref_head_len(sa), outer_len = out->outer_len;
	struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.pool);
	uint8_t esp[1900];
	const size_t text_len = forged_text(esp + head_len, 1500, esp_ref_align(sa));
	const size_t esp_len = head_len + text_len + esp_ref_icv_len(sa);
	const uint16_t behind_be = rte_cpu_to_be_16((uint16_t)(esp_len + (udp ? 8 : 0)));
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(outer_len + esp_len));

	memcpy(esp, &spi_be, 4);
	memcpy(esp + 4, &seq_be, 4);
	fill(esp + 8, head_len - 8);
	esp_ref_seal(sa, esp, text_len, seq);
	assert_non_null(p);
	memcpy(p, out->outer, outer_len);
	memcpy(p + outer_len, esp, esp_len);
	if (udp)
		memcpy(p + outer_len - 4, &behind_be, 2);
	if (outer6) {
		memcpy(p + 4, &behind_be, 2);
	} else {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)p;

		ip->total_length = rte_cpu_to_be_16((uint16_t)(outer_len + esp_len));
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	return m;
}

struct rte_mbuf *frame_for_us(struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth =
		(struct rte_ether_hdr *)(void *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);

	assert_non_null(eth);
	memcpy(&eth->dst_addr, &core_port_mac[1], 6);
	memcpy(&eth->src_addr, &core_gw_mac, 6);
	eth->ether_type =
		rte_cpu_to_be_16(ip_is_v6(eth + 1) ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	return m;
}

void mutate(struct rte_mbuf *m)
{
	const unsigned n = 1 + below(4);

	// The MAC address stays, or all of them end at the first look.
	for (unsigned i = 0; i < n && m->data_len > 12; i++)
		rte_pktmbuf_mtod(m, uint8_t *)[12 + below(m->data_len - 12u)] ^=
			(uint8_t)(1 + below(255));
	if (below(4) == 0)
		rte_pktmbuf_trim(m, (uint16_t)below(m->data_len));
	if (below(3) == 0 && m->data_len >= 34) { // with a checksum that is good again
		struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);

		ip->hdr_checksum = 0;
		if (14u + rte_ipv4_hdr_len(ip) <= m->data_len && rte_ipv4_hdr_len(ip) >= 20)
			ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
	}
}

struct rte_mbuf *garbage(void)
{
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9"};
	struct rte_mbuf *m = core_frame(&p);
	const uint16_t more = (uint16_t)below(300);

	fill((uint8_t *)rte_pktmbuf_append(m, more), more);
	fill(rte_pktmbuf_mtod(m, uint8_t *) + 12 + 2 * below(2), m->data_len - 14u);
	return m;
}
