# SPDX-License-Identifier: LGPL-2.1-or-later
"""CXL regions over the guest's cards: made, looked at and taken down by plain writes to /sys, so that neither the
project's code nor the version of the cxl command (76, in Debian 12, makes no RAM regions) has a say in it."""

from .errors import LabError, Skip
from .slot import Slot

# Each card's first free endpoint decoder is programmed with all of the card, in the order of the interleave.
CREATE = """set -e
cd /sys/bus/cxl/devices
region=$(cat {decoder}/create_{mode}_region)
echo $region > {decoder}/create_{mode}_region
[ -z "{uuid}" ] || echo {uuid} > $region/uuid
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
        echo {mode} > $decoder/mode
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


def create(guest, slots, mode, window=0, uuid=""):
    """A region over the cards in these slots, in this order, of all their memory; mode is "ram" or "pmem". Returns the
    kernel's name for it."""
    memdevs = [Slot(guest, number).memdev() for number in slots]
    if None in memdevs:
        raise LabError(f"no card in one of the slots {slots}")
    if mode == "ram" and not guest.succeeds(f"test -e /sys/bus/cxl/devices/decoder0.{window}/create_ram_region"):
        raise Skip("this kernel makes no regions of volatile CXL memory")
    size = int(guest.out(f"cat /sys/bus/cxl/devices/{memdevs[0]}/{mode}/size"), 0)
    made = guest.out(CREATE.format(decoder=f"decoder0.{window}", mode=mode, uuid=uuid, ways=len(memdevs), size=size,
                                   memdevs=" ".join(memdevs)))
    return made.split()[-1]


def names(guest):
    """The regions that exist, highest address first: the order in which they can be taken down."""
    listed = guest.out("cd /sys/bus/cxl/devices && for region in region*; do "
                       "[ ! -e $region ] || echo $region $(cat $region/resource); done")
    found = [line.split() for line in listed.splitlines()]
    return [line[0] for line in sorted(found, key=lambda line: -int(line[1], 0) if len(line) > 1 else 0)]


def destroy(guest, region, blocks=()):
    """Take a region down by the manual procedure; of System RAM the numbers of its memory blocks have to be told."""
    guest.run(DESTROY.format(region=region, blocks=" ".join(map(str, blocks))), timeout=120)
