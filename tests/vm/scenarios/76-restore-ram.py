# SPDX-License-Identifier: LGPL-2.1-or-later
"""A card that was removed comes back, and with it what the removal took down."""

import itertools
from dataclasses import replace

from harness import removal, storage
from harness.removal import Picture
from harness.scenario import scenario

KILL_WORKER = "pkill -KILL -x safe-remove-wor"


def take_out(lab, number, *slots):
    """Memory on the cards in `slots`, and a removal of the first of them: what there was before."""
    ram = lab.ram(number, *slots)
    before = Picture.take(lab)
    lab.cli("remove", str(number))
    removal.check_safe(lab, number, ram)
    return before


def check_rebuilt(lab, before, code="done", newest=None):
    newest = newest or removal.history(lab)[0]
    lab.equal((newest["kind"], newest["outcome"], newest["code"], newest["lost"]), ("restore", "rebuilt", code, []), "the ending")
    removal.check_untouched(lab, int(newest["slot"]), before)


def check_nothing_on(lab, number):
    """Nobody has written to the card: its decoders reserve nothing."""
    memdev = lab.slot(number).memdev()
    reserved = lab.sh(f"cd /sys/bus/cxl/devices; for e in endpoint*; do [ $(basename $(readlink $e/uport)) != {memdev} ] || "
                      "cat $e/decoder*/dpa_size; done")
    lab.equal({int(text, 0) for text in reserved.split()}, {0}, "what the decoders of the card reserve")


def states(lab, numbers):
    """Each memory block's state, and the zone of those that are online."""
    return lab.sh("cd /sys/devices/system/memory; for n in " + " ".join(map(str, numbers)) + "; do s=$(cat memory$n/state); "
                  "[ $s = offline ] || s=\"$s $(cat memory$n/valid_zones)\"; echo $s; done").splitlines()


@scenario("restore-ram", turn=True)
def restore_ram(lab):
    """Each block is online in the zone it was in, whatever the kernel's policy for new memory is by now; asked for again, there
    is nothing left to do."""
    before = take_out(lab, 2)
    lab.sh("echo online > /sys/devices/system/memory/auto_online_blocks")
    lab.slot(2).insert()
    dry = lab.cli_json("restore", "2", "--dry-run")
    lab.equal((dry["kind"], dry["verdict"]), ("restore", "ready"), "the plan")
    check_nothing_on(lab, 2)
    lab.cli("restore", "2")
    before = replace(before, policy="online")
    check_rebuilt(lab, before)
    lab.cli("restore", "2")
    check_rebuilt(lab, before, code="as-it-was")


@scenario("restore-memory-added-meanwhile", own_guest=True, turn=True, timeout=240)
def memory_added_meanwhile(lab):
    """A memory module is plugged in while a restoration keeps new memory offline: it is online afterwards, and what of the card was offline is
    not."""
    ram = lab.ram(2)
    kept = ram.block_numbers[-1]
    lab.sh(f"echo offline > /sys/devices/system/memory/memory{kept}/state")
    before, blocks = removal.offline_blocks(lab), removal.count_blocks(lab)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)
    lab.slot(2).insert()
    go = removal.drill(lab, "disable-region")
    waiting = lab.spawn("restore", "safe-remove restore 2")
    lab.wait_for(lambda: lab.sh("cat /sys/devices/system/memory/auto_online_blocks") == "offline", 90, "new memory to be kept offline")
    added = removal.plug_module(lab)
    lab.wait_for(lambda: removal.count_blocks(lab) >= blocks - len(ram.block_numbers) + added, 60, "the module's blocks")
    lab.equal(lab.sh("cat /sys/devices/system/memory/auto_online_blocks"), "offline", "the policy: the module came too late for this scenario")
    lab.sh(go)
    lab.equal(waiting.wait(120), "0", "the exit status of the restoration")
    lab.equal(removal.offline_blocks(lab), before, "the blocks that are offline")
    lab.equal(removal.count_blocks(lab), blocks + added, "the blocks there are")
    lab.equal(lab.sh("cat /sys/devices/system/memory/auto_online_blocks"), "online_movable", "the auto-online policy")


@scenario("restore-elsewhere", own_guest=True, turn=True, timeout=240)
def elsewhere(lab):
    """Two cards that share a window come back in the other order: each takes the other one's addresses. Every block is as it was at its place in
    the region, one that somebody kept offline among them, and nothing is done or said by the old numbers."""
    first, second = lab.ram(2), lab.ram(3)
    old = {2: first.block_numbers, 3: second.block_numbers}
    lab.sh(f"echo offline > /sys/devices/system/memory/memory{old[2][1]}/state")
    lab.sh(f"echo offline > /sys/devices/system/memory/memory{old[3][2]}/state")
    before = {number: states(lab, old[number]) for number in (2, 3)}
    lab.check("offline" in before[2] and before[2] != before[3], f"the cards should differ: {before}")
    for number in (2, 3):
        lab.cli("remove", str(number))
        lab.slot(number).insert()
    for number, other in ((3, 2), (2, 3)):
        lab.cli("restore", str(number))
        newest = removal.history(lab)[0]
        lab.equal((newest["outcome"], newest["code"], newest["lost"]), ("rebuilt", "done", []), f"the ending of slot {number}")
        lab.check(newest["message"].endswith("everything is as it was before that") and "is at 0x" in newest["message"], newest["message"])
        lab.equal(states(lab, old[other]), before[number], f"the blocks of slot {number}, where those of slot {other} were")
    lab.equal(states(lab, old[2]), before[3], "the blocks of slot 3, after the other restoration")
    lab.cli("restore", "2")
    lab.equal(removal.history(lab)[0]["code"], "as-it-was", "asked again")
    lab.cli("remove", "3")
    removal.check_safe(lab, 3)
    lab.equal(states(lab, old[3]), before[2], "the blocks of slot 2, after a removal of the other card")


@scenario("restore-nothing", turn=True)
def nothing(lab):
    """No card, or a card that was never removed."""
    lab.sh(f"systemctl stop safe-removed.service; rm -rf {removal.STATE_DIR}/removals; systemctl start safe-removed.service")  # other scenarios have removed it
    lab.equal(lab.cli("restore", "5", check=False)[0], removal.NOTHING, "the exit status for an empty slot")
    status, out, _ = lab.cli("restore", "3", check=False)
    lab.equal(status, removal.NOTHING, "the exit status for a card that was not removed")
    lab.check("no removal of the card" in out, out)


@scenario("restore-refuses-other-card", turn=True)
def other_card(lab):
    """A card of another size never, one of the same size not where the request says so: nothing is written to it."""
    take_out(lab, 2)
    own = lab.guest.profile.cards[2]
    lab.slot(2).insert(replace(own, serial=71, size=own.size // 2))
    status, out, _ = lab.cli("restore", "2", check=False)
    lab.equal(status, removal.BLOCKED, "the exit status")
    lab.check("OTHER_CARD" in out and "0x47" in out, out)
    check_nothing_on(lab, 2)
    lab.cli("remove", "2")
    lab.slot(2).insert(replace(own, serial=72))
    lab.equal(lab.cli("restore", "2", "--equal-card=no", check=False)[0], removal.BLOCKED, "the exit status without equal cards")
    check_nothing_on(lab, 2)


@scenario("restore-equal-card", turn=True)
def equal_card(lab):
    """A broken card is replaced by one like it."""
    before = take_out(lab, 2)
    lab.slot(2).insert(replace(lab.guest.profile.cards[2], serial=73))
    lab.cli("restore", "2")
    check_rebuilt(lab, before.on_card(1, 73))


@scenario("restore-other-slot", turn=True)
def other_slot(lab):
    """The card is known by its serial number, wherever it is put in."""
    before = take_out(lab, 2)
    lab.slot(5).insert(lab.guest.profile.cards[2])
    lab.cli("restore", "5")
    check_rebuilt(lab, before.moved(2, 5))


@scenario("restore-interleaved", turn=True)
def interleaved(lab):
    """Memory over two cards of which one was out; without it there is nothing to be done about the other."""
    before = take_out(lab, 2, 3)
    lab.slot(2).insert()
    lab.cli("restore", "2")
    check_rebuilt(lab, before)


def begin_slowly(lab, delay_msec, first=0):
    """A restoration under way, with time for somebody to come in between from step `first` on: what was there before, its number, and that of its last step."""
    before = take_out(lab, 2)
    lab.slot(2).insert()
    names = storage.step_names(lab.cli_json("restore", "2", "--dry-run"))
    removal.slow_down(lab, delay_msec, *names[first:])
    number = removal.last_id(lab) + 1
    lab.cli("restore", "2", "--no-wait")
    return before, number, len(names) - 1


@scenario("restore-killed", timeout=240, turn=True)
def killed(lab):
    """The worker is killed in the middle, three times: another one goes on."""
    before, number, _ = begin_slowly(lab, delay_msec=400)
    for step in (0, 3, 5):
        removal.wait_for_record(lab, number, f'"ev":"do","n":{step}', 60, then=f"sleep 0.1; {KILL_WORKER}")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "rebuilt", "the ending")
    check_rebuilt(lab, before)


@scenario("restore-stopped", timeout=240, turn=True)
def stopped(lab):
    """The service is stopped in the middle: the slot is given back and the policy as it was; the next restoration goes on."""
    before, number, _ = begin_slowly(lab, delay_msec=1500, first=4)
    removal.wait_for_record(lab, number, '"ev":"do","n":4', 60, then="systemctl stop safe-removed.service")
    lab.equal(removal.wait_for_end(lab, number, 1)["outcome"], "incomplete", "the ending")
    lab.check(lab.slot(2).driver_bound(), "slot 2 should not be held")
    lab.equal(lab.sh("cat /sys/devices/system/memory/auto_online_blocks"), before.policy, "the auto-online policy")
    lab.sh("systemctl start safe-removed.service")
    lab.cli("restore", "2")
    check_rebuilt(lab, before)


@scenario("restore-press", timeout=240, turn=True)
def press(lab):
    """A press in the middle calls it off: the card keeps its power, and the next one goes on from there."""
    before, number, _ = begin_slowly(lab, delay_msec=1500, first=3)
    removal.wait_for_record(lab, number, '"ev":"do","n":3', 60)
    lab.equal(lab.slot(2).leds().power, "blink", "the power LED meanwhile")
    lab.slot(2).press(force=True)
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("incomplete", "cancelled"), "the ending")
    lab.check(end["lost"], "what was not put back should be listed")
    lab.wait_leds(2, power="on", timeout=5)
    lab.check(lab.slot(2).driver_bound(), "slot 2 should not be held")
    removal.policy(lab, StepDelayMSec=0)
    lab.cli("restore", "2")
    check_rebuilt(lab, before)


def restorations(lab, slot):
    """Of that slot since its newest removal, newest first. Other slots have theirs: the policy is for all cards."""
    of_slot = [entry for entry in removal.history(lab) if entry["slot"] == str(slot)]
    return list(itertools.takewhile(lambda entry: entry["kind"] == "restore", of_slot))


@scenario("restore-auto", turn=True)
def auto(lab):
    """By policy: nobody has to ask, and it is done once."""
    removal.policy(lab, Restore="auto")
    before = take_out(lab, 2)
    lab.slot(2).insert()
    ended = lab.wait_for(lambda: restorations(lab, 2), 60, "a restoration of slot 2")[0]
    lab.equal((removal.wait_for_end(lab, ended["id"])["outcome"], ended["trigger"]), ("rebuilt", "insert"), "the ending and the trigger")
    check_rebuilt(lab, before, newest=restorations(lab, 2)[0])
    lab.sh("systemctl restart safe-removed.service")
    lab.cli("list")
    lab.equal([r["id"] for r in restorations(lab, 2)], [ended["id"]], "the restorations of slot 2 after a restart of the daemon")


@scenario("restore-what-changed", timeout=240, turn=True)
def what_changed(lab):
    """Somebody takes a block offline that was just put back: it is listed, with the command that brings it back, instead of saying that
    all is as it was. Run, and asked again, there is nothing more to tell."""
    before, number, last = begin_slowly(lab, delay_msec=1500, first=-1)
    block = max((line.split()[0] for line in before.lines if line.startswith("memory")), key=lambda name: int(name.removeprefix("memory")))
    removal.wait_for_record(lab, number, f'"ev":"do","n":{last}', 90, then=f"echo offline > /sys/devices/system/memory/{block}/state")
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["message"].split(", ")[-1]), ("rebuilt", "except for what is listed"), f"the ending ({end['message']})")
    lab.check(len(end["lost"]) == 1 and end["lost"][0].startswith(f"{block}: now offline, before it was online in zone Movable; "),
              f"what is listed: {end['lost']}")
    lab.sh(end["lost"][0].split("to have it as it was: ")[1])
    removal.policy(lab, StepDelayMSec=0)
    lab.cli("restore", "2")
    check_rebuilt(lab, before, code="as-it-was")
    lab.check("everything is as it was before that" in removal.history(lab)[0]["message"], "what is said then")
