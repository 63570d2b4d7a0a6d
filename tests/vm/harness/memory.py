# SPDX-License-Identifier: LGPL-2.1-or-later
"""RAM regions over the guest's cards: made, looked at and taken down by plain writes to /sys, so that neither the
project's code nor the version of the cxl command (76, in Debian 12, makes no RAM regions) has a say in it."""

from dataclasses import dataclass

from .errors import LabError
from .slot import Slot

POLICY = "/sys/devices/system/memory/auto_online_blocks"
ONLINE_TIMEOUT = 60

# One line per memory block: number, state, zone. A block that is being removed may vanish between two reads.
LIST_BLOCKS = """cd /sys/devices/system/memory && for block in {blocks}; do
        [ -d memory$block ] && echo $block $(cat memory$block/state memory$block/valid_zones 2>/dev/null | tr '\\n' ' ')
done; true"""

# Each card's first free endpoint decoder is programmed with all of the card, in the order of the interleave.
CREATE = """set -e
cd /sys/bus/cxl/devices
region=$(cat {decoder}/create_ram_region)
echo $region > {decoder}/create_ram_region
echo 256 > $region/interleave_granularity
echo {ways} > $region/interleave_ways
echo $(({size} * {ways})) > $region/size
position=0
for memdev in {memdevs}; do
        for endpoint in endpoint*; do
                [ "$(readlink -f $endpoint/uport)" != "$(readlink -f $memdev)" ] || break
        done
        for decoder in $endpoint/decoder*; do
                [ $(($(cat $decoder/dpa_size))) != 0 ] || break
        done
        echo ram > $decoder/mode
        echo {size} > $decoder/dpa_size
        echo ${{decoder#*/}} > $region/target$position
        position=$((position + 1))
done
echo 1 > $region/commit
echo $region > /sys/bus/cxl/drivers/cxl_region/bind
echo $region
"""

# Blocks that are still offline already are no failure; one that cannot be offlined is, before the address decoders go.
DESTROY = """set -e
cd /sys/bus/cxl/devices
region={region}
for block in {blocks}; do
        [ "$(cat /sys/devices/system/memory/memory$block/state 2>/dev/null)" != online ] ||
                echo offline > /sys/devices/system/memory/memory$block/state
done
for dax in $region/dax_region*/dax*.*; do
        [ ! -e $dax/driver ] || echo ${{dax##*/}} > $(readlink -f $dax/driver)/unbind
done
[ ! -e $region/driver ] || echo $region > /sys/bus/cxl/drivers/cxl_region/unbind
decoders=$(cat $region/target[0-9]* 2>/dev/null || true)
echo 0 > $region/commit || [ "$(cat $region/commit)" = 0 ]
root=$(cd -P $region/.. && pwd)
echo $region > $root/delete_region
for decoder in $decoders; do
        echo 0 > $decoder/dpa_size
done
"""


@dataclass(frozen=True)
class Block:
    """One memory block. An online block's zone is the one it is in."""

    number: int
    state: str
    zone: str


@dataclass(frozen=True)
class Memory:
    """A region that is System RAM."""

    guest: object
    region: str
    dax: str
    node: int
    start: int
    size: int
    block_numbers: tuple

    def blocks(self):
        """What the kernel says of the blocks now; those that are gone are left out."""
        listed = self.guest.out(LIST_BLOCKS.format(blocks=" ".join(map(str, self.block_numbers))))
        fields = [line.split() for line in listed.splitlines()]
        return [Block(int(line[0]), line[1], line[2] if len(line) > 2 else "none") for line in fields]

    def online(self):
        """How many blocks are online."""
        return sum(block.state == "online" for block in self.blocks())

    def zones(self):
        return {block.zone for block in self.blocks() if block.state == "online"}

    def wait_online(self):
        self.guest.wait_for(lambda: self.online() == len(self.block_numbers), ONLINE_TIMEOUT,
                            f"the blocks of {self.region} to be online")

    def exists(self):
        return self.guest.succeeds(f"test -e /sys/bus/cxl/devices/{self.region}")


def set_policy(guest, policy):
    """Which zone new memory goes to: online_movable, online (the kernel's choice: ZONE_NORMAL) or offline."""
    guest.run(f"echo {policy} > {POLICY}")


def policy(guest):
    return guest.out(f"cat {POLICY}")


def create(guest, *slots, online="online_movable", window=0):
    """Make a RAM region over the cards in these slots (several: interleaved in this order) and wait until it is there.

    With online="offline" the blocks are left offline. The machine has two windows of addresses for CXL memory (0 and
    1): each is a NUMA node, which all regions in the window share."""
    memdevs = [Slot(guest, number).memdev() for number in slots]
    if None in memdevs:
        raise LabError(f"no card in one of the slots {slots}")
    set_policy(guest, online)
    size = int(guest.out(f"cat /sys/bus/cxl/devices/{memdevs[0]}/ram/size"), 0)
    made = guest.out(CREATE.format(decoder=f"decoder0.{window}", ways=len(memdevs), size=size,
                                   memdevs=" ".join(memdevs)))
    region = made.split()[-1]
    memory = look(guest, region)
    if online != "offline":
        memory.wait_online()
    return memory


def block_range(guest, region):
    """The numbers of the memory blocks that a region covers."""
    words = guest.out(f"cd /sys/bus/cxl/devices/{region} && cat resource size; "
                      "cat /sys/devices/system/memory/block_size_bytes").split()
    start, size, block = int(words[0], 0), int(words[1], 0), int(words[2], 16)
    return tuple(range(start // block, (start + size) // block))


def look(guest, region):
    """The memory of a region that exists, once the kernel has finished adding it."""
    folder = f"/sys/bus/cxl/devices/{region}"
    dax = guest.wait_for(lambda: guest.out(f"ls -d {folder}/dax_region*/dax*.* 2>/dev/null || true"), ONLINE_TIMEOUT,
                         f"the dax device of {region}")
    wanted = f"cat {folder}/resource {folder}/size {dax}/target_node"
    start, size, node = (int(word, 0) for word in guest.out(wanted).split())
    blocks = block_range(guest, region)
    guest.wait_for(f"test -e {dax}/driver && test -e /sys/devices/system/memory/memory{blocks[-1]}", ONLINE_TIMEOUT,
                   f"the memory blocks of {region}")
    return Memory(guest, region, dax.rsplit("/", 1)[-1], node, start, size, blocks)


def regions(guest):
    """The regions that exist, highest address first: the order in which they can be taken down."""
    listed = guest.out("cd /sys/bus/cxl/devices && for region in region*; do "
                       "[ ! -e $region ] || echo $region $(cat $region/resource); done")
    found = [line.split() for line in listed.splitlines()]
    return [line[0] for line in sorted(found, key=lambda line: -int(line[1], 0) if len(line) > 1 else 0)]


def destroy(guest, region):
    """Take a region down by the manual procedure; nothing that cannot be moved may be in its memory."""
    blocks = block_range(guest, region)
    guest.run(DESTROY.format(region=region, blocks=" ".join(map(str, blocks))), timeout=120)
