// The tables of config/schema.h. A line here is all that a key needs to be known, checked and
// documented; what it does is in config/load.c.
#include "config/schema.h"

#include "lib/limits.h"

#define EAP   "EAP is not available: this is a site-to-site gateway with pre-shared keys"
#define IKEV1 "it concerns IKEv1, which is not available yet"
#define MARKS "Linux's packet marks do not exist in this dataplane"
#define POOLS "virtual addresses are not available: this is a site-to-site gateway"

#define GATEWAY	 "gateway"
#define PORT	 "gateway.ports.*"
#define IFACE	 "gateway.interfaces.*"
#define GW_IKE	 "gateway.ike"
#define GW_GUARD "gateway.guard"
#define CONN	 "connections.*"
#define LOCAL	 "connections.*.local*"
#define REMOTE	 "connections.*.remote*"
#define CHILD	 "connections.*.children.*"
#define IKE_PSK	 "secrets.ike*"

#define LOCAL_CERT  "connections.*.local*.cert*"
#define REMOTE_CERT "connections.*.remote*.cert*"
#define REMOTE_CA   "connections.*.remote*.cacert*"
#define AUTHORITY   "authorities.*"
#define TOKEN	    "name a \"pkcs11:\" URI as the file instead"
#define NO_FETCH    "certificates are not fetched: put them into x509/"
#define KEY_ROWS(section)                                                                          \
	{section, "file", FORM_TEXT,                                                               \
	 .doc = "Required. Its name in that directory, a path, or the \"pkcs11:\" URI of a key "   \
		"on a token (OpenSSL's provider has to be installed)."},                           \
	{                                                                                          \
		section, "secret", FORM_SECRET, .doc = "The passphrase, or the token's PIN."       \
	}
#define CERT_ROWS(section)                                                                         \
	{section, "file", FORM_TEXT, .doc = "Required. The file."},                                \
		{section, "handle", FORM_TEXT, KEY_REFUSED, .why = TOKEN, .doc = "On a token."},   \
		{section, "slot", FORM_TEXT, KEY_REFUSED, .why = TOKEN, .doc = "On a token."},     \
	{                                                                                          \
		section, "module", FORM_TEXT, KEY_REFUSED, .why = TOKEN, .doc = "On a token."      \
	}

const struct schema_section schema_sections[] = {
	{"gateway", "gateway", KEY_SUPPORTED, NULL, "The machine: ports, workers, memory, API."},
	{"gateway.ports", "gateway.ports", KEY_SUPPORTED, NULL, "The ports, each by its name."},
	{PORT, "gateway.ports.<port>", KEY_SUPPORTED, NULL,
	 "A port. Its name is also the name of the interface (a TAP) by which Linux sees it; at "
	 "most "
	 "15 bytes."},
	{"gateway.interfaces", "gateway.interfaces", KEY_SUPPORTED, NULL,
	 "The tunnel interfaces, each by its name. They come and go with a reload."},
	{IFACE, "gateway.interfaces.<interface>", KEY_SUPPORTED, NULL,
	 "A tunnel interface, which routes point at (route-based VPN). Its name is also that of "
	 "the interface (a TUN) in Linux; at most 15 bytes. What is routed to it is protected by "
	 "the children that have its if_id, or dropped. strongSwan has XFRM interfaces for this."},
	{GW_IKE, "gateway.ike", KEY_SUPPORTED, NULL,
	 "IKE with all peers: what strangers can make the gateway hold, and how long it waits. In "
	 "strongSwan these are settings of charon in strongswan.conf. They change with a reload."},
	{GW_GUARD, "gateway.guard", KEY_SUPPORTED, NULL,
	 "The guard of UDP/500 and 4500, which stands in the dataplane in front of Linux: messages "
	 "of "
	 "IKE SAs that we have pass first, then those of configured peers, then strangers'. Rates "
	 "are "
	 "messages a second, with half a second's worth at once. `port500 show guard` has what it "
	 "counts. They change with a reload."},
	{"connections", "connections", KEY_SUPPORTED, NULL, "The peers, one connection each."},
	{CONN, "connections.<conn>", KEY_SUPPORTED, NULL,
	 "A connection to a peer: one IKE SA and its children. At most 63 bytes of name."},
	{LOCAL, "connections.<conn>.local<suffix>", KEY_SUPPORTED, NULL,
	 "How we authenticate. One such section."},
	{REMOTE, "connections.<conn>.remote<suffix>", KEY_SUPPORTED, NULL,
	 "How the peer authenticates. One such section."},
	{"connections.*.children", "connections.<conn>.children", KEY_SUPPORTED, NULL,
	 "The child SAs and rules of a connection."},
	{CHILD, "connections.<conn>.children.<child>", KEY_SUPPORTED, NULL,
	 "A child: the networks that one pair of ESP SAs joins; or, with mode = pass or drop, a "
	 "rule. "
	 "At most 63 bytes of name."},
	{LOCAL_CERT, "connections.<conn>.local<suffix>.cert<suffix>", KEY_SUPPORTED, NULL,
	 "One of our certificates, written another way."},
	{REMOTE_CERT, "connections.<conn>.remote<suffix>.cert<suffix>", KEY_SUPPORTED, NULL,
	 "One of the certificates to accept, written another way."},
	{REMOTE_CA, "connections.<conn>.remote<suffix>.cacert<suffix>", KEY_SUPPORTED, NULL,
	 "One of the CAs to accept, written another way."},
	{"secrets", "secrets", KEY_SUPPORTED, NULL,
	 "The pre-shared keys, and the passphrases of private keys. Keep the file that holds them "
	 "at mode 0600."},
	{IKE_PSK, "secrets.ike<suffix>", KEY_SUPPORTED, NULL,
	 "A pre-shared key and whom it is for. For a pair of identities the key that names both is "
	 "taken, else one that names the peer, else one that names us, else one that names "
	 "nobody."},
	{"secrets.eap*", "secrets.eap<suffix>", KEY_IGNORED, EAP, "An EAP secret."},
	{"secrets.xauth*", "secrets.xauth<suffix>", KEY_IGNORED, EAP, "An XAuth secret."},
	{"secrets.ntlm*", "secrets.ntlm<suffix>", KEY_IGNORED, EAP, "An NTLM secret."},
	{"secrets.ppk*", "secrets.ppk<suffix>", KEY_IGNORED,
	 "post-quantum pre-shared keys are not available yet", "A post-quantum pre-shared key."},
	{"secrets.private*", "secrets.private<suffix>", KEY_SUPPORTED, NULL,
	 "The passphrase of a private key. Keys without one need no section: all files in "
	 "private/, rsa/, ecdsa/ and pkcs8/ next to the configuration are read."},
	{"secrets.rsa*", "secrets.rsa<suffix>", KEY_SUPPORTED, NULL, "The same for rsa/."},
	{"secrets.ecdsa*", "secrets.ecdsa<suffix>", KEY_SUPPORTED, NULL, "The same for ecdsa/."},
	{"secrets.pkcs8*", "secrets.pkcs8<suffix>", KEY_SUPPORTED, NULL, "The same for pkcs8/."},
	{"secrets.pkcs12*", "secrets.pkcs12<suffix>", KEY_IGNORED,
	 "PKCS#12 containers are not read: unpack them with openssl pkcs12",
	 "A PKCS#12 container's passphrase."},
	{"secrets.token*", "secrets.token<suffix>", KEY_IGNORED,
	 "write secrets { private { file = \"pkcs11:...\" secret = PIN } }", "A key on a token."},
	{"pools", "pools", KEY_IGNORED, POOLS, "Pools of virtual addresses."},
	{"authorities", "authorities", KEY_SUPPORTED, NULL,
	 "Certification authorities beside the files in x509ca/."},
	{AUTHORITY, "authorities.<name>", KEY_SUPPORTED, NULL, "One of them."},
};
const size_t schema_n_sections = sizeof(schema_sections) / sizeof(schema_sections[0]);

const struct schema_key schema_keys[] = {
	// ---- gateway ----
	{GATEWAY, "socket", FORM_TEXT, .def = "/run/port500.vici",
	 .doc = "Path of the API's socket (strongSwan's vici protocol); \"unix://\" in front is "
		"allowed."},
	{GATEWAY, "state_dir", FORM_TEXT, .def = "",
	 .doc = "Directory in which the flight recorder is kept across a restart, "
		"\"/var/lib/port500\" say; made when it is not there. Empty: it is in memory "
		"alone."},
	{GATEWAY, "workers", FORM_NUMBER, .def = "1", .min = 1, .max = 64,
	 .def_doc = "number of cpus, else 1",
	 .doc = "Worker threads that move packets. As many as there are entries in cpus, when cpus "
		"is given."},
	{GATEWAY, "cpus", FORM_CPUS,
	 .doc = "CPUs that the workers are pinned to, in order: \"2,3\" "
		"or \"2-5\". Not pinned when empty."},
	{GATEWAY, "poll", FORM_CHOICE, .def = "adaptive", .choices = "adaptive busy",
	 .doc = "adaptive: an idle worker sleeps. busy: it never does, which costs a whole CPU per "
		"worker and gives the lowest latency."},
	{GATEWAY, "hugepages", FORM_CHOICE, .def = "auto", .choices = "auto on off",
	 .doc = "auto: used when the machine has them. on: an error when it has none. off: never."},
	{GATEWAY, "clamp_mss", FORM_BOOL, .def = "yes",
	 .doc = "Lowers the maximum segment size that TCP connections through a tunnel agree on, "
		"in both directions, to what fits into the tunnel."},
	{GATEWAY, "memory", FORM_NUMBER, .def = "512", .min = 64, .max = 1048576,
	 .doc = "Packet memory and tables in MB."},
	{GATEWAY, "initiations", FORM_NUMBER, .def = "64", .min = 1, .max = 65536,
	 .doc = "How many IKE SAs we set up at once; the others wait for their turn. An attempt "
		"whose first message is not answered in time no longer counts."},
	{GATEWAY, "initiations_per_peer", FORM_NUMBER, .def = "5", .min = 1, .max = 65536,
	 .doc = "The same towards one address. More than 5 at once from one address strongSwan "
		"refuses unless its block_threshold says otherwise."},
	{GATEWAY, "eal_args", FORM_TEXT, .def = "",
	 .doc = "Further arguments for DPDK's EAL, separated by blanks."},
	{PORT, "device", FORM_TEXT,
	 .doc = "Required. PCI address (\"0000:01:00.1\", \"01:00.1\") with device arguments if "
		"any, "
		"or a DPDK device string (\"net_af_packet0,iface=eth1\")."},
	{PORT, "addrs", FORM_ADDRESSES,
	 .doc = "Addresses with prefix length, separated by commas: \"192.0.2.1/24, "
		"2001:db8::1/64\". Linux gets them on the port's interface. At most 8."},
	{PORT, "mtu", FORM_NUMBER, .def = "1500", .min = 576, .max = 9600,
	 .doc = "Largest IP packet in bytes. Above 1500 (jumbo frames) the whole link has to "
		"agree."},
	{PORT, "vlan", FORM_NUMBER, .def = "0", .min = 0, .max = 4094,
	 .doc = "The VLAN (802.1Q) whose tag the port's frames bear; 0: untagged. Ports with "
		"different VLANs may have one device: the same text in each."},

	// ---- gateway.interfaces.<interface> ----
	{IFACE, "if_id", FORM_NUMBER, .min = 1, .max = UINT32_MAX,
	 .doc = "Required. Its number, by which children name it (if_id_in, if_id_out)."},
	{IFACE, "mtu", FORM_TEXT, .def = "auto",
	 .doc = "Largest IP packet in bytes, 576 to 9600. auto: what the tunnels that are up have "
		"room for; 1400 before the first one is up."},
	{IFACE, "addrs", FORM_ADDRESSES,
	 .doc = "Addresses with prefix length, as those of a port: \"10.255.0.1/30\". None are "
		"needed for traffic that is only forwarded. IPv4."},

	// ---- gateway.ike ----
	{GW_IKE, "half_open", FORM_NUMBER, .def = "16384", .min = 1, .max = LIMIT_IKE_HALF_OPEN_MAX,
	 .doc = "IKE SAs that peers have begun and not authenticated yet, in total. What comes on "
		"top is ignored, and counted as rx-limited."},
	{GW_IKE, "half_open_per_source", FORM_NUMBER, .def = "16", .min = 1,
	 .max = LIMIT_IKE_HALF_OPEN_MAX,
	 .doc = "The same from one source, an IPv4 address or the /64 of an IPv6 address. Peers "
		"that have shown a cookie do not count: many connections of one peer may begin at "
		"once."},
	{GW_IKE, "half_open_timeout", FORM_TIME, .def = "30s",
	 .doc = "How long such an IKE SA lives; 1s to 5m."},
	{GW_IKE, "cookie_threshold", FORM_NUMBER, .def = "30", .max = LIMIT_IKE_HALF_OPEN_MAX,
	 .doc = "When there are so many half-open IKE SAs, whoever begins another one is asked to "
		"prove its address by a cookie first (RFC 7296 2.6). 0: always."},
	{GW_IKE, "cookie_threshold_per_source", FORM_NUMBER, .def = "3",
	 .max = LIMIT_IKE_HALF_OPEN_MAX,
	 .doc = "The same for one source; strongSwan's cookie_threshold_ip. 0: always."},
	{GW_IKE, "keep_alive", FORM_TIME, .def = "20s",
	 .doc = "Behind a NAT, a peer that nothing was sent to for so long gets a NAT keepalive "
		"(RFC 3948 4), one octet. 0: never."},
	{GW_IKE, "inactivity_close_ike", FORM_BOOL, .def = "no",
	 .doc = "When a child is closed for inactivity and its IKE SA has no other one, close that "
		"as well."},
	{GW_IKE, "retransmit_timeout", FORM_TIME, .def = "4s",
	 .doc = "How long the first message of a request is waited for, 1s to 1m. From 2s on "
		"IKE_SA_INIT is repeated after an eighth and three eighths of it already."},
	{GW_IKE, "retransmit_base", FORM_TEXT, .def = "1.8",
	 .doc = "Each further wait is so many times longer, 1 to 10."},
	{GW_IKE, "retransmit_tries", FORM_NUMBER, .def = "5", .max = LIMIT_IKE_RETRANSMIT_TRIES_MAX,
	 .doc = "Repetitions after which a peer is given up: with these defaults after 165 s."},

	// ---- gateway.guard ----
	{GW_GUARD, "enable", FORM_BOOL, .def = "yes",
	 .doc = "no: whatever comes is Linux's, as long as there is room on the way to it."},
	{GW_GUARD, "peer_rate", FORM_NUMBER, .def = "1000", .min = 1, .max = LIMIT_GUARD_RATE,
	 .doc = "Openers (IKE_SA_INIT) from each address in a remote_addrs, that show no cookie; "
		"the "
		"next ones are asked for one (RFC 7296 2.6). As many of other messages, such as "
		"those of IKE SAs that we do not have any more."},
	{GW_GUARD, "proven_rate", FORM_NUMBER, .def = "2000", .min = 1, .max = LIMIT_GUARD_RATE,
	 .doc = "Openers that show a cookie of ours, and so have not forged their address: from "
		"each "
		"address in a remote_addrs, and from all strangers together."},
	{GW_GUARD, "stranger_rate", FORM_NUMBER, .def = "1000", .min = 1, .max = LIMIT_GUARD_RATE,
	 .doc = "Openers from all other addresses together, that show no cookie; the next ones are "
		"asked for one. Peers of remote_addrs = %any are among them."},
	{GW_GUARD, "answer_rate", FORM_NUMBER, .def = "20000", .min = 1, .max = LIMIT_GUARD_RATE,
	 .doc = "Openers that are asked for a cookie at once, from each address in a remote_addrs "
		"and from all others together. When more come, those that are repeated are asked, "
		"as every peer does with its own (RFC 7296 2.1), and the rest is dropped."},
	{GW_GUARD, "unknown_rate", FORM_NUMBER, .def = "20", .min = 1, .max = LIMIT_GUARD_RATE,
	 .doc = "Messages of IKE SAs that we do not have, from all other addresses together."},
	{GW_GUARD, "v1_rate", FORM_NUMBER, .def = "10", .min = 1, .max = LIMIT_GUARD_RATE,
	 .doc = "IKEv1, from all other addresses together."},

	// ---- connections.<conn> ----
	{CONN, "version", FORM_CHOICE, .def = "0", .choices = "0 1 2", .not_yet = "1",
	 .why = "IKEv1 is not available yet",
	 .doc = "IKE version: 2, or 0 for any; today both mean IKEv2."},
	{CONN, "local_addrs", FORM_ENDPOINTS, .def = "%any",
	 .doc = "Our addresses for IKE, separated by commas: %any, %any4 or %any6 (all of one "
		"family), addresses, subnets, ranges (192.0.2.1-192.0.2.9). To initiate, the one "
		"that Linux would take towards the "
		"peer is used when it is among them, else the first single one of the peer's "
		"family."},
	{CONN, "remote_addrs", FORM_ENDPOINTS, .def = "%any",
	 .doc = "The peer's addresses, as above, or host names. We initiate to single addresses "
		"and names, one attempt after the other in turn; with subnets, ranges or %any "
		"alone "
		"the connection only responds. A name is looked up (/etc/hosts, DNS) before each "
		"attempt and every minute, and stands for its first IPv4 and its first IPv6 "
		"address, "
		"in that order, as far as local_addrs has the family. An address that Linux has no "
		"route to is passed over."},
	{CONN, "local_port", FORM_NUMBER, KEY_REFUSED, .def = "500", .max = 65535, .quiet = "0 500",
	 .why = "IKE is received on UDP 500 and 4500",
	 .doc = "Our UDP port for IKE; 4500 is taken by itself when there is a NAT."},
	{CONN, "remote_port", FORM_NUMBER, .def = "500", .min = 1, .max = 65535,
	 .doc = "The peer's UDP port for IKE."},
	{CONN, "proposals", FORM_PROPOSALS, .def = "default",
	 .doc = "IKE proposals in strongSwan's keywords, separated by commas: "
		"\"aes256gcm16-prfsha384-ecp384\". See below for the keywords."},
	{CONN, "on_500_blocked", FORM_TEXT, .def = "report",
	 .doc = "When nothing answers on the peer's UDP 500, three waits long. report: say so. "
		"try_4500: begin on its port 4500 instead (RFC 7296 2.23), and if that answers, "
		"stay "
		"there while 500 is silent; 500 is asked again after 15 s, 30 s, ... half an hour, "
		"and "
		"used as soon as it answers. A number: the same with that port, which the peer's "
		"side has to lead to its port 4500. ESP goes on as it is, unless a NAT is found. "
		"Only with remote_port = 500. strongSwan has nothing like it."},
	{CONN, "encap", FORM_BOOL, .def = "no",
	 .doc = "Put ESP into UDP even when there is no NAT, to get through firewalls that drop "
		"protocol 50."},
	{CONN, "fragmentation", FORM_CHOICE, .def = "yes", .choices = "yes accept force no",
	 .doc = "IKE fragmentation (RFC 7383). yes: announced, and large messages are sent in "
		"fragments to a peer that announces it too. accept: announced, not used by "
		"ourselves. no: neither. Fragments of a peer are always taken. force differs from "
		"yes in IKEv1 only."},
	{CONN, "fragment_size", FORM_NUMBER, .def = "1280", .min = 256, .max = 65535,
	 .doc = "Bytes of an IP datagram with an IKE message; what is larger is sent in fragments. "
		"In strongSwan it is one setting for all connections, charon.fragment_size."},
	{CONN, "dpd_delay", FORM_TIME, .def = "30s",
	 .doc = "Ask a peer that has been silent for so long whether it is alive; 0 never does. "
		"strongSwan's default is 0: there a dead peer stays unnoticed until the next "
		"rekeying."},
	{CONN, "keyingtries", FORM_NUMBER, KEY_IGNORED, .def = "1", .max = 1000000, .quiet = "0",
	 .why = "start_action = start tries until it succeeds, \"port500 up\" tries once",
	 .doc = "Rounds of retransmissions before an initiation is given up."},
	{CONN, "unique", FORM_CHOICE, .def = "no", .choices = "never no keep replace",
	 .doc = "What happens to an IKE SA when the same peer identity sets up another one. no: it "
		"ends when the peer says that the new one is its only one (INITIAL_CONTACT). "
		"replace: it ends in any case. keep: the new one is refused, INITIAL_CONTACT "
		"excepted; so is the peer's reauthentication when it makes before it breaks. "
		"never: "
		"both stay, and we do not send INITIAL_CONTACT."},
	{CONN, "rekey_time", FORM_TIME, .def = "4h", .def_doc = "4h, or 0 with reauth_time",
	 .doc = "Age at which the IKE SA is replaced by CREATE_CHILD_SA; its children go on as "
		"they are. 0: never."},
	{CONN, "reauth_time", FORM_TIME, .def = "0s",
	 .doc = "Age at which both sides authenticate anew: another IKE SA with its own children "
		"is "
		"set up before the old one goes. 0: never."},
	{CONN, "over_time", FORM_TIME, .def_doc = "10 % of the longer of both",
	 .doc = "How long after that age an IKE SA without successor is deleted."},
	{CONN, "rand_time", FORM_TIME, .def_doc = "10 % of each",
	 .doc = "The IKE SA is replaced up to that much before rekey_time and reauth_time, by "
		"chance, so that the two sides do not act at once. At most half is taken off a "
		"time that is not longer. 0: always at the time itself."},
	{CONN, "mobike", FORM_BOOL, .def = "yes",
	 .doc = "Go on between other addresses when those of one side change, with a peer that "
		"does "
		"so too (RFC 4555). The new ones have to be among local_addrs and remote_addrs. "
		"IKE "
		"moves to port 4500."},
	{CONN, "childless", FORM_CHOICE, KEY_REFUSED, .def = "never",
	 .choices = "allow prefer force never", .quiet = "allow never",
	 .why = "an IKE SA is set up together with its first child",
	 .doc = "IKE SAs without a first child (RFC 6023)."},
	{CONN, "send_certreq", FORM_BOOL, .def = "yes",
	 .doc = "Ask for certificates of the CAs that are accepted (CERTREQ)."},
	{CONN, "send_cert", FORM_CHOICE, .def = "ifasked", .choices = "ifasked always never",
	 .doc = "Send our certificate with its issuers when the peer asks for certificates, in any "
		"case, or never: then the peer has to have it already."},
	{CONN, "ocsp", FORM_CHOICE, KEY_IGNORED, .choices = "both reply request never",
	 .quiet = "never reply", .why = "responders are asked over http, not through IKE",
	 .doc = "OCSP inside IKE (RFC 4806)."},
	{CONN, "aggressive", FORM_BOOL, KEY_IGNORED, .quiet = "no false disabled 0", .why = IKEV1,
	 .doc = "IKEv1's Aggressive Mode."},
	{CONN, "pull", FORM_BOOL, KEY_IGNORED, .quiet = "yes true enabled 1", .why = IKEV1,
	 .doc = "IKEv1's Mode Config direction."},
	{CONN, "dpd_timeout", FORM_TIME, KEY_IGNORED, .quiet = "0 0s", .why = IKEV1,
	 .doc = "IKEv1's liveness timeout."},
	{CONN, "dscp", FORM_TEXT, KEY_IGNORED, .def = "000000", .quiet = "000000",
	 .why = "IKE packets are sent with DSCP 0", .doc = "DSCP of IKE packets."},
	{CONN, "vips", FORM_TEXT, KEY_REFUSED, .why = POOLS,
	 .doc = "Virtual addresses to ask for."},
	{CONN, "pools", FORM_TEXT, KEY_REFUSED, .why = POOLS,
	 .doc = "Pools to give virtual addresses from."},
	{CONN, "ppk_id", FORM_TEXT, KEY_REFUSED,
	 .why = "post-quantum pre-shared keys are not available yet",
	 .doc = "Post-quantum pre-shared key (RFC 8784)."},
	{CONN, "ppk_required", FORM_BOOL, KEY_REFUSED, .quiet = "no false disabled 0",
	 .why = "post-quantum pre-shared keys are not available yet",
	 .doc = "Refuse peers without that key."},
	{CONN, "if_id_in", FORM_TEXT, .def = "0",
	 .doc = "The if_id of the tunnel interface of all children that name none themselves. "
		"if_id_in and if_id_out have to be the same. 0: none."},
	{CONN, "if_id_out", FORM_TEXT, .def = "0", .doc = "The same number once more."},
	{CONN, "mediation", FORM_BOOL, KEY_REFUSED, .quiet = "no false disabled 0",
	 .why = "the mediation extension is not available", .doc = "IKEv2 mediation."},
	{CONN, "mediated_by", FORM_TEXT, KEY_REFUSED,
	 .why = "the mediation extension is not available", .doc = "IKEv2 mediation."},
	{CONN, "mediation_peer", FORM_TEXT, KEY_REFUSED,
	 .why = "the mediation extension is not available", .doc = "IKEv2 mediation."},

	// ---- connections.<conn>.local, .remote ----
	{LOCAL, "auth", FORM_TEXT, .def = "pubkey",
	 .doc = "psk: by a pre-shared key. pubkey: by the key of a certificate, whatever its kind. "
		"rsa, rsa/pss, ecdsa, ed25519, ed448: by such a key; sizes and hashes may follow: "
		"\"rsa-3072-sha256\", \"ecdsa-256-ecdsa-384\", \"pubkey-sha384-sha512\". RSA signs "
		"by "
		"PKCS#1 v1.5 except with rsa/pss."},
	{LOCAL, "id", FORM_IDENTITY, .def_doc = "our address, or the subject of our certificate",
	 .doc = "Our identity: an address, a domain name, a mail address, or \"@#hex\" for a key "
		"id, or a distinguished name such as \"C=CH, O=Example, CN=gw\"; \"fqdn:\", "
		"\"email:\", \"keyid:\", \"ipv4:\", \"ipv6:\", \"asn1dn:\" in front force the "
		"type."},
	{LOCAL, "round", FORM_NUMBER, .def = "0", .max = UINT32_MAX,
	 .doc = "Order of authentication rounds; there is only one."},
	{LOCAL, "certs", FORM_TEXT,
	 .doc = "Required unless auth = psk. Our certificates, separated by commas: files in "
		"x509/, "
		"paths, or \"pkcs11:\" URIs. Issuers may stand behind the certificate in its file. "
		"Of several the one is sent that leads to a CA the peer asks for. At most 8."},
	{LOCAL, "pubkeys", FORM_TEXT, KEY_REFUSED, .why = "bare public keys are not available",
	 .doc = "Our public keys."},
	{LOCAL, "eap_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "EAP identity."},
	{LOCAL, "aaa_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "EAP server's identity."},
	{LOCAL, "xauth_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "XAuth user."},
	{REMOTE, "auth", FORM_TEXT, .def_doc = "pubkey, or psk with local.auth = psk",
	 .doc = "How the peer has to authenticate, written as ours; both may differ. Nothing else "
		"is accepted. Hashes also hold for the signatures in its certificates, unless "
		"\"ike:\" stands in front: \"ike:pubkey-sha384\"."},
	{REMOTE, "id", FORM_IDENTITY, .def = "%any",
	 .doc = "The peer's identity, written as ours; %any takes whatever it says, provided that "
		"it proves it. A star at the beginning stands for any beginning (\"*.example\"), "
		"as the value of an attribute of a distinguished name for any value "
		"(\"O=Example, CN=*\")."},
	{REMOTE, "round", FORM_NUMBER, .def = "0", .max = UINT32_MAX,
	 .doc = "Order of authentication rounds; there is only one."},
	{REMOTE, "eap_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "EAP identity."},
	{REMOTE, "groups", FORM_TEXT, KEY_REFUSED,
	 .why = "attribute certificates are not available", .doc = "Groups to be member of."},
	{REMOTE, "cert_policy", FORM_TEXT, KEY_REFUSED, .why = "policies are not checked",
	 .doc = "Certificate policies."},
	{REMOTE, "certs", FORM_TEXT,
	 .doc = "The only certificates that are accepted, separated by commas: files in x509/ or "
		"paths. They need no CA, and the peer need not send them."},
	{REMOTE, "cacerts", FORM_TEXT, .def_doc = "all in x509ca/ and authorities",
	 .doc = "The only CAs that are accepted, separated by commas: files in x509ca/ or paths. "
		"One of them has to stand in the peer's chain."},
	{REMOTE, "ca_id", FORM_TEXT, KEY_REFUSED, .why = "name the CA's file in cacerts",
	 .doc = "CA to require."},
	{REMOTE, "pubkeys", FORM_TEXT, KEY_REFUSED, .why = "bare public keys are not available",
	 .doc = "Public keys to accept."},
	{REMOTE, "revocation", FORM_CHOICE, .def = "relaxed", .choices = "strict ifuri relaxed",
	 .doc = "What it means that neither OCSP nor a valid CRL says whether a certificate of the "
		"peer's chain is revoked. strict: refused. ifuri: refused when the certificate or "
		"its authority names a place to ask. relaxed: accepted. What OCSP or a CRL says "
		"to be revoked is refused in any case. The places that certificates name are "
		"asked over http, for 5 seconds at most."},
	CERT_ROWS(LOCAL_CERT),
	CERT_ROWS(REMOTE_CERT),
	CERT_ROWS(REMOTE_CA),

	// ---- connections.<conn>.children.<child> ----
	{CHILD, "local_ts", FORM_SELECTORS, .def = "dynamic",
	 .doc = "Our networks, separated by commas: \"10.1.0.0/16\", \"10.1.0.0/16[tcp/443]\", "
		"\"fd00:1::/48\", \"10.1.0.10-10.1.0.20\", \"fd00:1::/48[ipv6-icmp/128]\"; "
		"\"dynamic\" "
		"is our own address, of the tunnel's family, and \"dynamic[gre]\" or "
		"\"dynamic[tcp/179]\" some of its packets (4 at most). Both families may stand in one child, "
		"whatever the tunnel itself goes over; each needs networks on both sides. At most "
		"16."},
	{CHILD, "remote_ts", FORM_SELECTORS,
	 .doc = "Required. The peer's networks, as above; \"dynamic\" is the peer's address, of a "
		"name the one that it leads to now."},
	{CHILD, "esp_proposals", FORM_PROPOSALS, .def = "default",
	 .doc = "ESP proposals in strongSwan's keywords: \"aes128gcm16\", or "
		"\"aes128gcm16-x25519\" for a key exchange of the child's own."},
	{CHILD, "mode", FORM_CHOICE, .def = "tunnel",
	 .choices = "tunnel transport transport_proxy beet iptfs pass drop",
	 .not_yet = "transport_proxy beet iptfs", .why = "tunnel and transport mode only",
	 .doc = "tunnel: protect by ESP. transport: protect what the two gateways themselves say "
		"to "
		"each other (GRE, IP in IP, BGP) by ESP without an IP header of its own; local_ts "
		"and remote_ts are \"dynamic\" or the two addresses. A peer that declines makes "
		"it tunnel mode, which carries the same packets. pass: forward in clear. drop: "
		"discard and count. Rules with pass and drop are in force as soon as the "
		"configuration is loaded."},
	{CHILD, "start_action", FORM_TEXT, .def = "none",
	 .doc = "start: initiate when the configuration is loaded. trap (or route): initiate when "
		"there is traffic for it; the packet that asks for it waits. none: wait for the "
		"peer or for \"port500 up\". \"trap|start\": both."},
	{CHILD, "dpd_action", FORM_CHOICE, .def = "clear",
	 .choices = "clear none start restart trap route hold",
	 .doc = "When the peer is found dead. clear: close. start (or restart): close and initiate "
		"again. trap (or route, hold): close and initiate again when there is traffic."},
	{CHILD, "close_action", FORM_CHOICE, .def = "none",
	 .choices = "clear none start restart trap route hold",
	 .doc = "When the peer closes the child. none: nothing. start: initiate again. trap: "
		"initiate again when there is traffic."},
	{CHILD, "replay_window", FORM_NUMBER, .def = "1024", .max = 65536,
	 .doc = "Anti-replay window in packets, rounded up to a multiple of 64; 0 switches the "
		"check "
		"off. strongSwan's default is 32, too few for paths that reorder."},
	{CHILD, "priority", FORM_NUMBER, .def = "0", .max = UINT32_MAX,
	 .def_doc = "0: by specificity",
	 .doc = "Order of overlapping policies; a lower number comes first."},
	{CHILD, "rekey_time", FORM_TIME, .def = "1h",
	 .doc = "Age at which the child SA is replaced, with a key exchange of its own where "
		"esp_proposals names a group. 0: never."},
	{CHILD, "life_time", FORM_TIME, .def_doc = "rekey_time + 10 %",
	 .doc = "Age at which a child SA without successor is deleted. 0: never."},
	{CHILD, "rand_time", FORM_TIME, .def_doc = "life_time - rekey_time",
	 .doc = "The child SA is replaced up to that much before rekey_time, by chance, so that "
		"the two sides do not act at once."},
	{CHILD, "rekey_bytes", FORM_SIZE, .def = "0",
	 .doc = "Volume of inner packets, each way, after which the child SA is replaced. 0: not "
		"by volume."},
	{CHILD, "life_bytes", FORM_SIZE, .def_doc = "rekey_bytes + 10 %",
	 .doc = "Volume after which it carries nothing more and is deleted. 0: no limit."},
	{CHILD, "rand_bytes", FORM_SIZE, .def_doc = "life_bytes - rekey_bytes",
	 .doc = "Random volume taken off rekey_bytes."},
	{CHILD, "rekey_packets", FORM_NUMBER, .def = "0", .max = UINT64_MAX,
	 .doc = "Packets, each way, after which the child SA is replaced. 0: not by their number."},
	{CHILD, "life_packets", FORM_NUMBER, .max = UINT64_MAX, .def_doc = "rekey_packets + 10 %",
	 .doc = "Packets after which it carries nothing more and is deleted. 0: no limit."},
	{CHILD, "rand_packets", FORM_NUMBER, .max = UINT64_MAX,
	 .def_doc = "life_packets - rekey_packets",
	 .doc = "Random number taken off rekey_packets."},
	{CHILD, "inactivity", FORM_TIME, .def = "0s",
	 .doc = "Close the child after so long without a packet in either direction. It stays "
		"down, "
		"whatever start_action = start and close_action say, until the peer, \"port500 "
		"up\" "
		"or, with trap, traffic brings it up again. The IKE SA stays, see "
		"inactivity_close_ike. 0: never."},
	{CHILD, "ipcomp", FORM_BOOL, KEY_IGNORED, .def = "no", .quiet = "no false disabled 0",
	 .why = "packets are not compressed", .doc = "Compression (RFC 3173)."},
	{CHILD, "hostaccess", FORM_BOOL, KEY_IGNORED, .quiet = "no false disabled 0",
	 .why = "there are no updown scripts", .doc = "A variable for the updown script."},
	{CHILD, "policies_fwd_out", FORM_BOOL, KEY_IGNORED, .quiet = "no false disabled 0",
	 .why = "policies here cover forwarded traffic in both directions",
	 .doc = "Linux's outbound forward policies."},
	{CHILD, "reqid", FORM_NUMBER, KEY_IGNORED, .def = "0", .max = UINT32_MAX, .quiet = "0",
	 .why = "the kernel's policies are not used", .doc = "Linux's reqid."},
	{CHILD, "mark_in_sa", FORM_BOOL, KEY_IGNORED, .quiet = "no false disabled 0", .why = MARKS,
	 .doc = "Packet mark of the inbound SA."},
	{CHILD, "label_mode", FORM_CHOICE, KEY_IGNORED, .choices = "system simple selinux",
	 .quiet = "system", .why = "security labels are not available",
	 .doc = "How security labels are used."},
	{CHILD, "ah_proposals", FORM_TEXT, KEY_REFUSED, .why = "AH is not available; use ESP",
	 .doc = "AH proposals."},
	{CHILD, "sha256_96", FORM_BOOL, KEY_REFUSED, .quiet = "no false disabled 0",
	 .why = "HMAC-SHA-256 is cut to 128 bits as RFC 4868 says",
	 .doc = "The wrong truncation of old peers."},
	{CHILD, "updown", FORM_TEXT, KEY_REFUSED, .harmless = "_updown",
	 .why = "scripts are not run; write rules as children with mode = pass or drop",
	 .doc = "A script for each child SA that comes or goes. strongSwan's own, _updown, is a "
		"warning only: it opens Linux's firewall, which protected packets do not cross "
		"here."},
	{CHILD, "policies", FORM_BOOL, KEY_REFUSED, .def = "yes", .quiet = "yes true enabled 1",
	 .why = "without policies no packet would be protected", .doc = "Install policies."},
	{CHILD, "interface", FORM_TEXT, .def_doc = "all ports",
	 .doc = "A port (gateway.ports), by its name: the child's policies then hold for what is "
		"routed to this port, and for what comes in by it in clear, and for nothing else. "
		"In strongSwan it restricts outbound policies only. A child behind a tunnel "
		"interface has none."},
	{CHILD, "mark_in", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "mark_out", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "set_mark_in", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "set_mark_out", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "if_id_in", FORM_TEXT, .def = "0", .def_doc = "that of the connection",
	 .doc = "The if_id of the tunnel interface (gateway.interfaces) that the child is behind: "
		"it then protects what is routed to that interface and nothing else, and several "
		"children may have the selectors 0.0.0.0/0. A number, or hexadecimal after 0x; "
		"if_id_in and if_id_out have to be the same."},
	{CHILD, "if_id_out", FORM_TEXT, .def = "0", .def_doc = "that of the connection",
	 .doc = "The same number once more."},
	{CHILD, "label", FORM_TEXT, KEY_REFUSED, .why = "security labels are not available",
	 .doc = "Security label."},
	{CHILD, "tfc_padding", FORM_TEXT, .def = "0",
	 .doc = "Bytes that a smaller inner packet is padded to before it is encrypted, so that "
		"its "
		"size does not show (RFC 4303 2.7); \"mtu\": as many as the way to the peer "
		"carries in one piece, which is the limit of any number as well. Not towards a "
		"peer that says ESP_TFC_PADDING_NOT_SUPPORTED, nor in transport mode. 0: no "
		"padding."},
	{CHILD, "dummy_packets", FORM_NUMBER, .def = "0", .max = 10000,
	 .doc = "Packets without content that are sent to the peer each second, at random "
		"intervals, "
		"so that times and volume of the others do not show (RFC 4303 2.6). They have the "
		"size that tfc_padding says, else any. The peer drops them; they count for "
		"rekey_packets and life_packets, but neither as bytes nor for inactivity. 0: "
		"none."},
	{CHILD, "hw_offload", FORM_CHOICE, KEY_REFUSED, .def = "no",
	 .choices = "no yes crypto packet auto", .quiet = "no auto",
	 .why = "ESP runs on the CPU; say auto or no", .doc = "ESP on the network card."},
	{CHILD, "copy_df", FORM_BOOL, .def = "yes",
	 .doc = "An outer header of IPv4 has the DF bit of the inner one (RFC 4301 8.1); around "
		"IPv6 it is set (RFC 4213 3.2.2). no: outer_df says what it has. Whether a packet "
		"that does not fit is cut or answered with ICMP, its own DF bit says either way. "
		"This "
		"and the other options of the outer header are for tunnel mode: in transport mode "
		"the header is the packet's own."},
	{CHILD, "outer_df", FORM_CHOICE, .def = "clear", .choices = "clear set",
	 .doc = "With copy_df = no: the outer DF bit. clear lets routers on the way cut what does "
		"not fit, and ends the search for the path's MTU. set: on all packets but those "
		"that have to be cut after encryption, because the SA names ports."},
	{CHILD, "copy_ecn", FORM_BOOL, .def = "yes",
	 .doc = "The outer header has the ECN field of the inner one (RFC 6040 4.1, normal mode). "
		"no: Not-ECT (4.3, compatibility mode), so that congestion on the way is told by "
		"drops. What the ECN field of a received packet becomes does not depend on it "
		"(4.2)."},
	{CHILD, "copy_dscp", FORM_CHOICE, .def = "out", .choices = "no in out yes",
	 .doc = "out: the outer header has the DSCP of the inner one. in: an inner packet takes "
		"over the DSCP that its outer header came with. yes: both. no: neither. Where it "
		"is not copied out the outer header has outer_dscp."},
	{CHILD, "outer_dscp", FORM_TEXT, .def = "000000",
	 .doc = "With copy_dscp = no or in: the outer DSCP, as six binary digits or by name: cs0 "
		"to cs7, af11 to af43, ef, le."},
	{CHILD, "outer_ttl", FORM_NUMBER, .def = "64", .min = 1, .max = 255,
	 .doc = "Time to live, or hop limit, of the outer header."},
	{CHILD, "outer_flow_label", FORM_CHOICE, .def = "none", .choices = "none tunnel flow",
	 .doc = "Flow label of an outer header of IPv6, by which routers share links out (RFC "
		"6438). none: 0. tunnel: one for all packets. flow: one for each flow inside, a "
		"keyed hash of addresses, protocol and ports; whoever sees the packets can then "
		"tell the flows apart."},
	{CHILD, "icmp", FORM_BOOL, KEY_IGNORED, .def = "no", .quiet = "no false disabled 0",
	 .why = "ICMP errors are matched like any other packet",
	 .doc = "Let ICMP errors of protected traffic through the SA."},
	{CHILD, "per_cpu_sas", FORM_CHOICE, KEY_IGNORED, .def = "no",
	 .choices = "no yes encap true enabled 1 false disabled 0", .quiet = "no false disabled 0",
	 .why = "one pair of SAs per child; several workers share it",
	 .doc = "One pair of SAs per CPU (RFC 9611)."},

	// ---- secrets.ike<suffix> ----
	{IKE_PSK, "secret", FORM_SECRET,
	 .doc = "Required. The key: text, or hexadecimal after 0x, or Base64 after 0s. Quotes let "
		"it "
		"hold any character."},
	{IKE_PSK, "id*", FORM_IDENTITY,
	 .doc = "An identity that the key is for; one key per identity (id-a, id-b, ...). Without "
		"any, the key is for everybody."},
	KEY_ROWS("secrets.private*"),
	KEY_ROWS("secrets.rsa*"),
	KEY_ROWS("secrets.ecdsa*"),
	KEY_ROWS("secrets.pkcs8*"),

	// ---- authorities.<name> ----
	{AUTHORITY, "cacert", FORM_TEXT,
	 .doc = "Required, or file. The CA's certificate: a file in x509ca/ or a path."},
	{AUTHORITY, "file", FORM_TEXT, .doc = "The same."},
	{AUTHORITY, "crl_uris", FORM_TEXT,
	 .doc = "Its CRLs, separated by commas: \"http://pki.example/ca.crl\" is fetched at the "
		"start and again long before it runs out, \"file:///etc/port500/ca.crl\" is "
		"read. Others are not fetched: a warning."},
	{AUTHORITY, "ocsp_uris", FORM_TEXT,
	 .doc = "Its OCSP responders, separated by commas: \"http://ocsp.example/\", or by "
		"address \"http://[2001:db8::80]:8080/\". They are asked in this order, before "
		"those that a certificate names, until one answers. An https or ldap URL is "
		"not asked: a warning."},
	{AUTHORITY, "cert_uri_base", FORM_TEXT, KEY_IGNORED, .why = NO_FETCH,
	 .doc = "Base of URLs to fetch certificates from."},
	{AUTHORITY, "handle", FORM_TEXT, KEY_REFUSED, .why = TOKEN, .doc = "On a token."},
	{AUTHORITY, "slot", FORM_TEXT, KEY_REFUSED, .why = TOKEN, .doc = "On a token."},
	{AUTHORITY, "module", FORM_TEXT, KEY_REFUSED, .why = TOKEN, .doc = "On a token."},
};
const size_t schema_n_keys = sizeof(schema_keys) / sizeof(schema_keys[0]);
