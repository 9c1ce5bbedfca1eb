"""port500 capture: the same packet on both sides of the crypto, drops with their reasons, and how a
capture ends. tshark and scapy read the files."""
import json
import os
import signal
import subprocess
import time

from scapy.utils import RawPcapNgReader

from echo import ping
from gateways import binary
from test_tunnel import child
from topology import A, B, wait_for

FIELDS = ("frame.interface_name", "frame.comment", "frame.packet_id", "ip.src", "ip.dst", "esp.spi",
          "icmp.seq", "frame.len", "frame.cap_len", "frame.drop_count",
          "frame.packet_flags_direction")


def tshark(path, display=""):
    """The packets of a file, each as a dictionary of FIELDS. One value each: the innermost is not
    dissected, since tshark has no keys."""
    args = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=|", "-E",
            "occurrence=f"]
    for field in FIELDS:
        args += ["-e", field]
    if display:
        args += ["-Y", display]
    done = subprocess.run(args, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [dict(zip(FIELDS, line.split("|"))) for line in done.stdout.splitlines()]


class Running:
    """`port500 capture` in the background."""

    def __init__(self, gw, path, options=""):
        self.gw, self.path, self.log = gw, str(path), str(path) + ".log"
        # Without `ip netns exec` in between a signal would not reach it.
        self.process = gw.net.start(gw.ns, [binary("port500"), "--json", "--socket", gw.socket,
                                            "capture", "-w", self.path, *options.split()],
                                    self.log)
        wait_for(f"a capture: {self.said()}",
                 lambda: os.path.exists(self.path) or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self):
        assert self.process.wait(30) == 0, self.said()
        return json.loads(self.said())

    def stop(self, sig=signal.SIGINT):
        os.kill(self.process.pid, sig)
        return self.wait()


def by_id(packets):
    found = {}
    for p in packets:
        found.setdefault(p["frame.packet_id"], []).append(p)
    return found


def busy(gw):
    """What a second capture is told, or None."""
    status, _, err = gw.cli(["capture", "-w", "/dev/null", "--duration", "1"], check=False)
    return err if status else None


def settled(path):
    """True when a file has not grown for a second."""
    size = os.path.getsize(path)
    time.sleep(1)
    return os.path.getsize(path) == size


class TestCapture:
    def test_both_sides_of_the_crypto_of_one_packet(self, pair, tmp_path):
        a = pair[0]
        spi = child(a)
        run = Running(a, tmp_path / "c.pcapng", "--child lab/net")
        assert ping(a.net, count=5) == (5, 5)
        result = run.stop()
        assert result["ended-by"] == "stop" and result["lost"] == "0", result
        packets = tshark(run.path)
        assert len(packets) == int(result["packets"])
        out = [p for p in packets if p["frame.interface_name"] == "plain" and
               p["ip.src"] == A.host_addr]
        assert [int(p["icmp.seq"]) for p in out] == [1, 2, 3, 4, 5]
        for p in out:
            same = by_id(packets)[p["frame.packet_id"]]
            where = [q["frame.interface_name"] for q in same]
            # From where its tunnel is known.
            assert where == ["plain", "esp", "wan"], where
            assert same[0]["frame.comment"] == \
                f"before encryption, child lab.net, SPI {spi['spi-out']}"
            for q in same[1:]:
                assert int(q["esp.spi"], 16) == int(spi["spi-out"], 16)
                assert (q["ip.src"], q["ip.dst"]) == (A.wan_addr, B.wan_addr)
        back = [p for p in packets if p["frame.interface_name"] == "plain" and
                p["ip.src"] == B.host_addr]
        assert [int(p["icmp.seq"]) for p in back] == [1, 2, 3, 4, 5]
        for p in back:
            same = by_id(packets)[p["frame.packet_id"]]
            assert [q["frame.interface_name"] for q in same] == ["wan", "plain", "lan"]
            assert int(same[0]["esp.spi"], 16) == int(spi["spi-in"], 16)
            assert same[1]["frame.comment"] == \
                f"after decryption, child lab.net, SPI {spi['spi-in']}"

    def test_times_directions_and_interfaces_as_scapy_reads_them(self, pair, tmp_path):
        a = pair[0]
        before = time.time()
        run = Running(a, tmp_path / "d.pcapng", "--child net --count 12")
        assert ping(a.net, count=3) == (3, 3)
        assert run.wait()["ended-by"] == "count"
        packets = list(RawPcapNgReader(run.path))
        assert len(packets) == 12
        times = []
        for data, meta in packets:
            assert meta.tsresol == 1_000_000_000
            times.append(((meta.tshigh << 32) + meta.tslow) / meta.tsresol)
            assert len(data) == meta.wirelen
        assert before <= times[0] and times[-1] <= time.time()
        assert times == sorted(times)
        # The bytes themselves: RX and TX are frames, the others begin with the IP header.
        assert {m.linktype for _, m in packets} == {1, 101}
        inbound, outbound = "0x00000001", "0x00000002"
        assert {(p["frame.interface_name"], p["frame.packet_flags_direction"])
                for p in tshark(run.path)} == {
            ("plain", outbound), ("esp", outbound), ("wan", outbound),
            ("wan", inbound), ("plain", inbound), ("lan", outbound)}

    def test_a_filter_by_host_and_what_it_leaves_out(self, pair, tmp_path):
        a = pair[0]
        run = Running(a, tmp_path / "c.pcapng", f"--host {A.lan_addr}")
        assert ping(a.net, count=3) == (3, 3)  # between the hosts
        assert ping(a.net, to=A.lan_addr, count=2) == (2, 2)
        run.stop()
        packets = tshark(run.path, "icmp")
        assert {p["frame.interface_name"] for p in packets} == {"lan", "lan:linux"}
        assert len(packets) == 2 * 2 * 2  # both ways, both sides of Linux

    def test_snap_length_and_sampling(self, pair, tmp_path):
        a = pair[0]
        run = Running(a, tmp_path / "c.pcapng", "--child net --snap-len 34 --sample 5")
        assert ping(a.net, count=25, options="-i 0.02 -s 500") == (25, 25)
        run.stop()
        packets = tshark(run.path)
        assert len(packets) == 3 * 10  # of 25 each way every fifth, at three points
        assert len(by_id(packets)) == 10
        assert {p["frame.cap_len"] for p in packets} == {"34"}
        assert all(int(p["frame.len"]) > 500 for p in packets)

    def test_a_drop_says_why(self, pair, tmp_path):
        a = pair[0]
        run = Running(a, tmp_path / "c.pcapng", "--drops")
        # To where no policy and no route leads: discarded between ports.
        assert ping(a.net, to="203.0.113.77", count=3)[1] == 0
        run.stop()
        drops = [p for p in tshark(run.path) if p["ip.dst"] == "203.0.113.77"]
        assert len(drops) == 3, tshark(run.path)
        for p in drops:
            assert p["frame.interface_name"] == "drop"
            assert p["frame.comment"].startswith("dropped: no-policy ("), p
            assert p["frame.comment"].endswith("came in by lan")

    def test_into_a_pipe_that_ends(self, pair):
        a = pair[0]
        shell = (f"{binary('port500')} --socket {a.socket} capture -w - --host {A.host_addr} | "
                 "tshark -n -l -r - -c 1 -T fields -e ip.src; exit ${PIPESTATUS[0]}")
        run = subprocess.Popen(a.net.argv(a.ns, ["bash", "-c", shell]), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        deadline = time.time() + 30
        while run.poll() is None and time.time() < deadline:
            ping(a.net, count=2)
        out, err = run.communicate(timeout=10)
        assert run.returncode == 0, err
        assert out.strip() == A.host_addr
        assert busy(a) is None

    def test_ends_with_its_client_and_there_is_one_at_a_time(self, pair, tmp_path):
        a = pair[0]
        run = Running(a, tmp_path / "c.pcapng")
        assert "one capture at a time" in busy(a)
        ping(a.net, count=3)
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait(10)
        wait_for("the daemon to end it", lambda: busy(a) is None)
        a.wait_log("captures packets")
        a.wait_log(r"capture of client \d+ ended with it")
        assert ping(a.net, count=10) == (10, 10)

    def test_a_client_that_does_not_read_loses_copies_and_no_packets(self, pair, tmp_path):
        a = pair[0]
        run = Running(a, tmp_path / "c.pcapng", "--child net")
        os.kill(run.process.pid, signal.SIGSTOP)
        # 3 copies of each packet each way: more than 2 MiB of ring and what the socket takes.
        assert ping(a.net, count=1500, options="-i 0.002 -s 1400 -q") == (1500, 1500)
        os.kill(run.process.pid, signal.SIGCONT)
        wait_for("what there is", lambda: settled(run.path), 30)
        assert ping(a.net, count=2) == (2, 2)
        result = run.stop()
        lost = int(result["lost"])
        assert lost > 0 and int(result["packets"]) + lost == 6 * 1502, result
        said = [int(p["frame.drop_count"]) for p in tshark(run.path, "frame.drop_count")]
        assert sum(said) == lost

    def test_what_cannot_be_asked_for(self, pair):
        a = pair[0]
        for options, said in (("--port wam", "no port 'wam'; there are: "),
                              ("--child nett", "did you mean 'net'?"),
                              ("--peer 1.2.3", "peer: '1.2.3' is not an address"),
                              ("--host 1.2.3.4/33", "neither an address nor a prefix"),
                              ("--spi xyz", "is not a hexadecimal number"),
                              ("--snap-len 70000", "not a number from 0 to 65535"),
                              ("--count many", "count: not a number")):
            status, out, err = a.cli(["capture", "-w", "-", *options.split()], check=False)
            assert status == 1 and said in err and out == "", (options, status, err)
        status, _, err = a.cli("capture", check=False)
        assert status == 2 and "-w FILE" in err


def telemetry(gw, command):
    """What DPDK's own client is answered."""
    prefix = f"port500-{gw.process.pid}"
    done = subprocess.run(["dpdk-telemetry.py", "-f", prefix], input=command + "\n", text=True,
                          capture_output=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])[command.split(",")[0]]


class TestTelemetry:
    def test_counters_are_those_of_the_api(self, pair):
        a = pair[0]
        assert ping(a.net, count=5) == (5, 5)
        drops = telemetry(a, "/port500/drops")
        assert {k.replace("_", "-"): v for k, v in drops.items()} == a.drops()
        assert telemetry(a, "/port500/workers") == {"workers": 1}
        worker = telemetry(a, "/port500/worker,0")
        shown = a.json("show workers")["0"]
        assert worker["esp_out_packets"] == int(shown["esp-out-packets"]) >= 5
        assert sum(worker["drops"].values()) == int(shown["dropped"])
        assert set(telemetry(a, "/port500/ports")) == {"lan", "wan"}
        port = telemetry(a, "/port500/port,wan")
        assert 5 <= port["tx_packets"] <= int(a.json("show ports")["wan"]["tx-packets"])
        assert telemetry(a, "/port500/sas")["inbound"] >= 1
        for wrong in ("/port500/worker", "/port500/worker,1", "/port500/worker,x",
                      "/port500/port", "/port500/port,wam"):
            assert telemetry(a, wrong) is None, wrong

    def test_xstats_of_dpdk_and_of_the_api(self, pair):
        a = pair[0]
        ports = telemetry(a, "/port500/ports")
        xstats = telemetry(a, f"/ethdev/xstats,{ports['wan']}")
        assert xstats["rx_good_packets"] > 0
        shown = a.json("show ports --xstats --all")["wan"]["xstats"]
        assert set(shown) == set(xstats)
        assert int(shown["rx_good_packets"]) >= xstats["rx_good_packets"]
        assert "0" not in a.json("show ports --xstats")["wan"]["xstats"].values()
        assert "xstats" not in a.json("show ports")["wan"]
        assert "wan: rx_good_packets " in a.cli("show ports --xstats")

    def test_a_childs_counters_go_on_when_it_is_rekeyed(self, pair):
        a = pair[0]
        before, spi = totals(a), child(a)["spi-in"]
        assert ping(a.net, count=5) == (5, 5)
        a.cli("rekey lab/net")
        wait_for("another SA", lambda: child(a)["spi-in"] != spi)
        assert ping(a.net, count=5) == (5, 5)
        after = totals(a)
        for way in ("in", "out"):
            assert int(after[f"packets-{way}"]) - int(before[f"packets-{way}"]) == 10
            assert int(after[f"bytes-{way}"]) - int(before[f"bytes-{way}"]) == 10 * 84
            assert int(child(a)[f"packets-{way}"]) <= 5


def totals(gw):
    """The counters of the child, over all its SAs."""
    return gw.json("status")["show-conn"][0]["lab"]["children"]["net"]
