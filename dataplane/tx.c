// Last stage: frames to the ports.
#include "dataplane/stages.h"

#include <rte_ethdev.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/ike_lost.h"
#include "dataplane/port.h"
#include "dataplane/vlan.h"

static void drop_rest(struct worker *w, struct rte_mbuf **pkt, uint16_t sent, uint16_t n)
{
	if (sent == n)
		return;
	if (worker_captures(w))
		capture_refused(capture_load(&w->capture), DROP_TX_FULL, true, pkt + sent,
				(unsigned)(n - sent));
	ike_lost_frames(w->lost, pkt + sent, (unsigned)(n - sent), DP_IKE_PORT, true, w->now_tsc);
	counter_add(&w->drops[DROP_TX_FULL], n - sent);
	rte_pktmbuf_free_bulk(pkt + sent, (unsigned)(n - sent));
}

static void flush_port(struct worker *w, const struct port *port)
{
	struct tx_buffer *tx = &w->tx[port->index];
	uint16_t sent;

	if (worker_captures(w))
		capture_frames(w, DP_CAPTURE_TX, port->index, tx->pkt, tx->n);
	if (port->shared_tx && port->owner != w->id)
		sent = (uint16_t)rte_ring_enqueue_burst(port->tx_ring, (void **)tx->pkt, tx->n,
							NULL);
	else
		sent = rte_eth_tx_burst(port->id, port->shared_tx ? 0 : (uint16_t)w->id, tx->pkt,
					tx->n);
	drop_rest(w, tx->pkt, sent, tx->n);
	tx->n = 0;
}

void tx_flush_port(struct worker *w, unsigned port)
{
	flush_port(w, &w->dp->ports[port]);
}

void tx_put(struct worker *w, unsigned port, struct rte_mbuf *m)
{
	const struct port *p = &w->dp->ports[port], *device = &w->dp->ports[p->device_port];
	struct tx_buffer *tx = &w->tx[p->device_port];

	if (device->vlans) {
		m = vlan_tx(w, p, m);
		if (!m)
			return;
	}
	tx->pkt[tx->n++] = m;
	if (tx->n == BATCH_MAX)
		flush_port(w, device);
}

// What other workers left for a port whose transmit queue is ours.
static unsigned take_from_others(struct worker *w, const struct port *port)
{
	struct rte_mbuf *pkt[BATCH_MAX];
	const uint16_t n =
		(uint16_t)rte_ring_dequeue_burst(port->tx_ring, (void **)pkt, BATCH_MAX, NULL);

	if (n > 0)
		drop_rest(w, pkt, rte_eth_tx_burst(port->id, 0, pkt, n), n);
	return n;
}

unsigned tx_flush(struct worker *w)
{
	unsigned n = 0;

	for (unsigned p = 0; p < w->dp->n_ports; p++) {
		const struct port *port = &w->dp->ports[p];

		if (w->tx[p].n > 0)
			flush_port(w, port);
		if (port->shared_tx && port->owner == w->id)
			n += take_from_others(w, port);
	}
	return n;
}
