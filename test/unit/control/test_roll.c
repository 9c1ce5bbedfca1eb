// Look-ups by name (control/ike_run_roll.c): commands and lists of several connections, some of
// whose children bear the same name, across reloads.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

// `conns`: one letter for each connection, in the order of the file. Its child is `net`, and that
// of an upper-case letter has another network.
static char *config(char site, const char *conns, const char *action)
{
	static char text[8192];
	char peer = site == 'a' ? 'b' : 'a';
	const char *here = site == 'a' ? A : B, *there = site == 'a' ? B : A;
	size_t at;

	at = (size_t)snprintf(text, sizeof(text),
			      "gateway { ports { wan { device = net_null0\n addrs = %s/24 } } }\n"
			      "connections {\n",
			      here);
	for (; *conns; conns++) {
		char c = *conns | 0x20;
		unsigned net = (unsigned)(c - 'a') + (*conns == c ? 0 : 100);

		at += (size_t)snprintf(
			text + at, sizeof(text) - at,
			"conn-%c { version = 2\n local_addrs = %s\n remote_addrs = %s\n"
			" proposals = aes128gcm16-prfsha256-x25519\n"
			" local { auth = psk\n id = %c-%c }\n remote { auth = psk\n id = %c-%c }\n"
			" children { net { local_ts = 10.%c.%u.0/24\n remote_ts = 10.%c.%u.0/24\n"
			" start_action = %s } } }\n",
			c, here, there, site, c, peer, c, site == 'a' ? '1' : '2', net,
			site == 'a' ? '2' : '1', net, action);
	}
	snprintf(text + at, sizeof(text) - at, "}\nsecrets { ike-1 { secret = \"s\" } }\n");
	return text;
}

static void up(struct pair *n, const char *conns)
{
	gateway_configure(&n->b, config('b', conns, "none"));
	gateway_configure(&n->a, config('a', conns, "start"));
	WAIT(n->base, established(&n->a) == strlen(conns) && established(&n->b) == strlen(conns));
	WAIT(n->base, n->a.run->n_child_sas == strlen(conns));
}

struct seen {
	unsigned n, at_most;
	uint32_t id[16];
	char names[256];
};

static bool see(void *ctx, const struct ike_run_sa *sa)
{
	struct seen *seen = ctx;

	assert_true(seen->n == 0 || sa->id > seen->id[seen->n - 1]);
	seen->id[seen->n++] = sa->id;
	strcat(seen->names, sa->info.conn->name + strlen("conn-"));
	return seen->n != seen->at_most;
}

static struct seen list(struct pair *n, const char *conn, uint32_t ike_id, uint32_t after)
{
	const struct ike_run_select sel = {.conn = conn, .ike_id = ike_id};
	struct seen seen = {0};

	assert_int_equal(ike_run_each(n->a.run, &sel, after, see, &seen), 0);
	return seen;
}

static void test_lists(void **state)
{
	struct pair *n = *state;
	struct seen all, one, rest, some = {.at_most = 2};

	up(n, "abcd");
	all = list(n, NULL, 0, 0);
	assert_int_equal(all.n, 4);
	one = list(n, "conn-c", 0, 0);
	assert_int_equal(one.n, 1);
	assert_string_equal(one.names, "c");
	assert_int_equal(list(n, "conn-c", 0, one.id[0]).n, 0);
	assert_int_equal(list(n, "conn", 0, 0).n, 0);
	assert_int_equal(list(n, "conn-c", one.id[0], 0).n, 1);
	assert_int_equal(list(n, "conn-c", all.id[all.id[0] == one.id[0]], 0).n, 0);
	rest = list(n, NULL, 0, all.id[1]);
	assert_int_equal(rest.n, 2);
	assert_int_equal(rest.id[0], all.id[2]);
	rest = list(n, NULL, all.id[2], 0);
	assert_int_equal(rest.n, 1);
	assert_int_equal(rest.id[0], all.id[2]);
	assert_int_equal(ike_run_each(n->a.run, NULL, 0, see, &some), 0);
	assert_int_equal(some.n, 2);
	// It goes on behind one that is gone meanwhile.
	run_sa_drop(run_sa_by_id(n->a.run, all.id[1]));
	rest = list(n, NULL, 0, all.id[1]);
	assert_int_equal(rest.id[0], all.id[2]);
}

static unsigned rekeyed(struct pair *n, const char *conn, const char *child)
{
	const struct ike_run_select sel = {.conn = conn, .child = child};
	struct error err;
	unsigned matched = 0;

	ike_run_rekey(n->a.run, &sel, false, &matched, &err);
	turn(n->base, 50);
	return matched;
}

static void test_commands_mean_who_bears_the_name(void **state)
{
	struct ike_run_select sel = {.conn = "conn-b", .child = "net"};
	struct pair *n = *state;
	struct error err;
	unsigned matched;

	up(n, "abc");
	assert_int_equal(rekeyed(n, "conn-a", NULL), 1);
	assert_int_equal(rekeyed(n, "conn-a", "net"), 1);
	assert_int_equal(rekeyed(n, NULL, "net"), 3);
	assert_int_equal(rekeyed(n, NULL, NULL), 3);
	assert_int_equal(rekeyed(n, "conn-a", "nat"), 0);
	assert_int_equal(rekeyed(n, NULL, "nat"), 0);
	assert_int_equal(rekeyed(n, "conn", NULL), 0);
	WAIT(n->base, established(&n->a) == 3 && established(&n->b) == 3);
	assert_int_equal(ike_run_terminate(n->a.run, &sel, NULL, &matched, &err), 0);
	assert_int_equal(matched, 1);
	WAIT(n->base, out_spi(&n->a, "conn-b.net") == 0);
	assert_int_not_equal(out_spi(&n->a, "conn-a.net"), 0);
	sel.conn = NULL;
	assert_int_equal(ike_run_terminate(n->a.run, &sel, NULL, &matched, &err), 0);
	assert_int_equal(matched, 2);
	WAIT(n->base, out_spi(&n->a, "conn-a.net") == 0 && out_spi(&n->a, "conn-c.net") == 0);
}

static void test_the_first_in_the_file_is_meant(void **state)
{
	struct pair *n = *state;
	uint32_t tunnel, net;
	struct error err;

	gateway_configure(&n->a, config('a', "bac", "none"));
	gateway_configure(&n->b, config('b', "abc", "none"));
	assert_int_equal(ike_run_tunnel(n->a.run, NULL, "net", &tunnel, &err), -ENOTUNIQ);
	assert_non_null(strstr(err.text, "of conn-b and of conn-a"));
	assert_int_equal(ike_run_tunnel(n->a.run, "conn-a", "net", &tunnel, &err), 0);
	// The same connections in another order, and then fewer.
	gateway_configure(&n->a, config('a', "cab", "none"));
	assert_int_equal(ike_run_tunnel(n->a.run, "conn-a", "net", &net, &err), 0);
	assert_int_equal(net, tunnel);
	assert_int_equal(ike_run_tunnel(n->a.run, NULL, "net", &tunnel, &err), -ENOTUNIQ);
	assert_non_null(strstr(err.text, "of conn-c and of conn-a"));
	assert_int_equal(ike_run_initiate(n->a.run, NULL, "net", NULL, &err), 0);
	WAIT(n->base, out_spi(&n->a, "conn-c.net") != 0);
	gateway_configure(&n->a, config('a', "a", "none"));
	assert_int_equal(ike_run_tunnel(n->a.run, NULL, "net", &net, &err), 0);
	assert_int_equal(ike_run_tunnel(n->a.run, "conn-c", "net", &net, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no connection 'conn-c'"));
}

// Its connection has left the configuration, or a child has: the SAs are still named so.
static void test_what_is_going_is_found(void **state)
{
	const struct ike_run_select sel = {.child = "net"};
	struct pair *n = *state;
	struct error err;
	unsigned matched;

	up(n, "ab");
	n->b.deaf = true;
	gateway_configure(&n->a, config('a', "A", "none"));
	assert_int_equal(list(n, "conn-b", 0, 0).n, 1); // waits for the answer to its DELETE
	assert_int_equal(list(n, "conn-a", 0, 0).n, 1);
	// The child that was replaced is being deleted and has an heir of the same name.
	assert_int_equal(ike_run_terminate(n->a.run, &sel, NULL, &matched, &err), 0);
	assert_int_equal(matched, 1);
	n->b.deaf = false;
	WAIT(n->base, list(n, "conn-b", 0, 0).n == 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lists),
		T(test_commands_mean_who_bears_the_name),
		T(test_the_first_in_the_file_is_meant),
		T(test_what_is_going_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
