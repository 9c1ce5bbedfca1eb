// Our ESP on standard input and output, to be compared with other implementations of it.
//
//   esp_oracle seal PROPOSAL KEY INTEG_KEY SPI [udp] [outer6] [high] [transport]
//                               inner packets in, ESP packets out
//   esp_oracle open PROPOSAL KEY INTEG_KEY [udp] [outer6] [high] [transport]
//                               the first line out is the SPI; ESP packets in, inner packets out
//
// udp: in UDP; outer6: over IPv6; high: the first number is 1 behind 5 * 2^32 (ESN). Inner packets
// are of either family; with transport they are
// those between the two gateways.
//
// PROPOSAL is one of esp_proposals: "aes128-sha256-esn". KEY is key and salt; a key that the
// algorithm has not is "-". Keys, SPIs and packets are hexadecimal; a packet is one
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

#include "dataplane/sad.h"
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

static int run(bool seal, struct esp_sa *sa, uint64_t seq)
{
	struct batch b = {0}, icmp = {0};
	char line[LINE_MAX_LEN];
	uint8_t packet[2000];
	struct error err;
	uint32_t tunnel, spi;
	int res;

	if (seal) {
		res = dp_tunnel_add(&fake.dp, "oracle", &tunnel);
		if (res == 0)
			res = dp_tunnel_set_out(&fake.dp, tunnel, sa, &err);
		if (res == 0)
			atomic_store(&tunnel_sa(tunnel_get(&fake.dp, tunnel))->seq, seq);
	} else {
		res = dp_sa_in_reserve(&fake.dp, &sa->spi);
		spi = sa->spi;
		printf("%08x\n", spi);
		fflush(stdout);
		if (res == 0)
			res = dp_sa_in_publish(&fake.dp, 0, sa, &err);
		if (res == 0)
			sad_lookup(fake.dp.sad, spi)->replay.top = seq;
	}
	if (res != 0) {
		fprintf(stderr, "esp_oracle: %s\n", err.text);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		batch_put(&b, mbuf_of(packet, from_hex(line, packet, sizeof(packet))));
		if (seal) {
			b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
			b.origin[0] = FROM_TAP;
			esp_out(fake.w, &b, &icmp);
			batch_free(&icmp);
		} else {
			esp_in(fake.w, &b);
		}
		answer(&b);
	}
	return 0;
}

// The SA of a proposal and its keys; the rest is fake_dp.h's.
static bool set_suite(struct esp_sa *sa, const char *proposal, const char *key,
		      const char *integ_key)
{
	const struct transform *integ;
	struct error err = {""};
	struct proposal p;
	uint8_t bytes[64];

	if (proposal_parse(proposal, PROTO_ESP, &p, &err) != 0) {
		fprintf(stderr, "esp_oracle: %s\n", err.text);
		return false;
	}
	integ = proposal_first(&p, TRANSFORM_INTEG);
	sa->encr = *proposal_first(&p, TRANSFORM_ENCR);
	if (integ != NULL)
		sa->integ = *integ;
	sa->esn = proposal_first(&p, TRANSFORM_SN)->id == SN_ESN;
	return secret_set(&sa->encr_key, bytes, from_hex(key, bytes, sizeof(bytes))) == 0 &&
	       secret_set(&sa->integ_key, bytes, from_hex(integ_key, bytes, sizeof(bytes))) == 0;
}

static bool has_word(int argc, char **argv, const char *word)
{
	for (int i = 5; i < argc; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

static void set_addresses(struct esp_sa *sa, bool outer6)
{
	sa->local_ts.s[sa->local_ts.n++] = sel(SITE_A6);
	sa->remote_ts.s[sa->remote_ts.n++] = sel(SITE_B6);
	if (!outer6)
		return;
	ip_addr_parse(GW_A6, &sa->local.addr);
	ip_addr_parse(GW_B6, &sa->remote.addr);
}

static void set_transport(struct esp_sa *sa)
{
	sa->transport = true;
	sa->local_ts = (struct selector_list){1, {selector_from_host(&sa->local.addr)}};
	sa->remote_ts = (struct selector_list){1, {selector_from_host(&sa->remote.addr)}};
}

int main(int argc, char **argv)
{
	const bool seal = argc > 5 && strcmp(argv[1], "seal") == 0;
	const bool open = argc > 4 && strcmp(argv[1], "open") == 0;
	struct esp_sa sa;
	void *state = NULL;
	int status = 2;

	if (!seal && !open) {
		fprintf(stderr,
			"usage: esp_oracle seal PROPOSAL KEY INTEG_KEY SPI [udp] [outer6] [high] "
			"[transport] | open PROPOSAL KEY INTEG_KEY [udp] [outer6] [high] [transport]\n");
		return 2;
	}
	if (fake_group_setup(&state) != 0 || fake_setup(&state) != 0)
		return 1;
	sa = fake_esp_sa(seal ? (uint32_t)strtoul(argv[5], NULL, 16) : 256, 128,
			 has_word(argc, argv, "udp"));
	set_addresses(&sa, has_word(argc, argv, "outer6"));
	if (has_word(argc, argv, "transport"))
		set_transport(&sa);
	if (set_suite(&sa, argv[2], argv[3], argv[4]))
		status = run(seal, &sa, has_word(argc, argv, "high") ? 5ull << 32 : 0);
	esp_sa_fini(&sa);
	if (fake_teardown(&state) != 0 || fake_group_teardown(&state) != 0)
		return 1;
	return status;
}
