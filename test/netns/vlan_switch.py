"""A switch with one trunk: `vlan_switch.py TRUNK DEVICE=VLAN...`; VLAN 0 is untagged.

Frames of a DEVICE leave by the TRUNK with its tag (802.1Q), and those of the trunk go to the device
of their tag without it. In a process, because a kernel may have no VLAN devices. Every frame of the
trunk that is no device's is said on stdout.
"""
import select
import socket
import struct
import sys

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, VLAN_VALID = 3, 263, 8, 1 << 4


def open_device(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)  # the kernel takes the tag out of the frame
    s.bind((name, 0))
    return s


def receive(s):
    """Returns (frame, VLAN), or None for what we sent ourselves."""
    frame, extra, _, addr = s.recvmsg(65536, 256)
    if addr[2] == socket.PACKET_OUTGOING:
        return None
    for level, kind, data in extra:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, tci = struct.unpack("I12xH", data[:18])
            if status & VLAN_VALID:
                return frame, tci & 0xfff
    return frame, 0


def tagged(frame, vlan):
    return frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:] if vlan else frame


def main(trunk_name, *devices):
    trunk = open_device(trunk_name)
    vlan_of, device_of = {}, {}
    for text in devices:
        name, vlan = text.split("=")
        s = open_device(name)
        vlan_of[s], device_of[int(vlan)] = int(vlan), s
    print("ready", flush=True)
    while True:
        for s in select.select([trunk, *vlan_of], [], [])[0]:
            got = receive(s)
            if got and s is not trunk:
                trunk.send(tagged(got[0], vlan_of[s]))
            elif got and got[1] in device_of:
                device_of[got[1]].send(got[0])
            elif got:
                print(f"nobody's: VLAN {got[1]}, {got[0].hex()}", flush=True)


main(*sys.argv[1:])
