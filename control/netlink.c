#include "control/netlink.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum {
	ANSWER_S = 5,			 // longer than the kernel ever takes
	MONITOR_BYTES = 8 * 1024 * 1024, // of receive buffer
	DUMP_BYTES = 1024 * 1024,
};

struct netlink {
	struct mnl_socket *sock;
	uint32_t seq;
};

// ---- sockets ----

static int open_bound(unsigned groups, int flags, int rcvbuf, struct mnl_socket **out)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, flags);
	struct timeval wait = {.tv_sec = ANSWER_S};
	int err;

	if (!s)
		return -errno;
	// FORCE goes beyond net.core.rmem_max and needs CAP_NET_ADMIN, as all of this does.
	if (setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)) <
	    0)
		setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		mnl_socket_close(s);
		return err;
	}
	*out = s;
	return 0;
}

int netlink_open(struct netlink **out)
{
	struct netlink *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	err = open_bound(0, SOCK_CLOEXEC, DUMP_BYTES, &n->sock);
	if (err) {
		free(n);
		return err;
	}
	*out = n;
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (!n)
		return;
	mnl_socket_close(n->sock);
	free(n);
}

int netlink_monitor(struct mnl_socket **out)
{
	int group = RTNLGRP_NEXTHOP; // has no bit: a number beyond 31
	struct mnl_socket *s = NULL;
	int err;

	err = open_bound(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
				 RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
			 SOCK_CLOEXEC | SOCK_NONBLOCK, MONITOR_BYTES, &s);
	if (err)
		return err;
	// A kernel before 5.3 has no next hop objects and refuses: nothing is missed then.
	mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
	*out = s;
	return 0;
}

// ---- requests ----

struct dump {
	void (*each)(const struct nlmsghdr *h, void *ctx);
	void *ctx;
};

static int on_dump_message(const struct nlmsghdr *h, void *ctx)
{
	const struct dump *d = ctx;

	d->each(h, d->ctx);
	return MNL_CB_OK;
}

// Every dump has a socket of its own: one that ends early leaves nothing behind.
static int dump_family(uint16_t type, uint8_t family,
		       void (*each)(const struct nlmsghdr *h, void *ctx), void *ctx)
{
	static char buf[NETLINK_BUFFER];
	struct dump d = {each, ctx};
	struct mnl_socket *s = NULL;
	struct nlmsghdr *h;
	ssize_t len;
	int err, more = MNL_CB_OK;

	err = open_bound(0, SOCK_CLOEXEC, DUMP_BYTES, &s);
	if (err)
		return err;
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = 1;
	// All three kinds of request begin with the family; rtmsg is the longest header.
	((struct rtmsg *)mnl_nlmsg_put_extra_header(h, sizeof(struct rtmsg)))->rtm_family = family;
	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		err = -errno;
	while (!err && more == MNL_CB_OK) {
		len = mnl_socket_recvfrom(s, buf, sizeof(buf));
		more = len < 0 ? MNL_CB_ERROR
			       : mnl_cb_run(buf, (size_t)len, 1, mnl_socket_get_portid(s),
					    on_dump_message, &d);
		if (more == MNL_CB_ERROR)
			err = -errno;
	}
	mnl_socket_close(s);
	return err;
}

int netlink_dump(uint16_t type, void (*each)(const struct nlmsghdr *h, void *ctx), void *ctx)
{
	int err = dump_family(type, AF_INET, each, ctx);

	return err ? err : dump_family(type, AF_INET6, each, ctx);
}

static int request(struct netlink *n, struct nlmsghdr *h)
{
	char answer[1024];
	ssize_t len;

	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = ++n->seq;
	if (mnl_socket_sendto(n->sock, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(n->sock, answer, sizeof(answer));
		if (len < 0)
			return -errno;
		// An answer to an earlier request whose wait was cut short is passed over.
	} while (((struct nlmsghdr *)answer)->nlmsg_seq != h->nlmsg_seq);
	if (mnl_cb_run(answer, (size_t)len, h->nlmsg_seq, mnl_socket_get_portid(n->sock), NULL,
		       NULL) < 0)
		return -errno;
	return 0;
}

static int af_of(const struct ip_addr *a)
{
	return a->family == IP_V4 ? AF_INET : AF_INET6;
}

static int addr_request(struct netlink *n, uint16_t type, uint16_t flags, unsigned ifindex,
			const struct ip_prefix *a)
{
	char buf[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *m;

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifa_family = (uint8_t)af_of(&a->addr);
	m->ifa_prefixlen = a->len;
	m->ifa_index = ifindex;
	mnl_attr_put(h, IFA_LOCAL, ip_addr_len(&a->addr), a->addr.bytes);
	mnl_attr_put(h, IFA_ADDRESS, ip_addr_len(&a->addr), a->addr.bytes);
	return request(n, h);
}

int netlink_addr_set(struct netlink *n, unsigned ifindex, const struct ip_prefix *a)
{
	return addr_request(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, a);
}

int netlink_addr_del(struct netlink *n, unsigned ifindex, const struct ip_prefix *a)
{
	return addr_request(n, RTM_DELADDR, 0, ifindex, a);
}

int netlink_link_del(struct netlink *n, unsigned ifindex)
{
	char buf[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	h->nlmsg_type = RTM_DELLINK;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_index = (int)ifindex;
	return request(n, h);
}

int netlink_mtu_set(struct netlink *n, unsigned ifindex, uint16_t mtu)
{
	char buf[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	h->nlmsg_type = RTM_NEWLINK;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_index = (int)ifindex;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return request(n, h);
}

int netlink_neigh_use(struct netlink *n, unsigned ifindex, const struct ip_addr *a)
{
	char buf[256];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ndmsg *m;

	h->nlmsg_type = RTM_NEWNEIGH;
	h->nlmsg_flags = NLM_F_CREATE;
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	m->ndm_family = (uint8_t)af_of(a);
	m->ndm_ifindex = (int)ifindex;
	m->ndm_state = NUD_NONE;
	m->ndm_flags = NTF_USE;
	mnl_attr_put(h, NDA_DST, ip_addr_len(a), a->bytes);
	return request(n, h);
}

// ---- messages ----

struct attrs {
	const struct nlattr **at;
	unsigned max;
};

static int collect(const struct nlattr *attr, void *ctx)
{
	struct attrs *a = ctx;
	unsigned type = mnl_attr_get_type(attr);

	if (type <= a->max)
		a->at[type] = attr;
	return MNL_CB_OK;
}

static bool is_mirrored(int family)
{
	return family == AF_INET || family == AF_INET6;
}

static size_t addr_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

static bool attrs_of(const struct nlmsghdr *h, size_t header_len, const struct nlattr **at,
		     unsigned max)
{
	struct attrs a = {at, max};

	size_t len = mnl_nlmsg_get_payload_len(h);

	if (len < header_len) // all of them are multiples of NLMSG_ALIGNTO
		return false;
	// mnl_attr_parse would round the message's length up and read beyond its end.
	return mnl_attr_parse_payload((const char *)mnl_nlmsg_get_payload(h) + header_len,
				      len - header_len, collect, &a) >= 0;
}

static bool attr_addr(const struct nlattr *attr, int family, struct ip_addr *out)
{
	const size_t len = addr_len(family);

	if (!attr || mnl_attr_get_payload_len(attr) != len)
		return false;
	*out = ip_addr_from_bytes(mnl_attr_get_payload(attr), len);
	return true;
}

static uint32_t attr_u32(const struct nlattr *attr, uint32_t otherwise)
{
	if (!attr || mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return otherwise;
	return mnl_attr_get_u32(attr);
}

bool netlink_parse_link(const struct nlmsghdr *h, struct netlink_link *out)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) || m->ifi_index <= 0)
		return false;
	out->ifindex = (unsigned)m->ifi_index;
	out->up = (m->ifi_flags & IFF_UP) != 0;
	out->up_changed = (m->ifi_change & IFF_UP) != 0;
	return true;
}

bool netlink_parse_addr(const struct nlmsghdr *h, struct netlink_addr *out)
{
	const struct nlattr *at[IFA_MAX + 1] = {0};
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);

	if (!attrs_of(h, sizeof(*m), at, IFA_MAX) || !is_mirrored(m->ifa_family) ||
	    m->ifa_prefixlen > addr_len(m->ifa_family) * 8)
		return false;
	// Packets to them go to Linux in any case, and each port has its own.
	if (m->ifa_family == AF_INET6 && m->ifa_scope == RT_SCOPE_LINK)
		return false;
	// On a point-to-point link IFA_ADDRESS is the other end.
	if (!attr_addr(at[IFA_LOCAL] ? at[IFA_LOCAL] : at[IFA_ADDRESS], m->ifa_family,
		       &out->addr.addr))
		return false;
	out->ifindex = m->ifa_index;
	out->addr.len = m->ifa_prefixlen;
	return true;
}

static void add_hop(struct netlink_route *r, int family, unsigned flags, unsigned ifindex,
		    const struct nlattr *const *at)
{
	struct netlink_hop hop = {
		.ifindex = ifindex,
		.link_down = (flags & RTNH_F_LINKDOWN) != 0,
	};

	// An IPv4 route through an IPv6 neighbour (RTA_VIA) is not mirrored.
	if ((flags & RTNH_F_DEAD) || at[RTA_VIA] || r->n_hops == NETLINK_HOPS_MAX)
		return;
	if (at[RTA_GATEWAY] && !attr_addr(at[RTA_GATEWAY], family, &hop.gateway))
		return;
	r->hops[r->n_hops++] = hop;
}

static void add_hops(struct netlink_route *r, int family, const struct nlattr *multipath)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath);

	while (left >= sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) && nh->rtnh_len <= left) {
		const struct nlattr *at[RTA_MAX + 1] = {0};
		struct attrs a = {at, RTA_MAX};
		size_t step = (size_t)MNL_ALIGN(nh->rtnh_len);

		if (mnl_attr_parse_payload(nh + 1, nh->rtnh_len - sizeof(*nh), collect, &a) >= 0)
			add_hop(r, family, nh->rtnh_flags, (unsigned)nh->rtnh_ifindex, at);
		if (step >= left)
			break;
		left -= step;
		nh = (const struct rtnexthop *)((const char *)nh + step);
	}
}

bool netlink_parse_route(const struct nlmsghdr *h, struct netlink_route *out)
{
	const struct nlattr *at[RTA_MAX + 1] = {0};
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	static const uint8_t zeros[16];

	if (!attrs_of(h, sizeof(*m), at, RTA_MAX) || !is_mirrored(m->rtm_family) ||
	    m->rtm_tos != 0 || (m->rtm_flags & RTM_F_CLONED) || m->rtm_src_len != 0 ||
	    m->rtm_dst_len > addr_len(m->rtm_family) * 8 ||
	    attr_u32(at[RTA_TABLE], m->rtm_table) != RT_TABLE_MAIN)
		return false;
	*out = (struct netlink_route){
		.dst = {ip_addr_from_bytes(zeros, addr_len(m->rtm_family)), m->rtm_dst_len},
		.metric = attr_u32(at[RTA_PRIORITY], 0),
		.replaces = (h->nlmsg_flags & NLM_F_REPLACE) != 0,
		.appended = (h->nlmsg_flags & NLM_F_APPEND) != 0,
	};
	if (at[RTA_DST] && !attr_addr(at[RTA_DST], m->rtm_family, &out->dst.addr))
		return false;
	if (m->rtm_family == AF_INET6 && // every link has these
	    (ip_addr_is_link_local(&out->dst.addr) || out->dst.addr.bytes[0] == 0xff))
		return false;
	if (m->rtm_type == RTN_UNICAST) {
		if (at[RTA_MULTIPATH])
			add_hops(out, m->rtm_family, at[RTA_MULTIPATH]);
		else
			add_hop(out, m->rtm_family, m->rtm_flags, attr_u32(at[RTA_OIF], 0), at);
	}
	return true;
}

bool netlink_parse_neigh(const struct nlmsghdr *h, struct netlink_neigh *out)
{
	const uint16_t known =
		NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
	const struct nlattr *at[NDA_MAX + 1] = {0};
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);

	if (!attrs_of(h, sizeof(*m), at, NDA_MAX) || !is_mirrored(m->ndm_family) ||
	    m->ndm_ifindex <= 0 || (m->ndm_flags & NTF_PROXY))
		return false;
	*out = (struct netlink_neigh){.ifindex = (unsigned)m->ndm_ifindex};
	if (!attr_addr(at[NDA_DST], m->ndm_family, &out->addr))
		return false;
	if (h->nlmsg_type == RTM_DELNEIGH || !(m->ndm_state & known) || !at[NDA_LLADDR] ||
	    mnl_attr_get_payload_len(at[NDA_LLADDR]) != sizeof(out->mac.bytes))
		return true;
	memcpy(out->mac.bytes, mnl_attr_get_payload(at[NDA_LLADDR]), sizeof(out->mac.bytes));
	out->state = m->ndm_state & NUD_STALE ? NEIGH_STALE : NEIGH_KNOWN;
	return true;
}
