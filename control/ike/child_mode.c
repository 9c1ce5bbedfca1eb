#include "control/ike/child_mode.h"

#include "control/ike/report.h"

static bool all_are(const struct selector_list *list, const struct ip_addr *a)
{
	for (unsigned i = 0; i < list->n; i++)
		if (!ip_addr_equal(&list->s[i].lo, a) || !ip_addr_equal(&list->s[i].hi, a))
			return false;
	return list->n > 0;
}

bool child_mode_fits(const struct ike_sa *sa, const struct selector_list *local,
		     const struct selector_list *remote)
{
	return all_are(local, &sa->local.addr) && all_are(remote, &sa->remote.addr);
}

bool child_mode_ask(struct step *st, const struct child_request *r)
{
	const struct ike_child *old = r->replaces ? child_by_spi_in(st->sa, r->replaces) : NULL;

	if (!(old ? old->info.transport : r->conf->transport))
		return false;
	if (child_mode_fits(st->sa, &r->local_ts, &r->remote_ts))
		return true;
	act_report(st, IKE_REPORT_INFO, IKE_SEV_NOTICE,
		   "child '%s': tunnel mode instead of transport mode, because its selectors are "
		   "not the two addresses of the IKE SA",
		   r->conf->name);
	return false;
}

void child_mode_build(struct ike_builder *b)
{
	build_notify(b, N_USE_TRANSPORT_MODE, NULL, 0);
	build_notify(b, N_ESP_TFC_PADDING_NOT_SUPPORTED, NULL, 0);
}

static void put_addr(struct selector_list *list, const struct ip_addr *a)
{
	for (unsigned i = 0; i < list->n; i++) {
		list->s[i].family = a->family;
		list->s[i].lo = list->s[i].hi = *a;
	}
}

bool child_mode_substitute(const struct ike_sa *sa, struct selector_list *local,
			   struct selector_list *remote, struct child_mode *mode)
{
	// RFC 7296 2.23.1: exactly one address in TSi, and one in TSr.
	if (local->n == 0 || remote->n == 0 || !all_are(local, &local->s[0].lo) ||
	    !all_are(remote, &remote->s[0].lo) || local->s[0].family != remote->s[0].family ||
	    local->s[0].family != sa->local.addr.family)
		return false;
	*mode = (struct child_mode){.transport = true};
	if (!sa->nat.local && !sa->nat.remote)
		return true;
	mode->local_oa = local->s[0].lo;
	mode->remote_oa = remote->s[0].lo;
	if (sa->nat.local)
		put_addr(local, &sa->local.addr);
	if (sa->nat.remote)
		put_addr(remote, &sa->remote.addr);
	return true;
}

bool child_mode_moved_away(struct step *st, struct ike_child *child)
{
	const struct ike_sa *sa = st->sa;

	if (!child->info.transport || (all_are(&child->info.local_ts, &sa->esp.local.addr) &&
				       all_are(&child->info.remote_ts, &sa->esp.remote.addr)))
		return false;
	if (child->want_delete || child->deleting)
		return true;
	act_report(st, IKE_REPORT_INFO, IKE_SEV_NOTICE,
		   "child '%s' ends: it is in transport mode, and an end of its IKE SA has another "
		   "address now",
		   child->info.conf->name);
	if ((!sa->mobike.on || sa->mobike.leader) && !child->replacement && !child->redundant &&
	    !sa_want_child(st->sa, child->info.conf, 0))
		st->nomem = true;
	child->want_delete = true;
	return true;
}
