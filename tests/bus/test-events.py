#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the machine tells the daemon: the button in all its wordings, device events, firmware requests, lost records."""
import json
import os
import signal
import subprocess
import time

import harness
from harness import BusTest, ROOT, send_device_event, slot, wait_for
from plain_bus import Connection

PORT = "0000:0c:00.0"
HELD_BLINKING, UP, PRESENT, PRESSED = 0x02c0, 0x01c0, 0x0040, 0x0001
OFF, POWERING_UP = 0x07c0, 0x02c0


class Events(BusTest):
    script = "step hold\nwait go\nstep power-off\n"

    def running(self):
        return self.get(ROOT, "Manager", "Removals")

    def wait_running(self):
        return wait_for(self.running, "a removal\n" + self.log())[0]

    def settle(self):
        """Everything the daemon had been told before is done when it has answered with a scan."""
        self.json_of("GetTopology")

    def test_pressed(self):
        for n, text in enumerate(("Slot(2): Button press: will power off in 5 sec", "Slot(2-1): Powering off due to button press")):
            monitor = self.monitor()
            self.kernel_says(text, PORT, 10 + n)
            removal = self.wait_running()
            self.assertEqual(self.get(removal, "Removal", "Trigger"), "button")
            self.assertEqual(self.get(removal, "Removal", "Slot"), "2")
            self.assertEqual(self.get(removal, "Removal", "Target"), "port:" + PORT)
            self.write("play/go", "")
            self.assertEqual(self.wait_end(removal), "safe")
            os.unlink(self.path("play/go"))
            event = monitor.events()[0]
            self.assertEqual((event["type"], event["port"], event["slot"]), ("button", PORT, "2"))
        self.assertEqual(json.loads(self.worker_log()[0].removeprefix("run "))["by"], {"uid": None, "pid": None, "comm": "button"})
        self.assertIn("starts: the button of the slot.", self.log())

    def nest(self, inner, outer):
        """Slot `inner` is inside of slot `outer`, by the port as the worker tells it."""
        slots = [slot("2", 0), slot("3", 1)]
        around = slots[outer - 2]
        slots[inner - 2]["outer"] = [{"name": around["name"], "port": around["port"]}]
        self.write_machine(slots)

    def start_other(self, inner, outer):
        """The removal of slot 3, which works, and a press at slot 2."""
        self.nest(inner, outer)
        other = self.manager("Remove", "'3'", "{}").split("'")[1]
        wait_for(lambda: self.report(other)["plan"], "the plan")
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", PORT, 10)
        return other

    def test_pressed_around_a_running_one(self):
        other = self.start_other(3, 2)
        pressed = wait_for(lambda: [path for path in self.objects("removal") if self.get(path, "Removal", "Slot") == "2"], "its removal")[0]
        self.assertEqual(self.wait_end(pressed), "refused")
        self.assertIn("slot 3", self.report(pressed)["message"])
        self.write("play/go", "")
        self.assertEqual(self.wait_end(other), "safe")

    def test_pressed_inside_of_a_running_one(self):
        """Its light blinks, or is about to: the press calls the outer one off."""
        other = self.start_other(2, 3)
        self.assertEqual(self.wait_end(other), "restored")
        self.assertEqual(self.report(other)["message"], "cancelled by button")
        self.assertEqual([path for path in self.objects("removal") if self.get(path, "Removal", "Slot") == "2"], [])

    def test_pressed_in_a_slot_that_it_holds(self):
        """The outer removal has the inner slot's port in its plan: the press is seen in the registers, and needs no look at the machine."""
        inner = "0000:0c:01.0"
        self.write("play/script", f"step hold {PORT}\nstep hold {inner}\nwait go\n")
        self.write_registers(inner, HELD_BLINKING, PRESENT)
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "StepIndex") == 1, "the inner hold")
        self.settle()
        self.write_registers(inner, HELD_BLINKING, PRESENT | PRESSED)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.report(removal)["message"], "cancelled by button")

    def test_pressed_while_no_guard_listens(self):
        """It is in the kernel's log, and not older than the 5 s that the kernel waits."""
        for n, (age, texts, count) in enumerate(((1, ["will power off in 5 sec"], 1), (6, ["will power off in 5 sec"], 0),
                                                 (1, ["will power off in 5 sec", "canceling request to power off"], 0))):
            self.stop_guard(signal.SIGKILL)
            # Read and written: a pipe that nobody reads cannot be opened for writing, nor keep what is in it.
            keep = os.open(self.path("kmsg"), os.O_RDWR)
            for i, text in enumerate(texts):
                self.kernel_says("Slot(2): Button press: " + text, PORT, 10 * n + i, usec=int((time.monotonic() - age) * 1e6))
            self.start_guard()
            os.close(keep)
            wait_for(lambda: self.log().count("Lost what the guard had to tell") == n + 1, "the daemon to be back")
            self.settle()
            if count:
                removal = self.wait_running()
                self.kernel_says("Slot(2): Button press: canceling request to power off", PORT, 10 * n + 5)
                self.assertEqual(self.wait_end(removal), "restored")
            self.assertEqual(sum(line.startswith("run ") for line in self.worker_log()), 1)

    def test_two_guards(self):
        """They would take and give back the same slots."""
        second = subprocess.run([harness.GUARD], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, text=True)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another guard", second.stderr)
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", PORT, 10)
        removal = self.wait_running()
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_pressed_again(self):
        for n, text in enumerate(("Slot(2): Button press: canceling request to power off", "Slot(2): Button cancel",
                                  "Slot(2): Button press: will power off in 5 sec")):
            self.kernel_says("Slot(2): Button press: will power off in 5 sec", PORT, 10 + 2 * n)
            removal = self.wait_running()
            self.kernel_says(text, PORT, 11 + 2 * n)
            self.assertEqual(self.wait_end(removal), "restored", text)
            self.assertEqual(self.report(removal)["message"], "cancelled by button")

    def test_pressed_again_before_the_start(self):
        self.write("play/slow-target", "")
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", PORT, 10)
        wait_for(self.worker_log, "the enquiry")
        self.kernel_says("Slot(2): Button press: canceling request to power off", PORT, 11)
        self.settle()
        os.unlink(self.path("play/slow-target"))
        self.settle()
        self.assertEqual(self.objects("removal"), {})
        self.assertFalse([line for line in self.worker_log() if line.startswith("go ")])

    def test_pressed_twice_at_once(self):
        """Both records are there before the guard reads the first: the kernel has called it off by itself."""
        self.guard.send_signal(signal.SIGSTOP)
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", PORT, 10)
        self.kernel_says("Slot(2): Button press: canceling request to power off", PORT, 11)
        monitor = self.monitor()
        self.guard.send_signal(signal.SIGCONT)
        wait_for(lambda: [e for e in monitor.events() if e["type"] == "button"], "the second press")
        self.settle()
        self.assertEqual([e["message"] for e in monitor.events() if e["type"] == "button"], ["cancelled"])
        self.assertEqual(self.objects("removal"), {})
        self.assertFalse([line for line in self.worker_log() if line.startswith("run ")])

    def test_pressed_after_another_guard(self):
        """The guard dies and comes again: the daemon finds it."""
        self.stop_guard(signal.SIGKILL)
        wait_for(lambda: "cannot be reached" in self.log(), "the daemon to notice")
        self.start_guard()
        wait_for(lambda: "Lost what the guard had to tell" in self.log(), "the daemon to be back")
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", PORT, 20)
        removal = self.wait_running()
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_not_a_press(self):
        press = "Slot(2): Button press: will power off in 5 sec"
        for n, (text, port, level) in enumerate((
                ("Slot(2): Button press: will power on in 5 sec", PORT, 6),
                ("Slot(2) Powering on due to button press", PORT, 6),
                ("Slot(2): Button press: canceling request to power off", PORT, 6),
                (press + "nds", PORT, 6),
                (press, PORT, 14),  # echoed by a program
                ("Slot(2): Link Up", PORT, 6))):
            self.kernel_says(text, port, 10 + n, level)
        os.write(self.kmsg, f"6,16,1,-;pcieport {PORT}: pciehp: {press}\n".encode())  # no DEVICE key
        os.write(self.kmsg, b"rubbish\n")
        self.settle()
        self.assertEqual(self.worker_log(), [])

    def test_the_key_decides_not_the_text(self):
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", "0000:0c:01.0", 10)
        self.assertEqual(self.get(self.wait_running(), "Removal", "Slot"), "3")

    def kept(self):
        with open(self.path("run/kernel-log")) as f:
            log = json.load(f)
        return log["first"], log["last"], [(one["bdf"], one["sequence"]) for one in log["said"]]

    def test_what_is_kept_of_the_log(self):
        def say(sequence, text, device="+pci:0000:0d:00.0", level=6):
            os.write(self.kmsg, f"{level},{sequence},1,-;{text}\n SUBSYSTEM=pci\n DEVICE={device}\n".encode())

        found = "pci 0000:0d:00.0: [8086:0d93] type 00 class 0x050210"
        say(100, found, level=14)
        say(101, found)
        wait_for(lambda: os.path.exists(self.path("run/kernel-log")), "the guard to have kept it")
        wait_for(lambda: self.kept() == (100, 101, [("0000:0d:00.0", 101)]), "the card that was found")
        # However little is said of cards: the log may be overwritten at any time.
        for sequence in range(102, 200):
            say(sequence, "nvme nvme0: I/O timeout", "c241:0")
        wait_for(lambda: self.kept()[1] >= 200 - 64, "the rest of the log to be known")
        self.assertEqual((self.kept()[0], self.kept()[2]), (100, [("0000:0d:00.0", 101)]))
        # What was said in between nobody knows.
        say(201, "nvme nvme0: I/O timeout", "c241:0")
        wait_for(lambda: self.kept() == (201, 201, []), "the loss to be known")

    def test_nothing_is_kept_and_pressed(self):
        os.mkdir(self.path("run/kernel-log.new"))
        for sequence in range(1, 200):
            self.kernel_says("Slot(2): Link Up", PORT, sequence)
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", PORT, 200)
        self.assertEqual(self.get(self.wait_running(), "Removal", "Slot"), "2")
        self.assertFalse(os.path.exists(self.path("run/kernel-log")))

    def test_nothing_to_remove_there(self):
        self.kernel_says("Slot(7): Button press: will power off in 5 sec", "0000:0e:00.0", 10)
        wait_for(lambda: "cannot be removed" in self.log(), "the warning")
        self.assertEqual(self.objects("removal"), {})

    def test_pressed_while_held(self):
        self.write_registers(PORT, HELD_BLINKING, PRESENT)
        removal = self.remove("2")
        self.settle()
        self.assertEqual(self.running(), [removal])
        self.write_registers(PORT, HELD_BLINKING, PRESENT | PRESSED)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.report(removal)["message"], "cancelled by button")

    def test_pulled_while_held(self):
        self.write_registers(PORT, HELD_BLINKING, PRESENT)
        monitor = self.monitor()
        removal = self.remove("2")
        time.sleep(0.5)  # seen by the poll
        self.write_registers(PORT, HELD_BLINKING, 0)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.report(removal)["message"], "cancelled by card-gone")
        self.assertEqual([e["slot"] for e in monitor.events() if e["type"] == "card-gone"], ["2"])
        self.assertIn("without being safe", self.log())

    def test_pulled_while_it_gets_its_power_back(self):
        """A self-test: safe to pull until then, and not any more."""
        self.write("play/script", "step show-safe\ndeaf\nwait pulled\nstep power-on\nwait go\nend-as tested\n")
        monitor = self.monitor()
        removal = self.remove("2", "{'self_test': <'power'>}")
        wait_for(lambda: self.get(removal, "Removal", "State") == "finishing", "the card to be safe to pull")
        self.kernel_says("Slot(2): Card not present", PORT, 10)
        self.settle()
        self.assertNotIn("without being safe", self.log())
        self.write("play/pulled", "")
        wait_for(lambda: self.get(removal, "Removal", "Step") == "power-on", "the power")
        self.kernel_says("Slot(2): Card not present", PORT, 11)
        wait_for(lambda: "without being safe" in self.log(), "the complaint")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "tested")
        self.assertEqual([e["slot"] for e in monitor.events() if e["type"] == "card-gone"], ["2"])

    def test_pulled_by_surprise(self):
        monitor = self.monitor()
        self.write_machine([slot("2", 0), {**slot("3", 1), "card": {"bdf": "0000:0e:00.0", "memdev": None, "serial": None}}])
        self.settle()
        self.kernel_says("Slot(3): Card not present", "0000:0c:01.0", 10)  # a drive, say
        self.kernel_says("Slot(2): Card not present", PORT, 11)
        wait_for(lambda: "without being safe" in self.log(), "the complaint")
        self.settle()
        self.assertEqual([e["slot"] for e in monitor.events() if e["type"] == "card-gone"], ["2"])

    def test_pulled_and_looked_at_meanwhile(self):
        """What the kernel does about the card has a look find the slot empty, before the worker has answered: it is told all the same."""
        monitor = self.monitor()
        self.write("play/slow-incident", "")
        self.kernel_says("Slot(2): Card not present", PORT, 11)
        wait_for(self.asked_of_incidents, "somebody to look")
        self.write_machine([slot("2", 0, card=False), slot("3", 1)])
        send_device_event("remove", "/devices/pci", "pci")
        wait_for(lambda: not self.slot("2", "Memdev"), "the look")
        os.unlink(self.path("play/slow-incident"))
        wait_for(lambda: "without being safe" in self.log(), "the complaint")
        self.settle()
        self.assertEqual([e["slot"] for e in monitor.events() if e["type"] == "card-gone"], ["2"])

    def test_false_alarm(self):
        """What the kernel says of a link is looked at, and where the card is there nothing is done."""
        self.write("play/incident", '{"verdict": "there"}')
        self.write_registers(PORT, HELD_BLINKING, PRESENT)
        removal = self.remove("2")
        monitor = self.monitor()
        self.kernel_says("Slot(2): Link Down", PORT, 10)
        wait_for(lambda: "it was looked at, and nothing is done" in self.log(), "the false alarm")
        self.assertEqual(self.running(), [removal])
        self.assertNotIn("without being safe", self.log())
        self.assertEqual([e for e in monitor.events() if e["type"] in ("card-gone", "incident")], [])

    @staticmethod
    def incidents(monitor):
        return [(e["slot"], e["incident"]) for e in monitor.events() if e["type"] == "incident"]

    def test_incident(self):
        """What a worker has found and done is told once, with what is to be done next."""
        monitor = self.monitor()
        self.write_machine([slot("2", 0), slot("3", 1)])
        self.write("play/incident", json.dumps({"verdict": "gone", "id": "4", "message": "the card is gone", "lost": ["memory7: online"], "done": [],
                                                "left": [], "next": ["restart the machine"]}))
        self.settle()
        self.kernel_says("Slot(2): Card not present", PORT, 11)
        wait_for(lambda: "incident 4: the card is gone. Next: restart the machine. Lost: memory7: online" in self.log(), "the entry")
        wait_for(lambda: self.incidents(monitor), "the event")  # it is told after it was written down
        self.settle()
        self.assertEqual(self.incidents(monitor), [("2", "4")])

    def wait_asked(self, times):
        wait_for(lambda: len(self.asked_of_incidents()) >= times, f"somebody to look for the {times}. time\n{self.log()}")

    def test_who_looks_dies(self):
        """The kernel's own word counts at once, and somebody else looks, until one has dealt with it: told once. One that had got as far as the record is known by that."""
        monitor = self.monitor()
        self.write("play/incident", json.dumps({"verdict": "gone", "id": "4", "message": "it is gone", "lost": [], "done": [], "left": [], "next": ["look"]}))
        self.write("play/incident-dies", "")
        self.kernel_says("Slot(2): Card not present", PORT, 11)
        self.wait_asked(2)
        self.assertIn("without being safe", self.log())
        self.assertEqual(self.incidents(monitor), [])
        os.unlink(self.path("play/incident-dies"))
        wait_for(lambda: self.incidents(monitor), "the incident")
        self.settle()
        self.assertEqual(self.incidents(monitor), [("2", "4")])
        self.assertEqual([e["slot"] for e in monitor.events() if e["type"] == "card-gone"], ["2"])
        self.assertEqual(self.log().count("could not be looked at"), 1)
        self.assertEqual([a["late"] for a in self.asked_of_incidents()][:2], [False, True])

        self.write("play/incident-dies", "")
        self.kernel_says("Slot(3): Link Down", "0000:0c:01.0", 12)
        wait_for(lambda: self.log().count("could not be looked at") == 2, "who looks to have died")
        self.write("play/incident", json.dumps({"verdict": "gone", "again": "5"}))
        os.unlink(self.path("play/incident-dies"))
        wait_for(lambda: len(self.incidents(monitor)) == 2, "what was on record")
        self.assertEqual(self.incidents(monitor)[1], ("3", "5"))
        self.assertIn("Next: safe-remove incident 5.", self.log())

    def test_pulled_in_a_removal(self):
        """The kernel says once more that the card is gone, and the removal ends while that is looked at: told once, and then dealt with, now that nobody else is
        at work there."""
        self.write("play/incident", json.dumps({"verdict": "gone", "id": "6", "message": "the card is gone", "lost": [], "done": [], "left": [], "next": ["look"]}))
        self.write("play/card-is-gone", "")
        monitor = self.monitor()
        removal = self.remove("2")
        wait_for(lambda: self.report(removal)["plan"], "the plan")
        self.kernel_says("Slot(2): Card not present", PORT, 10)
        wait_for(lambda: self.get(removal, "Removal", "State") == "restoring", "the way back")
        self.write("play/slow-incident", "")
        self.kernel_says("Slot(2): Card not present", PORT, 11)
        wait_for(lambda: len(self.asked_of_incidents()) == 2, "somebody to look once more")
        os.unlink(self.path("play/card-is-gone"))
        self.assertEqual(self.wait_end(removal), "stuck")
        self.settle()
        self.assertEqual(self.incidents(monitor), [])
        os.unlink(self.path("play/slow-incident"))
        wait_for(lambda: self.incidents(monitor), "the event")
        self.settle()
        self.assertEqual(self.incidents(monitor), [("2", "6")])
        self.assertEqual([e["slot"] for e in monitor.events() if e["type"] == "card-gone"], ["2"])
        self.assertEqual([(asked["act"], asked["removal"]) for asked in self.asked_of_incidents()], [(False, "1"), (False, "1"), (True, "1")])

        # The next card is none of that removal's.
        for machine in (slot("2", 0, card=False), slot("2", 0)):
            self.write_machine([machine, slot("3", 1)])
            self.settle()
            wait_for(lambda machine=machine: bool(self.slot("2", "Memdev")) == bool(machine["card"]), "the look")
        self.kernel_says("Slot(2): Card not present", PORT, 12)
        wait_for(lambda: len(self.incidents(monitor)) == 2, "the next card's")
        self.assertEqual(self.asked_of_incidents()[-1]["removal"], None)
        self.assertEqual([e["slot"] for e in monitor.events() if e["type"] == "card-gone"], ["2", "2"])

    def test_killed_before_the_incident(self):
        """The daemon dies between the end of a removal whose card was pulled and the record of that: the next one asks for it, and tells it once it is there."""
        self.write("play/incident", json.dumps({"verdict": "gone", "id": "6", "message": "the card is gone", "lost": [], "done": [], "left": [], "next": ["look"]}))
        self.write("play/card-is-gone", "")
        removal = self.remove("2")
        wait_for(lambda: self.report(removal)["plan"], "the plan")
        self.kernel_says("Slot(2): Card not present", PORT, 10)
        wait_for(lambda: self.get(removal, "Removal", "State") == "restoring", "the way back")
        self.write("play/slow-incident", "")
        os.unlink(self.path("play/card-is-gone"))
        self.assertEqual(self.wait_end(removal), "stuck")
        wait_for(lambda: [asked["act"] for asked in self.asked_of_incidents()] == [False, True], "somebody to deal with it")
        self.stop_daemon(signal.SIGKILL)
        os.unlink(self.path("play/slow-incident"))
        asked = len(self.asked_of_incidents())
        self.start_daemon()
        wait_for(lambda: "incident 6: the card is gone" in self.log(), "the entry\n" + self.log())
        self.assertEqual([(a["act"], a["late"], a["removal"], a["cause"]) for a in self.asked_of_incidents()[asked:]], [(True, True, "1", "removal")])

    def asked_of_incidents(self):
        return [json.loads(line.removeprefix("incident ")) for line in self.worker_log() if line.startswith("incident ")]

    def test_taken_from_the_kernel(self):
        """A look tells that the card is up and the kernel does not have it: looked at once more, and told once as any other. While a removal is at work there it is
        the removal's."""
        self.write("play/incident", json.dumps({"verdict": "gone", "id": "5", "message": "it was taken away", "lost": [], "done": [], "left": [], "next": ["rescan"]}))
        taken = {**slot("3", 1, card=False), "occupied": True, "power": "on", "power_led": "on", "taken": True}
        monitor = self.monitor()
        self.write_machine([slot("2", 0), taken])
        self.settle()
        wait_for(lambda: "incident 5: it was taken away. Next: rescan" in self.log() and self.incidents(monitor), "the entry and the event")
        del taken["taken"]
        self.write_machine([slot("2", 0), taken])
        self.settle()
        self.assertEqual(self.incidents(monitor), [("3", "5")])
        removal = self.remove("2")
        wait_for(lambda: self.report(removal)["plan"], "the plan")
        asked = len(self.asked_of_incidents())
        self.write_machine([{**slot("2", 0, card=False), "occupied": True, "power": "on", "power_led": "on", "taken": True}, taken])
        self.settle()
        self.assertEqual(len(self.asked_of_incidents()), asked)
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_never_was_there(self):
        self.write_registers(PORT, HELD_BLINKING, 0)
        removal = self.remove("2")
        time.sleep(0.5)  # two turns of the poll
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertNotIn("without being safe", self.log())

    def lights(self):
        return [json.loads(line.removeprefix("light ")) for line in self.worker_log() if line.startswith("light ")]

    def remove_safely(self, status):
        """The card is off and stays in the slot, where the registers show `status`."""
        off = slot("2", 0, card=False)
        self.write("play/go", "")
        self.write_registers(PORT, OFF, status)
        self.write_machine([{**off, "occupied": bool(status & PRESENT)}, slot("3", 1)])
        self.assertEqual(self.wait_end(self.remove("port:" + PORT)), "safe")
        wait_for(lambda: self.slot("2", "State") == ("safe" if status & PRESENT else "empty"), "the slot")
        return off

    def test_light_is_written_in_order(self):
        """It is wanted on, and off again before it was on: it is off in the end."""
        off = self.remove_safely(PRESENT)
        self.write("play/slow-light", "")
        self.write_registers(PORT, POWERING_UP, PRESENT)
        wait_for(lambda: self.slot("2", "State") == "withdrawn", "the slot's state")
        self.write_machine([{**off, "occupied": True, "power": "on", "power_led": "blink"}, slot("3", 1)])
        self.settle()
        self.write_machine([slot("2", 0), slot("3", 1)])
        self.settle()
        wait_for(lambda: self.slot("2", "State") == "ready", "the card to be up")
        os.unlink(self.path("play/slow-light"))
        wait_for(lambda: len(self.lights()) == 2, "both writes")
        self.assertEqual([light["attention"] for light in self.lights()], ["on", "off"])

    def withdraw(self):
        off = self.remove_safely(PRESENT)
        self.write_registers(PORT, POWERING_UP, PRESENT)
        wait_for(lambda: self.slot("2", "State") == "withdrawn", "the slot's state")
        return off

    def wait_light(self, shown):
        wait_for(lambda: self.slot("2", "AttentionLed") == shown, f"the light to be {shown}\n" + self.log())

    def test_light_is_tried_again(self):
        """It cannot be written, or what is written is not what the slot shows: it is tried until it is so."""
        for n, trouble in enumerate(("light-fails", "light-slips")):
            self.write("play/" + trouble, "")
            off = self.withdraw()
            wait_for(lambda: self.log().count("is tried again") == n + 1, "the first try\n" + self.log())
            self.assertEqual(self.slot("2", "AttentionLed"), "off")
            os.unlink(self.path("play/" + trouble))
            self.wait_light("on")
            wait_for(lambda: self.log().count("The attention LED of slot 2 is on now") == n + 1, "the last try\n" + self.log())
            self.write_machine([slot("2", 0), slot("3", 1)])
            self.settle()
            wait_for(lambda: self.lights()[-1]["attention"] == "off", "the light to be given back")
            self.write_registers(PORT, UP, PRESENT)

    def test_light_that_nobody_wants_any_more(self):
        """A removal begins before it could be written: the lights are that one's now."""
        self.write("play/light-fails", "")
        off = self.withdraw()
        wait_for(lambda: "is tried again" in self.log(), "the first try\n" + self.log())
        os.unlink(self.path("play/go"))
        removal = self.remove("port:" + PORT)
        wait_for(lambda: self.get(removal, "Removal", "Step") == "hold", "the removal to work\n" + self.log())
        os.unlink(self.path("play/light-fails"))
        time.sleep(3)  # longer than the pause
        self.assertEqual(self.lights(), [])
        self.write("play/go", "")
        self.wait_end(removal)

    def test_light_is_set_until_nobody_else_writes(self):
        """Who is left behind in the kernel may write something else, after a write that was in force."""
        self.write("play/light-hangs", "")
        self.withdraw()
        wait_for(lambda: len(self.lights()) > 1, "the next try\n" + self.log())
        self.assertEqual(self.lights()[:2], 2 * [{"port": PORT, "attention": "on"}])

    def test_light_of_a_removal(self):
        """Who is at it when a removal begins is ended: from then on the lights are the removal's."""
        self.write("play/slow-light", "")
        self.withdraw()
        wait_for(lambda: any(line.startswith("light-asked") for line in self.worker_log()), "the light's worker")
        os.unlink(self.path("play/go"))
        removal = self.remove("port:" + PORT)
        wait_for(lambda: self.slot("2", "State") == "removing", "the removal")
        self.wait_ended("light")
        os.unlink(self.path("play/slow-light"))
        self.write_registers(PORT, OFF, PRESENT)  # its power is off again
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.settle()
        self.assertEqual((self.lights(), self.slot("2", "State"), self.slot("2", "AttentionLed")), ([], "safe", "off"))

    def test_light_of_a_stuck_slot(self):
        """Whoever is left behind by the removal turns it off later: it says "safe to pull" no longer than until a look."""
        self.write("play/script", "step hold\nstuck\n")
        self.assertEqual(self.wait_end(self.remove("2")), "stuck")
        self.assertIn("Removal 1 of slot 2, not put back: process 812 (dd) was ended.", self.log())
        wait_for(lambda: len(self.lights()) == 1 and self.slot("2", "AttentionLed") == "on", "the light\n" + self.log())
        self.write_machine([{**slot("2", 0), "power": "off", "power_led": "off"}, slot("3", 1)])
        self.settle()
        wait_for(lambda: len(self.lights()) == 2 and self.slot("2", "AttentionLed") == "on", "the light again\n" + self.log())
        self.assertEqual(self.lights(), 2 * [{"port": PORT, "attention": "on"}])

    def test_dark_over_a_card(self):
        """A reset has turned the lights off, and a card with power is under them: the power LED is turned on, until it is seen to be."""
        dark = {**slot("2", 0), "power_led": "off"}
        self.write("play/light-slips", "")
        # Neither one that has no power, nor one whose LED says something, nor one that is held.
        self.write_machine([dark, {**slot("3", 1), "power_led": "off", "power": "off"}, {**slot("4", 2), "power_led": "off", "attention_led": "on"},
                            {**slot("5", 3), "power_led": "off", "held": True}])
        self.settle()
        wait_for(lambda: "The power LED of slot 2 cannot be set to on: " in self.log(), "the first try\n" + self.log())
        os.unlink(self.path("play/light-slips"))
        wait_for(lambda: self.slot("2", "PowerLed") == "on", "the light\n" + self.log())
        wait_for(lambda: "The power LED of slot 2 is on now" in self.log(), "the last word\n" + self.log())
        self.assertIn("The card in slot 2 has power under a dark power LED", self.log())
        self.assertEqual({(light["port"], light["attention"]) for light in self.lights()}, {(PORT, "lit")})

    def test_dark_over_a_removal(self):
        """The lights of a slot with a removal are that one's."""
        self.remove("2")
        self.write_machine([{**slot("2", 0), "power_led": "off"}, slot("3", 1)])
        self.settle()
        self.assertEqual(self.lights(), [])
        self.write("play/go", "")

    def test_light_to_be_off_behind_a_removal(self):
        """It could not be turned off before a removal began, which leaves all as it was: it is turned off then."""
        gone = {**slot("2", 0), "occupied": False, "card": None}
        self.write_machine([{**gone, "left": "memory-blocks: memory146 is online", "lost": []}, slot("3", 1)])
        self.settle()
        self.wait_light("on")
        self.write("play/light-fails", "")
        self.write_machine([{**slot("2", 0), "attention_led": "on"}, slot("3", 1)])
        self.settle()
        wait_for(lambda: "cannot be set to off" in self.log(), "the first try\n" + self.log())
        self.write("play/script", "step hold\nwait go\nend-as restored\n")
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step") == "hold", "the removal to work\n" + self.log())
        os.unlink(self.path("play/light-fails"))
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "restored")
        wait_for(lambda: [light["attention"] for light in self.lights()] == ["on", "off"], "the light to be off\n" + self.log())

    def test_light_behind_the_end_of_its_fault(self):
        """It is turned on for what is stuck, and another card is up when it is at last: it goes off."""
        self.write("play/slow-light", "")
        self.write("play/script", "step hold\nstuck\n")
        self.assertEqual(self.wait_end(self.remove("2")), "stuck")
        other = slot("2", 0)
        self.write_machine([{**other, "card": {**other["card"], "serial": "0x4711"}}, slot("3", 1)])
        self.settle()
        wait_for(lambda: self.slot("2", "State") == "ready", "another card\n" + self.log())
        os.unlink(self.path("play/slow-light"))
        wait_for(lambda: [light["attention"] for light in self.lights()] == ["on", "off"], "the light to be off\n" + self.log())

    def test_light_darkened_by_a_late_write(self):
        """A write that had hung ends after ours: what the slot is to show is what it shows."""
        off = self.withdraw()
        self.wait_light("on")
        self.write_machine([{**off, "occupied": True, "power": "on", "power_led": "blink", "attention_led": "off"}, slot("3", 1)])
        self.settle()
        wait_for(lambda: [light["attention"] for light in self.lights()] == ["on", "on"], "the light again\n" + self.log())
        self.wait_light("on")

    def test_light_withdrawn(self):
        """Somebody powers the slot up again: the light says so until the card is up."""
        off = self.remove_safely(PRESENT)
        monitor = self.monitor()
        time.sleep(1.2)  # two looks
        self.assertEqual(self.lights(), [])
        self.write_registers(PORT, POWERING_UP, PRESENT)
        wait_for(self.lights, "the light\n" + self.log())
        self.assertEqual(self.lights(), [{"port": PORT, "attention": "on"}])
        wait_for(lambda: (self.slot("2", "State"), self.slot("2", "AttentionLed")) == ("withdrawn", "on"), "the slot's state")
        event = [e for e in monitor.events() if e["type"] == "withdrawn"]
        self.assertEqual([(e["slot"], e["port"], e["message"]) for e in event], [("2", PORT, "the power LED blinks")])
        self.write_machine([{**off, "occupied": True, "power": "on", "power_led": "blink", "attention_led": "on"}, slot("3", 1)])
        self.settle()
        self.assertEqual(self.slot("2", "State"), "withdrawn")
        self.write_machine([slot("2", 0), slot("3", 1)])
        self.settle()
        wait_for(lambda: len(self.lights()) == 2, "the light to be given back")
        self.assertEqual(self.lights()[1]["attention"], "off")
        self.assertEqual(self.slot("2", "State"), "ready")
        self.assertEqual(len([e for e in monitor.events() if e["type"] == "withdrawn"]), 1)

    def test_card_lost(self):
        """Pulled by surprise, and something of the card is not gone: the slot says so until it is."""
        root = Connection(self.path("bus"))
        self.addCleanup(root.close)
        root.answer(root.send("Subscribe"))
        monitor = self.monitor()
        gone = {**slot("2", 0), "occupied": False, "card": None}
        self.write_machine([{**gone, "left": "memory-blocks: memory146 is online",
                             "lost": ["memory146 to memory149: 512 MiB online in zone Movable", "process 7 (sleep) has folder nvme0n1"]}, slot("3", 1)])
        self.settle()
        wait_for(lambda: self.slot("2", "State") == "lost", "the slot's state\n" + self.log())
        wait_for(self.lights, "the light\n" + self.log())
        self.assertEqual(self.lights(), [{"port": PORT, "attention": "on"}])
        self.settle()
        event = [e for e in monitor.events() if e["type"] == "card-lost"]
        # Which processes use what is left only root hears.
        self.assertEqual([(e["slot"], e["port"], e.get("message"), e.get("lost")) for e in event[:1]], [("2", PORT, None, None)])
        told = json.loads(wait_for(lambda: next((m.text for m in iter(lambda: root.next(0.1), None) if "card-lost" in m.text), None), "the event"))
        self.assertEqual((told["slot"], told["port"], told["message"]), ("2", PORT, "memory-blocks: memory146 is online"))
        self.assertEqual(told["lost"], ["memory146 to memory149: 512 MiB online in zone Movable", "process 7 (sleep) has folder nvme0n1"])
        self.assertIn("Lost: memory146 to memory149: 512 MiB online in zone Movable; process 7 (sleep) has folder nvme0n1", self.log())
        self.write_machine([gone, slot("3", 1)])
        self.settle()
        wait_for(lambda: len(self.lights()) == 2, "the light to be given back")
        self.assertEqual((self.lights()[1]["attention"], self.slot("2", "State")), ("off", "empty"))

    def test_disk_lost(self):
        """A disk is gone and in use, and of no slot: told once, for as long as it is so, and no light says anything of it."""
        root = Connection(self.path("bus"))
        self.addCleanup(root.close)
        root.answer(root.send("Subscribe"))
        monitor = self.monitor()
        gone = {"device": "sdb1", "slot": None, "lost": ["ext4 of /dev/sdb1 is mounted on /srv"]}
        slots = [slot("2", 0), slot("3", 1)]

        def told():
            """What everybody hears: of the lines and the device only root does."""
            return [e for e in monitor.events() if e["type"] == "disk-lost" and "message" not in e]

        self.write_machine(slots, vanished=[gone])
        self.settle()
        wait_for(told, "the event\n" + self.log())
        self.settle()
        self.assertEqual([(e.get("slot"), e.get("lost")) for e in told()], [(None, None)])
        seen = json.loads(wait_for(lambda: next((m.text for m in iter(lambda: root.next(0.1), None) if "disk-lost" in m.text), None), "the event"))
        self.assertEqual((seen["message"], seen["lost"]), ("sdb1", gone["lost"]))
        self.assertIn("The disk sdb1 is gone and still in use; nothing tells which slot it was in. Lost: ext4 of /dev/sdb1", self.log())
        self.write_machine(slots)
        self.settle()
        self.write_machine(slots, vanished=[{**gone, "slot": "2"}])
        self.settle()
        wait_for(lambda: len(told()) == 2, "the next event")
        self.assertEqual(told()[1].get("slot"), "2")
        self.assertEqual((self.lights(), self.slot("2", "State")), ([], "ready"))

    def test_card_lost_until_a_restart(self):
        """Whoever turned the light on is not there any more when all of it is gone."""
        self.stop_daemon()
        self.write_machine([{**slot("2", 0), "occupied": False, "card": None, "attention_led": "on", "was_lost": True}, slot("3", 1)])
        self.start_daemon()
        wait_for(self.lights, "the light to be given back\n" + self.log())
        self.assertEqual((self.lights(), self.slot("2", "State")), ([{"port": PORT, "attention": "off"}], "empty"))

    def test_light_of_an_empty_slot(self):
        """The card was pulled; the next one that comes is none of the light's business."""
        self.remove_safely(PRESENT)
        self.write_registers(PORT, OFF, 0)
        time.sleep(1.2)  # two looks
        self.write_registers(PORT, POWERING_UP, PRESENT)
        time.sleep(1.2)
        self.assertEqual(self.lights(), [])

    def test_light_withdrawn_after_a_restart(self):
        self.remove_safely(PRESENT)
        self.stop_daemon()
        self.start_daemon()
        self.write_registers(PORT, POWERING_UP, PRESENT)
        wait_for(self.lights, "the light\n" + self.log())
        self.assertEqual(self.slot("2", "State"), "withdrawn")

    def test_scans_beside_a_removal(self):
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        self.write_machine([slot("2", 0), slot("3", 1), slot("5", 5)])
        begin = time.monotonic()
        send_device_event("remove", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: len(self.objects("slot")) == 3, "the new slot")
        beside = time.monotonic() - begin
        self.assertGreater(beside, 4)
        self.assertEqual(self.running(), [removal])
        self.write_machine([slot("2", 0), slot("3", 1), slot("5", 5), slot("6", 6)])
        self.write("play/go", "")
        begin = time.monotonic()
        wait_for(lambda: len(self.objects("slot")) == 4, "the scan after its end")
        self.assertLess(time.monotonic() - begin, beside)

    def test_pulled_when_it_may_be(self):
        self.write("play/script", "step hold\ndeaf\nwait go\n")
        self.write_registers(PORT, HELD_BLINKING, PRESENT)
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "State") == "finishing", "the point of no return")
        time.sleep(0.5)
        self.write_registers(PORT, HELD_BLINKING, 0)
        time.sleep(0.5)  # two turns of the poll
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertNotIn("without being safe", self.log())

    def sleep_through(self):
        """The daemon gets no turn from before the point of no return until the card is pulled: it finds all of it at once."""
        self.daemon.send_signal(signal.SIGSTOP)
        self.addCleanup(self.daemon.send_signal, signal.SIGCONT)
        self.write("play/go", "")
        with open(self.path("state/removals/1/journal")) as journal:
            wait_for(lambda: '"ev": "end"' in journal.read(), "the end of the worker")
        self.write_registers(PORT, OFF, 0)
        self.kernel_says("Slot(2): Card not present", PORT, 10)
        self.daemon.send_signal(signal.SIGCONT)

    def test_pulled_while_the_daemon_slept(self):
        self.write("play/script", "step hold\nwait go\ndeaf\nstep power-off\n")
        self.write_registers(PORT, HELD_BLINKING, PRESENT)
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step") == "hold", "its first step")
        time.sleep(0.5)  # seen by the poll
        self.sleep_through()
        self.assertEqual(self.wait_end(removal), "safe")
        self.settle()
        self.assertNotIn("without being safe", self.log())

    def test_pulled_before_the_next_scan(self):
        """What the last scan knew of the card is older than its removal."""
        self.write("play/go", "")
        self.write("play/scan-fails", "")
        self.assertEqual(self.wait_end(self.remove("port:" + PORT)), "safe")
        self.kernel_says("Slot(2): Card not present", PORT, 10)
        self.kernel_says("Slot(3): Card not present", "0000:0c:01.0", 11)
        wait_for(lambda: "without being safe" in self.log(), "the complaint of the other slot")
        self.assertNotIn("Slot 2 (port 0000:0c:00.0): the card was pulled", self.log())

    def test_a_press_was_missed(self):
        self.write_registers(PORT, HELD_BLINKING, PRESENT)
        self.kernel_says("Slot(9): Link Up", PORT, 10)
        self.kernel_says("Slot(9): Link Up", PORT, 11)
        self.settle()
        self.assertEqual(self.running(), [])  # blinking is not looked for as long as no record is missing
        monitor = self.monitor()
        self.kernel_says("Slot(9): Link Up", PORT, 13)
        removal = self.wait_running()
        self.assertEqual(self.get(removal, "Removal", "Trigger"), "button")
        self.assertEqual([e["type"] for e in monitor.events()][0], "kmsg-lost")

    def test_a_press_was_missed_before_the_guard(self):
        """Records of the last 5 s were overwritten before it came: only then does a light stand for a press."""
        for age, count in ((6, 0), (1, 1)):
            self.stop_guard(signal.SIGKILL)
            self.write_registers(PORT, HELD_BLINKING, PRESENT)
            keep = os.open(self.path("kmsg"), os.O_RDWR)
            self.kernel_says("Slot(9): Link Up", PORT, 10, usec=int((time.monotonic() - age) * 1e6))
            self.start_guard()
            os.close(keep)
            if count:
                self.assertEqual(self.get(self.wait_running(), "Removal", "Trigger"), "button")
            else:
                wait_for(lambda: "Lost what the guard had to tell" in self.log(), "the daemon to be back\n" + self.log())
                self.settle()
                time.sleep(0.7)  # past the second look
                self.assertEqual(self.running(), [])

    def test_blinks_since_before_the_boot(self):
        """A reset need not reset a port: its light blinks on, for a removal of the boot before. Nobody has pressed, so that nothing begins; and it is turned on."""
        self.stop_daemon()
        self.stop_guard()
        self.write_registers(PORT, HELD_BLINKING, PRESENT)
        # Neither one that has no power, nor one that is held.
        self.write_machine([{**slot("2", 0), "power_led": "blink"}, {**slot("3", 1), "power_led": "blink", "power": "off"},
                            {**slot("4", 2), "power_led": "blink", "held": True}])
        self.start_guard()
        self.start_daemon()
        self.settle()
        self.assertEqual(self.lights(), [])  # the kernel has it blink for a moment, too
        self.stop_guard(signal.SIGKILL)  # what is lost by that is no press either
        self.start_guard()
        wait_for(lambda: "Lost what the guard had to tell" in self.log(), "the daemon to be back\n" + self.log())
        wait_for(lambda: self.slot("2", "PowerLed") == "on", "the light\n" + self.log())
        self.assertIn("The card in slot 2 has power under a power LED that blinks", self.log())
        self.assertEqual({(light["port"], light["attention"]) for light in self.lights()}, {(PORT, "lit")})
        self.assertFalse([line for line in self.worker_log() if line.startswith("run ")], self.log())

    def test_no_press_was_missed(self):
        self.stop_daemon()
        self.stop_guard()  # what it was asked to look at before may be still to come
        self.write_registers(PORT, UP, PRESENT)
        self.write_registers("0000:0c:01.0", HELD_BLINKING, PRESENT)
        self.write_machine([slot("2", 0), {**slot("3", 1), "held": True}, {**slot("4", 2), "card": None}])
        self.write_registers("0000:0c:02.0", HELD_BLINKING, PRESENT)  # being powered on: no function yet
        self.start_guard()
        self.start_daemon()
        self.kernel_says("Slot(9): Link Up", PORT, 10)
        self.kernel_says("Slot(9): Link Up", PORT, 20)
        wait_for(lambda: "looking at every slot" in self.log(), "the loss")
        self.settle()
        time.sleep(0.7)  # past the second look
        self.assertEqual(self.worker_log(), [])

    def test_asked_by_uevent(self):
        send_device_event("change", "/devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0", "pci", SYNTH_ARG_SAFEREMOVE="later")
        send_device_event("change", "/devices/pci0000:0c/0000:0c:01.0/0000:0e:00.0", "pci", SYNTH_ARG_SAFEREMOVE="pending")
        removal = self.wait_running()
        self.assertEqual(self.get(removal, "Removal", "Trigger"), "uevent")
        self.assertEqual(self.get(removal, "Removal", "Slot"), "3")

    def test_asked_by_firmware(self):
        monitor = self.monitor()
        send_device_event("change", "/devices/system/container/PNP0A06:00", "container", EVENT="offline")
        send_device_event("change", "/devices/platform/dock.0", "platform", EVENT="undock")
        send_device_event("change", "/devices/platform/thing.0", "platform", EVENT="offline")
        wait_for(lambda: "dock.0" in self.log(), "the second request")
        self.assertIn("PNP0A06:00", self.log())
        self.settle()
        self.assertEqual([e["type"] for e in monitor.events()], ["request-unserved"] * 2)
        self.assertEqual(self.worker_log(), [])

    def test_cards_come_and_go(self):
        monitor = self.monitor()
        self.write_machine([slot("2", 0, card=False), {**slot("3", 1), "held": True, "name": "3-held"}, slot("5", 5)])
        for n in range(50):
            send_device_event("remove", f"/devices/system/memory/memory{n}", "memory")
        wait_for(lambda: len(self.objects("slot")) == 3, "the new slot")
        self.assertEqual((self.slot("2", "State"), self.slot("2", "CardAddress"), self.slot("2", "Occupied")), ("empty", "", False))
        self.assertEqual((self.slot("5", "State"), self.slot("5", "Memdev")), ("ready", "mem5"))
        self.assertTrue(self.slot("3", "Held"))  # known by its port
        self.assertIn({"CardAddress": "", "Memdev": "", "Serial": "", "Power": "off", "PowerLed": "off", "State": "empty",
                       "Occupied": False}, monitor.changes("Slot"))
        self.assertIn({"Held": True}, monitor.changes("Slot"))
        self.write_machine([slot("3", 1)])
        send_device_event("remove", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: len(self.objects("slot")) == 1, "the end of the other slots")
        wait_for(lambda: len(monitor.signals("InterfacesRemoved")) == 2, "its signal")

    def test_memory_stays(self):
        """Told once, when it is found, and to everybody; taken back when it is mended or the card is gone; a storm of events is few looks."""
        why = {"code": "ZONE_NORMAL", "what": "memory blocks memory8 to memory11 (4) are in zone Normal", "remedy": ["echo online_movable"]}
        self.write("play/log-stays", "")
        monitor = self.monitor()
        self.write("play/stays", json.dumps([{"name": "2", "port": PORT, "findings": [why]}]))
        for n in range(200):
            send_device_event("add", f"/devices/system/memory/memory{n}", "memory")
        wait_for(lambda: self.slot("2", "MemoryStays") == why["what"], "the warning")
        self.assertEqual(self.slot("3", "MemoryStays"), "")
        self.assertIn(f"The memory of the card in slot 2 will not leave again: {why['what']}. What to do: echo online_movable", self.log())
        told = wait_for(lambda: [e for e in monitor.events() if e["type"] == "memory-stays"], "the event")
        self.assertEqual([(e["slot"], e["port"], e["message"], e["codes"], "remedy" in e) for e in told], [("2", PORT, why["what"], ["ZONE_NORMAL"], False)])
        listed = subprocess.run([os.environ["SAFE_REMOVE"], "list"], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertIn(f"slot 2: the card's memory will not leave again: {why['what']} (safe-remove explain 2)\n", listed.stdout)
        self.assertLess(len(self.worker_log()), 4)

        self.write("play/stays", "[]")
        send_device_event("add", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: self.slot("2", "MemoryStays") == "", "the end of the warning")
        self.assertEqual(self.log().count("will not leave again"), 1)

    def test_memory_stays_of_a_card_that_goes(self):
        self.write("play/stays", json.dumps([{"name": "2", "port": PORT, "findings": [{"code": "LOCKED", "what": "region0 is locked"}]}]))
        send_device_event("add", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: self.slot("2", "MemoryStays") == "region0 is locked", "the warning")
        self.write_machine([slot("2", 0, card=False), slot("3", 1)])
        os.unlink(self.path("play/stays"))
        send_device_event("remove", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: self.slot("2", "MemoryStays") == "", "the end of the warning")

    def came(self):
        send_device_event("bind", "/devices/pci0000:0c/dax0.0", "dax", DRIVER="kmem")

    def test_memory_comes(self):
        """Its worker hears of it, once; of what comes while a removal runs it does not: that is the removal's own."""
        self.write("play/log-stays", "")
        self.write("play/brings-online", "")
        self.came()
        wait_for(lambda: "stays arrived" in self.worker_log(), "the look")
        wait_for(lambda: "4 memory blocks of cards that have come are online in zone Movable (OnlineMovable=yes)." in self.log(), "the blocks")
        self.assertIn("1 memory block of cards that have come could not be brought online (OnlineMovable=yes): it hangs.", self.log())
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        self.came()
        self.settle()
        looks = len(self.worker_log())
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        send_device_event("add", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: "stays" in self.worker_log()[looks:], "the next look")
        self.assertEqual(self.worker_log().count("stays arrived"), 1)

    def test_reload(self):
        """In the middle of a removal, twice at once: mistakes are told with their line, and the removal goes on."""
        os.makedirs(self.path("etc/conf.d"))
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        self.write("etc/conf.d/50-mine.conf", "[Removal]\nGraceSecs=5\n")
        for _ in range(2):
            self.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: f"{self.path('etc/conf.d/50-mine.conf')}:2: key 'GraceSecs' is not known; did you mean GraceSec?" in self.log(), "the mistake")
        wait_for(lambda: "Reloaded: 1 file with settings and rules, 1 warning." in self.log(), "the end of the reload")
        self.write("etc/conf.d/50-mine.conf", "[Removal]\nGraceSec=5\n")
        self.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "Reloaded: 1 file with settings and rules, 0 warnings." in self.log(), "the next reload")
        self.assertNotEqual(self.get(removal, "Removal", "State"), "ended")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual([line for line in self.worker_log() if line.startswith("resume")], [])

    def test_scan_fails(self):
        looked = self.get(ROOT, "Manager", "LastLookUsec")
        self.assertLess(abs(looked / 1e6 - time.time()), 600)
        self.write("play/scan-fails", "")
        send_device_event("remove", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: "could not be scanned" in self.log(), "the error")
        self.assertEqual((self.slot("2", "State"), self.slot("2", "Stale")), ("ready", True))
        self.assertEqual(self.get(ROOT, "Manager", "LastLookUsec"), looked)
        metrics = subprocess.run([os.environ["SAFE_REMOVE"], "metrics"], env=self.env, capture_output=True, text=True, timeout=60).stdout
        self.assertIn('\nsafe_remove_slot_stale{slot="2"} 1\n', metrics)
        self.assertIn(f"\nsafe_remove_last_look_timestamp_seconds {looked // 10**6}.{looked % 10**6:06}\n", metrics)
        with self.assertRaises(harness.BusError) as failed:
            self.manager("GetTopology")
        self.assertEqual(failed.exception.name, "Failed")
        listed = subprocess.run([os.environ["SAFE_REMOVE"], "list"], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual(listed.returncode, 1)
        self.assertIn("ready (stale)", listed.stdout)
        self.assertIn("could not be looked at", listed.stderr)
        os.unlink(self.path("play/scan-fails"))
        self.settle()
        self.assertFalse(self.slot("2", "Stale"))
        self.assertGreater(self.get(ROOT, "Manager", "LastLookUsec"), looked)
        listed = subprocess.run([os.environ["SAFE_REMOVE"], "list"], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertEqual((listed.returncode, "stale" in listed.stdout), (0, False))

    def test_look_is_an_error(self):
        """Of a worker that says so itself, as of one that dies."""
        self.write("play/scan-fails", "error")
        send_device_event("remove", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: self.slot("3", "Stale"), "the slots to be marked")
        with self.assertRaises(harness.BusError) as failed:
            self.manager("GetTopology")
        self.assertEqual((failed.exception.name, failed.exception.message), ("Failed", "The machine could not be looked at: Timer expired."))

    def test_what_a_slot_says(self):
        self.write("play/go", "")
        self.remove("2")
        wait_for(lambda: self.slot("2", "State") == "ready", "the end")  # the picture still shows a running card
        off = {**slot("2", 0, card=False), "occupied": True}
        for changes, state in (({}, "safe"), ({"attention_led": "on"}, "ready"), ({"occupied": False}, "empty")):
            self.write_machine([{**off, **changes}, slot("3", 1)])
            send_device_event("remove", "/devices/system/memory/memory1", "memory")
            wait_for(lambda: self.slot("2", "State") == state, f"{changes} to be {state}")


if __name__ == "__main__":
    harness.main()
