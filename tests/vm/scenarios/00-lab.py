# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself: what every other scenario stands on, without the daemon."""

from harness.scenario import scenario

PCIEHP = "/sys/bus/pci_express/drivers/pciehp"


@scenario("lab-boots", daemon=False)
def boots(lab):
    for number, serial in ((2, 1), (3, 2)):
        slot = lab.slot(number)
        leds = slot.leds()
        lab.equal(slot.serial, serial, f"the card in slot {number}")
        lab.equal((leds.power, leds.attention, leds.power_on), ("on", "off", True), f"slot {number} (power, attention)")
        lab.check(slot.ready(), f"the kernel should know the card in slot {number}")
    lab.check(lab.slot(4).ready(), "the kernel should know the ordinary card in slot 4")
    empty = lab.slot(5)
    lab.check(not empty.occupied and empty.leds().safe, "slot 5 should be empty and dark")


@scenario("lab-insert-eject", daemon=False)
def insert_eject(lab):
    """A press on an idle card: the kernel blinks for 5 s, switches off, and takes the card again."""
    slot = lab.slot(2)
    slot.press()
    lab.wait_leds(2, power="blink", timeout=2)
    lab.wait_leds(2, safe=True, timeout=15)
    lab.wait_for(lambda: not slot.occupied, 5, "QEMU to eject the card")
    lab.equal(slot.bdf(), None, "the address behind the port")
    slot.insert()
    lab.equal(slot.serial, 1, "the card in slot 2")


@scenario("lab-ordinary-card", daemon=False)
def ordinary_card(lab):
    """Slot 4 has a card that is no memory; it goes out and in by the same button."""
    slot = lab.slot(4)
    slot.press()
    lab.wait_leds(4, safe=True, timeout=15)
    slot.insert()


@scenario("lab-hold", daemon=False)
def hold(lab):
    """The hold by hand: the 5 s stop, memory goes away in order, the slot is given back and switched off."""
    slot = lab.slot(2)
    ram = lab.ram(2)
    keeper = lab.keeper(ram.node, mib=16)
    slot.press()
    lab.sh(f"echo {slot.service} > {PCIEHP}/unbind")
    lab.equal(slot.leds().power, "blink", "the power light of a held slot")
    lab.destroy(ram)
    lab.equal(slot.leds().power, "blink", "the power light of a held slot")
    lab.check(slot.bdf() is not None and not slot.leds().button_pressed, "the card should be there, the button at rest")
    lab.sh(f"echo {slot.service} > {PCIEHP}/bind && echo 0 > {slot.sysfs}/power", timeout=20)
    lab.check(slot.leds().safe, "slot 2 should be safe to pull")
    lab.equal(keeper.finish(), 0, "the keeper's pages that are left on the node")


@scenario("lab-second-press", daemon=False)
def second_press(lab):
    """A press during the hold stays latched in Slot Status, however long nobody looks."""
    slot = lab.slot(2)
    slot.press()
    lab.sh(f"echo {slot.service} > {PCIEHP}/unbind")
    lab.check(not slot.leds().button_pressed, "the first press should have been taken by the kernel")
    slot.press(force=True)
    leds = slot.leds()
    lab.check(leds.button_pressed and leds.power == "blink", f"the press should be latched, the light blink: {leds}")


@scenario("lab-interleave", profile="nodes", daemon=False, turn=True)
def interleave(lab):
    """Two cards can make one region, and afterwards a region each, in a NUMA node each."""
    both = lab.ram(2, 3)
    lab.equal(both.size, 1 << 30, "the size of the interleaved region")
    lab.destroy(both)
    first, second = lab.ram(2), lab.ram(3, window=1)
    lab.check(first.node != second.node, "two windows should be two nodes")
    lab.equal((first.zones(), second.zones()), ({"Movable"}, {"Movable"}), "the zones of the blocks")


@scenario("lab-surprise", daemon=False)
def surprise(lab):
    """A card that is pulled without notice, from idle: the kernel sees an empty slot and takes another card."""
    slot = lab.slot(3)
    slot.pull()
    lab.check(lab.log.has(r"Slot\(3\): Card not present"), "the kernel should have missed the card")
    lab.equal(slot.bdf(), None, "the address behind the port")
    slot.insert()
