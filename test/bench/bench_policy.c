// Nanoseconds of a policy look-up against the number of tunnels, through the index and by walking
// the list, on the same policies and packets in the same run.
//
//   bench_policy [LOOKUPS]
//
// A hub: every tunnel protects 10.0.0.0/8 to a /24 of its own; behind them one policy discards the
// rest of 172.16.0.0/12 and up. With IPv6 it protects 2001:db8::/36 to a /56 of its own. Packets go
// to random sites, so the policies are cold. Each figure is the best of 10 blocks.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "dataplane/policy6.h"
#include "dataplane/policy_index.h"
#include "test/unit/dataplane/fake_dp.h"

enum { SITES_MAX = 100000, BLOCKS = 10, FLOWS = 65536 };

static struct dp_policy policy[2 * (SITES_MAX + 1)];
static struct flow flow[FLOWS];
static struct flow6 flow6[FLOWS];

// 2001:db8:1000::/36 has room for them.
static struct ip_prefix site6(unsigned i)
{
	const uint8_t a[16] = {
		0x20,	   0x01, 0x0d, 0xb8, (uint8_t)(0x10 | (i >> 16 & 15)), (uint8_t)(i >> 8),
		(uint8_t)i};

	return (struct ip_prefix){ip_addr_from_bytes(a, 16), 56};
}

static void make_policies(unsigned n, uint32_t tunnel)
{
	for (unsigned i = 0; i < n; i++) {
		const struct ip_prefix site = {ip_addr_v4(0xac000000 + (i << 8)), 24};

		policy[i] = (struct dp_policy){DP_PROTECT, sel("10.0.0.0/8"),
					       selector_from_prefix(&site), tunnel};
	}
	for (unsigned i = 0; i < n; i++) {
		const struct ip_prefix site = site6(i);

		policy[n + 1 + i] = (struct dp_policy){DP_PROTECT, sel("2001:db8::/36"),
						       selector_from_prefix(&site), tunnel};
	}
	policy[2 * n + 1] =
		(struct dp_policy){DP_DISCARD, sel("2001:db8::/36"), sel("2001:db8::/32"), 0};
	policy[n] = (struct dp_policy){DP_DISCARD, sel("10.0.0.0/8"), sel("128.0.0.0/1"), 0};
	for (unsigned i = 0; i < FLOWS; i++)
		flow[i] = (struct flow){.src = 0x0a000001,
					.dst = 0xac000001 + ((uint32_t)random() % n << 8),
					.proto = 6,
					.ports = FLOW_PORTS_KNOWN};
	for (unsigned i = 0; i < FLOWS; i++) {
		const struct ip_prefix site = site6((unsigned)random() % n);

		flow6[i] = (struct flow6){.src = (addr6)0x20010db8 << 96 | 1,
					  .dst = addr6_load(site.addr.bytes) + 1,
					  .proto = 6,
					  .ports = FLOW_PORTS_KNOWN};
	}
	assert_int_equal(dp_policies_set(&fake.dp, policy, 2 * n + 2), 0);
}

static double measure(const struct policies *p, unsigned lookups, bool v6)
{
	uint64_t best = UINT64_MAX;
	uintptr_t sum = 0;

	for (unsigned b = 0; b < BLOCKS; b++) {
		const uint64_t start = rte_rdtsc();
		uint64_t took;

		for (unsigned i = 0; i < lookups && v6; i++)
			sum += (uintptr_t)policy6_find_out(p->v6, &flow6[i % FLOWS],
							   policy_port(0));
		for (unsigned i = 0; i < lookups && !v6; i++)
			sum += (uintptr_t)policy_find_out(p, &flow[i % FLOWS], policy_port(0));
		took = rte_rdtsc() - start;
		best = took < best ? took : best;
	}
	assert_true(sum != 0); // and nothing is optimised away
	return (double)best * 1e9 / (double)rte_get_tsc_hz() / lookups;
}

int main(int argc, char **argv)
{
	static const unsigned sizes[] = {1, 10, 100, 1000, 10000, SITES_MAX};
	const unsigned lookups = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200000;
	uint32_t tunnel;

	if (lookups == 0 || fake_group_setup(NULL) != 0 || fake_setup(NULL) != 0) {
		fprintf(stderr, "bench_policy: LOOKUPS is a number, and DPDK has to start\n");
		return 1;
	}
	assert_int_equal(dp_tunnel_add(&fake.dp, "bench", &tunnel), 0);
	printf("%9s %9s %9s %9s %9s %14s\n", "policies", "index ns", "walk ns", "IPv6: ind", "walk",
	       "bytes a policy");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const unsigned n = sizes[i];
		const unsigned walks = n > 1000 ? lookups / (n / 100) + 1 : lookups;
		struct policies *p;
		struct policy_index *index, *index6;
		double with, without, with6, without6;

		make_policies(n, tunnel);
		p = fake.dp.policies;
		index = p->index;
		index6 = p->v6->index;
		with = measure(p, lookups, false);
		with6 = measure(p, lookups, true);
		p->index = p->v6->index = NULL;
		without = measure(p, walks, false);
		without6 = measure(p, walks, true);
		p->index = index;
		p->v6->index = index6;
		printf("%9u %9.1f %9.1f %9.1f %9.1f %7.0f %6.0f%s\n", n + 1, with, without, with6,
		       without6,
		       sizeof(p->entry[0]) +
			       (index ? (index->n * 8.0 + index->first[index->n] * 4.0) / n : 0),
		       sizeof(p->v6->entry[0]) +
			       (index6 ? (index6->n * 20.0 + index6->first[index6->n] * 4.0) / n
				       : 0),
		       index ? "" : "  (no index)");
		fake_reclaim();
	}
	return 0;
}
