# SPDX-License-Identifier: LGPL-2.1-or-later
"""Histories with a name: each goes wrong where one thing alone keeps the promise. tests/mutation takes that thing out ("sim:NAME" in its table) and sees the
history fail. Of ram2.root, slot 2: a card with four memory blocks, a dax device and a region."""

import dataclasses
import errno

import users
from shared import HALVES

RAM2 = "ram2.root"
FUNCTION, REGISTERS = "0000:0d:00.0", "/sys/devices/pci0000:0c/0000:0c:00.0"
POWER, BLOCK, LAST_LIGHT = "0 > /sys/bus/pci/slots/2/power", "offline > /sys/devices/system/memory/memory148/state", "0 > /sys/bus/pci/slots/2/attention"
ROOT = "/sys/devices/platform/ACPI0017:00/root0/decoder0.0"
FOR_EVER, ONCE = 0, 1
POLICY = {"actors": {"1": "write /sys/devices/system/memory/auto_online_blocks online_kernel"}, "others": ["policy"]}


@dataclasses.dataclass
class Case:
    history: dict
    outcomes: tuple
    message: str = ""           # what it has to have in it: where it was noticed
    lost: str = ""              # and what one of the lines about what is not as it was
    remedy: str = ""
    never: str = ""             # what nobody does
    whole: bool = False         # and nothing is otherwise
    sec: float = 0              # so long it takes at least, by the machine's clock


def case(outcome, *faults, **more):
    """faults: those of the first worker."""
    return Case({"machine": RAM2, "target": "2", "faults": [list(faults)], "options": {}, **more}, (outcome,))


def at(match, kind, event=1, **more):
    return {"kind": kind, "event": event, "match": match, **more}


def actor(match, *lines, outcome="stuck", after=True):
    """Somebody, or a kernel that is not as it should be, changes the machine when that has been written."""
    return case(outcome, at(match, "actor-after" if after else "actor", arg=1), actors={"1": "\n".join(lines)})


def cut(match, seed=0):
    """A power cut right after it. What was never synced is gone, or is there as the seed has it."""
    return Case({"machine": RAM2, "target": "2", "faults": [[at(match, "kill-after")]], "options": {}, "cuts": [seed]}, ("interrupted",))


def half(*left_out):
    return case("stuck", at(POWER, "half", arg=sum(HALVES[name] for name in left_out)))


def in_use(machine, outcome, *faults, message="", **more):
    """Of a card that is in use (users.py): processes as the case says, else mounts, swaps and arrays."""
    whole = more.pop("whole", False)
    return Case({"machine": machine, "target": users.MACHINES[machine][0][0], "faults": [list(faults)], "options": {}, **more}, (outcome,), message, whole=whole)


def stays_down(machine, refused, remedy):
    """The power stays on, and then one step of the way back cannot be undone: the ending has a line for that."""
    power = f"0 > /sys/bus/pci/slots/{users.MACHINES[machine][0][0]}/power"
    history = in_use(machine, "stuck", at(power, "error", arg=errno.EBUSY, times=FOR_EVER), at(refused, "error", arg=errno.EIO, times=FOR_EVER)).history
    return Case(history, ("stuck",), "could not be undone", remedy=remedy)


def refused(machine, what, message):
    """Something of the card is in use by somebody whom nobody sees: all that was taken down before comes back."""
    return in_use(machine, "restored", at(what, "error", arg=errno.EBUSY, times=FOR_EVER), message=message)


def holder(**way):
    return users.process(0, users.PLACES[users.DAX], way)


def killed(outcome, *kills, by="bus", faults=()):
    """Whole daemons (whole.py). A kill: what is about to be done, who is killed then, and, if it is not the first time, at which."""
    return Case({"machine": RAM2, "target": "2", "by": by, "faults": list(faults),
                 "kills": [{"match": match, "who": who.split(), "event": event} for match, who, event in kills]}, outcome.split())


CASES = {
    "whole": case("safe"),
    "self-test": case("tested", options={"self_test": "held"}),
    "restored": case("rebuilt", verb="restore"),
    "cancelled": case("restored", at("unbind", "cancel")),
    # The way back.
    "first-step-undone": case("restored", at(BLOCK, "error", arg=errno.EBUSY, times=FOR_EVER)),
    "no-way-back": Case({**half("link").history}, ("stuck",), "no way back"),
    "killed-on-the-way-back": Case({"machine": RAM2, "target": "2", "options": {},
                                    "faults": [[at("kmem/unbind", "error", arg=errno.EBUSY, times=FOR_EVER), at("online_movable > ", "kill-after")],
                                               [at("online_movable > ", "kill-before")]]}, ("restored",)),
    "block-stays-online": Case({**case("restored", at(BLOCK, "nothing", times=FOR_EVER)).history}, ("restored",), "memory148 was brought online again"),
    "block-goes-late": Case({**case("safe", at(BLOCK, "nothing", times=3)).history}, ("safe",), sec=0.3), # the rest of half a second may have passed by itself
    # Everybody is told that it is offline, and it comes back in the same moment: that is seen before the next step, and it goes once more.
    "block-comes-back": Case({**actor(BLOCK, "put /sys/devices/system/memory/memory149/state online", "put /sys/devices/system/memory/memory149/valid_zones Movable"
                                      ).history}, ("safe",)),
    "stuck-remedy": Case({**case("stuck", at("online_movable > /sys/devices/system/memory/auto_online_blocks", "error", arg=errno.EPERM, times=FOR_EVER)).history},
                         ("stuck",), remedy="echo online_movable > /sys/devices/system/memory/auto_online_blocks"),
    # What the kernel has of it is what it remembers: nothing of that is put back.
    "dies": Case({**actor(BLOCK, f"dies {REGISTERS}/{FUNCTION}").history}, ("stuck",), "has died", never="online_movable > /sys/devices/system/memory/memory"),
    "dies-before-the-first-step": Case({**case("stuck", at("pciehp/unbind", "actor", arg=1), at("pciehp/unbind", "cancel")).history,
                                        "actors": {"1": f"dies {REGISTERS}/{FUNCTION}"}}, ("stuck",), "has died"),
    "other-card": actor("kmem/unbind", "put /sys/bus/cxl/devices/mem1/serial 0x4711"),
    "worker-killed": case("safe", at("kmem/unbind", "kill-worker")),
    # The port takes the first of two writes so late that nobody waits for the second any more.
    "register-late": Case({**case("restored", at("/config at 0x8e", "hang", arg=100_000)).history}, ("restored",), never="/config at 0x8d"),
    # It is held after all was as before, and for nobody; or blinks so.
    "hold-comes-late": case("restored", at("pciehp/unbind", "late", arg=70_000)),
    "light-comes-late": case("restored", at("/config at 0x8d", "late", arg=100_000)),
    # The power LED goes off over a card that has power, long after it was told to; or stays off. The attention LED says so until that is over.
    "dark-comes-late": case("restored", at("/config at 0x8d", "late", arg=40_000, event=3), options={"self_test": "held"}),
    "dark-stays": case("stuck", at("/config at 0x8d", "nothing", event=4, times=FOR_EVER), options={"self_test": "held"}),
    "attention-comes-late": case("restored", at("/config at 0x8c", "late", arg=40_000), options={"self_test": "held"}),
    # A region comes late, for nobody; or its write says that it has failed. Whoever goes on takes it.
    "region-comes-late": case("rebuilt", at("/power", "error", arg=errno.EBUSY, times=FOR_EVER), at("/create_", "late", arg=100_000), goes_on=1),
    "region-that-failed": case("restored", at("/power", "error", arg=errno.EBUSY, times=FOR_EVER), at("/create_", "late-error", arg=errno.EIO)),
    # Its size is taken, and it has none; and it cannot be deleted either: both are seen, and who deletes it is told.
    "region-stays": Case({**case("stuck", at("/power", "error", arg=errno.EBUSY, times=FOR_EVER), at("/size", "nothing", times=FOR_EVER),
                                 at("/delete_region", "nothing", event=2, times=FOR_EVER)).history},
                         ("stuck",), "/size took 0x", remedy="/delete_region; cxl create-region"),
    "mark-of-the-dead": case("safe", at("pciehp/bind", "kill-after")),
    # What an administrator has said of new memory meanwhile, before we turn it off and after.
    "policy-before": Case({**case("restored", at("pciehp/unbind", "actor", arg=1), at("kmem/unbind", "error", arg=errno.EBUSY, times=FOR_EVER)).history, **POLICY}, ("restored",)),
    "policy-meanwhile": Case({**case("safe", at("kmem/unbind", "actor-after", arg=1)).history, **POLICY}, ("safe",), lost="to online_kernel meanwhile"),
    "policy-and-back": Case({**case("restored", at("kmem/unbind", "actor-after", arg=1), at("slots/2/power", "error", arg=errno.EBUSY, times=FOR_EVER)).history, **POLICY},
                            ("restored",), lost="to online_kernel meanwhile"),
    # Records.
    "turned-back-unwritten": case("restored", at("state/removals/1/journal", "error", arg=errno.EROFS, event=14, times=FOR_EVER), at("online_movable > ", "kill-after")),
    # That the last step is done: the light is set by then, and on what is noted.
    "done-unwritten": case("safe", at("state/removals/1/journal", "error", arg=errno.EROFS, event=59, times=FOR_EVER)),
    "cut-at-hold": cut("pciehp/unbind"),
    "cut-in-the-middle": cut("kmem/unbind"),
    "cut-at-power-off": cut(POWER),
    "cut-at-the-end": Case({**cut(LAST_LIGHT).history, "faults": [[]]}, ("safe",)),
    # What was written last is there by luck, and what was written before it is not.
    "cut-while-begun": Case({**cut("bytes into", {"lucky": ["removals", "1", "journal"]}).history, "faults": [[
        {"kind": "kill-after", "event": 1, "match": "/removals/1/journal"}]]}, ("none", "interrupted")),
    "ending-unwritten": case("restored", at(BLOCK, "error", arg=errno.EBUSY, times=FOR_EVER),
                             {"kind": "error", "arg": errno.ENOSPC, "event": 20, "match": "bytes into", "times": FOR_EVER, "wide": 1}),
    # Each question of the proof: the one thing that is not so.
    "power-stays": half("power"),
    "link-stays": Case({**half("link").history}, ("stuck",), "step prove-safe failed where there is no way back: not proven safe: link"),
    "functions-stay": half("functions"),
    "function-is-back": actor(POWER, f"folder {REGISTERS}/{FUNCTION}", f"link /sys/bus/pci/devices/{FUNCTION} {REGISTERS}/{FUNCTION}"),
    "block-is-back": actor(POWER, "folder /sys/devices/system/memory/memory148", "put /sys/devices/system/memory/memory148/state online",
                           "put /sys/devices/system/memory/memory148/valid_zones Movable", "put /sys/devices/system/memory/memory148/phys_index 00000094"),
    # Asked right before the power goes, where there is a way back.
    "complains-before-power": Case({**actor("pciehp/bind", "log 3 BUG: unable to handle page fault for address: 0000000490000000").history}, ("restored",),
                                   message="not ready to lose power"),
    "indicator-stays": half("indicator"),
    "memdev-is-back": actor(POWER, "folder /sys/devices/platform/mem1", "link /sys/bus/cxl/devices/mem1 /sys/devices/platform/mem1",
                            "put /sys/devices/platform/mem1/serial 0x1"),
    "region-is-back": actor(POWER, f"folder {ROOT}/region0", f"link /sys/bus/cxl/devices/region0 {ROOT}/region0", f"put {ROOT}/region0/resource 0x490000000",
                            f"put {ROOT}/region0/size 0x20000000", f"put {ROOT}/region0/commit 1", f"put {ROOT}/region0/devtype cxl_region"),
    "power-unread": actor(POWER, "put /sys/bus/pci/slots/2/power nobody-knows"),
    "iomem-stays": actor(POWER, "iomem 490000000-4afffffff region0"),
    # Who uses the card.
    "holder-ended": in_use(users.DAX, "safe", processes=[holder(term=500)]),
    "holder-thawed": in_use(users.DAX, "restored", message="it ignores SIGTERM", processes=[holder(term="ignore")]),
    # The kernel says that he goes on, and he does not: whoever is told that it got stuck is told how to set him going.
    "stands-still": Case({**in_use(users.DAX, "stuck", at("signal 18 ", "nothing", times=FOR_EVER), processes=[holder(term="ignore")]).history}, ("stuck",),
                         remedy="kill -CONT 3000900"),
    "group-thawed": in_use(users.DAX, "restored", message="cannot be frozen", processes=[holder(cgroup=users.SCOPE, hangs="never")]),
    "holder-killed": in_use(users.DAX, "safe", processes=[holder(term="ignore", stop=300)], options={"force": "kill"}),
    "disk-in-use": in_use(users.STORAGE, "safe"),
    "disk-is-back": in_use(users.STORAGE, "restored", at("0 > /sys/bus/pci/slots/4/power", "error", arg=errno.EBUSY, times=FOR_EVER)),
    "pmem-in-use": in_use(users.PMEM, "safe"),
    "pmem-is-back": in_use(users.PMEM, "restored", at("0 > /sys/bus/pci/slots/3/power", "error", arg=errno.EBUSY, times=FOR_EVER)),
    # Right before the power goes, somebody wants the disk for an array again: it is opened by us alone.
    # Who has a signal, and hangs: he ends once nobody speaks of us any more.
    "killed-and-hangs": Case({**in_use(users.DAX, "restored", processes=[holder(term="ignore", kill="never")], options={"force": "kill"}).history}, ("restored",),
                             lost="process 3000900 (db) was sent SIGKILL and has not ended"),
    # Two steps cannot be undone: each has its own line.
    "two-remedies": Case({**case("stuck", at("online_movable > /sys/devices/system/memory/memory146", "error", arg=errno.EPERM, times=FOR_EVER),
                                 at("online_movable > /sys/devices/system/memory/auto_online", "error", arg=errno.EPERM, times=FOR_EVER),
                                 at("kmem/unbind", "error", arg=errno.EBUSY, times=FOR_EVER)).history}, ("stuck",),
                         "nor could step auto-online", remedy="echo online_movable > /sys/devices/system/memory/auto_online_blocks"),
    # Nobody listens where a system manager would.
    "unit-stays-down": Case({**in_use(users.DAX, "stuck", at("kmem/unbind", "error", arg=errno.EBUSY, times=FOR_EVER),
                                      at("device_dax/unbind", "error", arg=errno.EBUSY, times=FOR_EVER), at("/power", "error", arg=errno.EBUSY, times=FOR_EVER),
                                      processes=[holder(cgroup="/system.slice/db.service")]).history}, ("stuck",), remedy="systemctl start db.service"),
    # Each thing that stood on the card, and cannot be put back.
    "mount-stays-down": stays_down(users.STORAGE, "mount /dev/nvme0n1p1 on /mnt/nvme in 1", "mount -t ext4 -o rw /dev/nvme0n1p1 /mnt/nvme"),
    "bind-stays-down": stays_down(users.STORAGE, "mount /dev/nvme0n1p1 on /mnt/data/nested in 1", "mount --bind /mnt/nvme/up /mnt/data/nested"),
    "overlay-stays-down": stays_down(users.STORAGE, "mount overlay on", "mount -t overlay -o "),
    "swap-stays-down": stays_down(users.STORAGE, "swapon ", "swapon /mnt/nvme/swap"),
    "array-stays-down": stays_down(users.STORAGE, "mdadm --assemble", "mdadm --assemble /dev/md126"),
    "region-stays-down": stays_down(users.PMEM, "create_pmem_region", "cxl create-region -m -t pmem -d decoder0.0"),
    "commit-stays-down": stays_down(users.PMEM, "decoder0.0/region3/commit", "echo 1 > /sys/bus/cxl/devices/region3/commit"),
    # Each that is not given up on the way there.
    "busy-mount": refused(users.STORAGE, "umount /mnt/nvme in 562", "cannot be unmounted in the namespace of process 562"),
    "busy-swap": refused(users.STORAGE, "swapoff", "step swapoff: swapoff /mnt/nvme/swap"),
    "busy-array": refused(users.STORAGE, "mdadm --stop", "step stop-md: "),
    "busy-member": refused(users.STORAGE, "mdadm /dev/md127 --fail", "step remove-md-member: "),
    "busy-loop": refused(users.PMEM, "loop0: detach", "loop0 is open: nobody is found who has it"),
    "busy-mapping": refused(users.PMEM, "lvchange --quiet -an", "step deactivate-dm: "),
    "busy-namespace": refused(users.PMEM, "pfn0.0 > /sys/bus/nd", "step disable-namespace: "),
    "busy-nd-region": refused(users.PMEM, "region0 > /sys/bus/nd", "step disable-nd-region: "),
    "busy-once": in_use(users.STORAGE, "safe", at("umount /mnt/nvme in 1", "error", arg=errno.EBUSY)),
    "cancelled-unmounting": in_use(users.STORAGE, "restored", at("umount /mnt/nvme in 1", "cancel"), message="cancelled"),
    # Whoever put them there died before he could say how they are shared.
    **{f"mount-{number}-shared": in_use(users.STORAGE, "restored", at("0 > /sys/bus/pci/slots/4/power", "error", arg=errno.EBUSY, times=FOR_EVER),
                                        at("mount /dev", "kill-after", event=number), whole=True) for number in (3, 6)},
    "member-comes-back": in_use(users.STORAGE, "safe", at("pciehp/bind", "actor-after", arg=1),
                                actors={"1": "run mdadm /dev/md127 --re-add /dev/nvme0n1p2"}, others=["md127"]),
    # What is in memory for it cannot be written: it stays where it is.
    "unsynced": in_use(users.STORAGE, "restored", at("syncfs ", "error", arg=errno.EIO, times=FOR_EVER), message="cannot be written: Input/output error"),
    "mount-stays": in_use(users.STORAGE, "restored", at("umount /mnt/nvme", "nothing", times=FOR_EVER)),
    "kernel-complains": actor(POWER, "log 3 BUG: unable to handle page fault for address: 0000000490000000"),
    # Whole daemons, by the bus and by the button.
    "asked-for": killed("safe"),
    "pressed": killed("safe", by="button"),
    "daemon-killed": killed("safe", ("kmem/unbind", "daemon", 1)),
    "all-killed": killed("safe", ("kmem/unbind", "worker daemon guard", 1), ("pciehp/bind", "worker daemon guard", 1), by="button"),
    "all-killed-on-the-way-back": killed("restored", ("online_movable > ", "worker daemon guard", 1), ("online_movable > ", "worker daemon guard", 2),
                                         faults=[at("kmem/unbind", "error", arg=errno.EBUSY, times=FOR_EVER)]),
    "killed-before-the-hold": killed("safe none", ("pciehp/unbind", "worker guard", 1), by="button"),
    "killed-when-held": killed("safe none", ("pciehp/unbind", "daemon guard", 1), by="button"),
    "killed-at-the-end": killed("safe", ("certificate.json.new", "daemon", 1)),
}
