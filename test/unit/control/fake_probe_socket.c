#include "fake_probe_socket.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/probe_socket.h"
#include "fake_gateway.h"

enum { ANY_PORT = 33333, PEERS_TTL = 60 };

struct probe_fake probe_fake;
static int echo_out[LIMIT_PROBES]; // the other ends of the ICMP sockets

int probe_socket_open(struct probe_socket *s, const struct ip_addr *local,
		      const struct ip_addr *remote, uint16_t *mtu, struct error *err)
{
	int icmp[2], udp[2];

	(void)remote;
	if (probe_fake.no_socket)
		return error_set(err, -EPERM, "no raw socket for ICMP");
	assert_true(probe_fake.open < LIMIT_PROBES);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, icmp), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, udp), 0);
	close(udp[1]);
	echo_out[probe_fake.open++] = icmp[1];
	*s = (struct probe_socket){icmp[0], udp[0], (enum ip_family)local->family, *local};
	*mtu = 1500;
	return 0;
}

void probe_socket_close(struct probe_socket *s)
{
	if (s->icmp < 0)
		return;
	close(s->icmp);
	close(s->udp);
	s->icmp = s->udp = -1;
	if (--probe_fake.open == 0)
		for (unsigned i = 0; i < LIMIT_PROBES; i++) {
			if (echo_out[i])
				close(echo_out[i]);
			echo_out[i] = 0;
		}
}

// The answer of a peer that is there, as a raw IPv4 socket hands it over. One probe at a time.
int probe_socket_echo(struct probe_socket *s, const struct ip_addr *remote, uint16_t ident,
		      uint16_t seq, uint16_t len)
{
	uint8_t m[28] = {[0] = 0x45, [8] = PEERS_TTL, [9] = 1};

	(void)len;
	probe_fake.echoes++;
	if (probe_fake.no_echo)
		return 0;
	memcpy(m + 12, remote->bytes, 4);
	memcpy(m + 16, s->local.bytes, 4);
	m[24] = (uint8_t)(ident >> 8);
	m[25] = (uint8_t)ident;
	m[26] = (uint8_t)(seq >> 8);
	m[27] = (uint8_t)seq;
	assert_int_equal(write(echo_out[probe_fake.open - 1], m, sizeof(m)), sizeof(m));
	return 0;
}

int probe_socket_udp(struct probe_socket *s, const struct ip_endpoint *remote, const uint8_t *bytes,
		     size_t len)
{
	const struct ip_endpoint local = {s->local, ANY_PORT};

	return ike_socket_send(&probe_fake.prober->run->sock, &local, remote, false, bytes, len);
}

int probe_socket_receive_icmp(struct probe_socket *s, uint8_t *buf, size_t size, size_t *len,
			      struct ip_addr *from, uint8_t *ttl)
{
	ssize_t n = read(s->icmp, buf, size);

	if (n < 0)
		return -errno;
	*len = (size_t)n;
	*from = ip_addr_from_bytes(buf + 12, 4);
	*ttl = 0;
	return 0;
}

// The wire brings answers to any port to the socket of port 500.
int probe_socket_receive_udp(struct probe_socket *s, uint8_t *buf, size_t size, size_t *len,
			     struct ip_endpoint *from)
{
	(void)s;
	(void)buf;
	(void)size;
	(void)len;
	(void)from;
	return -EAGAIN;
}
