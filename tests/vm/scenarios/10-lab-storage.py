# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself, persistent memory and disks: the manual procedure, without the daemon."""

from harness import cxl_region
from harness.errors import LabError
from harness.scenario import scenario


def switch_off(lab, number):
    slot = lab.slot(number)
    lab.sh(f"echo 0 > {slot.sysfs}/power", timeout=30)
    lab.wait_for(lambda: not slot.occupied, 10, "QEMU to eject the card")


@scenario("lab-pmem-out-and-in", profile="mixed", daemon=False, turn=True)
def pmem_out_and_in(lab):
    """A persistent card keeps what is on it, and a region with the old uuid brings it back."""
    region = lab.pmem(3)
    for namespace, kind in ((region.namespace(), "xfs"), (region.namespace(), "ext4"), (region.namespace("sector"), "ext4")):
        disk = lab.filesystem(namespace.device, kind)
        wanted = disk.fill(mib=2)
        disk.umount()
        cxl_region.destroy(lab.guest, region.cxl)
        switch_off(lab, 3)
        lab.slot(3).insert()
        region = lab.pmem(3, uuid=region.uuid)
        back = {item.uuid: item for item in region.namespaces()}[namespace.uuid]
        lab.equal(back.mode, namespace.mode, "the namespace's mode")
        disk = type(disk)(lab.guest, back.device, disk.type, disk.target, disk.options)
        disk.check()
        disk.mount()
        lab.equal(disk.sum(), wanted, "the checksum of what was written")
        disk.umount()


@scenario("lab-nvme-out-and-in", profile="mixed", daemon=False, turn=True)
def nvme_out_and_in(lab):
    disk = lab.filesystem(lab.disk(4), "ext4")
    wanted = disk.fill(mib=16)
    disk.umount()
    switch_off(lab, 4)
    lab.slot(4).insert()
    lab.equal(lab.wait_for(lambda: lab.disk(4), 10, "the disk"), disk.device, "the disk's name")
    disk.check()
    disk.mount()
    lab.equal(disk.sum(), wanted, "the checksum of what was written")


@scenario("lab-storage-stack", profile="mixed", daemon=False, turn=True)
def stack(lab):
    """Everything on everything: the lab takes it down again before the next scenario."""
    region = lab.pmem(3)
    first, second = region.namespace("raw"), lab.nvdimm().namespace("raw")
    lab.sh(f"mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --assume-clean --metadata=1.2 {first.device} {second.device}")
    lab.sh("pvcreate -q /dev/md0 && vgcreate -q lab /dev/md0 && lvcreate -q -n swap -L 16M lab && mkswap -q /dev/lab/swap && swapon /dev/lab/swap")
    disk = lab.filesystem(lab.disk(4), "xfs", "/mnt/disk")
    lab.sh(f"truncate -s 32M {disk.target}/image && mkfs.ext4 -q {disk.target}/image && mkdir -p /mnt/loop && mount -o loop {disk.target}/image /mnt/loop")
    lab.holder("--own-namespace", "--map=shared", "/mnt/loop/file")


@scenario("lab-empty-again", profile="mixed", daemon=False, turn=True)
def empty_again(lab):
    """What the scenarios before this one left on cards and board has gone."""
    lab.equal(lab.sh(f"lsblk -n -o FSTYPE {lab.disk(4)}"), "", "what is on the disk")
    region = lab.pmem(3)
    lab.equal(region.namespaces(), [], "the namespaces on the card")
    lab.equal(lab.sh(f"blkid -p {region.namespace('raw').device} || true"), "", "what is on the card")
    lab.equal(lab.sh(f"blkid -p {lab.nvdimm().namespace('raw').device} || true"), "", "what is on the board")


@scenario("lab-devdax", profile="mixed", daemon=False)
def devdax(lab):
    """Device-dax, on volatile and on persistent memory, with a live mapping."""
    ram = lab.ram(2, online="offline")
    holder = lab.holder("--map=shared", lab.devdax(ram))
    lab.equal(holder.look(), "ok", "the mapping of volatile memory")
    holder.stop()
    holder = lab.holder("--map=shared", "--close", "--fork", lab.pmem(3).namespace("devdax").device)
    lab.equal(holder.look(), "ok", "the mapping of persistent memory")
    holder.stop()


@scenario("lab-writer", profile="mixed", daemon=False, turn=True)
def writer(lab):
    """What the writer says is persistent is there, also after it was started again, and the verifier would see it if not."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    writer = lab.writer(disk)
    for count in (200, 400):
        lab.wait_for(lambda: writer.logged() > count, 30, "records")
        writer.stop()
        lab.check(writer.verify() > count, "the log should have grown")
        lab.sh(f"systemctl start {writer.unit}")
    writer.stop()
    lab.sh(f"printf x | dd of={writer.data} bs=1 seek=30000 conv=notrunc status=none")
    try:
        writer.verify()
    except LabError:
        return
    lab.check(False, "a changed record should have been noticed")


@scenario("lab-postgres", profile="mixed", daemon=False, turn=True)
def postgres(lab):
    region = lab.pmem(3)
    disk = lab.filesystem(region.namespace(mib=256).device)
    database = lab.postgres(disk)
    bench = database.load()
    lab.sh(f"systemctl stop {database.unit}")
    bench.wait(20)
    disk.umount()
    disk.check()
    disk.mount()
    lab.sh(f"systemctl start {database.unit}")
    lab.check(database.check() > 50, "there should have been some load")


@scenario("lab-bomb-and-counter", profile="mixed", daemon=False, turn=True)
def bomb_and_counter(lab):
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    lab.sh(f"truncate -s 4096 {disk.target}/file")
    bomb = lab.spawn("bomb", [lab.program("mapper-bomb"), f"{disk.target}/file"])
    lab.wait_for(lambda: "made=202" in bomb.output() or "made=303" in bomb.output(), 30, "mappers")
    lab.check("failed=0" in bomb.output().splitlines()[-1], f"every mapper should succeed: {bomb.tail()}")
    counter = lab.counter(disk)
    lab.sh(f"systemctl freeze {counter.unit} && sleep 2 && systemctl thaw {counter.unit}")
    lines, missed, longest = counter.ask()
    lab.check(lines > 10 and missed == 0 and longest >= 2000, f"the counter should have been frozen and miss nothing: {lines} {missed} {longest}")


@scenario("lab-fabric", profile="fabric", daemon=False, turn=True)
def fabric(lab):
    """Two host bridges make one region over four cards; the cards behind the switch are in slots of their own; the hypervisor's memory
    is the guest's."""
    four = lab.ram(2, 6, 3, 7, window=0)
    lab.equal(four.size, 2 << 30, "the size of the region over two host bridges")
    inner = lab.ram(10, 11, window=1)
    keeper = lab.keeper(inner.node, mib=8)
    lab.check(keeper.verify() > 0, "the keeper should have its memory behind the switch")
    keeper.finish()
    lab.destroy(inner)
    lab.destroy(four)
    lab.equal([lab.slot(number).serial for number in (8, 10, 11)], [20, 6, 7], "the switch and what is in its slots")
    lab.equal(lab.sh(f"basename $(readlink /sys/bus/pci/devices/{lab.slot(4).bdf()}/virtio*/driver)"), "virtio_mem", "the driver in slot 4")


@scenario("lab-disks", profile="disks", daemon=False, turn=True)
def disks(lab):
    """A disk in an inner slot goes out and comes back with what is on it. Two controllers are two ways to one disk."""
    disk = lab.disk(6)
    lab.sh(f"echo here | dd of={disk} bs=512 conv=sync,fsync status=none")
    slot = lab.slot(6)
    lab.sh(f"echo 0 > {slot.sysfs}/power", timeout=20)
    lab.wait_for(lambda: not slot.occupied, 10, "QEMU to eject the disk")
    slot.insert()
    lab.equal(lab.sh(f"head -c 4 {lab.disk(6)}"), "here", "what is on the disk")
    lab.equal(lab.disk(8), lab.disk(9), "the disk behind slots 8 and 9")
    lab.check(len({lab.disk(number) for number in (6, 7, 8, 12)}) == 4, "the others should be disks of their own")
    lab.sh(f"echo 0 > {lab.slot(8).sysfs}/power", timeout=20)
    lab.wait_for(lambda: not lab.slot(8).occupied, 10, "QEMU to eject the controller")
    lab.equal(lab.sh(f"head -c 4 {lab.disk(9)} | wc -c"), "4", "the bytes read by the way that is left")
    lab.slot(8).insert()
    lab.equal(lab.disk(8), lab.disk(9), "the disk behind slots 8 and 9, both back")
