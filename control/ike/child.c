#include "control/ike/child.h"

#include <stdlib.h>
#include <string.h>

#include "control/ike/report.h"

static void add_dynamic(struct selector_list *list, bool dynamic, const struct ip_addr *a)
{
	if (dynamic && list->n < SELECTORS_MAX)
		list->s[list->n++] = selector_from_host(a);
}

void child_selectors(const struct ike_sa *sa, const struct ike_child_conf *conf,
		     struct selector_list *local, struct selector_list *remote)
{
	*local = conf->local_ts;
	*remote = conf->remote_ts;
	add_dynamic(local, conf->local_dynamic, &sa->local.addr);
	add_dynamic(remote, conf->remote_dynamic, &sa->remote.addr);
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
		.udp_encap = info->udp_encap,
		.local = {sa->local.addr, 0},
		.remote = {sa->remote.addr, 0},
		.replay_window = info->conf->replay_window,
		.local_ts = info->local_ts,
		.remote_ts = info->remote_ts,
	};

	if (esp.udp_encap) {
		// RFC 3948 2.1: the same ports as IKE, which has moved to 4500 by now.
		esp.local.port = IKE_NATT_PORT;
		esp.remote.port = sa->remote.port == IKE_PORT ? IKE_NATT_PORT : sa->remote.port;
	}
	return esp;
}

static struct ike_child *child_create(struct step *st, const struct child_new *new)
{
	const struct transform *encr = proposal_first(new->esp, TRANSFORM_ENCR);
	const struct transform *integ = proposal_first(new->esp, TRANSFORM_INTEG);
	const struct transform *sn = proposal_first(new->esp, TRANSFORM_SN);
	struct ike_child *child = calloc(1, sizeof(*child));

	if (!child) {
		st->nomem = true;
		return NULL;
	}
	child->info = (struct ike_child_info){
		.conf = new->conf,
		.reqid = ++st->sa->last_reqid,
		.spi_in = new->spi_in,
		.spi_out = new->spi_out,
		.encr = *encr,
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.esn = sn && sn->id == SN_ESN,
		.udp_encap = st->sa->nat.encap,
		.installed_ms = st->ev->now_ms,
		.local_ts = new->local_ts,
		.remote_ts = new->remote_ts,
	};
	if (integ && !transform_find(encr)->aead)
		child->info.integ = *integ;
	return child;
}

bool child_install(struct step *st, const struct child_new *new)
{
	struct ike_sa *sa = st->sa;
	struct ike_child_install install = {.conf = new->conf};
	struct child_keys keys = {0};
	struct ike_child *child;
	struct text text;
	int err;

	err = child_keys_derive(sa->env->crypto, &sa->suite, &sa->keys.d, &sa->ni, &sa->nr,
				new->esp, &keys);
	if (err) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "child '%s': cannot derive keys: %s",
			   new->conf->name, strerror(-err));
		return false;
	}
	child = child_create(st, new);
	if (!child) {
		child_keys_fini(&keys);
		return false;
	}
	install.reqid = child->info.reqid;
	install.in = esp_sa_of(sa, &child->info, new->spi_in);
	install.out = esp_sa_of(sa, &child->info, new->spi_out);
	secret_move(&install.in.encr_key, new->exchange_initiator ? &keys.encr_r : &keys.encr_i);
	secret_move(&install.in.integ_key, new->exchange_initiator ? &keys.integ_r : &keys.integ_i);
	secret_move(&install.out.encr_key, new->exchange_initiator ? &keys.encr_i : &keys.encr_r);
	secret_move(&install.out.integ_key,
		    new->exchange_initiator ? &keys.integ_i : &keys.integ_r);
	child_keys_fini(&keys);
	if (!act_install(st, &install)) {
		free(child);
		return false;
	}
	child->next = sa->children;
	sa->children = child;

	text_init(&text);
	text_add(&text, "child '%s' up: ", new->conf->name);
	text_add_selectors(&text, &new->local_ts);
	text_add(&text, " === ");
	text_add_selectors(&text, &new->remote_ts);
	text_add(&text, ", ");
	text_add_proposal(&text, new->esp);
	text_add(&text, ", SPIs %08x in %08x out%s", new->spi_in, new->spi_out,
		 child->info.udp_encap ? ", in UDP" : "");
	act_report(st, IKE_REPORT_CHILD_UP, IKE_SEV_NOTICE, "%s", text.s);
	return true;
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

bool child_remove(struct step *st, struct ike_child *child, bool peer_gone)
{
	struct ike_child **at = &st->sa->children;

	if (!act_remove(st, child, peer_gone))
		return false;
	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
	act_report(st, IKE_REPORT_CHILD_DOWN, IKE_SEV_NOTICE,
		   "child '%s' down, SPIs %08x in %08x out", child->info.conf->name,
		   child->info.spi_in, child->info.spi_out);
	free(child);
	return true;
}

void children_move(struct step *st)
{
	const struct ike_sa *sa = st->sa;

	for (const struct ike_child *c = sa->children; c; c = c->next) {
		struct esp_sa esp = esp_sa_of(sa, &c->info, c->info.spi_out);

		act_move(st, c->info.spi_in, c->info.spi_out, &esp.local, &esp.remote);
	}
}

void children_remove_all(struct step *st, bool peer_gone)
{
	while (st->sa->children && child_remove(st, st->sa->children, peer_gone))
		;
}
