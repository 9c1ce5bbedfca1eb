"""Other gateways beside ours, in turns, so that what disturbs one disturbs the other.

"dpdk": DPDK's ipsec-secgw with the same sources and sinks as port500d (devtools/bench gateway
--help says which), on one CPU; both without what testpmd's plain forwarding of the same packets
takes between the same devices. Anti-replay is on for port500, off for ipsec-secgw.

"vpp": VPP's nodes, its packet generator for a source, beside port500's stages without I/O
(devtools/bench pipeline), on one CPU: clocks of all nodes (show runtime) but the generator's
(pg-input) against worker_step() with prepared mbufs; "no tx" leaves out the nodes of the interface
that VPP sends to (port500's does nothing there; VPP's frees its buffers). Anti-replay is on for
port500, off for VPP, since its generator plays packets again and again; "replay": what the same
window costs VPP, each packet played once, inbound only.

"linux": strongSwan's libipsec and wireguard-go between network namespaces, with the same wires,
hosts and iperf3 (one TCP stream) as port500 on af_packet; both ends, hosts and all on this
machine's CPUs. What port500 carries with devices of DPDK's own is the figure of "dpdk" at 1420
bytes.

Ratios are medians of the rounds' own ratios. A peer that is not there is reported as not measured.
port500 neither has ipsec-secgw or VPP nor builds them.
"""
import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time

import rig  # noqa: F401  where topology and gateways are
import bench_device as dev
import peers_vpp
from gateway_bench import packets_of, sizes_of
from rig import LAN, WAN, Pair, Testpmd, Turn, package, spread, write_json
from secgw import Secgw
from wireguard import WireGuard
from gateways import Charon, Port500, tcp
from topology import A, B, Network, stop_all


# ---- DPDK's ----

def one_round(pair, pmd, secgw, n, seconds):
    a, b = pair.gateways
    ns = {}
    with Turn(a):
        ns["port500", "out"] = a.measure([dev.LOOP, dev.NONE], seconds)["ns"]
        a.record(WAN, [dev.LOOP, dev.NONE], n)
    with Turn(secgw):
        ns["secgw", "out"] = secgw.measure([dev.LOOP, dev.NONE], seconds)["ns"]
        secgw.record(WAN, [dev.LOOP, dev.NONE], n)
        ns["secgw", "in"] = secgw.once([dev.NONE, dev.ONCE])["ns"]
    with Turn(b):
        ns["port500", "in"] = b.once([dev.NONE, dev.ONCE])["ns"]
    with Turn(pmd):
        ns["devices", "out"] = pmd.measure([dev.LOOP, dev.NONE], seconds)["ns"]
        ns["devices", "in"] = pmd.once([dev.NONE, dev.ONCE])["ns"]
    return ns


def compare(rounds, direction, size, tunnels):
    def values(what):
        return [r[what, direction] for r in rounds]

    net = [(o - d, s - d) for o, s, d in zip(values("port500"), values("secgw"), values("devices"))]
    return {"part": "dpdk", "peer": "ipsec-secgw", "size": size, "tunnels": tunnels,
            "direction": direction, "port500_ns": spread(values("port500")),
            "peer_ns": spread(values("secgw")), "devices_ns": spread(values("devices")),
            "port500_net_ns": spread([o for o, _ in net]), "peer_net_ns": spread([s for _, s in net]),
            "ratio": spread([s / o for o, s in zip(values("port500"), values("secgw"))]),
            "ratio_net": spread([s / max(o, 0.1) for o, s in net])}


def dpdk(args, results):
    for tunnels in args.tunnels:
        with Pair(tunnels) as pair:
            secgw = Secgw(pair.shared, args.secgw, tunnels)
            pmd = Testpmd(pair.shared, "testpmd", f"a.{LAN}.play", f"b.{WAN}.play")
            secgw.start()
            pmd.start()
            try:
                print(f"{'size':>5} {'tunnels':>7} {'way':>4} {'port500':>8} {'secgw':>8} "
                      f"{'devices':>8} {'ratio':>6} {'net of the devices':>19}")
                for size in args.sizes:
                    dpdk_size(pair, pmd, secgw, size, args, results)
            finally:
                pmd.end()
                secgw.end()


def dpdk_size(pair, pmd, secgw, size, args, results):
    rounds = []
    for g in (*pair.gateways, secgw):
        g.load(size)
    for i in range(args.rounds + 1):
        r = one_round(pair, pmd, secgw, packets_of(size), args.seconds)
        if i > 0:  # memory is touched for the first time
            rounds.append(r)
    for direction in ("out", "in"):
        r = compare(rounds, direction, size, pair.tunnels)
        results.append(r)
        print(f"{str(size):>5} {pair.tunnels:7} {direction:>4} {r['port500_ns']['median']:8.1f} "
              f"{r['peer_ns']['median']:8.1f} {r['devices_ns']['median']:8.1f} "
              f"{r['ratio']['median']:6.2f} {r['ratio_net']['median']:7.2f} "
              f"({r['ratio_net']['from']:.2f} to {r['ratio_net']['to']:.2f})", flush=True)


# ---- between namespaces ----

class Ours:
    name, prefix = "port500", "bp-"

    def __init__(self, net, directory):
        self.gateways = [Port500(net, s, directory) for s in (A, B)]
        for g in self.gateways:
            g.start()
        for g in self.gateways:
            g.wait_child()
        self.pids = [g.process.pid for g in self.gateways]


class Libipsec:
    name, prefix = "libipsec", "bc-"

    def __init__(self, net, directory):
        a, b = self.gateways = [Charon(net, s, directory) for s in (A, B)]
        for g, start in ((b, False), (a, True)):
            g.log_level = 0
            g.start(g.default_config(start=start))
        for g in self.gateways:
            g.wait_child()
        self.pids = [g.process.pid for g in self.gateways]


class WireguardGo:
    name, prefix = "wireguard-go", "bw-"

    def __init__(self, net, directory):
        self.pids = WireGuard(net, directory).start().pids()


class Lane:
    """A network of its own for one kind of gateway, which is stopped but for its turns."""

    def __init__(self, kind):
        self.name, self.net = kind.name, Network(kind.prefix)
        self.dir = tempfile.mkdtemp(prefix="bench-peers-")
        self.net.down()
        self.net.up()
        self.pids = kind(self.net, self.dir).pids
        self.signal(signal.SIGSTOP)

    def signal(self, number):
        for p in self.pids:
            os.kill(p, number)

    def gbit(self, seconds, turn):
        self.signal(signal.SIGCONT)
        time.sleep(0.2)
        try:
            received = tcp(self.net, os.path.join(self.dir, f"iperf3-{turn}.log"), seconds=seconds)
        finally:
            self.signal(signal.SIGSTOP)
        return received * 8 / seconds / 1e9

    def end(self):
        self.signal(signal.SIGCONT)
        stop_all(self.pids, 5)
        self.net.down()
        shutil.rmtree(self.dir, ignore_errors=True)


def missing(kind):
    need = {"libipsec": ["charon-systemd", "swanctl"], "wireguard-go": ["wireguard-go", "wg"]}
    return [x for x in need.get(kind.name, []) + ["iperf3"] if not shutil.which(x)]


def linux(args, results, not_measured):
    kinds, lanes, gbit = [Ours], [], {}
    for kind in (Libipsec, WireguardGo):
        if missing(kind):
            not_measured[kind.name] = "not installed: " + ", ".join(missing(kind))
        else:
            kinds.append(kind)
    try:
        for kind in kinds:
            lanes.append(Lane(kind))
            gbit[kind.name] = []
        for turn in range(args.tcp_rounds):
            for lane in lanes:
                gbit[lane.name].append(lane.gbit(args.tcp_seconds, turn))
    finally:
        for lane in lanes:
            lane.end()
    own = [r for r in results if r["part"] == "dpdk" and r["size"] == 1420 and r["tunnels"] == 1]
    print(f"\n{'gateway':14} {'Gbit/s':>7} {'middle half':>14} {'port500 on af_packet carries':>30} "
          "and with DPDK's devices")
    for name, values in gbit.items():
        r = {"part": "linux", "gateway": name, "gbit": spread(values),
             "ratio": spread([o / max(v, 1e-9) for o, v in zip(gbit["port500"], values)])}
        if own and name != "port500":
            slower = max(x["port500_ns"]["median"] for x in own)
            r["own_devices_gbit"] = round(1420 * 8 / slower, 2)
            r["ratio_own_devices"] = round(1420 * 8 / slower / statistics.median(values), 1)
        results.append(r)
        print(f"{name:14} {r['gbit']['median']:7.2f} {r['gbit']['from']:6.2f} to "
              f"{r['gbit']['to']:4.2f} {r['ratio']['median']:24.2f} times "
              f"{r.get('ratio_own_devices', '')}", flush=True)


def there(option, path, peer, not_measured):
    if path and os.path.isfile(path) and os.access(path, os.X_OK):
        return True
    not_measured[peer] = f"no such program: {path}" if path else f"no {option} PATH was given"
    return False


def main():
    p = argparse.ArgumentParser(prog="devtools/bench peers", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--secgw", metavar="PATH", help="DPDK's example ipsec-secgw, built")
    p.add_argument("--vpp", metavar="PATH", help="VPP (bin/vpp, its engines in ../lib), built")
    p.add_argument("--vpp-plugins", metavar="DIR", help="its plugins, where it does not find them")
    p.add_argument("--vpp-engine", default="native", help="its crypto engine (native), or ipsecmb")
    p.add_argument("--vpp-rounds", type=int, default=31,
                   help="of the pipeline in each turn of part vpp (31)")
    p.add_argument("--realtime", action="store_true", help="part vpp: nobody else on this machine "
                   "interrupts a turn, for a machine that others use")
    p.add_argument("--parts", default="dpdk,vpp,linux", help="some of dpdk, vpp, linux")
    p.add_argument("--sizes", type=sizes_of, default=sizes_of("64,256,512,1024,1420,IMIX"))
    p.add_argument("--tunnels", type=lambda s: [int(x) for x in s.split(",")], default=[1, 1024])
    p.add_argument("--rounds", type=int, default=11, help="of each size (11)")
    p.add_argument("--seconds", type=float, default=0.04, help="of a turn (0.04)")
    p.add_argument("--tcp-rounds", type=int, default=7, help="of part linux (7)")
    p.add_argument("--tcp-seconds", type=int, default=2, help="of a turn of iperf3 (2)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    args = p.parse_args()
    results, not_measured, versions = [], {}, {}
    if "dpdk" in args.parts and there("--secgw", args.secgw, "ipsec-secgw", not_measured):
        dpdk(args, results)
    if "vpp" in args.parts and there("--vpp", args.vpp, "vpp", not_measured):
        try:
            versions = peers_vpp.measure(args, results)
        except RuntimeError as e:  # what was measured before stays
            not_measured["vpp"] = str(e)
    if "linux" in args.parts:
        linux(args, results, not_measured)
    for peer, why in not_measured.items():
        print(f"not measured: {peer}: {why}")
    write_json(args.json, "peers", results, not_measured=not_measured, versions={
        **versions, "strongswan": package("charon-systemd"),
        "wireguard-go": package("wireguard-go"), "iperf3": package("iperf3")})
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
