# SPDX-License-Identifier: LGPL-2.1-or-later
"""What no case may be missing for: each call that has something last over a power cut, and each probe and step that proves anything.

`left-out` has the calls for which there is none, a line each: "FILE: TEXT: why", with a text of the call's line."""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREES = ("lib", "daemon", "cli")
# The C library's, and ours that are made of them (lib/base/fileio.h): who calls one instead of its brother that does not wait says that it has to last.
LASTS = re.compile(r"\b(fsync|fdatasync|syncfs|sync_file_range|msync|make_last|open_and_make_last|fsync_path|fsync_parent|write_file_durably|append_line_durably|"
                   r"create_durably|mkdir_durably)\(")
# A line of code that begins with a type is the function itself, and not a call.
DEFINED = re.compile(r"^(static )?int \w+\(")
COMMENT = re.compile(r"^\s*(/\*|\*|//)")
REPLACED = re.compile(r"\breplace\(path, text, true\)")
PROBES = re.compile(r"^\s*&probe_(\w+),$", re.MULTILINE)


def left_out():
    lines = [line for line in (HERE / "left-out").read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(": ", 2)) for line in lines]


def syncs(top):
    """(file, number, line) of each call."""
    for tree in TREES:
        for path in sorted((top / tree).rglob("*.c")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if (LASTS.search(line) or REPLACED.search(line)) and not DEFINED.match(line) and not COMMENT.match(line):
                    yield str(path.relative_to(top)), number, line


def takes_out(case, line):
    """The case replaces the call, and has it no more."""
    call = (LASTS.search(line) or REPLACED.search(line))[0]
    return case.old.strip() in line and call in case.old and call not in case.new


def missing_syncs(cases, top):
    known = left_out()
    used = set()
    for file, number, line in syncs(top):
        reasons = [entry for entry in known if entry[0] == file and entry[1] in line]
        used.update(reasons)
        if not reasons and not any(case.file == file and takes_out(case, line) for case in cases):
            yield f"{file}:{number}: no case takes this out: {line.strip()}"
    for entry in known:
        if len(entry) != 3 or entry not in used:
            yield f"{HERE / 'left-out'}: there is no such call any more: {': '.join(entry)}"


def missing_probes(cases, top):
    """Each probe is taken out of the proof as a whole, and its questions in its own file; a step that proves is asked for its own."""
    table = "lib/probe/probe.c"
    for name in PROBES.findall((top / table).read_text()):
        if not any(case.file == table and case.old.strip() == f"&probe_{name}," for case in cases):
            yield f"{table}: no case takes out the probe {name}"
        own = f"lib/probe/probe-{name.replace('_', '-')}.c"
        if not any(case.file == own for case in cases):
            yield f"{own}: no case takes out a question of it"
    for path in sorted((top / "lib/step").rglob("step-prove-*.c")):
        if not any(case.file == str(path.relative_to(top)) for case in cases):
            yield f"{path.relative_to(top)}: no case takes out what it proves"


def missing(cases, top):
    return [*missing_syncs(cases, top), *missing_probes(cases, top)]
