#include "control/probe_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ECHO_MAX = 9216,
	ECHO_REQUEST6 = 128, // RFC 4443 4.1
};

union any_sockaddr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union any_sockaddr sockaddr_of(const struct ip_addr *a, uint16_t port)
{
	union any_sockaddr s = {0};

	if (a->family == IP_V6) {
		s.v6.sin6_family = AF_INET6;
		s.v6.sin6_port = htons(port);
		memcpy(&s.v6.sin6_addr, a->bytes, 16);
	} else {
		s.v4.sin_family = AF_INET;
		s.v4.sin_port = htons(port);
		memcpy(&s.v4.sin_addr, a->bytes, 4);
	}
	return s;
}

static socklen_t sockaddr_len(const struct ip_addr *a)
{
	return a->family == IP_V6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static struct ip_endpoint endpoint_of(const union any_sockaddr *s)
{
	if (s->sa.sa_family == AF_INET6)
		return (struct ip_endpoint){
			ip_addr_from_bytes((const uint8_t *)&s->v6.sin6_addr, 16),
			ntohs(s->v6.sin6_port)};
	return (struct ip_endpoint){ip_addr_from_bytes((const uint8_t *)&s->v4.sin_addr, 4),
				    ntohs(s->v4.sin_port)};
}

static int open_bound(int type, int protocol, const struct ip_addr *local, int *out)
{
	const union any_sockaddr from = sockaddr_of(local, 0);
	int fd = socket(from.sa.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int rc;

	if (fd < 0)
		return -errno;
	if (bind(fd, &from.sa, sockaddr_len(local)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

// What Linux knows of the way, by its routes and what ICMP has told it.
static int find_mtu(const struct ip_addr *local, const struct ip_addr *remote, uint16_t *mtu)
{
	const union any_sockaddr to = sockaddr_of(remote, 500);
	const bool v6 = remote->family == IP_V6;
	socklen_t len = sizeof(int);
	int fd, value = 0, rc;

	rc = open_bound(SOCK_DGRAM, 0, local, &fd);
	if (rc)
		return rc;
	if (connect(fd, &to.sa, sockaddr_len(remote)) < 0 ||
	    getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &value, &len) <
		    0)
		rc = -errno;
	close(fd);
	if (!rc)
		*mtu = value < ECHO_MAX ? (uint16_t)value : ECHO_MAX;
	return rc;
}

static int set_options(const struct probe_socket *s)
{
	const int on = 1, probe = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE;

	if (s->family == IP_V6)
		return setsockopt(s->icmp, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6,
				  sizeof(probe6)) ||
				       setsockopt(s->icmp, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on,
						  sizeof(on))
			       ? -errno
			       : 0;
	return setsockopt(s->icmp, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe)) ? -errno : 0;
}

int probe_socket_open(struct probe_socket *s, const struct ip_addr *local,
		      const struct ip_addr *remote, uint16_t *mtu, struct error *err)
{
	struct probe_socket o = {-1, -1, (enum ip_family)local->family, *local};
	char text[IP_ADDR_TEXT_MAX];
	int rc = find_mtu(local, remote, mtu);

	if (rc)
		return error_set(err, rc, "no route to %s: %s",
				 ip_addr_format(remote, text, sizeof(text)), strerror(-rc));
	rc = open_bound(SOCK_RAW, o.family == IP_V6 ? IPPROTO_ICMPV6 : (int)IPPROTO_ICMP, local,
			&o.icmp);
	if (!rc)
		rc = open_bound(SOCK_DGRAM, 0, local, &o.udp);
	if (!rc)
		rc = set_options(&o);
	if (rc) {
		probe_socket_close(&o);
		return error_set(err, rc, "no raw socket for ICMP: %s (needs CAP_NET_RAW)",
				 strerror(-rc));
	}
	*s = o;
	return 0;
}

void probe_socket_close(struct probe_socket *s)
{
	if (s->icmp >= 0)
		close(s->icmp);
	if (s->udp >= 0)
		close(s->udp);
	s->icmp = s->udp = -1;
}

static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(data[i] << 8 | data[i + 1]);
	if (len % 2)
		sum += (uint32_t)data[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

int probe_socket_echo(struct probe_socket *s, const struct ip_addr *remote, uint16_t ident,
		      uint16_t seq, uint16_t len)
{
	const union any_sockaddr to = sockaddr_of(remote, 0);
	const bool v6 = s->family == IP_V6;
	const size_t header = v6 ? 40 : 20;
	uint8_t m[ECHO_MAX] = {v6 ? ECHO_REQUEST6 : ICMP_ECHO};
	size_t size = len > header + 8 ? len - header : 8;
	uint16_t sum;

	if (size > sizeof(m))
		return -EMSGSIZE;
	m[4] = (uint8_t)(ident >> 8);
	m[5] = (uint8_t)ident;
	m[6] = (uint8_t)(seq >> 8);
	m[7] = (uint8_t)seq;
	if (!v6) { // Linux does it for ICMPv6 (RFC 3542 3.1)
		sum = checksum(m, size);
		m[2] = (uint8_t)(sum >> 8);
		m[3] = (uint8_t)sum;
	}
	return sendto(s->icmp, m, size, MSG_NOSIGNAL, &to.sa, sockaddr_len(remote)) < 0 ? -errno
											: 0;
}

int probe_socket_udp(struct probe_socket *s, const struct ip_endpoint *remote, const uint8_t *bytes,
		     size_t len)
{
	const union any_sockaddr to = sockaddr_of(&remote->addr, remote->port);

	return sendto(s->udp, bytes, len, MSG_NOSIGNAL, &to.sa, sockaddr_len(&remote->addr)) < 0
		       ? -errno
		       : 0;
}

int probe_socket_receive_icmp(struct probe_socket *s, uint8_t *buf, size_t size, size_t *len,
			      struct ip_addr *from, uint8_t *ttl)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	union any_sockaddr who = {0};
	struct iovec iov = {buf, size};
	struct msghdr msg = {
		.msg_name = &who,
		.msg_namelen = sizeof(who),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(s->icmp, &msg, 0);

	if (n < 0)
		return -errno;
	*ttl = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		int hops;

		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_HOPLIMIT)
			continue;
		memcpy(&hops, CMSG_DATA(c), sizeof(hops));
		*ttl = (uint8_t)hops;
	}
	*from = endpoint_of(&who).addr;
	*len = (size_t)n;
	return 0;
}

int probe_socket_receive_udp(struct probe_socket *s, uint8_t *buf, size_t size, size_t *len,
			     struct ip_endpoint *from)
{
	union any_sockaddr who = {0};
	socklen_t who_len = sizeof(who);
	ssize_t n = recvfrom(s->udp, buf, size, 0, &who.sa, &who_len);

	if (n < 0)
		return -errno;
	*from = endpoint_of(&who);
	*len = (size_t)n;
	return 0;
}
