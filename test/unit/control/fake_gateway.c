#include "fake_gateway.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#define GATEWAYS_MAX 4
#define HELD_MAX     256

// ---- the wire ----

struct frame {
	struct ip_endpoint from, to;
	bool marker;
	size_t len;
	uint8_t bytes[LIMIT_IKE_MESSAGE_LEN];
};

static struct host {
	struct gateway *g;
	int inside[IKE_SOCKETS], outside[IKE_SOCKETS];
} hosts[GATEWAYS_MAX];
static struct gateway *opening;
static bool holding, no_route;
uint8_t wire_ttl = 61;
unsigned keepalives;
static struct frame *held[HELD_MAX];
static unsigned n_held;

static struct host *host_of(const struct gateway *g)
{
	for (unsigned i = 0; i < GATEWAYS_MAX; i++)
		if (hosts[i].g == g)
			return &hosts[i];
	return NULL;
}

int ike_socket_open(struct ike_socket *s, struct error *err)
{
	struct host *h = host_of(NULL);

	(void)err;
	assert_non_null(h);
	assert_non_null(opening);
	h->g = opening;
	for (unsigned i = 0; i < IKE_SOCKETS; i++) {
		int fd[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd), 0);
		s->fd[i] = h->inside[i] = fd[0];
		h->outside[i] = fd[1];
	}
	return 0;
}

void ike_socket_close(struct ike_socket *s)
{
	for (unsigned k = 0; k < GATEWAYS_MAX; k++) {
		if (!hosts[k].g || hosts[k].inside[0] != s->fd[0])
			continue;
		for (unsigned i = 0; i < IKE_SOCKETS; i++) {
			close(hosts[k].inside[i]);
			close(hosts[k].outside[i]);
		}
		hosts[k] = (struct host){0};
	}
}

// A port of a gateway that the wire does not carry.
static bool is_filtered(const struct ip_endpoint *e)
{
	for (unsigned k = 0; k < GATEWAYS_MAX; k++) {
		struct ip_addr a;

		if (!hosts[k].g || !hosts[k].g->no_port || hosts[k].g->no_port != e->port)
			continue;
		assert_int_equal(ip_addr_parse(hosts[k].g->addr, &a), 0);
		if (ip_addr_equal(&a, &e->addr))
			return true;
	}
	return false;
}

static void deliver(const struct frame *f)
{
	for (unsigned k = 0; k < GATEWAYS_MAX; k++) {
		struct ip_addr a;

		if (!hosts[k].g || hosts[k].g->deaf)
			continue;
		assert_int_equal(ip_addr_parse(hosts[k].g->addr, &a), 0);
		if (!ip_addr_equal(&a, &f->to.addr) || is_filtered(&f->from) || is_filtered(&f->to))
			continue;
		// What comes to 4500 without marker would be taken for ESP.
		assert_int_equal(f->marker, f->to.port == IKE_NATT_PORT);
		(void)!write(hosts[k].outside[f->to.port == IKE_NATT_PORT], f,
			     offsetof(struct frame, bytes) + f->len);
	}
}

static struct gateway *gateway_of(const struct ike_socket *s)
{
	for (unsigned k = 0; k < GATEWAYS_MAX; k++)
		if (hosts[k].g && hosts[k].inside[0] == s->fd[0])
			return hosts[k].g;
	fail_msg("a socket of nobody");
	return NULL;
}

int ike_socket_send_ttl(struct ike_socket *s, const struct ip_endpoint *local,
			const struct ip_endpoint *remote, bool non_esp_marker, const uint8_t *bytes,
			size_t len, uint8_t ttl)
{
	(void)ttl;
	return ike_socket_send(s, local, remote, non_esp_marker, bytes, len);
}

int ike_socket_send(struct ike_socket *s, const struct ip_endpoint *local,
		    const struct ip_endpoint *remote, bool non_esp_marker, const uint8_t *bytes,
		    size_t len)
{
	struct frame *f = calloc(1, sizeof(*f));
	struct gateway *g = gateway_of(s);

	assert_non_null(f);
	if (len == 1) { // NAT keepalive
		keepalives++;
		free(f);
		return 0;
	}
	if (g->refuse_sends) {
		free(f);
		return -EPERM;
	}
	g->datagrams++;
	f->from = *local;
	f->to = *remote;
	f->marker = non_esp_marker;
	f->len = len;
	memcpy(f->bytes, bytes, len);
	if (holding && n_held < HELD_MAX) {
		held[n_held++] = f;
		return 0;
	}
	deliver(f);
	free(f);
	return 0;
}

int ike_socket_receive(struct ike_socket *s, unsigned which, uint8_t *buf, size_t size, size_t *len,
		       struct ip_endpoint *local, struct ip_endpoint *remote, uint8_t *ttl)
{
	static struct frame f;

	if (read(s->fd[which], &f, sizeof(f)) < (ssize_t)offsetof(struct frame, bytes))
		return -EAGAIN;
	assert_true(f.len <= size);
	memcpy(buf, f.bytes, f.len);
	*len = f.len;
	*local = f.to;
	*remote = f.from;
	*ttl = wire_ttl;
	return 0;
}

int ike_socket_source(const struct ip_addr *remote, struct ip_addr *local, struct error *err)
{
	(void)remote;
	if (no_route)
		return error_set(err, -ENETUNREACH, "no route");
	return ip_addr_parse(hosts[0].g->addr, local);
}

int ike_socket_reachable(const struct ip_addr *local, const struct ip_addr *remote,
			 struct error *err)
{
	(void)local;
	(void)remote;
	return no_route ? error_set(err, -ENETUNREACH, "no route") : 0;
}

void wire_hold(bool hold)
{
	holding = hold;
	for (unsigned i = 0; !hold && i < n_held; i++) {
		deliver(held[i]);
		free(held[i]);
	}
	if (!hold)
		n_held = 0;
}

void wire_no_route(bool on)
{
	no_route = on;
}

void wire_inject(struct gateway *to, const char *from, const uint8_t *bytes, size_t len)
{
	struct frame f = {.from.port = IKE_PORT, .to.port = IKE_PORT, .len = len};

	assert_int_equal(ip_addr_parse(from, &f.from.addr), 0);
	assert_int_equal(ip_addr_parse(to->addr, &f.to.addr), 0);
	memcpy(f.bytes, bytes, len);
	deliver(&f);
}

// ---- the dataplane ----

int dp_tunnel_add(struct dp *dp, const char *name, uint32_t *tunnel)
{
	for (uint32_t i = 0; i < FAKE_TUNNELS && !dp->refuse_tunnels; i++) {
		if (dp->tunnel[i].used)
			continue;
		memset(&dp->tunnel[i], 0, sizeof(dp->tunnel[i]));
		dp->tunnel[i].used = true;
		snprintf(dp->tunnel[i].name, DP_NAME_MAX, "%s", name);
		*tunnel = i;
		return 0;
	}
	return -ENOSPC;
}

// There is one, "vti0".
unsigned dp_iface_find(const struct dp *dp, const char *name)
{
	(void)dp;
	return strcmp(name, "vti0") == 0 ? DP_IFACE_FIRST : DP_IFACE_NONE;
}

int dp_tunnel_bind(struct dp *dp, uint32_t tunnel, unsigned iface)
{
	assert_true(dp->tunnel[tunnel].used);
	dp->tunnel[tunnel].iface = iface;
	return 0;
}

int dp_tunnel_del(struct dp *dp, uint32_t tunnel)
{
	assert_true(dp->tunnel[tunnel].used);
	dp->tunnel[tunnel].used = false;
	return 0;
}

int dp_tunnel_set_out(struct dp *dp, uint32_t tunnel, struct esp_sa *sa, struct error *err)
{
	(void)err;
	assert_true(dp->tunnel[tunnel].used);
	assert_true(sa->encr_key.len > 0);
	dp->tunnel[tunnel].out_spi = sa->spi;
	dp->tunnel[tunnel].soft = sa->soft;
	dp->tunnel[tunnel].hard = sa->hard;
	dp->tunnel[tunnel].outs++;
	esp_sa_fini(sa);
	return 0;
}

int dp_sa_in_peer(struct dp *dp, uint32_t spi, const struct ip_endpoint *peer)
{
	(void)dp;
	(void)spi;
	(void)peer;
	return 0;
}

uint16_t dp_tunnel_inner_mtu(const struct dp *dp, uint32_t tunnel)
{
	(void)dp;
	(void)tunnel;
	return 1446;
}

int dp_tunnel_hold(struct dp *dp, uint32_t tunnel, bool on)
{
	assert_true(dp->tunnel[tunnel].used);
	dp->tunnel[tunnel].hold = on;
	return 0;
}

int dp_tunnel_move(struct dp *dp, uint32_t tunnel, uint32_t spi, const struct ip_endpoint *local,
		   const struct ip_endpoint *remote)
{
	(void)local;
	if (dp->tunnel[tunnel].out_spi != spi)
		return -ENOENT;
	dp->tunnel[tunnel].moved_to = *remote;
	return 0;
}

int dp_tunnel_clear_out(struct dp *dp, uint32_t tunnel, uint32_t spi)
{
	assert_true(dp->tunnel[tunnel].used);
	if (dp->tunnel[tunnel].out_spi == spi) {
		dp->tunnel[tunnel].out_spi = 0;
		dp->tunnel[tunnel].gaps++;
	}
	return 0;
}

int dp_guard_add_spi(struct dp *dp, uint64_t spi)
{
	dp->guard_spi = spi;
	dp->guard_spis++;
	return 0;
}

void dp_guard_del_spi(struct dp *dp, uint64_t spi)
{
	(void)spi;
	dp->guard_spis--;
}

int dp_guard_set_peers(struct dp *dp, const struct dp_guard_peer *peers, size_t n)
{
	(void)peers;
	dp->guard_peers = n;
	return 0;
}

int dp_guard_set_rates(struct dp *dp, const struct dp_guard_params *p)
{
	dp->guard_rates = *p;
	return 0;
}

struct ike_mark_key dp_ike_mark(const struct dp *dp)
{
	(void)dp;
	return ike_mark_key_of((const uint8_t *)"sixteen octets!");
}

int dp_guard_set_cookies(struct dp *dp, const struct ike_cookie_keys *keys)
{
	dp->guard_keys = *keys;
	return 0;
}

void dp_guard_info(const struct dp *dp, struct dp_guard_info *out)
{
	*out = dp->guard_info;
}

int dp_guard_set_ttl(struct dp *dp, const struct ip_addr *addr, uint8_t ttl)
{
	dp->ttl_of = *addr;
	dp->ttl = ttl;
	return 0;
}

size_t dp_guard_sources(const struct dp *dp, struct dp_guard_source *out, size_t max)
{
	if (dp->guard_source.addr.family != IP_NONE && max > 0)
		*out = dp->guard_source;
	return dp->guard_source.addr.family != IP_NONE;
}

int dp_guard_peer_info(const struct dp *dp, const struct ip_addr *addr,
		       struct dp_guard_peer_info *out)
{
	(void)dp;
	(void)addr;
	*out = (struct dp_guard_peer_info){.passed = 100, .cookies = 20, .limited = 3};
	return 0;
}

bool dp_ike_lost(struct dp *dp, struct dp_ike_lost *out)
{
	if (dp->n_lost == 0)
		return false;
	*out = dp->lost[--dp->n_lost];
	return true;
}

uint64_t dp_guard_age_ms(const struct dp *dp, uint64_t tsc)
{
	(void)dp;
	return tsc;
}

int dp_sa_in_reserve(struct dp *dp, uint32_t *spi)
{
	static uint32_t next = 0x1000;

	for (unsigned i = 0; i < FAKE_SAS; i++) {
		if (dp->in[i].spi)
			continue;
		dp->in[i].spi = *spi = next++;
		dp->in[i].published = false;
		return 0;
	}
	return -ENOSPC;
}

int dp_sa_in_publish(struct dp *dp, uint32_t tunnel, struct esp_sa *sa, struct error *err)
{
	assert_true(dp->tunnel[tunnel].used);
	if (dp->refuse)
		return error_set(err, -ENOSPC, "the table is full");
	for (unsigned i = 0; i < FAKE_SAS; i++) {
		if (dp->in[i].spi != sa->spi)
			continue;
		assert_false(dp->in[i].published);
		dp->in[i].published = true;
		dp->in[i].tunnel = tunnel;
		esp_sa_fini(sa);
		return 0;
	}
	fail_msg("SPI %x was not reserved", sa->spi);
	return -EINVAL;
}

int dp_sa_in_retire(struct dp *dp, uint32_t spi)
{
	for (unsigned i = 0; i < FAKE_SAS; i++) {
		if (dp->in[i].spi != spi)
			continue;
		dp->in[i].spi = 0;
		return 0;
	}
	return -ENOENT;
}

int dp_sa_in_stats(const struct dp *dp, uint32_t spi, struct dp_sa_stats *out)
{
	(void)spi;
	*out = (struct dp_sa_stats){
		.idle_ms = dp->busy_in ? 0 : UINT64_MAX,
		.silent_ms = dp->busy_in || dp->dummies_in ? 0 : UINT64_MAX,
	};
	return 0;
}

int dp_tunnel_out_stats(const struct dp *dp, uint32_t tunnel, struct dp_sa_stats *out)
{
	*out = (struct dp_sa_stats){
		.idle_ms = dp->busy_out ? 0 : UINT64_MAX,
	};
	return dp->tunnel[tunnel].out_spi ? 0 : -ENOENT;
}

int dp_policies_set(struct dp *dp, const struct dp_policy *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i].action != DP_PROTECT)
			continue;
		assert_true(dp->tunnel[p[i].tunnel].used);
		assert_int_equal(dp->tunnel[p[i].tunnel].iface, p[i].iface);
	}
	if (dp->refuse_policies)
		return -ENOSPC;
	dp->n_policies = n;
	return 0;
}

// ---- gateways ----

void gateway_up(struct gateway *g, struct event_base *base, const char *addr)
{
	struct error err = {""};

	*g = (struct gateway){.addr = addr};
	opening = g;
	if (ike_run_create(base, &g->dp, &g->run, &err))
		fail_msg("%s", err.text);
	opening = NULL;
}

void gateway_configure(struct gateway *g, const char *text)
{
	struct config *before = g->config;
	struct error err = {""};

	if (config_load_text("test", text, strlen(text), &g->config, &err) ||
	    ike_run_configure(g->run, g->config, &err))
		fail_msg("%s", err.text);
	config_destroy(before);
}

void gateway_crash(struct gateway *g)
{
	ike_run_destroy(g->run);
	config_destroy(g->config);
	g->run = NULL;
	g->config = NULL;
}

void gateway_down(struct gateway *g)
{
	gateway_crash(g);
	assert_int_equal(g->dp.n_policies, 0);
	for (unsigned i = 0; i < FAKE_SAS; i++)
		assert_int_equal(g->dp.in[i].spi, 0);
	for (unsigned i = 0; i < FAKE_TUNNELS; i++)
		assert_false(g->dp.tunnel[i].used);
}

void turn(struct event_base *base, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (long)(ms % 1000) * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

unsigned established(struct gateway *g)
{
	struct run_sa *s;
	unsigned n = 0;

	TAILQ_FOREACH(s, &g->run->sas, link)
	{
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		n += info.state == IKE_ST_ESTABLISHED;
	}
	return n;
}

uint32_t out_spi(struct gateway *g, const char *tunnel)
{
	for (unsigned i = 0; i < FAKE_TUNNELS; i++)
		if (g->dp.tunnel[i].used && strcmp(g->dp.tunnel[i].name, tunnel) == 0)
			return g->dp.tunnel[i].out_spi;
	return 0;
}

bool holds(struct gateway *g, const char *tunnel)
{
	for (unsigned i = 0; i < FAKE_TUNNELS; i++)
		if (g->dp.tunnel[i].used && strcmp(g->dp.tunnel[i].name, tunnel) == 0)
			return g->dp.tunnel[i].hold;
	return false;
}

bool has_in(struct gateway *g, uint32_t spi)
{
	for (unsigned i = 0; spi && i < FAKE_SAS; i++)
		if (g->dp.in[i].spi == spi)
			return g->dp.in[i].published;
	return false;
}

void ike_socket_errors(struct ike_socket *s, unsigned which,
		       void (*fn)(void *ctx, const struct ike_socket_icmp *e), void *ctx)
{
	(void)s;
	(void)which;
	(void)fn;
	(void)ctx;
}

int dp_tunnel_totals(const struct dp *dp, uint32_t tunnel, struct dp_tunnel_totals *out)
{
	if (tunnel >= FAKE_TUNNELS || !dp->tunnel[tunnel].used)
		return -ENOENT;
	*out = dp->totals;
	return 0;
}

int dp_port_info(const struct dp *dp, unsigned port, struct dp_port_info *out)
{
	if (port > 0)
		return -ENOENT;
	*out = dp->port;
	return 0;
}

void dp_drops(const struct dp *dp, uint64_t counts[DROP_REASON_COUNT])
{
	memcpy(counts, dp->drops, sizeof(dp->drops));
}
