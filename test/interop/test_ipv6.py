"""IKE and ESP over IPv6: port500 with itself and with strongSwan, in both roles."""
import pytest

from gateways import Capture, both_families, other, over6, tcp
from peers import rekey_under_ping, up
from test_tunnel import ping
from topology import A, B

ESP6 = "ip6 proto 50"
ESP6_IN_UDP = "ip6 and udp port 4500 and ip6[48:4] != 0 and ip6[44:2] > 9"
IKE4 = "ip and (udp port 500 or udp port 4500 or proto 50)"
BOTH_ROLES = pytest.mark.parametrize("initiator", ["port500", "strongswan"])
ENCAP = pytest.mark.parametrize("encap", [False, True], ids=["plain", "udp"])


def start6(gw, **how):
    gw.start(both_families(over6(gw.default_config(**how), gw.site), gw.site))
    gw.use_ipv6()
    return gw


@pytest.fixture
def net6(net):
    net.add_ipv6()
    return net


@pytest.fixture
def swan(net6, charon_b):
    """strongSwan behind B, with IPv6 addresses; start it with swan(...)."""
    def start(**how):
        net6.linux_gateway6(B)
        return charon_b.start(over6(charon_b.default_config(**how), B))
    return start


def crosses(net, tmp_path):
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert tcp(net, tmp_path / "iperf3.log") > 1_000_000


@ENCAP
def test_two_port500(net6, a, b, encap, tmp_path):
    conn = "encap = yes" if encap else ""
    capture = Capture(net6, tmp_path / "c.pcap", snaplen=128)
    start6(b, start=False, conn=conn)
    start6(a, start=False, conn=conn)
    a.cli("up net")
    assert ping(net6, count=50) == (50, 50)
    # What may be cut is cut before it is encrypted.
    assert ping(net6, count=3, options="-M dont -s 1450") == (3, 3)
    # The outer header is 20 bytes longer than that of IPv4, where 1446 and 1438 fit.
    room = 1446 - 20 - (8 if encap else 0)
    assert ping(net6, count=2, options=f"-M do -s {room - 28}") == (2, 2)
    out = net6.run("host-a", f"ping -c 1 -W 2 -M do -s {room - 27} {B.host_addr}", check=False)
    assert str(room) in out, out
    capture.stop()
    plain, udp = capture.lines(ESP6), capture.lines(ESP6_IN_UDP)
    assert (len(plain) >= 104) != encap and (len(udp) >= 104) == encap
    assert capture.lines(IKE4) == []
    crosses(net6, tmp_path)
    for gw, other in ((a, B), (b, A)):
        out = gw.swanctl("--list-sas")
        assert other.wan6 in out and "INSTALLED" in out, out
    assert net6.clear_forwarded() == 0


@BOTH_ROLES
@ENCAP
def test_strongswan(net6, a, swan, initiator, encap, tmp_path):
    """Its ESP in user space always wants UDP; without `encap` only the peer asks for it."""
    conn = "encap = yes" if encap else ""
    capture = Capture(net6, tmp_path / "c.pcap", snaplen=128)
    peer = swan(conn=conn)
    start6(a, start=False, conn=conn)
    up(a, peer, initiator)
    crosses(net6, tmp_path)
    for out in (a.swanctl("--list-sas"), peer.swanctl("--list-sas")):
        assert A.wan6 in out and B.wan6 in out and "INSTALLED" in out, out
    capture.stop()
    assert len(capture.lines(ESP6_IN_UDP)) >= 80
    assert capture.lines(IKE4) == []
    assert net6.clear_forwarded() == 0


@pytest.mark.parametrize("who", ["port500", "strongswan"])
@pytest.mark.parametrize("what", ["child", "ike"])
def test_rekey(net6, a, swan, who, what, tmp_path):
    peer = swan()
    start6(a, start=False)
    a.cli("up net")
    rekey_under_ping(a, peer, who, what, tmp_path / "ping")


def test_default_identities_are_the_addresses(net6, a, swan):
    """Without `id` a side is its address, of type ID_IPV6_ADDR (RFC 7296 3.5)."""
    def addressed(text, site):
        text = both_families(over6(text, site), site)
        text = text.replace(f"id = gw-{site.letter}.example", "", 1)
        text = text.replace(f"id = gw-{other(site).letter}.example", "", 1)
        return text.replace("id-a = gw-a.example", f"id-a = {A.wan6}").replace(
            "id-b = gw-b.example", f"id-b = {B.wan6}")
    peer = swan()
    peer.write_config(addressed(peer.default_config(), B))
    peer.swanctl("--load-all")
    a.start(addressed(a.default_config(start=False), A))
    a.use_ipv6()
    peer.swanctl("--initiate --child net")
    out = a.swanctl("--list-sas")
    assert f"local  '{A.wan6}'" in out and f"remote '{B.wan6}'" in out, out


def test_the_kernel_has_no_ipv6(a, b):
    """As in every other test here, IPv6 is off: the daemons say nothing and work."""
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    assert "IPv6" not in a.text(), a.text()
