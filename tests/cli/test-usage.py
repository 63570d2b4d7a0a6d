#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong command lines: exit 64, one line that names what was wrong. And what the documentation repeats from the tables:
exit codes, options and verbs in the man page (test-completion.py has those of the completions)."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CLI, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])
WRONG = [
    (["--names"], "'--names' needs a verb, such as: safe-remove list"),
    (["remov", "2"], "unknown verb 'remov'; did you mean 'remove'?"),
    (["frobnicate"], "unknown verb 'frobnicate'; there are: list, "),
    (["list", "--no-colour"], "unknown option '--no-colour'; did you mean '--no-color'?"),
    (["remove", "2", "--sanitise=0x1"], "did you mean '--sanitize'?"),
    (["remove", "2", "--force=kill,unmpa"], "did you mean 'unmap'?"),
    (["remove", "2", "--zone-normal=tyr"], "did you mean 'try'?"),
    (["list", "--json=prety"], "did you mean 'pretty'?"),
    (["plan", "x" * 5000], "longer than 4096 bytes"),
    (["plan"], "'plan' needs a TARGET, such as: safe-remove plan 2"),
    (["plan", ""], "is empty"),
    (["restore", "2", "3"], "'3' is one too many"),
    (["show", "2", "3"], "'show' takes one TARGET; '3' is one too many"),
    (["remove", "2", ""], "is empty"),
    (["list", "2"], "'list' takes no operand"),
    (["list", "--no-wait"], "'list' has no option '--no-wait'"),
    (["plan", "2", "--plan", "0" * 64], "'plan' has no option '--plan'"),
    (["remove", "2", "--plan"], "option '--plan' needs a value: --plan=DIGEST"),
    (["remove", "2", "--plan", "1a2b3c4"], "its first 8 hex digits or more, not '1a2b3c4'"),
    (["remove", "2", "--plan", "g" * 64], "8 hex digits"),
    (["remove", "2", "--plan", "a" * 65], "8 hex digits"),
    (["remove", "2", "--no-wait=yes"], "option '--no-wait' takes no value"),
    (["remove", "2", "--grace=-1"], "--grace wants a whole number"),
    (["remove", "2", "--grace=10s"], "not '10s'"),
    (["remove", "2", "--grace=86401"], "from 0 to 86400"),
    (["remove", "2", "--zone-normal=maybe"], "'try' or 'refuse', not 'maybe'"),
    (["remove", "2", "--force=leak"], "'kill', 'shutdown', 'unmap', 'unproven', 'poison' or several with commas, not 'leak'"),
    (["remove", "2", "--force=kill,"], "not 'kill,'"),
    (["remove", "2", "--force="], "not ''"),
    (["remove", "2", "--force=kill", "--force=unmap"], "--force is given twice; name all words at once, such as --force=kill,unmap"),
    (["restore"], "'restore' needs a TARGET"),
    (["restore", "2", "--equal-card=perhaps"], "'yes' or 'no', not 'perhaps'"),
    (["plan", "2", "--dry-run"], "'plan' has no option '--dry-run'; 'safe-remove plan --help' lists those it has"),
    (["cancel"], "'cancel' needs an ID|TARGET, such as: safe-remove cancel 2"),
    (["remove", "2", "--acknowledge=all"], "--acknowledge wants 'kernel-log', not 'all'"),
    (["plan", "2", "--acknowledge=kernel-log"], "'plan' has no option '--acknowledge'"),
    (["remove", "2", "--sanitize=0x1,"], "--sanitize wants serial numbers with commas between them, not '0x1,'"),
    (["remove", "2", "--sanitize", "0x1"], "'--sanitize 0x1' is not clear: a serial number comes right after '=' (--sanitize=0x1), and a target "
                                           "before --sanitize"),
    (["remove", "--sanitize", "2"], "'--sanitize 2' is not clear: a serial number comes right after '=' (--sanitize=2), and a target "
                                    "before --sanitize"),
    (["remove", "2", "--sanitize="], "not ''"),
    (["restore", "2", "--sanitize"], "'restore' has no option '--sanitize'"),
    (["list", "--force=kill"], "'list' has no option '--force'"),
    (["list", "--json=xml"], "'off', 'short' or 'pretty', not 'xml'"),
    (["hook-test", "/x", "--phase=restor"], "--phase wants 'query', 'pre', 'undo', 'post' or 'restore', not 'restor'; did you mean 'restore'?"),
    (["verify"], "'verify' needs a TARGET"),
    (["history", "--verify"], "'history' has no option '--verify'"),
    (["certificate", "1", "2"], "'2' is one too many"),
    (["policy"], "'policy' is followed by 'check' or 'reload', such as: safe-remove policy check [FILE...]"),
    (["policy", "chek"], "'policy' is followed by 'check' or 'reload', not 'chek'; did you mean: safe-remove policy check"),
    (["list", "-x"], "unknown option '-x'; 'safe-remove list --help' lists them"),
    (["-x"], "unknown option '-x'; 'safe-remove --help' lists them"),
    (["list", "--frobnicate"], "unknown option '--frobnicate'; 'safe-remove list --help' lists them"),
    (["list", "-j", "pretty"], "'pretty' is no operand: a form comes right after '=': --json=pretty"),
    (["plan", "2", "--json", "off"], "'off' is no operand: a form comes right after '=': --json=off"),
    (["--dry-run"], "'--dry-run' needs a verb, such as: safe-remove remove 2 --dry-run; "),
    (["--plan=12345678"], "'--plan' needs a verb, such as: safe-remove remove 2 --plan=DIGEST; "),
    (["--what=2"], "'--what' needs a verb, such as: safe-remove inhibit --what=all|NAMES rsync -a /srv /backup; "),
    (["locate", "7", "--for=0"], "--for wants a whole number from 1 to 3600, not '0'"),
    (["watch", "--no-legend"], "'watch' has no option '--no-legend'; 'safe-remove watch --help' lists those it has"),
    (["replace", "2", "--no-wait"], "'replace' has no option '--no-wait'; waiting for the new card is what it does; without that it is 'safe-remove remove TARGET"),
    (["self-test", "2", "--no-wait", "--with-power"], "--no-wait and --with-power contradict each other"),
    (["self-test", "2", "--no-wait", "-o", "x"], "--no-wait and --output contradict each other"),
    (["policy", "reload", "x"], "'x' is one too many: safe-remove policy reload"),
    (["cat-config", "x"], "'cat-config' takes no operand"),
    (["history", "-n", "many"], "--lines wants a whole number"),
    (["help"], "'help' is an option: safe-remove --help"),
    (["simulate"], "'simulate' needs a MACHINE, such as: safe-remove simulate tests/roots/ram2.root plan 2"),
    (["simulate", "-H", "there", "x.root", "list"], "'simulate' has no '--host': no daemon is asked"),
    (["simulate", "x.root", "list", "-H", "there"], "'simulate' has no '--host': no daemon is asked"),
    (["simulate", "x.root", "list", "2"], "'2' is one too many"),
    (["simulate", "x.root", "pln", "2"], "did you mean 'plan'?"),
    (["simulate", "x.root", "--force=kill"], "'--force' needs a verb"),
    *((["simulate", "x.root", *argv], why) for argv, why in (
        (["remove", "2"], "so this wants --dry-run"), (["restore", "2"], "so this wants --dry-run"), (["replace", "2"], "so this wants --dry-run"),
        (["self-test", "2"], "so this wants --dry-run"), (["cancel", "2"], "no removal runs there"), (["cancel", "2", "--dry-run"], "no removal runs there"),
        (["locate", "2"], "its lights are not here"), (["inhibit", "true"], "nobody removes a card there"), (["inhibitors"], "only a daemon knows"),
        (["monitor"], "nothing happens"), (["watch"], "nothing happens"), (["metrics"], "of a daemon"), (["cat-config"], "no files of hooks"),
        (["policy", "check"], "no files of hooks"), (["hook-test", "x"], "no files of hooks"), (["simulate", "x.root"], "one recorded machine is enough"))),
]
# What there is to type next, or what the value may be.
NEXT = re.compile(r"safe-remove( -|\n| [a-z])|did you mean|--[a-z-]+( wants|=)|systemctl|journalctl|such as|there are: |needs a value|-y goes|try it as root|a path works too")
# Errors that name none, and why.
NO_NEXT = {
    "takes no value": "what was typed, without the value",
    "takes no operand": "what was typed, without the operand",
    "is one too many": "what was typed, without it",
    "is empty": "a script has left a name out, which only it knows",
    "longer than 4096 bytes": "no name is, so there is nothing near it",
    "--force is given twice": "it says the one word that has both",
    "--sanitize 0x1' is not clear": "it says both ways to write it",
}


# In the source, of those that no test can bring about. client_command() is the command with its host; `hint` is one of hint_for()'s.
IN_SOURCE = re.compile(r"client_command\(\)|see: [a-z]|try (it|:)|try: |\bhint\b")
NOT_IN_SOURCE = {
    "out of memory": "the machine has to be helped first, whatever is typed",
    "is the package whole": "what is missing is ours, and which package it came with only they know",
    "see whether the package is whole": "the same",
    "the connection ended before the request was answered": "it says whether it was begun",
    "is longer than": "no name is, so there is nothing near it",
    "slot %s: %s; when the new card is in: %s": "the last of them is the command",
    "nothing keeps the card any more": "it is over, and nothing can be done about it",
}


def calls(text):
    """The arguments of each call of fail() and fail_with_hint(), up to its bracket; those in strings are none."""
    for found in re.finditer(r"^ .*?\bfail(?:_with_hint)?\(", text, re.M):
        depth = 1
        for part in re.finditer(r'"(?:[^"\\]|\\.)*"|[()]', text[found.end():]):
            depth += {"(": 1, ")": -1}.get(part[0], 0)
            if depth == 0:
                yield text[found.end():found.end() + part.start()]
                break


def check_source():
    """Every error in the source says what to type next; and what the daemon says gets it by its exit code."""
    told = [args for path in sorted((ROOT / "cli").rglob("*.c")) for args in calls(path.read_text())]
    assert len(told) > 60, len(told)
    for args in told:
        words = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', args)).replace("%s", "x")
        known = {**NO_NEXT, **NOT_IN_SOURCE}
        assert NEXT.search(words) or IN_SOURCE.search(args) or any(k.replace("%s", "x") in words for k in known), f"it does not say what to type next: {args}"
    code_of_error = (ROOT / "cli/exit-code.c").read_text().partition("error_codes[] = {")[2].partition("};")[0]
    client = (ROOT / "cli/client.c").read_text()
    hints = set(re.findall(r'\{ (CODE_\w+), "', client.partition("hints[] = {")[2].partition("};")[0])) | set(re.findall(r"code == (CODE_\w+)", client))
    assert (codes := set(re.findall(r", (CODE_\w+) \}", code_of_error))) <= hints, codes - hints


def check_hints():
    """Every error says what to type next."""
    errors = [run(*argv).stderr for argv, want in WRONG]
    for golden in sorted((ROOT / "tests/cli/golden").glob("*.txt")):
        text = golden.read_text()
        errors += re.findall(r"^safe-remove: .*(?:\n    .*)*", text.partition("--- stderr\n")[2], re.M)
        if '"safe-remove/error/1"' in text:
            errors.append(text)
    assert len(errors) > 70, len(errors)
    silent = [e for e in errors if not NEXT.search(e.removeprefix("safe-remove: ")) and not any(words in e for words in NO_NEXT)]
    assert not silent, "\n".join(silent)


def run(*argv):
    # There is no bus to reach: none of this may get as far as that.
    return subprocess.run([CLI, *argv], capture_output=True, text=True, timeout=60,
                          env={"SAFE_REMOVE_BUS": "session", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"})


def check_wrong():
    for argv, want in WRONG:
        r = run(*argv)
        assert r.returncode == 64, f"{argv}: exit {r.returncode}: {r.stderr}"
        assert want in r.stderr and r.stderr.count("\n") == 1, f"{argv}: {r.stderr!r} lacks {want!r}"
        assert r.stdout == "", f"{argv}: {r.stdout!r}"
    r = run("list", "--json", "--frobnicate")
    error = json.loads(r.stdout)
    assert (error["schema"], error["code"], error["exit"], r.stderr) == ("safe-remove/error/1", "usage", 64, ""), r


def check_documented():
    text = run("--help").stdout
    assert run("--help").returncode == 0 and run("--version").stdout.startswith("safe-remove ")
    man = (ROOT / "docs/man/safe-remove.8").read_text()

    verbs, options, codes = (text.split(f"{head}:\n")[1].split("\n\n")[0] for head in ("Verbs", "Options", "Exit status"))
    for verb in re.findall(r"^  ([a-z][a-z-]*)", verbs, re.M):
        assert f".It Cm {verb}" in man, f"{verb} is not in the man page"
        mine = run(verb, "--help").stdout
        assert mine.startswith(f"safe-remove {verb}"), f"help of {verb}"
        assert all(len(line) <= 80 for line in (text + mine).split("\n")), f"a line of over 80 columns: {text}{mine}"
        assert re.search(r"^ +77  ", mine, re.M) and not re.search(r"^ +8  ", mine, re.M), f"exit codes of {verb}: {mine}"
    for option in re.findall(r"--([a-z-]+)", options):
        assert f"Fl -{option}" in man, f"--{option} is not in the man page"
    assert "130" not in run("list", "--help").stdout and "130" in run("remove", "--help").stdout, "each verb has its own exit codes"
    here = sorted(re.findall(r"^ +(\d+)  ", codes, re.M))
    there = sorted(re.findall(r"^\.It (\d+)$", man.split(".Sh EXIT STATUS")[1].split(".Sh ")[0], re.M))
    assert here == there, f"exit codes: {here} here, {there} in the man page"


def check_no_daemon():
    """Only the command is installed, as on a laptop: it says what is missing. Neither a bus nor one that knows no such service says that."""
    want = "safe-remove: the daemon is not installed on this machine: there is no /"
    with tempfile.TemporaryDirectory() as folder:
        bus = subprocess.Popen(["dbus-daemon", "--session", f"--address=unix:path={folder}/bus", "--nofork", "--nopidfile", "--print-address=1"],
                               stdout=subprocess.PIPE, text=True) if shutil.which("dbus-daemon") else None
        addresses = ["unix:path=/nonexistent", *([bus.stdout.readline().strip()] if bus else [])]
        try:
            for address in addresses:
                for argv in ([], ["list"], ["plan", "2"], ["remove", "2", "--yes"], ["metrics"]):
                    r = subprocess.run([CLI, *argv], capture_output=True, text=True, timeout=60,
                                       env={"SAFE_REMOVE_RUN_DIR": folder, "DBUS_SYSTEM_BUS_ADDRESS": address})
                    assert r.returncode == 69 and want in r.stderr and "install the package safe-remove" in r.stderr, f"{argv} at {address}: {r}"
                r = subprocess.run([CLI, "list", "--json"], capture_output=True, text=True, timeout=60,
                                   env={"SAFE_REMOVE_RUN_DIR": folder, "DBUS_SYSTEM_BUS_ADDRESS": address})
                assert "is not installed" in json.loads(r.stdout)["message"] and r.returncode == 69, r
        finally:
            if bus:
                bus.kill()
                bus.wait()


check_wrong()
check_source()
check_hints()
check_no_daemon()
check_documented()
