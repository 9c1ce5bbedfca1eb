#include "control/ike/nat.h"

#include <string.h>

#include "control/ike/payload.h"

// SHA-1(SPIi | SPIr | address | port)
static int nat_hash(const struct ike_crypto *c, const uint8_t spi_i[8], const uint8_t spi_r[8],
		    const struct ip_endpoint *e, uint8_t out[IKE_HASH_SHA1_LEN])
{
	uint8_t port[2] = {(uint8_t)(e->port >> 8), (uint8_t)e->port};
	struct ike_buf pieces[] = {
		{spi_i, 8},
		{spi_r, 8},
		{e->addr.bytes, ip_addr_len(&e->addr)},
		{port, 2},
	};

	return c->sha1(c->ctx, pieces, 4, out);
}

int nat_build(struct ike_builder *b, const struct ike_crypto *c, const uint8_t spi_i[8],
	      const uint8_t spi_r[8], const struct ip_endpoint *local,
	      const struct ip_endpoint *remote, bool pretend)
{
	struct ip_endpoint source = {local->addr, pretend ? 0 : local->port};
	uint8_t hash[IKE_HASH_SHA1_LEN];
	int err;

	err = nat_hash(c, spi_i, spi_r, &source, hash);
	if (err)
		return err;
	build_notify(b, N_NAT_DETECTION_SOURCE_IP, hash, sizeof(hash));
	err = nat_hash(c, spi_i, spi_r, remote, hash);
	if (err)
		return err;
	build_notify(b, N_NAT_DETECTION_DESTINATION_IP, hash, sizeof(hash));
	return 0;
}

// Does one of the notifies of that type hold the hash of `e`? A peer with several addresses
// sends one source notify for each.
static int nat_match(const struct ike_msg *m, const struct ike_crypto *c, uint16_t type,
		     const struct ip_endpoint *e, bool *seen, bool *match)
{
	uint8_t hash[IKE_HASH_SHA1_LEN];
	struct ike_notify n;
	int err = nat_hash(c, m->h.spi_i, m->h.spi_r, e, hash);

	*seen = *match = false;
	for (size_t i = 0; !err && ike_msg_notify(m, type, i, &n); i++) {
		*seen = true;
		if (n.len == sizeof(hash) && memcmp(n.data, hash, sizeof(hash)) == 0)
			*match = true;
	}
	return err;
}

int nat_check(const struct ike_msg *m, const struct ike_crypto *c, const struct ip_endpoint *local,
	      const struct ip_endpoint *remote, struct nat_result *out)
{
	bool source_seen, source_match, destination_seen, destination_match;
	int err;

	err = nat_match(m, c, N_NAT_DETECTION_SOURCE_IP, remote, &source_seen, &source_match);
	if (!err)
		err = nat_match(m, c, N_NAT_DETECTION_DESTINATION_IP, local, &destination_seen,
				&destination_match);
	if (err)
		return err;
	out->supported = source_seen && destination_seen;
	out->local = out->supported && !destination_match;
	out->remote = out->supported && !source_match;
	return 0;
}
