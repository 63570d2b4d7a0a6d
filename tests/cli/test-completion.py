#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-completion.py CLI SOURCE_ROOT: each shell that is here offers the verbs, of each verb the options that its help has and no others, the words
that an option takes, and behind a recorded machine what can be asked about it. No daemon is there. Names of cards: test-live.py."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

CLI, ROOT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
COMPLETION = ROOT / "cli/completion"
MACHINE = str(ROOT / "tests/roots/ram2.root")
ENV = {**os.environ, "PATH": f"{CLI.parent}:{os.environ['PATH']}", "SAFE_REMOVE_BUS": "session", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
       "SAFE_REMOVE_RUN_DIR": "/nonexistent", "COLUMNS": "80"}
# Of options whose value is one of a few words, which the help does not say in its "--option=word|word".
WORDS = {"force": {"kill", "shutdown", "unmap", "unproven", "poison"}, "phase": {"query", "pre", "undo", "post", "restore"}, "what": {"all"}}

BASH = r"""
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=1000 COMP_WORDBREAKS=$' \t\n=:'
_safe_remove
printf '%s\n' "${COMPREPLY[@]}"
"""
# What the completion has zsh offer is printed instead, without what it says of each word.
ZSH = r"""
compadd() { while [[ $1 == -* ]]; do [[ $1 == -- ]] && { shift; break; }; shift; done; print -rl -- "$@" }
_describe() { local word; for word in "${(@P)@[-1]}"; do word=${word//\\:/$'\1'}; word=${word%%:*}; print -r -- "${word//$'\1'/:}"; done }
_values() { shift 3; print -rl -- "$@" }
compset() { : }
_files() { print -r -- FILES }
_hosts() { print -r -- HOSTS }
_command_names() { print -r -- COMMANDS }
_normal() { print -rl -- NORMAL "$words[@]" }
file=$1; shift
words=("$@") CURRENT=$#
. $file
"""


def run(argv):
    r = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=ENV)
    assert not r.stderr, f"{argv}: {r.stderr}"
    return [line for line in r.stdout.split("\n") if line]


def bash(*words):
    apart = [piece for word in words for piece in (word.partition("=") if re.match(r"--[a-z-]+=", word) else [word]) if piece or piece == word]  # at each "="
    return set(run(["bash", "-c", BASH, "bash", str(COMPLETION / "safe-remove"), *apart]))


def zsh(*words):
    return set(run(["zsh", "-f", "-c", ZSH, "zsh", str(COMPLETION / "_safe-remove"), *words]))


def fish(*words):
    line = " ".join([*map(shlex.quote, words[:-1]), words[-1]])
    entries = run(["fish", "--no-config", "-c", f"source {COMPLETION}/safe-remove.fish; complete -C {shlex.quote(line)}"])
    return {re.sub(r"^--[a-z-]+=(?=.)", "", entry.split("\t")[0]).rstrip("=") for entry in entries}


def help_of(*verb):
    return subprocess.run([CLI, *verb, "--help"], capture_output=True, text=True, timeout=60, env=ENV, check=True).stdout


def options_in(text):
    """What the help has of options: name and value."""
    return dict(re.findall(r"^ {2}(?:-., | {4})--([a-z-]+)(\S*)", text.split("\nOptions:\n")[1].split("\n\n")[0], re.M))


def words_of(option, value):
    return WORDS.get(option) or (set(value.strip("[]=").split("|")) if re.fullmatch(r"\[?=[a-z|-]+\]?", value) else set())


def recorded(verb):
    """Whether it can be asked of a recorded machine, if need be as a dry run; where this one cannot be read, that is what is said."""
    dry = ["--dry-run"] if "dry-run" in options_in(help_of(verb)) else []
    return "has no" not in subprocess.run([CLI, "simulate", "/nonexistent", verb, *dry], capture_output=True, text=True, timeout=60, env=ENV).stderr


def check(shell, verbs, simulates):
    def same(want, *words):
        got = shell("safe-remove", *words)
        assert got == want, f"{shell.__name__}: {words}: {sorted(got - want)} too many, {sorted(want - got)} missing"

    seen = set()
    same(set(verbs), "")
    for verb in verbs:
        options = options_in(help_of(verb))
        same({f"--{name}" for name in options}, verb, "--")
        for name in sorted(options.keys() - seen):
            words = words_of(name, options[name])
            got = shell("safe-remove", verb, f"--{name}=") if words else set()
            seen.add(name)
            assert words <= got, f"{shell.__name__}: {verb} --{name}=: {sorted(words - got)} missing"
    looks = {verb for verb in verbs if recorded(verb)}
    same(looks, "simulate", MACHINE, "")
    same({f"--{name}" for name in options_in(help_of("plan"))}, "simulate", MACHINE, "plan", "2", "--")
    if simulates:
        assert {"2", "3", "mem1"} <= shell("safe-remove", "simulate", MACHINE, "plan", ""), f"{shell.__name__}: names in a recorded machine"
    here = shell("safe-remove", "policy", "")
    assert {"check", "reload"} <= here, f"{shell.__name__}: policy: {here}"


def main():
    verbs = re.findall(r"^  ([a-z][a-z-]*)", help_of().split("Verbs:\n")[1].split("\n\n")[0], re.M)
    assert len(verbs) > 20 and "restore" in words_of("phase", "") and words_of("json", "[=pretty|short|off]") == {"pretty", "short", "off"}
    # Not where nobody may make a user namespace.
    simulates = subprocess.run([CLI, "simulate", MACHINE, "list"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, env=ENV).returncode == 0
    for shell in (bash, zsh, fish):
        if not shutil.which(shell.__name__):
            print(f"skipped: no {shell.__name__} here (tools/install-deps tests)")
            continue
        check(shell, verbs, simulates)
    if shutil.which("zsh"):
        assert zsh("safe-remove", "inhibit", "--why", "x", "tar", "-c") == {"NORMAL", "tar", "-c"}, "what inhibit runs has options of its own"


if __name__ == "__main__":
    main()
