#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-simulate.py CLI SOURCE_ROOT: a recorded machine has the plans there that it has where it was recorded (tests/plans has them), and a recording
that somebody has made to do harm does none. Of the plans one in ONE_IN is made (SIMULATE_ONE_IN; default 5, 1: all), which ones is the seed's
(CHECK_SEED; default: the day)."""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from golden_plans import cases

CLI, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
ROOTS, PLANS = ROOT / "tests/roots", ROOT / "tests/plans"
ONE_IN = int(os.environ.get("SIMULATE_ONE_IN", "5"))
TURN = int(os.environ.get("CHECK_SEED") or time.time() // 86400)
SECRET = "5ec2e7-not-of-this-machine"

# What is refused before any worker is asked, and is told otherwise than a worker tells it.
REFUSED = {"bad-option", "sanitize-malformed"}
CODES = {"unknown": 3, "malformed": 64, "ambiguous": 3}
VERDICTS = {"ready": 0, "nothing": 2, "blocked": 5}


def simulate(machine, *argv, **more):
    return subprocess.run([CLI, "simulate", machine, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False, **more)


def option(name, value):
    return f"--{name.removesuffix('_sec').replace('_', '-')}={value}"


def compare(case):
    """What is wrong with one plan, or nothing."""
    name, root, targets, options = case
    want = json.loads((PLANS / f"{name}.json").read_text())
    done = simulate(ROOTS / root, "plan", "--json", *targets, *(option(*o) for o in options.items()))
    assert "Sanitizer" not in done.stderr, done.stderr
    if want.get("type") == "error":
        return None if done.returncode == CODES[want["code"]] else f"{name}: exit {done.returncode}, {done.stdout}{done.stderr}"
    if done.returncode != VERDICTS[want["verdict"]]:
        return f"{name}: exit {done.returncode}, {done.stdout}{done.stderr}"
    got = json.loads(done.stdout)
    return None if got == want else f"{name}: differs in {[k for k in want if got.get(k) != want[k]]}"


def plans():
    chosen = [case for i, case in enumerate(cases(PLANS)) if case[0] not in REFUSED and (i + TURN) % ONE_IN == 0]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [line for line in pool.map(compare, chosen) if line]
    assert chosen and not wrong, "\n".join(wrong)


def other_looks():
    ram = ROOTS / "ram2.root"
    for argv, words, code in ((["list"], "mem1", 0), ([], "Next:  safe-remove simulate ", 0), (["--json"], "safe-remove/overview/1", 0), (["show", "2"], "region0", 0),
                              (["explain", "2"], "can be removed", 0), (["verify", "2"], "not proven safe", 11), (["history"], "no removals yet", 0),
                              (["status"], "none is on record", 2), (["plan", "99"], "", 3), (["restore", "--dry-run", "2"], "", 2),
                              (["plan", "2"], "There:  safe-remove remove 2 --plan", 0), (["remove", "--dry-run", "2"], "There:  safe-remove remove 2 --plan", 0),
                              (["replace", "2", "--dry-run"], "There:", 0), (["self-test", "--dry-run", "2"], "There:  safe-remove self-test 2", 0)):
        done = simulate(ram, *argv)
        assert done.returncode == code and words in done.stdout, (argv, done)
        assert "--json" in argv or f"recorded machine {ram}" in done.stderr, done
    assert f"see: safe-remove simulate {ram} list" in simulate(ram, "plan", "99").stderr
    for argv in (["remove", "2"], ["cancel", "2"], ["locate", "2"], ["restore", "2"]):
        done = simulate(ram, *argv)
        assert done.returncode == 64 and "can be looked at, and nothing else" in done.stderr, done
    assert subprocess.run([CLI, "simulate"], capture_output=True, check=False).returncode == 64


def unpacked(folder):
    """The same machine, once it was unpacked."""
    copy = "mkdir $0 $0/proc; cp -a /sys $0/sys; cp -a /proc/[0-9]* /proc/iomem /proc/swaps $0/proc; rm -r $0/proc/$$"
    subprocess.run([CLI.parents[1] / "tests/roots/enter", ROOTS / "storage.root", "sh", "-euc", copy, folder / "unpacked"], check=True)
    os.mkfifo(folder / "unpacked/sys/fifo")
    os.symlink(folder, folder / "unpacked/sys/out")
    plan = [simulate(machine, "plan", "3", "--json").stdout for machine in (ROOTS / "storage.root", folder / "unpacked")]
    assert plan[0] == plan[1] and json.loads(plan[0])["steps"], plan
    assert simulate(folder, "list").returncode == 1


def hostile(folder):
    """Each is refused with a word, or does nothing but be another machine."""
    secret, canary = folder / "secret", folder / "canary"
    secret.write_text(SECRET)
    canary.mkdir()
    os.mkfifo(folder / "fifo.root")
    (folder / "itself.root").write_text("i\titself.root\n")
    (folder / "many0.root").write_text("# nothing\n")
    for i in range(1, 7):
        (folder / f"many{i}.root").write_text(f"i\tmany{i - 1}.root\n" * 50)
    (folder / "outside.txt").write_text("f\t/sys/bus/pci/slots/77/address\t0000:77:00\n")
    with open(folder / "huge.root", "wb") as huge:
        huge.truncate(1 << 40)
    ram = f"i\t{os.path.relpath(ROOTS / 'ram2.root', folder)}\n"
    address = "/sys/bus/pci/slots/2/address"
    refused = {
        "dots": f"{ram}f\t/sys/../../{canary}/x\tx\n",
        "elsewhere": f"{ram}f\t{canary}/x\tx\n",
        "own-proc": f"{ram}l\t/sys/x\t/proc/.real/1/root\n",
        "in-own-proc": f"{ram}f\t/proc/.real/x\tx\n",
        "beside-own-proc": f"{ram}l\t/proc/x\t.real/1/root\n",
        "own-program": f"{ram}l\t/proc/.programs/zpool\t/usr/bin/env\n",
        "own-program-file": f"{ram}f\t/proc/.programs/zpool\tx\n",
        "other-programs": f"{ram}-\t/proc/.programs\nl\t/proc/.programs\t/sys\n",
        "way-to-programs": f"{ram}l\t/sys/x\t../proc/.programs\nl\t/sys/x/zpool\t/usr/bin/env\n",
        "absolute-include": "i\t/etc/passwd\n",
        "other-include": "i\toutside.txt\n",
        "fifo-include": "i\tfifo.root\n",
        "itself": "i\titself.root\n",
        "many": ram + "i\tmany6.root\n",
        "device": "i\t../../../dev/zero.root\n",
        "deep": f"{ram}d\t/sys{'/a' * 1000}\n",
        "offset": f"{ram}f\t/sys/x\tx\np\t/sys/x\t0xffffffffffff\t00\n",
        "hex": f"{ram}b\t/sys/x\t0g\n",
        "escape": f"{ram}f\t/sys/x\t\\q\n",
        "zero-in-name": f"{ram}f\t/sys/x\\x00y\tx\n",
        "fields": f"{ram}l\t/sys/x\ty\tz\tw\tv\n",
        "kind": f"{ram}c\t/dev/x\t1:3\n",
        "no-value": f"{ram}f\t/sys/x\n",
        "empty": "",
        "later": "# safe-remove snapshot 3\n" + ram,
        "not-a-record": f"{ram}f\t/var/lib/safe-remove/lock\tx\n",
        "loop": f"{ram}l\t/sys/x\tx\nf\t/sys/x/y\tz\n",
    }
    for name, text in refused.items():
        (folder / f"{name}.root").write_text(text)
    for name in (*refused, "fifo", "huge"):
        done = simulate(folder / f"{name}.root", "list")
        assert done.returncode == 1 and done.stderr.startswith("safe-remove: ") and not done.stdout, (name, done)
    for machine in ("/dev/zero", folder / "not-there"):
        assert simulate(machine, "list").returncode == 1
    harmless = {
        "read": f"-\t{address}\nl\t{address}\t{secret}\n",
        "read-by-dots": f"-\t{address}\nl\t{address}\t../../../../../../..{secret}\n",
        "read-by-self": f"-\t{address}\nl\t{address}\t/proc/self/root{secret}\n",
        "read-by-process": f"l\t/proc/1/root\t/\n-\t{address}\nl\t{address}\t/proc/1/root{secret}\n",
        "write": f"l\t/sys/out\t{canary}\nf\t/sys/out/x\tx\n",
        "write-by-dots": f"l\t/sys/out\t../../../..{canary}\nf\t/sys/out/x\tx\n",
        "take-away": f"l\t/sys/out\t{folder}\nf\t/sys/out/secret\tx\n-\t/sys/out/secret\n",
    }
    for name, text in harmless.items():
        (folder / f"{name}.root").write_text(ram + text)
        for verb in (["list"], ["plan", "3", "--json"]):
            done = simulate(folder / f"{name}.root", *verb)
            assert SECRET not in done.stdout + done.stderr, (name, done)
    assert secret.read_text() == SECRET and not list(canary.iterdir())


def is_there(pid):
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children(pid):
    try:
        found = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return found + [c for p in found for c in children(p)]


def interrupted(folder):
    """Whatever ends it, nothing is left: no process, and no file, since all is in memory of its own."""
    before = {p.name for p in Path(folder).iterdir()}
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with subprocess.Popen([CLI, "simulate", ROOTS / "storage.root", "plan", "3"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=str(folder))) as p:
            found = []
            while p.poll() is None and len(found) < 2:
                found = children(p.pid)
            p.send_signal(how)
            p.wait(60)
        until = time.monotonic() + 60
        while any(is_there(c) for c in found):
            assert time.monotonic() < until, f"after {how}: {found}"
            time.sleep(0.01)
    assert {p.name for p in Path(folder).iterdir()} == before


def every_number(folder):
    """Whose every number is recorded, at that nobody can look; it ends, and we are told."""
    machine = folder / "numbers.root"
    machine.write_text("d\t/sys/bus\n" + "".join(f"d\t/proc/{os.getpid() + i}\n" for i in range(20000)) +
                       "".join(f"d\t/proc/{i}\n" for i in range(1, os.getpid()) if i < 32768))
    done = simulate(machine, "list")
    assert done.returncode != 0 and "processes of the same numbers" in done.stderr, done


def main():
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        done = simulate(ROOTS / "ram2.root", "list")
        assert done.returncode == 1 and "does not allow" in done.stderr, done
        sys.exit(77)
    plans()
    other_looks()
    with tempfile.TemporaryDirectory() as folder:
        unpacked(Path(folder))
        hostile(Path(folder))
        every_number(Path(folder))
        interrupted(Path(folder))


main()
