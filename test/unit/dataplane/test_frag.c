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

// The IPv6 header of every piece, but for the length and the next header.
static const uint8_t head6[] = "\x6a\xbc\xde\xf1\0\0\x63\x40"
			       "from one address to another one ";
static uint8_t content[CONTENT];
static struct batch one, pieces;
static struct rte_mbuf *taken[70000];

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
		memcpy(p, head6, 40);
		p[4] = (uint8_t)(len >> 8);
		p[5] = (uint8_t)len;
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

static unsigned take_buffers(struct rte_mempool *pool)
{
	unsigned n = 0;

	while ((taken[n] = rte_pktmbuf_alloc(pool)) != NULL)
		n++;
	return n;
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
		assert_memory_equal(p, head6, 4); // RFC 8200 4.5: the headers of the whole
		assert_int_equal(p[6], 44);
		assert_memory_equal(p + 7, head6 + 7, 33);
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
	const unsigned n_dirty = take_buffers(core.dp.pool);

	(void)state;
	for (unsigned i = 0; i < n_dirty; i++)
		memset(taken[i]->buf_addr, 0xff, taken[i]->buf_len);
	rte_pktmbuf_free_bulk(taken, n_dirty);
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

// Offsets of more than a byte; and a length that is so by the fragment header alone.
static void test_large_pieces(void **state)
{
	enum { LEN = 1100 };
	static const uint16_t data[] = {352, 248};

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		const bool v6 = k % 2;
		const uint16_t each = data[k / 2], n = (uint16_t)((LEN + each - 1) / each);

		put_packet(v6, LEN);
		assert_int_equal(cut(v6, (uint16_t)((v6 ? 48 : 20) + each)), 0);
		assert_int_equal(pieces.n, n);
		for (uint16_t i = 0; i < n; i++)
			check_piece(v6, pieces.pkt[i], i * (unsigned)each, i == n - 1);
		core_free(&pieces);
	}
}

// The second packet of a batch; the pieces go the way that it would have gone.
static void test_pieces_have_the_packets_columns(void **state)
{
	struct tunnel *const tunnel = (void *)&content[1]; // only carried along
	struct sa_in *const sa = (void *)&content[2];

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct batch two = {.n = 0};

		put_packet(v6, 100);
		batch_append(&two, &one, 0);
		put_packet(v6, 300);
		batch_append(&two, &one, 0);
		two.port[1] = PORT + 1;
		two.origin[1] = FROM_SELF_TUNNEL;
		two.from_linux[1] = true;
		two.tunnel[1] = tunnel;
		two.sa[1] = sa;
		memset(&pieces, 0, sizeof(pieces));
		pieces.n = BATCH_MAX; // as left by somebody
		assert_int_equal(v6 ? frag6_cut(core.w, &two, 1, 200, &pieces)
				    : frag_cut(core.w, &two, 1, 200, &pieces),
				 0);
		assert_int_equal(pieces.n, 2);
		for (uint16_t i = 0; i < pieces.n; i++) {
			assert_int_equal(pieces.port[i], PORT + 1);
			assert_int_equal(pieces.origin[i], FROM_SELF_TUNNEL);
			assert_true(pieces.from_linux[i]);
			assert_ptr_equal(pieces.tunnel[i], tunnel);
			assert_ptr_equal(pieces.sa[i], sa);
		}
		core_free(&pieces);
		rte_pktmbuf_free(two.pkt[0]);
	}
}

// An option counts for the length of the header, in every piece or (RFC 791 3.1: it is not copied)
// in the first.
static void test_options(void **state)
{
	enum { LEN = 1100, HEAD = 24, DATA = 352 };
	static const uint8_t option[][4] = {{0x94, 4, 0, 0}, {0x44, 4, 5, 0}};

	(void)state;
	for (unsigned k = 0; k < 2; k++) { // router alert, timestamp
		uint8_t *ip;

		put_packet(false, LEN);
		ip = (uint8_t *)rte_pktmbuf_prepend(one.pkt[0], sizeof(option[k]));
		if (ip == NULL) {
			fail();
			return;
		}
		memmove(ip, ip + sizeof(option[k]), 20);
		memcpy(ip + 20, option[k], sizeof(option[k]));
		ip[0] = 0x46;
		ip[2] = (HEAD + LEN) >> 8;
		ip[3] = (HEAD + LEN) & 0xff;
		assert_int_equal(cut(false, HEAD + DATA), 0);
		assert_int_equal(pieces.n, 4);
		for (uint16_t i = 0; i < pieces.n; i++) {
			const uint8_t *p = rte_pktmbuf_mtod(pieces.pkt[i], const uint8_t *);
			const unsigned head = i == 0 || k == 0 ? HEAD : 20;

			assert_int_equal(p[0] & 15, head / 4);
			assert_memory_equal(p + 20, option[k], head - 20);
			assert_int_equal(rte_raw_cksum(p, head), 0xffff);
			assert_memory_equal(p + head, content + i * DATA,
					    pieces.pkt[i]->data_len - head);
		}
		core_free(&pieces);
	}
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

// The same packet with `len` zeros, in a buffer for what was put together.
static void put_large(bool v6, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.large_pool);
	const uint16_t head = v6 ? 40 : 20, field = v6 ? len : (uint16_t)(head + len);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(head + len));

	if (p == NULL) {
		fail();
		return;
	}
	put_packet(v6, 0);
	memset(p, 0, (size_t)head + len);
	memcpy(p, rte_pktmbuf_mtod(one.pkt[0], void *), head);
	p[v6 ? 4 : 2] = (uint8_t)(field >> 8);
	p[v6 ? 5 : 3] = (uint8_t)field;
	core_free(&one);
	core_put(&one, m, PORT, FROM_NIC);
}

static void test_limits_of_large_packets(void **state)
{
	(void)state;
	put_large(false, 48 * FRAG_MAX);
	assert_int_equal(cut(false, 68), 0);
	assert_int_equal(pieces.n, FRAG_MAX);
	core_free(&pieces);
	put_large(false, 48 * FRAG_MAX + 1);
	check_failure(false, 68, -EMSGSIZE);
	core_free(&one);
	put_large(true, 6000); // pieces that no buffer holds
	check_failure(true, 4000, -ENOBUFS);
	core_free(&one);
}

static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		unsigned n;

		put_packet(v6, 400);
		n = take_buffers(core.dp.pool);
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
	enum { EACH = 3 };
	static const unsigned workers[] = {0, 1, 2, DP_WORKERS_MAX - 1};
	uint32_t id[4 * EACH];

	(void)state;
	for (unsigned i = 0; i < 4 * EACH; i++) {
		core.w->id = workers[i / EACH];
		if (i % EACH == 0)
			core.w->frag6_id = 0; // all begin at the same
		put_packet(true, 100);
		assert_int_equal(cut(true, 100), 0);
		memcpy(&id[i], rte_pktmbuf_mtod_offset(pieces.pkt[0], void *, 44), 4);
		for (uint16_t k = 1; k < pieces.n; k++)
			assert_memory_equal(rte_pktmbuf_mtod_offset(pieces.pkt[k], void *, 44),
					    &id[i], 4);
		core_free(&pieces);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(id[k], id[i]);
	}
	core.w->id = 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pieces),	   T(test_large_pieces),
		T(test_options),   T(test_pieces_have_the_packets_columns),
		T(test_limits),	   T(test_limits_of_large_packets),
		T(test_no_memory), T(test_ids_differ),
	};

	return cmocka_run_group_tests_name("frag", tests, core_group_setup, core_group_teardown);
}
