// Cookies (RFC 7296 2.6): what they are bound to, how long they hold, and who gets one.
#include <errno.h>
#include <string.h>

#include "control/ike/builder.h"
#include "control/ike/cookie.h"
#include "control/ike/payload.h"
#include "control/openssl/ike_openssl.h"
#include "test/sim/check.h"

static struct ike_crypto *crypto;
static uint8_t spi_i[8], nonce[32];
static const uint8_t none[8];
static struct ip_addr from;
static struct cookie_jar jar;

static int setup(void **state)
{
	(void)state;
	memset(spi_i, 1, sizeof(spi_i));
	memset(nonce, 2, sizeof(nonce));
	memset(&jar, 0, sizeof(jar));
	from = ip_addr_v4(0xc0000201);
	return ike_openssl_create(&crypto);
}

static int teardown(void **state)
{
	(void)state;
	cookie_jar_fini(&jar);
	ike_openssl_destroy(crypto);
	return 0;
}

// An IKE_SA_INIT request; the bodies of SA and KE do not matter here.
static void request(struct ike_builder *b, const uint8_t *cookie, size_t cookie_len,
		    struct ike_msg *m)
{
	build_start(b, spi_i, none, EXCHANGE_IKE_SA_INIT, IKE_FLAG_INITIATOR, 0);
	if (cookie_len > 0)
		build_notify(b, N_COOKIE, cookie, cookie_len);
	build_octets(b, PAYLOAD_SA, nonce, 8);
	build_octets(b, PAYLOAD_KE, nonce, 8);
	build_octets(b, PAYLOAD_NONCE, nonce, sizeof(nonce));
	build_finish(b);
	CHECK(!ike_msg_parse(b->buf, b->w.len, m));
}

static void ask(uint64_t now_ms, uint8_t cookie[IKE_COOKIE_LEN])
{
	uint8_t reply[IKE_COOKIE_REPLY_LEN];
	struct ike_builder b;
	struct ike_msg m;
	struct ike_notify n;

	request(&b, NULL, 0, &m);
	CHECK(!cookie_reply(&jar, crypto, now_ms, &m, &from, reply));
	CHECK(!ike_msg_parse(reply, sizeof(reply), &m) && m.n == 1);
	CHECK(m.h.is_response && !m.h.from_original_initiator && m.h.message_id == 0);
	CHECK(!memcmp(m.h.spi_i, spi_i, 8) && !memcmp(m.h.spi_r, none, 8));
	CHECK(ike_msg_notify(&m, N_COOKIE, 0, &n) && n.len == IKE_COOKIE_LEN);
	memcpy(cookie, n.data, IKE_COOKIE_LEN);
}

static bool good(uint64_t now_ms, const uint8_t *cookie, size_t len)
{
	struct ike_builder b;
	struct ike_msg m;
	bool shown, proved;

	request(&b, cookie, len, &m);
	proved = cookie_proved(&jar, crypto, now_ms, &m, &from, &shown);
	CHECK(shown == (len > 0));
	return proved;
}

static void test_bound_to_nonce_address_and_spi(void **state)
{
	uint8_t cookie[IKE_COOKIE_LEN];

	(void)state;
	ask(1000, cookie);
	CHECK(good(1000, cookie, IKE_COOKIE_LEN));
	nonce[31] ^= 1;
	CHECK(!good(1000, cookie, IKE_COOKIE_LEN));
	nonce[31] ^= 1;
	spi_i[0] ^= 1;
	CHECK(!good(1000, cookie, IKE_COOKIE_LEN));
	spi_i[0] ^= 1;
	from = ip_addr_v4(0xc0000202);
	CHECK(!good(1000, cookie, IKE_COOKIE_LEN));
	from = ip_addr_v4(0xc0000201);
	CHECK(good(1000, cookie, IKE_COOKIE_LEN));
}

static void test_every_bit_counts(void **state)
{
	uint8_t cookie[IKE_COOKIE_LEN + 1] = {0};

	(void)state;
	ask(1000, cookie);
	for (unsigned i = 0; i < 8 * IKE_COOKIE_LEN; i++) {
		cookie[i / 8] ^= (uint8_t)(1u << i % 8);
		CHECK(!good(1000, cookie, IKE_COOKIE_LEN));
		cookie[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	CHECK(!good(1000, cookie, IKE_COOKIE_LEN - 1) && !good(1000, cookie, IKE_COOKIE_LEN + 1));
	CHECK(!good(1000, NULL, 0));
}

static void test_secrets_rotate(void **state)
{
	uint8_t first[IKE_COOKIE_LEN], second[IKE_COOKIE_LEN], same[IKE_COOKIE_LEN];
	uint64_t t = 1000;

	(void)state;
	ask(t, first);
	ask(t + COOKIE_SECRET_MS - 1, same);
	CHECK(!memcmp(first, same, IKE_COOKIE_LEN));
	t += COOKIE_SECRET_MS;
	ask(t, second);
	CHECK(second[0] == (uint8_t)(first[0] + 1) && memcmp(first, second, IKE_COOKIE_LEN));
	CHECK(good(t, first, IKE_COOKIE_LEN) && good(t, second, IKE_COOKIE_LEN));
	CHECK(good(t + COOKIE_SECRET_MS - 1, first, IKE_COOKIE_LEN));
	t += COOKIE_SECRET_MS;
	CHECK(!good(t, first, IKE_COOKIE_LEN) && good(t, second, IKE_COOKIE_LEN));
	// After a long pause not even the secret before counts.
	CHECK(!good(t + 10 * (uint64_t)COOKIE_SECRET_MS, second, IKE_COOKIE_LEN));
}

static void test_no_cookie_before_any_secret(void **state)
{
	uint8_t cookie[IKE_COOKIE_LEN] = {0};

	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		cookie[0] = (uint8_t)v;
		CHECK(!good(1000, cookie, IKE_COOKIE_LEN));
	}
}

static void test_who_gets_none(void **state)
{
	uint8_t reply[IKE_COOKIE_REPLY_LEN];
	struct ike_builder b;
	struct ike_msg m;

	(void)state;
	request(&b, NULL, 0, &m);
	m.h.is_response = true;
	CHECK(cookie_reply(&jar, crypto, 1, &m, &from, reply) == -EBADMSG);
	request(&b, NULL, 0, &m);
	m.h.exchange = EXCHANGE_IKE_AUTH;
	CHECK(cookie_reply(&jar, crypto, 1, &m, &from, reply) == -EBADMSG);
	request(&b, NULL, 0, &m);
	m.len = IKE_COOKIE_REPLY_LEN - 1; // never more octets than came
	CHECK(cookie_reply(&jar, crypto, 1, &m, &from, reply) == -EBADMSG);
	m.len = IKE_COOKIE_REPLY_LEN;
	CHECK(cookie_reply(&jar, crypto, 1, &m, &from, reply) == 0);
	m.n--; // no nonce
	CHECK(cookie_reply(&jar, crypto, 1, &m, &from, reply) == -EBADMSG);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bound_to_nonce_address_and_spi),
		T(test_every_bit_counts),
		T(test_secrets_rotate),
		T(test_no_cookie_before_any_secret),
		T(test_who_gets_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
