// What has gone through a tunnel, over all its SAs.
//
// An SA counts for itself. The tunnel keeps a list of those that there are, also of ones that were
// retired and that some worker may still be using, and the sum of those that were freed: nothing is
// counted twice or lost when keys are replaced.
//
// Threads:   control only; the SAs' counters are read while workers write them.
// Ownership: held by the tunnel and by each of its SAs, as SAs may be freed after their tunnel.
#pragma once

#include <sys/queue.h>

#include "dataplane/dp.h"

struct sa_in;
struct sa_out;

struct tunnel_count {
	unsigned refs;
	struct dp_tunnel_totals gone; // of SAs that were freed
	LIST_HEAD(, sa_in) in;
	LIST_HEAD(, sa_out) out;
};

struct tunnel_count *tunnel_count_create(void); // one reference; NULL: out of memory
void tunnel_count_put(struct tunnel_count *c);	// NULL is allowed

// The SA is one of the tunnel's. `c` NULL: nobody counts it.
void tunnel_count_join_in(struct tunnel_count *c, struct sa_in *sa);
void tunnel_count_join_out(struct tunnel_count *c, struct sa_out *sa);
// It is about to be freed. Harmless for one that has not joined.
void tunnel_count_leave_in(struct sa_in *sa);
void tunnel_count_leave_out(struct sa_out *sa);
// `to` goes on with the counters of `from`.
void tunnel_count_move_out(struct sa_out *from, struct sa_out *to);

void tunnel_count_totals(const struct tunnel_count *c, struct dp_tunnel_totals *out);
