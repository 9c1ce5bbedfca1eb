"""IPv6 inside of tunnels, under either outer family: port500 with itself and with strongSwan."""
import re

import pytest

from gateways import Capture, both_families, over6, tcp
from peers import up
from test_tunnel import ping
from topology import A, B, wait_for

OUTER = pytest.mark.parametrize("outer", ["ipv4", "ipv6"])
BOTH_ROLES = pytest.mark.parametrize("initiator", ["port500", "strongswan"])
CLEAR6 = "ip6 and (net fd00:a::/64 or net fd00:b::/64)"


@pytest.fixture
def inner6(net):
    net.add_ipv6()
    net.add_inner_ipv6()
    return net


def config(gw, outer, mixed=True, **how):
    """The children have both families inside, or IPv6 alone."""
    text = both_families(gw.default_config(**how), gw.site)
    for side, site in (("local", gw.site), ("remote", B if gw.site is A else A)):
        both = f"{site.lan}, {site.lan6}" if mixed else site.lan6
        text = text.replace(f"{side}_ts = {site.lan}", f"{side}_ts = {both}")
    text = text.replace(f"addrs = {gw.site.lan_addr}/24", f"addrs = {gw.site.lan_addr}/24, "
                        f"{gw.site.lan6_addr}/64")
    return over6(text, gw.site) if outer == "ipv6" else text


def start(gw, outer, **how):
    gw.start(config(gw, outer, start=False, **how))
    gw.use_ipv6()
    wait_for("the LAN's address of IPv6", lambda: "tentative" not in gw.net.run(
        gw.ns, "ip -6 addr show dev lan"))
    return gw


def ping6(net, ns="host-a", to=B.host6, count=20, options="-i 0.02"):
    return ping(net, ns, to, count, options)


@OUTER
def test_two_port500(inner6, a, b, outer, tmp_path):
    net = inner6
    capture = Capture(net, tmp_path / "c.pcap", snaplen=128)
    start(b, outer)
    start(a, outer)
    a.cli("up net")
    assert ping6(net, count=100) == (100, 100)  # the first one as well
    assert ping6(net, "host-b", A.host6) == (20, 20)
    assert ping(net) == (20, 20)  # IPv4 in the same child
    out = a.swanctl("--list-sas")
    assert A.lan6 in out and A.lan in out and B.lan6 in out and B.lan in out, out
    capture.stop()
    assert capture.lines(CLEAR6) == []
    assert sum(v for k, v in a.drops().items() if k.startswith("esp")) == 0


@OUTER
def test_sizes(inner6, a, b, outer, tmp_path):
    """What is too large is answered with the size that fits, and never cut (RFC 8200 5)."""
    net = inner6
    start(b, outer, mixed=False)
    start(a, outer, mixed=False)
    a.cli("up net")
    room = 1446 - (20 if outer == "ipv6" else 0)
    assert ping6(net, count=3, options=f"-M do -s {room - 48}") == (3, 3)
    out = net.run("host-a", f"ping -c 1 -W 2 -M do -s {room - 47} {B.host6}", check=False)
    assert re.search(f"[Pp]acket too big: mtu={room}|mtu ?= ?{room}", out), out
    # Having heard it the host cuts by itself.
    assert ping6(net, count=5, options="-i 0.2 -s 3000")[1] >= 4
    server = net.start("host-b", "iperf3 -s -1", str(tmp_path / "iperf3.log"))
    wait_for("iperf3's server", lambda: ":5201" in net.run("host-b", "ss -Hltn"))
    out = net.run("host-a", f"iperf3 -6 -J -c {B.host6} -t 2")
    server.wait(10)
    assert '"bytes"' in out and "error" not in out


def test_the_gateway_itself(inner6, a, b):
    """From the gateway's own LAN address, and to the far one."""
    net = inner6
    start(b, "ipv4")
    start(a, "ipv4")
    a.cli("up net")
    assert ping6(net, "gw-a", B.host6, 5, f"-i 0.05 -I {A.lan6_addr}") == (5, 5)
    assert ping6(net, "host-a", B.lan6_addr, 5, "-i 0.05") == (5, 5)


def test_a_child_of_everything_leaves_ike_alone(inner6, a, b):
    """The child covers the gateways' own addresses of IPv6, but not the messages that make it."""
    net = inner6
    for gw, ours, theirs in ((b, "local_ts", "remote_ts"), (a, "remote_ts", "local_ts")):
        text = config(gw, "ipv6", mixed=False, start=False)
        text = text.replace(f"{ours} = {B.lan6}", f"{ours} = ::/0")
        gw.start(text.replace(f"{theirs} = {A.lan6}", f"{theirs} = {A.lan6}, {A.wan6}"))
        gw.use_ipv6()
        wait_for("the LAN's address of IPv6", lambda g=gw: "tentative" not in net.run(
            g.ns, "ip -6 addr show dev lan"))
    a.cli("up net")
    a.cli("rekey lab")
    b.cli("rekey net")
    assert ping6(net) == (20, 20)
    assert ping6(net, "host-b", A.host6) == (20, 20)
    b.cli("down lab")


def test_trap(inner6, a, b):
    """A packet of IPv6 asks for the tunnel, and is not lost."""
    net = inner6
    start(b, "ipv4", mixed=False)
    a.start(config(a, "ipv4", mixed=False).replace("start_action = start", "start_action = trap"))
    a.use_ipv6()
    wait_for("the LAN's address of IPv6", lambda: "tentative" not in net.run(
        "gw-a", "ip -6 addr show dev lan"))
    assert ping6(net, count=3, options="-i 0.2") == (3, 3)
    assert "INSTALLED" in a.swanctl("--list-sas")


def test_nothing_leaves_in_clear(inner6, a, b, tmp_path):
    net = inner6
    b.start(config(b, "ipv4"))
    a.start(config(a, "ipv4", psk="another key"))
    a.use_ipv6()
    b.use_ipv6()
    capture = Capture(net, tmp_path / "c.pcap", snaplen=128)
    assert ping6(net, count=5)[1] == 0
    capture.stop()
    assert capture.lines(CLEAR6) == []


@BOTH_ROLES
@OUTER
def test_strongswan(inner6, a, charon_b, outer, initiator, tmp_path):
    net = inner6
    net.linux_gateway6(B)
    net.linux_gateway6_inner(B)
    text = charon_b.default_config(local_ts=f"{B.lan}, {B.lan6}", remote_ts=f"{A.lan}, {A.lan6}")
    peer = charon_b.start(over6(text, B) if outer == "ipv6" else text)
    start(a, outer)
    up(a, peer, initiator)
    for gw in (a, peer):
        out = gw.swanctl("--list-sas")
        assert A.lan6 in out and B.lan6 in out and A.lan in out and B.lan in out, out
    assert ping(net) == (20, 20)
    assert ping6(net) == (20, 20)
    assert ping6(net, "host-b", A.host6) == (20, 20)
    assert tcp(net, tmp_path / "iperf3.log") > 1_000_000


def test_routed_to_a_tunnel_interface(inner6, a, b):
    """Route-based: the selectors are everything, and the route alone decides."""
    net = inner6
    for gw, far in ((a, B), (b, A)):
        text = config(gw, "ipv4", start=gw is a)
        text = re.sub("(local|remote)_ts = .*", r"\1_ts = 0.0.0.0/0, ::/0", text)
        text = text.replace("start_action", "if_id_in = 7\n if_id_out = 7\n start_action")
        gw.start(text.replace("ports {", "interfaces { vti0 { if_id = 7 } }\n ports {", 1))
        gw.use_ipv6()
        net.run(gw.ns, f"ip -6 route add {far.lan6} dev vti0")
        net.run(gw.ns, f"ip route add {far.lan} dev vti0")
    a.wait_child()
    wait_for("the LANs' addresses of IPv6", lambda: "tentative" not in net.run(
        "gw-a", "ip -6 addr show dev lan") + net.run("gw-b", "ip -6 addr show dev lan"))
    assert ping6(net) == (20, 20)
    assert ping6(net, "host-b", A.host6) == (20, 20)
    assert ping(net) == (20, 20)
    net.run("gw-a", f"ip -6 route del {B.lan6} dev vti0")
    assert ping6(net, count=2, options="-W 1")[1] == 0
    assert ping(net) == (20, 20)
