# SPDX-License-Identifier: LGPL-2.1-or-later
"""What has its data more than once, leads to it in more than one way, or has it under a key: who goes on, who goes as a whole, and what
is refused before anybody is disturbed."""

from harness import filesystem, removal, storage
from harness.scenario import scenario

KEY = "/run/scenario-key"


def refused(lab, target, code):
    """The plan has the blocker, and so does the removal; gives its finding."""
    found = {finding["code"]: finding for finding in storage.plan(lab, target)["blockers"]}
    lab.check(code in found, f"the plan should have {code}: {list(found)}")
    removal_id = removal.last_id(lab) + 1
    lab.cli("remove", target, check=False)
    end = removal.wait_for_end(lab, removal_id, 60)
    lab.equal((end["outcome"], end["code"]), ("refused", "blocked"), f"the ending ({end['message']})")
    return found[code]


@scenario("set-md-journal", profile="mixed", timeout=420, turn=True)
def md_journal(lab):
    """RAID 5 of memory in the board, its journal on the card: without that it would take no write, so it goes as a whole."""
    board = lab.nvdimm()
    legs = [board.namespace("raw", mib=48).device for _ in range(3)]
    journal = lab.pmem(3).namespace("raw", mib=64).device
    lab.sh(f"mdadm --create /dev/md0 --quiet --run --level=5 --raid-devices=3 --write-journal={journal} {' '.join(legs)}", timeout=120)
    lab.wait_for(lambda: lab.sh("cat /sys/block/md0/md/sync_action") == "idle", 120, "the array to be whole")
    disk = lab.filesystem("/dev/md0", "ext4")
    wanted = disk.fill(mib=4)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    plan = storage.plan(lab, "3")
    lab.check({"unmount", "stop-md"} <= set(storage.step_names(plan)) and "remove-md-member" not in storage.step_names(plan),
              f"the array should go as a whole: {storage.step_names(plan)}")
    lab.check("SPANS_DEVICES" in storage.codes(plan, "warnings"), f"and the plan should say so: {plan['warnings']}")
    lab.check(user.pids[0] in storage.holders(plan), "the user should be named")
    before = storage.StoragePicture.take(lab)
    storage.take_out(lab, 3)
    lab.check(not user.running() and not disk.mounted(), "nobody should use it any more")
    storage.put_back(lab, 3)
    storage.check_as_before(lab, before)
    lab.equal(lab.sh("cat /sys/block/md0/md/consistency_policy"), "journal", "what the array relies on")
    lab.equal(disk.sum(), wanted, "what is on the array")
    disk.umount()
    disk.check()


@scenario("set-crypt", profile="mixed", timeout=420, turn=True)
def crypt(lab):
    """A key that only its owner has: refused, and nobody is disturbed. The printed remedy makes way."""
    device = lab.disk(4)
    lab.write(KEY, "a key of the scenario's")
    lab.sh(f"cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 {device} {KEY} && "
           f"cryptsetup open --key-file {KEY} {device} secret", timeout=180)
    disk = lab.filesystem("/dev/mapper/secret", "ext4", "/mnt/secret")
    wanted = disk.fill(mib=2)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    remedy = refused(lab, "4", "ENCRYPTED")["remedy"]
    lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content")
    user.stop()
    lab.sh(remedy[0])
    storage.take_out(lab, 4)
    lab.slot(4).insert()
    lab.wait_for(lambda: lab.disk(4), 10, "the disk")
    lab.sh(f"cryptsetup open --key-file {KEY} {lab.disk(4)} secret", timeout=120)
    disk.mount()
    lab.equal(disk.sum(), wanted, "what is on the disk")


@scenario("set-crypt-swap", profile="mixed", timeout=300, turn=True)
def crypt_swap(lab):
    """Swap under a key that was made up for it: refused, with what makes way."""
    lab.sh(f"cryptsetup open --type plain --key-file /dev/urandom --cipher aes-xts-plain64 --key-size 256 {lab.disk(4)} swap && "
           "mkswap -q /dev/mapper/swap && swapon /dev/mapper/swap", timeout=120)
    finding = refused(lab, "4", "ENCRYPTED")
    lab.check("random key" in finding["what"], f"what cannot come back should be told: {finding['what']}")
    lab.check("/dev/dm-" in lab.sh("cat /proc/swaps"), "the swap should be untouched")
    lab.sh(finding["remedy"][0])
    storage.take_out(lab, 4)


@scenario("set-suspended", profile="mixed", timeout=300, turn=True)
def suspended(lab):
    """A mapping that answers nobody: refused at once, and the printed remedy makes way."""
    sectors = lab.sh(f"blockdev --getsz {lab.disk(4)}")
    lab.sh(f"dmsetup create thin --table '0 {sectors} linear {lab.disk(4)} 0'")
    disk = lab.filesystem("/dev/mapper/thin", "ext4", "/mnt/thin")
    wanted = disk.fill(mib=1)
    lab.sh("dmsetup suspend thin")
    finding = refused(lab, "4", "SUSPENDED")
    lab.sh(finding["remedy"][0])
    storage.take_out(lab, 4)
    storage.put_back(lab, 4)
    lab.equal(disk.sum(), wanted, "what is on the mapping")


def no_native_multipath(lab):
    """The kernel's own driver does not hide that a disk has several paths: device-mapper may have them. For as long as the guest lives."""
    lab.sh("grep -q N /sys/module/nvme_core/parameters/multipath || "
           "{ modprobe -r nvme nvme_core && modprobe nvme_core multipath=N && modprobe nvme; }")
    lab.wait_for(lambda: lab.disk(8) and lab.disk(9), 20, "the disks")


def path_in(lab, number):
    """The folder of the NVMe controller in that slot."""
    return lab.sh(f"echo /sys/bus/pci/devices/{lab.slot(number).bdf()}/nvme/nvme*")


def way_lost_on_the_way(lab, target, loses):
    """What the plan counted on as the other way is lost while the removal is under way: the power stays on."""
    number, release = removal.last_id(lab) + 1, storage.step_number(lab, "release", target)
    go = removal.drill(lab, "release")
    caller = lab.spawn("remover", f"safe-remove remove {target}")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{release},', then=f"{loses}; {go}")
    lab.changed()
    end = removal.wait_for_end(lab, number, 60)
    caller.wait(30)
    lab.equal(end["outcome"], "restored", f"the ending ({end['message']})")
    lab.check("the last one" in end["message"], f"the reason should be named: {end['message']}")


@scenario("set-native-multipath", profile="disks", timeout=300, turn=True)
def native_multipath(lab):
    """The same where the NVMe driver itself knows that the disk has two ways: nothing is taken down, and the plan says what is left."""
    if "N" in lab.sh("cat /sys/module/nvme_core/parameters/multipath"):
        lab.sh("modprobe -r nvme nvme_core && modprobe nvme")
    lab.wait_for(lambda: lab.disk(8) and lab.disk(8) == lab.disk(9), 20, "the disk")
    disk = lab.filesystem(lab.disk(8), "ext4", "/mnt/both")
    wanted = disk.fill(mib=2)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    plan = storage.plan(lab, "8")
    lab.check("GOES_ON" in storage.codes(plan, "warnings"), f"the plan should say that it goes on: {plan['warnings']}")
    storage.take_out(lab, 8)
    lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content")
    plan = storage.plan(lab, "9")
    lab.check(user.pids[0] in storage.holders(plan) and "unmount" in storage.step_names(plan), "the last way takes all with it")
    lab.slot(8).insert()
    lab.wait_for(lambda: "live" in lab.sh(f"cat {path_in(lab, 8)}/state 2> /dev/null || true"), 20, "the path over slot 8")
    way_lost_on_the_way(lab, "9", f"echo 1 > /sys/bus/pci/devices/{lab.slot(8).bdf()}/remove")
    lab.sh("echo 1 > /sys/bus/pci/rescan")
    lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content")


@scenario("set-multipath", profile="disks", timeout=420, turn=True)
def multipath(lab):
    """One disk in two slots. A path leaves and comes back while somebody writes; the last one that works takes all with it."""
    no_native_multipath(lab)
    paths = [lab.disk(8), lab.disk(9)]
    sectors = lab.sh(f"blockdev --getsz {paths[0]}")
    lab.sh(f"modprobe dm_multipath && modprobe dm_service_time && dmsetup create both --uuid scenario-both --table '0 {sectors} multipath "
           f"1 queue_if_no_path 0 2 1 service-time 0 1 2 {paths[0]} 1 1 service-time 0 1 2 {paths[1]} 1 1'")
    disk = lab.filesystem("/dev/mapper/both", "ext4", "/mnt/both")
    wanted = disk.fill(mib=2)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    plan = storage.plan(lab, "8")
    lab.check("GOES_ON" in storage.codes(plan, "warnings"), f"the plan should say that it goes on: {plan['warnings']}")
    lab.equal((plan["takes_down"]["file_systems"], storage.holders(plan)), ([], {}), "the file systems and processes that go")
    for number in (8, 9):
        storage.take_out(lab, number)
        lab.equal(lab.sh("ls /sys/block/dm-0/slaves").split(), [path.removeprefix("/dev/") for path in paths if path != paths[number - 8]],
                  "the paths")
        lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content")
        lab.sh(f"echo while {number} was out > {disk.target}/{number} && sync", timeout=60)
        storage.put_back(lab, number)
        paths = [lab.disk(8), lab.disk(9)]
        lab.equal(sorted(lab.sh("ls /sys/block/dm-0/slaves").split()), sorted(path.removeprefix("/dev/") for path in paths),
                  "the paths when both are back, whatever they are called now")
    # A path that has failed is none: what is left goes as a whole, and what fails meanwhile keeps the power on.
    fails = f"dmsetup message both 0 fail_path {lab.sh(f'lsblk -dno MAJ:MIN {paths[1]}')}"
    way_lost_on_the_way(lab, "8", fails)
    lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content")
    lab.sh(fails)
    plan = storage.plan(lab, "8")
    lab.check(user.pids[0] in storage.holders(plan) and "unmount" in storage.step_names(plan), "the last path takes all with it")
    storage.take_out(lab, 8)
    lab.check(not user.running() and not disk.mounted(), "nobody should use it any more")
    storage.put_back(lab, 8)
    lab.equal((disk.sum(), lab.sh(f"cat {disk.target}/8 {disk.target}/9")), (wanted, "while 8 was out\nwhile 9 was out"), "what is on the disk")


@scenario("set-lvm-mirror", profile="mixed", timeout=420, turn=True)
def lvm_mirror(lab):
    """A RAID volume goes on without the leg on the card, and the leg that comes back is given what was written meanwhile."""
    legs = [lab.pmem(3).namespace("raw", mib=64).device, lab.nvdimm().namespace("raw", mib=64).device]
    lab.sh(f"pvcreate -q {' '.join(legs)} && vgcreate -q lab {' '.join(legs)} && lvcreate -q -y --type raid1 -m 1 -n data -L 32M lab {' '.join(legs)}",
           timeout=120)

    def whole():
        return " AA " in lab.sh("dmsetup status lab-data") and " idle " in lab.sh("dmsetup status lab-data")

    lab.wait_for(whole, 120, "the volume to be whole")
    disk = lab.filesystem("/dev/lab/data", "ext4")
    wanted = disk.fill(mib=2)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    plan = storage.plan(lab, "3")
    lab.check("DEGRADES" in storage.codes(plan, "warnings"), f"the plan should say that the volume will be degraded: {plan['warnings']}")
    lab.equal(storage.holders(plan), {}, "the processes named")
    storage.take_out(lab, 3)
    lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content of the volume")
    meanwhile = disk.fill("meanwhile", mib=4)
    storage.put_back(lab, 3)
    lab.wait_for(whole, 120, "the volume to be whole again")
    lab.equal((user.running(), user.look()), (True, "ok"), "the volume's user")
    lab.sh("lvchange -q --syncaction check lab/data")
    lab.wait_for(whole, 120, "the copies to be compared")
    lab.equal(lab.sh("dmsetup status lab-data").split()[8], "0", "the sectors in which the copies differ")
    lab.equal((disk.sum(), disk.sum("meanwhile")), (wanted, meanwhile), "what is on the volume")


def btrfs(lab, profile):
    """A volume over the disks in slot 12 and, inside of the box in slot 4, slot 6. The kernel has no word by which such a volume lets go of
    a member, whatever it has twice: it goes as a whole, with its user, and comes back as a whole. Returns it, its content's sum and user."""
    devices = [lab.disk(12), lab.disk(6)]
    lab.sh(f"mkfs.btrfs -q -f -d {profile} -m raid1 {' '.join(devices)}", timeout=120)
    disk = filesystem.FileSystem(lab.guest, devices[1], "btrfs", "/mnt/both", "rw")
    disk.mount()
    wanted = disk.fill(mib=4)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    return disk, wanted, user


def goes_as_a_whole(lab, disk, user, *numbers):
    """Whichever of its disks goes; and what is told about the others."""
    plan = storage.plan(lab, *numbers)
    lab.equal((plan["verdict"], [one["mounts"][0]["target"] for one in plan["takes_down"]["file_systems"]]), ("ready", [disk.target]),
              f"verdict and what is unmounted ({plan['blockers']})")
    lab.equal("SPANS_DEVICES" in storage.codes(plan, "warnings"), len(numbers) == 1, f"whether it is on something else ({plan['warnings']})")
    lab.check(user.pids[0] in storage.holders(plan), f"its user should be named: {plan['holders']}")


def whole_again(lab, disk, wanted):
    """Both disks are there: what was written is, on each of them."""
    lab.equal((disk.mounted(), disk.sum()), (True, wanted), "whether it is mounted, and what is on it")
    lab.equal(lab.sh(f"btrfs device stats {disk.target} | grep -v ' 0$' || true"), "", "the errors that the volume has met")
    lab.sh(f"btrfs scrub start -B {disk.target}", timeout=120)
    lab.sh(f"umount {disk.target}")
    disk.check()


@scenario("set-btrfs-mirror", profile="disks", timeout=400, turn=True)
def btrfs_mirror(lab):
    """Everything is there twice: with one card out, what is left has it all."""
    disk, wanted, user = btrfs(lab, "raid1")
    for number in (12, 6):
        goes_as_a_whole(lab, disk, user, number)
    storage.take_out(lab, 12)
    lab.check(not user.running() and not disk.mounted(), "nobody should use it any more")
    disk.mount(options="ro,degraded")
    lab.equal(disk.sum(), wanted, "what is on the disk that is left")
    lab.sh(f"umount {disk.target}")
    storage.put_back(lab, 12)
    whole_again(lab, disk, wanted)


@scenario("set-btrfs-single", profile="disks", timeout=400, turn=True)
def btrfs_single(lab):
    """Some of it is on one disk, some on the other."""
    disk, wanted, user = btrfs(lab, "single")
    goes_as_a_whole(lab, disk, user, 6)
    storage.take_out(lab, 6)
    lab.check(not user.running() and not disk.mounted(), "nobody should use it any more")
    status, _, _ = lab.run(f"mount -o ro {lab.disk(12)} {disk.target}", check=False)
    lab.check(status != 0, "half of it should not be mounted")
    storage.put_back(lab, 6)
    whole_again(lab, disk, wanted)


@scenario("set-btrfs-both", profile="disks", timeout=400, turn=True)
def btrfs_both(lab):
    """Both cards in one request: nothing of it is left behind, and it comes back when both are there."""
    disk, wanted, user = btrfs(lab, "single")
    goes_as_a_whole(lab, disk, user, 12, 6)
    lab.cli("remove", "12", "6", timeout=180)
    for number in (12, 6):
        removal.check_safe(lab, number)
    lab.check(not user.running() and not disk.mounted(), "nobody should use it any more")
    lab.slot(6).insert()
    lab.slot(12).insert()
    lab.cli("restore", "12", timeout=180)
    whole_again(lab, disk, wanted)


@scenario("set-container", profile="mixed", timeout=300, turn=True)
def container(lab):
    """Metadata that a program keeps: out of the volume first, then out of its container; whole again later."""
    legs = [lab.pmem(3).namespace("raw", mib=64).device, lab.nvdimm().namespace("raw", mib=64).device]
    lab.sh(f"mdadm --create /dev/md127 --quiet --run --metadata=ddf --raid-devices=2 {' '.join(legs)} && "
           "mdadm --create /dev/md126 --quiet --run --assume-clean --level=1 --raid-devices=2 --size=24M /dev/md127", timeout=120)
    disk = lab.filesystem("/dev/md126", "ext4")
    wanted = disk.fill(mib=1)
    user = lab.holder("--map=shared", f"{disk.target}/file", name="user")
    lab.wait_for(lambda: lab.sh("cat /sys/block/md126/md/sync_action") == "idle", 120, "the volume to be whole")
    plan = storage.plan(lab, "3")
    lab.equal([step["args"]["md"] for step in plan["steps"] if step["name"] == "remove-md-member"], ["md126", "md127"], "the order")
    lab.equal(storage.holders(plan), {}, "the processes named")
    storage.take_out(lab, 3)
    lab.equal((user.running(), user.look(), disk.sum()), (True, "ok", wanted), "user and content of the volume")
    lab.sh(f"echo while out > {disk.target}/new && sync")
    storage.put_back(lab, 3)
    lab.wait_for(lambda: lab.sh("cat /sys/block/md126/md/degraded") == "0", 120, "the volume to be whole again")
    lab.equal((user.running(), user.look()), (True, "ok"), "the volume's user")
