#include "control/record_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"

enum { STRANGER = 1, BEFORE = 2, FLAGS = STRANGER | BEFORE };

// ---- one event as bytes ----

static void put_text(struct writer *w, const char *s, size_t max)
{
	size_t len = s ? strnlen(s, max - 1) : 0;

	// Not in the middle of a character (UTF-8): the rest of it would be no text.
	if (s && s[len])
		while (len > 0 && ((uint8_t)s[len] & 0xc0) == 0x80)
			len--;
	write_u16(w, (uint16_t)len);
	write_bytes(w, s, len);
	write_u8(w, 0);
}

static const char *get_text(struct reader *r, size_t max)
{
	const size_t len = read_u16(r);
	const uint8_t *s = read_bytes(r, len + 1);

	if (!s || len >= max || s[len] || memchr(s, 0, len)) {
		r->failed = true;
		return "";
	}
	return (const char *)s;
}

size_t record_event_encode(const struct record_event *e, uint8_t out[RECORD_EVENT_LEN_MAX])
{
	struct writer w = writer_of(out, RECORD_EVENT_LEN_MAX);

	write_u64(&w, e->id);
	write_u64(&w, (uint64_t)e->time_ms);
	write_u8(&w, (uint8_t)e->kind);
	write_u8(&w, (uint8_t)e->level);
	write_u8(&w, (uint8_t)((e->stranger ? STRANGER : 0) | (e->before ? BEFORE : 0)));
	write_u32(&w, e->ike_id);
	write_u32(&w, e->took_ms);
	put_text(&w, e->code, RECORD_CODE_MAX);
	put_text(&w, e->conn, RECORD_NAME_MAX);
	put_text(&w, e->child, RECORD_NAME_MAX);
	put_text(&w, e->text, RECORD_TEXT_MAX);
	return w.len;
}

int record_event_decode(const uint8_t *bytes, size_t len, struct record_event *out)
{
	struct reader r = reader_of(bytes, len);
	struct record_event e = {.id = read_u64(&r)};
	uint8_t kind, level, flags;

	e.time_ms = (int64_t)read_u64(&r);
	kind = read_u8(&r);
	level = read_u8(&r);
	flags = read_u8(&r);
	e.ike_id = read_u32(&r);
	e.took_ms = read_u32(&r);
	e.code = get_text(&r, RECORD_CODE_MAX);
	e.conn = get_text(&r, RECORD_NAME_MAX);
	e.child = get_text(&r, RECORD_NAME_MAX);
	e.text = get_text(&r, RECORD_TEXT_MAX);
	if (r.failed || r.len || kind >= RECORD_KIND_COUNT || level >= RECORD_LEVEL_COUNT ||
	    flags & ~FLAGS)
		return -EBADMSG;
	e.kind = (enum record_kind)kind;
	e.level = (enum record_level)level;
	e.stranger = flags & STRANGER;
	e.before = flags & BEFORE;
	*out = e;
	return 0;
}

// ---- the log ----

int record_log_init(struct record_log *l, size_t events, size_t bytes)
{
	*l = (struct record_log){
		.data = malloc(bytes),
		.size = bytes,
		.place = calloc(events, sizeof(*l->place)),
		.cap = events,
	};
	if (l->data && l->place)
		return 0;
	record_log_fini(l);
	return -ENOMEM;
}

void record_log_fini(struct record_log *l)
{
	free(l->data);
	free(l->place);
	*l = (struct record_log){0};
}

static const struct record_place *place_at(const struct record_log *l, size_t i)
{
	return &l->place[(l->first + i) % l->cap];
}

static void push_out(struct record_log *l)
{
	l->first = (l->first + 1) % l->cap;
	l->n--;
	l->lost++;
}

// Makes `len` bytes free in one piece and says where.
static size_t make_room(struct record_log *l, size_t len)
{
	const bool wraps = l->head + len > l->size;
	const size_t at = wraps ? 0 : l->head;

	while (l->n) {
		const struct record_place *oldest = place_at(l, 0);
		const bool overlaps = oldest->at < at + len && at < oldest->at + oldest->len;

		// What is left between the head and the end is older than what the new one hits.
		if (l->n < l->cap && !overlaps && !(wraps && oldest->at >= l->head))
			break;
		push_out(l);
	}
	return at;
}

void record_log_add(struct record_log *l, const struct record_event *e)
{
	uint8_t bytes[RECORD_EVENT_LEN_MAX];
	const size_t len = record_event_encode(e, bytes);
	const size_t at = make_room(l, len);

	memcpy(l->data + at, bytes, len);
	l->head = at + len;
	l->place[(l->first + l->n++) % l->cap] =
		(struct record_place){e->id, (uint32_t)at, (uint32_t)len};
}

bool record_log_after(const struct record_log *l, uint64_t after, struct record_event *out)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (place_at(l, mid)->id <= after)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n &&
	       record_event_decode(l->data + place_at(l, lo)->at, place_at(l, lo)->len, out) == 0;
}
