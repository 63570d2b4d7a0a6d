# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs scenarios one after the other and says how each went."""

import contextlib
import signal
import time
import traceback

from . import evidence, stage
from .base_state import BaseState
from .errors import GuestGone, LabError, Skip, Timeout
from .guest import Guest
from .lab import Lab
from .paths import lab_dir

COUNTS = ("passed", "failed", "skipped")

AGAIN_LINES = 6     # of each failure, told once more at the end
BUSY_HOST = 2       # so much longer may a scenario take than it should


@contextlib.contextmanager
def _time_limit(seconds):
    def expired(_signal, _frame):
        raise Timeout(f"the scenario took longer than its {seconds:g} s")
    old = signal.signal(signal.SIGALRM, expired)
    signal.alarm(int(seconds))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def _story(error):
    """What went wrong, and where in the scenario; not where in the harness."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/scenarios/" in frame.filename]
    where = [f"  {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}: {frame.line}" for frame in frames]
    if not frames and not isinstance(error, LabError):
        where = traceback.format_tb(error.__traceback__)
    kind = "" if isinstance(error, (LabError, AssertionError)) else f"{type(error).__name__}: "
    return "\n".join([*where, f"  {kind}{error}"])


class Runner:
    """Keeps one guest for all scenarios that can share it, and boots it anew for the others."""

    def __init__(self, name, stage_dir, seed, say=print):
        self.guest = Guest(name)
        self.stage_dir = stage_dir
        self.seed = seed
        self.say = say
        self.results = lab_dir() / f"results-{name}"
        self.base = None
        self.booted = None
        self.installed = False
        self.counts = dict.fromkeys(COUNTS, 0)
        self.failures = []
        self.outcomes = []     # (name, which of the counts, the reason of one that was skipped)

    # -- the guest ----------------------------------------------------------------------------------------------------

    def boot(self, machine):
        self.end()
        profile, suite = machine
        self.guest.up(profile, suite=suite, say=self.say)
        self.base = BaseState(self.guest)
        self.booted = machine
        self.installed = False

    def end(self):
        self.guest.second().down()
        self.guest.down()
        self.booted = None

    def prepare(self, item):
        """Lead the guest to the base state, by a boot where nothing else helps."""
        if self.booted != item.machine or item.own_guest:
            self.boot(item.machine)
        try:
            self._lead_back(item)
        except LabError as error:
            self.say(f"     (booting anew before {item.name}: {str(error).splitlines()[0]})")
            self.boot(item.machine)
            self._lead_back(item)

    def _lead_back(self, item):
        if item.daemon and not self.installed:
            stage.install(self.guest, self.stage_dir)
            self.installed = True
        self.base.restore(item.daemon)

    # -- scenarios ----------------------------------------------------------------------------------------------------

    def run(self, item):
        """Run one scenario; True unless it failed."""
        start = time.monotonic()
        if item.daemon and not self.stage_dir:
            return self._skipped(item, "needs the daemon: give --stage")
        lab = None
        try:
            self.prepare(item)
            start = time.monotonic()
            lab = Lab(self.guest, item.name, self.seed, item.daemon)
            with _time_limit(BUSY_HOST * item.timeout):
                item.function(lab)
                lab.compare_left()
            story = None
        except Skip as reason:
            return self._skipped(item, reason)
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.guest.agent.rest()
            story = _story(error)
        return self._judge(item, lab, story, time.monotonic() - start)

    def _judge(self, item, lab, story, seconds):
        trouble = [line for each in (lab, *lab.others) for line in each.log.trouble(item.allow)] if lab else []
        if trouble:
            said = ["  the kernel said:", *(f"  {line}" for line in trouble[:20])]
            story = "\n".join([story, *said] if story else said)
        if story is None:
            story = self._clean_up(lab)
        if story is None:
            self._count(item, "passed")
            self.say(f"ok   {item.name} {seconds:.1f}s")
        else:
            self._failed(item, lab, story, seconds)
            with contextlib.suppress(LabError):
                self._clean_up(lab)
        if trouble or item.own_guest or self.guest.spoiled or not self.guest.alive():
            # A kernel that has been in trouble is no ground for the next scenario.
            self.booted = None
        return story is None

    def _count(self, item, how, reason=""):
        self.counts[how] += 1
        self.outcomes.append((item.name, how, reason))

    @staticmethod
    def _clean_up(lab):
        try:
            if lab:
                lab.clean_up()
        except LabError as error:
            return _story(error)
        return None

    def _skipped(self, item, reason):
        self._count(item, "skipped", str(reason))
        self.say(f"skip {item.name}: {reason}")
        return True

    def _failed(self, item, lab, story, seconds):
        self._count(item, "failed")
        folder = self.results / item.name
        try:
            lines = evidence.collect(self.guest, folder, lab.log.lines() if lab else [], story)
            for other in lab.others if lab else ():
                evidence.collect(other.guest, folder / other.guest.name, other.log.lines(), story)
        except (GuestGone, OSError) as error:
            lines = [*story.splitlines(), f"(nothing more can be had from the guest: {error})"]
        # In one piece: other guests may have something to say as well.
        self.say("\n     ".join([f"FAIL {item.name} {seconds:.1f}s: see {folder}", *lines]))
        self.failures.append("\n     ".join([f"FAIL {item.name}", *lines[:AGAIN_LINES]]))
