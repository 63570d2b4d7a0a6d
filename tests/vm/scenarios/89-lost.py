# SPDX-License-Identifier: LGPL-2.1-or-later
"""A card that is pulled while it is in use: nothing says safe, or that all of it is gone, before all of it is."""

import json

from harness import removal
from harness.scenario import scenario

# The kernel's own words for what it cannot do any more.
LOST = (r"removing memory fails", r"cannot be hotremoved")


def state(lab, number):
    return [slot["state"] for slot in lab.cli_json("list")["slots"] if slot["name"] == str(number)]


def check_lost(lab, number, blocks):
    """Whoever asks is told what is left, and the light says that something is wrong."""
    status, out, _ = lab.cli("verify", number, "--json", check=False)
    said = {probe["name"]: probe for probe in json.loads(out)["probes"]}
    lab.equal((status, said["memory-blocks"]["holds"]), (removal.NOT_PROVEN, False), "whether it is proved that the card is gone")
    lab.check(f"memory{blocks[0]} is online" in said["memory-blocks"]["answer"], f"a block should be named: {said['memory-blocks']}")
    lab.equal(state(lab, number), ["lost"], "the slot's state")
    leds = lab.wait_leds(number, attention="on")
    lab.check(not leds.safe, f"the light should not say safe: {leds}")
    status, out, err = lab.cli("remove", number, check=False)
    lab.check(status == removal.BLOCKED and "not all of it is" in out + err, f"a removal should not say that there is nothing: {status} {out}{err}")


@scenario("pulled-in-use", own_guest=True, timeout=240, allow=LOST)
def pulled_in_use(lab):
    """Memory that is online goes with a card that somebody pulls: the kernel keeps the blocks, with nothing behind them."""
    ram = lab.ram(2)
    lab.spawn("monitor", "safe-remove monitor --json > /run/monitor")
    lab.wait_for(lambda: ram.region in lab.sh(f"cat {removal.STATE_DIR}/cards/*.json || true"), 20, "the daemon to have seen the memory")
    lab.slot(2).pull()
    lab.wait_for(lambda: '"card-lost"' in lab.sh("cat /run/monitor"), 20, "the event")
    told = [json.loads(line) for line in lab.sh("grep card-lost /run/monitor").splitlines()]
    lab.check(len(told) == 1 and "memory" in told[0]["message"], f"the event should come once, and say what is left: {told}")
    lab.check(ram.online() > 0, "the kernel should have kept blocks: the scenario shows nothing otherwise")
    check_lost(lab, 2, ram.block_numbers)
    lab.restart_daemon()
    check_lost(lab, 2, ram.block_numbers)
    # A card in the slot beside it has nothing to do with it.
    lab.cli("remove", "3")
    removal.check_safe(lab, 3)
