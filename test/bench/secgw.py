"""DPDK's example gateway ipsec-secgw, a binary that somebody has built, at the devices of rig.py.

In its faster mode: librte_ipsec (-l), synchronous CPU crypto (type cpu-crypto) on crypto_aesni_gcm.
Its anti-replay is off, as its default is, so that it may be played its own ESP again and again. One
process seals, and opens what it has sealed.
"""
import bench_device as dev
from rig import LAN, WAN, WORKER_CPU, subnet, started, tail
from topology import stop_all

MAC = "02:00:00:00:00:01"


class Secgw(dev.Program):
    def __init__(self, shared, binary, tunnels):
        super().__init__(shared, "secgw")
        self.binary, self.tunnels = binary, tunnels
        self.log = shared.path("secgw.log")
        shared.packets(f"secgw.{LAN}.play")
        shared.packets(f"secgw.{WAN}.record")
        shared.hand(f"secgw.{WAN}.record", f"secgw.{WAN}.play")
        self.config = shared.path("secgw.cfg")
        with open(self.config, "w", encoding="ascii") as f:
            f.write("\n".join(self.rules()) + "\n")

    def rules(self):
        key = ":".join(f"{i:02x}" for i in range(20))  # 16 of the key, 4 of the salt
        for way in ("out", "in"):
            for i in range(self.tunnels):
                yield (f"sp ipv4 {way} esp protect {i + 1} pri 1 dst {subnet('b', i)}.0/24 "
                       "sport 0:65535 dport 0:65535")
        for way in ("out", "in"):
            for i in range(self.tunnels):
                yield (f"sa {way} {i + 1} aead_algo aes-128-gcm aead_key {key} mode ipv4-tunnel "
                       "src 192.0.2.1 dst 192.0.2.2 type cpu-crypto")
        yield "rt ipv4 dst 192.0.2.2/32 port 1"
        yield "rt ipv4 dst 11.64.0.0/10 port 0"

    def load(self, size, count=4096):
        pairs = [(f"{subnet('a', i)}.2", f"{subnet('b', i)}.2") for i in range(self.tunnels)]
        self.fill(LAN, dev.frames(size, pairs, MAC, count))

    def start(self):
        self.process = started(self, [
            self.binary, "-l", str(WORKER_CPU), "--no-huge", "-m", "1024", "--no-pci",
            "--no-telemetry", "--no-shconf", "--vdev", f"net_null{LAN},no-rx=1",
            "--vdev", f"net_null{WAN},no-rx=1", "--vdev", "crypto_aesni_gcm0", "--",
            "-p", "0x3", "-P", "-u", "0x2", "-l", f"--config=(0,0,{WORKER_CPU}),(1,0,{WORKER_CPU})",
            "-f", self.config], self.log)
        try:
            self.ask([dev.NONE, dev.NONE], timeout_s=30)
        except TimeoutError:
            self.end()
            raise RuntimeError(f"ipsec-secgw does not run:\n{tail(self.log)}") from None
        self.stop()

    def end(self):
        if self.process.poll() is None:
            self.cont()
        stop_all([self.process.pid], 3)
        self.process.wait(5)
