# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is worth keeping of a scenario that failed."""

import shutil

from .errors import LabError
from .slot import Slot
from .stage import GUARD, SERVICE

SHOWN_LINES = 40

COMMANDS = {
    "daemon.log": f"journalctl --no-pager -o short-monotonic -u {SERVICE} -u {GUARD}",
    "journal.log": "journalctl --no-pager -o short-monotonic -n 2000",
    "status.json": "safe-remove status --json",
    "topology.json": "safe-remove list --json",
    "processes.txt": "ps -eo pid,ppid,stat,wchan:30,etimes,args",
    "memory.txt": "numactl -H; grep . /sys/devices/system/memory/memory*/state | sort -V",
    "cxl.json": "cxl list -vvv",
    "background.txt": "tail -n 50 /lab/out/*.out",
}


def _leds(guest):
    return "".join(f"slot {number}: {Slot(guest, number).leds()}\n" for number in guest.profile.slots)


def _processors(guest):
    """What they are at: of a guest that does not answer any more nothing else can be had."""
    looks = [guest.qmp("human-monitor-command", **{"command-line": "info registers -a"}) for _ in range(3)]
    return "\n".join(looks)


def collect(guest, folder, kernel_lines, story):
    """Put everything that can still be had into the folder; returns the lines that are most likely to tell."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "story.txt").write_text(story + "\n")
    (folder / "kernel.log").write_text("\n".join(kernel_lines) + "\n")
    shutil.copyfile(guest.dir / "serial.log", folder / "serial.log")
    try:
        (folder / "leds.txt").write_text(_leds(guest))
        (folder / "processors.txt").write_text(_processors(guest))
        for name, command in COMMANDS.items():
            _, out, err = guest.run(command, timeout=30, check=False)
            (folder / name).write_text(out + err)
    except LabError as error:
        (folder / "incomplete.txt").write_text(f"{error}\n")
    return _telling_lines(folder, story, kernel_lines)


def _telling_lines(folder, story, kernel_lines):
    daemon = folder / "daemon.log"
    lines = daemon.read_text().splitlines()[-SHOWN_LINES // 4:] if daemon.exists() else []
    if (folder / "leds.txt").exists():
        lines += (folder / "leds.txt").read_text().splitlines()
    story_lines = story.splitlines()
    room = SHOWN_LINES - len(lines) - len(story_lines)
    return kernel_lines[-max(room, 5):] + lines + story_lines
