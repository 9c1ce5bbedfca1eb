"""Proofs of identity against strongSwan 5.9, with certificates made by its pki tool."""
import os
import re
import shutil
import subprocess

import pytest

from test_tunnel import ping
from topology import wait_for

KINDS = {  # of keys: pki's type and size
    "rsa": ("rsa", 2048), "ecdsa256": ("ecdsa", 256), "ecdsa384": ("ecdsa", 384),
    "ecdsa521": ("ecdsa", 521), "ed25519": ("ed25519", None),
}


class Pki:
    """A root, an intermediate, and whatever they sign."""

    def __init__(self, directory):
        self.dir = str(directory)
        self.ca("root", "CN=Root")
        self.ca("sub", "CN=Sub", "root")

    def path(self, name):
        return os.path.join(self.dir, name)

    def pki(self, out, *args):
        done = subprocess.run(["pki", *args], capture_output=True, check=False)
        assert done.returncode == 0, (args, done.stderr)
        with open(self.path(out), "wb") as f:
            f.write(done.stdout)

    def key(self, name, kind="ecdsa256"):
        how, size = KINDS[kind]
        self.pki(name + ".key", "--gen", "--type", how, *(["--size", str(size)] if size else []),
                 "--outform", "pem")

    def ca(self, name, subject, issuer=None):
        self.key(name)
        common = ["--ca", "--dn", f"C=CH, O=Test, {subject}", "--outform", "pem"]
        if issuer:
            self.issue(name, issuer, *common)
        else:
            self.pki(name + ".pem", "--self", "--in", self.path(name + ".key"), "--type", "priv",
                     *common)

    def issue(self, name, issuer, *args):
        self.pki(name + ".pem", "--issue", "--in", self.path(name + ".key"), "--type", "priv",
                 "--cacert", self.path(issuer + ".pem"), "--cakey", self.path(issuer + ".key"), *args)

    def end(self, name, kind="ecdsa256", issuer="root", san=None, args=()):
        self.key(name, kind)
        self.issue(name, issuer, "--dn", f"C=CH, O=Test, CN={name}", "--outform", "pem",
                   "--san", san or f"{name}.example", *args)

    def give(self, directory, name, *cas, extra=()):
        """Puts a gateway's files where it looks for them."""
        for kind, names in (("x509ca", [c + ".pem" for c in cas]),
                            ("x509", [name + ".pem", *[e + ".pem" for e in extra]]),
                            ("private", [name + ".key"])):
            os.makedirs(os.path.join(directory, kind), exist_ok=True)
            for n in names:
                shutil.copy(self.path(n), os.path.join(directory, kind, n))


@pytest.fixture
def pki(tmp_path):
    d = tmp_path / "pki"
    d.mkdir()
    return Pki(d)


def sides(text, local, remote, us="gw-a", cert=None):
    """The default configuration with other proofs."""
    text = re.sub(r"(local \{\s*)auth = psk", rf"\1auth = {local}", text)
    text = re.sub(r"(remote \{\s*)auth = psk", rf"\1auth = {remote}", text)
    if local != "psk":
        text = text.replace("local {", f"local {{\n certs = {cert or us}.pem", 1)
    return text


def start(a, charon, ours=("pubkey", "pubkey"), theirs=("pubkey", "pubkey"), conn=""):
    charon.start(sides(charon.default_config(conn=conn), *theirs, us="gw-b"))
    a.start(sides(a.default_config(start=False), *ours))


def bring_up(net, a, charon, initiator):
    if initiator == "port500":
        a.cli("up net")
    else:
        charon.swanctl("--initiate --child net")
    for out in (a.swanctl("--list-sas"), charon.swanctl("--list-sas")):
        assert "INSTALLED" in out, (out, a.text(), charon.text()[-3000:])
    assert ping(net) == (20, 20)


# What swanctl calls it: only behind ike: it is for strongSwan's own signature, too.
THEIRS = {"rsa/pss": "ike:rsa/pss-sha256", "ed25519": "pubkey"}

PROOFS = [  # kind of key, auth of both, what strongSwan says of our signature
    ("rsa", "pubkey", "RSA_EMSA_PKCS1_SHA2_256"),
    ("rsa", "rsa/pss", r"RSA_EMSA_PSS\S*"),
    ("ecdsa256", "pubkey", "ECDSA_WITH_SHA256_DER"),
    ("ecdsa384", "ecdsa", "ECDSA_WITH_SHA384_DER"),
    ("ecdsa521", "pubkey", "ECDSA_WITH_SHA512_DER"),
    ("ed25519", "ed25519", "ED25519"),
]


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
@pytest.mark.parametrize("kind, auth, shown", PROOFS, ids=[f"{p[0]}-{p[1]}" for p in PROOFS])
def test_proofs(net, a, charon_b, pki, kind, auth, shown, initiator):
    pki.end("gw-a", kind)
    pki.end("gw-b", kind)
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    theirs = THEIRS.get(auth, auth)
    start(a, charon_b, (auth, auth), (theirs, theirs))
    bring_up(net, a, charon_b, initiator)
    assert re.search(rf"authentication of 'gw-a.example' with {shown} successful", charon_b.text())


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
@pytest.mark.parametrize("ours, theirs", [("psk", "pubkey"), ("pubkey", "psk")])
def test_mixed(net, a, charon_b, pki, ours, theirs, initiator):
    pki.end("gw-a")
    pki.end("gw-b")
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    start(a, charon_b, (ours, theirs), (theirs, ours))
    bring_up(net, a, charon_b, initiator)


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_intermediate(net, a, charon_b, pki, initiator):
    """Both have certificates of the intermediate, and trust the root alone."""
    pki.end("gw-a", issuer="sub")
    pki.end("gw-b", issuer="sub")
    pki.give(a.dir, "gw-a", "root", extra=["sub"])
    pki.give(charon_b.swan, "gw-b", "root", extra=["sub"])
    start(a, charon_b)
    bring_up(net, a, charon_b, initiator)


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_distinguished_names(net, a, charon_b, pki, initiator):
    pki.end("gw-a")
    pki.end("gw-b")
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    charon_b.start(sides(charon_b.default_config(), "pubkey", "pubkey", us="gw-b")
                   .replace("id = gw-b.example", "").replace("id = gw-a.example",
                                                             'id = "C=CH, O=Test, CN=gw-a"'))
    a.start(sides(a.default_config(start=False), "pubkey", "pubkey")
            .replace("id = gw-a.example", "", 1)
            .replace("id = gw-b.example", 'id = "C=CH, O=Test, CN=*"', 1))
    bring_up(net, a, charon_b, initiator)


# ---- refusals: the side that knows why says it, the other that it was refused ----

@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_expired_peer(net, a, charon_b, pki, initiator):
    pki.end("gw-a")
    pki.end("gw-b", args=["--not-before", "01.01.20 00:00:00", "--not-after", "01.01.21 00:00:00"])
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    start(a, charon_b)
    if initiator == "port500":
        status, _, err = a.cli("up net", check=False)
        assert status == 1 and "expired on 2021-01-01 00:00 UTC" in err, err
        charon_b.wait_log("received AUTHENTICATION_FAILED|AUTH_FAILED")
    else:
        out = charon_b.swanctl("--initiate --child net", check=False)
        assert "AUTHENTICATION_FAILED" in out, out
    errors = [x for x in a.text().splitlines() if " error " in x]
    assert len(errors) == 1, a.text()
    assert "certificate 'C=CH, O=Test, CN=gw-b' of issuer 'C=CH, O=Test, CN=Root' expired" in errors[0]


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_we_have_expired(net, a, charon_b, pki, initiator):
    pki.end("gw-a", args=["--not-before", "01.01.20 00:00:00", "--not-after", "01.01.21 00:00:00"])
    pki.end("gw-b")
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    start(a, charon_b)
    assert re.search(r"warn .*gw-a.conf:\d+: .*local.certs: certificate .* expired on 2021", a.text())
    if initiator == "port500":
        status, _, err = a.cli("up net", check=False)
        assert status == 1 and "does not accept our certificate or identity" in err, err
    else:
        charon_b.swanctl("--initiate --child net", check=False)
    charon_b.wait_log("expired|is not valid|invalid")


def test_name_that_is_not_in_the_certificate(net, a, charon_b, pki):
    """strongSwan says a name that its certificate does not bear."""
    pki.end("gw-a")
    pki.end("gw-b", san="gw-x.example")
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    start(a, charon_b)
    charon_b.swanctl("--initiate --child net", check=False)
    errors = [x for x in a.text().splitlines() if " error " in x]
    assert len(errors) == 1, a.text()
    assert "does not name FQDN 'gw-b.example': it names DNS gw-x.example" in errors[0]
    charon_b.wait_log("received AUTHENTICATION_FAILED")


def test_revoked(net, a, charon_b, pki):
    pki.end("gw-a")
    pki.end("gw-b")
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    os.makedirs(os.path.join(a.dir, "x509crl"))
    pki.pki("root.crl", "--signcrl", "--cacert", pki.path("root.pem"), "--cakey",
            pki.path("root.key"), "--cert", pki.path("gw-b.pem"), "--outform", "pem")
    shutil.copy(pki.path("root.crl"), os.path.join(a.dir, "x509crl"))
    start(a, charon_b)
    status, _, err = a.cli("up net", check=False)
    assert status == 1 and "is revoked since" in err, err


@pytest.mark.parametrize("revoked", [False, True])
def test_crl_from_http(net, a, charon_b, pki, tmp_path, revoked):
    """Strict: nobody is believed until the CRL has been fetched; then it decides."""
    pki.end("gw-a")
    pki.end("gw-b")
    pki.give(a.dir, "gw-a", "root")
    pki.give(charon_b.swan, "gw-b", "root")
    charon_b.start(sides(charon_b.default_config(), "pubkey", "pubkey", us="gw-b"))
    config = sides(a.default_config(start=False), "pubkey", "pubkey")
    config = config.replace("remote {", "remote {\n revocation = strict\n", 1)
    a.start(config + """
authorities { root { cacert = root.pem
                     crl_uris = http://127.0.0.1:8089/root.crl } }
""")
    a.wait_log("CRL http://127.0.0.1:8089/root.crl: there is no connection to the server")
    status, _, err = a.cli("up net", check=False)
    assert status == 1 and "there is no CRL of its issuer" in err, err
    web = tmp_path / "web"
    web.mkdir()
    pki.pki("root.crl", "--signcrl", "--cacert", pki.path("root.pem"), "--cakey",
            pki.path("root.key"),
            *(["--reason", "key-compromise", "--cert", pki.path("gw-b.pem")] if revoked else []))
    shutil.copy(pki.path("root.crl"), web)
    server = net.start(a.ns, ["/usr/bin/python3", "-m", "http.server", "8089", "--bind",
                              "127.0.0.1", "--directory", str(web)], str(tmp_path / "web.log"))
    try:
        wait_for("the web server", lambda: net.status(
            a.ns, ["bash", "-c", "true > /dev/tcp/127.0.0.1/8089"])[0] == 0, 20)
        a.cli("reload")
        a.wait_log("CRL http://127.0.0.1:8089/root.crl: fetched")
        if revoked:
            status, _, err = a.cli("up net", check=False)
            assert status == 1 and "(keyCompromise), says its issuer's CRL" in err, err
        else:
            bring_up(net, a, charon_b, "port500")
    finally:
        server.terminate()
        server.wait()
