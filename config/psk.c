// Pre-shared keys: the section `secrets`, and which key is for whom (config/config.h).
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/loader.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Hexadecimal digits; with an odd number of them the first byte has one digit, as in strongSwan.
static int set_hex(struct secret *key, const char *text)
{
	size_t n = strlen(text), odd = n % 2;
	int rc = secret_alloc(key, (n + 1) / 2);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++) {
		int digit = hex_digit(text[i]);
		uint8_t *byte = &key->data[(i + odd) / 2];

		if (digit < 0)
			return -EINVAL;
		*byte = (uint8_t)(*byte << 4 | digit);
	}
	return 0;
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c != '\0' ? strchr(digits, c) : NULL;

	return p != NULL ? (int)(p - digits) : -1;
}

// Base64 (RFC 4648 4); the padding may be left out.
static int set_base64(struct secret *key, const char *text)
{
	size_t n = strcspn(text, "="), bytes = n / 4 * 3 + (n % 4 != 0 ? n % 4 - 1 : 0), at = 0;
	unsigned bits = 0;
	int rc;

	if (n % 4 == 1 || strspn(text + n, "=") != strlen(text + n) || strlen(text + n) > 2)
		return -EINVAL;
	rc = secret_alloc(key, bytes);
	for (size_t i = 0; i < n && rc == 0; i++) {
		int digit = base64_digit(text[i]);

		if (digit < 0)
			return -EINVAL;
		bits = bits << 6 | (unsigned)digit;
		// The first digit of four completes no byte, each other one does.
		if (i % 4 != 0)
			key->data[at++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	return rc;
}

static int load_key(struct loader *l, const struct config_node *n, struct secret *key)
{
	const struct config_node *secret = config_node_find(l->tree, n, NODE_KEY, "secret");
	const char *text = secret != NULL ? secret->value : NULL;
	int rc;

	if (text == NULL || text[0] == '\0')
		return config_node_error(l->err, -EINVAL, secret != NULL ? secret : n,
					 "the secret is missing; write secret = \"...\"");
	if (strncasecmp(text, "0x", 2) == 0)
		rc = set_hex(key, text + 2);
	else if (strncasecmp(text, "0s", 2) == 0)
		rc = set_base64(key, text + 2);
	else
		rc = secret_set(key, text, strlen(text));
	if (rc == -ENOMEM)
		return loader_no_memory(l);
	if (rc == 0 && key->len == 0)
		rc = -EINVAL;
	// The value itself is not shown, here or anywhere.
	if (rc != 0)
		return config_node_error(l->err, rc, secret,
					 text[1] == 's' || text[1] == 'S'
						 ? "after 0s there is no Base64"
						 : "after 0x there are no hexadecimal digits");
	return 0;
}

static int load_psk(struct loader *l, const struct config_node *n, struct config_psk *psk)
{
	size_t count = 0;
	int rc = loader_copy_name(l, n, psk->name, sizeof(psk->name), "secret");

	if (rc != 0)
		return rc;
	psk->where = loader_where(l, n);
	for (const struct config_node *c = n->first; c != NULL; c = c->next)
		count += strncmp(c->name, "id", 2) == 0;
	if (count != 0) {
		psk->ids = calloc(count, sizeof(*psk->ids));
		if (psk->ids == NULL)
			return loader_no_memory(l);
	}
	for (const struct config_node *c = n->first; c != NULL && rc == 0; c = c->next) {
		if (strncmp(c->name, "id", 2) == 0 && c->value != NULL && c->value[0] != '\0')
			rc = loader_identity(l, c, false, &psk->ids[psk->n_ids++]);
	}
	return rc == 0 ? load_key(l, n, &psk->key) : rc;
}

// ---- look-up ----

static uint32_t hash(const struct identity *id)
{
	uint32_t h = 2166136261u ^ id->type;

	for (uint16_t i = 0; i < id->len; i++) {
		uint8_t c = id->data[i];

		// identity_equal does not look at the case of letters.
		h = (h ^ (c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c)) * 16777619u;
	}
	return h;
}

static int by_hash(const void *a, const void *b)
{
	const struct config_psk_ref *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->psk < y->psk ? -1 : x->psk > y->psk;
}

// The secrets by each identity that they name, so that one of ten thousand is found at once.
static int index_secrets(struct loader *l)
{
	struct config *c = l->config;
	size_t n = 0;

	for (size_t i = 0; i < c->n_psks; i++)
		n += c->psks[i].n_ids;
	if (n == 0)
		return 0;
	c->psk_refs = calloc(n, sizeof(*c->psk_refs));
	if (c->psk_refs == NULL)
		return loader_no_memory(l);
	for (size_t i = 0; i < c->n_psks; i++)
		for (size_t k = 0; k < c->psks[i].n_ids; k++)
			c->psk_refs[c->n_psk_refs++] =
				(struct config_psk_ref){hash(&c->psks[i].ids[k]), &c->psks[i]};
	qsort(c->psk_refs, c->n_psk_refs, sizeof(*c->psk_refs), by_hash);
	return 0;
}

int load_secrets(struct loader *l)
{
	const struct config_node *secrets =
		config_node_find(l->tree, l->tree->root, NODE_SECTION, "secrets");
	size_t n = loader_count_sections(secrets);

	if (n == 0)
		return 0;
	l->config->psks = calloc(n, sizeof(struct config_psk));
	if (l->config->psks == NULL)
		return loader_no_memory(l);
	for (const struct config_node *c = secrets->first; c != NULL; c = c->next) {
		int rc;

		if (c->kind != NODE_SECTION || strncmp(c->name, "ike", 3) != 0)
			continue;
		rc = load_psk(l, c, &l->config->psks[l->config->n_psks++]);
		if (rc != 0)
			return rc;
	}
	return index_secrets(l);
}

// The first entry with that hash, or where it would stand.
static size_t first_ref(const struct config *c, uint32_t wanted)
{
	size_t low = 0, high = c->n_psk_refs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->psk_refs[mid].hash < wanted)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

enum { NAMED_NOT, NAMED_BY_ANY, NAMED };

static int named(const struct config_psk *psk, const struct identity *id)
{
	int best = psk->n_ids == 0 ? NAMED_BY_ANY : NAMED_NOT;

	if (id == NULL || id->type == ID_ANY)
		return best;
	for (size_t i = 0; i < psk->n_ids; i++) {
		if (identity_equal(&psk->ids[i], id))
			return NAMED;
		if (psk->ids[i].type == ID_ANY)
			best = NAMED_BY_ANY;
	}
	return best;
}

// A secret that names the peer comes before every other, then one that names us.
static void consider(const struct config_psk *psk, const struct identity *local,
		     const struct identity *remote, int *best, const struct config_psk **found)
{
	int us = named(psk, local), peer = named(psk, remote);
	int rank = (peer == NAMED) * 8 + (us == NAMED) * 4 + (peer == NAMED_BY_ANY) * 2 +
		   (us == NAMED_BY_ANY);

	if (rank <= *best)
		return;
	*best = rank;
	*found = psk;
}

const struct config_psk *config_psk_find(const struct config *c, const struct identity *local,
					 const struct identity *remote)
{
	const struct config_psk *found = NULL;
	int best = 0;

	if (remote != NULL && remote->type != ID_ANY) {
		uint32_t wanted = hash(remote);

		for (size_t i = first_ref(c, wanted);
		     i < c->n_psk_refs && c->psk_refs[i].hash == wanted; i++)
			consider(c->psk_refs[i].psk, local, remote, &best, &found);
	}
	for (size_t i = 0; i < c->n_psks && best < 8; i++)
		consider(&c->psks[i], local, remote, &best, &found);
	return found;
}
