# SPDX-License-Identifier: LGPL-2.1-or-later
"""Machines whose card is in use, and who acts on them beside the removal: histories.py asks for that."""

DAX, STORAGE, PMEM = "../sim/roots/dax-users.root", "storage.root", "../sim/roots/storage-pmem.root"
# As histories.MACHINES.
MACHINES = {DAX: (("2",), 205, 22), STORAGE: (("4",), 175, 28), PMEM: (("3",), 365, 60)}
FIRST = 3_000_900
SCOPE = "/system.slice/run-r12.scope" # of no service: nothing is started again when it has ended
FOR_OTHERS = 0.3

# Where they are, and what they have open there.
PLACES = {DAX: ("/", "/dev/dax0.0"), STORAGE: ("/mnt/nvme", "/mnt/nvme/up"), PMEM: ("/mnt/data", "/dev/dax0.1")}

# What is special about somebody; the rest does as it is told.
WAYS = (
    {}, {"term": 1000}, {"term": "ignore"}, {"kill": 3000, "term": "ignore"}, {"stop": 300}, {"hangs": 2000}, {"hangs": "never"}, {"continued": 10},
    {"breeds": 4}, {"back": 200, "backs": 3}, {"zombie": 1}, {"cgroup": SCOPE}, {"cgroup": SCOPE, "term": 500}, {"cgroup": SCOPE, "hangs": 1000},
)

# Lines of an actor, and what they may leave changed.
OTHERS = {
    DAX: (("write /sys/bus/dax/drivers/device_dax/bind dax0.0", ()), (f"process {FIRST + 50}", ()), (f"signal {FIRST} 18", ()), (f"signal {FIRST} 9", ())),
    STORAGE: (("mount /mnt/nvme nvme0n1p1", ("mount",)), ("umount /mnt/nvme", ("mount",)), ("swap /mnt/nvme/swap on", ("swap",)),
              ("run mdadm --assemble /dev/md126 --uuid=369853f9-3c2b-99cb-1e78-6635578b43c1", ("md126",)),
              ("run mdadm /dev/md127 --re-add /dev/nvme0n1p2", ("md127",)), (f"process {FIRST + 50}", ())),
    PMEM: (("mount /mnt/data pmem0", ("mount",)), ("write /sys/bus/nd/drivers/nd_pmem/bind namespace0.0", ()),
           ("write /sys/bus/nd/drivers/nd_region/bind region0", ()), ("run lvchange --quiet -ay /dev/mapper/lab-scratch", ("dm-0",)),
           ("swap /dev/pmem0.3 on", ("swap",)), (f"process {FIRST + 50}", ())),
}


PLAIN = ("pid", "comm", "uid", "cwd", "uses", "later")


def process(number, place, way):
    folder, file = place
    return {"pid": FIRST + number, "comm": "db", "uid": 101, "cwd": folder, "uses": [file], **way}


def draw(random, history, event):
    """event() is one of them, as a fault has it."""
    place = PLACES[history["machine"]]
    some = [process(number, place, random.choice(WAYS)) for number in range(random.choice([0, 1, 1, 2, 3]))]
    history["processes"] = some + [{**process(50, place, {}), "later": 1}]
    if random.random() < 0.5:
        history["options"] = {"force": "kill"}
    if random.random() < FOR_OTHERS:
        lines, history["others"] = random.choice(OTHERS[history["machine"]])
        history["actors"] = {"1": lines}
        history["faults"][0].append({"kind": "actor", "arg": 1, **event()})


def without_one(history):
    """The same with one user less, or with one who is as everybody else is."""
    some = history.get("processes", [])
    for i, one in enumerate(some):
        rest = some[:i] + some[i + 1:]
        yield {**history, "processes": rest}
        plain = {key: one[key] for key in one if key in PLAIN}
        if plain != one:
            yield {**history, "processes": some[:i] + [plain] + some[i + 1:]}
