# SPDX-License-Identifier: LGPL-2.1-or-later
"""A press is answered by the guard, from the port alone: before the daemon, a record or a look at the machine."""

from harness import removal
from harness.scenario import scenario
from harness.stage import GUARD

DROP_IN = f"/run/systemd/system/{GUARD}.d/scenario.conf"
HELD = "/run/safe-remove/held"


def claim_within(lab, seconds):
    """How long the guard waits for somebody to take a press over."""
    lab.sh(f"mkdir -p /run/systemd/system/{GUARD}.d")
    lab.cleanup(lambda: lab.sh(f"rm -f {DROP_IN} && systemctl daemon-reload && systemctl restart {GUARD}"))
    lab.write(DROP_IN, f"[Service]\nEnvironment=SAFE_REMOVE_CLAIM_SEC={seconds}\n")
    lab.sh(f"systemctl daemon-reload && systemctl restart {GUARD}")


def wait_held(lab, number):
    """The kernel has not powered the slot off, and is not going to; how long it took by the guard's own word."""
    slot = lab.slot(number)
    lab.wait_for(lambda: not slot.driver_bound(), 5, f"slot {number} to be held")
    lab.check(slot.leds().power_on, f"slot {number} should have its power")
    said = lab.wait_for(lambda: lab.journal(f"-u {GUARD} -g '{slot.place.bdf} is held' | tail -n 1"), 10, "the guard's word")
    print(f"     ({said})")


def is_marked(lab, number):
    return lab.guest.succeeds(f"test -e {HELD}/{lab.slot(number).place.bdf}")


def wait_given_back(lab, number, why, timeout=40):
    slot = lab.slot(number)
    lab.wait_for(slot.driver_bound, timeout, f"slot {number} to be given back")
    lab.wait_leds(number, power="on", attention="off", timeout=10)
    lab.check(slot.leds().power_on, f"slot {number} should have its power")
    lab.wait_for(lambda: not is_marked(lab, number), 10, "the mark to be gone")
    lab.wait_for(lambda: lab.journal(f"-u {GUARD} -g 'given back.*{why}'"), 10, f"the guard to say why ({why})")


def press_in_vain(lab):
    """A press that nobody takes over in time."""
    lab.slot(2).press()
    wait_held(lab, 2)
    wait_given_back(lab, 2, "in time")


@scenario("press-daemon-stands-still", timeout=200)
def daemon_stands_still(lab):
    """The daemon does nothing for longer than the kernel waits: the slot is held all the same, and the removal follows."""
    ram = lab.ram(2)
    number = removal.last_id(lab) + 1
    lab.sh("systemctl kill --signal=STOP safe-removed.service")
    lab.cleanup(lambda: lab.run("systemctl kill --signal=CONT safe-removed.service", check=False))
    lab.slot(2).press()
    wait_held(lab, 2)
    lab.check(is_marked(lab, 2), "the slot should be marked as held")
    lab.sh("sleep 6")  # the kernel's own time
    lab.check(lab.slot(2).leds().power_on and ram.online() == 4, "nothing should have been taken away")
    lab.sh("systemctl kill --signal=CONT safe-removed.service")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    lab.check(not is_marked(lab, 2), "the mark should be gone")


@scenario("press-nobody-decides", timeout=200, turn=True)
def nobody_decides(lab):
    """No daemon comes: the slot is given back, and a second press before that has the same effect at once."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    claim_within(lab, 8)
    lab.sh("systemctl stop safe-removed.service")
    press_in_vain(lab)
    lab.slot(2).press()
    wait_held(lab, 2)
    lab.slot(2).press(force=True)
    wait_given_back(lab, 2, "pressed again")
    lab.sh("systemctl start safe-removed.service")
    removal.check_untouched(lab, 2, before)


@scenario("press-record-hangs", timeout=240, turn=True)
def record_hangs(lab):
    """The state directory takes no writes: nothing is begun, and the slot is given back."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    claim_within(lab, 10)
    removal.state_apart(lab)
    lab.sh(f"fsfreeze --freeze {removal.STATE_DIR}")
    press_in_vain(lab)
    lab.check(lab.slot(2).leds().power_on, "the card should be up")
    lab.sh(f"fsfreeze --unfreeze {removal.STATE_DIR}")
    lab.sh("systemctl stop safe-removed", timeout=120)
    before.check(lab)


@scenario("press-whose-hold", timeout=200)
def whose_hold(lab):
    """A slot that we held, for nobody or too long ago, is given back by whoever starts next; one that an administrator unbound is not."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    claim_within(lab, 10)
    others = lab.slot(3).service
    lab.sh(f"echo {others} > /sys/bus/pci_express/drivers/pciehp/unbind")
    lab.cleanup(lambda: lab.run(f"echo {others} > /sys/bus/pci_express/drivers/pciehp/bind", check=False))
    lab.sh("systemctl stop safe-removed.service")
    lab.slot(2).press()
    wait_held(lab, 2)
    lab.sh(f"systemctl kill --signal=KILL {GUARD}; systemctl stop {GUARD}; sleep 11")
    lab.check(not lab.slot(2).driver_bound() and is_marked(lab, 2), "the slot should be held still")
    lab.sh("systemctl start safe-removed.service")
    wait_given_back(lab, 2, "no removal")
    lab.check(not lab.slot(3).driver_bound(), "the other slot is the administrator's")
    lab.sh(f"systemctl restart {GUARD} safe-removed.service")
    lab.check(not lab.slot(3).driver_bound(), "the other slot is the administrator's")
    lab.sh(f"echo {others} > /sys/bus/pci_express/drivers/pciehp/bind")
    removal.check_untouched(lab, 2, before)


@scenario("press-after-stop", timeout=240, turn=True)
def after_stop(lab):
    """A removal had claimed the slot and is put back, because the service is stopped: the next press is held as the first one was."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    claim_within(lab, 8)
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":4', 90, then=removal.stop_service(number, go))
    removal.check_untouched(lab, 2, before)
    press_in_vain(lab)
    lab.sh("systemctl start safe-removed.service")
    removal.check_untouched(lab, 2, before)


def kill_guard(lab, until="the next guard"):
    """It dies, and the next one has heard all that the daemon wants."""
    said = "-u safe-removed.service -g 'Lost what the guard had to tell' | wc -l"
    before = int(lab.journal(said))
    lab.sh(f"systemctl kill --kill-whom=main --signal=KILL {GUARD}")
    lab.wait_for(lambda: int(lab.journal(said)) > before, 30, until)


@scenario("press-guard-dies-in-a-removal", timeout=300, turn=True)
def guard_dies(lab):
    """While the slot is held, and while a restoration has it: whose it is the next guard knows, and a second press is heard."""
    ram = lab.ram(2)
    before = removal.Picture.take(lab)
    claim_within(lab, 3)
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":4', 90)
    kill_guard(lab)
    lab.check(not lab.slot(2).driver_bound() and is_marked(lab, 2), "the slot should be held still")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)

    lab.slot(2).insert()
    go = removal.drill(lab, "disable-region", "delete-region")
    lab.cli("restore", "2", "--no-wait")
    lab.wait_for(lambda: not lab.slot(2).driver_bound(), 60, "the restoration to hold the slot")
    kill_guard(lab)
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number + 1, 180)["outcome"], "rebuilt", "the ending")
    removal.check_untouched(lab, 2, before)
    lab.check(not is_marked(lab, 2), "the mark should be gone")
    lab.equal(lab.journal(f"-u {GUARD} -g 'no removal of it is unfinished'"), "", "holds that were nobody's")


def kill_untold(lab, number, victims):
    """Presses, and lets the guard's hand take the slot while the guard itself stands still, and dies: nobody has been told."""
    guard = lab.sh(f"systemctl show -P MainPID {GUARD}").strip()
    children = lab.sh(f"pgrep -P {guard} | xargs").strip()
    lab.sh(f"kill -STOP {children}")
    lab.slot(number).press()
    # A hand that is at work has another one in its place, until it has ended.
    count, n = f"pgrep -c -P {guard}", len(children.split())
    lab.sh(f"""timeout 30 sh -c 'until [ $({count}) -gt {n} ]; do sleep 0.01; done'; kill -STOP {guard}; kill -CONT {children}
        timeout 30 sh -c 'until [ $({count}) -eq {n} ]; do sleep 0.01; done'; systemctl kill --kill-whom=main --signal=KILL {victims}""")
    lab.check(not lab.slot(number).driver_bound() and is_marked(lab, number), f"slot {number} should be held")


def served_untold(lab, victims):
    ram = lab.ram(2)
    number = removal.last_id(lab) + 1
    kill_untold(lab, 2, victims)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    lab.equal(removal.last_record(lab), number, "the last removal")


@scenario("press-guard-dies-untold", timeout=200)
def guard_dies_untold(lab):
    """Between the hold and telling of the press: the next guard tells of it, and the removal begins as if nothing had happened."""
    served_untold(lab, GUARD)


@scenario("press-all-die-untold", timeout=200, turn=True)
def all_die_untold(lab):
    """And the daemon dies as well."""
    served_untold(lab, f"{GUARD} safe-removed.service")


@scenario("press-served-once", timeout=240, turn=True)
def served_once(lab):
    """The kernel's log still has the press when the next guard reads it, and the slot is on its way down by then, driven and blinking."""
    ram = lab.ram(2)
    go = removal.drill(lab, "release", "power-off")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":9', 90, then=f"systemctl kill --kill-whom=main --signal=KILL {GUARD}; {go}")
    lab.equal(removal.wait_for_end(lab, number, 150)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    lab.equal(lab.journal(f"-u {GUARD} -g '{lab.slot(2).place.bdf} is held' | wc -l"), "1", "how often the slot was taken")


@scenario("press-full-run", timeout=240, turn=True)
def full_run(lab):
    """There is no room in /run for one more file: the slot is marked as held all the same, and the next guard knows for which press."""
    ram = lab.ram(2)
    number = removal.last_id(lab) + 1
    lab.sh("systemctl stop safe-removed.service")
    lab.cleanup(lambda: lab.sh("rm -rf /run/full"))
    lab.run("""mkdir /run/full; dd if=/dev/zero of=/run/full/bytes bs=64k status=none; cat /dev/zero >> /run/full/bytes
        n=0; while : > /run/full/$n; do n=$((n+1)); [ $n -lt 2000 ] || break; done""", check=False)
    lab.check(not lab.guest.succeeds("head -c 8192 /dev/zero > /run/full/more"), "/run should be full")
    lab.slot(2).press()
    wait_held(lab, 2)
    lab.check(is_marked(lab, 2), "the slot should be marked as held")
    lab.sh(f"systemctl kill --kill-whom=main --signal=KILL {GUARD}")
    lab.sh("rm -rf /run/full")
    lab.wait_for(lambda: lab.guest.succeeds(f"systemctl -q is-active {GUARD}"), 20, "the next guard")
    lab.sh("systemctl start safe-removed.service")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("press-no-guard", timeout=200, turn=True)
def no_guard(lab):
    """A press while no guard is there: the next one reads it in the kernel's log, and says how long ago it was."""
    ram = lab.ram(2)
    number = removal.last_id(lab) + 1
    lab.sh(f"systemctl stop {GUARD}")
    lab.slot(2).press()
    lab.sh(f"timeout 5 sh -c 'until dmesg | tail -n 20 | grep -q \"will power off\"; do sleep 0.05; done'; systemctl start {GUARD}")
    wait_held(lab, 2)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
