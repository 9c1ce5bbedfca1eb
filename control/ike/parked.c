#include "control/ike/parked.h"

#include <errno.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/secret.h"

int parked_keep(struct ike_sa *sa, const struct ike_msg *m, const uint8_t *plain, size_t len,
		const struct ike_event *ev)
{
	struct parked *p = &sa->parked;
	struct writer w = writer_of(p->header + IKE_HEADER_LEN - 4, 4);

	if (octets_set(&p->plain, plain, len))
		return -ENOMEM;
	// A message of its own, without payloads: reports read it.
	memcpy(p->header, m->bytes, IKE_HEADER_LEN);
	write_u32(&w, IKE_HEADER_LEN);
	p->held = true;
	p->first = m->sk_first;
	p->local = ev->local;
	p->remote = ev->remote;
	if (p->until_ms == 0)
		p->until_ms = ev->now_ms + LIMIT_IKE_PARKED_MS;
	return 0;
}

int parked_take(struct ike_sa *sa, uint64_t now_ms, struct parked *out, struct ike_event *ev,
		struct ike_msg *m)
{
	if (!sa->parked.held)
		return -ENOENT;
	*out = sa->parked;
	sa->parked = (struct parked){.until_ms = out->until_ms};
	*ev = (struct ike_event){
		.type = IKE_EV_MESSAGE,
		.now_ms = now_ms,
		.local = out->local,
		.remote = out->remote,
		.bytes = out->header,
		.len = IKE_HEADER_LEN,
	};
	*m = (struct ike_msg){.bytes = out->header, .len = IKE_HEADER_LEN, .sk_first = out->first};
	if (ike_header_parse(out->header, IKE_HEADER_LEN, &m->h))
		return -EBADMSG;
	return ike_msg_parse_inner(m, out->plain.data, out->plain.len);
}

void parked_fini(struct parked *p)
{
	if (p->plain.data)
		wipe(p->plain.data, p->plain.len);
	octets_fini(&p->plain);
	*p = (struct parked){0};
}
