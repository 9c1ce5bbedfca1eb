// Control's side of the capture (capture.h): start, stop, and what the threads have copied.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/punt.h"

static void free_rings(void *p)
{
	struct capture *c = p;

	for (unsigned i = 0; i < c->n_rings; i++) {
		if (!c->ring[i])
			continue;
		record_ring_fini(&c->ring[i]->records);
		free(c->ring[i]);
	}
	free(c);
}

static struct capture *make(const struct dp *dp, const struct dp_capture_params *p)
{
	const unsigned n = dp->n_workers + 1;
	struct capture *c = calloc(1, sizeof(*c) + n * sizeof(c->ring[0]));

	if (!c)
		return NULL;
	c->filter = p->filter;
	c->only_drops = p->only_drops;
	c->sample = p->sample ? p->sample : 1;
	c->snap_len = p->snap_len;
	c->n_rings = n;
	for (unsigned i = 0; i < n; i++) {
		struct capture_ring *r = aligned_alloc(64, sizeof(*r));

		if (r)
			memset(r, 0, sizeof(*r));
		c->ring[i] = r;
		if (!r || record_ring_init(&r->records, CAPTURE_RING_LEN) != 0) {
			free_rings(c);
			return NULL;
		}
		r->capture = c;
		r->dp = dp;
		r->id = i;
	}
	return c;
}

// Where the thread of that number looks for its ring.
static _Atomic(struct capture_ring *) *place_of(struct dp *dp, unsigned i)
{
	return i < dp->n_workers ? &dp->workers[i]->capture : &dp->punt->capture;
}

int dp_capture_start(struct dp *dp, const struct dp_capture_params *params, struct error *err)
{
	struct capture *c;
	int ret;

	if (dp->capture)
		return error_set(err, -EBUSY, "a capture is under way already");
	ret = capture_register();
	if (ret)
		return error_set(err, ret, "no room in DPDK's packet header for a mark: %s",
				 strerror(-ret));
	c = make(dp, params);
	if (!c)
		return error_set(err, -ENOMEM, "out of memory");
	dp->capture_runs = dp->capture_runs % UINT16_MAX + 1; // never 0
	c->run = dp->capture_runs;
	dp->capture = c;
	for (unsigned i = 0; i < c->n_rings; i++)
		atomic_store_explicit(place_of(dp, i), c->ring[i], memory_order_release);
	return 0;
}

// The time stamp counter against the clock, again and again: its frequency is known roughly.
static void set_base(const struct dp *dp, struct capture *c)
{
	const uint64_t now_tsc = rte_rdtsc();
	struct timespec now;

	if (c->base_ns && now_tsc - c->base_tsc < dp->tsc_hz / 100)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	c->base_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	c->base_tsc = now_tsc;
}

static uint64_t time_of(const struct dp *dp, const struct capture *c, uint64_t tsc)
{
	const double ns = (double)(int64_t)(tsc - c->base_tsc) * 1e9 / (double)dp->tsc_hz;

	return c->base_ns + (uint64_t)(int64_t)ns;
}

bool dp_capture_next(struct dp *dp, struct dp_capture_packet *out)
{
	struct capture *c = dp->capture;
	const struct capture_record *oldest = NULL;
	struct capture_ring *from = NULL;

	if (!c)
		return false;
	if (c->shown)
		record_release(&c->shown->records);
	c->shown = NULL;
	set_base(dp, c);
	for (unsigned i = 0; i < c->n_rings; i++) {
		size_t len;
		const struct capture_record *rec = record_peek(&c->ring[i]->records, &len);

		if (rec && (!oldest || (int64_t)(rec->tsc - oldest->tsc) < 0)) {
			oldest = rec;
			from = c->ring[i];
		}
	}
	if (!oldest)
		return false;
	c->shown = from;
	*out = (struct dp_capture_packet){
		.point = (enum dp_capture_point)oldest->point,
		.reason = (enum drop_reason)oldest->reason,
		.time_ns = time_of(dp, c, oldest->tsc),
		.id = oldest->id,
		.number = oldest->number,
		.ethernet = oldest->ethernet,
		.tunnel = oldest->tunnel,
		.spi = oldest->spi,
		.lost = oldest->lost,
		.data = (const uint8_t *)(oldest + 1),
		.cap_len = oldest->cap_len,
		.len = oldest->len,
	};
	return true;
}

void dp_capture_stop(struct dp *dp)
{
	for (unsigned i = 0; dp->capture && i < dp->capture->n_rings; i++)
		atomic_store_explicit(place_of(dp, i), NULL, memory_order_release);
}

uint64_t dp_capture_lost(const struct dp *dp)
{
	uint64_t lost = 0;

	for (unsigned i = 0; dp->capture && i < dp->capture->n_rings; i++)
		lost += record_lost(&dp->capture->ring[i]->records);
	return lost;
}

void dp_capture_end(struct dp *dp)
{
	dp_capture_stop(dp);
	if (dp->capture)
		dp_defer_free(dp, free_rings, dp->capture);
	dp->capture = NULL;
}
