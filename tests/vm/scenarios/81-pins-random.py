# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that end up owning hidden references to a card in combinations left to chance. Whatever becomes of the removal: no oops,
no hang, and neither "nobody has a page of it" nor the light ever while somebody has one. What is true is asked of the pinner itself,
and of the kernel's own counts, read from outside by QEMU."""

import collections
import json
import os
import time
from dataclasses import dataclass

from harness import memory, removal
from harness.errors import LabError
from harness.page_counts import PageCounts
from harness.scenario import scenario

ROUNDS, SAMPLE = 200, 5
ROUND_SEC = 90
PAGE, UNIT = 4096, 2 << 20
UNITS = 256
PROOF = 4  # the number of its step
BETWEEN = "--------"
RULES = "/etc/safe-remove/policy.d/scenario.conf"
REFUSE = "[Match]\nUnit=lab-*.service\n[OnRemove]\nAction=refuse\nReason=it was asked to refuse\n"

WAYS = ("refused by a rule",) * 8 + ("called off",) * 10 + ("done",) * 2

# What a round asks of the guest is asked at once: who is alive still of those who hold something, the plan, the journal, what was said.
REMOVED = """{how}
rm -f {rules}
for pid in {pids}; do grep -qs '^State:.[^ZX]' /proc/$pid/status && echo $pid; done
echo {between}; cat {record}/plan.json
echo {between}; cat {record}/journal
echo {between}; cat /run/said"""

AT_ONCE = "safe-remove remove 2 > /run/said 2>&1; echo $?"

# The removal is called off right after the proof, wherever that meets it.
CALLED_OFF = """safe-remove remove 2 > /run/said 2>&1 &
while kill -0 $! 2> /dev/null && ! grep -qs '"ev":"done","n":{proof}[,}}]' {record}/journal; do sleep 0.02; done
safe-remove cancel 2 > /dev/null 2>&1
wait $!; echo $?"""

ENDED = "systemctl kill --signal=KILL {unit} 2> /dev/null; systemctl stop {unit} 2> /dev/null; cat /proc/sys/kernel/tainted"


@dataclass(frozen=True)
class Done:
    """What became of a removal."""

    status: int
    alive: list
    plan: dict
    records: list
    text: str

    def proven(self):
        return any("proven" in record.get("note", ()) for record in self.records)

    def driver_went(self):
        return any(record["ev"] == "do" and record["n"] > PROOF for record in self.records)

    def failed_at(self, step):
        return any(record["ev"] == "failed" and record["n"] == step for record in self.records)


def combination(chance, disk):
    """Options for a pinner, of what goes together: what is read through the mapping needs it, and a ring cannot hide in a ring."""
    ways = chance.sample(("ring", "pipe", "xdp"), chance.choice((0, 1, 1, 2, 2, 3)))
    if not ways or chance.random() < 0.15:
        ways += [chance.choice(("peek", f"direct={disk}"))]
    at, length = chance.randrange(256), chance.randint(1, 16)
    if ways == ["ring"]:
        length = chance.choice((length, 2 * UNIT // PAGE - at))
    words = [*ways, f"size={2 * UNIT}", f"offset={chance.randrange(UNITS - 1) * UNIT}", f"at={at * PAGE}", f"length={length * PAGE}"]
    if "peek" not in ways and chance.random() < 0.8:
        words += ["unmap"]
    if chance.random() < 0.8:
        words += ["close"]
    words += chance.choice(([], [], ["fork"], ["pass"], ["pass"], ["queue"], ["hide"])) + chance.choice(([], [], ["dup"]))
    return [f"--{word}" for word in words] + chance.choice(([], [], [], ["--stubborn"]))


class Rounds:
    """The card as device-dax, and round after round on it."""

    def __init__(self, lab):
        self.lab = lab
        self.disk = lab.disk(4)
        self.counts = PageCounts(lab.guest)
        self.figures = collections.Counter()
        self.ram = self.device = None
        self.number = removal.last_id(lab)
        lab.sh(f"mkdir -p {RULES.rsplit('/', 1)[0]}")
        lab.cleanup(lambda: lab.run(["/bin/rm", "-f", RULES]))

    def have_card(self):
        """A card that went comes back; a region that was put back may have another number."""
        if not self.lab.slot(2).occupied:
            self.lab.slot(2).insert()
        region = self.lab.sh("cd /sys/bus/cxl/devices && ls -d region* 2> /dev/null || true")
        if not region:
            self.ram = self.lab.ram(2, online="offline")
            self.device = self.lab.devdax(self.ram)
        elif region != self.ram.region:
            self.ram = memory.look(self.lab.guest, region)
            self.device = f"/dev/{self.ram.dax}"

    def referenced(self):
        return self.counts.referenced(self.ram.start, self.ram.size)

    def remove(self, pinner, way):
        self.number += 1
        if way == "refused by a rule":
            self.lab.guest.write(RULES, REFUSE)
        record = f"{removal.STATE_DIR}/removals/{self.number}"
        how = CALLED_OFF.format(proof=PROOF, record=record) if way == "called off" else AT_ONCE
        pids = " ".join(map(str, pinner.pids))
        out = self.lab.sh(REMOVED.format(how=how, rules=RULES, pids=pids, between=BETWEEN, record=record), ROUND_SEC)
        first, plan, records, text = out.split(f"{BETWEEN}\n")
        status, *alive = first.split()
        return Done(int(status), alive, json.loads(plan), [json.loads(line) for line in records.splitlines()], text)

    def judge(self, done):
        """Fails when anything was said that is not true."""
        lab = self.lab
        leds = lab.slot(2).leds()
        lab.check(done.status in (removal.SAFE, removal.BLOCKED, removal.RESTORED), f"exit status {done.status}: {done.text}")
        lab.equal(leds.safe, done.status == removal.SAFE, f"whether the lights say safe ({leds})")
        if not done.proven():
            lab.check(not done.driver_went() and not leds.safe, "no driver may go, and no light say safe, without the proof")
            return
        lab.equal(done.alive, [], "who holds something after it was proven that nobody does")
        if not done.driver_went():
            lab.equal(self.referenced(), 0, "pages that are referenced after it was proven that none is")

    def round(self, words, way):
        self.have_card()
        lab = self.lab
        pinner = lab.pinner(*words, self.device)
        held = self.referenced()
        done = self.remove(pinner, way)
        self.judge(done)
        found, then = how_found(done.plan, pinner.pids), what_was_done(done)
        self.figures.update([f"found: {found}", f"then: {then}", "pages referenced by QEMU's count" if held else "none at that moment"])
        lab.equal(int(lab.sh(ENDED.format(unit=pinner.unit))), lab.log.taint, "the kernel's taint")
        if done.status != removal.SAFE:
            lab.wait_for(lambda: self.referenced() == 0, 30, "the pages to be let go of by who ended")
        return f"{found}; {then}"


def how_found(plan, pids):
    """By a pin of which the owner is known, by what it has mapped or open, or not in the plan: then by the count of its pages."""
    ways = {hold["way"] for holder in plan["holders"] if holder["pid"] in pids for hold in holder.get("holds", ())}
    return "certain by its owner" if "pin" in ways else "by mapping or descriptor" if ways else "by the census alone"


def what_was_done(done):
    if done.status == removal.BLOCKED:
        return "refused by the rule"
    if done.proven():
        return "ended politely, and the card safe" if done.status == removal.SAFE else "ended politely, and the removal called off"
    return "refused by the census" if done.failed_at(PROOF) else "refused, since it does not end politely"


@scenario("pins-random", profile="mixed", timeout=7200 if os.environ.get("LAB_LONG") else 300)
def pins_random(lab):
    """A few combinations, other ones each time; in a long run 200."""
    rounds = Rounds(lab)
    number, longest, start = 0, 0, time.monotonic()
    for number in range(ROUNDS if os.environ.get("LAB_LONG") else SAMPLE):
        words = combination(lab.random, rounds.disk)
        way = lab.random.choice(WAYS)
        began = time.monotonic()
        try:
            said = rounds.round(words, way)
        except (LabError, AssertionError) as error:
            raise AssertionError(f"round {number}, to be {way}, pinner {' '.join(words)}: {error}") from error
        longest = max(longest, time.monotonic() - began)
        if os.environ.get("LAB_LONG"):
            print(f"     ({number}: {' '.join(words)}: {said})", flush=True)
    for name, count in sorted(rounds.figures.items()):
        print(f"     ({count} {name})", flush=True)
    print(f"     ({number + 1} rounds in {time.monotonic() - start:.0f} s, the longest one took {longest:.0f} s)", flush=True)
