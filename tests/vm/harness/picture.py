# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must be there again when a removal is called off, by the harness's own look: every memory block with its zone, devices with
their drivers and words, regions, namespaces, volumes, mounts, swap, frozen groups, the slots and the policy for new memory. Names that the
kernel gives anew each time (region0, dax0.0, pmem0) are left out: things are known by their addresses."""

import re
from dataclasses import dataclass

# Few processes: each costs an emulated machine a tenth of a second.
LOOK = r"""cd /sys/devices/system/memory && grep -H . auto_online_blocks memory*/state memory*/valid_zones
cd /sys/bus/cxl/devices && grep -H . region*/resource region*/size region*/mode region*/uuid region*/interleave_ways \
        region*/interleave_granularity region*/commit region*/target[0-9]* mem*/serial 2> /dev/null
[ ! -d /sys/bus/dax/devices ] || { cd /sys/bus/dax/devices && grep -H . dax*/resource dax*/size dax*/state 2> /dev/null; }
[ ! -d /sys/bus/nd/devices ] || { cd /sys/bus/nd/devices && grep -H . namespace*/uuid namespace*/size namespace*/mode 2> /dev/null; }
ls -ld /sys/bus/cxl/devices/region*/driver /sys/bus/cxl/devices/mem*/driver /sys/bus/dax/devices/*/driver \
        /sys/bus/nd/devices/namespace*/driver /sys/bus/pci_express/drivers/pciehp/*pcie* 2> /dev/null
grep -E 'System RAM|dax' /proc/iomem | sed 's/^/iomem /; s/dax[0-9]*[.]/dax/'
find /sys/fs/cgroup -name cgroup.freeze -exec grep -l 1 {} + | sed 's/^/frozen /'
true"""

LOOK_AT_STORAGE = r"""sed 's/^/mountinfo /' /proc/self/mountinfo | grep ' /mnt/'
awk 'NR > 1 {print "swap", $2, $3, $5}' /proc/swaps
dmsetup table 2> /dev/null | sed 's/ [0-9]*:[0-9]* / DEV /g; s/^/dm /' | grep -v 'No devices'
cat /sys/block/md*/md/uuid /sys/block/md*/md/degraded 2> /dev/null | sed 's/^/md /'
losetup -n -O NAME,BACK-FILE,OFFSET,RO | sed 's/^/loop /'
true"""

_ATTRIBUTE = re.compile(r"^([a-z]+[0-9.]*)/([a-z_0-9]+):(.*)$")
_DRIVER = re.compile(r"/devices/([^/]+)/driver -> .*/([^/]+)$")
_HELD = re.compile(r"/drivers/pciehp/(\S+) -> ")

# By what a thing is known.
_KEYS = {"region": "resource", "dax": "resource", "mem": "serial", "namespace": "uuid"}


def _mount(line):
    """Without the numbers that the kernel gives."""
    fields = line.split()
    split = fields.index("-")
    shared = sorted(word.split(":")[0] for word in fields[7:split])
    return " ".join(["mount", *fields[4:7], *shared, fields[split + 1], *fields[split + 3:]])


def _blocks(things):
    for name, values in things.items():
        if re.fullmatch(r"memory\d+", name):
            zone = values["valid_zones"].split(" ")[0] if values["state"] == "online" else ""
            yield f"{name} {values['state']} {zone}".rstrip()


def _named(things):
    for name, values in things.items():
        kind = name.rstrip("0123456789.")
        key = values.get(_KEYS.get(kind, ""))
        if key is not None:
            # Endpoint decoders are numbered anew with their card; how many there are shows all the same.
            told = (f"{what}={'set' if what.startswith('target') else value}" for what, value in sorted(values.items()))
            yield f"{kind} {key}: {' '.join(told)}"


@dataclass(frozen=True)
class Picture:
    """One look. Two are equal when nothing is missing, and nothing is more."""

    lines: tuple
    policy: str

    @staticmethod
    def take(lab):
        """The whole machine, as the guest and the slots' registers show it now."""
        things, rest = {}, []
        policy = ""
        for line in lab.sh(LOOK + ("\n" + LOOK_AT_STORAGE if lab.has_storage else "")).splitlines():
            attribute, driver, held = _ATTRIBUTE.match(line), _DRIVER.search(line), _HELD.search(line)
            if line.startswith("auto_online_blocks:"):
                policy = line.split(":", 1)[1]
                rest.append(f"policy {policy}")
            elif attribute:
                things.setdefault(attribute[1], {})[attribute[2]] = attribute[3]
            elif driver:
                things.setdefault(driver[1], {})["driver"] = driver[2]
            elif held:
                rest.append(f"slot's driver at {held[1]}")
            else:
                rest.append(_mount(line) if line.startswith("mountinfo ") else line)
        rest += _lights(lab)
        return Picture(tuple(sorted([*_blocks(things), *_named(things), *rest])), policy)

    def moved(self, one, other):
        """As it is with the cards of these two slots exchanged."""
        names = {f"slot {one}:": f"slot {other}:", f"slot {other}:": f"slot {one}:"}
        lines = (next((new + line.removeprefix(old) for old, new in names.items() if line.startswith(old)), line) for line in self.lines)
        return Picture(tuple(sorted(lines)), self.policy)

    def check(self, lab):
        """Fail the scenario unless everything is as it was."""
        now = Picture.take(lab)
        missing = sorted(set(self.lines) - set(now.lines))
        new = sorted(set(now.lines) - set(self.lines))
        lab.check(self.lines == now.lines, "the machine should be as it was before:\n"
                  + "\n".join([*(f"    was {line}" for line in missing), *(f"    is  {line}" for line in new)]))


def _lights(lab):
    for number in lab.guest.profile.slots:
        leds = lab.slot(number).leds()
        yield f"slot {number}: power={leds.power_on} light={leds.power} attention={leds.attention}"
