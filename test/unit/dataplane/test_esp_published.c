// The whole ESP packets of tunnel mode that the RFCs print, through the whole receiver: with their
// own SPIs, sequence numbers and keys, behind an outer header of ours. Those of
// draft-mcgrew-gcm-test are none: their next header is 1.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "dataplane/sad.h"
#include "esp_ref.h"
#include "fake_dp.h"
#include "test/vectors/esp_rfc_vectors.h"
#include "test/vectors/hex.h"

enum { PACKET_MAX = 1200 };

static unsigned n_taken;

// The table chooses SPIs; here one is chosen for it.
static struct sa_in *publish_as(struct esp_sa *sa, uint32_t spi, uint64_t seq, uint32_t *given)
{
	struct sa_in *in;

	assert_int_equal(dp_sa_in_reserve(&fake.dp, given), 0);
	sa->spi = *given;
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, sa, NULL), 0);
	in = sad_lookup(fake.dp.sad, *given);
	assert_non_null(in);
	in->spi = spi;
	in->replay.top = seq - 1;
	atomic_store(&fake.dp.sad->slot[spi & (SAD_SLOTS - 1)], in);
	return in;
}

static void retire(struct sa_in *in, uint32_t spi)
{
	atomic_store(&fake.dp.sad->slot[in->spi & (SAD_SLOTS - 1)], NULL);
	in->spi = spi;
	atomic_store(&fake.dp.sad->slot[spi & (SAD_SLOTS - 1)], in);
	assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
	fake_reclaim();
}

// `esp` is the packet from SPI to ICV, `text` what must be inside. It is taken, and once only.
static void receive(struct esp_sa *sa, const uint8_t *esp, size_t esp_len, uint64_t seq,
		    const uint8_t *text, size_t text_len)
{
	const uint32_t spi =
		(uint32_t)esp[0] << 24 | (uint32_t)esp[1] << 16 | (uint32_t)esp[2] << 8 | esp[3];
	const size_t inner_len = text_len - 2 - text[text_len - 2];
	uint8_t packet[PACKET_MAX];
	struct batch b = {.n = 0};
	uint32_t given;
	struct sa_in *in = publish_as(sa, spi, seq, &given);

	make_ip(packet, 20 + esp_len, GW_B, GW_A, IPPROTO_ESP, 0, 0);
	memcpy(packet + 20, esp, esp_len);
	batch_put(&b, mbuf_of(packet, 20 + esp_len));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.pkt[0]->data_len, inner_len);
	assert_memory_equal(rte_pktmbuf_mtod(b.pkt[0], void *), text, inner_len);
	batch_free(&b);
	batch_put(&b, mbuf_of(packet, 20 + esp_len));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_ESP_REPLAY), ++n_taken);
	assert_int_equal(dropped_total(), n_taken);
	retire(in, given);
}

static bool is_tunnel_mode(const uint8_t *text, size_t len)
{
	return len > 22 && (text[len - 1] == 4 || text[len - 1] == 41);
}

static struct esp_sa any_sa(void)
{
	struct esp_sa sa = fake_esp_sa(256, 128, false);

	sa.local_ts.s[0] = sel("0.0.0.0/0");
	sa.remote_ts.s[0] = sel("0.0.0.0/0");
	sa.replay_window = 64;
	return sa;
}

static void test_rfcs(void **state)
{
	(void)state;
	n_taken = 0;
	for (size_t i = 0; i < sizeof(esp_rfc_vectors) / sizeof(esp_rfc_vectors[0]); i++) {
		const struct esp_rfc_vector *v = &esp_rfc_vectors[i];
		uint8_t key[64], text[1000], packet[1040];
		const size_t text_len = hex_bytes(v->plain, text, sizeof(text));
		size_t len = hex_bytes(v->packet, packet, sizeof(packet));
		struct esp_sa sa;

		if (!is_tunnel_mode(text, text_len) || memcmp(packet, "\0\0\0\0", 4) == 0)
			continue;
		print_message("# %s\n", v->name);
		sa = any_sa();
		sa.encr = v->encr;
		sa.integ = v->integ;
		assert_int_equal(secret_set(&sa.encr_key, key, hex_bytes(v->key, key, sizeof(key))),
				 0);
		assert_int_equal(
			secret_set(&sa.integ_key, key, hex_bytes(v->integ_key, key, sizeof(key))),
			0);
		if (v->without_icv) { // OpenSSL's goes with it, and what it seals is the RFC's
			uint8_t copy[1040];

			memcpy(copy, packet, esp_ref_head_len(&sa));
			memcpy(copy + esp_ref_head_len(&sa), text, text_len);
			esp_ref_seal(&sa, copy, text_len, packet[7]);
			assert_memory_equal(copy, packet, len);
			len += esp_ref_icv_len(&sa);
			memcpy(packet, copy, len);
		}
		receive(&sa, packet, len, packet[7], text, text_len);
	}
	assert_int_equal(n_taken, 3); // RFC 3602's cases 7 and 8, and RFC 7634's
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_rfcs)};

	return cmocka_run_group_tests_name("esp_published", tests, fake_group_setup,
					   fake_group_teardown);
}
