"""A reload adds, changes and removes one child while packets of another one flow: none is lost."""
import re

from echo import Echoes
from test_selectors import SECOND, SECOND_HOST, add_second_network
from topology import A, B, wait_for


def with_second(text, site, keys=""):
    """The configuration with a child `more` for the second networks."""
    mine, theirs = site.letter, "b" if site.letter == "a" else "a"
    return text.replace("children {\n", f"""children {{
            more {{
                local_ts = {SECOND[mine]}
                remote_ts = {SECOND[theirs]}
                {keys}
            }}
""")


def child_spis(gw, name):
    """Inbound SPIs of the child's SAs, and the unique ids of the IKE SAs that there are."""
    out = gw.swanctl("--list-sas")
    return (re.findall(rf"^  {name}: #.*?INSTALLED.*?\n(?:.*\n)*?\s+in\s+([0-9a-f]{{8}})", out, re.M),
            re.findall(r"^lab: #(\d+), ESTABLISHED", out, re.M))


def reload_with(gw, text):
    gw.write_config(text)
    status, out, err = gw.cli("reload", check=False)
    assert status == 0, out + err
    return out


def second_ping(net):
    out = net.run("host-a", f"ping -c 3 -i 0.2 -W 2 -I {SECOND_HOST['a']} {SECOND_HOST['b']}",
                  check=False)
    return int(re.search(r"(\d+) received", out)[1])


def check_children_come_and_go(net, a, peer, tmp_path):
    """`net` of both is up, the peer has `more` as well; a's configuration is reloaded."""
    net_before, ike = child_spis(a, "net")
    assert len(net_before) == len(ike) == 1
    stream = Echoes(net, tmp_path / "net", 2000, 0.01)

    start = "start_action = start\n"
    out = reload_with(a, with_second(a.default_config(), A, start + "esp_proposals = aes128gcm16"))
    assert "1 children added, 0 replaced, 0 removed" in out, out
    wait_for("the child that was added", lambda: child_spis(a, "more")[0])
    wait_for("packets of it", lambda: second_ping(net) == 3)

    more = Echoes(net, tmp_path / "more", 300, 0.01, to=SECOND_HOST["b"],
                  options=f"-I {SECOND_HOST['a']}")
    before = child_spis(a, "more")[0]
    out = reload_with(a, with_second(a.default_config(), A, start + "esp_proposals = aes256gcm16"))
    assert "0 children added, 1 replaced, 0 removed" in out, out
    wait_for("its successor", lambda: len(child_spis(a, "more")[0]) == 1
             and child_spis(a, "more")[0] != before)
    assert "AES_GCM_16-256" in a.swanctl("--list-sas")
    wait_for("the peer to forget the old one", lambda: len(child_spis(peer, "more")[0]) == 1)
    more.check_none_lost()

    out = reload_with(a, a.default_config())
    assert "0 children added, 0 replaced, 1 removed" in out, out
    wait_for("both sides to forget it", lambda: not child_spis(a, "more")[0]
             and not child_spis(peer, "more")[0])
    assert second_ping(net) == 0

    assert stream.flowing(), "the stream ended before the reloads did"
    stream.check_none_lost(100)
    assert child_spis(a, "net") == (net_before, ike)
    assert net.clear_forwarded() == 0


def test_children_come_and_go_beside_a_stream(net, a, b, tmp_path):
    b.start(with_second(b.default_config(start=False), B,
                        "esp_proposals = aes128gcm16,aes256gcm16"))
    a.start()
    for gw, site in ((a, A), (b, B)):
        add_second_network(net, gw, site)
    a.wait_child()
    check_children_come_and_go(net, a, b, tmp_path)


def test_both_sides_change_one_child(net, a, b):
    """As an operator would: one side, then the other. The rest of the tunnel does not notice."""
    b.start(with_second(b.default_config(start=False), B, "esp_proposals = aes128gcm16"))
    a.start(with_second(a.default_config(), A,
                        "start_action = start\nesp_proposals = aes128gcm16"))
    for gw, site in ((a, A), (b, B)):
        add_second_network(net, gw, site)
    wait_for("both children", lambda: child_spis(a, "net")[0] and child_spis(a, "more")[0])
    before = child_spis(a, "net")
    reload_with(a, with_second(a.default_config(), A,
                               "start_action = start\nesp_proposals = aes256gcm16"))
    reload_with(b, with_second(b.default_config(start=False), B, "esp_proposals = aes256gcm16"))
    wait_for("the new keys", lambda: "AES_GCM_16-256" in a.swanctl("--list-sas"), 30)
    wait_for("one SA of each", lambda: len(child_spis(a, "more")[0]) ==
             len(child_spis(b, "more")[0]) == 1, 30)
    assert second_ping(net) == 3
    assert child_spis(a, "net") == before


def test_what_is_wrong_is_said_and_nothing_changes(net, a, b):
    b.start()
    a.start()
    a.wait_child()
    before = child_spis(a, "net")
    text = with_second(a.default_config(), A, "esp_proposals = aes127gcm16")
    a.write_config(text)
    status, _, err = a.cli("reload", check=False)
    assert status == 1 and "connections.lab.children.more.esp_proposals" in err, err
    assert child_spis(a, "net") == before
    assert SECOND["a"] not in a.cli("show policies")
