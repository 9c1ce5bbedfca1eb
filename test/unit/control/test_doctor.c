// The doctor: facts in, verdict out. A row for each code and each row of the truth table.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/doctor/doctor.h"
#include "control/tally.h"

#define FEW(count)                                                                                 \
	{                                                                                          \
		.known = true, .n = (count), .window_ms = 60000, .ever = true, .ago_ms = 2000      \
	}
#define NEVER                                                                                      \
	{                                                                                          \
		.known = true, .window_ms = 60000                                                  \
	}

static struct doctor_count few(uint64_t n)
{
	return (struct doctor_count)FEW(n);
}

static struct doctor_count never(void)
{
	return (struct doctor_count)NEVER;
}

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

// ---- patients ----

// The machine is well, the way leads to 198.51.100.9, and nothing of the connection is known yet.
static void well_host(struct doctor_facts *f)
{
	*f = (struct doctor_facts){0};
	strcpy(f->conn.name, "site-b");
	f->host.workers = (struct doctor_number){true, 2};
	f->host.workers_stuck = (struct doctor_number){true, 0};
	f->host.clock_synced = f->host.clock_plausible = DOCTOR_YES;
	f->host.disk_free_permille = (struct doctor_number){true, 500};
	f->host.up_ms = (struct doctor_number){true, 3600000};
	strcpy(f->port.name, "wan");
	f->port.link_up = DOCTOR_YES;
	f->port.rx = f->port.tx = few(1000);
	f->port.rx_missed = f->port.rx_errors = f->port.tx_errors = f->port.vlan_drops = never();
	f->route = (struct doctor_route_facts){.peer_known = DOCTOR_YES,
					       .have = DOCTOR_YES,
					       .own_addr = DOCTOR_YES,
					       .local = addr("192.0.2.1"),
					       .peer = addr("198.51.100.9"),
					       .next_hop = addr("192.0.2.254")};
	f->neigh.resolved = DOCTOR_YES;
	f->neigh.unanswered = f->neigh.mac_changes = never();
	f->ike.tx_500 = f->ike.tx_4500 = f->ike.rx_500 = f->ike.rx_4500 = never();
	f->ike.tx_refused = f->ike.unanswered = f->ike.unanswered_auth = never();
	f->ike.retransmits = f->ike.peer_repeats = f->ike.icmp.errors = never();
	f->guard.on = DOCTOR_YES;
	f->guard.came = f->guard.passed = f->guard.cookies = f->guard.limited = never();
	f->guard.all = f->guard.all_limited = f->guard.all_cookies = f->guard.punt_full = never();
	f->guard.scanners.known = f->guard.flooders.known = f->guard.backscatterers.known = true;
	f->esp.in = f->esp.out = f->esp.auth_failures = f->esp.replays = never();
	f->esp.unknown_spi = f->esp.moved = never();
	f->mtu.too_big = f->mtu.fragments_lost = never();
	f->load.lost = never();
	f->load.busiest_permille = f->load.mean_permille = (struct doctor_number){true, 20};
	f->load.control_late_ms = (struct doctor_number){true, 1};
	f->history.established = f->history.lost = f->history.dead_peer = never();
	f->history.restarts = f->history.rekeys_failed = never();
	f->conn.initiates = DOCTOR_YES;
	f->conn.children = (struct doctor_number){true, 1};
	f->conn.children_up = (struct doctor_number){true, 0};
}

static void up(struct doctor_facts *f)
{
	well_host(f);
	f->conn.stage = DOCTOR_STAGE_UP;
	f->conn.children_up.n = 1;
	f->conn.established_ms = (struct doctor_number){true, 900000};
	f->conn.heard_ms = (struct doctor_number){true, 5000};
	f->conn.port = 500;
	f->conn.worked = DOCTOR_YES;
	f->conn.encap = DOCTOR_NO;
	f->esp.in = f->esp.out = few(600);
	f->mtu.inner = (struct doctor_number){true, 1438};
	f->mtu.port = (struct doctor_number){true, 1500};
	f->history.established = few(1);
}

// Asks, and nothing comes.
static void silent(struct doctor_facts *f)
{
	well_host(f);
	f->conn.stage = DOCTOR_STAGE_INIT;
	f->ike.tx_500 = few(4);
	f->ike.retransmits = few(3);
	f->ike.asking_port = 500;
	f->ike.asking_tries = 4;
	f->ike.asking_ms = 30000;
	f->ike.longest = 464;
}

// IKE_SA_INIT is answered, IKE_AUTH is not.
static void silent_auth(struct doctor_facts *f)
{
	silent(f);
	f->conn.stage = DOCTOR_STAGE_AUTH;
	f->ike.rx_500 = few(1);
	f->ike.rx_500.ago_ms = 31000;
}

static void refused(struct doctor_facts *f)
{
	well_host(f);
	f->conn.stage = DOCTOR_STAGE_WAITS;
	f->ike.tx_500 = f->ike.rx_500 = few(2);
	f->conn.failure.ago_ms = 2000;
	f->conn.failure.count = 2;
	f->conn.failure.by_peer = true;
	strcpy(f->conn.failure.text, "why");
}

static void probe(struct doctor_probe *p, bool answered)
{
	p->answer = answered ? DOCTOR_ANSWERED : DOCTOR_SILENT;
	p->sent = 3;
	p->answered = answered ? 3 : 0;
}

static void probed(struct doctor_facts *f, bool echo, bool on_500, bool on_4500)
{
	silent(f);
	probe(&f->probe.echo, echo);
	probe(&f->probe.ike_500, on_500);
	probe(&f->probe.ike_500_large, on_500);
	probe(&f->probe.ike_4500, on_4500);
}

// ---- ailments ----

static void f_healthy(struct doctor_facts *f)
{
	up(f);
}
static void f_nothing(struct doctor_facts *f)
{
	*f = (struct doctor_facts){0};
}

static void f_idle(struct doctor_facts *f)
{
	well_host(f);
	f->conn.stage = DOCTOR_STAGE_IDLE;
	f->conn.initiates = DOCTOR_NO;
}

static void f_clock(struct doctor_facts *f)
{
	refused(f);
	f->host.clock_plausible = DOCTOR_NO;
	f->conn.failure.what = DOCTOR_FAILED_CERT;
	f->conn.failure.dates = true;
}

static void f_clock_both_certs(struct doctor_facts *f)
{
	refused(f);
	f->host.own_certs_valid = DOCTOR_NO;
	f->conn.failure.what = DOCTOR_FAILED_CERT;
	f->conn.failure.dates = true;
}

static void f_clock_up(struct doctor_facts *f)
{
	up(f);
	f->host.clock_plausible = DOCTOR_NO;
}

static void f_disk(struct doctor_facts *f)
{
	up(f);
	f->host.disk_free_permille.n = 0;
}

static void f_worker(struct doctor_facts *f)
{
	up(f);
	f->host.workers_stuck.n = 1;
	f->host.stuck_ms = 12000;
}

static void f_link(struct doctor_facts *f)
{
	silent(f);
	f->port.link_up = DOCTOR_NO;
}

static void f_vlan(struct doctor_facts *f)
{
	silent(f);
	f->port.rx = never();
	f->port.vlan_drops = few(40);
}

static void f_norx(struct doctor_facts *f)
{
	well_host(f);
	f->port.rx = never();
}

static void f_miss(struct doctor_facts *f)
{
	up(f);
	f->port.rx_missed = few(90);
}

static void f_noname(struct doctor_facts *f)
{
	silent(f);
	f->route = (struct doctor_route_facts){.peer_known = DOCTOR_NO};
}

static void f_noaddr(struct doctor_facts *f)
{
	silent(f);
	f->route.own_addr = DOCTOR_NO;
}

static void f_noroute(struct doctor_facts *f)
{
	silent(f);
	f->route.have = DOCTOR_NO;
}

static void f_noarp(struct doctor_facts *f)
{
	silent(f);
	f->neigh.resolved = DOCTOR_NO;
	f->neigh.unanswered = few(6);
}

static void f_noarp_peer(struct doctor_facts *f)
{
	f_noarp(f);
	f->route.next_hop = (struct ip_addr){0};
}

static void f_dupaddr(struct doctor_facts *f)
{
	silent(f);
	f->neigh.mac_changes = few(5);
}

static void f_icmp(struct doctor_facts *f, enum doctor_icmp what, const char *from)
{
	silent(f);
	f->ike.icmp = (struct doctor_icmp_facts){
		.errors = FEW(3), .last = what, .port = 500, .from = addr(from)};
}

static void f_unreach(struct doctor_facts *f)
{
	f_icmp(f, DOCTOR_ICMP_HOST, "203.0.113.1");
}
static void f_notlistening(struct doctor_facts *f)
{
	f_icmp(f, DOCTOR_ICMP_PORT, "198.51.100.9");
}
static void f_admin(struct doctor_facts *f)
{
	f_icmp(f, DOCTOR_ICMP_ADMIN, "203.0.113.1");
}
static void f_admin_peer(struct doctor_facts *f)
{
	f_icmp(f, DOCTOR_ICMP_ADMIN, "198.51.100.9");
}

static void f_icmp_stale(struct doctor_facts *f)
{
	up(f);
	f->ike.icmp =
		(struct doctor_icmp_facts){.errors = FEW(3), .last = DOCTOR_ICMP_PORT, .port = 500};
	f->ike.icmp.errors.ago_ms = 50000;
}

static void f_loss(struct doctor_facts *f)
{
	up(f);
	probe(&f->probe.echo, true);
	f->probe.echo.answered = 2;
}

static void f_ttlshift(struct doctor_facts *f)
{
	up(f);
	probe(&f->probe.echo, true);
	f->probe.echo.ttl = 50;
	f->probe.ttl_usual = 58;
}

static void f_icmponly(struct doctor_facts *f)
{
	up(f);
	probe(&f->probe.echo, false);
	probe(&f->probe.ike_500, true);
	probe(&f->probe.ike_4500, true);
}

static void f_all_silent(struct doctor_facts *f)
{
	probed(f, false, false, false);
}

static void f_localfilter(struct doctor_facts *f)
{
	silent(f);
	f->ike.tx_500 = never();
	f->ike.tx_refused = few(4);
	f->ike.tx_errno = EPERM;
}

static void f_txdrop(struct doctor_facts *f)
{
	f_localfilter(f);
	f->ike.tx_errno = ENOBUFS;
}

static void f_silent(struct doctor_facts *f)
{
	silent(f);
}

static void f_silent_attack(struct doctor_facts *f)
{
	silent(f);
	f->conn.worked = DOCTOR_YES;
	f->guard.flooders.n = 2;
	f->guard.per_second_max = 9000;
}

static void f_noanswer(struct doctor_facts *f)
{
	up(f);
	f->conn.suspect_ms = 20000;
	f->conn.heard_ms.n = 40000;
	f->esp.in.ago_ms = 30000;
	f->esp.in.n = 5;
}

static void f_noanswer_esp(struct doctor_facts *f)
{
	f_noanswer(f);
	f->esp.in = few(600);
}

static void f_noanswer_esp_4500(struct doctor_facts *f)
{
	f_noanswer_esp(f);
	f->conn.port = 4500;
}

static void f_localfilter_in(struct doctor_facts *f)
{
	silent(f);
	f->guard.came = f->guard.passed = few(6);
}

static void f_ringfull(struct doctor_facts *f)
{
	f_localfilter_in(f);
	f->guard.punt_full = few(500);
}

static void f_selfharm(struct doctor_facts *f)
{
	silent(f);
	f->guard.came = few(20);
	f->guard.came.ago_ms = 40000; // nothing that was let through since we asked
	f->guard.limited = few(20);
}

static void f_selfharm_up(struct doctor_facts *f)
{
	up(f);
	f->guard.came = f->guard.passed = few(20);
	f->guard.limited = few(3);
}

static void f_spoofpeer(struct doctor_facts *f)
{
	up(f);
	f->guard.came = few(300000);
	f->guard.limited = few(200000);
	f->guard.forged = DOCTOR_YES;
	strcpy(f->guard.forged_why, "openers without ever a cookie");
}

static void f_flood(struct doctor_facts *f)
{
	up(f);
	f->guard.flooders.n = 1;
	f->guard.worst = addr("203.0.113.66");
}

static void f_flood_rate(struct doctor_facts *f)
{
	up(f);
	f->guard.per_second = 5000;
}

static void f_reflect(struct doctor_facts *f)
{
	up(f);
	f->guard.backscatterers.n = 3;
	f->guard.backscatter = 99;
}

static void f_scan(struct doctor_facts *f)
{
	up(f);
	f->guard.scanners.n = 1;
	f->guard.scanned = 400;
}

static void f_scan_noise(struct doctor_facts *f)
{
	up(f);
	f->guard.scanners.n = 1;
	f->guard.scanned = 3;
}

static void f_500_attack(struct doctor_facts *f)
{
	probed(f, true, false, true);
	f->guard.per_second = 5000;
}

static void f_500(struct doctor_facts *f)
{
	probed(f, true, false, true);
}

static void f_500_alt(struct doctor_facts *f)
{
	probed(f, true, false, false);
	probe(&f->probe.ike_alt, true);
}

static void f_500out_hops(struct doctor_facts *f)
{
	f_500(f);
	f->probe.hops_500 = (struct doctor_hops){.probed = true, .last = 3};
	f->probe.hops_4500 = (struct doctor_hops){.probed = true, .last = 7};
}

static void f_500in_hops(struct doctor_facts *f)
{
	f_500(f);
	f->probe.hops_500 = (struct doctor_hops){.probed = true, .last = 7};
	f->probe.hops_4500 = (struct doctor_hops){.probed = true, .last = 7};
}

static void f_500sport(struct doctor_facts *f)
{
	f_500(f);
	probe(&f->probe.ike_500_other_source, true);
}

static void f_peerdown(struct doctor_facts *f)
{
	probed(f, true, false, false);
}

static void f_repeats(struct doctor_facts *f)
{
	well_host(f);
	f->conn.stage = DOCTOR_STAGE_IDLE;
	f->conn.initiates = DOCTOR_NO;
	f->ike.tx_500 = f->ike.rx_500 = few(4);
	f->ike.peer_repeats = few(3);
}

static void f_repeat_once(struct doctor_facts *f)
{
	f_repeats(f);
	f->ike.peer_repeats = few(1);
}

static void f_4500_answers_passively(struct doctor_facts *f)
{
	silent(f);
	f->ike.rx_4500 = few(2);
	f->ike.rx_4500.ago_ms = 35000; // before we asked on 500
}

static void f_4500(struct doctor_facts *f)
{
	silent_auth(f);
	f->ike.asking_port = 4500;
	f->ike.tx_4500 = few(3);
}

static void f_4500_probed(struct doctor_facts *f)
{
	f_icmponly(f);
	probe(&f->probe.echo, true);
	probe(&f->probe.ike_4500, false);
}

static void f_bigudp(struct doctor_facts *f)
{
	silent_auth(f);
	f->ike.longest = 1900;
}

static void f_small_auth(struct doctor_facts *f)
{
	silent_auth(f);
}

static void f_auth_given_up(struct doctor_facts *f)
{
	f_bigudp(f);
	f->conn.stage = DOCTOR_STAGE_WAITS;
	f->ike.unanswered = f->ike.unanswered_auth = few(1);
}

static void f_bigudp_probed(struct doctor_facts *f)
{
	probed(f, true, true, true);
	probe(&f->probe.ike_500_large, false);
}

static void f_500_answers_probe(struct doctor_facts *f)
{
	probed(f, true, true, true);
}

static void f_500loss(struct doctor_facts *f)
{
	up(f);
	f->ike.retransmits = few(4);
	f->ike.rx_500 = few(9);
}

static void f_500loss_probed(struct doctor_facts *f)
{
	up(f);
	probe(&f->probe.ike_500, true);
	f->probe.ike_500.answered = 1;
}

static void f_refused_probe(struct doctor_facts *f)
{
	probed(f, true, false, false);
	f->probe.ike_500.answer = DOCTOR_REFUSED;
	f->probe.ike_500.icmp = DOCTOR_ICMP_ADMIN;
	f->probe.ike_500.by = addr("203.0.113.1");
}

static void f_failure(struct doctor_facts *f, enum doctor_failure what)
{
	refused(f);
	f->conn.failure.what = what;
}

static void f_proposal(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_PROPOSAL);
}
static void f_ke(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_KE);
}
static void f_version(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_VERSION);
}
static void f_psk(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_PSK);
}
static void f_id(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_ID);
}
static void f_nosecret(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_NO_SECRET);
}
static void f_saidno(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_PEER_SAID_NO);
}
static void f_cert_ours(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_CERT);
}
static void f_ts(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_TS);
}
static void f_esp(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_ESP);
}

static void f_cert(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_CERT);
	f->conn.failure.by_peer = false;
	f->conn.failure.dates = true;
}

static void f_pfs(struct doctor_facts *f)
{
	up(f);
	f->conn.failure = (struct doctor_failure_facts){.what = DOCTOR_FAILED_PFS,
							.ago_ms = 2000,
							.count = 1,
							.by_peer = true,
							.authenticated = true};
}

static void f_child_down(struct doctor_facts *f)
{
	up(f);
	f->conn.stage = DOCTOR_STAGE_ESTABLISHED;
	f->conn.children_up.n = 0;
	f->esp.in = f->esp.out = never();
}

static void f_child_some(struct doctor_facts *f)
{
	up(f);
	f->conn.stage = DOCTOR_STAGE_ESTABLISHED;
	f->conn.children.n = 2;
}

static void f_oneway(struct doctor_facts *f)
{
	up(f);
	f->esp.in = never();
}

static void f_oneway_before(struct doctor_facts *f)
{
	up(f);
	f->esp.in = (struct doctor_count){
		.known = true, .window_ms = 60000, .ever = true, .ago_ms = 90000};
}

static void f_stalespi(struct doctor_facts *f)
{
	f_oneway(f);
	f->esp.unknown_spi = few(50);
}

static void f_stalespi_some(struct doctor_facts *f)
{
	up(f);
	f->esp.unknown_spi = few(50);
}

static void f_forged(struct doctor_facts *f)
{
	up(f);
	f->esp.auth_failures = few(7);
}

static void f_forged_all(struct doctor_facts *f)
{
	f_oneway(f);
	f->esp.auth_failures = few(7);
}

static void f_replay(struct doctor_facts *f)
{
	up(f);
	f->esp.replays = few(70);
}

static void f_rebind(struct doctor_facts *f)
{
	up(f);
	f->esp.moved = few(1);
}

static void f_quiet(struct doctor_facts *f)
{
	up(f);
	f->esp.in = f->esp.out = never();
}

static void f_blackhole(struct doctor_facts *f)
{
	f_icmponly(f);
	probe(&f->probe.echo, true);
	probe(&f->probe.echo_large, false);
	f->probe.echo_large_len = 1500;
	f->probe.echo_fits = 1400;
}

static void f_toobig(struct doctor_facts *f)
{
	up(f);
	f->mtu.too_big = few(100);
}

static void f_fragloss(struct doctor_facts *f)
{
	up(f);
	f->mtu.fragments_lost = few(100);
}

static void f_onecore(struct doctor_facts *f)
{
	up(f);
	f->load.busiest_permille.n = 990;
	f->load.mean_permille.n = 300;
}

static void f_full(struct doctor_facts *f)
{
	up(f);
	f->load.busiest_permille.n = 1000;
	f->load.mean_permille.n = 980;
}

static void f_lost(struct doctor_facts *f)
{
	up(f);
	f->load.lost = few(12);
}

static void f_late(struct doctor_facts *f)
{
	up(f);
	f->load.control_late_ms.n = 4000;
}

static void f_flap(struct doctor_facts *f)
{
	up(f);
	f->history.lost = few(4);
}

static void f_restart(struct doctor_facts *f)
{
	up(f);
	f->history.restarts = few(1);
}

static void f_rekeyloss(struct doctor_facts *f)
{
	up(f);
	f->history.rekeys_failed = few(1);
}

enum { KEEP = 1 }; // the configuration

static const struct row {
	void (*make)(struct doctor_facts *f);
	enum doctor_status status;
	enum doctor_code code;
	enum doctor_owner owner;
	int keep;
	const char *evidence; // a piece of the verdict's rung, NULL: not looked at
} rows[] = {
	{f_healthy, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_quiet, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_nothing, DOCTOR_COULD_NOT_TELL, DOCTOR_NO_DATA, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_idle, DOCTOR_COULD_NOT_TELL, DOCTOR_I_NOTTRIED, DOCTOR_US, 0, "waits for traffic"},
	{f_clock, DOCTOR_DOWN, DOCTOR_E_CLOCK, DOCTOR_US, 0, "before this program was built"},
	{f_clock_both_certs, DOCTOR_DOWN, DOCTOR_E_CLOCK, DOCTOR_US, 0, "nor our own"},
	{f_clock_up, DOCTOR_DEGRADED, DOCTOR_E_CLOCK, DOCTOR_US, 0, NULL},
	{f_disk, DOCTOR_DEGRADED, DOCTOR_E_DISK, DOCTOR_US, 0, "0.0 %"},
	{f_worker, DOCTOR_DEGRADED, DOCTOR_E_WORKER, DOCTOR_US, 0, "1 of 2 workers"},
	{f_link, DOCTOR_DOWN, DOCTOR_P_DOWN, DOCTOR_US, 0, "wan has no link"},
	{f_vlan, DOCTOR_DOWN, DOCTOR_P_VLAN, DOCTOR_US, 0, "40 frames"},
	{f_norx, DOCTOR_COULD_NOT_TELL, DOCTOR_I_NOTTRIED, DOCTOR_US, 0, NULL},
	{f_miss, DOCTOR_DEGRADED, DOCTOR_P_MISS, DOCTOR_US, 0, "90 missed"},
	{f_noname, DOCTOR_DOWN, DOCTOR_R_NONAME, DOCTOR_US, 0, NULL},
	{f_noaddr, DOCTOR_DOWN, DOCTOR_R_NOADDR, DOCTOR_US, 0, NULL},
	{f_noroute, DOCTOR_DOWN, DOCTOR_R_NOROUTE, DOCTOR_US, 0, NULL},
	{f_noarp, DOCTOR_DOWN, DOCTOR_R_NOARP, DOCTOR_CARRIER, KEEP, "192.0.2.254"},
	{f_noarp_peer, DOCTOR_DOWN, DOCTOR_R_NOARP, DOCTOR_PEER, KEEP, "198.51.100.9"},
	{f_dupaddr, DOCTOR_DOWN, DOCTOR_R_DUPADDR, DOCTOR_CARRIER, KEEP, "5 times"},
	{f_unreach, DOCTOR_DOWN, DOCTOR_U_UNREACH, DOCTOR_CARRIER, KEEP, "203.0.113.1 says"},
	{f_loss, DOCTOR_DEGRADED, DOCTOR_U_LOSS, DOCTOR_CARRIER, KEEP, "2 of 3"},
	{f_ttlshift, DOCTOR_DEGRADED, DOCTOR_U_TTLSHIFT, DOCTOR_CARRIER, KEEP, "50"},
	{f_icmponly, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_all_silent, DOCTOR_DOWN, DOCTOR_U_SILENT, DOCTOR_OWNER_UNKNOWN, 0, "3 echoes"},
	{f_localfilter, DOCTOR_DOWN, DOCTOR_I_LOCALFILTER, DOCTOR_US, 0, "refused 4"},
	{f_txdrop, DOCTOR_DOWN, DOCTOR_I_TXDROP, DOCTOR_US, 0, NULL},
	{f_silent, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, "cannot be seen"},
	{f_silent_attack, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, KEEP, NULL},
	{f_noanswer, DOCTOR_DEGRADED, DOCTOR_I_NOANSWER, DOCTOR_OWNER_UNKNOWN, KEEP, "20 s"},
	{f_noanswer_esp, DOCTOR_DEGRADED, DOCTOR_F_500, DOCTOR_CARRIER, KEEP, "ESP came 2.0 s"},
	{f_noanswer_esp_4500, DOCTOR_DEGRADED, DOCTOR_F_PEERDOWN, DOCTOR_PEER, KEEP, "4500"},
	{f_localfilter_in, DOCTOR_DOWN, DOCTOR_I_LOCALFILTER_IN, DOCTOR_US, 0, "6 messages"},
	{f_ringfull, DOCTOR_DOWN, DOCTOR_I_RINGFULL, DOCTOR_US, 0, "500 were lost"},
	{f_selfharm, DOCTOR_DOWN, DOCTOR_A_SELFHARM, DOCTOR_US, 0, "20 of the peer's 20"},
	{f_selfharm_up, DOCTOR_DEGRADED, DOCTOR_A_SELFHARM, DOCTOR_US, 0, "3 of"},
	{f_spoofpeer, DOCTOR_DEGRADED, DOCTOR_A_SPOOFPEER, DOCTOR_OWNER_UNKNOWN, KEEP, "300000"},
	{f_flood, DOCTOR_DEGRADED, DOCTOR_A_FLOOD, DOCTOR_OWNER_UNKNOWN, KEEP, "203.0.113.66"},
	{f_flood_rate, DOCTOR_DEGRADED, DOCTOR_A_FLOOD, DOCTOR_OWNER_UNKNOWN, KEEP, NULL},
	{f_reflect, DOCTOR_DEGRADED, DOCTOR_A_REFLECT, DOCTOR_OWNER_UNKNOWN, KEEP, "99 answers"},
	{f_scan, DOCTOR_DEGRADED, DOCTOR_A_SCAN, DOCTOR_OWNER_UNKNOWN, KEEP, "400"},
	{f_scan_noise, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	// The truth table.
	{f_500_attack, DOCTOR_DOWN, DOCTOR_F_500SCRUB, DOCTOR_CARRIER, KEEP, "5000"},
	{f_500, DOCTOR_DOWN, DOCTOR_F_500, DOCTOR_CARRIER, KEEP, "4500 answers"},
	{f_500_alt, DOCTOR_DOWN, DOCTOR_F_500, DOCTOR_CARRIER, KEEP, "another port"},
	{f_500out_hops, DOCTOR_DOWN, DOCTOR_F_500OUT, DOCTOR_CARRIER, KEEP, "hop 3"},
	{f_500in_hops, DOCTOR_DOWN, DOCTOR_F_500IN, DOCTOR_CARRIER, KEEP, "hop 7"},
	{f_500sport, DOCTOR_DOWN, DOCTOR_F_500SPORT, DOCTOR_CARRIER, KEEP, NULL},
	{f_peerdown, DOCTOR_DOWN, DOCTOR_F_PEERDOWN, DOCTOR_OWNER_UNKNOWN, 0, "ping works"},
	{f_repeats, DOCTOR_DOWN, DOCTOR_F_500OUT, DOCTOR_CARRIER, KEEP, "3 times"},
	{f_repeat_once, DOCTOR_COULD_NOT_TELL, DOCTOR_NO_DATA, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_notlistening, DOCTOR_DOWN, DOCTOR_F_NOTLISTENING, DOCTOR_PEER, KEEP, "198.51.100.9"},
	{f_admin, DOCTOR_DOWN, DOCTOR_F_ADMIN, DOCTOR_CARRIER, KEEP, "203.0.113.1"},
	{f_admin_peer, DOCTOR_DOWN, DOCTOR_F_ADMIN, DOCTOR_PEER, KEEP, NULL},
	{f_icmp_stale, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_refused_probe, DOCTOR_DOWN, DOCTOR_F_ADMIN, DOCTOR_CARRIER, KEEP, NULL},
	{f_4500_answers_passively, DOCTOR_DOWN, DOCTOR_F_500, DOCTOR_CARRIER, KEEP, NULL},
	{f_4500, DOCTOR_DOWN, DOCTOR_F_4500, DOCTOR_CARRIER, KEEP, NULL},
	{f_4500_probed, DOCTOR_DEGRADED, DOCTOR_F_4500, DOCTOR_CARRIER, KEEP, NULL},
	{f_bigudp, DOCTOR_DOWN, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, KEEP, "1900 bytes"},
	{f_auth_given_up, DOCTOR_DOWN, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, KEEP, NULL},
	{f_small_auth, DOCTOR_DOWN, DOCTOR_F_500LOSS, DOCTOR_CARRIER, KEEP, NULL},
	{f_bigudp_probed, DOCTOR_DOWN, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, KEEP, "1200 bytes"},
	{f_500_answers_probe, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_500loss, DOCTOR_DEGRADED, DOCTOR_F_500LOSS, DOCTOR_CARRIER, KEEP, "4 requests"},
	{f_500loss_probed, DOCTOR_DEGRADED, DOCTOR_F_500LOSS, DOCTOR_CARRIER, KEEP, "1 of 3"},
	// Negotiation.
	{f_proposal, DOCTOR_DOWN, DOCTOR_N_PROPOSAL, DOCTOR_BOTH, 0, "not authenticated"},
	{f_ke, DOCTOR_DOWN, DOCTOR_N_KE, DOCTOR_BOTH, 0, NULL},
	{f_version, DOCTOR_DOWN, DOCTOR_N_VERSION, DOCTOR_PEER, 0, NULL},
	{f_psk, DOCTOR_DOWN, DOCTOR_N_PSK, DOCTOR_BOTH, 0, NULL},
	{f_id, DOCTOR_DOWN, DOCTOR_N_ID, DOCTOR_BOTH, 0, NULL},
	{f_nosecret, DOCTOR_DOWN, DOCTOR_N_NOSECRET, DOCTOR_US, 0, NULL},
	{f_saidno, DOCTOR_DOWN, DOCTOR_N_PEERSAIDNO, DOCTOR_BOTH, 0, NULL},
	{f_cert, DOCTOR_DOWN, DOCTOR_N_CERT, DOCTOR_PEER, 0, "refused by us"},
	{f_cert_ours, DOCTOR_DOWN, DOCTOR_N_CERT, DOCTOR_US, 0, "refused by the peer"},
	{f_ts, DOCTOR_DOWN, DOCTOR_C_TS, DOCTOR_BOTH, 0, NULL},
	{f_esp, DOCTOR_DOWN, DOCTOR_C_ESP, DOCTOR_BOTH, 0, NULL},
	{f_pfs, DOCTOR_DEGRADED, DOCTOR_C_PFS, DOCTOR_BOTH, 0, NULL},
	{f_child_down, DOCTOR_DOWN, DOCTOR_C_DOWN, DOCTOR_US, 0, "0 of 1"},
	{f_child_some, DOCTOR_DEGRADED, DOCTOR_C_DOWN, DOCTOR_US, 0, "1 of 2"},
	// What flows.
	{f_oneway, DOCTOR_DOWN, DOCTOR_D_ONEWAY, DOCTOR_OWNER_UNKNOWN, KEEP, "600 ESP"},
	{f_oneway_before, DOCTOR_DOWN, DOCTOR_D_ONEWAY, DOCTOR_CARRIER, KEEP, "last 90 s"},
	{f_stalespi, DOCTOR_DOWN, DOCTOR_D_STALESPI, DOCTOR_PEER, KEEP, "50"},
	{f_stalespi_some, DOCTOR_DEGRADED, DOCTOR_D_STALESPI, DOCTOR_PEER, KEEP, NULL},
	{f_forged, DOCTOR_DEGRADED, DOCTOR_D_FORGED, DOCTOR_OWNER_UNKNOWN, KEEP, "7 of 607"},
	{f_forged_all, DOCTOR_DOWN, DOCTOR_D_FORGED, DOCTOR_OWNER_UNKNOWN, KEEP, "none passed"},
	{f_replay, DOCTOR_DEGRADED, DOCTOR_D_REPLAY, DOCTOR_CARRIER, KEEP, "70 ESP"},
	{f_rebind, DOCTOR_DEGRADED, DOCTOR_D_REBIND, DOCTOR_CARRIER, KEEP, NULL},
	{f_blackhole, DOCTOR_DEGRADED, DOCTOR_M_BLACKHOLE, DOCTOR_CARRIER, KEEP, "1400 get"},
	{f_toobig, DOCTOR_DEGRADED, DOCTOR_M_TOOBIG, DOCTOR_US, 0, "100 packets"},
	{f_fragloss, DOCTOR_DEGRADED, DOCTOR_M_FRAGLOSS, DOCTOR_CARRIER, KEEP, NULL},
	{f_onecore, DOCTOR_DEGRADED, DOCTOR_L_ONECORE, DOCTOR_US, 0, "99 %"},
	{f_full, DOCTOR_DEGRADED, DOCTOR_L_FULL, DOCTOR_US, 0, "98 %"},
	{f_lost, DOCTOR_DEGRADED, DOCTOR_L_LOST, DOCTOR_US, 0, "12 packets"},
	{f_late, DOCTOR_DEGRADED, DOCTOR_L_CTRLLATE, DOCTOR_US, 0, "4000 ms"},
	{f_flap, DOCTOR_DEGRADED, DOCTOR_H_FLAP, DOCTOR_OWNER_UNKNOWN, KEEP, "4 times"},
	{f_restart, DOCTOR_DEGRADED, DOCTOR_H_RESTART, DOCTOR_PEER, KEEP, NULL},
	{f_rekeyloss, DOCTOR_DEGRADED, DOCTOR_H_REKEYLOSS, DOCTOR_OWNER_UNKNOWN, KEEP, NULL},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void test_verdicts(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];
		struct doctor_report r;
		struct doctor_facts f;
		bool same;

		row->make(&f);
		doctor_examine(&f, &r);
		same = r.status == row->status && r.code == row->code && r.owner == row->owner &&
		       r.keep_config == row->keep;
		if (same && row->evidence)
			same = strstr(r.finding[r.rung].evidence, row->evidence) != NULL;
		if (same)
			continue;
		wrong++;
		print_error("row %zu: expected %s %s %s %d '%s', got %s %s %s %d: %s\n", i,
			    doctor_status_name(row->status), doctor_code_name(row->code),
			    doctor_owner_name(row->owner), row->keep,
			    row->evidence ? row->evidence : "", doctor_status_name(r.status),
			    doctor_code_name(r.code), doctor_owner_name(r.owner), r.keep_config,
			    r.rung < RUNG_COUNT ? r.finding[r.rung].evidence : r.verdict);
	}
	assert_int_equal(wrong, 0);
}

// Each code is the verdict, or what a rung shows, of some row.
static void test_every_code_is_given(void **state)
{
	bool given[DOCTOR_CODE_COUNT] = {false};

	(void)state;
	for (size_t i = 0; i < N_ROWS; i++) {
		struct doctor_report r;
		struct doctor_facts f;

		rows[i].make(&f);
		doctor_examine(&f, &r);
		given[r.code] = true;
		for (unsigned k = 0; k < RUNG_COUNT; k++)
			given[r.finding[k].code] = true;
	}
	for (unsigned c = 0; c < DOCTOR_CODE_COUNT; c++)
		if (!given[c])
			fail_msg("no row gives %s", doctor_code_name((enum doctor_code)c));
}

static bool has_candidate(const struct doctor_report *r, enum doctor_code code)
{
	for (unsigned i = 0; i < r->n_candidates; i++)
		if (r->candidate[i].code == code)
			return true;
	return false;
}

static void test_candidates(void **state)
{
	static const struct {
		void (*make)(struct doctor_facts *f);
		enum doctor_code candidate;
		bool listed;
	} wanted[] = {
		{f_silent, DOCTOR_F_PEERDOWN, true},
		{f_silent, DOCTOR_F_500, true},
		{f_silent, DOCTOR_F_500SPORT, true},
		{f_silent, DOCTOR_F_500SCRUB, false},
		{f_silent_attack, DOCTOR_F_500SCRUB, true},
		{f_noarp, DOCTOR_P_NORX, true},
		{f_500, DOCTOR_F_500OUT, true},
		{f_500, DOCTOR_F_500IN, true},
		{f_4500, DOCTOR_F_BIGUDP, true},
		{f_bigudp, DOCTOR_F_500LOSS, true},
		{f_bigudp_probed, DOCTOR_F_500LOSS, false},
		{f_psk, DOCTOR_N_ID, true},
		{f_saidno, DOCTOR_N_CERT, true},
		{f_oneway, DOCTOR_C_TS, true},
		{f_forged_all, DOCTOR_D_STALESPI, true},
		{f_healthy, DOCTOR_F_500, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct doctor_report r;
		struct doctor_facts f;

		wanted[i].make(&f);
		doctor_examine(&f, &r);
		if (has_candidate(&r, wanted[i].candidate) != wanted[i].listed)
			fail_msg("row %zu: %s", i, doctor_code_name(wanted[i].candidate));
	}
}

// An expired certificate and a clock that nobody sets look alike.
static void test_clock_is_a_candidate_of_bad_dates(void **state)
{
	struct doctor_report r;
	struct doctor_facts f;

	(void)state;
	f_cert(&f);
	doctor_examine(&f, &r);
	assert_false(has_candidate(&r, DOCTOR_E_CLOCK));
	f.host.clock_synced = DOCTOR_NO;
	doctor_examine(&f, &r);
	assert_true(has_candidate(&r, DOCTOR_E_CLOCK));
}

static void check_report(const struct doctor_report *r)
{
	unsigned fail = 0;

	while (fail < RUNG_COUNT && r->finding[fail].state != DOCTOR_FAIL)
		fail++;
	if (fail < RUNG_COUNT) {
		assert_int_equal(r->rung, fail);
		assert_int_equal(r->code, r->finding[fail].code);
		assert_true(r->status == DOCTOR_DOWN || r->status == DOCTOR_DEGRADED);
	} else {
		assert_int_not_equal(r->status, DOCTOR_DOWN);
	}
	for (unsigned i = 0; i < RUNG_COUNT; i++) {
		const struct doctor_finding *x = &r->finding[i];

		assert_true(x->code < DOCTOR_CODE_COUNT);
		if (x->state == DOCTOR_FAIL)
			assert_int_equal(i, fail); // those above are not reached
		if (x->state == DOCTOR_FAIL || x->state == DOCTOR_WARN) {
			assert_int_equal(doctor_code_rung(x->code), i);
			assert_true(x->next[0]);
			assert_int_not_equal(x->confidence, DOCTOR_NO_CONFIDENCE);
		}
		if (x->state == DOCTOR_NOT_REACHED)
			assert_true(i > fail);
		assert_true(x->evidence[0]);
		assert_non_null(memchr(x->evidence, 0, sizeof(x->evidence)));
	}
	assert_true(r->verdict[0]);
	assert_true(r->n_candidates <= DOCTOR_CANDIDATES_MAX);
	if (r->owner == DOCTOR_US || r->owner == DOCTOR_BOTH)
		assert_false(r->keep_config);
}

static unsigned rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 32);
}

static void random_count(struct doctor_count *c)
{
	static const uint64_t sizes[] = {0, 1, 3, 20, 5000, UINT64_MAX / 4};

	*c = (struct doctor_count){.known = rnd() & 1, .window_ms = 60000};
	c->n = c->known ? sizes[rnd() % 6] : 0;
	c->ever = c->n > 0 || (rnd() & 1);
	c->ago_ms = rnd() % 60000;
}

static void random_probe(struct doctor_probe *p)
{
	*p = (struct doctor_probe){.answer = rnd() % 4, .sent = 3, .icmp = rnd() % 6};
	p->answered = p->answer == DOCTOR_ANSWERED ? 1 + rnd() % 3 : 0;
	p->ttl = (uint8_t)rnd();
}

// Facts of two patients, mixed, and counters and probes at random.
static void random_facts(struct doctor_facts *f)
{
	struct doctor_count *const counts[] = {
		&f->port.rx,
		&f->port.tx,
		&f->port.rx_missed,
		&f->port.vlan_drops,
		&f->neigh.unanswered,
		&f->neigh.mac_changes,
		&f->ike.tx_500,
		&f->ike.tx_4500,
		&f->ike.rx_500,
		&f->ike.rx_4500,
		&f->ike.tx_refused,
		&f->ike.unanswered,
		&f->ike.retransmits,
		&f->ike.peer_repeats,
		&f->ike.icmp.errors,
		&f->guard.came,
		&f->guard.passed,
		&f->guard.limited,
		&f->guard.all_limited,
		&f->guard.punt_full,
		&f->esp.in,
		&f->esp.out,
		&f->esp.auth_failures,
		&f->esp.replays,
		&f->esp.unknown_spi,
		&f->esp.moved,
		&f->mtu.too_big,
		&f->load.lost,
		&f->history.lost,
		&f->history.restarts,
		&f->ike.unanswered_auth,
	};
	struct doctor_probe *const probes[] = {
		&f->probe.echo,
		&f->probe.echo_large,
		&f->probe.ike_500,
		&f->probe.ike_500_large,
		&f->probe.ike_4500,
		&f->probe.ike_alt,
		&f->probe.ike_500_other_source,
		&f->probe.ike_500_fragment,
	};

	rows[rnd() % N_ROWS].make(f);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (rnd() % 4 == 0)
			random_count(counts[i]);
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		if (rnd() % 4 == 0)
			random_probe(probes[i]);
	if (rnd() % 3 == 0)
		f->conn.stage = rnd() % (DOCTOR_STAGE_UP + 1);
	if (rnd() % 3 == 0)
		f->conn.failure.what = rnd() % (DOCTOR_FAILED_PFS + 1);
	if (rnd() % 3 == 0)
		f->conn.suspect_ms = rnd() % 60000;
	if (rnd() % 3 == 0)
		f->guard.forged = rnd() % 3;
	if (rnd() % 3 == 0)
		f->ike.icmp.last = rnd() % 6;
	f->probe.hops_500 = (struct doctor_hops){.probed = rnd() & 1, .last = rnd() % 9};
	f->probe.hops_4500 = (struct doctor_hops){.probed = rnd() & 1, .last = rnd() % 9};
}

static void test_verdict_is_the_lowest_failed_rung(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		struct doctor_report r;
		struct doctor_facts f;

		random_facts(&f);
		doctor_examine(&f, &r);
		check_report(&r);
	}
}

static void test_wording(void **state)
{
	struct doctor_report r;
	struct doctor_facts f;

	(void)state;
	f_notlistening(&f);
	doctor_examine(&f, &r);
	assert_string_equal(r.verdict, "site-b is down: nothing listens on the peer's port");
	f_healthy(&f);
	doctor_examine(&f, &r);
	assert_string_equal(r.verdict, "site-b is healthy");
	f_idle(&f);
	doctor_examine(&f, &r);
	assert_string_equal(r.verdict,
			    "site-b is not up: nobody has tried: nothing was sent, nothing came");
}

// ---- tally ----

static void test_tally(void **state)
{
	struct tally t = {0};
	struct doctor_count c = tally_read(&t, 1000, TALLY_MINUTE_MS);

	(void)state;
	assert_true(c.known && !c.ever && c.n == 0);
	tally_note(&t, 3, 100000, TALLY_MINUTE_MS);
	tally_note(&t, 2, 130000, TALLY_MINUTE_MS);
	c = tally_read(&t, 131000, TALLY_MINUTE_MS);
	assert_int_equal(c.n, 5);
	assert_int_equal(c.ago_ms, 1000);
	assert_int_equal(tally_read(&t, 166000, TALLY_MINUTE_MS).n, 2); // the first is out
	c = tally_read(&t, 500000, TALLY_MINUTE_MS);
	assert_int_equal(c.n, 0);
	assert_true(c.ever && c.ago_ms == 370000);
	tally_note(&t, 1, 500000, TALLY_MINUTE_MS);
	assert_int_equal(tally_read(&t, 500000, TALLY_MINUTE_MS).n, 1); // and nothing old
}

static void test_tally_follows(void **state)
{
	struct tally t = {0};

	(void)state;
	tally_follow(&t, 1000, 5000, TALLY_MINUTE_MS); // what was before is not of now
	assert_int_equal(tally_read(&t, 5000, TALLY_MINUTE_MS).n, 0);
	tally_follow(&t, 1010, 6000, TALLY_MINUTE_MS);
	tally_follow(&t, 4, 7000, TALLY_MINUTE_MS); // begun anew
	tally_follow(&t, 6, 8000, TALLY_MINUTE_MS);
	assert_int_equal(tally_read(&t, 9000, TALLY_MINUTE_MS).n, 12);
	assert_int_equal(tally_read(&t, 9000, TALLY_MINUTE_MS).ago_ms, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_every_code_is_given),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_clock_is_a_candidate_of_bad_dates),
		cmocka_unit_test(test_verdict_is_the_lowest_failed_rung),
		cmocka_unit_test(test_wording),
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_tally_follows),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
