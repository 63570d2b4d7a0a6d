# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is done about holders is the administrator's word: refuse, stop, freeze, ask, and kill only when told so."""

import time

from harness import removal, storage
from harness.scenario import scenario


def card_with_file_system(lab, kind="ext4"):
    return lab.filesystem(lab.pmem(3).namespace().device, kind)


def begin(lab, *options):
    """A removal in the background; returns its number."""
    number = removal.last_id(lab) + 1
    lab.spawn("remove", ["safe-remove", "remove", "3", *options])
    return number


def check_called_off(lab, number, before, code="cancelled"):
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", code), f"the ending ({end['message']})")
    storage.check_as_before(lab, before)
    leds = lab.slot(3).leds()
    lab.check(leds.power == "on" and leds.attention == "off", f"slot 3 should say 'do not pull': {leds}")
    return end


@scenario("policy-refuse", profile="mixed", turn=True)
def refuse(lab):
    """One unit of two is not to be disturbed: nobody is, and its owner's reason is told."""
    disk = card_with_file_system(lab)
    ledger = lab.holder("--map=shared", f"{disk.target}/ledger", name="ledger")
    other = lab.holder("--map=shared", f"{disk.target}/other", name="other")
    storage.rules(lab, ({"Unit": ledger.unit}, {"Action": "refuse", "Reason": "ask the bookkeepers, phone 4711"}))
    before = storage.StoragePicture.take(lab)
    lab.check("HOLDER_REFUSES" in storage.codes(storage.plan(lab, "3")), "the plan should have the blocker")
    for options in ((), ("--force=kill",)):
        status, out, err = lab.cli("remove", "3", *options, check=False)
        lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
        lab.check("phone 4711" in out + err and ledger.unit in out + err, f"unit and reason should be told: {out}{err}")
    number = removal.last_id(lab) + 1
    lab.slot(3).press()
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("refused", "blocked"), "the ending of the pressed one")
    lab.check("phone 4711" in end["message"], f"the reason should be told: {end}")
    storage.check_as_before(lab, before)
    for holder in (ledger, other):
        lab.equal((holder.running(), holder.look()), (True, "ok"), f"{holder.name} running, its bytes")


@scenario("policy-declared", profile="mixed", turn=True)
def declared(lab):
    """A unit says itself what should become of it, in a drop-in; the administrator's rule stands above that, and a typing error refuses."""
    disk = card_with_file_system(lab)
    ledger = lab.holder("--map=shared", f"{disk.target}/ledger", name="ledger")
    folder = f"/run/systemd/system/{ledger.unit}.d"

    def declare(*lines):
        lab.write(f"{folder}/removal.conf", "\n".join(["[X-SafeRemove]", *lines, ""]))
        lab.sh("systemctl daemon-reload")
        return storage.plan(lab, "3")

    lab.sh(f"mkdir -p {folder}")
    lab.cleanup(lambda: lab.sh(f"rm -rf {folder}; systemctl daemon-reload"))
    lab.check("HOLDER_REFUSES" in storage.codes(declare("OnRemove=refuse", "Reason=ask the bookkeepers")), "the plan should have the blocker")
    status, out, err = lab.cli("remove", "3", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
    lab.check("ask the bookkeepers" in out + err and f"{folder}/removal.conf" in out + err, f"reason and file should be told: {out}{err}")
    lab.check("HOLDER_REFUSES" in storage.codes(declare("OnRemove=sotp")), "a word that is not known should refuse")
    storage.rules(lab, ({"Unit": ledger.unit}, {"Action": "wait stop"}))
    lab.check("HOLDER_REFUSES" not in storage.codes(storage.plan(lab, "3")), "the administrator's rule should stand above the unit's word")
    lab.sh(f"rm -f {storage.RULES}")
    plan = declare("OnRemove=stop", "StopSec=20")
    lab.equal([(h["on_remove"], h["rule"]) for h in plan["holders"] if h.get("unit") == ledger.unit], [(["stop"], f"{folder}/removal.conf")], "its rule")
    lab.equal(lab.cli("remove", "3")[0], removal.SAFE, "the exit status")
    lab.check(not ledger.running(), "the unit should be stopped")


@scenario("policy-declared-later", timeout=180, turn=True)
def declared_later(lab):
    """A unit that has memory on the card only since the plan was made is frozen by its own word while its memory moves, and runs on."""
    ram = lab.ram(2)
    folder = "/run/systemd/system/lab-late.service.d"
    lab.write(f"{folder}/removal.conf", "[X-SafeRemove]\nOnRemove=freeze\n")
    lab.cleanup(lambda: lab.sh(f"rm -rf {folder}; systemctl daemon-reload"))
    lab.sh("systemctl daemon-reload")
    go = removal.drill(lab, "after-hold")  # a step that has nothing to do yet would not stand still
    number = removal.last_id(lab) + 1
    lab.spawn("remove", "safe-remove remove 2 --yes")
    removal.wait_for_record(lab, number, '"ev":"do","n":0', 90)
    late = lab.keeper(ram.node, mib=8, name="late")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the outcome")
    notes = lab.sh(f"grep '\"ev\":\"note\"' {removal.STATE_DIR}/removals/{number}/journal")
    lab.check(f'/{late.unit}"' in notes, f"{late.unit} should have been frozen: {notes}")
    lab.equal(late.verify(), 0, "its pages that are still on the card")


@scenario("policy-stop-and-cancel", profile="mixed", timeout=240, turn=True)
def stop_and_cancel(lab):
    """A unit that was stopped runs again when the removal is called off, on the mount that it had."""
    disk = card_with_file_system(lab)
    writer = lab.writer(disk)
    first = writer.main_pid()
    before = storage.StoragePicture.take(lab)
    go = removal.drill(lab, "after-end-holders")
    number = begin(lab)
    lab.wait_for(lambda: not writer.running(), 60, "the writer to be stopped")
    lab.sh(removal.call_off(number, 3, go), timeout=90)
    check_called_off(lab, number, before)
    lab.check(writer.running() and writer.main_pid() != first, "the writer's unit should have been started again")
    lab.check(writer.verify() > 0, "there should be records")


@scenario("policy-freeze-and-cancel", profile="mixed", timeout=240, turn=True)
def freeze_and_cancel(lab):
    """Frozen and thawed again: it was stopped for a while, did not notice, and has missed nothing."""
    disk = card_with_file_system(lab)
    counter = lab.counter(disk)
    first = counter.main_pid()
    storage.rules(lab, ({"Unit": counter.unit}, {"Action": "freeze term", "FreezeSec": 30}))
    before = storage.StoragePicture.take(lab)
    lab.wait_for(lambda: counter.ask()[0] > 20, 20, "some lines")
    number = begin(lab)
    events = f"/sys/fs/cgroup/lab.slice/{counter.unit}/cgroup.events"
    lab.sh(f"timeout 60 sh -c 'until grep -q \"frozen 1\" {events}; do sleep 0.05; done'", timeout=70)
    time.sleep(3)
    lab.cli("cancel", "3")
    check_called_off(lab, number, before)
    lab.equal(counter.main_pid(), first, "the counter's process")
    lines, missed, longest = counter.ask()
    lab.check(lines > 20 and missed == 0 and longest >= 2500, f"it should have been frozen and miss nothing: {lines}, {missed}, {longest} ms")


@scenario("policy-never-kill", profile="mixed", timeout=300)
def never_kill(lab):
    """Somebody who does not obey: it is asked, it stays, all is put back. Killed only when the request says so."""
    disk = card_with_file_system(lab)
    # systemd itself would kill after its own time; here it is told to leave that to the administrator.
    stubborn = lab.holder("--map=shared", "--stubborn", f"{disk.target}/file", name="stubborn",
                          properties=["SendSIGKILL=no", "TimeoutStopSec=2"])
    storage.rules(lab, ({"Unit": stubborn.unit}, {"Action": "term", "TermSec": 2}))
    before = storage.StoragePicture.take(lab)
    status, out, err = lab.cli("remove", "3", check=False)
    lab.equal(status, removal.RESTORED, f"the exit status ({out}{err})")
    lab.check(str(stubborn.pids[0]) in out + err, f"who did not go should be told: {out}{err}")
    storage.check_as_before(lab, before)
    lab.equal((stubborn.running(), stubborn.look()), (True, "ok"), "the holder running, its bytes")
    end = storage.take_out(lab, 3, "--force=kill")
    lab.equal(stubborn.wait(10), "KILL", "how it ended")
    said = [line for line in end["disturbed"] if line.startswith(f"process {stubborn.pids[0]} (")]
    lab.check(len(said) == 1 and f" of user 0, {stubborn.unit}: " in said[0] and said[0].endswith("SIGKILL"), f"whom it has killed: {end['disturbed']}")


@scenario("policy-stubborn-unit", profile="mixed", timeout=300, turn=True)
def stubborn_unit(lab):
    """systemctl stop, as it is meant by default, ends in SIGKILL after the unit's own time: not in our name."""
    disk = card_with_file_system(lab)
    stubborn = lab.holder("--map=shared", "--stubborn", f"{disk.target}/file", name="stubborn", properties=["TimeoutStopSec=5"])
    storage.rules(lab, ({"Unit": stubborn.unit}, {"Action": "stop", "StopSec": 20}))
    lab.cli("remove", "3", check=False)
    lab.check(stubborn.status() != "KILL", "nobody should have been killed")


@scenario("policy-process-without-unit", profile="mixed", timeout=240, turn=True)
def process_without_unit(lab):
    """In a scope of a login session nothing is stopped; the process is asked, and told as lost when the removal is called off."""
    disk = card_with_file_system(lab)
    program = lab.program("holder")
    lab.sh(f"mkdir -p /lab/out && systemd-run --quiet --scope --slice=lab.slice --unit=session-99 sh -c '{program} --map=shared {disk.target}/file "
           "> /lab/out/loose.out 2>&1 & ' ")
    pid = int(lab.wait_for(lambda: lab.sh("sed -n 's/holding pid=//p' /lab/out/loose.out 2> /dev/null || true"), 20, "the holder"))
    lab.check(pid in storage.holders(storage.plan(lab, "3")), "it should be named")
    before = storage.StoragePicture.take(lab)
    go = removal.drill(lab, "after-end-holders")
    number = begin(lab)
    lab.wait_for(lambda: not lab.guest.succeeds(f"kill -0 {pid}"), 60, "the process to end")
    lab.sh(removal.call_off(number, 3, go), timeout=90)
    end = check_called_off(lab, number, before)
    lab.check(any(str(pid) in line for line in end["lost"]), f"it should be told that the process is gone for good: {end['lost']}")


@scenario("policy-own-session", profile="mixed", turn=True)
def own_session(lab):
    """Whoever asks for the removal stands on the card himself: he is not ended, but told."""
    disk = card_with_file_system(lab)
    before = storage.StoragePicture.take(lab)
    asker = lab.spawn("asker", f"cd {disk.target} && safe-remove remove 3; echo status=$?; sleep 100")
    asker.wait_for_output("status=")
    lab.check(f"status={removal.BLOCKED}" in asker.output(), f"it should be refused: {asker.output()}")
    lab.check(asker.running(), "the asker should live")
    storage.check_as_before(lab, before)


@scenario("policy-system-fs", profile="mixed", turn=True)
def system_fs(lab):
    """The journal's folder lies on the card: refused, saying so."""
    disk = card_with_file_system(lab)
    lab.sh(f"mkdir -p {disk.target}/log /mnt/keep && mount --bind {disk.target}/log /var/lib/safe-remove")
    lab.cleanup(lambda: lab.sh("umount /var/lib/safe-remove; systemctl restart safe-removed"))
    lab.restart_daemon()
    plan = storage.plan(lab, "3")
    lab.check("SYSTEM_FS" in storage.codes(plan), f"the plan should refuse: {plan['blockers']}")
    lab.check("/var/lib/safe-remove" in str(plan["blockers"]), "it should be said which folder")
    lab.equal(lab.cli("remove", "3", check=False)[0], removal.BLOCKED, "the exit status")


@scenario("policy-swap-does-not-fit", profile="mixed", timeout=300, turn=True)
def swap_does_not_fit(lab):
    """What is in the swap has no room elsewhere: refused before the OOM killer would decide."""
    device = lab.nvdimm().namespace("sector", mib=None).device
    lab.sh(f"mkswap -q {device} && swapon {device}")
    keeper = lab.keeper(0, mib=200, pause_msec=60000)
    lab.sh(f"echo 190M > /sys/fs/cgroup/lab.slice/{keeper.unit}/memory.reclaim || true", timeout=120)
    used = int(lab.sh("awk 'NR > 1 {print $4}' /proc/swaps"))
    lab.check(used > 100 << 10, f"there should be much in the swap: {used} KiB")
    pages = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"
    lab.cleanup(lambda: lab.sh(f"echo 0 > {pages}"))
    available = int(lab.sh("awk '/MemAvailable/ {print $2}' /proc/meminfo"))
    lab.sh(f"echo {(available - (80 << 10)) // 2048} > {pages}")
    nmem = lab.sh("for n in /sys/bus/nd/devices/ndbus*/nmem*; do [ $(cat ${n%/*}/provider) != ACPI.NFIT ] || basename $n; done")
    status, out, err = lab.cli("remove", nmem, check=False)
    lab.check(status in (removal.BLOCKED, removal.RESTORED), f"it should be refused: {status} {out}{err}")
    lab.check("swap" in out + err, f"it should be said why: {out}{err}")
    lab.sh(f"echo 0 > {pages}")
    lab.check(device[5:] in lab.sh("cat /proc/swaps"), "the swap should be in use as before")
    keeper.finish()
