#include "control/recorder_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/ike_wire.h"

static const struct {
	const char *name, *hop, *help;
} fates[] = {
#define X(id, name, hop, help) {name, hop, help},
	RECORD_FATES(X)
#undef X
};

static struct record_ring **bucket_of(struct recorder *r, const struct ip_addr *addr)
{
	return &r->bucket[ip_addr_hash(addr) % RECORD_BUCKETS];
}

static int64_t last_ms(const struct record_peer *p)
{
	return p->last_in_ms > p->last_out_ms ? p->last_in_ms : p->last_out_ms;
}

// Takes the ring of the peer that has been silent for longest out of its bucket.
static struct record_ring *take_silent(struct recorder *r)
{
	struct record_ring *oldest = r->ring[1], **link;

	for (size_t i = 2; i < r->n_rings; i++)
		if (last_ms(&r->ring[i]->peer) < last_ms(&oldest->peer))
			oldest = r->ring[i];
	for (link = bucket_of(r, &oldest->peer.addr); *link != oldest;)
		link = &(*link)->next;
	*link = oldest->next;
	return oldest;
}

struct record_ring *recorder_ring(struct recorder *r, const struct ip_addr *addr, bool make)
{
	struct record_ring **bucket = bucket_of(r, addr), *ring;

	for (ring = *bucket; ring; ring = ring->next)
		if (ip_addr_equal(&ring->peer.addr, addr))
			return ring;
	if (!make)
		return NULL;
	if (r->n_rings < 1 + LIMIT_RECORD_PEERS) {
		ring = malloc(sizeof(*ring));
		if (!ring)
			return NULL;
		r->ring[r->n_rings++] = ring;
	} else {
		ring = take_silent(r);
	}
	memset(ring, 0, sizeof(*ring));
	ring->peer.addr = *addr;
	ring->next = *bucket;
	*bucket = ring;
	return ring;
}

static struct record_header *header_at(struct record_ring *ring, unsigned at)
{
	return &ring->header[(ring->first + at) % LIMIT_RECORD_HEADERS];
}

// Which of a full ring gives way: the oldest, but while half of them or more prove nothing, the
// oldest of those.
static unsigned who_goes(struct record_ring *ring)
{
	unsigned unproved = 0, oldest = 0;

	for (unsigned at = LIMIT_RECORD_HEADERS; at-- > 0;) {
		if (header_at(ring, at)->proved)
			continue;
		unproved++;
		oldest = at;
	}
	return unproved >= LIMIT_RECORD_HEADERS / 2 ? oldest : 0;
}

void record_ring_add(struct record_ring *ring, const struct record_header *h)
{
	struct record_peer *p = &ring->peer;

	if (p->n == LIMIT_RECORD_HEADERS) {
		for (unsigned at = who_goes(ring); at > 0; at--)
			*header_at(ring, at) = *header_at(ring, at - 1);
		ring->first = (ring->first + 1) % LIMIT_RECORD_HEADERS;
		p->n--;
	}
	ring->header[(ring->first + p->n++) % LIMIT_RECORD_HEADERS] = *h;
}

void record_ring_add_lost(struct record_ring *ring, const struct record_header *h)
{
	struct record_peer *p = &ring->peer;

	if (p->n_lost == LIMIT_RECORD_LOST) {
		ring->first_lost = (ring->first_lost + 1) % LIMIT_RECORD_LOST;
		p->n_lost--;
	}
	ring->lost[(ring->first_lost + p->n_lost++) % LIMIT_RECORD_LOST] = *h;
}

void record_header_parse(struct record_header *h, const uint8_t *bytes, size_t len)
{
	struct reader r = reader_of(bytes, len);

	h->len = (uint32_t)len;
	h->cut = len < IKE_HEADER_LEN;
	if (h->cut)
		return;
	memcpy(h->spi_i, read_bytes(&r, sizeof(h->spi_i)), sizeof(h->spi_i));
	memcpy(h->spi_r, read_bytes(&r, sizeof(h->spi_r)), sizeof(h->spi_r));
	h->next_payload = read_u8(&r);
	h->version = read_u8(&r);
	h->exchange = read_u8(&r);
	h->flags = read_u8(&r);
	h->message_id = read_u32(&r);
}

int recorder_header(struct recorder *r, const struct record_header *h, bool known)
{
	struct record_ring *ring = known ? recorder_ring(r, &h->remote.addr, true) : r->ring[0];
	int rc = 0;

	if (!ring) {
		ring = r->ring[0];
		rc = -ENOMEM;
	}
	record_ring_add(ring, h);
	ring->peer.count[h->fate]++;
	r->changes++;
	if (!ring->peer.first_ms)
		ring->peer.first_ms = h->time_ms;
	if (h->out)
		ring->peer.last_out_ms = h->time_ms;
	else
		ring->peer.last_in_ms = h->time_ms;
	return rc;
}

int recorder_lost(struct recorder *r, const struct record_header *h, bool known)
{
	// A configured range may be long, and who forges its addresses shall not have all places.
	const bool may_make = r->n_rings < 1 + LIMIT_RECORD_PEERS;
	struct record_ring *ring = known ? recorder_ring(r, &h->remote.addr, may_make) : r->ring[0];

	if (!ring)
		return -ENOMEM;
	record_ring_add_lost(ring, h);
	r->changes++;
	return 0;
}

int recorder_peer(const struct recorder *r, size_t i, struct record_peer *out)
{
	if (i >= r->n_rings)
		return -ENOENT;
	*out = r->ring[i]->peer;
	return 0;
}

bool recorder_peer_find(const struct recorder *r, const struct ip_addr *addr, size_t *i)
{
	for (size_t k = 1; k < r->n_rings; k++)
		if (ip_addr_equal(&r->ring[k]->peer.addr, addr)) {
			*i = k;
			return true;
		}
	return false;
}

const struct record_header *recorder_peer_header(const struct recorder *r, size_t i, unsigned at)
{
	const struct record_ring *ring = i < r->n_rings ? r->ring[i] : NULL;

	if (!ring || at >= ring->peer.n)
		return NULL;
	return &ring->header[(ring->first + at) % LIMIT_RECORD_HEADERS];
}

const struct record_header *recorder_peer_lost(const struct recorder *r, size_t i, unsigned at)
{
	const struct record_ring *ring = i < r->n_rings ? r->ring[i] : NULL;

	if (!ring || at >= ring->peer.n_lost)
		return NULL;
	return &ring->lost[(ring->first_lost + at) % LIMIT_RECORD_LOST];
}

const char *record_fate_name(enum record_fate fate)
{
	return fates[fate].name;
}

const char *record_fate_hop(enum record_fate fate)
{
	return fates[fate].hop;
}

const char *record_fate_help(enum record_fate fate)
{
	return fates[fate].help;
}
