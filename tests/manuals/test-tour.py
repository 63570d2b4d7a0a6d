#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-tour.py CLI SOURCE_ROOT: the tour says what a newcomer sees. Each line of docs/TOUR.md that begins with "$ " is run as it is written, on a
terminal of 80 columns, and prints what stands below it. "..." stands for any lines; digests and times are not compared."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

CLI, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
TOUR = ROOT / "docs/TOUR.md"
COLUMNS, LINES = 80, 2000  # so high that nothing is shown in a pager
SKIP = 77


def commands(text):
    """Line, command, and the lines that are said to be printed."""
    inside, found = False, []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```"):
            inside = not inside
        elif inside and line.startswith("$ "):
            found.append((number, line[2:], []))
        elif inside:
            assert found, f"TOUR.md:{number}: output without a command"
            found[-1][2].append(line)
    return found


def printed(command, folder, env):
    """What a terminal shows of it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    with subprocess.Popen(["sh", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:  # the terminal's end: nobody has it open any more
            pass
        os.close(ours)
        process.wait(60)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode().replace("\r\n", "\n")).rstrip("\n").split("\n")


def masked(line):
    line = re.sub(r"\b[0-9a-f]{8,64}\b", "DIGEST", line.rstrip())
    return re.sub(r"\b\d+(\.\d+)? (ms|s)\b", "TIME", line)


def fits(want, got):
    """Whether the lines are those; the first that is not."""
    if not want:
        return not got, got[0] if got else None
    if want[0] == "...":
        if any(fits(want[1:], got[i:])[0] for i in range(len(got) + 1)):
            return True, None
        return False, f"none of these goes on with: {want[1:2]}"
    if not got or masked(want[0]) != masked(got[0]):
        return False, f"the tour has {want[0]!r}, printed is {got[0] if got else None!r}"
    return fits(want[1:], got[1:])


def main():
    if subprocess.run(["unshare", "--user", "--map-root-user", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("skipped: user namespaces are not allowed here, so no machine can be simulated")
        return SKIP
    tour = commands(TOUR.read_text())
    assert len(tour) >= 8, "the tour is too short to be one"
    assert os.access(ROOT / "demo", os.X_OK) and "./demo" in TOUR.read_text()
    env = dict(os.environ, PATH=f"{CLI.parent}:{os.environ['PATH']}", TERM="vt100", NO_COLOR="1",
               SAFE_REMOVE_WORKER=str(CLI.parents[1] / "daemon/safe-remove-worker"))
    env.pop("COLUMNS", None)
    wrong = []
    with tempfile.TemporaryDirectory(prefix="safe-remove-tour.") as folder:
        (Path(folder) / "tests").symlink_to(ROOT / "tests")
        for number, command, want in tour:
            got = printed(command, folder, env)
            fit, why = fits(want, got if got != [""] else [])
            if not fit:
                wrong.append(f"TOUR.md:{number}: {command}\n  {why}\n" + "\n".join(f"    {line}" for line in got))
    print("\n".join(wrong) or f"ok: {len(tour)} commands")
    return 1 if wrong else 0


sys.exit(main())
