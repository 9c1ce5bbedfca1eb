// The parser of IKE messages and of every payload body, on bytes as a stranger may send them.
// What parses must also survive being written again.
#include <stdlib.h>
#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa_payload.h"
#include "control/ike/ts.h"
#include "lib/ike_peek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void fuzz_sa(const struct ike_payload *p, uint8_t protocol)
{
	static uint8_t buf[PROPOSALS_MAX * (12 + 12 * PROPOSAL_TRANSFORMS_MAX)];
	struct writer w = writer_of(buf, sizeof(buf));
	struct sa_offer offer, back;
	struct ike_payload again = {PAYLOAD_SA, buf, 0};
	char text[PROPOSAL_TEXT_MAX];

	if (sa_payload_parse(p, protocol, &offer) || offer.list.n == 0)
		return;
	for (unsigned i = 0; i < offer.list.n; i++)
		proposal_format(&offer.list.p[i], text, sizeof(text));
	sa_payload_write(&w, &offer.list, offer.spi[0], false);
	again.len = w.len;
	must(!w.failed && !sa_payload_parse(&again, protocol, &back));
	must(back.list.n == offer.list.n);
}

static void fuzz_ts(const struct ike_payload *p)
{
	uint8_t buf[4 + 40 * SELECTORS_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	struct selector_list list, back, common;
	struct ike_payload again = {PAYLOAD_TSI, buf, 0};
	char text[SELECTOR_TEXT_MAX];

	if (ts_payload_parse(p, &list) || list.n == 0)
		return;
	for (unsigned i = 0; i < list.n; i++)
		selector_format(&list.s[i], text, sizeof(text));
	must(ts_narrow(&list, &list, &common) && ts_is_subset(&common, &list));
	ts_payload_write(&w, &list);
	again.len = w.len;
	must(!w.failed && !ts_payload_parse(&again, &back) && back.n == list.n);
	for (unsigned i = 0; i < list.n; i++)
		must(selector_equal(&list.s[i], &back.s[i]));
}

static void fuzz_body(const struct ike_payload *p)
{
	struct ike_ke_payload ke;
	struct ike_auth_payload auth;
	struct ike_cert_payload cert;
	struct ike_buf nonce;
	struct identity id;
	struct ike_delete d;
	char text[IDENTITY_TEXT_MAX];

	payload_ke_parse(p, &ke);
	payload_auth_parse(p, &auth);
	payload_cert_parse(p, &cert);
	payload_nonce_parse(p, &nonce);
	payload_delete_parse(p, &d);
	if (!payload_id_parse(p, &id))
		identity_format(&id, text, sizeof(text));
	fuzz_sa(p, PROTO_IKE);
	fuzz_sa(p, PROTO_ESP);
	fuzz_ts(p);
}

// What the core takes for an opener, the guard's first look takes for one as well.
static void fuzz_peek(const uint8_t *data, size_t size)
{
	struct ike_peek p;
	struct ike_msg m;
	struct ike_buf nonce;
	const bool peeked = ike_peek(data, size, &p);

	if (peeked && p.opens)
		must(p.nonce_len <= LIMIT_IKE_NONCE_MAX && p.nonce + p.nonce_len <= data + size);
	if (peeked && p.cookie)
		must(p.cookie + p.cookie_len <= data + size);
	if (size < IKE_HEADER_LEN || ike_msg_parse(data, size, &m) || m.has_sk ||
	    m.h.exchange != EXCHANGE_IKE_SA_INIT || m.h.is_response ||
	    !ike_msg_has(&m, HAS(SA) | HAS(KE) | HAS(NONCE), 0) ||
	    payload_nonce_parse(ike_msg_find(&m, PAYLOAD_NONCE), &nonce) || !peeked ||
	    p.spi_r_num != 0)
		return;
	must(p.opens && p.nonce == nonce.data && p.nonce_len == nonce.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ike_msg m;
	struct ike_notify n;

	fuzz_peek(data, size);

	if (size >= IKE_HEADER_LEN && !ike_msg_parse(data, size, &m)) {
		ike_msg_error(&m, &n);
		ike_msg_notify(&m, N_COOKIE, 0, &n);
		for (size_t i = 0; i < m.n; i++)
			fuzz_body(&m.p[i]);
		must(!m.has_sk || m.sk_body <= size);
	}
	// The same bytes as the inside of an Encrypted payload.
	if (size > 1) {
		m = (struct ike_msg){.bytes = data, .sk_first = data[0]};
		if (!ike_msg_parse_inner(&m, data + 1, size - 1))
			for (size_t i = 0; i < m.n; i++)
				fuzz_body(&m.p[i]);
	}
	return 0;
}
