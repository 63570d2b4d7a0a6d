# SPDX-License-Identifier: LGPL-2.1-or-later
"""One machine's command, another machine's daemon: over a real ssh, with the program that systemctl -H has at its other end. The first is the
tests' own, or a guest too."""

import json

from harness import removal
from harness.scenario import scenario
from harness.ssh import Remote, connect


@scenario("remote", profile="network", timeout=200, turn=True)
def remote(lab):
    """It looks, plans and removes; the daemon dies meanwhile, and the one who waits far away sees how it ends."""
    ram = lab.ram(2)
    far = Remote(lab)
    lab.equal(json.loads(far.run("list", "--json")), lab.cli_json("list"), "the slots")
    lab.equal(json.loads(far.run("plan", "2", "--json"))["digest"], lab.cli_json("plan", "2")["digest"], "the plan")
    go = removal.drill(lab, "before-offline-memory")
    lab.remember()
    waits, log = far.start("remove", "2")

    def said(text):
        lab.wait_for(lambda: text in log.read_text() or waits.poll() is not None, 60, f"'{text}' far away")
        lab.check(text in log.read_text(), f"it should say '{text}': {log.read_text()}")
    said(f"started on {far.host}")
    number = removal.last_record(lab)
    lab.wait_for(lambda: lab.cli_json("status", "2")["step"] == "offline-memory", 60, "the step to be begun")
    lab.equal(lab.slot(2).leds().power, "blink", "the power light")
    lab.sh("systemctl kill --signal=KILL --kill-whom=main safe-removed.service")
    said("the daemon is gone")
    said("the daemon is back")
    lab.sh(go)
    lab.wait_for(lambda: waits.poll() is not None, 120, "its end far away")
    lab.equal(waits.returncode, removal.SAFE, f"the exit status ({log.read_text()})")
    lab.check("offline-memory" in log.read_text() and log.read_text().rstrip().split("\n")[-1].startswith("slot 2: safe to pull"), log.read_text())
    lab.compare(False)
    removal.check_safe(lab, 2, ram)
    lab.equal(json.loads(far.run("history", "--json", "-n1"))["removals"][0]["id"], str(number), "its record")


@scenario("remote-guests", profile="network", timeout=300, turn=True)
def remote_guests(lab):
    """From one machine to another, none of which is the tests' own. The near one's daemon sleeps, and nobody wakes it: it is not the one who is asked."""
    far = lab.second()
    ram = far.ram(2)
    host = connect(lab, far)
    lab.sh("systemctl stop safe-removed.service")

    def near(*words):
        return json.loads(lab.sh(f"safe-remove {' '.join(words)} --json -H {host}"))
    lab.equal(near("list"), far.cli_json("list"), "the slots")
    lab.equal(near("plan", "2")["digest"], far.cli_json("plan", "2")["digest"], "the plan")
    go = removal.drill(far, "before-offline-memory")
    waits = lab.guest.spawn("removes", f"safe-remove remove 2 -H {host}")
    waits.wait_for_output(f"started on {host}")
    number = removal.last_record(far)
    far.wait_for(lambda: far.cli_json("status", "2")["step"] == "offline-memory", 60, "the step to be begun")
    lab.equal(far.slot(2).leds().power, "blink", "the power light")
    far.sh(go)
    lab.equal(waits.wait(120), "0", f"the exit status ({waits.output()})")
    lab.check("offline-memory" in waits.output() and waits.output().rstrip().split("\n")[-1].startswith("slot 2: safe to pull"), waits.output())
    removal.check_safe(far, 2, ram)
    lab.equal(near("history", "-n1")["removals"][0]["id"], str(number), "its record")
    lab.check(lab.slot(2).bdf() and lab.slot(2).leds().power == "on", "the near machine's own card should be as it was")
    lab.equal(lab.sh("systemctl is-active safe-removed.service || true"), "inactive", "the near daemon")
