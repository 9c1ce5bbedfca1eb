"""Linux as the peer, in both roles: its kernel's ESP (XFRM) with keys from strongSwan 6.

The machine is emulated, so it boots once for all tests of this file.
"""
import os
import re
import sys

import pytest

from gateways import CLEAR, Capture, Port500, tcp
from guest import XfrmGuest
from peers import need, rekey_under_ping, up
from test_tunnel import child, ping
from topology import A, B, Network, prefix_of_tests, wait_for

BASE = need("xfrm")

GRE = os.path.join(os.path.dirname(os.path.abspath(ping.__code__.co_filename)), "gre.py")

BOTH_ROLES = pytest.mark.parametrize("initiator", ["port500", "linux"])


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with Network(prefix_of_tests()) as net:
        guest = XfrmGuest(net, B, tmp_path_factory.mktemp("guest"), BASE)
        try:
            yield guest.boot()
        finally:
            guest.stop()


@pytest.fixture
def linux(machine):
    """The machine, with nothing running in it."""
    machine.end_charon()
    return machine


@pytest.fixture
def a(machine, tmp_path):
    """Gateway A in the network of the machine; it ends with the test."""
    gateway = Port500(machine.net, A, tmp_path)
    yield gateway
    gateway.stop()


@BOTH_ROLES
@pytest.mark.parametrize("esp, key_bits", [("aes128gcm16", 128), ("aes256gcm16", 256)])
def test_plain_esp(a, linux, esp, key_bits, initiator, tmp_path):
    net = a.net
    linux.start(linux.default_config(esp=esp))
    a.start(a.default_config(start=False, child=f"esp_proposals = {esp}"))
    up(a, linux, initiator)
    capture = Capture(net, tmp_path / "c.pcap")
    clear = net.clear_forwarded()
    assert ping(net, count=100, options="-i 0.02") == (100, 100)
    assert ping(net, "host-b", A.host_addr, 100, "-i 0.02") == (100, 100)
    capture.stop()
    assert len(capture.lines("esp")) == 400
    assert capture.lines("udp port 4500 and udp[8:4] != 0") == []
    assert capture.lines(CLEAR) == []
    assert net.clear_forwarded() == clear

    ours, kernels = child(a), linux.states()
    assert set(kernels) == {ours["spi-in"], ours["spi-out"]}
    for spi, src, dst in ((ours["spi-in"], B, A), (ours["spi-out"], A, B)):
        state = kernels[spi]
        assert f"src {src.wan_addr} dst {dst.wan_addr}" in state and "mode tunnel" in state, state
        # The key and 4 bytes of salt, in hexadecimal; the ICV's length in bits.
        key = re.search(r"aead rfc4106\(gcm\(aes\)\) 0x([0-9a-f]+) 128", state)
        assert key and len(key[1]) == key_bits // 4 + 8, state
        assert "encap" not in state, state


def transport(a, linux):
    """Both with one child in transport mode, of nothing but the two gateways."""
    linux.start(linux.default_config(local_ts="dynamic", remote_ts="dynamic",
                                     child="mode = transport"))
    text = a.default_config(start=False, child="mode = transport")
    a.start(re.sub(r"(local|remote)_ts = .*\n", r"\1_ts = dynamic\n", text))


@BOTH_ROLES
def test_transport_mode(a, linux, initiator, tmp_path):
    net = a.net
    transport(a, linux)
    up(a, linux, initiator)
    kernels = linux.states()
    assert len(kernels) == 2 and all("mode transport" in state for state in kernels.values())
    assert "TRANSPORT" in a.swanctl("--list-sas")
    capture = Capture(net, tmp_path / "c.pcap")
    assert ping(net, "gw-a", B.wan_addr, 50, "-i 0.02") == (50, 50)
    for size in (0, 1, 1438, 1439, 1473, 4000):
        assert ping(net, "gw-a", B.wan_addr, 2, f"-i 0.02 -M dont -s {size}") == (2, 2), size
    capture.stop()
    assert capture.lines("icmp") == []
    before = errors(linux)
    # GRE of the kernel on the one side, of a program on the other.
    linux.run(f"ip link add gre-lab type gre local {B.wan_addr} remote {A.wan_addr} && "
              "ip addr add 10.99.0.2/24 dev gre-lab && ip link set gre-lab up mtu 1400")
    try:
        net.start("gw-a", [sys.executable, GRE, A.wan_addr, B.wan_addr, "gre-lab", "10.99.0.1/24",
                           "1400"], str(tmp_path / "gre.log"))
        wait_for("the GRE device", lambda: "10.99.0.1" in net.run("gw-a", "ip -br addr"))
        assert ping(net, "gw-a", "10.99.0.2") == (20, 20)
        for gw in (a, linux):
            spi = child(a)["spi-in"]
            gw.swanctl("--rekey --child net")
            wait_for("a new child SA", lambda spi=spi: child(a)["spi-in"] != spi, 10)
        assert ping(net, "gw-a", "10.99.0.2") == (20, 20)
        assert all("mode transport" in state for state in linux.states().values())
        assert errors(linux) == before
    finally:
        linux.run("ip link del gre-lab")


def test_every_size_up_to_the_inner_mtu(a, linux):
    linux.start()
    a.start(a.default_config(start=False))
    up(a, linux, "port500")
    for size in (0, 1, 2, 3, 56, 700, 1446 - 28):
        assert ping(a.net, count=2, options=f"-i 0.02 -M do -s {size}") == (2, 2), size
        assert ping(a.net, "host-b", A.host_addr, 2, f"-i 0.02 -M do -s {size}") == (2, 2), size


def test_tcp(a, linux, tmp_path):
    linux.start()
    a.start(a.default_config(start=False))
    up(a, linux, "port500")
    for options in ("", "-R"):
        assert tcp(a.net, tmp_path / "iperf3.log", options) > 1_000_000, options


def test_the_kernel_finds_nothing_wrong(a, linux):
    """Not one packet fails the kernel's integrity check, its replay window or its policies."""
    linux.start()
    a.start(a.default_config(start=False))
    up(a, linux, "linux")
    before = errors(linux)
    assert ping(a.net, count=200, options="-i 0.01") == (200, 200)
    assert errors(linux) == before
    state = linux.run("ip -s xfrm state get "
                      f"src {A.wan_addr} dst {B.wan_addr} proto esp spi 0x{child(a)['spi-out']}")
    assert re.search(r"replay-window 0 replay 0 failed 0", state), state
    assert re.search(r"lifetime current:\s+\d+\(bytes\), 200\(packets\)", state), state


def errors(linux):
    return linux.run("cat /proc/net/xfrm_stat")


@pytest.mark.parametrize("who", ["port500", "linux"])
@pytest.mark.parametrize("what", ["ike", "child"])
def test_delete_leaves_no_state_in_the_kernel(a, linux, who, what):
    linux.start()
    a.start(a.default_config(start=False))
    up(a, linux, "port500")
    assert len(linux.states()) == 2
    if who == "port500":
        a.cli("down lab" if what == "ike" else "down lab/net")
    else:
        linux.swanctl("--terminate --ike lab" if what == "ike" else "--terminate --child net")
    wait_for("the kernel's SAs to go", lambda: linux.states() == {})
    wait_for("ours to go", lambda: "INSTALLED" not in a.swanctl("--list-sas"))
    up(a, linux, "port500")
    assert ping(a.net) == (20, 20)


def test_a_restarted_linux_comes_back(a, linux):
    """Linux forgets everything without a word; its new SAs replace the old ones."""
    linux.start()
    a.start(a.default_config(start=False))
    up(a, linux, "port500")
    linux.start()
    up(a, linux, "linux")
    wait_for("the old SAs to go", lambda: a.swanctl("--list-sas").count("ESTABLISHED") == 1)
    assert set(linux.states()) == {child(a)["spi-in"], child(a)["spi-out"]}
    assert ping(a.net) == (20, 20)


@pytest.mark.parametrize("who", ["linux", "port500"])
@pytest.mark.parametrize("what", ["child", "ike"])
def test_rekey(a, linux, who, what, tmp_path):
    linux.start()
    a.start(a.default_config(start=False))
    up(a, linux, "port500")
    rekey_under_ping(a, linux, who, what, tmp_path / "ping")
    # strongSwan keeps the old inbound SA for late packets (delete_rekeyed_delay, 5 s).
    wait_for("the old SAs to go", lambda: len(linux.states()) == 2)
