// The vocabulary of an ESP SA (RFC 4301 4.4.2.1) that IKE fills and the dataplane consumes.
//
// Ownership: the struct owns its secrets; whoever receives one says whether it takes or borrows.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/outer.h"
#include "lib/secret.h"
#include "lib/selector.h"
#include "lib/transform.h"

#define ESP_REPLAY_WINDOW_DEFAULT 1024	     // packets
#define ESP_TFC_MTU		  UINT16_MAX // pad to what the path carries

struct esp_life {		 // 0: not limited
	uint64_t packets, bytes; // bytes of inner IP packet
};

struct esp_sa {
	uint32_t spi;		   // host order
	struct transform encr;	   // TRANSFORM_ENCR
	struct transform integ;	   // TRANSFORM_INTEG; INTEG_NONE with an AEAD
	bool esn;		   // 64-bit sequence numbers
	bool transport;		   // transport mode; else tunnel mode (RFC 4301 4.1)
	bool udp_encap;		   // RFC 3948, with the ports below
	bool either_form;	   // inbound: in UDP or not, as that may change (RFC 4555 3.5)
	struct ip_endpoint local;  // outer address; port only with udp_encap
	struct ip_endpoint remote; // outer address; port only with udp_encap
	uint32_t replay_window;	   // packets, inbound only
	struct selector_list local_ts, remote_ts;
	// Inbound, in transport mode behind a NAT: the addresses that the sender's checksums are
	// over (RFC 7296 2.23.1); IP_NONE without.
	struct ip_addr local_oa, remote_oa;
	struct esp_life soft;	 // the SA is to be replaced
	struct esp_life hard;	 // nothing passes beyond
	struct outer_rule outer; // of the outer header
	// Outbound: inner packets are padded to so many bytes, or to what fits the path where that
	// is less (RFC 4303 2.7). 0: not.
	uint16_t tfc_padding;
	uint32_t dummies;	 // outbound: dummy packets a second (RFC 4303 2.6)
	struct secret encr_key;	 // KEYMAT as IKE derives it: key, then salt (RFC 4106 8.1)
	struct secret integ_key; // empty with an AEAD
};

// Wipes the keys and empties the struct. NULL is allowed.
void esp_sa_fini(struct esp_sa *sa);
