"""Child SAs that end by volume: replaced in time, and never used beyond their hard end."""
import re

from echo import ping
from gateways import ESP, Capture
from topology import wait_for


def test_replaced_by_packets(net, a, b):
    b.start(b.default_config(start=False))
    a.start(a.default_config(child="rekey_packets = 50\n rand_packets = 0\n life_packets = 500"))
    a.wait_child()
    assert "rekey" in a.swanctl("--list-conns")
    received = ping(net, count=300, options="-i 0.01")[1]
    # A peer may use the new SA a moment before we have it; nothing else is lost.
    assert received + a.drops()["esp-no-sa"] == 300
    assert received >= 290
    assert len(re.findall("has used most of its packets", a.text())) >= 2
    assert a.drops()["sa-life"] == 0


def test_nothing_beyond_the_hard_end(net, a, b, tmp_path):
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False, child="life_bytes = 2000"))
    a.cli("up net")
    capture = Capture(net, tmp_path / "c.pcap")
    # 84 bytes of IP packet each: 23 of them are 1932 bytes
    assert ping(net, count=40)[1] == 23
    capture.stop()
    assert len(capture.lines(ESP)) >= 46  # and the messages of the delete are none
    assert a.drops()["sa-life"] >= 1
    wait_for("the child to be down", lambda: "INSTALLED" not in a.swanctl("--list-sas"))
    assert "has used up its bytes" in a.text()
