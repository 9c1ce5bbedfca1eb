"""Two port500 gateways and one tunnel: what crosses it, what the carrier sees, what is left."""
import os
import re
import signal
import time

from echo import Echoes, ping
from gateways import CLEAR, ESP, IKE, Capture, Port500, binary, tcp
from topology import A, B, wait_for

PATTERN = "77686f6d6f7665646d79706f72743530"


class TestTunnel:
    def test_ping_loses_nothing_and_the_carrier_reads_nothing(self, pair, tmp_path):
        net = pair[0].net
        capture = Capture(net, tmp_path / "c.pcap")
        assert ping(net, count=200, options=f"-i 0.01 -p {PATTERN}") == (200, 200)
        assert ping(net, "host-b", A.host_addr, 100) == (100, 100)
        capture.stop()
        assert len(capture.lines(ESP)) == 600  # each way
        assert capture.lines(CLEAR) == []
        assert not capture.holds(bytes.fromhex(PATTERN))
        assert net.clear_forwarded() == 0

    def test_every_size_up_to_the_inner_mtu_and_one_more(self, pair):
        net = pair[0].net
        # AES-GCM tunnel mode without UDP on a 1500-byte path: 1446 bytes of inner packet.
        for payload in (0, 1, 2, 3, 56, 500, 1000, 1446 - 28):
            assert ping(net, count=2, options=f"-i 0.02 -M do -s {payload}") == (2, 2), payload
        out = net.run("host-a", f"ping -c 1 -W 2 -M do -s {1447 - 28} {B.host_addr}", check=False)
        assert "Frag needed" in out or "Message too long" in out or "too long" in out, out
        assert "1446" in out, out

    def test_tcp_in_both_directions(self, pair, tmp_path):
        net = pair[0].net
        for options in ("", "-R"):
            assert tcp(net, tmp_path / "iperf3.log", options) > 1_000_000, options
        assert net.clear_forwarded() == 0

    def test_gateways_own_addresses_answer_through_the_tunnel(self, pair):
        net = pair[0].net
        assert ping(net, to=A.lan_addr, count=5) == (5, 5)
        assert ping(net, to=B.lan_addr, count=5) == (5, 5)

    def test_traceroute_shows_the_gateways(self, pair):
        net = pair[0].net
        out = net.run("host-a", f"ping -c 1 -W 2 -t 1 {B.host_addr}", check=False)
        assert f"From {A.lan_addr}" in out and "Time to live exceeded" in out, out

    def test_linux_tools_work_on_the_ports(self, pair):
        a = pair[0]
        assert ping(a.net, a.ns, A.carrier_addr, 5) == (5, 5)
        assert A.carrier_addr in a.net.run(a.ns, "ip neigh show dev wan")
        assert f"inet {A.wan_addr}/24" in a.net.run(a.ns, "ip addr show dev wan")

    def test_the_api_counts_what_crossed(self, pair):
        a, b = pair
        before = child(a)
        assert ping(a.net, count=50) == (50, 50)
        after = child(a)
        for way in ("in", "out"):
            assert int(after[f"packets-{way}"]) - int(before[f"packets-{way}"]) == 50
            assert int(after[f"bytes-{way}"]) - int(before[f"bytes-{way}"]) == 50 * 84
        assert after["spi-in"] == child(b)["spi-out"]
        assert after["spi-out"] == child(b)["spi-in"]

    def test_debians_swanctl_prints_our_sas(self, pair):
        out = pair[0].swanctl("--list-sas")
        assert re.search(r"lab: #\d+, ESTABLISHED, IKEv2, [0-9a-f]{16}_i\*? [0-9a-f]{16}_r", out)
        assert f"local  'gw-a.example' @ {A.wan_addr}[4500]" in out
        assert f"remote 'gw-b.example' @ {B.wan_addr}[4500]" in out
        assert re.search(r"net: #\d+, reqid \d+, INSTALLED, TUNNEL, ESP:AES_GCM_16-128", out)
        assert f"local  {A.lan}" in out and f"remote {B.lan}" in out
        assert "lab: IKEv2" in pair[0].swanctl("--list-conns")
        assert "port500" in pair[0].swanctl("--version --daemon")
        assert "IKE_SAs" in pair[0].swanctl("--stats")

    def test_every_command_of_the_cli_answers(self, pair):
        a = pair[0]
        for command in ("status", "show ike", "show child", "show routes", "show ports",
                        "show workers", "show drops", "show policies", "version"):
            assert a.cli(command).strip(), command
            assert isinstance(a.json(command), dict), command
        assert "wan" in a.cli("show ports") and "0.0.0.0/0" in a.cli("show routes")

    def test_ike_scan_gets_an_answer(self, pair):
        # An independent IKEv2 speaker; its proposal is not ours, and we say so.
        net = pair[0].net
        out = net.run("carrier", f"ike-scan --ikev2 --sport=0 {A.wan_addr}", check=False)
        assert A.wan_addr in out and ("Notify" in out or "Handshake" in out), out

    def test_down_and_up_by_hand(self, pair):
        a, b = pair
        a.cli("down lab")
        wait_for("both sides to forget", lambda: "INSTALLED" not in
                 a.swanctl("--list-sas") + b.swanctl("--list-sas"))
        assert ping(a.net, count=3)[1] == 0
        assert a.net.clear_forwarded() == 0
        assert a.drops()["no-sa"] >= 3
        print(a.cli("up net"))
        assert ping(a.net, count=20) == (20, 20)


def child(gw):
    sas = gw.json("show child")
    found = find(sas, "spi-in")
    assert found, sas
    return found


def find(tree, key):
    """The first object that has this key, anywhere."""
    if isinstance(tree, dict):
        if key in tree:
            return tree
        tree = list(tree.values())
    for value in tree if isinstance(tree, list) else []:
        found = find(value, key)
        if found:
            return found
    return None


def test_forced_udp_encapsulation(net, a, b, tmp_path):
    """encap = yes: IKE floats to 4500 and ESP travels in UDP (RFC 3948)."""
    capture = Capture(net, tmp_path / "c.pcap")
    b.start(b.default_config(conn="encap = yes"))
    a.start(a.default_config(conn="encap = yes"))
    a.wait_child()
    assert ping(net) == (20, 20)
    capture.stop()
    assert capture.lines("esp") == []
    assert len(capture.lines(ESP)) >= 40
    assert len(capture.lines("udp port 4500 and udp[8:4] == 0")) >= 2  # IKE_AUTH
    assert "TUNNEL-in-UDP" in a.swanctl("--list-sas")
    assert capture.lines(CLEAR) == []


def test_lossy_carrier(net, a, b):
    """A third of all IKE packets is lost: retransmission brings the tunnel up all the same.

    Every third one and not one by chance: the waits grow, and after four losses in a row the next
    try is a minute away."""
    net.nft("carrier", "table ip lossy {\n chain c {\n type filter hook forward priority 1;\n"
            " udp dport { 500, 4500 } numgen inc mod 3 == 0 drop\n }\n}\n")
    b.start()
    a.start()
    a.wait_child(90)
    b.wait_child(30)
    net.run("carrier", "nft delete table ip lossy")
    assert ping(net) == (20, 20)


def test_term_deletes_at_the_peer_and_leaves_nothing(net, a, b):
    b.start()
    a.start()
    a.wait_child()
    pid = a.process.pid
    assert a.stop() == 0
    wait_for("the peer to take the DELETE", lambda: "INSTALLED" not in b.swanctl("--list-sas"), 5)
    assert not os.path.exists(a.socket)
    assert "wan:" not in net.run(a.ns, "ip link")
    assert b.stop() == 0
    assert not os.path.exists(f"/var/run/dpdk/port500-{pid}")
    assert not os.path.exists(f"/proc/{pid}")


def test_a_restarted_gateway_comes_back(net, a, b):
    """One side is killed without a word and starts again: the other takes the new SAs."""
    b.start()
    a.start()
    a.wait_child()
    a.process.kill()
    a.process.wait()
    os.unlink(a.socket)
    a.start()
    a.wait_child()
    assert ping(net) == (20, 20)
    wait_for("one IKE SA only", lambda: b.swanctl("--list-sas").count("ESTABLISHED") == 1, 20)


def test_dead_peer_is_noticed_and_tried_again(net, a, b):
    """Liveness: the peer vanishes; the SA goes, and the tunnel is back when the peer is."""
    b.start(b.default_config(start=False))
    a.start(a.default_config(conn="dpd_delay = 1s", child="dpd_action = start"))
    a.wait_child()
    b.process.kill()
    b.process.wait()
    os.unlink(b.socket)
    a.wait_log(r"(?i)liveness|dead peer|not answer|no answer", 60)
    b.start(b.default_config(start=False))
    b.wait_child(90)
    assert ping(net) == (20, 20)


def test_reload_changes_what_changed_and_nothing_else(net, a, b, tmp_path):
    b.start()
    a.start()
    a.wait_child()
    before = child(a)["spi-in"]

    bad = a.default_config().replace("local_ts", "local_tss")
    a.write_config(bad)
    status, _, err = a.cli("reload", check=False)
    line = bad.splitlines().index(next(x for x in bad.splitlines() if "local_tss" in x)) + 1
    assert status == 1
    assert f"{a.config}:{line}:" in err and "local_ts'" in err, err
    assert child(a)["spi-in"] == before

    net.run("carrier", f"ip route add {A.lan} via {A.wan_addr}")
    assert ping(net, to=A.carrier_addr, count=2)[1] == 0
    a.write_config(a.default_config() + f"""
connections {{
    around {{
        children {{
            bypass {{
                mode = pass
                local_ts = {A.lan}
                remote_ts = {A.carrier_addr}/32
            }}
        }}
    }}
}}
""")
    flow = Echoes(net, tmp_path / "ping", 150, 0.02)
    os.kill(a.process.pid, signal.SIGHUP)
    a.wait_log(r"(?i)reload")
    flow.check_none_lost()
    assert child(a)["spi-in"] == before
    assert ping(net, to=A.carrier_addr) == (20, 20)


def test_status_says_down_while_the_peer_is_silent(net, a):
    a.start()
    time.sleep(2)
    out = a.cli("status")
    assert "lab" in out and "ESTABLISHED" not in out, out
    assert re.search(r"(?i)connecting|down", out), out


def test_check_changes_nothing(net, a, tmp_path):
    a.write_config(a.default_config())
    status, out, err = net.status(a.ns, [binary("port500d"), "--check", a.config])
    assert status == 0, out + err
    assert "lab" in out and "wan" in out
    assert "wan:" not in net.run(a.ns, "ip link")
    assert not os.path.exists(a.socket)
