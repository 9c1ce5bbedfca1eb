"""What goes wrong is said once, in one clear line, on the side that knows, with an exit status."""
import re

import pytest

from gateways import binary
from topology import wait_for


def errors(gw):
    return [line for line in gw.text().splitlines() if " error " in line]


def test_wrong_psk(net, a, b):
    """The responder says that the keys differ; the initiator that the peer refused it."""
    b.start(b.default_config(start=False, psk="another secret"))
    a.start(a.default_config(start=False))
    status, _, err = a.cli("up net", check=False)
    assert status == 1
    assert re.search(r"AUTHENTICATION_FAILED", err), err
    assert len(err.strip().splitlines()) == 1, err
    on_b = errors(b)
    assert len(on_b) == 1 and "pre-shared key" in on_b[0] and "gw-a.example" in on_b[0], on_b
    on_a = errors(a)
    assert len(on_a) == 1 and "gw-b.example" in on_a[0] or "refused" in on_a[0], on_a
    for gw in (a, b):
        assert "another secret" not in gw.text() and "who moved" not in gw.text()


def test_unknown_proposal(net, a, b):
    """No common IKE proposal: both sides' offers, side by side."""
    b.start(b.default_config(start=False, conn="proposals = aes256gcm16-prfsha384-ecp384"))
    a.start(a.default_config(start=False, conn="proposals = aes128-sha256-modp2048"))
    status, _, err = a.cli("up net", check=False)
    assert status == 1 and "NO_PROPOSAL_CHOSEN" in err, err
    on_b = errors(b)
    assert len(on_b) == 1, on_b
    assert "AES_CBC_128" in on_b[0] and "AES_GCM_16_256" in on_b[0], on_b
    assert "MODP_2048" in on_b[0] and "ECP_384" in on_b[0], on_b


def test_esp_proposals_differ(net, a, b):
    b.start(b.default_config(start=False, child="esp_proposals = aes256gcm16"))
    a.start(a.default_config(start=False, child="esp_proposals = aes128gcm16"))
    status, _, err = a.cli("up net", check=False)
    assert status == 1 and "NO_PROPOSAL_CHOSEN" in err, err
    on_b = errors(b)
    assert len(on_b) == 1 and "AES_GCM_16_128" in on_b[0] and "AES_GCM_16_256" in on_b[0], on_b


def test_identity_unknown_to_the_peer(net, a, b):
    text = b.default_config(start=False).replace("id = gw-a.example", "id = gw-z.example")
    b.start(text.replace("id-a = gw-a", "id-a = gw-z"))
    a.start(a.default_config(start=False))
    status, _, err = a.cli("up net", check=False)
    assert status == 1 and "AUTHENTICATION_FAILED" in err, err
    on_b = errors(b)
    assert len(on_b) == 1 and "gw-a.example" in on_b[0] and "gw-z.example" in on_b[0], on_b


def test_selectors_differ(net, a, b):
    b.start(b.default_config(start=False).replace("remote_ts = 10.1.0.0/24",
                                                  "remote_ts = 10.9.0.0/24"))
    a.start(a.default_config(start=False))
    status, _, err = a.cli("up net", check=False)
    assert status == 1 and "TS_UNACCEPTABLE" in err, err
    on_b = errors(b)
    assert len(on_b) == 1 and "10.1.0.0/24" in on_b[0] and "10.9.0.0/24" in on_b[0], on_b


def test_silent_peer(net, a):
    a.start(a.default_config(start=False))
    status, _, err = a.cli("up net --timeout 3", check=False)
    assert status == 1, err
    assert len(err.strip().splitlines()) == 1 and "198.51.100.1" in err, err


def start_failing(net, gw, config):
    gw.write_config(config)
    net.keep_linux_off(gw.site)
    status, out, err = net.status(gw.ns, [binary("port500d"), "-c", gw.config], timeout=30)
    return status, out + err


@pytest.mark.parametrize("change, exit_status, words", [
    (("local_ts", "local_tss"), 1, ["local_tss", "local_ts'", ":"]),
    (("start_action = start", "start_action = begin"), 1, ["start_action", "begin"]),
    (("iface=wan-a", "iface=absent0"), 3, ["wan", "absent0"]),
    (("net_af_packet0", "net_no_such_pmd0"), 3, ["wan", "net_no_such_pmd0"]),
    (("net_af_packet0,iface=wan-a", "0000:99:00.0"), 3, ["wan", "0000:99:00.0"]),
], ids=["mistyped key", "mistyped value", "absent interface", "unknown driver", "absent PCI device"])
def test_start_fails_in_one_sentence(net, a, change, exit_status, words):
    status, text = start_failing(net, a, a.default_config().replace(*change))
    assert status == exit_status, text
    lines = [x for x in text.splitlines() if "error" in x or a.config in x]
    assert len(lines) == 1, text
    for w in words:
        assert w in lines[0], lines[0]
    assert "wan:" not in net.run(a.ns, "ip link")


def test_mistyped_key_names_file_and_line(net, a):
    text = a.default_config().replace("local_ts", "local_tss")
    line = next(i for i, x in enumerate(text.splitlines(), 1) if "local_tss" in x)
    a.write_config(text)
    for command in (["--check", a.config], ["-c", a.config]):
        status, out, err = net.status(a.ns, [binary("port500d"), *command])
        assert status == 1
        assert f"{a.config}:{line}:" in out + err
        assert "did you mean 'local_ts'" in out + err


def test_port_500_is_taken(net, a, charon_a):
    charon_a.start()
    net.run(a.ns, "ip addr flush dev wan-a")
    status, text = start_failing(net, a, a.default_config())
    assert status == 3, text
    assert "500" in text and "in use" in text, text


def test_second_daemon_on_the_same_socket(net, a, tmp_path):
    a.start()
    status, out, err = net.status(a.ns, [binary("port500d"), "-c", a.config], timeout=30)
    assert status == 3, out + err
    assert a.process.poll() is None
    a.cli("status")


def test_without_privileges(net, a):
    a.write_config(a.default_config())
    net.run(a.ns, f"chmod 644 {a.config}")
    status, out, err = net.status(
        a.ns, ["capsh", "--drop=all", "--", "-c", f"{binary('port500d')} -c {a.config}"])
    assert status == 3, out + err
    assert re.search(r"(?i)root|CAP_NET|permi", out + err), out + err


def test_cli_without_daemon(net, a):
    status, out, err = a.cli("status", check=False)
    assert status == 3 and a.socket in err and "port500d" in err, out + err


def test_wait_for_reports_what_it_waited_for():
    with pytest.raises(Exception, match="in vain for: the moon"):
        wait_for("the moon", lambda: False, 0.1)
