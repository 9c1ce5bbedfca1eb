"""Transport mode with strongSwan 5.9: what it asks for and what it answers. Its user-space ESP has no
such mode and refuses its own SA at last; packets are test_xfrm.py's and test_esp_oracle.py's."""
import re

import pytest

from topology import wait_for


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_both_ask_and_agree(net, a, charon_b, initiator):
    charon_b.start(charon_b.default_config(local_ts="dynamic", remote_ts="dynamic",
                                           child="mode = transport"))
    text = a.default_config(start=False, child="mode = transport")
    a.start(re.sub(r"(local|remote)_ts = .*\n", r"\1_ts = dynamic\n", text))
    if initiator == "port500":
        a.cli("up net", check=False)
        wait_for("the request", lambda: re.search(
            r"parsed IKE_AUTH request .*N\(USE_TRANSP\)", charon_b.text()))
    else:
        charon_b.swanctl("--initiate --child net", check=False)
        wait_for("the answer", lambda: re.search(
            r"parsed IKE_AUTH response .*N\(USE_TRANSP\)", charon_b.text()))
        assert "transport mode, in UDP" in a.text()
    # It got as far as its own SA: mode and selectors were what it wanted.
    wait_for("the end of it", lambda: "failed to create SAD entry" in charon_b.text())
