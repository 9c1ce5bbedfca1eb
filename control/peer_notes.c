#include "control/peer_notes.h"

#include <errno.h>
#include <stdlib.h>

#include "control/ike/ike.h"
#include "lib/limits.h"

enum { BUCKETS = 1 << 12 };

struct peer_notes {
	size_t n;
	struct peer_note *bucket[BUCKETS];
};

int peer_notes_create(struct peer_notes **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void peer_notes_destroy(struct peer_notes *notes)
{
	if (!notes)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (notes->bucket[i]) {
			struct peer_note *next = notes->bucket[i]->next;

			free(notes->bucket[i]);
			notes->bucket[i] = next;
		}
	}
	free(notes);
}

static size_t bucket_of(const struct ip_addr *addr)
{
	return ip_addr_hash(addr) * 2654435761u >> 20; // 12 bits
}

struct peer_note *peer_notes_find(const struct peer_notes *notes, const struct ip_addr *addr)
{
	struct peer_note *n = notes->bucket[bucket_of(addr)];

	while (n && !ip_addr_equal(&n->addr, addr))
		n = n->next;
	return n;
}

struct peer_note *peer_notes_get(struct peer_notes *notes, const struct ip_addr *addr)
{
	struct peer_note *n = peer_notes_find(notes, addr);
	size_t at = bucket_of(addr);

	if (n || notes->n >= LIMIT_PEER_NOTES || addr->family == IP_NONE)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->addr = *addr;
	// What the guard has counted before it is first looked at is news.
	n->came.following = n->passed.following = true;
	n->cookies.following = n->limited.following = n->odd_ttl.following = true;
	n->next = notes->bucket[at];
	notes->bucket[at] = n;
	notes->n++;
	return n;
}

void peer_note_sent(struct peer_note *n, uint16_t local_port, int error, uint64_t now_ms)
{
	if (error) {
		tally_note(&n->tx_refused, 1, now_ms, TALLY_MINUTE_MS);
		n->tx_errno = -error;
		return;
	}
	tally_note(local_port == IKE_NATT_PORT ? &n->tx_4500 : &n->tx_500, 1, now_ms,
		   TALLY_MINUTE_MS);
}

void peer_note_received(struct peer_note *n, uint16_t local_port, uint64_t now_ms)
{
	tally_note(local_port == IKE_NATT_PORT ? &n->rx_4500 : &n->rx_500, 1, now_ms,
		   TALLY_MINUTE_MS);
}
