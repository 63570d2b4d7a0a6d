# SPDX-License-Identifier: LGPL-2.1-or-later
"""Histories drawn by a seed: draw(seed) has nothing but that from outside, so that the seed alone plays it again."""

import errno
import random

import users

# Machine, slots, and about how many events and writes to the machine a removal there has. A number that has become wrong costs some faults that hit nothing.
MACHINES = {
    "ram2.root": (("2",), 190, 18),
    "interleaved.root": (("2", "3"), 240, 24),
    "idle.root": (("2", "3"), 115, 9),
    **users.MACHINES,
}
OF_ATTRIBUTES = [errno.EIO, errno.EBUSY, errno.ENOMEM, errno.EINVAL, errno.EPERM, errno.ENODEV, errno.ENXIO, errno.EAGAIN, errno.ETIMEDOUT, errno.EOPNOTSUPP]
OF_RECORDS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOMEM]
# Of simulated time. A write has 60 s, and one to a register less. 0: for ever, which nothing comes of late.
HANGS_MSEC = [100, 1_000, 5_000, 40_000, 100_000, 0]
LATE_MSEC = HANGS_MSEC[:-1]
WORKERS = 3
HALVES = 0x1f


class Drawer:
    def __init__(self, seed, machine):
        self.random = random.Random(seed)
        self.machine = self.random.choice(sorted(MACHINES)) if machine is None else machine
        slots, self.n_events, self.n_touches = MACHINES[self.machine]
        self.target = self.random.choice(slots)

    def event(self):
        return {"event": self.random.randint(1, self.n_events)}

    def touch(self):
        return {"event": self.random.randint(1, self.n_touches), "touch": 1}

    def at(self):
        return self.touch() if self.random.random() < 0.5 else self.event()

    def times(self):
        return {"times": self.random.choice([1, 1, 2, 3, 0])}

    def refused(self):
        return [{"kind": self.random.choice(["error", "error", "late-error"]), "arg": self.random.choice(OF_ATTRIBUTES), **self.touch(), **self.times()}]

    def unwritten(self):
        return [{"kind": "error", "arg": self.random.choice(OF_RECORDS), **self.event(), **self.times(), "wide": self.random.randint(0, 1)}]

    def without_effect(self):
        return [{"kind": "nothing", **self.touch(), **self.times()}]

    def half(self):
        return [{"kind": "half", "arg": self.random.randint(1, HALVES), **self.touch()}]

    def hangs(self):
        kind = self.random.choice(["hang", "late"])
        return [{"kind": kind, "arg": self.random.choice(HANGS_MSEC if kind == "hang" else LATE_MSEC), **self.touch()}]

    def cancelled(self):
        return [{"kind": "cancel", **self.at()}]

    def killed(self):
        return [{"kind": self.random.choice(["kill-before", "kill-after", "kill-worker"]), **self.at()}]

    def torn(self):
        return [{"kind": "torn", "arg": self.random.randint(0, 255), **self.event()}]

    def faults(self, worker):
        """Of one worker. Those after the first have less to do, and so less that can go wrong."""
        kinds = [self.refused, self.unwritten, self.without_effect, self.half, self.hangs, self.cancelled, self.killed, self.torn]
        weights = [6, 3, 2, 1, 2, 3, 6, 2]
        found = []
        for _ in range(self.random.choice([1, 1, 1, 2, 2, 3]) if worker == 0 else self.random.choice([0, 1, 1])):
            found += self.random.choices(kinds, weights)[0]()
        return found

    def draw(self):
        history = {"machine": self.machine, "target": self.target, "faults": [self.faults(worker) for worker in range(WORKERS)], "options": {}}
        if self.random.random() < 0.15:
            history["verb"] = "restore"
        elif self.random.random() < 0.1:
            history["options"] = {"self_test": "held"}
        if self.random.random() < 0.25:
            history["cuts"] = [self.random.choice([0, self.random.randint(1, 1 << 30)])]
            history["faults"][0].append({"kind": "kill-after", **self.event()})
        if self.machine in users.MACHINES:
            users.draw(self.random, history, self.event)
        return history


def draw(seed, machine=None):
    return Drawer(seed, machine).draw()


WHOLE = {
    # Machine, and about how many events at its records and writes to the machine a removal by whole daemons has.
    "ram2.root": (70, 19),
    "interleaved.root": (72, 24),
    "idle.root": (41, 8),
}
TOGETHER = (["worker"], ["daemon"], ["guard"], ["daemon", "worker"], ["worker", "daemon", "guard"])
OF_REMOVALS = "/removals/"


def draw_whole(seed, machine=None):
    """Of whole daemons (whole.py): who is killed at which record or write, and who once more while that is dealt with; some have a way back, from a write that
    is refused."""
    drawn = random.Random(f"whole {seed}")
    machine = machine or drawn.choice(sorted(WHOLE))
    records, touches = WHOLE[machine]
    most, more = drawn.choice([(records, {"match": OF_REMOVALS}), (touches, {})])
    at, kills = 0, []
    for _ in range(drawn.choice([1, 2])):
        at += drawn.randint(1, most)
        kills.append({"who": drawn.choice(TOGETHER), "event": at, **more})
    faults = []
    if drawn.random() < 0.4:
        faults = [{"kind": "error", "arg": drawn.choice(OF_ATTRIBUTES), "event": drawn.randint(1, touches), "touch": 1, "times": drawn.choice([1, 1, 2, 0])}]
    return {"machine": machine, "target": drawn.choice(MACHINES[machine][0]), "by": drawn.choice(["bus", "button"]), "kills": kills, "faults": faults}


def without_one_part(history):
    """The same with less going wrong: all that is one step simpler."""
    if "kills" in history:
        for i in range(len(history["kills"])):
            yield {**history, "kills": history["kills"][:i] + history["kills"][i + 1:]}
        if history["faults"]:
            yield {**history, "faults": []}
        return
    for worker, faults in enumerate(history["faults"]):
        for i in range(len(faults)):
            yield {**history, "faults": [[fault for j, fault in enumerate(those) if (w, j) != (worker, i)] for w, those in enumerate(history["faults"])]}
        for i, fault in enumerate(faults):
            if fault.get("times", 1) != 1 or fault.get("wide"):
                simpler = {**fault, "times": 1, "wide": 0}
                yield {**history, "faults": [[simpler if (w, j) == (worker, i) else other for j, other in enumerate(those)]
                                             for w, those in enumerate(history["faults"])]}
    if history.get("cuts"):
        yield {key: value for key, value in history.items() if key != "cuts"}
        if any(history["cuts"]):
            yield {**history, "cuts": [0 for _ in history["cuts"]]}
    if history["options"]:
        yield {**history, "options": {}}
    yield from users.without_one(history)
