// Workers with two ports that are arrays of mbufs, tunnels of one suite, and packets for them: for
// benchmarks of the packet path and of the crypto under it.
//
// Everything but the devices is real (core.h). Site n is 20.(n >> 8).(n & 255).0/24, its gateway is
// 198.18.0.0 + n. Packets out come from the LAN (port 0) and leave as ESP to their gateway behind a
// router on port 1; packets in come as ESP on port 1 and leave for a host behind a router on
// port 0. Both SAs of a tunnel have one key, so what is made for the inbound one is made with it.
//
// Threads: one; but each worker's steps may be in a thread of their own, while nothing else of here
//          is called.
// Errors:  a call that fails ends the process by an assertion.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/crypto.h"
#include "dataplane/worker.h"
#include "test/unit/dataplane/core.h"

#define RIG_SAS_MAX 100000
#define RIG_PACKETS 256 // buffers of each worker, used in turn
#define RIG_WORKERS 2
#define RIG_IMIX    0 // as a length: 64 x 28, 570 x 16, 1518 x 4

enum rig_direction { RIG_OUT, RIG_IN };

// One for each kind of transform.
extern const char *const rig_suites[];
extern const unsigned rig_n_suites;

// One worker, core.w, and memory for so many pairs of SAs.
void rig_start(unsigned max_sas);
void rig_second_worker(void); // core.workers[1]
void rig_stop(void);
// SAs made from now on carry packets to any site.
extern bool rig_wide_selectors;
// SAs made from now on are in UDP (RFC 3948).
extern bool rig_udp;
// Tunnels with a pair of SAs and a policy each, of an ESP proposal ("aes128-sha256"). False, with a
// sentence on stderr, when it is none.
bool rig_tunnels_add(const char *proposal, unsigned n);
void rig_tunnels_del(void);
// Policies for the first n tunnels alone; packets are of these.
void rig_policies(unsigned n);
// Policies for the first n sites, those without a tunnel of their own by the others' in turn (with
// rig_wide_selectors); packets out are for these.
void rig_sites(unsigned n);
// A route of its own for each of the first n peers; there are never fewer again.
void rig_peer_routes(unsigned n);
// Bytes of each pair of SAs with its replay window, allocator included.
double rig_pair_bytes(void);
const struct crypto_key *rig_key(unsigned tunnel);

// Lays RIG_PACKETS packets of `len` bytes of inner IP packet (RIG_IMIX) on the ports, of tunnels
// in random order, as a NIC would have received them.
void rig_packets(enum rig_direction d, uint16_t len);
// The same for one worker, of tunnels `first` to first + n - 1.
void rig_packets_of(unsigned worker, enum rig_direction d, uint16_t len, unsigned first,
		    unsigned n);
// Jobs for the same number of texts as long as those of such packets, in the same buffers, with
// keys in random order. What stood in the buffers is lost.
void rig_jobs(struct crypto_job job[RIG_PACKETS], uint16_t len);
// How many packets the worker has sent since the last rig_packets.
unsigned rig_sent(unsigned worker);
// Where the worker finds the packets of a direction.
struct source rig_source(enum rig_direction d, unsigned worker);
