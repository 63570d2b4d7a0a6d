# SPDX-License-Identifier: LGPL-2.1-or-later
"""The card comes back, or another one does."""

from harness import profiles, removal, storage
from harness.scenario import scenario


def used_card(lab):
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    wanted = disk.fill(mib=1)
    writer = lab.writer(disk)
    return disk, wanted, writer


@scenario("restore-wrong-card", profile="mixed", timeout=300, turn=True)
def wrong_card(lab):
    """A card that does not match is refused, and not a byte of it is touched; the right one is restored afterwards."""
    disk, wanted, writer = used_card(lab)
    before = storage.StoragePicture.take(lab)
    storage.take_out(lab, 3)
    stranger = profiles.Card(77, kind="pmem")
    lab.slot(3).insert(stranger)
    files = [lab.guest.dir / f"card77.{part}" for part in ("pmem", "lsa")]
    content = [file.read_bytes() for file in files]
    status, out, err = lab.cli("restore", "3", check=False)
    lab.check(status not in (removal.SAFE,), f"the wrong card should be refused ({out}{err})")
    lab.check("0x4d" in out + err or "serial" in out + err, f"it should be said what does not match: {out}{err}")
    lab.equal([file.read_bytes() for file in files], content, "the bytes of the other card")
    lab.check(not lab.sh("ls -d /sys/bus/cxl/devices/region* 2> /dev/null || true"), "there should be no region")
    lab.cli("remove", "3")
    storage.put_back(lab, 3)
    storage.check_as_before(lab, before)
    lab.equal(disk.sum(), wanted, "what is on the card")
    lab.check(writer.running(), "the writer's unit should run again")


@scenario("restore-twice", profile="mixed", timeout=300, turn=True)
def twice(lab):
    """Restored already: nothing to do, said so, nothing changed."""
    used_card(lab)
    before = storage.StoragePicture.take(lab)
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.cli("restore", "3", check=False)
    storage.check_as_before(lab, before)


@scenario("restore-empty-slot", profile="mixed", timeout=300, turn=True)
def empty_slot(lab):
    """Asked for too early, and again when the card is there."""
    used_card(lab)
    before = storage.StoragePicture.take(lab)
    storage.take_out(lab, 3)
    lab.check(lab.cli("restore", "3", check=False)[0] != 0, "there is no card to restore")
    storage.put_back(lab, 3)
    storage.check_as_before(lab, before)


@scenario("restore-automatically", profile="mixed", timeout=300, turn=True)
def automatically(lab):
    """By policy the daemon does it when it sees the card."""
    disk, wanted, writer = used_card(lab)
    before = storage.StoragePicture.take(lab)
    removal.policy(lab, Restore="auto")
    storage.take_out(lab, 3)
    lab.slot(3).insert()
    lab.wait_for(disk.mounted, 60, "the file system to be mounted")
    lab.wait_for(writer.running, 30, "the writer to run")
    storage.check_as_before(lab, before)
    lab.equal(disk.sum(), wanted, "what is on the card")


@scenario("restore-after-daemon-restart", profile="mixed", timeout=300, turn=True)
def after_daemon_restart(lab):
    disk, wanted, _ = used_card(lab)
    before = storage.StoragePicture.take(lab)
    storage.take_out(lab, 3)
    lab.restart_daemon()
    storage.put_back(lab, 3)
    storage.check_as_before(lab, before)
    lab.equal(disk.sum(), wanted, "what is on the card")


@scenario("restore-disabled-namespace", profile="mixed", timeout=300, turn=True)
def disabled_namespace(lab):
    """Disabled by the administrator: so it stays when the region comes back, on the way back as by a restoration."""
    region = lab.pmem(3)
    disabled, enabled = region.namespace("raw", mib=32), region.namespace("raw", mib=32)
    lab.sh(f"ndctl disable-namespace {disabled.name}")

    def check(when):
        listed = lab.sh("ndctl list -N")
        lab.check(enabled.uuid in listed and disabled.uuid not in listed, f"one of two should be enabled {when}: {listed}")

    check("beforehand")
    number = removal.last_id(lab) + 1
    step = storage.step_number(lab, "disable-nd-region", "3")
    go = removal.drill(lab, "disable-memdev")
    lab.slot(3).press()
    removal.wait_for_record(lab, number, f'"ev":"done","n":{step},', 90, then=removal.call_off(number, 3, go))
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
    check("when the removal was called off")
    removal.policy(lab)
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    check("when the card was restored")


@scenario("restore-devdax", profile="mixed-nodes", timeout=300)
def devdax(lab):
    """Volatile memory that was a device is a device again, and not System RAM; so is a devdax namespace. A host bridge's decoders
    take regions in the order of their addresses only (drivers/cxl/core/region.c:alloc_region_ref): the lower card goes back first."""
    lab.devdax(lab.ram(2, online="offline"))
    lab.pmem(3, window=1).namespace("devdax", name="spare")
    storage.take_out(lab, 2)
    lab.slot(2).insert()
    status, out, err = lab.cli("restore", 2, check=False, timeout=180)
    lab.check(status != 0 and "create-region" in out + err, f"what is left to do should be told: {out}{err}")
    storage.take_out(lab, 3)
    lab.cli("restore", 2, timeout=180)
    storage.put_back(lab, 3)
    lab.wait_for(lambda: drivers(lab) == ["device_dax", "device_dax"], 10, "both devices to be driven by device_dax")


def drivers(lab):
    return lab.sh("for d in /sys/bus/dax/devices/*; do [ -e $d/driver ] && basename $(readlink $d/driver); done; true").split()
