#include "control/ike/auth_cert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/refuse.h"

// ---- hashes ----

void cert_build_hashes(struct ike_builder *b)
{
	static const uint8_t hashes[] = {0, HASH_SHA2_256, 0, HASH_SHA2_384,
					 0, HASH_SHA2_512, 0, HASH_IDENTITY};

	build_notify(b, N_SIGNATURE_HASH_ALGORITHMS, hashes, sizeof(hashes));
}

unsigned cert_peer_hashes(const struct ike_msg *m)
{
	struct ike_notify n;
	struct reader r;
	unsigned set = 0;

	if (!ike_msg_notify(m, N_SIGNATURE_HASH_ALGORITHMS, 0, &n))
		return 0;
	for (r = reader_of(n.data, n.len); r.len >= 2;) {
		uint16_t hash = read_u16(&r);

		if (hash >= HASH_SHA1 && hash <= HASH_IDENTITY)
			set |= AUTH_HASH_BIT(hash);
	}
	return set;
}

// ---- CERTREQ ----

static void build_cas(struct ike_builder *b, const uint8_t *cas, size_t n)
{
	if (n > 0)
		build_cert(b, PAYLOAD_CERTREQ, cas, n * IKE_CA_ID_LEN);
}

static bool wants_certs(const struct ike_sa *sa, const struct ike_conn *conn)
{
	return sa->env->cred && conn->remote_auth == AUTH_BY_SIGNATURE && conn->send_certreq;
}

void cert_build_init_reply(const struct ike_sa *sa, struct ike_builder *b,
			   const struct ike_conn *const *conns)
{
	uint8_t cas[LIMIT_IKE_CERTREQ_CAS * IKE_CA_ID_LEN];
	bool signatures = false;
	size_t n = 0;

	for (size_t i = 0; conns[i]; i++) {
		signatures |= conns[i]->remote_auth == AUTH_BY_SIGNATURE;
		if (wants_certs(sa, conns[i]))
			sa->env->cred->cas(sa->env->cred->ctx, conns[i]->name, cas, &n);
	}
	build_cas(b, cas, n);
	if (signatures)
		cert_build_hashes(b);
}

void cert_build_request(const struct ike_sa *sa, struct ike_builder *b)
{
	uint8_t cas[LIMIT_IKE_CERTREQ_CAS * IKE_CA_ID_LEN];
	size_t n = 0;

	if (!wants_certs(sa, sa->conn))
		return;
	sa->env->cred->cas(sa->env->cred->ctx, sa->conn->name, cas, &n);
	build_cas(b, cas, n);
}

// The CAs that the peer names in all its CERTREQs; *asked: there is one for X.509 certificates.
static size_t cas_of(const struct ike_msg *m, uint8_t *cas, bool *asked)
{
	struct ike_cert_payload req;
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (m->p[i].type != PAYLOAD_CERTREQ || payload_cert_parse(&m->p[i], &req) ||
		    req.encoding != CERT_X509_SIGNATURE)
			continue;
		*asked = true;
		for (size_t at = 0; at + IKE_CA_ID_LEN <= req.len && n < LIMIT_IKE_CERTREQ_CAS;
		     at += IKE_CA_ID_LEN)
			memcpy(cas + n++ * IKE_CA_ID_LEN, req.data + at, IKE_CA_ID_LEN);
	}
	return n;
}

// ---- what is signed ----

// One side's IKE_SA_INIT message | the other's nonce | prf(SK_p, identity) (RFC 7296 2.15).
static int octets_of(const struct ike_sa *sa, bool of_initiator, const struct identity *id,
		     struct octets *out)
{
	const struct octets *message = of_initiator ? &sa->init_request : &sa->init_response;
	const struct ike_nonce *nonce = of_initiator ? &sa->nr : &sa->ni;
	uint8_t maced_id[IKE_PRF_MAX];
	size_t maced_len = sizeof(maced_id);
	struct writer w;
	int err = ike_auth_maced_id(sa->env->crypto, &sa->suite,
				    of_initiator ? &sa->keys.pi : &sa->keys.pr, id, maced_id,
				    &maced_len);

	if (err)
		return err;
	out->len = message->len + nonce->len + maced_len;
	out->data = malloc(out->len);
	if (!out->data)
		return -ENOMEM;
	w = writer_of(out->data, out->len);
	write_bytes(&w, message->data, message->len);
	write_bytes(&w, nonce->data, nonce->len);
	write_bytes(&w, maced_id, maced_len);
	return w.failed ? -EINVAL : 0;
}

// ---- our proof ----

static int own_sign(const struct ike_sa *sa, const struct ike_certs *own, struct ike_builder *b,
		    struct error *err)
{
	const struct ike_cred *cred = sa->env->cred;
	uint8_t auth[IKE_SIGNATURE_MAX], method = 0;
	size_t len = sizeof(auth);
	struct octets octets = {0};
	struct ike_buf signed_octets;
	int rc = octets_of(sa, sa->original_initiator, &sa->local_id, &octets);

	if (rc) {
		error_set(err, rc, "the octets to be signed could not be made");
	} else {
		signed_octets = (struct ike_buf){octets.data, octets.len};
		rc = cred->sign(cred->ctx, sa->conn->name, own, sa->peer_hashes, &signed_octets,
				&method, auth, &len, err);
	}
	if (!rc)
		build_auth(b, method, auth, len);
	octets_fini(&octets);
	return rc;
}

bool cert_build(struct step *st, struct ike_builder *b, const struct ike_msg *asked,
		void (*between)(struct step *st, struct ike_builder *b))
{
	struct ike_sa *sa = st->sa;
	const struct ike_cred *cred = sa->env->cred;
	uint8_t cas[LIMIT_IKE_CERTREQ_CAS * IKE_CA_ID_LEN];
	struct ike_certs own = {0};
	struct error err = {"there are no certificates here"};
	bool is_asked = false;
	size_t n = cas_of(asked, cas, &is_asked);
	int rc = cred ? cred->chain(cred->ctx, sa->conn->name, cas, n, &own, &err) : -ENOENT;

	if (!rc && (sa->conn->send_cert == SEND_CERT_ALWAYS ||
		    (sa->conn->send_cert == SEND_CERT_IFASKED && is_asked)))
		for (size_t i = 0; i < own.n; i++)
			build_cert(b, PAYLOAD_CERT, own.cert[i].data, own.cert[i].len);
	if (!rc && between)
		between(st, b);
	if (!rc)
		rc = own_sign(sa, &own, b, &err);
	if (rc == -ENOMEM)
		st->nomem = true;
	if (rc)
		act_refusal(st, refuse_new(st, IKE_REPORT_CERT, "we cannot prove who we are: %s",
					   err.text));
	return !rc;
}

// ---- the peer's proof ----

// The X.509 certificates of the message, in its order.
static int certs_of(const struct ike_msg *m, struct ike_certs *out, struct error *err)
{
	struct ike_cert_payload cert;

	for (size_t i = 0; i < m->n; i++) {
		if (m->p[i].type != PAYLOAD_CERT)
			continue;
		if (payload_cert_parse(&m->p[i], &cert) || cert.len == 0)
			return error_set(err, -EACCES, "it sent an empty CERT payload");
		// URLs are not fetched and CRLs are not taken from a stranger (CVE-2022-40617).
		if (cert.encoding != CERT_X509_SIGNATURE)
			continue;
		if (out->n == LIMIT_IKE_CERTS)
			return error_set(err, -EACCES, "it sent more than %d certificates",
					 LIMIT_IKE_CERTS);
		out->cert[out->n++] = (struct ike_buf){cert.data, cert.len};
	}
	return 0;
}

static bool is_signature(uint8_t method)
{
	return method == AUTH_DIGITAL_SIGNATURE || method == AUTH_RSA ||
	       (method >= AUTH_ECDSA_256 && method <= AUTH_ECDSA_521);
}

static int verify(const struct ike_sa *sa, const struct ike_msg *m,
		  const struct ike_auth_payload *auth, uint32_t *wait, struct error *err)
{
	const struct ike_cred *cred = sa->env->cred;
	struct ike_signature sig = {.method = auth->method,
				    .data = {auth->data, auth->len},
				    .peer_hashes = sa->peer_hashes};
	struct ike_certs certs = {0};
	struct octets octets = {0};
	int rc;

	if (!is_signature(auth->method))
		return error_set(
			err, -EACCES, "it authenticates by method %u%s, a signature is wanted",
			auth->method, auth->method == AUTH_SHARED_KEY ? " (pre-shared key)" : "");
	if (!cred)
		return error_set(err, -EACCES, "there are no certificates here");
	rc = certs_of(m, &certs, err);
	if (rc)
		return rc;
	rc = octets_of(sa, !sa->original_initiator, &sa->remote_id, &octets);
	if (rc) {
		error_set(err, rc, "the octets that it signed could not be made");
	} else {
		sig.octets = (struct ike_buf){octets.data, octets.len};
		rc = cred->verify(cred->ctx, sa->conn->name, &sa->remote_id, &certs, &sig, wait,
				  err);
	}
	octets_fini(&octets);
	return rc;
}

enum proof cert_verify(struct step *st, const struct ike_msg *m,
		       const struct ike_auth_payload *auth)
{
	struct ike_sa *sa = st->sa;
	struct error err = {""}, unread;
	struct ike_certs certs = {0};
	struct ike_refusal *r;
	uint32_t wait = 0;
	int rc = verify(sa, m, auth, st->last_word ? NULL : &wait, &err);

	if (rc == 0)
		return PROOF_GOOD;
	if (rc == -EINPROGRESS && !st->last_word) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_INFO, "IKE_AUTH waits: %s", err.text);
		return act_wait(st, wait) ? PROOF_LATER : PROOF_BAD;
	}
	if (rc == -ENOMEM)
		st->nomem = true;
	r = refuse_new(st, IKE_REPORT_CERT, "the peer is not believed: %s", err.text);
	certs_of(m, &certs, &unread); // those before the one that is malformed
	refuse_certs(r, sa->env->cred, &certs);
	act_refusal(st, r);
	return PROOF_BAD;
}
