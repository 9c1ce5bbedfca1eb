#include "control/vici_guard.h"

#include <inttypes.h>

#include "control/daemon.h"
#include "control/guard_class.h"

enum { SOURCES_SHOWN = 50 };

static void put_u64(struct vici_builder *b, const char *key, uint64_t value)
{
	vici_kvf(b, key, "%" PRIu64, value);
}

static void put_fates(struct vici_builder *b, const struct dp_guard_info *info)
{
	static const struct {
		const char *name, *help;
	} fates[] = {
#define X(id, name, help) {name, help},
		GUARD_FATES(X)
#undef X
	};

	vici_section(b, "messages");
	for (unsigned i = 0; i < GUARD_FATE_COUNT; i++) {
		vici_section(b, fates[i].name);
		put_u64(b, "messages", info->fate[i]);
		vici_kv(b, "help", fates[i].help);
		vici_section_end(b);
	}
	vici_section_end(b);
}

static void put_range(struct vici_builder *b, const char *key, unsigned lo, unsigned hi)
{
	if (lo == hi)
		vici_kvf(b, key, "%u", lo);
	else
		vici_kvf(b, key, "%u-%u", lo, hi);
}

static void put_source(struct vici_builder *b, const struct daemon *d,
		       const struct dp_guard_source *s)
{
	char text[IP_ADDR_TEXT_MAX + 4], why[GUARD_WHY_MAX];
	const enum guard_class class = guard_classify(s, ike_run_names(d->ike, &s->addr), why);
	struct ip_prefix prefix = {s->addr, 64};

	if (s->addr.family == IP_V6 && !s->is_peer)
		ip_prefix_format(&prefix, text, sizeof(text));
	else
		ip_addr_format(&s->addr, text, sizeof(text));
	vici_section(b, text);
	vici_kv(b, "class", guard_class_name(class));
	vici_kv(b, "why", why);
	put_u64(b, "messages", s->packets - s->over);
	put_u64(b, "messages-at-most", s->packets);
	put_u64(b, "bytes", s->bytes);
	put_u64(b, "per-second", s->per_second);
	put_u64(b, "per-second-max", s->per_second_max);
	put_u64(b, "first-ms", dp_guard_age_ms(d->dp, s->first_tsc));
	put_u64(b, "last-ms", dp_guard_age_ms(d->dp, s->last_tsc));
	put_u64(b, "openers", s->openers);
	put_u64(b, "cookies-asked", s->fate[GUARD_COOKIE]);
	put_u64(b, "cookies-shown", s->cookies_shown);
	put_u64(b, "passed",
		s->fate[GUARD_KNOWN] + s->fate[GUARD_PROVEN] + s->fate[GUARD_PEER] +
			s->fate[GUARD_STRANGER]);
	put_u64(b, "limited", s->fate[GUARD_LIMITED]);
	put_u64(b, "responses", s->responses);
	put_u64(b, "ikev1", s->v1);
	put_u64(b, "not-ike", s->not_ike);
	put_u64(b, "to-500", s->to_500);
	put_u64(b, "from-port", s->from_port);
	put_range(b, "length", s->len_min, s->len_max);
	put_range(b, "ttl", s->ttl_min, s->ttl_max);
	if (s->ttl_known)
		put_u64(b, "ttl-usual", s->ttl_known);
	if (s->odd_ttl) {
		put_u64(b, "ttl-odd-messages", s->odd_ttl);
		put_range(b, "ttl-odd", s->odd_ttl_min, s->odd_ttl_max);
	}
	if (s->version) {
		put_u64(b, "last-version", s->version);
		put_u64(b, "last-exchange", s->exchange);
	}
	if (s->vendor)
		vici_kvf(b, "vendor", "%08" PRIx32, s->vendor);
	vici_section_end(b);
}

enum vici_outcome vici_run_show_guard(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply)
{
	const struct daemon *d = s->server->d;
	struct dp_guard_source sources[SOURCES_SHOWN];
	struct dp_guard_info info;
	size_t n;

	(void)req;
	dp_guard_info(d->dp, &info);
	n = dp_guard_sources(d->dp, sources, SOURCES_SHOWN);
	vici_kv(reply, "enabled", info.on ? "yes" : "no");
	put_u64(reply, "peers", info.n_peers);
	put_u64(reply, "ike-sas", info.n_spis);
	put_u64(reply, "peers-limited", info.peer_limited);
	put_fates(reply, &info);
	put_u64(reply, "sources-known", n);
	vici_section(reply, "sources");
	for (size_t i = 0; i < n && i < SOURCES_SHOWN; i++)
		put_source(reply, d, &sources[i]);
	vici_section_end(reply);
	return VICI_REPLY;
}
