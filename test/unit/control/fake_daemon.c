#include "test/unit/control/fake_daemon.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/doctor_gather.h"
#include "control/links.h"
#include "control/recorder.h"

struct fake fake;

static struct ike_conn conn_b = {.name = "site-b"};
static struct ike_child_conf child_net = {.name = "net"};
static struct config_child children_b[2], children_c[1];
static struct config_conn conns[2];
static const struct config_conn *conns_by_name[] = {&conns[0], &conns[1]};
static struct config_port port;
static char *warnings[] = {"port500.conf:3: connections.site-b.mobike: no effect"};
static ike_run_observer observer;
static void *observer_ctx;

static void add_ts(struct selector_list *list, const char *text)
{
	if (selector_parse(text, &list->s[list->n]))
		abort();
	list->n++;
}

static void set_name(char *name, const char *text)
{
	snprintf(name, CONFIG_NAME_MAX, "%s", text);
}

static void init_config(const char *socket_path)
{
	memset(children_b, 0, sizeof(children_b));
	memset(children_c, 0, sizeof(children_c));
	memset(conns, 0, sizeof(conns));
	set_name(children_b[0].name, "net");
	add_ts(&children_b[0].local_ts, "10.1.0.0/16");
	add_ts(&children_b[0].remote_ts, "10.2.0.0/16");
	children_b[0].start_action = START_START;
	children_b[0].rekey_time_ms = 3600000;
	set_name(children_b[1].name, "local");
	children_b[1].mode = MODE_PASS;
	snprintf(children_b[1].port, sizeof(children_b[1].port), "lan");
	add_ts(&children_b[1].local_ts, "10.1.0.0/16");
	add_ts(&children_b[1].remote_ts, "10.1.0.0/16");
	set_name(children_c[0].name, "voice");
	children_c[0].local_dynamic = (struct selector_dynamic){1, {{0, 0, 65535}}};
	add_ts(&children_c[0].remote_ts, "10.3.0.0/24[udp/5060]");

	set_name(conns[0].name, "site-b");
	endpoint_parse("192.0.2.2", &conns[0].remote[0]);
	endpoint_parse("192.0.2.1", &conns[0].local[0]);
	conns[0].n_remote = conns[0].n_local = 1;
	conns[0].local_port = conns[0].remote_port = 500;
	conns[0].rekey_time_ms = 14400000;
	conns[0].dpd_delay_ms = 30000;
	identity_parse("gw-a.example", &conns[0].local_side.id);
	identity_parse("gw-b.example", &conns[0].remote_side.id);
	conns[0].children = children_b;
	conns[0].n_children = 2;
	set_name(conns[1].name, "site-c");
	endpoint_parse("198.51.100.0/24", &conns[1].remote[0]);
	conns[1].n_remote = 1;
	conns[1].local_port = conns[1].remote_port = 500;
	conns[1].children = children_c;
	conns[1].n_children = 1;

	memset(&port, 0, sizeof(port));
	snprintf(port.name, sizeof(port.name), "wan");
	ip_prefix_parse("192.0.2.1/24", &port.addrs[0]);
	port.n_addrs = 1;
	fake.config.conns = conns;
	fake.config.n_conns = 2;
	fake.config.conns_by_name = conns_by_name;
	fake.config.gateway.ports = &port;
	fake.config.gateway.n_ports = 1;
	fake.config.gateway.socket = strdup(socket_path);
	fake.config.warnings = warnings;
	fake.config.n_warnings = 1;
}

void fake_init(struct event_base *base, const char *socket_path)
{
	memset(&fake, 0, sizeof(fake));
	init_config(socket_path);
	fake.now_ms = 10000000;
	fake.n_sas = 1;
	fake.n_children = 1;
	fake.n_routes = 2;
	fake.d.base = base;
	fake.d.config = &fake.config;
	fake.d.config_path = "/etc/port500/port500.conf";
	fake.d.ike = (struct ike_run *)&fake; // never looked into
	fake.d.dp = (struct dp *)&fake;
	fake.d.started_ms = fake.now_ms - 7500000;
	fake.d.generation = 1;
	if (recorder_create(&fake.d.recorder))
		abort();
	observer = NULL;
}

void fake_fini(void)
{
	free(fake.config.gateway.socket);
	fake.config.gateway.socket = NULL;
	recorder_destroy(fake.d.recorder);
	fake.d.recorder = NULL;
}

void fake_report(enum ike_report_code code, enum ike_severity severity, const char *conn,
		 uint32_t ike_id, const char *text)
{
	if (fake.watch.progress)
		fake.watch.progress(fake.watch.ctx, code, severity, conn, text);
	if (observer)
		observer(observer_ctx, code, severity, conn, ike_id, text, NULL);
}

void fake_refusal(const struct ike_refusal *r)
{
	char text[IKE_REPORT_TEXT_MAX];

	observer(observer_ctx, r->code, IKE_SEV_ERROR, r->conn, 1, refusal_text(r, text), r);
}

int ike_run_probe(struct ike_run *run, const char *conn, const struct ike_run_probe_watch *watch,
		  struct error *err)
{
	(void)run;
	if (strcmp(conn, "lab") != 0)
		return error_set(err, -ENOENT, "no connection '%s'", conn);
	fake.probe = *watch;
	return 0;
}

void ike_run_probe_unwatch(struct ike_run *run, void *ctx)
{
	(void)run;
	if (fake.probe.ctx == ctx)
		fake.probe = (struct ike_run_probe_watch){0};
}

bool ike_run_probe_facts(const struct ike_run *run, const char *conn,
			 struct doctor_probe_facts *out)
{
	(void)run;
	*out = fake.probed;
	return strcmp(conn, "lab") == 0;
}

void fake_done(int result, const char *text)
{
	struct ike_run_watch watch = fake.watch;

	fake.watch = (struct ike_run_watch){0};
	if (watch.done)
		watch.done(watch.ctx, result, text);
}

// ---- control/daemon.h ----

uint64_t daemon_now_ms(void)
{
	return fake.now_ms;
}

int daemon_reload(struct daemon *d, struct error *summary, struct error *err)
{
	if (fake.reload)
		return error_set(err, fake.reload, "port500.conf:7: connections.x: no such key");
	d->generation++;
	error_set(summary, 0, "2 connections, 1 changed");
	return 0;
}

// ---- control/ike_run.h ----

static void note(const char *conn, const char *child)
{
	snprintf(fake.conn, sizeof(fake.conn), "%s", conn ? conn : "");
	snprintf(fake.child, sizeof(fake.child), "%s", child ? child : "");
}

int ike_run_initiate(struct ike_run *run, const char *conn, const char *child,
		     const struct ike_run_watch *watch, struct error *err)
{
	(void)run;
	note(conn, child);
	fake.initiations++;
	if (fake.initiate == FAKE_REFUSE)
		return error_set(err, -ENOENT, "no child is called '%s'", child ? child : "");
	if (!watch)
		return 0;
	fake.watch = *watch;
	if (fake.initiate == FAKE_UP_AT_ONCE)
		fake_done(0, "already up");
	return 0;
}

int ike_run_terminate(struct ike_run *run, const struct ike_run_select *sel,
		      const struct ike_run_watch *watch, unsigned *matched, struct error *err)
{
	(void)run;
	note(sel->conn, sel->child);
	fake.ike_id = sel->ike_id;
	fake.child_id = sel->child_id;
	fake.terminations++;
	if (sel->conn && strcmp(sel->conn, "site-b") != 0)
		return error_set(err, -ENOENT, "none");
	if (watch)
		fake.watch = *watch;
	if (fake.terminate_at_once)
		fake_done(0, "done");
	*matched = 1;
	return 0;
}

int ike_run_rekey(struct ike_run *run, const struct ike_run_select *sel, bool reauth,
		  unsigned *matched, struct error *err)
{
	(void)run;
	note(sel->conn, sel->child);
	fake.ike_id = sel->ike_id;
	fake.child_id = sel->child_id;
	fake.reauth = reauth;
	*matched = 0;
	if (sel->conn && strcmp(sel->conn, "site-b") != 0)
		return error_set(err, -ENOENT, "none");
	*matched = 1;
	return 0;
}

int ike_run_trap(struct ike_run *run, const char *conn, const char *child, bool on,
		 struct error *err)
{
	(void)run;
	note(conn, child);
	if (strcmp(child, "net") != 0)
		return error_set(err, -ENOENT, "no child is called '%s'", child);
	fake.trapped = on;
	return 0;
}

bool ike_run_is_trapped(const struct ike_run *run, size_t conn, const char *child)
{
	(void)run;
	return conn == 0 && strcmp(child, "net") == 0 && fake.trapped;
}

void ike_run_unwatch(struct ike_run *run, void *ctx)
{
	(void)run;
	fake.unwatched++;
	if (fake.watch.ctx == ctx)
		fake.watch = (struct ike_run_watch){0};
}

void ike_run_set_observer(struct ike_run *run, ike_run_observer fn, void *ctx)
{
	(void)run;
	observer = fn;
	observer_ctx = ctx;
}

static void fill_sa(struct ike_run_sa *sa, uint32_t id)
{
	static const uint8_t spi_i[8] = {0, 1, 2, 3, 4, 5, 6, 7};
	static const uint8_t spi_r[8] = {0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};
	struct ike_sa_info *info = &sa->info;
	static const struct transform chosen[] = {
		{TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		{TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0},
		{TRANSFORM_KE, KE_CURVE25519, 0},
	};

	*sa = (struct ike_run_sa){.id = id};
	info->conn = &conn_b;
	info->state = IKE_ST_ESTABLISHED;
	info->original_initiator = true;
	memcpy(info->spi_i, spi_i, 8);
	memcpy(info->spi_r, spi_r, 8);
	ip_addr_parse("192.0.2.1", &info->local.addr);
	ip_addr_parse("192.0.2.2", &info->remote.addr);
	info->local.port = info->remote.port = 4500;
	info->local_id = conns[0].local_side.id;
	info->remote_id = conns[0].remote_side.id;
	info->nat_remote = true;
	info->mobike = true;
	info->chosen.n = 3;
	memcpy(info->chosen.t, chosen, sizeof(chosen));
	info->established_ms = fake.now_ms - 65000;
	info->n_children = fake.n_children;
}

int ike_run_each(struct ike_run *run, const struct ike_run_select *sel, uint32_t after,
		 bool (*fn)(void *ctx, const struct ike_run_sa *sa), void *ctx)
{
	(void)run;
	for (uint32_t id = after + 1; id <= fake.n_sas; id++) {
		struct ike_run_sa sa;

		fill_sa(&sa, id);
		if (sel && sel->ike_id && sel->ike_id != id)
			continue;
		if (sel && sel->conn && strcmp(sel->conn, sa.info.conn->name) != 0)
			continue;
		if (!fn(ctx, &sa))
			break;
	}
	return 0;
}

int ike_run_child(struct ike_run *run, uint32_t ike_id, size_t i, struct ike_run_child *out)
{
	(void)run;
	if (ike_id == 0 || ike_id > fake.n_sas || i >= fake.n_children)
		return -ENOENT;
	*out = (struct ike_run_child){
		.id = 100 * ike_id + (uint32_t)i,
		.info = {.conf = &child_net,
			 .reqid = 1,
			 .spi_in = 0xc0000001,
			 .spi_out = 0x0d0e0f10,
			 .encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256},
			 .integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
			 .udp_encap = true,
			 .installed_ms = fake.now_ms - 60000,
			 .local_ts = children_b[0].local_ts,
			 .remote_ts = children_b[0].remote_ts},
		.in = {.packets = 1234, .bytes = 5678901, .idle_ms = 2000, .seq = 1240},
		.out = {.packets = 99, .bytes = 1500, .idle_ms = UINT64_MAX, .seq = 99},
		.have_in = true,
		.have_out = true,
		.rekey_in_ms = 3000000,
		.expires_in_ms = IKE_NEVER,
	};
	return 0;
}

void ike_run_stats(const struct ike_run *run, struct ike_run_stats *out)
{
	(void)run;
	*out = (struct ike_run_stats){
		.ike_sas = fake.n_sas,
		.half_open = 3,
		.children = fake.n_sas,
		.rx_messages = 40,
		.rx_malformed = 7,
	};
}

// ---- dataplane/dp.h ----

unsigned dp_port_count(const struct dp *dp)
{
	(void)dp;
	return 1;
}

int dp_port_info(const struct dp *dp, unsigned i, struct dp_port_info *out)
{
	(void)dp;
	if (i != 0)
		return -ENOENT;
	*out = (struct dp_port_info){
		.name = "wan",
		.device = "net_af_packet0,iface=eth1",
		.driver = "net_af_packet",
		.mac = {{2, 0, 0, 0, 0, 1}},
		.mtu = 1500,
		.link_up = true,
		.link_mbps = 10000,
		.tap_ifindex = 5,
		.rx_packets = 1000,
		.rx_bytes = 1500000,
		.tx_packets = 900,
		.tx_bytes = 90000,
		.punt_packets = 12,
	};
	return 0;
}

size_t dp_ifaces(const struct dp *dp, struct dp_iface_info *out, size_t max)
{
	(void)dp;
	if (max > 0)
		*out = (struct dp_iface_info){
			.name = "vti0",
			.iface = DP_IFACE_FIRST,
			.ifindex = 7,
			.tunnels = 2,
			.up = 1,
			.in_packets = 11,
			.out_bytes = 1200,
		};
	return 1;
}

struct links_state links_state(const struct links *x, unsigned iface)
{
	(void)x;
	(void)iface;
	return (struct links_state){.carrier = true, .mtu = 1438};
}

unsigned dp_worker_count(const struct dp *dp)
{
	(void)dp;
	return 2;
}

int dp_worker_info(const struct dp *dp, unsigned worker, struct dp_worker_info *out)
{
	(void)dp;
	if (worker >= 2)
		return -ENOENT;
	*out = (struct dp_worker_info){
		.lcore = worker + 1,
		.cpu = worker ? 3 : -1,
		.busy_cycles = 250,
		.idle_cycles = 750,
		.packets = 3200,
		.batches = 100,
	};
	return 0;
}

int dp_worker_drops(const struct dp *dp, unsigned worker, uint64_t out[DROP_REASON_COUNT])
{
	(void)dp;
	out[DROP_NO_SA] = worker ? 17 : 0;
	return 0;
}

int dp_port_xstats(const struct dp *dp, unsigned i,
		   void (*fn)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	(void)dp;
	(void)i;
	fn(ctx, "rx_good_packets", 1000);
	fn(ctx, "rx_q0_errors", 0);
	return 0;
}

bool ike_run_names(const struct ike_run *run, const struct ip_addr *remote)
{
	(void)run;
	return ip_addr_to_v4(remote) == 0xc0000202;
}

void dp_guard_info(const struct dp *dp, struct dp_guard_info *out)
{
	(void)dp;
	*out = (struct dp_guard_info){
		.on = true,
		.n_peers = 1,
		.n_spis = 2,
		.fate[GUARD_KNOWN] = 11,
		.fate[GUARD_COOKIE] = 400,
		.peer_limited = 3,
	};
}

// The peer, and somebody who floods.
size_t dp_guard_sources(const struct dp *dp, struct dp_guard_source *out, size_t max)
{
	(void)dp;
	assert(max >= 2);
	out[0] = (struct dp_guard_source){
		.addr = ip_addr_v4(0xcb007107),
		.packets = 500,
		.over = 50,
		.bytes = 180000,
		.fate[GUARD_COOKIE] = 400,
		.fate[GUARD_STRANGER] = 50,
		.per_second_max = 450,
		.openers = 450,
		.first_tsc = 5000,
		.last_tsc = 3000,
		.from_port = 500,
		.len_min = 400,
		.len_max = 400,
		.ttl_min = 50,
		.ttl_max = 60,
		.version = 2,
		.exchange = 34,
		.vendor = 0xabc,
	};
	out[1] = (struct dp_guard_source){
		.addr = ip_addr_v4(0xc0000202),
		.packets = 11,
		.fate[GUARD_KNOWN] = 11,
		.ttl_min = 64,
		.ttl_max = 64,
	};
	return 2;
}

int dp_guard_peer_info(const struct dp *dp, const struct ip_addr *addr,
		       struct dp_guard_peer_info *out)
{
	(void)dp;
	(void)addr;
	*out = (struct dp_guard_peer_info){.passed = 100, .cookies = 20, .limited = 3};
	return 0;
}

void ike_run_take_lost(struct ike_run *run)
{
	(void)run;
}

uint64_t dp_guard_age_ms(const struct dp *dp, uint64_t tsc)
{
	(void)dp;
	return tsc;
}

void dp_drops(const struct dp *dp, uint64_t out[DROP_REASON_COUNT])
{
	(void)dp;
	out[DROP_NO_SA] = 17;
}

const char *dp_drop_name(enum drop_reason reason)
{
	static const char *const names[] = {
#define X(id, name, help) name,
		DROP_REASONS(X)
#undef X
	};
	return names[reason];
}

const char *dp_drop_help(enum drop_reason reason)
{
	static const char *const helps[] = {
#define X(id, name, help) help,
		DROP_REASONS(X)
#undef X
	};
	return helps[reason];
}

const char *dp_version(const struct dp *dp)
{
	(void)dp;
	return "DPDK 22.11.0, intel-ipsec-mb 1.3.0 (AVX2)";
}

bool dp_has_hugepages(const struct dp *dp, const char **why)
{
	(void)dp;
	*why = "none are reserved, which costs some speed";
	return false;
}

size_t dp_routes(const struct dp *dp, struct dp_route_info *out, size_t max)
{
	(void)dp;
	for (unsigned i = 0; i < fake.n_routes && i < max; i++) {
		out[i] = (struct dp_route_info){0};
		out[i].route.dst.addr = ip_addr_v4(0x0a000000u + (i << 8));
		out[i].route.dst.len = 24;
		if (i == 0)
			continue;
		out[i].route.gateway = ip_addr_v4(0xc0000202);
		out[i].resolved = i % 2;
		out[i].mac = (struct mac_addr){{2, 0, 0, 0, 0, 2}};
	}
	return fake.n_routes;
}

int ike_run_tunnel(const struct ike_run *run, const char *conn, const char *child, uint32_t *tunnel,
		   struct error *err)
{
	(void)run;
	if ((conn && strcmp(conn, "site-b") != 0) || strcmp(child, "net") != 0)
		return error_set(err, -ENOENT, "no child '%s'", child);
	*tunnel = 7;
	return 0;
}

uint32_t ike_run_tunnel_at(const struct ike_run *run, size_t conn, const char *child)
{
	(void)run;
	return conn == 0 && strcmp(child, "net") == 0 ? 7 : DP_TUNNEL_NONE;
}

int dp_tunnel_totals(const struct dp *dp, uint32_t tunnel, struct dp_tunnel_totals *out)
{
	(void)dp;
	if (tunnel != 7)
		return -ENOENT;
	*out = (struct dp_tunnel_totals){.in_packets = 100, .out_bytes = 2000, .replays = 3};
	return 0;
}

const char *dp_tunnel_name(const struct dp *dp, uint32_t tunnel)
{
	(void)dp;
	return tunnel == 7 ? "site-b/net" : NULL;
}

const char *dp_iface_name(const struct dp *dp, unsigned iface)
{
	(void)dp;
	return iface == DP_IFACE_FIRST ? "vti-b" : NULL;
}

int dp_capture_start(struct dp *dp, const struct dp_capture_params *params, struct error *err)
{
	(void)dp;
	(void)err;
	fake.capture = *params;
	fake.capturing = true;
	fake.capture_stopped = false;
	return 0;
}

bool dp_capture_next(struct dp *dp, struct dp_capture_packet *out)
{
	(void)dp;
	if (!fake.capturing || fake.n_packets == 0)
		return false;
	*out = *fake.packets++;
	fake.n_packets--;
	return true;
}

void dp_capture_stop(struct dp *dp)
{
	(void)dp;
	fake.capture_stopped = true;
}

uint64_t dp_capture_lost(const struct dp *dp)
{
	(void)dp;
	return fake.lost;
}

void dp_capture_end(struct dp *dp)
{
	(void)dp;
	fake.captures_ended += fake.capturing;
	fake.capturing = false;
}

int doctor_gather(struct daemon *d, size_t conn, struct doctor_facts *out)
{
	if (conn >= d->config->n_conns)
		return -ENOENT;
	*out = fake.facts;
	snprintf(out->conn.name, sizeof(out->conn.name), "%.60s", d->config->conns[conn].name);
	return 0;
}
