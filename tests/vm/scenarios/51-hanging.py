# SPDX-License-Identifier: LGPL-2.1-or-later
"""An unbind that hangs in the kernel, where no signal ends it. Whatever becomes of its worker: nobody goes on before it has returned, since it may
take effect at any time."""

import json

from harness import removal, storage
from harness.scenario import scenario

HANG = "/run/hang"
STEP = "disable-dax"
STOP_SEC = 300  # the unit's TimeoutStopSec=


def prepare(lab):
    """From the file HANG on, whoever unbinds kmem hangs: the kernel tries for ever to take memory of another card offline that is pinned, with
    the lock taken that every removal of memory needs. Returns the memory of the card in slot 2, and who is to be stopped for it to end."""
    other = lab.ram(3)
    lab.pinner("--node", "--size=65536", "--pipe", other.node)
    blocks = " ".join(map(str, other.block_numbers))
    ram = lab.ram(2)
    lab.cleanup(lambda: lab.sh(f"rm -f {HANG}"))
    taker = lab.spawn("taker", f"until [ -e {HANG} ]; do sleep 0.02; done; "
                               f"for n in {blocks}; do echo offline > /sys/devices/system/memory/memory$n/state; done")
    return ram, taker


def records(lab, number, event):
    lines = lab.sh(f"grep '\"ev\":\"{event}\"' {removal.STATE_DIR}/removals/{number}/journal || true").splitlines()
    return [json.loads(line) for line in lines]


def hangs(lab, pid):
    return lab.sh(f"cut -d ' ' -f 3 /proc/{pid}/stat 2> /dev/null || true") == "D"


def begin(lab, **settings):
    """A removal of slot 2 whose unbind hangs; (its number, the process that hangs)."""
    number, at = removal.last_id(lab) + 1, storage.step_number(lab, STEP, "2")
    removal.policy(lab, StepDelayMSec=4000, StepDelayAt=STEP, **settings)
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at}', 90, then=f"touch {HANG}")
    lab.changed()  # somebody else is at the memory of the other card
    removal.wait_for_record(lab, number, "kmem/unbind", 60)
    writer = next(each["pid"] for each in records(lab, number, "write") if "kmem/unbind" in each["what"])
    for _ in range(3):
        lab.wait_for(lambda: hangs(lab, writer), 60, "the unbind to hang")
    return number, writer


def check_waits(lab, ram, number, writer):
    """The unbind hangs still; nothing was done behind it, and nothing of the card was put back. (The slot and the policy may be.)"""
    lab.check(hangs(lab, writer), "the unbind should hang still: the scenario shows nothing otherwise")
    at = records(lab, number, "do")[-1]["n"]
    lab.equal([each["n"] for each in records(lab, number, "done") if each["n"] >= at], [], "what was done since")
    lab.equal([each["n"] for each in records(lab, number, "undone") if each["n"] > 1], [], "what of the card was put back")
    lab.equal(ram.online(), 0, "the blocks that were put back")


def next_worker(lab, writer):
    return [pid for pid in lab.sh("pgrep -x safe-remove-wor || true").split() if int(pid) != writer]


@scenario("hanging-unbind-killed", timeout=300, turn=True)
def killed(lab):
    """The worker is killed, and the write has no end within its time: the next worker says so and leaves all as it is. Once it has ended
    the remedy leads on."""
    ram, taker = prepare(lab)
    number, writer = begin(lab)
    removal.policy(lab, WriteTimeoutSec=4)
    lab.sh("pkill -KILL -x safe-remove-wor")
    end = removal.wait_for_end(lab, number, 120)
    check_waits(lab, ram, number, writer)
    lab.equal(end["outcome"], "stuck", f"the ending ({end['message']})")
    lab.check(f"process {writer} still waits in the kernel" in end["message"], f"who writes still should be told: {end['message']}")
    lab.equal(lab.wait_leds(2, attention="on").power_on, True, "whether the card has power")
    found = {each["code"]: each for each in storage.plan(lab, "2")["blockers"]}
    lab.check(str(writer) in str(found.get("STILL_WRITING")), f"a new plan should be blocked by who writes still: {found}")
    lab.equal(lab.cli("remove", "2", check=False)[0], removal.BLOCKED, "the exit status of another attempt")
    taker.stop()
    lab.sh(end["remedy"][0], timeout=60)
    removal.policy(lab)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("hanging-unbind-goes-on", timeout=300, turn=True)
def goes_on(lab):
    """The worker is killed, and the write returns while the next one waits for that: the removal goes on."""
    ram, taker = prepare(lab)
    number, writer = begin(lab)
    removal.policy(lab)
    lab.sh("pkill -KILL -x safe-remove-wor")
    lab.wait_for(lambda: next_worker(lab, writer), 60, "the next worker")
    lab.equal(lab.cli_json("status", "2", check=False)["state"], "working", "the state meanwhile")
    check_waits(lab, ram, number, writer)
    taker.stop()
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("safe", "done"), f"the ending ({end['message']})")
    removal.check_safe(lab, 2, ram)


@scenario("hanging-unbind-give-back", timeout=400, turn=True)
def give_back(lab):
    """The service is stopped in the middle of it, and somebody else has the lock of the machine: the slot is given back within the unit's stop
    time, and the next start puts back the rest, once the write has ended."""
    ram, taker = prepare(lab)
    number, writer = begin(lab)
    removal.policy(lab)
    other = lab.spawn("other", f"exec flock {removal.STATE_DIR}/lock sleep infinity")
    lab.sh("systemctl stop --no-block safe-removed.service")
    lab.wait_for(lab.slot(2).driver_bound, STOP_SEC, "the slot to be given back")
    lab.check(lab.wait_leds(2, power="on").power_on, "the card should have its power")
    check_waits(lab, ram, number, writer)
    other.stop()
    taker.stop()
    lab.wait_for(lambda: lab.sh("systemctl show -P ActiveState safe-removed.service") in ("inactive", "failed"), STOP_SEC, "the service to be down")
    lab.sh("systemctl start safe-removed.service")
    end = removal.wait_for_end(lab, number, 120)
    lab.equal(end["outcome"], "restored", f"the ending ({end['message']})")
    lab.equal(ram.online(), 4, "the blocks online")
