#include "lib/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/addr.h"

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

static int set_forced(struct identity *id, enum identity_type type, const char *text)
{
	switch (type) {
	case ID_IPV4_ADDR:
		return set_address(id, IP_V4, text);
	case ID_IPV6_ADDR:
		return set_address(id, IP_V6, text);
	case ID_DER_ASN1_DN:
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
		return -ENOTSUP;
	if (strchr(text, '@'))
		return set_text(id, ID_RFC822_ADDR, text);
	if (!set_address(id, IP_NONE, text))
		return 0;
	return set_text(id, ID_FQDN, text);
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	if (a->type != b->type || a->len != b->len)
		return false;
	if (a->type == ID_FQDN || a->type == ID_RFC822_ADDR) {
		for (uint16_t i = 0; i < a->len; i++) {
			uint8_t x = a->data[i], y = b->data[i];

			x = x >= 'A' && x <= 'Z' ? (uint8_t)(x | 0x20) : x;
			y = y >= 'A' && y <= 'Z' ? (uint8_t)(y | 0x20) : y;
			if (x != y)
				return false;
		}
		return true;
	}
	return !memcmp(a->data, b->data, a->len);
}

bool identity_matches(const struct identity *pattern, const struct identity *id)
{
	return pattern->type == ID_ANY || identity_equal(pattern, id);
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
		char one[5];
		size_t n = (size_t)snprintf(
			one, sizeof(one), c >= 0x20 && c < 0x7f && c != '\\' ? "%c" : "\\x%02x", c);

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
	default:
		format_hex(id, buf, size);
	}
	return buf;
}
