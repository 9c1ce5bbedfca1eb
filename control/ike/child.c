#include "control/ike/child.h"

#include <stdlib.h>
#include <string.h>

#include "control/ike/child_mode.h"
#include "control/ike/report.h"

void child_selectors(const struct ike_sa *sa, const struct ike_child_conf *conf,
		     struct selector_list *local, struct selector_list *remote)
{
	*local = conf->local_ts;
	*remote = conf->remote_ts;
	// A tunnel whose ends move goes on for the same packets (RFC 4555 2.1). In transport mode
	// they are those between the ends, wherever these are.
	selector_dynamic_add(&conf->local_dynamic,
			     conf->transport || sa->ts_local.family == IP_NONE ? &sa->local.addr
									       : &sa->ts_local,
			     local);
	selector_dynamic_add(&conf->remote_dynamic,
			     conf->transport || sa->ts_remote.family == IP_NONE ? &sa->remote.addr
										: &sa->ts_remote,
			     remote);
}

// One direction without its keys.
static struct esp_sa esp_sa_of(const struct ike_sa *sa, const struct ike_child_info *info,
			       uint32_t spi)
{
	struct esp_sa esp = {
		.spi = spi,
		.encr = info->encr,
		.integ = info->integ,
		.esn = info->esn,
		.transport = info->transport,
		.udp_encap = info->udp_encap,
		// RFC 7296 2.23: without a NAT each side sends as it likes on port 4500.
		.either_form = sa->mobike.on || sa->local.port == IKE_NATT_PORT,
		.local = {sa->esp.local.addr, 0},
		.remote = {sa->esp.remote.addr, 0},
		.replay_window = info->conf->replay_window,
		.outer = info->conf->outer,
		// RFC 7296 1.3.1: none to a peer that says so, of the child that it says it of. In
		// transport mode nobody could tell padding from the packet.
		.dummies = info->conf->dummies,
		.tfc_padding = info->no_tfc || info->transport ? 0 : info->conf->tfc_padding,
		.local_ts = info->local_ts,
		.remote_ts = info->remote_ts,
	};

	if (esp.udp_encap) {
		// RFC 3948 2.1: the same ports as IKE, which has moved to 4500 by now.
		esp.local.port = IKE_NATT_PORT;
		esp.remote.port =
			sa->esp.remote.port == IKE_PORT ? IKE_NATT_PORT : sa->esp.remote.port;
	}
	return esp;
}

// When a child that was installed then is to be rekeyed.
static uint64_t rekey_due_ms(const struct ike_sa *sa, const struct ike_child_info *info)
{
	const struct ike_child_conf *conf = info->conf;
	uint64_t rand_ms = conf->rand_time_ms;

	if (!conf->rekey_time_ms)
		return IKE_NEVER;
	if (rand_ms >= conf->rekey_time_ms)
		rand_ms = conf->rekey_time_ms / 2;
	return info->installed_ms + sa_later(sa, conf->rekey_time_ms - rand_ms, rand_ms);
}

static void lifetime_start(const struct ike_sa *sa, struct ike_child_info *info, uint64_t now_ms)
{
	const struct ike_child_conf *conf = info->conf;

	info->installed_ms = now_ms;
	info->rekey_ms = rekey_due_ms(sa, info);
	info->expires_ms = IKE_NEVER;
	if (conf->life_time_ms)
		info->expires_ms = now_ms + conf->life_time_ms;
}

static struct ike_child *child_create(struct step *st, const struct child_new *new)
{
	const struct transform *encr = proposal_first(new->esp, TRANSFORM_ENCR);
	const struct transform *integ = proposal_first(new->esp, TRANSFORM_INTEG);
	const struct transform *sn = proposal_first(new->esp, TRANSFORM_SN);
	const struct transform *ke = proposal_first(new->esp, TRANSFORM_KE);
	struct ike_child *child = calloc(1, sizeof(*child));

	if (!child) {
		st->nomem = true;
		return NULL;
	}
	child->info = (struct ike_child_info){
		.conf = new->conf,
		.reqid = new->replaces ? new->replaces->info.reqid : ++st->sa->last_reqid,
		.spi_in = new->spi_in,
		.spi_out = new->spi_out,
		.encr = *encr,
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.esn = sn && sn->id == SN_ESN,
		.udp_encap = st->sa->esp.encap,
		.no_tfc = new->no_tfc,
		.transport = new->mode.transport,
		.local_ts = new->local_ts,
		.remote_ts = new->remote_ts,
	};
	if (integ && !transform_find(encr)->aead)
		child->info.integ = *integ;
	if (new->shared && ke &&
	    ke->id != KE_NONE) // the offer of IKE_AUTH may name one that is not used
		child->info.ke = *ke;
	child->drop_ms = child->probe_ms = child->end_ms = IKE_NEVER;
	lifetime_start(st->sa, &child->info, st->ev->now_ms);
	return child;
}

static void report_up(struct step *st, const struct child_new *new, const struct ike_child *child)
{
	struct text text;

	text_init(&text);
	text_add(&text, "child '%s' %s: ", new->conf->name, new->replaces ? "rekeyed" : "up");
	text_add_selectors(&text, &new->local_ts);
	text_add(&text, " === ");
	text_add_selectors(&text, &new->remote_ts);
	text_add(&text, ", ");
	text_add_proposal(&text, new->esp);
	text_add(&text, ", SPIs %08x in %08x out%s%s", new->spi_in, new->spi_out,
		 new->mode.transport ? ", transport mode" : "",
		 child->info.udp_encap ? ", in UDP" : "");
	if (new->no_tfc &&new->conf->tfc_padding)
		text_add(&text, ", without the padding of tfc_padding: the peer takes none");
	if (new->replaces)
		text_add(&text, ", after %08x in %08x out", new->replaces->info.spi_in,
			 new->replaces->info.spi_out);
	act_report(st, new->replaces ? IKE_REPORT_CHILD_REKEYED : IKE_REPORT_CHILD_UP,
		   IKE_SEV_NOTICE, "%s", text.s);
}

// Both directions with their keys.
static int esp_pair(const struct ike_sa *sa, const struct child_new *new,
		    const struct ike_child_info *info, struct ike_child_install *install)
{
	static const struct secret none;
	struct child_keys keys = {0};
	bool first = new->exchange_initiator; // its direction comes first (RFC 7296 2.17)
	int err = child_keys_derive(sa->env->crypto, &sa->suite, &sa->keys.d, new->ni, new->nr,
				    new->shared ? new->shared : &none, new->esp, &keys);

	if (err)
		return err;
	install->in = esp_sa_of(sa, info, info->spi_in);
	install->in.local_oa = new->mode.local_oa;
	install->in.remote_oa = new->mode.remote_oa;
	install->out = esp_sa_of(sa, info, info->spi_out);
	secret_move(&install->in.encr_key, first ? &keys.encr_r : &keys.encr_i);
	secret_move(&install->in.integ_key, first ? &keys.integ_r : &keys.integ_i);
	secret_move(&install->out.encr_key, first ? &keys.encr_i : &keys.encr_r);
	secret_move(&install->out.integ_key, first ? &keys.integ_i : &keys.integ_r);
	child_keys_fini(&keys);
	return 0;
}

static bool sends(const struct ike_sa *sa, const struct ike_child_conf *conf)
{
	return sa->env->child_sends && sa->env->child_sends(sa->env->ctx, conf);
}

struct ike_child *child_install(struct step *st, const struct child_new *new)
{
	struct ike_sa *sa = st->sa;
	struct ike_child_install install = {.conf = new->conf};
	struct ike_child *child = child_create(st, new);
	int err;

	if (!child)
		return NULL;
	err = esp_pair(sa, new, &child->info, &install);
	if (err) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "child '%s': cannot derive keys: %s",
			   new->conf->name, strerror(-err));
		ike_child_free(child);
		return NULL;
	}
	install.reqid = child->info.reqid;
	install.out_later = !new->exchange_initiator && (new->replaces || sends(sa, new->conf));
	if (install.out_later) {
		child->out_soon = !new->replaces;
		child->out = install.out;
		install.out.encr_key = install.out.integ_key = (struct secret){0};
		child->out_later = true;
		child->probe_ms = st->ev->now_ms + IKE_PROBE_MS;
	}
	if (!act_install(st, &install)) {
		ike_child_free(child);
		return NULL;
	}
	child->next = sa->children;
	sa->children = child;
	report_up(st, new, child);
	return child;
}

struct ike_child *child_by_spi_in(struct ike_sa *sa, uint32_t spi_in)
{
	struct ike_child *c = sa->children;

	while (c && c->info.spi_in != spi_in)
		c = c->next;
	return c;
}

struct ike_child *child_by_spi_out(struct ike_sa *sa, uint32_t spi_out)
{
	struct ike_child *c = sa->children;

	while (c && c->info.spi_out != spi_out)
		c = c->next;
	return c;
}

struct ike_child *child_wanting_delete(struct ike_sa *sa)
{
	struct ike_child *c = sa->children;

	while (c && !c->want_delete)
		c = c->next;
	return c;
}

// May it be replaced by us?
static bool rekeyable(const struct ike_child *c)
{
	return !c->replacement && !c->redundant && !c->deleting && !c->want_delete;
}

static bool waits(const struct ike_child *c)
{
	return c->out_later && !c->redundant && !c->replacement;
}

void child_restore(struct step *st, struct ike_child *child)
{
	if (waits(child))
		act_use(st, child);
	else
		child->want_rekey = true;
}

bool child_is_doubtful(const struct ike_sa *sa, const struct ike_child *child)
{
	return child->doubtful && sa->expected_id == child->answer_id + 1;
}

struct ike_child *child_wanting_rekey(struct ike_sa *sa, uint64_t now_ms)
{
	struct ike_child *c = sa->children;

	while (c && !(c->want_rekey && rekeyable(c) && c->retry_ms <= now_ms))
		c = c->next;
	return c;
}

struct ike_child *child_by_conf(struct ike_sa *sa, const struct ike_child_conf *conf)
{
	struct ike_child *c = sa->children;

	while (c && !(c->info.conf == conf && rekeyable(c)))
		c = c->next;
	return c;
}

void children_retire(struct ike_sa *sa, const struct ike_child_conf *conf)
{
	size_t kept = 0;

	for (struct ike_child *c = sa->children; c; c = c->next)
		if (c->info.conf == conf && !c->deleting)
			c->want_delete = true;
	for (size_t i = 0; i < sa->n_wants; i++)
		if (sa->wants[i].conf != conf)
			sa->wants[kept++] = sa->wants[i];
	sa->n_wants = kept;
}

void children_new_times(struct step *st)
{
	// What has been planned already, or is under way, goes on.
	for (struct ike_child *c = st->sa->children; c; c = c->next)
		if (rekeyable(c) && !c->want_rekey && st->sa->child.replaces != c->info.spi_in)
			c->info.rekey_ms = rekey_due_ms(st->sa, &c->info);
}

static uint64_t child_due_ms(const struct ike_child *c)
{
	uint64_t due = c->info.expires_ms;

	if (c->deleting || c->want_delete)
		return c->end_ms;
	due = c->drop_ms < due ? c->drop_ms : due;
	due = c->probe_ms < due ? c->probe_ms : due;
	if (rekeyable(c) && c->want_rekey && c->retry_ms > 0 && c->retry_ms < due)
		due = c->retry_ms;
	return c->info.rekey_ms < due ? c->info.rekey_ms : due;
}

uint64_t children_due_ms(const struct ike_sa *sa)
{
	uint64_t due = IKE_NEVER;

	for (const struct ike_child *c = sa->children; c; c = c->next) {
		uint64_t at = child_due_ms(c);

		due = at < due ? at : due;
	}
	return due;
}

static void child_timer(struct step *st, struct ike_child *c)
{
	const struct ike_sa *sa = st->sa;
	uint64_t now = st->ev->now_ms;

	if (now >= c->info.rekey_ms) {
		c->info.rekey_ms = IKE_NEVER;
		c->want_rekey = true;
	}
	if (now >= c->retry_ms)
		c->retry_ms = 0;
	if (now >= c->probe_ms) {
		c->probe_ms = now + IKE_PROBE_MS;
		if (waits(c) && (c->out_soon || sa->env->child_used(sa->env->ctx, c->info.spi_in)))
			act_use(st, c);
		if (!c->out_later)
			c->probe_ms = IKE_NEVER;
	}
	if (now >= c->info.expires_ms) {
		act_report(st, IKE_REPORT_EXPIRED, IKE_SEV_NOTICE,
			   "lifetime of child '%s' is over, SPIs %08x in %08x out",
			   c->info.conf->name, c->info.spi_in, c->info.spi_out);
		c->want_delete = true;
		// Hard means hard (RFC 4301 4.4.2.1), also while no DELETE gets through.
		c->end_ms = now + IKE_EXPIRED_WAIT_MS;
	}
	if (now >= c->drop_ms)
		c->want_delete = true;
}

void children_timer(struct step *st)
{
	for (struct ike_child *c = st->sa->children, *next; c; c = next) {
		next = c->next;
		if (!c->deleting && !c->want_delete)
			child_timer(st, c);
		else if (st->ev->now_ms >= c->end_ms)
			child_remove(st, c, false);
	}
}

// Sends on what waits for a child to go: a further one of the same, or what replaces it, unless
// what replaces that in turn is in use already.
static void use_next(struct step *st, const struct ike_child *child)
{
	struct ike_child *next = child_by_spi_in(st->sa, child->replacement), *last = next;

	for (struct ike_child *c = st->sa->children; c && !child->replacement; c = c->next)
		if (c != child && c->info.conf == child->info.conf && waits(c)) {
			act_use(st, c);
			return;
		}
	if (!next || next->redundant)
		return;
	while (last && last->out_later)
		last = child_by_spi_in(st->sa, last->replacement);
	if (!last)
		act_use(st, next);
}

bool child_remove(struct step *st, struct ike_child *child, bool peer_gone)
{
	struct ike_child **at = &st->sa->children;

	use_next(st, child); // first, so that there is one at any moment
	if (!act_remove(st, child, peer_gone))
		return false;
	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
	act_report(st, IKE_REPORT_CHILD_DOWN,
		   child->replacement || child->redundant ? IKE_SEV_INFO : IKE_SEV_NOTICE,
		   "child '%s' down, SPIs %08x in %08x out", child->info.conf->name,
		   child->info.spi_in, child->info.spi_out);
	ike_child_free(child);
	return true;
}

void children_move(struct step *st)
{
	const struct ike_sa *sa = st->sa;

	for (struct ike_child *c = sa->children; c; c = c->next) {
		struct esp_sa esp;

		if (child_mode_moved_away(st, c))
			continue;
		c->info.udp_encap = sa->esp.encap;
		esp = esp_sa_of(sa, &c->info, c->info.spi_out);
		if (c->out_later) {
			c->out.udp_encap = esp.udp_encap;
			c->out.local = esp.local;
			c->out.remote = esp.remote;
			continue;
		}
		act_move(st, c->info.spi_in, c->info.spi_out, &esp.local, &esp.remote);
	}
}

void children_remove_all(struct step *st, bool peer_gone)
{
	for (struct ike_child *c = st->sa->children; c; c = c->next)
		c->replacement = 0; // which goes as well
	while (st->sa->children && child_remove(st, st->sa->children, peer_gone))
		;
}
