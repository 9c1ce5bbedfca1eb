"""devtools/lab: the story's network, up and for hands on."""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

from gateways import CLEAR, ESP, IKE, BUILD, Capture, Charon, Port500
from topology import A, B, CommandFailed, Network, wait_for

STATE = "/run/port500-lab"
PICTURE = """
 host-a            gw-a                      carrier                      gw-b            host-b
 10.1.0.2 ---- 10.1.0.1 | 192.0.2.1 ==== .254   .254 ==== 198.51.100.1 | 10.2.0.1 ---- 10.2.0.2
                                     IKE and ESP, nothing else
"""
PATTERN = "77686f6d6f7665646d79706f72743530"  # "whomovedmyport50", filled into every ping


def network():
    return Network()


def gateways(net, peer):
    a = Port500(net, A, STATE)
    b = Port500(net, B, STATE) if peer == "port500" else Charon(net, B, STATE)
    return a, b


def up(args):
    net = network()
    if net.exists():
        print("a lab is already up: taking it down first")
    down(args, quiet=True)
    os.makedirs(STATE, mode=0o700, exist_ok=True)
    with open(os.path.join(STATE, "lab.json"), "w", encoding="utf-8") as f:
        json.dump({"peer": args.peer, "build": BUILD}, f)
    try:
        net.up()
        a, b = gateways(net, args.peer)
        print(PICTURE)
        step(f"gateway B: {args.peer}")
        b.start()
        capture = Capture(net, os.path.join(STATE, "carrier.pcap"))
        step("gateway A: port500")
        a.start()
        step("waiting for the tunnel")
        a.wait_child(30)
        b.wait_child(30)
        show(a, b, net, capture, args)
    except CommandFailed as e:
        print(f"\nThe lab did not come up: {e}", file=sys.stderr)
        print(f"Logs and configurations are in {STATE}; devtools/lab down takes it away.",
              file=sys.stderr)
        return 1
    print(f"""
The lab stays up. Next:
  devtools/lab shell host-a        a shell in a namespace (host-a, gw-a, carrier, gw-b, host-b);
                                   in gw-a, `port500 status` talks to its daemon
  devtools/lab down                take it all away
Configurations, logs and the capture: {STATE}""")
    return 0


def step(text):
    print(f"-- {text}", flush=True)


def heading(text):
    print(f"\n== {text}", flush=True)


def show(a, b, net, capture, args):
    heading("the tunnel, seen by gateway A: port500 status")
    print(a.cli("status").rstrip())
    if args.peer == "strongswan":
        heading("the same tunnel, seen by strongSwan: swanctl --list-sas")
        print(b.swanctl("--list-sas").rstrip())

    heading("ping from host-a to host-b")
    out = net.run("host-a", f"ping -c 10 -i 0.1 -p {PATTERN} {B.host_addr}", check=False)
    print(out.rstrip())
    if " 0% packet loss" not in out:
        raise CommandFailed("ping lost packets")
    capture.stop()

    heading(f"iperf3, TCP, {args.seconds} s from host-a to host-b")
    server = net.start("host-b", "iperf3 -s -1", os.path.join(STATE, "iperf3.log"))
    wait_for("iperf3's server", lambda: ":5201" in net.run("host-b", "ss -Hltn"))
    out = net.run("host-a", f"iperf3 -c {B.host_addr} -t {args.seconds}", check=False)
    server.wait(10)
    print("\n".join(line for line in out.splitlines() if re.search(r"sender|receiver|error", line)))
    if "receiver" not in out:
        raise CommandFailed(f"iperf3 did not finish:\n{out}")

    heading("what the carrier saw until the end of the ping (tcpdump on its side of gateway A)")
    clear = capture.lines(CLEAR)
    print(f"  {len(capture.lines(IKE)):6} packets of IKE")
    print(f"  {len(capture.lines(ESP)):6} packets of ESP")
    print(f"  {len(clear):6} packets between the hosts in clear")
    readable = capture.holds(bytes.fromhex(PATTERN))
    print(f"  the ping's payload is {'READABLE' if readable else 'nowhere to be read'}")
    forwarded = net.clear_forwarded()
    print(f"  {forwarded:6} packets of the sites' networks forwarded in clear, iperf3 included")
    if clear or readable or forwarded:
        raise CommandFailed("clear text on the carrier's wire")


def down(_args, quiet=False):
    net = network()
    was_up = net.exists()
    net.down()
    shutil.rmtree(STATE, ignore_errors=True)
    if not quiet:
        print("the lab is down, nothing is left" if was_up else "no lab is up")
    return 0


def shell(args):
    net = network()
    if args.namespace not in net.names:
        print(f"devtools/lab: no namespace '{args.namespace}': {', '.join(net.names)}",
              file=sys.stderr)
        return 2
    if not net.exists():
        print("devtools/lab: no lab is up; devtools/lab brings it up", file=sys.stderr)
        return 1
    env = dict(os.environ, PS1=f"{args.namespace}# ")
    env["PATH"] = ":".join([f"{BUILD}/control", f"{BUILD}/control/cli", env.get("PATH", "")])
    if args.namespace.startswith("gw-"):
        letter = args.namespace[-1]
        env["PORT500_SOCKET"] = f"{STATE}/gw-{letter}.vici"
        charon = f"{STATE}/charon-{letter}.vici"
        if os.path.exists(charon):
            print(f"this gateway is strongSwan: swanctl --list-sas --uri unix://{charon}")
    command = args.command or ["bash", "--norc", "-i"]
    return subprocess.call(net.argv(args.namespace, command), env=env)


def main():
    p = argparse.ArgumentParser(prog="devtools/lab", description=__doc__)
    p.add_argument("--peer", choices=("port500", "strongswan"), default="port500",
                   help="what gateway B is (default: port500)")
    p.add_argument("--seconds", type=int, default=5, help="length of the iperf3 run (default: 5)")
    p.set_defaults(run=up)
    sub = p.add_subparsers(metavar="COMMAND")
    sub.add_parser("up", help="bring the lab up and show that it works (default)")\
        .set_defaults(run=up)
    sub.add_parser("down", help="take the lab away").set_defaults(run=down)
    s = sub.add_parser("shell", help="a shell, or one command, in a namespace")
    s.add_argument("namespace")
    s.add_argument("command", nargs=argparse.REMAINDER)
    s.set_defaults(run=shell)
    args = p.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
