// Two IKE peers in one process: a virtual clock, a wire that loses, doubles, delays and corrupts
// on demand, and a stand-in for control/ike_run.c that checks what the core asks for.
//
// What is always checked, whatever a test does: SPIs are reserved, installed, removed and
// released in balance; the selectors of a child are inside of its configuration's and have a
// counterpart of their family on the other side; IKE_ACT_CLOSED comes last; a repeated message is
// bit by bit the first one; a request never changes its number; no key stands in a report or a
// refusal, and a report is the refusal's text. A violation is remembered in `sim.broken` as a
// sentence.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/port_choice.h"
#include "control/ike/refusal.h"
#include "test/sim/fake_cred.h"
#include "test/sim/fake_crypto.h"

#define SIM_SAS	     32		 // IKE SAs of one peer, open or closed
#define SIM_CHILDREN 24		 // installed children of one peer
#define SIM_WIRE     128	 // messages on their way
#define SIM_REPORTS  512	 // of one peer
#define SIM_DATA     256	 // ESP packets on their way
#define SIM_ADDRS    4		 // of one peer
#define SIM_LINGER   5000	 // ms that a rekeyed child is received on (as control/ike_run)
#define SIM_NAT_ADDR 0xcb007101u // 203.0.113.1, the outside of the NAT

struct sim_conf {	       // of one peer; strings are borrowed
	const char *ike, *esp; // proposals, separated by commas
	const char *local_id, *remote_id, *psk;
	const char *local_ts, *remote_ts; // separated by blanks
	const char *psk_for; // the key is found for this remote identity only; NULL: for every one
	bool childless, force_encap, no_conns;
	enum ike_fragmentation fragmentation; // announced by default
	size_t fragment_size;		      // default 1280
	uint64_t dpd_delay_ms;
	enum auth_kind local_auth, remote_auth; // by signature: sim_use_certs, or env.cred
	enum ike_send_cert send_cert;
	bool no_certreq;
	const char *extra_child_local_ts, *extra_child_remote_ts; // a second child, NULL: none
	// Lifetimes of the IKE SA and of its children, as in struct ike_conn; 0: never.
	uint64_t ike_rekey_ms, ike_over_ms, rekey_ms, life_ms;
	uint16_t fallback_port; // as in struct ike_conn
	unsigned tries;		// retransmissions, at even intervals; 0: five, as by default
	bool mobike, transport;
	uint16_t tfc_padding; // of its children
	const char *denied;   // an address of the peer that the configuration does not allow
};

struct sim_sa {
	struct ike_sa *sa; // NULL: destroyed
	uint64_t deadline_ms;
	uint32_t last_request_id;
	bool any_request;
	uint64_t timers_since_ms; // a core that keeps asking for a timer turns in circles
	unsigned timers;
	struct { // the last request and reply sent, to compare repetitions
		uint8_t *bytes;
		size_t len;
	} request, reply; // fragments back to back
};

struct sim_child {
	bool live;
	bool out_later;	     // receives only, as yet
	uint64_t lingers_ms; // removed; received on until then
	uint32_t spi_in;     // of one that lingers
	const struct ike_child_conf *conf;
	struct esp_sa in, out;
};

struct sim_report {
	enum ike_report_code code;
	enum ike_severity severity;
	uint64_t at_ms;
	char text[IKE_REPORT_TEXT_MAX];
};

struct sim_peer {
	struct sim *sim;
	const char *name;
	struct sim_conf conf;
	struct fake_crypto fake;
	struct fake_cred certs; // with sim_use_certs
	struct ike_env env;
	struct ip_addr addr;		 // the one that its routes prefer
	struct ip_addr addrs[SIM_ADDRS]; // all that it has, `addr` among them
	unsigned n_addrs;
	struct ike_conn conn;
	struct ike_child_conf child[2];
	const struct ike_child_conf *child_list[2];
	const struct ike_conn *conns[2];
	struct secret psk;
	struct sim_sa sa[SIM_SAS];
	size_t n_sas;
	struct sim_child children[SIM_CHILDREN];
	struct {
		uint32_t spi;
		enum { SPI_FREE, SPI_RESERVED, SPI_INSTALLED } state;
	} spi[2 * SIM_CHILDREN];
	bool no_spis;	      // spi_reserve fails
	uint32_t sends_on[2]; // outbound SPI of each configured child, 0: none
	uint32_t used[8];     // inbound SPIs that data came on lately
	unsigned n_used;
	unsigned failed;	  // IKE_ACT_CHILD_FAILED
	struct port_choice ports; // follows IKE_ACT_PORT; sim_initiate goes by it
	unsigned waits;		  // IKE_ACT_WAIT, and what the last one named
	uint32_t last_wait;
	uint64_t last_inbound_esp_ms;
	struct sim_report *report; // grows
	size_t n_reports;
	struct ike_refusal *refusal; // the last one, or NULL
	bool brief;		     // nothing is explained
	unsigned sent, installs;
};

struct sim_packet {
	bool used;
	uint64_t at_ms;
	uint64_t order;
	struct ip_endpoint from, to;
	struct sim_peer *dest;
	bool marker;
	uint8_t *bytes;
	size_t len;
};

struct sim_data { // an ESP packet on its way
	uint64_t at_ms;
	struct sim_peer *dest;
	uint32_t spi;
};

struct sim {
	struct sim_peer a, b;
	uint64_t now_ms, order;
	uint64_t rng;
	// Faults, in thousandths of the messages.
	unsigned drop, dup, corrupt;
	uint64_t delay_ms, jitter_ms;
	unsigned drop_next;	     // that many messages from now on
	bool down;		     // nothing of IKE passes
	uint16_t blocked;	     // nothing passes from or to that port, 0: none
	uint16_t forwarded;	  // of b, and alone leads to its 4500; 0: none
	struct sim_peer *blocked_to; // only what goes there; NULL: both ways
	bool esp_alive;		     // ESP arrives all the time, as far as IKE is told
	bool under_attack;	     // both hear so
	bool losing;		     // and that they lose what comes
	struct ip_endpoint spoof; // where sim_inject's bytes come from; port 0: from the other side
	struct ip_addr dead;	  // nothing passes from or to that address
	uint64_t dead_until_ms;	  // 0: for ever
	bool ipv6;		  // sim_use_ipv6
	bool nat;		  // a stands behind a NAT
	struct ip_addr nat_addr;
	uint16_t nat_port; // what it makes of a's ports: added
	struct sim_packet wire[SIM_WIRE];
	// Sees every message sent; may change it in place. NULL: none.
	void (*tap)(struct sim *s, struct sim_peer *from, uint8_t *bytes, size_t len);
	// Around every call of the core; NULL: none. ike_step may then run out of memory.
	void (*around)(bool entering);
	bool verbose;
	bool key_may_show; // the peer may say it itself (fuzzing)
	// Both sides send ESP all the time: there must be an SA for it at every moment, and the
	// receiver must know it when it arrives. sim_flow_start.
	bool flow;
	struct sim_data data[SIM_DATA];
	size_t n_data;
	unsigned long delivered;
	char broken[256]; // the first violation, "" when none
};

// Defaults: AES-GCM, x25519, one child 10.1.0.0/16 === 10.2.0.0/16. Tests change s->a.conf and
// s->b.conf before the first event.
void sim_init(struct sim *s, uint64_t seed);
// Both peers and the NAT have addresses of IPv6 instead. Before the first event.
void sim_use_ipv6(struct sim *s);
// Uses another crypto, for both peers, instead of the fake one.
void sim_use_crypto(struct sim *s, const struct ike_crypto *crypto);
// Both prove who they are by toy certificates of one root, sent over `intermediates`.
void sim_use_certs(struct sim *s, unsigned intermediates);
// Gives a peer other toy certificates.
void sim_set_certs(struct sim_peer *p, const struct fake_cred_spec *spec);
// Checks that nothing is left when every SA is gone, and frees. False with s->broken set.
bool sim_fini(struct sim *s);

struct ike_sa *sim_initiate(struct sim *s, struct sim_peer *p); // NULL when the tables are full
void sim_terminate(struct sim *s, struct sim_peer *p);		// all its SAs
void sim_terminate_child(struct sim *s, struct sim_peer *p);	// its first child
void sim_check(struct sim *s, struct sim_peer *p);		// liveness, all its SAs
void sim_go_on(struct sim *s, struct sim_peer *p);		// what its SAs waited for has come
// Genuine ESP of that child came from there.
void sim_esp_from(struct sim *s, struct sim_peer *p, uint32_t spi_in,
		  const struct ip_endpoint *from);
// From now on it has the addresses 192.0.2.x, or 2001:db8::x, for each of the x, the first of them
// preferred.
void sim_addresses(struct sim *s, struct sim_peer *p, const uint8_t *last, unsigned n);
void sim_rekey(struct sim *s, struct sim_peer *p);	 // all its IKE SAs
void sim_rekey_child(struct sim *s, struct sim_peer *p); // its children of the first kind
void sim_create_child(struct sim *s, struct sim_peer *p, unsigned which); // on its newest SA
void sim_event(struct sim_peer *p, struct ike_event *ev); // any other, to its newest SA
// Traffic in both directions from now on; both must have their first child.
void sim_flow_start(struct sim *s);
void sim_run_until(struct sim *s, uint64_t ms);
// Delivers bytes to an SA of a peer as they stand.
void sim_inject(struct sim *s, struct sim_peer *to, const uint8_t *bytes, size_t len);

// The newest open SA of a peer in that state, or NULL. One that is being rekeyed counts as
// established.
struct ike_sa *sim_sa(const struct sim_peer *p, enum ike_state state);
size_t sim_open(const struct sim_peer *p);     // SAs not closed
size_t sim_children(const struct sim_peer *p); // installed
// Both have the same established IKE SAs and children with the same keys, and nothing else.
bool sim_agree(struct sim *s);
const struct sim_report *sim_reported(const struct sim_peer *p, enum ike_report_code code);
size_t sim_errors(const struct sim_peer *p); // reports of severity ERROR
