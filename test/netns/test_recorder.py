"""The flight recorder, read through the CLI: a peer that stops, a wrong key, a restart."""
import os

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
