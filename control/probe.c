#include "control/probe.h"

#include <errno.h>
#include <string.h>

static const struct question {
	const char *name;
	uint8_t times;
	uint16_t local_port, remote_port;
	enum { SIZE_ECHO, SIZE_SMALL, SIZE_LARGE, SIZE_FRAGMENT } size;
} questions[PROBE_QUESTIONS] = {
	[PROBE_ECHO] = {"echo", 5, 0, 0, SIZE_ECHO},
	[PROBE_ECHO_LARGE] = {"echo-large", 6, 0, 0, SIZE_ECHO},
	[PROBE_500] = {"500", 4, 500, 500, SIZE_SMALL},
	[PROBE_500_LARGE] = {"500-large", 2, 500, 500, SIZE_LARGE},
	[PROBE_500_FRAGMENT] = {"500-fragment", 2, 500, 500, SIZE_FRAGMENT},
	[PROBE_4500] = {"4500", 4, 4500, 4500, SIZE_SMALL},
	[PROBE_4500_LARGE] = {"4500-large", 2, 4500, 4500, SIZE_LARGE},
	[PROBE_4500_FRAGMENT] = {"4500-fragment", 2, 4500, 4500, SIZE_FRAGMENT},
	[PROBE_ALT] = {"alternative", 3, 4500, 0, SIZE_SMALL},
	[PROBE_OTHER_SOURCE] = {"500-other-source", 3, 0, 500, SIZE_SMALL},
	[PROBE_HOPS_500] = {"hops-500", PROBE_HOPS_MAX, 500, 500, SIZE_SMALL},
	[PROBE_HOPS_4500] = {"hops-4500", PROBE_HOPS_MAX, 4500, 4500, SIZE_SMALL},
};

enum {
	ECHO_LEN = 84, // bytes of IP packet, as ping's
	LARGE_LEN = 1100,
	FILL_MIN = 9, // what more a message may have, see probe_msg_build()
	MTU_MIN = 576,
};

// Twice as large as the port allows, then what common tunnels leave of it.
static uint16_t echo_len(uint16_t mtu, unsigned nth)
{
	static const uint16_t common[] = {1472, 1400, 1300, 1000};

	return nth < 2 || common[nth - 2] > mtu ? mtu : common[nth - 2];
}

// No two packets of one port have the same length; `at`: the packet's place.
static uint16_t ike_len(const struct probe_params *params, const struct question *q, unsigned at)
{
	unsigned len = params->smallest + FILL_MIN;

	if (q->size == SIZE_LARGE && len < LARGE_LEN)
		len = LARGE_LEN;
	else if (q->size == SIZE_FRAGMENT && len < params->mtu)
		len = params->mtu;
	return (uint16_t)(len + at);
}

static void add(struct probe *p, enum probe_question which, unsigned nth)
{
	const struct question *q = &questions[which];
	struct probe_packet *k = &p->packet[p->n];

	*k = (struct probe_packet){
		.question = which,
		.local_port = q->local_port,
		.remote_port = which == PROBE_ALT ? p->params.alt_port : q->remote_port,
		.seq = (uint16_t)p->n,
	};
	memcpy(k->spi, p->params.spi, 8);
	k->spi[7] = (uint8_t)p->n;
	if (which >= PROBE_HOPS_500)
		k->ttl = (uint8_t)(nth + 1);
	if (q->size == SIZE_ECHO)
		k->len = which == PROBE_ECHO ? ECHO_LEN : echo_len(p->params.mtu, nth);
	else
		k->len = ike_len(&p->params, q, p->n);
	p->n++;
}

void probe_init(struct probe *p, const struct probe_params *params, uint64_t now_us)
{
	*p = (struct probe){.params = *params, .due_us = now_us};
	if (p->params.mtu < MTU_MIN)
		p->params.mtu = MTU_MIN;
	for (unsigned nth = 0; nth < PROBE_HOPS_MAX; nth++)
		for (unsigned q = 0; q < PROBE_QUESTIONS; q++)
			if (nth < questions[q].times && (q != PROBE_ALT || params->alt_port) &&
			    p->n < LIMIT_PROBE_PACKETS)
				add(p, q, nth);
}

// Has a packet with a smaller TTL reached the peer?
static bool is_needless(const struct probe *p, const struct probe_packet *k)
{
	for (unsigned i = 0; k->ttl && i < p->next; i++)
		if (p->packet[i].question == k->question &&
		    (p->packet[i].fate == PROBE_ANSWERED ||
		     (p->packet[i].fate == PROBE_REFUSED &&
		      ip_addr_equal(&p->packet[i].by, &p->params.remote))))
			return true;
	return false;
}

const struct probe_packet *probe_next(struct probe *p, uint64_t now_us)
{
	if (now_us < p->due_us)
		return NULL;
	while (p->next < p->n) {
		struct probe_packet *k = &p->packet[p->next];
		const bool needless = is_needless(p, k);

		p->next++;
		if (needless)
			continue;
		k->fate = PROBE_SENT;
		k->sent_us = p->last_us = now_us;
		p->due_us = now_us + LIMIT_PROBE_SPACING_US;
		return k;
	}
	return NULL;
}

void probe_unsent(struct probe *p, const struct probe_packet *packet)
{
	p->packet[packet - p->packet].fate = PROBE_WAITS;
}

uint64_t probe_due_us(const struct probe *p)
{
	return p->next < p->n ? p->due_us : p->last_us + PROBE_WAIT_US;
}

bool probe_is_over(const struct probe *p, uint64_t now_us)
{
	if (p->next < p->n)
		return false;
	if (now_us >= p->last_us + PROBE_WAIT_US)
		return true;
	for (unsigned i = 0; i < p->n; i++)
		if (p->packet[i].fate == PROBE_SENT)
			return false;
	return true;
}

static void answered(struct probe_packet *k, uint64_t now_us, uint8_t ttl)
{
	if (k->fate != PROBE_SENT && k->fate != PROBE_REFUSED) // the first one counts
		return;
	k->fate = PROBE_ANSWERED;
	k->answered_us = now_us;
	k->answer_ttl = ttl;
}

bool probe_on_ike(struct probe *p, const uint8_t spi[8], const struct ip_addr *from,
		  uint64_t now_us)
{
	const unsigned at = spi[7];

	if (at >= p->next || memcmp(spi, p->packet[at].spi, 8) != 0 ||
	    !ip_addr_equal(from, &p->params.remote) || p->packet[at].remote_port == 0)
		return false;
	answered(&p->packet[at], now_us, 0);
	return true;
}

// The packet that an error quotes, or NULL.
static struct probe_packet *quoted(struct probe *p, const struct probe_icmp *icmp)
{
	if (!ip_addr_equal(&icmp->local, &p->params.local) ||
	    !ip_addr_equal(&icmp->remote, &p->params.remote))
		return NULL;
	for (unsigned i = 0; i < p->next; i++) {
		struct probe_packet *k = &p->packet[i];
		// Behind the header of UDP, and the marker (RFC 3948 2.2).
		const unsigned before = 8 + (k->local_port == 4500 ? 4 : 0);

		if (k->fate != PROBE_SENT)
			continue;
		if (icmp->quoted_echo) {
			if (k->remote_port == 0 && icmp->ident == p->params.ident &&
			    icmp->seq == k->seq)
				return k;
		} else if (k->remote_port == icmp->remote_port && k->remote_port != 0 &&
			   (k->local_port == 0 || k->local_port == icmp->local_port) &&
			   icmp->udp_len == k->len + before) {
			return k;
		}
	}
	return NULL;
}

bool probe_on_icmp(struct probe *p, const struct probe_icmp *icmp, const struct ip_addr *from,
		   uint64_t now_us)
{
	struct probe_packet *k;

	if (icmp->echo_reply) {
		if (icmp->ident != p->params.ident || icmp->seq >= p->next ||
		    p->packet[icmp->seq].remote_port != 0 ||
		    !ip_addr_equal(from, &p->params.remote))
			return false;
		answered(&p->packet[icmp->seq], now_us, icmp->ttl);
		return true;
	}
	k = quoted(p, icmp);
	if (!k)
		return false;
	k->fate = PROBE_REFUSED;
	k->why = icmp->why;
	k->by = *from;
	k->answered_us = now_us;
	return true;
}

// ---- what it says ----

static uint32_t median(uint32_t *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned k = i; k > 0 && v[k] < v[k - 1]; k--) {
			uint32_t t = v[k];

			v[k] = v[k - 1];
			v[k - 1] = t;
		}
	return n ? v[n / 2] : 0;
}

// Of echo-large only those as large as the port allows count here.
static bool counts(const struct probe *p, const struct probe_packet *k, enum probe_question q)
{
	return k->question == q && k->fate != PROBE_WAITS &&
	       (q != PROBE_ECHO_LARGE || k->len == p->params.mtu);
}

static struct doctor_probe sum(const struct probe *p, enum probe_question q)
{
	struct doctor_probe out = {.answer = DOCTOR_NOT_PROBED};
	uint32_t rtt[LIMIT_PROBE_PACKETS];

	for (unsigned i = 0; i < p->n; i++) {
		const struct probe_packet *k = &p->packet[i];

		if (!counts(p, k, q))
			continue;
		out.sent++;
		if (out.answer == DOCTOR_NOT_PROBED)
			out.answer = DOCTOR_SILENT;
		if (k->fate == PROBE_ANSWERED) {
			rtt[out.answered++] = (uint32_t)(k->answered_us - k->sent_us);
			out.answer = DOCTOR_ANSWERED;
			out.ttl = k->answer_ttl;
		} else if (k->fate == PROBE_REFUSED) {
			out.icmp = k->why;
			out.by = k->by;
		}
	}
	if (out.answered == 0 && out.icmp != DOCTOR_ICMP_NONE)
		out.answer = DOCTOR_REFUSED;
	out.rtt_us = median(rtt, out.answered);
	return out;
}

static struct doctor_hops hops(const struct probe *p, enum probe_question q)
{
	struct doctor_hops out = {0};

	for (unsigned i = 0; i < p->n; i++) {
		const struct probe_packet *k = &p->packet[i];
		bool peer = k->fate == PROBE_ANSWERED ||
			    (k->fate == PROBE_REFUSED && ip_addr_equal(&k->by, &p->params.remote));

		if (k->question != q || k->fate == PROBE_WAITS)
			continue;
		out.probed = true;
		out.arrived |= peer;
		if (!peer && k->fate != PROBE_REFUSED)
			continue;
		// The peer itself answers every TTL from its own on.
		if (k->ttl > out.last &&
		    !(peer && ip_addr_equal(&out.last_addr, &p->params.remote))) {
			out.last = k->ttl;
			out.last_addr = peer ? p->params.remote : k->by;
		}
	}
	return out;
}

void probe_facts(const struct probe *p, struct doctor_probe_facts *out)
{
	*out = (struct doctor_probe_facts){
		.echo = sum(p, PROBE_ECHO),
		.echo_large = sum(p, PROBE_ECHO_LARGE),
		.echo_large_len = p->params.mtu,
		.ike_500 = sum(p, PROBE_500),
		.ike_500_large = sum(p, PROBE_500_LARGE),
		.ike_500_fragment = sum(p, PROBE_500_FRAGMENT),
		.ike_4500 = sum(p, PROBE_4500),
		.ike_4500_large = sum(p, PROBE_4500_LARGE),
		.ike_4500_fragment = sum(p, PROBE_4500_FRAGMENT),
		.ike_alt = sum(p, PROBE_ALT),
		.alt_port = p->params.alt_port,
		.ike_500_other_source = sum(p, PROBE_OTHER_SOURCE),
		.hops_500 = hops(p, PROBE_HOPS_500),
		.hops_4500 = hops(p, PROBE_HOPS_4500),
	};
	for (unsigned i = 0; i < p->n; i++) {
		const struct probe_packet *k = &p->packet[i];

		if (k->remote_port == 0 && k->fate == PROBE_ANSWERED && k->len > out->echo_fits)
			out->echo_fits = k->len;
	}
}

const char *probe_question_name(enum probe_question q)
{
	return questions[q].name;
}

// ---- how much ----

static unsigned earned(uint64_t since_ms)
{
	const uint64_t n = since_ms * LIMIT_PROBE_PER_MINUTE / 60000;

	return n < LIMIT_PROBE_BUCKET ? (unsigned)n : LIMIT_PROBE_BUCKET;
}

int probe_budget_take(struct probe_budget *b, const struct ip_addr *peer, uint64_t now_ms,
		      uint64_t *wait_ms)
{
	unsigned at = LIMIT_PROBE_PEERS;

	*wait_ms = 60000;
	for (unsigned i = 0; i < LIMIT_PROBE_PEERS; i++) {
		unsigned left;

		if (b->bucket[i].peer.family != IP_NONE) {
			left = b->bucket[i].left + earned(now_ms - b->bucket[i].at_ms);
			if (left >= LIMIT_PROBE_BUCKET && !ip_addr_equal(&b->bucket[i].peer, peer))
				b->bucket[i].peer = (struct ip_addr){0};
		}
		if (ip_addr_equal(&b->bucket[i].peer, peer)) {
			at = i;
			break;
		}
		if (b->bucket[i].peer.family == IP_NONE && at == LIMIT_PROBE_PEERS)
			at = i;
	}
	if (at == LIMIT_PROBE_PEERS)
		return -EAGAIN;
	if (b->bucket[at].peer.family == IP_NONE) {
		b->bucket[at].left = LIMIT_PROBE_BUCKET;
	} else {
		const unsigned more = earned(now_ms - b->bucket[at].at_ms);
		const unsigned left = b->bucket[at].left + more;

		if (left < LIMIT_PROBE_PACKETS) {
			*wait_ms = (uint64_t)(LIMIT_PROBE_PACKETS - left) * 60000 /
				   LIMIT_PROBE_PER_MINUTE;
			return -EAGAIN;
		}
		b->bucket[at].left = left < LIMIT_PROBE_BUCKET ? left : LIMIT_PROBE_BUCKET;
	}
	b->bucket[at].peer = *peer;
	b->bucket[at].left -= LIMIT_PROBE_PACKETS;
	b->bucket[at].at_ms = now_ms;
	*wait_ms = 0;
	return 0;
}
