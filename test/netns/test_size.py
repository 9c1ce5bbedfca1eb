"""Packets too large for the tunnel, for the carrier, or cut on the way."""
import re

from echo import ping
from gateways import ESP, Capture
from topology import A, B, wait_for

FRAGMENT = "ip[6:2] & 0x3fff != 0"


def workers(gw):
    return gw.json("show workers")["0"]


def narrow(net, mtu):
    """What the carrier sends towards site B may be no larger, and only the carrier knows."""
    net.run("carrier", f"ip route replace {B.wan_addr} dev to-b mtu {mtu}")


def test_without_df_it_is_cut_before_encryption(net, a, b, tmp_path):
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    capture = Capture(net, tmp_path / "c.pcap")
    for payload in (1419, 1472, 3000, 8000):
        assert ping(net, count=3, options=f"-i 0.05 -M dont -s {payload}") == (3, 3), payload
    capture.stop()
    assert len(capture.lines(ESP)) > 24
    assert capture.lines(f"({ESP}) and {FRAGMENT}") == []
    assert int(workers(a)["cut-packets"]) >= 12
    assert int(workers(b)["whole-packets"]) == 0


def test_what_the_carrier_cuts_is_put_together(net, a, b, tmp_path):
    narrow(net, 1000)
    b.start(b.default_config(start=False, conn="encap = yes"))
    a.start(a.default_config(conn="encap = yes"))
    a.wait_child()
    capture = Capture(net, tmp_path / "c.pcap", "to-b")
    assert ping(net, count=20, options="-i 0.05 -M dont -s 1300") == (20, 20)
    capture.stop()
    assert len(capture.lines(f"dst {B.wan_addr} and {FRAGMENT}")) == 40
    assert int(workers(b)["whole-packets"]) == 20
    assert int(workers(b)["whole-pieces"]) == 40


def test_path_mtu_is_learned_from_the_carrier(net, a, b):
    narrow(net, 1300)
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    # The first is lost on the way; the carrier's word makes the next one's answer.
    net.run("host-a", f"ping -c 1 -W 1 -M do -s 1400 {B.host_addr}", check=False)
    a.wait_log(rf"at most 1300 bytes reach {B.wan_addr}, says {A.carrier_addr}; 1246 of them")
    out = net.run("host-a", f"ping -c 1 -W 1 -M do -s 1400 {B.host_addr}", check=False)
    assert re.search(r"mtu ?= ?1246", out), out
    assert ping(net, count=5, options=f"-i 0.05 -M do -s {1246 - 28}") == (5, 5)
    assert "packets of up to 1246 bytes fit" in a.cli("show child")
    # And without DF everything goes on through, cut in front of the narrow place.
    assert ping(net, count=5, options="-i 0.05 -M dont -s 1400") == (5, 5)
    assert int(workers(b)["whole-packets"]) == 0


def test_nobody_else_is_believed(net, a, b, tmp_path):
    """ICMP from a host that has not seen our ESP: the SPI it quotes is a guess."""
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    script = tmp_path / "forge.py"
    script.write_text(f"""
from scapy.all import ESP, ICMP, IP, Raw, send
for spi in range(0x1000, 0x1020):
    quoted = IP(src="{A.wan_addr}", dst="{B.wan_addr}", proto=50, len=1400) / ESP(spi=spi, seq=1)
    send(IP(src="{A.carrier_addr}", dst="{A.wan_addr}") /
         ICMP(type=3, code=4, nexthopmtu=600) / Raw(bytes(quoted)[:28]), verbose=False)
""")
    net.run("carrier", ["/usr/bin/python3", str(script)])
    assert ping(net, count=5, options=f"-i 0.05 -M do -s {1446 - 28}") == (5, 5)
    assert "bytes reach" not in a.text()


def test_tcp_needs_no_icmp(net, a, b, tmp_path):
    """The carrier is narrow and silent, as many are: the MSS that both ends see has room for ESP."""
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    capture = Capture(net, tmp_path / "c.pcap", "eth0", "host-b")
    net.start("host-b", "iperf3 -s -1", str(tmp_path / "iperf3.log"))
    wait_for("iperf3's server", lambda: ":5201" in net.run("host-b", "ss -Hltn"))
    net.run("host-a", f"iperf3 -c {B.host_addr} -t 1 -R")
    capture.stop()
    syns = capture.lines("tcp[tcpflags] & tcp-syn != 0")
    assert len(syns) >= 4, syns
    # What host-b sends leaves it with 1460 and is lowered on the way; what it receives is lowered.
    assert {re.search(r"mss (\d+)", s)[1] for s in syns if f"{A.host_addr}." in s.split(">")[0]} \
        == {"1406"}
    out = net.run("host-a", "ss -Hti dst " + B.host_addr, check=False)
    assert "mss:1448" not in out
