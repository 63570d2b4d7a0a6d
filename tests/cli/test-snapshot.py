#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-snapshot.py CLI SOURCE_ROOT: a snapshot of a recorded machine has the same plans as that one, with the names kept to the last letter, else the
same answers; and none of a machine's secrets is in it. Of the machines one in ONE_IN is tried (SNAPSHOT_ONE_IN; default 20, 1: all), which ones
is the turn's (SNAPSHOT_TURN; default: the day)."""

import concurrent.futures
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLI, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
ROOTS, PLANS = ROOT / "tests/roots", ROOT / "tests/plans"
ONE_IN = int(os.environ.get("SNAPSHOT_ONE_IN", "20"))
TURN = int(os.environ.get("SNAPSHOT_TURN", time.time() // 86400))

# Each value is one that somebody may not want to show. The word in it is looked for in the snapshot, whatever became of its form.
MARK = "zq9x"
UUID = "5ec2e7aa-1111-4222-8333-99990000abcd"
SECRETS = (MARK, "5ec2e7", "deadbeefcafe", "203.0.113", "2001:db8", "c0:ff:ee")
DM = "/sys/devices/virtual/block/dm-9"
NVME = "/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0/nvme/nvme0"
TARGET = "/sys/kernel/config/target"
MARKED = f"""
l	/sys/class/block/dm-9	../../devices/virtual/block/dm-9
f	{DM}/dev	252:9\\n
f	{DM}/size	2048\\n
f	{DM}/ro	0\\n
f	{DM}/dm/name	{MARK}vg-{MARK}--lv_rimage_0\\n
f	{DM}/dm/uuid	CRYPT-LUKS2-deadbeefcafe00112233445566778899-{MARK}home\\n
f	{DM}/uevent	MAJOR=252\\nMINOR=9\\nDEVNAME=dm-9\\nPARTNAME={MARK}part\\nSERIAL={MARK}\\n
l	{DM}/subsystem	../../../../class/block
d	{DM}/slaves
d	{DM}/holders
l	/sys/class/nvme/nvme0	{NVME}
l	{NVME}/subsystem	../../../../../../class/nvme
f	{NVME}/serial	{MARK}SN\\n
f	{NVME}/subsysnqn	nqn.2026-01.com.{MARK}:box\\n
f	{NVME}/hostnqn	nqn.2014-08.org.nvmexpress:uuid:{UUID}\\n
f	{NVME}/hostid	{UUID}\\n
f	{NVME}/address	traddr=203.0.113.7,trsvcid=4420,host_traddr=2001:db8::17\\n
f	{NVME}/dhchap_secret	DHHC-1:00:{MARK}\\n
f	{NVME}/nvme0n1/wwid	eui.deadbeefcafe0001\\n
f	{NVME}/nvme0n1/nguid	deadbeefcafe00020000000000000000\\n
f	{TARGET}/core/iblock_0/{MARK}vol/info	Status: ACTIVATED\\n        iBlock device: nvme0n1  UDEV PATH: /dev/{MARK}vg/{MARK}lv  readonly: 0\\n
f	{TARGET}/core/iblock_0/{MARK}vol/wwn/vpd_unit_serial	T10 VPD Unit Serial Number: {UUID}\\n
f	{TARGET}/iscsi/iqn.2026-01.com.{MARK}:disk/tpgt_1/auth/password	{MARK}\\n
f	{TARGET}/iscsi/iqn.2026-01.com.{MARK}:disk/tpgt_1/auth/userid	{MARK}\\n
d	/sys/kernel/config/cluster/{MARK}cluster/heartbeat/{MARK}region
d	/sys/fs/btrfs/{UUID}/devices
f	/sys/fs/btrfs/{UUID}/label	{MARK}label\\n
f	/sys/kernel/tracing/uprobe_events	p:uprobes/p_{MARK}_0x10 /srv/{MARK}/app:0x0000000000000010\\n
f	/proc/swaps	Filename\\t\\t\\t\\tType\\t\\tSize\\t\\tUsed\\t\\tPriority\\n/home/{MARK}/swap                    file\\t\\t1024\\t\\t0\\t\\t-2\\n
f	/proc/net/rpc/nfsd.export/content	#path domain(flags)\\n/srv/{MARK}\\tclient.{MARK}.example(rw,uuid={UUID.replace("-", "")[:8]}:5ec2e7aa:5ec2e7aa:5ec2e7aa)\\n/srv/x\\t203.0.113.0/24(ro)\\n
f	/proc/1/mountinfo	24 25 0:6 / /dev rw shared:2 - devtmpfs none rw\\n25 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\\n90 25 259:1 /{MARK}/sub /home/{MARK}/it\\\\040is rw shared:46 - btrfs /dev/mapper/{MARK}vg-{MARK}--lv rw,subvol=/{MARK}\\n91 25 0:50 / /srv/{MARK} rw - nfs4 {MARK}.example.com:/export/{MARK} rw,addr=203.0.113.9,clientaddr=203.0.113.8\\n92 25 0:51 / /mnt/{MARK} rw - cifs //{MARK}server/share rw,username={MARK},domain={MARK}\\n93 25 0:52 / /x{MARK} rw - fuse.sshfs {MARK}@{MARK}:/ rw,user_id=1000\\n94 25 0:53 / /data rw - overlay overlay rw,lowerdir=/home/{MARK}/a:/home/{MARK}/b,upperdir=/home/{MARK}/c,workdir=/w{MARK}\\n95 25 259:1 / /home/{MARK}/in rw - ext4 /dev/nvme0n1p1 rw\\n
f	/proc/812/comm	{MARK}app\\n
f	/proc/812/stat	812 ({MARK}app) S 1 812 812 0 -1 4194304 100 0 0 0 1 1 0 0 20 0 1 0 312 8192 256\\n
f	/proc/812/status	Name:\\t{MARK}app\\nState:\\tS (sleeping)\\nTgid:\\t812\\nPid:\\t812\\nPPid:\\t1\\nUid:\\t0\\t0\\t0\\t0\\nThreads:\\t1\\n
f	/proc/812/cgroup	0::/user.slice/user-1000.slice/user@1000.service/app.slice/{MARK}.service\\n
f	/proc/812/cmdline	{MARK}\\x00--password={MARK}\\x00
f	/proc/812/environ	TOKEN={MARK}\\x00
f	/proc/812/maps	7f0000000000-7f0000001000 rw-s 00000000 103:01 12 /home/{MARK}/in/{MARK}.db\\n
l	/proc/812/exe	/opt/{MARK}/bin/{MARK}app
l	/proc/812/cwd	/home/{MARK}/in
l	/proc/812/fd/7	/home/{MARK}/in/{MARK}.db
f	/etc/safe-remove/policy.d/50-{MARK}.policy	[Rule]\\nUnit={MARK}.service\\n
"""


def run(*argv, **more):
    environment = dict(os.environ, SAFE_REMOVE_WORKER=str(CLI.parents[1] / "daemon/safe-remove-worker"))
    done = subprocess.run([CLI, *argv], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False, **more)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def cases():
    """Recorded machine -> (name, targets, options) of each plan there."""
    found = {}
    for line in (PLANS / "cases").read_text().splitlines():
        if line and not line.startswith("#"):
            name, root, target, options = line.split(maxsplit=3)
            found.setdefault(root, []).append((name, target.split("+"), json.loads(options)))
    for line in (PLANS / "machines").read_text().splitlines():
        if line and not line.startswith("#"):
            name, target, *_ = line.split()
            found.setdefault(f"cases/{name}.root", []).append((f"machine-{name}", target.split("+"), {}))
    return found


def answer(plan):
    return (plan["verdict"], *(sorted(f["code"] for f in plan[kind]) for kind in ("blockers", "warnings")), [step["name"] for step in plan["steps"]])


def compare(folder, root, plans):
    """What is wrong with the snapshots of one machine."""
    wrong = []
    for keep in (True, False):
        file = folder / f"{root.replace('/', '-')}-{keep}"
        done = run("simulate", ROOTS / root, "snapshot", "-o", file, *(["--keep-names"] if keep else []))
        if done.returncode != 0:
            return [f"{root}: {done.stderr}"]
        for name, targets, options in plans:
            want = json.loads((PLANS / f"{name}.json").read_text())
            # By a serial number and the like, which is another one without names.
            if want.get("type") == "error" or (not keep and any(len(t) > 7 for t in targets)) or "sanitize" in options:
                continue
            words = [f"--{k.removesuffix('_sec').replace('_', '-')}={v}" for k, v in options.items()]
            done = run("simulate", file, "plan", "--json", *targets, *words)
            got = json.loads(done.stdout)
            if (got != want) if keep else ("steps" not in got or answer(got) != answer(want)):
                wrong.append(f"{name}, names {'kept' if keep else 'made up'}: {[k for k in want if got.get(k) != want[k]]} {done.stdout[:200] if 'steps' not in got else ''}")
    return wrong


def round_trips(folder):
    chosen = [case for i, case in enumerate(cases().items()) if (i + TURN) % ONE_IN == 0]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [line for lines in pool.map(lambda c: compare(folder, *c), chosen) for line in lines]
    assert chosen and not wrong, "\n".join(wrong)


def secrets(folder):
    machine = folder / "marked.root"
    machine.write_text(f"i\t{os.path.relpath(ROOTS / 'cases/o2cb-heartbeat.root', folder)}\n" + MARKED)
    kept = run("simulate", machine, "snapshot", "--keep-names")
    # What this test looks for is recorded at all; a key or a command line never is.
    assert kept.returncode == 0, kept
    for what in ("dm/name", "dm/uuid", "subsysnqn", "hostid", "wwid", "uprobe_events", "swaps", "nfsd.export", "812/comm", "812/maps", "812/fd/7", "policy.d",
                 "btrfs", "cluster", "vpd_unit_serial"):
        line = [line for line in kept.stdout.splitlines() if what in line and any(s in line for s in SECRETS)]
        assert line, f"{what} is not recorded\n{kept.stdout[-3000:]}"
    for never in ("dhchap_secret", "auth/password", "auth/userid", "cmdline", "environ", "--password"):
        assert never not in kept.stdout, never
    done = run("simulate", machine, "snapshot")
    assert done.returncode == 0 and done.stdout.startswith("# safe-remove snapshot 1, names made up"), done
    for text in (done.stdout, done.stderr, run("simulate", machine, "snapshot", "--json").stdout):
        told = [line for line in text.splitlines() if any(s in line.lower() for s in SECRETS)]
        assert not told, "\n".join(told)
    # The same name everywhere: what is mounted is still found by its disk, and the process by what it has open.
    name = re.search(r"dm/name\t(\S+?)_rimage_0\\n", done.stdout).group(1)
    assert f"/dev/mapper/{name} " in done.stdout, name
    folder_of = re.search(r"95 25 259:1 / (\S+) rw", done.stdout).group(1)
    assert f"l\t/proc/812/cwd\t{folder_of}\n" in done.stdout, folder_of


def this_machine(folder):
    """Whoever asks gets what he may read, and is told what he may not."""
    file = folder / "here"
    done = run("snapshot", "-o", file)
    text = file.read_text()
    assert done.returncode == 0 and not done.stdout and text.startswith("# safe-remove snapshot 1, "), done
    assert len(socket.gethostname()) < 4 or socket.gethostname() not in text
    assert run("simulate", file, "list").returncode == 0
    assert run("snapshot").stdout.startswith("# safe-remove snapshot 1, ")
    assert json.loads(run("snapshot", "--json").stdout)["schema"] == "safe-remove/snapshot/1"
    assert run("snapshot", "-o", folder / "not-there/x").returncode == 1
    # Once more, in its place; and not through what somebody else has put there.
    assert run("snapshot", "-o", file).returncode == 0
    (folder / "link").symlink_to(folder / "aim")
    os.mkfifo(folder / "fifo")
    for place in ("link", "fifo"):
        assert run("snapshot", "-o", folder / place).returncode == 1
    assert (folder / "link").is_symlink() and (folder / "fifo").is_fifo() and not (folder / "aim").exists()
    assert not list(folder.glob("*.new"))


def main():
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        secrets(Path(folder))
        this_machine(Path(folder))
        round_trips(Path(folder))


main()
