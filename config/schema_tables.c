// The tables of config/schema.h. A line here is all that a key needs to be known, checked and
// documented; what it does is in config/load.c.
#include "config/schema.h"

#define CERTS  "certificates are not available yet"
#define EAP    "EAP is not available: this is a site-to-site gateway with pre-shared keys"
#define IKEV1  "it concerns IKEv1, which is not available yet"
#define RANDOM "the random part is a tenth of the time"
#define VOLUME "SAs are renewed by age and by sequence number, not by volume"
#define MARKS  "Linux's packet marks and XFRM interfaces do not exist in this dataplane"
#define POOLS  "virtual addresses are not available: this is a site-to-site gateway"

#define GATEWAY "gateway"
#define PORT	"gateway.ports.*"
#define CONN	"connections.*"
#define LOCAL	"connections.*.local*"
#define REMOTE	"connections.*.remote*"
#define CHILD	"connections.*.children.*"
#define IKE_PSK "secrets.ike*"

const struct schema_section schema_sections[] = {
	{"gateway", "gateway", KEY_SUPPORTED, NULL, "The machine: ports, workers, memory, API."},
	{"gateway.ports", "gateway.ports", KEY_SUPPORTED, NULL, "The ports, each by its name."},
	{PORT, "gateway.ports.<port>", KEY_SUPPORTED, NULL,
	 "A port. Its name is also the name of the interface (a TAP) by which Linux sees it; at "
	 "most "
	 "15 bytes."},
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
	{"connections.*.local*.cert*", "connections.<conn>.local<suffix>.cert<suffix>", KEY_REFUSED,
	 CERTS, "A certificate."},
	{"connections.*.remote*.cert*", "connections.<conn>.remote<suffix>.cert<suffix>",
	 KEY_REFUSED, CERTS, "A certificate."},
	{"connections.*.remote*.cacert*", "connections.<conn>.remote<suffix>.cacert<suffix>",
	 KEY_REFUSED, CERTS, "A CA's certificate."},
	{"secrets", "secrets", KEY_SUPPORTED, NULL,
	 "The pre-shared keys. Keep the file that holds them at mode 0600."},
	{IKE_PSK, "secrets.ike<suffix>", KEY_SUPPORTED, NULL,
	 "A pre-shared key and whom it is for. For a pair of identities the key that names both is "
	 "taken, else one that names the peer, else one that names us, else one that names "
	 "nobody."},
	{"secrets.eap*", "secrets.eap<suffix>", KEY_IGNORED, EAP, "An EAP secret."},
	{"secrets.xauth*", "secrets.xauth<suffix>", KEY_IGNORED, EAP, "An XAuth secret."},
	{"secrets.ntlm*", "secrets.ntlm<suffix>", KEY_IGNORED, EAP, "An NTLM secret."},
	{"secrets.ppk*", "secrets.ppk<suffix>", KEY_IGNORED,
	 "post-quantum pre-shared keys are not available yet", "A post-quantum pre-shared key."},
	{"secrets.private*", "secrets.private<suffix>", KEY_IGNORED, CERTS,
	 "A private key's passphrase."},
	{"secrets.rsa*", "secrets.rsa<suffix>", KEY_IGNORED, CERTS, "A private key's passphrase."},
	{"secrets.ecdsa*", "secrets.ecdsa<suffix>", KEY_IGNORED, CERTS,
	 "A private key's passphrase."},
	{"secrets.pkcs8*", "secrets.pkcs8<suffix>", KEY_IGNORED, CERTS,
	 "A private key's passphrase."},
	{"secrets.pkcs12*", "secrets.pkcs12<suffix>", KEY_IGNORED, CERTS,
	 "A PKCS#12 container's passphrase."},
	{"secrets.token*", "secrets.token<suffix>", KEY_IGNORED, CERTS, "A key on a token."},
	{"pools", "pools", KEY_IGNORED, POOLS, "Pools of virtual addresses."},
	{"authorities", "authorities", KEY_IGNORED, CERTS, "Certification authorities."},
};
const size_t schema_n_sections = sizeof(schema_sections) / sizeof(schema_sections[0]);

const struct schema_key schema_keys[] = {
	// ---- gateway ----
	{GATEWAY, "socket", FORM_TEXT, .def = "/run/port500.vici",
	 .doc = "Path of the API's socket (strongSwan's vici protocol); \"unix://\" in front is "
		"allowed."},
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
	 .doc = "Addresses with prefix length, separated by commas: \"192.0.2.1/24\". Linux gets "
		"them on the port's interface. At most 8. IPv4."},
	{PORT, "mtu", FORM_NUMBER, .def = "1500", .min = 576, .max = 9600,
	 .doc = "Largest IP packet in bytes."},

	// ---- connections.<conn> ----
	{CONN, "version", FORM_CHOICE, .def = "0", .choices = "0 1 2", .not_yet = "1",
	 .why = "IKEv1 is not available yet",
	 .doc = "IKE version: 2, or 0 for any; today both mean IKEv2."},
	{CONN, "local_addrs", FORM_ENDPOINTS, .def = "%any",
	 .doc = "Our addresses for IKE, separated by commas: %any, addresses, subnets. The first "
		"address is used to initiate. IPv4."},
	{CONN, "remote_addrs", FORM_ENDPOINTS, .def = "%any",
	 .doc = "The peer's addresses, as above. The first address is where we initiate to; with "
		"subnets or %any alone the connection only responds."},
	{CONN, "local_port", FORM_NUMBER, KEY_REFUSED, .def = "500", .max = 65535, .quiet = "0 500",
	 .why = "IKE is received on UDP 500 and 4500",
	 .doc = "Our UDP port for IKE; 4500 is taken by itself when there is a NAT."},
	{CONN, "remote_port", FORM_NUMBER, .def = "500", .min = 1, .max = 65535,
	 .doc = "The peer's UDP port for IKE."},
	{CONN, "proposals", FORM_PROPOSALS, .def = "default",
	 .doc = "IKE proposals in strongSwan's keywords, separated by commas: "
		"\"aes256gcm16-prfsha384-ecp384\". See below for the keywords."},
	{CONN, "encap", FORM_BOOL, .def = "no",
	 .doc = "Put ESP into UDP even when there is no NAT, to get through firewalls that drop "
		"protocol 50."},
	{CONN, "dpd_delay", FORM_TIME, .def = "30s",
	 .doc = "Ask a peer that has been silent for so long whether it is alive; 0 never does. "
		"strongSwan's default is 0: there a dead peer stays unnoticed until the next "
		"rekeying."},
	{CONN, "keyingtries", FORM_NUMBER, KEY_IGNORED, .def = "1", .max = 1000000, .quiet = "0",
	 .why = "start_action = start tries until it succeeds, \"port500 up\" tries once",
	 .doc = "Rounds of retransmissions before an initiation is given up."},
	{CONN, "unique", FORM_CHOICE, KEY_IGNORED, .def = "no", .choices = "never no keep replace",
	 .quiet = "no", .why = "only strongSwan's default 'no' is available",
	 .doc = "What happens when one identity connects twice."},
	{CONN, "rekey_time", FORM_TIME, .def = "4h", .def_doc = "4h, or 0 with reauth_time",
	 .doc = "Age at which the IKE SA is replaced. Its successor is negotiated from the start "
		"(IKE_SA_INIT, IKE_AUTH) and takes over before the old one is deleted; that "
		"happens up "
		"to a tenth earlier, by chance. 0: never. Rekeying by CREATE_CHILD_SA is not "
		"available "
		"yet: a peer that asks for it is answered NO_ADDITIONAL_SAS."},
	{CONN, "reauth_time", FORM_TIME, .def = "0s",
	 .doc = "The same as rekey_time, as every successor authenticates anew; the shorter of "
		"both "
		"counts."},
	{CONN, "over_time", FORM_TIME, .def_doc = "10 % of the longer of both",
	 .doc = "How long after that age an IKE SA without successor is deleted."},
	{CONN, "rand_time", FORM_TIME, KEY_IGNORED, .def_doc = "a tenth of rekey_time",
	 .why = RANDOM, .doc = "Random time taken off rekey_time and reauth_time."},
	{CONN, "mobike", FORM_BOOL, KEY_IGNORED, .def = "no", .quiet = "no false disabled 0",
	 .why = "MOBIKE is not available yet; an SA stays with its addresses",
	 .doc = "Moving an SA to other addresses (RFC 4555)."},
	{CONN, "fragmentation", FORM_CHOICE, KEY_IGNORED, .def = "no",
	 .choices = "yes accept force no", .quiet = "no",
	 .why = "IKE fragmentation is not available yet; with pre-shared keys messages are small",
	 .doc = "IKE fragmentation (RFC 7383)."},
	{CONN, "childless", FORM_CHOICE, KEY_REFUSED, .def = "never",
	 .choices = "allow prefer force never", .quiet = "allow never",
	 .why = "an IKE SA is set up together with its first child",
	 .doc = "IKE SAs without a first child (RFC 6023)."},
	{CONN, "send_certreq", FORM_BOOL, KEY_IGNORED, .quiet = "no false disabled 0", .why = CERTS,
	 .doc = "Ask for certificates."},
	{CONN, "send_cert", FORM_CHOICE, KEY_IGNORED, .choices = "ifasked always never",
	 .quiet = "ifasked never", .why = CERTS, .doc = "Send certificates."},
	{CONN, "ocsp", FORM_CHOICE, KEY_IGNORED, .choices = "both reply request never",
	 .quiet = "never", .why = CERTS, .doc = "OCSP inside IKE (RFC 4806)."},
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
	{CONN, "if_id_in", FORM_TEXT, KEY_REFUSED, .quiet = "0", .why = MARKS,
	 .doc = "XFRM interface."},
	{CONN, "if_id_out", FORM_TEXT, KEY_REFUSED, .quiet = "0", .why = MARKS,
	 .doc = "XFRM interface."},
	{CONN, "mediation", FORM_BOOL, KEY_REFUSED, .quiet = "no false disabled 0",
	 .why = "the mediation extension is not available", .doc = "IKEv2 mediation."},
	{CONN, "mediated_by", FORM_TEXT, KEY_REFUSED,
	 .why = "the mediation extension is not available", .doc = "IKEv2 mediation."},
	{CONN, "mediation_peer", FORM_TEXT, KEY_REFUSED,
	 .why = "the mediation extension is not available", .doc = "IKEv2 mediation."},

	// ---- connections.<conn>.local, .remote ----
	{LOCAL, "auth", FORM_TEXT, .doc = "Required: psk. strongSwan's default is pubkey."},
	{LOCAL, "id", FORM_IDENTITY, .def_doc = "our address",
	 .doc = "Our identity: an address, a domain name, a mail address, or \"@#hex\" for a key "
		"id; "
		"\"fqdn:\", \"email:\", \"keyid:\", \"ipv4:\", \"ipv6:\" in front force the type."},
	{LOCAL, "round", FORM_NUMBER, .def = "0", .max = UINT32_MAX,
	 .doc = "Order of authentication rounds; there is only one."},
	{LOCAL, "certs", FORM_TEXT, KEY_REFUSED, .why = CERTS, .doc = "Our certificates."},
	{LOCAL, "pubkeys", FORM_TEXT, KEY_REFUSED, .why = CERTS, .doc = "Our public keys."},
	{LOCAL, "eap_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "EAP identity."},
	{LOCAL, "aaa_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "EAP server's identity."},
	{LOCAL, "xauth_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "XAuth user."},
	{REMOTE, "auth", FORM_TEXT, .def_doc = "as in local", .doc = "psk."},
	{REMOTE, "id", FORM_IDENTITY, .def = "%any",
	 .doc = "The peer's identity, written as ours; %any takes whatever it says, provided that "
		"it "
		"knows the key."},
	{REMOTE, "round", FORM_NUMBER, .def = "0", .max = UINT32_MAX,
	 .doc = "Order of authentication rounds; there is only one."},
	{REMOTE, "eap_id", FORM_TEXT, KEY_REFUSED, .why = EAP, .doc = "EAP identity."},
	{REMOTE, "groups", FORM_TEXT, KEY_REFUSED, .why = CERTS, .doc = "Groups to be member of."},
	{REMOTE, "cert_policy", FORM_TEXT, KEY_REFUSED, .why = CERTS,
	 .doc = "Certificate policies."},
	{REMOTE, "certs", FORM_TEXT, KEY_REFUSED, .why = CERTS, .doc = "Certificates to accept."},
	{REMOTE, "cacerts", FORM_TEXT, KEY_REFUSED, .why = CERTS, .doc = "CAs to accept."},
	{REMOTE, "ca_id", FORM_TEXT, KEY_REFUSED, .why = CERTS, .doc = "CA to require."},
	{REMOTE, "pubkeys", FORM_TEXT, KEY_REFUSED, .why = CERTS, .doc = "Public keys to accept."},
	{REMOTE, "revocation", FORM_CHOICE, KEY_IGNORED, .choices = "strict ifuri relaxed",
	 .why = CERTS, .doc = "Checks of revocation."},

	// ---- connections.<conn>.children.<child> ----
	{CHILD, "local_ts", FORM_SELECTORS, .def = "dynamic",
	 .doc = "Our networks, separated by commas: \"10.1.0.0/16\", \"10.1.0.0/16[tcp/443]\"; "
		"\"dynamic\" is our own address. At most 16. IPv4."},
	{CHILD, "remote_ts", FORM_SELECTORS,
	 .doc = "Required. The peer's networks, as above; \"dynamic\" is the peer's address."},
	{CHILD, "esp_proposals", FORM_PROPOSALS, .def = "default",
	 .doc = "ESP proposals in strongSwan's keywords: \"aes128gcm16\"."},
	{CHILD, "mode", FORM_CHOICE, .def = "tunnel",
	 .choices = "tunnel transport transport_proxy beet iptfs pass drop",
	 .not_yet = "transport transport_proxy beet iptfs", .why = "tunnel mode only",
	 .doc = "tunnel: protect by ESP. pass: forward in clear. drop: discard and count. Rules "
		"with "
		"pass and drop are in force as soon as the configuration is loaded."},
	{CHILD, "start_action", FORM_TEXT, .def = "none",
	 .doc = "start: initiate when the configuration is loaded. none: wait for the peer or for "
		"\"port500 up\". \"trap\" is not available yet."},
	{CHILD, "dpd_action", FORM_CHOICE, .def = "clear",
	 .choices = "clear none start restart trap route hold", .not_yet = "trap route hold",
	 .why = "initiating on traffic is not available yet; use start",
	 .doc = "When the peer is found dead. clear: close. start (or restart): close and initiate "
		"again."},
	{CHILD, "close_action", FORM_CHOICE, .def = "none",
	 .choices = "clear none start restart trap route hold", .not_yet = "trap route hold",
	 .why = "initiating on traffic is not available yet; use start",
	 .doc = "When the peer closes the child. none: nothing. start: initiate again."},
	{CHILD, "replay_window", FORM_NUMBER, .def = "1024", .max = 1024,
	 .doc = "Anti-replay window in packets, rounded up to a multiple of 64; 0 switches the "
		"check "
		"off. strongSwan's default is 32, too few for paths that reorder."},
	{CHILD, "priority", FORM_NUMBER, .def = "0", .max = UINT32_MAX,
	 .def_doc = "0: by specificity",
	 .doc = "Order of overlapping policies; a lower number comes first."},
	{CHILD, "rekey_time", FORM_TIME, .def = "1h",
	 .doc = "Age at which the child SA is replaced, together with its IKE SA: see rekey_time "
		"of the "
		"connection. 0: never."},
	{CHILD, "life_time", FORM_TIME, .def_doc = "rekey_time + 10 %",
	 .doc = "Age at which a child SA without successor is deleted. 0: never."},
	{CHILD, "rand_time", FORM_TIME, KEY_IGNORED, .def_doc = "a tenth of rekey_time",
	 .why = RANDOM, .doc = "Random time taken off rekey_time."},
	{CHILD, "rekey_bytes", FORM_SIZE, KEY_IGNORED, .def = "0", .quiet = "0", .why = VOLUME,
	 .doc = "Volume after which the child SA is rekeyed."},
	{CHILD, "life_bytes", FORM_SIZE, KEY_IGNORED, .quiet = "0", .why = VOLUME,
	 .doc = "Volume after which it is closed."},
	{CHILD, "rand_bytes", FORM_SIZE, KEY_IGNORED, .quiet = "0", .why = VOLUME,
	 .doc = "Random volume taken off rekey_bytes."},
	{CHILD, "rekey_packets", FORM_NUMBER, KEY_IGNORED, .def = "0", .max = UINT64_MAX,
	 .quiet = "0", .why = VOLUME, .doc = "Packets after which the child SA is rekeyed."},
	{CHILD, "life_packets", FORM_NUMBER, KEY_IGNORED, .max = UINT64_MAX, .quiet = "0",
	 .why = VOLUME, .doc = "Packets after which it is closed."},
	{CHILD, "rand_packets", FORM_NUMBER, KEY_IGNORED, .max = UINT64_MAX, .quiet = "0",
	 .why = VOLUME, .doc = "Random number taken off rekey_packets."},
	{CHILD, "inactivity", FORM_TIME, KEY_IGNORED, .def = "0s", .quiet = "0 0s",
	 .why = "child SAs stay up without traffic", .doc = "Close a child without traffic."},
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
	{CHILD, "interface", FORM_TEXT, KEY_REFUSED, .why = "policies hold on all ports",
	 .doc = "Interface that the policies hold on."},
	{CHILD, "mark_in", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "mark_out", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "set_mark_in", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "set_mark_out", FORM_TEXT, KEY_REFUSED, .quiet = "0 0/0x00000000", .why = MARKS,
	 .doc = "Packet mark."},
	{CHILD, "if_id_in", FORM_TEXT, KEY_REFUSED, .quiet = "0", .why = MARKS,
	 .doc = "XFRM interface."},
	{CHILD, "if_id_out", FORM_TEXT, KEY_REFUSED, .quiet = "0", .why = MARKS,
	 .doc = "XFRM interface."},
	{CHILD, "label", FORM_TEXT, KEY_REFUSED, .why = "security labels are not available",
	 .doc = "Security label."},
	{CHILD, "tfc_padding", FORM_TEXT, KEY_REFUSED, .def = "0", .quiet = "0",
	 .why = "traffic flow confidentiality is not available yet",
	 .doc = "Padding of packets to one size."},
	{CHILD, "hw_offload", FORM_CHOICE, KEY_REFUSED, .def = "no",
	 .choices = "no yes crypto packet auto", .quiet = "no auto",
	 .why = "ESP runs on the CPU; say auto or no", .doc = "ESP on the network card."},
	{CHILD, "copy_df", FORM_BOOL, KEY_REFUSED, .def = "yes", .quiet = "yes true enabled 1",
	 .why = "the DF bit is always copied (RFC 4301 8.1)", .doc = "DF bit to the outer header."},
	{CHILD, "copy_ecn", FORM_BOOL, KEY_REFUSED, .def = "yes", .quiet = "yes true enabled 1",
	 .why = "ECN is always handled as RFC 6040 says",
	 .doc = "ECN to and from the outer header."},
	{CHILD, "copy_dscp", FORM_CHOICE, KEY_REFUSED, .def = "out", .choices = "no in out yes",
	 .quiet = "out", .why = "the DSCP is copied outwards only (RFC 4301 5.1.2.1)",
	 .doc = "DSCP to and from the outer header."},
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
};
const size_t schema_n_keys = sizeof(schema_keys) / sizeof(schema_keys[0]);
