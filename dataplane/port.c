#include "dataplane/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>

#include "dataplane/device.h"
#include "dataplane/dp_internal.h"
#include "dataplane/ike_flow.h"
#include "dataplane/tap.h"
#include "dataplane/vlan.h"
#include "lib/log.h"

enum {
	RX_DESCRIPTORS = 1024,
	TX_DESCRIPTORS = 1024,
	TX_RING_SIZE = 1024,	// packets of other workers, with shared_tx
	FROM_LINUX_SIZE = 1024, // packets
	FRAME_EXTRA = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 2 * 4, // two VLAN tags
	ESP_TAIL_MAX = 64, // padding, trailer and ICV behind a full packet
};

uint16_t port_buf_size(const struct dp_port_params *ports, unsigned n)
{
	unsigned size = RTE_MBUF_DEFAULT_DATAROOM;

	for (unsigned i = 0; i < n; i++) {
		size = RTE_MAX(size, (unsigned)ports[i].mtu + FRAME_EXTRA + ESP_TAIL_MAX);
		size = RTE_MAX(size, device_frame_size(&ports[i]));
	}
	size = (size + 63) / 64 * 64 + RTE_PKTMBUF_HEADROOM;
	return (uint16_t)(size > UINT16_MAX ? UINT16_MAX / 64 * 64 : size);
}

static int dev_error(const struct port *port, int code, const char *what, struct error *err)
{
	return error_set(err, code, "port %s: device '%s': cannot %s: %s", port->name, port->device,
			 what, rte_strerror(-code));
}

static int open_rings(struct port *port, bool tap, struct error *err)
{
	char name[RTE_RING_NAMESIZE];

	// RTS: a producer that the kernel puts to sleep in the middle holds nobody up.
	if (port->shared_tx) {
		snprintf(name, sizeof(name), "tx%u", port->index);
		port->tx_ring = rte_ring_create(name, TX_RING_SIZE, SOCKET_ID_ANY,
						RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
		if (!port->tx_ring)
			return dev_error(port, -rte_errno, "allocate its ring", err);
	}
	if (!tap)
		return 0;
	snprintf(name, sizeof(name), "from_linux%u", port->index);
	port->from_linux = rte_ring_create(name, FROM_LINUX_SIZE, SOCKET_ID_ANY,
					   RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!port->from_linux)
		return dev_error(port, -rte_errno, "allocate its ring", err);
	return tap_open(port->name, &port->mac, port->mtu, &port->tap_fd, &port->tap_ifindex, err);
}

// A packet of ESP that lands at another worker than its SA's owner is handed over (worker.h).
uint64_t port_rss(uint64_t offers)
{
	return offers & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_ESP);
}

// The af_packet and af_xdp drivers spread packets over all queues that the device string asks
// for, polled or not. A NIC that spreads by a hash gets one for each worker; anything else gets
// one, as nothing would come by the others.
uint16_t port_rx_queues(const char *driver, uint64_t rss_offers, uint16_t max, unsigned n_workers)
{
	if (strstr(driver, "af_packet") || strstr(driver, "af_xdp"))
		return max;
	return port_rss(rss_offers) == 0 ? 1 : (uint16_t)RTE_MIN(n_workers, max);
}

// memif has as many queues as the process at the other end wants to receive on, whatever we ask
// for: what is sent on more of them goes nowhere.
static bool counts_queues_by_peer(const struct rte_eth_dev_info *info)
{
	return strstr(info->driver_name, "memif") != NULL;
}

// What the device does for us, of what it offers.
static void choose_offloads(struct port *port, const struct rte_eth_dev_info *info,
			    struct rte_eth_conf *conf)
{
	if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE; // one pool, no sharing
	conf->rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
	if (port->vlans) {
		conf->rxmode.offloads |= info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_VLAN_STRIP |
								  RTE_ETH_RX_OFFLOAD_VLAN_FILTER);
		conf->txmode.offloads |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	}
	if (port->n_rxq > 1 && port_rss(info->flow_type_rss_offloads) != 0) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = port_rss(info->flow_type_rss_offloads);
	}
	port->vlan_insert = (conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) != 0;
	port->vlan_filter = (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) != 0;
	port->rx_checksum = (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
}

static int open_queues(struct dp *dp, struct port *port, const struct dp_port_params *params,
		       const struct rte_eth_dev_info *info, struct error *err)
{
	uint16_t rxd = RX_DESCRIPTORS, txd = TX_DESCRIPTORS;
	uint16_t n_txq = port->shared_tx ? 1 : (uint16_t)dp->n_workers;
	uint16_t mtu;
	const int socket = rte_eth_dev_socket_id(port->id);
	struct rte_eth_conf conf = {0};
	int ret;

	choose_offloads(port, info, &conf);
	ret = rte_eth_dev_configure(port->id, port->n_rxq, n_txq, &conf);
	if (ret)
		return dev_error(port, ret, "configure it", err);
	port->open = true;
	ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rxd, &txd);
	for (uint16_t q = 0; q < port->n_rxq && !ret; q++)
		ret = rte_eth_rx_queue_setup(port->id, q, rxd, (unsigned)socket, NULL, dp->pool);
	for (uint16_t q = 0; q < n_txq && !ret; q++)
		ret = rte_eth_tx_queue_setup(port->id, q, txd, (unsigned)socket, NULL);
	if (ret)
		return dev_error(port, ret, "set up its queues", err);
	ret = rte_eth_dev_set_mtu(port->id, params->mtu);
	if (ret == -ENOTSUP && rte_eth_dev_get_mtu(port->id, &mtu) == 0 && mtu >= params->mtu)
		ret = 0; // memif: whatever fits a buffer
	if (ret)
		device_check_mtu(params, rte_strerror(-ret));
	return 0;
}

// The ports of one device: which VLAN is whose, and the largest packet of all of them.
static int gather(struct dp *dp, unsigned index, const struct dp_params *p,
		  struct dp_port_params *device, struct error *err)
{
	struct port *port = &dp->ports[index];

	*device = p->ports[index];
	for (unsigned i = index; i < p->n_ports; i++) {
		const struct dp_port_params *one = &p->ports[i];

		if (!device_same(one->device, device->device))
			continue;
		if (one->mtu > device->mtu)
			device->mtu = one->mtu;
		if ((i > index || one->vlan != 0) && !port->vlans) {
			port->vlans = vlan_map_create();
			if (!port->vlans)
				return error_set(err, -ENOMEM, "out of memory");
			port->vlans->port[device->vlan] = (uint8_t)index;
		}
		if (port->vlans)
			port->vlans->port[one->vlan] = (uint8_t)i;
	}
	return 0;
}

// A NIC that sorts by tags has to be told of each, or it keeps them from us. One that cannot be
// asked (a VF whose VLANs are its host's work) may have been told by the host.
static void filter_vlans(const struct port *port)
{
	for (unsigned id = 1; port->vlan_filter && id < VLAN_IDS; id++) {
		int ret;

		if (port->vlans->port[id] == VLAN_NO_PORT)
			continue;
		ret = rte_eth_dev_vlan_filter(port->id, (uint16_t)id, 1);
		if (ret)
			log_warn(LOG_NET,
				 "port %s: device '%s' does not let us ask for VLAN %u (%s): the "
				 "host has to give it to the device (trust on)",
				 port->name, port->device, id, rte_strerror(-ret));
	}
}

int port_open(struct dp *dp, unsigned index, const struct dp_params *p, struct error *err)
{
	struct port *port = &dp->ports[index];
	const unsigned first = device_first(p->ports, index);
	struct dp_port_params device;
	bool steered = false;
	int ret;

	snprintf(port->name, sizeof(port->name), "%s", p->ports[index].name);
	port->device_port = first;
	if (first < index)
		return 0;
	ret = gather(dp, index, p, &device, err);
	if (!ret)
		ret = device_open(&device, &dp->ike_mark, &port->id, &steered, err);
	if (!ret && steered)
		port->ike_queue = DP_IKE_QUEUE_FILTER;
	return ret;
}

// One queue more, for IKE, where the NIC can leave it out of RSS and has rules that lead there.
static void set_ike_queue_aside(struct port *port, const struct rte_eth_dev_info *info)
{
	if (port->ike_queue != DP_IKE_QUEUE_NONE || port_rss(info->flow_type_rss_offloads) == 0 ||
	    port->n_rxq >= info->max_rx_queues ||
	    !ike_flow_offered(port->id, port->n_rxq, info->reta_size))
		return;
	port->reta_size = info->reta_size;
	port->n_rxq++;
}

static void fill_ike_queue(struct port *port)
{
	const char *why = "";

	if (port->reta_size == 0)
		return;
	if (ike_flow_start(port->id, (uint16_t)(port->n_rxq - 1), port->reta_size, &why))
		port->ike_queue = DP_IKE_QUEUE_FLOW;
	else
		log_info(LOG_NET,
			 "port %s: device '%s' does not send UDP 500 to a queue of its own: %s",
			 port->name, port->device, why);
}

static int start_device(struct dp *dp, struct port *port, const struct dp_params *p,
			struct error *err)
{
	struct dp_port_params device;
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int ret = gather(dp, port->index, p, &device, err);

	if (ret)
		return ret;
	ret = rte_eth_dev_info_get(port->id, &info);
	if (ret)
		return dev_error(port, ret, "ask it what it can do", err);
	port->n_rxq = port_rx_queues(info.driver_name, info.flow_type_rss_offloads,
				     info.max_rx_queues, dp->n_workers);
	set_ike_queue_aside(port, &info);
	port->shared_tx = info.max_tx_queues < dp->n_workers || counts_queues_by_peer(&info);
	ret = open_queues(dp, port, &device, &info, err);
	if (ret)
		return ret;
	ret = rte_eth_macaddr_get(port->id, &mac);
	if (ret)
		return dev_error(port, ret, "read its MAC address", err);
	if (rte_is_zero_ether_addr(&mac))
		rte_eth_random_addr(mac.addr_bytes); // net_ring has none
	memcpy(port->mac.bytes, mac.addr_bytes, sizeof(port->mac.bytes));
	return 0;
}

static void join_device(struct port *port, const struct port *device)
{
	port->device_port = device->index;
	port->id = device->id;
	port->mac = device->mac;
	port->vlan_insert = device->vlan_insert;
	port->rx_checksum = device->rx_checksum;
}

int port_start(struct dp *dp, unsigned index, const struct dp_params *p, struct error *err)
{
	const struct dp_port_params *params = &p->ports[index];
	struct port *port = &dp->ports[index];
	const unsigned first = device_first(p->ports, index);
	int ret = 0;

	port->tap_fd = -1;
	port->mtu = params->mtu;
	port->vlan = params->vlan;
	port->owner = port->index % dp->n_workers;
	snprintf(port->name, sizeof(port->name), "%s", params->name);
	port->device = strdup(params->device);
	if (!port->device)
		return error_set(err, -ENOMEM, "out of memory");
	if (first < index)
		join_device(port, &dp->ports[first]);
	else
		ret = start_device(dp, port, p, err);
	if (!ret)
		ret = open_rings(port, params->tap, err);
	if (ret || first < index)
		return ret;
	ret = rte_eth_dev_start(port->id);
	if (ret)
		return dev_error(port, ret, "start it", err);
	filter_vlans(port);
	fill_ike_queue(port);
	return 0;
}

static void free_ring(struct rte_ring *ring)
{
	void *m;

	if (!ring)
		return;
	while (rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void port_stop(struct port *port)
{
	if (port->tap_fd >= 0)
		tap_close(port->tap_fd);
	port->tap_fd = -1;
	if (port->open) {
		rte_eth_dev_stop(port->id);
		rte_eth_dev_close(port->id);
		port->open = false;
	}
	free_ring(port->tx_ring);
	free_ring(port->from_linux);
	port->tx_ring = port->from_linux = NULL;
	free(port->device);
	free(port->vlans);
	port->device = NULL;
	port->vlans = NULL;
}

static void report_link(struct dp *dp, unsigned device, bool up)
{
	for (unsigned i = device; i < dp->n_ports; i++) {
		const struct dp_event ev = {.type = DP_EV_LINK, .port = i, .up = up};

		if (dp->ports[i].device_port == device)
			dp_event_put(dp, &ev);
	}
}

void port_watch_links(struct dp *dp)
{
	for (unsigned i = 0; i < dp->n_ports; i++) {
		struct port *port = &dp->ports[i];
		struct rte_eth_link link;

		if (!port->open || rte_eth_link_get_nowait(port->id, &link) != 0 ||
		    port->link_down == (link.link_status == RTE_ETH_LINK_DOWN))
			continue;
		port->link_down = !port->link_down;
		report_link(dp, i, !port->link_down);
	}
}

unsigned dp_port_count(const struct dp *dp)
{
	return dp->n_ports;
}

// Of a device that ports share: what went by this one.
static void count_vlan(const struct dp *dp, unsigned index, struct dp_port_info *out)
{
	out->rx_packets = out->tx_packets = out->rx_bytes = out->tx_bytes = 0;
	for (unsigned i = 0; i < dp->n_workers; i++) {
		const struct port_count *c = &dp->workers[i]->port_count[index];

		out->rx_packets += counter_read(&c->rx_packets);
		out->rx_bytes += counter_read(&c->rx_bytes);
		out->tx_packets += counter_read(&c->tx_packets);
		out->tx_bytes += counter_read(&c->tx_bytes);
	}
}

int dp_port_info(const struct dp *dp, unsigned index, struct dp_port_info *out)
{
	const struct port *port, *device;
	struct rte_eth_dev_info info;
	struct rte_eth_stats stats;
	struct rte_eth_link link;

	if (index >= dp->n_ports)
		return -ENOENT;
	port = &dp->ports[index];
	device = &dp->ports[port->device_port];
	*out = (struct dp_port_info){
		.name = port->name,
		.device = port->device,
		.driver = "",
		.mac = port->mac,
		.mtu = port->mtu,
		.vlan = port->vlan,
		.rx_queues = device->n_rxq,
		.ike_queue = device->ike_queue,
		.tap_ifindex = port->tap_ifindex,
		.punt_packets = counter_read(&port->punt_packets),
		.from_linux_packets = counter_read(&port->from_linux_packets),
	};
	if (rte_eth_dev_info_get(port->id, &info) == 0)
		out->driver = info.driver_name;
	if (rte_eth_link_get_nowait(port->id, &link) == 0) {
		out->link_up = link.link_status == RTE_ETH_LINK_UP;
		out->link_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	}
	if (rte_eth_stats_get(port->id, &stats) == 0) {
		out->rx_packets = stats.ipackets;
		out->tx_packets = stats.opackets;
		out->rx_bytes = stats.ibytes;
		out->tx_bytes = stats.obytes;
		out->rx_missed = stats.imissed;
		out->rx_errors = stats.ierrors;
		out->tx_errors = stats.oerrors;
	}
	if (device->vlans)
		count_vlan(dp, index, out);
	return 0;
}

int dp_port_xstats(const struct dp *dp, unsigned index,
		   void (*fn)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	struct rte_eth_xstat_name *name = NULL;
	struct rte_eth_xstat *value = NULL;
	int n, ret;
	uint16_t id;

	if (index >= dp->n_ports)
		return -ENOENT;
	id = dp->ports[index].id;
	n = rte_eth_xstats_get_names(id, NULL, 0);
	if (n <= 0)
		return n;
	name = calloc((size_t)n, sizeof(*name));
	value = calloc((size_t)n, sizeof(*value));
	ret = -ENOMEM;
	if (!name || !value)
		goto out;
	ret = rte_eth_xstats_get_names(id, name, (unsigned)n);
	if (ret == n)
		ret = rte_eth_xstats_get(id, value, (unsigned)n);
	if (ret != n) { // more of them all of a sudden
		ret = ret < 0 ? ret : -EAGAIN;
		goto out;
	}
	for (int i = 0; i < n; i++)
		if (value[i].id < (uint64_t)n)
			fn(ctx, name[value[i].id].name, value[i].value);
	ret = 0;
out:
	free(name);
	free(value);
	return ret;
}
