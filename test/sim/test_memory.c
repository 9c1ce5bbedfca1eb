// Memory runs out at every single place: nothing leaks, nothing crashes, and once there is memory
// again two gateways have their tunnel. malloc and its kin are wrapped by the linker.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/check.h"
#include "test/sim/sim.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);

static bool inside;	   // of the core
static unsigned countdown; // to the call that fails, 0: none
static bool failed;

static bool fails(void)
{
	if (!inside || countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

static void around(bool entering)
{
	inside = entering;
}

static void every_allocation_fails_once(size_t fragment_size, bool certs)
{
	static const uint8_t other[] = {11}, both[] = {2, 12};
	unsigned n = 0;

	do {
		struct sim *s = __real_malloc(sizeof(*s));

		sim_init(s, 5);
		s->around = around;
		if (certs)
			sim_use_certs(s, 2);
		s->a.conf.fragment_size = s->b.conf.fragment_size = fragment_size;
		s->a.conf.dpd_delay_ms = s->b.conf.dpd_delay_ms = 20000;
		s->a.conf.mobike = s->b.conf.mobike = true;
		sim_addresses(s, &s->b, both, 2);
		failed = false;
		countdown = ++n;
		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		sim_check(s, &s->b);
		sim_addresses(s, &s->a, other, 1);
		sim_run_until(s, 2300);
		sim_addresses(s, &s->b, both + 1, 1);
		sim_rekey_child(s, &s->a);
		sim_run_until(s, 2600);
		sim_rekey(s, &s->b);
		sim_run_until(s, 3000);
		sim_terminate_child(s, &s->a);
		sim_run_until(s, 4000);
		sim_terminate(s, &s->b);
		sim_run_until(s, 5000);
		countdown = 0;
		// What one side lost, the other gives up in its own time.
		sim_run_until(s, 600000);
		sim_terminate(s, &s->a);
		sim_terminate(s, &s->b);
		sim_run_until(s, 700000);
		CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
		sim_initiate(s, &s->a);
		sim_run_until(s, 702000);
		if (!sim_sa(&s->a, IKE_ST_ESTABLISHED) || !sim_agree(s) ||
		    sim_children(&s->a) != 1 || !sim_fini(s))
			fail_msg("allocation %u: %s", n, s->broken);
		free(s);
	} while (failed);
	CHECK(n > 60); // the run without a failure was the last
}

static void test_every_allocation_fails_once(void **state)
{
	(void)state;
	every_allocation_fails_once(1280, false);
}

static void test_the_same_with_fragments(void **state)
{
	(void)state;
	every_allocation_fails_once(160, false);
}

static void test_the_same_with_certificates(void **state)
{
	(void)state;
	every_allocation_fails_once(1280, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_fails_once),
		cmocka_unit_test(test_the_same_with_fragments),
		cmocka_unit_test(test_the_same_with_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
