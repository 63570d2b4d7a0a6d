# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for something to become true, never for time to pass."""

import time

from .errors import Timeout


# A host that is busy with something else makes a guest ten times slower. A shorter deadline would measure that; whoever is in time waits no longer.
PATIENCE = 45


def until(condition, timeout, what, interval=0.1, rest=None):
    """Ask again and again; the first answer that is true is returned. What is held meanwhile is let go by rest()."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Timeout(f"after {timeout:g} s still waiting for {what}")
        if rest:
            rest()
        time.sleep(interval)
