#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""cat-config, policy check and hook-test, as an ordinary user runs them: no daemon, no bus, the files of a folder of our own."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

CLI, WORKER = map(os.path.abspath, sys.argv[1:3])
FILES = {
    "lib/safe-remove.conf": "[Removal]\nGraceSec=1\n",
    "etc/safe-remove.conf": "[Removal]\nGraceSec=2",  # without an end of its last line
    "lib/conf.d/50-a.conf": "[Removal]\nGraceSecs=3\n",
    "run/conf.d/40-b.conf": "\ufeff[Removal]\r\nRestore=auto\r\n",
    "lib/policy.d/10-system.conf": "[Match]\nUnit=a.service\n[OnRemove]\nAction=refuse\n",
    "etc/policy.d/10-system.conf": "",
}
SHOWN = """# @/etc/safe-remove.conf
# in the place of @/lib/safe-remove.conf
[Removal]
GraceSec=2

# @/run/conf.d/40-b.conf
\ufeff[Removal]\r
Restore=auto\r

# @/lib/conf.d/50-a.conf
[Removal]
GraceSecs=3

# @/etc/policy.d/10-system.conf
# is empty, and takes away @/lib/policy.d/10-system.conf
"""
WARNING = "@/lib/conf.d/50-a.conf:2: key 'GraceSecs' is not known; did you mean GraceSec?\n"


class Folder:
    def __init__(self, path):
        self.path = path
        folders = ":".join(f"{path}/{name}" for name in ("lib", "run", "etc"))
        self.env = {**os.environ, "SAFE_REMOVE_WORKER": WORKER, "SAFE_REMOVE_CONFIG_DIRS": folders, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}

    def put(self, name, text):
        file = pathlib.Path(self.path, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())

    def run(self, *argv, **env):
        result = subprocess.run([CLI, *argv], env={**self.env, **env}, capture_output=True, timeout=60, cwd=self.path)
        return tuple(text.decode().replace(str(self.path), "@") for text in (result.stdout, result.stderr)) + (result.returncode,)


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}:\n{got!r}\nis not\n{want!r}")


def check_hook_test(f):
    """By the configuration: who runs it (where root asks), and for how long."""
    user = "daemon" if os.getuid() == 0 else "nobody"
    os.chmod(f.path, 0o755)
    f.put("etc/safe-remove.conf", f"[Removal]\nHookTimeoutSec=1\nHookUser=nobody 50-a={user}\n")
    f.put("etc/hooks.d/50-a", "#!/bin/sh\ncase $1 in\nquery) id -un; exit 3 ;;\npre) exec sleep 100 ;;\nundo|post|restore) exit 0 ;;\n*) exit 2 ;;\nesac\n")
    os.chmod(f"{f.path}/etc/hooks.d/50-a", 0o755)
    out, err, code = f.run("hook-test", "50-a", "--json")
    o = json.loads(out)
    trials = {trial["phase"]: trial for trial in o["trials"]}
    check("hook-test", (o["user"], o["timeout_sec"], o["good"], err, code), (user, 1, False, "", 1))
    check("its phases", list(trials), ["query", "pre", "undo", "post", "restore", "unknown"])
    check("its ends", [trial["answer"] for trial in trials.values()], ["veto", "error", "ok", "ok", "ok", "does-not-apply"])
    check("who it ran as", trials["query"]["reason"], user if os.getuid() == 0 else subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip())
    check("the time", (trials["pre"]["timed_out"], 1_000_000 <= trials["pre"]["usec"] < 9_000_000), (True, True))
    os.chmod(f"{f.path}/etc/hooks.d/50-a", 0o777)
    out, err, code = f.run("hook-test", "50-a", "--phase=undo")
    check("a hook that others may write to", ("there it would block every removal: " in out, "for 1 s at most" in out, code), (True, True, 1))
    out, err, code = f.run("hook-test", "60-b")
    check("no such hook", ("there is no hook '60-b'" in err, code), (True, 3))


def main():
    with tempfile.TemporaryDirectory() as path:
        f = Folder(path)
        check("no files", f.run("cat-config"), ("no files: what is built in counts\n", "", 0))
        for name, text in FILES.items():
            f.put(name, text)
        check("cat-config", f.run("cat-config"), (SHOWN, "", 0))
        out, err, code = f.run("cat-config", "--json")
        files = json.loads(out)["files"]
        check("cat-config --json", ([o["kind"] for o in files], files[2]["text"], err, code), (["settings"] * 3 + ["rules"], "[Removal]\nGraceSecs=3\n", "", 0))

        check("policy check", f.run("policy", "check"), ("", WARNING, 78))
        out, err, code = f.run("policy", "check", "--json")
        o = json.loads(out)
        check("policy check --json", (o["schema"], o["warnings"], err, code), ("safe-remove/policy-check/1", [
            {"file": "@/lib/conf.d/50-a.conf", "line": 2, "message": "key 'GraceSecs' is not known; did you mean GraceSec?"}], "", 78))
        f.put("mine.conf", "# rules\n[Match]\nUnti=a.service\n[OnRemove]\nAction=stop\n")
        check("policy check FILE", f.run("policy", "check", "mine.conf", "etc/safe-remove.conf", "none"), (
            "", "mine.conf:3: key 'Unti' is not known in [Match]; did you mean Unit?; the rule now refuses all that it matches\n"
            "none: cannot be read: No such file or directory\n", 78))
        f.put("a.service", "[Service]\nExecStart=/a\n[X-SafeRemove]\nOnRemove=wait stopp\nStopSec=5\n")
        f.put("b.service.d/x.conf", "[X-SaveRemove]\nOnRemove=refuse\n")
        check("a unit's declaration", f.run("policy", "check", "a.service", "b.service.d/x.conf"), (
            "", "a.service:4: 'stopp' is no action, there are refuse, or some of wait, stop, freeze, term and kill; did you mean stop?; "
            "the rule now refuses all that it matches\n"
            "b.service.d/x.conf: there is no section [X-SafeRemove], so it says nothing of a removal\n", 78))
        f.put("b.service.d/x.conf", "[X-SafeRemove]\nOnRemove=wait stop\nStopSec=5\n")
        check("one in order", f.run("policy", "check", "b.service.d/x.conf"), ("1 file read, nothing wrong\n", "", 0))
        check("a file in order", f.run("policy", "check", "etc/safe-remove.conf"), ("1 file read, nothing wrong\n", "", 0))
        out, err, code = f.run("policy", "check", SAFE_REMOVE_WORKER="/nonexistent")
        check("no worker", (out, "/nonexistent cannot be started" in err, code), ("", True, 1))
        os.unlink(f"{path}/lib/conf.d/50-a.conf")
        os.symlink("/nonexistent", f"{path}/etc/conf.d")
        os.symlink("/dev/null", f"{path}/lib/conf.d/50-a.conf")
        os.mkfifo(f"{path}/lib/conf.d/60-c.conf")
        out, err, code = f.run("policy", "check")
        check("a FIFO", (err.count("\n"), "60-c.conf: cannot be read" in err, code), (1, True, 78))
        check_hook_test(f)


if __name__ == "__main__":
    main()
