// The only door between control and dataplane: ports, SAs, tunnels, policies, routes, events
// and counters.
//
// Threads:   every call is made by the one control thread. Nothing here blocks on a worker:
//            tables change by storing a pointer, memory is freed once every worker has been
//            quiescent (rte_rcu_qsbr), deferred to dp_housekeeping.
// Ownership: inputs are borrowed and copied unless a call says that it takes them.
// Errors:    0 or -errno; on error nothing has changed. Calls with a `struct error *` say in a
//            sentence what is wrong, where and what to do.
// Order:     dp_start first, dp_stop last and once per process (EAL cannot start twice).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/drop.h"
#include "lib/addr.h"
#include "lib/error.h"
#include "lib/esp_sa.h"
#include "lib/ike_cookie.h"
#include "lib/packet_filter.h"
#include "lib/selector.h"

#define DP_PORTS_MAX   16
#define DP_WORKERS_MAX 64
#define DP_NAME_MAX    64
#define DP_TUNNEL_NONE UINT32_MAX
// Ports and tunnel interfaces share one range of numbers: ports come first, tunnel interfaces from
// DP_IFACE_FIRST on. So 0 can stand for "no tunnel interface".
#define DP_IFACE_FIRST DP_PORTS_MAX
#define DP_IFACES_MAX  1024
#define DP_IFACE_NONE  0

struct dp; // one per process

// ---- start and stop ----

enum dp_poll { DP_POLL_ADAPTIVE, DP_POLL_BUSY };
enum dp_hugepages { DP_HUGEPAGES_AUTO, DP_HUGEPAGES_ON, DP_HUGEPAGES_OFF };

struct dp_port_params {
	const char *name;   // also the name of the TAP in Linux, under IFNAMSIZ bytes
	const char *device; // PCI address or DPDK device string
	uint16_t mtu;	    // bytes of IP packet
	uint16_t vlan; // 802.1Q tag of its frames, 0: none. Ports with the same `device` share it
	bool tap;      // false: no TAP, what would be punted is dropped (benchmarks)
};

struct dp_params {
	const struct dp_port_params *ports;
	unsigned n_ports;
	unsigned workers;
	const uint16_t *cpus; // pinned one worker each; n_cpus 0: not pinned
	unsigned n_cpus;
	enum dp_poll poll;
	enum dp_hugepages hugepages;
	bool clamp_mss; // lower the MSS of TCP SYNs to what fits the tunnel they go through
	unsigned memory_mb;
	const char *file_prefix; // of EAL, unique on the machine
	const char *eal_args;	 // further arguments, separated by blanks; "" for none
};

// Starts EAL, ports, TAPs (up, with the port's MAC address; addresses are the caller's work),
// the punt thread and the workers. Forwarding is on when it returns, with no route, policy or
// SA: everything is dropped but what is for Linux.
int dp_start(const struct dp_params *params, struct dp **out, struct error *err);
// Stops the workers, frees everything, wipes keys, takes the TAPs away and removes EAL's files.
void dp_stop(struct dp *dp);

// True when hugepages are in use. Otherwise *why says in a sentence what that costs.
bool dp_has_hugepages(const struct dp *dp, const char **why);

// Who keeps what strangers send to IKE apart from the rest, in the last receive queue of a device.
enum dp_ike_queue {
	DP_IKE_QUEUE_NONE,   // nobody
	DP_IKE_QUEUE_FILTER, // Linux, by a filter of ours
	DP_IKE_QUEUE_FLOW,   // the NIC, by rules: all that comes to UDP 500
};

struct dp_port_info {
	const char *name, *device, *driver;
	struct mac_addr mac;
	uint16_t mtu;	    // bytes of IP packet
	uint16_t vlan;	    // 0: untagged
	uint16_t rx_queues; // of the device, dealt out to the workers
	enum dp_ike_queue ike_queue;
	bool link_up;
	uint32_t link_mbps;				     // 0 when unknown
	unsigned tap_ifindex;				     // 0 without TAP
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes; // bytes of Ethernet frame
	uint64_t rx_missed, rx_errors, tx_errors; // of the device, also where ports share it
	uint64_t punt_packets, from_linux_packets;
};

unsigned dp_port_count(const struct dp *dp);
int dp_port_info(const struct dp *dp, unsigned port, struct dp_port_info *out); // -ENOENT
// Calls `fn` for each counter that the port's driver has, under the driver's names. -ENOENT,
// -ENOMEM, and what the driver says.
int dp_port_xstats(const struct dp *dp, unsigned port,
		   void (*fn)(void *ctx, const char *name, uint64_t value), void *ctx);

// ---- what Linux knows: own addresses, routes, neighbours ----
// All idempotent: setting what is set, or deleting what is absent, is no error. Both
// families; -EAFNOSUPPORT for an IPv4 route through an IPv6 neighbour.

// Packets for these addresses go to Linux, or to ESP.
int dp_local_addr_add(struct dp *dp, const struct ip_addr *a);
int dp_local_addr_del(struct dp *dp, const struct ip_addr *a);

struct dp_route {
	struct ip_prefix dst;	// host bits zero
	unsigned port;		// or a tunnel interface's number
	struct ip_addr gateway; // IP_NONE: the destination is on the link
};

int dp_route_set(struct dp *dp, const struct dp_route *r); // replaces the one to the same prefix
int dp_route_del(struct dp *dp, const struct ip_prefix *dst);
int dp_neigh_set(struct dp *dp, unsigned port, const struct ip_addr *a, const struct mac_addr *m);
int dp_neigh_del(struct dp *dp, unsigned port, const struct ip_addr *a);

struct dp_route_info {
	struct dp_route route;
	bool resolved;	     // next hop's MAC address is known (routes through a gateway)
	struct mac_addr mac; // of the gateway
};

// Copies up to `max` routes; returns how many there are.
size_t dp_routes(const struct dp *dp, struct dp_route_info *out, size_t max);

// ---- tunnel interfaces ----

// A tunnel interface is a TUN device of Linux. What is routed to it, here or in Linux, is protected
// by the policies of that interface (dp_policy.iface) and by no other; what its tunnels
// (dp_tunnel_bind) receive counts as received on it. *iface is its number, for routes, policies and
// tunnels. `mtu` in bytes of IP packet. -ENOSPC beyond DP_IFACES_MAX, -ENOTSUP without a port that
// has a TAP.
int dp_iface_add(struct dp *dp, const char *name, uint16_t mtu, unsigned *iface, struct error *err);
// Takes it away, with the routes that lead to it; policies and tunnels that name it lead nowhere
// from then on. Linux loses the device within some milliseconds (dp_housekeeping), if not before.
// -ENOENT.
int dp_iface_del(struct dp *dp, unsigned iface);
// What Linux sees as the state of its link.
int dp_iface_set_carrier(struct dp *dp, unsigned iface, bool on);
unsigned dp_iface_find(const struct dp *dp, const char *name); // DP_IFACE_NONE

const char *dp_iface_name(const struct dp *dp, unsigned iface); // NULL when there is none

struct dp_iface_info {
	const char *name;
	unsigned iface;	    // its number
	unsigned ifindex;   // in Linux
	unsigned tunnels;   // bound to it
	unsigned up;	    // of those, how many have an outbound SA
	uint16_t inner_mtu; // the smallest of those (dp_tunnel_inner_mtu); 0: none is up
	// Bytes of inner IP packet. in: out of its tunnels; out: routed to it, from ports and from
	// Linux.
	uint64_t in_packets, in_bytes, out_packets, out_bytes;
	uint64_t to_linux_packets, from_linux_packets;
};

// Copies up to `max`, in order of number; returns how many there are.
size_t dp_ifaces(const struct dp *dp, struct dp_iface_info *out, size_t max);

// ---- tunnels and SAs ----

// A tunnel is one child of a connection: the place where its current outbound SA hangs.
int dp_tunnel_add(struct dp *dp, const char *name, uint32_t *tunnel);
// Makes it one of a tunnel interface: inbound SAs published from now on count as that interface.
int dp_tunnel_bind(struct dp *dp, uint32_t tunnel, unsigned iface);
// Removes it with its outbound SA. Policies that name it must be gone: -EBUSY.
int dp_tunnel_del(struct dp *dp, uint32_t tunnel);
// Inner packets may be of the other family than the outer ones, and an SA may have selectors of
// both. Publishes the outbound SA of a tunnel, at once for all workers; the one before it is
// retired. Sequence numbers start at 1. Beyond sa->soft DP_EV_SOFT_LIFE is reported, beyond
// sa->hard nothing is sent. Takes sa's secrets (sa is emptied) on success.
int dp_tunnel_set_out(struct dp *dp, uint32_t tunnel, struct esp_sa *sa, struct error *err);
// What happens to packets of a tunnel without an outbound SA: they are dropped as no-sa, or, with
// `on`, wait for one for up to 1 s, because somebody is going to bring one up. DP_EV_NO_SA is
// reported either way.
int dp_tunnel_hold(struct dp *dp, uint32_t tunnel, bool on);
// The outbound SA with that SPI goes on between other outer addresses, in UDP between these ports
// or, with ports 0, without UDP; its sequence numbers continue. -ENOENT when the tunnel's SA is
// another one.
int dp_tunnel_move(struct dp *dp, uint32_t tunnel, uint32_t spi, const struct ip_endpoint *local,
		   const struct ip_endpoint *remote);
// Takes the outbound SA away if it has that SPI.
int dp_tunnel_clear_out(struct dp *dp, uint32_t tunnel, uint32_t spi);

// IKE announces an inbound SPI before the keys exist, so choosing and filling are two calls.
// -ENOSPC when the table is full.
int dp_sa_in_reserve(struct dp *dp, uint32_t *spi);
// Fills a reserved SPI (sa->spi). sa->soft and sa->hard as above. Takes sa's secrets (sa is
// emptied) on success.
int dp_sa_in_publish(struct dp *dp, uint32_t tunnel, struct esp_sa *sa, struct error *err);
// Where packets of an SA in UDP are expected from, at first sa->remote: as long as its newest
// packet comes from elsewhere, DP_EV_PEER_MOVED is reported. -ENOENT.
int dp_sa_in_peer(struct dp *dp, uint32_t spi, const struct ip_endpoint *peer);
// Hides the SA, or gives the reservation back.
int dp_sa_in_retire(struct dp *dp, uint32_t spi);

struct dp_sa_stats {
	uint64_t packets, bytes;	 // bytes of inner IP packet
	uint64_t idle_ms;		 // since the last packet but dummies; UINT64_MAX: none yet
	uint64_t silent_ms;		 // inbound: since the last of all; UINT64_MAX: none yet
	uint64_t seq;			 // outbound: last used; inbound: highest accepted
	uint64_t replays, auth_failures; // inbound
};

int dp_sa_in_stats(const struct dp *dp, uint32_t spi, struct dp_sa_stats *out);		// -ENOENT
int dp_tunnel_out_stats(const struct dp *dp, uint32_t tunnel, struct dp_sa_stats *out); // -ENOENT

struct dp_tunnel_totals { // over all SAs of a tunnel; packets and bytes as in dp_sa_stats
	uint64_t in_packets, in_bytes, out_packets, out_bytes;
	uint64_t replays, auth_failures;
};

// Since the tunnel was added. -ENOENT.
int dp_tunnel_totals(const struct dp *dp, uint32_t tunnel, struct dp_tunnel_totals *out);

// Largest inner packet in bytes that fits the tunnel's outbound SA on the way to the peer, as far
// as it is known: the port's MTU, or what a router on the way has said in the last ten minutes (RFC
// 1191). 0 when there is no SA or no route.
uint16_t dp_tunnel_inner_mtu(const struct dp *dp, uint32_t tunnel);

// ---- policies (RFC 4301 4.4.1) ----

enum dp_action { DP_PROTECT, DP_BYPASS, DP_DISCARD };

struct dp_policy {
	enum dp_action action;
	// Outbound: source and destination; inbound: reversed. Both of one family, IPv4 or IPv6.
	struct selector local, remote;
	uint32_t tunnel; // of DP_PROTECT
	unsigned iface;	 // DP_IFACE_NONE: of the ports. Else DP_PROTECT only
	// Bit k: it is one of port k's. 0: of all ports. Not with `iface`.
	uint16_t ports;
};

// Replaces all policies at once, those of both families. First match wins, among those of the port
// that the packet is routed to or came in by, or of the tunnel interface that it is routed to. A
// packet without a route meets those of all ports alone. What matches none is discarded
// between ports and on tunnel interfaces; to and from Linux itself, on the ports, it passes.
// -EAFNOSUPPORT when a policy's selectors are of two families, -EINVAL for ports that there are
// not.
int dp_policies_set(struct dp *dp, const struct dp_policy *p, size_t n);

// ---- events from the workers ----

enum dp_event_type {
	DP_EV_NO_SA,	    // a protect policy matched and its tunnel has no outbound SA
	DP_EV_NO_NEIGHBOUR, // a next hop's MAC address is needed
	DP_EV_SOFT_LIFE,    // an SA is to be replaced
	DP_EV_HARD_LIFE,    // an SA is used up: it drops packets (sa-life, seq-exhausted)
	DP_EV_PEER_MOVED,   // an inbound SA's newest packet came from elsewhere (dp_sa_in_peer)
	DP_EV_LINK,	    // a port's link is up or down (first: down at the start)
	DP_EV_PMTU,	    // a router says that less fits on the way to a peer, and is believed
};

enum dp_life {		 // what of an SA comes to its end
	DP_LIFE_SEQ,	 // outbound sequence numbers: the soft end is at 90 %
	DP_LIFE_PACKETS, // of esp_sa's soft or hard
	DP_LIFE_BYTES,
};

struct dp_event {
	enum dp_event_type type;
	uint32_t tunnel; // all but DP_EV_NO_NEIGHBOUR, DP_EV_LINK
	unsigned port;	 // DP_EV_NO_NEIGHBOUR, DP_EV_LINK
	bool up;	 // DP_EV_LINK
	// DP_EV_NO_NEIGHBOUR: next hop; DP_EV_NO_SA: source of the packet; DP_EV_PMTU: the peer
	struct ip_addr addr;
	struct ip_addr addr2;	 // DP_EV_NO_SA: the packet's destination; DP_EV_PMTU: who says so
	uint16_t mtu;		 // DP_EV_PMTU: bytes of outer IP packet
	uint32_t spi;		 // DP_EV_PMTU, DP_EV_SOFT_LIFE, DP_EV_HARD_LIFE, DP_EV_PEER_MOVED
	struct ip_endpoint peer; // DP_EV_PEER_MOVED: whence it came
	// DP_EV_SOFT_LIFE, DP_EV_HARD_LIFE:
	bool inbound;
	enum dp_life why;
};

// Takes up to `max` events; returns how many. Workers repeat an event at most every 100 ms.
size_t dp_events(struct dp *dp, struct dp_event *out, size_t max);
// Becomes readable when events may be waiting (an eventfd that the punt thread rings, since
// workers make no system call); dp_events re-arms it.
int dp_event_fd(const struct dp *dp);
// Frees what every worker has let go of, and looks at the ports' links. Called from time to time
// (100 ms) by control; frees for half a millisecond, or a 16th of what waits if that takes longer.
void dp_housekeeping(struct dp *dp);

// ---- the guard of UDP/500 and 4500 ----

// What becomes of a message: enum, name and explanation in one list.
#define GUARD_FATES(X)                                                                             \
	X(KNOWN, "known", "of an IKE SA that we have: passed")                                     \
	X(PROVEN, "proven", "an opener with a cookie of ours: passed")                             \
	X(PEER, "peer", "from the address of a configured peer: passed")                           \
	X(STRANGER, "stranger", "from elsewhere: passed")                                          \
	X(COOKIE, "cookie", "too many openers: answered with a cookie, nothing passed")            \
	X(LIMITED, "limited", "too many of its kind: dropped")                                     \
	X(MALFORMED, "malformed", "no IKE message: dropped")                                       \
	X(UNREPEATED, "unrepeated", "of a flood of openers: dropped unless it is repeated")

enum guard_fate {
#define X(id, name, help) GUARD_##id,
	GUARD_FATES(X)
#undef X
		GUARD_FATE_COUNT
};

struct dp_guard_params { // rates in messages a second
	bool on;
	uint32_t peer_rate;   // openers of one peer's address without a cookie, and the rest of it
	uint32_t proven_rate; // openers with a cookie, of one peer's address and of all strangers
	uint32_t stranger_rate; // openers of all strangers without a cookie
	uint32_t unknown_rate;	// of strangers: messages of IKE SAs that we do not have
	uint32_t v1_rate;	// of strangers: IKEv1
	uint32_t answer_rate;	// openers that are asked for a cookie when they come first
};

struct dp_guard_peer { // of one family; one address: twice the same
	struct ip_addr lo, hi;
};

int dp_guard_set_rates(struct dp *dp, const struct dp_guard_params *p);
// The addresses of configured peers, in place of those before; what is counted of one that stays is
// kept. -ENOMEM.
int dp_guard_set_peers(struct dp *dp, const struct dp_guard_peer *peers, size_t n);
// The TTL or hop limit that an authenticated message of a peer came with: what comes from its
// address with quite another one is counted (dp_guard_source). -ENOENT: it is none of those peers,
// or one of a range of addresses.
int dp_guard_set_ttl(struct dp *dp, const struct ip_addr *addr, uint8_t ttl);
// Our own SPIs of IKE SAs, host order: from before the first message that may bear it to the end.
// -ENOMEM, -EINVAL (0 and 1, which no message is known by).
int dp_guard_add_spi(struct dp *dp, uint64_t spi);
void dp_guard_del_spi(struct dp *dp, uint64_t spi);
// Its mark is what dp_ike_mark() says.
int dp_guard_set_cookies(struct dp *dp, const struct ike_cookie_keys *keys);
// What our SPIs of IKE SAs are to be marked by (ike_mark_spi), and our cookies are.
struct ike_mark_key dp_ike_mark(const struct dp *dp);

struct dp_guard_source {	// an IPv4 address, a peer's of IPv6, or else the /64 of one
	struct ip_addr addr;	// IP_NONE: none
	bool is_peer;		// it is a configured peer's
	uint64_t packets, over; // messages; how many of them may have been others'
	uint64_t bytes;		// of UDP payload
	uint64_t fate[GUARD_FATE_COUNT];
	uint64_t first_tsc, last_tsc;	     // dp_guard_age_ms
	uint64_t per_second, per_second_max; // in the last whole second, and the most in one
	uint64_t openers, cookies_shown, responses, v1, not_ike, to_500;
	uint16_t from_port, len_min, len_max;
	uint8_t ttl_min, ttl_max, version, exchange; // major version, exchange: the last one's
	// What the peer's messages come with: authenticated ones, or, from a range of addresses,
	// those of IKE SAs that we have. 0: not known.
	uint8_t ttl_known;
	uint8_t odd_ttl_min, odd_ttl_max;
	uint64_t odd_ttl; // messages that were of no such IKE SA and came with quite another
	uint32_t vendor;  // of its vendor ID: a hash; 0: none
};

struct dp_guard_info {
	bool on;
	size_t n_peers, n_spis;
	uint64_t fate[GUARD_FATE_COUNT];
	uint64_t peer_limited; // of those limited: from addresses of configured peers
};

void dp_guard_info(const struct dp *dp, struct dp_guard_info *out);
// Those that did most, at most `max`, most messages first; returns how many there are.
size_t dp_guard_sources(const struct dp *dp, struct dp_guard_source *out, size_t max);
struct dp_guard_peer_info { // messages from a configured peer's address, since it is configured
	uint64_t passed, cookies, limited;
	uint64_t lost; // of those passed: on the way to Linux
};

// -ENOENT: no configured peer has that address. One that is a range's counts for all of it.
int dp_guard_peer_info(const struct dp *dp, const struct ip_addr *addr,
		       struct dp_guard_peer_info *out);
// Where an IKE message ended that did not come through: at the guard (answered with a cookie,
// beyond its budget, no IKE), in the ring between workers and Linux, at the TAP, at the port.
enum dp_ike_end {
	DP_IKE_COOKIE,
	DP_IKE_LIMITED,
	DP_IKE_MALFORMED,
	DP_IKE_RING,
	DP_IKE_TAP,
	DP_IKE_PORT,
	DP_IKE_ENDS
};

struct dp_ike_lost {
	uint64_t tsc; // dp_guard_age_ms
	enum dp_ike_end end;
	bool out; // from us
	struct ip_endpoint from, to;
	uint16_t len; // bytes without the non-ESP marker
	uint8_t header_len;
	uint8_t header[28]; // RFC 7296 3.1, the first header_len bytes of it
};

// The next of the samples that are kept of lost messages (ike_lost.h): for each place where they
// end, about one a second of each peer and 16 of all strangers. False: there is none now.
bool dp_ike_lost(struct dp *dp, struct dp_ike_lost *out);
// Milliseconds since a *_tsc of above.
uint64_t dp_guard_age_ms(const struct dp *dp, uint64_t tsc);

// ---- counters ----

struct dp_worker_info {
	unsigned lcore;
	int cpu;				   // -1 when not pinned
	uint64_t busy_cycles, idle_cycles, sleeps; // idle: a poll that found nothing
	uint64_t packets, batches;		   // received, with at least one packet
	uint64_t esp_in_packets, esp_out_packets;
	uint64_t cut_packets, cut_pieces;     // too large without DF, and what became of them
	uint64_t whole_packets, whole_pieces; // to us, put together, and from how many fragments
	uint64_t icmp_errors;		      // of our own
	uint64_t dummies;		      // dummy packets, among esp_out_packets
	uint64_t handed_over;		      // ESP and fragments, to the worker whose they are
};

unsigned dp_worker_count(const struct dp *dp);
int dp_worker_info(const struct dp *dp, unsigned worker, struct dp_worker_info *out);
int dp_worker_drops(const struct dp *dp, unsigned worker,
		    uint64_t out[DROP_REASON_COUNT]); // -ENOENT
// Sum over the workers and the punt thread.
void dp_drops(const struct dp *dp, uint64_t out[DROP_REASON_COUNT]);
const char *dp_drop_name(enum drop_reason reason);
const char *dp_drop_help(enum drop_reason reason);
// "DPDK 22.11.11, intel-ipsec-mb 1.3.0 (AVX2)"
const char *dp_version(const struct dp *dp);

// ---- capture ----

enum dp_capture_point {
	DP_CAPTURE_RX,	       // as it came from the wire
	DP_CAPTURE_FROM_LINUX, // as Linux sent it
	DP_CAPTURE_PLAIN_OUT,  // before encryption
	DP_CAPTURE_ESP_OUT,    // after encryption, outer header in front
	DP_CAPTURE_PLAIN_IN,   // after decryption and all checks
	DP_CAPTURE_TX,	       // as it goes to the wire
	DP_CAPTURE_TO_LINUX,
	DP_CAPTURE_DROP,
};

struct dp_capture_params {
	struct packet_filter filter; // by_port: of the ports. Numbers are those of this header
	bool only_drops;
	uint32_t sample;   // one packet in so many, of those that the filter fits; 1: all
	uint32_t snap_len; // bytes that are copied of each; 0: all
};

struct dp_capture_packet {
	enum dp_capture_point point;
	enum drop_reason reason; // DP_CAPTURE_DROP
	uint64_t time_ns;	 // since 1970
	uint64_t id;		 // the same at all the points that a packet passes
	unsigned number; // port or tunnel interface: of RX, TX and Linux's; else where it came in
	bool ethernet;	 // begins with an Ethernet header, not with one of IP
	uint32_t tunnel; // DP_TUNNEL_NONE when not known, or none
	uint32_t spi;	 // of the tunnel's SA, 0 when not known
	uint64_t lost;	 // copies that found no room, since the one before
	const uint8_t *data; // cap_len of len bytes; good until the next call
	uint32_t cap_len, len;
};

// From now on copies are taken. A copy that finds no room (2 MiB for each worker) is lost and
// counted; packets never are. One capture at a time: -EBUSY. -ENOMEM.
int dp_capture_start(struct dp *dp, const struct dp_capture_params *params, struct error *err);
// The oldest copy that has not been taken yet; false when there is none now.
bool dp_capture_next(struct dp *dp, struct dp_capture_packet *out);
// No more copies are taken; those that there are can still be read.
void dp_capture_stop(struct dp *dp);
// Copies that found no room.
uint64_t dp_capture_lost(const struct dp *dp);
// Ends it. Harmless when there is none.
void dp_capture_end(struct dp *dp);
// Name of a tunnel, NULL when there is none of that number.
const char *dp_tunnel_name(const struct dp *dp, uint32_t tunnel);
