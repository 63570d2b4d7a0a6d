# SPDX-License-Identifier: LGPL-2.1-or-later
"""The button is pressed while somebody does all that an unprivileged user can do against those who look at the whole machine. The slot is held
within the kernel's 5 s all the same, and the removal ends: safe, restored or refused, with a light that is true."""

import os

from harness import removal, siege
from harness.scenario import scenario

KERNEL_MSEC = 5000


def held_in_time(lab, watch, under):
    """Prints how long it took; the kernel's own time is the most that it may be."""
    took = watch.msec()
    print(f"     press to hold under {under}: {took} ms", flush=True)
    lab.check(took is not None and took < KERNEL_MSEC, f"the slot should be held within {KERNEL_MSEC} ms of the press, not after {took}")


def check_end(lab, number, before, ram):
    """Any of the three, and never in between."""
    end = removal.wait_for_end(lab, number, 200)
    lab.check(end["outcome"] in ("safe", "restored", "refused"), f"the ending should not be {end}")
    if end["outcome"] == "safe":
        removal.check_safe(lab, 2, ram)
    else:
        removal.check_untouched(lab, 2, before)
    return end


def press_under(lab, *names):
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    number = removal.last_id(lab) + 1
    attackers = [siege.begin(lab.guest, name) for name in names]
    watch = siege.Watch(lab.slot(2))
    lab.slot(2).press()
    held_in_time(lab, watch, " ".join(names))
    end = check_end(lab, number, before, ram)
    print(f"     and the end: {end['outcome']} {end['code']}: {end['message'][:300]}", flush=True)
    for attacker in attackers:
        attacker.stop()


# Under a crowd and under all of them the removal takes minutes, so those are for the long run.
for each in siege.ATTACKS if os.environ.get("LAB_LONG") else ("namespaces", "sources", "binds", "bus"):
    scenario(f"siege-{each}", timeout=400, turn=True)(lambda lab, name=each: press_under(lab, name))


def garble(lab, ram):
    attribute = f"$(realpath /sys/bus/cxl/devices/{ram.region}/size)"
    lab.sh(f"echo many > /run/garbled && mount --bind /run/garbled {attribute}")
    lab.cleanup(lambda: lab.sh(f"umount {attribute} 2> /dev/null || true"))


def everything(lab):
    """All of them together, and what only root can make: an attribute of the card's that makes no sense, and a state directory that hangs from
    the press on. The slot is held, and given back when nobody can write down why."""
    ram = lab.ram(2)
    garble(lab, ram)
    removal.state_apart(lab)
    before = removal.Picture.take(lab)
    attackers = [siege.begin(lab.guest, name) for name in siege.ATTACKS]
    watch = siege.Watch(lab.slot(2))
    lab.sh(f"fsfreeze -f {removal.STATE_DIR}")
    lab.slot(2).press()
    held_in_time(lab, watch, "all of them, an odd attribute and a state directory that hangs")
    lab.wait_for(lambda: lab.slot(2).driver_bound(), 200, "the slot to be given back")
    lab.sh(f"fsfreeze -u {removal.STATE_DIR}")
    for attacker in attackers:
        attacker.stop()
    lab.wait_for(lambda: lab.cli_json("list")["slots"][0]["state"] != "removing", 120, "the removal to end")
    removal.check_untouched(lab, 2, before)


def together(lab):
    """All that an unprivileged user can do, at once."""
    press_under(lab, *siege.ATTACKS)


if os.environ.get("LAB_LONG"):
    scenario("siege-all", timeout=600)(together)
    scenario("siege-everything", timeout=900)(everything)


@scenario("siege-idle", timeout=300, turn=True)
def idle(lab):
    """2,000 processes that do nothing at all: a server on a quiet day."""
    press_under(lab, "idle")


@scenario("siege-odd", timeout=300, turn=True)
def odd(lab):
    """An attribute of the card's that makes no sense: the look fails or the removal is refused, and the slot was held before anybody looked."""
    ram = lab.ram(2)
    garble(lab, ram)
    before, number = removal.Picture.take(lab), removal.last_id(lab) + 1
    watch = siege.Watch(lab.slot(2))
    lab.slot(2).press()
    held_in_time(lab, watch, "an odd attribute")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "refused", "the ending")
    removal.check_untouched(lab, 2, before)


@scenario("siege-state-hangs", timeout=400, turn=True)
def state_hangs(lab):
    """The file system of the state directory is frozen: the slot is held, and given back when nobody can write down why."""
    removal.state_apart(lab)
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    watch = siege.Watch(lab.slot(2))
    lab.sh(f"fsfreeze -f {removal.STATE_DIR}")
    lab.slot(2).press()
    held_in_time(lab, watch, "a state directory that hangs")
    lab.wait_for(lambda: lab.slot(2).driver_bound(), 150, "the slot to be given back")
    lab.wait_leds(2, power="on", attention="off")
    lab.equal(ram.online(), 4, "the blocks online")
    lab.sh(f"fsfreeze -u {removal.STATE_DIR}")
    lab.wait_for(lambda: lab.cli_json("list")["slots"][0]["state"] != "removing", 60, "the removal to end")
    removal.check_untouched(lab, 2, before)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)
