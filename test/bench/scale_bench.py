"""What more of everything costs: SAs, policies, routes, workers, and tunnels of the real daemon.

    sas       the worker's stages beside raw intel-ipsec-mb, 1 to 100,000 pairs of SAs, memory of each
    policies  64 to 100,000 policies, of remembered flows and by the stages, memory of each
    routes    1 to 60,000 routes, the same
    workers   two workers on two CPUs that nothing else uses: what both do by what one does, each
              with its own tunnels, and with one tunnel split over both; the price of a shared line
    daemon    the real daemon as in devtools/bench gateway, 64-byte packets, by tunnels

Packets go over all tunnels in random order. All but the last are without I/O (bench_pipeline.c,
bench_scale.c). With --save the tables of docs/benchmarks/scale.md, its plot and data/scale.json are
written anew; parts that were not measured stay as they are there:

    devtools/bench scale --save
"""
import argparse
import json
import os
import subprocess
import sys

import plot
import report
from gateway_bench import one_size, sizes_of
from rig import BUILD, LAN, WAN, Pair, Testpmd, write_json_rows

PARTS = ("sas", "policies", "routes", "workers", "daemon")
SAS = (1, 10, 100, 1000, 10000, 100000)
MODEL = (2, 4, 8, 16, 32)
WANTED_TIMES = 1.9
ADDS = 2  # of a batch to its SA: number, bytes (esp_group.h)


def rows_of(program, *argv):
    command = [os.path.join(BUILD, "test", "bench", program), *argv, "--json"]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"devtools/bench scale: {' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout)["rows"]


def sas(args):
    rows = rows_of("bench_pipeline", "--rounds", str(args.rounds), "--bytes", "64",
                   "--sas", ",".join(map(str, SAS)))
    return [{"part": "sas", **r} for r in rows]


def tables_of(part):
    def measure(args):
        return [{"part": part, **r} for r in rows_of("bench_scale", part, "--rounds",
                                                     str(args.rounds))]
    return measure


def daemon(args):
    results = []
    one = argparse.Namespace(rounds=args.daemon_rounds, seconds=0.06, esp="aes128gcm16")
    for n in args.tunnels:
        with Pair(n, one.esp) as pair:
            pmd = Testpmd(pair.shared, "testpmd", f"b.{LAN}.play", f"b.{WAN}.play")
            pmd.start()
            try:
                for size in args.sizes:
                    one.tunnels = n
                    results += one_size(pair, pmd, size, one)
            finally:
                pmd.end()
    return [{"part": "daemon", **r} for r in results]


# ---- tables ----

def of_part(results, part):
    return [r for r in results if r["part"] == part]


def sas_table(results):
    rows = of_part(results, "sas")
    first = {r["direction"]: r["path_ns"] for r in rows if r["sas"] == 1}
    lines = [(f"{r['sas']:,}", r["direction"], f"{r['floor_ns']:.0f}", f"{r['path_ns']:.0f}",
              "{:.0f} to {:.0f}".format(*r["path_quartiles_ns"]), f"{r['difference_ns']:.0f}",
              f"{r['path_ns'] / first[r['direction']]:.2f}", f"{r['pair_bytes']:,}")
             for r in sorted(rows, key=lambda r: (r["direction"] == "in", r["sas"]))]
    return report.table(("pairs of SAs", "way", "floor", "path", "middle half", "more", "by one SA",
                         "bytes a pair"), lines)


def spread_text(s, digits=0):
    low, high = s["quartiles"]
    return f"{s['median']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def lookups_table(part):
    def make(results):
        lines = [(f"{r['n']:,}", *(spread_text(r[k]) for k in (
            "out_known_ns", "out_stages_ns", "in_known_ns", "in_stages_ns")),
            f"{r['bytes_each']:,}" if r["bytes_each"] else "-", f"{r['set_ns_each'] / 1000:,.1f}")
            for r in of_part(results, part)]
        return report.table((part, "out, known", "out, stages", "in, known", "in, stages",
                             "bytes each", "us to set each"), lines)
    return make


def workers_table(results):
    lines = []
    for r in of_part(results, "workers"):
        if "times" not in r:
            continue
        times, handed = r["times"], r["what"] == "same-tunnel-in"
        verdict = "" if handed else "reached" if times["median"] >= WANTED_TIMES else "missed"
        lines.append((r["what"].replace("-", " "), r["bytes"], spread_text(r["one_ns"]),
                      spread_text(r["both_ns"]), spread_text(times, 2), verdict))
    return report.table(("tunnels", "bytes", "one alone", "each of both", "both do, by one",
                         f"wanted {WANTED_TIMES}"), lines)


def atomic_of(results):
    return next((r for r in of_part(results, "workers") if r["what"] == "atomic-add"), None)


def model(one_ns, own_ns, same_ns, workers, batch=64):
    """Times one worker, of one tunnel outbound: each batch may wait for a turn of all others."""
    waits = ADDS * max(same_ns - own_ns, 0) * (workers - 1) / batch
    line_ns = same_ns * ADDS / batch  # nobody else has the line meanwhile
    return min(workers * one_ns / (one_ns + waits), one_ns / line_ns)


def model_table(results):
    atomic, lines = atomic_of(results), []
    for r in of_part(results, "workers"):
        if r["what"] != "same-tunnel-out" or not atomic:
            continue
        own, same = (atomic[k]["median"] for k in ("own_line_ns", "same_line_ns"))
        for batch in (64, 8):
            lines.append([r["bytes"], batch] + [
                f"{model(r['one_ns']['median'], own, same, n, batch):.1f}" for n in MODEL])
    return report.table(["bytes", "packets a batch"] + [f"{n} workers" for n in MODEL], lines)


def atomic_table(results):
    r = atomic_of(results)
    return report.table(("an atomic add", "ns"), [
        ("on a line of its own", spread_text(r["own_line_ns"], 1)),
        ("on one line, two workers at once", spread_text(r["same_line_ns"], 1))] if r else [])


def daemon_table(results):
    rows = of_part(results, "daemon")
    lines = []
    for n in dict.fromkeys(r["tunnels"] for r in rows):
        for size in dict.fromkeys(r["size"] for r in rows):
            by = {r["direction"]: r["net_ns"] for r in rows if (r["tunnels"], r["size"]) == (n, size)}
            lines.append((f"{n:,}", size, *(f"{by[d]['median']:.0f} ({by[d]['from']:.0f} to "
                                            f"{by[d]['to']:.0f})" for d in ("out", "in", "both"))))
    return report.table(("tunnels", "bytes", "out", "in", "both"), lines)


TABLES = {"sas": {"scale-sas": sas_table}, "policies": {"scale-policies": lookups_table("policies")},
          "routes": {"scale-routes": lookups_table("routes")},
          "workers": {"scale-workers": workers_table, "scale-atomic": atomic_table,
                      "scale-model": model_table},
          "daemon": {"scale-daemon": daemon_table}}
MEASURE = {"sas": sas, "policies": tables_of("policies"), "routes": tables_of("routes"),
           "workers": tables_of("workers"), "daemon": daemon}


def older(path, parts):
    """What an earlier run found of the parts that this one leaves out."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        return [r for r in json.load(f)["results"] if r.get("part") not in (None, *parts)]


def main():
    p = argparse.ArgumentParser(prog="devtools/bench scale", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--parts", type=lambda s: s.split(","), default=list(PARTS),
                   help="some of them (" + ",".join(PARTS) + ")")
    p.add_argument("--rounds", type=int, default=201, help="of each row without I/O (201)")
    p.add_argument("--tunnels", type=lambda s: [int(x) for x in s.split(",")],
                   default=[1, 128, 1024], help="of the daemon (1,128,1024)")
    p.add_argument("--sizes", type=sizes_of, default=[64], help="of the daemon's packets (64)")
    p.add_argument("--daemon-rounds", type=int, default=9, help="of each number of tunnels (9)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    p.add_argument("--save", action="store_true", help="the results into docs/benchmarks")
    args = p.parse_args()
    unknown = [x for x in args.parts if x not in PARTS]
    if unknown:
        p.error(f"there is no part '{unknown[0]}': {', '.join(PARTS)}")
    path = report.data("scale.json") if args.save else args.json
    results = []
    for part in args.parts:
        found = MEASURE[part](args)
        results += found
        for make in TABLES[part].values():
            print(f"\n{part}; nanoseconds a packet", *make(found), sep="\n", flush=True)
    if args.save:
        results += older(path, args.parts)
    write_json_rows(path, "scale", results)
    if args.save:
        report.renew_page("scale.md", {name: make(results) for part in args.parts
                                       for name, make in TABLES[part].items()})
        plot.draw(path, os.path.join(report.DOCS, "scale.svg"))
        report.give_back()


if __name__ == "__main__":
    main()
