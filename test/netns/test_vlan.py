"""One wire for everything: a gateway whose LAN and WAN are two VLANs of one device."""
import os
import sys

import pytest

from echo import ping
from topology import A, B, wait_for

LAN_VLAN, WAN_VLAN = 100, 200
SWITCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vlan_switch.py")


def one_wire(net, log, lan_vlan=LAN_VLAN):
    """Between gateway A and its two neighbours comes a switch; one wire leads to it."""
    net.names.append("switch")
    net.add_namespace("switch")
    for dev in ("lan-a", "wan-a"):
        net.run("gw-a", f"ip link set {dev} netns {net.ns('switch')} name {dev}-0")
        net.run("switch", f"ip link set {dev}-0 up")
        net.wire("gw-a", dev, "switch", dev)  # that of wan-a is not used
    net.start("switch", [sys.executable, SWITCH, "lan-a", f"lan-a-0={lan_vlan}",
                         f"wan-a-0={WAN_VLAN}"], str(log))
    wait_for("the switch", lambda: "ready" in said(log))


def said(log):
    with open(log, encoding="utf-8") as f:
        return f.read()


def config(gw, device):
    text = gw.default_config()
    for name, vlan in (("lan-a", LAN_VLAN), ("wan-a", WAN_VLAN)):
        old = f"net_af_packet{0 if name == 'wan-a' else 1},iface={name}"
        assert old in text
        text = text.replace(f"device = {old}", f'device = "{device}"\n            vlan = {vlan}')
    return text


# The tag comes beside the frame with af_packet, and in it with pcap.
@pytest.mark.parametrize("device", ["net_af_packet0,iface=lan-a", "net_pcap0,iface=lan-a"])
def test_tunnel_through_two_vlans_of_one_device(net, a, b, tmp_path, device):
    one_wire(net, tmp_path / "switch")
    b.start(b.default_config(start=False))
    a.start(config(a, device))
    a.wait_child()
    assert ping(net, count=50) == (50, 50)
    assert ping(net, "host-b", A.host_addr, count=50) == (50, 50)
    assert ping(net, to=A.lan_addr, count=5) == (5, 5)  # Linux, behind the TAP of the VLAN
    out = net.run("host-a", f"ping -c 1 -W 2 -M do -s {1447 - 28} {B.host_addr}", check=False)
    assert "1446" in out, out
    assert ping(net, count=3, options=f"-i 0.05 -M do -s {1446 - 28}") == (3, 3)  # full frames

    ports = a.json("show ports")
    assert ports["lan"]["vlan"] == str(LAN_VLAN) and ports["wan"]["vlan"] == str(WAN_VLAN)
    assert ports["lan"]["mac"] == ports["wan"]["mac"]
    for port in ("lan", "wan"):  # each has its own share
        assert 100 < int(ports[port]["rx-packets"]) < 200, ports
        assert 100 < int(ports[port]["tx-packets"]) < 200, ports
    assert f"VLAN {WAN_VLAN}" in a.cli("show ports")
    assert "nobody's" not in said(tmp_path / "switch")


@pytest.mark.parametrize("vlan", [0, 300])
def test_foreign_and_untagged_frames_are_dropped(net, a, tmp_path, vlan):
    one_wire(net, tmp_path / "switch", vlan)
    a.start(config(a, "net_af_packet0,iface=lan-a"))
    mac = a.json("show ports")["lan"]["mac"]
    net.run("host-a", f"ip neigh replace {A.lan_addr} lladdr {mac} dev eth0")
    before = a.drops()["rx-vlan"]
    assert ping(net, to=A.lan_addr, count=5, options="-i 0.05 -W 1") == (5, 0)
    wait_for("drops", lambda: a.drops()["rx-vlan"] >= before + 5)
