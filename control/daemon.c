#include "control/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "config/diff.h"
#include "control/creds.h"
#include "control/crl_fetch.h"
#include "control/doctor_watch.h"
#include "control/links.h"
#include "control/ike_socket.h"
#include "control/recorder_feed.h"
#include "control/revocation_fetch.h"
#include "control/vici_server.h"
#include "lib/log.h"

#define HOUSEKEEPING_MS 100
#define EVENTS_AT_ONCE	64
#define EVENT_ROUNDS	8 // per wake-up

uint64_t daemon_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// ---- the dataplane's events ----

static void log_link(const struct daemon *d, const struct dp_event *ev)
{
	struct dp_port_info port;

	if (dp_port_info(d->dp, ev->port, &port) != 0)
		return;
	if (!ev->up)
		log_warn(LOG_NET, "port %s: link down (device '%s')", port.name, port.device);
	recorder_feed_note(d->feed, RECORD_LINK, ev->up ? RECORD_NOTICE : RECORD_ERROR,
			   ev->up ? "link-up" : "link-down", "port %s: link %s", port.name,
			   ev->up ? "up" : "down");
	if (!ev->up)
		return;
	if (port.link_mbps)
		log_notice(LOG_NET, "port %s: link up, %u Mbit/s", port.name, port.link_mbps);
	else
		log_notice(LOG_NET, "port %s: link up", port.name);
}

static void on_dp_event(int fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct dp_event ev[EVENTS_AT_ONCE];

	(void)fd;
	(void)what;
	for (unsigned round = 0; round < EVENT_ROUNDS; round++) {
		size_t n = dp_events(d->dp, ev, EVENTS_AT_ONCE);

		for (size_t i = 0; i < n; i++) {
			if (ev[i].type == DP_EV_LINK)
				log_link(d, &ev[i]);
			else if (ev[i].type == DP_EV_NO_NEIGHBOUR)
				netmirror_resolve(d->netmirror, ev[i].port, &ev[i].addr);
			else
				ike_run_dp_event(d->ike, &ev[i]);
		}
		if (n < EVENTS_AT_ONCE)
			break;
	}
}

static void on_housekeeping(int fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	dp_housekeeping(d->dp);
}

static int follow_dp(struct daemon *d, struct error *err)
{
	struct timeval every = {.tv_usec = HOUSEKEEPING_MS * 1000};

	d->dp_events = event_new(d->base, dp_event_fd(d->dp), EV_READ | EV_PERSIST, on_dp_event, d);
	d->housekeeping = event_new(d->base, -1, EV_PERSIST, on_housekeeping, d);
	if (!d->dp_events || !d->housekeeping || event_add(d->dp_events, NULL) ||
	    event_add(d->housekeeping, &every))
		return error_set(err, -ENOMEM, "out of memory");
	return 0;
}

// ---- our addresses ----

static void on_addresses(void *arg)
{
	struct daemon *d = arg;
	size_t n = netmirror_addrs(d->netmirror, NULL, 0);
	struct ip_addr *addrs = calloc(n ? n : 1, sizeof(*addrs));

	if (!addrs)
		return; // with the next change
	netmirror_addrs(d->netmirror, addrs, n);
	ike_run_addresses(d->ike, addrs, n);
	free(addrs);
}

// ---- start and stop ----

static int start_dp(struct daemon *d, struct error *err)
{
	const struct config_gateway *gw = &d->config->gateway;
	struct dp_port_params ports[DP_PORTS_MAX];
	char prefix[32];
	struct dp_params params = {
		.ports = ports,
		.n_ports = (unsigned)gw->n_ports,
		.workers = gw->workers,
		.cpus = gw->cpus,
		.n_cpus = gw->n_cpus,
		.poll = gw->poll == POLL_BUSY ? DP_POLL_BUSY : DP_POLL_ADAPTIVE,
		.hugepages = gw->hugepages == HUGEPAGES_ON    ? DP_HUGEPAGES_ON
			     : gw->hugepages == HUGEPAGES_OFF ? DP_HUGEPAGES_OFF
							      : DP_HUGEPAGES_AUTO,
		.clamp_mss = gw->clamp_mss,
		.memory_mb = gw->memory_mb,
		.file_prefix = prefix,
		.eal_args = gw->eal_args ? gw->eal_args : "",
	};

	if (gw->n_ports > DP_PORTS_MAX)
		return error_set(err, -E2BIG,
				 "%s:%d: gateway.ports: %zu ports, at most %d are possible",
				 gw->where.file, gw->where.line, gw->n_ports, DP_PORTS_MAX);
	for (size_t i = 0; i < gw->n_ports; i++)
		ports[i] = (struct dp_port_params){
			.name = gw->ports[i].name,
			.device = gw->ports[i].device,
			.mtu = gw->ports[i].mtu,
			.vlan = gw->ports[i].vlan,
			.tap = true,
		};
	snprintf(prefix, sizeof(prefix), "port500-%d", (int)getpid());
	return dp_start(&params, &d->dp, err);
}

// A second daemon is told so before a device is touched.
static int probe_sockets(struct error *err)
{
	struct ike_socket probe;
	int rc = ike_socket_open(&probe, err);

	if (rc == 0)
		ike_socket_close(&probe);
	return rc;
}

static void on_revocation(void *ctx, uint32_t wait)
{
	struct daemon *d = ctx;

	ike_run_go_on(d->ike, wait);
}

static int start_recorder(struct daemon *d, struct error *err)
{
	int rc = recorder_create(&d->recorder);

	if (rc == 0)
		rc = recorder_feed_create(d->base, d->dp, d->recorder, d->config->gateway.state_dir,
					  &d->feed);
	if (rc)
		return error_set(err, rc, "out of memory");
	recorder_feed_note(d->feed, RECORD_GATEWAY, RECORD_NOTICE, "start",
			   "port500d %s has started", PORT500_VERSION);
	return 0;
}

static void lend_revocation(struct daemon *d, struct cred *creds)
{
	if (creds)
		cred_set_revocation(creds, revocation_fetch_answers(d->revocation));
}

static int start_fetching(struct daemon *d, struct error *err)
{
	int rc = crl_fetch_create(d->base, &d->crl_fetch);

	if (rc == 0)
		rc = revocation_fetch_create(d->base, on_revocation, d, &d->revocation);
	if (rc == 0)
		lend_revocation(d, d->creds);
	if (rc == 0)
		rc = crl_fetch_configure(d->crl_fetch, &d->config->crl_urls, d->creds);
	return rc ? error_set(err, rc, "out of memory") : 0;
}

int daemon_start(struct daemon *d, struct error *err)
{
	const char *why = "";
	int rc;

	d->started_ms = daemon_now_ms();
	d->generation = 1;
	rc = probe_sockets(err);
	if (rc == 0)
		rc = start_dp(d, err);
	if (rc)
		goto fail;
	if (!dp_has_hugepages(d->dp, &why))
		log_notice(LOG_DMN, "%s", why);
	rc = start_recorder(d, err);
	if (rc)
		goto fail;
	rc = links_create(d->base, d->dp, &d->links);
	if (rc)
		error_set(err, rc, "out of memory");
	if (rc == 0)
		rc = links_add(d->links, d->config, err);
	if (rc == 0)
		rc = netmirror_create(d->base, d->dp, d->config, &d->netmirror, err);
	if (rc == 0)
		rc = ike_run_create(d->base, d->dp, &d->ike, err);
	if (rc == 0) {
		ike_run_set_recorder(d->ike, d->recorder);
		recorder_feed_set_ike(d->feed, d->ike);
		netmirror_observe(d->netmirror, on_addresses, d);
		on_addresses(d);
		rc = doctor_watch_create(d->base, d->dp, d->ike, &d->doctor);
		if (rc)
			error_set(err, rc, "out of memory");
		else
			rc = start_fetching(d, err);
		ike_run_swap_creds(d->ike, d->creds);
		d->creds = NULL;
	}
	if (rc == 0)
		rc = ike_run_configure(d->ike, d->config, err);
	if (rc == 0)
		rc = vici_server_create(d, &d->vici, err);
	if (rc == 0) {
		links_settle(d->links, d->config, d->netmirror, d->ike);
		ike_run_follow_children(d->ike, links_look, d->links);
	}
	if (rc == 0)
		rc = follow_dp(d, err);
	if (rc)
		goto fail;
	return 0;
fail:
	daemon_stop(d);
	return rc;
}

void daemon_stop(struct daemon *d)
{
	if (d->dp_events)
		event_free(d->dp_events);
	if (d->housekeeping)
		event_free(d->housekeeping);
	if (d->vici)
		vici_server_destroy(d->vici);
	if (d->ike)
		ike_run_follow_children(d->ike, NULL, NULL);
	links_destroy(d->links); // borrows the others
	d->links = NULL;
	crl_fetch_destroy(d->crl_fetch); // borrows the credentials
	d->crl_fetch = NULL;
	if (d->netmirror)
		netmirror_observe(d->netmirror, NULL, NULL);
	doctor_watch_destroy(d->doctor); // borrows ike
	d->doctor = NULL;
	if (d->feed)
		recorder_feed_set_ike(d->feed, NULL);
	if (d->ike)
		ike_run_destroy(d->ike);
	if (d->feed)
		recorder_feed_note(d->feed, RECORD_GATEWAY, RECORD_NOTICE, "stop",
				   "port500d has stopped");
	recorder_feed_destroy(d->feed); // reads the dataplane's counters
	d->feed = NULL;
	recorder_destroy(d->recorder);
	d->recorder = NULL;
	revocation_fetch_destroy(d->revocation); // its credentials are gone
	d->revocation = NULL;
	if (d->netmirror)
		netmirror_destroy(d->netmirror);
	if (d->dp)
		dp_stop(d->dp);
	cred_destroy(d->creds);
	d->creds = NULL;
	config_destroy(d->config);
	d->dp_events = d->housekeeping = NULL;
	d->vici = NULL;
	d->ike = NULL;
	d->netmirror = NULL;
	d->dp = NULL;
	d->config = NULL;
}

// ---- reload ----

struct changes {
	unsigned added, changed, removed, same;
	unsigned kept; // of those that changed: their IKE SAs go on
	unsigned children_added, children_replaced, children_removed; // of those
};

static const struct config_child *find_child(const struct config_conn *conn, const char *name)
{
	for (size_t i = 0; i < conn->n_children; i++)
		if (strcmp(conn->children[i].name, name) == 0)
			return &conn->children[i];
	return NULL;
}

static void count_children(struct changes *n, const struct config_conn *from,
			   const struct config_conn *to)
{
	for (size_t i = 0; i < to->n_children; i++) {
		const struct config_child *before = find_child(from, to->children[i].name);

		if (!before)
			n->children_added++;
		else if (!config_child_fits(before, &to->children[i]))
			n->children_replaced++;
	}
	for (size_t i = 0; i < from->n_children; i++)
		n->children_removed += !find_child(to, from->children[i].name);
}

static struct changes count_changes(const struct config *from, const struct config *to)
{
	struct changes n = {0};

	for (size_t i = 0; i < to->n_conns; i++) {
		const struct config_conn *before = config_conn_find(from, to->conns[i].name);

		if (!before) {
			n.added++;
		} else if (config_conn_equal(before, &to->conns[i])) {
			n.same++;
		} else {
			n.changed++;
			if (!config_conn_fits(before, &to->conns[i]))
				continue;
			n.kept++;
			count_children(&n, before, &to->conns[i]);
		}
	}
	for (size_t i = 0; i < from->n_conns; i++)
		n.removed += !config_conn_find(to, from->conns[i].name);
	return n;
}

// "connections: 1 added, 2 changed (1 in place: ...), 0 removed, 3 as before"
static void summarize(const struct changes *n, const char *restart, struct error *summary)
{
	char kept[160] = "";

	if (n->kept)
		snprintf(kept, sizeof(kept),
			 " (%u in place: %u children added, %u replaced, %u removed)", n->kept,
			 n->children_added, n->children_replaced, n->children_removed);
	error_set(summary, 0, "connections: %u added, %u changed%s, %u removed, %u as before%s",
		  n->added, n->changed, kept, n->removed, n->same, restart);
}

void daemon_warn(void *ctx, const char *text)
{
	(void)ctx;
	log_warn(LOG_CFG, "%s", text);
}

static int reload(struct daemon *d, struct error *summary, struct error *err)
{
	struct config *next = NULL;
	struct cred *creds = NULL, *now;
	struct changes n;
	char what[128] = "", restart[256] = "";
	int rc;

	rc = config_load(d->config_path, &next, err);
	if (rc)
		return rc;
	rc = creds_load(next, daemon_warn, NULL, &creds, err);
	if (rc) {
		config_destroy(next);
		return rc;
	}
	for (size_t i = 0; i < next->n_warnings; i++)
		log_warn(LOG_CFG, "%s", next->warnings[i]);
	if (config_gateway_differs(&d->config->gateway, &next->gateway, what, sizeof(what))) {
		log_warn(LOG_CFG, "%s has changed: that takes effect after a restart", what);
		snprintf(restart, sizeof(restart), "; %s takes effect after a restart", what);
	}
	rc = links_add(d->links, next, err);
	if (rc == 0)
		rc = netmirror_configure(d->netmirror, next, err);
	if (rc)
		goto undo;
	lend_revocation(d, creds);
	n = count_changes(d->config, next);
	// New certificates under old names count from now on, also for connections that stay.
	now = creds;
	creds = ike_run_swap_creds(d->ike, creds);
	rc = ike_run_configure(d->ike, next, err);
	if (rc) {
		creds = ike_run_swap_creds(d->ike, creds);
		goto undo;
	}
	links_settle(d->links, next, d->netmirror, d->ike);
	if (crl_fetch_configure(d->crl_fetch, &next->crl_urls, now))
		log_error(LOG_CFG, "out of memory: some CRLs are not fetched");
	cred_destroy(creds);
	config_destroy(d->config);
	d->config = next;
	d->generation++;
	summarize(&n, restart, summary);
	return 0;
undo:
	if (netmirror_configure(d->netmirror, d->config, NULL))
		log_error(LOG_NET, "the addresses from before could not be restored");
	links_settle(d->links, d->config, d->netmirror, d->ike);
	cred_destroy(creds);
	config_destroy(next);
	return rc;
}

int daemon_reload(struct daemon *d, struct error *summary, struct error *err)
{
	struct error what = {0};
	const int rc = reload(d, &what, err);

	if (rc)
		recorder_feed_note(d->feed, RECORD_GATEWAY, RECORD_ERROR, "reload-failed",
				   "the configuration stays as it was: %s", err->text);
	else
		recorder_feed_note(d->feed, RECORD_GATEWAY, RECORD_NOTICE, "reload",
				   "configuration reloaded; %s", what.text);
	if (summary && rc == 0)
		*summary = what;
	return rc;
}
