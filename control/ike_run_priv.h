// What the files control/ike_run*.c share: the running IKE SAs and what hangs on them.
//
//   ike_run.c        create, what the core asks for (env)
//   ike_run_conf.c   configure: connections, children and their tunnels
//   ike_run_rx.c     messages in: find the SA, limits; NAT keepalives out
//   ike_run_find.c   finding an IKE SA
//   ike_run_sa.c     one IKE SA: create, step, actions, timers, destroy
//   ike_run_child.c  its child SAs in the dataplane
//   ike_run_retire.c children that a reload has removed or replaced
//   ike_run_rival.c  two IKE SAs for the same children: which one stays
//   ike_run_succ.c   the successor of a rekeyed IKE SA
//   ike_run_addrs.c  our own addresses, for MOBIKE
//   ike_run_pace.c   how many initiations at once
//   ike_run_probe.c  probes of peers
//   ike_run_port.c   another port than 500 while that is filtered (on_500_blocked)
//   ike_run_start.c  bringing configured children up and keeping them up
//   ike_run_cmd.c    commands: initiate, terminate, shutdown
//   ike_run_watch.c  who follows a command
//   ike_run_record.c what the flight recorder hears
//   ike_run_idle.c   closing children without traffic
//   ike_run_info.c   what the API shows
//   ike_run_doctor.c the doctor's facts
//   ike_run_notes.c  what the doctor wants to know
//
// Threads:   control only.
// Lifetime:  a run_sa that is closed is unlinked at once and freed when the outermost
//            run_enter/run_leave pair ends, so that callbacks may do what they like.
#pragma once

#include <sys/queue.h>

#include "control/conn.h"
#include "control/half_open.h"
#include "control/ike/cookie.h"
#include "control/ike_run.h"
#include "control/ike_socket.h"
#include "control/probe.h"
#include "control/peer_notes.h"
#include "control/recorder.h"
#include "control/refusals.h"
#include "control/resolver.h"

#define SA_BUCKETS  16384 // a power of two
#define NO_DEADLINE UINT64_MAX

struct conn_index;
struct event;

struct run_child_sa { // a child SA in the dataplane
	TAILQ_ENTRY(run_child_sa) link;
	uint32_t id;
	struct conn_child *child;
	uint32_t spi_in, spi_out;
	bool worn;     // its replacement by volume has been asked for
	bool restores; // it is being replaced because its tunnel sends on nothing
	bool fresh;    // installed by the step that is being carried out
};

struct run_sa {			       // an IKE SA
	TAILQ_ENTRY(run_sa) link;      // ordered by id
	TAILQ_ENTRY(run_sa) conn_link; // in conn->sas, unless closed; in the same order
	struct run_sa *next_spi, *next_peer, *next_id; // in their buckets
	struct ike_run *run;
	struct ike_sa *sa;
	uint32_t id;
	uint64_t own_spi;	 // key in by_spi, 0: not in it
	struct ip_addr peer;	 // responder: with the initiator's SPI the key in by_peer
	uint64_t peer_spi;	 // responder: the initiator's SPI
	struct conn *conn;	 // counted; NULL: responder that has not chosen
	struct conn_child *goal; // initiator, until it is established: the child to bring up
	uint32_t succeeds;	 // id of the IKE SA that we want to replace with it, 0: none
	struct pace_peer *pace;	 // where it is counted as under way, or NULL
	TAILQ_HEAD(, run_child_sa) children;
	struct event *timer; // the core's
	uint64_t timer_at_ms;
	struct event *age;    // ours: the nearest of the deadlines below
	uint64_t rekey_at_ms; // another IKE SA is to be initiated in its place: the plan or a retry
	uint64_t reauth_at_ms;	       // the plan of reauthentication alone
	uint64_t end_at_ms;	       // to be deleted
	uint64_t kill_at_ms;	       // to be dropped without further words
	uint64_t began, authenticated; // in the order of all such moments of this ike_run
	bool half_open;		       // responder before authentication
	bool unproved;		       // and counted by source: it has not shown a cookie
	bool established;	       // has been
	bool behind_nat;	       // we are: its mapping has to be kept alive
	uint64_t born_ms;	       // when its first message came, or was made
	uint64_t asked_ms;	       // when our last request was first sent, 0: never
	uint8_t asked_what;	       // and its exchange
	uint64_t last_tx_ms;	       // of IKE, or a NAT keepalive
	uint64_t last_rx_ms;	       // of IKE, 0: nothing yet
	uint64_t last_tx_len;	       // bytes, of IKE
	bool repeating;		       // the request that waits
	struct ip_endpoint remote;     // once it is established
	bool superseded;	       // another SA carries its child
	bool aged;		       // its lifetime is over
	bool duplicate;	  // another one of that peer takes its place (unique = replace)
	bool asked;	  // for the children that waited for it
	bool only;	  // the peer says that it has no other one with us
	bool peer_lost;	  // it did not answer
	bool suspect;	  // it does not answer just now
	bool renewing;	  // a successor is wanted whether it answers or not (age, command)
	bool send_failed; // the last message could not be sent
	uint32_t wait;	  // what its IKE_AUTH waits for (IKE_ACT_WAIT), 0: nothing yet
	bool closed;
	enum ike_report_code last_code; // of the last error, for whoever waits
	char last_error[IKE_REPORT_TEXT_MAX];
};

struct run_linger { // an inbound SA that was replaced: late packets on it are still welcome
	TAILQ_ENTRY(run_linger) link;
	uint32_t spi;
	uint64_t until_ms;
};

struct watch {
	TAILQ_ENTRY(watch) link;
	struct ike_run *run;
	struct ike_run_watch w;
	struct event *timeout;
	bool dead;
	bool all;		       // shutdown: every SA
	bool initiating;	       // else terminating
	uint32_t ike_id;	       // initiating
	const struct conn_child *goal; // initiating: NULL, the IKE SA alone
	struct watch_target {
		uint32_t ike_id, spi_in; // spi_in 0: the IKE SA
	} * targets;			 // terminating
	size_t n_targets;
};

TAILQ_HEAD(run_sas, run_sa);

struct run_arrivals { // in packets, from the dataplane's counters
	bool known;
	uint64_t came, missed; // at the ports; missed: the device had no room
	uint64_t passed,
		dropped; // IKE that passed the guard; punted packets that Linux did not get
};

struct ike_run {
	struct event_base *base;
	struct dp *dp;
	struct ike_crypto *crypto;
	struct cred *creds; // NULL: none are needed
	struct ike_env env;
	struct ike_socket sock;
	struct event *readable[IKE_SOCKETS], *keepalive;
	uint8_t rx_buf[LIMIT_IKE_MESSAGE_LEN];
	const struct config *config; // NULL before the first configure
	struct conn **conns;	     // in the order of the file
	size_t n_conns;
	struct conn_index *index;		 // of conns; NULL before the first configure
	LIST_HEAD(, conn) conn_roll[SA_BUCKETS]; // by name: all that live, retired ones as well
	LIST_HEAD(, conn_child) child_roll[SA_BUCKETS];
	struct conn_child **by_tunnel;
	size_t n_by_tunnel;
	struct run_sas sas, closed;
	struct run_sa *by_spi[SA_BUCKETS], *by_peer[SA_BUCKETS], *by_id[SA_BUCKETS];
	TAILQ_HEAD(, watch) watches;
	TAILQ_HEAD(, run_linger) lingering; // in the order of their ends
	struct event *linger_timer;
	TAILQ_HEAD(, conn) to_sweep; // may have retired children that nobody holds any more
	struct {
		unsigned under_way;	       // initiations
		TAILQ_HEAD(, pace_peer) ready; // may go on when there is room in total
		struct pace_peer *by_addr[SA_BUCKETS];
	} pace;
	unsigned n_sas, n_half_open, n_child_sas; // not closed
	struct half_open unproved;		  // by source
	struct cookie_jar cookies;
	struct run_sa *shown; // the one ike_run_each is at
	unsigned depth;	      // of run_enter
	bool shutting_down;
	uint32_t last_ike_id, last_child_id;
	uint64_t order; // counts the moments that IKE SAs begin and are authenticated
	uint64_t v1_notice_ms, limit_notice_ms; // when last said
	uint64_t strangers_since_ms;		// lines about strangers are limited
	unsigned stranger_lines;
	struct refusal_budget explained;
	struct resolver *resolver;
	struct event *names_timer, *names_moved;
	struct ip_addr *addrs; // our own, on the ports
	size_t n_addrs;
	TAILQ_HEAD(, run_probe) probes;
	unsigned n_probes;
	struct probe_budget probe_budget;
	struct event *port_tick; // with connections that have left port 500
	struct event *guard_tick, *guard_soon;
	uint8_t guard_version;	      // of the keys of cookies that the guard has, 0: none
	uint64_t guard_held;	      // messages that the guard had held back at the last tick
	uint64_t guard_held_ms;	      // when it last held one back, 0: calm
	struct run_arrivals arrivals; // at the last tick of an attack
	uint64_t loss_ms;	      // when a good part of what came was last lost, 0: never
	struct event *addrs_timer;    // to tell the IKE SAs that they have changed
	uint64_t addrs_told_ms;	      // when last
	struct ike_run_stats stats;   // the counters of it
	struct peer_notes *notes;
	struct recorder *recorder; // NULL: none
	enum record_fate fate; // of the message under way; _COUNT: it is, or need not be, recorded
	uint8_t rx_ttl;	       // of it; 0: not known
	ike_run_observer observer;
	void *observer_ctx;
	void (*children_changed)(void *ctx, unsigned iface); // NULL: nobody follows
	void *children_ctx;
};

// ---- ike_run.c ----
uint64_t run_now_ms(void); // monotonic
// `ms`, more or less a fifth, so that peers do not act in step.
uint64_t run_jitter(struct ike_run *run, uint64_t ms);
// 0 to max, both included, by chance.
uint64_t run_random(struct ike_run *run, uint64_t max);
int run_event_after(struct event *ev, uint64_t ms);

// ---- ike_run_guard.c ----
int run_guard_create(struct ike_run *run); // -ENOMEM
void run_guard_destroy(struct ike_run *run);
void run_guard_configure(struct ike_run *run, const struct config_guard *g);
// Addresses of peers have been configured, or resolved: the guard hears of it shortly.
void run_guard_peers_changed(struct ike_run *run);

// What an authenticated message says of the way that the peer's packets come.
void run_guard_learn(const struct run_sa *s, const struct ike_event *ev,
		     const struct ike_actions *acts);

// ---- ike_run_record.c ----
// What became of a message by what the core has done about it.
enum record_fate run_fate_of(const struct ike_actions *acts);
// A message (ev->local, remote, bytes, len) and what became of it; `s` may be NULL.
void run_record_in(struct ike_run *run, const struct run_sa *s, const struct ike_event *ev,
		   enum record_fate fate);
// One of ours; rc: what ike_socket_send said.
void run_record_out(struct ike_run *run, const struct run_sa *s, const struct ike_event *sent,
		    int rc);
// What a step has done, before it is carried out; a message is recorded with it.
void run_record_step(struct run_sa *s, const struct ike_event *ev, const struct ike_actions *acts);
// Something about an IKE SA that the core does not know of.
void run_record_sa(struct run_sa *s, enum record_kind kind, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
// Something about a connection as a whole.
void run_record_conn(struct ike_run *run, const struct conn *c, const char *code, const char *text);
void run_record_guard(struct ike_run *run, enum record_level level, const char *code,
		      const char *text);

// ---- ike_run_conf.c ----
// The policies once more, because "dynamic" may stand for other addresses now.
void run_policies_renew(struct ike_run *run);
void run_conn_put(struct ike_run *run, struct conn *c); // with its tunnels, at the last reference

// ---- ike_run_retire.c ----
// Takes back what is planned for the child.
void retire_stop(struct conn_child *child);
// The child was retired: its SAs end, at the latest when its heir is up.
void retire_child(struct ike_run *run, struct conn_child *old);
// That child is up: what it replaces ends.
void retire_replaced(struct ike_run *run, const struct conn_child *heir);
// An SA of a retired child has come up, which was under way.
void retire_fresh(struct ike_run *run, struct conn_child *old);
// Gives its tunnel back, unless another child has it.
void retire_tunnel(struct ike_run *run, struct conn_child *child);
// An IKE SA may have let go of retired children of the connection.
void retire_touch(struct ike_run *run, struct conn *c);
void retire_sweep(struct ike_run *run); // frees those that nobody holds

// ---- ike_run_names.c ----
int names_create(struct ike_run *run); // -ENOMEM
void names_destroy(struct ike_run *run);
// Is what the connection's names lead to known well enough for an attempt?
bool names_fresh(const struct conn *c);
// Looks them up, unless that is under way; then begins with the children that wait for it.
void names_ask(struct ike_run *run, struct conn *c);
void names_ask_new(struct ike_run *run); // those of connections that were never looked up
void names_stop(struct conn *c);	 // cancels

// ---- ike_run_addrs.c ----
int run_addrs_create(struct ike_run *run); // -ENOMEM
void run_addrs_destroy(struct ike_run *run);

// ---- ike_run_sa.c ----
void run_enter(struct ike_run *run);
void run_leave(struct ike_run *run);
// Takes `sa`. NULL when out of memory (and `sa` is destroyed).
struct run_sa *run_sa_add(struct ike_run *run, struct ike_sa *sa, struct conn *conn);
// Steps the core and carries its actions out. ev->now_ms is filled in.
void run_sa_step(struct run_sa *s, struct ike_event *ev);
// Forgets the SA: nothing is sent, what it had in the dataplane goes.
void run_sa_drop(struct run_sa *s);
// Deletes it politely; if the peer does not answer within grace_ms it is dropped.
void run_sa_delete(struct run_sa *s, uint64_t grace_ms);
void run_sa_age_arm(struct run_sa *s);	   // after a change of the deadlines
void run_sa_reauth_plan(struct run_sa *s); // counted from now
void run_sa_wake(struct run_sa *s);	   // as its timer does
// "lab", or the peer's address before a connection is known.
const char *run_sa_name(const struct run_sa *s, char *buf, size_t size);

// ---- ike_run_find.c ----
uint64_t spi_key(const uint8_t spi[8]);
void run_sa_index_spi(struct run_sa *s, uint64_t spi); // under our own SPI
void run_sa_unindex_spi(struct run_sa *s);
void run_sa_unindex_peer(struct run_sa *s);
void run_sa_index_id(struct run_sa *s);
void run_sa_unindex_id(struct run_sa *s);
size_t run_addr_bucket(const struct ip_addr *a); // below SA_BUCKETS
struct run_sa *run_sa_by_id(struct ike_run *run, uint32_t id);
struct run_sa *run_sa_by_spi(struct ike_run *run, uint64_t own_spi);
struct run_sa *run_sa_by_peer(struct ike_run *run, const struct ip_addr *peer, uint64_t peer_spi);
// A responder's SA before authentication: found by the initiator's address and SPI, counted;
// by its source too, when that has not `proved` its address. -ENOMEM: nothing is done.
int run_sa_half_open(struct run_sa *s, const struct ip_addr *peer, uint64_t peer_spi, bool proved);
void run_sa_half_open_over(struct run_sa *s); // authenticated, or gone

// ---- ike_run_notes.c ----
// `error`: 0 or -errno.
void note_sent(struct run_sa *s, const struct ip_endpoint *local, const struct ip_endpoint *remote,
	       size_t len, int error);
// `s` may be NULL. Before the message is acted on.
void note_received(struct ike_run *run, struct run_sa *s, const struct ip_endpoint *local,
		   const struct ip_endpoint *remote, bool repeated);
// A message of IKEv1, with the SPI (cookie) of its initiator.
void note_v1(struct ike_run *run, const uint8_t spi_i[8], const struct ip_endpoint *local,
	     const struct ip_endpoint *remote);
void note_report(struct run_sa *s, enum ike_report_code code);
void note_established(struct run_sa *s);
// A child's last SA has gone.
void note_lost(const struct run_sa *s, struct conn_child *child, bool by_us);
void note_only(struct run_sa *s); // the peer says that it has no other IKE SA with us
void note_moves(struct run_sa *s, const struct ike_sa_info *info); // if its peer has moved
void note_icmp(struct ike_run *run, const struct ike_socket_icmp *e);

// ---- ike_run_doctor.c ----
// An IKE SA of the connection was authenticated: its ESP is counted from here.
void note_esp_anew(struct ike_run *run, struct conn *c);

// ---- ike_run_port.c ----
int run_port_create(struct ike_run *run); // -ENOMEM
void run_port_destroy(struct ike_run *run);
// The ports that an initiation begins with.
void run_port_begin(const struct conn *c, struct ip_endpoint *local, struct ip_endpoint *remote);
// Port 500 was silent so many times, and that port answers (IKE_ACT_PORT).
void run_port_blocked(struct run_sa *s, const struct ip_endpoint *remote, unsigned silent);
// An initiation was given up; another port that is silent as well is left.
void run_port_silent(struct run_sa *s);
// An IKE SA was established: from port 500, that is not filtered any more.
void run_port_established(struct run_sa *s, const struct ike_sa_info *info);
// Is it the answer to a question whether 500 answers again? It sets run->fate then.
bool run_port_answer(struct ike_run *run, const struct ike_header *h,
		     const struct ip_endpoint *remote);

// ---- ike_run_probe.c ----
// Is it the answer to a probe? It sets run->fate then.
bool run_probe_answer(struct ike_run *run, const struct ike_header *h,
		      const struct ip_endpoint *remote);
bool run_probe_is_on(const struct ike_run *run, const struct ip_addr *peer);
void run_probe_destroy(struct ike_run *run);

// ---- ike_run_rx.c ----
int rx_start(struct ike_run *run); // -ENOMEM
void rx_stop(struct ike_run *run);

// ---- ike_run_child.c ----
// Puts the pair into the dataplane. On failure it is logged, and the core has to be told to
// delete the child.
// Tells who follows the children.
void run_child_changed(struct ike_run *run, const struct conn_child *child);
int run_child_install(struct run_sa *s, struct ike_child_install *install);
// From now on the tunnel sends on it.
void run_child_use(struct run_sa *s, struct ike_child_use *use);
// Takes it out again. With `late` packets on it are accepted for a moment yet; `by_us`: neither
// lost nor deleted by the peer. False when it was not there.
bool run_child_remove(struct run_sa *s, uint32_t spi_in, bool late, bool by_us);
int run_linger_start(struct ike_run *run); // -ENOMEM
void run_linger_stop(struct ike_run *run);
bool run_child_carries(const struct run_sa *s, const struct conn_child *child);
// Its outbound SA goes on between other addresses.
void run_child_move(struct run_sa *s, uint32_t spi_in, const struct ip_endpoint *local,
		    const struct ip_endpoint *remote);
struct run_child_sa *run_child_by_spi(struct run_sa *s, uint32_t spi_in);
// Is the child carried by an SA that is going to stay?
bool run_child_is_up(const struct conn_child *child);
// A child whose outbound SA has gone while another SA of it is left gets a new one.
void run_child_restore(struct run_sa *s);
uint64_t run_child_last_inbound_ms(const struct run_sa *s, uint64_t now_ms);

// ---- ike_run_idle.c ----
// The child is up, or its `inactivity` may have changed: it is watched, if it is to be.
void idle_watch(struct ike_run *run, struct conn_child *child);
void idle_stop(struct conn_child *child);
// Its first SA has been made: counted from now.
void idle_begin(struct conn_child *child);
// An SA of it is about to go, or to be sent on no more: remembers when it was last used.
void idle_note(const struct ike_run *run, struct conn_child *child);

// ---- ike_run_rival.c ----
// Does a child of `s` lose against one that another IKE SA of the same connection has?
bool run_rival_loses(const struct run_sa *s, const struct conn_child *child);
// `s` is to end: another IKE SA carries its children.
void run_rival_supersede(struct run_sa *s, bool ours);
// Does the connection have an IKE SA with that peer that is in use?
bool run_rival_exists(const struct conn *c, const struct identity *local,
		      const struct identity *remote);
// `s` is established: with unique = replace, what its peer has besides ends.
void run_rival_established(struct run_sa *s);
// After a step that installed something: IKE SAs all of whose children `s` carries as well end, if
// `s` is to replace them.
void run_rival_settle(struct run_sa *s, const struct conn_child *child);
// The peer has no other IKE SA with us (INITIAL_CONTACT): what we have of it is dead.
void run_rival_drop_stale(struct run_sa *s);

// ---- ike_run_roll.c ----
// Who bears which name: looked up, where there may be thousands.
//
// Enters a connection and its children, or those that it plans; who is entered already stays so.
// They leave by themselves when they are freed.
void run_roll_add(struct ike_run *run, struct conn *c, struct conn_child **children, size_t n);
// The connection of the running configuration, or NULL.
struct conn *run_roll_conn(const struct ike_run *run, const char *name);
// The first child of that name in the running configuration, or the next one after one; or NULL.
struct conn_child *run_roll_next_child(const struct ike_run *run, const char *name,
				       const struct conn_child *after);

struct run_pick { // some IKE SAs, in order of id
	struct run_sa **sa;
	size_t n, cap;
};

// Those that may be what is selected: they still have to be compared with it. -ENOMEM. The caller
// frees out->sa, which is good until run_leave.
int run_roll_pick(struct ike_run *run, const struct ike_run_select *sel, struct run_pick *out);

// ---- ike_run_succ.c ----
// Registers the successor of `s`. NULL when memory ran out; it is destroyed then.
struct run_sa *run_succ_add(struct run_sa *s, struct ike_sa *sa);
// The children of one belong to the other now. Returns the other, NULL when it is gone.
struct run_sa *run_succ_adopt(struct ike_run *run, const struct ike_sa *from,
			      const struct ike_sa *to);

// ---- ike_run_pace.c ----
// The child is initiated (start_now) in its turn. -ENOMEM.
int pace_wait(struct ike_run *run, struct conn_child *child, const struct ip_addr *addr);
void pace_cancel(struct conn_child *child); // it does not wait any more
// The initiation counts from now on, even above the limits: a person may ask for one.
void pace_begin(struct run_sa *s, const struct ip_addr *addr);
void pace_over(struct run_sa *s);    // done, given up or not answered in time; may come twice
void pace_next(struct ike_run *run); // starts those whose turn it is

// ---- ike_run_start.c ----
// Our address towards a peer: the one that Linux would take, when the connection has it among its
// own, else the first single one. An error is a sentence.
int start_local(const struct conn *conn, const struct ip_addr *remote, struct ip_endpoint *local,
		struct error *err);
// Another start_action, dpd_action or close_action: whether it is trapped and initiated is decided
// as for a new child; what is up or under way stays so.
void start_changed(struct ike_run *run, struct conn_child *child);
// Starts IKE_SA_INIT. `child` NULL: the IKE SA alone. An error is a sentence; nothing has begun.
int start_initiate(struct ike_run *run, struct conn *conn, struct conn_child *child,
		   struct run_sa **out, struct error *err);
// The same for a child, on an IKE SA that is there or under way if possible.
int start_child(struct ike_run *run, struct conn_child *child, struct run_sa **out,
		struct error *err);
// An IKE SA is established: asks it for the children that have waited for it.
void start_waiting(struct run_sa *s);
// What IKE_EV_CREATE_CHILD or a rekeying wanted did not come about.
void start_refused(struct run_sa *s, const struct ike_action *a);
// An IKE SA is gone: the children that it was asked for have failed.
void start_abandoned(struct run_sa *s);
// The initiation of that child (or of the IKE SA alone) that is under way, or NULL.
struct run_sa *start_under_way(const struct conn *conn, const struct conn_child *child);
// An attempt at a child that is wanted, when it is its turn; the peer's names have been looked up.
void start_begin(struct ike_run *run, struct conn_child *child);
// The attempt that was planned, unless it is not needed any more.
void start_now(struct ike_run *run, struct conn_child *child);
// Why the child is not being brought up; the dataplane is told whether its packets may wait.
void start_rest(struct ike_run *run, struct conn_child *child, enum child_rest rest);
// Traffic initiates the child from now on, or no longer.
void start_trap(struct ike_run *run, struct conn_child *child, bool on);
void start_want(struct ike_run *run, struct conn_child *child, uint64_t delay_ms);
// An initiation of this child failed.
void start_failed(struct ike_run *run, struct conn_child *child);
// The child's last SA is gone.
void start_lost(struct ike_run *run, struct conn_child *child, const struct run_sa *s, bool by_us);
// The child is up: nothing is planned any more.
void start_succeeded(struct ike_run *run, struct conn_child *child);
// A successor for an IKE SA that grows old, or whose peer seems to have forgotten it.
void start_successor(struct run_sa *s);
// A request of an established IKE SA was repeated.
void start_suspect(struct run_sa *s);
// Its peer has answered after all: it carries further children again, and no successor is tried
// for that reason any more. One that is under way may still take its place.
void start_trusted(struct run_sa *s);

// ---- ike_run_watch.c ----
struct watch *watch_add(struct ike_run *run, const struct ike_run_watch *watch); // NULL: no memory
void watch_done(struct watch *w, int result, const char *text);
void watch_report(struct run_sa *s, const struct ike_action *a);
void watch_child_up(struct run_sa *s, const struct conn_child *child);
void watch_child_failed(struct run_sa *s, const struct conn_child *child);
// The child is no longer in the configuration as it was.
void watch_child_retired(struct ike_run *run, const struct conn_child *child);
// Whoever follows one IKE SA follows its successor.
void watch_moved(struct ike_run *run, uint32_t from, uint32_t to);
void watch_established(struct run_sa *s);
void watch_child_gone(struct run_sa *s, uint32_t spi_in);
void watch_closed(struct run_sa *s);
void watch_sweep(struct ike_run *run);
void watch_destroy_all(struct ike_run *run);
