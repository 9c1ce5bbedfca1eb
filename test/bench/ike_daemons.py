"""Two gateways set up many tunnels at once: how long, at how much CPU; port500 beside charon.

Gateway A gets N connections with start_action = start in one reload and initiates them all; B
answers. One address on each side, N connections told apart by identities, each with a key and one
child of its own subnets: AES-128-GCM, X25519, PSK or certificates with ECDSA P-256 (--auth). Time runs from the start of the reload.

port500 and charon take turns, the same machine and the same minutes for both.

CPU is what the scheduler counts for each thread of a daemon (/proc/PID/task/TID/schedstat), in two
ways. "whole": all threads, from the reload until a moment after both sides say that all tunnels are
up. "handshake": of that, without what the daemon uses anyway and without reading connections; both
are measured beforehand in the same processes, the one with nothing to do, the other by a reload of
the same connections with start_action = none. For port500 a third figure, "control", is the part of
its control thread in "handshake"; all that negotiates is in that thread, the workers and the TAPs'
thread only carry the packets. charon's threads all do the same, so there it is the whole.
"""
import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

import pki

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))

from gateways import Charon, Port500, binary, other  # noqa: E402
from topology import A, B, Network  # noqa: E402
from vici import Vici  # noqa: E402

REST_S = 2      # how long idle daemons are measured
REKEY_S = 3     # after the last command to rekey: all are done long before
GONE_S = 30     # for the last of what was replaced to go
LINGER_S = 5    # replaced child SAs still receive for so long (delete_rekeyed_delay)
SETTLE_S = 0.3  # after the last tunnel, until nobody has anything left to do


def subnet(site, i):
    """A /24 for each of 16,384 connections."""
    return f"{10 if site.letter == 'a' else 11}.{64 + i // 256}.{i % 256}.0/24"


def connections(site, n, start, auth):
    """Sections `connections` and `secrets`, in the words that both daemons read."""
    word = "psk" if auth == "psk" else "pubkey"
    o = other(site)
    conns, secrets = [], []
    for i in range(n):
        conns.append(f"""c{i} {{
    version = 2
    local_addrs = {site.wan_addr}
    remote_addrs = {o.wan_addr}
    proposals = aes128gcm16-prfsha256-x25519
    local {{
        auth = {word}
        id = {site.letter}{i}.example
        {"" if auth == "psk" else f"certs = {site.letter}{i}.pem"}
    }}
    remote {{
        auth = {word}
        id = {o.letter}{i}.example
    }}
    children {{
        n{i} {{
            local_ts = {subnet(site, i)}
            remote_ts = {subnet(o, i)}
            esp_proposals = aes128gcm16
            start_action = {"start" if start else "none"}
        }}
    }}
}}
""")
        if auth != "psk":
            continue
        secrets.append(f"ike-{i} {{\n id-a = a{i}.example\n id-b = b{i}.example\n"
                       f" secret = \"key number {i} of the benchmark\"\n}}\n")
    return f"connections {{\n{''.join(conns)}}}\nsecrets {{\n{''.join(secrets)}}}\n"


def threads(pid):
    """Nanoseconds on a CPU of each thread of a process."""
    used = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as f:
                used[tid] = int(f.read().split()[0])
        except OSError:
            pass
    return used


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Meter:
    """CPU of the threads of one daemon since a moment, in milliseconds by thread."""

    def __init__(self, pid):
        self.pid, self.began, self.before = pid, time.monotonic(), threads(pid)

    def read(self):
        now = threads(self.pid)
        return Used({t: (now[t] - self.before.get(t, 0)) / 1e6 for t in now},
                    time.monotonic() - self.began)


class Used:
    """Milliseconds of CPU by thread, and the time it took."""

    def __init__(self, ms, seconds):
        self.ms, self.seconds = ms, seconds

    def total(self):
        return sum(self.ms.values())

    def without_idle(self, idle):
        """What is left when each thread's use at rest is taken off; idle is an earlier Used."""
        return self.minus({t: ms / idle.seconds * self.seconds for t, ms in idle.ms.items()})

    def minus(self, ms):
        return Used({t: used - ms.get(t, 0) for t, used in self.ms.items()}, self.seconds)

    def by_name(self, pid):
        """Threads of one name together."""
        names = {}
        for t, ms in self.ms.items():
            with open(f"/proc/{pid}/task/{t}/comm", encoding="ascii") as f:
                name = f.read().strip()
            names[name] = names.get(name, 0) + ms
        return names


def used_by(pids, action):
    """What each of some daemons uses while an action takes place."""
    meters = [Meter(p) for p in pids]
    action()
    return [m.read() for m in meters]


def certificates(directory, site, auth, to):
    if auth != "psk":
        pki.give(os.path.join(directory, "pki"), site.letter, to)


def pid_of(gateway, comm):
    """`ip netns exec` has become the daemon itself."""
    with open(f"/proc/{gateway.process.pid}/comm", encoding="ascii") as f:
        found = f.read().strip()
    assert found == comm[:15], found
    return gateway.process.pid


class Pair:
    """Two gateways of one kind; what a kind of its own has to say are prepare and begin."""

    def text(self, site, start):
        return connections(site, self.n, start, self.auth)


class OurPair(Pair):
    name = "port500"

    def __init__(self, net, directory, n, auth, gateway):
        self.net, self.n, self.auth = net, n, auth
        self.gateways = [Port500(net, A, os.path.join(directory, "a")),
                         Port500(net, B, os.path.join(directory, "b"))]
        for g in self.gateways:
            certificates(directory, g.site, auth, g.dir)
        self.empty = [g.default_config(gateway=gateway).partition("connections {")[0]
                      for g in self.gateways]
        for g, e in zip(self.gateways, self.empty):
            g.start(e)
        self.pids = [pid_of(g, "port500d") for g in self.gateways]

    def prepare(self):
        b = self.gateways[1]
        b.write_config(self.empty[1] + self.text(B, False))
        b.cli("reload")

    def begin(self, text):
        """Lets A read these connections; returns the command, which may still run."""
        a = self.gateways[0]
        a.write_config(self.empty[0] + text)
        return self.net.start(a.ns, [binary("port500"), "--socket", a.socket, "reload"],
                              a.log + ".reload")


class CharonPair(Pair):
    name = "charon"

    def __init__(self, net, directory, n, auth, limits):
        self.net, self.n, self.auth = net, n, auth
        self.gateways = [Charon(net, A, directory), Charon(net, B, directory)]
        for g in self.gateways:
            g.options = "" if limits else "dos_protection = no"
            # kernel-libipsec refuses a child without an address of ours in its subnet.
            net.run(g.ns, "ip -batch -", stdin="".join(
                f"addr add {subnet(g.site, i)[:-4]}1/32 dev lo\n" for i in range(n)))
            g.log_level = 0
            certificates(directory, g.site, auth, g.swan)
            g.start("")
        self.pids = [pid_of(g, "charon-systemd") for g in self.gateways]

    def prepare(self):
        a, b = self.gateways
        b.write_config(self.text(B, False))
        b.swanctl("--load-all --noprompt")
        a.write_config(self.text(A, False))
        a.swanctl("--load-creds --noprompt")

    def begin(self, text):
        a = self.gateways[0]
        a.write_config(text)
        return self.net.start(a.ns, f"swanctl --load-conns --uri unix://{a.socket}",
                              a.log + ".reload",
                              {"SWANCTL_DIR": a.swan, "STRONGSWAN_CONF": a.conf})


def established(api):
    sas = api.request("stats")["ikesas"]
    return int(sas["total"]) - int(sas["half-open"])


def watch(api, n, limit_s, began):
    """Follows the responder until n are up; returns [(seconds, tunnels up)]."""
    curve, pause = [(0.0, 0)], 0.01
    while True:
        have = established(api)
        now = time.monotonic() - began
        if have != curve[-1][1]:
            curve.append((round(now, 3), have))
        if have >= n or now > limit_s:
            return curve
        time.sleep(pause)


def loading(pair):
    """What A uses to read the connections: the second time, when its memory is there already."""
    def load(text):
        pair.begin(text).wait(120)
        time.sleep(SETTLE_S)

    none = pair.text(A, False)
    load(none)
    load("")
    used = used_by(pair.pids, lambda: load(none))
    load("")
    return used


def settle(api, n, limit_s):
    """The responder is done; the initiator has the last answers to read, and threads to finish."""
    end = time.monotonic() + limit_s
    while established(api) < n and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(SETTLE_S)


def measure(pair, limit_s):
    pair.prepare()
    memory = [rss_kb(p) for p in pair.pids]
    load = loading(pair)
    rest = used_by(pair.pids, lambda: time.sleep(REST_S))
    apis = [Vici(g.socket) for g in pair.gateways]
    meters = [Meter(p) for p in pair.pids]
    began = time.monotonic()
    command = pair.begin(pair.text(A, True))
    curve = watch(apis[1], pair.n, limit_s, began)
    if curve[-1][1] >= pair.n:
        settle(apis[0], pair.n, limit_s)
    cpu = [m.read() for m in meters]
    command.wait(limit_s + 60)
    for api in apis:
        api.close()
    up = curve[-1][1]
    result = {"daemon": pair.name, "connections": pair.n, "up": up, "seconds": curve[-1][0],
              "per_second": round(up / curve[-1][0], 1) if up else 0, "curve": thin(curve)}
    for i, side in enumerate(("initiator", "responder")):
        result.update(side_of(side, pair.pids[i], cpu[i], rest[i], load[i], max(up, 1)))
        result[f"{side}_kb"] = round((rss_kb(pair.pids[i]) - memory[i]) / max(up, 1), 1)
    return result


def side_of(side, pid, cpu, rest, load, up):
    """The figures of one side, in milliseconds for each tunnel."""
    net = cpu.without_idle(rest).minus(load.without_idle(rest).ms)
    names = net.by_name(pid)
    return {f"{side}_whole_ms": round(cpu.total() / up, 3),
            f"{side}_ms": round(net.total() / up, 3),
            f"{side}_control_ms": round(names.get("port500d", net.total()) / up, 3),
            f"{side}_loading_ms": round(load.without_idle(rest).total() / up, 3),
            f"{side}_rest_ms_s": round(rest.total() / rest.seconds, 2),
            f"{side}_threads_ms": {t: round(ms / up, 3) for t, ms in names.items() if ms > 0.5}}


def children_up(pair):
    """The child SAs of B: an IKE SA alone carries nothing."""
    return len(re.findall(r"\bINSTALLED\b", pair.gateways[1].swanctl("--list-sas")))


def thin(curve, points=20):
    step = max(1, len(curve) // points)
    return curve[::step] + ([curve[-1]] if (len(curve) - 1) % step else [])


def idle(pair, seconds):
    """CPU of each side in milliseconds a second with every tunnel up and no traffic."""
    used = used_by(pair.pids, lambda: time.sleep(seconds))
    result = {}
    for side, pid, u in zip(("initiator", "responder"), pair.pids, used):
        for name, ms in u.by_name(pid).items():
            if ms > 1:
                result[f"idle_{side}_{name}_ms_s"] = round(ms / u.seconds, 2)
    return result


def settled(api, n):
    """How many IKE SAs are up, once those that were replaced are gone. A message that was lost is
    sent again after 4 s."""
    for _ in range(GONE_S):
        if established(api) <= n:
            break
        time.sleep(1)
    return established(api)


def rekey(pair, word, prefix):
    """A replaces all its child SAs, or all its IKE SAs; milliseconds for each, on either side."""
    api = Vici(pair.gateways[0].socket)
    rest = used_by(pair.pids, lambda: time.sleep(REST_S))

    def replace_all():
        for i in range(pair.n):
            answer = api.request("rekey", **{word: f"{prefix}{i}"})
            assert answer.get("matches") == "1", (pair.name, i, answer)
        time.sleep(REKEY_S)

    used = used_by(pair.pids, replace_all)
    result = {f"rekey_{word}_up": settled(api, pair.n)}  # charon may lose some, or be late
    api.close()
    for side, pid, u, idle_use in zip(("initiator", "responder"), pair.pids, used, rest):
        net = u.without_idle(idle_use)
        control = net.by_name(pid).get("port500d", net.total())
        result[f"rekey_{word}_{side}_ms"] = round(net.total() / pair.n, 3)
        result[f"rekey_{word}_{side}_control_ms"] = round(control / pair.n, 3)
    return result


def one(kind, n, args, certs):
    with tempfile.TemporaryDirectory(prefix="bench-ike-") as d, Network("b-") as net:
        os.symlink(certs, os.path.join(d, "pki"))
        pair = (OurPair(net, d, n, args.auth, f"memory = {args.memory}") if kind == "port500"
                else CharonPair(net, d, n, args.auth, kind == "charon"))
        result = measure(pair, args.limit)
        result["children"] = children_up(pair)
        assert result["children"] >= result["up"], result
        result["daemon"], result["auth"] = kind, args.auth
        if args.idle and result["up"] == n:
            result.update(idle(pair, args.idle))
        if args.rekey and result["up"] == n:
            result["rekey_rss_kb"] = [[rss_kb(p) for p in pair.pids]]
            for _ in range(args.rekey):
                result.update(rekey(pair, "child", "n"))
                result.update(rekey(pair, "ike", "c"))
                time.sleep(LINGER_S)
                result["rekey_rss_kb"].append([rss_kb(p) for p in pair.pids])
        for g in pair.gateways:
            g.stop()
    return result


def version(command):
    done = subprocess.run(command, text=True, capture_output=True)
    lines = [x for x in (done.stdout + done.stderr).splitlines() if re.search(r"\d+\.\d+", x)]
    return lines[0].strip() if lines else "unknown"


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        model = next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()[0], "port500": version([binary("port500d"), "--version"]),
            "strongswan": version(["swanctl", "--version"]),
            "openssl": version(["openssl", "version"])}


def summary(results):
    lines = ["milliseconds of CPU for each tunnel: the handshake, of it port500's control thread, "
             "and the whole",
             f"{'daemon':16} {'runs':>4} {'up':>6} {'seconds':>8} {'per s':>7} "
             f"{'initiator':>10} {'control':>8} {'whole':>7} "
             f"{'responder':>10} {'control':>8} {'whole':>7} {'kB':>6}"]
    for kind in dict.fromkeys(r["daemon"] for r in results):
        runs = [r for r in results if r["daemon"] == kind]

        def middle(key, runs=runs):
            return statistics.median(r[key] for r in runs)

        line = (f"{kind:16} {len(runs):4} {middle('up'):6g} {middle('seconds'):8.2f} "
                f"{middle('per_second'):7.0f} ")
        for side in ("initiator", "responder"):
            line += (f"{middle(side + '_ms'):10.3f} {middle(side + '_control_ms'):8.3f} "
                     f"{middle(side + '_whole_ms'):7.3f} ")
        lines.append(line + f"{middle('responder_kb'):6.1f}")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(prog="devtools/bench ike", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-n", type=int, default=400, help="connections (default 400)")
    p.add_argument("--runs", type=int, default=3, help="runs of each daemon, in turns (default 3)")
    p.add_argument("--daemons", default="port500,charon,charon-unlimited",
                   help="some of port500, charon, charon-unlimited (dos_protection = no: "
                        "neither cookies nor limits on half-open IKE SAs)")
    p.add_argument("--limit", type=float, default=15, help="give up after so many seconds (15)")
    p.add_argument("--idle", type=float, default=0,
                   help="with all tunnels up, measure CPU for so many seconds")
    p.add_argument("--rekey", type=int, nargs="?", const=1, default=0, metavar="TIMES",
                   help="with all tunnels up, replace all child SAs, then all IKE SAs, and so on "
                        "(once); what the daemons hold in memory before and after each time is "
                        "rekey_rss_kb")
    p.add_argument("--memory", type=int, default=512, help="port500's gateway.memory in MB (512)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    p.add_argument("--auth", choices=["psk", "ecdsa"], default="psk",
                   help="how both sides prove themselves (psk)")
    args = p.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-pki-") as certs:
        if args.auth == "ecdsa":
            pki.make(certs, args.n)
        for run in range(args.runs):
            for kind in args.daemons.split(","):
                r = one(kind, args.n, args, certs)
                results.append(r)
                print(f"run {run + 1}: " + ", ".join(f"{k} {v}" for k, v in r.items()
                                                    if k not in ("curve", "connections")
                                                    and not k.endswith("threads_ms")), flush=True)
    print()
    print(summary(results))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"machine": machine(), "results": results}, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
