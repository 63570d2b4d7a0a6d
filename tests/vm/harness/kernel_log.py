# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest kernel's log: what it said since a mark, and what of it no healthy kernel says."""

import re

from .errors import LabError

TROUBLE = re.compile("|".join((
    r"\bBUG:", r"\bOops\b", r"WARNING:", r"INFO: task .* blocked", r"blocked for more than", r"hung_task",
    r"general protection", r"list_(add|del) corruption", r"cannot be hotremoved", r"removing memory fails",
    r"refcount_t", r"\bRIP:", r"Call Trace", r"kernel panic", r"Unable to handle", r"unable to handle", r"soft lockup",
    r"rcu.*stall",
    r"Memory failure", r"Bad page", r"bad page", r"use-after-free", r"Corrupted low memory", r"^taint changed",
    r"Out of memory", r"oom-kill", r"segfault at", r"Machine check", r"EXT4-fs error", r"Shutting down filesystem",
    r"CRC error", r"Sending SIGBUS", r"I/O error", r"Internal error", r"Corruption", r"recovery (complete|required)",
    r"Starting recovery", r"orphan cleanup",
)))

TAINTED = "/proc/sys/kernel/tainted"


class KernelLog:
    """Everything since the mark that was set on construction."""

    def __init__(self, guest, name):
        self.guest = guest
        # The serial console's copy outlives the kernel; both have the mark in them.
        self.mark = f"lab: {name} begins"
        self.taint = int(guest.out(f"echo '<5>{self.mark}' > /dev/kmsg && cat {TAINTED}"))

    def lines(self):
        try:
            text = self.guest.run(["dmesg"], timeout=30)[1]
        except LabError:
            text = (self.guest.dir / "serial.log").read_text(errors="replace")
        return self._since(text)

    def _since(self, text):
        return text.rsplit(self.mark, 1)[-1].splitlines()[1:]

    def has(self, pattern):
        return any(re.search(pattern, line) for line in self.lines())

    def trouble(self, allowed=()):
        """The lines that no healthy kernel writes, but for those that are allowed by name."""
        try:
            taint, text = self.guest.run(f"cat {TAINTED}; exec dmesg", timeout=60)[1].split("\n", 1)
            lines = self._since(text)
            if int(taint) != self.taint:
                lines.append(f"taint changed: {self.taint} to {taint}")
        except LabError:
            lines = [*self.lines(), "the guest does not answer any more: BUG: or hang"]
        permitted = [re.compile(pattern) for pattern in allowed]
        return [line for line in lines if TROUBLE.search(line) and not any(p.search(line) for p in permitted)]
