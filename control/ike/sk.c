#include "control/ike/sk.h"

#include <errno.h>
#include <string.h>

void sk_begin(struct ike_builder *b, const struct ike_suite *suite)
{
	build_payload(b, PAYLOAD_SK);
	b->sk_at = b->payload_at;
	b->payload_at = 0; // closed by sk_finish, not by the first payload inside
	b->sk_body = b->w.len;
	write_zeros(&b->w, suite->iv_len);
}

void sk_begin_fragment(struct ike_builder *b, const struct ike_suite *suite, uint8_t first,
		       uint16_t number, uint16_t total)
{
	build_payload(b, PAYLOAD_SKF);
	b->sk_at = b->payload_at;
	b->payload_at = 0;
	// RFC 7383 2.5: only the first fragment names it.
	write_u8_at(&b->w, b->sk_at, number == 1 ? first : PAYLOAD_NONE);
	write_u16(&b->w, number);
	write_u16(&b->w, total);
	b->sk_body = b->w.len;
	write_zeros(&b->w, suite->iv_len);
}

// The pad length octet is part of what has to fill whole blocks.
static size_t padding(const struct ike_suite *suite, size_t plain_len)
{
	return (suite->block_len - (plain_len + 1) % suite->block_len) % suite->block_len;
}

size_t sk_sealed_len(const struct ike_suite *suite, size_t plain_len)
{
	return suite->iv_len + plain_len + padding(suite, plain_len) + 1 + suite->icv_len;
}

int sk_finish(struct ike_builder *b, const struct ike_crypto *c, const struct ike_suite *suite,
	      struct sk_keys keys)
{
	size_t plain_at = b->sk_body + suite->iv_len;
	size_t plain_len, pad_len;
	struct ike_buf aad;
	uint8_t *icv;

	build_finish(b);
	plain_len = b->w.len - plain_at;
	pad_len = padding(suite, plain_len);
	write_zeros(&b->w, pad_len);
	write_u8(&b->w, (uint8_t)pad_len);
	icv = write_reserve(&b->w, suite->icv_len);
	write_u16_at(&b->w, b->sk_at + 2, (uint16_t)(b->w.len - b->sk_at));
	write_u32_at(&b->w, 24, (uint32_t)b->w.len);
	if (b->w.failed)
		return -EMSGSIZE;
	aad = (struct ike_buf){b->buf, b->sk_body};
	return c->seal(c->ctx, &suite->encr, &suite->integ, keys.encr, keys.integ, &aad,
		       b->buf + b->sk_body, b->buf + plain_at, plain_len + pad_len + 1, icv);
}

int sk_open(const struct ike_msg *m, const struct ike_crypto *c, const struct ike_suite *suite,
	    struct sk_keys keys, uint8_t *buf, const uint8_t **plain, size_t *len)
{
	size_t overhead = suite->iv_len + suite->icv_len;
	struct ike_buf aad = {m->bytes, m->sk_body};
	size_t body_len, data_len, pad_len;
	const uint8_t *body;
	int err;

	if (!m->has_sk)
		return -EBADMSG;
	body = m->bytes + m->sk_body;
	body_len = m->len - m->sk_body;
	// At least the pad length octet stands between IV and ICV.
	if (body_len < overhead + 1)
		return -EBADMSG;
	data_len = body_len - overhead;
	if (data_len % suite->block_len != 0)
		return -EBADMSG;
	memcpy(buf, body + suite->iv_len, data_len);
	err = c->open(c->ctx, &suite->encr, &suite->integ, keys.encr, keys.integ, &aad, body, buf,
		      data_len, body + suite->iv_len + data_len);
	if (err)
		return err;
	pad_len = buf[data_len - 1];
	if (pad_len > data_len - 1)
		return -EBADMSG;
	*plain = buf;
	*len = data_len - 1 - pad_len;
	return 0;
}
