#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the daemon wants of the guard, port by port. The guard is the test's own: it hears the daemon, and dies and comes again as it likes."""
import json
import os
import signal
import socket

import harness
from harness import BusTest, ROOT, slot, wait_for

PORT, INNER = "0000:0c:00.0", "0000:0c:01.0"


class Guard:
    """Listens in the guard's place; keeps the last word about each port."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(4)
        self.listener.setblocking(False)
        self.connection = None
        self.wants = {}
        self.greeted = None    # what was wanted when it said hello
        self.given_back = []   # where nothing comes of a press

    def hear(self):
        try:
            if not self.connection:
                self.connection = self.listener.accept()[0]
                self.connection.setblocking(False)
            while message := self.connection.recv(16384):
                message = json.loads(message)
                if message["type"] == "want":
                    self.wants[message["port"]] = message["want"]
                elif message["type"] == "give-back":
                    self.given_back.append(message["port"])
                elif message["type"] == "hello":
                    self.greeted = dict(self.wants)
        except BlockingIOError:
            pass
        return self.wants

    def tell(self, **message):
        self.connection.send(json.dumps(message).encode())

    def close(self):
        self.listener.close()
        if self.connection:
            self.connection.close()


class Ports(BusTest):
    script = f"step hold {PORT}\nstep hold {INNER}\nwait go\nstep release {PORT}\nwait power\nstep power-off\n"

    def start_workers(self):
        """Those are started by a real guard, which hears of no press."""
        os.mkdir(self.path("run"))
        os.mkfifo(self.path("silence"))
        self.addCleanup(os.close, os.open(self.path("silence"), os.O_RDWR))
        self.background([harness.GUARD], env={**self.env, "SAFE_REMOVE_RUN_DIR": self.path("run-of-workers"), "SAFE_REMOVE_KMSG": self.path("silence")})
        wait_for(lambda: os.path.exists(self.path("run-of-workers/workers")), "who starts workers")
        os.symlink(self.path("run-of-workers/workers"), self.path("run/workers"))

    def start_guard(self):
        if not os.path.exists(self.path("run")):
            self.start_workers()
        self.guard = Guard(self.path("run/guard"))
        self.addCleanup(self.stop_guard)
        kmsg = os.open(self.path("kmsg"), os.O_RDONLY | os.O_NONBLOCK)  # whoever writes there waits for a reader
        self.addCleanup(os.close, kmsg)

    def stop_guard(self, how=None):
        if self.guard:
            self.guard.close()
            os.unlink(self.path("run/guard"))
        self.guard = None

    def wait_wants(self, port, inner):
        wait_for(lambda: (self.guard.hear().get(PORT), self.guard.wants.get(INNER)) == (port, inner), f"{port} and {inner}\n{self.log()}")

    def restart_guard(self, port, inner):
        """The next one hears all of it before it is asked whose the slots are."""
        self.stop_guard()
        self.start_guard()
        wait_for(lambda: self.guard.hear() and self.guard.greeted, "the hello")
        self.assertEqual((self.guard.greeted[PORT], self.guard.greeted[INNER]), (port, inner))

    def runs(self):
        return [line for line in self.worker_log() if line.startswith("run")]

    def test_removal(self):
        self.wait_wants("nothing", "nothing")
        removal = self.remove("2")
        self.wait_wants("claim", "claim")
        self.restart_guard("claim", "claim")
        self.write("play/go", "")
        self.wait_wants("yield", "claim")
        self.restart_guard("yield", "claim")
        self.write_machine([{**slot("2", 0, card=False), "occupied": True}, slot("3", 1)])
        self.write("play/power", "")
        self.assertEqual(self.wait_end(removal), "safe")
        self.wait_wants("light", "nothing")

    def test_late_hold(self):
        """A write that a removal had left behind, which put all back, has held the slot since: the guard gives it back."""
        writers = self.path("run/writers")
        self.write("play/script", f"step hold {PORT}\nstep hold {INNER}\nwait end\n")
        removal = self.remove("2")
        self.wait_wants("claim", "claim")
        os.mkdir(writers)
        self.write("run/writers/1", "{}")
        self.write("play/late", json.dumps({"waiting": [], "ended": [{"id": "1", "slot": "2", "do": "give-back", "port": PORT}]}))
        self.call(removal, "org.saferemove1.Removal", "Cancel")
        self.assertEqual(self.wait_end(removal), "restored")
        wait_for(lambda: self.guard.hear() and PORT in self.guard.given_back, "the slot given back")
        self.assertEqual(len(self.objects("removal")), 1)

    def test_late_light(self):
        """Such a write has changed the attention LED: it shows what it showed before, unless it has something else to say by now."""
        writers = self.path("run/writers")
        os.mkdir(writers)
        self.write("play/late", json.dumps({"waiting": [], "ended": [{"id": "1", "slot": "2", "do": "attention", "shows": "off", "port": PORT}]}))
        self.write_machine([{**slot("2", 0), "attention_led": "on"}, slot("3", 1)])
        self.write("play/script", f"step hold {PORT}\nwait end\n")
        removal = self.remove("2")
        self.wait_wants("claim", "nothing")
        self.write("run/writers/1", "{}")
        self.call(removal, "org.saferemove1.Removal", "Cancel")
        self.assertEqual(self.wait_end(removal), "restored")
        wait_for(lambda: any(line.startswith("light ") and '"off"' in line for line in self.worker_log()), "the light as it was\n" + self.log())

    def test_daemon_dies(self):
        """The next one has it from the record."""
        self.remove("2")
        self.wait_wants("claim", "claim")
        self.write("play/resume-script", "wait end\n")
        for wanted in ("claim", "yield"):
            self.stop_daemon(signal.SIGKILL)
            self.stop_guard()
            self.start_guard()
            self.start_daemon()
            wait_for(lambda: self.guard.hear() and self.guard.greeted, "the hello")
            self.assertEqual((self.guard.greeted[PORT], self.guard.greeted[INNER]), (wanted, "claim"))
            with open(self.path("state/removals/1/journal"), "a") as f:
                f.write('{"ev":"do","n":2,"usec":1}\n')
        self.write("play/end", "")
        self.wait_end(f"{ROOT}/removal/_31")

    def test_records_hang_at_the_start(self):
        """As long as nobody knows what is wanted the guard is told nothing, least of all a hello: it would give back what a removal has."""
        self.remove("2")
        self.wait_wants("claim", "claim")
        self.write("play/resume-script", "wait end\n")
        self.stop_daemon(signal.SIGKILL)
        self.stop_guard()
        self.start_guard()
        journal = self.hang("state/removals/1/journal")
        self.start_daemon(records_known=False)
        self.assertEqual(self.slot("2", "State"), "unknown")
        self.assertEqual((self.guard.hear(), self.guard.greeted), ({}, None))
        journal.close()
        wait_for(lambda: self.guard.hear() and self.guard.greeted, "the hello\n" + self.log())
        self.assertEqual((self.guard.greeted[PORT], self.guard.greeted[INNER]), ("claim", "claim"))
        self.write("play/end", "")
        self.wait_end(f"{ROOT}/removal/_31")

    def test_called_off(self):
        """Step by step the slots are any others again."""
        removal = self.remove("2")
        self.wait_wants("claim", "claim")
        self.guard.tell(type="button-pressed", port=INNER)
        self.assertEqual(self.wait_end(removal), "restored")
        self.wait_wants("nothing", "nothing")

    def test_press_told_again(self):
        """By a guard that does not know what the one before it has said: it is served once, and a slot that is held for what is over is let go."""
        self.wait_wants("nothing", "nothing")
        press = {"type": "button-pressed", "port": PORT, "held": True}
        self.guard.tell(**press, press=7)
        self.wait_wants("claim", "claim")
        self.restart_guard("claim", "claim")
        self.guard.tell(**press, press=7)
        self.guard.tell(type="button-pressed", port=INNER, held=True, press=7)  # another one, heard after that: it calls the removal off
        self.wait_wants("nothing", "nothing")
        self.assertEqual(self.get(f"{ROOT}/removal/_31", "Removal", "Outcome"), "restored")
        self.assertEqual(self.log().count("button pressed again"), 1)
        self.restart_guard("nothing", "nothing")
        self.guard.tell(**press, press=7)
        wait_for(lambda: self.guard.hear() and self.guard.given_back == [PORT], "the slot to be let go\n" + self.log())
        self.assertEqual(len(self.runs()), 1)
        self.guard.tell(**press, press=8)
        self.wait_wants("claim", "claim")
        self.assertEqual(len(self.runs()), 2)

    def wait_held(self, outer, inner):
        wait_for(lambda: (self.slot("2", "Held"), self.slot("3", "Held")) == (outer, inner), f"{outer} and {inner}\n{self.log()}")

    def look_again(self, *slots):
        """A look, and nothing but a look, sees this."""
        self.write_machine([*slots])
        harness.send_device_event("add", "/devices/pci", "pci")

    def test_held_for_a_press(self):
        """As the guard said last, whatever a look has seen meanwhile; looks have the word again when the guard has let it go, or when it is not known
        what the guard has said."""
        self.wait_wants("nothing", "nothing")
        self.write("play/slow-target", "")
        monitor = self.monitor()
        self.guard.tell(type="button-pressed", port=PORT, held=True, press=7)
        self.wait_held(True, False)
        self.look_again(slot("2", 0), slot("3", 1, card=False))
        wait_for(lambda: self.slot("3", "CardAddress") == "", "what the look has seen")
        self.guard.tell(type="button-cancelled", port=PORT)
        wait_for(lambda: [e for e in monitor.events() if (e["type"], e.get("message")) == ("button", "cancelled")], "the second press\n" + self.log())
        self.assertTrue(self.slot("2", "Held"))
        self.write("play/scan-fails", "no look is to be had")
        self.guard.tell(type="let-go", port=PORT)
        self.wait_held(False, False)
        os.unlink(self.path("play/scan-fails"))

        self.guard.tell(type="button-pressed", port=PORT, held=True, press=8)
        self.wait_held(True, False)
        self.look_again(slot("2", 0), slot("3", 1))
        wait_for(lambda: self.slot("3", "CardAddress") != "", "what the look has seen")
        self.assertTrue(self.slot("2", "Held"))
        self.stop_guard()
        self.start_guard()
        self.wait_held(False, False)
        self.assertEqual([change["Held"] for change in monitor.changes("Slot") if "Held" in change], [True, False] * 2)
        self.look_again({**slot("2", 0), "held": True}, slot("3", 1))
        self.wait_held(True, False)

    def test_held_by_a_removal(self):
        """Step by step, the slots inside of it too; backwards it is the other way round, and the machine has the last word."""
        monitor = self.monitor()
        removal = self.remove("2")
        self.wait_held(True, True)
        self.write("play/go", "")
        self.wait_held(False, True)
        self.write("play/power", "")
        self.wait_end(removal)
        self.wait_held(False, False)
        self.assertEqual([change["Held"] for change in monitor.changes("Slot") if "Held" in change], [True, True, False, False])
        for name in ("go", "power"):
            os.unlink(self.path(f"play/{name}"))
        removal = self.remove("2")
        self.wait_held(True, True)
        self.write_machine([{**slot("2", 0), "held": True}, slot("3", 1)])  # it was not given back, whatever its step has said
        self.call(removal, f"{harness.NAME}.Removal", "Cancel")
        self.wait_end(removal)
        self.wait_held(True, False)

    def test_restoration(self):
        """There it is the release that takes the slot, and the hold that gives it back."""
        self.write("play/restore-script", f"step release {PORT}\nwait go\nstep hold {PORT}\nwait end\n")
        removal = self.manager("Restore", "'2'", "{}").split("'")[1]
        self.wait_wants("claim", "nothing")
        self.write("play/go", "")
        self.wait_wants("watch", "nothing")
        self.write("play/end", "")
        self.assertEqual(self.wait_end(removal), "rebuilt")
        self.wait_wants("nothing", "nothing")

    def test_given_up(self):
        """Nobody could end it: the slots stay its own, and say so; a press there is for it."""
        self.write("play/script", f"step hold {PORT}\nstep hold {INNER}\ndie\n")
        self.write("play/resume-script", "die\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "stuck")
        self.wait_wants("claim", "claim")
        wait_for(lambda: (self.slot("2", "State"), self.slot("2", "AttentionLed")) == ("stuck", "on"), "the light\n" + self.log())
        self.restart_guard("claim", "claim")
        os.unlink(self.path("play/resume-script"))
        self.guard.tell(type="button-pressed", port=PORT)
        wait_for(lambda: self.get(removal, "Removal", "Outcome") == "restored", "the removal to be put back\n" + self.log())
        self.assertEqual([line for line in self.worker_log() if line.startswith("resume")][-1], "resume 1 back")
        self.wait_wants("nothing", "nothing")

    def test_given_up_and_records_hang(self):
        """Reading a record takes for ever: whoever asks for its slot is answered, and so is everybody else."""
        self.write("play/script", f"step hold {PORT}\nstep hold {INNER}\nstep release {PORT}\ndie\n")
        self.write("play/resume-script", "die\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "stuck")
        for name in ("journal", "plan.json"):
            if os.path.exists(self.path(f"state/removals/1/{name}")):
                self.hang(f"state/removals/1/{name}")
        self.assertEqual(self.remove("2"), removal)
        self.wait_wants("yield", "claim")
        self.assertEqual(self.slot("3", "State"), "ready")

    def test_light(self):
        """Of a card that was safe, and of none after it."""
        off = {**slot("2", 0, card=False), "occupied": True}
        self.write("play/script", "step power-off\n")
        removal = self.remove("2")
        self.write_machine([off, slot("3", 1)])
        self.assertEqual(self.wait_end(removal), "safe")
        self.wait_wants("light", "nothing")
        self.guard.tell(type="light-over", port=PORT)
        self.wait_wants("nothing", "nothing")
        self.restart_guard("nothing", "nothing")

    def test_light_of_the_next_card(self):
        """It came while no guard was there to see that the first one was out."""
        self.write("play/script", "step power-off\n")
        self.write_machine([{**slot("2", 0, card=False), "occupied": True}, slot("3", 1)])
        self.assertEqual(self.wait_end(self.remove("port:" + PORT)), "safe")
        self.wait_wants("light", "nothing")
        self.write_machine([slot("2", 0), slot("3", 1)])
        self.json_of("GetTopology")
        harness.send_device_event("add", "/devices/pci", "pci")
        self.wait_wants("nothing", "nothing")

    def test_given_back(self):
        """The guard's word, in an event for everybody."""
        monitor = self.monitor()
        self.wait_wants("nothing", "nothing")
        self.guard.tell(type="given-back", port=PORT, text="nobody has taken the removal over in time")
        wait_for(lambda: [e for e in monitor.events() if e["type"] == "given-back"], "the event")
        event = [e for e in monitor.events() if e["type"] == "given-back"][0]
        self.assertEqual((event["slot"], event["port"], event["message"]), ("2", PORT, "nobody has taken the removal over in time"))


if __name__ == "__main__":
    harness.main()
