// Child SAs of an IKE SA (RFC 7296 1.2, 2.9, 2.17): selectors, keys, install and remove.
#pragma once

#include "control/ike/sa.h"

// The selectors of a child's configuration, "dynamic" filled in with the tunnel's addresses.
void child_selectors(const struct ike_sa *sa, const struct ike_child_conf *conf,
		     struct selector_list *local, struct selector_list *remote);

struct child_mode { // see child_mode.h
	bool transport;
	// With a NAT in between, the addresses as the peer has them in its packets; else IP_NONE.
	struct ip_addr local_oa, remote_oa;
};

struct child_new { // what both sides have agreed on
	const struct ike_child_conf *conf;
	const struct proposal *esp;
	uint32_t spi_in, spi_out;
	struct selector_list local_ts, remote_ts;
	struct child_mode mode;
	bool exchange_initiator;
	bool no_tfc; // the peer takes no packets that are padded to hide their size
	const struct ike_nonce *ni, *nr; // of the exchange
	const struct secret *shared;	 // of its own key exchange; NULL: none
	struct ike_child *replaces;	 // NULL: a further child
};

// Derives keys, installs and reports. The reserved spi_in belongs to the child afterwards.
// NULL when the keys could not be made (reported, or memory); the SPI is then still reserved.
struct ike_child *child_install(struct step *st, const struct child_new *new);

// Its tunnel sends on nothing: what waits for its use is used now, anything else rekeyed.
void child_restore(struct step *st, struct ike_child *child);

struct ike_child *child_by_spi_in(struct ike_sa *sa, uint32_t spi_in);
struct ike_child *child_by_spi_out(struct ike_sa *sa, uint32_t spi_out);
struct ike_child *child_wanting_delete(struct ike_sa *sa);
struct ike_child *child_wanting_rekey(struct ike_sa *sa, uint64_t now_ms);
// The child of that configuration that carries traffic and has no replacement, or NULL.
struct ike_child *child_by_conf(struct ike_sa *sa, const struct ike_child_conf *conf);
// Marks all SAs of it to be deleted, and makes none that was wanted.
void children_retire(struct ike_sa *sa, const struct ike_child_conf *conf);
void children_new_times(struct step *st); // plans their rekeying anew
// May the peer not know it yet?
bool child_is_doubtful(const struct ike_sa *sa, const struct ike_child *child);
// The next moment at which children_timer has something to do, or IKE_NEVER.
uint64_t children_due_ms(const struct ike_sa *sa);
// Lifetimes, and whether the peer uses what it made.
void children_timer(struct step *st);
// Tells the dataplane, reports and frees; its replacement, if any, is used from now on. False when
// memory ran out: the child stays, for whoever destroys the SA to see.
bool child_remove(struct step *st, struct ike_child *child, bool peer_gone);
// The outbound SAs follow the IKE SA's addresses.
void children_move(struct step *st);
void children_remove_all(struct step *st, bool peer_gone);
