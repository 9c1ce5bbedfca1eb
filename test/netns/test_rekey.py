"""Keys are replaced all the time while packets flow: none is lost, counted where they arrive.

PORT500_REKEYS=N sets how many child SAs are replaced under the stream, and a tenth of it IKE SAs.
"""
import os

import pytest

from echo import Echoes, ping
from gateways import Port500
from peers import spis
from topology import A, B, wait_for

CHILDREN = int(os.environ.get("PORT500_REKEYS", "60"))


class Stream:
    """Echoes in both directions, one every 2 ms, for as long as `work` takes."""

    def __init__(self, net, directory):
        self.net, self.dir, self.n = net, str(directory), 0

    def during(self, work, seconds):
        log = os.path.join(self.dir, f"stream-{self.n}")
        self.n += 1
        flow = Echoes(self.net, log, int(seconds * 500), 0.002)
        done = work(flow.flowing)
        flow.check_none_lost(seconds * 4 + 30)
        return done


def replace(a, b, what, wanted):
    """Lets the two sides replace their SAs in turns; returns how often they did."""
    arg = "--rekey --child net" if what == "child" else "--rekey --ike lab"

    def work(flowing):
        done = 0
        while done < wanted and flowing():
            before = spis(a)
            (a, b)[done % 2].swanctl(arg)
            at = 1 if what == "child" else 0
            wait_for(f"a new {what} SA", lambda: spis(a)[at] not in (None, before[at]), 10)
            done += 1
        return done

    return work


def check(net, a, b, directory):
    stream, children, sas = Stream(net, directory), 0, 0
    while children < CHILDREN:
        children += stream.during(replace(a, b, "child", CHILDREN - children), 10)
    while sas < CHILDREN // 10:
        sas += stream.during(replace(a, b, "ike", CHILDREN // 10 - sas), 5)
    print(f"{children} child SAs and {sas} IKE SAs replaced")
    wait_for("the old SAs to go", lambda: all(
        gw.swanctl("--list-sas").count(state) == 1
        for gw in (a, b) for state in ("ESTABLISHED", "INSTALLED")), 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    assert net.clear_forwarded() == 0


def test_among_ourselves(net, a, b, tmp_path):
    b.start()
    a.start(a.default_config(start=False))
    a.cli("up net")
    check(net, a, b, tmp_path)


def test_with_strongswan(net, a, charon_b, tmp_path):
    charon_b.start()
    a.start(a.default_config(start=False))
    a.cli("up net")
    check(net, a, charon_b, tmp_path)


@pytest.mark.parametrize("by", ["port500", "lifetime"])
def test_an_operator_sees_it(net, a, b, by):
    """port500 rekey, and what the log and status say of it."""
    assert isinstance(a, Port500)
    b.start()
    a.start(a.default_config(start=False, child="rekey_time = 2s\nlife_time = 10s"
                             if by == "lifetime" else ""))
    a.cli("up net")
    before = spis(a)
    if by == "port500":
        assert "1 SA" in a.cli("rekey net")
    wait_for("a new child SA", lambda: spis(a)[1] not in (None, before[1]), 5)
    a.wait_log(r"child 'net' rekeyed: .*SPIs [0-9a-f]{8} in [0-9a-f]{8} out, after")
    assert spis(a)[0] == before[0]
    assert ping(net) == (20, 20)
