#include "dataplane/ike_filter.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/if_ether.h>

#include "lib/ike_cookie.h"
#include "lib/ike_wire.h"
#include "lib/ipv6.h"

// A group's program sees a packet from its IP header on.
enum {
	V4_FRAG_AT = 6,
	V4_PROTO_AT = 9,
	V4_SRC_AT = 12,
	V4_DST_AT = 16,
	V4_FRAG_ANY = 0x3fff, // more fragments, or an offset
	V6_NEXT_AT = 6,
	UDP_DST_AT = 2,
	UDP_LEN = 8,
	MARKER_LEN = 4,
	// of an IKE message
	SPI_I_AT = 0,
	SPI_R_AT = 8,
	NEXT_AT = 16,
	VERSION_AT = 17,
	FLAGS_AT = 19,
	FIRST_AT = IKE_HEADER_LEN, // payload: a cookie has to be the first one (RFC 7296 2.6)
	FIRST_LEN_AT = FIRST_AT + 2,
	NOTIFY_TYPE_AT = FIRST_AT + 6,
	COOKIE_AT = FIRST_AT + 8,
	NOTIFY_COOKIE = 16390,
};

// The words of BPF's memory.
enum { M_SRC, M_HASH, M_A, M_B, M_MARK, M_T };

enum label {
	NEXT, // the instruction behind
	V6,
	UDP,
	AT_500,
	IKE_HEADER,
	FROM_INITIATOR,
	OPENER,
	CHECK,
	MAIN, // for the queues of everybody
	IKE,  // for IKE's
	LABELS,
};

struct builder {
	struct ike_filter *f;
	unsigned char target[IKE_FILTER_MAX][2]; // labels of its jumps
	int at[LABELS];
};

static void put(struct builder *b, unsigned code, uint32_t k)
{
	assert(b->f->n < IKE_FILTER_MAX);
	b->f->ins[b->f->n++] = (struct sock_filter){.code = (unsigned short)code, .k = k};
}

static void jump(struct builder *b, unsigned op, uint32_t k, enum label yes, enum label no)
{
	b->target[b->f->n][0] = (unsigned char)yes;
	b->target[b->f->n][1] = (unsigned char)no;
	put(b, BPF_JMP | op, k);
}

static void go(struct builder *b, enum label to)
{
	b->target[b->f->n][0] = (unsigned char)to;
	put(b, BPF_JMP | BPF_JA, 0);
}

static void label(struct builder *b, enum label l)
{
	b->at[l] = b->f->n;
}

static void resolve(struct builder *b)
{
	for (int i = 0; i < b->f->n; i++) {
		struct sock_filter *s = &b->f->ins[i];
		int by[2] = {0, 0};

		if (BPF_CLASS(s->code) != BPF_JMP)
			continue;
		for (unsigned k = 0; k < 2; k++)
			if (b->target[i][k] != NEXT)
				by[k] = b->at[b->target[i][k]] - i - 1;
		if (BPF_OP(s->code) == BPF_JA) {
			s->k = (uint32_t)by[0];
			continue;
		}
		s->jt = (unsigned char)by[0];
		s->jf = (unsigned char)by[1];
	}
}

// A = the bytes at a fixed place, or X bytes further.
static void load(struct builder *b, unsigned size, uint32_t at)
{
	put(b, BPF_LD | BPF_ABS | size, at);
}

static void load_x(struct builder *b, unsigned size, uint32_t at)
{
	put(b, BPF_LD | BPF_IND | size, at);
}

static void store(struct builder *b, unsigned word)
{
	put(b, BPF_ST, word);
}

// The word is A xor the word. X is lost.
static void mix(struct builder *b, unsigned word)
{
	put(b, BPF_LDX | BPF_MEM, word);
	put(b, BPF_ALU | BPF_XOR | BPF_X, 0);
	store(b, word);
}

// A ^= A >> shift. X is lost.
static void fold(struct builder *b, uint32_t shift)
{
	store(b, M_T);
	put(b, BPF_ALU | BPF_RSH | BPF_K, shift);
	put(b, BPF_MISC | BPF_TAX, 0);
	put(b, BPF_LD | BPF_MEM, M_T);
	put(b, BPF_ALU | BPF_XOR | BPF_X, 0);
}

// ---- the parts ----

// Behind it X is the length of the IP header, M_HASH what the packet is spread by and M_SRC its
// source.
static void ip_headers(struct builder *b, unsigned n_queues)
{
	load(b, BPF_W, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
	jump(b, BPF_JEQ, ETH_P_IPV6, V6, NEXT);
	put(b, BPF_LDX | BPF_IMM, 0);
	put(b, BPF_STX, M_HASH);
	jump(b, BPF_JEQ, ETH_P_IP, NEXT, MAIN);

	load(b, BPF_W, V4_SRC_AT);
	store(b, M_SRC);
	store(b, M_HASH);
	load(b, BPF_W, V4_DST_AT);
	mix(b, M_HASH);
	load(b, BPF_H, V4_FRAG_AT);
	jump(b, BPF_JSET, V4_FRAG_ANY, MAIN, NEXT);
	if (n_queues > 1) { // ports, or the SPI
		put(b, BPF_LDX | BPF_B | BPF_MSH, 0);
		load_x(b, BPF_W, 0);
		mix(b, M_HASH);
	}
	load(b, BPF_B, V4_PROTO_AT);
	jump(b, BPF_JEQ, IPPROTO_UDP, NEXT, MAIN);
	put(b, BPF_LDX | BPF_B | BPF_MSH, 0);
	go(b, UDP);

	label(b, V6);
	load(b, BPF_W, IPV6_SRC_AT);
	store(b, M_SRC);
	for (uint32_t i = 4; i < 16; i += 4) {
		load(b, BPF_W, IPV6_SRC_AT + i);
		mix(b, M_SRC);
	}
	store(b, M_HASH);
	load(b, BPF_W, IPV6_DST_AT + 12);
	mix(b, M_HASH);
	load(b, BPF_W, IPV6_HDR_LEN);
	mix(b, M_HASH);
	load(b, BPF_B, V6_NEXT_AT);
	jump(b, BPF_JEQ, IPPROTO_UDP, NEXT, MAIN);
	put(b, BPF_LDX | BPF_IMM, IPV6_HDR_LEN);
}

// Behind it X is where the IKE message is, and its header is there.
static void udp_header(struct builder *b)
{
	label(b, UDP);
	load_x(b, BPF_H, UDP_DST_AT);
	jump(b, BPF_JEQ, IKE_PORT, AT_500, NEXT);
	jump(b, BPF_JEQ, IKE_NATT_PORT, NEXT, MAIN);
	load_x(b, BPF_W, UDP_LEN);
	jump(b, BPF_JEQ, 0, NEXT, MAIN); // ESP (RFC 3948 2.2)
	put(b, BPF_MISC | BPF_TXA, 0);
	put(b, BPF_ALU | BPF_ADD | BPF_K, UDP_LEN + MARKER_LEN);
	go(b, IKE_HEADER);
	label(b, AT_500);
	put(b, BPF_MISC | BPF_TXA, 0);
	put(b, BPF_ALU | BPF_ADD | BPF_K, UDP_LEN);
	label(b, IKE_HEADER);
	put(b, BPF_MISC | BPF_TAX, 0);
	// A load beyond the end of the packet ends the program with queue 0.
	put(b, BPF_LD | BPF_W | BPF_LEN, 0);
	put(b, BPF_ALU | BPF_SUB | BPF_X, 0);
	jump(b, BPF_JGE, 0x80000000, IKE, NEXT);
	jump(b, BPF_JGE, IKE_HEADER_LEN, NEXT, IKE);
}

static void take_spi(struct builder *b, uint32_t at)
{
	load_x(b, BPF_W, at);
	store(b, M_A);
	load_x(b, BPF_H, at + 4);
	store(b, M_B);
	load_x(b, BPF_H, at + 6);
	store(b, M_MARK);
}

// Behind it M_A and M_B are what the mark is of, and M_MARK is the mark.
static void ike_header(struct builder *b)
{
	load_x(b, BPF_B, VERSION_AT);
	put(b, BPF_ALU | BPF_AND | BPF_K, 0xf0);
	jump(b, BPF_JEQ, IKE_VERSION, NEXT, IKE);
	load_x(b, BPF_B, FLAGS_AT);
	jump(b, BPF_JSET, IKE_FLAG_INITIATOR, FROM_INITIATOR, NEXT);
	take_spi(b, SPI_I_AT);
	go(b, CHECK);

	label(b, FROM_INITIATOR);
	load_x(b, BPF_W, SPI_R_AT);
	jump(b, BPF_JEQ, 0, OPENER, NEXT);
	take_spi(b, SPI_R_AT);
	go(b, CHECK);

	label(b, OPENER);
	load_x(b, BPF_B, NEXT_AT);
	jump(b, BPF_JEQ, PAYLOAD_NOTIFY, NEXT, IKE);
	put(b, BPF_LD | BPF_W | BPF_LEN, 0);
	put(b, BPF_ALU | BPF_SUB | BPF_X, 0);
	jump(b, BPF_JGE, COOKIE_AT + IKE_COOKIE_LEN, NEXT, IKE);
	load_x(b, BPF_H, FIRST_LEN_AT);
	jump(b, BPF_JEQ, COOKIE_AT - FIRST_AT + IKE_COOKIE_LEN, NEXT, IKE);
	load_x(b, BPF_H, NOTIFY_TYPE_AT);
	jump(b, BPF_JEQ, NOTIFY_COOKIE, NEXT, IKE);
	load_x(b, BPF_W, COOKIE_AT + 1);
	store(b, M_B);
	load_x(b, BPF_H, COOKIE_AT + IKE_COOKIE_LEN - IKE_MARK_LEN);
	store(b, M_MARK);
	load_x(b, BPF_W, SPI_I_AT);
	store(b, M_A);
	put(b, BPF_LD | BPF_MEM, M_SRC);
	mix(b, M_A);
}

// ike_mark() once more.
static void check_mark(struct builder *b, const struct ike_mark_key *key)
{
	label(b, CHECK);
	put(b, BPF_LD | BPF_MEM, M_A);
	put(b, BPF_ALU | BPF_XOR | BPF_K, key->add);
	put(b, BPF_ALU | BPF_MUL | BPF_K, key->mul[0]);
	fold(b, IKE_MARK_SHIFT_1);
	put(b, BPF_LDX | BPF_MEM, M_B);
	put(b, BPF_ALU | BPF_XOR | BPF_X, 0);
	put(b, BPF_ALU | BPF_MUL | BPF_K, key->mul[1]);
	fold(b, IKE_MARK_SHIFT_2);
	put(b, BPF_ALU | BPF_MUL | BPF_K, key->mul[2]);
	put(b, BPF_ALU | BPF_RSH | BPF_K, 16);
	put(b, BPF_LDX | BPF_MEM, M_MARK);
	jump(b, BPF_JEQ | BPF_X, 0, MAIN, IKE);
}

void ike_filter_build(struct ike_filter *f, const struct ike_mark_key *key, unsigned n_queues)
{
	struct builder b = {.f = f};

	memset(f, 0, sizeof(*f));
	ip_headers(&b, n_queues);
	udp_header(&b);
	ike_header(&b);
	check_mark(&b, key);

	label(&b, MAIN);
	if (n_queues > 1) {
		put(&b, BPF_LD | BPF_MEM, M_HASH);
		fold(&b, 16);
		fold(&b, 8);
		put(&b, BPF_ALU | BPF_MOD | BPF_K, n_queues);
		put(&b, BPF_RET | BPF_A, 0);
	} else {
		put(&b, BPF_RET | BPF_K, 0);
	}
	label(&b, IKE);
	put(&b, BPF_RET | BPF_K, n_queues);
	resolve(&b);
}
