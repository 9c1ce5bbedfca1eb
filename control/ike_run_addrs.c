// Our own addresses, for MOBIKE (RFC 4555): what the core asks about them, and telling it when they
// or the routes have changed.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

enum {
	SETTLE_MS = 200,    // addresses and routes change together: the last of them counts
	TELL_MIN_MS = 1000, // each telling looks a route up for every IKE SA that we began
};

static bool is_own(const struct ike_run *run, const struct ip_addr *a)
{
	for (size_t i = 0; i < run->n_addrs; i++)
		if (ip_addr_equal(&run->addrs[i], a))
			return true;
	return false;
}

static unsigned own(void *ctx, const struct ike_conn *conn, const struct ip_addr *first,
		    struct ip_addr out[LIMIT_IKE_ADDRS])
{
	const struct ike_run *run = ctx;
	const struct conn *c = conn->user;
	unsigned n = 0;

	if (is_own(run, first))
		out[n++] = *first;
	for (size_t i = 0; i < run->n_addrs && n < LIMIT_IKE_ADDRS; i++) {
		const struct ip_addr *a = &run->addrs[i];

		if (!ip_addr_equal(a, first) && !ip_addr_is_link_local(a) && conn_is_local(c, a))
			out[n++] = *a;
	}
	return n;
}

static bool allowed(void *ctx, const struct ike_conn *conn, const struct ip_addr *local,
		    const struct ip_addr *remote)
{
	(void)ctx;
	return conn_match(conn->user, local, remote) > 0;
}

static bool source(void *ctx, const struct ike_conn *conn, const struct ip_addr *remote,
		   struct ip_addr *local)
{
	struct ip_endpoint from = {0};
	struct error err;

	(void)ctx;
	if (start_local(conn->user, remote, &from, &err))
		return false;
	*local = from.addr;
	return true;
}

// A step may close others: by id.
static void tell(struct ike_run *run)
{
	uint32_t *ids = calloc(run->n_sas ? run->n_sas : 1, sizeof(*ids));
	size_t n = 0;
	struct run_sa *s;

	if (!ids) {
		run_event_after(run->addrs_timer, TELL_MIN_MS);
		return;
	}
	TAILQ_FOREACH(s, &run->sas, link)
	{
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		if (info.mobike && n < run->n_sas)
			ids[n++] = s->id;
	}
	for (size_t i = 0; i < n; i++) {
		struct ike_event ev = {.type = IKE_EV_ADDRESSES};

		s = run_sa_by_id(run, ids[i]);
		if (s)
			run_sa_step(s, &ev);
	}
	free(ids);
}

static void on_timer(int fd, short what, void *arg)
{
	struct ike_run *run = arg;

	(void)fd;
	(void)what;
	run->addrs_told_ms = run_now_ms();
	run_policies_renew(run);
	run_enter(run);
	tell(run);
	run_leave(run);
}

void ike_run_addresses(struct ike_run *run, const struct ip_addr *addrs, size_t n)
{
	struct ip_addr *copy = calloc(n ? n : 1, sizeof(*copy));
	uint64_t now = run_now_ms(), at = now + SETTLE_MS;

	if (!copy)
		return; // with the next change
	if (n > 0)
		memcpy(copy, addrs, n * sizeof(*copy));
	free(run->addrs);
	run->addrs = copy;
	run->n_addrs = n;
	if (run->addrs_told_ms && at < run->addrs_told_ms + TELL_MIN_MS)
		at = run->addrs_told_ms + TELL_MIN_MS;
	if (!event_pending(run->addrs_timer, EV_TIMEOUT, NULL))
		run_event_after(run->addrs_timer, at - now);
}

int run_addrs_create(struct ike_run *run)
{
	run->env.addrs_own = own;
	run->env.addrs_allowed = allowed;
	run->env.addr_source = source;
	run->addrs_timer = evtimer_new(run->base, on_timer, run);
	return run->addrs_timer ? 0 : -ENOMEM;
}

void run_addrs_destroy(struct ike_run *run)
{
	if (run->addrs_timer)
		event_free(run->addrs_timer);
	free(run->addrs);
}
