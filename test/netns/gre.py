"""A GRE tunnel (RFC 2784) of Linux sockets, for kernels that have no GRE devices.

usage: gre.py LOCAL REMOTE DEVICE ADDRESS/LENGTH MTU
"""
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
HEADER = struct.pack("!HH", 0, 0x0800)


def main(local, remote, device, addr, mtu):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    for command in (f"addr add {addr} dev {device}", f"link set {device} up mtu {mtu}"):
        subprocess.run(["ip", *command.split()], check=True)
    wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_GRE)
    wire.bind((local, 0))
    wire.connect((remote, 0))
    while True:
        ready, _, _ = select.select([tun, wire], [], [])
        if tun in ready:
            try:
                wire.send(HEADER + os.read(tun, 65535))
            except OSError:
                pass  # the peer is not there, or the packet is too large: as a device loses it
        if wire in ready:
            try:
                packet = wire.recv(65535)
            except OSError:
                continue
            at = (packet[0] & 15) * 4
            if packet[at:at + 4] == HEADER:
                os.write(tun, packet[at + 4:])


if __name__ == "__main__":
    main(*sys.argv[1:])
