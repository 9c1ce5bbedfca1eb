#include "control/netmirror_neighs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"

enum { BUCKETS = 1 << 12 };

struct node {
	struct node *next;
	uint32_t port;
	struct ip_addr addr;
	struct mac_addr mac;
	struct tally changes; // of its MAC address
	bool stale;
	unsigned generation;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct neighs {
	struct dp *dp;
	unsigned generation;
	size_t next_stale; // bucket
	struct node *bucket[BUCKETS];
};

int neighs_create(struct dp *dp, struct neighs **out)
{
	struct neighs *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->dp = dp;
	*out = n;
	return 0;
}

void neighs_destroy(struct neighs *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (n->bucket[i]) {
			struct node *next = n->bucket[i]->next;

			free(n->bucket[i]);
			n->bucket[i] = next;
		}
	}
	free(n);
}

static struct node **find(struct neighs *n, uint32_t port, const struct ip_addr *a)
{
	uint32_t h = (ip_addr_hash(a) ^ (port << 28)) * 2654435761u;
	struct node **at = &n->bucket[h >> 20]; // 12 bits

	while (*at && !((*at)->port == port && ip_addr_equal(&(*at)->addr, a)))
		at = &(*at)->next;
	return at;
}

static void report(const struct ip_addr *a, const char *what, int err)
{
	char text[IP_ADDR_TEXT_MAX];

	log_warn(LOG_KNL, "neighbour %s: the dataplane does not %s it: %s",
		 ip_addr_format(a, text, sizeof(text)), what, strerror(-err));
}

// Takes out of dp and of the table; stays in both when dp refuses.
static bool drop(struct neighs *n, struct node **at)
{
	struct node *gone = *at;
	int err = dp_neigh_del(n->dp, gone->port, &gone->addr);

	if (err) {
		report(&gone->addr, "delete", err);
		return false;
	}
	*at = gone->next;
	free(gone);
	return true;
}

int neighs_set(struct neighs *n, uint32_t port, const struct netlink_neigh *neigh)
{
	struct node **at = find(n, port, &neigh->addr);
	struct node *node = *at;
	bool fresh = !node;
	int err;

	if (neigh->state == NEIGH_UNKNOWN) {
		if (node)
			drop(n, at);
		return 0;
	}
	if (fresh) {
		node = calloc(1, sizeof(*node));
		if (!node)
			return -ENOMEM;
		node->port = port;
		node->addr = neigh->addr;
	}
	if (fresh || memcmp(&node->mac, &neigh->mac, sizeof(node->mac)) != 0) {
		err = dp_neigh_set(n->dp, port, &neigh->addr, &neigh->mac);
		if (err) {
			report(&neigh->addr, "take", err);
			if (fresh)
				free(node);
			return 0;
		}
		node->mac = neigh->mac;
		if (!fresh)
			tally_note(&node->changes, 1, now_ms(), TALLY_MINUTE_MS);
	}
	node->stale = neigh->state == NEIGH_STALE;
	node->generation = n->generation;
	if (fresh)
		*at = node;
	return 0;
}

void neighs_begin(struct neighs *n)
{
	n->generation++;
}

void neighs_sweep(struct neighs *n)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct node **at = &n->bucket[i];

		while (*at) {
			if ((*at)->generation == n->generation || !drop(n, at))
				at = &(*at)->next;
		}
	}
}

void neighs_each_stale(struct neighs *n,
		       bool (*each)(uint32_t port, const struct ip_addr *a, void *ctx), void *ctx)
{
	for (size_t k = 0; k < BUCKETS; k++) {
		size_t i = (n->next_stale + k) % BUCKETS;

		for (const struct node *node = n->bucket[i]; node; node = node->next) {
			if (node->stale && !each(node->port, &node->addr, ctx)) {
				n->next_stale = i;
				return;
			}
		}
	}
}

bool neighs_known(struct neighs *n, uint32_t port, const struct ip_addr *a,
		  struct doctor_count *changes)
{
	const struct node *node = *find(n, port, a);

	if (changes)
		*changes = node ? tally_read(&node->changes, now_ms(), TALLY_MINUTE_MS)
				: (struct doctor_count){0};
	return node != NULL;
}
