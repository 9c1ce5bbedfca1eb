// What the guard of UDP/500 has to know: who our peers are, which IKE SAs there are, the keys of
// the cookies.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "control/conn_index.h"
#include "lib/ike_wire.h"
#include "lib/log.h"

enum {
	AT_EXCHANGE = 18, // in the header (RFC 7296 3.1)
	TICK_S = 1,	  // so late may new keys of cookies be
	SOON_MS = 20,	  // many changes at once become one
	CALM_MS = 60000,  // without anything held back, the attack is over
	LOSS_PART = 10,	  // one in so many lost: then several answers of one peer may be
	LOSS_MIN = 20,	  // packets; fewer are chance
};

static void push_cookies(struct ike_run *run)
{
	const struct ike_cookie_keys *keys = &run->cookies.keys;

	// A message may have made the new key before this tick did: the version tells.
	if (cookie_jar_refresh(&run->cookies, run->crypto, run_now_ms()) ||
	    keys->version == run->guard_version)
		return;
	if (dp_guard_set_cookies(run->dp, keys))
		log_warn(LOG_IKE, "out of memory: the guard goes on with the old keys of cookies");
	else
		run->guard_version = keys->version;
}

// ---- peers ----

// %any, and what is as good as that, names nobody.
static bool names_somebody(const struct config_endpoint *e)
{
	struct ip_addr none = {.family = e->lo.family}, all = none;

	for (size_t i = 0; i < ip_addr_len(&all); i++)
		all.bytes[i] = 0xff;
	return e->lo.family != IP_NONE &&
	       !(ip_addr_equal(&e->lo, &none) && ip_addr_equal(&e->hi, &all));
}

static void put(struct dp_guard_peer *out, size_t *n, const struct ip_addr *lo,
		const struct ip_addr *hi)
{
	if (out)
		out[*n] = (struct dp_guard_peer){*lo, *hi};
	(*n)++;
}

// With `out` NULL only counts.
static size_t collect(const struct ike_run *run, struct dp_guard_peer *out)
{
	size_t n = 0;

	for (size_t i = 0; i < run->n_conns; i++) {
		const struct conn *c = run->conns[i];

		for (unsigned k = 0; k < c->n_remote; k++)
			if (names_somebody(&c->remote[k]))
				put(out, &n, &c->remote[k].lo, &c->remote[k].hi);
		for (unsigned k = 0; k < c->n_remote; k++)
			for (unsigned f = 0; f < NAME_FAMILIES; f++)
				if (c->names[k].addr[f].family != IP_NONE)
					put(out, &n, &c->names[k].addr[f], &c->names[k].addr[f]);
	}
	return n;
}

static void push_peers(evutil_socket_t fd, short what, void *arg)
{
	struct ike_run *run = arg;
	const size_t n = collect(run, NULL);
	struct dp_guard_peer *peers = calloc(n ? n : 1, sizeof(*peers));

	(void)fd;
	(void)what;
	if (peers)
		collect(run, peers);
	if (!peers || dp_guard_set_peers(run->dp, peers, n))
		log_warn(LOG_IKE, "out of memory: the guard does not know the newest peers");
	free(peers);
}

bool ike_run_names(const struct ike_run *run, const struct ip_addr *remote)
{
	return run->index && conn_index_names(run->index, remote);
}

void run_guard_peers_changed(struct ike_run *run)
{
	if (!evtimer_pending(run->guard_soon, NULL))
		run_event_after(run->guard_soon, SOON_MS);
}

void run_guard_configure(struct ike_run *run, const struct config_guard *g)
{
	const struct dp_guard_params p = {
		.on = g->enable,
		.peer_rate = g->peer_rate,
		.proven_rate = g->proven_rate,
		.stranger_rate = g->stranger_rate,
		.unknown_rate = g->unknown_rate,
		.v1_rate = g->v1_rate,
		.answer_rate = g->answer_rate,
	};

	if (dp_guard_set_rates(run->dp, &p))
		log_warn(LOG_IKE, "out of memory: the guard goes on as it was configured before");
	run_guard_peers_changed(run);
}

// ---- how far peers are away ----

// A forger knows neither the keys nor what his packets' TTL comes to here, and the peer does not
// choose its own: so what a peer has authenticated says what the others from its address should
// come with.
void run_guard_learn(const struct run_sa *s, const struct ike_event *ev,
		     const struct ike_actions *acts)
{
	struct ike_run *run = s->run;

	if (ev->type != IKE_EV_MESSAGE || !s->established || !run->rx_ttl ||
	    ev->len < IKE_HEADER_LEN || ev->bytes[AT_EXCHANGE] == EXCHANGE_IKE_SA_INIT ||
	    run_fate_of(acts) != RECORD_FATE_TAKEN)
		return;
	dp_guard_set_ttl(run->dp, &ev->remote.addr, run->rx_ttl); // others than peers have none
}

// ---- what it says ----

static uint64_t held_back(const struct dp_guard_info *i)
{
	return i->fate[GUARD_COOKIE] + i->fate[GUARD_UNREPEATED] + i->fate[GUARD_LIMITED];
}

static void tell_attack(struct ike_run *run, const struct dp_guard_info *now)
{
	char text[IP_ADDR_TEXT_MAX];
	struct dp_guard_source top;
	const size_t sources = dp_guard_sources(run->dp, &top, 1);
	char alarm[320];

	if (sources == 0)
		return;
	snprintf(alarm, sizeof(alarm),
		 "more IKE comes to UDP/500 and 4500 than passes: %llu messages a second held back "
		 "or asked for a cookie; the busiest of %zu sources is %s with %llu a second",
		 (unsigned long long)(held_back(now) - run->guard_held), sources,
		 ip_addr_format(&top.addr, text, sizeof(text)),
		 (unsigned long long)top.per_second_max);
	log_warn(LOG_IKE, "%s; port500 show guard", alarm);
	run_record_guard(run, RECORD_ERROR, "guard-alarm", alarm);
}

// ---- what is lost here ----

static void count_arrivals(const struct ike_run *run, const struct dp_guard_info *g,
			   struct run_arrivals *out)
{
	uint64_t drops[DROP_REASON_COUNT];
	struct dp_port_info port;

	*out = (struct run_arrivals){
		.known = true,
		.passed = g->fate[GUARD_KNOWN] + g->fate[GUARD_PROVEN] + g->fate[GUARD_PEER] +
			  g->fate[GUARD_STRANGER],
	};
	for (unsigned i = 0; dp_port_info(run->dp, i, &port) == 0; i++) {
		out->came += port.rx_packets + port.rx_missed;
		out->missed += port.rx_missed;
	}
	dp_drops(run->dp, drops);
	out->dropped = drops[DROP_PUNT_FULL] + drops[DROP_PUNT_WRITE];
}

static bool is_good_part(uint64_t lost, uint64_t of)
{
	return lost >= LOSS_MIN && lost * LOSS_PART >= of;
}

// A second of an attack is over: did we lose so much that a peer's answers may have been in it?
static void look_for_loss(struct ike_run *run, const struct dp_guard_info *g)
{
	const struct run_arrivals was = run->arrivals;
	struct run_arrivals *now = &run->arrivals;

	count_arrivals(run, g, now);
	if (!was.known)
		return;
	if (is_good_part(now->missed - was.missed, now->came - was.came) ||
	    is_good_part(now->dropped - was.dropped,
			 now->passed - was.passed + now->dropped - was.dropped))
		run->loss_ms = run_now_ms();
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct ike_run *run = arg;
	const uint64_t now_ms = run_now_ms();
	struct dp_guard_info now;

	(void)fd;
	(void)what;
	push_cookies(run);
	dp_guard_info(run->dp, &now);
	if (held_back(&now) != run->guard_held) {
		if (run->guard_held_ms == 0)
			tell_attack(run, &now);
		run->guard_held_ms = now_ms;
	} else if (run->guard_held_ms && now_ms - run->guard_held_ms >= CALM_MS) {
		log_notice(LOG_IKE, "nothing of IKE was held back for %u s", CALM_MS / 1000);
		run_record_guard(run, RECORD_NOTICE, "guard-calm",
				 "nothing of IKE was held back for a while");
		run->guard_held_ms = 0;
		run->arrivals.known = false;
	}
	if (run->guard_held_ms)
		look_for_loss(run, &now);
	run->guard_held = held_back(&now);
}

int run_guard_create(struct ike_run *run)
{
	const struct timeval every = {.tv_sec = TICK_S};

	run->guard_tick = event_new(run->base, -1, EV_PERSIST, on_tick, run);
	run->guard_soon = event_new(run->base, -1, 0, push_peers, run);
	if (!run->guard_tick || !run->guard_soon || event_add(run->guard_tick, &every))
		return -ENOMEM;
	run->cookies.keys.mark = dp_ike_mark(run->dp);
	push_cookies(run);
	return 0;
}

void run_guard_destroy(struct ike_run *run)
{
	if (run->guard_tick)
		event_free(run->guard_tick);
	if (run->guard_soon)
		event_free(run->guard_soon);
}
