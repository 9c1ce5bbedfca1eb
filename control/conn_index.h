// Finds the connections whose addresses fit a peer, the best first.
//
// Connections that name hosts are found by the peer's address; only those with %any or subnets are
// compared one by one. The last answer is kept: IKE_SA_INIT and IKE_AUTH ask the same, and so do
// all peers behind one address.
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
