// SA payload and traffic selectors: written and read back, and every length field bent.
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "control/ike/sa_payload.h"
#include "control/ike/ts.h"
#include "test/sim/check.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int sa_parse(const uint8_t *data, size_t len, uint8_t protocol, struct sa_offer *out)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct ike_payload p = {PAYLOAD_SA, copy, len};
	int err;

	if (len > 0)
		memcpy(copy, data, len);
	err = sa_payload_parse(&p, protocol, out);
	free(copy);
	return err;
}

static size_t sa_write(const char *text, uint8_t protocol, uint32_t spi, uint8_t *buf, size_t size)
{
	struct proposal_list list = {.n = 2};
	struct writer w = writer_of(buf, size);

	CHECK(!proposal_parse(text, protocol, &list.p[0], NULL));
	list.p[1] = list.p[0];
	sa_payload_write(&w, &list, spi, protocol == PROTO_ESP);
	CHECK(!w.failed);
	return w.len;
}

static void test_what_is_written_is_read(void **state)
{
	uint8_t buf[512];
	struct sa_offer offer;
	struct proposal p;
	size_t len;

	(void)state;
	len = sa_write("aes256-sha512-prfsha384-x25519-ecp384", PROTO_IKE, 0, buf, sizeof(buf));
	CHECK(!sa_parse(buf, len, PROTO_IKE, &offer));
	CHECK(!proposal_parse("aes256-sha512-prfsha384-x25519-ecp384", PROTO_IKE, &p, NULL));
	CHECK(offer.list.n == 2 && offer.skipped == 0);
	CHECK(offer.list.p[0].number == 1 && offer.list.p[1].number == 2);
	CHECK(offer.list.p[0].n == p.n && offer.list.p[0].protocol == PROTO_IKE);
	for (unsigned i = 0; i < p.n; i++)
		CHECK(proposal_has(&offer.list.p[1], &p.t[i]));

	// The first child's proposals hold no key exchange (RFC 7296 1.2).
	len = sa_write("aes128gcm16-x25519", PROTO_ESP, 0xc0ffee01, buf, sizeof(buf));
	CHECK(!sa_parse(buf, len, PROTO_ESP, &offer));
	CHECK(offer.spi[0] == 0xc0ffee01 && offer.spi[1] == 0xc0ffee01);
	CHECK(!proposal_first(&offer.list.p[0], TRANSFORM_KE));
	CHECK(proposal_first(&offer.list.p[0], TRANSFORM_ENCR)->key_bits == 128);
	CHECK(proposal_first(&offer.list.p[0], TRANSFORM_SN)->id == SN_32BIT);

	// Another protocol's proposals are left out.
	CHECK(!sa_parse(buf, len, PROTO_IKE, &offer) && offer.list.n == 0 && offer.skipped == 2);
}

static const uint8_t good_esp[] = {
	0, 0, 0, 32, 1, 3, 4, 2,  0xc0, 0,  0, 1,   // proposal, SPI
	3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 0, 128, // AES-GCM-16, 128 bits
	0, 0, 0, 8,  5, 0, 0, 0,		    // no ESN
};

static void test_bent_proposals(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		bool good;
		const char *why;
	} rows[] = {
		{0, 0, true, "as it is"},
		{0, 2, false, "another proposal is announced"},
		{0, 1, false, "neither 0 nor 2"},
		{1, 0xff, true, "reserved"},
		{2, 0xff, false, "proposal length far too long"},
		{3, 0, false, "proposal length 0"},
		{3, 7, false, "below the header"},
		{3, 8, false, "header only"},
		{3, 31, false, "one less"},
		{3, 33, false, "one more"},
		{6, 0, false, "no SPI: its octets become transforms"},
		{6, 3, false, "SPI too short"},
		{6, 255, false, "SPI too long"},
		{7, 0, false, "no transform counted"},
		{7, 1, false, "one transform counted"},
		{7, 3, false, "three transforms counted"},
		{8, 0, false, "SPI 1 is reserved (RFC 4303 2.1)"},
		{12, 0, false, "first transform says it is the last"},
		{12, 2, false, "neither 0 nor 3"},
		{14, 0xff, false, "transform length far too long"},
		{15, 0, false, "transform length 0"},
		{15, 7, false, "below the header"},
		{15, 8, false, "without its attribute"},
		{15, 11, false, "attribute cut"},
		{15, 13, false, "one more"},
		{20, 0x00, false, "attribute with a length, which is beyond"},
		{24, 3, false, "last transform says another comes"},
		{27, 9, false, "last transform one longer"},
	};
	struct sa_offer offer;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t buf[sizeof(good_esp)];

		memcpy(buf, good_esp, sizeof(buf));
		buf[rows[i].at] = rows[i].value;
		if ((sa_parse(buf, sizeof(buf), PROTO_ESP, &offer) == 0) != rows[i].good)
			fail_msg("%s", rows[i].why);
	}
	for (size_t len = 0; len < sizeof(good_esp); len++)
		CHECK(sa_parse(good_esp, len, PROTO_ESP, &offer) == -EBADMSG);
}

static void test_unknown_parts(void **state)
{
	uint8_t buf[sizeof(good_esp)];
	struct sa_offer offer;

	(void)state;
	memcpy(buf, good_esp, sizeof(buf));
	buf[28] = 6; // ADDKE1: a transform type that we do not know
	CHECK(!sa_parse(buf, sizeof(buf), PROTO_ESP, &offer));
	CHECK(offer.list.n == 0 && offer.skipped == 1);

	memcpy(buf, good_esp, sizeof(buf));
	buf[21] = 99; // an attribute that we do not know: without that transform
	CHECK(!sa_parse(buf, sizeof(buf), PROTO_ESP, &offer));
	CHECK(offer.list.n == 1 && offer.list.p[0].n == 1);
	CHECK(!proposal_first(&offer.list.p[0], TRANSFORM_ENCR));

	memcpy(buf, good_esp, sizeof(buf));
	buf[19] = 200; // an algorithm that we do not know stays, for the reports
	CHECK(!sa_parse(buf, sizeof(buf), PROTO_ESP, &offer));
	CHECK(proposal_first(&offer.list.p[0], TRANSFORM_ENCR)->id == 200);
}

static void test_more_than_we_hold(void **state)
{
	uint8_t buf[8 + 255 * 8], many[40 * 8 + 8];
	struct writer w = writer_of(buf, sizeof(buf));
	struct sa_offer offer;

	(void)state;
	write_bytes(&w, (const uint8_t[]){0, 0, 0, 0, 1, 1, 0, 255}, 8);
	for (unsigned i = 0; i < 255; i++)
		write_bytes(&w, (const uint8_t[]){i == 254 ? 0 : 3, 0, 0, 8, 2, 0, 0, 5}, 8);
	write_u16_at(&w, 2, (uint16_t)w.len);
	CHECK(!sa_parse(buf, w.len, PROTO_IKE, &offer));
	CHECK(offer.list.p[0].n == PROPOSAL_TRANSFORMS_MAX);

	w = writer_of(many, sizeof(many));
	for (uint8_t i = 1; i <= 40; i++)
		write_bytes(&w, (const uint8_t[]){i == 40 ? 0 : 2, 0, 0, 8, i, 1, 0, 0}, 8);
	CHECK(!sa_parse(many, w.len, PROTO_IKE, &offer));
	CHECK(offer.list.n == PROPOSALS_MAX && offer.skipped == 40 - PROPOSALS_MAX);
}

// Writes an IKE proposal of a peer that sends all it has: 13 ciphers, 6 integrity algorithms, 6
// PRFs, and the groups last.
static size_t all_it_has(uint8_t *buf, size_t room, const uint16_t *groups, size_t n_groups)
{
	struct writer w = writer_of(buf, room);
	const struct {
		uint8_t type, n;
		uint16_t first;
	} unknown[] = {
		{TRANSFORM_ENCR, 13, 200}, {TRANSFORM_INTEG, 6, 200}, {TRANSFORM_PRF, 6, 200}};
	const struct transform useful[] = {
		{TRANSFORM_ENCR, ENCR_AES_CTR, 256},
		{TRANSFORM_INTEG, INTEG_HMAC_SHA2_512_256, 0},
		{TRANSFORM_PRF, PRF_HMAC_SHA2_512, 0},
	};

	write_bytes(&w, (const uint8_t[]){0, 0, 0, 0, 1, 1, 0, (uint8_t)(28 + n_groups)}, 8);
	for (size_t i = 0; i < COUNT(unknown); i++) {
		for (uint16_t k = 0; k < unknown[i].n; k++) {
			write_bytes(&w, (const uint8_t[]){3, 0, 0, 8, unknown[i].type, 0}, 6);
			write_u16(&w, (uint16_t)(unknown[i].first + k));
		}
		write_bytes(
			&w,
			(const uint8_t[]){3, 0, 0, useful[i].key_bits ? 12 : 8, useful[i].type, 0},
			6);
		write_u16(&w, useful[i].id);
		if (useful[i].key_bits) {
			write_u16(&w, 0x800e);
			write_u16(&w, useful[i].key_bits);
		}
	}
	for (size_t i = 0; i < n_groups; i++) {
		write_bytes(&w, (const uint8_t[]){i + 1 == n_groups ? 0 : 3, 0, 0, 8, 4, 0}, 6);
		write_u16(&w, groups[i]);
	}
	write_u16_at(&w, 2, (uint16_t)w.len);
	CHECK(!w.failed);
	return w.len;
}

static void test_useful_algorithms_come_before_others(void **state)
{
	static const uint16_t known_last[] = {1027, 1028, 1029,		1030,
					      2,    5,	  KE_MODP_3072, KE_MODP_2048};
	static const uint16_t none_known[] = {1027, 1028, 1029, 1030, 1031, 1032};
	struct proposal_list ours = {.n = 1};
	struct proposal chosen;
	struct sa_offer offer;
	uint8_t buf[512];

	(void)state;
	CHECK(!proposal_parse("aes256ctr-sha512-modp2048", PROTO_IKE, &ours.p[0], NULL));
	CHECK(!sa_parse(buf, all_it_has(buf, sizeof(buf), known_last, COUNT(known_last)), PROTO_IKE,
			&offer));
	CHECK(offer.list.n == 1 && offer.list.p[0].n == PROPOSAL_TRANSFORMS_MAX);
	CHECK(!proposal_choose(&ours, &offer.list, false, &chosen));
	CHECK(proposal_first(&chosen, TRANSFORM_KE)->id == KE_MODP_2048);

	// They insist on a group, and that must not be lost, or we would answer without one.
	for (size_t n = 1; n <= COUNT(none_known); n++) {
		CHECK(!sa_parse(buf, all_it_has(buf, sizeof(buf), none_known, n), PROTO_IKE,
				&offer));
		CHECK(proposal_first(&offer.list.p[0], TRANSFORM_KE));
		for (uint8_t type = TRANSFORM_ENCR; type <= TRANSFORM_INTEG; type++)
			CHECK(proposal_first(&offer.list.p[0], type));
		CHECK(proposal_choose(&ours, &offer.list, false, &chosen) == -ENOENT);
	}
}

// Groups in ESP proposals (PFS) travel like any other transform.
static void test_esp_with_groups(void **state)
{
	struct proposal_list list = {.n = 1};
	struct writer w;
	struct sa_offer offer;
	uint8_t buf[256];

	(void)state;
	CHECK(!proposal_parse("aes128gcm16-x448-modp8192-none", PROTO_ESP, &list.p[0], NULL));
	w = writer_of(buf, sizeof(buf));
	sa_payload_write(&w, &list, 0xc0000001, false);
	CHECK(!w.failed && !sa_parse(buf, w.len, PROTO_ESP, &offer));
	CHECK(offer.list.n == 1 && offer.list.p[0].n == list.p[0].n);
	for (uint8_t i = 0; i < list.p[0].n; i++)
		CHECK(proposal_has(&offer.list.p[0], &list.p[0].t[i]));
	w = writer_of(buf, sizeof(buf));
	sa_payload_write(&w, &list, 0xc0000001, true);
	CHECK(!w.failed && !sa_parse(buf, w.len, PROTO_ESP, &offer));
	CHECK(!proposal_first(&offer.list.p[0], TRANSFORM_KE));
}

// ---- traffic selectors ----

static int ts_parse(const uint8_t *data, size_t len, struct selector_list *out)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct ike_payload p = {PAYLOAD_TSI, copy, len};
	int err;

	if (len > 0)
		memcpy(copy, data, len);
	err = ts_payload_parse(&p, out);
	free(copy);
	return err;
}

static struct selector_list selectors(const char *const *texts)
{
	struct selector_list list = {0};

	for (; *texts; texts++)
		CHECK(!selector_parse(*texts, &list.s[list.n++]));
	return list;
}

#define SELECTORS(...) selectors((const char *const[]){__VA_ARGS__, NULL})

static bool lists_equal(const struct selector_list *a, const struct selector_list *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (!selector_equal(&a->s[i], &b->s[i]))
			return false;
	return true;
}

static void test_selectors_written_are_read(void **state)
{
	struct selector_list list = SELECTORS("10.1.0.0/16", "10.0.0.1-10.0.0.9",
					      "10.1.0.5[tcp/80]", "2001:db8::/32[udp]");
	struct selector_list back;
	uint8_t buf[512];
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	ts_payload_write(&w, &list);
	CHECK(w.len == 4 + 3 * 16 + 40);
	CHECK(!ts_parse(buf, w.len, &back) && lists_equal(&list, &back));
	for (size_t len = 0; len < w.len; len++)
		CHECK(ts_parse(buf, len, &back) == -EBADMSG);
}

static const uint8_t good_ts[] = {
	1, 0, 0, 0, 7, 6, 0, 16, 0, 80, 0, 90, 10, 1, 0, 0, 10, 1, 255, 255,
};

static void test_bent_selectors(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int n; // selectors read, -1: malformed
		const char *why;
	} rows[] = {
		{0, 1, 1, "as it is"},
		{0, 0, -1, "none counted"},
		{0, 2, -1, "two counted"},
		{0, 255, -1, "maximum"},
		{1, 9, 1, "reserved"},
		{4, 8, -1, "an IPv6 range of 16 octets"},
		{4, 9, 0, "a type that we do not know"},
		{6, 0xff, -1, "length far too long"},
		{7, 0, -1, "length 0"},
		{7, 3, -1, "below the header"},
		{7, 15, -1, "one less"},
		{7, 17, -1, "one more"},
		{9, 91, 0, "ports the wrong way round"},
		{12, 11, 0, "addresses the wrong way round"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t buf[sizeof(good_ts)];
		struct selector_list list = {0};
		int err;

		memcpy(buf, good_ts, sizeof(buf));
		buf[rows[i].at] = rows[i].value;
		err = ts_parse(buf, sizeof(buf), &list);
		if ((err ? -1 : (int)list.n) != rows[i].n)
			fail_msg("%s", rows[i].why);
	}
}

static void test_narrow(void **state)
{
	struct selector_list offer, ours, out, wanted;

	(void)state;
	offer = SELECTORS("10.1.0.0/16", "10.3.0.0/16");
	ours = SELECTORS("10.0.0.0/8");
	CHECK(ts_narrow(&offer, &ours, &out) && lists_equal(&out, &offer));

	ours = SELECTORS("10.1.5.0/24", "10.3.7.0/24", "10.9.0.0/16");
	wanted = SELECTORS("10.1.5.0/24", "10.3.7.0/24");
	CHECK(ts_narrow(&offer, &ours, &out) && lists_equal(&out, &wanted));

	// What is inside another is not said twice.
	offer = SELECTORS("10.1.0.5[tcp/80]", "10.1.0.0/16");
	ours = SELECTORS("10.1.0.0/16", "10.1.0.0/24");
	wanted = SELECTORS("10.1.0.0/16");
	CHECK(ts_narrow(&offer, &ours, &out) && lists_equal(&out, &wanted));

	ours = SELECTORS("192.0.2.0/24");
	CHECK(!ts_narrow(&offer, &ours, &out) && out.n == 0);
}

static void test_narrow_keeps_within_its_list(void **state)
{
	struct selector_list offer = {.n = SELECTORS_MAX}, ours = {.n = SELECTORS_MAX}, out;

	(void)state;
	for (unsigned i = 0; i < SELECTORS_MAX; i++) {
		struct ip_prefix p = {ip_addr_v4(0x0a000000u + (i << 16)), 16};

		offer.s[i] = selector_from_prefix(&p);
		ours.s[i] = offer.s[i];
		offer.s[i].port_lo = 10;
		offer.s[i].port_hi = 1000;
		offer.s[i].proto = 6;
	}
	CHECK(ts_narrow(&offer, &ours, &out) && out.n == SELECTORS_MAX);
	for (unsigned i = 0; i < SELECTORS_MAX; i++) { // every pair overlaps in its own piece
		offer.s[i] = ours.s[0];
		offer.s[i].proto = (uint8_t)(i + 1);
		ours.s[i] = ours.s[0];
		ours.s[i].proto = 0;
		ours.s[i].port_lo = (uint16_t)(i * 100);
		ours.s[i].port_hi = (uint16_t)(i * 100 + 50);
	}
	CHECK(ts_narrow(&offer, &ours, &out) && out.n == SELECTORS_MAX);
}

static void test_subset(void **state)
{
	struct selector_list offer = SELECTORS("10.1.0.0/16", "10.3.0.0/16"), answer;

	(void)state;
	answer = SELECTORS("10.1.2.0/24", "10.3.0.0/16");
	CHECK(ts_is_subset(&answer, &offer));
	answer = SELECTORS("10.1.2.0/24", "10.4.0.0/16");
	CHECK(!ts_is_subset(&answer, &offer));
	answer = SELECTORS("10.0.0.0/8");
	CHECK(!ts_is_subset(&answer, &offer));
	answer.n = 0;
	CHECK(!ts_is_subset(&answer, &offer)); // nothing is no answer
}

static void test_pair(void **state)
{
	static const char *const rows[][4] = {
		// local, remote, what is left of both
		{"10.1.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.2.0.0/16"},
		{"fd00:1::/48", "fd00:2::/48", "fd00:1::/48", "fd00:2::/48"},
		{"10.1.0.0/16 fd00:1::/48", "fd00:2::/48", "fd00:1::/48", "fd00:2::/48"},
		{"fd00:1::/48 10.1.0.0/16", "10.2.0.0/16 10.3.0.0/16", "10.1.0.0/16",
		 "10.2.0.0/16 10.3.0.0/16"},
		{"10.1.0.0/16", "fd00:2::/48", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct selector_list list[4] = {{0}};

		for (unsigned k = 0; k < 4; k++) {
			char copy[128], *save, *word;

			snprintf(copy, sizeof(copy), "%s", rows[i][k]);
			for (word = strtok_r(copy, " ", &save); word;
			     word = strtok_r(NULL, " ", &save))
				CHECK(!selector_parse(word, &list[k].s[list[k].n++]));
		}
		CHECK(ts_pair(&list[0], &list[1]) == (list[2].n > 0));
		CHECK(lists_equal(&list[0], &list[2]) && lists_equal(&list[1], &list[3]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_bent_proposals),
		cmocka_unit_test(test_unknown_parts),
		cmocka_unit_test(test_more_than_we_hold),
		cmocka_unit_test(test_useful_algorithms_come_before_others),
		cmocka_unit_test(test_esp_with_groups),
		cmocka_unit_test(test_selectors_written_are_read),
		cmocka_unit_test(test_bent_selectors),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_narrow_keeps_within_its_list),
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_subset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
