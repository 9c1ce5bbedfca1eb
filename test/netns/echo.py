"""Echoes (ping) whose count does not depend on how busy the machine is.

ping waits for what is still on its way when it has sent its last request for no longer than twice
the longest round trip so far, or its interval if that is more; -W is for when nothing has come at
all. On a busy machine the last answer then comes too late for ping, though nothing was lost.
"""
import re
import time

from topology import B

LATE_S = 2


def summary(out):
    """What ping says at its end: (transmitted, received)."""
    found = re.search(r"(\d+) packets transmitted, (\d+) received", out)
    assert found, out
    return int(found[1]), int(found[2])


def replies(net, ns):
    """Echo replies that the kernel has received there so far, of IPv4 and IPv6."""
    names, values = re.findall(r"^Icmp: (.*)$", net.run(ns, "cat /proc/net/snmp"), re.M)
    v4 = dict(zip(names.split(), values.split()))["InEchoReps"]
    v6 = re.search(r"^Icmp6InEchoReplies\s+(\d+)", net.run(ns, "cat /proc/net/snmp6", check=False),
                   re.M)
    return int(v4) + (int(v6[1]) if v6 else 0)


def answered(out):
    """The numbers of the requests that ping saw answered."""
    return {int(seq) for seq in re.findall(r"icmp_seq=(\d+) ttl=", out)}


def ping(net, ns="host-a", to=B.host_addr, count=20, options="-i 0.02", wait=LATE_S):
    """Returns (transmitted, received). Waits so many seconds for the last answers."""
    before = replies(net, ns)
    out = net.run(ns, f"ping -c {count} {options} -W {wait} {to}", check=False)
    sent, received = summary(out)
    end = time.monotonic() + wait
    # Only what is missing at the end may be late. (Another ping there would be counted as well.)
    if received < sent and max(answered(out), default=0) == received > 0:
        while received < sent and time.monotonic() < end:
            time.sleep(0.05)
            received = max(received, min(sent, replies(net, ns) - before))
    return sent, received


class Echoes:
    """Echoes in the background, `count` of them, one every `interval` seconds."""

    def __init__(self, net, log, count, interval, ns="host-a", to=B.host_addr, options=""):
        self.log, self.count, self.interval = str(log), count, interval
        self.process = net.start(ns, f"ping -c {count} -i {interval} -W 5 {options} {to}", self.log)

    def flowing(self):
        return self.process.poll() is None

    def check_none_lost(self, timeout=30):
        """Waits for the end. Half a second of them may be late there, as said above."""
        self.process.wait(self.count * self.interval + timeout)
        with open(self.log, encoding="utf-8") as f:
            out = f.read()
        seen = answered(out)
        last = max(seen, default=0)
        lost = sorted(set(range(1, last + 1)) - seen)
        assert not lost, f"echoes {lost[:20]} of {last} lost\n{out[-300:]}"
        assert last >= self.count - max(1, 0.5 / self.interval), \
            f"{last} of {self.count} echoes came\n{out[-300:]}"
