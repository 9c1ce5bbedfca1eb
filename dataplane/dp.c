#include "dataplane/dp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_mbuf.h>
#include <rte_version.h>

#include "dataplane/crypto.h"
#include "dataplane/device.h"
#include "dataplane/dp_internal.h"
#include "dataplane/eal.h"
#include "dataplane/fib.h"
#include "dataplane/guard.h"
#include "dataplane/iface.h"
#include "dataplane/numa.h"
#include "dataplane/pmtu.h"
#include "dataplane/policy.h"
#include "dataplane/port.h"
#include "dataplane/punt.h"
#include "dataplane/reass.h"
#include "dataplane/sad.h"
#include "dataplane/telemetry.h"
#include "dataplane/tunnel.h"
#include "lib/log.h"

enum {
	EVENTS_SIZE = 1024,
	TABLES_MB = 100, // routes (rte_lpm takes 64 MB), neighbours, rings, the drivers' own
	MBUFS_PER_PORT = 8192,
	MBUFS_PER_WORKER = 4096,
	MBUFS_SHARED = 8192,
	MBUFS_MIN = 4096, // of each device: its descriptors both ways, and what is under way
	MBUF_CACHE = 256,
	FREE_US = 500,	// of one dp_housekeeping, for what is freed late
	FREE_PART = 16, // of what waits, this part is freed however long it takes
};

// ---- packet memory ----

static unsigned count_devices(const struct dp_params *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_ports; i++)
		n += device_first(p->ports, i) == i;
	return n;
}

// On the node of dp->node, or on any other if that has too little.
static struct rte_mempool *create_pool_of(const struct dp *dp, const char *name, unsigned n,
					  unsigned cache, uint16_t room, const char *ops)
{
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create_by_ops(name, n, cache, 0, room, dp->node, ops);

	if (pool || dp->node == SOCKET_ID_ANY)
		return pool;
	log_warn(LOG_NET, "NUMA node %d has too little memory for %s: they are on another",
		 dp->node, name);
	return rte_pktmbuf_pool_create_by_ops(name, n, cache, 0, room, SOCKET_ID_ANY, ops);
}

static int create_pool(struct dp *dp, const struct dp_params *p, struct error *err)
{
	const unsigned n_devices = count_devices(p);
	const uint16_t buf_size = port_buf_size(p->ports, p->n_ports);
	// Without hugepages DPDK lets no buffer cross a page, so the small ones get one each.
	const unsigned page = dp->eal->hugepages ? 1 : 4096;
	const unsigned size =
		(buf_size + (unsigned)sizeof(struct rte_mbuf) + 128 + page - 1) / page * page;
	const unsigned need_mb = TABLES_MB + MBUFS_MIN * n_devices / 1024 * size / 1024 + 1;
	unsigned n = MBUFS_PER_PORT * n_devices + MBUFS_PER_WORKER * p->workers + MBUFS_SHARED;
	unsigned fit;

	if (p->memory_mb < need_mb)
		return error_set(err, -ENOMEM,
				 "%u MB of memory are too little for %u devices: give at least %u "
				 "MB",
				 p->memory_mb, n_devices, need_mb);
	fit = (unsigned)((uint64_t)(p->memory_mb - TABLES_MB) * 1024 * 1024 / size);
	if (n > fit)
		n = fit;
	// When workers share CPUs with others, one may lose its CPU with the ring half moved: RTS
	// lets the others go on.
	dp->pool = create_pool_of(dp, "packets", n, MBUF_CACHE, buf_size,
				  p->n_cpus ? "ring_mp_mc" : "ring_mt_rts");
	if (!dp->pool)
		return error_set(err, -rte_errno, "cannot get %u MB of packet memory from DPDK: %s",
				 n / 1024 * size / 1024, rte_strerror(rte_errno));
	dp->large_pool = create_pool_of(dp, "large packets", REASS_BUFS, 0,
					REASS_BUF_LEN + RTE_PKTMBUF_HEADROOM,
					p->n_cpus ? "ring_mp_mc" : "ring_mt_rts");
	if (!dp->large_pool)
		return error_set(err, -rte_errno, "cannot get %u MB of packet memory from DPDK: %s",
				 REASS_BUFS * REASS_BUF_LEN / 1024 / 1024 + 1,
				 rte_strerror(rte_errno));
	return 0;
}

// ---- what is freed later ----

struct deferred {
	struct deferred *next;
	uint64_t token;
	void (*free_fn)(void *);
	void *p;
};

void dp_defer_free(struct dp *dp, void (*free_fn)(void *), void *p)
{
	struct deferred *d;

	if (!p)
		return;
	d = malloc(sizeof(*d));
	if (!d) {
		// Workers are quiescent every few microseconds: better than a leak of keys.
		rte_rcu_qsbr_synchronize(dp->qsbr, RTE_QSBR_THRID_INVALID);
		free_fn(p);
		return;
	}
	*d = (struct deferred){
		.token = rte_rcu_qsbr_start(dp->qsbr),
		.free_fn = free_fn,
		.p = p,
	};
	*dp->deferred_tail = d;
	dp->deferred_tail = &d->next;
	dp->n_deferred++;
}

// Not all at once: thousands of SAs, or policies of megabytes, would hold control up for long. But
// so many that what waits cannot grow without end.
static void free_deferred(struct dp *dp, bool all)
{
	const uint64_t end = rte_rdtsc() + dp->tsc_hz / 1000000 * FREE_US;
	const size_t least = (dp->n_deferred + FREE_PART - 1) / FREE_PART;

	for (size_t freed = 0; dp->deferred; freed++) {
		struct deferred *d = dp->deferred;

		if (!all && freed >= least && rte_rdtsc() > end)
			return;
		if (!all && rte_rcu_qsbr_check(dp->qsbr, d->token, false) != 1)
			return;
		dp->deferred = d->next;
		if (!dp->deferred)
			dp->deferred_tail = &dp->deferred;
		dp->n_deferred--;
		d->free_fn(d->p);
		free(d);
	}
}

void dp_housekeeping(struct dp *dp)
{
	free_deferred(dp, false);
	port_watch_links(dp);
	pmtu_age(dp);
	guard_age(dp);
}

// ---- events ----

void dp_event_put(struct dp *dp, const struct dp_event *ev)
{
	struct dp_event copy = *ev;

	rte_ring_enqueue_elem(dp->events, &copy, sizeof(copy));
}

size_t dp_events(struct dp *dp, struct dp_event *out, size_t max)
{
	unsigned got;
	size_t kept = 0;
	uint64_t n;

	// Re-armed before the ring is read: what comes in between rings again.
	if (read(dp->punt->event_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return 0;
	got = rte_ring_dequeue_burst_elem(dp->events, out, sizeof(*out), (unsigned)max, NULL);
	for (unsigned i = 0; i < got; i++)
		if (out[i].type != DP_EV_PMTU || pmtu_learn(dp, &out[i]))
			out[kept++] = out[i];
	return kept;
}

int dp_event_fd(const struct dp *dp)
{
	return dp->punt->event_fd;
}

// ---- start ----

// Two ports of one name, or on one device?
static int check_twins(const struct dp_port_params *a, const struct dp_port_params *b,
		       struct error *err)
{
	if (strcmp(a->name, b->name) == 0)
		return error_set(err, -EEXIST, "two ports have the name '%s'", a->name);
	if (!device_same(a->device, b->device))
		return 0;
	if (a->vlan == b->vlan)
		return error_set(err, -EEXIST,
				 "ports %s and %s have the same device '%s': a device string "
				 "begins with a name of its own, as in net_af_packet0, "
				 "net_af_packet1; ports that share one have different VLANs",
				 a->name, b->name, b->device);
	if (strcmp(a->device, b->device) != 0)
		return error_set(err, -EINVAL,
				 "ports %s and %s share a device: write '%s' for both", a->name,
				 b->name, a->device);
	return 0;
}

static int check_params(const struct dp_params *p, struct error *err)
{
	int ret;

	if (p->n_ports == 0 || p->n_ports > DP_PORTS_MAX)
		return error_set(err, -EINVAL, "there must be 1 to %d ports, not %u", DP_PORTS_MAX,
				 p->n_ports);
	if (p->workers == 0 || p->workers > DP_WORKERS_MAX)
		return error_set(err, -EINVAL, "there must be 1 to %d workers, not %u",
				 DP_WORKERS_MAX, p->workers);
	for (unsigned i = 0; i < p->n_ports; i++) {
		ret = device_check(&p->ports[i], err);
		for (unsigned k = 0; k < i && !ret; k++)
			ret = check_twins(&p->ports[k], &p->ports[i], err);
		if (ret)
			return ret;
	}
	return 0;
}

static int create_tables(struct dp *dp, struct error *err)
{
	static const struct {
		int (*create)(struct dp *);
		const char *what;
	} tables[] = {
		{fib_create, "routes"},
		{pmtu_create, "path MTUs"},
		{sad_create, "inbound SAs"},
		{tunnels_create, "tunnels"},
		{policies_create, "policies"},
		{guard_create, "who sends IKE"},
		{punt_create, "packets for Linux"},
		{ifaces_create, "tunnel interfaces"},
	};
	const unsigned n_threads = dp->n_workers + 1; // and the punt thread
	const size_t qsbr_size = rte_rcu_qsbr_get_memsize(n_threads);

	dp->qsbr = aligned_alloc(64, (qsbr_size + 63) / 64 * 64);
	if (!dp->qsbr || rte_rcu_qsbr_init(dp->qsbr, n_threads) != 0)
		return error_set(err, -ENOMEM, "out of memory");
	dp->events = rte_ring_create_elem("events", sizeof(struct dp_event), EVENTS_SIZE,
					  SOCKET_ID_ANY, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (!dp->events)
		return error_set(err, -rte_errno, "cannot allocate the ring for events: %s",
				 rte_strerror(rte_errno));
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		int ret = tables[i].create(dp);

		if (ret)
			return error_set(err, ret, "cannot make the table of %s: %s",
					 tables[i].what, strerror(-ret));
	}
	return 0;
}

static int open_ports(struct dp *dp, const struct dp_params *p, struct error *err)
{
	for (unsigned i = 0; i < p->n_ports; i++) {
		int ret = port_open(dp, i, p, err);

		if (ret)
			return ret;
	}
	return 0;
}

static int start_ports(struct dp *dp, const struct dp_params *p, struct error *err)
{
	for (unsigned i = 0; i < p->n_ports; i++) {
		int ret = port_start(dp, i, p, err);

		if (ret)
			return ret;
	}
	return 0;
}

static void add_source(struct worker *w, enum source_type type, unsigned port, unsigned queue)
{
	if (w->n_sources < WORKER_SOURCES_MAX)
		w->source[w->n_sources++] = (struct source){
			.type = (uint8_t)type, .port = (uint8_t)port, .queue = (uint16_t)queue};
}

static void add_ike_source(struct worker *w, unsigned port, unsigned queue)
{
	if (w->n_ike_sources < DP_PORTS_MAX)
		w->ike_source[w->n_ike_sources++] = (struct source){
			.type = SOURCE_NIC, .port = (uint8_t)port, .queue = (uint16_t)queue};
}

// Deals the ports' queues out to the workers, from each port's owner onwards.
static void deal_sources(struct dp *dp)
{
	for (unsigned p = 0; p < dp->n_ports; p++) {
		const struct port *port = &dp->ports[p];

		for (unsigned q = 0; q < port->n_rxq; q++) {
			struct worker *w = dp->workers[(port->owner + q) % dp->n_workers];

			if (port->ike_queue != DP_IKE_QUEUE_NONE && q + 1 == port->n_rxq)
				add_ike_source(w, p, q);
			else
				add_source(w, SOURCE_NIC, p, q);
		}
		if (port->tap_fd >= 0)
			add_source(dp->workers[port->owner], SOURCE_TAP, p, 0);
	}
	for (unsigned i = 0; i < dp->n_workers; i++) {
		add_source(dp->workers[i], SOURCE_HANDOVER, 0, 0);
		add_source(dp->workers[i], SOURCE_SELF, 0, 0);
	}
}

static int create_workers(struct dp *dp, struct error *err)
{
	for (unsigned i = 0; i < dp->n_workers; i++) {
		int ret = worker_create(dp, i, &dp->workers[i]);

		if (!ret)
			ret = crypto_create(&dp->workers[i]->crypto);
		if (ret == -ENOTSUP)
			return error_set(err, ret,
					 "this CPU has no AES instructions that intel-ipsec-mb "
					 "could use");
		if (ret)
			return error_set(err, ret, "cannot make worker %u: %s", i, strerror(-ret));
	}
	deal_sources(dp);
	return 0;
}

static int launch(struct dp *dp, struct error *err)
{
	int ret = punt_start(dp);

	if (ret)
		return error_set(err, ret, "cannot start the punt thread: %s", strerror(-ret));
	for (unsigned i = 0; i < dp->n_workers; i++) {
		ret = rte_eal_remote_launch(worker_main, dp->workers[i], dp->workers[i]->lcore);
		if (ret)
			return error_set(err, ret, "cannot start worker %u: %s", i, strerror(-ret));
	}
	return 0;
}

static struct dp *allocate(const struct dp_params *p)
{
	struct dp *dp = calloc(1, sizeof(*dp));
	uint8_t random[16];

	if (!dp)
		return NULL;
	dp->n_ports = p->n_ports;
	dp->n_workers = p->workers;
	dp->poll = p->poll;
	dp->clamp_mss = p->clamp_mss;
	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		free(dp);
		return NULL;
	}
	dp->ike_mark = ike_mark_key_of(random);
	dp->deferred_tail = &dp->deferred;
	dp->ports = calloc(p->n_ports, sizeof(dp->ports[0]));
	dp->workers = calloc(p->workers, sizeof(dp->workers[0]));
	dp->cpus = calloc(p->workers, sizeof(dp->cpus[0]));
	dp->eal = calloc(1, sizeof(*dp->eal));
	if (!dp->ports || !dp->workers || !dp->cpus || !dp->eal) {
		free(dp->ports);
		free(dp->workers);
		free(dp->cpus);
		free(dp->eal);
		free(dp);
		return NULL;
	}
	for (unsigned i = 0; i < p->n_ports; i++) {
		dp->ports[i].index = i;
		dp->ports[i].device_port = i;
		dp->ports[i].tap_fd = -1;
	}
	for (unsigned i = 0; i < p->workers; i++)
		dp->cpus[i] = i < p->n_cpus ? p->cpus[i] : -1;
	return dp;
}

int dp_start(const struct dp_params *p, struct dp **out, struct error *err)
{
	struct dp *dp;
	int ret = check_params(p, err);

	if (ret)
		return ret;
	dp = allocate(p);
	if (!dp)
		return error_set(err, -ENOMEM, "out of memory");
	ret = eal_start(dp->eal, p, err);
	if (ret)
		goto out;
	dp->tsc_hz = rte_get_tsc_hz();
	ret = open_ports(dp, p, err);
	if (ret)
		goto out;
	numa_choose(dp);
	ret = create_tables(dp, err); // first: the table of routes is one large piece
	if (!ret)
		ret = create_pool(dp, p, err);
	if (!ret)
		ret = start_ports(dp, p, err);
	if (!ret)
		ret = create_workers(dp, err);
	if (!ret)
		ret = launch(dp, err);
	if (ret)
		goto out;
	snprintf(dp->version, sizeof(dp->version), "%s, %s", rte_version(), crypto_version());
	eal_log_started();
	telemetry_start(dp);
	*out = dp;
	dp = NULL;
out:
	dp_stop(dp);
	return ret;
}

// ---- stop ----

void dp_stop(struct dp *dp)
{
	if (!dp)
		return;
	telemetry_stop();
	atomic_store(&dp->stop, true);
	if (dp->eal->started)
		rte_eal_mp_wait_lcore();
	punt_join(dp);
	if (dp->capture)
		dp_capture_end(dp);
	for (unsigned i = 0; i < dp->n_workers; i++) {
		if (!dp->workers[i])
			continue;
		crypto_destroy(dp->workers[i]->crypto);
		worker_destroy(dp->workers[i]);
	}
	for (unsigned i = 0; i < dp->n_ports; i++)
		port_stop(&dp->ports[i]);
	if (dp->qsbr)
		free_deferred(dp, true);
	ifaces_destroy(dp);
	punt_destroy(dp);
	guard_destroy(dp);
	policies_destroy(dp);
	tunnels_destroy(dp);
	sad_destroy(dp);
	pmtu_destroy(dp);
	fib_destroy(dp);
	rte_ring_free(dp->events);
	rte_mempool_free(dp->pool);
	rte_mempool_free(dp->large_pool);
	eal_stop(dp->eal);
	free(dp->qsbr);
	free(dp->ports);
	free(dp->workers);
	free(dp->cpus);
	free(dp->eal);
	free(dp);
}

// ---- what control asks ----

bool dp_has_hugepages(const struct dp *dp, const char **why)
{
	*why = dp->eal->why_not;
	return dp->eal->hugepages;
}

unsigned dp_worker_count(const struct dp *dp)
{
	return dp->n_workers;
}

int dp_worker_info(const struct dp *dp, unsigned i, struct dp_worker_info *out)
{
	const struct worker *w;

	if (i >= dp->n_workers)
		return -ENOENT;
	w = dp->workers[i];
	*out = (struct dp_worker_info){
		.lcore = w->lcore,
		.cpu = dp->cpus[i],
		.busy_cycles = counter_read(&w->busy_cycles),
		.idle_cycles = counter_read(&w->idle_cycles),
		.sleeps = counter_read(&w->sleeps),
		.packets = counter_read(&w->packets),
		.batches = counter_read(&w->batches),
		.esp_in_packets = counter_read(&w->esp_in_packets),
		.cut_packets = counter_read(&w->cut_packets),
		.cut_pieces = counter_read(&w->cut_pieces),
		.whole_packets = counter_read(&w->whole_packets),
		.whole_pieces = counter_read(&w->whole_pieces),
		.icmp_errors = counter_read(&w->icmp_errors),
		.handed_over = counter_read(&w->handed_over),
		.esp_out_packets = counter_read(&w->esp_out_packets),
		.dummies = counter_read(&w->dummies),
	};
	return 0;
}

int dp_worker_drops(const struct dp *dp, unsigned i, uint64_t out[DROP_REASON_COUNT])
{
	if (i >= dp->n_workers)
		return -ENOENT;
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		out[r] = counter_read(&dp->workers[i]->drops[r]);
	return 0;
}

void dp_drops(const struct dp *dp, uint64_t out[DROP_REASON_COUNT])
{
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++) {
		out[r] = counter_read(&dp->punt->drops[r]);
		for (unsigned i = 0; i < dp->n_workers; i++)
			out[r] += counter_read(&dp->workers[i]->drops[r]);
	}
}

static const struct {
	const char *name, *help;
} drop_text[] = {
#define X(id, name, help) [DROP_##id] = {name, help},
	DROP_REASONS(X)
#undef X
};

const char *dp_drop_name(enum drop_reason reason)
{
	return drop_text[reason].name;
}

const char *dp_drop_help(enum drop_reason reason)
{
	return drop_text[reason].help;
}

struct ike_mark_key dp_ike_mark(const struct dp *dp)
{
	return dp->ike_mark;
}

const char *dp_version(const struct dp *dp)
{
	return dp->version;
}
