// Whole ESP packets of every transform, out and in, with OpenSSL at the other end; extended
// sequence numbers; the published packets of the RFCs.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dataplane/sad.h"
#include "esp_ref.h"
#include "fake_dp.h"
#include "test/vectors/esp_rfc_vectors.h"
#include "test/vectors/hex.h"

#define SPI	   0xc0ffee02u
#define OUTER_LEN  20u
#define PACKET_MAX 2000

static struct esp_ref_suite suites[ESP_REF_SUITES_MAX];
static unsigned n_suites;
static struct batch b, icmp;

static struct esp_sa sa_of(const struct esp_ref_suite *s, uint32_t spi, bool esn)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, false);
	const struct transform_info *encr = transform_find(&s->encr);
	uint8_t key[65];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + 3);
	sa.encr = s->encr;
	sa.integ = s->integ;
	sa.esn = esn;
	assert_int_equal(secret_set(&sa.encr_key, key, encr->key_len), 0);
	if (!encr->aead)
		assert_int_equal(
			secret_set(&sa.integ_key, key + 1, transform_find(&s->integ)->key_len), 0);
	return sa;
}

static struct sa_out *set_out(const struct esp_ref_suite *s, bool esn)
{
	struct esp_sa sa = sa_of(s, SPI, esn);
	uint32_t id;

	assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id), 0);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &sa, NULL), 0);
	b.tunnel[0] = tunnel_get(&fake.dp, id);
	return tunnel_sa(b.tunnel[0]);
}

static uint32_t publish_in(const struct esp_ref_suite *s, bool esn, uint32_t window)
{
	struct esp_sa sa;
	uint32_t spi;

	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	sa = sa_of(s, spi, esn);
	sa.replay_window = window;
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa, NULL), 0);
	return spi;
}

static void put_be32(uint8_t *p, uint32_t v)
{
	v = rte_cpu_to_be_32(v);
	memcpy(p, &v, sizeof(v));
}

// One packet out: what OpenSSL reads must be the packet, its trailer and the shortest padding.
static void check_out(const struct esp_sa *ref, struct tunnel *t, size_t len, uint64_t seq)
{
	const unsigned head_len = esp_ref_head_len(ref), icv_len = esp_ref_icv_len(ref);
	const unsigned align = esp_ref_align(ref);
	const size_t pad_len = (align - (len + 2) % align) % align;
	const size_t text_len = len + pad_len + 2;
	uint8_t ip[PACKET_MAX], packet[PACKET_MAX], word[4];

	make_ip(ip, len, HOST_A, HOST_B, len < 24 ? 99 : IPPROTO_UDP, 1000, 2000);
	b.n = 0;
	batch_put(&b, mbuf_of(ip, len));
	b.tunnel[0] = t;
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.pkt[0]->pkt_len, OUTER_LEN + head_len + text_len + icv_len);
	assert_int_equal(b.pkt[0]->data_len, b.pkt[0]->pkt_len);
	memcpy(packet, rte_pktmbuf_mtod_offset(b.pkt[0], uint8_t *, OUTER_LEN),
	       head_len + text_len + icv_len);
	assert_true(ip_checksum_ok(rte_pktmbuf_mtod(b.pkt[0], void *)));
	put_be32(word, SPI);
	assert_memory_equal(packet, word, 4);
	put_be32(word, (uint32_t)seq);
	assert_memory_equal(packet + 4, word, 4);
	if (!esp_ref_open(ref, packet, text_len, seq))
		fail_msg("%s: OpenSSL does not take the ICV of a packet of %zu",
			 esp_ref_name(&ref->encr, &ref->integ), len);
	assert_memory_equal(packet + head_len, ip, len);
	for (size_t i = 0; i < pad_len; i++)
		assert_int_equal(packet[head_len + len + i], i + 1);
	assert_int_equal(packet[head_len + len + pad_len], pad_len);
	assert_int_equal(packet[head_len + len + pad_len + 1], 4);
	batch_free(&b);
}

static void test_out(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		for (unsigned esn = 0; esn < 2; esn++) {
			const struct sa_out *sa = set_out(&suites[k], esn);
			struct tunnel *t = b.tunnel[0];
			struct esp_sa ref = sa_of(&suites[k], SPI, esn);
			const uint16_t largest = esp_inner_mtu(&sa->key, OUTER_LEN, 1500);
			uint64_t seq = 1;

			for (size_t len = 20; len < 60; len++)
				check_out(&ref, t, len, seq++);
			for (size_t len = largest - 20u; len <= largest; len++)
				check_out(&ref, t, len, seq++);
			// The largest fills the path; one block more would not fit.
			assert_in_range(OUTER_LEN + esp_ref_head_len(&ref) + largest + 2u +
						esp_ref_icv_len(&ref),
					1500 - esp_ref_align(&ref) + 1, 1500);
			esp_sa_fini(&ref);
		}
	}
	assert_int_equal(dropped_total(), 0);
}

// RFC 4303 3.3.3 and 2.2.1: an SA with ESN goes over 2^32, one without stops there.
static void test_out_over_2_32(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		struct sa_out *sa = set_out(&suites[k], true);
		struct tunnel *t = b.tunnel[0];
		struct esp_sa ref = sa_of(&suites[k], SPI, true);

		atomic_store(&sa->seq, UINT32_MAX - 2ull);
		for (unsigned i = 0; i < 6; i++)
			check_out(&ref, t, 100, UINT32_MAX - 1ull + i);
		esp_sa_fini(&ref);
	}
	assert_int_equal(dropped_total(), 0);
	assert_int_equal(fake.n_events, 0); // nine tenths of 2^32 are no end of these SAs
}

// A peer's packet, made by OpenSSL, with a random IV and `extra` blocks of padding. Returns the
// length with an outer header.
static size_t make_packet(uint8_t *buf, const struct esp_sa *ref, uint64_t seq, size_t inner_len,
			  unsigned extra)
{
	const unsigned head_len = esp_ref_head_len(ref), align = esp_ref_align(ref);
	uint8_t esp[PACKET_MAX], *text = esp + head_len;
	size_t len = make_inner(text, inner_len), pad_len;

	pad_len = (align - (len + 2) % align) % align + extra * align;
	for (size_t i = 0; i < pad_len; i++)
		text[len++] = (uint8_t)(i + 1);
	text[len++] = (uint8_t)pad_len;
	text[len++] = 4;
	put_be32(esp, ref->spi);
	put_be32(esp + 4, (uint32_t)seq);
	for (unsigned i = 8; i < head_len; i++)
		esp[i] = (uint8_t)random();
	esp_ref_seal(ref, esp, len, seq);
	len += head_len + esp_ref_icv_len(ref);
	make_ip(buf, OUTER_LEN + len, GW_B, GW_A, IPPROTO_ESP, 0, 0);
	memcpy(buf + OUTER_LEN, esp, len);
	return OUTER_LEN + len;
}

static unsigned receive(const uint8_t *packet, size_t len)
{
	batch_free(&b);
	batch_put(&b, mbuf_of(packet, len));
	esp_in(fake.w, &b);
	return b.n;
}

static void test_in(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		for (unsigned esn = 0; esn < 2; esn++) {
			const uint32_t spi = publish_in(&suites[k], esn, 64);
			struct esp_sa ref = sa_of(&suites[k], spi, esn);
			uint8_t packet[PACKET_MAX], inner[PACKET_MAX];
			uint32_t seq = 1;

			for (size_t len = 20; len < 1400; len += len < 60 ? 1 : 331) {
				const size_t n = make_packet(packet, &ref, seq++, len,
							     (unsigned)random() % 3);

				if (receive(packet, n) != 1)
					fail_msg("%s: a packet of %zu does not come out",
						 esp_ref_name(&ref.encr, &ref.integ), len);
				make_inner(inner, len);
				assert_int_equal(b.pkt[0]->data_len, len);
				assert_memory_equal(rte_pktmbuf_mtod(b.pkt[0], void *), inner, len);
			}
			batch_free(&b);
			esp_sa_fini(&ref);
			assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
		}
	}
	assert_int_equal(dropped_total(), 0);
}

// Any bit of any packet: nothing comes out, and it is not counted as a number seen.
static void test_in_wrong_bits(void **state)
{
	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		const uint32_t spi = publish_in(&suites[k], k % 2, 64);
		struct esp_sa ref = sa_of(&suites[k], spi, k % 2);
		uint8_t packet[PACKET_MAX];
		const size_t len = make_packet(packet, &ref, 5, 61, 0);
		uint64_t before = dropped(DROP_ESP_AUTH), tried = 0;

		for (size_t at = OUTER_LEN + 8; at < len; at += 3, tried++) {
			packet[at] ^= (uint8_t)(1u << at % 8);
			assert_int_equal(receive(packet, len), 0);
			packet[at] ^= (uint8_t)(1u << at % 8);
		}
		assert_int_equal(dropped(DROP_ESP_AUTH), before + tried);
		assert_int_equal(receive(packet, len), 1);
		assert_int_equal(receive(packet, len), 0);
		batch_free(&b);
		esp_sa_fini(&ref);
	}
	assert_int_equal(dropped(DROP_ESP_REPLAY), n_suites);
}

// RFC 4303 2.4: padding that is not 1, 2, 3 ... is refused although the ICV is good; so is a text
// that is no whole number of blocks, and one without a trailer.
static void test_in_forms(void **state)
{
	unsigned padding = 0, malformed = 0;

	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		const uint32_t spi = publish_in(&suites[k], false, 64);
		struct esp_sa ref = sa_of(&suites[k], spi, false);
		const unsigned head_len = esp_ref_head_len(&ref), icv_len = esp_ref_icv_len(&ref);
		uint8_t buf[PACKET_MAX], *esp = buf + OUTER_LEN;
		size_t text_len = make_inner(esp + head_len, 62 - 16 + 2) + 16;

		memset(esp + head_len + 48, 1, 14); // padding of ones
		esp[head_len + 62] = 14;
		esp[head_len + 63] = 4;
		assert_int_equal(text_len, 64);
		put_be32(esp, spi);
		put_be32(esp + 4, 1);
		esp_ref_seal(&ref, esp, text_len, 1);
		memmove(buf + 500, esp, head_len + text_len + icv_len);
		make_ip(buf, OUTER_LEN + head_len + text_len + icv_len, GW_B, GW_A, IPPROTO_ESP, 0,
			0);
		memcpy(esp, buf + 500, head_len + text_len + icv_len);
		assert_int_equal(receive(buf, OUTER_LEN + head_len + text_len + icv_len), 0);
		assert_int_equal(dropped(DROP_ESP_PADDING), ++padding);
		// Anything that is not head, blocks and ICV never reaches the crypto.
		for (size_t len = 24; len < head_len + 64 + icv_len; len++) {
			const size_t fixed = head_len + icv_len;

			if (len >= fixed + esp_ref_align(&ref) &&
			    (len - fixed) % esp_ref_align(&ref) == 0)
				continue;
			assert_int_equal(receive(buf, OUTER_LEN + len), 0);
			malformed++;
		}
		assert_int_equal(dropped(DROP_ESP_MALFORMED), malformed);
		esp_sa_fini(&ref);
		assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
	}
	assert_int_equal(dropped_total(), padding + malformed);
}

// RFC 4303 appendix A over the wrap of 2^32: late packets of the lower subspace are still taken,
// the numbers of the upper one are, replays of either are not, and the upper half is authentic.
static void test_in_over_2_32(void **state)
{
	static const struct {
		uint64_t seq;
		unsigned taken;
		enum drop_reason why;
	} rows[] = {
		{0x80000000, 1, 0},
		{0xfffffff0, 1, 0},
		{0xfffffff0, 0, DROP_ESP_REPLAY},
		{0xfffffffe, 1, 0},
		{0x100000000, 1, 0}, // zero below, sent all the same
		{0xffffffff, 1, 0},  // late, from the lower subspace
		{0xffffffff, 0, DROP_ESP_REPLAY},
		{0x100000000, 0, DROP_ESP_REPLAY},
		{0x100000003, 1, 0},
		{0x100000001, 1, 0},
		{0xfffffff1, 1, 0}, // late, still inside the window of 64
		{0xfffffff1, 0, DROP_ESP_REPLAY},
		{0x3, 0, DROP_ESP_REPLAY},	// the lower half alone has been seen
		{0x4, 0, DROP_ESP_AUTH},	// of the first subspace, taken for the second
		{0xffffff00, 0, DROP_ESP_AUTH}, // behind the window: taken for one far ahead
		{0x100000040, 1, 0},
		{0x1ffffff00, 1, 0}, // four thousand million further on
		{0x200000001, 1, 0},
		{0x1ffffffff, 1, 0},
	};

	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		const uint32_t spi = publish_in(&suites[k], true, 64);
		struct esp_sa ref = sa_of(&suites[k], spi, true);
		struct dp_sa_stats stats;
		uint8_t packet[PACKET_MAX];

		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			const size_t len = make_packet(packet, &ref, rows[i].seq, 61, 0);
			const uint64_t before = dropped(rows[i].why);

			if (receive(packet, len) != rows[i].taken)
				fail_msg("%s: %llx", esp_ref_name(&ref.encr, &ref.integ),
					 (unsigned long long)rows[i].seq);
			if (!rows[i].taken)
				assert_int_equal(dropped(rows[i].why), before + 1);
		}
		batch_free(&b);
		assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &stats), 0);
		assert_true(stats.seq == 0x200000001);
		esp_sa_fini(&ref);
	}
}

// The widest window takes what is 65,535 late, and not what is 65,536 late.
static void test_in_widest_window(void **state)
{
	static const struct esp_ref_suite gcm = {{TRANSFORM_ENCR, ENCR_AES_GCM_16, 256},
						 {TRANSFORM_INTEG, INTEG_NONE, 0}};
	static const struct {
		uint32_t seq;
		unsigned taken;
	} rows[] = {{70000, 1}, {70000 - 65535, 1}, {70000 - 65536, 0}, {70000 - 65535, 0},
		    {40000, 1}, {40000, 0},	    {70001, 1},		{70000 - 65534, 1}};

	(void)state;
	for (unsigned esn = 0; esn < 2; esn++) {
		const uint32_t spi = publish_in(&gcm, esn, 65536);
		struct esp_sa ref = sa_of(&gcm, spi, esn);
		uint8_t packet[PACKET_MAX];

		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			assert_int_equal(
				receive(packet, make_packet(packet, &ref, rows[i].seq, 61, 0)),
				rows[i].taken);
		batch_free(&b);
		esp_sa_fini(&ref);
	}
}

// --- published packets ------------------------------------------------------------------------

// Of every RFC the test packets: what the RFC prints is opened, and sealed where the IV is ours to
// choose (not with AES-CBC, whose IV must be unpredictable).
static void test_rfc_packets(void **state)
{
	struct crypto *c;

	(void)state;
	assert_int_equal(crypto_create(&c), 0);
	for (size_t i = 0; i < sizeof(esp_rfc_vectors) / sizeof(esp_rfc_vectors[0]); i++) {
		const struct esp_rfc_vector *v = &esp_rfc_vectors[i];
		uint8_t key[80], plain[1000], want[1040], buf[1060], *packet = buf + 16;
		struct esp_sa sa = {.encr = v->encr, .integ = v->integ};
		struct crypto_key *k = aligned_alloc(64, sizeof(*k));
		struct crypto_job job;
		size_t len, want_len, icv_len;

		print_message("# %s\n", v->name);
		assert_int_equal(secret_set(&sa.encr_key, key, hex_bytes(v->key, key, sizeof(key))),
				 0);
		len = hex_bytes(v->integ_key, key, sizeof(key));
		assert_int_equal(secret_set(&sa.integ_key, key, len), 0);
		assert_int_equal(crypto_key_init(c, k, &sa), 0);
		len = hex_bytes(v->plain, plain, sizeof(plain));
		want_len = hex_bytes(v->packet, want, sizeof(want));
		icv_len = k->icv_len;
		if (v->without_icv) { // the RFC prints ciphertext only: OpenSSL's ICV goes with it
			uint8_t copy[1040];

			memcpy(copy, want, want_len);
			memcpy(copy + k->head_len, plain, len);
			esp_ref_seal(&sa, copy, len, 0);
			assert_memory_equal(copy, want, want_len);
			memcpy(want, copy, want_len + icv_len);
			want_len += icv_len;
		}
		assert_int_equal(want_len, k->head_len + len + icv_len);
		memcpy(packet, want, want_len);
		crypto_job_set(&job, k, packet, (uint32_t)len, 0);
		crypto_open(c, &job, 1);
		assert_int_equal(job.status, CRYPTO_OK);
		assert_memory_equal(job.text, plain, len);
		if (k->cipher != CRYPTO_CBC) {
			crypto_seal(c, &job, 1);
			assert_memory_equal(packet, want, want_len);
		}
		crypto_key_fini(k);
		free(k);
		esp_sa_fini(&sa);
	}
	crypto_destroy(c);
}

// The reference has an AES-XCBC of its own, for OpenSSL has none: RFC 3566 4.6.
static void test_reference_xcbc(void **state)
{
	static const char key[] = "000102030405060708090a0b0c0d0e0f";
	static const struct {
		unsigned len;
		const char *mac;
	} rows[] = {
		{0, "75f0251d528ac01c4573dfd584d79f29"},  {3, "5b376580ae2f19afe7219ceef172756f"},
		{16, "d2a246fa349b68a79998a4394ff7a263"}, {20, "47f51b4564966215b8985c63055ed308"},
		{32, "f54f0ec8d2b9f3d36807734bd5283fd4"}, {34, "becbb3bccdb518a30677d5481fb6b4d8"},
	};
	uint8_t k[16], data[34], mac[16], want[16];

	(void)state;
	hex_bytes(key, k, sizeof(k));
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		hex_bytes(rows[i].mac, want, sizeof(want));
		esp_ref_xcbc(k, data, rows[i].len, mac);
		assert_memory_equal(mac, want, 16);
	}
}

static int setup(void **state)
{
	n_suites = esp_ref_suites(suites, ESP_REF_SUITES_MAX);
	srandom(1);
	b.n = icmp.n = 0;
	return fake_setup(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_out),
		T(test_out_over_2_32),
		T(test_in),
		T(test_in_wrong_bits),
		T(test_in_forms),
		T(test_in_over_2_32),
		T(test_in_widest_window),
		T(test_rfc_packets),
		T(test_reference_xcbc),
	};

	return cmocka_run_group_tests_name("esp_transforms", tests, fake_group_setup,
					   fake_group_teardown);
}
