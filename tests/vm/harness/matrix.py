# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is shown on every kernel: scenarios that stand for the rest, on the kernels of Debian's suites. docs/KERNELS.md has the table of it."""

import os
import random
import time

from . import kernel, scenario

WITHOUT_RAM = ("bookworm",)  # makes no regions of volatile CXL memory: there is little to be shown with the cards of ram2

TURNS = 3  # so many of them, on one kernel, are in a short run

# What each is about, and its name. Those that need the same machine stand together.
ROWS = (
    ("memory of the kernel goes by the button, with a process on it", "ram-button"),
    ("an idle card goes", "ram-idle-card"),
    ("refused: memory the kernel itself uses", "refuse-zone-normal"),
    ("a second press calls it off", "cancel-second-press"),
    ("killed on the way back", "kill-on-the-way-back"),
    ("taken out, put in, restored", "restore-ram"),
    ("device-dax: every page is counted", "pins-clean"),
    ("device-dax: a pinned page, its owner named", "pins-descriptor-gone"),
    ("device-dax: pages pinned by a pipe, a socket, a ring", "pins-every-kind"),
    ("fsdax: written to, taken out, restored", "fsdax-xfs"),
    ("fsdax: called off at the last moment", "fsdax-cancel"),
    ("fsdax: a pinned page", "pins-fsdax"),
    ("NVMe disk with a file system", "stack-nvme"),
    ("NVMe disk in use is pulled", "pulled-in-use-disk"),
    ("NVMe controller memory, mapped by a process", "p2pmem"),
    ("lockdown from boot, integrity", "lockdown-integrity"),
    ("lockdown from boot, confidentiality", "lockdown-confidentiality"),
    ("memory that is in use is pulled", "pulled-in-use"),
)
NAMES = tuple(name for _, name in ROWS)
WORDS = {"passed": "yes", "failed": "**no**", "skipped": "-"}


def items(suites, only=None):
    """The scenarios of the rows on these kernels, in the order of the rows."""
    every = {item.name: item for item in scenario.load()}
    chosen = scenario.matching(only or ["*"], [every[name] for name in NAMES])
    return [item.on(suite) for suite in suites for item in chosen]


def turn(seed):
    """A few rows that share a machine, on one kernel, for a short run: all of that changes with the seed. A long one has the whole matrix apart."""
    if os.environ.get("LAB_LONG"):
        return []
    drawn = random.Random(f"kernels-{seed}")
    suite = drawn.choice(kernel.SUITES)
    profile = drawn.choice(("mixed",) if suite in WITHOUT_RAM else ("ram2", "mixed"))
    rows = [item for item in scenario.load() if item.name in NAMES and item.profile == profile and not item.own_guest and item.timeout <= 300]
    return [item.on(suite) for item in drawn.sample(rows, min(TURNS, len(rows)))]


def suite_of_turn(seed):
    """Which kernel that is."""
    return random.Random(f"kernels-{seed}").choice(kernel.SUITES)


def table(suites, outcomes):
    """The table as docs/KERNELS.md has it, of what a runner has counted."""
    outcomes = {tuple(name.split("+", 1)): (word, reason) for name, word, reason in outcomes}
    releases = {suite: kernel.known_release(suite) or "not available" for suite in suites}
    lines = ["| | " + " | ".join(f"{suite}<br>{releases[suite]}" for suite in suites) + " |", "| --- " * (len(suites) + 1) + "|"]
    notes = []
    for text, name in ROWS:
        cells = []
        for suite in suites:
            word, reason = outcomes.get((name, suite), ("", ""))
            if word == "skipped" and reason not in notes:
                notes.append(reason)
            cells.append(WORDS.get(word, "") + (f" [{notes.index(reason) + 1}]" if word == "skipped" else ""))
        lines.append(f"| {text} (`{name}`) | " + " | ".join(cells) + " |")
    lines += ["", *(f"[{number}] {note}  " for number, note in enumerate(notes, 1)), "", f"Run on {time.strftime('%Y-%m-%d')}."]
    return "\n".join(lines)
