#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "test/sim/sim_internal.h"

void sim_broken(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->broken[0])
		return;
	va_start(ap, fmt);
	vsnprintf(s->broken, sizeof(s->broken), fmt, ap);
	va_end(ap);
}

static unsigned chance(struct sim *s, unsigned per_mille)
{
	return fake_random(&s->rng) % 1000 < per_mille;
}

void sim_init(struct sim *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->rng = seed;
	s->now_ms = 1000;
	s->delay_ms = 5;
	s->nat_addr = ip_addr_v4(SIM_NAT_ADDR);
	sim_peer_init(s, &s->a, "a", 1, seed * 2 + 1);
	sim_peer_init(s, &s->b, "b", 2, seed * 2 + 2);
	s->a.conf.local_id = s->b.conf.remote_id = "gw-a.example";
	s->b.conf.local_id = s->a.conf.remote_id = "gw-b.example";
	s->a.conf.local_ts = s->b.conf.remote_ts = "10.1.0.0/16";
	s->b.conf.local_ts = s->a.conf.remote_ts = "10.2.0.0/16";
}

struct ip_addr sim_addr(const struct sim *s, uint8_t last)
{
	struct ip_addr a = ip_addr_v4(0xc0000200u | last);

	if (s->ipv6) {
		ip_addr_parse("2001:db8::", &a);
		a.bytes[15] = last;
	}
	return a;
}

void sim_use_ipv6(struct sim *s)
{
	s->ipv6 = true;
	s->a.addr = s->a.addrs[0] = sim_addr(s, 1);
	s->b.addr = s->b.addrs[0] = sim_addr(s, 2);
	ip_addr_parse("2001:db8:ffff::1", &s->nat_addr);
}

void sim_use_crypto(struct sim *s, const struct ike_crypto *crypto)
{
	s->a.env.crypto = crypto;
	s->b.env.crypto = crypto;
}

void sim_set_certs(struct sim_peer *p, const struct fake_cred_spec *spec)
{
	fake_cred_init(&p->certs, spec);
	p->env.cred = &p->certs.vt;
	p->conf.local_auth = p->conf.remote_auth = AUTH_BY_SIGNATURE;
}

void sim_use_certs(struct sim *s, unsigned intermediates)
{
	struct sim_peer *p[] = {&s->a, &s->b};

	for (unsigned i = 0; i < 2; i++)
		sim_set_certs(p[i], &(struct fake_cred_spec){
					    .id = p[i]->conf.local_id,
					    .ca = {"root"},
					    .trusts = "root",
					    .intermediates = intermediates,
				    });
}

// ---- the wire ----

// Each address behind the NAT has ports of its own there.
static uint16_t nat_shift(const struct ip_addr *a)
{
	uint8_t last = a->bytes[a->family == IP_V6 ? 15 : 3];

	return (uint16_t)((last - 1) * 7); // none for 192.0.2.1
}

static struct ip_endpoint translate(const struct sim *s, const struct sim_peer *from,
				    struct ip_endpoint e)
{
	if (s->nat && from == &s->a) { // a's packets come from the NAT's address
		e.port = (uint16_t)(e.port + s->nat_port + nat_shift(&e.addr));
		e.addr = s->nat_addr;
	}
	if (s->forwarded && from == &s->b && e.port == IKE_NATT_PORT)
		e.port = s->forwarded;
	return e;
}

static struct ip_endpoint translate_back(const struct sim *s, const struct sim_peer *to,
					 struct ip_endpoint e)
{
	if (s->forwarded && to == &s->b && e.port == IKE_NATT_PORT)
		return (struct ip_endpoint){0};
	if (s->forwarded && to == &s->b && e.port == s->forwarded)
		e.port = IKE_NATT_PORT;
	if (s->nat && to == &s->a) {
		for (unsigned i = 0; ip_addr_equal(&e.addr, &s->nat_addr) && i < to->n_addrs; i++) {
			uint16_t port = (uint16_t)(e.port - s->nat_port - nat_shift(&to->addrs[i]));

			if (port == IKE_PORT || port == IKE_NATT_PORT)
				return (struct ip_endpoint){to->addrs[i], port};
		}
		// A mapping that is gone, or a's private address, leads nowhere.
		return (struct ip_endpoint){0};
	}
	return e;
}

static void wire_put(struct sim *s, struct sim_peer *from, const struct ike_action *a)
{
	uint64_t at = s->now_ms + s->delay_ms;

	if (s->jitter_ms)
		at += fake_random(&s->rng) % s->jitter_ms;
	for (size_t i = 0; i < SIM_WIRE; i++) {
		struct sim_packet *p = &s->wire[i];

		if (p->used)
			continue;
		*p = (struct sim_packet){
			.used = true,
			.at_ms = at,
			.order = s->order++,
			.from = translate(s, from, a->send.local),
			.dest = from == &s->a ? &s->b : &s->a,
			.marker = a->send.non_esp_marker,
			.bytes = malloc(a->send.len),
			.len = a->send.len,
		};
		p->to = translate_back(s, p->dest, a->send.remote);
		memcpy(p->bytes, a->send.bytes, a->send.len);
		if (chance(s, s->corrupt))
			p->bytes[fake_random(&s->rng) % p->len] ^=
				(uint8_t)(1u << fake_random(&s->rng) % 8);
		return;
	}
}

static bool is_dead(const struct sim *s, const struct ip_addr *a)
{
	return ip_addr_equal(&s->dead, a) &&
	       (s->dead_until_ms == 0 || s->now_ms < s->dead_until_ms);
}

static void wire_send(struct sim *s, struct sim_peer *from, const struct ike_action *a)
{
	struct ip_endpoint to = a->send.remote;

	if (s->tap)
		s->tap(s, from, a->send.bytes, a->send.len);
	if (s->verbose)
		printf("%8llu %s -> %s msg %u exch %u len %zu%s\n", (unsigned long long)s->now_ms,
		       from->name, a->send.is_response ? "resp" : "req", a->send.message_id,
		       a->send.exchange, a->send.len, a->send.is_repeat ? " (again)" : "");
	if (a->send.non_esp_marker != (a->send.local.port == IKE_NATT_PORT))
		sim_broken(s, "%s: non-ESP marker and port %u do not go together", from->name,
			   a->send.local.port);
	if (to.port == 0 || to.addr.family == IP_NONE)
		sim_broken(s, "%s: message to nowhere", from->name);
	if (s->down || !sim_owns(from, &a->send.local.addr) || is_dead(s, &a->send.local.addr) ||
	    is_dead(s, &a->send.remote.addr))
		return;
	if (s->blocked && (!s->blocked_to || s->blocked_to != from) &&
	    (a->send.local.port == s->blocked || to.port == s->blocked))
		return;
	if (s->drop_next > 0) {
		s->drop_next--;
		return;
	}
	if (chance(s, s->drop))
		return;
	wire_put(s, from, a);
	if (chance(s, s->dup))
		wire_put(s, from, a);
}

// ---- carrying actions out ----

// RFC 7296 2.1, RFC 7383 2.6.1: a retransmission MUST be bitwise identical, every fragment of it.
static void check_same(struct sim *s, const struct sim_peer *p, const uint8_t *bytes, size_t len,
		       const struct ike_action *a)
{
	size_t at = 0;

	for (unsigned i = 1; i < a->send.fragment && at + 28 <= len; i++) {
		struct reader r = reader_of(bytes + at + 24, 4);

		at += read_u32(&r);
	}
	if (at + a->send.len > len || memcmp(bytes + at, a->send.bytes, a->send.len) != 0)
		sim_broken(s, "%s: a repeated message differs from the first", p->name);
	if (a->send.fragment == a->send.fragments && at + a->send.len != len)
		sim_broken(s, "%s: a message is repeated with fewer fragments", p->name);
}

static void check_repeat(struct sim *s, struct sim_peer *p, struct sim_sa *x,
			 const struct ike_action *a)
{
	uint8_t **bytes = a->send.is_response ? &x->reply.bytes : &x->request.bytes;
	size_t *len = a->send.is_response ? &x->reply.len : &x->request.len;

	if (a->send.is_repeat) {
		check_same(s, p, *bytes, *len, a);
		return;
	}
	if (a->send.fragment > 1) {
		*bytes = realloc(*bytes, *len + a->send.len);
		memcpy(*bytes + *len, a->send.bytes, a->send.len);
		*len += a->send.len;
		return;
	}
	if (!a->send.is_response) {
		uint32_t wanted = x->any_request ? x->last_request_id + 1 : 0;
		bool init_again = a->send.exchange == 34 && a->send.message_id == 0;

		if (a->send.message_id != wanted && !init_again)
			sim_broken(s, "%s: request %u where %u is due", p->name, a->send.message_id,
				   wanted);
		x->any_request = true;
		x->last_request_id = a->send.message_id;
	}
	free(*bytes);
	*len = a->send.len;
	*bytes = malloc(*len);
	memcpy(*bytes, a->send.bytes, *len);
}

static void take_refusal(struct sim *s, struct sim_peer *p, const struct ike_action *a)
{
	const struct ike_refusal *r = a->report.refusal;
	char text[IKE_REPORT_TEXT_MAX];

	if (strcmp(refusal_text(r, text), a->report.text) != 0)
		sim_broken(s, "%s: the report is not the refusal's text", p->name);
	if (r->code != a->report.code || a->report.severity != IKE_SEV_ERROR)
		sim_broken(s, "%s: report and refusal differ", p->name);
	if (p->conf.psk && !s->key_may_show &&
	    memmem(r, sizeof(*r), p->conf.psk, strlen(p->conf.psk)))
		sim_broken(s, "%s: a refusal holds the key", p->name);
	if (!p->refusal)
		p->refusal = malloc(sizeof(*p->refusal));
	if (p->refusal)
		*p->refusal = *r;
}

static void take_report(struct sim *s, struct sim_peer *p, const struct ike_action *a)
{
	struct sim_report *r;

	if (s->verbose)
		printf("%8llu %s [%s] %s\n", (unsigned long long)s->now_ms, p->name,
		       ike_report_code_name(a->report.code), a->report.text);
	if (strchr(a->report.text, '\n') || strlen(a->report.text) >= IKE_REPORT_TEXT_MAX)
		sim_broken(s, "%s: a report is not one line", p->name);
	if (p->conf.psk && !s->key_may_show && strstr(a->report.text, p->conf.psk))
		sim_broken(s, "%s: a report shows the key", p->name);
	if (a->report.refusal)
		take_refusal(s, p, a);
	if (p->n_reports == SIM_REPORTS)
		return;
	if ((p->n_reports & (p->n_reports - 1)) == 0) // at every power of two
		p->report = realloc(p->report, (2 * p->n_reports + 1) * sizeof(*p->report));
	r = &p->report[p->n_reports++];
	r->code = a->report.code;
	r->severity = a->report.severity;
	r->at_ms = s->now_ms;
	snprintf(r->text, sizeof(r->text), "%s", a->report.text);
}

static void sim_sa_close(struct sim_sa *x)
{
	ike_sa_destroy(x->sa);
	x->sa = NULL;
	x->deadline_ms = IKE_NEVER;
	free(x->request.bytes);
	free(x->reply.bytes);
	x->request.bytes = x->reply.bytes = NULL;
}

// After -ENOMEM the SA is destroyed as it is; what it had installed goes with it.
static void drop_without_a_word(struct sim_peer *p, struct sim_sa *x)
{
	struct ike_child_info info;

	for (size_t i = 0; !ike_sa_child_info(x->sa, i, &info); i++)
		for (size_t k = 0; k < SIM_CHILDREN; k++)
			if (p->children[k].live && p->children[k].in.spi == info.spi_in)
				sim_child_remove(p, info.spi_in, info.spi_out, false);
	sim_sa_close(x);
}

static struct sim_sa *slot_new(struct sim_peer *p)
{
	for (size_t i = 0; i < SIM_SAS; i++)
		if (!p->sa[i].sa) {
			p->sa[i] = (struct sim_sa){.deadline_ms = IKE_NEVER};
			if (i >= p->n_sas)
				p->n_sas = i + 1;
			return &p->sa[i];
		}
	return NULL;
}

static struct sim_sa *slot_of(struct sim_peer *p, const struct ike_sa *sa)
{
	for (size_t i = 0; i < p->n_sas; i++)
		if (p->sa[i].sa == sa)
			return &p->sa[i];
	return NULL;
}

static void take_successor(struct sim_peer *p, struct ike_action *a)
{
	struct sim_sa *x = slot_new(p);

	if (!x) {
		sim_broken(p->sim, "%s: too many IKE SAs", p->name);
		return;
	}
	x->sa = a->successor;
	a->successor = NULL;
}

static void step(struct sim_peer *p, struct sim_sa *x, struct ike_event *ev);

static void wake(struct sim_peer *p, const struct ike_sa *sa)
{
	struct ike_event ev = {.type = IKE_EV_TIMER};
	struct sim_sa *x = sa ? slot_of(p, sa) : NULL;

	if (x)
		step(p, x, &ev);
}

// False: the SA is closed.
static bool carry_out(struct sim_peer *p, struct sim_sa *x, struct ike_action *a)
{
	struct sim *s = p->sim;

	switch (a->type) {
	case IKE_ACT_SEND:
		check_repeat(s, p, x, a);
		p->sent++;
		wire_send(s, p, a);
		break;
	case IKE_ACT_ARM_TIMER:
		x->deadline_ms = a->deadline_ms;
		if (a->deadline_ms <= s->now_ms)
			sim_broken(s, "%s: a deadline in the past", p->name);
		break;
	case IKE_ACT_INSTALL_CHILD:
		sim_child_install(p, a->install);
		break;
	case IKE_ACT_USE_CHILD:
		sim_child_use(p, a->use);
		break;
	case IKE_ACT_REMOVE_CHILD:
		sim_child_remove(p, a->remove.spi_in, a->remove.spi_out, a->remove.linger);
		break;
	case IKE_ACT_MOVE_CHILD:
		sim_child_move(p, a->move.spi_in, a->move.spi_out, &a->move.local, &a->move.remote);
		break;
	case IKE_ACT_CHILD_FAILED:
		p->failed++;
		break;
	case IKE_ACT_PORT:
		port_choice_blocked(&p->ports, &a->port.remote.addr, a->port.remote.port,
				    a->port.silent, s->now_ms, 0);
		break;
	case IKE_ACT_WAIT:
		p->waits++;
		p->last_wait = a->wait;
		break;
	case IKE_ACT_SUCCESSOR:
		take_successor(p, a);
		break;
	case IKE_ACT_ONLY_SA:
		break;
	case IKE_ACT_ADOPT:
		if (a->adopt.from != x->sa && a->adopt.to != x->sa)
			sim_broken(s, "%s: an SA meddles with two others", p->name);
		break;
	case IKE_ACT_REPORT:
		take_report(s, p, a);
		break;
	case IKE_ACT_CLOSED:
		return false;
	}
	return true;
}

static void step(struct sim_peer *p, struct sim_sa *x, struct ike_event *ev)
{
	struct sim *s = p->sim;
	struct ike_actions acts = {0};
	struct ike_sa *woken[4] = {NULL};
	bool closed = false;
	unsigned n_woken = 0;
	int err;

	sim_flow_send(s);
	ev->now_ms = s->now_ms;
	if (s->around)
		s->around(true);
	err = ike_step(x->sa, ev, &acts);
	if (s->around)
		s->around(false);
	if (err && (!s->around || err != -ENOMEM))
		sim_broken(s, "%s: ike_step failed", p->name);
	for (size_t i = 0; i < acts.n; i++) {
		struct ike_action *a = &acts.a[i];

		if (closed)
			sim_broken(s, "%s: an action after CLOSED", p->name);
		if (a->type == IKE_ACT_SUCCESSOR && n_woken < 4)
			woken[n_woken++] = a->successor;
		if (a->type == IKE_ACT_ADOPT && n_woken < 4)
			woken[n_woken++] = a->adopt.to;
		if (!carry_out(p, x, a))
			closed = true;
	}
	ike_actions_fini(&acts);
	if (err)
		drop_without_a_word(p, x);
	else if (closed)
		sim_sa_close(x);
	for (unsigned i = 0; i < n_woken; i++)
		wake(p, woken[i]);
	sim_flow_send(s);
}

// As ike_run does: by our own SPI, or, for a first request, by the peer's.
static struct sim_sa *find(struct sim_peer *p, const struct ike_header *h)
{
	static const uint8_t zero[8];
	bool first = h->exchange == 34 && !h->is_response && memcmp(h->spi_r, zero, 8) == 0;

	for (size_t i = 0; i < p->n_sas; i++) {
		struct ike_sa_info info;

		if (!p->sa[i].sa)
			continue;
		ike_sa_info(p->sa[i].sa, &info);
		if (info.original_initiator == h->from_original_initiator)
			continue;
		if (first || info.original_initiator) {
			if (memcmp(info.spi_i, h->spi_i, 8) == 0)
				return &p->sa[i];
		} else if (memcmp(info.spi_r, h->spi_r, 8) == 0) {
			return &p->sa[i];
		}
	}
	return NULL;
}

static void check_circles(struct sim *s, struct sim_sa *x)
{
	if (s->now_ms - x->timers_since_ms > 100) {
		x->timers_since_ms = s->now_ms;
		x->timers = 0;
	}
	if (++x->timers > 50)
		sim_broken(s, "more than 50 timers in 100 ms");
}

static void deliver(struct sim *s, struct sim_packet *pkt)
{
	struct sim_peer *p = pkt->dest;
	struct ike_event ev = {.type = IKE_EV_MESSAGE, .local = pkt->to, .remote = pkt->from};
	struct ike_header h;
	struct sim_sa *x;

	sim_peer_configure(p);
	ev.bytes = pkt->bytes;
	ev.len = pkt->len;
	if (!sim_owns(p, &pkt->to.addr))
		return; // not for this peer (any more): the NAT's mapping is gone
	if (ike_header_parse(pkt->bytes, pkt->len, &h))
		return;
	x = find(p, &h);
	if (!x) {
		static const uint8_t zero[8];

		if (h.exchange != 34 || h.is_response || memcmp(h.spi_r, zero, 8) != 0 ||
		    h.major != 2)
			return;
		x = slot_new(p);
		if (!x || ike_sa_create_responder(&p->env, &x->sa))
			return;
	}
	step(p, x, &ev);
	(void)s;
}

void sim_inject(struct sim *s, struct sim_peer *to, const uint8_t *bytes, size_t len)
{
	struct sim_peer *from = to == &s->a ? &s->b : &s->a;
	struct sim_packet pkt = {
		.dest = to,
		.from = {from->addr, IKE_PORT},
		.to = {to->addr, IKE_PORT},
		.bytes = malloc(len > 0 ? len : 1),
		.len = len,
	};

	if (len > 0)
		memcpy(pkt.bytes, bytes, len);
	if (s->spoof.port) {
		pkt.from = s->spoof;
		pkt.to.port = IKE_NATT_PORT;
	}
	deliver(s, &pkt);
	free(pkt.bytes);
}

void sim_run_until(struct sim *s, uint64_t ms)
{
	for (;;) {
		struct sim_packet *pkt = NULL;
		struct sim_peer *timer_peer = NULL;
		struct sim_sa *timer = NULL;
		struct sim_peer *peers[] = {&s->a, &s->b};
		uint64_t next = ms + 1;
		bool data = sim_flow_next_ms(s) < next;

		if (data)
			next = sim_flow_next_ms(s);
		for (size_t i = 0; i < SIM_WIRE; i++) {
			struct sim_packet *w = &s->wire[i];

			if (w->used && (w->at_ms < next ||
					(pkt && w->at_ms == next && w->order < pkt->order))) {
				pkt = w;
				next = w->at_ms;
				data = false;
			}
		}
		for (size_t k = 0; k < 2; k++)
			for (size_t i = 0; i < peers[k]->n_sas; i++)
				if (peers[k]->sa[i].sa && peers[k]->sa[i].deadline_ms < next) {
					timer_peer = peers[k];
					timer = &peers[k]->sa[i];
					next = timer->deadline_ms;
					data = false;
				}
		if (next > ms || s->broken[0])
			break;
		if (next > s->now_ms)
			s->now_ms = next;
		if (data) {
			sim_flow_deliver(s);
		} else if (timer) {
			struct ike_event ev = {
				.type = IKE_EV_TIMER,
				.last_inbound_esp_ms =
					s->esp_alive ? s->now_ms : timer_peer->last_inbound_esp_ms,
				.under_attack = s->under_attack,
				.last_loss_ms = s->losing ? s->now_ms : 0,
			};

			timer->deadline_ms = IKE_NEVER;
			check_circles(s, timer);
			step(timer_peer, timer, &ev);
		} else {
			struct sim_packet copy = *pkt;

			pkt->used = false;
			pkt->bytes = NULL;
			deliver(s, &copy);
			free(copy.bytes);
		}
	}
	if (s->now_ms < ms)
		s->now_ms = ms;
}

// ---- what a test does ----

struct ike_sa *sim_initiate(struct sim *s, struct sim_peer *p)
{
	struct sim_peer *other = p == &s->a ? &s->b : &s->a;
	struct ip_endpoint local = {p->addr, IKE_PORT}, remote = {other->addr, IKE_PORT};
	struct ike_event ev = {.type = IKE_EV_INITIATE};
	struct sim_sa *x = slot_new(p);

	sim_peer_configure(p);
	remote.port = port_choice_begin(&p->ports, &remote.addr, IKE_PORT);
	local.port = remote.port == IKE_PORT ? IKE_PORT : IKE_NATT_PORT;
	if (s->nat && p == &s->b) { // b reaches a through the NAT
		remote = translate(s, &s->a, remote);
	}
	if (!x || ike_sa_create_initiator(&p->env, &p->conn, &local, &remote, &x->sa))
		return NULL;
	ev.child = p->conf.childless ? NULL : &p->child[0];
	step(p, x, &ev);
	return x->sa;
}

static void step_all(struct sim_peer *p, enum ike_event_type type)
{
	for (size_t i = 0; i < p->n_sas; i++) {
		struct ike_event ev = {.type = type};

		if (p->sa[i].sa)
			step(p, &p->sa[i], &ev);
	}
}

void sim_terminate(struct sim *s, struct sim_peer *p)
{
	(void)s;
	step_all(p, IKE_EV_TERMINATE);
}

void sim_go_on(struct sim *s, struct sim_peer *p)
{
	(void)s;
	step_all(p, IKE_EV_GO_ON);
}

void sim_check(struct sim *s, struct sim_peer *p)
{
	(void)s;
	step_all(p, IKE_EV_CHECK);
}

void sim_esp_from(struct sim *s, struct sim_peer *p, uint32_t spi_in,
		  const struct ip_endpoint *from)
{
	(void)s;
	for (size_t i = 0; i < p->n_sas; i++) {
		struct ike_event ev = {
			.type = IKE_EV_PEER_MOVED, .spi_in = spi_in, .remote = *from};

		if (p->sa[i].sa)
			step(p, &p->sa[i], &ev);
	}
}

void sim_addresses(struct sim *s, struct sim_peer *p, const uint8_t *last, unsigned n)
{
	p->n_addrs = n;
	for (unsigned i = 0; i < n; i++)
		p->addrs[i] = sim_addr(s, last[i]);
	if (n > 0)
		p->addr = p->addrs[0];
	step_all(p, IKE_EV_ADDRESSES);
}

void sim_rekey(struct sim *s, struct sim_peer *p)
{
	(void)s;
	step_all(p, IKE_EV_REKEY);
}

void sim_rekey_child(struct sim *s, struct sim_peer *p)
{
	(void)s;
	for (size_t i = 0; i < p->n_sas; i++) {
		struct ike_event ev = {.type = IKE_EV_REKEY_CHILD};
		struct ike_child_info info;

		for (size_t k = 0; p->sa[i].sa && !ike_sa_child_info(p->sa[i].sa, k, &info); k++) {
			if (info.conf != &p->child[0] || info.state != IKE_CHILD_INSTALLED)
				continue;
			ev.spi_in = info.spi_in;
			step(p, &p->sa[i], &ev);
			break;
		}
	}
}

void sim_create_child(struct sim *s, struct sim_peer *p, unsigned which)
{
	struct ike_event ev = {.type = IKE_EV_CREATE_CHILD, .child = &p->child[which]};
	struct ike_sa *sa = sim_sa(p, IKE_ST_ESTABLISHED);

	(void)s;
	if (sa)
		step(p, slot_of(p, sa), &ev);
}

void sim_event(struct sim_peer *p, struct ike_event *ev)
{
	struct ike_sa *sa = sim_sa(p, IKE_ST_ESTABLISHED);

	if (sa)
		step(p, slot_of(p, sa), ev);
}

void sim_terminate_child(struct sim *s, struct sim_peer *p)
{
	(void)s;
	for (size_t i = 0; i < p->n_sas; i++) {
		struct ike_event ev = {.type = IKE_EV_TERMINATE_CHILD};
		struct ike_child_info info;

		if (!p->sa[i].sa || ike_sa_child_info(p->sa[i].sa, 0, &info))
			continue;
		ev.spi_in = info.spi_in;
		step(p, &p->sa[i], &ev);
		return;
	}
}

static void peer_fini(struct sim *s, struct sim_peer *p)
{
	for (size_t i = 0; i < p->n_sas; i++) {
		struct ike_child_info info;

		if (!p->sa[i].sa)
			continue;
		while (!ike_sa_child_info(p->sa[i].sa, 0, &info)) {
			// What ike_run does when it drops an SA without a word.
			struct ike_event ev = {.type = IKE_EV_TERMINATE};

			s->down = true;
			step(p, &p->sa[i], &ev);
			if (!p->sa[i].sa)
				break;
			s->now_ms += 200000;
			ev.type = IKE_EV_TIMER;
			step(p, &p->sa[i], &ev);
			if (!p->sa[i].sa)
				break;
		}
		if (p->sa[i].sa)
			sim_sa_close(&p->sa[i]);
	}
	for (size_t i = 0; i < sizeof(p->spi) / sizeof(p->spi[0]); i++)
		if (p->spi[i].state != SPI_FREE)
			sim_broken(s, "%s: SPI %08x has leaked", p->name, p->spi[i].spi);
	if (p->fake.live_ke)
		sim_broken(s, "%s: %u key exchanges have leaked", p->name, p->fake.live_ke);
	secret_fini(&p->psk);
	free(p->report);
	p->report = NULL;
	free(p->refusal);
	p->refusal = NULL;
}

bool sim_fini(struct sim *s)
{
	s->flow = false;
	peer_fini(s, &s->a);
	peer_fini(s, &s->b);
	for (size_t i = 0; i < SIM_WIRE; i++)
		free(s->wire[i].bytes);
	return !s->broken[0];
}
