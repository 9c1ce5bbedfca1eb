// Writes seeds for the fuzz targets of IKE: what is inside of the real exchanges in
// test/vectors/captures, in the form that each target reads, and IKE_AUTH with toy certificates.
//
//	seeds CAPTURES CORPUS		(make_seeds.sh)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/fragment.h"
#include "control/ike/payload.h"
#include "control/openssl/ike_openssl.h"
#include "lib/auth_rule.h"
#include "test/sim/fake_cred.h"
#include "test/vectors/capture.h"

static const char *corpus;
static unsigned written;

static void write_seed(const char *target, const char *name, unsigned n, const uint8_t *head,
		       size_t head_len, const uint8_t *data, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/real-%s-%u", corpus, target, name, n);
	f = fopen(path, "wb");
	if (!f || fwrite(head, 1, head_len, f) != head_len || fwrite(data, 1, len, f) != len ||
	    fclose(f)) {
		perror(path);
		exit(1);
	}
	written++;
}

// The stage of fuzz_ike_step that takes such a message.
static uint8_t stage_of(const struct ike_msg *m)
{
	static const uint8_t stages[4][2] = {
		{0, 1}, // IKE_SA_INIT: request, response
		{2, 3}, // IKE_AUTH
		{7, 8}, // CREATE_CHILD_SA
		{4, 5}, // INFORMATIONAL
	};

	return stages[(m->h.exchange - EXCHANGE_IKE_SA_INIT) & 3][m->h.is_response];
}

// As records of fuzz_fragment, 200 bytes in each.
static void fragment_seed(const char *name, unsigned n, const struct ike_msg *m, uint8_t first,
			  const uint8_t *data, size_t len)
{
	uint8_t buf[8192], total = (uint8_t)((len + 199) / 200);
	struct writer w = writer_of(buf, sizeof(buf));

	for (unsigned i = 0; i < total; i++) {
		size_t part = len - i * 200u < 200 ? len - i * 200u : 200;

		write_u8(&w, (uint8_t)((m->h.exchange == EXCHANGE_IKE_AUTH) |
				       (m->h.is_response ? 2 : 0)));
		write_u8(&w, (uint8_t)(i + 1));
		write_u8(&w, total);
		write_u8(&w, i == 0 ? first : 0);
		write_u8(&w, (uint8_t)part);
		write_bytes(&w, data + i * 200u, part);
	}
	if (!w.failed && total > 1)
		write_seed("fragment", name, n, (uint8_t[]){buf[0]}, 1, buf, w.len);
}

static void from_capture(const struct ike_crypto *crypto, const char *folder, const char *name)
{
	static uint8_t buf[LIMIT_IKE_MESSAGE_LEN], put[LIMIT_IKE_MESSAGE_LEN];
	static struct capture c;
	static struct ike_msg m;
	struct reassembly r = {0};

	capture_load(folder, name, &c);
	for (unsigned i = 0; i < c.n; i++) {
		const uint8_t *plain;
		uint8_t first;
		size_t len;

		if (capture_open(&c, crypto, &c.msg[i], &m, buf, &plain, &len))
			exit(1);
		first = m.sk_first;
		if (!m.has_sk) {
			write_seed("ike", name, i, NULL, 0, c.msg[i].bytes, c.msg[i].len);
			plain = c.msg[i].bytes + IKE_HEADER_LEN;
			len = c.msg[i].len - IKE_HEADER_LEN;
			first = m.h.next_payload;
		} else if (m.fragments > 0) {
			if (reassembly_add(&r, &m, plain, len))
				exit(1);
			if (!reassembly_complete(&r))
				continue;
			reassembly_take(&r, put, &len, &first);
			plain = put;
		}
		if (len == 0)
			continue;
		write_seed("ike", name, i + 100, &first, 1, plain, len);
		write_seed("ike_step", name, i, (uint8_t[]){stage_of(&m), first}, 2, plain, len);
		if (m.has_sk)
			fragment_seed(name, i, &m, first, plain, len);
	}
	capture_fini(&c);
}

// IKE_AUTH of gw-a with its toy certificates over an intermediate, as the simulator's peer a has
// them; AUTH is made right by the target.
static void with_toy_certificates(uint8_t method, unsigned n)
{
	static struct fake_cred f;
	static struct ike_builder b;
	uint8_t auth[66] = {1, HASH_SHA2_256}, ca[20] = {0}, zero[8] = {0};
	bool request = n % 2 == 0;
	const char *us = request ? "gw-a.example" : "gw-b.example";
	struct identity id;
	struct proposal_list esp = {.n = 1};
	struct selector_list ts[2] = {{.n = 1}, {.n = 1}};
	struct error err;

	fake_cred_init(&f, &(struct fake_cred_spec){
				   .id = us, .ca = {"root"}, .trusts = "root", .intermediates = 1});
	if (identity_parse(us, &id) || proposal_parse("aes128gcm16", PROTO_ESP, &esp.p[0], &err) ||
	    selector_parse("10.1.0.0/16", &ts[0].s[0]) ||
	    selector_parse("10.2.0.0/16", &ts[1].s[0]))
		exit(1);
	build_start(&b, zero, zero, 0, 0, 0);
	build_id(&b, request ? PAYLOAD_IDI : PAYLOAD_IDR, &id);
	for (size_t i = 0; i < f.chain[0].n; i++)
		build_cert(&b, PAYLOAD_CERT, f.chain[0].cert[i], f.chain[0].len[i]);
	if (request)
		build_cert(&b, PAYLOAD_CERTREQ, ca, sizeof(ca));
	build_auth(&b, method, auth, method == AUTH_DIGITAL_SIGNATURE ? 66 : 64);
	if (!request)
		esp.p[0].number = 1;
	build_sa(&b, &esp, 0xc0ffee01, true);
	build_ts(&b, PAYLOAD_TSI, &ts[0]);
	build_ts(&b, PAYLOAD_TSR, &ts[1]);
	build_finish(&b);
	// Bits 6 and 7 of the stage: both by certificate.
	write_seed("ike_step", "toy", n,
		   (uint8_t[]){(uint8_t)(0xc0 | (request ? 2 : 3)), b.buf[16]}, 2,
		   b.buf + IKE_HEADER_LEN, b.w.len - IKE_HEADER_LEN);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"psk", "ecdsa", "cookie", "ours"};
	struct ike_crypto *crypto;

	if (argc != 3 || ike_openssl_create(&crypto)) {
		fprintf(stderr, "usage: seeds CAPTURES CORPUS\n");
		return 1;
	}
	corpus = argv[2];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		from_capture(crypto, argv[1], names[i]);
	for (unsigned i = 0; i < 4; i++)
		with_toy_certificates(i < 2 ? AUTH_DIGITAL_SIGNATURE : AUTH_ECDSA_256, i);
	ike_openssl_destroy(crypto);
	printf("%u seeds\n", written);
	return 0;
}
