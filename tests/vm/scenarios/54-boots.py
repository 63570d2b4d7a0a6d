# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine goes down in the middle of a removal, is to be suspended, or has its clock set: nothing is continued blindly, and nothing is told that is not so."""

import json

from harness import removal, stage
from harness.errors import CommandFailed
from harness.paths import VM_DIR
from harness.scenario import BOOT, scenario

REPLAY = VM_DIR / "harness/replay_writes.py"
YEAR = 365 * 24 * 3600
LOGIND = "/etc/systemd/system/systemd-logind.service"
BUSY = "until [ $(systemd-inhibit --list --no-legend | grep -c safe-remove) = 3 ]; do sleep 0.1; done"

OFFLINE = ("offline-memory", "unplug-memory")  # a newer kernel's


def wait_for_step(lab, number, *names):
    """The removal is at one of these steps."""
    def there():
        try:
            times, steps = removal.step_times(lab, number)
        except (CommandFailed, ValueError):
            return False
        return any(("do", steps[name]) in times for name in names if name in steps)
    lab.wait_for(there, 90, f"the removal to be at {' or '.join(names)}")


def wait_for_offline(lab, number, ram):
    """It stands still behind that step, which is on record as done when it goes on."""
    wait_for_step(lab, number, *OFFLINE)
    lab.wait_for(lambda: len(removal.offline_blocks(lab).split()) >= len(ram.blocks()), 90, "the memory to be offline")


def in_the_middle(lab, *pauses):
    """A removal of slot 2 that stands still with its memory offline, and at other pauses behind that; (the memory, its number, the line that has it go on)."""
    ram = lab.ram(2)
    go = removal.drill(lab, "after-offline-memory", *pauses)
    number = removal.last_id(lab) + 1
    lab.spawn("remove", "safe-remove remove 2")
    wait_for_offline(lab, number, ram)
    return ram, number, go


def with_logind(lab):
    """Nobody waits for it in the lab, so it does not run there."""
    lab.sh(f"rm -f {LOGIND} && systemctl daemon-reload && systemctl start systemd-logind.service")
    lab.cleanup(lambda: lab.run(f"systemctl stop systemd-logind.service; ln -sfn /dev/null {LOGIND}; systemctl daemon-reload", check=False))


@scenario("boot-reset", timeout=400, allow=BOOT, turn=True)
def boot_reset(lab):
    """Reset with the memory offline: the removal is closed, what has not come back is listed, and the lights are true."""
    _, number, _ = in_the_middle(lab)
    lab.sh("sync")
    lab.reset()
    leds = lab.wait_leds(2, power="on", attention="off", timeout=60)
    lab.check(leds.power_on and not leds.safe, f"the slot should not say 'safe to pull': {leds}")
    lab.check(lab.slot(2).driver_bound(), "the slot should not be held")
    end = removal.wait_for_end(lab, number, 60)
    lab.equal((end["outcome"], end["code"]), ("interrupted", "interrupted"), "the ending")
    lab.check("the card in slot 2 is there and has power" in end["message"], f"how the slot is should be told: {end['message']}")
    lab.check(any("memory" in line and "is not there any more" in line for line in end["lost"]), f"what has not come back should be listed: {end['lost']}")
    lab.check("interrupted by a reboot" in lab.sh("safe-remove status 2 || true"), "status should say so")
    entry = removal.history(lab)[0]
    lab.equal(("took_usec" in entry, entry["ended_boot"] != entry["boot"]), (False, True), f"how long it took nobody knows: {entry}")
    lab.check("The card in slot 2 has power under a dark power LED" in lab.sh("journalctl -q -b -o cat -u safe-removed.service"), "the journal should say that the light was dark")
    last = "busctl get-property org.saferemove1 /org/saferemove1/slot/_32 org.saferemove1.Slot LastOutcome"
    lab.equal(lab.sh(last), 's "interrupted"', "what the slot shows of it")
    lab.restart_daemon()
    lab.wait_for(lambda: "interrupted" in lab.sh(f"{last} 2>&1 || true"), 30, "the next daemon to show it, too")


def on_purpose(lab, how):
    """It waits, and the removal is put back before it; nothing is left for the next boot."""
    with_logind(lab)
    _, number, _ = in_the_middle(lab)
    lab.sh(f"timeout 30 sh -c '{BUSY}'")
    # Whoever asks as people do is refused; systemctl as root would not ask.
    status, out, err = lab.run("systemctl --check-inhibitors=yes suspend", check=False)
    lab.check(status != 0 and "safe-remove" in out + err, f"a suspend should be refused: {status} {out}{err}")
    lab.reset(f"systemctl {how}")
    end = removal.wait_for_end(lab, number, 60)
    print(f"     ({end['message']})", flush=True)
    lab.equal(end["outcome"], "restored", f"the ending ({end['message']})")
    lab.check("boot" in end and end["boot"] != lab.guest.boot_id().replace("-", ""), "it should have ended before the boot")
    lab.wait_leds(2, power="on", attention="off", timeout=60)
    lab.check(lab.slot(2).driver_bound(), "the slot should not be held")


for each in ("reboot", "poweroff"):
    scenario(f"boot-{each}", timeout=400, allow=BOOT, turn=True)(lambda lab, how=each: on_purpose(lab, how))


@scenario("boot-left-blinking", timeout=240, turn=True)
def left_blinking(lab):
    """A power LED that blinks since before the guard and the daemon, as a port does that a reset does not reset: nobody has pressed, nothing begins, and it is turned on."""
    before, number = removal.Picture.take(lab), removal.last_id(lab)
    lab.sh(f"systemctl stop safe-removed.service safe-remove-guard.service && setpci -s {lab.slot(2).place.bdf} CAP_EXP+18.w=0200:0300")
    lab.equal(lab.slot(2).leds().power, "blink", "the power LED")
    lab.sh("systemctl start safe-remove-guard.service safe-removed.service")
    lab.wait_leds(2, power="on", attention="off", timeout=90)
    removal.check_untouched(lab, 2, before)
    lab.equal(removal.last_id(lab), number, "the number of the last removal")


@scenario("inhibitors-given-back", timeout=240, turn=True)
def given_back(lab):
    """A shutdown and a suspend wait only for as long as a removal runs."""
    with_logind(lab)
    _, _, go = in_the_middle(lab)
    lab.sh(f"timeout 30 sh -c '{BUSY}'")
    found = lab.sh("systemd-inhibit --list --no-legend | grep safe-remove")
    lab.check("shutdown" in found and "delay" in found and "block" in found, f"all should be there: {found}")
    lab.sh(go)
    lab.wait_for(lambda: not lab.sh("systemd-inhibit --list --no-legend | grep safe-remove || true"), 60, "the inhibitors to be given back")
    lab.check(lab.wait_leds(2, safe=True, timeout=30).safe, "the slot should be safe")


@scenario("clock-set", timeout=300, turn=True)
def clock_set(lab):
    """A year ahead in the middle of a removal, then two years back: no time is told that is not so."""
    lab.cleanup(lambda: lab.run("date -s @$(($(cat /run/clock-ahead) + $(cut -d . -f 1 /proc/uptime)))", check=False))
    lab.sh("echo $(($(date +%s) - $(cut -d . -f 1 /proc/uptime))) > /run/clock-ahead")
    before = lab.cli_json("history").get("totals", {}).get("steps", [])
    ram, number, go = in_the_middle(lab, "before-disable-region")
    lab.sh(f"date -s @$(($(date +%s) + {YEAR}))")
    check_status(lab, "a year ahead")
    lab.sh(removal.go_on("after-offline-memory", "after-unplug-memory"))
    wait_for_step(lab, number, "disable-region")
    lab.sh(f"date -s @$(($(date +%s) - {2 * YEAR}))")
    check_status(lab, "a year back")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    entry = removal.history(lab)[0]
    lab.check(0 < entry["took_usec"] < 600e6, f"how long it took: {entry}")
    line = lab.sh("safe-remove history | sed -n 2p")
    lab.check(" h" not in line and " 0 ms" not in line, f"how long it took: {line}")
    sums = lab.cli_json("history")["totals"]["steps"]
    lab.check(sum(s["usec"] for s in sums) - sum(s["usec"] for s in before) < 600e6, f"how long its steps took: {sums}")


def check_status(lab, when):
    status = lab.cli_json("status", "2")
    lab.check(0 < status["usec"] < 600e6, f"{when} it should not have run for {status['usec'] / 1e6} s")


@scenario("state-brought-back", timeout=300, turn=True)
def brought_back(lab):
    """A copy of the state folder that was made in the middle of a removal: it has ended meanwhile, the card is in again, and nobody goes on with it."""
    ram, number, go = in_the_middle(lab)
    lab.sh(f"rm -rf /run/copy && cp -a {removal.STATE_DIR} /run/copy && {go}")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    lab.sh(f"rm -f {removal.POLICY_FILE}")
    lab.slot(2).insert(lab.guest.profile.cards[2])
    ram = lab.ram(2)
    lab.sh("systemctl stop safe-removed.service")
    lab.sh(f"rm -rf {removal.STATE_DIR}/* && cp -a /run/copy/. {removal.STATE_DIR}/ && systemctl start safe-removed.service")
    lab.equal(removal.wait_for_end(lab, number, 60)["outcome"], "safe", "the ending that it had")
    lab.check(ram.blocks() and not removal.offline_blocks(lab), "the card that is in now should be left alone")
    lab.check(lab.slot(2).driver_bound(), "the slot should not be held")
    lab.wait_leds(2, power="on", attention="off")
    lab.cli("remove", "2", timeout=200)
    lab.check(removal.last_id(lab) > number, "no number should be given twice")
    removal.check_safe(lab, 2, ram)


def at_the_light(lab, pause):
    """A removal of slot 2 that stands still at its last step; (its number, the line that has it go on)."""
    go = removal.drill(lab, pause)
    number = removal.last_id(lab) + 1
    lab.spawn("remove", "safe-remove remove 2")
    wait_for_step(lab, number, "show-safe")
    return number, go


def check_made_up(lab, spoil, mend):
    """The end of a removal that is past the point of no return cannot be written: the light is true, what is missing is told, and made up for when it can."""
    removal.state_apart(lab)
    ram = lab.ram(2)
    number, go = at_the_light(lab, "after-show-safe")
    lab.wait_leds(2, safe=True)
    lab.run(spoil, check=False)
    lab.sh(go)
    removal.check_safe(lab, 2, ram)
    said = lab.wait_for(lambda: lab.journal("-u safe-removed.service -g 'not all on record'"), 60, "the daemon to say what is missing")
    print(f"     ({said})", flush=True)
    lab.sh(mend)
    lab.wait_for(lambda: lab.journal("-u safe-removed.service -g 'Nothing is missing'"), 120, "it to be made up for")
    lab.equal(removal.wait_for_end(lab, number, 10)["outcome"], "safe", "the ending on record")
    lab.equal(removal.certificate(lab, number)["outcome"], "safe", "the certificate's")


@scenario("state-full", timeout=300, turn=True)
def full(lab):
    """No room for the end."""
    filler = f"{removal.STATE_DIR}/filler"
    check_made_up(lab, f"cat /dev/zero > {filler}; sync; cat /dev/zero >> {filler}", f"rm {filler}")


# As after an error of its disk, until somebody has checked it.
READ_ONLY = f"mount -o remount,abort {removal.STATE_DIR}; ! touch {removal.STATE_DIR}/x"
# Whoever makes up for what is missing would write below the mount meanwhile.
CHECKED = (f"daemon=$(systemctl show -P MainPID safe-removed.service); kill -STOP $daemon; timeout 60 sh -c 'until umount {removal.STATE_DIR}; do sleep 0.1; done' && "
           f"{{ e2fsck -fy /dev/mapper/state-disk > /dev/null; mount /dev/mapper/state-disk {removal.STATE_DIR}; }}; kill -CONT $daemon")


@scenario("state-read-only", timeout=300, allow=[r"EXT4-fs .*dm-"], turn=True)
def read_only(lab):
    """The file system went read-only behind the light."""
    check_made_up(lab, READ_ONLY, CHECKED)


@scenario("state-read-only-before-light", timeout=300, allow=[r"EXT4-fs .*dm-"], turn=True)
def read_only_before_light(lab):
    """Before it: what the light would rest on cannot be written down, so the card is told to stay, and the remedy is what helps."""
    removal.state_apart(lab)
    ram = lab.ram(2)
    number, go = at_the_light(lab, "before-show-safe")
    lab.run(READ_ONLY, check=False)
    lab.sh(go)
    leds = lab.wait_leds(2, attention="on", timeout=60)
    lab.check(not leds.safe, f"the light should not say safe: {leds}")
    lab.wait_for(lambda: lab.journal("-u safe-removed.service -g 'not all on record'"), 60, "the daemon to say what is missing")
    lab.sh(CHECKED)
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["remedy"]), ("stuck", [f"df -h {removal.STATE_DIR}  # make room there, or mend that file system; then: safe-remove remove 2"]), "the ending")
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("state-torn", timeout=300, turn=True)
def torn(lab):
    """The last line of the record is there in half, and nobody is left who wrote it: somebody else goes on, to the end, and the record can be read."""
    ram, number, go = in_the_middle(lab)
    journal = f"{removal.STATE_DIR}/removals/{number}/journal"
    lab.sh(f"truncate -s -7 {journal} && pkill -KILL -x safe-remove-wor; {go}")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    for line in lab.sh(f"cat {journal}").splitlines():
        json.loads(line)


@scenario("state-foreign", timeout=300, turn=True)
def foreign(lab):
    """The state folder of another machine, with a removal in its middle, and with things in it that are nobody's: that removal is closed, the card is left alone, and the next
    removal goes. A record that is no file has the slots unknown, until it is away."""
    ram, number, go = in_the_middle(lab)
    removals = f"{removal.STATE_DIR}/removals"
    lab.sh(f"rm -rf /run/copy && cp -a {removal.STATE_DIR} /run/copy && {removal.call_off(number, 2, go)}")
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "restored", "the ending")
    before, boot = removal.Picture.take(lab), lab.guest.boot_id().replace("-", "")
    lab.sh(f"rm -f {removal.POLICY_FILE}; sed -i 's/{boot}/c0ffee{boot[6:]}/g' /run/copy/removals/{number}/*; grep -q c0ffee /run/copy/removals/{number}/journal")
    lab.sh(f"""systemctl stop safe-removed.service && rm -rf {removal.STATE_DIR}/* && cp -a /run/copy/. {removal.STATE_DIR}/ && mkdir {removals}/lost+found &&
        echo x > {removals}/note && ln -s loop {removals}/loop && mkdir {removals}/007 && systemctl start safe-removed.service""")
    end = removal.wait_for_end(lab, number, 60)
    lab.equal(end["outcome"], "interrupted", f"the ending of the other machine's ({end['message']})")
    removal.check_untouched(lab, 2, before)

    lab.sh(f"mkdir {removals}/{number + 1} && mkfifo {removals}/{number + 1}/journal && systemctl restart safe-removed.service")
    lab.wait_for(lambda: lab.cli_json("list", check=False)["slots"][0]["state"] == "unknown", 60, "the slot to be unknown")
    lab.check(lab.cli("remove", "2", check=False)[0] != 0, "a removal should be refused")
    removal.check_untouched(lab, 2, before)
    lab.sh(f"rm -r {removals}/{number + 1} {removals}/007 {removals}/lost+found {removals}/note {removals}/loop")
    lab.wait_for(lambda: lab.cli_json("list", check=False)["slots"][0]["state"] != "unknown", 90, "the slot to be known")
    lab.cli("remove", "2", timeout=200)
    lab.check(removal.last_id(lab) > number, "no number should be given twice")
    removal.check_safe(lab, 2, ram)


@scenario("state-hangs", timeout=400, turn=True)
def hangs(lab):
    """The disk under the state folder does not answer, from the middle of a removal on: who asks is answered, by a daemon that comes then too, and the light does not say
    safe. Once the disk answers the removal comes to its end."""
    removal.state_apart(lab)
    ram, number, go = in_the_middle(lab)
    lab.cleanup(lambda: lab.run(removal.STATE_ANSWERS, check=False))
    idle = removal.round_trips(lab)
    lab.sh(f"{removal.STATE_HANGS} && {go}")
    asleep = "for p in $(pgrep -x safe-remove-wor); do grep -q '^State:.D' /proc/$p/status && echo $p; done; true"
    lab.wait_for(lambda: lab.sh(asleep), 60, "somebody to wait for the disk")
    busy = removal.round_trips(lab)
    lab.sh("systemctl kill --kill-whom=main --signal=KILL safe-removed.service")
    lab.wait_for(lambda: lab.cli("list", check=False)[0] == 0, 60, "the next daemon")
    later = removal.round_trips(lab)
    print(f"     (an answer takes {idle} ms, {busy} when the disk hangs, and {later} of the next daemon)", flush=True)
    lab.check(max(busy, later) <= 10 * idle, f"an answer took {busy} ms when the disk hung, and of the next daemon {later}; {idle} before")
    lab.check(not lab.slot(2).leds().safe, "the light should not say safe to pull")
    lab.sh(removal.STATE_ANSWERS)
    end = removal.wait_for_end(lab, number, 200)
    print(f"     ({end['outcome']}: {end['message']})", flush=True)
    lab.equal(end["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("power-cut-at-each-flush", timeout=600, turn=True)
def power_cut(lab):
    """What the state folder's file system has at each flush is read without a complaint: the record grows by whole lines, and nothing that was there is gone."""
    lab.sh("systemctl stop safe-removed.service && truncate -s 8M /run/state.img && truncate -s 256M /run/log.img && mkfs.ext4 -q /run/state.img && cp /run/state.img /run/base.img")
    lab.cleanup(lambda: lab.run(f"systemctl stop safe-removed.service; umount {removal.STATE_DIR}; dmsetup remove state-writes; losetup -D; rm -f /run/state.img /run/log.img /run/base.img "
                                "/run/replayed.img", check=False))
    lab.sh(f"""modprobe dm-log-writes && d=$(losetup --show -f /run/state.img) && l=$(losetup --show -f /run/log.img) &&
        dmsetup create state-writes --table "0 $(blockdev --getsz $d) log-writes $d $l" && mount /dev/mapper/state-writes {removal.STATE_DIR} && systemctl start safe-removed.service""")
    ram = lab.ram(2)
    lab.cli("remove", "2", timeout=200)
    removal.check_safe(lab, 2, ram)
    number = removal.last_record(lab)
    removal.certificate(lab, number)
    whole = lab.sh(f"cat {removal.STATE_DIR}/removals/{number}/journal").splitlines()
    lab.sh(f"systemctl stop safe-removed.service && umount {removal.STATE_DIR} && dmsetup remove state-writes")
    found = json.loads(lab.sh(f"python3 {stage.push(lab.guest, REPLAY)} /run/base.img /run/log.img /usr/libexec/safe-remove/safe-remove-worker", 500))
    lengths = [len(each["lines"]) for each in found]
    print(f"     ({len(found)} flushes, lines of the record at each: {lengths})", flush=True)
    lab.check(len(found) > 10 and lengths[-1] == len(whole) and found[-1]["certificate"], f"the last one should have all: {lengths} of {len(whole)}")
    for each in found:
        lab.equal((each["type"], each["unreadable"]), ("records", []), "what is said of the records")
        lab.equal(each["lines"], whole[:len(each["lines"])], "the record so far")
    lab.equal(lengths, sorted(lengths), "how the record grows")
