#include "lib/dn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/bytes.h"

enum { // ASN.1 tags (X.690 8)
	TAG_OID = 0x06,
	TAG_UTF8 = 0x0c,
	TAG_PRINTABLE = 0x13,
	TAG_IA5 = 0x16,
	TAG_SEQUENCE = 0x30,
	TAG_SET = 0x31,
};

// The first of several names of one attribute is the one that is printed.
static const struct attribute {
	const char *name;
	uint8_t tag; // of its string; TAG_UTF8: the simplest that holds the value
	uint8_t oid_len;
	uint8_t oid[10];
} attributes[] = {
	{"C", TAG_PRINTABLE, 3, {0x55, 0x04, 0x06}},
	{"ST", TAG_UTF8, 3, {0x55, 0x04, 0x08}},
	{"L", TAG_UTF8, 3, {0x55, 0x04, 0x07}},
	{"O", TAG_UTF8, 3, {0x55, 0x04, 0x0a}},
	{"OU", TAG_UTF8, 3, {0x55, 0x04, 0x0b}},
	{"CN", TAG_UTF8, 3, {0x55, 0x04, 0x03}},
	{"SN", TAG_PRINTABLE, 3, {0x55, 0x04, 0x05}},
	{"serialNumber", TAG_PRINTABLE, 3, {0x55, 0x04, 0x05}},
	{"S", TAG_UTF8, 3, {0x55, 0x04, 0x04}},
	{"T", TAG_UTF8, 3, {0x55, 0x04, 0x0c}},
	{"D", TAG_UTF8, 3, {0x55, 0x04, 0x0d}},
	{"N", TAG_UTF8, 3, {0x55, 0x04, 0x29}},
	{"G", TAG_UTF8, 3, {0x55, 0x04, 0x2a}},
	{"I", TAG_UTF8, 3, {0x55, 0x04, 0x2b}},
	{"dnQualifier", TAG_PRINTABLE, 3, {0x55, 0x04, 0x2e}},
	{"pseudonym", TAG_UTF8, 3, {0x55, 0x04, 0x41}},
	{"E", TAG_IA5, 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01}},
	{"Email", TAG_IA5, 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01}},
	{"emailAddress", TAG_IA5, 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01}},
	{"unstructuredName", TAG_IA5, 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x02}},
	{"UID", TAG_UTF8, 10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01}},
	{"DC", TAG_IA5, 10, {0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19}},
};
enum { ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]), VALUE_MAX = 200 };

// ---- reading DER ----

struct value {
	const uint8_t *oid;
	size_t oid_len;
	uint8_t tag;
	const uint8_t *data;
	size_t len;
	bool joined; // stands in the same RDN as the one before
};

struct walk {
	struct reader name, rdn;
	bool first;
};

// The contents of the next element, which must have that tag (0: any, told in *tag).
static struct reader element(struct reader *r, uint8_t wanted, uint8_t *tag)
{
	uint8_t t = read_u8(r), first = read_u8(r);
	size_t len = first;

	// X.690 10.1: definite lengths in the shortest form.
	if (first == 0x81) {
		len = read_u8(r);
		r->failed |= len < 0x80;
	} else if (first == 0x82) {
		len = read_u16(r);
		r->failed |= len < 0x100;
	} else if (first >= 0x80) {
		r->failed = true;
	}
	r->failed |= wanted != 0 && t != wanted;
	if (tag)
		*tag = t;
	if (r->failed)
		return (struct reader){.failed = true};
	return read_sub(r, len);
}

static bool walk_begin(struct walk *w, const uint8_t *der, size_t len)
{
	struct reader r = reader_of(der, len);

	*w = (struct walk){.name = element(&r, TAG_SEQUENCE, NULL)};
	return !r.failed && !w->name.failed && r.len == 0;
}

// 1 with the next attribute, 0 at the end, -EBADMSG.
static int walk_next(struct walk *w, struct value *v)
{
	struct reader pair, oid, data;

	v->joined = w->rdn.len > 0;
	if (w->rdn.len == 0) {
		if (w->name.len == 0)
			return 0;
		w->rdn = element(&w->name, TAG_SET, NULL);
	}
	pair = element(&w->rdn, TAG_SEQUENCE, NULL);
	oid = element(&pair, TAG_OID, NULL);
	data = element(&pair, 0, &v->tag);
	if (w->name.failed || w->rdn.failed || pair.failed || pair.len > 0 || oid.failed ||
	    data.failed || oid.len == 0)
		return -EBADMSG;
	v->oid = oid.data;
	v->oid_len = oid.len;
	v->data = data.data;
	v->len = data.len;
	return 1;
}

static bool is_text(uint8_t tag)
{
	return tag == TAG_UTF8 || tag == TAG_PRINTABLE || tag == TAG_IA5;
}

static bool is_any(const struct value *v)
{
	return is_text(v->tag) && v->len == 1 && v->data[0] == '*';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool value_equal(const struct value *a, const struct value *b)
{
	if (a->len != b->len)
		return false;
	if (!is_text(a->tag) || !is_text(b->tag))
		return a->tag == b->tag && memcmp(a->data, b->data, a->len) == 0;
	for (size_t i = 0; i < a->len; i++)
		if (lower(a->data[i]) != lower(b->data[i]))
			return false;
	return true;
}

bool dn_matches(const uint8_t *pattern, size_t pattern_len, const uint8_t *dn, size_t len,
		bool wildcards)
{
	struct walk w, p;

	if (!walk_begin(&p, pattern, pattern_len) || !walk_begin(&w, dn, len))
		return false;
	for (;;) {
		struct value wanted, v;
		int a = walk_next(&p, &wanted), b = walk_next(&w, &v);

		if (a < 0 || a != b)
			return false;
		if (a == 0)
			return true;
		if (wanted.joined != v.joined || wanted.oid_len != v.oid_len ||
		    memcmp(wanted.oid, v.oid, v.oid_len) != 0)
			return false;
		if (!(wildcards && is_any(&wanted)) && !value_equal(&wanted, &v))
			return false;
	}
}

bool dn_has_wildcard(const uint8_t *der, size_t len)
{
	struct walk w;
	struct value v;

	if (!walk_begin(&w, der, len))
		return false;
	while (walk_next(&w, &v) > 0)
		if (is_any(&v))
			return true;
	return false;
}

// ---- text ----

static size_t put(char *buf, size_t size, size_t at, const char *text)
{
	size_t n = strlen(text);

	if (at + n >= size)
		return size; // full: nothing more is added
	memcpy(buf + at, text, n + 1);
	return at + n;
}

static size_t put_oid(char *buf, size_t size, size_t at, const struct value *v)
{
	unsigned long arc = 0;
	char text[24];

	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (attributes[i].oid_len == v->oid_len &&
		    memcmp(attributes[i].oid, v->oid, v->oid_len) == 0)
			return put(buf, size, at, attributes[i].name);
	for (size_t i = 0; i < v->oid_len; i++) {
		arc = arc << 7 | (v->oid[i] & 0x7f);
		if (v->oid[i] & 0x80)
			continue;
		if (i == 0)
			snprintf(text, sizeof(text), "%lu.%lu", arc / 40, arc % 40);
		else
			snprintf(text, sizeof(text), ".%lu", arc);
		at = put(buf, size, at, text);
		arc = 0;
	}
	return at;
}

// What is not printable, and what would read as a separator, is escaped.
static size_t put_value(char *buf, size_t size, size_t at, const struct value *v)
{
	for (size_t i = 0; i < v->len; i++) {
		uint8_t c = v->data[i];
		char one[5];

		if (c < 0x20 || c >= 0x7f || !is_text(v->tag))
			snprintf(one, sizeof(one), "\\x%02x", c);
		else
			snprintf(one, sizeof(one), c == ',' || c == '\\' ? "\\%c" : "%c", c);
		at = put(buf, size, at, one);
	}
	return at;
}

bool dn_format(const uint8_t *der, size_t len, char *buf, size_t size)
{
	struct walk w;
	struct value v;
	size_t at = 0;
	int more;

	if (size == 0)
		return false;
	buf[0] = '\0';
	if (!walk_begin(&w, der, len))
		return false;
	for (bool first = true; (more = walk_next(&w, &v)) > 0; first = false) {
		if (!first)
			at = put(buf, size, at, v.joined ? " + " : ", ");
		at = put_oid(buf, size, at, &v);
		at = put(buf, size, at, "=");
		at = put_value(buf, size, at, &v);
	}
	if (more < 0)
		buf[0] = '\0';
	return more == 0;
}

static bool printable_string(const char *s, size_t n) // X.680 41.4
{
	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= '0' && s[i] <= '9') &&
		    !(lower((uint8_t)s[i]) >= 'a' && lower((uint8_t)s[i]) <= 'z') &&
		    (s[i] == '\0' || !strchr(" '()+,-./:=?", s[i])))
			return false;
	return true;
}

static void write_header(struct writer *w, uint8_t tag, size_t len)
{
	write_u8(w, tag);
	if (len >= 0x100) {
		write_u8(w, 0x82);
		write_u16(w, (uint16_t)len);
	} else if (len >= 0x80) {
		write_u8(w, 0x81);
		write_u8(w, (uint8_t)len);
	} else {
		write_u8(w, (uint8_t)len);
	}
}

static size_t header_len(size_t len)
{
	return len >= 0x100 ? 4 : len >= 0x80 ? 3 : 2;
}

static void write_rdn(struct writer *w, const struct attribute *a, const char *value, size_t len)
{
	size_t pair = 2u + a->oid_len + header_len(len) + len;
	uint8_t tag = a->tag;

	// As strongSwan and most CAs choose it; peers compare without regard to it.
	if (tag == TAG_UTF8 && printable_string(value, len))
		tag = TAG_PRINTABLE;
	write_header(w, TAG_SET, header_len(pair) + pair);
	write_header(w, TAG_SEQUENCE, pair);
	write_header(w, TAG_OID, a->oid_len);
	write_bytes(w, a->oid, a->oid_len);
	write_header(w, tag, len);
	write_bytes(w, value, len);
}

static const struct attribute *attribute_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (strlen(attributes[i].name) == len &&
		    strncasecmp(attributes[i].name, name, len) == 0)
			return &attributes[i];
	return NULL;
}

// Copies up to the separator, escapes resolved, blanks at the end left out.
static int take_value(const char **text, char separator, char *value, size_t *len)
{
	const char *s = *text;
	size_t n = 0, end = 0;

	for (; *s != '\0' && *s != separator; s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		if (n == VALUE_MAX)
			return -E2BIG;
		value[n++] = *s;
		if (*s != ' ')
			end = n;
	}
	*text = *s != '\0' ? s + 1 : s;
	*len = end;
	return end > 0 ? 0 : -EINVAL;
}

int dn_parse(const char *text, uint8_t *der, size_t *len)
{
	uint8_t body[1024];
	struct writer w = writer_of(body, sizeof(body)), whole = writer_of(der, *len);
	char separator = text[0] == '/' ? '/' : ',';

	if (separator == '/')
		text++;
	while (*text != '\0') {
		const struct attribute *a;
		char value[VALUE_MAX];
		size_t n, value_len;
		int err;

		text += strspn(text, " ");
		n = strcspn(text, "= ");
		a = attribute_find(text, n);
		text += n;
		text += strspn(text, " ");
		if (!a || *text != '=')
			return -EINVAL;
		text++;
		text += strspn(text, " ");
		err = take_value(&text, separator, value, &value_len);
		if (err)
			return err;
		write_rdn(&w, a, value, value_len);
	}
	write_header(&whole, TAG_SEQUENCE, w.len);
	write_bytes(&whole, body, w.len);
	if (w.failed || whole.failed)
		return -E2BIG;
	if (w.len == 0)
		return -EINVAL;
	*len = whole.len;
	return 0;
}
