// IKE fragmentation (RFC 7383) with OpenSSL's cryptography: sizes, and every message back again.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/fragment.h"
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

struct keyed {
	struct ike_suite suite;
	struct secret encr, integ;
};

static struct sk_keys keyed_init(struct keyed *k, const char *text)
{
	struct proposal p;

	memset(k, 0, sizeof(*k));
	CHECK(!proposal_parse(text, PROTO_IKE, &p, NULL) && !ike_suite_of(&p, &k->suite));
	CHECK(!secret_alloc(&k->encr, k->suite.encr_key_len) &&
	      !secret_alloc(&k->integ, k->suite.integ_key_len));
	memset(k->encr.data, 7, k->encr.len);
	memset(k->integ.data, 9, k->integ.len);
	return (struct sk_keys){&k->encr, &k->integ};
}

static void keyed_fini(struct keyed *k)
{
	secret_fini(&k->encr);
	secret_fini(&k->integ);
}

static void message(struct ike_builder *b, const struct ike_suite *suite, size_t len)
{
	build_start(b, spi_i, spi_r, EXCHANGE_IKE_AUTH, IKE_FLAG_INITIATOR, 1);
	sk_begin(b, suite);
	build_payload(b, PAYLOAD_VENDOR);
	for (size_t i = 0; i < len - 4; i++)
		write_u8(&b->w, (uint8_t)(i * 7));
}

// Opens one of the messages that stand back to back and gives it to r.
static size_t take(struct reassembly *r, const struct keyed *k, struct sk_keys keys,
		   const uint8_t *bytes, size_t len, size_t room)
{
	uint8_t buf[LIMIT_IKE_MESSAGE_LEN];
	struct reader reader = reader_of(bytes + 24, 4);
	size_t one = read_u32(&reader), plain_len;
	const uint8_t *plain;
	struct ike_msg m;

	CHECK(one <= len && one <= room);
	CHECK(!ike_msg_parse(bytes, one, &m) && m.has_sk && m.fragments > 0);
	CHECK(m.h.exchange == EXCHANGE_IKE_AUTH && m.h.message_id == 1);
	CHECK(m.sk_first == (m.fragment == 1 ? PAYLOAD_VENDOR : PAYLOAD_NONE));
	CHECK(!sk_open(&m, crypto, &k->suite, keys, buf, &plain, &plain_len));
	CHECK(reassembly_wants(r, &m));
	CHECK(!reassembly_add(r, &m, plain, plain_len));
	CHECK(!reassembly_wants(r, &m));
	return one;
}

static void test_out_and_in(void **state)
{
	static const char *const suites[] = {"aes128gcm16-prfsha256-x25519",
					     "aes256-sha512-prfsha512-x25519"};
	static const size_t lens[] = {300, 1200, 1201, 5000, 20000};

	(void)state;
	for (size_t i = 0; i < 2 * 5; i++) {
		struct keyed k;
		struct sk_keys keys = keyed_init(&k, suites[i % 2]);
		uint8_t whole[LIMIT_IKE_MESSAGE_LEN], *bytes, first;
		struct reassembly r = {0};
		struct ike_builder b;
		size_t len, at = 0, whole_len;

		for (size_t room = 250; room < 1300; room += 103) {
			message(&b, &k.suite, lens[i / 2]);
			if (!fragment_needed(&b, &k.suite, room))
				continue;
			CHECK(!fragment_seal(&b, crypto, &k.suite, keys, room, &bytes, &len));
			for (at = 0; at < len;) {
				CHECK(!reassembly_complete(&r));
				at += take(&r, &k, keys, bytes + at, len - at, room);
			}
			CHECK(reassembly_complete(&r));
			reassembly_take(&r, whole, &whole_len, &first);
			CHECK(first == PAYLOAD_VENDOR && whole_len == lens[i / 2] && !r.part);
			CHECK(!memcmp(whole, b.buf + b.w.len - whole_len, whole_len));
			free(bytes);
		}
		keyed_fini(&k);
	}
}

static void test_needed_exactly_when_too_large(void **state)
{
	struct keyed k;
	struct sk_keys keys = keyed_init(&k, "aes256-sha512-prfsha512-x25519");
	struct ike_builder b;

	(void)state;
	for (size_t len = 100; len < 150; len++) {
		message(&b, &k.suite, len);
		bool needed = fragment_needed(&b, &k.suite, 230);

		CHECK(!sk_finish(&b, crypto, &k.suite, keys));
		CHECK(needed == (b.w.len > 230));
	}
	message(&b, &k.suite, 20);
	b.sk_at = 0; // IKE_SA_INIT never
	CHECK(!fragment_needed(&b, &k.suite, 10));
	keyed_fini(&k);
}

static void test_room_in_a_datagram(void **state)
{
	(void)state;
	CHECK(fragment_message_room(1280, false) == 1280 - 20 - 8 - 4);
	CHECK(fragment_message_room(1280, true) == 1280 - 40 - 8 - 4);
	CHECK(fragment_message_room(30, false) == 0);
}

static void test_what_does_not_fit(void **state)
{
	struct keyed k;
	struct sk_keys keys = keyed_init(&k, "aes128gcm16-prfsha256-x25519");
	struct ike_builder b;
	uint8_t *bytes = NULL;
	size_t len = 0;

	(void)state;
	// 28 + 8 + 8 + 16 bytes around, 1 of padding: nothing is left for the payloads.
	message(&b, &k.suite, 100);
	CHECK(fragment_seal(&b, crypto, &k.suite, keys, 61, &bytes, &len) == -EMSGSIZE);
	message(&b, &k.suite, LIMIT_IKE_FRAGMENTS + 1); // one byte each, and one too many
	CHECK(fragment_seal(&b, crypto, &k.suite, keys, 62, &bytes, &len) == -EMSGSIZE);
	CHECK(bytes == NULL && len == 0);
	message(&b, &k.suite, LIMIT_IKE_FRAGMENTS);
	CHECK(fragment_seal(&b, crypto, &k.suite, keys, 62, &bytes, &len) == 0);
	CHECK(len == LIMIT_IKE_FRAGMENTS * 62);
	free(bytes);
	keyed_fini(&k);
}

static void test_another_message_replaces_the_one_held(void **state)
{
	struct reassembly r = {0};
	struct ike_msg m = {.fragment = 1, .fragments = 2, .has_sk = true};

	(void)state;
	CHECK(!reassembly_add(&r, &m, (const uint8_t *)"abc", 3));
	CHECK(r.len == 3 && r.have == 1);
	m.h.message_id = 1;
	m.fragment = 2;
	CHECK(reassembly_wants(&r, &m));
	CHECK(!reassembly_add(&r, &m, (const uint8_t *)"d", 1));
	CHECK(r.len == 1 && r.have == 1 && !reassembly_complete(&r));
	reassembly_fini(&r);
	m.fragment = m.fragments = 0; // a whole message is no fragment
	CHECK(!reassembly_wants(&r, &m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_and_in),
		cmocka_unit_test(test_needed_exactly_when_too_large),
		cmocka_unit_test(test_room_in_a_datagram),
		cmocka_unit_test(test_what_does_not_fit),
		cmocka_unit_test(test_another_message_replaces_the_one_held),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
