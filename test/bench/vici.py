"""A vici client in a few lines: one connection, commands without streams."""
import socket
import struct

CMD_REQUEST, CMD_RESPONSE, CMD_UNKNOWN = 0, 1, 2
SECTION_START, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END = 1, 2, 3, 4, 5, 6


class Vici:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        self.socket.connect(path)

    def close(self):
        self.socket.close()

    def request(self, command, **values):
        """Sends a command with flat values and returns its response as nested dicts."""
        body = bytes([CMD_REQUEST, len(command)]) + command.encode()
        for key, value in values.items():
            data = str(value).encode()
            body += (bytes([KEY_VALUE, len(key)]) + key.encode()
                     + struct.pack("!H", len(data)) + data)
        self.socket.sendall(struct.pack("!I", len(body)) + body)
        answer = self.receive(*struct.unpack("!I", self.receive(4)))
        if answer[0] != CMD_RESPONSE:
            raise ValueError(f"{command}: packet of type {answer[0]}")
        return parse(answer[1:])

    def receive(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError("the daemon has closed its API")
            data += more
        return data


def parse(data):
    root = {}
    stack, at, items = [root], 0, None

    def text(size):
        nonlocal at
        n = int.from_bytes(data[at:at + size], "big")
        at += size + n
        return data[at - n:at].decode(errors="replace")

    while at < len(data):
        kind = data[at]
        at += 1
        if kind == SECTION_START:
            stack.append(stack[-1].setdefault(text(1), {}))
        elif kind == SECTION_END:
            stack.pop()
        elif kind == KEY_VALUE:
            key = text(1)
            stack[-1][key] = text(2)
        elif kind == LIST_START:
            items = stack[-1].setdefault(text(1), [])
        elif kind == LIST_ITEM:
            items.append(text(2))
    return root
