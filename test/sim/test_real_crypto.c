// The same two peers with OpenSSL's cryptography: every suite that we can negotiate.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/openssl/ike_openssl.h"
#include "test/sim/check.h"
#include "test/sim/sim.h"

static const char *const suites[] = {
	"aes128gcm16-prfsha256-x25519",
	"aes256gcm16-prfsha384-ecp384",
	"aes128-sha256-modp2048",
	"aes256-sha512-prfsha512-ecp256",
	"aes192-sha384-prfsha384-x25519",
	"aes256gcm12-prfsha512-ecp256",
	"aes128gcm8-prfsha256-modp2048",
	"aes256ctr-sha256-x448",
	"chacha20poly1305-prfsha256-ecp521",
	"aes128-sha1-modp3072",
};

static struct ike_crypto *crypto;

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

static void test_suites_over_a_bad_wire(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		struct sim *s = malloc(sizeof(*s));

		sim_init(s, i);
		sim_use_crypto(s, crypto);
		s->a.conf.ike = s->b.conf.ike = suites[i];
		s->drop = 100;
		s->dup = 100;
		s->corrupt = i % 2 ? 0 : 50;
		sim_initiate(s, &s->a);
		sim_run_until(s, 400000);
		s->drop = s->dup = s->corrupt = 0;
		if (!sim_sa(&s->a, IKE_ST_ESTABLISHED))
			sim_initiate(s, &s->a);
		sim_run_until(s, 410000);
		if (!sim_sa(&s->a, IKE_ST_ESTABLISHED) || !sim_agree(s))
			fail_msg("%s: %s", suites[i], s->broken);
		CHECK(sim_children(&s->a) == 1);
		sim_terminate_child(s, &s->a);
		sim_run_until(s, 420000);
		CHECK(sim_children(&s->a) == 0 && sim_agree(s));
		sim_terminate(s, &s->b);
		sim_run_until(s, 430000);
		CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
		if (!sim_fini(s))
			fail_msg("%s: %s", suites[i], s->broken);
		free(s);
	}
}

// ---- every combination ----

static bool ike_has(const struct transform_info *info, uint8_t type)
{
	return info->ike && info->type == type;
}

static void run_suite(const char *text, uint64_t seed)
{
	struct sim *s = malloc(sizeof(*s));
	struct ike_sa_info info;
	struct proposal p;

	sim_init(s, seed);
	sim_use_crypto(s, crypto);
	s->a.conf.ike = s->b.conf.ike = text;
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	if (!sim_sa(&s->a, IKE_ST_ESTABLISHED) || !sim_agree(s) || sim_children(&s->b) != 1)
		fail_msg("%s: %s", text, s->broken);
	ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &info);
	CHECK(!proposal_parse(text, PROTO_IKE, &p, NULL) && p.n == info.chosen.n);
	for (uint8_t i = 0; i < p.n; i++)
		CHECK(proposal_has(&info.chosen, &p.t[i]));
	sim_check(s, &s->b);
	sim_terminate(s, &s->b);
	sim_run_until(s, 6000);
	if (sim_open(&s->a) || sim_open(&s->b) || !sim_fini(s))
		fail_msg("%s: %s", text, s->broken);
	free(s);
}

// One cipher with every integrity algorithm that may stand beside it, every PRF and every group.
// Returns how many suites that makes.
static unsigned run_cipher(const struct transform_info *encr)
{
	const struct transform_info *integ, *prf, *ke;
	unsigned n = 0;

	for (size_t i = 0; (integ = transform_at(i)); i++) {
		// With an AEAD: once, without an integrity algorithm.
		if (encr->aead ? i > 0 : !ike_has(integ, TRANSFORM_INTEG))
			continue;
		for (size_t j = 0; (prf = transform_at(j)); j++)
			for (size_t k = 0; (ke = transform_at(k)); k++) {
				char text[96];

				if (!ike_has(prf, TRANSFORM_PRF) || !ike_has(ke, TRANSFORM_KE))
					continue;
				snprintf(text, sizeof(text), "%s%s%s-%s-%s", encr->keyword,
					 encr->aead ? "" : "-", encr->aead ? "" : integ->keyword,
					 prf->keyword, ke->keyword);
				run_suite(text, n++);
			}
	}
	return n;
}

static void test_every_combination(void **state)
{
	const struct transform_info *encr;
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; (encr = transform_at(i)); i++)
		if (ike_has(encr, TRANSFORM_ENCR))
			n += run_cipher(encr);
	// AES in CBC and CTR with 3 key lengths and 4 integrity algorithms, 9 of GCM and
	// ChaCha20-Poly1305; 4 PRFs; 10 groups.
	assert_int_equal(n, (6 * 4 + 9 + 1) * 4 * 10);
}

static void test_wrong_psk(void **state)
{
	struct sim *s = malloc(sizeof(*s));

	(void)state;
	sim_init(s, 1);
	sim_use_crypto(s, crypto);
	s->b.conf.psk = "another";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_reported(&s->a, IKE_REPORT_PEER_REFUSED_AUTH));
	CHECK(sim_reported(&s->b, IKE_REPORT_AUTH_FAILED));
	CHECK(sim_open(&s->a) == 0);
	CHECK(sim_fini(s));
	free(s);
}

static void test_other_group(void **state)
{
	struct sim *s = malloc(sizeof(*s));

	(void)state;
	sim_init(s, 1);
	sim_use_crypto(s, crypto);
	s->a.conf.ike = "aes128gcm16-prfsha256-x25519-modp2048-ecp384";
	s->b.conf.ike = "aes128gcm16-prfsha256-ecp384";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_agree(s));
	CHECK(sim_fini(s));
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suites_over_a_bad_wire),
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_wrong_psk),
		cmocka_unit_test(test_other_group),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
