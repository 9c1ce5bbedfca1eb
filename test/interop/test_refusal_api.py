"""Why a negotiation with strongSwan failed, as the API tells it: list-refusals, both roles."""
import pytest

from test_strongswan_certs import Pki, bring_up, pki, sides  # pylint: disable=unused-import

BOTH = pytest.mark.parametrize("initiator", ["port500", "strongswan"])


def fail(a, charon, initiator):
    """The refusals that an attempt of that side leaves at port500, by code."""
    if initiator == "port500":
        status, _, err = a.cli("up net --timeout 10", check=False)
        assert status == 1, err
    else:
        charon.swanctl("--initiate --child net --timeout 10", check=False)
    found = {}
    for event in a.json("show refusals")["list-refusal"]:
        for r in event.values():
            found[r["code"]] = r
    assert found, a.text()
    for r in found.values():
        assert r["remote-host"] == "198.51.100.1" and r["local-host"] == "192.0.2.1"
        assert r["role"] == ("initiator" if initiator == "port500" else "responder")
        assert "stranger" not in r
        assert r["msg"] in a.text()  # the log says the same
    return found


def refused(a, charon, initiator, code):
    found = fail(a, charon, initiator)
    assert list(found) == [code], found
    return found[code]


@BOTH
def test_wrong_psk(net, a, charon_b, initiator):
    charon_b.start(charon_b.default_config(psk="something else"))
    a.start(a.default_config(start=False))
    code = "N-PEERSAIDNO" if initiator == "port500" else "N-PSK"
    r = refused(a, charon_b, initiator, code)
    assert r["ike"] == "lab" and r["exchange"] == "IKE_AUTH"
    assert r["local-id"] == {"type": "FQDN", "id": "gw-a.example"}
    if initiator == "port500":
        assert r["refused-by"] == "peer" and r["notify"] == "AUTHENTICATION_FAILED"
        assert r["remote-id-wanted"] == {"type": "FQDN", "id": "gw-b.example"}
    else:
        assert r["refused-by"] == "us"
        assert r["remote-id"] == {"type": "FQDN", "id": "gw-b.example"}
    text = a.cli("show refusals")
    assert "FQDN 'gw-a.example'" in text and code in text
    assert "something else" not in text + a.text() and "who moved" not in text + a.text()


@BOTH
def test_identity(net, a, charon_b, initiator):
    text = charon_b.default_config().replace("id = gw-b.example", "id = gw-x.example")
    charon_b.start(text.replace("id-b = gw-b", "id-b = gw-x"))
    a.start(a.default_config(start=False))
    if initiator == "port500":  # it is asked for gw-b, and is not that
        r = refused(a, charon_b, initiator, "N-PEERSAIDNO")
        assert r["remote-id-wanted"]["id"] == "gw-b.example" and r["ike"] == "lab"
        return
    r = refused(a, charon_b, initiator, "N-ID")
    assert r["remote-id"] == {"type": "FQDN", "id": "gw-x.example"}
    assert r["local-id-asked"] == {"type": "FQDN", "id": "gw-a.example"}
    lost = r["candidates"]["lab"]
    assert lost["reason"] == "peer-id" and lost["remote-id"]["id"] == "gw-b.example"
    assert lost["local-id"]["id"] == "gw-a.example"
    assert "lab              expects another peer" in a.cli("show refusals")


@BOTH
def test_ike_proposals(net, a, charon_b, initiator):
    charon_b.start(charon_b.default_config(proposals="aes256-sha512-modp2048"))
    a.start(a.default_config(start=False, conn="proposals = aes128gcm16-prfsha512-x25519"))
    r = refused(a, charon_b, initiator, "N-PROPOSAL")
    assert r["exchange"] == "IKE_SA_INIT" and r["notify"] == "NO_PROPOSAL_CHOSEN"
    transforms = r["transforms"]
    assert transforms["encryption"]["ours"] == ["AES_GCM_16-128"]
    if initiator == "port500":
        assert r["refused-by"] == "peer"
        assert {t["verdict"] for t in transforms.values()} == {"unknown"}
        return
    assert transforms["encryption"]["theirs"] == ["AES_CBC-256"]
    assert {k: t["verdict"] for k, t in transforms.items()} == {
        "encryption": "different", "prf": "common", "integrity": "only-theirs",
        "key-exchange": "different"}
    assert r["candidates"]["lab"]["differs"] == ["encryption", "key-exchange"]
    text = a.cli("show refusals")
    assert "encryption    AES_GCM_16-128" in text and "NOTHING IN COMMON" in text


@BOTH
def test_ike_group(net, a, charon_b, initiator):
    """Everything agrees but the key exchange."""
    charon_b.start(charon_b.default_config(proposals="aes128gcm16-prfsha256-ecp384"))
    a.start(a.default_config(start=False, conn="proposals = aes128gcm16-prfsha256-x25519"))
    r = refused(a, charon_b, initiator, "N-PROPOSAL")
    if initiator == "strongswan":
        assert {k: t["verdict"] for k, t in r["transforms"].items()} == {
            "encryption": "common", "prf": "common", "key-exchange": "different"}
        assert r["transforms"]["key-exchange"]["theirs"] == ["ECP_384"]
        assert "no common key exchange" in r["msg"]
    else:
        assert r["transforms"]["key-exchange"]["ours"] == ["CURVE_25519"]


@BOTH
def test_esp_proposals(net, a, charon_b, initiator):
    charon_b.start(charon_b.default_config(esp="aes256gcm16"))
    a.start(a.default_config(start=False, child="esp_proposals = aes128gcm16"))
    r = refused(a, charon_b, initiator, "C-ESP")
    assert r["child"] == "net" and r["ike"] == "lab" and r["exchange"] == "IKE_AUTH"
    assert r["transforms"]["encryption"]["ours"] == ["AES_GCM_16-128"]
    if initiator == "strongswan":
        assert r["transforms"]["encryption"]["theirs"] == ["AES_GCM_16-256"]
        assert r["transforms"]["encryption"]["verdict"] == "different"
        assert r["transforms"]["sequence-numbers"]["verdict"] == "common"
    else:
        assert r["notify"] == "NO_PROPOSAL_CHOSEN" and r["refused-by"] == "peer"


@BOTH
def test_selectors(net, a, charon_b, initiator):
    charon_b.start(charon_b.default_config(remote_ts="10.9.0.0/24"))
    a.start(a.default_config(start=False))
    r = refused(a, charon_b, initiator, "C-TS")
    if initiator == "port500":
        assert r["child"] == "net" and r["notify"] == "TS_UNACCEPTABLE"
        assert r["selectors"]["ours"] == {"local-ts": ["10.1.0.0/24"],
                                          "remote-ts": ["10.2.0.0/24"]}
    else:
        assert r["selectors"]["theirs"] == {"local-ts": ["10.9.0.0/24"],
                                            "remote-ts": ["10.2.0.0/24"]}
        lost = r["candidates"]["net"]
        assert lost["reason"] == "selectors" and lost["local-ts"] == ["10.1.0.0/24"]


@BOTH
def test_expired_certificate(net, a, charon_b, pki, initiator):  # pylint: disable=redefined-outer-name
    pki.end("gw-a")
    pki.end("gw-b", args=["--not-before", "01.01.20 00:00:00", "--not-after", "02.01.20 00:00:00",
                          "--dateform", "%d.%m.%y %H:%M:%S"])
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    charon_b.start(sides(charon_b.default_config(), "pubkey", "pubkey", us="gw-b"))
    a.start(sides(a.default_config(start=False), "pubkey", "pubkey"))
    r = refused(a, charon_b, initiator, "N-CERT")
    assert r["refused-by"] == "us" and "expired on 2020-01-02" in r["why"]
    assert r["remote-id"] == {"type": "FQDN", "id": "gw-b.example"}
    cert = r["certificates"]["1"]
    assert cert["subject"] == "C=CH, O=Test, CN=gw-b"
    assert cert["issuer"] == "C=CH, O=Test, CN=Root"
    assert cert["not-before"].startswith("2020-01-01")
    assert cert["not-after"].startswith("2020-01-02")
