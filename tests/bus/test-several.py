#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One removal of several cards: each of its slots shows it, each names it, and none has another one meanwhile."""
import json
import signal

import harness
from harness import BusError, BusTest, slot, wait_for

PORTS = ("0000:0c:00.0", "0000:0c:01.0")


class Several(BusTest):
    slots = [slot("2", 0), slot("3", 1), slot("4", 2)]

    def remove_both(self, options="{}", names="['2', '3']"):
        return self.manager("RemoveSeveral", names, options).split("'")[1]

    def running(self, script="step hold\nwait go\nstep power-off\n"):
        self.write("play/script", script)
        removal = self.remove_both()
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        return removal

    def states(self):
        return [self.slot(name, "State") for name in ("2", "3", "4")]

    def go(self, removal):
        self.write("play/go", "")
        return self.wait_end(removal)

    def test_both_slots_show_it(self):
        self.write("play/script", "step hold\nannounce\nled blink off 2 0000:0c:00.0\nled blink on 3 0000:0c:01.0\nwait go\nstep power-off\n")
        monitor = self.monitor()
        removal = self.remove_both()
        wait_for(lambda: self.slot("3", "AttentionLed") == "on", "the second slot's light")
        self.assertEqual(self.states(), ["removing", "removing", "ready"])
        self.assertEqual([self.slot(name, "PowerLed") for name in ("2", "3", "4")], ["blink", "blink", "on"])
        self.assertEqual(self.slot("2", "AttentionLed"), "off")
        self.assertEqual([self.slot(name, "Removal") for name in ("2", "3", "4")], [removal, removal, "/"])
        self.assertEqual(self.get(removal, "Removal", "Slot"), "2")
        self.assertEqual(self.get(removal, "Removal", "Slots"), ["2", "3"])
        self.assertEqual(self.get(removal, "Removal", "Target"), "2 3")
        self.assertEqual(self.go(removal), "safe")
        wait_for(lambda: monitor.signals("Completed"), "the end on the bus")
        events = monitor.events()
        self.assertEqual({tuple(e["slots"]) for e in events}, {("2", "3")})
        self.assertEqual([e["slot"] for e in events if e["type"] == "led"], ["2", "3"])
        self.assertEqual([d[:2] for d in monitor.signals("PrepareForRemoval")], [["2", True], ["3", True], ["2", False], ["3", False]])
        self.assertEqual(self.states()[2], "ready")
        request = json.loads(self.worker_log()[0].removeprefix("run "))
        self.assertEqual((request["targets"], request["target"]), (["2", "3"], "2 3"))
        entry = self.json_of("GetHistory", "u", "0")["removals"][0]
        self.assertEqual((entry["slot"], entry["slots"], entry["targets"]), ("2", ["2", "3"], ["2", "3"]))

    def test_none_of_them_has_another(self):
        removal = self.running()
        for method, names in (("Remove", "'2'"), ("Remove", "'mem1'"), ("Restore", "'3'"), ("RemoveSeveral", "['3', '4']")):
            with self.assertRaises(BusError) as refused:
                self.manager(method, names, "{}")
            self.assertEqual(refused.exception.name, "Busy", (method, names))
            self.assertIn("removal 1", refused.exception.message)
        # The same wish is the same removal, in whatever order.
        self.assertEqual(self.remove_both(names="['mem1', '2']"), removal)
        other = self.remove("4")
        self.assertNotEqual(other, removal)
        self.assertEqual(self.go(removal), "safe")
        self.assertEqual(self.wait_end(other), "safe")

    def test_one_under_way_keeps_both_busy(self):
        self.write("play/script", "step hold\nwait go\n")
        single = self.remove("3")
        with self.assertRaises(BusError) as refused:
            self.remove_both()
        self.assertEqual(refused.exception.name, "Busy")
        self.assertIn("slot 3", refused.exception.message)
        self.assertEqual(self.states(), ["ready", "removing", "ready"])
        self.assertEqual(self.go(single), "safe")

    def test_any_of_them_cancels(self):
        for name in ("2", "3", "mem1", "serial:0x2", "2 3"):
            removal = self.running()
            self.manager("Cancel", f"'{name}'")
            self.assertEqual(self.wait_end(removal), "restored", name)

    def test_press_at_any_of_them_cancels(self):
        for n, port in enumerate(PORTS):
            removal = self.running()
            self.kernel_says(f"Slot({n + 2}): Button press: will power off in 5 sec", port, 10 + n)
            self.assertEqual(self.wait_end(removal), "restored")
            self.assertEqual(self.report(removal)["message"], "cancelled by button")

    def test_stuck_is_told_of_both(self):
        self.write("play/script", "step hold\nstuck\n")
        removal = self.remove_both()
        self.assertEqual(self.wait_end(removal), "stuck")
        self.assertEqual(self.states(), ["stuck", "stuck", "ready"])
        self.stop_daemon()
        self.start_daemon()
        wait_for(lambda: self.objects("slot"), "the slots")
        self.assertEqual(self.states(), ["stuck", "stuck", "ready"])

    def test_daemon_dies(self):
        removal = self.running("step hold\nstep offline-memory\nwait go\n")
        self.write("play/resume-script", "wait go\nstep power-off\n")
        self.stop_daemon(signal.SIGKILL)
        self.start_daemon()
        wait_for(lambda: self.objects("slot"), "the slots")
        self.assertEqual(self.states(), ["removing", "removing", "ready"])
        self.assertEqual(self.get(removal, "Removal", "Slots"), ["2", "3"])
        with self.assertRaises(BusError) as refused:
            self.remove("3")
        self.assertEqual(refused.exception.name, "Busy")
        self.assertEqual(self.go(removal), "safe")

    def test_an_older_one_stays_for_its_other_slot(self):
        both = self.remove_both()
        self.assertEqual(self.wait_end(both), "safe")
        single = self.remove("2")
        self.assertEqual(self.wait_end(single), "safe")
        self.assertEqual([self.slot(name, "Removal") for name in ("2", "3")], [single, both])

    def test_one_name_is_one_card(self):
        self.assertEqual(self.wait_end(self.remove_both(names="['3']")), "safe")
        request = json.loads(self.worker_log()[0].removeprefix("run "))
        self.assertNotIn("targets", request)
        self.assertEqual(request["target"], "3")

    def test_refused(self):
        for names, name in (("@as []", "MalformedName"), ("['2', '9']", "UnknownName"), ("['?', '2']", "MalformedName")):
            for method in ("RemoveSeveral", "PlanSeveral"):
                with self.assertRaises(BusError) as refused:
                    self.manager(method, names, "{}")
                self.assertEqual(refused.exception.name, name, (method, names))
        with self.assertRaises(BusError) as refused:
            self.manager("RemoveSeveral", "['2', '3']", "{}", as_uid=65534)
        self.assertEqual(refused.exception.name, "NotAuthorized")
        self.assertEqual(self.objects("removal"), {})

    def test_plan(self):
        plan = self.json_of("PlanSeveral", "asa{sv}", "2", "2", "3", "0")
        self.assertEqual([s["name"] for s in plan["slots"]], ["2", "3"])
        request = json.loads(self.worker_log()[0].removeprefix("plan "))
        self.assertEqual((request["id"], request["targets"]), ("0", ["2", "3"]))


if __name__ == "__main__":
    harness.main()
