#include "control/vici_sa.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "control/daemon.h"

const char *vici_sa_name(const struct ike_run_sa *sa)
{
	return sa->info.conn ? sa->info.conn->name : "(unnamed)";
}

const char *vici_ike_state(enum ike_state state)
{
	switch (state) {
	case IKE_ST_CREATED:
		return "CREATED";
	case IKE_ST_CONNECTING:
		return "CONNECTING";
	case IKE_ST_ESTABLISHED:
		return "ESTABLISHED";
	case IKE_ST_REKEYING:
		return "REKEYING";
	case IKE_ST_REKEYED:
		return "REKEYED";
	case IKE_ST_DELETING:
		return "DELETING";
	case IKE_ST_CLOSED:
		break;
	}
	return "DESTROYING";
}

static const char *child_state(enum ike_child_state state)
{
	switch (state) {
	case IKE_CHILD_REKEYING:
		return "REKEYING";
	case IKE_CHILD_REKEYED:
		return "REKEYED";
	case IKE_CHILD_DELETING:
		return "DELETING";
	case IKE_CHILD_INSTALLED:
		break;
	}
	return "INSTALLED";
}

static void put_endpoint(struct vici_builder *b, const char *side, const struct ip_endpoint *e,
			 const struct identity *id)
{
	char addr[IP_ADDR_TEXT_MAX], text[IDENTITY_TEXT_MAX], key[32];

	snprintf(key, sizeof(key), "%s-host", side);
	vici_kv(b, key, ip_addr_format(&e->addr, addr, sizeof(addr)));
	snprintf(key, sizeof(key), "%s-port", side);
	vici_kvf(b, key, "%u", (unsigned)e->port);
	snprintf(key, sizeof(key), "%s-id", side);
	vici_kv(b, key, identity_format(id, text, sizeof(text)));
}

static void put_spi(struct vici_builder *b, const char *key, const uint8_t spi[8])
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | spi[i];
	vici_kvf(b, key, "%016" PRIx64, v);
}

// The algorithm's name and, where the algorithm has several, its key size.
static void put_algorithm(struct vici_builder *b, const char *key, const char *size_key,
			  const struct transform *t)
{
	const struct transform_info *info = transform_find(t);
	char text[TRANSFORM_TEXT_MAX];

	vici_kv(b, key, info ? info->name : transform_format(t, text, sizeof(text)));
	if (size_key && t->key_bits)
		vici_kvf(b, size_key, "%u", (unsigned)t->key_bits);
}

static void put_proposal(struct vici_builder *b, const struct proposal *p)
{
	static const struct {
		uint8_t type;
		const char *key, *size_key;
	} rows[] = {
		{TRANSFORM_ENCR, "encr-alg", "encr-keysize"},
		{TRANSFORM_INTEG, "integ-alg", "integ-keysize"},
		{TRANSFORM_PRF, "prf-alg", NULL},
		{TRANSFORM_KE, "dh-group", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct transform *t = proposal_first(p, rows[i].type);

		if (t && !(t->type == TRANSFORM_INTEG && t->id == INTEG_NONE))
			put_algorithm(b, rows[i].key, rows[i].size_key, t);
	}
}

void vici_sa_ike(struct vici_builder *b, const struct ike_run_sa *sa, unsigned flags)
{
	const struct ike_sa_info *info = &sa->info;

	vici_kvf(b, "uniqueid", "%u", sa->id);
	vici_kv(b, "version", "2");
	vici_kv(b, "state", vici_ike_state(info->state));
	put_endpoint(b, "local", &info->local, &info->local_id);
	put_endpoint(b, "remote", &info->remote, &info->remote_id);
	if (info->original_initiator)
		vici_kv(b, "initiator", "yes");
	put_spi(b, "initiator-spi", info->spi_i);
	put_spi(b, "responder-spi", info->spi_r);
	if (info->nat_local)
		vici_kv(b, "nat-local", "yes");
	if (info->nat_remote)
		vici_kv(b, "nat-remote", "yes");
	if (info->nat_local || info->nat_remote)
		vici_kv(b, "nat-any", "yes");
	if (info->mobike)
		vici_kv(b, "mobike", "yes");
	if (info->chosen.n)
		put_proposal(b, &info->chosen);
	if (!(flags & VICI_SA_NO_COUNTERS) && info->established_ms)
		vici_kvf(b, "established", "%" PRIu64,
			 (daemon_now_ms() - info->established_ms) / 1000);
}

static void put_direction(struct vici_builder *b, const char *dir, const struct dp_sa_stats *st)
{
	char key[32];

	snprintf(key, sizeof(key), "bytes-%s", dir);
	vici_kvf(b, key, "%" PRIu64, st->bytes);
	snprintf(key, sizeof(key), "packets-%s", dir);
	vici_kvf(b, key, "%" PRIu64, st->packets);
	if (st->idle_ms != UINT64_MAX) {
		snprintf(key, sizeof(key), "use-%s", dir);
		vici_kvf(b, key, "%" PRIu64, st->idle_ms / 1000);
	}
}

static void put_counters(struct vici_builder *b, const struct ike_run_child *child)
{
	static const struct dp_sa_stats none = {.idle_ms = UINT64_MAX};

	put_direction(b, "in", child->have_in ? &child->in : &none);
	put_direction(b, "out", child->have_out ? &child->out : &none);
	if (child->have_in) {
		vici_kvf(b, "replays", "%" PRIu64, child->in.replays);
		vici_kvf(b, "auth-failures", "%" PRIu64, child->in.auth_failures);
		vici_kvf(b, "seq-in", "%" PRIu64, child->in.seq);
	}
	if (child->have_out)
		vici_kvf(b, "seq-out", "%" PRIu64, child->out.seq);
	if (child->inner_mtu)
		vici_kvf(b, "inner-mtu", "%u", (unsigned)child->inner_mtu);
	if (child->rekey_in_ms != IKE_NEVER)
		vici_kvf(b, "rekey-time", "%" PRIu64, child->rekey_in_ms / 1000);
	if (child->expires_in_ms != IKE_NEVER)
		vici_kvf(b, "life-time", "%" PRIu64, child->expires_in_ms / 1000);
	vici_kvf(b, "install-time", "%" PRIu64,
		 (daemon_now_ms() - child->info.installed_ms) / 1000);
}

void vici_sa_selectors(struct vici_builder *b, const char *key, const struct selector_list *list,
		       const struct selector_dynamic *dynamic)
{
	char text[SELECTOR_TEXT_MAX];

	vici_list(b, key);
	for (unsigned i = 0; dynamic && i < dynamic->n; i++)
		vici_item(b, selector_dynamic_format(&dynamic->s[i], text, sizeof(text)));
	for (unsigned i = 0; i < list->n; i++)
		vici_item(b, selector_format(&list->s[i], text, sizeof(text)));
	vici_list_end(b);
}

void vici_sa_child(struct vici_builder *b, const struct ike_run_child *child, unsigned flags)
{
	const struct ike_child_info *info = &child->info;
	char section[IKE_NAME_MAX + 16];

	snprintf(section, sizeof(section), "%s-%u", info->conf->name, child->id);
	vici_section(b, section);
	vici_kv(b, "name", info->conf->name);
	vici_kvf(b, "uniqueid", "%u", child->id);
	vici_kvf(b, "reqid", "%u", info->reqid);
	vici_kv(b, "state", child_state(child->info.state));
	vici_kv(b, "mode", info->transport ? "TRANSPORT" : "TUNNEL");
	vici_kv(b, "protocol", "ESP");
	if (info->udp_encap)
		vici_kv(b, "encap", "yes");
	if (child->if_id) {
		vici_kvf(b, "if-id-in", "%08x", child->if_id);
		vici_kvf(b, "if-id-out", "%08x", child->if_id);
		vici_kv(b, "interface", child->iface);
	}
	vici_kvf(b, "spi-in", "%08x", info->spi_in);
	vici_kvf(b, "spi-out", "%08x", info->spi_out);
	put_algorithm(b, "encr-alg", "encr-keysize", &info->encr);
	if (info->integ.id != INTEG_NONE)
		put_algorithm(b, "integ-alg", "integ-keysize", &info->integ);
	if (info->ke.type)
		put_algorithm(b, "dh-group", NULL, &info->ke);
	if (info->esn)
		vici_kv(b, "esn", "1");
	if (!(flags & VICI_SA_NO_COUNTERS))
		put_counters(b, child);
	vici_sa_selectors(b, "local-ts", &info->local_ts, NULL);
	vici_sa_selectors(b, "remote-ts", &info->remote_ts, NULL);
	vici_section_end(b);
}
