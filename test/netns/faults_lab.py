"""The fault laboratory: what can go wrong between two gateways, and what the doctor must say of it.

FAULTS is the table: how to break it, the symptom by which something else than the doctor sees that
it is broken, and for one side or both the code, the owner and the status that `port500 doctor
--json` must give. Each fault begins with two fresh gateways (their memory of the fault before would
be evidence) in one network; A initiates. Afterwards it is healed, and the tunnel has to carry again.
"""
import ctypes
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
import typing

from echo import ping
from gateways import BUILD, Port500, binary
from topology import A, B, CommandFailed, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))

FLOOD = os.path.join(BUILD, "test", "netns", "flood")
FLOOD_RATE = 5000
TO_B = f"ip saddr {A.wan_addr} ip daddr {B.wan_addr}"
TO_A = f"ip saddr {B.wan_addr} ip daddr {A.wan_addr}"


@dataclasses.dataclass(frozen=True)
class Says:
    """The answer of one doctor. Several codes: any of them is right. `candidates`: all of these
    must be named, where one side cannot know."""
    code: str
    owner: str
    status: str = "down"
    candidates: str = ""
    probe: bool = False

    def misses(self, answer):
        """What of the answer is not as it should be, in words."""
        found = []
        for key in ("code", "owner", "status"):
            if answer[key] not in getattr(self, key).split():
                found.append(f"{key} {answer[key]}, not {getattr(self, key)}")
        named = {c["code"] for c in answer.get("candidates", {}).values()}
        missing = set(self.candidates.split()) - named
        if missing:
            found.append(f"candidates {' '.join(sorted(named)) or 'none'}, "
                         f"without {' '.join(sorted(missing))}")
        return "; ".join(found)


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    hurt: typing.Callable  # lab ->
    symptom: typing.Callable  # lab -> true when it shows
    a: Says | None = None
    b: Says | None = None
    heal: typing.Callable = lambda lab: None  # rules, addresses and configurations heal anyway
    first: str = "up"  # the tunnel is up before; "down": nobody has tried; "try": A tries after it
    conf_a: dict = dataclasses.field(default_factory=dict)  # for default_config()
    conf_b: dict = dataclasses.field(default_factory=dict)
    change_a: tuple = ()  # pairs for replace() in the text
    change_b: tuple = ()
    prepare: typing.Callable = lambda lab: None
    wait_s: float = 20.0
    recovers: bool = True
    needs: str = ""  # a key of gateway { } that not every build has
    note: str = ""


class Lab:
    """One network, and two new gateways for each fault."""

    def __init__(self, net, directory):
        self.net, self.dir = net, str(directory)
        self.a = self.b = None
        self.name = self.state = self.since = self.ruled = None
        self.n, self.helpers, self.undo = 0, [], []

    # ---- from one fault to the next ----

    def begin(self, fault):
        self.n += 1
        where = os.path.join(self.dir, str(self.n))
        self.a, self.b = Port500(self.net, A, where), Port500(self.net, B, where)
        fault.prepare(self)
        self.b.start(self.text(self.b, fault.conf_b, fault.change_b, False))
        if fault.first != "try":
            self.start_a(fault)
        if fault.first == "up":
            self.a.cli("up net --timeout 20")
            self.b.wait_child()

    def start_a(self, fault):
        self.a.start(self.text(self.a, fault.conf_a, fault.change_a, fault.first == "try"))

    def text(self, gw, conf, change, start):
        conf = dict(conf)
        conf["gateway"] = ("ike {\n retransmit_timeout = 1s\n retransmit_base = 1\n retransmit_tries = 10\n }\n"
                           "workers = 2\n"
                           + conf.get("gateway", ""))
        text = gw.default_config(start=start, **conf).replace(
            "STATE", f"state_dir = {self.state}")
        for old, new in change:
            assert old in text, (old, text)
            text = text.replace(old, new)
        return text

    def mend(self, fault):
        fault.heal(self)
        for undo in reversed(self.undo):
            undo()
        self.undo = []
        self.stop_helpers()

    def works(self):
        """After healing, perhaps with the configurations as they should be: it carries again."""
        for gw, start in ((self.b, False), (self.a, False)):
            if gw.ended():
                gw.start(self.text(gw, {}, (), start))
            else:
                gw.write_config(self.text(gw, {}, (), start))
                gw.cli("reload")
        wait_for("the tunnel after healing", self.carries, 30, 0.5)

    def carries(self):
        self.a.cli("up net --timeout 5", check=False)
        return " 0% packet loss" in self.net.run(
            "host-a", f"ping -c 3 -i 0.1 -W 1 {B.host_addr}", check=False)

    def end(self):
        for undo in reversed(self.undo):
            undo()
        self.undo = []
        self.stop_helpers()
        for gw in (self.a, self.b):
            if gw and gw.process:
                gw.stop()

    # ---- tools to break things with ----

    def rule(self, *rules, name="carrier", hook="forward"):
        """Filters a namespace's packets; each rule counts what it hits."""
        body = "\n ".join(r if "counter" in r else f"{r} counter drop" for r in rules)
        self.net.nft(name, "table inet fault {\n chain c {\n type filter hook "
                     f"{hook} priority -10; policy accept;\n {body}\n }}\n}}\n")
        self.undo.append(lambda: self.net.run(name, "nft delete table inet fault"))
        self.ruled = name

    def hits(self):
        """How many packets the rules have hit."""
        text = self.net.run(self.ruled, "nft list table inet fault")
        return sum(map(int, re.findall(r"packets (\d+)", text)))

    def helper(self, name, command):
        p = self.net.start(name, command, os.path.join(self.dir, f"helper-{self.n}"))
        self.helpers.append(p)
        return p

    def stop_helpers(self):
        for p in self.helpers:
            if p.poll() is None:
                p.terminate()
            p.wait(10)
        self.helpers = []

    def do(self, name, command, undo):
        self.net.run(name, command)
        self.undo.append(lambda: self.net.run(name, undo, check=False))

    def ping(self, host="host-a", count=10, size=56, interval=0.1, more=""):
        """How many of so many echoes are answered."""
        to = B.host_addr if host == "host-a" else A.host_addr
        return ping(self.net, host, to, count, f"-i {interval} -s {size} {more}", wait=1)[1]

    def up(self, timeout=5):
        """What `port500 up` of A says; "" when it is up."""
        status, _, err = self.a.cli(f"up net --timeout {timeout}", check=False)
        return err.strip() if status else ""

    def flood(self, source, ttl=63):
        self.helper("carrier", f"{FLOOD} {B.wan_addr} {source} {FLOOD_RATE} 60 {ttl}")

    def python(self, name, code, *args):
        return self.helper(name, [sys.executable, "-c", code, *map(str, args)])

    # ---- the doctor ----

    def doctor(self, gw, probe=False):
        status, out, err = gw.cli(["--json", "doctor", "lab", *(["--probe"] if probe else [])],
                                  check=False, timeout=90)
        if not out.startswith("{"):
            raise CommandFailed(f"port500 doctor: exit {status}\n{out}{err}")
        return json.loads(out)["doctor"][0]["lab"]


def has_doctor(word="doctor"):
    command = [binary("port500"), "--help"] if word == "doctor" else [
        binary("port500"), "doctor", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    return word in done.stdout


def knows(lab, key):
    """Is that a key of gateway { }?"""
    path = os.path.join(lab.dir, "knows.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"gateway {{\n {key} = /\n}}\n")
    done = subprocess.run([binary("port500d"), "--check", path], capture_output=True, text=True)
    return "unknown key" not in done.stdout + done.stderr


# ---- ways to break things ----

def drop(*rules):
    return lambda lab: lab.rule(*rules)


def drop_and_try(*rules):
    def hurt(lab):
        lab.rule(*rules)
        lab.start_a(BY_NAME[lab.name])
    return hurt


def tries(lab):
    lab.start_a(BY_NAME[lab.name])


def hit(n):
    return lambda lab: lab.hits() >= n


def silent(lab):
    """Three messages or more went nowhere, and there is no IKE SA."""
    return lab.hits() >= 3 and "ESTABLISHED" not in lab.a.swanctl("--list-sas")


def refused(words):
    return lambda lab: re.search(words, lab.up())


# Long enough for the doctor, who looks at counters once a second.
def pings_lost(lab):
    return lab.ping(count=35) == 0


def both_pings_lost(lab):
    return pings_lost(lab) and lab.ping("host-b", count=35) == 0


def ike_dead_esp_alive(lab):
    """A has asked whether B lives, in vain; then ESP shows that it does."""
    return lab.hits() >= 1 and lab.ping(count=60) == 60


def guard_counts(key, n):
    return lambda lab: int(lab.b.json("show guard")["messages"][key]["messages"]) >= n


def drops(gw, name, n):
    return lambda lab: getattr(lab, gw).drops().get(name, 0) >= n


def waits(seconds):
    """For what shows only by the time that it lasts."""
    def symptom(lab):
        lab.since = lab.since or time.monotonic()
        return time.monotonic() - lab.since >= seconds
    return symptom


def certificates(lab, not_before=None, not_after=None, names=0, whose="gw-b"):
    from test_strongswan_certs import Pki  # pylint: disable=import-outside-toplevel
    directory = os.path.join(lab.dir, f"pki-{lab.n}")
    os.makedirs(directory)
    pki = Pki(directory)
    args = {"gw-a": [a for i in range(names)
                     for a in ("--san", f"another-name-of-ours-{i}.example")], "gw-b": []}
    if not_before:
        args[whose] += ["--not-before", not_before, "--not-after", not_after,
                        "--dateform", "%d.%m.%y %H:%M:%S"]
    for name, more in args.items():
        pki.end(name, args=more)
    for gw in (lab.a, lab.b):
        pki.give(gw.dir, gw.ns, "root")


def by_certificate(us):
    return (("auth = psk", "auth = pubkey"), ("local {\n", f"local {{\n certs = {us}.pem\n"))


def next_year(delta):
    return time.strftime("%d.%m.%y 00:00:00", time.gmtime(time.time() + delta * 86400))


def kill_b(lab):
    """The peer's machine is gone, with its addresses."""
    lab.b.stop()


def restart_b(lab):
    """As after a power cut: without a word to its peer."""
    os.kill(lab.b.process.pid, 9)
    lab.b.process.wait(5)
    if os.path.exists(lab.b.socket):
        os.unlink(lab.b.socket)
    lab.b.start(lab.text(lab.b, {}, (), True))
    lab.b.wait_child()


def not_listening(lab):
    """B's machine is there, its daemon is not: Linux answers for it."""
    lab.b.stop()
    lab.net.run("gw-b", "nft flush ruleset")
    lab.do("gw-b", f"ip addr add {B.wan_addr}/24 dev wan-b",
           f"ip addr del {B.wan_addr}/24 dev wan-b")
    lab.net.run("gw-b", f"ip route add default via {B.carrier_addr}")
    tries(lab)


# Ends with the true one: healing is not to wait for the neighbours' caches.
ARP = """
import signal, socket, struct, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
dev, ip, seconds = sys.argv[1], socket.inet_aton(sys.argv[2]), float(sys.argv[3])
true = bytes.fromhex(open(f"/sys/class/net/{dev}/address").read().strip().replace(":", ""))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806))
s.bind((dev, 0x806))
def say(mac):
    arp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac + ip + bytes(6) + ip
    s.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + arp)

end, n = time.monotonic() + seconds, 0
try:
    while time.monotonic() < end:
        say(true if n % 2 else bytes.fromhex("02dead00beef"))
        n += 1
        time.sleep(0.25)
finally:
    time.sleep(1.1)  # Linux believes a second one only after a second
    say(true)
"""

RESPONSES = """
import socket, os, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[2])):
    time.sleep(0.002)
    s.sendto(os.urandom(16) + bytes([0, 0x20, 34, 0x20]) + bytes(4) + (28).to_bytes(4, "big"),
             (sys.argv[1], 500))
"""

# Sends the ESP packets of a capture again, as they are, or with other bytes in their ICV.
AGAIN = """
import socket, struct, sys
data, forge, times = open(sys.argv[1], "rb").read(), sys.argv[3] == "forge", int(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
at, packets = 24, []
while at + 16 <= len(data):
    n = struct.unpack("<I", data[at + 8:at + 12])[0]
    p = bytearray(data[at + 16 + 14:at + 16 + n])
    at += 16 + n
    if p[9] == 50 and socket.inet_ntoa(bytes(p[16:20])) == sys.argv[2]:
        if forge:
            p[-1] ^= 0x55
            p[24:28] = (int.from_bytes(p[24:28], "big") + 200).to_bytes(4, "big")
        packets.append(bytes(p))
for i in range(times):
    for p in packets:
        s.sendto(p, (sys.argv[2], 0))
"""


def again(lab, how, times):
    """What somebody on the way does with ESP that he has seen."""
    from gateways import Capture  # pylint: disable=import-outside-toplevel
    capture = Capture(lab.net, os.path.join(lab.dir, f"esp-{lab.n}.pcap"), "to-a")
    lab.ping(count=20, interval=0.05)
    capture.stop()
    lab.python("carrier", AGAIN, capture.path, B.wan_addr, how, times)


def new_nat(lab):
    """The NAT in front of A forgets what has been silent for a second, and takes other ports."""
    lab.net.nat(A, "30000-30009")
    for key in ("udp_timeout", "udp_timeout_stream"):
        lab.net.sysctl("carrier", f"net.netfilter.nf_conntrack_{key}", 1)
    lab.ping(count=1)  # with the new timeout
    time.sleep(2.5)


class Tracer:
    """Stops one thread, as a hardware fault or a hanging driver would."""

    def __init__(self, tid):
        self.tid, self.libc = tid, ctypes.CDLL(None, use_errno=True)
        self.call(0x4206)  # PTRACE_SEIZE
        self.call(0x4207)  # PTRACE_INTERRUPT

    def call(self, request):
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4
        if self.libc.ptrace(request, self.tid, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    def release(self):
        os.waitpid(self.tid, 0x40000000)  # __WALL: it has stopped
        self.call(17)  # PTRACE_DETACH


def worker_threads(gw):
    tasks = f"/proc/{gw.process.pid}/task"
    names = {}
    for tid in sorted(os.listdir(tasks), key=int):
        with open(f"{tasks}/{tid}/comm", encoding="ascii") as f:
            names[int(tid)] = f.read().strip()
    return [tid for tid, name in names.items() if re.search("worker", name)]


def stick(lab):
    tracer = Tracer(worker_threads(lab.a)[-1])
    lab.undo.append(tracer.release)


def tiny_disk(lab):
    """A file system of 256 kB for what the gateway keeps, and it is full."""
    state = os.path.join(lab.dir, f"state-{lab.n}")
    os.makedirs(state, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", state], check=True)
    lab.undo.append(lambda: subprocess.run(["umount", "-l", state], check=True))
    lab.state = state


def fill_disk(lab):
    with open(os.path.join(lab.state, "filler"), "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass


# ---- the table ----

UNKNOWN_500 = "F-500 F-PEERDOWN"
# MOBIKE moves IKE to 4500 at once (RFC 4555 3.3): without it, it stays where it began.
STAYS = {"conn": "mobike = no\ndpd_delay = 1s"}
ENCAP = {"conn": "encap = yes\ndpd_delay = 1s"}
PFS_A = {"child": "esp_proposals = aes128gcm16-x25519\nrekey_time = 1h"}
PFS_B = {"child": "esp_proposals = aes128gcm16-ecp384\nrekey_time = 1h"}

FAULTS = [
    Fault("nothing is wrong", lambda lab: None, lambda lab: lab.ping() == 10,
          a=Says("ok", "none", "healthy"), b=Says("ok", "none", "healthy"), recovers=False),
    Fault("nobody has tried", lambda lab: None, waits(0), first="down",
          a=Says("I-NOTTRIED", "us", "unknown"), recovers=False),
    # -- UDP/500 on the way
    Fault("500 dropped towards the peer", drop_and_try(f"{TO_B} udp dport 500"), silent,
          first="try", a=Says("I-SILENT", "unknown", candidates=UNKNOWN_500)),
    Fault("500 dropped towards us", drop_and_try(f"{TO_A} udp dport 500"), silent, first="try",
          a=Says("I-SILENT", "unknown", candidates=UNKNOWN_500), b=Says("F-500OUT", "carrier")),
    Fault("500 dropped both ways", drop_and_try("udp dport 500"), silent, first="try",
          a=Says("I-SILENT", "unknown", candidates=UNKNOWN_500)),
    Fault("500 dropped both ways, probed", drop_and_try("udp dport 500"), silent, first="try",
          a=Says("F-500OUT", "carrier", probe=True)),
    Fault("500 dropped by source port only", drop_and_try(f"{TO_B} udp sport 500"), silent,
          first="try", a=Says("I-SILENT", "unknown", candidates=UNKNOWN_500 + " F-500SPORT")),
    Fault("500 dropped by source port only, probed", drop_and_try(f"{TO_B} udp sport 500"), silent,
          first="try", a=Says("F-500SPORT", "carrier", probe=True)),
    Fault("500 dropped under an established tunnel", drop("udp dport 500"),
          ike_dead_esp_alive, conf_a=STAYS, conf_b=STAYS,
          a=Says("F-500", "carrier", "degraded down")),
    Fault("500 dropped under a tunnel on 4500, probed", drop("udp dport 500"),
          lambda lab: lab.ping() == 10, a=Says("F-500OUT", "carrier", "degraded", probe=True)),
    Fault("500 rate-limited", drop_and_try(
        f"{TO_B} udp dport 500 limit rate over 6/minute burst 1 packets"),
        lambda lab: lab.hits() >= 2 and waits(6)(lab), first="try", conf_a=STAYS, conf_b=STAYS,
        a=Says("F-500LOSS F-BIGUDP", "carrier", "degraded down unknown")),
    Fault("500 dropped while it is flooded",
          lambda lab: (drop_and_try("udp dport 500")(lab), lab.helper(
              "carrier", f"{FLOOD} {A.wan_addr} random {FLOOD_RATE} 60")), silent, first="try",
          a=Says("I-SILENT", "unknown", candidates="F-500SCRUB F-PEERDOWN")),
    # -- attacks
    Fault("scanned by ike-scan", lambda lab: lab.helper(
        "carrier", ["bash", "-c", "for i in $(seq 40); do ike-scan --retry=1 --timeout=50 "
                    f"{B.wan_addr}; done"]),
        lambda lab: lab.b.json("show guard")["sources"].get(B.carrier_addr, {}).get("class")
        in ("scanner", "flood"),
        b=Says("ok A-SCAN A-FLOOD", "none unknown", "healthy degraded")),
    Fault("flooded by forged openers from the peer's address",
          lambda lab: lab.flood(A.wan_addr), guard_counts("cookie", 5000),
          b=Says("A-SPOOFPEER", "unknown", "degraded")),
    Fault("the same, from another distance", lambda lab: lab.flood(A.wan_addr, 50),
          lambda lab: lab.b.json("show guard")["sources"][A.wan_addr]["class"] == "forged-peer",
          b=Says("A-SPOOFPEER", "unknown", "degraded")),
    Fault("flooded by forged openers from random addresses", lambda lab: lab.flood("random"),
          guard_counts("cookie", 5000), b=Says("A-FLOOD", "unknown", "degraded")),
    Fault("answers to what we did not ask",
          lambda lab: lab.python("carrier", RESPONSES, B.wan_addr, 500),
          lambda lab: lab.b.json("show guard")["sources"].get(B.carrier_addr, {}).get(
              "class") == "backscatter",
          b=Says("A-REFLECT", "unknown", "degraded")),
    # -- 4500, ESP, size
    Fault("4500 dropped", drop_and_try("udp dport 4500"), silent, first="try", conf_a=ENCAP,
          conf_b=ENCAP, a=Says("F-4500", "carrier", "down unknown")),
    Fault("ESP dropped towards the peer", drop(f"{TO_B} meta l4proto esp"), pings_lost,
          a=Says("D-ONEWAY", "unknown carrier")),
    Fault("ESP dropped towards us", drop(f"{TO_A} meta l4proto esp"), pings_lost,
          a=Says("D-ONEWAY", "unknown carrier")),
    Fault("ESP dropped both ways", drop("meta l4proto esp"), both_pings_lost,
          a=Says("D-ONEWAY", "unknown carrier"), b=Says("D-ONEWAY", "unknown carrier")),
    Fault("fragments dropped", drop_and_try("ip frag-off & 0x3fff != 0"), hit(9), first="try",
          prepare=lambda lab: certificates(lab, names=90),
          conf_a={"conn": "fragmentation = no"}, conf_b={"conn": "fragmentation = no"},
          change_a=by_certificate("gw-a"), change_b=by_certificate("gw-b"),
          a=Says("F-BIGUDP F-4500", "carrier", "down", candidates="F-BIGUDP"),
          note="IKE_AUTH is the first message to 4500 and the first large one: one side cannot tell"),
    Fault("MTU 1400, ICMP filtered",
          lambda lab: (lab.rule("meta l4proto icmp", hook="output"),
                       lab.do("carrier", "ip link set to-b mtu 1400", "ip link set to-b mtu 1500")),
          lambda lab: lab.ping(size=1390, more="-M do") == 0 and lab.ping() == 10,
          a=Says("M-BLACKHOLE", "carrier", "degraded down", probe=True)),
    # -- the peer
    Fault("the peer is off", lambda lab: (kill_b(lab), tries(lab)), waits(5), first="try",
          a=Says("I-SILENT U-UNREACH", "unknown carrier peer")),
    Fault("the peer's daemon is not running", not_listening, waits(3), first="try",
          a=Says("F-NOTLISTENING", "peer")),
    Fault("the peer has restarted", restart_b, lambda lab: lab.ping() == 10,
          a=Says("H-RESTART", "peer", "degraded")),
    Fault("its answers are refused: administratively prohibited", drop_and_try(
        f"{TO_B} udp dport 500 counter reject with icmp type admin-prohibited"), silent,
        first="try", a=Says("F-ADMIN", "carrier")),
    Fault("the NAT in front of the peer rebinds", new_nat, lambda lab: lab.ping() == 10,
          conf_a={"conn": "dpd_delay = 0"}, conf_b={"conn": "dpd_delay = 0"},
          change_b=((f"remote_addrs = {A.wan_addr}", "remote_addrs = %any"),),
          prepare=lambda lab: (lab.net.nat(A, "20000-20009"),
                               lab.undo.append(lambda: lab.net.nat(None, None))),
          b=Says("D-REBIND", "carrier", "degraded"), recovers=False,
          note="test_nat.py shows that the tunnel goes on"),
    # -- our own side of the way
    Fault("no route", lambda lab: lab.do(
        "gw-a", "ip route del default", f"ip route replace default via {A.carrier_addr} dev wan"),
          lambda lab: lab.up(3), first="down", a=Says("R-NOROUTE", "us")),
    Fault("the next hop does not answer ARP",
          lambda lab: (lab.do("carrier", "ip link set to-a arp off", "ip link set to-a arp on"),
                       lab.net.run("gw-a", "ip neigh flush all", check=False), tries(lab),
                       lab.net.run("gw-a", "ip neigh flush all", check=False)),
          waits(5), first="try", a=Says("R-NOARP", "carrier")),
    Fault("two stations have the next hop's address",
          lambda lab: lab.python("carrier", ARP, "to-a", A.carrier_addr, 60), waits(4),
          a=Says("R-DUPADDR", "carrier", "degraded down")),
    Fault("the cable is pulled",
          lambda lab: lab.do("carrier", "ip link set to-a down", "ip link set to-a up"),
          pings_lost, a=Says("P-DOWN P-NORX D-ONEWAY", "us carrier unknown"),
          note="net_af_packet says that the link is up, whatever Linux sees"),
    Fault("our packet filter drops IKE that leaves",
          lambda lab: (lab.rule("udp dport 500", name="gw-a", hook="output"), tries(lab)),
          silent, first="try", a=Says("I-LOCALFILTER", "us")),
    Fault("our packet filter drops IKE that comes",
          lambda lab: (lab.rule("udp dport 500", name="gw-a", hook="input"), tries(lab)),
          hit(6), first="try", a=Says("I-LOCALFILTER-IN", "us")),
    Fault("our address is not on this machine", tries, lambda lab: lab.up(3), first="try",
          change_a=((f"local_addrs = {A.wan_addr}", "local_addrs = 192.0.2.77"),),
          a=Says("R-NOADDR", "us")),
    Fault("the peer's name leads nowhere", tries, lambda lab: lab.up(3), first="try",
          change_a=((f"remote_addrs = {B.wan_addr}", "remote_addrs = nobody.invalid"),),
          a=Says("R-NONAME", "us")),
    Fault("our own limits drop the peer",
          lambda lab: lab.python("gw-a", RESPONSES, B.wan_addr, 2000),
          lambda lab: guard_counts("limited", 300)(lab) and waits(2)(lab), conf_b={"gateway": "guard { peer_rate = 1\n }"},
          b=Says("A-SELFHARM", "us", "degraded"),
          note="messages of IKE SAs that are gone, a limit of one a second"),
    # -- negotiation
    Fault("wrong PSK", tries, refused("AUTHENTICATION_FAILED"), first="try",
          conf_b={"psk": "another secret"},
          a=Says("N-PEERSAIDNO", "both unknown"), b=Says("N-PSK", "both")),
    Fault("wrong identity", tries, refused("AUTHENTICATION_FAILED"), first="try",
          change_b=(("gw-a.example", "gw-z.example"),),
          a=Says("N-PEERSAIDNO", "both unknown"), b=Says("N-ID", "both")),
    Fault("wrong proposal", tries, refused("NO_PROPOSAL_CHOSEN"), first="try",
          conf_a={"conn": "proposals = aes128-sha256-x25519"},
          conf_b={"conn": "proposals = aes256gcm16-prfsha384-x25519"},
          a=Says("N-PROPOSAL", "both"), b=Says("N-PROPOSAL", "both")),
    Fault("wrong group", tries, refused("NO_PROPOSAL_CHOSEN|INVALID_KE"), first="try",
          conf_a={"conn": "proposals = aes128gcm16-prfsha256-x25519"},
          conf_b={"conn": "proposals = aes128gcm16-prfsha256-ecp384"},
          a=Says("N-KE N-PROPOSAL", "both"), b=Says("N-KE N-PROPOSAL", "both")),
    Fault("wrong selector", tries, refused("TS_UNACCEPTABLE"), first="try",
          change_b=(("remote_ts = 10.1.0.0/24", "remote_ts = 10.9.0.0/24"),),
          a=Says("C-TS", "both"), b=Says("C-TS", "both")),
    Fault("wrong ESP proposal", tries, refused("NO_PROPOSAL_CHOSEN"), first="try",
          conf_a={"child": "esp_proposals = aes128gcm16"},
          conf_b={"child": "esp_proposals = aes256gcm16"},
          a=Says("C-ESP", "both"), b=Says("C-ESP", "both")),
    Fault("wrong PFS", lambda lab: lab.a.swanctl("--rekey --child net", check=False),
          lambda lab: re.search("NO_PROPOSAL|INVALID_KE", lab.a.text() + lab.b.text()),
          conf_a=PFS_A, conf_b=PFS_B, a=Says("C-PFS", "both", "degraded down"),
          b=Says("C-PFS", "both", "degraded down")),
    Fault("expired certificate", tries, refused("."), first="try",
          prepare=lambda lab: certificates(lab, "01.01.20 00:00:00", "02.01.20 00:00:00"),
          change_a=by_certificate("gw-a"), change_b=by_certificate("gw-b"),
          a=Says("N-CERT", "peer")),
    Fault("our own certificate has expired, and nobody has tried", lambda lab: None, waits(0),
          first="down",
          prepare=lambda lab: certificates(lab, "01.01.20 00:00:00", "02.01.20 00:00:00",
                                           whose="gw-a"),
          change_a=by_certificate("gw-a"), change_b=by_certificate("gw-b"),
          a=Says("N-OWNCERT", "us")),
    Fault("the peer has restarted, under traffic", lambda lab: (
        lab.helper("host-a", f"ping -i 0.05 {B.host_addr}"), time.sleep(3), restart_b(lab)),
        lambda lab: lab.ping(count=3) == 3, a=Says("H-RESTART", "peer", "degraded")),
    Fault("clock a year off: the peer's certificate is of next year", tries, refused("."),
          first="try", prepare=lambda lab: certificates(lab, next_year(360), next_year(700)),
          change_a=by_certificate("gw-a"), change_b=by_certificate("gw-b"),
          a=Says("N-CERT", "peer us unknown both"),
          note="the machine's own clock is every namespace's, so the certificate is off instead"),
    # -- ESP itself
    Fault("replayed ESP", lambda lab: again(lab, "as it is", 5), drops("b", "esp-replay", 50),
          b=Says("D-REPLAY", "carrier", "degraded")),
    Fault("forged ESP", lambda lab: again(lab, "forge", 2), drops("b", "esp-auth", 20),
          b=Says("D-FORGED", "unknown", "degraded")),
    # -- the machine
    Fault("full disk", fill_disk, lambda lab: os.statvfs(lab.state).f_bavail == 0,
          prepare=tiny_disk, conf_a={"gateway": "STATE"}, needs="state_dir", a=Says("E-DISK", "us", "degraded")),
    Fault("one worker stuck", stick, waits(4), a=Says("E-WORKER", "us", "degraded down")),
]
BY_NAME = {f.name: f for f in FAULTS}
