// The doctor: facts in, verdict out. A row for each code and each row of the truth table.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "doctor_patients.h"
#include "control/tally.h"

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
	{f_netunreach, DOCTOR_DOWN, DOCTOR_U_UNREACH, DOCTOR_CARRIER, KEEP, "network"},
	{f_loop, DOCTOR_DOWN, DOCTOR_U_UNREACH, DOCTOR_CARRIER, KEEP, "time exceeded"},
	{f_unreach, DOCTOR_DOWN, DOCTOR_U_UNREACH, DOCTOR_PEER, KEEP, "203.0.113.1 says"},
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
	{f_localfilter_in_once, DOCTOR_DOWN, DOCTOR_I_LOCALFILTER_IN, DOCTOR_US, 0, "1 messages"},
	{f_first_answer_on_its_way, DOCTOR_COULD_NOT_TELL, DOCTOR_NO_DATA, DOCTOR_OWNER_UNKNOWN, 0,
	 NULL},
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
	{f_detour, DOCTOR_DEGRADED, DOCTOR_F_500, DOCTOR_CARRIER, KEEP, "has gone there for 42 s"},
	{f_up_500_filtered, DOCTOR_DEGRADED, DOCTOR_F_500, DOCTOR_CARRIER, KEEP, "500 silent"},
	{f_up_500_filtered_4500, DOCTOR_DEGRADED, DOCTOR_F_500, DOCTOR_CARRIER, KEEP, NULL},
	{f_up_silent, DOCTOR_DEGRADED, DOCTOR_F_PEERDOWN, DOCTOR_OWNER_UNKNOWN, KEEP,
	 "the last message came 5.0 s ago, ESP, last 2.0 s ago"},
	{f_up_silent_heard, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_up_healed, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_given_up_and_up, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_silent_since, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, "none in since"},
	{f_silent_since_4500, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_probed_since_4500, DOCTOR_DOWN, DOCTOR_F_PEERDOWN, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_4500, DOCTOR_DOWN, DOCTOR_F_4500, DOCTOR_CARRIER, KEEP, NULL},
	{f_4500_probed, DOCTOR_DEGRADED, DOCTOR_F_4500, DOCTOR_CARRIER, KEEP, NULL},
	{f_bigudp, DOCTOR_DOWN, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, KEEP, "1900 bytes"},
	{f_auth_given_up, DOCTOR_DOWN, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, KEEP, NULL},
	{f_small_auth, DOCTOR_DOWN, DOCTOR_F_500LOSS, DOCTOR_CARRIER, KEEP, NULL},
	{f_bigudp_probed, DOCTOR_DOWN, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, KEEP, "1100 bytes"},
	{f_bigudp_probed_4500, DOCTOR_DEGRADED, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, KEEP,
	 "UDP/4500: small requests are answered, fragmented"},
	{f_500_answers_probe, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_500loss, DOCTOR_DEGRADED, DOCTOR_F_500LOSS, DOCTOR_CARRIER, KEEP, "2 requests"},
	{f_late_once, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_500loss_probed, DOCTOR_DEGRADED, DOCTOR_F_500LOSS, DOCTOR_CARRIER, KEEP, "1 of 3"},
	{f_forged_silent, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0,
	 "only forged ones in"},
	{f_silent_refused, DOCTOR_DOWN, DOCTOR_F_NOTLISTENING, DOCTOR_PEER, KEEP, NULL},
	{f_echo_refused, DOCTOR_DOWN, DOCTOR_U_UNREACH, DOCTOR_PEER, KEEP, "203.0.113.1"},
	{f_only_500_probed, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_idle_probed, DOCTOR_COULD_NOT_TELL, DOCTOR_I_NOTTRIED, DOCTOR_US, 0, NULL},
	{f_large_echo, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_norx_silent, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_silent_4500, DOCTOR_DOWN, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, 0, "UDP/4500"},
	{f_4500_silent_probed, DOCTOR_DOWN, DOCTOR_F_4500, DOCTOR_CARRIER, KEEP, NULL},
	// Negotiation.
	{f_proposal, DOCTOR_DOWN, DOCTOR_N_PROPOSAL, DOCTOR_BOTH, 0, "not authenticated"},
	{f_ke, DOCTOR_DOWN, DOCTOR_N_KE, DOCTOR_BOTH, 0, NULL},
	{f_version, DOCTOR_DOWN, DOCTOR_N_VERSION, DOCTOR_PEER, 0, NULL},
	{f_noauth, DOCTOR_DOWN, DOCTOR_N_NOAUTH, DOCTOR_OWNER_UNKNOWN, 0, "2 times in 60 s"},
	{f_noauth_before, DOCTOR_COULD_NOT_TELL, DOCTOR_NO_DATA, DOCTOR_OWNER_UNKNOWN, 0, NULL},
	{f_v1_answers, DOCTOR_DOWN, DOCTOR_N_VERSION, DOCTOR_PEER, 0, "what answers our"},
	{f_v1_calls, DOCTOR_DOWN, DOCTOR_N_VERSION, DOCTOR_PEER, 0, "the peer calls us by IKEv1"},
	{f_v1_refuses, DOCTOR_DOWN, DOCTOR_N_VERSION, DOCTOR_PEER, 0, NULL},
	{f_v1_before, DOCTOR_COULD_NOT_TELL, DOCTOR_I_NOTTRIED, DOCTOR_US, 0, NULL},
	{f_v1_forged, DOCTOR_COULD_NOT_TELL, DOCTOR_I_NOTTRIED, DOCTOR_US, 0, NULL},
	{f_v1_and_up, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_psk, DOCTOR_DOWN, DOCTOR_N_PSK, DOCTOR_BOTH, 0, NULL},
	{f_id, DOCTOR_DOWN, DOCTOR_N_ID, DOCTOR_BOTH, 0, NULL},
	{f_nosecret, DOCTOR_DOWN, DOCTOR_N_NOSECRET, DOCTOR_US, 0, NULL},
	{f_saidno, DOCTOR_DOWN, DOCTOR_N_PEERSAIDNO, DOCTOR_BOTH, 0, NULL},
	{f_cert, DOCTOR_DOWN, DOCTOR_N_CERT, DOCTOR_PEER, 0, "refused by us"},
	{f_cert_ours, DOCTOR_DOWN, DOCTOR_N_CERT, DOCTOR_US, 0, "refused by the peer"},
	{f_owncert_idle, DOCTOR_DOWN, DOCTOR_N_OWNCERT, DOCTOR_US, 0, "expired on 1 May"},
	{f_owncert_up, DOCTOR_DEGRADED, DOCTOR_N_OWNCERT, DOCTOR_US, 0, "works until"},
	{f_owncert_refused, DOCTOR_DOWN, DOCTOR_N_OWNCERT, DOCTOR_US, 0, "refused us 2.0 s ago"},
	{f_owncert_and_psk, DOCTOR_DOWN, DOCTOR_N_PSK, DOCTOR_BOTH, 0, NULL},
	{f_ts, DOCTOR_DOWN, DOCTOR_C_TS, DOCTOR_BOTH, 0, NULL},
	{f_esp, DOCTOR_DOWN, DOCTOR_C_ESP, DOCTOR_BOTH, 0, NULL},
	{f_pfs, DOCTOR_DEGRADED, DOCTOR_C_PFS, DOCTOR_BOTH, 0, NULL},
	{f_child_down, DOCTOR_DOWN, DOCTOR_C_DOWN, DOCTOR_US, 0, "0 of 1"},
	{f_child_some, DOCTOR_DEGRADED, DOCTOR_C_DOWN, DOCTOR_US, 0, "1 of 2"},
	// What flows.
	{f_oneway, DOCTOR_DOWN, DOCTOR_D_ONEWAY, DOCTOR_OWNER_UNKNOWN, KEEP, "600 ESP"},
	{f_oneway_before, DOCTOR_DOWN, DOCTOR_D_ONEWAY, DOCTOR_CARRIER, KEEP, "last 90 s"},
	{f_oneway_now, DOCTOR_DOWN, DOCTOR_D_ONEWAY, DOCTOR_CARRIER, KEEP, "10 ESP packets out"},
	{f_one_way_always, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_oneway_too_soon, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_oneway_too_few, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_anew, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_anew_never, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_anew_quiet, DOCTOR_HEALTHY, DOCTOR_OK, DOCTOR_NOBODY, 0, NULL},
	{f_anew_no_more, DOCTOR_DOWN, DOCTOR_D_ONEWAY, DOCTOR_CARRIER, KEEP, "10 ESP packets out"},
	{f_anew_answered, DOCTOR_DOWN, DOCTOR_D_ONEWAY, DOCTOR_CARRIER, KEEP, NULL},
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
		{f_silent, DOCTOR_P_NORX, false},
		{f_norx_silent, DOCTOR_P_NORX, true},
		{f_silent_4500, DOCTOR_F_4500, true},
		{f_silent_4500, DOCTOR_F_500SPORT, false},
		{f_only_500_probed, DOCTOR_F_500SPORT, false},
		{f_4500_silent_probed, DOCTOR_F_BIGUDP, false},
		{f_noarp, DOCTOR_P_NORX, true},
		{f_500, DOCTOR_F_500OUT, true},
		{f_500, DOCTOR_F_500IN, true},
		{f_4500, DOCTOR_F_BIGUDP, true},
		{f_bigudp, DOCTOR_F_500LOSS, true},
		{f_bigudp_probed, DOCTOR_F_500LOSS, false},
		{f_proposal, DOCTOR_N_VERSION, true},
		{f_psk, DOCTOR_N_ID, true},
		{f_noauth, DOCTOR_F_4500, true},
		{f_noauth, DOCTOR_F_500OUT, true},
		{f_saidno, DOCTOR_N_CERT, false},
		{f_saidno_by_cert, DOCTOR_N_CERT, true},
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

// What a rung says that is not the verdict.
static void test_rungs(void **state)
{
	static const struct {
		void (*make)(struct doctor_facts *f);
		enum doctor_rung rung;
		enum doctor_state state;
		const char *evidence; // how it begins
	} says[] = {
		{f_healthy, RUNG_HOST, DOCTOR_PASS,
		 "2 workers turn; clock synchronised; up for 60 min"},
		{f_nothing, RUNG_HOST, DOCTOR_CANNOT_TELL, "nothing is known"},
		{f_healthy, RUNG_PORT, DOCTOR_PASS, "port wan: link up; 1000 frames in"},
		{f_nothing, RUNG_PORT, DOCTOR_CANNOT_TELL, "no route"},
		{f_norx, RUNG_PORT, DOCTOR_WARN, "port wan: 1000 frames out and none in"},
		{f_healthy, RUNG_ROUTE, DOCTOR_PASS,
		 "198.51.100.9 from 192.0.2.1 by port wan, next hop 192.0.2.254"},
		{f_nothing, RUNG_ROUTE, DOCTOR_CANNOT_TELL, "the peer's address is not known"},
		{f_healthy, RUNG_NEIGH, DOCTOR_PASS, "192.0.2.254 has told"},
		{f_nothing, RUNG_NEIGH, DOCTOR_CANNOT_TELL, "nobody has asked"},
		{f_healthy, RUNG_REACH, DOCTOR_PASS, "the peer's last packet came 2.0 s ago"},
		{f_idle, RUNG_REACH, DOCTOR_CANNOT_TELL, "not probed"},
		{f_icmponly, RUNG_REACH, DOCTOR_PASS, "no echo came back, and yet"},
		{f_large_echo, RUNG_REACH, DOCTOR_PASS, "3 of 3 echoes"},
		{f_silent, RUNG_UDP_OUT, DOCTOR_PASS,
		 "4 to UDP/500, 0 to 4500 in 60 s, last 2.0 s ago"},
		{f_4500, RUNG_UDP_OUT, DOCTOR_PASS, "4 to UDP/500, 3 to 4500 in 60 s, last 2.0 s"},
		{f_healthy, RUNG_UDP_OUT, DOCTOR_PASS, "nothing had to be sent"},
		{f_nothing, RUNG_UDP_OUT, DOCTOR_CANNOT_TELL, "not counted"},
		{f_healthy, RUNG_UDP_IN, DOCTOR_PASS, "nothing was due"},
		{f_repeats, RUNG_UDP_IN, DOCTOR_PASS,
		 "4 on UDP/500, 0 on 4500 in 60 s, last 2.0 s"},
		{f_selfharm, RUNG_UDP_IN, DOCTOR_PASS, "20 arrived, last 20 s ago"},
		{f_idle, RUNG_UDP_IN, DOCTOR_CANNOT_TELL, "nothing came, and nothing was asked"},
		{f_nothing, RUNG_UDP_IN, DOCTOR_CANNOT_TELL, "not counted"},
		{f_notlistening, RUNG_UDP_IN, DOCTOR_WARN, "4 messages out in 60 s, none in"},
		{f_silent_refused, RUNG_REACH, DOCTOR_WARN, "none of 3 echoes"},
		{f_healthy, RUNG_GUARD, DOCTOR_PASS, "0 messages in 60 s, 0 dropped"},
		{f_scan_noise, RUNG_GUARD, DOCTOR_PASS, "3 messages of 1 scanners"},
		{f_flood_rate, RUNG_GUARD, DOCTOR_WARN, "0 messages in 60 s"},
		{f_nothing, RUNG_GUARD, DOCTOR_CANNOT_TELL, "not counted"},
		{f_guard_off, RUNG_GUARD, DOCTOR_CANNOT_TELL, "the guard is off"},
		{f_guard_off, RUNG_HOST, DOCTOR_PASS,
		 "2 workers turn; clock synchronised; no hugepages, so slower; up for 60 min, "
		 "configuration loaded 3 times"},
		{f_nat, RUNG_INIT, DOCTOR_PASS, "answered; there is a NAT between us"},
		{f_nat, RUNG_ESP, DOCTOR_PASS,
		 "600 in, 600 out in 60 s; 7 of all tunnels did not fit their selectors"},
		{f_noarp, RUNG_GUARD, DOCTOR_PASS, "0 messages"}, // stands alone
		{f_noarp, RUNG_LOAD, DOCTOR_PASS, "workers busy"},
		{f_noarp, RUNG_ESP, DOCTOR_NOT_REACHED, "next hop comes first"},
		{f_healthy, RUNG_PATH, DOCTOR_PASS, "IKE goes both ways on UDP/500, last 5.0 s"},
		{f_up_4500, RUNG_PATH, DOCTOR_PASS,
		 "IKE goes both ways on UDP/4500, last 5.0 s ago; whether 500 passes is not known"},
		{f_up_4500_called, RUNG_PATH, DOCTOR_PASS,
		 "IKE goes both ways on UDP/4500, last 5.0 s ago; of 500 2 came in 60 s, last 2.0"},
		{f_anew, RUNG_ESP, DOCTOR_CANNOT_TELL,
		 "the IKE SA is 1.9 s old: 10 ESP packets out since, none in yet: too early"},
		{f_repeat_once, RUNG_PATH, DOCTOR_PASS, "messages come from the peer: 4"},
		{f_idle_probed, RUNG_PATH, DOCTOR_PASS, "UDP/500 answers the probe"},
		{f_idle, RUNG_PATH, DOCTOR_CANNOT_TELL, "not probed"},
		{f_healthy, RUNG_INIT, DOCTOR_PASS, "answered"},
		{f_psk, RUNG_INIT, DOCTOR_PASS, "was answered"},
		{f_idle, RUNG_INIT, DOCTOR_CANNOT_TELL, "no answer yet"},
		{f_healthy, RUNG_AUTH, DOCTOR_PASS,
		 "both sides have proved who they are, 15 min ago"},
		{f_ts, RUNG_AUTH, DOCTOR_PASS, "both sides had proved"},
		{f_idle, RUNG_AUTH, DOCTOR_CANNOT_TELL, "not got so far"},
		{f_healthy, RUNG_CHILD, DOCTOR_PASS, "1 of 1"},
		{f_idle, RUNG_CHILD, DOCTOR_CANNOT_TELL, "no IKE SA yet"},
		{f_healthy, RUNG_ESP, DOCTOR_PASS, "600 in, 600 out in 60 s"},
		{f_quiet, RUNG_ESP, DOCTOR_CANNOT_TELL, "0 in, 0 out in 60 s: too little"},
		{f_idle, RUNG_ESP, DOCTOR_CANNOT_TELL, "no child is up"},
		{f_healthy, RUNG_MTU, DOCTOR_PASS, "1438 bytes fit the tunnel"},
		{f_large_echo, RUNG_MTU, DOCTOR_PASS, "echoes of 1500 bytes with DF come back"},
		{f_idle, RUNG_MTU, DOCTOR_CANNOT_TELL, "no child is up"},
		{f_healthy, RUNG_LOAD, DOCTOR_PASS, "workers busy 2 %, the busiest 2 %"},
		{f_nothing, RUNG_LOAD, DOCTOR_CANNOT_TELL, "not measured"},
		{f_healthy, RUNG_HISTORY, DOCTOR_PASS, "established 1 time, lost 0 times"},
		{f_nothing, RUNG_HISTORY, DOCTOR_CANNOT_TELL, "not recorded"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		const struct doctor_finding *x;
		struct doctor_report r;
		struct doctor_facts f;

		says[i].make(&f);
		doctor_examine(&f, &r);
		x = &r.finding[says[i].rung];
		if (x->state != says[i].state ||
		    strncmp(x->evidence, says[i].evidence, strlen(says[i].evidence)) != 0)
			fail_msg("row %zu: %s '%s'", i, doctor_state_name(x->state), x->evidence);
	}
}

static void test_times(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} times[] = {
		{0, "0.0 s"},	   {9999, "9.9 s"},	{10000, "10 s"},
		{119999, "119 s"}, {120000, "2 min"},	{7199999, "119 min"},
		{7200000, "2 h"},  {172799999, "47 h"}, {172800000, "2 days"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct doctor_report r;
		struct doctor_facts f;

		up(&f);
		f.conn.established_ms.n = times[i].ms;
		doctor_examine(&f, &r);
		assert_non_null(strstr(r.finding[RUNG_AUTH].evidence, times[i].text));
	}
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
		if (!x->evidence[0])
			fail_msg("%s %s says nothing", doctor_rung_name((enum doctor_rung)i),
				 doctor_code_name(x->code));
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

// A long explanation ends with a whole clause.
static void test_long_explanation(void **state)
{
	struct doctor_report r;
	struct doctor_facts f;

	(void)state;
	f_proposal(&f);
	strcpy(f.conn.failure.text, "it refuses; we offered ");
	memset(f.conn.failure.text + 23, 'x', 450);
	doctor_examine(&f, &r);
	assert_non_null(strstr(r.finding[RUNG_INIT].evidence, "it refuses; ..."));
	strcpy(f.conn.failure.text, "it refuses; that is all");
	doctor_examine(&f, &r);
	assert_non_null(strstr(r.finding[RUNG_INIT].evidence, "it refuses; that is all"));
}

// 'port500 WORD ...' in a sentence: is it a command, with options and arguments that it has?
static void check_command(const char *text)
{
	char copy[DOCTOR_TEXT_MAX], *argv[12], *save = NULL;
	struct options o;
	struct error err;
	int argc = 0;

	snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(text, "'"), text);
	for (char *w = strtok_r(copy, " ", &save); w && argc < 12; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	if (options_parse(argc, argv, cli_commands, &o, &err))
		fail_msg("%.*s: %s", (int)strcspn(text, "'"), text, err.text);
}

static unsigned check_commands(const char *text)
{
	unsigned n = 0;

	for (; (text = strstr(text, "'port500 ")); text++, n++)
		check_command(text + 1);
	return n;
}

static void test_commands_exist(void **state)
{
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < N_ROWS; i++) {
		struct doctor_report r;
		struct doctor_facts f;

		rows[i].make(&f);
		doctor_examine(&f, &r);
		n += check_commands(r.next);
		for (unsigned k = 0; k < RUNG_COUNT; k++)
			n += check_commands(r.finding[k].next) +
			     check_commands(r.finding[k].evidence);
	}
	assert_true(n > 100);
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
		cmocka_unit_test(test_rungs),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_wording),
		cmocka_unit_test(test_long_explanation),
		cmocka_unit_test(test_commands_exist),
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_tally_follows),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
