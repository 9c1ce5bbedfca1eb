// What Linux is told of tunnel interfaces, and when they come and go.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "control/ike_run.h"
#include "control/links.h"
#include "control/netmirror.h"
#include "lib/log.h"

enum { MANY = 20 };

// ---- a dataplane, a mirror and children that only remember ----

static struct {
	struct dp_iface_info iface[MANY];
	bool used[MANY], carrier[MANY], forgotten[MANY], trapped[MANY];
	uint16_t mtu[MANY]; // what Linux has
	const char *refused;
} fake;

static unsigned slot_of(unsigned iface)
{
	assert_in_range(iface, DP_IFACE_FIRST, DP_IFACE_FIRST + MANY - 1);
	assert_true(fake.used[iface - DP_IFACE_FIRST]);
	return iface - DP_IFACE_FIRST;
}

int dp_iface_add(struct dp *dp, const char *name, uint16_t mtu, unsigned *iface, struct error *err)
{
	unsigned i = 0;

	(void)dp;
	if (fake.refused && strcmp(name, fake.refused) == 0)
		return error_set(err, -EBUSY, "interface %s: no", name);
	while (fake.used[i])
		i++;
	assert_true(i < MANY);
	fake.used[i] = fake.carrier[i] = true;
	fake.forgotten[i] = fake.trapped[i] = false;
	fake.mtu[i] = mtu;
	*iface = DP_IFACE_FIRST + i;
	fake.iface[i] = (struct dp_iface_info){.name = strdup(name), .iface = *iface};
	return 0;
}

int dp_iface_del(struct dp *dp, unsigned iface)
{
	const unsigned i = slot_of(iface);

	(void)dp;
	fake.used[i] = false;
	free((char *)(uintptr_t)fake.iface[i].name);
	return 0;
}

unsigned dp_iface_find(const struct dp *dp, const char *name)
{
	(void)dp;
	for (unsigned i = 0; i < MANY; i++)
		if (fake.used[i] && strcmp(fake.iface[i].name, name) == 0)
			return DP_IFACE_FIRST + i;
	return DP_IFACE_NONE;
}

size_t dp_ifaces(const struct dp *dp, struct dp_iface_info *out, size_t max)
{
	size_t n = 0;

	(void)dp;
	for (unsigned i = 0; i < MANY; i++) {
		if (!fake.used[i])
			continue;
		if (n < max)
			out[n] = fake.iface[i];
		n++;
	}
	return n;
}

int dp_iface_set_carrier(struct dp *dp, unsigned iface, bool on)
{
	(void)dp;
	fake.carrier[slot_of(iface)] = on;
	return 0;
}

void netmirror_forget(struct netmirror *m, unsigned iface)
{
	(void)m;
	fake.forgotten[slot_of(iface)] = true; // while the dataplane still has it
}

int netmirror_set_mtu(struct netmirror *m, unsigned iface, uint16_t mtu)
{
	(void)m;
	fake.mtu[slot_of(iface)] = mtu;
	return 0;
}

void ike_run_trapped_ifaces(const struct ike_run *run, bool *trapped)
{
	(void)run;
	memcpy(trapped, fake.trapped, sizeof(fake.trapped));
}

// ---- helpers ----

struct world {
	struct event_base *base;
	struct links *links;
	struct config config;
	struct config_iface iface[MANY];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	log_set_level(LOG_LEVEL_ERROR);
	memset(&fake, 0, sizeof(fake));
	w->base = event_base_new();
	w->config.gateway.ifaces = w->iface;
	assert_int_equal(links_create(w->base, NULL, &w->links), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < MANY; i++)
		if (fake.used[i])
			dp_iface_del(NULL, DP_IFACE_FIRST + i);
	links_destroy(w->links);
	event_base_free(w->base);
	free(w);
	return 0;
}

// The configuration has n of them, "vti0" and on.
static void want(struct world *w, unsigned n)
{
	w->config.gateway.n_ifaces = n;
	for (unsigned i = 0; i < n; i++) {
		snprintf(w->iface[i].name, sizeof(w->iface[i].name), "vti%u", i);
		w->iface[i].where = (struct config_where){.file = "f", .line = (int)i + 1};
	}
}

static void reload(struct world *w, unsigned n)
{
	struct error err = {""};

	want(w, n);
	assert_int_equal(links_add(w->links, &w->config, &err), 0);
	links_settle(w->links, &w->config, NULL, NULL);
}

#define WAIT(w, condition)                                                                         \
	do {                                                                                       \
		const time_t end = time(NULL) + 20;                                                \
		while (!(condition) && time(NULL) < end)                                           \
			event_base_loop((w)->base, EVLOOP_ONCE);                                   \
		assert_true(condition);                                                            \
	} while (0)

// ---- tests ----

static void test_carrier_and_mtu(void **state)
{
	struct world *w = *state;

	w->iface[1].mtu = 1300;
	reload(w, 2);
	assert_false(fake.carrier[0]); // no child is up
	assert_int_equal(fake.mtu[0], 1400);
	assert_int_equal(fake.mtu[1], 1300);
	fake.iface[0].up = fake.iface[1].up = 1;
	fake.iface[0].inner_mtu = fake.iface[1].inner_mtu = 1446;
	WAIT(w, fake.carrier[0] && fake.carrier[1] && fake.mtu[0] == 1446);
	assert_int_equal(fake.mtu[1], 1300);
	assert_int_equal(links_state(w->links, DP_IFACE_FIRST).mtu, 1446);
	assert_true(links_state(w->links, DP_IFACE_FIRST).carrier);

	// Down: the MTU stays. Traffic that would bring it up needs a link.
	fake.iface[0].up = fake.iface[1].up = fake.iface[0].inner_mtu = 0;
	fake.trapped[1] = true;
	WAIT(w, !fake.carrier[0]);
	assert_true(fake.carrier[1]);
	assert_int_equal(fake.mtu[0], 1446);
	w->iface[0].mtu = 1280;
	w->iface[1].mtu = 0; // auto
	reload(w, 2);
	assert_int_equal(fake.mtu[0], 1280);
	assert_int_equal(fake.mtu[1], 1446);
}

static int events(const struct world *w)
{
	return event_base_get_num_events(w->base, EVENT_BASE_COUNT_ADDED);
}

// It does not wait for the next regular look.
static void test_children_that_change_are_seen_soon(void **state)
{
	struct world *w = *state;

	links_look(w->links, DP_IFACE_FIRST);
	assert_int_equal(events(w), 0); // nothing to look at
	reload(w, 1);
	assert_int_equal(events(w), 1);
	fake.iface[0].up = 1;
	links_look(w->links, DP_IFACE_FIRST);
	assert_true(fake.carrier[0]); // at once
	fake.iface[0].up = 0;
	links_look(w->links, DP_IFACE_FIRST);
	links_look(w->links, DP_IFACE_FIRST); // many are one
	assert_true(fake.carrier[0]);
	assert_int_equal(events(w), 2);
	WAIT(w, events(w) == 1);
	assert_false(fake.carrier[0]);
}

static void test_what_cannot_be_made_is_undone(void **state)
{
	struct world *w = *state;
	struct error err = {""};

	reload(w, 1);
	want(w, 4);
	fake.refused = "vti3";
	assert_int_equal(links_add(w->links, &w->config, &err), -EBUSY);
	assert_string_equal(err.text, "f:4: gateway.interfaces.vti3: interface vti3: no");
	assert_int_equal(dp_ifaces(NULL, NULL, 0), 1);
	assert_int_equal(dp_iface_find(NULL, "vti0"), DP_IFACE_FIRST);
}

static void test_many_leave_little_by_little(void **state)
{
	struct world *w = *state;

	reload(w, MANY);
	reload(w, 1);
	assert_int_equal(dp_ifaces(NULL, NULL, 0), MANY - 8);
	WAIT(w, dp_ifaces(NULL, NULL, 0) == MANY - 16);
	// Wanted again in between: it has not been away.
	reload(w, MANY);
	assert_int_equal(dp_ifaces(NULL, NULL, 0), MANY);
	event_base_loop(w->base, EVLOOP_ONCE);
	assert_int_equal(dp_ifaces(NULL, NULL, 0), MANY);
	reload(w, 0);
	WAIT(w, dp_ifaces(NULL, NULL, 0) == 0);
	for (unsigned i = 0; i < MANY; i++)
		assert_true(fake.forgotten[i]);
	WAIT(w, event_base_get_num_events(w->base, EVENT_BASE_COUNT_ADDED) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_carrier_and_mtu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_children_that_change_are_seen_soon, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_made_is_undone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_many_leave_little_by_little, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
