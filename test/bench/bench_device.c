// The preloaded half of bench_device.h: sources and sinks behind the net_null ports of a program.
//
// rte_eth_rx_queue_setup and rte_eth_dev_start are ours, and call DPDK's: the one says where a
// port's mbufs come from, the other is when callbacks are put at its queues.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "test/bench/bench_device.h"

#define POLLS_A_STAMP 256
#define RECORD_LEN    2048u

struct source {
	enum bench_source kind;
	struct rte_mempool *pool;
	const struct bench_packets *play;
	struct bench_packets *record;
	struct bench_wire *in, *out;
	uint32_t next;	    // packet of `play`
	uint64_t due;	    // of the next packet of a paced source, in 2^-16 TSC cycles
	uint32_t record_at; // in units of 64 bytes
	bool recording;
	bool ended; // nothing left, and the program has come back for more
};

static struct {
	struct bench_ctl *ctl;
	struct source port[BENCH_PORTS];
	struct bench_stamp sum;
	uint64_t pace;
	uint32_t polls;
	bool active;
} bench;

// ---- files ----

static void *map(const char *name, size_t len, bool must)
{
	const char *prefix = getenv("PORT500_BENCH");
	char path[512];
	void *at;
	int fd;

	snprintf(path, sizeof(path), "%s.%s", prefix ? prefix : "", name);
	fd = open(path, O_RDWR);
	if (fd < 0 && !must)
		return NULL;
	at = fd < 0 ? MAP_FAILED : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		fprintf(stderr, "bench_device: cannot map '%s': set PORT500_BENCH\n", path);
		exit(1);
	}
	close(fd);
	return at;
}

static void *map_of_port(unsigned n, const char *what, size_t len)
{
	char name[32];

	snprintf(name, sizeof(name), "%u.%s", n, what);
	return map(name, len, false);
}

// ---- what the harness reads ----

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void stamp(void)
{
	struct bench_ctl *ctl = bench.ctl;

	bench.sum.tsc = rte_rdtsc();
	bench.sum.cpu_ns = thread_cpu_ns();
	atomic_fetch_add_explicit(&ctl->version, 1, memory_order_acq_rel);
	ctl->now = bench.sum;
	atomic_fetch_add_explicit(&ctl->version, 1, memory_order_release);
}

static void begin_turn(uint32_t turn)
{
	struct bench_ctl *ctl = bench.ctl;

	bench.active = false;
	for (unsigned i = 0; i < BENCH_PORTS; i++) {
		struct source *s = &bench.port[i];

		s->kind = s->play && s->play->n > 0 ? ctl->ask.source[i] : BENCH_NONE;
		s->ended = s->kind != BENCH_ONCE; // the others do not count
		if (s->kind == BENCH_ONCE)
			s->next = 0;
		s->due = rte_rdtsc() << 16;
		s->recording = s->record && ctl->ask.record & 1u << i;
		if (s->recording) {
			s->record_at = 0;
			s->record->n = 0;
		}
		bench.active |= s->kind != BENCH_NONE;
	}
	bench.pace = ctl->ask.pace;
	ctl->tid = (uint32_t)syscall(SYS_gettid);
	ctl->tsc_hz = rte_get_tsc_hz();
	memset(ctl->took, 0, sizeof(ctl->took));
	stamp();
	ctl->begin = bench.sum;
	atomic_store(&ctl->done, 0);
	atomic_store_explicit(&ctl->turn, turn, memory_order_release);
}

static void note_poll(void)
{
	struct bench_ctl *ctl = bench.ctl;
	const uint32_t turn = atomic_load_explicit(&ctl->ask.turn, memory_order_acquire);
	bool once = false, ended = true;

	if (turn != atomic_load_explicit(&ctl->turn, memory_order_relaxed))
		begin_turn(turn);
	if (!bench.active)
		return;
	for (unsigned i = 0; i < BENCH_PORTS; i++) {
		once |= bench.port[i].kind == BENCH_ONCE;
		ended &= bench.port[i].ended;
	}
	ended &= once; // what goes on for ever beside it ends with it
	if (++bench.polls % POLLS_A_STAMP == 0 || ended)
		stamp();
	if (ended) {
		for (unsigned i = 0; i < BENCH_PORTS; i++)
			bench.port[i].kind = BENCH_NONE;
		bench.active = false;
		atomic_store_explicit(&ctl->done, 1, memory_order_release);
	}
}

// ---- receive ----

static struct rte_mbuf *make(struct source *s, const uint8_t *data, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(s->pool);

	if (m == NULL) {
		bench.sum.no_mbufs++;
		return NULL;
	}
	memcpy(rte_pktmbuf_mtod(m, void *), data, len);
	m->data_len = len;
	m->pkt_len = len;
	m->port = (uint16_t)(s - bench.port);
	return m;
}

static struct rte_mbuf *next_packet(struct source *s)
{
	const struct bench_packets *p = s->play;
	const uint32_t i = s->next, ahead = i + 8 < p->n ? i + 8 : i;
	struct rte_mbuf *m;

	rte_prefetch0(p->data + (size_t)p->at[ahead] * 64);
	m = make(s, p->data + (size_t)p->at[i] * 64, p->len[i]);
	if (m)
		s->next = i + 1 < p->n || s->kind == BENCH_ONCE ? i + 1 : 0;
	return m;
}

// Whether a paced source has a packet by now. What came while the queue was full is gone.
static bool is_due(struct source *s, uint64_t now)
{
	const uint64_t late = (now << 16) > s->due ? (now << 16) - s->due : 0;

	if ((now << 16) < s->due)
		return false;
	if (late > BENCH_QUEUE * bench.pace) {
		const uint64_t lost = late / bench.pace - BENCH_QUEUE;

		s->due += lost * bench.pace;
		bench.sum.missed += lost;
	}
	return true;
}

static uint16_t receive(struct source *s, struct rte_mbuf **pkt, uint16_t n, uint16_t max)
{
	const uint64_t now = s->kind == BENCH_PACED ? rte_rdtsc() : 0;

	if (s->kind == BENCH_ONCE && s->next == s->play->n)
		s->ended = true;
	while (n < max) {
		struct rte_mbuf *m;

		if (s->kind == BENCH_NONE || (s->kind == BENCH_ONCE && s->next == s->play->n) ||
		    (s->kind == BENCH_PACED && !is_due(s, now)))
			break;
		m = next_packet(s);
		if (m == NULL)
			break;
		if (s->kind == BENCH_PACED) {
			const uint64_t due = s->due >> 16;

			memcpy(&m->hash, &due, sizeof(due));
			s->due += bench.pace;
		}
		pkt[n++] = m;
		bench.sum.rx[s - bench.port]++;
	}
	return n;
}

static uint16_t on_rx(uint16_t port, uint16_t queue, struct rte_mbuf **pkt, uint16_t n,
		      uint16_t max, void *arg)
{
	struct source *s = arg;
	struct bench_wire *w = s->in;

	(void)queue;
	if (s == &bench.port[0])
		note_poll();
	if (w) {
		const uint32_t tail = atomic_load_explicit(&w->tail, memory_order_relaxed);

		if (tail != atomic_load_explicit(&w->head, memory_order_acquire) && n < max) {
			struct rte_mbuf *m = make(s, w->slot[tail % BENCH_WIRE_SLOTS].data,
						  (uint16_t)w->slot[tail % BENCH_WIRE_SLOTS].len);

			if (m) {
				pkt[n++] = m;
				atomic_store_explicit(&w->tail, tail + 1, memory_order_release);
			}
		}
	}
	n = receive(s, pkt, n, max);
	for (uint16_t i = 0; i < n; i++)
		pkt[i]->port = port;
	return n;
}

// ---- transmit ----

// On a port with a wire only ESP is counted, on others all of IPv4.
static bool counts(const struct source *s, const uint8_t *frame)
{
	const struct rte_ipv4_hdr *ip = (const void *)(frame + sizeof(struct rte_ether_hdr));

	return frame[12] == 0x08 && frame[13] == 0x00 &&
	       (!s->out || ip->next_proto_id == IPPROTO_ESP);
}

static void keep(struct source *s, const struct rte_mbuf *m)
{
	struct bench_packets *p = s->record;
	const uint32_t n = p->n;

	if (n == BENCH_PACKETS_MAX || (size_t)s->record_at * 64 + RECORD_LEN > BENCH_BYTES_MAX ||
	    m->nb_segs != 1 || m->data_len > RECORD_LEN)
		return;
	p->at[n] = s->record_at;
	p->len[n] = m->data_len;
	memcpy(p->data + (size_t)s->record_at * 64, rte_pktmbuf_mtod(m, void *), m->data_len);
	s->record_at += (m->data_len + 63u) / 64;
	p->n = n + 1;
}

static void to_wire(struct bench_wire *w, const struct rte_mbuf *m)
{
	const uint32_t head = atomic_load_explicit(&w->head, memory_order_relaxed);
	const uint32_t tail = atomic_load_explicit(&w->tail, memory_order_acquire);

	if (head - tail == BENCH_WIRE_SLOTS || m->nb_segs != 1 || m->data_len > BENCH_WIRE_LEN)
		return;
	memcpy(w->slot[head % BENCH_WIRE_SLOTS].data, rte_pktmbuf_mtod(m, void *), m->data_len);
	w->slot[head % BENCH_WIRE_SLOTS].len = m->data_len;
	atomic_store_explicit(&w->head, head + 1, memory_order_release);
}

static void note_time(const struct rte_mbuf *m, uint64_t now)
{
	uint64_t due, took;
	unsigned lg, i;

	memcpy(&due, &m->hash, sizeof(due));
	took = now - due;
	if (took > (uint64_t)1 << 40)
		return; // not one of ours
	lg = 63 - (unsigned)__builtin_clzll(took | 1);
	i = lg <= BENCH_HISTOGRAM_LG ? (unsigned)took
				     : ((lg - BENCH_HISTOGRAM_LG) << BENCH_HISTOGRAM_LG) +
					       (unsigned)(took >> (lg - BENCH_HISTOGRAM_LG));
	bench.ctl->took[RTE_MIN(i, BENCH_HISTOGRAM - 1u)]++;
}

static uint16_t on_tx(uint16_t port, uint16_t queue, struct rte_mbuf **pkt, uint16_t n, void *arg)
{
	struct source *s = arg;
	const unsigned i_port = (unsigned)(s - bench.port);
	const bool paced = bench.port[!i_port].kind == BENCH_PACED;
	const uint64_t now = paced ? rte_rdtsc() : 0;

	(void)port;
	(void)queue;
	for (uint16_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = pkt[i];

		if (!counts(s, rte_pktmbuf_mtod(m, const uint8_t *))) {
			if (s->out)
				to_wire(s->out, m);
			continue;
		}
		bench.sum.tx[i_port]++;
		bench.sum.tx_bytes[i_port] += m->pkt_len;
		if (s->recording)
			keep(s, m);
		if (paced)
			note_time(m, now);
	}
	return n; // net_null frees them
}

// ---- in front of DPDK's functions ----

// A net_null port's number, by its name; BENCH_PORTS for any other port.
static unsigned number_of(uint16_t port)
{
	char name[RTE_ETH_NAME_MAX_LEN] = "";
	unsigned n = BENCH_PORTS;

	if (rte_eth_dev_get_name_by_port(port, name) == 0)
		sscanf(name, "net_null%u", &n);
	return RTE_MIN(n, (unsigned)BENCH_PORTS);
}

static void *next_symbol(const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (symbol == NULL) {
		fprintf(stderr, "bench_device: no %s behind us: is DPDK linked statically?\n",
			name);
		exit(1);
	}
	return symbol;
}

int rte_eth_rx_queue_setup(uint16_t port, uint16_t queue, uint16_t n_desc, unsigned int socket,
			   const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	static int (*real)(uint16_t, uint16_t, uint16_t, unsigned int,
			   const struct rte_eth_rxconf *, struct rte_mempool *);
	const unsigned n = number_of(port);

	if (!real)
		*(void **)&real = next_symbol("rte_eth_rx_queue_setup");
	if (n < BENCH_PORTS)
		bench.port[n].pool = pool;
	return real(port, queue, n_desc, socket, conf, pool);
}

int rte_eth_dev_start(uint16_t port)
{
	static int (*real)(uint16_t);
	const unsigned n = number_of(port);

	if (!real)
		*(void **)&real = next_symbol("rte_eth_dev_start");
	if (n < BENCH_PORTS) {
		struct source *s = &bench.port[n];

		if (!bench.ctl)
			bench.ctl = map("ctl", sizeof(*bench.ctl), true);
		s->play = map_of_port(n, "play", sizeof(*s->play));
		s->record = map_of_port(n, "record", sizeof(*s->record));
		s->in = map_of_port(n, "in", sizeof(*s->in));
		s->out = map_of_port(n, "out", sizeof(*s->out));
		if (!rte_eth_add_first_rx_callback(port, 0, on_rx, s) ||
		    !rte_eth_add_tx_callback(port, 0, on_tx, s)) {
			fprintf(stderr, "bench_device: this DPDK has no callbacks on queues\n");
			exit(1);
		}
	}
	return real(port);
}
