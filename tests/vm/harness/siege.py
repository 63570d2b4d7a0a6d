# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an unprivileged user does against those who look at the whole machine (guest/siege), and how long a slot takes to be held meanwhile."""

import re

from . import bus_methods, programs, removal

USER = ("User=nobody", "LimitNOFILE=524288", "LimitNPROC=infinity", "TasksMax=infinity")

METHODS = "/tmp/siege-methods"

# Each is a program's arguments, and how many of them it must have managed to be an attack.
ATTACKS = {
    "namespaces": ("namespaces 3000", 3000),
    "sources": ("sources 5000", 5000),
    "binds": ("binds 4000", 4000),
    "crowd": ("crowd 5000 20000", 4000),
    "bus": (f"bus 8 {METHODS}", 8),
}
IDLE = ("crowd 2000 0", 2000)


def begin(guest, name):
    """Begins one, and waits until it is as large as it is meant to be."""
    arguments, least = IDLE if name == "idle" else ATTACKS[name]
    if name == "bus":
        guest.write(METHODS, "".join(f"{' '.join(call)}\n" for call in bus_methods.all_of(guest)))
    attacker = guest.spawn(f"attack-{name}", f"exec {programs.provide(guest, 'siege')} {arguments}", USER)
    attacker.wait_for_output("ready", 120)
    made = int(re.search(r"ready (\d+)", attacker.output()).group(1))
    if made < least:
        raise AssertionError(f"{name} should have made {least}, not {made}")
    return attacker


def press_to_light(lab, number):
    """Presses, and waits for the end, which has to be safe. In milliseconds: from the press to the hold; by its own record from the hold to the
    first step after it, and from the power to the light."""
    removed = removal.last_id(lab) + 1
    watch = Watch(lab.slot(number))
    lab.slot(number).press()
    end = removal.wait_for_end(lab, removed)
    lab.equal(end["outcome"], "safe", f"the outcome ({end['message']})")
    at, index = removal.step_times(lab, removed)
    hold = watch.msec()
    lab.check(hold is not None, "the slot should be held")
    first = min(usec for (_, n), usec in at.items() if n > 0)  # it may have had nothing to do
    return hold, first - at["done", 0], at["done", index["show-safe"]] - at["done", index["power-off"]]


SLOWER = 6  # times: of a host that is busy with something else meanwhile
WAIT = 2000  # milliseconds that a library is given: whoever waits for one is slower by that


def check_no_slower(lab, idle, busy):
    """Two of these: the same removal while nobody does anything, and now."""
    print(f"     hold, plan and light: idle {idle}, now {busy} ms", flush=True)
    for what, before, now in ("hold", idle[0], busy[0]), ("plan", idle[1], busy[1]), ("light", idle[2], busy[2]):
        lab.check(now < max(before + WAIT, SLOWER * before), f"the {what} should wait for nobody: {now} ms, and {before} ms when idle")


class Watch:
    """From the kernel's record of the next press to the moment at which its hot-plug driver has let go of the slot. Whoever measures gets
    his turn, whatever goes on."""

    def __init__(self, slot):
        program = programs.provide(slot.guest, "siege")
        self._watcher = slot.guest.spawn("watch", f"exec chrt -f 90 {program} watch {slot.service}")
        self._watcher.wait_for_output("ready", 30)

    def msec(self):
        """Milliseconds; None where it was not held within twice the kernel's time."""
        self._watcher.wait(60)
        found = re.search(r"held after (\d+) ms", self._watcher.output())
        return int(found.group(1)) if found else None
