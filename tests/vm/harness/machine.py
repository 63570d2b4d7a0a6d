# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulated machine: which slots it has, what is in them, and the QEMU command line that makes it so."""

from dataclasses import dataclass, field

CARD_SIZE = 512 << 20
LABEL_SIZE = 1 << 20
NVDIMM_SIZE = 256 << 20
DRIVERS = {"ram": "cxl-type3", "pmem": "cxl-type3", "nvme": "nvme", "rng": "virtio-rng-pci"}


@dataclass(frozen=True)
class Card:
    """A card: CXL memory (ram, pmem), a disk (nvme), or an ordinary one (rng: random numbers) that has no serial number of
    its own. A serial number is what a memory card is known by; memN numbers change from boot to boot."""

    serial: int
    kind: str = "ram"
    size: int = CARD_SIZE

    @property
    def device_id(self):
        return f"card{self.serial}"

    @property
    def driver(self):
        """QEMU's kind of device."""
        return DRIVERS[self.kind]


@dataclass(frozen=True)
class SlotPlace:
    """A hot-plug slot: its number, QEMU's name for its root port, and the port's address."""

    number: int
    port_id: str
    bdf: str


@dataclass(frozen=True)
class Profile:
    """A machine description."""

    name: str
    cards: dict = field(default_factory=dict)
    # Persistent memory in a socket of the board, as firmware tells of it (NFIT): no slot, no button, no lights.
    nvdimm: bool = False
    # Slots whose power nobody can switch off, as is common with U.2 and E3.S cages.
    always_powered: tuple = ()


# Three slots under the CXL host bridge (bus 0c), and one for ordinary cards.
SLOTS = {place.number: place for place in (
    SlotPlace(2, "rp2", "0000:0c:00.0"), SlotPlace(3, "rp3", "0000:0c:01.0"), SlotPlace(5, "rp5", "0000:0c:02.0"),
    SlotPlace(4, "rp4", "0000:00:10.0"))}

_ORDINARY = {4: Card(4, kind="rng")}
PROFILES = {
    "ram2": Profile("ram2", {2: Card(1), 3: Card(2), **_ORDINARY}),
    "nopower": Profile("nopower", {2: Card(1), 3: Card(2), **_ORDINARY}, always_powered=(2,)),
    "mixed": Profile("mixed", {2: Card(1), 3: Card(2, kind="pmem"), 4: Card(4, kind="nvme", size=256 << 20)}, nvdimm=True),
}

# With the hypervisor flag the kernel refuses to commit CXL regions: it cannot flush a guest's CPU caches.
# Fast string instructions are taken away since QEMU does them byte by byte, and each access to CXL memory is a call.
MACHINE = ["-accel", "tcg,thread=multi", "-cpu", "max,-hypervisor,-erms,-fsrm", "-smp", "2",
           "-m", "3G,maxmem=8G,slots=8",
           # Two windows, since the kernel gives each one a NUMA node: all memory in a window shares it.
           "-M", "q35,cxl=on,nvdimm=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G,"
                 "cxl-fmw.1.targets.0=cxl.1,cxl-fmw.1.size=4G",
           # Without this, ordinary ports would be served by ACPI and not by pciehp.
           "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
           "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]

# The lab wants to see crashes, not reboots, and has no use for 5 seconds of boot messages on an emulated serial line.
CMDLINE = ("console=ttyS0 quiet loglevel=4 log_buf_len=4M mitigations=off systemd.show_status=0 "
           "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120")


def content(run_dir, name):
    """The file with the bytes of a persistent thing: there before it is plugged in, and still there when it is out."""
    return run_dir / name


def _file_backend(path, name, size):
    return {"qom-type": "memory-backend-file", "share": True, "id": name, "mem-path": str(path), "size": size}


def memory_backends(card, run_dir, unique):
    """QOM properties of the backends of a card. A persistent card has files, which keep its content when it is out."""
    if card.kind == "ram":
        return {"volatile-memdev": {"qom-type": "memory-backend-ram", "id": f"ram-{unique}", "share": True,
                                    "size": card.size}}
    if card.kind == "pmem":
        return {"persistent-memdev": _file_backend(content(run_dir, f"{card.device_id}.pmem"), f"pmem-{unique}", card.size),
                "lsa": _file_backend(content(run_dir, f"{card.device_id}.lsa"), f"lsa-{unique}", LABEL_SIZE)}
    return {}


def disk(card, run_dir):
    """QEMU's block node with the content of a card that is a disk, else None; its file is made unless it is there."""
    if card.kind != "nvme":
        return None
    file = content(run_dir, f"{card.device_id}.disk")
    if not file.exists():
        with open(file, "wb") as new:
            new.truncate(card.size)
    return {"driver": "file", "node-name": f"disk-{card.device_id}", "filename": str(file)}


def card_device(card, place, backends):
    device = {"driver": card.driver, "bus": place.port_id, "id": card.device_id}
    if card.kind == "nvme":
        # QEMU wants text here and a number for CXL cards.
        device.update({"serial": str(card.serial), "drive": f"disk-{card.device_id}"})
    elif card.kind != "rng":
        device["sn"] = card.serial
    device.update({name: backend["id"] for name, backend in backends.items()})
    return device


def _options(properties):
    def text(value):
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
    return ",".join(f"{key}={text(value)}" for key, value in properties.items())


def _object(properties):
    rest = {key: value for key, value in properties.items() if key != "qom-type"}
    return ["-object", f"{properties['qom-type']},{_options(rest)}"]


def _device(properties):
    rest = {key: value for key, value in properties.items() if key != "driver"}
    return ["-device", f"{properties['driver']},{_options(rest)}"]


def _slots(profile, run_dir):
    args = ["-device", "pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1"]
    for place in SLOTS.values():
        address = place.bdf.rsplit(":", 1)[-1]
        cxl = {"driver": "cxl-rp", "port": int(address[:2]), "bus": "cxl.1"}
        port = cxl if ":0c:" in place.bdf else {"driver": "pcie-root-port", "bus": "pcie.0"}
        if place.number in profile.always_powered:
            port = {**port, "power_controller_present": False}
        args += _device({**port, "id": place.port_id, "chassis": 0, "slot": place.number, "addr": address})
    for number, card in profile.cards.items():
        backends = memory_backends(card, run_dir, f"card{card.serial}-0")
        for backend in backends.values():
            args += _object(backend)
        node = disk(card, run_dir)
        if node:
            args += ["-blockdev", _options(node)]
        args += _device(card_device(card, SLOTS[number], backends))
    return args


def _nvdimm(run_dir):
    return [*_object(_file_backend(content(run_dir, "nvdimm.pmem"), "nvdimm-backend", NVDIMM_SIZE)),
            *_device({"driver": "nvdimm", "id": "nvdimm", "memdev": "nvdimm-backend", "label-size": LABEL_SIZE})]


def _services(run_dir):
    return ["-qmp", f"unix:{run_dir}/qmp.sock,server=on,wait=off", "-serial", f"file:{run_dir}/serial.log",
            "-device", "virtio-serial-pci,bus=pcie.0",
            "-chardev", f"socket,path={run_dir}/agent.sock,server=on,wait=off,id=agent",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-fsdev", f"local,path={run_dir}/share,id=lab,security_model=none,multidevs=forbid",
            "-device", "virtio-9p-pci,fsdev=lab,mount_tag=lab,bus=pcie.0"]


def command_line(profile, image, run_dir, kernel=None, initrd=None, extra_cmdline=""):
    """The whole QEMU command; it goes into the background by itself once the machine exists."""
    return ["qemu-system-x86_64", *MACHINE,
            "-kernel", str(kernel or image.kernel), "-initrd", str(initrd or image.initrd),
            "-append", f"{CMDLINE} {extra_cmdline}".strip(),
            "-drive", f"file={image.root},format=raw,if=none,id=root,snapshot=on,cache=unsafe",
            "-device", "virtio-blk-pci,drive=root,bus=pcie.0",
            *_slots(profile, run_dir), *(_nvdimm(run_dir) if profile.nvdimm else ()), *_services(run_dir),
            "-pidfile", str(run_dir / "qemu.pid"), "-daemonize"]
