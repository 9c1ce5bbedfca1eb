// Probes of peers: control/probe.h on real sockets. What goes to and comes from 500 and 4500 uses
// the sockets of IKE, so that it is seen and filtered as IKE is.
//
// Of each question the first message and its answer stand among the peer's IKE headers in the
// flight recorder. All of them would push out what was before, which is what one wants to see.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "control/ike/probe_msg.h"
#include "control/probe.h"
#include "control/probe_socket.h"
#include "lib/log.h"

enum { MESSAGES_AT_ONCE = 64 };

struct run_probe {
	TAILQ_ENTRY(run_probe) link;
	struct ike_run *run;
	struct conn *conn; // counted
	struct probe probe;
	struct probe_socket sock;
	struct event *timer, *icmp, *udp;
	struct ike_run_probe_watch watch;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void probe_free(struct run_probe *p)
{
	if (p->timer)
		event_free(p->timer);
	if (p->icmp)
		event_free(p->icmp);
	if (p->udp)
		event_free(p->udp);
	probe_socket_close(&p->sock);
	run_conn_put(p->run, p->conn);
	free(p);
}

static void keep_facts(struct run_probe *p)
{
	struct conn *c = p->conn;
	struct doctor_probe_facts *f = malloc(sizeof(*f));

	if (!f)
		return; // as if it had not been
	probe_facts(&p->probe, f);
	if (c->probed)
		f->ttl_usual = c->probed->ttl_usual ? c->probed->ttl_usual : c->probed->echo.ttl;
	free(c->probed);
	c->probed = f;
	c->probed_ms = run_now_ms();
}

static void tell(const struct run_probe *p)
{
	struct doctor_probe_facts f;
	char text[200], peer[IP_ADDR_TEXT_MAX];

	probe_facts(&p->probe, &f);
	snprintf(text, sizeof(text),
		 "%s probed: answers to %u of %u echoes, %u of %u IKE_SA_INITs to 500, %u of %u to "
		 "4500",
		 ip_addr_format(&p->probe.params.remote, peer, sizeof(peer)), f.echo.answered,
		 f.echo.sent, f.ike_500.answered, f.ike_500.sent, f.ike_4500.answered,
		 f.ike_4500.sent);
	log_info(LOG_API, "%s: %s", p->conn->ike.name, text);
	run_record_conn(p->run, p->conn, "probed", text);
}

// The last one of the peer's counts: the answer is in the API before anybody is told.
static void finish(struct run_probe *p)
{
	struct ike_run *run = p->run;
	struct ike_run_probe_watch w = p->watch;

	TAILQ_REMOVE(&run->probes, p, link);
	run->n_probes--;
	keep_facts(p);
	tell(p);
	probe_free(p);
	if (w.done)
		w.done(w.ctx);
}

static bool is_recorded(const struct probe *p, const struct probe_packet *k)
{
	for (const struct probe_packet *before = p->packet; before < k; before++)
		if (before->question == k->question)
			return false;
	return true;
}

// Linux did not take it: that is evidence, whoever asked.
static void note_refused(struct run_probe *p, const struct probe_packet *k, int rc)
{
	struct peer_note *n = peer_notes_get(p->run->notes, &p->probe.params.remote);

	if (n && k->remote_port)
		peer_note_sent(n, k->local_port, rc, run_now_ms());
}

static int send_ike(struct run_probe *p, const struct probe_packet *k)
{
	struct ike_run *run = p->run;
	const struct probe_params *with = &p->probe.params;
	const struct ip_endpoint local = {with->local, k->local_port};
	const struct ip_endpoint remote = {with->remote, k->remote_port};
	struct ike_builder b;
	int rc = probe_msg_build(&b, run->crypto, &p->conn->ike.ike, k->spi, k->len);

	if (rc)
		return rc;
	if (k->local_port == 0)
		rc = probe_socket_udp(&p->sock, &remote, b.buf, b.w.len);
	else
		rc = ike_socket_send_ttl(&run->sock, &local, &remote,
					 k->local_port == IKE_NATT_PORT, b.buf, b.w.len, k->ttl);
	if (is_recorded(&p->probe, k))
		run_record_out(
			run, NULL,
			&(struct ike_event){
				.local = local, .remote = remote, .bytes = b.buf, .len = b.w.len},
			rc);
	return rc;
}

static void send_packet(struct run_probe *p, const struct probe_packet *k)
{
	int rc;

	if (k->remote_port == 0)
		rc = probe_socket_echo(&p->sock, &p->probe.params.remote, p->probe.params.ident,
				       k->seq, k->len);
	else
		rc = send_ike(p, k);
	if (rc == 0)
		return;
	probe_unsent(&p->probe, k);
	note_refused(p, k, rc);
	log_debug(LOG_NET, "%s: probe %s: cannot send: %s", p->conn->ike.name,
		  probe_question_name(k->question), strerror(-rc));
}

static void arm(struct run_probe *p)
{
	const uint64_t now = now_us(), due = probe_due_us(&p->probe);

	run_event_after(p->timer, due > now ? (due - now + 999) / 1000 : 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct run_probe *p = arg;
	const struct probe_packet *k = probe_next(&p->probe, now_us());

	(void)fd;
	(void)what;
	if (k) {
		send_packet(p, k);
		if (p->watch.progress)
			p->watch.progress(p->watch.ctx, probe_question_name(k->question),
					  p->probe.next, p->probe.n);
	}
	if (probe_is_over(&p->probe, now_us()))
		finish(p);
	else
		arm(p);
}

// An answer may have been the last one that was waited for.
static void look(struct run_probe *p)
{
	if (probe_is_over(&p->probe, now_us()))
		run_event_after(p->timer, 0);
}

static void on_icmp(evutil_socket_t fd, short what, void *arg)
{
	struct run_probe *p = arg;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < MESSAGES_AT_ONCE; i++) {
		struct probe_icmp icmp;
		struct ip_addr from;
		uint8_t ttl;
		size_t len;
		int rc = probe_socket_receive_icmp(&p->sock, p->run->rx_buf, sizeof(p->run->rx_buf),
						   &len, &from, &ttl);

		if (rc)
			break;
		if (p->sock.family == IP_V6)
			rc = probe_icmp6_parse(p->run->rx_buf, len, &icmp);
		else
			rc = probe_icmp4_parse(p->run->rx_buf, len, &icmp);
		if (rc)
			continue;
		if (ttl)
			icmp.ttl = ttl;
		probe_on_icmp(&p->probe, &icmp, &from, now_us());
	}
	look(p);
}

static void on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct run_probe *p = arg;

	(void)fd;
	(void)what;
	for (unsigned i = 0; i < MESSAGES_AT_ONCE; i++) {
		struct ip_endpoint from;
		struct ike_header h;
		size_t len;

		if (probe_socket_receive_udp(&p->sock, p->run->rx_buf, sizeof(p->run->rx_buf), &len,
					     &from))
			break;
		if (ike_header_parse(p->run->rx_buf, len, &h) == 0 && h.is_response)
			probe_on_ike(&p->probe, h.spi_i, &from.addr, now_us());
	}
	look(p);
}

bool run_probe_answer(struct ike_run *run, const struct ike_header *h,
		      const struct ip_endpoint *remote)
{
	struct run_probe *p;

	if (!h->is_response)
		return false;
	TAILQ_FOREACH(p, &run->probes, link)
	if (probe_on_ike(&p->probe, h->spi_i, &remote->addr, now_us())) {
		const struct probe_packet *k = &p->probe.packet[h->spi_i[7]];

		run->fate = is_recorded(&p->probe, k) ? RECORD_FATE_TAKEN : RECORD_FATE_COUNT;
		look(p);
		return true;
	}
	return false;
}

bool run_probe_is_on(const struct ike_run *run, const struct ip_addr *peer)
{
	const struct run_probe *p;

	TAILQ_FOREACH(p, &run->probes, link)
	if (ip_addr_equal(&p->probe.params.remote, peer))
		return true;
	return false;
}

// ---- beginning ----

static struct conn *find_conn(const struct ike_run *run, const char *name)
{
	for (size_t i = 0; i < run->n_conns; i++)
		if (strcmp(run->conns[i]->ike.name, name) == 0)
			return run->conns[i];
	return NULL;
}

// Where the connection is now, or where it would begin.
static int choose_ends(const struct conn *c, struct ip_endpoint *local, struct ip_endpoint *remote,
		       struct error *err)
{
	struct run_sa *s;

	TAILQ_FOREACH(s, &c->sas, conn_link)
	if (s->established) {
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		*local = info.local;
		*remote = info.remote;
		return 0;
	}
	if (!conn_remote(c, 0, remote))
		return error_set(err, -EINVAL,
				 "%s: remote_addrs names no single address, and no IKE SA is up: "
				 "there is nobody to probe",
				 c->ike.name);
	*local = (struct ip_endpoint){.port = IKE_PORT};
	return error_prefix(err, start_local(c, &remote->addr, local, err), "%s", c->ike.name);
}

static int choose_params(struct ike_run *run, const struct conn *c, struct probe_params *with,
			 struct error *err)
{
	struct ip_endpoint local, remote;
	struct ike_builder b;
	int rc = choose_ends(c, &local, &remote, err);

	if (rc)
		return rc;
	with->local = local.addr;
	with->remote = remote.addr;
	if (c->ike.fallback_port && c->ike.fallback_port != IKE_NATT_PORT)
		with->alt_port = c->ike.fallback_port;
	if (run->crypto->random(run->crypto->ctx, with->spi, sizeof(with->spi)) ||
	    run->crypto->random(run->crypto->ctx, &with->ident, sizeof(with->ident)) ||
	    probe_msg_build(&b, run->crypto, &c->ike.ike, with->spi, 0))
		return error_set(err, -EIO, "no message to probe with could be built");
	with->smallest = (uint16_t)b.w.len;
	return 0;
}

static int probe_start(struct run_probe *p, const struct probe_params *with)
{
	struct ike_run *run = p->run;

	p->timer = evtimer_new(run->base, on_timer, p);
	p->icmp = event_new(run->base, p->sock.icmp, EV_READ | EV_PERSIST, on_icmp, p);
	p->udp = event_new(run->base, p->sock.udp, EV_READ | EV_PERSIST, on_udp, p);
	if (!p->timer || !p->icmp || !p->udp || event_add(p->icmp, NULL) ||
	    event_add(p->udp, NULL) || run_event_after(p->timer, 0))
		return -ENOMEM;
	probe_init(&p->probe, with, now_us());
	return 0;
}

int ike_run_probe(struct ike_run *run, const char *conn, const struct ike_run_probe_watch *watch,
		  struct error *err)
{
	struct conn *c = find_conn(run, conn);
	struct probe_params with = {0};
	struct run_probe *p;
	uint64_t wait_ms;
	int rc;

	if (!c)
		return error_set(err, -ENOENT, "no connection '%s'", conn);
	if (run->n_probes >= LIMIT_PROBES)
		return error_set(err, -EAGAIN, "%u probes are under way: wait for them",
				 run->n_probes);
	rc = choose_params(run, c, &with, err);
	if (rc)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	p->run = run;
	p->sock.icmp = p->sock.udp = -1;
	p->conn = conn_get(c);
	rc = probe_socket_open(&p->sock, &with.local, &with.remote, &with.mtu, err);
	if (rc)
		goto fail;
	rc = probe_budget_take(&run->probe_budget, &with.remote, run_now_ms(), &wait_ms);
	if (rc) {
		error_set(err, rc, "%s was probed enough for now: again in %llu s", conn,
			  (unsigned long long)(wait_ms + 999) / 1000);
		goto fail;
	}
	rc = probe_start(p, &with);
	if (rc) {
		error_set(err, rc, "out of memory");
		goto fail;
	}
	if (watch)
		p->watch = *watch;
	TAILQ_INSERT_TAIL(&run->probes, p, link);
	run->n_probes++;
	log_info(LOG_API, "%s: probing the peer, %u packets at most", conn, p->probe.n);
	return 0;
fail:
	probe_free(p);
	return rc;
}

void ike_run_probe_unwatch(struct ike_run *run, void *ctx)
{
	struct run_probe *p;

	TAILQ_FOREACH(p, &run->probes, link)
	if (p->watch.ctx == ctx)
		p->watch = (struct ike_run_probe_watch){0};
}

bool ike_run_probe_facts(const struct ike_run *run, const char *conn,
			 struct doctor_probe_facts *out)
{
	const struct conn *c = find_conn(run, conn);

	if (!c || !c->probed)
		return false;
	*out = *c->probed;
	out->ago_ms = run_now_ms() - c->probed_ms;
	return true;
}

void run_probe_destroy(struct ike_run *run)
{
	struct run_probe *p;

	while ((p = TAILQ_FIRST(&run->probes))) {
		TAILQ_REMOVE(&run->probes, p, link);
		probe_free(p);
	}
}
