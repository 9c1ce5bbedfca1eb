"""The peers of devtools/peers: tests use them only when PORT500_PEERS names them."""
import os
import re

import pytest

from echo import Echoes, ping
from topology import A, B, wait_for

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def need(name):
    """For the first lines of a test module: skips it unless the peer is asked for. Returns the
    path of what devtools/peers made; a peer that is asked for and not there is an error."""
    if name not in os.environ.get("PORT500_PEERS", "").split():
        pytest.skip(f"runs with PORT500_PEERS={name} (devtools/test peers)",
                    allow_module_level=True)
    path = os.path.join(os.environ.get("PORT500_PEERS_DIR") or os.path.join(TOP, "build-peers"),
                        name)
    if not os.path.isdir(path):
        raise RuntimeError(f"{path} is not there: run devtools/peers {name} first")
    return os.path.abspath(path)


def up(a, peer, initiator):
    """Brings the child `net` up from the side that is named."""
    if initiator == "port500":
        a.cli("up net")
    else:
        peer.swanctl("--initiate --child net")


def spis(gw):
    """(SPI of the IKE SA's initiator, inbound SPI of the child) of the newest SAs of a gateway."""
    out = gw.swanctl("--list-sas")
    ike = re.findall(r"ESTABLISHED, IKEv2, ([0-9a-f]{16})_i", out)
    child = re.findall(r"INSTALLED[^#]*?\n\s+in\s+([0-9a-f]{8})", out)
    return (ike[-1] if ike else None), (child[-1] if child else None)


def rekey_under_ping(a, peer, who, what, log):
    """Rekeys the child or the IKE SA, and only that, while a ping crosses and loses nothing."""
    ike, child = spis(a)
    flow = Echoes(a.net, log, 200, 0.02)
    (a if who == "port500" else peer).swanctl(
        "--rekey --child net" if what == "child" else "--rekey --ike lab")
    if what == "child":
        wait_for("a new child SA", lambda: spis(a)[1] not in (None, child), 5)
        assert spis(a)[0] == ike
    else:
        wait_for("a new IKE SA", lambda: spis(a)[0] not in (None, ike), 5)
        assert spis(a)[1] == child
    flow.check_none_lost()
    wait_for("the old SAs to go", lambda: all(
        gw.swanctl("--list-sas").count(state) == 1
        for gw in (a, peer) for state in ("ESTABLISHED", "INSTALLED")), 15)
    assert ping(a.net, "host-b", A.host_addr) == (20, 20)
