#include "lib/ike_cookie.h"

#include <string.h>

#include "lib/bytes.h"
#include "lib/limits.h"
#include "lib/secret.h"

enum { NOTIFY_COOKIE = 16390 }; // RFC 7296 3.10.1

static void cookie_of(const struct ike_mark_key *mark_key, const uint8_t key[SIPHASH_KEY_LEN],
		      uint8_t version, const struct ike_cookie_for *f, uint8_t out[IKE_COOKIE_LEN])
{
	uint8_t input[LIMIT_IKE_NONCE_MAX + 16 + 8];
	struct writer w = writer_of(input, sizeof(input));
	uint16_t mark;

	write_bytes(&w, f->nonce, f->nonce_len);
	write_bytes(&w, f->from->bytes, ip_addr_len(f->from));
	write_bytes(&w, f->spi_i, 8);
	out[0] = version;
	siphash(key, input, w.len, out + 1);
	mark = ike_mark_cookie(mark_key, f->from->bytes, (unsigned)ip_addr_len(f->from), f->spi_i,
			       out + 1);
	out[1 + SIPHASH_LEN] = (uint8_t)(mark >> 8);
	out[1 + SIPHASH_LEN + 1] = (uint8_t)mark;
}

bool ike_cookie_check(const struct ike_cookie_keys *k, const struct ike_cookie_for *f,
		      const uint8_t *cookie, size_t len)
{
	uint8_t wanted[IKE_COOKIE_LEN];

	if (len != IKE_COOKIE_LEN || f->nonce_len > LIMIT_IKE_NONCE_MAX)
		return false;
	if (cookie[0] == k->version)
		cookie_of(&k->mark, k->now, cookie[0], f, wanted);
	else if (k->has_before && cookie[0] == (uint8_t)(k->version - 1))
		cookie_of(&k->mark, k->before, cookie[0], f, wanted);
	else
		return false;
	return bytes_equal_ct(cookie, wanted, IKE_COOKIE_LEN);
}

void ike_cookie_reply(const struct ike_cookie_keys *k, const struct ike_cookie_for *f,
		      uint32_t message_id, uint8_t out[IKE_COOKIE_REPLY_LEN])
{
	struct writer w = writer_of(out, IKE_COOKIE_REPLY_LEN);
	uint8_t cookie[IKE_COOKIE_LEN];

	cookie_of(&k->mark, k->now, k->version, f, cookie);
	write_bytes(&w, f->spi_i, 8);
	write_zeros(&w, 8); // RFC 7296 2.6: no SPI of ours yet
	write_u8(&w, PAYLOAD_NOTIFY);
	write_u8(&w, IKE_VERSION);
	write_u8(&w, EXCHANGE_IKE_SA_INIT);
	write_u8(&w, IKE_FLAG_RESPONSE);
	write_u32(&w, message_id);
	write_u32(&w, IKE_COOKIE_REPLY_LEN);
	write_u8(&w, PAYLOAD_NONE);
	write_u8(&w, 0);
	write_u16(&w, IKE_COOKIE_REPLY_LEN - IKE_HEADER_LEN);
	write_u8(&w, 0); // protocol: none
	write_u8(&w, 0);
	write_u16(&w, NOTIFY_COOKIE);
	write_bytes(&w, cookie, IKE_COOKIE_LEN);
}
