# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages of a card that somebody has pinned: with neither a mapping nor a descriptor of it left, nothing waits for them but we."""

import json

from harness import memory, removal
from harness.scenario import scenario

STEP = "prove-unpinned"
RULES = "/etc/safe-remove/policy.d/scenario.conf"
PINNED = ("--ring", "--unmap", "--size=4194304", "--length=4096")


def devdax(lab, *slots):
    """The cards in these slots as one device-dax device: its region and its path."""
    ram = lab.ram(*slots, online="offline")
    return ram, lab.devdax(ram)


def records(lab, number, event):
    """What the journal of a removal has of an event of the step that counts."""
    steps = json.loads(lab.sh(f"cat {removal.STATE_DIR}/removals/{number}/plan.json"))["steps"]
    ours = [step["n"] for step in steps if step["name"] == STEP]
    lines = [json.loads(line) for line in lab.sh(f"cat {removal.STATE_DIR}/removals/{number}/journal").splitlines()]
    return [line for line in lines if line["ev"] == event and line.get("n") in ours]


def said(lab, number):
    """What the step wrote down: (proven, unproven or forced; the text)."""
    notes = records(lab, number, "note")
    lab.equal(len(notes), 1, "the number of its notes")
    return next((word, text) for word, text in notes[0]["note"].items() if word != "census_usec")


def pages(lab, mib):
    """What a device's memory is counted in: its alignment, or on kernels from 7 on each page."""
    if int(lab.sh("uname -r").split(".")[0]) >= 7:
        return f"{mib << 8} pages of 4 KiB"
    return f"{mib >> 1} pages of 2 MiB"


def census_msec(lab, number):
    """How long counting took."""
    return records(lab, number, "note")[0]["note"]["census_usec"] / 1000


def remove(lab, *options, card="2", status=removal.SAFE):
    """Remove a card; (number of the removal, all that was said)."""
    found, out, err = lab.cli("remove", card, *options, check=False)
    lab.equal(found, status, f"the exit status ({out}{err})")
    return removal.last_record(lab), out + err


def pins_of(lab, process, card="2"):
    """How the plan lists this process: its holds by pin."""
    plan = lab.cli_json("plan", card, check=False)
    lab.check(plan, "there should be a plan")
    return [hold for holder in plan["holders"] if holder["pid"] == process for hold in holder.get("holds", ()) if hold["way"] == "pin"]


@scenario("pins-clean")
def clean(lab):
    """Nobody has anything: counted, proven, and fast."""
    devdax(lab, 2)
    number, _ = remove(lab)
    lab.equal(said(lab, number), ("proven", f"none of {pages(lab, 512)} is referenced"), "the step's note")
    removal.check_safe(lab, 2)


@scenario("pins-clean-1g", turn=True)
def clean_1g(lab):
    """1 GiB over two cards is counted in under 0.2 s."""
    for _ in range(3):  # the host may be busy with something else for a while
        devdax(lab, 2, 3)
        number, _ = remove(lab)
        lab.equal(said(lab, number), ("proven", f"none of {pages(lab, 1024)} is referenced"), "the step's note")
        msec = census_msec(lab, number)
        print(f"     ({pages(lab, 1024)} counted in {msec:.1f} ms)", flush=True)
        if msec < 200:
            break
        lab.slot(2).insert()
    lab.check(msec < 200, f"counting should take less than 0.2 s, took {msec} ms")


def check_ended_by_policy(lab, pinner):
    number, _ = remove(lab)
    lab.equal(said(lab, number)[0], "proven", "the step's note")
    lab.check(not pinner.running(), "the policy ends the pinner's unit")
    removal.check_safe(lab, 2)


@scenario("pins-mapping-gone", turn=True)
def mapping_gone(lab):
    """An io_uring has 4 KiB of 512 MiB, the mapping is gone: named, ended by the policy, and the card goes without an oops."""
    _, device = devdax(lab, 2)
    pinner = lab.pinner(*PINNED, device)
    lab.equal(lab.sh(f"grep -c dax /proc/{pinner.pids[0]}/maps || true"), "0", "mappings that are left")
    pins = pins_of(lab, pinner.pids[0])
    lab.check(pins and pins[0]["bytes"] == 4096 and "io_uring" in pins[0]["found"], f"the pin should be in the plan: {pins}")
    check_ended_by_policy(lab, pinner)


@scenario("pins-descriptor-gone")
def descriptor_gone(lab):
    """The descriptor is closed too. A rule refuses to end who pins: named, nothing touched. Without the rule it is ended."""
    _, device = devdax(lab, 2)
    pinner = lab.pinner(*PINNED, "--close", device)
    lab.equal(lab.sh(f"ls -l /proc/{pinner.pids[0]}/fd | grep -c dax || true"), "0", "descriptors that are left")
    lab.write(RULES, "[Match]\nKind=pin\n[OnRemove]\nAction=refuse\nReason=it writes the ledger\n")
    before = removal.Picture.take(lab)
    number, text = remove(lab, status=removal.BLOCKED)
    lab.check(str(pinner.pids[0]) in text and "it writes the ledger" in text, f"who and why should be named: {text}")
    removal.check_untouched(lab, 2, before)
    lab.check(pinner.running(), "the pinner should be left alone")

    lab.run(["rm", RULES])
    check_ended_by_policy(lab, pinner)


@scenario("pins-innocent", turn=True)
def innocent(lab):
    """A process with registered buffers elsewhere is not touched, while another's pin is found."""
    _, device = devdax(lab, 2)
    lab.sh("dd if=/dev/zero of=/dev/shm/elsewhere bs=1M count=4 2> /dev/null")
    lab.cleanup(lambda: lab.run(["rm", "-f", "/dev/shm/elsewhere"]))
    bystander = lab.pinner("--ring", "--unmap", "--close", "/dev/shm/elsewhere")
    pinner = lab.pinner(*PINNED, "--close", device)
    lab.equal(pins_of(lab, bystander.pids[0]), [], "what the bystander is held against")
    remove(lab)
    lab.check(bystander.running() and not pinner.running(), "only who pins the card should be ended")
    removal.check_safe(lab, 2)


@scenario("pins-every-kind", turn=True)
def every_kind(lab):
    """Pipes and AF_XDP sockets pin too; several processes, one of which only got a descriptor from another one."""
    _, device = devdax(lab, 2)
    pinners = [lab.pinner("--pipe", "--unmap", "--close", "--length=12288", device),
               lab.pinner("--xdp", "--pass", "--unmap", "--close", "--at=8192", "--length=65536", device),
               lab.pinner("--ring", "--fork", "--unmap", "--close", device),
               lab.pinner("--peek", device)]
    number, _ = remove(lab)
    lab.equal(said(lab, number)[0], "proven", "the step's note")
    lab.check(not any(pinner.running() for pinner in pinners), "all should have been ended")
    removal.check_safe(lab, 2)


@scenario("pins-nobody-named", timeout=240, turn=True)
def nobody_named(lab):
    """A reference in nobody's hands (a descriptor on its way through a socket): refused, all as before; then it goes."""
    _, device = devdax(lab, 2)
    pinner = lab.pinner("--xdp", "--queue", "--unmap", "--close", "--length=4096", device)
    _, text = remove(lab, status=removal.RESTORED)
    lab.check(f"1 of {pages(lab, 512)} is referenced" in text and "nobody can be named" in text, f"what was found should be said: {text}")
    lab.check(lab.slot(2).driver_bound() and lab.slot(2).leds().power == "on", "the slot should be given back")
    lab.check(pinner.running(), "the pinner was not known, and so not ended")
    pinner.stop()
    number, _ = remove(lab)
    lab.equal(said(lab, number)[0], "proven", "the step's note")
    removal.check_safe(lab, 2)


@scenario("pins-not-provable", turn=True)
def not_provable(lab):
    """The kernel does not let us count: refused before anything is touched, with the way out. By force the rest works, which is written down; so is a suspect."""
    devdax(lab, 2)
    before = lab.sh("sysctl -n kernel.kptr_restrict")
    lab.cleanup(lambda: lab.sh(f"sysctl -q kernel.kptr_restrict={before}"))
    lab.sh("sysctl -q kernel.kptr_restrict=2")
    lab.sh("dd if=/dev/zero of=/dev/shm/elsewhere bs=1M count=4 2> /dev/null")
    lab.cleanup(lambda: lab.run(["rm", "-f", "/dev/shm/elsewhere"]))
    suspect = lab.pinner("--ring", "--unmap", "--close", "/dev/shm/elsewhere")
    picture = removal.Picture.take(lab)
    _, text = remove(lab, status=removal.BLOCKED)
    lab.check("kernel.kptr_restrict)" in text and "sysctl kernel.kptr_restrict=1" in text, f"why, and what to do, should be said: {text}")
    ways = [line for blocker in lab.cli_json("plan", "2", check=False)["blockers"] if blocker["code"] == "UNCOUNTABLE" for line in blocker["remedy"]]
    lab.check(len(ways) == 2 and "--force=unproven" in ways[1], f"and how to go on all the same: {ways}")
    removal.check_untouched(lab, 2, picture)
    lab.check(suspect.running(), "nobody is ended on suspicion")
    number, _ = remove(lab, "--force=unproven")
    lab.equal(said(lab, number)[0], "forced", "the step's note")
    forced = removal.certificate(lab, number)["forced"]
    lab.check(forced and "not provable here" in forced[0] and f"process {suspect.pids[0]}" in forced[0] and "suspected" in forced[0],
              f"it, and who is suspected, should be in the certificate: {forced}")
    lab.check(suspect.running(), "force ends nobody either")
    removal.check_safe(lab, 2)


@scenario("pins-without-types", turn=True)
def without_types(lab):
    """A kernel that does not describe its types: refused before anything is touched, and by force the rest works."""
    devdax(lab, 2)
    lab.sh("mkdir -p /run/nothing /run/systemd/system/safe-remove-guard.service.d")
    lab.cleanup(lambda: lab.sh("systemctl daemon-reload && systemctl restart safe-remove-guard safe-removed"))
    lab.write("/run/systemd/system/safe-remove-guard.service.d/scenario.conf", "[Service]\nBindReadOnlyPaths=/run/nothing:/sys/kernel/btf\n")
    lab.sh("systemctl daemon-reload && systemctl restart safe-remove-guard safe-removed")
    before = removal.Picture.take(lab)
    _, text = remove(lab, status=removal.BLOCKED)
    lab.check("does not describe its types" in text and "--force=unproven" in text, f"why, and what to do, should be said: {text}")
    removal.check_untouched(lab, 2, before)
    number, _ = remove(lab, "--force=unproven")
    word, text = said(lab, number)
    lab.check(word == "unproven" and "does not describe its types" in text, f"the reason should be said: {word}: {text}")
    removal.check_safe(lab, 2)


def file_on_card(lab):
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    lab.sh(f"dd if=/dev/zero of={disk.target}/file bs=1M count=2 2> /dev/null")
    return disk, f"{disk.target}/file"


@scenario("pins-fsdax", profile="mixed", timeout=240, turn=True)
def fsdax(lab):
    """Pages of a file in a pipe, the file closed: nothing keeps the file system busy, and the next file would be given them. Named,
    ended, and counted twice: before the file system goes, and before its driver does. An io_uring cannot have such pages."""
    _, path = file_on_card(lab)
    status, _, err = lab.run([lab.program("pinner"), "--ring", path], check=False)
    lab.check(status != 0 and "not supported" in err, f"the kernel should not let an io_uring have them: {status} {err}")
    pinner = lab.pinner("--pipe", "--unmap", "--close", "--length=12288", path)
    pins = pins_of(lab, pinner.pids[0], "3")
    lab.check(pins and pins[0]["bytes"] == 12288 and "pipe" in pins[0]["found"], f"the pin should be in the plan: {pins}")
    number, _ = remove(lab, card="3")
    notes = [record["note"].get("proven") for record in records(lab, number, "note")]
    lab.check(len(notes) == 2 and all(notes), f"it should be proven twice: {notes}")
    lab.check(not pinner.running(), "the policy ends the pinner's unit")
    removal.check_safe(lab, 3)


@scenario("pins-fsdax-nobody-named", profile="mixed", timeout=240, turn=True)
def fsdax_nobody_named(lab):
    """The same in nobody's hands: refused with the file system where it was, and the kernel has nothing to complain about."""
    disk, path = file_on_card(lab)
    pinner = lab.pinner("--pipe", "--queue", "--unmap", "--close", "--length=4096", path)
    number, text = remove(lab, card="3", status=removal.RESTORED)
    lab.check("pages of 4 KiB is referenced" in text and "nobody can be named" in text, f"what was found should be said: {text}")
    journal = lab.sh(f"cat {removal.STATE_DIR}/removals/{number}/journal")
    steps = [step["name"] for step in lab.cli_json("plan", "3")["steps"]]
    lab.check(f'"ev":"do","n":{steps.index("unmount")}' not in journal and disk.mounted(), "nothing should have been unmounted")
    lab.check(pinner.running(), "the pinner was not known, and so not ended")
    pinner.stop()
    remove(lab, card="3")
    removal.check_safe(lab, 3)


@scenario("pins-lockdown", own_guest=True, turn=True)
def lockdown(lab):
    """A kernel that shows nobody its memory: refused before anything is touched, and by force the rest works as far as it lets us write."""
    devdax(lab, 2)
    lab.sh("echo confidentiality > /sys/kernel/security/lockdown")
    before = removal.Picture.take(lab)
    _, text = remove(lab, status=removal.BLOCKED)
    lab.check("counting who has pages" in text and "--force=unproven" in text, f"why, and what to do, should be said: {text}")
    removal.check_untouched(lab, 2, before)
    number, _ = remove(lab, "--force=unproven")
    word, text = said(lab, number)
    lab.check("lockdown" in text, f"the reason should be said: {word}: {text}")
    lab.check(lab.slot(2).leds().safe and lab.slot(2).bdf() is None, "the card should be out")


@scenario("pins-by-hand", daemon=False, own_guest=True, allow=[r"."], turn=True)
def by_hand(lab):
    """What the manual procedure does of the same: every command succeeds, and the kernel oopses when the process ends."""
    ram, device = devdax(lab, 2)
    pinner = lab.pinner(*PINNED, "--close", device)
    memory.destroy(lab.guest, ram.region)
    lab.check(not lab.log.has(r"BUG:|Oops"), "nothing should be seen as yet")
    lab.run(f"kill -KILL {pinner.pids[0]}", check=False)
    lab.wait_for(lambda: lab.log.has(r"BUG:|Oops|RIP:"), 60, "the kernel's oops")
    lab.check(lab.log.has(r"io_buffer_unmap|io_release_ubuf|unpin_user|gup_put_folio|io_uring"), "it should be about the pin")
