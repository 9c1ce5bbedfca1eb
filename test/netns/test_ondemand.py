"""Tunnels that traffic brings up: the packet that asks for one is not lost."""
import re
import time

from echo import ping
from gateways import CLEAR, ESP, Capture
from topology import B, wait_for

CONNECT = """import socket, time
begin = time.monotonic()
socket.create_connection(("{to}", 9000), 5).close()
print(time.monotonic() - begin)
"""


def trap(gateway):
    return gateway.default_config().replace("start_action = start", "start_action = trap")


def test_first_packet_brings_the_tunnel_up_and_arrives(net, a, b, tmp_path):
    b.start(b.default_config(start=False))
    a.start(trap(a))
    capture = Capture(net, tmp_path / "c.pcap")
    assert "net: TUNNEL" in a.swanctl("--list-conns")
    assert "trap" in a.cli("show policies")
    assert "trapped" in a.cli("status")
    assert ping(net, count=1) == (1, 1)
    assert ping(net) == (20, 20)
    capture.stop()
    assert capture.lines(CLEAR) == [] and len(capture.lines(ESP)) == 42
    assert net.clear_forwarded() == 0
    drops = a.drops()
    assert [drops[r] for r in ("no-sa", "no-sa-timeout", "no-sa-full")] == [0, 0, 0]

    # The peer closes it, as some do with an idle child; the next packet brings it back.
    time.sleep(1.5)
    b.cli("down lab")
    wait_for("the child to be down", lambda: "trapped" in a.cli("status"))
    assert ping(net, count=1) == (1, 1)

    # Without the trap nobody is after it.
    a.swanctl("--uninstall --child net")
    a.cli("down lab")
    wait_for("the child to be down", lambda: "down" in a.cli("status"))
    assert ping(net, count=3)[1] == 0
    assert a.drops()["no-sa"] == 3
    a.swanctl("--install --child net")
    assert ping(net, count=1) == (1, 1)


def test_connection_is_set_up_without_a_second_syn(net, a, b, tmp_path):
    """TCP would wait a second before it tries again."""
    b.start(b.default_config(start=False))
    a.start(trap(a))
    net.start("host-b", ["python3", "-m", "http.server", "9000"], tmp_path / "server.log")
    wait_for("the server", lambda: ":9000" in net.run("host-b", "ss -Hltn"))
    seconds = float(net.run("host-a", ["python3", "-c", CONNECT.format(to=B.host_addr)]))
    assert seconds < 0.9
    a.wait_child()


def test_a_child_without_traffic_is_closed_and_traffic_brings_it_back(net, a, b):
    """inactivity: packets keep it up in either direction; without them it goes on both sides."""
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False).replace(
        "start_action = none", "start_action = trap\ninactivity = 4s"))
    assert ping(net, count=20)[1] > 0
    before = a.swanctl("--list-sas")
    net.nft("host-b", "table ip mute {\n chain c {\n type filter hook output priority 0;\n"
            " ip protocol icmp drop\n }\n}\n")
    # One way only, and longer than the time.
    assert ping(net, count=9, options="-i 1") == (9, 0)
    spi = re.search(r"\n\s+in\s+([0-9a-f]{8})", before)[1]
    assert spi in a.swanctl("--list-sas")
    wait_for("the child to go", lambda: "INSTALLED" not in
             a.swanctl("--list-sas") + b.swanctl("--list-sas"), 30)
    assert "ESTABLISHED" in a.swanctl("--list-sas")
    net.run("host-b", "nft delete table ip mute")
    assert ping(net, count=20)[1] > 0
    assert "INSTALLED" in a.swanctl("--list-sas")
