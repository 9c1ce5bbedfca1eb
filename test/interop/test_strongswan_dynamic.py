"""dynamic[PROTOCOL/PORT] with strongSwan 5.9: what either makes of the other's. Its user-space ESP
cannot protect its own address beside IKE and gives its SA up at last, so this looks at what is
agreed."""
import re

import pytest

from topology import A, B, wait_for


@pytest.mark.parametrize("initiator", ["port500", "strongswan"])
def test_both_narrow_it(net, a, charon_b, initiator):
    """Ours is one port, theirs the whole protocol: the port is what both mean."""
    charon_b.start(charon_b.default_config(local_ts="dynamic[tcp]", remote_ts="dynamic[tcp]"))
    text = a.default_config(start=False)
    text = re.sub(r"local_ts = .*\n", "local_ts = dynamic[tcp/179]\n", text)
    a.start(re.sub(r"remote_ts = .*\n", "remote_ts = dynamic[tcp/1024-65535]\n", text))
    ours = rf"{re.escape(A.wan_addr)}/32\[tcp/bgp\]"
    theirs = rf"{re.escape(B.wan_addr)}/32\[tcp/1024-65535\]"
    if initiator == "port500":
        a.cli("up net", check=False)
        for what in (ours, theirs):
            wait_for(f"{what} in charon's choice", lambda w=what: re.search(
                rf"match: {w}", charon_b.text()))
    else:
        charon_b.swanctl("--initiate --child net", check=False)
        a.wait_log(rf"child 'net' up: {ours} === {theirs}")
