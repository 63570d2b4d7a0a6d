# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody else is at the same things while a removal runs: an administrator, a rule of udev's, a script that goes on for ever. What he has reached is
done; what he undoes is done once more, and he is named; nobody is fought for ever, and the light is true."""

import json

from harness import removal, storage
from harness.scenario import scenario

PCIEHP = "/sys/bus/pci_express/drivers/pciehp"
# What the kernel says of a card that somebody has taken off the bus, or has reset.
OF_THE_CARD = (r"cxl_pci", r"cxl_mem", r"cxl region", r"[Tt]aint", r"System may be unstable")


def number_of(lab, number, step):
    """Of a step in the plan that removal `number` has: a plan that was made a moment before may have had another one, for somebody who was there then."""
    record = f"{removal.STATE_DIR}/removals/{number}/plan.json"
    made = lab.wait_for(lambda: lab.sh(f"cat {record} 2> /dev/null || true"), 30, "the removal's plan")
    return storage.step_names(json.loads(made)).index(step)


def meddle(lab, when, line, target="2", allow=("safe",)):
    """Remove the card; while it stands still ("before-STEP" or "after-STEP") somebody runs this line, as root in a shell of his own. The end record."""
    go = removal.drill(lab, when)
    number = removal.last_id(lab) + 1
    lab.cli("remove", target, "--no-wait")
    at = number_of(lab, number, when.removeprefix("before-").removeprefix("after-"))
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', 90, then=f"({line}); {go}")
    end = removal.wait_for_end(lab, number, 150)
    removal.policy(lab)
    lab.check(end["outcome"] in allow, f"the ending at {when}: {end['outcome']}: {end['message']} {end['remedy']}")
    lab.check(end["outcome"] != "stuck" or (end["remedy"] and all(end["remedy"])), f"a stuck ending has a remedy: {end}")
    return end


def once(condition):
    """A shell line that waits for what a step has done: its "do" is on record before that."""
    return f"timeout 60 sh -c 'until {condition}; do sleep 0.05; done'"


def check_named(lab, end, *words):
    said = "\n".join(end["disturbed"])
    for each in words:
        lab.check(each in said, f"{each} should be among who has interfered: {end['disturbed']}")


def again(lab, number=2):
    """The card, or another one, is in its slot once more, in use."""
    lab.slot(number).insert()
    return lab.ram(number)


@scenario("rival-comes-once", timeout=300, turn=True)
def comes_once(lab):
    """Each of these undoes what a step did, one time: it is done once more, the removal ends as it should, and says what was undone."""
    ram = lab.ram(2)
    top = f"/sys/devices/system/memory/memory{ram.block_numbers[-1]}/state"
    end = meddle(lab, "before-disable-dax", f"echo online_movable > {top}")
    check_named(lab, end, "memory blocks were brought online again")
    removal.check_safe(lab, 2, ram)
    ram = again(lab)
    end = meddle(lab, "before-decommit-region", f"echo {ram.region} > /sys/bus/cxl/drivers/cxl_region/bind; udevadm settle")
    check_named(lab, end, "the dax device was given to its driver again")
    removal.check_safe(lab, 2, ram)
    ram = again(lab)
    memdev = f"/sys/bus/pci/devices/{lab.slot(2).bdf()}/mem*"
    end = meddle(lab, "after-disable-memdev", f"{once(f'! ls -d {memdev}/driver')}; basename {memdev} > /sys/bus/cxl/drivers/cxl_mem/bind")
    check_named(lab, end, "the memory device was enabled again")
    removal.check_safe(lab, 2, ram)


@scenario("rival-takes-the-slot", timeout=300, turn=True)
def takes_the_slot(lab):
    """The slot is held, and somebody gives it to pciehp, which would answer the next press by cutting the power: it is held again at once."""
    ram = lab.ram(2)
    service = f"{lab.slot(2).place.bdf}:pcie004"
    end = meddle(lab, "before-disable-dax", f"echo {service} > {PCIEHP}/bind")
    check_named(lab, end, "the slot was given to pciehp")
    removal.check_safe(lab, 2, ram)


@scenario("rival-for-ever", timeout=300, turn=True)
def for_ever(lab):
    """A script that brings memory online whenever it finds some offline: it is named, and the removal goes back in time."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    lab.write("/run/rival.sh", f"""cd /sys/devices/system/memory; trap 'exit 0' TERM
        while :; do for b in {' '.join(str(b) for b in ram.block_numbers)}; do
        read -r s < memory$b/state && [ "$s" = offline ] && echo online_movable > memory$b/state; done; done 2> /dev/null""")
    end = meddle(lab, "before-disable-dax", "systemd-run -q --unit rival bash /run/rival.sh; sleep 1", allow=("restored",))
    lab.cleanup(lambda: lab.run("systemctl stop rival", check=False))
    lab.equal(end["code"], "interfered", f"the code ({end['message']})")
    check_named(lab, end, "(bash) of rival.service")
    lab.check("rival.service" in end["message"] and "rival.service" in end["remedy"][0], f"message and remedy should name him: {end}")
    lab.sh("systemctl stop rival")
    removal.check_untouched(lab, 2, before)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("rival-mounts", profile="mixed", timeout=300, turn=True)
def mounts(lab):
    """The file system is unmounted, and somebody mounts it again before that is looked at; behind the fence nobody can any more."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    end = meddle(lab, "after-unmount", f"{once(f'! findmnt {disk.device}')}; mkdir -p /mnt/rival && mount {disk.device} /mnt/rival", target="slot:4")
    check_named(lab, end, "the file system was mounted again")
    removal.check_safe(lab, 4)


@scenario("rival-switches-off", timeout=300, turn=True)
def switches_off(lab):
    """The slot is switched off by somebody else right behind the release, before our own power-off has begun."""
    ram = lab.ram(2)
    end = meddle(lab, "after-release", f"{once('test -e /sys/bus/pci/slots/2/power')}; echo 0 > /sys/bus/pci/slots/2/power")
    check_named(lab, end, "step power-off: it was done by somebody else")
    removal.check_safe(lab, 2, ram)


@scenario("rival-takes-it-off-the-bus", timeout=300, turn=True, allow=OF_THE_CARD)
def off_the_bus(lab):
    """Somebody removes the card's function by hand, with everything down, and right before the power goes."""
    for when in ("before-power-off", "before-disable-memdev"):
        ram = lab.ram(2)
        end = meddle(lab, when, f"echo 1 > /sys/bus/pci/devices/{lab.slot(2).bdf()}/remove", allow=("safe", "restored", "stuck"))
        print(f"     ({when}: {end['outcome']} {end['code']}: {end['message']} {end['remedy']} {end['disturbed']})", flush=True)
        if end["outcome"] != "safe":
            # pciehp finds a card that nobody has, and brings it up afresh: whoever asks again has it removed.
            lab.check(not lab.slot(2).leds().safe, "the light should not say safe")
            lab.run(["/bin/sh", "-c", (end["remedy"] or ["true"])[0]], check=False)
            lab.cli("remove", "2")
        removal.check_safe(lab, 2, ram)
        lab.slot(2).insert()


@scenario("rival-unbinds-driver", timeout=300, turn=True, allow=OF_THE_CARD)
def unbinds_driver(lab):
    """cxl_pci is unbound in the middle, which takes the memory device away: stuck, with a remedy that works. Then somebody switches the slot off, and
    whoever asks has it proved; the light is turned off."""
    ram = lab.ram(2)
    bdf = lab.slot(2).bdf()
    end = meddle(lab, "before-disable-memdev", f"echo {bdf} > /sys/bus/pci/drivers/cxl_pci/unbind", allow=("stuck",))
    lab.check("/sys/bus/pci/drivers/cxl_pci/bind" in end["remedy"][0], f"the remedy: {end['remedy']}")
    lab.run(["/bin/sh", "-c", end["remedy"][0]], check=False)
    lab.check(lab.guest.succeeds(f"test -e /sys/bus/pci/devices/{bdf}/driver"), "the driver should be back")
    leds = lab.slot(2).leds()
    lab.check(leds.attention == "on" and not leds.safe, f"the light should say fault: {leds}")
    lab.sh("echo 0 > /sys/bus/pci/slots/2/power")
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.SAFE, f"what a removal says then ({out}{err})")
    removal.check_safe(lab, 2, ram)


@scenario("rival-switches-on", profile="nopower", timeout=300, turn=True)
def switches_on(lab):
    """The power is off, and a script switches it on again and again: it is switched off a few times more, then he is named, and the light never says safe.
    Once he is gone it does."""
    lab.ram(2)
    there = f"test -e /sys/bus/pci/devices/{lab.slot(2).bdf()}"
    lab.write("/run/rival.sh", "while :; do echo 1 > /sys/bus/pci/slots/2/power; sleep 0.05; done 2> /dev/null")
    end = meddle(lab, "after-power-off", f"{once(f'! {there}')}; systemd-run -q --unit rival bash /run/rival.sh; {once(there)}", allow=("restored", "stuck"))
    lab.cleanup(lambda: lab.run("systemctl stop rival", check=False))
    lab.sh("systemctl stop rival")
    lab.check("(bash) of rival.service" in end["message"], f"he should be named: {end}")
    leds = lab.slot(2).leds()
    lab.check((leds.power, leds.attention) != ("off", "off"), f"the light should not say safe: {leds}")
    lab.cli("remove", "2")
    lab.wait_leds(2, power="off", attention="off", timeout=30)
    lab.equal(lab.slot(2).bdf(), None, "the function behind the slot")


@scenario("rival-rescans", timeout=300, turn=True)
def rescans(lab):
    """Somebody has the bus looked through again and again, all the time: nothing comes back by that, and the light is true."""
    ram = lab.ram(2)
    lab.write("/run/rival.sh", "while :; do echo 1 > /sys/bus/pci/rescan; sleep 0.2; done")
    lab.sh("systemd-run -q --unit rival bash /run/rival.sh")
    lab.cleanup(lambda: lab.run("systemctl stop rival", check=False))
    end = storage.take_out(lab, 2)
    lab.equal(end["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    lab.sh("systemctl stop rival")


@scenario("rival-resets", timeout=300, turn=True, allow=OF_THE_CARD)
def resets(lab):
    """Somebody resets the function in the middle: whatever becomes of it is true, and never for ever."""
    lab.ram(2)
    bdf = lab.slot(2).bdf()
    if not lab.guest.succeeds(f"test -e /sys/bus/pci/devices/{bdf}/reset"):
        bdf = ""
    end = meddle(lab, "before-decommit-region", f"test -z '{bdf}' || echo 1 > /sys/bus/pci/devices/{bdf}/reset", allow=("safe", "restored", "stuck"))
    print(f"     (with reset: {end['outcome']} {end['code']}: {end['message']} {end['remedy']})", flush=True)
    lab.equal(lab.slot(2).leds().safe, end["outcome"] == "safe", "whether the light says safe")


@scenario("done-by-others", timeout=300, turn=True)
def done_by_others(lab):
    """Each step of a memory card's removal done by somebody else, with the system's tools, right before we do it: what was wanted is reached."""
    lines = {
        "offline-memory": "for b in {blocks}; do echo offline > /sys/devices/system/memory/memory$b/state; done",
        "disable-dax": "echo dax0.0 > /sys/bus/dax/drivers/kmem/unbind",
        "disable-region": "cxl disable-region {region}",
        "decommit-region": "echo 0 > /sys/bus/cxl/devices/{region}/commit",
        "delete-region": "cxl destroy-region {region}",
        "disable-memdev": "cxl disable-memdev $(cd /sys/bus/pci/devices/{bdf} && ls -d mem*)",
    }
    for step, line in lines.items():
        ram = lab.ram(2)
        name = storage.offline_step(lab) if step == "offline-memory" else step
        meddle(lab, f"before-{name}", line.format(blocks=" ".join(str(b) for b in reversed(ram.block_numbers)), region=ram.region, bdf=lab.slot(2).bdf()))
        removal.check_safe(lab, 2, ram)
        lab.slot(2).insert()


@scenario("two-at-once", profile="nodes", timeout=300, turn=True)
def two_at_once(lab):
    """Two cards asked for by two callers in the same moment: one after the other, each by its own rules, and both lights are true."""
    removal.slow_down(lab, 300, "disable-dax")
    cards = {number: lab.ram(number) for number in (2, 3)}
    lab.remember()
    callers = {number: lab.spawn(f"remove{number}", f"safe-remove remove {number}") for number in cards}
    lab.equal([caller.wait(150) for caller in callers.values()], ["0", "0"], "the exit statuses")
    for number, ram in cards.items():
        removal.check_safe(lab, number, ram)


@scenario("remove-and-restore", timeout=300, turn=True)
def remove_and_restore(lab):
    """A restoration that is asked for while the card is removed, and a removal while it is restored: whoever comes second is told that somebody is at
    work, and changes nothing."""
    ram = lab.ram(2)
    go = removal.drill(lab, "disable-dax")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{number_of(lab, number, "disable-dax")},', 90)
    lab.equal(lab.cli("restore", "2", check=False)[0], removal.BUSY, "a restoration meanwhile")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending of the removal")
    removal.check_safe(lab, 2, ram)
    lab.slot(2).insert()
    names = storage.step_names(lab.cli_json("restore", "2", "--dry-run"))
    go = removal.drill(lab, names[3])
    number = removal.last_id(lab) + 1
    lab.cli("restore", "2", "--no-wait")
    removal.wait_for_record(lab, number, '"ev":"do","n":3', 90)
    lab.equal(lab.cli("remove", "2", check=False)[0], removal.BUSY, "a removal meanwhile")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "rebuilt", "the ending of the restoration")


@scenario("second-press-at-every-step", timeout=300, turn=True)
def second_press(lab):
    """A press begins the removal, and another one, while it stands still at a step, calls it off: at each that has a way back."""
    lab.ram(2)
    for step in ("auto-online", storage.offline_step(lab), "disable-dax", "decommit-region", "disable-memdev"):
        before = removal.Picture.take(lab)
        at = storage.step_number(lab, step, "2")
        go = removal.drill(lab, step)
        number = removal.last_id(lab) + 1
        lab.slot(2).press()
        removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', 90)
        lab.slot(2).press(force=True)
        lab.sh(f"{removal.when_back(number)} && {go}", timeout=90)
        end = removal.wait_for_end(lab, number)
        lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending at {step} ({end['message']})")
        removal.check_untouched(lab, 2, before)
        removal.policy(lab)
