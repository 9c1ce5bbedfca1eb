#include "lib/pcapng.h"

#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
};

enum { // option codes: each block has its own, beside the first two
	OPT_END = 0,
	OPT_COMMENT = 1,
	SHB_OS = 3,
	SHB_APPLICATION = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_TSRESOL = 9,
	EPB_FLAGS = 2,
	EPB_DROP_COUNT = 4,
	EPB_PACKET_ID = 5,
	ISB_START_TIME = 2,
	ISB_RECEIVED = 4,
	ISB_DROPPED = 5,
};

enum { NANOSECONDS = 9 }; // if_tsresol: 10^-9 s

static size_t begin(struct writer *w, uint32_t type)
{
	const size_t start = w->len;

	write_u32(w, type);
	write_u32(w, 0); // the length, later
	return start;
}

static void end(struct writer *w, size_t start)
{
	uint32_t len;

	len = (uint32_t)(w->len - start) + 4;
	write_u32(w, len);
	write_u32_at(w, start + 4, len);
	if (w->failed)
		w->len = start;
}

static void put_padded(struct writer *w, const void *data, size_t len)
{
	write_bytes(w, data, len);
	write_zeros(w, -len & 3u);
}

static void put_option(struct writer *w, uint16_t code, const void *data, size_t len)
{
	write_u16(w, code);
	write_u16(w, (uint16_t)len);
	put_padded(w, data, len);
}

static void put_text(struct writer *w, uint16_t code, const char *text)
{
	if (text)
		put_option(w, code, text, strnlen(text, PCAPNG_COMMENT_MAX));
}

static void put_u64(struct writer *w, uint16_t code, uint64_t value)
{
	write_u16(w, code);
	write_u16(w, sizeof(value));
	write_u64(w, value);
}

static void end_options(struct writer *w)
{
	write_u16(w, OPT_END);
	write_u16(w, 0);
}

void pcapng_section(struct writer *w, const char *application, const char *os)
{
	const size_t start = begin(w, BLOCK_SECTION);

	write_u32(w, BYTE_ORDER_MAGIC);
	write_u16(w, 1); // version 1.0
	write_u16(w, 0);
	write_u64(w, UINT64_MAX); // the section's length is not known
	put_text(w, SHB_OS, os);
	put_text(w, SHB_APPLICATION, application);
	end_options(w);
	end(w, start);
}

void pcapng_interface(struct writer *w, enum pcapng_link link, uint32_t snap_len, const char *name,
		      const char *description)
{
	const size_t start = begin(w, BLOCK_INTERFACE);
	const uint8_t resolution = NANOSECONDS;

	write_u16(w, (uint16_t)link);
	write_u16(w, 0);
	write_u32(w, snap_len);
	put_text(w, IF_NAME, name);
	put_text(w, IF_DESCRIPTION, description);
	put_option(w, IF_TSRESOL, &resolution, sizeof(resolution));
	end_options(w);
	end(w, start);
}

void pcapng_packet(struct writer *w, const struct pcapng_packet *p)
{
	const size_t start = begin(w, BLOCK_PACKET);

	write_u32(w, p->iface);
	write_u64(w, p->time_ns); // its upper half first, in either byte order
	write_u32(w, p->cap_len);
	write_u32(w, p->len);
	put_padded(w, p->data, p->cap_len);
	put_text(w, OPT_COMMENT, p->comment);
	if (p->direction != PCAPNG_NO_DIRECTION) {
		write_u16(w, EPB_FLAGS);
		write_u16(w, 4);
		write_u32(w, p->direction);
	}
	if (p->lost)
		put_u64(w, EPB_DROP_COUNT, p->lost);
	if (p->id)
		put_u64(w, EPB_PACKET_ID, p->id);
	end_options(w);
	end(w, start);
}

void pcapng_statistics(struct writer *w, uint32_t iface, uint64_t time_ns, uint64_t start_ns,
		       uint64_t received, uint64_t lost)
{
	const size_t start = begin(w, BLOCK_STATISTICS);

	write_u32(w, iface);
	write_u64(w, time_ns);
	put_u64(w, ISB_START_TIME, start_ns);
	put_u64(w, ISB_RECEIVED, received);
	put_u64(w, ISB_DROPPED, lost);
	end_options(w);
	end(w, start);
}
