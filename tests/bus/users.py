# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other users on the tests' machine, who ask the daemon themselves."""
import contextlib
import json
import multiprocessing
import os
import socket
import time

import harness
from harness import BusTest
from plain_bus import Connection, call

OTHER, THIRD = 1, 2  # users that every machine has
OBJECTS = dict(interface="org.freedesktop.DBus.ObjectManager")
EVERY_METHOD = (
    ("GetTopology",), ("OpenTopology",), ("PlanRemoval", "sa{sv}", ("2", {})), ("OpenPlanRemoval", "sa{sv}", ("3", {})),
    ("PlanSeveral", "asa{sv}", (("2", "3"), {})), ("PlanRestore", "sa{sv}", ("2", {})), ("Verify", "s", ("2",)), ("GetHistory", "u", (0,)),
    ("OpenHistory", "u", (0,)), ("GetCertificate", "s", ("",)), ("GetTestReport", "s", ("1",)), ("GetIncident", "s", ("",)), ("VerifyCertificates",), ("Remove", "sa{sv}", ("2", {})), ("Cancel", "s", ("2",)),
)


def keep_flooding(connections, calls):
    """Sends the calls again and again, as fast as they are taken, and reads what comes of them."""
    many = b"".join(call(i + 1, *method, **(OBJECTS if method[0] == "GetManagedObjects" else {})) for i, method in enumerate(calls)) * 20
    unsent = {c.socket: many for c in connections}
    while True:
        for s in unsent:
            with contextlib.suppress(BlockingIOError):
                unsent[s] = unsent[s][s.send(unsent[s], socket.MSG_DONTWAIT):] or many
            with contextlib.suppress(BlockingIOError):
                s.recv(1 << 20, socket.MSG_DONTWAIT)


@contextlib.contextmanager
def being(uid):
    """What is connected to within is connected to by that user."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


class UsersTest(BusTest):
    script = "step hold\nwait go\nstep power-off\n"

    def setUp(self):
        # Freed memory that the sanitizer keeps is none that the daemon has.
        os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=2"
        self.as_users = []
        super().setUp()

    def bus(self):
        return self.path("bus")

    def connect(self):
        connection = Connection(self.bus())
        self.addCleanup(connection.close)
        return connection

    def as_user(self, uid, work, nice=0):
        """Runs work(connect, say) as another user; what it says comes out of the returned queue's get()."""
        said = multiprocessing.Queue()
        connections = []

        def connect():
            connections.append(Connection(self.bus()))
            return connections[-1]

        def child():
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            harness.die_with_parent()
            os.nice(nice)
            work(connect, said.put)
            time.sleep(harness.PATIENCE * 5)  # the connections stay until the test has seen enough

        process = multiprocessing.Process(target=child, daemon=True)
        process.start()
        self.as_users.append(process)
        self.addCleanup(process.join)
        self.addCleanup(process.kill)
        return lambda timeout=harness.PATIENCE * 4: said.get(timeout=timeout)

    def until_refused(self, uid, *call, **more):
        """That user calls until he is told that he has received too many answers: of a call that starts a worker he has eight at once, and one in a second
        after that. Three at a time. Returns the error of each answer; None: he was served."""
        def work(connect, say):
            connections, begun, answers = [connect() for _ in range(3)], time.monotonic(), []

            def is_over():  # refused, or served far too often
                served = [error for error, _ in answers].count(None)
                return any("too many answers" in (text or "") for _, text in answers) or served > 20 + time.monotonic() - begun
            while not is_over():
                serials = [c.send(*call, **more) for c in connections]
                for c, serial in zip(connections, serials):
                    m = c.answer(serial, 60)
                    answers.append((m.error, m.text))
            say((answers, time.monotonic() - begun))
        answers, took = self.as_user(uid, work)()
        self.assertTrue([text for error, text in answers if error and "too many answers" in text], answers)
        errors = [error for error, _ in answers]
        self.assertLessEqual(errors.count(None), 8 + 1 + took)  # the last one may take more than there is
        return errors

    def resident(self):
        """KiB of the daemon."""
        with open(f"/proc/{self.daemon.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def write_history(self, n):
        """As many removals on record, each with a long message."""
        for number in range(1, n + 1):
            folder = self.path(f"state/removals/{number}")
            os.makedirs(folder)
            with open(folder + "/journal", "w") as f:
                for record in ({"ev": "start", "slot": "2", "target": "2", "trigger": "command", "by": {"uid": 0}, "options": {}, "card": None, "boot": "b"},
                               *({"ev": "done", "n": i} for i in range(20)),
                               {"ev": "end", "outcome": "safe", "code": "done", "message": "m" * 500, "remedy": [], "lost": []}):
                    f.write(json.dumps({**record, "usec": number}) + "\n")
