"""The harness's side of bench_device.h: a program of DPDK with a source and a sink at its ports.

Programs take turns on one CPU: whoever has no turn is stopped (SIGSTOP), since all of them poll.
"""
import ctypes as c
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time

PORTS, PACKETS_MAX, BYTES_MAX = 2, 1 << 20, 256 << 20
WIRE_BYTES = 128 + 256 * 2048
HISTOGRAM, HISTOGRAM_LG = 2048, 5
NONE, LOOP, ONCE, PACED = range(4)
IMIX = "IMIX"
IMIX_MIX = [64] * 7 + [570] * 4 + [1420]  # bytes of IP packet; the largest fits a tunnel of MTU 1500


class Ask(c.Structure):
    _fields_ = [("turn", c.c_uint32), ("source", c.c_uint32 * PORTS), ("record", c.c_uint32),
                ("pace", c.c_uint64)]


class Stamp(c.Structure):
    _fields_ = [("tsc", c.c_uint64), ("cpu_ns", c.c_uint64), ("rx", c.c_uint64 * PORTS),
                ("tx", c.c_uint64 * PORTS), ("tx_bytes", c.c_uint64 * PORTS),
                ("missed", c.c_uint64), ("no_mbufs", c.c_uint64)]


class Ctl(c.Structure):
    _fields_ = [("ask", Ask), ("pad", c.c_uint32 * 8), ("turn", c.c_uint32), ("done", c.c_uint32),
                ("tsc_hz", c.c_uint64), ("tid", c.c_uint32), ("pad2", c.c_uint32),
                ("version", c.c_uint32), ("pad3", c.c_uint32), ("begin", Stamp), ("now", Stamp),
                ("took", c.c_uint64 * HISTOGRAM)]


class Packets(c.Structure):
    _fields_ = [("n", c.c_uint32), ("pad", c.c_uint32 * 15), ("at", c.c_uint32 * PACKETS_MAX),
                ("len", c.c_uint16 * PACKETS_MAX), ("data", c.c_uint8 * BYTES_MAX)]


def sized(path, size):
    """A file of zeros, which takes memory only where it is written."""
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def mapped(path, kind):
    with open(path, "r+b") as f:
        return kind.from_buffer(mmap.mmap(f.fileno(), c.sizeof(kind)))


class Shared:
    """A folder in memory for the files that programs and harness share."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="port500-bench-", dir="/dev/shm")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def packets(self, name):
        return sized(self.path(name), c.sizeof(Packets))

    def wire(self, prefix1, prefix2, port):
        """Everything but ESP that one program's port sends, the other's receives, and back."""
        for a, b in ((prefix1, prefix2), (prefix2, prefix1)):
            sized(self.path(f"{a}.{port}.out"), WIRE_BYTES)
            os.link(self.path(f"{a}.{port}.out"), self.path(f"{b}.{port}.in"))

    def hand(self, from_, to):
        """What one port has recorded, another plays: two names of one file."""
        os.link(self.path(from_), self.path(to))


class Program:
    """What runs with bench_device.so preloaded; begin with prefix files, then start it."""

    def __init__(self, shared, name):
        self.shared, self.name = shared, name
        self.ctl = mapped(sized(shared.path(name + ".ctl"), c.sizeof(Ctl)), Ctl)
        self.pid = None
        self.stopped = False

    def env(self, preload):
        return {"LD_PRELOAD": preload, "PORT500_BENCH": self.shared.path(self.name)}

    def fill(self, port, frames):
        """The packets that a port receives."""
        fill(self.shared.packets(f"{self.name}.{port}.play")
             if not os.path.exists(self.shared.path(f"{self.name}.{port}.play"))
             else self.shared.path(f"{self.name}.{port}.play"), frames)

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        self.stopped = True

    def cont(self):
        os.kill(self.pid, signal.SIGCONT)
        self.stopped = False

    def ask(self, sources, record=0, pace=0, timeout_s=10):
        ask = self.ctl.ask
        for i, s in enumerate(sources):
            ask.source[i] = s
        ask.record, ask.pace = record, pace
        ask.turn += 1
        until(lambda: self.ctl.turn == ask.turn, timeout_s, f"{self.name} to take its turn")

    def now(self):
        """A stamp, copied whole."""
        while True:
            version = self.ctl.version
            copy = Stamp.from_buffer_copy(self.ctl.now)
            if version == self.ctl.version and version % 2 == 0:
                return copy

    def measure(self, sources, seconds, pace=0):
        """Lets the sources run; nanoseconds of CPU a packet between the first and last stamp."""
        self.ask(sources, pace=pace)
        time.sleep(seconds * 0.2)  # caches and the pool are warm
        first = self.now()
        time.sleep(seconds * 0.8)
        last = self.now()
        self.ask([NONE, NONE])
        return difference(first, last)

    def once(self, sources, record=0, timeout_s=20):
        """Every source to its end."""
        self.ask(sources, record=record)
        until(lambda: self.ctl.done, timeout_s, f"{self.name} to come to the end")
        result = difference(self.ctl.begin, self.now())
        self.ask([NONE, NONE])
        return result

    def record(self, port, sources, n, timeout_s=20):
        """Keeps the first n packets of ESP that a port sends."""
        kept = mapped(self.shared.path(f"{self.name}.{port}.record"), Packets)
        self.ask(sources, record=1 << port)
        until(lambda: kept.n >= n, timeout_s, f"{self.name} to send {n} packets (sent {kept.n})")
        self.ask([NONE, NONE])
        kept.n = n


def until(condition, timeout_s, what):
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(0.0005)


def difference(first, last):
    rx = [last.rx[i] - first.rx[i] for i in range(PORTS)]
    tx = [last.tx[i] - first.tx[i] for i in range(PORTS)]
    cpu = last.cpu_ns - first.cpu_ns
    return {"rx": rx, "tx": tx, "cpu_ns": cpu, "ns": cpu / max(sum(rx), 1),
            "missed": last.missed - first.missed, "no_mbufs": last.no_mbufs - first.no_mbufs}


def fill(path, frames):
    p = mapped(path, Packets)
    at = 0
    for i, frame in enumerate(frames):
        p.at[i], p.len[i] = at, len(frame)
        c.memmove(c.byref(p, Packets.data.offset + at * 64), frame, len(frame))
        at += (len(frame) + 63) // 64
    p.n = len(frames)


def percentiles(took, tsc_hz, wanted):
    """{per cent: microseconds}, each the upper end of its step of the histogram."""
    counts = list(took)
    total, result = sum(counts), {}
    for per_cent in wanted:
        left = total * per_cent / 100
        for i, n in enumerate(counts):
            left -= n
            if left <= 0:
                break
        lg = i >> HISTOGRAM_LG
        cycles = i + 1 if lg < 2 else (i - (lg - 1) * 32 + 1) << (lg - 1)
        result[str(per_cent)] = round(cycles / tsc_hz * 1e6, 3)
    return result


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def frame(length, src, dst, mac, sport=1000, dport=2000):
    """A UDP packet of `length` bytes of IPv4 in Ethernet."""
    def quad(a):
        return bytes(map(int, a.split(".")))
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, quad(src), quad(dst))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    udp = struct.pack("!HHHH", sport, dport, length - 20, 0)
    return (bytes(map(int, mac.split(":"), [16] * 6)) + b"\x02\0\0\0\0\x09\x08\0" + head + udp +
            (bytes(range(256)) * 8)[:length - 28])


def frames(size, pairs, mac, count=4096, seed=5):
    """`count` packets of a size, or IMIX, over (source, destination) pairs in random order."""
    rnd = random.Random(seed)
    return [frame(rnd.choice(IMIX_MIX) if size == IMIX else size, *rnd.choice(pairs), mac)
            for _ in range(count)]
