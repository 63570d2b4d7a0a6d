# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slots inside of slots: what is in them belongs to the outer one's removal, and to it alone while that runs."""

import subprocess

from harness import machine, removal, storage
from harness.scenario import scenario
from harness.stage import GUARD


def keepers(lab, *slots):
    """An application with its memory on the card in each of the slots."""
    found = []
    for slot in slots:
        ram = lab.ram(slot, window=1)
        keeper = lab.keeper(ram.node, mib=8)
        lab.check(keeper.verify() > 0, f"the keeper should have its memory on the card in slot {slot}")
        found.append((ram, keeper))
    return found


def check_dark(lab, number):
    """A slot whose port has no power controller: its lights and its functions say it all."""
    leds = lab.wait_leds(number, power="off", attention="off")
    lab.equal((leds.power, leds.attention), ("off", "off"), f"the lights of slot {number} ({leds})")
    lab.equal(lab.slot(number).bdf(), None, f"the function behind slot {number}")


def check_on(lab, *numbers):
    for number in numbers:
        slot = lab.slot(number)
        leds = lab.wait_leds(number, power="on", attention="off")
        lab.check(slot.driver_bound(), f"slot {number} should not be held ({leds})")


@scenario("inner-slot-cxl", profile="fabric", timeout=400)
def inner_slot(lab):
    """One of two cards behind a CXL switch, by its own slot: the other one and the switch stay as they are."""
    (ram, keeper), (other, neighbour) = keepers(lab, 10, 11)
    plan = lab.cli_json("plan", "10")
    lab.equal((plan["verdict"], "slots" in plan["takes_down"]), ("ready", False), "the verdict, and whether there are slots inside")
    lab.equal(plan["card"]["bdf"], lab.slot(10).bdf(), "the card")
    lab.check("endpoints" not in plan["card"], "a card of one function has no list of them")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "10", timeout=180)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    check_dark(lab, 10)
    lab.equal(ram.blocks(), [], "blocks of the card")
    # Both cards are one node, and the kernel moves pages off a card to another node where it can: whose they were is not told.
    keeper.finish()
    neighbour.finish()
    lab.equal(other.online(), len(other.block_numbers), "the online blocks of the card in slot 11")
    stays = lab.keeper(other.node, mib=8)
    lab.check(stays.verify() > 0, "the card in slot 11 should have the node's memory")
    check_on(lab, 8, 11)
    lab.sh("echo 1 > /sys/bus/pci/slots/10/power")
    check_on(lab, 10)
    stays.finish()
    # The kernel puts no region below one that is on the same switch.
    lab.destroy(other)
    back = lab.ram(10, window=1)
    lab.equal(back.online(), len(back.block_numbers), "the online blocks of the card that is back")
    lab.destroy(back)


def held_and_refused(lab, number):
    """While the outer removal works, the inner slots are its own."""
    removal.wait_for_record(lab, number, '"ev":"done"')
    for inner in (10, 11):
        lab.wait_leds(inner, power="blink")
        lab.check(not lab.slot(inner).driver_bound(), f"slot {inner} should be held")
        status, out, err = lab.cli("remove", inner, check=False)
        lab.check(status != 0 and "slot 8" in out + err, f"slot {inner} should be refused because of slot 8: {status} {out}{err}")


@scenario("inner-slots-cxl-outer", profile="fabric", own_guest=True, timeout=500, turn=True)
def outer_slot(lab):
    """A CXL switch goes with the two cards in its slots: called off first, then for good."""
    both = keepers(lab, 10, 11)
    plan = lab.cli_json("plan", "8")
    lab.equal([slot["name"] for slot in plan["takes_down"]["slots"]], ["10", "11"], "the slots inside")
    lab.equal(storage.step_names(plan)[:3], ["hold", "hold", "hold"], "the first steps")
    lab.equal(len([one for one in plan["card"]["endpoints"] if one["memdev"]]), 2, "memory devices of the card")
    before = removal.Picture.take(lab)

    go = removal.drill(lab, "release")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "8", "--no-wait")
    held_and_refused(lab, number)
    lab.sh(removal.call_off(number, 8, go), timeout=90)
    end = removal.wait_for_end(lab, number, 180)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
    removal.check_untouched(lab, 8, before)
    check_on(lab, 10, 11)

    removal.policy(lab)
    storage.take_out(lab, 8)
    for ram, keeper in both:
        lab.equal((ram.blocks(), keeper.verify()), ([], 0), "blocks of the card, and the keeper's pages on them")
    lab.equal(lab.sh("ls /sys/bus/pci/slots | grep -xE '1[01]' || true"), "", "slots that are left of the switch")
    listed = {slot["name"] for slot in lab.cli_json("list")["slots"]}
    lab.check(not listed & {"10", "11"}, f"the slots of the switch should not be listed: {listed}")


@scenario("inner-slot-disk", profile="disks", timeout=300, turn=True)
def inner_disk(lab):
    """One of two disks behind a PCIe switch, mounted and in use, by its own slot: the other one's user notices nothing."""
    disk, other = (lab.filesystem(lab.disk(number), "ext4", f"/mnt/inner{number}") for number in (6, 7))
    sums = disk.fill(mib=2), other.fill(mib=2)
    user, neighbour = (lab.holder("--map=shared", f"{one.target}/file", name=one.target[-6:]) for one in (disk, other))
    made = storage.plan(lab, "6")
    lab.equal((made["verdict"], "slots" in made["takes_down"], set(storage.holders(made))), ("ready", False, set(user.pids)),
              f"verdict, slots inside, and who uses it ({made['blockers']})")
    storage.take_out(lab, 6)
    lab.check(not user.running() and not disk.mounted(), "nobody should use the disk any more")
    lab.equal((neighbour.running(), neighbour.look(), other.sum()), (True, "ok", sums[1]), "user and content of the disk in slot 7")
    check_on(lab, 4, 7)
    storage.put_back(lab, 6)
    check_on(lab, 6)
    lab.equal((disk.mounted(), disk.sum()), (True, sums[0]), "whether it is mounted, and what is on it")


@scenario("inner-slots-disks", profile="disks", own_guest=True, timeout=400, turn=True)
def outer_disks(lab):
    """A PCIe switch goes with two disks that are mounted and in use; what was written is on them."""
    made = {number: lab.filesystem(lab.disk(number), "ext4", f"/mnt/inner{number}") for number in (6, 7)}
    sums = {number: one.fill() for number, one in made.items()}
    holders = [lab.spawn(f"user{number}", ["/bin/sh", "-c", f"cd /mnt/inner{number} && exec sleep 1000"]) for number in made]
    plan = lab.cli_json("plan", "4")
    lab.equal([slot["name"] for slot in plan["takes_down"]["slots"]], ["6", "7"], "the slots inside")
    lab.equal(sorted(fs["mounts"][0]["target"] for fs in plan["takes_down"]["file_systems"]), ["/mnt/inner6", "/mnt/inner7"], "what is unmounted")
    lab.equal(len(storage.holders(plan)), len(holders), "the processes that are named")
    storage.take_out(lab, 4)
    lab.equal([user.running() for user in holders], [False, False], "whether the users are there")
    for number, one in made.items():
        lab.check(not one.mounted(), f"{one.target} should be unmounted")
        image = machine.content(lab.guest.dir, f"card{number}.disk")
        said = subprocess.run(f"debugfs -R 'cat /content' {image} 2> /dev/null | sha256sum", shell=True, capture_output=True, text=True,
                              check=True, timeout=60)
        lab.equal(said.stdout.split()[0], sums[number], f"what is on the disk of slot {number}")


@scenario("inner-slots-guard-dies", profile="disks", timeout=300, turn=True)
def guard_dies(lab):
    """The inner slots stay the outer removal's with the next guard too; a press at one of them calls all of it off."""
    before = removal.Picture.take(lab)
    go = removal.drill(lab, "release")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "4", "--no-wait")
    for slot in (4, 6, 7):
        lab.wait_for(lambda slot=slot: not lab.slot(slot).driver_bound(), 60, f"slot {slot} to be held")
    lab.wait_for(lambda: lab.guest.succeeds(f"tail -n 1 {removal.STATE_DIR}/removals/{number}/journal | grep -q '\"ev\":\"do\"'"), 60, "the pause")
    said = "-u safe-removed.service -g 'Lost what the guard had to tell' | wc -l"
    heard = int(lab.journal(said))
    lab.sh(f"systemctl kill --kill-whom=main --signal=KILL {GUARD}")
    lab.wait_for(lambda: int(lab.journal(said)) > heard, 30, "the next guard")
    for slot in (4, 6, 7):
        lab.check(not lab.slot(slot).driver_bound(), f"slot {slot} should be held still")
    lab.slot(6).press(force=True)
    lab.sh(f"{removal.when_back(number)} && {go}", timeout=90)
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
    before.check(lab)
    check_on(lab, 4, 6, 7)


@scenario("unknown-driver")
def unknown_driver(lab):
    """A function that was given to a driver which makes nothing that anybody could see."""
    bdf = lab.slot(4).bdf()
    device = f"/sys/bus/pci/devices/{bdf}"

    def give_back():
        lab.run(f"echo > {device}/driver_override; [ ! -e {device}/driver ] || echo {bdf} > {device}/driver/unbind; "
                f"echo {bdf} > /sys/bus/pci/drivers_probe", check=False)
    lab.cleanup(give_back)
    lab.sh(f"modprobe pci-pf-stub && echo {bdf} > {device}/driver/unbind && echo pci-pf-stub > {device}/driver_override && "
           f"echo {bdf} > /sys/bus/pci/drivers_probe")
    before = removal.Picture.take(lab)
    blockers = storage.plan(lab, "4")["blockers"]
    lab.equal([blocker["code"] for blocker in blockers], ["UNKNOWN_DRIVER"], "what is in the way")
    lab.check("pci-pf-stub" in blockers[0]["what"], f"the driver should be named: {blockers[0]}")
    status, out, err = lab.cli("remove", "4", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
    removal.check_untouched(lab, 4, before)
    lab.sh(blockers[0]["remedy"][0])
    lab.equal(storage.codes(storage.plan(lab, "4")), set(), "what is in the way after the remedy")
    storage.take_out(lab, 4)
