"""What an outer header takes from the inner one and gives to it, and padding and dummy packets, as
scapy and strongSwan see them on the wire."""
import re

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.utils import rdpcap

from gateways import ESP as ESP_FILTER
from gateways import Capture
from test_inner6 import OUTER, inner6, ping6, start  # noqa: F401
from test_tunnel import ping
from topology import A, B, wait_for

TAKES = "copy_dscp = in"
FIXED = """copy_dscp = no
                outer_dscp = ef
                copy_ecn = no
                copy_df = no
                outer_ttl = 33
                outer_flow_label = flow"""


def headers(capture):
    """The captured packets, from their IP header on."""
    return [p.getlayer(layer) for p in rdpcap(capture.path) for layer in (IP, IPv6) if layer in p]


def outer_of(capture, site):
    """The outer headers of ESP from a gateway."""
    return [p for p in headers(capture) if p.src in (site.wan_addr, site.wan6) and
            (p.proto if p.version == 4 else p.nh) == 50]


def echo_requests(capture, kind, to):
    return [p for p in headers(capture) if p.dst == to and kind in p and
            (kind is not ICMP or p[ICMP].type == 8)]


@OUTER
def test_fixed_outside_and_taken_over_inside(inner6, a, b, outer, tmp_path):
    """All four pairings: nothing of the inner header shows, and B's packets take over the DSCP."""
    net = inner6
    start(b, outer, child=TAKES)
    start(a, outer, child=FIXED)
    a.cli("up net")
    wire = Capture(net, tmp_path / "wire.pcap")
    inside = Capture(net, tmp_path / "inside.pcap", "eth0", "host-b")
    assert ping(net, count=5, options="-i 0.02 -Q 0x2a -M do") == (5, 5)
    assert ping6(net, count=5, options="-i 0.02 -Q 0x2a") == (5, 5)
    inside.stop()
    wire.stop()
    sent = outer_of(wire, A)
    assert len(sent) == 10
    if outer == "ipv4":
        assert {(p.tos, p.ttl, int(p.flags)) for p in sent} == {(0xB8, 33, 0)}
        ids = [p.id for p in sent]  # RFC 6864: not the same soon
        assert ids == [(ids[0] + i) % 65536 for i in range(10)]
    else:
        assert {(p.tc, p.hlim) for p in sent} == {(0xB8, 33)}
        # One flow of each family: two labels, neither of them none (RFC 6438).
        labels = [p.fl for p in sent]
        assert 0 not in labels and len(set(labels[:5])) == len(set(labels[5:])) == 1, labels
        assert labels[0] != labels[5]
    # The DSCP of the wire, the ECN of the sender: ECT(0) is not taken by Not-ECT outside.
    assert {p.tos for p in echo_requests(inside, ICMP, B.host_addr)} == {0xBA}
    assert {p.tc for p in echo_requests(inside, ICMPv6EchoRequest, B.host6)} == {0xBA}
    # The answers have the class of the requests; B copies its ECN alone.
    back = outer_of(wire, B)
    assert len(back) == 10 and {p.tos if outer == "ipv4" else p.tc for p in back} <= {0x02, 0}


def test_copied(inner6, a, b, tmp_path):
    """The defaults, and the DF bit set or left as it is."""
    net = inner6
    start(b, "ipv4")
    start(a, "ipv4")
    a.cli("up net")
    wire = Capture(net, tmp_path / "wire.pcap")
    assert ping(net, count=2, options="-i 0.02 -Q 0x2a -M do") == (2, 2)
    assert ping(net, count=2, options="-i 0.02 -Q 0x2b -M dont") == (2, 2)
    assert ping6(net, count=2, options="-i 0.02 -Q 0x2a") == (2, 2)
    wire.stop()
    sent = [(p.tos, p.ttl, str(p.flags)) for p in outer_of(wire, A)]
    assert sent == 2 * [(0x2A, 64, "DF")] + 2 * [(0x2B, 64, "")] + 2 * [(0x2A, 64, "DF")]


@pytest.mark.parametrize("df", ["clear", "set"])
def test_df(net, a, b, df, tmp_path):
    """Whatever the inner one says. A router that has to cut a packet with DF clear does."""
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False, child=f"copy_df = no\n outer_df = {df}"))
    a.cli("up net")
    wire = Capture(net, tmp_path / "wire.pcap")
    for option in ("do", "dont"):
        assert ping(net, count=2, options=f"-i 0.02 -M {option}") == (2, 2)
    wire.stop()
    assert {str(p.flags) for p in outer_of(wire, A)} == {"DF" if df == "set" else ""}
    net.run("carrier", "ip route replace 198.51.100.0/24 dev to-b mtu lock 1000")
    received = ping(net, count=3, options="-i 0.2 -M do -s 1200")[1]
    assert received == (0 if df == "set" else 3)


# ---- padding and dummies ----

def lengths(capture, site):
    """Bytes of the outer packets that carry ESP, without NAT keepalives, of one sender."""
    return [int(m[1]) for line in capture.lines(f"src {site.wan_addr} and ({ESP_FILTER})")
            for m in [re.search(r"length (\d+)$", line)] if m]


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
@pytest.mark.parametrize("padding, mtu, esp", [
    ("700", None, "aes128gcm16"), ("mtu", None, "aes128gcm16"), ("mtu", 1000, "aes128gcm16"),
    ("mtu", None, "aes256-sha256")])
def test_strongswan_reads_what_is_padded(net, a, charon_b, initiator, padding, mtu, esp, tmp_path):
    """Packets of all sizes have one, and strongSwan takes the padding off."""
    charon_b.start(charon_b.default_config(esp=esp, child="tfc_padding = 0"))
    text = a.default_config(start=False,
                            child=f"tfc_padding = {padding}\n esp_proposals = {esp}")
    a.start(text.replace(f"addrs = {A.wan_addr}/24", f"addrs = {A.wan_addr}/24\nmtu = {mtu}")
            if mtu else text)
    if initiator == "port500":
        a.cli("up net")
    else:
        charon_b.swanctl("--initiate --child net")
    capture = Capture(net, tmp_path / "c.pcap")
    sizes = (0, 1, 13, 200, 600)
    for size in sizes:
        assert ping(net, count=3, options=f"-i 0.02 -s {size}") == (3, 3), size
    assert ping(net, "host-b", A.host_addr, 3) == (3, 3)
    capture.stop()
    sent = lengths(capture, A)
    assert len(sent) >= 18 and len(set(sent)) == 1, sent
    # tcpdump says the length of the UDP payload: 700 of inner packet, 2 of trailer, 2 of padding.
    want = {"700": 8 + 8 + 704 + 16}.get(padding, (mtu or 1500) - 28)
    assert want - (4 if "gcm" in esp else 16) < sent[0] <= want, sent
    assert len(set(lengths(capture, B))) > 3  # its own are of all sizes
    shown = a.swanctl("--list-sas")
    assert re.search(r"out\s+\w+,\s+(\d+) bytes", shown), shown
    volume = 3 * sum(s + 28 for s in sizes) + 3 * 84
    assert int(re.search(r"out\s+\w+,\s+(\d+) bytes", shown)[1]) == volume, shown


def test_strongswan_drops_dummies(net, a, charon_b, tmp_path):
    """They look like the packets, which go on among them, and count as none."""
    charon_b.start()
    a.start(a.default_config(start=False, child="tfc_padding = 800\n dummy_packets = 200"))
    a.cli("up net")
    capture = Capture(net, tmp_path / "c.pcap")
    wait_for("dummy packets", lambda: dummies(a) > 100)
    assert ping(net, count=50) == (50, 50)
    assert ping(net, "host-b", A.host_addr, 50) == (50, 50)
    capture.stop()
    sent = lengths(capture, A)
    assert len(sent) > 200 and len(set(sent)) == 1, set(sent)
    shown = a.swanctl("--list-sas")
    assert re.search(r"out\s+\w+,\s+8400 bytes,\s+100 packets", shown), shown


def dummies(gw):
    return sum(int(w["dummy-packets"]) for w in gw.json("show workers").values())


def test_dummies_between_two_port500(net, a, b):
    """Through a rekeying; they are counted, and keep no child up that nobody uses."""
    b.start(b.default_config(start=False, child="inactivity = 4s"))
    a.start(a.default_config(start=False, child="dummy_packets = 100"))
    a.cli("up net")
    wait_for("dummy packets", lambda: b.drops()["esp-dummy"] > 50)
    a.cli("rekey net")
    before = b.drops()["esp-dummy"]
    wait_for("more of them", lambda: b.drops()["esp-dummy"] > before + 50)
    assert ping(net) == (20, 20)
    assert b.drops()["esp-replay"] == b.drops()["esp-auth"] == 0
    wait_for("the idle child to be closed", lambda: "INSTALLED" not in b.swanctl("--list-sas"), 30)
