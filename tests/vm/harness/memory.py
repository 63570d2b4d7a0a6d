# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory of the guest's cards as System RAM, or as a device of its own (device-dax)."""

from dataclasses import dataclass

from . import cxl_region

POLICY = "/sys/devices/system/memory/auto_online_blocks"
ONLINE_TIMEOUT = 60

# One line per memory block: number, state, zone. A block that is being removed may vanish between two reads.
LIST_BLOCKS = """cd /sys/devices/system/memory && for block in {blocks}; do
        [ -d memory$block ] && echo $block $(cat memory$block/state memory$block/valid_zones 2>/dev/null | tr '\\n' ' ')
done; true"""

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
        # One may go between its listing and its reading.
        return [Block(int(line[0]), line[1], line[2] if len(line) > 2 else "none") for line in fields if len(line) > 1]

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

    With online="offline" the blocks are left offline. Each window of addresses for CXL memory is a NUMA node, which all regions in
    the window share; most profiles have one (0)."""
    set_policy(guest, online)
    region = cxl_region.create(guest, slots, "ram", window)
    memory = look(guest, region)
    if online != "offline":
        memory.wait_online()
    return memory


def to_devdax(guest, memory):
    """Give memory that is offline to the device driver: /dev/daxX.Y. Returns the path of the device. The next one of the
    same name is nobody's business."""
    guest.run(f"""cd /sys/bus/dax/drivers && {{ [ ! -e kmem/{memory.dax} ] || echo {memory.dax} > kmem/unbind; }} && echo {memory.dax} > device_dax/new_id &&
            {{ [ -e device_dax/{memory.dax} ] || echo {memory.dax} > device_dax/bind; }} &&
            echo {memory.dax} > device_dax/remove_id""")
    return f"/dev/{memory.dax}"


# The first device gives up all but its first block, another one takes the second, and the first takes what is left again.
SPLIT = """set -e
cd /sys/bus/dax/devices/{dax}
block=$((0x$(cat /sys/devices/system/memory/block_size_bytes)))
size=$(cat size)
[ ! -e driver ] || echo {dax} > driver/unbind
echo $block > size
echo 1 > ../dax_region/create
other=$(cat ../dax_region/create)
echo $block > ../$other/size
echo $((size - block)) > size
[ -e mapping1 ]
echo $other
"""


def split(guest, memory):
    """Make two devices, without drivers, of memory that is offline: the first one (memory.dax) has two ranges with the second block
    between them, the other one has that. Returns the other one's name."""
    return guest.out(SPLIT.format(dax=memory.dax)).split()[-1]


def to_kmem(guest, dax, online="online_movable"):
    set_policy(guest, online)
    guest.run(f"echo {dax} > /sys/bus/dax/drivers/kmem/bind")


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


def destroy(guest, region):
    """Take a region down by the manual procedure; nothing that cannot be moved may be in its memory."""
    blocks = block_range(guest, region)
    cxl_region.destroy(guest, region, blocks)
