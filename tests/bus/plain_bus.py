# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus without a library: connections by the thousand, calls that nobody waits for, replies that nobody reads."""
import os
import select
import socket
import struct

NAME, ROOT = "org.saferemove1", "/org/saferemove1"


def aligned(data, n):
    return data + b"\0" * (-len(data) % n)


def string(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def body_of(signature, arguments):
    """Of the signatures that our methods have: s, u, o, as, a{sv} (always empty); and h."""
    body = b""
    for kind, value in zip(signature.replace("a{sv}", "d").replace("as", "l"), arguments):
        body = aligned(body, 4)
        if kind == "d":
            body = aligned(body + struct.pack("<I", 0), 8)
        elif kind == "l":
            items = b""
            for item in value:
                items = aligned(items, 4) + string(item)
            body += struct.pack("<I", len(items)) + items
        elif kind in "uh":
            body += struct.pack("<I", value)
        else:
            body += string(value)
    return body


def call(serial, member, signature="", arguments=(), interface=NAME + ".Manager", path=ROOT, destination=NAME, descriptors=0, flags=0):
    """The bytes of a method call, which so many descriptors come with."""
    body = body_of(signature, arguments)
    fields = b""
    for code, kind, value in ((1, "o", path), (6, "s", destination), (2, "s", interface), (3, "s", member), (8, "g", signature)):
        if value:
            text = bytes((len(value),)) + value.encode() + b"\0" if kind == "g" else string(value)
            fields = aligned(fields, 8) + bytes((code, 1)) + kind.encode() + b"\0" + text
    if descriptors:
        fields = aligned(fields, 8) + bytes((9, 1)) + b"u\0" + struct.pack("<I", descriptors)
    header = struct.pack("<cBBBIII", b"l", 1, flags, 1, len(body), serial, len(fields)) + fields
    return aligned(header, 8) + body


class Message:
    def __init__(self, kind, reply_to, fields, body, serial):
        self.raw, self.serial = body, serial
        self.kind, self.reply_to, self.body = kind, reply_to, body.decode(errors="replace")
        self.member, self.error, self.destination, self.sender = (fields.get(code) for code in (3, 4, 6, 7))
        self.text = body[4:4 + struct.unpack("<I", body[:4])[0]].decode(errors="replace") if len(body) > 5 else ""


def parse(data):
    """The first message of `data` and its length; None where it is not all there."""
    if len(data) < 16:
        return None
    _, kind, _, _, n_body, serial, n_fields = struct.unpack("<cBBBIII", data[:16])
    begin = 16 + n_fields + -n_fields % 8
    if len(data) < begin + n_body:
        return None
    at, reply_to, fields = 16, 0, {}
    while at < 16 + n_fields:
        at += -at % 8
        code, signature = data[at], chr(data[at + 2])
        at += 4
        if signature == "g":
            at += data[at] + 2
            continue
        at += -at % 4
        value = struct.unpack_from("<I", data, at)[0]
        at += 4
        if signature in "so":
            fields[code] = data[at:at + value].decode()
            at += value + 1
        elif code == 5:
            reply_to = value
    return Message(kind, reply_to, fields, data[begin:begin + n_body], serial), begin + n_body


class Connection:
    """To a bus, or (`alone`) to whoever listens there himself: then nobody has a name."""

    def __init__(self, address, alone=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(address)
        self.serial, self.received, self.descriptors, self.closed = 0, b"", [], False
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
        while self.received.count(b"\r\n") < 2:
            data = self.socket.recv(256)
            if not data:
                self.socket.close()
                raise ConnectionResetError("closed before anything was said")
            self.received += data
        self.received = self.received.split(b"\r\n", 2)[2]  # signals may follow at once
        if alone:
            return
        self.answer(self.send("Hello", interface="org.freedesktop.DBus", path="/org/freedesktop/DBus", destination="org.freedesktop.DBus"))

    def send(self, member, signature="", arguments=(), **more):
        """Sends a call and does not wait; its number."""
        self.serial += 1
        self.socket.sendall(call(self.serial, member, signature, arguments, **more))
        return self.serial

    def send_with(self, descriptors, member, signature="", arguments=(), **more):
        """The same with descriptors beside it."""
        self.serial += 1
        data = call(self.serial, member, signature, arguments, descriptors=len(descriptors), **more)
        socket.send_fds(self.socket, [data], descriptors)
        return self.serial

    def subscribe(self):
        self.answer(self.send("AddMatch", "s", ("type='signal',sender='org.saferemove1'",), interface="org.freedesktop.DBus",
                              path="/org/freedesktop/DBus", destination="org.freedesktop.DBus"))

    def next(self, timeout=20):
        """The next message; None where none comes in time."""
        while True:
            parsed = parse(self.received)
            if parsed:
                self.received = self.received[parsed[1]:]
                return parsed[0]
            poll = select.poll()  # of connections by the thousand select() knows no numbers
            poll.register(self.socket, select.POLLIN)
            if not poll.poll(timeout * 1000):
                return None
            data, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 64)
            self.descriptors += descriptors
            if not data:
                self.closed = True
                return None
            self.received += data

    def answer(self, serial, timeout=20):
        """To that call; others that come before it are passed over."""
        while True:
            message = self.next(timeout)
            if not message or message.kind in (2, 3) and message.reply_to == serial:
                return message

    def close(self):
        self.socket.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
