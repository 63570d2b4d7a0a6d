# SPDX-License-Identifier: LGPL-2.1-or-later
"""What can stand on a card besides a file system: taken down in order, and built again when the card is back."""

from harness import removal, storage
from harness.scenario import scenario


def round_trip(lab, number, **options):
    """Out and in again; everything is as it was."""
    before = storage.StoragePicture.take(lab)
    storage.take_out(lab, number, **options)
    storage.put_back(lab, number)
    storage.check_as_before(lab, before)


@scenario("stack-bind-and-overlay", profile="mixed", timeout=300, turn=True)
def bind_and_overlay(lab):
    """A bind mount, one of a folder in another namespace, and an overlay whose layers are on the card, with users of each."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    top = disk.target
    lab.sh(f"mkdir -p {top}/sub {top}/lower {top}/upper {top}/work /mnt/bind /mnt/over && echo below > {top}/lower/file && "
           f"mount --bind {top}/sub /mnt/bind && mount -o remount,bind,ro,noexec /mnt/bind && "
           f"mount -t overlay overlay -o lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work /mnt/over && "
           "echo above > /mnt/over/new")
    users = [lab.holder("/mnt/over/file", name="over"), lab.holder("--cwd", "/mnt/bind", name="bind")]
    named = storage.holders(storage.plan(lab, "3"))
    for user in users:
        lab.check(user.pids[0] in named, f"{user.name} should be named")
    round_trip(lab, 3)
    lab.equal(lab.sh("cat /mnt/over/file /mnt/over/new"), "below\nabove", "what is in the overlay")


@scenario("stack-swap", profile="mixed", timeout=300, turn=True)
def swap(lab):
    """Swap that is in use: what is in it comes back to memory, and the swap with its priority."""
    device = lab.pmem(3).namespace("sector").device
    lab.sh(f"mkswap -q {device} && swapon -p 7 {device}")
    keeper = lab.keeper(0, mib=24, pause_msec=60000)
    lab.sh(f"echo 16M > /sys/fs/cgroup/lab.slice/{keeper.unit}/memory.reclaim || true", timeout=120)
    lab.check(int(lab.sh("awk 'NR > 1 {print $4}' /proc/swaps")) > 8 << 10, "there should be something in the swap")
    uuid = lab.sh(f"blkid -p -s UUID -o value {device}")
    round_trip(lab, 3)
    keeper.finish()
    noted = lab.sh(f"grep -l '\"note\":{{\"uuid\":\"{uuid}\"' {removal.STATE_DIR}/removals/*/journal || true")
    lab.check(noted, "its uuid should have been noted: the device may have another name when the card is back")


@scenario("stack-loop", profile="mixed", timeout=300, turn=True)
def loop(lab):
    """A file system in an image file on the card."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    lab.sh(f"truncate -s 24M {disk.target}/image && mkfs.ext4 -q {disk.target}/image && losetup /dev/loop5 {disk.target}/image && "
           "mkdir -p /mnt/loop && mount /dev/loop5 /mnt/loop && echo there > /mnt/loop/file")
    lab.holder("/mnt/loop/file", name="inner")
    round_trip(lab, 3)
    lab.equal(lab.sh("cat /mnt/loop/file"), "there", "what is in the image")


@scenario("stack-exchanged", profile="mixed", timeout=300)
def exchanged(lab):
    """Called off when a loop device and swap are down: whoever has their folder has put his own files there meanwhile, which root must not take."""
    disk = lab.filesystem(lab.disk(4), "ext4", "/mnt/disk")
    home = f"{disk.target}/home"
    theirs = "setpriv --reuid=1000 --regid=1000 --clear-groups"
    lab.sh(f"install -d -o 1000 {home} && (umask 077; head -c 16M /dev/zero > {home}/swap; echo true > {home}/image; truncate -s 16M {home}/image) && "
           f"mkswap -q {home}/swap && swapon -p 7 {home}/swap && losetup /dev/loop5 {home}/image && "
           f"{theirs} sh -c 'cd {home} && echo false > their-image && truncate -s 16M their-image && head -c 16M /dev/zero > their-swap && mkswap -q their-swap'")
    lab.cleanup(lambda: lab.run(f"swapoff {home}/swap; losetup -d /dev/loop5", check=False))
    exchange = f"cd {home}; for f in swap image; do mv $f was-$f && mv their-$f $f || exit 1; done"
    removal_id = removal.last_id(lab) + 1
    at = storage.step_number(lab, "unmount", "4")
    go = removal.drill(lab, "before-unmount")
    lab.cli("remove", "4", "--no-wait")
    removal.wait_for_record(lab, removal_id, f'"ev":"do","n":{at},', then="timeout 20 sh -c 'while grep -q /home/swap /proc/swaps || [ -e /sys/block/loop5/loop ]; do "
                            f"sleep 0.05; done' && {theirs} sh -c '{exchange}' && {removal.call_off(removal_id, 4, go)} && cd /")
    lab.changed()
    end = removal.wait_for_end(lab, removal_id)
    for name, what in (("loop5", "is not attached"), ("home/swap", "is not switched on")):
        lab.check(any(name in line and what in line and "another file has its name" in line for line in end["lost"]), f"{name} should be told: {end['lost']}")
    lab.check(disk.mounted(), "the file system should be back")
    lab.equal(lab.run("grep /home/swap /proc/swaps", check=False)[1], "", "what is swapped to")
    lab.equal(lab.run("cat /sys/block/loop5/loop/backing_file", check=False)[1], "", "what the loop device is bound to")
    lab.sh(f"cd {home} && mv was-swap swap && mv was-image image")
    for line in end["lost"]:
        if "when it is the right one: " in line:
            lab.sh(line.split("when it is the right one: ")[1])
    lab.equal(lab.sh("head -n 1 /dev/loop5 | head -c 4"), "true", "what is in the image")


@scenario("stack-loop-elsewhere", profile="mixed", timeout=300, turn=True)
def loop_elsewhere(lab):
    """Loop devices of files that are called like the card's disk, and lie where somebody has a /dev of his own: none of the card's."""
    device = lab.pmem(3).namespace().device
    lab.sh("truncate -s 16M /run/image && mkdir -p /mnt/elsewhere")
    lab.cleanup(lambda: lab.run("losetup -d /dev/loop5; losetup -d /dev/loop6; rm -f /run/image", check=False))
    lab.spawn("elsewhere", "unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /mnt/elsewhere && truncate -s 16M /mnt/elsewhere/image && "
                           f"mount --bind /run/image {device} && losetup /dev/loop5 {device} && losetup /dev/loop6 /mnt/elsewhere/image && "
                           "echo made= && exec sleep 1000'").wait_for_output("made=")
    disk = lab.filesystem(device, "ext4", target="/mnt/elsewhere")
    wanted = disk.fill(mib=1)
    lab.sh("truncate -s 16M /mnt/elsewhere/image")
    files = "cat /sys/block/loop5/loop/backing_file /sys/block/loop6/loop/backing_file"
    lab.equal(lab.sh(files), f"{device}\n/mnt/elsewhere/image", "what the kernel calls the files")
    steps = [step["name"] for step in storage.plan(lab, "3")["steps"]]
    lab.check("detach-loop" not in steps, f"neither is to be detached: {steps}")
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on it")
    # What was mounted on the disk's node went with that.
    lab.equal(lab.sh(files), "/\n/mnt/elsewhere/image", "what is bound still")


@scenario("stack-lvm", profile="mixed", timeout=300)
def lvm(lab):
    """A volume, with another beside it that nobody uses."""
    device = lab.pmem(3).namespace("raw", mib=128).device
    lab.sh(f"pvcreate -q {device} && vgcreate -q lab {device} && lvcreate -q -y -n data -L 64M lab && lvcreate -q -y -n idle -L 16M lab")
    disk = lab.filesystem("/dev/lab/data", "ext4")
    wanted = disk.fill(mib=1)
    lab.holder("--map=shared", f"{disk.target}/file", name="inner")
    round_trip(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on the volume")


@scenario("stack-lvm-across-cards", profile="mixed", timeout=300, turn=True)
def lvm_across(lab):
    """A volume over two cards goes as a whole: said beforehand, with the other device's name."""
    devices = [lab.pmem(3).namespace("raw").device, lab.disk(4)]
    lab.sh(f"pvcreate -q {' '.join(devices)} && vgcreate -q lab {' '.join(devices)} && lvcreate -q -y -n data -L 32M -i 2 lab")
    disk = lab.filesystem("/dev/lab/data", "ext4")
    wanted = disk.fill(mib=1)
    plan = storage.plan(lab, "3")
    spans = [finding for finding in plan["warnings"] if finding["code"] == "SPANS_DEVICES"]
    lab.check(spans and "nvme" in str(spans), f"the plan should name the other device: {plan['warnings']}")
    round_trip(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on the volume")


@scenario("stack-mirror", profile="mixed", timeout=300, turn=True)
def mirror(lab):
    """An array with one leg on the card goes on without it: told beforehand, its users are left alone, and it is whole again later."""
    legs = [lab.pmem(3).namespace("raw").device, lab.nvdimm().namespace("raw", mib=64).device]
    lab.sh(f"mdadm --create /dev/md0 --quiet --run --level=1 --raid-devices=2 --bitmap=internal --assume-clean {' '.join(legs)}")
    disk = lab.filesystem("/dev/md0", "ext4")
    wanted = disk.fill(mib=1)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    plan = storage.plan(lab, "3")
    lab.check("DEGRADES" in storage.codes(plan, "warnings"), f"the plan should say that the array will be degraded: {plan['warnings']}")
    lab.equal(storage.holders(plan), {}, "the processes named")
    storage.take_out(lab, 3)
    lab.equal(lab.sh("cat /sys/block/md0/md/degraded"), "1", "the number of missing members")
    lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content of the array")
    lab.sh(f"echo while out > {disk.target}/new && sync")
    storage.put_back(lab, 3)
    lab.wait_for(lambda: lab.sh("cat /sys/block/md0/md/degraded") == "0", 60, "the array to be whole again")
    lab.equal((user.running(), user.look()), (True, "ok"), "the array's user")


@scenario("stack-mirror-degraded", profile="mixed", turn=True)
def mirror_degraded(lab):
    """The last leg of an array is no leg that it can go on without."""
    leg = lab.pmem(3).namespace("raw").device
    lab.sh(f"mdadm --create /dev/md0 --quiet --run --level=1 --raid-devices=2 --assume-clean {leg} missing")
    disk = lab.filesystem("/dev/md0", "ext4")
    user = lab.holder(f"{disk.target}/../card", name="user")
    plan = storage.plan(lab, "3")
    lab.check("DEGRADES" not in storage.codes(plan, "warnings"), "there is nothing left to be degraded")
    lab.check(user.pids[0] in storage.holders(plan), "the array's user should be named")
    round_trip(lab, 3)


@scenario("stack-sector", profile="mixed", timeout=300, turn=True)
def sector(lab):
    disk = lab.filesystem(lab.pmem(3).namespace("sector").device, "ext4")
    wanted = disk.fill(mib=1)
    lab.holder(f"{disk.target}/content", name="user")
    round_trip(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on the card")


@scenario("stack-four-namespaces", profile="mixed", timeout=300, turn=True)
def four_namespaces(lab):
    """One of each mode on one card, two of them with file systems, one swap, one a device."""
    region = lab.pmem(3)
    disks = [lab.filesystem(region.namespace("fsdax").device, "xfs", "/mnt/a"), lab.filesystem(region.namespace("sector").device, "ext4", "/mnt/b")]
    sums = [disk.fill(mib=1) for disk in disks]
    swap_device = region.namespace("raw").device
    lab.sh(f"mkswap -q {swap_device} && swapon {swap_device}")
    region.namespace("devdax", name="spare")
    round_trip(lab, 3)
    lab.equal([disk.sum() for disk in disks], sums, "what is on the card")
    lab.equal(sorted(namespace.mode for namespace in region.namespaces()), ["devdax", "fsdax", "raw", "sector"], "the modes")


@scenario("stack-nvdimm", profile="mixed", timeout=300)
def nvdimm(lab):
    """Memory in a socket of the board: no slot, no light, no switch; the removal ends when nothing uses it any more."""
    region = lab.nvdimm()
    disk = lab.filesystem(region.namespace(mib=128).device, "xfs", "/mnt/board")
    wanted = disk.fill(mib=4)
    user = lab.holder("--map=sync", "--close", f"{disk.target}/file", name="user")
    nmem = lab.sh("for n in /sys/bus/nd/devices/ndbus*/nmem*; do [ $(cat ${n%/*}/provider) != ACPI.NFIT ] || basename $n; done")
    plan = storage.plan(lab, nmem)
    lab.check(user.pids[0] in storage.holders(plan), "the user should be named")
    lab.check(not {"hold", "power-off", "show-safe"} & set(storage.step_names(plan)), f"there is no slot: {storage.step_names(plan)}")
    status, out, err = lab.cli("remove", nmem, check=False)
    lab.equal(status, removal.SAFE, f"the exit status ({out}{err})")
    lab.check(not disk.mounted() and not user.running(), "nobody should use it any more")
    lab.equal(lab.sh(f"ls /sys/bus/nd/devices/{region.region}/driver 2> /dev/null || true"), "", "the driver of the region")
    lab.cli("restore", nmem)
    lab.equal(disk.sum(), wanted, "what is on it")


@scenario("stack-nvme", profile="mixed", timeout=300, turn=True)
def nvme(lab):
    """A disk, pulled by button with a file system mounted and in use."""
    disk = lab.filesystem(lab.disk(4), "ext4", "/mnt/disk")
    wanted = disk.fill(mib=8)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    plan = storage.plan(lab, "4")
    lab.check(user.pids[0] in storage.holders(plan), "the user should be named")
    storage.take_out(lab, 4, button=True)
    lab.slot(4).insert()
    lab.wait_for(lambda: lab.disk(4), 10, "the disk")
    disk.check(lab.disk(4))
    lab.cli("restore", "4")
    lab.equal(disk.sum(), wanted, "what is on the disk")
