// Forged openers of IKEv2 (IKE_SA_INIT) in bulk, for tests of the guard in their own namespaces:
//
//	flood TO FROM PER-SECOND SECONDS [TTL]
//
// FROM: the IPv4 address to forge, or "random". PER-SECOND 0: as many as the machine makes. TTL: of
// the packets, 63 unless said. Each has an SPI and a nonce of its own; SIGTERM ends it, and it ends
// by itself after the seconds, five minutes at the latest. Prints how many were sent.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/bytes.h"
#include "lib/ike_wire.h"

enum {
	BATCH = 64,
	SECONDS_MAX = 300,
	MESSAGE_MAX = 512,
	IP_LEN = 20,
	UDP_LEN = 8,
	IKE_AT = IP_LEN + UDP_LEN,
	NONCE_LEN = 32,
};

static volatile sig_atomic_t ended;

static void end(int sig)
{
	(void)sig;
	ended = 1;
}

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

static size_t make_packet(uint8_t *out, in_addr_t to, uint8_t ttl)
{
	struct iphdr ip = {.ihl = 5, .version = 4, .ttl = ttl, .protocol = IPPROTO_UDP};
	struct udphdr udp = {.source = htons(IKE_PORT), .dest = htons(IKE_PORT)};
	const size_t len = make_opener(out + IKE_AT, MESSAGE_MAX - IKE_AT);

	ip.daddr = to;
	ip.tot_len = htons((uint16_t)(IKE_AT + len)); // Linux sums it up
	udp.len = htons((uint16_t)(UDP_LEN + len));
	memcpy(out, &ip, sizeof(ip));
	memcpy(out + IP_LEN, &udp, sizeof(udp));
	return IKE_AT + len;
}

// A new SPI and some new bytes in the nonce, which is last: another opener.
static void renew(uint8_t *packet, size_t len, in_addr_t from)
{
	const uint64_t spi = rnd() | 1, nonce = rnd();

	memcpy(packet + offsetof(struct iphdr, saddr), &from, sizeof(from));
	memcpy(packet + IKE_AT, &spi, sizeof(spi));
	memcpy(packet + len - NONCE_LEN, &nonce, sizeof(nonce));
}

struct generator {
	uint8_t packet[BATCH][MESSAGE_MAX];
	size_t len;
	struct sockaddr_in to;
	struct iovec iov[BATCH];
	struct mmsghdr msg[BATCH];
	bool random;
	in_addr_t from;
};

static void prepare(struct generator *g, const char *to, const char *from, uint8_t ttl)
{
	g->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(to)};
	g->random = strcmp(from, "random") == 0;
	g->from = g->random ? 0 : inet_addr(from);
	for (unsigned i = 0; i < BATCH; i++) {
		g->len = make_packet(g->packet[i], g->to.sin_addr.s_addr, ttl);
		g->iov[i] = (struct iovec){g->packet[i], g->len};
		g->msg[i].msg_hdr = (struct msghdr){
			.msg_name = &g->to,
			.msg_namelen = sizeof(g->to),
			.msg_iov = &g->iov[i],
			.msg_iovlen = 1,
		};
	}
}

static unsigned send_batch(int fd, struct generator *g)
{
	int n;

	for (unsigned i = 0; i < BATCH; i++)
		renew(g->packet[i], g->len,
		      // 100.64.0.0/10: nobody's
		      g->random ? htonl(0x64400000u | (uint32_t)(rnd() & 0x3fffff)) : g->from);
	n = sendmmsg(fd, g->msg, BATCH, 0);
	return n > 0 ? (unsigned)n : 0;
}

int main(int argc, char **argv)
{
	const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	const double start = now_s();
	uint64_t sent = 0;
	static struct generator g;
	double rate, seconds;

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: flood TO FROM|random PER-SECOND SECONDS [TTL]\n");
		return 2;
	}
	signal(SIGTERM, end);
	rate = atof(argv[3]);
	seconds = atof(argv[4]) < SECONDS_MAX ? atof(argv[4]) : SECONDS_MAX;
	if (fd < 0) {
		perror("flood: raw socket");
		return 1;
	}
	prepare(&g, argv[1], argv[2], argc == 6 ? (uint8_t)atoi(argv[5]) : 63);
	for (double t = 0; t < seconds && !ended; t = now_s() - start) {
		if (rate > 0 && (double)sent > rate * t) {
			const struct timespec nap = {.tv_nsec = 200000};

			nanosleep(&nap, NULL);
			continue;
		}
		sent += send_batch(fd, &g);
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}
