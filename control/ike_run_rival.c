#include "control/ike_run_priv.h"

#include <string.h>

#include "lib/log.h"

// As strongSwan, a peer that comes from where it was is given time to bring its children along.
#define DUPLICATE_MS 10000

// How long an SA that another one replaces lives on: the side that made the better one ends the
// other soon, its peer only if that does not come.
#define SUPERSEDED_OURS_MS  500
#define SUPERSEDED_PEERS_MS 5000

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
		   const struct run_sa *other, const struct ike_sa_info *other_info)
{
	if (other == s || other->closed || !other->established || other->superseded ||
	    other->conn != s->conn || !ike_state_is_up(other_info->state) ||
	    !identity_equal(&info->remote_id, &other_info->remote_id))
		return false;
	return true;
}

// Was `s` set up to take the place of `other`? Otherwise both are meant, for all that we know.
static bool succeeds(const struct run_sa *s, const struct ike_sa_info *info,
		     const struct run_sa *other, const struct ike_sa_info *other_info)
{
	return s->conn->unique == UNIQUE_REPLACE || s->succeeds == other->id ||
	       (info->original_initiator && other->suspect) || collide(s, info, other, other_info);
}

static bool carries_all(const struct run_sa *s, const struct run_sa *other)
{
	const struct run_child_sa *c;

	TAILQ_FOREACH(c, &other->children, link)
	if (!c->child->retired && !run_child_carries(s, c->child))
		return false;
	return true;
}

void run_rival_supersede(struct run_sa *loser, bool ours)
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
bool run_rival_loses(const struct run_sa *s, const struct conn_child *child)
{
	struct ike_sa_info info, other_info;
	struct run_sa *other;

	ike_sa_info(s->sa, &info);
	TAILQ_FOREACH(other, &s->conn->sas, conn_link)
	{
		ike_sa_info(other->sa, &other_info);
		if (rivals(s, &info, other, &other_info) && run_child_carries(other, child) &&
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

	for (other = TAILQ_FIRST(&s->conn->sas); other; other = next) {
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

void run_rival_settle(struct run_sa *s, const struct conn_child *child)
{
	struct ike_sa_info info, other_info;
	struct run_sa *other, *next;

	run_enter(s->run);
	watch_child_up(s, child);
	drop_unanswered(s, child);
	ike_sa_info(s->sa, &info);
	for (other = TAILQ_FIRST(&s->conn->sas); other && !s->superseded; other = next) {
		next = TAILQ_NEXT(other, conn_link);
		ike_sa_info(other->sa, &other_info);
		if (!rivals(s, &info, other, &other_info) || !carries_all(s, other) ||
		    !succeeds(s, &info, other, &other_info))
			continue;
		run_rival_supersede(other, collide(s, &info, other, &other_info)
						   ? other_info.original_initiator
						   : info.original_initiator);
	}
	run_leave(s->run);
}

bool run_rival_exists(const struct conn *c, const struct identity *local,
		      const struct identity *remote)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &c->sas, conn_link)
	{
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		if (s->established && !s->superseded && ike_state_is_up(info.state) &&
		    identity_equal(&info.local_id, local) &&
		    identity_equal(&info.remote_id, remote))
			return true;
	}
	return false;
}

// From where it was this may be a reauthentication: its children follow, which ends the old one
// sooner (run_rival_settle). From elsewhere it is somebody who has moved, or a second one.
void run_rival_established(struct run_sa *s)
{
	struct ike_sa_info info, other_info;
	struct run_sa *other, *next;

	if (s->conn->unique != UNIQUE_REPLACE)
		return;
	ike_sa_info(s->sa, &info);
	for (other = TAILQ_FIRST(&s->conn->sas); other; other = next) {
		next = TAILQ_NEXT(other, conn_link);
		ike_sa_info(other->sa, &other_info);
		if (!rivals(s, &info, other, &other_info) ||
		    !identity_equal(&info.local_id, &other_info.local_id) ||
		    collide(s, &info, other, &other_info))
			continue;
		log_info(LOG_IKE, "%s: IKE SA #%u is replaced by #%u (unique = replace)",
			 s->conn->ike.name, other->id, s->id);
		other->duplicate = true;
		other->rekey_at_ms = NO_DEADLINE;
		other->end_at_ms = run_now_ms();
		if (ip_addr_equal(&info.remote.addr, &other_info.remote.addr))
			other->end_at_ms += DUPLICATE_MS;
		run_sa_age_arm(other);
	}
}

// Only those that were there before `s` began: with a collision of two first contacts both sides
// would drop what the other keeps.
void run_rival_drop_stale(struct run_sa *s)
{
	struct ike_sa_info info, other_info;
	struct run_sa *other, *next;

	if (s->conn->unique == UNIQUE_NEVER)
		return;
	ike_sa_info(s->sa, &info);
	run_enter(s->run);
	for (other = TAILQ_FIRST(&s->conn->sas); other; other = next) {
		next = TAILQ_NEXT(other, conn_link);
		ike_sa_info(other->sa, &other_info);
		if (other == s || other->closed || !other->established ||
		    other->authenticated > s->began || other->conn != s->conn ||
		    !identity_equal(&info.local_id, &other_info.local_id) ||
		    !identity_equal(&info.remote_id, &other_info.remote_id))
			continue;
		log_info(LOG_IKE, "%s: IKE SA #%u forgotten: the peer has a new one only",
			 s->conn->ike.name, other->id);
		run_record_sa(s, RECORD_IKE, "peer-restarted",
			      "the peer has restarted: it says that it has no IKE SA but this new "
			      "one (INITIAL_CONTACT), so IKE SA #%u is gone",
			      other->id);
		other->superseded = true;
		run_sa_drop(other);
	}
	run_leave(s->run);
}
