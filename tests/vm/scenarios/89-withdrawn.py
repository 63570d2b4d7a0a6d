# SPDX-License-Identifier: LGPL-2.1-or-later
"""A light that has become untrue is withdrawn."""

from harness import removal
from harness.scenario import scenario

# By the message's id (daemon/log.c).
WITHDRAWN_AT = "journalctl -q -o short-unix MESSAGE_ID=4bc9d6f2b91e4122959a6d3a2d5d5196 | tail -n 1 | cut -d ' ' -f 1"


def bash(lab, script):
    return lab.run(["/bin/bash", "-c", script], timeout=20)[1].strip()


def safe_over_a_card(lab):
    lab.ram(2)
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the outcome")
    leds = lab.slot(2).leds()
    lab.equal((leds.power, leds.attention, leds.present), ("off", "off", True), f"the light over the card ({leds})")
    lab.equal([s["state"] for s in lab.cli_json("list")["slots"] if s["name"] == "2"], ["safe"], "the slot's state")


def check_soon(lab, what, msec):
    """Within a second, where nothing else has the host; nobody has bent down to the card by then."""
    print(f"     ({what} {msec} ms after the power came)", flush=True)
    lab.check(0 <= msec <= 5000, f"the light should be withdrawn within a second or so, not {msec} ms")


@scenario("proof-light-withdrawn", profile="nopower")
def light_withdrawn(lab):
    """The card sits there, safe to pull, and somebody powers the slot up again."""
    lab.spawn("monitor", "safe-remove monitor --json > /run/monitor")
    safe_over_a_card(lab)
    lab.wait_for(lambda: '"type":"end"' in lab.sh("cat /run/monitor"), 10, "the monitor to tell of it")
    began = float(bash(lab, "echo $EPOCHREALTIME; echo 1 > /sys/bus/pci/slots/2/power"))
    # Another scenario of this guest may have had one before.
    said = lab.wait_for(lambda: (at := lab.sh(WITHDRAWN_AT).strip()) and float(at) > began and at, 10, "the daemon to say so")
    check_soon(lab, "said", int((float(said) - began) * 1000))
    lab.wait_for(lambda: "withdrawn" in lab.sh("cat /run/monitor"), 5, "the event")
    # The kernel has the light once the card is up: power LED on, and the attention LED is off again.
    lab.wait_leds(2, power="on", attention="off", timeout=30)
    lab.equal([s["state"] for s in lab.cli_json("list")["slots"] if s["name"] == "2"], ["ready"], "the slot's state")

    # Somebody whom the kernel knows nothing of: all there is to see is the power LED, and only the daemon answers.
    safe_over_a_card(lab)
    msec = int(bash(lab, f"""begin=${{EPOCHREALTIME/./}}
        setpci -s {lab.slot(2).place.bdf} CAP_EXP+18.w=0200:0300
        until read -r light < /sys/bus/pci/slots/2/attention && [ "$light" = 1 ]; do sleep 0.01; done
        echo $(((${{EPOCHREALTIME/./}} - begin) / 1000))"""))
    check_soon(lab, "shown", msec)
    leds = lab.slot(2).leds()
    lab.check(leds.attention == "on" and not leds.safe, f"the light should not say safe: {leds}")
