"""Tunnel interfaces: routes alone decide which tunnel takes a packet, and Linux sees it in clear.

Gateway A has a tunnel interface for each of its two peers, B and C, and all selectors are
0.0.0.0/0. A host behind B and one behind C have the same address as well, ANYCAST.
"""
import json
import re
import time

import pytest
from echo import Echoes, ping
from gateways import CLEAR, ESP, PSK, Capture, Port500, binary
from topology import A, B, C, wait_for

ANYCAST = "10.99.0.9"
INNER_MTU = 1446  # AES-GCM in tunnel mode on a 1500-byte path
TO = {"a": "10.255.1.1", "b": "10.255.1.2", "c": "10.255.2.2"}  # addresses on the interfaces
TO_C_FROM_A = "10.255.2.1"


def interface(name, if_id, addr, more=""):
    return f"{name} {{\n if_id = {if_id}\n addrs = {addr}/30\n {more}\n }}\n"


def connection(site, peer, if_id, child="", conn="", where="child"):
    ids = f"if_id_in = {if_id}\n if_id_out = {if_id}\n"
    return f"""to-{peer.letter} {{
        version = 2
        local_addrs = {site.wan_addr}
        remote_addrs = {peer.wan_addr}
        {conn}
        {ids if where == "conn" else ""}
        local {{
            auth = psk
            id = gw-{site.letter}.example
        }}
        remote {{
            auth = psk
            id = gw-{peer.letter}.example
        }}
        children {{
            all-{peer.letter} {{
                local_ts = 0.0.0.0/0
                remote_ts = 0.0.0.0/0
                {ids if where == "child" else ""}
                {child}
            }}
        }}
    }}
"""


def configuration(gw, interfaces, connections):
    head = gw.default_config().split("connections {")[0].rstrip()
    assert head.endswith("}")
    return f"""{head[:-1]}
    interfaces {{
        {interfaces}
    }}
}}
connections {{
    {connections}
}}
secrets {{
    ike-all {{
        secret = "{PSK}"
    }}
}}
"""


def link(gw, name):
    """What Linux says of an interface; None when there is none."""
    out = gw.net.run(gw.ns, f"ip -j link show dev {name}", check=False)
    return json.loads(out)[0] if out.startswith("[") else None


def counters(gw):
    shown = gw.json("show interfaces")
    return {name: (int(i["in-packets"]), int(i["out-packets"])) for name, i in shown.items()}


def up(gw, child):
    wait_for(f"{child} on {gw.ns}; its log:\n{gw.tail(30)}",
             lambda: re.search(rf"{child}: #\d+.*INSTALLED", gw.swanctl("--list-sas")), 20)


def a_config(a, to_b="start_action = start", to_c="start_action = start", more_b="", **kw):
    return configuration(
        a, interface("vti-b", 1, TO["a"], more_b) + interface("vti-c", 0x2000, TO_C_FROM_A),
        connection(A, B, 1, to_b, **kw) + connection(A, C, "0x2000", to_c, where="conn"))


def one_config(gw, site, child=""):
    return configuration(gw, interface("vti-a", 7, TO[site.letter]),
                         connection(site, A, 7, child))


def routes(a, b=None, c=None):
    a.net.run(a.ns, f"ip route replace {B.lan} dev vti-b")
    a.net.run(a.ns, f"ip route replace {C.lan} dev vti-c")
    for gw in (b, c):
        if gw:
            gw.net.run(gw.ns, f"ip route replace {A.lan} dev vti-a")


@pytest.fixture
def c(net, tmp_path):
    net.add_site(C)
    return Port500(net, C, tmp_path)


@pytest.fixture
def three(net, a, b, c):
    """All up, with the routes."""
    b.start(one_config(b, B))
    c.start(one_config(c, C))
    a.start(a_config(a))
    for child in ("all-b", "all-c"):
        up(a, child)
    routes(a, b, c)
    wait_for("the routes", lambda: C.lan in a.cli("show routes"))
    wait_for("the route at B", lambda: A.lan in b.cli("show routes"))
    wait_for("the route at C", lambda: A.lan in c.cli("show routes"))
    for gw, name in ((a, "vti-b"), (a, "vti-c"), (b, "vti-a"), (c, "vti-a")):
        wait_for("the link", lambda gw=gw, name=name: "LOWER_UP" in link(gw, name)["flags"])
    return a, b, c


def test_only_routes_decide(net, three, tmp_path):
    a, b, c = three
    for gw, site in ((b, B), (c, C)):
        net.run(f"host-{site.letter}", f"ip addr add {ANYCAST}/32 dev lo")
        net.run(gw.ns, f"ip route add {ANYCAST} via {site.host_addr} dev lan")
        wait_for("the route", lambda gw=gw: ANYCAST in gw.cli("show routes"))
    capture = Capture(net, tmp_path / "c.pcap")
    assert ping(net) == (20, 20)
    assert ping(net, to=C.host_addr) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert ping(net, "host-c", A.host_addr) == (20, 20)
    for to, other in (("vti-b", "vti-c"), ("vti-c", "vti-b"), ("vti-b", "vti-c")):
        net.run(a.ns, f"ip route replace {ANYCAST} dev {to}")
        wait_for("the route", lambda to=to: re.search(rf"{ANYCAST}/32\s+{to}", a.cli("show routes")))
        before = counters(a)
        assert ping(net, to=ANYCAST, count=10) == (10, 10)
        after = counters(a)
        assert after[to] == tuple(n + 10 for n in before[to])
        assert after[other] == before[other]
    # No route, no tunnel: nothing of it leaves in clear either.
    net.run(a.ns, f"ip route del {ANYCAST} dev vti-b")
    wait_for("the route to go", lambda: ANYCAST not in a.cli("show routes"))
    before = a.drops()["no-policy"]
    assert ping(net, to=ANYCAST, count=5)[1] == 0
    assert a.drops()["no-policy"] - before == 5
    capture.stop()
    assert capture.lines(f"{CLEAR} or net {C.lan} or host {ANYCAST}") == []
    assert len(capture.lines(ESP)) >= 2 * (80 + 30)
    assert net.clear_forwarded() == 0


def test_from_one_peer_to_the_other(net, three):
    """A hub: out of one tunnel interface into the other."""
    a, b, c = three
    net.run(b.ns, f"ip route add {C.lan} dev vti-a")
    net.run(c.ns, f"ip route add {B.lan} dev vti-a")
    for gw, lan in ((b, C.lan), (c, B.lan)):
        wait_for("the route", lambda gw=gw, lan=lan: lan in gw.cli("show routes"))
    assert ping(net, "host-b", C.host_addr) == (20, 20)
    # What A routes back into the tunnel it came out of ends at once.
    net.run(b.ns, "ip route add 10.98.0.0/16 dev vti-a")
    net.run(a.ns, "ip route add 10.98.0.0/16 dev vti-b")
    wait_for("the route", lambda: "10.98.0.0/16" in b.cli("show routes"))
    wait_for("the route", lambda: "10.98.0.0/16" in a.cli("show routes"))
    assert ping(net, "host-b", "10.98.0.1", 5)[1] == 0
    assert a.drops()["tunnel-loop"] == 5


def test_linux_uses_the_interface(net, three, tmp_path):
    """ping, tcpdump and TCP between the interfaces' own addresses, as BGP would."""
    a, b, c = three
    capture = Capture(net, tmp_path / "vti.pcap", device="vti-b", ns=a.ns)
    assert ping(net, a.ns, TO["b"]) == (20, 20)
    assert ping(net, a.ns, B.host_addr, 5, f"-i 0.02 -I {A.lan_addr}") == (5, 5)
    assert ping(net, "host-a", TO["b"], 5) == (5, 5)
    capture.stop()
    assert len(capture.lines(f"icmp and host {TO['b']} and host {TO['a']}")) == 40
    assert len(capture.lines(f"icmp and src {A.lan_addr} and dst {B.host_addr}")) == 5
    server = ("import socket\ns=socket.create_server(('%s',179))\nc,peer=s.accept()\n"
              "print(peer[0], c.recv(99).decode(), flush=True)\nc.sendall(b'OPEN back')\nc.recv(1)\n")
    client = ("import socket\ns=socket.create_connection(('%s',179),10,('%s',0))\n"
              "s.sendall(b'OPEN')\nprint(s.recv(99).decode())\n")
    for gw, at, me in ((b, TO["b"], TO["a"]), (c, TO["c"], TO_C_FROM_A)):
        log = tmp_path / f"{gw.site.letter}.server"
        net.start(gw.ns, ["python3", "-c", server % at], str(log))
        wait_for("the server", lambda gw=gw: ":179" in net.run(gw.ns, "ss -Hltn"))
        assert "OPEN back" in net.run(a.ns, ["python3", "-c", client % (at, me)])
        assert log.read_text().startswith(f"{me} OPEN")
    assert net.clear_forwarded() == 0


def test_clear_text_from_behind_the_interface_is_refused(net, three):
    """Its source is routed to a tunnel interface, so it was due in ESP."""
    a, _, _ = three
    net.run("carrier", f"ip route add {A.lan} via {A.wan_addr}")
    net.run("carrier", f"ip addr add {B.host_addr}/32 dev lo")
    assert ping(net, "carrier", A.host_addr, 5, f"-i 0.02 -I {B.host_addr}")[1] == 0
    assert a.drops()["clear-inbound"] == 5
    net.run("carrier", f"ip addr del {B.host_addr}/32 dev lo")
    assert ping(net) == (20, 20)


def test_link_and_mtu(net, three, tmp_path):
    a, _, _ = three
    wait_for("the MTU", lambda: link(a, "vti-b")["mtu"] == INNER_MTU)
    assert {"UP", "LOWER_UP", "POINTOPOINT"} <= set(link(a, "vti-b")["flags"])
    shown = a.json("show interfaces")["vti-b"]
    assert (shown["link"], shown["mtu"], shown["if-id"]) == ("up", str(INNER_MTU), "1")
    assert (shown["children-up"], shown["addrs"]) == ("1", [f"{TO['a']}/30"])
    sas = a.json("show child")
    assert "00002000" in json.dumps(sas) and "vti-c" in json.dumps(sas)
    assert "vti-b" in a.cli("show interfaces")

    # Whoever sends too much hears so: a host by ICMP from here, the gateway itself by its Linux.
    assert ping(net, count=2, options=f"-i 0.02 -M do -s {INNER_MTU - 28}") == (2, 2)
    for ns in ("host-a", a.ns):
        out = net.run(ns, f"ping -c 1 -W 2 -M do -s {INNER_MTU - 27} {B.host_addr}", check=False)
        assert re.search(r"Frag needed|too long", out) and str(INNER_MTU) in out, out

    a.cli("down to-b")
    wait_for("the carrier to go", lambda: "NO-CARRIER" in link(a, "vti-b")["flags"])
    assert a.json("show interfaces")["vti-b"]["link"] == "down"
    assert "LOWER_UP" in link(a, "vti-c")["flags"]
    # The route stays, so nothing takes another way; a resync sees it as well.
    capture = Capture(net, tmp_path / "c.pcap")
    net.run(a.ns, "ip addr add 10.97.0.1/32 dev wan")
    net.run(a.ns, "ip addr del 10.97.0.1/32 dev wan")
    time.sleep(0.5)
    before = a.drops()["no-sa"]
    assert ping(net, count=5)[1] == 0
    assert a.drops()["no-sa"] - before == 5
    assert ping(net, to=C.host_addr) == (20, 20)
    a.cli("up to-b")
    wait_for("the carrier", lambda: "LOWER_UP" in link(a, "vti-b")["flags"])
    assert ping(net) == (20, 20)
    capture.stop()
    assert capture.lines(CLEAR) == []


def test_reload_adds_and_removes_one_and_drops_nothing_else(net, a, b, c, tmp_path):
    only_b = configuration(a, interface("vti-b", 1, TO["a"]),
                           connection(A, B, 1, "start_action = start"))
    b.start(one_config(b, B))
    c.start(one_config(c, C))
    a.start(only_b)
    up(a, "all-b")
    net.run(a.ns, f"ip route add {B.lan} dev vti-b")
    net.run(b.ns, f"ip route add {A.lan} dev vti-a")
    wait_for("the route", lambda: B.lan in a.cli("show routes"))
    wait_for("the route", lambda: A.lan in b.cli("show routes"))
    before = a.json("show child")
    pings = Echoes(net, tmp_path / "pings", 1500, 0.01)

    ifindex = link(a, "vti-b")["ifindex"]
    for _ in range(2):
        a.write_config(a_config(a))
        a.cli("reload")
        up(a, "all-c")
        net.run(a.ns, f"ip route add {C.lan} dev vti-c")
        net.run(c.ns, f"ip route replace {A.lan} dev vti-a")
        wait_for("the route", lambda: C.lan in a.cli("show routes"))
        assert ping(net, to=C.host_addr) == (20, 20)
        a.write_config(only_b)
        a.cli("reload")
        wait_for("the interface to go", lambda: link(a, "vti-c") is None)
        wait_for("its route to go", lambda: C.lan not in a.cli("show routes"))
        wait_for("its address to go", lambda: ping(net, to=TO_C_FROM_A, count=1)[1] == 0)
        assert "vti-c" not in a.cli("show interfaces")
    for _ in range(3):  # its name is free at once
        a.write_config(a_config(a))
        a.cli("reload")
        assert link(a, "vti-c") is not None
        a.write_config(only_b)
        a.cli("reload")
        assert link(a, "vti-c") is None
    assert link(a, "vti-b")["ifindex"] == ifindex
    assert re.findall(r'"spi-in": "\w+"', json.dumps(before)) == \
        re.findall(r'"spi-in": "\w+"', json.dumps(a.json("show child")))
    pings.check_none_lost()
    # Another address and a fixed MTU of the interface that stays.
    a.write_config(only_b.replace(f"addrs = {TO['a']}/30", "addrs = 10.255.9.1/32\n mtu = 1300"))
    a.cli("reload")
    wait_for("the MTU", lambda: link(a, "vti-b")["mtu"] == 1300)
    shown = net.run(a.ns, "ip addr show dev vti-b")
    assert "10.255.9.1/32" in shown and TO["a"] not in shown
    assert ping(net) == (20, 20)


def test_reload_moves_a_child_to_another_interface(net, a, b):
    """It gets a tunnel of its own behind the new interface, on the IKE SA that is there."""
    both = interface("vti-b", 1, TO["a"]) + interface("vti-n", 2, TO_C_FROM_A)
    b.start(one_config(b, B))
    a.start(configuration(a, both, connection(A, B, 1, "start_action = start")))
    up(a, "all-b")
    net.run(a.ns, f"ip route add {B.lan} dev vti-b")
    net.run(b.ns, f"ip route add {A.lan} dev vti-a")
    wait_for("the route", lambda: ping(net, count=1)[1] == 1)
    ike = re.findall("([0-9a-f]{16})_i", a.swanctl("--list-sas"))
    for if_id, name in ((2, "vti-n"), (1, "vti-b")):
        a.write_config(configuration(a, both, connection(A, B, if_id, "start_action = start")))
        a.cli("reload")
        net.run(a.ns, f"ip route replace {B.lan} dev {name}")
        wait_for(f"packets by {name}", lambda: ping(net, count=1)[1] == 1, 20)
        assert ping(net) == (20, 20)
        wait_for("one child", lambda: a.swanctl("--list-sas").count("INSTALLED") == 1, 20)
        assert ping(net) == (20, 20)
        shown = a.json("show interfaces")
        assert shown[name]["children-up"] == "1", shown
        assert re.findall("([0-9a-f]{16})_i", a.swanctl("--list-sas")) == ike


def test_default_route_into_a_tunnel(net, three):
    """All but the peers and the own networks: the peers need routes of their own."""
    a, b, _ = three
    for peer in (B, C):
        net.run(a.ns, f"ip route add {peer.wan_addr} via {A.carrier_addr} dev wan")
    net.run(a.ns, "ip route replace default dev vti-b")
    net.run("host-b", f"ip addr add {ANYCAST}/32 dev lo")
    net.run(b.ns, f"ip route add {ANYCAST} via {B.host_addr} dev lan")
    wait_for("the routes", lambda: re.search(r"0\.0\.0\.0/0\s+vti-b", a.cli("show routes"))
             and ANYCAST in b.cli("show routes"))
    assert ping(net, to=ANYCAST) == (20, 20)
    assert ping(net, to=C.host_addr) == (20, 20)
    a.cli("rekey to-b")  # IKE still finds its way
    time.sleep(1)
    assert ping(net, to=ANYCAST) == (20, 20)
    # A peer that is routed to its own tunnel: nothing of it leaves, and nothing loops.
    net.run(a.ns, f"ip route replace {B.wan_addr} dev vti-b")
    wait_for("the route", lambda: re.search(rf"{B.wan_addr}/32\s+vti-b", a.cli("show routes")))
    assert ping(net, to=ANYCAST, count=5)[1] == 0
    assert a.drops()["no-route"] >= 5
    assert net.clear_forwarded() == 0


def test_deleted_by_hand_in_linux(net, three):
    """The other one goes on; out of the file and back, it is there again."""
    a, _, _ = three
    config = a_config(a)
    net.run(a.ns, "ip link del vti-b")
    wait_for("its route to go", lambda: B.lan not in a.cli("show routes"))
    assert ping(net, to=C.host_addr) == (20, 20)
    assert ping(net, count=3)[1] == 0
    a.write_config(configuration(a, interface("vti-c", 0x2000, TO_C_FROM_A),
                                 connection(A, C, "0x2000", "start_action = start", where="conn")))
    a.cli("reload")
    a.write_config(config)
    a.cli("reload")
    up(a, "all-b")
    net.run(a.ns, f"ip route add {B.lan} dev vti-b")
    wait_for("the route", lambda: B.lan in a.cli("show routes"))
    assert ping(net) == (20, 20)
    assert ping(net, to=C.host_addr) == (20, 20)


def test_traffic_brings_the_tunnel_up(net, a, b, tmp_path):
    """A host's packet and one of the gateway's own; the route is there before the tunnel is."""
    b.start(one_config(b, B))
    one = configuration(a, interface("vti-b", 1, TO["a"]),
                        connection(A, B, 1, "start_action = trap"))
    a.start(one)
    assert "LOWER_UP" in link(a, "vti-b")["flags"]
    net.run(a.ns, f"ip route add {B.lan} dev vti-b")
    net.run(b.ns, f"ip route add {A.lan} dev vti-a")
    wait_for("the routes", lambda: B.lan in a.cli("show routes") and A.lan in b.cli("show routes"))
    capture = Capture(net, tmp_path / "c.pcap")
    assert ping(net, count=1) == (1, 1)
    up(a, "all-b")
    time.sleep(1.5)  # traffic asks at most once a second
    b.cli("down to-a")
    wait_for("the child to be down", lambda: "trapped" in a.cli("status"))
    assert ping(net, a.ns, TO["b"], 1) == (1, 1)
    capture.stop()
    assert capture.lines(CLEAR) == []
    # Without the trap the link goes down.
    a.swanctl("--uninstall --child all-b")
    a.cli("down to-b")
    wait_for("the carrier to go", lambda: "NO-CARRIER" in link(a, "vti-b")["flags"])


@pytest.mark.parametrize("who", ["port500", "strongswan"])
def test_strongswan_with_policies_as_the_peer(net, a, charon_b, tmp_path, who):
    """It asks for its own networks; what it does not want does not reach it."""
    charon_b.start(charon_b.default_config(start=False))
    config = configuration(a, interface("vti-b", 1, TO["a"]),
                           connection(A, B, 1, "esp_proposals = aes128gcm16\n start_action = "
                                      + ("start" if who == "port500" else "none")))
    a.start(config)
    if who == "strongswan":
        assert "NO-CARRIER" in link(a, "vti-b")["flags"]
        charon_b.swanctl("--initiate --child net")
    up(a, "all-b")
    charon_b.wait_child()
    net.run(a.ns, f"ip route add {B.lan} dev vti-b")
    wait_for("the route", lambda: B.lan in a.cli("show routes"))
    assert f"{B.lan}" in a.swanctl("--list-sas")  # narrowed
    capture = Capture(net, tmp_path / "c.pcap")
    assert ping(net, count=50) == (50, 50)
    assert ping(net, "host-b", A.host_addr, 50) == (50, 50)
    assert ping(net, a.ns, B.host_addr, 5, f"-i 0.02 -I {A.lan_addr}") == (5, 5)
    capture.stop()
    assert len(capture.lines(ESP)) == 210 and capture.lines(CLEAR) == []
    assert net.clear_forwarded() == 0


def test_a_name_that_linux_has_already(net, a):
    """Said with file and line, at the start and at a reload, which changes nothing."""
    config = a_config(a, to_b="", to_c="")
    net.run(a.ns, "ip link add vti-c type veth peer name other")
    a.start(a.default_config(start=False))
    a.write_config(config)
    status, _, err = a.cli("reload", check=False)
    assert status == 1
    assert re.search(r"gw-a\.conf:\d+: gateway\.interfaces\.vti-c: .*there is one of that name", err)
    assert a.json("show interfaces") == {}
    wait_for("vti-b to go again", lambda: link(a, "vti-b") is None)
    a.stop()
    status, _, err = net.status(a.ns, [binary("port500d"), "-c", a.config])
    assert status == 3 and "gateway.interfaces.vti-c" in err and "there is one of that name" in err
