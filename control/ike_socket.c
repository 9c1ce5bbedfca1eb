#include "control/ike_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control/ike/ike.h"

#define NON_ESP_MARKER_LEN 4
// What arrives while the control thread is busy waits here. A message takes about 1 kB of it, so
// this holds a burst of some thousands; Linux's default, 200 kB, loses what a few hundred peers
// send at once when this gateway comes back, and each loss costs its sender four seconds.
#define RECEIVE_BUFFER_LEN (4 * 1024 * 1024)

static const uint16_t ports[IKE_SOCKETS] = {IKE_PORT, IKE_NATT_PORT};

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

static int open_one(uint16_t port, int *out, struct error *err)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd, on = 1, buffer = RECEIVE_BUFFER_LEN, rc;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bind_error(-errno, port, err);
	// With CAP_NET_ADMIN beyond net.core.rmem_max; otherwise as much as that allows.
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	// No SO_REUSEADDR: a second daemon on the port has to fail.
	if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0) {
		rc = bind_error(-errno, port, err);
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int ike_socket_open(struct ike_socket *s, struct error *err)
{
	struct ike_socket opened = {.fd = {-1, -1}};

	for (unsigned i = 0; i < IKE_SOCKETS; i++) {
		int rc = open_one(ports[i], &opened.fd[i], err);

		if (rc) {
			ike_socket_close(&opened);
			return rc;
		}
	}
	*s = opened;
	return 0;
}

void ike_socket_close(struct ike_socket *s)
{
	for (unsigned i = 0; i < IKE_SOCKETS; i++) {
		if (s->fd[i] >= 0)
			close(s->fd[i]);
		s->fd[i] = -1;
	}
}

static struct ip_addr addr_of(const struct in_addr *a)
{
	return ip_addr_v4(ntohl(a->s_addr));
}

static struct sockaddr_in sockaddr_of(const struct ip_addr *a, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};

	sin.sin_addr.s_addr = htonl(ip_addr_to_v4(a));
	return sin;
}

int ike_socket_receive(struct ike_socket *s, unsigned which, uint8_t *buf, size_t size, size_t *len,
		       struct ip_endpoint *local, struct ip_endpoint *remote)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control;
	uint8_t marker[NON_ESP_MARKER_LEN] = {0};
	bool marked = ports[which] == IKE_NATT_PORT;
	struct iovec iov[2] = {{marker, sizeof(marker)}, {buf, size}};
	struct sockaddr_in from = {0};
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
	remote->addr = addr_of(&from.sin_addr);
	remote->port = ntohs(from.sin_port);
	local->addr = (struct ip_addr){0};
	local->port = ports[which];
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		struct in_pktinfo info;

		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		local->addr = addr_of(&info.ipi_addr);
	}
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

int ike_socket_send(struct ike_socket *s, const struct ip_endpoint *local,
		    const struct ip_endpoint *remote, bool non_esp_marker, const uint8_t *bytes,
		    size_t len)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	static const uint8_t marker[NON_ESP_MARKER_LEN];
	struct iovec iov[2] = {{(void *)(uintptr_t)marker, sizeof(marker)},
			       {(void *)(uintptr_t)bytes, len}};
	struct sockaddr_in to = sockaddr_of(&remote->addr, remote->port);
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = non_esp_marker ? iov : iov + 1,
		.msg_iovlen = non_esp_marker ? 2 : 1,
	};
	unsigned which = local->port == IKE_NATT_PORT ? 1 : 0;

	if (remote->addr.family != IP_V4)
		return -EAFNOSUPPORT;
	if (local->addr.family == IP_V4) {
		struct in_pktinfo info = {
			.ipi_spec_dst.s_addr = htonl(ip_addr_to_v4(&local->addr)),
		};
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
	return sendmsg(s->fd[which], &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

// Connects an unused socket, which makes Linux look the route up and send nothing.
static int look_up(const struct ip_addr *local, const struct ip_addr *remote,
		   struct sockaddr_in *chosen, struct error *err)
{
	struct sockaddr_in to, from;
	socklen_t len = sizeof(*chosen);
	char l[IP_ADDR_TEXT_MAX], r[IP_ADDR_TEXT_MAX];
	int fd, rc = 0;

	ip_addr_format(remote, r, sizeof(r));
	if (remote->family != IP_V4)
		return error_set(err, -EAFNOSUPPORT, "%s: only IPv4 peers are supported", r);
	to = sockaddr_of(remote, IKE_PORT);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot open a socket: %s", strerror(errno));
	if (local && local->family == IP_V4) {
		from = sockaddr_of(local, 0);
		if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0) {
			rc = error_set(err, -errno,
				       "our address %s is not on this machine (see 'ip addr' and "
				       "gateway.ports)",
				       ip_addr_format(local, l, sizeof(l)));
			goto out;
		}
	}
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		rc = error_set(err, -errno, "no route to %s: %s (see 'ip route get %s')", r,
			       strerror(errno), r);
	else if (chosen && getsockname(fd, (struct sockaddr *)chosen, &len) < 0)
		rc = error_set(err, -errno, "no address to reach %s from: %s", r, strerror(errno));
out:
	close(fd);
	return rc;
}

int ike_socket_source(const struct ip_addr *remote, struct ip_addr *local, struct error *err)
{
	struct sockaddr_in chosen = {0};
	int rc = look_up(NULL, remote, &chosen, err);

	if (rc == 0)
		*local = addr_of(&chosen.sin_addr);
	return rc;
}

int ike_socket_reachable(const struct ip_addr *local, const struct ip_addr *remote,
			 struct error *err)
{
	return look_up(local, remote, NULL, err);
}
