# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems mapped straight into processes: whatever a writer was told is persistent has to be there afterwards."""

import os
import time

from harness import storage
from harness.scenario import scenario

# A sample at random moments, the long run has them all.
ROUNDS = 10 if os.environ.get("LAB_LONG") else 2


def check_medium(lab, disk, writer):
    """The file system's own checker has nothing to say. It takes an unmounted file system, whatever its device is called now."""
    device = lab.sh(f"findmnt -n -o SOURCE {disk.target}")
    lab.sh(f"systemctl stop {writer.unit} && umount {disk.target}")
    disk.check(device)
    lab.sh(f"mount -o {disk.options} {device} {disk.target} && systemctl start {writer.unit}")


def out_and_in(lab, disk, writer, button):
    logged = writer.logged()
    lab.wait_for(lambda: writer.logged() > logged, 30, "the writer to write")
    time.sleep(lab.random.uniform(0, 2))
    storage.take_out(lab, 3, button=button)
    logged = writer.logged()
    lab.check(not writer.running(), "the writer's unit should have been stopped")
    storage.put_back(lab, 3)
    lab.check(writer.running(), "the writer's unit should run again")
    lab.check(disk.mounted() and "dax=always" in lab.sh(f"findmnt -n -o OPTIONS {disk.target}"), "it should be mounted as before")
    lab.check(writer.verify() >= logged, "the log outside the card should be whole")
    check_medium(lab, disk, writer)


def many_times(lab, kind):
    disk = lab.filesystem(lab.pmem(3).namespace().device, kind)
    writer = lab.writer(disk)
    for number in range(ROUNDS):
        out_and_in(lab, disk, writer, button=number % 2 == 1)
    writer.stop()
    lab.check(writer.verify() > 0, "there should be records")


@scenario("fsdax-xfs", profile="mixed", timeout=900)
def xfs(lab):
    """Again and again at random moments of the writer's life; reflink and rmapbt."""
    many_times(lab, "xfs")


@scenario("fsdax-ext4", profile="mixed", timeout=900, turn=True)
def ext4(lab):
    many_times(lab, "ext4")


@scenario("fsdax-msync", profile="mixed", timeout=300, turn=True)
def msync(lab):
    """The same for a writer that leaves it to the kernel, on a file system without dax."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4", options="rw")
    writer = lab.writer(disk, msync=True)
    lab.wait_for(lambda: writer.logged() > 50, 30, "the writer to write")
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.check(writer.verify() > 50, "there should be records")


@scenario("fsdax-cancel", profile="mixed", timeout=300, turn=True)
def cancel(lab):
    """Called off when all is down but the card: region, namespace, mount and writer are back, on the same card."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    writer = lab.writer(disk)
    before = storage.StoragePicture.take(lab)
    storage.call_off_late(lab, 3, button=True)
    storage.check_as_before(lab, before)
    lab.check(writer.running(), "the writer's unit should run again")
    lab.check(writer.verify() > 0, "there should be records")
    check_medium(lab, disk, writer)
    leds = lab.slot(3).leds()
    lab.check(leds.power == "on" and leds.attention == "off", f"slot 3 should say 'do not pull': {leds}")
