// control/netmirror.c against a real kernel: TAPs in a network namespace of its own, iproute2 to
// change things, and a dataplane that only remembers what it was told.
//
// Needs root; makes its own namespace, so it can be run anywhere. Exit status 77: skipped.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <linux/if_tun.h>

#include "control/netmirror.h"
#include "lib/log.h"

enum { WAN, LAN, PORTS, TUN = DP_IFACE_FIRST, BUCKETS = 1 << 16, FEW = 64 };

// ---- a dataplane that remembers ----

struct remembered {
	struct remembered *next;
	struct dp_route route;
};

struct dp {
	unsigned ifindex[PORTS];
	struct remembered *route[BUCKETS];
	size_t n_routes;
	struct {
		unsigned port;
		struct ip_addr addr;
		struct mac_addr mac;
	} neigh[FEW];
	size_t n_neighs;
	struct ip_addr local[FEW];
	size_t n_locals;
	unsigned tun_ifindex;
	int refuse; // errno that the next dp_route_set gives, once
};

static struct dp dp;

unsigned dp_port_count(const struct dp *d)
{
	(void)d;
	return PORTS;
}

int dp_port_info(const struct dp *d, unsigned port, struct dp_port_info *out)
{
	if (port >= PORTS)
		return -ENOENT;
	*out = (struct dp_port_info){.name = port == WAN ? "wan" : "lan",
				     .tap_ifindex = d->ifindex[port]};
	return 0;
}

// A tunnel interface: there while it has an ifindex.
size_t dp_ifaces(const struct dp *d, struct dp_iface_info *out, size_t max)
{
	if (d->tun_ifindex == 0)
		return 0;
	if (max > 0)
		*out = (struct dp_iface_info){
			.name = "vti0", .iface = TUN, .ifindex = d->tun_ifindex};
	return 1;
}

static size_t find_local(const struct dp *d, const struct ip_addr *a)
{
	size_t i = 0;

	while (i < d->n_locals && !ip_addr_equal(&d->local[i], a))
		i++;
	return i;
}

int dp_local_addr_add(struct dp *d, const struct ip_addr *a)
{
	size_t i = find_local(d, a);

	assert_true(i < FEW);
	d->local[i] = *a;
	if (i == d->n_locals)
		d->n_locals++;
	return 0;
}

int dp_local_addr_del(struct dp *d, const struct ip_addr *a)
{
	size_t i = find_local(d, a);

	if (i < d->n_locals)
		d->local[i] = d->local[--d->n_locals];
	return 0;
}

static struct remembered **find_route(struct dp *d, const struct ip_prefix *p)
{
	uint32_t h = (ip_addr_to_v4(&p->addr) * 2654435761u + p->len) >> 16;
	struct remembered **at = &d->route[h % BUCKETS];

	while (*at &&
	       !((*at)->route.dst.len == p->len && ip_addr_equal(&(*at)->route.dst.addr, &p->addr)))
		at = &(*at)->next;
	return at;
}

int dp_route_set(struct dp *d, const struct dp_route *r)
{
	struct remembered **at = find_route(d, &r->dst);
	int refused = d->refuse;

	d->refuse = 0;
	if (refused)
		return refused;
	if (!*at) {
		*at = calloc(1, sizeof(**at));
		assert_non_null(*at);
		d->n_routes++;
	}
	(*at)->route = *r;
	return 0;
}

int dp_route_del(struct dp *d, const struct ip_prefix *dst)
{
	struct remembered **at = find_route(d, dst);
	struct remembered *gone = *at; // dst may lie in it

	if (gone) {
		*at = gone->next;
		free(gone);
		d->n_routes--;
	}
	return 0;
}

static size_t find_neigh(const struct dp *d, unsigned port, const struct ip_addr *a)
{
	size_t i = 0;

	while (i < d->n_neighs &&
	       !(d->neigh[i].port == port && ip_addr_equal(&d->neigh[i].addr, a)))
		i++;
	return i;
}

int dp_neigh_set(struct dp *d, unsigned port, const struct ip_addr *a, const struct mac_addr *m)
{
	size_t i = find_neigh(d, port, a);

	assert_true(i < FEW);
	d->neigh[i].port = port;
	d->neigh[i].addr = *a;
	d->neigh[i].mac = *m;
	if (i == d->n_neighs)
		d->n_neighs++;
	return 0;
}

int dp_neigh_del(struct dp *d, unsigned port, const struct ip_addr *a)
{
	size_t i = find_neigh(d, port, a);

	if (i < d->n_neighs)
		d->neigh[i] = d->neigh[--d->n_neighs];
	return 0;
}

// ---- the world ----

static struct event_base *base;
static struct netmirror *mirror;
static int tap[PORTS], other; // other: a device that is no port
static struct config_port ports[PORTS];
static struct config config = {.gateway = {.ports = ports, .n_ports = PORTS}};
static unsigned overruns;

static void sink(void *ctx, enum log_level level, enum log_group group, const char *text)
{
	(void)ctx;
	(void)group;
	if (strstr(text, "faster than they are read"))
		overruns++;
	else if (level <= LOG_LEVEL_WARN)
		print_message("# %s\n", text);
}

static void sh(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static int open_device(const char *name, short type, unsigned *ifindex)
{
	struct ifreq ifr = {.ifr_flags = (short)(type | IFF_NO_PI)};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		return -1;
	*ifindex = if_nametoindex(name);
	return fd;
}

static int tap_open(const char *name, unsigned *ifindex)
{
	return open_device(name, IFF_TAP, ifindex);
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	assert_int_equal(ip_prefix_parse(text, &p), 0);
	return p;
}

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static int setup(void **state)
{
	unsigned other_ifindex;

	(void)state;
	log_set_sink(sink, NULL);
	sh("ip link set lo up");
	tap[WAN] = tap_open("wan", &dp.ifindex[WAN]);
	tap[LAN] = tap_open("lan", &dp.ifindex[LAN]);
	other = tap_open("other", &other_ifindex);
	if (tap[WAN] < 0 || tap[LAN] < 0 || other < 0)
		return -1;
	sh("ip link set wan up; ip link set lan up");
	sh("ip link add other type dummy; ip link set other up; ip addr add 203.0.113.1/24 dev "
	   "other");
	sh("sysctl -q -w net.ipv4.neigh.wan.delay_first_probe_time=1");
	strcpy(ports[WAN].name, "wan");
	ports[WAN].addrs[0] = prefix("192.0.2.1/24");
	ports[WAN].n_addrs = 1;
	strcpy(ports[LAN].name, "lan");
	ports[LAN].addrs[0] = prefix("10.1.0.1/24");
	ports[LAN].addrs[1] = prefix("10.1.0.2/24");
	ports[LAN].n_addrs = 2;
	base = event_base_new();
	return base ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	netmirror_destroy(mirror);
	event_base_free(base);
	close(tap[WAN]);
	close(tap[LAN]);
	close(other);
	for (size_t i = 0; i < BUCKETS; i++) {
		while (dp.route[i])
			dp_route_del(&dp, &dp.route[i]->route.dst);
	}
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void run_ms(uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	do {
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	} while (now_ms() < end);
}

// "via ADDRESS dev PORT", "dev PORT", or "none".
static const char *route_text(const char *dst)
{
	static char text[96];
	struct ip_prefix p = prefix(dst);
	struct remembered *r = *find_route(&dp, &p);
	char gateway[IP_ADDR_TEXT_MAX];

	if (!r)
		return "none";
	ip_addr_format(&r->route.gateway, gateway, sizeof(gateway));
	if (r->route.port == TUN)
		snprintf(text, sizeof(text), "dev vti0");
	else if (r->route.gateway.family == IP_NONE)
		snprintf(text, sizeof(text), "dev %s", ports[r->route.port].name);
	else
		snprintf(text, sizeof(text), "via %s dev %s", gateway, ports[r->route.port].name);
	return text;
}

static const char *neigh_text(unsigned port, const char *a)
{
	static char text[MAC_ADDR_TEXT_MAX];
	struct ip_addr address = addr(a);
	size_t i = find_neigh(&dp, port, &address);

	return i < dp.n_neighs ? mac_addr_format(&dp.neigh[i].mac, text, sizeof(text)) : "none";
}

static bool is_local(const char *a)
{
	struct ip_addr address = addr(a);

	return find_local(&dp, &address) < dp.n_locals;
}

// Runs the event loop until the text is as wanted, for three seconds at most.
#define expect_text(expr, want)                                                                    \
	do {                                                                                       \
		for (uint64_t end = now_ms() + 3000; strcmp(expr, want) && now_ms() < end;)        \
			run_ms(5);                                                                 \
		assert_string_equal(expr, want);                                                   \
	} while (0)
#define expect_true(expr)                                                                          \
	do {                                                                                       \
		for (uint64_t end = now_ms() + 3000; !(expr) && now_ms() < end;)                   \
			run_ms(5);                                                                 \
		assert_true(expr);                                                                 \
	} while (0)
#define expect_route(dst, want) expect_text(route_text(dst), want)

// ---- stories, one after the other in one world ----

static void test_start(void **state)
{
	struct error err = {{0}};

	(void)state;
	sh("ip route add 198.51.100.0/24 via 203.0.113.9");
	assert_int_equal(netmirror_create(base, &dp, &config, &mirror, &err), 0);
	// All there on return, before the event loop runs.
	assert_true(is_local("192.0.2.1") && is_local("10.1.0.1") && is_local("10.1.0.2"));
	assert_int_equal(dp.n_locals, 3); // not the other device's, not the loopback's
	assert_string_equal(route_text("192.0.2.0/24"), "dev wan");
	assert_string_equal(route_text("10.1.0.0/24"), "dev lan");
	assert_int_equal(dp.n_routes, 2); // not the other device's
	sh("ip addr show dev wan | grep -q 'inet 192.0.2.1/24'");
}

static void test_addresses_follow(void **state)
{
	(void)state;
	sh("ip addr add 192.0.2.7/24 dev wan; ip addr add 203.0.113.7/24 dev other");
	expect_true(is_local("192.0.2.7"));
	run_ms(100);
	assert_false(is_local("203.0.113.7"));
	// On two devices: local until both are gone.
	sh("ip addr add 192.0.2.7/32 dev lan");
	run_ms(100);
	sh("ip addr del 192.0.2.7/24 dev wan");
	run_ms(200);
	assert_true(is_local("192.0.2.7"));
	sh("ip addr del 192.0.2.7/32 dev lan");
	expect_true(!is_local("192.0.2.7"));
	assert_int_equal(dp.n_locals, 3);
}

static void test_reload_changes_only_what_was_configured(void **state)
{
	struct error err = {{0}};

	(void)state;
	sh("ip addr add 192.0.2.200/32 dev wan"); // by hand
	ports[WAN].addrs[0] = prefix("192.0.2.5/24");
	ports[LAN].n_addrs = 1;
	assert_int_equal(netmirror_configure(mirror, &config, &err), 0);
	expect_true(is_local("192.0.2.5") && !is_local("192.0.2.1") && !is_local("10.1.0.2"));
	assert_true(is_local("192.0.2.200") && is_local("10.1.0.1"));
	expect_route("192.0.2.0/24", "dev wan");
	ports[WAN].addrs[0] = prefix("192.0.2.1/24");
	assert_int_equal(netmirror_configure(mirror, &config, &err), 0);
	sh("ip addr del 192.0.2.200/32 dev wan");
	expect_true(is_local("192.0.2.1") && !is_local("192.0.2.5") && !is_local("192.0.2.200"));
}

static void test_an_address_that_linux_refuses_is_named(void **state)
{
	struct error err = {{0}};
	struct ip_prefix good = ports[LAN].addrs[0];

	(void)state;
	ports[LAN].addrs[0].len = 33;
	assert_int_equal(netmirror_configure(mirror, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "10.1.0.1/33 on lan"));
	ports[LAN].addrs[0] = good;
	assert_int_equal(netmirror_configure(mirror, &config, &err), 0);
}

static void test_lowest_metric_counts(void **state)
{
	(void)state;
	sh("ip route add default via 192.0.2.254 metric 100");
	expect_route("0.0.0.0/0", "via 192.0.2.254 dev wan");
	sh("ip route add default via 192.0.2.253 metric 50");
	expect_route("0.0.0.0/0", "via 192.0.2.253 dev wan");
	sh("ip route add default via 10.1.0.9 metric 200");
	run_ms(100);
	assert_string_equal(route_text("0.0.0.0/0"), "via 192.0.2.253 dev wan");
	sh("ip route del default via 192.0.2.253 metric 50");
	expect_route("0.0.0.0/0", "via 192.0.2.254 dev wan");
	sh("ip route replace default via 192.0.2.252 metric 100");
	expect_route("0.0.0.0/0", "via 192.0.2.252 dev wan");
	sh("ip route del default metric 100");
	expect_route("0.0.0.0/0", "via 10.1.0.9 dev lan");
	sh("ip route del default");
	expect_route("0.0.0.0/0", "none");
}

static void test_better_routes_elsewhere_hide_ours(void **state)
{
	(void)state;
	sh("ip route add 10.9.0.0/16 via 192.0.2.254 metric 100");
	expect_route("10.9.0.0/16", "via 192.0.2.254 dev wan");
	sh("ip route add 10.9.0.0/16 via 203.0.113.9 metric 10");
	expect_route("10.9.0.0/16", "none");
	sh("ip route del 10.9.0.0/16 metric 10");
	expect_route("10.9.0.0/16", "via 192.0.2.254 dev wan");
	sh("ip route add blackhole 10.9.0.0/16 metric 10");
	expect_route("10.9.0.0/16", "none");
	sh("ip route del blackhole 10.9.0.0/16 metric 10");
	expect_route("10.9.0.0/16", "via 192.0.2.254 dev wan");
	sh("ip route change 10.9.0.0/16 via 203.0.113.9 metric 100");
	expect_route("10.9.0.0/16", "none");
	sh("ip route del 10.9.0.0/16 metric 100");
}

static void test_several_next_hops(void **state)
{
	(void)state;
	sh("ip route add 10.8.0.0/16 nexthop via 203.0.113.9 nexthop via 192.0.2.3 "
	   "nexthop via 10.1.0.3");
	expect_route("10.8.0.0/16", "via 192.0.2.3 dev wan");
	sh("ip route replace 10.8.0.0/16 nexthop via 203.0.113.9 nexthop via 10.1.0.3");
	expect_route("10.8.0.0/16", "via 10.1.0.3 dev lan");
	sh("ip route del 10.8.0.0/16");
	expect_route("10.8.0.0/16", "none");
}

static void test_next_hop_objects(void **state)
{
	(void)state;
	sh("ip nexthop add id 7 via 192.0.2.44 dev wan; ip route add 10.7.0.0/16 nhid 7");
	expect_route("10.7.0.0/16", "via 192.0.2.44 dev wan");
	sh("ip nexthop replace id 7 via 10.1.0.44 dev lan");
	expect_route("10.7.0.0/16", "via 10.1.0.44 dev lan");
	sh("ip nexthop del id 7"); // takes the route with it, without a word
	expect_route("10.7.0.0/16", "none");
}

static void test_ipv6(void **state)
{
	size_t locals = dp.n_locals;

	(void)state;
	sh("ip addr add 2001:db8:1::1/64 dev wan nodad; ip addr add 2001:db8:2::1/64 dev other "
	   "nodad");
	expect_true(is_local("2001:db8:1::1"));
	expect_route("2001:db8:1::/64", "dev wan");
	sh("ip -6 route add default via 2001:db8:1::9; ip -6 route add 2001:db8:7::/48 via fe80::9 "
	   "dev lan");
	expect_route("::/0", "via 2001:db8:1::9 dev wan");
	expect_route("2001:db8:7::/48", "via fe80::9 dev lan");
	sh("ip neigh replace fe80::9 lladdr 02:00:00:00:00:09 dev lan nud reachable");
	expect_text(neigh_text(LAN, "fe80::9"), "02:00:00:00:00:09");
	sh("ip neigh del fe80::9 dev lan");
	expect_text(neigh_text(LAN, "fe80::9"), "none");
	assert_string_equal(route_text("2001:db8:2::/64"), "none"); // another device's
	assert_int_equal(dp.n_locals, locals + 1);		    // no link-local ones
	sh("ip -6 route del 2001:db8:7::/48; ip -6 route del default; "
	   "ip addr del 2001:db8:1::1/64 dev wan; ip addr del 2001:db8:2::1/64 dev other");
	expect_route("2001:db8:7::/48", "none");
	expect_route("::/0", "none");
	expect_route("2001:db8:1::/64", "none");
	expect_true(!is_local("2001:db8:1::1"));
}

static void test_not_mirrored(void **state)
{
	size_t before = dp.n_routes;

	(void)state;
	sh("ip route add 10.6.0.0/16 via 192.0.2.6 table 100");
	sh("ip route add 10.6.0.0/16 via 192.0.2.6 tos 0x10");
	sh("ip route add 10.6.0.0/16 via inet6 fe80::1 dev wan metric 5");
	sh("ip -6 route add fe80:7::/64 dev wan; ip -6 route add 2001:db8::/32 dev wan table 100");
	run_ms(200);
	assert_int_equal(dp.n_routes, before);
	sh("ip route del 10.6.0.0/16 via 192.0.2.6 table 100; "
	   "ip route del 10.6.0.0/16 tos 0x10; ip route del 10.6.0.0/16 metric 5");
}

static void test_equal_metrics(void **state)
{
	(void)state;
	sh("ip route add 10.5.0.0/16 via 192.0.2.5");
	sh("ip route append 10.5.0.0/16 via 192.0.2.6");
	expect_route("10.5.0.0/16", "via 192.0.2.5 dev wan");
	sh("ip route del 10.5.0.0/16 via 192.0.2.5");
	expect_route("10.5.0.0/16", "via 192.0.2.6 dev wan");
	sh("ip route prepend 10.5.0.0/16 via 192.0.2.7");
	expect_route("10.5.0.0/16", "via 192.0.2.7 dev wan");
	sh("ip route del 10.5.0.0/16 via 192.0.2.6");
	run_ms(200);
	assert_string_equal(route_text("10.5.0.0/16"), "via 192.0.2.7 dev wan");
	sh("ip route del 10.5.0.0/16");
	expect_route("10.5.0.0/16", "none");
}

static void carrier(int fd, int on)
{
	assert_int_equal(ioctl(fd, TUNSETCARRIER, &on), 0);
}

// It comes and goes while the mirror runs.
static void test_tunnel_interface(void **state)
{
	struct config_iface iface = {.name = "vti0", .n_addrs = 1};
	struct error err = {{0}};
	int fd;

	(void)state;
	iface.addrs[0] = prefix("10.255.0.1/30");
	config.gateway.ifaces = &iface;
	config.gateway.n_ifaces = 1;
	for (int round = 0; round < 2; round++) {
		fd = open_device("vti0", IFF_TUN, &dp.tun_ifindex);
		assert_true(fd >= 0);
		sh("ip link set vti0 up");
		assert_int_equal(netmirror_configure(mirror, &config, &err), 0);
		expect_true(is_local("10.255.0.1"));
		expect_route("10.255.0.0/30", "dev vti0");
		sh("ip route add 10.20.0.0/16 via 10.255.0.2; ip route add 10.21.0.0/16 dev vti0");
		expect_route("10.20.0.0/16", "dev vti0");
		expect_route("10.21.0.0/16", "dev vti0");
		sh("ip -6 route add 2001:db8:20::/48 via 2001:db8:1::9 dev wan onlink metric 9999");
		expect_route("2001:db8:20::/48", "via 2001:db8:1::9 dev wan");
		sh("ip -6 route add 2001:db8:20::/48 dev vti0 metric 5");
		expect_route("2001:db8:20::/48", "dev vti0");
		sh("ip -6 route del 2001:db8:20::/48 dev vti0");
		expect_route("2001:db8:20::/48", "via 2001:db8:1::9 dev wan");
		sh("ip -6 route del 2001:db8:20::/48 dev wan");
		assert_int_equal(netmirror_set_mtu(mirror, TUN, 1390), 0);
		sh("ip link show vti0 | grep -q 'mtu 1390'");

		// Without a carrier Linux goes on using the route, and so does the dataplane, after
		// a dump as well; unless Linux is told otherwise.
		carrier(fd, 0);
		run_ms(300);
		sh("ip link show vti0 | grep -q NO-CARRIER; ip route add 10.22.0.0/16 dev vti0");
		expect_route("10.22.0.0/16", "dev vti0");
		assert_string_equal(route_text("10.20.0.0/16"), "dev vti0");
		sh("sysctl -q -w net.ipv4.conf.vti0.ignore_routes_with_linkdown=1; ip link set "
		   "vti0 "
		   "mtu 1400");
		expect_route("10.20.0.0/16", "none");
		carrier(fd, 1);
		expect_route("10.20.0.0/16", "dev vti0");

		netmirror_forget(mirror, TUN);
		dp.tun_ifindex = 0;
		assert_string_equal(route_text("10.21.0.0/16"), "none");
		close(fd);
		expect_true(!is_local("10.255.0.1"));
		expect_route("10.255.0.0/30", "none");
		assert_int_equal(netmirror_set_mtu(mirror, TUN, 1390), -ENODEV);
	}
	config.gateway.n_ifaces = 0;
}

static void test_silent_deletions(void **state)
{
	(void)state;
	sh("ip route add 10.4.0.0/16 via 192.0.2.4");
	sh("ip route add 10.3.0.0/16 via 10.1.0.4 src 192.0.2.1");
	expect_route("10.4.0.0/16", "via 192.0.2.4 dev wan");
	expect_route("10.3.0.0/16", "via 10.1.0.4 dev lan");
	sh("ip link set wan down");
	expect_route("10.4.0.0/16", "none");
	expect_route("192.0.2.0/24", "none");
	sh("ip link set wan up");
	expect_route("192.0.2.0/24", "dev wan");
	sh("ip addr del 192.0.2.1/24 dev wan"); // the source of 10.3.0.0/16
	expect_route("10.3.0.0/16", "none");
	sh("ip addr add 192.0.2.1/24 dev wan");
	expect_route("192.0.2.0/24", "dev wan");
}

static void test_refused_route_is_tried_again(void **state)
{
	(void)state;
	run_ms(300); // no resync is due
	dp.refuse = -ENOSPC;
	sh("ip route add 10.2.0.0/16 via 192.0.2.2");
	run_ms(100);
	assert_int_equal(dp.refuse, 0);
	assert_string_equal(route_text("10.2.0.0/16"), "none");
	sh("ip link set other down; ip link set other up"); // leads to a resync
	expect_route("10.2.0.0/16", "via 192.0.2.2 dev wan");
	sh("ip route del 10.2.0.0/16");
}

static void test_neighbours(void **state)
{
	(void)state;
	sh("ip neigh add 192.0.2.20 lladdr 02:00:00:00:00:20 dev wan nud permanent");
	expect_text(neigh_text(WAN, "192.0.2.20"), "02:00:00:00:00:20");
	sh("ip neigh change 192.0.2.20 lladdr 02:00:00:00:00:21 dev wan nud reachable");
	expect_text(neigh_text(WAN, "192.0.2.20"), "02:00:00:00:00:21");
	assert_string_equal(neigh_text(LAN, "192.0.2.20"), "none");
	sh("ip neigh change 192.0.2.20 dev wan nud failed");
	expect_text(neigh_text(WAN, "192.0.2.20"), "none");
	sh("ip neigh replace 192.0.2.20 lladdr 02:00:00:00:00:22 dev wan nud reachable");
	expect_text(neigh_text(WAN, "192.0.2.20"), "02:00:00:00:00:22");
	sh("ip neigh del 192.0.2.20 dev wan");
	expect_text(neigh_text(WAN, "192.0.2.20"), "none");
	sh("ip neigh add proxy 192.0.2.21 dev wan; "
	   "ip neigh add 203.0.113.20 lladdr 02:00:00:00:00:23 dev other");
	sh("ip neigh add 10.1.0.20 lladdr 02:00:00:00:00:24 dev lan nud permanent");
	expect_text(neigh_text(LAN, "10.1.0.20"), "02:00:00:00:00:24");
	assert_string_equal(neigh_text(WAN, "192.0.2.21"), "none");
	sh("ip link set lan down");
	expect_text(neigh_text(LAN, "10.1.0.20"), "none");
	sh("ip link set lan up");
	expect_route("10.1.0.0/24", "dev lan");
}

// Reads frames from the TAP until an ARP request for `target` comes.
static bool arp_request_for(const char *target, uint8_t frame[64])
{
	struct ip_addr a = addr(target);

	for (uint64_t end = now_ms() + 4000; now_ms() < end; run_ms(5)) {
		uint8_t buf[2048];
		ssize_t n;

		while ((n = read(tap[WAN], buf, sizeof(buf))) >= 42) {
			if (buf[12] != 8 || buf[13] != 6 || buf[21] != 1 ||
			    memcmp(buf + 38, a.bytes, 4) != 0)
				continue;
			memcpy(frame, buf, 42);
			return true;
		}
	}
	return false;
}

// Answers an ARP request.
static void arp_reply(uint8_t frame[64], const uint8_t mac[6])
{
	uint8_t reply[42];

	memcpy(reply, frame, sizeof(reply));
	memcpy(reply, frame + 6, 6);
	memcpy(reply + 6, mac, 6);
	reply[21] = 2;
	memcpy(reply + 22, mac, 6);
	memcpy(reply + 28, frame + 38, 4);
	memcpy(reply + 32, frame + 22, 10);
	assert_int_equal(write(tap[WAN], reply, sizeof(reply)), sizeof(reply));
}

static void test_resolve(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x77};
	struct ip_addr a = addr("192.0.2.77");
	uint8_t frame[64];

	(void)state;
	netmirror_resolve(mirror, WAN, &a);
	assert_true(arp_request_for("192.0.2.77", frame));
	assert_string_equal(neigh_text(WAN, "192.0.2.77"), "none");
	arp_reply(frame, mac);
	expect_text(neigh_text(WAN, "192.0.2.77"), "02:00:00:00:00:77");
	netmirror_resolve(mirror, PORTS, &a); // no such port: nothing happens
}

// A STALE neighbour is asked again, although Linux itself sends nothing to it; its new MAC address
// arrives, and one that does not answer any more goes.
static void test_stale_neighbours_are_checked(void **state)
{
	static const uint8_t moved[6] = {2, 0, 0, 0, 0, 0x31};
	uint8_t frame[64];

	(void)state;
	sh("ip neigh replace 192.0.2.30 lladdr 02:00:00:00:00:30 dev wan nud stale");
	expect_text(neigh_text(WAN, "192.0.2.30"), "02:00:00:00:00:30");
	// Linux takes no new MAC address within a second of a change of state (locktime).
	for (int i = 0; i < 3 && strcmp(neigh_text(WAN, "192.0.2.30"), "02:00:00:00:00:31"); i++) {
		assert_true(arp_request_for("192.0.2.30", frame));
		arp_reply(frame, moved);
		run_ms(100);
	}
	expect_text(neigh_text(WAN, "192.0.2.30"), "02:00:00:00:00:31");
	sh("ip neigh replace 192.0.2.32 lladdr 02:00:00:00:00:32 dev wan nud stale");
	expect_text(neigh_text(WAN, "192.0.2.32"), "02:00:00:00:00:32");
	for (int i = 0; i < 4 && strcmp(neigh_text(WAN, "192.0.2.32"), "none"); i++)
		run_ms(2000);
	assert_string_equal(neigh_text(WAN, "192.0.2.32"), "none");
}

// More changes than the socket holds, while nobody reads.
static void test_overrun(void **state)
{
	enum { N = 40000 };
	size_t before = dp.n_routes;
	char batch[] = "/tmp/netmirror_test.XXXXXX";
	int fd = mkstemp(batch);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < N; i++)
		fprintf(f, "route add 100.%d.%d.0/30 via 192.0.2.%d\n", 64 + i / 256, i % 256,
			2 + i % 200);
	fclose(f);
	overruns = 0;
	sh("ip -batch %s", batch);
	for (uint64_t end = now_ms() + 20000; dp.n_routes != before + N && now_ms() < end;)
		run_ms(10);
	assert_int_equal(dp.n_routes, before + N);
	assert_true(overruns > 0);
	assert_string_equal(route_text("100.64.7.0/30"), "via 192.0.2.9 dev wan");
	sh("sed -i 's/route add/route del/' %s; ip -batch %s; rm %s", batch, batch, batch);
	for (uint64_t end = now_ms() + 20000; dp.n_routes != before && now_ms() < end;)
		run_ms(10);
	assert_int_equal(dp.n_routes, before);
}

static void test_a_new_mirror_finds_the_same(void **state)
{
	struct error err = {{0}};
	size_t routes = dp.n_routes, locals = dp.n_locals;

	(void)state;
	netmirror_destroy(mirror);
	mirror = NULL;
	assert_int_equal(netmirror_create(base, &dp, &config, &mirror, &err), 0);
	run_ms(100);
	assert_int_equal(dp.n_routes, routes);
	assert_int_equal(dp.n_locals, locals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_addresses_follow),
		cmocka_unit_test(test_reload_changes_only_what_was_configured),
		cmocka_unit_test(test_an_address_that_linux_refuses_is_named),
		cmocka_unit_test(test_lowest_metric_counts),
		cmocka_unit_test(test_better_routes_elsewhere_hide_ours),
		cmocka_unit_test(test_several_next_hops),
		cmocka_unit_test(test_next_hop_objects),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_not_mirrored),
		cmocka_unit_test(test_equal_metrics),
		cmocka_unit_test(test_tunnel_interface),
		cmocka_unit_test(test_silent_deletions),
		cmocka_unit_test(test_refused_route_is_tried_again),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_stale_neighbours_are_checked),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_a_new_mirror_finds_the_same),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "netmirror_test: needs root and network namespaces\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
