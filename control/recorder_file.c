#include "control/recorder_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/recorder_priv.h"
#include "lib/bytes.h"
#include "lib/siphash.h"

#define ID_MAX (UINT64_MAX / 2)

enum {
	VERSION = 1,
	HEAD_LEN = 36,
	RECORD_EVENT = 1,
	RECORD_PEER,
	RECORD_HEADER,
	RECORD_SECOND,
	RECORD_LOST,	  // the same as a header; daemons of before skip it
	FRAME_LEN = 5,	  // type and length
	HEADER_LEN = 100, // bytes at most
	PEER_LEN = 64 + 8 * RECORD_FATE_COUNT,
	SECOND_LEN = 128 + 4 * (GUARD_FATE_COUNT + RECORD_DROP_COUNT) + DP_WORKERS_MAX,
	OUT = 1, // of a header
	CUT = 2,
	PROVED = 4,
};

static const char magic[8] = {'p', '5', '0', '0', 'r', 'e', 'c', '\n'};
static const uint8_t known_key[SIPHASH_KEY_LEN] = "flight recorder";

// ---- pieces ----

static void put_addr(struct writer *w, const struct ip_addr *a)
{
	write_u8(w, a->family);
	write_bytes(w, a->bytes, ip_addr_len(a));
}

static struct ip_addr get_addr(struct reader *r)
{
	struct ip_addr a = {.family = read_u8(r)};
	const uint8_t *bytes;

	if (a.family != IP_NONE && a.family != IP_V4 && a.family != IP_V6) {
		r->failed = true;
		a.family = IP_NONE;
	}
	bytes = read_bytes(r, ip_addr_len(&a));
	if (bytes)
		memcpy(a.bytes, bytes, ip_addr_len(&a));
	return a;
}

// `at` is where the record begins; what stands behind it is its content.
static void frame(struct writer *w, size_t at)
{
	write_u32_at(w, at + 1, (uint32_t)(w->len - at - FRAME_LEN));
}

static size_t begin(struct writer *w, uint8_t type)
{
	const size_t at = w->len;

	write_u8(w, type);
	write_u32(w, 0);
	return at;
}

// ---- headers ----

static void put_header(struct writer *w, uint8_t type, const struct record_header *h)
{
	const size_t at = begin(w, type);

	write_u64(w, (uint64_t)h->time_ms);
	put_addr(w, &h->local.addr);
	write_u16(w, h->local.port);
	write_u16(w, h->remote.port);
	put_addr(w, &h->remote.addr);
	write_bytes(w, h->spi_i, sizeof(h->spi_i));
	write_bytes(w, h->spi_r, sizeof(h->spi_r));
	write_u32(w, h->message_id);
	write_u32(w, h->len);
	write_u8(w, h->version);
	write_u8(w, h->exchange);
	write_u8(w, h->flags);
	write_u8(w, h->next_payload);
	write_u8(w, (uint8_t)((h->out ? OUT : 0) | (h->cut ? CUT : 0) | (h->proved ? PROVED : 0)));
	write_u8(w, h->fate);
	write_u16(w, h->error);
	frame(w, at);
}

static void get_spi(struct reader *r, uint8_t spi[8])
{
	const uint8_t *bytes = read_bytes(r, 8);

	if (bytes)
		memcpy(spi, bytes, 8);
}

static struct record_header get_header(struct reader *r)
{
	struct record_header h = {.time_ms = (int64_t)read_u64(r)};
	uint8_t flags;

	h.local.addr = get_addr(r);
	h.local.port = read_u16(r);
	h.remote.port = read_u16(r);
	h.remote.addr = get_addr(r);
	get_spi(r, h.spi_i);
	get_spi(r, h.spi_r);
	h.message_id = read_u32(r);
	h.len = read_u32(r);
	h.version = read_u8(r);
	h.exchange = read_u8(r);
	h.flags = read_u8(r);
	h.next_payload = read_u8(r);
	flags = read_u8(r);
	h.out = flags & OUT;
	h.cut = flags & CUT;
	h.proved = flags & PROVED;
	h.fate = read_u8(r);
	h.error = read_u16(r);
	if (flags & ~(OUT | CUT | PROVED) || h.fate >= RECORD_FATE_COUNT)
		r->failed = true;
	return h;
}

// Counts stand for this run of the daemon alone, so they are not kept.
static void put_peer(struct writer *w, const struct record_ring *ring)
{
	const struct record_peer *p = &ring->peer;
	const size_t at = begin(w, RECORD_PEER);

	put_addr(w, &p->addr);
	write_u64(w, (uint64_t)p->first_ms);
	write_u64(w, (uint64_t)p->last_in_ms);
	write_u64(w, (uint64_t)p->last_out_ms);
	frame(w, at);
	for (unsigned i = 0; i < p->n; i++)
		put_header(w, RECORD_HEADER,
			   &ring->header[(ring->first + i) % LIMIT_RECORD_HEADERS]);
	for (unsigned i = 0; i < p->n_lost; i++)
		put_header(w, RECORD_LOST, &ring->lost[(ring->first_lost + i) % LIMIT_RECORD_LOST]);
}

static int get_peer(struct recorder *rec, struct reader *r, struct record_ring **ring)
{
	const struct ip_addr addr = get_addr(r);
	const int64_t first = (int64_t)read_u64(r), in = (int64_t)read_u64(r);
	const int64_t out = (int64_t)read_u64(r);

	if (r->failed)
		return -EBADMSG;
	if (!rec) // only looked at
		return 0;
	*ring = addr.family == IP_NONE ? rec->ring[0] : recorder_ring(rec, &addr, true);
	if (!*ring)
		return -ENOMEM;
	(*ring)->peer.first_ms = first;
	(*ring)->peer.last_in_ms = in;
	(*ring)->peer.last_out_ms = out;
	return 0;
}

// ---- seconds ----

// The numbers of a second, in the order of the file.
static uint32_t *second_field(struct record_second *s, unsigned i)
{
	uint32_t *const rest[] = {
		&s->span_ms,  &s->rx_packets, &s->tx_packets, &s->rx_missed, &s->tx_errors,
		&s->to_linux, &s->from_linux, &s->esp_in,     &s->esp_out,   &s->ike_in,
		&s->ike_out,  &s->ike_errors, &s->half_open,  &s->ike_sas,   &s->children,
	};

	return i < sizeof(rest) / sizeof(rest[0]) ? rest[i] : NULL;
}

static void put_second(struct writer *w, const struct record_second *second)
{
	struct record_second s = *second;
	const size_t at = begin(w, RECORD_SECOND);

	write_u64(w, (uint64_t)s.time_s);
	for (unsigned i = 0; second_field(&s, i); i++)
		write_u32(w, *second_field(&s, i));
	write_u8(w, GUARD_FATE_COUNT);
	for (unsigned i = 0; i < GUARD_FATE_COUNT; i++)
		write_u32(w, s.guard[i]);
	write_u8(w, RECORD_DROP_COUNT);
	for (unsigned i = 0; i < RECORD_DROP_COUNT; i++)
		write_u32(w, s.drops[i]);
	write_u8(w, s.n_workers);
	write_bytes(w, s.busy, s.n_workers);
	frame(w, at);
}

// A list whose length another version may have had otherwise: what we do not know of is skipped.
static void get_list(struct reader *r, uint32_t *to, unsigned max)
{
	const unsigned n = read_u8(r);

	for (unsigned i = 0; i < n; i++) {
		const uint32_t v = read_u32(r);

		if (i < max)
			to[i] = v;
	}
}

static struct record_second get_second(struct reader *r)
{
	struct record_second s = {.time_s = (int64_t)read_u64(r)};
	const uint8_t *busy;

	for (unsigned i = 0; second_field(&s, i); i++)
		*second_field(&s, i) = read_u32(r);
	get_list(r, s.guard, GUARD_FATE_COUNT);
	get_list(r, s.drops, RECORD_DROP_COUNT);
	s.n_workers = read_u8(r);
	busy = read_bytes(r, s.n_workers);
	if (!busy || s.n_workers > DP_WORKERS_MAX) {
		r->failed = true;
		return s;
	}
	memcpy(s.busy, busy, s.n_workers);
	return s;
}

static void keep_second(struct recorder *rec, const struct record_second *s)
{
	rec->newest = (rec->newest + 1) % LIMIT_RECORD_SECONDS;
	rec->second[rec->newest] = *s;
	if (rec->n_seconds < LIMIT_RECORD_SECONDS)
		rec->n_seconds++;
}

// ---- all ----

static size_t room_for(const struct recorder *r)
{
	return HEAD_LEN + r->peers.size + r->strangers.size +
	       (r->peers.n + r->strangers.n) * FRAME_LEN +
	       r->n_rings * (FRAME_LEN + PEER_LEN +
			     (size_t)(LIMIT_RECORD_HEADERS + LIMIT_RECORD_LOST) *
				     (FRAME_LEN + HEADER_LEN)) +
	       (size_t)r->n_seconds * (FRAME_LEN + SECOND_LEN);
}

static void put_events(struct writer *w, const struct recorder *r)
{
	uint8_t bytes[RECORD_EVENT_LEN_MAX];
	struct record_event e;

	for (uint64_t after = 0; recorder_event_after(r, after, &e); after = e.id) {
		const size_t at = begin(w, RECORD_EVENT);

		write_bytes(w, bytes, record_event_encode(&e, bytes));
		frame(w, at);
	}
}

int recorder_encode(const struct recorder *r, uint8_t **out, size_t *len)
{
	const size_t cap = room_for(r);
	uint8_t *bytes = malloc(cap), sum[SIPHASH_LEN];
	struct writer w = writer_of(bytes, cap);

	if (!bytes)
		return -ENOMEM;
	write_bytes(&w, magic, sizeof(magic));
	write_u32(&w, VERSION);
	write_zeros(&w, HEAD_LEN - w.len);
	put_events(&w, r);
	for (size_t i = 0; i < r->n_rings; i++)
		put_peer(&w, r->ring[i]);
	for (unsigned i = r->n_seconds; i-- > 0;)
		put_second(&w, recorder_second(r, i));
	write_u32_at(&w, 12, (uint32_t)(w.len - HEAD_LEN));
	siphash(known_key, bytes + HEAD_LEN, w.len - HEAD_LEN, sum);
	memcpy(bytes + 16, sum, sizeof(sum));
	*out = bytes;
	*len = w.len;
	return w.failed ? -ENOMEM : 0;
}

static int get_event(struct recorder *rec, const struct reader *content, uint64_t *last_id)
{
	struct record_event e;

	// Numbers that do not rise could not be found again.
	if (record_event_decode(content->data, content->len, &e) || e.id <= *last_id ||
	    e.id > ID_MAX)
		return -EBADMSG;
	*last_id = e.id;
	e.before = true;
	if (rec)
		recorder_keep(rec, &e);
	return 0;
}

static int get_record(struct recorder *rec, uint8_t type, struct reader *content,
		      struct record_ring **ring, uint64_t *last_id)
{
	switch (type) {
	case RECORD_EVENT:
		return get_event(rec, content, last_id);
	case RECORD_PEER:
		return get_peer(rec, content, ring);
	case RECORD_HEADER:
	case RECORD_LOST: {
		const struct record_header h = get_header(content);

		if (!content->failed && *ring && type == RECORD_LOST)
			record_ring_add_lost(*ring, &h);
		else if (!content->failed && *ring)
			record_ring_add(*ring, &h);
		break;
	}
	case RECORD_SECOND: {
		const struct record_second s = get_second(content);

		if (!content->failed && rec)
			keep_second(rec, &s);
		break;
	}
	default:
		break;
	}
	return content->failed ? -EBADMSG : 0;
}

// With `rec` NULL the records are only looked at.
static int get_records(struct recorder *rec, struct reader r, uint64_t *last_id)
{
	struct record_ring *ring = NULL;
	int rc = 0;

	while (rc == 0 && r.len) {
		const uint8_t type = read_u8(&r);
		struct reader content = read_sub(&r, read_u32(&r));

		rc = r.failed ? -EBADMSG : get_record(rec, type, &content, &ring, last_id);
	}
	return rc;
}

int recorder_decode(struct recorder *rec, const uint8_t *bytes, size_t len, struct error *err)
{
	struct reader r = reader_of(bytes, len);
	const uint8_t *start = read_bytes(&r, sizeof(magic));
	const uint32_t version = read_u32(&r), n = read_u32(&r);
	const uint8_t *sum = read_bytes(&r, SIPHASH_LEN);
	uint8_t real[SIPHASH_LEN];
	uint64_t last_id = 0;
	int rc;

	read_u32(&r);
	if (!start || memcmp(start, magic, sizeof(magic)) != 0)
		return error_set(err, -EBADMSG, "it is no file of the flight recorder");
	if (!r.failed && version != VERSION)
		return error_set(err, -EBADMSG, "its version is %u, this daemon knows %d", version,
				 VERSION);
	if (r.failed || n != r.len)
		return error_set(err, -EBADMSG, "it is cut short, or longer than it says");
	siphash(known_key, r.data, r.len, real);
	if (memcmp(real, sum, sizeof(real)) != 0)
		return error_set(err, -EBADMSG, "its checksum is wrong");
	rc = get_records(NULL, r, &last_id);
	if (rc)
		return error_set(err, rc, "its checksum fits, but a record in it is malformed");
	last_id = 0;
	rc = get_records(rec, r, &last_id);
	if (last_id > rec->last_id)
		rec->last_id = last_id;
	return rc ? error_set(err, rc, "out of memory") : 0;
}
