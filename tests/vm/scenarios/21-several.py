# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two cards in one request, and a request for one while the other is on its way."""

from harness import removal
from harness.scenario import scenario

MIB_OF_PAGE = 2
KILL_WORKER = "pkill -KILL -x safe-remove-wor"


def pool(node):
    return f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages"


def fill(lab, node, mib=None, leave_mib=None):
    """Huge pages are the quickest way to use memory up: only the kernel clears them."""
    free = int(lab.sh(f"awk '/MemFree/ {{print $4}}' /sys/devices/system/node/node{node}/meminfo")) >> 10
    lab.cleanup(lambda: lab.sh(f"echo 0 > {pool(node)}"))
    lab.sh(f"echo {(mib or free - leave_mib) // MIB_OF_PAGE} > {pool(node)}", timeout=120)


def empty(lab, *nodes):
    for node in nodes:
        lab.sh(f"echo 0 > {pool(node)}")


def crowd(lab, *cards):
    """Room for what is on either of the cards (some 300 MiB, beside what is free there), and not for both."""
    for card in cards:
        fill(lab, card.node, mib=300)
    lab.sh("echo 3 > /proc/sys/vm/drop_caches")
    fill(lab, 0, leave_mib=350)


def verdict(lab, *names):
    plan = lab.cli_json("plan", *names, check=False)
    return plan["verdict"], {blocker["code"]: blocker["evidence"] for blocker in plan["blockers"]}


@scenario("several-room", turn=True, profile="nodes", timeout=300)
def room(lab):
    """Each fits alone and both do not: refused with the arithmetic. With room both go, in one removal, to both lights; and come back
    together, once both are there."""
    first, second = lab.ram(2), lab.ram(3, window=1)
    keepers = [lab.keeper(card.node, mib=16) for card in (first, second)]
    before = removal.Picture.take(lab)
    crowd(lab, first, second)
    for name in ("2", "3"):
        lab.equal(verdict(lab, name), ("ready", {}), f"the plan of slot {name}")
    said, blockers = verdict(lab, "2", "3")
    lab.equal((said, list(blockers)), ("blocked", ["NO_ROOM"]), "the plan of both")
    lab.check("1024 MiB go" in blockers["NO_ROOM"], f"the arithmetic should be that of both: {blockers}")
    number = removal.last_id(lab)
    status, out, err = lab.cli("remove", "2", "3", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
    for name in (2, 3):
        removal.check_untouched(lab, name, before)

    empty(lab, 0, first.node, second.node)
    status, out, err = lab.cli("remove", "2", "3")
    lab.check("slots 2 3: safe to pull" in out, f"the last word should be of both: {out}{err}")
    for name, card in ((2, first), (3, second)):
        removal.check_safe(lab, name, card)
    for keeper in keepers:
        lab.equal(keeper.finish(), 0, "the keeper's pages on the node")
    lab.equal(removal.last_id(lab), number + 2, "the newest record: it was one removal")
    lab.equal({probe["slot"] for probe in removal.certificate(lab, number + 2)["probes"]}, {"2", "3"}, "whom the certificate proves safe")

    lab.slot(2).insert()
    status, out, err = lab.cli("restore", "2", check=False)
    lab.check(status == removal.BLOCKED and "slot 3" in out + err, f"it should be said that slot 3's card is missing: {out}{err}")
    lab.slot(3).insert()
    lab.cli("restore", "3")
    for name in (2, 3):
        removal.check_untouched(lab, name, before)


@scenario("several-under-way", profile="nodes", timeout=300, turn=True)
def under_way(lab):
    """While one is on its way its memory is no room for the other, and what is on it has to go somewhere too."""
    first, second = lab.ram(2), lab.ram(3, window=1)
    before = removal.Picture.take(lab)
    crowd(lab, first, second)
    lab.equal(verdict(lab, "3")[0], "ready", "the plan of slot 3 alone")
    go = removal.drill(lab, "offline-memory")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, '"ev":"do","n":2,')
    said, blockers = verdict(lab, "3")
    lab.equal((said, list(blockers)), ("blocked", ["NO_ROOM"]), "the plan of slot 3 while slot 2 goes")
    lab.check("1024 MiB go" in blockers["NO_ROOM"], f"the arithmetic should be that of both: {blockers}")
    status, out, err = lab.cli("remove", "2", "3", check=False)
    lab.equal(status, removal.BUSY, f"the exit status of asking for both now ({out}{err})")
    lab.sh(removal.call_off(number, 2, go), timeout=90)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "restored", "the ending")
    removal.check_untouched(lab, 2, before)
    lab.equal(verdict(lab, "3"), ("ready", {}), "the plan of slot 3 once that is called off")


@scenario("several-killed", profile="nodes", timeout=300, turn=True)
def killed(lab):
    """The worker is killed between the two cards: both go on, or both are as they were."""
    first, second = lab.ram(2), lab.ram(3, window=1)
    before = removal.Picture.take(lab)
    removal.slow_down(lab, 300, "disable-region")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "3", "--no-wait")
    lab.wait_leds(3, power="blink", timeout=30)
    removal.wait_for_record(lab, number, '"ev":"do","n":7', 90, then=KILL_WORKER)
    end = removal.wait_for_end(lab, number, 150)
    for name, card in ((2, first), (3, second)):
        if end["outcome"] == "safe":
            removal.check_safe(lab, name, card)
        else:
            lab.equal(end["outcome"], "restored", "the ending")
            removal.check_untouched(lab, name, before)


@scenario("several-refused", profile="nodes", turn=True)
def refused(lab):
    """One card twice, one that is not there, an empty slot: one clear line, nothing touched."""
    number = removal.last_record(lab)
    for names, status, word in ((("2", "serial:0x1"), removal.USAGE, "once"), (("2", "99"), removal.NOT_FOUND, "99"),
                                (("2", "5"), removal.NOT_FOUND, "slot 5")):
        found, out, err = lab.cli("remove", *names, check=False)
        lab.equal(found, status, f"the exit status of removing {names} ({out}{err})")
        lab.check(word in out + err, f"the answer should name '{word}': {out}{err}")
    lab.equal(removal.last_record(lab), number, "the newest record")
    lab.check(all(lab.slot(name).driver_bound() for name in (2, 3)), "no slot should be held")


@scenario("several-stuck", profile="nodes", timeout=300, turn=True)
def stuck(lab):
    """One of them cannot be proved at the last moment: no light says safe, of either; asked again, both do."""
    cards = {2: lab.ram(2), 3: lab.ram(3, window=1)}
    port = lab.slot(3).place.bdf
    steps = lab.cli_json("plan", "2", "3")["steps"]
    first = next(step["n"] for step in steps if step["name"] == "show-safe")
    go = removal.drill(lab, "before-show-safe")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "3", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{first},', 120, then=f"setpci -s {port} CAP_EXP+18.w=0100:0300; {go}")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "stuck", f"the ending ({end['message']})")
    lab.check("indicators (" in end["message"], f"what does not hold should be said: {end['message']}")
    for name in cards:
        lab.check(not lab.slot(name).leds().safe, f"the light of slot {name} should not say safe: {lab.slot(name).leds()}")
    states = {slot["name"]: slot["state"] for slot in lab.cli_json("list")["slots"]}
    lab.equal((states["2"], states["3"]), ("stuck", "stuck"), "the states of the slots")

    removal.policy(lab)
    lab.sh(f"setpci -s {port} CAP_EXP+18.w=0300:0300")
    lab.cli("remove", "2", "3")
    for name, card in cards.items():
        removal.check_safe(lab, name, card)
    told = removal.certificate(lab, number + 1)
    lab.equal((told["kind"], told["outcome"], {probe["slot"] for probe in told["probes"]}), ("finish", "safe", {"2", "3"}), "the certificate")
    lab.cli("certificate", "--verify")
    lab.equal(lab.cli("remove", "2", "3", check=False)[0], removal.NOTHING, "the exit status of asking once more")


@scenario("several-mirror", profile="mixed", timeout=300, turn=True)
def mirror(lab):
    """A mirror between the cards has no copy elsewhere when both go: it is stopped, and comes back with them."""
    lab.sh(f"mdadm --create /dev/md7 --run --level=1 --raid-devices=2 --assume-clean {lab.pmem(3).namespace().device} {lab.disk(4)}", timeout=120)
    disk = lab.filesystem("/dev/md7", "ext4", "/mnt/mirror")
    wanted = disk.fill(mib=2)
    steps = [step["name"] for step in lab.cli_json("plan", "3", "4")["steps"]]
    lab.check("stop-md" in steps and "remove-md-member" not in steps, f"the array should be stopped: {steps}")
    lab.cli("remove", "3", "4")
    removal.check_safe(lab, 3)
    removal.check_safe(lab, 4)
    lab.slot(3).insert()
    lab.slot(4).insert()
    lab.wait_for(lambda: lab.slot(3).memdev() and lab.disk(4), 30, "the cards")
    lab.cli("restore", "4")
    lab.equal(disk.sum(), wanted, "what is on the mirror")
    newest = removal.history(lab)[0]
    lab.equal((newest["kind"], newest["outcome"], newest["slots"]), ("restore", "rebuilt", ["4", "3"]), "the restoration")
