# SPDX-License-Identifier: LGPL-2.1-or-later
"""A step that hangs in the kernel, where no signal ends it, on either way. Whatever becomes of its worker: nobody goes on before it has returned,
since it may take effect at any time."""

import json
import re

from harness import removal, storage
from harness.scenario import scenario

HANG = "/run/hang"
STEP = "disable-dax"
STOP_SEC = 300  # the unit's TimeoutStopSec=


def hang(lab):
    """From the file HANG on, whoever adds or removes memory hangs, as the drivers of dax devices do: the kernel tries for ever to take memory of
    another card offline that is pinned, with the lock taken that all of them need. Returns who is to be stopped for it to end."""
    other = lab.ram(3)
    lab.pinner("--node", "--size=65536", "--pipe", other.node)
    blocks = " ".join(map(str, other.block_numbers))
    lab.cleanup(lambda: lab.sh(f"rm -f {HANG}"))
    return lab.spawn("taker", f"until [ -e {HANG} ]; do sleep 0.02; done; "
                              f"for n in {blocks}; do echo offline > /sys/devices/system/memory/memory$n/state; done")


def prepare(lab):
    taker = hang(lab)
    return lab.ram(2), taker


def records(lab, number, event):
    lines = lab.sh(f"grep '\"ev\":\"{event}\"' {removal.STATE_DIR}/removals/{number}/journal || true").splitlines()
    return [json.loads(line) for line in lines]


def hangs(lab, pid):
    return lab.sh(f"cut -d ' ' -f 3 /proc/{pid}/stat 2> /dev/null || true") == "D"


# The same block in ten looks: the one that is pinned, and not one of those before it.
BEGINS = f"""touch {HANG}; timeout 60 sh -c 'n=0 last=; while [ $n -lt 10 ]; do sleep 0.1
        block=$(grep -lx going-offline /sys/devices/system/memory/memory*/state)
        [ -n "$block" ] && [ "$block" = "$last" ] && n=$((n + 1)) || n=0; last=$block; done'"""


def stands_still(lab, held):
    return lab.sh(f"cat /sys/fs/cgroup/lab.slice/{held.unit}/cgroup.freeze") == "1"


def hanging_writer(lab, number, written):
    """The process that is at this for the removal, once it hangs."""
    removal.wait_for_record(lab, number, written, 60)
    writer = next(each["pid"] for each in records(lab, number, "write") if written in each["what"])
    for _ in range(3):
        lab.wait_for(lambda: hangs(lab, writer), 60, f"{written} to hang")
    return writer


def begin(lab, *options, written="kmem/unbind", **settings):
    """A removal of slot 2 whose unbind hangs; (its number, the process that hangs)."""
    number, at = removal.last_id(lab) + 1, storage.step_number(lab, STEP, "2", *options)
    go = removal.drill(lab, f"before-{STEP}", **settings)
    lab.cli("remove", "2", "--no-wait", *options)
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', 90, then=f"{BEGINS} && {go}")
    lab.changed()  # somebody else is at the memory of the other card
    return number, hanging_writer(lab, number, written)


def begin_back(lab, **settings):
    """A removal of slot 2 that is called off, and on its way back the kernel does not come back from adding the memory."""
    number, at = removal.last_id(lab) + 1, storage.step_number(lab, "decommit-region", "2")
    go = removal.drill(lab, "decommit-region", **settings)
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', 90, then=f"{BEGINS} && {removal.call_off(number, 2, go)}")
    lab.changed()
    return number, hanging_writer(lab, number, "/bind")


def check_waits(lab, ram, number, writer):
    """The unbind hangs still; nothing was done after it, and nothing of the card was put back. (The slot and the policy may be.)"""
    lab.check(hangs(lab, writer), "the unbind should hang still: the scenario shows nothing otherwise")
    at = records(lab, number, "do")[-1]["n"]
    lab.equal([each["n"] for each in records(lab, number, "done") if each["n"] >= at], [], "what was done since")
    lab.equal([each["n"] for each in records(lab, number, "undone") if each["n"] > 1], [], "what of the card was put back")
    lab.equal(ram.online(), 0, "the blocks that were put back")


def check_waits_back(lab, ram, number, writer):
    """The same on the way back: what is after the step that hangs stays taken down."""
    lab.check(hangs(lab, writer), "the bind should hang still: the scenario shows nothing otherwise")
    at = records(lab, number, "undo")[-1]["n"]
    lab.equal([each["n"] for each in records(lab, number, "undone") if 1 < each["n"] <= at], [], "what was put back after it")
    lab.equal(ram.online(), 0, "the blocks that were put back")


def check_stuck(lab, number, writer):
    """It is told who writes, and nobody makes another plan meanwhile. Returns the end."""
    end = removal.wait_for_end(lab, number, 120)
    lab.equal(end["outcome"], "stuck", f"the ending ({end['message']})")
    lab.check(f"process {writer} still waits in the kernel" in end["message"], f"who writes still should be told: {end['message']}")
    stack = re.search(r"its kernel stack: ([\w.]+(?:, [\w.]+)*)", end["message"])
    there = lab.sh(f"cat /proc/{writer}/stack")
    lab.check(stack and any(name in there for name in stack[1].split(", ")), f"where it hangs should be told: {end['message']}; it is {there}")
    lab.equal(lab.wait_leds(2, attention="on").power_on, True, "whether the card has power")
    found = [each["what"] for each in storage.plan(lab, "2")["blockers"] if each["code"] == "STILL_WRITING"]
    lab.check(f"process {writer} " in str(found), f"a new plan should be blocked by who writes still: {found}")
    lab.equal(lab.cli("remove", "2", check=False)[0], removal.BLOCKED, "the exit status of another attempt")
    return end


def came_late(lab, number):
    """The write has come to its end after all: what removal `number` left down is put back by itself. Returns the end."""
    def found():
        return next((entry for entry in removal.history(lab) if entry["kind"] == "restore" and entry["of"] == str(number) and entry["ended"]), None)
    entry = lab.wait_for(found, 120, "the restoration that nobody asked for")
    lab.equal((entry["outcome"], entry["trigger"]), ("rebuilt", "late"), f"the ending ({entry['message']})")
    lab.check(lab.wait_leds(int(entry["slot"]), power="on", attention="off"), "the slot should say that nothing is wrong any more")
    return entry


def next_worker(lab, writer):
    return [pid for pid in lab.sh("pgrep -x safe-remove-wor || true").split() if int(pid) != writer]


@scenario("hanging-unbind-killed", timeout=300, turn=True)
def killed(lab):
    """The worker is killed, and the write has no end within its time: the next worker says so and leaves all as it is, and answers as
    quickly as ever. Once it has ended all is put back without anybody having asked."""
    ram, taker = prepare(lab)
    idle = removal.round_trips(lab)
    number, writer = begin(lab, WriteTimeoutSec=20)
    lab.sh("pkill -KILL -x safe-remove-wor")
    busy = removal.round_trips(lab)
    end = check_stuck(lab, number, writer)
    stuck = removal.round_trips(lab)
    lab.check(max(busy, stuck) <= 10 * idle, f"an answer took {busy} ms, and when it was stuck {stuck}; {idle} before")
    check_waits(lab, ram, number, writer)
    taker.stop()
    lab.sh(end["remedy"][0], timeout=60)
    came_late(lab, number)
    lab.equal((ram.online(), ram.zones()), (4, {"Movable"}), "the blocks online, and their zone")
    removal.policy(lab)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("hanging-unbind-goes-on", timeout=300, turn=True)
def goes_on(lab):
    """The worker is killed, and the write returns while the next one waits for that: the removal goes on, with the time that it began with. A
    reload meanwhile tells what is wrong in the files, and is for the next removal."""
    ram, taker = prepare(lab)
    number, writer = begin(lab)
    removal.policy(lab, WriteTimeoutSec=1, GraceSecs=9)
    lab.sh("systemctl reload safe-removed.service")
    wrong = f"{removal.POLICY_FILE}:3: key 'GraceSecs' is not known; did you mean GraceSec?"
    lab.wait_for(lambda: wrong in lab.journal("MESSAGE_ID=7725e63672204ce2875fb9fe22259b7c"), 60, "the mistake in the journal")
    code, _, told = lab.cli("policy", "check", check=False)
    lab.equal((code, told.strip()), (78, wrong), "what the check says")
    lab.check(f"# {removal.POLICY_FILE}\n[Removal]\nWriteTimeoutSec=1" in lab.cli("cat-config")[1], "the file should be shown")
    lab.sh("pkill -KILL -x safe-remove-wor")
    lab.wait_for(lambda: next_worker(lab, writer), 60, "the next worker")
    lab.wait_for(lambda: int(lab.sh(f"ps -o etimes= -p {next_worker(lab, writer)[0]}")) > 2, 60, "it to have waited for longer than the new time")
    lab.equal(lab.cli_json("status", "2", check=False)["state"], "working", "the state meanwhile")
    check_waits(lab, ram, number, writer)
    taker.stop()
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("safe", "done"), f"the ending ({end['message']})")
    removal.check_safe(lab, 2, ram)


@scenario("hanging-unbind-give-back", timeout=400, turn=True)
def give_back(lab):
    """The service is stopped in the middle of it, and somebody else has the lock of the machine: the slot is given back within the unit's stop
    time, and the next start puts back the rest, once the write has ended."""
    ram, taker = prepare(lab)
    number, writer = begin(lab)
    removal.policy(lab)
    other = lab.spawn("other", f"exec flock {removal.STATE_DIR}/lock sleep infinity")
    lab.sh("systemctl stop --no-block safe-removed.service")
    lab.wait_for(lab.slot(2).driver_bound, STOP_SEC, "the slot to be given back")
    lab.check(lab.wait_leds(2, power="on").power_on, "the card should have its power")
    check_waits(lab, ram, number, writer)
    other.stop()
    taker.stop()
    lab.wait_for(lambda: lab.sh("systemctl show -P ActiveState safe-removed.service") in ("inactive", "failed"), STOP_SEC, "the service to be down")
    lab.sh("systemctl start safe-removed.service")
    end = removal.wait_for_end(lab, number, 120)
    lab.equal(end["outcome"], "restored", f"the ending ({end['message']})")
    lab.equal(ram.online(), 4, "the blocks online")


@scenario("hanging-revert", timeout=300, turn=True)
def revert(lab):
    """The kernel does not come back from a step that is put back, for longer than that may take: nothing is put back after it."""
    ram, taker = prepare(lab)
    number, writer = begin_back(lab, WriteTimeoutSec=6)
    end = check_stuck(lab, number, writer)
    check_waits_back(lab, ram, number, writer)
    lab.sh("systemctl kill -s KILL safe-removed.service")  # the next one hears of it as well
    lab.wait_for(lambda: lab.sh("systemctl show -P ActiveState safe-removed.service") == "active", 60, "the daemon")
    taker.stop()
    lab.sh(end["remedy"][0], timeout=60)
    came_late(lab, number)
    lab.equal((ram.online(), ram.zones()), (4, {"Movable"}), "the blocks online, and their zone")
    removal.policy(lab)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("hanging-revert-killed", timeout=300, turn=True)
def revert_killed(lab):
    """The worker is killed, and the next one waits for what it was at: then all comes back."""
    ram, taker = prepare(lab)
    number, writer = begin_back(lab)
    removal.policy(lab)
    lab.sh("pkill -KILL -x safe-remove-wor")
    lab.wait_for(lambda: next_worker(lab, writer), 60, "the next worker")
    check_waits_back(lab, ram, number, writer)
    taker.stop()
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
    lab.equal((ram.online(), ram.zones()), (4, {"Movable"}), "the blocks online, and their zone")
    lab.check(lab.slot(2).driver_bound() and lab.slot(2).leds().power == "on", "the slot should be given back")


@scenario("hanging-unbind-unit", timeout=300, turn=True)
def unit(lab):
    """A unit was stopped for it, and somebody wants the card back meanwhile: it is not started as long as the kernel may take the device away, and
    runs again when all is put back."""
    device = lab.devdax(lab.ram(2, online="offline"))
    taker = hang(lab)
    user = lab.service("user", [lab.program("holder"), "--map=shared", device])
    lab.wait_for(user.main_pid, 30, "the unit to run")
    number, writer = begin(lab, written="device_dax/unbind")
    removal.policy(lab)
    lab.sh("pkill -KILL -x safe-remove-wor; safe-remove cancel 2 --no-wait")
    lab.wait_for(lambda: next_worker(lab, writer), 60, "the next worker")
    lab.equal((hangs(lab, writer), user.main_pid()), (True, 0), "whether the unbind hangs, the unit's process")
    taker.stop()
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
    lab.wait_for(user.main_pid, 30, "the unit to run again")
    lab.equal(lab.holder("--map=shared", device).look(), "ok", "a new mapping")


@scenario("hanging-forced-unbind", timeout=300, turn=True)
def forced_unbind(lab):
    """Whoever is losing his mapping by force stands still as long as the kernel is at it, which is told with his name, and runs on by himself
    when it has ended, though nobody goes on with the removal."""
    device = lab.devdax(lab.ram(2, online="offline"))
    taker = hang(lab)
    held = lab.holder("--stubborn", "--map=shared", device, properties=["SendSIGKILL=no", "TimeoutStopSec=2"])
    storage.rules(lab, ({"Unit": held.unit}, {"Action": "term", "TermSec": 2}))
    lab.cleanup(lambda: held.running() and held.signal("KILL"))
    number, writer = begin(lab, "--force=unmap", written="device_dax/unbind", WriteTimeoutSec=6)
    told = removal.wait_for_end(lab, number, 120)["message"], lab.cli("status", "2", check=False)[1], str(storage.plan(lab, "2")["blockers"])
    end = check_stuck(lab, number, writer)
    lab.equal((hangs(lab, writer), stands_still(lab, held)), (True, True), "whether the unbind hangs, and the holder stands still")
    for text in told:
        lab.check(held.unit in text and "stopped" in " ".join(text.split()), f"who stands still should be told: {text}")
    taker.stop()
    lab.wait_for(lambda: not stands_still(lab, held), 60, "the holder to run on")
    lab.equal((held.running(), held.look()), (True, "SIGBUS"), "running, and its bytes")
    lab.sh(end["remedy"][0], timeout=60)
    lab.equal([entry["kind"] for entry in removal.history(lab) if entry["kind"] == "restore" and entry["of"] == str(number)], [],
              "what was put back, with somebody who has the device open")
    removal.policy(lab)
    lab.cli("remove", "2", "--force=unmap")
    removal.check_safe(lab, 2)


@scenario("hanging-unmount", profile="mixed", timeout=300, turn=True)
def unmount(lab):
    """A volume under the file system answers nobody from the moment that it is unmounted: stuck, with where it hangs. Once it answers again all is
    mounted again, with what was written."""
    device = lab.disk(4)
    lab.sh(f"dmsetup create thin --table '0 '$(blockdev --getsz {device})' linear {device} 0'")
    disk = lab.filesystem("/dev/mapper/thin", "ext4", "/mnt/thin")
    wanted = disk.fill(mib=1)
    number, at = removal.last_id(lab) + 1, storage.step_number(lab, "unmount", "4")
    go = removal.drill(lab, "before-unmount", WriteTimeoutSec=5)
    lab.cleanup(lambda: lab.run("dmsetup resume thin", check=False))
    lab.cli("remove", "4", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', 90, then=f"echo more > /mnt/thin/more && dmsetup suspend --nolockfs thin && {go}")
    end = removal.wait_for_end(lab, number, 120)
    lab.equal(end["outcome"], "stuck", f"the ending ({end['message']})")
    lab.check("its kernel stack: " in end["message"], f"where it hangs should be told: {end['message']}")
    lab.sh("dmsetup resume thin")
    came_late(lab, number)
    lab.equal((disk.mounted(), disk.sum(), lab.sh("cat /mnt/thin/more")), (True, wanted, "more"), "mounted, and what is on it")
    removal.policy(lab)
    storage.take_out(lab, 4)


def worker_of(lab):
    """The process of the removal's worker, and not its helpers, which are its children."""
    def found():
        return next((int(pid) for pid in lab.sh("pgrep -x safe-remove-wor || true").split() if lab.sh(f"ps -o comm= -p $(ps -o ppid= -p {pid})") == "safe-remove-sta"), None)
    return lab.wait_for(found, 60, "the worker")


def begin_at(lab, step):
    """A removal of slot 2 that stands still before this step; (its number, the line that has it go on)."""
    number, at = removal.last_id(lab) + 1, storage.step_number(lab, step, "2")
    go = removal.drill(lab, f"before-{step}")
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, f'"ev":"do","n":{at},', 90)
    return number, go


@scenario("stopped-worker", timeout=300, turn=True)
def stopped_worker(lab):
    """Somebody stops the worker by a signal, in the middle of a removal: answers come as ever, and another one takes its place."""
    ram, idle = lab.ram(2), removal.round_trips(lab)
    number, go = begin_at(lab, STEP)
    worker = worker_of(lab)
    lab.sh(f"kill -STOP {worker}")
    busy = removal.round_trips(lab)
    lab.check(busy <= 10 * idle, f"an answer took {busy} ms; {idle} before")
    lab.wait_for(lambda: worker_of(lab) != worker, 60, "the next worker")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)


@scenario("traced-worker", timeout=300, turn=True)
def traced_worker(lab):
    """A debugger holds the worker, and has its end for himself when it is killed: stuck in time, with the step and who that is. Once he is gone all is
    put back, without anybody having asked."""
    lab.ram(2)
    before = removal.Picture.take(lab)
    number, go = begin_at(lab, STEP)
    worker = worker_of(lab)
    lab.write("/run/tracer.py", f"""import ctypes, time
libc = ctypes.CDLL(None)
print("holds" if libc.ptrace(0x4206, {worker}, None, None) == 0 == libc.ptrace(0x4207, {worker}, None, None) else "cannot", flush=True)
time.sleep(1000)
""")
    tracer = lab.spawn("tracer", "exec python3 /run/tracer.py")
    tracer.wait_for_output("holds")
    lab.wait_for(lambda: lab.cli_json("status", "2", check=False).get("outcome") == "stuck", 90, "it to be stuck")
    status = lab.cli_json("status", "2", check=False)
    lab.check(f"process {tracer.pid}, which traces it" in str(status) and STEP in str(status), f"who and where should be told: {status}")
    leds = lab.wait_leds(2, attention="on")
    lab.check(leds.power_on and not leds.safe, f"the lights: {leds}")
    lab.sh(go)
    tracer.stop()
    end = removal.wait_for_end(lab, number)
    lab.equal(end["outcome"], "restored", f"the ending ({end['message']})")
    removal.check_untouched(lab, 2, before)
    removal.policy(lab)
