# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whoever was held up for a removal that is called off runs on: also those who are hard to stop, and harder to set going again. What others had
frozen or stopped before stays so."""

from harness import removal, storage
from harness.scenario import scenario

SLICE = "/sys/fs/cgroup/lab.slice"
# A login session: nobody freezes it as a whole, so that its processes are stopped one by one.
SESSION = f"{SLICE}/session-98.scope"
HAND = f"{SLICE}/lab-hand.scope"
MUTE = "/mnt/mute"

# Who counts at once, and who only when what the process waits for has come (guest/stand).
KINDS = {"vfork": (["child"], ["main"]), "vfork-thread": (["child", "thread"], ["main"]), "leader-ended": (["thread"], []),
         "traced": ([], ["main"])}


def into(group):
    """Whoever says this goes into that group."""
    return f"mkdir -p {group} && echo $$ > {group}/cgroup.procs"


def session(lab):
    lab.sh(f"mkdir -p {SESSION}")
    lab.cleanup(lambda: lab.run(f"echo 1 > {SESSION}/cgroup.kill; rm -rf /run/stand", check=False))


def stand(lab, kind, used, *more, name=None, group=SESSION):
    """Begins one of them; `used` is a node, or a file. Without a group it stays in its unit."""
    command = f"exec {lab.program('stand')} {kind} {name or kind} {used} {' '.join(map(str, more))}"
    running = lab.spawn(f"stand-{name or kind}", f"{into(group)} && {command}" if group else command)
    running.wait_for_output("holds" if kind == "traced" else "ready")
    return running


def count_of(lab, name, who):
    return int(lab.sh(f"cat /run/stand/{name}.{who} 2> /dev/null || true") or 0)


def check_counts(lab, name, *who):
    """Each of them counts from here on."""
    for each in who:
        before = count_of(lab, name, each)
        lab.wait_for(lambda: count_of(lab, name, each) > before, 60, f"{each} of {name} to count on from {before}")  # pylint: disable=cell-var-from-loop


def check_runs_on(lab, kinds):
    """What counted counts on; then what the others wait for comes, and they do too."""
    for kind, (at_once, behind) in kinds.items():
        check_counts(lab, kind, *at_once)
        lab.sh(f"touch /run/stand/{kind}.go")
        check_counts(lab, kind, *behind)


def held_up(lab):
    """The processes and groups that the newest removal has written down before it held them up."""
    return lab.sh(f"grep '\"ev\":\"note\"' {removal.STATE_DIR}/removals/{removal.last_record(lab)}/journal")


def freeze_memory(lab, *units):
    """The administrator's word: whose memory moves does not run meanwhile."""
    storage.rules(lab, *(({"Unit": unit, "Kind": "memory"}, {"Action": "freeze"}) for unit in units))


@scenario("frozen-and-restored", timeout=300, turn=True)
def and_restored(lab):
    """Stopped one by one: a process without its first thread, one that its tracer holds, one that its tracer keeps going, and one that somebody
    continues again and again."""
    ram = lab.ram(2)
    session(lab)
    freeze_memory(lab, "session-98.scope")
    kinds = {"leader-ended": (["thread"], []), "traced": ([], ["main"]), "let-go": (["main"], []), "plain": (["main"], [])}
    pids = {kind: stand(lab, kind, ram.node).pid for kind in kinds}
    continuer = stand(lab, "continue", pids["plain"], group=None)
    storage.call_off_at(lab, storage.offline_step(lab))
    notes = held_up(lab)
    for kind in ("leader-ended", "plain"):
        lab.check(f":{pids[kind]}," in notes, f"{kind} should have been stopped: {notes}")
    lab.check(f'"let_be":{pids["plain"]},' in notes, f"who is continued again and again should have been let be: {notes}")
    lab.check(continuer.running(), "the others should have been left alone")
    check_runs_on(lab, kinds)


@scenario("frozen-vfork", timeout=300, turn=True)
def vfork(lab):
    """A parent that waits in the kernel for its child, which is stopped like itself: it does not come out of the kernel, nobody who calls the
    removal off waits for that, and both run on. The same with another thread, whose first one waits."""
    ram = lab.ram(2)
    session(lab)
    freeze_memory(lab, "session-98.scope")
    for kind in ("vfork", "vfork-thread"):
        running = stand(lab, kind, ram.node)
        check_counts(lab, kind, "child")
        number = removal.last_id(lab) + 1
        lab.cli("remove", "2", "--no-wait")
        removal.wait_for_record(lab, number, f'"pid":{running.pid},', then="safe-remove cancel 2 --no-wait")
        end = removal.wait_for_end(lab, number, 60)
        lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), f"the ending ({end['message']})")
        check_runs_on(lab, {kind: KINDS[kind]})
        running.stop()


@scenario("frozen-unit-and-restored", timeout=300, turn=True)
def unit_and_restored(lab):
    """The same by the freezer of their units."""
    ram = lab.ram(2)
    session(lab)
    freeze_memory(lab, "lab-stand-*")
    for kind in KINDS:
        stand(lab, kind, ram.node, group=None)
    storage.call_off_at(lab, storage.offline_step(lab))
    notes = held_up(lab)
    for kind in ("vfork", "vfork-thread", "leader-ended"):
        lab.check(f'"unit":"lab-stand-{kind}.service"' in notes, f"the unit of {kind} should have been frozen: {notes}")
    check_runs_on(lab, KINDS)


@scenario("frozen-waits-for-a-server", timeout=300, turn=True)
def waits_for_a_server(lab):
    """A process that waits for a file server in user space, which does not answer: it cannot be stopped, the removal is called off, and when
    the answer comes it runs on, as do those that could be stopped."""
    ram = lab.ram(2)
    session(lab)
    freeze_memory(lab, "session-98.scope")
    lab.sh(f"modprobe fuse && mkdir -p {MUTE}")
    stand(lab, "mute", MUTE, group=None)
    lab.cleanup(lambda: lab.run(f"umount -l {MUTE}", check=False))
    stand(lab, "plain", ram.node)
    reader = stand(lab, "reads", ram.node, f"{MUTE}/file")
    lab.wait_for(lambda: "fuse" in lab.sh(f"cat /proc/{reader.pid}/stack || true") or "request_wait" in lab.sh(f"cat /proc/{reader.pid}/wchan"), 30,
                 "the reader to wait for the server")
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.RESTORED, f"the exit status ({out}{err})")
    lab.check(f"process {reader.pid} " in out + err and "hangs in the kernel" in out + err, f"who cannot be stopped should be told: {out}{err}")
    check_counts(lab, "plain", "main")
    lab.sh("touch /run/stand/mute.go")
    check_counts(lab, "reads", "main")


def is_frozen(lab, group):
    return "frozen 1" in lab.sh(f"cat {group}/cgroup.events")


def freeze_all(lab, unit, group):
    """By an administrator: a unit as the manual says, and a group by hand."""
    lab.sh(f"systemctl freeze {unit} && echo 1 > {group}/cgroup.freeze")
    lab.wait_for(lambda: is_frozen(lab, group), 30, "the group to be frozen")


def check_frozen(lab, unit, group):
    lab.equal(lab.sh(f"systemctl show -P FreezerState {unit}"), "frozen", f"what the manager says of {unit}")
    for each in (f"{SLICE}/{unit}", group):
        lab.check(is_frozen(lab, each), f"{each} should be frozen still")
    lab.sh(f"systemctl thaw {unit} && echo 0 > {group}/cgroup.freeze")


@scenario("frozen-by-others", timeout=300, turn=True)
def by_others(lab):
    """What an administrator had frozen or stopped before stays so, and runs on when he says so."""
    ram = lab.ram(2)
    session(lab)
    freeze_memory(lab, "session-98.scope", "lab-hand.scope", "lab-stand-unit.service")
    unit = stand(lab, "plain", ram.node, name="unit", group=None).unit
    stand(lab, "plain", ram.node, name="hand", group=HAND)
    stopped = stand(lab, "plain", ram.node, name="stopped")
    freeze_all(lab, unit, HAND)
    lab.sh(f"kill -STOP {stopped.pid}")
    storage.call_off_at(lab, storage.offline_step(lab))
    lab.equal(lab.sh(f"cut -d ' ' -f 3 /proc/{stopped.pid}/stat"), "T", "the state of the process that was stopped")
    check_frozen(lab, unit, HAND)
    lab.sh(f"kill -CONT {stopped.pid}")
    for name in ("unit", "hand", "stopped"):
        check_counts(lab, name, "main")


@scenario("frozen-by-others-ended", profile="mixed", timeout=300, turn=True)
def by_others_ended(lab):
    """One of a frozen unit's processes uses the card and is ended, for which all of them have to be thawed: when the removal is called off after
    that, the others are frozen again."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    session(lab)
    storage.rules(lab, ({"Unit": "lab-*"}, {"Action": "term"}))
    program = lab.program("stand")
    both = f"{program} plain {{0}}-user {disk.target}/{{0}} & exec {program} plain {{0}} /run/{{0}}"
    unit = lab.spawn("unit", both.format("unit")).unit
    lab.spawn("hand", f"{into(HAND)}; {both.format('hand')}")
    for name in ("unit", "unit-user", "hand", "hand-user"):
        check_counts(lab, name, "main")
    freeze_all(lab, unit, HAND)
    end = storage.call_off_late(lab, 3)
    lab.equal(len([line for line in end["lost"] if "was ended" in line]), 2, f"the processes that were ended ({end['lost']})")
    check_frozen(lab, unit, HAND)
    for name in ("unit", "hand"):
        check_counts(lab, name, "main")


@scenario("frozen-not-and-killed", profile="mixed", timeout=400, turn=True)
def not_and_killed(lab):
    """Three users of a card whom nobody can hold up: an unprivileged user has each wait for a file server of his own that never answers. One is in a
    unit with somebody who stands still, two in a login session. Without the word they are in the way, with it they are killed."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    session(lab)
    storage.rules(lab, ({"Unit": "lab-*"}, {"Action": "term", "TermSec": 2}), ({"Unit": "session-98.scope"}, {"Action": "term", "TermSec": 2}))
    lab.sh(f"modprobe fuse && mkdir -p {MUTE} /run/stand && chmod 1777 {disk.target}")
    alone = f"setpriv --reuid=nobody --regid=nogroup --clear-groups {lab.program('stand')} alone {{0}} {disk.target}/{{0}} {MUTE}"
    unit = lab.spawn("unit", f"sleep infinity > {disk.target}/sleeper & exec {alone.format('unit')}", ("SendSIGKILL=no",))
    users = [unit] + [lab.spawn(name, f"{into(SESSION)} && exec {alone.format(name)}") for name in ("first", "second")]
    for each in users:
        each.wait_for_output("ready")
        lab.wait_for(lambda: lab.sh(f"cut -d ' ' -f 3 /proc/{each.pid}/stat") == "D", 30, f"{each.unit} to wait")  # pylint: disable=cell-var-from-loop
    status, out, err = lab.cli("remove", "3", check=False, timeout=180)
    lab.equal(status, removal.RESTORED, f"the exit status ({out}{err})")
    lab.check("hangs in the kernel" in out + err, f"why it is called off should be told: {out}{err}")
    lab.cli("remove", "3", "--force=kill", timeout=240)
    removal.check_safe(lab, 3)
    for each in users:
        lab.check(not lab.sh(f"cat /proc/{each.pid}/comm 2> /dev/null || true"), f"{each.unit} should be gone")
