// The flight recorder: what happened lately, in fixed memory, whether anybody looks or not.
//
// Three things. Events: every change of an IKE SA or a child with its reason, negotiations that
// failed, rekeyings and how long they took, alarms of the guard, links. Headers: the last IKE
// messages of each peer in both directions, and what became of each. Seconds: what was counted in
// each of the last ten minutes' seconds. Strangers have places of their own, so that they cannot
// push out what is kept of peers.
//
// Pure: the time is an argument, in milliseconds or seconds since 1970 (UTC), because what is kept
// outlives the daemon (control/recorder_file.h).
//
// Threads:   control only.
// Ownership: texts of a record are the recorder's until the next recorder_event.
// Errors:    what finds no room pushes out what is oldest; nothing fails, nothing is allocated
// after
//            recorder_create but the headers of a peer that is new (LIMIT_RECORD_PEERS).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dp.h"
#include "lib/addr.h"
#include "lib/limits.h"

struct recorder;

int recorder_create(struct recorder **out); // -ENOMEM
void recorder_destroy(struct recorder *r);  // NULL is allowed
// Grows with each event and header.
uint64_t recorder_changes(const struct recorder *r);

// ---- events ----

#define RECORD_KINDS(X)                                                                            \
	X(IKE, "ike", "an IKE SA: connecting, up, moved, down")                                    \
	X(CHILD, "child", "a child SA: up, down")                                                  \
	X(REKEY, "rekey", "an IKE SA or child SA was replaced by a new one")                       \
	X(FAILURE, "failure", "a negotiation failed, or a peer does not answer")                   \
	X(GUARD, "guard", "the guard holds messages back, or no longer does")                      \
	X(LINK, "link", "a port's link")                                                           \
	X(GATEWAY, "gateway", "the daemon: start, stop, reload")

enum record_kind {
#define X(id, name, help) RECORD_##id,
	RECORD_KINDS(X)
#undef X
		RECORD_KIND_COUNT
};

enum record_level { RECORD_ERROR, RECORD_NOTICE, RECORD_INFO, RECORD_LEVEL_COUNT };

#define RECORD_CODE_MAX 32   // bytes of a code, terminator included
#define RECORD_NAME_MAX 128  // of a connection (or a peer's address before one is known), a child
#define RECORD_TEXT_MAX 1024 // of a text
#define RECORD_UNKNOWN	UINT32_MAX

struct record_event {
	uint64_t id;	 // counts up, also beyond a restart
	int64_t time_ms; // since 1970
	enum record_kind kind;
	enum record_level level;
	bool stranger;	  // no configured peer
	bool before;	  // of an earlier run of the daemon
	uint32_t ike_id;  // of that run; 0: none
	uint32_t took_ms; // from our request to the answer; RECORD_UNKNOWN
	// "" for none. `code` is stable: that of the report, "link-down", "guard-alarm", ...
	const char *code, *conn, *child, *text;
};

// Keeps one; id and `before` are filled in, longer texts are cut. Returns its id.
uint64_t recorder_event(struct recorder *r, const struct record_event *e);
// The oldest one with an id above `after`. False: there is none.
bool recorder_event_after(const struct recorder *r, uint64_t after, struct record_event *out);
uint64_t recorder_last_id(const struct recorder *r); // 0: none yet
// Those that were pushed out.
uint64_t recorder_events_lost(const struct recorder *r);
// Is told of each new one (the event stream). NULL ends it.
void recorder_follow(struct recorder *r, void (*fn)(void *ctx, const struct record_event *e),
		     void *ctx);
const char *record_kind_name(enum record_kind kind);
const char *record_level_name(enum record_level level);

// ---- headers ----

// How far a message came: enum, name, hop where it ended, explanation. Of what ends before Linux,
// or behind it on the way out, there are samples (recorder_lost) and the dataplane's counts.
#define RECORD_FATES(X)                                                                            \
	X(TAKEN, "taken", "core", "the IKE SA took it and acted on it")                            \
	X(NO_EFFECT, "no-effect", "core",                                                          \
	  "the IKE SA did nothing: a fragment that waits for others, a repetition of what is "     \
	  "done, "                                                                                 \
	  "or it does not verify")                                                                 \
	X(REPEATED, "repeated", "core", "known already: the answer was sent once more")            \
	X(INVALID, "invalid", "core", "the IKE SA ignored it as malformed or unexpected")          \
	X(MALFORMED, "malformed", "parser", "no IKE header, or its length is wrong")               \
	X(IKEV1, "ikev1", "parser", "IKEv1, which is not spoken here")                             \
	X(NO_SA, "no-sa", "parser", "of an IKE SA that we do not have")                            \
	X(LIMITED, "limited", "parser", "too many half-open IKE SAs, or we are stopping")          \
	X(COOKIE, "cookie", "parser", "answered with a request for a cookie")                      \
	X(SENT, "sent", "socket", "Linux took it; whether it left the port is not known here")     \
	X(SEND_FAILED, "send-failed", "socket", "Linux refused it")                                \
	X(GUARD_COOKIE, "guard-cookie", "guard",                                                   \
	  "one opener too many: the guard answered with a request for a cookie")                   \
	X(GUARD_LIMITED, "guard-limited", "guard", "more than the guard lets pass of its kind")    \
	X(GUARD_MALFORMED, "guard-malformed", "guard", "no IKE message")                           \
	X(RING_FULL, "ring-full", "ring", "no room between the workers and Linux")                 \
	X(TAP_REFUSED, "tap-refused", "tap", "Linux did not take it from the TAP")                 \
	X(PORT_FULL, "port-full", "port", "the port did not take it: it never left")

enum record_fate {
#define X(id, name, hop, help) RECORD_FATE_##id,
	RECORD_FATES(X)
#undef X
		RECORD_FATE_COUNT
};

struct record_header { // of one IKE message
	int64_t time_ms;
	struct ip_endpoint local, remote;
	uint8_t spi_i[8], spi_r[8];
	uint32_t message_id;
	uint32_t len;					// bytes, without non-ESP marker
	uint8_t version, exchange, flags, next_payload; // as on the wire
	bool out;					// we sent it
	bool proved; // of an IKE SA whose peer is authenticated
	bool cut;	// shorter than a header: only time, endpoints, len and fate count
	uint8_t fate;	// enum record_fate
	uint16_t error; // errno of RECORD_FATE_SEND_FAILED
};

struct record_peer {
	struct ip_addr addr;			   // IP_NONE: all strangers together
	int64_t first_ms, last_in_ms, last_out_ms; // 0: never
	uint64_t count[RECORD_FATE_COUNT];	   // since the start
	unsigned n, n_lost;			   // headers that are kept, the oldest first
};

// Fills what stands in the header itself; `len` may be anything.
void record_header_parse(struct record_header *h, const uint8_t *bytes, size_t len);
// Messages that prove nothing, as forged openers with a peer's address, push out at most half of what
// is kept of it. `known`: configured, or authenticated. -ENOMEM: it is counted among strangers.
int recorder_header(struct recorder *r, const struct record_header *h, bool known);
// One of a message that control has not seen, or that did not leave. It has a place of its own,
// pushes out no other peer's, and is not counted: these are samples. -ENOMEM: it is not kept.
int recorder_lost(struct recorder *r, const struct record_header *h, bool known);
// Peers in no order: -ENOENT beyond the last one. The first one (0) is all strangers.
int recorder_peer(const struct recorder *r, size_t i, struct record_peer *out);
// Its number, for as long as nothing is recorded. False: nothing is kept of that address.
bool recorder_peer_find(const struct recorder *r, const struct ip_addr *addr, size_t *i);
// Header `at` (from 0, the oldest) of peer `i`. NULL: there is none.
const struct record_header *recorder_peer_header(const struct recorder *r, size_t i, unsigned at);
const struct record_header *recorder_peer_lost(const struct recorder *r, size_t i, unsigned at);
const char *record_fate_name(enum record_fate fate);
const char *record_fate_hop(enum record_fate fate);
const char *record_fate_help(enum record_fate fate);

// ---- seconds ----

#define RECORD_DROPS(X)                                                                            \
	X(BAD, "malformed")	  /* frames and headers that are none */                           \
	X(POLICY, "policy")	  /* discarded, or in clear where ESP is due */                    \
	X(NO_SA, "no-sa")	  /* no outbound SA, or it is used up */                           \
	X(ROUTE, "route")	  /* no route, no neighbour */                                     \
	X(SIZE, "size")		  /* too big, fragments */                                         \
	X(ESP_NO_SA, "esp-no-sa") /* ESP of SAs that we do not have, or in the wrong wrapping */   \
	X(ESP_AUTH, "esp-auth")	  /* integrity */                                                  \
	X(ESP_REPLAY, "esp-replay")                                                                \
	X(ESP_OTHER, "esp-other")                                                                  \
	X(GUARD, "guard")                                                                          \
	X(OVERLOAD, "overload") /* rings, memory, crypto */                                        \
	X(HARMLESS, "harmless") /* dummies, keepalives, other stations' frames */

enum record_drop {
#define X(id, name) RECORD_DROP_##id,
	RECORD_DROPS(X)
#undef X
		RECORD_DROP_COUNT
};

struct record_totals { // counters since the start, as the dataplane and ike_run have them
	uint64_t guard[GUARD_FATE_COUNT]; // messages to UDP/500 and 4500
	uint64_t drops[DROP_REASON_COUNT];
	uint64_t rx_packets, tx_packets, rx_missed, tx_errors, to_linux, from_linux; // ports
	uint64_t esp_in, esp_out;
	uint64_t ike_in, ike_out, ike_errors;  // messages of control
	uint32_t half_open, ike_sas, children; // now
	unsigned n_workers;
	uint64_t busy[DP_WORKERS_MAX], idle[DP_WORKERS_MAX]; // cycles
};

struct record_second {	  // of one second; what does not fit is cut to the largest number
	int64_t time_s;	  // since 1970, its end; 0: never counted
	uint32_t span_ms; // that it really lasted
	uint32_t guard[GUARD_FATE_COUNT];
	uint32_t drops[RECORD_DROP_COUNT];
	uint32_t rx_packets, tx_packets, rx_missed, tx_errors, to_linux, from_linux;
	uint32_t esp_in, esp_out;
	uint32_t ike_in, ike_out, ike_errors;
	uint32_t half_open, ike_sas, children;
	uint8_t n_workers;
	uint8_t busy[DP_WORKERS_MAX]; // percent
};

// Once a second; the first call only gives the numbers to count from.
void recorder_tick(struct recorder *r, int64_t now_ms, const struct record_totals *totals);
// Second `at`, 0 is the newest. NULL: so many have not been counted.
const struct record_second *recorder_second(const struct recorder *r, unsigned at);
// The sum of up to `n` of the newest seconds (gauges and busy: the largest). Returns how many.
unsigned recorder_seconds_sum(const struct recorder *r, unsigned n, struct record_second *out);
enum record_drop record_drop_group(enum drop_reason reason);
const char *record_drop_name(enum record_drop group);
