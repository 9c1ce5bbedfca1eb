#include "control/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "control/ike_run.h"
#include "control/netmirror.h"
#include "lib/log.h"

enum {
	FOLLOW_MS = 200,
	SOON_MS = 10, // after a change of children, of which many may come at once
	LEAVE_AT_ONCE = 8,
	MTU_FIRST = 1400, // as long as no tunnel has been up
};

struct links {
	struct dp *dp;
	struct netmirror *mirror;
	const struct ike_run *ike;
	struct event *follow, *soon;
	struct dp_iface_info *info; // room for the look at all of them
	size_t room;
	struct links_state state[DP_IFACES_MAX];
	uint16_t fixed_mtu[DP_IFACES_MAX]; // 0: auto
	bool leaving[DP_IFACES_MAX];	   // no longer in the configuration
	size_t n_wanted;
};

static struct links_state *state_of(struct links *x, unsigned iface)
{
	return &x->state[iface - DP_IFACE_FIRST];
}

struct links_state links_state(const struct links *x, unsigned iface)
{
	return x->state[iface - DP_IFACE_FIRST];
}

// How many there are, in x->info.
static size_t look(struct links *x)
{
	const size_t n = dp_ifaces(x->dp, NULL, 0);

	if (n > x->room) {
		struct dp_iface_info *info = reallocarray(x->info, n, sizeof(*info));

		if (!info)
			return 0;
		x->info = info;
		x->room = n;
	}
	return n ? dp_ifaces(x->dp, x->info, n) : 0;
}

// ---- what Linux sees of them ----

static void set_carrier(struct links *x, const struct dp_iface_info *info, bool on)
{
	struct links_state *s = state_of(x, info->iface);
	int rc;

	if (s->carrier == on)
		return;
	rc = dp_iface_set_carrier(x->dp, info->iface, on);
	if (rc)
		log_warn(LOG_NET, "interface %s: its link cannot be set %s: %s", info->name,
			 on ? "up" : "down", strerror(-rc));
	else
		log_notice(LOG_NET, "interface %s: link %s", info->name, on ? "up" : "down");
	s->carrier = on; // said once
}

static void set_mtu(struct links *x, const struct dp_iface_info *info)
{
	struct links_state *s = state_of(x, info->iface);
	uint16_t mtu = x->fixed_mtu[info->iface - DP_IFACE_FIRST];
	int rc;

	if (mtu == 0)
		mtu = info->inner_mtu;
	if (mtu == 0 || mtu == s->mtu)
		return;
	rc = netmirror_set_mtu(x->mirror, info->iface, mtu);
	if (rc)
		log_warn(LOG_NET, "interface %s: mtu %u cannot be set: %s", info->name, mtu,
			 strerror(-rc));
	s->mtu = mtu;
}

static void follow(struct links *x)
{
	bool trapped[DP_IFACES_MAX] = {false};
	const size_t n = look(x);

	ike_run_trapped_ifaces(x->ike, trapped);
	for (size_t i = 0; i < n; i++) {
		const struct dp_iface_info *info = &x->info[i];

		set_carrier(x, info, info->up > 0 || trapped[info->iface - DP_IFACE_FIRST]);
		set_mtu(x, info);
	}
}

// ---- which there are ----

static int add_one(struct links *x, const struct config_iface *want, struct error *err)
{
	const uint16_t mtu = want->mtu ? want->mtu : MTU_FIRST;
	struct error why = {""};
	unsigned iface;
	int rc = dp_iface_add(x->dp, want->name, mtu, &iface, &why);

	if (rc)
		return error_set(err, rc, "%s:%d: gateway.interfaces.%s: %s", want->where.file,
				 want->where.line, want->name, why.text);
	*state_of(x, iface) = (struct links_state){.carrier = true, .mtu = mtu};
	return 0;
}

int links_add(struct links *x, const struct config *config, struct error *err)
{
	const struct config_gateway *gw = &config->gateway;
	bool made[CONFIG_IFACES_MAX] = {false};

	for (size_t i = 0; i < gw->n_ifaces; i++) {
		int rc;

		if (dp_iface_find(x->dp, gw->ifaces[i].name) != DP_IFACE_NONE)
			continue;
		rc = add_one(x, &gw->ifaces[i], err);
		made[i] = rc == 0;
		if (rc == 0)
			continue;
		while (i-- > 0)
			if (made[i])
				dp_iface_del(x->dp, dp_iface_find(x->dp, gw->ifaces[i].name));
		return rc;
	}
	return 0;
}

// Linux takes some 15 ms for each, in which control does nothing else: many go little by little.
// False when some are left for the next time.
static bool take_away(struct links *x)
{
	const size_t n = look(x);
	unsigned gone = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dp_iface_info *info = &x->info[i];

		if (!x->leaving[info->iface - DP_IFACE_FIRST])
			continue;
		if (gone++ == LEAVE_AT_ONCE)
			return false;
		log_notice(LOG_NET, "interface %s is taken away", info->name);
		netmirror_forget(x->mirror, info->iface);
		dp_iface_del(x->dp, info->iface);
		x->leaving[info->iface - DP_IFACE_FIRST] = false;
	}
	return true;
}

static void on_follow(evutil_socket_t fd, short what, void *ctx)
{
	struct links *x = ctx;

	(void)fd;
	(void)what;
	if (take_away(x) && x->n_wanted == 0)
		event_del(x->follow);
	else
		follow(x);
}

static void on_soon(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	follow(ctx);
}

void links_look(void *links, unsigned iface)
{
	const struct timeval soon = {.tv_usec = SOON_MS * 1000};
	struct links *x = links;

	if (x->n_wanted == 0)
		return;
	if (!state_of(x, iface)->carrier)
		follow(x);
	// When it cannot be added, the next regular look is not far.
	else if (!event_pending(x->soon, EV_TIMEOUT, NULL))
		event_add(x->soon, &soon);
}

void links_settle(struct links *x, const struct config *config, struct netmirror *mirror,
		  const struct ike_run *ike)
{
	const struct timeval every = {.tv_usec = FOLLOW_MS * 1000};
	const size_t n = look(x);

	x->mirror = mirror;
	x->ike = ike;
	x->n_wanted = config->gateway.n_ifaces;
	for (size_t i = 0; i < n; i++) {
		const unsigned slot = x->info[i].iface - DP_IFACE_FIRST;
		const struct config_iface *want =
			config_iface_find(&config->gateway, x->info[i].name);

		x->leaving[slot] = !want;
		x->fixed_mtu[slot] = want ? want->mtu : 0;
	}
	if (n == 0)
		return;
	if (event_add(x->follow, &every))
		log_error(LOG_NET, "out of memory: tunnel interfaces stay as they are");
	on_follow(-1, 0, x);
}

int links_create(struct event_base *base, struct dp *dp, struct links **out)
{
	struct links *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->dp = dp;
	x->follow = event_new(base, -1, EV_PERSIST, on_follow, x);
	x->soon = evtimer_new(base, on_soon, x);
	if (!x->follow || !x->soon) {
		links_destroy(x);
		return -ENOMEM;
	}
	*out = x;
	return 0;
}

void links_destroy(struct links *x)
{
	if (!x)
		return;
	if (x->follow)
		event_free(x->follow);
	if (x->soon)
		event_free(x->soon);
	free(x->info);
	free(x);
}
