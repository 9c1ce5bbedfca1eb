"""Our ESP packets against two independent readers and one independent writer of ESP: scapy
encrypts and decrypts, tshark decrypts. No network is needed."""
import os
import pathlib
import random
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw
from scapy.utils import wrpcap

GW_A, GW_B = "192.0.2.1", "198.51.100.2"
HOST_A, HOST_B = "10.1.0.10", "10.2.0.20"
KEYS = {128: bytes(range(0x30, 0x44)), 256: bytes(range(0x50, 0x74))}  # key, then salt
SPI = 0xC0FFEE01

variants = pytest.mark.parametrize(
    "bits, udp", [(128, False), (256, False), (128, True), (256, True)],
    ids=["aes128gcm16", "aes256gcm16", "aes128gcm16-udp", "aes256gcm16-udp"])


class Oracle:
    """test/interop/esp_oracle.c as a process: one packet in, one answer out."""

    def __init__(self, *args):
        build = pathlib.Path(os.environ.get("PORT500_BUILD", "build"))
        self.process = subprocess.Popen([str(build / "test/interop/esp_oracle"), *args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline().strip()

    def ask(self, packet):
        self.process.stdin.write(bytes(packet).hex() + "\n")
        self.process.stdin.flush()
        answer = self.line()
        return answer if answer.startswith("drop") else bytes.fromhex(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


def inner_packets(src, dst):
    """Every padding length, the smallest, the largest, and some protocols."""
    rnd = random.Random(1)
    yield bytes(IP(src=src, dst=dst, proto=99))
    yield bytes(IP(src=src, dst=dst, ttl=1, tos=0xB9, flags="DF") / ICMP() / Raw(b"ping"))
    yield bytes(IP(src=src, dst=dst, options=[b"\x94\x04\x00\x00"]) / UDP(sport=1, dport=2))
    yield bytes(IP(src=src, dst=dst, frag=3) / Raw(b"a later fragment"))
    for n in [*range(0, 40), 512, 1000, 1398]:
        l4 = TCP(sport=7, dport=8) if n & 1 and n < 1386 else UDP(sport=7, dport=8)
        yield bytes(IP(src=src, dst=dst) / l4 / Raw(rnd.randbytes(n)))


def association(spi, bits, udp, src, dst):
    return SecurityAssociation(ESP, spi=spi, crypt_algo="AES-GCM", crypt_key=KEYS[bits],
                               tunnel_header=IP(src=src, dst=dst),
                               nat_t_header=UDP(sport=4500, dport=4500) if udp else None)


def scapy_seal(sa, inner, seq):
    packet = bytearray(bytes(sa.encrypt(IP(inner), seq_num=seq)))
    if packet[9] == 17:  # scapy 2.5 leaves the length of an empty payload in the UDP header
        packet[24:26] = (len(packet) - 20).to_bytes(2, "big")
    return packet


def seal_args(bits, udp):
    return ["seal", KEYS[bits].hex(), f"{SPI:08x}", *(["udp"] if udp else [])]


def open_args(bits, udp):
    return ["open", KEYS[bits].hex(), *(["udp"] if udp else [])]


@variants
def test_scapy_reads_ours(bits, udp):
    sa = association(SPI, bits, udp, GW_A, GW_B)
    with Oracle(*seal_args(bits, udp)) as oracle:
        for seq, inner in enumerate(inner_packets(HOST_A, HOST_B), 1):
            outer = IP(oracle.ask(inner))
            assert (outer.src, outer.dst, outer.ttl) == (GW_A, GW_B, 64)
            assert outer.proto == (17 if udp else 50)
            assert outer[ESP].seq == seq
            assert bytes(sa.decrypt(outer)) == inner


@variants
def test_we_read_scapys(bits, udp):
    with Oracle(*open_args(bits, udp)) as oracle:
        spi = int(oracle.line(), 16)
        sa = association(spi, bits, udp, GW_B, GW_A)
        for seq, inner in enumerate(inner_packets(HOST_B, HOST_A), 1):
            packet = scapy_seal(sa, inner, seq)
            assert oracle.ask(packet) == inner
            assert oracle.ask(packet) == "drop esp-replay"
        packet = scapy_seal(sa, inner, seq + 1)
        packet[-1] ^= 1
        assert oracle.ask(packet) == "drop esp-auth"
        wrong = association(spi ^ 1, bits, udp, GW_B, GW_A)
        assert oracle.ask(scapy_seal(wrong, inner, seq + 2)) == "drop esp-no-sa"
        outside = bytes(IP(src="10.3.0.1", dst=HOST_A) / UDP())
        assert oracle.ask(scapy_seal(sa, outside, seq + 3)) == "drop esp-selector"


@variants
def test_tshark_reads_ours(bits, udp, tmp_path):
    inner = list(inner_packets(HOST_A, HOST_B))
    with Oracle(*seal_args(bits, udp)) as oracle:
        outer = [IP(oracle.ask(p)) for p in inner]
    wrpcap(str(tmp_path / "esp.pcap"), outer)
    row = (f'"IPv4","{GW_A}","{GW_B}","0x{SPI:08x}","AES-GCM with 16 octet ICV [RFC4106]",'
           f'"0x{KEYS[bits].hex()}","NULL","0x"')
    out = subprocess.run(
        ["tshark", "-r", str(tmp_path / "esp.pcap"), "-o", "esp.enable_encryption_decode:TRUE",
         "-o", "esp.enable_authentication_check:TRUE", "-o", f"uat:esp_sa:{row}",
         "-o", "ip.defragment:FALSE",
         "-T", "fields", "-e", "esp.sequence", "-e", "esp.protocol", "-e", "esp.icv_good",
         "-e", "ip.src", "-e", "ip.dst", "-e", "ip.len", "-E", "occurrence=a"],
        env=dict(os.environ, HOME=str(tmp_path)), capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    assert len(rows) == len(inner)
    for n, (seq, protocol, icv_good, src, dst, length) in enumerate(rows):
        assert (seq, protocol) == (str(n + 1), "0x04"), rows[n]
        assert icv_good in ("1", "True"), rows[n]
        assert src.split(",") == [GW_A, HOST_A]
        assert dst.split(",") == [GW_B, HOST_B]
        assert length.split(",") == [str(len(outer[n])), str(len(inner[n]))]
