#include "control/openssl/cred_uris.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

void cred_uris_add(struct cred_uris *u, const char *uri)
{
	struct http_url url;
	struct error err;

	u->named = true;
	if (u->n == LIMIT_REVOCATION_URIS || http_url_parse(uri, &url, &err))
		return;
	for (size_t i = 0; i < u->n; i++)
		if (strcmp(u->uri[i], uri) == 0)
			return;
	memcpy(u->uri[u->n++], uri, strlen(uri) + 1);
}

static void add_name(struct cred_uris *u, const GENERAL_NAME *name)
{
	char uri[HTTP_URL_MAX + 1];
	const uint8_t *data;
	size_t len;

	u->named = true;
	if (name->type != GEN_URI)
		return;
	data = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
	len = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
	// What stands behind a zero is not what a person reads.
	if (len == 0 || len > HTTP_URL_MAX || memchr(data, 0, len))
		return;
	memcpy(uri, data, len);
	uri[len] = '\0';
	cred_uris_add(u, uri);
}

void cred_uris_ocsp(X509 *x, struct cred_uris *out)
{
	AUTHORITY_INFO_ACCESS *info = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);

	for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(info); i++) {
		const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(info, i);

		if (OBJ_obj2nid(a->method) == NID_ad_OCSP)
			add_name(out, a->location);
	}
	AUTHORITY_INFO_ACCESS_free(info);
	ERR_clear_error();
}

void cred_uris_crl(X509 *x, struct cred_uris *out)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(x, NID_crl_distribution_points, NULL, NULL);

	for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT *p = sk_DIST_POINT_value(points, i);

		out->named = true;
		// CRLs of somebody else than the issuer, or of some reasons only, are not for us.
		if (p->CRLissuer || p->reasons || !p->distpoint || p->distpoint->type != 0)
			continue;
		for (int k = 0; k < sk_GENERAL_NAME_num(p->distpoint->name.fullname); k++)
			add_name(out, sk_GENERAL_NAME_value(p->distpoint->name.fullname, k));
	}
	CRL_DIST_POINTS_free(points);
	ERR_clear_error();
}
