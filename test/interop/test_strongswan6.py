"""strongSwan 6 as the peer, in both roles, with plain ESP (protocol 50) from its user-space ESP.

strongSwan 5.9's, which test_strongswan.py uses, always wraps ESP in UDP.
"""
import re

import pytest

from gateways import CLEAR, Capture, Charon, tcp
from peers import need, rekey_under_ping, up
from test_strongswan import IKE_PROPOSALS
from test_tunnel import child, ping
from topology import A, B, wait_for

ROOT = need("strongswan6")

RAW_ESP = "kernel-libipsec {\n raw_esp = yes\n }"
BOTH_ROLES = pytest.mark.parametrize("initiator", ["port500", "strongswan"])


@pytest.fixture
def charon6(net, tmp_path):
    return Charon(net, B, tmp_path, ROOT)


def test_it_is_strongswan_6(charon6):
    charon6.start()
    assert re.search(r"IKE daemon \(strongSwan 6\.", charon6.text()), charon6.text()


@BOTH_ROLES
@pytest.mark.parametrize("ike, shown", IKE_PROPOSALS, ids=[p[0] for p in IKE_PROPOSALS])
def test_ike_proposals(net, a, charon6, ike, shown, initiator):
    charon6.start(charon6.default_config(proposals=ike), RAW_ESP)
    a.start(a.default_config(start=False, conn=f"proposals = {ike}"))
    up(a, charon6, initiator)
    for out in (a.swanctl("--list-sas"), charon6.swanctl("--list-sas")):
        assert shown in out and "INSTALLED" in out, out
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)


@BOTH_ROLES
@pytest.mark.parametrize("raw", [True, False], ids=["plain", "udp"])
@pytest.mark.parametrize("esp", ["aes128gcm16", "aes256gcm16"])
def test_esp_traffic(net, a, charon6, esp, raw, initiator, tmp_path):
    capture = Capture(net, tmp_path / "c.pcap")
    charon6.start(charon6.default_config(esp=esp), RAW_ESP if raw else "")
    a.start(a.default_config(start=False, child=f"esp_proposals = {esp}"))
    up(a, charon6, initiator)
    assert ping(net, count=100, options="-i 0.01") == (100, 100)
    for size in (0, 1, 2, 3, 700, 1372):
        assert ping(net, count=2, options=f"-i 0.02 -M do -s {size}") == (2, 2), size
    ours, theirs = child(a), charon6.swanctl("--list-sas")
    assert re.search(rf"in\s+{ours['spi-out']}", theirs), (ours, theirs)
    assert re.search(rf"out\s+{ours['spi-in']}", theirs), (ours, theirs)
    capture.stop()
    plain, udp = capture.lines("esp"), capture.lines("udp port 4500 and udp[8:4] != 0")
    assert (len(plain), udp) == (224, []) if raw else (plain == [] and len(udp) >= 224)
    assert capture.lines(CLEAR) == []
    assert net.clear_forwarded() == 0


def test_tcp_over_plain_esp(net, a, charon6, tmp_path):
    charon6.start(plugins=RAW_ESP)
    a.start()
    a.wait_child()
    assert tcp(net, tmp_path / "iperf3.log") > 1_000_000
    assert "TUNNEL," in charon6.swanctl("--list-sas")


@pytest.mark.parametrize("who", ["port500", "strongswan"])
def test_delete(net, a, charon6, who):
    charon6.start(plugins=RAW_ESP)
    a.start(a.default_config(start=False))
    a.cli("up net")
    if who == "port500":
        a.cli("down lab")
    else:
        charon6.swanctl("--terminate --ike lab")
    wait_for("both to forget", lambda: "ESTABLISHED" not in
             a.swanctl("--list-sas") + charon6.swanctl("--list-sas"))
    a.cli("up net")
    assert ping(net) == (20, 20)


@pytest.mark.parametrize("who", ["strongswan", "port500"])
@pytest.mark.parametrize("what", ["child", "ike"])
def test_rekey(a, charon6, who, what, tmp_path):
    charon6.start(plugins=RAW_ESP)
    a.start(a.default_config(start=False))
    a.cli("up net")
    rekey_under_ping(a, charon6, who, what, tmp_path / "ping")
