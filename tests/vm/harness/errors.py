# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can go wrong in the lab."""

import textwrap


class LabError(Exception):
    """The lab itself cannot do what was asked; the message is for a person."""


class GuestGone(LabError):
    """The guest does not answer any more: crashed, hung or never started."""


class CommandFailed(LabError):
    """A command in the guest ended with a status that nobody expected."""

    def __init__(self, command, rc, out, err):
        words = command if isinstance(command, str) else " ".join(command)
        said = "\n".join(part.strip()[-1000:] for part in (out, err) if part.strip())
        super().__init__(f"'{textwrap.shorten(words, 100)}' ended with {rc}: {said}")
        self.rc, self.out, self.err = rc, out, err


class Timeout(LabError):
    """What was waited for did not happen before the deadline."""


class Skip(Exception):
    """Raised by a scenario that cannot run here; the message is the reason."""
