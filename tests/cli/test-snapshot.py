#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-snapshot.py CLI SOURCE_ROOT: a snapshot of a recorded machine has the same plans as that one, with the names kept to the last letter, else the
same answers; and none of a machine's secrets is in it. Of the machines one in ONE_IN is tried (SNAPSHOT_ONE_IN; default 20, 1: all), which ones
is the seed's (CHECK_SEED; default: the day)."""

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

from golden_plans import cases

CLI, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
ROOTS, PLANS = ROOT / "tests/roots", ROOT / "tests/plans"
ONE_IN = int(os.environ.get("SNAPSHOT_ONE_IN", "20"))
TURN = int(os.environ.get("CHECK_SEED") or time.time() // 86400)

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

# A removal on record, whose every word of somebody's is marked.
BOOT = UUID.replace("-", "")
STEPS = ("hold", "offline-memory")
PLAN = {"schema": "safe-remove/plan/1", "slot": {"name": "2", "port": "0000:0c:00.0"}, "target": f"/home/{MARK}", "blockers": [{"text": MARK}],
        "steps": [{"name": name, "args": {"path": f"/home/{MARK}", "comm": MARK}} for name in STEPS]}
JOURNAL = (
    {"ev": "start", "schema": "safe-remove/journal/1", "boot": BOOT, "slot": "2", "slots": ["2"], "target": f"/home/{MARK}", "trigger": "command",
     "card": {"bdf": "0000:0d:00.0", "memdev": "mem1", "serial": "0xdeadbeefcafe"}, "by": {"uid": 1000, "comm": MARK, "unit": f"{MARK}.service"},
     "options": {"force_kill": True, "timeout_sec": 30, "equal_card": MARK, "digest": MARK, "force": MARK, "zone_normal": MARK, "acknowledge": MARK,
                 "self_test": MARK, "sanitize": "0xdeadbeefcafe,0x5"}, "usec": 1764000000000000},
    {"ev": "do", "n": 0, "usec": 1764000001000000}, {"ev": "note", "n": 0, "note": {"comm": MARK}}, {"ev": "done", "n": 0, "usec": 1764000002000000},
    {"ev": "before", "picture": {"mounts": [f"/home/{MARK}"]}}, {"ev": "write", "what": MARK, "pid": 812}, {"ev": "do", "n": 1, "usec": 1764000002000000},
    {"ev": "back", "code": "MEMORY_BUSY", "why": f"{MARK} has it"}, {"ev": "lost", "n": 1, "text": MARK}, {"ev": MARK}, {"ev": "undo", "n": 1}, {"ev": "undone", "n": 1},
    {"ev": "undo", "n": 0}, {"ev": "undone", "n": 0}, {"ev": "end", "outcome": "restored", "code": "MEMORY_BUSY", "message": f"process 812 ({MARK}) has it",
                                                      "remedy": f"kill {MARK}", "lost": [MARK], "disturbed": [MARK], "usec": 1764000003000000})


def escaped(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def on_record(number, journal=JOURNAL):
    """The lines of a recording that has this removal."""
    texts = {"journal": "".join(json.dumps(record) + "\n" for record in journal), "plan.json": json.dumps(PLAN) + "\n"}
    return "".join(f"f\t/var/lib/safe-remove/removals/{number}/{name}\t{escaped(text)}\n" for name, text in texts.items())


def run(*argv, prefix=(), **more):
    environment = dict(os.environ, SAFE_REMOVE_WORKER=str(CLI.parents[1] / "daemon/safe-remove-worker"))
    done = subprocess.run([*prefix, CLI, *argv], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False, **more)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def machines():
    """Recorded machine -> (name, targets, options) of each plan there."""
    found = {}
    for name, root, targets, options in cases(PLANS):
        found.setdefault(root, []).append((name, targets, options))
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
    chosen = [case for i, case in enumerate(machines().items()) if (i + TURN) % ONE_IN == 0]
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
    assert done.returncode == 0 and done.stdout.startswith("# safe-remove snapshot 2, names made up"), done
    for text in (done.stdout, done.stderr, run("simulate", machine, "snapshot", "--json").stdout):
        told = [line for line in text.splitlines() if any(s in line.lower() for s in SECRETS)]
        assert not told, "\n".join(told)
    # The same name everywhere: what is mounted is still found by its disk, and the process by what it has open.
    name = re.search(r"dm/name\t(\S+?)_rimage_0\\n", done.stdout).group(1)
    assert f"/dev/mapper/{name} " in done.stdout, name
    folder_of = re.search(r"95 25 259:1 / (\S+) rw", done.stdout).group(1)
    assert f"l\t/proc/812/cwd\t{folder_of}\n" in done.stdout, folder_of


def records(folder):
    """Removals are recorded: with the names kept to the last letter; else who asked, what was done when, and how it ended, without a word of anybody's."""
    machine, empty, kept, made = (folder / f"records-{name}.root" for name in ("of", "none", "kept", "made"))
    empty.write_text(f"i\t{os.path.relpath(ROOTS / 'ram2.root', folder)}\nf\t/proc/sys/kernel/random/boot_id\t{UUID}\\n\n")
    machine.write_text(f"i\t{empty.name}\n" + on_record(7) + on_record(8, JOURNAL[:5]))
    for file, *more in ((kept, "--keep-names"), (made,)):
        assert run("simulate", machine, "snapshot", "-o", file, *more).returncode == 0
    of = [line for line in machine.read_text().splitlines() if "removals/" in line]
    assert sorted(of) == sorted(line for line in kept.read_text().splitlines() if "removals/" in line)
    for what in (["history", "--json"], ["status", "7"], ["plan", "2", "--json"]):
        want, got = (run("simulate", file, *what) for file in (machine, kept))
        assert (got.returncode, got.stdout) == (want.returncode, want.stdout) and want.stdout, (what, got, want)

    text = made.read_text()
    assert not [s for s in (*SECRETS, BOOT) if s in text.lower()], text
    real, told = (json.loads(run("simulate", file, "history", "--json").stdout)["removals"] for file in (machine, made))
    assert [r["id"] for r in told] == ["8", "7"] and MARK in real[1]["message"], (real, told)
    for was, shown in zip(real, told):
        for key in ("slot", "slots", "trigger", "ended", "outcome", "code", "started_usec", "ended_usec", "steps_done", "steps_undone"):
            assert was.get(key) == shown.get(key), (key, was, shown)
        options = shown["options"]
        assert shown["by"] == {"uid": 1000} and options.pop("sanitize").split(",")[0] == shown["card"]["serial"], shown
        assert options == {"force_kill": True, "timeout_sec": 30}, shown
        assert shown["card"]["memdev"] == "mem1" and shown["card"]["serial"] != was["card"]["serial"], shown
        assert re.search(r"boot_id\t(\S+)\\n", text).group(1).replace("-", "") == shown["boot"], shown
    assert "(not shown)" in run("simulate", made, "status", "7").stdout
    assert [f'"name":"{name}"' in text for name in STEPS] == [True, True]
    # How far one is that goes on just then is not enough to plan beside it.
    plan = json.loads(run("simulate", made, "plan", "2", "--json").stdout)
    assert [b["code"] for b in plan["blockers"]] == ["RECORD_UNREAD"], plan
    for sanitize, shown in (("yes", "yes"), (f"0x5,{MARK}", "(not shown)")):
        machine.write_text(f"i\t{empty.name}\n" + on_record(7, ({**JOURNAL[0], "options": {"sanitize": sanitize, "self_test": "held"}}, *JOURNAL[1:])))
        text = run("simulate", machine, "snapshot").stdout
        assert f'"sanitize":"{shown}"' in text and '"self_test":"held"' in text and MARK not in text, text
    assert "no removals yet" in run("simulate", empty, "history").stdout


def many_records(folder):
    """There is an end to it, and what is left out is told; the newest are there."""
    machine, other = folder / "many.root", folder / "large.root"
    include = f"i\t{os.path.relpath(ROOTS / 'bare.root', folder)}\n"
    machine.write_text(include + "".join(map(on_record, range(1, 61))))
    large = (*JOURNAL[:5], {"ev": "note", "n": 0, "note": {"text": "x" * 700000}}, *JOURNAL[5:])
    other.write_text(include + on_record(1) + on_record(2, large) + on_record(3, large) + on_record(4))
    for file, ids, left in ((machine, range(60, 10, -1), "10 of 60"), (other, (4, 3, 1), "1 of 4")):
        done = json.loads(run("simulate", file, "snapshot", "--keep-names", "--json").stdout)
        assert [int(i) for i in re.findall(r"removals/(\d+)/journal", done["recording"])] == list(ids), file
        assert f"{left} left out: no more than the newest 50" in done["missing"][0]["why"], done["missing"]
        assert f"{left} left out" in run("simulate", file, "snapshot").stderr


def not_ours(folder):
    """Whose records we may not read, of his none is recorded, and we are told."""
    state, file = folder / "state", folder / "not-ours"
    (state / "removals/7").mkdir(parents=True)
    for name, text in (("journal", "".join(json.dumps(r) + "\n" for r in JOURNAL)), ("plan.json", json.dumps(PLAN))):
        (state / "removals/7" / name).write_text(text)
    os.environ["SAFE_REMOVE_STATE_DIR"] = str(state)
    here = run("snapshot", "--keep-names", "--json")
    assert "removals/7/journal" in json.loads(here.stdout)["recording"]
    state.chmod(0)
    file.touch(0o666)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] if os.geteuid() == 0 else []
    folder.chmod(0o711)
    if subprocess.run([*prefix, CLI, "--help"], capture_output=True, check=False).returncode == 0:
        done = run("snapshot", "--json", prefix=prefix)
        told = json.loads(done.stdout)
        assert "removals/7" not in told["recording"] and told["missing"][0] == {"path": "/var/lib/safe-remove/removals", "why": "Permission denied"}, told["missing"]
        done = run("snapshot", prefix=prefix)
        assert "/var/lib/safe-remove/removals: Permission denied" in done.stderr and "root can read more" in done.stderr, done.stderr
    else:
        print(f"skipped: uid 65534 cannot run {CLI}: what it is told of records it may not read was not looked at", file=sys.stderr)
    del os.environ["SAFE_REMOVE_STATE_DIR"]
    state.chmod(0o700)


def this_machine(folder):
    """Whoever asks gets what he may read, and is told what he may not."""
    file = folder / "here"
    done = run("snapshot", "-o", file)
    text = file.read_text()
    assert done.returncode == 0 and not done.stdout and text.startswith("# safe-remove snapshot 2, "), done
    assert len(socket.gethostname()) < 4 or socket.gethostname() not in text
    assert run("simulate", file, "list").returncode == 0
    assert run("snapshot").stdout.startswith("# safe-remove snapshot 2, ")
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
        records(Path(folder))
        many_records(Path(folder))
        not_ours(Path(folder))
        this_machine(Path(folder))
        round_trips(Path(folder))


main()
