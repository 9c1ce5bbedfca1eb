"""Who moved my port 500? The story, from the first symptom to the recovery without anybody's hand.

Somebody floods UDP/500 of gateway A, and the operator in between answers by dropping UDP/500. The
tunnel carries on, until gateway B restarts: now it cannot come back. The doctor of A says what it is,
with its evidence, and that nothing is to be changed here; and A itself goes by another port, until
the operator is done.
"""
import json
import os
import re

from echo import Echoes, ping
from gateways import BUILD
from test_port500_blocked import block, quick, remote, unblock
from topology import A, B, wait_for

FLOOD = os.path.join(BUILD, "test", "netns", "flood")


def config(gw, more=""):
    """Impatient, so that the story is over in two minutes."""
    return quick(gw.default_config(conn="mobike = no\ndpd_delay = 2s\n" + more,
                                   child="dpd_action = restart")).replace(
        "retransmit_timeout = 1s",
        "retransmit_timeout = 1s\n        retransmit_base = 1.2\n        retransmit_tries = 2")


def doctor(gw, *options):
    return json.loads(gw.cli("--json doctor lab " + " ".join(options), check=False,
                             timeout=90)[1])["doctor"][0]["lab"]


def test_who_moved_my_port_500(net, a, b, tmp_path):
    b.start(b.default_config(start=False, conn="mobike = no\ndpd_delay = 0"))
    a.start(config(a))
    a.wait_child()
    assert ping(net) == (20, 20)
    assert doctor(a)["status"] == "healthy"

    # The attack, and what the operator does about it. Nobody at the two sites notices.
    attack = net.start("carrier", f"{FLOOD} {A.wan_addr} random 3000 150", str(tmp_path / "flood"))
    wait_for("a guard that answers with cookies", lambda: int(
        a.json("show guard")["messages"]["cookie"]["messages"]) > 3000, 20)
    block(net)
    assert ping(net) == (20, 20)

    # The first symptom.
    b.stop()
    b.start(b.default_config(start=False, conn="mobike = no\ndpd_delay = 0"))
    wait_for("packets lost", lambda: ping(net, count=5, options="-i 0.1 -W 1")[1] == 0, 30)
    wait_for("a connection that is down", lambda: doctor(a)["status"] == "down", 60)

    # The diagnosis: not ours, not the peer's.
    found = doctor(a, "--probe")
    assert found["status"] == "down" and found["owner"] == "carrier", found
    assert re.fullmatch(r"F-500\w*", found["code"]), found
    assert found["rungs"]["reach"]["state"] == "pass", found
    assert found["keep-config"] == "yes", found
    said = a.cli("doctor lab", check=False)[1]
    assert "Do not change your configuration: the fault is outside" in said, said
    assert attack.poll() is None  # all this under the flood

    # The remedy, by one word in the configuration: no tunnel waits for the operator.
    a.write_config(config(a, "on_500_blocked = try_4500"))
    a.cli("reload")
    wait_for("IKE on port 4500", lambda: 4500 in remote(a), 60)
    a.wait_child(30)
    assert ping(net) == (20, 20)
    assert ping(net, "host-b", A.host_addr) == (20, 20)
    found = doctor(a)  # it carries, and yet all is not well
    assert found["status"] == "degraded", found
    assert found["rungs"]["path"]["code"].startswith("F-500"), found

    # The attack is over, the operator undoes it: back, by itself, and nothing is lost on the way.
    attack.terminate()
    attack.wait(5)
    unblock(net)
    flow = Echoes(net, tmp_path / "ping", 1200, 0.05)
    a.wait_log(f"UDP/500 to {B.wan_addr} answers again", 60)
    wait_for("an IKE SA on port 500 alone", lambda: remote(a) == [500], 40)
    flow.check_none_lost()
    found = doctor(a)  # the flood is not forgotten yet
    assert found["status"] in ("healthy", "degraded") and found["owner"] != "us", found
    assert found["rungs"]["path"]["state"] == "pass", found
