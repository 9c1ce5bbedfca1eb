// Finds the connections whose addresses fit a peer, the best first.
//
// Connections that name hosts are found by the peer's address; only those with %any or subnets are
// compared one by one. The last answer is kept: all peers behind one address ask the same. Once the
// peer has said who it is, those that expect somebody else need not be looked at: thousands may
// share an address, or have none.
//
// Threads:   control only.
// Ownership: borrows the connections, which must not change while the index lives.
#pragma once

#include "control/conn.h"

struct conn_index;

// -ENOMEM.
int conn_index_create(struct conn *const *conns, size_t n, struct conn_index **out);
void conn_index_destroy(struct conn_index *x); // NULL is allowed
// By conn_match, in the order given among equals; ended by NULL. Good until the next call.
const struct ike_conn *const *conn_index_find(struct conn_index *x, const struct ip_addr *local,
					      const struct ip_addr *remote);
// Is the address one that a connection names as its peer's?
bool conn_index_names(const struct conn_index *x, const struct ip_addr *remote);
// Of these the ones that expect a signature of the peer, but of those that accept the same CAs and
// treat CERTREQ alike only the first: enough to know what IKE_SA_INIT has to say about
// certificates.
const struct ike_conn *const *conn_index_signing(struct conn_index *x, const struct ip_addr *local,
						 const struct ip_addr *remote);
// Of these the ones whose remote_id may stand for `id`: all that do, and few others.
const struct ike_conn *const *conn_index_named(struct conn_index *x, const struct ip_addr *local,
					       const struct ip_addr *remote,
					       const struct identity *id);
