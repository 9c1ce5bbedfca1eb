#include "lib/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/addr.h"
#include "lib/dn.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int set_bytes(struct identity *id, enum identity_type type, const void *data, size_t len)
{
	struct identity out = {.type = (uint8_t)type};

	if (len == 0)
		return -EINVAL;
	if (len > IDENTITY_MAX)
		return -E2BIG;
	memcpy(out.data, data, len);
	out.len = (uint16_t)len;
	*id = out;
	return 0;
}

static int set_text(struct identity *id, enum identity_type type, const char *text)
{
	return set_bytes(id, type, text, strlen(text));
}

// "0a0b" or "0a:0b".
static int set_hex(struct identity *id, enum identity_type type, const char *text)
{
	uint8_t data[IDENTITY_MAX];
	size_t n = 0;

	while (*text) {
		int hi, lo;

		if (n > 0 && *text == ':')
			text++;
		hi = hex_digit(text[0]);
		lo = hi < 0 ? -1 : hex_digit(text[1]);
		if (lo < 0)
			return -EINVAL;
		if (n == sizeof(data))
			return -E2BIG;
		data[n++] = (uint8_t)(hi << 4 | lo);
		text += 2;
	}
	return set_bytes(id, type, data, n);
}

static int set_address(struct identity *id, uint8_t family, const char *text)
{
	struct ip_addr a;

	if (ip_addr_parse(text, &a) || (family != IP_NONE && a.family != family))
		return -EINVAL;
	return set_bytes(id, a.family == IP_V4 ? ID_IPV4_ADDR : ID_IPV6_ADDR, a.bytes,
			 ip_addr_len(&a));
}

static int set_dn(struct identity *id, const char *text)
{
	uint8_t der[IDENTITY_MAX];
	size_t len = sizeof(der);
	int rc = text[0] == '#' ? 0 : dn_parse(text, der, &len);

	if (text[0] == '#')
		return set_hex(id, ID_DER_ASN1_DN, text + 1);
	return rc ? rc : set_bytes(id, ID_DER_ASN1_DN, der, len);
}

static int set_forced(struct identity *id, enum identity_type type, const char *text)
{
	switch (type) {
	case ID_IPV4_ADDR:
		return set_address(id, IP_V4, text);
	case ID_IPV6_ADDR:
		return set_address(id, IP_V6, text);
	case ID_DER_ASN1_DN:
		return set_dn(id, text);
	case ID_DER_ASN1_GN:
		return -ENOTSUP;
	default:
		if (text[0] == '#')
			return set_hex(id, type, text + 1);
		return set_text(id, type, text);
	}
}

// strongSwan's prefixes that force a type.
static const struct {
	const char *prefix;
	enum identity_type type;
} prefixes[] = {
	{"ipv4:", ID_IPV4_ADDR},
	{"ipv6:", ID_IPV6_ADDR},
	{"fqdn:", ID_FQDN},
	{"dns:", ID_FQDN},
	{"email:", ID_RFC822_ADDR},
	{"rfc822:", ID_RFC822_ADDR},
	{"userfqdn:", ID_RFC822_ADDR},
	{"keyid:", ID_KEY_ID},
	{"asn1dn:", ID_DER_ASN1_DN},
	{"asn1gn:", ID_DER_ASN1_GN},
};

static bool is_any(const char *text)
{
	static const char *const words[] = {"", "%any", "%any6", "*", "0.0.0.0", "::", "0::0"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(text, words[i]))
			return true;
	return false;
}

int identity_parse(const char *text, struct identity *id)
{
	if (is_any(text)) {
		*id = (struct identity){.type = ID_ANY};
		return 0;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i].prefix);

		if (!strncasecmp(text, prefixes[i].prefix, n))
			return set_forced(id, prefixes[i].type, text + n);
	}
	if (!strncmp(text, "@#", 2))
		return set_hex(id, ID_KEY_ID, text + 2);
	if (!strncmp(text, "@@", 2))
		return set_text(id, ID_RFC822_ADDR, text + 2);
	if (text[0] == '@')
		return set_text(id, ID_FQDN, text + 1);
	if (strchr(text, '='))
		return set_dn(id, text);
	if (strchr(text, '@'))
		return set_text(id, ID_RFC822_ADDR, text);
	if (!set_address(id, IP_NONE, text))
		return 0;
	return set_text(id, ID_FQDN, text);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool equal_nocase(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

static bool is_name(uint8_t type)
{
	return type == ID_FQDN || type == ID_RFC822_ADDR;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	if (a->type != b->type)
		return false;
	// Names that are written with other types of strings are the same names.
	if (a->type == ID_DER_ASN1_DN && dn_matches(a->data, a->len, b->data, b->len, false))
		return true;
	if (a->len != b->len)
		return false;
	return is_name(a->type) ? equal_nocase(a->data, b->data, a->len)
				: !memcmp(a->data, b->data, a->len);
}

bool identity_is_pattern(const struct identity *id)
{
	if (id->type == ID_ANY)
		return true;
	if (id->type == ID_DER_ASN1_DN)
		return dn_has_wildcard(id->data, id->len);
	return is_name(id->type) && id->len > 0 && id->data[0] == '*';
}

bool identity_matches(const struct identity *pattern, const struct identity *id)
{
	size_t tail = pattern->len - 1u;

	if (pattern->type == ID_ANY)
		return true;
	if (pattern->type != id->type || !identity_is_pattern(pattern))
		return identity_equal(pattern, id);
	if (pattern->type == ID_DER_ASN1_DN)
		return dn_matches(pattern->data, pattern->len, id->data, id->len, true);
	// "*.example": whatever ends like that, as in strongSwan. Nobody is called "*" himself.
	return id->len > tail && id->data[0] != '*' &&
	       equal_nocase(pattern->data + 1, id->data + (id->len - tail), tail);
}

const char *identity_type_name(uint8_t type)
{
	// "ID_<n>" of the types without a name; written out so that no buffer is shared.
	static const char *const names[] = {
		[ID_ANY] = "ANY",
		[ID_IPV4_ADDR] = "IPV4_ADDR",
		[ID_FQDN] = "FQDN",
		[ID_RFC822_ADDR] = "RFC822_ADDR",
		[4] = "ID_4",
		[ID_IPV6_ADDR] = "IPV6_ADDR",
		[6] = "ID_6",
		[7] = "ID_7",
		[8] = "ID_8",
		[ID_DER_ASN1_DN] = "DER_ASN1_DN",
		[ID_DER_ASN1_GN] = "DER_ASN1_GN",
		[ID_KEY_ID] = "KEY_ID",
		[12] = "FC_NAME",
		[13] = "NULL",
	};
	static char others[256][8];

	if (type < sizeof(names) / sizeof(names[0]))
		return names[type];
	snprintf(others[type], sizeof(others[type]), "ID_%u", type);
	return others[type];
}

// Bytes that are not printable ASCII, and the backslash, become "\xHH".
static void format_text(const struct identity *id, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (uint16_t i = 0; i < id->len; i++) {
		uint8_t c = id->data[i];
		char one[5] = {(char)c};
		size_t n = 1;

		if (c < 0x20 || c >= 0x7f || c == '\\')
			n = (size_t)snprintf(one, sizeof(one), "\\x%02x", c);
		if (len + n >= size)
			return;
		memcpy(buf + len, one, n + 1);
		len += n;
	}
}

static void format_hex(const struct identity *id, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "@#");

	for (uint16_t i = 0; i < id->len && len + 2 < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%02x", id->data[i]);
}

static bool printable(const struct identity *id)
{
	for (uint16_t i = 0; i < id->len; i++)
		if (id->data[i] < 0x20 || id->data[i] >= 0x7f)
			return false;
	return id->len > 0;
}

char *identity_format(const struct identity *id, char *buf, size_t size)
{
	struct ip_addr a;

	if (size == 0)
		return buf;
	switch (id->type) {
	case ID_ANY:
		snprintf(buf, size, "%%any");
		break;
	case ID_IPV4_ADDR:
	case ID_IPV6_ADDR:
		a = ip_addr_from_bytes(id->data, id->len);
		if (a.family == (id->type == ID_IPV4_ADDR ? IP_V4 : IP_V6))
			ip_addr_format(&a, buf, size);
		else
			format_hex(id, buf, size); // a peer sent the wrong length
		break;
	case ID_FQDN:
	case ID_RFC822_ADDR:
		format_text(id, buf, size);
		break;
	case ID_KEY_ID:
		if (printable(id))
			format_text(id, buf, size);
		else
			format_hex(id, buf, size);
		break;
	case ID_DER_ASN1_DN:
		if (!dn_format(id->data, id->len, buf, size))
			format_hex(id, buf, size);
		break;
	default:
		format_hex(id, buf, size);
	}
	return buf;
}
