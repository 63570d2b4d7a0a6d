# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios ask again and again about storage on a card: who holds it, out, in, and whether all is as it was."""

from dataclasses import dataclass

from . import removal

RULES = "/etc/safe-remove/policy.d/scenario.conf"


def plan(lab, *words):
    """The plan for a card or several, with options if need be, whatever its verdict."""
    return lab.cli_json("plan", *words, check=False)


def holders(made):
    """The processes that a plan names, by pid."""
    return {holder["pid"]: holder for holder in made["holders"] if holder["kind"] == "process"}


def rules(lab, *each):
    """Rules about holders for this scenario alone: (match, on remove), each a dictionary."""
    def section(name, lines):
        return f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())
    lab.write(RULES, "".join(section("Match", match) + section("OnRemove", action) for match, action in each))


def step_names(made):
    return [step["name"] for step in made["steps"]]


def step_number(lab, name, *words):
    """Of the first step with that name in the plan that these words ask for, from 0 as in its journal."""
    return step_names(plan(lab, *words)).index(name)


def codes(made, kind="blockers"):
    return {finding["code"] for finding in made[kind]}


def take_out(lab, number, *options, button=False):
    """Remove the card in slot `number`, by command or by button, and see that it is safe to pull. Returns the end record."""
    removal_id = removal.last_id(lab) + 1
    if button:
        lab.slot(number).press()
    else:
        lab.cli("remove", number, *options, timeout=180)
    end = removal.wait_for_end(lab, removal_id, 180)
    lab.equal((end["outcome"], end["code"]), ("safe", "done"), f"the ending ({end['message']})")
    removal.check_safe(lab, number)
    return end


def call_off_late(lab, number, button=False):
    """Have the card in slot `number` removed, and call it off when all is down but the card; see that it is put back. Returns the end record."""
    removal_id, at = removal.last_id(lab) + 1, step_number(lab, "disable-memdev", number)
    go = removal.drill(lab, "disable-memdev")
    if button:
        lab.slot(number).press()
    else:
        lab.cli("remove", number, "--no-wait")
    removal.wait_for_record(lab, removal_id, f'"ev":"do","n":{at},', 120, then=removal.call_off(removal_id, number, go))
    end = removal.wait_for_end(lab, removal_id, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
    return end


def cancel_at(lab, step, *options, target="2", meanwhile="true", timeout=60, after=False):
    """Begin a removal by command, and in the middle of a step, before its write or after it, run a line and cancel it. Returns the end record,
    whatever that is."""
    at = step_number(lab, step, target, *options)
    go = removal.drill(lab, f"after-{step}" if after else step)
    number = removal.last_id(lab) + 1
    lab.cli("remove", target, "--no-wait", *options)
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', timeout, then=f"{meanwhile} && {removal.call_off(number, target, go)}")
    return removal.wait_for_end(lab, number, timeout)


def call_off_at(lab, step, *options, **more):
    """The same where all is to be as before; the harness compares when it has ended."""
    end = cancel_at(lab, step, *options, **more)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending at {step} ({end['message']})")
    return end


def offline_step(lab):
    """What takes the memory of the card in slot 2 offline: block by block, or the whole device."""
    return next(name for name in step_names(plan(lab, "2")) if name in ("offline-memory", "unplug-memory"))


def put_back(lab, number, card=None):
    """The card comes back, and what was on it is built again."""
    lab.slot(number).insert(card)
    return lab.cli("restore", number, timeout=180)


@dataclass(frozen=True)
class StoragePicture:
    """What there is of storage, without the names that the kernel gives anew each time."""

    mounts: tuple
    swaps: tuple
    namespaces: tuple
    dm: tuple
    md: tuple
    loops: tuple

    @staticmethod
    def take(lab):
        def lines(command):
            return tuple(sorted(lab.sh(command).splitlines()))
        return StoragePicture(
            lines("findmnt -rn -o TARGET,FSTYPE,OPTIONS,PROPAGATION,FSROOT | grep '^/mnt/' || true"),
            lines("awk 'NR > 1 {print $2, $3, $5}' /proc/swaps"),
            lines("for n in /sys/bus/nd/devices/namespace*; do [ -e $n ] && echo $(cat $n/uuid $n/size $n/mode); done; true"),
            lines("dmsetup table 2> /dev/null | sed 's/ [0-9]*:[0-9]* / DEV /g' | grep -v '^No devices' || true"),
            lines("cat /sys/block/md*/md/uuid /sys/block/md*/md/degraded 2> /dev/null || true"),
            lines("losetup -n -O NAME,BACK-FILE,OFFSET,RO || true"))


def check_as_before(lab, before):
    lab.equal(StoragePicture.take(lab), before, "what there is of storage")
