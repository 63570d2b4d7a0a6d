# SPDX-License-Identifier: LGPL-2.1-or-later
"""An authority that says what a test wants it to say."""
import struct
import threading

from plain_bus import Connection, aligned, string

BUS = dict(interface="org.freedesktop.DBus", path="/org/freedesktop/DBus", destination="org.freedesktop.DBus")
YES, NO, CHALLENGE = (1, 0), (0, 0), (0, 1)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        self.at += -self.at % 4
        self.at += 4
        return struct.unpack_from("<I", self.data, self.at - 4)[0]

    def text(self):
        n = self.number()
        self.at += n + 1
        return self.data[self.at - n - 1:self.at - 1].decode()

    def texts(self, variants):
        """a{ss}, or a{sv} of texts."""
        n, found = self.number(), {}
        self.at += -self.at % 8
        end = self.at + n
        while self.at < end:
            self.at += -self.at % 8
            key = self.text()
            self.at += 3 if variants else 0
            found[key] = self.text()
        return found


class Question:
    def __init__(self, message):
        r = Reader(message.raw)
        self.serial, self.sender = message.serial, message.sender
        self.kind, self.subject = r.text(), r.texts(True)
        self.action, self.details, self.flags, self.name = r.text(), r.texts(False), r.number(), r.text()


class Polkit:
    """`says(question)` is a word for it (YES, NO, CHALLENGE), bytes for a body of texts that it is not, an error's name, or None for no answer."""

    def __init__(self, address, says):
        self.says, self.asked, self.called_off, self.serial = says, [], [], 0
        self.connection = Connection(address)
        self.connection.answer(self.connection.send("RequestName", "su", ("org.freedesktop.PolicyKit1", 4), **BUS))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                message = self.connection.next(0.1)
            except OSError:
                return
            if self.connection.closed:
                return
            if message and message.member == "CheckAuthorization":
                question = Question(message)
                self.asked.append(question)
                self.answer(question, self.says(question))
            elif message and message.member == "CancelCheckAuthorization":
                self.called_off.append(Reader(message.raw).text())

    def answer(self, question, word):
        if word is None:
            return
        kind, signature, body = 2, "(bba{ss})", b""
        if isinstance(word, str):
            kind, signature, error = 3, "s", word
            body = string("so it is")
        elif isinstance(word, bytes):
            signature, body = "s", string(word.decode())
        else:
            body = struct.pack("<IIII", *word, 0, 0)
        fields = bytes((5, 1)) + b"u\0" + struct.pack("<I", question.serial)
        for code, letter, text in ((6, "s", question.sender), (4, "s", error if kind == 3 else ""), (8, "g", signature)):
            if text:
                value = bytes((len(text),)) + text.encode() + b"\0" if letter == "g" else string(text)
                fields = aligned(fields, 8) + bytes((code, 1)) + letter.encode() + b"\0" + value
        self.serial += 1
        header = struct.pack("<cBBBIII", b"l", kind, 1, 1, len(body), 1000 + self.serial, len(fields)) + fields
        self.connection.socket.sendall(aligned(header, 8) + body)

    def end(self):
        self.connection.socket.shutdown(2)
        self.thread.join()
        self.connection.close()
