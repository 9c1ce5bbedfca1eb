// Tunnel interfaces: routes choose the tunnel, selectors of several tunnels may be the same.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "dataplane/esp.h"
#include "dataplane/fib6.h"
#include "dataplane/iface.h"
#include "dataplane/policy.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

#define GW_1 "198.51.100.1" // the peer of tunnel 0, on interface RED
#define GW_2 "198.51.100.2" // of tunnel 1, on BLUE

enum { RED = DP_IFACE_FIRST, BLUE = DP_IFACE_FIRST + 1 };

static const uint8_t text[64] = "the payload";
static const struct source self = {.type = SOURCE_SELF};
static uint32_t tunnel[2], spi_in[2];

static struct selector everything(void)
{
	struct ip_prefix any;

	assert_int_equal(ip_prefix_parse("0.0.0.0/0", &any), 0);
	return selector_from_prefix(&any);
}

static struct selector everything6(void)
{
	struct ip_prefix any;

	assert_int_equal(ip_prefix_parse("::/0", &any), 0);
	return selector_from_prefix(&any);
}

static struct esp_sa sa_of(unsigned i, uint32_t spi)
{
	static const uint8_t key[20] = {1, 2, 3};
	struct esp_sa sa = {
		.spi = spi,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.local = {core_addr("192.0.2.1"), 0},
		.remote = {core_addr(i == 0 ? GW_1 : GW_2), 0},
		.local_ts = {2, {everything(), everything6()}},
		.remote_ts = {2, {everything(), everything6()}},
		.replay_window = 64,
	};

	assert_int_equal(secret_set(&sa.encr_key, key, sizeof(key)), 0);
	return sa;
}

// A device that nobody reads: what is for Linux stays in the ring towards it.
static void make_iface(unsigned number)
{
	struct iface *iface = calloc(1, sizeof(*iface));

	assert_non_null(iface);
	iface->fd = -1;
	iface->number = number;
	iface->name[0] = number == RED ? 'r' : 'b';
	atomic_store(&core.dp.ifaces->slot[number - DP_IFACE_FIRST], iface);
	core.dp.n_ifaces++;
}

// Two tunnels for everything, on an interface each.
static int setup(void **state)
{
	struct dp_policy p[2];
	int err = core_setup(state);

	for (unsigned i = 0; i < 2 && err == 0; i++) {
		struct esp_sa out = sa_of(i, 0x1000 + i), in;

		make_iface(RED + i);
		assert_int_equal(dp_tunnel_add(&core.dp, "t", &tunnel[i]), 0);
		assert_int_equal(dp_tunnel_bind(&core.dp, tunnel[i], RED + i), 0);
		assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel[i], &out, NULL), 0);
		assert_int_equal(dp_sa_in_reserve(&core.dp, &spi_in[i]), 0);
		in = sa_of(i, spi_in[i]);
		assert_int_equal(dp_sa_in_publish(&core.dp, tunnel[i], &in, NULL), 0);
		p[i] = (struct dp_policy){.action = DP_PROTECT,
					  .local = everything(),
					  .remote = everything(),
					  .tunnel = tunnel[i],
					  .iface = RED + i};
	}
	assert_int_equal(dp_policies_set(&core.dp, p, 2), 0);
	core_route("198.51.100.0/24", 1, "192.0.2.254");
	core_neigh(1, "192.0.2.254", &core_gw_mac);
	core_neigh(0, "10.1.0.9", &core_host_mac);
	return err;
}

static void step(struct rte_mbuf *m, unsigned port, enum batch_origin origin)
{
	struct batch *b = &core.w->self;

	core_put(b, m, port, origin);
	assert_int_equal(worker_step(core.w, &self), 1);
}

static void from_lan(const char *src, const char *dst)
{
	const struct packet p = {.src = src, .dst = dst, .payload = text, .payload_len = 64};

	step(core_frame(&p), 0, FROM_NIC);
}

// The ESP packet sent last, and nothing else; 0 when there is none. To which peer?
static uint32_t sent_to(void)
{
	struct rte_mbuf *m = core_sent(1);
	const struct rte_ipv4_hdr *ip;
	uint32_t to_be;

	if (m == NULL)
		return 0;
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	assert_int_equal(ip->next_proto_id, IPPROTO_ESP);
	to_be = ip->dst_addr;
	rte_pktmbuf_free(m);
	assert_null(core_sent(1));
	assert_null(core_sent(0));
	return to_be;
}

static struct dp_iface_info info_of(unsigned number)
{
	struct dp_iface_info info[2];

	assert_int_equal(dp_ifaces(&core.dp, info, 2), 2);
	return info[number - RED];
}

// ---- outbound ----

static void test_the_route_chooses_among_tunnels_for_everything(void **state)
{
	(void)state;
	core_route("10.2.0.0/16", RED, NULL);
	core_route("10.3.0.0/16", BLUE, "10.99.0.2"); // who the gateway is does not matter
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), core_be32(GW_1));
	from_lan("10.1.0.9", "10.3.0.9");
	assert_int_equal(sent_to(), core_be32(GW_2));
	core_route("10.2.0.0/16", BLUE, NULL); // moved while traffic runs
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), core_be32(GW_2));
	assert_int_equal(core_dropped_total(), 0);
	assert_int_equal(info_of(RED).out_packets, 1);
	assert_int_equal(info_of(BLUE).out_packets, 2);
	assert_int_equal(info_of(BLUE).out_bytes, 2 * (20 + 8 + 64));
}

static void test_without_a_route_no_tunnel_interface_takes_it(void **state)
{
	(void)state;
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped(DROP_NO_POLICY), 1);
}

// The policies of the ports are those of the ports: a rule that lets everything pass does not open
// a tunnel interface.
static void test_policies_of_the_ports_do_not_hold_on_it(void **state)
{
	(void)state;
	core_policy(DP_BYPASS); // the only one: RED has none now
	core_route("10.2.0.0/16", RED, NULL);
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped(DROP_NO_POLICY), 1);
}

// Two children on one interface: their selectors tell which, and neither's is nobody's.
static void test_selectors_choose_within_one_interface(void **state)
{
	struct dp_policy p[2] = {{.action = DP_PROTECT, .tunnel = tunnel[0], .iface = RED},
				 {.action = DP_PROTECT, .tunnel = tunnel[1], .iface = RED}};

	(void)state;
	p[0].local = p[1].local = everything();
	assert_int_equal(selector_parse("10.2.0.0/16", &p[0].remote), 0);
	assert_int_equal(selector_parse("10.3.0.0/16", &p[1].remote), 0);
	assert_int_equal(dp_policies_set(&core.dp, p, 2), 0);
	core_route("10.0.0.0/8", RED, NULL);
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), core_be32(GW_1));
	from_lan("10.1.0.9", "10.3.0.9");
	assert_int_equal(sent_to(), core_be32(GW_2));
	from_lan("10.1.0.9", "10.4.0.9");
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped(DROP_NO_POLICY), 1);
}

// What fits none of an interface's children is not for those of the next one.
static void test_policies_are_of_one_interface(void **state)
{
	struct dp_policy p[2] = {{.action = DP_PROTECT, .tunnel = tunnel[0], .iface = RED},
				 {.action = DP_PROTECT, .tunnel = tunnel[1], .iface = BLUE}};

	(void)state;
	p[0].local = p[1].local = p[1].remote = everything();
	assert_int_equal(selector_parse("10.2.0.0/16", &p[0].remote), 0);
	assert_int_equal(dp_policies_set(&core.dp, p, 2), 0);
	core_route("10.0.0.0/8", RED, NULL);
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), core_be32(GW_1));
	from_lan("10.1.0.9", "10.3.0.9");
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped(DROP_NO_POLICY), 1);
}

static void test_what_linux_routes_there_is_protected(void **state)
{
	const struct packet p = {.src = "10.99.0.1", .dst = "172.16.0.1"};

	(void)state;
	step(core_bare(&p), BLUE, FROM_TAP); // no route of ours leads there
	assert_int_equal(sent_to(), core_be32(GW_2));
	assert_int_equal(info_of(BLUE).out_packets, 1);
}

// The same flow on two interfaces in one batch: what was found for one does not hold for the other.
static void test_one_flow_on_two_interfaces_is_told_apart(void **state)
{
	const struct packet p = {.src = "10.99.0.1", .dst = "172.16.0.1"};
	struct batch in = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

	(void)state;
	core_put(&in, core_bare(&p), RED, FROM_TAP);
	core_put(&in, core_bare(&p), BLUE, FROM_TAP);
	policy_out(core.w, &in, &protect, &pass);
	assert_int_equal(protect.n, 2);
	assert_int_equal(protect.tunnel[0]->id, tunnel[0]);
	assert_int_equal(protect.tunnel[1]->id, tunnel[1]);
	core_free(&protect);
}

// Linux is told that its packet is too big, instead of the wire.
static void test_icmp_about_linuxs_own_packet_is_given_to_linux(void **state)
{
	const struct packet p = {
		.src = "10.1.0.1", .dst = "172.16.0.1", .frag = RTE_IPV4_HDR_DF_FLAG, .len = 1400};
	struct rte_mbuf *m;

	(void)state;
	step(core_bare(&p), RED, FROM_TAP);
	assert_int_equal(core_dropped(DROP_TOO_BIG), 1);
	assert_int_equal(worker_step(core.w, &self), 1);
	m = core_punted();
	assert_non_null(m);
	assert_int_equal(m->port, RED);
	assert_int_equal(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->next_proto_id,
			 IPPROTO_ICMP);
	rte_pktmbuf_free(m);
	assert_null(core_sent(0));
}

// IKE is let past the policies on a port; out of a tunnel interface nothing goes in clear.
static void test_ike_in_a_tunnel_interface_is_no_exception(void **state)
{
	struct packet p = {.src = "10.1.0.1", .dst = "172.16.0.1", .dst_port = 500};
	struct rte_mbuf *m = core_bare(&p);

	(void)state;
	rte_pktmbuf_mtod_offset(m, uint8_t *, 20)[0] = 500 >> 8; // source port
	rte_pktmbuf_mtod_offset(m, uint8_t *, 20)[1] = 500 & 0xff;
	step(m, RED, FROM_TAP);
	assert_int_equal(sent_to(), core_be32(GW_1));
}

static void test_garbage_of_linux_is_dropped(void **state)
{
	const struct packet p = {.src = "10.99.0.1", .dst = "172.16.0.1"};
	struct rte_mbuf *m = core_bare(&p);

	(void)state;
	*rte_pktmbuf_mtod(m, uint8_t *) = 0x60;
	step(m, RED, FROM_TAP);
	assert_int_equal(core_dropped(DROP_RX_MALFORMED), 1);
	m = core_bare(&p);
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - 10));
	step(m, RED, FROM_TAP);
	assert_int_equal(core_dropped(DROP_RX_MALFORMED), 2);
}

// The peer's address is routed into a tunnel: ESP does not go round and round.
static void test_esp_routed_into_a_tunnel_is_dropped(void **state)
{
	(void)state;
	core_route("10.2.0.0/16", RED, NULL);
	core_route(GW_1 "/32", BLUE, NULL);
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped_total(), 1);
	assert_int_equal(core_dropped(DROP_NO_ROUTE), 1); // esp_out finds no way to the peer
}

// A packet that was to leave by a port, and whose route has changed since it was asked about.
static void test_a_route_that_changes_on_the_way_does_not_leak(void **state)
{
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9"};
	struct batch b = {.n = 0};

	(void)state;
	core_route("10.2.0.0/16", RED, NULL);
	core_put(&b, core_bare(&p), 0, FROM_NIC);
	route(core.w, &b);
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped(DROP_TUNNEL_LOOP), 1);
}

// ---- inbound ----

// An SA's own ESP, received: what esp_out made of a packet from src to dst in that tunnel. Both
// directions have one key, so the SPI is all that is to be changed before it is made.
static void receive(unsigned i, const char *src, const char *dst)
{
	struct esp_sa out = sa_of(i, spi_in[i]);
	const struct packet p = {.src = src, .dst = dst, .payload = text, .payload_len = 64};
	struct batch b = {.n = 0}, icmp = {.n = 0};
	struct rte_mbuf *m;
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;

	assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel[i], &out, NULL), 0);
	core_put(&b, core_bare(&p), 0, FROM_NIC);
	b.tunnel[0] = tunnel_get(&core.dp, tunnel[i]);
	esp_out(core.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	m = b.pkt[0];
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	ip->src_addr = ip->dst_addr;
	ip->dst_addr = core_be32("192.0.2.1");
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	eth = (struct rte_ether_hdr *)(void *)rte_pktmbuf_prepend(m, sizeof(*eth));
	memcpy(&eth->dst_addr, &core_port_mac[1], 6);
	memcpy(&eth->src_addr, &core_gw_mac, 6);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	step(m, 1, FROM_NIC);
}

static void test_linux_sees_what_is_for_it_on_the_interface(void **state)
{
	struct rte_mbuf *m;

	(void)state;
	receive(1, "10.3.0.9", "10.1.0.1");
	m = core_punted();
	assert_non_null(m);
	assert_int_equal(m->port, BLUE);
	assert_int_equal(m->data_len, 20 + 8 + 64); // bare: no Ethernet header
	assert_int_equal(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->src_addr,
			 core_be32("10.3.0.9"));
	rte_pktmbuf_free(m);
	assert_int_equal(info_of(BLUE).in_packets, 1);
	assert_int_equal(info_of(BLUE).in_bytes, 20 + 8 + 64);
	assert_int_equal(info_of(RED).in_packets, 0);
}

static void test_transit_goes_to_the_lan(void **state)
{
	struct rte_mbuf *m;

	(void)state;
	receive(0, "10.2.0.9", "10.1.0.9");
	m = core_sent(0);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	assert_int_equal(core_dropped_total(), 0);
}

static void test_from_one_tunnel_into_another_but_not_back(void **state)
{
	(void)state;
	core_route("10.3.0.0/16", BLUE, NULL);
	receive(0, "10.2.0.9", "10.3.0.9");
	assert_int_equal(sent_to(), core_be32(GW_2));
	receive(1, "10.3.0.8", "10.3.0.9");
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped(DROP_TUNNEL_LOOP), 1);
}

// What an SA's place in a batch says is of what came out of a tunnel alone: for others it holds
// what was there before.
static void test_what_did_not_come_out_of_a_tunnel_makes_no_loop(void **state)
{
	static const enum batch_origin origin[] = {FROM_NIC, FROM_TAP, FROM_SELF, FROM_TUNNEL};
	const struct sa_in *sa = sad_lookup(core.dp.sad, spi_in[0]);
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9"};

	(void)state;
	core_route("10.2.0.0/16", RED, NULL);
	for (unsigned i = 0; i < 4; i++) {
		struct batch b = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

		core_put(&b, core_bare(&p), RED, origin[i]);
		b.sa[0] = (struct sa_in *)(uintptr_t)sa;
		policy_out(core.w, &b, &protect, &pass);
		assert_int_equal(protect.n, i < 3);
		assert_int_equal(core_dropped(DROP_TUNNEL_LOOP), i == 3);
		core_free(&protect);
	}
}

// RFC 4301 5.2: what ought to come out of a tunnel is not let in in clear.
static void test_clear_text_from_behind_the_interface_is_dropped(void **state)
{
	(void)state;
	core_route("10.2.0.0/16", RED, NULL);
	from_lan("10.2.0.9", "10.1.0.1");
	from_lan("10.2.0.9", "10.1.0.9");
	assert_int_equal(core_dropped(DROP_CLEAR_INBOUND), 2);
	assert_null(core_punted());
	core_policy(DP_BYPASS); // somebody says that it may
	from_lan("10.2.0.9", "10.1.0.1");
	assert_int_equal(core_dropped(DROP_CLEAR_INBOUND), 2);
	rte_pktmbuf_free(core_punted());
}

// A full tunnel does not stop the LAN's DHCP.
static void test_who_has_no_address_yet_is_heard(void **state)
{
	const struct packet p = {.src = "0.0.0.0", .dst = "255.255.255.255", .dst_port = 67};
	struct rte_mbuf *m;

	(void)state;
	core_route("0.0.0.0/0", RED, NULL);
	step(core_frame(&p), 0, FROM_NIC);
	m = core_punted();
	assert_non_null(m);
	rte_pktmbuf_free(m);
}

// ---- control ----

static void test_what_is_refused(void **state)
{
	struct dp_policy p = {.action = DP_BYPASS, .iface = RED};
	struct dp_route r = {.port = DP_IFACE_FIRST + 7};

	(void)state;
	p.local = p.remote = everything();
	assert_int_equal(dp_policies_set(&core.dp, &p, 1), -EINVAL);
	p = (struct dp_policy){.action = DP_PROTECT, .tunnel = tunnel[0], .iface = 3};
	p.local = p.remote = everything();
	assert_int_equal(dp_policies_set(&core.dp, &p, 1), -EINVAL); // a port
	assert_int_equal(dp_tunnel_bind(&core.dp, tunnel[0], 3), -EINVAL);
	assert_int_equal(dp_tunnel_bind(&core.dp, 4711, RED), -ENOENT);
	assert_int_equal(ip_prefix_parse("10.5.0.0/16", &r.dst), 0);
	assert_int_equal(dp_route_set(&core.dp, &r), -EINVAL); // no such interface
}

static void test_an_interface_that_goes_takes_its_routes_along(void **state)
{
	(void)state;
	core_route("10.0.0.0/8", BLUE, NULL);
	core_route("10.2.0.0/16", RED, NULL);
	assert_int_equal(dp_iface_find(&core.dp, "r"), RED);
	assert_int_equal(dp_iface_del(&core.dp, RED), 0);
	assert_int_equal(dp_iface_del(&core.dp, RED), -ENOENT);
	assert_int_equal(dp_iface_find(&core.dp, "r"), DP_IFACE_NONE);
	from_lan("10.1.0.9", "10.2.0.9"); // the shorter prefix counts now
	assert_int_equal(sent_to(), core_be32(GW_2));
}

// Packets of Linux that were under way when it went: no Ethernet header may be made of them.
static void test_late_packets_of_linux_do_not_leave_in_clear(void **state)
{
	const struct packet p = {.src = "10.99.0.1", .dst = "192.0.2.254"};

	(void)state;
	core_policy(DP_BYPASS);
	assert_int_equal(dp_iface_del(&core.dp, RED), 0);
	assert_int_equal(dp_iface_del(&core.dp, BLUE), 0);
	step(core_bare(&p), RED, FROM_TAP);
	assert_null(core_sent(0));
	assert_null(core_sent(1));
	assert_int_equal(core_dropped(DROP_NO_POLICY), 1);
}

static void test_the_inner_mtu_is_that_of_the_tightest_tunnel(void **state)
{
	(void)state;
	assert_int_equal(info_of(RED).inner_mtu, dp_tunnel_inner_mtu(&core.dp, tunnel[0]));
	assert_int_equal(info_of(RED).tunnels, 1);
	assert_int_equal(info_of(RED).up, 1);
	assert_int_equal(dp_tunnel_clear_out(&core.dp, tunnel[0], 0x1000), 0);
	assert_int_equal(info_of(RED).inner_mtu, 0);
	assert_int_equal(info_of(RED).up, 0);
}

// ---- IPv6 ----

#define HOST6 "2001:db8:1::9"
#define FAR6  "2001:db8:2::9"

// A bare packet with `next` behind its header, and a first byte behind that.
static struct rte_mbuf *bare6(const char *src, const char *dst, uint8_t next, uint8_t type,
			      uint16_t len)
{
	const struct ip_addr from = core_addr(src), to = core_addr(dst);
	struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.pool);
	uint8_t ip[1500] = {[4] = (uint8_t)((len - 40) >> 8), (uint8_t)(len - 40), next, 255};

	assert_non_null(m);
	ip[0] = 0x60;
	memcpy(ip + 8, from.bytes, 16);
	memcpy(ip + 24, to.bytes, 16);
	ip[40] = type;
	memcpy(rte_pktmbuf_append(m, len), ip, len);
	return m;
}

static void from_lan6(const char *src, const char *dst)
{
	struct rte_mbuf *m = bare6(src, dst, 59, 0, 100);
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(m, 14);

	memcpy(eth, &core_port_mac[0], 6);
	memcpy(eth + 6, &core_host_mac, 6);
	eth[12] = 0x86;
	eth[13] = 0xdd;
	step(m, 0, FROM_NIC);
}

// Policies of both interfaces and of a port, not in the order of their lists.
static void set_policies6(void)
{
	struct dp_policy p[5] = {
		{.action = DP_PROTECT, .tunnel = tunnel[1], .iface = BLUE},
		{.action = DP_PROTECT, .tunnel = tunnel[0], .iface = RED},
		{.action = DP_DISCARD},
		{.action = DP_PROTECT, .tunnel = tunnel[1], .iface = RED},
		{.action = DP_BYPASS},
	};

	for (unsigned i = 0; i < 5; i++)
		p[i].local = p[i].remote = everything6();
	assert_int_equal(selector_parse("2001:db8:66::/48", &p[2].remote), 0);
	assert_int_equal(dp_policies_set(&core.dp, p, 5), 0);
}

static void test_ipv6_is_routed_into_tunnels(void **state)
{
	(void)state;
	set_policies6();
	core_route("2001:db8:2::/48", RED, NULL);
	core_route("2001:db8:3::/48", BLUE, "fe80::1");
	from_lan6(HOST6, FAR6);
	assert_int_equal(sent_to(), core_be32(GW_1));
	from_lan6(HOST6, "2001:db8:3::9");
	assert_int_equal(sent_to(), core_be32(GW_2));
	core_route("2001:db8:2::/48", BLUE, NULL);
	from_lan6(HOST6, FAR6);
	assert_int_equal(sent_to(), core_be32(GW_2));
	assert_int_equal(core_dropped_total(), 0);
	assert_int_equal(info_of(RED).out_packets, 1);
	assert_int_equal(info_of(BLUE).out_bytes, 200);
	from_lan6(HOST6, "2001:db8:66::1"); // the port's rules, in their order
	assert_int_equal(core_dropped(DROP_POLICY_DISCARD), 1);
}

// Each family has a list of its own: the places in one do not count those of the other.
static void test_families_do_not_share_places(void **state)
{
	enum { N = 64 };
	struct dp_policy p[N];
	const struct policies *set;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		const bool v6 = i % 2 == 0, of_port = i % 4 < 2;

		p[i] = (struct dp_policy){.action = of_port ? DP_BYPASS : DP_PROTECT,
					  .tunnel = tunnel[0],
					  .iface = of_port ? DP_IFACE_NONE : RED};
		assert_int_equal(selector_parse(v6 ? "fd00:1::/48" : "10.1.0.0/16", &p[i].local),
				 0);
		assert_int_equal(selector_parse(v6 ? "fd00:2::/48" : "10.2.0.0/16", &p[i].remote),
				 0);
	}
	assert_int_equal(dp_policies_set(&core.dp, p, N), 0);
	set = atomic_load(&core.dp.policies);
	assert_int_equal(set->n, N / 4);
	assert_int_equal(set->iface_first[DP_IFACES_MAX], N / 2);
	core_route("10.2.0.0/16", RED, NULL);
	from_lan("10.1.0.9", "10.2.0.9");
	assert_int_equal(sent_to(), core_be32(GW_1));
}

static void test_ipv6_policies_are_of_one_interface(void **state)
{
	struct dp_policy p[2] = {
		{.action = DP_BYPASS, .local = everything6(), .remote = everything6()},
		{.action = DP_PROTECT,
		 .local = everything6(),
		 .remote = everything6(),
		 .tunnel = tunnel[1],
		 .iface = BLUE}};

	(void)state;
	assert_int_equal(dp_policies_set(&core.dp, p, 2), 0);
	core_route("2001:db8:2::/48", RED, NULL);
	from_lan6(HOST6, FAR6);
	assert_int_equal(sent_to(), 0);
	assert_int_equal(core_dropped(DROP_NO_POLICY), 1);
	p[0].iface = RED; // nothing leaves a tunnel interface in clear
	assert_int_equal(dp_policies_set(&core.dp, p, 2), -EINVAL);
}

// Multicast and link-local too: routing protocols speak so.
static void test_ipv6_of_linux_is_protected(void **state)
{
	static const char *const to[] = {FAR6, "ff02::5", "fe80::2"};

	(void)state;
	set_policies6();
	for (unsigned i = 0; i < 3; i++) {
		step(bare6("fe80::1", to[i], 89, 0, 100), BLUE, FROM_TAP);
		assert_int_equal(sent_to(), core_be32(GW_2));
	}
	assert_int_equal(info_of(BLUE).out_packets, 3);
}

static void test_ipv6_flow_on_two_interfaces_is_told_apart(void **state)
{
	struct batch in = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

	(void)state;
	set_policies6();
	core_put(&in, bare6(HOST6, FAR6, 59, 0, 100), RED, FROM_TAP);
	core_put(&in, bare6(HOST6, FAR6, 59, 0, 100), BLUE, FROM_TAP);
	policy_out(core.w, &in, &protect, &pass);
	assert_int_equal(protect.n, 2);
	assert_int_equal(protect.tunnel[0]->id, tunnel[0]);
	assert_int_equal(protect.tunnel[1]->id, tunnel[1]);
	core_free(&protect);
}

// What is dropped between two packets of one flow does not make them go the same way.
static void test_ipv6_malformed_packet_between_two_interfaces(void **state)
{
	struct batch in = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

	(void)state;
	set_policies6();
	core_put(&in, bare6(HOST6, FAR6, 59, 0, 100), RED, FROM_TAP);
	core_put(&in, bare6(HOST6, FAR6, 0, 59, 41), BLUE, FROM_TAP); // an option that is cut off
	core_put(&in, bare6(HOST6, FAR6, 59, 0, 100), BLUE, FROM_TAP);
	policy_out(core.w, &in, &protect, &pass);
	assert_int_equal(core_dropped(DROP_RX_MALFORMED), 1);
	assert_int_equal(protect.n, 2);
	assert_int_equal(protect.tunnel[0]->id, tunnel[0]);
	assert_int_equal(protect.tunnel[1]->id, tunnel[1]);
	core_free(&protect);
}

static void test_ipv6_too_big_of_linux_is_given_to_linux(void **state)
{
	struct rte_mbuf *m;

	(void)state;
	set_policies6();
	step(bare6("2001:db8::1", FAR6, 59, 0, 1400), RED, FROM_TAP);
	assert_int_equal(core_dropped(DROP_TOO_BIG), 1);
	assert_int_equal(worker_step(core.w, &self), 1);
	m = core_punted();
	assert_non_null(m);
	assert_int_equal(m->port, RED);
	assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[40], 2);
	rte_pktmbuf_free(m);
}

static void test_ipv6_never_leaks(void **state)
{
	struct batch b = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};
	const struct sa_in *sa = sad_lookup(core.dp.sad, spi_in[0]);

	(void)state;
	set_policies6();
	core_route("2001:db8:2::/48", RED, NULL);
	core_put(&b, bare6(HOST6, FAR6, 59, 0, 100), 0, FROM_NIC);
	route(core.w, &b); // its route has just changed
	assert_int_equal(core_dropped(DROP_TUNNEL_LOOP), 1);
	core_put(&b, bare6(HOST6, FAR6, 59, 0, 100), RED, FROM_TUNNEL);
	b.sa[0] = (struct sa_in *)(uintptr_t)sa;
	policy_out(core.w, &b, &protect, &pass); // back into the tunnel it came out of
	assert_int_equal(core_dropped(DROP_TUNNEL_LOOP), 2);
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
	from_lan6(FAR6, HOST6);
	assert_int_equal(core_dropped(DROP_CLEAR_INBOUND), 1);
}

// The ends of a tunnel interface are a link; its neighbour discovery is nobody's.
static void test_ipv6_of_the_link_comes_out_on_the_interface(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t next, type;
		bool local;
	} rows[] = {
		{"fe80::2", "ff02::5", 89, 0, true},
		{"fe80::2", "fe80::1", 89, 0, true},
		{"fe80::2", "2001:db8::1", 89, 0, true},
		{"fe80::2", HOST6, 89, 0, false},
		{"::", "ff02::1", 89, 0, false},
		{"fe80::2", "ff02::1", 58, 134, false}, // a router advertisement
		{"fe80::2", "fe80::1", 58, 136, false},
		{FAR6, "2001:db8::1", 58, 135, false},
		{FAR6, "2001:db8::1", 58, 128, true},
	};
	struct sorted s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct batch b = {.n = 0};

		s.local.n = s.transit.n = 0;
		core_put(&b, bare6(rows[i].src, rows[i].dst, rows[i].next, rows[i].type, 100), RED,
			 FROM_TUNNEL);
		classify_inner(core.w, &b, &s);
		if (s.local.n != rows[i].local || s.transit.n != 0)
			fail_msg("row %zu", i);
		core_free(&s.local);
	}
}

// The default route into a tunnel is no way to who has no address yet (RFC 4862 5.4).
static void test_ipv6_without_an_address_is_heard(void **state)
{
	static const char *const src[] = {"::", "2001:db8:2::9"};

	(void)state;
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
	core_route("::/0", RED, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct batch b = {.n = 0};

		core_put(&b, bare6(src[i], "ff02::2", 59, 0, 100), 0, FROM_NIC);
		policy_in_clear(core.w, &b);
		assert_int_equal(b.n, i == 0);
		assert_int_equal(core_dropped(DROP_CLEAR_INBOUND), i);
		core_free(&b);
	}
}

static void test_ipv6_routes_go_with_the_interface(void **state)
{
	struct fib6_hop hop;

	(void)state;
	core_route("2001:db8:2::/48", RED, NULL);
	core_route("2001:db8:3::/48", BLUE, NULL);
	assert_int_equal(fib6_lookup(core.dp.fib6, core_addr(FAR6).bytes, &hop), FIB_IFACE);
	assert_int_equal(hop.port, RED);
	assert_int_equal(fib6_route_mtu(&core.dp, core_addr(FAR6).bytes), 0);
	fib_forget_iface(&core.dp, RED);
	assert_int_equal(fib6_lookup(core.dp.fib6, core_addr(FAR6).bytes, &hop), FIB_NO_ROUTE);
	assert_int_equal(fib6_lookup(core.dp.fib6, core_addr("2001:db8:3::1").bytes, &hop),
			 FIB_IFACE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_the_route_chooses_among_tunnels_for_everything),
		T(test_without_a_route_no_tunnel_interface_takes_it),
		T(test_policies_of_the_ports_do_not_hold_on_it),
		T(test_selectors_choose_within_one_interface),
		T(test_policies_are_of_one_interface),
		T(test_what_linux_routes_there_is_protected),
		T(test_one_flow_on_two_interfaces_is_told_apart),
		T(test_icmp_about_linuxs_own_packet_is_given_to_linux),
		T(test_ike_in_a_tunnel_interface_is_no_exception),
		T(test_garbage_of_linux_is_dropped),
		T(test_esp_routed_into_a_tunnel_is_dropped),
		T(test_a_route_that_changes_on_the_way_does_not_leak),
		T(test_linux_sees_what_is_for_it_on_the_interface),
		T(test_transit_goes_to_the_lan),
		T(test_from_one_tunnel_into_another_but_not_back),
		T(test_what_did_not_come_out_of_a_tunnel_makes_no_loop),
		T(test_clear_text_from_behind_the_interface_is_dropped),
		T(test_who_has_no_address_yet_is_heard),
		T(test_what_is_refused),
		T(test_an_interface_that_goes_takes_its_routes_along),
		T(test_late_packets_of_linux_do_not_leave_in_clear),
		T(test_the_inner_mtu_is_that_of_the_tightest_tunnel),
		T(test_ipv6_is_routed_into_tunnels),
		T(test_families_do_not_share_places),
		T(test_ipv6_policies_are_of_one_interface),
		T(test_ipv6_of_linux_is_protected),
		T(test_ipv6_flow_on_two_interfaces_is_told_apart),
		T(test_ipv6_malformed_packet_between_two_interfaces),
		T(test_ipv6_too_big_of_linux_is_given_to_linux),
		T(test_ipv6_never_leaks),
		T(test_ipv6_of_the_link_comes_out_on_the_interface),
		T(test_ipv6_without_an_address_is_heard),
		T(test_ipv6_routes_go_with_the_interface),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
