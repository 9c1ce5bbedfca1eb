// Our ESP on standard input and output, to be compared with other implementations of it.
//
//   esp_oracle seal KEY SPI [udp]   inner packets in, ESP packets out
//   esp_oracle open KEY [udp]       the first line out is the SPI; ESP packets in, inner packets
//   out
//
// KEY is key and salt, 20 or 36 bytes. Keys, SPIs and packets are hexadecimal; a packet is one
// line and is answered by one: the packet, or "drop" and the reason. Addresses and selectors are
// those of fake_dp.h.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/dataplane/fake_dp.h"

#define LINE_MAX_LEN 8192

static const char *const drop_name[] = {
#define X(id, name, help) name,
	DROP_REASONS(X)
#undef X
};

static size_t from_hex(const char *text, uint8_t *out, size_t max)
{
	size_t n = 0;
	unsigned byte;

	while (n < max && sscanf(text + 2 * n, "%2x", &byte) == 1)
		out[n++] = (uint8_t)byte;
	return n;
}

static void answer(struct batch *b)
{
	if (b->n == 1) {
		const uint8_t *p = rte_pktmbuf_mtod(b->pkt[0], const uint8_t *);

		for (unsigned i = 0; i < b->pkt[0]->data_len; i++)
			printf("%02x", p[i]);
		printf("\n");
	}
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++) {
		if (dropped((enum drop_reason)r) != 0)
			printf("drop %s\n", drop_name[r]);
		atomic_store(&fake.w->drops[r], 0);
	}
	fflush(stdout);
	batch_free(b);
}

static int run(bool seal, struct esp_sa *sa)
{
	struct batch b = {0}, icmp = {0};
	char line[LINE_MAX_LEN];
	uint8_t packet[2000];
	struct error err;
	uint32_t tunnel;
	int res;

	if (seal) {
		res = dp_tunnel_add(&fake.dp, "oracle", &tunnel);
		if (res == 0)
			res = dp_tunnel_set_out(&fake.dp, tunnel, sa, &err);
	} else {
		res = dp_sa_in_reserve(&fake.dp, &sa->spi);
		printf("%08x\n", sa->spi);
		fflush(stdout);
		if (res == 0)
			res = dp_sa_in_publish(&fake.dp, 0, sa, &err);
	}
	if (res != 0) {
		fprintf(stderr, "esp_oracle: %s\n", err.text);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		batch_put(&b, mbuf_of(packet, from_hex(line, packet, sizeof(packet))));
		if (seal) {
			b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
			esp_out(fake.w, &b, &icmp);
			batch_free(&icmp);
		} else {
			esp_in(fake.w, &b);
		}
		answer(&b);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const bool seal = argc > 3 && strcmp(argv[1], "seal") == 0;
	const bool open = argc > 2 && strcmp(argv[1], "open") == 0;
	uint8_t key[40];
	size_t key_len;
	struct esp_sa sa;
	void *state = NULL;
	int status;

	key_len = seal || open ? from_hex(argv[2], key, sizeof(key)) : 0;
	if (key_len != 20 && key_len != 36) {
		fprintf(stderr, "usage: esp_oracle seal KEY SPI [udp] | open KEY [udp]\n");
		return 2;
	}
	if (fake_group_setup(&state) != 0 || fake_setup(&state) != 0)
		return 1;
	sa = fake_esp_sa(seal ? (uint32_t)strtoul(argv[3], NULL, 16) : 256,
			 (unsigned)(key_len - 4) * 8, strcmp(argv[argc - 1], "udp") == 0);
	if (secret_set(&sa.encr_key, key, key_len) != 0)
		return 1;
	status = run(seal, &sa);
	esp_sa_fini(&sa);
	if (fake_teardown(&state) != 0 || fake_group_teardown(&state) != 0)
		return 1;
	return status;
}
