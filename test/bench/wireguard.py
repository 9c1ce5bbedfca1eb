"""wireguard-go as both gateways of a network of test/netns/topology.py."""
import os
import subprocess

from topology import A, B, wait_for


class WireGuard:
    """Both ends; interfaces have names of their own, since their sockets share a folder."""

    def __init__(self, net, directory):
        self.net, self.dir, self.processes = net, directory, []

    def start(self):
        keys = {s.letter: self.key() for s in (A, B)}
        for site, other in ((A, B), (B, A)):
            ns, dev = f"gw-{site.letter}", f"p500bw-{site.letter}"
            self.net.linux_gateway(site)
            log = os.path.join(self.dir, f"wg-{site.letter}.log")
            self.processes.append(self.net.start(ns, ["wireguard-go", "-f", dev], log))
            wait_for("wireguard-go", lambda dev=dev: os.path.exists(
                f"/var/run/wireguard/{dev}.sock"))
            secret = os.path.join(self.dir, f"wg-{site.letter}.key")
            with open(secret, "w", encoding="ascii",
                      opener=lambda p, f: os.open(p, f, 0o600)) as f:
                f.write(keys[site.letter][0])
            self.net.run(ns, ["wg", "set", dev, "listen-port", "51820", "private-key", secret, "peer",
                              keys[other.letter][1], "endpoint", f"{other.wan_addr}:51820",
                              "allowed-ips", other.lan])
            self.net.run(ns, f"ip link set {dev} up")
            self.net.run(ns, f"ip route add {other.lan} dev {dev}")
        return self

    @staticmethod
    def key():
        def wg(word, stdin=None):
            return subprocess.run(["wg", word], input=stdin, text=True, capture_output=True,
                                  check=True).stdout.strip()
        secret = wg("genkey")
        return secret, wg("pubkey", secret)

    def pids(self):
        return [p.pid for p in self.processes]
