#include "test/vectors/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/payload.h"

static void bad(const char *name, const char *line)
{
	fprintf(stderr, "capture %s: unexpected line '%.60s'\n", name, line);
	abort();
}

static size_t hex(const char *name, const char *text, uint8_t *out, size_t room)
{
	size_t n = strlen(text) / 2;

	if (strlen(text) % 2 || n > room)
		bad(name, text);
	for (size_t i = 0; i < n; i++) {
		unsigned v;

		if (sscanf(text + 2 * i, "%2x", &v) != 1)
			bad(name, text);
		out[i] = (uint8_t)v;
	}
	return n;
}

static void sa_start(struct capture *c, const char *name, const char *text)
{
	char spi_i[17], spi_r[17], keyword[64];
	struct capture_sa *sa = &c->sa[c->n_sas];
	struct proposal p;
	struct error err;

	if (c->n_sas == CAPTURE_SAS || sscanf(text, "%16s %16s %63s", spi_i, spi_r, keyword) != 3 ||
	    proposal_parse(keyword, PROTO_IKE, &p, &err) || ike_suite_of(&p, &sa->suite))
		bad(name, text);
	hex(name, spi_i, sa->spi_i, 8);
	hex(name, spi_r, sa->spi_r, 8);
	c->n_sas++;
}

static struct secret *key_named(struct capture_sa *sa, const char *word)
{
	const struct {
		const char *word;
		struct secret *key;
	} keys[] = {
		{"dh", &sa->dh},      {"d", &sa->keys.d},   {"ai", &sa->keys.ai},
		{"ar", &sa->keys.ar}, {"ei", &sa->keys.ei}, {"er", &sa->keys.er},
		{"pi", &sa->keys.pi}, {"pr", &sa->keys.pr},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].word, word) == 0)
			return keys[i].key;
	return NULL;
}

static void message_start(struct capture *c, const char *name, const char *text)
{
	struct capture_msg *m = &c->msg[c->n];

	if (c->n == CAPTURE_MESSAGES)
		bad(name, text);
	m->bytes = malloc(strlen(text) / 2 + 1);
	m->said = strdup("");
	if (!m->bytes || !m->said)
		abort();
	m->len = hex(name, text, m->bytes, strlen(text) / 2);
	c->n++;
}

static void said(struct capture *c, const char *name, const char *text)
{
	struct capture_msg *m = c->n > 0 ? &c->msg[c->n - 1] : NULL;
	size_t len = m ? strlen(m->said) : 0;
	char *longer = m ? realloc(m->said, len + strlen(text) + 2) : NULL;

	if (!longer) {
		bad(name, text);
		return;
	}
	m->said = longer;
	sprintf(m->said + len, "%s\n", text);
}

static void take(struct capture *c, const char *name, const char *word, const char *rest)
{
	struct secret *key = c->n_sas > 0 ? key_named(&c->sa[c->n_sas - 1], word) : NULL;
	uint8_t bytes[LIMIT_IKE_KE_SECRET_MAX];

	if (strcmp(word, "|") == 0)
		said(c, name, rest);
	else if (strcmp(word, "message") == 0)
		message_start(c, name, rest);
	else if (strcmp(word, "psk") == 0)
		snprintf(c->psk, sizeof(c->psk), "%s", rest);
	else if (strcmp(word, "sa") == 0)
		sa_start(c, name, rest);
	else if (!key || secret_set(key, bytes, hex(name, rest, bytes, sizeof(bytes))))
		bad(name, word);
}

void capture_load(const char *folder, const char *name, struct capture *out)
{
	char path[4096], *line = NULL;
	size_t room = 0;
	FILE *f;

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "%s/%s.txt", folder, name);
	f = fopen(path, "r");
	if (!f) {
		bad(name, path);
		return;
	}
	while (getline(&line, &room, f) > 0) {
		char *rest = strchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		if (!rest)
			bad(name, line);
		*rest = '\0';
		take(out, name, line, rest + 1);
	}
	free(line);
	fclose(f);
}

void capture_fini(struct capture *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->msg[i].bytes);
		free(c->msg[i].said);
	}
	for (size_t i = 0; i < c->n_sas; i++) {
		secret_fini(&c->sa[i].dh);
		ike_keys_fini(&c->sa[i].keys);
	}
	c->n = c->n_sas = 0;
}

const struct capture_sa *capture_sa_of(const struct capture *c, const struct ike_msg *m)
{
	for (size_t i = 0; i < c->n_sas; i++)
		if (memcmp(c->sa[i].spi_i, m->h.spi_i, 8) == 0 &&
		    memcmp(c->sa[i].spi_r, m->h.spi_r, 8) == 0)
			return &c->sa[i];
	return NULL;
}

struct sk_keys capture_keys(const struct capture_sa *sa, const struct ike_msg *m)
{
	return m->h.from_original_initiator ? (struct sk_keys){&sa->keys.ei, &sa->keys.ai}
					    : (struct sk_keys){&sa->keys.er, &sa->keys.ar};
}

int capture_open(const struct capture *c, const struct ike_crypto *crypto,
		 const struct capture_msg *msg, struct ike_msg *m, uint8_t *buf,
		 const uint8_t **plain, size_t *len)
{
	const struct capture_sa *sa;
	int err = ike_msg_parse(msg->bytes, msg->len, m);

	*plain = NULL;
	*len = 0;
	if (err || !m->has_sk)
		return err;
	sa = capture_sa_of(c, m);
	if (!sa)
		return -1;
	err = sk_open(m, crypto, &sa->suite, capture_keys(sa, m), buf, plain, len);
	if (err || m->fragments > 0)
		return err;
	return ike_msg_parse_inner(m, *plain, *len);
}
