# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a plan must be for a machine, from how the machine was made and from nothing else."""

from draw import MEMORY, TARGETS

TAKEN_BY = {**dict.fromkeys(("fs", "btrfs", "journal", "overlay", "container"), "unmount"), **dict.fromkeys(("swap", "swapfile"), "swapoff"),
            "dm": "deactivate-dm", "multipath": "deactivate-dm", "md": "stop-md", "loop": "detach-loop"}
REFUSED_CARDS = {"nic", "odd", "vfio"}

# Steps that a restoration does not revert: they make the removal safe, and end with it.
FRAME = {"hold", "announce", "fence-dax", "freeze-holders", "prove-unpinned", "claim-devices", "auto-online", "thaw-holders", "release"}
MEMORY_ORDER = ["hold", "offline-memory", "disable-dax", "disable-region", "decommit-region", "delete-region", "disable-memdev", "release",
                "power-off", "prove-safe", "show-safe"]


def _has_other_path(card):
    """One that serves: then the disk goes on without the card."""
    other = card.get("other")
    return other is not None and other["state"] == "live" and other["ana"] in ("optimized", "non-optimized")


class Oracle:
    """What goes, and who is on it."""

    def __init__(self, spec, machine):
        self.spec = spec
        self.machine = machine
        self.things = {thing["name"]: thing for thing in spec["things"]}
        self.cards = [card for card in self._below(spec["target"])]
        self.gone = set()
        for card in self.cards:
            if card["kind"] == "nvme" and not _has_other_path(card):
                self.gone |= {card["disk"], *(f"{card['disk']}p{n}" for n in range(1, card["partitions"] + 1))}
        self.degraded = []
        self.fewer_paths = []
        for thing in spec["things"]:
            if self._goes(thing):
                self.gone.add(thing["name"])

    def _below(self, target):
        def every(cards, inside):
            for card in cards:
                here = inside or str(card["slot"]) == target
                if here:
                    yield card
                yield from every(card.get("cards", ()), here)
        return every(self.spec["cards"], False)

    def _goes(self, thing):
        lost = [name for name in [*thing["lower"], *thing.get("layers", ())] if name in self.gone]
        if "on" in thing:
            return thing["on"] in self.gone
        if thing["kind"] == "multipath" and lost and len(lost) < len(thing["lower"]):
            self.fewer_paths += [(thing, name) for name in lost]
            return False
        if thing["kind"] != "md" or not lost:
            return bool(lost)
        states = dict(zip(thing["lower"], thing["states"]))
        left = sum(states[name] == "in_sync" for name in thing["lower"] if name not in self.gone)
        needed = {"raid1": 1, "raid5": len(thing["lower"]) - 1}.get(thing["level"], len(thing["lower"]))
        if left < needed:
            return True
        self.degraded += [(thing, name) for name in lost]
        return False

    def users(self):
        return [thing for thing in self.spec["things"] if thing["name"] in self.gone]

    def reasons(self):
        """Everything that a plan has to be blocked for, and nothing else may block it."""
        found = [f"card {card['slot']} is {card['kind']}" for card in self.cards if card["kind"] in REFUSED_CARDS]
        found += [f"{thing['kind']} {thing['name']}" for thing in self.users() if thing["kind"] in TARGETS]
        found += [f"{thing['name']} is suspended" for thing in self.users() if thing["kind"] == "dm" and thing["suspended"]]
        found += [f"{thing['name']} is dm-crypt" for thing in self.users() if thing["kind"] == "dm" and thing["uuid"].startswith("CRYPT")]
        found += [f"{thing['name']} is mounted in {thing['inside']}" for thing in self.spec["things"]
                  if thing["kind"] == "fs" and thing["inside"] in self.gone and thing["name"] not in self.gone]
        # Memory that is offline is in no zone.
        offline = {block for change in self.spec["changes"] for block in change.get("offline", ())}
        found += [change["reason"] for change in self.spec["changes"]
                  if change["reason"] and self.spec["target"] in change["slots"] and change.get("block") not in offline and not self._elsewhere(change)]
        return found

    def _elsewhere(self, change):
        """Whether all of it lies where another card decodes."""
        return "at" in change and any(other["decodes"][0] <= change["at"][0] and change["at"][1] <= other["decodes"][1]
                                      for other in self.spec["changes"] if "decodes" in other and self.spec["target"] not in other["slots"])

    def dev(self, thing):
        name = thing["lower"][0] if thing["kind"] in ("fs", "swap") else thing["name"]
        return self.machine.dev[name]


def _dev_of(step):
    args = step["args"]
    return args.get("fs", {}).get("dev") or args.get("dev")


def _place(steps, kind, dev):
    """The number of the step that takes a thing down, or None."""
    return next((n for n, step in enumerate(steps) if step["name"] == TAKEN_BY[kind] and _dev_of(step) == dev), None)


def _check_uses(oracle, steps):
    """Never ready with a use that no step takes down, and the order is that of who stands on whom."""
    place = {thing["name"]: _place(steps, thing["kind"], oracle.dev(thing)) for thing in oracle.users() if thing["kind"] in TAKEN_BY}
    for name, at in place.items():
        if at is None:
            yield f"{oracle.things[name]['kind']} {name} goes and no step takes it down"
    for thing in oracle.users():
        above = place.get(thing["name"])
        below = [*thing["lower"], *thing.get("layers", ()), *filter(None, (thing.get("on"), thing.get("inside")))]
        for name in below:
            if above is not None and place.get(name) is not None and place[name] <= above:
                yield f"{name} is taken down before {thing['name']}, which stands on it"
    for array, member in oracle.degraded:
        kernel = oracle.machine.kernel(member)
        if not any(step["name"] == "remove-md-member" and step["args"]["member"] == kernel for step in steps):
            yield f"{member} leaves {array['name']} and no step takes it out"
    for thing, path in oracle.fewer_paths:
        kernel = oracle.machine.kernel(path)
        if not any(step["name"] == "remove-dm-part" and any(part["name"] == kernel for part in step["args"]["parts"]) for step in steps):
            yield f"{path} leaves {thing['name']} and no step takes it out"
    for thing in oracle.users():
        if thing["kind"] in ("fs", "container") and place.get(thing["name"]) is not None:
            mounted = {mount["ns"] for mount in steps[place[thing["name"]]]["args"]["mounts"]}
            for namespace in thing["namespaces"]:
                if namespace not in mounted:
                    yield f"{thing['name']} stays mounted in namespace {namespace}"


def _check_shape(steps, restored):
    """Steps without a way back are the tail; a restoration reverts what can be, the last one first."""
    reversible = [step["reversible"] for step in steps]
    if sorted(reversible, reverse=True) != reversible:
        yield "a step that can be undone comes after one that cannot"
    names = [step["name"] for step in steps]
    mirror = [step["name"] for step in reversed(steps) if step["reversible"] and step["name"] not in FRAME]
    if mirror != restored:
        yield f"a restoration reverts {restored}, the removal's order is {names}"
    if names[:1] != ["hold"] or names[-3:] != ["power-off", "prove-safe", "show-safe"]:
        yield f"the plan begins with {names[:1]} and ends with {names[-3:]}"
    places = [MEMORY_ORDER.index(name) for name in names if name in MEMORY_ORDER]
    firsts = [place for n, place in enumerate(places) if place not in places[:n]]
    if sorted(firsts) != firsts:
        yield f"memory is taken down in the order {names}"


def _check_memory(spec, steps):
    """Every block that is online is taken offline, and no other one."""
    blocks = set(MEMORY.get(spec["base"], {}).get(spec["target"], ()))
    for change in spec["changes"]:
        blocks -= set(change.get("offline", ()))
    taken = {block["id"] for step in steps if step["name"] == "offline-memory" for block in step["args"]["blocks"]}
    if taken != blocks:
        yield f"blocks {sorted(taken ^ blocks)} are taken offline and should stay, or the other way round"


def _check_elsewhere(oracle, steps):
    """Nothing of anybody else's is touched."""
    ours = {oracle.machine.dev[name] for name in oracle.gone if name in oracle.machine.dev}
    ours |= {oracle.dev(thing) for thing in oracle.users() if thing["kind"] in TAKEN_BY}
    for step in steps:
        if step["name"] in TAKEN_BY.values() and _dev_of(step) not in ours:
            yield f"{step['name']} of {_dev_of(step)}, which does not go"


TAKES_DOWN = ("unmount", "swapoff", "detach-loop", "deactivate-dm", "stop-md")


def _taken(plan):
    return {(step["name"], step["does"]) for step in plan["steps"] if step["name"] in TAKES_DOWN}


def _check_beside(plan, both, later):
    """With another card in the same request nothing is left out; with one that is on its way nothing becomes easier."""
    for name, does in sorted(_taken(plan) - _taken(both)):
        yield f"beside: {name} is missing with another card ({does})"
    if both["verdict"] == "ready":
        order = [step["name"] for step in both["steps"]][-6:]
        if order != ["power-off"] * 2 + ["prove-safe"] * 2 + ["show-safe"] * 2:
            yield f"beside: two cards end with {order}"
    missing = {blocker["code"] for blocker in plan["blockers"]} - {blocker["code"] for blocker in later["blockers"]}
    if missing:
        yield f"beside: {sorted(missing)} is gone while another card is on its way"
    if later["steps"] != plan["steps"]:
        yield "beside: the steps are others while another card is on its way"


def faults(spec, machine, answer):
    """What is wrong with an answer; empty when nothing is."""
    oracle = Oracle(spec, machine)
    if "plan" not in answer:
        return [f"no plan: {answer.get('error')}"]
    plan = answer["plan"]
    if answer["again"] != plan["digest"]:
        return ["a second look gives another plan"]
    empty = [card["kind"] for card in oracle.cards] == ["empty"]
    if empty or plan["verdict"] == "nothing":
        return [] if plan["verdict"] == "nothing" and empty else [f"the verdict is {plan['verdict']}"]

    steps = plan["steps"]
    found = list(_check_shape(steps, answer["restore"])) + list(_check_elsewhere(oracle, steps))
    codes = [blocker["code"] for blocker in plan["blockers"]]
    if plan["verdict"] == "ready":
        found += _check_uses(oracle, steps)
        found += _check_memory(spec, steps)
        found += [f"ready in spite of this: {reason}" for reason in oracle.reasons()]
    elif not oracle.reasons():
        found.append(f"blocked without a reason: {codes}")
    if "beside" in answer:
        found += _check_beside(plan, answer["beside"]["both"], answer["beside"]["later"])
    for blocker in plan["blockers"]:
        if not blocker["evidence"] or not blocker["remedy"]:
            found.append(f"{blocker['code']} has no evidence or no remedy")
    return found
