"""port500 doctor --probe: what the network of the lab does, seen from gateway A."""
import json
import re

import pytest

from echo import Echoes
from gateways import Capture, Port500, both_families, over6
from test_port500_blocked import block, unblock
from topology import A, B


def probe(gw, conn="lab"):
    """What the API says of a probe."""
    done = json.loads(gw.cli(f"doctor --probe {conn} --json", check=False)[1])
    facts = next(iter(done["doctor"]))["lab"]["facts"]
    return facts.get("probe")


@pytest.fixture(params=["port500", "strongswan"])
def peer(request, b, charon_b):
    """Waits for A."""
    if request.param == "port500":
        b.start(b.default_config(start=False))
        return b
    return charon_b.start(charon_b.default_config())


def answers(facts, *names):
    return {n: facts.get(n, {}).get("answer") for n in names}


IKE = ("500", "500-large", "500-fragment", "4500", "4500-large", "4500-fragment",
       "500-other-source")


def test_all_is_well(net, a, peer, tmp_path):
    a.start(a.default_config(start=False))
    capture = Capture(net, tmp_path / "c.pcap")
    facts = probe(a)
    capture.stop()
    assert answers(facts, "echo", "echo-large", *IKE) == dict.fromkeys(
        ("echo", "echo-large", *IKE), "answered"), facts
    assert facts["echo-fits"] == "1500" and facts["echo"]["answered"] == "5"
    # The carrier is one hop, the peer the second.
    assert facts["echo"]["ttl"] == "63"
    for hops in ("hops-500", "hops-4500"):
        assert facts[hops] == {"last": "2", "last-host": B.wan_addr, "arrived": "yes"}, facts
    assert "probed: answers to 5 of 5 echoes, 4 of 4 IKE_SA_INITs to 500" in a.text()
    # Nothing of it has begun an IKE SA, nor counts as a refusal.
    assert "ESTABLISHED" not in peer.swanctl("--list-sas")
    assert "CONNECTING" not in peer.swanctl("--list-sas")
    if isinstance(peer, Port500):
        assert peer.json("status")["status"]["ike"]["half-open"] == "0"
        assert "N-PROPOSAL" not in peer.text() and "accepts" not in peer.text()
    assert len(capture.lines(f"src host {A.wan_addr} and not arp")) <= 120  # with fragments
    assert len(capture.lines(f"src host {A.wan_addr} and icmp")) == 11


def test_500_filtered(net, a, peer):
    block(net)
    a.start(a.default_config(start=False))
    facts = probe(a)
    assert answers(facts, "500", "500-large", "500-other-source", "4500", "echo") == {
        "500": "silent", "500-large": "silent", "500-other-source": "silent",
        "4500": "answered", "echo": "answered"}, facts
    assert facts["hops-500"]["arrived"] == "no" and facts["hops-4500"]["arrived"] == "yes"
    assert facts["hops-500"]["last"] == "1" and facts["hops-500"]["last-host"] == A.carrier_addr
    unblock(net)


def test_the_verdict(net, a, b):
    """The ladder makes of it what one side alone cannot tell."""
    block(net)
    b.start(b.default_config(start=False))
    a.start()
    a.wait_log("IKE_SA_INIT .message 0. to .* repeat 2")
    before = json.loads(a.cli("doctor lab --json", check=False)[1])["doctor"][0]["lab"]
    after = json.loads(a.cli("doctor --probe lab --json", check=False)[1])["doctor"][0]["lab"]
    assert before["code"] == "I-SILENT" and before["owner"] == "unknown", before["verdict"]
    assert after["code"] == "F-500OUT" and after["owner"] == "carrier", after["verdict"]
    assert after["keep-config"] == "yes"


def test_filtered_by_source_port(net, a, b):
    block(net, "udp sport 500")
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False))
    facts = probe(a)
    assert answers(facts, "500", "4500") == {"500": "silent", "4500": "answered"}, facts
    unblock(net)
    block(net, "ip saddr " + A.wan_addr + " udp sport 500")
    facts = probe(a)
    assert answers(facts, "500", "500-other-source") == {
        "500": "silent", "500-other-source": "answered"}, facts


def test_refused_and_small(net, a, b):
    """A router says no to 4500, and carries 1400 bytes."""
    net.nft("carrier", "table ip filtered {\n chain f {\n  type filter hook forward priority 1; "
                       "policy accept;\n  udp dport 4500 reject with icmp type admin-prohibited\n"
                       " }\n}\n")
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False))
    net.run("carrier", "ip link set to-b mtu 1400")
    facts = probe(a)
    assert facts["4500"]["answer"] == "refused" and facts["4500"]["icmp"] == "prohibited"
    assert facts["4500"]["icmp-from"] == A.carrier_addr
    assert facts["500"]["answer"] == "answered" and facts["500-large"]["answer"] == "answered"
    assert facts["echo-large"]["icmp"] == "too-big" and facts["echo-fits"] == "1400", facts


def test_off_and_nothing_without_leave(net, a, tmp_path):
    a.start(a.default_config(start=False))
    capture = Capture(net, tmp_path / "c.pcap")
    assert "probe" not in json.loads(a.cli("doctor lab --json", check=False)[1])["doctor"][0]["lab"][
        "facts"]
    capture.stop()
    assert capture.lines(f"src host {A.wan_addr} and (udp or icmp)") == []
    facts = probe(a)
    assert set(answers(facts, "echo", *IKE).values()) <= {"silent", "refused"}, facts
    # Twice, and then the bucket is empty.
    assert probe(a)
    out = a.cli("doctor --probe lab", check=False)[2]
    assert re.search(r"probed enough for now: again in \d+ s", out), out
    assert "no connection 'nobody'" in a.cli("doctor --probe nobody", check=False)[2]


def test_traffic_and_ike_go_on_meanwhile(net, a, b, tmp_path):
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    flow = Echoes(net, tmp_path / "ping", 120, 0.05)
    facts = probe(a)
    assert facts["500"]["answer"] == "answered"
    flow.check_none_lost()
    assert "ESTABLISHED" in a.swanctl("--list-sas")


@pytest.fixture
def six(net, a, b):
    """Both gateways with IPv6 between them; B waits."""
    net.add_ipv6()
    for gw in (b, a):
        gw.start(both_families(over6(gw.default_config(start=False), gw.site), gw.site))
        gw.use_ipv6()
    return a


def test_over_ipv6(net, six, tmp_path):
    capture = Capture(net, tmp_path / "c.pcap")
    facts = probe(six)
    capture.stop()
    assert answers(facts, "echo", "echo-large", *IKE) == dict.fromkeys(
        ("echo", "echo-large", *IKE), "answered"), facts
    assert facts["echo-fits"] == "1500" and facts["echo"]["answered"] == "5"
    assert facts["echo"]["ttl"] == "63"  # the hop limit
    for hops in ("hops-500", "hops-4500"):
        assert facts[hops] == {"last": "2", "last-host": B.wan6, "arrived": "yes"}, facts
    # From the address of the connection, with the hop limits that were meant.
    assert len(capture.lines(f"src host {A.wan6} and icmp6 and ip6[40] == 128")) == 11
    assert len(capture.lines(f"src host {A.wan6} and udp dst port 500 and ip6[7] == 1")) >= 1
    assert capture.lines("ip and (udp or icmp)") == []


def test_over_ipv6_500_filtered_and_small(net, six):
    """500 is dropped, a router says no to 4500, and carries 1400 bytes."""
    net.nft("carrier", "table ip6 filtered {\n chain f {\n  type filter hook forward priority 1; "
                       "policy accept;\n  udp dport 500 drop\n"
                       "  udp dport 4500 reject with icmpv6 type admin-prohibited\n }\n}\n")
    net.run("carrier", "ip link set to-b mtu 1400")
    facts = probe(six)
    assert answers(facts, "500", "500-large", "500-other-source", "echo") == {
        "500": "silent", "500-large": "silent", "500-other-source": "silent",
        "echo": "answered"}, facts
    assert facts["4500"]["answer"] == "refused" and facts["4500"]["icmp"] == "prohibited", facts
    assert facts["4500"]["icmp-from"] == A.carrier6
    assert facts["hops-500"]["arrived"] == "no" and facts["hops-500"]["last"] == "1", facts
    assert facts["hops-500"]["last-host"] == A.carrier6
    assert facts["echo-large"]["icmp"] == "too-big" and facts["echo-fits"] == "1400", facts
