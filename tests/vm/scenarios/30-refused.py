# SPDX-License-Identifier: LGPL-2.1-or-later
"""Removals that must not happen, and requests that mean nothing."""

from harness import removal, storage
from harness.scenario import scenario


def names_zone_and_blocks(text, ram):
    return "Normal" in text and f"memory{ram.block_numbers[0]}" in text


def check_names_zone_and_blocks(lab, text, ram):
    lab.check(names_zone_and_blocks(text, ram), f"zone and blocks should be named: {text}")


@scenario("refuse-zone-normal")
def zone_normal(lab):
    """Kernel pages on the card: told when it has come, refused before anything is touched, by command and by button."""
    ram = lab.ram(2, online="online")
    told = lab.wait_for(lambda: names_zone_and_blocks(text := lab.journal("MESSAGE_ID=b65a476016944a00acd1574b3fbea094 SAFE_REMOVE_SLOT=2"),
                                                          ram) and text, 60, "the warning that names zone and blocks")
    lab.check("echo online_movable" in told, f"what to do should be told: {told}")
    lab.check("slot 2: the card's memory will not leave again" in lab.cli("list")[1], "the list should say it")
    lab.keeper(ram.node, mib=8, unmovable=True)
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.BLOCKED, "the exit status")
    check_names_zone_and_blocks(lab, out + err, ram)
    removal.check_untouched(lab, 2, before)

    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("refused", "blocked"), "the ending of the pressed one")
    check_names_zone_and_blocks(lab, end["message"], ram)
    removal.check_untouched(lab, 2, before)


@scenario("online-movable", turn=True)
def online_movable(lab):
    """Memory that has come offline is brought online so that it can leave, where the policy says so; what somebody takes offline then stays so."""
    removal.policy(lab, OnlineMovable="yes")
    ram = lab.ram(2, online="offline")
    lab.wait_for(lambda: ram.online() == 4, 60, "the blocks to be online")
    lab.equal(ram.zones(), {"Movable"}, "their zone")
    lab.wait_for(lambda: "4 memory blocks of cards that have come are online" in lab.journal("-u safe-removed"), 60, "the journal's line")
    lab.check("will not leave" not in lab.cli("list")[1], "no card's memory should be said to stay")
    lab.sh(f"echo offline > /sys/devices/system/memory/memory{ram.block_numbers[0]}/state")
    lab.ram(3, online="offline")
    lab.wait_for(lambda: "memory blocks of cards that have come" in lab.journal("-u safe-removed | tail -n 1"), 60, "the next look")
    removal.policy(lab)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


def inhibit(lab, unit, *options):
    """A process that has an inhibitor for as long as its unit runs."""
    lab.sh(f"systemd-run --quiet --unit={unit} safe-remove inhibit {' '.join(options)} sleep infinity")
    lab.cleanup(lambda: lab.sh(f"systemctl stop {unit} || true"))
    lab.wait_for(lambda: f"--who={unit}" not in options or f'"who":"{unit}"' in lab.sh("safe-remove inhibitors --json"), 20, f"the inhibitor of {unit}")


@scenario("refuse-inhibited", timeout=200, turn=True)
def inhibited(lab):
    """Somebody does not let the card go: told in his words, to a command and to the button, by the next daemon too. Then one who has it wait."""
    ram = lab.ram(2)
    inhibit(lab, "keeper", "--who=keeper", "--what=2", "--why='in the middle of it'")
    lab.sh("systemctl restart safe-removed.service")
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.VETOED, "the exit status")
    lab.check("keeper" in out + err and "in the middle of it" in out + err, f"it should say who and why: {out}{err}")
    removal.check_untouched(lab, 2, before)

    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("refused", "vetoed"), "the ending of the pressed one")
    lab.check("'keeper' does not let it go: in the middle of it" in end["message"], f"it should say who and why: {end['message']}")
    removal.check_untouched(lab, 2, before)
    lab.sh("systemctl stop keeper")

    # To its limit, also where the daemon dies meanwhile.
    removal.policy(lab, InhibitDelayMaxSec=8)
    inhibit(lab, "delayer", "--who=delayer", "--mode=delay")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, "delay_until")
    lab.sh("systemctl kill --kill-whom=main --signal=KILL safe-removed.service")
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "safe", "the ending of the one that waited")
    times, steps = removal.step_times(lab, number)
    waited = times["done", steps["announce"]] - times["do", steps["announce"]]
    lab.check(waited >= 8000, f"it should have waited for 8 s, not for {waited} ms")
    lab.check("delayer" in lab.sh("safe-remove inhibitors"), "whoever it waited for should not have ended")
    removal.check_safe(lab, 2, ram)


@scenario("refuse-zone-normal-tried", allow=[r"unmovable page"])
def zone_normal_tried(lab):
    """Tried because somebody insisted: put back block for block, and the card still works."""
    ram = lab.ram(2, online="online")
    lab.keeper(ram.node, mib=8, unmovable=True)
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", "--zone-normal=try", "--offline-timeout", "5", check=False)
    lab.equal(status, removal.RESTORED, "the exit status")
    lab.check("Normal" in out + err and "memory1" in out + err, f"zone and block should be named: {out}{err}")
    removal.check_untouched(lab, 2, before)
    keeper = lab.keeper(ram.node, mib=8)
    lab.check(keeper.verify() > 0, "the card should give memory")


@scenario("refuse-no-room", timeout=300)
def no_room(lab):
    """What is in use does not fit into what stays: refused with the arithmetic, before the OOM killer would decide."""
    ram = lab.ram(2)
    # Huge pages are the quickest way to use memory up: only the kernel clears them.
    pages = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
    lab.cleanup(lambda: lab.sh(f"echo 0 > {pages}"))
    free = int(lab.sh("awk '/Node 0 MemFree/ {print $4}' /sys/devices/system/node/node0/meminfo"))
    lab.sh(f"echo {(free - (160 << 10)) // 2048} > {pages}", timeout=120)
    lab.sh("echo 3 > /proc/sys/vm/drop_caches")
    # The card's own free memory is no room: fill that too.
    there = f"/sys/devices/system/node/node{ram.node}/hugepages/hugepages-2048kB/nr_hugepages"
    lab.cleanup(lambda: lab.sh(f"echo 0 > {there}"))
    lab.sh(f"echo 150 > {there}", timeout=120)
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
    lab.check("NO_ROOM" in out + err and "512 MiB" in out + err, f"the arithmetic should be shown: {out}{err}")
    removal.check_untouched(lab, 2, before)
    lab.equal(ram.online(), 4, "the blocks online")


@scenario("refuse-names")
def names(lab):
    """Names that are empty, unknown, ambiguous or no names at all: one clear line, a status of its own, nothing touched."""
    ram = lab.ram(2, 3)
    before = removal.Picture.take(lab)
    number = removal.last_record(lab)
    for name, status, word in (("5", removal.NOTHING, "slot 5"),
                               ("mem99", removal.NOT_FOUND, "mem99"),
                               ("77", removal.NOT_FOUND, "77"),
                               (ram.region, removal.AMBIGUOUS, "slot 3"),
                               (f"memory{ram.block_numbers[0]}", removal.AMBIGUOUS, "slot 2"),
                               ("0000:0d", removal.USAGE, "0000:0d"),
                               ("../../etc", removal.USAGE, "../../etc"),
                               ("", removal.USAGE, "")):
        found, out, err = lab.cli("remove", name, check=False)
        lab.equal(found, status, f"the exit status of removing '{name}' ({out}{err})")
        lab.check(word in out + err, f"the answer should name '{word}': {out}{err}")
    lab.equal(removal.Picture.take(lab), before, "the machine")
    lab.equal(removal.last_record(lab), number, "the newest record")


@scenario("refuse-stale-plan")
def stale_plan(lab):
    """The machine has changed since the plan was shown."""
    digest = lab.cli_json("plan", "2")["digest"]
    lab.ram(2)
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", "--plan", digest, check=False)
    lab.equal(status, removal.STALE, f"the exit status ({out}{err})")
    removal.check_untouched(lab, 2, before)

    # What could not be found out in time, on a busy machine, is in the plan too: it may be another one a moment later.
    def as_shown():
        return lab.cli("remove", "2", "--plan", lab.cli_json("plan", "2")["digest"], check=False)[0] != removal.STALE
    lab.wait_for(as_shown, 60, "a plan that is the same when it is asked for")
    removal.check_safe(lab, 2)


@scenario("refuse-other-users", turn=True)
def other_users(lab):
    """Everybody may look, only root may remove and cancel. What does not run cannot be cancelled by anybody, which is no secret."""
    ram = lab.ram(2)
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups safe-remove"
    for words in ("list", "show 2", "plan 2", "status", "history"):
        wanted = lab.cli(*words.split(), check=False)[0]
        lab.equal(lab.run(f"{nobody} {words}", check=False)[0], wanted, f"the exit status of {words}, which is root's as well")
        lab.check(wanted in (0, removal.NOTHING), f"{words} should be answered, not end with {wanted}")
    lab.equal(lab.run(f"{nobody} remove 2", check=False)[0], removal.NOT_AUTHORISED, "the exit status of remove")
    lab.equal(lab.run(f"{nobody} cancel 2", check=False)[0], removal.NOTHING, "the exit status of cancel, where nothing runs")
    leds = lab.slot(2).leds()
    lab.check(leds.power == "on" and leds.power_on, f"the card should still be there: {leds}")
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    lab.cli("remove", "2", "--no-wait")
    said = removal.wait_for_record(lab, number, '"ev":"do","n":4', 90, then=f"{nobody} cancel 2 --no-ask-password; echo status $?; {go}")
    lab.check(f"status {removal.NOT_AUTHORISED}" in said.split("\n"), f"the exit status of cancel, while one runs: {said}")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("refuse-unwritable-state")
def unwritable_state(lab):
    """Nothing is touched that cannot be written down first; a press is called off, so that the kernel does not take over."""
    ram = lab.ram(2)
    lab.sh(f"mkdir -p {removal.STATE_DIR}/removals && chattr +i {removal.STATE_DIR}/removals")
    lab.cleanup(lambda: lab.sh(f"chattr -i {removal.STATE_DIR}/removals"))
    before = removal.Picture.take(lab)
    lab.check(lab.cli("remove", "2", check=False)[0] != 0, "a removal that cannot be written down should fail")
    removal.check_untouched(lab, 2, before)
    lab.slot(2).press()
    lab.wait_for(lambda: lab.log.has("will power off"), 5, "the press to reach the kernel")
    lab.wait_leds(2, power="on", timeout=4)
    lab.sh("sleep 6")  # the kernel's own 5 s, which must pass without anything happening
    removal.check_untouched(lab, 2, before)
    lab.equal(ram.online(), 4, "the blocks online")


def garbled(lab, attribute, text="garbage"):
    """An attribute that says something else from now on, as a driver of a later kernel might; the path that is told."""
    lab.sh(f"printf '%s\\n' '{text}' > /run/garbled && mount --bind /run/garbled $(realpath {attribute})")
    lab.cleanup(lambda: lab.sh(f"umount $(realpath {attribute}) 2> /dev/null || true"))
    return attribute


@scenario("refuse-not-understood")
def not_understood(lab):
    """What cannot be understood is told: of another card it is no reason to keep this one; of this one it is, and it alone."""
    ram = lab.ram(2)
    serials = {number: f"/sys/bus/cxl/devices/{lab.sh(f'ls -d /sys/bus/pci/devices/{lab.slot(number).bdf()}/mem* | xargs basename')}/serial"
               for number in (2, 3)}

    def told(kind, number="2"):
        return [one["what"] for one in storage.plan(lab, number)[kind] if one["code"] == "NOT_UNDERSTOOD"]

    other = garbled(lab, serials[3])
    lab.equal((len(told("warnings")), told("blockers")), (1, []), "how another card's number is told")
    lab.check(serials[3] in told("warnings")[0], f"it should be named: {told('warnings')}")
    lab.check(any(serials[3] in line for line in told("blockers", "3")), "the card that it is of should be refused")
    lab.sh(f"umount $(realpath {other})")
    lab.equal(told("warnings"), [], "what is told when it reads right again")

    mine = garbled(lab, serials[2])
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
    lab.check(mine in out + err, f"what is not understood should be named: {out}{err}")
    removal.check_untouched(lab, 2, before)
    lab.sh(f"umount $(realpath {mine})")

    size = garbled(lab, "/sys/bus/cxl/devices/" + ram.region + "/size", "many")
    before = removal.Picture.take(lab)
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("refused", "blocked"), f"the ending of the pressed one ({end['message']})")
    removal.check_untouched(lab, 2, before)
    lab.sh(f"umount $(realpath {size})")

    garbled(lab, serials[3])
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)
