# SPDX-License-Identifier: LGPL-2.1-or-later
"""A card that leaves the building leaves empty: what was on it is looked for in QEMU's own files, behind the guest's back."""

import mmap
import os
from pathlib import Path

from harness import machine, removal, storage
from harness.scenario import scenario

PATTERN = b"nobody-else-may-read-this-1f0c7a5e"
KILL_WORKER = "pkill -KILL -x safe-remove-wor"
SANITIZE = "/sys/bus/cxl/devices/{}/security/sanitize"


def backends(lab, number):
    """The host's files with what is on the card in slot `number`: its memory, and the labels of a persistent one."""
    card = lab.guest.profile.cards[number]
    if card.kind == "pmem":
        return [machine.content(lab.guest.dir, f"{card.device_id}.{part}") for part in ("pmem", "lsa")]
    return [link for link in Path(f"/proc/{lab.guest.pid()}/fd").iterdir()
            if os.readlink(link).startswith(f"/memfd:ram-{card.device_id}-")]


def holds(path, pattern):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        return content.find(pattern) >= 0


def is_blank(path):
    with open(path, "rb") as file:
        return not any(part.strip(b"\0") for part in iter(lambda: file.read(1 << 20), b""))


def on_card(lab, number):
    return any(holds(path, PATTERN) for path in backends(lab, number))


def put_pattern(lab, number, target):
    """A file of nothing but the pattern, which is on the card and stays there when the file is gone."""
    lab.sh(f"yes {PATTERN.decode()} | head -c 4M > {target}/content; sync {target}/content")
    lab.wait_for(lambda: on_card(lab, number), 20, "the pattern to be on the card")


def ram_with_pattern(lab, number, window=0):
    """Memory of which a file system of the memory's node had a part."""
    ram = lab.ram(number, window=window)
    lab.cleanup(lambda: lab.sh("! mountpoint -q /run/bound || umount /run/bound"))
    lab.sh(f"mkdir -p /run/bound && mount -t tmpfs -o mpol=bind:{ram.node} none /run/bound")
    put_pattern(lab, number, "/run/bound")
    lab.sh("umount /run/bound && rmdir /run/bound")
    lab.check(on_card(lab, number), "what was in the card's memory should be in it still")
    return ram


def check_erased(lab, number, *slots, serials=("0x1",)):
    """Removal `number` has left nothing on the cards, and its certificate says so."""
    for slot in slots:
        lab.equal([str(path) for path in backends(lab, slot) if not is_blank(path)], [], f"what is on the card of slot {slot} still")
    told = removal.certificate(lab, number)
    lab.equal(sorted(one["serial"] for one in told["sanitized"]), sorted(serials), "the cards that the certificate says were erased")
    for one in told["sanitized"]:
        lab.equal(one["method"], "sanitize", "how")
        lab.check(any("media" in line for line in one["verified"]) and one["not_verified"], f"what was seen, and what not: {one}")
    lab.check("erased" in lab.cli("certificate", number)[1], "a person should read it as well")
    return told


@scenario("sanitize-ram", timeout=240, turn=True)
def ram(lab):
    """Volatile memory: nothing is asked for twice, and the memory comes back, empty."""
    memory = ram_with_pattern(lab, 2)
    made = storage.plan(lab, 2, "--sanitize")
    steps = storage.step_names(made)
    lab.equal((made["verdict"], steps[steps.index("sanitize"):]),
              ("ready", ["sanitize", "disable-memdev", "release", "power-off", "prove-safe", "show-safe"]), "the plan")
    lab.check(not any(step["reversible"] for step in made["steps"][steps.index("sanitize"):]), "there is no way back from the first of these on")
    lab.check("ERASES" in storage.codes(made, "warnings"), "the plan should say so")
    lab.equal(lab.cli("remove", 2, "--plan", made["digest"], check=False)[0], removal.STALE, "the exit status for the plan without its option")
    lab.check(on_card(lab, 2), "nothing should have been touched")
    lab.cli("remove", 2, "--sanitize", "--plan", made["digest"], timeout=200)
    number = removal.last_record(lab)
    removal.check_safe(lab, 2, memory)
    check_erased(lab, number, 2)
    lab.slot(2).insert()
    lab.cli("restore", 2)
    lab.equal(removal.history(lab)[0]["outcome"], "rebuilt", "the ending of the restoration")


@scenario("sanitize-pmem", profile="mixed", timeout=300)
def pmem(lab):
    """Persistent memory goes where its number is given once more; the wrong one, or none, touches nothing. What is gone is not said to come back."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    put_pattern(lab, 3, disk.target)
    for words, what in (((), "no serial number was given"), (("--sanitize=0x1",), "no card of this request has the serial number '0x1'")):
        words = words or ("--sanitize",)
        status, out, err = lab.cli("remove", 3, *words, check=False)
        lab.equal(status, removal.BLOCKED, f"the exit status with {words}")
        lab.check("WHICH_SERIAL" in out + err, out + err)
        made = storage.plan(lab, 3, *words)
        lab.check(any(what in (b["what"] + b["evidence"]) for b in made["blockers"]), f"the plan should say '{what}': {made['blockers']}")
    lab.check(disk.mounted() and on_card(lab, 3), "nothing should have been touched")
    lab.cli("remove", 3, "--sanitize=0x2", timeout=200)
    number = removal.last_record(lab)
    removal.check_safe(lab, 3)
    told = check_erased(lab, number, 3, serials=("0x2",))
    lab.equal((told["sanitized"][0]["labels"], told["sanitized"][0]["persistent"]), ("erased", True), "its labels")
    lab.check(any("can be restored" in line for line in told["lost"]), f"what is lost: {told['lost']}")
    lab.slot(3).insert()
    status, out, _ = lab.cli("restore", 3, check=False)
    lab.equal(status, removal.NOTHING, "the exit status of the restoration")
    lab.check("erased what was on the card" in out, out)


@scenario("sanitize-both", profile="nodes", timeout=300, turn=True)
def both(lab):
    """Two cards in one request: both are empty before either loses its power."""
    for slot in (2, 3):
        ram_with_pattern(lab, slot, window=slot - 2)
    lab.cli("remove", 2, 3, "--sanitize", timeout=250)
    number = removal.last_record(lab)
    for slot in (2, 3):
        removal.check_safe(lab, slot)
    check_erased(lab, number, 2, 3, serials=("0x1", "0x2"))


def check_stuck(lab, number, what):
    """The slot is held, the light says that the card must stay, and why is told."""
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("stuck", "stuck"), "the ending")
    lab.check(what in end["message"] and "no way back" in end["message"], end["message"])
    leds = lab.wait_leds(2, attention="on")
    lab.check(not leds.safe and leds.power_on, f"the light must not say safe: {leds}")
    lab.check("sanitized" not in removal.certificate(lab, number), "the certificate must not say that anything was erased")
    return end


def finish(lab, end):
    """What the ending says is to be done works."""
    lab.equal(end["remedy"], ["safe-remove remove 2 --sanitize"], "the remedy")
    lab.sh(end["remedy"][0], timeout=200)
    removal.check_safe(lab, 2)
    check_erased(lab, removal.last_record(lab), 2)


@scenario("sanitize-fails", timeout=300, turn=True)
def fails(lab):
    """The kernel does not take the command: that is no way back, and no light."""
    ram_with_pattern(lab, 2)
    path = SANITIZE.format(lab.slot(2).memdev())
    lab.sh(f"mount --bind /dev/full {path}")
    lab.cleanup(lambda: lab.sh(f"! mountpoint -q {path} || umount {path}"))
    lab.equal(lab.cli("remove", 2, "--sanitize", check=False)[0], removal.STUCK, "the exit status")
    end = check_stuck(lab, removal.last_record(lab), "No space left on device")
    lab.check(on_card(lab, 2), "the pattern should be there: nothing has erased it")
    lab.sh(f"umount {path}")
    finish(lab, end)


@scenario("sanitize-too-long", timeout=300, turn=True)
def too_long(lab):
    """The card needs longer than anybody waits. It goes on meanwhile, which keeps others away; nobody calls it off."""
    ram_with_pattern(lab, 2)
    removal.policy(lab, SanitizeTimeoutSec=1)
    memdev = lab.slot(2).memdev()
    number = removal.last_id(lab) + 1
    at = storage.step_number(lab, "sanitize", 2, "--sanitize")
    lab.cli("remove", 2, "--sanitize", "--no-wait")
    said = removal.wait_for_record(lab, number, f'"ev":"note","n":{at}', 60, then="safe-remove cancel 2 2>&1 || true")
    lab.check("past the point from which it can be put back" in said, f"the cancel should be refused: {said}")
    end = check_stuck(lab, number, "still erasing itself")
    state = lab.sh(f"cat /sys/bus/cxl/devices/{memdev}/security/state")
    if state == "sanitize":
        status, out, err = lab.cli("remove", 2, check=False)
        lab.check(status == removal.BLOCKED and "erasure" in out + err, f"{status}: {out}{err}")
    lab.wait_for(lambda: lab.sh(f"cat /sys/bus/cxl/devices/{memdev}/security/state") != "sanitize", 60, "the card to be done")
    removal.policy(lab, SanitizeTimeoutSec=120)
    finish(lab, end)


@scenario("sanitize-killed", timeout=300, turn=True)
def killed(lab):
    """A worker that dies in the middle: another one waits for the card, and asks it. A press of the button changes nothing by then."""
    ram_with_pattern(lab, 2)
    number = removal.last_id(lab) + 1
    at = storage.step_number(lab, "sanitize", 2, "--sanitize")
    lab.cli("remove", 2, "--sanitize", "--no-wait")
    state = f"/sys/bus/cxl/devices/{lab.slot(2).memdev()}/security/state"
    removal.wait_for_record(lab, number, f'"ev":"note","n":{at}', 60,
                            then=f"timeout 20 sh -c 'until grep -qx sanitize {state}; do sleep 0.05; done' && {KILL_WORKER}")
    lab.slot(2).press(force=True)
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "safe", f"the outcome ({end['message']})")
    removal.check_safe(lab, 2)
    check_erased(lab, number, 2)


@scenario("sanitize-stopped", timeout=300, turn=True)
def stopped(lab):
    """The service is stopped in the middle, and has no time to wait for the card: it goes on with it once it is started again."""
    ram_with_pattern(lab, 2)
    lab.write("/etc/systemd/system/safe-removed.service.d/sanitize.conf", "[Service]\nEnvironment=SAFE_REMOVE_GIVE_BACK_SEC=2\n")
    lab.sh("systemctl daemon-reload && systemctl restart safe-removed.service")
    number = removal.last_id(lab) + 1
    lab.cli("remove", 2, "--sanitize", "--no-wait")
    at = removal.step_of(lab, number, "sanitize")
    removal.wait_for_record(lab, number, f'"ev":"note","n":{at}', 60, then="systemctl stop safe-removed.service")
    journal = lab.sh(f"cat {removal.STATE_DIR}/removals/{number}/journal")
    lab.check('"ev":"end"' not in journal, f"the removal should have no end yet: {journal}")
    leds = lab.slot(2).leds()
    lab.check(not leds.safe and leds.power_on, f"the light must not say safe: {leds}")
    lab.sh("systemctl start safe-removed.service")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "safe", f"the outcome ({end['message']})")
    removal.check_safe(lab, 2)
    check_erased(lab, number, 2)
