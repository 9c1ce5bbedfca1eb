// IKE_AUTH that waits: credentials that cannot say at once whether a certificate is revoked.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/ike/sa.h"
#include "test/sim/check.h"
#include "test/sim/sim.h"

// Credentials that say "not yet" so many times, and then what they are told to.
struct patience {
	struct ike_cred table;
	unsigned pending, asked, last_words;
	bool refuses;
	size_t cert_len; // of our certificate, 0: none
};

static int local_id(void *ctx, const char *conn, struct identity *out)
{
	(void)ctx;
	(void)conn;
	(void)out;
	return -ENOENT;
}

static int chain(void *ctx, const char *conn, const uint8_t *cas, size_t n, struct ike_certs *out,
		 struct error *err)
{
	static const uint8_t cert[4000] = {0x30};
	const struct patience *p = ctx;

	(void)conn;
	(void)cas;
	(void)n;
	(void)err;
	out->n = p->cert_len > 0;
	out->cert[0] = (struct ike_buf){cert, p->cert_len};
	return 0;
}

static int sign(void *ctx, const char *conn, const struct ike_certs *own, unsigned peer_hashes,
		const struct ike_buf *octets, uint8_t *method, uint8_t *out, size_t *len,
		struct error *err)
{
	(void)ctx;
	(void)conn;
	(void)own;
	(void)peer_hashes;
	(void)octets;
	(void)err;
	*method = AUTH_RSA;
	memset(out, 0x5a, 256);
	*len = 256;
	return 0;
}

static int verify(void *ctx, const char *conn, const struct identity *peer,
		  const struct ike_certs *certs, const struct ike_signature *sig, uint32_t *wait,
		  struct error *err)
{
	struct patience *p = ctx;

	(void)conn;
	(void)peer;
	CHECK(sig->data.len == 256 && certs->n == (p->cert_len > 0));
	p->asked++;
	p->last_words += !wait;
	if (wait && p->pending > 0) {
		p->pending--;
		*wait = 100 + p->asked;
		return error_set(err, -EINPROGRESS, "for an answer of http://ocsp.example/");
	}
	return p->refuses ? error_set(err, -EACCES, "certificate 'CN=x' is revoked") : 0;
}

static void cas(void *ctx, const char *conn, uint8_t *out, size_t *n)
{
	(void)ctx;
	(void)conn;
	(void)out;
	(void)n;
}

static struct patience patience[2];
static struct sim sim;
static uint64_t began;

static void use(struct sim_peer *p, struct patience *with)
{
	*with = (struct patience){
		.table = {.ctx = with,
			  .local_id = local_id,
			  .chain = chain,
			  .sign = sign,
			  .verify = verify,
			  .cas = cas},
	};
	p->env.cred = &with->table;
	p->conf.local_auth = p->conf.remote_auth = AUTH_BY_SIGNATURE;
}

static void begin(void)
{
	sim_init(&sim, 3);
	use(&sim.a, &patience[0]);
	use(&sim.b, &patience[1]);
	began = sim.now_ms;
}

static void run_to(uint64_t ms) // after the begin
{
	sim_run_until(&sim, began + ms);
}

static void end(void)
{
	if (!sim_fini(&sim))
		fail_msg("%s", sim.broken);
}

static bool both_up(void)
{
	return sim_sa(&sim.a, IKE_ST_ESTABLISHED) && sim_sa(&sim.b, IKE_ST_ESTABLISHED) &&
	       sim_agree(&sim) && sim_children(&sim.a) == 1;
}

static void test_responder_waits(void **state)
{
	(void)state;
	begin();
	patience[1].pending = 2;
	sim_initiate(&sim, &sim.a);
	run_to(400);
	CHECK(sim.b.waits == 1 && sim.b.last_wait == 101);
	CHECK(!sim_sa(&sim.b, IKE_ST_ESTABLISHED));
	sim_go_on(&sim, &sim.b);
	CHECK(sim.b.waits == 2 && sim.b.last_wait == 102 && patience[1].asked == 2);
	sim_go_on(&sim, &sim.b);
	CHECK(patience[1].asked == 3 && patience[1].last_words == 0);
	run_to(1000);
	CHECK(both_up() && sim_errors(&sim.a) == 0 && sim_errors(&sim.b) == 0);
	sim_go_on(&sim, &sim.b); // late: nothing waits
	CHECK(patience[1].asked == 3 && both_up());
	end();
}

static void test_initiator_waits(void **state)
{
	(void)state;
	begin();
	patience[0].pending = 1;
	sim_initiate(&sim, &sim.a);
	run_to(3000);
	CHECK(sim.a.waits == 1 && sim_sa(&sim.b, IKE_ST_ESTABLISHED));
	CHECK(!sim_sa(&sim.a, IKE_ST_ESTABLISHED));
	sim_go_on(&sim, &sim.a);
	CHECK(both_up() && sim_errors(&sim.a) == 0 && patience[0].last_words == 0);
	end();
}

static void test_repeated_request_is_not_handled_twice(void **state)
{
	unsigned sent;

	(void)state;
	begin();
	patience[1].pending = 100;
	sim_initiate(&sim, &sim.a);
	run_to(2000);
	sent = sim.a.sent;
	run_to(LIMIT_IKE_PARKED_MS - 100);
	CHECK(sim.a.sent > sent && patience[1].asked == 1); // repeated after 4000 ms
	run_to(LIMIT_IKE_PARKED_MS + 1000);
	CHECK(patience[1].asked == 2 && patience[1].last_words == 1 && both_up());
	end();
}

// Nobody says that the answer has come: the time is over for the second wait as for the first.
static void test_the_wait_ends(void **state)
{
	(void)state;
	begin();
	patience[1].pending = 100;
	patience[1].refuses = true;
	sim_initiate(&sim, &sim.a);
	run_to(LIMIT_IKE_PARKED_MS - 500);
	sim_go_on(&sim, &sim.b);
	CHECK(patience[1].asked == 2 && patience[1].last_words == 0);
	run_to(LIMIT_IKE_PARKED_MS + 1000);
	CHECK(patience[1].asked == 3 && patience[1].last_words == 1);
	CHECK(sim_reported(&sim.b, IKE_REPORT_CERT) &&
	      strstr(sim_reported(&sim.b, IKE_REPORT_CERT)->text, "is revoked"));
	CHECK(sim_reported(&sim.a, IKE_REPORT_PEER_REFUSED_AUTH) && sim_open(&sim.a) == 0);
	CHECK(sim.b.refusal && sim.b.refusal->exchange == EXCHANGE_IKE_AUTH &&
	      ip_addr_equal(&sim.b.refusal->remote.addr, &sim.a.addr));
	end();
}

static void test_initiator_refuses_after_waiting(void **state)
{
	(void)state;
	begin();
	patience[0].pending = 1;
	patience[0].refuses = true;
	sim_initiate(&sim, &sim.a);
	run_to(LIMIT_IKE_PARKED_MS + 2000);
	CHECK(patience[0].last_words == 1 && sim_reported(&sim.a, IKE_REPORT_CERT));
	CHECK(sim_open(&sim.a) == 0 && sim_children(&sim.a) == 0);
	CHECK(sim_open(&sim.b) == 0 && sim_children(&sim.b) == 0); // it was told
	end();
}

static void test_fragments_wait_as_one_message(void **state)
{
	(void)state;
	begin();
	patience[0].cert_len = patience[1].cert_len = 4000;
	sim.a.conf.send_cert = sim.b.conf.send_cert = SEND_CERT_ALWAYS;
	patience[0].pending = patience[1].pending = 1;
	sim_initiate(&sim, &sim.a);
	run_to(700);
	CHECK(sim.a.sent > 3 && sim.b.waits == 1);
	sim_go_on(&sim, &sim.b);
	run_to(1000);
	CHECK(sim.a.waits == 1);
	sim_go_on(&sim, &sim.a);
	CHECK(both_up() && sim_errors(&sim.a) == 0 && sim_errors(&sim.b) == 0);
	end();
}

static void test_the_answer_goes_where_the_request_came_from(void **state)
{
	(void)state;
	begin();
	sim.nat = true;
	sim.nat_port = 1000;
	patience[1].pending = 1;
	sim_initiate(&sim, &sim.a);
	run_to(700);
	CHECK(sim.b.waits == 1);
	sim_go_on(&sim, &sim.b);
	run_to(1000);
	CHECK(sim_sa(&sim.a, IKE_ST_ESTABLISHED) && sim_sa(&sim.b, IKE_ST_ESTABLISHED));
	end();
}

static void test_terminated_while_waiting(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim_peer *p = i ? &sim.b : &sim.a;

		begin();
		patience[i].pending = 100;
		sim_initiate(&sim, &sim.a);
		run_to(700);
		CHECK(p->waits == 1);
		sim_terminate(&sim, p);
		run_to(400000);
		CHECK(sim_open(&sim.a) == 0 && sim_children(&sim.a) == 0);
		CHECK(sim_children(&sim.b) == 0);
		end();
	}
}

static unsigned joins;
static bool joins_allowed;

static bool may_join(void *ctx, const struct ike_conn *conn, const struct identity *local,
		     const struct identity *remote, bool only)
{
	(void)ctx;
	(void)conn;
	(void)local;
	(void)remote;
	(void)only;
	joins++;
	return joins_allowed;
}

// Whether the peer may join, and what it says of MOBIKE, counts when the message is taken up again.
static void test_what_the_message_says_counts_once(void **state)
{
	static const uint8_t two[] = {1, 11};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		begin();
		joins = 0;
		joins_allowed = i == 0;
		sim.b.env.may_join = may_join;
		sim.a.conf.mobike = sim.b.conf.mobike = true;
		sim_addresses(&sim, &sim.a, two, 2);
		patience[0].pending = 1;
		patience[1].pending = 2;
		sim_initiate(&sim, &sim.a);
		run_to(700);
		sim_go_on(&sim, &sim.b);
		CHECK(sim.b.waits == 2 && joins == 0);
		sim_go_on(&sim, &sim.b);
		CHECK(joins == 1);
		run_to(1000);
		sim_go_on(&sim, &sim.a);
		run_to(1200);
		CHECK(joins == 1 && both_up() == joins_allowed);
		if (joins_allowed) {
			CHECK(sim_sa(&sim.a, IKE_ST_ESTABLISHED)->mobike.on);
			CHECK(sim_sa(&sim.a, IKE_ST_ESTABLISHED)->mobike.leader);
			CHECK(sim_sa(&sim.b, IKE_ST_ESTABLISHED)->mobike.n_peer == 2);
		} else {
			CHECK(sim.a.waits == 0);
			CHECK(sim_reported(&sim.a, IKE_REPORT_PEER_REFUSED_AUTH));
		}
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responder_waits),
		cmocka_unit_test(test_initiator_waits),
		cmocka_unit_test(test_repeated_request_is_not_handled_twice),
		cmocka_unit_test(test_the_wait_ends),
		cmocka_unit_test(test_initiator_refuses_after_waiting),
		cmocka_unit_test(test_fragments_wait_as_one_message),
		cmocka_unit_test(test_the_answer_goes_where_the_request_came_from),
		cmocka_unit_test(test_terminated_while_waiting),
		cmocka_unit_test(test_what_the_message_says_counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
