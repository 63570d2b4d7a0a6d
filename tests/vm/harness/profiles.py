# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which machines there are: their CXL host bridges and windows of addresses, their slots, and what is in these at boot.

A profile says only what is special. Its slots are 2, 3 and 5 (CXL) and 4 (ordinary), more with `ports`; a card that is a
`Switch` brings the slots below it. Addresses follow from that, as firmware gives them (Profile.slots)."""

from dataclasses import dataclass, field

MIB = 1 << 20
CARD_SIZE = 512 * MIB
DRIVERS = {"ram": "cxl-type3", "pmem": "cxl-type3", "nvme": "nvme", "rng": "virtio-rng-pci", "virtio-mem": "virtio-mem-pci"}
SWITCHES = ("cxl-upstream", "x3130-upstream")
# Bus number and slots of each CXL host bridge are far enough apart for what is below them.
BRIDGE_BUSES = {1: 0x0C, 2: 0x40, 3: 0x80}
FIRST_ORDINARY_DEVICE = 0x10


@dataclass(frozen=True)
class Card:
    """A card: CXL memory (ram, pmem), a disk (nvme), memory that the hypervisor gives and takes (virtio-mem), or an ordinary one
    (rng: random numbers) that has no serial number of its own. A serial number is what a memory card is known by; memN numbers
    change from boot to boot."""

    serial: int
    kind: str = "ram"
    size: int = CARD_SIZE
    # The name of an NVMe subsystem: all cards with the same name are ways to the one disk in it.
    subsystem: str = ""
    # More properties of QEMU's device.
    options: dict = field(default_factory=dict)

    @property
    def device_id(self):
        return f"card{self.serial}"

    @property
    def memory(self):
        return self.kind in ("ram", "pmem")


@dataclass(frozen=True)
class Switch:
    """A card with hot-plug slots of its own, one below the other: a CXL switch in a CXL slot, a PCIe switch in an ordinary one.
    What is in them is said like that of every other slot. QEMU can let it go, and not take it in again."""

    serial: int
    slots: tuple
    kind: str = "switch"
    memory: bool = False

    @property
    def device_id(self):
        return f"card{self.serial}"


@dataclass(frozen=True)
class RootPort:
    """A slot below a CXL host bridge (1 is the first), or an ordinary one of the board (0)."""

    number: int
    bridge: int = 0


@dataclass(frozen=True)
class SlotPlace:
    """A hot-plug slot: its number, QEMU's name for its port, the port's address, QEMU's kind of port and the bus that it is on."""

    number: int
    port_id: str
    bdf: str
    driver: str
    bus: str

    @property
    def cxl(self):
        return self.driver.startswith("cxl-")


_PORTS = (RootPort(2, 1), RootPort(3, 1), RootPort(5, 1), RootPort(4))


@dataclass(frozen=True)
class Profile:
    """A machine description."""

    name: str
    # What is in the slots at boot, by the slot's number.
    cards: dict = field(default_factory=dict)
    # Slots beside 2, 3, 5 and 4.
    ports: tuple = ()
    # Windows of addresses for CXL memory (4 GiB each): the host bridges that each is interleaved over. The kernel gives each a
    # NUMA node, which all memory in the window shares. QEMU is quick with cards in the last window, and slow in the others.
    windows: tuple = ((1,),)
    # Persistent memory in a socket of the board, as firmware tells of it (NFIT): no slot, no button, no lights.
    nvdimm: bool = False
    # Slots whose power nobody can switch off, as is common with U.2 and E3.S cages.
    always_powered: tuple = ()
    # A network card whose wire leads to a second machine, if one is started (lab.second()).
    wire: bool = False
    # More for the kernel's command line, and for QEMU's.
    cmdline: str = ""
    qemu: tuple = ()

    @property
    def bridges(self):
        """The numbers of the CXL host bridges."""
        return sorted({port.bridge for port in (*_PORTS, *self.ports)} - {0})

    @property
    def slots(self):
        """All slots by number, an outer one before those below it."""
        return {place.number: place for place in _Enumeration(self).places()}


class _Enumeration:
    """Gives buses their numbers as the board's firmware (SeaBIOS) does: depth first, in the order of the ports' addresses; a host
    bridge has the number that it was told, and numbers go on from there."""

    def __init__(self, profile):
        self.profile = profile
        self.last_bus = 0

    def places(self):
        for bridge in (0, *self.profile.bridges):
            ports = [port.number for port in (*_PORTS, *self.profile.ports) if port.bridge == bridge]
            number, first = (BRIDGE_BUSES[bridge], 0) if bridge else (0, FIRST_ORDINARY_DEVICE)
            self.last_bus = max(self.last_bus, number)
            driver, bus = ("cxl-rp", f"cxl.{bridge}") if bridge else ("pcie-root-port", "pcie.0")
            yield from self._on_bus(ports, number, first, driver, bus)

    def _on_bus(self, ports, number, first, driver, bus):
        for device, port in enumerate(ports, first):
            place = SlotPlace(port, f"rp{port}", f"0000:{number:02x}:{device:02x}.0", driver, bus)
            yield place
            self.last_bus += 1
            card = self.profile.cards.get(port)
            if isinstance(card, Switch):
                self.last_bus += 1
                below = "cxl-downstream" if place.cxl else "xio3130-downstream"
                yield from self._on_bus(card.slots, self.last_bus, 0, below, card.device_id)


_ORDINARY = {4: Card(4, kind="rng")}
_RAM2 = {2: Card(1), 3: Card(2), **_ORDINARY}
_MIXED = {2: Card(1), 3: Card(2, kind="pmem"), 4: Card(4, kind="nvme", size=256 * MIB)}


def _disk(serial, **options):
    return Card(serial, kind="nvme", size=128 * MIB, **options)


PROFILES = {profile.name: profile for profile in (
    Profile("ram2", _RAM2),
    Profile("nodes", _RAM2, windows=((1,), (1,))),
    Profile("nopower", _RAM2, always_powered=(2,)),
    # A network of its own: what comes to a port of this machine's, which QEMU chooses, reaches ssh in the guest; nothing gets out.
    Profile("network", _RAM2, wire=True,
            qemu=("-netdev", "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22", "-device", "virtio-net-pci,netdev=net0,bus=pcie.0")),
    Profile("mixed", _MIXED, nvdimm=True),
    Profile("mixed-nodes", _MIXED, nvdimm=True, windows=((1,), (1,))),
    # Kernels that close themselves to root from their start on, as with Secure Boot.
    *(Profile(f"lockdown-{how}", _MIXED, nvdimm=True, cmdline=f"lockdown={how}") for how in ("integrity", "confidentiality")),
    # A disk whose controller has memory that peers may use, and that a process may map (kernels with PCI_P2PDMA).
    Profile("p2pmem", {2: Card(1), 4: Card(4, kind="nvme", size=256 * MIB, options={"cmb_size_mb": 64})}),
    # Slot 8: a CXL switch with two cards; slots 2, 3, 6 and 7: four cards on two host bridges (lab.ram(2, 6, 3, 7, window=0)).
    Profile("fabric", {2: Card(1), 3: Card(2), 6: Card(3), 7: Card(5), 8: Switch(20, (10, 11)), 10: Card(6), 11: Card(7),
                       4: Card(8, kind="virtio-mem")},
            ports=(RootPort(6, 2), RootPort(7, 2), RootPort(8, 2)), windows=((1, 2), (2,))),
    # Slot 4: a PCIe switch with two disks; slots 8 and 9: two controllers of one disk; slot 12: one more disk.
    Profile("disks", {2: Card(1), 4: Switch(20, (6, 7)), 6: _disk(6), 7: _disk(7), 8: _disk(8, subsystem="both"),
                      9: _disk(9, subsystem="both"), 12: _disk(12)},
            ports=(RootPort(8), RootPort(9), RootPort(12))),
)}
