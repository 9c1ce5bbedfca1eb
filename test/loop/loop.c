#include "test/loop/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "lib/error.h"
#include "test/loop/loop_internal.h"

struct loop loop;

static struct dp_policy *policy; // of all tunnels, then of the spares that are there
static unsigned n_policies;
static uint8_t key[20];
static uint64_t key_number;

static void check(int res, const char *what, const struct error *err)
{
	if (res == 0)
		return;
	fprintf(stderr, "loop: %s: %s%s%s\n", what, strerror(-res), err ? ": " : "",
		err ? err->text : "");
	exit(1);
}

static struct selector range(uint32_t addr, uint8_t len)
{
	const struct ip_prefix p = {.addr = ip_addr_v4(addr), .len = len};

	return selector_from_prefix(&p);
}

static struct dp_policy policy_of(unsigned n)
{
	return (struct dp_policy){
		.action = DP_PROTECT,
		.local = range(0x0a000000u, 8),
		.remote = range(LOOP_SITES + (n << 8), 24),
		.tunnel = loop.tunnel[n].id,
	};
}

// What goes round has the addresses of the way out when it comes in.
static struct esp_sa sa_of(unsigned n, uint32_t spi)
{
	struct esp_sa sa = {
		.spi = spi,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.local = {ip_addr_v4(LOOP_OWN), 0},
		.remote = {ip_addr_v4(LOOP_PEERS + n), 0},
		.replay_window = ESP_REPLAY_WINDOW_DEFAULT,
		.local_ts = {1, {range(0x0a000000u, 8)}},
		.remote_ts = {1, {range(LOOP_SITES + (n << 8), 24)}},
	};

	check(secret_set(&sa.encr_key, key, sizeof(key)), "key", NULL);
	return sa;
}

static void publish_in(unsigned n, uint32_t *spi)
{
	struct error err = {""};
	struct esp_sa sa;
	struct selector_list ts;

	check(dp_sa_in_reserve(loop.dp, spi), "dp_sa_in_reserve", NULL);
	sa = sa_of(n, *spi);
	ts = sa.local_ts;
	sa.local_ts = sa.remote_ts;
	sa.remote_ts = ts;
	check(dp_sa_in_publish(loop.dp, loop.tunnel[n].id, &sa, &err), "dp_sa_in_publish", &err);
}

// A pair of SAs of one key that no other pair has.
static void publish_pair(unsigned n)
{
	struct loop_tunnel *t = &loop.tunnel[n];
	struct error err = {""};
	struct esp_sa out;

	key_number++;
	memcpy(key, &key_number, sizeof(key_number));
	publish_in(n, &t->spi);
	out = sa_of(n, t->spi);
	check(dp_tunnel_set_out(loop.dp, t->id, &out, &err), "dp_tunnel_set_out", &err);
}

static void add_tunnel(unsigned n)
{
	char name[32];

	snprintf(name, sizeof(name), "site%u", n);
	check(dp_tunnel_add(loop.dp, name, &loop.tunnel[n].id), "dp_tunnel_add", NULL);
	publish_pair(n);
}

static void set_policies(void)
{
	check(dp_policies_set(loop.dp, policy, n_policies), "dp_policies_set", NULL);
}

static void load_routes(void)
{
	const struct mac_addr mac = {{2, 0, 0, 0, 0, 0x99}};
	const struct ip_addr own = ip_addr_v4(LOOP_OWN), gateway = ip_addr_v4(LOOP_GATEWAY);
	const struct dp_route link = {{ip_addr_v4(LOOP_OWN & ~255u), 24}, LOOP_WAN, {0}};
	const struct dp_route peers = {{ip_addr_v4(LOOP_PEERS), 15}, LOOP_WAN, gateway};

	check(dp_local_addr_add(loop.dp, &own), "dp_local_addr_add", NULL);
	check(dp_route_set(loop.dp, &link), "dp_route_set", NULL);
	check(dp_route_set(loop.dp, &peers), "dp_route_set", NULL);
	check(dp_neigh_set(loop.dp, LOOP_WAN, &gateway, &mac), "dp_neigh_set", NULL);
}

static void shuffle(unsigned *order, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	for (unsigned i = n; i > 1; i--) {
		const unsigned k = (unsigned)random() % i, last = order[i - 1];

		order[i - 1] = order[k];
		order[k] = last;
	}
}

static void allocate(const struct loop_params *p)
{
	char name[32];

	loop.tunnel = calloc(p->tunnels + LOOP_SPARES, sizeof(loop.tunnel[0]));
	loop.order = calloc(p->tunnels, sizeof(loop.order[0]));
	policy = calloc(p->tunnels + LOOP_SPARES, sizeof(*policy));
	loop.queue = aligned_alloc(64, p->workers * sizeof(loop.queue[0]));
	if (!loop.tunnel || !loop.order || !policy || !loop.queue)
		check(-ENOMEM, "memory", NULL);
	memset(loop.queue, 0, p->workers * sizeof(loop.queue[0]));
	shuffle(loop.order, p->tunnels);
	for (unsigned i = 0; i < p->workers; i++) {
		struct loop_queue *q = &loop.queue[i];

		q->n = i;
		q->next = p->tunnels / p->workers * i;
		snprintf(name, sizeof(name), "loop%u", i);
		// As the dataplane's own: a producer that sleeps holds nobody up.
		q->ring = rte_ring_create(name, 8192, SOCKET_ID_ANY,
					  RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
		if (!q->ring)
			check(-ENOMEM, "ring", NULL);
	}
}

struct dp *loop_start(const struct loop_params *p)
{
	static const struct dp_port_params ports[] = {
		{.name = "lan", .device = "net_null0,no-rx=1", .mtu = 1500},
		{.name = "wan", .device = "net_null1,no-rx=1", .mtu = 1500},
	};
	struct error err = {""};
	struct dp_port_info info;
	char prefix[32];
	const struct dp_params params = {
		.ports = ports,
		.n_ports = 2,
		.workers = p->workers,
		.cpus = p->cpus,
		.n_cpus = p->cpus ? p->workers : 0,
		.poll = p->busy ? DP_POLL_BUSY : DP_POLL_ADAPTIVE,
		.memory_mb = p->memory_mb,
		.hugepages = DP_HUGEPAGES_OFF,
		.file_prefix = prefix,
		.eal_args = "",
	};

	snprintf(prefix, sizeof(prefix), "loop%d", (int)getpid());
	loop.params = *p;
	check(dp_start(&params, &loop.dp, &err), "dp_start", &err);
	loop.ns_per_tsc_32 = (uint64_t)(1e9 * 4294967296.0 / (double)rte_get_tsc_hz());
	allocate(p);
	for (unsigned i = 0; i < 2; i++) {
		check(dp_port_info(loop.dp, i, &info), "dp_port_info", NULL);
		loop.mac[i] = info.mac;
	}
	load_routes();
	for (unsigned n = 0; n < p->tunnels; n++) {
		add_tunnel(n);
		policy[n_policies++] = policy_of(n);
	}
	set_policies();
	loop_device_attach();
	return loop.dp;
}

void loop_stop(void)
{
	dp_stop(loop.dp);
	free(loop.tunnel);
	free(loop.order);
	free(loop.queue);
	free(policy);
}

// ---- traffic ----

void loop_run(void)
{
	atomic_store_explicit(&loop.running, true, memory_order_release);
}

static uint64_t missing(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < loop.params.workers; i++)
		n += counter_read(&loop.queue[i].sent) - atomic_load(&loop.queue[i].delivered);
	return n;
}

bool loop_pause(void)
{
	atomic_store(&loop.running, false);
	usleep(10000);
	for (unsigned ms = 0; missing() != 0 && ms < 10000; ms++)
		usleep(1000);
	usleep(1000); // a worker that saw loop.running still set has made its packets by now
	for (unsigned ms = 0; missing() != 0 && ms < 10000; ms++)
		usleep(1000);
	return missing() == 0;
}

struct loop_counts loop_counts(void)
{
	struct loop_counts c = {0};
	struct dp_worker_info info;

	for (unsigned i = 0; i < loop.params.workers; i++) {
		const struct loop_queue *q = &loop.queue[i];

		c.sent += counter_read(&q->sent);
		c.delivered += counter_read(&q->delivered);
		c.misdirected += counter_read(&q->misdirected);
		c.queue_full += counter_read(&q->queue_full);
		check(dp_worker_info(loop.dp, i, &info), "dp_worker_info", NULL);
		c.handed_over += info.handed_over;
	}
	dp_drops(loop.dp, c.drops);
	return c;
}

void loop_set_arm(unsigned arm)
{
	atomic_store(&loop.arm, arm);
}

struct loop_rounds loop_rounds(unsigned worker, unsigned arm)
{
	return loop.queue[worker].rounds[arm];
}

uint64_t loop_delivered_of(unsigned n)
{
	return atomic_load(&loop.tunnel[n].delivered);
}

// ---- changes ----

// A worker makes a packet, counts it for the epoch that it has read, and loads the SA after that.
// Control stores the SA before the epoch. So a packet that takes the old SA was counted for the old
// epoch before control could see that count at zero (all of it in one order: seq_cst).
static bool settle(struct loop_tunnel *t)
{
	const uint32_t before = (atomic_load(&t->epoch) + 1) & 1;

	if (t->old == 0)
		return true;
	if (atomic_load(&t->under_way[before]) != 0)
		return false;
	check(dp_sa_in_retire(loop.dp, t->old), "dp_sa_in_retire", NULL);
	t->old = 0;
	return true;
}

bool loop_replace(unsigned n)
{
	struct loop_tunnel *t = &loop.tunnel[n];
	const uint32_t old = t->spi;

	// The next epoch has the bit of the one before this.
	if (!settle(t) || atomic_load(&t->under_way[(atomic_load(&t->epoch) + 1) & 1]) != 0)
		return false;
	publish_pair(n);
	t->old = old;
	atomic_fetch_add(&t->epoch, 1);
	return true;
}

unsigned loop_retire(void)
{
	unsigned left = 0;

	for (unsigned n = 0; n < loop.params.tunnels; n++)
		left += !settle(&loop.tunnel[n]);
	return left;
}

void loop_spare_add(unsigned spare)
{
	const unsigned n = loop.params.tunnels + spare;

	add_tunnel(n);
	policy[n_policies++] = policy_of(n);
	set_policies();
}

void loop_spare_del(unsigned spare)
{
	struct loop_tunnel *t = &loop.tunnel[loop.params.tunnels + spare];

	for (unsigned i = 0; i < n_policies; i++) {
		if (policy[i].tunnel != t->id)
			continue;
		memmove(&policy[i], &policy[i + 1], (n_policies - i - 1) * sizeof(*policy));
		n_policies--;
		break;
	}
	set_policies();
	check(dp_tunnel_del(loop.dp, t->id), "dp_tunnel_del", NULL);
	check(dp_sa_in_retire(loop.dp, t->spi), "dp_sa_in_retire", NULL);
}

void loop_extra_in(unsigned n)
{
	uint32_t spi;

	publish_in(n, &spi);
}
