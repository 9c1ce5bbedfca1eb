// The configuration as a value: what a swanctl.conf with our `gateway` section says, read,
// checked and with every default filled in.
//
// Text -> tree (config/parser.h) -> struct config (config/load.c) -> checked (config/check.c).
// Threads:   none of its own; a loaded config is read-only.
// Ownership: config_load allocates everything; config_destroy frees it and wipes secrets.
// Errors:    the first error stops the load: "FILE:LINE: SECTION.KEY: what is wrong; what to do".
//            Warnings (a key that is known but without effect here) are collected.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/endpoint.h"
#include "lib/addr.h"
#include "lib/auth_rule.h"
#include "lib/error.h"
#include "lib/esp_sa.h"
#include "lib/identity.h"
#include "lib/secret.h"
#include "lib/selector.h"
#include "lib/transform.h"

#define CONFIG_NAME_MAX	     64 // bytes of a connection's or child's name, terminator included
#define CONFIG_PORT_NAME_MAX 16 // bytes, terminator included: it names a Linux interface (IFNAMSIZ)
#define CONFIG_PORTS_MAX     16
#define CONFIG_ADDRS_MAX     8
#define CONFIG_IFACES_MAX    1024 // as many as the dataplane has numbers for
#define CONFIG_CPUS_MAX	     64
#define CONFIG_ENDPOINTS_MAX 8 // entries of local_addrs or remote_addrs

struct config_where {	  // for messages
	const char *file; // owned by struct config
	int line;
};

enum config_poll { POLL_ADAPTIVE, POLL_BUSY };
enum config_hugepages { HUGEPAGES_AUTO, HUGEPAGES_ON, HUGEPAGES_OFF };

// gateway.ports.<name>
struct config_port {
	char name[CONFIG_PORT_NAME_MAX]; // of the port and of its TAP in Linux
	char *device;			 // PCI address or DPDK device string: "0000:01:00.1",
					 // "net_af_packet0,iface=eth1"
	uint16_t mtu;			 // bytes of IP packet, default 1500
	uint16_t vlan;			 // 802.1Q, 0: untagged
	uint8_t n_addrs;
	struct ip_prefix addrs[CONFIG_ADDRS_MAX];
	struct config_where where;
};

// gateway.interfaces.<name>: a tunnel interface. The children with its if_id are behind it.
struct config_iface {
	char name[CONFIG_PORT_NAME_MAX]; // of the interface in Linux, too
	uint32_t if_id;			 // not 0
	uint16_t mtu;			 // bytes of IP packet; 0: what its tunnels have room for
	uint8_t n_addrs;
	struct ip_prefix addrs[CONFIG_ADDRS_MAX];
	struct config_where where;
};

// gateway.ike: limits and times for all peers. The defaults of the limits stand in lib/limits.h.
struct config_ike {
	unsigned half_open, half_open_per_source;
	uint64_t half_open_timeout_ms;
	unsigned cookie_threshold, cookie_threshold_per_source; // 0: for everybody
	uint64_t retransmit_timeout_ms; // the n-th wait is timeout * base^n, n from 0
	double retransmit_base;
	unsigned retransmit_tries;
	uint64_t keep_alive_ms;	   // 0: never
	bool inactivity_close_ike; // with the only child of an IKE SA the IKE SA ends, default no
};

// gateway.guard: what of IKE gets past the dataplane, in messages a second.
struct config_guard {
	bool enable;
	unsigned peer_rate, proven_rate, stranger_rate, unknown_rate, v1_rate, answer_rate;
};

struct config_gateway {
	struct config_port *ports;
	size_t n_ports;
	struct config_iface *ifaces;
	size_t n_ifaces;
	unsigned workers;		 // default 1
	uint16_t cpus[CONFIG_CPUS_MAX];	 // CPUs the workers are pinned to, in order
	unsigned n_cpus;		 // 0: not pinned
	enum config_poll poll;		 // default adaptive
	enum config_hugepages hugepages; // default auto: used when the machine has them
	bool clamp_mss;			 // default yes
	unsigned memory_mb;		 // of packet memory and tables, default 512
	unsigned initiations;		 // of ours under way at once, default 64
	unsigned initiations_per_peer;	 // the same towards one address, default 5
	char *socket;			 // path of the vici socket, default /run/port500.vici
	char *state_dir;		 // what outlives the daemon, default "": nothing
	char *eal_args;			 // further EAL arguments, default ""
	struct config_ike ike;
	struct config_guard guard;
	struct config_where where;
};

struct config_file { // a certificate, a key or a CRL, as named; relative to the places of `where`
	char *name;
	char *key; // that names it, for messages: "connections.lab.local.certs"
	struct config_where where;
};

struct config_files {
	struct config_file *file;
	size_t n;
};

enum config_revocation { REVOKED_RELAXED, REVOKED_IFURI, REVOKED_STRICT };
enum config_send_cert { CERTS_IFASKED, CERTS_ALWAYS, CERTS_NEVER };

// connections.<c>.{local,remote}
struct config_side {
	struct auth_rule auth;
	struct identity id;	     // ID_ANY: local, our address or our certificate's subject;
				     // remote, whatever the peer says
	struct config_files certs;   // local: ours; remote: those that are accepted, none: any
	struct config_files cacerts; // remote: CAs that are accepted, none: all
	enum config_revocation revocation; // remote
};

enum config_mode { MODE_TUNNEL, MODE_TRANSPORT, MODE_PASS, MODE_DROP };

// The others are rules, in force as they stand.
static inline bool config_mode_has_sa(enum config_mode mode)
{
	return mode == MODE_TUNNEL || mode == MODE_TRANSPORT;
}

enum config_start { // START_START and START_TRAP may both be set
	START_NONE = 0,
	START_START = 1 << 0, // when the configuration is loaded
	START_TRAP = 1 << 1,  // when there is traffic for it
};
enum config_fragmentation { FRAGMENT_YES, FRAGMENT_ACCEPT, FRAGMENT_NO };
enum config_unique { UNIQUE_NO, UNIQUE_NEVER, UNIQUE_KEEP, UNIQUE_REPLACE };
enum config_dead { DEAD_CLEAR, DEAD_START, DEAD_TRAP }; // dpd_action and close_action

// A limit of a child SA. 0: none.
struct config_limit {
	uint64_t rekey; // it is replaced; up to `rand` earlier, at random
	uint64_t life;	// it ends
	uint64_t rand;
};

// connections.<c>.children.<child>
struct config_child {
	char name[CONFIG_NAME_MAX];
	enum config_mode mode;
	struct proposal_list esp;
	struct selector_list local_ts, remote_ts;
	struct selector_dynamic local_dynamic, remote_dynamic; // beside those
	unsigned start_action;				       // enum config_start
	enum config_dead dpd_action, close_action;
	uint64_t rekey_time_ms, life_time_ms; // 0: never
	uint64_t rand_time_ms;		      // taken off rekey_time_ms, at random
	uint64_t inactivity_ms; // it is closed after so long without packets, 0: never
	struct config_limit bytes, packets;
	uint32_t replay_window;		  // packets
	struct outer_rule outer;	  // of the outer header
	uint16_t tfc_padding;		  // bytes of inner packet; ESP_TFC_MTU: what fits; 0: not
	uint32_t dummies;		  // dummy packets a second
	uint32_t priority;		  // 0: by specificity
	uint32_t if_id;			  // of its tunnel interface, 0: none; of both directions
	char iface[CONFIG_PORT_NAME_MAX]; // that interface's name, "" without
	char port[CONFIG_PORT_NAME_MAX];  // whose policies it has, "": those of all ports
	struct config_where where;
};

struct config_conn {
	char name[CONFIG_NAME_MAX];
	uint8_t version; // 0 (both offered by a peer are taken), 2
	struct config_endpoint local[CONFIG_ENDPOINTS_MAX], remote[CONFIG_ENDPOINTS_MAX];
	unsigned n_local, n_remote;	  // 0: %any
	uint16_t local_port, remote_port; // default 500
	struct proposal_list ike;
	struct config_side local_side, remote_side;
	enum config_send_cert send_cert;
	bool send_certreq;
	uint16_t fallback_port;			 // on_500_blocked: of the peer, 0: report
	bool encap;				 // force ESP in UDP
	bool mobike;				 // announce it (RFC 4555)
	enum config_fragmentation fragmentation; // of IKE messages, default yes
	uint16_t fragment_size;			 // bytes of an IP datagram, default 1280
	uint64_t dpd_delay_ms; // liveness check after this silence, default 30 s; 0: never
	uint64_t rekey_time_ms, reauth_time_ms, over_time_ms;
	uint64_t rekey_rand_ms, reauth_rand_ms; // taken off the two, at random
	unsigned keyingtries;			// 0: for ever; default 1
	uint32_t if_id;				// of the children that name none
	enum config_unique unique; // what becomes of IKE SAs with one peer identity, default no
	struct config_child *children;
	size_t n_children;
	struct config_where where;
};

// secrets.ike<suffix>: a pre-shared key and the identities it is for (none: for all).
struct config_psk {
	char name[CONFIG_NAME_MAX];
	struct identity *ids;
	size_t n_ids;
	struct secret key;
	struct config_where where;
};

// secrets.{private,rsa,ecdsa,pkcs8}<suffix>: a private key's file, or a pkcs11: URI.
struct config_key_file {
	struct config_file file;
	struct secret passphrase; // empty: none
};

struct config_responder { // OCSP, of an authority
	struct config_file ca;
	char *url; // valid for http_url_parse
};

struct config_psk_ref { // psk.c: an identity that a secret names, by its hash
	uint32_t hash;
	const struct config_psk *psk;
};

struct config {
	struct config_gateway gateway;
	struct config_conn *conns;
	size_t n_conns;
	const struct config_conn **conns_by_name; // the same, sorted
	struct config_psk *psks;
	size_t n_psks;
	struct config_files cacerts, crls; // of authorities
	struct config_files crl_urls;	   // likewise; each one is valid for http_url_parse
	struct config_responder *responders;
	size_t n_responders;
	struct config_key_file *keys;
	size_t n_keys;
	struct config_psk_ref *psk_refs; // sorted
	size_t n_psk_refs;
	char **warnings; // "FILE:LINE: SECTION.KEY: ..."
	size_t n_warnings;
	char **files; // every file read
	size_t n_files;
};

// Reads, parses, fills in and checks. 0 or -errno with *err filled and *out untouched.
int config_load(const char *path, struct config **out, struct error *err);
// The same from memory; `name` stands for the file in messages; includes are refused.
int config_load_text(const char *name, const char *text, size_t len, struct config **out,
		     struct error *err);
void config_destroy(struct config *c);

// The pre-shared key for a pair of identities: the entry naming both wins over one naming the
// peer, over one naming us, over one for all; as strongSwan ranks them. NULL when none.
const struct config_psk *config_psk_find(const struct config *c, const struct identity *local,
					 const struct identity *remote);
// "none", "start", "trap" or "trap|start".
const char *config_start_name(unsigned start_action);
// Does any connection, does this one, need certificates or keys?
bool config_uses_certs(const struct config *c);
bool config_conn_uses_certs(const struct config_conn *conn);
bool config_files_equal(const struct config_files *a, const struct config_files *b);
// Adds a warning of whoever looks at what the configuration names.
int config_warn(struct config *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const struct config_conn *config_conn_find(const struct config *c, const char *name);
const struct config_port *config_port_find(const struct config *c, const char *name);
const struct config_iface *config_iface_find(const struct config_gateway *g, const char *name);
