// NAT detection (RFC 7296 2.23).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/ike/builder.h"
#include "control/ike/ike_crypto.h"
#include "control/ike/message.h"
#include "lib/addr.h"

// Adds both NAT_DETECTION notifies of a message that goes from `local` to `remote`. With
// `pretend` the source is one that cannot be right (port 0), so that the peer sees a NAT before
// us and both sides put ESP into UDP. SPIr is zero in a request.
int nat_build(struct ike_builder *b, const struct ike_crypto *c, const uint8_t spi_i[8],
	      const uint8_t spi_r[8], const struct ip_endpoint *local,
	      const struct ip_endpoint *remote, bool pretend);

struct nat_result {
	bool supported; // the peer sent both kinds
	bool local;	// somebody changes our address on the way
	bool remote;	// or the peer's; also what a peer pretends that wants ESP in UDP
};

// Compares the notifies of a received message with where it arrived and whence it came.
int nat_check(const struct ike_msg *m, const struct ike_crypto *c, const struct ip_endpoint *local,
	      const struct ip_endpoint *remote, struct nat_result *out);
