#include "control/guard_class.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
	FLOOD_PER_SECOND =
		100,	      // openers of one source: a gateway with as many tunnels paces itself
	FLOOD_OPENERS = 1000, // or so many without a cookie, ever
	SHOWN_OF = 10,	      // of ten that are asked, a peer shows far more than one cookie
	SCAN_MESSAGES = 50,   // a scanner comes, looks and goes
	PROBE_STEPS = 80,     // a peer's own probes, hop by hop: two ports, 20 hops, two at once
};

static enum guard_class say(char why[GUARD_WHY_MAX], enum guard_class c, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static enum guard_class say(char why[GUARD_WHY_MAX], enum guard_class c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, GUARD_WHY_MAX, fmt, ap);
	va_end(ap);
	return c;
}

static bool floods(const struct dp_guard_source *s)
{
	return s->cookies_shown < s->fate[GUARD_COOKIE] / SHOWN_OF &&
	       (s->per_second_max >= FLOOD_PER_SECOND || s->openers >= FLOOD_OPENERS);
}

static const char *range(unsigned lo, unsigned hi, char *buf, size_t size)
{
	if (lo == hi)
		snprintf(buf, size, "%u", lo);
	else
		snprintf(buf, size, "%u to %u", lo, hi);
	return buf;
}

static enum guard_class classify_peer(const struct dp_guard_source *s, char why[GUARD_WHY_MAX])
{
	char text[16];

	if (s->odd_ttl > PROBE_STEPS)
		return say(why, CLASS_FORGED_PEER,
			   "%" PRIu64 " messages with a %s of %s, its own come with %u", s->odd_ttl,
			   s->addr.family == IP_V6 ? "hop limit" : "TTL",
			   range(s->odd_ttl_min, s->odd_ttl_max, text, sizeof(text)), s->ttl_known);
	if (floods(s))
		return say(why, CLASS_FORGED_PEER,
			   "%" PRIu64 " openers, up to %" PRIu64 " a second; %" PRIu64
			   " were asked for a cookie, %" PRIu64 " showed one",
			   s->openers, s->per_second_max, s->fate[GUARD_COOKIE], s->cookies_shown);
	return say(why, CLASS_PEER, "in a remote_addrs");
}

enum guard_class guard_classify(const struct dp_guard_source *s, bool is_peer,
				char why[GUARD_WHY_MAX])
{
	const uint64_t n = s->packets - s->over;

	if (s->not_ike * 2 > n)
		return say(why, CLASS_NOT_IKE, "%" PRIu64 " of %" PRIu64 " messages are no IKE",
			   s->not_ike, n);
	if (is_peer)
		return classify_peer(s, why);
	if (s->fate[GUARD_KNOWN] > 0)
		return say(why, CLASS_PEER, "has an IKE SA with us");
	if (floods(s))
		return say(why, CLASS_FLOOD,
			   "%" PRIu64 " openers, up to %" PRIu64 " a second, %" PRIu64
			   " showed a cookie: the address may be a victim's",
			   s->openers, s->per_second_max, s->cookies_shown);
	if (s->responses * 2 > n)
		return say(why, CLASS_BACKSCATTER,
			   "%" PRIu64
			   " answers to what we did not ask: somebody forges our address",
			   s->responses);
	if (s->per_second_max >= FLOOD_PER_SECOND)
		return say(why, CLASS_FLOOD, "up to %" PRIu64 " messages a second",
			   s->per_second_max);
	if (s->v1 > 0)
		return say(why, CLASS_SCANNER,
			   "%" PRIu64 " of %" PRIu64
			   " messages are IKEv1, which no peer here speaks",
			   s->v1, n);
	if (n <= SCAN_MESSAGES && s->openers > 0 && s->cookies_shown == 0)
		return say(why, CLASS_SCANNER, "%" PRIu64 " messages and no IKE SA", n);
	return say(why, CLASS_STRANGER, "in no remote_addrs");
}

const char *guard_class_name(enum guard_class c)
{
	static const char *const names[] = {
		[CLASS_PEER] = "peer",	       [CLASS_FORGED_PEER] = "forged-peer",
		[CLASS_FLOOD] = "flood",       [CLASS_BACKSCATTER] = "backscatter",
		[CLASS_NOT_IKE] = "not-ike",   [CLASS_SCANNER] = "scanner",
		[CLASS_STRANGER] = "stranger",
	};

	return names[c];
}
