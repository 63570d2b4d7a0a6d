# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL to the worker, the daemon or the guard at every step of a pressed removal, or an upgrade of them all. systemd and the journal do the
rest: it ends safe or restored, and the slot is never left held. Which of these happens at which step changes with the seed."""

import collections
import os

from harness import removal
from harness.scenario import BOOT, scenario

STEPS = ("hold", "auto-online", "offline-memory", "disable-dax", "disable-region", "decommit-region", "delete-region",
         "auto-online-back", "disable-memdev", "release", "power-off")

VICTIMS = {
    "guard": "systemctl kill --kill-whom=main --signal=KILL safe-remove-guard.service",
    "worker": "pkill -KILL -x safe-remove-wor",
    "daemon": "systemctl kill --kill-whom=main --signal=KILL safe-removed.service",
    "upgrade": "systemctl restart safe-remove-guard.service; systemctl kill --kill-whom=main --signal=USR1 safe-removed.service",
}
TOGETHER = (("worker",), ("daemon",), ("guard",), ("daemon", "worker"), ("guard", "worker"), ("guard", "daemon", "worker"))

RECORDS = {}  # name: (step, what its record has)
ROUNDS = 9
CRASHES = int(os.environ.get("LAB_CRASHES", "0"))


def begin(lab, step):
    """A removal whose pause at this step is before its write or after it; (its number, the line that has it go on)."""
    go = removal.drill(lab, lab.random.choice((f"before-{step}", f"after-{step}"))) if step != "auto-online" else "true"
    if step == "auto-online":  # there are two of them
        removal.slow_down(lab, 150, step)
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    return number, go


# Whoever goes on writes a record, or has ended.
NEXT_RECORD = "had=$(wc -l < $journal); timeout 20 sh -c 'until [ $(wc -l < $0) -gt $1 ]; do sleep 0.02; done' $journal $had"


def kill_at(lab, step, record, strikes, ram):
    """A record is written before a step and after it, with a pause inside: the first of the shell lines falls before or after the write, another one at the
    next record. Returns the ending, and what the lines printed."""
    before = removal.Picture.take(lab)
    number, go = begin(lab, step)
    journal = f"{removal.STATE_DIR}/removals/{number}/journal"
    said = removal.wait_for_record(lab, number, record, 90, then=f"journal={journal}; sleep {lab.random.choice((0, 0.1, 0.2, 0.3))}; " + f"; {go}; {NEXT_RECORD}; ".join(strikes) + f"; {go}")
    end = removal.wait_for_end(lab, number, 150)
    if end["outcome"] == "safe":
        removal.check_safe(lab, 2, ram)
    else:
        lab.equal(end["outcome"], "restored", "the ending")
        removal.check_untouched(lab, 2, before)
    lab.equal(lab.sh("cat /sys/devices/system/memory/auto_online_blocks"), "online_movable", "the auto-online policy")
    return end["outcome"], said


def register(name, step, record):
    """A sample kills one of them at each step, the full matrix each."""
    RECORDS[name] = step, record
    if os.environ.get("LAB_LONG"):
        for victim in VICTIMS:
            scenario(f"kill-{victim}-at-{name}", timeout=240)(lambda lab, victim=victim: kill_at(lab, step, record, [VICTIMS[victim]], lab.ram(2)))
    else:
        scenario(f"kill-at-{name}", timeout=240)(
            lambda lab: kill_at(lab, step, record, [VICTIMS[lab.random.choice(sorted(VICTIMS))]], lab.ram(2)))


# The guard holds a pressed slot before there is a record: nothing is left to "do" of the first step.
register("hold", "hold", '"ev":"done","n":0')
for index, name in enumerate(STEPS[1:], 1):
    register(name, name.removesuffix("-back"), f'"ev":"do","n":{index}')

# The proof writes nothing that could be half done, so it has no "do".
register("prove-safe", "show-safe", '"ev":"done","n":10')
register("show-safe", "show-safe", '"ev":"do","n":12')


def crashes(lab):
    """Crash after crash in one machine, at records that the seed draws: one of us or several together are killed, at times once more when somebody has gone on, and at
    last the reset button is pushed. ./check adds up what is printed."""
    counts, ram = collections.Counter(), lab.ram(2)
    for _ in range(ROUNDS):
        step, record = RECORDS[lab.random.choice(sorted(RECORDS))]
        struck = [lab.random.choice(TOGETHER) for _ in range(lab.random.choice((1, 1, 2)))]
        strikes = ["; ".join(f"{VICTIMS[victim]} && echo hit" for victim in victims) for victims in struck]
        outcome, said = kill_at(lab, step, record, strikes, ram)
        counts += collections.Counter({"kills": said.split().count("hit"), outcome: 1})
        if outcome == "safe":
            lab.slot(2).insert()
            ram = lab.ram(2)
    step, record = RECORDS[lab.random.choice(sorted(RECORDS))]
    number, _ = begin(lab, step)
    removal.wait_for_record(lab, number, record, 90)
    # The lab's root file system has no journal: the record's name in its folder is there after a reset only if all is written out.
    lab.sh("sync")
    lab.reset()
    outcome = removal.wait_for_end(lab, number, 60)["outcome"]
    lab.check(outcome in ("interrupted", "safe"), f"after a reset it should be closed: {outcome}")
    lab.wait_for(lambda: lab.slot(2).driver_bound(), 60, "the slot not to be held")
    if lab.slot(2).occupied:
        lab.wait_leds(2, power="on", attention="off", power_on=True, timeout=60)
    counts += collections.Counter({"resets": 1, outcome: 1})
    print("     (crashes: " + ", ".join(f"{what} {counts[what]}" for what in sorted(counts)) + ")", flush=True)


for turn in range(1, max(CRASHES, 1) + 1):
    scenario(f"crashes-{turn:02}", timeout=900, allow=BOOT, turn=True)(crashes)


@scenario("kill-on-the-way-back", timeout=240)
def on_the_way_back(lab):
    """Killed while it puts things back: it goes on putting back, never forward again."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    go = removal.drill(lab, "after-disable-memdev", "decommit-region")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"done","n":4', 90, then=removal.go_on("decommit-region"))
    removal.wait_for_record(lab, number, '"ev":"do","n":8', 90, then=f"rm -r {removal.DRILL_OVER} && safe-remove cancel 2 --no-wait && "
                                                                    f"{removal.when_back(number)} && {removal.go_on('disable-memdev')}")
    removal.wait_for_record(lab, number, '"ev":"undo","n":5', then=f"{VICTIMS[lab.random.choice(sorted(VICTIMS))]}; {go}")
    end = removal.wait_for_end(lab, number, 150)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    removal.check_untouched(lab, 2, before)


@scenario("stop-in-the-middle", timeout=240)
def stop(lab):
    """The service is stopped on purpose: nobody would ever go on, so everything is put back before systemctl returns."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    removal.wait_for_record(lab, number, '"ev":"do","n":4', 90, then=removal.stop_service(number, go))
    removal.check_untouched(lab, 2, before)
    lab.equal(removal.wait_for_end(lab, number, 1)["outcome"], "restored", "the ending")


@scenario("restart-guard-meanwhile", timeout=240, turn=True)
def guard_restarted(lab):
    """A worker is a process of the guard's unit, without what the guard has to be quick, and goes on while the guard is restarted. The daemon
    has no right of its own."""
    ram = lab.ram(2)
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    said = removal.wait_for_record(lab, number, '"ev":"do","n":4', 90, then="""pid=$(pgrep -o -f '^safe-remove-worker run')
        echo score $(cat /proc/$pid/oom_score_adj); echo where $(cat /proc/$pid/cgroup); echo class $(ps -o cls= -p $pid)
        systemctl restart safe-remove-guard.service; kill -0 $pid && echo goes on
        grep CapEff /proc/$(systemctl show -P MainPID safe-removed.service)/status
        """ + go).split("\n")
    lab.equal(said[0::2], ["score -900", "class TS", "CapEff:\t0000000000000000"], "what a worker and the daemon have")
    lab.check("safe-remove-guard.service" in said[1], f"where a worker is: {said[1]}")
    lab.equal(said[3], "goes on", "the worker")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    resumed = lab.sh(f"journalctl -q -o cat SAFE_REMOVE_REMOVAL={number} MESSAGE_ID=c95dd9af16904ea9bef9ad424c06aed5")
    lab.equal(resumed, "", "nobody had to take it up again")
    # While nobody is at work the guard takes all that it has made along, and systemd finds nothing left over.
    said = lab.sh("""group=/sys/fs/cgroup/system.slice/safe-remove-guard.service/cgroup.procs
        of() { for pid in $(cat $group); do cat /proc/$pid/comm; done 2> /dev/null | sort | uniq -c | grep -c "$1"; }
        for i in $(seq 300); do [ "$(of idl),$(of wor),$(of '1 safe-remove-sta')" = 1,0,1 ] && break; sleep 0.1; done; of idl
        journalctl -q -n 0 --show-cursor > /run/cursor; systemctl restart safe-remove-guard.service; journalctl --sync
        journalctl -q -o cat --after-cursor "$(sed -n 's/^-- cursor: //p' /run/cursor)" UNIT=safe-remove-guard.service""").split("\n")
    lab.equal(said[0], "1", "how many workers waited")
    lab.check(any("Started" in line for line in said), f"the guard should have been restarted: {said}")
    lab.equal([line for line in said if "remains running" in line or "left-over process" in line], [], "what was left over")


@scenario("restart-guard-at-release", timeout=240, turn=True)
def guard_restarted_at_release(lab):
    """The guard is started anew between the slot's release and its power-off, and nobody has told it of either: a light that blinks is no press."""
    ram = lab.ram(2)
    go = removal.drill(lab, "after-disable-memdev", "after-release")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    # The guard looks at the lights when it starts, and once more half a second later.
    removal.wait_for_record(lab, number, '"ev":"do","n":8', 90, then="pid=$(systemctl show -P MainPID safe-removed.service); kill -STOP $pid; "
                            f"{removal.go_on('after-disable-memdev')}; timeout 30 sh -c 'until [ -e /sys/bus/pci/slots/2/power ]; do sleep 0.05; done'; "
                            "systemctl restart safe-remove-guard.service; sleep 2; kill -CONT $pid; " + go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("kill-before-refusal")
def before_refusal(lab):
    """Killed between writing a blocked plan down and writing the refusal down: whoever goes on refuses too."""
    ram = lab.ram(2, online="online")
    lab.keeper(ram.node, mib=8, unmovable=True)
    before = removal.Picture.take(lab)
    lab.equal(lab.cli("remove", "2", check=False)[0], removal.BLOCKED, "the exit status")
    number = removal.last_record(lab)
    lab.sh(f"systemctl stop safe-removed.service; sed -i '/\"ev\":\"end\"/d' {removal.STATE_DIR}/removals/{number}/journal; "
           "systemctl start safe-removed.service")
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("refused", "blocked"), "the ending")
    removal.check_untouched(lab, 2, before)
