#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Workers that die, hang or talk rubbish; a daemon that dies or is stopped; and what the records tell afterwards."""
import json
import os
import signal
import subprocess
from pathlib import Path

import harness
from harness import BusError, BusTest, ROOT, wait_for


class Recovery(BusTest):
    def resumes(self):
        return [line.split()[1:] for line in self.worker_log() if line.startswith("resume ")]

    def start_and_wait(self, script="step hold\nstep offline-memory\nwait go\n"):
        self.write("play/script", script)
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        return removal

    def record(self, number, *records, plan=None):
        folder = self.path(f"state/removals/{number}")
        os.makedirs(folder)
        with open(folder + "/journal", "w") as f:
            f.write("".join(json.dumps(r) + "\n" for r in records))
        with open(folder + "/plan.json", "w") as f:
            json.dump(plan or {"slot": {"name": "2", "port": "0000:0c:00.0"}}, f)

    def restart(self, how=signal.SIGTERM):
        self.stop_daemon(how)
        self.start_daemon()

    @staticmethod
    def boot():
        with open("/proc/sys/kernel/random/boot_id") as f:
            return f.read().strip().replace("-", "")

    def start_record(self, **more):
        return {"ev": "start", "usec": 1700000000000000, "boot": self.boot(), "slot": "2", "trigger": "button",
                "target": "port:0000:0c:00.0", "by": {"uid": 0}, "options": {}, "card": {"serial": "0x1"}, **more}

    def test_no_room_for_the_end(self):
        """It is told, and made up for when there is room; what ended so is nobody's to go on with."""
        self.write("play/no-room", "")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        wait_for(lambda: "What has ended is not all on record in" in self.log(), "the word\n" + self.log())
        self.assertIn("the end of removal 1 is missing (No space left on device)", self.log())
        self.write("play/had-no-room", "")
        os.unlink(self.path("play/no-room"))
        wait_for(lambda: "Nothing is missing of the records any more." in self.log(), "the end of it\n" + self.log())
        self.assertIn("The end of removal 1 is on record now.", self.log())
        self.assertEqual(self.log().count("not all on record"), 1)

    def test_no_room_while_it_is_made_up(self):
        """An end that finds no room while a worker makes up for another one, which has looked already, is looked at once more."""
        self.write("play/slow-make-up", "complete")
        self.write("play/no-room", "")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        wait_for(lambda: self.worker_log().count("make-up") == 1, "somebody to make up for it")
        self.assertEqual(self.wait_end(self.remove("3")), "safe")
        os.unlink(self.path("play/slow-make-up"))
        wait_for(lambda: "What has ended is not all on record in" in self.log(), "the word\n" + self.log())

    def test_no_answer_of_what_is_missing(self):
        """What nobody has said is not told as if it were known; what is missing is told once somebody has."""
        self.write("play/no-room", "")
        self.write("play/make-up-dies", "")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        wait_for(lambda: "Whether all that has ended is on record in" in self.log(), "the word\n" + self.log())
        self.assertNotIn("is missing (", self.log())
        os.unlink(self.path("play/make-up-dies"))
        wait_for(lambda: "the end of removal 1 is missing (No space left on device)" in self.log(), "what is missing\n" + self.log())
        os.unlink(self.path("play/no-room"))
        wait_for(lambda: "Nothing is missing of the records any more." in self.log(), "the end of it\n" + self.log())
        self.assertEqual(self.log().count("Whether all that has ended"), 1)
        self.assertEqual(self.log().count("not all on record"), 1)

    def test_record_hangs(self):
        """What a dead worker has written down is read by another one: the daemon waits for no file."""
        removal = self.start_and_wait("step hold\nwait go\ndie\n")
        self.write("play/resume-script", "step hold\nstep power-off\n")
        journal = self.hang("state/removals/1/journal")
        self.write("play/go", "")
        wait_for(lambda: "was killed (9)" in self.log(), "its worker's death")
        self.assertEqual(self.get(removal, "Removal", "State"), "working")
        self.manager("Cancel", "'2'")
        self.assertEqual(self.resumes(), [])
        journal.close()
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.resumes(), [["1", "back"]])

    def test_worker_dies(self):
        self.write("play/script", "step hold\ndie\n")
        self.write("play/resume-script", "step hold\nstep power-off\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.resumes(), [["1", "auto"]])
        self.assertEqual(self.slot("2", "Removal"), removal)
        self.assertIn("was killed (9)", self.log())

    def test_worker_garbles(self):
        self.write("play/script", "step hold\ngarble\nhang\n")
        self.assertEqual(self.wait_end(self.remove("2")), "restored")
        self.assertEqual(self.resumes(), [["1", "auto"]])
        self.assertIn("talked rubbish", self.log())

    def test_worker_dies_again_and_again(self):
        self.write("play/script", "step hold\ndie\n")
        self.write("play/resume-script", "die\n")
        monitor = self.monitor()
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "stuck")
        self.assertEqual(self.resumes(), [["1", d] for d in ("auto", "auto", "auto", "back", "back", "back")])
        self.assertEqual(self.slot("2", "State"), "stuck")
        self.assertIn("step hold", self.report(removal)["message"])
        self.assertIn("SAFE_REMOVE_REMOVAL=1", self.report(removal)["remedy"][0])
        self.assertEqual(monitor.events()[-1]["outcome"], "stuck")
        wait_for(lambda: self.slot("2", "AttentionLed") == "on", "the light\n" + self.log())
        with self.assertRaises(BusError) as refused:
            self.manager("Restore", "'2'", "{}")
        self.assertEqual(refused.exception.name, "Busy")
        self.restart()
        wait_for(lambda: len(self.resumes()) == 12 and self.slot("2", "State") == "stuck", "six more attempts\n" + self.log())
        self.write("play/resume-script", "step power-off\n")
        self.assertEqual(self.remove("2"), removal)  # as the remedy says
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.resumes()[12:], [["1", "auto"]])

    def left_test(self):
        """A self-test with power whose workers have died of it again and again."""
        self.write("play/script", "step hold\ndie\n")
        self.write("play/resume-script", "die\n")
        removal = self.remove("2", "{'self_test': <'power'>}")
        self.assertEqual(self.wait_end(removal), "stuck")
        wait_for(lambda: self.slot("2", "State") == "stuck", "the slot")
        os.unlink(self.path("play/resume-script"))
        return len(self.resumes()), removal

    def test_left_test_and_removal(self):
        """Who wants the card out does not have the power switched on again: the test is called off, and that is the answer."""
        tried, removal = self.left_test()
        with self.assertRaises(BusError) as refused:
            self.remove("2")
        self.assertEqual(refused.exception.name, "Busy")
        self.assertIn("Self-test 1 of slot 2 had not ended. It is called off now, without switching the power on again.", refused.exception.message)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.resumes()[tried:], [["1", "back"]])
        self.write("play/script", "step hold\nstep power-off\n")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")

    def test_left_test_and_press(self):
        tried, removal = self.left_test()
        self.kernel_says("Slot(2): Button press: will power off in 5 sec", "0000:0c:00.0", 10)
        wait_for(lambda: "A button was pressed. Self-test 1 of slot 2 had not ended. It is called off now" in self.log(), "the answer")
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.resumes()[tried:], [["1", "back"]])

    def test_left_test_goes_on(self):
        """Asked for once more it is continued."""
        tried, removal = self.left_test()
        self.assertEqual(self.remove("2", "{'self_test': <'power'>}"), removal)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.resumes()[tried:], [["1", "auto"]])

    def test_worker_dies_before_it_touched_anything(self):
        self.write("play/script", "die-early\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.resumes(), [])
        self.assertEqual(self.report(removal)["remedy"], [])

    def test_worker_dies_before_it_knows_the_target(self):
        self.write("play/slow-target", "die")
        with self.assertRaises(BusError) as failed:
            self.remove("2")
        self.assertEqual(failed.exception.name, "Failed")
        self.assertIn("was killed (9)", failed.exception.message)
        self.assertEqual(self.objects("removal"), {})

    def test_an_end_nobody_knows(self):
        self.write("play/script", "step hold\nend-as splendid\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "stuck")  # must not look like success

    def test_worker_dies_behind_the_end(self):
        removal = self.start_and_wait("step hold\nwait go\ndie\n")
        with open(self.path("state/removals/1/journal"), "a") as journal:
            journal.write(json.dumps({"ev": "end", "outcome": "stuck", "code": "stuck", "message": "m", "remedy": ["r"], "usec": 1}) + "\n")
        self.write("play/go", "")
        self.assertEqual(self.wait_end(removal), "stuck")
        self.assertEqual((self.report(removal)["message"], self.report(removal)["remedy"]), ("m", ["r"]))
        self.assertEqual(self.resumes(), [])

    def test_cancelled_and_died(self):
        self.write("play/resume-script", "step hold\nhang\n")
        removal = self.start_and_wait("step hold\nwait go\ndie\n")
        self.write("play/go", "")
        wait_for(self.resumes, "the next worker")
        self.manager("Cancel", "'2'")  # it does not listen
        self.assertFalse(self.get(removal, "Removal", "Cancelable"))
        os.unlink(self.path("play/resume-script"))
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.resumes(), [["1", "auto"], ["1", "back"]])

    def test_stuck(self):
        self.write("play/script", "step hold\nstuck\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "stuck")
        self.assertEqual(self.report(removal)["remedy"], ["Stop the process that pins it."])
        self.assertEqual(self.report(removal)["lost"], ["process 812 (dd) was ended"])
        self.assertEqual(self.json_of("GetHistory", "u", "1")["removals"][0]["lost"], ["process 812 (dd) was ended"])
        self.assertEqual(self.json_of("GetHistory", "u", "1")["removals"][0]["disturbed"], ["process 813 (cat) of user 1000: SIGKILL"])
        self.assertEqual(self.slot("2", "State"), "stuck")
        self.restart()
        self.assertEqual(self.slot("2", "State"), "stuck")  # from the records
        self.assertEqual(self.resumes(), [])

    def test_daemon_dies(self):
        removal = self.start_and_wait()
        self.restart(signal.SIGKILL)
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.resumes(), [["1", "auto"]])
        self.assertEqual(self.get(removal, "Removal", "Target"), "2")
        self.assertEqual(self.slot("2", "Removal"), removal)
        self.assertEqual(self.remove("3"), f"{ROOT}/removal/_32")

    def test_daemon_makes_way(self):
        """For a newer program, which goes on with what ran."""
        removal = self.start_and_wait()
        self.write("play/resume-script", "step hold\nstep power-off\n")
        self.restart(signal.SIGUSR1)
        self.assertEqual(self.wait_end(removal), "safe")
        self.assertEqual(self.resumes(), [["1", "auto"]])

    def test_daemon_is_stopped(self):
        self.start_and_wait("step hold\nhang\n")
        self.stop_daemon()
        self.assertEqual(self.workers(), [])

    def test_resume_at_the_start(self):
        self.stop_daemon()
        self.record(4, self.start_record(target="mem0"), {"ev": "do", "n": 0, "usec": 1})
        self.record(5, self.start_record(slot="3"), {"ev": "end", "outcome": "refused", "code": "blocked", "message": "", "remedy": []})
        self.record(6)  # nothing was begun
        os.makedirs(self.path("state/numbers/8"))  # it left no record
        self.write("play/resume-script", "wait go\nstep power-off\n")
        self.start_daemon()
        wait_for(self.resumes, "a worker that goes on")
        self.assertEqual(self.resumes(), [["4", "auto"]])
        removal = f"{ROOT}/removal/_34"
        self.assertEqual((self.get(removal, "Removal", "Trigger"), self.get(removal, "Removal", "StartedUsec")),
                         ("button", 1700000000000000))
        self.assertEqual((self.slot("2", "State"), self.slot("3", "State")), ("removing", "refused"))
        self.assertEqual(self.remove("2"), removal)
        self.write_registers("0000:0c:00.0", 0x02c0, 0x0041)  # pressed again; the port is from the plan
        self.assertEqual(self.wait_end(removal), "restored")
        self.assertEqual(self.remove("3"), f"{ROOT}/removal/_310")  # above the highest that there was, and the one that was kept for who joined

    def card_goes(self, *records, complaints=()):
        """A daemon that was killed finds this on record, and the card gone while the worker that goes on has said nothing yet."""
        self.stop_daemon()
        port = "0000:0c:00.0"
        steps = [{"n": n, "name": name, "args": {"port": port}} for n, name in enumerate(("hold", "release", "power-off", "prove-safe"))]
        self.record(4, self.start_record(), *records, plan={"slot": {"name": "2", "port": port}, "steps": steps})
        self.write("play/resume-script", "wait go\nstep power-off\n")
        self.start_daemon()
        monitor = self.monitor()
        wait_for(self.resumes, "a worker that goes on")
        self.kernel_says("Slot(2): Card not present", port, 10)
        self.kernel_says("Slot(3): Card not present", "0000:0c:01.0", 11)
        wait_for(lambda: "Slot 3 (port 0000:0c:01.0): the card was pulled" in self.log(), "the complaint of the other slot\n" + self.log())
        for slot in complaints:
            wait_for(lambda slot=slot: f"Slot {slot} (port {port}): the card was pulled" in self.log(), "the complaint of its slot\n" + self.log())
        self.write("play/go", "")
        outcome = self.wait_end(f"{ROOT}/removal/_34")
        return outcome, sorted(e["slot"] for e in monitor.events() if e["type"] == "card-gone")

    def test_card_goes_in_a_power_off_of_ours(self):
        begun = [{"ev": ev, "n": n, "usec": 1} for n in (0, 1) for ev in ("do", "done")] + [{"ev": "do", "n": 2, "usec": 1}]
        self.assertEqual(self.card_goes(*begun), ("safe", ["3"]))

    def test_card_goes_before_a_power_off_of_ours(self):
        begun = [{"ev": ev, "n": n, "usec": 1} for n in (0, 1) for ev in ("do", "done")]
        self.assertEqual(self.card_goes(*begun, complaints=["2"]), ("restored", ["2", "3"]))

    def test_card_goes_on_the_way_back_from_a_power_off(self):
        """The last question was answered with no: the card stays, and has power."""
        begun = [{"ev": ev, "n": n, "usec": 1} for n in (0, 1) for ev in ("do", "done")] + [{"ev": "do", "n": 2, "usec": 1}]
        back = {"ev": "back", "code": "failed", "why": "not ready to lose power", "usec": 1}
        self.assertEqual(self.card_goes(*begun, back, complaints=["2"])[1], ["2", "3"])

    def test_a_record_that_could_not_be_read_for_a_while(self):
        """Its removal goes on all the while: it is not taken up once more."""
        self.stop_daemon()
        self.record(4, self.start_record(), {"ev": "do", "n": 0, "usec": 1})
        self.record(6, self.start_record(slot="3"), plan={"slot": {"name": "3", "port": "0000:0c:01.0"}})
        journals = {number: self.path(f"state/removals/{number}/journal") for number in (4, 6)}

        def hide(number):
            os.rename(journals[number], journals[number] + ".away")
            os.mkfifo(journals[number])

        hide(6)
        self.write("play/resume-script", "wait go\nstep power-off\n")
        self.start_daemon(records_known=False)
        wait_for(lambda: self.resumes() == [["4", "auto"]], "the one that can be read\n" + self.log())
        hide(4)
        wait_for(lambda: "The record of removal 4 cannot be read" in self.log(), "another look at the records\n" + self.log())
        for number in (4, 6):
            os.rename(journals[number] + ".away", journals[number])
        wait_for(lambda: ["6", "auto"] in self.resumes(), "a look that can read both\n" + self.log())
        self.write("play/go", "")
        for number in (4, 6):
            self.assertEqual(self.wait_end(f"{ROOT}/removal/_3{number}"), "safe")
        self.assertEqual(self.resumes(), [["4", "auto"], ["6", "auto"]])

    def test_records_hang_at_the_start(self):
        """The daemon comes up and says so: no slot is ready, no removal starts, and the guard is told nothing that is not known."""
        self.stop_daemon()
        self.record(4, self.start_record(), {"ev": "do", "n": 0, "usec": 1})
        self.record(5, self.start_record(slot="3"), {"ev": "end", "outcome": "refused", "code": "blocked", "message": "", "remedy": []})
        journal = self.hang("state/removals/4/journal")
        self.write("play/resume-script", "step power-off\n")
        self.start_daemon(records_known=False)
        self.assertEqual((self.slot("2", "State"), self.slot("3", "State")), ("unknown", "unknown"))
        for method in ("Remove", "Restore"):
            with self.assertRaises(BusError) as refused:
                self.manager(method, "'3'", "{}")
            self.assertEqual(refused.exception.name, "Busy")
            self.assertIn("cannot be read yet", refused.exception.message)
        self.assertEqual((self.resumes(), self.objects("removal")), ([], {}))
        self.assertIn("does not answer", self.log())
        self.assertEqual(self.get(ROOT, "Manager", "RecordsRead"), False)
        listed = subprocess.run([os.environ["SAFE_REMOVE"], "list"], env=self.env, capture_output=True, text=True, timeout=60)
        self.assertIn("has not read the records of removals yet", listed.stderr)
        self.assertEqual(listed.returncode, 1)
        journal.close()
        wait_for(lambda: self.resumes() == [["4", "auto"]], "the removal to go on\n" + self.log())
        self.assertEqual(self.get(ROOT, "Manager", "RecordsRead"), True)
        self.assertEqual(self.wait_end(f"{ROOT}/removal/_34"), "safe")
        self.assertEqual(self.slot("3", "State"), "refused")
        self.assertEqual(self.remove("3"), f"{ROOT}/removal/_36")

    def test_ranges_of_numbers_hang(self):
        """Whose numbers are whose (/etc/subuid) a worker reads: the daemon answers meanwhile."""
        self.stop_daemon()
        self.stop_guard()
        os.mkfifo(self.path("subuid"))
        self.env["SAFE_REMOVE_SUBUID"] = self.path("subuid")
        self.start_guard()
        self.start_daemon()
        for _ in range(3):
            self.assertEqual(self.json_of("GetHistory", "u", "0")["removals"], [])
        self.assertEqual(self.wait_end(self.remove("2")), "safe")

    def test_newer_record(self):
        """After a downgrade: what a newer version has begun is not gone on with, and its slot is not known; what it has ended is history."""
        schema = {"schema": "safe-remove/journal/2"}
        self.stop_daemon()
        self.record(6, {**self.start_record(), **schema}, {"ev": "engage", "n": 0, "usec": 1})
        self.record(7, {**self.start_record(slot="3"), **schema}, {"ev": "end", "outcome": "safe", "code": "done", "message": "", "remedy": []},
                    plan={"slot": {"name": "3", "port": "0000:0c:01.0"}})
        journal = Path(self.path("state/removals/6/journal"))
        kept = journal.read_text()
        self.start_daemon(records_known=False)
        wait_for(lambda: "The record of removal 6 cannot be read: a newer version of safe-remove wrote it" in self.log(), "the record to be looked at\n" + self.log())
        self.assertEqual((self.slot("2", "State"), self.resumes()), ("unknown", []))
        with self.assertRaises(BusError) as refused:
            self.remove("2")
        self.assertEqual(refused.exception.name, "Busy")
        self.assertIn("Install the version that wrote it again", refused.exception.message)
        self.assertEqual([removal["id"] for removal in self.json_of("GetHistory", "u", "0")["removals"]], ["7"])
        self.assertEqual(self.slot("3", "LastOutcome"), "safe")
        self.stop_daemon()
        self.assertEqual(journal.read_text(), kept)

    def test_ends_before_its_slot_is_seen(self):
        """What a daemon finds on record may have its end before the first look: the slot shows it when it is seen."""
        self.stop_daemon()
        self.write_machine([])
        self.record(6, self.start_record(), {"ev": "engage", "n": 0, "usec": 1})
        self.write("play/resume-script", "stuck\n")
        self.start_daemon()
        wait_for(lambda: self.objects("removal"), "the removal")
        self.assertEqual(self.wait_end(f"{ROOT}/removal/_36"), "stuck")
        self.write_machine(self.slots)
        harness.send_device_event("add", "/devices/system/memory/memory1", "memory")
        wait_for(lambda: self.objects("slot"), "the slots")
        self.assertEqual((self.slot("2", "State"), self.slot("2", "LastOutcome"), self.slot("3", "LastOutcome")), ("stuck", "stuck", ""))

    def test_totals_that_cannot_be_read(self):
        """Said once, as it keeps records from being deleted; removals go on."""
        self.stop_daemon()
        os.makedirs(self.path("state/totals.json"))
        self.start_daemon()
        self.assertEqual(self.log().count("is not counted, and old records are kept twice as long"), 1, self.log())
        self.wait_end(self.remove("2"))
        self.assertEqual(self.log().count("totals.json"), 1, self.log())

    def test_what_is_no_record(self):
        """A FIFO, a folder, a device in the place of a record: its slot is not known, and no slot where its plan is none either; what has
        to be ended is."""
        def fifo(path):
            os.mkfifo(path)

        def link(path):
            os.symlink("/dev/zero", path)

        self.stop_daemon()
        made = {"6": fifo, "7": os.mkdir, "8": link}
        for number, make in made.items():
            self.record(number)
            os.unlink(self.path(f"state/removals/{number}/journal"))
            make(self.path(f"state/removals/{number}/journal"))
        for number in ("7", "8"):
            os.unlink(self.path(f"state/removals/{number}/plan.json"))
            made[number](self.path(f"state/removals/{number}/plan.json"))
        self.record(9, self.start_record(slot="3"), plan={"slot": {"name": "3", "port": "0000:0c:01.0"}})
        self.write("play/resume-script", "step power-off\n")
        self.start_daemon(records_known=False)
        wait_for(lambda: f"{ROOT}/removal/_39" in self.objects("removal"), "the removal that is to be ended\n" + self.log())
        self.assertEqual(self.wait_end(f"{ROOT}/removal/_39"), "safe")
        self.assertEqual(self.slot("2", "State"), "unknown")
        for number in made:
            self.assertIn(f"The record of removal {number} cannot be read: Wrong medium type", self.log())
        with self.assertRaises(BusError) as refused:
            self.remove("2")
        self.assertEqual(refused.exception.name, "Busy")
        self.assertIn(self.path("state/removals/6"), refused.exception.message)
        self.manager("PlanRemoval", "'2'", "{}")
        asked = [json.loads(line.split(" ", 1)[1]) for line in self.worker_log() if line.startswith(("plan ", "run "))]
        self.assertEqual({tuple(record["id"] for record in request["unread"]) for request in asked[-2:]}, {("6", "7", "8")})
        os.unlink(self.path("state/removals/6/journal"))
        self.write("state/removals/6/journal", json.dumps(self.start_record()) + "\n")
        wait_for(lambda: ["6", "auto"] in self.resumes(), "the removal whose record can be read again\n" + self.log())
        self.assertEqual(self.wait_end(f"{ROOT}/removal/_36"), "safe")

        self.assertEqual(self.slot("3", "State"), "unknown")
        with self.assertRaises(BusError) as refused:
            self.remove("3")
        self.assertIn(self.path("state/removals/7"), refused.exception.message)
        for number in ("7", "8"):
            os.rename(self.path(f"state/removals/{number}"), self.path(f"away-{number}"))
        wait_for(lambda: self.slot("3", "State") != "unknown", "the slots to be known\n" + self.log())

    def test_history(self):
        self.assertEqual(self.json_of("GetHistory", "u", "0"), {"schema": "safe-remove/history/1", "removals": [],
                                                                "totals": {"since_usec": 0, "removals": [], "steps": []}, "incidents": []})
        self.wait_end(self.remove("2"))
        self.write("play/script", "step hold\nwait go\n")
        removal = self.remove("mem1")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        running, ended = self.json_of("GetHistory", "u", "0")["removals"]
        self.assertEqual((running["id"], running["target"], running["ended"], running["slot"]), ("2", "mem1", False, "3"))
        self.assertEqual({k: ended[k] for k in ("id", "slot", "trigger", "outcome", "code", "steps_done", "ended", "remedy")},
                         {"id": "1", "slot": "2", "trigger": "command", "outcome": "safe", "code": "done", "steps_done": 3,
                          "ended": True, "remedy": []})
        self.assertGreaterEqual(ended["ended_usec"], ended["started_usec"])
        self.assertEqual([e["id"] for e in self.json_of("GetHistory", "u", "1")["removals"]], ["2"])

    def test_history_of_torn_records(self):
        self.record(3, self.start_record(), {"ev": "end", "outcome": "safe"})
        with open(self.path("state/removals/3/journal"), "a") as f:
            f.write('{"ev":"en')
        self.record(10, self.start_record(slot="3"))
        os.mkdir(self.path("state/removals/notes"))
        os.mkdir(self.path("state/removals/11"))
        self.assertEqual([(e["id"], e["ended"]) for e in self.json_of("GetHistory", "u", "0")["removals"]], [("10", False), ("3", True)])

    def test_odd_things_among_the_records(self):
        """Nothing there keeps the daemon from starting, and nobody's number is the last one."""
        self.stop_daemon()
        self.record(3, self.start_record(), {"ev": "end", "outcome": "safe"})
        self.record(7)
        for name in ("18446744073709551615", "9223372036854775807", "0x20", "007"):
            os.mkdir(self.path(f"state/removals/{name}"))
        os.symlink("/dev/zero", self.path("state/removals/5"))
        self.start_daemon()
        self.assertEqual([e["id"] for e in self.json_of("GetHistory", "u", "0")["removals"]], ["3"])
        self.assertEqual(self.remove("2"), f"{ROOT}/removal/_38")


if __name__ == "__main__":
    harness.main()
