"""A NAT between the gateways that forgets its mapping and makes another."""
import time

import pytest

from echo import ping
from topology import A, wait_for


def forget(net, ports):
    """The NAT forgets what has been silent for a second, and takes other ports from now on."""
    net.nat(A, ports)
    for key in ("udp_timeout", "udp_timeout_stream"):
        net.sysctl("carrier", f"net.netfilter.nf_conntrack_{key}", 1)
    ping(net, count=1)  # with the new timeout
    time.sleep(2.5)


@pytest.fixture
def behind_nat(net, a, b):
    """A is hidden; neither side looks whether the other lives, so IKE is silent."""
    net.nat(A, "20000-20009")
    config = b.default_config(start=False, conn="dpd_delay = 0")
    b.start(config.replace(f"remote_addrs = {A.wan_addr}", "remote_addrs = %any"))
    a.start(a.default_config(conn="dpd_delay = 0"))
    a.wait_child()
    assert ping(net) == (20, 20)
    return a, b


def remote_port(gw):
    out = gw.swanctl("--list-sas")
    line = next(l for l in out.splitlines() if l.strip().startswith("remote"))
    return int(line.rsplit("[", 1)[1].split("]")[0])


def test_esp_alone_moves_the_peer(net, behind_nat):
    a, b = behind_nat
    messages = b.json("status")["status"]["ike"]["rx-messages"]
    assert 20000 <= remote_port(b) <= 20009
    forget(net, "30000-30009")
    # What is on the way while B still answers to the old place is lost, no more.
    sent, received = ping(net, count=100, options="-i 0.02")
    assert sent == 100 and received >= 50, received
    wait_for("B to follow", lambda: 30000 <= remote_port(b) <= 30009)
    assert "the peer has moved from" in b.text()
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    # No IKE message of A has told it.
    assert b.json("status")["status"]["ike"]["rx-messages"] == messages

