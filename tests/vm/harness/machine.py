# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulated machine as QEMU is told of it: the command line for a profile, and what a card takes to be plugged in."""

from .paths import SECOND, beside
from .profiles import BRIDGE_BUSES, DRIVERS, MIB, Switch

LABEL_SIZE = MIB
NVDIMM_SIZE = 256 * MIB

# With the hypervisor flag the kernel refuses to commit CXL regions: it cannot flush a guest's CPU caches.
# Fast string instructions are taken away since QEMU does them byte by byte where an access to CXL memory is a call.
MACHINE = ["-accel", "tcg,thread=multi", "-cpu", "max,-hypervisor,-erms,-fsrm", "-smp", "2",
           # Without this, ordinary ports would be served by ACPI and not by pciehp.
           "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
           "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]

# The lab wants to see crashes, not reboots, and has no use for 5 seconds of boot messages on an emulated serial line.
CMDLINE = ("console=ttyS0 quiet loglevel=4 log_buf_len=4M mitigations=off systemd.show_status=0 "
           "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120")


def content(run_dir, name):
    """The file with the bytes of a persistent thing: there before it is plugged in, and still there when it is out."""
    return run_dir / name


def _ram_backend(name, size):
    return {"qom-type": "memory-backend-ram", "id": name, "share": True, "size": size}


def _file_backend(path, name, size):
    return {"qom-type": "memory-backend-file", "share": True, "id": name, "mem-path": str(path), "size": size}


def memory_backends(card, run_dir, unique):
    """QOM properties of the backends of a card. A persistent card has files, which keep its content when it is out."""
    if card.kind == "ram":
        return {"volatile-memdev": _ram_backend(f"ram-{unique}", card.size)}
    if card.kind == "virtio-mem":
        return {"memdev": _ram_backend(f"virtio-{unique}", card.size)}
    if card.kind == "pmem":
        return {"persistent-memdev": _file_backend(content(run_dir, f"{card.device_id}.pmem"), f"pmem-{unique}", card.size),
                "lsa": _file_backend(content(run_dir, f"{card.device_id}.lsa"), f"lsa-{unique}", LABEL_SIZE)}
    return {}


def disk(card, run_dir):
    """QEMU's block node with the content of a card that is a disk, else None; its file is made unless it is there."""
    if card.kind != "nvme":
        return None
    name = card.subsystem or card.device_id
    file = content(run_dir, f"{name}.disk")
    if not file.exists():
        with open(file, "wb") as new:
            new.truncate(card.size)
    return {"driver": "file", "node-name": f"disk-{name}", "filename": str(file)}


def _disk_properties(card):
    if card.subsystem:
        # The disk is the subsystem's. All its controllers have one serial number.
        return {"subsys": f"subsystem-{card.subsystem}", "serial": card.subsystem}
    # QEMU wants text here and a number for CXL cards.
    return {"drive": f"disk-{card.device_id}", "serial": str(card.serial)}


def card_device(card, place, backends):
    """QEMU's properties of a card in a slot."""
    if isinstance(card, Switch):
        own = {"driver": "cxl-upstream", "sn": card.serial} if place.cxl else {"driver": "x3130-upstream"}
    else:
        own = {"driver": DRIVERS[card.kind], **card.options}
    if card.kind == "nvme":
        own.update(_disk_properties(card))
    elif card.memory:
        own["sn"] = card.serial
    elif card.kind == "virtio-mem":
        own.setdefault("requested-size", card.size)
    own.update({name: backend["id"] for name, backend in backends.items()})
    return {**own, "bus": place.port_id, "id": card.device_id}


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


def _board(profile):
    """Host bridges, and the windows of addresses that lead to them."""
    windows = [f"cxl-fmw.{number}.targets.{place}=cxl.{bridge}" for number, bridges in enumerate(profile.windows)
               for place, bridge in enumerate(bridges)]
    sizes = [f"cxl-fmw.{number}.size=4G" for number in range(len(profile.windows))]
    args = ["-M", ",".join(["q35,cxl=on,nvdimm=on", *windows, *sizes])]
    for bridge in profile.bridges:
        args += ["-device", f"pxb-cxl,bus_nr={BRIDGE_BUSES[bridge]},bus=pcie.0,id=cxl.{bridge}"]
    return args


def _port(place, profile):
    device = int(place.bdf.rsplit(":", 1)[-1].split(".", maxsplit=1)[0], 16)
    port = {"driver": place.driver, "id": place.port_id, "bus": place.bus, "addr": f"{device:02x}.0", "chassis": 0,
            "slot": place.number}
    if place.driver != "pcie-root-port":
        port["port"] = device
    if place.number in profile.always_powered:
        port["power_controller_present"] = False
    return _device(port)


def _card(card, place, run_dir, seen):
    """A card with all that belongs to it; `seen` has the subsystems whose disk is there already."""
    args = []
    backends = memory_backends(card, run_dir, f"{card.device_id}-0")
    for backend in backends.values():
        args += _object(backend)
    shared = card.subsystem if card.kind == "nvme" else ""
    node = disk(card, run_dir) if shared not in seen else None
    if node:
        args += ["-blockdev", _options(node)]
    if node and shared:
        args += _device({"driver": "nvme-subsys", "id": f"subsystem-{shared}", "nqn": shared})
    args += _device(card_device(card, place, backends))
    if node and shared:
        args += _device({"driver": "nvme-ns", "bus": card.device_id, "drive": node["node-name"], "nsid": 1, "shared": True})
        seen.add(shared)
    return args


def _slots(profile, run_dir):
    args, seen = [], set()
    for place in profile.slots.values():
        args += _port(place, profile)
        card = profile.cards.get(place.number)
        if card:
            args += _card(card, place, run_dir, seen)
    return args


def _nvdimm(run_dir):
    return [*_object(_file_backend(content(run_dir, "nvdimm.pmem"), "nvdimm-backend", NVDIMM_SIZE)),
            *_device({"driver": "nvdimm", "id": "nvdimm", "memdev": "nvdimm-backend", "label-size": LABEL_SIZE})]


def _memory(run_dir):
    return ["-m", f"{2 if run_dir.name.endswith(SECOND) else 3}G,maxmem=8G,slots=8"]


def wire_address(run_dir, what):
    """Of the card at this end of the wire to a second machine: "ip", or "mac" as QEMU is told it and the guest's sysfs has it."""
    end = 2 if run_dir.name.endswith(SECOND) else 1
    return f"192.0.2.{end}" if what == "ip" else f"52:54:00:00:02:0{end}"


def _wire(run_dir):
    """What is sent while there is no other end is lost, as on any wire."""
    return ["-netdev", f"dgram,id=wire,local.type=unix,local.path={run_dir}/wire,remote.type=unix,remote.path={beside(run_dir)}/wire",
            *_device({"driver": "virtio-net-pci", "netdev": "wire", "mac": wire_address(run_dir, "mac"), "bus": "pcie.0"})]


def _services(run_dir):
    return ["-qmp", f"unix:{run_dir}/qmp.sock,server=on,wait=off", "-serial", f"file:{run_dir}/serial.log",
            "-gdb", f"unix:{run_dir}/gdb.sock,server=on,wait=off",
            "-device", "virtio-serial-pci,bus=pcie.0",
            "-chardev", f"socket,path={run_dir}/agent.sock,server=on,wait=off,id=agent",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-fsdev", f"local,path={run_dir}/share,id=lab,security_model=none,multidevs=forbid",
            "-device", "virtio-9p-pci,fsdev=lab,mount_tag=lab,bus=pcie.0"]


def command_line(qemu, profile, image, run_dir, vmlinuz=None, initrd=None, extra_cmdline=""):
    """The whole QEMU command; it goes into the background by itself once the machine exists."""
    return [*qemu.command, *MACHINE, *_memory(run_dir), *_board(profile),
            "-kernel", str(vmlinuz or image.kernel.image), "-initrd", str(initrd or image.kernel.initrd),
            "-append", " ".join(part for part in (CMDLINE, profile.cmdline, extra_cmdline) if part),
            "-drive", f"file={image.root},format=raw,if=none,id=root,snapshot=on,cache=unsafe",
            "-device", "virtio-blk-pci,drive=root,bus=pcie.0",
            "-drive", f"file={image.kernel.modules},format=raw,if=none,id=modules,readonly=on",
            "-device", "virtio-blk-pci,drive=modules,bus=pcie.0",
            *_slots(profile, run_dir), *(_nvdimm(run_dir) if profile.nvdimm else ()),
            *(_wire(run_dir) if profile.wire else ()), *_services(run_dir), *profile.qemu,
            "-pidfile", str(run_dir / "qemu.pid"), "-daemonize"]
