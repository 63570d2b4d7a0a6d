# SPDX-License-Identifier: LGPL-2.1-or-later
"""whole.py WORKER LIBRARY: plays histories of whole daemons on the recorded machine that it was entered for, as player.py does those of workers.

In, a line each: {"target": "2", "by": "bus" or "button", "kills": [{"who": ["worker", "daemon", "guard"], "event": 7, "match": "/removals/"}, ...],
"faults": [as a worker's]}
The bus, the daemon, the guard and its workers are the real ones, and all but the bus stand on the simulated kernel. Whoever has been killed is started again as systemd would. The simulated clock is the workers' alone: the others wait for sockets, by timers of the kernel's.
"""

import collections
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bus")]
import harness  # noqa: E402 pylint: disable=wrong-import-position
import picture  # noqa: E402 pylint: disable=wrong-import-position
import player  # noqa: E402 pylint: disable=wrong-import-position
from machine import STORE  # noqa: E402 pylint: disable=wrong-import-position
from plain_bus import Connection  # noqa: E402 pylint: disable=wrong-import-position
from shared import KINDS, WHO  # noqa: E402 pylint: disable=wrong-import-position

RESTART_SEC = 0.1       # units/*.service.in
LOOK_SEC = 0.05
STILL_SEC = 0.5         # so long nothing happens any more
ACTOR = 1
AT_WORK = {"removing", "restoring", "unknown"}
LIGHTS = {1: "on", 2: "blink", 3: "off"}
AS_OUTCOME = {"safe": {"safe"}, "restored": {"ready"}, "refused": {"refused", "ready"}, "stuck": {"stuck"}}


class Service(harness.BusTest):
    """Bus, guard and daemon, and systemd, which starts them again."""

    def __init__(self, programs):
        super().__init__("play")
        self.worker, self.library = programs

    def play(self):
        """No test: a history has it."""

    def make_ready(self, machine):
        self.make_surroundings()
        self.machine = machine
        machine.live_in(Path(self.folder))
        for name in ("SAFE_REMOVE_KMSG", "FAKE_WORKER_PLAY"):
            del self.env[name]
        self.env.update(SAFE_REMOVE_WORKER=self.worker, SAFE_REMOVE_CLAIM_SEC="2")

    def run_guard(self, before=()):
        super().run_guard((*before, "env", f"LD_PRELOAD={self.library}"))
        self.machine.shared.guard = self.guard.pid

    def run_daemon(self):
        self.daemon_as = ["env", f"LD_PRELOAD={self.library}", *harness.UNPRIVILEGED]
        super().run_daemon()
        self.machine.shared.daemon = self.daemon.pid

    def stop_post(self, result):
        """What systemd runs when the daemon's service has ended."""
        subprocess.run([self.worker, "give-back"], env={**self.env, "LD_PRELOAD": self.library, "SERVICE_RESULT": result}, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=harness.PATIENCE, check=False)

    def start_again(self):
        """Whoever is not there any more; true: somebody was not."""
        gone = False
        if self.guard.poll() is not None:
            gone, self.machine.shared.guard = True, 0
            time.sleep(RESTART_SEC)
            self.run_guard()
        if self.daemon.poll() is not None:
            gone, self.machine.shared.daemon = True, 0
            self.stop_post("signal")
            time.sleep(RESTART_SEC)
            self.run_daemon()
        return gone

    def reap(self):
        """Orphans come to us, as they would to the first process."""
        for pid in player.children():
            if pid not in (self.guard.pid, self.daemon.pid, self.bus_daemon.pid):
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass

    def own_slot(self, target):
        """Its properties; None where nobody answers."""
        for interfaces in self.objects("slot").values():
            properties = {name: value["data"] for name, value in interfaces[f"{harness.NAME}.Slot"].items()}
            if properties["Name"] == target:
                return properties
        return None

    def removals(self):
        return [{name: value["data"] for name, value in interfaces[f"{harness.NAME}.Removal"].items()} for interfaces in self.objects("removal").values()]

    def has_slot(self, target):
        slot = self.own_slot(target)
        return slot and slot["State"] not in AT_WORK

    def end_well(self):
        """As systemd stops them; what is wrong with it."""
        for name, process in (("daemon", self.daemon), ("guard", self.guard)):
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(harness.PATIENCE)
            except subprocess.TimeoutExpired:
                code = "no end"
            if code != 0:
                yield f"the {name} was stopped, and has {code}"
            if name == "daemon":
                self.stop_post("success")
        self.bus_daemon.kill()
        self.bus_daemon.wait()


class Whole(player.Play):
    """One history of whole daemons."""

    def __init__(self, machine, programs, history):
        super().__init__(machine, programs, history)
        self.lies = set() # what was not so while the bus said that the slot is safe

    def numbers(self):
        folder = self.machine.state / "removals"
        return sorted(int(name) for name in (os.listdir(folder) if folder.is_dir() else ()) if name.isdecimal())

    def open_removals(self):
        """Those on record that have begun and not ended."""
        found = []
        for self.id in self.numbers():
            if self.has_begun() and not self.recorded_end():
                found.append(self.id)
        return found

    def ask(self, *_):
        card = self.machine.cards[self.history["target"]]
        if self.history["by"] == "button":
            # handle_button_press_event(): the indicator blinks, and then it is told.
            text = f"slot {card.port} 18 3c0 2c0\nlog 6 pcieport {card.port}: pciehp: Slot({card.slot}): Button press: will power off in 5 sec\n"
            (STORE / "actors" / str(ACTOR)).write_text(text)
            self.machine.world.in_model(lambda library: library.actor_acts(ACTOR))
        else:
            self.client.send("Remove", "sa{sv}", (card.slot, {}))

    def has_started(self):
        return self.machine.shared.worker > 0 or self.machine.shared.n_touches > 0

    def is_settled(self):
        """Nobody is at anything any more, by the world and by what the bus says; what got stuck may hold its slot."""
        card = self.machine.cards[self.history["target"]]
        driver, _lights = picture.picture()["port", card.port]
        slot = self.service.own_slot(self.history["target"])
        if slot and slot["State"] == "safe":
            self.lies.update(picture.truths(card))
        if self.open_removals() or not slot or slot["State"] in AT_WORK or slot["Stale"]:
            return False
        if driver and (self.machine.run / "held" / card.port).exists() or (not driver or slot["Held"]) and slot["State"] != "stuck":
            return False
        return all(removal["State"] == "ended" for removal in self.service.removals())

    def go_on(self, condition, sec=0.0):
        """Starts again whoever was killed, until the condition has held for so long; false: it never did."""
        deadline, since, events = time.monotonic() + harness.PATIENCE, 0, None
        while time.monotonic() < deadline:
            self.service.reap()
            holds = not self.service.start_again() and condition()
            if not holds or self.machine.shared.n_events != events:
                since, events = time.monotonic(), self.machine.shared.n_events
            if holds and time.monotonic() - since >= sec:
                return True
            time.sleep(LOOK_SEC)
        return False

    def play(self):
        self.service = Service(self.programs)
        try:
            self.service.make_ready(self.machine)
            self.machine.reset()
            self.machine.shared.whole = 1
            self.service.start_bus()
            self.service.run_guard()
            self.service.run_daemon()
            harness.wait_for(lambda: self.service.has_slot(self.history["target"]), "the daemon and its slots")
            self.client = Connection(self.service.path("bus"))
            return self.result()
        finally:
            player.end_all()
            self.service.doCleanups()

    def remove(self):
        """What there is to be said against how it went."""
        kills = [{"kind": "kill", "arg": sum(WHO[name] for name in kill["who"]), "event": kill["event"],
                  **({"match": kill["match"]} if "match" in kill else {"touch": 1})} for kill in self.history["kills"]]
        self.machine.shared.arm(kills + self.history["faults"])
        self.ask()
        if not self.go_on(self.has_started):
            yield "nothing has come of what was asked for"
        if self.go_on(self.is_settled, STILL_SEC):
            self.go_on(self.is_told)  # by the daemon's next look
        else:
            yield f"nobody comes to an end: {self.open_removals()} {self.service.own_slot(self.history['target'])} {self.service.removals()}"

    def is_told(self):
        self.id = max(self.numbers(), default=1)
        self.end = self.recorded_end()
        return not list(self.untruths())

    def untruths(self):
        """What the bus says, and is not so."""
        card = self.machine.cards[self.history["target"]]
        driver, seen = picture.picture()["port", card.port]
        slot = self.service.own_slot(card.slot) or {}
        there = {"Held": driver is None, "Power": "off" if seen["off"] else "on", "PowerLed": LIGHTS[seen["power"]], "AttentionLed": LIGHTS[seen["attention"]]}
        for name, value in there.items():
            if slot.get(name) != value:
                yield f"the slot's {name} is {slot.get(name)}, and in truth {value}"
        if not self.end:
            return
        if slot.get("State") not in AS_OUTCOME.get(self.end["outcome"], {slot.get("State")}):
            yield f"the removal ended {self.end['outcome']}, and the slot is {slot.get('State')}"
        for name, value in (("LastRemoval", str(self.id)), ("LastOutcome", self.end["outcome"])):
            if slot.get(name) != value:
                yield f"the slot's {name} is {slot.get(name)}, and the record says {value}"
        for removal in self.service.removals():
            if removal["Id"] == str(self.id) and removal["Outcome"] != self.end["outcome"]:
                yield f"removal {self.id} is {removal['Outcome']} on the bus, and the record says {self.end['outcome']}"

    def result(self):
        wrong = list(self.remove())
        self.is_told()
        result = super().result()
        self.is_settled()
        found = {"comes_to_an_end": wrong, "bus_never_says_safe_by_mistake": [f"the slot was safe, but {lie}" for lie in sorted(self.lies)],
                 "bus_tells_the_truth": list(self.untruths()), "ends_well": list(self.service.end_well())}
        found["nobody_is_left"] = [f"process {pid} is left: {picture.text(f'/proc/.real/{pid}/cmdline')}" for pid in player.left_over(harness.PATIENCE)]
        result["wrong"].update({name: lines for name, lines in found.items() if lines})
        trace = self.machine.trace()
        result["hit"] = [line for line in trace if " is hit by " in line]
        result["kills"] = sum(f" is hit by fault {KINDS.index('kill')} " in line for line in trace)
        result["events"] = list(collections.Counter(line.split()[0] for line in trace if "/removals/" in line).values())
        result["log"] = self.service.log().splitlines()
        return result


if __name__ == "__main__":
    player.main(Whole)
