# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a scenario is: a function that is handed the lab and raises when something is not as it should be."""

import fnmatch
import importlib.util
import os
import random
from dataclasses import dataclass, replace

from . import kernel
from .errors import Skip
from .paths import VM_DIR

_registered = []

TURNS = 24  # so many of those that take turns are in a short run

BOOT = (r"ommand line: ", r"RCU CPU stall warnings timeout set")  # what a kernel says of its own settings, for scenarios that boot it

# What is to be shown on the newest kernel that a release has as well.
ON_NEWEST = ("cancel-*", "kill-*", "restore-*", "refuse-*", "pins-*", "proof-*", "package")


@dataclass(frozen=True)
class Scenario:
    """A registered scenario and what it needs."""

    name: str
    function: object
    allow: tuple
    own_guest: bool
    profile: str
    daemon: bool
    timeout: float
    turn: bool
    suite: str = ""

    @property
    def machine(self):
        """Those with the same one can share a guest: profile, and the suite of its kernel ("": the one that guests have)."""
        return self.profile, self.suite

    def on(self, suite):
        """The same on the kernel of a suite."""
        return replace(self, name=f"{self.name}+{suite}", suite=suite)


def scenario(name, allow=(), own_guest=False, profile="ram2", daemon=True, timeout=300, turn=False):
    """Register a function as a scenario.

    allow      patterns of kernel log lines that would otherwise fail it
    own_guest  it leaves the guest in no state for others, or needs one that nobody has touched
    profile    which cards the machine has at its start (harness/profiles.py)
    daemon     it needs safe-removed; without it the daemon is kept away while the scenario runs
    timeout    seconds
    turn       it takes turns: a short run has a few of these, which the seed chooses; a long one (LAB_LONG, set by
               ./check --long) has all
    """
    def register(function):
        _registered.append(Scenario(name, function, tuple(allow), own_guest, profile, daemon, timeout, turn))
        return function
    return register


def skip(reason):
    """To be called by a scenario that cannot run here."""
    raise Skip(reason)


def load():
    """All scenarios of tests/vm/scenarios. Those that share a guest come first; of one guest's the longest ones, so that guests
    beside each other end together, and else in the order of files and lines."""
    _registered.clear()
    for path in sorted((VM_DIR / "scenarios").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"scenarios.{path.stem.replace('-', '_')}", path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    names = [item.name for item in _registered]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise ValueError(f"scenarios with the same name: {', '.join(sorted(doubled))}")
    return sorted(_registered, key=lambda item: (item.own_guest, item.profile != "ram2", item.profile, -item.timeout))


def matching(globs, items):
    """Those whose name fits one of them."""
    return [item for item in items if any(fnmatch.fnmatch(item.name, glob) for glob in globs)]


def for_run(seed):
    """Those of a run in which nobody names any."""
    everything = load()
    if os.environ.get("LAB_LONG"):
        return [*everything, *(item.on(kernel.NEWEST) for item in matching(ON_NEWEST, everything))]
    taking_turns = [item.name for item in everything if item.turn]
    drawn = random.Random(seed).sample(taking_turns, min(TURNS, len(taking_turns)))
    return [*(item for item in everything if item.name in drawn or not item.turn)]
