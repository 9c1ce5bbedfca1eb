#include "control/doctor_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "control/daemon.h"
#include "control/guard_class.h"
#include "control/tally.h"

#define TICK_S	    1
#define SLOW_TICKS  5 // between two looks at what takes longer
#define STUCK_MS    3000
#define SECONDS	    60
#define SOURCES_MAX 1024
#define ACTIVE_MS   60000

struct port_tallies {
	struct tally rx, tx, rx_missed, rx_errors, tx_errors;
};

struct worker_turns {
	uint64_t busy, idle, sleeps; // when last looked at
	uint64_t turned_ms;	     // when they last changed
	uint32_t busy_permille;	     // of the time between two looks
};

struct doctor_watch {
	struct dp *dp;
	struct ike_run *ike;
	struct event *tick;
	unsigned ticks;
	uint64_t last_ms;
	struct port_tallies ports[DP_PORTS_MAX];
	struct tally drops[DROP_REASON_COUNT];
	struct tally guard, guard_limited, guard_malformed, guard_cookies;
	uint64_t guard_total;
	uint64_t per_second[SECONDS], late_ms[SECONDS]; // rings
	unsigned at;					// the newest of both
	struct worker_turns workers[DP_WORKERS_MAX];
	struct dp_guard_source *sources;
	size_t n_sources;
};

// ---- looking ----

static void look_at_ports(struct doctor_watch *w, uint64_t now)
{
	struct dp_port_info p;

	for (unsigned i = 0; i < DP_PORTS_MAX && dp_port_info(w->dp, i, &p) == 0; i++) {
		struct port_tallies *t = &w->ports[i];

		tally_follow(&t->rx, p.rx_packets, now, TALLY_MINUTE_MS);
		tally_follow(&t->tx, p.tx_packets, now, TALLY_MINUTE_MS);
		tally_follow(&t->rx_missed, p.rx_missed, now, TALLY_MINUTE_MS);
		tally_follow(&t->rx_errors, p.rx_errors, now, TALLY_MINUTE_MS);
		tally_follow(&t->tx_errors, p.tx_errors, now, TALLY_MINUTE_MS);
	}
}

static void look_at_drops(struct doctor_watch *w, uint64_t now)
{
	uint64_t drops[DROP_REASON_COUNT];

	dp_drops(w->dp, drops);
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		tally_follow(&w->drops[i], drops[i], now, TALLY_MINUTE_MS);
}

static uint64_t look_at_guard(struct doctor_watch *w, uint64_t now)
{
	struct dp_guard_info g;
	uint64_t all = 0, news;

	dp_guard_info(w->dp, &g);
	for (unsigned i = 0; i < GUARD_FATE_COUNT; i++)
		all += g.fate[i];
	tally_follow(&w->guard, all, now, TALLY_MINUTE_MS);
	tally_follow(&w->guard_limited, g.fate[GUARD_LIMITED], now, TALLY_MINUTE_MS);
	tally_follow(&w->guard_malformed, g.fate[GUARD_MALFORMED], now, TALLY_MINUTE_MS);
	tally_follow(&w->guard_cookies, g.fate[GUARD_COOKIE] + g.fate[GUARD_UNREPEATED], now,
		     TALLY_MINUTE_MS);
	news = all - w->guard_total;
	w->guard_total = all;
	return news;
}

static void look_at_sources(struct doctor_watch *w)
{
	size_t n = dp_guard_sources(w->dp, w->sources, SOURCES_MAX);

	w->n_sources = n < SOURCES_MAX ? n : SOURCES_MAX;
	for (size_t i = 0; i < w->n_sources; i++)
		ike_run_note_guard(w->ike, &w->sources[i]);
}

static void look_at_workers(struct doctor_watch *w, uint64_t now)
{
	struct dp_worker_info info;

	for (unsigned i = 0; i < DP_WORKERS_MAX && dp_worker_info(w->dp, i, &info) == 0; i++) {
		struct worker_turns *t = &w->workers[i];
		uint64_t busy = info.busy_cycles - t->busy, idle = info.idle_cycles - t->idle;

		if (busy + idle > 0 || info.sleeps != t->sleeps || t->turned_ms == 0)
			t->turned_ms = now;
		t->busy_permille = busy + idle ? (uint32_t)(busy * 1000 / (busy + idle)) : 0;
		t->busy = info.busy_cycles;
		t->idle = info.idle_cycles;
		t->sleeps = info.sleeps;
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct doctor_watch *w = arg;
	uint64_t now = daemon_now_ms(), since = now - w->last_ms;

	(void)fd;
	(void)what;
	w->at = (w->at + 1) % SECONDS;
	w->per_second[w->at] = look_at_guard(w, now) * 1000 / (since ? since : 1);
	w->late_ms[w->at] = since > TICK_S * 1000 ? since - TICK_S * 1000 : 0;
	w->last_ms = now;
	look_at_workers(w, now);
	if (w->ticks++ % SLOW_TICKS == 0) {
		look_at_ports(w, now);
		look_at_drops(w, now);
		look_at_sources(w);
		ike_run_sample(w->ike);
	}
}

// ---- telling ----

static struct doctor_count read_drops(const struct doctor_watch *w, uint64_t now,
				      const enum drop_reason *reasons, size_t n)
{
	struct doctor_count sum = {.known = true, .window_ms = TALLY_MINUTE_MS};

	for (size_t i = 0; i < n; i++) {
		struct doctor_count c = tally_read(&w->drops[reasons[i]], now, TALLY_MINUTE_MS);

		sum.n += c.n;
		if (c.ever && (!sum.ever || c.ago_ms < sum.ago_ms))
			sum.ago_ms = c.ago_ms;
		sum.ever |= c.ever;
	}
	return sum;
}

#define READ_DROPS(w, now, ...)                                                                    \
	read_drops(w, now, (const enum drop_reason[]){__VA_ARGS__},                                \
		   sizeof((const enum drop_reason[]){__VA_ARGS__}) / sizeof(enum drop_reason))

static void put_drops(const struct doctor_watch *w, uint64_t now, struct doctor_facts *f)
{
	f->neigh.unanswered = READ_DROPS(w, now, DROP_NO_NEIGHBOUR, DROP_HOLD_FULL);
	f->port.vlan_drops = READ_DROPS(w, now, DROP_RX_VLAN);
	f->guard.punt_full = READ_DROPS(w, now, DROP_PUNT_FULL, DROP_PUNT_WRITE);
	f->esp.unknown_spi = READ_DROPS(w, now, DROP_ESP_NO_SA);
	f->esp.selector_drops = READ_DROPS(w, now, DROP_ESP_SELECTOR, DROP_OUT_SELECTOR);
	f->esp.no_sa_drops = READ_DROPS(w, now, DROP_NO_SA, DROP_NO_SA_TIMEOUT, DROP_NO_SA_FULL);
	f->mtu.too_big = READ_DROPS(w, now, DROP_TOO_BIG);
	f->mtu.fragments_lost = READ_DROPS(w, now, DROP_FRAGMENT);
	f->load.lost =
		READ_DROPS(w, now, DROP_HANDOVER_FULL, DROP_NO_MBUF, DROP_TX_FULL, DROP_CRYPTO);
}

static void put_sources(const struct doctor_watch *w, struct doctor_guard_facts *g)
{
	char why[GUARD_WHY_MAX];

	g->scanners.known = g->flooders.known = g->backscatterers.known = true;
	for (size_t i = 0; i < w->n_sources; i++) {
		const struct dp_guard_source *s = &w->sources[i];
		uint64_t held =
			s->fate[GUARD_LIMITED] + s->fate[GUARD_COOKIE] + s->fate[GUARD_UNREPEATED];
		bool peer = ike_run_names(w->ike, &s->addr);

		if (dp_guard_age_ms(w->dp, s->last_tsc) > ACTIVE_MS)
			continue;
		if (!peer && held > g->worst_n) {
			g->worst = s->addr;
			g->worst_n = held;
		}
		switch (guard_classify(s, peer, why)) {
		case CLASS_SCANNER:
			g->scanners.n++;
			g->scanned += s->packets - s->over;
			break;
		case CLASS_FLOOD:
			g->flooders.n++;
			break;
		case CLASS_BACKSCATTER:
			g->backscatterers.n++;
			g->backscatter += s->responses;
			break;
		default:
			break;
		}
	}
}

static void put_forged(const struct doctor_watch *w, const struct ip_addr *peer,
		       struct doctor_guard_facts *g)
{
	for (size_t i = 0; i < w->n_sources; i++) {
		struct dp_guard_source s = w->sources[i];
		char why[GUARD_WHY_MAX];

		if (!ip_addr_equal(&s.addr, peer) || dp_guard_age_ms(w->dp, s.last_tsc) > ACTIVE_MS)
			continue;
		g->forged = DOCTOR_NO;
		s.odd_ttl = g->odd_ttl.n; // lately: a peer that probes us now and then is no forger
		if (guard_classify(&s, true, why) != CLASS_FORGED_PEER)
			continue;
		g->forged = DOCTOR_YES;
		memcpy(g->forged_why, why, sizeof(why));
	}
}

static void put_guard(const struct doctor_watch *w, uint64_t now, struct doctor_facts *f)
{
	struct doctor_guard_facts *g = &f->guard;
	struct dp_guard_info info;

	dp_guard_info(w->dp, &info);
	g->on = info.on ? DOCTOR_YES : DOCTOR_NO;
	g->all = tally_read(&w->guard, now, TALLY_MINUTE_MS);
	g->all_limited = tally_read(&w->guard_limited, now, TALLY_MINUTE_MS);
	g->all_malformed = tally_read(&w->guard_malformed, now, TALLY_MINUTE_MS);
	g->all_cookies = tally_read(&w->guard_cookies, now, TALLY_MINUTE_MS);
	g->per_second = w->per_second[w->at];
	for (unsigned i = 0; i < SECONDS; i++)
		if (w->per_second[i] > g->per_second_max)
			g->per_second_max = w->per_second[i];
	put_sources(w, g);
	if (f->route.peer.family != IP_NONE)
		put_forged(w, &f->route.peer, g);
}

static void put_workers(const struct doctor_watch *w, uint64_t now, struct doctor_facts *f)
{
	const unsigned n = dp_worker_count(w->dp);
	struct doctor_load_facts *l = &f->load;
	uint64_t sum = 0;

	f->host.workers = (struct doctor_number){true, n};
	f->host.workers_stuck.known = true;
	for (unsigned i = 0; i < n && i < DP_WORKERS_MAX; i++) {
		const struct worker_turns *t = &w->workers[i];
		uint64_t still = now - t->turned_ms;

		if (t->turned_ms && still >= STUCK_MS) {
			f->host.workers_stuck.n++;
			if (still > f->host.stuck_ms)
				f->host.stuck_ms = still;
		}
		sum += t->busy_permille;
		if (t->busy_permille >= l->busiest_permille.n) {
			l->busiest_permille.n = t->busy_permille;
			l->busiest = i;
		}
	}
	l->busiest_permille.known = l->mean_permille.known = n > 0;
	l->mean_permille.n = n ? sum / n : 0;
	l->control_late_ms.known = true;
	for (unsigned i = 0; i < SECONDS; i++)
		if (w->late_ms[i] > l->control_late_ms.n)
			l->control_late_ms.n = w->late_ms[i];
}

void doctor_watch_look(struct doctor_watch *w)
{
	look_at_drops(w, daemon_now_ms());
	look_at_sources(w);
}

void doctor_watch_read(struct doctor_watch *w, struct doctor_facts *f)
{
	uint64_t now = daemon_now_ms();

	put_drops(w, now, f);
	put_guard(w, now, f);
	put_workers(w, now, f);
}

void doctor_watch_port(struct doctor_watch *w, unsigned port, struct doctor_port_facts *f)
{
	uint64_t now = daemon_now_ms();
	const struct port_tallies *t;

	if (port >= DP_PORTS_MAX)
		return;
	t = &w->ports[port];
	look_at_ports(w, now);
	f->rx = tally_read(&t->rx, now, TALLY_MINUTE_MS);
	f->tx = tally_read(&t->tx, now, TALLY_MINUTE_MS);
	f->rx_missed = tally_read(&t->rx_missed, now, TALLY_MINUTE_MS);
	f->rx_errors = tally_read(&t->rx_errors, now, TALLY_MINUTE_MS);
	f->tx_errors = tally_read(&t->tx_errors, now, TALLY_MINUTE_MS);
}

// ---- create and destroy ----

int doctor_watch_create(struct event_base *base, struct dp *dp, struct ike_run *ike,
			struct doctor_watch **out)
{
	const struct timeval every = {.tv_sec = TICK_S};
	struct doctor_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->dp = dp;
	w->ike = ike;
	w->last_ms = daemon_now_ms();
	w->sources = calloc(SOURCES_MAX, sizeof(*w->sources));
	w->tick = event_new(base, -1, EV_PERSIST, on_tick, w);
	if (!w->sources || !w->tick || event_add(w->tick, &every)) {
		doctor_watch_destroy(w);
		return -ENOMEM;
	}
	*out = w;
	return 0;
}

void doctor_watch_destroy(struct doctor_watch *w)
{
	if (!w)
		return;
	if (w->tick)
		event_free(w->tick);
	free(w->sources);
	free(w);
}
