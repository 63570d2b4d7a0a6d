#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine that is shut down or suspended while a card is being removed."""
import ctypes
import json
import os
import signal

import harness
from harness import BusError, BusTest, ROOT, slot, wait_for
from fake_logind import Logind

PTRACE_SEIZE, WALL = 0x4206, 0x40000000
ALL = [("shutdown", "delay"), ("sleep", "block"), ("sleep", "delay")]


class WithLogind(BusTest):
    script = "step hold\nwait go\nstep offline-memory\nstep power-off\n"

    def settle(self):
        """Everything the daemon had been told before is done when it has answered with a scan."""
        self.json_of("GetTopology")

    def logind(self, **how):
        logind = Logind(self.path("bus"), **how)
        self.addCleanup(logind.end)
        return logind

    def working(self, target="2"):
        removal = self.remove(target)
        wait_for(lambda: self.get(removal, "Removal", "State") == "working", "the removal")
        return removal

    def refused(self, target):
        with self.assertRaises(BusError) as refusal:
            self.remove(target)
        return refusal.exception.name, refusal.exception.message

    def test_held_while_one_runs(self):
        """Both, once for all removals, and none without one."""
        logind = self.logind()
        first, second = self.working("2"), self.working("3")
        wait_for(lambda: sorted(logind.held()) == ALL, "the inhibitors")
        self.manager("Cancel", "'2'")
        self.assertEqual(self.wait_end(first), "restored")
        self.settle()
        self.assertEqual((sorted(logind.held()), len(logind.taken)), (ALL, 3))
        self.write("play/go", "")
        self.assertEqual(self.wait_end(second), "safe")
        wait_for(lambda: logind.held() == [], "the inhibitors to be given back")
        os.unlink(self.path("play/go"))
        third = self.working("2")
        wait_for(lambda: sorted(logind.held()) == ALL, "the inhibitors of the next one")
        self.write("play/go", "")
        self.wait_end(third)

    def look_again(self, *slots):
        self.write_machine([*slots])
        harness.send_device_event("add", "/devices/pci", "pci")

    def test_held_after_its_end(self):
        """A removal has ended, and its slot could not be given back: the machine is not put to sleep over that, but nothing would come of a delay. A slot that
        somebody else keeps from the kernel is his."""
        self.write("play/script", "step hold\nwait go\nstuck\n")
        logind = self.logind()
        removal = self.working()
        ours, others = {**slot("2", 0), "held": True, "marked": True}, {**slot("3", 1), "held": True}
        self.write_machine([ours, others])
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "stuck")
        wait_for(lambda: logind.held() == [("sleep", "block")], "the others to be given back")
        wait_for(lambda: self.slot("3", "Held"), "the look after its end")
        self.settle()
        self.assertEqual((logind.held(), len(logind.taken)), ([("sleep", "block")], 3))
        self.look_again(slot("2", 0), others)
        wait_for(lambda: logind.held() == [], "the block to be given back")
        self.look_again(ours, slot("3", 1))
        wait_for(lambda: logind.held() == [("sleep", "block")], "a block for what a look has seen")

    def test_held_before_the_daemon(self):
        """Without a removal, from the first look of a daemon on."""
        logind = self.logind()
        self.write_machine([{**slot("2", 0), "held": True, "marked": True}, slot("3", 1)])
        self.stop_daemon(signal.SIGKILL)
        self.start_daemon()
        wait_for(lambda: logind.held() == [("sleep", "block")], "the block")

    def test_shutdown(self):
        """What can be put back is; nothing begins any more; and where nothing comes of it, all is as ever."""
        logind = self.logind()
        removal = self.working()
        wait_for(lambda: sorted(logind.held()) == ALL, "the inhibitors")
        logind.prepare("Shutdown", True)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.report(removal)["message"], "cancelled by shutdown")
        wait_for(lambda: logind.held() == [], "the inhibitors to be given back")
        self.assertIn("The machine is about to be shut down: removal 1 of slot 2 is put back.", self.log())
        name, why = self.refused("3")
        self.assertEqual((name, "being shut down" in why), ("Busy", True), why)
        logind.prepare("Shutdown", False)
        self.write("play/go", "")
        wait_for(lambda: self.starts("3"), "the end of it")

    def starts(self, target):
        try:
            return self.wait_end(self.remove(target)) == "safe"
        except BusError:
            return False

    def test_too_late(self):
        """Past the point of no return it goes on to its end, which the shutdown waits for."""
        self.write("play/script", "step hold\nstep power-off\ndeaf\nwait go\n")
        logind = self.logind()
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "State") == "finishing", "the removal")
        logind.prepare("Shutdown", True)
        wait_for(lambda: "removal 1 of slot 2 goes on to its end" in self.log(), "the word")
        self.assertEqual(sorted(logind.held()), ALL)
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        wait_for(lambda: logind.held() == [], "the inhibitors to be given back")

    def test_suspended_all_the_same(self):
        """Root may pass over a block."""
        logind = self.logind()
        removal = self.working()
        logind.prepare("Sleep", True)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.report(removal)["message"], "cancelled by suspend")
        self.assertIn("being suspended", self.refused("3")[1])

    def looks_for_late(self):
        return self.worker_log().count("late")

    def prepare(self, logind, on):
        """Until the daemon knows."""
        logind.prepare("Sleep", on)
        wait_for(lambda: ("SUSPENDED" in self.shown()) == on, "the daemon to know")

    def shown(self):
        """A removal that says no more than whether one may begin."""
        try:
            self.manager("Remove", "'nothing'", "{}")
        except BusError as refusal:
            return "SUSPENDED" if "suspended" in refusal.message else refusal.message
        return ""

    def test_late_in_a_suspend(self):
        """A write that a removal had left behind comes back while nothing may begin: what is left is dealt with when the machine is back, and once."""
        self.write("play/script", "step hold\nstuck\n")
        self.write("play/log-late", "")
        self.write("play/restore-script", "step release\nstuck\n")
        writer = self.background(["sleep", "1000"])
        self.write("play/late", json.dumps({"waiting": [{"id": "1", "pid": writer.pid}], "ended": []}))
        logind = self.logind()
        before = self.looks_for_late()
        self.assertEqual(self.wait_end(self.remove("2")), "stuck")
        wait_for(lambda: self.looks_for_late() > before, "a look")
        self.prepare(logind, True)
        before = self.looks_for_late()
        self.write("play/late", json.dumps({"waiting": [], "ended": [{"id": "1", "slot": "2", "do": "restore"}]}))
        writer.kill()
        wait_for(lambda: self.looks_for_late() > before, "the look after the end of the writer")
        self.settle()
        self.assertEqual(self.restorations(), 0)
        self.prepare(logind, False)
        wait_for(lambda: self.restorations() == 1, "the rest\n" + self.log())
        wait_for(lambda: self.log().count("ended (stuck)") == 2, "the end of it")
        before = self.looks_for_late()
        self.write("play/script", "step hold\nstuck\n")
        self.assertEqual(self.wait_end(self.remove("3")), "stuck")
        wait_for(lambda: self.looks_for_late() > before, "one more look")
        self.settle()
        self.assertEqual(self.restorations(), 1)

    def restorations(self):
        return len([line for line in self.worker_log() if line.startswith("restore ")])

    def test_died_in_a_suspend(self):
        """A worker that could not be killed has died after all while nothing may begin: its removal is put back when the machine is back."""
        self.write("play/script", "step hold\nwait go\ngarble\nhang\n")
        logind = self.logind()
        removal = self.working()
        worker = [pid for pid in self.workers() if "run" in self.words_of(pid) and ctypes.CDLL(None).ptrace(PTRACE_SEIZE, pid, None, None) == 0]
        if not worker:
            self.skipTest("nobody may trace here")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "stuck")
        self.prepare(logind, True)
        for pid in worker:
            os.waitpid(pid, WALL)
        wait_for(lambda: "nobody goes on with it yet" in self.log(), "its end")
        self.settle()
        self.assertEqual(self.get(removal, "Removal", "Outcome"), "stuck")
        self.prepare(logind, False)
        wait_for(lambda: self.get(removal, "Removal", "Outcome") == "restored", "it to be put back")

    def test_card_comes_back_in_a_suspend(self):
        """It is looked at when the machine is back."""
        self.write("play/log-looks", "")
        logind = self.logind()
        empty = slot("3", 1, card=False)
        self.look_again(slot("2", 0), empty)
        wait_for(lambda: not self.slot("3", "CardAddress"), "the card to be gone")
        self.prepare(logind, True)
        before = self.worker_log().count("came-back")
        self.look_again(slot("2", 0), slot("3", 1))
        wait_for(lambda: self.slot("3", "CardAddress"), "the card")
        self.settle()
        self.assertEqual(self.worker_log().count("came-back"), before)
        self.prepare(logind, False)
        wait_for(lambda: self.worker_log().count("came-back") > before, "the card to be looked at")

    def test_card_goes_while_another_one_is_asked_about(self):
        """And the machine is put to sleep over that question: the same card in its slot is one that has come back."""
        self.write("play/log-looks", "")
        logind = self.logind()
        gone, other_gone = slot("2", 0, card=False), slot("3", 1, card=False)
        self.look_again(gone, slot("3", 1))
        wait_for(lambda: not self.slot("2", "CardAddress"), "the card to be gone")
        self.write("play/slow-came-back", "")
        before = self.worker_log().count("came-back")
        self.look_again(slot("2", 0), slot("3", 1))
        wait_for(lambda: self.worker_log().count("came-back") > before, "the question")
        self.look_again(slot("2", 0), other_gone)
        wait_for(lambda: not self.slot("3", "CardAddress"), "the other card to be gone")
        self.prepare(logind, True)
        os.unlink(self.path("play/slow-came-back"))
        self.look_again(slot("2", 0), slot("3", 1))
        wait_for(lambda: self.slot("3", "CardAddress"), "the other card")
        self.settle()
        before = self.worker_log().count("came-back")
        self.prepare(logind, False)
        wait_for(lambda: self.worker_log().count("came-back") > before, "the other card to be looked at")

    def test_press(self):
        """Nobody removes the card, and the kernel's clock is not the answer."""
        logind = self.logind()
        removal = self.working("3")
        logind.prepare("Shutdown", True)
        self.assertEqual(self.wait_end(removal), "restored")
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", self.slots[0]["port"], 10)
        wait_for(lambda: "is not removed: The machine is being shut down" in self.log(), "the refusal\n" + self.log())
        self.assertEqual(self.get(ROOT, "Manager", "Removals"), [])

    def test_somebody_elses_signal(self):
        """Anybody may send one, to us alone; only logind is asked whether it is true."""
        logind = self.logind()
        removal = self.working()
        wait_for(lambda: sorted(logind.held()) == ALL, "the inhibitors")
        asked = logind.asked
        logind.signal("PrepareForShutdown", True)
        wait_for(lambda: logind.asked > asked, "the question")
        self.settle()
        self.assertEqual(self.get(removal, "Removal", "State"), "working")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_refuses(self):
        """Said once for each removal, and nothing else comes of it."""
        logind = self.logind(refuses="org.freedesktop.DBus.Error.AccessDenied")
        removal = self.working()
        wait_for(lambda: "the machine may be suspended while a slot is held" in self.log(), "the word")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.log().count("logind does not give the inhibitor"), 3)
        self.assertEqual(logind.taken, [])

    def test_another_one(self):
        """What one has refused another one is asked for, while it is needed still."""
        refusing = Logind(self.path("bus"), refuses="org.freedesktop.DBus.Error.AccessDenied")
        removal = self.working()
        wait_for(lambda: self.log().count("logind does not give the inhibitor") == 3, "the refusals")
        refusing.end()
        logind = self.logind()
        wait_for(lambda: sorted(logind.held()) == ALL, "the inhibitors")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_dies_while_it_prepares(self):
        """What it was about to do is over with it, also where it never said so."""
        logind = Logind(self.path("bus"))
        self.prepare(logind, True)
        logind.end()
        wait_for(lambda: "SUSPENDED" not in self.shown(), "the daemon to know")
        self.logind()
        self.write("play/go", "")
        self.assertEqual(self.wait_end(self.remove("3")), "safe")

    def test_does_not_answer(self):
        self.logind(silent=True)
        removal = self.working()
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")

    def test_none(self):
        removal = self.working()
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertNotIn("logind", self.log())


if __name__ == "__main__":
    harness.main()
