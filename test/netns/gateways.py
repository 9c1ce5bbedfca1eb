"""The gateways that a network of topology.py can have: port500, and strongSwan as the peer."""
import json
import os
import re
import subprocess
import time

from topology import SITES, CommandFailed, alive, stop_all, wait_for

BUILD = os.environ.get("PORT500_BUILD") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")
PSK = "who moved my port 500"


def binary(name):
    path = os.path.join(BUILD, "control", name)
    if name == "port500":
        cli = os.path.join(BUILD, "control", "cli", name)
        path = cli if os.path.exists(cli) else path
    if not os.path.exists(path):
        raise CommandFailed(f"{path} is not there: build first, or set PORT500_BUILD")
    return os.path.abspath(path)


def tcp(net, log, options="", seconds=2):
    """iperf3 from host-a to host-b; returns the bytes that arrived."""
    server = net.start("host-b", "iperf3 -s -1", str(log))
    wait_for("iperf3's server", lambda: ":5201" in net.run("host-b", "ss -Hltn"))
    out = net.run("host-a", f"iperf3 -J -c {SITES['b'].host_addr} -t {seconds} {options}")
    server.wait(10)
    return json.loads(out)["end"]["sum_received"]["bytes"]


ADDRS = re.compile(r"(local|remote)_addrs = ([\d.]+)\n")


def both_families(text, site):
    """The configuration of a port500 whose WAN port has an address of IPv6 as well."""
    return text.replace(f"addrs = {site.wan_addr}/24\n",
                        f"addrs = {site.wan_addr}/24, {site.wan6}/64\n")


def both_families_inside(text, site):
    """The same of its LAN port."""
    return text.replace(f"addrs = {site.lan_addr}/24\n",
                        f"addrs = {site.lan_addr}/24, {site.lan6_addr}/64\n")


def over6(text, site):
    """The configuration of a gateway whose connections go over IPv6."""
    to = {"local": site.wan6, "remote": other(site).wan6}
    return ADDRS.sub(lambda m: f"{m[1]}_addrs = {to[m[1]]}\n", text)


def other(site):
    return SITES["b" if site.letter == "a" else "a"]


class Port500:
    """One port500d in the namespace gw-<site>, with its files in `directory`."""

    def __init__(self, net, site, directory):
        self.net, self.site, self.dir = net, site, str(directory)
        self.ns = f"gw-{site.letter}"
        os.makedirs(self.dir, exist_ok=True)
        self.config = os.path.join(self.dir, f"gw-{site.letter}.conf")
        self.log = os.path.join(self.dir, f"gw-{site.letter}.log")
        self.socket = os.path.join(self.dir, f"gw-{site.letter}.vici")
        self.process = None

    def default_config(self, gateway="", conn="", child="", local="", remote="", psk=PSK,
                       start=True):
        s, o = self.site, other(self.site)
        return f"""# Gateway {s.letter.upper()} of the lab.
gateway {{
    socket = {self.socket}
    {gateway}
    ports {{
        lan {{
            device = net_af_packet1,iface=lan-{s.letter}
            addrs = {s.lan_addr}/24
        }}
        wan {{
            device = net_af_packet0,iface=wan-{s.letter}
            addrs = {s.wan_addr}/24
        }}
    }}
}}
connections {{
    lab {{
        version = 2
        local_addrs = {s.wan_addr}
        remote_addrs = {o.wan_addr}
        {conn}
        local {{
            auth = psk
            id = gw-{s.letter}.example
            {local}
        }}
        remote {{
            auth = psk
            id = gw-{o.letter}.example
            {remote}
        }}
        children {{
            net {{
                local_ts = {s.lan}
                remote_ts = {o.lan}
                start_action = {"start" if start else "none"}
                {child}
            }}
        }}
    }}
}}
secrets {{
    ike-lab {{
        id-a = gw-a.example
        id-b = gw-b.example
        secret = "{psk}"
    }}
}}
"""

    def write_config(self, text):
        with open(self.config, "w", encoding="utf-8", opener=private) as f:
            f.write(text)

    def start(self, config=None, route=True):
        """Starts the daemon and waits until it serves its API; sets the default route."""
        self.write_config(config if config is not None else self.default_config())
        self.net.keep_linux_off(self.site)
        open(self.log, "w", encoding="utf-8").close()
        self.process = self.net.start(self.ns, [binary("port500d"), "-c", self.config], self.log)
        wait_for(f"port500d in {self.ns} (see {self.log}):\n{self.tail()}",
                 lambda: self.ended() or os.path.exists(self.socket), 20)
        if self.ended():
            raise CommandFailed(f"port500d in {self.ns} ended:\n{self.tail()}")
        if route:
            self.net.run(self.ns, f"ip route replace default via {self.site.carrier_addr} dev wan")
        return self

    def use_ipv6(self):
        """The default route, and the end of the check for doubled addresses."""
        self.net.run(self.ns, f"ip -6 route replace default via {self.site.carrier6} dev wan")
        wait_for("the address of IPv6", lambda: "tentative" not in self.net.run(
            self.ns, "ip -6 addr show dev wan"))

    def ended(self):
        return self.process is None or self.process.poll() is not None

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process is None:
            return None
        stop_all([self.process.pid], 10)
        return self.process.wait(5)

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def tail(self, n=15):
        return "\n".join(self.text().splitlines()[-n:]) if os.path.exists(self.log) else ""

    def wait_log(self, pattern, timeout_s=15):
        return wait_for(f"'{pattern}' in the log of {self.ns}; its end:\n{self.tail()}",
                        lambda: re.search(pattern, self.text()), timeout_s)

    def cli(self, command, check=True, timeout=60):
        """`port500 COMMAND`; returns stdout, or (status, stdout, stderr) with check=False."""
        if isinstance(command, str):
            command = command.split()
        status, out, err = self.net.status(
            self.ns, [binary("port500"), "--socket", self.socket, *command], timeout)
        if not check:
            return status, out, err
        if status:
            raise CommandFailed(f"{self.ns}: port500 {' '.join(command)}: exit {status}\n{out}{err}")
        return out

    def json(self, command):
        return json.loads(self.cli(["--json", *command.split()]))

    def swanctl(self, command, check=True):
        return self.net.run(self.ns, f"swanctl {command} --uri unix://{self.socket}", check=check)

    def drops(self):
        """Drop reasons with their counts, as {name: packets}."""
        return drop_counts(self.json("show drops --all"))

    def wait_child(self, timeout_s=20):
        try:
            return wait_for("child SA", lambda: "INSTALLED" in self.swanctl("--list-sas"), timeout_s)
        except CommandFailed as e:
            raise CommandFailed(f"{e}\nlog of {self.ns}:\n{self.tail(30)}") from None


def drop_counts(tree):
    """Finds every {reason: {packets: n}} in the JSON of `show drops`."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, dict) and "packets" in value:
            found[key] = int(value["packets"])
        elif isinstance(value, dict):
            found.update(drop_counts(value))
    return found


def private(path, flags):
    return os.open(path, flags, 0o600)


class Charon:
    """strongSwan's charon-systemd with kernel-libipsec in the namespace gw-<site>.

    With `root`, a folder of devtools/peers, it and its swanctl are the ones installed there.
    """

    PLUGINS = ("random nonce openssl aes sha1 sha2 hmac kdf gcm curve25519 pem pkcs1 pkcs8 "
               "pubkey x509 revocation constraints "
               "kernel-libipsec kernel-netlink socket-default vici")

    def __init__(self, net, site, directory, root=None):
        self.net, self.site, self.dir, self.root = net, site, str(directory), root
        self.ns = f"gw-{site.letter}"
        os.makedirs(self.dir, exist_ok=True)
        self.log = os.path.join(self.dir, f"charon-{site.letter}.log")
        self.conf = os.path.join(self.dir, f"charon-{site.letter}.conf")
        self.swan = os.path.join(self.dir, f"swanctl-{site.letter}")
        self.socket = os.path.join(self.dir, f"charon-{site.letter}.vici")
        self.options = ""  # further lines of section charon-systemd of strongswan.conf
        self.process = None
        self.log_level = 2

    def default_config(self, proposals="default", esp="aes128gcm16", psk=PSK, start=False, conn="",
                       child="", local_ts=None, remote_ts=None):
        s, o = self.site, other(self.site)
        return f"""connections {{
    lab {{
        version = 2
        local_addrs = {s.wan_addr}
        remote_addrs = {o.wan_addr}
        proposals = {proposals}
        {conn}
        local {{
            auth = psk
            id = gw-{s.letter}.example
        }}
        remote {{
            auth = psk
            id = gw-{o.letter}.example
        }}
        children {{
            net {{
                local_ts = {local_ts or s.lan}
                remote_ts = {remote_ts or o.lan}
                esp_proposals = {esp}
                start_action = {"start" if start else "none"}
                {child}
            }}
        }}
    }}
}}
secrets {{
    ike-lab {{
        id-a = gw-a.example
        id-b = gw-b.example
        secret = "{psk}"
    }}
}}
"""

    def settings(self, plugins=""):
        """The text of strongswan.conf; `plugins` are more settings of plugins."""
        return f"""charon-systemd {{
    load = {self.PLUGINS}
    {self.options}
    plugins {{
        vici {{
            socket = unix://{self.socket}
        }}
        {plugins}
    }}
    filelog {{
        lab {{
            path = {self.log}
            default = {min(self.log_level, 1)}
            ike = {self.log_level}
            cfg = {self.log_level}
            flush_line = yes
        }}
    }}
    journal {{
        default = -1
    }}
}}
"""

    def start(self, config=None, plugins=""):
        for d in ("", "x509", "x509ca", "private", "conf.d"):
            os.makedirs(os.path.join(self.swan, d), exist_ok=True)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(self.settings(plugins))
        self.write_config(config if config is not None else self.default_config())
        self.net.linux_gateway(self.site)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = self.net.start(self.ns, self.rooted(["charon-systemd"]), self.log + ".out",
                                      {"STRONGSWAN_CONF": self.conf})
        wait_for(f"charon in {self.ns} (see {self.log})",
                 lambda: os.path.exists(self.socket) or self.process.poll() is not None, 10)
        self.swanctl("--load-all")
        return self

    def rooted(self, command):
        """The command inside our root, where our directory has the same path as outside. `ip netns
        exec` gives each command a mount namespace, so the mounts end with the command."""
        if not self.root:
            return command
        return ["sh", "-ec", """
            for d in run tmp; do mount -t tmpfs tmpfs "$0/$d"; done
            mkdir -p "$0$1"
            mount --bind "$1" "$0$1"
            mount --rbind /dev "$0/dev"
            mount -t proc proc "$0/proc"
            root=$0; shift; exec chroot "$root" "$@" """, self.root, self.dir, *command]

    def write_config(self, text):
        with open(os.path.join(self.swan, "swanctl.conf"), "w", encoding="utf-8") as f:
            f.write(text)

    def swanctl(self, command, check=True):
        done = subprocess.run(
            self.net.argv(self.ns, self.rooted(
                ["swanctl", *command.split(), "--uri", f"unix://{self.socket}"])), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
            env=dict(os.environ, SWANCTL_DIR=self.swan, STRONGSWAN_CONF=self.conf))
        if check and done.returncode:
            raise CommandFailed(f"{self.ns}: swanctl {command}: exit {done.returncode}\n"
                                f"{done.stdout}\n{self.text()[-3000:]}")
        return done.stdout

    def text(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, timeout_s=15):
        return wait_for(f"'{pattern}' in the log of charon; its end:\n{self.text()[-3000:]}",
                        lambda: re.search(pattern, self.text()), timeout_s)

    def wait_child(self, timeout_s=20):
        try:
            return wait_for("child SA of strongSwan",
                            lambda: "INSTALLED" in self.swanctl("--list-sas"), timeout_s)
        except CommandFailed as e:
            raise CommandFailed(f"{e}\n{self.text()[-4000:]}") from None

    def stop(self):
        if self.process is None:
            return None
        stop_all([self.process.pid], 10)
        return self.process.wait(5)


class Capture:
    """tcpdump on a carrier's wire, into a pcap file."""

    def __init__(self, net, path, device="to-a", ns="carrier", snaplen=0):
        self.net, self.path = net, str(path)
        self.process = net.start(
            ns, ["tcpdump", "-n", "--immediate-mode", "-U", "-i", device, "-s", str(snaplen), "-w", self.path],
            self.path + ".log")
        wait_for("tcpdump", lambda: "listening" in open(self.path + ".log", encoding="utf-8").read())

    def stop(self):
        time.sleep(0.3)  # what is still in the kernel's buffer
        if alive(self.process.pid):
            stop_all([self.process.pid])
        self.process.wait(5)
        return self

    def lines(self, expression):
        """The captured packets that match a pcap filter, one line each."""
        done = subprocess.run(["tcpdump", "-n", "-r", self.path, *expression.split()], text=True,
                              capture_output=True, check=True)
        return done.stdout.splitlines()

    def holds(self, data):
        with open(self.path, "rb") as f:
            return data in f.read()


IKE = "udp and (port 500 or (port 4500 and udp[8:4] == 0))"
ESP = "esp or (udp port 4500 and udp[8:4] != 0 and udp[4:2] > 9)"
CLEAR = "net 10.1.0.0/24 or net 10.2.0.0/24"
