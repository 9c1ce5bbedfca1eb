// Which UDP port of the peer IKE begins with: 500, or another one while 500 is filtered
// (`on_500_blocked`). RFC 7296 2.23: an initiator may use port 4500 from the beginning, NAT or
// not.
//
// That 500 is filtered is learnt by an initiation (IKE_ACT_PORT: nothing answered on 500, and the
// other port did). From then on initiations begin with the other port, and 500 is asked now and
// then, at growing intervals, whether it answers again. A first answer is enough to go back; so is
// another port that falls silent itself, because then it is the peer that is not there.
//
// Pure: time and chance come with the call.
//
// Threads:   one thread at a time.
// Ownership: a value.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

enum {
	PORT_CHECK_FIRST_MS = 15000, // after 500 was found silent
	PORT_CHECK_MAX_MS = 1800000, // each interval is twice the one before, up to that
};

struct port_choice {	     // zero: 500 is as good as any
	struct ip_addr peer; // whose; another address begins with 500
	uint16_t other;	     // the port that answers, 0: 500 is used
	unsigned silent;     // messages to 500 that nothing came of
	unsigned checks;     // of 500 since, in a row without an answer
	uint64_t since_ms, check_ms;
	uint64_t asked_ms; // when last, 0: never
};

// The port to begin with; `usual` is the configured one.
uint16_t port_choice_begin(const struct port_choice *c, const struct ip_addr *peer, uint16_t usual);
// 500 was silent `silent` times, `other` answers. `chance`: any 32 bits.
void port_choice_blocked(struct port_choice *c, const struct ip_addr *peer, uint16_t other,
			 unsigned silent, uint64_t now_ms, uint32_t chance);
// An initiation to the other port got no answer either. True: back to 500.
bool port_choice_silent(struct port_choice *c, uint16_t port);
// Has 500 to be asked now? Then port_choice_asked.
bool port_choice_due(const struct port_choice *c, uint64_t now_ms);
void port_choice_asked(struct port_choice *c, uint64_t now_ms, uint32_t chance);
// Something of the peer came from 500. True: it was filtered until now.
bool port_choice_healed(struct port_choice *c);
