# SPDX-License-Identifier: LGPL-2.1-or-later
"""An application whose memory is on a card: it knows its bytes and notices when one changes."""

import itertools
import re

from . import programs
from .background import Background
from .errors import LabError

_number = itertools.count(1)


class Keeper(Background):
    """A running keeper (tests/vm/guest/keeper); ready when constructed. Interleaved memory takes some 8 MiB a second, so a large
    one takes its time to fill there, and to be moved."""

    def __init__(self, guest, node, mib=32, bind=False, unmovable=False, seed=1, name=None, pause_msec=200):
        command = [programs.provide(guest, "keeper"), f"--node={node}", f"--mib={mib}", f"--seed={seed}",
                   f"--pause-ms={pause_msec}"]
        command += ["--bind"] if bind else []
        command += ["--unmovable"] if unmovable else []
        super().__init__(guest, name or f"keeper{next(_number)}", command)
        self.wait_for_output("ready")

    def verify(self, timeout=60):
        """Have it check all its bytes once more; returns how many of its pages are on the node now."""
        before = self.output().count("ok ")
        self.signal("USR1")
        self.guest.wait_for(lambda: self.output().count("ok ") > before or self.status(), timeout,
                            f"the answer of {self.name}")
        return self._judge()

    def finish(self):
        """Have it check all its bytes a last time and end."""
        status = self.stop()
        pages = self._judge()
        if status != "0":
            raise LabError(f"{self.name} ended with {status}: {self.tail()}")
        return pages

    def _judge(self):
        output = self.output()
        if "CORRUPT" in output or "ok " not in output:
            raise LabError(f"{self.name} has lost its bytes: {self.tail()} (exit status {self.status()})")
        found = re.findall(r"node-pages=(\d+)", output)
        return int(found[-1]) if found else None
