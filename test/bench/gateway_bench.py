"""The real daemon at full rate, one worker, no NIC: nanoseconds a packet, rates and losses.

Two port500d with tunnels made by IKE (rig.py) take turns on one CPU. bench_device.so is preloaded
into them: behind their net_null ports it makes packets and swallows them, in the worker itself.
"out": packets from the LAN leave as ESP. "in": ESP that the other gateway has made, each packet
once, so that the anti-replay window is on and at work. "both": both at once, in equal parts.

Time is the worker's CPU time (the scheduler's, so that who shares the machine costs no time, only
cache), by packets that came in. "devices" is what testpmd's plain forwarding of the same packets
takes between the same devices, in the same rounds: "net" is without it. Sizes are bytes of the
inner IP packet; IMIX is 64, 570 and 1420 in the ratio 7:4:1.
"""
import argparse

import bench_device as dev
from rig import LAN, WAN, Pair, Testpmd, Turn, spread, write_json

DIRECTIONS = ("out", "in", "both")


def packets_of(size):
    """As many as the file that keeps them has room for, and not more than it takes."""
    return min(200_000, dev.BYTES_MAX // 1700 if size == dev.IMIX or size > 700 else 200_000)


def one_round(pair, pmd, n, seconds):
    """{direction: difference} of port500 and {direction: ns} of testpmd."""
    a, b = pair.gateways
    ours, plain = {}, {}
    with Turn(a):
        ours["out"] = a.measure([dev.LOOP, dev.NONE], seconds)
        a.record(WAN, [dev.LOOP, dev.NONE], n)
    with Turn(b):
        ours["in"] = b.once([dev.NONE, dev.ONCE])
    with Turn(a):
        a.record(WAN, [dev.LOOP, dev.NONE], n)
    with Turn(b):
        ours["both"] = b.once([dev.LOOP, dev.ONCE])
    with Turn(pmd):
        plain["out"] = pmd.measure([dev.LOOP, dev.NONE], seconds / 2)["ns"]
        plain["in"] = pmd.once([dev.NONE, dev.ONCE])["ns"]
        plain["both"] = pmd.once([dev.LOOP, dev.ONCE])["ns"]
    return ours, plain


def drops(gateways):
    total = {}
    for g in gateways:
        with Turn(g):
            for reason, count in g.drops().items():
                total[reason] = total.get(reason, 0) + count
    return total


def one_size(pair, pmd, size, args):
    for g in pair.gateways:
        g.load(size)
    before, rounds = drops(pair.gateways), []
    for i in range(args.rounds + 1):
        r = one_round(pair, pmd, packets_of(size), args.seconds)
        if i > 0:  # the first one touches memory for the first time
            rounds.append(r)
    lost = {k: v - before.get(k, 0) for k, v in drops(pair.gateways).items()
            if v > before.get(k, 0)}
    return [summary(size, args, d, rounds, lost) for d in DIRECTIONS]


def summary(size, args, direction, rounds, lost):
    ours = [r[0][direction] for r in rounds]
    result = {"size": size, "tunnels": args.tunnels, "esp": args.esp, "direction": direction,
              "ns": spread([x["ns"] for x in ours]),
              "devices_ns": spread([r[1][direction] for r in rounds]),
              "net_ns": spread([r[0][direction]["ns"] - r[1][direction] for r in rounds]),
              "packets": sum(sum(x["rx"]) for x in ours), "lost_by_reason": lost,
              "no_mbufs": sum(x["no_mbufs"] for x in ours)}
    if direction != "out":  # a whole number of packets went in; in "out" some are on their way
        result["lost"] = sum(sum(x["rx"]) - sum(x["tx"]) for x in ours)
    result["packets_a_second"] = round(1e9 / result["ns"]["median"])
    return result


def show(r):
    lost = ", ".join(f"{k} {v}" for k, v in r["lost_by_reason"].items()) or "nothing"
    print(f"{str(r['size']):>5} {r['tunnels']:>6} {r['direction']:>5} {r['ns']['median']:8.1f} "
          f"{r['ns']['from']:7.1f} to {r['ns']['to']:7.1f} {r['devices_ns']['median']:8.1f} "
          f"{r['net_ns']['median']:8.1f} {r['packets_a_second'] / 1e6:6.2f}  {lost}", flush=True)


def sizes_of(text):
    return [dev.IMIX if s == dev.IMIX else int(s) for s in text.split(",")]


def main():
    p = argparse.ArgumentParser(prog="devtools/bench gateway", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sizes", type=sizes_of, default=sizes_of("64,128,256,512,1024,1420,IMIX"))
    p.add_argument("--tunnels", type=int, default=1, help="with traffic in random order (1)")
    p.add_argument("--esp", default="aes128gcm16", help="the ESP proposal (aes128gcm16)")
    p.add_argument("--rounds", type=int, default=11, help="of each size (11)")
    p.add_argument("--seconds", type=float, default=0.06, help="of a turn of out (0.06)")
    p.add_argument("--memory", type=int, default=512, help="gateway.memory in MB (512)")
    p.add_argument("--json", metavar="FILE", help="write all results there")
    args = p.parse_args()
    results = []
    with Pair(args.tunnels, args.esp, args.memory) as pair:
        pmd = Testpmd(pair.shared, "testpmd", f"b.{LAN}.play", f"b.{WAN}.play")
        pmd.start()
        try:
            print(" size tunnels  way ns/packet  middle half         devices      net   Mpps  lost")
            for size in args.sizes:
                for r in one_size(pair, pmd, size, args):
                    results.append(r)
                    show(r)
        finally:
            pmd.end()
    write_json(args.json, "gateway", results)


if __name__ == "__main__":
    main()
