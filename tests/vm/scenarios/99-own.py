# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the program itself takes of the machine: no memory of a card, and no more after many removals than after a few."""

import contextlib
import os

from harness import removal
from harness.errors import Timeout
from harness.scenario import scenario

UNITS = ("safe-remove-guard.service", "safe-removed.service")
CYCLES = int(os.environ.get("LAB_CYCLES", 200 if os.environ.get("LAB_LONG") else 10))
WARM_UP = 3


def restart(lab):
    lab.sh("systemctl daemon-reload; systemctl restart " + " ".join(UNITS))
    lab.wait_for(lambda: lab.cli("list", check=False)[0] == 0, 60, "the daemon")


def processes(lab):
    """{pid: its name} of both units. Who ends while that is asked has no name."""
    lines = lab.sh("for u in " + " ".join(UNITS) + "; do for p in $(cat /sys/fs/cgroup/system.slice/$u/cgroup.procs); do "
                   "echo $p $(cat /proc/$p/comm 2> /dev/null); done; done").splitlines()
    return {int(pid): name for pid, _, name in (line.partition(" ") for line in lines) if name}


def on_node(lab, pid, node):
    """The mappings of a process with pages of its own on a node. (Those of a library are everybody's.)"""
    maps = lab.sh(f"cat /proc/{pid}/numa_maps 2> /dev/null || true").splitlines()
    return [line for line in maps if f" N{node}=" in line and " anon=" in line]


@scenario("own-memory", turn=True)
def own_memory(lab):
    """The services are started with their memory on the card, of which most is somebody's already, and so is most of what else there is: nothing of them is there
    when they run, nor of those who take the card out."""
    ram = lab.ram(2)
    free = int(lab.sh(f"awk '/MemFree/ {{print int($4 / 1024)}}' /sys/devices/system/node/node{ram.node}/meminfo"))
    there = lab.keeper(ram.node, mib=free // 2, bind=True)
    for unit in UNITS:
        lab.write(f"/run/systemd/system/{unit}.d/own.conf", f"[Service]\nNUMAPolicy=bind\nNUMAMask={ram.node}\n")
    lab.cleanup(lambda: (lab.sh("rm -rf " + " ".join(f"/run/systemd/system/{unit}.d/own.conf" for unit in UNITS)), restart(lab)))
    restart(lab)
    there.finish()
    keeper = lab.keeper(ram.node, mib=32)
    at, number = "after-hold", removal.last_id(lab) + 1
    go = removal.drill(lab, at)
    lab.cli("remove", "2", "--no-wait")
    removal.wait_for_record(lab, number, '"ev":"do","n":0,', 60)
    lab.wait_for(lambda: "safe-remove-wor" in processes(lab).values(), 30, "the worker")
    found = processes(lab)
    lab.check({"safe-removed", "safe-remove-gua"} <= set(found.values()), f"daemon, guard and worker should run: {found}")
    for pid, name in found.items():
        lab.equal(on_node(lab, pid, ram.node), [], f"the memory of {name} on the card")
    lab.sh(go)
    lab.equal(removal.wait_for_end(lab, number, 120)["outcome"], "safe", "the ending")
    removal.check_safe(lab, 2, ram)
    keeper.finish()


OURS = {"safe-removed": "daemon", "safe-remove-gua": "guard", "safe-remove-sta": "starter"}


def taken(lab):
    """What there is of it: descriptors and memory of those who stay, the kernel's memory, addresses and objects."""
    lab.wait_for(lambda: "safe-remove-idl" in processes(lab).values(), 30, "the worker that is made beforehand")
    counts = {"processes of ours": len(processes(lab))}
    for pid, name in processes(lab).items():
        if name in OURS:
            said = lab.sh(f"ls /proc/{pid}/fd 2> /dev/null | wc -l; awk '/^RssAnon/ {{print $2}}' /proc/{pid}/status 2> /dev/null || true").split()
            for what, n in zip(("descriptors", "KiB"), said):
                counts[f"{OURS[name]}: {what}"] = counts.get(f"{OURS[name]}: {what}", 0) + int(n)
    counts["lines of iomem"] = int(lab.sh("wc -l < /proc/iomem"))
    counts["devices"] = int(lab.sh("ls /sys/bus/cxl/devices /sys/bus/dax/devices /sys/bus/pci/devices /sys/bus/memory/devices | wc -l"))
    counts["mounts"] = int(lab.sh("wc -l < /proc/self/mountinfo"))
    counts["files in /run"] = int(lab.sh("find /run/safe-remove -type f ! -path '*/ended/*' | wc -l"))
    lab.sh("sync; echo 3 > /proc/sys/vm/drop_caches")
    counts["open files"] = int(lab.sh("cut -f 1 /proc/sys/fs/file-nr"))
    for key in ("SUnreclaim", "VmallocUsed", "Percpu", "PageTables"):
        counts[f"kernel: {key} KiB"] = int(lab.sh(f"awk '/^{key}:/ {{print $2}}' /proc/meminfo"))
    return counts


def grown(before, after):
    """{what: (before, after)}. Memory and open files vary a little by themselves; that does not grow with the number of cycles, so that many of them find a small leak."""
    slack = {"open files": 128, **{f"{name}: KiB": 256 for name in OURS.values()}, **{key: 1536 for key in before if key.startswith("kernel: ")}}
    return {key: (before[key], after[key]) for key in before if after.get(key, 0) - before[key] > slack.get(key, 0)}


def check_nothing_left(lab, first, before):
    """What comes and goes, as a look of the daemon's does, has the time to go."""
    found = []

    def looked():
        found.append(taken(lab))
        return not grown(before, found[-1])
    with contextlib.suppress(Timeout):
        lab.wait_for(looked, 30, "nothing to be left")
    print(f"     {CYCLES} cycles, before, at half time and after: " + ", ".join(f"{key} {first[key]} {before[key]} {found[-1].get(key)}" for key in before), flush=True)
    lab.equal(grown(before, found[-1]), {}, f"what there is more of after the second half of {CYCLES} cycles")


@scenario("own-cycles", turn=True, timeout=3500 if os.environ.get("LAB_LONG") else 600)
def cycles(lab):
    """Out and in again, many times: nothing is left of any of it, neither in the daemon nor in the kernel. What the kernel makes once for all (slabs, areas that it
    keeps for the next time) it has made in the first half."""
    ram, before = lab.ram(2), None
    for n in range(WARM_UP + CYCLES):
        if n == WARM_UP:
            first = taken(lab)
        if n == WARM_UP + CYCLES // 2:
            before = taken(lab)
        lab.cli("remove", "2")
        lab.slot(2).insert()
        lab.wait_for(lambda: lab.cli("restore", "2", check=False)[0] == 0, 120, "the restoration")
    lab.equal(ram.online(), 4, "the blocks online")
    check_nothing_left(lab, first, before)
