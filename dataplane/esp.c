#include "dataplane/esp.h"

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dataplane/dp_internal.h"

static int check_key(const struct transform *t, const struct secret *key, struct error *err)
{
	const size_t len = transform_find(t)->key_len;

	if (key->len == len)
		return 0;
	return error_set(err, -EINVAL, "%s key of %zu bytes where %zu are due",
			 transform_type_name(t->type), key->len, len);
}

int esp_sa_check(const struct esp_sa *sa, struct error *err)
{
	int res;

	if (sa->spi < ESP_SPI_MIN)
		return error_set(err, -EINVAL, "SPI 0x%08x is one of the reserved (RFC 4303 2.1)",
				 sa->spi);
	res = crypto_check(&sa->encr, &sa->integ, err);
	if (res != 0)
		return res;
	res = check_key(&sa->encr, &sa->encr_key, err);
	if (res == 0)
		res = check_key(&sa->integ, &sa->integ_key, err);
	if (res != 0)
		return res;
	if (sa->local.addr.family == IP_NONE || sa->local.addr.family != sa->remote.addr.family)
		return error_set(err, -EINVAL, "the tunnel's ends are not of one address family");
	if ((sa->local_oa.family != IP_NONE || sa->remote_oa.family != IP_NONE) &&
	    (sa->local_oa.family != sa->local.addr.family ||
	     sa->remote_oa.family != sa->local.addr.family))
		return error_set(err, -EINVAL,
				 "the original addresses are not of the SA's address family");
	if (sa->udp_encap && (sa->local.port == 0 || sa->remote.port == 0))
		return error_set(err, -EINVAL, "UDP encapsulation needs both ports");
	return 0;
}

static int copy_more(const struct esp_selectors_more *from, struct esp_selectors *to)
{
	to->more = rte_malloc("selectors", sizeof(*to->more), _Alignof(struct esp_selectors_more));
	if (to->more == NULL)
		return -ENOMEM;
	*to->more = *from;
	return 0;
}

static bool is_by_address(const struct ts4 *t)
{
	return t->proto == 0 && t->any_port;
}

int esp_sa_selectors(const struct esp_sa *sa, struct esp_selectors *out, struct error *err)
{
	struct ts4_pair pair[SELECTORS_MAX] = {0};
	struct esp_selectors_more more = {0};
	struct esp_selectors6 *s6 = &more.v6;
	struct esp_selectors s = {0};

	for (unsigned i = 0; i < sa->local_ts.n && i < SELECTORS_MAX; i++) {
		if (ts4_from_selector(&sa->local_ts.s[i], &pair[s.n_local].local))
			s.n_local++;
		else if (ts6_from_selector(&sa->local_ts.s[i], &s6->local[s6->n_local]))
			s6->n_local++;
	}
	for (unsigned i = 0; i < sa->remote_ts.n && i < SELECTORS_MAX; i++) {
		if (ts4_from_selector(&sa->remote_ts.s[i], &pair[s.n_remote].remote))
			s.n_remote++;
		else if (ts6_from_selector(&sa->remote_ts.s[i], &s6->remote[s6->n_remote]))
			s6->n_remote++;
	}
	if (s6->n_local == 0 || s6->n_remote == 0)
		s6->n_local = s6->n_remote = 0;
	if ((s.n_local == 0 || s.n_remote == 0) && s6->n_local == 0)
		return error_set(err, -ENOTSUP,
				 "no address family has traffic selectors on both sides");
	s.first = pair[0];
	s.by_address = s.n_local == 1 && s.n_remote == 1 && is_by_address(&pair[0].local) &&
		       is_by_address(&pair[0].remote);
	memcpy(more.pair, &pair[1], sizeof(more.pair));
	if ((s.n_local > 1 || s.n_remote > 1 || s6->n_local > 0) && copy_more(&more, &s) != 0)
		return error_set(err, -ENOMEM, "no memory for an SA: raise gateway.memory");
	*out = s;
	return 0;
}

int esp_selectors_copy(const struct esp_selectors *from, struct esp_selectors *to)
{
	*to = *from;
	return from->more != NULL ? copy_more(from->more, to) : 0;
}

void esp_selectors_fini(struct esp_selectors *s)
{
	rte_free(s->more);
	s->more = NULL;
}

int esp_sa_key(struct crypto *c, const struct esp_sa *sa, struct crypto_key *key, struct error *err)
{
	int res = crypto_key_init(c, key, sa);

	if (res != 0)
		return error_set(err, res, "the keys of the SA could not be expanded");
	return 0;
}

uint64_t esp_idle_ms(const struct dp *dp, uint64_t last_tsc)
{
	const uint64_t now = rte_rdtsc();

	if (last_tsc == 0)
		return UINT64_MAX;
	return now > last_tsc ? (now - last_tsc) / (dp->tsc_hz / 1000) : 0;
}
