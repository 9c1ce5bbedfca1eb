#include "control/openssl/algorithm_id.h"

#include <errno.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "lib/auth_rule.h"

static const struct {
	int nid;
	struct algorithm_id id;
	uint8_t len;
	uint8_t der[15]; // RFC 7427 A.1, A.3; RFC 8420 A
} known[] = {
	{NID_sha256WithRSAEncryption,
	 {AUTH_KEY_RSA, HASH_SHA2_256},
	 15,
	 {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05,
	  0x00}},
	{NID_sha384WithRSAEncryption,
	 {AUTH_KEY_RSA, HASH_SHA2_384},
	 15,
	 {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05,
	  0x00}},
	{NID_sha512WithRSAEncryption,
	 {AUTH_KEY_RSA, HASH_SHA2_512},
	 15,
	 {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05,
	  0x00}},
	{NID_ecdsa_with_SHA256,
	 {AUTH_KEY_ECDSA, HASH_SHA2_256},
	 12,
	 {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}},
	{NID_ecdsa_with_SHA384,
	 {AUTH_KEY_ECDSA, HASH_SHA2_384},
	 12,
	 {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}},
	{NID_ecdsa_with_SHA512,
	 {AUTH_KEY_ECDSA, HASH_SHA2_512},
	 12,
	 {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}},
	{NID_ED25519,
	 {AUTH_KEY_ED25519, HASH_IDENTITY},
	 7,
	 {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70}},
	{NID_ED448, {AUTH_KEY_ED448, HASH_IDENTITY}, 7, {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71}},
};
enum { KNOWN = sizeof(known) / sizeof(known[0]) };

// RFC 7427 A.4.3: RSASSA-PSS with SHA-256. The last octet of both hashes' OIDs and the salt's
// length are what the other hashes change.
enum { PSS_LEN = 67, PSS_HASH_AT = 30, PSS_MGF_AT = 60, PSS_SALT_AT = 66 };
static const uint8_t pss_sha256[PSS_LEN] = {
	0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30,
	0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
	0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
	0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
	0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x20};

static size_t write_pss(unsigned hash, uint8_t out[ALGORITHM_ID_MAX])
{
	static const uint8_t oid_end[] = {
		[HASH_SHA2_256] = 1, [HASH_SHA2_384] = 2, [HASH_SHA2_512] = 3};
	static const uint8_t salt[] = {
		[HASH_SHA2_256] = 32, [HASH_SHA2_384] = 48, [HASH_SHA2_512] = 64};

	if (hash < HASH_SHA2_256 || hash > HASH_SHA2_512)
		return 0;
	memcpy(out, pss_sha256, PSS_LEN);
	out[PSS_HASH_AT - 1] = oid_end[hash];
	out[PSS_MGF_AT - 1] = oid_end[hash];
	out[PSS_SALT_AT] = salt[hash];
	return PSS_LEN;
}

size_t algorithm_id_write(const struct algorithm_id *id, uint8_t out[ALGORITHM_ID_MAX])
{
	if (id->pss)
		return id->key == AUTH_KEY_RSA ? write_pss(id->hash, out) : 0;
	for (size_t i = 0; i < KNOWN; i++) {
		if (known[i].id.key != id->key || known[i].id.hash != id->hash)
			continue;
		memcpy(out, known[i].der, known[i].len);
		return known[i].len;
	}
	return 0;
}

// The hash that an AlgorithmIdentifier of RSASSA-PSS-params names; 0 for none of ours. Left out
// means SHA-1 (RFC 4055 3.1), which is none of ours.
static unsigned hash_of(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid;

	if (!alg)
		return 0;
	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	switch (OBJ_obj2nid(oid)) {
	case NID_sha256:
		return HASH_SHA2_256;
	case NID_sha384:
		return HASH_SHA2_384;
	case NID_sha512:
		return HASH_SHA2_512;
	default:
		return 0;
	}
}

static unsigned mgf_hash_of(const X509_ALGOR *mgf)
{
	const ASN1_OBJECT *oid;
	X509_ALGOR *inner = NULL;
	unsigned hash = 0;

	if (!mgf || !mgf->parameter || OBJ_obj2nid(mgf->algorithm) != NID_mgf1)
		return 0;
	X509_ALGOR_get0(&oid, NULL, NULL, mgf);
	inner = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_ALGOR), mgf->parameter);
	if (inner)
		hash = hash_of(inner);
	X509_ALGOR_free(inner);
	return hash;
}

static int parse_pss(const X509_ALGOR *alg, struct algorithm_id *out)
{
	RSA_PSS_PARAMS *pss =
		alg->parameter
			? ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), alg->parameter)
			: NULL;
	unsigned hash;
	int64_t salt = 20; // RFC 4055 3.1
	int rc = -EBADMSG;

	if (!pss)
		return rc;
	hash = hash_of(pss->hashAlgorithm);
	// One hash for both (RFC 8017 8.1); the trailer is 1 or left out.
	if (hash && mgf_hash_of(pss->maskGenAlgorithm) == hash &&
	    (!pss->saltLength || ASN1_INTEGER_get_int64(&salt, pss->saltLength)) && salt >= 0 &&
	    salt <= 64 && (!pss->trailerField || ASN1_INTEGER_get(pss->trailerField) == 1)) {
		*out = (struct algorithm_id){AUTH_KEY_RSA, (uint8_t)hash, true, (int)salt};
		rc = 0;
	}
	RSA_PSS_PARAMS_free(pss);
	return rc;
}

int algorithm_id_parse(const uint8_t *der, size_t len, struct algorithm_id *out)
{
	const uint8_t *p = der;
	X509_ALGOR *alg = d2i_X509_ALGOR(NULL, &p, (long)len);
	const ASN1_OBJECT *oid;
	int rc = -EBADMSG, type, nid;

	if (alg && p == der + len) {
		X509_ALGOR_get0(&oid, &type, NULL, alg);
		nid = OBJ_obj2nid(oid);
		if (nid == NID_rsassaPss)
			rc = parse_pss(alg, out);
		for (size_t i = 0; i < KNOWN && rc; i++) {
			// Some leave the NULL of RSA out; nothing else may stand there.
			if (known[i].nid == nid &&
			    (type == V_ASN1_UNDEF || (type == V_ASN1_NULL && known[i].len == 15))) {
				*out = known[i].id;
				rc = 0;
			}
		}
	}
	X509_ALGOR_free(alg);
	ERR_clear_error();
	return rc;
}
