# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dax devices that somebody has made of a region's memory: one of two ranges, with another device between them. They are taken down as
others are, and come back with the ranges that they had."""

from harness import memory, removal, storage
from harness.removal import Picture
from harness.scenario import scenario

KILL_WORKER = "pkill -KILL -x safe-remove-wor"
RANGES = "cd /sys/bus/dax/devices && grep -H . dax*/size dax*/resource dax*/mapping*/start dax*/mapping*/end dax*/mapping*/page_offset"


def ranges(lab):
    """What each device has, whatever its region is called by now."""
    return sorted(line.split(".", 1)[1] for line in lab.sh(RANGES).splitlines())


def as_ram(lab):
    """Three blocks in two ranges for the kernel, one between them for a device of its own."""
    ram = lab.ram(2, online="offline")
    other = memory.split(lab.guest, ram)
    memory.to_kmem(lab.guest, ram.dax)
    lab.wait_for(lambda: ram.online() == 3, 60, "the blocks of the device of two ranges")
    memory.to_devdax(lab.guest, memory.Memory(lab.guest, ram.region, other, ram.node, ram.start, ram.size, ram.block_numbers))
    return ram


def as_device(lab):
    """The two ranges as one device-dax device, and the block between them for the kernel."""
    ram = lab.ram(2, online="offline")
    other = memory.split(lab.guest, ram)
    memory.to_devdax(lab.guest, ram)
    memory.to_kmem(lab.guest, other)
    lab.wait_for(lambda: ram.online() == 1, 60, "the block of the device between the ranges")
    return ram


def take_out(lab, ram, *options):
    """What there was before."""
    before, had = Picture.take(lab), ranges(lab)
    lab.check(any("mapping1" in line for line in had), f"a device should have two ranges: {had}")
    lab.cli("remove", "2", *options)
    removal.check_safe(lab, 2, ram)
    lab.slot(2).insert()
    return before, had


def check_rebuilt(lab, before, had, lost=()):
    newest = removal.history(lab)[0]
    lab.equal((newest["kind"], newest["outcome"], newest["code"], newest["lost"]), ("restore", "rebuilt", "done", list(lost)), "the ending")
    lab.equal(ranges(lab), had, "the ranges of the devices")
    removal.check_untouched(lab, 2, before)


def goes_and_comes(lab, ram):
    before, had = take_out(lab, ram)
    lab.cli("restore", "2")
    check_rebuilt(lab, before, had)
    lab.cli("restore", "2")
    lab.equal(removal.history(lab)[0]["code"], "as-it-was", "asked again")


@scenario("ranges-ram", timeout=240)
def ram_of_two_ranges(lab):
    """With pages of a process on it, which move away."""
    ram = as_ram(lab)
    keeper = lab.keeper(ram.node, mib=48)
    goes_and_comes(lab, ram)
    lab.check(keeper.verify() is not None, "the keeper should live")


@scenario("ranges-device", timeout=240, turn=True)
def device_of_two_ranges(lab):
    """All pages of both ranges are counted before the driver goes, which takes them from somebody who does not let go."""
    ram = as_device(lab)
    held = lab.holder("--stubborn", "--map=shared", f"/dev/{ram.dax}", properties=["SendSIGKILL=no", "TimeoutStopSec=2"])
    storage.rules(lab, ({"Unit": held.unit}, {"Action": "term", "TermSec": 2}))
    lab.cleanup(lambda: held.running() and held.signal("KILL"))
    lab.equal(held.look(), "ok", "its bytes")
    before, had = take_out(lab, ram, "--force=unmap")
    forced = removal.certificate(lab, removal.last_record(lab))["forced"]
    lab.check(len(forced) == 1 and f"unmap: /dev/{ram.dax} taken from process {held.pids[-1]} " in forced[0], f"what was forced should be said: {forced}")
    lab.equal((held.running(), held.look()), (True, "SIGBUS"), "running, and its bytes")
    held.signal("KILL")
    held.wait()
    lab.cli("restore", "2")
    check_rebuilt(lab, before, had, forced)


@scenario("ranges-cancel", timeout=240, turn=True)
def cancel(lab):
    """Called off when the region is gone: it is made again, and of it the devices."""
    as_ram(lab)
    before, had = Picture.take(lab), ranges(lab)
    go = removal.drill(lab, "after-delete-region")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    lab.wait_for(lambda: lab.sh("ls -d /sys/bus/cxl/devices/region* 2> /dev/null || true") == "", 120, "the region to be gone")
    lab.sh(removal.call_off(number, 2, go), timeout=90)
    end = removal.wait_for_end(lab, number, 150)
    lab.equal((end["outcome"], end["code"], end.get("lost", [])), ("restored", "cancelled", []), "the ending")
    lab.equal(ranges(lab), had, "the ranges of the devices")
    removal.check_untouched(lab, 2, before)


@scenario("ranges-killed", timeout=240, turn=True)
def killed(lab):
    """The worker of a restoration is killed as soon as the second device is there, which has no memory yet: another one goes on."""
    before, had = take_out(lab, as_ram(lab))
    number = removal.last_id(lab) + 1
    seen = lab.spawn("watch", f"until ls /sys/bus/dax/devices/dax*.1 > /dev/null 2>&1; do :; done; {KILL_WORKER}")
    lab.cli("restore", "2")
    lab.equal(seen.wait(60), "0", "whoever kills the worker")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "rebuilt", "the ending")
    check_rebuilt(lab, before, had)
