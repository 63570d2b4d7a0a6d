# SPDX-License-Identifier: LGPL-2.1-or-later
"""Addresses: every byte that a card decodes is explained, whoever gave it out."""

from harness import removal
from harness.scenario import scenario

FORCES = ("--zone-normal=try", "--force=kill", "--force=unmap", "--force=unproven", "--force=poison",
          "--force=shutdown", "--zone-normal=try --force=kill,shutdown,unmap,unproven,poison")


def blockers(lab, slot, *words):
    """The findings of a plan that stand in the way, by their codes."""
    return {item["code"]: item for item in lab.cli_json("plan", str(slot), *words, check=False)["blockers"]}


def refused_under_every_force(lab, before, forces=FORCES):
    """No word makes way for what would crash the machine, and nothing is touched."""
    for words in forces:
        status, out, err = lab.cli("remove", "2", *words.split(), check=False)
        lab.equal(status, removal.BLOCKED, f"the exit status of remove {words} ({out}{err})")
        lab.check("FOREIGN_MEMMAP" in out + err, f"the reason under {words}: {out}{err}")
    removal.check_untouched(lab, 2, before)


def given_by_host(lab):
    return lab.sh("grep -c 'System RAM (virtio_mem)' /proc/iomem || true") != "0"


@scenario("addresses-virtio-mem", profile="fabric", own_guest=True, turn=True)
def virtio_mem(lab):
    """Memory that the host gave is refused with the host's remedy, and goes once the host has taken it back."""
    lab.wait_for(lambda: given_by_host(lab), 60, "the host's memory to be there")
    # Movable pages go to the node's last zone first, which is where such memory is.
    keeper = lab.keeper(0, mib=32)
    before = removal.Picture.take(lab)
    found = blockers(lab, 4)
    lab.check("VIRTIO_MEM" in found and "requested-size 0" in " ".join(found["VIRTIO_MEM"]["remedy"]), f"the host's remedy: {found}")
    status, out, err = lab.cli("remove", "4", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
    removal.check_untouched(lab, 4, before)

    lab.guest.qmp("qom-set", path="/machine/peripheral/card8", property="requested-size", value=0)
    lab.wait_for(lambda: not given_by_host(lab), 120, "the host to have its memory back")
    lab.cli("remove", "4")
    removal.check_safe(lab, 4)
    lab.check(keeper.finish() > 0, "the application should have its memory")


@scenario("addresses-four-ways", profile="fabric", timeout=400)
def four_ways(lab):
    """A region over four cards on two host bridges is one thing; what is in it moves and is what it was."""
    ram = lab.ram(2, 6, 3, 7)
    keeper = lab.keeper(ram.node, mib=16)
    lab.check(keeper.verify() > 0, "the keeper should have its memory on the cards")
    plan = lab.cli_json("plan", "7")
    region = plan["takes_down"]["regions"][0]
    lab.equal((region["ways"], sorted(peer["slot"] for peer in region["peers"])), (4, ["2", "3", "6"]), "ways and peers of the region")
    lab.equal(len(plan["takes_down"]["blocks"]), len(ram.block_numbers), "the number of blocks")
    lab.cli("remove", "7", timeout=240)
    removal.check_safe(lab, 7, ram)
    lab.equal(keeper.verify(), 0, "the keeper's pages on the node")
    for number in (2, 3, 6):
        lab.check(lab.slot(number).leds().power == "on" and lab.slot(number).ready(), f"slot {number} should be powered and ready")
    lab.slot(7).insert()


def with_other_memmap(lab):
    """The card in slot 2 in a kernel zone, and a namespace of the card in slot 3 whose page structs the kernel took from there, since
    the board's own node had no piece that was large enough."""
    ram = lab.ram(2, online="online")
    lab.check("Normal" in ram.zones(), f"the memory should be in a kernel zone: {ram.zones()}")
    region = lab.pmem(3)
    pool = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
    lab.cleanup(lambda: lab.sh(f"echo 0 > {pool}"))
    lab.sh(f"echo 3 > /proc/sys/vm/drop_caches; echo 4000 > {pool}", timeout=150)
    namespace = region.namespace(mib=None)
    lab.sh(f"echo 0 > {pool}", timeout=60)
    lab.sh(f"dd if=/dev/urandom of={namespace.device} bs=1M count=8 oflag=direct")
    return ram, namespace, lab.sh(f"head -c 8M {namespace.device} | sha256sum")


@scenario("addresses-foreign-memmap", profile="mixed", timeout=400, turn=True)
def foreign_memmap(lab):
    """Page structs of another device lie on the card: named with it, refused under every force, and its bytes stay what they were."""
    _, namespace, content = with_other_memmap(lab)
    before = removal.Picture.take(lab)
    found = blockers(lab, 2)
    lab.check("FOREIGN_MEMMAP" in found, f"the plan should know: {found}")
    told = found["FOREIGN_MEMMAP"]
    lab.check(namespace.name in told["what"] and "may lie" not in told["what"], f"the namespace should be named for certain: {told}")
    lab.check("KiB of" in told["evidence"] and namespace.name in " ".join(told["remedy"]), f"its size and a remedy: {told}")
    refused_under_every_force(lab, before)
    lab.equal(lab.sh(f"head -c 8M {namespace.device} | sha256sum"), content, "the namespace's bytes")

    # The remedy that was printed.
    lab.sh(told["remedy"][0].split("#")[0])
    lab.check("FOREIGN_MEMMAP" not in blockers(lab, 2), "without the namespace there are none")
    lab.sh(f"ndctl enable-namespace {namespace.name}")


@scenario("addresses-foreign-memmap-card", timeout=300, turn=True)
def foreign_memmap_card(lab):
    """The page structs of another card's System RAM lie on this one when both share a node and this one came first."""
    ram, other = lab.ram(2, online="online"), lab.ram(3)
    lab.equal(ram.node, other.node, "the node of both")
    before = removal.Picture.take(lab)
    told = blockers(lab, 2, "--zone-normal=try").get("FOREIGN_MEMMAP")
    lab.check(told and other.dax in told["what"] and "8192 KiB of 8192 KiB" in told["evidence"], f"all of {other.dax}'s: {told}")
    lab.check("FOREIGN_MEMMAP" not in blockers(lab, 3), "none of this card's on the other one, which is in no kernel zone")
    refused_under_every_force(lab, before)
    # Whoever takes the other one first may take both.
    lab.cli("remove", "3")
    removal.check_safe(lab, 3, other)
    lab.check("FOREIGN_MEMMAP" not in blockers(lab, 2, "--zone-normal=try"), "without the other card there are none")


@scenario("addresses-foreign-memmap-unseen", profile="mixed", timeout=300, turn=True)
def foreign_memmap_unseen(lab):
    """Where the kernel does not let its page tables be read, they may lie there, which is as bad."""
    _, namespace, _ = with_other_memmap(lab)
    before = removal.Picture.take(lab)
    was = lab.sh("sysctl -n kernel.kptr_restrict")
    lab.cleanup(lambda: lab.sh(f"sysctl -q kernel.kptr_restrict={was}"))
    lab.sh("sysctl -q kernel.kptr_restrict=2")
    found = blockers(lab, 2, "--zone-normal=try")
    lab.check("FOREIGN_MEMMAP" in found, f"the plan should say that it is possible: {found}")
    told = found["FOREIGN_MEMMAP"]
    lab.check(namespace.name in told["what"] and "possible" in told["evidence"] and "page tables" in told["evidence"], f"how one would know: {told}")
    refused_under_every_force(lab, before, FORCES[-1:])
