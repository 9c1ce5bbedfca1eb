"""What works between port500 and strongSwan, as a table: role, authentication, algorithms, both
address families inside and outside, NAT, fragmentation, rekeying.

One test is one row. All pairs of values of any two axes occur; PORT500_MATRIX=full runs the whole
product. The daemons keep running and get each row's connection by a reload, as an operator would
do it. The table is printed at the end of the run and stands in the JUnit report.

A new value is one line in its axis: a keyword, and what both sides are to show for it.
"""
import dataclasses
import os
import re
import signal
import time

import pytest

from covering import all_pairs, product
from gateways import Charon, Port500, both_families, both_families_inside, over6
from test_strongswan_certs import Pki, sides
from topology import A, B, CommandFailed, Network, prefix_of_tests, wait_for

AUTH = {  # how both prove who they are -> kind of key for Pki, what strongSwan says of our proof
    "psk": (None, "pre-shared key"),
    "rsa": ("rsa", "RSA_EMSA_PKCS1_SHA2_256"),
    "ecdsa": ("ecdsa256", "ECDSA_WITH_SHA256_DER"),
    "ed25519": ("ed25519", "ED25519"),
}
CIPHERS = {  # keywords of an IKE proposal without its group
    "aes128gcm16-prfsha256": "AES_GCM_16-128/PRF_HMAC_SHA2_256",
    "aes256gcm16-prfsha384": "AES_GCM_16-256/PRF_HMAC_SHA2_384",
    "chacha20poly1305-prfsha256": "CHACHA20_POLY1305/PRF_HMAC_SHA2_256",
    "aes128ctr-sha256": "AES_CTR-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256",
    "aes256-sha512": "AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512",
}
GROUPS = {"x25519": "CURVE_25519", "x448": "CURVE_448", "ecp256": "ECP_256", "ecp521": "ECP_521",
          "modp2048": "MODP_2048", "modp3072": "MODP_3072"}
ESP = {"aes128gcm16": "AES_GCM_16-128", "aes256gcm16": "AES_GCM_16-256",
       "aes256-sha256": "AES_CBC-256/HMAC_SHA2_256_128",
       "chacha20poly1305": "CHACHA20_POLY1305"}
PFS = ("no", "yes")  # a key exchange of its own for a child that replaces another, or none
INNER = {  # what the child carries -> the network of a site, its host
    "ipv4": (lambda site: site.lan, lambda site: site.host_addr),
    "ipv6": (lambda site: site.lan6, lambda site: site.host6),
}
NAT = ("none", "initiator")  # who stands behind one
FRAGMENTS = {"no": "fragmentation = no", "forced": "fragmentation = yes"}
FRAGMENT_SIZE = {"us": 256, "peer": 160}  # too small for any IKE_AUTH
REKEY = {  # what makes SAs anew while the tunnel is up -> what is replaced, the command
    "none": None,
    "child-by-us": ("child", lambda lab: lab.us.cli("rekey net")),
    "child-by-peer": ("child", lambda lab: lab.peer.swanctl("--rekey --child net")),
    "ike-by-us": ("ike", lambda lab: lab.us.cli("rekey lab")),
    "ike-by-peer": ("ike", lambda lab: lab.peer.swanctl("--rekey --ike lab")),
}

AXES = {
    "initiator": ("port500", "strongswan"),
    "auth": tuple(AUTH),
    "ike": tuple(CIPHERS),
    "group": tuple(GROUPS),
    "esp": tuple(ESP),
    "pfs": PFS,
    "outer": ("ipv4", "ipv6"),
    "inner": tuple(INNER),
    "nat": NAT,
    "fragments": tuple(FRAGMENTS),
    "rekey": tuple(REKEY),
}
ROWS = product(AXES) if os.environ.get("PORT500_MATRIX") == "full" else all_pairs(AXES)
NAT_PORTS = "20000-29999"


@dataclasses.dataclass
class Lab:
    net: Network
    us: Port500
    peer: Charon

    def shown(self):
        return self.us.swanctl("--list-sas"), self.peer.swanctl("--list-sas")

    def tails(self):
        return (f"\n---- end of port500d's log\n{self.us.tail(40)}"
                f"\n---- end of charon's log\n{self.peer.text()[-6000:]}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    d = tmp_path_factory.mktemp("matrix")
    with Network(prefix_of_tests()) as net:
        us, peer = Port500(net, A, d), Charon(net, B, d)
        make_certificates(d / "pki", us.dir, peer.swan)
        peer.options = f"fragment_size = {FRAGMENT_SIZE['peer']}"
        net.add_ipv6()
        net.add_inner_ipv6()
        peer.start("")
        net.linux_gateway6(B)
        net.linux_gateway6_inner(B)
        us.start(ports(us.default_config(start=False)))
        us.use_ipv6()
        wait_for("the LAN's address of IPv6", lambda: "tentative" not in net.run(
            us.ns, "ip -6 addr show dev lan"))
        yield Lab(net, us, peer)


def ports(text):
    """Our configuration with both families on both ports."""
    return both_families_inside(both_families(text, A), A)


def make_certificates(directory, us, peer):
    """For each kind of key one for both gateways, named gw-a-KIND and gw-b-KIND."""
    directory.mkdir()
    pki = Pki(directory)
    for kind, _ in AUTH.values():
        for gw, where in (("gw-a", us), ("gw-b", peer)):
            if kind:
                pki.end(f"{gw}-{kind}", kind, san=f"{gw}.example")
                pki.give(where, f"{gw}-{kind}", "root")


def name(row):
    return "-".join(row.values())


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_matrix(lab, row, request):
    began = time.monotonic()
    result = "FAILED"
    log_size = len(lab.peer.text())
    try:
        load(lab, row)
        initiate(lab, row)
        check_log(lab.peer.text()[log_size:], row)
        shown = lab.shown()
        check_shown(shown, row)
        check_pings(lab, row)
        if row["rekey"] != "none":
            check_shown(rekey(lab, row, shown, *REKEY[row["rekey"]]), row, rekeyed=True)
        check_gone(lab, row)
        result = "ok"
    except (AssertionError, CommandFailed) as e:
        pytest.fail(f"{row}\n{e}{lab.tails()}", pytrace=False)
    finally:
        request.node.user_properties.append(("matrix", {
            **row, "result": result, "seconds": f"{time.monotonic() - began:.2f}"}))


def load(lab, row):
    """The row's connection into both daemons, and the row's NAT into the carrier."""
    proposal = f"{row['ike']}-{row['group']}"
    behind = row["nat"] == "initiator"
    fragments = FRAGMENTS[row["fragments"]]
    esp = f"{row['esp']}-{row['group']}" if row["pfs"] == "yes" else row["esp"]
    ours = lab.us.default_config(
        start=False, child=f"esp_proposals = {esp}",
        conn=f"proposals = {proposal}\n{fragments}\nfragment_size = {FRAGMENT_SIZE['us']}")
    network, _ = INNER[row["inner"]]
    ours = ours.replace(f"_ts = {A.lan}\n", f"_ts = {network(A)}\n")
    ours = ours.replace(f"_ts = {B.lan}\n", f"_ts = {network(B)}\n")
    theirs = lab.peer.default_config(proposals=proposal, esp=esp, conn=fragments,
                                     local_ts=network(B), remote_ts=network(A))
    kind, _ = AUTH[row["auth"]]
    if kind:
        ours = sides(ours, row["auth"], row["auth"], cert=f"gw-a-{kind}")
        theirs = sides(theirs, "pubkey", "pubkey", cert=f"gw-b-{kind}")
    lab.net.nat(behind and (A if row["initiator"] == "port500" else B), NAT_PORTS)
    # The initiator's address and port are the NAT's: its peer cannot know them before.
    if behind and row["initiator"] == "port500":
        theirs = theirs.replace(f"remote_addrs = {A.wan_addr}", "remote_addrs = %any")
    elif behind:
        ours = ours.replace(f"remote_addrs = {B.wan_addr}", "remote_addrs = %any")
    if row["outer"] == "ipv6":
        ours, theirs = over6(ours, A), over6(theirs, B)
    lab.us.write_config(ports(ours))
    lab.us.cli("reload")
    lab.peer.write_config(theirs)
    lab.peer.swanctl("--load-all --noprompt")


def initiate(lab, row):
    if row["initiator"] == "port500":
        lab.us.cli("up net")
    else:
        lab.peer.swanctl("--initiate --child net")
    wait_for("the child on both sides",
             lambda: all("INSTALLED" in out for out in lab.shown()), 3)


def check_log(text, row):
    """What only strongSwan's log tells: our proof of identity, and who sent fragments."""
    proof = re.escape(AUTH[row["auth"]][1])
    assert re.search(rf"authentication of 'gw-a.example' with {proof} successful", text), text
    sent, received = "splitting IKE message" in text, "received fragment #" in text
    assert sent == received == (row["fragments"] == "forced"), (sent, received)


def check_shown(shown, row, rekeyed=False):
    ike = f"{CIPHERS[row['ike']]}/{GROUPS[row['group']]}\n"
    # RFC 7296 1.2, 1.3.3: the first child has the keys of IKE_AUTH and no group of its own.
    pfs = rekeyed and row["pfs"] == "yes" and REKEY[row["rekey"]][0] == "child"
    group = f"/{GROUPS[row['group']]}" if pfs else ""
    for out in shown:
        assert out.count("ESTABLISHED") == 1 and out.count("INSTALLED") == 1, out
        assert ike in out, f"'{ike.strip()}' is not shown in\n{out}"
        assert re.search(rf"ESP:{ESP[row['esp']]}{group}\n", out), out
    for out, here, there in ((shown[0], A, B), (shown[1], B, A)):
        network, _ = INNER[row["inner"]]
        ts = re.findall(r"INSTALLED, [^#]*?\n\s+local\s+(\S+)\n\s+remote\s+(\S+)\n", out)
        assert ts == [(network(here), network(there))], out


def check_pings(lab, row):
    _, host = INNER[row["inner"]]
    for ns, to in (("host-a", host(B)), ("host-b", host(A))):
        # With -w it sends until five are answered: without, it would not wait for a late one.
        check_replies(lab.net.run(ns, f"ping -D -i 0.005 -c 5 -w 2 {to}", check=False), 5)


def check_replies(text, at_least):
    """None is missing up to the last that came: what was sent at the end may be on its way still.
    Returns when the first and the last came."""
    replies = re.findall(r"\[([\d.]+)\] \d+ bytes from .*icmp_seq=(\d+) ", text)
    assert len(replies) >= at_least, text
    assert [int(seq) for _, seq in replies] == list(range(1, len(replies) + 1)), text
    return float(replies[0][0]), float(replies[-1][0])


def rekey(lab, row, shown, what, command):
    """While a ping crosses: the SAs that are to be replaced are, no others are, nothing is lost.
    Returns what both sides show then."""
    log = os.path.join(lab.us.dir, "ping")
    if os.path.exists(log):
        os.unlink(log)
    _, host = INNER[row["inner"]]
    flow = lab.net.start("host-a", f"ping -D -i 0.01 {host(B)}", log)
    try:
        time.sleep(0.1)
        asked = time.time()
        command(lab)
        shown = wait_replaced(lab, what, shown)
        settled = time.time()
        time.sleep(0.1)
    finally:
        flow.send_signal(signal.SIGINT)
        flow.wait(5)
    with open(log, encoding="utf-8") as f:
        text = f.read()
    first, last = check_replies(text, 10)
    assert first < asked and settled < last, (asked, settled, text)
    return shown


def wait_replaced(lab, what, before):
    now = []

    def done():
        now[:] = lab.shown()
        return replaced(what, list(map(sas, before)), list(map(sas, now)))
    try:
        wait_for(f"a new {what} SA on both sides", done, 3)
    except CommandFailed as e:
        raise CommandFailed("\n".join([str(e), "---- before", *before, "---- now", *now])) from None
    return now


def sas(shown):
    """The SPIs of the IKE SAs and of the children that are in use, and their reqids."""
    return (re.findall(r"ESTABLISHED, IKEv2, ([0-9a-f]{16})_i\*? ([0-9a-f]{16})_r", shown),
            re.findall(r"INSTALLED, [^#]*?\n\s+in\s+([0-9a-f]{8})[^#]*?\n\s+out\s+([0-9a-f]{8})",
                       shown),
            re.findall(r"reqid (\d+), INSTALLED", shown))


def replaced(what, before, now):
    """Exactly one IKE SA and one child, the same on both sides, of which only `what` is new."""
    (our_ike, our_child, _), (their_ike, their_child, _) = now
    if not (len(our_ike) == len(our_child) == 1 and our_ike == their_ike
            and our_child == [spis[::-1] for spis in their_child]):
        return False
    new_ike, new_child = (fresh, kept) if what == "ike" else (kept, fresh)
    return all(new_ike(was[0], sa[0]) and new_child(was[1], sa[1]) and was[2] == sa[2]
               for was, sa in zip(before, now))


def kept(was, spis):
    return was == spis


def fresh(was, spis):
    return not set(was[0]) & set(spis[0])


def check_gone(lab, row):
    """Taken down by the side that did not set it up; neither keeps anything of it."""
    if row["initiator"] == "port500":
        lab.peer.swanctl("--terminate --ike lab")
    else:
        lab.us.cli("down lab")
    wait_for("both to forget the tunnel", lambda: not "".join(lab.shown()).strip(), 3)
    _, host = INNER[row["inner"]]
    out = lab.net.run("host-a", f"ping -c 1 -W 0.1 {host(B)}", check=False)
    assert " 0 received" in out, f"traffic after the tunnel is down\n{out}"
    assert lab.net.clear_forwarded() == 0
