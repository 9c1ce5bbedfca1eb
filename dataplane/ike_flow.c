#include "dataplane/ike_flow.h"

#include <errno.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

enum { PORT_IKE = 500, RETA_GROUPS_MAX = RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE };

struct rule {
	struct rte_flow_attr attr;
	struct rte_flow_item_udp udp, udp_mask;
	struct rte_flow_item item[4];
	struct rte_flow_action_queue queue;
	struct rte_flow_action action[2];
};

static void make_rule(struct rule *r, enum rte_flow_item_type ip, uint16_t queue)
{
	memset(r, 0, sizeof(*r));
	r->attr.ingress = 1;
	r->udp.hdr.dst_port = rte_cpu_to_be_16(PORT_IKE);
	r->udp_mask.hdr.dst_port = UINT16_MAX;
	r->queue.index = queue;
	r->item[0].type = RTE_FLOW_ITEM_TYPE_ETH;
	r->item[1].type = ip;
	r->item[2] = (struct rte_flow_item){
		.type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &r->udp, .mask = &r->udp_mask};
	r->item[3].type = RTE_FLOW_ITEM_TYPE_END;
	r->action[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_QUEUE, &r->queue};
	r->action[1].type = RTE_FLOW_ACTION_TYPE_END;
}

bool ike_flow_offered(uint16_t id, uint16_t queue, uint16_t reta_size)
{
	struct rte_flow_error err = {0};
	struct rule r;

	if (reta_size == 0 || reta_size > RTE_ETH_RSS_RETA_SIZE_512)
		return false;
	// It may refuse the rule now, for it has no queues yet. -ENOSYS: it never takes any.
	make_rule(&r, RTE_FLOW_ITEM_TYPE_IPV4, queue);
	return rte_flow_validate(id, &r.attr, r.item, r.action, &err) != -ENOSYS;
}

static int spread_over(uint16_t id, uint16_t n_queues, uint16_t reta_size)
{
	struct rte_eth_rss_reta_entry64 reta[RETA_GROUPS_MAX] = {0};

	for (uint16_t i = 0; i < reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *g = &reta[i / RTE_ETH_RETA_GROUP_SIZE];

		g->mask |= 1ull << i % RTE_ETH_RETA_GROUP_SIZE;
		g->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % n_queues);
	}
	return rte_eth_dev_rss_reta_update(id, reta, reta_size);
}

bool ike_flow_start(uint16_t id, uint16_t queue, uint16_t reta_size, const char **why)
{
	struct rte_flow_error err = {0};
	struct rule v4, v6;
	const int ret = spread_over(id, queue, reta_size);

	if (ret) {
		*why = rte_strerror(-ret);
		return false;
	}
	make_rule(&v4, RTE_FLOW_ITEM_TYPE_IPV4, queue);
	make_rule(&v6, RTE_FLOW_ITEM_TYPE_IPV6, queue);
	if (!rte_flow_create(id, &v4.attr, v4.item, v4.action, &err)) {
		*why = err.message ? err.message : rte_strerror(rte_errno);
		return false;
	}
	// One that knows no IPv6 rule steers IPv4 all the same.
	rte_flow_create(id, &v6.attr, v6.item, v6.action, &err);
	return true;
}
