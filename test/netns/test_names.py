"""The peer by name, by range, and the choice of our own address."""
import os
import shutil

import pytest

from echo import ping
from gateways import Capture, both_families, over6
from topology import A, B, wait_for

NAME = "gw-b.example"

# Answers every question for an address with the one of its family in a file, if any; when the file is
# empty, that the name is unknown.
DNS = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    q, peer = s.recvfrom(512)
    end = 12
    while q[end]:
        end += q[end] + 1
    question = q[12:end + 5]
    addrs = open(sys.argv[1]).read().split()
    v6 = question[-4:-2] == b"\\0\\x1c"
    known = [socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, a) for a in addrs if (":" in a) == v6]
    head = q[:2] + (b"\\x81\\x80" if addrs else b"\\x81\\x83") + bytes([0, 1, 0, len(known)]) + b"\\0" * 4
    answer = b"".join(b"\\xc0\\x0c" + question[-4:] + b"\\0\\0\\0\\1" + bytes([0, len(a)]) + a for a in known)
    s.sendto(head + question + answer, peer)
"""


@pytest.fixture
def etc(net):
    """Files that processes in gw-a see in /etc."""
    path = f"/etc/netns/{net.ns('gw-a')}"
    os.makedirs(path, exist_ok=True)

    def write(name, text):
        with open(f"{path}/{name}", "w", encoding="ascii") as f:
            f.write(text)
    write("hosts", "127.0.0.1 localhost\n")
    write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    yield write
    shutil.rmtree(path)


def name_server(net, directory, zone):
    """In gw-a; answers by the file `zone`."""
    script, log = directory / "dns.py", directory / "dns.log"
    script.write_text(DNS)
    net.start("gw-a", ["/usr/bin/python3", str(script), str(zone)], str(log))
    wait_for("the name server", lambda: "ready" in log.read_text())


def by_name(a, **more):
    return a.default_config(**more).replace(f"remote_addrs = {B.wan_addr}",
                                            f"remote_addrs = {NAME}")


def test_a_name_from_the_hosts_file(net, a, b, etc):
    etc("hosts", f"127.0.0.1 localhost\n{B.wan_addr} {NAME}\n")
    b.start(b.default_config(start=False))
    a.start(by_name(a))
    a.wait_child()
    assert f"{NAME} is {B.wan_addr}" in a.text()
    assert ping(net) == (20, 20)
    assert f"remote: {NAME}" in a.swanctl("--list-conns")
    # As a responder: the peer comes from where the name leads to.
    a.cli("down lab")
    b.cli("up net")
    assert ping(net) == (20, 20)


def test_a_name_that_is_not_there_yet_and_then_moves(net, a, b, etc, tmp_path):
    zone = tmp_path / "zone"
    zone.write_text("")
    name_server(net, tmp_path, zone)
    b.start(b.default_config(start=False))
    a.start(by_name(a, conn="dpd_delay = 1s"))
    a.wait_log(f"no address for {NAME}: ")
    status, _, err = a.cli("up net", check=False)
    assert status == 1 and f"no address for {NAME}" in err, err
    zone.write_text("198.51.100.77\n")  # nobody there
    a.wait_log(f"{NAME} is 198.51.100.77")
    zone.write_text(f"{B.wan_addr}\n")
    a.cli("up net --timeout 1", check=False)  # looks again, and turns round
    a.wait_log(f"{NAME} is {B.wan_addr}, and no longer 198.51.100.77")
    a.wait_child()
    assert ping(net) == (20, 20)


def test_dynamic_is_what_the_name_leads_to(net, a, b, etc, tmp_path):
    """Both gateways' own addresses are the traffic; our own is chosen by the route."""
    zone = tmp_path / "zone"
    zone.write_text("")
    name_server(net, tmp_path, zone)

    def dynamic(gw, text):
        return text.replace(f"local_ts = {gw.site.lan}", "local_ts = dynamic").replace(
            f"remote_ts = {(B if gw is a else A).lan}", "remote_ts = dynamic")

    b.start(dynamic(b, b.default_config(start=False)))
    a.start(dynamic(a, by_name(a)).replace("start_action = start", "start_action = trap").replace(
        f"local_addrs = {A.wan_addr}", "local_addrs = %any"))
    a.wait_log(f"no address for {NAME}: ")
    zone.write_text("198.51.100.77\n")
    a.cli("up net --timeout 1", check=False)  # looks the name up
    a.wait_log(f"{NAME} is 198.51.100.77")
    before = a.drops().get("no-sa-timeout", 0)
    net.run("gw-a", "ping -c 1 -W 2 198.51.100.77", check=False)
    wait_for("a held packet", lambda: a.drops().get("no-sa-timeout", 0) > before)
    zone.write_text(f"{B.wan_addr}\n")
    a.cli("up net --timeout 1", check=False)
    a.wait_log(f"{NAME} is {B.wan_addr}, and no longer 198.51.100.77")
    a.wait_child()
    capture = Capture(net, tmp_path / "c.pcap")
    assert ping(net, "gw-a", B.wan_addr) == (20, 20)
    capture.stop()
    assert capture.lines("esp") and not capture.lines("icmp")
    sas = a.swanctl("--list-sas")
    assert f"{A.wan_addr}/32" in sas and f"{B.wan_addr}/32" in sas, sas
    # The address that is no longer the peer's is nobody's again.
    before = a.drops().get("no-sa-timeout", 0)
    net.run("gw-a", "ping -c 1 -W 2 198.51.100.77", check=False)
    assert a.drops().get("no-sa-timeout", 0) == before


def with_ipv6(gw, text):
    """Starts a port500 that has addresses and routes of both families."""
    gw.start(both_families(text, gw.site))
    gw.use_ipv6()
    return gw


def by_name6(a, **more):
    return by_name(a, **more).replace(f"local_addrs = {A.wan_addr}", "local_addrs = %any")


def test_a_name_of_ipv6_from_dns(net, a, b, etc, tmp_path):
    net.add_ipv6()
    zone = tmp_path / "zone"
    zone.write_text(f"{B.wan6}\n")
    name_server(net, tmp_path, zone)
    with_ipv6(b, over6(b.default_config(start=False), B))
    with_ipv6(a, by_name6(a))
    a.wait_child()
    assert f"{NAME} is {B.wan6}" in a.text()
    assert f"remote 'gw-b.example' @ {B.wan6}" in a.swanctl("--list-sas")
    assert ping(net) == (20, 20)
    zone.write_text(f"{B.wan6}\n{B.wan_addr}\n")
    a.cli("down lab")
    a.cli("up net")
    a.wait_log(f"{NAME} is {B.wan_addr} and {B.wan6}, and no longer {B.wan6}")
    a.cli("down lab")
    b.cli("up net")  # the peer may come from either
    assert f"@ {B.wan6}" in a.swanctl("--list-sas")


def test_the_second_family_of_a_name_in_its_turn(net, a, b, etc):
    """IPv4 leads to nobody, so the next attempt goes over IPv6."""
    net.add_ipv6()
    etc("hosts", f"127.0.0.1 localhost\n198.51.100.77 {NAME}\n{B.wan6} {NAME}\n")
    with_ipv6(b, over6(b.default_config(start=False), B))
    with_ipv6(a, by_name6(a, gateway="ike {\n retransmit_timeout = 1s\n retransmit_tries = 1\n }"))
    a.wait_child(60)
    assert f"{NAME} is 198.51.100.77 and {B.wan6}" in a.text()
    assert ping(net) == (20, 20)


@pytest.mark.parametrize("local", [f"{A.wan6}", "%any6"])
def test_our_addresses_choose_the_family_of_a_name(net, a, b, etc, local):
    net.add_ipv6()
    etc("hosts", f"127.0.0.1 localhost\n{B.wan_addr} {NAME}\n{B.wan6} {NAME}\n")
    with_ipv6(b, over6(b.default_config(start=False), B))
    with_ipv6(a, by_name(a).replace(f"local_addrs = {A.wan_addr}", f"local_addrs = {local}"))
    a.wait_child()
    assert f"remote 'gw-b.example' @ {B.wan6}" in a.swanctl("--list-sas")


def test_an_address_without_a_route_is_passed_over(net, a, b, etc):
    net.add_ipv6()
    etc("hosts", f"127.0.0.1 localhost\n{B.wan_addr} {NAME}\n{B.wan6} {NAME}\n")
    with_ipv6(b, over6(b.default_config(start=False), B))
    with_ipv6(a, by_name6(a, start=False))
    net.run(a.ns, "ip route del default")
    a.cli("up net")
    assert f"remote 'gw-b.example' @ {B.wan6}" in a.swanctl("--list-sas")


def test_a_range_and_a_list(net, a, b):
    """A responds to whoever comes from the range; B initiates from the one of its own addresses
    that Linux prefers."""
    config = a.default_config(start=False)
    a.start(config.replace(f"remote_addrs = {B.wan_addr}",
                           "remote_addrs = 203.0.113.0/24, 198.51.100.1-198.51.100.9"))
    config = b.default_config()
    b.start(config.replace(f"local_addrs = {B.wan_addr}",
                           f"local_addrs = {B.lan_addr}, 198.51.100.0/24"))
    b.wait_child()
    assert ping(net) == (20, 20)
    assert f"remote 'gw-b.example' @ {B.wan_addr}[4500]" in a.swanctl("--list-sas")


def test_outside_of_the_range(net, a, b):
    config = a.default_config(start=False)
    a.start(config.replace(f"remote_addrs = {B.wan_addr}",
                           "remote_addrs = 198.51.100.2-198.51.100.9"))
    b.start(b.default_config(start=False))
    status, _, err = b.cli("up net --timeout 10", check=False)
    assert status == 1 and "NO_PROPOSAL_CHOSEN" in err, err


SECOND = "198.51.100.7"  # another address of B


def from_to(gw, local=None, remote=None, **more):
    text = gw.default_config(**more)
    other = B if gw.site is A else A
    if local:
        text = text.replace(f"local_addrs = {gw.site.wan_addr}", f"local_addrs = {local}")
    if remote:
        text = text.replace(f"remote_addrs = {other.wan_addr}", f"remote_addrs = {remote}")
    return text.replace(f"addrs = {B.wan_addr}/24", f"addrs = {B.wan_addr}/24, {SECOND}/24")


def test_the_next_address_after_one_that_does_not_answer(net, a, b):
    b.start(b.default_config(start=False))
    a.start(from_to(a, remote=f"198.51.100.99, {B.wan_addr}",
                    gateway="ike {\n retransmit_timeout = 1s\n retransmit_tries = 1\n }"))
    a.wait_child(60)
    assert ping(net) == (20, 20)


@pytest.mark.parametrize("local", ["%any", f"{B.wan_addr}, {SECOND}", "198.51.100.0/24",
                                   "198.51.100.1-198.51.100.7"])
def test_the_answer_comes_from_the_address_asked(net, a, b, local, tmp_path):
    capture = Capture(net, tmp_path / "c.pcap", snaplen=96)
    b.start(from_to(b, local=local, start=False))
    a.start(from_to(a, remote=SECOND, start=False))
    a.cli("up net")
    assert ping(net) == (20, 20)
    capture.stop()
    assert len(capture.lines(f"esp and src {SECOND}")) >= 20
    assert capture.lines(f"host {B.wan_addr} and (udp or esp)") == []
    assert SECOND in b.swanctl("--list-sas")


def test_the_route_says_which_local_address(net, a, b):
    b.start(from_to(b, local=f"{B.wan_addr}, {SECOND}", start=False))
    a.start(from_to(a, remote=f"{B.wan_addr}, {SECOND}", start=False))
    net.run(b.ns, f"ip route replace default via {B.carrier_addr} dev wan src {SECOND}")
    b.cli("up net")
    assert f"local  'gw-b.example' @ {SECOND}" in b.swanctl("--list-sas")
    assert ping(net) == (20, 20)


def test_none_of_the_local_addresses_is_ours(net, b):
    b.start(from_to(b, local="203.0.113.0/24", start=False))
    status, _, err = b.cli("up net", check=False)
    assert status == 1 and "that local_addrs does not have" in err, err
