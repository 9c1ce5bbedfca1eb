"""The page for the network operator, of a carrier that drops UDP/500."""


def block(net):
    net.nft("carrier", "table ip filtered {\n chain f {\n  type filter hook forward priority 1; "
                       "udp dport 500 drop\n }\n}\n")


def test_the_page_of_a_blocked_port(net, a, b):
    b.start(b.default_config(start=False))
    a.start(a.default_config(start=False))
    block(net)
    a.cli("up net --timeout 5", check=False)
    status, page, err = a.cli("doctor --probe --evidence lab", check=False, timeout=90)
    assert status in (2, 3), page + err
    assert f"Our address: {a.site.wan_addr}" in page and b.site.wan_addr in page, page
    assert "ICMP echo: answered" in page and "IKE to UDP 500, small: no answer" in page, page
    assert "IKE to UDP 4500, small: answered" in page, page
    assert "- IKE on UDP 4500 is answered" in page and "- IKE on UDP 500 is" not in page, page
    assert "UDP port 500" in page.split("What we ask of you")[1], page
    assert "who moved" not in page

    chinese = a.cli("doctor --evidence --lang zh lab", check=False)[1]
    assert "请检查" in chinese and "UDP 500" in chinese and a.site.wan_addr in chinese, chinese
    assert "Please" not in chinese
    status, _, err = a.cli("doctor --evidence --lang fr lab", check=False)
    assert status == 3 and "neither en nor zh" in err
