#!/usr/bin/python3
"""Makes the captures of this folder anew: strongSwan 5.9 with itself and with port500.

    sudo test/vectors/captures/make.py [NAME...]       (needs build/ and what devtools/setup installs)

Each exchange runs in the network namespaces of the system tests, with keys and certificates that
are made for it and thrown away. tcpdump records it, charon's log at level 4 tells the keys, and
tshark, which decrypts with them, tells what is in each message. A file holds, line by line:

    psk TEXT                    the pre-shared key
    sa SPI_I SPI_R PROPOSAL     an IKE SA; those that are rekeyed have `after SPI_I`
    dh, d, ai, ar, ei, er, pi, pr HEX    its shared secret and its keys, as charon's log has them
    message HEX                 as it was sent, without the non-ESP marker
    | ...                       what tshark says of it: the header, then the payloads inside
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
sys.path[:0] = [os.path.join(TOP, "test", "netns"), os.path.join(TOP, "test", "interop")]
os.environ.setdefault("PORT500_BUILD", os.path.join(TOP, "build"))

from gateways import PSK, Capture, Charon, Port500  # noqa: E402
from test_strongswan_certs import Pki, sides  # noqa: E402
from topology import A, B, Network  # noqa: E402

KEYS = ("d", "ai", "ar", "ei", "er", "pi", "pr")
TSHARK = {  # our keyword -> tshark's names of encryption and integrity
    "aes128gcm16": ("AES-GCM-128 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    "aes256gcm16": ("AES-GCM-256 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    "aes256-sha256": ("AES-CBC-256 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
    "aes128-sha512": ("AES-CBC-128 [RFC3602]", "HMAC_SHA2_512_256 [RFC4868]"),
}


# ---- the exchanges ----

def psk(net, d):
    """INVALID_KE_PAYLOAD, both kinds of rekeying by both sides, liveness, both kinds of delete."""
    a, b = Charon(net, A, d), Charon(net, B, d)
    a.log_level = 4
    b.start(b.default_config(proposals="aes128gcm16-prfsha256-x25519", esp="aes128gcm16-x25519"))
    a.start(a.default_config(proposals="aes128gcm16-prfsha256-ecp256-x25519",
                             esp="aes128gcm16-x25519", conn="dpd_delay = 1s"))
    yield a
    a.swanctl("--initiate --child net")
    rekey(a, b, "net")
    a.wait_log("sending DPD request")
    a.swanctl("--terminate --child net")
    a.swanctl("--terminate --ike lab")
    yield [("aes128gcm16", "prfsha256-x25519")] * 3


def ecdsa(net, d):
    """Certificates, in fragments."""
    a, b, pki = Charon(net, A, d), Charon(net, B, d), make_pki(d)
    a.log_level = 4
    for gw, name in ((a, "gw-a"), (b, "gw-b")):
        gw.options = "fragment_size = 576"
        pki.give(gw.swan, name, "root", extra=("sub",))
        gw.start(sides(gw.default_config(proposals="aes256-sha256-modp2048", esp="aes256-sha256"),
                       "pubkey", "pubkey", us=name))
    yield a
    a.swanctl("--initiate --child net")
    rekey(a, b, "net")
    b.swanctl("--terminate --ike lab")
    yield [("aes256-sha256", "modp2048")] * 3


def cookie(net, d):
    """strongSwan asks us: COOKIE, then INVALID_KE_PAYLOAD."""
    a, b = Port500(net, A, d), Charon(net, B, d)
    b.log_level = 4
    b.start(b.default_config(proposals="aes128-sha512-ecp256-ecp384"))
    text = a.default_config(start=False, conn="proposals = aes128-sha512-ecp384")
    a.start(text.replace("gateway {", "gateway {\n    ike { cookie_threshold = 0 }\n", 1))
    yield b
    b.swanctl("--initiate --child net")
    a.cli("rekey net")
    b.swanctl("--rekey --ike lab")
    time.sleep(1)
    a.cli("down lab")
    yield [("aes128-sha512", "ecp384")] * 2


def ours(net, d):
    """We ask strongSwan, with certificates over an intermediate."""
    a, b, pki = Port500(net, A, d), Charon(net, B, d), make_pki(d)
    b.log_level = 4
    pki.give(a.dir, "gw-a", "root", extra=("sub",))
    pki.give(b.swan, "gw-b", "root", extra=("sub",))
    b.start(sides(b.default_config(proposals="aes256gcm16-prfsha384-ecp256", esp="aes256gcm16"),
                  "pubkey", "pubkey", us="gw-b"))
    a.start(sides(a.default_config(
        start=False, conn="proposals = aes256gcm16-prfsha384-ecp256",
        child="esp_proposals = aes256gcm16"), "pubkey", "pubkey"))
    yield b
    a.cli("up net")
    b.swanctl("--rekey --child net")
    time.sleep(1)
    a.cli("rekey lab")
    time.sleep(1)
    b.swanctl("--terminate --ike lab")
    yield [("aes256gcm16", "prfsha384-ecp256")] * 2


def make_pki(d):
    os.makedirs(os.path.join(d, "pki"))
    pki = Pki(os.path.join(d, "pki"))
    for name in ("gw-a", "gw-b"):
        pki.end(name, issuer="sub")
    return pki


def rekey(a, b, child):
    for gw in (a, b):
        gw.swanctl(f"--rekey --child {child}")
        time.sleep(1)
        gw.swanctl("--rekey --ike lab")
        time.sleep(1)


EXCHANGES = {f.__name__: f for f in (psk, ecdsa, cookie, ours)}


# ---- keys from charon's log ----

def keys_of(log):
    """One dictionary for each derivation, in order of time."""
    sas, into = [], None
    for line in log.splitlines():
        start = re.search(r"\[IKE\] (?:shared Diffie Hellman secret|Sk_(\w+) secret) => ", line)
        more = re.search(r"\[IKE\] +\d+: ((?:[0-9A-F]{2} )+)", line)
        if start:
            name = start[1] or "dh"
            if name == "dh":
                sas.append({})
            sas[-1][name] = into = []
        elif more and into is not None:
            into.append(more[1].replace(" ", "").lower())
        else:
            into = None
    # A child's key exchange has a shared secret and no keys of an IKE SA.
    return [{k: "".join(v) for k, v in sa.items()} for sa in sas if "d" in sa]


# ---- what tshark says ----

def pdml(path, sas):
    options = []
    for sa in sas:
        encr, integ = TSHARK[sa["cipher"]]
        options += ["-o", "uat:ikev2_decryption_table:" + ",".join(
            [sa["spi_i"], sa["spi_r"], sa["ei"], sa["er"], f'"{encr}"', sa.get("ai", ""),
             sa.get("ar", ""), f'"{integ}"'])]
    done = subprocess.run(["tshark", "-r", path, "-Y", "isakmp", "-T", "pdml", *options],
                          capture_output=True, check=True)
    return list(ET.fromstring(done.stdout).iter("packet"))


def value(node, name):
    found = node.find(f"field[@name='isakmp.{name}']")
    return None if found is None else found.get("value", "")


def number(node, name):
    return int(value(node, name) or "0", 16)


def shortened(text):
    text = text or ""
    return text if len(text) <= 48 else f"{text[:16]}..{text[-16:]}({len(text) // 2})"


def transform(t):
    kind = number(t, "tf.type")
    id_ = next(f for f in t.findall("field") if f.get("name").startswith("isakmp.tf.id."))
    attr = t.find("field[@name='isakmp.ike2.attr']")
    bits = "" if attr is None else "/" + attr.find(
        "field[@name='isakmp.ike2.attr.key_length']").get("show")
    return f"{kind}/{int(id_.get('value'), 16)}{bits}"


def payload(p):
    kind = int(p.get("show"))
    if kind == 33:
        return ["sa"] + [
            f"proposal {number(x, 'prop.number')} protocol {number(x, 'prop.protoid')} spi"
            f" {value(x, 'spi') or '-'}: " + " ".join(transform(t) for t in inner(x))
            for x in inner(p)]
    if kind == 34:
        return [f"ke {number(p, 'key_exchange.dh_group')}"
                f" {shortened(value(p, 'key_exchange.data'))}"]
    if kind in (35, 36):
        data = p.find("field[@name='isakmp.id.data']")
        return [f"id {kind} {number(p, 'id.type')} {body(p)[8:]}"] if data is not None else []
    if kind in (37, 38):
        return [f"cert {number(p, 'cert.encoding')} {shortened(body(p)[2:])}" if kind == 37 else
                f"certreq {number(p, 'certreq.type')} {shortened(body(p)[2:])}"]
    if kind == 39:
        return [f"auth {number(p, 'auth.method')} {shortened(value(p, 'auth.data'))}"]
    if kind == 40:
        return [f"nonce {shortened(value(p, 'nonce'))}"]
    if kind == 41:
        spi = 2 * number(p, "spisize")
        return [f"notify {number(p, 'notify.msgtype')} protocol {number(p, 'notify.protoid')} spi"
                f" {body(p)[8:8 + spi] or '-'} {shortened(body(p)[8 + spi:])}".rstrip()]
    if kind == 42:
        return [f"delete protocol {number(p, 'delete.protoid')} spis {number(p, 'spinum')}"
                f" {body(p)[8:]}".rstrip()]
    if kind in (44, 45):
        return [f"ts {kind}"] + [
            f"selector {number(t, 'ts.type')} {number(t, 'ts.protoid')}"
            f" {number(t, 'ts.start_port')}-{number(t, 'ts.end_port')}"
            f" {value(t, 'ts.start_ipv4')}-{value(t, 'ts.end_ipv4')}"
            for t in p.findall("field[@name='isakmp.ts.data']")]
    return [f"payload {kind} {shortened(body(p))}"]


def body(p):
    return p.get("value")[8:]


def inner(node):
    return node.findall("field[@name='isakmp.typepayload']")


def describe(packet):
    proto = next(p for p in packet.iter("proto") if p.get("name") == "isakmp")
    flags = number(proto, "flags")
    lines = [f"{number(proto, 'exchangetype')} {'response' if flags & 32 else 'request'}"
             f" {number(proto, 'messageid')} of {'initiator' if flags & 8 else 'responder'}"
             f" {value(proto, 'ispi')} {value(proto, 'rspi')}"]
    for p in inner(proto):
        if p.get("show") == "53":
            lines.append(f"fragment {number(p, 'frag.number')} {number(p, 'frag.total')}")
            for x in inner(p):  # of the whole, where this was the last to come
                lines += payload(x)
        elif p.get("show") == "46":
            for box in p.iter("field"):
                if box.get("name") == "isakmp.enc.contained":
                    for x in inner(box):
                        lines += payload(x)
        else:
            lines += payload(p)
    return lines


def message(packet):
    udp = next(p for p in packet.iter("proto") if p.get("name") == "udp")
    data = next(f for f in udp.iter("field") if f.get("name") == "udp.payload").get("value")
    ports = [f.get("show") for f in udp.iter("field") if f.get("name") == "udp.port"]
    return data[8:] if "4500" in ports else data


# ---- putting it together ----

def pairs_of(path, sas):
    """SPIs of the IKE SAs in order of appearance, as (initiator's, responder's)."""
    seen = []
    for packet in pdml(path, []):
        m = message(packet)
        pair = (m[:16], m[16:32])
        if pair[1] != "0" * 16 and pair not in seen:
            seen.append(pair)
    assert len(seen) == len(sas), (seen, len(sas))
    return seen


def write(name, path, charon, ciphers):
    sas = keys_of(charon.text())
    for (cipher, rest), sa, pair in zip(ciphers * 2, sas, pairs_of(path, sas)):
        sa.update(cipher=cipher, proposal=f"{cipher}-{rest}", spi_i=pair[0], spi_r=pair[1])
    out = [f"# {EXCHANGES[name].__doc__}", "# Made by make.py, which says how to read it."]
    if name in ("psk", "cookie"):
        out.append(f"psk {PSK}")
    for i, sa in enumerate(sas):
        out.append(f"sa {sa['spi_i']} {sa['spi_r']} {sa['proposal']}")
        out += [f"{k} {sa[k]}" for k in ("dh", *KEYS) if k in sa]
    for packet in pdml(path, sas):
        out.append(f"message {message(packet)}")
        out += [f"| {line}" for line in describe(packet)]
    with open(os.path.join(HERE, name + ".txt"), "w", encoding="ascii") as f:
        f.write("\n".join(out) + "\n")


def main(names):
    for name in names or EXCHANGES:
        d = tempfile.mkdtemp()
        with Network("t-") as net:
            steps = EXCHANGES[name](net, d)
            charon = next(steps)
            capture = Capture(net, os.path.join(d, "c.pcap"))
            ciphers = next(steps)
            capture.stop()
        write(name, capture.path, charon, ciphers)
        shutil.rmtree(d)
        print(name)


main(sys.argv[1:])
