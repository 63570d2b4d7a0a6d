#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A self-test over the bus: a removal with an option, which serves nobody who wants the card out, and ends in words of its own."""
import json
import os

import harness
from harness import BusError, BusTest, send_device_event, slot, wait_for

LIGHTS = {"power": "off", "attention": "on"}
STEPS = [{"n": 0, "name": "hold", "does": "hold it", "undo": "give it back", "args": {}},
         {"n": 1, "name": "test-lights", "does": "show them", "undo": "as before", "args": {"number": 2, "power_indicator": True}}]


class SelfTest(BusTest):
    def requests(self):
        return [json.loads(line.removeprefix("run ")) for line in self.worker_log() if line.startswith("run ")]

    def refused(self, options):
        with self.assertRaises(BusError) as refused:
            self.remove("2", options)
        return refused.exception

    def test_to_the_end(self):
        self.write("play/script", "step hold\nend-as tested\n")
        monitor = self.monitor()
        self.assertEqual(self.wait_end(self.remove("2", "{'self_test': <'held'>}")), "tested")
        self.assertEqual(self.requests()[0]["options"], {"self_test": "held"})
        self.assertEqual((self.slot("2", "State"), self.slot("2", "LastOutcome")), ("ready", "tested"))
        self.assertEqual([e["outcome"] for e in monitor.events() if e["type"] == "end"], ["tested"])

    def test_serves_no_removal(self):
        """Nor is one that runs a test; both say so, whatever else is asked for."""
        self.write("play/script", "step hold\nwait go\n")
        for running, others in (("{'self_test': <'held'>}", ("{}", "{'digest': <'d1'>}", "{'self_test': <'power'>}")), ("{}", ("{'self_test': <'held'>}",))):
            removal = self.remove("2", running)
            wait_for(lambda: self.report(removal)["plan"], "the plan")
            self.assertEqual(self.remove("2", running), removal)
            for options in others:
                self.assertEqual(self.refused(options).name, "Busy", (running, options))
            self.write("play/go", "")
            self.wait_end(removal)
            os.unlink(self.path("play/go"))

    def test_restored_unasked(self):
        """With Restore=auto a card that has got its power back, and no other: what was put back already is not put back once more."""
        os.makedirs(self.path("etc"), exist_ok=True)
        self.write("etc/safe-remove.conf", "[Removal]\nRestore=auto\n")
        self.write("play/log-looks", "")
        self.write("play/restore-script", "step release\n")
        for number, (code, restored) in enumerate((("tested", 0), ("powered", 1)), 1):
            self.write("play/script", "step hold\nend-as tested\n")
            self.wait_end(self.remove("2", "{'self_test': <'held'>}"))
            journal = f"state/removals/{number}/journal"
            with open(self.path(journal)) as f:
                text = f.read()
            self.assertIn('"code": "done"', text)
            self.write(journal, text.replace('"code": "done"', f'"code": "{code}"'))
            for card in (False, True):
                asked = self.worker_log().count("came-back")
                self.write_machine([slot("2", 0, card=card), slot("3", 1)])
                send_device_event("add", "/devices/virtual/mem9", "cxl")
                wait_for(lambda card=card: self.slot("2", "Occupied") == card, "slot 2")
            wait_for(lambda asked=asked: self.worker_log().count("came-back") > asked, "somebody who looks whether it came back")
            count = lambda: len([line for line in self.worker_log() if line.startswith("restore ")])  # noqa: E731
            wait_for(lambda restored=restored: count() == restored, "the restoration")

    def test_wrong_type(self):
        self.assertEqual(self.refused("{'self_test': <true>}").name, "BadOption")

    def record(self, number, plan, *records):
        folder = self.path(f"state/removals/{number}")
        os.makedirs(folder)
        self.write(f"state/removals/{number}/plan.json", json.dumps({"schema": "safe-remove/plan/1", "blockers": [], "warnings": [], **plan}))
        self.write(f"state/removals/{number}/journal", "".join(json.dumps({"usec": 1000 * n, **r}) + "\n" for n, r in enumerate(records, 1)))

    def report_of(self, number):
        return self.json_of("GetTestReport", "s", str(number))

    def test_report(self):
        """Made of the records; without names, numbers and whoever is in the way."""
        card = {"bdf": "0000:0d:00.0", "serial": "0xabcdef12", "memdev": "mem1"}
        plan = {"self_test": "power", "slot": {"name": "2", "port": "0000:0c:00.0"}, "card": card, "steps": STEPS}
        start = {"ev": "start", "kernel": "6.1", "version": "1", "host": "secrethost", "slot": "2"}
        note = {"ev": "note", "n": 1, "note": {"asked": LIGHTS, "read": LIGHTS}}
        end = {"ev": "end", "outcome": "tested", "code": "powered", "message": "memory device 0xabcdef12 is on again", "lost": []}
        self.record(7, plan, start, {"ev": "do", "n": 1}, note, {"ev": "done", "n": 1}, end)
        report = self.report_of(7)
        self.assertEqual((report["schema"], report["verdict"], report["with_power"]), ("safe-remove/self-test/1", "unfinished", True))
        self.assertEqual(report["lights"], [{"step": "test-lights", "asked": LIGHTS, "read": LIGHTS}])
        self.assertEqual(report["steps"][1]["do_usec"], 2000)
        self.assertEqual(report["card"]["serial"], "0x1")
        self.assertEqual(report["message"], "memory device 0x1 is on again")
        self.record(8, {"kind": "restore", "of": "7", "steps": []}, start, {
            "ev": "end", "outcome": "rebuilt", "code": "done", "message": "", "lost": ["process 812 (secretd) has no memory at /srv/secretdata"]})
        text = json.dumps(self.report_of(7))
        self.assertEqual(self.report_of(7)["verdict"], "failed")
        for secret in ("secret", "abcdef12", "812"):
            self.assertNotIn(secret, text)
        self.record(9, {"kind": "restore", "of": "7", "steps": []}, start, {"ev": "end", "outcome": "rebuilt", "code": "done", "message": "", "lost": []})
        self.assertEqual(self.report_of(7)["verdict"], "passed")

    def test_no_report(self):
        self.record(7, {"steps": STEPS}, {"ev": "start"})
        for number in ("7", "8", "x", ""):
            with self.assertRaises(BusError) as refused:
                self.manager("GetTestReport", f"'{number}'")
            self.assertEqual(refused.exception.name, "UnknownName", number)


if __name__ == "__main__":
    harness.main()
