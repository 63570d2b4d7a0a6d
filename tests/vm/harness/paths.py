# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the lab keeps things: images that can be built again, and one run folder per guest."""

import contextlib
import fcntl
import os
from pathlib import Path

VM_DIR = Path(__file__).resolve().parent.parent
TOP_DIR = VM_DIR.parent.parent
SECOND = "+second"


def lab_dir():
    """The cache folder; everything in it can be made again."""
    chosen = os.environ.get("SAFE_REMOVE_LAB_DIR")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "safe-remove" / "lab"


def run_dir(name):
    return lab_dir() / f"run-{name}"


def beside(folder):
    """The run folder of the guest at the other end of the wire (lab.second()): of the second one for the first, and the other way round."""
    name = folder.name
    return folder.with_name(name.removesuffix(SECOND) if name.endswith(SECOND) else name + SECOND)


@contextlib.contextmanager
def locked(path):
    """Hold an exclusive lock on a file, which is made for the purpose."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
