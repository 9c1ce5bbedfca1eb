"""strongSwan 5.9 as the peer, in both roles: an independent IKEv2 and an independent ESP."""
import re

import pytest

from gateways import CLEAR, Capture, tcp
from test_tunnel import child, ping
from topology import A, B, wait_for

# Every algorithm of IKE at least once; test_ike_proposals runs each row in both roles.
IKE_PROPOSALS = [
    ("aes128gcm16-prfsha256-x25519", "AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519"),
    ("aes256gcm16-prfsha384-ecp384", "AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384"),
    ("aes128-sha256-modp2048", "AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048"),
    ("aes256-sha512-ecp256", "AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/ECP_256"),
    ("aes192-sha384-x25519", "AES_CBC-192/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/CURVE_25519"),
    ("aes128ctr-sha256-modp3072",
     "AES_CTR-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_3072"),
    ("aes192ctr-sha1-modp4096", "AES_CTR-192/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_4096"),
    ("aes256ctr-sha512-prfsha1-x448", "AES_CTR-256/HMAC_SHA2_512_256/PRF_HMAC_SHA1/CURVE_448"),
    ("aes128gcm8-prfsha512-ecp521", "AES_GCM_8-128/PRF_HMAC_SHA2_512/ECP_521"),
    ("aes256gcm12-prfsha384-modp6144", "AES_GCM_12-256/PRF_HMAC_SHA2_384/MODP_6144"),
    ("chacha20poly1305-prfsha256-modp8192",
     "CHACHA20_POLY1305/PRF_HMAC_SHA2_256/MODP_8192"),
]


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
@pytest.mark.parametrize("ike, shown", IKE_PROPOSALS, ids=[p[0] for p in IKE_PROPOSALS])
def test_ike_proposals(net, a, charon_b, ike, shown, initiator):
    charon_b.start(charon_b.default_config(proposals=ike))
    a.start(a.default_config(start=False, conn=f"proposals = {ike}"))
    if initiator == "port500":
        a.cli("up net")
    else:
        charon_b.swanctl("--initiate --child net")
    for out in (a.swanctl("--list-sas"), charon_b.swanctl("--list-sas")):
        assert shown in out and "INSTALLED" in out, out
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)


def test_all_that_strongswan_has(net, a, charon_b):
    """With more plugins its default has more transforms than we hold, the groups at the end."""
    charon_b.PLUGINS += " ccm xcbc cmac gcrypt ctr chapoly"
    charon_b.start(charon_b.default_config(proposals="default"))
    a.start(a.default_config(start=False, conn="proposals = aes256-sha512-modp2048"))
    charon_b.swanctl("--initiate --child net")
    assert "AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_2048" in a.swanctl("--list-sas")


@pytest.mark.parametrize("esp", ["aes128gcm16", "aes256gcm16"])
@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_esp_traffic(net, a, charon_b, esp, initiator, tmp_path):
    capture = Capture(net, tmp_path / "c.pcap")
    charon_b.start(charon_b.default_config(esp=esp))
    a.start(a.default_config(start=False, child=f"esp_proposals = {esp}"))
    if initiator == "port500":
        a.cli("up net")
    else:
        charon_b.swanctl("--initiate --child net")
    assert ping(net, count=100, options="-i 0.01") == (100, 100)
    for size in (0, 1, 2, 3, 700, 1372):
        assert ping(net, count=2, options=f"-i 0.02 -M do -s {size}") == (2, 2), size
    ours, theirs = child(a), charon_b.swanctl("--list-sas")
    assert re.search(rf"in\s+{ours['spi-out']}", theirs), (ours, theirs)
    assert re.search(rf"out\s+{ours['spi-in']}", theirs), (ours, theirs)
    assert "TUNNEL-in-UDP" in theirs
    capture.stop()
    assert capture.lines(CLEAR) == []
    assert net.clear_forwarded() == 0


def test_tcp(net, a, charon_b, tmp_path):
    charon_b.start()
    a.start()
    a.wait_child()
    assert tcp(net, tmp_path / "iperf3.log") > 1_000_000


def test_wrong_group_guessed(net, a, charon_b):
    """Our first group is not theirs: INVALID_KE_PAYLOAD, and the second try fits."""
    charon_b.start(charon_b.default_config(proposals="aes128gcm16-prfsha256-ecp256"))
    a.start(a.default_config(start=False, conn="proposals = aes128gcm16-prfsha256-x25519-ecp256"))
    a.cli("up net")
    assert "ECP_256" in a.swanctl("--list-sas")
    assert re.search(r"INVALID_KE|INVAL_KE", charon_b.text())


def test_wrong_group_guessed_by_strongswan(net, a, charon_b):
    charon_b.start(charon_b.default_config(proposals="aes128gcm16-prfsha256-x25519-ecp256"))
    a.start(a.default_config(start=False, conn="proposals = aes128gcm16-prfsha256-ecp256"))
    charon_b.swanctl("--initiate --child net")
    assert "ECP_256" in a.swanctl("--list-sas")


@pytest.mark.parametrize("who", ["port500", "strongswan"])
@pytest.mark.parametrize("what", ["ike", "child"])
def test_delete(net, a, charon_b, who, what):
    charon_b.start()
    a.start(a.default_config(start=False))
    a.cli("up net")
    if who == "port500":
        a.cli("down lab" if what == "ike" else "down lab/net")
    else:
        charon_b.swanctl("--terminate --ike lab" if what == "ike" else "--terminate --child net")
    wait_for("both to forget", lambda: "INSTALLED" not in
             a.swanctl("--list-sas") + charon_b.swanctl("--list-sas"))
    if what == "ike":
        assert "ESTABLISHED" not in a.swanctl("--list-sas") + charon_b.swanctl("--list-sas")
    a.cli("up net")
    assert ping(net) == (20, 20)


def test_liveness_of_strongswan_is_answered(net, a, charon_b):
    charon_b.start(charon_b.default_config(conn="dpd_delay = 1s"))
    a.start(a.default_config(start=False))
    a.cli("up net")
    charon_b.wait_log(r"sending DPD request[\s\S]*parsed INFORMATIONAL response", 20)
    assert "ESTABLISHED" in charon_b.swanctl("--list-sas")


def test_our_liveness_is_answered_by_strongswan(net, a, charon_b):
    charon_b.start()
    a.start(a.default_config(start=False, conn="dpd_delay = 1s"))
    a.cli("up net")
    charon_b.wait_log(r"parsed INFORMATIONAL request \d+ \[ \]", 20)
    assert "ESTABLISHED" in a.swanctl("--list-sas")


def test_narrowing(net, a, charon_b):
    """strongSwan wants less than we offer: we take the smaller selectors."""
    charon_b.start(charon_b.default_config(remote_ts="10.1.0.0/25"))
    a.start(a.default_config(start=False))
    a.cli("up net")
    assert "10.1.0.0/25" in a.swanctl("--list-sas")
    assert ping(net) == (20, 20)


def test_narrowing_by_us(net, a, charon_b):
    charon_b.start(charon_b.default_config(remote_ts="10.0.0.0/8"))
    a.start(a.default_config(start=False))
    charon_b.swanctl("--initiate --child net")
    assert "10.1.0.0/24" in charon_b.swanctl("--list-sas")
    assert ping(net) == (20, 20)


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_wrong_psk(net, a, charon_b, initiator):
    charon_b.start(charon_b.default_config(psk="something else"))
    a.start(a.default_config(start=False))
    if initiator == "port500":
        status, _, err = a.cli("up net", check=False)
        assert status == 1 and "AUTHENTICATION_FAILED" in err, err
    else:
        assert "AUTH_FAILED" in charon_b.swanctl("--initiate --child net", check=False)
        errors = [x for x in a.text().splitlines() if " error " in x]
        assert len(errors) == 1 and "gw-b.example" in errors[0], a.text()


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_no_common_proposal(net, a, charon_b, initiator):
    charon_b.start(charon_b.default_config(proposals="aes256-sha512-modp2048"))
    a.start(a.default_config(start=False, conn="proposals = aes128gcm16-prfsha256-x25519"))
    if initiator == "port500":
        status, _, err = a.cli("up net", check=False)
        assert status == 1 and "NO_PROPOSAL_CHOSEN" in err, err
    else:
        assert re.search("NO_PROPOSAL_CHOSEN|NO_PROP",
                         charon_b.swanctl("--initiate --child net", check=False))
        errors = [x for x in a.text().splitlines() if " error " in x]
        assert len(errors) == 1 and "MODP_2048" in errors[0] and "CURVE_25519" in errors[0], errors
