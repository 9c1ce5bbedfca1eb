// A first look at datagrams: openers, cookies, vendor IDs, IKEv1, and lengths that lie.
#include "check.h"

#include "lib/bytes.h"
#include "lib/ike_peek.h"
#include "lib/ike_wire.h"

static uint8_t msg[1024];

struct payload {
	uint8_t type;
	const char *body;
	size_t len;
};

static const char cookie[] = "\0\0\x40\x06"
			     "abcdefgh"; // RFC 7296 3.10.1: 16390
static const char other_notify[] = "\0\0\x40\x04"
				   "abcdefgh";
static const char nonce[32] = "nonce";
static const char sa[40] = "sa", ke[40] = "ke";

#define SA                                                                                         \
	{                                                                                          \
		33, sa, 40                                                                         \
	}
#define KE                                                                                         \
	{                                                                                          \
		34, ke, 40                                                                         \
	}
#define NONCE                                                                                      \
	{                                                                                          \
		40, nonce, 32                                                                      \
	}
#define COOKIE                                                                                     \
	{                                                                                          \
		41, cookie, 12                                                                     \
	}
#define NOTIFY                                                                                     \
	{                                                                                          \
		41, other_notify, 12                                                               \
	}
#define VENDOR                                                                                     \
	{                                                                                          \
		43, "strongSwan", 10                                                               \
	}

// Returns the length.
static size_t build(uint8_t version, uint8_t exchange, uint8_t flags, const struct payload *p,
		    size_t n)
{
	struct writer w = writer_of(msg, sizeof(msg));

	write_u64(&w, 0x1111111111111111);
	write_u64(&w, 0);
	write_u8(&w, n > 0 ? p[0].type : 0);
	write_u8(&w, version);
	write_u8(&w, exchange);
	write_u8(&w, flags);
	write_u32(&w, 7);
	write_u32(&w, 0);
	for (size_t i = 0; i < n; i++) {
		write_u8(&w, i + 1 < n ? p[i + 1].type : 0);
		write_u8(&w, 0);
		write_u16(&w, (uint16_t)(4 + p[i].len));
		write_bytes(&w, p[i].body, p[i].len);
	}
	write_u32_at(&w, 24, (uint32_t)w.len);
	assert_false(w.failed);
	return w.len;
}

static void test_openers(void **state)
{
	static const struct {
		const char *why;
		struct payload p[6];
		size_t n;
		bool opens, cookie, vendor;
	} rows[] = {
		{"as everybody opens", {SA, KE, NONCE}, 3, true, false, false},
		{"with a cookie", {COOKIE, SA, KE, NONCE}, 4, true, true, false},
		{"another notify is no cookie", {NOTIFY, SA, KE, NONCE}, 4, true, false, false},
		{"with a vendor ID", {SA, KE, NONCE, VENDOR, NOTIFY}, 5, true, false, true},
		{"without a nonce nobody can answer", {SA, KE}, 2, false, false, false},
		{"a nonce too short", {SA, KE, {40, nonce, 15}}, 3, false, false, false},
		{"without KE", {SA, NONCE}, 2, false, false, false},
		{"without SA", {KE, NONCE}, 2, false, false, false},
		{"nothing in it", {SA}, 0, false, false, false},
	};
	struct ike_peek p;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const size_t len = build(0x20, 34, 8, rows[i].p, rows[i].n);

		CHECK_ROW(ike_peek(msg, len, &p), rows[i].why);
		CHECK_INT(p.opens, rows[i].opens, rows[i].why);
		CHECK_INT(p.cookie != NULL, rows[i].cookie, rows[i].why);
		CHECK_INT(p.vendor != NULL, rows[i].vendor, rows[i].why);
		CHECK_INT(p.message_id, 7, rows[i].why);
		if (p.cookie)
			CHECK_INT(p.cookie_len, 8, rows[i].why);
		if (p.opens)
			CHECK_INT(p.nonce_len, 32, rows[i].why);
		CHECK_INT(ike_peek_own_spi(&p), 0, rows[i].why);
	}
}

// An opener bears no SPI of ours and is a request; whatever else looks like one is none.
static void test_no_openers(void **state)
{
	static const struct payload all[] = {SA, KE, NONCE};
	struct ike_peek p;
	size_t len;

	(void)state;
	len = build(0x20, 34, 0x20, all, 3);
	assert_true(ike_peek(msg, len, &p));
	assert_true(!p.opens && p.is_response && !p.from_initiator);
	assert_int_equal(ike_peek_own_spi(&p), 0x1111111111111111); // of the side that asked
	len = build(0x20, 34, 8, all, 3);
	msg[15] = 1;
	assert_true(ike_peek(msg, len, &p) && !p.opens);
	assert_int_equal(ike_peek_own_spi(&p), 1);
	len = build(0x20, 35, 8, all, 3); // IKE_AUTH: what is behind the header is not looked at
	msg[30] = 0xff;
	assert_true(ike_peek(msg, len, &p) && !p.opens);
	len = build(0x10, 2, 0, (struct payload[]){{1, sa, 40}, {13, "ike-scan", 8}}, 2);
	assert_true(ike_peek(msg, len, &p));
	assert_true(!p.opens && p.major == 1 && p.vendor_len == 8);
	len = build(0x10, 5, 1, (struct payload[]){{8, sa, 40}}, 1); // encrypted: not looked at
	msg[30] = 0xff;
	assert_true(ike_peek(msg, len, &p) && !p.vendor);
}

static void test_lies(void **state)
{
	static const struct payload all[] = {SA, KE, NONCE};
	const size_t len = build(0x20, 34, 8, all, 3);
	struct ike_peek p;
	uint8_t *copy;

	(void)state;
	for (size_t n = 0; n < len; n++) { // each cut, in memory of just that size
		copy = malloc(n ? n : 1);
		memcpy(copy, msg, n);
		assert_false(ike_peek(copy, n, &p));
		if (n > 27) { // and with a length that says so
			copy[26] = (uint8_t)(n >> 8);
			copy[27] = (uint8_t)n;
			assert_int_equal(ike_peek(copy, n, &p), false);
		}
		free(copy);
	}
	assert_false(ike_peek(msg, len + 1, &p));
	msg[31]--; // a payload one byte shorter: what follows is not where it should be
	assert_false(ike_peek(msg, len, &p));
	build(0x20, 34, 8, all, 3);
	memset(msg, 0, 8); // no SPI of an initiator
	assert_false(ike_peek(msg, len, &p));
	build(0x20, 34, 8, all, 3);
	msg[30] = 0; // a payload without room for its own header
	msg[31] = 3;
	assert_false(ike_peek(msg, len, &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openers),
		cmocka_unit_test(test_no_openers),
		cmocka_unit_test(test_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
