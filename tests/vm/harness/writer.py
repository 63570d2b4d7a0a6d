# SPDX-License-Identifier: LGPL-2.1-or-later
"""A database in little: it writes records through a mapping and logs, outside the card, what it has made persistent."""

import re

from . import programs
from .background import Service
from .errors import LabError


class Writer(Service):
    """A running syncwriter (tests/vm/guest/syncwriter). Its unit can be started again, and then goes on where it ended."""

    def __init__(self, guest, target, name="writer", msync=False, pause_usec=0):
        self.data = f"{target}/{name}.data"
        self.log = f"/lab/{name}.log"
        self.program = programs.provide(guest, "syncwriter")
        (guest.dir / "share" / f"{name}.log").unlink(missing_ok=True)
        command = [self.program, f"--data={self.data}", f"--log={self.log}", f"--pause-us={pause_usec}"]
        super().__init__(guest, name, command + (["--msync"] if msync else []))
        self.wait_for_output("ready")

    def logged(self):
        """How many records it has logged so far."""
        return (self.guest.dir / "share" / f"{self.name}.log").read_text(errors="replace").count("\n")

    def verify(self):
        """Complain about logged records that are not there; returns how many were logged."""
        command = [self.program, "--verify", f"--data={self.data}", f"--log={self.log}"]
        rc, out, err = self.guest.run(command, timeout=120, check=False)
        found = re.match(r"logged=(\d+) missing=(\d+)", out)
        if rc != 0 or not found:
            raise LabError(f"logged records of {self.name} are lost: {out}{err}")
        return int(found.group(1))
