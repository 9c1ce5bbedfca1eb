"""Where the instructions of a packet go: the worker's stages under callgrind, by file and function.

64-byte packets of AES-128-GCM out and in, with 1, 1,024 and 10,000 SAs in random order, after every
flow is known. Instructions are exact and repeat; misses are those of a simulated first-level (48 KB)
and second-level cache (2 MB) without prefetching: what would have to be waited for if nothing were
asked for ahead. Valgrind has no AVX-512, so the library runs other code than it does otherwise: its
row says little. With --save the table of docs/benchmarks/pipeline.md and data/profile.json are
written anew:

    devtools/bench profile --save
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import report
from rig import BUILD, write_json_rows

EVENTS = ("Ir", "D1mr", "D1mw", "DLmr", "DLmw")
LINE = re.compile(r"\s*" + r"([\d,]+|\.)\s+" * len(EVENTS) + r"(\S+?):(\S.*?)(?: \[(.*)\])?$")
PER_CENT = re.compile(r"\([ \d.]+%\)")
LIBRARY = "intel-ipsec-mb"


def count(text):
    return 0 if text == "." else int(text.replace(",", ""))


def place(path, function, obj):
    """Our file and function; headers of DPDK and libc count for who has them inlined."""
    if "IPSec_MB" in obj or "IPSec_MB" in function:
        return LIBRARY
    name = os.path.basename(path)
    if "/include/" in path or name in ("???",):
        name = "headers of others"
    return f"{name}: {re.split('[ .]', function)[0]}"  # without the compiler's .constprop.0


def run(direction, sas, packets_wanted):
    """{place: {event: a packet}}"""
    rounds = packets_wanted // 256
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "callgrind.out")
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=counted_steps", "--cache-sim=yes",
             "--D1=49152,12,64", "--LL=2097152,16,64", f"--callgrind-out-file={out}",
             os.path.join(BUILD, "test", "bench", "bench_pipeline"), "--profile", direction,
             "--sas", str(sas), "--bytes", "64", "--rounds", str(rounds), "aes128gcm16"],
            text=True, capture_output=True)
        found = re.search(r"^(\d+) packets$", done.stdout, re.M)
        if not found:
            sys.exit(f"devtools/bench profile: callgrind did not come to its end:\n{done.stderr}")
        text = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100",
                               f"--show={','.join(EVENTS)}", out],
                              text=True, capture_output=True, check=True).stdout
    packets, places = int(found.group(1)), {}
    for line in text.splitlines():
        m = LINE.match(PER_CENT.sub("", line))
        if not m:
            continue
        n = len(EVENTS)
        at = places.setdefault(place(m.group(n + 1), m.group(n + 2), m.group(n + 3) or ""), [0] * n)
        for i in range(n):
            at[i] += count(m.group(i + 1))
    return {k: {"instructions": v[0] / packets, "d1_misses": (v[1] + v[2]) / packets,
                "l2_misses": (v[3] + v[4]) / packets} for k, v in places.items()}


def show(direction, sas, places):
    total = {k: sum(p[k] for p in places.values()) for k in ("instructions", "d1_misses", "l2_misses")}
    print(f"\n{direction}, {report.sas(sas)}: {total['instructions']:.0f} instructions a packet, "
          f"{total['d1_misses']:.1f} first-level and {total['l2_misses']:.1f} second-level misses")
    for name, p in sorted(places.items(), key=lambda x: -x[1]["instructions"]):
        if p["instructions"] >= 1 or p["d1_misses"] >= 0.05:
            print(f"  {p['instructions']:7.1f} {p['d1_misses']:6.2f} {p['l2_misses']:6.2f}  {name}",
                  flush=True)


def profile_table(results, direction):
    columns = [r for r in results if r["direction"] == direction]
    names = sorted({n for r in columns for n in r["places"]}, key=lambda n: -max(
        r["places"].get(n, {}).get("instructions", 0) for r in columns))
    lines, rest = [], [dict.fromkeys(("instructions", "d1_misses", "l2_misses"), 0)
                       for _ in columns]
    for name in names:
        cells = [r["places"].get(name, {"instructions": 0, "d1_misses": 0, "l2_misses": 0})
                 for r in columns]
        if max(c["instructions"] for c in cells) >= 8 or max(c["d1_misses"] for c in cells) >= 0.5:
            lines.append([f"`{name}`"] + [cell(c) for c in cells])
        else:
            for total, c in zip(rest, cells):
                for k in total:
                    total[k] += c[k]
    lines.append(["the rest"] + [cell(c) for c in rest])
    lines.append(["all"] + [cell({k: sum(p[k] for p in r["places"].values()) for k in rest[0]})
                            for r in columns])
    return report.table([direction] + [report.sas(r["sas"]) for r in columns], lines)


def cell(c):
    return f"{c['instructions']:.0f}; {c['d1_misses']:.1f}, {c['l2_misses']:.1f}"


def main():
    p = argparse.ArgumentParser(prog="devtools/bench profile", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sas", type=lambda s: [int(x) for x in s.split(",")], default=[1, 1024, 10000])
    p.add_argument("--packets", type=int, default=10240, help="that are counted (10240)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    p.add_argument("--save", action="store_true", help="the results into docs/benchmarks")
    args = p.parse_args()
    if args.save:
        args.json = report.data("profile.json")
    results = []
    for direction in ("out", "in"):
        for sas in args.sas:
            places = run(direction, sas, args.packets)
            show(direction, sas, places)
            results.append({"direction": direction, "sas": sas, "bytes": 64, "places": places})
    write_json_rows(args.json, "profile", results)
    if args.save:
        report.renew_page("pipeline.md", {f"profile-{d}": profile_table(results, d)
                                          for d in ("out", "in")})
        report.give_back()


if __name__ == "__main__":
    main()
