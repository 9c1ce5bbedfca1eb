// The doctor: from what this gateway knows about itself and one connection to a verdict.
//
// It climbs a ladder: host, port, route, ..., ESP, history. Each rung passes, fails, warns, cannot
// be told or is not reached, with a stable code, the numbers it rests on, whose problem it is and
// what to do next. The lowest failed rung is the verdict. Where the evidence of one side cannot
// tell, it says so and names what is left: that nothing comes from a peer does not tell a lost
// request from a lost answer.
//
// Pure: facts in, report out. No clock, socket or dataplane is touched (control/doctor_gather.c
// collects the facts, control/vici_doctor.c shows the report). The codes and their reasons:
// docs/decisions/doctor-codes.md.
//
// Threads:   none of its own.
// Ownership: facts and reports are values without pointers.
// Errors:    none. Facts that are not known are zero; a zeroed struct knows nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

#define DOCTOR_NAME_MAX	      64
#define DOCTOR_TEXT_MAX	      512
#define DOCTOR_CANDIDATES_MAX 6

// ---- facts ----

enum doctor_tri { DOCTOR_UNKNOWN, DOCTOR_NO, DOCTOR_YES };

struct doctor_number { // known, or not
	bool known;
	uint64_t n;
};

// How often something happened within the last `window_ms`, and how long ago it last did.
struct doctor_count {
	bool known;
	uint64_t n, window_ms;
	bool ever;	 // it did happen, within the window or before
	uint64_t ago_ms; // since the last time; when `ever`
};

struct doctor_host_facts {
	enum doctor_tri hugepages;
	enum doctor_tri clock_synced;		     // Linux says so
	enum doctor_tri clock_plausible;	     // not before this program was built
	enum doctor_tri own_certs_valid;	     // those of the connection, by that clock
	char own_cert_why[DOCTOR_TEXT_MAX];	     // of NO: which, and since when
	struct doctor_number unix_s;		     // our clock
	struct doctor_number disk_free_permille;     // of the file system that state is written to
	struct doctor_number workers, workers_stuck; // stuck: no turn for stuck_ms
	uint64_t stuck_ms;			     // the longest
	struct doctor_number up_ms;		     // of the daemon
	struct doctor_number generation;	     // of the configuration
};

struct doctor_port_facts { // the port that the way to the peer leaves by
	char name[DOCTOR_NAME_MAX];
	enum doctor_tri link_up;
	struct doctor_count rx, tx;			     // packets
	struct doctor_count rx_missed, rx_errors, tx_errors; // of the device
	struct doctor_count vlan_drops;			     // frames with a VLAN of no port
};

struct doctor_route_facts {
	enum doctor_tri peer_known; // is there an address to go to? NO: names do not resolve
	enum doctor_tri have;	    // a route that leaves by a port
	enum doctor_tri own_addr;   // our address of the connection is on this machine
	char why[DOCTOR_TEXT_MAX];  // of NO: Linux's sentence
	struct ip_addr local, peer, next_hop; // IP_NONE: not known
};

struct doctor_neigh_facts {
	enum doctor_tri resolved;	 // the next hop's MAC address is known
	struct doctor_count unanswered;	 // packets that were dropped for want of it
	struct doctor_count mac_changes; // it has become another one
};

// What ICMP said about our own IKE packets to the peer. It can be forged.
enum doctor_icmp {
	DOCTOR_ICMP_NONE,
	DOCTOR_ICMP_PORT,  // port unreachable: nothing listens (3/3, 1/4)
	DOCTOR_ICMP_ADMIN, // administratively prohibited (3/9, 3/10, 3/13, 1/1, 1/5)
	DOCTOR_ICMP_HOST,  // host unreachable: the last router knows the way, the peer does not
			   // answer it
	DOCTOR_ICMP_TTL,   // time exceeded: a loop
	DOCTOR_ICMP_SIZE,  // too big
	DOCTOR_ICMP_NET,   // network unreachable: a router has no route
};

struct doctor_icmp_facts {
	struct doctor_count errors;
	enum doctor_icmp last;
	uint8_t type, code; // of the last one
	uint16_t port;	    // of ours that it quotes, the destination
	struct ip_addr from;
};

struct doctor_ike_facts {		     // messages between us and the peer's address
	struct doctor_count tx_500, tx_4500; // those that Linux took
	struct doctor_count tx_refused;	     // those that it did not
	int tx_errno;			     // positive, of the last one
	struct doctor_count rx_500, rx_4500; // those that came out of our socket, by our port
	struct doctor_count unanswered;	     // our requests that were given up
	struct doctor_count unanswered_auth; // of these: IKE_AUTH, after IKE_SA_INIT was answered
	struct doctor_count retransmits;     // of ours
	struct doctor_count late;	     // of ours that were answered only after a repetition
	struct doctor_count peer_repeats;    // IKE_SA_INIT requests that we have answered before
	struct doctor_count no_auth;	     // such that we answered, and no IKE_AUTH came in time
	struct doctor_count rx_v1;	     // of rx_500 and rx_4500: IKEv1
	bool v1_answers;		     // the last of these answered a request of ours
	uint64_t longest;		     // bytes: of the largest of ours that is not answered
	uint16_t asking_port;		     // where our request that waits is going to, 0: none
	uint64_t asking_tries, asking_ms;    // how often it was sent, since when it waits
	struct doctor_icmp_facts icmp;
};

struct doctor_guard_facts {
	enum doctor_tri on;
	// The peer's address, as the guard counts it. Those that came, and what became of them.
	struct doctor_count came, passed, cookies, limited;
	struct doctor_count odd_ttl; // came with quite another TTL than its IKE SAs
	enum doctor_tri forged;	     // most of what comes from it is likely not the peer's
	char forged_why[DOCTOR_TEXT_MAX];
	// All sources together.
	struct doctor_count all, all_limited, all_malformed, all_cookies;
	uint64_t per_second, per_second_max;
	struct doctor_number scanners, flooders, backscatterers; // sources, active in the window
	uint64_t scanned, backscatter;				 // their messages
	struct ip_addr worst; // who sent most of what was not passed, IP_NONE: nobody
	uint64_t worst_n;
	struct doctor_count punt_full; // passed, and lost on the way to Linux
};

// What `--probe` found out (control/probe*.c). Zero: not probed.
enum doctor_answer {
	DOCTOR_NOT_PROBED,
	DOCTOR_SILENT,	 // no answer to any of the tries
	DOCTOR_ANSWERED, // by the peer itself
	DOCTOR_REFUSED,	 // an ICMP error came
};

struct doctor_probe { // one kind of question to the peer
	enum doctor_answer answer;
	unsigned sent, answered;
	uint32_t rtt_us;       // median, of those answered
	uint8_t ttl;	       // of the answers
	enum doctor_icmp icmp; // DOCTOR_REFUSED
	struct ip_addr by;     // who sent that error
};

struct doctor_hops { // UDP with rising TTL to one port
	bool probed;
	unsigned last; // the farthest hop that answered, 0: none
	struct ip_addr last_addr;
	bool arrived; // the peer itself answered
};

struct doctor_probe_facts {
	uint64_t ago_ms;		// since the end of the probe
	struct doctor_probe echo;	// ICMP echo from our own address of the connection, small
	struct doctor_probe echo_large; // as large as the port's MTU, DF
	uint16_t echo_large_len, echo_fits; // bytes of IP packet; the largest that was answered, 0
	uint8_t ttl_usual;		    // of the peer's packets before, 0: not known
	// IKE_SA_INIT requests. Small: below 600 bytes; large: about 1100; fragment: above the MTU.
	struct doctor_probe ike_500, ike_500_large, ike_500_fragment;
	struct doctor_probe ike_4500, ike_4500_large, ike_4500_fragment;
	struct doctor_probe ike_alt; // to another port on which the peer should answer
	uint16_t alt_port;
	struct doctor_probe ike_500_other_source; // to 500, not from 500
	struct doctor_hops hops_500, hops_4500;
};

enum doctor_stage { // how far the connection is now
	DOCTOR_STAGE_UNKNOWN,
	DOCTOR_STAGE_IDLE,	  // nobody asks for it
	DOCTOR_STAGE_WAITS,	  // it is to be up, the next attempt is planned
	DOCTOR_STAGE_INIT,	  // IKE_SA_INIT under way
	DOCTOR_STAGE_AUTH,	  // IKE_AUTH under way
	DOCTOR_STAGE_ESTABLISHED, // the IKE SA, with some children missing
	DOCTOR_STAGE_UP,	  // all children that are asked for
};

enum doctor_failure { // how a negotiation failed, by the rung that it belongs to
	DOCTOR_FAILED_NOT,
	DOCTOR_FAILED_PROPOSAL, // IKE_SA_INIT
	DOCTOR_FAILED_KE,
	DOCTOR_FAILED_VERSION, // it refuses IKEv2
	DOCTOR_FAILED_PSK,     // its AUTH does not verify with our key
	DOCTOR_FAILED_PEER_SAID_NO,
	DOCTOR_FAILED_ID,
	DOCTOR_FAILED_NO_SECRET, // we have none for these identities
	DOCTOR_FAILED_CERT,
	DOCTOR_FAILED_TS,
	DOCTOR_FAILED_ESP,
	DOCTOR_FAILED_PFS, // the child's own key exchange
};

struct doctor_failure_facts {
	enum doctor_failure what; // the newest of this connection, since it was last established
	uint64_t ago_ms, count;
	bool by_peer;	    // it refused us
	bool authenticated; // what said so came under the keys of the IKE SA, of a peer that proved
			    // who it is; else it may be forged
	bool dates;	    // DOCTOR_FAILED_CERT: not valid yet, or no longer
	char text[DOCTOR_TEXT_MAX];			     // the sentence of the log
	char ours[DOCTOR_TEXT_MAX], theirs[DOCTOR_TEXT_MAX]; // offers; "": not known
};

struct doctor_conn_facts {
	char name[DOCTOR_NAME_MAX];
	enum doctor_stage stage;
	enum doctor_tri
		initiates; // by its configuration: else it waits for the peer or for traffic
	struct doctor_number children, children_up;
	struct doctor_number established_ms; // age of the IKE SA
	uint16_t port;			     // of the peer that IKE goes to now, 0: not known
	enum doctor_tri nat;		     // between us
	enum doctor_tri encap;		     // ESP in UDP
	struct doctor_number heard_ms;	     // since something of the IKE SA last came
	enum doctor_tri worked;		     // it was up before with the configuration of now
	// Why it goes to another port than 500 (on_500_blocked); 0: it does not.
	uint64_t left_500_ms;	  // since when
	unsigned left_500_silent; // messages to 500 that nothing came of before
	uint64_t suspect_ms;	  // a request of the established IKE SA waits for so long, 0: none
	struct doctor_failure_facts failure;
};

struct doctor_esp_facts { // of all child SAs of the connection
	struct doctor_count out, in;
	struct doctor_number since; // packets out since the last one in, and since it was set up
	uint64_t in_before, out_before; // all until then
	struct doctor_count auth_failures, replays;
	struct doctor_count selector_drops, no_sa_drops; // gateway-wide; see doctor_gather.c
	struct doctor_count unknown_spi;		 // gateway-wide
	struct doctor_count moved;			 // ESP from another address or port: NAT
};

struct doctor_mtu_facts {
	struct doctor_number port, path, inner; // bytes; path: as far as it is known
	struct doctor_count too_big;		// dropped here, gateway-wide
	struct doctor_count fragments_lost;	// to us, never whole, gateway-wide
};

struct doctor_load_facts {
	struct doctor_number busiest_permille, mean_permille; // of the workers' time
	unsigned busiest;				      // which one
	struct doctor_count lost;			      // in rings, or for want of memory
	struct doctor_number control_late_ms; // the longest turn of the control thread lately
};

struct doctor_history_facts {
	struct doctor_count established, lost; // IKE SAs; lost: not by a command
	struct doctor_count dead_peer;	       // liveness checks unanswered
	struct doctor_count restarts; // the peer says it has no other IKE SA (INITIAL_CONTACT)
	struct doctor_count rekeys_failed;
};

struct doctor_facts {
	struct doctor_host_facts host;
	struct doctor_port_facts port;
	struct doctor_route_facts route;
	struct doctor_neigh_facts neigh;
	struct doctor_ike_facts ike;
	struct doctor_guard_facts guard;
	struct doctor_probe_facts probe;
	struct doctor_conn_facts conn;
	struct doctor_esp_facts esp;
	struct doctor_mtu_facts mtu;
	struct doctor_load_facts load;
	struct doctor_history_facts history;
};

// ---- report ----

// The ladder, from the bottom: enum, name, title, the command of old that it replaces.
#define DOCTOR_RUNGS(X)                                                                            \
	X(HOST, "host", "host", "show processes cpu, show clock")                                  \
	X(PORT, "port", "port", "show interfaces")                                                 \
	X(ROUTE, "route", "route to the peer", "show ip route PEER")                               \
	X(NEIGH, "neighbour", "next hop", "show ip arp")                                           \
	X(REACH, "reach", "peer reachable from our address", "ping PEER source LOCAL")             \
	X(UDP_OUT, "udp500-out", "our IKE leaves", "monitor capture, udp 500 out")                 \
	X(UDP_IN, "udp500-in", "the peer's IKE arrives", "monitor capture, udp 500 in")            \
	X(GUARD, "guard", "who touches UDP/500", "show policy-map control-plane")                  \
	X(PATH, "path", "path of UDP/500 and 4500", "traceroute PEER port 500")                    \
	X(INIT, "ike-sa-init", "IKE_SA_INIT", "show crypto isakmp sa, debug crypto isakmp")        \
	X(AUTH, "auth", "authentication", "show crypto ikev2 sa detailed")                         \
	X(CHILD, "child", "child SA", "show crypto ipsec sa")                                      \
	X(ESP, "esp", "ESP in both directions", "show crypto ipsec sa | include pkts")             \
	X(MTU, "mtu", "MTU", "ping PEER size 1500 df-bit")                                         \
	X(LOAD, "load", "load", "show processes cpu history")                                      \
	X(HISTORY, "history", "history", "show logging")

enum doctor_rung {
#define X(id, name, title, replaces) RUNG_##id,
	DOCTOR_RUNGS(X)
#undef X
		RUNG_COUNT
};

// Stable codes: enum, name, rung, meaning.
#define DOCTOR_CODES(X)                                                                            \
	X(E_CLOCK, "E-CLOCK", HOST, "our clock is wrong or not synchronised")                      \
	X(E_DISK, "E-DISK", HOST, "the file system for state is full")                             \
	X(E_WORKER, "E-WORKER", HOST, "a worker does not turn")                                    \
	X(P_DOWN, "P-DOWN", PORT, "no link on the port")                                           \
	X(P_NORX, "P-NORX", PORT, "we send, and nothing at all arrives on the port")               \
	X(P_MISS, "P-MISS", PORT, "the device loses or damages packets")                           \
	X(P_VLAN, "P-VLAN", PORT, "frames arrive with another VLAN than the ports have")           \
	X(R_NONAME, "R-NONAME", ROUTE, "the peer's name leads to no address")                      \
	X(R_NOADDR, "R-NOADDR", ROUTE, "our address of the connection is not on this machine")     \
	X(R_NOROUTE, "R-NOROUTE", ROUTE, "no route to the peer through a port")                    \
	X(R_NOARP, "R-NOARP", NEIGH, "the next hop does not answer ARP or ND")                     \
	X(R_DUPADDR, "R-DUPADDR", NEIGH, "two stations use the next hop's address")                \
	X(U_UNREACH, "U-UNREACH", REACH, "a router, or the peer, says that it cannot be reached")  \
	X(U_LOSS, "U-LOSS", REACH, "part of the echoes is lost")                                   \
	X(U_TTLSHIFT, "U-TTLSHIFT", REACH, "the peer is another number of hops away than before")  \
	X(U_ICMPONLY, "U-ICMPONLY", REACH, "ping is filtered, IKE gets through: ignore ping")      \
	X(U_SILENT, "U-SILENT", REACH, "no answer to ping")                                        \
	X(I_TXDROP, "I-TXDROP", UDP_OUT, "our IKE is lost in this machine")                        \
	X(I_LOCALFILTER, "I-LOCALFILTER", UDP_OUT,                                                 \
	  "a packet filter of this machine drops our IKE")                                         \
	X(I_NOTTRIED, "I-NOTTRIED", UDP_OUT, "nobody has tried: nothing was sent, nothing came")   \
	X(I_SILENT, "I-SILENT", UDP_IN,                                                            \
	  "nothing comes from the peer: which direction is not known")                             \
	X(I_NOANSWER, "I-NOANSWER", UDP_IN, "the established IKE SA does not answer any more")     \
	X(I_LOCALFILTER_IN, "I-LOCALFILTER-IN", UDP_IN,                                            \
	  "the peer's IKE passes our guard and never reaches our socket")                          \
	X(I_RINGFULL, "I-RINGFULL", UDP_IN, "IKE is lost between dataplane and Linux")             \
	X(A_SELFHARM, "A-SELFHARM", GUARD, "our own limits hold the peer's messages back")         \
	X(A_SPOOFPEER, "A-SPOOFPEER", GUARD, "somebody forges the peer's address")                 \
	X(A_FLOOD, "A-FLOOD", GUARD, "UDP/500 is flooded")                                         \
	X(A_REFLECT, "A-REFLECT", GUARD,                                                           \
	  "answers to what we have not asked: our address is forged")                              \
	X(A_SCAN, "A-SCAN", GUARD, "UDP/500 is scanned")                                           \
	X(F_NOTLISTENING, "F-NOTLISTENING", PATH, "nothing listens on the peer's port")            \
	X(F_ADMIN, "F-ADMIN", PATH, "a filter on the way says: administratively prohibited")       \
	X(F_500, "F-500", PATH, "UDP/500 is filtered on the way, direction not known")             \
	X(F_500SCRUB, "F-500SCRUB", PATH, "UDP/500 is filtered on the way while under attack")     \
	X(F_500OUT, "F-500OUT", PATH, "UDP/500 from us to the peer is lost on the way")            \
	X(F_500IN, "F-500IN", PATH, "UDP/500 from the peer to us is lost on the way")              \
	X(F_500SPORT, "F-500SPORT", PATH, "what comes from source port 500 is filtered")           \
	X(F_500LOSS, "F-500LOSS", PATH, "part of UDP/500 is lost: rate-limited on the way")        \
	X(F_4500, "F-4500", PATH, "UDP/4500 is filtered on the way, 500 is not")                   \
	X(F_BIGUDP, "F-BIGUDP", PATH, "large or fragmented UDP is lost on the way")                \
	X(F_PEERDOWN, "F-PEERDOWN", PATH,                                                          \
	  "the peer is off, does not listen, or all UDP is blocked")                               \
	X(N_PROPOSAL, "N-PROPOSAL", INIT, "no common IKE proposal")                                \
	X(N_KE, "N-KE", INIT, "no common key exchange group")                                      \
	X(N_VERSION, "N-VERSION", INIT, "the peer speaks another version of IKE")                  \
	X(N_NOAUTH, "N-NOAUTH", INIT, "the peer begins, we answer, and it does not go on")         \
	X(N_PSK, "N-PSK", AUTH, "the pre-shared keys differ")                                      \
	X(N_ID, "N-ID", AUTH, "an identity is not the expected one")                               \
	X(N_NOSECRET, "N-NOSECRET", AUTH, "no secret for these identities")                        \
	X(N_CERT, "N-CERT", AUTH, "a certificate or its signature is not accepted")                \
	X(N_OWNCERT, "N-OWNCERT", AUTH, "our own certificate has expired, or is not valid yet")    \
	X(N_PEERSAIDNO, "N-PEERSAIDNO", AUTH, "the peer refuses our authentication")               \
	X(C_TS, "C-TS", CHILD, "no common traffic selectors")                                      \
	X(C_ESP, "C-ESP", CHILD, "no common ESP proposal")                                         \
	X(C_PFS, "C-PFS", CHILD, "no common group for the child's own key exchange (PFS)")         \
	X(C_DOWN, "C-DOWN", CHILD, "the IKE SA is up, a child is not")                             \
	X(D_ONEWAY, "D-ONEWAY", ESP, "we send ESP and none comes")                                 \
	X(D_STALESPI, "D-STALESPI", ESP, "ESP comes for SAs that we do not have")                  \
	X(D_FORGED, "D-FORGED", ESP, "ESP fails its integrity check: damaged or forged")           \
	X(D_REPLAY, "D-REPLAY", ESP, "ESP comes twice or far too late")                            \
	X(D_REBIND, "D-REBIND", ESP, "the peer's address or port changes under us: a NAT rebinds") \
	X(M_BLACKHOLE, "M-BLACKHOLE", MTU, "large packets vanish on the way without a word")       \
	X(M_TOOBIG, "M-TOOBIG", MTU, "packets do not fit the tunnel and are dropped here")         \
	X(M_FRAGLOSS, "M-FRAGLOSS", MTU, "fragments to us do not get whole")                       \
	X(L_ONECORE, "L-ONECORE", LOAD, "one worker is busy all the time, the others are not")     \
	X(L_FULL, "L-FULL", LOAD, "the workers are busy all the time")                             \
	X(L_LOST, "L-LOST", LOAD, "packets are lost in this machine for want of room")             \
	X(L_CTRLLATE, "L-CTRLLATE", LOAD, "the control thread is late")                            \
	X(H_FLAP, "H-FLAP", HISTORY, "the connection comes and goes")                              \
	X(H_RESTART, "H-RESTART", HISTORY, "the peer has started anew")                            \
	X(H_REKEYLOSS, "H-REKEYLOSS", HISTORY, "rekeying fails")

enum doctor_code {
	DOCTOR_OK,	// "ok"
	DOCTOR_NO_DATA, // "unknown": nothing is known that could tell
#define X(id, name, rung, help) DOCTOR_##id,
	DOCTOR_CODES(X)
#undef X
		DOCTOR_CODE_COUNT
};

enum doctor_state { DOCTOR_NOT_REACHED, DOCTOR_PASS, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_CANNOT_TELL };
enum doctor_owner {
	DOCTOR_NOBODY,
	DOCTOR_US,
	DOCTOR_CARRIER,
	DOCTOR_PEER,
	DOCTOR_BOTH, // us or the peer: the two configurations differ
	DOCTOR_OWNER_UNKNOWN,
};
enum doctor_confidence { DOCTOR_NO_CONFIDENCE, DOCTOR_LOW, DOCTOR_MEDIUM, DOCTOR_HIGH };

// Also the exit status of `port500 doctor`.
enum doctor_status { DOCTOR_HEALTHY, DOCTOR_DEGRADED, DOCTOR_DOWN, DOCTOR_COULD_NOT_TELL };

struct doctor_finding { // of one rung
	enum doctor_state state;
	enum doctor_code code; // DOCTOR_OK, or what is worth knowing, of DOCTOR_PASS
	enum doctor_owner owner;
	enum doctor_confidence confidence;
	char evidence[DOCTOR_TEXT_MAX]; // numbers and times
	char next[DOCTOR_TEXT_MAX];	// "" when nothing is to be done
};

struct doctor_candidate { // what it may be, where one side cannot tell
	enum doctor_code code;
	enum doctor_owner owner;
};

struct doctor_report {
	enum doctor_status status;
	enum doctor_rung rung; // of the verdict; RUNG_COUNT: none
	enum doctor_code code;
	enum doctor_owner owner;
	enum doctor_confidence confidence;
	bool keep_config; // the fault is outside: the configuration is to stay as it is
	char verdict[DOCTOR_TEXT_MAX]; // one sentence
	char next[DOCTOR_TEXT_MAX];
	unsigned n_candidates;
	struct doctor_candidate candidate[DOCTOR_CANDIDATES_MAX];
	struct doctor_finding finding[RUNG_COUNT];
};

void doctor_examine(const struct doctor_facts *f, struct doctor_report *out);

const char *doctor_code_name(enum doctor_code code); // "R-NOROUTE"
const char *doctor_code_help(enum doctor_code code);
enum doctor_rung doctor_code_rung(enum doctor_code code); // RUNG_COUNT of DOCTOR_OK, DOCTOR_NO_DATA
const char *doctor_rung_name(enum doctor_rung rung);
const char *doctor_rung_title(enum doctor_rung rung);
const char *doctor_rung_replaces(enum doctor_rung rung);
const char *doctor_state_name(enum doctor_state state); // pass, fail, warn, unknown, not-reached
const char *doctor_owner_name(enum doctor_owner owner); // none, us, carrier, peer, both, unknown
const char *doctor_confidence_name(enum doctor_confidence confidence); // none, low, medium, high
const char *doctor_status_name(enum doctor_status status); // healthy, degraded, down, unknown
