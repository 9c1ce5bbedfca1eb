"""Every transform of ESP that strongSwan's own ESP (libipsec) has, with traffic in both directions.
It has no AES-XCBC, no AES-GMAC and no extended sequence numbers. One test is one proposal."""
import re

import pytest

from gateways import Charon, Port500
from topology import A, B, CommandFailed, Network, prefix_of_tests, wait_for

# keyword of esp_proposals -> what both sides show of the SA
AEAD = {f"aes{bits}gcm{icv}": f"AES_GCM_{icv}-{bits}" for bits in (128, 192, 256)
        for icv in (8, 12, 16)}
CIPHERS = {f"aes{bits}": f"AES_CBC-{bits}" for bits in (128, 192, 256)}
CIPHERS |= {f"aes{bits}ctr": f"AES_CTR-{bits}" for bits in (128, 192, 256)}
CIPHERS |= {"null": "NULL"}
INTEG = {"sha1": "HMAC_SHA1_96", "sha256": "HMAC_SHA2_256_128", "sha384": "HMAC_SHA2_384_192",
         "sha512": "HMAC_SHA2_512_256"}
ROWS = AEAD | {"chacha20poly1305": "CHACHA20_POLY1305"} | {
    f"{c}-{i}": f"{cipher}/{integ}" for c, cipher in CIPHERS.items() for i, integ in INTEG.items()}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    d = tmp_path_factory.mktemp("esp")
    with Network(prefix_of_tests()) as net:
        us, peer = Port500(net, A, d), Charon(net, B, d)
        peer.start("")
        us.start(us.default_config(start=False))
        yield net, us, peer


@pytest.mark.parametrize("esp", ROWS)
def test_traffic(lab, esp):
    net, us, peer = lab
    log_size = len(peer.text())
    us.write_config(us.default_config(start=False, child=f"esp_proposals = {esp}"))
    us.cli("reload")
    peer.write_config(peer.default_config(esp=esp))
    peer.swanctl("--load-all --noprompt")
    # Each side is the initiator of half of them.
    try:
        if sum(map(ord, esp)) % 2:
            us.cli("up net")
        else:
            peer.swanctl("--initiate --child net")
        wait_for("the child on both sides",
                 lambda: all("INSTALLED" in s.swanctl("--list-sas") for s in (us, peer)), 3)
        for side in (us, peer):
            out = side.swanctl("--list-sas")
            assert re.search(rf"ESP:{ROWS[esp]}\n", out), out
        for size in (0, 1, 13, 200, 1300):
            for ns, to in (("host-a", B.host_addr), ("host-b", A.host_addr)):
                out = net.run(ns, f"ping -s {size} -i 0.005 -c 3 -w 3 {to}", check=False)
                assert re.search(r" 3 received", out), out
    except (AssertionError, CommandFailed) as e:
        pytest.fail(f"{esp}\n{e}\n---- port500d\n{us.tail(30)}"
                    f"\n---- charon\n{peer.text()[log_size:][-5000:]}", pytrace=False)
    finally:
        us.cli("down lab", check=False)
        wait_for("the tunnel to be gone",
                 lambda: not "".join(s.swanctl("--list-sas") for s in (us, peer)).strip(), 5)
