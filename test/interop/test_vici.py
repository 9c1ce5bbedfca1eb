"""The API without IKE and without DPDK: Debian's swanctl and our own port500 against the vici
server on fixed tables (test/unit/control/fake_port500d.c)."""
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

BUILD = pathlib.Path(os.environ.get("PORT500_BUILD", "build"))


@pytest.fixture
def path(tmp_path):
    """The socket of a running server; it must end by itself and leave nothing."""
    path = tmp_path / "vici.sock"
    server = subprocess.Popen([BUILD / "test/unit/control/fake_port500d", path],
                              stderr=subprocess.PIPE, text=True)
    for _ in range(200):
        if path.exists() or server.poll() is not None:
            break
        time.sleep(0.01)
    assert path.exists(), server.communicate()
    yield path
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=10)
    assert server.returncode == 0, log
    assert not path.exists()


def run(*args, env=None):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=20,
                          env={**os.environ, **(env or {})})


def swanctl(path, *args, tmp=None):
    env = {"SWANCTL_DIR": str(tmp)} if tmp else None
    return run("swanctl", *args, "--uri", f"unix://{path}", env=env)


def port500(path, *args):
    return run(BUILD / "control/cli/port500", "--socket", path, *args)


def test_swanctl_list_sas(path):
    out = swanctl(path, "--list-sas")
    assert out.returncode == 0
    assert "site-b: #1, ESTABLISHED, IKEv2, 0001020304050607_i* f8f9fafbfcfdfeff_r" in out.stdout
    assert "local  'gw-a.example' @ 192.0.2.1[4500]" in out.stdout
    assert "AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519" in out.stdout
    assert "net: #100, reqid 1, INSTALLED, TUNNEL-in-UDP, ESP:AES_GCM_16-256" in out.stdout
    assert re.search(r"in  c0000001, 5678901 bytes, +1234 packets, +2s ago", out.stdout)
    assert "(null)" not in out.stdout


def test_swanctl_queries(path):
    out = swanctl(path, "--list-conns")
    assert out.returncode == 0
    assert "site-b: IKEv2, no reauthentication, rekeying every 14400s" in out.stdout
    assert "local pre-shared key authentication:\n    id: gw-a.example" in out.stdout
    assert "net: TUNNEL, rekeying every 3600s" in out.stdout
    for args, part in [(["--stats"], "IKE_SAs: 1 total, 3 half-open"),
                       (["--version", "--daemon"], "port500d (Linux"),
                       (["--list-pols"], "site-b/local, PASS"),
                       (["--counters"], "invalid-spi")]:
        out = swanctl(path, *args)
        assert out.returncode == 0 and part in out.stdout, out
        assert "(null)" not in out.stdout or args == ["--list-pols"]  # reqid of 5.9.8


def test_swanctl_initiate_and_terminate(path):
    out = swanctl(path, "--initiate", "--child", "voice")
    assert out.returncode == 1
    assert "[NET] sending a request" in out.stdout
    assert "establishing CHILD_SA 'voice' failed: peer says NO_PROPOSAL_CHOSEN" in out.stderr
    out = swanctl(path, "--initiate", "--child", "net")
    assert out.returncode == 0 and "initiate completed successfully" in out.stdout
    out = swanctl(path, "--terminate", "--ike", "site-b")
    assert out.returncode == 0 and "terminate completed successfully" in out.stdout
    out = swanctl(path, "--terminate", "--ike", "nope")
    assert out.returncode == 1 and "no matching SAs to terminate found" in out.stderr


def test_swanctl_load_is_refused_with_a_reason(path, tmp_path):
    (tmp_path / "swanctl.conf").write_text("connections { x { remote_addrs = 192.0.2.9 } }\n")
    out = swanctl(path, "--load-conns", tmp=tmp_path)
    assert out.returncode != 0
    assert "loading connection 'x' failed: connections and secrets come from" in out.stderr


@pytest.mark.parametrize("args", [
    ["status"], ["show", "ike"], ["show", "child"], ["show", "policies"], ["show", "routes"],
    ["show", "ports"], ["show", "workers"], ["show", "drops"], ["version"], ["reload"],
    ["up", "net"], ["down", "site-b"]], ids=" ".join)
def test_every_command_as_text_and_json(path, args):
    out = port500(path, *args)
    assert out.returncode == 0, out
    assert out.stdout.strip()
    assert all(line == line.rstrip() for line in out.stdout.splitlines())
    out = port500(path, "--json", *args)
    assert out.returncode == 0 and out.stderr == ""
    assert isinstance(json.loads(out.stdout), dict)


def test_json_content(path):
    sa = json.loads(port500(path, "show", "ike", "--json").stdout)["list-sa"][0]["site-b"]
    assert sa["child-sas"]["net-100"]["remote-ts"] == ["10.2.0.0/16"]
    status = json.loads(port500(path, "status", "--json").stdout)
    assert status["status"]["config"]["generation"] == "1"
    assert status["ports"]["wan"]["addrs"] == ["192.0.2.1/24"]
    assert status["show-conn"][1]["site-c"]["last-error-code"] == "N-PROPOSAL"
    up = port500(path, "up", "--json", "voice")
    assert up.returncode == 1
    result = json.loads(up.stdout)["results"][0]
    assert result["success"] == "no" and result["control-log"][0]["group"] == "NET"


@pytest.mark.parametrize("args, status, message", [
    (["up", "voice"], 1, "site-c/voice: establishing CHILD_SA 'voice' failed: peer says"),
    (["up", "nett"], 1, "did you mean 'net'?"),
    (["up", "site-b/nte"], 1, "no connection and no child is called 'nte'"),
    (["down", "site-c"], 1, "no matching SAs"),
    (["down"], 2, "give one of"),
    (["statsu"], 2, "did you mean 'status'?"),
    (["status", "--all"], 2, "does not take --all"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else None)
def test_failures_are_one_line(path, args, status, message):
    out = port500(path, *args)
    assert out.returncode == status
    assert message in out.stderr
    assert out.stderr.startswith("port500: ") and out.stderr.count("\n") == 1


def test_no_daemon(tmp_path):
    out = port500(tmp_path / "none", "status")
    assert out.returncode == 3
    assert out.stderr == (f"port500: cannot connect to {tmp_path}/none: No such file or directory; "
                          "is port500d running? (systemctl status port500d)\n")


@pytest.mark.parametrize("answer, message", [
    (b"", "closed the connection"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak vici"),
    (struct.pack("!IB", 1, 5) * 3, "out of turn"),
    (struct.pack("!IBBBB", 4, 1, 3, 200, 0), "does not speak vici"),
], ids=["closes", "http", "confirms", "cut"])
def test_odd_servers(tmp_path, answer, message):
    path = tmp_path / "odd"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        client = subprocess.Popen([BUILD / "control/cli/port500", "--socket", path, "show", "ports"],
                                  stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        conn, _ = listener.accept()
        with conn:
            conn.recv(4096)
            conn.sendall(answer)
            conn.shutdown(socket.SHUT_WR)
            out, err = client.communicate(timeout=10)
    assert client.returncode == 3 and out == ""
    assert message in err and err.count("\n") == 1


def test_full_disk_is_a_failure(path):
    with open("/dev/full", "w") as full:
        out = subprocess.run([BUILD / "control/cli/port500", "--socket", path, "status"],
                             stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
    assert out.returncode == 1
    assert "cannot write the output: No space left on device" in out.stderr


def test_doctor(path):
    """The fixed tables know nothing of any connection: it says so, and does not guess."""
    out = port500(path, "doctor")
    assert out.returncode == 3
    assert "CONNECTION  STATUS" in out.stdout
    assert re.search(r"site-b +unknown +unknown +unknown", out.stdout)
    out = port500(path, "doctor", "site-b")
    assert out.returncode == 3
    assert out.stdout.startswith("site-b is not up, and why cannot be told\n")
    assert re.search(r"^\? +route to the peer", out.stdout, re.M)
    out = port500(path, "--json", "doctor", "site-b")
    assert out.returncode == 3
    answer = json.loads(out.stdout)["doctor"][0]["site-b"]
    assert answer["status"] == "unknown" and len(answer["rungs"]) == 16
    out = port500(path, "doctor", "nobody")
    assert out.returncode == 3 and not out.stdout
    assert "no connection is named 'nobody'" in out.stderr
    out = port500(f"{path}.not", "doctor")
    assert out.returncode == 3
