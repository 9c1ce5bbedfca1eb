#include "control/ike/payload.h"

#include <errno.h>
#include <string.h>

int payload_ke_parse(const struct ike_payload *p, struct ike_ke_payload *out)
{
	struct reader r = reader_of(p->data, p->len);
	uint16_t group = read_u16(&r);

	read_u16(&r); // RESERVED, ignored on receipt (RFC 7296 2.5)
	if (r.failed || r.len == 0)
		return -EBADMSG;
	*out = (struct ike_ke_payload){group, r.data, r.len};
	return 0;
}

int payload_nonce_parse(const struct ike_payload *p, struct ike_buf *out)
{
	// RFC 7296 3.9: 16 to 256 octets.
	if (p->len < LIMIT_IKE_NONCE_MIN || p->len > LIMIT_IKE_NONCE_MAX)
		return -EBADMSG;
	*out = (struct ike_buf){p->data, p->len};
	return 0;
}

int payload_id_parse(const struct ike_payload *p, struct identity *out)
{
	struct reader r = reader_of(p->data, p->len);
	uint8_t type = read_u8(&r);

	read_bytes(&r, 3); // RESERVED
	// An empty identity means nothing, and type 0 is our own word for "any".
	if (r.failed || type == ID_ANY || r.len == 0 || r.len > IDENTITY_MAX)
		return -EBADMSG;
	if ((type == ID_IPV4_ADDR && r.len != 4) || (type == ID_IPV6_ADDR && r.len != 16))
		return -EBADMSG;
	*out = (struct identity){.type = type, .len = (uint16_t)r.len};
	memcpy(out->data, r.data, r.len);
	return 0;
}

int payload_auth_parse(const struct ike_payload *p, struct ike_auth_payload *out)
{
	struct reader r = reader_of(p->data, p->len);
	uint8_t method = read_u8(&r);

	read_bytes(&r, 3); // RESERVED
	if (r.failed || r.len == 0)
		return -EBADMSG;
	*out = (struct ike_auth_payload){method, r.data, r.len};
	return 0;
}

int payload_cert_parse(const struct ike_payload *p, struct ike_cert_payload *out)
{
	struct reader r = reader_of(p->data, p->len);
	uint8_t encoding = read_u8(&r);

	if (r.failed)
		return -EBADMSG;
	*out = (struct ike_cert_payload){encoding, r.data, r.len};
	return 0;
}

int payload_notify_parse(const struct ike_payload *p, struct ike_notify *out)
{
	struct reader r = reader_of(p->data, p->len);
	struct ike_notify n = {0};

	n.protocol = read_u8(&r);
	n.spi_len = read_u8(&r);
	n.type = read_u16(&r);
	n.spi = read_bytes(&r, n.spi_len);
	if (r.failed)
		return -EBADMSG;
	n.data = r.data;
	n.len = r.len;
	*out = n;
	return 0;
}

int payload_delete_parse(const struct ike_payload *p, struct ike_delete *out)
{
	struct reader r = reader_of(p->data, p->len);
	struct ike_delete d = {0};

	d.protocol = read_u8(&r);
	d.spi_len = read_u8(&r);
	d.n = read_u16(&r);
	d.spis = read_bytes(&r, (size_t)d.n * d.spi_len);
	if (r.failed || r.len > 0)
		return -EBADMSG;
	// RFC 7296 3.11: no SPI for the IKE SA, whose message it is, four octets for AH and ESP.
	if (d.protocol == PROTO_IKE ? d.spi_len != 0 || d.n != 0 : d.spi_len != 4)
		return -EBADMSG;
	*out = d;
	return 0;
}

bool ike_msg_notify(const struct ike_msg *m, uint16_t type, size_t i, struct ike_notify *out)
{
	struct ike_notify n;

	for (size_t k = 0; k < m->n; k++) {
		if (m->p[k].type != PAYLOAD_NOTIFY || payload_notify_parse(&m->p[k], &n))
			continue;
		if (n.type == type && i-- == 0) {
			*out = n;
			return true;
		}
	}
	return false;
}

bool ike_msg_error(const struct ike_msg *m, struct ike_notify *out)
{
	struct ike_notify n;

	for (size_t k = 0; k < m->n; k++) {
		if (m->p[k].type != PAYLOAD_NOTIFY || payload_notify_parse(&m->p[k], &n))
			continue;
		if (n.type < N_STATUS) {
			*out = n;
			return true;
		}
	}
	return false;
}

void payload_id_write(struct writer *w, const struct identity *id)
{
	write_u8(w, id->type);
	write_zeros(w, 3);
	write_bytes(w, id->data, id->len);
}
