"""VPP, a binary that somebody has built, with its own packet generator for a source and sink.

    pg0 (LAN) -- [ lookup, ipsecN: encrypt, outer lookup ] -- pg1 (WAN)

One process, one thread, and the addresses, MAC addresses, routes and packets of bench_pipeline
(esp_rig.h): tunnel n protects 20.(n >> 8).(n & 255).0/24 behind 198.18.0.0 + n, by an interface
`ipsec itf` with `ipsec tunnel protect`. Measured are the clocks of its nodes (`show runtime`), all
but pg-input's, which makes the packets. Inbound packets are sealed here: VPP authenticates them.
"""
import functools
import os
import random
import re
import socket
import struct
import subprocess
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import bench_device as dev
from rig import WORKER_CPU, tail
from topology import CommandFailed, stop_all, wait_for

OWN, HOST, HOST_IN = "192.0.2.1", "10.1.0.10", "10.2.0.10"
MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02"]
NEIGHBOURS = [("10.1.0.254", "02:00:00:00:01:01"), ("192.0.2.254", "02:00:00:00:01:02")]
LAN, WAN = 0, 1
SPI = 0x1000
IMIX_MIX = [64] * 28 + [570] * 16 + [1518] * 4  # as bench_pipeline's
HELLO = b"\xff\xfa\x18\0vppctl\xff\xf0"  # telnet: our terminal is vppctl, so no echo and no prompt
NODE = re.compile(r"^(\S+) +(active|polling|disabled) +(\d+) +(\d+) +\d+ +([0-9.e+-]+) +[0-9.]+ *$",
                  re.M)


def site(n):
    return f"20.{n >> 8}.{n & 255}"


def peer(n):
    return f"198.18.{n >> 8}.{n & 255}"


def key(n):
    """The AES key and the salt of both SAs of a tunnel."""
    return struct.pack("!IIII", n, 1, 2, 3), 0xa5000000 + n


@functools.lru_cache(None)
def cipher(n):
    return AESGCM(key(n)[0])


def packets(direction, size, tunnels, count, seq, seed=7):
    """`count` frames over all tunnels in random order; seq holds each inbound SA's last number."""
    rnd, frames = random.Random(seed), []
    for _ in range(count):
        n = rnd.randrange(tunnels)
        length = rnd.choice(IMIX_MIX) if size == dev.IMIX else size
        if direction == "out":
            frames.append(dev.frame(length, HOST, site(n) + ".1", MACS[LAN]))
            continue
        seq[n] = seq.get(n, 0) + 1
        frames.append(sealed(n, seq[n], dev.frame(length, site(n) + ".1", HOST_IN, MACS[LAN])[14:]))
    return frames


def sealed(n, seq, inner):
    """What tunnel n's gateway would have made of an IP packet (RFC 4303, RFC 4106)."""
    salt = key(n)[1]
    head, iv = struct.pack("!II", SPI + n, seq), struct.pack("!Q", seq)
    pad = -(len(inner) + 2) % 4
    text = inner + bytes(range(1, pad + 1)) + bytes([pad, 4])
    esp = head + iv + cipher(n).encrypt(struct.pack("!I", salt) + iv, text, head)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(esp), 0, 0, 64, 50, 0,
                     socket.inet_aton(peer(n)), socket.inet_aton(OWN))
    ip = ip[:10] + struct.pack("!H", dev.checksum(ip)) + ip[12:]
    macs = bytes.fromhex((MACS[WAN] + NEIGHBOURS[WAN][1]).replace(":", ""))
    return macs + b"\x08\0" + ip + esp


def write_pcap(path, frames):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for x in frames:
            f.write(struct.pack("<IIII", 0, 0, len(x), len(x)) + x)


class Vpp:
    """replay: packets of each inbound SA's anti-replay window; 0 for none, VPP's own default."""

    def __init__(self, shared, name, binary, plugins, engine, tunnels, replay=0):
        self.shared, self.name, self.binary, self.plugins = shared, name, binary, plugins
        self.engine, self.tunnels, self.replay = engine, tunnels, replay
        self.log, self.cli_path = shared.path(name + ".log"), shared.path(name + ".cli")
        self.cli, self.process = None, None
        self.streams = set()

    def startup(self):
        plugins = f"path {self.plugins} " if self.plugins else ""
        return f"""unix {{ nodaemon nosyslog log {self.log} cli-listen {self.cli_path}
  runtime-dir {self.shared.path(self.name)} }}
cpu {{ main-core {WORKER_CPU} }}
api-segment {{ prefix {os.path.basename(self.shared.dir)}-{self.name} }}
statseg {{ socket-name {self.shared.path(self.name + ".stats")} }}
socksvr {{ socket-name {self.shared.path(self.name + ".api")} }}
plugins {{ {plugins}plugin default {{ disable }} }}
crypto-engines {{ default {{ disable }} {self.engine} {{ enable }} }}
"""

    def config(self):
        for port, (address, (host, mac)) in enumerate(zip(("10.1.0.1", OWN), NEIGHBOURS)):
            yield f"create packet-generator interface pg{port} hw-addr {MACS[port]}"
            yield f"set interface state pg{port} up"
            yield f"set interface ip address pg{port} {address}/24"
            yield f"set ip neighbor pg{port} {host} {mac}"
        yield f"ip route add 10.2.0.0/16 via {NEIGHBOURS[LAN][0]} pg{LAN}"
        yield f"ip route add 198.18.0.0/15 via {NEIGHBOURS[WAN][0]} pg{WAN}"
        window = f" anti-replay-size {self.replay}" if self.replay else ""
        for n in range(self.tunnels):
            secret, salt = key(n)
            sa = (f"spi {SPI + n} esp crypto-alg aes-gcm-128 crypto-key {secret.hex()} "
                  f"salt 0x{salt:08x}")
            yield f"ipsec sa add {2 * n} {sa} tunnel src {OWN} dst {peer(n)}"
            yield (f"ipsec sa add {2 * n + 1} {sa} inbound{window} "
                   f"tunnel src {peer(n)} dst {OWN}")
            yield f"ipsec itf create instance {n}"
            yield f"set interface state ipsec{n} up"
            yield f"set interface unnumbered ipsec{n} use pg{WAN}"
            yield f"ipsec tunnel protect ipsec{n} sa-in {2 * n + 1} sa-out {2 * n}"
            yield f"ip route add {site(n)}.0/24 via ipsec{n}"

    def start(self):
        files = [self.shared.path(f"{self.name}.{x}") for x in ("startup", "exec")]
        for path, text in zip(files, (self.startup(), "\n".join(self.config()) + "\n")):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
        with open(self.log + ".out", "ab") as out:
            self.process = subprocess.Popen([self.binary, "-c", files[0]], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)
        try:
            wait_for("VPP's CLI", self.connect, 60, 0.2)
            self.ask(f"exec {files[1]}", 120)
            up = self.ask("show ipsec tunnel", 20).count("input-sa:")
        except (OSError, CommandFailed) as e:
            raise RuntimeError(f"VPP does not start: {e}\n{self.tail()}") from None
        if up < self.tunnels:
            raise RuntimeError(f"VPP has {up} of {self.tunnels} tunnels\n{self.tail()}")
        return self

    def tail(self):
        return "".join(tail(x) for x in (self.log, self.log + ".out") if os.path.exists(x))

    def connect(self):
        if self.process.poll() is not None:
            raise OSError(f"it ended with {self.process.returncode}")
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        try:
            s.connect(self.cli_path)
        except OSError:
            s.close()
            return False
        s.sendall(HELLO)
        time.sleep(0.3)
        s.recv(65536)  # its side of the negotiation
        self.cli = s
        return True

    def ask(self, command, timeout_s=10):
        """What a command prints; VPP ends it with a zero."""
        self.cli.settimeout(timeout_s)
        self.cli.sendall(command.encode() + b"\n")
        text = b""
        while not text.endswith(b"\0"):
            more = self.cli.recv(1 << 20)
            if not more:
                raise OSError(f"VPP has ended during '{command}'")
            text += more
        return text[:-1].decode(errors="replace").replace("\r", "")

    def load(self, stream, direction, frames, limit):
        """Gives the generator the packets of a stream, played again and again, `limit` in all."""
        path = self.shared.path(self.name + ".pcap")
        write_pcap(path, frames)
        if stream in self.streams:
            self.ask(f"packet-generator delete {stream}")
        said = self.ask(f"packet-generator new name {stream} limit {limit} "
                        f"source pg{LAN if direction == 'out' else WAN} pcap {path}", 60)
        os.unlink(path)
        if said.strip():
            raise RuntimeError(f"VPP's generator: {said}")
        self.streams.add(stream)

    def runtime(self, direction):
        """{node: nanoseconds a packet} since the last clear, and how many packets there were."""
        nodes, n = {}, 0
        for name, state, _, vectors, clocks in NODE.findall(self.ask("show runtime")):
            if name == "pg-input":
                n = int(vectors)
            elif state == "active":
                nodes[name] = (int(vectors), float(clocks))
        sink = f"pg{WAN if direction == 'out' else LAN}-tx"
        if n == 0 or nodes.get(sink, (0, 0))[0] != n:
            raise RuntimeError(f"of {n} packets {nodes.get(sink, (0, 0))[0]} left VPP by {sink}: "
                               f"{nodes}\n{self.ask('show errors')}")
        return {name: v * c / n for name, (v, c) in nodes.items()}, n

    def loop(self, stream, direction, samples, seconds):
        """Plays a stream; the samples' nodes, each of so many seconds, once caches are warm."""
        self.ask(f"packet-generator enable-stream {stream}")
        time.sleep(2 * seconds)
        result = []
        for _ in range(samples):
            self.ask("clear runtime")
            time.sleep(seconds)
            result.append(self.runtime(direction)[0])
        self.ask(f"packet-generator disable-stream {stream}")
        return result

    def once(self, stream, direction, n):
        """Plays a stream's n packets once."""
        self.ask("clear runtime")
        self.ask(f"packet-generator enable-stream {stream}")
        dev.until(lambda: self.played() >= n, 20, f"VPP to play {n} packets")
        return self.runtime(direction)[0]

    def played(self):
        found = [int(x[3]) for x in NODE.findall(self.ask("show runtime")) if x[0] == "pg-input"]
        return found[0] if found else 0

    def version(self):
        return self.ask("show version").strip()

    def end(self):
        if self.cli:
            self.cli.close()
        if self.process:
            stop_all([self.process.pid], 5)
            self.process.wait(5)


def cost(nodes, direction, with_tx=True):
    """Nanoseconds (clocks) a packet of all nodes, or of all but the device's own."""
    device = f"pg{WAN if direction == 'out' else LAN}-"
    return sum(v for k, v in nodes.items() if with_tx or not k.startswith(device))


def middle(samples, direction):
    """The sample whose cost is the median."""
    return sorted(samples, key=lambda s: cost(s, direction))[len(samples) // 2]
