// The doctor's patients: facts, from a gateway that is well to each ailment. For test_doctor.c
// alone.
#pragma once

#include <errno.h>
#include <string.h>

#include "control/doctor/doctor.h"

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
	f->ike.retransmits = f->ike.peer_repeats = f->ike.icmp.errors = f->ike.late = never();
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

static void f_guard_off(struct doctor_facts *f)
{
	up(f);
	f->guard.on = DOCTOR_NO;
	f->host.hugepages = DOCTOR_NO;
	f->host.generation = (struct doctor_number){true, 3};
}

static void f_nat(struct doctor_facts *f)
{
	up(f);
	f->conn.nat = DOCTOR_YES;
	f->esp.selector_drops = few(7);
}

static void f_bigudp_probed_4500(struct doctor_facts *f)
{
	struct doctor_probe_facts p;

	probed(f, true, true, true);
	p = f->probe;
	up(f);
	f->probe = p;
	probe(&f->probe.ike_4500_fragment, false);
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

static void f_netunreach(struct doctor_facts *f)
{
	f_icmp(f, DOCTOR_ICMP_NET, "203.0.113.1");
}
static void f_loop(struct doctor_facts *f)
{
	f_icmp(f, DOCTOR_ICMP_TTL, "203.0.113.1");
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

static void f_localfilter_in_once(struct doctor_facts *f)
{
	silent(f);
	f->guard.came = f->guard.passed = few(1);
}

static void f_first_answer_on_its_way(struct doctor_facts *f)
{
	f_localfilter_in_once(f);
	f->ike.asking_tries = 1;
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
	f->guard.came.ago_ms = 20000; // since we asked
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
}

// Up, by on_500_blocked.
static void f_detour(struct doctor_facts *f)
{
	up(f);
	f->conn.port = 4500;
	f->conn.left_500_ms = 42000;
	f->conn.left_500_silent = 3;
}

// Long given up, and the peer has come by itself since.
static void f_given_up_and_up(struct doctor_facts *f)
{
	up(f);
	f->conn.port = 4500;
	f->ike.rx_500 = never();
	f->ike.rx_4500 = few(2);
	f->ike.asking_port = 500;
	f->ike.asking_tries = 6;
	f->ike.asking_ms = 400000;
	f->ike.unanswered = few(1);
	f->ike.unanswered.ago_ms = 400000;
}

// What came before we asked says nothing of the path of now: the peer may have gone since.
static void f_silent_since(struct doctor_facts *f)
{
	silent(f);
	f->ike.rx_500 = f->ike.rx_4500 = f->guard.came = few(2);
	f->ike.rx_500.ago_ms = f->ike.rx_4500.ago_ms = 32000;
	f->guard.came.ago_ms = 29000; // noticed when the guard's counts were looked at
}

static void f_silent_since_4500(struct doctor_facts *f)
{
	f_silent_since(f);
	f->ike.rx_500 = never();
}

static void f_probed_since_4500(struct doctor_facts *f)
{
	f_silent_since_4500(f);
	f->probe.ike_500.answer = f->probe.ike_4500.answer = DOCTOR_SILENT;
	f->probe.ike_500.sent = f->probe.ike_4500.sent = 4;
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
	f->ike.late = few(2);
}

static void f_late_once(struct doctor_facts *f)
{
	up(f);
	f->ike.retransmits = few(4);
	f->ike.late = few(1);
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
static void f_noauth(struct doctor_facts *f)
{
	well_host(f);
	f->conn.stage = DOCTOR_STAGE_IDLE;
	f->ike.rx_500 = f->ike.tx_500 = few(2);
	f->ike.no_auth = few(2);
}
static void f_noauth_before(struct doctor_facts *f)
{
	f_noauth(f);
	f->history.established = few(1);
	f->ike.no_auth.ago_ms = 30000;
}

// It answers our IKE_SA_INIT by IKEv1.
static void f_v1_answers(struct doctor_facts *f)
{
	silent(f);
	f->ike.rx_500 = f->ike.rx_v1 = few(4);
	f->ike.rx_v1.window_ms = 600000;
	f->ike.v1_answers = true;
	f->guard.came = f->guard.passed = few(4);
}

static void f_v1_calls(struct doctor_facts *f)
{
	well_host(f);
	f->conn.stage = DOCTOR_STAGE_IDLE;
	f->ike.rx_500 = f->ike.rx_v1 = few(3);
	f->guard.came = f->guard.passed = few(3);
}

// It has no connection for IKEv2, and calls by IKEv1.
static void f_v1_refuses(struct doctor_facts *f)
{
	refused(f);
	f->conn.failure.what = DOCTOR_FAILED_PROPOSAL;
	f->conn.failure.ago_ms = 9000;
	f->ike.rx_500 = f->ike.rx_v1 = few(3);
}

// Since then it has sent IKEv2.
static void f_v1_before(struct doctor_facts *f)
{
	f_v1_calls(f);
	f->ike.rx_v1.ago_ms = 30000;
}

static void f_v1_forged(struct doctor_facts *f)
{
	f_v1_calls(f);
	f->guard.forged = DOCTOR_YES;
}

static void f_v1_and_up(struct doctor_facts *f)
{
	up(f);
	f->ike.rx_500 = f->ike.rx_v1 = few(3);
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
static void f_saidno_by_cert(struct doctor_facts *f)
{
	f_saidno(f);
	f->host.own_certs_valid = DOCTOR_YES;
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

static void expired(struct doctor_facts *f)
{
	f->host.own_certs_valid = DOCTOR_NO;
	strcpy(f->host.own_cert_why, "certificate 'CN=gw-a' of issuer 'CN=Root' expired on 1 May");
}
static void f_owncert_idle(struct doctor_facts *f)
{
	f_idle(f);
	expired(f);
}
static void f_owncert_up(struct doctor_facts *f)
{
	up(f);
	expired(f);
}
static void f_owncert_refused(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_PEER_SAID_NO);
	expired(f);
}
static void f_owncert_and_psk(struct doctor_facts *f)
{
	f_failure(f, DOCTOR_FAILED_PSK);
	f->conn.failure.by_peer = false;
	expired(f);
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

// A tunnel that is up, and a probe that nothing answers on 500.
static void up_probed(struct doctor_facts *f, bool on_4500, uint16_t port)
{
	probed(f, true, false, on_4500);
	struct doctor_probe_facts p = f->probe;

	up(f);
	f->probe = p;
	f->probe.ago_ms = 2000;
	f->conn.port = port;
}
static void f_up_500_filtered(struct doctor_facts *f)
{
	up_probed(f, true, 500);
}
static void f_up_500_filtered_4500(struct doctor_facts *f)
{
	up_probed(f, true, 4500);
}
static void f_up_silent(struct doctor_facts *f)
{
	up_probed(f, false, 500);
}
static void f_up_silent_heard(struct doctor_facts *f) // since the probe
{
	up_probed(f, false, 4500);
	f->conn.heard_ms.n = 1000;
}
static void f_up_healed(struct doctor_facts *f)
{
	up_probed(f, true, 500);
	f->conn.heard_ms.n = 1000;
}
static void f_up_4500(struct doctor_facts *f)
{
	up(f);
	f->conn.port = 4500;
}
static void f_up_4500_called(struct doctor_facts *f)
{
	f_up_4500(f);
	f->ike.rx_500 = few(2);
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

static void f_oneway_now(struct doctor_facts *f)
{
	up(f);
	f->esp.in = few(100);
	f->esp.since = (struct doctor_number){true, 10};
	f->esp.in_before = f->esp.out_before = 590;
}

static void f_one_way_always(struct doctor_facts *f)
{
	f_oneway_now(f);
	f->esp.in_before = 100;
}

static void f_oneway_too_soon(struct doctor_facts *f)
{
	f_oneway_now(f);
	f->esp.in.ago_ms = 1500;
}

static void f_oneway_too_few(struct doctor_facts *f)
{
	f_oneway_now(f);
	f->esp.since.n = 4;
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

// The peer was away for a while, under traffic, and has just come back.
static void f_anew(struct doctor_facts *f)
{
	f_oneway_now(f);
	f->conn.established_ms.n = 1900;
	f->esp.in.ago_ms = 20000;
}
static void f_anew_never(struct doctor_facts *f)
{
	f_anew(f);
	f->esp.in = never();
}
static void f_anew_quiet(struct doctor_facts *f)
{
	f_anew(f);
	f->conn.established_ms.n = 15000;
	f->esp.since.n = 4;
}
static void f_anew_no_more(struct doctor_facts *f)
{
	f_anew(f);
	f->conn.established_ms.n = 4600;
}
static void f_anew_answered(struct doctor_facts *f)
{
	f_anew(f);
	f->conn.established_ms.n = 3000;
	f->esp.in.ago_ms = 2500;
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

// Forged openers come, and nothing of the peer itself.
static void f_forged_silent(struct doctor_facts *f)
{
	silent(f);
	f->ike.rx_500 = f->guard.came = f->guard.passed = few(500);
	f->guard.forged = DOCTOR_YES;
}

static void f_silent_refused(struct doctor_facts *f)
{
	f_notlistening(f);
	probe(&f->probe.echo, false);
}

static void f_echo_refused(struct doctor_facts *f)
{
	silent(f);
	f->probe.echo.answer = DOCTOR_REFUSED;
	f->probe.echo.icmp = DOCTOR_ICMP_HOST;
	f->probe.echo.by = addr("203.0.113.1");
}

static void f_only_500_probed(struct doctor_facts *f)
{
	silent(f);
	probe(&f->probe.ike_500, false);
}

static void f_idle_probed(struct doctor_facts *f)
{
	f_idle(f);
	probe(&f->probe.ike_500, true);
}

static void f_large_echo(struct doctor_facts *f)
{
	up(f);
	probe(&f->probe.echo, true);
	probe(&f->probe.echo_large, true);
	f->probe.echo_large_len = 1500;
}

static void f_norx_silent(struct doctor_facts *f)
{
	silent(f);
	f->port.rx = never();
}

static void f_silent_4500(struct doctor_facts *f)
{
	silent(f);
	f->ike.asking_port = 4500;
}

static void f_4500_silent_probed(struct doctor_facts *f)
{
	f_4500(f);
	probe(&f->probe.ike_4500, false);
}
