// The Encrypted payload (RFC 7296 3.14), NAT detection (2.23), with OpenSSL's cryptography.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/nat.h"
#include "control/ike/payload.h"
#include "control/ike/sk.h"
#include "control/openssl/ike_openssl.h"
#include "test/sim/check.h"

static struct ike_crypto *crypto;
static const uint8_t spi_i[8] = {1}, spi_r[8] = {2};

static int setup(void **state)
{
	(void)state;
	return ike_openssl_create(&crypto);
}

static int teardown(void **state)
{
	(void)state;
	ike_openssl_destroy(crypto);
	return 0;
}

static void suite_of(const char *text, struct ike_suite *suite, struct secret *encr,
		     struct secret *integ)
{
	struct proposal p;

	CHECK(!proposal_parse(text, PROTO_IKE, &p, NULL) && !ike_suite_of(&p, suite));
	CHECK(!secret_alloc(encr, suite->encr_key_len) &&
	      !secret_alloc(integ, suite->integ_key_len));
	memset(encr->data, 7, encr->len);
	memset(integ->data, 9, integ->len);
}

static void sealed(struct ike_builder *b, const struct ike_suite *suite, struct sk_keys keys,
		   size_t vendor_len)
{
	build_start(b, spi_i, spi_r, EXCHANGE_INFORMATIONAL, 0, 5);
	sk_begin(b, suite);
	if (vendor_len > 0) {
		build_payload(b, PAYLOAD_VENDOR);
		memset(write_reserve(&b->w, vendor_len - 4), 0xab, vendor_len - 4);
	}
	CHECK(!sk_finish(b, crypto, suite, keys));
}

static void test_seal_and_open(void **state)
{
	static const char *const suites[] = {
		"aes128gcm16-prfsha256-x25519", "aes256-sha512-prfsha512-x25519",
		"aes128-sha256-x25519",		"aes128-sha1-x25519",
		"aes192ctr-sha384-x25519",	"aes256gcm8-prfsha256-x25519",
		"aes192gcm12-prfsha256-x25519", "chacha20poly1305-prfsha256-x25519"};

	(void)state;
	for (size_t k = 0; k < sizeof(suites) / sizeof(suites[0]); k++) {
		struct secret encr = {0}, integ = {0};
		struct sk_keys keys = {&encr, &integ};
		struct ike_suite suite;

		suite_of(suites[k], &suite, &encr, &integ);
		for (size_t len = 0; len < 60; len = len ? len + 1 : 4) {
			uint8_t buf[LIMIT_IKE_MESSAGE_LEN];
			struct ike_builder b;
			struct ike_msg m;
			const uint8_t *plain;
			size_t plain_len;

			sealed(&b, &suite, keys, len);
			CHECK(!ike_msg_parse(b.buf, b.w.len, &m) && m.has_sk);
			CHECK(!sk_open(&m, crypto, &suite, keys, buf, &plain, &plain_len));
			CHECK(plain_len == len);
			CHECK(!ike_msg_parse_inner(&m, plain, plain_len));
			CHECK(m.n == (len > 0) && (!len || m.p[0].len == len - 4));
			// Any bit of the message counts.
			for (size_t i = 0; i < b.w.len; i++) {
				b.buf[i] ^= 0x10;
				if (!ike_msg_parse(b.buf, b.w.len, &m) && m.has_sk)
					CHECK(sk_open(&m, crypto, &suite, keys, buf, &plain,
						      &plain_len) == -EBADMSG);
				b.buf[i] ^= 0x10;
			}
		}
		secret_fini(&encr);
		secret_fini(&integ);
	}
}

// RFC 7634 appendix B: a whole message of ChaCha20-Poly1305, header and payloads.
static void test_message_of_rfc7634(void **state)
{
	static const uint8_t message[] = {
		0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, // SPIi
		0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, // SPIr
		0x2e, 0x20, 0x25, 0x00, 0x00, 0x00, 0x00, 0x09, // INFORMATIONAL, number 9
		0x00, 0x00, 0x00, 0x45, 0x29, 0x00, 0x00, 0x29, // length; Encrypted payload
		0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, // IV
		0x61, 0x03, 0x94, 0x70, 0x1f, 0x8d, 0x01, 0x7f, // ciphertext
		0x7c, 0x12, 0x92, 0x48, 0x89, 0x6b, 0x71, 0xbf, // ciphertext, ICV
		0xe2, 0x52, 0x36, 0xef, 0xd7, 0xcd, 0xc6, 0x70, // ICV
		0x66, 0x90, 0x63, 0x15, 0xb2,
	};
	static const uint8_t salt[4] = {0xa0, 0xa1, 0xa2, 0xa3};
	struct secret encr = {0}, integ = {0};
	struct sk_keys keys = {&encr, &integ};
	struct ike_suite suite;
	uint8_t buf[sizeof(message)];
	const uint8_t *plain;
	struct ike_notify n;
	struct ike_msg m;
	size_t len;

	(void)state;
	suite_of("chacha20poly1305-prfsha256-x25519", &suite, &encr, &integ);
	CHECK(encr.len == 36 && integ.len == 0);
	for (uint8_t i = 0; i < 32; i++)
		encr.data[i] = (uint8_t)(0x80 + i);
	memcpy(encr.data + 32, salt, sizeof(salt));
	CHECK(!ike_msg_parse(message, sizeof(message), &m) && m.has_sk);
	CHECK(!sk_open(&m, crypto, &suite, keys, buf, &plain, &len) && len == 12);
	CHECK(!ike_msg_parse_inner(&m, plain, len));
	CHECK(ike_msg_notify(&m, 16385, 0, &n)); // SET_WINDOW_SIZE
	CHECK(n.len == 4 && n.data[3] == 10);
	secret_fini(&encr);
	secret_fini(&integ);
}

static void test_every_length(void **state)
{
	struct secret encr = {0}, integ = {0};
	struct sk_keys keys = {&encr, &integ};
	struct ike_suite suite;
	uint8_t buf[LIMIT_IKE_MESSAGE_LEN];
	const uint8_t *plain;
	size_t plain_len;

	(void)state;
	suite_of("aes128-sha256-x25519", &suite, &encr, &integ);
	for (size_t body = 0; body < 100; body++) {
		struct ike_builder b;
		struct ike_msg m;

		build_start(&b, spi_i, spi_r, EXCHANGE_INFORMATIONAL, 0, 5);
		build_payload(&b, PAYLOAD_SK);
		write_zeros(&b.w, body);
		build_finish(&b);
		uint8_t *copy = malloc(b.w.len);

		memcpy(copy, b.buf, b.w.len);
		CHECK(!ike_msg_parse(copy, b.w.len, &m));
		CHECK(sk_open(&m, crypto, &suite, keys, buf, &plain, &plain_len) == -EBADMSG);
		free(copy);
	}
	secret_fini(&encr);
	secret_fini(&integ);
}

// Padding is authentic here, only too long: made by the peer.
static void test_pad_length_beyond_the_payload(void **state)
{
	struct secret encr = {0}, integ = {0};
	struct sk_keys keys = {&encr, &integ};
	struct ike_suite suite;
	uint8_t buf[LIMIT_IKE_MESSAGE_LEN];
	const uint8_t *plain;
	size_t plain_len;

	(void)state;
	suite_of("aes128gcm16-prfsha256-x25519", &suite, &encr, &integ);
	for (unsigned pad = 0; pad < 256; pad += 5) {
		struct ike_builder b;
		struct ike_msg m;
		struct ike_buf aad = {b.buf, 32};

		build_start(&b, spi_i, spi_r, EXCHANGE_INFORMATIONAL, 0, 5);
		build_payload(&b, PAYLOAD_SK);
		write_zeros(&b.w, 8 + 10);
		write_u8(&b.w, (uint8_t)pad);
		write_zeros(&b.w, 16);
		build_finish(&b);
		CHECK(!crypto->seal(crypto->ctx, &suite.encr, &suite.integ, &encr, &integ, &aad,
				    b.buf + 32, b.buf + 40, 11, b.buf + 51));
		CHECK(!ike_msg_parse(b.buf, b.w.len, &m));
		CHECK((sk_open(&m, crypto, &suite, keys, buf, &plain, &plain_len) == 0) ==
		      (pad <= 10));
	}
	secret_fini(&encr);
	secret_fini(&integ);
}

static void test_message_that_does_not_fit(void **state)
{
	struct secret encr = {0}, integ = {0};
	struct sk_keys keys = {&encr, &integ};
	struct ike_suite suite;
	struct ike_builder b;

	(void)state;
	suite_of("aes128gcm16-prfsha256-x25519", &suite, &encr, &integ);
	build_start(&b, spi_i, spi_r, EXCHANGE_INFORMATIONAL, 0, 5);
	sk_begin(&b, &suite);
	build_payload(&b, PAYLOAD_VENDOR);
	write_zeros(&b.w, LIMIT_IKE_MESSAGE_LEN - b.w.len - 10);
	CHECK(!b.w.failed);
	CHECK(sk_finish(&b, crypto, &suite, keys) == -EMSGSIZE);
	secret_fini(&encr);
	secret_fini(&integ);
}

static void test_nat_detection(void **state)
{
	static const uint8_t none[8];
	struct ip_endpoint a = {ip_addr_v4(0xc0000201), 500}, b = {ip_addr_v4(0xc0000202), 500};
	struct ip_endpoint moved = {ip_addr_v4(0xcb007101), 500}, port = {a.addr, 1024};
	const struct {
		struct ip_endpoint local, remote; // of the receiver
		bool pretend, nat_local, nat_remote;
		const char *why;
	} rows[] = {
		{b, a, false, false, false, "nothing between"},
		{b, moved, false, false, true, "the sender's address is changed"},
		{b, port, false, false, true, "only its port is changed"},
		{moved, a, false, true, false, "the receiver's address is changed"},
		{moved, port, false, true, true, "both"},
		{b, a, true, false, true, "the sender pretends"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ike_builder m;
		struct ike_msg parsed;
		struct nat_result r;

		build_start(&m, spi_i, none, EXCHANGE_IKE_SA_INIT, 0, 0);
		CHECK(!nat_build(&m, crypto, spi_i, none, &a, &b, rows[i].pretend));
		build_finish(&m);
		CHECK(!ike_msg_parse(m.buf, m.w.len, &parsed));
		CHECK(!nat_check(&parsed, crypto, &rows[i].local, &rows[i].remote, &r));
		if (!r.supported || r.local != rows[i].nat_local || r.remote != rows[i].nat_remote)
			fail_msg("%s", rows[i].why);
	}
}

static void test_nat_hash_is_the_rfcs(void **state)
{
	// SHA-1(SPIi | SPIr | 192.0.2.1 | 500), computed with Python's hashlib.
	static const uint8_t wanted[20] = {0xdd, 0x5c, 0xf6, 0x9b, 0x7a, 0x40, 0x37,
					   0x43, 0xd2, 0xcd, 0x0e, 0xe0, 0xe9, 0xce,
					   0x9e, 0x15, 0xd5, 0xa2, 0x36, 0x4b};
	static const uint8_t none[8];
	struct ip_endpoint a = {ip_addr_v4(0xc0000201), 500}, b = {ip_addr_v4(0xc0000202), 500};
	struct ike_builder m;
	struct ike_msg parsed;
	struct ike_notify n;

	(void)state;
	build_start(&m, spi_i, none, EXCHANGE_IKE_SA_INIT, 0, 0);
	CHECK(!nat_build(&m, crypto, spi_i, none, &a, &b, false));
	build_finish(&m);
	CHECK(!ike_msg_parse(m.buf, m.w.len, &parsed));
	CHECK(ike_msg_notify(&parsed, N_NAT_DETECTION_SOURCE_IP, 0, &n));
	CHECK(n.len == 20 && memcmp(n.data, wanted, 20) == 0);
	CHECK(!ike_msg_notify(&parsed, N_NAT_DETECTION_SOURCE_IP, 1, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal_and_open),
		cmocka_unit_test(test_message_of_rfc7634),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_pad_length_beyond_the_payload),
		cmocka_unit_test(test_message_that_does_not_fit),
		cmocka_unit_test(test_nat_detection),
		cmocka_unit_test(test_nat_hash_is_the_rfcs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
