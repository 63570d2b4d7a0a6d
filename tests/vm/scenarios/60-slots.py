# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slots that are not like the others."""

from harness import removal
from harness.scenario import scenario


@scenario("slot-without-power-controller", profile="nopower")
def without_power_controller(lab):
    """Nothing switches this slot off and its power never reads 0: that the card's devices are gone decides, and the light."""
    ram = lab.ram(2)
    lab.check(not lab.cli_json("plan", "2")["slot"]["power_controller"], "the plan should know that there is no power controller")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("safe", "done"), "the ending")
    leds = lab.slot(2).leds()
    lab.equal((leds.power, leds.attention, leds.present), ("off", "off", True), f"power LED, attention LED and presence ({leds})")
    lab.equal(lab.sh("cat /sys/bus/pci/slots/2/power"), "1", "what the slot's power reads")
    lab.equal((lab.slot(2).bdf(), ram.blocks()), (None, []), "what is left of the card")
    lab.sh("echo 1 > /sys/bus/pci/slots/2/power")
    lab.wait_leds(2, power="on", attention="off", timeout=30)
    removal.check_card_works(lab, 2)
