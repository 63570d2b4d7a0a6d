#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restorations over the bus: as removals, but for what they are called, and by themselves where the policy says so."""
import fcntl
import json
import os
import subprocess

import harness
from harness import BusError, BusTest, ROOT, send_device_event, slot, wait_for


class RestoreTest(BusTest):
    def setUp(self):
        super().setUp()
        self.write("play/restore-script", "step release\nstep delete-region\nstep hold\n")

    def restore(self, target, options="{}", **more):
        return self.manager("Restore", f"'{target}'", options, **more).split("'")[1]

    def look(self, slots):
        """The machine changes, and the kernel says so."""
        self.write_machine(slots)
        send_device_event("add", "/devices/virtual/mem9", "cxl")
        for s in slots:
            wait_for(lambda s=s: self.slot(s["name"], "Occupied") == s["occupied"], f"slot {s['name']}")

    def requests(self, verb):
        return [json.loads(line.removeprefix(verb + " ")) for line in self.worker_log() if line.startswith(verb + " ")]

    def policy(self, text):
        os.makedirs(self.path("etc"), exist_ok=True)
        self.write("etc/safe-remove.conf", "[Removal]\n" + text)


class Restore(RestoreTest):
    def test_records_hang(self):
        """Whether a card that has come is one that was removed a worker finds out: the daemon waits for no file."""
        self.policy("Restore=auto\n")
        os.makedirs(self.path("state/removals/7"))
        self.write("state/removals/7/journal", "")
        journal = self.hang("state/removals/7/journal")
        self.write_machine([slot("2", 0), slot("3", 1), slot("4", 2)])
        send_device_event("add", "/devices/virtual/mem9", "cxl")
        wait_for(lambda: len(self.objects("slot")) == 3, "the new slot")
        wait_for(lambda: fcntl.fcntl(journal, fcntl.F_GETLEASE) != fcntl.F_WRLCK, "somebody who reads it")

    def test_to_the_end(self):
        monitor = self.monitor()
        restoration = self.restore("2", "{'equal_card': <'no'>}")
        self.assertEqual(self.wait_end(restoration), "rebuilt")
        for name, value in (("Kind", "restore"), ("Trigger", "command"), ("Slot", "2"), ("Code", "done"), ("Progress", 1),
                            ("Cancelable", False), ("StepCount", 3)):
            self.assertEqual(self.get(restoration, "Removal", name), value, name)
        self.assertEqual(self.requests("restore")[0]["options"], {"equal_card": "no"})
        self.assertEqual(self.slot("2", "State"), "ready")
        self.assertIn("restoring", [c["State"] for c in monitor.changes("Slot") if "State" in c])
        entry = self.json_of("GetHistory", "u", "0")["removals"][0]
        self.assertEqual((entry["kind"], entry["of"], entry["outcome"]), ("restore", "1", "rebuilt"))
        self.assertEqual(self.get(self.remove("3"), "Removal", "Kind"), "remove")

    def test_plan_touches_nothing(self):
        plan = self.json_of("PlanRestore", "sa{sv}", "2", "0")
        self.assertEqual((plan["kind"], plan["of"]), ("restore", "1"))
        self.assertEqual(self.objects("removal"), {})

    def test_refused_bad_option(self):
        with self.assertRaises(BusError) as refused:
            self.restore("2", "{'equal_card': <true>}")
        self.assertEqual(refused.exception.name, "BadOption")

    def test_only_one_of_both(self):
        self.write("play/restore-script", "step release\nwait go\n")
        restoration = self.restore("2")
        self.assertEqual(self.restore("mem0"), restoration)
        with self.assertRaises(BusError) as refused:
            self.remove("2")
        self.assertEqual(refused.exception.name, "Busy")
        self.assertIn("being restored (restoration 1)", refused.exception.message)
        self.write("play/go", "")
        self.assertEqual(self.wait_end(restoration), "rebuilt")

        os.remove(self.path("play/go"))
        self.write("play/script", "step hold\nwait go\n")
        removal = self.remove("2")
        with self.assertRaises(BusError) as refused:
            self.restore("2")
        self.assertIn("being removed (removal ", refused.exception.message)
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_cancel(self):
        self.write("play/restore-script", "step release\nwait go\nstep hold\n")
        restoration = self.restore("2")
        self.manager("Cancel", "'2'")
        self.assertEqual(self.wait_end(restoration), "incomplete")
        self.assertEqual(self.report(restoration)["lost"], ["offline-memory (write online)"])
        self.assertEqual(self.slot("2", "State"), "ready")

    def test_a_press_calls_it_off(self):
        self.write("play/restore-script", "step release\nwait go\nstep hold\n")
        restoration = self.restore("2")
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", "0000:0c:00.0", 1)
        self.assertEqual(self.wait_end(restoration), "incomplete")
        self.assertIn("button", self.report(restoration)["message"])

    def test_worker_dies(self):
        self.write("play/restore-script", "step release\nstep delete-region\ndie\n")
        self.write("play/resume-script", "step hold\n")
        restoration = self.restore("2")
        self.assertEqual(self.wait_end(restoration), "rebuilt")
        self.assertIn("resume 1 auto", self.worker_log())

    def test_worker_dies_early(self):
        self.write("play/restore-script", "die-early\n")
        self.assertEqual(self.wait_end(self.restore("2")), "refused")

    def test_daemon_dies(self):
        self.write("play/restore-script", "step release\nwait go\n")
        self.write("play/resume-script", "step hold\n")
        restoration = self.restore("2")
        wait_for(lambda: self.get(restoration, "Removal", "Step") == "release", "its first step")
        self.stop_daemon(harness.signal.SIGKILL)
        self.start_daemon()
        self.assertEqual(self.wait_end(restoration), "rebuilt")
        self.assertEqual(self.get(restoration, "Removal", "Kind"), "restore")


class Released(RestoreTest):
    """A memory module in a socket: no port, no lights, and it stays where it is."""
    slots = [slot("2", 0), {**slot("nmem0", 1), "port": None, "service": None, "address": None, "power": "unknown", "power_led": None,
                            "attention_led": None, "card": {"bdf": None, "vendor": None, "device": None, "memdev": None,
                                                            "serial": "8089-a2", "nmem": "nmem0"}}]

    def in_use(self, driver):
        self.write("play/machine.json", json.dumps({"schema": "safe-remove/topology/1", "slots": self.slots, "nd_regions": [
            {"name": "region0", "bus": "ndbus0", "driver": driver, "nmems": ["nmem0"]}]}))

    def test_until_it_is_used_again(self):
        self.write("play/script", "step unmount\nend-as released process 812 (dd) was ended\n")
        removal = self.remove("nmem0")
        self.assertEqual(self.wait_end(removal), "released")
        self.assertIn("Removal 1 of slot nmem0, lost: process 812 (dd) was ended.", self.log())
        self.assertEqual(self.get(removal, "Removal", "Progress"), 1)
        self.assertEqual(self.slot("nmem0", "State"), "released")
        self.in_use(None)
        self.stop_daemon()
        self.start_daemon()
        self.assertEqual(self.slot("nmem0", "State"), "released")
        self.in_use("nd_region")
        send_device_event("change", "/devices/virtual/region0", "nd")
        wait_for(lambda: self.slot("nmem0", "State") == "ready", "its use to be noticed")


class Automatic(RestoreTest):
    def take_out(self):
        """The card shows until the power goes, and not any more when the removal has ended."""
        self.write("play/script", "step hold\nwait power\nstep power-off\n")
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step") == "hold", "its first step")
        without = [slot("2", 0, card=False), *self.slots[1:]]
        self.write_machine(without)
        self.write("play/power", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.look(without)

    def test_card_comes_back(self):
        self.policy("Restore=auto\n")
        self.take_out()
        half = slot("2", 0)
        half["card"].update(memdev=None, serial=None)
        self.look([half, slot("3", 1)])
        self.assertEqual(self.requests("restore"), [])  # the driver is not there yet
        self.look(self.slots)
        wait_for(lambda: self.requests("restore"), "the restoration")
        restoration = f"{ROOT}/removal/_32"
        wait_for(lambda: restoration in self.objects("removal"), "the restoration on the bus")
        self.assertEqual(self.wait_end(restoration), "rebuilt")
        self.assertEqual(self.get(restoration, "Removal", "Trigger"), "insert")
        send_device_event("change", "/devices/virtual/mem9", "cxl")
        self.stop_daemon()
        self.start_daemon()
        self.assertEqual(len(self.requests("restore")), 1)

    def test_answer_is_late(self):
        """A card that was removed after it was asked about, and still sits in its slot, has not come back."""
        self.policy("Restore=auto\n")
        self.stop_daemon()
        self.write("play/slow-came-back", "")
        self.write("play/log-looks", "")
        self.start_daemon()
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        asked = self.worker_log().count("came-back")
        os.unlink(self.path("play/slow-came-back"))
        self.write_machine([slot("2", 0), slot("3", 1), slot("4", 2)])
        send_device_event("add", "/devices/virtual/mem9", "cxl")
        wait_for(lambda: self.worker_log().count("came-back") > asked, "the next question, after that answer")
        self.assertEqual(self.requests("restore"), [])

    def test_while_daemon_is_away(self):
        self.policy("Restore=auto\n")
        self.take_out()
        self.stop_daemon()
        self.write_machine(self.slots)
        self.start_daemon()
        wait_for(lambda: self.requests("restore"), "the restoration")
        wait_for(lambda: f"{ROOT}/removal/_32" in self.objects("removal"), "the restoration on the bus")
        self.assertEqual(self.wait_end(f"{ROOT}/removal/_32"), "rebuilt")

    def late(self, **answer):
        self.write("play/late.new", json.dumps({"waiting": [], "ended": [], **answer}))
        os.rename(self.path("play/late.new"), self.path("play/late"))

    def test_late_write(self):
        """A removal got stuck since a write did not come back: the daemon hears when its process ends, and asks once what is to be done."""
        writer = subprocess.Popen(["sleep", "600"])
        self.addCleanup(writer.kill)
        self.write("play/log-late", "")
        self.write("play/script", "step hold\nstuck\n")
        self.late(waiting=[{"id": "1", "pid": writer.pid}])
        self.assertEqual(self.wait_end(self.remove("2")), "stuck")
        wait_for(lambda: self.worker_log().count("late") >= 1, "the question after the end")
        asked = self.worker_log().count("late")
        self.assertEqual(self.requests("restore"), [])
        self.late(ended=[{"id": "1", "slot": "2", "do": "restore"}])
        writer.kill()
        writer.wait()
        wait_for(lambda: f"{ROOT}/removal/_32" in self.objects("removal"), "the restoration on the bus")
        self.assertEqual(self.wait_end(f"{ROOT}/removal/_32"), "rebuilt")
        self.assertEqual(self.get(f"{ROOT}/removal/_32", "Removal", "Trigger"), "late")
        self.assertGreater(self.worker_log().count("late"), asked)
        self.write("play/script", "step hold\nstuck\n")
        self.assertEqual(self.wait_end(self.remove("3")), "stuck")
        wait_for(lambda: self.worker_log().count("late") > asked + 1, "the next question")
        self.assertEqual([r["trigger"] for r in self.requests("restore")], ["late"])

    def test_late_write_finished(self):
        """While the daemon was away: it looks when it starts. What is left of one whose power went is a removal's."""
        self.stop_daemon()
        self.late(ended=[{"id": "1", "slot": "2", "do": "remove"}])
        self.start_daemon()
        wait_for(lambda: self.requests("run"), "the removal")
        request = self.requests("run")[0]
        self.assertEqual((request["trigger"], request["target"], request["by"]["uid"]), ("late", "2", None))

    def test_in_another_slot(self):
        self.policy("Restore=auto\n")
        self.slots = [slot("2", 0), slot("3", 1, card=False)]
        self.look(self.slots)
        self.take_out()
        moved = slot("3", 1)
        moved["card"]["serial"] = "0x1"
        self.look([slot("2", 0, card=False), moved])
        wait_for(lambda: self.requests("restore"), "the restoration")
        self.assertEqual(self.requests("restore")[0]["target"], "3")

    def test_not_unasked(self):
        self.take_out()
        self.look(self.slots)
        self.stop_daemon()
        self.start_daemon()
        self.assertEqual(self.requests("restore"), [])


if __name__ == "__main__":
    harness.main()
