"""What lies between the gateways, with strongSwan 5.9 as the peer: small datagrams, NATs, floods."""
import pytest

from gateways import Capture
from test_tunnel import ping
from topology import A, B

# The first payload of an IKE message on UDP 4500, behind the non-ESP marker, and its sender.
FRAGMENT = "udp port 4500 and udp[8:4] == 0 and udp[28] == 53 and src host "


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
@pytest.mark.parametrize("ike", ["aes128gcm16-prfsha512-x25519", "aes256-sha512-ecp256"])
def test_fragments_both_ways(net, a, charon_b, ike, initiator, tmp_path):
    capture = Capture(net, tmp_path / "c.pcap")
    charon_b.options = "fragment_size = 260"
    charon_b.start(charon_b.default_config(proposals=ike, conn="fragmentation = yes"))
    a.start(a.default_config(start=False, conn=f"proposals = {ike}\nfragment_size = 256"))
    if initiator == "port500":
        a.cli("up net")
    else:
        charon_b.swanctl("--initiate --child net")
    a.wait_child()
    assert ping(net) == (20, 20)
    capture.stop()
    for site in (A, B):
        assert len(capture.lines(FRAGMENT + site.wan_addr)) >= 2, site.letter
    assert capture.lines("udp port 4500 and udp[8:4] == 0 and greater 275") == []


@pytest.mark.parametrize("who", ["port500", "strongswan"])
def test_no_fragments_for_a_peer_that_does_not_announce_them(net, a, charon_b, who, tmp_path):
    capture = Capture(net, tmp_path / "c.pcap")
    charon_b.options = "fragment_size = 260"
    charon_b.start(charon_b.default_config(
        conn=f"fragmentation = {'no' if who == 'strongswan' else 'yes'}"))
    a.start(a.default_config(
        start=False, conn=f"fragment_size = 256\nfragmentation = {'no' if who == 'port500' else 'yes'}"))
    a.cli("up net")
    assert ping(net) == (20, 20)
    capture.stop()
    assert capture.lines(FRAGMENT + A.wan_addr) == []
    assert capture.lines(FRAGMENT + B.wan_addr) == []


def test_strongswan_shows_a_cookie(net, a, charon_b):
    """Asked for a cookie, and then for another group (RFC 7296 2.6.1)."""
    charon_b.start(charon_b.default_config(proposals="aes128gcm16-prfsha256-x25519-ecp256"))
    config = a.default_config(start=False, conn="proposals = aes128gcm16-prfsha256-ecp256")
    a.start(config.replace("gateway {", "gateway {\n    ike { cookie_threshold = 0 }\n", 1))
    charon_b.swanctl("--initiate --child net")
    assert ping(net) == (20, 20)
    ike = a.json("status")["status"]["ike"]
    assert int(ike["cookies-asked"]) >= 1 and int(ike["cookies-good"]) == 2, ike
    assert int(ike["cookies-bad"]) == 0, ike
