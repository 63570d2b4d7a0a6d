# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takes down what a scenario stood on persistent memory and disks, and empties them, so that the next one finds them as
they were at boot. Only what lies on the cards and below /mnt is looked at; the guest's own disk stays."""

import ctypes
import os

from .errors import LabError

# From the top down. What cannot be taken down is found by the last line: the guest is then booted anew.
TAKE_DOWN = r"""
swapoff -a
exportfs -ua 2> /dev/null
for attempt in 1 2 3 4; do
        tac /proc/self/mountinfo | while read -r id parent dev root target rest; do
                case $target in /mnt/*) umount "$target" 2> /dev/null ;; esac
        done
        losetup -D
        [ ! -e /dev/mapper/control ] || dmsetup info -c --noheadings -o name 2> /dev/null | grep -q '^No devices' || {
                vgchange -q -an > /dev/null 2>&1; dmsetup remove_all; }
        [ ! -e /proc/mdstat ] || mdadm --stop --scan --quiet 2> /dev/null
        grep -q ' /mnt/' /proc/self/mountinfo || break
        sleep 0.3
done
udevadm settle -t 10
busy=$(grep -o ' /mnt/[^ ]*' /proc/self/mountinfo; tail -n +2 /proc/swaps; ls -d /sys/block/dm-* /sys/block/loop*/loop /sys/block/md* 2> /dev/null)
[ -z "$busy" ] || { echo still there: $busy >&2; exit 1; }
"""

# The labels are read when a driver comes. Only the board's regions are left by now.
LET_GO = r"""
cd /sys/bus/nd/devices 2> /dev/null || exit 0
for region in region*; do
        [ ! -e $region/driver ] || echo $region > /sys/bus/nd/drivers/nd_region/unbind
done
for nmem in nmem*; do
        [ ! -e $nmem/driver ] || echo $nmem > /sys/bus/nd/drivers/nvdimm/unbind
done
true"""

LOOK_AGAIN = r"""
cd /sys/bus/nd/devices 2> /dev/null || exit 0
for nmem in nmem*; do
        [ ! -e $nmem ] || [ -e $nmem/driver ] || echo $nmem > /sys/bus/nd/drivers/nvdimm/bind
done
for region in region*; do
        [ ! -e $region ] || [ -e $region/driver ] || echo $region > /sys/bus/nd/drivers/nd_region/bind
done
# Not --settle: the kernel never answers for the hidden paths of an NVMe disk.
udevadm trigger --subsystem-match=block
udevadm settle -t 20"""

_PUNCH = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_libc = ctypes.CDLL(None, use_errno=True)


def has_storage(guest):
    profile = guest.profile
    return profile.nvdimm or any(card.kind in ("pmem", "nvme") for card in profile.cards.values())


def take_down(guest):
    """Everything that stands on the cards. Raises LabError when something stays."""
    guest.run(TAKE_DOWN, timeout=120)


def _punch(path):
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if _libc.fallocate64(file.fileno(), _PUNCH, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
            raise LabError(f"cannot empty {path}: {os.strerror(ctypes.get_errno())}")


def empty(guest):
    """All zeros again, from outside, which takes no time. Nothing may be mounted, regions of cards must be gone."""
    guest.run(LET_GO, timeout=60)
    for pattern in ("*.pmem", "*.lsa", "*.disk"):
        for path in guest.dir.glob(pattern):
            _punch(path)
    guest.run(LOOK_AGAIN, timeout=60)
