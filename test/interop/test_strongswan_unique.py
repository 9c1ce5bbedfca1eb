"""strongSwan connects twice with one identity: what `unique` makes of it, on either side."""
import pytest

from test_tunnel import ping
from topology import wait_for


def both(gw, unique):
    """The configuration with `lab`, and `twin`, which is the same once more, with child `again`.
    Its rekey_time differs: strongSwan takes equal connections for one."""
    text = gw.default_config(conn=f"unique = {unique}")
    start = text.index("    lab {")
    end = text.index("\n}\nsecrets")
    twin = text[start:end].replace("    lab {", "    twin {\n        rekey_time = 5h")
    twin = twin.replace("            net {", "            again {")
    return text[:end] + "\n" + twin + text[end:]


def ours(gw):
    return gw.swanctl("--list-sas").count("ESTABLISHED")


@pytest.mark.parametrize("unique, first, second", [
    ("no", True, True), ("replace", False, True), ("keep", True, False), ("never", True, True)])
def test_strongswan_comes_twice(net, a, charon_b, unique, first, second):
    # Without a word about INITIAL_CONTACT.
    charon_b.start(both(charon_b, "never"))
    a.start(a.default_config(start=False, conn=f"unique = {unique}"))
    charon_b.swanctl("--initiate --child net")
    out = charon_b.swanctl("--initiate --child again", check=False)
    assert ("completed successfully" in out) == second, out
    if not first:
        wait_for("the first one to go", lambda: ours(a) == 1, 30)
    sas = charon_b.swanctl("--list-sas")
    assert ("lab: #" in sas) == first, sas
    assert ("twin: #" in sas) == second, sas
    assert ours(a) == first + second
    if unique == "keep":
        assert "AUTH_FAILED" in charon_b.text()
        assert "unique = keep" in a.text()
    assert ping(net) == (20, 20)


def test_strongswan_says_that_it_is_its_only_one(net, a, charon_b):
    """INITIAL_CONTACT, after a restart without a farewell: `no` and `keep` make room."""
    charon_b.start()
    a.start(a.default_config(start=False, conn="unique = keep"))
    charon_b.swanctl("--initiate --child net")
    charon_b.process.kill()
    charon_b.process.wait()
    for device in ("lan-b", "wan-b"):
        net.run(charon_b.ns, f"ip addr flush dev {device}")
    charon_b.start()
    charon_b.swanctl("--initiate --child net")
    wait_for("one IKE SA", lambda: ours(a) == 1)
    assert ping(net) == (20, 20)


def test_strongswan_hears_no_initial_contact_of_never(net, a, charon_b):
    charon_b.start(charon_b.default_config(conn="unique = no"))
    a.start(both(a, "never").replace("start_action = start", "start_action = none"))
    a.cli("up net")
    a.cli("up again")
    assert charon_b.swanctl("--list-sas").count("ESTABLISHED") == 2
    assert "INIT_CONTACT" not in charon_b.text()
