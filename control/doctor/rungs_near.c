// The lower rungs: this machine, and the way to the peer's address.
#include <inttypes.h>
#include <stdio.h>

#include "control/doctor/rungs.h"

#define DISK_FULL_PERMILLE 10
#define MISS_PER	   1000 // one packet in so many is worth a word
#define TTL_SHIFT	   2
#define QUIET_PORT	   5 // packets sent without any that came

void rung_host(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_host_facts *h = &f->host;
	bool dates = f->conn.failure.what == DOCTOR_FAILED_CERT && f->conn.failure.dates;
	char age[DOCTOR_AGE_TEXT_MAX], generation[48] = "";

	if (h->generation.known && h->generation.n > 1)
		snprintf(generation, sizeof(generation), ", configuration loaded %" PRIu64 " times",
			 h->generation.n);
	if (h->workers_stuck.known && h->workers_stuck.n > 0) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_E_WORKER, DOCTOR_US, DOCTOR_HIGH,
			    "%" PRIu64 " of %" PRIu64 " workers have not turned for %s",
			    h->workers_stuck.n, h->workers.n, age_text(h->stuck_ms, age));
		finding_next(out, "'port500 show workers' names it: is its CPU taken away, or the "
				  "thread stopped? Restart port500d if it stays so");
	} else if (h->clock_plausible == DOCTOR_NO || (dates && h->own_certs_valid == DOCTOR_NO)) {
		finding_set(out, dates ? DOCTOR_FAIL : DOCTOR_WARN, DOCTOR_E_CLOCK, DOCTOR_US,
			    h->clock_plausible == DOCTOR_NO ? DOCTOR_HIGH : DOCTOR_MEDIUM, "%s",
			    h->clock_plausible == DOCTOR_NO
				    ? "our clock shows a time before this program was built"
				    : "by our clock neither the peer's certificate nor our own is "
				      "valid");
		finding_next(out, "set the clock ('timedatectl'), and keep it by NTP");
	} else if (h->disk_free_permille.known && h->disk_free_permille.n < DISK_FULL_PERMILLE) {
		finding_set(out, DOCTOR_WARN, DOCTOR_E_DISK, DOCTOR_US, DOCTOR_HIGH,
			    "%" PRIu64 ".%" PRIu64 " %% of it are free",
			    h->disk_free_permille.n / 10, h->disk_free_permille.n % 10);
		finding_next(out, "make room: 'df -h' and 'journalctl --vacuum-size=100M'");
	} else if (h->workers.known) {
		finding_pass(out, "%" PRIu64 " worker%s; clock %s; %sup for %s%s", h->workers.n,
			     h->workers.n == 1 ? " turns" : "s turn",
			     h->clock_synced == DOCTOR_YES  ? "synchronised"
			     : h->clock_synced == DOCTOR_NO ? "plausible, not synchronised"
							    : "not checked",
			     h->hugepages == DOCTOR_NO ? "no hugepages, so slower; " : "",
			     h->up_ms.known ? age_text(h->up_ms.n, age) : "?", generation);
	} else {
		finding_unknown(out, "nothing is known of the host");
	}
}

void rung_port(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_port_facts *p = &f->port;
	uint64_t lost = p->rx_missed.n + p->rx_errors.n + p->tx_errors.n;

	if (p->link_up == DOCTOR_NO) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_P_DOWN, DOCTOR_US, DOCTOR_HIGH,
			    "port %s has no link", p->name);
		finding_next(out, "cable, transceiver, switch port; of a virtual machine: its "
				  "virtual function's state on the host");
	} else if (some(&p->vlan_drops) && none(&p->rx) && !ike_works(f)) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_P_VLAN, DOCTOR_US, DOCTOR_MEDIUM,
			    "%" PRIu64 " frames with another VLAN, none for port %s, in %" PRIu64
			    " s",
			    p->vlan_drops.n, p->name, p->vlan_drops.window_ms / 1000);
		finding_next(out, "compare 'vlan' of the port with the switch's: 'port500 capture "
				  "-w FILE --drops' shows the tags");
	} else if (none(&p->rx) && p->tx.known && p->tx.n >= QUIET_PORT && !ike_works(f)) {
		finding_set(out, DOCTOR_WARN, DOCTOR_P_NORX, DOCTOR_US, DOCTOR_LOW,
			    "port %s: %" PRIu64 " frames out and none in, in %" PRIu64 " s",
			    p->name, p->tx.n, p->tx.window_ms / 1000);
		finding_next(out, "is it the right network? VLAN, switch port, the MAC filter of a "
				  "virtual function");
	} else if (p->rx.known && lost > 0 && lost * MISS_PER >= p->rx.n) {
		finding_set(out, DOCTOR_WARN, DOCTOR_P_MISS, DOCTOR_US, DOCTOR_HIGH,
			    "port %s in %" PRIu64 " s: %" PRIu64 " received, %" PRIu64
			    " missed, %" PRIu64 " damaged, %" PRIu64 " not sent",
			    p->name, p->rx.window_ms / 1000, p->rx.n, p->rx_missed.n,
			    p->rx_errors.n, p->tx_errors.n);
		finding_next(out, p->rx_errors.n ? "cable or transceiver: 'port500 show ports "
						   "--xstats'"
						 : "more workers, or busy polling: 'port500 show "
						   "workers'");
	} else if (p->link_up == DOCTOR_YES) {
		finding_pass(out,
			     "port %s: link up; %" PRIu64 " frames in, %" PRIu64 " out, in %" PRIu64
			     " s",
			     p->name, p->rx.n, p->tx.n, p->rx.window_ms / 1000);
	} else {
		finding_unknown(out, "no route, so no port");
	}
}

void rung_route(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_route_facts *r = &f->route;
	char peer[IP_ADDR_TEXT_MAX], hop[IP_ADDR_TEXT_MAX], local[IP_ADDR_TEXT_MAX];

	ip_addr_format(&r->peer, peer, sizeof(peer));
	ip_addr_format(&r->local, local, sizeof(local));
	if (r->peer_known == DOCTOR_NO) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_R_NONAME, DOCTOR_US, DOCTOR_HIGH, "%s",
			    r->why[0] ? r->why : "remote_addrs leads to no address");
		finding_next(out, "DNS of this machine: 'getent ahosts NAME'");
	} else if (r->own_addr == DOCTOR_NO) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_R_NOADDR, DOCTOR_US, DOCTOR_HIGH, "%s",
			    r->why[0] ? r->why : "local_addrs is not on this machine");
		finding_next(out, "'addrs' of the port in the configuration, or 'ip addr'");
	} else if (r->have == DOCTOR_NO) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_R_NOROUTE, DOCTOR_US, DOCTOR_HIGH, "%s",
			    r->why[0] ? r->why : "no route leads to the peer through a port");
		finding_next(out,
			     "'ip route get %s' and 'port500 show routes': add a route through "
			     "a port",
			     peer);
	} else if (r->have == DOCTOR_YES) {
		finding_pass(out, "%s from %s by port %s, next hop %s", peer, local,
			     f->port.name[0] ? f->port.name : "?",
			     r->next_hop.family == IP_NONE
				     ? "the peer itself"
				     : ip_addr_format(&r->next_hop, hop, sizeof(hop)));
	} else {
		finding_unknown(out, "the peer's address is not known yet: it has to call first");
	}
}

static enum doctor_owner owner_of_hop(const struct doctor_facts *f)
{
	const struct doctor_route_facts *r = &f->route;

	return r->next_hop.family == IP_NONE || ip_addr_equal(&r->next_hop, &r->peer)
		       ? DOCTOR_PEER
		       : DOCTOR_CARRIER;
}

void rung_neigh(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_neigh_facts *n = &f->neigh;
	const struct ip_addr *hop =
		f->route.next_hop.family == IP_NONE ? &f->route.peer : &f->route.next_hop;
	char text[IP_ADDR_TEXT_MAX], last[DOCTOR_AGE_TEXT_MAX + 16];
	bool asked = some(&n->unanswered) || some(&f->ike.tx_500) || some(&f->ike.tx_4500);
	char waited[80] = "";

	ip_addr_format(hop, text, sizeof(text));
	if (some(&n->unanswered))
		snprintf(waited, sizeof(waited),
			 "; %" PRIu64 " packets waited in vain in %" PRIu64 " s", n->unanswered.n,
			 n->unanswered.window_ms / 1000);
	if (n->mac_changes.known && n->mac_changes.n >= 2) {
		finding_set(out, ike_works(f) ? DOCTOR_WARN : DOCTOR_FAIL, DOCTOR_R_DUPADDR,
			    owner_of_hop(f), DOCTOR_MEDIUM,
			    "the MAC address of %s changed %" PRIu64 " times in %" PRIu64 " s%s",
			    text, n->mac_changes.n, n->mac_changes.window_ms / 1000,
			    last_text(&n->mac_changes, last));
		finding_next(out,
			     "'tcpdump -ei %s arp and host %s' shows both stations; take the "
			     "address away from one",
			     f->port.name, text);
	} else if (n->resolved == DOCTOR_NO && asked && !ike_works(f)) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_R_NOARP, owner_of_hop(f), DOCTOR_MEDIUM,
			    "%s on port %s has not told its MAC address%s", text, f->port.name,
			    waited);
		finding_next(out, "is %s on, and in the same VLAN as port %s? Ask who runs it",
			     text, f->port.name);
	} else if (n->resolved == DOCTOR_YES) {
		finding_pass(out, "%s has told its MAC address", text);
	} else {
		finding_unknown(out, "nobody has asked for it yet");
	}
}

static const char *icmp_text(enum doctor_icmp what)
{
	static const char *const names[] = {
		[DOCTOR_ICMP_NONE] = "no error",
		[DOCTOR_ICMP_PORT] = "port unreachable",
		[DOCTOR_ICMP_ADMIN] = "administratively prohibited",
		[DOCTOR_ICMP_HOST] = "host unreachable",
		[DOCTOR_ICMP_NET] = "network unreachable",
		[DOCTOR_ICMP_TTL] = "time exceeded",
		[DOCTOR_ICMP_SIZE] = "too big",
	};

	return names[what];
}

static bool ike_probe_answered(const struct doctor_probe_facts *p)
{
	return p->ike_500.answer == DOCTOR_ANSWERED || p->ike_4500.answer == DOCTOR_ANSWERED ||
	       p->ike_alt.answer == DOCTOR_ANSWERED;
}

static bool is_unreachable(enum doctor_icmp what)
{
	return what == DOCTOR_ICMP_HOST || what == DOCTOR_ICMP_NET || what == DOCTOR_ICMP_TTL;
}

// ICMP that says: the peer cannot be reached at all.
static bool unreachable(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_icmp_facts *i = &f->ike.icmp;
	const struct doctor_probe *echo = &f->probe.echo;
	enum doctor_icmp what = DOCTOR_ICMP_NONE;
	struct ip_addr from = i->from;
	char text[IP_ADDR_TEXT_MAX], last[DOCTOR_AGE_TEXT_MAX + 16] = "";

	if (icmp_is_fresh(f) && is_unreachable(i->last)) {
		what = i->last;
		last_text(&i->errors, last);
	} else if (echo->answer == DOCTOR_REFUSED && is_unreachable(echo->icmp)) {
		what = echo->icmp;
		from = echo->by;
	}
	if (what == DOCTOR_ICMP_NONE || (echo->answer == DOCTOR_ANSWERED && !icmp_is_fresh(f)))
		return false;
	finding_set(out, DOCTOR_FAIL, DOCTOR_U_UNREACH,
		    what == DOCTOR_ICMP_HOST ? DOCTOR_PEER : DOCTOR_CARRIER, DOCTOR_MEDIUM,
		    "%s says: %s%s", ip_addr_format(&from, text, sizeof(text)), icmp_text(what),
		    last);
	finding_next(out,
		     what == DOCTOR_ICMP_HOST
			     ? "is the peer on? It does not answer %s, the last router before it"
			     : "ask who runs %s: it has no way to the peer",
		     text);
	return true;
}

void rung_reach(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_probe_facts *p = &f->probe;
	const struct doctor_probe *echo = &p->echo;
	char age[DOCTOR_AGE_TEXT_MAX];
	uint64_t heard_ms;
	bool heard = peer_heard(f, &heard_ms) || ike_probe_answered(p);
	int shift = (int)echo->ttl - (int)p->ttl_usual;

	if (unreachable(f, out))
		return;
	if (echo->answer == DOCTOR_ANSWERED && echo->answered < echo->sent) {
		finding_set(out, DOCTOR_WARN, DOCTOR_U_LOSS, DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "%u of %u echoes came back", echo->answered, echo->sent);
		finding_next(out, "ask the carrier about loss; ICMP alone may be rate-limited");
	} else if (echo->answer == DOCTOR_ANSWERED && p->ttl_usual && echo->ttl &&
		   (shift >= TTL_SHIFT || shift <= -TTL_SHIFT)) {
		finding_set(out, DOCTOR_WARN, DOCTOR_U_TTLSHIFT, DOCTOR_CARRIER, DOCTOR_LOW,
			    "TTL of the answers is %u, the peer's own packets have %u", echo->ttl,
			    p->ttl_usual);
		finding_next(out, "the route has changed, or somebody else answers: traceroute");
	} else if (echo->answer == DOCTOR_ANSWERED) {
		finding_pass(out, "%u of %u echoes came back, %u.%03u ms", echo->answered,
			     echo->sent, echo->rtt_us / 1000, echo->rtt_us % 1000);
	} else if (echo->answer != DOCTOR_NOT_PROBED && heard) {
		finding_pass(out, "no echo came back, and yet the peer's packets come: ICMP is "
				  "filtered, ignore ping");
		out->code = DOCTOR_U_ICMPONLY;
	} else if (echo->answer != DOCTOR_NOT_PROBED) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_U_SILENT, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
			    "none of %u echoes came back, and nothing else of the peer",
			    echo->sent);
		finding_next(out,
			     "is the peer on? Ask its people by another way, then the carrier");
	} else if (heard) {
		finding_pass(out, "the peer's last packet came %s ago", age_text(heard_ms, age));
	} else {
		finding_unknown(out, "not probed, and nothing of the peer has come lately");
	}
}
