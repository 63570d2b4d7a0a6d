# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems whose users do not go, or hang in the kernel: shut down where the request says so, with every byte that was synced."""

from harness import removal, storage
from harness.scenario import scenario

FORCE = "--force=shutdown"

# What the kernel says of a shutdown that somebody asked for, of its log at the next mount, and of what was in flight.
TOLD = [r"[Ss]hut(ting)? ?down", r"Starting recovery", r"recovery complete", r"[Rr]ecover", r"Please unmount the filesystem",
        r"I/O error", r"Buffer I/O", r"JBD2", r"EXT4-fs (error|warning)", r"Aborting journal"]


def remove(lab, number, *options, status):
    found, out, err = lab.cli("remove", number, *options, check=False, timeout=240)
    lab.equal(found, status, f"the exit status ({out}{err})")
    return out + err


def main_pid(lab, service):
    """Now: a removal that was refused has started it again."""
    return int(lab.sh(f"systemctl show -P MainPID {service.unit}"))


def hang(lab, disk, writer):
    """Somebody freezes the file system and is never heard of again: whoever writes hangs, and no signal gets through to him."""
    lab.sh(f"fsfreeze -f {disk.target}")
    lab.cleanup(lambda: lab.sh(f"fsfreeze -u {disk.target} 2> /dev/null || true"))
    pid = main_pid(lab, writer)
    lab.wait_for(lambda: lab.sh(f"cut -d ' ' -f 3 /proc/{pid}/stat") == "D", 30, "the writer to hang in the kernel")
    return pid


def refused(lab, number, users, before):
    """Without the word everything is as it was, who hangs included."""
    text = remove(lab, number, status=removal.RESTORED)
    lab.check(any(f"process {pid} " in text for pid in users) or "does not come out of the kernel" in text,
              f"who is in the way should be told: {text}")
    storage.check_as_before(lab, before)
    leds = lab.slot(number).leds()
    lab.check(leds.power == "on" and leds.attention == "off", f"slot {number} should say 'do not pull': {leds}")


def check_told(lab, disk, end):
    """What was forced is in the certificate, and what it costs was told with the ending."""
    forced = removal.certificate(lab, removal.last_id(lab))["forced"]
    lab.equal(len(forced), 1, f"how often force was used ({forced})")
    lab.check(forced[0].startswith(f"shutdown: {disk.target} ({disk.type} on "), f"it should be said what was forced: {forced}")
    lab.check(any(f"{disk.target} ({disk.type} on " in line and "shut down" in line for line in end["lost"]),
              f"what was lost should be told: {end['lost']}")


def shut_down(lab, number, disk):
    """Somebody who ignores signals, then a writer that hangs as well: refused, taken by force, and back with all that was synced."""
    wanted = disk.fill(mib=1)
    stubborn = lab.holder("--stubborn", f"{disk.target}/content", name="stubborn", properties=["SendSIGKILL=no", "TimeoutStopSec=2"])
    writer = lab.writer(disk, msync=True)
    lab.wait_for(lambda: writer.logged() > 20, 30, "some records")
    before = storage.StoragePicture.take(lab)
    storage.rules(lab, ({"Unit": stubborn.unit}, {"Action": "term", "TermSec": 2}), ({"Unit": writer.unit}, {"Action": "term", "TermSec": 2}))
    refused(lab, number, stubborn.pids, before)
    lab.equal((stubborn.running(), writer.running()), (True, True), "who runs after that")
    pid = hang(lab, disk, writer)
    refused(lab, number, [*stubborn.pids, pid], before)
    lab.equal((stubborn.running(), writer.running()), (True, True), "who runs after that")
    plan = storage.plan(lab, number, FORCE)
    lab.equal(plan["verdict"], "ready", f"the plan's verdict ({plan['blockers']})")
    lab.check("FS_SHUTDOWN" in storage.codes(plan, "warnings"), f"the plan should say what it costs: {plan['warnings']}")
    ladder = storage.holders(plan)[stubborn.pids[0]]["on_remove"]
    lab.equal(ladder, ["term", "shutdown", "kill"], "what would be done about who ignores SIGTERM")
    end = storage.take_out(lab, number, FORCE)
    check_told(lab, disk, end)
    lab.equal((stubborn.wait(), lab.run(["kill", "-0", str(pid)], check=False)[0] == 0), ("KILL", False), "how they ended")
    storage.put_back(lab, number)
    storage.check_as_before(lab, before)
    lab.sh(f"systemctl stop {writer.unit}")
    lab.check(writer.verify() > 20, "the records")
    lab.equal(disk.sum(), wanted, "what was synced")
    device = lab.sh(f"findmnt -n -o SOURCE {disk.target}")
    disk.umount()
    disk.check(device)


@scenario("shutdown-by-mount", profile="mixed")
def by_mount(lab):
    """The administrator's word for a mount point: only with kill, and a no goes before the request's word."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    def words(*options):
        made = storage.plan(lab, "4", *options)
        unmount = next(step for step in made["steps"] if step["name"] == "unmount")
        return unmount["args"]["shutdown"], storage.codes(made, "warnings") & {"FS_SHUTDOWN", "CANNOT_SHUT_DOWN"}
    lab.equal((words("--force=kill"), words(FORCE)), (("no", set()), ("flush", {"FS_SHUTDOWN"})), "without a rule")
    storage.rules(lab, ({"Mount": "/mnt/*"}, {"ShutdownFileSystems": "yes"}))
    lab.equal((words(), words("--force=kill")), (("no", set()), ("flush", {"FS_SHUTDOWN"})), "with a rule that says yes")
    storage.rules(lab, ({"Mount": disk.target}, {"ShutdownFileSystems": "no"}))
    lab.equal(words(FORCE), ("no", {"CANNOT_SHUT_DOWN"}), "with a rule that says no")


# A controller that does not answer any more.
DEAD = [*TOLD, r"nvme", r"EXT4-fs", r"critical .* error", r"lost async page write", r"device offline"]
