#include "control/ike/auth_psk.h"

#include "control/ike/refuse.h"

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
	struct ike_refusal *r;

	if (psk)
		return psk;
	r = refuse_new(st, IKE_REPORT_NO_PSK,
		       "no pre-shared key is configured for these identities");
	if (r && !r->brief)
		r->remote_id = *remote;
	act_refusal(st, r);
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

	if (auth->method != AUTH_SHARED_KEY) {
		act_refusal(st, refuse_new(st, IKE_REPORT_AUTH_FAILED,
					   "the peer authenticates by method %u, a pre-shared key "
					   "(method 2) is wanted",
					   auth->method));
		return false;
	}
	psk = psk_of(st, &sa->remote_id);
	if (!psk)
		return false;
	if (!auth_of(sa, !sa->original_initiator, psk, &sa->remote_id, wanted, &len) &&
	    auth->len == len && bytes_equal_ct(auth->data, wanted, len))
		return true;
	act_refusal(st, refuse_new(st, IKE_REPORT_AUTH_FAILED,
				   "the peer's AUTH does not verify: the pre-shared keys differ"));
	return false;
}
