#include "control/recorder_feed.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "control/recorder_store.h"

struct recorder_feed {
	struct dp *dp;
	struct recorder *recorder;
	struct ike_run *ike;	      // NULL: none now
	struct recorder_store *store; // NULL: nothing is kept
	struct event *tick;
	unsigned since_save; // ticks
	uint64_t saved;	     // recorder_changes() at the last save
};

static int64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void count_ports(const struct dp *dp, struct record_totals *t)
{
	struct dp_port_info p;

	for (unsigned i = 0; dp_port_info(dp, i, &p) == 0; i++) {
		t->rx_packets += p.rx_packets;
		t->tx_packets += p.tx_packets;
		t->rx_missed += p.rx_missed;
		t->tx_errors += p.tx_errors;
		t->to_linux += p.punt_packets;
		t->from_linux += p.from_linux_packets;
	}
}

static void count_workers(const struct dp *dp, struct record_totals *t)
{
	struct dp_worker_info w;

	for (unsigned i = 0; i < DP_WORKERS_MAX && dp_worker_info(dp, i, &w) == 0; i++) {
		t->esp_in += w.esp_in_packets;
		t->esp_out += w.esp_out_packets;
		t->busy[i] = w.busy_cycles;
		t->idle[i] = w.idle_cycles;
		t->n_workers = i + 1;
	}
}

static void count_ike(const struct ike_run *ike, struct record_totals *t)
{
	struct ike_run_stats s;

	ike_run_stats(ike, &s);
	t->ike_in = s.rx_messages;
	t->ike_out = s.tx_messages;
	t->ike_errors = s.tx_errors;
	t->half_open = s.half_open;
	t->ike_sas = s.ike_sas;
	t->children = s.children;
}

static void save_in_time(struct recorder_feed *f)
{
	if (!f->store || ++f->since_save < LIMIT_RECORD_SAVE_S)
		return;
	f->since_save = 0;
	if (recorder_changes(f->recorder) == f->saved && !recorder_store_behind(f->store))
		return; // counters alone do not wear out a disk
	f->saved = recorder_changes(f->recorder);
	recorder_store_save(f->store);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct recorder_feed *f = arg;
	struct record_totals t = {0};
	struct dp_guard_info guard;

	(void)fd;
	(void)what;
	dp_guard_info(f->dp, &guard);
	for (unsigned i = 0; i < GUARD_FATE_COUNT; i++)
		t.guard[i] = guard.fate[i];
	dp_drops(f->dp, t.drops);
	count_ports(f->dp, &t);
	count_workers(f->dp, &t);
	if (f->ike) {
		count_ike(f->ike, &t);
		ike_run_take_lost(f->ike);
	}
	recorder_tick(f->recorder, wall_ms(), &t);
	save_in_time(f);
}

int recorder_feed_create(struct event_base *base, struct dp *dp, struct recorder *r,
			 const char *state_dir, struct recorder_feed **out)
{
	const struct timeval every = {.tv_sec = 1};
	struct recorder_feed *f = calloc(1, sizeof(*f));
	int rc = -ENOMEM;

	if (!f)
		return rc;
	f->dp = dp;
	f->recorder = r;
	f->tick = event_new(base, -1, EV_PERSIST, on_tick, f);
	if (f->tick && event_add(f->tick, &every) == 0)
		rc = state_dir && *state_dir ? recorder_store_open(state_dir, r, &f->store) : 0;
	if (rc) {
		recorder_feed_destroy(f);
		return rc;
	}
	f->saved = recorder_changes(r);
	*out = f;
	return 0;
}

void recorder_feed_set_ike(struct recorder_feed *f, struct ike_run *ike)
{
	f->ike = ike;
}

void recorder_feed_destroy(struct recorder_feed *f)
{
	if (!f)
		return;
	if (f->tick)
		event_free(f->tick);
	recorder_store_close(f->store);
	free(f);
}

void recorder_feed_note(struct recorder_feed *f, enum record_kind kind, enum record_level level,
			const char *code, const char *fmt, ...)
{
	char text[RECORD_TEXT_MAX];
	struct record_event e = {
		.time_ms = wall_ms(),
		.kind = kind,
		.level = level,
		.took_ms = RECORD_UNKNOWN,
		.code = code,
		.text = text,
	};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	recorder_event(f->recorder, &e);
}
