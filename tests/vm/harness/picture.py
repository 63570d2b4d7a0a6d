# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must be there again when a removal is called off, by the harness's own look: every memory block with its zone, devices with
their drivers and words, regions, decoders, namespaces, disks and volumes with what they stand on, mounts of every namespace with their
order, swap, exports, frozen groups, stopped processes, the slots with lights and links, functions and the policy for new memory. Names
that the kernel gives anew each time (region0, dax0.0, pmem0) are left out: things are known by their addresses."""

import re
from dataclasses import dataclass, replace

# Few processes: each costs an emulated machine a tenth of a second.
LOOK = r"""cd /sys/devices/system/memory && grep -H . auto_online_blocks memory*/state memory*/valid_zones
cd /sys/bus/cxl/devices && grep -H . region*/resource region*/size region*/mode region*/uuid region*/interleave_ways \
        region*/interleave_granularity region*/commit region*/target[0-9]* mem*/serial 2> /dev/null
[ ! -d /sys/bus/dax/devices ] || { cd /sys/bus/dax/devices && grep -H . dax*/resource dax*/size dax*/state 2> /dev/null; }
[ ! -d /sys/bus/nd/devices ] || { cd /sys/bus/nd/devices && grep -H . namespace*/uuid namespace*/size namespace*/mode 2> /dev/null; }
cd /sys/bus/cxl/devices && for d in endpoint*/decoder*; do
        [ ! -e $d/dpa_size ] || { read -r start < $d/start; read -r size < $d/size; read -r dpa < $d/dpa_size; echo decoder $start $size $dpa; }
done
ls -ld /sys/bus/pci/devices/*/driver /sys/bus/cxl/devices/region*/driver /sys/bus/cxl/devices/mem*/driver /sys/bus/dax/devices/*/driver \
        /sys/bus/nd/devices/namespace*/driver /sys/bus/pci_express/drivers/pciehp/*pcie* 2> /dev/null
grep -E 'System RAM|dax' /proc/iomem | sed 's/^/iomem /; s/dax[0-9]*[.]/dax/'
find /sys/fs/cgroup -name cgroup.freeze -exec grep -l 1 {} + | sed 's/^/frozen /'
grep -ls '^State:.T (stopped)' /proc/[0-9]*/status | sed 's/^/stopped /'
true"""

# A disk of persistent memory has another name each time, and volumes other numbers.
LOOK_AT_STORAGE = r"""lsns -t mnt -n -r -o NS,PID | while read -r ns pid; do
        while read -r line; do case $line in *" /mnt/"*) echo mountinfo $ns $line ;; esac; done 2> /dev/null < /proc/$pid/mountinfo
        echo namespace $ns
done
cd /sys/class/block && for d in *; do
        case $d in nvme*c*|ram*|loop*) continue ;; pmem*) name=pmem ;; dm-*) read -r name < $d/dm/name ;; md*) name=md ;; *) name=$d ;; esac
        read -r size < $d/size; read -r ro < $d/ro; echo block $name size=$size ro=$ro
done 2> /dev/null
grep -H . dm-*/dm/suspended md*/md/level md*/md/dev-*/state 2> /dev/null | sed 's/pmem[0-9.s]*/pmem/; s/^dm-[0-9]*/dm/; s/^md[0-9]*/md/; s/^/volume /'
grep -rsH . /sys/kernel/config/nvmet /sys/kernel/config/target --include=device_path --include=udev_path --include=enable | sed 's/^/export /'
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


def _mounts(lines):
    """Without the numbers that the kernel gives, but for the namespace's; with what each stands on, which tells the order."""
    tables = [line.split()[1:] for line in lines]
    places = {(fields[0], fields[1]): fields[5] for fields in tables}
    for fields in tables:
        split = fields.index("-")
        shared = sorted(word.split(":")[0] for word in fields[7:split])
        on = places.get((fields[0], fields[2]), "the rest")
        yield " ".join(["mount in", fields[0], *fields[4:7], *shared, fields[split + 1], *fields[split + 3:], "on", on])


def _blocks(things):
    for name, values in things.items():
        if re.fullmatch(r"memory\d+", name):
            zone = values["valid_zones"].split(" ")[0] if values["state"] == "online" else ""
            yield f"{name} {values['state']} {zone}".rstrip()


def _functions(things):
    for name, values in things.items():
        if re.fullmatch(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}[.][0-7]", name):
            yield f"function {name} {values['driver']}"


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
    namespaces: frozenset = frozenset()
    has_moved: bool = False     # the functions of its cards have other addresses

    @staticmethod
    def take(lab):
        """The whole machine, as the guest and the slots' registers show it now."""
        things, rest, mounts, namespaces = {}, [], [], set()
        policy = ""
        for line in lab.sh(LOOK + ("\n" + LOOK_AT_STORAGE if lab.has_storage else "")).splitlines():
            attribute, driver, held = _ATTRIBUTE.match(line), _DRIVER.search(line), _HELD.search(line)
            if line.startswith("auto_online_blocks:"):
                policy = line.split(":", 1)[1]
            elif attribute:
                things.setdefault(attribute[1], {})[attribute[2]] = attribute[3]
            elif driver:
                things.setdefault(driver[1], {})["driver"] = driver[2]
            elif held:
                rest.append(f"slot's driver at {held[1]}")
            elif line.startswith("mountinfo "):
                mounts.append(line)
            elif line.startswith("namespace "):
                namespaces.add(line.split()[1])
            else:
                rest.append(line)
        rest += [*_mounts(mounts), *_lights(lab)]
        return Picture(tuple(sorted([*_blocks(things), *_named(things), *_functions(things), *rest])), policy, frozenset(namespaces))

    def moved(self, one, other):
        """As it is with the cards of these two slots exchanged."""
        names = {f"slot {one}:": f"slot {other}:", f"slot {other}:": f"slot {one}:"}
        lines = (next((new + line.removeprefix(old) for old, new in names.items() if line.startswith(old)), line) for line in self.lines)
        return replace(self, lines=tuple(sorted(lines)), has_moved=True)

    def on_card(self, serial, now):
        """As it is with another card like the one that had this serial number."""
        was, now = (f"mem {number:#x}: driver=cxl_mem serial={number:#x}" for number in (serial, now))
        return replace(self, lines=tuple(sorted(now if line == was else line for line in self.lines)))

    def _compared(self, namespaces, functions):
        """A mount that ended or began with its namespace is none that was lost or won."""
        return [f"policy {self.policy}",
                *(line for line in self.lines if (line.split()[2] in namespaces if line.startswith("mount in ")
                                                  else functions or not line.startswith("function ")))]

    def check(self, lab):
        """Fail the scenario unless everything is as it was."""
        now = Picture.take(lab)
        both = self.namespaces & now.namespaces
        lines, lines_now = (picture._compared(both, functions=not self.has_moved) for picture in (self, now))
        missing, new = sorted(set(lines) - set(lines_now)), sorted(set(lines_now) - set(lines))
        lab.check(lines == lines_now, "the machine should be as it was before:\n"
                  + "\n".join([*(f"    was {line}" for line in missing), *(f"    is  {line}" for line in new)]))


def _lights(lab):
    for number in lab.guest.profile.slots:
        leds = lab.slot(number).leds()
        yield f"slot {number}: power={leds.power_on} light={leds.power} attention={leds.attention} card={leds.present}"
