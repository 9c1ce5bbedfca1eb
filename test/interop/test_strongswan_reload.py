"""A reload of single children with strongSwan as the peer."""
from test_reload import check_children_come_and_go, child_spis, reload_with, with_second
from test_selectors import SECOND_HOST, add_second_network
from topology import A, B, wait_for


def start_charon(net, charon_b, esp):
    # It installs a route for each child and wants an address of its own in the child's network.
    charon_b.start(with_second(charon_b.default_config(), B, f"esp_proposals = {esp}"))
    net.run(charon_b.ns, "ip addr add 10.12.0.1/24 dev lan-b")


def test_children_come_and_go_beside_a_stream(net, a, charon_b, tmp_path):
    start_charon(net, charon_b, "aes128gcm16,aes256gcm16")
    a.start()
    add_second_network(net, a, A)
    net.run("host-b", f"ip addr add {SECOND_HOST['b']}/24 dev eth0")
    a.wait_child()
    check_children_come_and_go(net, a, charon_b, tmp_path)


def test_another_child_after_strongswan_has_set_up_the_ike_sa(net, a, charon_b):
    """The IKE SA is the peer's; what is added comes up on it by us."""
    start_charon(net, charon_b, "aes128gcm16")
    a.start(a.default_config(start=False))
    charon_b.swanctl("--initiate --child net")
    before = child_spis(a, "net")
    reload_with(a, with_second(a.default_config(start=False), A, "start_action = start"))
    wait_for("the child that was added", lambda: child_spis(a, "more")[0])
    assert child_spis(a, "net") == before
    assert len(child_spis(charon_b, "more")[0]) == 1
