"""UDP/500 is filtered by the carrier: on_500_blocked, with port500 and strongSwan as the peer."""
import pytest

from echo import ping
from gateways import Capture, Charon
from topology import A, B, wait_for

QUICK = "gateway {\n    ike { retransmit_timeout = 1s }\n"


def block(net, what="udp dport 500"):
    """The carrier drops it, towards B and back."""
    net.nft("carrier", "table ip filtered {\n chain f {\n  type filter hook forward priority 1; "
                       f"policy accept;\n  {what} drop\n }}\n}}\n")


def unblock(net):
    net.run("carrier", "nft delete table ip filtered")


def quick(text):
    return text.replace("gateway {\n", QUICK, 1)


def remote(gw):
    """The ports of the peer, of each IKE SA."""
    out = gw.swanctl("--list-sas")
    return [int(line.rsplit("[", 1)[1].split("]")[0]) for line in out.splitlines()
            if line.strip().startswith("remote ") and "@" in line]


@pytest.fixture(params=["port500", "strongswan"])
def peer(request, b, charon_b):
    """Waits for A."""
    if request.param == "port500":
        b.start(b.default_config(start=False, conn="mobike = no\ndpd_delay = 0"))
        return b
    return charon_b.start(charon_b.default_config(conn="mobike = no"))


def test_to_4500_and_back(net, a, peer, tmp_path):
    block(net)
    capture = Capture(net, tmp_path / "c.pcap")
    a.start(quick(a.default_config(conn="mobike = no\non_500_blocked = try_4500")))
    a.wait_child(30)
    capture.stop()
    a.wait_log(r"UDP/500 to 198.51.100.1 is filtered \(3 messages unanswered, 4500 answers\): "
               "using 4500")
    assert remote(a) == [4500]
    # With the non-ESP marker (RFC 7296 3.1), and exchange type 34.
    assert capture.lines("udp port 4500 and udp[8:4] == 0 and udp[30] == 34 and src host "
                         + A.wan_addr)
    assert ping(net) == (20, 20)
    # Nothing is in UDP that need not be (RFC 7296 2.23). This charon pretends to be behind a NAT,
    # because its kernel-libipsec has ESP in UDP alone.
    in_udp = isinstance(peer, Charon)
    esp = Capture(net, tmp_path / "esp.pcap")
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    esp.stop()
    assert len(esp.lines("udp port 4500" if in_udp else "ip proto 50")) >= 40
    # A further attempt begins there at once: no second line.
    a.cli("down lab")
    a.cli("up net")
    assert remote(a) == [4500] and a.text().count("is filtered") == 1
    unblock(net)
    a.wait_log("UDP/500 to 198.51.100.1 answers again", 60)
    if in_udp:  # what is behind a NAT stays on 4500, but the next one begins on 500 again
        capture = Capture(net, tmp_path / "back.pcap")
        a.cli("down lab")
        a.cli("up net")
        capture.stop()
        assert len(capture.lines("udp port 500")) >= 2
    else:
        wait_for("an IKE SA on port 500 alone", lambda: remote(a) == [500], 30)
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)


def test_the_answers_alone_are_dropped(net, a, peer):
    block(net, "udp sport 500 ip saddr " + B.wan_addr)
    a.start(quick(a.default_config(conn="mobike = no\non_500_blocked = try_4500")))
    a.wait_child(30)
    assert remote(a) == [4500]
    assert ping(net) == (20, 20)


def test_strongswan_begins_on_4500(net, a, charon_b):
    """The other way round: we answer there."""
    block(net)
    a.start(a.default_config(start=False, conn="mobike = no"))
    charon_b.start(charon_b.default_config(
        conn="mobike = no\nlocal_port = 4500\nremote_port = 4500"))
    charon_b.swanctl("--initiate --child net")
    a.wait_child()
    assert remote(a) == [4500]
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)


def test_a_port_that_leads_to_4500(net, a, charon_b):
    """The peer's router forwards 8500 to 4500: a NAT, so ESP goes there as well."""
    charon_b.start(charon_b.default_config(conn="mobike = no"))
    net.nft("carrier", "table ip filtered {\n chain f {\n  type filter hook forward priority 1; "
                       "policy accept;\n  udp dport 500 drop\n }\n chain n {\n"
                       "  type nat hook prerouting priority -100;\n"
                       f"  ip daddr {B.wan_addr} udp dport 8500 dnat to {B.wan_addr}:4500\n }}\n}}\n")
    a.start(quick(a.default_config(conn="on_500_blocked = 8500")))
    a.wait_child(30)
    assert remote(a) == [8500]
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)


def test_by_default_it_is_reported(net, a, b):
    block(net)
    b.start(b.default_config(start=False))
    a.start(quick(a.default_config()))
    a.wait_log("never answered IKE_SA_INIT .*UDP 500 passes", 60)
    assert "[4500]" not in a.text() and "is filtered" not in a.text()
