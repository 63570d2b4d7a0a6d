# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the player adds to a recorded machine, and what must be true of it at the end.

A history may have
    "processes": [{"pid", "comm", "uid", "cgroup", "uses": [files], "term", "kill", "stop", "hangs", "continued", "back", "backs", "breeds", "zombie"}]
        (one that is there "later" is begun by an actor; times in milliseconds; "term": "ignore"; tests/sim/users/process.c tells what each of them does)"""

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

from picture import text

STORE = Path("/sys/.sim")
GROUPS = Path("/sys/fs/cgroup")
FIRST_PID = 3_000_000  # beyond what this machine gives to anybody
WORDS = ("comm", "uid", "cgroup", "cwd", "term", "kill", "stop", "hangs", "continued", "back", "backs", "breeds", "zombie")


class World:
    def __init__(self, library):
        self.library = library
        self.nodes = [entry.name for entry in self.plain_nodes()]
        self.processes = []
        self.tables = {path: path.read_text() for path in Path("/proc").glob("[0-9]*/mountinfo") if int(path.parts[2]) < FIRST_PID}
        if self.tables:
            subprocess.run(["mount", "-t", "tmpfs", "mnt", "/mnt"], check=True)

    @staticmethod
    def plain_nodes():
        """Those of the machine: the few real ones are mounts."""
        here = os.stat("/dev").st_dev
        return [entry for entry in os.scandir("/dev") if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_dev == here]

    def in_model(self, act):
        """Within the library, in a process of its own: it knows one history."""
        pid = os.fork()
        if pid == 0:
            try:
                act(ctypes.CDLL(self.library))
                os._exit(0)
            finally:
                os._exit(98)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != 0:
            raise RuntimeError(f"the model has ended with {code}: {text(STORE / 'trace')}")

    def reset(self, processes):
        """After the rest of the machine was."""
        for name in ("process", "ended", "nodes", "claims"):
            (STORE / name).mkdir(exist_ok=True)
        for entry in os.scandir("/proc"):
            if entry.name.startswith(".gone-") or (entry.name.isdecimal() and int(entry.name) >= FIRST_PID):
                shutil.rmtree(entry.path)
        for entry in self.plain_nodes():
            os.unlink(entry.path)
        for name in self.nodes:
            Path("/dev", name).touch(mode=0o600)
        self.reset_mounts()
        self.processes = processes
        for process in self.processes:
            self.describe(process)
        self.in_model(self.begin)
        self.stood, self.stored = self.standing(), self.storage()

    def reset_mounts(self):
        """The recorded tables, one for each namespace; and folders for whatever is mounted, which stand for what it has."""
        if not self.tables:
            return
        for entry in os.scandir("/mnt"):
            shutil.rmtree(entry.path)
        for name in ("ns", "fs"):
            (STORE / name).mkdir(exist_ok=True)
        Path("/proc/1/ns/user").touch()
        for path, table in self.tables.items():
            path.write_text(table)
            namespace = re.match(r"mnt:\[(\d+)\]", os.readlink(path.parent / "ns/mnt"))
            (STORE / "ns" / namespace.group(1)).write_text(path.parts[2] + "\n")
            mounts = [line.split() for line in table.splitlines()]
            for line in table.splitlines():
                kind, source = line.split(" - ")[1].split()[:2]
                if kind in ("ext4", "xfs", "f2fs") and source.startswith("/dev/"):
                    number = line.split()[2]
                    for device in Path("/sys/class/block").iterdir():
                        if text(device / "dev") == number:
                            Path("/sys/fs", kind, device.name).mkdir(parents=True, exist_ok=True)
            for fields in mounts:
                (STORE / "fs" / fields[2] / fields[3].lstrip("/")).mkdir(parents=True, exist_ok=True)
                if fields[4].startswith("/mnt/"):
                    for other in mounts:
                        below = other[3].lstrip("/") if other[2] == fields[2] else ""
                        Path(fields[4], below).mkdir(parents=True, exist_ok=True)
        files = [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()[1:]]
        for path in files + [text(path) for path in Path("/sys/devices/virtual/block").glob("loop*/loop/backing_file")]:
            if path.startswith("/mnt/"):
                Path(path).touch()

    @staticmethod
    def describe(process):
        folder = STORE / "process" / str(process["pid"])
        folder.mkdir()
        for word in WORDS:
            if word in process:
                (folder / word).write_text(f"{process[word]}\n")
        (folder / "uses").write_text("".join(path + "\n" for path in process.get("uses", [])))
        group = GROUPS / process["cgroup"].lstrip("/") if "cgroup" in process else None
        if group and not group.exists():
            group.mkdir(parents=True)
            (GROUPS / "cgroup.procs").touch()
            for name, value in (("cgroup.procs", ""), ("cgroup.freeze", "0\n"), ("cgroup.events", "populated 0\nfrozen 0\n")):
                (group / name).write_text(value)

    def begin(self, library):
        for device in Path("/sys/bus/dax/devices").glob("*"):
            library.node_comes(str(device.resolve()).encode(), ctypes.c_char(b"c"))
        blocks = Path("/sys/class/block")
        for device in blocks.iterdir() if blocks.is_dir() else ():
            library.node_comes(str(device.resolve()).encode(), ctypes.c_char(b"b"))
            if not (device / "partition").exists():
                Path("/sys/block").mkdir(exist_ok=True)
                if not Path("/sys/block", device.name).is_symlink():
                    Path("/sys/block", device.name).symlink_to(device.resolve())
                (device / "queue").mkdir(exist_ok=True)
                (device / "queue/logical_block_size").write_text("512\n")
            if not (device / "uevent").exists():
                (device / "uevent").write_text(f"DEVNAME={device.name}\n")
            name = text(device / "dm/name")
            if name:
                Path("/dev/mapper").mkdir(exist_ok=True)
                Path("/dev/mapper", name).unlink(missing_ok=True)
                Path("/dev/mapper", name).symlink_to(f"../{device.name}")
        for process in self.processes:
            if not process.get("later"):
                library.process_start(process["pid"])

    def storage(self):
        """What must be there again after a removal that has gone back: what is mounted, what stands on what, swaps."""
        seen = {}
        for path in self.tables:
            for line in (text(path) or "").splitlines():
                left, right = line.split(" - ")
                fields, (kind, source, options) = left.split(), right.split()
                number = "" if fields[2].startswith("0:") else fields[2]
                groups = sorted(re.sub(r"\d+", "", word) for word in fields[6:])
                seen[f"mount {path.parts[2]} {fields[4]} {fields[3]} {kind} {source}"] = number, fields[5], groups, sorted(options.split(","))
        for line in (text("/proc/swaps") or "").splitlines()[1:]:
            path, _kind, size, _used, priority = line.split()
            seen["swap " + path] = size, priority
        for device in Path("/sys/class/block").iterdir() if Path("/sys/class/block").is_dir() else ():
            seen["block " + device.name] = text(device / "dev"), sorted(path.name for path in device.glob("holders/*")), \
                sorted(path.name for path in device.glob("md/dev-*")), text(device / "loop/backing_file"), Path("/dev", device.name).exists()
        return seen

    @staticmethod
    def standing():
        """Who stands still."""
        seen = {}
        for folder in (STORE / "process").iterdir():
            stat = text(f"/proc/{folder.name}/stat")
            if not stat:
                continue
            state, status = stat.rsplit(")", 1)[1].split()[0], text(f"/proc/{folder.name}/status") or ""
            pending = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("ShdPnd:")), 0)
            seen[int(folder.name)] = "stopped" if state == "T" or pending >> 18 & 1 else "ended" if state == "Z" else "runs"
        for path in GROUPS.rglob("cgroup.freeze") if GROUPS.is_dir() else ():
            seen[str(path.parent)] = text(path)
        return seen


def by_others(e, key):
    """Whether the history says that somebody else changes that ("others")."""
    return any(re.search(pattern, str(key)) for pattern in e.history.get("others", ()))


def nobody_stands_still(e):
    """Who did not before; but where the kernel refuses even that, the ending says how he is set going again."""
    told = " ".join((e.end or {}).get("remedy") or []) if e.outcome == "stuck" else ""
    for who, how in e.machine.world.standing().items():
        if how in ("stopped", "1") and e.machine.world.stood.get(who) != how and f"kill -CONT {who}" not in told and f"echo 0 > {who}/" not in told:
            yield f"{who} stands still at the end"


def ended_is_told(e):
    """Who was ended by a signal of ours. Of a restoration the removal before it has told."""
    if e.history.get("verb") == "restore":
        return
    told = " ".join(str((e.end or {}).get(key)) for key in ("lost", "disturbed", "message"))
    for path in (STORE / "ended").iterdir():
        if path.name not in told and not e.cut:
            yield f"process {path.name} was ended ({text(path)}), and the ending does not say so: {told}"


def is_lost(e, key):
    """Whether the ending says so of what that is about: the place of a mount, a swap, a disk."""
    name = key.split()[2 if key.startswith("mount ") else 1]
    return any(name in line for line in (e.end or {}).get("lost") or ())


def storage_as_before(e):
    """Or told. A restoration that is refused leaves what the removal before it has made."""
    if e.outcome not in ("restored", "refused", "nothing", "error", "none") or e.history.get("verb") == "restore":
        return
    before, now = e.machine.world.stored, e.machine.world.storage()
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key) and not by_others(e, key) and not is_lost(e, key):
            yield f"{e.outcome}, but {key} was {before.get(key)} and is {now.get(key)}"


def bytes_are_kept(e):
    """What goes while somebody has it: the model says so (storage/block.c, nodes.c)."""
    yield from sorted({line.split(" ", 1)[1] for line in e.trace if "LOST" in line})


INVARIANTS = (
    nobody_stands_still,
    ended_is_told,
    storage_as_before,
    bytes_are_kept,
)
