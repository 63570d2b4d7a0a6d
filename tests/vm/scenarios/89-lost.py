# SPDX-License-Identifier: LGPL-2.1-or-later
"""A card that is pulled while it is in use: nothing says safe, or that all of it is gone, before all of it is."""

import json

from harness import removal
from harness.scenario import scenario

# What each slot's card had when it was last seen.
CARDS = "/run/safe-remove/cards"
# The kernel's own words for what it cannot do any more.
LOST = (r"removing memory fails", r"cannot be hotremoved")
DEAD_DISK = (r"I/O error", r"EXT4-fs error", r"Shutting down filesystem")


def state(lab, number):
    return [slot["state"] for slot in lab.cli_json("list")["slots"] if slot["name"] == str(number)]


def check_lost(lab, number, probe, words):
    """Whoever asks is told what is left, and the light says that something is wrong."""
    status, out, _ = lab.cli("verify", number, "--json", check=False)
    said = {one["name"]: one for one in json.loads(out)["probes"]}
    lab.equal((status, said[probe]["holds"]), (removal.NOT_PROVEN, False), "whether it is proved that the card is gone")
    lab.check(words in said[probe]["answer"], f"{words} should be named: {said[probe]}")
    lab.equal(state(lab, number), ["lost"], "the slot's state")
    leds = lab.wait_leds(number, attention="on")
    lab.check(not leds.safe, f"the light should not say safe: {leds}")
    status, out, err = lab.cli("remove", number, check=False)
    lab.check(status == removal.BLOCKED and "not all of it is" in out + err, f"a removal should not say that there is nothing: {status} {out}{err}")


def journal_entry(lab):
    return lab.journal("-u safe-removed MESSAGE_ID=c9b1f6e3a7104a0f8d1d6fbf0a7d2b54")


def check_entry(lab, *words):
    entry = lab.wait_for(lambda: journal_entry(lab), 20, "the entry of the journal")
    for each in words:
        lab.check(each in entry, f"{each} should be in the journal: {entry}")


def hear_events(lab):
    """What the bus is told, by somebody who is there before the daemon is: he hears us first. (Not every busctl says that it listens.)"""
    lab.spawn("bus", """busctl monitor --json=short --match="type='signal',member='Event'" > /run/events 2>&1""")

    def is_heard():
        lab.sh("busctl emit /lab org.lab.Heard Event s yes")
        return "org.lab.Heard" in lab.sh("cat /run/events || true")

    lab.wait_for(is_heard, 30, "busctl to listen")


def check_told(lab, number, *words):
    """The event on the bus, and the journal's entry with all that was lost."""
    lab.wait_for(lambda: lab.guest.succeeds(f"grep card-lost /run/events | grep -q 'slot[^,]*{number}'"), 30, "the event")
    check_entry(lab, *words)


@scenario("pulled-in-use", own_guest=True, timeout=240, allow=LOST)
def pulled_in_use(lab):
    """Memory that is online goes with a card that somebody pulls: the kernel keeps the blocks, with nothing behind them."""
    ram = lab.ram(2)
    lab.spawn("monitor", "safe-remove monitor --json > /run/monitor")
    lab.wait_for(lambda: ram.region in lab.sh(f"cat {CARDS}/*.json || true"), 20, "the daemon to have seen the memory")
    lab.slot(2).pull()
    lab.wait_for(lambda: '"card-lost"' in lab.sh("cat /run/monitor"), 20, "the event")
    told = [json.loads(line) for line in lab.sh("grep card-lost /run/monitor").splitlines()]
    lab.check(len(told) == 1 and "memory" in told[0]["message"], f"the event should come once, and say what is left: {told}")
    lab.check(told[0]["lost"][0].startswith(f"memory{ram.block_numbers[0]} to memory{ram.block_numbers[-1]}: 512 MiB online"),
              f"all that was lost should be told: {told}")
    lab.check(ram.online() > 0, "the kernel should have kept blocks: the scenario shows nothing otherwise")
    check_entry(lab, told[0]["lost"][0])
    check_lost(lab, 2, "memory-blocks", f"memory{ram.block_numbers[0]} is online")
    lab.restart_daemon()
    check_lost(lab, 2, "memory-blocks", f"memory{ram.block_numbers[0]} is online")
    # A card in the slot beside it has nothing to do with it.
    lab.cli("remove", "3")
    removal.check_safe(lab, 3)


@scenario("pulled-in-use-disk", profile="mixed", timeout=240, allow=DEAD_DISK)
def pulled_disk(lab):
    """A disk with a file system that is in use: the mount stays when the disk is gone, and that is said for as long as it does."""
    disk = lab.filesystem(lab.disk(4), "ext4")
    user = lab.spawn("user", f"cd {disk.target} && exec sleep 1000")
    seen = f"grep -q {disk.device.rsplit('/', 1)[-1]} {CARDS}/*.json"
    lab.wait_for(lambda: lab.guest.succeeds(seen), 20, "the daemon to have seen the disk")
    hear_events(lab)
    lab.slot(4).pull()
    lab.wait_for(lambda: state(lab, 4) == ["lost"], 20, "the slot to be lost")
    check_told(lab, 4, f"ext4 of {disk.device} is mounted on {disk.target}", f"process {user.pid} (sleep) has")
    check_lost(lab, 4, "mounts", disk.target)
    user.stop()
    disk.umount()
    # Nothing tells the daemon: the next look finds it.
    lab.wait_for(lambda: state(lab, 4) == ["empty"], 20, "the slot to be empty")
    leds = lab.wait_leds(4, attention="off")
    lab.check(leds.safe, f"all of it is gone: {leds}")
    lab.slot(4).insert()
    lab.check(state(lab, 4) != ["lost"], "another card should not be lost")


def press_until_dark(lab, number):
    """Neither daemon nor guard is there to hold the slot, so that the kernel takes its power: the lights say "safe to pull" for as long as
    nobody looks."""
    lab.slot(number).press()
    lab.wait_leds(number, safe=True, timeout=20)


def go_away(lab):
    """Daemon and guard, with all that they have seen."""
    lab.sh("systemctl mask --runtime --now safe-removed.service safe-remove-guard.service")
    lab.sh(f"rm -f {CARDS}/*.json")


def come_back(lab):
    hear_events(lab)
    lab.sh("systemctl unmask --runtime safe-removed.service safe-remove-guard.service && systemctl start safe-removed.service")


@scenario("power-cut-unseen", own_guest=True, timeout=240, allow=LOST)
def power_cut_unseen(lab):
    """Daemon and guard are away from before the card's memory is online until the kernel has taken the power: only the machine itself tells."""
    go_away(lab)
    ram = lab.ram(2)
    user = lab.keeper(ram.node, mib=16)
    user.signal("STOP")
    press_until_dark(lab, 2)
    lab.check(ram.online() > 0, "the kernel should have kept blocks: the scenario shows nothing otherwise")
    come_back(lab)
    lab.wait_leds(2, attention="on")
    check_told(lab, 2, f"memory{ram.block_numbers[0]} to memory{ram.block_numbers[-1]}: 512 MiB online",
               f"process {user.pid} (keeper) has 16")
    check_lost(lab, 2, "memory-blocks", f"memory{ram.block_numbers[0]} is online")
    lab.equal(state(lab, 5), ["empty"], "the state of a slot that never had a card")
    lab.restart_daemon()
    check_lost(lab, 2, "memory-blocks", f"memory{ram.block_numbers[0]} is online")


@scenario("power-cut-disk", profile="mixed", timeout=240, allow=DEAD_DISK, turn=True)
def power_cut_disk(lab):
    """Daemon and guard are away while the kernel takes the power of a disk that is mounted, and the state directory hangs since before that: it
    keeps neither the disk from being remembered nor the light from saying so."""
    removal.state_apart(lab)
    lab.sh(f"fsfreeze -f {removal.STATE_DIR}")
    disk = lab.filesystem(lab.disk(4), "ext4")
    user = lab.spawn("user", f"cd {disk.target} && exec sleep 1000")
    seen = f"grep -q {disk.device.rsplit('/', 1)[-1]} {CARDS}/*.json"
    lab.wait_for(lambda: lab.guest.succeeds(seen), 20, "the daemon to have seen the disk")
    lab.sh("systemctl mask --runtime --now safe-removed.service safe-remove-guard.service")
    press_until_dark(lab, 4)
    come_back(lab)
    lab.wait_leds(4, attention="on")
    lab.wait_for(lambda: state(lab, 4) == ["lost"], 20, "the slot to be lost")
    check_told(lab, 4, f"ext4 of {disk.device} is mounted on {disk.target}", f"process {user.pid} (sleep) has")
    lab.sh(f"fsfreeze -u {removal.STATE_DIR}")
    check_lost(lab, 4, "mounts", disk.target)
    user.stop()
    disk.umount()
    lab.wait_for(lambda: state(lab, 4) == ["empty"], 20, "the slot to be empty")
    lab.wait_leds(4, attention="off")


def check_over(lab, number):
    """Nothing uses what was on it any more; nothing tells the daemon: the next look finds it."""
    lab.wait_for(lambda: state(lab, number) == ["empty"], 20, "the slot to be empty")
    leds = lab.wait_leds(number, attention="off")
    lab.check(leds.safe, f"all of it is gone: {leds}")


@scenario("power-cut-disk-unseen", profile="mixed", timeout=240, allow=DEAD_DISK, turn=True)
def power_cut_disk_unseen(lab):
    """The kernel takes the power of a disk with volumes that are mounted and swap, which nobody has ever seen: the kernel's log tells which slot
    it was in."""
    go_away(lab)
    device = lab.disk(4)
    lab.sh(f"pvcreate -q {device} && vgcreate -q lab {device} && lvcreate -q -y -n data -L 32M lab && lvcreate -q -y -n swap -L 32M lab && "
           "mkswap -q /dev/lab/swap && swapon /dev/lab/swap")
    disk = lab.filesystem("/dev/lab/data", "ext4")
    user = lab.spawn("user", f"cd {disk.target} && exec sleep 1000")
    press_until_dark(lab, 4)
    come_back(lab)
    lab.wait_leds(4, attention="on")
    lab.wait_for(lambda: state(lab, 4) == ["lost"], 20, "the slot to be lost")
    check_told(lab, 4, f"ext4 of /dev/mapper/lab-data is mounted on {disk.target}", "swap /dev/dm-", f"process {user.pid} (sleep) has",
               f"block device {device.rsplit('/', 1)[-1]} is gone")
    check_lost(lab, 4, "mounts", disk.target)
    lab.equal(state(lab, 5), ["empty"], "the state of a slot that never had a card")
    user.stop()
    disk.umount()
    lab.sh("swapoff /dev/lab/swap && dmsetup remove lab-swap lab-data")
    check_over(lab, 4)


@scenario("power-cut-pmem-unseen", profile="mixed", timeout=240, allow=(*LOST, *DEAD_DISK, r"XFS \(pmem"), turn=True)
def power_cut_pmem_unseen(lab):
    """The same of persistent memory with a file system: the one slot that had a memory card, and has none, is its slot."""
    go_away(lab)
    disk = lab.filesystem(lab.pmem(3).namespace().device)
    press_until_dark(lab, 3)
    come_back(lab)
    lab.wait_leds(3, attention="on")
    lab.wait_for(lambda: state(lab, 3) == ["lost"], 20, "the slot to be lost")
    check_told(lab, 3, f"xfs of {disk.device} is mounted on {disk.target}")
    check_lost(lab, 3, "mounts", disk.target)
    lab.equal(state(lab, 5), ["empty"], "the state of a slot that never had a card")
    lab.sh(f"umount {disk.target}")
    check_over(lab, 3)


STICK = "/mnt/stick"
GUARD = "safe-remove-guard.service"
# What the guard has kept of the kernel's log.
KEPT = "/run/safe-remove/kernel-log"

# What anybody may do in namespaces of his own, with names that look like a card's disk.
FORGED = """
dir=$(mktemp -d) && cd $dir && mkdir a b c up work nvme0n1
mount -t tmpfs /dev/nvme0n1 a && mount -t overlay /dev/nvme0n1p1 b -o lowerdir=c,upperdir=up,workdir=work && mount --bind nvme0n1 c && rmdir nvme0n1
echo ready && exec sleep 1000"""


def mount_stick(lab):
    """A disk that is in no slot; returns its name."""
    lab.sh("modprobe scsi_debug dev_size_mb=16 && udevadm settle")
    lab.cleanup(lambda: lab.run(f"umount {STICK}; modprobe -r scsi_debug", check=False))
    name = lab.sh("basename /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/*:*/block/*")
    lab.sh(f"mkfs.ext4 -q /dev/{name} && mkdir -p {STICK} && mount /dev/{name} {STICK}")
    return name


def lose(lab, name):
    lab.sh(f"echo 1 > /sys/block/{name}/device/delete")


# Says more than the kernel's log holds: until its first record is none of those that were there.
WRAP = """
sysctl -q kernel.printk_devkmsg=on
records() { timeout 20 dd if=/dev/kmsg bs=8192 iflag=nonblock "$@" 2> /dev/null | grep -a -o '^[0-9]*,[0-9]*,' | cut -d, -f2; }
last=$(records | tail -n 1)
line="<7>$(printf %900s '' | tr ' ' x)"
until [ "$(records count=1 | head -n 1)" -gt "$last" ]; do
        for i in $(seq 200); do echo "$line" > /dev/kmsg; done
done"""


def verified(lab, number):
    """The exit status, and whether it says that the slot is not known."""
    status, out, _ = lab.cli("verify", number, "--json", check=False)
    return status, "not_known" in json.loads(out)


@scenario("log-wrapped-elsewhere", own_guest=True, profile="mixed", timeout=300, allow=(*DEAD_DISK, r"JBD2", r"\bsd \d"), turn=True)
def log_wrapped_elsewhere(lab):
    """The kernel's log is overwritten while a disk of no slot is gone and in use. The guard has kept which slots have had a card: one that has had
    none since its removal is proved still, one that had a card which nobody saw is not."""
    proved, not_known = (0, False), (removal.NOT_PROVEN, True)
    for number in 2, 4:
        lab.cli("remove", number)
        removal.check_safe(lab, number)
    go_away(lab)
    lab.slot(2).insert()
    press_until_dark(lab, 2)
    come_back(lab)
    lab.wait_for(lambda: state(lab, 4) == ["empty"], 30, "the daemon to be back")
    lose(lab, mount_stick(lab))
    lab.wait_for(lambda: "still in use" in lab.cli("list")[1], 30, "the list to say so")
    lab.equal((verified(lab, 4), verified(lab, 2)), (proved, not_known), "what verify says of both slots")
    lab.write("/tmp/wrap", WRAP)
    lab.sh("sh /tmp/wrap", timeout=120)
    lab.wait_for(lambda: verified(lab, 4) == proved, 30, "what was kept to be written")
    lab.equal(verified(lab, 2), not_known, "what verify says of the slot that had a card since")
    # The next guard goes on from there, but not from nothing.
    lab.sh(f"systemctl restart {GUARD}")
    lab.wait_for(lambda: verified(lab, 4) == proved, 30, "the next guard to have the same")
    lab.sh(f"systemctl stop {GUARD} && rm {KEPT} && systemctl start {GUARD}")
    lab.wait_for(lambda: verified(lab, 4) == not_known, 30, "the slot not to be known")


@scenario("disk-gone-elsewhere", timeout=240, allow=(*DEAD_DISK, r"JBD2", r"\bsd \d"), turn=True)
def disk_gone_elsewhere(lab):
    """A disk that was in no slot goes while it is mounted: told of the machine, and no slot says that it was its. What an unprivileged user mounts
    is no disk, and his namespace keeps none of what is told."""
    name = mount_stick(lab)
    lab.write("/tmp/forged", FORGED)
    user = lab.spawn("user", "setpriv --reuid=1000 --regid=1000 --clear-groups unshare --user --map-root-user --mount sh /tmp/forged")
    user.wait_for_output("ready", 30)
    before = lab.cli_json("list")["slots"]
    hear_events(lab)
    lose(lab, name)
    told = f"slot not known: the disk {name} is gone, and still in use: ext4 of /dev/{name} is mounted on {STICK}"
    lab.wait_for(lambda: told in lab.cli("list")[1], 30, "the list to say so")
    lab.wait_for(lambda: lab.guest.succeeds("grep disk-lost /run/events"), 30, "the event")
    lab.wait_for(lambda: lab.journal("-u safe-removed MESSAGE_ID=7f0d4c2be7b84b6f9e0c35a1d96e18f2"), 20, "the entry of the journal")
    lab.check("nvme" not in lab.cli("list")[1], "what a user has made should be no disk")
    lab.equal(lab.cli_json("list")["slots"], before, "the slots")
    lab.check("not_known" not in lab.cli("verify", "2", "--json", check=False)[1], "slot 2 has its card, and is known")
    # The namespace has a copy of the mount, which is as much in use as the first one.
    lab.sh(f"umount {STICK}")
    lab.wait_for(lambda: f"ext4 of /dev/{name} is mounted in the mount namespace" in lab.cli("list")[1], 30, "the namespace to be named")
    user.stop()
    lab.wait_for(lambda: "still in use" not in lab.cli("list")[1], 30, "nothing to be in use any more")
