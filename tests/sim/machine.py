# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulated machine from outside: set up for each history, and what a power cut leaves of it."""

import ctypes
import mmap
import os
import shutil
import tempfile
import uuid
import zlib
from pathlib import Path

import picture
from pristine import Pristine
from shared import Shared
from world import World

STORE = Path("/sys/.sim")
PROC = ("/proc/iomem", "/proc/swaps", "/proc/mdstat")
FOLDERS = ("hidden", "own", "hung", "durable", "ports", "actors")


class Machine:
    def __init__(self, library):
        self.world = World(library)
        self.folder = Path(tempfile.mkdtemp(prefix="sim-", dir="/dev/shm"))
        self.live_in(self.folder)
        self.sys = Pristine("/sys")
        self.proc = {path: path.read_bytes() for path in map(Path, PROC) if path.is_file()}
        self.cards = picture.cards()
        self.before = picture.picture()

    def live_in(self, folder):
        """Where the records are."""
        self.state, self.run = (folder / name for name in ("state", "run"))

    def reset(self, processes=()):
        """As it was recorded, after a boot, and with no record of a removal."""
        self.sys.put_back()
        for path, content in self.proc.items():
            path.write_bytes(content)
        for name in FOLDERS:
            (STORE / name).mkdir(parents=True)
        for card in self.cards.values():
            seen = self.before["port", card.port][1] if ("port", card.port) in self.before else None
            if not seen or (seen["attention"], seen["power"]) == (picture.DARK, picture.DARK):
                continue # its lights say nothing
            (STORE / "ports" / card.port).write_text("".join(block + "\n" for block in sorted(card.blocks)))
        (STORE / "boot_id").write_text(str(uuid.uuid4()) + "\n")
        for folder in (self.state, self.run):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        (STORE / "shared").write_bytes(bytes(ctypes.sizeof(Shared)))
        with (STORE / "shared").open("r+b") as file:
            self.shared = Shared.from_buffer(mmap.mmap(file.fileno(), 0))
        self.world.reset(processes)

    def trace(self):
        return (picture.text(STORE / "trace") or "").split("\n")

    def note(self, line):
        with (STORE / "trace").open("a") as file:
            file.write(f"0 {line}\n")

    def journal(self, number):
        path = self.state / "removals" / str(number) / "journal"
        return path.read_text(errors="replace") if path.exists() else ""

    def power_cut(self, seed):
        """What is left: of the records what was made to last, and of the rest what the seed says (0: nothing; or {"lucky": [names]}). The cards are found as
        they were."""
        def lucky(path):
            if isinstance(seed, dict):
                return path.rsplit("/", 1)[1].removesuffix(" content") in seed["lucky"]
            return seed and zlib.crc32(f"{seed} {path.removeprefix(str(self.folder))}".encode()) & 1

        left = self.durable(self.state, lucky)
        trace = (STORE / "trace").read_bytes() if (STORE / "trace").exists() else b""
        self.reset()
        shutil.rmtree(self.state)
        write_back(self.state, left)
        (STORE / "trace").write_bytes(trace)
        self.note("power cut, boot")

    def durable(self, path, lucky):
        """A folder as {name: folder or bytes}; lucky(path) says whether something that was never synced is there all the same."""
        listed = STORE / "durable" / str(os.stat(path).st_ino)
        now = {entry.name: entry for entry in os.scandir(path)}
        names = {}
        if listed.exists():
            names = {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in listed.read_text().splitlines()}
        found = {}
        for name in sorted(now.keys() | names.keys()):
            entry = now.get(name)
            same = entry and names.get(name) == str(entry.inode())
            if entry and (same or lucky(entry.path)):
                found[name] = self.durable(entry.path, lucky) if entry.is_dir(follow_symlinks=False) else self.content(entry, lucky)
            elif name in names and (entry or not lucky(f"{path}/{name}")):
                old = STORE / "durable" / names[name]
                if old.exists():
                    found[name] = old.read_bytes()
        return found

    @staticmethod
    def content(entry, lucky):
        synced = STORE / "durable" / str(entry.inode())
        if lucky(entry.path + " content"):
            return Path(entry.path).read_bytes()
        return synced.read_bytes() if synced.exists() else b""

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def write_back(path, found):
    path.mkdir(mode=0o700)
    for name, content in found.items():
        if isinstance(content, dict):
            write_back(path / name, content)
        else:
            (path / name).write_bytes(content)
