# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads PCI configuration registers from outside the guest, through QEMU: also while it is busy or hung."""

import re

from .errors import LabError

# Where the board's firmware (SeaBIOS on q35) puts the memory-mapped configuration space.
ECAM = 0xB0000000
CAPABILITY_LIST = 0x34
EXPRESS = 0x10


def _address(bdf):
    bus, device, function = (int(part, 16) for part in re.fullmatch(r"0000:(..):(..)\.(.)", bdf).groups())
    return ECAM + (bus << 20) + (device << 15) + (function << 12)


def read(qmp, bdf, offset):
    """One register of 32 bits."""
    address = _address(bdf) + offset
    answer = qmp("human-monitor-command", **{"command-line": f"xp /1wx {address:#x}"})
    found = re.search(r": 0x([0-9a-f]{8})", answer)
    if not found:
        raise LabError(f"cannot read the configuration space of {bdf}: {answer.strip()}")
    return int(found.group(1), 16)


def express_capability(qmp, bdf):
    """The offset of the PCI Express capability."""
    pointer = read(qmp, bdf, CAPABILITY_LIST) & 0xFC
    while pointer:
        header = read(qmp, bdf, pointer)
        if header & 0xFF == EXPRESS:
            return pointer
        pointer = header >> 8 & 0xFC
    raise LabError(f"{bdf} has no PCI Express capability")
