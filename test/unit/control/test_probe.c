// The probe of a peer: a network that is a function from packets to answers.
#include <errno.h>
#include <string.h>

#include "control/probe.h"
#include "lib/bytes.h"
#include "test/sim/check.h"

#define NOW_US 5000000ull

static const struct probe_params params = {
	.local = {IP_V4, {192, 0, 2, 1}},
	.remote = {IP_V4, {198, 51, 100, 1}},
	.mtu = 1500,
	.smallest = 300,
	.ident = 0x1234,
	.spi = {1, 2, 3, 4, 5, 6, 7, 8},
};

struct net {		   // what stands between us and the peer, six hops away
	bool no_500_out;   // dropped by hop 3
	bool no_500_in;	   // answers
	bool no_sport_500; // by source port alone
	bool no_4500, no_icmp, no_fragments, no_big_icmp, down;
	bool closed;	   // the peer answers with port unreachable
	unsigned path_mtu; // 0: 1500
	unsigned lost;	   // every nth echo, 0: none
};

enum { HOPS = 6 };

static struct ip_addr hop(unsigned n)
{
	return ip_addr_v4(0xcb007100u + n);
}

static void error(struct probe *p, const struct probe_packet *k, enum doctor_icmp why,
		  struct ip_addr from, uint64_t now)
{
	struct probe_icmp e = {
		.why = why,
		.local = params.local,
		.remote = params.remote,
		.local_port = k->local_port ? k->local_port : 33333,
		.remote_port = k->remote_port,
		.udp_len = (uint16_t)(k->len + (k->local_port == 4500 ? 12 : 8)),
	};

	if (k->remote_port == 0) {
		e.quoted_echo = true;
		e.ident = params.ident;
		e.seq = k->seq;
	}
	CHECK(probe_on_icmp(p, &e, &from, now));
}

static void deliver(const struct net *n, struct probe *p, const struct probe_packet *k,
		    uint64_t now)
{
	const bool fragment =
		k->question == PROBE_500_FRAGMENT || k->question == PROBE_4500_FRAGMENT;
	const struct ip_addr peer = params.remote;
	struct probe_icmp reply = {
		.echo_reply = true, .ident = params.ident, .seq = k->seq, .ttl = 58};

	if (k->ttl && k->ttl < HOPS) {
		if ((k->remote_port == 500 && n->no_500_out && k->ttl > 3) ||
		    (k->remote_port == 4500 && n->no_4500 && k->ttl > 3))
			return;
		error(p, k, DOCTOR_ICMP_TTL, hop(k->ttl), now);
		return;
	}
	if (n->down)
		return;
	if (k->remote_port == 0) {
		if (k->len > 1000 && n->path_mtu && k->len > n->path_mtu) {
			if (!n->no_big_icmp)
				error(p, k, DOCTOR_ICMP_SIZE, hop(2), now);
		} else if (!n->no_icmp && !(n->lost && k->seq % n->lost == 0)) {
			CHECK(probe_on_icmp(p, &reply, &peer, now + 10000));
		}
		return;
	}
	if ((k->remote_port == 500 && (n->no_500_out || n->no_500_in)) ||
	    (k->local_port == 500 && n->no_sport_500) || (k->remote_port == 4500 && n->no_4500) ||
	    (fragment && n->no_fragments))
		return;
	if (n->closed)
		error(p, k, DOCTOR_ICMP_PORT, peer, now);
	else
		CHECK(probe_on_ike(p, k->spi, &peer, now + 20000));
}

static struct doctor_probe_facts run(const struct net *n, uint16_t alt_port, unsigned *sent)
{
	static struct probe p;
	struct probe_params with = params;
	struct doctor_probe_facts f;
	const struct probe_packet *k;
	uint64_t now = NOW_US, last = 0;

	with.alt_port = alt_port;
	probe_init(&p, &with, now);
	*sent = 0;
	while (!probe_is_over(&p, now)) {
		while ((k = probe_next(&p, now))) {
			CHECK(*sent == 0 || now - last >= LIMIT_PROBE_SPACING_US);
			last = now;
			(*sent)++;
			deliver(n, &p, k, now);
		}
		CHECK(probe_due_us(&p) > now);
		now = probe_due_us(&p);
	}
	CHECK(now - last <= PROBE_WAIT_US && *sent <= LIMIT_PROBE_PACKETS);
	probe_facts(&p, &f);
	return f;
}

static void test_all_is_well(void **state)
{
	unsigned sent;
	const struct doctor_probe_facts f = run(&(struct net){0}, 0, &sent);

	(void)state;
	CHECK(f.echo.answer == DOCTOR_ANSWERED && f.echo.sent == 5 && f.echo.answered == 5);
	CHECK(f.echo.rtt_us == 10000 && f.echo.ttl == 58);
	CHECK(f.echo_large.answered == 2 && f.echo_large_len == 1500 && f.echo_fits == 1500);
	CHECK(f.ike_500.answer == DOCTOR_ANSWERED && f.ike_500.rtt_us == 20000);
	CHECK(f.ike_500_large.answered == 2 && f.ike_500_fragment.answered == 2);
	CHECK(f.ike_4500.answered == 4 && f.ike_4500_large.answered == 2);
	CHECK(f.ike_4500_fragment.answered == 2 && f.ike_500_other_source.answered == 3);
	CHECK(f.ike_alt.answer == DOCTOR_NOT_PROBED && f.ike_alt.sent == 0);
	CHECK(f.hops_500.probed && f.hops_500.arrived && f.hops_500.last == HOPS);
	CHECK(ip_addr_equal(&f.hops_4500.last_addr, &params.remote));
	CHECK(sent < 50); // the hops end at the peer
}

static void test_what_is_filtered(void **state)
{
	unsigned sent;
	struct doctor_probe_facts f = run(&(struct net){.no_500_out = true}, 8500, &sent);
	const struct ip_addr third = hop(3);

	(void)state;
	CHECK(f.ike_500.answer == DOCTOR_SILENT && f.ike_500.sent == 4);
	CHECK(f.ike_4500.answer == DOCTOR_ANSWERED && f.echo.answer == DOCTOR_ANSWERED);
	CHECK(f.hops_500.last == 3 && !f.hops_500.arrived && f.hops_4500.arrived);
	CHECK(ip_addr_equal(&f.hops_500.last_addr, &third));
	CHECK(f.ike_alt.answer == DOCTOR_ANSWERED && f.alt_port == 8500);

	f = run(&(struct net){.no_500_in = true}, 0, &sent);
	CHECK(f.hops_500.last == HOPS - 1 && !f.hops_500.arrived);
	f = run(&(struct net){.no_sport_500 = true}, 0, &sent);
	CHECK(f.ike_500.answer == DOCTOR_SILENT && f.ike_500_other_source.answered == 3);
	f = run(&(struct net){.no_4500 = true, .no_fragments = true}, 0, &sent);
	CHECK(f.ike_4500.answer == DOCTOR_SILENT && f.ike_500_fragment.answer == DOCTOR_SILENT);
	CHECK(f.ike_500.answer == DOCTOR_ANSWERED);
	f = run(&(struct net){.no_icmp = true}, 0, &sent);
	CHECK(f.echo.answer == DOCTOR_SILENT && f.ike_500.answer == DOCTOR_ANSWERED);
	f = run(&(struct net){.down = true}, 0, &sent);
	CHECK(f.echo.answer == DOCTOR_SILENT && f.ike_500.answer == DOCTOR_SILENT);
	CHECK(f.hops_500.last == HOPS - 1 && f.hops_4500.last == HOPS - 1);
	CHECK(sent == 70);
}

static void test_refusals_loss_and_sizes(void **state)
{
	unsigned sent;
	struct doctor_probe_facts f = run(&(struct net){.closed = true}, 0, &sent);

	(void)state;
	CHECK(f.ike_500.answer == DOCTOR_REFUSED && f.ike_500.icmp == DOCTOR_ICMP_PORT);
	CHECK(ip_addr_equal(&f.ike_500.by, &params.remote) && f.hops_500.arrived);
	f = run(&(struct net){.path_mtu = 1400}, 0, &sent);
	CHECK(f.echo_large.answer == DOCTOR_REFUSED && f.echo_large.icmp == DOCTOR_ICMP_SIZE);
	CHECK(f.echo_fits == 1400);
	f = run(&(struct net){.path_mtu = 1400, .no_big_icmp = true}, 0, &sent);
	CHECK(f.echo_large.answer == DOCTOR_SILENT && f.echo_fits == 1400);
	f = run(&(struct net){.lost = 4}, 0, &sent);
	CHECK(f.echo.answered < f.echo.sent && f.echo.answer == DOCTOR_ANSWERED);
}

static void test_strangers_answers_are_none(void **state)
{
	struct probe p;
	const struct ip_addr stranger = hop(9), peer = params.remote;
	const struct probe_packet *k;
	struct probe_icmp e = {.echo_reply = true, .ident = params.ident};
	uint8_t spi[8];

	(void)state;
	probe_init(&p, &params, NOW_US);
	k = probe_next(&p, NOW_US); // an echo
	CHECK(k && k->remote_port == 0 && !probe_next(&p, NOW_US));
	memcpy(spi, k->spi, 8);
	CHECK(!probe_on_ike(&p, spi, &peer, NOW_US)); // of no IKE message
	CHECK(!probe_on_icmp(&p, &e, &stranger, NOW_US));
	e.ident++;
	CHECK(!probe_on_icmp(&p, &e, &peer, NOW_US));
	e.ident--;
	e.seq = 1; // not sent yet
	CHECK(!probe_on_icmp(&p, &e, &peer, NOW_US));
	do
		k = probe_next(&p, probe_due_us(&p));
	while (k && k->remote_port == 0);
	CHECK(k);
	memcpy(spi, k->spi, 8);
	CHECK(!probe_on_ike(&p, spi, &stranger, NOW_US));
	spi[0] ^= 1;
	CHECK(!probe_on_ike(&p, spi, &peer, NOW_US));
	spi[0] ^= 1;
	CHECK(probe_on_ike(&p, spi, &peer, probe_due_us(&p)));
	e = (struct probe_icmp){
		.why = DOCTOR_ICMP_PORT,
		.local = params.local,
		.remote = stranger,
		.local_port = 500,
		.remote_port = 500,
		.udp_len = (uint16_t)(k->len + 8),
	};
	CHECK(!probe_on_icmp(&p, &e, &stranger, NOW_US)); // about another peer
}

static void test_no_two_packets_are_alike(void **state)
{
	static struct probe p;
	struct probe_params with = params;

	(void)state;
	with.alt_port = 4500;
	probe_init(&p, &with, 0);
	CHECK(p.n == 73 && p.n <= LIMIT_PROBE_PACKETS);
	for (unsigned i = 0; i < p.n; i++)
		for (unsigned k = 0; k < i; k++) {
			CHECK(memcmp(p.packet[i].spi, p.packet[k].spi, 8) != 0);
			CHECK(p.packet[i].remote_port == 0 || p.packet[k].remote_port == 0 ||
			      p.packet[i].len != p.packet[k].len);
		}
	with.mtu = 9000; // and large ones stay below what a message may have
	with.smallest = 2000;
	probe_init(&p, &with, 0);
	for (unsigned i = 0; i < p.n; i++)
		CHECK(p.packet[i].len < 9000 + 200);
}

static void test_the_bucket(void **state)
{
	static struct probe_budget b;
	struct ip_addr peer = ip_addr_v4(1);
	uint64_t now = 1000, wait;

	(void)state;
	CHECK(probe_budget_take(&b, &peer, now, &wait) == 0);
	CHECK(probe_budget_take(&b, &peer, now, &wait) == 0);
	CHECK(probe_budget_take(&b, &peer, now, &wait) == -EAGAIN && wait == 80000);
	CHECK(probe_budget_take(&b, &peer, now + wait - 1000, &wait) == -EAGAIN && wait <= 1000);
	now += 80000;
	CHECK(probe_budget_take(&b, &peer, now, &wait) == 0);
	CHECK(probe_budget_take(&b, &peer, now, &wait) == -EAGAIN);
	for (uint32_t i = 2; i <= LIMIT_PROBE_PEERS; i++) {
		peer = ip_addr_v4(i);
		CHECK(probe_budget_take(&b, &peer, now, &wait) == 0);
	}
	peer = ip_addr_v4(1000); // no room to count it
	CHECK(probe_budget_take(&b, &peer, now, &wait) == -EAGAIN);
	CHECK(probe_budget_take(&b, &peer, now + 200000, &wait) == 0);
}

// ---- ICMP ----

static void put_ip4(struct writer *w, uint8_t ttl, uint8_t protocol, const struct ip_addr *from,
		    const struct ip_addr *to, uint8_t words)
{
	write_u8(w, (uint8_t)(0x40 | words));
	write_zeros(w, 7);
	write_u8(w, ttl);
	write_u8(w, protocol);
	write_u16(w, 0);
	write_bytes(w, from->bytes, 4);
	write_bytes(w, to->bytes, 4);
	write_zeros(w, (size_t)(words - 5) * 4);
}

static void test_icmp(void **state)
{
	uint8_t bytes[200];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct probe_icmp p;
	size_t len;

	(void)state;
	put_ip4(&w, 61, 1, &params.remote, &params.local, 6); // with an option
	write_u32(&w, 3u << 24 | 13u << 16);
	write_u32(&w, 0);
	put_ip4(&w, 1, 17, &params.local, &params.remote, 5);
	write_u16(&w, 500);
	write_u16(&w, 4500);
	write_u16(&w, 333);
	write_u16(&w, 0);
	len = w.len;
	CHECK(probe_icmp4_parse(bytes, len, &p) == 0);
	CHECK(p.why == DOCTOR_ICMP_ADMIN && p.ttl == 61 && !p.quoted_echo && !p.echo_reply);
	CHECK(p.local_port == 500 && p.remote_port == 4500 && p.udp_len == 333);
	CHECK(ip_addr_equal(&p.local, &params.local) && ip_addr_equal(&p.remote, &params.remote));
	for (size_t cut = 0; cut < len - 2; cut++) // the checksum of UDP is not looked at
		CHECK(probe_icmp4_parse(bytes, cut, &p) == -EBADMSG);
	bytes[24] = 5; // a redirect
	CHECK(probe_icmp4_parse(bytes, len, &p) == -EBADMSG);
	bytes[24] = 11;
	bytes[25] = 1; // a fragment that never came
	CHECK(probe_icmp4_parse(bytes, len, &p) == -EBADMSG);
	bytes[25] = 0;
	CHECK(probe_icmp4_parse(bytes, len, &p) == 0 && p.why == DOCTOR_ICMP_TTL);
	bytes[24 + 8 + 9] = 6; // of TCP
	CHECK(probe_icmp4_parse(bytes, len, &p) == -EBADMSG);
}

static void test_icmp6(void **state)
{
	uint8_t bytes[200];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct ip_addr local, remote;
	struct probe_icmp p;
	size_t len;

	(void)state;
	CHECK(!ip_addr_parse("2001:db8::1", &local) && !ip_addr_parse("2001:db8::2", &remote));
	write_u32(&w, 2u << 24);
	write_u32(&w, 1280);
	write_u32(&w, 6u << 28);
	write_u16(&w, 0);
	write_u8(&w, 44);
	write_u8(&w, 64);
	write_bytes(&w, local.bytes, 16);
	write_bytes(&w, remote.bytes, 16);
	write_u32(&w, 58u << 24 | 1);
	write_u32(&w, 77);
	write_u32(&w, 128u << 24);
	write_u16(&w, 0x1234);
	write_u16(&w, 9);
	len = w.len;
	CHECK(probe_icmp6_parse(bytes, len, &p) == 0 && p.why == DOCTOR_ICMP_SIZE);
	CHECK(p.quoted_echo && p.ident == 0x1234 && p.seq == 9);
	CHECK(ip_addr_equal(&p.local, &local) && ip_addr_equal(&p.remote, &remote));
	for (size_t cut = 0; cut < len; cut++)
		CHECK(probe_icmp6_parse(bytes, cut, &p) == -EBADMSG);
	bytes[8 + 40 + 3] = 8; // a later fragment
	CHECK(probe_icmp6_parse(bytes, len, &p) == -EBADMSG);
	w = writer_of(bytes, sizeof(bytes));
	write_u32(&w, 129u << 24);
	write_u16(&w, 0x1234);
	write_u16(&w, 3);
	CHECK(probe_icmp6_parse(bytes, w.len, &p) == 0 && p.echo_reply && p.seq == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_well),
		cmocka_unit_test(test_what_is_filtered),
		cmocka_unit_test(test_refusals_loss_and_sizes),
		cmocka_unit_test(test_strangers_answers_are_none),
		cmocka_unit_test(test_no_two_packets_are_alike),
		cmocka_unit_test(test_the_bucket),
		cmocka_unit_test(test_icmp),
		cmocka_unit_test(test_icmp6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
