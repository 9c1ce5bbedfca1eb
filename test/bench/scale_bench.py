"""What more tunnels cost: the real daemon as in devtools/bench gateway, 64-byte packets, by tunnels.

Packets go over all tunnels in random order. Numbers of tunnels
follow each other, so the machine's noise is between them: look at devices as well (--json). More SAs
than IKE sets up in reasonable time, policies, memory and two workers: devtools/bench pipeline,
policy and tables.
"""
import argparse

from gateway_bench import one_size, sizes_of
from rig import LAN, WAN, Pair, Testpmd, write_json


def main():
    p = argparse.ArgumentParser(prog="devtools/bench scale", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tunnels", type=lambda s: [int(x) for x in s.split(",")],
                   default=[1, 16, 128, 1024], help="numbers of tunnels (1,16,128,1024)")
    p.add_argument("--sizes", type=sizes_of, default=[64])
    p.add_argument("--rounds", type=int, default=9, help="of each number (9)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    args = p.parse_args()
    args.seconds, args.esp = 0.06, "aes128gcm16"
    results = []
    print(f"{'tunnels':>7} {'size':>5} {'way':>5} {'ns/packet':>9} {'net of devices':>15} "
          f"{'by the first':>13}")
    for n in args.tunnels:
        with Pair(n, args.esp) as pair:
            pmd = Testpmd(pair.shared, "testpmd", f"b.{LAN}.play", f"b.{WAN}.play")
            pmd.start()
            try:
                for size in args.sizes:
                    one = argparse.Namespace(**{**vars(args), "tunnels": n})
                    results += one_size(pair, pmd, size, one)
            finally:
                pmd.end()
        for r in results[-3 * len(args.sizes):]:
            first = next(x for x in results if (x["size"], x["direction"]) ==
                         (r["size"], r["direction"]))
            print(f"{r['tunnels']:7} {str(r['size']):>5} {r['direction']:>5} "
                  f"{r['ns']['median']:9.1f} {r['net_ns']['median']:15.1f} "
                  f"{r['net_ns']['median'] / first['net_ns']['median']:13.2f}", flush=True)
    write_json(args.json, "scale", results)


if __name__ == "__main__":
    main()
