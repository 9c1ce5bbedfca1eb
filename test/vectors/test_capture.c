// Real IKE exchanges of strongSwan, with itself and with us, parsed, checked and rebuilt: our
// parsers see what tshark sees, strongSwan's shared secrets and nonces give strongSwan's keys and
// AUTH, and our builders make the same bytes again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "control/ike/builder.h"
#include "control/ike/fragment.h"
#include "control/ike/payload.h"
#include "control/ike/sa_payload.h"
#include "control/ike/ts.h"
#include "control/openssl/ike_openssl.h"
#include "test/sim/check.h"
#include "test/vectors/capture.h"

static const char *folder; // of the captures
static const char *const names[] = {"psk", "ecdsa", "cookie", "ours"};
static struct capture captures[sizeof(names) / sizeof(names[0])];
static struct ike_crypto *crypto;

#define EACH_CAPTURE(c) (struct capture *c = captures; c < captures + 4; c++)

// ---- messages, with fragments put together ----

struct opened {
	struct ike_msg m;
	const struct capture_msg *raw;
	bool whole; // m.p holds all payloads; otherwise a fragment before the last
	uint8_t buf[LIMIT_IKE_MESSAGE_LEN], put[LIMIT_IKE_MESSAGE_LEN];
	const uint8_t *plain;
	size_t len;
};

// Opens message i; `r` collects fragments between the calls.
static void open_message(const struct capture *c, size_t i, struct reassembly *r, struct opened *o)
{
	o->raw = &c->msg[i];
	o->whole = true;
	if (capture_open(c, crypto, o->raw, &o->m, o->buf, &o->plain, &o->len))
		fail_msg("message %zu does not open:\n%s", i, o->raw->said);
	if (o->m.fragments == 0)
		return;
	CHECK(reassembly_wants(r, &o->m));
	CHECK(!reassembly_add(r, &o->m, o->plain, o->len));
	o->whole = reassembly_complete(r);
	if (o->whole) {
		size_t len;
		uint8_t first;

		reassembly_take(r, o->put, &len, &first);
		o->m.sk_first = first;
		CHECK(!ike_msg_parse_inner(&o->m, o->put, len));
	}
}

// ---- what we see, in the words of captures/make.py ----

static void say_hex(FILE *f, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x", data[i]);
}

static void say_short(FILE *f, const uint8_t *data, size_t len)
{
	if (len <= 24) {
		say_hex(f, data, len);
		return;
	}
	say_hex(f, data, 8);
	fputs("..", f);
	say_hex(f, data + len - 8, 8);
	fprintf(f, "(%zu)", len);
}

static void say_sa(FILE *f, const struct ike_payload *p)
{
	uint8_t protocol = p->len > 5 ? p->data[5] : 0;
	struct sa_offer offer;

	CHECK(!sa_payload_parse(p, protocol, &offer) && offer.skipped == 0);
	fputs("sa\n", f);
	for (unsigned i = 0; i < offer.list.n; i++) {
		const struct proposal *q = &offer.list.p[i];

		fprintf(f, "proposal %u protocol %u spi ", q->number, q->protocol);
		if (offer.spi[i] == 0)
			fputc('-', f);
		else
			fprintf(f, "%0*llx", protocol == PROTO_ESP ? 8 : 16,
				(unsigned long long)offer.spi[i]);
		fputc(':', f);
		for (unsigned k = 0; k < q->n; k++) {
			fprintf(f, " %u/%u", q->t[k].type, q->t[k].id);
			if (q->t[k].key_bits)
				fprintf(f, "/%u", q->t[k].key_bits);
		}
		fputc('\n', f);
	}
}

static void say_ts(FILE *f, const struct ike_payload *p)
{
	struct selector_list list;

	CHECK(!ts_payload_parse(p, &list));
	fprintf(f, "ts %u\n", p->type);
	for (unsigned i = 0; i < list.n; i++) {
		const struct selector *s = &list.s[i];

		fprintf(f, "selector %u %u %u-%u ", s->family == IP_V4 ? 7 : 8, s->proto,
			s->port_lo, s->port_hi);
		say_hex(f, s->lo.bytes, 4);
		fputc('-', f);
		say_hex(f, s->hi.bytes, 4);
		fputc('\n', f);
	}
}

static void say_notify(FILE *f, const struct ike_payload *p)
{
	struct ike_notify n;

	CHECK(!payload_notify_parse(p, &n));
	fprintf(f, "notify %u protocol %u spi ", n.type, n.protocol);
	if (n.spi_len > 0)
		say_hex(f, n.spi, n.spi_len);
	else
		fputc('-', f);
	if (n.len > 0)
		fputc(' ', f);
	say_short(f, n.data, n.len);
	fputc('\n', f);
}

static void say_delete(FILE *f, const struct ike_payload *p)
{
	struct ike_delete d;

	CHECK(!payload_delete_parse(p, &d));
	fprintf(f, "delete protocol %u spis %u", d.protocol, d.n);
	if (d.n > 0)
		fputc(' ', f);
	say_hex(f, d.spis, (size_t)d.n * d.spi_len);
	fputc('\n', f);
}

// "word number bytes"
static void say(FILE *f, const char *word, unsigned number, const uint8_t *data, size_t len)
{
	fprintf(f, "%s %u ", word, number);
	say_short(f, data, len);
	fputc('\n', f);
}

static void say_payload(FILE *f, const struct ike_payload *p)
{
	struct ike_ke_payload ke;
	struct ike_auth_payload auth;
	struct ike_cert_payload cert;
	struct ike_buf nonce;
	struct identity id;

	switch (p->type) {
	case PAYLOAD_SA:
		say_sa(f, p);
		break;
	case PAYLOAD_KE:
		CHECK(!payload_ke_parse(p, &ke));
		say(f, "ke", ke.group, ke.data, ke.len);
		break;
	case PAYLOAD_NONCE:
		CHECK(!payload_nonce_parse(p, &nonce));
		fputs("nonce ", f);
		say_short(f, nonce.data, nonce.len);
		fputc('\n', f);
		break;
	case PAYLOAD_IDI:
	case PAYLOAD_IDR:
		CHECK(!payload_id_parse(p, &id));
		fprintf(f, "id %u %u ", p->type, id.type);
		say_hex(f, id.data, id.len);
		fputc('\n', f);
		break;
	case PAYLOAD_CERT:
	case PAYLOAD_CERTREQ:
		CHECK(!payload_cert_parse(p, &cert));
		say(f, p->type == PAYLOAD_CERT ? "cert" : "certreq", cert.encoding, cert.data,
		    cert.len);
		break;
	case PAYLOAD_AUTH:
		CHECK(!payload_auth_parse(p, &auth));
		say(f, "auth", auth.method, auth.data, auth.len);
		break;
	case PAYLOAD_NOTIFY:
		say_notify(f, p);
		break;
	case PAYLOAD_DELETE:
		say_delete(f, p);
		break;
	case PAYLOAD_TSI:
	case PAYLOAD_TSR:
		say_ts(f, p);
		break;
	default:
		say(f, "payload", p->type, p->data, p->len);
	}
}

static char *describe(const struct opened *o)
{
	const struct ike_header *h = &o->m.h;
	size_t size;
	char *text = NULL;
	FILE *f = open_memstream(&text, &size);

	CHECK(f);
	fprintf(f, "%u %s %u of %s ", h->exchange, h->is_response ? "response" : "request",
		h->message_id, h->from_original_initiator ? "initiator" : "responder");
	say_hex(f, h->spi_i, 8);
	fputc(' ', f);
	say_hex(f, h->spi_r, 8);
	fputc('\n', f);
	if (o->m.fragments > 0)
		fprintf(f, "fragment %u %u\n", o->m.fragment, o->m.fragments);
	for (size_t i = 0; o->whole && i < o->m.n; i++)
		say_payload(f, &o->m.p[i]);
	fclose(f);
	return text;
}

static void test_we_see_what_tshark_sees(void **state)
{
	(void)state;
	for
		EACH_CAPTURE(c)
		{
			struct opened *o = malloc(sizeof(*o));
			struct reassembly r = {0};

			for (size_t i = 0; i < c->n; i++) {
				char *text;

				open_message(c, i, &r, o);
				text = describe(o);
				if (strcmp(text, o->raw->said) != 0)
					fail_msg("message %zu: we say\n%stshark says\n%s", i, text,
						 o->raw->said);
				free(text);
			}
			CHECK(r.part == NULL);
			free(o);
		}
}

// ---- keys and AUTH ----

struct talk { // what goes into the keys of an IKE SA
	struct ike_nonce ni, nr;
	const struct capture_sa *old; // it replaces; NULL: from IKE_SA_INIT
	struct ike_buf request, response;
};

static void take_nonce(const struct ike_msg *m, struct talk *t)
{
	struct ike_nonce *n = m->h.is_response ? &t->nr : &t->ni;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_NONCE);
	struct ike_buf buf;

	if (p && !payload_nonce_parse(p, &buf)) {
		n->len = buf.len;
		memcpy(n->data, buf.data, buf.len);
	}
}

static uint64_t be64(const uint8_t b[8])
{
	struct reader r = reader_of(b, 8);

	return read_u64(&r);
}

// The SPI that a CREATE_CHILD_SA message gives to a new IKE SA, or 0.
static uint64_t new_ike_spi(const struct ike_msg *m)
{
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_SA);
	struct sa_offer offer;

	if (m->h.exchange != EXCHANGE_CREATE_CHILD_SA || !p ||
	    sa_payload_parse(p, PROTO_IKE, &offer) || offer.list.n == 0)
		return 0;
	return offer.spi[0];
}

static void find_talk(const struct capture *c, const struct capture_sa *sa, struct talk *t)
{
	struct opened *o = malloc(sizeof(*o));
	struct reassembly r = {0};

	*t = (struct talk){0};
	for (size_t i = 0; i < c->n; i++) {
		const struct ike_msg *m = &o->m;
		bool request, response;

		open_message(c, i, &r, o);
		request = m->h.exchange == EXCHANGE_IKE_SA_INIT &&
			  memcmp(m->h.spi_i, sa->spi_i, 8) == 0 && !m->h.is_response;
		response = m->h.exchange == EXCHANGE_IKE_SA_INIT &&
			   memcmp(m->h.spi_r, sa->spi_r, 8) == 0;
		if (request) // the last one: a COOKIE or another group may have been asked for
			t->request = (struct ike_buf){o->raw->bytes, o->raw->len};
		if (response)
			t->response = (struct ike_buf){o->raw->bytes, o->raw->len};
		if (request || response ||
		    new_ike_spi(m) == be64(m->h.is_response ? sa->spi_r : sa->spi_i))
			take_nonce(m, t);
		if (new_ike_spi(m) == be64(sa->spi_r))
			t->old = capture_sa_of(c, m);
	}
	CHECK(t->ni.len > 0 && t->nr.len > 0 && (t->old || t->response.len > 0));
	free(o);
}

static void same_key(const struct secret *ours, const struct secret *theirs, const char *name)
{
	if (ours->len != theirs->len ||
	    (ours->len > 0 && memcmp(ours->data, theirs->data, ours->len) != 0))
		fail_msg("key %s differs", name);
}

static void test_the_same_keys(void **state)
{
	(void)state;
	for
		EACH_CAPTURE(c)
		{
			for (size_t i = 0; i < c->n_sas; i++) {
				const struct capture_sa *sa = &c->sa[i];
				struct ike_keys k = {0};
				struct talk t;
				int err;

				find_talk(c, sa, &t);
				CHECK((i == 0) == (t.old == NULL));
				if (t.old)
					err = ike_keys_rekey(crypto, &sa->suite, t.old->suite.prf,
							     &t.old->keys.d, &t.ni, &t.nr, &sa->dh,
							     sa->spi_i, sa->spi_r, &k);
				else
					err = ike_keys_derive(crypto, &sa->suite, &t.ni, &t.nr,
							      &sa->dh, sa->spi_i, sa->spi_r, &k);
				CHECK(!err);
				same_key(&k.d, &sa->keys.d, "SK_d");
				same_key(&k.ai, &sa->keys.ai, "SK_ai");
				same_key(&k.ar, &sa->keys.ar, "SK_ar");
				same_key(&k.ei, &sa->keys.ei, "SK_ei");
				same_key(&k.er, &sa->keys.er, "SK_er");
				same_key(&k.pi, &sa->keys.pi, "SK_pi");
				same_key(&k.pr, &sa->keys.pr, "SK_pr");
				ike_keys_fini(&k);
			}
		}
}

// RFC 7296 2.15, over the IKE_SA_INIT messages as they were in the end.
static unsigned check_auth(const struct capture *c, const struct ike_msg *m, const struct talk *t)
{
	const struct capture_sa *sa = &c->sa[0];
	bool initiator = m->h.from_original_initiator;
	const struct ike_payload *id_payload =
		ike_msg_find(m, initiator ? PAYLOAD_IDI : PAYLOAD_IDR);
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_AUTH);
	struct secret psk = {0};
	struct ike_auth_payload auth;
	struct identity id;
	uint8_t value[IKE_PRF_MAX];
	size_t len = sizeof(value);

	if (!p || !id_payload)
		return 0;
	CHECK(!payload_id_parse(id_payload, &id) && !payload_auth_parse(p, &auth));
	CHECK(!secret_set(&psk, c->psk, strlen(c->psk)));
	CHECK(!ike_auth_psk(crypto, &sa->suite, &psk, initiator ? &sa->keys.pi : &sa->keys.pr,
			    initiator ? &t->request : &t->response, initiator ? &t->nr : &t->ni,
			    &id, value, &len));
	CHECK(auth.method == AUTH_SHARED_KEY && auth.len == len &&
	      memcmp(auth.data, value, len) == 0);
	secret_fini(&psk);
	return 1;
}

static void test_the_same_auth(void **state)
{
	(void)state;
	for
		EACH_CAPTURE(c)
		{
			struct opened *o = malloc(sizeof(*o));
			struct reassembly r = {0};
			struct talk t;
			unsigned n = 0;

			find_talk(c, &c->sa[0], &t);
			for (size_t i = 0; c->psk[0] && i < c->n; i++) {
				open_message(c, i, &r, o);
				n += check_auth(c, &o->m, &t);
			}
			CHECK(n == (c->psk[0] ? 2 : 0));
			free(o);
		}
}

// ---- building them again ----

static void rebuild_notify(struct ike_builder *b, const struct ike_payload *p)
{
	struct ike_notify n;
	struct reader r;

	CHECK(!payload_notify_parse(p, &n));
	if (n.spi_len == 0) {
		build_notify(b, n.type, n.data, n.len);
		return;
	}
	CHECK(n.spi_len == 4 && n.protocol == PROTO_ESP && n.len == 0);
	r = reader_of(n.spi, n.spi_len);
	build_notify_esp(b, n.type, read_u32(&r));
}

static void rebuild_delete(struct ike_builder *b, const struct ike_payload *p)
{
	uint32_t spis[8];
	struct ike_delete d;
	struct reader r;

	CHECK(!payload_delete_parse(p, &d));
	if (d.protocol == PROTO_IKE) {
		build_delete_ike(b);
		return;
	}
	CHECK(d.protocol == PROTO_ESP && d.n <= 8);
	r = reader_of(d.spis, 4u * d.n);
	for (unsigned i = 0; i < d.n; i++)
		spis[i] = read_u32(&r);
	build_delete_esp(b, spis, d.n);
}

static void rebuild_sa(struct ike_builder *b, const struct ike_payload *p)
{
	struct sa_offer offer;

	CHECK(!sa_payload_parse(p, p->data[5], &offer));
	build_sa(b, &offer.list, offer.spi[0], false);
}

static void rebuild_payload(struct ike_builder *b, const struct ike_payload *p)
{
	struct ike_ke_payload ke;
	struct ike_auth_payload auth;
	struct ike_cert_payload cert;
	struct ike_buf nonce;
	struct identity id;
	struct selector_list ts;

	switch (p->type) {
	case PAYLOAD_SA:
		rebuild_sa(b, p);
		break;
	case PAYLOAD_KE:
		CHECK(!payload_ke_parse(p, &ke));
		build_ke(b, ke.group, ke.data, ke.len);
		break;
	case PAYLOAD_NONCE:
		CHECK(!payload_nonce_parse(p, &nonce));
		build_octets(b, PAYLOAD_NONCE, nonce.data, nonce.len);
		break;
	case PAYLOAD_IDI:
	case PAYLOAD_IDR:
		CHECK(!payload_id_parse(p, &id));
		build_id(b, p->type, &id);
		break;
	case PAYLOAD_CERT:
	case PAYLOAD_CERTREQ:
		CHECK(!payload_cert_parse(p, &cert) && cert.encoding == CERT_X509_SIGNATURE);
		build_cert(b, p->type, cert.data, cert.len);
		break;
	case PAYLOAD_AUTH:
		CHECK(!payload_auth_parse(p, &auth));
		build_auth(b, auth.method, auth.data, auth.len);
		break;
	case PAYLOAD_NOTIFY:
		rebuild_notify(b, p);
		break;
	case PAYLOAD_DELETE:
		rebuild_delete(b, p);
		break;
	case PAYLOAD_TSI:
	case PAYLOAD_TSR:
		CHECK(!ts_payload_parse(p, &ts));
		build_ts(b, p->type, &ts);
		break;
	default:
		fail_msg("payload %u is not among what we build", p->type);
	}
}

struct resealer { // struct ike_crypto's context: the IV and the padding that strongSwan chose
	const uint8_t *iv;
	const uint8_t *plain; // with its padding
	size_t len;
};

static void encrypt(const struct transform *encr, const struct secret *key,
		    const struct ike_buf *aad, const uint8_t *iv, uint8_t *data, size_t len,
		    uint8_t *icv)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool gcm = encr->id == ENCR_AES_GCM_16;
	bool small = encr->key_bits == 128;
	const EVP_CIPHER *cipher = gcm	   ? small ? EVP_aes_128_gcm() : EVP_aes_256_gcm()
				       : small ? EVP_aes_128_cbc()
					   : EVP_aes_256_cbc();
	uint8_t nonce[16], last[16];
	int n;

	if (gcm) { // RFC 5282 4: the salt is at the key's end
		memcpy(nonce, key->data + key->len - 4, 4);
		memcpy(nonce + 4, iv, 8);
	} else {
		memcpy(nonce, iv, 16);
	}
	CHECK(ctx && EVP_EncryptInit_ex(ctx, cipher, NULL, key->data, nonce));
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	CHECK(!gcm || EVP_EncryptUpdate(ctx, NULL, &n, aad->data, (int)aad->len));
	CHECK(EVP_EncryptUpdate(ctx, data, &n, data, (int)len) && n == (int)len);
	CHECK(EVP_EncryptFinal_ex(ctx, last, &n) && n == 0);
	CHECK(!gcm || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, icv));
	EVP_CIPHER_CTX_free(ctx);
}

// HMAC(aad | iv | ciphertext), its first half (RFC 7296 3.14, RFC 4868).
static void authenticate(const struct transform *integ, const struct secret *key,
			 const struct ike_buf *aad, const uint8_t *iv, const uint8_t *data,
			 size_t len, uint8_t *icv)
{
	struct ike_buf pieces[] = {*aad, {iv, 16}, {data, len}};
	uint8_t mac[IKE_PRF_MAX];
	size_t mac_len = sizeof(mac);
	uint16_t prf = integ->id == INTEG_HMAC_SHA2_256_128 ? PRF_HMAC_SHA2_256 : PRF_HMAC_SHA2_512;

	CHECK(!crypto->prf(crypto->ctx, prf, key->data, key->len, pieces, 3, mac, &mac_len));
	memcpy(icv, mac, mac_len / 2);
}

static int reseal(void *ctx, const struct transform *encr, const struct transform *integ,
		  const struct secret *encr_key, const struct secret *integ_key,
		  const struct ike_buf *aad, uint8_t *iv, uint8_t *data, size_t len, uint8_t *icv)
{
	struct resealer *r = ctx;
	size_t iv_len = encr->id == ENCR_AES_GCM_16 ? 8 : 16;

	// As long as theirs, and the same but for the padding's octets, which are anybody's choice.
	CHECK(len == r->len && data[len - 1] == r->plain[len - 1]);
	memcpy(data + len - 1 - data[len - 1], r->plain + len - 1 - data[len - 1], data[len - 1]);
	memcpy(iv, r->iv, iv_len);
	encrypt(encr, encr_key, aad, iv, data, len, icv);
	if (integ->id != INTEG_NONE)
		authenticate(integ, integ_key, aad, iv, data, len, icv);
	return 0;
}

static void same_bytes(const struct ike_builder *b, const struct opened *o, size_t i)
{
	if (b->w.failed || b->w.len != o->raw->len || memcmp(b->buf, o->raw->bytes, b->w.len) != 0)
		fail_msg("message %zu is not the same when built again:\n%s", i, o->raw->said);
}

static void rebuild_sealed(const struct capture *c, const struct opened *o, struct ike_builder *b)
{
	const struct capture_sa *sa = capture_sa_of(c, &o->m);
	size_t pad_at = o->len;
	struct resealer r = {
		.iv = o->m.bytes + o->m.sk_body,
		.plain = o->plain,
		.len = o->m.len - o->m.sk_body - sa->suite.iv_len - sa->suite.icv_len,
	};
	struct ike_crypto with_their_iv = *crypto;

	with_their_iv.ctx = &r;
	with_their_iv.seal = reseal;
	CHECK(pad_at < r.len);
	if (o->m.fragments > 0) {
		uint8_t first = o->raw->bytes[IKE_HEADER_LEN];

		sk_begin_fragment(b, &sa->suite, first, o->m.fragment, o->m.fragments);
		write_bytes(&b->w, o->plain, o->len);
	} else {
		sk_begin(b, &sa->suite);
		for (size_t i = 0; i < o->m.n; i++)
			rebuild_payload(b, &o->m.p[i]);
	}
	CHECK(!sk_finish(b, &with_their_iv, &sa->suite, capture_keys(sa, &o->m)));
}

// The payloads of a message that came in fragments: the first fragment holds its beginning, so the
// bytes are compared there.
static void rebuild_payloads_of_fragments(const struct opened *o, size_t at)
{
	struct ike_builder *b = malloc(sizeof(*b));
	const uint8_t zero[8] = {0};

	build_start(b, zero, zero, 0, 0, 0);
	for (size_t i = 0; i < o->m.n; i++)
		rebuild_payload(b, &o->m.p[i]);
	build_finish(b);
	if (b->w.failed || memcmp(b->buf + IKE_HEADER_LEN, o->put, b->w.len - IKE_HEADER_LEN) != 0)
		fail_msg("the payloads of message %zu are not the same when built again", at);
	free(b);
}

static void test_rebuilt_byte_for_byte(void **state)
{
	unsigned sealed = 0, fragments = 0, plain = 0;

	(void)state;
	for
		EACH_CAPTURE(c)
		{
			struct opened *o = malloc(sizeof(*o));
			struct ike_builder *b = malloc(sizeof(*b));
			struct reassembly r = {0};

			for (size_t i = 0; i < c->n; i++) {
				const struct ike_header *h = &o->m.h;

				open_message(c, i, &r, o);
				build_start(b, h->spi_i, h->spi_r, h->exchange, h->flags,
					    h->message_id);
				if (o->m.has_sk) {
					rebuild_sealed(c, o, b);
				} else {
					for (size_t k = 0; k < o->m.n; k++)
						rebuild_payload(b, &o->m.p[k]);
					build_finish(b);
				}
				same_bytes(b, o, i);
				if (o->m.fragments > 0 && o->whole)
					rebuild_payloads_of_fragments(o, i);
				plain += !o->m.has_sk;
				fragments += o->m.fragments > 0;
				sealed += o->m.has_sk && o->m.fragments == 0;
			}
			free(b);
			free(o);
		}
	CHECK(plain >= 14 && fragments >= 4 && sealed >= 60); // the captures are what they were
}

// Every bit of a sealed message counts: none opens with one changed.
static void test_no_bit_may_change(void **state)
{
	unsigned n = 0;

	(void)state;
	for
		EACH_CAPTURE(c)
		{
			struct opened *o = malloc(sizeof(*o));

			for (size_t i = 0; i < c->n && n < 4000; i++) {
				struct capture_msg *raw = &c->msg[i];
				int err = capture_open(c, crypto, raw, &o->m, o->buf, &o->plain,
						       &o->len);

				CHECK(!err);
				for (size_t at = 16; o->m.has_sk && at < raw->len; at += 7) {
					struct ike_msg m;

					raw->bytes[at] ^= (uint8_t)(1 << at % 8);
					if (!ike_msg_parse(raw->bytes, raw->len, &m) && m.has_sk &&
					    capture_sa_of(c, &m) &&
					    !capture_open(c, crypto, raw, &m, o->buf, &o->plain,
							  &o->len))
						fail_msg("message %zu opens with octet %zu changed",
							 i, at);
					raw->bytes[at] ^= (uint8_t)(1 << at % 8);
					n++;
				}
			}
			free(o);
		}
	CHECK(n > 1000);
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		capture_load(folder, names[i], &captures[i]);
	return ike_openssl_create(&crypto);
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		capture_fini(&captures[i]);
	ike_openssl_destroy(crypto);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_we_see_what_tshark_sees),
		cmocka_unit_test(test_the_same_keys),
		cmocka_unit_test(test_the_same_auth),
		cmocka_unit_test(test_rebuilt_byte_for_byte),
		cmocka_unit_test(test_no_bit_may_change),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER-OF-CAPTURES\n", argv[0]);
		return 1;
	}
	folder = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
