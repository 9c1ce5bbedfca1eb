#include "control/ike/message.h"

#include <errno.h>
#include <string.h>

#include "control/ike/payload.h"
#include "lib/bytes.h"

int ike_header_parse(const uint8_t *bytes, size_t len, struct ike_header *h)
{
	struct reader r = reader_of(bytes, len);
	struct ike_header parsed = {0};
	const uint8_t *spi_i = read_bytes(&r, 8);
	const uint8_t *spi_r = read_bytes(&r, 8);
	uint8_t version;

	parsed.next_payload = read_u8(&r);
	version = read_u8(&r);
	parsed.exchange = read_u8(&r);
	parsed.flags = read_u8(&r);
	parsed.message_id = read_u32(&r);
	parsed.length = read_u32(&r);
	if (r.failed || parsed.length != len)
		return -EBADMSG;
	memcpy(parsed.spi_i, spi_i, 8);
	memcpy(parsed.spi_r, spi_r, 8);
	parsed.major = version >> 4;
	parsed.minor = version & 0x0f;
	parsed.from_original_initiator = parsed.flags & IKE_FLAG_INITIATOR;
	parsed.is_response = parsed.flags & IKE_FLAG_RESPONSE;
	*h = parsed;
	return 0;
}

static bool payload_known(uint8_t type)
{
	return (type >= PAYLOAD_SA && type <= PAYLOAD_EAP) || type == PAYLOAD_SKF;
}

// Notify and Delete may stand in any message, so their form is checked here, once.
static bool payload_form_ok(const struct ike_payload *p)
{
	struct ike_notify notify;
	struct ike_delete delete;

	if (p->type == PAYLOAD_NOTIFY)
		return payload_notify_parse(p, &notify) == 0;
	if (p->type == PAYLOAD_DELETE)
		return payload_delete_parse(p, &delete) == 0;
	return true;
}

// The Encrypted payload in position m->n, or a fragment of one.
static int sk_parse(struct ike_msg *m, uint8_t next)
{
	struct ike_payload *p = &m->p[m->n];
	struct reader r = reader_of(p->data, p->len);

	if (p->type == PAYLOAD_SKF) {
		m->fragment = read_u16(&r);
		m->fragments = read_u16(&r);
		// RFC 7383 2.5: both count from 1.
		if (r.failed || m->fragment == 0 || m->fragment > m->fragments)
			return -EBADMSG;
	}
	m->has_sk = true;
	m->sk_first = next;
	m->sk_body = (size_t)(r.data - m->bytes);
	return 0;
}

static int chain_parse(struct ike_msg *m, uint8_t type, struct reader *r, bool inner)
{
	while (type != PAYLOAD_NONE) {
		uint8_t next = read_u8(r);
		bool critical = read_u8(r) & 0x80;
		uint16_t len = read_u16(r);
		const uint8_t *body;

		if (r->failed || len < IKE_PAYLOAD_LEN)
			return -EBADMSG;
		body = read_bytes(r, len - (size_t)IKE_PAYLOAD_LEN);
		if (!body || m->n == LIMIT_IKE_PAYLOADS)
			return -EBADMSG;
		m->p[m->n] = (struct ike_payload){type, body, len - (size_t)IKE_PAYLOAD_LEN};
		if (!payload_form_ok(&m->p[m->n]))
			return -EBADMSG;
		// RFC 7296 2.5: the bit counts only for payload types that we do not know.
		if (critical && !payload_known(type) && m->unknown_critical == 0)
			m->unknown_critical = type;
		if (type == PAYLOAD_SK || type == PAYLOAD_SKF) {
			// RFC 7296 3.14: the last one, and its next field tells the first inside.
			if (inner || r->len > 0)
				return -EBADMSG;
			return sk_parse(m, next);
		}
		m->n++;
		type = next;
	}
	return r->len > 0 ? -EBADMSG : 0;
}

int ike_msg_parse(const uint8_t *bytes, size_t len, struct ike_msg *m)
{
	struct reader r;
	int err;

	*m = (struct ike_msg){.bytes = bytes, .len = len};
	err = ike_header_parse(bytes, len, &m->h);
	if (err)
		return err;
	if (len > LIMIT_IKE_MESSAGE_LEN)
		return -EBADMSG;
	r = reader_of(bytes + IKE_HEADER_LEN, len - IKE_HEADER_LEN);
	return chain_parse(m, m->h.next_payload, &r, false);
}

int ike_msg_parse_inner(struct ike_msg *m, const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);

	// What stood in front of the Encrypted payload is not looked at any more.
	m->n = 0;
	return chain_parse(m, m->sk_first, &r, true);
}

const struct ike_payload *ike_msg_find(const struct ike_msg *m, uint8_t type)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->p[i].type == type)
			return &m->p[i];
	return NULL;
}

bool ike_msg_has(const struct ike_msg *m, uint32_t required, uint32_t optional)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < m->n; i++) {
		uint32_t bit;

		if (!payload_known(m->p[i].type))
			continue;
		bit = 1u << (m->p[i].type - PAYLOAD_SA);
		if (seen & bit & (required | optional))
			return false;
		seen |= bit;
	}
	return (seen & required) == required;
}

const char *ike_exchange_name(uint8_t exchange)
{
	switch (exchange) {
	case EXCHANGE_IKE_SA_INIT:
		return "IKE_SA_INIT";
	case EXCHANGE_IKE_AUTH:
		return "IKE_AUTH";
	case EXCHANGE_CREATE_CHILD_SA:
		return "CREATE_CHILD_SA";
	case EXCHANGE_INFORMATIONAL:
		return "INFORMATIONAL";
	default:
		return "exchange";
	}
}
