// An IKE SA from the inside (RFC 7296 2): what control/ike/*.c share. ike.h is the outside.
//
// Threads:   one thread steps an SA at a time.
// Ownership: everything hanging here is freed and wiped by ike_sa_destroy.
// Errors:    memory that runs out is remembered in `struct step` and returned by ike_step.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/fragment.h"
#include "control/ike/ike.h"
#include "control/ike/kex.h"
#include "control/ike/keys.h"
#include "control/ike/message.h"

enum { IKE_DELETE_TRIES = 2 };		// repeats of a DELETE of the IKE SA: closing is bounded
enum { IKE_REFUSED_WAIT_MS = 1000 };	// see refused() in ike_sa_init.c
enum { IKE_TERMINATE_WAIT_MS = 10000 }; // for the request under way, before the SA is closed
enum { IKE_RETRY_MS = 10000 };		// after TEMPORARY_FAILURE (RFC 7296 2.25), plus up to half
enum { IKE_REFUSED_RETRY_MS = 60000 };	// after another refusal of a rekeying
enum {
	IKE_REPLACED_WAIT_MS = 180000
};				      // for the peer to delete what it has replaced: as long as
				      // it may repeat the request, should our answer be lost
enum { IKE_DOUBT_RETRY_MS = 2000 };   // for the peer to learn of a child that it has asked for
enum { IKE_RIVAL_WAIT_MS = 300000 };  // for it to be known which of two successors stays
enum { IKE_PROBE_MS = 500 };	      // whether the peer uses a new child already
enum { IKE_ATTACK_TRIES = 3 };	      // more of them while our ports are flooded
enum { IKE_LOSS_WAIT_MS = 600000 };   // for an answer that we may have lost, without ESP
enum { IKE_ATTACK_DEFER_MS = 30000 }; // a rekeying of the IKE SA then, plus up to half
enum { IKE_EXPIRED_WAIT_MS = 10000 }; // for the DELETE of a child whose lifetime is over
enum { IKE_EARLY_TRIES = 2 };	      // of an opener, where the first wait is at least as long as
enum { IKE_EARLY_WAIT_MS = 2000 };    // that
enum { IKE_FALL_BACK_REPEATS = 2 };   // of IKE_SA_INIT to 500, and fallback_port is tried
enum { IKE_TRY_PATHS_REPEATS = 2 };   // of a request, and other pairs of addresses are tried
enum { IKE_COOKIE2_LEN = 16 };	      // of ours (RFC 4555 4.2.5)

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
	PHASE_REKEYED,	   // the peer has replaced it and is to delete it
	PHASE_DELETING,	   // our DELETE is on its way
	PHASE_CLOSED,
};

enum request_kind { // why we began an exchange
	REQUEST_NONE,
	REQUEST_INIT,
	REQUEST_AUTH,
	REQUEST_LIVENESS,
	REQUEST_CHILD, // a further child, or one that replaces another
	REQUEST_REKEY, // an IKE SA that replaces this one
	REQUEST_DELETE_CHILD,
	REQUEST_DELETE_IKE,
	REQUEST_AUTH_FAILED, // tells the peer that its AUTH does not verify
	REQUEST_UPDATE,	     // moves the SAs to the addresses that it comes from (RFC 4555 3.5)
	REQUEST_RETURN,	     // does the peer receive at its new address (RFC 4555 3.7)?
	REQUEST_ADDRS,	     // tells what addresses we have (RFC 4555 3.6)
};

struct ike_request { // ours that is under way; the window is 1 (RFC 7296 2.3)
	enum request_kind kind;
	uint8_t exchange;
	uint32_t message_id;
	struct octets message; // repeated bit by bit (RFC 7296 2.1); fragments back to back
	unsigned repeats, tries_max;
	unsigned early; // repeats of an opener before the first wait is over
	uint64_t first_ms, next_ms;
	uint32_t spi_in; // REQUEST_DELETE_CHILD
	bool doubtful;	 // the same: the peer may not know the child yet
	bool lists;	 // it holds the list of our addresses
	bool tried;	 // repeated between other pairs of addresses as well
	bool scattered;	 // sent between more than one pair: its answer says nothing of either
	uint8_t cookie2[IKE_COOKIE2_LEN]; // REQUEST_UPDATE, REQUEST_RETURN
};

struct child_request {			   // the child SA that our request under way is to make
	const struct ike_child_conf *conf; // NULL: none
	uint32_t spi_in;		   // reserved, 0: none
	struct selector_list local_ts, remote_ts; // as offered
	bool transport;				  // asked for
	// CREATE_CHILD_SA only
	struct ike_nonce ni;
	struct kex kex;	    // empty without a key exchange of its own
	uint32_t replaces;  // inbound SPI of the child that it replaces, 0: a further one
	bool doubtful;	    // the peer may not know that child yet
	unsigned rounds;    // INVALID_KE_PAYLOAD answers so far
	uint32_t rival_spi; // inbound SPI of the child that the peer made meanwhile for the same
			    // purpose, 0: none (RFC 7296 2.8.1)
	struct ike_nonce rival_nonce; // the lower one of that exchange
};

struct parked { // see parked.h
	bool held;
	uint8_t header[28], first; // of the message; the type of its first payload
	struct octets plain;	   // its payloads
	struct ip_endpoint local, remote;
	uint64_t until_ms; // then the judgement is made in any case; 0: nothing was ever parked
};

struct ike_child {
	struct ike_child *next;
	struct ike_child_info info;
	bool want_delete; // as soon as the window is free
	bool deleting;	  // our DELETE is on its way
	bool want_rekey;
	uint64_t retry_ms;    // not to be rekeyed before
	uint32_t replacement; // inbound SPI of the child that replaces it, 0: none
	bool redundant;	      // lost against another replacement: never to be used
	uint64_t drop_ms;     // to be deleted by us if the peer has not by then
	uint64_t end_ms;      // to leave the dataplane, whether the peer answers or not
	// Made by a request of the peer, which may not have our answer yet; it has when it sends
	// its next request (its window is 1).
	bool doubtful;
	uint32_t answer_id;
	bool out_later; // `out` waits here for its use
	struct esp_sa out;
	uint64_t probe_ms; // with out_later: has the peer used it?
	bool out_soon;	   // with out_later: then it is used in any case
};

struct child_want { // a child to be made as soon as the window is free
	const struct ike_child_conf *conf;
	uint64_t retry_ms; // not before
};

struct ike_path {
	struct ip_endpoint local, remote;
	bool encap; // ESP in UDP
};

struct mobike {	     // RFC 4555
	bool on;     // both sides have announced it
	bool leader; // ours is the initiator's part, which rekeying does not change (RFC 4555 1.3)
	bool want_update, want_return, want_addrs; // requests to be sent, see request_kind
	unsigned n_own, n_peer;
	struct ip_addr own[LIMIT_IKE_ADDRS];	  // our addresses, when last looked at
	struct ip_addr peer[LIMIT_IKE_ADDRS + 1]; // the peer's, as it told
	struct ike_path agreed;			  // what the peer has last agreed to, with its NATs
	bool kept;	   // the path has been found by trying; routes do not change it
	unsigned refusals; // of updates in a row
	bool seen;	   // by the NAT before us, in an answer: its hash (RFC 4555 3.8)
	uint8_t seen_as[20];
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
	// Of the children: behind local, remote and nat.encap while it is not known whether the
	// peer receives at its new address (path.h).
	struct ike_path esp;
	struct ip_addr ts_local, ts_remote; // what 'dynamic' stands for: the first addresses
	struct mobike mobike;

	// IKE_SA_INIT and IKE_AUTH, freed once established
	struct kex kex;
	struct ike_nonce ni, nr;
	size_t cookie_len;
	uint8_t cookie[LIMIT_IKE_COOKIE_MAX];
	unsigned init_rounds; // COOKIE or INVALID_KE_PAYLOAD answers so far
	bool refused;	      // an unauthenticated error has come
	unsigned silent_500; // messages to 500 before it went to conn->fallback_port, 0: it did not
	bool port_told;	     // that this one answers
	struct octets init_request, init_response; // the final ones, for AUTH (RFC 7296 2.15)
	unsigned auth_failures;
	struct parked parked;
	bool peer_childless;  // RFC 6023
	bool first_contact;   // we have no other IKE SA with this peer (RFC 7296 2.4)
	unsigned peer_hashes; // that it accepts in signatures (RFC 7427 4); 0: not announced

	uint32_t next_request_id, expected_id; // ours, the peer's (RFC 7296 2.2)
	struct ike_request request;
	struct octets reply; // to expected_id - 1, kept for its repetition; fragments back to back
	uint8_t reply_exchange;
	bool may_fragment;		 // the peer reassembles (RFC 7383 2.3)
	struct reassembly reassembly[2]; // of a request of the peer, of a response

	struct child_request child;
	struct child_want *wants;
	size_t n_wants;
	struct ike_child *children;
	uint32_t last_reqid;
	uint32_t orphan_spi; // of a child that the peer has and we refused: to be deleted, 0: none
	bool want_terminate, want_check, want_rekey;

	// Rekeying the IKE SA itself (RFC 7296 2.8, 2.18). `next` is ours until its keys exist;
	// then it is handed out. `rival` was made by a request of the peer while ours was on its
	// way: it is handed out, and gets the children when it turns out to be the one that stays.
	struct ike_sa *next;
	struct ike_sa *rival;
	struct ike_nonce rival_nonce; // the lower one of that exchange
	struct ike_sa *predecessor;   // of a rival, while it may still get the children
	unsigned rekey_rounds;	      // INVALID_KE_PAYLOAD answers so far
	uint64_t rekey_ms, retry_ms;  // when to begin, and not before; IKE_NEVER
	uint64_t over_ms;	      // lifetime; IKE_NEVER

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
	bool last_word;		    // a judgement on the peer may not be put off any more
	bool nomem;
};

// ---- actions.c: what a step wants done ----

// One action for each of the IKE messages that stand back to back in `message`.
void act_send(struct step *st, const struct octets *message, uint8_t exchange, uint32_t message_id,
	      bool is_response, bool is_repeat);
// Repeats a request between other addresses than those of the SA.
void act_send_between(struct step *st, const struct octets *request, uint8_t exchange,
		      uint32_t message_id, const struct ip_endpoint *local,
		      const struct ip_endpoint *remote);
void act_arm_timer(struct step *st, uint64_t deadline_ms);
// Takes the secrets of `install` in any case. False when memory ran out: nothing is installed.
bool act_install(struct step *st, struct ike_child_install *install);
// Takes the secrets of child->out.
void act_use(struct step *st, struct ike_child *child);
void act_port(struct step *st, unsigned silent);
// False when memory ran out.
bool act_wait(struct step *st, uint32_t wait);
void act_child_failed(struct step *st, const struct child_request *r, uint16_t notify);
// Takes `successor`. False when memory ran out; it is destroyed then.
bool act_successor(struct step *st, struct ike_sa *successor);
void act_only_sa(struct step *st);
void act_adopt(struct step *st, struct ike_sa *from, struct ike_sa *to);
// False when memory ran out: the child is to be kept.
bool act_remove(struct step *st, const struct ike_child *child, bool peer_gone);
void act_move(struct step *st, uint32_t spi_in, uint32_t spi_out, const struct ip_endpoint *local,
	      const struct ip_endpoint *remote);
void act_report(struct step *st, enum ike_report_code code, enum ike_severity severity,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));
// Removes the children, reports why and closes; ike_step adds IKE_ACT_CLOSED at its end.
void act_close(struct step *st, bool peer_gone, const char *why);
void act_closed(struct step *st);

// ---- sa.c ----

bool sa_random_spi(const struct ike_env *env, uint8_t spi[8]);		      // never zero
struct ike_sa *sa_create(const struct ike_env *env, bool original_initiator); // NULL: no memory
// `ms` and up to `spread` more at random.
uint64_t sa_later(const struct ike_sa *sa, uint64_t ms, uint64_t spread);
// Sets the deadlines of an IKE SA that has just been established.
void sa_lifetime_start(struct ike_sa *sa, uint64_t now_ms);
// Sets them anew, counted from now.
void sa_rekey_start(struct ike_sa *sa, uint64_t now_ms);
// Our identity: the configured one or our address; the peer's identity stays what it says.
struct identity sa_identity_of(const struct identity *configured, const struct ip_addr *a);
// The key for the SA's identities; a peer configured as %any or by a pattern is also found by its
// address. NULL when there is none.
const struct secret *sa_psk(const struct ike_sa *sa, const struct identity *remote);
// Frees and wipes what only IKE_SA_INIT and IKE_AUTH needed.
void sa_forget_handshake(struct ike_sa *sa);
// Gives up the child that a request was to make: its SPI goes back, its key exchange is freed.
void child_request_fini(struct ike_sa *sa);
bool sa_want_child(struct ike_sa *sa, const struct ike_child_conf *conf, uint64_t retry_ms);
// Wipes and frees one that is in no list any more.
void ike_child_free(struct ike_child *child);
