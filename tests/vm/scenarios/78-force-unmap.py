# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mappings that nobody gives up are taken by the kernel, where the request says so and the kernel is known to stand it."""

from harness import removal, storage
from harness.scenario import scenario

FORCE = "--force=unmap"


def stubborn(lab, *options):
    """Somebody whom nothing that is allowed makes let go."""
    held = lab.holder("--stubborn", *options, properties=["SendSIGKILL=no", "TimeoutStopSec=2"])
    storage.rules(lab, ({"Unit": held.unit}, {"Action": "term", "TermSec": 2}))
    lab.cleanup(lambda: held.running() and held.signal("KILL"))
    return held


def remove(lab, number, *options, status):
    found, out, err = lab.cli("remove", number, *options, check=False, timeout=180)
    lab.equal(found, status, f"the exit status ({out}{err})")
    return out + err


def check_forced(lab, number, name, *pids):
    """What was taken, and from whom, stands in the certificate of the slot's last removal."""
    forced = removal.certificate(lab, removal.last_record(lab))["forced"]
    lab.equal(len(forced), 1, f"how often force was used ({forced})")
    lab.check(forced[0].startswith(f"unmap: {name} taken from ") and all(f"process {pid} " in forced[0] for pid in pids),
              f"it should be said what was forced: {forced}")


@scenario("force-unmap-devdax")
def devdax(lab):
    """Without force nothing changes for who has it mapped. With it he goes on, but for what was mapped, and the card goes."""
    device = lab.devdax(lab.ram(2, online="offline"))
    holders = [stubborn(lab, "--map=shared", *options, device) for options in ((), ("--close", "--fork"))]
    before = removal.Picture.take(lab)
    text = remove(lab, 2, status=removal.RESTORED)
    lab.check(any(str(pid) in text for held in holders for pid in held.pids), f"who did not go should be told: {text}")
    removal.check_untouched(lab, 2, before)
    for held in holders:
        lab.equal((held.running(), held.look()), (True, "ok"), f"{held.name} running, its bytes")
    plan = storage.plan(lab, "2", FORCE)
    lab.equal(plan["verdict"], "ready", f"the plan's verdict ({plan['blockers']})")
    lab.check("(forced" in str(plan["steps"]), "the plan should name what is forced")
    remove(lab, 2, FORCE, status=removal.SAFE)
    removal.check_safe(lab, 2)
    check_forced(lab, 2, device, *(held.pids[-1] for held in holders))
    for held in holders:
        lab.equal((held.running(), held.look()), (True, "SIGBUS"), f"{held.name} running, its bytes")
    lab.equal(lab.cli_json("verify", "2")["holds"], True, "what the probes say as long as they run")


@scenario("force-unmap-namespace", profile="mixed", turn=True)
def namespace(lab):
    """The same for persistent memory as a device, by the button, for which the policy speaks; afterwards it comes back with the card."""
    device = lab.pmem(3).namespace("devdax").device
    held = stubborn(lab, "--map=shared", device)
    lab.equal(held.look(), "ok", "its bytes")
    removal.policy(lab, ForceUnmap="yes")
    storage.take_out(lab, 3, button=True)
    check_forced(lab, 3, device, *held.pids)
    lab.equal((held.running(), held.look()), (True, "SIGBUS"), "running, and its bytes")
    held.signal("KILL")
    storage.put_back(lab, 3)
    lab.equal(lab.holder("--map=shared", device).look(), "ok", "a new mapping")


# The mount that follows replays the log, as after any shutdown.
XFS_SAYS = [r"Memory failure", r"Sending SIGBUS", r"Shutting down filesystem", r"Starting recovery"]


@scenario("force-unmap-xfs", profile="mixed", timeout=240, allow=XFS_SAYS, turn=True)
def xfs(lab):
    """XFS is told that its memory goes, and tells its users: they end, and not a byte is lost. Not one who would survive that."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    wanted = disk.fill(mib=1)
    before = storage.StoragePicture.take(lab)
    survivor = stubborn(lab, "--map=shared", f"{disk.target}/survivor")
    lab.equal(survivor.look(), "ok", "its bytes")
    text = remove(lab, 3, FORCE, status=removal.RESTORED)
    lab.check("would survive the SIGBUS" in text and str(survivor.pids[0]) in text, f"the reason should be told: {text}")
    storage.check_as_before(lab, before)
    lab.equal((survivor.running(), survivor.look()), (True, "ok"), "running, and its bytes")
    survivor.signal("KILL")
    survivor.wait()
    held = stubborn(lab, "--map=sync", f"{disk.target}/held")
    end = storage.take_out(lab, 3, FORCE)
    lab.equal(held.wait(), "BUS", f"how it ended ({end['message']})")
    check_forced(lab, 3, disk.target, *held.pids)
    storage.put_back(lab, 3)
    storage.check_as_before(lab, before)
    lab.equal(disk.sum(), wanted, "what is on the card")
    device = lab.sh(f"findmnt -n -o SOURCE {disk.target}")
    disk.umount()
    disk.check(device)


@scenario("force-unmap-refused", profile="mixed")
def refused(lab):
    """ext4 is not told, its users would go on reading what is gone: said so, and they are asked as without force. Where the policy has
    nothing to try, nothing is touched at all."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    held = stubborn(lab, "--map=shared", f"{disk.target}/file")
    before = storage.StoragePicture.take(lab)
    plan = storage.plan(lab, "3", FORCE)
    why = str([found for kind in ("blockers", "warnings") for found in plan[kind] if "CANNOT_UNMAP" in str(found)])
    lab.check(plan["verdict"] == "ready" and str(held.pids[0]) in why and "does not stand it" in why, f"who and why should be told: {plan}")
    remove(lab, 3, FORCE, status=removal.RESTORED)
    storage.check_as_before(lab, before)
    lab.equal((held.running(), held.look()), (True, "ok"), "running, and its bytes")
    storage.rules(lab, ({"Unit": held.unit}, {"Action": "kill"}))
    number = removal.last_id(lab) + 1
    text = remove(lab, 3, FORCE, status=removal.BLOCKED)
    lab.check("CANNOT_UNMAP" in text and str(held.pids[0]) in text, f"who and why should be told: {text}")
    journal = lab.sh(f"cat {removal.STATE_DIR}/removals/{number}/journal")
    lab.check('"ev":"do"' not in journal, f"no step should have been taken: {journal}")
    storage.check_as_before(lab, before)
    lab.equal((held.running(), held.look()), (True, "ok"), "running, and its bytes")
    leds = lab.slot(3).leds()
    lab.check(leds.power == "on" and leds.attention == "off", f"slot 3 should say 'do not pull': {leds}")
