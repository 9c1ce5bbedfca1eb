#include "control/ike/sa_payload.h"

#include <errno.h>
#include <string.h>

enum {
	MORE_PROPOSALS = 2,
	MORE_TRANSFORMS = 3,
	ATTRIBUTE_KEY_LENGTH = 14,
	ATTRIBUTE_SHORT = 0x8000, // type/value instead of type/length/value (RFC 7296 3.3.5)
};

// False when an attribute is there that we do not know.
static bool attributes_parse(struct reader *r, struct transform *t, bool *known)
{
	*known = true;
	while (r->len > 0) {
		uint16_t type = read_u16(r);
		uint16_t value = read_u16(r);

		if (!(type & ATTRIBUTE_SHORT)) {
			read_bytes(r, value);
			*known = false;
		} else if ((type & ~ATTRIBUTE_SHORT) == ATTRIBUTE_KEY_LENGTH) {
			t->key_bits = value;
		} else {
			*known = false;
		}
		if (r->failed)
			return false;
	}
	return true;
}

// Whether we could ever choose it for that protocol. NONE is always of use (RFC 7296 3.3.3).
static bool of_use(const struct transform *t, uint8_t protocol)
{
	const struct transform_info *info = transform_find(t);

	if (t->id == 0 && (t->type == TRANSFORM_INTEG || t->type == TRANSFORM_KE))
		return true;
	return info && (protocol == PROTO_IKE ? info->ike : info->esp);
}

static bool only_one_of_its_type(const struct proposal *p, const struct transform *t)
{
	unsigned n = 0;

	for (uint8_t i = 0; i < p->n; i++)
		n += p->t[i].type == t->type;
	return n == 1;
}

// Keeps what we can. Some peers send by default all they have, more than we hold: what is of no use
// to us makes room then, but no type of transform disappears, because it says what they insist on.
static void transform_keep(struct proposal *p, const struct transform *t)
{
	if (p->n < PROPOSAL_TRANSFORMS_MAX) {
		p->t[p->n++] = *t;
		return;
	}
	if (!of_use(t, p->protocol) && proposal_first(p, t->type))
		return;
	for (uint8_t i = p->n; i-- > 0;)
		if (!of_use(&p->t[i], p->protocol) && !only_one_of_its_type(p, &p->t[i])) {
			p->t[i] = *t;
			return;
		}
}

// Reads the n transforms of one proposal. *known is false when the proposal is to be left out.
static int transforms_parse(struct reader *r, unsigned n, struct proposal *p, bool *known)
{
	*known = true;
	for (unsigned i = 0; i < n; i++) {
		uint8_t more = read_u8(r);
		uint16_t len;
		struct transform t = {0};
		struct reader attributes;
		bool attributes_known;

		read_u8(r); // RESERVED
		len = read_u16(r);
		t.type = read_u8(r);
		read_u8(r); // RESERVED
		t.id = read_u16(r);
		if (r->failed || len < 8)
			return -EBADMSG;
		if (more != (i + 1 < n ? MORE_TRANSFORMS : 0))
			return -EBADMSG;
		attributes = read_sub(r, len - 8u);
		if (r->failed || !attributes_parse(&attributes, &t, &attributes_known))
			return -EBADMSG;
		if (t.type < TRANSFORM_ENCR || t.type > TRANSFORM_SN)
			*known = false;
		if (attributes_known)
			transform_keep(p, &t);
	}
	return r->len > 0 ? -EBADMSG : 0;
}

static int proposal_read(struct reader *r, uint8_t protocol, struct sa_offer *out, bool *last)
{
	uint8_t more = read_u8(r);
	uint16_t len;
	struct reader body;
	struct proposal p = {0};
	uint8_t spi_len, n;
	uint64_t spi = 0;
	bool known;

	read_u8(r); // RESERVED
	len = read_u16(r);
	if (r->failed || len < 8 || (more != 0 && more != MORE_PROPOSALS))
		return -EBADMSG;
	*last = more == 0;
	body = read_sub(r, len - 4u);
	p.number = read_u8(&body);
	p.protocol = read_u8(&body);
	spi_len = read_u8(&body);
	n = read_u8(&body);
	if (spi_len == 4)
		spi = read_u32(&body);
	else if (spi_len == 8)
		spi = read_u64(&body);
	else
		read_bytes(&body, spi_len);
	if (r->failed || body.failed || transforms_parse(&body, n, &p, &known))
		return -EBADMSG;
	// RFC 7296 3.3.1: no SPI in IKE_SA_INIT and eight octets when an IKE SA is rekeyed; four
	// octets for ESP, whose values up to 255 are reserved (RFC 4303 2.1).
	if (p.protocol != protocol || !known || out->list.n == PROPOSALS_MAX) {
		out->skipped++;
		return 0;
	}
	if (protocol == PROTO_ESP ? spi_len != 4 || spi <= 255
				  : spi_len != 0 && (spi_len != 8 || spi == 0))
		return -EBADMSG;
	out->spi[out->list.n] = spi;
	out->list.p[out->list.n++] = p;
	return 0;
}

int sa_payload_parse(const struct ike_payload *p, uint8_t protocol, struct sa_offer *out)
{
	struct reader r = reader_of(p->data, p->len);
	struct sa_offer offer = {0};
	bool last = false;

	while (!last) {
		int err = proposal_read(&r, protocol, &offer, &last);

		if (err)
			return err;
	}
	if (r.len > 0)
		return -EBADMSG;
	*out = offer;
	return 0;
}

static void transform_write(struct writer *w, const struct transform *t, bool last)
{
	write_u8(w, last ? 0 : MORE_TRANSFORMS);
	write_u8(w, 0);
	write_u16(w, t->key_bits ? 12 : 8);
	write_u8(w, t->type);
	write_u8(w, 0);
	write_u16(w, t->id);
	if (t->key_bits) {
		write_u16(w, ATTRIBUTE_SHORT | ATTRIBUTE_KEY_LENGTH);
		write_u16(w, t->key_bits);
	}
}

static void proposal_write(struct writer *w, const struct proposal *p, uint8_t number, uint64_t spi,
			   bool last, bool without_ke)
{
	size_t start = w->len;
	uint8_t n = 0, written = 0, spi_len = p->protocol == PROTO_ESP ? 4 : spi ? 8 : 0;

	for (unsigned i = 0; i < p->n; i++)
		if (!(without_ke && p->t[i].type == TRANSFORM_KE))
			n++;
	write_u8(w, last ? 0 : MORE_PROPOSALS);
	write_u8(w, 0);
	write_u16(w, 0); // the length, below
	write_u8(w, number);
	write_u8(w, p->protocol);
	write_u8(w, spi_len);
	write_u8(w, n);
	if (spi_len == 4)
		write_u32(w, (uint32_t)spi);
	else if (spi_len == 8)
		write_u64(w, spi);
	for (unsigned i = 0; i < p->n; i++) {
		if (without_ke && p->t[i].type == TRANSFORM_KE)
			continue;
		written++;
		transform_write(w, &p->t[i], written == n);
	}
	write_u16_at(w, start + 2, (uint16_t)(w->len - start));
}

void sa_payload_write(struct writer *w, const struct proposal_list *list, uint64_t spi,
		      bool without_ke)
{
	for (unsigned i = 0; i < list->n; i++) {
		const struct proposal *p = &list->p[i];
		uint8_t number = p->number ? p->number : (uint8_t)(i + 1);

		proposal_write(w, p, number, spi, i + 1 == list->n, without_ke);
	}
}
