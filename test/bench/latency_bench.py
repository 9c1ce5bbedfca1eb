"""A packet's time through the gateway, from when it arrives to when it is given to the device.

One port500d, outbound, as in devtools/bench gateway. Packets arrive one by one at an even pace, like
at a NIC whose queue holds 1,024; each keeps its time of arrival (TSC), and the sink reads the clock
when the worker sends it, so waiting for the worker counts. The highest lossless rate is the highest
at which no packet was missed in most of the short turns: on a shared machine a worker loses its CPU
now and then, for longer than a queue lasts. At 10, 50 and 90 per cent of that rate, percentiles are
medians over turns: what the machine itself takes away shows in the highest ones.
"""
import argparse
import statistics

import bench_device as dev
from gateway_bench import sizes_of
from rig import Pair, Turn, write_json

PER_CENT = (50, 90, 99, 99.9)


def turn(gateway, rate, seconds):
    """One turn at a rate: (packets that were missed, received, percentiles in microseconds)."""
    ctl = gateway.ctl
    with Turn(gateway):
        gateway.ask([dev.PACED, dev.NONE], pace=int(ctl.tsc_hz / rate * 65536))
        dev.time.sleep(seconds)
        d = dev.difference(ctl.begin, gateway.now())
        took = list(ctl.took)
        gateway.ask([dev.NONE, dev.NONE])
    return d["missed"], d["rx"][0], dev.percentiles(took, ctl.tsc_hz, PER_CENT)


def highest(gateway, args):
    """The highest lossless rate, to 3 per cent, at or under what the CPU has time for."""
    with Turn(gateway):
        ns = min(gateway.measure([dev.LOOP, dev.NONE], 0.05)["ns"] for _ in range(5))
    rate = 1e9 / ns
    while rate > 1000:
        lossless = [turn(gateway, rate, args.seconds)[0] == 0 for _ in range(args.turns)]
        if sum(lossless) * 2 > len(lossless):
            return rate
        rate *= 0.97
    raise SystemExit("devtools/bench latency: packets are lost at any rate: is the machine busy?")


def main():
    p = argparse.ArgumentParser(prog="devtools/bench latency", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sizes", type=sizes_of, default=sizes_of("64,1420,IMIX"))
    p.add_argument("--turns", type=int, default=9, help="of each rate (9)")
    p.add_argument("--seconds", type=float, default=0.02, help="of a turn (0.02)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    args = p.parse_args()
    results = []
    print(f"{'size':>5} {'of it':>6} {'Mpps':>6} {'missed in':>10}  "
          + " ".join(f"{x:>7} %" for x in PER_CENT) + "  us")
    with Pair() as pair:
        for size in args.sizes:
            pair.a.load(size)
            rate = highest(pair.a, args)
            for share in (10, 50, 90):
                turns = [turn(pair.a, rate * share / 100, args.seconds) for _ in range(args.turns)]
                us = {str(x): statistics.median(t[2][str(x)] for t in turns) for x in PER_CENT}
                r = {"size": size, "per_cent_of_highest": share,
                     "packets_a_second": round(rate * share / 100), "us": us,
                     "turns": args.turns, "turns_with_missed": sum(t[0] > 0 for t in turns),
                     "packets": sum(t[1] for t in turns)}
                results.append(r)
                print(f"{str(size):>5} {share:4} % {r['packets_a_second'] / 1e6:6.2f} "
                      f"{r['turns_with_missed']:3} of {args.turns:3}  "
                      + " ".join(f"{us[str(x)]:9.2f}" for x in PER_CENT), flush=True)
    write_json(args.json, "latency", results)


if __name__ == "__main__":
    main()
