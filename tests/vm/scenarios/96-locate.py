# SPDX-License-Identifier: LGPL-2.1-or-later
"""A slot's attention light shows somebody the way, and says nothing else; and a card is replaced in one go."""

from harness import removal
from harness.scenario import scenario

RECORDS = "ls /run/safe-remove/located 2> /dev/null || true"


def slot(lab, number="2"):
    return [s for s in lab.cli_json("list")["slots"] if s["name"] == number][0]


def check_over(lab, power="on"):
    lab.wait_leds(2, power=power, attention="off")
    lab.wait_for(lambda: slot(lab)["located_until"] == 0, 10, "the slot to be shown to nobody")
    lab.equal(lab.sh(RECORDS).strip(), "", "what is on record")


@scenario("locate", turn=True)
def locate(lab):
    """For its time, by whichever daemon; whatever else the light has to say wins."""
    lab.ram(2)
    said = lab.cli("locate", "2", "--for=3")[1]
    lab.check("do not pull" in said and "attention LED blink" in said, said)
    lab.equal(lab.slot(2).leds().attention, "blink", "the light")
    check_over(lab)

    # Longer than its daemon lives, and not longer than the service runs.
    lab.cli("locate", "serial:0x1", "--for=600")
    lab.sh("systemctl kill -s KILL safe-removed.service")
    lab.wait_for(lambda: 0 < slot(lab)["located_until"], 30, "the next daemon to know of it")
    lab.equal(lab.slot(2).leds().attention, "blink", "the light after the daemon's death")
    lab.sh("systemctl kill -s USR1 safe-removed.service")
    lab.wait_for(lambda: 0 < slot(lab)["located_until"], 30, "the daemon after an upgrade to know of it")
    lab.equal(lab.slot(2).leds().attention, "blink", "the light after an upgrade")
    lab.sh("systemctl stop safe-removed.service")
    lab.equal(lab.slot(2).leds().attention, "off", "the light when the service was stopped")
    lab.sh("systemctl start safe-removed.service")
    check_over(lab)

    # Nothing is taken for a removal that does not begin; what was there before is there again.
    lab.cli("locate", "2", "--for=600")
    lab.equal(lab.cli("remove", "2", "--plan=" + "0" * 64, check=False)[0], removal.STALE, "the exit status")
    check_over(lab)

    # A fault of whomever is no place to look for a slot.
    lab.sh("echo 1 > /sys/bus/pci/slots/3/attention")
    status, _, err = lab.cli("locate", "3", check=False)
    lab.check(status == removal.BLOCKED and "attention LED is on" in err, f"{status}: {err}")
    lab.equal(lab.slot(3).leds().attention, "on", "the light")
    lab.sh("echo 0 > /sys/bus/pci/slots/3/attention")

    # The press of the button has the lights at once, and what is safe can be shown.
    lab.cli("locate", "2", "--for=600")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    lab.wait_for(lambda: lab.slot(2).leds().attention != "blink", 10, "the hold to end the blinking")
    lab.equal(removal.wait_for_end(lab, number, 120)["outcome"], "safe", "the outcome")
    removal.check_safe(lab, 2)
    lab.equal(lab.sh(RECORDS).strip(), "", "what is on record")
    said = lab.cli("locate", "2", "--for=600")[1]
    leds = lab.slot(2).leds()
    lab.equal((leds.power, leds.attention, slot(lab)["state"]), ("off", "blink", "safe" if leds.present else "empty"), said)
    lab.cli("locate", "2", "--off")
    check_over(lab, power="off")


@scenario("replace", turn=True)
def replace(lab):
    """Removed, waited for over a restart of the daemon, put in again, and all is there again."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    job = lab.spawn("replace", "safe-remove replace 2 --yes --wait=600")
    job.wait_for_output("waiting for the new card")
    lab.restart_daemon()
    removal.check_safe(lab, 2, ram)
    lab.slot(2).insert()
    lab.equal(job.wait(120), "0", f"the exit status\n{job.output()}")
    newest = removal.history(lab)[0]
    lab.equal((newest["kind"], newest["outcome"], newest["lost"]), ("restore", "rebuilt", []), job.output())
    removal.check_untouched(lab, 2, before)
    said = job.output()
    for words in ("slot 2: safe to pull", "slot 2: pull the card, serial 0x1", "serial 0x1 is in: the same one", "slot 2: rebuilt"):
        lab.check(words in said, f"'{words}' should be in the story:\n{said}")
