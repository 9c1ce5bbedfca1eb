"""The page for the network operator, of a carrier that drops UDP/500."""
import json
import tarfile

from gateways import binary
from test_port500_blocked import block


def test_the_page_of_a_blocked_port(net, a, b):
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False))
    block(net)
    a.cli("up net --timeout 5", check=False)
    status, page, err = a.cli("doctor --probe --evidence lab", check=False, timeout=90)
    assert status in (2, 3), page + err
    assert f"Our address: {a.site.wan_addr}" in page and b.site.wan_addr in page, page
    assert "ICMP echo: answered" in page and "IKE to UDP 500, small: no answer" in page, page
    assert "IKE to UDP 4500, small: answered" in page, page
    assert "- IKE on UDP 4500 is answered" in page and "- IKE on UDP 500 is" not in page, page
    assert "UDP port 500" in page.split("What we ask of you")[1], page
    assert "who moved" not in page

    chinese = a.cli("doctor --evidence --lang zh lab", check=False)[1]
    assert "请检查" in chinese and "UDP 500" in chinese and a.site.wan_addr in chinese, chinese
    assert "Please" not in chinese
    status, _, err = a.cli("doctor --evidence --lang fr lab", check=False)
    assert status == 3 and "neither en nor zh" in err


def test_a_bundle_has_no_secret(net, a, b, tmp_path):
    """One tar of everything; a configuration with every kind of secret leaves none in it."""
    secrets = ["who moved my port 500", "eap-SECRET", "token-SECRET", "ppk-SECRET"]
    more = """secrets {
    eap-x { id = somebody
        secret = "eap-SECRET" }
    token-x { pin = token-SECRET }
    ppk-x { secret = ppk-SECRET }
}
"""
    b.start(b.default_config(start=False))
    a.start(a.default_config() + more)
    a.wait_child()
    bundle = tmp_path / "gw-a.tar"
    a.cli(["support-bundle", str(bundle)])
    assert bundle.stat().st_mode & 0o777 == 0o600
    raw = bundle.read_bytes()
    for secret in secrets:
        assert secret.encode() not in raw
    with tarfile.open(bundle) as tar:
        names = set(tar.getnames())
        assert {"README", "version.json", "status.json", "sas.json", "events.json", "doctor.json",
                "ike-headers.json", "history.json", "drops.json", "port500.conf"} <= names, names
        for name in names:
            content = tar.extractfile(name).read().decode()
            if name.endswith(".json"):
                json.loads(content)
            elif name == "port500.conf":
                assert f'local_addrs = "{a.site.wan_addr}"' in content, content
                assert content.count("secret = <removed>") == 3, content
    status, _, err = a.cli(["support-bundle", str(bundle)], check=False)
    assert status == 1 and "File exists" in err


def test_where_a_bundle_goes(net, a, tmp_path):
    """A name by itself, no home, and the path is said; where nothing can be written, that is said."""
    a.start(a.default_config(start=False))
    command = f"cd {tmp_path} && env -i {binary('port500')} --socket {a.socket} support-bundle"
    said = net.run(a.ns, ["bash", "-c", command])
    made = list(tmp_path.glob("port500-*Z.tar"))
    assert len(made) == 1 and said.startswith(f"{made[0]}: no secrets in it"), said
    status, _, err = net.status(a.ns, ["bash", "-c", command.replace(str(tmp_path), "/proc")], 30)
    assert status == 1 and "in /proc" in err and "name another file" in err, err
