# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages that will not move because somebody has them pinned, and the last rung: having the kernel give them up."""

from harness import removal
from harness.scenario import scenario

EARLY_KILL = "/proc/sys/vm/memory_failure_early_kill"


def pinned(lab, ram, *options):
    """A process with pages of the card in a pipe: short-term pins, which the kernel does not move out of the way beforehand."""
    return lab.pinner("--node", "--size=65536", "--pipe", *options, ram.node)


@scenario("poison", timeout=240, allow=[r"Memory failure: "])
def poison(lab):
    """Not without the word; with it the block goes, its range is gone from /proc/iomem, and all of it is on record."""
    ram = lab.ram(2)
    holder = pinned(lab, ram)
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", "--offline-timeout", "4", check=False)
    lab.equal(status, removal.RESTORED, f"the exit status without force ({out}{err})")
    lab.check("still busy" in out + err, f"the busy block should be named: {out}{err}")
    removal.check_untouched(lab, 2, before)
    lab.check(holder.running(), "nobody should have been ended")
    lab.equal(lab.sh("awk '/HardwareCorrupted/ {print $2}' /proc/meminfo"), "0", "what the kernel has given up")

    early_kill = lab.sh(f"cat {EARLY_KILL}")
    number = removal.last_id(lab) + 1
    plan = lab.cli_json("plan", "2", "--force=poison")
    lab.check(any("--force=poison" in step["does"] for step in plan["steps"]), "the plan should say what force allows")
    lab.cli("remove", "2", "--offline-timeout", "4", "--force=poison")
    removal.check_safe(lab, 2, ram)
    lab.check(not holder.running(), "who had it pinned should have been ended")
    lab.equal(lab.sh(f"cat {EARLY_KILL}"), early_kill, "the machine's own setting")
    told = removal.certificate(lab, number)
    # The first one ends its owner, who lets go of the others.
    forced = [line for line in told["forced"] if line.startswith("poison: page 0x")]
    lab.check(1 <= len(forced) <= 16, f"each page should be in the certificate: {told['forced']}")
    lab.equal(len([line for line in told["lost"] if "given up" in line]), len(forced), "the pages in what was lost")
    lab.equal(told["options"]["force"], "poison", "what was asked for")
    lab.slot(2).insert()
    removal.check_card_works(lab, 2)


@scenario("poison-not-let-go", timeout=240, turn=True, allow=[r"Memory failure: "])
def not_let_go(lab):
    """Whoever only has it in a pipe is not ended by giving it up: then the block stays, for the kernel would take it from under him."""
    ram = lab.ram(2)
    holder = pinned(lab, ram, "--unmap")
    status, out, err = lab.cli("remove", "2", "--offline-timeout", "4", "--force=poison", check=False)
    lab.equal(status, removal.RESTORED, f"the exit status ({out}{err})")
    lab.check("still pinned" in out + err, f"what holds should be said: {out}{err}")
    lab.check(holder.running(), "the holder should live")
    lab.equal(ram.online(), 4, "the blocks online")
    status, out, err = lab.cli("remove", "2", "--offline-timeout", "4", check=False)
    lab.equal(status, removal.RESTORED, f"the exit status of another try ({out}{err})")
    holder.stop()
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("poison-by-hand", daemon=False, own_guest=True, turn=True, allow=[r"."])
def by_hand(lab):
    """What the manuals have leaves the block where it is, and its addresses burnt until the next boot."""
    ram = lab.ram(2)
    pinned(lab, ram)
    for block in reversed(ram.block_numbers):
        lab.run(f"timeout 4 sh -c 'echo offline > /sys/devices/system/memory/memory{block}/state'", check=False)
    lab.check(ram.online() >= 1, "the block with the pinned pages should be online")
    lab.sh(f"echo {ram.dax} > /sys/bus/dax/drivers/kmem/unbind")
    lab.check(lab.log.has("cannot be hotremoved until the next reboot"), "the kernel should say that it has lost the range")
    lab.sh(f"echo {ram.region} > /sys/bus/cxl/drivers/cxl_region/unbind; echo 0 > /sys/bus/pci/slots/2/power", timeout=60)
    lab.check(lab.sh("grep -c 'System RAM (kmem)' /proc/iomem") != "0", "the range should still be in /proc/iomem")
