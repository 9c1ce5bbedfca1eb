#include "lib/ike_peek.h"

#include "lib/bytes.h"
#include "lib/ike_wire.h"
#include "lib/limits.h"

enum {
	NOTIFY_COOKIE = 16390,
	V1_PAYLOAD_VENDOR = 13, // RFC 2408 3.1
	V1_FLAG_ENCRYPTED = 1,
};

static void look_at(struct ike_peek *p, uint8_t type, struct reader body, unsigned *seen)
{
	const uint8_t *data = body.data;
	const size_t len = body.len;

	if (type == PAYLOAD_SA)
		*seen |= 1;
	if (type == PAYLOAD_KE)
		*seen |= 2;
	if (type == PAYLOAD_NONCE && !p->nonce) {
		*seen |= len >= LIMIT_IKE_NONCE_MIN && len <= LIMIT_IKE_NONCE_MAX ? 4 : 0;
		p->nonce = data;
		p->nonce_len = len;
	}
	if (type == PAYLOAD_NOTIFY && len >= 4 && data[1] == 0 &&
	    (data[2] << 8 | data[3]) == NOTIFY_COOKIE && !p->cookie) {
		p->cookie = data + 4;
		p->cookie_len = len - 4;
	}
	if ((type == PAYLOAD_VENDOR || (p->major == 1 && type == V1_PAYLOAD_VENDOR)) &&
	    !p->vendor) {
		p->vendor = data;
		p->vendor_len = len;
	}
}

// False when the chain of payloads does not fit the message.
static bool walk(struct ike_peek *p, struct reader r, uint8_t type, unsigned *seen)
{
	for (unsigned n = 0; type != PAYLOAD_NONE && n < LIMIT_IKE_PAYLOADS; n++) {
		const uint8_t next = read_u8(&r);
		uint16_t len;

		read_u8(&r);
		len = read_u16(&r);
		if (r.failed || len < IKE_PAYLOAD_LEN || (size_t)len - IKE_PAYLOAD_LEN > r.len)
			return false;
		look_at(p, type, read_sub(&r, len - IKE_PAYLOAD_LEN), seen);
		type = next;
	}
	return type == PAYLOAD_NONE;
}

bool ike_peek(const uint8_t *data, size_t len, struct ike_peek *out)
{
	struct reader r = reader_of(data, len);
	struct ike_peek p = {.spi_i = data};
	unsigned seen = 0;
	uint8_t next, version, flags;
	bool clear;

	p.spi_i_num = read_u64(&r);
	p.spi_r_num = read_u64(&r);
	next = read_u8(&r);
	version = read_u8(&r);
	p.major = version >> 4;
	p.exchange = read_u8(&r);
	flags = read_u8(&r);
	p.message_id = read_u32(&r);
	if (read_u32(&r) != len || r.failed || p.spi_i_num == 0)
		return false;
	p.is_response = p.major == 2 && (flags & IKE_FLAG_RESPONSE);
	p.from_initiator = p.major == 2 && (flags & IKE_FLAG_INITIATOR);
	clear = p.major == 2 ? p.exchange == EXCHANGE_IKE_SA_INIT : !(flags & V1_FLAG_ENCRYPTED);
	if (clear && !walk(&p, r, next, &seen))
		return false;
	p.opens = p.major == 2 && p.exchange == EXCHANGE_IKE_SA_INIT && !p.is_response &&
		  p.spi_r_num == 0 && seen == 7;
	*out = p;
	return true;
}

uint64_t ike_peek_own_spi(const struct ike_peek *p)
{
	return p->from_initiator ? p->spi_r_num : p->spi_i_num;
}
