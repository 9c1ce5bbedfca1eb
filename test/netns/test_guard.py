"""The guard of UDP/500: known peers go on working while the port is flooded.

The floods here are bounded and fit a small machine; how far it goes is measured by
devtools/bench guard.
"""
import os

import pytest

from echo import ping
from gateways import BUILD
from test_rekey import Stream
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
    assert "guard on; 1 address of peers, 1 IKE SA" in text, text
    assert "rubbish" not in text and "9 of" in text, text


SENDER = """
import socket, struct, sys, time
def payload(next_, size): return struct.pack("!BBH", next_, 0, 4 + size) + bytes(size)
def ike(version, exchange, flags, spi_r, body, first):
    return struct.pack("!QQBBBBII", 0x1122334455667788, spi_r, first, version, exchange, flags,
                       0, 28 + len(body)) + body
OPENER = ike(0x20, 34, 8, 0, payload(34, 44) + payload(40, 64) + payload(0, 32), 33)
KINDS = {
    "openers": OPENER,
    "answers": ike(0x20, 34, 0x20, 77, payload(0, 8), 41),
    "main-mode": ike(0x10, 2, 0, 0, payload(0, 44), 1),
    "unknown": ike(0x20, 37, 8, 77, payload(0, 8), 46),
}
source, to, kind, count, ttl = sys.argv[1:]
data = KINDS[kind]
udp = struct.pack("!HHHH", 500, 500, 8 + len(data), 0) + data
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, int(ttl), 17, 0,
                   socket.inet_aton(source), socket.inet_aton(to))
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for i in range(int(count)):
    s.sendto(head + udp, (to, 0))
    time.sleep(0.0002)
"""


def send(net, source, kind, count, ttl=55):
    net.run("carrier", ["/usr/bin/python3", "-c", SENDER, source, B.wan_addr, kind, str(count),
                        str(ttl)])


def test_every_class(net, a, b):
    """Real packets of each kind: its class, its numbers and the reason."""
    b.start(b.default_config(start=False))
    a.start()
    a.wait_child()
    rows = (  # source, kind, how many, the class, what the reason has
        ("203.0.113.1", "openers", 1500, "flood", "1500 openers, up to "),
        ("203.0.113.2", "answers", 20, "backscatter", "20 answers to what we did not ask"),
        ("203.0.113.3", "main-mode", 3, "scanner", "3 of 3 messages are IKEv1"),
        ("203.0.113.4", "openers", 2, "scanner", "2 messages and no IKE SA"),
        ("203.0.113.5", "unknown", 2, "stranger", "in no remote_addrs"),
    )

    def source(addr):
        return b.json("show guard")["sources"].get(addr, {})

    for addr, kind, count, _, _ in rows:
        send(net, addr, kind, count)
    for addr, _, count, name, why in rows:
        wait_for(f"{count} of {addr}", lambda: int(source(addr).get("messages", 0)) == count)
        assert source(addr)["class"] == name and why in source(addr)["why"], source(addr)
        assert source(addr)["ttl"] == "55" and "ttl-usual" not in source(addr)
    peer = source(A.wan_addr)
    assert peer["class"] == "peer" and peer["last-version"] == "2", peer
    assert peer["ttl-usual"] == peer["ttl"], peer

    # Openers with the peer's address from elsewhere, more than the hops of its own probes are.
    send(net, A.wan_addr, "openers", 81, 30)
    wait_for("forged", lambda: source(A.wan_addr)["class"] == "forged-peer")
    peer = source(A.wan_addr)
    assert peer["why"] == f"81 messages with a TTL of 30, its own come with {peer['ttl-usual']}"
    assert peer["ttl-odd"] == "30" and peer["ttl-odd-messages"] == "81"
    text = b.cli("show guard")
    assert "the last one IKEv1 Main Mode" in text and "the last one IKE_SA_INIT" in text, text

    # What the guard held back is among the headers, with the hop where it ended.
    send(net, A.wan_addr, "openers", 3000, 30)
    listed = {name: p for event in b.json("show ike-headers")["list-ike-header"]
              for name, p in event.items()}
    of_peer = [(h["direction"], h["hop"], h["fate"])
               for h in listed[A.wan_addr]["headers"].values()]
    assert ("in", "guard", "guard-cookie") in of_peer, of_peer
    assert 2 <= sum(hop == "guard" for _, hop, _ in of_peer) <= 16, of_peer
    assert ("in", "core", "taken") in of_peer, of_peer  # not pushed out
    of_strangers = [h["fate"] for h in listed["strangers"]["headers"].values()]
    assert "guard-cookie" in of_strangers, of_strangers


def test_off(net, a, b):
    b.start(b.default_config(start=False, gateway="guard { enable = no }"))
    a.start()
    a.wait_child()
    rubbish(net)
    assert b.json("show guard")["enabled"] == "no"
    assert sum(fates(b).values()) == 0
