# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine as a value, and the recorded machine that it looks like.

A machine is {"cards": [...], "disks": [...], "things": [...], "changes": [...], "base": name or None, "target": slot}. Cards sit in slots,
disks belong to the board; things stand on block devices or on each other, in the order in which they were made; changes are what was
done to the memory cards of a recorded machine. Everything names everything else by its name, so that a part can be taken out and the
rest still means something: what refers to a part that is not there is left out as well.
"""

from pathlib import Path

ROOTS = Path(__file__).resolve().parent.parent / "roots"
NS_HOST = 4026531841

# Configuration space of a port with a slot that has a button, a switch and both lights; the number of the slot is put in.
_PORT = bytearray.fromhex(next(line.split("\t")[2] for line in (ROOTS / "cases/nested-slots.root").read_text().splitlines()
                               if line.startswith("b\t")))
_SLOT_CAPABILITIES = next(at for at in range(0x40, 0xf0, 4) if _PORT[at] == 0x10) + 0x14


def _port_config(number):
    config = bytearray(_PORT)
    at = _SLOT_CAPABILITIES
    capabilities = int.from_bytes(config[at:at + 4], "little") & 0x7ffff | number << 19
    config[at:at + 4] = capabilities.to_bytes(4, "little")
    return config.hex()


class Root:
    """The lines of a recorded machine."""

    def __init__(self):
        self.lines = []

    def include(self, name):
        for line in (ROOTS / f"{name}.root").read_text().splitlines():
            if line.startswith("i\t"):
                self.include(line.split("\t")[1].removesuffix(".root"))
            elif line and not line.startswith("#"):
                self.lines.append(line)

    def file(self, path, text):
        text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
        self.lines.append(f"f\t{path}\t{text}")

    def folder(self, path):
        self.lines.append(f"d\t{path}")

    def link(self, path, to):
        self.lines.append(f"l\t{path}\t{to}")

    def device_link(self, path, device):
        """A link from a folder of the bus or class to a device below /sys/devices."""
        up = "../" * (path.count("/") - 2)
        self.link(path, up + device.removeprefix("/sys/"))


class Machine:
    """Lays a machine out; afterwards `dev` has the number of each block device, `path` its folder."""

    def __init__(self, spec):
        self.spec = spec
        self.root = Root()
        self.path = {}
        self.dev = {}
        self.mounts = {NS_HOST: []}
        self.pids = {NS_HOST: 1}
        self.rooted = set()     # namespaces whose root is something else than the host's
        self.functions = {}
        self._disk = 0
        self._bus = 0x40
        self._extended = 0
        self._mount_id = 90
        self._swaps = ""

    def lines(self):
        self._base()
        for card in self.spec["cards"]:
            self._card(card, "/sys/devices/pci0000:00", f"0000:00:{card['slot']:02x}.0")
        for name in self.spec["disks"]:
            self.block(name, f"/sys/devices/virtual/block/{name}", f"8:{16 * len(self.dev)}")
        for thing in self.spec["things"]:
            getattr(self, "_" + thing["kind"].replace("-", "_"))(thing)
        for change in self.spec["changes"]:
            self.root.lines += change["lines"]
            if change.get("claim"):
                self._claim(*change["claim"])
        self._processes()
        return self.root.lines

    # -- what every machine has -------------------------------------------------------------------------------------------

    def _base(self):
        if self.spec["base"]:
            self.root.include(self.spec["base"])
        for bus in ("pci", "pci_express", "cxl", "dax", "nd"):
            self.root.folder(f"/sys/bus/{bus}/devices")
        self.root.folder("/sys/bus/pci/slots")
        # What sits on the pages of this machine says nothing about the one that is made here.
        self.root.file("/proc/kpageflags", "")
        self.block("vda", "/sys/devices/virtual/block/vda", "254:0", sectors=4194304)
        if self.spec["base"]:
            return
        self.root.file("/sys/devices/system/memory/block_size_bytes", "8000000\n")
        self.root.file("/sys/devices/system/memory/auto_online_blocks", "offline\n")
        for block in range(32, 34):
            folder = f"/sys/devices/system/memory/memory{block}"
            self.root.file(f"{folder}/state", "online\n")
            self.root.file(f"{folder}/valid_zones", "Normal\n")
            self.root.file(f"{folder}/phys_index", f"{block:08x}\n")
            self.root.link(f"{folder}/node0", "../../node/node0")
        self.root.file("/sys/devices/system/node/node0/meminfo", "Node 0 MemTotal: 2963144 kB\nNode 0 MemFree: 2817380 kB\n")
        self.root.file("/sys/devices/system/node/node0/cpulist", "0-1\n")
        self.root.file("/proc/iomem", "00001000-7ffd3fff : System RAM\n100000000-13fffffff : System RAM\n")

    def _processes(self):
        for namespace, mounts in self.mounts.items():
            pid = self.pids[namespace]
            root = [] if namespace in self.rooted else ["25 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw"]
            self.root.file(f"/proc/{pid}/mountinfo", "\n".join(root + mounts) + "\n")
            self.root.link(f"/proc/{pid}/root", "/")
            self.root.link(f"/proc/{pid}/ns/mnt", f"mnt:[{namespace}]")
        self.root.file("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" + self._swaps)

    def _claim(self, start, end, name):
        """A line more in /proc/iomem, below the last one that has all of it."""
        at = max(n for n, line in enumerate(self.root.lines) if line.startswith("f\t/proc/iomem\t"))
        lines = self.root.lines[at].split("\t")[2].removesuffix("\\n").split("\\n")
        for n in range(len(lines) - 1, -1, -1):
            first, last = (int(part, 16) for part in lines[n].split(" : ")[0].split("-")) if lines[n] else (0, -1)
            if first <= start and end <= last:
                depth = len(lines[n]) - len(lines[n].lstrip()) + 2
                lines.insert(n + 1, f"{'':{depth}}{start:08x}-{end:08x} : {name}")
                self.root.lines[at] = "f\t/proc/iomem\t" + "\\n".join(lines) + "\\n"
                return

    # -- cards ------------------------------------------------------------------------------------------------------------

    def _function(self, path, bdf, ids, driver):
        vendor, device, device_class = ids
        self.root.device_link(f"/sys/bus/pci/devices/{bdf}", path)
        self.root.file(f"{path}/vendor", f"{vendor:#06x}\n")
        self.root.file(f"{path}/device", f"{device:#06x}\n")
        self.root.file(f"{path}/class", f"{device_class:#08x}\n")
        self.root.link(f"{path}/subsystem", "../" * (path.count("/") - 1) + "bus/pci")
        if driver:
            self.root.folder(f"/sys/bus/pci/drivers/{driver}")
            self.root.link(f"{path}/driver", "../" * (path.count("/") - 1) + f"bus/pci/drivers/{driver}")

    def _port(self, folder, bdf, slot, service):
        """A port with a hot-plug slot; gives its folder and the bus below it."""
        path = f"{folder}/{bdf}"
        bus = self._bus = self._bus + 1
        self._function(path, bdf, (0x1b36, 0x000c, 0x060400), "pcieport")
        self.root.file(f"{path}/secondary_bus_number", f"{bus}\n")
        self.root.lines.append(f"b\t{path}/config\t{_port_config(slot)}")
        self.root.device_link(f"/sys/bus/pci_express/devices/{bdf}:{service}", f"{path}/{bdf}:{service}")
        self.root.folder("/sys/bus/pci_express/drivers/pciehp")
        up = "../" * path.count("/")
        self.root.link(f"{path}/{bdf}:{service}/driver", f"{up}bus/pci_express/drivers/pciehp")
        self.root.link(f"{path}/{bdf}:{service}/subsystem", f"{up}bus/pci_express")
        for name, text in (("address", f"0000:{bus:02x}:00"), ("power", "1"), ("adapter", "1"), ("attention", "0")):
            self.root.file(f"/sys/bus/pci/slots/{slot}/{name}", f"{text}\n")
        return path, bus

    def _card(self, card, folder, bdf, service="pcie004"):
        path, bus = self._port(folder, bdf, card["slot"], service)
        below = f"0000:{bus:02x}:00.0"
        self.functions[card["slot"]] = below
        if card["kind"] == "switch":
            upstream = f"{path}/{below}"
            self._function(upstream, below, (0x1b21, 0x2824, 0x060400), "pcieport")
            inner_bus = self._bus = self._bus + 1
            for number, inner in enumerate(card["cards"]):
                self._card(inner, upstream, f"0000:{inner_bus:02x}:{4 * (number + 1):02x}.0", "pcie204")
        elif card["kind"] == "nvme":
            self._nvme(card, f"{path}/{below}", below)
        elif card["kind"] != "empty":
            ids, driver, child = {
                "nic": ((0x8086, 0x1533, 0x020000), "igb", "net/enp4s0"),
                "odd": ((0x1b36, 0x0010, 0x010802), "pciback", None),
                "vfio": ((0x10de, 0x2330, 0x030200), "vfio-pci", None),
                "idle": ((0x1af4, 0x1005, 0x00ff00), None, None),
            }[card["kind"]]
            self._function(f"{path}/{below}", below, ids, driver)
            if child:
                subsystem = child.split("/", maxsplit=1)[0]
                up = "../" * ((f"{path}/{below}/{child}").count("/") - 1)
                self.root.link(f"{path}/{below}/{child}/subsystem", f"{up}class/{subsystem}")

    def _nvme(self, card, path, bdf):
        self._function(path, bdf, (0x1b36, 0x0010, 0x010802), "nvme")
        controller = f"nvme{self._disk}"
        self._disk += 1
        up = "../" * ((f"{path}/nvme/{controller}").count("/") - 1)
        self.root.link(f"{path}/nvme/{controller}/subsystem", f"{up}class/nvme")
        self.root.file(f"{path}/nvme/{controller}/uevent", f"DEVNAME={controller}\n")
        self.root.file(f"{path}/nvme/{controller}/serial", f"SN-{self._disk:04}            \n")
        disk, folder = card["disk"], f"{path}/nvme/{controller}"
        if card.get("other"):
            folder = self._shared(card["other"], controller, folder)
        self.block(disk, f"{folder}/{controller}n1", kernel=f"{controller}n1", sectors=2097152)
        for number in range(1, card["partitions"] + 1):
            part = f"{self.path[disk]}/{controller}n1p{number}"
            self.block(f"{disk}p{number}", part, kernel=f"{controller}n1p{number}")
            self.root.file(f"{part}/partition", f"{number}\n")

    def _shared(self, other, controller, folder):
        """A namespace that two controllers lead to: its disk is of neither, each has a hidden one. Gives the disk's folder."""
        number = controller.removeprefix("nvme")
        far = f"/sys/devices/virtual/nvme-fabrics/ctl/nvme{100 + int(number)}"
        for path, state, ana in ((folder, "live", "optimized"), (far, other["state"], other["ana"])):
            name = path.rsplit("/", 1)[-1]
            hidden = f"{path}/nvme{number}c{name.removeprefix('nvme')}n1"
            self.root.device_link(f"/sys/class/nvme/{name}", path)
            self.root.file(f"{path}/state", f"{state}\n")
            self.root.device_link(f"/sys/class/block/{hidden.rsplit('/', 1)[-1]}", hidden)
            for attribute, text in (("size", 2097152), ("ro", 0), ("hidden", 1), ("ana_state", ana)):
                self.root.file(f"{hidden}/{attribute}", f"{text}\n")
            self.root.link(f"{hidden}/device", "..")
            self.root.link(f"{hidden}/subsystem", "../" * (hidden.count("/") - 1) + "class/block")
            self.root.folder(f"{hidden}/slaves")
        return f"/sys/devices/virtual/nvme-subsystem/nvme-subsys{number}"

    # -- block devices ----------------------------------------------------------------------------------------------------

    def block(self, name, path, dev=None, sectors=524288, kernel=None, lower=()):
        """One block device; `name` is what the machine calls it, `kernel` what the kernel does."""
        if dev is None:
            dev = f"259:{self._extended}"
            self._extended += 1
        kernel = kernel or name
        self.path[name], self.dev[name] = path, dev
        self.root.device_link(f"/sys/class/block/{kernel}", path)
        self.root.file(f"{path}/dev", f"{dev}\n")
        self.root.file(f"{path}/size", f"{sectors}\n")
        self.root.file(f"{path}/ro", "0\n")
        self.root.file(f"{path}/uevent", f"DEVNAME={kernel}\n")
        self.root.link(f"{path}/subsystem", "../" * (path.count("/") - 1) + "class/block")
        self.root.folder(f"{path}/slaves")
        self.root.folder(f"{path}/holders")
        for other in lower:
            self.root.device_link(f"{path}/slaves/{self.kernel(other)}", self.path[other])
            self.root.device_link(f"{self.path[other]}/holders/{kernel}", path)

    def kernel(self, name):
        return self.path[name].rsplit("/", 1)[-1]

    def _virtual(self, thing, kernel, dev):
        path = f"/sys/devices/virtual/block/{kernel}"
        self.block(thing["name"], path, dev, kernel=kernel, lower=thing["lower"])
        return path

    def _dm(self, thing):
        number = thing["number"]
        path = self._virtual(thing, f"dm-{number}", f"252:{number}")
        self.root.file(f"{path}/dm/name", f"{thing['name']}\n")
        self.root.file(f"{path}/dm/uuid", f"{thing['uuid']}{number:032x}\n")
        self.root.file(f"{path}/dm/suspended", f"{int(thing['suspended'])}\n")

    def _multipath(self, thing):
        number = 64 + thing["number"]
        path = self._virtual(thing, f"dm-{number}", f"252:{number}")
        self.root.file(f"{path}/dm/name", f"{thing['name']}\n")
        self.root.file(f"{path}/dm/uuid", f"mpath-3600{number:028x}\n")
        self.root.file(f"{path}/dm/suspended", "0\n")

    def _md(self, thing):
        number = thing["number"]
        path = self._virtual(thing, f"md{number}", f"9:{number}")
        self.root.device_link(f"/sys/block/md{number}", path)
        missing = sum(state != "in_sync" for state in thing["states"])
        for name, text in (("level", thing["level"]), ("raid_disks", len(thing["lower"])), ("metadata_version", "1.2"),
                           ("uuid", f"11111111-2222-3333-4444-{number:012x}"), ("degraded", missing), ("array_state", "clean"),
                           ("sync_action", "idle")):
            self.root.file(f"{path}/md/{name}", f"{text}\n")
        for member, state in zip(thing["lower"], thing["states"]):
            self.root.file(f"{path}/md/dev-{self.kernel(member)}/state", f"{state}\n")

    def _loop(self, thing):
        number = thing["number"]
        path = self._virtual({**thing, "lower": []}, f"loop{number}", f"7:{number}")
        self.root.file(f"{path}/loop/backing_file", f"{self._mount_point(thing['on'])}/{thing['name']}.img\n")
        for name in ("offset", "sizelimit", "autoclear", "dio", "partscan"):
            self.root.file(f"{path}/loop/{name}", "0\n")

    # -- what stands on them ----------------------------------------------------------------------------------------------

    def _mount_point(self, name):
        return next(thing["at"] for thing in self.spec["things"] if thing.get("name") == name)

    def _fs(self, thing):
        dev = self.dev[thing["name"]] = self.dev[thing["lower"][0]]
        parent = 25
        if thing["inside"]:
            parent = next(m.split()[0] for m in self.mounts[NS_HOST] if m.split()[4] == self._mount_point(thing["inside"]))
        self._mount(NS_HOST, parent, dev, thing["at"], thing)
        for namespace in thing["namespaces"]:
            self.pids[namespace] = 700 + namespace % 100
            self.mounts.setdefault(namespace, [])
            self._mount(namespace, 25, dev, f"/ns{thing['at']}", thing)

    def _mount(self, namespace, parent, dev, at, thing):
        self._mount_id += 1
        source = f"/dev/{self.kernel(thing['lower'][0])}" if thing["lower"] else thing["type"]
        self.mounts[namespace].append(f"{self._mount_id} {parent} {dev} / {at} rw,relatime - {thing['type']} {source} rw{thing.get('options', '')}")

    def _btrfs(self, thing):
        """Its number is no device's, and its mount names one of its devices."""
        self.dev[thing["name"]] = f"0:{200 + thing['number']}"
        for other in thing["lower"]:
            self.root.device_link(f"/sys/fs/btrfs/bbbbbbbb-0000-4000-8000-{thing['number']:012x}/devices/{self.kernel(other)}", self.path[other])
        self._mount(NS_HOST, 25, self.dev[thing["name"]], thing["at"], {"type": "btrfs", "lower": thing["lower"][-1:]})

    def _journal(self, thing):
        """The thread that writes it is named after where it is."""
        device, place, pid = self.kernel(thing["lower"][0]), self.kernel(thing["lower"][-1]), 3000 + thing["number"]
        name = place if len(thing["lower"]) > 1 else f"{place}-8"
        self.dev[thing["name"]] = self.dev[thing["lower"][0]]
        self.root.folder(f"/proc/fs/jbd2/{name}")
        self.root.file(f"/sys/fs/ext4/{device}/journal_task", f"{pid}\n")
        self.root.file(f"/proc/{pid}/comm", f"jbd2/{name}\n")
        self._mount(NS_HOST, 25, self.dev[thing["name"]], thing["at"], {"type": "ext4", "lower": thing["lower"]})

    def _overlay(self, thing):
        """Its number is no device's either; its options name the folders."""
        self.dev[thing["name"]] = f"0:{400 + thing['number']}"
        self._mount(NS_HOST, 25, self.dev[thing["name"]], thing["at"], {"type": "overlay", "lower": [], "options": self._folders(thing)})

    def _folders(self, thing):
        folders = [self._mount_point(layer) for layer in thing["layers"]]
        return f",lowerdir={':'.join(f'{folder}/low' for folder in folders)},upperdir={folders[-1]}/up,workdir={folders[-1]}/work"

    def _container(self, thing):
        namespace = thing["namespaces"][0]
        self.dev[thing["name"]] = f"0:{600 + thing['number']}"
        self.pids[namespace] = 1700 + thing["number"]
        self.mounts[namespace] = []
        self.rooted.add(namespace)
        self._mount(namespace, 1, self.dev[thing["name"]], "/", {"type": "overlay", "lower": [], "options": self._folders(thing)})
        root = self._mount_id
        for n, kind in enumerate(thing["own"]):
            self._mount(namespace, root, f"0:{700 + 10 * thing['number'] + n}", f"/{kind}", {"type": kind, "lower": []})

    def _swapfile(self, thing):
        self.dev[thing["name"]] = self.dev[thing["on"]]
        self._swaps += f"{self._mount_point(thing['on'])}/{thing['name']}\tfile\t1024\t0\t-2\n"

    def _swap(self, thing):
        self._swaps += f"/dev/{self.kernel(thing['lower'][0])}\tpartition\t1024\t0\t-2\n"

    def _iblock(self, thing):
        device = self.kernel(thing["lower"][0])
        folder = f"/sys/kernel/config/target/core/iblock_0/{thing['name']}"
        major, minor = self.dev[thing["lower"][0]].split(":")
        self.root.file(f"{folder}/enable", "1\n")
        self.root.file(f"{folder}/udev_path", f"/dev/{device}\n")
        self.root.file(f"{folder}/info", "Status: ACTIVATED  Max Queue Depth: 128  SectorSize: 512  HwMaxSectors: 2048\n"
                       f"        iBlock device: {device}  UDEV PATH: /dev/{device}  readonly: 0\n"
                       f"        Major: {major} Minor: {minor}  CLAIMED: IBLOCK\n")

    def _nvmet(self, thing):
        folder = f"/sys/kernel/config/nvmet/subsystems/nqn.2026-01.org.example:{thing['name']}/namespaces/1"
        self.root.file(f"{folder}/device_path", f"/dev/{self.kernel(thing['lower'][0])}\n")
        self.root.file(f"{folder}/enable", "1\n")

    def _passthru(self, thing):
        """Commands are passed through to a controller; another kind of device has none, and then it is as if to the device."""
        self.root.file(f"/sys/kernel/config/nvmet/subsystems/{thing['name']}/passthru/device_path", f"/dev/{self.kernel(thing['lower'][0])}\n")
        self.root.file(f"/sys/kernel/config/nvmet/subsystems/{thing['name']}/passthru/enable", "1\n")

    def _gadget(self, thing):
        self.root.file(f"/sys/kernel/config/usb_gadget/{thing['name']}/functions/mass_storage.0/lun.0/file", f"/dev/{self.kernel(thing['lower'][0])}\n")

    def _scst(self, thing):
        self.root.file(f"/sys/kernel/scst_tgt/devices/{thing['name']}/filename", f"/dev/{self.kernel(thing['lower'][0])}\n[key]\n")

    def _o2cb(self, thing):
        folder = f"/sys/kernel/config/cluster/ocfs2/heartbeat/{thing['name']}"
        self.root.file(f"{folder}/dev", f"{self.kernel(thing['lower'][0])}\n")
        self.root.file(f"{folder}/block_bytes", "512\n")
        self.root.file(f"{folder}/pid", "2311\n")

    def _zram(self, thing):
        number = thing["number"]
        path = f"/sys/devices/virtual/block/zram{number}"
        self.block(thing["name"], path, f"253:{number}", kernel=f"zram{number}")
        self.root.file(f"{path}/backing_dev", f"/dev/{self.kernel(thing['lower'][0])}\n")
        self.root.file(f"{path}/initstate", "1\n")
        self._swaps += f"/dev/zram{number}\tpartition\t1024\t0\t100\n"
