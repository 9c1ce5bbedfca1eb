// What the kernel says of links, addresses, routes and neighbours, cut and twisted.
//
// Input: netlink messages, one after the other.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "control/netlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(const struct nlmsghdr *h)
{
	struct netlink_link link;
	struct netlink_addr addr;
	struct netlink_route route;
	struct netlink_neigh neigh;

	netlink_parse_link(h, &link);
	netlink_parse_addr(h, &addr);
	netlink_parse_neigh(h, &neigh);
	if (netlink_parse_route(h, &route) && route.n_hops > NETLINK_HOPS_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr *h = malloc(size + 1);
	int left = (int)size;

	if (!h || size > NETLINK_BUFFER)
		goto out;
	memcpy(h, data, size);
	// libmnl takes a length over INT_MAX for a good one; the kernel has no such message.
	for (const struct nlmsghdr *m = h; mnl_nlmsg_ok(m, left) && m->nlmsg_len <= INT_MAX;
	     m = mnl_nlmsg_next(m, &left))
		one(m);
out:
	free(h);
	return 0;
}
