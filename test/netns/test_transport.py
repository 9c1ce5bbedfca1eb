"""Transport mode between two port500: what the gateways themselves say to each other."""
import json
import os
import re
import sys

import pytest

from echo import Echoes, ping
from gateways import Capture, both_families, over6
from peers import spis
from topology import A, B, wait_for

GRE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gre.py")
GRE_ADDR = {"a": "10.99.0.1", "b": "10.99.0.2"}


def config(gw, mode="transport", **kw):
    """The lab's configuration with one child, of our own address and the peer's."""
    text = gw.default_config(child=f"mode = {mode}", **kw)
    return re.sub(r"(local|remote)_ts = .*\n", r"\1_ts = dynamic\n", text)


def child_mode(gw):
    sas = gw.json("show child")
    modes = re.findall(r'"mode": "(\w+)"', json.dumps(sas))
    return modes[-1] if modes else None


def start_gre(net, directory):
    for s, o in ((A, B), (B, A)):
        net.start(f"gw-{s.letter}",
                  [sys.executable, GRE, s.wan_addr, o.wan_addr, "gre-lab",
                   GRE_ADDR[s.letter] + "/24", "1400"], str(directory / f"gre-{s.letter}.log"))
        wait_for("the GRE device", lambda s=s: GRE_ADDR[s.letter] in net.run(
            f"gw-{s.letter}", "ip -br addr"))


@pytest.fixture
def up(net, a, b):
    b.start(config(b, start=False))
    a.start(config(a))
    a.wait_child()
    assert (child_mode(a), child_mode(b)) == ("TRANSPORT", "TRANSPORT")
    return a, b


def rekey(a, b, times):
    for n in range(times):
        before = spis(a)[1]
        (a, b)[n % 2].swanctl("--rekey --child net")
        wait_for("a new child SA", lambda before=before: spis(a)[1] not in (None, before), 10)
        assert child_mode(a) == child_mode(b) == "TRANSPORT"


def test_gre(net, up, tmp_path):
    """Ping and TCP through GRE, in ESP, while the keys are replaced."""
    a, b = up
    start_gre(net, tmp_path)
    capture = Capture(net, tmp_path / "c.pcap")
    assert ping(net, "gw-a", GRE_ADDR["b"]) == (20, 20)
    assert ping(net, "gw-b", GRE_ADDR["a"]) == (20, 20)
    capture.stop()
    assert capture.lines("proto gre") == []
    assert len(capture.lines("esp")) >= 80
    # 84 bytes of ping, 4 of GRE, 3 of padding and trailer, 32 of ESP and 20 of IP: no second one.
    assert all("length 124" in line for line in capture.lines("esp")), capture.lines("esp")[:3]

    server = net.start("gw-b", "iperf3 -s -1", str(tmp_path / "iperf3"))
    wait_for("iperf3's server", lambda: ":5201" in net.run("gw-b", "ss -Hltn"))
    flow = net.start("gw-a", f"iperf3 -J -c {GRE_ADDR['b']} -t 5", str(tmp_path / "flow"))
    rekey(a, b, 4)
    flow.wait(60)
    server.wait(10)
    assert json.loads((tmp_path / "flow").read_text())["end"]["sum_received"]["bytes"] > 100000
    # TCP fills the queues of the GRE of this test; without it, nothing is lost.
    echo = Echoes(net, tmp_path / "echo", 200, 0.02, "gw-a", GRE_ADDR["b"])
    rekey(a, b, 6)
    echo.check_none_lost()
    for gw in up:
        assert gw.drops().get("esp-selector", 0) == 0


def test_sizes(net, up, tmp_path):
    """What Linux cuts is put together, encrypted whole, and cut again; what it must not cut is
    answered."""
    a, _ = up
    capture = Capture(net, tmp_path / "c.pcap")
    for size in (0, 1, 1400, 1438, 1439, 1472, 1473, 3000, 8000):
        assert ping(net, "gw-a", B.wan_addr, 3, f"-i 0.02 -M dont -s {size}") == (3, 3), size
    capture.stop()
    assert capture.lines("icmp") == []
    out = net.run("gw-a", f"ping -M do -s 1439 -c 2 -i 0.2 -W 2 {B.wan_addr}", check=False)
    assert re.search(r"mtu ?= ?1466", out), out
    assert "mtu 1466" in net.run("gw-a", f"ip route get {B.wan_addr}")
    assert ping(net, "gw-a", B.wan_addr, 3, "-i 0.02 -M do -s 1438") == (3, 3)
    assert "bytes fit" in a.cli("show child") and "1466" in a.cli("show child")


def test_clear_text_is_refused(net, up):
    """The carrier pretends to be the peer."""
    a, _ = up
    net.run("carrier", f"ip addr add {B.wan_addr}/32 dev lo")
    before = a.drops().get("clear-inbound", 0)
    assert ping(net, "carrier", A.wan_addr, 5, f"-i 0.02 -I {B.wan_addr}")[1] == 0
    assert a.drops()["clear-inbound"] - before == 5
    net.run("carrier", f"ip addr del {B.wan_addr}/32 dev lo")
    # What is forwarded is not what the SA is for.
    assert ping(net, "host-a", B.wan_addr, 3)[1] == 0
    assert ping(net, "gw-a", B.wan_addr) == (20, 20)


def test_traffic_brings_it_up(net, a, b):
    b.start(config(b, start=False))
    a.start(config(a, start=False).replace("start_action = none", "start_action = trap"))
    assert ping(net, "gw-a", B.wan_addr, 10, "-i 0.1") == (10, 10)
    assert child_mode(a) == "TRANSPORT"


def test_declined(net, a, b):
    """A peer that has it in tunnel mode: the same packets, one header more."""
    b.start(config(b, mode="tunnel", start=False))
    a.start(config(a))
    a.wait_child()
    assert (child_mode(a), child_mode(b)) == ("TUNNEL", "TUNNEL")
    assert "declines transport mode" in a.text()
    assert ping(net, "gw-a", B.wan_addr) == (20, 20)


def test_in_udp(net, a, b):
    b.start(config(b, start=False))
    a.start(config(a, conn="encap = yes"))
    a.wait_child()
    assert child_mode(a) == "TRANSPORT"
    assert ping(net, "gw-a", B.wan_addr) == (20, 20)
    assert ping(net, "gw-b", A.wan_addr) == (20, 20)


def test_behind_a_nat(net, a, b, tmp_path):
    """TCP's checksum is over addresses that the NAT has changed (RFC 3948 3.1.2)."""
    net.nat(A, "20000-20009")
    text = config(b, start=False).replace(f"remote_addrs = {A.wan_addr}",
                                          f"remote_addrs = {B.carrier_addr}")
    b.start(text)
    a.start(config(a))
    a.wait_child()
    assert child_mode(a) == "TRANSPORT"
    assert ping(net, "gw-a", B.wan_addr) == (20, 20)
    server = net.start("gw-b", "iperf3 -s -1", str(tmp_path / "iperf3"))
    wait_for("iperf3's server", lambda: ":5201" in net.run("gw-b", "ss -Hltn"))
    out = net.run("gw-a", f"iperf3 -J -c {B.wan_addr} -t 2")
    server.wait(10)
    assert json.loads(out)["end"]["sum_received"]["bytes"] > 100000


def test_ipv6(net, a, b):
    net.add_ipv6()
    b.start(over6(both_families(config(b, start=False), B), B))
    a.start(over6(both_families(config(a, start=False), A), A))
    for gw in (a, b):
        gw.use_ipv6()
    a.cli("up net")
    assert child_mode(a) == "TRANSPORT"
    for size in (0, 1000, 1418, 1419, 1452, 3000):
        if size == 1419:  # too large by one: each Linux hears of it, and cuts from then on
            for ns, to in (("gw-a", B.wan6), ("gw-b", A.wan6)):
                ping(net, ns, to, 1, f"-s {size}")
                wait_for("Linux to know what fits", lambda ns=ns, to=to: "mtu 1466" in net.run(
                    ns, f"ip -6 route get {to}"))
        assert ping(net, "gw-a", B.wan6, 3, f"-i 0.02 -s {size}") == (3, 3), size
