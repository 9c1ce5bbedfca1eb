// First stage: which way does a received packet go?
#include "dataplane/stages.h"

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/dp_internal.h"
#include "dataplane/esp_transport.h"
#include "dataplane/fib.h"
#include "dataplane/flow6.h"
#include "dataplane/icmp6.h"
#include "dataplane/pmtu.h"
#include "dataplane/port.h"
#include "dataplane/reass.h"
#include "dataplane/vlan.h"
#include "lib/ike_wire.h"

static const struct rte_ipv4_hdr *ip_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
}

// Checks the header (RFC 1812 5.2.2) and cuts off what an Ethernet frame is padded with.
static bool trim_ipv4(struct rte_mbuf *m, bool checksum)
{
	const struct rte_ipv4_hdr *ip = ip_of(m);
	uint16_t header_len, len;

	if (m->data_len < sizeof(*ip) || ip->version_ihl >> 4 != 4)
		return false;
	header_len = rte_ipv4_hdr_len(ip);
	len = rte_be_to_cpu_16(ip->total_length);
	if (header_len < sizeof(*ip) || len < header_len || len > m->data_len)
		return false;
	if (checksum && rte_raw_cksum(ip, header_len) != 0xffff)
		return false;
	m->data_len = len;
	m->pkt_len = len;
	return true;
}

// Addresses that no packet on a wire may carry (RFC 1812 5.3.7).
static bool is_martian(const struct rte_ipv4_hdr *ip)
{
	const uint32_t src = rte_be_to_cpu_32(ip->src_addr), dst = rte_be_to_cpu_32(ip->dst_addr);

	return src >> 24 == 127 || dst >> 24 == 127 || src >= INADDR_UNSPEC_GROUP;
}

static bool is_fragment(const struct rte_ipv4_hdr *ip)
{
	return (ip->fragment_offset &
		rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG)) != 0;
}

// False: the packet has been taken, until it is whole.
static bool put_together(struct worker *w, struct batch *in, uint16_t i)
{
	const struct rte_ipv4_hdr *ip = ip_of(in->pkt[i]);
	const unsigned owner = reass_owner(w->dp, ip);
	struct rte_mbuf *m;

	if (owner != w->id) {
		worker_handover(w, owner, in->pkt[i], in->port[i]);
		return false;
	}
	m = reass_put(w, in->pkt[i], false);
	if (!m)
		return false;
	in->pkt[i] = m;
	return true;
}

// UDP to one of our own addresses.
static void classify_own_udp(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	struct rte_mbuf *m = in->pkt[i];
	const struct rte_ipv4_hdr *ip = ip_of(m);
	const uint16_t header_len = rte_ipv4_hdr_len(ip);
	const uint8_t *payload = (const uint8_t *)ip + header_len + sizeof(struct rte_udp_hdr);
	const int payload_len = m->data_len - header_len - (int)sizeof(struct rte_udp_hdr);
	uint16_t port;

	if (payload_len < 0) {
		batch_append(&s->local, in, i);
		return;
	}
	port = rte_be_to_cpu_16(((const struct rte_udp_hdr *)(payload - 8))->dst_port);
	if (port == IKE_PORT)
		batch_append(&s->punt, in, i);
	else if (port != IKE_NATT_PORT)
		batch_append(&s->local, in, i);
	else if (payload_len == 1 && payload[0] == 0xff)
		drop(w, m, DROP_NATT_KEEPALIVE); // RFC 3948 2.3
	else if (payload_len < 4)
		drop(w, m, DROP_ESP_MALFORMED);
	else if ((payload[0] | payload[1] | payload[2] | payload[3]) == 0)
		batch_append(&s->punt, in, i); // RFC 3948 2.2: IKE behind the non-ESP marker
	else
		batch_append(&s->esp, in, i);
}

// A packet of a NIC to one of our own addresses.
static void classify_own(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	const struct rte_ipv4_hdr *ip = ip_of(in->pkt[i]);
	const uint8_t proto = ip->next_proto_id;

	// RFC 4303 3.4.1: ESP takes whole packets only. In UDP only the first fragment shows
	// whether it is ESP.
	if ((proto == IPPROTO_UDP || proto == IPPROTO_ESP) && is_fragment(ip) &&
	    !put_together(w, in, i))
		return;
	if (proto == IPPROTO_UDP) {
		classify_own_udp(w, in, i, s);
	} else if (proto == IPPROTO_ESP) {
		batch_append(&s->esp, in, i);
	} else {
		if (proto == IPPROTO_ICMP)
			pmtu_hear(w, in->pkt[i]);
		batch_append(&s->local, in, i);
	}
}

// A NIC that has looked at the header's checksum and found it good spares us the sum.
static bool is_checksum_known(const struct worker *w, const struct batch *in, uint16_t i)
{
	return w->dp->ports[in->port[i]].rx_checksum &&
	       (in->pkt[i]->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

static void classify_ipv4(struct worker *w, struct batch *in, uint16_t i, bool group_mac,
			  struct sorted *s)
{
	struct rte_mbuf *m = in->pkt[i];
	const struct rte_ipv4_hdr *ip;

	rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
	ip = ip_of(m);
	if (!trim_ipv4(m, !is_checksum_known(w, in, i)) || is_martian(ip)) {
		drop(w, m, DROP_RX_MALFORMED);
	} else if (fib_is_local(w->dp->fib, ip->dst_addr)) {
		classify_own(w, in, i, s);
	} else if (group_mac || rte_be_to_cpu_32(ip->dst_addr) >= INADDR_UNSPEC_GROUP ||
		   ip->dst_addr == 0) {
		// RFC 1812 5.3.4: what was broadcast on the link is never forwarded.
		batch_append(&s->local, in, i);
	} else {
		batch_append(&s->transit, in, i);
	}
}

static bool is_linklocal6(const uint8_t *addr)
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

static bool is_unspecified6(const uint8_t *addr)
{
	return addr6_load(addr) == 0;
}

// Addresses that no packet on a wire may carry (RFC 4291 2.5.2, 2.5.3, 2.7).
static bool is_martian6(const uint8_t *ip)
{
	return ip[IPV6_SRC_AT] == 0xff || addr6_load(ip + IPV6_SRC_AT) == 1 ||
	       addr6_load(ip + IPV6_DST_AT) <= 1;
}

// Of the link alone, and so Linux's: it never forwards these. What else it might forward is never
// given to it: the packets would leave in clear around every policy.
static bool is_of_link6(const uint8_t *ip)
{
	return ip[IPV6_DST_AT] == 0xff || is_linklocal6(ip + IPV6_DST_AT);
}

// Checks the length and cuts off what an Ethernet frame is padded with.
static bool trim_ipv6(struct rte_mbuf *m)
{
	const size_t len = ipv6_packet_len(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);

	if (len == 0)
		return false;
	m->data_len = (uint16_t)len;
	m->pkt_len = m->data_len;
	return true;
}

// punt() puts the Ethernet header back that every packet has in its headroom.
static void punt_whole(struct batch *in, uint16_t i, struct sorted *s)
{
	rte_pktmbuf_adj(in->pkt[i], RTE_ETHER_HDR_LEN);
	batch_append(&s->punt, in, i);
}

// Is it ESP, bare or in UDP? In transport mode it may stand behind extension headers of the packet.
static bool is_esp6(const uint8_t *ip, unsigned len, bool *keepalive)
{
	const uint8_t *udp, *data;
	struct esp_front front;

	*keepalive = false;
	if (!esp_transport_front6(ip, len, &front))
		return false;
	if (front.next == IPPROTO_ESP)
		return true;
	udp = ip + front.len;
	data = udp + 8;
	len -= front.len;
	if (len < 9 || (udp[2] << 8 | udp[3]) != IKE_NATT_PORT)
		return false;
	*keepalive = len == 9 && data[0] == 0xff; // RFC 3948 2.3
	return *keepalive || len < 12 || (data[0] | data[1] | data[2] | data[3]) != 0;
}

// A fragment of ESP or UDP, whose fragment header is the only extension header. What has one and is
// whole (RFC 6946) waits for nobody.
static bool is_fragment6(const uint8_t *ip, unsigned len)
{
	return ip[6] == IPPROTO_FRAGMENT && len >= IPV6_HDR_LEN + 8 &&
	       (flow_load16(ip + IPV6_HDR_LEN + 2) & 0xfff9) != 0 &&
	       (ip[IPV6_HDR_LEN] == IPPROTO_ESP || ip[IPV6_HDR_LEN] == IPPROTO_UDP);
}

// False: the packet has been taken, until it is whole.
static bool put_together6(struct worker *w, struct batch *in, uint16_t i)
{
	const unsigned owner = reass6_owner(w->dp, rte_pktmbuf_mtod(in->pkt[i], const uint8_t *));
	struct rte_mbuf *m;

	if (owner != w->id) {
		worker_handover(w, owner, in->pkt[i], in->port[i]);
		return false;
	}
	m = reass6_put(w, in->pkt[i], false);
	if (!m)
		return false;
	in->pkt[i] = m;
	return true;
}

// A packet of a NIC to one of our own addresses, bare and whole.
static void classify_own6(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	const uint8_t *ip = rte_pktmbuf_mtod(in->pkt[i], const uint8_t *);
	bool keepalive;

	// RFC 4303 3.4.1, as with IPv4.
	if (is_fragment6(ip, in->pkt[i]->data_len)) {
		if (!put_together6(w, in, i))
			return;
		ip = rte_pktmbuf_mtod(in->pkt[i], const uint8_t *);
	}
	if (is_esp6(ip, in->pkt[i]->data_len, &keepalive)) {
		if (keepalive)
			drop(w, in->pkt[i], DROP_NATT_KEEPALIVE);
		else
			batch_append(&s->esp, in, i);
	} else if (icmp6_is_nd(ip, in->pkt[i]->data_len)) {
		batch_append(&s->punt, in, i);
	} else {
		if (ip[6] == IPPROTO_ICMPV6)
			pmtu6_hear(w, in->pkt[i]);
		batch_append(&s->local, in, i);
	}
}

static void classify_ipv6(struct worker *w, struct batch *in, uint16_t i, bool group_mac,
			  struct sorted *s)
{
	struct rte_mbuf *m = in->pkt[i];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *) + RTE_ETHER_HDR_LEN;

	if (m->data_len < RTE_ETHER_HDR_LEN + IPV6_HDR_LEN) {
		drop_frame(w, m, DROP_RX_MALFORMED);
	} else if (is_of_link6(ip)) {
		punt_whole(in, i, s);
	} else {
		rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
		if (!trim_ipv6(m) || is_martian6(ip))
			drop(w, m, DROP_RX_MALFORMED);
		else if (fib_is_local6(w->dp->fib, ip + IPV6_DST_AT))
			classify_own6(w, in, i, s);
		else if (group_mac || is_linklocal6(ip + IPV6_SRC_AT) ||
			 is_unspecified6(ip + IPV6_SRC_AT))
			drop(w, m, DROP_RX_SCOPE); // RFC 4291 2.5.2, 2.5.6
		else
			batch_append(&s->transit, in, i);
	}
}

static void classify_frame(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	struct rte_mbuf *m = in->pkt[i];
	const struct rte_ether_hdr *eth;
	const struct port *port;
	bool group_mac;

	if (m->nb_segs > 1 && rte_pktmbuf_linearize(m) != 0) {
		drop_frame(w, m, DROP_NO_MBUF);
		return;
	}
	if (m->data_len < RTE_ETHER_HDR_LEN) {
		drop_frame(w, m, DROP_RX_MALFORMED);
		return;
	}
	if (!vlan_rx(w, in, i))
		return;
	m = in->pkt[i];
	port = &w->dp->ports[in->port[i]];
	eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	group_mac = rte_is_multicast_ether_addr(&eth->dst_addr);
	// Our own source address: the interface underneath spoke, not the link.
	if ((!group_mac && memcmp(&eth->dst_addr, port->mac.bytes, RTE_ETHER_ADDR_LEN) != 0) ||
	    memcmp(&eth->src_addr, port->mac.bytes, RTE_ETHER_ADDR_LEN) == 0)
		drop_frame(w, m, DROP_RX_OTHER_MAC);
	else if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
		classify_ipv4(w, in, i, group_mac, s);
	else if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6))
		classify_ipv6(w, in, i, group_mac, s);
	else
		punt_whole(in, i, s);
}

// What Linux routes to a tunnel interface: bare IP packets.
static void classify_tun(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	struct rte_mbuf *m = in->pkt[i];

	if (m->data_len > 0 && ip_is_v6(rte_pktmbuf_mtod(m, const void *)) ? trim_ipv6(m)
									   : trim_ipv4(m, false))
		batch_append(&s->out, in, i);
	else
		drop(w, m, DROP_RX_MALFORMED);
}

// Does a packet of Linux leave whatever the policies say? Multicast and link-local ones are of the
// link, and without ND no neighbour would be found.
static bool leaves_at_once6(const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *) + RTE_ETHER_HDR_LEN;

	return m->data_len >= RTE_ETHER_HDR_LEN + IPV6_HDR_LEN &&
	       (is_of_link6(ip) || icmp6_is_nd(ip, m->data_len - RTE_ETHER_HDR_LEN));
}

// Frames that Linux sends: IP is asked about, the rest (ARP, ND) leaves as it is.
static void classify_tap(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	struct rte_mbuf *m = in->pkt[i];
	uint16_t type_be;
	bool good;

	if (m->data_len < RTE_ETHER_HDR_LEN) {
		drop_frame(w, m, DROP_RX_MALFORMED);
		return;
	}
	type_be = rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type;
	if ((type_be != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) &&
	     type_be != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6)) ||
	    (type_be == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) && leaves_at_once6(m))) {
		tx_put(w, in->port[i], m);
		return;
	}
	rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
	good = type_be == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ? trim_ipv4(m, false)
								: trim_ipv6(m);
	if (good)
		batch_append(&s->out, in, i);
	else
		drop(w, m, DROP_RX_MALFORMED);
}

static void classify_handed_over(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	const struct rte_mbuf *m = in->pkt[i];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	in->origin[i] = FROM_NIC;
	in->from_linux[i] = false;
	if (ip_is_v6(ip) && is_fragment6(ip, m->data_len))
		classify_own6(w, in, i, s);
	else if (!ip_is_v6(ip) && is_fragment(ip_of(m)))
		classify_own(w, in, i, s);
	else
		batch_append(&s->esp, in, i);
}

// A bare packet of our own: an ICMP error, which may be about Linux's packet.
static void classify_self(struct worker *w, struct batch *in, uint16_t i, struct sorted *s)
{
	const uint8_t *ip = rte_pktmbuf_mtod(in->pkt[i], const uint8_t *);
	const bool own = ip_is_v6(ip) ? fib_is_local6(w->dp->fib, ip + IPV6_DST_AT)
				      : fib_is_local(w->dp->fib, ip_of(in->pkt[i])->dst_addr);

	batch_append(own ? &s->punt : &s->out, in, i);
}

void classify(struct worker *w, struct batch *in, struct sorted *s)
{
	s->punt.n = s->local.n = s->transit.n = s->esp.n = s->out.n = 0;
	for (uint16_t i = 0; i < in->n; i++) {
		switch (in->origin[i]) {
		case FROM_NIC:
			classify_frame(w, in, i, s);
			break;
		case FROM_TAP:
			if (in->port[i] >= DP_IFACE_FIRST)
				classify_tun(w, in, i, s);
			else
				classify_tap(w, in, i, s);
			break;
		case FROM_TUNNEL: // handed over by the worker that received it: ESP, a fragment
			classify_handed_over(w, in, i, s);
			break;
		default:
			classify_self(w, in, i, s);
			break;
		}
	}
	in->n = 0;
}

static void classify_inner4(struct worker *w, struct batch *esp, uint16_t i, struct sorted *s)
{
	const struct rte_ipv4_hdr *ip = ip_of(esp->pkt[i]);

	if (rte_raw_cksum(ip, rte_ipv4_hdr_len(ip)) != 0xffff || is_martian(ip))
		drop(w, esp->pkt[i], DROP_ESP_INNER);
	else if (fib_is_local(w->dp->fib, ip->dst_addr) ||
		 rte_be_to_cpu_32(ip->dst_addr) >= INADDR_UNSPEC_GROUP)
		batch_append(&s->local, esp, i);
	else
		batch_append(&s->transit, esp, i);
}

// Nothing of another site's link is ours: ND out of a tunnel would pass for a neighbour's here. The
// two ends of a tunnel interface are a link of their own, which has no ND.
static void classify_inner6(struct worker *w, struct batch *esp, uint16_t i, struct sorted *s)
{
	const struct rte_mbuf *m = esp->pkt[i];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	const bool link = is_of_link6(ip), own = fib_is_local6(w->dp->fib, ip + IPV6_DST_AT);
	const bool may_be_of_link = esp->port[i] >= DP_IFACE_FIRST && (link || own);

	if (is_martian6(ip) || is_unspecified6(ip + IPV6_SRC_AT) ||
	    ((link || is_linklocal6(ip + IPV6_SRC_AT)) && !may_be_of_link) ||
	    ((link || own) && icmp6_is_nd(ip, m->data_len)))
		drop(w, esp->pkt[i], DROP_ESP_INNER);
	else
		batch_append(link || own ? &s->local : &s->transit, esp, i);
}

void classify_inner(struct worker *w, struct batch *esp, struct sorted *s)
{
	for (uint16_t i = 0; i < esp->n; i++) {
		if (ip_is_v6(rte_pktmbuf_mtod(esp->pkt[i], const void *)))
			classify_inner6(w, esp, i, s);
		else
			classify_inner4(w, esp, i, s);
	}
	esp->n = 0;
}
