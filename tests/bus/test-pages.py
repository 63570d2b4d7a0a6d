#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Long documents page by page, for those who cannot be handed a descriptor."""
import json
import os
import subprocess
import unittest

import harness
from harness import NOBODY, NAME
from users import OTHER, UsersTest

REPLY_MAX = 64 * 1024


def holder(i):
    return {"kind": "mapping", "pid": 1000 + i, "start_time": i, "comm": f"c{i}", "exe": "/usr/bin/c", "unit": None, "uid": OTHER, "bytes": 4096, "what": f"/srv/f{i}"}


class Pages(UsersTest):
    script = "step hold\nwait go\nstep power-off\n"

    def removal_with_plan(self, **more):
        removal = self.remove("2")
        plan = {"schema": "safe-remove/plan/1", "digest": "d1", "verdict": "ready", "holders": [holder(i) for i in range(3000)], "blockers": [],
                "warnings": [{"code": "POLICY", "what": "w"}], "steps": [{"n": 0, "name": "hold", "args": None}, {"n": 1, "name": "x", "args": "a" * 200000}], **more}
        self.write("state/removals/1/plan.json", json.dumps(plan))
        return removal, plan

    def page(self, removal, *arguments):
        said = subprocess.run(["busctl", f"--address=unix:path={self.bus()}", "--json=short", "call", NAME, removal, f"{NAME}.Removal", "GetPage", "suu",
                               *map(str, arguments)], capture_output=True, text=True, timeout=harness.PATIENCE * 3)
        self.assertEqual(said.returncode, 0, said.stderr)
        text = json.loads(said.stdout)["data"][0]
        self.assertLessEqual(len(text), REPLY_MAX)
        return json.loads(text)

    def test_all_of_them(self):
        """By busctl: all pages together are what is on record, none is too long, and one that is goes without what is long in it."""
        removal, plan = self.removal_with_plan()
        holders = []
        while len(holders) < 3000:
            page = self.page(removal, "holders", len(holders), 0)
            self.assertEqual((page["total"], page["first"], page["digest"]), (3000, len(holders), "d1"))
            named = self.page(removal, page["list"], len(holders), 1)
            self.assertEqual(named["items"], page["items"][:1])
            self.assertTrue(page["items"])
            holders += page["items"]
        self.assertEqual(holders, plan["holders"])
        self.assertEqual([h["pid"] for h in self.page(removal, "holders", 7, 2)["items"]], [1007, 1008])
        self.assertEqual(self.page(removal, "holders", 3000, 5)["items"], [])
        self.assertEqual(self.page(removal, "warnings", 0, 0)["items"], plan["warnings"])
        self.assertEqual(self.page(removal, "blockers", 0, 0)["total"], 0)
        self.assertEqual(self.page(removal, "steps", 0, 0)["items"], [plan["steps"][0], {"n": 1, "name": "x", "left_out": ["args"]}])
        c = self.connect()
        answer = c.answer(c.send("GetPage", "suu", ("nothing", 0, 0), path=removal, interface=f"{NAME}.Removal"))
        self.assertEqual(answer.error, f"{NAME}.Error.BadOption")

    def test_list_that_changes(self):
        """How much each of them has may be another number by the next page; who stands where may not."""
        removal, plan = self.removal_with_plan()
        first = self.page(removal, "holders", 0, 1)
        plan["holders"][7]["bytes"] = 1
        self.write("state/removals/1/plan.json", json.dumps(plan))
        self.assertEqual(self.page(removal, first["list"], 7, 1)["items"], plan["holders"][7:8])
        plan["holders"][7]["pid"] = 1
        self.write("state/removals/1/plan.json", json.dumps(plan))
        c = self.connect()
        answer = c.answer(c.send("GetPage", "suu", (first["list"], 7, 1), path=removal, interface=f"{NAME}.Removal"))
        self.assertEqual(answer.error, f"{NAME}.Error.Stale")

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs other users")
    def test_for_whom(self):
        """A page has of others what a plan shows of them, and so has the name of its list."""
        removal, _ = self.removal_with_plan()
        names = set()

        def work(connect, say):
            c = connect()
            say([json.loads(c.answer(c.send("GetPage", "suu", (what, 0, 1), path=removal, interface=f"{NAME}.Removal")).text) for what in ("holders", "steps")])

        for uid, sees in ((NOBODY, False), (OTHER, True)):
            holders, steps = self.as_user(uid, work)()
            self.assertEqual(holders["items"][0].get("exe") == "/usr/bin/c", sees)
            self.assertEqual(holders["items"][0]["pid"], 1000)
            names.add(holders["list"])
            self.assertTrue(steps["withheld"])
        self.assertEqual(len(names), 2)

    def test_history(self):
        """From a removal on, older ones, and so to the end."""
        self.write_history(300)
        seen, before, c = [], "", self.connect()
        while True:
            text = c.answer(c.send("PageHistory", "su", (before, 0))).text
            self.assertLessEqual(len(text), REPLY_MAX)
            removals = json.loads(text)["items"]
            if not removals:
                break
            seen += [int(r["id"]) for r in removals]
            before = str(seen[-1])
        self.assertEqual(seen, list(range(300, 0, -1)))

    def test_plan_not_run(self):
        """The worker is asked for one page of the plan."""
        c = self.connect()
        c.answer(c.send("PagePlanRemoval", "sa{sv}suu", ("2", {}, "steps", 3, 4)))
        asked = [json.loads(line.removeprefix("plan ")) for line in self.worker_log() if line.startswith("plan ")]
        self.assertEqual(asked[-1]["page"], {"what": "steps", "first": 3, "most": 4})

    def test_plan_that_has_changed(self):
        """Pages are of the plan that was looked at: with another one's digest there is none."""
        plan = self.plan_of_machine
        whole = plan()
        page = plan(page={"what": "steps", "first": 1, "most": 2}, options={"digest": whole["digest"]})
        self.assertEqual((page["items"], page["total"], page["digest"]), (whole["steps"][1:3], len(whole["steps"]), whole["digest"]))
        self.assertEqual(plan(page={"what": "steps", "first": 1, "most": 2}, options={"digest": "0" * 64})["code"], "stale")

        # The list itself, of which the digest may say nothing, has a name.
        for what in ("holders", "steps"):
            first = plan(page={"what": what, "first": 0, "most": 1})
            self.assertRegex(first["list"], f"^{what}@[0-9a-f]{{32}}$")
            again = plan(page={"what": first["list"], "first": 1, "most": 0})
            self.assertEqual((again["what"], again["list"], first["items"] + again["items"]), (what, first["list"], whole[what]))
            gone = plan(page={"what": first["list"][:-1] + ("1" if first["list"].endswith("0") else "0"), "first": 1, "most": 0})
            self.assertEqual(gone["code"], "stale")
            self.assertIn("begin again with its first page", gone["message"])
        self.assertNotEqual(plan(page={"what": "warnings", "first": 0, "most": 1})["list"], first["list"])


if __name__ == "__main__":
    harness.main()
