#include "control/ike_run_priv.h"

struct run_sa *run_succ_add(struct run_sa *s, struct ike_sa *sa)
{
	struct run_sa *n = run_sa_add(s->run, sa, s->conn);

	if (!n)
		return NULL;
	// It was authenticated with the IKE SA that it replaces (RFC 7296 2.18).
	n->established = true;
	n->authenticated = ++s->run->order;
	return n;
}

static struct run_sa *holder(struct ike_run *run, const struct ike_sa *sa)
{
	struct ike_sa_info info;
	struct run_sa *s;

	ike_sa_info(sa, &info);
	s = run_sa_by_spi(run, spi_key(info.original_initiator ? info.spi_i : info.spi_r));
	return s && s->sa == sa ? s : NULL;
}

struct run_sa *run_succ_adopt(struct ike_run *run, const struct ike_sa *from_sa,
			      const struct ike_sa *to_sa)
{
	struct run_sa *from = holder(run, from_sa), *to = holder(run, to_sa), *s;

	if (!from || !to)
		return to;
	TAILQ_CONCAT(&to->children, &from->children, link);
	for (size_t i = 0; i < to->conn->n_children; i++)
		if (to->conn->children[i]->asked_on == from->id)
			to->conn->children[i]->asked_on = to->id;
	TAILQ_FOREACH(s, &to->conn->sas, conn_link)
	if (s->succeeds == from->id)
		s->succeeds = to->id;
	// Reauthentication counts from the authentication.
	to->rekey_at_ms = from->rekey_at_ms;
	to->reauth_at_ms = from->reauth_at_ms;
	to->renewing = from->renewing;
	to->end_at_ms = from->end_at_ms;
	to->superseded = from->superseded;
	from->rekey_at_ms = from->end_at_ms = NO_DEADLINE;
	run_sa_age_arm(to);
	run_sa_age_arm(from);
	watch_moved(run, from->id, to->id);
	return to;
}
