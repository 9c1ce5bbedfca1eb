// A probe of one peer: what is sent, when, and what the answers say (`port500 doctor --probe`).
//
// Questions, each asked a few times, in turns and LIMIT_PROBE_SPACING_US apart:
//
//   echo          ICMP echo from our own address of the connection; larger ones with DF
//   500, 4500     IKE_SA_INIT requests that nobody can accept (control/ike/probe_msg.h): small,
//                 about 1100 bytes, and larger than the MTU
//   alternative   the same to another port, small
//   other source  the same to 500, from a port of no meaning
//   hops          the same with TTL 1, 2, 3, ... to 500 and to 4500, until the peer answers
//
// Each packet can be told from every other: IKE by its SPI, echoes by their number, and what an
// ICMP error quotes by port and length, which no two packets share.
//
// Pure: packets and time come with the calls, control/ike_run_probe.c has the sockets.
//
// Threads:   one at a time.
// Ownership: values.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/doctor/doctor.h"
#include "control/probe_icmp.h"
#include "lib/addr.h"
#include "lib/limits.h"

enum probe_question {
	PROBE_ECHO,
	PROBE_ECHO_LARGE,
	PROBE_500,
	PROBE_500_LARGE,
	PROBE_500_FRAGMENT,
	PROBE_4500,
	PROBE_4500_LARGE,
	PROBE_4500_FRAGMENT,
	PROBE_ALT,
	PROBE_OTHER_SOURCE,
	PROBE_HOPS_500,
	PROBE_HOPS_4500,
	PROBE_QUESTIONS,
};

enum {
	PROBE_HOPS_MAX = 20,
	PROBE_WAIT_US = 2000000, // for the answers to the last packet
};

struct probe_params {
	struct ip_addr local, remote;
	uint16_t alt_port; // 0: none
	uint16_t mtu;	   // bytes of IP packet that leave in one piece
	uint16_t smallest; // bytes of the smallest IKE message
	uint16_t ident;	   // of the echoes, by chance
	uint8_t spi[8];	   // by chance; the last byte is replaced
};

enum probe_fate { PROBE_WAITS, PROBE_SILENT, PROBE_SENT, PROBE_ANSWERED, PROBE_REFUSED };

struct probe_packet {
	enum probe_question question;
	enum probe_fate fate;
	uint16_t local_port, remote_port; // 0: an echo; local_port 0 alone: any
	uint8_t ttl;			  // 0: as usual
	uint16_t len;			  // of an IKE message without marker; of an IP packet
	uint16_t seq;			  // of an echo: its place
	uint8_t spi[8];
	uint64_t sent_us, answered_us;
	uint8_t answer_ttl;
	enum doctor_icmp why; // PROBE_REFUSED
	struct ip_addr by;
};

struct probe {
	struct probe_params params;
	struct probe_packet packet[LIMIT_PROBE_PACKETS];
	unsigned n, next;
	uint64_t due_us, last_us;
};

void probe_init(struct probe *p, const struct probe_params *params, uint64_t now_us);
// The packet to be sent now, NULL when it is not time. It counts as sent.
const struct probe_packet *probe_next(struct probe *p, uint64_t now_us);
// It could not be sent.
void probe_unsent(struct probe *p, const struct probe_packet *packet);
// When to call probe_next or probe_is_over again.
uint64_t probe_due_us(const struct probe *p);
// Everything was sent, and was answered or has had its time.
bool probe_is_over(const struct probe *p, uint64_t now_us);
// An IKE response with that SPI came from `from`. False: it is none of ours.
bool probe_on_ike(struct probe *p, const uint8_t spi[8], const struct ip_addr *from,
		  uint64_t now_us);
bool probe_on_icmp(struct probe *p, const struct probe_icmp *icmp, const struct ip_addr *from,
		   uint64_t now_us);
// What is known now. ago_ms and ttl_usual are left to the caller.
void probe_facts(const struct probe *p, struct doctor_probe_facts *out);
const char *probe_question_name(enum probe_question q); // "500-large"

// How many packets each peer may still get: a bucket of LIMIT_PROBE_BUCKET that fills by
// LIMIT_PROBE_PER_MINUTE.
struct probe_budget { // zeroed: full
	struct {
		struct ip_addr peer; // IP_NONE: free
		unsigned left;
		uint64_t at_ms;
	} bucket[LIMIT_PROBE_PEERS];
};

// Takes a whole probe's packets. -EAGAIN: *wait_ms until there are enough.
int probe_budget_take(struct probe_budget *b, const struct ip_addr *peer, uint64_t now_ms,
		      uint64_t *wait_ms);
