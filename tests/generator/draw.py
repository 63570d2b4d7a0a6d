# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines drawn by chance, and what is left of one when a part is taken out."""

import copy

NAMESPACES = (4026532700, 4026532701)
CONTAINERS = 4026532800     # namespaces from here on
OWN = ("proc", "tmpfs", "cgroup2", "mqueue")
LOWER_MAX = 3
# Who uses a device in the kernel, and is refused.
TARGETS = ("iblock", "nvmet", "passthru", "gadget", "scst", "o2cb", "zram")

# Recorded machines with memory cards, and the slots that have one.
BASES = {"ram2": ("2", "3"), "idle": ("2", "3"), "interleaved": ("2", "3")}
# The blocks of memory, all of them online, that each of the cards in these slots has a part in.
MEMORY = {"ram2": {"2": range(146, 150)}, "interleaved": {"2": range(146, 154), "3": range(146, 154)}}
_PORTS = "/sys/devices/platform/ACPI0017:00/root0"
_REGION = f"{_PORTS}/decoder0.0/region0"
_MEMORY = "/sys/devices/system/memory"
_BLOCK = 1 << 27
_WINDOW = 0x490000000 // _BLOCK, 0x590000000 // _BLOCK      # its blocks


def _change(slots, reason, *lines, **rest):
    """`rest`: "claim", a line more in /proc/iomem; "block", one in a zone; "offline", blocks; "at", where it lies; "decodes", what the card does."""
    return {"slots": list(slots), "reason": reason, "lines": list(lines), **rest}


def _kernel_zone(chance, slots, first, last):
    block = chance.randrange(first, last)
    return _change(slots, "a block of it is in a kernel zone", f"f\t{_MEMORY}/memory{block}/valid_zones\tNormal\\n", block=block)


def _offline(chance, first, last):
    blocks = chance.sample(range(first, last), chance.randint(1, last - first))
    return _change((), None, *(f"f\t{_MEMORY}/memory{block}/state\toffline\\n" for block in blocks), offline=blocks)


def _claim(chance, slots, first, last):
    """Somebody that nobody knows has addresses of it."""
    start = chance.randrange(first * _BLOCK, last * _BLOCK, 0x1000)
    end = chance.randrange(start, last * _BLOCK, 0x1000) + 0xfff
    return _change(slots, "somebody else has a claim on its addresses", claim=[start, end, "an odd driver"], at=[start, end])


def _unread(slots):
    return _change(slots, "nobody knows what lies where", "f\t/proc/iomem\t")


def _locked(slots):
    return _change(slots, "the firmware has locked its region", f"f\t{_REGION}/locked\t1\\n")


def _driver_of_dax(slots):
    return _change(slots, "an unknown driver has its dax device", f"l\t{_REGION}/dax_region0/dax0.0/driver\t../../../../../../../../bus/dax/drivers/oddball")


def _child(slots):
    folder = f"{_REGION}/sysram_region0"
    return _change(slots, "an unknown driver has a child of its region", f"l\t{folder}/driver\t../../../../../../../bus/cxl/drivers/cxl_sysram_region",
                   f"l\t{folder}/subsystem\t../../../../../../../bus/cxl",
                   f"l\t/sys/bus/cxl/devices/sysram_region0\t../../..{folder.removeprefix('/sys')}")


def _stray_block(chance, slots):
    block = chance.randrange(*_WINDOW)
    return _change(slots, "memory lies in the window, and nobody knows on which card", f"f\t{_MEMORY}/memory{block}/state\tonline\\n",
                   f"f\t{_MEMORY}/memory{block}/valid_zones\tMovable\\n", f"f\t{_MEMORY}/memory{block}/phys_index\t{block:08x}\\n", at=[block * _BLOCK, (block + 1) * _BLOCK - 1])


def _stray_dax(chance, slots):
    start = chance.randrange(_WINDOW[0] * _BLOCK, _WINDOW[1] * _BLOCK - _BLOCK, 1 << 21)
    folder = "/sys/devices/platform/hmem.0/dax7.0"
    attributes = (("size", _BLOCK), ("resource", f"{start:#x}"), ("target_node", 1), ("dev", "251:7"), ("align", 2097152),
                  ("uevent", "DEVNAME=dax7.0"))
    return _change(slots, "a dax device lies in the window, and nobody knows on which card",
                   "l\t/sys/bus/dax/devices/dax7.0\t../../../devices/platform/hmem.0/dax7.0",
                   *(f"f\t{folder}/{name}\t{value}\\n" for name, value in attributes), "d\t/sys/bus/dax/drivers/device_dax",
                   f"l\t{folder}/driver\t../../../../bus/dax/drivers/device_dax", f"l\t{folder}/subsystem\t../../../../bus/dax",
                   at=[start, start + _BLOCK - 1])


def _decoder(chance, slots):
    start = chance.randrange(_WINDOW[0], _WINDOW[1] - 4) * _BLOCK
    folder = f"{_PORTS}/port1/endpoint3"
    return _change(slots, "it decodes addresses without a region", f"f\t{folder}/decoders_committed\t1\\n",
                   f"f\t{folder}/decoder3.0/start\t{start:#x}\\n", f"f\t{folder}/decoder3.0/size\t{4 * _BLOCK:#x}\\n", decodes=[start, start + 4 * _BLOCK - 1])


def _nothing():
    return _change((), None, "f\t/sys/devices/virtual/block/vda/queue/odd\t\\x01\\x02")


def _changes(base, chance):
    """What may be done to the memory cards of a recorded machine: the slots that it concerns, why a plan for those may not be ready."""
    if base == "ram2":
        ours = 146, 150
        return [_kernel_zone(chance, ("2",), *ours), _offline(chance, *ours), _change((), None, f"-\t{_REGION}/driver"), _driver_of_dax(("2",)),
                _child(("2",)), _claim(chance, ("2",), *ours), _unread(("2", "3")), _locked(("2",)), _nothing()]
    if base == "interleaved":
        ours, both = (146, 154), ("2", "3")
        return [_kernel_zone(chance, both, *ours), _offline(chance, *ours), _driver_of_dax(both), _child(both), _claim(chance, both, *ours),
                _unread(both), _locked(both), _nothing()]
    if base == "idle":
        both = "2", "3"
        return [_stray_block(chance, both), _stray_dax(chance, both), _claim(chance, both, *_WINDOW), _decoder(chance, ("2",)), _unread(both), _nothing()]
    return []


class Draw:
    """One machine in the making."""

    def __init__(self, chance):
        self.chance = chance
        self.spec = {"base": None, "cards": [], "disks": [], "things": [], "changes": [], "target": ""}
        self.free = []          # block devices that nobody has yet
        self.mounted = []       # file systems of the host's namespace
        self.counts = {}

    def number(self, of):
        self.counts[of] = self.counts.get(of, -1) + 1
        return self.counts[of]

    def card(self, depth=0):
        slot = 16 + self.number("slot")
        kinds = ["nvme"] * 6 + ["switch"] * (2 if depth == 0 else 0) + ["nic", "odd", "vfio", "idle", "empty"]
        card = {"slot": slot, "kind": self.chance.choice(kinds)}
        if card["kind"] == "switch":
            card["cards"] = [self.card(depth + 1) for _ in range(self.chance.randint(1, 2))]
        elif card["kind"] == "nvme":
            card.update(disk=f"card{slot}", partitions=self.chance.randint(0, 3), other=self.other_path())
            parts = [f"card{slot}p{n}" for n in range(1, card["partitions"] + 1)]
            self.free += parts or [card["disk"]]
        return card

    def other_path(self):
        """Another controller that leads to the same disk, over the network; None: there is none."""
        return self.chance.choice([None, None, None, {"state": "live", "ana": "optimized"}, {"state": "live", "ana": "non-optimized"},
                                   {"state": "live", "ana": "inaccessible"}, {"state": "connecting", "ana": "optimized"}])

    def lower(self, most):
        """Some devices that nobody has; they are taken."""
        n = self.chance.randint(1, min(most, len(self.free)))
        taken = self.chance.sample(self.free, n)
        self.free = [name for name in self.free if name not in taken]
        return taken

    def thing(self):
        kinds = ["fs"] * 6 + ["dm", "md"] * 3 + ["btrfs"] * 2 + ["swap", "journal", "multipath", self.chance.choice(TARGETS)]
        if self.mounted:
            kinds += ["loop"] * 3 + ["overlay"] * 2 + ["container"] * 3 + ["swapfile"]
        kind = self.chance.choice(kinds)
        thing = {"kind": kind, "name": f"{kind}{self.number('thing')}", "number": self.number(kind)}
        if kind in ("loop", "swapfile"):
            thing.update(lower=[], on=self.chance.choice(self.mounted))
        elif kind in ("overlay", "container"):
            thing.update(lower=[], layers=self.chance.sample(self.mounted, self.chance.randint(1, min(3, len(self.mounted)))))
        else:
            thing["lower"] = self.lower(LOWER_MAX if kind in ("dm", "md", "btrfs") else 2 if kind in ("journal", "multipath") else 1)
        getattr(self, "_" + kind, lambda thing: None)(thing)
        if kind in ("dm", "md", "multipath", "loop"):
            self.free.append(thing["name"])
        return thing

    def _fs(self, thing):
        inside = self.chance.choice([None, None, *self.mounted])
        above = next((other["at"] for other in self.spec["things"] if other["name"] == inside), "/srv")
        thing.update(type=self.chance.choice(["ext4", "xfs"]), inside=inside, at=f"{above}/{thing['name']}",
                     namespaces=self.chance.sample(NAMESPACES, self.chance.choice([0, 0, 1, 2])))
        self.mounted.append(thing["name"])

    def _btrfs(self, thing):
        """On all of its devices at once, whichever the mount names."""
        thing.update(at=f"/pool/{thing['name']}", inside=None, namespaces=[])
        self.mounted.append(thing["name"])

    def _overlay(self, thing):
        """Of folders of other file systems; the last of them has what is written."""
        thing.update(at=f"/merged/{thing['name']}", inside=None, namespaces=[])
        self.mounted.append(thing["name"])

    def _container(self, thing):
        """An overlay that is the root of a namespace, with mounts of its own on it, which go with it."""
        thing.update(at="/", inside=None, namespaces=[CONTAINERS + thing["number"]], own=self.chance.sample(OWN, self.chance.randint(0, len(OWN))))

    def _journal(self, thing):
        """An ext4 on the first device; its journal is on the second one, where there is one."""
        thing.update(at=f"/srv/{thing['name']}", inside=None, namespaces=[])
        self.mounted.append(thing["name"])

    def _dm(self, thing):
        thing.update(uuid=self.chance.choice(["LVM-", "LVM-", "LVM-", "CRYPT-LUKS2-"]), suspended=self.chance.random() < 0.1)

    def _md(self, thing):
        n = len(thing["lower"])
        level = self.chance.choice(["raid0", "raid1"] + ["raid5"] * (n > 2))
        states = ["in_sync"] * n
        if level == "raid1" and n > 2 and self.chance.random() < 0.3:
            states[self.chance.randrange(n)] = "faulty"
        thing.update(level=level, states=states)


def draw(chance):
    """A machine, the same for the same state of chance."""
    d = Draw(chance)
    spec = d.spec
    spec["base"] = chance.choice([None, None, *BASES])
    spec["cards"] = [d.card() for _ in range(chance.randint(1, 3))]
    spec["disks"] = [f"sd{letter}" for letter in "abc"[:chance.randint(0, 3)]]
    d.free += spec["disks"]
    for _ in range(chance.randint(0, 9)):
        if d.free:
            spec["things"].append(d.thing())
    changes = _changes(spec["base"], chance)
    spec["changes"] = chance.sample(changes, chance.choice([0, 1, 1, 2]) if changes else 0)
    spec["target"] = chance.choice([*(str(card["slot"]) for card in _every(spec["cards"])), *BASES.get(spec["base"], ())])
    return spec


def _every(cards):
    for card in cards:
        yield card
        yield from _every(card.get("cards", ()))


def sound(spec):
    """Without what refers to parts that are not there; the target is the last thing to go."""
    spec = copy.deepcopy(spec)
    there = {"vda", *spec["disks"]}
    for card in _every(spec["cards"]):
        if card["kind"] == "nvme":
            there |= {card["disk"], *(f"{card['disk']}p{n}" for n in range(1, card["partitions"] + 1))}
    kept = []
    for thing in spec["things"]:
        needs = [*thing["lower"], *thing.get("layers", ()), *filter(None, (thing.get("on"), thing.get("inside")))]
        if all(name in there for name in needs):
            kept.append(thing)
            there.add(thing["name"])
    spec["things"] = kept
    return spec


def without_one_part(spec):
    """Every machine that has one part less."""
    for key in ("things", "changes", "disks"):
        for n in range(len(spec[key])):
            yield {**spec, key: spec[key][:n] + spec[key][n + 1:]}
    for n, card in enumerate(spec["cards"]):
        if spec["target"] not in {str(each["slot"]) for each in _every([card])}:
            yield {**spec, "cards": spec["cards"][:n] + spec["cards"][n + 1:]}
    if spec["base"] and spec["target"] not in BASES[spec["base"]]:
        yield {**spec, "base": None, "changes": []}
    for n, card in enumerate(spec["cards"]):
        if card.get("other"):
            yield {**spec, "cards": [*spec["cards"][:n], {**card, "other": None}, *spec["cards"][n + 1:]]}
    for n, thing in enumerate(spec["things"]):
        if thing["kind"] == "fs" and thing["namespaces"]:
            yield {**spec, "things": [*spec["things"][:n], {**thing, "namespaces": []}, *spec["things"][n + 1:]]}
