#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The socket that everybody may connect to: a user is served in his turn whatever others send, and nothing of what they send is kept."""
import array
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time
import unittest

import harness
from harness import NOBODY, ROOT
from plain_bus import Connection, call
from users import EVERY_METHOD, OBJECTS, OTHER, THIRD, UsersTest, being, keep_flooding

PEERS_OF_ONE = 16
PING = dict(interface="org.freedesktop.DBus.Peer")


def greeting(uid, rest="NEGOTIATE_UNIX_FD\r\nBEGIN\r\n"):
    return b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n" + rest.encode()


class SocketTest(UsersTest):
    mine = []  # connections of the process, which stay until it ends

    def here(self):
        """A connection, unless the daemon has no place for it."""
        try:
            self.mine.append(Connection(self.path("run/daemon/public"), alone=True))
            self.addCleanup(self.mine[-1].socket.close)
            return self.mine[-1]
        except ConnectionError:
            return None

    def flood_of(self, uids):
        """How many answers those users get, of 3,200 calls on a connection each, until another one has his twenty: all had called before the daemon looked."""
        connections = []
        for uid in (*uids, OTHER):
            with being(uid):  # the places of the round before are free in a moment
                connections.append(harness.wait_for(self.here, "a place"))
        *flood, other = connections
        self.daemon.send_signal(signal.SIGSTOP)
        for c in flood:
            c.socket.sendall(b"".join(call(i + 1, "Ping", **PING) for i in range(200)))
        for _ in range(20):
            other.send("Ping", **PING)
        self.daemon.send_signal(signal.SIGCONT)
        for _ in range(20):
            self.assertEqual(other.next(60).kind, 2)
        self.daemon.send_signal(signal.SIGSTOP)
        answered = {c: 0 for c in flood}
        for c in flood:
            while c.next(0):
                answered[c] += 1
        self.daemon.send_signal(signal.SIGCONT)
        for c in flood:  # what is closed with calls in it has its place until they are answered
            for _ in range(200 - answered[c]):
                c.next(60)
        for c in connections:
            c.close()
        return sum(answered.values())

    def least_of(self, uids):
        """A turn of each connection would be 320 answers. Some come in until the daemon is stopped again, on a busy machine many."""
        answered = []
        while len(answered) < 20 and (not answered or min(answered) >= 160):
            answered.append(self.flood_of(uids))
        self.assertLess(min(answered), 160, answered)
        return min(answered)


@unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
class Public(SocketTest):
    def raw(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(self.path("run/daemon/public"))
        return s

    def command_as(self, uid, *argv):
        """With no bus in reach."""
        return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", os.environ["SAFE_REMOVE"], *argv],
                              env={**self.env, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}, capture_output=True, text=True, timeout=harness.PATIENCE * 3)

    def test_same_objects(self):
        """Without the bus: an ordinary user is told what the bus would tell him, by the kernel's word of who he is."""
        removal = self.remove("2")

        def work(connect, say):
            c = self.here()
            say(f"{ROOT}/slot/_32" in c.answer(c.send("GetManagedObjects", **OBJECTS)).body)
            say(json.loads(c.answer(c.send("GetReport", path=removal, interface=f"{harness.NAME}.Removal")).text))
            say([c.answer(c.send(*method)).error for method in (("Cancel", "s", ("2",)), ("Remove", "sa{sv}", ("3", {})), ("Subscribe",))])
            say(c.answer(c.send("GetTopology")).kind)
            say(bool(c.answer(c.send("OpenTopology")) and c.descriptors))

        heard = self.as_user(NOBODY, work)
        self.assertTrue(heard())
        self.assertTrue(heard()["withheld"])
        self.assertEqual(heard(), ["org.saferemove1.Error.NotAuthorized"] * 3)
        self.assertEqual(heard(), 2)
        self.assertTrue(heard())
        listed = self.command_as(NOBODY, "list", "--json")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertEqual(self.command_as(NOBODY, "cancel", "2").returncode, 77)

    def test_hears(self):
        """Events come without what is not everybody's."""
        def work(connect, say):
            c = self.here()
            say("listening")
            events = []
            while not events or events[-1]["type"] != "end":
                message = c.next(60)
                if message.member == "Event":
                    events.append(json.loads(message.text))
            say(events)

        heard = self.as_user(NOBODY, work)
        self.assertEqual(heard(), "listening")
        self.write("play/script", "step hold\nstuck\n")
        self.assertEqual(self.wait_end(self.remove("2")), "stuck")
        self.assertFalse({"lost", "disturbed", "text", "remedy", "plan"} & {key for event in heard() for key in event})

    def test_root_has_his_own(self):
        with self.raw() as s:
            self.assertEqual(s.recv(1), b"")

    def test_whose_place(self):
        """A user has so many places, and who has most of all gives way."""
        def many(connect, say):
            connections = [c for c in (self.here() for _ in range(PEERS_OF_ONE + 5)) if c]
            say(len(connections))

        heard = [self.as_user(uid, many) for uid in (NOBODY, OTHER, THIRD, 3)]
        self.assertEqual([h() for h in heard], [PEERS_OF_ONE] * 4)

        def one(connect, say):
            c = self.here()
            say(c and c.answer(c.send("Ping", **PING)).kind)

        self.assertEqual(self.as_user(4, one)(), 2)

    def test_what_is_sent(self):
        """Greetings that hang or lie, halves of messages, long ones, ones with descriptors, rubbish: over, or of no consequence."""
        idle, descriptors = self.resident(), len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

        def sends(*parts, fds=()):
            s = self.raw()
            try:
                for part in parts[:-1]:
                    s.sendall(part)
                    s.recv(256)
                if fds:
                    s.sendmsg([parts[-1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
                else:
                    s.sendall(parts[-1])
            except OSError:
                pass
            return s

        def is_over(s):
            s.settimeout(harness.PATIENCE)
            try:
                while s.recv(65536):
                    pass
            except ConnectionError:
                pass
            except TimeoutError:
                return False
            return True

        def work(connect, say):
            uid, ping = NOBODY, call(1, "Ping", **PING)
            huge = struct.pack("<cBBBIII", b"l", 1, 0, 1, 100 << 20, 1, 100) + b"x" * 100000
            say([is_over(sends(*parts, **more)) for parts, more in (
                ((b"GET / HTTP/1.0\r\n",), {}), ((greeting(OTHER),), {}), ((b"\0" + b"x" * 1000,), {}), ((b"\0AUTH EXTERNAL 00\0\r\n",), {}),
                ((greeting(uid), huge), {}), ((greeting(uid) + huge,), {}), ((greeting(uid), b"\xff" * 16), {}),
                ((greeting(uid), ping), dict(fds=[0] * 200)))])
            still = [sends(*parts) for parts in ((b"\0",), (b"\0AUTH",), (greeting(uid, ""),), (greeting(uid), ping[:20])) for _ in range(3)]
            c = self.here()
            say(c.answer(c.send("Ping", **PING)).kind)
            c.socket.close()
            # What comes in pieces is served all the same, and so is what comes together.
            s = sends(b"\0")
            for byte in greeting(uid)[1:]:
                s.sendall(bytes((byte,)))
            said = s.recv(256)
            while said.count(b"\r\n") < 2:
                said += s.recv(256)
            for i in range(0, len(ping), 7):
                s.sendall(ping[i:i + 7])
            say(s.recv(16)[1])
            s = sends(greeting(uid) + ping)
            said = s.recv(4096)
            while len(said) < 100:
                said += s.recv(4096)
            say(said.count(b"\r\n"))
            say(len(still))

        heard = self.as_user(NOBODY, work)
        self.assertEqual(heard(), [True] * 8)
        self.assertEqual([heard(), heard(), heard(), heard()], [2, 2, 2, 12])
        self.assertLess(len(os.listdir(f"/proc/{self.daemon.pid}/fd")), descriptors + 5 * PEERS_OF_ONE)
        self.assertLess(self.resident() - idle, 8 * 1024)

    def test_nobody_reads_here(self):
        """Calls of the library's own methods by the ten thousand, and no answer read: kept in sockets, up to an end."""
        idle = self.resident()

        def deaf(connect, say):
            connections = [self.here() for _ in range(PEERS_OF_ONE)]
            calls = [call(7, "Introspect", interface="org.freedesktop.DBus.Introspectable"), call(8, "Ping", **PING),
                     call(9, "GetAll", "s", ("",), interface="org.freedesktop.DBus.Properties"), call(10, "GetManagedObjects", **OBJECTS),
                     call(11, "GetTopology")]
            for c in connections:
                c.socket.settimeout(0.2)
                try:
                    while True:
                        c.socket.sendall(b"".join(calls) * 20)
                except TimeoutError:
                    pass
            say("full")

        self.assertEqual(self.as_user(NOBODY, deaf)(), "full")
        self.assertEqual(self.wait_end(self.removed_and_cancelled()), "restored")
        self.assertLess(self.resident() - idle, 20 * 1024)

    def removed_and_cancelled(self):
        removal = self.remove("2")
        self.manager("Cancel", "'2'")
        return removal

    def round_trip(self, c):
        begin = time.monotonic()
        self.assertEqual(c.answer(c.send("Get", "ss", (f"{harness.NAME}.Manager", "Version"), interface="org.freedesktop.DBus.Properties"), 60).kind, 2)
        return time.monotonic() - begin

    def cancel_by_root(self):
        begin = time.monotonic()
        c = Connection(self.path("run/daemon/private"), alone=True)
        self.assertEqual(c.answer(c.send("Cancel", "s", ("9",)), 60).error, f"{harness.NAME}.Error.NotRunning")
        took = time.monotonic() - begin
        c.close()
        return took

    def test_turns(self):
        """However many connections somebody has: between two messages of another user one of his is served."""
        self.assertGreaterEqual(self.least_of([NOBODY] * PEERS_OF_ONE), 15)

    def first_trip(self, *method):
        """Of a connection that is new, as a command's is."""
        begin = time.monotonic()
        c = self.here()
        self.assertTrue(c.answer(c.send(*method, **(OBJECTS if method[0] == "GetManagedObjects" else {})), 60), method)
        took = time.monotonic() - begin
        c.close()
        return took

    def test_flood(self):
        """The bus and this socket flooded by one user: another one waits no longer than for some messages, of which the flood has thousands; what a worker
        makes for him is made as soon as he asks."""
        self.write(f"play/slow-looks-of-{NOBODY}", "")
        methods = (*EVERY_METHOD, ("GetManagedObjects",))

        def other(connect, say):
            c = self.here()
            say([self.round_trip(c) for _ in range(100)])
            say([statistics.median(self.first_trip(*method) for _ in range(3)) for method in methods])
            while not os.path.exists(self.path("play/flooded")):
                time.sleep(0.01)
            say([self.round_trip(c) for _ in range(20)])
            say([statistics.median(self.first_trip(*method) for _ in range(3)) for method in methods])

        heard = self.as_user(OTHER, other)
        idle, idle_of = statistics.median(heard()), heard()
        private = [self.cancel_by_root() for _ in range(10)]
        resident = self.resident()

        def flood_bus(connect, say):
            connections = [connect() for _ in range(300)]
            say("connected")
            for i in range(30):
                for k, c in enumerate(connections):
                    c.send(*EVERY_METHOD[(i + k) % len(EVERY_METHOD)])
                if i == 0:
                    say("begun")

        def flood_socket(connect, say):
            connections = [self.here() for _ in range(PEERS_OF_ONE)]
            say("begun")
            keep_flooding(connections, EVERY_METHOD)

        floods = [self.as_user(NOBODY, flood, nice=19) for flood in (flood_bus, flood_socket)]
        self.assertEqual([floods[0](), floods[0](), floods[1]()], ["connected", "begun", "begun"])
        self.write("play/flooded", "")
        flooded = heard()
        # What the flood takes of the processor is no matter of turns. (The bus alone takes seconds; tests/bench/bus prints it.)
        self.assertLess(statistics.median(flooded), max(30 * idle, 0.25), (idle, flooded))
        for method, quiet, loud in zip(methods, idle_of, heard()):
            self.assertLess(loud, max(10 * quiet, 1), (method, quiet))
        self.assertLess(statistics.median(self.cancel_by_root() for _ in range(10)), max(10 * statistics.median(private), 0.25))
        os.unlink(self.path(f"play/slow-looks-of-{NOBODY}"))
        self.assertLess(self.resident() - resident, 20 * 1024)
        print(f"idle {idle * 1000:.2f} ms, flooded {statistics.median(flooded) * 1000:.2f} ms, at worst {max(flooded) * 1000:.2f} ms")


@unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
class Ranges(SocketTest):
    """Whoever has a range of user numbers is one user with all of them."""
    numbers = range(100001, 100001 + PEERS_OF_ONE)

    def setUp(self):
        with tempfile.NamedTemporaryFile("w", delete=False) as f:
            f.write("somebody:100000:65536\n")
        self.addCleanup(os.unlink, f.name)
        os.chmod(f.name, 0o644)
        os.environ["SAFE_REMOVE_SUBUID"] = f.name
        self.addCleanup(os.environ.pop, "SAFE_REMOVE_SUBUID")
        super().setUp()
        harness.wait_for(lambda: "read from subuid(5): 1." in self.log(), "the ranges\n" + self.log())

    def test_turns(self):
        self.least_of(self.numbers)

    def test_places(self):
        """All of them together have the connections of one user."""
        def connected(uid):
            with being(uid):
                return self.here()

        self.assertTrue(all(connected(uid) for uid in self.numbers))
        self.assertIsNone(connected(self.numbers[-1] + 1))
        self.assertTrue(connected(OTHER))

    def test_questions(self):
        """And one question under way, and the calls that may wait."""
        self.write("play/log-looks", "")
        self.write("play/slow-looks", "")

        def ask(uid):
            with being(uid):
                c = self.here()
            for _ in range(4):
                c.send("GetTopology")
            return c

        def looks():
            return [json.loads(line.removeprefix("topology "))["by"]["uid"] for line in self.worker_log() if line.startswith("topology ")]

        asked = [ask(uid) for uid in self.numbers[:5]]
        harness.wait_for(lambda: len(looks()) == 1, "a look of the range's")
        # Sixteen wait; whose the others are is a matter of who was read first.
        refused, left = [], {c: 4 for c in asked}

        def all_refused():
            for c in asked:
                while message := c.next(0):
                    refused.append(message.error)
                    left[c] -= 1
            return len(refused) == 4

        harness.wait_for(all_refused, "four of them to be refused")
        self.assertEqual(refused, [f"{harness.NAME}.Error.Busy"] * 4)
        other = ask(OTHER)
        harness.wait_for(lambda: len(looks()) == 2, "the other user's")
        self.assertEqual(looks()[1:], [OTHER])
        os.unlink(self.path("play/slow-looks"))
        left[other] = 4
        self.assertEqual([c.next(60).kind for c in left for _ in range(left[c])], [2] * 20)


if __name__ == "__main__":
    harness.main()
