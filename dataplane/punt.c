#include "dataplane/punt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ether.h>

#include "dataplane/port.h"
#include "dataplane/stages.h"

enum {
	TO_LINUX_SIZE = 2048, // packets
	TAP_READ_MAX = 64,    // frames of one TAP in one round
	ACTIVE_POLL_MS = 1,   // how late a punted packet may be
	IDLE_POLL_MS = 5,     // the same for the first after a quiet second
	IDLE_AFTER_MS = 1000,
};

// ---- workers ----

// The sender of packets that came out of a tunnel: Linux wants one. Locally administered.
static const uint8_t tunnel_mac[RTE_ETHER_ADDR_LEN] = {0x02, 0, 0, 0, 0, 0x50};

// Puts the Ethernet header back, or makes one for a packet that had none.
static bool restore_frame(struct worker *w, struct batch *b, uint16_t i)
{
	struct rte_mbuf *m = b->pkt[i];
	struct rte_ether_hdr *eth =
		(struct rte_ether_hdr *)(void *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);

	if (!eth)
		return false;
	if (b->origin[i] == FROM_NIC)
		return true;
	memcpy(&eth->dst_addr, w->dp->ports[b->port[i]].mac.bytes, RTE_ETHER_ADDR_LEN);
	memcpy(&eth->src_addr, tunnel_mac, RTE_ETHER_ADDR_LEN);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	return true;
}

static void punt_frames(struct worker *w, struct rte_mbuf **pkt, unsigned n)
{
	const unsigned sent =
		n ? rte_ring_enqueue_burst(w->dp->punt->to_linux, (void **)pkt, n, NULL) : 0;

	if (sent == n)
		return;
	counter_add(&w->drops[DROP_PUNT_FULL], n - sent);
	rte_pktmbuf_free_bulk(pkt + sent, n - sent);
}

void punt(struct worker *w, struct batch *b)
{
	struct rte_mbuf *pkt[BATCH_MAX];
	unsigned n = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];

		if (w->dp->ports[b->port[i]].tap_fd < 0) {
			drop(w, m, DROP_PUNT_WRITE);
		} else if (!restore_frame(w, b, i)) {
			drop(w, m, DROP_NO_MBUF);
		} else {
			m->port = b->port[i];
			pkt[n++] = m;
		}
	}
	punt_frames(w, pkt, n);
	b->n = 0;
}

// ---- the thread ----

static void write_tap(struct punt *punt, struct rte_mbuf *m)
{
	struct port *port = &punt->dp->ports[m->port];
	const ssize_t n = write(port->tap_fd, rte_pktmbuf_mtod(m, void *), m->data_len);

	if (n == m->data_len)
		counter_add(&port->punt_packets, 1);
	else
		counter_add(&punt->drops[DROP_PUNT_WRITE], 1);
	rte_pktmbuf_free(m);
}

static unsigned take_from_workers(struct punt *punt)
{
	struct rte_mbuf *pkt[BATCH_MAX];
	const unsigned n = rte_ring_dequeue_burst(punt->to_linux, (void **)pkt, BATCH_MAX, NULL);

	for (unsigned i = 0; i < n; i++)
		write_tap(punt, pkt[i]);
	return n;
}

// Reads one frame. False when there is none.
static bool read_tap(struct punt *punt, struct port *port)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(punt->dp->pool);
	uint8_t lost[1];
	ssize_t n;

	if (!m) {
		// Read all the same: the frame is lost, but poll() must not spin.
		n = read(port->tap_fd, lost, sizeof(lost));
		if (n > 0)
			counter_add(&punt->drops[DROP_NO_MBUF], 1);
		return n > 0;
	}
	n = read(port->tap_fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
	if (n <= 0) {
		rte_pktmbuf_free(m);
		return false;
	}
	m->data_len = (uint16_t)n;
	m->pkt_len = (uint32_t)n;
	m->port = (uint16_t)port->index;
	counter_add(&port->from_linux_packets, 1);
	if (rte_ring_enqueue(port->from_linux, m) != 0) {
		counter_add(&punt->drops[DROP_PUNT_FULL], 1);
		rte_pktmbuf_free(m);
	}
	return true;
}

// From those TAPs that poll() found something in. `fd`: one of each port.
static unsigned take_from_linux(struct punt *punt, const struct pollfd *fd)
{
	unsigned total = 0;

	for (unsigned p = 0; p < punt->dp->n_ports; p++) {
		unsigned n = 0;

		while (fd[p].revents != 0 && n < TAP_READ_MAX &&
		       read_tap(punt, &punt->dp->ports[p]))
			n++;
		total += n;
	}
	return total;
}

static void ring_for_events(struct punt *punt)
{
	const uint64_t one = 1;

	if (rte_ring_empty(punt->dp->events))
		return;
	if (write(punt->event_fd, &one, sizeof(one)) < 0)
		return; // it is full, so it rings already
}

static void *punt_main(void *arg)
{
	struct punt *punt = arg;
	struct dp *dp = punt->dp;
	const uint64_t idle_after = dp->tsc_hz / 1000 * IDLE_AFTER_MS;
	uint64_t active_tsc = rte_rdtsc();
	struct pollfd fd[DP_PORTS_MAX];

	for (unsigned p = 0; p < dp->n_ports; p++) // without a TAP -1, which poll() passes over
		fd[p] = (struct pollfd){.fd = dp->ports[p].tap_fd, .events = POLLIN};

	while (!atomic_load_explicit(&dp->stop, memory_order_relaxed)) {
		const unsigned work = take_from_workers(punt) + take_from_linux(punt, fd);
		const uint64_t now = rte_rdtsc();
		int wait_ms = 0;

		ring_for_events(punt);
		if (work > 0)
			active_tsc = now;
		else
			wait_ms = now - active_tsc > idle_after ? IDLE_POLL_MS : ACTIVE_POLL_MS;
		poll(fd, dp->n_ports, wait_ms);
	}
	return NULL;
}

// ---- control ----

int punt_create(struct dp *dp)
{
	struct punt *punt = calloc(1, sizeof(*punt));
	int ret;

	if (!punt)
		return -ENOMEM;
	dp->punt = punt;
	punt->dp = dp;
	punt->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (punt->event_fd < 0) {
		ret = -errno;
		goto out;
	}
	// RTS: a producer that the kernel puts to sleep in the middle holds nobody up.
	punt->to_linux = rte_ring_create("to_linux", TO_LINUX_SIZE, SOCKET_ID_ANY,
					 RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	ret = punt->to_linux ? 0 : -rte_errno;
out:
	if (ret)
		punt_destroy(dp);
	return ret;
}

int punt_start(struct dp *dp)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all); // signals are for control alone
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = -pthread_create(&dp->punt->thread, NULL, punt_main, dp->punt);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return ret;
	dp->punt->running = true;
	pthread_setname_np(dp->punt->thread, "punt");
	return 0;
}

void punt_join(struct dp *dp)
{
	if (!dp->punt || !dp->punt->running)
		return;
	pthread_join(dp->punt->thread, NULL);
	dp->punt->running = false;
}

void punt_destroy(struct dp *dp)
{
	struct punt *punt = dp->punt;
	void *m;

	if (!punt)
		return;
	while (punt->to_linux && rte_ring_dequeue(punt->to_linux, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(punt->to_linux);
	if (punt->event_fd >= 0)
		close(punt->event_fd);
	free(punt);
	dp->punt = NULL;
}
