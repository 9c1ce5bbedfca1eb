"""Two gateways port500d without a NIC: real daemons, real IKE, and sources and sinks at their ports.

    source, sink -- lan (net_null0) [ A ] wan (net_null1) -- IKE, ARP -- wan [ B ] lan -- source, sink

The ESP of one gateway ends in its sink, or is kept to be played to the other one, each packet once.
"""
import json
import os
import platform
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))

import bench_device as dev  # noqa: E402
from gateways import BUILD, binary, drop_counts, private  # noqa: E402
from topology import Network, stop_all, wait_for  # noqa: E402

LAN, WAN = 0, 1
WORKER_CPU = max(os.sched_getaffinity(0))
SITES = {"a": ("10.1.0", "192.0.2.1", 10), "b": ("10.2.0", "192.0.2.2", 11)}


def preload():
    path = os.path.abspath(os.path.join(BUILD, "test", "bench", "bench_device.so"))
    assert os.path.exists(path), f"{path} is not there: build first"
    return path


def started(program, argv, log, net=None, ns=None):
    """Starts a program with its sources and sinks."""
    argv = ["env", *(f"{k}={v}" for k, v in program.env(preload()).items()), *argv]
    if net:
        argv = net.argv(ns, argv)
    with open(log, "ab") as out:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=out)
    program.pid = process.pid
    return process


def tail(path, n=12):
    with open(path, encoding="utf-8", errors="replace") as f:
        return "".join(f.readlines()[-n:])


def subnet(letter, i):
    """The first three bytes of tunnel i's /24 at a site."""
    return f"{SITES[letter][2]}.{64 + i // 256}.{i % 256}"


class Gateway(dev.Program):
    """One port500d."""

    def __init__(self, shared, net, letter, tunnels, esp, memory):
        super().__init__(shared, letter)
        self.net, self.letter, self.tunnels, self.esp, self.memory = net, letter, tunnels, esp, memory
        self.ns = f"gw-{letter}"
        self.other = "b" if letter == "a" else "a"
        self.socket = shared.path(f"{letter}.vici")
        self.log = shared.path(f"{letter}.log")
        for port in (LAN, WAN):
            shared.packets(f"{letter}.{port}.play") if port == LAN else None
        shared.packets(f"{letter}.{WAN}.record")

    def config(self):
        lan, wan, _ = SITES[self.letter]
        text = [f"""gateway {{
  socket = {self.socket}
  cpus = {WORKER_CPU}
  poll = busy
  memory = {self.memory}
  ports {{
    lan {{
      device = "net_null{LAN},no-rx=1"
      addrs = {lan}.1/24
    }}
    wan {{
      device = "net_null{WAN},no-rx=1"
      addrs = {wan}/24
    }}
  }}
}}
connections {{
"""]
        for i in range(self.tunnels):
            text.append(f"""c{i} {{
  local_addrs = {wan}
  remote_addrs = {SITES[self.other][1]}
  proposals = aes128gcm16-prfsha256-x25519
  dpd_delay = 0
  local {{
    auth = psk
    id = {self.letter}{i}.example
  }}
  remote {{
    auth = psk
    id = {self.other}{i}.example
  }}
  children {{
    n{i} {{
      local_ts = {subnet(self.letter, i)}.0/24
      remote_ts = {subnet(self.other, i)}.0/24
      esp_proposals = {self.esp}
      start_action = {"start" if self.letter == "a" else "none"}
    }}
  }}
}}
""")
        text.append("}\nsecrets {\n")
        for i in range(self.tunnels):
            text.append(f"ike-{i} {{\n id-a = a{i}.example\n id-b = b{i}.example\n"
                        f" secret = \"key number {i} of the benchmark\"\n}}\n")
        return "".join(text) + "}\n"

    def start(self):
        path = self.shared.path(f"{self.letter}.conf")
        with open(path, "w", encoding="utf-8", opener=private) as f:
            f.write(self.config())
        started(self, [binary("port500d"), "-c", path], self.log, self.net, self.ns)
        wait_for(f"port500d {self.letter}", lambda: os.path.exists(self.socket), 30)
        lan = SITES[self.letter][0]
        self.net.run(self.ns, f"ip neigh replace {lan}.2 lladdr 02:00:00:00:00:09 dev lan")
        self.net.run(self.ns, f"ip route add {SITES[self.letter][2]}.64.0.0/10 via {lan}.2 dev lan")
        self.mac = self.net.run(self.ns, "cat /sys/class/net/lan/address").strip()

    def json(self, command):
        return json.loads(self.net.run(self.ns, [binary("port500"), "--socket", self.socket, "--json",
                                                 *command.split()]))

    def drops(self):
        return {k: v for k, v in drop_counts(self.json("show drops --all")).items() if v}

    def load(self, size, count=4096):
        """Packets of a size from this site's LAN over all tunnels in random order."""
        pairs = [(f"{subnet(self.letter, i)}.2", f"{subnet(self.other, i)}.2")
                 for i in range(self.tunnels)]
        self.fill(LAN, dev.frames(size, pairs, self.mac, count))


class Pair:
    """A and B with all tunnels up; each at a stop until its turn."""

    def __init__(self, tunnels=1, esp="aes128gcm16", memory=512):
        self.shared, self.net = dev.Shared(), Network("b-")
        self.net.names = ["gw-a", "gw-b"]
        self.tunnels = tunnels
        self.gateways = [Gateway(self.shared, self.net, x, tunnels, esp, memory) for x in "ab"]
        self.a, self.b = self.gateways
        self.shared.wire("a", "b", WAN)
        self.shared.hand(f"a.{WAN}.record", f"b.{WAN}.play")
        self.shared.hand(f"b.{WAN}.record", f"a.{WAN}.play")

    def __enter__(self):
        try:
            for name in self.net.names:
                self.net.remove(name)
                self.net.add_namespace(name)
            for g in reversed(self.gateways):
                g.start()
            wait_for(f"{self.tunnels} tunnels; the log's end:\n{tail(self.a.log)}", lambda: all(
                g.net.run(g.ns, f"swanctl --list-sas --uri unix://{g.socket}").count("INSTALLED")
                >= self.tunnels for g in self.gateways), 60 + self.tunnels / 50, 0.2)
            for g in self.gateways:
                g.stop()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for g in self.gateways:
            if g.pid:
                g.cont()
        stop_all([g.pid for g in self.gateways if g.pid], 5)
        for name in self.net.names:
            self.net.remove(name)
        self.shared.__exit__()


class Turn:
    """with Turn(program): it runs, and nobody else of ours does."""

    def __init__(self, program):
        self.program = program

    def __enter__(self):
        self.program.cont()
        return self.program

    def __exit__(self, *_):
        self.program.stop()


def spread(values):
    """Median, and the middle half of the values around it."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return {"median": round(statistics.median(ordered), 2),
            "from": round(ordered[quarter], 2), "to": round(ordered[-1 - quarter], 2),
            "least": round(ordered[0], 2), "rounds": len(ordered)}


def version(command):
    try:
        done = subprocess.run(command, text=True, capture_output=True)
    except OSError:
        return None
    lines = [x for x in (done.stdout + done.stderr).splitlines() if any(d.isdigit() for d in x)]
    return lines[0].strip() if lines else None


def package(name):
    done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", name], text=True, capture_output=True)
    return done.stdout or None


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        model = next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0], "port500": version([binary("port500d"), "--version"]),
            "dpdk": package("libdpdk-dev"), "intel-ipsec-mb": package("libipsec-mb1"),
            "hugepages": False}


def write_json(path, what, results, **more):
    if path:
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"bench": what, "machine": machine(), **more, "results": results}, f, indent=1)
            f.write("\n")


def write_json_rows(path, what, results, **more):
    """The same with a line for each result, for those that have many."""
    if path:
        head = json.dumps({"bench": what, "machine": machine(), **more}, indent=1)[:-2]
        with open(path, "w", encoding="utf-8") as f:
            f.write(head + ',\n "results": [\n  ' +
                    ",\n  ".join(json.dumps(r) for r in results) + "\n ]\n}\n")


class Testpmd(dev.Program):
    """DPDK's own plain forwarding between the same devices: what sources and sinks cost."""

    def __init__(self, shared, name, lan, wan):
        super().__init__(shared, name)
        self.log = shared.path(name + ".log")
        shared.hand(lan, f"{name}.{LAN}.play")
        shared.hand(wan, f"{name}.{WAN}.play")

    def start(self):
        main = min(os.sched_getaffinity(0))
        self.process = started(self, [
            "dpdk-testpmd", "-l", f"{main},{WORKER_CPU}", "--no-huge", "-m", "512", "--no-pci",
            "--no-telemetry", "--no-shconf", "--vdev", f"net_null{LAN},no-rx=1", "--vdev", f"net_null{WAN},no-rx=1", "--",
            "--forward-mode=io", "--total-num-mbufs=16384", "--no-mlockall", "--auto-start",
            "--no-lsc-interrupt", "--burst=64"], self.log)
        try:
            self.ask([dev.NONE, dev.NONE], timeout_s=20)
        except TimeoutError:
            raise RuntimeError(f"testpmd does not forward:\n{tail(self.log)}") from None
        self.stop()

    def end(self):
        self.cont()
        stop_all([self.process.pid], 3)
        self.process.wait(5)
