// A peer that takes no packets padded to hide their size (ESP_TFC_PADDING_NOT_SUPPORTED, RFC 7296
// 1.3.1): it says so with each child, in its request or in its answer.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/notify.h"
#include "control/ike/payload.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

#define PADDING 1234

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 6);
	s->a.conf.tfc_padding = s->b.conf.tfc_padding = PADDING;
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static bool says_none(const struct sim_peer *p)
{
	for (size_t i = 0; i < p->n_reports; i++)
		if (strstr(p->report[i].text, "without the padding of tfc_padding"))
			return true;
	return false;
}

// The child with that outbound SPI.
static const struct sim_child *child_out(const struct sim_peer *p, uint32_t spi)
{
	for (size_t i = 0; i < SIM_CHILDREN; i++)
		if (p->children[i].live && p->children[i].out.spi == spi)
			return &p->children[i];
	fail_msg("%s has no child with that SPI", p->name);
	return NULL;
}

// What belongs to a child in a message of the other side, for the sender's 10.2.0.0/16 or as
// answer to it.
static void add_child(struct ike_builder *b, uint32_t spi, bool none, const char *tsi,
		      const char *tsr)
{
	struct proposal_list esp = {.n = 1};
	struct selector_list ts = {.n = 1};

	if (none)
		build_notify(b, N_ESP_TFC_PADDING_NOT_SUPPORTED, NULL, 0);
	CHECK(!proposal_parse("aes128gcm16", PROTO_ESP, &esp.p[0], NULL));
	esp.p[0].number = 1;
	build_sa(b, &esp, spi, true);
	CHECK(!selector_parse(tsi, &ts.s[0]));
	build_ts(b, PAYLOAD_TSI, &ts);
	CHECK(!selector_parse(tsr, &ts.s[0]));
	build_ts(b, PAYLOAD_TSR, &ts);
}

static void add_auth(struct ike_builder *b, uint8_t id_type, const char *id_text)
{
	static const uint8_t no_auth[32]; // made right by evil_send
	struct identity id;

	CHECK(!identity_parse(id_text, &id));
	build_id(b, id_type, &id);
	build_auth(b, AUTH_SHARED_KEY, no_auth, sizeof(no_auth));
}

// Both sides of ours take padding: nobody says otherwise, through rekeyings too.
static void test_nobody_objects(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	sim_rekey_child(s, &s->b);
	sim_run_until(s, 10000);
	CHECK(sim_agree(s) && sim_children(&s->a) == 1 && sim_children(&s->b) == 1);
	for (size_t i = 0; i < SIM_CHILDREN; i++) {
		CHECK(!s->a.children[i].live || s->a.children[i].out.tfc_padding == PADDING);
		CHECK(!s->b.children[i].live || s->b.children[i].out.tfc_padding == PADDING);
	}
	CHECK(!says_none(&s->a) && !says_none(&s->b));
	end(s);
}

static void test_in_the_answer_of_ike_auth(void **state)
{
	(void)state;
	for (unsigned none = 0; none < 2; none++) {
		struct sim *s = start();
		struct ike_builder b;

		evil_before_auth_response(s);
		evil_begin(&b);
		add_auth(&b, PAYLOAD_IDR, "gw-b.example");
		add_child(&b, 0xabcdef01, none, "10.1.0.0/16", "10.2.0.0/16");
		s->down = true;
		evil_send(s, &s->b, &s->a, EXCHANGE_IKE_AUTH, true, 1, &b);
		CHECK(child_out(&s->a, 0xabcdef01)->out.tfc_padding == (none ? 0 : PADDING));
		CHECK(says_none(&s->a) == (none == 1));
		end(s);
	}
}

static void test_in_the_request_of_ike_auth(void **state)
{
	(void)state;
	for (unsigned none = 0; none < 2; none++) {
		struct sim *s = start();
		struct ike_builder b;

		evil_before_auth_request(s);
		evil_begin(&b);
		add_auth(&b, PAYLOAD_IDI, "gw-a.example");
		add_child(&b, 0xabcdef01, none, "10.1.0.0/16", "10.2.0.0/16");
		s->down = true;
		evil_send(s, &s->a, &s->b, EXCHANGE_IKE_AUTH, false, 1, &b);
		CHECK(child_out(&s->b, 0xabcdef01)->out.tfc_padding == (none ? 0 : PADDING));
		CHECK(says_none(&s->b) == (none == 1));
		end(s);
	}
}

// It is said of one child, so another one is padded all the same. The peer asks for another, and
// for a successor, which is used for sending only later.
static void test_in_a_request_of_create_child_sa(void **state)
{
	static const uint8_t nonce[32] = {7};

	(void)state;
	for (unsigned none = 0; none < 2; none++) {
		for (unsigned rekey = 0; rekey < 2; rekey++) {
			struct sim *s = start();
			struct ike_child_info first;
			struct ike_builder b;

			sim_initiate(s, &s->a);
			sim_run_until(s, 2000);
			CHECK(!ike_sa_child_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), 0, &first));
			evil_begin(&b);
			if (rekey)
				build_notify_esp(&b, N_REKEY_SA, first.spi_out);
			build_octets(&b, PAYLOAD_NONCE, nonce, sizeof(nonce));
			add_child(&b, 0xabcdef01, none, "10.2.0.0/16", "10.1.0.0/16");
			s->down = true;
			evil_send(s, &s->b, &s->a, EXCHANGE_CREATE_CHILD_SA, false, 0, &b);
			CHECK(child_out(&s->a, 0xabcdef01)->out.tfc_padding ==
			      (none ? 0 : PADDING));
			CHECK(child_out(&s->a, first.spi_out)->out.tfc_padding == PADDING);
			CHECK(says_none(&s->a) == (none == 1));
			end(s);
		}
	}
}

static void test_in_an_answer_of_create_child_sa(void **state)
{
	static const uint8_t nonce[32] = {7};

	(void)state;
	for (unsigned none = 0; none < 2; none++) {
		struct sim *s = start();
		struct ike_builder b;

		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		s->down = true;
		sim_rekey_child(s, &s->a);
		evil_begin(&b);
		build_octets(&b, PAYLOAD_NONCE, nonce, sizeof(nonce));
		add_child(&b, 0xabcdef01, none, "10.1.0.0/16", "10.2.0.0/16");
		evil_send(s, &s->b, &s->a, EXCHANGE_CREATE_CHILD_SA, true, 2, &b);
		CHECK(child_out(&s->a, 0xabcdef01)->out.tfc_padding == (none ? 0 : PADDING));
		CHECK(says_none(&s->a) == (none == 1));
		end(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_objects),
		cmocka_unit_test(test_in_the_answer_of_ike_auth),
		cmocka_unit_test(test_in_the_request_of_ike_auth),
		cmocka_unit_test(test_in_a_request_of_create_child_sa),
		cmocka_unit_test(test_in_an_answer_of_create_child_sa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
