# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines drawn by chance, and what is left of one when a part is taken out."""

import copy

NAMESPACES = (4026532700, 4026532701)
LOWER_MAX = 3

# Recorded machines with memory cards, the slots that have one, and what may be done to them: (slots that it concerns, why a plan for
# those may not be ready, the lines).
BASES = {"ram2": ("2", "3"), "idle": ("2", "3"), "interleaved": ("2", "3")}
_REGION = "/sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0"
CHANGES = {
    "ram2": [
        (("2",), "a block of it is in a kernel zone", ["f\t/sys/devices/system/memory/memory147/valid_zones\tNormal\\n"]),
        (("2",), None, [f"-\t{_REGION}/driver"]),
        (("2",), "an unknown driver has its dax device", [f"l\t{_REGION}/dax_region0/dax0.0/driver\t../../../../../../../../bus/dax/drivers/oddball"]),
        (("2", "3"), "nobody knows what lies where", ["f\t/proc/iomem\t"]),
        (("2",), "the firmware has locked its region", [f"f\t{_REGION}/locked\t1\\n"]),
        (("2",), None, ["f\t/sys/devices/system/memory/memory149/state\toffline\\n"]),
        ((), None, ["f\t/sys/devices/virtual/block/vda/queue/odd\t\\x01\\x02"]),
    ],
}


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
            card.update(disk=f"card{slot}", partitions=self.chance.randint(0, 3))
            parts = [f"card{slot}p{n}" for n in range(1, card["partitions"] + 1)]
            self.free += parts or [card["disk"]]
        return card

    def lower(self, most):
        """Some devices that nobody has; they are taken."""
        n = self.chance.randint(1, min(most, len(self.free)))
        taken = self.chance.sample(self.free, n)
        self.free = [name for name in self.free if name not in taken]
        return taken

    def thing(self):
        kinds = ["fs"] * 6 + ["dm", "md"] * 3 + ["swap", "iblock", "nvmet", "o2cb", "zram"] + ["loop"] * (3 if self.mounted else 0)
        kind = self.chance.choice(kinds)
        thing = {"kind": kind, "name": f"{kind}{self.number('thing')}", "number": self.number(kind)}
        if kind == "loop":
            thing.update(lower=[], on=self.chance.choice(self.mounted))
        else:
            thing["lower"] = self.lower(LOWER_MAX if kind in ("dm", "md") else 1)
        getattr(self, "_" + kind, lambda thing: None)(thing)
        if kind in ("dm", "md", "loop"):
            self.free.append(thing["name"])
        return thing

    def _fs(self, thing):
        inside = self.chance.choice([None, None, *self.mounted])
        above = next((other["at"] for other in self.spec["things"] if other["name"] == inside), "/srv")
        thing.update(type=self.chance.choice(["ext4", "xfs"]), inside=inside, at=f"{above}/{thing['name']}",
                     namespaces=self.chance.sample(NAMESPACES, self.chance.choice([0, 0, 1, 2])))
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
    spec["base"] = chance.choice([None, None, None, *BASES])
    spec["cards"] = [d.card() for _ in range(chance.randint(1, 3))]
    spec["disks"] = [f"sd{letter}" for letter in "abc"[:chance.randint(0, 3)]]
    d.free += spec["disks"]
    for _ in range(chance.randint(0, 9)):
        if d.free:
            spec["things"].append(d.thing())
    changes = CHANGES.get(spec["base"], [])
    for slots, reason, lines in chance.sample(changes, chance.choice([0, 0, 1, 2]) if changes else 0):
        spec["changes"].append({"slots": list(slots), "reason": reason, "lines": lines})
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
        needs = [*thing["lower"], *filter(None, (thing.get("on"), thing.get("inside")))]
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
    for n, thing in enumerate(spec["things"]):
        if thing.get("namespaces"):
            yield {**spec, "things": [*spec["things"][:n], {**thing, "namespaces": []}, *spec["things"][n + 1:]]}
