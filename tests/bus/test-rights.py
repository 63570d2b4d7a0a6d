#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a user may who is not root: what polkit says, whatever polkit is like."""
import contextlib
import json
import os
import pty
import queue
import re
import select
import signal
import subprocess
import time
import unittest

import harness
from fake_polkit import CHALLENGE, NO, YES, Polkit
from harness import NAME, NOBODY, ROOT, wait_for
from users import OTHER, UsersTest

DENIED = f"{NAME}.Error.NotAuthorized"
INTERACTIVE = 4  # flag of a message
# Says which signals are kept from it, and by which it was ended.
AGENT = """#!/usr/bin/python3
import os, signal, sys, time
def say(name, text):
    with open(f"{os.environ['SAID']}/{name}", "w") as f:
        f.write(text)
def end(*_):
    say("ends", "SIGTERM")
    sys.exit()
signal.signal(signal.SIGTERM, end)
say("blocked", next(line.split()[1] for line in open("/proc/self/status") if line.startswith("SigBlk")))
os.close(int(sys.argv[sys.argv.index("--notify-fd") + 1]))
time.sleep(600)
"""
REMOVE = ("Remove", "sa{sv}", ("2", {}))


@unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
class Rights(UsersTest):
    script = "step hold\nwait go\nstep power-off\n"

    def polkit(self, says):
        self.authority = Polkit(self.bus(), says if callable(says) else lambda question: says)
        self.addCleanup(self.end_polkit)
        return self.authority

    def end_polkit(self):
        if self.authority:
            self.authority.end()
        self.authority = None

    def ask(self, *method, uid=NOBODY, **more):
        """(error, text) of the answer to a user's call."""
        def work(connect, say):
            c = connect()
            m = c.answer(c.send(*method, **more), 60)
            say((m.error, m.text))
        return self.as_user(uid, work)

    def refused(self, *method, action="remove", **more):
        error, text = self.ask(*method, **more)()
        self.assertEqual(error, DENIED, text)
        self.assertIn(f"{NAME}.{action}: ", text)
        return text

    def noted(self, verb):
        return [json.loads(line.removeprefix(verb + " ")) for line in self.worker_log() if line.startswith(verb + " ")]

    def test_allowed(self):
        polkit = self.polkit(YES)
        error, path = self.ask(*REMOVE)()
        self.assertEqual((error, path), (None, f"{ROOT}/removal/_31"))
        question = [q for q in polkit.asked if q.action == f"{NAME}.remove"][0]
        self.assertEqual((question.kind, question.flags, question.details), ("system-bus-name", 0, {"slot": "2", "serial": "0x1", "holders": "3"}))
        self.assertRegex(question.subject["name"], r"^:1\.\d+$")
        run = self.noted("run")[0]
        self.assertEqual((run["by"]["uid"], run["options"]["digest"], run["target"]), (NOBODY, "d1", "slot:2"))  # that plan and no other
        # Who has asked may call it off, whatever polkit says by now; another user may not.
        polkit.says = lambda question: NO
        self.refused("Cancel", "s", ("2",), action="cancel", uid=OTHER)
        self.assertEqual(self.ask("Cancel", "s", ("2",))()[0], None)
        self.assertEqual(self.wait_end(path), "restored")
        polkit.says = lambda question: YES
        error, path = self.ask("Restore", "sa{sv}", ("0000:0d:00.0", {}))()
        self.assertIsNone(error, path)
        restore = self.noted("restore")[0]
        self.assertEqual((restore["target"], restore["options"]["digest"]), ("slot:2", "d1"))

    def test_names_that_change(self):
        """What he was authorized for is what his words meant when that was asked: a path, or a card's address, may lead elsewhere since."""
        def change_places(question):
            if question.action.endswith(".remove"):
                first, second = self.slots[:2]
                first["card"], second["card"] = second["card"], first["card"]
                self.write_machine(self.slots)
            return YES
        self.polkit(change_places)
        error, path = self.ask("RemoveSeveral", "asa{sv}", (("0000:0d:00.0", "0000:0e:00.0"), {}))()
        self.assertIsNone(error, path)
        run = self.noted("run")[0]
        self.assertEqual((run["target"], run["targets"], run["options"]["digest"]), ("slot:2 slot:3", ["slot:2", "slot:3"], "d1"))
        self.assertIsNone(self.ask("Cancel", "s", ("2",))()[0])
        self.wait_end(path)
        error, path = self.ask("Remove", "sa{sv}", (self.slots[0]["card"]["bdf"], {}))()
        self.assertIsNone(error, path)
        self.assertEqual(self.noted("run")[1]["target"], "slot:2")

    def test_denied(self):
        """By name, in words that say why, in the journal with who it was, and in the audit log."""
        polkit = self.polkit(NO)
        self.assertIn("polkit refuses it", self.refused(*REMOVE))
        self.refused("RemoveSeveral", "asa{sv}", (("2", "3"), {}))
        self.refused("Restore", "sa{sv}", ("2", {}), action="restore")
        polkit.says = lambda question: CHALLENGE
        self.assertIn("was not to ask", self.refused(*REMOVE, uid=OTHER))
        self.assertIn("no agent", self.refused(*REMOVE, flags=INTERACTIVE, uid=OTHER))
        self.assertEqual([q.flags for q in polkit.asked if q.action == f"{NAME}.remove"][-2:], [0, 1])
        self.assertEqual(self.objects("removal"), {})
        self.assertFalse(self.noted("run"))
        denied = wait_for(lambda: self.noted("denied"), "the audit log")[0]
        self.assertEqual((denied["action"], denied["slot"], denied["serial"], denied["by"]["uid"]), ("remove", "2", "0x1", NOBODY))
        line = wait_for(lambda: re.search(r"uid 65534 \(process \d+, \S+, session 3, unit some.scope\) is not authorized for \S+", self.log()), "the line").group()
        self.assertTrue(line.endswith(f"{NAME}.remove:"), line)

    def test_inhibit(self):
        polkit = self.polkit(NO)
        wish = ("Inhibit", "ssss", ("2", "backup", "not now", "block"))
        self.refused(*wish, action="inhibit")
        self.assertEqual((polkit.asked[-1].action, polkit.asked[-1].details), (f"{NAME}.inhibit", {"what": "2", "mode": "block"}))
        polkit.says = lambda question: YES
        self.assertIsNone(self.ask(*wish)()[0])

        self.assertEqual(self.until_refused(OTHER, *wish)[:2], [None] * 2)

    def test_locate(self):
        """By name or at the slot itself, once polkit says so; and nobody has workers without end started."""
        polkit = self.polkit(NO)
        self.refused("Locate", "su", ("2", 60), action="locate")
        self.assertEqual((polkit.asked[-1].action, polkit.asked[-1].details), (f"{NAME}.locate", {"slot": "2", "serial": "0x1"}))
        self.refused("Locate", "su", ("2", 0), action="locate")
        self.refused("Locate", "u", (60,), action="locate", path=f"{ROOT}/slot/_32", interface=f"{NAME}.Slot")
        self.assertFalse(self.noted("light"))
        polkit.says = lambda question: YES
        self.assertEqual(self.ask("Locate", "su", ("2", 60))(), (None, f"{ROOT}/slot/_32"))
        self.assertEqual(self.slot("2", "AttentionLed"), "blink")
        before = len(self.noted("light"))
        served = self.until_refused(OTHER, "Locate", "u", (60,), path=f"{ROOT}/slot/_32", interface=f"{NAME}.Slot").count(None)
        self.assertGreater(served, 0)
        self.assertLessEqual(len(self.noted("light")), before + served + 3)  # of three at once an answer may have been refused

    def test_every_action_of_the_plan(self):
        self.write("play/rights", "remove end-processes force-kill sanitize")
        polkit = self.polkit(lambda question: NO if question.action.endswith("force-kill") else YES)
        self.refused(*REMOVE, action="force-kill")
        self.assertEqual([q.action.removeprefix(NAME + ".") for q in polkit.asked], ["remove", "end-processes", "force-kill"])
        self.assertFalse(self.noted("run"))
        # What he was shown is what he is asked about.
        with self.assertRaises(harness.BusError) as stale:
            self.manager("Remove", "'2'", "{'digest': <'d0'>}", as_uid=NOBODY)
        self.assertEqual(stale.exception.name, "Stale")
        # Nor does he keep the machine from others for hours.
        asked = len(polkit.asked)
        for option, value, most in (("grace_sec", 601, 600), ("offline_timeout_sec", 601, 600), ("step_delay_msec", 1, 0)):
            with self.assertRaises(harness.BusError) as long:
                self.manager("Remove", "'2'", f"{{'{option}': <uint32 {value}>}}", as_uid=NOBODY)
            self.assertEqual(long.exception.name, "BadOption")
            self.assertIn(f"'{option}' may be {most} at most for who is not root", long.exception.message)
        self.assertEqual(len(polkit.asked), asked)

    def test_self_test_with_power(self):
        """What it takes down a restoration puts back: who may not have that done does not begin it."""
        self.write("play/rights", "remove restore")
        polkit = self.polkit(lambda question: NO if question.action.endswith("restore") else YES)
        with self.assertRaises(harness.BusError) as refused:
            self.manager("Remove", "'2'", "{'self_test': <'power'>}", as_uid=NOBODY)
        self.assertEqual(refused.exception.name, "NotAuthorized")
        self.assertEqual([q.action.removeprefix(NAME + ".") for q in polkit.asked], ["remove", "restore"])
        self.assertFalse(self.noted("run"))

    def test_left(self):
        """What root has asked for is not taken up by who may remove cards and no more: it may go on with words of force."""
        self.polkit(YES)
        self.write("play/script", "step hold\ndie\n")
        self.write("play/resume-script", "die\n")
        self.assertEqual(self.wait_end(self.remove("2", "{'force': <'kill'>}")), "stuck")
        tried = len([line for line in self.worker_log() if line.startswith("resume")])
        error, text = self.ask(*REMOVE)()
        self.assertEqual(error, f"{NAME}.Error.Busy", text)
        self.assertIn("you have not asked for it", text)
        self.assertEqual(len([line for line in self.worker_log() if line.startswith("resume")]), tried)

    def test_polkit_is_not_there(self):
        self.assertIn("cannot be asked", self.refused(*REMOVE))
        path = self.remove("2")  # root waits for nobody
        self.assertIn("cannot be asked", self.refused("Cancel", "s", ("2",), action="cancel"))
        self.manager("Cancel", "'2'")
        self.wait_end(path)

    def test_polkit_lies(self):
        for word in (b"yes", "org.freedesktop.PolicyKit1.Error.Failed"):
            polkit = self.polkit(word)
            self.assertRegex(self.refused(*REMOVE), "cannot be read|so it is")
            self.assertTrue(polkit.asked)
            self.end_polkit()

    def test_polkit_hangs(self):
        """Root, other users' looks and a press go on; who leaves is forgotten, and so is a question that nobody answers."""
        polkit = self.polkit(None)
        waiting = self.ask(*REMOVE)
        wait_for(lambda: polkit.asked, "the question")

        gone = self.as_user(OTHER, lambda connect, say: (connect().send(*REMOVE, flags=INTERACTIVE), say(True)))
        gone()
        wait_for(lambda: any(q.flags for q in polkit.asked), "his question")
        self.as_users[-1].kill()
        name = next(q.name for q in polkit.asked if q.flags)
        wait_for(lambda: name in polkit.called_off, "it to be called off")
        path = self.remove("2")
        self.assertEqual(self.ask("GetHistory", "u", (0,), uid=OTHER)()[0], None)
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", "0000:0c:00.0", 10)
        self.assertEqual(self.wait_end(path), "restored")
        self.assertIn("has not answered in time", waiting()[1])
        first = next(q.name for q in polkit.asked if q.action.endswith(".remove"))
        wait_for(lambda: first in polkit.called_off, "the question that nobody has answered to be called off")

    def test_polkit_dies(self):
        polkit = self.polkit(None)
        waiting = self.ask(*REMOVE, flags=INTERACTIVE)
        wait_for(lambda: any(q.action.endswith(".remove") for q in polkit.asked), "the question")
        self.end_polkit()
        self.assertEqual(waiting()[0], DENIED)
        self.polkit(YES)
        self.assertIsNone(self.ask(*REMOVE)()[0])

    def test_flooded(self):
        """One user has so many places, and his refusals so many lines."""
        polkit = self.polkit(None)

        def flood(connect, say):
            c = connect()
            for _ in range(8):
                c.send(*REMOVE, flags=INTERACTIVE)
            answers = []
            while len(answers) < 4:
                m = c.next(60)
                answers += [m.error] if m.kind in (2, 3) else []
            say(answers)
        self.assertEqual(self.as_user(NOBODY, flood)(), [f"{NAME}.Error.Busy"] * 4)
        polkit.says = lambda question: NO
        self.refused(*REMOVE, uid=OTHER)

        def deny(connect, say):
            c = connect()
            say([c.answer(c.send("Restore", "sa{sv}", ("2", {})), 60).error for _ in range(40)])
        before, started = len(self.noted("denied")), time.monotonic()
        self.assertEqual(self.as_user(OTHER, deny)(), [DENIED] * 40)
        # Four at once and one in two seconds; one more for what was allowed before.
        self.assertLessEqual(len(self.noted("denied")) - before, 5 + (time.monotonic() - started) / 2)

    def test_many_users(self):
        """All places that there are do not keep out who comes next: of whoever has most one gives way."""
        polkit = self.polkit(None)

        def wait_for_a_person(connect, say):
            c = connect()
            for _ in range(4):
                c.send(*REMOVE, flags=INTERACTIVE)
            while True:
                m = c.next(60)
                if m and m.kind in (2, 3):
                    say(m.error)
        many = [self.as_user(uid, wait_for_a_person) for uid in range(1, 9)]
        wait_for(lambda: len([q for q in polkit.asked if q.action.endswith(".remove")]) == 32, "all places to be taken")
        polkit.says = lambda question: NO if question.action.endswith(".remove") else None
        self.refused(*REMOVE)
        wait_for(lambda: polkit.called_off, "the question that gave way to be called off")
        busy = [said for said in (self.said_at_once(user) for user in many) if said]
        self.assertEqual(busy, [f"{NAME}.Error.Busy"])

    def said_at_once(self, user):
        """What he has said already, or None."""
        with contextlib.suppress(queue.Empty):
            return user(0.5)

    def test_begun(self):
        """So many removals of a user, and then one in half an hour: he would push those of others off the records. Root's have no end."""
        self.polkit(YES)
        self.write("play/script", "end-as restored\n")
        begun, error = 0, None
        while begun < 40 and not error:
            error, path = self.ask(*REMOVE)()
            if not error:
                begun += 1
                self.wait_end(path)
        self.assertEqual((begun, error), (20, f"{NAME}.Error.Busy"))
        self.assertEqual(self.ask("Restore", "sa{sv}", ("2", {}))()[0], f"{NAME}.Error.Busy")
        self.wait_end(self.remove("2"))
        self.assertIsNone(self.ask(*REMOVE, uid=OTHER)()[0])

    def test_unaudited(self):
        """The end waits for no audit log; what that does not take is told all the same."""
        self.write("play/unaudited", "")
        self.write("play/script", "end-as restored\n")
        self.wait_end(self.remove("2"))
        wait_for(lambda: "Removal 1 of slot 2: the audit log is full" in self.log(), "the line")

    def test_subscribe(self):
        """Who may read the details of others hears them, too; others are told so by the action's name, which nobody logs."""
        polkit = self.polkit(NO)
        error, text = self.ask("Subscribe")()
        self.assertEqual(error, DENIED)
        self.assertIn(f"{NAME}.read-details", text)
        polkit.says = lambda question: YES

        def listen(connect, say):
            c = connect()
            say(c.answer(c.send("Subscribe"), 60).error)
            while True:
                m = c.next(60)
                event = json.loads(m.text) if m and m.member == "Event" else {}
                if event.get("type") == "end":
                    say(event)
        hears = self.as_user(NOBODY, listen)
        self.assertIsNone(hears())
        connections = [self.as_user(NOBODY, lambda connect, say: [say(c.answer(c.send("Subscribe"), 60).error) for c in [connect() for _ in range(5)]])]
        self.assertEqual([connections[0]() for _ in range(5)], [None] * 3 + [f"{NAME}.Error.Busy"] * 2)
        self.assertIsNone(self.ask("Subscribe", uid=OTHER)()[0])
        self.write("play/script", "end-as stuck lost-thing\n")
        self.wait_end(self.remove("2"))
        self.assertIn("disturbed", hears())
        self.assertFalse(self.noted("denied"))

    def test_reload(self):
        """Who may manage the policy has the files looked through, as root's worker reads them, and is told what is wrong."""
        os.makedirs(self.path("etc/conf.d"))
        mine = self.path("etc/conf.d/50-mine.conf")
        self.write("etc/conf.d/50-mine.conf", "[Removal]\nGraceSecs=5\n")
        os.chmod(mine, 0o600)
        polkit = self.polkit(NO)
        self.refused("Reload", action="manage-policy")
        self.assertNotIn("Reloaded", self.log())
        polkit.says = lambda question: YES if question.action.endswith(".manage-policy") else NO
        error, text = self.ask("Reload")()
        self.assertIsNone(error, text)
        wrong = "key 'GraceSecs' is not known; did you mean GraceSec?"
        self.assertEqual(json.loads(text), {"schema": "safe-remove/policy-check/1", "files": [{"path": mine, "replaces": [], "kind": "settings"}],
                                            "warnings": [{"file": mine, "line": 2, "message": wrong}]})
        self.assertIn(f"{mine}:2: {wrong}", self.log())
        self.assertIn("did you mean", self.manager("Reload"))

        before = self.log().count("Reloaded")
        served = self.until_refused(OTHER, "Reload").count(None)
        self.assertGreater(served, 0)
        self.assertLessEqual(self.log().count("Reloaded") - before, served + 1 + 3)  # the line of the one before may have come late; of three an answer was refused

    def make_agent(self):
        os.mkdir(self.path("bin"))
        with open(self.path("bin/pkttyagent"), "w") as f:
            f.write(AGENT)
        os.chmod(self.path("bin/pkttyagent"), 0o755)
        os.mkdir(self.path("said"))
        os.chmod(self.path("said"), 0o777)

    def on_terminal(self, argv, program=None):
        """(exit code, what was shown) of a user's command on a terminal of its own."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.execve(program or os.environ["SAFE_REMOVE"], argv, {**self.env, "PATH": f"{self.path('bin')}:{os.environ['PATH']}", "SAID": self.path("said")})
        self.addCleanup(os.close, terminal)
        shown = b""
        with contextlib.suppress(OSError):  # its end is an error
            while select.select([terminal], [], [], harness.PATIENCE)[0]:
                shown += os.read(terminal, 4096)
        os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def test_agent(self):
        """On a terminal somebody is asked by an agent, which no signal is kept from, and which ends with what it was started for."""
        self.polkit(CHALLENGE)
        self.make_agent()
        code, shown = self.on_terminal(["safe-remove", "remove", "2", "--yes"])
        self.assertEqual(code, 77, shown)
        self.assertIn(f"{NAME}.remove: polkit wants a password for it, and there is no agent", " ".join(shown.decode().split()))
        with open(self.path("said/blocked")) as f:
            self.assertEqual(int(f.read(), 16), 0, "the signals that are kept from the agent")
        with open(self.path("said/ends")) as f:
            self.assertEqual(f.read(), "SIGTERM")

    def test_agent_in_background(self):
        """A job in the background asks nobody, and is not stopped for what it would do to the terminal."""
        self.polkit(YES)
        self.make_agent()
        self.write("play/script", "end-as restored\n")
        remove = f"{os.environ['SAFE_REMOVE']} remove 2 --yes"
        for command, agent in ((f"{remove} & wait $!; echo ended $?", False), (f"{remove}; echo ended $?", True)):
            _, shown = self.on_terminal(["bash", "-c", f"set -m; {command}"], program="/bin/bash")
            self.assertIn(b"ended 6", shown)
            self.assertEqual(os.path.exists(self.path("said/blocked")), agent, shown)

    def look(self, *argv, **env):
        """The document of a user's look, by the command."""
        done = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", os.environ["SAFE_REMOVE"], *argv, "--json"],
                              env={**self.env, **env}, capture_output=True, text=True, timeout=harness.PATIENCE * 3)
        self.assertIn(done.returncode, (0, 5), done.stdout + done.stderr)
        return json.loads(done.stdout)

    def test_details_of_command(self):
        """The command asks for what was left out over the bus, where polkit knows who he is; once, and not where it has been refused. It needs no bus."""
        self.write("play/withholds", "")
        self.write("play/script", "end-as stuck lost-thing\n")
        self.assertEqual(self.wait_end(self.remove("2")), "stuck")
        polkit = self.polkit(YES)
        looks = (("plan", "3"), ("explain", "3"), ("holders", "3"))
        for argv in looks:
            self.assertNotIn("withheld", self.look(*argv), argv)
        self.assertTrue(self.look("status", "2")["lost"])
        polkit.says = lambda question: NO
        before = len(self.noted("plan"))
        for argv in looks:
            self.assertTrue(self.look(*argv)["withheld"], argv)
        self.assertEqual(len(self.noted("plan")), before + len(looks))
        self.assertFalse(self.look("status", "2")["lost"])
        self.assertEqual({q.action for q in polkit.asked}, {f"{NAME}.read-details"})
        asked = len(polkit.asked)
        self.look("list")
        self.assertEqual(len(polkit.asked), asked)
        polkit.says = lambda question: YES
        self.assertTrue(self.look(*looks[0], DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere")["withheld"])

    def test_details(self):
        """A user who may read the details of others gets what root gets; polkit is asked for each look, and asks nobody."""
        self.write("play/log-looks", "")
        polkit = self.polkit(YES)
        self.assertIsNone(self.ask("GetTopology")()[0])
        self.assertTrue(self.noted("topology")[0]["by"]["details"])
        self.assertEqual(polkit.asked[0].action, f"{NAME}.read-details")
        path = self.remove("2")
        report = self.ask("GetReport", path=path, interface=f"{NAME}.Removal")
        self.assertNotIn("withheld", json.loads(report()[1]))
        polkit.says = lambda question: NO
        self.assertIsNone(self.ask("GetTopology")()[0])
        self.assertNotIn("details", self.noted("topology")[1]["by"])
        report = self.ask("GetReport", path=path, interface=f"{NAME}.Removal")
        self.assertTrue(json.loads(report()[1])["withheld"])
        self.assertFalse(self.noted("denied"))


if __name__ == "__main__":
    harness.main()
