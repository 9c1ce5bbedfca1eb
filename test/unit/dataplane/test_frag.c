// Cutting alone: its limits, what becomes of the packet when it fails, and every byte of the
// pieces.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core.h"
#include "dataplane/frag.h"

enum { PORT = 1, CONTENT = 1200 };

static uint8_t content[CONTENT];
static struct batch one, pieces;

static void put_packet(bool v6, uint16_t len)
{
	for (unsigned i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 31 + i / 256);
	one.n = 0;
	if (v6) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.pool);
		uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(40 + len));

		if (p == NULL) {
			fail();
			return;
		}
		memset(p, 0, 40);
		p[0] = 0x60;
		p[4] = (uint8_t)(len >> 8);
		p[5] = (uint8_t)len;
		p[6] = 99;
		p[7] = 64;
		p[8] = p[24] = 0x20;
		memcpy(p + 40, content, len);
		core_put(&one, m, PORT, FROM_NIC);
	} else {
		const struct packet p = {.src = "10.1.0.9",
					 .dst = "10.2.0.9",
					 .proto = 99,
					 .payload = content,
					 .payload_len = len};

		core_put(&one, core_bare(&p), PORT, FROM_NIC);
	}
	one.pkt[0]->port = PORT;
}

static int cut(bool v6, uint16_t mtu)
{
	return v6 ? frag6_cut(core.w, &one, 0, mtu, &pieces)
		  : frag_cut(core.w, &one, 0, mtu, &pieces);
}

static void check_piece(bool v6, const struct rte_mbuf *m, unsigned at, bool last)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	const unsigned head = v6 ? 48 : 20, len = m->data_len - head;
	const unsigned field = v6 ? (unsigned)(p[42] << 8 | p[43]) : (unsigned)(p[6] << 8 | p[7]);

	assert_int_equal(m->pkt_len, m->data_len);
	assert_int_equal(m->port, PORT);
	assert_int_equal(v6 ? p[4] << 8 | p[5] : p[2] << 8 | p[3], v6 ? len + 8 : len + 20);
	assert_int_equal(v6 ? field & ~7u : (field & 0x1fff) * 8, at);
	assert_int_equal(v6 ? field & 1 : (field & 0x2000) != 0, !last);
	assert_memory_equal(p + head, content + at, len);
	if (v6) {
		assert_int_equal(p[6], 44);
		assert_int_equal(p[40], 99);
		assert_int_equal(p[41], 0); // reserved (RFC 8200 4.5)
	} else {
		assert_int_equal(rte_raw_cksum(p, 20), 0xffff);
	}
}

// The least MTU: a piece of IPv6 holds 8 bytes; IPv4 has 68 (RFC 791 3.2).
static uint16_t least_mtu(bool v6)
{
	return v6 ? 56 : 68;
}

static void test_pieces(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const uint16_t head = v6 ? 48 : 20;
		uint64_t packets = 0, n = 0;

		for (uint16_t mtu = least_mtu(v6); mtu < least_mtu(v6) + 32; mtu++) {
			const uint16_t len = (uint16_t)((mtu - head) / 8 * 8 * 3 + 1);
			unsigned at = 0;

			put_packet(v6, len);
			assert_int_equal(cut(v6, mtu), 0);
			assert_int_equal(pieces.n, 4);
			for (uint16_t i = 0; i < pieces.n; i++) {
				assert_true(pieces.pkt[i]->data_len <= mtu);
				assert_int_equal(pieces.port[i], PORT);
				check_piece(v6, pieces.pkt[i], at, i == 3);
				at += pieces.pkt[i]->data_len - head;
			}
			assert_int_equal(at, len);
			core_free(&pieces);
			packets++;
			n += 4;
		}
		assert_int_equal(counter_read(&core.w->cut_packets), packets * (v6 + 1));
		assert_int_equal(counter_read(&core.w->cut_pieces), n * (v6 + 1));
	}
}

// Offsets of more than a byte.
static void test_large_pieces(void **state)
{
	enum { LEN = 1100, DATA = 352 };

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		put_packet(v6, LEN);
		assert_int_equal(cut(v6, (uint16_t)((v6 ? 48 : 20) + DATA)), 0);
		assert_int_equal(pieces.n, 4);
		for (uint16_t i = 0; i < pieces.n; i++)
			check_piece(v6, pieces.pkt[i], i * DATA, i == 3);
		core_free(&pieces);
	}
}

// An option that has to be in every piece (RFC 791 3.1) counts for the length of the header.
static void test_options(void **state)
{
	enum { LEN = 1100, HEAD = 24, DATA = 352 };
	static const uint8_t router_alert[] = {0x94, 4, 0, 0};
	uint8_t *ip;

	(void)state;
	put_packet(false, LEN);
	ip = (uint8_t *)rte_pktmbuf_prepend(one.pkt[0], sizeof(router_alert));
	if (ip == NULL) {
		fail();
		return;
	}
	memmove(ip, ip + sizeof(router_alert), 20);
	memcpy(ip + 20, router_alert, sizeof(router_alert));
	ip[0] = 0x46;
	ip[2] = (HEAD + LEN) >> 8;
	ip[3] = (HEAD + LEN) & 0xff;
	assert_int_equal(cut(false, HEAD + DATA), 0);
	assert_int_equal(pieces.n, 4);
	for (uint16_t i = 0; i < pieces.n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(pieces.pkt[i], const uint8_t *);

		assert_memory_equal(p + 20, router_alert, sizeof(router_alert));
		assert_int_equal(rte_raw_cksum(p, HEAD), 0xffff);
		assert_memory_equal(p + HEAD, content + i * DATA, pieces.pkt[i]->data_len - HEAD);
	}
	core_free(&pieces);
}

// The packet stays the caller's, and nothing is counted.
static void check_failure(bool v6, uint16_t mtu, int err)
{
	const uint64_t packets = counter_read(&core.w->cut_packets);
	const unsigned used = rte_mempool_in_use_count(core.dp.pool);

	assert_int_equal(cut(v6, mtu), err);
	assert_int_equal(rte_mempool_in_use_count(core.dp.pool), used);
	assert_int_equal(counter_read(&core.w->cut_packets), packets);
	assert_int_equal(rte_mbuf_refcnt_read(one.pkt[0]), 1);
}

static void test_limits(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		put_packet(v6, 8 * FRAG_MAX);
		check_failure(v6, (uint16_t)(least_mtu(v6) - 1), -EMSGSIZE);
		check_failure(v6, 0, -EMSGSIZE);
		assert_int_equal(cut(v6, least_mtu(v6)), 0);
		assert_int_equal(pieces.n, v6 ? FRAG_MAX : 11);
		core_free(&pieces);
	}
	put_packet(true, 8 * FRAG_MAX + 1);
	check_failure(true, least_mtu(true), -EMSGSIZE);
	core_free(&one);
}

static void test_no_memory(void **state)
{
	static struct rte_mbuf *taken[70000];

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		unsigned n = 0;

		put_packet(v6, 400);
		while ((taken[n] = rte_pktmbuf_alloc(core.dp.pool)) != NULL)
			n++;
		rte_pktmbuf_free(taken[--n]); // enough for one piece of several
		rte_pktmbuf_free(taken[--n]);
		check_failure(v6, 200, -ENOBUFS);
		while (n > 0)
			rte_pktmbuf_free(taken[--n]);
		core_free(&one);
	}
}

// RFC 8200 4.5: packets of one pair of hosts are told apart by it, whichever worker cuts them.
static void test_ids_differ(void **state)
{
	uint32_t id[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		if (i == 2) { // the first one of another worker
			core.w->id = 1;
			core.w->frag6_id = 0;
		}
		put_packet(true, 100);
		assert_int_equal(cut(true, 100), 0);
		memcpy(&id[i], rte_pktmbuf_mtod_offset(pieces.pkt[0], void *, 44), 4);
		for (uint16_t k = 1; k < pieces.n; k++)
			assert_memory_equal(rte_pktmbuf_mtod_offset(pieces.pkt[k], void *, 44),
					    &id[i], 4);
		core_free(&pieces);
	}
	core.w->id = 0;
	assert_int_not_equal(id[0], id[1]);
	assert_int_not_equal(id[0], id[2]);
	assert_int_not_equal(id[1], id[2]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pieces), T(test_large_pieces), T(test_options),
		T(test_limits), T(test_no_memory),    T(test_ids_differ),
	};

	return cmocka_run_group_tests_name("frag", tests, core_group_setup, core_group_teardown);
}
