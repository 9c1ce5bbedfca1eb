#include "control/recorder_priv.h"

#include <errno.h>
#include <stdlib.h>

static const char *const kinds[] = {
#define X(id, name, help) name,
	RECORD_KINDS(X)
#undef X
};

static const char *const levels[] = {
	[RECORD_ERROR] = "error",
	[RECORD_NOTICE] = "notice",
	[RECORD_INFO] = "info",
};

int recorder_create(struct recorder **out)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	rc = record_log_init(&r->peers, LIMIT_RECORD_EVENTS, LIMIT_RECORD_EVENTS_LEN);
	if (rc == 0)
		rc = record_log_init(&r->strangers, LIMIT_RECORD_EVENTS_STRANGERS,
				     LIMIT_RECORD_EVENTS_STRANGERS_LEN);
	if (rc == 0)
		r->ring[0] = calloc(1, sizeof(*r->ring[0]));
	if (rc || !r->ring[0]) {
		recorder_destroy(r);
		return -ENOMEM;
	}
	r->n_rings = 1;
	*out = r;
	return 0;
}

void recorder_destroy(struct recorder *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_rings; i++)
		free(r->ring[i]);
	record_log_fini(&r->peers);
	record_log_fini(&r->strangers);
	free(r);
}

void recorder_keep(struct recorder *r, const struct record_event *e)
{
	record_log_add(e->stranger ? &r->strangers : &r->peers, e);
}

uint64_t recorder_event(struct recorder *r, const struct record_event *e)
{
	struct record_event kept = *e;

	kept.id = ++r->last_id;
	r->changes++;
	kept.before = false;
	recorder_keep(r, &kept);
	// As it was kept: nobody is told of a text that is longer than the one in the list.
	if (r->follow && recorder_event_after(r, kept.id - 1, &kept))
		r->follow(r->follow_ctx, &kept);
	return r->last_id;
}

bool recorder_event_after(const struct recorder *r, uint64_t after, struct record_event *out)
{
	struct record_event a, b;
	const bool have_a = record_log_after(&r->peers, after, &a);
	const bool have_b = record_log_after(&r->strangers, after, &b);

	if (have_a && (!have_b || a.id < b.id))
		*out = a;
	else if (have_b)
		*out = b;
	return have_a || have_b;
}

uint64_t recorder_changes(const struct recorder *r)
{
	return r->changes;
}

uint64_t recorder_last_id(const struct recorder *r)
{
	return r->last_id;
}

uint64_t recorder_events_lost(const struct recorder *r)
{
	return r->peers.lost + r->strangers.lost;
}

void recorder_follow(struct recorder *r, void (*fn)(void *ctx, const struct record_event *e),
		     void *ctx)
{
	r->follow = fn;
	r->follow_ctx = ctx;
}

const char *record_kind_name(enum record_kind kind)
{
	return kinds[kind];
}

const char *record_level_name(enum record_level level)
{
	return levels[level];
}
