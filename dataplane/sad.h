// Inbound Security Association Database (RFC 4301 4.4.2).
//
// Finds the SA of a received ESP packet. The receiver picks its own SPIs, so the low
// SAD_SLOT_BITS of an SPI are its slot: a lookup is one load and one compare. The other bits are
// random, so a late packet of a deleted SA does not match the next SA in the same slot.
//
// Threads:   create, reserve, publish, retire and destroy: control thread only.
//            lookup: any worker; the result is good until that worker's next quiescent point
//            and must not be stored.
// Ownership: publish takes the SA's secrets; retire hides it at once and frees it once every
//            worker has been quiescent. Keys are wiped before the free.
// Errors:    0 or -errno; on error nothing has changed.
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "dataplane/dp.h"
#include "dataplane/esp.h"
#include "dataplane/worker.h"
#include "lib/replay.h"

#define SAD_SLOT_BITS  17 // 10,000 tunnels may have 100,000 SAs
#define SAD_SLOTS      (1u << SAD_SLOT_BITS)
#define SA_IN_NO_OWNER UINT32_MAX

struct tunnel_count;

// A packet touches a line of each kind: what a look-up reads, what the owner writes, the selectors,
// the key's form; then the key, and a word of the ring.
struct sa_in {
	uint32_t spi;		// read only from here on, once published
	_Atomic uint32_t owner; // worker; SA_IN_NO_OWNER until the first packet
	uint32_t tunnel;
	bool udp_encap, either_form;
	uint8_t dscp_mask; // of the outer traffic class, what the inner one takes (outer_in_tos)
	bool transport;
	bool plain;	 // of a packet that is opened nothing but its addresses is looked at
	bool oa;	 // a NAT has changed addresses that checksums are over
	uint16_t oa_sum; // of those in the sender's checksums (esp_transport_sum_addrs)
	// Control: rw, owner: ro. Outer source of packets in UDP: IPv4 address and port as they
	// stand in the packet, address in the upper half.
	_Atomic uint64_t peer;
	uint16_t iface; // tunnel interface that its packets come in by, DP_IFACE_NONE without
	uint64_t packets_check, bytes_check; // from here on the slow way: look at all the limits

	_Alignas(64) struct replay replay; // the owner's alone
	// Owner: write, control: read.
	counter packets, bytes, last_tsc, top_seq;
	counter replays;

	_Alignas(64) struct esp_selectors ts;
	uint64_t packets_hard, bytes_hard; // nothing beyond

	struct crypto_key key;			// begins a line
	counter auth_failures, dummy_tsc;	// the latter: when the last dummy packet came
	uint64_t soft_tsc, hard_tsc, moved_tsc; // the owner's: when the event was last reported
	struct tunnel_count *count;		// control
	LIST_ENTRY(sa_in) count_link;
	size_t size;	 // bytes of all this
	uint64_t ring[]; // of the replay window
};

struct sad {
	_Atomic(struct sa_in *) slot[SAD_SLOTS]; // control: rw, workers: ro
	uint32_t spi[SAD_SLOTS];      // control: the SPI reserved or published, 0 when free
	uint32_t last_spi[SAD_SLOTS]; // control: the one before it, never given twice in a row
	uint32_t gone_at[SAD_SLOTS];  // control: dp->changes when that one went
	_Atomic uint32_t used;	      // control: rw, telemetry: ro; slots taken
	struct crypto *crypto;	      // control: expands keys
};

// The same for IPv6: a hash, in which two peers that change places may look alike; then the next
// packets tell.
static inline uint64_t sa_in_peer6(const uint8_t addr[16], uint16_t port_be)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ addr[i]) * 0x100000001b3u;
	return (h << 16) | port_be;
}

static inline uint64_t sa_in_peer(uint32_t addr_be, uint16_t port_be)
{
	return (uint64_t)addr_be << 32 | port_be;
}

// The SA of that SPI (host order), or NULL.
static inline struct sa_in *sad_lookup(const struct sad *sad, uint32_t spi)
{
	struct sa_in *sa = atomic_load_explicit(
		(_Atomic(struct sa_in *) *)(uintptr_t)&sad->slot[spi & (SAD_SLOTS - 1)],
		memory_order_acquire);

	return sa != NULL && sa->spi == spi ? sa : NULL;
}

// A batch of packets of many SAs waits for memory three times; these two let it wait for all of
// them at once. The second wants the first to be some packets ago.
static inline void sad_prefetch_slot(const struct sad *sad, uint32_t spi)
{
	rte_prefetch0(&sad->slot[spi & (SAD_SLOTS - 1)]);
}

static inline void sad_prefetch(const struct sad *sad, uint32_t spi)
{
	const struct sa_in *sa = atomic_load_explicit(
		(_Atomic(struct sa_in *) *)(uintptr_t)&sad->slot[spi & (SAD_SLOTS - 1)],
		memory_order_acquire);

	if (sa == NULL)
		return;
	rte_prefetch0(sa);
	rte_prefetch0(&sa->replay);
	rte_prefetch0(&sa->ts);
	crypto_key_prefetch(&sa->key);
}

// The second one for packet i of a batch, unless the one in front of it has asked already.
static inline void sad_prefetch_of(const struct sad *sad, const struct esp_place *at, unsigned i)
{
	if (i == 0 || at[i].spi != at[i - 1].spi)
		sad_prefetch(sad, at[i].spi);
}

// The owner: the packet of that number has come, its ICV was good. False: a replay, counted.
static inline bool sa_in_accept(struct sa_in *sa, uint64_t seq)
{
	if (unlikely(!replay_accept(&sa->replay, seq))) {
		counter_add(&sa->replays, 1);
		return false;
	}
	atomic_store_explicit(&sa->top_seq, sa->replay.top, memory_order_relaxed);
	return true;
}

// With one more packet of that many bytes, one of the SA's limits has to be looked at.
static inline bool sa_in_near_limit(const struct sa_in *sa, unsigned bytes)
{
	return counter_read(&sa->packets) + 1 >= sa->packets_check ||
	       counter_read(&sa->bytes) + bytes >= sa->bytes_check;
}

static inline void sa_in_count(struct sa_in *sa, unsigned bytes)
{
	counter_add(&sa->packets, 1);
	counter_add(&sa->bytes, bytes);
}

int sad_create(struct dp *dp); // dp->sad
// Frees every SA at once: the workers must have stopped.
void sad_destroy(struct dp *dp);
