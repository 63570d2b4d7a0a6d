# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hot-plug slot as the person in front of the machine has it: a card, a button and two lights."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from . import config_space, machine
from .errors import LabError
from .profiles import Card, Switch
from .qmp import QmpError

# QEMU's own words for "too early for another press".
PRESSED_JUST_NOW = "already in the process of unplug"
PRESS_TIMEOUT = 15

# Slot Control and, in the upper half, Slot Status, in the PCI Express capability.
SLOT_CONTROL = 0x18

# The hot-plug driver looks from its interrupt thread, which gets no turn while something more urgent has its processor.
# An ordinary port has several interrupts.
BEFORE_THE_KERNEL_LOOKS = """for irq in $(ls /sys/bus/pci/devices/{port}/msi_irqs); do [ ! -e /proc/irq/$irq/pciehp ] || break; done
exec taskset -c "$(cat /proc/irq/$irq/effective_affinity_list)" chrt -f 99 {command}"""

_LED = {1: "on", 2: "blink", 3: "off"}


@dataclass(frozen=True)
class Leds:
    """Slot Control and Slot Status of the root port, read from outside the guest."""

    control: int
    status: int

    @property
    def power(self):
        return _LED.get(self.control >> 8 & 3, "reserved")

    @property
    def attention(self):
        return _LED.get(self.control >> 6 & 3, "reserved")

    @property
    def power_on(self):
        """The power controller; not the light."""
        return not self.control & 0x400

    @property
    def button_pressed(self):
        return bool(self.status & 0x01)

    @property
    def present(self):
        return bool(self.status & 0x40)

    @property
    def safe(self):
        """What the PCIe specification calls safe to pull: no power, both lights off."""
        return self.power == "off" and self.attention == "off" and not self.power_on

    def __str__(self):
        return (f"power={self.power} attention={self.attention} power-controller={'on' if self.power_on else 'off'} "
                f"card={'present' if self.present else 'absent'} button={'pressed' if self.button_pressed else 'idle'} "
                f"control={self.control:04x} status={self.status:04x}")


class Slot:
    """Slot N of a guest."""

    def __init__(self, guest, number, before_press=lambda: None):
        slots = guest.profile.slots
        if number not in slots:
            raise LabError(f"no slot {number}: the machine has {', '.join(map(str, slots))}")
        self.guest = guest
        self.number = number
        self.place = slots[number]
        self.sysfs = f"/sys/bus/pci/slots/{number}"
        self._capability = None
        self._before_press = before_press

    # -- looking ------------------------------------------------------------------------------------------------------

    def leds(self):
        if self._capability is None:
            self._capability = config_space.express_capability(self.guest.qmp, self.place.bdf)
        both = config_space.read(self.guest.qmp, self.place.bdf, self._capability + SLOT_CONTROL)
        return Leds(both & 0xFFFF, both >> 16)

    def device_id(self):
        """QEMU's name for the card in the slot; None when the slot is empty."""
        for path in self.guest.cards():
            if self.guest.qmp("qom-get", path=path, property="parent_bus").endswith(f"/{self.place.port_id}"):
                return path.rsplit("/", 1)[-1]
        return None

    @property
    def occupied(self):
        return self.device_id() is not None

    @property
    def serial(self):
        """The serial number of the card in the slot, from outside; None when the slot is empty."""
        device = self.device_id()
        return int(device.removeprefix("card")) if device else None

    def memdev(self):
        """The kernel's name for the card (memN); None while it has none. Found by the port, not by the number."""
        found = self.guest.out(f"ls -d /sys/bus/pci/devices/{self.place.bdf}/*/mem[0-9]* 2>/dev/null || true")
        return found.split("/")[-1] or None

    def bdf(self):
        """The address of the card behind the port; None when the kernel sees none."""
        found = self.guest.out(f"ls -d /sys/bus/pci/devices/{self.place.bdf}/????:??:??.? 2>/dev/null || true")
        return found.split("\n")[0].split("/")[-1] or None

    @property
    def service(self):
        """The port's hot-plug service device, which the hold unbinds. Its name tells the kind of port (portdrv.c:get_descriptor_id)."""
        return f"{self.place.bdf}:pcie{'204' if self.place.driver.endswith('downstream') else '004'}"

    # -- touching -----------------------------------------------------------------------------------------------------

    def press(self, force=False):
        """Press the attention button.

        QEMU has no button as such: asking it to delete the card presses it. It refuses within 5 s of the last press, which are
        waited for, and while the power light blinks ("guest is busy"); a technician with second thoughts presses just then.
        With force the light is set to steady for the moment of the press and then back to blinking, by writing the register in
        the guest.
        """
        device = self.device_id()
        if device is None:
            raise LabError(f"slot {self.number} is empty: QEMU has no button to press there")
        self._before_press()
        deadline = time.monotonic() + PRESS_TIMEOUT
        while not self._pressed(device, force):
            if time.monotonic() > deadline:
                raise LabError(f"QEMU still refuses to press the button of slot {self.number}")
            self.guest.agent.rest()
            time.sleep(0.2)

    def _pressed(self, device, force):
        blinking = force and self.leds().power == "blink"
        if blinking:
            self._set_power_led(1)
        try:
            self.guest.qmp("device_del", id=device)
        except QmpError as error:
            if PRESSED_JUST_NOW in str(error):
                return False
            raise
        finally:
            if blinking:
                self._blink_while_held()
        return True

    def _blink_while_held(self):
        """The light as it was before the press, unless the slot is given back meanwhile: then it is steady, and nobody else would make
        it so after us."""
        bound = f"[ -e /sys/bus/pci_express/drivers/pciehp/{self.service} ]"
        light = f"setpci -s {self.place.bdf} CAP_EXP+18.w"
        self.guest.run(f"{bound} && exit; {light}=0200:0300; for i in 1 2 3 4 5 6 7 8 9 10; do "
                       f"{bound} && {{ {light}=0100:0300; exit; }}; sleep 0.1; done; true")

    def _set_power_led(self, code):
        """Only the two bits of the light: the kernel may be using the rest of the register."""
        self.guest.run(f"setpci -s {self.place.bdf} CAP_EXP+18.w={code << 8:04x}:0300")

    def light_up(self):
        """The power light on, as firmware does it: from outside, whatever the kernel lets nobody do. For a slot that is at rest."""
        control = self.leds().control
        if control & 0x300 != 0x100:
            config_space.write_word(self.guest.dir, self.place.bdf, self._capability + SLOT_CONTROL, control & ~0x300 | 0x100)

    def insert(self, card=None, wait=True, timeout=30):
        """Put a card in (the one that belongs there unless told otherwise) and wait until the kernel knows it."""
        card = card or self.guest.profile.cards.get(self.number) or Card(90 + self.number)
        if isinstance(card, Switch):
            raise LabError("QEMU takes no switch into a running machine: give the scenario a guest of its own (own_guest=True)")
        unique = f"card{card.serial}-{time.time_ns():x}"
        backends = machine.memory_backends(card, self.guest.dir, unique)
        self.free_stale_backends()
        for backend in backends.values():
            self.guest.qmp("object-add", **backend)
        self._provide_disk(card)
        self.guest.qmp("device_add", **machine.card_device(card, self.place, backends))
        if wait:
            self.guest.wait_for(self._hurry, timeout, f"the card in slot {self.number} to come up")

    def _hurry(self):
        """QEMU presses the button for whoever puts a card in, and the kernel blinks for 5 s then: powering the slot on by
        hand ends that. (A slot that is coming up blinks too; it says so, and no more.)"""
        if self.leds().power == "blink":
            self.guest.run(f"echo 1 > {self.sysfs}/power", check=False)
        return self.ready()

    def _provide_disk(self, card):
        """A disk's block node outlives the card, and may be used again."""
        node = machine.disk(card, self.guest.dir)
        if node and node["node-name"] not in (known.get("node-name") for known in self.guest.qmp("query-named-block-nodes")):
            self.guest.qmp("blockdev-add", **node)

    def ready(self):
        """Whether the kernel has a driver for the card in the slot and shows it by the light."""
        if self.leds().power != "on":
            return False
        return self.guest.succeeds(f"test -e {self.driver_path()}")

    def driver_path(self):
        """A pattern: the link to the driver of the card in the slot, which is there when the kernel has set it up."""
        device = self.device_id()
        memory = device is not None and any(path.endswith(f"/{device}") for path in self.guest.cards("cxl-type3"))
        return f"/sys/bus/pci/devices/{self.place.bdf}/????:??:??.?/{'mem[0-9]*/' if memory else ''}driver"

    def free_stale_backends(self):
        """QEMU takes no backend twice and keeps one "in use" when its card has gone, so each insertion has a new one.
        What the old ones hold is given back to the host: their memory is a memfd that bears their name."""
        used = {self.guest.qmp("qom-get", path=path, property="volatile-memdev").rsplit("/", 1)[-1]
                for path in self.guest.cards("cxl-type3")}
        for link in Path(f"/proc/{self.guest.pid()}/fd").iterdir():
            try:
                target = os.readlink(link)
            except FileNotFoundError:
                continue  # QEMU has closed it between our two looks
            name = target.removeprefix("/memfd:").removesuffix(" (deleted)")
            if target != name and name.startswith("ram-") and name not in used:
                size = link.stat().st_size
                os.truncate(link, 0)
                os.truncate(link, size)

    def pull(self):
        """Take the card out. Once the slot is powered off QEMU has ejected it already; before, this is a surprise.

        QEMU ejects a card when Slot Control says power off and power light off. A second write puts the register back,
        so that the kernel meets an empty slot that it believes powered. The kernel then takes a second to switch the
        slot off, and QEMU would take that for the next card's ejection: it is waited for, unless the slot's hot-plug
        driver is away (the hold) and nobody switches anything off."""
        if not self.occupied:
            return
        control = self.leds().control
        off, back = control | 0x700, control & ~0x700 | 0x100
        served = self.driver_bound()
        self.guest.run(BEFORE_THE_KERNEL_LOOKS.format(port=self.place.bdf, command=(
            f"setpci -s {self.place.bdf} CAP_EXP+18.w={off:04x} CAP_EXP+18.w={back:04x}")))
        self.guest.wait_for(lambda: not self.occupied, 10, f"the card to leave slot {self.number}")
        if served:
            self.guest.wait_for(self._switched_off, 30, f"the kernel to switch slot {self.number} off")

    def _switched_off(self):
        """The attention light is not the kernel's: it may tell that the card should not have gone."""
        leds = self.leds()
        return leds.power == "off" and not leds.power_on

    def make_ghost(self):
        """Take the card out such that the kernel believes the slot was switched off before and keeps all it knows of
        the card: what a person with setpci, or a flaky controller, can do. It will take the next card for this one and
        not set it up, so the guest is of no use to other scenarios."""
        self.guest.spoiled = True
        self.guest.run(f"setpci -s {self.place.bdf} CAP_EXP+18.w=0700:0700")
        self.guest.wait_for(lambda: not self.occupied, 10, f"the card to leave slot {self.number}")

    def driver_bound(self):
        """Whether the kernel serves the slot; not so during a hold."""
        return self.guest.succeeds(f"test -e /sys/bus/pci_express/drivers/pciehp/{self.service}")
