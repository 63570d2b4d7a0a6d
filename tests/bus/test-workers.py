#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who starts workers, and what becomes of them when one of the others goes away."""
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import termios
import time
import unittest

import harness
from harness import BusError, BusTest, descriptors, NOBODY, wait_for

PTRACE_CONT, PTRACE_SEIZE, PTRACE_O_TRACEEXIT, WALL = 7, 0x4206, 0x40, 0x40000000
FAILED = 199  # more than anybody says


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class Workers(BusTest):
    def removing(self):
        """Who looks at the machine comes and goes."""
        found = []
        for pid in self.workers():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as f:
                found += [pid] if f.read().endswith(b"\0run\0") else []
        return found

    def one_worker(self):
        return wait_for(self.removing, "a worker")[0]

    def starters(self):
        """A child of theirs that is about to become a worker bears their name for a moment."""
        found = self.named("safe-remove-sta")
        return [pid for pid in found if self.parent(pid) not in (0, *found)]

    @staticmethod
    def parent(pid):
        try:
            return int(status(pid)["PPid"])
        except (OSError, KeyError):
            return 0

    def named(self, name):
        found = []
        for pid in os.listdir("/proc"):
            try:
                with open(f"/proc/{pid}/comm") as f, open(f"/proc/{pid}/environ", "rb") as e:
                    if f.read() == name + "\n" and self.folder.encode() in e.read():
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def start_and_wait(self, script="step hold\nwait go\nstep power-off\n"):
        self.write("play/script", script)
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        return removal, self.one_worker()

    def resumes(self):
        return [line for line in self.worker_log() if line.startswith("resume ")]

    def one_waiting(self, but=0):
        """The worker that was made beforehand for the guard of now, and says that it waits."""
        def found():
            with contextlib.suppress(OSError):
                return [pid for pid in self.waiting_workers() if pid != but and self.comm(pid) == "safe-remove-idl" and
                        int(status(int(status(pid)["PPid"]))["PPid"]) == self.guard.pid]
        return wait_for(found, "a worker that is made beforehand")[0]

    def test_what_a_worker_has(self):
        """The guard's own rights on the machine, and nothing of what it has to be quick. The one that was made beforehand has no more than
        another."""
        self.stop_guard()
        self.env["NOTIFY_SOCKET"] = "/nowhere"
        ahead = [words for words in (["chrt", "-r", "10"], ["choom", "-n", "-950", "--"])
                 if subprocess.run(words + ["true"], stderr=subprocess.DEVNULL).returncode == 0]
        before = [word for words in ahead for word in words]
        self.start_guard(before)
        starter, = wait_for(lambda: [pid for pid in self.starters() if self.parent(pid) == self.guard.pid], "the next guard's starter")
        waiting = self.one_waiting()
        _, worker = self.start_and_wait()
        self.assertEqual(worker, waiting)
        self.check_scheduling(before, starter)
        self.check_worker(before, starter, worker)
        self.remove("3")  # no other one is made beforehand while a removal is at work
        second, = wait_for(lambda: [pid for pid in self.removing() if pid != worker], "a second worker")
        self.assertEqual(self.waiting_workers(), [])
        self.check_worker(before, starter, second)

    def check_scheduling(self, before, pid):
        self.assertEqual(os.sched_getscheduler(pid), os.SCHED_OTHER)
        if "chrt" in before:
            self.assertEqual(os.sched_getscheduler(self.guard.pid), os.SCHED_RR)

    def check_worker(self, before, starter, worker):
        self.assertEqual(int(status(worker)["PPid"]), starter)
        self.check_scheduling(before, worker)
        if "choom" in before:
            with open(f"/proc/{worker}/oom_score_adj") as f:
                self.assertEqual(f.read(), "-900\n")
        self.assertEqual(os.getpgid(worker), worker)
        for key in ("SigBlk", "SigIgn"):
            ours = int(status(worker)[key], 16) & 0x7fffffff  # glibc has two above for itself
            self.assertEqual(ours & ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1), 0, key)  # and Python these
        with open(f"/proc/{worker}/environ", "rb") as f:
            self.assertNotIn(b"NOTIFY_SOCKET", f.read())
        sockets = {os.readlink(f"/proc/{worker}/fd/{fd}") for fd in (0, 1)}
        self.assertEqual(len(sockets), 1)
        self.assertTrue(sockets.pop().startswith("socket:"))
        more = [path for fd, path in descriptors(worker).items() if fd > 2]
        self.assertEqual([path for path in more if not path.startswith(self.path("play"))], [])

    def test_one_made_beforehand(self):
        """A removal gets it and a look does not, which everybody may ask for; who has not begun yet may leave it again; and one that dies has
        a successor."""
        first = self.one_waiting()
        link, worker, _ = self.ask_starter("scan")
        self.assertNotEqual(worker, first)
        link.close()
        self.assertEqual(self.manager("GetTopology")[:2], "('")
        self.assertEqual(self.waiting_workers(), [first])

        os.kill(first, signal.SIGKILL)
        second = self.one_waiting(but=first)
        link, worker, _ = self.ask_starter("run")
        self.assertEqual(worker, second)
        link.close()
        wait_for(lambda: not os.path.exists(f"/proc/{second}"), "its end, since nobody wants it any more")
        third = self.one_waiting(but=second)

        starter, = self.starters()
        os.kill(starter, signal.SIGSTOP)  # it has not heard of the death when it is asked
        os.kill(third, signal.SIGKILL)
        wait_for(lambda: status(third)["State"].startswith("Z"), "its death")
        link = self.send_to_starter("run")
        os.kill(starter, signal.SIGCONT)
        self.assertNotEqual(json.loads(link.recv(512))["pid"], third)
        link.close()

        waiting = self.one_waiting(but=third)
        os.kill(starter, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{waiting}"), "it to end with its starter")
        waiting = self.one_waiting(but=waiting)
        made = [pid for pid in self.starters() + self.named("safe-remove-gua") if pid != self.guard.pid]
        self.assertEqual(len(made), 1 + 4, "the starter and those who take slots")
        self.guard.terminate()
        os.waitid(os.P_PID, self.guard.pid, os.WEXITED | os.WNOWAIT)
        left = [pid for pid in [waiting, *made] if os.path.exists(f"/proc/{pid}")]
        self.assertEqual(left, [], "who is left when the guard has ended")

    def test_a_guard_waits_for_nobody_who_does_not_leave(self):
        """The next guard must hear of a press before the kernel acts on it."""
        self.one_waiting()
        made = [pid for pid in self.starters() + self.named("safe-remove-gua") if self.parent(pid) == self.guard.pid]
        self.assertEqual(len(made), 1 + 4, "the starter and those who take slots")
        try:
            for pid in made:
                os.kill(pid, signal.SIGSTOP)
            self.guard.terminate()
            wait_for(lambda: os.waitid(os.P_PID, self.guard.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG), "its end")
        finally:
            for pid in made:
                os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in made), "them to leave, too")

    def is_about_to_make_one(self, starter):
        """Whether its clock is set for that; nothing else goes by that one while nobody dies."""
        set_for = []
        for fd in os.listdir(f"/proc/{starter}/fdinfo"):
            # Its links to workers close meanwhile; its clock does not.
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{starter}/fdinfo/{fd}", encoding="ascii") as f:
                said = dict(line.rstrip("\n").split(":", 1) for line in f)
                set_for += [said["it_value"].strip()] if said.get("clockid") == f" {time.CLOCK_MONOTONIC}" else []
        return any(value != "(0, 0)" for value in set_for)

    def test_none_is_made_while_a_removal_runs(self):
        """The next one comes after the last removal, whoever else ends before."""
        waiting = self.one_waiting()
        starter, = self.starters()
        first, worker, _ = self.ask_starter("run")
        self.assertEqual(worker, waiting)
        wait_for(lambda: waiting not in self.waiting_workers(), "it to become what it was asked for")
        for verb in ("scan", "run"):
            other, worker, _ = self.ask_starter(verb)
            self.end(other)
            third, _, _ = self.ask_starter("scan")  # answered when all that followed from that end has been done
            self.assertEqual((self.waiting_workers(), self.is_about_to_make_one(starter)), ([], False), verb)
            self.end(third)
        first.send(b'{"type":"kill"}')
        self.assertEqual(json.loads(first.recv(512))["type"], "ended")
        wait_for(lambda: self.is_about_to_make_one(starter) or self.waiting_workers(), "the next one to be made")
        self.assertNotEqual(self.one_waiting(), waiting)

    def test_one_that_never_waits(self):
        """Whatever the one that is made beforehand does in its beginning, no removal depends on it."""
        self.write("play/never-waits", "")
        self.stop_guard()
        self.start_guard()
        wait_for(lambda: [pid for pid in self.waiting_workers() if int(status(int(status(pid)["PPid"]))["PPid"]) == self.guard.pid], "it to begin")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")

    def test_an_upgrade(self):
        """The program was replaced behind the back of the one that was made beforehand, which is the new one then."""
        self.stop_guard()
        program = self.env["SAFE_REMOVE_WORKER"] = self.path("safe-remove-worker")
        shutil.copy(os.environ["REAL_WORKER"], program)
        self.start_guard()

        def image(pid):
            with open(f"/proc/{pid}/auxv", "rb") as f:  # where everything is, which is by chance
                return f.read()
        waiting = self.one_waiting()
        before = image(waiting)
        link, worker, _ = self.ask_starter("run")
        wait_for(lambda: self.comm(waiting) == "safe-remove-wor", "it to be at work")
        self.assertEqual((worker, image(waiting)), (waiting, before))
        self.assertEqual(self.line(waiting).rstrip(b"\0"), b"safe-remove-worker\0run")
        wait_for(lambda: sorted(os.listdir(f"/proc/{waiting}/fd")) == ["0", "1", "2"], "it to have its stream, and nothing else")
        self.assertEqual(os.readlink(f"/proc/{waiting}/fd/0"), os.readlink(f"/proc/{waiting}/fd/1"))
        link.close()

        waiting = self.one_waiting(but=waiting)
        shutil.copy(os.environ["REAL_WORKER"], program + ".new")
        os.rename(program + ".new", program)
        self.assertTrue(os.readlink(f"/proc/{waiting}/exe").endswith(" (deleted)"))
        link, worker, _ = self.ask_starter("run")
        self.assertEqual(worker, waiting)
        wait_for(lambda: os.readlink(f"/proc/{waiting}/exe") == program, "it to be the new program")
        wait_for(lambda: self.line(waiting) == b"safe-remove-worker\0run\0", "what it was started with to be what it does")

    @staticmethod
    def line(pid):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read()

    @staticmethod
    def comm(pid):
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()

    def test_the_guard_dies(self):
        """Its workers go on, and what they did ends as it would have; the next guard starts the next ones."""
        removal, worker = self.start_and_wait()
        first = self.starters()
        self.stop_guard(signal.SIGKILL)
        self.start_guard()
        self.assertEqual(self.manager("GetTopology")[:2], "('")
        wait_for(lambda: len(self.starters()) == 2, "the starter of the next guard")
        self.assertIn(worker, self.workers())
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.resumes(), [])
        wait_for(lambda: not set(first) & set(self.starters()), "the first guard's starter to leave")

    def test_the_guard_is_stopped_and_the_worker_killed(self):
        """The starter that stays behind tells of that too."""
        removal, worker = self.start_and_wait()
        self.write("play/resume-script", "step power-off\n")
        self.stop_guard()
        self.start_guard()
        os.kill(worker, signal.SIGKILL)
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertIn("was killed (9)", self.log())
        self.assertEqual(len(self.resumes()), 1)

    def test_the_guard_is_away(self):
        """A moment is waited for; longer, and it is said what is missing."""
        self.stop_guard()
        with self.assertRaises(BusError) as refused:
            self.remove("2")
        self.assertIn("systemctl status safe-remove-guard", refused.exception.message)
        with self.assertRaises(BusError) as refused:
            self.manager("GetTopology")
        self.assertIn("systemctl status safe-remove-guard", refused.exception.message)
        self.assertEqual(self.objects("removal"), {})
        question = self.background(["gdbus", "call", "--address", f"unix:path={self.path('bus')}", "--dest", harness.NAME, "--object-path",
                                    harness.ROOT, "--method", "org.saferemove1.Manager.GetTopology"], stdout=subprocess.DEVNULL)
        self.get(harness.ROOT, "Manager", "Version")
        self.start_guard()
        self.assertEqual(question.wait(harness.PATIENCE), 0, "asked while nobody was there")

    def test_the_starter_dies(self):
        """Nobody sees the end of its workers any more, but of their streams: nobody else takes their removals up before that."""
        self.write("play/resume-script", "step power-off\n")
        removal, worker = self.start_and_wait()
        starter, = self.starters()
        os.kill(starter, signal.SIGKILL)
        wait_for(lambda: "another one takes its place" in self.log(), "the guard to notice")
        wait_for(lambda: self.starters() not in ([], [starter]), "the next one")
        self.assertEqual(self.manager("GetTopology")[:2], "('")
        self.assertEqual((self.get(removal, "Removal", "State"), self.resumes()), ("working", []))
        os.kill(worker, signal.SIGKILL)
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertIn("nobody saw how", self.log())
        self.assertEqual(len(self.resumes()), 1)

    def test_a_worker_ends_with_who_started_it(self):
        """Nobody could end it any more, or tell when it has ended."""
        shell = self.background(["sh", "-c", 'exec 3<&0; SAFE_REMOVE_STARTER=$$ "$0" plan <&3 & echo $!; wait', os.environ["REAL_WORKER"]],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # it waits for its request, which never comes
        worker = int(shell.stdout.readline())
        self.addCleanup(shell.stdin.close)
        os.write(shell.stdin.fileno(), b"{")
        wait_for(lambda: fcntl.ioctl(shell.stdin, termios.FIONREAD, bytes(4)) == bytes(4), "the worker to read")
        shell.kill()

        def ended():
            try:
                return status(worker)["State"].startswith("Z")
            except (FileNotFoundError, ProcessLookupError):
                return True
        wait_for(ended, "its end")

    def test_the_daemon_dies(self):
        """Its worker is killed before the next daemon's may begin."""
        removal, worker = self.start_and_wait("step hold\nhang\n")
        self.stop_daemon(signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{worker}"), "its worker to die")
        self.start_daemon()
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(len(self.resumes()), 1)

    def test_a_worker_that_does_not_die(self):
        """The next daemon's are kept waiting for it, and not for ever: five seconds. (Whoever traces a process has its end for himself, until he has seen it.)"""
        removal, worker = self.start_and_wait("step hold\nhang\n")
        if ctypes.CDLL(None).ptrace(PTRACE_SEIZE, worker, None, None) != 0:
            self.skipTest("nobody may trace here")
        begin = time.monotonic()
        self.stop_daemon(signal.SIGKILL)
        wait_for(lambda: status(worker)["State"].startswith("Z"), "its worker to be killed")
        self.start_daemon()
        self.assertGreater(time.monotonic() - begin, 5)
        self.assertTrue(status(worker)["State"].startswith("Z"))
        self.assertEqual(self.wait_end(removal), "restored")
        os.waitpid(worker, WALL)
        wait_for(lambda: not os.path.exists(f"/proc/{worker}"), "its end to be seen")

    def test_a_number_is_kept_before_it_is_told(self):
        """The daemon may die the moment after: no other removal gets it. Where it cannot be kept, nothing is begun."""
        apart = tempfile.TemporaryDirectory(dir="/tmp")  # the recorded machine has a /dev/shm of its own
        self.addCleanup(apart.cleanup)
        state = os.path.join(apart.name, "state")

        def ask(number, verb, **more):
            request = {"id": number, "target": "2", "trigger": "command", "by": {"uid": 0}, "options": {}, **more}
            done = subprocess.run(harness.entering_ram2(verb), input=json.dumps(request) + "\n",
                                  capture_output=True, text=True, timeout=harness.PATIENCE * 3, env={**os.environ, "SAFE_REMOVE_STATE_DIR": state})
            if done.returncode == 77:
                self.skipTest(done.stderr)
            told = [json.loads(line) for line in done.stdout.splitlines()]
            return [line for line in told if line["type"] in ("target", "error", "end")]  # nobody says "go"

        command, = ask("7", "run")
        self.assertEqual((command["type"], os.listdir(f"{state}/numbers")), ("target", ["7"]))
        press = {"trigger": "button", "target": "port:" + command["port"]}
        self.assertEqual([line["type"] for line in ask("8", "run", **press)], ["target"])
        self.assertEqual(os.listdir(f"{state}/numbers"), ["8"])
        self.assertEqual(ask("9", "run", target="nothing")[0]["type"], "error")
        self.assertEqual(os.listdir(f"{state}/numbers"), ["8"])
        shutil.rmtree(f"{state}/numbers")
        with open(f"{state}/numbers", "w", encoding="ascii"):
            pass
        for more in ({}, press):
            told, = ask("9", "run", **more)
            self.assertEqual((told["type"], told["code"]), ("error", "internal"))
            self.assertIn(f"({state}/numbers)", told["message"])

    def test_who_does_not_leave(self):
        """A guard that is stopped waits, and not for ever: two seconds for its starter, and one for those who take slots."""
        starter, = self.starters()
        hand = next(pid for pid in self.named("safe-remove-gua") if pid != self.guard.pid)
        for pid in (starter, hand):
            os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        self.stop_guard()
        self.assertGreater(time.monotonic() - begin, 2 + 1)
        for pid in (starter, hand):
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not self.starters() and hand not in self.named("safe-remove-gua"), "them to leave")

    def ask_starter(self, verb):
        """A worker that we have asked for ourselves: the connection that stands for it, and its process; 0 and the errno where there is none."""
        link = self.send_to_starter(verb)
        word = json.loads(link.recv(512))
        return link, word.get("pid", 0), word.get("errno", 0)

    def end(self, link):
        """One that may end by itself in the same moment: then nobody reads what we say, which the kernel tells before it tells that it has ended."""
        with contextlib.suppress(ConnectionError):
            link.send(b'{"type":"kill"}')
            self.assertEqual(json.loads(link.recv(512))["type"], "ended")

    def send_to_starter(self, verb):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(link.close)
        link.settimeout(harness.PATIENCE)
        link.connect(self.path("run/workers"))
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        socket.send_fds(link, [json.dumps({"type": "start-worker", "verb": verb}).encode()], [theirs.fileno()])
        theirs.close()
        self.stream = ours
        return link

    def test_what_is_not_the_daemons(self):
        """Whoever has taken the daemon over has root's workers read no file that he names, and make no recording for him."""
        self.write("secret", "5ec2e7-not-the-daemons\n")
        for verb, request, word in (("check-policy", {"files": [self.path("secret")]}, "error"), ("snapshot", {"keep_names": True}, "error"),
                                    ("check-policy", {}, "policy")):
            self.assertGreater(self.ask_starter(verb)[1], 0)
            self.stream.sendall(json.dumps(request).encode() + b"\n")
            said = self.stream.makefile().readline()
            self.assertEqual(json.loads(said)["type"], word, said)
            self.assertNotIn("5ec2e7", said)

    def test_one_that_is_stopped(self):
        """It says nothing, and no deadline of its own passes while it stands: it is killed, and another one goes on."""
        self.write("play/script", "step hold\nstop\nstep power-off\n")
        self.write("play/resume-script", "step power-off\n")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        self.assertIn("was stopped by somebody", self.log())
        self.assertEqual(len(self.resumes()), 1)

    def test_a_starter_that_is_stopped(self):
        """Nobody hears of its workers any more: it is killed, they with it, and the removal goes on with the next one's."""
        self.write("play/resume-script", "step power-off\n")
        removal, worker = self.start_and_wait()
        starter, = self.starters()
        os.kill(starter, signal.SIGSTOP)
        wait_for(lambda: f"The process that starts workers ({starter}) was stopped by somebody, and is killed." in self.log(), "the guard to notice")
        wait_for(lambda: self.starters() not in ([], [starter]), "the next one")
        os.kill(worker, signal.SIGKILL)  # as it does itself (test_a_worker_ends_with_who_started_it)
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(len(self.resumes()), 1)

    def test_one_that_is_traced(self):
        """Who traces it has its end for himself: stuck, with the step, with him and with where the kernel has it; and put back when it has died after all."""
        removal, worker = self.start_and_wait("step hold\nwait go\nstop\nstep power-off\n")
        libc = ctypes.CDLL(None)
        if libc.ptrace(PTRACE_SEIZE, worker, None, PTRACE_O_TRACEEXIT) != 0:
            self.skipTest("nobody may trace here")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "stuck")
        message = self.report(removal)["message"]
        self.assertIn(f"stopped by process {os.getpid()}, which traces it", message)
        self.assertIn("it stopped at step hold", message)
        self.assertIn(f"(process {worker}", message)
        self.assertTrue(self.report(removal)["remedy"][1].startswith(f"tail --pid={worker} -f /dev/null"), self.report(removal)["remedy"])
        self.assertIn(f"Worker process {worker} ('run') was killed and does not die", self.log())
        if os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root":  # whose business it is
            self.assertIn("; its kernel stack: ", message)
            self.assertIn("; its kernel stack: ", self.log())
        self.assertEqual(self.resumes(), [])
        with self.assertRaises(BusError) as refused:
            self.remove("2")
        self.assertEqual((refused.exception.name, f"its worker process {worker} sits in the kernel" in refused.exception.message), ("Busy", True), refused.exception.message)
        self.assertEqual(self.resumes(), [])
        while os.WIFSTOPPED(os.waitpid(worker, WALL)[1]):
            libc.ptrace(PTRACE_CONT, worker, None, None)
        wait_for(lambda: self.get(removal, "Removal", "Outcome") == "restored", "it to be put back")
        self.assertTrue(self.resumes()[0].endswith(" back"), self.resumes())

    def test_those_that_hang_take_no_places(self):
        """Two readers of records that were killed and do not die; others, and removals, have their places still."""
        hanging = []
        for _ in range(2):
            link, worker, _ = self.ask_starter("record")  # it waits for its request
            if ctypes.CDLL(None).ptrace(PTRACE_SEIZE, worker, None, None) != 0:
                self.skipTest("nobody may trace here")
            link.send(b'{"type":"kill"}')
            wait_for(lambda pid=worker: status(pid)["State"].startswith("Z"), "it to be killed")
            hanging.append((link, worker))
        for _ in range(2):
            self.assertEqual(self.ask_starter("record")[1:], (0, errno.EBUSY))
        self.assertEqual(self.log().count("No worker is started for 'record': 2 of them were killed and hang in the kernel"), 1)
        self.assertEqual(self.manager("GetTopology")[:2], "('")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        link, worker = hanging.pop()
        os.waitpid(worker, WALL)
        self.assertEqual(json.loads(link.recv(512))["type"], "ended")
        link, worker, _ = self.ask_starter("record")
        self.assertGreater(worker, 0)
        link.send(b'{"type":"kill"}')
        os.waitpid(hanging[0][1], WALL)

    def test_one_that_cannot_be_run(self):
        self.stop_guard()
        self.env["SAFE_REMOVE_WORKER"] = self.path("nothing")
        self.start_guard()
        with self.assertRaises(BusError) as refused:
            self.remove("2")
        self.assertIn("No such file or directory", refused.exception.message)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs a second user")
    def test_strangers_get_nothing(self):
        """Neither their connection nor, where somebody has opened the doors, anything for it."""
        before = self.worker_log()
        for name in ("workers", "guard"):
            self.assertEqual(stat.S_IMODE(os.stat(self.path(f"run/{name}")).st_mode) & 0o007, 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("run")).st_mode) & 0o006, 0)  # but a way through, to the socket for everybody
        os.chmod(self.path("run"), 0o755)
        os.chmod(self.path("run/workers"), 0o666)
        self.assertEqual(self.heard_by_stranger(), 0)
        self.assertEqual(self.worker_log(), before)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs a second user")
    def test_the_group_of_the_guard(self):
        """A daemon with a user of its own, for which both units say Group=."""
        self.stop_guard()
        self.start_guard(["setpriv", f"--regid={NOBODY}", "--clear-groups"])
        os.chmod(self.path("run"), 0o755)
        self.assertGreater(self.heard_by_stranger(), 0)

    def heard_by_stranger(self):
        """How much the starter said to him, who asked for a worker."""
        child = os.fork()
        if child == 0:
            os._exit(self.as_stranger())
        heard = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.assertNotEqual(heard, FAILED)
        return heard

    def as_stranger(self):
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link.settimeout(harness.PATIENCE)
            link.connect(self.path("run/workers"))
            ours, theirs = socket.socketpair()
            try:
                socket.send_fds(link, [b'{"type":"start-worker","verb":"scan"}'], [theirs.fileno()])
            except BrokenPipeError:
                pass
            try:
                return len(link.recv(512))
            except ConnectionResetError:
                return 0
        except BaseException:  # whatever it is, this is not to go on as the test
            return FAILED


if __name__ == "__main__":
    harness.main()
