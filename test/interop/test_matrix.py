"""What works between port500 and strongSwan, as a table: role, authentication, algorithms, NAT.

One test is one row. All pairs of values of any two axes occur; PORT500_MATRIX=full runs the whole
product. The daemons keep running and get each row's connection by a reload, as an operator would
do it. The table is printed at the end of the run and stands in the JUnit report.

A new value is one line in its axis: a keyword, and what both sides are to show for it.
"""
import dataclasses
import os
import re
import time

import pytest

from covering import all_pairs, product
from gateways import Charon, Port500
from test_tunnel import ping
from topology import A, B, CommandFailed, Network, wait_for

CIPHERS = {  # keywords of an IKE proposal without its group
    "aes128gcm16-prfsha256": "AES_GCM_16-128/PRF_HMAC_SHA2_256",
    "aes256gcm16-prfsha384": "AES_GCM_16-256/PRF_HMAC_SHA2_384",
    "aes128-sha256": "AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256",
    "aes192-sha384": "AES_CBC-192/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384",
    "aes256-sha512": "AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512",
}
GROUPS = {"x25519": "CURVE_25519", "ecp256": "ECP_256", "ecp384": "ECP_384",
          "modp2048": "MODP_2048"}
ESP = {"aes128gcm16": "AES_GCM_16-128", "aes256gcm16": "AES_GCM_16-256"}
NAT = ("none", "initiator")  # who stands behind one
REKEY = {"none": lambda lab: None}  # what makes SAs anew while the tunnel is up

AXES = {
    "initiator": ("port500", "strongswan"),
    "auth": ("psk",),
    "ike": tuple(CIPHERS),
    "group": tuple(GROUPS),
    "esp": tuple(ESP),
    "nat": NAT,
    "fragments": ("no",),
    "rekey": tuple(REKEY),
}
ROWS = product(AXES) if os.environ.get("PORT500_MATRIX") == "full" else all_pairs(AXES)
NAT_PORTS = "20000-29999"


@dataclasses.dataclass
class Lab:
    net: Network
    us: Port500
    peer: Charon

    def tails(self):
        return (f"\n---- end of port500d's log\n{self.us.tail(40)}"
                f"\n---- end of charon's log\n{self.peer.text()[-6000:]}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    d = tmp_path_factory.mktemp("matrix")
    with Network("t-") as net:
        us, peer = Port500(net, A, d), Charon(net, B, d)
        peer.start("")
        us.start(us.default_config(start=False))
        yield Lab(net, us, peer)


def name(row):
    return "-".join(row.values())


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_matrix(lab, row, request):
    began = time.monotonic()
    result = "FAILED"
    try:
        load(lab, row)
        initiate(lab, row)
        check_shown(lab, row)
        check_pings(lab)
        REKEY[row["rekey"]](lab)
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
    ours = lab.us.default_config(start=False, conn=f"proposals = {proposal}",
                                 child=f"esp_proposals = {row['esp']}")
    theirs = lab.peer.default_config(proposals=proposal, esp=row["esp"])
    lab.net.nat(behind and (A if row["initiator"] == "port500" else B), NAT_PORTS)
    # The initiator's address and port are the NAT's: its peer cannot know them before.
    if behind and row["initiator"] == "port500":
        theirs = theirs.replace(f"remote_addrs = {A.wan_addr}", "remote_addrs = %any")
    elif behind:
        ours = ours.replace(f"remote_addrs = {B.wan_addr}", "remote_addrs = %any")
    lab.us.write_config(ours)
    lab.us.cli("reload")
    lab.peer.write_config(theirs)
    lab.peer.swanctl("--load-all --noprompt")


def initiate(lab, row):
    if row["initiator"] == "port500":
        lab.us.cli("up net")
    else:
        lab.peer.swanctl("--initiate --child net")
    lab.us.wait_child(3)
    lab.peer.wait_child(3)


def check_shown(lab, row):
    shown = lab.us.swanctl("--list-sas"), lab.peer.swanctl("--list-sas")
    ike = f"{CIPHERS[row['ike']]}/{GROUPS[row['group']]}\n"
    for out in shown:
        assert out.count("ESTABLISHED") == 1 and out.count("INSTALLED") == 1, out
        assert ike in out, f"'{ike.strip()}' is not shown in\n{out}"
        assert re.search(rf"ESP:{ESP[row['esp']]}\n", out), out
    if row["nat"] == "initiator":
        responder = shown[1 if row["initiator"] == "port500" else 0]
        nat = (B if row["initiator"] == "port500" else A).carrier_addr
        assert re.search(rf"remote '.*' @ {nat}\[2\d{{4}}\]", responder), responder


def check_pings(lab):
    assert ping(lab.net, count=5, options="-i 0.005") == (5, 5), "host-a to host-b"
    assert ping(lab.net, "host-b", A.host_addr, 5, "-i 0.005") == (5, 5), "host-b to host-a"


def check_gone(lab, row):
    """Taken down by the side that did not set it up; neither keeps anything of it."""
    if row["initiator"] == "port500":
        lab.peer.swanctl("--terminate --ike lab")
    else:
        lab.us.cli("down lab")
    wait_for("both to forget the tunnel", lambda: not (
        lab.us.swanctl("--list-sas") + lab.peer.swanctl("--list-sas")).strip(), 3)
    out = lab.net.run("host-a", f"ping -c 1 -W 0.1 {B.host_addr}", check=False)
    assert " 0 received" in out, f"traffic after the tunnel is down\n{out}"
    assert lab.net.clear_forwarded() == 0
