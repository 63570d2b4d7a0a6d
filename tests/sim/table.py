# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each step of a removal with each thing that can go wrong at one of its writes, and how it ended: the table in docs/SURVIVES.md."""

import collections
import errno
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/SURVIVES.md"
BEGIN, END = "<!-- tests/sim/run --table -->", "<!-- the table's end -->"
MACHINES = (("ram2.root", "2", "a memory card"), ("interleaved.root", "3", "half of interleaved memory"), ("idle.root", "3", "an idle card"))

# What the kernel can answer to a write.
ERRNOS = (
    (r"/memory\d+/state$", (errno.EBUSY, errno.EAGAIN, errno.ENOMEM, errno.EINVAL)),
    (r"/auto_online_blocks$", (errno.EINVAL, errno.EPERM)),
    (r"/(un)?bind$", (errno.ENODEV, errno.EBUSY, errno.ENXIO, errno.EPERM)),
    (r"/slots/[^/]+/", (errno.ENODEV, errno.EBUSY, errno.EINVAL, errno.EIO)),
    (r"/config ", (errno.EPERM, errno.EIO)),
    (r"", (errno.EBUSY, errno.ENXIO, errno.ENODEV, errno.EINVAL)),
)
ONCE, FOR_EVER = 1, 0


def errnos(write):
    return next(numbers for pattern, numbers in ERRNOS if re.search(pattern, write))


# Its title, and what is to go wrong at a write.
COLUMNS = (
    ("an error, once", lambda write: [{"kind": "error", "arg": number, "times": ONCE} for number in errnos(write)]),
    ("an error, for ever", lambda write: [{"kind": "error", "arg": number, "times": FOR_EVER} for number in errnos(write)]),
    ("an error, and it is done", lambda write: [{"kind": "late-error", "arg": number, "times": ONCE} for number in errnos(write)]),
    ("says yes, does nothing", lambda write: [{"kind": "nothing", "times": ONCE}, {"kind": "nothing", "times": FOR_EVER}]),
    ("does not return", lambda write: [{"kind": "hang", "arg": 0}]),
    ("killed there", lambda write: [{"kind": kind} for kind in ("kill-before", "kill-after", "kill-worker")]),
)


def writes(players, machine, target):
    """(number, step, what is written) of each write of a removal that nothing keeps; of several of a kind in one step the first."""
    result = players.play({"machine": machine, "target": target, "steps": True})
    found = [line.split(": ", 1)[1] for line in result["trace"] if re.match(r"\d+ event \d+: \S.* > /sys/", line)]
    first = {}
    for number, (step, write) in enumerate(zip(result["steps"], found), 1):
        first.setdefault((step, re.sub(r"\d+", "N", write)), (number, step, write))
    return list(first.values())


def histories(machine, target, of, step):
    """(step, column, history) of all that is played for the table's rows of this machine."""
    for number, name, write in of:
        for column, faults in COLUMNS:
            for fault in faults(write) if step in (None, name) else ():
                yield name, column, {"machine": machine, "target": target, "faults": [[{"event": number, "touch": 1, **fault}]]}


def told(endings):
    """One ending in words; how often each, where there are several."""
    counted = endings.most_common()
    return counted[0][0] if len(counted) == 1 else ", ".join(f"{ending} ({count})" for ending, count in sorted(counted))


def rows(args, make_players, step=None):
    """Lines of the table, and what was wrong."""
    lines, wrong, played = [], [], 0
    for machine, target, title in MACHINES if step is None else MACHINES[-1:]:
        players = [make_players(args.build) for _ in range(args.jobs)]
        of = writes(players[0], machine, target)
        todo = list(histories(machine, target, of, step))
        with ThreadPoolExecutor(args.jobs) as pool:
            parts = pool.map(lambda job: [(name, column, players[job].play(history)) for name, column, history in todo[job::args.jobs]], range(args.jobs))
            results = [result for part in parts for result in part]
        for each in players:
            each.close()
        endings = collections.defaultdict(collections.Counter)
        for name, column, result in results:
            endings[name, column][result["outcome"]] += 1
            wrong += [f"{title}: {name}: {column}: {line}" for found in result["wrong"].values() for line in found]
        played += len(results)
        for name in dict.fromkeys(name for _, name, _ in of):
            if step in (None, name):
                lines.append(f"| {title} | `{name}` | " + " | ".join(told(endings[name, column]) for column, _ in COLUMNS) + " |")
    return lines, wrong, played


def make(args, make_players):
    step = args.only[0] if args.only else None
    lines, wrong, played = rows(args, make_players, step)
    text = PAGE.read_text() if PAGE.exists() else ""
    for line in wrong:
        print(f"FAIL {line}")
    if step:
        missing = [line for line in lines if line not in text.splitlines()]
        print("\n".join(f"FAIL docs/SURVIVES.md does not have: {line}" for line in missing) or f"ok   {len(lines)} rows are as docs/SURVIVES.md has them")
        return 1 if wrong or missing or not lines else 0
    head = "| card | step | " + " | ".join(column for column, _ in COLUMNS) + " |\n" + "|" + " --- |" * (len(COLUMNS) + 2)
    table = f"{BEGIN}\n{head}\n" + "\n".join(lines) + f"\n\n{played} histories, {len(wrong)} of them broke what is promised.\n{END}"
    print(table)
    if args.update:
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(before + table + rest.partition(END)[2])
    return 1 if wrong else 0
