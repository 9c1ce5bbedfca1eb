// Forged openers of IKEv2 (IKE_SA_INIT) in bulk, for tests of the guard in their own namespaces:
//
//	flood TO FROM PER-SECOND SECONDS
//
// FROM: the IPv4 address to forge, or "random". PER-SECOND 0: as many as the machine makes. Prints
// how many were sent. It ends by itself, after a minute at the latest.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/bytes.h"
#include "lib/ike_wire.h"

enum { BATCH = 64, SECONDS_MAX = 60, IKE_PORT = 500, MESSAGE_MAX = 512 };

static uint64_t rnd_state = 88172645463325252u;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_payload(struct writer *w, uint8_t next, const void *body, size_t len)
{
	write_u8(w, next);
	write_u8(w, 0);
	write_u16(w, (uint16_t)(4 + len));
	write_bytes(w, body, len);
}

// An opener such as port500's own: AES-GCM, X25519.
static size_t make_opener(uint8_t *out, size_t cap)
{
	static const uint8_t sa[] = {
		0, 0, 0, 36, 1, 1, 0, 3,		    // one proposal, IKE, three transforms
		3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 0, 128, // ENCR_AES_GCM_16, 128 bits
		3, 0, 0, 8,  2, 0, 0, 5,		    // PRF_HMAC_SHA2_256
		0, 0, 0, 8,  4, 0, 0, 31,		    // CURVE_25519
	};
	uint8_t ke[36] = {0, 31}, nonce[32];
	struct writer w = writer_of(out, cap);

	for (size_t i = 4; i < sizeof(ke); i++)
		ke[i] = (uint8_t)rnd();
	for (size_t i = 0; i < sizeof(nonce); i++)
		nonce[i] = (uint8_t)rnd();
	write_u64(&w, rnd() | 1);
	write_u64(&w, 0);
	write_u8(&w, PAYLOAD_SA);
	write_u8(&w, IKE_VERSION);
	write_u8(&w, EXCHANGE_IKE_SA_INIT);
	write_u8(&w, IKE_FLAG_INITIATOR);
	write_u32(&w, 0);
	write_u32(&w, 0);
	put_payload(&w, PAYLOAD_KE, sa, sizeof(sa));
	put_payload(&w, PAYLOAD_NONCE, ke, sizeof(ke));
	put_payload(&w, PAYLOAD_NONE, nonce, sizeof(nonce));
	write_u32_at(&w, 24, (uint32_t)w.len);
	return w.failed ? 0 : w.len;
}

static size_t make_packet(uint8_t *out, in_addr_t from, in_addr_t to)
{
	struct iphdr ip = {.ihl = 5, .version = 4, .ttl = 63, .protocol = IPPROTO_UDP};
	struct udphdr udp = {.source = htons(IKE_PORT), .dest = htons(IKE_PORT)};
	const size_t len =
		make_opener(out + sizeof(ip) + sizeof(udp), MESSAGE_MAX - sizeof(ip) - sizeof(udp));

	ip.saddr = from;
	ip.daddr = to;
	ip.tot_len = htons((uint16_t)(sizeof(ip) + sizeof(udp) + len)); // Linux sums it up
	udp.len = htons((uint16_t)(sizeof(udp) + len));
	memcpy(out, &ip, sizeof(ip));
	memcpy(out + sizeof(ip), &udp, sizeof(udp));
	return sizeof(ip) + sizeof(udp) + len;
}

static unsigned send_batch(int fd, const char *from, in_addr_t to)
{
	static uint8_t packet[BATCH][MESSAGE_MAX];
	struct sockaddr_in dst = {.sin_family = AF_INET, .sin_addr.s_addr = to};
	struct mmsghdr msg[BATCH] = {0};
	struct iovec iov[BATCH];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		// 100.64.0.0/10: nobody's
		const in_addr_t source = strcmp(from, "random") == 0
						 ? htonl(0x64400000u | (uint32_t)(rnd() & 0x3fffff))
						 : inet_addr(from);

		iov[i] = (struct iovec){packet[i], make_packet(packet[i], source, to)};
		msg[i].msg_hdr = (struct msghdr){
			.msg_name = &dst,
			.msg_namelen = sizeof(dst),
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
		};
	}
	n = sendmmsg(fd, msg, BATCH, 0);
	return n > 0 ? (unsigned)n : 0;
}

int main(int argc, char **argv)
{
	const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	const double start = now_s();
	uint64_t sent = 0;
	double rate, seconds;

	if (argc != 5) {
		fprintf(stderr, "usage: flood TO FROM|random PER-SECOND SECONDS\n");
		return 2;
	}
	rate = atof(argv[3]);
	seconds = atof(argv[4]) < SECONDS_MAX ? atof(argv[4]) : SECONDS_MAX;
	if (fd < 0) {
		perror("flood: raw socket");
		return 1;
	}
	for (double t = 0; t < seconds; t = now_s() - start) {
		if (rate > 0 && (double)sent > rate * t) {
			const struct timespec nap = {.tv_nsec = 200000};

			nanosleep(&nap, NULL);
			continue;
		}
		sent += send_batch(fd, argv[2], inet_addr(argv[1]));
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}
