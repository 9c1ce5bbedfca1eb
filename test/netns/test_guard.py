"""The guard of UDP/500: known peers go on working while the port is flooded.

The floods here are bounded and fit a small machine; how far it goes is measured by
devtools/bench guard.
"""
import os

import pytest

from gateways import BUILD
from test_rekey import Stream
from test_tunnel import ping
from topology import A, B, wait_for

RATE = 20000  # messages a second
HANDSHAKES = 10


class Flood:
    """Openers with a forged address (or random ones) from the carrier to gateway B."""

    def __init__(self, net, directory, source, seconds, rate=RATE):
        self.log = str(directory / f"flood-{source}")
        program = os.path.join(BUILD, "test", "netns", "flood")
        self.process = net.start(
            "carrier", f"{program} {B.wan_addr} {source} {rate} {seconds}", self.log)

    def end(self):
        self.process.wait(90)
        with open(self.log, encoding="utf-8") as f:
            return int(f.read())


def rss_kb(gw):
    with open(f"/proc/{gw.process.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def ring_losses(net, gw):
    """Frames that came over the wire to the gateway's WAN port and never to the dataplane."""
    wire = int(net.run(gw.ns, f"cat /sys/class/net/wan-{gw.site.letter}/statistics/rx_packets"))
    return wire - int(gw.json("show ports")["wan"]["rx-packets"])


def rubbish(net):
    net.run("carrier", ["bash", "-c", f"echo rubbish >/dev/udp/{B.wan_addr}/500"])


def fates(gw):
    return {name: int(v["messages"])
            for name, v in gw.json("show guard")["messages"].items()}


@pytest.mark.parametrize("source", [A.wan_addr, "random"])
def test_flood(net, a, b, tmp_path, source):
    """Rekeyings, new IKE SAs and the packets of the tunnel: nothing is lost. The source is named."""
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    before = rss_kb(b)
    flood = Flood(net, tmp_path, source, 12)
    wait_for("the guard to ask for cookies", lambda: fates(b)["cookie"] > 0, 10)

    def shake_hands(flowing):
        done = 0
        while done < HANDSHAKES and flowing():
            a.cli("rekey lab", timeout=20)
            wait_for("a new IKE SA", lambda: a.swanctl("--list-sas").count("ESTABLISHED") == 1, 10)
            done += 1
        assert done == HANDSHAKES
        return done

    Stream(net, tmp_path).during(shake_hands, 5)
    for _ in range(3):  # openers, which the flood looks like
        a.cli("down lab")
        a.cli("up net", timeout=30)
    sent = flood.end()
    assert sent > RATE * 5
    counts = fates(b)
    assert counts["cookie"] > sent / 2, counts
    top = b.json("show guard")["sources"]
    if source == "random":
        assert len(top) == 50 and A.wan_addr not in list(top)[:10]
    else:
        assert counts["proven"] >= 3, counts  # by the cookies that A showed
        assert list(top)[0] == source and top[source]["class"] == "forged-peer", top[source]
        assert int(top[source]["messages"]) > sent / 2
    assert "more IKE comes to UDP/500" in b.text()
    assert rss_kb(b) < before + 20000
    assert ping(net, count=50) == (50, 50)
    assert net.clear_forwarded() == 0


def test_more_than_its_queue_holds(net, a, b, tmp_path):
    """The kernel drops what of a flood is too much, and none of the tunnel's packets with it."""
    small = b.default_config(start=False).replace("iface=wan-b", "iface=wan-b,framecnt=64,qpairs=2")
    b.start(small)
    a.start()
    a.wait_child()
    assert b.json("show ports")["wan"]["ike-queue"] == "filter"
    assert b.json("show ports")["wan"]["rx-queues"] == "3"
    before = ring_losses(net, b)
    flood = Flood(net, tmp_path, "random", 8, rate=0)
    wait_for("the queue to overflow", lambda: ring_losses(net, b) > before + 100, 10)
    assert ping(net, count=200, options="-i 0.01") == (200, 200)
    a.cli("rekey lab", timeout=20)
    flood.end()
    assert sum(fates(b).values()) > 1000
    assert {name for name, n in b.drops().items() if n} <= {"guard-limited", "guard-unrepeated"}


def test_who_sends_is_shown(net, a, b):
    """ike-scan, IKEv1 and rubbish, each by its name; and what passes."""
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    net.run("carrier", f"ike-scan --retry=1 {B.wan_addr}", check=False)
    wait_for("a scanner", lambda: b.json("show guard")["sources"].get(
        B.carrier_addr, {}).get("class") == "scanner")
    for _ in range(9):
        rubbish(net)
    wait_for("rubbish", lambda: b.json("show guard")["sources"][
        B.carrier_addr]["class"] == "not-ike")
    counts = fates(b)
    assert counts["malformed"] == 9 and counts["known"] >= 1 and counts["limited"] == 0, counts
    assert b.drops()["guard-malformed"] == 9
    text = b.cli("show guard")
    assert "guard on; 1 addresses of peers, 1 IKE SAs" in text, text
    assert "rubbish" not in text and "9 of" in text, text


def test_off(net, a, b):
    b.start(b.default_config(start=False, gateway="guard { enable = no }"))
    a.start()
    a.wait_child()
    rubbish(net)
    assert b.json("show guard")["enabled"] == "no"
    assert sum(fates(b).values()) == 0
