#include "control/vici_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/links.h"
#include "control/refusals.h"
#include "control/vici_events.h"

static void put_u64(struct vici_builder *b, const char *key, uint64_t value)
{
	vici_kvf(b, key, "%" PRIu64, value);
}

enum vici_outcome vici_run_version(struct vici_session *s, const struct vici_request *req,
				   struct vici_builder *reply)
{
	struct utsname u;

	(void)s;
	(void)req;
	vici_kv(reply, "daemon", "port500d");
	vici_kv(reply, "version", PORT500_VERSION);
	if (uname(&u) == 0) {
		vici_kv(reply, "sysname", u.sysname);
		vici_kv(reply, "release", u.release);
		vici_kv(reply, "machine", u.machine);
	}
	return VICI_REPLY;
}

static uint64_t uptime_s(const struct daemon *d)
{
	return (daemon_now_ms() - d->started_ms) / 1000;
}

// As strongSwan writes it: one unit, the largest of which there are at least two.
static void put_running(struct vici_builder *b, uint64_t seconds)
{
	static const struct {
		uint64_t seconds;
		const char *one, *many;
	} units[] = {
		{86400, "day", "days"},
		{3600, "hour", "hours"},
		{60, "minute", "minutes"},
		{1, "second", "seconds"},
	};
	size_t i = 0;

	while (i < 3 && seconds < 2 * units[i].seconds)
		i++;
	seconds /= units[i].seconds;
	vici_kvf(b, "running", "%" PRIu64 " %s", seconds,
		 seconds == 1 ? units[i].one : units[i].many);
}

static void put_since(struct vici_builder *b, const char *format, const struct daemon *d)
{
	struct timespec now;
	time_t since;
	char text[64];
	struct tm tm;

	// In milliseconds, or rounding would make the start move by a second.
	clock_gettime(CLOCK_REALTIME, &now);
	since = (time_t)(((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 -
			  (int64_t)(daemon_now_ms() - d->started_ms)) /
			 1000);
	if (localtime_r(&since, &tm) && strftime(text, sizeof(text), format, &tm))
		vici_kv(b, "since", text);
}

// strongSwan's keys. Our worker threads are the dataplane's, and there are no job queues.
enum vici_outcome vici_run_stats(struct vici_session *s, const struct vici_request *req,
				 struct vici_builder *reply)
{
	static const char *const classes[] = {"critical", "high", "medium"};
	static const char *const plugins[] = {"dpdk", "intel-ipsec-mb", "openssl", "vici"};
	const struct daemon *d = s->server->d;
	unsigned workers = dp_worker_count(d->dp);
	struct ike_run_stats stats;

	(void)req;
	ike_run_stats(d->ike, &stats);
	vici_section(reply, "uptime");
	put_running(reply, uptime_s(d));
	put_since(reply, "%b %d %H:%M:%S %Y", d);
	vici_section_end(reply);
	vici_section(reply, "workers");
	put_u64(reply, "total", workers);
	vici_kv(reply, "idle", "0");
	vici_section(reply, "active");
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		vici_kv(reply, classes[i], "0");
	put_u64(reply, "low", workers);
	vici_section_end(reply);
	vici_section_end(reply);
	vici_section(reply, "queues");
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		vici_kv(reply, classes[i], "0");
	vici_kv(reply, "low", "0");
	vici_section_end(reply);
	vici_kv(reply, "scheduled", "0");
	vici_section(reply, "ikesas");
	put_u64(reply, "total", stats.ike_sas);
	put_u64(reply, "half-open", stats.half_open);
	vici_section_end(reply);
	vici_list(reply, "plugins");
	for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++)
		vici_item(reply, plugins[i]);
	vici_list_end(reply);
	return VICI_REPLY;
}

static void put_config(struct vici_builder *b, const struct daemon *d)
{
	vici_section(b, "config");
	vici_kv(b, "file", d->config_path);
	put_u64(b, "generation", d->generation);
	put_u64(b, "connections", d->config->n_conns);
	vici_list(b, "warnings");
	for (size_t i = 0; i < d->config->n_warnings && i < 100; i++)
		vici_item(b, d->config->warnings[i]);
	vici_list_end(b);
	vici_section_end(b);
}

static void put_ike(struct vici_builder *b, const struct daemon *d)
{
	struct ike_run_stats st;

	ike_run_stats(d->ike, &st);
	vici_section(b, "ike");
	put_u64(b, "ike-sas", st.ike_sas);
	put_u64(b, "half-open", st.half_open);
	put_u64(b, "children", st.children);
	put_u64(b, "rx-messages", st.rx_messages);
	put_u64(b, "tx-messages", st.tx_messages);
	put_u64(b, "tx-errors", st.tx_errors);
	put_u64(b, "rx-malformed", st.rx_malformed);
	put_u64(b, "rx-unknown-sa", st.rx_unknown_sa);
	put_u64(b, "rx-limited", st.rx_limited);
	put_u64(b, "cookies-asked", st.cookies_asked);
	put_u64(b, "cookies-good", st.cookies_good);
	put_u64(b, "cookies-bad", st.cookies_bad);
	put_u64(b, "initiated-ok", st.initiated_ok);
	put_u64(b, "initiated-failed", st.initiated_failed);
	put_u64(b, "responded-ok", st.responded_ok);
	put_u64(b, "responded-failed", st.responded_failed);
	vici_section_end(b);
}

enum vici_outcome vici_run_status(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply)
{
	const struct daemon *d = s->server->d;
	const struct vici_failure *f = vici_events_failure(s->server->events, "");
	const struct refusals *refusals = vici_events_refusals(s->server->events);
	const char *why = NULL;

	(void)req;
	vici_kv(reply, "daemon", "port500d");
	vici_kv(reply, "version", PORT500_VERSION);
	vici_kvf(reply, "pid", "%d", (int)getpid());
	put_u64(reply, "uptime", uptime_s(d));
	put_since(reply, "%Y-%m-%d %H:%M:%S", d);
	put_config(reply, d);
	vici_section(reply, "dataplane");
	vici_kv(reply, "version", dp_version(d->dp));
	put_u64(reply, "workers", dp_worker_count(d->dp));
	put_u64(reply, "ports", dp_port_count(d->dp));
	if (dp_has_hugepages(d->dp, &why)) {
		vici_kv(reply, "hugepages", "yes");
	} else {
		vici_kv(reply, "hugepages", "no");
		if (why)
			vici_kv(reply, "hugepages-note", why);
	}
	vici_section_end(reply);
	put_ike(reply, d);
	vici_section(reply, "refusals");
	put_u64(reply, "peers", refusals->n_peers);
	put_u64(reply, "strangers", refusals->n_strangers);
	put_u64(reply, "left-out", refusals->left_out);
	vici_section_end(reply);
	if (f) {
		vici_section(reply, "last-stranger");
		vici_kv(reply, "error", f->text);
		vici_kv(reply, "error-code", ike_report_code_name(f->code));
		put_u64(reply, "error-ago", (daemon_now_ms() - f->at_ms) / 1000);
		vici_section_end(reply);
	}
	return VICI_REPLY;
}

enum vici_outcome vici_run_get_conns(struct vici_session *s, const struct vici_request *req,
				     struct vici_builder *reply)
{
	const struct config *config = s->server->d->config;

	(void)req;
	vici_list(reply, "conns");
	for (size_t i = 0; i < config->n_conns; i++)
		vici_item(reply, config->conns[i].name);
	vici_list_end(reply);
	return VICI_REPLY;
}

enum vici_outcome vici_run_get_counters(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply)
{
	char name[CONFIG_NAME_MAX];
	struct ike_run_stats st;

	if (!vici_request_text(req, "name", name, sizeof(name)) || *name) {
		vici_reply_result(reply, "counters are kept for the whole gateway only");
		return VICI_REPLY;
	}
	ike_run_stats(s->server->d->ike, &st);
	vici_section(reply, "counters");
	vici_section(reply, "");
	put_u64(reply, "invalid", st.rx_malformed);
	put_u64(reply, "invalid-spi", st.rx_unknown_sa);
	put_u64(reply, "limited", st.rx_limited);
	put_u64(reply, "cookies-asked", st.cookies_asked);
	put_u64(reply, "cookies-good", st.cookies_good);
	put_u64(reply, "cookies-bad", st.cookies_bad);
	put_u64(reply, "messages-in", st.rx_messages);
	put_u64(reply, "messages-out", st.tx_messages);
	put_u64(reply, "send-errors", st.tx_errors);
	put_u64(reply, "initiated-ok", st.initiated_ok);
	put_u64(reply, "initiated-failed", st.initiated_failed);
	put_u64(reply, "responded-ok", st.responded_ok);
	put_u64(reply, "responded-failed", st.responded_failed);
	vici_section_end(reply);
	vici_section_end(reply);
	vici_reply_result(reply, NULL);
	return VICI_REPLY;
}

static void put_addrs(struct vici_builder *b, const struct ip_prefix *addrs, unsigned n)
{
	char text[IP_PREFIX_TEXT_MAX];

	vici_list(b, "addrs");
	for (unsigned i = 0; i < n; i++)
		vici_item(b, ip_prefix_format(&addrs[i], text, sizeof(text)));
	vici_list_end(b);
}

struct xstats {
	struct vici_builder *b;
	bool all; // zeros too
};

static void put_xstat(void *ctx, const char *name, uint64_t value)
{
	const struct xstats *x = ctx;

	if (value || x->all)
		put_u64(x->b, name, value);
}

static void put_xstats(struct vici_builder *b, const struct daemon *d, unsigned port,
		       const struct vici_request *req)
{
	struct xstats x = {.b = b, .all = vici_request_bool(req, "all")};

	if (!vici_request_bool(req, "xstats"))
		return;
	vici_section(b, "xstats");
	dp_port_xstats(d->dp, port, put_xstat, &x); // what there is: a driver may have none
	vici_section_end(b);
}

static const char *ike_queue_name(enum dp_ike_queue q)
{
	switch (q) {
	case DP_IKE_QUEUE_FILTER:
		return "filter";
	case DP_IKE_QUEUE_FLOW:
		return "nic";
	default:
		return "none";
	}
}

enum vici_outcome vici_run_show_ports(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply)
{
	const struct daemon *d = s->server->d;
	char mac[MAC_ADDR_TEXT_MAX];
	struct dp_port_info p;

	for (unsigned i = 0; dp_port_info(d->dp, i, &p) == 0; i++) {
		const struct config_port *port = config_port_find(d->config, p.name);

		vici_section(reply, p.name);
		vici_kv(reply, "link", p.link_up ? "up" : "down");
		if (p.link_mbps)
			put_u64(reply, "speed-mbps", p.link_mbps);
		put_addrs(reply, port ? port->addrs : NULL, port ? port->n_addrs : 0);
		vici_kv(reply, "device", p.device);
		vici_kv(reply, "driver", p.driver);
		vici_kv(reply, "mac", mac_addr_format(&p.mac, mac, sizeof(mac)));
		put_u64(reply, "mtu", p.mtu);
		if (p.vlan)
			put_u64(reply, "vlan", p.vlan);
		put_u64(reply, "rx-queues", p.rx_queues);
		vici_kv(reply, "ike-queue", ike_queue_name(p.ike_queue));
		if (p.tap_ifindex)
			put_u64(reply, "tap-ifindex", p.tap_ifindex);
		put_u64(reply, "rx-packets", p.rx_packets);
		put_u64(reply, "rx-bytes", p.rx_bytes);
		put_u64(reply, "tx-packets", p.tx_packets);
		put_u64(reply, "tx-bytes", p.tx_bytes);
		put_u64(reply, "rx-missed", p.rx_missed);
		put_u64(reply, "rx-errors", p.rx_errors);
		put_u64(reply, "tx-errors", p.tx_errors);
		put_u64(reply, "to-linux-packets", p.punt_packets);
		put_u64(reply, "from-linux-packets", p.from_linux_packets);
		put_xstats(reply, d, i, req);
		vici_section_end(reply);
	}
	return VICI_REPLY;
}

static void put_iface(struct vici_builder *b, const struct daemon *d, const struct dp_iface_info *i)
{
	const struct config_iface *conf = config_iface_find(&d->config->gateway, i->name);
	const struct links_state link = links_state(d->links, i->iface);

	vici_section(b, i->name);
	if (conf)
		put_u64(b, "if-id", conf->if_id);
	vici_kv(b, "link", link.carrier ? "up" : "down");
	put_u64(b, "mtu", link.mtu);
	put_addrs(b, conf ? conf->addrs : NULL, conf ? conf->n_addrs : 0);
	put_u64(b, "children", i->tunnels);
	put_u64(b, "children-up", i->up);
	put_u64(b, "ifindex", i->ifindex);
	put_u64(b, "in-packets", i->in_packets);
	put_u64(b, "in-bytes", i->in_bytes);
	put_u64(b, "out-packets", i->out_packets);
	put_u64(b, "out-bytes", i->out_bytes);
	put_u64(b, "to-linux-packets", i->to_linux_packets);
	put_u64(b, "from-linux-packets", i->from_linux_packets);
	vici_section_end(b);
}

enum vici_outcome vici_run_show_interfaces(struct vici_session *s, const struct vici_request *req,
					   struct vici_builder *reply)
{
	const struct daemon *d = s->server->d;
	const size_t n = dp_ifaces(d->dp, NULL, 0);
	struct dp_iface_info *info = calloc(n + 1, sizeof(*info));

	(void)req;
	if (!info) {
		vici_reply_result(reply, "out of memory");
		return VICI_REPLY;
	}
	dp_ifaces(d->dp, info, n);
	for (size_t i = 0; i < n; i++)
		put_iface(reply, d, &info[i]);
	free(info);
	return VICI_REPLY;
}

// Those that have occurred: each is in show-drops, and the punt thread has some too.
static void put_worker_drops(struct vici_builder *b, const struct dp *dp, unsigned worker)
{
	uint64_t count[DROP_REASON_COUNT] = {0}, all = 0;

	dp_worker_drops(dp, worker, count);
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		all += count[i];
	put_u64(b, "dropped", all);
	vici_section(b, "drops");
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		if (count[i])
			put_u64(b, dp_drop_name((enum drop_reason)i), count[i]);
	vici_section_end(b);
}

enum vici_outcome vici_run_show_workers(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply)
{
	const struct dp *dp = s->server->d->dp;
	struct dp_worker_info w;
	char name[16];

	(void)req;
	for (unsigned i = 0; i < dp_worker_count(dp); i++) {
		if (dp_worker_info(dp, i, &w))
			continue;
		snprintf(name, sizeof(name), "%u", i);
		vici_section(reply, name);
		put_u64(reply, "lcore", w.lcore);
		if (w.cpu >= 0)
			vici_kvf(reply, "cpu", "%d", w.cpu);
		put_u64(reply, "packets", w.packets);
		put_u64(reply, "batches", w.batches);
		put_u64(reply, "esp-in-packets", w.esp_in_packets);
		put_u64(reply, "esp-out-packets", w.esp_out_packets);
		put_u64(reply, "dummy-packets", w.dummies);
		put_u64(reply, "cut-packets", w.cut_packets);
		put_u64(reply, "cut-pieces", w.cut_pieces);
		put_u64(reply, "whole-packets", w.whole_packets);
		put_u64(reply, "whole-pieces", w.whole_pieces);
		put_u64(reply, "icmp-errors", w.icmp_errors);
		put_u64(reply, "handed-over", w.handed_over);
		put_u64(reply, "busy-cycles", w.busy_cycles);
		put_u64(reply, "idle-cycles", w.idle_cycles);
		put_u64(reply, "sleeps", w.sleeps);
		put_worker_drops(reply, dp, i);
		vici_section_end(reply);
	}
	return VICI_REPLY;
}

enum vici_outcome vici_run_show_drops(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply)
{
	uint64_t count[DROP_REASON_COUNT] = {0};

	(void)req;
	dp_drops(s->server->d->dp, count);
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++) {
		vici_section(reply, dp_drop_name((enum drop_reason)i));
		put_u64(reply, "packets", count[i]);
		vici_kv(reply, "help", dp_drop_help((enum drop_reason)i));
		vici_section_end(reply);
	}
	return VICI_REPLY;
}
