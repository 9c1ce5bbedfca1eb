// on_500_blocked: which port of the peer to begin with, and whether 500 answers again. What there
// is to decide is decided in control/ike/port_choice.h.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "control/ike/probe_msg.h"
#include "lib/log.h"

enum { PORT_TICK_S = 1 };

static uint32_t chance(struct ike_run *run)
{
	return (uint32_t)run_random(run, UINT32_MAX);
}

void run_port_begin(const struct conn *c, struct ip_endpoint *local, struct ip_endpoint *remote)
{
	remote->port = port_choice_begin(&c->ports, &remote->addr, remote->port);
	// RFC 7296 3.1, 2.23: what goes to 4500 has the marker and comes from there.
	if (remote->port == IKE_NATT_PORT || remote->port == c->ports.other)
		local->port = IKE_NATT_PORT;
}

void run_port_blocked(struct run_sa *s, const struct ip_endpoint *remote, unsigned silent)
{
	if (s->conn)
		port_choice_blocked(&s->conn->ports, &remote->addr, remote->port, silent,
				    run_now_ms(), chance(s->run));
}

void run_port_silent(struct run_sa *s)
{
	struct ike_sa_info info;
	char text[IP_ADDR_TEXT_MAX];

	ike_sa_info(s->sa, &info);
	if (s->conn && port_choice_silent(&s->conn->ports, info.remote.port))
		log_notice(LOG_IKE, "%s: UDP/%u to %s is silent too: back to %u", s->conn->ike.name,
			   info.remote.port, ip_addr_format(&info.remote.addr, text, sizeof(text)),
			   IKE_PORT);
}

// An IKE SA on the other port that would be on 500 if that had not been filtered. With MOBIKE (RFC
// 4555 3.3) or a NAT (RFC 7296 2.23) port 4500 is the right one in any case.
static bool belongs_on_500(const struct run_sa *s, uint16_t other)
{
	struct ike_sa_info info;

	ike_sa_info(s->sa, &info);
	return s->established && !s->superseded && info.original_initiator &&
	       ike_state_is_up(info.state) && info.remote.port == other &&
	       (other != IKE_NATT_PORT || !(info.mobike || info.encap));
}

static void back_to_500(struct ike_run *run, struct conn *c)
{
	const struct port_choice was = c->ports;
	char peer[IP_ADDR_TEXT_MAX], text[IKE_REPORT_TEXT_MAX];
	struct run_sa *s;

	if (!port_choice_healed(&c->ports))
		return;
	snprintf(text, sizeof(text), "UDP/%u to %s answers again after %llu s: using it", IKE_PORT,
		 ip_addr_format(&was.peer, peer, sizeof(peer)),
		 (unsigned long long)((run_now_ms() - was.since_ms) / 1000));
	log_notice(LOG_IKE, "%s: %s", c->ike.name, text);
	run_record_conn(run, c, ike_report_code_name(IKE_REPORT_PORT_BACK), text);
	if (run->observer)
		run->observer(run->observer_ctx, IKE_REPORT_PORT_BACK, IKE_SEV_NOTICE, c->ike.name,
			      0, text, NULL);
	c->probed_ms = 0; // what a probe has found before is the past
	TAILQ_FOREACH(s, &c->sas, conn_link)
	{
		if (!belongs_on_500(s, was.other))
			continue;
		// Another one beside it, and only then it goes: nothing is lost by trying.
		s->rekey_at_ms = run_now_ms() + run_random(run, 1000);
		run_sa_age_arm(s);
	}
}

void run_port_established(struct run_sa *s, const struct ike_sa_info *info)
{
	if (info->remote.port == IKE_PORT && s->conn->ports.other &&
	    ip_addr_equal(&info->remote.addr, &s->conn->ports.peer))
		back_to_500(s->run, s->conn);
}

// ---- asking ----

static void ask(struct ike_run *run, struct conn *c)
{
	const struct ip_endpoint remote = {c->ports.peer, IKE_PORT};
	struct ip_endpoint local = {.port = IKE_PORT};
	struct ike_builder b;
	struct error err;
	int rc;

	port_choice_asked(&c->ports, run_now_ms(), chance(run));
	if (run->crypto->random(run->crypto->ctx, c->port_check, sizeof(c->port_check)) ||
	    start_local(c, &remote.addr, &local, &err) ||
	    probe_msg_build(&b, run->crypto, &c->ike.ike, c->port_check, 0))
		return; // the next one is planned
	rc = ike_socket_send(&run->sock, &local, &remote, false, b.buf, b.w.len);
	run_record_out(run, NULL,
		       &(struct ike_event){
			       .local = local, .remote = remote, .bytes = b.buf, .len = b.w.len},
		       rc);
	if (rc)
		run->stats.tx_errors++;
	else
		run->stats.tx_messages++;
	log_debug(LOG_IKE, "%s: is UDP/%u still filtered? check %u", c->ike.name, IKE_PORT,
		  c->ports.checks);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct ike_run *run = arg;
	const uint64_t now = run_now_ms();

	(void)fd;
	(void)what;
	for (size_t i = 0; i < run->n_conns && !run->shutting_down; i++)
		if (port_choice_due(&run->conns[i]->ports, now))
			ask(run, run->conns[i]);
}

bool run_port_answer(struct ike_run *run, const struct ike_header *h,
		     const struct ip_endpoint *remote)
{
	static const uint8_t none[8];

	if (!h->is_response || h->exchange != EXCHANGE_IKE_SA_INIT || remote->port != IKE_PORT ||
	    memcmp(h->spi_i, none, sizeof(none)) == 0)
		return false;
	for (size_t i = 0; i < run->n_conns; i++) {
		struct conn *c = run->conns[i];

		if (c->ports.checks == 0 || memcmp(c->port_check, h->spi_i, 8) != 0 ||
		    !ip_addr_equal(&c->ports.peer, &remote->addr))
			continue;
		run->fate = RECORD_FATE_TAKEN;
		run_enter(run);
		back_to_500(run, c);
		run_leave(run);
		return true;
	}
	return false;
}

int run_port_create(struct ike_run *run)
{
	const struct timeval every = {.tv_sec = PORT_TICK_S};

	run->port_tick = event_new(run->base, -1, EV_PERSIST, on_tick, run);
	return !run->port_tick || event_add(run->port_tick, &every) ? -ENOMEM : 0;
}

void run_port_destroy(struct ike_run *run)
{
	if (run->port_tick)
		event_free(run->port_tick);
}
