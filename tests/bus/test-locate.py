#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A slot's attention LED blinks so that somebody finds the slot: for its time, and only where the LED has nothing to say itself."""
import json
import os
import signal
import time

import harness
from harness import BusError, BusTest, ROOT, slot, wait_for

SLOT = f"{ROOT}/slot/_32"


class Locate(BusTest):
    slots = [slot("2", 0), slot("3", 1), slot("4", 2, card=False)]
    script = "step hold\nwait go\n"

    def locate(self, sec, name="2"):
        return self.manager("Locate", f"'{name}'", f"uint32 {sec}")

    def refused(self, sec, name="2"):
        with self.assertRaises(BusError) as refusal:
            self.locate(sec, name)
        return refusal.exception.name, refusal.exception.message

    def shown(self, name="2"):
        """(what the LED does, whether it is somebody's wish)"""
        return self.slot(name, "AttentionLed"), self.slot(name, "LocatedUntil") > 0

    def asked(self):
        return [json.loads(line.removeprefix("light "))["attention"] for line in self.worker_log() if line.startswith("light ")]

    def wait_shown(self, attention, located, name="2"):
        wait_for(lambda: self.shown(name) == (attention, located), f"{attention}, {located}\n{self.shown(name)}\n{self.log()}")

    def change_slot(self, name, **what):
        with open(self.path("play/machine.json")) as f:
            slots = json.load(f)["slots"]
        for s in slots:
            if s["name"] == name:
                s.update(what)
        self.write_machine(slots)
        self.json_of("GetTopology")

    def test_time(self):
        """Known by its own property and by events; 0 ends it; what is over is over."""
        monitor = self.monitor()
        before = time.time()
        self.assertEqual(self.locate(600, "slot:2"), f"(objectpath '{SLOT}',)")
        self.assertEqual(self.shown(), ("blink", True))
        self.assertEqual(self.shown("3"), ("off", False))
        until = self.slot("2", "LocatedUntil") / 1e6
        self.assertTrue(before + 590 < until < time.time() + 601, until)
        self.assertEqual(self.call(SLOT, "org.saferemove1.Slot", "Locate", "uint32 0"), "()")
        self.assertEqual(self.shown(), ("off", False))
        self.locate(0)  # as it is
        self.assertEqual(self.asked(), ["blink", "before"])
        self.locate(1, "mem0")
        self.wait_shown("off", False)
        self.assertEqual(self.asked(), ["blink", "before"] * 2)
        told = wait_for(lambda: [e["message"] for e in monitor.events() if e["type"] == "locate"][3:] and
                        [(e["slot"], e["message"]) for e in monitor.events() if e["type"] == "locate"], "the events")
        over = ("2", "its attention LED does not blink for that any more")
        self.assertEqual(told, [("2", "its attention LED blinks for 600 s"), over, ("2", "its attention LED blinks for 1 s"), over])
        self.assertIn("LocatedUntil", [k for change in monitor.changes("Slot") for k in change])

    def test_longer(self):
        """Who asks again has another time, and what was there before the first is there after the last."""
        self.locate(600)
        self.locate(1)
        self.wait_shown("off", False)

    def test_refused(self):
        self.assertEqual(self.refused(3601)[0], "BadOption")
        self.assertEqual(self.refused(60, "?")[0], "MalformedName")
        self.assertEqual(self.refused(60, "9")[0], "UnknownName")
        self.change_slot("3", attention_led="on")
        name, why = self.refused(60, "3")
        self.assertEqual((name, "its attention LED is on" in why), ("NoLight", True), why)
        self.change_slot("3", attention_led=None)
        name, why = self.refused(60, "3")
        self.assertEqual((name, "no attention LED" in why), ("NoLight", True), why)
        self.change_slot("3", attention_led="off", held=True)
        self.assertEqual(self.refused(60, "3")[0], "Busy")
        self.change_slot("3", held=False, card=None, left="memory of it is online", lost=["all"])
        wait_for(lambda: self.slot("3", "State") == "lost" and self.slot("3", "AttentionLed") == "on", "the fault")
        name, why = self.refused(60, "3")
        self.assertEqual((name, "pulled" in why), ("NoLight", True), why)
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "State") == "working", "the removal")
        name, why = self.refused(60)
        self.assertEqual((name, "removal 1 is at work there" in why), ("Busy", True), why)
        self.assertEqual([a for a in self.asked() if a == "blink"], [])
        self.locate(0)  # ends nothing, and touches nothing
        self.write("play/go", "")
        self.wait_end(removal)

    def test_empty_and_safe(self):
        """Where a card is to go, and where one may be pulled: a blinking light says neither."""
        self.locate(60, "4")
        self.assertEqual((self.shown("4"), self.slot("4", "State")), (("blink", True), "empty"))
        self.write("play/go", "")
        self.assertEqual(self.wait_end(self.remove("3")), "safe")
        self.change_slot("3", card=None, power="off", power_led="off")
        self.locate(60, "3")
        self.assertEqual((self.shown("3"), self.slot("3", "State")), (("blink", True), "safe"))

    def test_removal(self):
        """It has the lights for itself, and what it found is what was there before the blinking."""
        self.locate(600)
        removal = self.remove("2")
        self.assertFalse(self.slot("2", "LocatedUntil"))
        self.manager("Cancel", "'2'")
        self.assertEqual(self.wait_end(removal), "restored")
        self.wait_shown("off", False)
        self.assertEqual(self.asked(), ["blink", "before"])

    def test_removal_at_that_moment(self):
        """Whoever is at the light is ended, and who waits for it is told."""
        self.write("play/slow-blink", "")
        caller = self.background(["busctl", f"--address=unix:path={self.path('bus')}", "call", harness.NAME, SLOT, "org.saferemove1.Slot", "Locate", "u", "60"],
                                 stderr=-1, text=True)
        wait_for(lambda: [line for line in self.worker_log() if line.startswith("light-asked")], "the worker")
        self.assertEqual(self.refused(60)[0], "Busy")  # one at a time
        removal = self.remove("2")
        self.assertIn("a removal has begun there", caller.communicate(timeout=20)[1])
        self.wait_ended("light")
        os.unlink(self.path("play/slow-blink"))
        self.manager("Cancel", "'2'")
        self.wait_end(removal)
        wait_for(lambda: self.asked() == ["before"], "what it may have left behind")
        self.assertEqual(self.shown(), ("off", False))

    def test_fault(self):
        self.locate(600)
        self.change_slot("2", card=None, occupied=False, left="memory of it is online", lost=["all"])
        self.wait_shown("on", False)
        self.assertEqual(self.asked(), ["blink", "on"])
        self.assertEqual(self.refused(60)[0], "NoLight")

    def test_fault_that_cannot_be_shown_yet(self):
        """It is wanted still, whoever wants the blinking to end."""
        self.locate(600)
        self.write("play/light-fails", "")
        self.change_slot("2", card=None, occupied=False, left="memory of it is online", lost=["all"])
        wait_for(lambda: "cannot be set to on" in self.log(), "the first try")
        self.assertEqual(self.refused(0)[0], "Busy")
        os.unlink(self.path("play/light-fails"))
        self.wait_shown("on", False)
        self.assertEqual(self.asked(), ["blink", "on"])

    def test_fault_at_that_moment(self):
        """The last word is the fault's."""
        self.write("play/slow-blink", "")
        caller = self.background(["busctl", f"--address=unix:path={self.path('bus')}", "call", harness.NAME, SLOT, "org.saferemove1.Slot", "Locate", "u", "60"],
                                 stderr=-1, text=True)
        wait_for(lambda: [line for line in self.worker_log() if line.startswith("light-asked")], "the worker")
        self.change_slot("2", card=None, occupied=False, left="memory of it is online", lost=["all"])
        self.assertIn("has to say something else", caller.communicate(timeout=20)[1])
        os.unlink(self.path("play/slow-blink"))
        self.wait_shown("on", False)

    def test_fails(self):
        """Half of it may have been done."""
        self.write("play/light-slips", "")
        name, why = self.refused(60)
        self.assertEqual((name, "another one" in why), ("Failed", True), why)
        wait_for(lambda: self.asked() == ["blink", "before"], "the way back")
        self.assertEqual(self.shown(), ("off", False))

    def test_daemon(self):
        """The next one ends it, whenever it comes."""
        self.locate(600)
        until = self.slot("2", "LocatedUntil")
        for how in (signal.SIGKILL, signal.SIGUSR1):
            self.stop_daemon(how)
            self.start_daemon()
            self.assertEqual(self.shown(), ("blink", True))
            self.assertAlmostEqual(self.slot("2", "LocatedUntil") / 1e6, until / 1e6, delta=5)
        self.locate(2)
        self.stop_daemon(signal.SIGKILL)
        with open(self.path("play/located")) as f:
            until = json.load(f)
        wait_for(lambda: time.monotonic() > max(until.values()), "its end")
        self.start_daemon()
        self.wait_shown("off", False)
        self.assertEqual(self.asked(), ["blink", "blink", "before"])

    def test_daemon_and_fault(self):
        """Nobody looked when the fault came, and its light is the fault's."""
        self.locate(600)
        self.stop_daemon(signal.SIGKILL)
        with open(self.path("play/machine.json")) as f:
            slots = json.load(f)["slots"]
        slots[0].update(card=None, occupied=False, left="memory of it is online", lost=["all"], was_lost=True)
        self.write_machine(slots)
        self.start_daemon()
        self.wait_shown("on", False)

    def test_somebody_else(self):
        """Who sets the light by other means has the last word."""
        self.locate(600)
        self.change_slot("2", attention_led="off")
        self.wait_shown("off", False)
        self.locate(0)
        self.assertEqual(self.shown(), ("off", False))


if __name__ == "__main__":
    harness.main()
