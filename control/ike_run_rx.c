#include "control/ike_run_priv.h"

#include <errno.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"

#define MESSAGES_PER_WAKE_UP 64
#define KEEPALIVE_TICK_S     1 // so exact is gateway.ike.keep_alive
#define NOTICE_EVERY_MS	     60000

static bool rate_ok(uint64_t *last_ms)
{
	uint64_t now = run_now_ms();

	if (*last_ms && now - *last_ms < NOTICE_EVERY_MS)
		return false;
	*last_ms = now;
	return true;
}

static bool limited(struct ike_run *run, const struct ip_endpoint *remote, const char *which)
{
	char text[IP_ADDR_TEXT_MAX];

	run->fate = RECORD_FATE_LIMITED;
	run->stats.rx_limited++;
	if (rate_ok(&run->limit_notice_ms))
		log_notice(LOG_IKE,
			   "IKE_SA_INIT from %s ignored: too many half-open IKE SAs %s (%u now)",
			   ip_addr_format(&remote->addr, text, sizeof(text)), which,
			   run->n_half_open);
	return false;
}

static void ask_for_cookie(struct ike_run *run, const struct ike_msg *m, const struct ike_event *ev)
{
	const struct ip_endpoint *local = &ev->local, *remote = &ev->remote;
	uint8_t reply[IKE_COOKIE_REPLY_LEN];
	const struct ike_event sent = {
		.local = *local,
		.remote = *remote,
		.bytes = reply,
		.len = sizeof(reply),
	};
	int rc;

	if (cookie_reply(&run->cookies, run->crypto, run_now_ms(), m, &remote->addr, reply)) {
		run->stats.rx_malformed++;
		run->fate = RECORD_FATE_MALFORMED;
		return;
	}
	run->stats.cookies_asked++;
	run_record_in(run, NULL, ev, RECORD_FATE_COOKIE);
	rc = ike_socket_send(&run->sock, local, remote, local->port == IKE_NATT_PORT, reply,
			     sizeof(reply));
	run_record_out(run, NULL, &sent, rc);
	if (rc)
		run->stats.tx_errors++;
	else
		run->stats.tx_messages++;
}

// The limits on what a stranger can make us hold stand here, before anything is allocated. False:
// the message is dealt with. *proved: the stranger has shown a cookie of ours.
static bool within_limits(struct ike_run *run, const struct ike_event *ev, bool *proved)
{
	const struct ip_endpoint *remote = &ev->remote;
	const struct config_ike *limits = run->config ? &run->config->gateway.ike : NULL;
	unsigned from = half_open_count(&run->unproved, &remote->addr);
	struct ike_msg m;
	bool shown;

	if (!limits) // nothing is configured: nobody is known
		return false;
	if (run->n_half_open >= limits->half_open)
		return limited(run, remote, "in total");
	if (ike_msg_parse(ev->bytes, ev->len, &m)) {
		run->stats.rx_malformed++;
		run->fate = RECORD_FATE_MALFORMED;
		return false;
	}
	*proved =
		cookie_proved(&run->cookies, run->crypto, run_now_ms(), &m, &remote->addr, &shown);
	run->stats.cookies_good += *proved;
	run->stats.cookies_bad += shown && !*proved;
	if (*proved)
		return true;
	if (run->n_half_open >= limits->cookie_threshold ||
	    from >= limits->cookie_threshold_per_source) {
		ask_for_cookie(run, &m, ev);
		return false;
	}
	return from < limits->half_open_per_source || limited(run, remote, "from this address");
}

static void notice_v1(struct ike_run *run, const struct ip_endpoint *remote, unsigned major)
{
	char text[IP_ADDR_TEXT_MAX];

	run->stats.rx_malformed++;
	if (rate_ok(&run->v1_notice_ms))
		log_notice(LOG_IKE,
			   "peer %s speaks IKEv%u, which is not supported: set version = 2 there",
			   ip_addr_format(&remote->addr, text, sizeof(text)), major);
}

// The IKE SA a message is for. NULL: none, or a stranger's IKE_SA_INIT (*fresh).
static struct run_sa *find(struct ike_run *run, const struct ike_header *h,
			   const struct ip_endpoint *remote, bool *fresh, bool *repeated)
{
	uint64_t spi_i = spi_key(h->spi_i), spi_r = spi_key(h->spi_r);
	struct run_sa *s;

	*fresh = *repeated = false;
	// The flag says who made the IKE SA: our own SPI is then the other one (RFC 7296 3.1).
	if (!h->from_original_initiator)
		return spi_i ? run_sa_by_spi(run, spi_i) : NULL;
	if (spi_r)
		return run_sa_by_spi(run, spi_r);
	// A repeated IKE_SA_INIT request still has no SPI of ours (RFC 7296 2.1).
	s = run_sa_by_peer(run, &remote->addr, spi_i);
	*repeated = s && !h->is_response && h->exchange == EXCHANGE_IKE_SA_INIT;
	if (!s && spi_i && !h->is_response && h->message_id == 0 &&
	    h->exchange == EXCHANGE_IKE_SA_INIT)
		*fresh = true;
	return s;
}

static struct run_sa *responder_create(struct ike_run *run, const struct ike_header *h,
				       const struct ike_event *ev)
{
	struct ike_sa *sa;
	struct run_sa *s;
	bool proved = false;

	run->fate = RECORD_FATE_LIMITED;
	if (run->shutting_down || !within_limits(run, ev, &proved))
		return NULL;
	if (ike_sa_create_responder(&run->env, &sa))
		return NULL;
	s = run_sa_add(run, sa, NULL);
	if (!s)
		return NULL;
	if (run_sa_half_open(s, &ev->remote.addr, spi_key(h->spi_i), proved)) {
		run_sa_drop(s);
		return NULL;
	}
	s->kill_at_ms = run_now_ms() + run->env.half_open_ms + 1000;
	run_sa_age_arm(s);
	return s;
}

static void message(struct ike_run *run, const uint8_t *bytes, size_t len,
		    const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	struct ike_event ev = {
		.type = IKE_EV_MESSAGE,
		.local = *local,
		.remote = *remote,
		.bytes = bytes,
		.len = len,
	};
	struct ike_header h;
	struct run_sa *s;
	bool fresh, repeated;

	run->stats.rx_messages++;
	// The version stands before the length that ike_header_parse checks: IKEv1 is named, not
	// called malformed.
	if (len > 17 && bytes[17] >> 4 == 1) {
		notice_v1(run, remote, 1);
		note_v1(run, bytes, local, remote);
		run_record_in(run, NULL, &ev, RECORD_FATE_IKEV1);
		return;
	}
	if (ike_header_parse(bytes, len, &h) || h.major != 2) {
		run->stats.rx_malformed++;
		run_record_in(run, NULL, &ev, RECORD_FATE_MALFORMED);
		return;
	}
	run->fate = RECORD_FATE_NO_SA;
	s = find(run, &h, remote, &fresh, &repeated);
	note_received(run, s, local, remote, repeated);
	if (!s && fresh)
		s = responder_create(run, &h, &ev);
	else if (!s && !run_port_answer(run, &h, remote) && !run_probe_answer(run, &h, remote))
		run->stats.rx_unknown_sa++;
	if (s)
		run_sa_step(s, &ev);
	if (run->fate != RECORD_FATE_COUNT) // nobody's, turned away, or an answer to a question
		run_record_in(run, s, &ev, run->fate);
}

static void on_icmp(void *ctx, const struct ike_socket_icmp *e)
{
	// What a probe's small TTLs call for says nothing of the way.
	if (!run_probe_is_on(ctx, &e->remote.addr))
		note_icmp(ctx, e);
}

static void on_readable(int fd, short what, void *arg)
{
	struct ike_run *run = arg;
	unsigned which = 0;

	(void)what;
	while (run->sock.fd[which] != fd)
		which++;
	run_enter(run);
	for (unsigned i = 0; i < MESSAGES_PER_WAKE_UP; i++) {
		struct ip_endpoint local, remote;
		size_t len = 0;
		int rc = ike_socket_receive(&run->sock, which, run->rx_buf, sizeof(run->rx_buf),
					    &len, &local, &remote, &run->rx_ttl);

		if (rc == -EBADMSG) {
			if (len != 1) // not a NAT keepalive
				run->stats.rx_malformed++;
			continue;
		}
		if (rc) {
			// Errors are those of messages sent before (ICMP). They wake us until they
			// have been taken, also when the reading above has not met them.
			if (rc != -EAGAIN || i == 0)
				ike_socket_errors(&run->sock, which, on_icmp, run);
			break;
		}
		message(run, run->rx_buf, len, &local, &remote);
	}
	run_leave(run);
}

// Since when nothing has gone to the peer, neither IKE nor ESP.
static uint64_t last_sent_ms(const struct run_sa *s, uint64_t now_ms)
{
	const struct run_child_sa *c;
	uint64_t last = s->last_tx_ms;

	TAILQ_FOREACH(c, &s->children, link)
	{
		struct dp_sa_stats st;

		if (dp_tunnel_out_stats(s->run->dp, c->child->tunnel, &st) || st.idle_ms > now_ms)
			continue;
		if (now_ms - st.idle_ms > last)
			last = now_ms - st.idle_ms;
	}
	return last;
}

// RFC 3948 4: only when nothing else has kept the mapping of a NAT before us alive.
static void on_keepalive(int fd, short what, void *arg)
{
	static const uint8_t byte = 0xff;
	struct ike_run *run = arg;
	uint64_t every = run->config ? run->config->gateway.ike.keep_alive_ms : 0;
	uint64_t now = run_now_ms();
	struct run_sa *s;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(s, &run->sas, link)
	{
		struct ike_sa_info info;

		if (every == 0 || !s->established || !s->behind_nat ||
		    now - last_sent_ms(s, now) < every)
			continue;
		ike_sa_info(s->sa, &info);
		ike_socket_send(&run->sock, &info.local, &info.remote, false, &byte, 1);
		s->last_tx_ms = now;
	}
}

int rx_start(struct ike_run *run)
{
	struct timeval every = {.tv_sec = KEEPALIVE_TICK_S};

	for (unsigned i = 0; i < IKE_SOCKETS; i++) {
		if (run->sock.fd[i] < 0)
			continue;
		run->readable[i] = event_new(run->base, run->sock.fd[i], EV_READ | EV_PERSIST,
					     on_readable, run);
		if (!run->readable[i] || event_add(run->readable[i], NULL))
			return -ENOMEM;
	}
	run->keepalive = event_new(run->base, -1, EV_PERSIST, on_keepalive, run);
	if (!run->keepalive || event_add(run->keepalive, &every))
		return -ENOMEM;
	return 0;
}

void rx_stop(struct ike_run *run)
{
	for (unsigned i = 0; i < IKE_SOCKETS; i++)
		if (run->readable[i])
			event_free(run->readable[i]);
	if (run->keepalive)
		event_free(run->keepalive);
}
