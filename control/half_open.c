#include "control/half_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct half_open_source {
	struct half_open_source *next;
	struct ip_addr addr;
	unsigned count;
};

static struct ip_addr source_of(const struct ip_addr *a)
{
	struct ip_addr source = *a;

	if (a->family == IP_V6)
		memset(source.bytes + 8, 0, 8);
	return source;
}

static size_t bucket_of(const struct ip_addr *source)
{
	uint64_t key;

	memcpy(&key, source->bytes, sizeof(key));
	return (size_t)((key * 0x9e3779b97f4a7c15u) >> 40) & (HALF_OPEN_BUCKETS - 1);
}

// Where the pointer to the entry stands, or would.
static struct half_open_source **find(struct half_open *h, const struct ip_addr *source)
{
	struct half_open_source **at = &h->bucket[bucket_of(source)];

	while (*at && !ip_addr_equal(&(*at)->addr, source))
		at = &(*at)->next;
	return at;
}

unsigned half_open_count(const struct half_open *h, const struct ip_addr *a)
{
	struct ip_addr source = source_of(a);
	const struct half_open_source *s = h->bucket[bucket_of(&source)];

	while (s && !ip_addr_equal(&s->addr, &source))
		s = s->next;
	return s ? s->count : 0;
}

int half_open_add(struct half_open *h, const struct ip_addr *a)
{
	struct ip_addr source = source_of(a);
	struct half_open_source **at = find(h, &source);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return -ENOMEM;
		(*at)->addr = source;
	}
	(*at)->count++;
	return 0;
}

void half_open_del(struct half_open *h, const struct ip_addr *a)
{
	struct ip_addr source = source_of(a);
	struct half_open_source **at = find(h, &source), *s = *at;

	if (!s || --s->count > 0)
		return;
	*at = s->next;
	free(s);
}

void half_open_fini(struct half_open *h)
{
	for (size_t i = 0; i < HALF_OPEN_BUCKETS; i++)
		while (h->bucket[i]) {
			struct half_open_source *next = h->bucket[i]->next;

			free(h->bucket[i]);
			h->bucket[i] = next;
		}
}
