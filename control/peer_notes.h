// What was noticed of each peer's address on our IKE sockets: messages, repetitions, errors. The
// doctor's evidence; several connections to one peer share it, as they share the path.
//
// Threads:   control only.
// Ownership: a note lives as long as the table.
// Limits:    LIMIT_PEER_NOTES addresses; of further ones nothing is noted.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/tally.h"
#include "lib/addr.h"

struct peer_note {
	struct peer_note *next;
	struct ip_addr addr;
	struct tally tx_500, tx_4500, rx_500, rx_4500; // by the port on our side
	struct tally tx_refused, retransmits, repeats, icmp;
	struct tally late;    // requests that were answered only after a repetition
	struct tally no_auth; // IKE_SA_INITs of it that we answered and that it did not go on from
	struct tally v1;      // of rx_500 and rx_4500: IKEv1
	bool v1_answers;      // the last of these answered a request of ours
	int tx_errno;	      // positive
	enum doctor_icmp icmp_what;
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_port; // destination of what it quotes
	struct ip_addr icmp_from;
	// What the guard has counted of it (control/doctor_watch.c).
	struct tally came, passed, cookies, limited, odd_ttl;
};

struct peer_notes;

int peer_notes_create(struct peer_notes **out);	   // -ENOMEM
void peer_notes_destroy(struct peer_notes *notes); // NULL is allowed
// The note of that address, a new one if need be. NULL: no room.
struct peer_note *peer_notes_get(struct peer_notes *notes, const struct ip_addr *addr);
// NULL: there is none.
struct peer_note *peer_notes_find(const struct peer_notes *notes, const struct ip_addr *addr);

void peer_note_sent(struct peer_note *n, uint16_t local_port, int error, uint64_t now_ms);
void peer_note_received(struct peer_note *n, uint16_t local_port, uint64_t now_ms);
