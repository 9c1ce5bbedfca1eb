#include "control/ike/auth_psk.h"

#include "control/ike/report.h"

// AUTH of one side of the SA: the original initiator's or the responder's.
static int auth_of(const struct ike_sa *sa, bool of_initiator, const struct secret *psk,
		   const struct identity *id, uint8_t *out, size_t *len)
{
	const struct octets *message = of_initiator ? &sa->init_request : &sa->init_response;
	struct ike_buf octets = {message->data, message->len};

	return ike_auth_psk(sa->env->crypto, &sa->suite, psk,
			    of_initiator ? &sa->keys.pi : &sa->keys.pr, &octets,
			    of_initiator ? &sa->nr : &sa->ni, id, out, len);
}

static const struct secret *psk_of(struct step *st, const struct identity *remote)
{
	const struct secret *psk = sa_psk(st->sa, remote);
	struct text text;

	if (psk)
		return psk;
	text_init(&text);
	text_add(&text, "no pre-shared key is configured for ");
	text_add_identity(&text, &st->sa->local_id);
	text_add(&text, " (we) and ");
	text_add_identity(&text, remote);
	text_add(&text, " (peer)");
	act_report(st, IKE_REPORT_NO_PSK, IKE_SEV_ERROR, "%s", text.s);
	return NULL;
}

bool psk_build(struct step *st, struct ike_builder *b, const struct identity *remote)
{
	struct ike_sa *sa = st->sa;
	const struct secret *psk = psk_of(st, remote);
	uint8_t auth[IKE_PRF_MAX];
	size_t len = sizeof(auth);

	if (!psk || auth_of(sa, sa->original_initiator, psk, &sa->local_id, auth, &len))
		return false;
	build_auth(b, AUTH_SHARED_KEY, auth, len);
	return true;
}

bool psk_verify(struct step *st, const struct ike_auth_payload *auth)
{
	struct ike_sa *sa = st->sa;
	const struct secret *psk;
	uint8_t wanted[IKE_PRF_MAX];
	size_t len = sizeof(wanted);
	struct text text;

	text_init(&text);
	if (auth->method != AUTH_SHARED_KEY) {
		text_add_identity(&text, &sa->remote_id);
		act_report(st, IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR,
			   "%s authenticates by method %u, a pre-shared key (method 2) is wanted",
			   text.s, auth->method);
		return false;
	}
	psk = psk_of(st, &sa->remote_id);
	if (!psk)
		return false;
	if (!auth_of(sa, !sa->original_initiator, psk, &sa->remote_id, wanted, &len) &&
	    auth->len == len && bytes_equal_ct(auth->data, wanted, len))
		return true;
	text_add(&text, "AUTH of ");
	text_add_identity(&text, &sa->remote_id);
	text_add(&text, " does not verify: the pre-shared keys differ between it and us (");
	text_add_identity(&text, &sa->local_id);
	text_add(&text, ")");
	act_report(st, IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR, "%s", text.s);
	return false;
}
