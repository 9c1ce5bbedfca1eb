"""VPP's nodes beside port500's stages, in turns: the part "vpp" of devtools/bench peers."""
import json
import os
import statistics
import subprocess

import bench_device as dev
from gateways import BUILD
from rig import WORKER_CPU, spread
from vpp import Vpp, cost, middle, packets

SAMPLES, WINDOW_S = 9, 0.001  # of a turn of VPP
LOOP = 10 ** 7  # packets after which a stream ends by itself, were its turn not to end it
ONCE = 4096  # packets of a turn with anti-replay
REPLAY = 1024  # port500's default window


class Pipeline:
    """bench_pipeline, waiting for its turns: port500's own stages without I/O."""

    def __init__(self, tunnels, rounds):
        path = os.path.join(BUILD, "test", "bench", "bench_pipeline")
        self.process = subprocess.Popen(
            [path, "--turns", "--rounds", str(rounds), "--sas", str(tunnels), "aes128gcm16"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.line())
        os.sched_setaffinity(self.process.pid, {WORKER_CPU})

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise RuntimeError(f"bench_pipeline ended with {self.process.wait(5)}")
        return text

    def measure(self, direction, size, tunnels):
        size = "imix" if size == dev.IMIX else size
        self.process.stdin.write(f"{direction} {size} {tunnels}\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


class Lane:
    """Both of VPP's gateways, without and with anti-replay, and ours, with as many tunnels."""

    def __init__(self, args, shared, tunnels):
        self.tunnels, self.sealed = tunnels, {}
        self.ours = self.plain = self.replay = None
        try:
            self.ours = Pipeline(tunnels, args.vpp_rounds)
            self.plain, self.replay = (
                Vpp(shared, f"vpp-{tunnels}-{w}", args.vpp, args.vpp_plugins, args.vpp_engine,
                    tunnels, w).start() for w in (0, REPLAY))
        except BaseException:
            self.end()
            raise
        if args.realtime:
            for process in (self.ours.process, self.plain.process, self.replay.process):
                os.sched_setscheduler(process.pid, os.SCHED_FIFO, os.sched_param(1))
        self.ns_per_clock = 1e9 / self.ours.about["tsc_hz"]

    def load(self, size):
        count = max(256, 2 * self.tunnels)
        for way in ("out", "in"):
            frames = packets(way, size, self.tunnels, count, {})
            self.plain.load(f"{way}-{size}", way, frames, LOOP)

    def vpp(self, way, size):
        samples = self.plain.loop(f"{way}-{size}", way, SAMPLES, WINDOW_S)
        return self.in_ns(middle(samples, way))

    def once(self, size, turn):
        """Each packet new to both, and opened once: numbers go on from turn to turn. Whoever is
        first finds colder caches, so each is first once."""
        cost_of = {"vpp-once": [], "vpp-replay": []}
        lanes = [("vpp-once", self.plain), ("vpp-replay", self.replay)]
        for half, order in enumerate((lanes, lanes[::-1])):
            frames = packets("in", size, self.tunnels, ONCE, self.sealed, seed=2 * turn + half)
            for name, gateway in order:
                gateway.load("once", "in", frames, ONCE)
                nodes = self.in_ns(gateway.once("once", "in", ONCE))
                cost_of[name].append(cost(nodes, "in"))
        return {(name, "in"): statistics.mean(both) for name, both in cost_of.items()}

    def in_ns(self, nodes):
        return {k: v * self.ns_per_clock for k, v in nodes.items()}

    def round(self, size, turn):
        r = {}
        for way in ("out", "in"):
            r["port500", way] = self.ours.measure(way, size, self.tunnels)
            r["vpp", way] = self.vpp(way, size)
        return {**r, **self.once(size, turn)}

    def end(self):
        for x in (self.ours, self.plain, self.replay):
            if x:
                x.end()


def compare(rounds, way, size, tunnels):
    ours = [r["port500", way]["path_ns"] for r in rounds]
    nodes = [r["vpp", way] for r in rounds]
    whole, no_tx = ([cost(n, way, tx) for n in nodes] for tx in (True, False))
    row = {"part": "vpp", "peer": "vpp", "size": size, "tunnels": tunnels, "direction": way,
           "floor_ns": spread([r["port500", way]["floor_ns"] for r in rounds]),
           "port500_ns": spread(ours), "peer_ns": spread(whole), "peer_no_tx_ns": spread(no_tx),
           "ratio": spread([p / o for o, p in zip(ours, whole)]),
           "ratio_no_tx": spread([p / o for o, p in zip(ours, no_tx)]),
           "peer_nodes_ns": {k: round(statistics.median([n.get(k, 0) for n in nodes]), 1)
                             for k in nodes[0]}}
    if way == "in":
        once, replay = ([r[f"vpp-{x}", way] for r in rounds] for x in ("once", "replay"))
        row["peer_once_ns"], row["peer_once_replay_ns"] = spread(once), spread(replay)
        row["peer_replay_costs_ns"] = spread([r - o for o, r in zip(once, replay)])
    return row


def table_head():
    print(f"{'size':>5} {'SAs':>6} {'way':>4} {'floor':>6} {'port500':>8} {'VPP':>7} {'no tx':>7} "
          f"{'replay':>7} {'ratio':>6} (middle half)   without tx", flush=True)


def table_row(r):
    replay = r["peer_replay_costs_ns"]["median"] if "peer_replay_costs_ns" in r else ""
    print(f"{str(r['size']):>5} {r['tunnels']:6} {r['direction']:>4} {r['floor_ns']['median']:6.1f} "
          f"{r['port500_ns']['median']:8.1f} {r['peer_ns']['median']:7.1f} "
          f"{r['peer_no_tx_ns']['median']:7.1f} {replay:>7} {r['ratio']['median']:6.2f} "
          f"({r['ratio']['from']:.2f} to {r['ratio']['to']:.2f}) "
          f"{r['ratio_no_tx']['median']:8.2f}", flush=True)


class Hugepages:
    """VPP takes as many as it wants from the kernel, and leaves them behind."""

    path = "/proc/sys/vm/nr_hugepages"

    def __enter__(self):
        with open(self.path, encoding="ascii") as f:
            self.before = f.read()
        return self

    def taken(self):
        with open(self.path, encoding="ascii") as f:
            return int(f.read()) - int(self.before)

    def __exit__(self, *_):
        with open(self.path, "w", encoding="ascii") as f:
            f.write(self.before)


def measure(args, results):
    """Returns what to say of the versions."""
    with Hugepages() as hugepages:
        return measure_all(args, results, hugepages)


def measure_all(args, results, hugepages):
    about = {}
    mine = os.sched_getaffinity(0)
    table_head()
    for tunnels in args.tunnels:
        with dev.Shared() as shared:
            lane = Lane(args, shared, tunnels)
            # What asks and waits stays out of the way of what is measured.
            os.sched_setaffinity(0, mine - {WORKER_CPU} or mine)
            try:
                about = {"vpp": lane.plain.version(), "vpp_engine": args.vpp_engine,
                         "vpp_hugepages": hugepages.taken()}
                for size in args.sizes:
                    lane.load(size)
                    rounds = [lane.round(size, i) for i in range(args.rounds + 1)][1:]
                    for way in ("out", "in"):
                        results.append(compare(rounds, way, size, tunnels))
                        table_row(results[-1])
            finally:
                os.sched_setaffinity(0, mine)
                lane.end()
    return about
