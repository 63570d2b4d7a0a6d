# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory of a card that cannot simply move: named with its size before anything is touched, and with a remedy that works when pasted."""

from harness import removal, storage
from harness.scenario import scenario

POOL = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"


def named(lab, code, *words):
    """The blocker with this code, which says all these words."""
    blockers = storage.plan(lab, "2")["blockers"]
    found = [blocker for blocker in blockers if blocker["code"] == code]
    lab.check(found, f"{code} should be in the way: {blockers}")
    said = found[0]["what"] + " " + found[0]["evidence"]
    for word in words:
        lab.check(str(word) in said, f"'{word}' should be said: {said}")
    return found[0]


def refused_until(lab, blocker, remedy):
    """Refused with nothing touched; once the remedy is pasted the card can be removed."""
    before = removal.Picture.take(lab)
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.BLOCKED, f"the exit status ({out}{err})")
    lab.check(blocker["code"] in out + err, f"{blocker['code']} should be given as the reason: {out}{err}")
    removal.check_untouched(lab, 2, before)
    lab.sh(blocker["remedy"][remedy])
    lab.equal(storage.codes(storage.plan(lab, "2")), set(), "what is in the way after the remedy")


@scenario("memory-tmpfs", turn=True)
def tmpfs(lab):
    """A tmpfs whose files may be on the card only."""
    ram = lab.ram(2)
    lab.sh(f"mkdir -p /mnt/bound && mount -t tmpfs -o mpol=bind:{ram.node},size=64M tmpfs /mnt/bound")
    lab.cleanup(lambda: lab.run("umount /mnt/bound", check=False))
    lab.sh("dd if=/dev/zero of=/mnt/bound/file bs=1M count=4 status=none")
    refused_until(lab, named(lab, "BOUND_TMPFS", "/mnt/bound", "4096 KiB"), 0)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("memory-hugetlb", turn=True)
def hugetlb(lab):
    """Huge pages that were promised to somebody, and are nowhere but on the card."""
    ram = lab.ram(2)
    here, there = POOL.format(ram.node), POOL.format(0)
    lab.cleanup(lambda: lab.sh(f"echo 0 > {there}; [ ! -e {here} ] || echo 0 > {here}"))
    lab.sh(f"echo 8 > {here} && mkdir -p /mnt/huge && mount -t hugetlbfs -o pagesize=2M,min_size=16M none /mnt/huge")
    lab.cleanup(lambda: lab.run("umount /mnt/huge", check=False))
    pools = [pool for pool in storage.plan(lab, "2")["memory"]["huge_pages"] if pool["node"] == ram.node]
    lab.equal([(pool["page_bytes"], pool["total"]) for pool in pools], [(2 << 20, 8)], "the pools of the card")
    refused_until(lab, named(lab, "HUGETLB_NO_ROOM", "2 MiB", "16 MiB", "8 promised"), 0)
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


@scenario("memory-hugetlb-called-off", turn=True)
def hugetlb_called_off(lab):
    """Huge pages that nobody uses go with the memory that they lie on, and do not come back with it: told, with the line that brings them back."""
    ram = lab.ram(2)
    pool = POOL.format(ram.node)
    lab.cleanup(lambda: lab.sh(f"[ ! -e {pool} ] || echo 0 > {pool}"))
    lab.sh(f"echo 8 > {pool}")
    end = storage.call_off_at(lab, "disable-dax")
    lab.equal([line.split(",")[0] for line in end["lost"]], [f"huge pages of 2048 KiB on node {ram.node} is not there any more"], "what is listed")
    lab.sh(end["lost"][0].split("to have it as it was: ")[1])
    lab.equal(lab.sh(f"cat {pool}"), "8", "the pages on the node")


@scenario("memory-mempolicy")
def mempolicy(lab):
    """A process that may have its memory nowhere else."""
    ram = lab.ram(2)
    keeper = lab.keeper(ram.node, mib=4, bind=True)
    blocker = named(lab, "BOUND_PROCESS", "keeper", "KiB")
    kib = int(blocker["evidence"].split("; ")[1].split()[0])
    lab.check(kib >= 4096, f"its 4 MiB should be counted: {blocker['evidence']}")
    refused_until(lab, blocker, 0)
    lab.check(not keeper.running(), "the remedy should have stopped it")
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)


def moved_away(lab, pid, node):
    lab.sh(f"migratepages {pid} {node} 0")
    return f" N{node}=" not in lab.sh(f"cat /proc/{pid}/numa_maps")


@scenario("memory-interleaved-called-off", turn=True)
def interleaved_called_off(lab):
    """A process that has its memory on the card's node and another one by turns has it on the other one alone when the memory was away for a while;
    and so is one that has a policy alone, and none of its memory there."""
    ram = lab.ram(2)
    # It waits with its buffer in memory, until somebody reads.
    lab.spawn("interleaved", f"exec numactl --interleave=0,{ram.node} sh -c 'dd if=/dev/zero bs=8M count=1 | sleep infinity'")
    lab.wait_for(lambda: any(h.get("in_policy") and h["comm"] == "dd" for h in storage.plan(lab, "2")["holders"]), 30, "its memory to be there")
    absent = lab.spawn("absent", f"exec numactl --interleave=0,{ram.node} tail -f /dev/null")
    lab.wait_for(lambda: lab.sh(f"cat /proc/{absent.pid}/comm").strip() == "tail", 30, "the program")
    lab.wait_for(lambda: moved_away(lab, absent.pid, ram.node), 30, "its memory to be elsewhere")
    named = [h for h in storage.plan(lab, "2")["holders"] if h.get("pid") == absent.pid]
    lab.check(named and named[0]["in_policy"] and named[0]["bytes"] == 0, f"it should be listed for its policy: {named}")
    end = storage.call_off_at(lab, "disable-dax")
    said = [line for line in end["lost"] if "memory policy" in line]
    lost = [line.split(" (")[1].split(")")[0] for line in said]
    lab.check("dd" in lost and "tail" in lost, f"the loss of both should be listed: {said}")
    lab.check(f"node {ram.node} is no longer in its memory policy" in said[0], f"the node should be named: {said[0]}")


@scenario("memory-cgroup", timeout=240, turn=True)
def cgroup(lab):
    """What would fit into swap, if the limit of a control group above the one that has the memory did not forbid it."""
    ram = lab.ram(2)
    # Huge pages are the quickest way to use up what is left: nobody fills them. They come first, while there is room to find them.
    lab.cleanup(lambda: lab.sh(f"echo 0 > {POOL.format(0)}; [ ! -e {POOL.format(ram.node)} ] || echo 0 > {POOL.format(ram.node)}"))
    lab.sh("echo 3 > /proc/sys/vm/drop_caches")
    free = int(lab.sh("awk '/Node 0 MemFree/ {print $4}' /sys/devices/system/node/node0/meminfo"))
    lab.sh(f"echo 240 > {POOL.format(ram.node)}; echo {(free >> 11) - 280} > {POOL.format(0)}", timeout=120)
    large = lab.spawn("large", [lab.program("keeper"), "--node=0", "--mib=400"], properties=["MemorySwapMax=0"])
    large.wait_for_output("ready")
    lab.sh("truncate -s 1G /run/swapfile && losetup /dev/loop0 /run/swapfile && mkswap -q /dev/loop0 && swapon /dev/loop0", timeout=120)
    lab.cleanup(lambda: lab.run("swapoff /dev/loop0; losetup -d /dev/loop0; rm -f /run/swapfile", check=False))
    blocker = named(lab, "CGROUP_LIMIT", "512 MiB go", "large.service has 4", "may swap 0 MiB more")
    refused_until(lab, blocker, 0)
    lab.check(large.running(), "the remedy should not have stopped it")


@scenario("memory-files", timeout=240, turn=True)
def files(lab):
    """The files whose page cache is on the card are named with what they have there; so are those of a tmpfs."""
    ram = lab.ram(2)
    # On a loop device in memory: the emulated machine's disks cannot reach into the memory of its cards.
    lab.sh("truncate -s 32M /run/image && losetup /dev/loop0 /run/image")
    lab.cleanup(lambda: lab.run("umount /mnt/files; losetup -d /dev/loop0; rm -f /run/image /run/in-memory", check=False))
    disk = lab.filesystem("/dev/loop0", "ext4", target="/mnt/files")
    disk.fill("cached", mib=4)
    disk.umount()
    disk.mount()
    read = "cat < {} > /dev/null; dd if=/dev/zero of=/run/in-memory bs=1M count={} status=none; sleep {}"
    lab.sh(read.format("/dev/null", 0, 0))  # so that the programs are in memory already
    reader = lab.spawn("reader", read.format("/mnt/files/cached", 2, "infinity"),
                       properties=["NUMAPolicy=preferred", f"NUMAMask={ram.node}"])
    lab.wait_for(lambda: lab.sh("stat -c %s /run/in-memory 2> /dev/null || true") == str(2 << 20), 30, "the files to be there")
    node = storage.plan(lab, "2")["memory"]["nodes"][0]
    found = {file["path"]: file["bytes"] >> 10 for file in node["files"]}
    lab.check(found.get("/mnt/files/cached", 0) >= 4096, f"the cached file should be named with its size: {found}")
    lab.equal(found.get("/run/in-memory"), 2048, f"KiB of the file in memory, of {found}")
    lab.check("/mnt/files/cached" in lab.cli("plan", "2")[1], "the plan for people should name it")
    reader.stop()
    lab.cli("remove", "2")
    removal.check_safe(lab, 2, ram)
