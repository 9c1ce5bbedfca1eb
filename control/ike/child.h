// Child SAs of an IKE SA (RFC 7296 1.2, 2.9, 2.17): selectors, keys, install and remove.
#pragma once

#include "control/ike/sa.h"

// The selectors of a child's configuration, "dynamic" filled in with the tunnel's addresses.
void child_selectors(const struct ike_sa *sa, const struct ike_child_conf *conf,
		     struct selector_list *local, struct selector_list *remote);

struct child_new { // what both sides have agreed on
	const struct ike_child_conf *conf;
	const struct proposal *esp;
	uint32_t spi_in, spi_out;
	struct selector_list local_ts, remote_ts;
	bool exchange_initiator;
};

// Derives keys, installs and reports. The reserved spi_in belongs to the child afterwards.
// False when the keys could not be made (reported, or memory); the SPI is then still reserved.
bool child_install(struct step *st, const struct child_new *new);

struct ike_child *child_by_spi_in(struct ike_sa *sa, uint32_t spi_in);
struct ike_child *child_by_spi_out(struct ike_sa *sa, uint32_t spi_out);
struct ike_child *child_wanting_delete(struct ike_sa *sa);
// Tells the dataplane, reports and frees. False when memory ran out: the child stays, for whoever
// destroys the SA to see.
bool child_remove(struct step *st, struct ike_child *child, bool peer_gone);
// The outbound SAs follow the IKE SA's addresses.
void children_move(struct step *st);
void children_remove_all(struct step *st, bool peer_gone);
