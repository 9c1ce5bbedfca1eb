"""A flood of forged IKE openers against a gateway with tunnels: what of the real ones gets through.

Gateways A and B have one tunnel up, with an echo every 2 ms. From the carrier come as many forged
IKE_SA_INIT requests to B as one sendmmsg generator makes (test/netns/flood.c), from A's own address
or from random ones. Meanwhile A sets up new connections, one after the other: --connections of them,
taken down and up again for as long as the flood lasts; after each third one the tunnel's IKE SA or
child SA is rekeyed. Each gets --patience seconds. port500 and charon (both ends of one kind) take
turns in one run; "unguarded" is port500 with guard { enable = no }.

Losses are told apart by where they happen. `guard`: what the guard dropped, forged or not
(`fate_unrepeated` with --json: openers of the flood; `fate_limited`: all else). `other`:
what port500 dropped for any other reason. `ring`: frames that came over the wire to B and never to
the dataplane, because the kernel found no room in a ring: the worker had no CPU, or did not keep
up. The flood has a ring of its own, so they are of the flood, and openers among them.
"""
import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time

from ike_daemons import connections, machine, pid_of, rss_kb, subnet

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))

from gateways import BUILD, Charon, Port500  # noqa: E402
from topology import A, B, CommandFailed, Network, wait_for  # noqa: E402

FLOOD = os.path.join(BUILD, "test", "netns", "flood")
WARM_S = 2      # of flood, before the first handshake
PAUSE_S = 0.2   # between two handshakes
NAMED_S = 30    # how long the attack's name is waited for
CALM_S = 3      # after the flood, until memory is read
FLOOD_MAX_S = 295


def merge(config, more):
    """More connections and secrets for a configuration that has one of each already."""
    conns, _, secrets = more.partition("secrets {\n")
    conns = conns.partition("connections {\n")[2].strip().removesuffix("}")
    config = config.replace("connections {\n", "connections {\n" + conns, 1)
    return config.replace("secrets {\n", "secrets {\n" + secrets.strip().removesuffix("}"), 1)


class Ours:
    daemon = "port500d"

    def __init__(self, net, directory, n, guard=True, framecnt=0):
        self.net = net
        self.a, self.b = Port500(net, A, directory), Port500(net, B, directory)
        off = "" if guard else "guard { enable = no }"
        for g in (self.b, self.a):
            text = merge(g.default_config(start=False, gateway=off),
                         connections(g.site, n, False, "psk"))
            if framecnt:
                text = re.sub(r"iface=wan-(.)", rf"iface=wan-\1,framecnt={framecnt}", text)
            g.start(text)
        self.a.cli("up net")
        self.b.wait_child()

    def up(self, i, patience):
        return self.a.cli(f"up n{i} --timeout {patience}", check=False, timeout=patience + 30)[0] == 0

    def down(self, i):
        self.a.cli(f"down c{i}", check=False)

    def named(self, source):
        """What the daemon says of the attack, or None."""
        guard = self.b.json("show guard")
        top = next(iter(guard["sources"].items()), None)
        if source != "random":
            if top and top[0] == source and top[1]["class"] == "forged-peer":
                return f"{top[0]} is {top[1]['class']}: {top[1]['why']}"
            return None
        warned = re.search(r"more IKE comes to .*", self.b.text())
        return warned[0] if warned else None

    def counts(self):
        wan = self.b.json("show ports")["wan"]
        drops = self.b.drops()
        guard = sum(n for name, n in drops.items() if name.startswith("guard-"))
        wire = int(self.net.run(self.b.ns, "cat /sys/class/net/wan-b/statistics/rx_packets"))
        return {"ring": wire - int(wan["rx-packets"]), "guard": guard,
                "other": sum(drops.values()) - guard,
                **{f"fate_{name}": int(f["messages"])
                   for name, f in self.b.json("show guard")["messages"].items()}}


class Theirs:
    daemon = "charon-systemd"

    def __init__(self, net, directory, n):
        self.net = net
        self.a, self.b = Charon(net, A, directory), Charon(net, B, directory)
        for g in (self.b, self.a):
            g.log_level = 0
            # kernel-libipsec refuses a child without an address of ours in its subnet.
            net.run(g.ns, "ip -batch -", stdin="".join(
                f"addr add {subnet(g.site, i)[:-4]}1/32 dev lo\n" for i in range(n)))
            g.start(merge(g.default_config(), connections(g.site, n, False, "psk")))
        self.a.swanctl("--initiate --child net")
        self.b.wait_child()

    def up(self, i, patience):
        out = self.a.swanctl(f"--initiate --child n{i} --timeout {patience}", check=False)
        return "completed successfully" in out

    def down(self, i):
        self.a.swanctl(f"--terminate --ike c{i} --force --timeout 1", check=False)

    def named(self, _source):
        return None

    def counts(self):
        return {}


class Echoes:
    """An echo every 2 ms through the established tunnel; counts what did not come back."""

    def __init__(self, net, directory):
        self.log = os.path.join(directory, "echoes")
        self.process = net.start("host-a", f"ping -i 0.002 -W 5 {B.host_addr}", self.log)

    def end(self):
        time.sleep(1)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        with open(self.log, encoding="utf-8") as f:
            text = f.read()
        sent, came = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", text).groups())
        last = max(map(int, re.findall(r"icmp_seq=(\d+) ", text)), default=0)
        # What was on its way when ping ended is not lost.
        on_its_way = min(sent - last, 20)
        return sent - on_its_way, sent - on_its_way - came


def tunnel(gw, what):
    """The SPI of the newest IKE SA or child SA of the tunnel that the echoes go through."""
    found, ours = None, False
    for line in gw.swanctl("--list-sas").splitlines():
        if line[:1].strip():
            ours = line.startswith("lab:")
        spi = re.search(r"IKEv2, ([0-9a-f]{16})_i" if what == "ike" else r"^\s+in\s+([0-9a-f]{8})",
                        line)
        found = spi[1] if ours and spi else found
    return found


def rekey(pair, what, patience):
    """Replaces the tunnel's IKE SA or its child SA."""
    before = tunnel(pair.a, what)
    pair.a.swanctl("--rekey --ike lab" if what == "ike" else "--rekey --child net", check=False)
    try:
        wait_for("a new SA", lambda: tunnel(pair.a, what) not in (None, before), patience)
        return True
    except CommandFailed:
        return False


class Work:
    """Handshakes and rekeyings, tried and done."""

    def __init__(self, pair, args):
        self.pair, self.args = pair, args
        self.tried = self.done = self.rekeys = self.rekeyed = 0
        self.slowest = 0.0
        self.is_up = set()

    def step(self, patience):
        i = self.tried % self.args.connections
        if i in self.is_up:
            self.pair.down(i)
            self.is_up.discard(i)
        began = time.monotonic()
        ok = self.pair.up(i, patience)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.tried += 1
        self.done += ok
        if ok:
            self.is_up.add(i)
        if self.tried % 3 == 0:
            self.rekeyed += rekey(self.pair, "ike" if self.tried % 2 else "child", patience)
            self.rekeys += 1


def watch_name(pair, source, began, found):
    if "seconds" not in found and time.monotonic() - began < NAMED_S:
        said = pair.named(source)
        if said:
            found["seconds"] = round(time.monotonic() - began, 1)
            found["said"] = said


def flood(pair, args, source, directory):
    log = os.path.join(directory, "flood")
    before = pair.counts()
    pid = pid_of(pair.b, pair.daemon)
    memory = rss_kb(pid)
    echoes = Echoes(pair.net, directory)
    time.sleep(1)
    generator = pair.net.start("carrier", f"{FLOOD} {B.wan_addr} {source} {args.rate} {FLOOD_MAX_S} "
                               f"{args.ttl}", log)
    began = time.monotonic()
    work, found, halfway = Work(pair, args), {}, 0
    while time.monotonic() - began < WARM_S:
        watch_name(pair, source, began, found)
        time.sleep(0.2)
    while work.tried < args.connections or time.monotonic() - began < args.seconds:
        work.step(args.patience)
        watch_name(pair, source, began, found)
        if not halfway and time.monotonic() - began > args.seconds / 2:
            halfway = rss_kb(pid)
        time.sleep(PAUSE_S)
    generator.terminate()
    generator.wait(10)
    seconds = time.monotonic() - began
    time.sleep(CALM_S)
    sent, lost = echoes.end()
    after = pair.counts()
    with open(log, encoding="utf-8") as f:
        forged = int(f.read())
    return {"seconds": round(seconds, 1), "rate": round(forged / seconds), "forged": forged,
            "tried": work.tried, "done": work.done, "slowest": round(work.slowest, 2),
            "rekeys": work.rekeys, "rekeyed": work.rekeyed, "echoes": sent, "lost": lost,
            "kb_before": memory, "kb_half": halfway or rss_kb(pid), "kb_after": rss_kb(pid),
            "named": found.get("seconds"), "said": found.get("said"),
            **{k: after[k] - before[k] for k in after}}


def one(kind, source, args):
    with tempfile.TemporaryDirectory(prefix="bench-guard-") as d, Network("b-") as net:
        if kind == "charon":
            pair = Theirs(net, d, args.connections)
        else:
            pair = Ours(net, d, args.connections, kind == "port500", args.framecnt)
        result = {"daemon": kind, "source": "random" if source == "random" else "peer",
                  **flood(pair, args, source, d)}
        for g in (pair.a, pair.b):
            g.stop()
    return result


COLUMNS = (("daemon", "daemon"), ("source", "source"), ("rate", "forged/s"),
           ("tried", "handshakes"), ("done", "done"), ("slowest", "slowest s"),
           ("rekeys", "rekeys"), ("rekeyed", "done"), ("echoes", "echoes"), ("lost", "lost"),
           ("guard", "guard"), ("other", "other"),
           ("ring", "ring"), ("kb_before", "kB before"),
           ("kb_half", "half"), ("kb_after", "after"), ("named", "named s"))


def table(results):
    rows = [[title for _, title in COLUMNS]]
    rows += [[str("-" if r.get(k) is None else r.get(k)) for k, _ in COLUMNS] for r in results]
    width = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(row, width)) for row in rows)


def main():
    p = argparse.ArgumentParser(prog="devtools/bench guard", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--daemons", default="port500,charon",
                   help="some of port500, charon, unguarded (default: port500,charon)")
    p.add_argument("--sources", default="peer,random", help="some of peer, random (default: both)")
    p.add_argument("--runs", type=int, default=1, help="rounds of all of them (default: 1)")
    p.add_argument("--seconds", type=float, default=20, help="of flood, at least (default: 20; "
                   "150 covers two changes of the keys of cookies)")
    p.add_argument("--rate", type=int, default=0, help="forged openers a second (default: all "
                   "that the machine makes)")
    p.add_argument("--ttl", type=int, default=63, help="of the forged openers (default: 63, as the "
                   "peer's own)")
    p.add_argument("--connections", type=int, default=7, help="to set up (default: 7)")
    p.add_argument("--patience", type=int, default=10, help="seconds for each (default: 10)")
    p.add_argument("--framecnt", type=int, default=4096, help="frames in the ring between kernel "
                   "and dataplane, of port500's WAN ports (default: 4096)")
    p.add_argument("--json", action="store_true")
    args = p.parse_args()
    if args.seconds + args.patience * (args.connections + 3) > FLOOD_MAX_S:
        p.error(f"the generator stops after {FLOOD_MAX_S} s: fewer --seconds or --connections")
    print(json.dumps(machine()), flush=True)
    results = []
    for _ in range(args.runs):
        for source in args.sources.split(","):
            for kind in args.daemons.split(","):
                r = one(kind, A.wan_addr if source == "peer" else "random", args)
                results.append(r)
                print(json.dumps(r) if args.json else f"{kind}, {source}: {r.get('said') or ''}",
                      flush=True)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
