# SPDX-License-Identifier: LGPL-2.1-or-later
"""Things that take long to make, made once and kept: each is a folder in the lab's cache that bears the digest of its recipe."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import LabError
from .paths import VM_DIR, lab_dir, locked

UNFINISHED = ".new-"


def digest(text, files):
    """Changes whenever the thing would be made differently; not when the mirror has newer packages."""
    made = hashlib.sha256(text.encode())
    for path in sorted(files):
        made.update(str(path.relative_to(VM_DIR)).encode() + b"\0" + path.read_bytes())
    return made.hexdigest()[:16]


def as_root(command, **kwargs):
    """Run a command as root."""
    if os.geteuid() != 0:
        command = ["sudo", "-n", *command]
    # Without a file to hand over, the children would read this program's input.
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **kwargs)


def _remove(folder):
    as_root(["rm", "-rf", "--one-file-system", str(folder)])


def _drop_old(folder, keep):
    """Those used last stay. A guest keeps what it runs from alive by itself."""
    finished = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(UNFINISHED)]
    for path in sorted(finished, key=lambda path: path.stat().st_mtime)[:-keep]:
        _remove(path)
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{path.name}.log").unlink()


def get(kind, name, what, build, keep, say):
    """The folder lab_dir()/kind/name. Unless it is there build(folder, log) makes it: under a lock, so that a second one who wants
    it waits, and under another name, so that it is whole or not there. `what` tells a person what takes so long."""
    folder = lab_dir() / kind
    final = folder / name
    with locked(folder / ".lock"):
        if final.exists():
            os.utime(final)
            return final
        for left in folder.glob(f"{UNFINISHED}*"):
            _remove(left)  # of somebody who was ended meanwhile: whoever is at it has the lock
        say(f"making {what}")
        new = Path(tempfile.mkdtemp(dir=folder, prefix=UNFINISHED))
        log_path = folder / f"{name}.log"
        try:
            with open(log_path, "w", encoding="utf-8") as log:
                build(new, log)
            new.rename(final)
        except subprocess.CalledProcessError as error:
            raise LabError(f"making {what} failed at {error.cmd[0]}: see {log_path}") from error
        finally:
            if new.exists():
                _remove(new)
        _drop_old(folder, keep)
    return final


def need(*tools):
    """Complain unless the tools that making something takes are installed and may be used as they must be."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [tool for tool in tools if not shutil.which(tool, path=path)]
    if missing:
        raise LabError(f"missing: {', '.join(missing)} (tools/install-deps lab installs what the lab needs)")
    if os.geteuid() != 0 and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0:
        raise LabError("missing: root, by itself or by sudo without a password, to unpack Debian's packages")
    os.environ["PATH"] = path
