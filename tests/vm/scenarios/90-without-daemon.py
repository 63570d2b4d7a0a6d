# SPDX-License-Identifier: LGPL-2.1-or-later
"""The baseline: what the kernel does about a pressed button when nobody orchestrates."""

from harness.scenario import scenario


# The memory is gone; what the kernel still had in it decides what else goes wrong.
CONSEQUENCES = [r"removing memory fails", r"cannot be hotremoved", r"BUG:", r"Oops", r"RIP:", r"Call Trace", r"taint"]


@scenario("without-daemon", daemon=False, own_guest=True, allow=CONSEQUENCES)
def without_daemon(lab):
    """The slot is switched off and says "safe to pull" while the card's memory is still in use as System RAM."""
    slot = lab.slot(2)
    ram = lab.ram(2)
    slot.press()
    lab.wait_leds(2, safe=True, timeout=30)
    lab.check(lab.log.has(r"cannot be hotremoved until the next reboot"), "the kernel should say that it failed")
    lab.equal(ram.online(), len(ram.block_numbers), "the number of blocks still online without a card behind them")


@scenario("without-daemon-fsdax", profile="mixed", daemon=False, own_guest=True,
          allow=[r"Memory failure", r"Sending SIGBUS", r"CRC error", r"I/O [Ee]rror", r"Shutting down filesystem", r"Corruption"], turn=True)
def without_daemon_fsdax(lab):
    """The address decoders go first, then the file system is told: the slot says "safe to pull", the file system is dead."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    writer = lab.writer(disk)
    lab.slot(3).press()
    lab.wait_leds(3, safe=True, timeout=60)
    lab.check(lab.log.has(r"CRC error|Sending SIGBUS"), "the kernel should have found out too late")
    lab.check(disk.mounted(), "the mount should stay")
    lab.check(not lab.guest.succeeds(f"touch {disk.target}/file"), "and be of no use")
    lab.check(writer.logged() > 0, "there should be records that nobody can read")
