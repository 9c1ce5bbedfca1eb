#include "control/ike/fragment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IPV4_HEADER_LEN	    20
#define IPV6_HEADER_LEN	    40
#define UDP_HEADER_LEN	    8
#define NON_ESP_MARKER_LEN  4
#define FRAGMENT_HEADER_LEN (IKE_HEADER_LEN + IKE_PAYLOAD_LEN + 4)

// ---- out ----

size_t fragment_message_room(size_t datagram_len, bool v6)
{
	// The marker is counted on port 500 too: a retransmission may take the other one.
	size_t headers =
		(v6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN) + UDP_HEADER_LEN + NON_ESP_MARKER_LEN;

	return datagram_len > headers ? datagram_len - headers : 0;
}

static size_t plain_len(const struct ike_builder *b, const struct ike_suite *suite)
{
	return b->w.len - b->sk_body - suite->iv_len;
}

bool fragment_needed(const struct ike_builder *b, const struct ike_suite *suite, size_t room)
{
	return b->sk_at && b->sk_body + sk_sealed_len(suite, plain_len(b, suite)) > room;
}

// Bytes of payloads that one fragment carries, 0: none.
static size_t piece_len(const struct ike_suite *suite, size_t room)
{
	size_t fixed = FRAGMENT_HEADER_LEN + suite->iv_len + suite->icv_len;
	size_t blocks;

	if (room <= fixed)
		return 0;
	blocks = (room - fixed) / suite->block_len * suite->block_len;
	return blocks > 1 ? blocks - 1 : 0; // the pad length octet
}

int fragment_seal(struct ike_builder *b, const struct ike_crypto *c, const struct ike_suite *suite,
		  struct sk_keys keys, size_t room, uint8_t **out, size_t *len)
{
	size_t piece = piece_len(suite, room), whole, done = 0, at = 0, n;
	struct ike_builder f;
	uint8_t *bytes;
	int err = 0;

	build_finish(b);
	whole = plain_len(b, suite);
	n = piece ? (whole + piece - 1) / piece : 0;
	if (b->w.failed || n == 0 || n > LIMIT_IKE_FRAGMENTS)
		return -EMSGSIZE;
	bytes = malloc(n * room);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		size_t take = whole - done < piece ? whole - done : piece;

		// SPIs, exchange, flags and message ID are those of the whole (RFC 7383 2.5).
		build_start(&f, b->buf, b->buf + 8, b->buf[18], b->buf[19], 0);
		memcpy(f.buf, b->buf, IKE_HEADER_LEN);
		sk_begin_fragment(&f, suite, b->buf[b->sk_at], (uint16_t)(i + 1), (uint16_t)n);
		write_bytes(&f.w, b->buf + b->sk_body + suite->iv_len + done, take);
		err = sk_finish(&f, c, suite, keys);
		if (err)
			break;
		memcpy(bytes + at, f.buf, f.w.len);
		at += f.w.len;
		done += take;
	}
	if (err) {
		free(bytes);
		return err;
	}
	*out = bytes;
	*len = at;
	return 0;
}

// ---- in ----

bool reassembly_wants(const struct reassembly *r, const struct ike_msg *m)
{
	if (m->fragment == 0 || m->fragments > LIMIT_IKE_FRAGMENTS)
		return false;
	if (!r->part || r->message_id != m->h.message_id)
		return true;
	if (m->fragments != r->total)
		return m->fragments > r->total;
	return !r->part[m->fragment - 1].data;
}

int reassembly_add(struct reassembly *r, const struct ike_msg *m, const uint8_t *plain, size_t len)
{
	uint8_t *data = NULL;
	int err = -EMSGSIZE;

	if (r->part && (r->message_id != m->h.message_id || r->total != m->fragments))
		reassembly_fini(r);
	if (m->fragments > LIMIT_IKE_FRAGMENTS || len > LIMIT_IKE_MESSAGE_LEN - r->len)
		goto fail;
	err = -ENOMEM;
	if (!r->part) {
		r->part = calloc(m->fragments, sizeof(*r->part));
		if (!r->part)
			goto fail;
		r->message_id = m->h.message_id;
		r->total = m->fragments;
	}
	data = malloc(len ? len : 1);
	if (!data)
		goto fail;
	memcpy(data, plain, len);
	r->part[m->fragment - 1] = (struct fragment){data, len};
	r->len += len;
	r->have++;
	if (m->fragment == 1)
		r->first = m->sk_first;
	return 0;
fail:
	reassembly_fini(r);
	return err;
}

bool reassembly_complete(const struct reassembly *r)
{
	return r->part && r->have == r->total;
}

void reassembly_take(struct reassembly *r, uint8_t *buf, size_t *len, uint8_t *first)
{
	size_t at = 0;

	for (unsigned i = 0; i < r->total; i++) {
		memcpy(buf + at, r->part[i].data, r->part[i].len);
		at += r->part[i].len;
	}
	*len = at;
	*first = r->first;
	reassembly_fini(r);
}

void reassembly_fini(struct reassembly *r)
{
	for (unsigned i = 0; r->part && i < r->total; i++)
		free(r->part[i].data);
	free(r->part);
	*r = (struct reassembly){0};
}
