#include "control/ike_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> // needs time.h

#include "control/ike/ike.h"

#define NON_ESP_MARKER_LEN 4
// What arrives while the control thread is busy waits here. A message takes about 1 kB of it, so
// this holds a burst of some thousands; Linux's default, 200 kB, loses what a few hundred peers
// send at once when this gateway comes back, and each loss costs its sender four seconds.
#define ERRORS_AT_ONCE	   64
#define SEND_TRIES	   3
#define RECEIVE_BUFFER_LEN (4 * 1024 * 1024)

// A socket address of either family.
union any_sockaddr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

union any_pktinfo {
	struct in_pktinfo v4;
	struct in6_pktinfo v6;
};

// Of the sockets, in the order of struct ike_socket.
static const struct {
	int family;
	uint16_t port;
} kinds[IKE_SOCKETS] = {
	{AF_INET, IKE_PORT},
	{AF_INET, IKE_NATT_PORT},
	{AF_INET6, IKE_PORT},
	{AF_INET6, IKE_NATT_PORT},
};

static int bind_error(int code, uint16_t port, struct error *err)
{
	if (code == -EADDRINUSE)
		return error_set(err, code,
				 "UDP port %u is in use by another IKE daemon (charon? a second "
				 "port500d?): see 'ss -ulpn' and stop it",
				 port);
	if (code == -EACCES || code == -EPERM)
		return error_set(err, code,
				 "no permission to open UDP port %u: run as root, or with "
				 "CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW",
				 port);
	return error_set(err, code, "cannot open UDP port %u: %s", port, strerror(-code));
}

static socklen_t sockaddr_len(const union any_sockaddr *s)
{
	return s->sa.sa_family == AF_INET6 ? sizeof(s->v6) : sizeof(s->v4);
}

static union any_sockaddr sockaddr_of(const struct ip_addr *a, uint16_t port)
{
	union any_sockaddr s = {0};

	if (a->family == IP_V6) {
		s.v6.sin6_family = AF_INET6;
		s.v6.sin6_port = htons(port);
		memcpy(&s.v6.sin6_addr, a->bytes, sizeof(s.v6.sin6_addr));
	} else {
		s.v4.sin_family = AF_INET;
		s.v4.sin_port = htons(port);
		memcpy(&s.v4.sin_addr, a->bytes, sizeof(s.v4.sin_addr));
	}
	return s;
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

static int set_options(int fd, int family)
{
	int on = 1, buffer = RECEIVE_BUFFER_LEN;

	// With CAP_NET_ADMIN beyond net.core.rmem_max; otherwise as much as that allows.
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	// Without these Linux keeps to itself what ICMP says about messages that we have sent.
	if (family == AF_INET && setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) < 0)
		return -1;
	if (family == AF_INET && setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)) < 0)
		return -1;
	if (family == AF_INET)
		return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on)) < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)) < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -1;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
}

static int open_one(int family, uint16_t port, int *out, struct error *err)
{
	union any_sockaddr any = {0};
	int fd, rc;

	if (family == AF_INET6) {
		any.v6.sin6_family = AF_INET6;
		any.v6.sin6_port = htons(port);
	} else {
		any.v4.sin_family = AF_INET;
		any.v4.sin_port = htons(port);
	}
	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bind_error(-errno, port, err);
	// No SO_REUSEADDR: a second daemon on the port has to fail.
	if (set_options(fd, family) < 0 || bind(fd, &any.sa, sockaddr_len(&any)) < 0) {
		rc = bind_error(-errno, port, err);
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int ike_socket_open(struct ike_socket *s, struct error *err)
{
	struct ike_socket opened = IKE_SOCKET_CLOSED;

	for (unsigned i = 0; i < IKE_SOCKETS; i++) {
		int rc = open_one(kinds[i].family, kinds[i].port, &opened.fd[i], err);

		// The kernel may be built, booted (ipv6.disable=1) or told to be without IPv6.
		if (kinds[i].family == AF_INET6 && (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL))
			continue;
		if (rc) {
			ike_socket_close(&opened);
			return rc;
		}
	}
	*s = opened;
	return 0;
}

// Sockets that only ask for routes: IPv4, IPv6; -1: not open. They stay from one question to the
// next, as each initiation has one, and to make a socket and close it costs more than to ask.
static int askers[2] = {-1, -1};

static void askers_close(void)
{
	for (unsigned i = 0; i < 2; i++) {
		if (askers[i] >= 0)
			close(askers[i]);
		askers[i] = -1;
	}
}

void ike_socket_close(struct ike_socket *s)
{
	for (unsigned i = 0; i < IKE_SOCKETS; i++) {
		if (s->fd[i] >= 0)
			close(s->fd[i]);
		s->fd[i] = -1;
	}
	askers_close();
}

// The address a packet came to; IP_NONE when the kernel does not say.
static struct ip_addr destination_of(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		union any_pktinfo info;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info.v4, CMSG_DATA(c), sizeof(info.v4));
			return ip_addr_from_bytes((const uint8_t *)&info.v4.ipi_addr, 4);
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info.v6, CMSG_DATA(c), sizeof(info.v6));
			return ip_addr_from_bytes((const uint8_t *)&info.v6.ipi6_addr, 16);
		}
	}
	return (struct ip_addr){0};
}

static uint8_t ttl_of(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int ttl;

		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) &&
		    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
			continue;
		memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
		return (uint8_t)ttl;
	}
	return 0;
}

int ike_socket_receive(struct ike_socket *s, unsigned which, uint8_t *buf, size_t size, size_t *len,
		       struct ip_endpoint *local, struct ip_endpoint *remote, uint8_t *ttl)
{
	union {
		char bytes[CMSG_SPACE(sizeof(union any_pktinfo)) + CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	uint8_t marker[NON_ESP_MARKER_LEN] = {0};
	bool marked = kinds[which].port == IKE_NATT_PORT;
	struct iovec iov[2] = {{marker, sizeof(marker)}, {buf, size}};
	union any_sockaddr from = {0};
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = marked ? iov : iov + 1,
		.msg_iovlen = marked ? 2 : 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(s->fd[which], &msg, 0);

	if (n < 0)
		return -errno;
	*remote = endpoint_of(&from);
	*local = (struct ip_endpoint){destination_of(&msg), kinds[which].port};
	*ttl = ttl_of(&msg);
	*len = 0;
	if (msg.msg_flags & MSG_TRUNC)
		return -EBADMSG;
	if (marked) {
		static const uint8_t zeros[NON_ESP_MARKER_LEN];

		if (n == 1 && marker[0] == 0xff) { // RFC 3948 2.3
			*len = 1;
			return -EBADMSG;
		}
		if (n < NON_ESP_MARKER_LEN || memcmp(marker, zeros, sizeof(zeros)) != 0)
			return -EBADMSG;
		n -= NON_ESP_MARKER_LEN;
	}
	*len = (size_t)n;
	return 0;
}

// The control message that names the address a packet leaves from. Returns its size.
static size_t put_source(struct cmsghdr *c, const struct ip_addr *a)
{
	union any_pktinfo info = {0};
	bool v6 = a->family == IP_V6;
	size_t len = v6 ? sizeof(info.v6) : sizeof(info.v4);

	if (v6)
		memcpy(&info.v6.ipi6_addr, a->bytes, 16);
	else
		memcpy(&info.v4.ipi_spec_dst, a->bytes, 4);
	c->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), &info, len);
	return CMSG_SPACE(len);
}

// The same for its TTL or hop limit.
static size_t put_ttl(struct cmsghdr *c, enum ip_family family, int ttl)
{
	c->cmsg_level = family == IP_V6 ? IPPROTO_IPV6 : IPPROTO_IP;
	c->cmsg_type = family == IP_V6 ? IPV6_HOPLIMIT : IP_TTL;
	c->cmsg_len = CMSG_LEN(sizeof(ttl));
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
	return CMSG_SPACE(sizeof(ttl));
}

static bool is_of_icmp(int code)
{
	return code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH ||
	       code == EACCES || code == EPROTO || code == ENOPROTOOPT || code == EMSGSIZE ||
	       code == EHOSTDOWN || code == ENONET || code == EOPNOTSUPP;
}

int ike_socket_send(struct ike_socket *s, const struct ip_endpoint *local,
		    const struct ip_endpoint *remote, bool non_esp_marker, const uint8_t *bytes,
		    size_t len)
{
	return ike_socket_send_ttl(s, local, remote, non_esp_marker, bytes, len, 0);
}

int ike_socket_send_ttl(struct ike_socket *s, const struct ip_endpoint *local,
			const struct ip_endpoint *remote, bool non_esp_marker, const uint8_t *bytes,
			size_t len, uint8_t ttl)
{
	union {
		char bytes[CMSG_SPACE(sizeof(union any_pktinfo)) + CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	static const uint8_t marker[NON_ESP_MARKER_LEN];
	struct iovec iov[2] = {{(void *)(uintptr_t)marker, sizeof(marker)},
			       {(void *)(uintptr_t)bytes, len}};
	union any_sockaddr to = sockaddr_of(&remote->addr, remote->port);
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = sockaddr_len(&to),
		.msg_iov = non_esp_marker ? iov : iov + 1,
		.msg_iovlen = non_esp_marker ? 2 : 1,
	};
	unsigned which =
		(remote->addr.family == IP_V6 ? 2u : 0u) + (local->port == IKE_NATT_PORT ? 1u : 0u);

	if (s->fd[which] < 0 || remote->addr.family == IP_NONE)
		return -EAFNOSUPPORT;
	if (local->addr.family == remote->addr.family) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = put_source(&control.align, &local->addr);
		if (ttl > 0)
			msg.msg_controllen += put_ttl(
				(struct cmsghdr *)(void *)(control.bytes + msg.msg_controllen),
				remote->addr.family, ttl);
	}
	// An error of a message before (ICMP, see ike_socket_errors) stands in the way of the next
	// one, once: then it is gone.
	for (unsigned i = 1; sendmsg(s->fd[which], &msg, MSG_NOSIGNAL) < 0; i++)
		if (i == SEND_TRIES || !is_of_icmp(errno))
			return -errno;
	return 0;
}

// One error; false: none waits, or it is not one of ICMP (*e is not filled then).
static bool icmp_of(struct msghdr *msg, const union any_sockaddr *to, struct ike_socket_icmp *e)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct sock_extended_err ee;
		union any_sockaddr from = {0};

		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&ee, CMSG_DATA(c), sizeof(ee));
		if (ee.ee_origin != SO_EE_ORIGIN_ICMP && ee.ee_origin != SO_EE_ORIGIN_ICMP6)
			return false;
		// The offender's address follows (ip(7), IP_RECVERR).
		memcpy(&from, CMSG_DATA(c) + sizeof(ee),
		       c->cmsg_len - CMSG_LEN(sizeof(ee)) < sizeof(from)
			       ? c->cmsg_len - CMSG_LEN(sizeof(ee))
			       : sizeof(from));
		*e = (struct ike_socket_icmp){.from = endpoint_of(&from).addr,
					      .remote = endpoint_of(to),
					      .type = ee.ee_type,
					      .code = ee.ee_code};
		return true;
	}
	return false;
}

void ike_socket_errors(struct ike_socket *s, unsigned which,
		       void (*fn)(void *ctx, const struct ike_socket_icmp *e), void *ctx)
{
	for (unsigned i = 0; i < ERRORS_AT_ONCE; i++) {
		union {
			char bytes[256];
			struct cmsghdr align;
		} control;
		union any_sockaddr to = {0};
		struct ike_socket_icmp e;
		struct iovec iov = {0};
		struct msghdr msg = {
			.msg_name = &to,
			.msg_namelen = sizeof(to),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes),
		};

		if (recvmsg(s->fd[which], &msg, MSG_ERRQUEUE) < 0)
			return;
		if (icmp_of(&msg, &to, &e))
			fn(ctx, &e);
	}
}

static bool is_loopback(const union any_sockaddr *s)
{
	return s->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&s->v6.sin6_addr);
}

// What Linux takes when the interface has no other address of IPv6, or only one that it still
// checks for being used twice (RFC 4862 5.4), is of no use.
static bool is_makeshift(const union any_sockaddr *from, const union any_sockaddr *to)
{
	const struct ip_addr f = endpoint_of(from).addr, t = endpoint_of(to).addr;

	return (is_loopback(from) && !is_loopback(to)) ||
	       (ip_addr_is_link_local(&f) && !ip_addr_is_link_local(&t));
}

// One that is neither connected nor bound; -errno. Not to be closed.
static int asker(int family)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int *fd = &askers[family == AF_INET6 ? 1 : 0];

	// Or Linux would keep to the source address of the last answer.
	if (*fd >= 0 && connect(*fd, &nobody, sizeof(nobody)) < 0)
		askers_close();
	if (*fd < 0)
		*fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return *fd >= 0 ? *fd : -errno;
}

// Connects an unused socket, which makes Linux look the route up and send nothing.
static int look_up(const struct ip_addr *local, const struct ip_addr *remote,
		   struct ip_addr *chosen, struct error *err)
{
	union any_sockaddr to, from = {0};
	socklen_t len = sizeof(from);
	char l[IP_ADDR_TEXT_MAX], r[IP_ADDR_TEXT_MAX];
	bool bound = local && local->family != IP_NONE; // for ever: such a socket does not stay
	int fd, rc = 0;

	if (bound && local->family != remote->family)
		return error_set(err, -EAFNOSUPPORT,
				 "no way from %s to %s: local_addrs and "
				 "remote_addrs have no address family in common",
				 ip_addr_format(local, l, sizeof(l)),
				 ip_addr_format(remote, r, sizeof(r)));
	to = sockaddr_of(remote, IKE_PORT);
	if (bound)
		fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	else
		fd = asker(to.sa.sa_family);
	if (fd < 0)
		return error_set(err, -errno, "cannot open a socket: %s", strerror(errno));
	if (bound) {
		from = sockaddr_of(local, 0);
		if (bind(fd, &from.sa, sockaddr_len(&from)) < 0) {
			rc = error_set(err, -errno,
				       "our address %s is not on this machine (see 'ip addr' and "
				       "gateway.ports)",
				       ip_addr_format(local, l, sizeof(l)));
			goto out;
		}
	}
	if (connect(fd, &to.sa, sockaddr_len(&to)) < 0)
		rc = error_set(err, -errno, "no route to %s: %s (see 'ip route get %s')",
			       ip_addr_format(remote, r, sizeof(r)), strerror(errno), r);
	else if (chosen && getsockname(fd, &from.sa, &len) < 0)
		rc = error_set(err, -errno, "no address to reach %s from: %s",
			       ip_addr_format(remote, r, sizeof(r)), strerror(errno));
	else if (chosen && is_makeshift(&from, &to))
		rc = error_set(err, -EADDRNOTAVAIL,
			       "no address to reach %s from, or not yet (see 'ip addr')",
			       ip_addr_format(remote, r, sizeof(r)));
	else if (chosen)
		*chosen = endpoint_of(&from).addr;
out:
	if (bound)
		close(fd);
	return rc;
}

int ike_socket_source(const struct ip_addr *remote, struct ip_addr *local, struct error *err)
{
	return look_up(NULL, remote, local, err);
}

int ike_socket_reachable(const struct ip_addr *local, const struct ip_addr *remote,
			 struct error *err)
{
	return look_up(local, remote, NULL, err);
}
