// Runs the pure IKE core on real sockets, timers and the dataplane.
//
// Holds the IKE SAs, finds the one a message belongs to (half-open limits before any
// allocation), steps it and carries its actions out in order: send, arm the timer, install and
// remove child SAs in the dataplane, log reports, destroy. Starts what the configuration says
// (start_action, close_action, dpd_action), keeps one dp tunnel per configured child for the
// whole time the child is configured, and publishes the policies.
//
// Threads:   control only, inside the event loop.
// Ownership: borrows the event base and dp; borrows each config until the next one replaces it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "control/ike/ike.h"
#include "dataplane/dp.h"
#include "lib/error.h"

struct cred;
struct doctor_probe_facts;
struct event_base;
struct ike_refusal;
struct ike_run;
struct recorder;

// Opens UDP 500 and 4500 on all addresses (IP_PKTINFO tells which). -EADDRINUSE, -EACCES with a
// sentence in *err.
int ike_run_create(struct event_base *base, struct dp *dp, struct ike_run **out,
		   struct error *err);
void ike_run_destroy(struct ike_run *run);

// First call: installs tunnels and policies, and initiates children with start_action = start.
// Later calls (reload): connections that are equal are not touched; removed and changed ones are
// deleted politely and, where changed, started again.
int ike_run_configure(struct ike_run *run, const struct config *config, struct error *err);

// Lets traffic initiate a child, or no longer (start_action = trap by hand). -ENOENT (with the
// nearest name), -EINVAL (%any).
int ike_run_trap(struct ike_run *run, const char *conn, const char *child, bool on,
		 struct error *err);
// Number in the dataplane of the tunnel of a child (looked up in all connections when conn is NULL).
// -ENOENT (with the nearest name), -ENOTUNIQ.
int ike_run_tunnel(const struct ike_run *run, const char *conn, const char *child,
		   uint32_t *tunnel, struct error *err);
// The same of that child of the connection at that place of the configuration; DP_TUNNEL_NONE.
uint32_t ike_run_tunnel_at(const struct ike_run *run, size_t conn, const char *child);
// Does traffic initiate that child of the connection at that place of the configuration?
bool ike_run_is_trapped(const struct ike_run *run, size_t conn, const char *child);

// Sets those of DP_IFACES_MAX, from DP_IFACE_FIRST on, behind which traffic initiates a child.
void ike_run_trapped_ifaces(const struct ike_run *run, bool *trapped);

// Replaces the credentials (NULL: none are needed) and returns those before, NULL at first; `creds`
// is ike_run's from now on. Before the ike_run_configure that needs them.
struct cred *ike_run_swap_creds(struct ike_run *run, struct cred *creds);

// Our addresses on the ports are these, or a route has changed. IKE SAs with MOBIKE (RFC 4555) go
// on from other addresses then, if they have to.
void ike_run_addresses(struct ike_run *run, const struct ip_addr *addrs, size_t n);

// What an IKE_AUTH waited for, by the number that the credentials gave it, has come or will not
// come.
void ike_run_go_on(struct ike_run *run, uint32_t wait);

// What the dataplane asks for (DP_EV_NO_SA, DP_EV_SOFT_LIFE, DP_EV_HARD_LIFE).
void ike_run_dp_event(struct ike_run *run, const struct dp_event *ev);

// Follows one initiate or terminate. `progress` gets each report's text; `done` comes exactly
// once, with 0 or -errno (-ETIMEDOUT after timeout_ms) and a sentence. Either may be NULL.
struct ike_run_watch {
	void (*progress)(void *ctx, enum ike_report_code code, enum ike_severity severity,
			 const char *conn, const char *text);
	void (*done)(void *ctx, int result, const char *text);
	void *ctx;
	uint64_t timeout_ms; // 0: until it ends by itself
};

// Initiates a child (looked up in all connections when conn is NULL), or only the IKE SA when
// child is NULL. Already up: done(0) at once. -ENOENT (with the nearest name), -EINVAL (%any).
// On error `done` is not called.
int ike_run_initiate(struct ike_run *run, const char *conn, const char *child,
		     const struct ike_run_watch *watch, struct error *err);

struct ike_run_select { // which SAs; unset members match everything
	const char *conn, *child; // names
	uint32_t ike_id, child_id; // unique ids, 0: unset
};

// Deletes matching IKE SAs, or, when child or child_id is set, only child SAs. -ENOENT when none.
int ike_run_terminate(struct ike_run *run, const struct ike_run_select *sel,
		      const struct ike_run_watch *watch, unsigned *matched, struct error *err);
// Replaces matching IKE SAs, or, when child or child_id is set, matching child SAs, without waiting
// for the outcome. With `reauth` another IKE SA is initiated in the place of each. -ENOENT when none.
int ike_run_rekey(struct ike_run *run, const struct ike_run_select *sel, bool reauth,
		  unsigned *matched, struct error *err);
// Deletes everything (SIGTERM); `done` comes when the peers have answered or timeout_ms is over.
void ike_run_shutdown(struct ike_run *run, const struct ike_run_watch *watch);
// Forgets a watch whose owner goes away (by its ctx).
void ike_run_unwatch(struct ike_run *run, void *ctx);

// One report. `refusal`, or NULL, is what the text was made of; both are borrowed.
typedef void (*ike_run_observer)(void *ctx, enum ike_report_code code, enum ike_severity severity,
				 const char *conn, uint32_t ike_id, const char *text,
				 const struct ike_refusal *refusal);
// Receives every report of every SA (event streams). NULL stops.
void ike_run_set_observer(struct ike_run *run, ike_run_observer observer, void *ctx);

// What happens is recorded there from now on, until NULL is set; borrowed.
void ike_run_set_recorder(struct ike_run *run, struct recorder *recorder);
// Takes the headers of messages that the dataplane has lost to the recorder.
void ike_run_take_lost(struct ike_run *run);

// Is called after a child behind a tunnel interface has come up (before the peer is told) or gone,
// or traffic initiates it or no longer.
void ike_run_follow_children(struct ike_run *run, void (*changed)(void *ctx, unsigned iface),
			     void *ctx);

// Follows one probe. Either may be NULL.
struct ike_run_probe_watch {
	void (*progress)(void *ctx, const char *question, unsigned sent, unsigned of);
	void (*done)(void *ctx); // exactly once, unless it is unwatched
	void *ctx;
};

// Asks the peer of a connection whether and how it can be reached (control/probe.h); takes a few
// seconds, meanwhile everything goes on. -ENOENT, -EINVAL (%any), -EAGAIN (probed lately), -EPERM
// and others with a sentence. On error `done` is not called.
int ike_run_probe(struct ike_run *run, const char *conn, const struct ike_run_probe_watch *watch,
		  struct error *err);
void ike_run_probe_unwatch(struct ike_run *run, void *ctx);
// What the last probe of the connection has found out. False: there was none.
bool ike_run_probe_facts(const struct ike_run *run, const char *conn,
			 struct doctor_probe_facts *out);

struct ike_run_sa { // one IKE SA as the API shows it
	uint32_t id; // unique, from 1
	struct ike_sa_info info;
	const struct ike_sa *sa; // for ike_sa_child_info
};

struct ike_run_child { // one child SA as the API shows it
	uint32_t id;	 // unique, from 1
	uint32_t tunnel; // of the dataplane
	uint32_t if_id;	 // of its tunnel interface, 0: none
	const char *iface; // the name of that, borrowed; "" without
	struct ike_child_info info;
	struct dp_sa_stats in, out;
	bool have_in, have_out;
	uint16_t inner_mtu; // bytes of inner packet that fit now; 0: not known
	uint64_t rekey_in_ms, expires_in_ms; // IKE_NEVER: not limited
};

// Calls fn for each IKE SA with an id above `after`, in order of id, until fn returns false. With
// `sel` only those of its connection or id; its child is not looked at. fn must not change the SAs.
// -ENOMEM: fn was not called; never without `sel`.
int ike_run_each(struct ike_run *run, const struct ike_run_select *sel, uint32_t after,
		 bool (*fn)(void *ctx, const struct ike_run_sa *sa), void *ctx);
// -ENOENT when there are no i children.
int ike_run_child(struct ike_run *run, uint32_t ike_id, size_t i, struct ike_run_child *out);

struct ike_run_stats {
	unsigned ike_sas, half_open, children;
	uint64_t rx_messages, tx_messages, tx_errors;
	uint64_t rx_malformed, rx_unknown_sa, rx_limited; // ignored for a reason
	uint64_t cookies_asked, cookies_good, cookies_bad; // asked for; shown by a peer
	uint64_t initiated_ok, initiated_failed, responded_ok, responded_failed;
};

void ike_run_stats(const struct ike_run *run, struct ike_run_stats *out);
// Does a remote_addrs name that address (not only by %any)?
bool ike_run_names(const struct ike_run *run, const struct ip_addr *remote);

// ---- the doctor's evidence ----

struct doctor_facts;

size_t ike_run_conn_count(const struct ike_run *run);
// Fills in what IKE knows of the connection at that place of the configuration; *facts is zeroed
// before, or filled by others. -ENOENT.
int ike_run_doctor(struct ike_run *run, size_t conn, struct doctor_facts *facts);
// Looks at the counters of all connections, so that what is read is of the last minute. Every few
// seconds.
void ike_run_sample(struct ike_run *run);
// What the guard has counted of a source, if it is a peer.
void ike_run_note_guard(struct ike_run *run, const struct dp_guard_source *s);
