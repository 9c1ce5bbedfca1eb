"""Several traffic selectors of one child, and selectors that name a protocol and a port."""
from echo import ping
from gateways import CLEAR, ESP, Capture, tcp
from topology import A, B

SECOND = {"a": "10.11.0.0/24", "b": "10.12.0.0/24"}
SECOND_HOST = {"a": "10.11.0.2", "b": "10.12.0.2"}


def add_second_network(net, gateway, site):
    """A network behind the host: its address, and the gateway's route to it."""
    letter = site.letter
    net.run(f"host-{letter}", f"ip addr add {SECOND_HOST[letter]}/32 dev lo")
    net.run(gateway.ns, f"ip route add {SECOND[letter]} via {site.host_addr} dev lan")


def two_each(gateway, mine, theirs):
    text = gateway.default_config(start=mine == "a")
    for letter, lan in (("a", A.lan), ("b", B.lan)):
        text = text.replace(f"_ts = {lan}", f"_ts = {lan}, {SECOND[letter]}")
    assert text.count(SECOND[mine]) == text.count(SECOND[theirs]) == 1
    return text


def test_two_networks_on_each_side(net, a, b, tmp_path):
    b.start(two_each(b, "b", "a"))
    a.start(two_each(a, "a", "b"))
    add_second_network(net, a, A)
    add_second_network(net, b, B)
    a.wait_child()
    assert a.swanctl("--list-sas").count("INSTALLED") == 1
    capture = Capture(net, tmp_path / "c.pcap")
    for source in (A.host_addr, SECOND_HOST["a"]):
        for to in (B.host_addr, SECOND_HOST["b"]):
            assert ping(net, to=to, options=f"-i 0.02 -I {source}") == (20, 20), (source, to)
    capture.stop()
    assert len(capture.lines(ESP)) == 4 * 40
    assert capture.lines(CLEAR) == []
    assert a.drops()["out-selector"] == 0 and b.drops()["esp-selector"] == 0
    # A third one belongs to nobody.
    net.run("host-a", "ip addr add 10.13.0.2/32 dev lo")
    before = a.drops()["no-policy"]
    assert ping(net, count=3, options="-I 10.13.0.2")[1] == 0
    assert a.drops()["no-policy"] == before + 3


RULE = """children {{
            clear {{
                mode = pass
                local_ts = {local}[icmp]
                remote_ts = {remote}[icmp]
            }}
"""


def one_port(gateway, site, peer, port_site):
    text = gateway.default_config(start=site.letter == "a")
    text = text.replace(f"_ts = {port_site.lan}", f"_ts = {port_site.lan}[tcp/5201]")
    return text.replace("children {\n", RULE.format(local=site.lan, remote=peer.lan))


def test_one_port_is_protected_and_the_rest_is_not(net, a, b, tmp_path):
    b.start(one_port(b, B, A, B))
    a.start(one_port(a, A, B, B))
    a.wait_child()
    assert "10.2.0.0/24[tcp/5201]" in a.swanctl("--list-sas")
    capture = Capture(net, tmp_path / "c.pcap")
    assert tcp(net, tmp_path / "iperf3.log") > 1_000_000
    ping(net, count=5)  # leaves by the rule, in clear; the carrier knows no way to B
    before = a.drops()["no-policy"]
    connect = f"import socket; socket.create_connection(('{B.host_addr}', 9000), 1)"
    net.run("host-a", ["python3", "-c", connect], check=False)
    assert a.drops()["no-policy"] > before
    capture.stop()
    assert len(capture.lines(ESP)) > 100
    assert len(capture.lines("icmp and dst net 10.2.0.0/24")) == 5
    assert capture.lines("tcp") == []
