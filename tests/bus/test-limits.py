#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one user makes the daemon keep and say has an end, also where the library answers by itself."""
import os
import signal
import statistics
import time
import unittest

import harness
from harness import NAME, NOBODY, ROOT, wait_for
from plain_bus import Connection
from users import OBJECTS, OTHER, UsersTest

PEER = dict(interface="org.freedesktop.DBus.Peer")
PROPERTIES = dict(interface="org.freedesktop.DBus.Properties")
LIBRARY = (
    (("Ping",), PEER), (("GetMachineId",), PEER), (("Introspect",), dict(interface="org.freedesktop.DBus.Introspectable")),
    (("Get", "ss", (f"{NAME}.Manager", "Removals")), PROPERTIES), (("GetAll", "s", (f"{NAME}.Manager",)), PROPERTIES),
    (("GetAll", "s", ("",)), dict(PROPERTIES, path=f"{ROOT}/slot/_32")), (("Set",), PROPERTIES), (("Nothing",), {}),
)
CONNECTIONS, CALLS = 24, 100


@unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
class Limits(UsersTest):
    def trip(self, c):
        begin = time.monotonic()
        self.assertTrue(c.answer(c.send("Get", "ss", (f"{NAME}.Manager", "Version"), **PROPERTIES), 60))
        return time.monotonic() - begin

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def test_library_answers(self):
        """2,400 answers of each kind that nobody reads: another user is told as before, and the daemon keeps none of them."""
        other = self.as_user(OTHER, self.ask_when_told)
        idle = other()
        resident = self.resident()
        for i, (method, more) in enumerate(LIBRARY):
            def deaf(connect, say):
                connections = [connect() for _ in range(CONNECTIONS)]
                for _ in range(CALLS):
                    for c in connections:
                        c.send(*method, **more)
                say("sent")

            heard = self.as_user(NOBODY, deaf)
            self.assertEqual(heard(), "sent")
            self.write(f"play/ask-{i}", "")
            took = other()
            grown = self.resident() - resident
            print(f"{method[0]:14} {statistics.median(took) * 1000:6.2f} ms (idle {statistics.median(idle) * 1000:.2f} ms), {grown:+} KiB")
            self.assertLess(statistics.median(took), max(10 * statistics.median(idle), 0.25), method)
            self.assertLess(grown, 20 * 1024, method)

    def ask_when_told(self, connect, say):
        c = connect()
        say([self.trip(c) for _ in range(50)])
        for i in range(len(LIBRARY)):
            while not os.path.exists(self.path(f"play/ask-{i}")):
                time.sleep(0.01)
            say([self.trip(c) for _ in range(10)])

    def test_library_says_no(self):
        """Whoever has been told a lot is told so, on connections that are new as well; others are not."""
        def greedy(connect, say):
            for calls in (2000, 20):
                connections, errors, begin = [connect() for _ in range(20)], [], time.monotonic()
                for c in connections:
                    serials = [c.send("Introspect", interface="org.freedesktop.DBus.Introspectable") for _ in range(calls // 20)]
                    errors += [c.answer(serial, 60).error for serial in serials]
                say((errors.count(None), errors.count(f"{NAME}.Error.Busy"), len(errors), time.monotonic() - begin))

        heard = self.as_user(NOBODY, greedy)
        for _ in range(2):
            told, refused, of, took = heard()
            self.assertEqual(told + refused, of)
            # 256 at once and 32 a second, and two of a connection that is not known yet.
            self.assertLessEqual(told, 256 + 32 * took + 2 * 20)

        def other(connect, say):
            c = connect()
            say(c.answer(c.send("Introspect", interface="org.freedesktop.DBus.Introspectable")).error)

        self.assertIsNone(self.as_user(OTHER, other)())
        root = self.connect()
        for _ in range(1000):
            self.assertIsNone(root.answer(root.send("Introspect", interface="org.freedesktop.DBus.Introspectable")).error)

    def test_descriptors_beside_calls(self):
        """Calls that wait for an answer keep none of those that came with them, and one that is an argument is refused."""
        self.write("play/slow-looks", "")
        self.write("play/log-looks", "")
        before = self.descriptors()
        null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, null)

        def send(connect, say):
            c = connect()
            for _ in range(16):
                c.send_with([null] * 16, "GetTopology")
            fresh = connect()
            for _ in range(4):
                fresh.send_with([null] * 16, "Verify", "s", ("2",))
            say("sent")
            say([c.next(60).kind for _ in range(16)] + [fresh.next(60).kind for _ in range(4)])

        heard = self.as_user(NOBODY, send)
        self.assertEqual(heard(), "sent")
        wait_for(lambda: any(line.startswith("topology ") for line in self.worker_log()), "the look")
        root = self.connect()
        root.answer(root.send("Cancel", "s", ("9",)))  # after them
        wait_for(lambda: self.descriptors() < before + 16, "the descriptors to be closed")
        os.unlink(self.path("play/slow-looks"))
        self.assertEqual(len(heard()), 20)
        wait_for(lambda: self.descriptors() <= before + 2, "all to be closed")

        c = self.connect()
        answer = c.answer(c.send_with([null], "PlanRemoval", "sa{sv}h", ("2", {}, 0)))
        self.assertEqual(answer.kind, 3)
        wait_for(lambda: self.descriptors() <= before + 2, "that one to be closed")


class StuckBus(UsersTest):
    slots = [{**harness.slot(str(i), 0), "address": f"{i:04x}:00:01", "port": f"{i:04x}:00:02.0", "service": f"{i:04x}:00:02.0:pcie004"} for i in range(1, 513)]

    def test_bytes(self):
        """A bus that takes nothing is left when that comes to megabytes, of messages that are not many."""
        root = self.connect()
        root.answer(root.send("Cancel", "s", ("9",)))
        self.assertIn(f"{ROOT}/slot/", root.answer(root.send("GetManagedObjects", **OBJECTS)).body)
        idle = self.resident()
        self.daemon.send_signal(signal.SIGSTOP)
        for _ in range(1000):
            root.send("GetManagedObjects", **OBJECTS)
        root.answer(root.send("GetId", interface="org.freedesktop.DBus", path="/org/freedesktop/DBus", destination="org.freedesktop.DBus"))
        self.bus_daemon.send_signal(signal.SIGSTOP)  # it has written as much to the daemon's socket as goes in there
        self.daemon.send_signal(signal.SIGCONT)
        private = Connection(self.path("run/daemon/private"), alone=True)
        self.addCleanup(private.close)
        wait_for(lambda: "accepts no more messages" in self.log(), "the bus to be left", 8)  # without bytes it is ten seconds
        self.assertTrue(private.answer(private.send("Ping", **PEER), 60))
        self.assertLess(self.resident() - idle, 20 * 1024)
        self.bus_daemon.send_signal(signal.SIGCONT)
        wait_for(lambda: "The bus is back" in self.log(), "the bus to be joined again")


if __name__ == "__main__":
    harness.main()
