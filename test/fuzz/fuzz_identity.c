// Identities and distinguished names as peers and certificates send them, and as people write them:
// whatever parses can be shown and compared, and matches itself.
//
// Input: the type of an identity (RFC 7296 3.5), then its data; and the same data as a text.
#include <stdlib.h>
#include <string.h>

#include "lib/dn.h"
#include "lib/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void use(const struct identity *id)
{
	char text[IDENTITY_TEXT_MAX];

	identity_format(id, text, sizeof(text));
	for (const char *c = text; *c; c++) // goes into one line of a log
		must((unsigned char)*c >= 0x20 && *c != 0x7f);
	must(identity_equal(id, id));
	must(identity_is_pattern(id) || identity_matches(id, id));
}

static void as_name(const uint8_t *der, size_t len)
{
	char text[2048], cut[8];

	dn_has_wildcard(der, len);
	dn_matches(der, len, der, len, true);
	dn_format(der, len, cut, sizeof(cut));
	must(strlen(cut) < sizeof(cut));
	if (dn_format(der, len, text, sizeof(text)))
		must(dn_matches(der, len, der, len, false));
	else
		must(text[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity id = {0}, parsed;
	uint8_t der[IDENTITY_MAX];
	char text[IDENTITY_MAX + 1];
	size_t len = sizeof(der);

	if (size < 1 || size > IDENTITY_MAX)
		return 0;
	id.type = data[0];
	id.len = (uint16_t)(size - 1);
	memcpy(id.data, data + 1, size - 1);
	use(&id);
	as_name(data + 1, size - 1);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (!identity_parse(text, &parsed)) {
		use(&parsed);
		identity_matches(&parsed, &id);
		identity_equal(&parsed, &id);
	}
	if (!dn_parse(text, der, &len))
		as_name(der, len);
	return 0;
}
