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
