// What the files control/ike_run*.c share: the running IKE SAs and what hangs on them.
//
//   ike_run.c        create, configure, what the core asks for (env)
//   ike_run_rx.c     messages in: find the SA, limits; NAT keepalives out
//   ike_run_find.c   finding an IKE SA
//   ike_run_sa.c     one IKE SA: create, step, actions, timers, destroy
//   ike_run_child.c  its child SAs: dataplane, lifetimes, which of two wins
//   ike_run_pace.c   how many initiations at once
//   ike_run_start.c  bringing configured children up and keeping them up
//   ike_run_cmd.c    commands: initiate, terminate, shutdown
//   ike_run_watch.c  who follows a command
//   ike_run_info.c   what the API shows
//
// Threads:   control only.
// Lifetime:  a run_sa that is closed is unlinked at once and freed when the outermost
//            run_enter/run_leave pair ends, so that callbacks may do what they like.
#pragma once

#include <sys/queue.h>

#include "control/conn.h"
#include "control/ike_run.h"
#include "control/ike_socket.h"

#define SA_BUCKETS  4096 // a power of two
#define NO_DEADLINE UINT64_MAX

struct conn_index;
struct event;

struct run_child_sa { // a child SA in the dataplane
	TAILQ_ENTRY(run_child_sa) link;
	uint32_t id;
	struct conn_child *child;
	uint32_t spi_in, spi_out;
	uint64_t rekey_at_ms, expires_at_ms; // NO_DEADLINE: never
	bool fresh;			     // installed by the step that is being carried out
};

struct run_sa {			       // an IKE SA
	TAILQ_ENTRY(run_sa) link;      // ordered by id
	TAILQ_ENTRY(run_sa) conn_link; // in conn->sas, unless closed; in the same order
	struct run_sa *next_spi, *next_peer, *next_half_open; // in their buckets
	struct ike_run *run;
	struct ike_sa *sa;
	uint32_t id;
	uint64_t own_spi;	 // key in by_spi, 0: not in it
	struct ip_addr peer;	 // responder: with the initiator's SPI the key in by_peer
	uint64_t peer_spi;	 // responder: the initiator's SPI
	struct conn *conn;	 // counted; NULL: responder that has not chosen
	struct conn_child *goal; // initiator, until it is established: the child to bring up
	struct pace_peer *pace;	 // where it is counted as under way, or NULL
	TAILQ_HEAD(, run_child_sa) children;
	struct event *timer; // the core's
	uint64_t timer_at_ms;
	struct event *age;	       // ours: the nearest of the deadlines below
	uint64_t rekey_at_ms;	       // a successor is to be initiated
	uint64_t end_at_ms;	       // to be deleted
	uint64_t kill_at_ms;	       // to be dropped without further words
	uint64_t began, authenticated; // in the order of all such moments of this ike_run
	bool half_open;		       // responder before authentication
	bool established;	       // has been
	bool superseded;	       // another SA carries its child
	bool aged;		       // its lifetime is over
	bool peer_lost;		       // it did not answer
	bool suspect;		       // it does not answer just now
	bool send_failed;	       // the last message could not be sent
	bool closed;
	enum ike_report_code last_code; // of the last error, for whoever waits
	char last_error[IKE_REPORT_TEXT_MAX];
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

struct ike_run {
	struct event_base *base;
	struct dp *dp;
	struct ike_crypto *crypto;
	struct ike_env env;
	struct ike_socket sock;
	struct event *readable[IKE_SOCKETS], *keepalive;
	uint8_t rx_buf[LIMIT_IKE_MESSAGE_LEN];
	const struct config *config; // NULL before the first configure
	struct conn **conns;	     // in the order of the file
	size_t n_conns;
	struct conn_index *index; // of conns; NULL before the first configure
	struct conn_child **by_tunnel;
	size_t n_by_tunnel;
	struct run_sas sas, closed;
	struct run_sa *by_spi[SA_BUCKETS], *by_peer[SA_BUCKETS];
	struct run_sa *half_open_from[SA_BUCKETS]; // by the peer's address
	TAILQ_HEAD(, watch) watches;
	struct {
		unsigned under_way;	       // initiations
		TAILQ_HEAD(, pace_peer) ready; // may go on when there is room in total
		struct pace_peer *by_addr[SA_BUCKETS];
	} pace;
	unsigned n_sas, n_half_open, n_child_sas; // not closed
	struct run_sa *shown; // the one ike_run_each is at
	unsigned depth;	      // of run_enter
	bool shutting_down;
	uint32_t last_ike_id, last_child_id;
	uint64_t order; // counts the moments that IKE SAs begin and are authenticated
	uint64_t v1_notice_ms, limit_notice_ms; // when last said
	uint64_t strangers_since_ms;		// lines about strangers are limited
	unsigned stranger_lines;
	struct ike_run_stats stats; // the counters of it
	void (*observer)(void *ctx, enum ike_report_code code, enum ike_severity severity,
			 const char *conn, uint32_t ike_id, const char *text);
	void *observer_ctx;
};

// ---- ike_run.c ----
uint64_t run_now_ms(void); // monotonic
// `ms`, more or less a fifth, so that peers do not act in step.
uint64_t run_jitter(struct ike_run *run, uint64_t ms);
void run_conn_put(struct ike_run *run, struct conn *c); // with its tunnels, at the last reference
int run_event_after(struct event *ev, uint64_t ms);

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
void run_sa_age_arm(struct run_sa *s); // after a change of the deadlines
// "lab", or the peer's address before a connection is known.
const char *run_sa_name(const struct run_sa *s, char *buf, size_t size);

// ---- ike_run_find.c ----
uint64_t spi_key(const uint8_t spi[8]);
void run_sa_index_spi(struct run_sa *s, uint64_t spi); // under our own SPI
void run_sa_unindex_spi(struct run_sa *s);
void run_sa_unindex_peer(struct run_sa *s);
size_t run_addr_bucket(const struct ip_addr *a); // below SA_BUCKETS
struct run_sa *run_sa_by_id(struct ike_run *run, uint32_t id);
struct run_sa *run_sa_by_spi(struct ike_run *run, uint64_t own_spi);
struct run_sa *run_sa_by_peer(struct ike_run *run, const struct ip_addr *peer, uint64_t peer_spi);
unsigned run_sa_half_open_from(const struct ike_run *run, const struct ip_addr *peer);
// A responder's SA before authentication: found by the initiator's address and SPI, counted.
void run_sa_half_open(struct run_sa *s, const struct ip_addr *peer, uint64_t peer_spi);
void run_sa_half_open_over(struct run_sa *s); // authenticated, or gone

// ---- ike_run_rx.c ----
int rx_start(struct ike_run *run); // -ENOMEM
void rx_stop(struct ike_run *run);

// ---- ike_run_child.c ----
// Puts the pair into the dataplane. On failure it is logged, and the core has to be told to
// delete the child.
int run_child_install(struct run_sa *s, struct ike_child_install *install);
// Takes it out again. False when it was not there.
bool run_child_remove(struct run_sa *s, uint32_t spi_in);
struct run_child_sa *run_child_by_spi(struct run_sa *s, uint32_t spi_in);
// Is the child carried by an SA that is going to stay?
bool run_child_is_up(const struct conn_child *child);
// After a step that installed something: older SAs of the same child end.
void run_child_settle(struct run_sa *s, const struct conn_child *child);
uint64_t run_child_last_inbound_ms(const struct run_sa *s, uint64_t now_ms);

// ---- ike_run_pace.c ----
// The child is initiated (start_now) in its turn. -ENOMEM.
int pace_wait(struct ike_run *run, struct conn_child *child, const struct ip_addr *addr);
void pace_cancel(struct conn_child *child); // it does not wait any more
// The initiation counts from now on, even above the limits: a person may ask for one.
void pace_begin(struct run_sa *s, const struct ip_addr *addr);
void pace_over(struct run_sa *s);    // done, given up or not answered in time; may come twice
void pace_next(struct ike_run *run); // starts those whose turn it is

// ---- ike_run_start.c ----
// Starts IKE_SA_INIT. `child` NULL: the IKE SA alone. An error is a sentence; nothing has begun.
int start_initiate(struct ike_run *run, struct conn *conn, struct conn_child *child,
		   struct run_sa **out, struct error *err);
// The initiation of that child (or of the IKE SA alone) that is under way, or NULL.
struct run_sa *start_under_way(const struct conn *conn, const struct conn_child *child);
// The attempt that was planned, unless it is not needed any more.
void start_now(struct ike_run *run, struct conn_child *child);
void start_want(struct ike_run *run, struct conn_child *child, uint64_t delay_ms);
// An initiation of this child failed.
void start_failed(struct ike_run *run, struct conn_child *child);
// The child's last SA is gone.
void start_lost(struct ike_run *run, struct conn_child *child, const struct run_sa *s);
// The child is up: nothing is planned any more.
void start_succeeded(struct conn_child *child);
// A successor for an IKE SA that grows old, or whose peer seems to have forgotten it.
void start_successor(struct run_sa *s);
// A request of an established IKE SA was repeated.
void start_suspect(struct run_sa *s);

// ---- ike_run_watch.c ----
struct watch *watch_add(struct ike_run *run, const struct ike_run_watch *watch); // NULL: no memory
void watch_done(struct watch *w, int result, const char *text);
void watch_report(struct run_sa *s, const struct ike_action *a);
void watch_child_up(struct run_sa *s, const struct conn_child *child);
void watch_child_failed(struct run_sa *s); // the IKE SA is there, its child is not
void watch_established(struct run_sa *s);
void watch_child_gone(struct run_sa *s, uint32_t spi_in);
void watch_closed(struct run_sa *s);
void watch_sweep(struct ike_run *run);
void watch_destroy_all(struct ike_run *run);
