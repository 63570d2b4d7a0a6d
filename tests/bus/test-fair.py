#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who asks a lot, and who never reads the answers, takes nothing from the others."""
import hashlib
import json
import os
import subprocess
import time
import unittest

import harness
from harness import NOBODY, ROOT, wait_for
from users import EVERY_METHOD, OBJECTS, OTHER, THIRD, UsersTest


def collect(calls, n):
    """The first n answers to calls that are (connection, number); takes them out of the list."""
    answers, deadline = [], time.monotonic() + harness.PATIENCE
    while len(answers) < n and time.monotonic() < deadline:
        for c, serial in list(calls):
            answer = c.answer(serial, 0.01)
            if answer:
                answers.append(answer)
                calls.remove((c, serial))
    return answers


class Fair(UsersTest):
    def looks(self):
        return [json.loads(line.removeprefix("topology "))["by"]["uid"] for line in self.worker_log() if line.startswith("topology ")]

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_one_question_a_user(self):
        """However many connections he has; another user, and root, are asked for at once."""
        self.write("play/log-looks", "")
        for uid in (NOBODY, OTHER, THIRD, 0):
            self.write(f"play/slow-looks-of-{uid}", "")

        def greedy(connect, say):
            calls = [(c, c.send("GetTopology" if i % 2 else "OpenTopology")) for i, c in enumerate([connect() for _ in range(40)])]
            refused = collect(calls, 40 - 16)
            say([(m.error, m.text) for m in refused])
            say([m.kind for m in collect(calls, 16)])

        heard = self.as_user(NOBODY, greedy)
        refused = heard()
        self.assertEqual(len(refused), 40 - 16)
        for error, text in refused:
            self.assertEqual(error, "org.saferemove1.Error.Busy")
            self.assertIn("Wait for them, then ask again", text)
        wait_for(lambda: self.looks() == [NOBODY], "his look")
        other = self.as_user(OTHER, lambda connect, say: say(connect().send("GetTopology")))
        other()
        wait_for(lambda: self.looks() == [NOBODY, OTHER], "another user's look")
        third = self.as_user(THIRD, lambda connect, say: say(connect().send("GetTopology")))
        third()
        root = self.connect()
        serial = root.send("GetTopology")
        wait_for(lambda: self.looks() == [NOBODY, OTHER, 0], "root's look")
        # His other fifteen are one question, and the third user's comes before it.
        os.unlink(self.path(f"play/slow-looks-of-{NOBODY}"))
        wait_for(lambda: self.looks()[3:] == [THIRD], "the third user's look")
        for uid in (OTHER, THIRD, 0):
            os.unlink(self.path(f"play/slow-looks-of-{uid}"))
        self.assertEqual(root.answer(serial).kind, 2)
        self.assertEqual(heard(), [2] * 16)
        self.assertEqual(self.looks()[4:], [NOBODY])

    def test_asked_by_many_made_once(self):
        """All who ask while a look is under way get the same next one."""
        self.write("play/log-looks", "")
        self.write("play/slow-looks", "")
        first = self.connect()
        serial = first.send("GetTopology")
        wait_for(self.looks, "the first look")
        calls = [(c, c.send("GetTopology")) for c in [self.connect() for _ in range(100)]]
        last = self.connect()
        last.answer(last.send("Cancel", "s", ("9",)))  # a new connection after the others: they are known, and their calls are in the queue
        os.unlink(self.path("play/slow-looks"))
        self.assertEqual(first.answer(serial).kind, 2)
        self.assertEqual({c.answer(s).text for c, s in calls}, {json.dumps({**json.loads(self.read("play/machine.json")), "filling": ""})})
        self.assertEqual(self.looks(), [0, 0])

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def test_nothing_is_made_in_the_loop(self):
        """What is asked for after a long history is answered before it."""
        self.stop_daemon()
        self.write_history(1000)
        self.start_daemon()
        c = self.connect()
        c.answer(c.send("Cancel", "s", ("9",)))  # the daemon knows the connection now
        history = c.send("OpenHistory", "u", (0,))
        ping = c.send("Ping", interface="org.freedesktop.DBus.Peer")
        answers = [c.next(), c.next()]
        self.assertEqual([m.reply_to for m in answers], [ping, history])
        with self.assertRaises(harness.BusError) as refused:
            self.manager("GetHistory", "0")
        self.assertEqual(refused.exception.name, "TooLarge")
        self.assertIn("Open", refused.exception.message)
        self.assertEqual(len(self.json_of("GetHistory", "u", "5")["removals"]), 5)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs another user")
    def test_unread_streams(self):
        """Two long answers of a user may lie unread, over all his connections."""
        self.write("play/filling", "x" * 1000000)

        def work(connect, say):
            for _ in range(3):
                c = connect()
                answer = c.answer(c.send("OpenTopology"))
                say((answer.kind, answer.error, answer.text))

        heard = self.as_user(NOBODY, work)
        self.assertEqual([heard()[0] for _ in range(2)], [2, 2])
        kind, error, text = heard()
        self.assertEqual((kind, error), (3, "org.saferemove1.Error.Busy"))
        self.assertIn("Read them, then ask again", text)
        result = subprocess.run([os.environ["SAFE_REMOVE"], "list", "--json"], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_unread_bytes(self):
        """What users leave unread has an end in bytes as well: the one who leaves most gives way to another."""
        self.write("play/filling", "x" * 7000000)

        def leave(connect, say):
            c = connect()
            say([c.answer(c.send("OpenTopology"), 60).error for _ in range(2)])
            wait_for(lambda: os.path.exists(self.path("play/read")), "the word")
            texts = [os.fdopen(descriptor, "rb").read() for descriptor in c.descriptors]
            say(sorted(len(text) > 7000000 for text in texts))

        def read(connect, say):
            c = connect()
            say(c.answer(c.send("OpenTopology"), 60).error)
            with os.fdopen(c.descriptors.pop(), "rb") as stream:
                say(len(json.loads(stream.read())["filling"]))
            while not os.path.exists(self.path("play/longer")):
                time.sleep(0.01)
            answer = c.answer(c.send("OpenTopology"), 60)
            say((answer.error, answer.text))

        left = self.as_user(NOBODY, leave)
        self.assertEqual(left(), [None, None])
        heard = self.as_user(OTHER, read)
        self.assertIsNone(heard())
        self.assertEqual(heard(), 7000000)
        self.write("play/read", "")
        self.assertEqual(left(), [False, True])
        self.write("play/filling", "x" * 13000000)
        self.write("play/longer", "")
        error, text = heard()
        self.assertEqual(error, "org.saferemove1.Error.Failed")
        self.assertIn("longer than 12 MiB", text)
        root = self.connect()
        self.assertIsNone(root.answer(root.send("OpenTopology"), 60).error)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_reasons_count(self):
        """Whoever has been told a lot of reasons is told so; another user gets his."""
        self.write("play/reason", "x" * 3000000)

        def ask(connect, say):
            c = connect()
            for _ in range(2):
                say(c.answer(c.send("Verify", "s", ("9",)), 60).error)

        heard = self.as_user(NOBODY, ask)
        self.assertEqual([heard() for _ in range(2)], ["org.saferemove1.Error.UnknownName", "org.saferemove1.Error.Busy"])
        self.assertEqual(self.as_user(OTHER, ask)(), "org.saferemove1.Error.UnknownName")

    def test_long_calls(self):
        for member, signature, arguments in (("PlanRemoval", "sa{sv}", ("x" * 1000000, {})), ("Cancel", "s", ("x" * 1000000,)),
                                             ("PlanSeveral", "asa{sv}", (["y" * 100] * 10000, {}))):
            c = self.connect()
            answer = c.answer(c.send(member, signature, arguments))
            self.assertEqual(answer.error, "org.saferemove1.Error.BadOption", member)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs another user")
    def test_who_hears_what(self):
        """Reasons and plans go to root, who has asked for them; everybody hears counts and states."""
        root = self.connect()
        self.assertEqual(root.answer(root.send("Subscribe")).kind, 2)

        def listen(connect, say):
            c = connect()
            c.subscribe()
            say(c.answer(c.send("Subscribe")).error)
            events = []
            while not events or events[-1]["type"] != "end":
                message = c.next(60)
                if message.text.startswith('{"'):
                    events.append(json.loads(message.text))
            report = json.loads(c.answer(c.send("GetReport", path=f"{ROOT}/removal/_31", interface=f"{harness.NAME}.Removal")).text)
            say((events, report))

        heard = self.as_user(NOBODY, listen)
        self.assertEqual(heard(), "org.saferemove1.Error.NotAuthorized")
        self.write("play/script", "step hold\nstuck\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "stuck")
        events, report = heard()
        public = {key for event in events for key in event}
        self.assertFalse(public & {"plan", "public", "message", "remedy", "lost", "disturbed", "text"}, public)
        self.assertEqual([e["steps"] for e in events if e["type"] == "plan"], [1])
        self.assertEqual((report["message"], report["lost"], report["plan"]), ("public", [], {"digest": "d1", "withheld": True}))
        self.assertEqual((report["disturbed"], self.report(removal)["disturbed"]), ([], ["process 813 (cat) of user 1000: SIGKILL"]))
        self.assertEqual(self.report(removal)["lost"], ["process 812 (dd) was ended"])
        mine = []
        while not mine or mine[-1]["type"] != "end":
            message = root.next(60)
            if message.text.startswith('{"'):
                mine.append(json.loads(message.text))
        self.assertEqual([e["type"] for e in mine], [e["type"] for e in events])
        self.assertEqual(mine[-1]["lost"], ["process 812 (dd) was ended"])
        self.assertEqual(mine[-1]["disturbed"], ["process 813 (cat) of user 1000: SIGKILL"])
        self.assertIn("write it", [e.get("text") for e in mine])
        self.assertFalse([e for e in mine if "plan" in e or "public" in e])

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_what_others_see(self):
        """Of a closed folder its owner and root see the name of a file, others do not: the history and the certificate say so."""
        closed = self.path("closed")
        os.mkdir(closed, 0o700)
        os.chown(closed, OTHER, OTHER)
        secret = closed + "/secret/file"
        os.mkdir(closed + "/secret")
        self.write_history(1)
        with open(self.path("state/removals/1/journal"), "a") as f:
            f.write(json.dumps({"ev": "end", "outcome": "restored", "code": "failed", "usec": 5, "message": f"process 7 (x) maps {secret}",
                                "remedy": [f"lsof '{secret}'"], "lost": [f"{secret}: gone"]}) + "\n")
        certificate = {"schema": "safe-remove/certificate/1", "removal": "1", "chain": {"number": 1, "previous_removal": None, "previous": None},
                       "lost": [f"{secret}: gone"], "records": {}, "by": {"uid": OTHER, "comm": "x"}}
        text = json.dumps(certificate, separators=(",", ":"))
        self.write("state/removals/1/certificate.json", f'{text[:-1]},"sha256":"{hashlib.sha256(text.encode()).hexdigest()}"}}\n')

        def read(connect, say):
            c = connect()
            say([c.answer(c.send(*method)).text for method in (("GetHistory", "u", (0,)), ("GetCertificate", "s", ("1",)))])

        for uid, sees in ((NOBODY, False), (OTHER, True)):
            for text in self.as_user(uid, read)():
                self.assertEqual("secret" in text, sees, text)
                self.assertEqual("withheld" in text, not sees, text)
        self.assertIn(f"maps {secret}", self.json_of("GetHistory", "u", "0")["removals"][0]["message"])

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_no_addresses(self):
        """Where memory lies is in no history, certificate, report or event for others than root, whoever has it: /proc/iomem has zeros for them."""
        address, said = "0x490000000-0x4afffffff", "0x490000000-0x4afffffff cannot go"
        self.write_history(1)
        with open(self.path("state/removals/1/journal"), "a") as f:
            f.write(json.dumps({"ev": "end", "outcome": "stuck", "code": "stuck", "usec": 5, "message": said, "remedy": [said], "lost": [said]}) + "\n")
        certificate = {"schema": "safe-remove/certificate/1", "removal": "1", "chain": {"number": 1, "previous_removal": None, "previous": None},
                       "lost": [said], "records": {"evidence": [said]}, "by": {"uid": OTHER, "comm": "x"}}
        text = json.dumps(certificate, separators=(",", ":"))
        self.write("state/removals/1/certificate.json", f'{text[:-1]},"sha256":"{hashlib.sha256(text.encode()).hexdigest()}"}}\n')
        self.stop_daemon()
        self.start_daemon()
        self.write("play/script", f"step hold\nstuck-at {said}\n")

        def read(connect, say):
            c = connect()
            c.subscribe()
            said = [c.answer(c.send(*method)).text for method in (("GetHistory", "u", (0,)), ("PageHistory", "su", ("", 0)), ("GetCertificate", "s", ("1",)))]
            say("reads")
            while '"type":"end"' not in said[-1].replace(" ", ""):
                said.append(c.next(60).body)
            said.append(c.answer(c.send("GetReport", path=f"{ROOT}/removal/_32", interface=f"{harness.NAME}.Removal")).text)
            say(said)

        heard = [self.as_user(uid, read) for uid in (NOBODY, OTHER)]
        self.assertEqual([h() for h in heard], ["reads"] * 2)
        self.assertEqual(self.wait_end(self.remove("2")), "stuck")
        for h in heard:
            texts = h()
            self.assertGreater(len(texts), 5)
            self.assertEqual(["0x4" in text for text in texts], [False] * len(texts), texts)
            self.assertEqual(["?-? cannot go" in text for text in texts[:3]], [True] * 3)
        self.assertIn(address, self.json_of("GetHistory", "u", "0")["removals"][-1]["message"])
        self.assertIn(address, self.report(f"{ROOT}/removal/_32")["message"])

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_nobody_reads(self):
        """Answers of a mebibyte that are not read are kept once, and not for long; others get theirs."""
        self.write("play/filling", "x" * 1000000)
        self.remove("2")
        self.manager("Cancel", "'2'")
        self.json_of("GetHistory", "u", "0")
        idle = self.resident()

        def deaf(connect, say):
            connections = [connect() for _ in range(200)]
            for c in connections:
                c.subscribe()
            for _ in range(12):
                for c in connections:
                    c.send("OpenTopology")
                    c.send("GetTopology")
                    c.send("GetManagedObjects", **OBJECTS)
                    c.send("GetReport", path=f"{ROOT}/removal/_31", interface=f"{harness.NAME}.Removal")
            say("sent")

        heard = self.as_user(NOBODY, deaf)
        self.assertEqual(heard(), "sent")
        for _ in range(3):
            with self.assertRaises(harness.BusError) as refused:
                self.manager("GetTopology")
            self.assertEqual(refused.exception.name, "TooLarge")
        removal = self.remove("2")
        self.manager("Cancel", "'2'")
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertLess(self.resident() - idle, 20 * 1024)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_said_in_replies(self):
        """What is said at once to one user has an end: whoever does not read it leaves it with the bus. Others, and root, are told theirs."""
        def ask(connect, say):
            c = connect()
            answers = [c.answer(c.send("GetManagedObjects", **OBJECTS))]
            for _ in range(60): # the bus itself has an end to what waits for its reply
                for _ in range(100):
                    c.send("GetManagedObjects", **OBJECTS)
                answers += [c.next(60) for _ in range(100)]
            say(sum(a.kind == 2 for a in answers))
            say({(a.error, a.text) for a in answers if a.kind != 2})

        heard = self.as_user(NOBODY, ask)
        told, refused = heard(), heard()
        self.assertGreater(told, 500)
        self.assertEqual([error for error, _ in refused], ["org.saferemove1.Error.Busy"])
        self.assertIn("Ask again in a few seconds", refused.pop()[1])

        def ask_once(connect, say):
            c = connect()
            say(c.answer(c.send("GetManagedObjects", **OBJECTS)).kind)

        self.assertEqual(self.as_user(OTHER, ask_once)(), 2)
        root = self.connect()
        for _ in range(3000):
            self.assertEqual(root.answer(root.send("GetManagedObjects", **OBJECTS)).kind, 2)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_flood(self):
        """10,000 calls of every method over 1,000 connections: root's are answered in their middle, a press too."""
        self.stop_daemon()
        self.write_history(1000)
        self.start_daemon()
        removal = self.remove("2")
        self.json_of("GetHistory", "u", "1")
        idle = self.resident()
        self.write("play/slow-looks", "")  # so that the flood is not over before anything else is asked

        def flood(connect, say):
            connections = [connect() for _ in range(1000)]
            say("connected")
            for i in range(10):
                for k, c in enumerate(connections):
                    c.send(*EVERY_METHOD[(i + k) % len(EVERY_METHOD)])
                if i == 0:
                    say("begun")
            say("sent")
            say(sum(c.next(60) is not None for _ in range(10) for c in connections))

        heard = self.as_user(NOBODY, flood)
        self.assertEqual(heard(), "connected")
        self.assertEqual(heard(), "begun")
        self.kernel_says("Slot(3): Button press: will power off in 5 sec", "0000:0c:01.0", 10)
        root = self.connect()
        answer = root.answer(root.send("Cancel", "s", ("9",)))
        self.assertEqual(answer.error, "org.saferemove1.Error.NotRunning", answer.text)
        cancelled = subprocess.run([os.environ["SAFE_REMOVE"], "cancel", "2"], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual(cancelled.returncode, 0, cancelled.stderr)
        self.assertEqual(self.get(removal, "Removal", "Outcome"), "restored")
        wait_for(lambda: [r for r in self.get(ROOT, "Manager", "Removals") if self.get(r, "Removal", "Slot") == "3"], "the press to be served")
        self.assertEqual(heard(), "sent")
        self.assertEqual(self.json_of("GetHistory", "u", "1")["removals"][0]["id"], "1002")
        os.unlink(self.path("play/slow-looks"))
        self.assertEqual(heard(), 10000)
        self.assertLess(self.resident() - idle, 20 * 1024)
        self.write("play/go", "")


if __name__ == "__main__":
    harness.main()
