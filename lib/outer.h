// What the outer header of a tunnel takes from the inner one, and what the inner one takes back
// (RFC 4301 5.1.2, RFC 6040, RFC 6438): what a child's configuration says about it. A zeroed struct
// is the default.
//
// Threads:   read-only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define OUTER_TTL_DEFAULT 64

enum outer_dscp { OUTER_DSCP_OUT, OUTER_DSCP_NO, OUTER_DSCP_IN, OUTER_DSCP_BOTH };
enum outer_ecn {
	OUTER_ECN_COPY,	  // RFC 6040 4.1: normal mode
	OUTER_ECN_COMPAT, // RFC 6040 4.3: compatibility mode, Not-ECT outside
};
enum outer_df { OUTER_DF_COPY, OUTER_DF_CLEAR, OUTER_DF_SET };
enum outer_label { OUTER_LABEL_NONE, OUTER_LABEL_TUNNEL, OUTER_LABEL_FLOW };

struct outer_rule {
	enum outer_dscp copy_dscp; // to the outer header, to the inner one, both, neither
	uint8_t dscp;		   // 0 to 63, outside when it is not copied there
	enum outer_ecn ecn;
	enum outer_df df;	// IPv4
	enum outer_label label; // IPv6: zero, one of the tunnel, one of each flow in it
	uint8_t ttl;		// or hop limit; 0: OUTER_TTL_DEFAULT
};

static inline bool outer_rule_equal(const struct outer_rule *a, const struct outer_rule *b)
{
	return a->copy_dscp == b->copy_dscp && a->dscp == b->dscp && a->ecn == b->ecn &&
	       a->df == b->df && a->label == b->label && a->ttl == b->ttl;
}
