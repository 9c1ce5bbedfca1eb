// Two netlink sockets: one asks, one listens. Whatever may have been missed (receive buffer
// overrun, routes that the kernel drops without a message) leads to a resync: a dump of
// everything, in which what is not listed any more goes.
#include "control/netmirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <event2/event.h>
#include <linux/rtnetlink.h>

#include "control/netlink.h"
#include "control/netmirror_addrs.h"
#include "control/netmirror_devices.h"
#include "control/netmirror_neighs.h"
#include "control/netmirror_routes.h"
#include "lib/log.h"

#ifndef NETMIRROR_REFRESH_MS // a test does not wait so long
#define NETMIRROR_REFRESH_MS 30000
#endif

enum {
	RESYNC_MS = 50,			   // several reasons at once make one resync
	RESYNC_RETRY_MS = 1000,		   // after one that failed
	REFRESH_MS = NETMIRROR_REFRESH_MS, // between looks at what the kernel thinks of neighbours
	REFRESH_MAX = 1024,		   // neighbours checked each time
	RESOLVE_REPEAT_MS = 1000,	   // the kernel itself asks once per second
	RESOLVE_PER_SECOND = 1000,	   // requests to the kernel in all
	RESOLVE_RECENT = 256,
	READS_MAX = 64, // pieces read before the event loop gets its turn
};

struct resolved { // lately
	uint32_t port;
	struct ip_addr addr;
	uint64_t at_ms;
};

struct netmirror {
	struct dp *dp;
	struct netlink *ask;
	struct mnl_socket *listen;
	struct event *readable, *resync, *refresh;
	struct devices devices;
	struct addrs addrs;
	struct routes *routes;
	struct neighs *neighs;
	struct resolved recent[RESOLVE_RECENT];
	uint64_t second_ms; // start of the current second of RESOLVE_PER_SECOND
	unsigned in_second;
	unsigned resync_took_ms; // the last one
	int first_err;		 // of the messages of one dump
	bool changed;		 // something, since the observer was told
	void (*observer)(void *ctx);
	void *observer_ctx;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void after(struct event *e, unsigned ms)
{
	struct timeval t = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	event_add(e, &t);
}

// A big table is not read over and over: ten times as long as the last reading took must pass.
static void want_resync(struct netmirror *m)
{
	if (!event_pending(m->resync, EV_TIMEOUT, NULL))
		after(m->resync, RESYNC_MS + 10 * m->resync_took_ms);
}

// ---- messages ----

static int on_addr(struct netmirror *m, const struct nlmsghdr *h)
{
	struct netlink_addr a;

	if (!netlink_parse_addr(h, &a))
		return 0;
	if (h->nlmsg_type == RTM_NEWADDR)
		return devices_number(&m->devices, a.ifindex) == ROUTE_NO_PORT
			       ? 0
			       : addrs_set(&m->addrs, &a);
	// With an address go the routes that name it as their source; not every kernel says so.
	want_resync(m);
	return devices_number(&m->devices, a.ifindex) == ROUTE_NO_PORT ? 0
								       : addrs_del(&m->addrs, &a);
}

// Of several next hops the first one on a port is taken: the dataplane does not balance.
static int on_route(struct netmirror *m, const struct nlmsghdr *h)
{
	const struct netlink_hop *hop = NULL;
	uint32_t port = ROUTE_NO_PORT;
	struct netlink_route r;
	int err;

	if (!netlink_parse_route(h, &r))
		return 0;
	if (h->nlmsg_type == RTM_DELROUTE) {
		err = routes_del(m->routes, &r.dst, r.metric);
		if (err == -EAGAIN)
			want_resync(m);
		return err == -EAGAIN ? 0 : err;
	}
	for (unsigned i = 0; i < r.n_hops && port == ROUTE_NO_PORT; i++) {
		hop = &r.hops[i];
		port = devices_number(&m->devices, hop->ifindex);
		// Linux goes on using a route whose link has no carrier. On a tunnel interface that
		// must hold here as well: what is to be protected does not take another way.
		if (hop->link_down && port != ROUTE_NO_PORT && port < DP_IFACE_FIRST)
			port = ROUTE_NO_PORT;
	}
	return routes_set(m->routes, &r, port, hop);
}

static int on_neigh(struct netmirror *m, const struct nlmsghdr *h)
{
	struct netlink_neigh n;
	uint32_t port;

	if (!netlink_parse_neigh(h, &n))
		return 0;
	port = devices_number(&m->devices, n.ifindex);
	return port >= DP_IFACE_FIRST /* a tunnel interface has none */ ? 0
									: neighs_set(m->neighs,
										     port, &n);
}

// The kernel drops the routes of a link that goes down without RTM_DELROUTE.
static void on_link(struct netmirror *m, const struct nlmsghdr *h)
{
	struct netlink_link l;

	uint32_t number;

	if (!netlink_parse_link(h, &l))
		return;
	number = devices_number(&m->devices, l.ifindex);
	// With ignore_routes_with_linkdown the carrier of a tunnel interface takes routes away.
	if (h->nlmsg_type == RTM_DELLINK || !l.up || l.up_changed ||
	    (number != DEVICE_NONE && number >= DP_IFACE_FIRST))
		want_resync(m);
}

static int on_message(struct netmirror *m, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		m->changed = true;
		on_link(m, h);
		return 0;
	case RTM_DELNEXTHOP: // its routes go without RTM_DELROUTE
		want_resync(m);
		return 0;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		m->changed = true;
		return on_addr(m, h);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		m->changed = true;
		return on_route(m, h);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return on_neigh(m, h);
	default:
		return 0;
	}
}

static void on_dumped(const struct nlmsghdr *h, void *ctx)
{
	struct netmirror *m = ctx;
	int err = on_message(m, h);

	if (err && !m->first_err)
		m->first_err = err;
}

static int on_changed(const struct nlmsghdr *h, void *ctx)
{
	struct netmirror *m = ctx;
	int err = on_message(m, h);

	if (err) {
		log_warn(LOG_KNL,
			 "a change of addresses, routes or neighbours was not taken over: %s",
			 strerror(-err));
		want_resync(m);
	}
	return MNL_CB_OK;
}

// ---- dumps ----

// One dump that the kernel itself calls complete. A table that keeps changing is read again.
static int dump(struct netmirror *m, uint16_t type, void (*begin)(struct netmirror *m))
{
	int err = -EINTR;

	for (int tries = 0; tries < 5 && err == -EINTR; tries++) {
		m->first_err = 0;
		begin(m);
		err = netlink_dump(type, on_dumped, m);
	}
	return err ? err : m->first_err;
}

static void begin_addrs(struct netmirror *m)
{
	addrs_begin(&m->addrs);
}

static void begin_routes(struct netmirror *m)
{
	routes_begin(m->routes);
}

static void begin_neighs(struct netmirror *m)
{
	neighs_begin(m->neighs);
}

static int dump_neighs(struct netmirror *m)
{
	int err = dump(m, RTM_GETNEIGH, begin_neighs);

	if (!err)
		neighs_sweep(m->neighs);
	return err;
}

// Nothing goes after a dump that failed: better an old route than none.
static int resync(struct netmirror *m)
{
	int err = dump(m, RTM_GETADDR, begin_addrs);

	if (!err)
		err = addrs_sweep(&m->addrs);
	if (err)
		return err;
	err = dump(m, RTM_GETROUTE, begin_routes);
	routes_end(m->routes, err == 0);
	return err ? err : dump_neighs(m);
}

static void tell(struct netmirror *m)
{
	bool changed = m->changed;

	m->changed = false;
	if (changed && m->observer)
		m->observer(m->observer_ctx);
}

static void on_resync(evutil_socket_t fd, short what, void *ctx)
{
	struct netmirror *m = ctx;
	uint64_t start = now_ms();
	int err = resync(m);

	(void)fd;
	(void)what;
	m->resync_took_ms = (unsigned)(now_ms() - start);
	tell(m);
	if (!err)
		return;
	log_warn(LOG_KNL, "reading the kernel's routes failed: %s; once more in a second",
		 strerror(-err));
	after(m->resync, RESYNC_RETRY_MS);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	static char buf[NETLINK_BUFFER];
	struct netmirror *m = ctx;

	(void)fd;
	(void)what;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t len = mnl_socket_recvfrom(m->listen, buf, sizeof(buf));

		if (len >= 0) {
			mnl_cb_run(buf, (size_t)len, 0, 0, on_changed, m);
			continue;
		}
		if (errno == EAGAIN || errno == EINTR)
			break;
		if (errno == ENOBUFS)
			log_info(LOG_KNL, "the kernel's routes change faster than they are read; "
					  "reading all of them again");
		else
			log_warn(LOG_KNL, "netlink: %s", strerror(errno));
		want_resync(m);
	}
	tell(m);
}

void netmirror_observe(struct netmirror *m, void (*changed)(void *ctx), void *ctx)
{
	m->observer = changed;
	m->observer_ctx = ctx;
}

size_t netmirror_addrs(const struct netmirror *m, struct ip_addr *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < m->addrs.n; i++) {
		const struct own_addr *a = &m->addrs.at[i];
		uint32_t number = devices_number(&m->devices, a->ifindex);

		// A tunnel interface's address is inside of the tunnels: nothing reaches us there.
		if (number >= DP_IFACE_FIRST)
			continue;
		if (n < max)
			out[n] = a->addr.addr;
		n++;
	}
	return n;
}

// ---- neighbours ----

struct refresh {
	struct netmirror *m;
	unsigned left;
};

static bool refresh_one(uint32_t port, const struct ip_addr *a, void *ctx)
{
	struct refresh *r = ctx;
	const struct device *d;

	if (r->left == 0)
		return false;
	r->left--;
	d = devices_get(&r->m->devices, port);
	if (d)
		netlink_neigh_use(r->m->ask, d->ifindex, a);
	return true;
}

// The kernel does not see the packets that workers forward, so it takes the neighbours they go to
// for unused: they stay STALE, whatever becomes of their MAC address, or are forgotten. So every
// STALE neighbour is declared used: the kernel then asks it and tells us what came of it. Which
// ones the workers do use is not known here; the others cost one ARP request each time.
// A change to STALE is not announced (neigh_timer_handler), hence the dump.
static void on_refresh(evutil_socket_t fd, short what, void *ctx)
{
	struct netmirror *m = ctx;
	struct refresh r = {m, REFRESH_MAX};
	int err = dump_neighs(m);

	(void)fd;
	(void)what;
	if (err)
		log_warn(LOG_KNL, "reading the kernel's neighbours failed: %s", strerror(-err));
	else
		neighs_each_stale(m->neighs, refresh_one, &r);
	after(m->refresh, REFRESH_MS);
}

static bool resolve_allowed(struct netmirror *m, uint32_t port, const struct ip_addr *a)
{
	uint32_t h = (ip_addr_hash(a) ^ port) * 2654435761u;
	struct resolved *r = &m->recent[h % RESOLVE_RECENT];
	uint64_t now = now_ms();

	if (r->at_ms && r->port == port && ip_addr_equal(&r->addr, a) &&
	    now - r->at_ms < RESOLVE_REPEAT_MS)
		return false;
	if (now - m->second_ms >= 1000) {
		m->second_ms = now;
		m->in_second = 0;
	}
	if (m->in_second >= RESOLVE_PER_SECOND)
		return false;
	m->in_second++;
	*r = (struct resolved){port, *a, now};
	return true;
}

void netmirror_resolve(struct netmirror *m, unsigned port, const struct ip_addr *a)
{
	const struct device *d = devices_get(&m->devices, port);
	char text[IP_ADDR_TEXT_MAX];
	int err;

	if (!d || a->family == IP_NONE || !resolve_allowed(m, port, a))
		return;
	err = netlink_neigh_use(m->ask, d->ifindex, a);
	if (err)
		log_info(LOG_KNL, "the kernel does not resolve %s on %s: %s",
			 ip_addr_format(a, text, sizeof(text)), d->name, strerror(-err));
}

// ---- devices ----

int netmirror_configure(struct netmirror *m, const struct config *config, struct error *err)
{
	const size_t before = m->devices.n;
	int e = devices_read(&m->devices, m->dp, err);

	if (m->devices.n != before) // what was said of the new ones up to now was passed over
		want_resync(m);
	return e ? e : devices_configure(&m->devices, m->ask, &config->gateway, err);
}

void netmirror_forget(struct netmirror *m, unsigned iface)
{
	const struct device *d = devices_get(&m->devices, iface);

	// Not only when the dataplane closes it, some time later: its name is free from now on.
	if (d)
		netlink_link_del(m->ask, d->ifindex);
	devices_forget(&m->devices, iface);
	routes_forget_port(m->routes, iface);
	want_resync(m); // of its addresses
}

int netmirror_set_mtu(struct netmirror *m, unsigned iface, uint16_t mtu)
{
	const struct device *d = devices_get(&m->devices, iface);

	return d ? netlink_mtu_set(m->ask, d->ifindex, mtu) : -ENODEV;
}

bool netmirror_neigh(struct netmirror *m, unsigned port, const struct ip_addr *a,
		     struct doctor_count *changes)
{
	return neighs_known(m->neighs, port, a, changes);
}

// ---- create and destroy ----

static int open_all(struct netmirror *m, struct event_base *base, struct error *err)
{
	int e;

	e = netlink_open(&m->ask);
	if (!e)
		e = netlink_monitor(&m->listen);
	if (e)
		return error_set(err, e, "cannot open a netlink socket: %s", strerror(-e));
	e = routes_create(m->dp, &m->routes);
	if (!e)
		e = neighs_create(m->dp, &m->neighs);
	if (!e) {
		m->readable = event_new(base, mnl_socket_get_fd(m->listen), EV_READ | EV_PERSIST,
					on_readable, m);
		m->resync = evtimer_new(base, on_resync, m);
		m->refresh = evtimer_new(base, on_refresh, m);
		if (!m->readable || !m->resync || !m->refresh || event_add(m->readable, NULL) < 0)
			e = -ENOMEM;
	}
	return e ? error_set(err, e, "no memory to mirror routes") : 0;
}

int netmirror_create(struct event_base *base, struct dp *dp, const struct config *config,
		     struct netmirror **out, struct error *err)
{
	struct netmirror *m = calloc(1, sizeof(*m));
	int e;

	if (!m)
		return error_set(err, -ENOMEM, "no memory to mirror routes");
	m->dp = dp;
	addrs_init(&m->addrs, dp);
	// It listens before it reads: what changes in between comes as a message afterwards.
	e = open_all(m, base, err);
	if (!e)
		e = netmirror_configure(m, config, err);
	if (!e) {
		e = resync(m);
		if (e)
			error_set(err, e, "cannot read addresses, routes and neighbours: %s",
				  strerror(-e));
	}
	if (e) {
		netmirror_destroy(m);
		return e;
	}
	after(m->refresh, REFRESH_MS);
	*out = m;
	return 0;
}

static void event_gone(struct event *e)
{
	if (e)
		event_free(e);
}

void netmirror_destroy(struct netmirror *m)
{
	if (!m)
		return;
	event_gone(m->readable);
	event_gone(m->resync);
	event_gone(m->refresh);
	if (m->listen)
		mnl_socket_close(m->listen);
	netlink_close(m->ask);
	neighs_destroy(m->neighs);
	routes_destroy(m->routes);
	addrs_fini(&m->addrs);
	devices_fini(&m->devices);
	free(m);
}
