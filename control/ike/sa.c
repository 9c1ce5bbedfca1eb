#include "control/ike/sa.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/parked.h"

int octets_set(struct octets *o, const void *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (!copy)
		return -ENOMEM;
	if (len > 0)
		memcpy(copy, data, len);
	free(o->data);
	*o = (struct octets){copy, len};
	return 0;
}

void octets_fini(struct octets *o)
{
	free(o->data);
	*o = (struct octets){0};
}

bool sa_random_spi(const struct ike_env *env, uint8_t spi[8])
{
	static const uint8_t zero[8];

	// RFC 7296 3.1: zero means "not known yet".
	for (unsigned i = 0; i < 4; i++) {
		if (env->crypto->random(env->crypto->ctx, spi, 8) != 0)
			continue;
		if (env->spi_mark)
			env->spi_mark(env->ctx, spi);
		if (memcmp(spi, zero, 8) != 0)
			return true;
	}
	return false;
}

struct ike_sa *sa_create(const struct ike_env *env, bool original_initiator)
{
	struct ike_sa *sa = calloc(1, sizeof(*sa));

	if (!sa)
		return NULL;
	sa->env = env;
	sa->original_initiator = original_initiator;
	sa->give_up_ms = IKE_NEVER;
	sa->armed_ms = IKE_NEVER;
	sa->rekey_ms = sa->over_ms = IKE_NEVER;
	return sa;
}

uint64_t sa_later(const struct ike_sa *sa, uint64_t ms, uint64_t spread)
{
	const struct ike_crypto *c = sa->env->crypto;
	uint32_t r = 0;

	if (spread == 0 || c->random(c->ctx, &r, sizeof(r)))
		return ms;
	return ms + (uint64_t)r * spread / UINT32_MAX;
}

void sa_lifetime_start(struct ike_sa *sa, uint64_t now_ms)
{
	sa->established_ms = now_ms;
	sa_rekey_start(sa, now_ms);
}

void sa_rekey_start(struct ike_sa *sa, uint64_t now_ms)
{
	const struct ike_conn *conn = sa->conn;
	uint64_t rand_ms = conn->rand_time_ms;

	sa->rekey_ms = sa->over_ms = IKE_NEVER;
	if (conn->rekey_time_ms == 0)
		return;
	if (rand_ms >= conn->rekey_time_ms)
		rand_ms = conn->rekey_time_ms / 2;
	sa->rekey_ms = now_ms + sa_later(sa, conn->rekey_time_ms - rand_ms, rand_ms);
	if (conn->over_time_ms)
		sa->over_ms = now_ms + conn->rekey_time_ms + conn->over_time_ms;
}

int ike_sa_create_initiator(const struct ike_env *env, const struct ike_conn *conn,
			    const struct ip_endpoint *local, const struct ip_endpoint *remote,
			    struct ike_sa **out)
{
	struct ike_sa *sa = sa_create(env, true);

	if (!sa)
		return -ENOMEM;
	if (!sa_random_spi(env, sa->spi_i)) {
		free(sa);
		return -EIO;
	}
	sa->conn = conn;
	sa->local = *local;
	sa->remote = *remote;
	*out = sa;
	return 0;
}

int ike_sa_create_responder(const struct ike_env *env, struct ike_sa **out)
{
	struct ike_sa *sa = sa_create(env, false);

	if (!sa)
		return -ENOMEM;
	*out = sa;
	return 0;
}

void child_request_fini(struct ike_sa *sa)
{
	if (sa->child.spi_in)
		sa->env->spi_release(sa->env->ctx, sa->child.spi_in);
	kex_fini(sa->env, &sa->child.kex);
	sa->child = (struct child_request){0};
}

static bool is_configured(const struct ike_conn *conn, const struct ike_child_conf *conf)
{
	for (size_t i = 0; i < conn->n_children; i++)
		if (conn->children[i] == conf)
			return true;
	return false;
}

bool sa_want_child(struct ike_sa *sa, const struct ike_child_conf *conf, uint64_t retry_ms)
{
	struct child_want *wants;

	if (!is_configured(sa->conn, conf))
		return true; // retired meanwhile: nobody wants it
	for (size_t i = 0; i < sa->n_wants; i++)
		if (sa->wants[i].conf == conf)
			return true;
	wants = realloc(sa->wants, (sa->n_wants + 1) * sizeof(*wants));
	if (!wants)
		return false;
	sa->wants = wants;
	wants[sa->n_wants++] = (struct child_want){conf, retry_ms};
	return true;
}

void ike_child_free(struct ike_child *child)
{
	esp_sa_fini(&child->out);
	free(child);
}

void sa_forget_handshake(struct ike_sa *sa)
{
	parked_fini(&sa->parked);
	kex_fini(sa->env, &sa->kex);
	octets_fini(&sa->init_request);
	octets_fini(&sa->init_response);
}

void ike_sa_destroy(struct ike_sa *sa)
{
	if (!sa)
		return;
	// The other end of a rekeying under way does not look back.
	if (sa->rival && sa->rival->predecessor == sa)
		sa->rival->predecessor = NULL;
	if (sa->predecessor) {
		sa->predecessor->rival = NULL;
		sa->predecessor->rival_nonce.len = 0;
	}
	ike_sa_destroy(sa->next);
	child_request_fini(sa);
	free(sa->wants);
	sa_forget_handshake(sa);
	octets_fini(&sa->request.message);
	octets_fini(&sa->reply);
	parked_fini(&sa->parked);
	reassembly_fini(&sa->reassembly[0]);
	reassembly_fini(&sa->reassembly[1]);
	ike_keys_fini(&sa->keys);
	while (sa->children) {
		struct ike_child *next = sa->children->next;

		ike_child_free(sa->children);
		sa->children = next;
	}
	wipe(sa, sizeof(*sa));
	free(sa);
}

struct identity sa_identity_of(const struct identity *configured, const struct ip_addr *a)
{
	struct identity id = {0};

	if (configured->type != ID_ANY)
		return *configured;
	id.type = a->family == IP_V6 ? ID_IPV6_ADDR : ID_IPV4_ADDR;
	id.len = (uint16_t)ip_addr_len(a);
	memcpy(id.data, a->bytes, id.len);
	return id;
}

const struct secret *sa_psk(const struct ike_sa *sa, const struct identity *remote)
{
	static const struct identity any = {.type = ID_ANY};
	struct identity by_address = sa_identity_of(&any, &sa->remote.addr);
	const struct secret *psk = NULL;

	if (!identity_is_pattern(remote))
		psk = sa->env->psk_find(sa->env->ctx, &sa->local_id, remote);
	if (!psk && identity_is_pattern(&sa->conn->remote_id))
		psk = sa->env->psk_find(sa->env->ctx, &sa->local_id, &by_address);
	return psk;
}

static enum ike_state state_of(const struct ike_sa *sa)
{
	switch (sa->phase) {
	case PHASE_CREATED:
		return IKE_ST_CREATED;
	case PHASE_INIT_SENT:
	case PHASE_HALF_OPEN:
	case PHASE_AUTH_SENT:
		return IKE_ST_CONNECTING;
	case PHASE_ESTABLISHED:
		return sa->request.kind == REQUEST_REKEY ? IKE_ST_REKEYING : IKE_ST_ESTABLISHED;
	case PHASE_REKEYED:
		return IKE_ST_REKEYED;
	case PHASE_DELETING:
		return IKE_ST_DELETING;
	default:
		return IKE_ST_CLOSED;
	}
}

void ike_sa_info(const struct ike_sa *sa, struct ike_sa_info *out)
{
	*out = (struct ike_sa_info){
		.conn = sa->conn,
		.state = state_of(sa),
		.original_initiator = sa->original_initiator,
		.local = sa->local,
		.remote = sa->remote,
		.local_id = sa->local_id,
		.remote_id = sa->remote_id,
		.chosen = sa->chosen,
		.nat_local = sa->nat.local,
		.nat_remote = sa->nat.remote,
		.encap = sa->nat.encap,
		.mobike = sa->mobike.on,
		.created_ms = sa->created_ms,
		.established_ms = sa->established_ms,
		.rekey_ms = sa->rekey_ms,
		.retransmits = sa->request.kind == REQUEST_NONE ? 0 : sa->request.repeats,
		.tried = sa->request.kind != REQUEST_NONE && sa->request.tried,
	};
	memcpy(out->spi_i, sa->spi_i, 8);
	memcpy(out->spi_r, sa->spi_r, 8);
	for (const struct ike_child *c = sa->children; c; c = c->next)
		out->n_children++;
}

int ike_sa_child_info(const struct ike_sa *sa, size_t i, struct ike_child_info *out)
{
	const struct ike_child *c = sa->children;

	while (c && i-- > 0)
		c = c->next;
	if (!c)
		return -ENOENT;
	*out = c->info;
	if (c->deleting)
		out->state = IKE_CHILD_DELETING;
	else if (c->replacement || c->redundant || c->want_delete)
		out->state = IKE_CHILD_REKEYED;
	else if (sa->child.conf && sa->child.replaces == c->info.spi_in)
		out->state = IKE_CHILD_REKEYING;
	return 0;
}

bool ike_sa_has_child(const struct ike_sa *sa, const struct ike_child_conf *conf)
{
	if (sa->child.conf == conf)
		return true;
	for (const struct ike_child *c = sa->children; c; c = c->next)
		if (c->info.conf == conf)
			return true;
	for (size_t i = 0; i < sa->n_wants; i++)
		if (sa->wants[i].conf == conf)
			return true;
	return false;
}
