# SPDX-License-Identifier: LGPL-2.1-or-later
"""What systemd does with the two units by itself: starts them for who asks, and kills one that hangs and starts it again."""

from harness import removal
from harness.scenario import scenario
from harness.stage import GUARD, SERVICE

UNREACHABLE = 69
SOCKETS = ("guard", "workers")
WATCHDOG_SEC = 5  # the units have more; a busy machine's daemon must not need as long as this for a turn


def state_of(lab, unit):
    return lab.sh(f"systemctl show -P ActiveState {unit}")


def stop_both(lab):
    lab.sh(f"systemctl stop {SERVICE} {GUARD}")
    lab.equal((state_of(lab, SERVICE), state_of(lab, GUARD)), ("inactive", "inactive"), "what was stopped")


def check_awake(lab):
    for unit in (SERVICE, GUARD):
        lab.wait_for(lambda: state_of(lab, unit) == "active", 30, f"{unit} to be up")
    for name in SOCKETS:
        lab.sh(f"test -S /run/safe-remove/{name}")
    lab.equal([slot["name"] for slot in lab.cli_json("list")["slots"]], ["2", "3", "4", "5"], "the slots")


def drop_in(lab, unit, lines):
    """Some lines of the unit's are others, until the machine is restarted or the scenario has ended."""
    lab.write(f"/run/systemd/system/{unit}.d/scenario.conf", f"[Service]\n{lines}")
    lab.sh("systemctl daemon-reload")


def undo_drop_ins(lab):
    lab.cleanup(lambda: lab.sh(f"rm -rf /run/systemd/system/{SERVICE}.d /run/systemd/system/{GUARD}.d && systemctl daemon-reload && "
                               f"systemctl reset-failed {SERVICE} {GUARD}; systemctl restart {GUARD} {SERVICE}"))


@scenario("activation", timeout=180, turn=True)
def activation(lab):
    """Neither of them runs: root's call, and any user's over the bus, brings both. One that cannot be started is told so, with what to type next."""
    stop_both(lab)
    lab.cli("list")
    check_awake(lab)
    stop_both(lab)
    lab.sh("setpriv --reuid=nobody --regid=nogroup --clear-groups busctl call org.saferemove1 /org/saferemove1 org.freedesktop.DBus.Peer Ping")
    check_awake(lab)

    undo_drop_ins(lab)
    drop_in(lab, SERVICE, "ExecStart=\nExecStart=/usr/bin/false\nRestart=no\n")
    stop_both(lab)
    # The bus gives up after its own 25 s: nobody tells it that the unit has failed.
    status, _, said = lab.cli("list", check=False)
    lab.equal(status, UNREACHABLE, f"the exit status ({said})")
    lab.check("the daemon cannot be reached (" in said and "see: systemctl status safe-removed" in said, said)


def show(lab, unit, name):
    return lab.sh(f"systemctl show -P {name} {unit}")


def hang(lab, unit):
    """It is alive and says so; then it is stopped, and the watchdog has it killed and started again."""
    pid, heard = show(lab, unit, "MainPID"), show(lab, unit, "WatchdogTimestampMonotonic")
    lab.wait_for(lambda: show(lab, unit, "WatchdogTimestampMonotonic") != heard, 2 * WATCHDOG_SEC, f"{unit} to say that it is alive")
    lab.equal((show(lab, unit, "MainPID"), show(lab, unit, "NRestarts")), (pid, "0"), "the process that was never killed so far, and how often it was")
    lab.sh(f"kill -STOP {pid}")
    lab.wait_for(lambda: show(lab, unit, "NRestarts") == "1" and state_of(lab, unit) == "active", 60, f"{unit} to be started again")
    lab.check(show(lab, unit, "MainPID") != pid, "it should be another process")
    lab.wait_for(lambda: lab.journal(f"-u {unit} _PID=1 -g 'Watchdog timeout'"), 10, "the journal to say why")


@scenario("watchdog", timeout=200, turn=True)
def watchdog(lab):
    """Daemon and guard hang one after the other in the middle of a removal: it goes on, the slot blinks all the time, and at last it is safe. A press is
    heard again after that."""
    undo_drop_ins(lab)
    for unit in (GUARD, SERVICE):
        lab.check(int(show(lab, unit, "WatchdogUSec").rstrip("s")) > WATCHDOG_SEC, f"{unit} should have a watchdog that is slower than ours")
        drop_in(lab, unit, f"WatchdogSec={WATCHDOG_SEC}\n")
    lab.sh(f"systemctl restart {GUARD} {SERVICE}")
    ram = lab.ram(2)
    go = removal.drill(lab, "before-offline-memory")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()

    def stands_still():
        lab.wait_for(lambda: lab.cli_json("status", "2")["step"] == "offline-memory", 60, "the step to be begun")
        lab.check(not lab.slot(2).driver_bound() and lab.slot(2).leds().power == "blink", f"the slot should be held and blink: {lab.slot(2).leds()}")
    stands_still()
    for unit in (SERVICE, GUARD):
        hang(lab, unit)
        stands_still()
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    lab.slot(3).press()
    lab.equal(removal.wait_for_end(lab, number + 1)["outcome"], "safe", "the next press's ending")
    removal.check_safe(lab, 3)
