# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is worth keeping of a scenario that failed."""

import json
import shutil

from .errors import LabError
from .removal import STATE_DIR
from .slot import Slot
from .stage import GUARD, SERVICE

# Whoever shows the output may cut it: what tells most comes first.
SHOWN_LINES = 40
STORY_LINES = 8
DAEMON_LINES = 10
KERNEL_LINES = 6
SHOWN_CHARACTERS = 400

NEWEST = f"cd {STATE_DIR}/removals/$(ls {STATE_DIR}/removals 2> /dev/null | sort -n | tail -n 1)"

COMMANDS = {
    "plan.json": f"{NEWEST} && cat plan.json",
    "journal.json": f"{NEWEST} && tail -n 1000 journal",
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


def _kept(folder, name):
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def _records(lines):
    """Of a journal, or whatever else is there in its place."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _removal_lines(folder):
    """How the newest removal ended: outcome, why it went back, and the steps that it was at last."""
    names = {step["n"]: step["name"] for plan in _records(_kept(folder, "plan.json")) for step in plan.get("steps", [])}
    records = list(_records(_kept(folder, "journal.json")))
    told = [f"  newest removal: {end.get('outcome')} ({end.get('code')}): {end.get('message')}" for end in records if end.get("ev") == "end"]
    told = told or (["  newest removal: it has not ended"] if records else [])
    for back in (record for record in records if record.get("ev") == "back"):
        told.append(f"  went back ({back.get('code')}): {back.get('why')}")
    forward = [f"{record['ev']} {names.get(record.get('n'), record.get('n'))}" for record in records
               if record.get("ev") in ("do", "done", "undo", "undone", "resume")]
    return told[-4:] + ([f"  its last records: {', '.join(forward[-6:])}"] if forward else [])


def _telling_lines(folder, story, kernel_lines):
    """The story, how the removal ended, what else the story says, the daemon's last words, the lights, and the kernel's last words."""
    said = story.splitlines()
    lines = said[:STORY_LINES] + _removal_lines(folder)
    end = _kept(folder, "daemon.log")[-DAEMON_LINES:] + _kept(folder, "leds.txt") + kernel_lines[-KERNEL_LINES:]
    room = max(SHOWN_LINES - len(lines) - len(end), 0)
    return [line[:SHOWN_CHARACTERS] for line in (lines + said[STORY_LINES:STORY_LINES + room] + end)[:SHOWN_LINES]]
