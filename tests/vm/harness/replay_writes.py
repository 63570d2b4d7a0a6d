# SPDX-License-Identifier: LGPL-2.1-or-later
"""replay_writes.py BASE LOG WORKER, in the guest: what is left of a state folder where the power was cut at any flush.

LOG is what dm-log-writes has written down (Documentation/admin-guide/device-mapper/log-writes.rst), BASE the image of the file system as it was before that. Prints JSON: how many flushes
there were, and how far the record of the newest removal had come at each."""
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
MAGIC = 0x6a736677736872
PLACE = Path("/run/replayed")


def entries(log):
    """(flags, where on the device, the bytes) of each write, in its order."""
    magic, _, count, size = struct.unpack_from("<QQQI", log)
    if magic != MAGIC:
        sys.exit("that is no log of dm-log-writes")
    at = size
    for _ in range(count):
        sector, n, flags, _ = struct.unpack_from("<QQQQ", log, at)
        at += size
        length = 0 if flags & (DISCARD | MARK) else n * size
        yield flags, sector * size, log[at:at + length]
        at += length


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, **more).stdout


def look(disk, worker):
    """What a boot would find."""
    subprocess.run(["e2fsck", "-fy", disk], capture_output=True, timeout=60, check=False)
    run("mount", disk, PLACE)
    try:
        said = json.loads(run(worker, "records", env={**os.environ, "SAFE_REMOVE_STATE_DIR": str(PLACE)}).splitlines()[-1])
        folders = sorted((PLACE / "removals").glob("[0-9]*"), key=lambda f: int(f.name)) if (PLACE / "removals").exists() else []
        journal = folders[-1] / "journal" if folders else None
        text = journal.read_text() if journal and journal.exists() else ""
        return {"type": said["type"], "unreadable": said.get("unreadable"), "lines": text.split("\n")[:-1], "certificate": bool(folders) and (folders[-1] / "certificate.json").exists()}
    finally:
        run("umount", PLACE)


def main():
    base, log, worker = sys.argv[1:]
    PLACE.mkdir(exist_ok=True)
    found = []
    # One loop device for all of them, that goes when nobody reads it any more: udev looks at each that comes, and what it reads of one that goes is an error.
    run("cp", base, "/run/replayed.img")
    disk = run("losetup", "--show", "-f", "/run/replayed.img").strip()
    with open(base, "r+b") as device:
        for flags, at, data in entries(Path(log).read_bytes()):
            os.pwrite(device.fileno(), data, at)
            if flags & (FLUSH | FUA):
                run("dd", f"if={base}", f"of={disk}", "bs=1M", "conv=fsync", "status=none")
                found.append(look(disk, worker))
    run("udevadm", "settle", "-t", "30")
    run("losetup", "-d", disk)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
