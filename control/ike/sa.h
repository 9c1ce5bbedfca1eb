// An IKE SA from the inside (RFC 7296 2): what control/ike/*.c share. ike.h is the outside.
//
// Threads:   one thread steps an SA at a time.
// Ownership: everything hanging here is freed and wiped by ike_sa_destroy.
// Errors:    memory that runs out is remembered in `struct step` and returned by ike_step.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/ike.h"
#include "control/ike/keys.h"
#include "control/ike/message.h"

enum { IKE_NONCE_LEN = 32 };		// bytes: half the key of every PRF we have (RFC 7296 2.10)
enum { IKE_DELETE_TRIES = 2 };		// repeats of a DELETE of the IKE SA: closing is bounded
enum { IKE_REFUSED_WAIT_MS = 1000 };	// see refused() in ike_sa_init.c
enum { IKE_TERMINATE_WAIT_MS = 10000 }; // for the request under way, before the SA is closed

struct octets { // owned bytes
	uint8_t *data;
	size_t len;
};

int octets_set(struct octets *o, const void *data, size_t len); // -ENOMEM
void octets_fini(struct octets *o);

enum ike_phase {	   // where in its life the SA is; the states of the transition table
	PHASE_CREATED,	   // nothing sent or received yet
	PHASE_INIT_SENT,   // initiator waits for the IKE_SA_INIT response
	PHASE_HALF_OPEN,   // responder waits for IKE_AUTH
	PHASE_AUTH_SENT,   // initiator waits for the IKE_AUTH response
	PHASE_ESTABLISHED, // authenticated
	PHASE_DELETING,	   // our DELETE is on its way
	PHASE_CLOSED,
};

enum request_kind { // why we began an exchange
	REQUEST_NONE,
	REQUEST_INIT,
	REQUEST_AUTH,
	REQUEST_LIVENESS,
	REQUEST_DELETE_CHILD,
	REQUEST_DELETE_IKE,
	REQUEST_AUTH_FAILED, // tells the peer that its AUTH does not verify
};

struct ike_request { // ours that is under way; the window is 1 (RFC 7296 2.3)
	enum request_kind kind;
	uint8_t exchange;
	uint32_t message_id;
	struct octets message; // repeated bit by bit (RFC 7296 2.1)
	unsigned repeats, tries_max;
	uint64_t first_ms, next_ms;
	uint32_t spi_in; // REQUEST_DELETE_CHILD
};

struct ike_child {
	struct ike_child *next;
	struct ike_child_info info;
	bool want_delete; // as soon as the window is free
	bool deleting;	  // our DELETE is on its way
};

struct ike_sa {
	const struct ike_env *env;
	const struct ike_conn *conn; // NULL: responder that has not chosen yet
	bool original_initiator;
	enum ike_phase phase;
	uint8_t spi_i[8], spi_r[8];
	struct ip_endpoint local, remote;
	struct identity local_id, remote_id; // ID_ANY until known

	struct proposal chosen; // n == 0 until known
	struct ike_suite suite;
	struct ike_keys keys;
	bool have_keys;
	struct nat_state {
		bool supported, local, remote, encap;
	} nat;

	// IKE_SA_INIT and IKE_AUTH, freed once established
	struct ike_ke *ke;
	struct ike_nonce ni, nr;
	size_t cookie_len;
	uint8_t cookie[LIMIT_IKE_COOKIE_MAX];
	unsigned init_rounds;			   // COOKIE or INVALID_KE_PAYLOAD answers so far
	bool refused;				   // an unauthenticated error has come
	struct octets init_request, init_response; // the final ones, for AUTH (RFC 7296 2.15)
	unsigned auth_failures;
	bool peer_childless; // RFC 6023
	unsigned peer_hashes; // that it accepts in signatures (RFC 7427 4); 0: not announced
	const struct ike_child_conf *first_child;
	uint32_t first_spi;				      // reserved for it, 0: none
	struct selector_list first_local_ts, first_remote_ts; // as offered

	uint32_t next_request_id, expected_id; // ours, the peer's (RFC 7296 2.2)
	struct ike_request request;
	struct octets reply; // to expected_id - 1, kept for its repetition
	uint8_t reply_exchange;

	struct ike_child *children;
	uint32_t last_reqid;
	uint32_t orphan_spi; // of a child that the peer has and we refused: to be deleted, 0: none
	bool want_terminate, want_check;

	uint64_t created_ms, established_ms;
	uint64_t give_up_ms; // half open, refused or terminated: then closed
	uint64_t last_inbound_ms, last_inbound_esp_ms;
	uint64_t armed_ms;
};

struct step { // one call of ike_step
	struct ike_sa *sa;
	const struct ike_event *ev;
	struct ike_actions *out;
	enum request_kind answered; // which request a response has ended
	bool nomem;
};

// ---- actions.c: what a step wants done ----

void act_send(struct step *st, const struct octets *message, uint8_t exchange, uint32_t message_id,
	      bool is_response, bool is_repeat);
void act_arm_timer(struct step *st, uint64_t deadline_ms);
// Takes the secrets of `install` in any case. False when memory ran out: nothing is installed.
bool act_install(struct step *st, struct ike_child_install *install);
// False when memory ran out: the child is to be kept.
bool act_remove(struct step *st, const struct ike_child *child, bool peer_gone);
void act_report(struct step *st, enum ike_report_code code, enum ike_severity severity,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));
// Removes the children, reports why and closes; ike_step adds IKE_ACT_CLOSED at its end.
void act_close(struct step *st, bool peer_gone, const char *why);
void act_closed(struct step *st);

// ---- sa.c ----

bool sa_random_spi(const struct ike_env *env, uint8_t spi[8]); // never zero
// Our identity: the configured one or our address; the peer's identity stays what it says.
struct identity sa_identity_of(const struct identity *configured, const struct ip_addr *a);
// The key for the SA's identities; a peer configured as %any or by a pattern is also found by its
// address. NULL when there is none.
const struct secret *sa_psk(const struct ike_sa *sa, const struct identity *remote);
// Frees and wipes what only IKE_SA_INIT and IKE_AUTH needed.
void sa_forget_handshake(struct ike_sa *sa);
// Gives the SPI reserved for the first child back, if any.
void sa_release_first_spi(struct ike_sa *sa);
