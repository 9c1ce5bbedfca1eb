#include "test/sim/fake_cred.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auth_rule.h"
#include "lib/bytes.h"
#include "test/sim/fake_crypto.h"

// A certificate: "cert", the length of its subject and that, the same of its issuer, its key, the
// issuer's signature over all before, padding.
enum { KEY_LEN = 8, MAGIC_LEN = 4, SIGNATURE_LEN = 64 };
static const uint8_t magic[MAGIC_LEN] = {'c', 'e', 'r', 't'};

struct fake_cert {
	char subject[FAKE_CERT_NAME], issuer[FAKE_CERT_NAME];
	uint64_t key;
	struct ike_buf signed_part;
	uint64_t signature;
};

// ---- toy cryptography ----

static uint64_t keyed_hash(uint64_t key, const uint8_t *data, size_t len)
{
	uint64_t h = fake_random(&key);

	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 0x100000001b3u;
	h ^= len;
	return fake_random(&h);
}

static uint64_t key_of(const char *name)
{
	return keyed_hash(1, (const uint8_t *)name, strlen(name));
}

// ---- certificates ----

static bool read_name(struct reader *r, char out[FAKE_CERT_NAME])
{
	size_t len = read_u8(r);
	const uint8_t *name;

	if (len == 0 || len >= FAKE_CERT_NAME)
		return false;
	name = read_bytes(r, len);
	for (size_t i = 0; i < len; i++)
		if (!name || !isprint(name[i])) // it is shown to people
			return false;
	memcpy(out, name, len);
	out[len] = '\0';
	return true;
}

static bool cert_parse(const uint8_t *data, size_t len, struct fake_cert *out)
{
	struct reader r = reader_of(data, len);
	const uint8_t *m = read_bytes(&r, MAGIC_LEN);

	if (!m || memcmp(m, magic, MAGIC_LEN) != 0 || !read_name(&r, out->subject) ||
	    !read_name(&r, out->issuer))
		return false;
	out->key = read_u64(&r);
	out->signed_part = (struct ike_buf){data, len - r.len};
	out->signature = read_u64(&r);
	return !r.failed;
}

static size_t cert_write(const char *subject, const char *issuer, size_t len, uint8_t *out)
{
	struct writer w = writer_of(out, FAKE_CERT_MAX);

	write_bytes(&w, magic, MAGIC_LEN);
	write_u8(&w, (uint8_t)strlen(subject));
	write_bytes(&w, subject, strlen(subject));
	write_u8(&w, (uint8_t)strlen(issuer));
	write_bytes(&w, issuer, strlen(issuer));
	write_u64(&w, key_of(subject));
	write_u64(&w, keyed_hash(key_of(issuer), w.data, w.len));
	if (w.len < len)
		write_zeros(&w, len - w.len);
	if (w.failed)
		abort(); // a test's names are too long
	return w.len;
}

static void chain_make(struct fake_chain *c, const struct fake_cred_spec *spec, const char *root)
{
	char subject[FAKE_CERT_NAME], issuer[FAKE_CERT_NAME];

	snprintf(subject, sizeof(subject), "%s", spec->id);
	for (unsigned i = 0; i <= spec->intermediates && c->n < FAKE_CHAIN; i++) {
		if (i < spec->intermediates)
			snprintf(issuer, sizeof(issuer), "sub %u of %s", i + 1, root);
		else
			snprintf(issuer, sizeof(issuer), "%s", root);
		c->len[c->n] = cert_write(subject, issuer, spec->cert_len, c->cert[c->n]);
		c->n++;
		memcpy(subject, issuer, sizeof(subject));
	}
}

static void ca_id(const char *root, uint8_t out[IKE_CA_ID_LEN])
{
	uint64_t h = key_of(root);

	memset(out, 0, IKE_CA_ID_LEN);
	memcpy(out, &h, sizeof(h));
}

// ---- signatures ----

// RFC 7427 3: the AlgorithmIdentifier with its length in front of the signature. Here it is the
// hash alone.
static size_t signature_write(uint64_t key, uint8_t method, unsigned hash,
			      const struct ike_buf *octets, uint8_t *out, size_t room)
{
	struct writer w = writer_of(out, room);
	uint64_t h = keyed_hash(key + hash, octets->data, octets->len);

	if (method == AUTH_DIGITAL_SIGNATURE) {
		write_u8(&w, 1);
		write_u8(&w, (uint8_t)hash);
	}
	for (size_t i = 0; i < SIGNATURE_LEN; i += sizeof(h))
		write_u64(&w, fake_random(&h));
	return w.failed ? 0 : w.len;
}

static bool is_signature(uint8_t method)
{
	return method == AUTH_DIGITAL_SIGNATURE || method == AUTH_RSA ||
	       (method >= AUTH_ECDSA_256 && method <= AUTH_ECDSA_521);
}

bool fake_cred_sign(const uint8_t *cert, size_t cert_len, uint8_t method, unsigned hash,
		    const struct ike_buf *octets, uint8_t *out, size_t *len)
{
	struct fake_cert c;

	if (!is_signature(method) || !cert_parse(cert, cert_len, &c))
		return false;
	*len = signature_write(c.key, method, method == AUTH_DIGITAL_SIGNATURE ? hash : 0, octets,
			       out, *len);
	return *len > 0;
}

static unsigned hashes_of(const struct fake_cred *f)
{
	return f->spec.hashes ? f->spec.hashes : AUTH_HASHES;
}

static int check_signature(const struct fake_cred *f, const struct fake_cert *cert,
			   const struct ike_signature *sig, struct error *err)
{
	uint8_t wanted[SIGNATURE_LEN + 2];
	unsigned hash = 0;
	size_t len;

	if (sig->method == AUTH_DIGITAL_SIGNATURE) {
		struct reader r = reader_of(sig->data.data, sig->data.len);

		if (read_u8(&r) != 1)
			return error_set(err, -EACCES, "its AUTH has no algorithm");
		hash = read_u8(&r);
		if (hash > HASH_IDENTITY || !(hashes_of(f) & AUTH_HASH_BIT(hash)))
			return error_set(err, -EACCES, "it signs with %s, which is not wanted",
					 auth_hash_name(hash));
	}
	len = signature_write(cert->key, sig->method, hash, &sig->octets, wanted, sizeof(wanted));
	if (len != sig->data.len || memcmp(wanted, sig->data.data, len) != 0)
		return error_set(err, -EACCES, "its signature does not verify");
	return 0;
}

// ---- the table ----

static int fake_local_id(void *ctx, const char *conn, struct identity *out)
{
	const struct fake_cred *f = ctx;

	(void)conn;
	return identity_parse(f->spec.id, out);
}

static int fake_chain(void *ctx, const char *conn, const uint8_t *cas, size_t n,
		      struct ike_certs *out, struct error *err)
{
	struct fake_cred *f = ctx;
	const struct fake_chain *c = &f->chain[0];
	uint8_t id[IKE_CA_ID_LEN];

	if (c->n == 0)
		return error_set(err, -ENOENT, "connection %s has no certificate", conn);
	for (size_t i = FAKE_CERTS; i-- > 0;) {
		if (!f->spec.ca[i])
			continue;
		ca_id(f->spec.ca[i], id);
		for (size_t k = 0; k < n; k++)
			if (memcmp(cas + k * IKE_CA_ID_LEN, id, IKE_CA_ID_LEN) == 0)
				c = &f->chain[i];
	}
	out->n = 0;
	for (size_t i = 0; i < c->n && i < LIMIT_IKE_CERTS; i++)
		out->cert[out->n++] = (struct ike_buf){c->cert[i], c->len[i]};
	return 0;
}

static int fake_sign(void *ctx, const char *conn, const struct ike_certs *own, unsigned peer_hashes,
		     const struct ike_buf *octets, uint8_t *method, uint8_t *out, size_t *len,
		     struct error *err)
{
	struct fake_cred *f = ctx;
	unsigned common = peer_hashes & hashes_of(f), hash = HASH_SHA2_256;
	void *scratch = malloc(64);
	uint8_t with = AUTH_ECDSA_256;
	int rc = 0;

	f->signs++;
	if (!scratch)
		return error_set(err, -ENOMEM, "out of memory");
	if (peer_hashes && !f->spec.classic) {
		with = AUTH_DIGITAL_SIGNATURE;
		while (hash < HASH_IDENTITY && !(common & AUTH_HASH_BIT(hash)))
			hash++;
		if (!(common & AUTH_HASH_BIT(hash)))
			rc = error_set(err, -EACCES, "%s: the peer accepts no hash of ours", conn);
	}
	if (!rc &&
	    !fake_cred_sign(own->cert[0].data, own->cert[0].len, with, hash, octets, out, len))
		rc = error_set(err, -EINVAL, "%s: there is no key", conn);
	if (!rc)
		*method = with;
	free(scratch);
	return rc;
}

// Walks from the end entity to the trusted root over the certificates that came with it.
static int check_chain(const struct fake_cred *f, const struct fake_cert *certs, size_t n,
		       struct error *err)
{
	const struct fake_cert *c = &certs[0];

	for (size_t depth = 0; depth <= n; depth++) {
		const struct fake_cert *issuer = NULL;
		uint64_t key;

		if (f->spec.trusts && strcmp(c->issuer, f->spec.trusts) == 0) {
			key = key_of(f->spec.trusts);
		} else {
			for (size_t i = 0; i < n && !issuer; i++)
				if (strcmp(certs[i].subject, c->issuer) == 0)
					issuer = &certs[i];
			if (!issuer)
				return error_set(err, -EACCES, "the issuer '%s' of '%s' is unknown",
						 c->issuer, c->subject);
			key = issuer->key;
		}
		if (keyed_hash(key, c->signed_part.data, c->signed_part.len) != c->signature)
			return error_set(err, -EACCES, "'%s' is not signed by '%s'", c->subject,
					 c->issuer);
		if (!issuer)
			return 0;
		c = issuer;
	}
	return error_set(err, -EACCES, "the chain of '%s' goes in circles", certs[0].subject);
}

static int judge(const struct fake_cred *f, const struct identity *peer,
		 const struct ike_certs *certs, struct fake_cert *parsed,
		 const struct ike_signature *sig, struct error *err)
{
	struct identity subject;
	int rc;

	if (certs->n == 0)
		return error_set(err, -EACCES, "it sent no certificate");
	for (size_t i = 0; i < certs->n; i++)
		if (!cert_parse(certs->cert[i].data, certs->cert[i].len, &parsed[i]))
			return error_set(err, -EACCES, "certificate %zu cannot be read", i + 1);
	if (identity_parse(parsed[0].subject, &subject) || !identity_equal(&subject, peer))
		return error_set(err, -EACCES, "'%s' is not the peer's identity",
				 parsed[0].subject);
	rc = check_chain(f, parsed, certs->n, err);
	return rc ? rc : check_signature(f, &parsed[0], sig, err);
}

static int fake_verify(void *ctx, const char *conn, const struct identity *peer,
		       const struct ike_certs *certs, const struct ike_signature *sig,
		       uint32_t *wait, struct error *err)
{
	struct fake_cred *f = ctx;
	struct fake_cert *parsed = malloc(LIMIT_IKE_CERTS * sizeof(*parsed));
	int rc;

	(void)conn;
	(void)wait;
	f->verifies++;
	if (!parsed)
		return error_set(err, -ENOMEM, "out of memory");
	rc = judge(f, peer, certs, parsed, sig, err);
	if (rc)
		f->refused++;
	free(parsed);
	return rc;
}

static void fake_cas(void *ctx, const char *conn, uint8_t *out, size_t *n)
{
	const struct fake_cred *f = ctx;
	uint8_t id[IKE_CA_ID_LEN];

	(void)conn;
	if (!f->spec.trusts)
		return;
	ca_id(f->spec.trusts, id);
	for (size_t i = 0; i < *n; i++)
		if (memcmp(out + i * IKE_CA_ID_LEN, id, IKE_CA_ID_LEN) == 0)
			return;
	if (*n < LIMIT_IKE_CERTREQ_CAS)
		memcpy(out + (*n)++ * IKE_CA_ID_LEN, id, IKE_CA_ID_LEN);
}

static int fake_describe(void *ctx, const struct ike_buf *cert, struct ike_cert_info *out)
{
	struct fake_cert c;

	(void)ctx;
	if (!cert_parse(cert->data, cert->len, &c))
		return -EBADMSG;
	*out = (struct ike_cert_info){.not_before = "2020-01-01", .not_after = "2040-01-01"};
	snprintf(out->subject, sizeof(out->subject), "%s", c.subject);
	snprintf(out->issuer, sizeof(out->issuer), "%s", c.issuer);
	return 0;
}

void fake_cred_init(struct fake_cred *f, const struct fake_cred_spec *spec)
{
	memset(f, 0, sizeof(*f));
	f->spec = *spec;
	f->vt = (struct ike_cred){
		.ctx = f,
		.local_id = fake_local_id,
		.chain = fake_chain,
		.sign = fake_sign,
		.verify = fake_verify,
		.cas = fake_cas,
		.describe = fake_describe,
	};
	for (size_t i = 0; i < FAKE_CERTS; i++)
		if (spec->id && spec->ca[i])
			chain_make(&f->chain[i], spec, spec->ca[i]);
}
