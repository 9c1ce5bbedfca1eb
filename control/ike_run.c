#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "control/conn_index.h"
#include "control/openssl/cred.h"
#include "control/openssl/ike_openssl.h"

uint64_t run_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t run_jitter(struct ike_run *run, uint64_t ms)
{
	uint32_t r = 0;

	if (run->crypto->random(run->crypto->ctx, &r, sizeof(r)))
		return ms;
	return ms - ms / 5 + (ms * 2 / 5) * (r % 1024) / 1024;
}

uint64_t run_random(struct ike_run *run, uint64_t max)
{
	uint64_t r = 0;

	if (run->crypto->random(run->crypto->ctx, &r, sizeof(r)))
		return 0;
	return max == UINT64_MAX ? r : r % (max + 1);
}

int run_event_after(struct event *ev, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (long)(ms % 1000) * 1000};

	return event_add(ev, &tv) ? -ENOMEM : 0;
}

// ---- what the core asks for ----

static int env_spi_reserve(void *ctx, uint32_t *spi)
{
	struct ike_run *run = ctx;

	return dp_sa_in_reserve(run->dp, spi);
}

static void env_spi_release(void *ctx, uint32_t spi)
{
	struct ike_run *run = ctx;

	dp_sa_in_retire(run->dp, spi);
}

static void env_spi_mark(void *ctx, uint8_t spi[8])
{
	const struct ike_run *run = ctx;

	ike_mark_spi(&run->cookies.keys.mark, spi);
}

static bool env_child_sends(void *ctx, const struct ike_child_conf *conf)
{
	const struct conn_child *child = conf->user;

	(void)ctx;
	return child->sends_on != 0;
}

static bool env_child_used(void *ctx, uint32_t spi_in)
{
	struct ike_run *run = ctx;
	struct dp_sa_stats st;

	return dp_sa_in_stats(run->dp, spi_in, &st) == 0 && st.packets > 0;
}

static const struct secret *env_psk_find(void *ctx, const struct identity *local,
					 const struct identity *remote)
{
	struct ike_run *run = ctx;
	const struct config_psk *psk = config_psk_find(run->config, local, remote);

	return psk ? &psk->key : NULL;
}

static const struct ike_conn *const *env_conns_find(void *ctx, const struct ip_addr *local,
						    const struct ip_addr *remote)
{
	struct ike_run *run = ctx;

	return run->index ? conn_index_find(run->index, local, remote) : NULL;
}

static bool env_may_join(void *ctx, const struct ike_conn *ike, const struct identity *local,
			 const struct identity *remote, bool only)
{
	const struct conn *c = ike->user;

	(void)ctx;
	return c->unique != UNIQUE_KEEP || only || !run_rival_exists(c, local, remote);
}

static bool env_explain(void *ctx, const struct ip_addr *remote, bool *stranger)
{
	struct ike_run *run = ctx;
	bool peer = run->index && conn_index_names(run->index, remote);

	*stranger = !peer;
	return refusal_budget_take(&run->explained, remote, peer, run_now_ms());
}

static const struct ike_conn *const *env_conns_signing(void *ctx, const struct ip_addr *local,
						       const struct ip_addr *remote)
{
	struct ike_run *run = ctx;

	return conn_index_signing(run->index, local, remote);
}

static const struct ike_conn *const *env_conns_named(void *ctx, const struct ip_addr *local,
						     const struct ip_addr *remote,
						     const struct identity *id)
{
	struct ike_run *run = ctx;

	return run->index ? conn_index_named(run->index, local, remote, id) : NULL;
}

struct cred *ike_run_swap_creds(struct ike_run *run, struct cred *creds)
{
	struct cred *before = run->creds;

	run->creds = creds;
	run->env.cred = creds ? cred_table(creds) : NULL;
	return before;
}

// ---- create and destroy ----

int ike_run_create(struct event_base *base, struct dp *dp, struct ike_run **out, struct error *err)
{
	struct ike_run *run = calloc(1, sizeof(*run));
	int rc;

	if (!run)
		return error_set(err, -ENOMEM, "out of memory");
	run->base = base;
	run->dp = dp;
	run->sock = IKE_SOCKET_CLOSED;
	TAILQ_INIT(&run->sas);
	TAILQ_INIT(&run->closed);
	TAILQ_INIT(&run->to_sweep);
	TAILQ_INIT(&run->watches);
	TAILQ_INIT(&run->probes);
	TAILQ_INIT(&run->pace.ready);
	rc = ike_openssl_create(&run->crypto);
	if (rc) {
		error_set(err, rc, "OpenSSL lacks an algorithm that IKE needs: %s", strerror(-rc));
		goto fail;
	}
	run->env = (struct ike_env){
		.ctx = run,
		.crypto = run->crypto,
		.spi_reserve = env_spi_reserve,
		.spi_release = env_spi_release,
		.spi_mark = env_spi_mark,
		.psk_find = env_psk_find,
		.conns_find = env_conns_find,
		.conns_signing = env_conns_signing,
		.conns_named = env_conns_named,
		.child_sends = env_child_sends,
		.child_used = env_child_used,
		.explain = env_explain,
		.may_join = env_may_join,
	};
	rc = ike_socket_open(&run->sock, err);
	if (rc)
		goto fail;
	rc = peer_notes_create(&run->notes);
	if (!rc)
		rc = run_linger_start(run);
	if (!rc)
		rc = rx_start(run);
	if (!rc)
		rc = names_create(run);
	if (!rc)
		rc = run_addrs_create(run);
	if (!rc)
		rc = run_guard_create(run);
	if (!rc)
		rc = run_port_create(run);
	if (rc) {
		error_set(err, rc, "out of memory");
		goto fail;
	}
	*out = run;
	return 0;
fail:
	ike_run_destroy(run);
	return rc;
}

void ike_run_destroy(struct ike_run *run)
{
	struct run_sa *s;

	if (!run)
		return;
	run->shutting_down = true;
	run->observer = NULL;
	watch_destroy_all(run);
	run_probe_destroy(run);
	run_enter(run);
	while ((s = TAILQ_FIRST(&run->sas)))
		run_sa_drop(s);
	run_leave(run);
	if (run->n_conns)
		dp_policies_set(run->dp, NULL, 0);
	for (size_t i = 0; i < run->n_conns; i++)
		run_conn_put(run, run->conns[i]);
	names_destroy(run);
	run_addrs_destroy(run);
	run_guard_destroy(run);
	run_port_destroy(run);
	free(run->conns);
	conn_index_destroy(run->index);
	free(run->by_tunnel);
	run_linger_stop(run);
	rx_stop(run);
	cookie_jar_fini(&run->cookies);
	half_open_fini(&run->unproved);
	ike_socket_close(&run->sock);
	peer_notes_destroy(run->notes);
	ike_openssl_destroy(run->crypto);
	cred_destroy(run->creds);
	free(run);
}
