# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios ask again and again about a removal: how it ended, and whether the machine is as it should be then."""

import json

from . import wait
from .picture import Picture  # noqa: F401: removal.Picture is how scenarios know it

STATE_DIR = "/var/lib/safe-remove"
POLICY_FILE = "/etc/safe-remove/conf.d/scenario.conf"
DRILL_OVER = "/run/safe-remove/drill-over"
CURSOR = "/run/lab-cursor"  # where the journal was when the scenario began
DRILL_SEC = 120  # longer than whoever comes in between may need

STATE_HANGS, STATE_ANSWERS = "dmsetup suspend --nolockfs state-disk", "dmsetup resume state-disk"  # after state_apart()

ENDED = '"ev":"end"'

SAFE, NOTHING, NOT_FOUND, VETOED, BLOCKED, RESTORED, STUCK, AMBIGUOUS, STALE, NOT_PROVEN, USAGE, BUSY, NOT_AUTHORISED = (
    0, 2, 3, 4, 5, 6, 7, 9, 10, 11, 64, 75, 77)


def policy(lab, **settings):
    """Settings for this scenario alone, as an administrator writes them."""
    lines = "".join(f"{key}={value}\n" for key, value in settings.items())
    lab.write(POLICY_FILE, f"[Removal]\n{lines}")


def _on_any_kernel(pauses):
    """A newer one takes the memory of a whole device away in the place of block after block."""
    return sorted({*pauses, *(pause.replace("offline-memory", "unplug-memory") for pause in pauses)})


def slow_down(lab, msec, *steps):
    """Pauses before and after these steps, where it makes no difference whether somebody comes in between or too late."""
    steps = _on_any_kernel(steps)
    policy(lab, StepDelayMSec=msec, StepDelayAt=" ".join(steps))


def _halves(pauses):
    return sorted({half for pause in pauses for half in ([pause] if pause.startswith(("before-", "after-")) else [f"before-{pause}", f"after-{pause}"])})


def go_on(*pauses):
    """A shell line that ends these pauses of a drill: "before-STEP", "after-STEP", or STEP for both."""
    return f"mkdir -p {DRILL_OVER} && touch {' '.join(f'{DRILL_OVER}/{half}' for half in _halves(pauses))}"


def drill(lab, *pauses, **settings):
    """Has a removal stand still at these pauses ("before-STEP", "after-STEP", or STEP for both) until it is called off, or somebody says go_on():
    however slow the machine is, whoever comes in between is in time. Returns the line that ends all of them."""
    pauses = _on_any_kernel(pauses)
    steps = sorted({pause.removeprefix("before-").removeprefix("after-") for pause in pauses})
    over = sorted(set(_halves(steps)) - set(_halves(pauses)))
    lab.sh(f"rm -rf {DRILL_OVER}" + (f"; {go_on(*over)}" if over else ""))
    lab.cleanup(lambda: lab.run(go_on(*steps), check=False))
    policy(lab, StepDelayMSec=DRILL_SEC * 1000, StepDelayAt=" ".join(steps), **settings)
    return go_on(*steps)


def when_back(number):
    """A shell line that waits until removal `number` is on its way back: its worker hears of that a little later than who has asked for it."""
    return f"timeout 60 sh -c 'until grep -q ev...back {STATE_DIR}/removals/{number}/journal; do sleep 0.05; done'"


def call_off(number, target, go):
    """A shell line that calls off a removal that stands still in a drill, and has it go on once it is on its way back."""
    return f"safe-remove cancel {target} --no-wait && {when_back(number)} && {go}"


def stop_service(number, go):
    """The same by stopping the service, to the end of that."""
    return f"{{ {when_back(number)} && {go}; }} & systemctl stop safe-removed.service; wait"


def plug_module(lab, size=256 << 20):
    """A memory module is plugged in, in the middle of something; how many blocks it has."""
    lab.guest.qmp("object-add", **{"qom-type": "memory-backend-ram", "id": "module", "size": size})
    lab.guest.qmp("device_add", driver="pc-dimm", id="dimm", memdev="module")
    return size >> 27


def offline_blocks(lab):
    return lab.sh("cd /sys/devices/system/memory && grep -lx offline memory*/state || true")


def count_blocks(lab):
    return int(lab.sh("ls -d /sys/devices/system/memory/memory[0-9]* | wc -l"))


def state_apart(lab):
    """Gives the state directory a file system of its own, which can be frozen (fsfreeze) without the rest of the machine, and whose disk can stop to answer
    (STATE_HANGS, STATE_ANSWERS)."""
    image = "/run/state.img"
    lab.sh(f"""systemctl stop safe-removed.service && truncate -s 64M {image} && mkfs.ext4 -q {image} && disk=$(losetup --show -f {image}) &&
        dmsetup create state-disk --table "0 $(blockdev --getsz $disk) linear $disk 0" && mount /dev/mapper/state-disk {STATE_DIR} && systemctl start safe-removed.service""")
    lab.cleanup(lambda: lab.sh(f"""{STATE_ANSWERS}; fsfreeze -u {STATE_DIR} 2> /dev/null; systemctl stop safe-removed.service;
        umount {STATE_DIR} && dmsetup remove state-disk && losetup -d $(losetup -n -O NAME -j {image}) && rm -f {image}; systemctl start safe-removed.service"""))


def round_trips(lab):
    """How long the answer to a question about slot 2 takes, milliseconds: the median of five."""
    ask = "a=$(date +%s%N); timeout 60 safe-remove status 2 > /dev/null || true; b=$(date +%s%N); echo $(((b - a) / 1000000))"
    return sorted(map(int, lab.sh(f"for n in 1 2 3 4 5; do {ask}; done", timeout=320).split()))[2]


def history(lab):
    """The removals on record, newest first."""
    return lab.cli_json("history")["removals"]


def last_record(lab):
    """The number of the newest record."""
    return int(lab.sh(f"ls {STATE_DIR}/removals 2> /dev/null | sort -n | tail -n 1") or 0)


def last_id(lab):
    """The highest number that a removal has had: of one that ended without a record that alone is kept, and of one that ended in this boot how it did, whatever
    became of the state folder since."""
    return int(lab.sh(f"(cd {STATE_DIR} && ls removals numbers /run/safe-remove/ended 2> /dev/null) | grep -x '[0-9][0-9]*' | sort -n | tail -n 1") or 0)


def wait_for_end(lab, number, timeout=120):
    """The end record of removal `number`. One that was called off has left everything as it was, which is compared."""
    end = json.loads(wait_for_record(lab, number, ENDED, timeout, then=f"exec grep '{ENDED}' {STATE_DIR}/removals/{number}/journal"))
    lab.compare(end["outcome"] == "restored")
    return end


def incident_of(lab, number, timeout=90):
    """The newest incident of this slot, once it is on record, whole."""
    def recorded():
        found = [one for one in lab.cli_json("history").get("incidents", []) if one["slot"] == str(number)]
        return lab.cli_json("incident", found[0]["id"]) if found else None
    return lab.wait_for(recorded, timeout, f"an incident of slot {number}")


def step_of(lab, number, name):
    """The number of a step by the plan that removal `number` has: one that was asked for before may have had other steps, since somebody comes and goes."""
    plan = f"{STATE_DIR}/removals/{number}/plan.json"
    lab.wait_for(lambda: lab.guest.succeeds(f"test -e {plan}"), 60, "the removal to have its plan")
    return next(step["n"] for step in json.loads(lab.sh(f"cat {plan}"))["steps"] if step["name"] == name)


def step_times(lab, number):
    """{("do" or "done", step): milliseconds} of removal `number`, the first time of each, and {name: step}."""
    records = [json.loads(line) for line in lab.sh(f"cat {STATE_DIR}/removals/{number}/journal").splitlines()]
    steps = json.loads(lab.sh(f"cat {STATE_DIR}/removals/{number}/plan.json"))["steps"]
    times = {(r["ev"], r["n"]): r["usec"] // 1000 for r in reversed(records) if r["ev"] in ("do", "done")}
    return times, {s["name"]: s["n"] for s in steps}


def certificate(lab, number):
    """The certificate of removal `number`, which is written after its end record."""
    def written():
        status, out, _ = lab.cli("certificate", number, "--json", check=False)
        return json.loads(out) if status == 0 else None
    return lab.wait_for(written, 20, f"the certificate of removal {number}")


def wait_for_record(lab, number, text, timeout=120, then="true"):
    """Wait until the journal of removal `number` has a record with this text, and run a command right then; the guest does
    both, so that no way to and fro lies between, and without a process for each look. Returns what the command printed."""
    timeout = max(timeout, wait.PATIENCE)
    look = 'grep -qm 1 -F -- "$1" < <(exec tail -n +1 -s 0.05 -F --pid=$$ "$0" 2> /dev/null)'
    journal = f"{STATE_DIR}/removals/{number}/journal"
    return lab.sh(f"timeout {timeout} bash -c '{look}' {journal} '{text}' && {{ {then}; }}", timeout + 120)


def check_safe(lab, number, ram=None):
    """Slot `number` is safe by the registers, and nothing of the card is left in the kernel."""
    slot = lab.slot(number)
    leds = lab.wait_leds(number, safe=True, timeout=5)
    lab.check(leds.safe, f"slot {number} should be safe to pull: {leds}")
    lab.equal(slot.bdf(), None, f"the function behind slot {number}")
    lab.check(slot.driver_bound(), f"slot {number} should not be held")
    if ram:
        left = lab.sh(f"grep -iE 'kmem|dax|region' /proc/iomem | grep -i '{ram.start:x}' || true")
        lab.equal(left, "", "what is left in /proc/iomem")
        lab.equal(ram.blocks(), [], "the memory blocks that are left")


def check_untouched(lab, number, before):
    """Everything is as it was, the slot is not held, and the LED says that the card must stay."""
    before.check(lab)
    slot = lab.slot(number)
    leds = slot.leds()
    lab.check(slot.driver_bound(), f"slot {number} should not be held")
    lab.check(leds.power == "on" and leds.attention == "off" and leds.power_on, f"slot {number} should say 'do not pull': {leds}")


def check_card_works(lab, *slots):
    """The cards in these slots give memory again, in which bytes keep."""
    ram = lab.ram(*slots)
    keeper = lab.keeper(ram.node, mib=8)
    lab.check(keeper.verify() > 0, "the keeper should have its memory on the card")
    keeper.finish()
    lab.destroy(ram)
