// Every reason for which the dataplane drops a packet: enum, name and explanation in one list.
#pragma once

#define DROP_REASONS(X)                                                                            \
	X(RX_MALFORMED, "rx-malformed", "header cut short, bad version, length or checksum")       \
	X(RX_SCOPE, "rx-scope",                                                                    \
	  "IPv6 to others whose source is of one link only, or to many stations")                  \
	X(RX_OTHER_MAC, "rx-other-mac", "frame for another station, or sent by our own address")   \
	X(RX_VLAN, "rx-vlan", "tagged with a VLAN of no port, or untagged where no port is")       \
	X(TTL_EXCEEDED, "ttl-exceeded", "time to live or hop limit used up")                       \
	X(NO_POLICY, "no-policy", "no policy matches; between ports the default is discard")       \
	X(POLICY_DISCARD, "policy-discard", "a child with mode=drop matches")                      \
	X(CLEAR_INBOUND, "clear-inbound", "clear text arrived where ESP is due")                   \
	X(NO_SA, "no-sa", "a protect policy matches, no outbound SA, and nobody to set one up")    \
	X(NO_SA_TIMEOUT, "no-sa-timeout", "waited 1 s for an outbound SA that did not come")       \
	X(NO_SA_FULL, "no-sa-full", "too many packets wait for an outbound SA: the oldest goes")   \
	X(OUT_SELECTOR, "out-selector", "policy matches but the SA's negotiated selectors do not") \
	X(OUT_NOT_OWN, "out-not-own",                                                              \
	  "a transport mode SA carries only what this gateway itself sends to the peer")           \
	X(SEQ_EXHAUSTED, "seq-exhausted", "outbound sequence number would wrap (RFC 4303 3.3.3)")  \
	X(SA_LIFE, "sa-life", "life_bytes or life_packets of the SA are used up, either way")      \
	X(TOO_BIG, "too-big",                                                                      \
	  "does not fit the tunnel or port, and is not to be cut: ICMP if allowed")                \
	X(NO_ROUTE, "no-route", "no route to the destination")                                     \
	X(TUNNEL_LOOP, "tunnel-loop",                                                              \
	  "would go back into its tunnel, or its route has just changed")                          \
	X(NO_NEIGHBOUR, "no-neighbour", "next hop's MAC address not resolved in time")             \
	X(HOLD_FULL, "hold-full", "too many packets wait for a next hop's MAC address")            \
	X(ESP_MALFORMED, "esp-malformed", "ESP packet cut short or not a multiple of 4 bytes")     \
	X(ESP_NO_SA, "esp-no-sa", "ESP with an SPI that we do not have (RFC 4301 5.2)")            \
	X(ESP_ENCAP, "esp-encap", "plain ESP where UDP is agreed, or UDP where plain is")          \
	X(ESP_REPLAY, "esp-replay", "duplicate or outside the anti-replay window")                 \
	X(ESP_AUTH, "esp-auth", "integrity check failed (RFC 4303 3.4.4)")                         \
	X(ESP_PADDING, "esp-padding", "padding is not 1, 2, 3, ... (RFC 4303 2.4)")                \
	X(ESP_DUMMY, "esp-dummy", "dummy packet, next header 59 (RFC 4303 2.6): not an error")     \
	X(ESP_NEXT_HEADER, "esp-next-header",                                                      \
	  "next header is neither IPv4 nor IPv6 (tunnel mode)")                                    \
	X(ESP_INNER, "esp-inner", "inner packet is malformed, or of another link")                 \
	X(ESP_SELECTOR, "esp-selector", "inner packet is outside the SA's selectors")              \
	X(ESP_ECN, "esp-ecn",                                                                      \
	  "congestion marked outside, inner packet cannot say so (RFC 6040 4.2)")                  \
	X(NATT_KEEPALIVE, "natt-keepalive", "NAT keepalive, one byte 0xFF: not an error")          \
	X(FRAGMENT, "fragment", "fragment to us of a packet that did not get whole")               \
	X(HANDOVER_FULL, "handover-full",                                                          \
	  "the worker that owns the SA has no room for the packet")                                \
	X(CRYPTO, "crypto", "the crypto library refused the job")                                  \
	X(NO_MBUF, "no-mbuf", "packet memory used up, or no room for ESP in the buffer")           \
	X(GUARD_MALFORMED, "guard-malformed", "to UDP/500 or 4500, and no IKE message")            \
	X(GUARD_LIMITED, "guard-limited", "IKE beyond what the guard lets pass of its kind")       \
	X(GUARD_UNREPEATED, "guard-unrepeated",                                                    \
	  "one of a flood of openers: answered when it is repeated")                               \
	X(PUNT_FULL, "punt-full", "the ring towards Linux is full")                                \
	X(PUNT_WRITE, "punt-write", "Linux did not take the packet from the TAP")                  \
	X(TX_FULL, "tx-full", "the port did not take the packet")

enum drop_reason {
#define X(id, name, help) DROP_##id,
	DROP_REASONS(X)
#undef X
		DROP_REASON_COUNT
};
