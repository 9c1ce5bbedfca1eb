#include "dataplane/punt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ether.h>

#include "dataplane/capture.h"
#include "dataplane/flow6.h"
#include "dataplane/iface.h"
#include "dataplane/ike_lost.h"
#include "dataplane/port.h"
#include "dataplane/stages.h"

enum {
	TO_LINUX_SIZE = 2048, // packets
	TAP_READ_MAX = 64,    // frames of one device in one round
	READY_MAX = 64,	      // devices in one round
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
	eth->ether_type =
		rte_cpu_to_be_16(ip_is_v6(eth + 1) ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	return true;
}

static void punt_frames(struct worker *w, struct rte_ring *ring, struct rte_mbuf **pkt, unsigned n)
{
	unsigned sent;

	if (worker_captures(w))
		capture_frames(w, DP_CAPTURE_TO_LINUX, CAPTURE_BY_MBUF, pkt, n);
	sent = n ? rte_ring_enqueue_burst(ring, (void **)pkt, n, NULL) : 0;
	if (sent == n)
		return;
	if (worker_captures(w))
		capture_refused(capture_load(&w->capture), DROP_PUNT_FULL, false, pkt + sent,
				n - sent);
	ike_lost_frames(w->lost, pkt + sent, n - sent, DP_IKE_RING, false, w->now_tsc);
	counter_add(&w->drops[DROP_PUNT_FULL], n - sent);
	rte_pktmbuf_free_bulk(pkt + sent, n - sent);
}

static void punt_by(struct worker *w, struct rte_ring *ring, struct batch *b)
{
	struct rte_mbuf *pkt[BATCH_MAX];
	unsigned n = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];

		if (b->port[i] >= DP_IFACE_FIRST) { // as it is: the device takes bare packets
			m->port = b->port[i];
			pkt[n++] = m;
		} else if (w->dp->ports[b->port[i]].tap_fd < 0) {
			drop(w, m, DROP_PUNT_WRITE);
		} else if (!restore_frame(w, b, i)) {
			drop(w, m, DROP_NO_MBUF);
		} else {
			m->port = b->port[i];
			pkt[n++] = m;
		}
	}
	punt_frames(w, ring, pkt, n);
	b->n = 0;
}

void punt(struct worker *w, struct batch *b)
{
	punt_by(w, w->dp->punt->to_linux, b);
}

void punt_first(struct worker *w, struct batch *b)
{
	punt_by(w, w->dp->punt->to_linux_first, b);
}

// ---- the thread ----

static void drop_punted(struct punt *punt, struct rte_mbuf *m, enum drop_reason reason)
{
	struct capture_ring *r = capture_load(&punt->capture);

	if (r)
		capture_refused(r, reason, false, &m, 1);
	counter_add(&punt->drops[reason], 1);
	rte_pktmbuf_free(m);
}

// The device of a port or tunnel interface, with the counter for one way; -1 when it has gone.
static int device_fd(struct punt *punt, unsigned number, bool to_linux, counter **count)
{
	struct iface *iface;

	if (number < DP_IFACE_FIRST) {
		struct port *port = &punt->dp->ports[number];

		*count = to_linux ? &port->punt_packets : &port->from_linux_packets;
		return port->tap_fd;
	}
	iface = iface_get(punt->dp, number);
	if (!iface)
		return -1;
	*count = to_linux ? &iface->to_linux_packets : &iface->from_linux_packets;
	return iface->fd;
}

static void write_tap(struct punt *punt, struct rte_mbuf *m)
{
	counter *count = NULL;
	const int fd = device_fd(punt, m->port, true, &count);

	if (fd < 0 || write(fd, rte_pktmbuf_mtod(m, void *), m->data_len) != m->data_len) {
		ike_lost_frames(punt->lost, &m, 1, DP_IKE_TAP, false, rte_rdtsc());
		drop_punted(punt, m, DROP_PUNT_WRITE);
		return;
	}
	counter_add(count, 1);
	rte_pktmbuf_free(m);
}

static unsigned take_from_workers(struct punt *punt)
{
	struct rte_mbuf *pkt[BATCH_MAX];
	unsigned n = rte_ring_dequeue_burst(punt->to_linux_first, (void **)pkt, BATCH_MAX, NULL);

	if (n < BATCH_MAX)
		n += rte_ring_dequeue_burst(punt->to_linux, (void **)(pkt + n), BATCH_MAX - n,
					    NULL);
	for (unsigned i = 0; i < n; i++)
		write_tap(punt, pkt[i]);
	return n;
}

// Which ring takes what Linux sends there: a tunnel interface has the one of some port.
static struct rte_ring *ring_of(const struct dp *dp, unsigned number)
{
	return dp->ports[number < DP_IFACE_FIRST ? number : iface_port(dp, number)].from_linux;
}

// Reads one frame. False when there is none.
static bool read_tap(struct punt *punt, unsigned number, int fd, counter *count)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(punt->dp->pool);
	uint8_t lost[1];
	ssize_t n;

	if (!m) {
		// Read all the same: the frame is lost, but the wait must not spin.
		n = read(fd, lost, sizeof(lost));
		if (n > 0)
			counter_add(&punt->drops[DROP_NO_MBUF], 1);
		return n > 0;
	}
	n = read(fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
	if (n <= 0) {
		rte_pktmbuf_free(m);
		return false;
	}
	m->data_len = (uint16_t)n;
	m->pkt_len = (uint32_t)n;
	m->port = (uint16_t)number;
	counter_add(count, 1);
	if (rte_ring_enqueue(ring_of(punt->dp, number), m) != 0) {
		if (capture_load(&punt->capture))
			capture_begin(capture_load(&punt->capture), m);
		ike_lost_frames(punt->lost, &m, 1, DP_IKE_RING, true, rte_rdtsc());
		drop_punted(punt, m, DROP_PUNT_FULL);
	}
	return true;
}

// Waits up to `wait_ms` for devices that have something, and takes it. How many frames.
static unsigned take_from_linux(struct punt *punt, int wait_ms)
{
	struct epoll_event ready[READY_MAX];
	unsigned total = 0;
	int n;

	if (wait_ms > 0) // nobody waits for a grace period on our account
		rte_rcu_qsbr_thread_offline(punt->dp->qsbr, punt->dp->n_workers);
	n = epoll_wait(punt->epoll_fd, ready, READY_MAX, wait_ms);
	if (wait_ms > 0)
		rte_rcu_qsbr_thread_online(punt->dp->qsbr, punt->dp->n_workers);
	for (int i = 0; i < n; i++) {
		const unsigned number = ready[i].data.u32;
		counter *count = NULL;
		const int fd = device_fd(punt, number, false, &count);

		// Somebody has deleted it in Linux: that is said for ever.
		if (ready[i].events & EPOLLERR && fd >= 0)
			punt_unwatch(punt->dp, fd);
		for (unsigned k = 0; fd >= 0 && k < TAP_READ_MAX; k++) {
			if (!read_tap(punt, number, fd, count))
				break;
			total++;
		}
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
	int wait_ms = 0;

	rte_rcu_qsbr_thread_register(dp->qsbr, dp->n_workers);
	rte_rcu_qsbr_thread_online(dp->qsbr, dp->n_workers);
	while (!atomic_load_explicit(&dp->stop, memory_order_relaxed)) {
		unsigned work = take_from_workers(punt);
		uint64_t now;

		work += take_from_linux(punt, work > 0 ? 0 : wait_ms);
		ring_for_events(punt);
		now = rte_rdtsc();
		rte_rcu_qsbr_quiescent(dp->qsbr, dp->n_workers);
		if (work > 0)
			active_tsc = now;
		wait_ms = work > 0			  ? 0
			  : now - active_tsc > idle_after ? IDLE_POLL_MS
							  : ACTIVE_POLL_MS;
	}
	rte_rcu_qsbr_thread_offline(dp->qsbr, dp->n_workers);
	rte_rcu_qsbr_thread_unregister(dp->qsbr, dp->n_workers);
	return NULL;
}

// ---- control ----

int punt_watch(struct dp *dp, unsigned number, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = number};

	return epoll_ctl(dp->punt->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

void punt_unwatch(struct dp *dp, int fd)
{
	epoll_ctl(dp->punt->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static struct rte_ring *ring_create(const char *name)
{
	// RTS: a producer that the kernel puts to sleep in the middle holds nobody up.
	return rte_ring_create(name, TO_LINUX_SIZE, SOCKET_ID_ANY,
			       RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
}

static void ring_destroy(struct rte_ring *ring)
{
	void *m;

	while (ring && rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

int punt_create(struct dp *dp)
{
	struct punt *punt = calloc(1, sizeof(*punt));
	int ret;

	if (!punt)
		return -ENOMEM;
	dp->punt = punt;
	punt->dp = dp;
	punt->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	punt->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (punt->event_fd < 0 || punt->epoll_fd < 0) {
		ret = -errno;
		goto out;
	}
	punt->to_linux_first = ring_create("to_linux_first");
	punt->to_linux = ring_create("to_linux");
	punt->lost = ike_lost_create(dp);
	ret = !punt->lost ? -ENOMEM : punt->to_linux_first && punt->to_linux ? 0 : -rte_errno;
out:
	if (ret)
		punt_destroy(dp);
	return ret;
}

int punt_start(struct dp *dp)
{
	sigset_t all, before;
	int ret = 0;

	for (unsigned p = 0; p < dp->n_ports && !ret; p++)
		if (dp->ports[p].tap_fd >= 0)
			ret = punt_watch(dp, p, dp->ports[p].tap_fd);
	if (ret)
		return ret;
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

	if (!punt)
		return;
	ike_lost_destroy(punt->lost);
	ring_destroy(punt->to_linux_first);
	ring_destroy(punt->to_linux);
	if (punt->event_fd >= 0)
		close(punt->event_fd);
	if (punt->epoll_fd >= 0)
		close(punt->epoll_fd);
	free(punt);
	dp->punt = NULL;
}
