# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for something to become true, never for time to pass."""

import time

from .errors import Timeout


# Who waits no longer than this keeps what it holds: the guest's agent takes a tenth of a second to come back to somebody new.
BEFORE_REST = 2

# A host that is busy with something else makes a guest ten times slower. A shorter deadline would measure that; whoever is in time waits no longer.
PATIENCE = 90


def until(condition, timeout, what, interval=0.1, rest=None):
    """Ask again and again; the first answer that is true is returned. Where it takes longer, what is held is let go by rest()."""
    began = time.monotonic()
    deadline = began + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Timeout(f"after {timeout:g} s still waiting for {what}")
        if rest and time.monotonic() - began > BEFORE_REST:
            rest()
        time.sleep(interval)
