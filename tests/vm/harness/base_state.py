# SPDX-License-Identifier: LGPL-2.1-or-later
"""The state that every scenario starts from, and the way back to it: a card in each slot that has one at boot, powered,
lights on, no regions, nothing on persistent cards, no processes of a scenario, no records, the daemon idle: a scenario
counts on nothing that another one has left. Where that fails the guest has to be booted anew."""

from . import background, cxl_region, memory, storage_state
from .errors import LabError
from .removal import CURSOR, DRILL_OVER, STATE_DIR
from .slot import Slot
from .stage import GUARD, SERVICE

# A removal that hangs on must not be cut short by a restart in the middle of a reset; it is cancelled first. Of the records the highest number
# stays: the kernel's log and the journal tell of removals by their numbers.
QUIET_DAEMON = f"""systemctl stop {SERVICE} {GUARD} 2> /dev/null
systemctl reset-failed {SERVICE} {GUARD} 'lab-*' 2> /dev/null
rm -rf {DRILL_OVER}
[ ! -e {STATE_DIR} ] || find {STATE_DIR} -mindepth 1 -maxdepth 1 ! -name numbers -exec rm -rf {{}} +
"""

# Give back what somebody may have left held. A press that is still latched would start the kernel's 5 s at once.
GIVE_BACK = """cd /sys/bus/pci_express/drivers/pciehp
for service in {services}; do
        port=${{service%:*}}
        [ -e $service ] && continue
        setpci -s $port CAP_EXP+1a.w=0001:0001
        echo $service > bind
        setpci -s $port CAP_EXP+18.w=0100:0300
done
true"""


class BaseState:
    """Leads a guest back to where it was after boot."""

    def __init__(self, guest):
        self.guest = guest
        self.policy = memory.policy(guest)

    def restore(self, daemon):
        """Raises LabError when it cannot be done."""
        slots = [Slot(self.guest, number) for number in self.guest.profile.slots]
        # In one go: each way to and fro costs a tenth of a second.
        self.guest.run(background.STOP_ALL + QUIET_DAEMON + GIVE_BACK.format(services=" ".join(slot.service for slot in slots)), timeout=240)
        background.forget_all(self.guest)
        storage = storage_state.has_storage(self.guest)
        if storage:
            storage_state.take_down(self.guest)
        for region in cxl_region.names(self.guest):
            memory.destroy(self.guest, region)
        if storage:
            storage_state.empty(self.guest)
        look = f"ls -d {' '.join(slot.driver_path() for slot in slots)} 2> /dev/null || true"
        found = self.guest.out(f"echo {self.policy} > {memory.POLICY}; {look}")
        for slot in slots:
            if not self._at_rest(slot, found):
                self._restore_slot(slot)
        # What is told from now on is told to the scenario.
        self.guest.run(f"systemd-cat -t lab echo a scenario begins; journalctl --sync; journalctl -q -t lab -n 1 --show-cursor > {CURSOR}" + (f" && systemctl start {SERVICE}" if daemon else ""))

    def _at_rest(self, slot, found):
        """Whether slot and card are as they were at boot; `found` has the drivers that the kernel has for cards."""
        wanted = self.guest.profile.cards.get(slot.number)
        leds = slot.leds()
        if wanted is None or leds.power != "on" or not leds.power_on or leds.attention != "off":
            return False
        return slot.serial == wanted.serial and f"/devices/{slot.place.bdf}/" in found

    def _restore_slot(self, slot):
        wanted = self.guest.profile.cards.get(slot.number)
        leds = slot.leds()
        if leds.power == "blink":
            # A button press that nobody has taken back: the kernel ends it one way or the other.
            leds = self.guest.wait_for(lambda: _steady(slot), 15, f"slot {slot.number} to come to rest")
        right = wanted is not None and slot.serial == wanted.serial and leds.power_on
        if slot.occupied and not right:
            self._take_out(slot, leds)
        if wanted and not right:
            slot.insert(wanted)
        if slot.leds().attention != "off":
            self.guest.run(f"echo 0 > {slot.sysfs}/attention")
        if right and slot.bdf() is None:
            # Nobody ejects a card from a slot that has no power controller.
            self.guest.run(f"echo 1 > {slot.sysfs}/power", timeout=30)
        elif right and leds.power != "on":
            slot.light_up()
        if wanted and not slot.ready():
            raise LabError(f"the card in slot {slot.number} did not come up")

    def _take_out(self, slot, leds):
        if leds.power_on:
            self.guest.run(f"echo 0 > {slot.sysfs}/power", timeout=30)
        self.guest.wait_for(lambda: not slot.occupied, 10, f"slot {slot.number} to be empty")


def _steady(slot):
    leds = slot.leds()
    return leds if leds.power != "blink" else None
