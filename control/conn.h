// A configured connection as the running daemon holds it: the core's `struct ike_conn` made from
// the configuration, with what happens to its children next to it.
//
// Threads:   control only.
// Ownership: holds copies: the configuration it was made from may go. Counted, because an IKE SA
//            borrows its connection for its whole life and may outlive the connection's place in
//            the configuration (reload). A child that the connection no longer has is kept in
//            `old` until no IKE SA holds it (ike_sa_has_child).
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/config.h"
#include "control/ike/ike.h"
#include "control/ike/port_choice.h"
#include "control/tally.h"

#define CONN_WHY_MAX 400

struct conn;
struct doctor_probe_facts;
struct event;
struct ike_run;
struct pace_peer;
struct resolver_query;
struct run_sa;

// Why a child is not being brought up.
enum child_rest {
	REST_NONE,    // it is to be up: initiate, and try again when that fails
	REST_IDLE,    // nobody asked for it
	REST_BY_USER, // taken down by a command
	REST_BY_PEER, // deleted by the peer
	REST_DEAD,    // the peer was lost; traffic wakes it
	REST_IDLING,  // closed for lack of traffic
};

struct conn_child { // a child with mode = tunnel
	const char *name;
	struct conn *conn;
	struct ike_child_conf ike; // conn->ike.children points to it
	unsigned start_action;	   // enum config_start
	enum config_dead dpd_action, close_action;
	struct config_limit bytes, packets;
	char iface_name[CONFIG_PORT_NAME_MAX]; // its tunnel interface, "": none
	uint32_t if_id;			       // of that interface
	unsigned iface;			       // its number in the dataplane, DP_IFACE_NONE: none
	uint64_t inactivity_ms;		       // closed after so long without packets, 0: never
	uint64_t used_ms;   // when SAs that are gone had their last packet, or the first was made
	struct event *idle; // pending while it is up and may be closed for that
	uint32_t tunnel;    // of the dataplane
	uint32_t sends_on;  // outbound SPI that the tunnel has now, 0: none
	uint32_t asked_on;  // id of the IKE SA that is to make it besides its first child, 0: none
	// Bringing it up (control/ike_run_start.c).
	enum child_rest rest;
	bool trapped;	     // traffic initiates it
	bool waits_for_name; // begins when the peer's name has been looked up
	struct ike_run *run; // argument of the event
	struct event *retry; // pending while a next attempt is planned
	uint64_t retry_at_ms;
	bool no_route;		  // the last attempt found no way to the peer; said once
	unsigned failures;	  // attempts in a row
	uint64_t last_attempt_ms; // 0: none yet
	struct pace_peer *waits;  // for its turn to be initiated; NULL: it does not
	TAILQ_ENTRY(conn_child) wait_link;
	// A reload (control/ike_run_retire.c).
	bool planned;	 // stands in the connection's plan
	bool start_news; // start_action, dpd_action or close_action has changed
	bool retired;	 // in conn->old
	bool over;	 // retired, and its SAs are being deleted
	struct conn_child
		*heir; // retired: the child of that name now, which has its tunnel; or NULL
	TAILQ_ENTRY(conn_child) old_link;
	LIST_ENTRY(conn_child) roll_link; // while it lives (control/ike_run_roll.c)
};

TAILQ_HEAD(conn_child_list, conn_child);

struct conn_children { // in the order of the file
	struct conn_child **child;
	const struct ike_child_conf **ike; // the same, for the core
	size_t n;
};

struct conn_name_lookup { // of one family
	struct conn_name *name;
	struct resolver_query *query; // NULL: none under way
	struct ip_addr found;	      // by the last query, IP_NONE: nothing
};

enum { NAME_V4, NAME_V6, NAME_FAMILIES };

struct conn_name { // one of remote_addrs, in its place there (control/ike_run_names.c)
	struct conn *conn;
	struct ike_run *run;
	struct conn_name_lookup lookup[NAME_FAMILIES];
	// What it leads to; the first one there is stands in conn.remote as well. IP_NONE: nothing.
	struct ip_addr addr[NAME_FAMILIES];
	bool failed; // the last time
};

// What has happened to a connection since it was configured as it is now: the doctor's evidence.
struct conn_notes {
	struct tally established, lost, dead_peer, restarts, rekeys_failed; // within an hour
	struct tally moved;			  // the peer, within ten minutes
	struct tally unanswered, unanswered_auth; // initiations that were given up; of these, after
						  // IKE_SA_INIT was answered
	uint64_t unanswered_len;		  // bytes of the last one's last message
	uint16_t unanswered_port;		  // where it went
	unsigned unanswered_tries;
	uint64_t established_ms;			      // when last, 0: never
	struct tally esp_in, esp_out, replays, auth_failures; // of all children
	uint64_t esp_in_total, esp_out_total;		      // when the last one in was seen
	uint64_t esp_out_anew; // of all, when it was last established
};

struct conn {
	struct ike_conn ike;
	struct config_endpoint local[CONFIG_ENDPOINTS_MAX], remote[CONFIG_ENDPOINTS_MAX];
	unsigned n_local, n_remote; // 0: any
	unsigned n_names;	    // entries of `remote` that are names
	struct conn_name names[CONFIG_ENDPOINTS_MAX];
	uint64_t names_at_ms;	      // when they were last looked up, 0: never
	char names_why[CONN_WHY_MAX]; // the last failure
	uint16_t local_port, remote_port;
	struct port_choice ports;	   // with on_500_blocked (control/ike_run_port.c)
	struct doctor_probe_facts *probed; // what the last probe has found out, NULL: none yet
	uint64_t probed_ms;
	uint8_t port_check[8];		       // SPI of the question whether 500 answers again
	uint64_t reauth_time_ms, over_time_ms; // of the IKE SA; 0: never
	uint64_t reauth_rand_ms;	       // taken off reauth_time_ms, at random
	struct conn_child **children;
	size_t n_children;
	struct conn_children plan;  // what they become if the configuration is applied
	struct conn_child_list old; // retired, and not yet let go of by every IKE SA
	TAILQ_ENTRY(conn) sweep_link;
	bool swept;		    // is to be looked at for those that nobody holds any more
	TAILQ_HEAD(, run_sa) sas;   // those of this connection that are not closed
	LIST_ENTRY(conn) roll_link; // while it lives (control/ike_run_roll.c)
	size_t place;		    // in the running configuration, from 1; 0: not in it
	unsigned refs;
	enum config_unique unique;
	bool own_cas; // remote.cacerts says which CAs it accepts; else all of the gateway's
	bool retired; // no longer in the configuration
	bool planned; // stands in the configuration that is being applied
	struct conn_notes notes;
};

// One reference is the caller's. -ENOMEM.
int conn_create(const struct config_conn *config, struct conn **out);
// Plans the children of a connection that stays: those that are as good as before
// (config_child_fits) are taken over, others are made. `have` is what it was made from. -ENOMEM:
// nothing is planned.
int conn_plan(struct conn *c, const struct config_conn *have, const struct config_conn *want);
// Forgets the plan. Tunnels of children that only stand there must be gone.
void conn_plan_drop(struct conn *c);
// The plan comes true. Children that are not in it are retired.
void conn_plan_take(struct conn *c);

enum conn_news { // what conn_update has changed, for the IKE SAs that run
	CONN_NEWS_DPD = 1 << 0,
	CONN_NEWS_TIMES = 1 << 1, // of the core
	CONN_NEWS_REAUTH = 1 << 2,
};

// Takes over what needs no negotiation, of the children as well, and says what of that is news.
unsigned conn_update(struct conn *c, const struct config_conn *want);
// Does no other child of its connection have that tunnel?
bool conn_child_owns_tunnel(const struct conn_child *child);
// Is it one of its connection's children just now (and not planned, or retired)?
bool conn_child_is_running(const struct conn_child *child);
// Is it, or its connection, no longer in the configuration?
bool conn_child_is_gone(const struct conn_child *child);
void conn_child_destroy(struct conn_child *child);
// Takes over what holds for all connections, whenever it may have changed.
void conn_set_times(struct conn *c, const struct config_ike *ike);
// Takes over the numbers of its interfaces, which may change while the interfaces stay.
void conn_set_if_ids(struct conn *c, const struct config_conn *config);
struct conn *conn_get(struct conn *c);
// Frees at the last reference. NULL is allowed. The children's events must be gone by then.
void conn_put(struct conn *c);

// How well the addresses fit: 0 not at all, otherwise more is better. A narrower remote_addrs
// entry outweighs any local one.
unsigned conn_match(const struct conn *c, const struct ip_addr *local,
		    const struct ip_addr *remote);
// May the connection have that address on our side?
bool conn_is_local(const struct conn *c, const struct ip_addr *a);
// How many addresses of the peer there are to initiate to: fixed entries of remote_addrs, and what
// names were last resolved to, IPv4 before IPv6.
unsigned conn_remotes(const struct conn *c);
// The peer's address for the n-th attempt: those addresses in turn. False when there is none (%any,
// subnets and ranges only, or no name resolved).
bool conn_remote(const struct conn *c, unsigned attempt, struct ip_endpoint *out);
// Our first fixed address of that family (IP_NONE: of any). False when Linux has to choose it.
bool conn_local(const struct conn *c, enum ip_family family, struct ip_endpoint *out);
struct conn_child *conn_child_find(struct conn *c, const char *name); // NULL
