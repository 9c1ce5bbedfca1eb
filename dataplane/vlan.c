#include "dataplane/vlan.h"

#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

#include "dataplane/dp_internal.h"
#include "dataplane/port.h"

struct vlan_map *vlan_map_create(void)
{
	struct vlan_map *map = malloc(sizeof(*map));

	if (map)
		memset(map, VLAN_NO_PORT, sizeof(*map));
	return map;
}

static bool has_tag(const struct rte_mbuf *m)
{
	return m->data_len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr) &&
	       rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type ==
		       rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN);
}

// The control information of a tag in the frame.
static uint16_t read_tag(const struct rte_mbuf *m)
{
	const struct rte_vlan_hdr *tag =
		rte_pktmbuf_mtod_offset(m, const struct rte_vlan_hdr *, RTE_ETHER_HDR_LEN);

	return rte_be_to_cpu_16(tag->vlan_tci);
}

// The two addresses move over it.
static void cut_tag(struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	memmove(frame + sizeof(struct rte_vlan_hdr), frame, 2 * RTE_ETHER_ADDR_LEN);
	rte_pktmbuf_adj(m, sizeof(struct rte_vlan_hdr));
}

static void count_rx(struct worker *w, unsigned port, const struct rte_mbuf *m)
{
	counter_add(&w->port_count[port].rx_packets, 1);
	counter_add(&w->port_count[port].rx_bytes, m->pkt_len);
}

// A frame of a device that has one port, which is untagged: a tagged one is for Linux as it came.
static bool rx_plain(struct worker *w, struct batch *b, uint16_t i, bool stripped, bool tagged)
{
	struct rte_mbuf *m = b->pkt[i];

	if (stripped && (m->vlan_tci & VLAN_ID_MASK) != 0) {
		// Back it goes, or the frame would look like one of the untagged network.
		if (rte_vlan_insert(&m) != 0) {
			drop_frame(w, b->pkt[i], DROP_NO_MBUF);
			return false;
		}
		b->pkt[i] = m;
	} else if (tagged && (read_tag(m) & VLAN_ID_MASK) == 0) {
		cut_tag(m);
	}
	return true;
}

bool vlan_rx(struct worker *w, struct batch *b, uint16_t i)
{
	const struct vlan_map *map = w->dp->ports[b->port[i]].vlans;
	struct rte_mbuf *m = b->pkt[i];
	const bool stripped = (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
	const bool tagged = !stripped && has_tag(m);
	uint16_t tci = 0;
	unsigned port;

	if (!map)
		return !(stripped || tagged) || rx_plain(w, b, i, stripped, tagged);
	if (stripped) {
		tci = m->vlan_tci;
		m->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	} else if (tagged) {
		tci = read_tag(m);
		cut_tag(m);
	}
	port = map->port[tci & VLAN_ID_MASK];
	// A second tag is that of a network within the VLAN, and no port's.
	if (port == VLAN_NO_PORT || has_tag(m)) {
		drop_frame(w, m, DROP_RX_VLAN);
		return false;
	}
	b->port[i] = (uint16_t)port;
	m->port = (uint16_t)port;
	count_rx(w, port, m);
	return true;
}

struct rte_mbuf *vlan_tx(struct worker *w, const struct port *port, struct rte_mbuf *m)
{
	struct rte_mbuf *tagged = m;

	counter_add(&w->port_count[port->index].tx_packets, 1);
	counter_add(&w->port_count[port->index].tx_bytes, m->pkt_len);
	if (port->vlan == 0)
		return m;
	m->vlan_tci = port->vlan;
	if (port->vlan_insert) {
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		return m;
	}
	if (rte_vlan_insert(&tagged) != 0) {
		drop_frame(w, m, DROP_NO_MBUF);
		return NULL;
	}
	return tagged;
}
