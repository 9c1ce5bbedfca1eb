#include "lib/transform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/suggest.h"

#define KEYWORD_MAX 32

static bool same(const struct transform *a, const struct transform *b)
{
	return a->type == b->type && a->id == b->id && a->key_bits == b->key_bits;
}

const struct transform *proposal_first(const struct proposal *p, uint8_t type)
{
	for (uint8_t i = 0; i < p->n; i++)
		if (p->t[i].type == type)
			return &p->t[i];
	return NULL;
}

bool proposal_has(const struct proposal *p, const struct transform *t)
{
	for (uint8_t i = 0; i < p->n; i++)
		if (same(&p->t[i], t))
			return true;
	return false;
}

// Appends what is not there yet. False when the proposal is full.
static bool add(struct proposal *p, const struct transform *t)
{
	if (proposal_has(p, t))
		return true;
	if (p->n == PROPOSAL_TRANSFORMS_MAX)
		return false;
	p->t[p->n++] = *t;
	return true;
}

static const char *protocol_name(enum protocol_id protocol)
{
	switch (protocol) {
	case PROTO_IKE:
		return "IKE";
	case PROTO_AH:
		return "AH";
	case PROTO_ESP:
		return "ESP";
	default:
		return "?";
	}
}

static bool negotiable(const struct transform_info *info, enum protocol_id protocol)
{
	return protocol == PROTO_IKE ? info->ike : protocol == PROTO_ESP && info->esp;
}

// Transform types of RFC 7296 3.3.3.
static bool type_belongs(uint8_t type, enum protocol_id protocol)
{
	if (protocol == PROTO_IKE)
		return type != TRANSFORM_SN;
	return type != TRANSFORM_PRF;
}

// --- reading keywords -------------------------------------------------------------------------

static int unknown_keyword(const char *text, const char *word, struct error *err)
{
	const char *known[160];
	const struct transform_info *info;
	const char *near;
	size_t n = 0;

	for (size_t i = 0; (info = transform_at(i)) && n < sizeof(known) / sizeof(known[0]); i++)
		if (info->keyword)
			known[n++] = info->keyword;
	near = suggest_nearest(word, known, n);
	if (near)
		return error_set(err, -EINVAL,
				 "unknown algorithm '%s' in proposal '%s', did you mean '%s'?",
				 word, text, near);
	return error_set(err, -EINVAL, "unknown algorithm '%s' in proposal '%s'", word, text);
}

static int unavailable_keyword(const char *word, const struct transform_info *info,
			       enum protocol_id protocol, struct error *err)
{
	const struct transform_info *other;
	char list[256];
	size_t len = 0;

	if (info->refused)
		return error_set(err, -ENOTSUP, "algorithm '%s' is refused: %s", word,
				 info->refused);
	// IKE exchanges keys in any case (RFC 7296 3.3.3); NONE is for children.
	if (info->type == TRANSFORM_KE && info->id == KE_NONE)
		return error_set(err, -ENOTSUP, "'%s' is for ESP: IKE itself always exchanges keys",
				 word);
	// RFC 7296 3.3.2 (5): ENCR_NULL is not for IKE.
	if (info->type == TRANSFORM_ENCR && info->id == ENCR_NULL && protocol == PROTO_IKE)
		return error_set(err, -ENOTSUP,
				 "algorithm '%s' is refused: IKE itself is always encrypted", word);
	list[0] = 0;
	for (size_t i = 0; (other = transform_at(i)) && len < sizeof(list); i++)
		if (other->type == info->type && other->keyword && negotiable(other, protocol))
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
						len ? ", " : "", other->keyword);
	return error_set(err, -ENOTSUP,
			 "algorithm '%s' is known, but not available yet for %s; available for "
			 "%s: %s",
			 word, protocol_name(protocol), transform_type_name(info->type),
			 len ? list : "none");
}

static int add_keyword(const char *text, const char *word, struct proposal *p, struct error *err)
{
	const struct transform_info *info = transform_find_keyword(word);
	const char *foreign = transform_foreign_keyword(word);
	struct transform t;

	if (!*word)
		return error_set(err, -EINVAL, "empty algorithm in proposal '%s'", text);
	if (foreign)
		return error_set(err, -ENOTSUP, "algorithm '%s' is refused: %s", word, foreign);
	if (!info)
		return unknown_keyword(text, word, err);
	if (!type_belongs(info->type, p->protocol))
		return error_set(
			err, -EINVAL, "algorithm '%s' (%s) does not belong in the %s proposal '%s'",
			word, transform_type_name(info->type), protocol_name(p->protocol), text);
	if (!negotiable(info, p->protocol))
		return unavailable_keyword(word, info, p->protocol, err);
	t = (struct transform){.type = info->type, .id = info->id, .key_bits = info->key_bits};
	if (!add(p, &t))
		return error_set(err, -EINVAL, "more than %d algorithms in proposal '%s'",
				 PROPOSAL_TRANSFORMS_MAX, text);
	return 0;
}

static int add_keywords(const char *text, struct proposal *p, struct error *err)
{
	const char *word = text;

	for (;;) {
		size_t n = strcspn(word, "-");
		char keyword[KEYWORD_MAX];
		int rc;

		if (n >= sizeof(keyword))
			return error_set(err, -EINVAL, "unknown algorithm '%.*s' in proposal",
					 (int)n, word);
		memcpy(keyword, word, n);
		keyword[n] = 0;
		rc = add_keyword(text, keyword, p, err);
		if (rc)
			return rc;
		if (!word[n])
			return 0;
		word += n + 1;
	}
}

// As strongSwan: without a PRF in the text, the hash of the integrity algorithm is the PRF's too.
static bool derive_prf(struct proposal *p)
{
	static const struct {
		uint16_t integ, prf;
	} rows[] = {
		{INTEG_HMAC_SHA1_96, PRF_HMAC_SHA1},
		{INTEG_HMAC_SHA2_256_128, PRF_HMAC_SHA2_256},
		{INTEG_HMAC_SHA2_384_192, PRF_HMAC_SHA2_384},
		{INTEG_HMAC_SHA2_512_256, PRF_HMAC_SHA2_512},
	};
	uint8_t n = p->n;

	for (uint8_t i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			struct transform prf = {.type = TRANSFORM_PRF, .id = rows[k].prf};

			if (p->t[i].type == TRANSFORM_INTEG && p->t[i].id == rows[k].integ &&
			    !add(p, &prf))
				return false;
		}
	return true;
}

static const char *keyword_of(const struct transform *t)
{
	const struct transform_info *info = t ? transform_find(t) : NULL;

	return info && info->keyword ? info->keyword : "?";
}

// RFC 7296 3.3: an AEAD stands without an integrity algorithm, every other cipher with one, so
// both kinds never share a proposal.
static int check_protection(const char *text, const struct proposal *p, struct error *err)
{
	const struct transform *integ = proposal_first(p, TRANSFORM_INTEG);
	const struct transform *aead = NULL, *plain = NULL;

	for (uint8_t i = 0; i < p->n; i++) {
		const struct transform_info *info = transform_find(&p->t[i]);

		if (!info || info->type != TRANSFORM_ENCR)
			continue;
		if (info->aead && !aead)
			aead = &p->t[i];
		if (!info->aead && !plain)
			plain = &p->t[i];
	}
	if (!aead && !plain)
		return error_set(err, -EINVAL, "no encryption algorithm in proposal '%s'", text);
	if (aead && plain)
		return error_set(err, -EINVAL,
				 "'%s' and '%s' cannot share a proposal: one authenticates by "
				 "itself, the other needs an integrity algorithm; write two "
				 "proposals instead of '%s'",
				 keyword_of(aead), keyword_of(plain), text);
	if (aead && integ && p->protocol != PROTO_IKE) // in IKE it names the PRF: complete_ike()
		return error_set(err, -EINVAL,
				 "'%s' authenticates by itself (RFC 5282 8): remove '%s' from "
				 "proposal '%s'",
				 keyword_of(aead), keyword_of(integ), text);
	if (plain && !integ)
		return error_set(
			err, -EINVAL,
			"'%s' needs an integrity algorithm such as 'sha256' in proposal '%s' "
			"(RFC 7296 3.3.3, RFC 8221 4)",
			keyword_of(plain), text);
	return 0;
}

// As strongSwan: "aes256gcm16-sha384-x25519" means the PRF by its hash. What is offered beside an
// AEAD holds no integrity algorithm (RFC 5282 8).
static void drop_integ_beside_aead(struct proposal *p)
{
	const struct transform_info *encr = transform_find(proposal_first(p, TRANSFORM_ENCR));
	uint8_t kept = 0;

	if (!encr || !encr->aead)
		return;
	for (uint8_t i = 0; i < p->n; i++)
		if (p->t[i].type != TRANSFORM_INTEG)
			p->t[kept++] = p->t[i];
	p->n = kept;
}

static int complete_ike(const char *text, struct proposal *p, struct error *err)
{
	if (!proposal_first(p, TRANSFORM_PRF) && !derive_prf(p))
		return error_set(err, -EINVAL, "more than %d algorithms in proposal '%s'",
				 PROPOSAL_TRANSFORMS_MAX, text);
	drop_integ_beside_aead(p);
	if (!proposal_first(p, TRANSFORM_PRF))
		return error_set(err, -EINVAL,
				 "no PRF such as 'prfsha256' in the IKE proposal '%s'", text);
	if (!proposal_first(p, TRANSFORM_KE))
		return error_set(err, -EINVAL,
				 "no key exchange such as 'x25519' in the IKE proposal '%s'", text);
	return 0;
}

int proposal_parse(const char *text, enum protocol_id protocol, struct proposal *p,
		   struct error *err)
{
	const struct transform sn = {.type = TRANSFORM_SN, .id = SN_32BIT};
	struct proposal out = {.protocol = (uint8_t)protocol};
	int rc;

	if (protocol != PROTO_IKE && protocol != PROTO_ESP)
		return error_set(err, -ENOTSUP, "there are proposals for IKE and ESP only");
	if (!strcmp(text, "default")) {
		struct proposal_list defaults;

		proposal_defaults(protocol, &defaults);
		*p = defaults.p[0];
		return 0;
	}
	rc = add_keywords(text, &out, err);
	if (!rc)
		rc = check_protection(text, &out, err);
	if (!rc && protocol == PROTO_IKE)
		rc = complete_ike(text, &out, err);
	if (rc)
		return rc;
	if (protocol == PROTO_ESP && !proposal_first(&out, TRANSFORM_SN) && !add(&out, &sn))
		return error_set(err, -EINVAL, "more than %d algorithms in proposal '%s'",
				 PROPOSAL_TRANSFORMS_MAX, text);
	*p = out;
	return 0;
}

// What every default of IKE ends with. MODP-2048, the weakest, comes last and is still there
// because everybody has it (RFC 8247 2.4: MUST). MODP-6144 and -8192 must be asked for by name:
// a stranger could make us spend milliseconds on each of his messages.
#define DEFAULT_PRF "prfsha256-prfsha384-prfsha512-"
#define DEFAULT_KE  "x25519-ecp256-ecp384-ecp521-x448-modp3072-modp4096-modp2048"

void proposal_defaults(enum protocol_id protocol, struct proposal_list *out)
{
	// 128-bit keys first: they match the strength of x25519 and cost a third less per byte.
	static const char *const ike[] = {
		"aes128gcm16-aes256gcm16-chacha20poly1305-" DEFAULT_PRF DEFAULT_KE,
		"aes128-aes256-sha256-sha384-sha512-" DEFAULT_PRF DEFAULT_KE,
	};
	// What strongSwan offers, in its order.
	static const char *const esp[] = {
		"aes128gcm16-aes192gcm16-aes256gcm16-noesn",
		"aes128-aes192-aes256-sha256-sha384-sha512-sha1-aesxcbc-noesn",
	};
	const char *const *text = protocol == PROTO_IKE ? ike : esp;
	uint8_t n = protocol == PROTO_IKE || protocol == PROTO_ESP ? 2 : 0;

	*out = (struct proposal_list){.n = n};
	for (uint8_t i = 0; i < n; i++)
		proposal_parse(text[i], protocol, &out->p[i], NULL);
}

// --- printing ---------------------------------------------------------------------------------

// Appends what there is room for. Returns the length.
static size_t append(char *buf, size_t size, size_t len, const char *s)
{
	const size_t n = strlen(s), room = size - 1 - len, take = n < room ? n : room;

	memcpy(buf + len, s, take);
	buf[len + take] = 0;
	return len + take;
}

char *proposal_format(const struct proposal *p, char *buf, size_t size)
{
	static const uint8_t order[] = {TRANSFORM_ENCR, TRANSFORM_INTEG, TRANSFORM_PRF,
					TRANSFORM_KE, TRANSFORM_SN};
	size_t len;
	const char *separator = "";

	if (size == 0)
		return buf;
	len = append(buf, size, 0, protocol_name(p->protocol));
	len = append(buf, size, len, ":");
	for (size_t k = 0; k < sizeof(order); k++)
		for (uint8_t i = 0; i < p->n; i++) {
			struct transform t = p->t[i];
			char name[TRANSFORM_TEXT_MAX];

			if (t.type != order[k])
				continue;
			t.key_bits = 0; // "AES_CBC_128" here, "AES_CBC-128" in transform_format
			transform_format(&t, name, sizeof(name));
			len = append(buf, size, len, separator);
			len = append(buf, size, len, name);
			if (p->t[i].key_bits) {
				snprintf(name, sizeof(name), "_%u", p->t[i].key_bits);
				len = append(buf, size, len, name);
			}
			separator = "/";
		}
	return buf;
}

// --- choosing ---------------------------------------------------------------------------------

// "None" is written as a transform of its own or by leaving the type out (RFC 7296 3.3.3).
static bool has_none(const struct proposal *p, uint8_t type)
{
	const struct transform none = {.type = type, .id = 0};

	return (type == TRANSFORM_INTEG || type == TRANSFORM_KE) && proposal_has(p, &none);
}

static bool choose_type(const struct proposal *ours, const struct proposal *theirs, uint8_t type,
			struct proposal *chosen)
{
	bool we_have = proposal_first(ours, type) != NULL;
	bool they_have = proposal_first(theirs, type) != NULL;

	for (uint8_t i = 0; i < ours->n; i++)
		if (ours->t[i].type == type && proposal_has(theirs, &ours->t[i]))
			return add(chosen, &ours->t[i]);
	if (!we_have && has_none(theirs, type))
		return add(chosen, &(struct transform){.type = type, .id = 0});
	return !they_have && (!we_have || has_none(ours, type));
}

static bool choose_from(const struct proposal *ours, const struct proposal *theirs, bool ignore_ke,
			struct proposal *chosen)
{
	struct proposal out = {.protocol = theirs->protocol, .number = theirs->number};

	if (ours->protocol != theirs->protocol)
		return false;
	// RFC 7296 3.3.6: a proposal with a transform type we do not know is not acceptable.
	for (uint8_t i = 0; i < theirs->n; i++)
		if (theirs->t[i].type < TRANSFORM_ENCR || theirs->t[i].type > TRANSFORM_SN)
			return false;
	for (uint8_t type = TRANSFORM_ENCR; type <= TRANSFORM_SN; type++) {
		if (type == TRANSFORM_KE && ignore_ke)
			continue;
		if (!choose_type(ours, theirs, type, &out))
			return false;
	}
	*chosen = out;
	return true;
}

int proposal_choose(const struct proposal_list *ours, const struct proposal_list *theirs,
		    bool ignore_ke, struct proposal *chosen)
{
	for (uint8_t i = 0; i < ours->n; i++)
		for (uint8_t k = 0; k < theirs->n; k++)
			if (choose_from(&ours->p[i], &theirs->p[k], ignore_ke, chosen))
				return 0;
	return -ENOENT;
}

static unsigned count_type(const struct proposal *p, uint8_t type)
{
	unsigned n = 0;

	for (uint8_t i = 0; i < p->n; i++)
		n += p->t[i].type == type;
	return n;
}

static bool is_choice_from(const struct proposal *answer, const struct proposal *offer,
			   bool ignore_ke)
{
	if (answer->protocol != offer->protocol)
		return false;
	// RFC 7296 3.3.1: the number of the answer is that of the accepted proposal.
	if (offer->number && answer->number != offer->number)
		return false;
	for (uint8_t i = 0; i < answer->n; i++) {
		const struct transform *t = &answer->t[i];

		if (t->type < TRANSFORM_ENCR || t->type > TRANSFORM_SN)
			return false;
		if (t->type == TRANSFORM_KE && ignore_ke)
			continue;
		if (!proposal_has(offer, t) &&
		    !(proposal_first(offer, t->type) == NULL && has_none(answer, t->type)))
			return false;
	}
	for (uint8_t type = TRANSFORM_ENCR; type <= TRANSFORM_SN; type++) {
		unsigned n = count_type(answer, type);

		if (type == TRANSFORM_KE && ignore_ke)
			continue;
		if (n > 1)
			return false;
		if (n == 0 && proposal_first(offer, type) && !has_none(offer, type))
			return false;
	}
	return true;
}

bool proposal_is_answer_to(const struct proposal *answer, const struct proposal_list *offer,
			   bool ignore_ke)
{
	for (uint8_t i = 0; i < offer->n; i++)
		if (is_choice_from(answer, &offer->p[i], ignore_ke))
			return true;
	return false;
}
