// Every error and warning of the loader, as the user reads it.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "config_text.h"

struct row {
	enum place place;
	const char *line;
	const char *message;
};

static const struct row errors[] = {
	// ---- unknown, mistyped, misplaced ----
	{CONN, "proposls = default",
	 "f:12: connections.a.proposls: unknown key; did you mean "
	 "'proposals'?"},
	{CHILD, "local_tss = 10.1.0.0/24",
	 "f:24: connections.a.children.n.local_tss: unknown key; did you mean 'local_ts'?"},
	{CONN, "xyzzy = 1", "f:12: connections.a.xyzzy: unknown key"},
	{TOP, "conections { }", "f:34: conections: unknown section; did you mean 'connections'?"},
	{TOP, "a = 1", "f:34: a: unknown key"},
	{CONN, "childern { }",
	 "f:12: connections.a.childern: unknown section; did you mean "
	 "'children'?"},
	{CONN, "children = x",
	 "f:12: connections.a.children: is a section: write 'children { ... }'"},
	{CONN, "proposals { }",
	 "f:12: connections.a.proposals: is a key: write 'proposals = VALUE'"},
	{GATEWAY, "wan { }", "f:2: gateway.wan: unknown section"},
	{PSK, "sercet = x", "f:31: secrets.ike.sercet: unknown key; did you mean 'secret'?"},
	{TOP, "secrets { iek { secret = x } }",
	 "f:34: secrets.iek: unknown section; did you mean "
	 "'ike'?"},
	// ---- forms ----
	{CONN, "dpd_delay = soon",
	 "f:12: connections.a.dpd_delay: 'soon' is not a time such as 30s, "
	 "5m, 1h or 2d"},
	{CONN, "dpd_delay = 5w",
	 "f:12: connections.a.dpd_delay: '5w' is not a time such as 30s, 5m, "
	 "1h or 2d"},
	{CONN, "dpd_delay = -1",
	 "f:12: connections.a.dpd_delay: '-1' is not a time such as 30s, 5m, "
	 "1h or 2d"},
	{CONN, "dpd_delay = 99999999999999999999",
	 "f:12: connections.a.dpd_delay: '99999999999999999999' is not a time such as 30s, 5m, 1h "
	 "or "
	 "2d"},
	{CONN, "encap = perhaps", "f:12: connections.a.encap: 'perhaps' is not yes or no"},
	{CONN, "mobike = often", "f:12: connections.a.mobike: 'often' is not yes or no"},
	{CONN, "on_500_blocked = 4500x",
	 "f:12: connections.a.on_500_blocked: '4500x' is none of report, try_4500 and a port other "
	 "than 500"},
	{CONN, "on_500_blocked = 500",
	 "f:12: connections.a.on_500_blocked: '500' is none of report, try_4500 and a port other "
	 "than 500"},
	{CONN, "on_500_blocked = try_4500\nremote_port = 4500",
	 "f:12: connections.a.on_500_blocked: goes with remote_port = 500 alone, and here that is "
	 "4500"},
	{CONN, "remote_port = 70000",
	 "f:12: connections.a.remote_port: '70000' is not a number from 1 to 65535"},
	{GATEWAY, "poll = bussy",
	 "f:2: gateway.poll: 'bussy' is not one of adaptive, busy; did you mean 'busy'?"},
	{GATEWAY, "hugepages = 17", "f:2: gateway.hugepages: '17' is not one of auto, on, off"},
	{CHILD, "mode = tunel",
	 "f:24: connections.a.children.n.mode: 'tunel' is not one of tunnel, transport, "
	 "pass, drop; did you mean 'tunnel'?"},
	{CHILD, "start_action = begin",
	 "f:24: connections.a.children.n.start_action: 'begin' is not none, start or trap"},
	// ---- not available ----
	{CONN, "version = 1", "f:12: connections.a.version: '1': IKEv1 is not available yet"},
	{CONN, "version = 3", "f:12: connections.a.version: '3' is not one of 0, 2"},
	{CONN, "local_port = 4500",
	 "f:12: connections.a.local_port: not supported: IKE is received on UDP 500 and 4500"},
	{CONN, "vips = 0.0.0.0",
	 "f:12: connections.a.vips: not supported: virtual addresses are not "
	 "available: this is a site-to-site gateway"},
	{CONN, "childless = force",
	 "f:12: connections.a.childless: not supported: an IKE SA is set up "
	 "together with its first child"},
	{CONN, "if_id_in = 5",
	 "f:12: connections.a.if_id_in: if_id_in is 5 and if_id_out is 0: they have to be the "
	 "same, as one interface is for both directions"},
	{LOCAL, "auth = pubkey",
	 "f:14: connections.a.local: our certificate is missing; write certs = FILE, or auth = "
	 "psk"},
	{REMOTE, "auth = eap-mschapv2",
	 "f:19: connections.a.remote.auth: 'eap-mschapv2': this is a site-to-site gateway; use psk "
	 "or pubkey"},
	{REMOTE, "auth = pks",
	 "f:19: connections.a.remote.auth: 'pks' is not psk, pubkey, rsa, rsa/pss, ecdsa, ed25519 "
	 "or ed448, with sizes and hashes as in rsa-3072-sha256"},
	{REMOTE, "auth = rsa-sha1",
	 "f:19: connections.a.remote.auth: SHA-1 is no longer good for signatures"},
	{LOCAL, "cert-1 { slot = 1 }",
	 "f:16: connections.a.local.cert-1.slot: not supported: name a \"pkcs11:\" URI as the file "
	 "instead"},
	{LOCAL, "cert-1 { }", "f:16: connections.a.local.cert-1: the file is missing"},
	{REMOTE, "ca_id = x",
	 "f:19: connections.a.remote.ca_id: not supported: name the CA's file in cacerts"},
	{REMOTE, "revocation = hard",
	 "f:19: connections.a.remote.revocation: 'hard' is not one of strict, ifuri, relaxed"},
	{TOP, "authorities { x { cacert = a.pem\ncrl_uris = http://x.example:0/a } }",
	 "f:35: authorities.x.crl_uris: 'http://x.example:0/a' has no valid port"},
	{TOP, "authorities { x { cacert = a.pem\nocsp_uris = http://x.example:0/a } }",
	 "f:35: authorities.x.ocsp_uris: 'http://x.example:0/a' has no valid port"},
	{TOP, "authorities { x { file = a.pem\nocsp_uris = http://a.example/, http:// } }",
	 "f:35: authorities.x.ocsp_uris: 'http://' has no valid host name"},
	{TOP, "authorities { x { } }",
	 "f:34: authorities.x: the certificate is missing; write cacert = FILE"},
	{TOP, "secrets { rsa-x { secret = y } }",
	 "f:34: secrets.rsa-x: the file is missing; write file = NAME, or file = \"pkcs11:...\" "
	 "for "
	 "a key on a token"},
	{CONN, "local-2 { auth = psk }",
	 "f:14: connections.a.local: a second round of authentication "
	 "(after 'local-2') is not available"},
	{CHILD,
	 "local_ts = dynamic,10.0.0.0,10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5,10.0.0.6,"
	 "10.0.0.7,10.0.0.8,10.0.0.9,10.0.0.10,10.0.0.11,10.0.0.12,10.0.0.13,10.0.0.14,10.0.0.15",
	 "f:24: connections.a.children.n.local_ts: more than 16 networks with 'dynamic'"},
	{CHILD, "mode = beet",
	 "f:24: connections.a.children.n.mode: 'beet': tunnel and transport mode only"},
	{CHILD, "mode = transport",
	 "f:23: connections.a.children.n.remote_ts: 10.2.0.0/24 is a network: with mode = "
	 "transport a child carries only what the two gateways say to each other. Write 'dynamic' "
	 "or the peer's address, as in 192.0.2.1[gre], or mode = tunnel"},
	{CHILD, "updown = /etc/my_updown iptables",
	 "f:24: connections.a.children.n.updown: not supported: scripts are not run; write rules "
	 "as "
	 "children with mode = pass or drop"},
	{CHILD, "mark_in = 42",
	 "f:24: connections.a.children.n.mark_in: not supported: Linux's packet "
	 "marks do not exist in this dataplane"},
	{CHILD, "copy_dscp = both",
	 "f:24: connections.a.children.n.copy_dscp: 'both' is not one of no, in, out, yes"},
	{CHILD, "copy_dscp = no\nouter_dscp = 10111",
	 "f:25: connections.a.children.n.outer_dscp: '10111' is not six binary digits, such as "
	 "101110, nor one of cs0 to cs7, af11 to af43, ef, le"},
	{CHILD, "copy_dscp = no\nouter_dscp = 1011102",
	 "f:25: connections.a.children.n.outer_dscp: '1011102' is not six binary digits, such as "
	 "101110, nor one of cs0 to cs7, af11 to af43, ef, le"},
	{CHILD, "copy_df = no\nouter_df = copy",
	 "f:25: connections.a.children.n.outer_df: 'copy' is not one of clear, set"},
	{CHILD, "outer_ttl = 0",
	 "f:24: connections.a.children.n.outer_ttl: '0' is not a number from 1 to 255"},
	{CHILD, "outer_ttl = 256",
	 "f:24: connections.a.children.n.outer_ttl: '256' is not a number from 1 to 255"},
	{CHILD, "outer_flow_label = yes",
	 "f:24: connections.a.children.n.outer_flow_label: 'yes' is not one of none, tunnel, "
	 "flow"},
	{CHILD, "dummy_packets = 10001",
	 "f:24: connections.a.children.n.dummy_packets: '10001' is not a number from 0 to 10000"},
	{CHILD, "tfc_padding = max",
	 "f:24: connections.a.children.n.tfc_padding: 'max' is not a number of bytes from 0 to "
	 "65534, nor mtu"},
	{CHILD, "tfc_padding = 65535",
	 "f:24: connections.a.children.n.tfc_padding: '65535' is not a number of bytes from 0 to "
	 "65534, nor mtu"},
	{CHILD, "ah_proposals = sha256",
	 "f:24: connections.a.children.n.ah_proposals: not supported: "
	 "AH is not available; use ESP"},
	{CHILD, "hw_offload = yes",
	 "f:24: connections.a.children.n.hw_offload: not supported: ESP runs "
	 "on the CPU; say auto or no"},
	// ---- addresses and networks ----
	{CONN, "local_addrs = gw.example",
	 "f:12: connections.a.local_addrs: 'gw.example': our own addresses are numbers; host names "
	 "are for remote_addrs"},
	{CONN, "local_addrs = 192.0.2.300",
	 "f:12: connections.a.local_addrs: '192.0.2.300' is not %any, an address, a subnet, a "
	 "range or a host name"},
	{CONN, "local_addrs = gw..example",
	 "f:12: connections.a.local_addrs: 'gw..example' is not %any, an address, a subnet, a "
	 "range or a host name"},
	{CONN, "local_addrs = 192.0.2.9-192.0.2.1",
	 "f:12: connections.a.local_addrs: '192.0.2.9-192.0.2.1': a range goes from a lower to a "
	 "higher address"},
	{CONN,
	 "local_addrs = 1.0.0.1,1.0.0.2,1.0.0.3,1.0.0.4,1.0.0.5,1.0.0.6,1.0.0.7,1.0.0.8,1.0.0.9",
	 "f:12: connections.a.local_addrs: more than 8 addresses"},
	{CHILD, "local_ts = 10.1.0.0/33",
	 "f:24: connections.a.children.n.local_ts: '10.1.0.0/33' is not a network such as "
	 "10.1.0.0/16, 10.1.0.0/16[tcp/443] or fd00:1::/48"},
	{CHILD, "local_ts = fd00:1::/129",
	 "f:24: connections.a.children.n.local_ts: 'fd00:1::/129' is not a network such as "
	 "10.1.0.0/16, 10.1.0.0/16[tcp/443] or fd00:1::/48"},
	{CHILD, "local_ts = fd00::9-fd00::1",
	 "f:24: connections.a.children.n.local_ts: 'fd00::9-fd00::1' is not a network such as "
	 "10.1.0.0/16, 10.1.0.0/16[tcp/443] or fd00:1::/48"},
	{CHILD, "local_ts = 10.0.0.1-fd00::1",
	 "f:24: connections.a.children.n.local_ts: '10.0.0.1-fd00::1' is not a network such as "
	 "10.1.0.0/16, 10.1.0.0/16[tcp/443] or fd00:1::/48"},
	{CHILD, "local_ts = fd00:1::/48[ipv6-icmp/70000]",
	 "f:24: connections.a.children.n.local_ts: 'fd00:1::/48[ipv6-icmp/70000]' is not a "
	 "network such as 10.1.0.0/16, 10.1.0.0/16[tcp/443] or fd00:1::/48"},
	{CHILD, "local_ts = 2001:db8::/32",
	 "f:22: connections.a.children.n: local_ts has no network of a family that remote_ts has: "
	 "there is no packet from one to the other"},
	{CHILD, "local_ts = dynamic[tcp/80",
	 "f:24: connections.a.children.n.local_ts: 'dynamic[tcp/80' is not dynamic, or dynamic "
	 "with a protocol and ports as in dynamic[gre] or dynamic[tcp/179]"},
	{CHILD, "local_ts = dynamics",
	 "f:24: connections.a.children.n.local_ts: 'dynamics' is not dynamic, or dynamic "
	 "with a protocol and ports as in dynamic[gre] or dynamic[tcp/179]"},
	{CHILD, "local_ts = dynamic, dynamic[1], dynamic[2], dynamic[3], dynamic[4]",
	 "f:24: connections.a.children.n.local_ts: more than 4 times 'dynamic'"},
	{CHILD, "local_ts = ,", "f:24: connections.a.children.n.local_ts: no network"},
	{CHILD, "remote_ts =",
	 "f:22: connections.a.children.n: remote_ts is missing: which networks are "
	 "behind the peer?"},
	{CHILD, "mode = pass",
	 "f:22: connections.a.children.n: a rule with mode = pass names its "
	 "networks in local_ts and remote_ts; 0.0.0.0/0 and ::/0 are everything"},
	{CHILD, "mode = drop\nlocal_ts = dynamic",
	 "f:25: connections.a.children.n.local_ts: a rule with mode = drop names its networks in "
	 "local_ts "
	 "and remote_ts; 0.0.0.0/0 and ::/0 are everything"},
	// ---- identities, proposals ----
	{REMOTE, "id = gw.*.example",
	 "f:19: connections.a.remote.id: 'gw.*.example': a wildcard is a star at the beginning, as "
	 "in *.example, or a whole value of a distinguished name, as in \"O=Example, CN=*\""},
	{REMOTE, "id = \"^gw\"",
	 "f:19: connections.a.remote.id: '^gw': regular expressions and numbered types of "
	 "identities are not available; name the identity, or %any"},
	{REMOTE, "id = \"XX=CH, CN=x\"",
	 "f:19: connections.a.remote.id: 'XX=CH, CN=x' is not an identity such as gw.example, "
	 "192.0.2.1 or \"C=CH, O=Example, CN=gw\""},
	{LOCAL, "id = *.example",
	 "f:16: connections.a.local.id: '*.example': only remote.id may have a wildcard"},
	{PSK, "id = *.example",
	 "f:31: secrets.ike.id: '*.example': only remote.id may have a wildcard"},
	{REMOTE, "id = \"@#xyz\"",
	 "f:19: connections.a.remote.id: '@#xyz' is not an identity such as gw.example, "
	 "192.0.2.1 or \"C=CH, O=Example, CN=gw\""},
	// ---- what belongs together ----
	{CONN, "remote_addrs = 192.0.2.9\nchildren { n { start_action = start } }", NULL},
	{CHILD, "replay_window = 65537",
	 "f:24: connections.a.children.n.replay_window: '65537' is not a number from 0 to 65536"},
	{PSK,
	 "secret =", "f:31: secrets.ike.secret: the secret is missing; write secret = \"...\""},
	{PSK, "secret = 0xabcg",
	 "f:31: secrets.ike.secret: after 0x there are no hexadecimal digits"},
	{PSK, "secret = 0x", "f:31: secrets.ike.secret: after 0x there are no hexadecimal digits"},
	{PSK, "secret = 0s****", "f:31: secrets.ike.secret: after 0s there is no Base64"},
	{PSK, "id = somebody-else",
	 "f:11: connections.a: no secret for 'us' and 'peer'; write secrets { "
	 "ike-a { id = peer secret = \"...\" } }"},
	// ---- gateway ----
	{PORTS, "wan2 { }",
	 "f:4: gateway.ports.wan2: the device is missing; write device = "
	 "0000:01:00.1, or device = net_af_packet0,iface=eth1"},
	{PORTS, "a-name-of-16-byt { device = x }",
	 "f:4: gateway.ports.a-name-of-16-byt: the name of a port has at most 15 bytes: it names "
	 "an "
	 "interface of Linux"},
	{PORTS, "a/b { device = x }",
	 "f:4: gateway.ports.a/b: the name of a port is made of letters, "
	 "digits, '-' and '_': it names an interface of Linux"},
	{PORTS, "lo { device = x }",
	 "f:4: gateway.ports.lo: 'lo' cannot name a port: Linux gives it another meaning"},
	{PORTS, "b { device = net_null0,size=64 }",
	 "f:5: gateway.ports.wan: the device is already that of port b; a virtual device needs a "
	 "number of its own, as in net_af_packet1; ports of one device have different VLANs (vlan "
	 "= 100)"},
	{PORT, "vlan = 4095", "f:6: gateway.ports.wan.vlan: '4095' is not a number from 0 to 4094"},
	{PORTS, "b { device = net_null1\nvlan = 5 }\nc { device = net_null1\nvlan = 5 }",
	 "f:6: gateway.ports.c: VLAN 5 of the device is already that of port b"},
	{PORTS, "b { device = net_null1\nvlan = 5 }\nc { device = net_null1,size=64\nvlan = 6 }",
	 "f:6: gateway.ports.c: the device is that of port b as well: write it in the same way, "
	 "device = net_null1"},
	{PORTS,
	 "b { device = net_null1\naddrs = 192.0.2.1/24 }\nc { device = net_null2\naddrs = "
	 "192.0.2.1/32 }",
	 "f:6: gateway.ports.c: the address 192.0.2.1 is already that of port b"},
	{PORTS, "b { device = 0000:01:00.1 }\nc { device = 01:00.1,arg=1 }",
	 "f:5: gateway.ports.c: the device is already that of port b; a virtual device needs a "
	 "number of its own, as in net_af_packet1; ports of one device have different VLANs (vlan "
	 "= 100)"},
	{PORT, "addrs = 192.0.2.1/24, 192.0.2.1/32",
	 "f:5: gateway.ports.wan: the address 192.0.2.1 is already that of port wan"},
	{PORT, "addrs = 192.0.2.1",
	 "f:6: gateway.ports.wan.addrs: '192.0.2.1' has no prefix length; "
	 "write 192.0.2.1/24, say"},
	{PORT, "addrs = 192.0.2.1/24, 2001:db8::1",
	 "f:6: gateway.ports.wan.addrs: '2001:db8::1' has no prefix length; "
	 "write 2001:db8::1/64, say"},
	{PORT, "addrs = here",
	 "f:6: gateway.ports.wan.addrs: 'here' is not an address with prefix "
	 "length such as 192.0.2.1/24"},
	{PORT, "mtu = 100", "f:6: gateway.ports.wan.mtu: '100' is not a number from 576 to 9600"},
	{GATEWAY, "workers = 0", "f:2: gateway.workers: '0' is not a number from 1 to 64"},
	{GATEWAY, "workers = 2\ncpus = 1",
	 "f:2: gateway.workers: 2 workers and 1 CPUs: each worker needs one CPU"},
	{GATEWAY, "cpus = 1,2,1", "f:2: gateway.cpus: CPU 1 is named twice"},
	{GATEWAY, "cpus = 3-x",
	 "f:2: gateway.cpus: '3-x' is not a CPU number or range such as 2 or 2-5"},
	{GATEWAY, "cpus = 0-64", "f:2: gateway.cpus: more than 64 CPUs"},
	{GATEWAY, "socket = run/x",
	 "f:2: gateway.socket: is not an absolute path of at most 107 bytes"},
};

#define IFACE(text) "gateway { interfaces { " text " } }\n"

static const struct row iface_errors[] = {
	{CHILD, "interface = eth7",
	 "f:22: connections.a.children.n: interface = eth7 is none of the ports of gateway.ports: "
	 "wan"},
	{CHILD, "interface = a-name-of-16-byt",
	 "f:24: connections.a.children.n.interface: 'a-name-of-16-byt' is too long for the name of "
	 "a port (gateway.ports), of at most 15 bytes"},
	{TOP,
	 IFACE("vti0 { if_id = 5 }") "connections { a { children { n { interface = wan\nif_id_in = "
				     "5\nif_id_out = 5 } } } }",
	 "f:22: connections.a.children.n: it is behind the tunnel interface vti0, which has "
	 "policies of its own, and so is on no port: leave out interface = wan, or if_id_in and "
	 "if_id_out"},
	{CHILD, "if_id_in = 7\nif_id_out = 7",
	 "f:22: connections.a.children.n: no interface has if_id 7; write gateway { interfaces { "
	 "vti7 { if_id = 7 } } }"},
	{CONN, "if_id_in = 7\nif_id_out = 7",
	 "f:11: connections.a: no interface has if_id 7; write gateway { interfaces { vti7 { if_id "
	 "= 7 } } }"},
	{CHILD, "if_id_out = 0x10",
	 "f:24: connections.a.children.n.if_id_out: if_id_in is 0 and if_id_out is 16: they have "
	 "to "
	 "be the same, as one interface is for both directions"},
	{CHILD, "if_id_in = %unique",
	 "f:24: connections.a.children.n.if_id_in: %unique is not available: name the if_id of an "
	 "interface in gateway.interfaces"},
	{CHILD, "if_id_in = five",
	 "f:24: connections.a.children.n.if_id_in: 'five' is not the number of an interface "
	 "(if_id)"},
	{CHILD, "mode = pass\nlocal_ts = 10.1.0.0/24\nif_id_in = 5\nif_id_out = 5",
	 "f:22: connections.a.children.n: a rule with mode = pass cannot be behind a tunnel "
	 "interface: nothing leaves one in clear"},
	{TOP, IFACE("vti0 { }"),
	 "f:34: gateway.interfaces.vti0: if_id is missing: the number by which children name this "
	 "interface; write if_id = 1, say"},
	{TOP, IFACE("vti0 { if_id = 0 }"),
	 "f:34: gateway.interfaces.vti0.if_id: '0' is not a number from 1 to 4294967295"},
	{TOP, IFACE("vti0 { if_id = 5 }\nvti1 { if_id = 5 }"),
	 "f:35: gateway.interfaces.vti1: if_id 5 is already that of vti0"},
	{TOP, IFACE("wan { if_id = 5 }"),
	 "f:34: gateway.interfaces.wan: a port has this name already; both would name one "
	 "interface "
	 "of Linux"},
	{TOP, IFACE("a-name-of-16-byt { if_id = 5 }"),
	 "f:34: gateway.interfaces.a-name-of-16-byt: the name of an interface has at most 15 "
	 "bytes: it names an interface of Linux"},
	{TOP, IFACE("a/b { if_id = 5 }"),
	 "f:34: gateway.interfaces.a/b: the name of an interface is made of letters, digits, '-' "
	 "and '_': it names an interface of Linux"},
	{TOP, IFACE("vti0 { if_id = 5\nmtu = big }"),
	 "f:35: gateway.interfaces.vti0.mtu: 'big' is neither auto nor a number from 576 to 9600"},
	{TOP, IFACE("vti0 { if_id = 5\nmtu = 575 }"),
	 "f:35: gateway.interfaces.vti0.mtu: '575' is neither auto nor a number from 576 to 9600"},
	{TOP, IFACE("vti0 { if_id = 5\naddrs = 10.9.0.1 }"),
	 "f:35: gateway.interfaces.vti0.addrs: '10.9.0.1' has no prefix length; write 10.9.0.1/24, "
	 "say"},
	{TOP,
	 IFACE("vti0 { if_id = 5\naddrs = 10.9.0.1/30 }\nvti1 { if_id = 6\naddrs = 10.9.0.1/32 }"),
	 "f:36: gateway.interfaces.vti1: the address 10.9.0.1 is already that of interface vti0"},
	{TOP,
	 "gateway { ports { wan { addrs = 10.9.0.1/24 } }\ninterfaces { vti0 { if_id = 5\naddrs = "
	 "10.9.0.1/32 } } }",
	 "f:35: gateway.interfaces.vti0: the address 10.9.0.1 is already that of port wan"},
};

static const struct row warnings[] = {
	{TOP, IFACE("vti0 { if_id = 5 }"),
	 "f:34: gateway.interfaces.vti0: no child has if_id_in and if_id_out = 5: what is routed "
	 "to "
	 "this interface is dropped"},
	{PSK, "secret = ab#cd",
	 "f:31: secrets.ike.secret: ends in front of '#', which begins a comment; "
	 "put it in quotes if the '#' belongs to it"},
	{PSK, "secret = \"ab#cd\" # comment", NULL},
	{PSK, "secret = ab # comment", NULL},
	{CONN, "mobike = yes", NULL},
	{CONN, "mobike = no", NULL},
	{CONN, "rand_time = 5m", NULL},
	{CONN, "rekey_time = 2h\nreauth_time = 3h", NULL},
	{CHILD, "outer_dscp = ef",
	 "f:24: connections.a.children.n.outer_dscp: has no effect: the inner DSCP is copied; say "
	 "copy_dscp = no or in"},
	{CHILD, "copy_dscp = yes\nouter_dscp = ef",
	 "f:25: connections.a.children.n.outer_dscp: has no effect: the inner DSCP is copied; say "
	 "copy_dscp = no or in"},
	{CHILD, "copy_dscp = in\nouter_dscp = ef", NULL},
	{CHILD, "outer_df = set",
	 "f:24: connections.a.children.n.outer_df: has no effect: the inner DF bit is copied; say "
	 "copy_df = no"},
	{CHILD, "copy_df = yes\ncopy_dscp = out\nhw_offload = auto\nmark_in = 0\npolicies = yes",
	 NULL},
	{CHILD, "local_ts = 10.1.0.0/24, fd00:1::/48",
	 "f:24: connections.a.children.n.local_ts: the IPv6 networks have no counterpart in "
	 "remote_ts and carry nothing"},
	{TOP,
	 "connections { rules { children { p { mode = drop\nlocal_ts = fd00:1::/48\nremote_ts = "
	 "10.0.0.0/8, fd00:2::/48 } } } }",
	 "f:36: connections.rules.children.p.remote_ts: the IPv4 networks have no counterpart in "
	 "local_ts and carry nothing"},
	{TOP,
	 "connections { rules { children { p { mode = pass\nlocal_ts = 10.0.0.0/8, fd00:1::/48\n"
	 "remote_ts = 10.0.0.0/8, fd00:2::/48 } } } }",
	 NULL},
	{CHILD, "local_ts = 10.1.0.0/24[ipv6-icmp/128]",
	 "f:24: connections.a.children.n.local_ts: 10.1.0.0/24[ipv6-icmp/128] is ipv6-icmp, which "
	 "IPv4 does not carry: write [icmp]"},
	{TOP,
	 "connections { rules { children { p { mode = pass\nlocal_ts = fd00:1::/48\n"
	 "remote_ts = fd00:2::/48[icmp] } } } }",
	 "f:36: connections.rules.children.p.remote_ts: fd00:2::/48[icmp] is icmp, which IPv6 "
	 "does not carry: write [ipv6-icmp]"},
	{CHILD, "reqid = 5",
	 "f:24: connections.a.children.n.reqid: has no effect: the kernel's policies "
	 "are not used"},
	{CHILD, "life_time = 30m",
	 "f:24: connections.a.children.n.life_time: is not longer than "
	 "rekey_time: the SA ends before it is replaced"},
	{TOP, "pools { p { addrs = 10.9.0.0/24 } }",
	 "f:34: pools: has no effect: virtual addresses are "
	 "not available: this is a site-to-site gateway"},
	{TOP, "pools { }", NULL},
	{CHILD, "updown = /usr/lib/ipsec/_updown iptables",
	 "f:24: connections.a.children.n.updown: has no effect: scripts are not run; write rules "
	 "as "
	 "children with mode = pass or drop"},
	{TOP, "authorities { x { cacert = a.pem\ncrl_uris = file:///a.crl } }", NULL},
	{TOP, "authorities { x { cacert = a.pem\ncrl_uris = http://x.example/a.crl } }", NULL},
	{TOP, "authorities { x { cacert = a.pem\ncrl_uris = ldap://x.example/a } }",
	 "f:35: authorities.x.crl_uris: 'ldap://x.example/a' is not fetched: name an http:// or "
	 "file:// URL here, or put the CRL into x509crl/"},
	{TOP, "authorities { x { cacert = a.pem\nocsp_uris = http://a.example/, http://b:8080 } }",
	 NULL},
	{TOP, "authorities { x { cacert = a.pem\nocsp_uris = http://a.example/, ldap://b/c } }",
	 "f:35: authorities.x.ocsp_uris: 'ldap://b/c' is not asked: name an http:// URL here"},
	{TOP, "secrets { eap-x { secret = y } }",
	 "f:34: secrets.eap-x: has no effect: EAP is not "
	 "available: this is a site-to-site gateway with "
	 "pre-shared keys"},
	{TOP, "my-notes { x = 1 }",
	 "f:34: my-notes: unknown section, not referenced by any other: ignored"},
	{TOP,
	 "connections { rules { children { p { mode = pass\nlocal_ts = 10.0.0.0/8\nremote_ts = "
	 "10.0.0.0/8\nstart_action = trap } } } }",
	 NULL},
	{TOP,
	 "connections { rules { children { p { mode = pass\nlocal_ts = 10.0.0.0/8\nremote_ts = "
	 "10.0.0.0/8\nstart_action = none } } } }",
	 "f:37: connections.rules.children.p.start_action: has no effect: the rule is in force as "
	 "soon as "
	 "it is loaded"},
	{TOP, "connections { b { local { auth = psk } } }",
	 "f:34: connections.b: has no children: nothing is protected"},
	{PSK, "id-a = us\nid-b = third\nid-c = %any", NULL},
	{PSK, "id-a = us", NULL},
	{PSK, "} ike-2 { id-a = us\nid-b = third\nsecret = y",
	 "f:11: connections.a: no secret names 'peer'; the one of secrets.ike-2 is taken, which "
	 "names 'us' "
	 "and others"},
	{PSK, "id-a = us\nid-b = third",
	 "f:11: connections.a: no secret names 'peer'; the one of secrets.ike is taken, which "
	 "names 'us' "
	 "and others"},
};

static void check_text(const char *text, const char *message, const char *about)
{
	struct config *c = NULL;
	struct error err = {"untouched"};
	int rc = config_load_text("f", text, strlen(text), &c, &err);

	if (message == NULL) {
		if (rc != 0)
			fail_msg("%s\n  is      %s\n  instead of no error", about, err.text);
		config_destroy(c);
		return;
	}
	if (rc == 0)
		fail_msg("%s\n  loads instead of %s", about, message);
	assert_null(c);
	if (strcmp(err.text, message) != 0)
		fail_msg("%s\n  is      %s\n  instead %s", about, err.text, message);
}

static void test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		char *text = config_text(errors[i].place, errors[i].line);

		check_text(text, errors[i].message, errors[i].line);
		free(text);
	}
}

static void test_interface_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(iface_errors) / sizeof(iface_errors[0]); i++) {
		char *text = config_text(iface_errors[i].place, iface_errors[i].line);

		check_text(text, iface_errors[i].message, iface_errors[i].line);
		free(text);
	}
}

static void test_warnings(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(warnings) / sizeof(warnings[0]); i++) {
		char *text = config_text(warnings[i].place, warnings[i].line);
		const char *wanted = warnings[i].message;
		struct config *c = NULL;
		struct error err = {""};

		if (config_load_text("f", text, strlen(text), &c, &err) != 0)
			fail_msg("%s\n  is an error: %s", warnings[i].line, err.text);
		assert_string_equal(err.text, "");
		if (c->n_warnings != (wanted != NULL) ||
		    (wanted != NULL && strcmp(c->warnings[0], wanted) != 0))
			fail_msg("%s\n  is      %s\n  instead %s", warnings[i].line,
				 c->n_warnings != 0 ? c->warnings[0] : "silent",
				 wanted != NULL ? wanted : "silent");
		config_destroy(c);
		free(text);
	}
}

// Whole texts, where a line put into the usual one does not do.
static void test_other_texts(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"", "f:1: gateway.ports: no port; write gateway { ports { wan { device = ... "
		     "addrs = ... "
		     "} } }"},
		{"\ngateway { workers = 1 }",
		 "f:2: gateway.ports: no port; write gateway { ports { wan { "
		 "device = ... addrs = ... } } }"},
		{"gateway { ports { w { device = x } } }\nconnections { a { local { auth = psk }\n"
		 "children { n { remote_ts = 10.0.0.0/8\nstart_action = start } } } }\n"
		 "secrets { ike { secret = x } }",
		 "f:4: connections.a.children.n.start_action: start needs an address of the peer: "
		 "remote_addrs of a names none"},
		{"gateway { ports { w { device = x } } }\nconnections { a { local { auth = psk }\n"
		 "children { n { remote_ts = 10.0.0.0/8\nstart_action = trap } } } }\n"
		 "secrets { ike { secret = x } }",
		 "f:4: connections.a.children.n.start_action: trap needs an address of the peer: "
		 "remote_addrs of a names none"},
		{"gateway { ports { w { device = x } } }\nconnections { a { local { auth = psk }\n"
		 "remote_addrs = 10.0.0.0/8\nchildren { n { remote_ts = 10.0.0.0/8\n"
		 "dpd_action = restart } } } }\nsecrets { ike { secret = x } }",
		 "f:5: connections.a.children.n.dpd_action: start needs an address of the peer: "
		 "remote_addrs of a names none"},
		{"gateway { ports { w { device = x } } }\nconnections { a {\n"
		 "children { n { remote_ts = 10.0.0.0/8 } } } }",
		 "f:2: connections.a: the section 'local' is missing; write local { auth = psk } "
		 "or "
		 "local { certs = FILE }"},
		{"gateway { ports { w { device = x } } }\nconnections { a { \nlocal { id = x }\n"
		 "children { n { remote_ts = 10.0.0.0/8 } } } }",
		 "f:3: connections.a.local: our certificate is missing; write certs = FILE, or "
		 "auth "
		 "= psk"},
		{"gateway { ports { w { device = x } } }\nconnections { a { local { auth = psk }\n"
		 "children { n { remote_ts = 10.0.0.0/8 } } } }",
		 "f:2: connections.a: no secret for '%any' and '%any'; write secrets { ike-a { id "
		 "= %any "
		 "secret = \"...\" } }"},
		{"gateway { ports { w { device = x } } }\nconnections { a { local { auth = psk }\n"
		 "remote_addrs = 2001:db8::1\nchildren { n { remote_ts = 10.0.0.0/8 } } } }\n"
		 "secrets { ike { secret = x } }",
		 "f:4: connections.a.children.n: local_ts has no network of a family that "
		 "remote_ts has: there is no packet from one to the other"},
		{"gateway { ports { w { device = x } } }\nconnections { a { local { auth = psk }\n"
		 "remote_addrs = 2001:db8::1\nchildren { n { remote_ts = fd00::/8 } } } }\n"
		 "secrets { ike { secret = x } }",
		 NULL},
		{"t { proposls = x }\ngateway { ports { w { device = x } } }\nconnections { a : t "
		 "{ } }",
		 "f:1: connections.a.proposls: unknown key; did you mean 'proposals'?"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_text(rows[i].text, rows[i].message, rows[i].text);
}

// Proposals bring their own sentence; the place is ours.
static void test_proposals(void **state)
{
	static const struct row rows[] = {
		{CONN, "proposals = aes128gcm16-prfsha256-x25591",
		 "f:12: connections.a.proposals: "},
		{CONN, "proposals = aes128gcm16-prfsha256-x25519, 3des-md5-modp768",
		 "f:12: connections.a.proposals: "},
		{CHILD, "esp_proposals = aes128gcm61",
		 "f:24: connections.a.children.n.esp_proposals: "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = config_text(rows[i].place, rows[i].line);
		struct config *c = NULL;
		struct error err = {""};

		assert_int_not_equal(config_load_text("f", text, strlen(text), &c, &err), 0);
		if (strncmp(err.text, rows[i].message, strlen(rows[i].message)) != 0)
			fail_msg("%s\n  is %s", rows[i].line, err.text);
		free(text);
	}
}

// A secret never stands in a message, however wrong it is.
static void test_secrets_are_not_shown(void **state)
{
	char *text = config_text(PSK, "secret = 0xhunter2");
	struct config *c = NULL;
	struct error err = {""};

	(void)state;
	assert_int_not_equal(config_load_text("f", text, strlen(text), &c, &err), 0);
	assert_null(strstr(err.text, "hunter2"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),	  cmocka_unit_test(test_interface_errors),
		cmocka_unit_test(test_warnings),  cmocka_unit_test(test_other_texts),
		cmocka_unit_test(test_proposals), cmocka_unit_test(test_secrets_are_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
