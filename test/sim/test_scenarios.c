// Two peers and a wire: the stories that IKE must get right, one test each.
#include <string.h>
#include <stdlib.h>

#include "test/sim/check.h"
#include "test/sim/sim.h"

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 42);
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static bool is_established(const struct sim_peer *p)
{
	return sim_sa(p, IKE_ST_ESTABLISHED) != NULL;
}

static bool says(const struct sim_peer *p, enum ike_report_code code, const char *part)
{
	for (size_t i = 0; i < p->n_reports; i++)
		if (p->report[i].code == code && strstr(p->report[i].text, part))
			return true;
	return false;
}

// ---- it works ----

static void test_two_gateways_one_tunnel(void **state)
{
	struct sim *s = start();
	struct ike_sa_info a, b;
	struct ike_child_info child;

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);

	CHECK(is_established(&s->a) && is_established(&s->b));
	CHECK(sim_children(&s->a) == 1 && sim_children(&s->b) == 1);
	CHECK(sim_agree(s));
	CHECK(s->a.sent == 2 && s->b.sent == 2);
	CHECK(sim_errors(&s->a) == 0 && sim_errors(&s->b) == 0);
	ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &a);
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &b);
	CHECK(a.original_initiator && !b.original_initiator);
	CHECK(!a.encap && !b.encap && a.remote.port == IKE_PORT);
	CHECK(b.conn == &s->b.conn && a.chosen.n == 3 && a.n_children == 1);
	CHECK(!ike_sa_child_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), 0, &child));
	CHECK(!child.udp_encap && child.encr.id == ENCR_AES_GCM_16 && child.encr.key_bits == 128);
	CHECK(s->a.children[0].out.encr_key.len == 20); // key and salt
	CHECK(s->a.children[0].out.local.port == 0);
	end(s);
}

static void test_every_suite(void **state)
{
	static const struct {
		const char *ike, *esp;
		size_t encr, integ; // bytes of the child's keys
	} rows[] = {
		{"aes256gcm16-prfsha384-ecp384", "aes256gcm16", 36, 0},
		{"aes128-sha256-modp2048", "aes128gcm16", 20, 0},
		{"aes256-sha512-prfsha512-ecp256", "aes128gcm16", 20, 0},
		{"aes192-sha384-prfsha256-x25519", "aes256gcm16", 36, 0},
		{"aes128gcm8-prfsha512-x25519", "aes128gcm16", 20, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();

		s->a.conf.ike = s->b.conf.ike = rows[i].ike;
		s->a.conf.esp = s->b.conf.esp = rows[i].esp;
		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		CHECK(is_established(&s->a) && sim_agree(s));
		CHECK(s->a.children[0].in.encr_key.len == rows[i].encr);
		CHECK(s->a.children[0].in.integ_key.len == rows[i].integ);
		end(s);
	}
}

static void test_addresses_as_identities(void **state)
{
	struct sim *s = start();
	struct ike_sa_info b;

	(void)state;
	s->a.conf.local_id = s->a.conf.remote_id = "%any";
	s->b.conf.local_id = s->b.conf.remote_id = "%any";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(sim_agree(s) && is_established(&s->a));
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &b);
	CHECK(b.remote_id.type == ID_IPV4_ADDR && b.remote_id.data[3] == 1);
	end(s);
}

static void test_childless(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.childless = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(sim_children(&s->a) == 0 && sim_errors(&s->b) == 0);
	end(s);
}

static void test_both_begin_at_once(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_initiate(s, &s->b);
	sim_run_until(s, 2000);
	CHECK(sim_open(&s->a) == 2 && sim_open(&s->b) == 2 && sim_agree(s));
	CHECK(sim_children(&s->a) == 2);
	end(s);
}

// ---- the wire is bad ----

static void test_lost_init_request_is_repeated(void **state)
{
	struct sim *s = start();

	(void)state;
	s->drop_next = 2;
	sim_initiate(s, &s->a);
	sim_run_until(s, 1000 + 1500 - 1);
	CHECK(!is_established(&s->b));
	sim_run_until(s, 1000 + 1500 + 100); // three eighths of the first wait
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(s->a.sent == 4);
	end(s);
}

static void test_lost_init_response_is_repeated(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 1004);
	s->drop_next = 1;
	sim_run_until(s, 6000);
	CHECK(is_established(&s->a) && sim_agree(s));
	CHECK(sim_open(&s->b) == 1); // not one half-open SA per repetition
	end(s);
}

static void test_lost_auth_response_is_repeated_not_redone(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 1014);
	s->drop_next = 1; // the IKE_AUTH response
	sim_run_until(s, 6000);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(sim_children(&s->b) == 1 && s->b.installs == 1); // not one per retransmission
	end(s);
}

static void test_everything_comes_twice(void **state)
{
	struct sim *s = start();

	(void)state;
	s->dup = 1000;
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(is_established(&s->a) && sim_agree(s));
	CHECK(s->a.installs == 1 && s->b.installs == 1 && sim_open(&s->b) == 1);
	sim_terminate(s, &s->a);
	sim_run_until(s, 6000);
	CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
	end(s);
}

static void test_silent_peer_is_given_up(void **state)
{
	struct sim *s = start();

	(void)state;
	s->down = true;
	sim_initiate(s, &s->a);
	// 4 + 7.2 + 12.96 + 23.3 + 41.99 + 75.6 seconds
	sim_run_until(s, 1000 + 165000);
	CHECK(sim_open(&s->a) == 1);
	sim_run_until(s, 1000 + 166000);
	CHECK(sim_open(&s->a) == 0 && s->a.sent == 8); // two of them early
	CHECK(says(&s->a, IKE_REPORT_NO_ANSWER, "192.0.2.2"));
	CHECK(sim_errors(&s->a) == 1);
	end(s);
}

static void test_half_open_sa_ends(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 1005);
	CHECK(sim_open(&s->b) == 1);
	s->down = true; // the initiator never gets the answer
	sim_run_until(s, 1005 + LIMIT_IKE_HALF_OPEN_MS + 10);
	CHECK(sim_open(&s->b) == 0);
	end(s);
}

// ---- NAT ----

static void check_encap(struct sim *s, uint16_t port_of_a)
{
	struct ike_sa_info a, b;

	CHECK(is_established(&s->a) && sim_agree(s));
	ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &a);
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &b);
	CHECK(a.encap && b.encap && a.local.port == IKE_NATT_PORT &&
	      a.remote.port == IKE_NATT_PORT);
	CHECK(b.local.port == IKE_NATT_PORT && b.remote.port == port_of_a);
	CHECK(s->a.children[0].out.udp_encap && s->a.children[0].out.local.port == 4500 &&
	      s->a.children[0].out.remote.port == 4500);
	CHECK(s->b.children[0].out.local.port == 4500 &&
	      s->b.children[0].out.remote.port == port_of_a);
}

static void test_forced_encapsulation(void **state)
{
	struct ike_sa_info info;
	struct sim *s = start();

	(void)state;
	s->a.conf.force_encap = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	check_encap(s, 4500);
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &info);
	CHECK(info.nat_remote && !info.nat_local); // what a pretends
	end(s);

	s = start();
	s->b.conf.force_encap = true; // as strongSwan with kernel-libipsec does
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	check_encap(s, 4500);
	ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &info);
	CHECK(info.nat_remote && !info.nat_local);
	end(s);
}

static void test_nat_before_the_initiator(void **state)
{
	struct sim *s = start();
	struct ike_sa_info a, b;
	struct ip_addr outside = ip_addr_v4(SIM_NAT_ADDR);

	(void)state;
	s->nat = true;
	s->nat_port = 20000;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	check_encap(s, 24500);
	ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &a);
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &b);
	CHECK(a.nat_local && !a.nat_remote && b.nat_remote && !b.nat_local);
	CHECK(ip_addr_equal(&b.remote.addr, &outside));

	// The mapping changes: the responder follows the next authenticated message.
	s->nat_port = 30000;
	sim_check(s, &s->a);
	sim_run_until(s, 3000);
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &b);
	CHECK(b.remote.port == 34500);
	// And so do its children.
	CHECK(s->b.children[0].out.remote.port == 34500);
	CHECK(ip_addr_equal(&s->b.children[0].out.remote.addr, &outside));
	CHECK(s->b.children[0].out.local.port == IKE_NATT_PORT);
	sim_check(s, &s->b);
	sim_run_until(s, 4000);
	CHECK(s->a.sent == 3 + 1);
	end(s);
}

static void esp_from(struct sim *s, struct sim_peer *p, uint32_t spi_in, uint16_t port)
{
	const struct ip_endpoint from = {ip_addr_v4(SIM_NAT_ADDR), port};

	sim_esp_from(s, p, spi_in, &from);
}

// RFC 7296 2.23: ESP is as good a witness as IKE, for a peer behind a NAT and nobody else.
static void test_esp_alone_shows_where_the_peer_is(void **state)
{
	struct sim *s = start();
	struct ike_sa_info b;

	(void)state;
	s->nat = true;
	s->nat_port = 20000;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	esp_from(s, &s->b, s->b.children[0].in.spi ^ 1, 34500); // of nobody
	CHECK(s->b.children[0].out.remote.port == 24500);
	esp_from(s, &s->b, s->b.children[0].in.spi, 34500);
	CHECK(s->b.children[0].out.remote.port == 34500);
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &b);
	CHECK(b.remote.port == 34500);
	CHECK(s->b.sent == 2); // and nothing was said about it
	// The one behind the NAT does not follow: the other is where it was.
	esp_from(s, &s->a, s->a.children[0].in.spi, 34500);
	CHECK(s->a.children[0].out.remote.port == IKE_NATT_PORT);
	s->nat_port = 30000;
	end(s);

	s = start(); // no NAT: whoever says so lies
	s->a.conf.force_encap = false;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	esp_from(s, &s->b, s->b.children[0].in.spi, 34500);
	ike_sa_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), &b);
	CHECK(b.remote.port == 500);
	end(s);
}

// ---- the end ----

static void test_terminate(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	sim_terminate(s, &s->b);
	CHECK(sim_children(&s->b) == 0 && sim_sa(&s->b, IKE_ST_DELETING));
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0 && sim_children(&s->a) == 0);
	CHECK(sim_reported(&s->a, IKE_REPORT_PEER_DELETED));
	end(s);
}

static void test_both_terminate_at_once(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	sim_terminate(s, &s->a);
	sim_terminate(s, &s->b);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
	CHECK(s->a.sent == 4 && s->b.sent == 4); // both answered, nothing repeated
	end(s);
}

static void test_terminate_before_keys(void **state)
{
	struct sim *s = start();

	(void)state;
	s->down = true;
	sim_initiate(s, &s->a);
	sim_terminate(s, &s->a);
	CHECK(sim_open(&s->a) == 0 && s->a.sent == 1);
	end(s);
}

static void test_terminate_during_auth_deletes_what_came_of_it(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 1012); // IKE_AUTH is on its way
	sim_terminate(s, &s->a);
	CHECK(sim_open(&s->a) == 1);
	sim_run_until(s, 2000);
	CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
	end(s);
}

static void test_terminating_a_dead_peer_is_bounded(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	s->down = true;
	sim_terminate(s, &s->a);
	sim_run_until(s, 2000 + 25000);
	CHECK(sim_open(&s->a) == 0);
	end(s);

	s = start();
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	s->down = true;
	sim_check(s, &s->a); // a request is under way
	sim_terminate(s, &s->a);
	sim_run_until(s, 2000 + 11000);
	CHECK(sim_open(&s->a) == 0);
	end(s);
}

static void test_child_deleted(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	sim_terminate_child(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_children(&s->a) == 0 && sim_children(&s->b) == 0);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	end(s);
}

static void test_child_deleted_by_both_at_once(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	sim_terminate_child(s, &s->a);
	sim_terminate_child(s, &s->b);
	sim_run_until(s, 3000);
	CHECK(sim_children(&s->a) == 0 && sim_children(&s->b) == 0);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(s->a.sent == 4 && s->b.sent == 4);
	end(s);
}

// ---- liveness ----

static void test_dead_peer_is_noticed(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 30000;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	sim_run_until(s, 100000);
	CHECK(s->a.sent == 2 + 3 && s->b.sent == 2 + 3); // one check every 30 s
	s->down = true;
	sim_run_until(s, 100000 + 30000 + 166000);
	CHECK(sim_open(&s->a) == 0 && sim_children(&s->a) == 0);
	CHECK(says(&s->a, IKE_REPORT_DEAD_PEER, "192.0.2.2"));
	end(s);
}

static void test_traffic_is_a_sign_of_life(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 30000;
	sim_initiate(s, &s->a);
	for (uint64_t t = 2000; t < 200000; t += 1000) {
		s->a.last_inbound_esp_ms = t;
		sim_run_until(s, t);
	}
	CHECK(s->a.sent == 2);
	sim_run_until(s, 200000 + 30000); // and now it falls silent
	CHECK(s->a.sent == 3);
	end(s);
}

// ---- what has no place ----

static void test_garbage_changes_nothing(void **state)
{
	struct sim *s = start();
	uint8_t junk[300];
	uint64_t rng = 7;

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	for (unsigned i = 0; i < 2000; i++) {
		struct ike_sa_info info;
		size_t len = fake_random(&rng) % sizeof(junk);

		for (size_t k = 0; k < len; k++)
			junk[k] = (uint8_t)fake_random(&rng);
		if (len >= 28) { // a header that finds the SA
			ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &info);
			memcpy(junk, info.spi_i, 8);
			memcpy(junk + 8, info.spi_r, 8);
			junk[17] = 0x20;
			junk[16] = (uint8_t)(33 + i % 16);
			junk[18] = (uint8_t)(34 + i % 5);
			junk[19] = i & 1 ? 0x08 : 0x00;
			junk[20] = junk[21] = junk[22] = 0;
			junk[23] = (uint8_t)(i % 4);
			junk[24] = junk[25] = 0;
			junk[26] = (uint8_t)(len >> 8);
			junk[27] = (uint8_t)len;
		}
		sim_inject(s, i & 1 ? &s->b : &s->a, junk, len);
	}
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(s->a.sent == 2 && s->b.sent == 2);
	sim_check(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(s->b.sent == 3);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_gateways_one_tunnel),
		cmocka_unit_test(test_every_suite),
		cmocka_unit_test(test_addresses_as_identities),
		cmocka_unit_test(test_childless),
		cmocka_unit_test(test_both_begin_at_once),
		cmocka_unit_test(test_lost_init_request_is_repeated),
		cmocka_unit_test(test_lost_init_response_is_repeated),
		cmocka_unit_test(test_lost_auth_response_is_repeated_not_redone),
		cmocka_unit_test(test_everything_comes_twice),
		cmocka_unit_test(test_silent_peer_is_given_up),
		cmocka_unit_test(test_half_open_sa_ends),
		cmocka_unit_test(test_forced_encapsulation),
		cmocka_unit_test(test_nat_before_the_initiator),
		cmocka_unit_test(test_esp_alone_shows_where_the_peer_is),
		cmocka_unit_test(test_terminate),
		cmocka_unit_test(test_both_terminate_at_once),
		cmocka_unit_test(test_terminate_before_keys),
		cmocka_unit_test(test_terminate_during_auth_deletes_what_came_of_it),
		cmocka_unit_test(test_terminating_a_dead_peer_is_bounded),
		cmocka_unit_test(test_child_deleted),
		cmocka_unit_test(test_child_deleted_by_both_at_once),
		cmocka_unit_test(test_dead_peer_is_noticed),
		cmocka_unit_test(test_traffic_is_a_sign_of_life),
		cmocka_unit_test(test_garbage_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
