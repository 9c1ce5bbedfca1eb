"""The flight recorder, read through the CLI: a peer that stops, a wrong key, a restart."""
import json
import os
import signal

from gateways import binary
from topology import wait_for


def events(gw, conn="lab"):
    listed = gw.json(f"show events {conn}".strip())["list-event"]
    return [e for message in listed for e in message.values()]


def codes(gw, conn="lab"):
    return [e["code"] for e in events(gw, conn)]


def recorded(gw, code, timeout_s=20):
    return wait_for(f"{code} in the events of {gw.ns}",
                    lambda: [e for e in events(gw) if e["code"] == code], timeout_s)[-1]


def headers(gw, peer):
    listed = gw.json("show ike-headers lab")["list-ike-header"]
    return next(p[peer] for p in listed if peer in p)


def test_a_peer_that_stops_and_comes_back(net, a, b, tmp_path):
    """Up, the messages hop by hop; the peer's goodbye; all of it after a restart."""
    state = tmp_path / "state"
    config = a.default_config(gateway=f"state_dir = {state}")
    b.start(b.default_config(start=False))
    a.start(config)
    a.wait_child()
    up = recorded(a, "established")
    assert up["kind"] == "ike" and int(up["took-ms"]) >= 0 and up["ike"] == "lab"
    child = recorded(a, "child-up")
    assert child["child"] == "net" and child["time"] >= up["time"]

    peer = headers(a, b.site.wan_addr)
    seen = [(h["direction"], h["exchange"], h["message"], h["fate"])
            for h in list(peer["headers"].values())[:4]]
    assert seen == [("out", "IKE_SA_INIT", "request", "sent"),
                    ("in", "IKE_SA_INIT", "response", "taken"),
                    ("out", "IKE_AUTH", "request", "sent"),
                    ("in", "IKE_AUTH", "response", "taken")], seen
    # The guard, and then our socket, saw the same of it.
    assert peer["hops"]["guard-passed"] == peer["hops"]["socket-in"], peer["hops"]

    b.stop()
    assert "deleted" in recorded(a, "peer-deleted")["msg"]
    wait_for("a second of history", lambda: a.json("show history")["list-second"])
    before = codes(a)
    a.stop()
    assert os.listdir(state) == ["flight-recorder"]

    a.start(config)
    after = events(a)
    assert [e["code"] for e in after][:len(before)] == before
    assert all("before-start" in e for e in after[:len(before)])
    everything = codes(a, "")
    assert everything.index("stop") < len(everything) - 1 and "start" in everything
    assert "-- the daemon was started --" in a.cli("show events")
    assert any(h["exchange"] == "IKE_AUTH" for h in headers(a, b.site.wan_addr)["headers"].values())


def test_a_wrong_key(net, a, b):
    """Each side records what it knows, and no key."""
    b.start(b.default_config(start=False, psk="another secret"))
    a.start(a.default_config(start=False))
    assert a.cli("up net", check=False)[0] == 1
    assert recorded(a, "N-PEERSAIDNO")["kind"] == "failure"
    refused = recorded(b, "N-PSK")
    assert refused["level"] == "error" and "gw-a.example" in refused["msg"]
    for gw in (a, b):
        for what in ("events", "ike-headers", "history"):
            text = gw.cli(f"show {what}")
            assert "another secret" not in text and "who moved" not in text


class Follow:
    """port500 show events --follow in the background."""

    def __init__(self, gw, directory, name, *arguments):
        self.log = directory / name
        self.process = gw.net.start(gw.ns, [binary("port500"), "--socket", gw.socket, *arguments],
                                    self.log)

    def lines(self):
        return self.log.read_text(encoding="utf-8").splitlines()

    def wait_line(self, part):
        return wait_for(f"'{part}' in {self.log.name}",
                        lambda: [l for l in self.lines() if part in l], 20)


def test_follow(net, a, b, tmp_path):
    """What was and what comes, once each and in order; until Ctrl-C, or the daemon's end."""
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False))
    lab = Follow(a, tmp_path, "lab", "show", "events", "lab", "--follow")
    other = Follow(a, tmp_path, "other", "show", "events", "--follow", "another")
    objects = Follow(a, tmp_path, "objects", "--json", "show", "events", "--follow")
    wait_for("the start", objects.lines)
    a.cli("up net")
    lab.wait_line("child-up")
    for _ in range(5):
        a.cli("rekey net")
        a.cli("down lab")
        a.cli("up net")
    wait_for("all of it", lambda: len([l for l in lab.lines() if "child-up" in l]) == 6)
    lab.process.send_signal(signal.SIGINT)
    assert lab.process.wait(10) == 0
    assert other.lines() == []
    other.process.send_signal(signal.SIGTERM)
    assert other.process.wait(10) == 0

    everything = [e for event in a.json("show events")["list-event"] for e in event]
    wait_for("all of it", lambda: len(objects.lines()) >= len(everything))
    seen = [list(json.loads(line)) for line in objects.lines()]
    assert [number for event in seen for number in event] == everything
    a.stop()
    assert objects.process.wait(10) == 3
    assert "the daemon closed the connection" in objects.lines()[-1]
    assert any("peer-deleted" in l or '"ike-down"' in l or '"closed"' in l for l in objects.lines())


def test_a_damaged_file(net, a, tmp_path):
    """It is put aside with a warning, and the gateway starts."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "flight-recorder").write_bytes(b"p500rec\n and then nothing that fits")
    a.start(a.default_config(gateway=f"state_dir = {state}", start=False))
    assert "flight-recorder is ignored" in a.text()
    assert "start" in codes(a, "")
    a.stop()
    assert sorted(os.listdir(state)) == ["flight-recorder", "flight-recorder.bad"]
