"""Two gateways whose WAN ports are the two ends of shared memory instead of a wire."""
import pytest

from echo import ping
from gateways import other
from topology import A, B


def memif(role, path):
    return f"net_memif0,role={role},socket={path},socket-abstract=no"


def config(gw, device, workers=1):
    """The WAN has one network: 192.0.2.1 and 192.0.2.2, and no carrier."""
    text = gw.default_config(gateway=f"workers = {workers}", start=gw.site is A)
    text = text.replace(f"net_af_packet0,iface=wan-{gw.site.letter}", f'"{device}"')
    for site in (gw.site, other(gw.site)):
        addr = "192.0.2.1" if site is A else "192.0.2.2"
        text = text.replace(f"addrs = {site.wan_addr}/24", f"addrs = {addr}/24")
        text = text.replace(f"_addrs = {site.wan_addr}\n", f"_addrs = {addr}\n")
    return text


def start(net, gw, text):
    gw.start(text, route=False)
    net.run(gw.ns, f"ip route add {other(gw.site).lan} via 192.0.2.{2 if gw.site is A else 1}")


@pytest.mark.parametrize("workers", [1, 2])
def test_memif(net, a, b, tmp_path, workers):
    """memif has as many queues as its other end wants, not as many as there are workers."""
    start(net, a, config(a, memif("server", tmp_path / "wan"), workers))
    start(net, b, config(b, memif("client", tmp_path / "wan")))
    a.wait_child()
    assert "MTU" not in a.text(), a.text()  # it has none to be set, and carries what we need
    assert ping(net, count=100, options="-i 0.01") == (100, 100)
    assert ping(net, "host-b", A.host_addr, count=100, options="-i 0.01") == (100, 100)
    a.wait_log("port wan: link up")
    assert a.json("show ports")["wan"]["link"] == "up"
    b.stop()  # its end of the memory goes
    a.wait_log("port wan: link down")
    assert a.json("show ports")["wan"]["link"] == "down"


def test_virtio(net, a, b, tmp_path):
    """One gateway is the virtual switch (vhost-user), the other one the guest (virtio)."""
    start(net, a, config(a, f"net_vhost0,iface={tmp_path}/wan"))
    start(net, b, config(b, f"net_virtio_user0,path={tmp_path}/wan"))
    a.wait_log("port wan: link up")
    a.wait_child()
    assert ping(net, count=100, options="-i 0.01") == (100, 100)
    assert ping(net, "host-b", A.host_addr, count=100, options="-i 0.01") == (100, 100)
    assert b.json("show ports")["wan"]["driver"] == "net_virtio_user"
    b.stop()
    a.wait_log("port wan: link down")
