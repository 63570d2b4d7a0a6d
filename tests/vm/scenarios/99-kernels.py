# SPDX-License-Identifier: LGPL-2.1-or-later
"""What differs from kernel to kernel: closed to root from its start on, and memory of an NVMe controller."""

from harness import removal, storage
from harness.scenario import scenario, skip

PINNED = ("--ring", "--unmap", "--size=4194304", "--length=4096")


def closed(lab, how):
    """The kernel is closed from its start on, and says so to nobody but who asks."""
    lab.check(f"[{how}]" in lab.sh("cat /sys/kernel/security/lockdown"), "the kernel should be closed")
    lab.check(how in lab.sh("cat /proc/cmdline"), "it should be so from its start on")
    lab.run(f"setpci -s {lab.slot(3).place.bdf} CAP_EXP+18.w=0200:0300", check=False)
    lab.equal(lab.slot(3).leds().power, "on", "the light, which nobody may set by the register")


def warned(lab, number):
    """The plan is ready, and tells what the lights will not say."""
    plan = storage.plan(lab, str(number))
    lab.check(not plan["blockers"] and "LOCKDOWN" in storage.codes(plan, "warnings"), f"the lights should be told of: {plan['blockers']} {plan['warnings']}")
    return plan


def disk_goes_and_comes(lab):
    """By the button: the slot is held, which lockdown lets root do."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    lab.sh(f"echo kept > {disk.target}/kept && sync")
    warned(lab, 4)
    storage.take_out(lab, 4, button=True)
    storage.put_back(lab, 4)
    lab.equal(lab.sh(f"cat {disk.target}/kept"), "kept", "what was on the disk")


def pinned_card(lab):
    """A device-dax card of which a process has a page pinned, and neither mapping nor descriptor."""
    device = lab.pmem(3).namespace("devdax").device
    return lab.pinner(*PINNED, "--close", device)


@scenario("lockdown-integrity", profile="lockdown-integrity", timeout=300, turn=True)
def integrity(lab):
    """Registers are closed, and the lights with them. Pages can be counted: a card goes when nobody has one, and is proven free."""
    closed(lab, "integrity")
    disk_goes_and_comes(lab)
    pinner = pinned_card(lab)
    storage.take_out(lab, 3)
    lab.check(not pinner.running(), "who had a page should have been ended")
    lab.check("census_usec" in lab.sh(f"cat {removal.STATE_DIR}/removals/{removal.last_id(lab)}/journal"), "pages should have been counted")
    lab.check('"proven"' in lab.sh(f"cat {removal.STATE_DIR}/removals/{removal.last_id(lab)}/journal"), "that nobody has one should be proven")


@scenario("lockdown-confidentiality", profile="lockdown-confidentiality", timeout=300, turn=True)
def confidentiality(lab):
    """Nobody can count pages: where only that could prove a card free it is refused, and by force never called proven."""
    closed(lab, "confidentiality")
    disk_goes_and_comes(lab)
    pinner = pinned_card(lab)
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "3", check=False, timeout=180)
    lab.check(status == removal.BLOCKED and "counting who has pages" in out + err, f"it should be refused, and said why: {status} {out}{err}")
    removal.check_untouched(lab, 3, before)
    lab.check(pinner.running(), "nobody should have been ended")
    storage.take_out(lab, 3, "--force=unproven")
    record = lab.sh(f"cat {removal.STATE_DIR}/removals/{removal.last_id(lab)}/journal")
    lab.check('"proven"' not in record and "lockdown=confidentiality" in record, "nothing should be called proven")


@scenario("p2pmem", profile="p2pmem", turn=True)
def p2pmem(lab):
    """Memory of an NVMe controller, which a process got from its driver: found as a holder, ended, and gone with the disk."""
    memory = f"/sys/bus/pci/devices/{lab.slot(4).bdf()}/p2pmem/allocate"
    if not lab.guest.succeeds(f"test -e {memory}"):
        skip("this kernel lends no memory of PCI functions to processes (PCI_P2PDMA)")
    mapper = lab.holder("--map=shared", "--close", "--size=65536", memory, name="mapper")
    named = storage.holders(storage.plan(lab, "4"))
    lab.equal(list(named), mapper.pids, "the processes named")
    holds = named[mapper.pids[0]]["holds"]
    lab.check(any(hold["way"] == "mapping" and (hold["path"] or "").endswith("p2pmem/allocate") for hold in holds), f"it should be told how: {holds}")
    storage.take_out(lab, 4)
    lab.check(mapper.status() in ("0", "TERM"), f"the mapper should have been asked to end: {mapper.status()}")
