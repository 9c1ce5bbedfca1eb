"""The story's network in network namespaces: two sites and a carrier between them.

    host-a ---- gw-a ==== carrier ==== gw-b ---- host-b
       10.1.0.0/24  192.0.2.0/24  198.51.100.0/24  10.2.0.0/24

Every namespace is made here and taken away here; nothing leaves them. A prefix keeps several
networks apart, so that tests run beside a lab somebody is using.
"""
import dataclasses
import os
import signal
import subprocess
import time


@dataclasses.dataclass(frozen=True)
class Site:
    letter: str
    lan: str  # prefix
    lan_addr: str  # of the gateway
    host_addr: str
    wan_addr: str  # of the gateway
    carrier_addr: str  # next hop of the gateway
    wan6: str = ""  # the same two in IPv6, for Network.add_ipv6()
    carrier6: str = ""
    lan6: str = ""  # and for Network.add_inner_ipv6()
    lan6_addr: str = ""
    host6: str = ""


A = Site("a", "10.1.0.0/24", "10.1.0.1", "10.1.0.2", "192.0.2.1", "192.0.2.254",
         "2001:db8:a::1", "2001:db8:a::fe", "fd00:a::/64", "fd00:a::1", "fd00:a::2")
B = Site("b", "10.2.0.0/24", "10.2.0.1", "10.2.0.2", "198.51.100.1", "198.51.100.254",
         "2001:db8:b::1", "2001:db8:b::fe", "fd00:b::/64", "fd00:b::1", "fd00:b::2")
SITES = {"a": A, "b": B}
# A third one, for Network.add_site().
C = Site("c", "10.3.0.0/24", "10.3.0.1", "10.3.0.2", "203.0.113.1", "203.0.113.254")


def prefix_of_tests():
    """Of the namespaces of a test: each of pytest-xdist's workers has its own."""
    return f"t{os.environ.get('PYTEST_XDIST_WORKER', '').removeprefix('gw')}-"


class CommandFailed(Exception):
    pass


class Network:
    """Five namespaces, four wires. Use as a context manager or call up() and down()."""

    def __init__(self, prefix=""):
        self.prefix = prefix
        self.names = ["host-a", "gw-a", "carrier", "gw-b", "host-b"]

    def ns(self, name):
        return self.prefix + name

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def exists(self):
        return os.path.exists(f"/run/netns/{self.ns('carrier')}")

    def up(self):
        self.down()
        for name in self.names:
            self.add_namespace(name)
        self.sysctl("carrier", "net.ipv4.ip_forward", 1)
        for s in SITES.values():
            self.wire_site(s)
        # What the carrier forwards in clear between the two sites is counted for ever.
        self.nft("carrier", "table inet watch {\n chain forwarded {\n"
                 "  type filter hook forward priority 0; policy accept;\n"
                 f"  ip saddr {{ {A.lan}, {B.lan} }} counter comment \"clear\"\n"
                 f"  ip daddr {{ {A.lan}, {B.lan} }} counter comment \"clear\"\n"
                 f"  ip6 saddr {{ {A.lan6}, {B.lan6} }} counter comment \"clear\"\n"
                 f"  ip6 daddr {{ {A.lan6}, {B.lan6} }} counter comment \"clear\"\n }}\n}}\n")

    def add_namespace(self, name):
        ip("netns", "add", self.ns(name))
        for key in ("all", "default"):
            self.sysctl(name, f"net.ipv6.conf.{key}.disable_ipv6", 1)
        self.run(name, "ip link set lo up")

    def wire_site(self, s):
        self.wire(f"host-{s.letter}", "eth0", f"gw-{s.letter}", f"lan-{s.letter}")
        self.wire(f"gw-{s.letter}", f"wan-{s.letter}", "carrier", f"to-{s.letter}")
        self.run(f"host-{s.letter}", f"ip addr add {s.host_addr}/24 dev eth0")
        self.run(f"host-{s.letter}", f"ip route add default via {s.lan_addr}")
        self.run("carrier", f"ip addr add {s.carrier_addr}/24 dev to-{s.letter}")

    def add_site(self, s):
        """Another site at the same carrier; its clear text is counted as well."""
        for name in (f"host-{s.letter}", f"gw-{s.letter}"):
            self.remove(name)
            self.names.append(name)
            self.add_namespace(name)
        self.wire_site(s)
        self.nft("carrier", f"add rule inet watch forwarded ip saddr {s.lan} counter\n"
                 f"add rule inet watch forwarded ip daddr {s.lan} counter\n")

    def wire(self, ns1, dev1, ns2, dev2):
        ip("-n", self.ns(ns1), "link", "add", dev1, "type", "veth",
           "peer", "name", dev2, "netns", self.ns(ns2))
        for ns, dev in ((ns1, dev1), (ns2, dev2)):
            # A veth hands over unfinished checksums and oversized segments otherwise.
            self.run(ns, f"ethtool -K {dev} tx off tso off gso off gro off")
            self.run(ns, f"ip link set {dev} up")

    def down(self):
        for name in self.names:
            self.remove(name)

    def remove(self, name):
        if os.path.exists(f"/run/netns/{self.ns(name)}"):
            stop_all(namespace_pids(self.ns(name)))
            ip("netns", "del", self.ns(name))

    def keep_linux_off(self, site):
        """The gateway's DPDK ports stand on these devices: Linux must not answer on them too."""
        s = site.letter
        self.nft(f"gw-{s}", "table netdev port500 {\n" + "".join(
            f" chain {dev} {{\n  type filter hook ingress device \"{dev}-{s}\" priority 0;"
            " policy drop;\n }\n" for dev in ("lan", "wan")) + "}\n")

    def linux_gateway(self, site):
        """Addresses and routes for a gateway whose dataplane is Linux (strongSwan)."""
        gw = f"gw-{site.letter}"
        self.sysctl(gw, "net.ipv4.ip_forward", 1)
        self.run(gw, f"ip addr add {site.lan_addr}/24 dev lan-{site.letter}")
        self.run(gw, f"ip addr add {site.wan_addr}/24 dev wan-{site.letter}")
        self.run(gw, f"ip route add default via {site.carrier_addr}")

    def add_ipv6(self):
        """IPv6 between the gateways as well. Before they start: their TAPs are made then."""
        for name in ("gw-a", "gw-b"):
            for key in ("default", "lo"):
                self.sysctl(name, f"net.ipv6.conf.{key}.disable_ipv6", 0)
        self.sysctl("carrier", "net.ipv6.conf.lo.disable_ipv6", 0)
        for s in SITES.values():
            self.sysctl("carrier", f"net.ipv6.conf.to-{s.letter}.disable_ipv6", 0)
            self.run("carrier", f"ip addr add {s.carrier6}/64 dev to-{s.letter} nodad")
        self.sysctl("carrier", "net.ipv6.conf.all.forwarding", 1)

    def add_inner_ipv6(self):
        """IPv6 between the hosts and their gateways. Before the gateways start."""
        for s in SITES.values():
            for key in ("default", "lo"):
                self.sysctl(f"gw-{s.letter}", f"net.ipv6.conf.{key}.disable_ipv6", 0)
            host = f"host-{s.letter}"
            for dev in ("lo", "eth0"):
                self.sysctl(host, f"net.ipv6.conf.{dev}.disable_ipv6", 0)
            self.run(host, f"ip addr add {s.host6}/64 dev eth0 nodad")
            self.run(host, f"ip -6 route add default via {s.lan6_addr} dev eth0")

    def linux_gateway6(self, site):
        gw, wan = f"gw-{site.letter}", f"wan-{site.letter}"
        self.sysctl(gw, f"net.ipv6.conf.{wan}.disable_ipv6", 0)
        self.run(gw, f"ip addr add {site.wan6}/64 dev {wan} nodad")
        self.run(gw, f"ip route add default via {site.carrier6} dev {wan}")

    def linux_gateway6_inner(self, site):
        """The same for its LAN."""
        gw, lan = f"gw-{site.letter}", f"lan-{site.letter}"
        self.sysctl(gw, "net.ipv6.conf.all.forwarding", 1)
        self.sysctl(gw, f"net.ipv6.conf.{lan}.disable_ipv6", 0)
        self.run(gw, f"ip addr add {site.lan6_addr}/64 dev {lan} nodad")

    def nat(self, site, ports):
        """Hides a site's gateway behind the carrier's address on the other side, its UDP ports
        replaced by some of `ports`. None: no NAT, for nobody."""
        rules = ""
        for family in ("ip", "ip6"):
            rules += f"table {family} nat_lab\ndelete table {family} nat_lab\n"
            if site:
                addr = site.wan_addr if family == "ip" else site.wan6
                rules += (f"table {family} nat_lab {{\n chain leaving {{\n"
                          "  type nat hook postrouting priority srcnat; policy accept;\n"
                          f"  {family} saddr {addr} iifname \"to-{site.letter}\""
                          f" meta l4proto udp masquerade to :{ports}\n }}\n}}\n")
        self.nft("carrier", rules)

    def sysctl(self, name, key, value):
        self.run(name, ["sysctl", "-q", "-w", f"{key}={value}"])

    def nft(self, name, ruleset):
        self.run(name, ["nft", "-f", "-"], stdin=ruleset)

    def clear_forwarded(self):
        """Packets between the sites' networks that the carrier has forwarded in clear."""
        text = self.run("carrier", "nft list table inet watch")
        words = text.split()
        return sum(int(words[i + 1]) for i, w in enumerate(words) if w == "packets")

    def argv(self, name, command):
        if isinstance(command, str):
            command = command.split()
        return ["ip", "netns", "exec", self.ns(name), *command]

    def run(self, name, command, check=True, stdin=None, timeout=120):
        """Runs a command in a namespace and returns what it printed, errors included."""
        done = subprocess.run(self.argv(name, command), input=stdin, timeout=timeout, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              **({} if stdin else {"stdin": subprocess.DEVNULL}))
        if check and done.returncode:
            raise CommandFailed(f"{name}: {command}: exit {done.returncode}\n{done.stdout}")
        return done.stdout

    def status(self, name, command, timeout=120):
        """Runs a command and returns (exit status, stdout, stderr)."""
        done = subprocess.run(self.argv(name, command), timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        return done.returncode, done.stdout, done.stderr

    def start(self, name, command, log, env=None):
        """Starts a command in the background, its output in the file `log`."""
        with open(log, "ab") as out:
            return subprocess.Popen(self.argv(name, command), stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=out, env=dict(os.environ, **(env or {})),
                                    start_new_session=True)


def ip(*args):
    done = subprocess.run(["ip", *args], text=True, capture_output=True)
    if done.returncode:
        raise CommandFailed(f"ip {' '.join(args)}: {done.stderr.strip()}")


def namespace_pids(ns):
    done = subprocess.run(["ip", "netns", "pids", ns], text=True, capture_output=True)
    return [int(p) for p in done.stdout.split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def stop_all(pids, grace_s=5):
    """Ends processes that run inside a namespace of ours: politely, then for good."""
    for sig, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 2)):
        for pid in filter(alive, pids):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        end = time.monotonic() + wait_s
        while any(map(alive, pids)):
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        else:
            return


def wait_for(what, condition, timeout_s=10.0, every_s=0.05):
    """Waits until condition() is true and returns its value; else fails naming `what`."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise CommandFailed(f"waited {timeout_s:g} s in vain for: {what}")
        time.sleep(every_s)
