#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who does not want a card to go: taking it, listing it, what the worker is told, its end, and over a restart of the daemon."""
import array
import contextlib
import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness
from harness import BusError, BusTest, DAEMON, descriptors, NAME, PATIENCE, ROOT, UNPRIVILEGED, wait_for

SAFE_REMOVE = os.environ["SAFE_REMOVE"]
HOLDER = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"

# What systemd does with a service's descriptors: they are the first ones, and their names are told to the process itself alone.
HAND_OVER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
kept = [os.dup(fd) for fd in fds]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(kept)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + len(fds), 256)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Store:
    """The unit's store of descriptors, as systemd keeps it."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.kept = []  # (name, descriptor)
        self.reads = threading.Event()  # but where systemd is busy
        self.reads.set()
        self.path = path
        threading.Thread(target=self.listen, daemon=True).start()

    def hear(self):
        """When all that was sent before has been read."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ask:
            self.answered = threading.Event()
            ask.sendto(b"TEST=1", self.path)
            assert self.answered.wait(PATIENCE)
        return list(self.kept)

    def listen(self):
        while True:
            self.reads.wait()
            data, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(16 * 4))
            words = dict(line.split("=", 1) for line in data.decode().splitlines())
            fds = array.array("i")
            for level, kind, value in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(value)
            if "FDSTORE" in words:
                assert words.get("FDPOLL") == "0", words
                self.kept += [(words["FDNAME"], fd) for fd in fds]
            elif "FDSTOREREMOVE" in words:
                for name, fd in [k for k in self.kept if k[0] == words["FDNAME"]]:
                    os.close(fd)
                    self.kept.remove((name, fd))
            elif "TEST" in words:
                self.answered.set()

    def close(self):
        for _, fd in self.kept:
            os.close(fd)


class Inhibited(BusTest):
    def setUp(self):
        self.store = None
        super().setUp()

    def start_daemon(self, records_known=True):
        """With what was kept for it."""
        if not self.store:
            self.store = Store(self.path("notify"))
            self.addCleanup(self.store.close)
            self.env["NOTIFY_SOCKET"] = self.path("notify")
        kept = self.store.hear()
        if not kept:
            super().start_daemon(records_known)
            return
        fds, names = ",".join(str(fd) for _, fd in kept), ":".join(name for name, _ in kept)
        with open(self.path("daemon.log"), "ab") as log:
            self.daemon = self.background(["python3", "-c", HAND_OVER, fds, names, *UNPRIVILEGED, DAEMON], stdout=log, stderr=log,
                                          pass_fds=[fd for _, fd in kept])
        self.addCleanup(self.stop_daemon)
        wait_for(lambda: self.is_up(records_known), "the daemon with what was kept")

    def background(self, argv, **more):
        self.env.pop("NOTIFY_SOCKET", None)
        env = dict(self.env)
        if argv[-1] == DAEMON:
            env["NOTIFY_SOCKET"] = self.path("notify")
        return super().background(argv, **{"env": env, **more})

    def command(self, *argv, **more):
        return subprocess.run([SAFE_REMOVE, *argv], env=self.env, capture_output=True, text=True, timeout=60, **more)

    def hold(self, *options):
        """A process that has an inhibitor until its input ends."""
        process = self.background([SAFE_REMOVE, "inhibit", *options, "--", "python3", "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        self.assertTrue(process.stdout.readline().strip(), process.poll() is not None and process.stderr.read())
        self.addCleanup(self.let_go, process)
        return process

    @staticmethod
    def let_go(process):
        if not process.stdin.closed:
            process.stdin.close()
        process.wait()

    def listed(self):
        return self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", "ListInhibitors")["data"][0]

    def wait_none(self):
        wait_for(lambda: not self.listed(), "the end of all inhibitors")

    def told_worker(self, word):
        """What the last request or go with this word had of inhibitors."""
        line = [entry for entry in self.worker_log() if entry.startswith(word + " ")][-1]
        return json.loads(line.removeprefix(word + " ")).get("inhibitors", [])


class Inhibit(Inhibited):
    def test_taken_and_ended(self):
        self.assertEqual((self.listed(), self.get(ROOT, "Manager", "BlockInhibited"), self.get(ROOT, "Manager", "DelayInhibited")), ([], "", ""))
        monitor = self.monitor()
        holder = self.hold("--what=2 serial:1  port:0000:0c:00.0", "--who=backup", "--why=the nightly one")
        delayer = self.hold("--mode=delay")
        self.assertEqual([entry[:5] for entry in self.listed()],
                         [["slot:2 serial:0x1 port:0000:0c:00.0", "backup", "the nightly one", "block", 0],
                          ["all", self.listed()[1][1], "no reason given", "delay", 0]])
        self.assertTrue(self.listed()[1][1].startswith("python3 -c import os, sys"))
        self.assertEqual([entry[5] for entry in self.listed()], [holder.pid, delayer.pid])
        self.assertAlmostEqual(self.listed()[0][6] / 1e6, time.time(), delta=60)
        self.assertEqual(self.get(ROOT, "Manager", "BlockInhibited"), "slot:2 serial:0x1 port:0000:0c:00.0")
        self.assertEqual(self.get(ROOT, "Manager", "DelayInhibited"), "all")

        self.manager("PlanRemoval", "'2'", "{}")
        plan = self.told_worker("plan")
        self.assertEqual([(i["what"], i["who"], i["mode"]) for i in plan], [(["slot:2", "serial:0x1", "port:0000:0c:00.0"], "backup", "block"),
                                                                            (["all"], plan[1]["who"], "delay")])
        self.wait_end(self.remove("2"))
        self.assertEqual(self.told_worker("inhibited"), plan)

        for process in (holder, delayer):
            self.let_go(process)
            self.assertEqual(process.returncode, 0)
        self.wait_none()
        wait_for(lambda: {"BlockInhibited": "", "DelayInhibited": ""} in monitor.changes("Manager"), "the properties")
        self.manager("PlanRemoval", "'2'", "{}")
        self.assertEqual(self.told_worker("plan"), [])
        wait_for(lambda: not self.store.hear(), "the store to be empty")

    def test_command(self):
        self.assertEqual(self.command("inhibit", "--why=x", "sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(self.command("inhibit", "sh", "-c", "kill -9 $$").returncode, 128 + 9)
        self.assertEqual(self.command("inhibit", "--", "/nowhere/program").returncode, 127)
        # What stands behind the command is the command's.
        done = self.command("--json", "inhibit", "--mode", "delay", "echo", "--json", "--why=other", "-n")
        self.assertEqual((done.returncode, done.stdout), (0, "--json --why=other -n\n"))
        done = self.command("inhibit", "--who=me", "--what=serial:0x5", "--mode=delay", "--why=this \x1b[31m", SAFE_REMOVE, "inhibitors")
        self.assertEqual((done.returncode, done.stdout), (64, ""))
        self.assertIn("'why' has a control character", done.stderr)
        done = self.command("inhibit", "--who=me", "--what=serial:0x5", "--mode=delay", "--why=this", SAFE_REMOVE, "inhibitors", "--json")
        entry = json.loads(done.stdout)["inhibitors"][0]
        self.assertEqual((done.returncode, entry["who"], entry["what"], entry["mode"], entry["why"], entry["uid"]), (0, "me", "serial:0x5", "delay", "this", 0))
        self.wait_none()
        self.assertEqual(self.command("inhibitors").stdout, "no inhibitors\n")
        self.assertEqual(self.command("inhibit").returncode, 64)
        # The command has no copy of the descriptor: it may leave something behind that runs for ever.
        left = self.command("inhibit", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
        self.addCleanup(os.kill, int(left.stdout), signal.SIGKILL)
        self.wait_none()

    def test_rubbish(self):
        for arguments, word in ((("mem1", "w", "y", "block"), "slot:2"), (("node1 2", "w", "y", "block"), "'node1' is nothing"), (("  ", "w", "y", "block"), "not said"),
                                (("", "w", "y", "block"), "'what' is empty"), (("all", "", "y", "block"), "'who' is empty"),
                                (("all", "w" * 65, "y", "block"), "longer than 64"), (("all", "w", "y" * 257, "block"), "longer than 256"),
                                (("2 " * 129, "w", "y", "block"), "longer than 256"), (("all", "a\nb", "y", "block"), "control character"),
                                (("all", "w", "y", "blocked"), "'block' or 'delay'"), (("all", "w", "y", ""), "'block' or 'delay'")):
            with self.assertRaises(BusError) as refused:
                self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", "Inhibit", "ssss", *arguments)
            self.assertIn(word, refused.exception.message)
        self.assertEqual((self.listed(), self.store.hear()), ([], []))
        # The reply came to a client that has gone since.
        for _ in range(20):
            self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", "Inhibit", "ssss", "all", "w", "y", "block")
        self.wait_none()
        wait_for(lambda: not self.store.hear(), "the store to be empty")

    def test_systemd_is_busy(self):
        """It reads nothing for a while: nobody waits for that, and what is not kept is not promised."""
        first = self.hold("--what=2")
        self.store.hear()
        self.store.reads.clear()
        self.store.answered = threading.Event()
        started, refused = time.monotonic(), 0
        for _ in range(30):
            try:
                self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", "Inhibit", "ssss", "3", "w", "y", "block")
            except BusError as error:
                self.assertIn("try again in a moment", error.message)
                refused += 1
        self.assertGreater(refused, 0)
        self.assertLess(time.monotonic() - started, PATIENCE)
        wait_for(lambda: len(self.listed()) == 1, "the others to end")
        self.let_go(first)
        self.wait_none()
        self.store.reads.set()
        wait_for(lambda: not self.store.hear(), "the store to be empty")

    @unittest.skipIf(os.environ.get("SAFE_REMOVE_TEST_INSIDE") != "root", "there is no other user here")
    def test_users(self):
        holder = self.hold("--what=2")
        with self.assertRaises(BusError) as refused:
            self.manager("Inhibit", "'all'", "'w'", "'y'", "'block'", as_uid=harness.NOBODY)
        self.assertEqual(refused.exception.name, "NotAuthorized")
        self.assertIn("org.saferemove1.inhibit", refused.exception.message)
        listed = self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", "ListInhibitors", as_uid=harness.NOBODY)["data"][0]
        self.assertEqual(([entry[:1] + entry[3:6] for entry in listed], self.listed()[0][5]), ([["slot:2", "block", 0, 0]], holder.pid))

    def test_no_such_slot(self):
        """What protects nothing is not given: but for a serial number, whose card may come."""
        for what, there in (("22", "there is no slot '22' in this machine; there are: 2 3"), ("2 slot:9", "no slot '9'"),
                            ("port:0000:0f:00.0", "there is no port '0000:0f:00.0' in this machine; there are: 0000:0c:00.0 0000:0c:01.0")):
            with self.assertRaises(BusError) as refused:
                self.manager("Inhibit", f"'{what}'", "'w'", "'y'", "'delay'")
            self.assertEqual(refused.exception.name, "UnknownName")
            self.assertIn(there, refused.exception.message)
        self.hold("--what=serial:0x77")
        self.assertEqual([entry[0] for entry in self.listed()], ["serial:0x77"])

    def keep(self, number, **more):
        """What systemd has kept of an inhibitor: the other end, whose last copy we have."""
        pipe, other = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        text = os.memfd_create("inhibitor")
        os.write(text, json.dumps({"id": number, "what": ["slot:3"], "who": f"who{number}", "why": "y", "mode": "block", "uid": 1000, "pid": 7,
                                   "since_usec": 1, **more}).encode())
        self.store.kept += [(f"inhibitor-{number}", pipe), (f"inhibitor-{number}", text)]
        self.addCleanup(os.close, other)
        return other

    def test_end_of_a_users_block(self):
        """It lasts as long as a user's may, over restarts too; whoever has it sees its end. Root's and delays last on."""
        self.stop_daemon()
        self.store.hear()
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        short, older = self.keep(1, until_usec=now + 1500000), self.keep(2)
        self.keep(3, mode="delay"), self.keep(4, uid=0), self.keep(5, until_usec=now + 3600 * 10**6)
        self.env["SAFE_REMOVE_INHIBIT_SEC"] = "4"
        self.start_daemon()
        until = {entry[1]: entry[7] for entry in self.listed()}
        self.assertEqual((until["who3"], until["who4"]), ({}, {}))
        self.assertAlmostEqual(until["who5"]["until_usec"]["data"] / 1e6, time.time() + 3600, delta=60)
        for fd, who in ((short, "who1"), (older, "who2")):
            ends = select.poll()
            ends.register(fd, 0)
            self.assertEqual(ends.poll(PATIENCE * 1000), [(fd, select.POLLERR)], who)
        wait_for(lambda: [entry[1] for entry in self.listed()] == ["who3", "who4", "who5"], "the two to end")
        self.assertEqual(len(re.findall("has lasted as long as a user's may", self.log())), 2)
        self.assertEqual(self.command("inhibitors", "--json").returncode, 0)
        self.assertRegex(self.command("inhibitors").stdout, r"block until \d")

    def test_as_many_as_one_may_have(self):
        held = [self.hold("--what=3") for _ in range(64)]
        with self.assertRaises(BusError) as refused:
            self.manager("Inhibit", "'all'", "'w'", "'y'", "'block'")
        self.assertEqual(refused.exception.name, "Busy")
        self.let_go(held[0])
        wait_for(lambda: len(self.listed()) == 63, "one to end")
        self.hold("--what=3")

    def test_copies(self):
        """It lasts as long as any copy of its descriptor, whoever has that; and what somebody writes into it is nothing."""
        holder = self.hold()
        copy = self.copy_of(holder)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(copy, b"x" * 4096)
        child = self.background(["sleep", "1000"], pass_fds=[copy])
        before = self.cpu()
        os.close(copy)
        self.let_go(holder)
        time.sleep(0.3)
        self.assertLess(self.cpu() - before, 0.25)
        self.assertEqual(len(self.listed()), 1)
        self.end_process(child)
        self.wait_none()

    @staticmethod
    def copy_of(holder):
        """pidfd_getfd(2) of what the command has."""
        pipes = [fd for fd, path in descriptors(holder.pid).items() if fd > 2 and path.startswith("pipe:")]
        assert len(pipes) == 1, pipes
        pidfd = os.pidfd_open(holder.pid)
        copy = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, pipes[0], 0)
        os.close(pidfd)
        assert copy >= 0, os.strerror(ctypes.get_errno())
        return copy

    def cpu(self):
        with open(f"/proc/{self.daemon.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_over_restarts(self):
        holder, delayer = self.hold("--what=2", "--who=backup"), self.hold("--mode=delay", "--what=3")
        gone = self.hold("--what=3")
        before = self.listed()
        self.stop_daemon(signal.SIGKILL)
        self.let_go(gone)
        self.start_daemon()
        wait_for(lambda: self.listed() == before[:2], "two of three")
        wait_for(lambda: len(self.store.hear()) == 4, "the third to be off the store")
        self.stop_daemon()
        self.start_daemon()
        self.assertEqual(self.listed(), before[:2])
        self.manager("PlanRemoval", "'2'", "{}")
        self.assertEqual([i["who"] for i in self.told_worker("plan")][:1], ["backup"])
        for process in (holder, delayer):
            self.let_go(process)
        self.wait_none()
        wait_for(lambda: not self.store.hear(), "the store to be empty")

    def test_what_cannot_be_read(self):
        """It may be anybody's veto."""
        for spoil in ("description", "pipe", "rubbish", "name"):
            with self.subTest(spoil=spoil):
                holder = self.hold("--what=3", "--who=backup")
                self.stop_daemon()
                self.store.hear()
                (name, pipe), (_, text) = self.store.kept
                if spoil == "rubbish":
                    os.dup2(os.open(os.devnull, os.O_RDONLY), text)
                elif spoil == "name":
                    self.store.kept = [("something", pipe), ("something", text)]
                else:
                    self.store.kept.remove((name, text if spoil == "description" else pipe))
                self.start_daemon()
                self.assertEqual([entry[:2] + entry[3:5] for entry in self.listed()], [["all", "(not known)", "block", 0xffffffff]])
                self.assertIn("is taken for one against every removal", self.log())
                self.manager("PlanRemoval", "'2'", "{}")
                self.assertEqual([(i["what"], i["lost"]) for i in self.told_worker("plan")], [(["all"], True)])
                self.assertEqual(self.command("inhibitors").returncode, 0)
                # A press has its answer; the worker refuses, the daemon does not hang.
                self.write("play/script", "end-as refused\n")
                self.assertEqual(self.wait_end(self.remove("2")), "refused")
                self.let_go(holder)
                if spoil in ("description", "rubbish"):
                    self.wait_none()
                self.stop_daemon()
                self.store.kept = []
                self.start_daemon()
                self.wait_none()

    def test_one_that_has_begun(self):
        self.write("play/script", "step hold\nwait go\n")
        self.write_machine([harness.slot("2", 0), harness.slot("3", 1)])
        removal = self.remove("2")
        for what in ("all", "2", "serial:0x1", "port:0000:0c:00.0"):
            with self.assertRaises(BusError) as refused:
                self.manager("Inhibit", f"'{what}'", "'w'", "'y'", "'block'")
            self.assertEqual(refused.exception.name, "Busy", what)
            self.assertIn("safe-remove cancel 1", refused.exception.message)
        wait_for(lambda: self.get(removal, "Removal", "Digest"), "the plan, by which slot 3 is another one")
        self.hold("--what=3")
        self.hold("--what=2", "--mode=delay")
        self.write("play/go", "")
        self.wait_end(removal)
        self.hold("--what=2")

    def test_one_that_is_not_planned(self):
        """It may take anything along yet: nobody is told that it is blocked by what it was not told of."""
        self.write("play/script", "step hold\nwait go\n")
        self.write("play/slow-plan", "")
        self.write_machine([harness.slot("2", 0), harness.slot("3", 1)])
        removal = self.remove("2")
        with self.assertRaises(BusError) as refused:
            self.manager("Inhibit", "'3'", "'w'", "'y'", "'block'")
        self.assertEqual(refused.exception.name, "Busy")
        self.assertIn("not known yet", refused.exception.message)
        self.hold("--what=3", "--mode=delay")
        os.unlink(self.path("play/slow-plan"))
        wait_for(lambda: self.get(removal, "Removal", "Digest"), "the plan")
        self.hold("--what=3")
        self.write("play/go", "")
        self.wait_end(removal)

    def test_one_that_is_only_held(self):
        """A press whose plan is the hold alone, as one has that is resumed: the same."""
        self.write("play/hold-only", "")
        self.write("play/script", "step hold\nwait go\n")
        self.write_machine([harness.slot("2", 0), harness.slot("3", 1)])
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Digest"), "the plan")
        with self.assertRaises(BusError) as refused:
            self.manager("Inhibit", "'3'", "'w'", "'y'", "'block'")
        self.assertIn("not known yet", refused.exception.message)
        self.write("play/go", "")
        self.wait_end(removal)
        self.hold("--what=3")

    def test_passed_over(self):
        self.hold("--what=2", "--who=backup", "--why=not yet")
        self.hold("--what=2", "--who=copier", "--why=nor now", "--mode=delay")
        self.hold("--what=3", "--who=elsewhere")
        removal = self.remove("2", "{'ignore_inhibitors': <true>}")
        self.wait_end(removal)
        request = [line for line in self.worker_log() if line.startswith("run ")][-1]
        self.assertEqual(json.loads(request.removeprefix("run "))["options"], {"ignore_inhibitors": True})
        for words in ("block inhibitor of 'backup' .*: not yet", "delay inhibitor of 'copier' .*: nor now"):
            self.assertRegex(self.log(), "asked for by uid 0 with ignore_inhibitors, and passes over the " + words)
        self.assertNotRegex(self.log(), "passes over .*'elsewhere'")
        self.assertEqual(self.json_of("GetHistory", "u", "1")["removals"][0]["options"], {"ignore_inhibitors": True})
        self.wait_end(self.remove("2", "{'ignore_inhibitors': <false>}"))
        with self.assertRaises(BusError) as refused:
            self.remove("2", "{'ignore_inhibitors': <'yes'>}")
        self.assertEqual(refused.exception.name, "BadOption")


class Delay(Inhibited):
    """The worker waits; the daemon tells it when it need not any more."""
    script = "step hold\nstep announce\nannounce\nawait-release\nstep power-off\n"

    def test_delay(self):
        first, second = self.hold("--mode=delay", "--what=2"), self.hold("--mode=delay", "--what=2")
        monitor = self.monitor()
        before = time.time()
        removal = self.remove("2")
        told = wait_for(lambda: monitor.signals("PrepareForRemoval"), "the announcement")
        deadline = self.get(removal, "Removal", "DeadlineUsec")
        self.assertEqual(told, [["2", True, deadline]])
        self.assertTrue(before + 1 <= deadline / 1e6 <= time.time() + 1, (before, deadline))  # of the wall clock, as the worker has said
        self.let_go(first)
        wait_for(lambda: len(self.listed()) == 1, "one to end")
        self.assertEqual(self.get(removal, "Removal", "State"), "working")
        self.assertNotIn("released", self.worker_log())
        self.let_go(second)
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.worker_log().count("released"), 1)
        wait_for(lambda: len(monitor.signals("PrepareForRemoval")) == 2, "both signals")
        self.assertEqual(monitor.signals("PrepareForRemoval"), [["2", True, deadline], ["2", False, 0]])

    def test_cancelled(self):
        self.hold("--mode=delay", "--what=2")
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "DeadlineUsec"), "the announcement")
        self.manager("Cancel", "'2'")
        self.assertEqual(self.wait_end(removal), "restored")

    def test_over_a_restart(self):
        holder = self.hold("--mode=delay", "--what=2")
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "DeadlineUsec"), "the announcement")
        wait_for(lambda: "announced" in self.worker_log(), "the worker to hear that listeners were told")
        self.write("play/resume-script", "plan\nstep announce\nannounce again\nawait-release\nstep power-off\n")
        self.stop_daemon(signal.SIGKILL)
        self.start_daemon()
        monitor = self.monitor()
        wait_for(lambda: any(line.startswith("resume 1") for line in self.worker_log()), "the resumed worker")
        time.sleep(0.2)
        self.assertNotIn("released", self.worker_log())
        self.let_go(holder)
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.worker_log().count("released"), 1)
        wait_for(lambda: monitor.signals("PrepareForRemoval"), "the end of it")
        self.assertEqual([told[:2] for told in monitor.signals("PrepareForRemoval")], [["2", False]])


if __name__ == "__main__":
    harness.main()
