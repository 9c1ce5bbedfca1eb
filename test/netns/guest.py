"""A virtual machine with Linux's own IPsec (XFRM) and strongSwan as the gateway gw-<site>.

devtools/peers makes its kernel and disk. It runs without KVM, so its speed says nothing. Its two
network cards are bridged to the gateway's wires; commands go over a virtual serial port to
guest_init, which runs them.
"""
import base64
import os
import re
import shlex
import socket
import time

from gateways import Charon
from topology import CommandFailed, stop_all, wait_for

END = re.compile(rb"(?:^|\n)\x04 (\d+)\n")


class XfrmGuest(Charon):
    """charon-systemd with kernel-netlink in a virtual machine; `base` + .img, .kernel, .initrd."""

    PLUGINS = ("random nonce openssl aes sha1 sha2 hmac kdf gcm curve25519 pem x509 "
               "kernel-netlink socket-default vici")

    def __init__(self, net, site, directory, base):
        super().__init__(net, site, directory)
        self.base = base
        self.console = os.path.join(self.dir, "guest.console")
        self.line = None
        # Paths inside the machine.
        self.log, self.conf, self.swan = "/run/charon.log", "/run/strongswan.conf", "/run/swanctl"
        self.socket = "/run/charon.vici"

    def boot(self, timeout_s=120):
        """Starts the machine with the site's addresses; strongSwan is not yet running in it."""
        s = self.site
        control = os.path.join(self.dir, "guest.line")
        command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512",
                   "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                   "-kernel", self.base + ".kernel", "-initrd", self.base + ".initrd", "-append",
                   "root=/dev/vda rw init=/sbin/port500-guest console=ttyS0 panic=-1 fsck.mode=skip",
                   "-drive", f"file={self.base}.img,format=raw,if=virtio,snapshot=on",
                   "-serial", f"file:{self.console}", "-device", "virtio-serial-pci",
                   "-chardev", f"socket,id=line,path={control},server=on,wait=off",
                   "-device", "virtserialport,chardev=line,name=port500"]
        for i, dev in enumerate(("lan", "wan")):
            self.bridge(dev)
            # No offloads: frames go to a wire whose other end is not Linux.
            command += ["-netdev", f"tap,id={dev},ifname=tap-{dev},script=no,downscript=no", "-device",
                        f"virtio-net-pci,netdev={dev},mac=02:00:00:00:{ord(s.letter):02x}:{i:02x},"
                        "csum=off,guest_csum=off,gso=off,host_tso4=off,guest_tso4=off,romfile="]
        self.process = self.net.start(self.ns, command, os.path.join(self.dir, "guest.qemu"))
        wait_for("qemu", lambda: os.path.exists(control) or self.process.poll() is not None)
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(control)
        self.answer(timeout_s)
        for i, (addr, dev) in enumerate(((s.lan_addr, "lan"), (s.wan_addr, "wan"))):
            self.run(f"old=$(basename $(dirname $(grep -l :{i:02x}$ /sys/class/net/*/address))) && "
                     f"ip link set $old name {dev} && ip addr add {addr}/24 dev {dev} && "
                     f"ip link set {dev} up")
        self.run(f"ip route add default via {s.carrier_addr} && sysctl -qw net.ipv4.ip_forward=1")
        return self

    def settings(self, plugins=""):
        # With all its plugins, swanctl has the kernel load and test every cipher it knows: 14 s.
        return super().settings(plugins) + "swanctl {\n    load = random openssl pem pkcs1 x509\n}\n"

    def bridge(self, dev):
        """Joins the gateway's end of a wire to a TAP for the machine."""
        for command in (f"ip link add br-{dev} type bridge", f"ip tuntap add tap-{dev} mode tap",
                        f"ip link set tap-{dev} master br-{dev} up",
                        f"ip link set {dev}-{self.site.letter} master br-{dev}",
                        f"ip link set br-{dev} up"):
            self.net.run(self.ns, command)

    def start(self, config=None, plugins=""):
        """Starts strongSwan in the machine afresh."""
        self.end_charon()
        self.run(f"mkdir -p {self.swan}/conf.d")
        self.put(self.conf, self.settings(plugins))
        self.write_config(config if config is not None else self.default_config())
        self.run(f"STRONGSWAN_CONF={self.conf} setsid charon-systemd >/run/charon.out 2>&1 & "
                 f"n=0; until [ -S {self.socket} ]; do n=$((n + 1)); [ $n -lt 200 ] || exit 1; "
                 "sleep 0.05; done")
        self.swanctl("--load-all")
        return self

    def end_charon(self):
        """Ends strongSwan at once, without a word to its peer, and clears the kernel's tables."""
        self.run(f"pkill -KILL charon-systemd; ip xfrm state flush; ip xfrm policy flush; "
                 f"ip route flush table 220; rm -f {self.socket} {self.log}")

    def run(self, command, check=True, timeout_s=60):
        """Runs a shell command of one line in the machine and returns what it printed."""
        # In a subshell: exit must not end process 1.
        self.line.sendall(f"({command})\n".encode())
        status, out = self.answer(timeout_s)
        if check and status:
            raise CommandFailed(f"virtual machine: {command}: exit {status}\n{out}")
        return out

    def answer(self, timeout_s):
        """Reads up to the end of an answer; returns (exit status, text)."""
        data, end = b"", time.monotonic() + timeout_s
        while not END.search(data):
            self.line.settimeout(max(0.01, end - time.monotonic()))
            try:
                more = self.line.recv(65536)
            except TimeoutError:
                more = b""
            if not more:
                raise CommandFailed("the virtual machine does not answer (see "
                                    f"{self.console} and guest.qemu): {data[-500:]!r}")
            data += more
        found = END.search(data)
        return int(found[1]), data[:found.start()].decode(errors="replace")

    def put(self, path, text):
        self.run(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d >{path}")

    def write_config(self, text):
        self.put(f"{self.swan}/swanctl.conf", text)

    def swanctl(self, command, check=True):
        return self.run(f"SWANCTL_DIR={self.swan} STRONGSWAN_CONF={self.conf} swanctl "
                        f"{shlex.join(command.split())} --uri unix://{self.socket}", check)

    def text(self):
        return self.run(f"cat {self.log}", check=False)

    def states(self):
        """The kernel's SAs, by SPI as eight hexadecimal digits: {spi: text of `ip xfrm state`}."""
        found = {}
        for sa in re.split(r"(?m)^(?=src )", self.run("ip xfrm state")):
            spi = re.search(r"proto esp spi 0x([0-9a-f]{8})", sa)
            if spi:
                found[spi[1]] = sa
        return found

    def stop(self):
        if self.line:
            self.line.close()
        if self.process is not None:
            stop_all([self.process.pid], 5)
            self.process.wait(5)
