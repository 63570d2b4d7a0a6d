# SPDX-License-Identifier: LGPL-2.1-or-later
"""Users of a disk that are no processes and no mounts: named with a line that ends them, or refused by the kernel's own word."""

from harness import removal, storage
from harness.scenario import scenario

CONFIG = "/sys/kernel/config"
NVMET = f"{CONFIG}/nvmet/subsystems/lab"
PORT = f"{CONFIG}/nvmet/ports/1"
LIO = f"{CONFIG}/target/core/iblock_0/lab"


def refused(lab, who):
    """The plan for the disk says who is in the way, and a removal touches nothing. Returns the lines that end it."""
    made = storage.plan(lab, "4")
    found = [finding for finding in made["blockers"] if finding["code"] == "KERNEL_USER"]
    lab.check(any(who in finding["what"] for finding in found), f"{who} should be in the way: {made['blockers']}")
    status, _, _ = lab.cli("remove", "4", check=False)
    lab.equal(status, removal.BLOCKED, "the exit status of the removal")
    lab.check(lab.slot(4).leds().power == "on", "the card should be up")
    return [line for finding in found for line in finding["remedy"]]


def configfs(lab, *modules):
    lab.sh(f"modprobe -a configfs {' '.join(modules)} && {{ mountpoint -q {CONFIG} || mount -t configfs configfs {CONFIG}; }}")


def nvmet_begin(lab, device):
    """The disk exported, and connected by the same machine; returns the disk that this gives."""
    lab.sh(f"mkdir -p {NVMET}/namespaces/1 {PORT} && echo -n {device} > {NVMET}/namespaces/1/device_path && "
           f"echo 1 > {NVMET}/namespaces/1/enable && echo 1 > {NVMET}/attr_allow_any_host && echo loop > {PORT}/addr_trtype && "
           f"ln -s {NVMET} {PORT}/subsystems/lab && echo transport=loop,nqn=lab > /dev/nvme-fabrics")
    far = lab.sh("grep -l '^lab$' /sys/class/nvme/*/subsysnqn").rsplit("/", 2)[-2]
    look = f"cd /sys/class/nvme-subsystem/*/{far}/.. && ls -d nvme*n1 2> /dev/null || true"
    return "/dev/" + lab.wait_for(lambda: lab.sh(look), 20, "the exported disk")


def nvmet_disconnect(lab):
    lab.run("for c in $(grep -l '^lab$' /sys/class/nvme/*/subsysnqn); do echo 1 > ${c%/*}/delete_controller; done", check=False)


def nvmet_end(lab):
    nvmet_disconnect(lab)
    lab.run(f"mountpoint -q {CONFIG} || mount -t configfs configfs {CONFIG}; [ ! -e {NVMET} ] || {{ rm -f {PORT}/subsystems/lab; rmdir {PORT}; "
            f"echo 0 > {NVMET}/namespaces/1/enable; rmdir {NVMET}/namespaces/1 {NVMET}; }}; modprobe -r nvme-loop nvmet", check=False)


def content(lab, device):
    """The sum of what is at the disk's beginning, past everybody's caches."""
    return lab.sh(f"dd if={device} bs=1M count=4 iflag=direct status=none | sha256sum")


def fill(lab, device):
    lab.sh(f"dd if=/dev/urandom of={device} bs=1M count=4 oflag=direct status=none")
    return content(lab, device)


def same_after_return(lab, wanted):
    storage.put_back(lab, 4)
    lab.equal(content(lab, lab.wait_for(lambda: lab.disk(4), 20, "the disk")), wanted, "what is on the disk")


def lio_begin(device):
    return f"mkdir -p {LIO} && echo udev_path={device} > {LIO}/control && echo -n {device} > {LIO}/udev_path && echo 1 > {LIO}/enable"


def lio_end(lab):
    lab.run(f"rmdir {LIO} {CONFIG}/target/core/iblock_0; modprobe -r target_core_iblock target_core_mod", check=False)


@scenario("claim-target", profile="mixed", timeout=240, turn=True)
def target(lab):
    """nvmet has the disk open for nobody in particular: only its own folder tells. Not mounted, that folder is no proof of anything."""
    device = lab.disk(4)
    wanted = fill(lab, device)
    configfs(lab, "nvmet", "nvme-loop")
    lab.cleanup(lambda: nvmet_end(lab))
    far = nvmet_begin(lab, device)
    user = lab.spawn("user", f"exec sleep 1000 < {far}")
    lab.sh(f"umount {CONFIG}")
    for line in refused(lab, "could not be identified"):
        lab.sh(line)
    lines = refused(lab, "nvmet lab, namespace 1")
    lab.equal((user.running(), content(lab, far)), (True, wanted), "who has the exported disk, and what he reads")
    user.stop()
    nvmet_disconnect(lab)
    for line in lines:
        lab.sh(line)
    storage.take_out(lab, 4)
    same_after_return(lab, wanted)


@scenario("claim-lio", profile="mixed", timeout=240, turn=True)
def lio(lab):
    """LIO exports the disk; what it says of the number counts, not what somebody wrote as its path."""
    wanted = fill(lab, lab.disk(4))
    configfs(lab, "target_core_mod", "target_core_iblock")
    lab.cleanup(lambda: lio_end(lab))
    lab.sh(lio_begin(lab.disk(4)) + f" && echo -n /dev/null > {LIO}/udev_path")
    refused(lab, "LIO iblock_0/lab")
    lab.equal(content(lab, lab.disk(4)), wanted, "what is on the disk")
    lab.sh(f"rmdir {LIO}")
    storage.take_out(lab, 4)
    same_after_return(lab, wanted)


def claimed_meanwhile(lab, then, said):
    """Somebody in the kernel takes the disk when the plan is made already: its own word stops the removal, and all is put back."""
    wanted = fill(lab, lab.disk(4))
    configfs(lab, "target_core_mod", "target_core_iblock")
    lab.cleanup(lambda: lio_end(lab))
    go = removal.drill(lab, "before-claim-devices")
    number, step = removal.last_id(lab) + 1, storage.step_number(lab, "claim-devices", "4")
    before = removal.Picture.take(lab)
    lab.cli("remove", "4", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{step},', then=f"{lio_begin(lab.disk(4))} && {then} && {go}")
    lab.changed()
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "restored", f"the ending ({end['message']})")
    lab.check(said in end["message"] and end["remedy"], f"who has it, or that nobody says so, and a remedy: {end}")
    lab.equal(content(lab, lab.disk(4)), wanted, "what is on the disk")
    lab.sh(f"mountpoint -q {CONFIG} || mount -t configfs configfs {CONFIG}; rmdir {LIO}")
    removal.check_untouched(lab, 4, before)
    removal.policy(lab)
    storage.take_out(lab, 4)


@scenario("claim-refused", profile="mixed", timeout=240)
def claim_refused(lab):
    """It is named, with the line that ends it."""
    claimed_meanwhile(lab, "true", "LIO iblock_0/lab has it")


@scenario("claim-refused-unnamed", profile="mixed", timeout=240, turn=True)
def claim_refused_unnamed(lab):
    """Nothing says who it is, which makes no difference."""
    claimed_meanwhile(lab, f"umount {CONFIG}", "does not say for whom")


@scenario("claim-kept", profile="mixed", timeout=240)
def claim_kept(lab):
    """From the question to the power nobody gets the disk, also when another worker goes on."""
    device = lab.disk(4)
    lab.sh(f"mkfs.ext4 -q {device} && mkdir -p /mnt/other")
    go = removal.drill(lab, "release")
    number, step = removal.last_id(lab) + 1, storage.step_number(lab, "release", "4")
    attempt = f"mount {device} /mnt/other 2>&1 || true"
    lab.cli("remove", "4", "--no-wait")
    said = removal.wait_for_record(lab, number, f'"ev":"do","n":{step},', then=f"{attempt}; pkill -KILL -x safe-remove-wor")
    lab.check("already mounted or mount point busy" in said or "busy" in said, f"a mount meanwhile: {said}")
    # The next one writes the step down anew, and stands still in it too.
    said = lab.sh(f"timeout 60 sh -c 'until [ $(grep -c do...n..{step}, {removal.STATE_DIR}/removals/{number}/journal) -gt 1 ]; do sleep 0.05; done'; "
                  f"{attempt}; {go}", timeout=90)
    lab.check("busy" in said, f"a mount when another worker has taken over: {said}")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "safe", f"the ending ({end['message']})")
    removal.check_safe(lab, 4)


@scenario("claim-zram", profile="mixed", timeout=300, turn=True)
def zram(lab):
    """Compressed swap that writes back to the disk: refused with its name; what was swapped out comes back to memory."""
    device = lab.disk(4)
    lab.sh(f"modprobe zram num_devices=1 && echo {device} > /sys/block/zram0/backing_dev && echo 64M > /sys/block/zram0/disksize && "
           "mkswap -q /dev/zram0 && swapon /dev/zram0")
    lab.cleanup(lambda: lab.run("swapoff /dev/zram0; echo 1 > /sys/block/zram0/reset; modprobe -r zram", check=False))
    keeper = lab.keeper(0, mib=24, pause_msec=60000)
    lab.sh(f"echo 16M > /sys/fs/cgroup/lab.slice/{keeper.unit}/memory.reclaim || true", timeout=120)
    lab.sh("echo all > /sys/block/zram0/idle && echo idle > /sys/block/zram0/writeback; "
           "echo huge > /sys/block/zram0/writeback", timeout=120)
    lab.check(int(lab.sh("awk '{print $1}' /sys/block/zram0/bd_stat")) > 0, "something should be written back to the disk")
    for line in refused(lab, "zram0"):
        lab.sh(line, timeout=120)
    storage.take_out(lab, 4)
    keeper.finish()


@scenario("claim-bcache", profile="mixed", timeout=300, turn=True)
def bcache(lab):
    """The disk is a cache that has what was written last: refused; written back, it goes, and every byte is on what it cached."""
    cache, backing = lab.disk(4), lab.nvdimm().namespace("raw", mib=96).device
    lab.cleanup(lambda: lab.run("umount /mnt/card; echo 1 > /sys/block/bcache0/bcache/stop; sleep 1; modprobe -r bcache", check=False))
    lab.sh(f"modprobe bcache && make-bcache --writeback --bucket 64k -B {backing} -C {cache} && "
           f"for d in {cache} {backing}; do echo $d > /sys/fs/bcache/register_quiet; done; udevadm settle; "
           "timeout 20 sh -c 'until [ -e /dev/bcache0 ] && [ -e /sys/block/bcache0/bcache/cache ]; do sleep 0.1; done'")
    disk = lab.filesystem("/dev/bcache0", "ext4")
    wanted = disk.fill(mib=4)
    lab.sh("sync")
    lines = refused(lab, "bcache0")
    unregister = [line for line in lines if "/bcache/cache/unregister" in line]
    lab.check(unregister, f"a remedy for a cache: {lines}")
    lab.sh(unregister[0])
    lab.sh("timeout 60 sh -c 'while [ -e /sys/block/bcache0/bcache/cache ]; do sleep 0.1; done'", timeout=70)
    storage.take_out(lab, 4)
    lab.equal(disk.sum(), wanted, "what is on the cached device")
    lab.sh("umount /mnt/card && e2fsck -fn /dev/bcache0", timeout=120)


@scenario("claim-journal", profile="mixed", timeout=300, turn=True)
def journal(lab):
    """The disk has the journal of a file system that is elsewhere: this goes with it, and nothing of it is lost."""
    journal_device, device = lab.disk(4), lab.nvdimm().namespace("raw", mib=96).device
    lab.sh(f"mke2fs -q -b 4096 -O journal_dev {journal_device} && mkfs.ext4 -q -b 4096 -J device={journal_device} {device} && "
           f"mkdir -p /mnt/card && mount {device} /mnt/card && dd if=/dev/urandom of=/mnt/card/file bs=1M count=4 status=none")
    wanted = lab.sh("sha256sum < /mnt/card/file")
    lab.holder("/mnt/card/file", name="user")
    made = storage.plan(lab, "4")
    lab.equal(made["verdict"], "ready", f"the verdict ({made['blockers']})")
    lab.check("unmount" in storage.step_names(made) and "SPANS_DEVICES" in storage.codes(made, "warnings"), f"the plan: {made['warnings']}")
    storage.take_out(lab, 4)
    lab.sh("! mountpoint -q /mnt/card")
    storage.put_back(lab, 4)
    lab.equal(lab.sh("sha256sum < /mnt/card/file"), wanted, "what is on the file system")
    lab.sh(f"umount /mnt/card && e2fsck -fn {device}", timeout=120)
