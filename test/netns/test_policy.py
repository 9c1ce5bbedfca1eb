"""Policies on real packets: protected traffic never leaves in clear, and never comes in so."""
import re

import pytest

from echo import ping
from gateways import Capture
from topology import A, B, CommandFailed


def test_no_sa_no_packet(net, a, tmp_path):
    """Without a peer, protected traffic is dropped and counted, not forwarded in clear."""
    capture = Capture(net, tmp_path / "c.pcap")
    a.start(a.default_config(start=False))
    assert ping(net, count=5)[1] == 0
    capture.stop()
    assert capture.lines("icmp") == []
    assert net.clear_forwarded() == 0
    assert a.drops()["no-sa"] == 5


def test_clear_text_where_esp_is_due(net, a, b):
    """The carrier forges clear packets between the sites: dropped and counted, both targets."""
    b.start()
    a.start()
    a.wait_child()
    net.run("carrier", f"ip route add {A.lan} via {A.wan_addr}")
    net.run("carrier", f"ip addr add {B.host_addr}/32 dev lo")
    before = a.drops()["clear-inbound"]
    assert ping(net, "carrier", A.host_addr, 5, f"-i 0.02 -I {B.host_addr}")[1] == 0
    assert ping(net, "carrier", A.lan_addr, 5, f"-i 0.02 -I {B.host_addr}")[1] == 0
    assert a.drops()["clear-inbound"] - before == 10
    net.run("carrier", f"ip addr del {B.host_addr}/32 dev lo")
    assert ping(net) == (20, 20)


def test_between_ports_the_default_is_discard(net, a):
    a.start(a.default_config(start=False))
    assert ping(net, to=A.carrier_addr, count=5)[1] == 0
    assert a.drops()["no-policy"] >= 5


def test_bypass_and_discard_by_rule(net, a):
    rules = f"""children {{
            out {{
                mode = pass
                local_ts = {A.lan}
                remote_ts = {A.carrier_addr}/32
            }}
            never {{
                mode = drop
                local_ts = {A.lan}
                remote_ts = 203.0.113.0/24
            }}
"""
    a.start(a.default_config(start=False).replace("children {\n", rules))
    net.run("carrier", f"ip route add {A.lan} via {A.wan_addr}")
    assert ping(net, to=A.carrier_addr) == (20, 20)
    assert ping(net, to="203.0.113.9", count=5)[1] == 0
    assert a.drops()["policy-discard"] == 5


def test_policies_of_one_port(net, a):
    """`interface`: what may leave by the WAN may not leave by the LAN, nor the other way round; a
    reload moves the policy, and a name that is no port's is refused."""
    rule = f"""children {{
            out {{
                mode = pass
                interface = PORT
                local_ts = {A.lan}
                remote_ts = {A.carrier_addr}/32
            }}
"""
    conf = a.default_config(start=False)
    a.start(conf.replace("children {\n", rule.replace("PORT", "wan")))
    net.run("carrier", f"ip route add {A.lan} via {A.wan_addr}")
    assert ping(net, to=A.carrier_addr) == (20, 20)
    table = a.cli("show policies")
    assert re.search(r"lab/out +bypass .* wan *$", table, re.M), table
    a.write_config(conf.replace("children {\n", rule.replace("PORT", "lan")))
    a.cli("reload")
    before = a.drops()["no-policy"]
    assert ping(net, to=A.carrier_addr, count=5)[1] == 0
    assert a.drops()["no-policy"] - before == 5
    a.write_config(conf.replace("children {\n", rule.replace("PORT", "eth7")))
    with pytest.raises(CommandFailed, match="eth7 is none of the ports"):
        a.cli("reload")
    assert ping(net, to=A.carrier_addr, count=5)[1] == 0


def test_forged_and_replayed_esp_is_refused(net, a, b, tmp_path):
    """Packets captured on the carrier are sent again: every one is a replay, none gets through."""
    b.start()
    a.start()
    a.wait_child()
    capture = Capture(net, tmp_path / "c.pcap", device="to-b")
    assert ping(net, count=10) == (10, 10)
    capture.stop()
    before, bytes_before = b.drops(), net.run("host-b", "cat /proc/net/dev")
    script = (
        "from scapy.all import *; import sys\n"
        "p=[x for x in rdpcap(sys.argv[1]) if IP in x and x[IP].src=='192.0.2.1' and x[IP].proto==50]\n"
        "assert len(p)==10, len(p)\n"
        "sendp(p, iface='to-b', verbose=0)\n"
        "for x in p:\n"
        "    b=bytearray(bytes(x[IP].payload)); b[-1]^=1; b[5]=0x77\n"
        "    x[IP].remove_payload(); x=x/Raw(bytes(b)); del x[IP].len; del x[IP].chksum\n"
        "    sendp(x, iface='to-b', verbose=0)\n"
        "y=p[0].copy(); b=bytearray(bytes(IP(src='192.0.2.1',dst='198.51.100.1',proto=50))+bytes(60))\n"
        "z=Ether(bytes(p[0])[:14])/IP(src='192.0.2.1',dst='198.51.100.1',proto=50)/Raw(b'\\xde\\xad\\xbe\\xef'+bytes(60))\n"
        "sendp(z, iface='to-b', verbose=0)\n")
    net.run("carrier", ["/usr/bin/python3", "-c", script, capture.path])
    after = b.drops()
    assert after["esp-replay"] - before["esp-replay"] == 10
    assert after["esp-auth"] - before["esp-auth"] == 10
    assert after["esp-no-sa"] - before["esp-no-sa"] == 1
    assert ping(net) == (20, 20), bytes_before
