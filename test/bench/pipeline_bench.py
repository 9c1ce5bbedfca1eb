"""What a packet costs in the worker's own stages, without I/O, beside raw intel-ipsec-mb.

bench_pipeline does the work: in each round every interface of the library (the fastest is the floor)
and the whole path are timed in turn on the same buffers, 256 packets each. Printed are medians of the
rounds, and what of the goals is reached. With --save the tables of docs/benchmarks/pipeline.md, its
plot and docs/benchmarks/data/pipeline.json are written anew, in some minutes:

    devtools/bench pipeline --save
"""
import argparse
import json
import os
import subprocess
import sys

import plot
import report
from rig import BUILD, machine, write_json_rows

GCM, CHACHA = "aes128gcm16", "chacha20poly1305"
SIZES = (64, 128, 256, 512, 1024, 1420, "imix")
FEW_NS, MANY_NS, MOST_TIMES, PAIR_BYTES = 25, 35, 1.5, 4096
CBC_SHARE, CHACHA_SHARE = 0.85, 0.90
LEAST_NS = 0.05  # of a stage that was there at all


def measured(args):
    """The rows of bench_pipeline, printed as they come."""
    command = [os.path.join(BUILD, "test", "bench", "bench_pipeline"), "--json",
               "--rounds", str(args.rounds), "--sas", args.sas, "--bytes", args.bytes,
               *args.proposals]
    text, suite = "", None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as p:
        for line in p.stdout:
            text += line
            if line.startswith('  {"suite"'):
                row = json.loads(line.strip().rstrip(","))
                show(row, row["suite"] != suite)
                suite = row["suite"]
    if p.returncode:
        sys.exit(p.returncode)
    found = json.loads(text)
    for row in found["rows"]:
        row["stages_ns"] = {k: v for k, v in row["stages_ns"].items() if v >= LEAST_NS}
    return found


def show(r, first):
    if first:
        print(f"\n{r['suite']}: {r['pair_bytes']} bytes for each pair of SAs; nanoseconds a packet\n"
              "    bytes    SAs   floor by        path        (quartiles)    more  ratio | stages")
    low, high = r["path_quartiles_ns"]
    stages = " ".join(f"{k} {v:.1f}" for k, v in r["stages_ns"].items() if v >= LEAST_NS)
    print(f"{r['direction']:3} {str(r['bytes']):>5} {r['sas']:6} {r['floor_ns']:7.1f} "
          f"{r['interface']:6} {r['path_ns']:7.1f} ({low:5.1f} to {high:5.1f}) "
          f"{r['difference_ns']:7.1f} {r['ratio']:6.2f} | {stages}", flush=True)


class Rows:
    def __init__(self, rows):
        self.all = rows
        self.by = {(r["suite"], r["direction"], r["bytes"], r["sas"]): r for r in rows}

    def get(self, suite, direction, size, sas):
        return self.by.get((suite, direction, size, sas))


def name_of(r):
    return f"{r['direction']}, {r['bytes']} bytes, {report.sas(r['sas'])}"


def worst(rows, key, limit, text):
    """(wanted, at the worst, verdict) of rows that are to stay at or under a limit."""
    if not rows:
        return None
    over = [r for r in rows if key(r) > limit]
    w = max(rows, key=key)
    return (text, f"{key(w):.2f} ({name_of(w)})" if limit < 10 else f"{key(w):.0f} ({name_of(w)})",
            "reached" if not over else f"missed in {len(over)} of {len(rows)} rows")


def least_share(rows, limit, text):
    if not rows:
        return None
    shares = {name_of(r) + " " + r["suite"]: 1 / r["ratio"] for r in rows}
    name, share = min(shares.items(), key=lambda x: x[1])
    under = sum(x < limit for x in shares.values())
    return (text, f"{share:.0%} ({name})",
            "reached" if not under else f"missed in {under} of {len(rows)} rows")


def goals(rows):
    """What is wanted, the worst that was measured, and whether that is enough."""
    sized = [r for r in rows.all if r["suite"] == GCM and r["bytes"] != "imix"]
    def of(sas):
        return [r for r in sized if r["sas"] == sas]
    def times(r):
        return r["path_ns"] / rows.get(GCM, r["direction"], r["bytes"], 1)["path_ns"]
    large = [r for r in rows.all if r["bytes"] == 1420 and r["sas"] == 64]
    cbc = [r for r in large if r["suite"].startswith(("aes128-sha2", "aes256-sha2", "aes256-sha3",
                                                      "aes256-sha5"))]
    pairs = {r["suite"]: r["pair_bytes"] for r in rows.all}
    found = [
        worst(of(1), lambda r: r["difference_ns"], FEW_NS,
              f"one SA: at most {FEW_NS} ns more than the raw crypto"),
        worst(of(1024), lambda r: r["difference_ns"], MANY_NS,
              f"1,024 SAs: at most {MANY_NS} ns more than the raw crypto with as many keys"),
        worst(of(10000) if of(1) else [], times, MOST_TIMES,
              f"10,000 SAs: at most {MOST_TIMES} times one"),
        least_share(cbc, CBC_SHARE, f"AES-CBC with HMAC-SHA2, 1420 bytes: {CBC_SHARE:.0%} of the "
                    "raw rate"),
        least_share([r for r in large if r["suite"] == CHACHA], CHACHA_SHARE,
                    f"ChaCha20-Poly1305, 1420 bytes: {CHACHA_SHARE:.0%} of the raw rate"),
    ]
    if pairs:
        suite, most = max(pairs.items(), key=lambda x: x[1])
        found.append((f"a pair of SAs: under {PAIR_BYTES:,} bytes", f"{most:,} ({suite})",
                      "reached" if most < PAIR_BYTES else "missed"))
    return [g for g in found if g]


def quartiles(r, key, digits=0):
    return "{:.{d}f} to {:.{d}f}".format(*r[key], d=digits)


def gcm_table(rows):
    lines = []
    for sas in sorted({r["sas"] for r in rows.all}):
        for size in SIZES:
            for d in ("out", "in"):
                r = rows.get(GCM, d, size, sas)
                if r:
                    lines.append((size, f"{sas:,}", d, f"{r['floor_ns']:.0f}", r["interface"],
                                  f"{r['path_ns']:.0f} ({quartiles(r, 'path_quartiles_ns')})",
                                  f"{r['difference_ns']:.0f} "
                                  f"({quartiles(r, 'difference_quartiles_ns')})",
                                  f"{r['ratio']:.2f}"))
    return report.table(("bytes", "SAs", "way", "floor", "by", "path (middle half)",
                         "more (middle half)", "ratio"), lines)


def suites_table(rows, sas=64):
    lines = []
    for suite in dict.fromkeys(r["suite"] for r in rows.all):
        for d in ("out", "in"):
            cells = [suite, d]
            for size in (64, 1420, "imix"):
                r = rows.get(suite, d, size, sas)
                cells += [f"{r['floor_ns']:.0f}, {r['path_ns']:.0f}",
                          f"{1 / r['ratio']:.0%}"] if r else ["-", "-"]
            lines.append(cells)
    head = ["transform", "way"]
    for size in ("64 bytes", "1420 bytes", "IMIX"):
        head += [size + ": floor, path", "share of the raw rate"]
    return report.table(head, lines)


def stages_table(rows):
    lines, columns = [], [(n, size) for size in (64, 1420) for n in (1, 1024, 10000)]
    for d in ("out", "in"):
        cells = {c: rows.get(GCM, d, c[1], c[0]) for c in columns}
        if not all(cells.values()):
            continue
        for stage in dict.fromkeys(k for c in columns for k in cells[c]["stages_ns"]):
            values = [cells[c]["stages_ns"].get(stage, 0) for c in columns]
            if max(values) >= 0.5:
                lines.append([d, stage] + [f"{v:.0f}" for v in values])
    return report.table(["way", "stage"] + [f"{size} bytes, {n:,}" for n, size in columns], lines)


def tables(rows, result):
    return {"pipeline-machine": report.machine_table(result["machine"], result["library"]),
            "pipeline-goals": report.table(("wanted", "at the worst", ""), goals(rows)),
            "pipeline-gcm": gcm_table(rows), "pipeline-suites": suites_table(rows),
            "pipeline-stages": stages_table(rows)}


def main():
    p = argparse.ArgumentParser(prog="devtools/bench pipeline", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=61, help="of each row (61)")
    p.add_argument("--sas", default="1,64,1024,10000", help="numbers of SAs (1,64,1024,10000)")
    p.add_argument("--bytes", default=",".join(map(str, SIZES)),
                   help="sizes of the inner IP packet (64,128,256,512,1024,1420,imix)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    p.add_argument("--save", action="store_true",
                   help="every transform, and the results into docs/benchmarks")
    p.add_argument("proposals", nargs="*", metavar="PROPOSAL", default=[],
                   help="ESP proposals, such as aes128-sha256, or all (aes128gcm16)")
    args = p.parse_args()
    if args.save:
        args.proposals, args.json = ["all"], report.data("pipeline.json")
    found = measured(args)
    rows = Rows(found["rows"])
    print()
    for wanted, worst_, verdict in goals(rows):
        print(f"{verdict + ':':28} {wanted}; at the worst {worst_}")
    more = {k: found[k] for k in ("library", "tsc_hz", "rounds")}
    write_json_rows(args.json, "pipeline", found["rows"], **more)
    if args.save:
        report.renew_page("pipeline.md", tables(rows, {"machine": machine(), **more}))
        plot.draw(args.json, os.path.join(report.DOCS, "pipeline.svg"))
        report.give_back()


if __name__ == "__main__":
    main()
