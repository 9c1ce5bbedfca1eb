"""Is strongSwan's certificate revoked? Asked of the servers that it names, at the carrier: OCSP
from `openssl ocsp`, CRLs by strongSwan's pki, over http from python's web server."""
import subprocess

import pytest

from test_strongswan_certs import Pki, bring_up, pki, sides  # pylint: disable=unused-import
from topology import stop_all, wait_for

ADDRESS = "192.0.2.254"  # of the carrier, next to gw-a
OCSP, CRL = f"http://{ADDRESS}:8088/", f"http://{ADDRESS}:8089/root.crl"
BOTH = pytest.mark.parametrize("initiator", ["port500", "strongswan"])
SILENT = ("import socket, sys, time\n"
          f"s = socket.create_server(('{ADDRESS}', int(sys.argv[1])))\n"
          "time.sleep(600)\n")  # connections are made, and nobody reads them


class Servers:
    """What answers at the carrier."""

    def __init__(self, net, pki, directory):
        self.net, self.pki, self.dir = net, pki, directory
        self.processes = []

    def run(self, port, command):
        self.processes.append(self.net.start("carrier", command, str(self.dir / f"{port}.log")))
        wait_for(f"the server at port {port}",
                 lambda: f":{port} " in self.net.run("carrier", "ss -Hltn"), 20)

    def ocsp(self, status, signer="root"):
        """A responder; `status` of gw-b is V, R, or None: it has never heard of it."""
        index = self.dir / "index.txt"
        lines = ""
        if status:
            done = subprocess.run(["openssl", "x509", "-in", self.pki.path("gw-b.pem"), "-noout",
                                   "-serial"], check=True, capture_output=True, text=True)
            serial = done.stdout.strip().split("=")[1]
            since = "250102030405Z,keyCompromise" if status == "R" else ""
            lines = f"{status}\t400101000000Z\t{since}\t{serial}\tunknown\t/CN=gw-b\n"
        index.write_text(lines, encoding="utf-8")
        self.run(8088, ["openssl", "ocsp", "-port", "8088", "-index", str(index), "-ndays", "1",
                        "-CA", self.pki.path("root.pem"), "-rsigner",
                        self.pki.path(signer + ".pem"), "-rkey", self.pki.path(signer + ".key")])

    def stop(self):
        stop_all([p.pid for p in self.processes])
        for p in self.processes:
            p.wait(10)
        self.processes = []

    def silent(self, port=8088):
        self.run(port, ["/usr/bin/python3", "-c", SILENT, str(port)])

    def crl(self, revoked):
        web = self.dir / "web"
        web.mkdir()
        self.pki.pki("root.crl", "--signcrl", "--cacert", self.pki.path("root.pem"), "--cakey",
                     self.pki.path("root.key"), *(
                         ["--reason", "key-compromise", "--cert", self.pki.path("gw-b.pem")]
                         if revoked else []))
        (web / "root.crl").write_bytes(open(self.pki.path("root.crl"), "rb").read())
        self.run(8089, ["/usr/bin/python3", "-m", "http.server", "8089", "--bind", ADDRESS,
                        "--directory", str(web)])


@pytest.fixture
def servers(net, pki, tmp_path):
    s = Servers(net, pki, tmp_path)
    yield s
    s.stop()


def begin(a, charon, pki, policy, *uris, more=""):
    pki.end("gw-a")
    pki.end("gw-b", args=uris)
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon.swan, "gw-b", "root")

    def go():
        charon.start(sides(charon.default_config(), "pubkey", "pubkey", us="gw-b"))
        config = sides(a.default_config(start=False), "pubkey", "pubkey")
        a.start(config.replace("remote {", f"remote {{\n revocation = {policy}\n", 1) + more)
    return go


def refused(a, charon, initiator, *why):
    """It fails, and whoever looks at port500 learns the reason."""
    if initiator == "port500":
        status, _, err = a.cli("up net --timeout 20", check=False)
        assert status == 1, err
        for w in why:
            assert w in err, err
        charon.wait_log("received AUTHENTICATION_FAILED|AUTH_FAILED")
    else:
        out = charon.swanctl("--initiate --child net --timeout 20", check=False)
        assert "AUTHENTICATION_FAILED" in out, (out, a.text())
    shown = a.cli("show refusals")
    for w in why:
        assert w in a.text(), a.text()
        assert w in shown, shown
    assert "INSTALLED" not in a.swanctl("--list-sas")


@BOTH
def test_ocsp_good(net, a, charon_b, pki, servers, initiator):
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP)
    servers.ocsp("V")
    go()
    bring_up(net, a, charon_b, initiator)
    assert f"IKE_AUTH waits: for the OCSP response from {OCSP}" in a.text()


@BOTH
@pytest.mark.parametrize("policy", ["strict", "relaxed"])
def test_ocsp_revoked(net, a, charon_b, pki, servers, initiator, policy):
    go = begin(a, charon_b, pki, policy, "--ocsp", OCSP)
    servers.ocsp("R")
    go()
    refused(a, charon_b, initiator, "is revoked since 2025-01-02 03:04 UTC (keyCompromise), says "
            f"OCSP responder {OCSP}")


def test_ocsp_of_the_configuration(net, a, charon_b, pki, servers):
    """The certificate names nobody; the authority of the configuration does."""
    go = begin(a, charon_b, pki, "relaxed", more=f"""
authorities {{ root {{ cacert = root.pem
                     ocsp_uris = {OCSP} }} }}
""")
    servers.ocsp("R")
    go()
    refused(a, charon_b, "port500", f"says OCSP responder {OCSP}")


def test_ocsp_delegated(net, a, charon_b, pki, servers):
    """A responder with a certificate of its own (RFC 6960 4.2.2.2)."""
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP)
    pki.end("responder", args=["--flag", "ocspSigning"])
    servers.ocsp("V", "responder")
    go()
    bring_up(net, a, charon_b, "port500")


def test_ocsp_of_somebody_else(net, a, charon_b, pki, servers):
    """One who has a certificate of the same CA, but not for that."""
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP)
    pki.end("responder")
    servers.ocsp("V", "responder")
    go()
    refused(a, charon_b, "port500", f"no OCSP response from {OCSP}: neither the certificate's "
            "issuer nor a responder of its has signed it")


def test_ocsp_unknown(net, a, charon_b, pki, servers):
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP)
    servers.ocsp(None)
    go()
    refused(a, charon_b, "port500", f"OCSP responder {OCSP} does not know it")


@BOTH
@pytest.mark.parametrize("how, policy", [("nobody", "strict"), ("nobody", "ifuri"),
                                         ("silent", "strict"), ("no host", "strict")])
def test_responder_down(net, a, charon_b, pki, servers, initiator, how, policy):
    url = "http://192.0.2.253/" if how == "no host" else OCSP
    go = begin(a, charon_b, pki, policy, "--ocsp", url)
    if how == "silent":
        servers.silent()
    go()
    refused(a, charon_b, initiator,
            f"cannot be checked for revocation: no OCSP response from {url}",
            "there is no connection to the server" if how == "nobody" else "no answer in time")


@BOTH
def test_responder_down_relaxed(net, a, charon_b, pki, servers, initiator):
    go = begin(a, charon_b, pki, "relaxed", "--ocsp", OCSP)
    servers.silent()
    go()
    bring_up(net, a, charon_b, initiator)


def test_ifuri_names_nobody(net, a, charon_b, pki):
    begin(a, charon_b, pki, "ifuri")()
    bring_up(net, a, charon_b, "port500")


@BOTH
@pytest.mark.parametrize("revoked", [False, True])
def test_crl_by_distribution_point(net, a, charon_b, pki, servers, initiator, revoked):
    go = begin(a, charon_b, pki, "strict", "--crl", CRL)
    servers.crl(revoked)
    go()
    if revoked:
        refused(a, charon_b, initiator, "is revoked since",
                "(keyCompromise), says its issuer's CRL")
    else:
        bring_up(net, a, charon_b, initiator)


def test_crl_when_the_responder_is_down(net, a, charon_b, pki, servers):
    """Both within the time that IKE_AUTH may wait."""
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP, "--crl", CRL)
    servers.silent()
    servers.crl(True)
    go()
    refused(a, charon_b, "port500", "(keyCompromise), says its issuer's CRL")


@BOTH
def test_all_are_silent(net, a, charon_b, pki, servers, initiator):
    """The CRL would have longer, but IKE_AUTH does not."""
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP, "--crl", CRL)
    servers.silent()
    servers.silent(8089)
    go()
    refused(a, charon_b, initiator, f"no OCSP response from {OCSP}: no answer in time; no CRL from "
            f"{CRL}: not in time")
    assert f"CRL {CRL}: " not in a.text()  # its fetch goes on


def test_answer_is_kept(net, a, charon_b, pki, servers):
    """Until its nextUpdate, whatever becomes of the server and of the configuration."""
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP)
    servers.ocsp("V")
    go()
    bring_up(net, a, charon_b, "port500")
    servers.stop()
    a.cli("reload")
    a.cli("down lab")
    wait_for("the end of the IKE SA", lambda: "lab" not in charon_b.swanctl("--list-sas"))
    bring_up(net, a, charon_b, "strongswan")
    assert a.text().count("IKE_AUTH waits") == 1


@BOTH
@pytest.mark.parametrize("then", ["reload", "stop"])
def test_while_it_waits(net, a, charon_b, pki, servers, initiator, then):
    go = begin(a, charon_b, pki, "strict", "--ocsp", OCSP)
    servers.silent()
    go()
    if initiator == "port500":
        a.cli("up net --timeout 1", check=False)
    else:
        charon_b.swanctl("--initiate --child net --timeout 1", check=False)
    assert "IKE_AUTH waits" in a.text()
    if then == "reload":
        a.cli("reload")
        a.wait_log("cannot be checked for revocation: no OCSP response")
    assert a.stop() == 0, a.text()
