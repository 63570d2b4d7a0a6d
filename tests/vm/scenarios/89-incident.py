# SPDX-License-Identifier: LGPL-2.1-or-later
"""A card that is pulled by surprise: on record with all that is known of it; who may still touch it is ended, as far as the kernel stands that, and what is
said without a pull touches nothing."""

import json

from harness import removal, storage
from harness.scenario import scenario

CARDS = "/run/safe-remove/cards"
CARD_GONE = "MESSAGE_ID=6030d13659be4de5b6f04140787d31dc"
WORKER = "/usr/libexec/safe-remove/safe-remove-worker"
# The kernel's own words for what it cannot do any more.
LOST = (r"removing memory fails", r"cannot be hotremoved")
DEAD_DISK = (r"I/O error", r"EXT4-fs", r"Shutting down filesystem", r"XFS \(", r"JBD2", r"Buffer I/O", r"device-mapper")


def wait_seen(lab, *words):
    for word in words:
        lab.wait_for(lambda word=word: lab.guest.succeeds(f"grep -q '{word}' {CARDS}/*.json"), 30, f"the daemon to have seen {word}")


def check_incident(lab, number, outcome):
    """It is on record, in the journal and in the history, with what is to be done next."""
    incident = removal.incident_of(lab, number)
    lab.equal(incident["outcome"], outcome, f"the outcome: {json.dumps(incident)[:2000]}")
    lab.check(incident["next"], "the technician should be told what to do")
    lab.wait_for(lambda: lab.journal(f"-u safe-removed -g 'incident {incident['id']}: the card'"), 20, "the journal to have it")
    return incident


def check_fault(lab, number):
    lab.wait_for(lambda: [slot["state"] for slot in lab.cli_json("list")["slots"] if slot["name"] == str(number)] == ["lost"], 30, "the slot to be lost")
    leds = lab.wait_leds(number, attention="on")
    lab.check(not leds.safe, f"the light should not say safe: {leds}")


@scenario("incident-ram", own_guest=True, timeout=240, allow=LOST)
def ram(lab):
    """System RAM with a process on it. First somebody only says that the card is gone, and nothing is touched; then it is pulled."""
    ram = lab.ram(2)
    wait_seen(lab, ram.region)
    keeper = lab.keeper(ram.node, mib=8)
    for cause in "card-gone", "card-doubted", "look":
        said = json.loads(lab.sh(f"""echo '{{"port": "{lab.slot(2).place.bdf}", "cause": "{cause}", "act": true}}' | {WORKER} incident"""))
        lab.equal(said["verdict"], "there", f"what is found of a card that is there ({cause})")
    lab.sh(f"echo 'pcieport {lab.slot(2).place.bdf}: pciehp: Slot(2): Card not present' > /dev/kmsg")
    lab.check(keeper.verify() > 0, "the process should have its memory")
    lab.equal(lab.cli_json("history").get("incidents"), [], "what is on record of false alarms")
    keeper.signal("STOP")
    lab.slot(2).pull()
    incident = check_incident(lab, 2, "lost")
    lab.wait_for(lambda: lab.journal(CARD_GONE), 20, "the journal to say that it was pulled without being safe to pull")
    check_fault(lab, 2)
    lab.check(any("memory" in line and "online" in line for line in incident["lost"]), f"the memory should be named: {incident['lost']}")
    lab.check("restart the machine as soon as you can" in incident["next"][0], f"the remedy: {incident['next']}")
    lab.check(any("Card not present" in line or "Link Down" in line for line in incident["kernel_log"]), "the kernel's log should be in it")
    lab.sh(f"safe-remove incident {incident['id']} --output /run/bundle")
    files = lab.sh("ls /run/bundle").split()
    lab.equal(files, ["holders.txt", "incident.json", "kernel.log", "summary.txt", "timeline.txt", "topology.json"], "the files for a report")
    lab.check("safe-remove finds" in lab.sh("cat /run/bundle/timeline.txt"), "the timeline should say when it was found")
    lab.check(f"see: safe-remove incident {incident['id']}" in lab.cli("list")[1], "the list should name it")


@scenario("incident-dax", profile="mixed", timeout=240, allow=(*LOST, r"."), own_guest=True, turn=True)
def dax(lab):
    """A device-dax card with a process that has it mapped: that one is ended, and nothing is left."""
    device = lab.devdax(lab.ram(2, online="offline"))
    running = lab.holder("--map=shared", "--close", device, name="mapper")
    wait_seen(lab, device.rsplit("/", 1)[-1])
    lab.slot(2).pull()
    incident = check_incident(lab, 2, "gone")
    lab.wait_for(lambda: not running.running(), 20, "the process to be ended")
    lab.check(any("was ended" in line for line in incident["done"]) or running.status() != "KILL", f"who was ended should be told: {incident['done']}")


@scenario("incident-fsdax", profile="mixed", timeout=300, allow=(r".",), own_guest=True, turn=True)
def fsdax(lab):
    """A file system mapped straight into a process that writes: no crash, and it is told that a restart of the machine is what is left."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    writer = lab.writer(disk)
    wait_seen(lab, disk.device.rsplit("/", 1)[-1])
    logged = writer.logged()
    lab.wait_for(lambda: writer.logged() > logged, 30, "the writer to write")
    lab.slot(3).pull()
    incident = check_incident(lab, 3, "lost")
    check_fault(lab, 3)
    lab.check(any("must not be unmounted" in line for line in incident["left"]), f"the mount should be left: {incident['left']}")
    lab.check(any("is shut down" in line for line in incident["done"]), f"the file system should be shut down: {incident['done']}")
    lab.check("restart the machine when you can" in " ".join(incident["next"]), f"the remedy: {incident['next']}")
    lab.equal(lab.sh("dmesg | grep -cE 'Oops|BUG:|general protection' || true"), "0", "how often the kernel crashed")


@scenario("incident-interleaved", own_guest=True, timeout=300, allow=(*LOST, r"."), turn=True)
def interleaved(lab):
    """One of two cards that have a region together."""
    ram = lab.ram(2, 3)
    wait_seen(lab, ram.region)
    lab.slot(3).pull()
    incident = check_incident(lab, 3, "lost")
    check_fault(lab, 3)
    lab.check(any("memory" in line for line in incident["lost"]), f"the memory should be named: {incident['lost']}")
    lab.check(any(line.startswith("the card in slot 2 (mem") for line in incident["lost"]), f"the card beside it should be named: {incident['lost']}")
    lab.check(any(line.startswith("leave the card in slot 2 as it is") for line in incident["next"]), f"what to do with the card beside it: {incident['next']}")


@scenario("incident-disk", profile="mixed", timeout=300, allow=DEAD_DISK, turn=True)
def disk(lab):
    """A disk with volumes, of which nobody uses anything but the mount: all of it is taken away, and the slot is empty."""
    device = lab.disk(4)
    lab.sh(f"pvcreate -q {device} && vgcreate -q lab {device} && lvcreate -q -y -n data -L 32M lab")
    disk = lab.filesystem("/dev/lab/data", "ext4")
    wait_seen(lab, device.rsplit("/", 1)[-1], lab.sh("basename $(readlink -f /dev/lab/data)"))
    lab.slot(4).pull()
    incident = check_incident(lab, 4, "gone")
    for words in f"ext4 on {disk.target} is shut down", f"ext4 on {disk.target} was unmounted", "was taken down":
        lab.check(any(words in line for line in incident["done"]), f"'{words}' should be told: {incident['done']}")
    lab.check(not disk.mounted(), "it should be mounted no more")
    lab.wait_for(lambda: [slot["state"] for slot in lab.cli_json("list")["slots"] if slot["name"] == "4"] == ["empty"], 30, "the slot to be empty")
    lab.wait_leds(4, attention="off")


@scenario("incident-idle", own_guest=True, timeout=240, turn=True)
def idle(lab):
    """Nobody uses the card: it is on record, and the slot may be used again."""
    wait_seen(lab, lab.slot(2).bdf())
    lab.slot(2).pull()
    incident = check_incident(lab, 2, "gone")
    lab.check("may be used again" in incident["next"][0], f"what to do next: {incident['next']}")
    lab.check(f"incident {incident['id']}" in lab.cli("history")[1], "the history should have it")
    lab.wait_leds(2, attention="off")


@scenario("incident-taken", own_guest=True, timeout=300, allow=LOST, turn=True)
def taken(lab):
    """Somebody has the kernel forget cards that stay where they are: one that nobody uses, which comes back, and one with memory online."""
    function = lab.slot(3).bdf()
    wait_seen(lab, function)
    lab.sh(f"echo 1 > /sys/bus/pci/devices/{function}/remove")
    incident = check_incident(lab, 3, "gone")
    lab.check("was taken away from the kernel" in incident["message"] and "rescan" in incident["next"][0], f"what is said: {incident['message']} {incident['next']}")
    leds = lab.slot(3).leds()
    lab.check(leds.power == "on" and not leds.safe, f"a card with power should say so: {leds}")
    lab.sh("echo 1 > /sys/bus/pci/rescan")
    lab.wait_for(lambda: [slot["state"] for slot in lab.cli_json("list")["slots"] if slot["name"] == "3"] == ["ready"] and lab.slot(3).bdf(), 30, "the card to be back")

    ram = lab.ram(2)
    wait_seen(lab, ram.region)
    function = lab.slot(2).bdf()
    lab.sh(f"echo 1 > /sys/bus/pci/devices/{function}/remove")
    incident = check_incident(lab, 2, "lost")
    check_fault(lab, 2)
    lab.check("was taken away from the kernel" in incident["message"], f"nobody has pulled it: {incident['message']}")
    lab.check(any("memory" in line and "online" in line for line in incident["lost"]), f"the memory should be named: {incident['lost']}")
    lab.check(any("do not pull the card out of slot 2" in line for line in incident["next"]), f"the card has power: {incident['next']}")
    lab.equal(len(lab.cli_json("history")["incidents"]), 2, "how many incidents are on record")


@scenario("pulled-after-release", own_guest=True, timeout=300, allow=[r"."], turn=True)
def pulled_after_release(lab):
    """Pulled when the removal has given the slot back to the kernel, for its power-off: nothing uses the card any more, and all the same the light says
    safe only over what is proved, and nothing that is gone is put back."""
    ram = lab.ram(2)
    steps = [step["name"] for step in storage.plan(lab, "2")["steps"]]
    go = removal.drill(lab, "before-power-off")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, f'"ev":"do","n":{steps.index("power-off")}', 120)
    lab.check(lab.slot(2).driver_bound(), "the slot should be the kernel's: the scenario shows nothing otherwise")
    lab.slot(2).pull()
    lab.sh(go)
    lab.changed()
    end = removal.wait_for_end(lab, number, 120)
    lab.check(end["outcome"] in ("stuck", "safe"), f"the ending: {json.dumps(end)}")
    lab.check("as it was before" not in end["message"] and not any("bind" in line for line in end["remedy"]), f"what is said: {json.dumps(end)}")
    lab.equal(ram.blocks(), [], "the memory blocks that are left")
    lab.wait_for(lambda: lab.slot(2).driver_bound(), 60, "the slot to be given back")
    if end["outcome"] == "safe":
        removal.check_safe(lab, 2, ram)
    else:
        lab.equal((end["code"], lab.wait_leds(2, attention="on").safe), ("card-gone", False), "code and light")
        lab.equal(removal.incident_of(lab, 2)["removal"], str(number), "the removal that the incident is of")


# What lives on the card in a slot, and the steps that have something to do then: another one does not stand still.
MEMORY = ("disable-dax", "disable-region", "decommit-region", "delete-region", "disable-memdev")
AT_A_STEP = {
    "ram": ("ram2", 2, lambda lab: lab.ram(2), ("offline-memory", "unplug-memory", *MEMORY)),
    "interleaved": ("ram2", 3, lambda lab: lab.ram(2, 3), ("offline-memory", "unplug-memory", *MEMORY)),
    "dax": ("mixed", 2, lambda lab: lab.devdax(lab.ram(2, online="offline")), MEMORY),
    "fsdax": ("mixed", 3, lambda lab: lab.filesystem(lab.pmem(3).namespace().device, "ext4"), ("unmount", "disable-namespace", "disable-memdev")),
    "disk": ("mixed", 4, lambda lab: lab.filesystem(lab.disk(4), "ext4"), ("unmount", "claim-devices")),
}


def pulled_at_a_step(lab, kind):
    """Pulled at a step of a planned removal that the seed chooses: before the power goes it never ends as it was before, and never says safe over what is left."""
    _, number, make, acting = AT_A_STEP[kind]
    make(lab)
    steps = [step["name"] for step in storage.plan(lab, str(number))["steps"]]
    when = f"{lab.random.choice(('before', 'after'))}-{lab.random.choice([step for step in acting if step in steps])}"
    print(f"     ({when})", flush=True)
    go = removal.drill(lab, when)
    removal_id = removal.last_id(lab) + 1
    lab.slot(number).press()
    removal.wait_for_record(lab, removal_id, f'"ev":"do","n":{steps.index(when.split("-", 1)[1])}', 90)
    lab.slot(number).pull()
    lab.sh(go)
    lab.changed()
    end = removal.wait_for_end(lab, removal_id, 120)
    lab.equal((end["outcome"], end["code"]), ("stuck", "card-gone"), f"the ending: {json.dumps(end)}")
    lab.check(not any("bind" in line for line in end["remedy"]), f"nothing of a card that is gone can be bound: {end['remedy']}")
    leds = lab.wait_leds(number, attention="on")
    lab.check(not leds.safe, f"the light should not say safe: {leds}")
    lab.equal(removal.incident_of(lab, number)["removal"], str(removal_id), "the removal that the incident is of")


for what, (profile, *_) in AT_A_STEP.items():
    scenario(f"pulled-at-a-step-{what}", profile=profile, own_guest=True, timeout=300, allow=[r"."], turn=True)(lambda lab, kind=what: pulled_at_a_step(lab, kind))
