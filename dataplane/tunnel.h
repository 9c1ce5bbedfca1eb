// Tunnels and their outbound SAs.
//
// A tunnel is one child of a connection. It holds a pointer to the current outbound SA, so a
// rekey is one pointer store. The SA carries everything esp_out() needs: a template of the outer
// header, key, sequence number, selectors.
//
// Threads:   add, del, set_out, move, clear_out: control thread only. Workers reach a tunnel
// through
//            the policy snapshot and load its SA once per batch; both are good until the
//            worker's next quiescent point.
// Ownership: set_out takes the SA's secrets. What was replaced is wiped and freed once every
//            worker has been quiescent.
// Errors:    0 or -errno; on error nothing has changed.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_udp.h>

#include "dataplane/dp.h"
#include "dataplane/esp.h"
#include "dataplane/outer.h"
#include "dataplane/worker.h"

#define SA_OUT_OUTER4_MAX (sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr)) // bytes
#define SA_OUT_OUTER6_MAX (sizeof(struct rte_ipv6_hdr) + sizeof(struct rte_udp_hdr)) // bytes
#define SA_OUT_DST6	  24 // bytes: where the destination stands in an IPv6 header
#define SA_OUT_SEALED	  (UINT64_C(1) << 63) // from here on the counter's SA has a successor
// RFC 4303 3.3.3: never beyond; half of the extended numbers are more than will ever be sent.
#define SA_OUT_SEQ_MAX	   ((uint64_t)UINT32_MAX)
#define SA_OUT_SEQ_MAX_ESN (SA_OUT_SEALED - 1)
#define TUNNEL_EVENT_MS	   100 // an event of one tunnel or SA is repeated at most that often

#define TUNNEL_SPI_ROWS 4096u // a power of two

struct tunnel_count;

struct sa_out {
	uint32_t spi_be;	      // read only from here on, once published
	uint32_t local_be, remote_be; // 0 with IPv6
	uint32_t cksum;		      // sum of the header words that never change
	uint8_t outer_len;	      // bytes: 20 or 40, 8 more with UDP
	bool v6, udp;		      // the outer header
	bool transport;		      // of which only addresses and UDP count then
	bool names_ports;	      // a later fragment is none of this SA (RFC 4301 7)
	uint16_t tfc_padding;	      // bytes; ESP_TFC_MTU is more than any packet has
	uint8_t label;		      // enum outer_label
	uint8_t ttl;		      // outer
	struct outer_out rule;
	uint8_t outer[SA_OUT_OUTER6_MAX]; // of IPv4 it is in the first cache line
	uint32_t spi;
	uint32_t label_seed; // the tunnel's

	// Written by all workers, one atomic add each per batch. The sequence number is the
	// IV as well: no other place hands them out (RFC 4106 3.1, RFC 3686 2.1).
	_Alignas(64) _Atomic uint64_t seq; // last one given away
	_Atomic uint64_t bytes, last_tsc;
	_Atomic uint64_t uncounted; // numbers given to dummies, or to what was dropped then
	// Read only, here because this line is at hand where they are compared.
	uint64_t seq_check, bytes_check; // from here on the slow way: look at all the limits
	uint64_t seq_hard, bytes_hard;	 // nothing beyond

	_Alignas(64) struct esp_selectors ts;
	_Atomic uint64_t soft_tsc, hard_tsc; // workers: when the event was last reported
	struct crypto_key key;
	struct tunnel_count *count; // control
	LIST_ENTRY(sa_out) count_link;
	LIST_ENTRY(sa_out) spi_link; // control: in a row of struct tunnels' by_spi, while in use
	uint32_t tunnel;	     // its number
};

struct tunnel {
	_Atomic(struct sa_out *) sa; // control: store, workers: load
	uint32_t id;
	uint16_t iface;		    // control: its tunnel interface, DP_IFACE_NONE without
	_Atomic bool hold;	    // control: rw, workers: ro; packets without an SA wait for one
	_Atomic uint64_t no_sa_tsc; // workers: when the event was last reported
	uint32_t label_seed;	    // control: of the flow labels of all its SAs
	uint32_t dummies;	    // control: dummy packets a second
	uint32_t dummy_at;	    // control: its place in the list of tfc.c, UINT32_MAX: none
	struct tunnel_count *count; // control
	char name[DP_NAME_MAX];
};

struct tunnels {
	struct tunnel **slot; // control: by id, NULL when free
	uint32_t n_slots;
	uint32_t first_free;   // control: none before it
	uint32_t *named;       // control: by id, the last set of policies that names it
	uint32_t policies_set; // control: number of the current one
	LIST_HEAD(, sa_out) by_spi[TUNNEL_SPI_ROWS]; // control: all that are in use
	_Atomic uint32_t removed; // control: rw, workers: ro; counts removed tunnels
	struct crypto *crypto;	  // control: expands keys
};

static inline struct sa_out *tunnel_sa(const struct tunnel *t)
{
	return atomic_load_explicit((_Atomic(struct sa_out *) *)(uintptr_t)&t->sa,
				    memory_order_acquire);
}

// The last sequence number of the SA, and the one from which on it is to be replaced.
static inline uint64_t sa_out_seq_max(const struct sa_out *sa)
{
	return sa->key.esn ? SA_OUT_SEQ_MAX_ESN : SA_OUT_SEQ_MAX;
}

static inline uint64_t sa_out_seq_low(const struct sa_out *sa)
{
	return sa_out_seq_max(sa) / 10 * 9;
}

// Does a packet that finds no SA wait for one?
static inline bool tunnel_holds(const struct tunnel *t)
{
	return atomic_load_explicit((_Atomic bool *)(uintptr_t)&t->hold, memory_order_relaxed);
}

// Changes before a tunnel that was removed is freed: a worker that keeps pointers to tunnels over
// a quiescent point has to look here before it uses one.
static inline uint32_t tunnels_removed(const struct tunnels *t)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&t->removed,
				    memory_order_acquire);
}

// Fetches what a packet needs of the tunnel's SA.
static inline void tunnel_prefetch_sa(const struct tunnel *t)
{
	const struct sa_out *sa = tunnel_sa(t);

	if (sa == NULL)
		return;
	rte_prefetch0(sa);
	rte_prefetch0((const void *)(uintptr_t)&sa->seq);
	rte_prefetch0(&sa->ts);
	crypto_key_prefetch(&sa->key);
}

// Packets sent but dummies.
static inline uint64_t sa_out_packets(const struct sa_out *sa)
{
	// In this order: workers give a number away before they say that it does not count.
	const uint64_t uncounted = atomic_load_explicit(&sa->uncounted, memory_order_acquire);

	return atomic_load_explicit(&sa->seq, memory_order_relaxed) - uncounted;
}

// Largest packet in bytes that the SA carries on a path of that MTU; 0 when none fits. In transport
// mode one without IP options or extension headers.
static inline uint16_t sa_out_inner_mtu(const struct sa_out *sa, uint16_t path_mtu)
{
	const uint16_t carried = esp_inner_mtu(&sa->key, sa->outer_len, path_mtu);

	if (!sa->transport || carried == 0)
		return carried;
	return (uint16_t)(carried +
			  (sa->v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr)));
}

// The outbound SA in use with that SPI to that peer, or NULL. Control only.
const struct sa_out *tunnels_sa_to(const struct tunnels *t, uint32_t spi,
				   const struct ip_addr *peer);

// MTU in bytes of the way to the peer; 0 without a route. Any worker, and control.
uint16_t sa_out_path_mtu(const struct dp *dp, const struct sa_out *sa);

// The tunnel of that id, or NULL. Control only.
struct tunnel *tunnel_get(const struct dp *dp, uint32_t id);

int tunnels_create(struct dp *dp); // dp->tunnels
// Frees every tunnel at once: the workers must have stopped.
void tunnels_destroy(struct dp *dp);
