# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems on what the cards offer."""

from dataclasses import dataclass

from .errors import LabError

# Smaller ones are allowed only to who says to be testing.
SMALL_XFS = "TEST_DIR=/lab TEST_DEV=/lab QA_CHECK_FS=1"

MAKE = {
    "xfs": SMALL_XFS + " mkfs.xfs -q -f -K -m reflink=1,rmapbt=1 -d agcount=2 {device}",
    # Blocks as large as pages are what DAX takes.
    "ext4": "mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=1,lazy_journal_init=1 {device}",
    "f2fs": "mkfs.f2fs -q -f {device}",
    "btrfs": "mkfs.btrfs -q -f {device}",
}
CHECK = {"xfs": SMALL_XFS + " xfs_repair -n {device}", "ext4": "e2fsck -fn {device}", "f2fs": "fsck.f2fs --dry-run {device}",
         "btrfs": "btrfs check --readonly {device}"}


@dataclass(frozen=True)
class FileSystem:
    """A file system that is or was mounted."""

    guest: object
    device: str
    type: str
    target: str
    options: str

    def mount(self, target=None, options=None):
        target = target or self.target
        self.guest.run(f"mkdir -p {target} && mount -t {self.type} -o {options or self.options} {self.device} {target}")

    def umount(self):
        self.guest.run(["umount", self.target])

    def mounted(self):
        return self.guest.succeeds(f"findmnt -n {self.target}")

    def check(self, device=None):
        """Complain unless the file system's own checker finds nothing to repair. It must not be mounted."""
        rc, out, err = self.guest.run(CHECK[self.type].format(device=device or self.device), timeout=120, check=False)
        if rc != 0:
            raise LabError(f"the file system on {self.device} needs repair ({rc}): {out[-1000:]}{err[-1000:]}")

    def fill(self, name="content", mib=4):
        """Write a file that nobody could guess, to the medium; returns its checksum for a later look."""
        path = f"{self.target}/{name}"
        self.guest.run(f"dd if=/dev/urandom of={path} bs=64k count={mib * 16} conv=fsync status=none", timeout=120)
        return self.sum(name)

    def sum(self, name="content"):
        return self.guest.out(f"sha256sum < {self.target}/{name}", timeout=120).split()[0]


def create(guest, device, kind="xfs", target="/mnt/card", options=None):
    """Make a file system on a device and mount it: with dax=always where the device can. The scenarios' mounts are all
    below /mnt; what is left of them is taken down before the next scenario."""
    made = FileSystem(guest, device, kind, target, options or ("dax=always" if _can_dax(guest, device) else "rw"))
    guest.run(MAKE[kind].format(device=device), timeout=120)
    made.mount()
    return made


def _can_dax(guest, device):
    """Block devices that are persistent memory without a translation layer (sector mode has one)."""
    return guest.out(f"cat /sys/class/block/$(basename $(readlink -f {device}))/queue/dax 2> /dev/null || true") == "1"
