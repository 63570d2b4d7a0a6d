# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nothing is touched before its record is on the medium: with its bytes, and with its name in each folder."""

import re

from harness import removal
from harness.scenario import scenario

TRACED = "mkdir,mkdirat,rename,renameat,renameat2,openat,fsync,fdatasync,write"
UNITS = ("safe-removed.service", "safe-remove-guard.service")
WORKER = "/usr/libexec/safe-remove/safe-remove-worker"
CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (\d+)(?:<(.*)>)?$")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
FOLDER = re.compile(r"^(?:AT_FDCWD|\d+)<([^>]*)>, ")


def whole_path(arguments, at):
    """The path of a call that has a folder before it, or is absolute."""
    name = TEXT.findall(arguments)[at]
    folder = FOLDER.match(arguments)
    return name if name.startswith("/") or not folder else f"{folder[1]}/{name}"


def names_made(call, arguments, result):
    """What a call puts into a folder."""
    if call.startswith("mkdir"):
        return [whole_path(arguments, 0)]
    if call.startswith("rename"):
        return [whole_path(arguments, 1)]
    return [result] if call == "openat" and "O_CREAT" in arguments and result else []


def check_durable(lab, lines):
    """Whatever has a name in the state directory has it on the medium before the kernel is told to do anything."""
    undurable, durable, writes = {}, 0, 0
    for line in lines:
        found = CALL.match(line)
        if not found:
            continue
        call, arguments, result = found[1], found[2], found[4]
        if call.startswith("rename"):
            undurable.pop(whole_path(arguments, 0), None)
        for path in names_made(call, arguments, result):
            if path.startswith(f"{removal.STATE_DIR}/removals/"):
                undurable[path] = line
        if call == "fsync" and (folder := re.match(r"\d+<([^>]*)>", arguments)):
            gone = [path for path in undurable if path.rsplit("/", 1)[0] == folder[1]]
            durable += len(gone)
            for path in gone:
                del undurable[path]
        if call == "write" and re.match(r"\d+</sys/bus/[^>]*(unbind|bind)>", arguments):
            writes += 1
            lab.equal(sorted(undurable), [], f"names that may be lost when the kernel is told to do something ({line})")
    return durable, writes


def trace_workers(lab):
    """Has each worker run by strace, which needs to be allowed to; its calls are in /run/trace.PID."""
    for unit in UNITS:
        lab.write(f"/run/systemd/system/{unit}.d/scenario.conf", "[Service]\nSystemCallFilter=\nCapabilityBoundingSet=~\n")
    lab.write("/run/tracer", f"#!/bin/sh\nexec strace -f --seccomp-bpf -y -s 256 -e trace={TRACED} -o /run/trace.$$ /run/worker \"$@\"\n")
    lab.cleanup(lambda: lab.sh(f"umount {WORKER}; rm -rf /run/trace.* /run/worker /run/systemd/system/safe-remove*.d; systemctl daemon-reload"))
    lab.sh(f"cp {WORKER} /run/worker && chmod +x /run/tracer && mount --bind /run/tracer {WORKER} && systemctl daemon-reload && "
           f"systemctl restart {' '.join(reversed(UNITS))}")


@scenario("record-is-durable", timeout=240, turn=True)
def is_durable(lab):
    """Counted by strace: each name of a record has been synced before the first write to the kernel."""
    ram = lab.ram(2)
    trace_workers(lab)
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", timeout=200)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    traces = [lab.sh(f"cat {path}").splitlines() for path in lab.sh(f"grep -l '/removals/{number}' /run/trace.*").split()]
    counts = [check_durable(lab, lines) for lines in traces]
    print(f"     (names synced, and writes to drivers after that: {counts})", flush=True)
    lab.check(any(durable >= 3 and writes >= 3 for durable, writes in counts), f"there should be names and writes: {counts}")
