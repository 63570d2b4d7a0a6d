# SPDX-License-Identifier: LGPL-2.1-or-later
"""An application that uses a file on a card and has an input that it must not miss a line of."""

import re

from . import programs
from .background import Service

FEED = "i=0; while :; do echo $i; i=$((i + 1)); sleep 0.02; done > /run/lab-counter.fifo"


class Counter(Service):
    """A running counter (tests/vm/guest/counter), fed by another service that is no holder."""

    def __init__(self, guest, target):
        guest.run("rm -f /run/lab-counter.fifo; mkfifo /run/lab-counter.fifo")
        self.feeder = guest.spawn("feeder", FEED)
        command = f"exec {programs.provide(guest, 'counter')} {target}/counter < /run/lab-counter.fifo"
        super().__init__(guest, "counter", command)
        self.wait_for_output("ready")

    def ask(self, timeout=30):
        """(lines, missed lines, longest time between two lines in milliseconds) so far."""
        before = self.output().count("lines=")
        self.guest.run(["/bin/kill", "-USR1", str(self.main_pid())])
        self.guest.wait_for(lambda: self.output().count("lines=") > before, timeout, f"the answer of {self.name}")
        found = re.findall(r"^lines=(\d+) missed=(\d+) longest-ms=(\d+)$", self.output(), re.M)[-1]
        return tuple(map(int, found))
