#include "control/openssl/cred_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "lib/addr.h"
#include "lib/dn.h"

// The type of identity that a general name can be; ID_ANY: none.
static uint8_t id_type_of(const GENERAL_NAME *g, const ASN1_STRING **value)
{
	int type;

	*value = GENERAL_NAME_get0_value(g, &type);
	switch (type) {
	case GEN_DNS:
		return ID_FQDN;
	case GEN_EMAIL:
		return ID_RFC822_ADDR;
	case GEN_IPADD:
		return ASN1_STRING_length(*value) == 4 ? ID_IPV4_ADDR : ID_IPV6_ADDR;
	default:
		return ID_ANY;
	}
}

static bool san_is(X509 *x, const struct identity *id)
{
	GENERAL_NAMES *sans = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(sans) && !found; i++) {
		const ASN1_STRING *value;
		struct identity san = {.type = id_type_of(sk_GENERAL_NAME_value(sans, i), &value)};
		int len;

		if (san.type != id->type)
			continue;
		len = ASN1_STRING_length(value);
		if (len <= 0 || len > IDENTITY_MAX)
			continue;
		san.len = (uint16_t)len;
		memcpy(san.data, ASN1_STRING_get0_data(value), san.len);
		found = identity_equal(&san, id);
	}
	GENERAL_NAMES_free(sans);
	ERR_clear_error();
	return found;
}

static bool subject_is(X509 *x, const struct identity *id)
{
	const uint8_t *p = id->data;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, id->len);
	bool same = name && p == id->data + id->len && X509_NAME_entry_count(name) > 0 &&
		    X509_NAME_cmp(name, X509_get_subject_name(x)) == 0;

	X509_NAME_free(name);
	ERR_clear_error();
	return same;
}

bool cred_name_is(X509 *x, const struct identity *id)
{
	const ASN1_OCTET_STRING *ski;

	switch (id->type) {
	case ID_FQDN:
	case ID_RFC822_ADDR:
	case ID_IPV4_ADDR:
	case ID_IPV6_ADDR:
		return san_is(x, id);
	case ID_DER_ASN1_DN:
		return subject_is(x, id);
	case ID_KEY_ID:
		ski = X509_get0_subject_key_id(x);
		return ski && ASN1_STRING_length(ski) == id->len &&
		       memcmp(ASN1_STRING_get0_data(ski), id->data, id->len) == 0;
	default:
		return false;
	}
}

int cred_name_subject(X509 *x, struct identity *out)
{
	const X509_NAME *name = X509_get_subject_name(x);
	struct identity id = {.type = ID_DER_ASN1_DN};
	uint8_t *p = id.data;
	int len = i2d_X509_NAME(name, NULL);

	if (len <= 0)
		return -EIO;
	if (len > IDENTITY_MAX)
		return -E2BIG;
	i2d_X509_NAME(name, &p);
	id.len = (uint16_t)len;
	*out = id;
	return 0;
}

char *cred_name_text(const X509_NAME *name, char *buf, size_t size)
{
	uint8_t *der = NULL;
	int len = i2d_X509_NAME(name, &der);

	snprintf(buf, size, "(no name)");
	if (len > 2)
		dn_format(der, (size_t)len, buf, size);
	OPENSSL_free(der);
	return buf;
}

char *cred_name_sans(X509 *x, char *buf, size_t size)
{
	static const char *const words[] = {[ID_IPV4_ADDR] = "IP",
					    [ID_FQDN] = "DNS",
					    [ID_RFC822_ADDR] = "email",
					    [ID_IPV6_ADDR] = "IP"};
	GENERAL_NAMES *sans = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char text[IDENTITY_TEXT_MAX];
	size_t at = 0;

	snprintf(buf, size, "no alternative name");
	for (int i = 0; i < sk_GENERAL_NAME_num(sans) && at < size; i++) {
		const ASN1_STRING *value;
		struct identity san = {.type = id_type_of(sk_GENERAL_NAME_value(sans, i), &value)};
		int len;

		if (san.type == ID_ANY)
			continue;
		len = ASN1_STRING_length(value);
		if (len <= 0 || len > IDENTITY_MAX)
			continue;
		san.len = (uint16_t)len;
		memcpy(san.data, ASN1_STRING_get0_data(value), san.len);
		at += (size_t)snprintf(buf + at, size - at, "%s%s %s", at ? ", " : "",
				       words[san.type], identity_format(&san, text, sizeof(text)));
	}
	GENERAL_NAMES_free(sans);
	ERR_clear_error();
	return buf;
}

char *cred_time_text(const ASN1_TIME *t, char *buf, size_t size)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) == 1)
		snprintf(buf, size, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min);
	else
		snprintf(buf, size, "?");
	return buf;
}
