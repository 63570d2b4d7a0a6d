# SPDX-License-Identifier: LGPL-2.1-or-later
"""player.py WORKER LIBRARY: plays histories on the recorded machine that it was entered for (tests/roots/enter).

In, a line each: {"target": "2", "verb": "run" (or "restore": a removal first, and then the card is there again), "options": {}, "faults": [[those of the
first worker], [of the next], ...], "processes": [who uses the card: world.py], "goes_on": what a late write has left is put back, "cuts": [the seed of a power cut after each worker's death, null: none], "actors": {"1": "a line each"}}
Out: {"outcome", "code", "message", "wrong": {invariant: [what does not hold]}, "events": [of each worker], "ahead", "trace"}

The worker is the real one. What the daemon would do is done here: a worker that has died is followed by one that resumes its removal."""

import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import invariants  # noqa: E402 pylint: disable=wrong-import-position
import picture  # noqa: E402 pylint: disable=wrong-import-position
from machine import STORE, Machine  # noqa: E402 pylint: disable=wrong-import-position

WORKERS_MAX = 6
WRITTEN = re.compile(r"^\S.* > /sys/")
# By themselves (lib/engine/journal.h): the kernel knows what is done, and no writer outlives the boot.
NOT_SYNCED = re.compile(r'"ev": ?"(done|write)"')
REAL_SEC = 60
LEAVE_SEC = 5
PR_SET_CHILD_SUBREAPER = 36


def children():
    return [int(pid) for pid in Path("/proc/.real/self/task/").joinpath(str(os.getpid()), "children").read_text().split()]


def reap():
    """Whoever has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass


def end_all():
    """Whoever is left: all of them come to us when their parents end."""
    while True:
        left = children()
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def left_over(sec):
    """Who is there after so long, and is not at a write that does not return."""
    deadline = time.monotonic() + sec
    while True:
        reap()
        left = [pid for pid in children() if not (STORE / "hung" / str(pid)).exists()]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.001)


class Worker:
    def __init__(self, machine, worker, library, verb, lines):
        self.machine = machine
        environment = dict(os.environ, LD_PRELOAD=library, SAFE_REMOVE_STATE_DIR=str(machine.state), SAFE_REMOVE_RUN_DIR=str(machine.run),
                           SAFE_REMOVE_CONFIG_DIRS=str(machine.folder / "etc"))
        self.process = subprocess.Popen([worker, verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
                                        preexec_fn=self.known)
        self.process.stdin.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        self.process.stdin.flush()
        self.lines = []

    def known(self):
        self.machine.shared.worker = os.getpid()
        (STORE / "own" / str(os.getpid())).touch()

    def run(self):
        """All that it says, until it has ended; False: it does not end."""
        deadline, left = time.monotonic() + REAL_SEC, b""
        out = self.process.stdout.fileno()
        while time.monotonic() < deadline:
            if not select.select([out], [], [], deadline - time.monotonic())[0]:
                break
            part = os.read(out, 65536)
            if not part:
                self.process.wait()
                return True
            *lines, left = (left + part).split(b"\n")
            self.lines += [json.loads(line) for line in lines if line]
        self.process.kill()
        self.process.wait()
        return False

    def end(self):
        return next((line for line in self.lines if line["type"] in ("end", "error")), None)

    def left_over(self):
        """Who has outlived it."""
        self.process.stdin.close()
        self.process.stdout.close()
        return left_over(LEAVE_SEC)


class Play:
    """One history."""

    def __init__(self, machine, programs, history):
        self.machine, self.programs, self.history = machine, programs, history
        self.id, self.end, self.cut, self.workers, self.events = 1, None, False, 0, []
        self.broken, self.left_over, self.late = [], [], []
        self.base = machine.before
        self.unharmed = 0 # so many workers have nothing go wrong: they are what the history begins with

    def record(self):
        records = []
        for line in (self.machine.journal(self.id).split("\n")[:-1]):
            try:
                records.append(json.loads(line))
            except ValueError:
                pass
        return records

    def has_begun(self):
        """As the daemon has it: one whose first record is not there has touched nothing."""
        return any(record["ev"] == "start" for record in self.record())

    def recorded_end(self):
        end = next((record for record in self.record() if record["ev"] == "end"), None) if self.has_begun() else None
        return dict(end, type="end") if end else None

    def worker(self, verb, lines):
        """Plays one, and cuts the power after it where the history says so."""
        faults, cuts = self.history.get("faults", []), self.history.get("cuts", [])
        number = self.workers - self.unharmed
        self.workers += 1
        self.machine.note(f"worker {number}: {verb}")
        self.machine.shared.arm(faults[number] if 0 <= number < len(faults) else [])
        worker = Worker(self.machine, *self.programs, verb, lines)
        if not worker.run():
            self.late.append(f"worker {number} has not ended in {REAL_SEC} s")
        self.events.append([self.machine.shared.n_events, self.machine.shared.n_touches])
        self.left_over += worker.left_over()
        self.end = worker.end()
        if 0 <= number < len(cuts) and cuts[number] is not None:
            self.power_cut(cuts[number])
            self.end = self.recorded_end()
        self.end = self.end or self.recorded_end()

    def come_late(self):
        """What the daemon has done once a write has come to its end that the removal had left behind: by the guard, and by a worker."""
        for todo in self.ended_late():
            self.machine.note(f"late: {todo}")
            if todo["do"] == "give-back":
                self.write("/sys/bus/pci_express/drivers/pciehp/bind", f"{todo['port']}:pcie004")
                os.unlink(self.machine.run / "held" / todo["port"])
            elif todo["do"] == "light":
                self.ask("light", {"port": todo["port"], "attention": "lit"})
            elif todo["do"] == "restore" and self.history.get("goes_on"):
                self.id, self.end = 2, None
                self.removal("restore")
            elif todo["do"] == "attention":
                self.ask("light", {"port": todo["port"], "attention": todo["shows"]})

    def ended_late(self):
        """What is to be done once all have come to their end. Who hangs for ever, and who waits for him, does not."""
        writers = self.machine.run / "writers"
        if not writers.is_dir() or not any(name.isdecimal() for name in os.listdir(writers)):
            return []
        end = time.monotonic() + REAL_SEC
        while True:
            reap()
            answer = self.ask("late")[0]
            if not answer["waiting"] or any((STORE / "hung" / str(pid)).exists() for pid in children()):
                return answer["ended"]
            if time.monotonic() > end:
                raise RuntimeError(f"who was left behind has not come to an end in {REAL_SEC} s: {answer['waiting']}")
            time.sleep(0.02)

    def ask(self, verb, *lines):
        """Of a worker with which nothing goes wrong."""
        self.machine.shared.arm([])
        worker = Worker(self.machine, *self.programs, verb, lines)
        if not worker.run() or not worker.lines:
            raise RuntimeError(f"{verb} has no answer")
        self.left_over += worker.left_over()
        return worker.lines

    def write(self, path, value):
        """By nobody of the history."""
        self.machine.shared.arm([])
        done = subprocess.run([sys.executable, "-c", f"import os; os.write(os.open({path!r}, os.O_WRONLY), {value.encode()!r})"],
                              env={"LD_PRELOAD": self.programs[1]}, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{path} cannot be written to: {done.stderr} (after: {self.end})")

    def power_cut(self, seed):
        """Whatever was written down when the machine was touched has to be there afterwards, but for what says that something is done."""
        whole = self.machine.journal(self.id).encode(errors="replace")
        needed = whole if self.end and self.end["type"] == "end" else whole[:self.machine.shared.touched_length]
        end_all()
        self.machine.power_cut(seed)
        self.cut = True
        there = self.machine.journal(self.id).splitlines()
        for line in needed.decode(errors="replace").splitlines():
            if line not in there and not NOT_SYNCED.search(line):
                self.broken.append(f"what was written down before the machine was touched is gone: {line[:200]}")

    def removal(self, verb, **more):
        options = self.history.get("options", {})
        # The model has no page frames that could be counted: who has pages is not known there, and a removal goes on all the same.
        # (A self-test takes no force; those of cards that have such memory do not get far.)
        if "self_test" not in options:
            options = {**options, "force": ",".join([*filter(None, [options.get("force")]), "unproven"])}
        request = {"id": str(self.id), "target": self.history["target"], "trigger": "command", "options": options, **more}
        rest = [{"type": "announced"}, {"type": "released"}] if verb == "run" else []
        self.worker(verb, [request, {"type": "go"}, *rest])
        first = self.workers
        while not self.end and self.has_begun() and self.workers < first + WORKERS_MAX:
            self.worker("resume", [{"id": str(self.id), "direction": "auto"}, *rest])

    def play(self):
        self.machine.reset(self.history.get("processes", []))
        for name, script in self.history.get("actors", {}).items():
            (STORE / "actors" / name).write_text(script + "\n")
        if self.history.get("verb") == "restore":
            self.unharmed = 1
            self.removal("run")
            if (self.end or {}).get("outcome") != "safe":
                return self.result() # somebody uses it who may not be ended
            self.insert()
            self.base = picture.picture()
            self.id, self.end = 2, None
            self.machine.shared.touched_length = 0 # of this one's record nothing was written down yet
            self.removal("restore")
        else:
            self.removal("run")
        self.come_late()
        return self.result()

    def insert(self):
        """The card that was removed is there again, and its slot has power."""
        self.write(f"/sys/bus/pci/slots/{self.history['target']}/power", "1")

    def steps(self):
        """The step at each write to the machine, by what was written down before."""
        folder = self.machine.state / "removals" / str(self.id)
        names = [step["name"] for step in json.loads((folder / "plan.json").read_text())["steps"]]
        text, length, found = self.machine.journal(self.id), 0, []
        for line in self.machine.trace():
            what = line.split(": ", 1)[-1]
            if what.endswith("/journal") and " bytes into " in what:
                length += int(what.split()[0])
            elif WRITTEN.search(what):
                done = [json.loads(record) for record in text[:length].splitlines()]
                found.append(next((names[record["n"]] for record in reversed(done) if record["ev"] in ("do", "undo")), None))
        return found

    def result(self):
        outcome = self.end["outcome"] if self.end and self.end["type"] == "end" else "error" if self.end else "none"
        own = [self.machine.cards[self.history["target"]]]
        ending = invariants.Ending(self.machine, self.history, own, outcome, self.end, self.cut, self.workers,
                                   self.left_over, self.broken, self.base, self.machine.journal(self.id))
        ending.has_begun = self.has_begun()
        wrong = invariants.check(ending)
        if self.late:
            wrong["every_worker_ends"] = self.late
        end = self.end or {}
        more = {"steps": self.steps(), "lost": (self.end or {}).get("lost")} if self.history.get("steps") else {}
        return {**more, "outcome": outcome, "code": end.get("code"), "message": end.get("message"), "wrong": wrong, "events": self.events,
                "lost": end.get("lost"), "remedy": end.get("remedy"), "ahead": self.machine.shared.ahead / 1e9, "hit": ending.hit, "trace": ending.trace}


def main(kind=Play):
    """kind: how a history is played."""
    programs = sys.argv[1:3]
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("a player cannot be the one to whom orphans come")
    machine = Machine(programs[1])
    try:
        for line in sys.stdin:
            result = kind(machine, programs, json.loads(line)).play()
            end_all()
            print(json.dumps(result), flush=True)
    finally:
        end_all()
        machine.close()


if __name__ == "__main__":
    main()
