# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mounts in mounts, in containers and sandboxes, on demand, and those that nothing could put back."""

import time

from harness import programs, removal, storage
from harness.scenario import scenario


def finding(lab, code, kind="blockers"):
    """What the plan says under this code about slot 3."""
    found = [each for each in storage.plan(lab, "3")[kind] if each["code"] == code]
    lab.check(found, f"there should be {code}")
    return found[0]


def clear(lab, code):
    """A removal is refused before anything is touched, and the remedy, pasted, takes that away."""
    remedy = finding(lab, code)["remedy"][0]
    lab.equal(lab.cli("remove", 3, check=False)[0], removal.BLOCKED, "the exit status of an attempt")
    lab.sh(remedy)
    lab.check(code not in storage.codes(storage.plan(lab, "3")), f"'{remedy}' should have taken {code} away")


@scenario("mounts-in-each-other", profile="mixed", timeout=300)
def in_each_other(lab):
    """Two file systems of the card, each mounted in a folder of the other: refused, parted by the remedy; then the inner one goes first, and
    both are back as they were. The daemon, which has a mount namespace of its own, has none of them in it."""
    region = lab.pmem(3)
    one = lab.filesystem(region.namespace().device, "ext4", target="/mnt/one")
    two = lab.filesystem(region.namespace().device, "ext4", target="/mnt/two")
    lab.sh(f"mkdir /mnt/one/two /mnt/two/one && mount {two.device} /mnt/one/two && mount {one.device} '/mnt/two/one'")
    wanted = [one.fill(mib=1), two.fill(mib=1)]
    # An unmount would not come through to a copy of a private mount.
    lab.sh("mkdir -p /run/private && mount --bind /mnt/one /run/private && mount --make-private /run/private && systemctl restart safe-removed.service")
    lab.cleanup(lambda: lab.run("umount /run/private; rmdir /run/private", check=False))
    mounts = lab.sh("cat /proc/$(systemctl show -P MainPID safe-removed.service)/mountinfo")
    lab.equal([line for line in mounts.splitlines() if "/mnt" in line or "/run/private" in line or one.device in line], [], "the daemon's own mounts")
    users = [lab.holder("/mnt/two/content", name="two"), lab.holder("/mnt/one/content", name="one")]
    clear(lab, "MOUNT_LOOP")
    named = storage.holders(storage.plan(lab, "3"))
    for user in users:
        lab.check(user.pids[0] in named, f"{user.name} should be named")
    before = storage.StoragePicture.take(lab)
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    storage.check_as_before(lab, before)
    lab.equal([one.sum(), two.sum()], wanted, "what is on them")


# What a container engine does: an overlay, its folders told from where it stands, a namespace with that as its root, and in it its own
# /proc and what it has of the host's.
CONTAINER = """
cd {engine} && mkdir -p l/A c/diff c/work c/merged && cd l/A && mkdir -p usr proc old dev data && ln -s usr/bin usr/lib usr/lib64 usr/sbin . && cd {engine}
mount -t overlay overlay -o lowerdir=l/A,upperdir=c/diff,workdir=c/work {engine}/c/merged
exec unshare --mount --pid --fork --kill-child --propagation private sh -c '
        cd {engine}/c/merged && mount --rbind /usr usr && mount -t proc proc proc && mount -t tmpfs tmpfs dev && mount --bind {engine}/volume data &&
        echo written > data/file && pivot_root . old && cd / && umount -l /old && echo inside= &&
        trap exit TERM; sleep 1000 & wait'
"""


@scenario("mounts-container", profile="mixed", timeout=300, turn=True)
def container(lab):
    """A container whose root is an overlay on the card goes as a whole, with all that is mounted in it."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    engine = f"{disk.target}/engine"
    lab.sh(f"mkdir -p {engine}/volume {engine}/netns && touch {engine}/netns/one")
    running = lab.spawn("container", CONTAINER.format(engine=engine))
    running.wait_for_output("inside=")
    lab.sh(f"unshare --net={engine}/netns/one true")
    made = storage.plan(lab, "3")
    lab.equal(made["verdict"], "ready", f"the verdict ({made['blockers']})")
    lab.equal(len([each for each in made["warnings"] if each["code"] == "NO_WAY_BACK"]), 2, "an overlay and a name of a namespace that do not come back")
    storage.take_out(lab, 3)
    lab.check(not running.running(), "the container should have ended")
    storage.put_back(lab, 3)
    lab.equal(lab.sh(f"cat {engine}/volume/file"), "written", "what the container wrote")


@scenario("mounts-locked", profile="mixed", timeout=300, turn=True)
def locked(lab):
    """A sandbox of an ordinary user has a copy of the mount, which nobody can take from it: told before anything is taken."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    wanted = disk.fill(mib=1)
    sandbox = lab.spawn("sandbox", "setpriv --reuid=1000 --regid=1000 --clear-groups unshare --user --map-root-user --mount "
                                   "sh -c 'echo inside=; exec sleep 1000'")
    sandbox.wait_for_output("inside=")
    lab.check("sandbox" in finding(lab, "LOCKED_MOUNT")["remedy"][0], "the remedy should name its unit")
    clear(lab, "LOCKED_MOUNT")
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on it")


# The emulated machine takes some 30 a second.
MANY = 200


def binder(lab, name, user, arguments):
    """Whoever has the file system in places of his own, in a namespace that follows the machine's."""
    program = programs.provide(lab.guest, "siege")
    running = lab.spawn(name, f"setpriv --reuid={user} --regid={user} --clear-groups {program} binds {arguments}")
    running.wait_for_output("ready", 120)
    return running


@scenario("mounts-many", profile="mixed", timeout=300, turn=True)
def many(lab):
    """An ordinary user has many mounts of it in a namespace of his own, and another one has one: all of them go."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    lab.cleanup(lambda: lab.sh("rm -rf /var/tmp/siege.*"))
    wanted = disk.fill(mib=1)
    binder(lab, "hoarder", 1000, f"{MANY} {disk.target}")
    binder(lab, "neighbour", 1001, f"1 {disk.target}")
    began = time.monotonic()
    storage.take_out(lab, 3)
    print(f"     {MANY} mounts: {time.monotonic() - began:.1f} s", flush=True)
    storage.put_back(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on it")


@scenario("mounts-called-off", profile="mixed", timeout=300, turn=True)
def called_off(lab):
    """Called off when all are gone: who has many of them, and who has no folder for his any more, keeps nobody from having theirs again."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    lab.cleanup(lambda: lab.sh("rm -rf /var/tmp/siege.*"))
    wanted = disk.fill(mib=1)
    users = {"hoarder": MANY, "careless": 1, "neighbour": 1}
    for number, (name, n) in enumerate(users.items()):
        binder(lab, name, 1000 + number, f"{n} {disk.target}")
    folder = {name: lab.sh(f"find /var/tmp -maxdepth 1 -name 'siege.*' -uid {1000 + number}") for number, name in enumerate(users)}
    end = storage.call_off_at(lab, "disable-namespace", target="3", meanwhile=f"rmdir {folder['careless']}/to0", timeout=120)
    lab.check(any(f"{folder['careless']}/to0 in the namespace" in line for line in end["lost"]), f"who lost his should be told: {end['lost'][:5]}")
    places = {mount["target"] for fs in storage.plan(lab, "3")["takes_down"]["file_systems"] for mount in fs["mounts"]}
    lab.check({disk.target, f"{folder['neighbour']}/to0"} <= places, f"the host's and the neighbour's should be there: {sorted(places)[:5]}")
    lab.check(f"{folder['careless']}/to0" not in places, "a folder that is gone has no mount")
    lab.equal(disk.sum(), wanted, "what is on it")


@scenario("mounts-part", profile="mixed", timeout=300, turn=True)
def part(lab):
    """Of a file system of which a part is mounted elsewhere: whoever has a folder on the way to the part makes a link of it meanwhile."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    top = disk.target
    lab.sh(f"install -d -o 1000 {top}/home {top}/home/web && mkdir -p {top}/home/web/sub {top}/secret/sub /mnt/part && touch {top}/secret/sub/key && "
           f"mount --bind {top}/home/web/sub /mnt/part")
    lab.cleanup(lambda: lab.run("umount -A /mnt/part; rmdir /mnt/part", check=False))
    lab.changed()
    end = storage.cancel_at(lab, "unmount", target="3", timeout=120, meanwhile=f"setpriv --reuid=1000 --regid=1000 --clear-groups sh -c 'cd {top}/home && mv web was && "
                            f"ln -s ../secret web' && {removal.go_on('before-unmount')} && timeout 60 sh -c 'while mountpoint -q {top}; do sleep 0.05; done'")
    lab.check("a link or a file is on the way to it now" in end["message"], f"why should be told: {end}")
    lab.check(lab.run("mountpoint -q /mnt/part", check=False)[0] != 0, "nothing should be mounted there")
    lab.check(disk.mounted(), "the file system itself should be back")
    lab.sh(f"cd {top}/home && rm web && mv was web")
    lab.sh(end["remedy"][0])
    lab.check(lab.run("mountpoint -q /mnt/part", check=False)[0] == 0, "the remedy should mount the part")


@scenario("mounts-link", profile="mixed", timeout=300, turn=True)
def link(lab):
    """Whoever has a folder on the way to the mount makes a link of it meanwhile: the file system does not come back where that leads to."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4", target="/mnt/user/home/card")
    lab.cleanup(lambda: lab.sh("rm -rf /mnt/elsewhere; [ ! -L /mnt/user/home ] || rm /mnt/user/home"))
    wanted = disk.fill(mib=1)
    end = storage.cancel_at(lab, "disable-namespace", target="3", timeout=120, meanwhile="mv /mnt/user/home /mnt/user/was && "
                            "mkdir -p /mnt/elsewhere/card && ln -s /mnt/elsewhere /mnt/user/home")
    lab.equal(end["outcome"], "stuck", f"the ending ({end['message']})")
    lab.check("a link or a file is on the way to it now" in end["message"], f"why should be told: {end['message']}")
    lab.check(lab.run("mountpoint -q /mnt/elsewhere/card", check=False)[0] != 0, "nothing should be mounted where the link leads to")
    lab.sh("rm /mnt/user/home && mv /mnt/user/was /mnt/user/home")
    lab.sh(end["remedy"][0])
    lab.equal(disk.sum(), wanted, "what is on it")
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on it")


@scenario("mounts-link-to-part", profile="mixed", timeout=300, turn=True)
def link_to_part(lab):
    """An ordinary user has a folder of it in a place of his own, and a link on the way to it meanwhile: what that leads to is not put there."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    place, other = "/var/tmp/place", "/mnt/other"
    lab.cleanup(lambda: lab.sh(f"rm -rf {place} {other}"))
    lab.sh(f"mkdir -p {other} {place} {disk.target}/home/x/y {disk.target}/private/y && chmod 700 {disk.target}/private && "
           f"chown -R 1000:1000 {disk.target}/home {place}")
    wanted = disk.fill(mib=1)
    sandbox = lab.spawn("sandbox", "setpriv --reuid=1000 --regid=1000 --clear-groups unshare --user --map-root-user --mount --propagation slave "
                                   f"sh -c 'mount --bind {disk.target}/home/x/y {place} && echo inside= && exec sleep 1000'")
    sandbox.wait_for_output("inside=")

    def places():
        return {mount["target"] for fs in storage.plan(lab, "3")["takes_down"]["file_systems"] for mount in fs["mounts"]}
    lab.check(place in places(), "the plan should have his")
    home = f"{other}/home"
    lab.write("/run/link", f"""while mountpoint -q {disk.target}; do sleep 0.1; done
        # The step may be at it still, and takes this mount along: then once more.
        until mount {disk.device} {other} && {{ [ -d {home}/was ] || mv {home}/x {home}/was; }} && ln -sfn ../private {home}/x && umount {other}; do
            sleep 0.1
        done""")
    end = storage.call_off_at(lab, "unmount", target="3", after=True, timeout=120, meanwhile="timeout 30 sh /run/link")
    lab.check(any(place in line and "a link or a file is on the way" in line for line in end["lost"]), f"he should be told: {end['lost'][:5]}")
    lab.check(place not in places(), "nothing should be where his was")
    lab.equal(disk.sum(), wanted, "what is on it")


@scenario("mounts-copy", profile="mixed", timeout=600, turn=True)
def copy(lab):
    """Somebody sets up a file with the same UUID while the card's file system is gone: what comes back is the card's, where its disk stayed and where
    it went, called off and restored, whoever has the link."""
    image = "/var/tmp/copy.img"
    lab.cleanup(lambda: lab.run(f"losetup -d /dev/loop5; rm -f {image}", check=False))
    for number, device, step in ((4, lab.disk(4), "claim-devices"), (3, lab.pmem(3).namespace().device, "disable-namespace")):
        disk = lab.filesystem(device, "ext4", target=f"/mnt/card{number}")
        wanted = disk.fill(mib=1)
        uuid = lab.sh(f"blkid -p -s UUID -o value {device}").strip()
        link = f"/dev/disk/by-uuid/{uuid}"
        lab.sh(f"rm -f {image} && truncate -s 16M {image} && mkfs.ext4 -q -F -U {uuid} {image} && losetup /dev/loop5 {image}")
        # Anew: it is the last disk that came.
        storage.call_off_at(lab, step, target=str(number), timeout=120,
                            meanwhile=f"losetup -d /dev/loop5 && losetup /dev/loop5 {image} && udevadm settle && ln -sfn /dev/loop5 {link}")
        lab.equal(disk.sum(), wanted, "what is on it")
        lab.sh(f"ln -sfn /dev/loop5 {link}")
        storage.take_out(lab, number)
        storage.put_back(lab, number)
        lab.equal(disk.sum(), wanted, "what is on it")
        lab.check(lab.run("findmnt -n -S /dev/loop5", check=False)[0] != 0, "the copy should be mounted nowhere")
        lab.sh("losetup -d /dev/loop5")
        disk.umount()


@scenario("mounts-without-end", profile="mixed", timeout=300, turn=True)
def without_end(lab):
    """Who makes each anew that goes is named, with what ends him, in a time that ends, and nothing is lost."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    lab.cleanup(lambda: lab.sh("rm -rf /var/tmp/siege.*"))
    wanted = disk.fill(mib=1)
    binder(lab, "hoarder", 1000, f"{MANY} {disk.target} again")
    number = removal.last_id(lab) + 1
    began = time.monotonic()
    lab.cli("remove", 3, check=False, timeout=240)
    end = removal.wait_for_end(lab, number, 240)
    print(f"     mounts without end: {time.monotonic() - began:.1f} s, {end['message']}", flush=True)
    lab.equal(end["outcome"], "restored", f"the outcome ({end['message']})")
    lab.check("lab-hoarder" in end["remedy"][0], f"the remedy should name his unit: {end}")
    lab.equal(disk.sum(), wanted, "what is on it")
    lab.sh(end["remedy"][0])
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on it")


@scenario("mounts-on-demand", profile="mixed", timeout=300, turn=True)
def on_demand(lab):
    """systemd mounts it for whoever looks: said so, and when the card is back it is there as before."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4", target="/mnt/demand")
    wanted = disk.fill(mib=1)
    disk.umount()
    lab.write("/run/systemd/system/mnt-demand.mount", f"[Mount]\nWhat={disk.device}\nWhere=/mnt/demand\nType=ext4\n")
    lab.write("/run/systemd/system/mnt-demand.automount", "[Automount]\nWhere=/mnt/demand\n")
    lab.cleanup(lambda: lab.sh("systemctl stop mnt-demand.automount mnt-demand.mount; rm -f /run/systemd/system/mnt-demand.*; systemctl daemon-reload"))
    lab.sh("systemctl daemon-reload && systemctl start mnt-demand.automount")
    lab.equal(disk.sum(), wanted, "what is on it")
    warning = finding(lab, "AUTOMOUNT", "warnings")
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.equal(disk.sum(), wanted, "what is on it")
    lab.sh(warning["remedy"][0])
    lab.check("AUTOMOUNT" not in storage.codes(storage.plan(lab, "3"), "warnings"), "the remedy should end it")


@scenario("mounts-last-hold", profile="mixed", timeout=300, turn=True)
def last_hold(lab):
    """A deleted file that a bind mount keeps, and one that a loop device keeps beside one that is only called so: the remedies save both."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    top = disk.target
    lab.cleanup(lambda: lab.sh("rm -rf /var/tmp/saved.* /mnt/kept /mnt/loop"))
    lab.sh(f"echo kept > {top}/file && touch /mnt/kept && mount --bind {top}/file /mnt/kept && rm {top}/file")
    clear(lab, "LAST_HOLD")
    lab.equal(lab.sh("cat /var/tmp/saved.*/deleted-*"), "kept", "what was saved")
    lab.sh(f"cd {top} && truncate -s 8M gone 'there (deleted)' && mkfs.ext4 -q gone && losetup /dev/loop6 gone && losetup /dev/loop7 'there (deleted)' && "
           f"mkdir -p /mnt/loop && mount /dev/loop6 /mnt/loop && echo inside > /mnt/loop/file && rm gone")
    lab.check("loop6" in finding(lab, "LAST_HOLD")["what"], "the deleted one should be named")
    clear(lab, "LAST_HOLD")
    lab.equal(lab.sh("mount -o ro,loop /var/tmp/saved.*/loop6.img /mnt/loop && cat /mnt/loop/file && umount /mnt/loop"), "inside", "what was saved")
    storage.take_out(lab, 3)
    storage.put_back(lab, 3)
    lab.equal(lab.sh("losetup -n -O BACK-FILE /dev/loop7").strip(), f"{top}/there (deleted)", "what loop7 stands on again")
