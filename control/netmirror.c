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

struct port { // by the dataplane's number
	char name[CONFIG_PORT_NAME_MAX];
	unsigned ifindex;			// of the TAP; 0 without
	struct ip_prefix set[CONFIG_ADDRS_MAX]; // put there by us
	unsigned n_set;
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
	struct port port[DP_PORTS_MAX];
	unsigned n_ports;
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

// ROUTE_NO_PORT when the device is none of ours.
static uint32_t port_of(const struct netmirror *m, unsigned ifindex)
{
	for (unsigned i = 0; i < m->n_ports; i++)
		if (ifindex != 0 && m->port[i].ifindex == ifindex)
			return i;
	return ROUTE_NO_PORT;
}

// ---- messages ----

static int on_addr(struct netmirror *m, const struct nlmsghdr *h)
{
	struct netlink_addr a;

	if (!netlink_parse_addr(h, &a))
		return 0;
	if (h->nlmsg_type == RTM_NEWADDR)
		return port_of(m, a.ifindex) == ROUTE_NO_PORT ? 0 : addrs_set(&m->addrs, &a);
	// With an address go the routes that name it as their source; not every kernel says so.
	want_resync(m);
	return port_of(m, a.ifindex) == ROUTE_NO_PORT ? 0 : addrs_del(&m->addrs, &a);
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
		port = port_of(m, hop->ifindex);
	}
	return routes_set(m->routes, &r, port, hop);
}

static int on_neigh(struct netmirror *m, const struct nlmsghdr *h)
{
	struct netlink_neigh n;
	uint32_t port;

	if (!netlink_parse_neigh(h, &n))
		return 0;
	port = port_of(m, n.ifindex);
	return port == ROUTE_NO_PORT ? 0 : neighs_set(m->neighs, port, &n);
}

// The kernel drops the routes of a link that goes down without RTM_DELROUTE.
static void on_link(struct netmirror *m, const struct nlmsghdr *h)
{
	struct netlink_link l;

	if (netlink_parse_link(h, &l) && (h->nlmsg_type == RTM_DELLINK || !l.up || l.up_changed))
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
	for (size_t i = 0; i < m->addrs.n && i < max; i++)
		out[i] = m->addrs.at[i].addr.addr;
	return m->addrs.n;
}

// ---- neighbours ----

struct refresh {
	struct netmirror *m;
	unsigned left;
};

static bool refresh_one(uint32_t port, const struct ip_addr *a, void *ctx)
{
	struct refresh *r = ctx;

	if (r->left == 0)
		return false;
	r->left--;
	netlink_neigh_use(r->m->ask, r->m->port[port].ifindex, a);
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
	char text[IP_ADDR_TEXT_MAX];
	int err;

	if (port >= m->n_ports || m->port[port].ifindex == 0 || a->family == IP_NONE ||
	    !resolve_allowed(m, port, a))
		return;
	err = netlink_neigh_use(m->ask, m->port[port].ifindex, a);
	if (err)
		log_info(LOG_KNL, "the kernel does not resolve %s on %s: %s",
			 ip_addr_format(a, text, sizeof(text)), m->port[port].name, strerror(-err));
}

// ---- configured addresses ----

static bool listed(const struct ip_prefix *list, unsigned n, const struct ip_prefix *a)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].len == a->len && ip_addr_equal(&list[i].addr, &a->addr))
			return true;
	return false;
}

static int addr_error(struct error *err, int code, const char *what, const struct ip_prefix *a,
		      const struct port *p)
{
	char text[IP_PREFIX_TEXT_MAX];

	return error_set(err, code, "cannot %s %s on %s: %s%s", what,
			 ip_prefix_format(a, text, sizeof(text)), p->name, strerror(-code),
			 code == -EPERM ? "; run as root or with CAP_NET_ADMIN" : "");
}

// Takes away what we once put there and is not wanted any more. Before anything is added:
// the kernel deletes the other addresses of a subnet together with its first one.
static int unset_addrs(struct netmirror *m, struct port *p, const struct config_port *want,
		       struct error *err)
{
	for (unsigned i = p->n_set; i-- > 0;) {
		int e;

		if (want && listed(want->addrs, want->n_addrs, &p->set[i]))
			continue;
		e = netlink_addr_del(m->ask, p->ifindex, &p->set[i]);
		if (e && e != -EADDRNOTAVAIL && e != -ENODEV)
			return addr_error(err, e, "delete", &p->set[i], p);
		p->set[i] = p->set[--p->n_set];
	}
	return 0;
}

static int set_addrs(struct netmirror *m, struct port *p, const struct config_port *want,
		     struct error *err)
{
	for (unsigned i = 0; i < want->n_addrs; i++) {
		int e = netlink_addr_set(m->ask, p->ifindex, &want->addrs[i]);

		if (e)
			return addr_error(err, e, "put", &want->addrs[i], p);
		if (!listed(p->set, p->n_set, &want->addrs[i]))
			p->set[p->n_set++] = want->addrs[i];
	}
	return 0;
}

static const struct config_port *wanted(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->gateway.n_ports; i++)
		if (strcmp(config->gateway.ports[i].name, name) == 0)
			return &config->gateway.ports[i];
	return NULL;
}

int netmirror_configure(struct netmirror *m, const struct config *config, struct error *err)
{
	for (unsigned i = 0; i < m->n_ports; i++) {
		struct port *p = &m->port[i];
		const struct config_port *want = wanted(config, p->name);
		int e = 0;

		if (p->ifindex == 0)
			continue;
		e = unset_addrs(m, p, want, err);
		if (!e && want)
			e = set_addrs(m, p, want, err);
		if (e)
			return e;
	}
	return 0;
}

// ---- create and destroy ----

static int read_ports(struct netmirror *m, struct error *err)
{
	m->n_ports = dp_port_count(m->dp);
	for (unsigned i = 0; i < m->n_ports; i++) {
		struct dp_port_info info;
		int e = dp_port_info(m->dp, i, &info);

		if (e)
			return error_set(err, e, "port %u of the dataplane: %s", i, strerror(-e));
		strncpy(m->port[i].name, info.name, sizeof(m->port[i].name) - 1);
		m->port[i].ifindex = info.tap_ifindex;
	}
	return 0;
}

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
	e = read_ports(m, err);
	// It listens before it reads: what changes in between comes as a message afterwards.
	if (!e)
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
	free(m);
}
