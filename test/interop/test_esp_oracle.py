"""Our ESP packets against two independent readers and one independent writer of ESP: scapy
encrypts and decrypts, tshark decrypts. No network is needed."""
import dataclasses
import itertools
import os
import pathlib
import random
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import GRE
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw
from scapy.utils import wrpcap

GW_A, GW_B = "192.0.2.1", "198.51.100.2"
HOST_A, HOST_B = "10.1.0.10", "10.2.0.20"
GW_A6, GW_B6 = "2001:db8:a::1", "2001:db8:b::2"
HOST_A6, HOST_B6 = "2001:db8:1::10", "2001:db8:2::20"
SPI = 0xC0FFEE01


@dataclasses.dataclass
class Suite:
    """One proposal, as we and as scapy call it."""
    proposal: str
    crypt: str
    key_len: int  # bytes, the salt among them
    icv: int = None  # of an AEAD
    auth: str = None
    auth_len: int = 0
    esn: bool = False
    udp: bool = False

    @property
    def key(self):
        return bytes(range(0x30, 0x30 + self.key_len))

    @property
    def auth_key(self):
        return bytes(range(0x80, 0x80 + self.auth_len))

    def args(self, *more):
        return [self.proposal, self.key.hex() or "-", self.auth_key.hex() or "-", *more,
                *(["udp"] if self.udp else [])]

    def __str__(self):
        return self.proposal + ("-udp" if self.udp else "")


GCM16 = [Suite(f"aes{bits}gcm16", "AES-GCM", bits // 8 + 4, 16, udp=udp)
         for bits in (128, 192, 256) for udp in (False, True)]
# scapy 2.5 sends 16 bytes of ICV whatever it is told: no AES-GCM with a shorter one here.
AEAD = [Suite("chacha20poly1305", "CHACHA20-POLY1305", 36, 16),
        Suite("aes256gcm16-esn", "AES-GCM", 36, 16, esn=True),
        Suite("chacha20poly1305-esn", "CHACHA20-POLY1305", 36, 16, esn=True)]
CIPHERS = [(f"aes{bits}", "AES-CBC", bits // 8) for bits in (128, 192, 256)]
CIPHERS += [(f"aes{bits}ctr", "AES-CTR", bits // 8 + 4) for bits in (128, 192, 256)]
CIPHERS += [("null", "NULL", 0)]
AUTHS = [("sha1", "HMAC-SHA1-96", 20), ("sha256", "SHA2-256-128", 32),
         ("sha384", "SHA2-384-192", 48), ("sha512", "SHA2-512-256", 64)]
ETM = [Suite(f"{cipher}-{auth}", crypt, key_len, None, auth_name, auth_len)
       for cipher, crypt, key_len in CIPHERS for auth, auth_name, auth_len in AUTHS]

variants = pytest.mark.parametrize("suite", GCM16 + AEAD + ETM, ids=str)


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
    for n in [*range(0, 40), 512, 1000, 1350]:
        l4 = TCP(sport=7, dport=8) if n & 1 else UDP(sport=7, dport=8)
        yield bytes(IP(src=src, dst=dst) / l4 / Raw(rnd.randbytes(n)))


def association(spi, suite, src, dst):
    return SecurityAssociation(ESP, spi=spi, crypt_algo=suite.crypt, crypt_key=suite.key,
                               crypt_icv_size=suite.icv, auth_algo=suite.auth,
                               auth_key=suite.auth_key or None, esn_en=suite.esn,
                               tunnel_header=IP(src=src, dst=dst),
                               nat_t_header=UDP(sport=4500, dport=4500) if suite.udp else None)


def scapy_seal(sa, inner, seq):
    packet = bytearray(bytes(sa.encrypt(IP(inner), seq_num=seq)))
    if packet[9] == 17:  # scapy 2.5 leaves the length of an empty payload in the UDP header
        packet[24:26] = (len(packet) - 20).to_bytes(2, "big")
    return packet


def seal_args(suite):
    return ["seal", *suite.args(f"{SPI:08x}")]


def open_args(suite):
    return ["open", *suite.args()]


@variants
def test_scapy_reads_ours(suite):
    sa = association(SPI, suite, GW_A, GW_B)
    with Oracle(*seal_args(suite)) as oracle:
        for seq, inner in enumerate(inner_packets(HOST_A, HOST_B), 1):
            outer = IP(oracle.ask(inner))
            assert (outer.src, outer.dst, outer.ttl) == (GW_A, GW_B, 64)
            assert outer.proto == (17 if suite.udp else 50)
            assert outer[ESP].seq == seq
            assert bytes(sa.decrypt(outer)) == inner


@variants
def test_we_read_scapys(suite):
    with Oracle(*open_args(suite)) as oracle:
        spi = int(oracle.line(), 16)
        sa = association(spi, suite, GW_B, GW_A)
        for seq, inner in enumerate(inner_packets(HOST_B, HOST_A), 1):
            packet = scapy_seal(sa, inner, seq)
            assert oracle.ask(packet) == inner
            assert oracle.ask(packet) == "drop esp-replay"
        packet = scapy_seal(sa, inner, seq + 1)
        packet[-1] ^= 1
        assert oracle.ask(packet) == "drop esp-auth"
        wrong = association(spi ^ 1, suite, GW_B, GW_A)
        assert oracle.ask(scapy_seal(wrong, inner, seq + 2)) == "drop esp-no-sa"
        outside = bytes(IP(src="10.3.0.1", dst=HOST_A) / UDP())
        assert oracle.ask(scapy_seal(sa, outside, seq + 3)) == "drop esp-selector"


# ---- both families inside and outside ----


def esn(suite):
    """With extended sequence numbers whose upper half is not zero."""
    return suite if suite.esn else dataclasses.replace(suite, proposal=suite.proposal + "-esn",
                                                       esn=True)


# Every transform, in UDP or not, with ESN or not; each over IPv4 and IPv6, with both inside. scapy
# 2.5 has ESN with AEADs alone: it signs without.
TABLE = [dataclasses.replace(form, udp=udp) for suite in (GCM16[::2] + AEAD[:1] + ETM)
         for form in ((suite, esn(suite)) if suite.icv else (suite,)) for udp in (False, True)]
pairings = pytest.mark.parametrize(
    "suite, outer6", [(suite, outer6) for outer6 in (False, True) for suite in TABLE],
    ids=lambda v: str(v) if isinstance(v, Suite) else "over6" if v else "over4")
HIGH = 5  # the upper half of extended numbers


def inner_packets6(src, dst):
    rnd = random.Random(2)
    yield bytes(IPv6(src=src, dst=dst, nh=59))
    yield bytes(IPv6(src=src, dst=dst, hlim=1, tc=0xB9, fl=0x12345) / ICMPv6EchoRequest())
    yield bytes(IPv6(src=src, dst=dst) / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2))
    yield bytes(IPv6(src=src, dst=dst) / IPv6ExtHdrFragment(offset=3, nh=17) / Raw(b"a later one"))
    for n in [*range(0, 40), 512, 1000, 1300]:
        l4 = TCP(sport=7, dport=8) if n & 1 else UDP(sport=7, dport=8)
        yield bytes(IPv6(src=src, dst=dst) / l4 / Raw(rnd.randbytes(n)))


def both_families(hosts, hosts6, lengths=(0, 1, 2, 3, 7, 14, 15, 64, 1300)):
    """The odd ones of both generators, then some of every padding length."""
    for generator, ends in ((inner_packets, hosts), (inner_packets6, hosts6)):
        yield from itertools.islice(generator(*ends), 4)
    rnd = random.Random(3)
    for n in lengths:
        for header in (IP(src=hosts[0], dst=hosts[1]), IPv6(src=hosts6[0], dst=hosts6[1])):
            yield bytes(header / (UDP(sport=7, dport=8) if n & 1 else TCP(sport=7, dport=8)) /
                        Raw(rnd.randbytes(n)))


def words(suite, outer6):
    return [*(["outer6"] if outer6 else []), *(["high"] if suite.esn else [])]


def association6(spi, suite, outer6, src, dst):
    sa = association(spi, suite, "0.0.0.0", "0.0.0.0")
    sa.tunnel_header = IPv6(src=src, dst=dst) if outer6 else IP(src=src, dst=dst)
    sa.esn = HIGH if suite.esn else 0
    return sa


def traffic_class(packet):
    return packet[1] if packet[0] >> 4 == 4 else (packet[0] & 15) << 4 | packet[1] >> 4


@pairings
def test_scapy_reads_ours_of_both_families(suite, outer6):
    sa = association6(SPI, suite, outer6, *((GW_A6, GW_B6) if outer6 else (GW_A, GW_B)))
    args = [*seal_args(suite), *words(suite, outer6)]
    with Oracle(*args) as oracle:
        for seq, inner in enumerate(both_families((HOST_A, HOST_B), (HOST_A6, HOST_B6)), 1):
            packet = oracle.ask(inner)
            outer = IPv6(packet) if outer6 else IP(packet)
            if outer6:
                assert (outer.src, outer.dst, outer.hlim, outer.fl) == (GW_A6, GW_B6, 64, 0)
                assert outer.nh == (17 if suite.udp else 50)
                assert outer.plen == len(packet) - 40
            else:
                assert (outer.src, outer.dst, outer.ttl) == (GW_A, GW_B, 64)
                assert outer.len == len(packet)
            assert traffic_class(packet) == traffic_class(inner)
            assert outer[ESP].seq == seq
            assert bytes(sa.decrypt(outer)) == inner


@pairings
def test_we_read_scapys_of_both_families(suite, outer6):
    args = [*open_args(suite), *words(suite, outer6)]
    with Oracle(*args) as oracle:
        spi = int(oracle.line(), 16)
        sa = association6(spi, suite, outer6, *((GW_B6, GW_A6) if outer6 else (GW_B, GW_A)))
        for seq, inner in enumerate(both_families((HOST_B, HOST_A), (HOST_B6, HOST_A6)), 1):
            packet = sa.encrypt(IPv6(inner) if inner[0] >> 4 == 6 else IP(inner), seq_num=seq)
            packet = bytearray(bytes(packet))
            head = 40 if outer6 else 20
            if suite.udp:  # scapy 2.5 leaves the length of an empty payload in the UDP header
                packet[head + 4:head + 6] = (len(packet) - head).to_bytes(2, "big")
            assert oracle.ask(packet) == inner
            assert oracle.ask(packet) == "drop esp-replay"
        outside = IPv6(src="2001:db8:3::1", dst=HOST_A6) / UDP()
        packet = bytearray(bytes(sa.encrypt(outside, seq_num=seq + 1)))
        if suite.udp:
            packet[head + 4:head + 6] = (len(packet) - head).to_bytes(2, "big")
        assert oracle.ask(packet) == "drop esp-selector"


# ---- transport mode ----

# How the suite seals is tested in tunnel mode: of the ETM ones, each cipher with one integrity.
TRANSPORT = [*GCM16, *AEAD, *ETM[1::4], dataclasses.replace(ETM[1], udp=True)]
transports = pytest.mark.parametrize(
    "suite, v6", [(suite, v6) for v6 in (False, True) for suite in TRANSPORT],
    ids=lambda v: str(v) if isinstance(v, Suite) else "over6" if v else "over4")


def own_packets(src, dst, v6):
    """What gateways say to each other: GRE, IP in IP, BGP, ping, with options and without."""
    rnd = random.Random(3)

    def ip(**kw):
        return IPv6(src=src, dst=dst, hlim=7, tc=0xB9) if v6 else IP(src=src, dst=dst, ttl=7,
                                                                    tos=0xB9, flags="DF", **kw)
    yield ip() / GRE() / IP(src=HOST_A, dst=HOST_B) / UDP(sport=1, dport=2) / Raw(b"in GRE")
    yield ip() / IP(src=HOST_A, dst=HOST_B) / UDP(sport=1, dport=2) / Raw(b"in IP")
    yield ip() / IPv6(src=HOST_A6, dst=HOST_B6) / UDP(sport=1, dport=2) / Raw(b"in IP")
    yield ip() / (ICMPv6EchoRequest() if v6 else ICMP()) / Raw(b"ping")
    if not v6:
        yield ip(options=[b"\x94\x04\x00\x00"]) / GRE() / Raw(b"router alert")
    for n in [*range(0, 40), 512, 1300]:
        yield ip() / TCP(sport=7, dport=179) / Raw(rnd.randbytes(n))


def transport_association(spi, suite):
    sa = association(spi, suite, "0.0.0.0", "0.0.0.0")
    sa.tunnel_header = None
    return sa


def fixed(packet, suite, v6):
    """scapy 2.5 leaves the lengths of what it puts into UDP as they were."""
    packet = bytearray(bytes(packet))
    head = 40 if v6 else (packet[0] & 15) * 4
    if suite.udp:
        packet[head + 4:head + 6] = (len(packet) - head).to_bytes(2, "big")
    return packet


def without_udp(packet):
    """scapy 2.5 takes UDP off in IPv4 only; what it says of its checksum holds."""
    again = IPv6(packet)
    del again[UDP].chksum
    assert bytes(again) == packet
    assert (again[UDP].sport, again[UDP].dport, again[UDP].len) == (4500, 4500, len(packet) - 40)
    return IPv6(packet[:4] + (len(packet) - 48).to_bytes(2, "big") + b"\x32" + packet[7:40] +
                packet[48:])


@transports
def test_scapy_reads_our_transport_mode(suite, v6):
    ends = (GW_A6, GW_B6) if v6 else (GW_A, GW_B)
    sa = transport_association(SPI, dataclasses.replace(suite, udp=suite.udp and not v6))
    args = [*seal_args(suite), *(["outer6"] if v6 else []), "transport"]
    with Oracle(*args) as oracle:
        for seq, inner in enumerate(map(bytes, own_packets(*ends, v6)), 1):
            packet = oracle.ask(inner)
            outer = IPv6(packet) if v6 else IP(packet)
            assert (outer.src, outer.dst) == ends
            assert (outer.nh if v6 else outer.proto) == (17 if suite.udp else 50)
            assert outer[ESP].seq == seq
            if suite.udp and v6:
                outer = without_udp(packet)
            assert bytes(sa.decrypt(outer)) == inner


@transports
def test_we_read_scapys_transport_mode(suite, v6):
    ends = (GW_B6, GW_A6) if v6 else (GW_B, GW_A)
    args = [*open_args(suite), *(["outer6"] if v6 else []), "transport"]
    with Oracle(*args) as oracle:
        spi = int(oracle.line(), 16)
        sa = transport_association(spi, suite)
        for seq, inner in enumerate(map(bytes, own_packets(*ends, v6)), 1):
            whole = IPv6(inner) if v6 else IP(inner)
            packet = fixed(sa.encrypt(whole, seq_num=seq), suite, v6)
            assert oracle.ask(packet) == inner
            assert oracle.ask(packet) == "drop esp-replay"


@pytest.mark.parametrize("suite", [s for s in GCM16 if "192" not in s.proposal], ids=str)
def test_tshark_reads_ours(suite, tmp_path):
    inner = list(inner_packets(HOST_A, HOST_B))
    with Oracle(*seal_args(suite)) as oracle:
        outer = [IP(oracle.ask(p)) for p in inner]
    wrpcap(str(tmp_path / "esp.pcap"), outer)
    row = (f'"IPv4","{GW_A}","{GW_B}","0x{SPI:08x}","AES-GCM with 16 octet ICV [RFC4106]",'
           f'"0x{suite.key.hex()}","NULL","0x"')
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
