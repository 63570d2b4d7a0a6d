#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is said as values of the bus's own types, and the clients that others have: busctl, gdbus, python3-dbus."""
import glob
import json
import os
import re
import signal
import subprocess
import time
import unittest

import harness
from harness import NAME, NOBODY, ROOT, SOURCE, wait_for
from users import OTHER, UsersTest

CLIENT = f"{SOURCE}/docs/examples/fleet-client.py"
SYSTEM_PYTHON = "/usr/bin/python3"  # which Debian's modules are for
LISTS = {"ListSteps": "steps", "ListBlockers": "blockers", "ListWarnings": "warnings", "ListHolders": "holders"}


def has_dbus():
    return subprocess.run([SYSTEM_PYTHON, "-c", "import dbus"], capture_output=True).returncode == 0


def step(s):
    return [s["n"], s["name"], s["does"], s["undo"] or "", s["reversible"]]


def blocker(b):
    return [b["code"], b["severity"], b["what"], b.get("evidence") or "", b.get("remedy") or []]


def holder(h):
    return [h["pid"], h.get("start_time") or 0, h["kind"], 0xffffffff if h["uid"] is None else h["uid"], *(h.get(k) or "" for k in ("comm", "exe", "unit", "cgroup")),
            [[x["way"], x["target"] or "", x["path"] or "", x["bytes"]] for x in h.get("holds") or []], h.get("on_remove") or []]


AS_DOCUMENT = {"steps": step, "blockers": blocker, "warnings": blocker, "holders": holder}


class Typed(UsersTest):
    script = "step hold\nwait go\nstep power-off\n"

    def say(self, path, interface, *call):
        """The values of the reply, without the types: a variant becomes what is in it."""
        def plain(o):
            if isinstance(o, dict):
                return plain(o["data"]) if set(o) == {"type", "data"} else {k: plain(v) for k, v in o.items()}
            return [plain(x) for x in o] if isinstance(o, list) else o
        return plain(self.busctl("call", NAME, path, f"{NAME}.{interface}", *map(str, call)))

    def removal_with(self, plan):
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its record")
        self.write("state/removals/1/plan.json", json.dumps(plan))
        return removal

    def all_pages(self, removal, member):
        items, name, total = [], "", 1
        while len(items) < total:
            _, name, total, page = self.say(removal, "Removal", member, "suu", name, len(items), 0)
            self.assertTrue(page or total == 0)
            items += page
        return items

    def test_lists_of_recorded_plans(self):
        """All that the golden plans have in their lists, in one: the values are what the document says."""
        plan = {"schema": "safe-remove/plan/1", "digest": "d1", "verdict": "ready", **{what: [] for what in AS_DOCUMENT}}
        for name in sorted(glob.glob(f"{SOURCE}/tests/plans/*.json")):
            with open(name) as f:
                golden = json.load(f)
            for what, items in plan.items():
                if what in AS_DOCUMENT:
                    items += [x for x in golden.get(what) or [] if x not in items]
        self.assertTrue(all(len(plan[what]) > 10 for what in ("steps", "blockers", "warnings")) and plan["holders"])
        removal = self.removal_with(plan)
        for member, what in LISTS.items():
            typed = self.all_pages(removal, member)
            self.assertEqual([item[:-1] for item in typed], [AS_DOCUMENT[what](x) for x in plan[what]], what)

    def test_long_lists(self):
        """Page by page; one that has changed meanwhile says so."""
        plan = {"schema": "safe-remove/plan/1", "digest": "d1", "verdict": "ready", "steps": [], "blockers": [], "warnings": [],
                "holders": [{"kind": "process", "pid": 1000 + i, "start_time": i, "uid": OTHER, "comm": f"c{i}", "exe": "/usr/bin/c", "unit": None, "cgroup": None,
                             "protected": False, "holds": [], "more_holds": 7, "on_remove": ["wait", "term"]} for i in range(3000)]}
        removal = self.removal_with(plan)
        typed = self.all_pages(removal, "ListHolders")
        self.assertEqual([h[:-1] for h in typed], [holder(h) for h in plan["holders"]])
        self.assertEqual(typed[0][-1], {"more_holds": 7, "protected": False})
        digest, name, total, two = self.say(removal, "Removal", "ListHolders", "suu", "", 5, 2)
        self.assertEqual((digest, total, [h[0] for h in two]), ("d1", 3000, [1005, 1006]))
        plan["holders"][0]["pid"] = 1
        self.write("state/removals/1/plan.json", json.dumps(plan))
        for list_, error in ((name, "Stale"), ("steps@" + "0" * 32, "BadOption"), ("holders", "BadOption")):
            with self.assertRaises(harness.BusError) as refused:
                self.call(removal, f"{NAME}.Removal", "ListHolders", f"'{list_}'", "0", "0")
            self.assertEqual(refused.exception.name, error)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_for_whom(self):
        """Others see what the documents show them."""
        mine = {"kind": "process", "pid": 7, "start_time": 9, "uid": OTHER, "comm": "c", "exe": "/usr/bin/c", "unit": None, "cgroup": None, "protected": False,
                "holds": [{"way": "descriptor", "target": None, "path": "/srv/x", "found": "", "bytes": 0}], "more_holds": 0, "on_remove": []}
        removal = self.removal_with({"schema": "safe-remove/plan/1", "digest": "d1", "verdict": "ready", "holders": [mine]})
        for uid, program, held in ((NOBODY, "", []), (OTHER, "/usr/bin/c", [["descriptor", "", "/srv/x", 0]])):
            found = self.busctl("call", NAME, removal, f"{NAME}.Removal", "ListHolders", "suu", "", "0", "0", as_uid=uid)["data"][3][0]
            self.assertEqual((found[0], found[5], found[8]), (7, program, held))

    def test_plan(self):
        """One question to a worker, whoever wants its page how; kinds and names that are none are refused."""
        digest, verdict, kind, slots, serials, eta, steps, blockers, warnings, holders, more = self.say(ROOT, "Manager", "Plan", "sasa{sv}", "remove", 2, "2", "3", 0)
        self.assertEqual((digest, verdict, kind, slots, serials), ("d1", "ready", "remove", ["2", "3"], ["0x1", "0x2"]))
        self.assertEqual((steps, blockers, warnings, holders), (1, 0, 0, 0))
        asked = [json.loads(line.removeprefix("plan ")) for line in self.worker_log() if line.startswith("plan ")]
        self.assertEqual((asked[-1]["targets"], asked[-1]["page"]["what"]), (["2", "3"], "summary"))
        self.assertEqual(self.say(ROOT, "Manager", "Plan", "sasa{sv}", "restore", 1, "2", 0)[2], "restore")
        self.assertEqual(self.say(ROOT, "Manager", "ListPlanSteps", "sasa{sv}suu", "remove", 1, "2", 0, "", 0, 0)[3][0][:2], [0, "hold"])
        for arguments, error in ((("'erase'", "['2']"), "BadOption"), (("'restore'", "['2', '3']"), "BadOption"), (("'remove'", "['9']"), "UnknownName"),
                                 (("'remove'", "@as []"), "MalformedName")):
            with self.assertRaises(harness.BusError) as refused:
                self.manager("Plan", *arguments, "{}")
            self.assertEqual(refused.exception.name, error)

    def test_summary_of_a_machine(self):
        """By the real worker: the summary counts what the plan has."""
        plan = self.plan_of_machine
        whole, page = plan(), plan(page={"what": "summary", "first": 0, "most": 0})
        self.assertEqual((page["total"], page["digest"]), (1, whole["digest"]))
        said = page["items"][0]
        for key in ("digest", "verdict", "eta_usec"):
            self.assertEqual(said[key], whole[key])
        for key in ("steps", "blockers", "warnings", "holders"):
            self.assertEqual(said[key], len(whole[key]))
        self.assertEqual((said["kind"], said["slots"], said["serials"]), ("remove", [whole["slot"]["name"]], [whole["card"]["serial"]]))
        self.assertEqual(said["memory_bytes"], whole["takes_down"]["memory_bytes"])

    def test_slots_and_counts(self):
        slots = {s[1]: s for s in self.say(ROOT, "Manager", "ListSlots")[0]}
        self.assertEqual(slots["2"], [f"{ROOT}/slot/_32", "2", "ready", True, "0000:0d:00.0", "mem0", "0x1", "on", "on", "off", "/", {"held": False, "stale": False}])
        self.assertEqual((self.get(ROOT, "Manager", "SlotCount"), self.get(ROOT, "Manager", "RunningCount")), (2, 0))
        self.assertEqual(self.get(ROOT, "Manager", "InterfaceVersion"), 1)
        self.assertIn("typed-plans", self.get(ROOT, "Manager", "Features"))
        monitor = self.monitor()
        self.write_machine(self.slots[:1])
        self.manager("GetTopology")
        wait_for(lambda: {"SlotCount": 1} in monitor.changes("Manager"), "one slot less")
        removal = self.remove("2")
        self.assertEqual(self.get(ROOT, "Manager", "RunningCount"), 1)
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        wait_for(lambda: [c["RunningCount"] for c in monitor.changes("Manager") if "RunningCount" in c] == [1, 0], "both changes")

    def test_last_result(self):
        """Of a slot, also by the next daemon."""
        self.assertEqual(self.slot("2", "LastOutcome"), "")
        removal = self.remove("2")
        self.manager("Cancel", "'2'")
        self.assertEqual(self.wait_end(removal), "restored")

        def last():
            return [self.slot("2", p) for p in ("LastRemoval", "LastOutcome", "LastCode")]
        self.assertEqual(last(), ["1", "restored", "cancelled"])
        self.stop_daemon()
        self.start_daemon()
        self.assertEqual(last(), ["1", "restored", "cancelled"])

    def test_who_asked(self):
        """By session and unit, to everybody, unless /proc keeps that from others; so also by the next daemon. What asks by itself has none."""
        self.write("play/asker", '{"login_uid": 1000, "audit_session": 7, "session": "c3", "unit": "backup.service"}\n')

        def said(removal):
            return [self.get(removal, "Removal", p) for p in ("ByUid", "BySession", "ByUnit")]
        removal = self.remove("2")
        self.assertEqual(said(removal), [os.geteuid(), "c3", "backup.service"])
        self.stop_daemon(signal.SIGKILL)
        self.start_daemon()
        wait_for(lambda: self.objects("removal"), "the removal to be taken up again")
        self.assertEqual(said(removal), [os.geteuid(), "c3", "backup.service"])
        self.write("play/go", "")
        self.wait_end(removal)
        os.unlink(self.path("play/go"))
        self.write("play/asker", '{"session": "c3", "unit": "backup.service", "private": true}\n')
        removal = self.remove("2")
        self.assertEqual(said(removal), [os.geteuid(), "", ""])

    def test_estimated_end(self):
        """By the plan; where that is over, by what was measured; nobody knows before the first step and after the last."""
        self.write("play/script", "step hold\nwait over\nstep offline-memory\nwait go\nstep power-off\n")
        self.write("play/eta", "300000")
        monitor, begun = self.monitor(), time.time() * 1e6
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step") == "hold", "the first step")
        estimate = self.get(removal, "Removal", "EstimatedEndUsec")
        self.assertTrue(begun < estimate < time.time() * 1e6 + 400000)
        self.assertEqual([self.get(removal, "Removal", p) for p in ("EndedUsec", "Digest", "Verdict", "Warnings")], [0, "d1", "ready", 0])
        wait_for(lambda: time.time() * 1e6 > estimate + 300000, "the estimate to be over")
        self.write("play/over", "")
        wait_for(lambda: self.get(removal, "Removal", "Step") == "offline-memory", "the next step")
        self.assertGreater(self.get(removal, "Removal", "EstimatedEndUsec"), time.time() * 1e6 - 1e6)
        self.assertGreater(self.get(removal, "Removal", "EstimatedEndUsec"), estimate)
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.get(removal, "Removal", "EstimatedEndUsec"), 0)
        self.assertTrue(estimate < self.get(removal, "Removal", "EndedUsec") <= time.time() * 1e6)
        self.assertTrue(any(c.get("EstimatedEndUsec") for c in monitor.changes("Removal")))

    # Documents in pieces.

    def keep(self, *call, as_uid=None):
        return self.busctl("call", NAME, ROOT, f"{NAME}.Manager", *call, as_uid=as_uid)["data"]

    def read_kept(self, number, as_uid=None):
        text = ""
        while piece := self.keep("ReadKept", "u", str(number), as_uid=as_uid)[0]:
            self.assertLessEqual(len(piece.encode()), 64 * 1024)
            text += piece
        return text

    def test_kept(self):
        """What is too long for a reply comes in pieces, of whole characters; when all of it was read it is kept no longer."""
        self.write("play/filling", "x" * 300000)
        self.write_machine(self.slots, odd="é€\U0001f600" * 30000)
        number, size = self.keep("KeepTopology")
        text = self.read_kept(number)
        self.assertEqual(len(text.encode()), size)
        self.assertEqual(json.loads(text)["odd"], "é€\U0001f600" * 30000)
        with self.assertRaises(harness.BusError) as refused:
            self.manager("ReadKept", str(number))
        self.assertEqual(refused.exception.name, "Stale")
        self.assertEqual(json.loads(self.read_kept(self.keep("KeepPlanRemoval", "sa{sv}", "2", "0")[0]))["digest"], "d1")

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_kept_for_whom(self):
        """By its user alone, who may have two of them."""
        number, _ = self.keep("KeepTopology", as_uid=NOBODY)
        for other in (OTHER, None):
            with self.assertRaises(harness.BusError):
                self.keep("ReadKept", "u", str(number), as_uid=other)
        self.keep("KeepTopology", as_uid=NOBODY)
        with self.assertRaises(harness.BusError) as refused:
            self.manager("KeepTopology", as_uid=NOBODY)
        self.assertEqual(refused.exception.name, "Busy")
        self.assertIn("slots", json.loads(self.read_kept(number, as_uid=NOBODY)))
        self.keep("KeepTopology", as_uid=NOBODY)

    # Clients of others.

    @unittest.skipUnless(has_dbus(), "needs python3-dbus")
    def test_python(self):
        """The client in the documentation, as it is there: it lists, plans, removes and follows."""
        env = {**self.env, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.bus()}"}

        def client(*argv):
            return subprocess.run([SYSTEM_PYTHON, CLIENT, *argv], env=env, capture_output=True, text=True, timeout=harness.PATIENCE * 3)
        with open(CLIENT) as f:
            source = f.read()
        self.assertNotIn("json", re.sub(r"without JSON", "", source).lower())
        self.assertLessEqual(len(re.findall(r'(?m)^ *[^#"\s]', source)), 30)  # short enough to be read before it is used
        listed = client("list")
        self.assertEqual((listed.returncode, listed.stdout), (0, "slot 2: ready, card 0x1 at 0000:0d:00.0\nslot 3: ready, card 0x2 at 0000:0e:00.0\n"), listed.stderr)
        planned = client("plan", "2", "3")
        self.assertEqual((planned.returncode, planned.stdout), (0, "slots 2 3: ready, 1 steps, about 0.0 s\n"), planned.stderr)
        removing = self.background([SYSTEM_PYTHON, CLIENT, "remove", "2", "3"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertIn("slots 2 3", removing.stdout.readline())
        self.assertEqual(removing.stdout.readline(), "[1/2] hold\n")
        self.write("play/go", "")
        self.assertIn("slots 2 3: safe (done)", removing.communicate(timeout=harness.PATIENCE * 3)[0])
        self.assertEqual(removing.returncode, 0)

    def test_busctl_and_gdbus(self):
        """They find their way by what the service says of itself."""
        tree = subprocess.run(["busctl", f"--address=unix:path={self.bus()}", "tree", "--list", NAME], capture_output=True, text=True, check=True).stdout.split()
        self.assertIn(f"{ROOT}/slot/_32", tree)
        said = subprocess.run(["busctl", f"--address=unix:path={self.bus()}", "introspect", NAME, ROOT, f"{NAME}.Manager"], capture_output=True, text=True,
                              check=True).stdout
        self.assertRegex(said, r"(?m)^\.ListPlanHolders +method +sasa\{sv\}suu +ssua\(utsussssa\(ssst\)asa\{sv\}\)")
        self.assertRegex(said, r"(?m)^\.SlotCount +property +u +2 ")
        said = subprocess.run(["gdbus", "introspect", "--address", f"unix:path={self.bus()}", "--dest", NAME, "--object-path", ROOT, "--recurse"],
                              capture_output=True, text=True, check=True).stdout
        self.assertIn("readonly s LastOutcome", said)
        self.assertTrue(self.manager("ListSlots").startswith("([(objectpath '/org/saferemove1/slot/_32', '2', 'ready', true, "))
        watching = self.background(["gdbus", "monitor", "--address", f"unix:path={self.bus()}", "--dest", NAME], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.assertIn("Monitoring", watching.stdout.readline())
        self.assertIn("owned by", watching.stdout.readline())
        removal = self.remove("2")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        while "Removal.Completed ('safe', 'done')" not in (line := watching.stdout.readline()):
            self.assertTrue(line)


if __name__ == "__main__":
    harness.main()
