# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold at the end of every history: INVARIANTS is the table. Each is a function of the history's Ending that says what is wrong, if anything.
What must hold after every event the model checks itself ("BROKEN" in the trace: kernel-lights.c)."""

import dataclasses
import errno
import json
import re

import picture
import world
from shared import KINDS

# Of a removal, of what undoes one, and of a worker that refused to begin.
ENDINGS = {"safe", "restored", "stuck", "tested", "rebuilt", "incomplete", "refused", "nothing", "interrupted"}
AS_BEFORE = {"restored", "tested", "rebuilt", "refused", "nothing", "interrupted", "error", "none"}
STUCK = {"stuck", "incomplete"}
NEWBORN = "region", 2 ** 64 - 1
GENERIC = re.compile("^safe-remove plan .*# shows what is there by now")
WRITE = re.compile(r"\d+ event \d+: (.*?) > (/sys/\S+)")


@dataclasses.dataclass
class Ending:
    """How a history ended, and what there was before it."""
    machine: object
    history: dict
    own: list                   # cards that were to be removed
    outcome: str
    end: dict                   # the last line of the last worker, or of the record
    cut: bool                   # the power was cut in it
    workers: int
    left_over: list             # processes that had outlived their worker
    broken_records: list        # what a power cut has taken of the records, and may not
    base: dict                  # the picture that it began with; of a restoration that was after the removal
    journal: str
    hit: list = dataclasses.field(default_factory=list)     # what was hit by a fault, in words

    def __post_init__(self):
        self.after = picture.picture()
        # Of histories of whole daemons they are of all workers together.
        faults = [fault for one in self.history.get("faults", []) for fault in (one if isinstance(one, list) else [one])]
        self.faults = [(fault["kind"], fault.get("arg")) for fault in faults]
        self.trace = self.machine.trace()
        lines = [line.split(": ", 1) for line in self.trace]
        # That somebody was killed excuses nothing.
        hit = {head.split()[2] for head, *_ in lines if " is hit by " in head and f" is hit by fault {KINDS.index('kill')} " not in head}
        self.was_half, hung, late = (any(f" is hit by fault {KINDS.index(kind)} " in line for line in self.trace) for kind in ("half", "hang", "late"))
        self.hung = hung or late # for a time, or for ever
        self.hit = [rest[0] for head, *rest in lines if rest and head.split()[-1] in hit and " is hit by " not in head]

    def owns(self, key):
        return any(card.owns(key) for card in self.own)

    def was_hit(self, part):
        return any(part in what for what in self.hit)


def never_safe_by_mistake(e):
    if e.outcome == "safe" and not e.cut: # a boot finds the card with power, and sets the light by what it sees
        for card in e.own:
            for lie in picture.truths(card):
                yield f"safe, but {lie}"


def lights_never_lie(e):
    yield from sorted({line.split(" ", 1)[1] for line in e.trace if "BROKEN" in line})


def model_is_whole(e):
    yield from sorted({line for line in e.trace if "model" in line})


def ends_in_one_of_the_endings(e):
    if e.outcome not in ENDINGS | {"error", "none"}:
        yield f"ended {e.outcome}"
    if e.outcome == "interrupted" and not e.cut:
        yield "ended interrupted without a power cut"
    if e.outcome in ("error", "none") and e.has_begun:
        yield f"{e.outcome}, but the removal is on record: {(e.end or {}).get('message')}"


def kept_end(e):
    """Beside the record, for the boot (lib/engine/journal.h)."""
    kept = e.machine.run / "ended"
    whole = [path for path in kept.iterdir() if path.name.isdecimal()] if kept.is_dir() else []
    newest = max(whole, key=lambda path: int(path.name), default=None)
    return json.loads(newest.read_text()).get("end", {}).get("outcome") if newest else None


def record_says_the_same(e):
    """Whoever reads the journal finds the ending that was told, once, as its last record."""
    lines = e.journal.split("\n")
    records = [json.loads(line) for line in lines[:-1]]
    ends = [record for record in records if record["ev"] == "end"]
    if e.was_hit("unlink") and e.was_hit("/journal"):
        return # it could not be written down, nor taken back
    if not ends and kept_end(e) == e.outcome:
        return # and is when there is room: the next worker of this boot knows it
    if e.has_begun and (len(ends) != 1 or records[-1]["ev"] != "end"):
        yield f"{e.outcome}, but the journal has {len(ends)} ends, and last {records[-1]['ev']}"
    elif ends and ends[0]["outcome"] != e.outcome:
        yield f"{e.outcome}, but the journal says {ends[0]['outcome']}"


def records_outlive_a_power_cut(e):
    """Unless nothing could be made to last: going back is right without a promise."""
    if not any(what.startswith("sync ") and what.endswith("/journal") for what in e.hit):
        yield from e.broken_records


def is_newborn(e, key):
    """A region made by a write that had not come back: it has no place yet. Whoever goes on then, as the daemon has done, takes it. Or by one that has said that
    somebody else has that number, and lied: nobody knows it for ours. Or one that cannot be deleted either, and is named with what deletes it."""
    lied = any(kind == "late-error" and number == errno.EBUSY for kind, number in e.faults)
    named = any("/delete_region" in line for line in (e.end or {}).get("remedy") or [])
    return key == NEWBORN and (named or (e.hung and e.outcome != "rebuilt") or (lied and e.was_hit("create_")))


def is_listed(e, key):
    """A light that could not be set as it was is told, with the command that does. Where a write has kept it from that it is set when that has ended."""
    return key[0] in ("port", "slot") and not any("0 late: " in line and "'port'" in line for line in e.trace) and any(
        "light of slot" in text for text in (e.end or {}).get("lost") or [])


def as_before(e):
    """Whatever was taken down is there again, unless the card may be pulled or somebody was told what is to be done."""
    booted = e.outcome == "interrupted" or (e.outcome == "none" and e.cut)
    before = e.machine.before if e.outcome == "rebuilt" or booted else e.base
    if e.outcome in AS_BEFORE:
        for key in sorted(before.keys() | e.after.keys(), key=str):
            if (key[0] == "port" and e.was_half) or is_listed(e, key) or is_newborn(e, key):
                continue # a port that did half of what it was told cannot be told the rest
            if before.get(key) != e.after.get(key) and not world.by_others(e, key):
                yield f"{e.outcome}, but {key} was {before.get(key)} and is {e.after.get(key)}"


def other_cards_untouched(e):
    if e.outcome in AS_BEFORE:
        return
    for key in sorted(e.machine.before.keys() | e.after.keys(), key=str):
        if is_newborn(e, key):
            continue
        if not e.owns(key) and key[0] != "policy" and e.machine.before.get(key) != e.after.get(key):
            yield f"{e.outcome}, and {key}, which is none of its own, was {e.machine.before.get(key)} and is {e.after.get(key)}"


def writes_name_own_devices(e):
    own = set().union(*(card.names for card in e.own))
    foreign = set().union(*(card.names for card in e.machine.cards.values())) - own
    for line in e.trace:
        write = WRITE.match(line)
        parts = write[2].replace("/slots/", "/slots-").split("/") if write else []
        named = next((name for name in reversed([part.replace("slots-", "slots/") for part in parts]) if name in own | foreign), None)
        if write and foreign & {write[1], named}:
            yield f"something of another card is written to: {line}"


def administrators_policy_stays(e):
    """What somebody has written over ours is his, and told."""
    theirs = [line.rsplit(" = 0", 1)[0].split()[-3] for line in e.trace if "somebody else: " in line and line.endswith("auto_online_blocks = 0")]
    now = e.after["policy", "auto-online"]
    if theirs and now != theirs[-1]:
        yield f"{e.outcome}, but somebody has set what becomes of new memory to {theirs[-1]}, and it is {now}"


def policy_as_before(e):
    key = "policy", "auto-online"
    if world.by_others(e, key):
        return
    if e.outcome not in AS_BEFORE and e.machine.before[key] != e.after[key] and not e.was_hit("auto_online_blocks"):
        yield f"{e.outcome}, but new memory was {e.machine.before[key]} and is {e.after[key]}"


def slot_not_held(e):
    """Where nobody kept it from being given back: with a write under way nothing of the card comes back into use."""
    if e.outcome in STUCK and e.hung:
        return
    for card in e.own:
        was, driver = (seen["port", card.port][0] for seen in (e.machine.before, e.after))
        if driver != was and not e.was_hit("pciehp/bind"):
            yield f"{e.outcome}, but the port {card.port} had {was} and has {driver}"
        # While a write is under way that may hold it yet, the mark says whose that is.
        if driver and not e.hung and (e.machine.run / "held" / card.port).exists() and not e.was_hit("/held/"):
            yield f"{e.outcome}, but there is a mark that {card.port} is held"


def fault_is_shown(e):
    """Over what got stuck the attention LED is on, where it could be turned on. A boot has new lights, and nothing of it is stuck then."""
    for card in e.own if e.outcome == "stuck" and not e.cut and not e.hung and not e.was_hit("attention") and not e.was_hit("/config") else ():
        _driver, lights = e.after["port", card.port]
        if lights["attention"] != picture.LIT:
            yield f"stuck, and the lights of {card.port} are {lights}"


def stuck_says_what_to_do(e):
    """A step that could not be undone has a line of its own: that a plan shows what is left is none."""
    if e.outcome in STUCK:
        for key in ("code", "message", "remedy"):
            if not e.end.get(key):
                yield f"{e.outcome} without a {key}: {e.end.get('message')}"
        if "could not be undone" in (e.end.get("message") or "") and GENERIC.search((e.end.get("remedy") or [""])[0]):
            yield f"{e.outcome}, and nothing is said that could be done: {e.end['message']}"


def nobody_is_left(e):
    yield from (f"process {pid} has outlived its worker" for pid in e.left_over)


INVARIANTS = (
    never_safe_by_mistake,
    lights_never_lie,
    model_is_whole,
    ends_in_one_of_the_endings,
    record_says_the_same,
    records_outlive_a_power_cut,
    as_before,
    other_cards_untouched,
    writes_name_own_devices,
    administrators_policy_stays,
    policy_as_before,
    slot_not_held,
    fault_is_shown,
    stuck_says_what_to_do,
    nobody_is_left,
    *world.INVARIANTS,
)


def check(ending):
    """{name: what is wrong}, of those that do not hold."""
    wrong = {}
    for invariant in INVARIANTS:
        found = list(invariant(ending))
        if found:
            wrong[invariant.__name__] = found
    return wrong
