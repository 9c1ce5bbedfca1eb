"""Each kind of device that works without a NIC: the gateway starts on it and packets pass."""
import os
import re

import pytest

from echo import ping
from topology import A, CommandFailed, wait_for


def config(gw, device, extra="", gateway=""):
    return f"""
gateway {{
    socket = {gw.socket}
    {gateway}
    ports {{
        lan {{
            device = "{device}"
            addrs = {A.lan_addr}/24
            {extra}
        }}
    }}
}}
"""


def start(gw, device, **kwargs):
    return gw.start(config(gw, device, **kwargs), route=False)


def lan(gw):
    return gw.json("show ports")["lan"]


@pytest.mark.parametrize("device", [
    "net_af_packet0,iface=lan-a",
    "net_pcap0,iface=lan-a",
    "net_pcap0,rx_iface_in=lan-a,tx_iface=lan-a",
    "net_af_xdp0,iface=lan-a",
])
def test_on_an_interface_of_linux(net, a, device):
    start(a, device)
    port = lan(a)
    assert port["link"] == "up", port
    # The host asks for our MAC address, Linux answers, the ping goes to its TAP.
    assert ping(net, to=A.lan_addr, count=20) == (20, 20)
    assert ping(net, a.ns, A.host_addr, count=20) == (20, 20)
    assert int(lan(a)["rx-packets"]) >= 40
    assert a.stop() == 0


def test_tap(net, a):
    """The driver makes the interface; whoever is at its other end is the network."""
    start(a, "net_tap0,iface=wire")
    net.run(a.ns, f"ip link set wire netns {net.ns('host-a')}")
    net.run("host-a", "ip addr flush dev eth0")
    net.run("host-a", "ip link set wire address 02:00:00:00:00:09")  # it has that of the port
    net.run("host-a", "ip link set wire up")
    net.run("host-a", f"ip addr add {A.host_addr}/24 dev wire")
    assert ping(net, to=A.lan_addr, count=20) == (20, 20)
    assert a.stop() == 0


def test_ring(net, a):
    """What is sent on it comes back: our own voice, and nobody else's."""
    start(a, "net_ring0")
    net.run(a.ns, f"ping -c 3 -i 0.1 -W 1 {A.host_addr}", check=False)
    wait_for("our own ARP request", lambda: a.drops().get("rx-other-mac", 0) > 0)
    assert lan(a)["driver"] == "net_ring"
    assert a.stop() == 0


def test_null(net, a):
    """Frames of zeroes without end, which are nobody's."""
    start(a, "net_null0")
    wait_for("frames", lambda: int(lan(a)["rx-packets"]) > 100000)
    assert sum(a.drops().values()) > 0
    assert a.stop() == 0


def test_files_of_pcap(net, a, tmp_path):
    """A capture is played to the gateway, and what it sends is written to another one."""
    scapy = pytest.importorskip("scapy.all")
    ask, answers = str(tmp_path / "ask.pcap"), str(tmp_path / "answers.pcap")
    scapy.wrpcap(ask, [scapy.Ether(src="02:00:00:00:00:09", dst="ff:ff:ff:ff:ff:ff") /
                       scapy.ARP(op=1, hwsrc="02:00:00:00:00:09", psrc=A.host_addr,
                                 pdst=A.lan_addr)])
    start(a, f"net_pcap0,rx_pcap={ask},tx_pcap={answers},infinite_rx=1")
    wait_for("answers", lambda: int(lan(a)["tx-packets"]) > 0)
    assert a.stop() == 0
    got = [p[scapy.ARP] for p in scapy.rdpcap(answers) if scapy.ARP in p and p[scapy.ARP].op == 2]
    assert got and got[0].psrc == A.lan_addr and got[0].hwdst == "02:00:00:00:00:09"


@pytest.mark.parametrize("device, words", [
    ("net_af_pakcet0,iface=lan-a", "no DPDK driver has the name"),
    ("net_af_packet0,iface=lan-b", "no interface 'lan-b'.*did you mean 'lan-a'"),
    ("net_pcap0,iface=lan-b", "no interface 'lan-b'"),
    ("0000:fe:1f.7", "no PCI device 0000:fe:1f.7"),
    ("net_virtio_user0,path=/run/nothing.sock", "cannot open the device.*/run/nothing.sock"),
])
def test_what_is_missing_is_said(net, a, device, words):
    with pytest.raises(CommandFailed):
        start(a, device)
    assert re.search(r"port lan: .*" + words, a.text(), re.S), a.text()
    assert not os.path.exists(a.socket)


def test_jumbo_frames_through_a_tunnel(net, a, b):
    """9,000 bytes on every wire: a tunnel of 8,946 bytes, and not a piece is cut."""
    for ns, dev in (("host-a", "eth0"), ("gw-a", "lan-a"), ("gw-a", "wan-a"), ("carrier", "to-a"),
                    ("carrier", "to-b"), ("gw-b", "wan-b"), ("gw-b", "lan-b"), ("host-b", "eth0")):
        net.run(ns, f"ip link set {dev} mtu 9000")
    for gw in (b, a):
        text = gw.default_config(start=gw is a)
        gw.start(text.replace("            addrs =", "            mtu = 9000\n            addrs ="))
    a.wait_child()
    to = "10.2.0.2"
    for size in (1500, 4000, 8946 - 28):
        assert ping(net, to=to, count=5, options=f"-i 0.05 -M do -s {size}") == (5, 5), size
    out = net.run("host-a", f"ping -c 1 -W 2 -M do -s {8947 - 28} {to}", check=False)
    assert "8946" in out, out
    workers = a.json("show workers")["0"]
    assert workers["cut-packets"] == "0" and workers["whole-packets"] == "0", workers
    assert "MTU" not in a.text(), a.text()


def test_ike_that_comes_in_fragments(net, a):
    """Datagrams larger than a frame of the packet socket's ring, cut by whoever sent them.

    They are one vendor ID with an IKE header, which the guard lets through.
    """
    a.start(a.default_config(start=False))
    for n, size in enumerate((1400, 1960, 2100, 4000, 8000), 1):
        net.run("carrier", ["python3", "-c",
                            "import socket, struct\n"
                            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                            f"m = struct.pack('!QQBBBBII', {n}, 0, 43, 0x20, 34, 8, 0, {size})\n"
                            f"m += struct.pack('!BBH', 0, 0, {size} - 28)\n"
                            f"s.sendto(m.ljust({size}, bytes(1)), ('{A.wan_addr}', 500))"])
        wait_for(f"datagram of {size} bytes at IKE", lambda: int(
            a.json("status")["status"]["ike"]["rx-messages"]) == n)
    worker = a.json("show workers")["0"]
    assert worker["whole-packets"] == "4" and worker["whole-pieces"] == "13", worker
