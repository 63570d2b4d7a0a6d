# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changed minds, and everything that can happen to a removal that is under way."""

import json
import os

from harness import removal, storage
from harness.scenario import scenario


def wait_offline(lab, block):
    """Or gone, where the kernel takes a whole device away. The guest does the waiting, so that what comes next is still to come
    afterwards."""
    state = f"/sys/devices/system/memory/memory{block}/state"
    lab.sh(f"timeout 90 sh -c 'while grep -q online {state} 2> /dev/null; do sleep 0.01; done'", timeout=100)


@scenario("cancel-second-press", timeout=240)
def second_press(lab):
    """QEMU takes it 5 s after the first: all blocks are offline by then, and the removal pauses before what comes next."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    keeper = lab.keeper(ram.node, mib=48)
    go = removal.drill(lab, "disable-dax")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    wait_offline(lab, ram.block_numbers[0])
    lab.slot(2).press(force=True)
    lab.sh(f"{removal.when_back(number)} && {go}", timeout=90)
    end = removal.wait_for_end(lab, number, 150)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    removal.check_untouched(lab, 2, before)
    lab.check(keeper.verify() is not None, "the keeper should live")
    lab.equal(ram.online(), 4, "the blocks online")


@scenario("cancel-command", timeout=240)
def command(lab):
    """In the middle of taking memory offline: the highest block, which goes first, is offline, and that with the keeper's pages not yet,
    since interleaved memory moves slowly."""
    ram = lab.ram(2, 3)
    before = removal.Picture.take(lab)
    keeper = lab.keeper(ram.node, mib=96)
    number = removal.last_id(lab) + 1
    waiting = lab.spawn("remove", "safe-remove remove 2")
    wait_offline(lab, ram.block_numbers[-1])
    lab.cli("cancel", "2")
    end = removal.wait_for_end(lab, number, 150)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    lab.equal(waiting.wait(30), str(removal.RESTORED), "the exit status of the removal that was cancelled")
    removal.check_untouched(lab, 2, before)
    keeper.finish()
    lab.check(lab.cli("cancel", "2", check=False)[0] != 0, "there should be nothing to cancel any more")


@scenario("cancel-without-bus", timeout=240, turn=True)
def without_bus(lab):
    """The bus daemon ends in the middle of a removal: it goes on, root calls it off, and the same daemon is on the next bus."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    daemon = lab.sh("systemctl show -P MainPID safe-removed")
    go = removal.drill(lab, "disable-dax")
    number = removal.last_id(lab) + 1
    waiting = lab.spawn("remove", "safe-remove remove 2")
    wait_offline(lab, ram.block_numbers[0])
    lab.cleanup(lambda: lab.sh("systemctl start dbus.socket"))
    lab.sh("systemctl stop dbus.socket dbus.service; ! busctl list")
    lab.sh(removal.call_off(number, 2, go), timeout=90)
    end = removal.wait_for_end(lab, number, 150)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    lab.equal(waiting.wait(30), str(removal.RESTORED), "the exit status of the removal that was cancelled")
    removal.check_untouched(lab, 2, before)
    lab.sh("systemctl start dbus.socket && timeout 60 sh -c 'until busctl status org.saferemove1; do sleep 0.1; done'", timeout=70)
    lab.equal(lab.sh("systemctl show -P MainPID safe-removed"), daemon, "the daemon's process")


@scenario("cancel-late", timeout=240)
def late(lab):
    """Everything is down but the power: the region is created again, over both cards, block for block."""
    lab.ram(2, 3)
    before = removal.Picture.take(lab)
    go = removal.drill(lab, "disable-memdev")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"done","n":7', 90, then=removal.call_off(number, 2, go))
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    removal.check_untouched(lab, 2, before)


@scenario("cancel-late-device", timeout=240)
def late_device(lab):
    """Memory that is a device and no System RAM: it is again, for a while it was kmem's, and no block of it came online. On the next
    card of that name nothing of this is left."""
    lab.devdax(lab.ram(2, online="offline"))
    number, step = removal.last_id(lab) + 1, storage.step_number(lab, "delete-region", "2")
    go = removal.drill(lab, "disable-memdev")
    lab.slot(2).press()
    removal.wait_for_record(lab, number, f'"ev":"done","n":{step},', 90, then=removal.call_off(number, 2, go))
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"], end["message"].count("lost")), ("restored", "cancelled", 0), "the ending")
    lab.equal(lab.sh("basename $(readlink /sys/bus/dax/devices/dax0.0/driver)").strip(), "device_dax", "the driver")
    removal.policy(lab)
    lab.cli("remove", "2")
    lab.slot(2).insert()
    lab.equal(lab.ram(2, online="offline").online(), 0, "the blocks online of a region made anew")
    lab.equal(lab.sh("basename $(readlink /sys/bus/dax/devices/dax0.0/driver)").strip(), "kmem", "the driver of a region made anew")


@scenario("cancel-at-every-step", timeout=300, turn=True)
def every_step(lab):
    """One region, and a change of mind at each step that still has a way back: everything is as it was, which the product says too."""
    lab.ram(2)
    for step in ("auto-online", storage.offline_step(lab), "disable-dax", "disable-region", "decommit-region", "delete-region", "disable-memdev"):
        end = storage.call_off_at(lab, step)
        lab.check(end["message"].endswith("everything is as it was before"), f"what is said at {step}: {end['message']}")
        lab.equal(end["lost"], [], f"what is listed at {step}")


@scenario("cancel-at-storage-steps", profile="mixed", timeout=300, turn=True)
def storage_steps(lab):
    """The same with a file system in use, swap and persistent memory: three of the steps, which the seed chooses, and all in a long run."""
    region = lab.pmem(3)
    disk = lab.filesystem(region.namespace("fsdax", mib=64).device)
    swap = region.namespace("raw", mib=32).device
    lab.sh(f"mkswap {swap} > /dev/null && swapon -p 5 {swap}")
    wanted = disk.fill(mib=1)
    lab.writer(disk)
    plan = storage.plan(lab, "3")
    # Nobody is held up any more when thaw-holders comes.
    passed_over = ("hold", "announce", "release", "thaw-holders")
    steps = [step["name"] for step in plan["steps"] if step["reversible"] and step["name"] not in passed_over]
    steps = sorted(set(steps), key=steps.index)
    chosen = steps if os.environ.get("LAB_LONG") else sorted(lab.random.sample(steps, 3), key=steps.index)
    for step in chosen:
        lab.equal(storage.call_off_at(lab, step, target="3")["lost"], [], f"what is listed at {step} of {steps}")
    lab.equal(disk.sum(), wanted, "what is on the card")


def by_hand(lab, ram, *words):
    """Each block of the card by its own word, as udev's rules, daxctl and administrators do."""
    for number, word in zip(ram.block_numbers, words):
        state = f"/sys/devices/system/memory/memory{number}/state"
        lab.sh(f"grep -q offline {state} || echo offline > {state}; [ {word} = offline ] || echo {word} > {state}")


@scenario("cancel-by-hand", timeout=240, turn=True)
def blocks_by_hand(lab):
    """Nobody but the blocks themselves says how they are: brought online one by one, under a device's word that reads offline."""
    ram = lab.ram(2, online="offline")
    by_hand(lab, ram, "online_movable", "online_movable", "offline", "online_movable")
    for step in (storage.offline_step(lab), "disable-memdev"):
        lab.equal(storage.call_off_at(lab, step)["lost"], [], f"what is listed at {step}")
    lab.equal([block.state for block in ram.blocks()], ["online", "online", "offline", "online"], "the blocks")


@scenario("cancel-mixed", timeout=240, turn=True)
def mixed(lab):
    """Blocks of two zones and one that is kept offline, under a word that says movable of all of them."""
    ram = lab.ram(2)
    by_hand(lab, ram, "online_kernel", "online_movable", "offline", "online_movable")
    zones = [(block.state, block.zone) for block in ram.blocks()]
    lab.equal(zones[0], ("online", "Normal"), "the first block")
    for step in (storage.offline_step(lab), "disable-memdev"):
        lab.equal(storage.call_off_at(lab, step, "--zone-normal=try")["lost"], [], f"what is listed at {step}")
    lab.equal([block.state for block in ram.blocks()], ["online", "online", "offline", "online"], "the blocks")
    lab.equal([block.zone for block in ram.blocks()][:2], ["Normal", "Movable"], "their zones")


@scenario("cancel-what-changed", timeout=240, turn=True)
def what_changed(lab):
    """Somebody else changes the machine's policy in the middle: it stays as they want it, and the ending lists it instead of saying that
    all is as it was."""
    ram = lab.ram(2)
    other = lab.ram(3)
    step = storage.step_number(lab, storage.offline_step(lab), "2")
    go = removal.drill(lab, "disable-dax")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"done","n":{step},',
                            then=f"echo online > /sys/devices/system/memory/auto_online_blocks && {removal.call_off(number, 2, go)}")
    lab.changed()
    end = removal.wait_for_end(lab, number, 60)
    lab.equal(end["outcome"], "restored", f"the ending ({end['message']})")
    lab.check(end["message"].endswith("except for what is listed"), f"what is said: {end['message']}")
    # The step that leaves it says so, and so does who compares.
    told = "somebody has set what becomes of new memory to online meanwhile (/sys/devices/system/memory/auto_online_blocks), and it is left so; it was online_movable"
    lab.equal([line.split(": ")[0] for line in end["lost"]], [told, "the policy for new memory blocks"], "what is listed")
    lab.equal(ram.zones() | other.zones(), {"Movable"}, "the zones of the memory")
    lab.equal((ram.online(), other.online()), (4, 4), "the blocks online")


@scenario("cancel-writer-stopped", timeout=240, turn=True)
def writer_stopped(lab):
    """Who writes to the kernel is stopped and continued, which ends the kernel's work: it is asked again, and that is no failure."""
    ram = lab.ram(2, 3)
    keeper = lab.keeper(ram.node, mib=64)
    number, step = removal.last_id(lab) + 1, storage.step_number(lab, storage.offline_step(lab), "2")
    remover = lab.spawn("remove", "safe-remove remove 2")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{step}',
                            then="pkill -STOP -x safe-remove-wor; sleep 0.5; pkill -CONT -x safe-remove-wor")
    lab.equal(remover.wait(120), str(removal.SAFE), "the exit status")
    removal.check_safe(lab, 2, ram)
    keeper.finish()


@scenario("cancel-too-late")
def too_late(lab):
    """Past the point of no return a cancel is refused, in words, and the removal ends safe."""
    ram = lab.ram(2)
    go = removal.drill(lab, "power-off", "show-safe")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    said = removal.wait_for_record(lab, number, '"ev":"do","n":10', 90, then=f"safe-remove cancel 2 2>&1; echo status=$?; {go}")
    lab.check("point" in said and "status=0" not in said, f"the cancel should be refused in words: {said}")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("twice-at-once")
def twice(lab):
    """The same removal asked for twice is one removal, and both callers see its end."""
    ram = lab.ram(2)
    removal.slow_down(lab, 1500, "offline-memory")
    records = f"ls {removal.STATE_DIR}/removals 2> /dev/null | wc -l"
    before = int(lab.sh(records))
    callers = [lab.spawn(f"remove{n}", "safe-remove remove 2") for n in (1, 2)]
    lab.equal([caller.wait(90) for caller in callers], ["0", "0"], "the exit statuses")
    lab.equal(int(lab.sh(records)), before + 1, "the records")
    removal.check_safe(lab, 2, ram)


@scenario("light-waits-for-proof")
def light_waits_for_proof(lab):
    """The kernel turns the power LED off with the power. That must not read "safe to pull" before the proof is there."""
    ram = lab.ram(2)
    go = removal.drill(lab, "after-power-off", "show-safe")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":10', 90)
    lab.wait_leds(2, power="off", timeout=20)
    leds = lab.slot(2).leds()
    lab.check(leds.attention == "on" and not leds.safe, f"the light should not say safe yet: {leds}")
    lab.sh(removal.go_on("power-off"))
    removal.wait_for_record(lab, number, '"ev":"do","n":12', 60)
    lab.check(not lab.slot(2).leds().safe, "the light should still not say safe")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("power-off-by-others", timeout=240, turn=True)
def power_off_by_others(lab):
    """Somebody switches the slot off between the release and our own power-off: what was wanted is reached, it is proved and shown."""
    ram = lab.ram(2)
    step = storage.step_number(lab, "power-off", "2")
    go = removal.drill(lab, "power-off")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, f'"ev":"do","n":{step}', 90, then=f"echo 0 > /sys/bus/pci/slots/2/power; {go}")
    end = removal.wait_for_end(lab, number, 60)
    lab.equal((end["outcome"], end["code"]), ("safe", "done"), f"the ending ({end['message']})")
    removal.check_safe(lab, 2, ram)


@scenario("stuck-region-address", timeout=240)
def stuck(lab):
    """Neither finished nor put back: somebody took the card's addresses in between. The light says fault, the message names
    step and remedy, and the slot is not held."""
    lab.ram(2)
    go = removal.drill(lab, "disable-memdev")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"done","n":7', 90)
    lab.ram(3, online="offline")
    goes_on = lab.spawn("go-on", f"{removal.when_back(number)} && {go}")
    lab.equal(lab.cli("cancel", "2", check=False)[0], removal.STUCK, "the exit status of cancel")
    lab.equal(goes_on.wait(), "0", "whoever has it go on")
    end = removal.wait_for_end(lab, number, 120)
    lab.equal(end["outcome"], "stuck", "the ending")
    lab.check("delete-region" in end["message"], f"the step should be named: {end['message']}")
    leds = lab.slot(2).leds()
    lab.check(leds.attention == "on" and leds.power_on, f"the light should say fault: {leds}")
    lab.check(lab.slot(2).driver_bound(), "the slot should not be held")
    lab.equal(lab.cli_json("status", "2", check=False)["outcome"], "stuck", "what status says")
    lab.equal(lab.sh("cat /sys/devices/system/memory/memory*/state | grep -c offline"), "4", "the other card's blocks still offline")


@scenario("pulled-while-held", allow=[r"."], own_guest=True, timeout=240)
def pulled(lab):
    """Pulled by surprise in the middle: never a light that says safe, and the message says what happened."""
    lab.ram(2)
    go = removal.drill(lab, "auto-online")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":1')
    lab.slot(2).pull()
    lab.sh(go)
    lab.changed()
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("stuck", "card-gone"), f"the ending: {json.dumps(end)}")
    lab.check("as it was before" not in end["message"] and "was pulled in the middle" in end["message"], f"what is said: {end['message']}")
    lab.check(not any("bind" in line for line in end["remedy"]), f"nothing of a card that is gone can be bound: {end['remedy']}")
    leds = lab.wait_leds(2, attention="on")
    lab.check(not leds.safe, f"the light should not say safe: {leds}")
    lab.wait_for(lambda: lab.slot(2).driver_bound(), 60, "the slot to be given back")
    incident = removal.incident_of(lab, 2)
    lab.equal(incident["removal"], str(number), "the removal that the incident is of")
    lab.check(any(f"removal {number}: do" in entry["what"] for entry in incident["timeline"]), "the removal's steps should be in the timeline")
