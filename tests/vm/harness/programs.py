# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of our own that run in the guest: each folder of tests/vm/guest is one, and appears as /lab/bin/NAME."""

import subprocess

from .errors import LabError
from .paths import VM_DIR

FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]


def provide(guest, name, *flags):
    """Compile the program (with more flags, if it is something else) unless this guest has it already; returns its path in the guest."""
    target = guest.dir / "share" / "bin" / name
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        sources = sorted(str(path) for path in (VM_DIR / "guest" / name).glob("*.c"))
        built = subprocess.run(["gcc", *FLAGS, *flags, "-o", str(target), *sources], capture_output=True, text=True,
                               check=False)
        if built.returncode != 0:
            raise LabError(f"cannot build {name}: {built.stderr}")
    return f"/lab/bin/{name}"
