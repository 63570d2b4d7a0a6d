# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every way to hold what is on a card: the plan names all of them beforehand, and the removal ends them."""

from harness import holder, removal, storage
from harness.scenario import scenario

# Name -> options of the holder, the way it should be named by, and how the path ends that should be told with it.
WAYS = {
    "shared": (["--map=shared"], "mapping", "/shared"),
    "private": (["--map=private"], "mapping", "/private"),
    "sync": (["--map=sync"], "mapping", "/sync"),
    "closed": (["--map=shared", "--close"], "mapping", "/closed"),
    "deleted": (["--map=shared", "--close", "--delete"], "mapping", "/deleted (deleted)"),
    "split": (["--map=shared", "--close", "--split"], "mapping", "/split"),
    "moved": (["--map=shared", "--close", "--move"], "mapping", "/moved"),
    "forked": (["--map=shared", "--close", "--fork"], "mapping", "/forked"),
    "opened": ([], "descriptor", "/opened"),
    "open-deleted": (["--delete"], "descriptor", "/open-deleted (deleted)"),
    "thread": (["--thread"], "descriptor", "/thread"),
    "clone": (["--clone-mount"], "descriptor", ""),
    "cwd": (["--cwd"], "cwd", "/cwd"),
    "thread-cwd": (["--thread", "--cwd"], "cwd", "/thread-cwd"),
    "root": (["--root"], "root", "/root"),
}
FOLDERS = ("clone", "cwd", "thread-cwd", "root")


def start_all(lab, disk):
    for name in WAYS:
        lab.sh(f"{'mkdir' if name in FOLDERS else 'touch'} {disk.target}/{name}")
    return {name: lab.holder(*options, f"{disk.target}/{name}", name=name) for name, (options, _, _) in WAYS.items()}


def run_from(lab, disk):
    """A program that is on the card itself."""
    lab.sh(f"cp {lab.program('holder')} {disk.target}/program")
    return holder.Holder(lab.guest, [], "program", program=f"{disk.target}/program")


def check_named(lab, named, started, way, path):
    for pid in started.pids:
        lab.check(pid in named, f"process {pid} of {started.name} should be named: {sorted(named)}")
        lab.equal(named[pid]["unit"], started.unit, f"the unit of {started.name}")
        found = [hold for hold in named[pid]["holds"] if hold["way"] == way and (hold["path"] or "").endswith(path)]
        lab.check(found, f"{started.name} should be named by {way} of {path}: {named[pid]['holds']}")
        lab.check(found[0]["found"], f"it should be told how {started.name} was found: {found}")


def seen_by(lab, tool, target):
    """The processes that an administrator's tool finds."""
    command = {"fuser": f"fuser -m {target} 2> /dev/null", "lsof": f"lsof -t {target} 2> /dev/null"}[tool]
    return {int(word) for word in lab.sh(f"{command} || true").split()}


@scenario("holders-every-way", profile="mixed", timeout=300)
def every_way(lab):
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    started = start_all(lab, disk)
    started["program"] = run_from(lab, disk)
    plan = storage.plan(lab, "3")
    named = storage.holders(plan)
    for name, running in started.items():
        _, way, path = WAYS.get(name, (None, "program", "/program"))
        check_named(lab, named, running, way, path)
    lab.equal(set(named), {pid for running in started.values() for pid in running.pids}, "the processes named")
    text = lab.cli("plan", "3")[1]
    for running in started.values():
        lab.check(running.unit in text and str(running.pids[0]) in text, f"the printed plan should name {running.unit}: {text}")
    for tool in ("fuser", "lsof"):
        missed = [name for name, running in started.items() if not set(running.pids) <= seen_by(lab, tool, disk.target)]
        print(f"     ({tool} -m {disk.target} misses: {', '.join(missed) or 'none'})", flush=True)
    storage.take_out(lab, 3)
    for running in started.values():
        lab.check(running.status() in ("0", "TERM"), f"{running.name} should have been asked to end: {running.status()}")


PROBE = "/sys/kernel/tracing/kprobe_events"


@scenario("holders-by-program", profile="mixed", timeout=300)
def by_program(lab):
    """Among many processes a program in the kernel says who need not be looked at: the plan names the same with it and without."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    started = start_all(lab, disk)
    started["program"] = run_from(lab, disk)
    lab.write("/run/lab-crowd-begin", "i=0; while [ $i -lt 500 ]; do sleep 9999 & i=$((i+1)); done; touch /run/lab-crowd; wait\n")
    lab.sh("systemd-run --quiet --unit=lab-crowd sh /run/lab-crowd-begin")
    lab.cleanup(lambda: lab.sh("systemctl stop lab-crowd; rm -f /run/lab-crowd"))
    lab.guest.wait_for("test -e /run/lab-crowd", 60)
    lab.sh(f"echo 'p:lab bpf_iter_new_fd' > {PROBE} && echo 1 > /sys/kernel/tracing/events/kprobes/lab/enable")
    lab.cleanup(lambda: lab.sh(f"echo 0 > /sys/kernel/tracing/events/kprobes/lab/enable; echo > {PROBE}"))

    def looked():
        """The holders of a plan, and how many programs went through the processes for it."""
        lab.sh("echo > /sys/kernel/tracing/trace")
        made = storage.holders(storage.plan(lab, "3"))
        return made, int(lab.sh("grep -c 'lab:' /sys/kernel/tracing/trace || true"))

    with_program, ran = looked()
    lab.check(ran > 0, "the kernel should have been given a program")
    library = lab.sh("ls /usr/lib/*/libbpf.so.1").strip()
    lab.sh(f"mount --bind /dev/null {library}")
    lab.cleanup(lambda: lab.sh(f"umount {library}"))
    without, ran = looked()
    lab.equal(ran, 0, "programs run without the library")
    lab.equal(with_program, without, "the holders named with the program and without")
    for name, running in started.items():
        _, way, path = WAYS.get(name, (None, "program", "/program"))
        check_named(lab, with_program, running, way, path)


@scenario("holders-own-namespace", profile="mixed", turn=True)
def own_namespace(lab):
    """The host has unmounted it long ago; a service with a mount namespace of its own still has it."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    inside = lab.holder("--own-namespace", "--map=shared", "--close", f"{disk.target}/file", name="inside")
    disk.umount()
    check_named(lab, storage.holders(storage.plan(lab, "3")), inside, "mapping", "/file")
    storage.take_out(lab, 3)
    lab.check(not inside.running(), "the holder should have ended")


@scenario("holders-namespace-without-process", profile="mixed", turn=True)
def namespace_without_process(lab):
    """A mount namespace that only a bind mount keeps has the file system mounted: nobody to end, but a place to unmount."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    lab.sh("touch /run/lab-ns && mount --bind /run /run && mount --make-private /run && unshare --mount=/run/lab-ns --propagation private true")
    lab.cleanup(lambda: lab.sh("umount /run/lab-ns; umount /run; rm -f /run/lab-ns"))
    disk.umount()
    lab.check("unmount" in storage.step_names(storage.plan(lab, "3")), "the plan should have an unmount")
    storage.take_out(lab, 3)


@scenario("holders-devdax", profile="mixed")
def devdax(lab):
    """A device without a file system: mapped, mapped and closed, and only inherited."""
    device = lab.pmem(3).namespace("devdax").device
    started = {name: lab.holder("--map=shared", *options, device, name=name)
               for name, options in (("open", []), ("closed", ["--close"]), ("forked", ["--close", "--fork"]))}
    named = storage.holders(storage.plan(lab, "3"))
    for running in started.values():
        check_named(lab, named, running, "mapping", device)
    storage.take_out(lab, 3)
    for running in started.values():
        lab.check(not running.running(), f"{running.name} should have ended")
    lab.equal(lab.sh("ls -a /dev | grep dax || true"), "", "what is left of the device's node")


@scenario("holders-devdax-ram", profile="mixed", turn=True)
def devdax_ram(lab):
    """Volatile memory as a device: the same, and the card gives memory afterwards."""
    running = lab.holder("--map=shared", "--close", lab.devdax(lab.ram(2, online="offline")), name="mapper")
    check_named(lab, storage.holders(storage.plan(lab, "2")), running, "mapping", "dax0.0")
    storage.take_out(lab, 2)
    lab.check(not running.running(), "the holder should have ended")
    lab.slot(2).insert()
    removal.check_card_works(lab, 2)


@scenario("holders-bar", turn=True)
def bar(lab):
    """The memory of an ordinary card's function, mapped straight from sysfs as long as no driver of the kernel has it."""
    function = f"/sys/bus/pci/devices/{lab.slot(4).bdf()}"
    lab.check("end-holders" not in storage.step_names(storage.plan(lab, "4")), "with a driver nobody else can have it")
    lab.sh(f"echo {function.rsplit('/', 1)[1]} > {function}/driver/unbind")
    mapper = lab.holder("--map=shared", "--close", "--size=4096", f"{function}/resource4", name="mapper")
    other = lab.holder(f"{function}/config", name="other")
    named = storage.holders(storage.plan(lab, "4"))
    check_named(lab, named, mapper, "mapping", "/resource4")
    lab.equal(list(named), mapper.pids, "the processes named")
    storage.take_out(lab, 4)
    lab.check(mapper.status() in ("0", "TERM"), f"the mapper should have been asked to end: {mapper.status()}")
    lab.check(other.running(), "who has nothing of its memory should have been left alone")


@scenario("holders-ring", profile="mixed")
def ring(lab):
    """A raw disk that only an io_uring has open: no exclusive open would tell of that, and its user is ended like any other. (6.12 tells the
    last component of the name.)"""
    disk = lab.disk(4)
    user = lab.holder("--ring", disk, name="ring")
    check_named(lab, storage.holders(storage.plan(lab, "4")), user, "descriptor", disk.rsplit("/", 1)[-1])
    storage.take_out(lab, 4)
    lab.check(user.status() in ("0", "TERM"), f"the user should have been asked to end: {user.status()}")


@scenario("holders-ring-file", profile="mixed", turn=True)
def ring_file(lab):
    """A file that only an io_uring has open keeps its file system from being unmounted. The service finds it by the path that the kernel tells, as
    far as it tells one (6.12: the last component alone)."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    disk.fill(mib=1)
    user = lab.holder("--ring", f"{disk.target}/content", name="ring")
    told = lab.sh(f"cat /proc/{user.pid}/fdinfo/*")
    if f": {disk.target}/content" not in told:
        lab.check(": content" in told, f"the kernel should tell some name: {told}")
        return
    check_named(lab, storage.holders(storage.plan(lab, "3")), user, "descriptor", f"{disk.target}/content")
    storage.take_out(lab, 3)
    lab.check(user.status() in ("0", "TERM"), f"the user should have been asked to end: {user.status()}")


@scenario("holders-socket-apart", profile="mixed", turn=True)
def socket_apart(lab):
    """A socket that is bound to a file of the card, by somebody with a network of his own: the service asks there, and the look is complete."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    user = lab.holder("--socket", f"{disk.target}/socket", name="socket", properties=("PrivateNetwork=yes",))
    made = storage.plan(lab, "3")
    lab.check(made["holders_complete"], f"every process should have been looked at: {made['warnings']}")
    check_named(lab, storage.holders(made), user, "descriptor", "/socket")
    storage.take_out(lab, 3)
    lab.check(not user.running(), "the user should have ended")


@scenario("holders-unseen", profile="mixed", timeout=300, turn=True)
def unseen(lab):
    """What no look finds, the file system's refusal to go does: nothing is torn away, all is put back, and it is said."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    wanted = disk.fill(mib=1)
    hidden = lab.holder("--in-flight", f"{disk.target}/content", name="hidden")
    before = storage.StoragePicture.take(lab)
    status, out, err = lab.cli("remove", "3", check=False)
    lab.equal(status, removal.RESTORED, f"the exit status ({out}{err})")
    lab.check(disk.target in out + err, f"it should be said what is busy: {out}{err}")
    storage.check_as_before(lab, before)
    lab.equal(disk.sum(), wanted, "what is on the card")
    lab.check(hidden.running(), "a holder that nobody saw should not have been ended")
    hidden.stop()
    storage.take_out(lab, 3)


def hang(lab, name, used, properties=()):
    """A process that hangs with its memory locked: whoever asks what it has mapped hangs as well. It goes on once the returned function is called."""
    program, folder = lab.program("stand"), f"/mnt/mute-{name}"
    lab.sh(f"modprobe fuse && mkdir -p {folder}")
    lab.spawn(f"mute-{name}", f"exec {program} mute {name} {folder}").wait_for_output("ready")
    lab.cleanup(lambda: lab.run(f"touch /run/stand/{name}.go; umount -l {folder}; rm -rf /run/stand", check=False))
    process = lab.spawn(f"hang-{name}", f"exec {program} locks {name} {used} {folder}/file", properties)
    process.wait_for_output("ready")
    lab.wait_for(lambda: lab.sh(f"cut -d ' ' -f 3 /proc/{process.pid}/stat") == "D", 30, "the process to hang in the kernel")
    return process.pid, lambda: lab.sh(f"touch /run/stand/{name}.go")


@scenario("holders-hang-stranger", profile="mixed", timeout=300, turn=True)
def hang_stranger(lab):
    """Somebody who has nothing to do with any card, and hangs so that nobody can see that: file system and kernel say that they are free."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    pid, _ = hang(lab, "stranger", "-", ("User=nobody",))
    lab.wait_for(lambda: f"process {pid} " in str(storage.plan(lab, "3")["warnings"]), 60, "who could not be looked at to be named")
    lab.sh(f"touch {disk.target}/content")
    running = lab.holder(f"{disk.target}/content", name="user")
    storage.take_out(lab, 3)
    lab.check(not running.running(), "who used the card should have ended")
    storage.take_out(lab, 2)
    lab.equal(lab.sh(f"cut -d ' ' -f 3 /proc/{pid}/stat"), "D", "the state of who hangs")


@scenario("holders-hang-devdax", profile="mixed", timeout=300, turn=True)
def hang_devdax(lab):
    """The same for a device without a file system: where the kernel counts a user it may be who hangs, and all stays; where it counts none, it
    goes."""
    device = lab.devdax(lab.ram(2, online="offline"))
    pid, go_on = hang(lab, "user", device)
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", check=False, timeout=180)
    lab.equal(status, removal.RESTORED, f"the exit status ({out}{err})")
    lab.check(f"process {pid} " in out + err and "hangs in the kernel" in out + err, f"who may use it should be told: {out}{err}")
    removal.check_untouched(lab, 2, before)
    go_on()
    lab.wait_for(lambda: lab.run(f"test -e /proc/{pid}", check=False)[0] != 0, 30, "who used it to end")
    hang(lab, "stranger", "-", ("User=nobody",))
    storage.take_out(lab, 2)


@scenario("holders-names", profile="mixed", timeout=300, turn=True)
def names(lab):
    """Names are any bytes: a mount, a file and a process that are no UTF-8 are told, found again, ended, and put back."""
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    wanted = disk.fill(mib=1)
    place, file = r"$(printf '/mnt/caf\351 1')", rf"$(printf '{disk.target}/f\377le')"
    lab.sh(f'mkdir "{place}" && mount --bind {disk.target} "{place}" && touch "{file}"')
    lab.cleanup(lambda: lab.sh(f'umount -l "{place}"; rmdir "{place}"; true'))
    odd = lab.spawn("odd", rf"""exec 3< "{file}"; printf '\200x' > /proc/self/comm; echo ready; while :; do sleep 1 3<&-; done""")
    odd.wait_for_output("ready")
    before = storage.StoragePicture.take(lab)

    named = list(storage.holders(storage.plan(lab, "3")).values())
    lab.equal([(each["comm"], each["holds"][0]["path"]) for each in named], [("\uf780x", f"{disk.target}/f\uf7ffle")], "who holds what")
    lab.check("f\ufffdle" in lab.cli("plan", "3")[1], "the plan for people should name it as far as it can be shown")
    storage.call_off_late(lab, 3)
    storage.check_as_before(lab, before)
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    storage.check_as_before(lab, before)
    lab.equal(lab.sh(f'sha256sum < "{place}/content"').split()[0], wanted, "what is on the card")


@scenario("holders-mapper-bomb", profile="mixed", timeout=300)
def mapper_bomb(lab):
    """A new mapper every 10 ms, by a process that itself holds nothing: none slips through."""
    region = lab.pmem(3)
    disk = lab.filesystem(region.namespace().device)
    device = region.namespace("devdax").device
    lab.sh(f"truncate -s 4096 {disk.target}/file")
    bombs = [lab.spawn(f"bomb{number}", [lab.program("mapper-bomb"), path])
             for number, path in enumerate((f"{disk.target}/file", device))]
    for bomb in bombs:
        lab.wait_for(lambda: bomb.output().count("made=") > 1, 30, "mappers")  # pylint: disable=cell-var-from-loop
    # Whoever holds nothing at any look is not ended for it; it finds nothing to map any more.
    storage.take_out(lab, 3)
