# SPDX-License-Identifier: LGPL-2.1-or-later
"""A removal that a newer version has begun, and an older one finds: the machine has been given back its old package in the middle of it."""

import json

from harness import removal
from harness.scenario import scenario

FORM = "safe-remove/journal/"


def form(journal, number):
    """The line that puts another number into the record's first line; whoever has it open has it open still."""
    return f"printf {number} | dd of={journal} bs=1 seek=$(($(grep -abo {FORM} {journal} | head -n 1 | cut -d : -f 1) + {len(FORM)})) conv=notrunc status=none"


HANDOVER = "systemctl kill --kill-whom=main --signal=USR1 safe-removed.service"


@scenario("downgrade", timeout=240, turn=True)
def downgrade(lab):
    """Nobody goes on with it or writes to its record, the light does not say safe, no plan for the slot is ready; the version that knows it finishes it."""
    ram = lab.ram(2)
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    journal = f"{removal.STATE_DIR}/removals/{number}/journal"
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":4', 90, then=f"{form(journal, 2)} && {HANDOVER}")
    lab.wait_for(lambda: "newer version" in lab.sh(f"journalctl -q -o cat -u safe-removed.service -g 'record of removal {number} cannot be read' || true"), 60, "a look at it")
    before = lab.sh(f"sha256sum {journal}")
    lab.check(lab.sh("safe-remove list | grep '^2 '").find("unknown") >= 0, "its slot should not be known")
    plan = json.loads(lab.sh("safe-remove plan 2 --json || true"))
    lab.check(any(b["code"] == "RECORD_UNREAD" and "install the version" in b["remedy"][0] for b in plan["blockers"]), f"the plan should be blocked: {plan['blockers']}")
    lab.check(not lab.slot(2).leds().safe, "the light should not say safe to pull")
    lab.equal(lab.sh(f"sha256sum {journal}"), before, "the record")
    lab.sh(f"{form(journal, 1)} && {go}")
    lab.equal(removal.wait_for_end(lab, number, 150)["outcome"], "safe", "the ending, by the version that knows it")
    removal.check_safe(lab, 2, ram)
