"""port500 doctor: the commonest faults, from the side that has them."""
import time

import pytest
from topology import wait_for

FILTER = "chain ip t f { type filter hook forward priority -10 ; }"


def carrier_rule(net, rule):
    net.run("carrier", "nft add table ip t")
    net.run("carrier", f"nft add {FILTER}")
    net.run("carrier", f"nft add rule ip t f {rule}")


def local_rule(net, hook, rule):
    net.run("gw-a", "nft add table ip t")
    net.run("gw-a", f"nft add chain ip t f {{ type filter hook {hook} priority -10 ; }}")
    net.run("gw-a", f"nft add rule ip t f {rule}")


def doctor(gw):
    """The answer for the lab's connection, and the exit status."""
    import json
    status, out, err = gw.cli(["--json", "doctor", "lab"], check=False)
    assert out, err
    return json.loads(out)["doctor"][0]["lab"], status


def becomes(gw, code, seconds=40):
    """Waits until that is the verdict; returns the answer, and the exit status."""
    last = []

    def is_it():
        last[:] = [doctor(gw)]
        return last[0][0]["code"] == code
    try:
        wait_for(f"the doctor to say {code}", is_it, seconds)
    except Exception as e:
        raise AssertionError(f"{e}; it says {last}") from None
    return last[0]


def test_healthy(net, a, b):
    b.start()
    a.start()
    a.wait_child()
    net.run("host-a", "ping -c 5 -i 0.2 10.2.0.2")
    answer, status = becomes(a, "ok")
    assert (answer["status"], status) == ("healthy", 0)
    assert answer["rungs"]["esp"]["state"] == "pass"
    text = a.cli("doctor")
    assert text.startswith("lab is healthy\n")


def test_nobody_asks(net, a):
    a.start(a.default_config(start=False))
    answer, status = becomes(a, "I-NOTTRIED")
    assert (answer["status"], status) == ("unknown", 3)


def test_no_such_connection(net, a):
    a.start()
    status, _, err = a.cli("doctor nobody", check=False)
    assert status == 3 and "no connection is named 'nobody'" in err


def test_peer_off(net, a):
    a.start()
    answer, status = becomes(a, "U-UNREACH")
    assert (answer["owner"], answer["keep-config"], status) == ("peer", "yes", 2)


def test_not_listening(net, a):
    """Linux answers at the peer's address, and has no IKE."""
    net.run("gw-b", "ip addr add 198.51.100.1/24 dev wan-b")
    net.run("gw-b", "ip link set wan-b up")
    net.run("gw-b", "ip route replace default via 198.51.100.254")
    a.start()
    answer, status = becomes(a, "F-NOTLISTENING")
    assert (answer["owner"], answer["keep-config"], status) == ("peer", "yes", 2)


def test_wrong_psk(net, a, b):
    b.start(b.default_config(psk="another", start=False))
    a.start()
    answer, status = becomes(a, "N-PEERSAIDNO")
    assert (answer["owner"], answer["keep-config"], status) == ("both", "no", 2)
    answer, status = becomes(b, "N-PSK")
    assert (answer["owner"], answer["keep-config"], status) == ("both", "no", 2)


def test_proposals_differ(net, a, b):
    b.start(b.default_config(conn="proposals = aes128-sha256-modp2048", start=False))
    a.start(a.default_config(conn="proposals = aes256gcm16-prfsha384-ecp384"))
    answer, status = becomes(a, "N-PROPOSAL")
    assert (answer["owner"], status) == ("both", 2)
    assert "AES_GCM_16_256" in answer["facts"]["offer-ours"]
    answer, _ = becomes(b, "N-PROPOSAL")
    assert "AES_GCM_16_256" in answer["facts"]["offer-theirs"]


def test_the_peer_speaks_ikev1(net, a, charon_b):
    """strongSwan answers IKEv2 by NO_PROPOSAL_CHOSEN; that it calls by IKEv1 tells why."""
    charon_b.start(charon_b.default_config().replace("version = 2", "version = 1"))
    a.start(a.default_config(start=False))
    a.cli("up lab --timeout 2", check=False)
    answer, status = becomes(a, "N-PROPOSAL")
    assert "N-VERSION" in {c["code"] for c in answer["candidates"].values()}
    charon_b.swanctl("--initiate --child net --timeout 2", check=False)
    answer, status = becomes(a, "N-VERSION")
    assert (answer["owner"], answer["keep-config"], status) == ("peer", "no", 2)


def test_no_route(net, a):
    a.start(route=False)
    answer, status = becomes(a, "R-NOROUTE")
    assert (answer["owner"], status) == ("us", 2)


def test_next_hop_is_silent(net, a):
    a.start(route=False)
    net.run("gw-a", "ip route replace default via 192.0.2.77 dev wan")
    answer, status = becomes(a, "R-NOARP")
    assert (answer["owner"], status) == ("carrier", 2)


@pytest.mark.parametrize("rule, code, owner", [
    ("udp dport 500 drop", "I-SILENT", "unknown"),
    ("udp dport 500 reject with icmp type admin-prohibited", "F-ADMIN", "carrier"),
])
def test_500_is_filtered(net, a, b, rule, code, owner):
    carrier_rule(net, rule)
    b.start(b.default_config(start=False))
    a.start()
    answer, status = becomes(a, code)
    assert (answer["owner"], status) == (owner, 2)
    if owner == "unknown":
        codes = {c["code"] for c in answer["candidates"].values()}
        assert {"F-PEERDOWN", "F-500"} <= codes


def test_our_answers_are_lost(net, a, b):
    carrier_rule(net, "ip saddr 192.0.2.1 udp dport 500 drop")
    a.start(a.default_config(start=False))
    b.start()
    answer, status = becomes(a, "F-500OUT")
    assert (answer["owner"], answer["keep-config"], status) == ("carrier", "yes", 2)


def test_4500_is_filtered(net, a, b):
    carrier_rule(net, "udp dport 4500 drop")
    b.start(b.default_config(start=False))
    a.start()
    answer, status = becomes(a, "F-4500")
    assert (answer["owner"], answer["keep-config"], status) == ("carrier", "yes", 2)


def test_a_filter_of_our_own(net, a, b):
    b.start(b.default_config(start=False))
    local_rule(net, "output", "udp dport 500 drop")
    a.start()
    answer, status = becomes(a, "I-LOCALFILTER")
    assert (answer["owner"], answer["keep-config"], status) == ("us", "no", 2)


def test_a_filter_of_our_own_inbound(net, a, b):
    b.start(b.default_config(start=False))
    local_rule(net, "input", "udp sport 500 drop")
    a.start()
    answer, status = becomes(a, "I-LOCALFILTER-IN", 60)
    assert (answer["owner"], answer["keep-config"], status) == ("us", "no", 2)


def test_esp_is_filtered(net, a, b):
    """MOBIKE off, so IKE stays on 500 and ESP is protocol 50."""
    both = {"conn": "mobike = no"}
    b.start(b.default_config(start=False, **both))
    a.start(a.default_config(**both))
    a.wait_child()
    carrier_rule(net, "meta l4proto esp drop")
    net.run("host-a", "ping -c 10 -i 0.2 -W 1 10.2.0.2", check=False)
    answer, status = becomes(a, "D-ONEWAY")
    assert status == 2
    assert answer["rungs"]["path"]["state"] == "pass"
