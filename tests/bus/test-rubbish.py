#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls that are none, to all methods that there are, by every way; and names that no slot should have."""
import contextlib
import json
import os
import random
import re
import struct
import unittest
import xml.etree.ElementTree as tree

import harness
from harness import NAME, NOBODY, ROOT, wait_for
from plain_bus import Connection, aligned, call, string
from users import UsersTest

PEER = dict(interface="org.freedesktop.DBus.Peer")
DEEP = 60  # variants in variants: the bus allows 64


def raw_call(serial, member, interface, path, signature, body):
    """With any signature and any body, which may not fit each other."""
    fields = b""
    for code, kind, value in ((1, "o", path), (6, "s", NAME), (2, "s", interface), (3, "s", member), (8, "g", signature)):
        if value:
            text = bytes((len(value),)) + value.encode() + b"\0" if kind == "g" else string(value)
            fields = aligned(fields, 8) + bytes((code, 1)) + kind.encode() + b"\0" + text
    return aligned(struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), serial, len(fields)) + fields, 8) + body


TOO_SHORT = aligned(string("2"), 4) + struct.pack("<I", 0)  # a dictionary begins at a multiple of 8

BODIES = (
    ("", b""), ("u", struct.pack("<I", 0xffffffff)), ("i", struct.pack("<i", -1)), ("s", string("")), ("s", string("x\n\x1b[31m\x7f")),
    ("s", string("y" * 16000)), ("o", string("/")), ("b", struct.pack("<I", 1)), ("as", struct.pack("<I", 0)), ("t", struct.pack("<Q", 1 << 63)),
    ("d", struct.pack("<d", float("nan"))), ("g", b"\1s\0"), ("(su)", string("a") + b"\0\0" + struct.pack("<I", 1)),
    ("a{sv}", struct.pack("<II", 0, 0)), ("v", b"\1v\0" * DEEP + b"\1u\0" + b"\0" * (-(3 * DEEP + 3) % 4) + struct.pack("<I", 7)),
    ("sa{sv}", TOO_SHORT), ("sa{sv}", TOO_SHORT + b"\0" * 4),
    ("ay", struct.pack("<I", 8000) + b"\xff" * 8000),
)


class Rubbish(UsersTest):
    def methods(self):
        """All that introspection tells of, and where."""
        c = Connection(self.path("run/daemon/private"), alone=True)
        self.addCleanup(c.close)
        found = []
        for path in (ROOT, f"{ROOT}/slot/_32", f"{ROOT}/removal/_31"):
            xml = c.answer(c.send("Introspect", path=path, interface="org.freedesktop.DBus.Introspectable")).text
            for interface in tree.fromstring(re.sub("<!DOCTYPE[^>]*>", "", xml)).iter("interface"):
                found += [(path, interface.get("name"), m.get("name"), "".join(a.get("type") for a in m.iter("arg") if a.get("direction") != "out"))
                          for m in interface.iter("method")]
        self.assertGreater(len(found), 30)
        return found

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def is_alive(self):
        c = Connection(self.path("run/daemon/private"), alone=True)
        self.assertEqual(c.answer(c.send("Ping", **PEER), 60).kind, 2)
        c.close()
        self.assertIsNone(self.daemon.poll())

    def test_wrong_signatures(self):
        """Each is answered, with an error unless its signature is right by chance; who says what the protocol does not know is cut off."""
        self.remove("2")
        self.manager("Cancel", "'2'")
        methods, before = self.methods(), self.descriptors()
        for where in ("bus", "run/daemon/private"):
            c = Connection(self.path(where), where != "bus")
            for path, interface, member, wanted in methods:
                if (interface, member) in ((f"{NAME}.Manager", "Remove"), (f"{NAME}.Manager", "Restore")):
                    continue  # right by chance is a removal
                for signature, body in BODIES:
                    if member.startswith("Keep") and signature == wanted:
                        continue  # right by chance is a document that is kept for half a minute
                    c.serial += 1
                    c.socket.sendall(raw_call(c.serial, member, interface, path, signature, body))
                    answer = c.answer(c.serial, 60)
                    if answer is None:
                        self.assertTrue(c.closed and body == TOO_SHORT, (where, member, signature, c.closed))
                        c.close()
                        self.is_alive()
                        c = Connection(self.path(where), where != "bus")
                    elif signature != wanted and interface.startswith(NAME):
                        self.assertEqual(answer.kind, 3, (where, member, signature))
            c.close()
        self.is_alive()
        wait_for(lambda: self.descriptors() <= before + 2, "the descriptors to be closed")

    def test_broken_messages(self):
        """Bytes of calls that were changed or cut off, over root's socket and, by another user, everybody's."""
        dice = random.Random(5)
        good = [call(i + 1, *method) for i, method in enumerate((("GetTopology",), ("PlanRemoval", "sa{sv}", ("2", {})), ("GetHistory", "u", (1,)),
                                                                  ("PlanSeveral", "asa{sv}", (("2", "3"), {}))))]

        def broken():
            data = bytearray(dice.choice(good))
            for _ in range(dice.choice((0, 1, 1, 2, 8))):
                data[dice.randrange(len(data))] = dice.choice((0, 1, 0x7f, 0x80, 0xff, dice.randrange(256)))
            return bytes(data[:dice.choice((len(data), len(data), dice.randrange(len(data))))])

        def send(where, n):
            for _ in range(n):
                c = Connection(where, alone=True)
                with contextlib.suppress(OSError):
                    for _ in range(3):
                        c.socket.sendall(broken())
                    c.next(0.01)
                c.close()

        before, idle = self.descriptors(), self.resident()
        send(self.path("run/daemon/private"), 300)
        self.is_alive()
        if os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root":
            def work(connect, say):
                send(self.path("run/daemon/public"), 300)
                say("sent")

            self.assertEqual(self.as_user(NOBODY, work)(), "sent")
            self.is_alive()
        wait_for(lambda: self.descriptors() <= before + 2, "the connections to be closed")
        self.assertLess(self.resident() - idle, 20 * 1024)

    def test_descriptors_to_root(self):
        """Those beside messages that want none are closed with them, also where the message is never there as a whole."""
        before = self.descriptors()
        null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, null)
        for _ in range(20):
            c = Connection(self.path("run/daemon/private"), alone=True)
            for method in (("GetTopology",), ("Cancel", "s", ("9",))):
                self.assertTrue(c.answer(c.send_with([null] * 16, *method), 60))
            c.socket.sendall(call(9, "GetTopology", descriptors=16)[:40])
            c.close()
        wait_for(lambda: self.descriptors() <= before + 2, "the descriptors to be closed")

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs another user")
    def test_names_and_rules(self):
        """Thousands of names, rules and connections that say nothing are the bus's matter."""
        def work(connect, say):
            bus = dict(interface="org.freedesktop.DBus", path="/org/freedesktop/DBus", destination="org.freedesktop.DBus")
            connections = [connect() for _ in range(50)]
            for i in range(10000):
                connections[i % 50].send("AddMatch", "s", (f"type='signal',sender='{NAME}',arg0='{i}'",), **bus)
            for c in connections:
                while (message := c.next(60)) and message.reply_to < 201:
                    pass
            say("added")

        idle = self.resident()
        self.assertEqual(self.as_user(NOBODY, work)(), "added")
        self.assertEqual(self.wait_end(self.removed()), "restored")
        self.assertLess(self.resident() - idle, 20 * 1024)

    def removed(self):
        removal = self.remove("2")
        self.manager("Cancel", "'2'")
        return removal

    def test_long_paths(self):
        """Of objects that there are not: the answer is as short as to any other call, whichever way they come."""
        for path in ("/a" * 30000, "/" + "a" * 60000, ROOT + "/a" * 500):
            for member, interface in (("GetSlots", NAME + ".Manager"), ("Introspect", "org.freedesktop.DBus.Introspectable")):
                other = Connection(self.path("bus"))
                self.addCleanup(other.close)
                answer = other.answer(other.send(member, path=path, interface=interface), harness.PATIENCE)
                self.assertEqual(answer.error, "org.freedesktop.DBus.Error.UnknownObject")
                self.assertLess(len(str(answer.body)), 500)

    def test_names(self):
        """What is asked for may be called anything: it is told in events and in the journal as one line of printable words."""
        for name in ("x\n<0>panic", "\x1b[31mred\x1b[0m", "y" * 16000, "\x7f\x01", "\u202e", "%s%n%d"):
            c = self.connect()
            for method in (("Remove", "sa{sv}", (name, {})), ("Cancel", "s", (name,)), ("PlanSeveral", "asa{sv}", ((name, "2"), {})), ("Verify", "s", (name,))):
                answer = c.answer(c.send(*method), 60)
                self.assertEqual(answer.kind, 3, method)
        self.is_alive()
        self.assertEqual([line for line in self.log().split("\n") if line.startswith("<0>") or "\x1b" in line or len(line) > 20000], [])

    def test_names_of_slots(self):
        """A machine may call its slots anything; the others are shown all the same."""
        odd = ["z" * 4000, "a b", "..", "\u00e9\u202e", "1\n2", "\x1b[31m", "2/3", "%s%n"]
        self.write_machine(self.slots + [{**harness.slot(name, 2 + i), "name": name} for i, name in enumerate(odd)])
        harness.send_device_event("change", "/devices/pci0000:0c/0000:0c:01.0", "pci", PCI_SLOT_NAME="0000:0c:01.0")
        c = self.connect()
        c.answer(c.send("GetTopology"), 60)
        wait_for(lambda: len(self.objects("slot")) == 2 + len(odd), "all slots")
        shown = [json.loads(c.answer(c.send("GetTopology"), 60).text)]
        self.assertEqual(len(shown[0]["slots"]), 2 + len(odd))
        self.write("play/script", "step hold\nstep power-off\n")
        for name in odd:
            self.assertEqual(self.wait_end(self.remove(f"port:0000:0c:0{2 + odd.index(name)}.0")), "safe", name)
        self.is_alive()
        self.assertEqual([line for line in self.log().split("\n") if "\x1b" in line], [])


if __name__ == "__main__":
    harness.main()
