# SPDX-License-Identifier: LGPL-2.1-or-later
"""A login manager that gives inhibitors, knows whether somebody still has them, and prepares for what a test wants."""
import os
import select
import socket
import struct
import threading

from fake_polkit import BUS, Reader
from plain_bus import Connection, aligned, string

NAME, PATH, INTERFACE = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
REPLY, ERROR, SIGNAL = 2, 3, 4


class Logind:
    """`refuses`: the error that Inhibit answers with; `silent`: it answers nothing."""

    def __init__(self, address, refuses=None, silent=False):
        self.refuses, self.silent, self.serial, self.asked = refuses, silent, 0, 0
        self.taken = []  # (what, mode, our end of the pipe)
        self.preparing = {"PreparingForShutdown": False, "PreparingForSleep": False}
        self.connection = Connection(address)
        self.connection.answer(self.connection.send("RequestName", "su", (NAME, 4), **BUS))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.connection.closed:
            try:
                message = self.connection.next(0.1)
            except OSError:
                return
            if not message or self.silent:
                continue
            if message.member == "Inhibit":
                self.inhibit(message)
            elif message.member == "Get":
                self.asked += 1
                reader = Reader(message.raw)
                reader.text()
                self.send(REPLY, message, "v", b"\1b\0\0" + struct.pack("<I", self.preparing[reader.text()]))

    def inhibit(self, message):
        reader = Reader(message.raw)
        what, _, _, mode = (reader.text() for _ in range(4))
        if self.refuses:
            self.send(ERROR, message, "s", string("so it is"), error=self.refuses)
            return
        ours, theirs = os.pipe()
        self.taken.append((what, mode, ours))
        self.send(REPLY, message, "h", struct.pack("<I", 0), descriptors=[theirs])
        os.close(theirs)

    def send(self, kind, to, signature, body, error=None, member=None, descriptors=()):
        fields = b""
        parts = ((1, "o", PATH if member else None), (2, "s", INTERFACE if member else None), (3, "s", member), (4, "s", error),
                 (6, "s", to.sender if to else None), (8, "g", signature))
        if to:
            fields = bytes((5, 1)) + b"u\0" + struct.pack("<I", to.serial)
        for code, letter, text in parts:
            if text:
                value = bytes((len(text),)) + text.encode() + b"\0" if letter == "g" else string(text)
                fields = aligned(fields, 8) + bytes((code, 1)) + letter.encode() + b"\0" + value
        if descriptors:
            fields = aligned(fields, 8) + bytes((9, 1)) + b"u\0" + struct.pack("<I", len(descriptors))
        self.serial += 1
        header = struct.pack("<cBBBIII", b"l", kind, 1, 1, len(body), 1000 + self.serial, len(fields)) + fields
        socket.send_fds(self.connection.socket, [aligned(header, 8) + body], list(descriptors))

    def signal(self, member, on):
        """Whatever is true."""
        self.send(SIGNAL, None, "b", struct.pack("<I", on), member=member)

    def prepare(self, what, on):
        """ "Shutdown" or "Sleep"."""
        self.preparing["PreparingFor" + what] = on
        self.signal("PrepareFor" + what, on)

    def held(self):
        """(what, mode) of those that somebody still has."""
        return [(what, mode) for what, mode, fd in self.taken if not select.select([fd], [], [], 0)[0]]

    def end(self):
        self.connection.socket.shutdown(2)
        self.thread.join()
        self.connection.close()
        for _, _, fd in self.taken:
            os.close(fd)
