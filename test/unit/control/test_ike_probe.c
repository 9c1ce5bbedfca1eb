// Probes (control/ike_run_probe.c): what they send over the sockets of IKE, what they leave behind,
// and what ends them.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/doctor/doctor.h"
#include "control/recorder.h"
#include "fake_probe_socket.h"

static struct recorder *on_a;

static struct {
	unsigned done, progress, sent, of;
} heard;

static void on_progress(void *ctx, const char *question, unsigned sent, unsigned of)
{
	assert_ptr_equal(ctx, &heard);
	assert_true(question && *question);
	heard.progress++;
	heard.sent = sent;
	heard.of = of;
}

static void on_done(void *ctx)
{
	assert_ptr_equal(ctx, &heard);
	heard.done++;
}

static const struct ike_run_probe_watch watch = {on_progress, on_done, &heard};

static int setup(void **state)
{
	int rc = pair_setup(state);
	struct pair *n = *state;

	memset(&heard, 0, sizeof(heard));
	probe_fake = (struct probe_fake){.prober = &n->a};
	assert_int_equal(recorder_create(&on_a), 0);
	ike_run_set_recorder(n->a.run, on_a);
	return rc;
}

static int teardown(void **state)
{
	int rc = pair_teardown(state);

	recorder_destroy(on_a);
	assert_int_equal(probe_fake.open, 0);
	return rc;
}

static struct doctor_probe_facts probe(struct pair *n)
{
	struct doctor_probe_facts f;
	struct error err;

	if (ike_run_probe(n->a.run, "lab", &watch, &err))
		fail_msg("%s", err.text);
	WAIT(n->base, heard.done == 1);
	assert_true(ike_run_probe_facts(n->a.run, "lab", &f));
	return f;
}

static struct doctor_report examine(struct gateway *g)
{
	struct doctor_facts f = {0};
	struct doctor_report r;

	assert_int_equal(ike_run_doctor(g->run, 0, &f), 0);
	doctor_examine(&f, &r);
	return r;
}

static bool recorded(const char *code, struct record_event *out)
{
	struct record_event e = {0};
	bool found = false;

	for (uint64_t after = 0; recorder_event_after(on_a, after, &e); after = e.id)
		if (strcmp(e.code, code) == 0) {
			*out = e;
			found = true;
		}
	return found;
}

// How many headers of that direction are kept of B.
static unsigned headers(bool out, enum record_fate fate)
{
	const struct record_header *h;
	struct ip_addr peer;
	unsigned n = 0;
	size_t at;

	assert_int_equal(ip_addr_parse(B, &peer), 0);
	if (!recorder_peer_find(on_a, &peer, &at))
		return 0;
	for (unsigned i = 0; (h = recorder_peer_header(on_a, at, i)); i++)
		n += h->out == out && h->fate == fate;
	return n;
}

static void test_all_is_well(void **state)
{
	struct pair *n = *state;
	struct doctor_probe_facts f;
	struct record_event e = {0};

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", ""));
	assert_false(ike_run_probe_facts(n->a.run, "lab", &f)); // none yet
	f = probe(n);
	assert_int_equal(f.echo.answered, 5);
	assert_int_equal(f.echo.ttl, 60);
	assert_int_equal(f.echo_fits, 1500);
	assert_int_equal(f.ike_500.answered, 4);
	assert_int_equal(f.ike_500_large.answer, DOCTOR_ANSWERED);
	assert_int_equal(f.ike_500_fragment.answer, DOCTOR_ANSWERED);
	assert_int_equal(f.ike_4500.answered, 4);
	assert_int_equal(f.ike_500_other_source.answer, DOCTOR_ANSWERED);
	assert_int_equal(f.ike_alt.answer, DOCTOR_NOT_PROBED);
	assert_true(f.hops_500.arrived && f.hops_4500.arrived);
	assert_int_equal(probe_fake.echoes, 11);
	assert_true(n->a.datagrams <= LIMIT_PROBE_PACKETS);
	assert_true(heard.progress > 20 && heard.sent <= heard.of);
	// Nothing of it has begun an IKE SA.
	assert_int_equal(n->a.run->n_sas, 0);
	assert_int_equal(n->b.run->n_sas, 0);
	assert_int_equal(n->b.run->n_half_open, 0);
	assert_int_equal(n->a.run->stats.rx_unknown_sa, 0);
	// Both sides of each question stand in the record, once.
	assert_int_equal(headers(true, RECORD_FATE_SENT), 9);
	assert_int_equal(headers(false, RECORD_FATE_TAKEN), 9);
	assert_true(recorded("probed", &e));
	assert_int_equal(e.kind, RECORD_IKE);
	assert_string_equal(e.conn, "lab");
	assert_string_equal(e.text, B " probed: answers to 5 of 5 echoes, 4 of 4 IKE_SA_INITs to "
				      "500, 4 of 4 to 4500");
}

static void test_500_is_filtered(void **state)
{
	struct pair *n = *state;
	struct doctor_probe_facts f;

	n->b.no_port = IKE_PORT;
	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", ""));
	f = probe(n);
	assert_int_equal(f.ike_500.answer, DOCTOR_SILENT);
	assert_int_equal(f.ike_500_other_source.answer, DOCTOR_SILENT);
	assert_int_equal(f.ike_4500.answer, DOCTOR_ANSWERED);
	assert_false(f.hops_500.arrived);
	assert_true(f.hops_4500.arrived);
}

static void test_filtered_by_source_port(void **state)
{
	struct pair *n = *state;
	struct doctor_probe_facts f;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", ""));
	n->a.no_port = IKE_PORT;
	f = probe(n);
	assert_int_equal(f.ike_500.answer, DOCTOR_SILENT);
	assert_int_equal(f.ike_500_other_source.answer, DOCTOR_ANSWERED);
}

// Where an IKE SA is up it is asked there, and goes on; what it records is not pushed out.
static void test_a_tunnel_goes_on(void **state)
{
	struct pair *n = *state;
	unsigned before;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
	before = headers(true, RECORD_FATE_SENT);
	assert_int_equal(before, 2);
	probe(n);
	assert_int_equal(headers(true, RECORD_FATE_SENT), before + 9);
	assert_true(pair_joined(n));
	assert_int_equal(established(&n->a), 1);
	assert_int_equal(examine(&n->a).status, DOCTOR_HEALTHY);
}

// A packet filter of our own is seen by the probe as by IKE.
static void test_what_linux_refuses(void **state)
{
	struct pair *n = *state;
	struct doctor_probe_facts f;

	gateway_configure(&n->a, pair_config('a', "", ""));
	n->a.refuse_sends = true;
	f = probe(n);
	assert_int_equal(f.ike_500.answer, DOCTOR_NOT_PROBED);
	assert_int_equal(f.ike_500.sent, 0);
	assert_int_equal(headers(true, RECORD_FATE_SEND_FAILED), 9);
	assert_int_equal(examine(&n->a).code, DOCTOR_I_LOCALFILTER);
}

static void test_who_is_not_probed(void **state)
{
	struct pair *n = *state;
	struct error err;

	gateway_configure(&n->a, pair_config('a', "", ""));
	assert_int_equal(ike_run_probe(n->a.run, "nobody", &watch, &err), -ENOENT);
	assert_string_equal(err.text, "no connection 'nobody'");
	probe_fake.no_socket = true;
	assert_int_equal(ike_run_probe(n->a.run, "lab", &watch, &err), -EPERM);
	probe_fake.no_socket = false;
	wire_no_route(true);
	assert_true(ike_run_probe(n->a.run, "lab", &watch, &err) < 0);
	wire_no_route(false);
	gateway_configure(&n->b, "gateway { ports { wan { device = net_null0\n addrs = " B
				 "/24 } } }\nconnections { any { version = 2\n"
				 " local { auth = psk }\n remote { auth = psk } } }\n");
	assert_int_equal(ike_run_probe(n->b.run, "any", &watch, &err), -EINVAL);
	assert_non_null(strstr(err.text, "there is nobody to probe"));
	assert_int_equal(heard.done + heard.progress, 0);
	assert_int_equal(n->a.run->n_probes, 0);
}

// Two, and then the bucket is empty; each of them once at a time.
static void test_no_more_than_the_peer_can_be_asked(void **state)
{
	struct pair *n = *state;
	struct error err;

	gateway_configure(&n->a, pair_config('a', "", ""));
	for (unsigned i = 0; i < LIMIT_PROBE_BUCKET / LIMIT_PROBE_PACKETS; i++)
		assert_int_equal(ike_run_probe(n->a.run, "lab", NULL, &err), 0);
	assert_int_equal(ike_run_probe(n->a.run, "lab", NULL, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "lab was probed enough for now: again in "));
	WAIT(n->base, n->a.run->n_probes == 0);
}

// The connection goes in the middle of it: it ends as usual, and then there is nothing to tell of.
static void test_a_reload_meanwhile(void **state)
{
	struct pair *n = *state;
	struct doctor_probe_facts f;
	struct error err;
	char *text;

	gateway_configure(&n->a, pair_config('a', "", ""));
	assert_int_equal(ike_run_probe(n->a.run, "lab", &watch, &err), 0);
	turn(n->base, 200);
	text = pair_config('a', "", "");
	memcpy(strstr(text, "lab {"), "bal", 3);
	gateway_configure(&n->a, text);
	WAIT(n->base, heard.done == 1);
	assert_false(ike_run_probe_facts(n->a.run, "lab", &f));
	assert_int_equal(n->a.run->n_probes, 0);
}

// Who asked has gone: nobody is called. Nor by the end of the gateway.
static void test_nobody_waits_any_more(void **state)
{
	struct pair *n = *state;
	struct error err;
	unsigned before;

	gateway_configure(&n->a, pair_config('a', "", ""));
	assert_int_equal(ike_run_probe(n->a.run, "lab", &watch, &err), 0);
	turn(n->base, 200);
	ike_run_probe_unwatch(n->a.run, &heard);
	before = heard.progress;
	assert_true(before > 0);
	turn(n->base, 200);
	assert_int_equal(heard.progress, before);
	assert_int_equal(n->a.run->n_probes, 1); // it goes on: pair_teardown ends it
	assert_int_equal(heard.done, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_is_well),
		TEST(test_500_is_filtered),
		TEST(test_filtered_by_source_port),
		TEST(test_a_tunnel_goes_on),
		TEST(test_what_linux_refuses),
		TEST(test_who_is_not_probed),
		TEST(test_no_more_than_the_peer_can_be_asked),
		TEST(test_a_reload_meanwhile),
		TEST(test_nobody_waits_any_more),
	};

	return cmocka_run_group_tests_name("ike_probe", tests, NULL, NULL);
}
