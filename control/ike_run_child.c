#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"

#define LINGER_MS 5000 // strongSwan's delete_rekeyed_delay

struct run_child_sa *run_child_by_spi(struct run_sa *s, uint32_t spi_in)
{
	struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	if (c->spi_in == spi_in)
		return c;
	return NULL;
}

bool run_child_carries(const struct run_sa *s, const struct conn_child *child)
{
	const struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	if (c->child == child)
		return true;
	return false;
}

// ---- in the dataplane ----

static uint64_t soft_limit(struct ike_run *run, const struct config_limit *limit)
{
	// By chance it may be all of it: 0 would be no limit.
	const uint64_t soft = limit->rekey - run_random(run, limit->rand);

	return limit->rekey && !soft ? 1 : soft;
}

// The dataplane counts what passes.
static void volumes(struct ike_run *run, const struct conn_child *child, struct esp_sa *sa)
{
	sa->soft = (struct esp_life){
		.packets = soft_limit(run, &child->packets),
		.bytes = soft_limit(run, &child->bytes),
	};
	sa->hard = (struct esp_life){
		.packets = child->packets.life,
		.bytes = child->bytes.life,
	};
}

static int install_failed(struct run_sa *s, const struct conn_child *child, int rc,
			  const char *text)
{
	log_error(LOG_CHD, "%s: child %s cannot be installed: %s", s->conn->ike.name, child->name,
		  text);
	s->last_code = IKE_REPORT_INFO;
	snprintf(s->last_error, sizeof(s->last_error), "child %s cannot be installed: %s",
		 child->name, text);
	return rc;
}

int run_child_install(struct run_sa *s, struct ike_child_install *install)
{
	struct conn_child *child = install->conf->user;
	uint32_t spi_in = install->in.spi, spi_out = install->out.spi;
	struct run_child_sa *c;
	struct error err = {""};
	bool loses;
	int rc;

	c = calloc(1, sizeof(*c));
	if (!c)
		return install_failed(s, child, -ENOMEM, "out of memory");
	c->child = child;
	c->spi_in = spi_in;
	c->spi_out = spi_out;
	c->fresh = true;
	loses = run_rival_loses(s, child);
	idle_note(s->run, child);
	idle_begin(child);
	volumes(s->run, child, &install->in);
	volumes(s->run, child, &install->out);
	rc = dp_sa_in_publish(s->run->dp, child->tunnel, &install->in, &err);
	if (rc)
		goto fail;
	if (!loses && !install->out_later && !child->over)
		rc = dp_tunnel_set_out(s->run->dp, child->tunnel, &install->out, &err);
	if (rc)
		goto fail;
	if (!loses && !install->out_later && !child->over)
		child->sends_on = spi_out;
	c->id = ++s->run->last_child_id;
	TAILQ_INSERT_TAIL(&s->children, c, link);
	s->run->n_child_sas++;
	if (loses) {
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		run_rival_supersede(s, info.original_initiator);
	}
	run_child_changed(s->run, child);
	return 0;
fail:
	// Published or only reserved, the SPI goes.
	dp_sa_in_retire(s->run->dp, spi_in);
	free(c);
	return install_failed(s, child, rc, err.text[0] ? err.text : strerror(-rc));
}

void run_child_use(struct run_sa *s, struct ike_child_use *use)
{
	struct conn_child *child = use->conf->user;
	struct error err = {""};
	uint32_t spi_out = use->out.spi;

	if (!run_child_by_spi(s, use->spi_in) || s->superseded || child->over)
		return;
	volumes(s->run, child, &use->out);
	idle_note(s->run, child);
	if (dp_tunnel_set_out(s->run->dp, child->tunnel, &use->out, &err))
		log_error(LOG_CHD, "%s: child %s cannot be used for sending: %s", s->conn->ike.name,
			  child->name, err.text);
	else
		child->sends_on = spi_out;
	run_child_changed(s->run, child);
}

// ---- late packets ----

static void on_linger(int fd, short what, void *arg)
{
	struct ike_run *run = arg;
	uint64_t now = run_now_ms();
	struct run_linger *l;

	(void)fd;
	(void)what;
	while ((l = TAILQ_FIRST(&run->lingering)) && l->until_ms <= now) {
		TAILQ_REMOVE(&run->lingering, l, link);
		dp_sa_in_retire(run->dp, l->spi);
		free(l);
	}
	if (l)
		run_event_after(run->linger_timer, l->until_ms - now);
}

static void linger(struct ike_run *run, uint32_t spi)
{
	struct run_linger *l = malloc(sizeof(*l));

	if (!l) {
		dp_sa_in_retire(run->dp, spi);
		return;
	}
	*l = (struct run_linger){.spi = spi, .until_ms = run_now_ms() + LINGER_MS};
	if (TAILQ_EMPTY(&run->lingering))
		run_event_after(run->linger_timer, LINGER_MS);
	TAILQ_INSERT_TAIL(&run->lingering, l, link);
}

int run_linger_start(struct ike_run *run)
{
	TAILQ_INIT(&run->lingering);
	run->linger_timer = evtimer_new(run->base, on_linger, run);
	return run->linger_timer ? 0 : -ENOMEM;
}

void run_linger_stop(struct ike_run *run)
{
	struct run_linger *l;

	if (!run->linger_timer)
		return;
	while ((l = TAILQ_FIRST(&run->lingering))) {
		TAILQ_REMOVE(&run->lingering, l, link);
		dp_sa_in_retire(run->dp, l->spi);
		free(l);
	}
	event_free(run->linger_timer);
}

// The child's tunnel has no outbound SA, but the IKE SA has an SA of it: its own is used if it
// waits for that, else it is replaced, which makes a new one. Asked for once; the core tries again
// by itself.
static bool restore(struct run_sa *s, const struct conn_child *child)
{
	struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	{
		struct ike_event ev = {.type = IKE_EV_RESTORE_CHILD, .spi_in = c->spi_in};

		if (c->child != child)
			continue;
		if (c->restores)
			return true;
		c->restores = true;
		run_sa_step(s, &ev);
		c = run_child_by_spi(s, ev.spi_in);
		if (c && child->sends_on)
			c->restores = false;
		return true;
	}
	return false;
}

// Another IKE SA with that peer may have an SA of the child.
static void restore_elsewhere(const struct run_sa *s, const struct conn_child *child)
{
	struct run_sa *other;

	if (s->run->shutting_down || conn_child_is_gone(child))
		return;
	TAILQ_FOREACH(other, &child->conn->sas, conn_link)
	{
		struct ike_sa_info info;

		ike_sa_info(other->sa, &info);
		if (other != s && !other->superseded && ike_state_is_up(info.state) &&
		    restore(other, child))
			return;
	}
}

bool run_child_remove(struct run_sa *s, uint32_t spi_in, bool late, bool by_us)
{
	struct run_child_sa *c = run_child_by_spi(s, spi_in);
	struct conn_child *child;
	bool bare, up;

	if (!c)
		return false;
	child = c->child;
	idle_note(s->run, child);
	TAILQ_REMOVE(&s->children, c, link);
	s->run->n_child_sas--;
	up = run_child_is_up(child);
	bare = child->sends_on == c->spi_out;
	if (bare)
		child->sends_on = 0;
	if (bare && up) // first, so that there is one at any moment
		restore_elsewhere(s, child);
	dp_tunnel_clear_out(s->run->dp, child->tunnel, c->spi_out);
	if (late)
		linger(s->run, c->spi_in);
	else
		dp_sa_in_retire(s->run->dp, c->spi_in);
	free(c);
	watch_child_gone(s, spi_in);
	if (!up)
		start_lost(s->run, child, s, by_us);
	run_child_changed(s->run, child);
	return true;
}

// Several SAs of one child, and the one in use was deleted. Not from within the step that did it.
void run_child_restore(struct run_sa *s)
{
	for (size_t i = 0; s->conn && i < s->conn->n_children; i++)
		if (!s->conn->children[i]->sends_on && !s->closed && !s->superseded)
			restore(s, s->conn->children[i]);
}

void run_child_move(struct run_sa *s, uint32_t spi_in, const struct ip_endpoint *local,
		    const struct ip_endpoint *remote)
{
	const struct run_child_sa *c = run_child_by_spi(s, spi_in);
	int rc = c ? dp_tunnel_move(s->run->dp, c->child->tunnel, c->spi_out, local, remote)
		   : -ENOENT;
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX], to[IP_ENDPOINT_TEXT_MAX];

	// The tunnel's outbound SA may be a younger one's already.
	if (rc && rc != -ENOENT)
		log_error(LOG_CHD, "%s: child %s stays at the peer's old address, not %s: %s",
			  run_sa_name(s, name, sizeof(name)), c->child->name,
			  ip_endpoint_format(remote, to, sizeof(to)), strerror(-rc));
}

bool run_child_is_up(const struct conn_child *child)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &child->conn->sas, conn_link)
	{
		struct ike_sa_info info;

		if (s->superseded || !run_child_carries(s, child))
			continue;
		ike_sa_info(s->sa, &info);
		if (ike_state_is_up(info.state))
			return true;
	}
	return false;
}

uint64_t run_child_last_inbound_ms(const struct run_sa *s, uint64_t now_ms)
{
	const struct run_child_sa *c;
	uint64_t last = 0;

	TAILQ_FOREACH(c, &s->children, link)
	{
		struct dp_sa_stats st;

		if (dp_sa_in_stats(s->run->dp, c->spi_in, &st) || st.silent_ms > now_ms)
			continue;
		if (now_ms - st.silent_ms > last)
			last = now_ms - st.silent_ms;
	}
	return last;
}
