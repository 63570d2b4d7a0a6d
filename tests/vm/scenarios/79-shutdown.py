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


def stubborn_user(lab, disk):
    """Somebody who has the file open that disk.fill() made, and ignores signals; nor does systemd kill him."""
    return lab.holder("--stubborn", f"{disk.target}/content", name="stubborn", properties=["SendSIGKILL=no", "TimeoutStopSec=2"])


def asked(service):
    """The rule for a service that is asked to end, and has two seconds for that."""
    return {"Unit": service.unit}, {"Action": "term", "TermSec": 2}


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
    lab.check(any(f"process {pid} " in text for pid in users) or "hangs in the kernel" in text,
              f"who is in the way should be told: {text}")
    storage.check_as_before(lab, before)
    leds = lab.slot(number).leds()
    lab.check(leds.power == "on" and leds.attention == "off", f"slot {number} should say 'do not pull': {leds}")


def check_told(lab, disk, end):
    """What was forced is in the certificate, and what it costs was told with the ending."""
    forced = removal.certificate(lab, removal.last_record(lab))["forced"]
    lab.equal(len(forced), 1, f"how often force was used ({forced})")
    lab.check(forced[0].startswith(f"shutdown: {disk.target} ({disk.type} on "), f"it should be said what was forced: {forced}")
    lab.check(any(f"{disk.target} ({disk.type} on " in line and "shut down" in line for line in end["lost"]),
              f"what was lost should be told: {end['lost']}")


def finish(lab, disk, stubborn):
    """Whoever was started again with it goes; unmounted, the file system needs no repair. (The disk may have got another name.)"""
    device = lab.sh(f"findmnt -n -o SOURCE {disk.target}")
    lab.sh(f"systemctl kill -s KILL {stubborn.unit} 2> /dev/null || true")
    lab.wait_for(lambda: not stubborn.running(), 30, "the user to be gone")
    disk.umount()
    disk.check(device)


def shut_down(lab, number, disk):
    """Somebody who ignores signals, then a writer that hangs as well: refused, taken by force, and back with all that was synced."""
    wanted = disk.fill(mib=1)
    stubborn = stubborn_user(lab, disk)
    writer = lab.writer(disk, msync=True)
    lab.wait_for(lambda: writer.logged() > 20, 30, "some records")
    before = storage.StoragePicture.take(lab)
    storage.rules(lab, asked(stubborn), asked(writer))
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
    finish(lab, disk, stubborn)


@scenario("shutdown-xfs", profile="mixed", timeout=400, allow=TOLD, turn=True)
def xfs(lab):
    shut_down(lab, 3, lab.filesystem(lab.pmem(3).namespace().device))


@scenario("shutdown-ext4", profile="mixed", timeout=400, allow=TOLD, turn=True)
def ext4(lab):
    shut_down(lab, 4, lab.filesystem(lab.disk(4), "ext4"))


@scenario("shutdown-f2fs", profile="mixed", timeout=400, allow=TOLD, turn=True)
def f2fs(lab):
    shut_down(lab, 4, lab.filesystem(lab.disk(4), "f2fs"))


@scenario("shutdown-called-off", profile="mixed", timeout=300, allow=TOLD, turn=True)
def called_off(lab):
    """The way back of what was shut down is a fresh mount: new files can be made, what was synced is there, and the price is told."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    wanted = disk.fill(mib=1)
    stubborn = stubborn_user(lab, disk)
    storage.rules(lab, asked(stubborn))
    before = storage.StoragePicture.take(lab)
    go = removal.drill(lab, "after-unmount")
    number = removal.last_id(lab) + 1
    lab.cli("remove", 4, FORCE, "--no-wait")
    removal.wait_for_record(lab, number, '"forced":"shutdown: ',
                            then=f"touch {disk.target}/new 2>&1 || true; {removal.call_off(number, 4, go)}")
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
    check_told(lab, disk, end)
    lab.equal(stubborn.wait(), "KILL", "how its user ended")
    storage.check_as_before(lab, before)
    lab.sh(f"echo more > {disk.target}/more && sync -f {disk.target}/more")
    lab.equal(disk.sum(), wanted, "what was synced")
    finish(lab, disk, stubborn)


@scenario("shutdown-stuck", profile="mixed", timeout=300, allow=TOLD, turn=True)
def stuck(lab):
    """Shut down and never unmounted, for its user hangs in another file system: the card stays, and so does the word until he is gone."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    wanted = disk.fill(mib=1)
    lab.sh("truncate -s 64M /run/other.img && mkfs.ext4 -q /run/other.img && mkdir -p /mnt/other && mount -o loop /run/other.img /mnt/other")
    lab.cleanup(lambda: lab.sh("fsfreeze -u /mnt/other 2> /dev/null; umount /mnt/other; rm -f /run/other.img"))
    lab.sh("fsfreeze -f /mnt/other")
    user = lab.spawn("elsewhere", ["/bin/sh", "-c", f"exec 3< {disk.target}/content; echo > /mnt/other/file"],
                     properties=["SendSIGKILL=no", "TimeoutStopSec=2"])
    pid = main_pid(lab, user)
    lab.wait_for(lambda: lab.sh(f"cut -d ' ' -f 3 /proc/{pid}/stat") == "D", 30, "the user to hang in the kernel")
    storage.rules(lab, ({"Unit": user.unit}, {"Action": "term", "TermSec": 2, "KillSec": 2}))
    status, out, err = lab.cli("remove", 4, FORCE, check=False, timeout=240)
    lab.equal(status, removal.STUCK, f"the exit status ({out}{err})")
    end = removal.wait_for_end(lab, removal.last_record(lab))
    lab.equal(end["outcome"], "stuck", "the ending")
    lab.check("was shut down and is still in use" in end["message"] and disk.target in end["remedy"][0], f"what stays, and the remedy: {end}")
    leds = lab.slot(4).leds()
    lab.check(leds.power_on and leds.power != "off", f"slot 4 should not say 'safe': {leds}")
    lab.sh("fsfreeze -u /mnt/other")
    lab.wait_for(lambda: not user.running(), 30, "the user to be gone")
    lab.sh(end["remedy"][0].split("#")[0])
    storage.take_out(lab, 4)
    storage.put_back(lab, 4)
    lab.equal(disk.sum(), wanted, "what was synced")


@scenario("frozen-idle", profile="mixed", timeout=200, turn=True)
def frozen_idle(lab):
    """Somebody froze it and nobody uses it: the kernel unmounts that and keeps it all the same. Mounted again, and the remedy helps."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    wanted = disk.fill(mib=1)
    before = storage.StoragePicture.take(lab)
    lab.sh(f"fsfreeze -f {disk.target}")
    lab.cleanup(lambda: lab.sh(f"fsfreeze -u {disk.target} 2> /dev/null || true"))
    text = remove(lab, 4, status=removal.RESTORED)
    lab.check("still active" in text and f"fsfreeze -u {disk.target}" in text, f"what keeps it should be told: {text}")
    storage.check_as_before(lab, before)
    lab.sh(removal.history(lab)[0]["remedy"][0].split("#")[0])
    storage.take_out(lab, 4)
    storage.put_back(lab, 4)
    lab.equal(disk.sum(), wanted, "its content")


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


@scenario("shutdown-media-gone", profile="mixed", timeout=300, allow=DEAD, turn=True)
def media_gone(lab):
    """The disk's controller is dead and the kernel has given it up: nothing can be written any more, and nothing waits for that."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    wanted = disk.fill(mib=1)
    stubborn = stubborn_user(lab, disk)
    storage.rules(lab, asked(stubborn))
    block = disk.device.split("/")[-1]
    controller = lab.sh(f"basename $(readlink -f /sys/block/{block}/device)")
    lab.sh(f"echo unwritten > {disk.target}/unwritten; setpci -s {lab.slot(4).bdf()} BASE_ADDRESS_0=0 BASE_ADDRESS_1=0; "
           f"echo 1 > /sys/class/nvme/{controller}/reset_controller || true")
    lab.wait_for(lambda: lab.sh(f"cat /sys/block/{block}/size") == "0", 60, "the kernel to give the disk up")
    _, out, err = lab.cli("remove", 4, check=False, timeout=180)
    lab.check(lab.slot(4).leds().power_on and disk.mounted(), f"nothing should be taken without the word: {out}{err}")
    plan = storage.plan(lab, "4", FORCE)
    unmount = next(step for step in plan["steps"] if step["name"] == "unmount")
    lab.equal(unmount["args"]["shutdown"], "noflush", "how it is to be shut down")
    end = storage.take_out(lab, 4, FORCE)
    check_told(lab, disk, end)
    lab.check("its device was gone" in str(end["lost"]), f"that something was lost should be told: {end['lost']}")
    storage.put_back(lab, 4)
    lab.equal(disk.sum(), wanted, "what was synced")
    finish(lab, disk, stubborn)
