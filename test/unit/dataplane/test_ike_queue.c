// What goes to the receive queue of IKE, by the program that Linux runs, and when a worker looks
// there. The program is run here by a machine of our own, and checked by Linux.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/ike_filter.h"
#include "dataplane/ike_share.h"
#include "lib/bytes.h"
#include "lib/ike_cookie.h"
#include "lib/ike_wire.h"
#include "test/unit/lib/random.h"

enum { V4 = 0x800, V6 = 0x86dd, ARP = 0x806, MAIN = 0, IKE = 1, LOST = -1 };

static struct ike_mark_key key;
static uint8_t marked[8], made_up[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t none[8];
static struct test_random random_state;

static uint64_t rnd(void)
{
	return test_random_u64(&random_state);
}

// ---- a machine for classic BPF: the instructions that the program uses, and no other ----

struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
	const uint8_t *data;
	size_t len;
	uint16_t ether_type;
};

// False: beyond the packet, which ends the program with 0.
static bool load(struct machine *m, const struct sock_filter *s)
{
	const size_t size = BPF_SIZE(s->code) == BPF_W ? 4 : BPF_SIZE(s->code) == BPF_H ? 2 : 1;
	const uint64_t at = (uint64_t)s->k + (BPF_MODE(s->code) == BPF_IND ? m->x : 0);

	if (BPF_MODE(s->code) == BPF_ABS && s->k == (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)) {
		m->a = m->ether_type;
		return true;
	}
	if (at + size > m->len)
		return false;
	m->a = 0;
	for (size_t i = 0; i < size; i++)
		m->a = m->a << 8 | m->data[at + i];
	return true;
}

static void calculate(struct machine *m, const struct sock_filter *s)
{
	const uint32_t by = BPF_SRC(s->code) == BPF_X ? m->x : s->k;

	switch (BPF_OP(s->code)) {
	case BPF_ADD:
		m->a += by;
		return;
	case BPF_SUB:
		m->a -= by;
		return;
	case BPF_MUL:
		m->a *= by;
		return;
	case BPF_AND:
		m->a &= by;
		return;
	case BPF_XOR:
		m->a ^= by;
		return;
	case BPF_RSH:
		m->a >>= by;
		return;
	case BPF_MOD:
		m->a %= by;
		return;
	default:
		fail_msg("an unknown operation %x", s->code);
	}
}

static unsigned jump(const struct machine *m, const struct sock_filter *s)
{
	const uint32_t by = BPF_SRC(s->code) == BPF_X ? m->x : s->k;

	switch (BPF_OP(s->code)) {
	case BPF_JA:
		return s->k;
	case BPF_JEQ:
		return m->a == by ? s->jt : s->jf;
	case BPF_JGE:
		return m->a >= by ? s->jt : s->jf;
	case BPF_JSET:
		return m->a & by ? s->jt : s->jf;
	default:
		fail_msg("an unknown jump %x", s->code);
		return 0;
	}
}

static bool one(struct machine *m, const struct sock_filter *s)
{
	switch (BPF_CLASS(s->code)) {
	case BPF_LD:
		if (BPF_MODE(s->code) == BPF_LEN)
			m->a = (uint32_t)m->len;
		else if (BPF_MODE(s->code) == BPF_MEM)
			m->a = m->mem[s->k];
		else
			return load(m, s);
		return true;
	case BPF_LDX:
		if (BPF_MODE(s->code) == BPF_MSH && m->len > s->k)
			m->x = 4 * (m->data[s->k] & 15u);
		else
			m->x = BPF_MODE(s->code) == BPF_MEM ? m->mem[s->k] : s->k;
		return true;
	case BPF_ST:
		m->mem[s->k] = m->a;
		return true;
	case BPF_STX:
		m->mem[s->k] = m->x;
		return true;
	case BPF_ALU:
		calculate(m, s);
		return true;
	case BPF_MISC:
		if (BPF_MISCOP(s->code) == BPF_TAX)
			m->x = m->a;
		else
			m->a = m->x;
		return true;
	default:
		fail_msg("an unknown instruction %x", s->code);
		return false;
	}
}

static int run(const struct ike_filter *f, uint16_t ether_type, const uint8_t *data, size_t len)
{
	struct machine m = {.data = data, .len = len, .ether_type = ether_type};

	for (unsigned at = 0; at < f->n; at++) {
		const struct sock_filter *s = &f->ins[at];

		if (BPF_CLASS(s->code) == BPF_RET)
			return (int)(BPF_RVAL(s->code) == BPF_A ? m.a : s->k);
		if (BPF_CLASS(s->code) == BPF_JMP)
			at += jump(&m, s);
		else if (!one(&m, s))
			return 0;
	}
	fail_msg("it runs over its end");
	return LOST;
}

// ---- packets ----

struct ip { // one packet
	uint16_t ether_type;
	unsigned options; // words of IPv4
	uint16_t frag;
	uint8_t proto;
	uint16_t port;
	uint8_t last; // of both addresses
	const uint8_t *body;
	size_t body_len;
};

static size_t build(uint8_t *out, const struct ip *p)
{
	const size_t len = p->body_len + 8;
	struct writer w = writer_of(out, 512);

	if (p->ether_type == V6) {
		write_u32(&w, 6u << 28);
		write_u16(&w, (uint16_t)len);
		write_u8(&w, p->proto);
		write_u8(&w, 64);
		for (unsigned i = 0; i < 2; i++) {
			write_u32(&w, 0x20010db8);
			write_u64(&w, 0x1234);
			write_u32(&w, i == 0 ? p->last : 1);
		}
	} else {
		write_u16(&w, (uint16_t)((0x45 + p->options) << 8));
		write_u16(&w, (uint16_t)(20 + len));
		write_u16(&w, 0);
		write_u16(&w, p->frag);
		write_u16(&w, (uint16_t)(64 << 8 | p->proto));
		write_u16(&w, 0);
		write_u32(&w, 0xc0000200 | p->last);
		write_u32(&w, 0xc6336401);
		write_zeros(&w, p->options * 4);
	}
	write_u16(&w, 500);
	write_u16(&w, p->port);
	write_u16(&w, (uint16_t)len);
	write_u16(&w, 0);
	write_bytes(&w, p->body, p->body_len);
	assert_false(w.failed);
	return w.len;
}

struct message {
	const uint8_t *spi_i, *spi_r;
	uint8_t version, flags;
	const uint8_t *cookie;
	size_t cookie_len;
	uint16_t notify;
	bool marker;
	size_t cut; // the datagram ends behind so many bytes; 0: it does not
};

static size_t message(uint8_t *out, const struct message *m)
{
	struct writer w = writer_of(out, 256);

	write_zeros(&w, m->marker ? 4 : 0);
	write_bytes(&w, m->spi_i, 8);
	write_bytes(&w, m->spi_r, 8);
	write_u8(&w, m->cookie ? PAYLOAD_NOTIFY : PAYLOAD_SA);
	write_u8(&w, m->version ? m->version : IKE_VERSION);
	write_u8(&w, EXCHANGE_IKE_SA_INIT);
	write_u8(&w, m->flags);
	write_zeros(&w, 8);
	if (m->cookie) {
		write_u16(&w, PAYLOAD_SA << 8);
		write_u16(&w, (uint16_t)(8 + m->cookie_len));
		write_u16(&w, 0);
		write_u16(&w, m->notify ? m->notify : 16390);
		write_bytes(&w, m->cookie, m->cookie_len);
	}
	write_zeros(&w, 60);
	return m->cut ? m->cut : w.len;
}

static void cookie_for(const struct ip_addr *from, uint8_t out[IKE_COOKIE_LEN])
{
	const struct ike_cookie_keys keys = {.version = 3, .now = "sixteen octets!", .mark = key};
	const struct ike_cookie_for f = {(const uint8_t *)"a nonce", 7, made_up, from};
	uint8_t reply[IKE_COOKIE_REPLY_LEN];

	ike_cookie_reply(&keys, &f, 0, reply);
	memcpy(out, reply + IKE_HEADER_LEN + 8, IKE_COOKIE_LEN);
}

static int setup(void **state)
{
	uint8_t random[16];

	(void)state;
	random_state = test_random_start("ike_queue");
	for (unsigned i = 0; i < 16; i++)
		random[i] = (uint8_t)rnd();
	key = ike_mark_key_of(random);
	for (unsigned i = 0; i < 8; i++)
		marked[i] = (uint8_t)rnd();
	ike_mark_spi(&key, marked);
	return 0;
}

// ---- which queue ----

#define I IKE_FLAG_INITIATOR
#define R IKE_FLAG_RESPONSE

static void test_what_strangers_can_make_goes_to_the_queue_of_ike(void **state)
{
	static uint8_t cookie[IKE_COOKIE_LEN], wrong[IKE_COOKIE_LEN];
	static const struct {
		struct message m;
		int queue;
		const char *why;
	} rows[] = {
		{{made_up, none, .flags = I}, IKE, "an opener"},
		{{made_up, made_up, .flags = I}, IKE, "of an IKE SA that we do not have"},
		{{made_up, marked, .flags = I}, MAIN, "ours, and we are the responder"},
		{{marked, made_up, .flags = R}, MAIN, "ours, and we are the initiator"},
		{{marked, none, .flags = R}, MAIN, "an answer to our opener"},
		{{made_up, none, .flags = R}, IKE, "an answer to what we never asked"},
		{{marked, made_up, .flags = I}, IKE, "our SPI in the peer's place"},
		{{made_up, marked, .flags = R}, IKE, "the same the other way round"},
		{{made_up, marked, .version = 0x10, .flags = I}, IKE, "IKEv1"},
		{{made_up, none, .flags = I, .cookie = cookie, .cookie_len = IKE_COOKIE_LEN},
		 MAIN,
		 "an opener with our cookie"},
		{{made_up, none, .flags = I, .cookie = wrong, .cookie_len = IKE_COOKIE_LEN},
		 IKE,
		 "with another's"},
		{{marked, none, .flags = I, .cookie = cookie, .cookie_len = IKE_COOKIE_LEN},
		 IKE,
		 "with that of another opener"},
		{{made_up, none, .flags = I, .cookie = cookie, .cookie_len = IKE_COOKIE_LEN - 1},
		 IKE,
		 "with one that is too short"},
		{{made_up, none, .flags = I, .cookie = cookie, .cookie_len = IKE_COOKIE_LEN,
		  .notify = 16391},
		 IKE,
		 "no cookie at all"},
		{{made_up, none, .flags = I, .cookie = cookie, .cookie_len = IKE_COOKIE_LEN,
		  .cut = 40},
		 IKE,
		 "one that is cut off"},
		{{made_up, marked, .flags = I, .cut = 27}, IKE, "half a header"},
		{{made_up, marked, .flags = I, .cut = 1}, IKE, "one byte"},
	};
	struct ike_filter f;

	(void)state;
	ike_filter_build(&f, &key, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned form = 0; form < 8; form++) {
			const bool v6 = form & 1, marker = form & 2;
			uint8_t packet[512], body[256], v6_from[16] = {0x20, 1, 0x0d, 0xb8};
			struct ip_addr from = ip_addr_v4(0xc0000207);
			struct message m = rows[i].m;
			struct ip ip = {v6 ? V6 : V4,
					form & 4 ? 3 : 0,
					0,
					17,
					marker ? 4500 : 500,
					7,
					body,
					0};

			v6_from[10] = 0x12;
			v6_from[11] = 0x34;
			v6_from[15] = 7;
			if (v6)
				from = ip_addr_from_bytes(v6_from, 16);
			cookie_for(&from, cookie);
			memcpy(wrong, cookie, sizeof(wrong));
			wrong[2] ^= 1;
			m.marker = marker;
			m.cut = m.cut && marker ? m.cut + 4 : m.cut;
			ip.body_len = message(body, &m);
			if (run(&f, ip.ether_type, packet, build(packet, &ip)) != rows[i].queue)
				fail_msg("%s (%s, port %u)", rows[i].why, v6 ? "IPv6" : "IPv4",
					 ip.port);
		}
	}
}

static void test_all_else_does_not(void **state)
{
	static const uint8_t esp[40] = {0, 0, 0x12, 0x34, 0, 0, 0, 1}, keepalive[1] = {0xff};
	static const uint8_t zeros[64];
	static const struct {
		struct ip ip;
		const char *why;
	} rows[] = {
		{{V4, .proto = 50, .port = 500, .body = esp, .body_len = 40}, "ESP"},
		{{V6, .proto = 50, .port = 500, .body = esp, .body_len = 40}, "ESP over IPv6"},
		{{V4, .proto = 17, .port = 4500, .body = esp, .body_len = 40}, "ESP in UDP"},
		{{V4, .proto = 17, .port = 4500, .body = keepalive, .body_len = 1}, "a keepalive"},
		{{V4, .proto = 6, .port = 500, .body = esp, .body_len = 40}, "TCP"},
		{{V4, .proto = 17, .port = 501, .body = esp, .body_len = 40}, "another port"},
		{{V4, .frag = 0x2000, .proto = 17, .port = 500, .body = zeros, .body_len = 64},
		 "a first fragment"},
		{{V4, .frag = 5, .proto = 17, .port = 500, .body = zeros, .body_len = 64},
		 "a later one"},
		{{ARP, .proto = 17, .port = 500, .body = zeros, .body_len = 64}, "no IP"},
	};
	struct ike_filter f;
	uint8_t packet[512];

	(void)state;
	ike_filter_build(&f, &key, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (run(&f, rows[i].ip.ether_type, packet, build(packet, &rows[i].ip)) != MAIN)
			fail_msg("%s", rows[i].why);
}

static void test_several_queues_share_the_rest(void **state)
{
	unsigned seen[4] = {0};
	struct ike_filter f;

	(void)state;
	ike_filter_build(&f, &key, 3);
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t esp[40] = {0}, packet[512], body[256];
		const struct ip p = {i & 1 ? V4 : V6, .proto = 50, .last = (uint8_t)rnd(),
				     .body = esp, .body_len = sizeof(esp)};
		const struct message m = {made_up, none, .flags = I};
		const struct ip q = {V4,	   .proto = 17,
				     .port = 500,  .last = (uint8_t)rnd(),
				     .body = body, .body_len = message(body, &m)};
		const size_t len = build(packet, &p);
		const int queue = run(&f, p.ether_type, packet, len);

		assert_in_range(queue, 0, 2);
		assert_int_equal(run(&f, p.ether_type, packet, len), queue);
		seen[queue]++;
		assert_int_equal(run(&f, V4, packet, build(packet, &q)), 3);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(seen[i], 700, 1300);
}

// Of what is made up, one in 65,536 bears a good mark by chance.
static void test_marks_are_not_guessed(void **state)
{
	unsigned good = 0;

	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		uint8_t spi[8], other[8];

		for (unsigned k = 0; k < 8; k++)
			spi[k] = (uint8_t)rnd();
		memcpy(other, spi, sizeof(other));
		ike_mark_spi(&key, other);
		good += memcmp(spi, other, 8) == 0;
	}
	assert_in_range(good, 2, 40); // 15 on average
}

static void test_linux_takes_the_program(void **state)
{
	const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)state;
	assert_true(fd >= 0);
	for (unsigned n = 1; n < 4; n++) {
		struct ike_filter f;
		struct sock_fprog prog = {.filter = f.ins};

		ike_filter_build(&f, &key, n);
		prog.len = f.n;
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)),
				 0);
	}
	close(fd);
}

// ---- when ----

static void test_ike_gets_an_eighth_while_others_wait(void **state)
{
	struct ike_share s = ike_share_new(1000000000);
	uint64_t now = 1000, ike = 0, others = 0;

	(void)state;
	while (now < 100000000) {
		if (ike_share_open(&s, now, true)) {
			ike_share_spent(&s, now, now + 80000);
			ike += 80000;
			now += 80000;
		}
		others += 20000;
		now += 20000;
	}
	assert_in_range(others / (ike / 100), 650, 750); // seven times as much
}

static void test_ike_gets_all_the_time_that_is_left(void **state)
{
	struct ike_share s = ike_share_new(1000000000);

	(void)state;
	ike_share_spent(&s, 1000, 81000);
	assert_false(ike_share_open(&s, 81000, true));
	assert_true(ike_share_open(&s, 81000, false));
	// Who lost its CPU in the middle does not pay for that time.
	ike_share_spent(&s, 1000, 1000 + 1000000000);
	assert_true(ike_share_open(&s, 1000 + 1000000000 + 7 * 500000, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_strangers_can_make_goes_to_the_queue_of_ike),
		cmocka_unit_test(test_all_else_does_not),
		cmocka_unit_test(test_several_queues_share_the_rest),
		cmocka_unit_test(test_marks_are_not_guessed),
		cmocka_unit_test(test_linux_takes_the_program),
		cmocka_unit_test(test_ike_gets_an_eighth_while_others_wait),
		cmocka_unit_test(test_ike_gets_all_the_time_that_is_left),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
