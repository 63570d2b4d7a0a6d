# SPDX-License-Identifier: LGPL-2.1-or-later
"""Persistent memory: regions over CXL cards or of the NVDIMM on the board, and the namespaces on them."""

import json
import shlex
import uuid as uuids
from dataclasses import dataclass

from . import cxl_region
from .errors import LabError

APPEAR_TIMEOUT = 30

# Regions of nvdimm buses have the same names as CXL's and are other things; they are found by the address.
FIND_BY_ADDRESS = """for region in /sys/bus/nd/devices/region*; do
        [ ! -e $region ] || [ $(($(cat $region/resource))) != $(({start})) ] || echo ${{region##*/}}
done"""
FIND_BY_PROVIDER = """for region in /sys/bus/nd/devices/ndbus*/region*; do
        [ ! -e $region ] || [ "$(cat ${region%/*}/provider)" != ACPI.NFIT ] || echo ${region##*/}
done"""

# The board's module comes without labels, as one namespace that nobody asked for.
LABEL = """set -e
nmem=$(ndctl list -D -r {region} | sed -n 's/.*"dev":"\\(nmem[0-9]*\\)".*/\\1/p')
ndctl disable-region {region}
ndctl init-labels -f $nmem
ndctl enable-region {region}"""


@dataclass(frozen=True)
class Namespace:
    """A namespace and the device that it is: /dev/pmemN (fsdax, sector, raw) or /dev/daxX.Y (devdax)."""

    name: str
    uuid: str
    mode: str
    device: str


@dataclass(frozen=True)
class Pmem:
    """A region of persistent memory. `cxl` is the name of the CXL region below it, None for the board's module."""

    guest: object
    region: str
    cxl: str
    uuid: str

    def namespace(self, mode="fsdax", mib=64, name="", **options):
        """Make a namespace. Small is quick. mib=None: all there is."""
        words = ["ndctl", "create-namespace", "-r", self.region, "-m", mode]
        # In the card itself, the page structures would first have to be written there.
        words += ["-M", "mem"] if mode in ("fsdax", "devdax") else []
        words += ["-s", f"{mib}M"] if mib else []
        words += ["-n", name] if name else []
        words += [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
        return _namespace(json.loads(self.guest.out(shlex.join(words))))

    def namespaces(self):
        """Those that there are now, enabled."""
        listed = json.loads(self.guest.out(f"ndctl list -N -r {self.region}") or "[]")
        return [_namespace(item) for item in (listed if isinstance(listed, list) else [listed])]

    def exists(self):
        return self.guest.succeeds(f"test -e /sys/bus/cxl/devices/{self.cxl}")


def _namespace(item):
    if "daxregion" in item:
        device = item["daxregion"]["devices"][0]["chardev"]
    else:
        device = item.get("blockdev")
    return Namespace(item["dev"], item["uuid"], item["mode"], f"/dev/{device}")


def create(guest, *slots, uuid=None, window=0):
    """A region over the persistent cards in these slots. With the uuid of an earlier one over the same cards, the
    namespaces that were on it come back by themselves."""
    uuid = uuid or str(uuids.uuid4())
    cxl = cxl_region.create(guest, slots, "pmem", window, uuid)
    start = guest.out(f"cat /sys/bus/cxl/devices/{cxl}/resource")
    region = guest.wait_for(lambda: guest.out(FIND_BY_ADDRESS.format(start=start)), APPEAR_TIMEOUT, f"the nvdimm region of {cxl}")
    guest.run("udevadm settle -t 20")
    return Pmem(guest, region, cxl, uuid)


def board(guest):
    """The region of the NVDIMM on the board, with labels and without namespaces."""
    region = guest.out(FIND_BY_PROVIDER)
    if not region:
        raise LabError("this machine has no NVDIMM: it takes the profile mixed")
    guest.run(LABEL.format(region=region))
    return Pmem(guest, region, None, None)
