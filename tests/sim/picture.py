# SPDX-License-Identifier: LGPL-2.1-or-later
"""What there is on the recorded machine: the cards, what belongs to each, and a picture of all of it for comparison."""

import dataclasses
import os
import re
from pathlib import Path

SYS = Path("/sys")
MEMORY = SYS / "devices/system/memory"
CXL = SYS / "bus/cxl/devices"
PCI = SYS / "bus/pci/devices"
SLOTS = SYS / "bus/pci/slots"
IOMEM = Path("/proc/iomem")
EXP_CAPABILITY, LINK_STATUS, SLOT_CONTROL = 0x10, 0x12, 0x18
LIT, DARK = 1, 3

# Whatever is made anew has another number then.
NUMBERED = re.compile(r"(region|dax|endpoint|port)\d+(\.\d+)?")


def text(path):
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def number(path):
    word = text(path)
    return int(word, 0) if word else 0


def link(path):
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def registers(port):
    """Of a port with a slot: its indicators, whether the power is off, whether the link is up."""
    config = PCI / port / "config"
    c = config.read_bytes() if config.exists() else b""
    at = c[0x34] & 0xfc if len(c) > 0x40 else 0
    while at and c[at] != EXP_CAPABILITY:
        at = c[at + 1] & 0xfc
    if not at or len(c) < at + 0x1c:
        return None
    control, status = (int.from_bytes(c[at + reg:at + reg + 2], "little") for reg in (SLOT_CONTROL, LINK_STATUS))
    return {"attention": control >> 6 & 3, "power": control >> 8 & 3, "off": control >> 10 & 1, "link": status >> 13 & 1}


def iomem():
    """(start, end, name) of each line."""
    found = []
    for line in IOMEM.read_text().splitlines():
        match = re.match(r"\s*([0-9a-f]+)-([0-9a-f]+) : (.*)", line)
        if match:
            found.append((int(match[1], 16), int(match[2], 16), match[3]))
    return found


def block_range(block):
    size = int(text(MEMORY / "block_size_bytes"), 16)
    at = int(block.name.removeprefix("memory")) * size
    return at, at + size - 1


@dataclasses.dataclass
class Card:
    """What belongs to the card in a slot, by names that it had at the beginning."""
    slot: str
    port: str
    functions: set = dataclasses.field(default_factory=set)
    memdevs: set = dataclasses.field(default_factory=set)
    names: set = dataclasses.field(default_factory=set)
    blocks: set = dataclasses.field(default_factory=set)
    ranges: list = dataclasses.field(default_factory=list)

    def has_range(self, start, end):
        return any(first <= start and end <= last for first, last in self.ranges)

    def owns(self, key):
        """Whether a row of the picture is about this card."""
        kind, name = key[:2]
        if kind in ("region", "dax"):
            return self.has_range(name, name)
        if kind == "iomem":
            return self.has_range(*key[2:])
        if kind == "block": # one that came later, too
            return name in self.blocks or self.has_range(*block_range(MEMORY / name))
        return name in {"slot": {self.slot}, "port": {self.port}, "block": self.blocks}.get(kind, self.functions | self.memdevs)


def _endpoints_of(memdevs):
    return [endpoint for endpoint in CXL.glob("endpoint[0-9]*") if link(endpoint / "uport") in memdevs]


def card_of(slot):
    address = text(SLOTS / slot / "address")
    bus = int(address.split(":")[1], 16)
    port = next((device.name for device in PCI.iterdir() if number(device / "secondary_bus_number") == bus and device.name[:4] == address[:4]), None)
    card = Card(slot, port)
    if not port:
        return card
    below = f"/{port}/"
    card.functions = {device.name for device in PCI.iterdir() if below in os.path.realpath(device) + "/" and device.name != port}
    card.memdevs = {device.name for device in CXL.glob("mem[0-9]*") if below in os.path.realpath(device)}
    endpoints = _endpoints_of(card.memdevs)
    decoders = {decoder.name for endpoint in endpoints for decoder in endpoint.glob("decoder*")}
    card.names = {f"slots/{slot}"} | card.functions | card.memdevs | decoders | {port, f"{port}:pcie004"} | {endpoint.name for endpoint in endpoints}
    for region in CXL.glob("region[0-9]*"):
        targets = {text(target) for target in region.glob("target[0-9]*")}
        if targets & decoders:
            start = number(region / "resource")
            card.ranges.append((start, start + number(region / "size") - 1))
            card.names |= {region.name} | (targets - {""}) | {dax.name for dax in region.glob("dax_region*/dax[0-9]*")}
    card.blocks = {block.name for block in MEMORY.glob("memory[0-9]*") if card.has_range(*block_range(block))}
    card.names |= card.blocks
    card.ranges += [(start, end) for start, end, name in iomem() if name in card.functions | card.memdevs]
    return card


def cards():
    return {slot.name: card_of(slot.name) for slot in SLOTS.iterdir() if text(slot / "adapter") == "1"}


def _region(device):
    targets = []
    for target in sorted(device.glob("target[0-9]*")):
        decoder = CXL / text(target) if text(target) else None
        targets.append((link(decoder.resolve().parent / "uport"), decoder.name.split(".")[1], text(decoder / "dpa_size")) if decoder else None)
    return text(device / "size"), text(device / "commit"), text(device / "mode"), link(device / "driver"), text(device / "interleave_ways"), tuple(targets)


def picture():
    """{(kind, name or address): how it is}, by what does not change its name when it goes and comes again."""
    seen = {("policy", "auto-online"): text(MEMORY / "auto_online_blocks")}
    for block in MEMORY.glob("memory[0-9]*"):
        seen["block", block.name] = text(block / "state"), text(block / "valid_zones")
    for slot in SLOTS.iterdir():
        seen["slot", slot.name] = text(slot / "power"), text(slot / "attention"), text(slot / "adapter")
    for device in (SYS / "bus/pci_express/devices").glob("*:pcie004"):
        port = device.name[:12]
        seen["port", port] = link(device / "driver"), registers(port)
    for device in PCI.iterdir():
        seen["function", device.name] = link(device / "driver")
    for device in CXL.glob("mem[0-9]*"):
        seen["memdev", device.name] = link(device / "driver")
    for device in CXL.glob("region[0-9]*"):
        seen["region", number(device / "resource")] = _region(device)
    for device in (SYS / "bus/dax/devices").iterdir():
        seen["dax", number(device / "mapping0/start")] = text(device / "size"), link(device / "driver")
    for start, end, name in iomem():
        seen["iomem", NUMBERED.sub(r"\1", name), start, end] = True
    return seen


def truths(card):
    """What must be so before anybody is told that the card may be pulled: what is not, in words."""
    slot, seen = SLOTS / card.slot, registers(card.port)
    if not slot.exists():
        yield "the slot has no driver"
    if text(slot / "power") == "1" or not seen["off"]:
        yield "the slot has power"
    if seen["link"]:
        yield "the link is up"
    if (seen["attention"], seen["power"]) != (DARK, DARK):
        yield f"the lights are not dark: {seen}"
    for name in sorted(card.functions):
        if (PCI / name).exists():
            yield f"function {name} is there"
    for name in sorted(card.memdevs):
        if (CXL / name).exists():
            yield f"{name} is there"
    if _endpoints_of(card.memdevs):
        yield "an endpoint of its memory device is there"
    for name in sorted(card.blocks):
        if text(MEMORY / name / "state") == "online":
            yield f"{name} is online"
    for region in CXL.glob("region[0-9]*"):
        if card.has_range(*[number(region / "resource")] * 2):
            yield f"{region.name} is there"
    for dax in (SYS / "bus/dax/devices").iterdir():
        if card.has_range(*[number(dax / "mapping0/start")] * 2):
            yield f"{dax.name} is there"
    for start, end, name in iomem():
        if card.has_range(start, end):
            yield f"{start:x}-{end:x} is {name}"
