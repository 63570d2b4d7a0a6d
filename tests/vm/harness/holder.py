# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that use what is on a card, each in its own way."""

import itertools
import re

from . import programs
from .background import Background

_number = itertools.count(1)


class Holder(Background):
    """A running holder (tests/vm/guest/holder, which says what it can hold); it holds when constructed. `pid` is the
    unit's main process, `pids` all that hold."""

    def __init__(self, guest, options, name=None, properties=(), program=None):
        program = program or programs.provide(guest, "holder")
        super().__init__(guest, name or f"holder{next(_number)}", [program, *map(str, options)], properties)
        self.wait_for_output("ready")
        self.pids = [int(found) for found in re.findall(r"^holding pid=(\d+)$", self.output(), re.M)]

    def look(self, timeout=30):
        """Have it read what it has mapped: "ok", "CHANGED" or "SIGBUS"."""
        before = len(self._answers())
        self.signal("USR1")
        self.guest.wait_for(lambda: len(self._answers()) > before, timeout, f"the answer of {self.name}")
        return self._answers()[-1]

    def _answers(self):
        return re.findall(r"^look: (\w+)$", self.output(), re.M)
