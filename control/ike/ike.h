// IKEv2 (RFC 7296) as a pure core: events in, actions out.
//
// No socket, clock, randomness source or global is touched: time and events come with the call,
// randomness, key exchange, SPIs and pre-shared keys come from `struct ike_env`, effects are
// returned as actions that control/ike_run.c carries out in order.
//
// Threads:   none of its own; one thread steps an SA at a time.
// Ownership: an ike_sa borrows its conn and env for its whole life, a child's configuration until
//            ike_sa_has_child says no; the connection may lose it before (IKE_EV_RETIRE_CHILD).
//            Actions own their memory until ike_actions_fini.
// Lifetime:  create -> ike_step ... -> IKE_ACT_CLOSED -> destroy.
// Errors:    a peer's bytes never make ike_step fail: they are answered, reported or ignored.
//            -ENOMEM is the only error; the actions that were appended are to be carried out, then
//            the SA is to be destroyed with the children that ike_sa_child_info still lists.
//
// Two words that are never shortened: `original_initiator` (of the IKE SA) and
// `exchange_initiator` (of one exchange).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/ike_cred.h"
#include "control/ike/ike_crypto.h"
#include "lib/addr.h"
#include "lib/auth_rule.h"
#include "lib/esp_sa.h"
#include "lib/identity.h"
#include "lib/ike_wire.h"
#include "lib/limits.h"
#include "lib/secret.h"
#include "lib/selector.h"
#include "lib/transform.h"

#define IKE_NAME_MAX 64
#define IKE_NEVER    UINT64_MAX // a deadline that does not come

// ---- configuration, as the core wants it ----

struct ike_child_conf {
	char name[IKE_NAME_MAX];
	struct proposal_list esp;
	struct selector_list local_ts, remote_ts;
	struct selector_dynamic local_dynamic,
		remote_dynamic;	 // beside those: the tunnel's own address
	bool transport;		 // to be asked for, and agreed to
	uint32_t replay_window;	 // packets
	struct outer_rule outer; // of ESP's outer header
	uint16_t tfc_padding;	 // as in struct esp_sa
	uint32_t dummies;	 // as in struct esp_sa
	// A child SA is rekeyed rekey_time_ms, less up to rand_time_ms, after it was made, and
	// deleted life_time_ms after it. 0: never.
	uint64_t rekey_time_ms, rand_time_ms, life_time_ms;
	void *user; // ike_run's
};

enum ike_fragmentation { // RFC 7383, strongSwan's words
	IKE_FRAG_YES,	 // announced; used with a peer that announces it too
	IKE_FRAG_ACCEPT, // announced, not used by ourselves
	IKE_FRAG_NO,	 // not announced
};

enum ike_send_cert { SEND_CERT_IFASKED, SEND_CERT_ALWAYS, SEND_CERT_NEVER };

struct ike_conn {
	char name[IKE_NAME_MAX];
	struct proposal_list ike;
	struct identity local_id;		// ID_ANY: our address
	struct identity remote_id;		// ID_ANY: whatever the peer says
	enum auth_kind local_auth, remote_auth; // how we, how the peer proves that
	enum ike_send_cert send_cert;
	bool send_certreq;
	bool force_encap; // always ESP in UDP
	bool mobike;	  // announced (RFC 4555); needs the callbacks of ike_env
	// A port of the peer to begin with when nothing answers on 500, 0: none. With the non-ESP
	// marker, from our 4500 (RFC 7296 2.23).
	uint16_t fallback_port;
	enum ike_fragmentation fragmentation;
	size_t fragment_size;  // bytes of an IP datagram: larger messages are fragmented; 0: never
	uint64_t dpd_delay_ms; // 0: never
	// The IKE SA is rekeyed rekey_time_ms, less up to rand_time_ms, after it was made (0:
	// never) and deleted over_time_ms later when that did not work.
	uint64_t rekey_time_ms, rand_time_ms, over_time_ms;
	// Retransmission (RFC 7296 2.1): the n-th wait is base * factor^n; after `tries` repeats
	// and one more wait the peer is given up. Defaults: 4000 ms, 1.8, 5 (strongSwan's).
	uint64_t retransmit_base_ms;
	double retransmit_factor;
	unsigned retransmit_tries;
	const struct ike_child_conf **children; // each lives as long as an SA may have it
	size_t n_children;
	void *user; // ike_run's
};

struct ike_env {
	void *ctx; // first argument of the callbacks below
	const struct ike_crypto *crypto;
	const struct ike_cred *cred; // NULL when every connection uses pre-shared keys
	// An inbound ESP SPI, host order (dp_sa_in_reserve). -ENOSPC.
	int (*spi_reserve)(void *ctx, uint32_t *spi);
	// Gives back one that was reserved and never installed.
	void (*spi_release)(void *ctx, uint32_t spi);
	// The pre-shared key for a pair of identities; NULL when there is none. Borrowed until the
	// call of ike_step returns.
	const struct secret *(*psk_find)(void *ctx, const struct identity *local,
					 const struct identity *remote);
	// Responder: connections whose addresses fit, in order of preference, ended by NULL.
	const struct ike_conn *const *(*conns_find)(void *ctx, const struct ip_addr *local,
						    const struct ip_addr *remote);
	// Of these the ones with remote_auth AUTH_BY_SIGNATURE, as many as it takes to name each CA
	// that one of them accepts; and the ones whose remote_id may stand for an identity. They
	// only spare the core a look at all; NULL: it looks at all.
	const struct ike_conn *const *(*conns_signing)(void *ctx, const struct ip_addr *local,
						       const struct ip_addr *remote);
	const struct ike_conn *const *(*conns_named)(void *ctx, const struct ip_addr *local,
						     const struct ip_addr *remote,
						     const struct identity *id);
	// Responder: is there an SA already, of whatever IKE SA, that this child sends on?
	// NULL: never.
	bool (*child_sends)(void *ctx, const struct ike_child_conf *child);
	// Has the peer sent anything yet on the child SA with that inbound SPI?
	bool (*child_used)(void *ctx, uint32_t spi_in);
	// MOBIKE (RFC 4555), for connections that use it. Our addresses that the connection may be
	// carried by, at most LIMIT_IKE_ADDRS; `first` is the first of them if it is one.
	unsigned (*addrs_own)(void *ctx, const struct ike_conn *conn, const struct ip_addr *first,
			      struct ip_addr out[LIMIT_IKE_ADDRS]);
	// May it go between these two addresses?
	bool (*addrs_allowed)(void *ctx, const struct ike_conn *conn, const struct ip_addr *local,
			      const struct ip_addr *remote);
	// The address that packets to `remote` leave from by the routes of now. False: no way.
	bool (*addr_source)(void *ctx, const struct ike_conn *conn, const struct ip_addr *remote,
			    struct ip_addr *local);
	// Responder: may that peer, authenticated now, have one more IKE SA of the connection?
	// `only`: it says that it has no other one (INITIAL_CONTACT). NULL: always.
	bool (*may_join)(void *ctx, const struct ike_conn *conn, const struct identity *local,
			 const struct identity *remote, bool only);
	// Marks one of our own SPIs of an IKE SA, which is random, for the dataplane to know it again.
	// NULL: it stays as it is.
	void (*spi_mark)(void *ctx, uint8_t spi[8]);
	uint64_t half_open_ms; // life of a responder before authentication
	// May a refusal of a peer that is not authenticated be explained in full? Called once for
	// each. *stranger: no connection names that address. NULL: always.
	bool (*explain)(void *ctx, const struct ip_addr *remote, bool *stranger);
};

// ---- events ----

enum ike_event_type {
	IKE_EV_INITIATE,	// initiator: start IKE_SA_INIT with one child (may be NULL)
	IKE_EV_MESSAGE,		// bytes received for this SA, non-ESP marker already removed
	IKE_EV_TIMER,		// the armed deadline has come
	IKE_EV_TERMINATE,	// delete the IKE SA, politely
	IKE_EV_TERMINATE_CHILD, // delete one child SA (by its inbound SPI)
	IKE_EV_CHECK,		// send a liveness check now
	IKE_EV_CREATE_CHILD,	// make a further child (ev->child) of an established IKE SA
	IKE_EV_REKEY_CHILD,	// rekey one child SA now (by its inbound SPI)
	IKE_EV_RESTORE_CHILD,	// its tunnel sends on nothing: use it if it waits, else rekey it
	IKE_EV_REKEY,		// rekey the IKE SA now
	IKE_EV_PEER_MOVED,	// genuine, new ESP of a child came from ev->remote
	IKE_EV_ADDRESSES,	// our addresses or the routes have changed
	IKE_EV_RETIRE_CHILD,	// delete every SA of a child (ev->child) and make no more
	IKE_EV_NEW_TIMES,	// those of the connection or of its children have changed
	IKE_EV_GO_ON,		// what IKE_ACT_WAIT waited for has come, or will not come
};

struct ike_event {
	enum ike_event_type type;
	uint64_t now_ms; // monotonic
	// IKE_EV_MESSAGE: where it arrived, whence it came. IKE_EV_PEER_MOVED: remote alone.
	struct ip_endpoint local, remote;
	const uint8_t *bytes; // IKE_EV_MESSAGE
	size_t len;
	// IKE_EV_INITIATE, IKE_EV_CREATE_CHILD, IKE_EV_RETIRE_CHILD
	const struct ike_child_conf *child;
	bool first_contact; // IKE_EV_INITIATE: we have no other IKE SA with that peer
	uint32_t spi_in;    // IKE_EV_TERMINATE_CHILD, IKE_EV_REKEY_CHILD, IKE_EV_RESTORE_CHILD,
			    // IKE_EV_PEER_MOVED
	uint64_t last_inbound_esp_ms; // IKE_EV_TIMER: last ESP decrypted for this peer, 0: never
	bool under_attack; // IKE_EV_TIMER: more IKE comes to our ports than passes the guard
	// IKE_EV_TIMER: when a good part of what came to us was last lost in this machine, 0: never.
	uint64_t last_loss_ms;
};

// ---- actions ----

enum ike_action_type {
	IKE_ACT_SEND,
	IKE_ACT_ARM_TIMER,
	IKE_ACT_INSTALL_CHILD,
	IKE_ACT_USE_CHILD, // what was installed for receiving is good for sending as well now
	IKE_ACT_REMOVE_CHILD,
	IKE_ACT_CHILD_FAILED, // what IKE_EV_CREATE_CHILD or a rekeying wanted did not come about
	IKE_ACT_SUCCESSOR,    // a new IKE SA that replaces an older one
	IKE_ACT_ONLY_SA,      // the peer says that it has no other IKE SA with us
	IKE_ACT_ADOPT,	      // the children of one IKE SA belong to another one now
	IKE_ACT_MOVE_CHILD,   // its outbound SA goes to other outer addresses from now on
	IKE_ACT_PORT,	      // nothing answers on port 500 of the peer, and another port does
	IKE_ACT_WAIT, // IKE_AUTH is put aside until IKE_EV_GO_ON, or for LIMIT_IKE_PARKED_MS
	IKE_ACT_REPORT,
	IKE_ACT_CLOSED, // last: the SA is to be destroyed
};

// What happened, for the log, the API and the doctor. `code` is stable.
enum ike_report_code {
	IKE_REPORT_INFO,
	IKE_REPORT_INIT_SENT,	// initiator: IKE_SA_INIT request sent
	IKE_REPORT_ESTABLISHED, // IKE SA authenticated
	IKE_REPORT_CHILD_UP,
	IKE_REPORT_CHILD_DOWN,
	IKE_REPORT_CHILD_REKEYED,
	IKE_REPORT_REKEYED,	      // the IKE SA
	IKE_REPORT_EXPIRED,	      // a lifetime is over and rekeying did not succeed
	IKE_REPORT_RETRANSMIT,	      // a request is repeated
	IKE_REPORT_NO_ANSWER,	      // given up: the peer never answered (I-SILENT)
	IKE_REPORT_PORT_BLOCKED,      // UDP/500 is silent, another port answers (F-500)
	IKE_REPORT_PORT_BACK,	      // UDP/500 answers again
	IKE_REPORT_PROPOSAL_MISMATCH, // N-PROPOSAL, either side
	IKE_REPORT_KE_MISMATCH,	      // N-KE
	IKE_REPORT_AUTH_FAILED,	      // N-PSK: their AUTH does not verify with our key
	IKE_REPORT_PEER_REFUSED_AUTH, // N-PEERSAIDNO
	IKE_REPORT_NO_CONNECTION,     // N-ID: no connection fits the peer's identity
	IKE_REPORT_CERT,	      // N-CERT: a certificate or its signature is not accepted
	IKE_REPORT_NO_PSK,	      // no secret for this pair of identities
	IKE_REPORT_TS_MISMATCH,	      // C-TS
	IKE_REPORT_ESP_MISMATCH,      // C-ESP
	IKE_REPORT_INVALID_MESSAGE,   // malformed or unexpected; ignored
	IKE_REPORT_MOVED,	      // one side has another address (RFC 4555)
	IKE_REPORT_PEER_DELETED,      // the peer deleted the IKE SA
	IKE_REPORT_DEAD_PEER,	      // liveness check unanswered
	IKE_REPORT_IKE_SILENT,	      // the same, but it is not given up
	IKE_REPORT_CLOSED,
};

enum ike_severity { IKE_SEV_ERROR, IKE_SEV_NOTICE, IKE_SEV_INFO, IKE_SEV_DEBUG };

#define IKE_REPORT_TEXT_MAX 1024

struct ike_child_install {
	const struct ike_child_conf *conf;
	uint32_t reqid;	       // unique per IKE SA; kept when the child is rekeyed
	struct esp_sa in, out; // keys inside; ike_run moves them into the dataplane
	// The exchange responder may be understood only after the initiator has its answer: where
	// there is an old SA to send on, it receives on the new one at once and sends on it
	// (IKE_ACT_USE_CHILD) when the old one goes or the peer has used the new one (RFC 7296
	// 2.8); where that is no rekeying, soon in any case. `out` has no keys then.
	bool out_later;
};

struct ike_child_use {
	const struct ike_child_conf *conf;
	uint32_t spi_in;
	struct esp_sa out; // keys inside
};

struct ike_action {
	enum ike_action_type type;
	union {
		struct {
			uint8_t *bytes; // IKE message without non-ESP marker
			size_t len;
			struct ip_endpoint local, remote;
			bool non_esp_marker; // 4 zero bytes in front (RFC 3948 2.2)
			uint8_t exchange;    // type, for the flight recorder
			uint32_t message_id;
			bool is_response, is_repeat;
			uint16_t fragment, fragments; // this one of so many; 1 of 1
		} send;
		uint64_t deadline_ms; // ARM_TIMER: replaces the one before; IKE_NEVER disarms
		uint32_t wait;	      // what struct ike_cred's verify has given
		struct {
			struct ip_endpoint remote; // what answers
			unsigned silent;	   // messages to port 500
		} port;
		struct ike_child_install *install;
		struct ike_child_use *use;
		struct {
			uint32_t spi_in, spi_out;
			const struct ike_child_conf *conf;
			bool peer_gone; // lost or closed by the peer, not by us
			bool linger;	// rekeyed: late packets on it are still welcome
		} remove;
		struct {
			const struct ike_child_conf *conf;
			uint32_t spi_in; // of the child that was to be rekeyed, 0: a new one
			uint16_t notify; // the peer's answer, 0: another reason, reported before
		} failed;
		// Taken by whoever carries this out, who steps it with IKE_EV_TIMER after the
		// other actions.
		struct ike_sa *successor;
		struct {
			// `to` was handed out as a successor; it is to be stepped with
			// IKE_EV_TIMER after the other actions.
			struct ike_sa *from, *to;
		} adopt;
		struct {
			uint32_t spi_in, spi_out;
			struct ip_endpoint local, remote; // ports 0: without UDP
		} move;
		struct {
			enum ike_report_code code;
			enum ike_severity severity;
			char *text; // one line, no keys; IKE_REPORT_TEXT_MAX at most
			struct ike_refusal *refusal; // what it was made of, or NULL
		} report;
	};
};

struct ike_actions { // a zeroed struct is empty
	struct ike_action *a;
	size_t n, cap;
};

void ike_actions_fini(struct ike_actions *acts);	     // frees, wipes what was not moved out
const char *ike_report_code_name(enum ike_report_code code); // "N-PROPOSAL", "established", ...

// ---- the SA ----

struct ike_sa;

enum ike_state { // shown by the API with strongSwan's words
	IKE_ST_CREATED,
	IKE_ST_CONNECTING, // IKE_SA_INIT or IKE_AUTH under way
	IKE_ST_ESTABLISHED,
	IKE_ST_REKEYING, // established, our request to replace it is under way
	IKE_ST_REKEYED,	 // replaced, to be deleted by the peer
	IKE_ST_DELETING,
	IKE_ST_CLOSED,
};

// Authenticated and in use?
static inline bool ike_state_is_up(enum ike_state state)
{
	return state == IKE_ST_ESTABLISHED || state == IKE_ST_REKEYING;
}

// First bytes of a message: what ike_run needs to find the SA. Checks length and version only.
struct ike_header {
	uint8_t spi_i[8], spi_r[8];
	uint8_t next_payload, major, minor, exchange, flags;
	uint32_t message_id, length;
	bool from_original_initiator, is_response;
};

// -EBADMSG when shorter than a header or its length field disagrees with len.
int ike_header_parse(const uint8_t *bytes, size_t len, struct ike_header *h);

int ike_sa_create_initiator(const struct ike_env *env, const struct ike_conn *conn,
			    const struct ip_endpoint *local, const struct ip_endpoint *remote,
			    struct ike_sa **out);
// For an IKE_SA_INIT request with a zero responder SPI; the request itself then comes as an
// IKE_EV_MESSAGE.
int ike_sa_create_responder(const struct ike_env *env, struct ike_sa **out);
void ike_sa_destroy(struct ike_sa *sa); // wipes keys; NULL is allowed
// Appends to *out, which the caller has zeroed and frees.
int ike_step(struct ike_sa *sa, const struct ike_event *ev, struct ike_actions *out);

enum ike_child_state { // with strongSwan's words
	IKE_CHILD_INSTALLED,
	IKE_CHILD_REKEYING, // our request to replace it is under way
	IKE_CHILD_REKEYED,  // replaced, to be deleted
	IKE_CHILD_DELETING,
};

struct ike_child_info {
	enum ike_child_state state;
	const struct ike_child_conf *conf;
	uint32_t reqid;
	uint32_t spi_in, spi_out; // host order
	struct transform encr, integ;
	struct transform ke; // of its own key exchange; type 0: it had none
	bool esn, udp_encap;
	bool no_tfc;	// the peer takes no TFC padding, whatever tfc_padding says
	bool transport; // mode
	uint64_t installed_ms;
	uint64_t rekey_ms, expires_ms; // when; IKE_NEVER
	struct selector_list local_ts, remote_ts;
};

struct ike_sa_info {
	const struct ike_conn *conn; // NULL: responder that has not chosen yet
	enum ike_state state;
	bool original_initiator;
	uint8_t spi_i[8], spi_r[8];
	struct ip_endpoint local, remote;
	struct identity local_id, remote_id; // ID_ANY until known
	struct proposal chosen;		     // n == 0 until known
	bool nat_local, nat_remote, encap;   // NAT detected before us, before the peer, forced
	bool mobike;			     // both sides use it (RFC 4555)
	uint64_t created_ms, established_ms; // 0: not yet
	uint64_t rekey_ms;		     // when; IKE_NEVER
	unsigned retransmits;		     // of the request under way
	bool tried;			     // it went to or from other addresses as well
	size_t n_children;
};

void ike_sa_info(const struct ike_sa *sa, struct ike_sa_info *out);
int ike_sa_child_info(const struct ike_sa *sa, size_t i, struct ike_child_info *out); // -ENOENT
// Does it hold a pointer to that child, for an SA that it has, makes or is to make?
bool ike_sa_has_child(const struct ike_sa *sa, const struct ike_child_conf *conf);
