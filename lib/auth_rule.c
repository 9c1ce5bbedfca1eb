#include "lib/auth_rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *word, *name;
	uint8_t key;
	bool pss;
} keys[] = {
	{"rsa", "RSA", AUTH_KEY_RSA, false},	   {"rsa/pss", "RSA-PSS", AUTH_KEY_RSA, true},
	{"ecdsa", "ECDSA", AUTH_KEY_ECDSA, false}, {"ed25519", "Ed25519", AUTH_KEY_ED25519, false},
	{"ed448", "Ed448", AUTH_KEY_ED448, false},
};

static const struct {
	const char *word, *name;
	unsigned hash;
} hashes[] = {
	{"sha1", "SHA1", HASH_SHA1},
	{"sha256", "SHA2_256", HASH_SHA2_256},
	{"sha384", "SHA2_384", HASH_SHA2_384},
	{"sha512", "SHA2_512", HASH_SHA2_512},
	{"identity", "IDENTITY", HASH_IDENTITY},
};

enum { KEYS = sizeof(keys) / sizeof(keys[0]), HASHES = sizeof(hashes) / sizeof(hashes[0]) };

static int add_bits(struct auth_rule *rule, uint8_t last_key, const char *word, struct error *err)
{
	unsigned long bits = strtoul(word, NULL, 10);

	if (bits < 1 || bits > 16384 || (last_key & (AUTH_KEY_RSA | AUTH_KEY_ECDSA)) == 0)
		return error_set(err, -EINVAL,
				 "'%.32s': a key's size stands behind rsa or ecdsa, as in rsa-3072",
				 word);
	if (last_key == AUTH_KEY_RSA)
		rule->rsa_bits = (uint16_t)bits;
	else
		rule->ecdsa_bits = (uint16_t)bits;
	return 0;
}

static int add_word(struct auth_rule *rule, uint8_t *last_key, const char *word, struct error *err)
{
	for (size_t i = 0; i < KEYS; i++) {
		if (strcmp(word, keys[i].word) != 0)
			continue;
		rule->keys |= keys[i].key;
		rule->pss |= keys[i].pss;
		*last_key = keys[i].key;
		return 0;
	}
	for (size_t i = 0; i < HASHES; i++) {
		if (strcmp(word, hashes[i].word) != 0)
			continue;
		if (hashes[i].hash == HASH_SHA1)
			return error_set(err, -ENOTSUP, "SHA-1 is no longer good for signatures");
		rule->hashes |= (uint16_t)AUTH_HASH_BIT(hashes[i].hash);
		return 0;
	}
	if (word[0] != '\0' && strspn(word, "0123456789") == strlen(word))
		return add_bits(rule, *last_key, word, err);
	return error_set(err, -EINVAL,
			 "'%.32s' is not psk, pubkey, rsa, rsa/pss, ecdsa, ed25519 or ed448, with "
			 "sizes and hashes as in rsa-3072-sha256",
			 word);
}

int auth_rule_parse(const char *text, struct auth_rule *out, struct error *err)
{
	struct auth_rule rule = {.kind = AUTH_BY_SIGNATURE};
	uint8_t last_key = 0;
	bool first = true;
	char word[64];

	if (strcmp(text, "psk") == 0) {
		*out = (struct auth_rule){.kind = AUTH_BY_PSK};
		return 0;
	}
	if (strncmp(text, "eap", 3) == 0 || strncmp(text, "xauth", 5) == 0)
		return error_set(err, -ENOTSUP,
				 "'%.32s': this is a site-to-site gateway; use psk or pubkey",
				 text);
	if (strncmp(text, "ike:", 4) == 0) {
		rule.ike_only = true;
		text += 4;
	}
	for (;; first = false) {
		size_t n = strcspn(text, "-");
		int rc = 0;

		snprintf(word, sizeof(word), "%.*s", (int)n, text);
		if (!first || strcmp(word, "pubkey") != 0)
			rc = add_word(&rule, &last_key, word, err);
		if (rc == 0 && first && last_key == 0 && strcmp(word, "pubkey") != 0)
			rc = error_set(err, -EINVAL,
				       "'%.32s': the kind of key comes first, as in pubkey-sha256",
				       word);
		if (rc)
			return rc;
		if (text[n] == '\0')
			break;
		text += n + 1;
	}
	*out = rule;
	return 0;
}

static size_t put(char *buf, size_t size, size_t at, const char *text)
{
	int n = at < size ? snprintf(buf + at, size - at, "%s", text) : 0;

	return at + (size_t)(n > 0 ? n : 0);
}

char *auth_hashes_format(unsigned set, char *buf, size_t size)
{
	size_t at = put(buf, size, 0, "");

	for (size_t i = 0; i < HASHES; i++) {
		if (!(set & AUTH_HASH_BIT(hashes[i].hash)))
			continue;
		at = put(buf, size, at, at > 0 ? ", " : "");
		at = put(buf, size, at, hashes[i].name);
	}
	if (at == 0)
		put(buf, size, 0, "none");
	return buf;
}

char *auth_rule_format(const struct auth_rule *rule, char *buf, size_t size)
{
	char list[64], bits[48];
	size_t at = 0;

	if (rule->kind == AUTH_BY_PSK) {
		put(buf, size, 0, "pre-shared key");
		return buf;
	}
	for (size_t i = 0; i < KEYS; i++) {
		if (!(rule->keys & keys[i].key) ||
		    (keys[i].key == AUTH_KEY_RSA && keys[i].pss != rule->pss))
			continue;
		at = put(buf, size, at, at > 0 ? " or " : "");
		at = put(buf, size, at, keys[i].name);
		bits[0] = '\0';
		if (keys[i].key == AUTH_KEY_RSA && rule->rsa_bits)
			snprintf(bits, sizeof(bits), " of %u bits", rule->rsa_bits);
		if (keys[i].key == AUTH_KEY_ECDSA && rule->ecdsa_bits)
			snprintf(bits, sizeof(bits), " of %u bits", rule->ecdsa_bits);
		at = put(buf, size, at, bits);
	}
	if (at == 0)
		at = put(buf, size, at, "public");
	at = put(buf, size, at, " key");
	if (rule->hashes) {
		at = put(buf, size, at, " with ");
		put(buf, size, at, auth_hashes_format(rule->hashes, list, sizeof(list)));
	}
	return buf;
}

bool auth_rule_equal(const struct auth_rule *a, const struct auth_rule *b)
{
	return a->kind == b->kind && a->keys == b->keys && a->hashes == b->hashes &&
	       a->rsa_bits == b->rsa_bits && a->ecdsa_bits == b->ecdsa_bits && a->pss == b->pss &&
	       a->ike_only == b->ike_only;
}

const char *auth_hash_name(unsigned hash)
{
	for (size_t i = 0; i < HASHES; i++)
		if (hashes[i].hash == hash)
			return hashes[i].name;
	return "unknown hash";
}
