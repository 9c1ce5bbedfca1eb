#include "control/ike/builder.h"

#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa_payload.h"
#include "control/ike/ts.h"

void build_start(struct ike_builder *b, const uint8_t spi_i[8], const uint8_t spi_r[8],
		 uint8_t exchange, uint8_t flags, uint32_t message_id)
{
	b->w = writer_of(b->buf, sizeof(b->buf));
	b->next_at = 16;
	b->payload_at = 0;
	b->sk_at = b->sk_body = 0;
	write_bytes(&b->w, spi_i, 8);
	write_bytes(&b->w, spi_r, 8);
	write_u8(&b->w, PAYLOAD_NONE);
	write_u8(&b->w, IKE_VERSION);
	write_u8(&b->w, exchange);
	write_u8(&b->w, flags);
	write_u32(&b->w, message_id);
	write_u32(&b->w, 0); // the length, build_finish
}

static void payload_close(struct ike_builder *b)
{
	if (b->payload_at == 0)
		return;
	write_u16_at(&b->w, b->payload_at + 2, (uint16_t)(b->w.len - b->payload_at));
	b->payload_at = 0;
}

void build_payload(struct ike_builder *b, uint8_t type)
{
	payload_close(b);
	write_u8_at(&b->w, b->next_at, type);
	b->payload_at = b->w.len;
	b->next_at = b->w.len;
	write_u8(&b->w, PAYLOAD_NONE);
	write_u8(&b->w, 0); // not critical (RFC 7296 2.5: zero for the types of this document)
	write_u16(&b->w, 0);
}

void build_finish(struct ike_builder *b)
{
	payload_close(b);
	if (b->sk_at == 0)
		write_u32_at(&b->w, 24, (uint32_t)b->w.len);
}

void build_sa(struct ike_builder *b, const struct proposal_list *list, uint64_t spi,
	      bool without_ke)
{
	build_payload(b, PAYLOAD_SA);
	sa_payload_write(&b->w, list, spi, without_ke);
}

void build_ke(struct ike_builder *b, uint16_t group, const uint8_t *public, size_t len)
{
	build_payload(b, PAYLOAD_KE);
	write_u16(&b->w, group);
	write_u16(&b->w, 0);
	write_bytes(&b->w, public, len);
}

void build_octets(struct ike_builder *b, uint8_t type, const uint8_t *data, size_t len)
{
	build_payload(b, type);
	write_bytes(&b->w, data, len);
}

void build_id(struct ike_builder *b, uint8_t type, const struct identity *id)
{
	build_payload(b, type);
	payload_id_write(&b->w, id);
}

void build_auth(struct ike_builder *b, uint8_t method, const uint8_t *data, size_t len)
{
	build_payload(b, PAYLOAD_AUTH);
	write_u8(&b->w, method);
	write_zeros(&b->w, 3);
	write_bytes(&b->w, data, len);
}

void build_cert(struct ike_builder *b, uint8_t type, const uint8_t *data, size_t len)
{
	build_payload(b, type);
	write_u8(&b->w, CERT_X509_SIGNATURE);
	write_bytes(&b->w, data, len);
}

void build_ts(struct ike_builder *b, uint8_t type, const struct selector_list *list)
{
	build_payload(b, type);
	ts_payload_write(&b->w, list);
}

void build_notify(struct ike_builder *b, uint16_t type, const void *data, size_t len)
{
	build_payload(b, PAYLOAD_NOTIFY);
	write_u8(&b->w, PROTO_NONE); // RFC 7296 3.10: zero where no SPI is named
	write_u8(&b->w, 0);
	write_u16(&b->w, type);
	write_bytes(&b->w, data, len);
}

void build_notify_esp(struct ike_builder *b, uint16_t type, uint32_t spi)
{
	build_payload(b, PAYLOAD_NOTIFY);
	write_u8(&b->w, PROTO_ESP);
	write_u8(&b->w, 4);
	write_u16(&b->w, type);
	write_u32(&b->w, spi);
}

void build_delete_ike(struct ike_builder *b)
{
	build_payload(b, PAYLOAD_DELETE);
	write_u8(&b->w, PROTO_IKE);
	write_u8(&b->w, 0);
	write_u16(&b->w, 0);
}

void build_delete_esp(struct ike_builder *b, const uint32_t *spis, size_t n)
{
	build_payload(b, PAYLOAD_DELETE);
	write_u8(&b->w, PROTO_ESP);
	write_u8(&b->w, 4);
	write_u16(&b->w, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		write_u32(&b->w, spis[i]);
}
