"""MOBIKE (RFC 4555): addresses that change under traffic, with strongSwan 5.9 as the peer and between
two port500."""
import re

import pytest

from gateways import both_families
from test_tunnel import child, find, ping
from topology import A, B, wait_for

A_NEW, B_NEW = "192.0.2.9", "198.51.100.9"


class Flow:
    """A ping across the tunnel, twenty a second, while something happens to it."""

    def __init__(self, net, directory, count=200):
        self.log, self.count = str(directory / "flow.log"), count
        self.process = net.start("host-a", f"ping -i 0.05 -c {count} -W 2 {B.host_addr}", self.log)
        wait_for("the flow", lambda: self.text().count("bytes from") > 10)

    def text(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def end(self):
        """How many of the packets have come back."""
        self.process.wait(120)
        return int(re.search(r"(\d+) received", self.text())[1])


def readdress(net, site, dev, old, new):
    """Another address in the place of the old one, on the machine's side of its only uplink."""
    gw = f"gw-{site.letter}"
    for key in ("all", dev):
        net.sysctl(gw, f"net.ipv4.conf.{key}.promote_secondaries", 1)
    net.run(gw, f"ip addr add {new}/24 dev {dev}")
    net.run(gw, f"ip addr del {old}/24 dev {dev}")
    net.run(gw, f"ip route replace default via {site.carrier_addr} dev {dev}")


def of_subnets(config):
    """The configuration of a gateway that takes any address of the two carrier networks."""
    for side, site in (("local", A), ("remote", B), ("remote", A), ("local", B)):
        config = config.replace(f"{side}_addrs = {site.wan_addr}\n",
                                f"{side}_addrs = {site.wan_addr}, {site.wan_addr}/24\n")
    return config


def host(gw, side):
    """The address of one side of the IKE SA, as the gateway shows it."""
    line = next(l for l in gw.swanctl("--list-sas").splitlines() if l.strip().startswith(side))
    return re.search(r"@ ([0-9a-f.:]+)\[", line)[1]


def one_ike_sa(gw):
    return gw.swanctl("--list-sas").count("ESTABLISHED") == 1


def test_strongswan_moves(net, a, charon_b, tmp_path):
    a.start(of_subnets(a.default_config(start=False)))
    charon_b.start(charon_b.default_config().replace(f"local_addrs = {B.wan_addr}",
                                                     "local_addrs = %any"))
    charon_b.swanctl("--initiate --child net")
    a.wait_child()
    assert find(a.json("show ike"), "uniqueid")["mobike"] == "yes"
    flow = Flow(net, tmp_path)
    readdress(net, B, "wan-b", B.wan_addr, B_NEW)
    wait_for("A to follow", lambda: host(a, "remote") == B_NEW)
    # It is asked for a cookie first (RFC 4555 3.7), which takes a round trip.
    assert flow.end() >= 150
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert one_ike_sa(a) and "MOBIKE" in a.cli("show ike")
    # And back, after the IKE SA has been replaced by us: strongSwan still decides.
    a.swanctl("--rekey --ike lab")
    wait_for("one IKE SA", lambda: one_ike_sa(a) and "IKE SA rekeyed" in a.text())
    readdress(net, B, "wan-b", B_NEW, B.wan_addr)
    wait_for("A to follow", lambda: host(a, "remote") == B.wan_addr)
    wait_for("traffic", lambda: ping(net, count=5) == (5, 5))


def test_we_move_away_from_strongswan(net, a, charon_b, tmp_path):
    charon_b.start(charon_b.default_config().replace(f"remote_addrs = {A.wan_addr}",
                                                     "remote_addrs = %any"))
    a.start(of_subnets(a.default_config()))
    a.wait_child()
    flow = Flow(net, tmp_path)
    readdress(net, A, "wan", A.wan_addr, A_NEW)
    wait_for("the update", lambda: host(a, "local") == A_NEW)
    assert flow.end() >= 150
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert host(charon_b, "remote") == A_NEW
    assert one_ike_sa(a) and one_ike_sa(charon_b)
    assert "IKE SA established" in a.text() and a.text().count("IKE SA established") == 1
    # The children are replaced where we are now.
    a.swanctl("--rekey --child net")
    wait_for("a new child", lambda: "'net' rekeyed" in a.text())
    assert ping(net) == (20, 20)


def test_strongswan_tells_of_another_address(net, a, charon_b, tmp_path):
    """It is the responder, so it cannot move by itself (RFC 4555 3.6)."""
    config = charon_b.default_config().replace(f"local_addrs = {B.wan_addr}", "local_addrs = %any")
    charon_b.start(config)
    a.start(of_subnets(a.default_config()))
    a.wait_child()
    flow = Flow(net, tmp_path)
    readdress(net, B, "wan-b", B.wan_addr, B_NEW)
    wait_for("A to follow", lambda: host(a, "remote") == B_NEW)
    assert flow.end() >= 150
    assert ping(net) == (20, 20)
    assert one_ike_sa(a) and a.text().count("IKE SA established") == 1


def test_an_address_that_is_not_configured(net, a, charon_b):
    a.start(a.default_config(start=False))
    charon_b.start(charon_b.default_config().replace(f"local_addrs = {B.wan_addr}",
                                                     "local_addrs = %any"))
    charon_b.swanctl("--initiate --child net")
    a.wait_child()
    readdress(net, B, "wan-b", B.wan_addr, B_NEW)
    a.wait_log(rf"go on between {re.escape(B_NEW)}\[4500\] and our .* do not allow")
    assert host(a, "remote") == B.wan_addr


@pytest.mark.parametrize("side", ["a", "b"])
def test_two_port500(net, a, b, side, tmp_path):
    b.start(of_subnets(b.default_config(start=False)))
    a.start(of_subnets(a.default_config()))
    a.wait_child()
    flow = Flow(net, tmp_path)
    if side == "a":
        readdress(net, A, "wan", A.wan_addr, A_NEW)
        wait_for("B to follow", lambda: host(b, "remote") == A_NEW)
    else:
        readdress(net, B, "wan", B.wan_addr, B_NEW)
        wait_for("A to follow", lambda: host(a, "remote") == B_NEW)
    assert flow.end() >= 150
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert one_ike_sa(a) and one_ike_sa(b) and a.text().count("IKE SA established") == 1


def test_a_path_that_breaks(net, a, b):
    """Nobody's address changes; the carrier no longer brings packets to one of them."""
    b.start(of_subnets(b.default_config(start=False)).replace(
        f"addrs = {B.wan_addr}/24\n", f"addrs = {B.wan_addr}/24, {B_NEW}/24\n"))
    config = of_subnets(a.default_config(conn="dpd_delay = 2", child="dpd_action = start"))
    a.start(config.replace("gateway {", "gateway {\n    ike { retransmit_timeout = 1s }\n", 1))
    a.wait_child()
    net.nft("carrier", f"table ip cut {{\n chain cut {{\n  type filter hook forward priority 0;\n"
            f"  ip daddr {B.wan_addr} drop\n  ip saddr {B.wan_addr} drop\n }}\n}}\n")
    wait_for("A to find the other way", lambda: host(a, "remote") == B_NEW, 30)
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert one_ike_sa(a) and a.text().count("IKE SA established") == 1


def test_into_a_nat(net, a, b, tmp_path):
    """The new address of A lies behind a NAT: ESP goes into UDP on both sides."""
    config = of_subnets(b.default_config(start=False))
    b.start(config.replace("remote_addrs = ", f"remote_addrs = {B.carrier_addr}, "))
    a.start(of_subnets(a.default_config()))
    a.wait_child()
    assert "in UDP" not in a.text()
    moved = type(A)(**{**A.__dict__, "wan_addr": A_NEW})
    net.nat(moved, "20000-20009")
    flow = Flow(net, tmp_path)
    readdress(net, A, "wan", A.wan_addr, A_NEW)
    wait_for("B to follow", lambda: host(b, "remote") == B.carrier_addr)
    assert flow.end() >= 150
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    for gw in (a, b):
        assert child(gw)["encap"] == "yes"
    readdress(net, A, "wan", A_NEW, A.wan_addr)
    wait_for("B to follow", lambda: host(b, "remote") == A.wan_addr)
    wait_for("traffic", lambda: ping(net, count=5) == (5, 5))
    for gw in (a, b):
        assert "encap" not in child(gw)


def test_from_ipv4_to_ipv6(net, a, b, tmp_path):
    """The route over IPv4 goes; both sides have told their addresses of IPv6."""
    net.add_ipv6()
    for gw, start in ((b, False), (a, True)):
        config = both_families(gw.default_config(start=start), gw.site)
        for side in ("local", "remote"):
            for site in (A, B):
                config = config.replace(f"{side}_addrs = {site.wan_addr}\n",
                                        f"{side}_addrs = {site.wan_addr}, {site.wan6}\n")
        gw.start(config)
        gw.use_ipv6()
    a.wait_child()
    assert host(a, "remote") == B.wan_addr
    flow = Flow(net, tmp_path)
    net.run("gw-a", "ip route del default dev wan")
    wait_for("A to take the other way", lambda: host(a, "remote") == B.wan6)
    assert flow.end() >= 150
    assert host(b, "remote") == A.wan6
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert one_ike_sa(a) and a.text().count("IKE SA established") == 1
