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
	static const char *const suites[] = {"aes128gcm16-prfsha256-x25519",
					     "aes256-sha512-prfsha512-x25519",
					     "aes128-sha256-x25519"};

	(void)state;
	for (size_t k = 0; k < 3; k++) {
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
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_pad_length_beyond_the_payload),
		cmocka_unit_test(test_message_that_does_not_fit),
		cmocka_unit_test(test_nat_detection),
		cmocka_unit_test(test_nat_hash_is_the_rfcs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
