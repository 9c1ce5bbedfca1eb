#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

// How long an SA that another one replaces lives on: the side that made the better one ends the
// other soon, its peer only if that does not come.
#define SUPERSEDED_OURS_MS  500
#define SUPERSEDED_PEERS_MS 5000

struct run_child_sa *run_child_by_spi(struct run_sa *s, uint32_t spi_in)
{
	struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	if (c->spi_in == spi_in)
		return c;
	return NULL;
}

static bool carries(const struct run_sa *s, const struct conn_child *child)
{
	const struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	if (c->child == child)
		return true;
	return false;
}

// ---- which of two ----

// Both sides initiated at the same time: the SAs were set up in opposite directions and each began
// before the other was done. Both sides see it so, because each answers the other's IKE_AUTH only
// after it sent its own first message. That is a matter of order: two of these moments may well
// share a millisecond.
static bool collide(const struct run_sa *a, const struct ike_sa_info *a_info,
		    const struct run_sa *b, const struct ike_sa_info *b_info)
{
	return a_info->original_initiator != b_info->original_initiator &&
	       a->began < b->authenticated && b->began < a->authenticated;
}

// May `other` give way to a new SA of `s`, or the other way round?
static bool rivals(const struct run_sa *s, const struct ike_sa_info *info,
		   const struct run_sa *other, const struct ike_sa_info *other_info,
		   const struct conn_child *child)
{
	const struct run_child_sa *c;

	if (other == s || other->closed || !other->established || other->superseded ||
	    other_info->state != IKE_ST_ESTABLISHED ||
	    !identity_equal(&info->remote_id, &other_info->remote_id))
		return false;
	TAILQ_FOREACH(c, &other->children, link)
	if (c->child != child)
		return false;
	return true;
}

static void supersede(struct run_sa *loser, bool ours)
{
	uint64_t at = run_now_ms() + (ours ? SUPERSEDED_OURS_MS : SUPERSEDED_PEERS_MS);
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX];

	log_info(LOG_IKE, "%s: IKE SA #%u gives way to another one",
		 run_sa_name(loser, name, sizeof(name)), loser->id);
	loser->superseded = true;
	loser->rekey_at_ms = NO_DEADLINE;
	loser->end_at_ms = at;
	run_sa_age_arm(loser);
}

// In a collision the lower SPI of the initiator stays, on both sides alike.
static bool loses_collision(const struct run_sa *s, const struct conn_child *child)
{
	struct ike_sa_info info, other_info;
	struct run_sa *other;

	ike_sa_info(s->sa, &info);
	TAILQ_FOREACH(other, &child->conn->sas, conn_link)
	{
		ike_sa_info(other->sa, &other_info);
		if (rivals(s, &info, other, &other_info, child) && carries(other, child) &&
		    collide(s, &info, other, &other_info) &&
		    memcmp(info.spi_i, other_info.spi_i, sizeof(info.spi_i)) > 0)
			return true;
	}
	return false;
}

// An initiation of ours that nobody has answered is not needed any more.
static void drop_unanswered(struct run_sa *s, const struct conn_child *child)
{
	struct run_sa *other, *next;

	for (other = TAILQ_FIRST(&child->conn->sas); other; other = next) {
		struct ike_sa_info info;

		next = TAILQ_NEXT(other, conn_link);
		if (other == s || other->goal != child || other->established)
			continue;
		ike_sa_info(other->sa, &info);
		if (spi_key(info.spi_r) != 0)
			continue;
		other->goal = NULL;
		run_sa_drop(other);
	}
}

void run_child_settle(struct run_sa *s, const struct conn_child *child)
{
	struct ike_sa_info info, other_info;
	struct run_sa *other, *next;

	run_enter(s->run);
	watch_child_up(s, child);
	drop_unanswered(s, child);
	ike_sa_info(s->sa, &info);
	for (other = TAILQ_FIRST(&child->conn->sas); other && !s->superseded; other = next) {
		next = TAILQ_NEXT(other, conn_link);
		ike_sa_info(other->sa, &other_info);
		if (!rivals(s, &info, other, &other_info, child))
			continue;
		supersede(other, collide(s, &info, other, &other_info)
					 ? other_info.original_initiator
					 : info.original_initiator);
	}
	run_leave(s->run);
}

// ---- in the dataplane ----

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void lifetimes(struct run_sa *s, struct run_child_sa *c)
{
	const struct conn_child *child = c->child;
	uint64_t now = run_now_ms(), soft = child->rekey_time_ms;

	c->rekey_at_ms = c->expires_at_ms = NO_DEADLINE;
	if (soft) // up to a tenth earlier, so that the two sides do not act at once
		c->rekey_at_ms = now + soft - (run_jitter(s->run, soft) - soft * 4 / 5) / 4;
	if (child->life_time_ms)
		c->expires_at_ms = now + child->life_time_ms;
	if (s->superseded)
		return;
	// One child per IKE SA: the SA ages with its child.
	s->rekey_at_ms = earlier(s->rekey_at_ms, c->rekey_at_ms);
	s->end_at_ms = earlier(s->end_at_ms, c->expires_at_ms);
	run_sa_age_arm(s);
}

static int install_failed(struct run_sa *s, const struct conn_child *child, int rc,
			  const char *text)
{
	log_error(LOG_CHD, "%s: child %s cannot be installed: %s", s->conn->ike.name, child->name,
		  text);
	s->last_code = IKE_REPORT_INFO;
	snprintf(s->last_error, sizeof(s->last_error), "child %s cannot be installed: %s",
		 child->name, text);
	return rc;
}

int run_child_install(struct run_sa *s, struct ike_child_install *install)
{
	struct conn_child *child = install->conf->user;
	uint32_t spi_in = install->in.spi, spi_out = install->out.spi;
	struct run_child_sa *c;
	struct error err = {""};
	bool loses;
	int rc;

	c = calloc(1, sizeof(*c));
	if (!c)
		return install_failed(s, child, -ENOMEM, "out of memory");
	c->child = child;
	c->spi_in = spi_in;
	c->spi_out = spi_out;
	c->fresh = true;
	loses = loses_collision(s, child);
	rc = dp_sa_in_publish(s->run->dp, child->tunnel, &install->in, &err);
	if (rc)
		goto fail;
	if (!loses)
		rc = dp_tunnel_set_out(s->run->dp, child->tunnel, &install->out, &err);
	if (rc)
		goto fail;
	c->id = ++s->run->last_child_id;
	TAILQ_INSERT_TAIL(&s->children, c, link);
	s->run->n_child_sas++;
	if (loses) {
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		supersede(s, info.original_initiator);
	}
	lifetimes(s, c);
	return 0;
fail:
	// Published or only reserved, the SPI goes.
	dp_sa_in_retire(s->run->dp, spi_in);
	free(c);
	return install_failed(s, child, rc, err.text[0] ? err.text : strerror(-rc));
}

bool run_child_remove(struct run_sa *s, uint32_t spi_in)
{
	struct run_child_sa *c = run_child_by_spi(s, spi_in);
	struct conn_child *child;

	if (!c)
		return false;
	child = c->child;
	TAILQ_REMOVE(&s->children, c, link);
	s->run->n_child_sas--;
	dp_tunnel_clear_out(s->run->dp, child->tunnel, c->spi_out);
	dp_sa_in_retire(s->run->dp, c->spi_in);
	free(c);
	watch_child_gone(s, spi_in);
	if (!run_child_is_up(child))
		start_lost(s->run, child, s);
	return true;
}

bool run_child_is_up(const struct conn_child *child)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &child->conn->sas, conn_link)
	{
		struct ike_sa_info info;

		if (s->superseded || !carries(s, child))
			continue;
		ike_sa_info(s->sa, &info);
		if (info.state == IKE_ST_ESTABLISHED)
			return true;
	}
	return false;
}

uint64_t run_child_last_inbound_ms(const struct run_sa *s, uint64_t now_ms)
{
	const struct run_child_sa *c;
	uint64_t last = 0;

	TAILQ_FOREACH(c, &s->children, link)
	{
		struct dp_sa_stats st;

		if (dp_sa_in_stats(s->run->dp, c->spi_in, &st) || st.idle_ms > now_ms)
			continue;
		if (now_ms - st.idle_ms > last)
			last = now_ms - st.idle_ms;
	}
	return last;
}
