// The parser of IKE messages: every length field at 0, at the size of its header, one less, and
// at its maximum; unknown payloads and the critical bit; the limits.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/builder.h"
#include "control/ike/payload.h"
#include "control/ike/sa_payload.h"
#include "control/ike/ts.h"
#include "test/sim/check.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t spi_a[8] = {1}, spi_b[8] = {2};

// A copy of exactly that size, so that a sanitizer sees a read one octet beyond.
static int parse(const uint8_t *bytes, size_t len, struct ike_msg *m)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	int err;

	if (len > 0)
		memcpy(copy, bytes, len);
	err = ike_msg_parse(copy, len, m);
	free(copy);
	return err;
}

// A message with a Vendor ID of `body` octets, 28 + 4 + body in all.
static size_t vendor_message(struct ike_builder *b, size_t body)
{
	build_start(b, spi_a, spi_b, EXCHANGE_IKE_SA_INIT, IKE_FLAG_INITIATOR, 0);
	build_payload(b, PAYLOAD_VENDOR);
	write_zeros(&b->w, body);
	build_finish(b);
	return b->w.len;
}

static void test_header(void **state)
{
	struct ike_builder b;
	struct ike_header h;
	size_t len = vendor_message(&b, 10);

	(void)state;
	CHECK(len == 42 && !ike_header_parse(b.buf, len, &h));
	CHECK(h.spi_i[0] == 1 && h.spi_r[0] == 2 && h.major == 2 && h.minor == 0);
	CHECK(h.exchange == 34 && h.from_original_initiator && !h.is_response);
	CHECK(h.next_payload == PAYLOAD_VENDOR && h.length == 42);
	for (size_t n = 0; n < IKE_HEADER_LEN; n++)
		CHECK(ike_header_parse(b.buf, n, &h) == -EBADMSG);
	CHECK(ike_header_parse(b.buf, len - 1, &h) == -EBADMSG);
	CHECK(ike_header_parse(b.buf, len + 1, &h) == -EBADMSG);
}

static void test_lengths_of_the_message(void **state)
{
	static const struct {
		uint32_t length;
		bool good;
	} rows[] = {{42, true},	 {41, false}, {43, false},	  {0, false},
		    {27, false}, {28, false}, {0xffffffff, false}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_builder b;
		struct ike_msg m;
		size_t len = vendor_message(&b, 10);

		write_u32_at(&b.w, 24, rows[i].length);
		CHECK((parse(b.buf, len, &m) == 0) == rows[i].good);
	}
}

static void test_lengths_of_a_payload(void **state)
{
	static const struct {
		uint16_t length;
		bool good;
		const char *why;
	} rows[] = {
		{14, true, "as built"},
		{0, false, "zero"},
		{3, false, "below the header"},
		{4, false, "octets are left over"},
		{13, false, "one octet is left over"},
		{15, false, "one octet beyond"},
		{0xffff, false, "maximum"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_builder b;
		struct ike_msg m;
		size_t len = vendor_message(&b, 10);

		write_u16_at(&b.w, 30, rows[i].length);
		if ((parse(b.buf, len, &m) == 0) != rows[i].good)
			fail_msg("%s", rows[i].why);
	}
}

static void test_critical_bit(void **state)
{
	static const struct {
		uint8_t type, flags, critical;
		const char *why;
	} rows[] = {
		{200, 0x80, 200, "unknown and critical"},
		{200, 0x00, 0, "unknown"},
		{200, 0x7f, 0, "unknown, reserved bits"},
		{PAYLOAD_VENDOR, 0x80, 0, "known: the bit is ignored"},
		{54, 0x80, 54, "a number without a meaning"},
		{1, 0x80, 1, "a number of version 1"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_builder b;
		struct ike_msg m;
		size_t len = vendor_message(&b, 10);

		b.buf[16] = rows[i].type;
		b.buf[29] = rows[i].flags;
		if (parse(b.buf, len, &m) || m.unknown_critical != rows[i].critical)
			fail_msg("%s", rows[i].why);
		CHECK(m.n == 1);
	}
}

static void test_number_of_payloads(void **state)
{
	(void)state;
	for (size_t n = LIMIT_IKE_PAYLOADS - 1; n <= LIMIT_IKE_PAYLOADS + 1; n++) {
		struct ike_builder b;
		struct ike_msg m;

		build_start(&b, spi_a, spi_b, EXCHANGE_IKE_SA_INIT, 0, 0);
		for (size_t i = 0; i < n; i++)
			build_payload(&b, PAYLOAD_VENDOR);
		build_finish(&b);
		CHECK((parse(b.buf, b.w.len, &m) == 0) == (n <= LIMIT_IKE_PAYLOADS));
	}
}

static void test_encrypted_payload_is_the_last(void **state)
{
	struct ike_builder b;
	struct ike_msg m;

	(void)state;
	build_start(&b, spi_a, spi_b, EXCHANGE_IKE_AUTH, 0, 1);
	build_payload(&b, PAYLOAD_SK);
	write_zeros(&b.w, 20);
	b.buf[28] = PAYLOAD_IDI;
	build_finish(&b);
	CHECK(!ike_msg_parse(b.buf, b.w.len, &m));
	CHECK(m.has_sk && m.n == 0 && m.sk_first == PAYLOAD_IDI && m.sk_body == 32);
	// Octets after it.
	write_zeros(&b.w, 4);
	write_u32_at(&b.w, 24, (uint32_t)b.w.len);
	CHECK(parse(b.buf, b.w.len, &m) == -EBADMSG);
	// One inside another.
	CHECK(ike_msg_parse(b.buf, 0, &m) == -EBADMSG);
	m = (struct ike_msg){.bytes = b.buf, .sk_first = PAYLOAD_SK};
	CHECK(ike_msg_parse_inner(&m, (const uint8_t[]){0, 0, 0, 4}, 4) == -EBADMSG);
	m.sk_first = PAYLOAD_NONE;
	CHECK(ike_msg_parse_inner(&m, b.buf, 0) == 0 && m.n == 0);
	CHECK(ike_msg_parse_inner(&m, b.buf, 1) == -EBADMSG);
}

// RFC 7383 2.5: number and total stand before the IV, both count from 1.
static void test_fragment_payload(void **state)
{
	static const struct {
		uint16_t number, total;
		size_t body; // bytes
		bool good;
	} rows[] = {
		{1, 1, 20, true},  {2, 3, 20, true},  {3, 3, 4, true},	{0, 3, 20, false},
		{4, 3, 20, false}, {1, 0, 20, false}, {1, 1, 3, false}, {65535, 65535, 20, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_builder b;
		struct ike_msg m;

		build_start(&b, spi_a, spi_b, EXCHANGE_IKE_AUTH, 0, 1);
		build_payload(&b, PAYLOAD_SKF);
		write_zeros(&b.w, rows[i].body);
		write_u16_at(&b.w, 32, rows[i].number);
		if (rows[i].body >= 4)
			write_u16_at(&b.w, 34, rows[i].total);
		b.buf[28] = PAYLOAD_IDI;
		b.buf[29] = 0x80; // critical: the type is known
		build_finish(&b);
		CHECK((parse(b.buf, b.w.len, &m) == 0) == rows[i].good);
		if (!rows[i].good)
			continue;
		CHECK(!ike_msg_parse(b.buf, b.w.len, &m) && m.has_sk && m.n == 0);
		CHECK(m.fragment == rows[i].number && m.fragments == rows[i].total);
		CHECK(m.sk_first == PAYLOAD_IDI && m.sk_body == 36 && !m.unknown_critical);
		m = (struct ike_msg){.bytes = b.buf, .sk_first = PAYLOAD_SKF};
		CHECK(ike_msg_parse_inner(&m, b.buf + 28, b.w.len - 28) == -EBADMSG);
	}
}

static void test_required_and_optional(void **state)
{
	static const struct {
		uint8_t types[4];
		uint32_t required, optional;
		bool good;
	} rows[] = {
		{{33, 34}, HAS(SA) | HAS(KE), 0, true},
		{{33}, HAS(SA) | HAS(KE), 0, false},
		{{33, 34, 33}, HAS(SA) | HAS(KE), 0, false},
		{{33, 34, 40, 40}, HAS(SA) | HAS(KE), 0, true}, // not of interest
		{{33, 34, 40, 40}, HAS(SA) | HAS(KE), HAS(NONCE), false},
		{{33, 34, 200, 200}, HAS(SA) | HAS(KE), 0, true},
		{{0}, 0, 0, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_msg m = {0};

		while (m.n < 4 && rows[i].types[m.n]) {
			m.p[m.n].type = rows[i].types[m.n];
			m.n++;
		}
		CHECK(ike_msg_has(&m, rows[i].required, rows[i].optional) == rows[i].good);
	}
}

// ---- bodies ----

static struct ike_payload body_of(uint8_t type, const uint8_t *data, size_t len)
{
	return (struct ike_payload){type, data, len};
}

static void test_nonce(void **state)
{
	static const uint8_t zeros[LIMIT_IKE_NONCE_MAX + 1];
	static const struct {
		size_t len;
		bool good;
	} rows[] = {{0, false}, {15, false}, {16, true}, {256, true}, {257, false}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_payload p = body_of(PAYLOAD_NONCE, zeros, rows[i].len);
		struct ike_buf out;

		CHECK((payload_nonce_parse(&p, &out) == 0) == rows[i].good);
	}
}

static void test_ke(void **state)
{
	static const uint8_t body[] = {0, 31, 0, 0, 9};
	struct ike_ke_payload out;

	(void)state;
	for (size_t len = 0; len < sizeof(body); len++) {
		struct ike_payload p = body_of(PAYLOAD_KE, body, len);

		CHECK(payload_ke_parse(&p, &out) == -EBADMSG);
	}
	struct ike_payload p = body_of(PAYLOAD_KE, body, sizeof(body));

	CHECK(!payload_ke_parse(&p, &out) && out.group == 31 && out.len == 1 && out.data[0] == 9);
}

static void test_identification(void **state)
{
	static const struct {
		uint8_t body[24];
		size_t len;
		bool good;
		const char *why;
	} rows[] = {
		{{2, 0, 0, 0, 'a'}, 5, true, "FQDN"},
		{{2, 0, 0, 0}, 4, false, "empty"},
		{{2, 0, 0}, 3, false, "short header"},
		{{0}, 0, false, "nothing"},
		{{0, 0, 0, 0, 'a'}, 5, false, "type 0 is our word for any"},
		{{1, 0, 0, 0, 1, 2, 3, 4}, 8, true, "IPv4"},
		{{1, 0, 0, 0, 1, 2, 3}, 7, false, "IPv4 too short"},
		{{1, 0, 0, 0, 1, 2, 3, 4, 5}, 9, false, "IPv4 too long"},
		{{5, 0, 0, 0, 1, 2, 3, 4}, 8, false, "IPv6 too short"},
		{{5}, 20, true, "IPv6"},
		{{201, 9, 9, 9, 1}, 5, true, "a type that we do not know, reserved bits"},
	};
	uint8_t big[4 + IDENTITY_MAX + 1] = {2};
	struct ike_payload p;
	struct identity id;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		p = body_of(PAYLOAD_IDI, rows[i].body, rows[i].len);
		if ((payload_id_parse(&p, &id) == 0) != rows[i].good)
			fail_msg("%s", rows[i].why);
	}
	p = body_of(PAYLOAD_IDI, big, sizeof(big));
	CHECK(payload_id_parse(&p, &id) == -EBADMSG);
	p.len--;
	CHECK(!payload_id_parse(&p, &id) && id.len == IDENTITY_MAX);
}

static void test_notify(void **state)
{
	static const struct {
		uint8_t body[12];
		size_t len;
		bool good;
		size_t data_len;
	} rows[] = {
		{{0, 0, 0x40, 6}, 4, true, 0},
		{{0, 0, 0x40}, 3, false, 0},
		{{0}, 0, false, 0},
		{{0, 0, 0x40, 6, 7, 7}, 6, true, 2},
		{{3, 4, 0, 11, 1, 2, 3, 4}, 8, true, 0},
		{{3, 4, 0, 11, 1, 2, 3}, 7, false, 0},
		{{3, 255, 0, 11, 1, 2, 3, 4}, 8, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_payload p = body_of(PAYLOAD_NOTIFY, rows[i].body, rows[i].len);
		struct ike_notify n;

		CHECK((payload_notify_parse(&p, &n) == 0) == rows[i].good);
		if (rows[i].good)
			CHECK(n.len == rows[i].data_len);
	}
}

static void test_delete(void **state)
{
	static const struct {
		uint8_t body[12];
		size_t len;
		bool good;
		const char *why;
	} rows[] = {
		{{1, 0, 0, 0}, 4, true, "the IKE SA"},
		{{1, 0, 0, 1}, 4, false, "the IKE SA, counted"},
		{{1, 8, 0, 0}, 4, false, "the IKE SA by SPI"},
		{{3, 4, 0, 1, 1, 2, 3, 4}, 8, true, "one child"},
		{{3, 4, 0, 2, 1, 2, 3, 4}, 8, false, "two counted, one there"},
		{{3, 4, 0, 0, 1, 2, 3, 4}, 8, false, "none counted, one there"},
		{{3, 4, 0xff, 0xff, 1, 2, 3, 4}, 8, false, "maximum"},
		{{3, 0, 0xff, 0xff}, 4, false, "SPIs without octets"},
		{{3, 8, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8}, 12, false, "long SPIs"},
		{{3, 4, 0}, 3, false, "short header"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ike_payload p = body_of(PAYLOAD_DELETE, rows[i].body, rows[i].len);
		struct ike_delete d;

		if ((payload_delete_parse(&p, &d) == 0) != rows[i].good)
			fail_msg("%s", rows[i].why);
	}
}

static void test_auth(void **state)
{
	static const uint8_t body[] = {2, 0, 0, 0, 9};
	struct ike_auth_payload a;

	(void)state;
	for (size_t len = 0; len <= sizeof(body); len++) {
		struct ike_payload p = body_of(PAYLOAD_AUTH, body, len);

		CHECK((payload_auth_parse(&p, &a) == 0) == (len == sizeof(body)));
	}
	CHECK(a.method == AUTH_SHARED_KEY && a.len == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_lengths_of_the_message),
		cmocka_unit_test(test_lengths_of_a_payload),
		cmocka_unit_test(test_critical_bit),
		cmocka_unit_test(test_number_of_payloads),
		cmocka_unit_test(test_encrypted_payload_is_the_last),
		cmocka_unit_test(test_fragment_payload),
		cmocka_unit_test(test_required_and_optional),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_ke),
		cmocka_unit_test(test_identification),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_auth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
