#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Removals asked for over the bus: how they go, what is told meanwhile, and what is refused."""
import hashlib
import json
import os
import subprocess
import threading

import harness
from harness import BusError, BusTest, NAME, ROOT, slot, wait_for


class Remove(BusTest):
    def test_to_the_end(self):
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(removal, f"{ROOT}/removal/_31")
        for name, value in (("Id", "1"), ("Slot", "2"), ("Target", "2"), ("Trigger", "command"), ("Code", "done"), ("StepCount", 3),
                            ("StepIndex", 2), ("Step", "power-off"), ("Progress", 1), ("Cancelable", False), ("ByUid", 0),
                            ("Holders", 0), ("Blockers", 0)):
            self.assertEqual(self.get(removal, "Removal", name), value, name)
        report = self.report(removal)
        self.assertEqual((report["message"], report["remedy"], report["lost"]), ("The card may be pulled.", [], []))
        self.assertEqual(report["plan"]["digest"], "d1")
        self.assertEqual(self.get(ROOT, "Manager", "Removals"), [])
        request = json.loads(self.worker_log()[0].removeprefix("run "))
        self.assertEqual(request["trigger"], "command")
        self.assertEqual((request["by"]["uid"], request["by"]["comm"]), (0, "gdbus"))

    def test_asked_for_by_a_path(self):
        """A path may lead through a closed folder: everybody reads which slot it is, the report says the rest to who may know."""
        removal = self.remove("/closed/2")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual((self.get(removal, "Removal", "Slot"), self.get(removal, "Removal", "Target")), ("2", "2"))
        self.assertEqual(self.report(removal)["plan"]["target"], "/closed/2")

    def test_what_is_told(self):
        self.write("play/script", "step hold\nlogs\nannounce\nled blink off\nwait go\nstep power-off\n")
        monitor = self.monitor()
        removal = self.remove("mem0", "{'grace_sec': <uint32 7>}")
        wait_for(lambda: self.slot("2", "PowerLed") == "blink", "the indicator")
        self.assertEqual(self.slot("2", "State"), "removing")
        self.assertEqual(self.slot("2", "Removal"), removal)
        self.assertEqual(self.get(ROOT, "Manager", "Removals"), [removal])
        self.assertEqual(self.get(removal, "Removal", "State"), "working")
        self.write("play/go", "")
        self.wait_end(removal)
        wait_for(lambda: monitor.signals("Completed"), "the end on the bus")

        events = monitor.events()
        self.assertEqual([e["type"] for e in events if e["type"] not in ("progress", "step")],
                         ["target", "state", "plan", "state", "announce", "led", "end"])
        self.assertEqual((events[0]["port"], events[0]["card"]["serial"]), ("0000:0c:00.0", "0x1"))
        self.assertEqual({(e["removal"], e["slot"], e["schema"]) for e in events}, {("1", "2", "safe-remove/event/1")})
        self.assertEqual(monitor.signals("Completed"), [["safe", "done"]])
        self.assertEqual([d[:2] for d in monitor.signals("PrepareForRemoval")], [["2", True], ["2", False]])
        self.assertEqual(monitor.signals("InterfacesAdded")[0][0], removal)
        self.assertIn("Removal 1 of slot 2: libcxl: mem9: odd", self.log())
        changes = monitor.changes("Removal")
        self.assertEqual([c["State"] for c in changes if "State" in c], ["working", "ended"])
        self.assertIn({"StepCount": 2, "Holders": 0, "Blockers": 0, "Warnings": 0, "Digest": "d1", "Verdict": "ready", "EstimatedEndUsec": 0}, changes)
        self.assertEqual([c["Progress"] for c in changes if "Progress" in c], [0, 0.25, 0.5, 0.5, 0.75, 1, 1])
        slot = monitor.changes("Slot")
        self.assertEqual(slot[0], {"State": "removing", "Removal": removal})
        self.assertIn({"PowerLed": "blink"}, slot)
        removals = [c["Removals"] for c in monitor.changes("Manager")]
        self.assertEqual(removals, [[removal], []])

    def test_twice_at_once_is_one(self):
        self.write("play/script", "step hold\nwait go\nstep power-off\n")
        self.write("play/slow-target", "")
        paths = []
        threads = [threading.Thread(target=lambda t=t: paths.append(self.remove(t))) for t in ("2", "mem0", "2")]
        for thread in threads:
            thread.start()
        wait_for(lambda: sum(line.startswith("run ") for line in self.worker_log()) == 3, "three enquiries")
        self.assertEqual(self.objects("removal"), {})
        subprocess.run(["rm", self.path("play/slow-target")], check=True)
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(paths)), 1)
        self.assertEqual(list(self.objects("removal")), paths[:1])
        self.assertEqual(self.remove("2"), paths[0])
        self.write("play/go", "")
        self.assertEqual(self.wait_end(paths[0]), "safe")
        self.assertEqual(sum(line.startswith("go ") for line in self.worker_log()), 1)

    def test_two_slots_are_two(self):
        self.write("play/script", "step hold\nwait go\n")
        paths = {self.remove("2"), self.remove("3")}
        self.assertEqual(len(paths), 2)
        self.assertEqual(set(self.get(ROOT, "Manager", "Removals")), paths)
        self.write("play/go", "")
        self.assertEqual({self.wait_end(path) for path in paths}, {"safe"})

    def test_slots_inside_of_each_other(self):
        self.write("play/script", "step hold\nwait go\n")
        for inner, outer in (("2", "3"), ("3", "2")):
            slots = {"2": slot("2", 0), "3": slot("3", 1)}
            slots[inner]["outer"] = [{"name": outer, "port": slots[outer]["port"]}]
            self.write_machine(list(slots.values()))
            running = self.remove("2")
            with self.assertRaises(BusError) as refused:
                self.remove("3")
            self.assertEqual(refused.exception.name, "Busy")
            self.assertIn("slot 2", refused.exception.message)
            self.write("play/go", "")
            self.assertEqual(self.wait_end(running), "safe")
            subprocess.run(["rm", self.path("play/go")], check=True)

    def test_other_options_are_busy(self):
        self.write("play/script", "step hold\nwait go\n")
        removal = self.remove("2", "{'grace_sec': <uint32 7>}")
        wait_for(lambda: self.report(removal)["plan"], "the plan")
        self.assertEqual(self.remove("2", "{'grace_sec': <uint32 7>}"), removal)
        self.assertEqual(self.remove("2", "{'digest': <'d1'>}"), removal)
        for options in ("{'grace_sec': <uint32 8>}", "{'digest': <'d2'>}", "{'zone_normal': <'try'>}"):
            with self.assertRaises(BusError) as refused:
                self.remove("2", options)
            self.assertEqual(refused.exception.name, "Busy", options)
            self.assertIn("removal 1", refused.exception.message)
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_typed_errors(self):
        for target, name in (("?", "MalformedName"), ("9", "UnknownName"), ("all", "AmbiguousName"), ("dimm0", "NoSlot")):
            for method, options in (("Remove", "{}"), ("PlanRemoval", "{}")):
                with self.assertRaises(BusError) as refused:
                    self.manager(method, f"'{target}'", options)
                self.assertEqual(refused.exception.name, name, method)
                self.assertIn(target, refused.exception.message)
        for options in ("{'force': <true>}", "{'grace_sec': <'7'>}", "{'digest': <uint32 7>}"):
            with self.assertRaises(BusError) as refused:
                self.remove("2", options)
            self.assertEqual(refused.exception.name, "BadOption", options)
        with self.assertRaises(BusError) as refused:
            self.manager("PlanRemoval", "'2'", "{'zone_normal': <'wrong'>}")
        self.assertEqual(refused.exception.name, "BadOption")
        self.assertEqual(self.objects("removal"), {})
        self.assertEqual(self.get(ROOT, "Manager", "Removals"), [])

    def test_plan_touches_nothing(self):
        plan = self.json_of("PlanRemoval", "sa{sv}", "2", "1", "grace_sec", "u", "3")
        self.assertEqual((plan["schema"], plan["slot"]["name"]), ("safe-remove/plan/1", "2"))
        request = json.loads(self.worker_log()[0].removeprefix("plan "))
        self.assertEqual(request["options"], {"grace_sec": 3})
        self.assertEqual(self.objects("removal"), {})

    def test_questions(self):
        self.assertEqual(self.json_of("Verify", "s", "mem0")["slot"], "2")
        with self.assertRaises(BusError) as refused:
            self.manager("Verify", "'9'")
        self.assertEqual(refused.exception.name, "UnknownName")
        self.assertTrue(self.json_of("VerifyCertificates")["verified"])
        self.write("play/chain-busy", "")
        with self.assertRaises(BusError) as refused:
            self.manager("VerifyCertificates")
        self.assertEqual(refused.exception.name, "Busy")
        self.assertEqual(self.objects("removal"), {})

    def test_certificate(self):
        """The daemon hands out what is kept, and nothing that is not as it was sealed."""
        for name in ("''", "'1'", "'x'", "'../1'"):
            with self.assertRaises(BusError) as refused:
                self.manager("GetCertificate", name)
            self.assertEqual(refused.exception.name, "UnknownName", name)
        document = '{"schema":"safe-remove/certificate/1","removal":"1","chain":{"number":1}}'
        digest = hashlib.sha256(document.encode()).hexdigest()
        text = f'{document[:-1]},"sha256":"{digest}"}}'
        os.makedirs(self.path("state/removals/1"))
        self.write("state/removals/1/certificate.json", text + "\n")
        self.assertEqual(self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", "GetCertificate", "s", "1")["data"], [text])
        self.write("state/removals/1/certificate.json", text.replace("number", "Number") + "\n")
        with self.assertRaises(BusError) as refused:
            self.manager("GetCertificate", "'1'")
        self.assertEqual(refused.exception.name, "NotProven")

    def test_cancel_by_any_name(self):
        self.write("play/script", "step hold\nstep offline-memory\nwait go\n")
        for name in ("2", "slot:2", "mem0", "0d:00.0", "0000:0d:00.0", "serial:1", "0x1", "port:0000:0c:00.0"):
            removal = self.remove("2")
            self.manager("Cancel", f"'{name}'")
            self.assertEqual(self.wait_end(removal), "restored", name)
            self.assertEqual(self.report(removal)["message"], "cancelled by command")
        removal = self.remove("2")  # the ninth: "9" is its id and no slot has that name
        self.manager("Cancel", "'9'")
        self.assertEqual(self.wait_end(removal), "restored")
        removal = self.remove("2")
        self.call(removal, "org.saferemove1.Removal", "Cancel")
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.slot("2", "State"), "ready")

    def test_cancel_nothing(self):
        self.wait_end(self.remove("2"))
        self.write("play/script", "step hold\nwait go\n")
        removal = self.remove("3")
        self.assertEqual(self.get(removal, "Removal", "Id"), "2")
        for name in ("2", "mem0", "77"):  # removal 2 runs, but "2" is a slot first of all
            with self.assertRaises(BusError) as refused:
                self.manager("Cancel", f"'{name}'")
            self.assertEqual(refused.exception.name, "NotRunning", name)
        self.write("play/go", "")
        self.wait_end(removal)
        with self.assertRaises(BusError) as refused:
            self.call(removal, "org.saferemove1.Removal", "Cancel")
        self.assertEqual(refused.exception.name, "NotRunning")

    def test_too_late_to_cancel(self):
        self.write("play/script", "step hold\ndeaf\nwait go\n")
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "State") == "finishing", "the point of no return")
        self.assertFalse(self.get(removal, "Removal", "Cancelable"))
        with self.assertRaises(BusError) as refused:
            self.manager("Cancel", "'2'")
        self.assertEqual(refused.exception.name, "TooLate")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_ended_ones_stay_until_the_next(self):
        monitor = self.monitor()
        first, other = self.remove("2"), self.remove("3")
        self.wait_end(first)
        self.wait_end(other)
        self.assertEqual(self.slot("2", "Removal"), first)
        second = self.remove("2")
        self.wait_end(second)
        self.assertEqual(set(self.objects("removal")), {other, second})
        self.assertEqual([path for path, interfaces in monitor.signals("InterfacesRemoved")], [first])
        self.assertEqual(self.slot("2", "Removal"), second)


if __name__ == "__main__":
    harness.main()
