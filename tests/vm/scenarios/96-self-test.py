# SPDX-License-Identifier: LGPL-2.1-or-later
"""A self-test of an idle card: everything is taken down, seen in the lights from outside, and put back."""

import json

from harness import removal
from harness.scenario import scenario

REPORT = "/root/self-test.json"
KILL_WORKER = "pkill -KILL -x safe-remove-wor"


def watch(lab, command):
    """The states of slot 2's lights while a command runs, and its exit status."""
    slot, seen = lab.slot(2), set()

    def ended():
        leds = slot.leds()
        seen.add((leds.power, leds.attention, leds.power_on))
        return command.status()
    return lab.wait_for(ended, 90, "the self-test to end"), seen


def check_lights(lab, seen, powered_off=False):
    """The slot never said "safe" with its power on."""
    lab.check(("off", "off", True) not in seen, f"the lights should never have said 'safe to pull' over a card with power: {seen}")
    if not powered_off:
        lab.check(all(power for *_, power in seen), f"the power should have been on all the time: {seen}")


def report(lab, verdict):
    """The report that was written, and that it names nobody."""
    text = lab.sh(f"cat {REPORT}")
    found = json.loads(text)
    lab.cleanup(lambda: lab.run(f"rm -f {REPORT}"))
    lab.equal(found["verdict"], verdict, f"the verdict of {text}")
    lab.check(lab.sh("hostname") not in text, "the machine's name should not be in the report")
    lights = [light for light in found["lights"] if light["asked"]]
    if verdict == "passed":
        lab.equal([light["asked"] for light in lights], [light["read"] for light in lights], "the lights that were read back")
        lab.equal({light["read"]["power"] for light in lights}, {"on", "off", "blink"}, "the states of the power light")
    return found


@scenario("self-test", timeout=120)
def idle(lab):
    """Held, its lights shown, its memory and its region taken down, and all as before; then it is refused, because somebody uses it."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    status, seen = watch(lab, lab.spawn("self-test", f"safe-remove self-test 2 --yes -o {REPORT}"))
    lab.equal(status, "0", "the exit status")
    check_lights(lab, seen)
    lab.check(any(attention in ("on", "blink") for _, attention, _ in seen), f"the attention light should have been seen: {seen}")
    found = report(lab, "passed")
    lab.check({"offline-memory", "unplug-memory"} & {step["name"] for step in found["steps"] if step["do_usec"] and step["undo_usec"]},
              "the memory should have been offline")
    removal.check_untouched(lab, 2, before)
    lab.equal(removal.last_record(lab), removal.last_id(lab), "the record")
    lab.keeper(ram.node, mib=8)
    removal.policy(lab, HolderScanMSec=60000)  # however slow the machine is, it is seen
    before = removal.Picture.take(lab)
    refused = lab.cli_json("self-test", "2", "--yes", check=False)
    lab.equal((refused["verdict"], refused["blockers"]), ("refused", ["NOT_IDLE"]), "the report")
    removal.check_untouched(lab, 2, before)


@scenario("self-test-killed", timeout=240, turn=True)
def killed(lab):
    """The worker dies while the lights are tested, and again while it puts things back: what it had done is put back."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    go = removal.drill(lab, "after-test-lights", "before-delete-region")
    number = removal.last_id(lab) + 1
    lab.spawn("self-test", f"safe-remove self-test 2 --yes -o {REPORT}")
    removal.wait_for_record(lab, number, '"asked"', 90, then=f"{KILL_WORKER}; {removal.go_on('after-test-lights')}")
    removal.wait_for_record(lab, number, '"ev":"do","n":7', 90, then=f"{KILL_WORKER}; {go}")
    end = removal.wait_for_end(lab, number, 150)
    lab.check(end["outcome"] in ("tested", "restored"), f"the ending is {end}")
    removal.check_untouched(lab, 2, before)


@scenario("self-test-different", timeout=240, turn=True)
def different(lab):
    """Somebody takes a block of the card offline while everything is put back: the test fails and says which, with what to do about it."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    block = ram.block_numbers[0]
    state = f"/sys/devices/system/memory/memory{block}/state"
    go = removal.drill(lab, "before-test-lights")
    number = removal.last_id(lab) + 1
    command = lab.spawn("self-test", f"safe-remove self-test 2 --yes -o {REPORT}")
    removal.wait_for_record(lab, number, '"ev":"do","n":1', 90, then=removal.go_on("before-test-lights"))
    removal.wait_for_record(lab, number, '"ev":"done","n":1', 90, then=f"rm -r {removal.DRILL_OVER}")
    removal.wait_for_record(lab, number, '"ev":"undo","n":1', 90, then=f"echo offline > {state}; {go}")
    status, _ = watch(lab, command)
    lab.equal(status, str(removal.NOT_PROVEN), "the exit status")
    found = report(lab, "failed")
    lab.equal((found["outcome"], found["code"], len(found["differences"])), ("restored", "different", 1), "the ending")
    lab.check(f"memory{block}: now offline" in found["differences"][0], f"the difference should be named: {found['differences']}")
    lab.sh(f"echo online_movable > {state}")
    lab.changed()
    removal.check_untouched(lab, 2, before)


@scenario("self-test-pressed", timeout=240, turn=True)
def pressed(lab):
    """A press in the middle calls it off."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    go = removal.drill(lab, "disable-dax")
    number = removal.last_id(lab) + 1
    lab.remember()  # the press is not the beginning
    lab.spawn("self-test", "safe-remove self-test 2 --yes")
    removal.wait_for_record(lab, number, '"ev":"do","n":4', 90)
    lab.slot(2).press(force=True)
    lab.sh(f"{removal.when_back(number)} && {go}", timeout=90)
    end = removal.wait_for_end(lab, number, 150)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    removal.check_untouched(lab, 2, before)


@scenario("self-test-with-power", timeout=240, turn=True)
def with_power(lab):
    """QEMU takes a card out of a slot that loses its power, so it is put in again before the power is to come back."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    go = removal.drill(lab, "before-power-on")
    number = removal.last_id(lab) + 1
    command = lab.spawn("self-test", f"safe-remove self-test 2 --with-power --yes -o {REPORT}")
    removal.wait_for_record(lab, number, '"ev":"do","n":14', 90)
    removal.check_safe(lab, 2, ram)
    lab.slot(2).insert()
    lab.sh(go)
    status, _ = watch(lab, command)
    lab.equal(status, "0", f"the exit status ({command.tail()})")
    found = report(lab, "passed")
    lab.equal(found["restoration"]["outcome"], "rebuilt", "the restoration")
    lab.equal([light["step"] for light in found["lights"] if not light["asked"]], ["power-on"], "the light that was read before the power came")
    removal.check_untouched(lab, 2, before)
