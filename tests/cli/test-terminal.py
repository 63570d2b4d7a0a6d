#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person sees: transcripts of terminals of 80 and 40 columns and of others, compared with transcripts/NAME.txt, and what holds of all of them. Also
without a locale, without color, with Ctrl-C, with two commands at once, and in a pager. `test-terminal.py CLI DAEMON GUARD --update` writes them anew."""
import os
import pathlib
import re
import sys

from bus import HERE, Bus, Terminal

FOLDER = HERE / "transcripts"
HOST = os.uname().nodename
ESCAPE = re.compile(r"\033\[[0-9;]*m")

# What may be wider than the terminal: a command, which is copied as a whole, and a word that would have to be cut.
COMMAND = re.compile(r"^ *(remedy:|Run it:|Next:|More:|echo |restart |systemctl |kill )")

PLAIN = {"NO_COLOR": "1"}
LOOKS = [("overview", []), ("list", ["list"]), ("show", ["show", "2"]), ("plan", ["plan", "2"]), ("plan-blocked", ["plan", "3"]), ("explain", ["explain", "3"]),
         ("verify", ["verify", "3"]), ("error", ["plan", "99"]), ("misspelt", ["remvoe", "2"])]
RECORDS = [("status", ["status"]), ("history", ["history"]), ("certificate", ["certificate", "1"]), ("overview-after", [])]


def screen(text):
    """What stands on the terminal at the end: a line that is repainted counts once."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        parts = line.split("\r\033[K")
        lines.append((parts[0] if len(parts) == 1 else parts[-1]).replace("^C", ""))
    return "\n".join(lines)


class Transcripts:
    def __init__(self, bus, update):
        self.bus, self.update, self.wrong, self.names = bus, update, [], set()

    def compare(self, name, text):
        text = text.replace(f" on {HOST}:", " on machine:").replace("\033", "<ESC>")
        path = FOLDER / f"{name}.txt"
        self.names.add(name)
        if self.update:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text)
        elif text != (path.read_text() if path.exists() else None):
            self.wrong.append(name)
            print(f"== {name}\n-- got\n{text}-- want {path}", file=sys.stderr)

    def terminal(self, argv, columns, **env):
        t = Terminal(self.bus, *argv, columns=columns, rows=24, env={**self.bus.env, "PAGER": "cat", **env})
        code = t.finish()
        return f"{screen(t.output)}--- exit {code}\n"

    def look(self, name, argv, columns, **env):
        text = self.terminal(argv, columns, **env)
        for line in ESCAPE.sub("", text).split("\n"):
            short = len(line) <= columns or COMMAND.match(line) or len(line.split()[-1]) + 8 > columns // 2
            if not short:
                self.wrong.append(f"{name}: {len(line)} columns of {columns}: {line!r}")
        self.compare(name, text)


def looks(x):
    for columns in (80, 40):
        for name, argv in LOOKS:
            x.look(f"{name}-{columns}", argv, columns, **PLAIN)
    x.look("list-color", ["list"], 80)
    x.look("list-wide", ["list"], 130, **PLAIN)
    x.look("list-columns", ["list"], 130, COLUMNS="40", **PLAIN)


def no_color(x):
    """No escape sequence in any of these."""
    plain = x.terminal(["list"], 80, NO_COLOR="1")
    for env, argv in (({}, ["list", "--no-color"]), ({"TERM": "dumb"}, ["list"])):
        got = x.terminal(argv, 80, **env)
        if got != plain or "\033" in got:
            x.wrong.append(f"no color: {argv} {env}: {got!r}")


def no_locale(x):
    """A name that is no ASCII passes as it is; what the command adds of its own is ASCII where the locale is."""
    ascii_only, utf8 = ({**PLAIN, "LC_ALL": locale} for locale in ("C", "C.UTF-8"))
    for name, argv in LOOKS:
        if x.terminal(argv, 80, **ascii_only) != x.terminal(argv, 80, **utf8):
            x.wrong.append(f"no locale: {name} differs")
    for env, mark in ((ascii_only, "..."), (utf8, "\u2026")):
        t = Terminal(x.bus, "remove", "7", "-y", columns=30, rows=24, env={**x.bus.env, **env})
        t.wait_for(mark)
        t.type(b"\x03")
        t.finish()
        if "\u2026" in t.output and mark != "\u2026":
            x.wrong.append(f"no locale: {t.output!r}")
        x.bus.run("cancel", "7")


def pipe(x):
    """Every line as long as it is, without a question, a color or a pager."""
    r = x.bus.run("plan", "2", PAGER="false", SAFE_REMOVE_PAGER="false")
    x.compare("plan-pipe", f"{r.stdout}--- stderr\n{r.stderr}--- exit {r.returncode}\n")


def interrupted(x):
    """Ctrl-C leaves a line of its own, and the removal."""
    t = Terminal(x.bus, "remove", "7", "-y", columns=80, rows=24, env={**x.bus.env, **PLAIN})
    t.wait_for("1/4 memory147 offline")
    t.type(b"\x03")
    code = t.finish()
    x.compare("ctrl-c", re.sub(r"(removal) \d+", r"\1 N", f"{screen(t.output)}--- exit {code}\n"))


def two_at_once(x):
    """The second one joins the removal that the first has left; a third cancels it for both."""
    second = Terminal(x.bus, "remove", "7", "-y", columns=80, rows=24, env={**x.bus.env, **PLAIN})
    second.wait_for("started")
    other = Terminal(x.bus, "remove", "7", "--grace=3", "-y", columns=80, rows=24, env={**x.bus.env, **PLAIN})
    code = other.finish()
    x.compare("two-other-options", re.sub(r"([Rr]emoval) \d+", r"\1 N", f"{screen(other.output)}--- exit {code}\n"))
    third = Terminal(x.bus, "cancel", "7", columns=80, rows=24, env={**x.bus.env, **PLAIN})
    codes = third.finish(), second.finish()
    if codes != (0, 6):
        x.wrong.append(f"two at once: exit {codes}")
    ends = [screen(t.output).strip().split("\n")[-2:] for t in (second, third)]
    if ends[0] != ends[1] or "not removed: cancelled" not in " ".join(ends[0]):
        x.wrong.append(f"two at once: {ends}")


def question(x):
    t = Terminal(x.bus, "remove", "2", "--force=kill", columns=60, rows=24, env={**x.bus.env, **PLAIN})
    t.wait_for("[y/N] ")
    t.type(b"n\n")
    code = t.finish()
    x.compare("question-60", f"{screen(t.output)}--- exit {code}\n")


def pager(x):
    """Only what is longer than the terminal; root's is less, and may start nothing."""
    folder = pathlib.Path(x.bus.folder) / "bin"
    folder.mkdir()
    for name in ("less", "mine"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} LESS=$LESS SECURE=$LESSSECURE"\ncat\n')
        script.chmod(0o755)
    env = {**x.bus.env, **PLAIN, "PATH": f"{folder}:{x.bus.env['PATH']}"}

    def shown(*argv, rows=10, **more):
        t = Terminal(x.bus, *argv, columns=80, rows=rows, env={**env, **more})
        if t.finish() != 0:
            x.wrong.append(f"pager: {t.output!r}")
        return t.output.split("\r\n")[0]

    root = os.geteuid() == 0
    less = f"less LESS=FRSXMK SECURE={'1' if root else ''}"
    want = [
        (shown("plan", "2"), less), (shown("plan", "2", PAGER="mine"), less if root else "mine LESS=FRSXMK SECURE="),
        (shown("plan", "2", rows=100), "slot 2: can be removed  (card 0000:0d:00.0, mem1, serial 0x1)"),
    ]
    for argv, more in ((["--no-pager"], {}), ([], {"PAGER": "cat"}), ([], {"SAFE_REMOVE_PAGER": ""}), ([], {"TERM": "dumb"})):
        want.append((shown("plan", "2", *argv, **more), want[2][1]))
    for got, wanted in want:
        if got != wanted:
            x.wrong.append(f"pager: {got!r}, not {wanted!r}")


def main():
    update = "--update" in sys.argv
    bus = Bus(*sys.argv[1:4])
    x = Transcripts(bus, update)
    try:
        bus.start_daemon()
        looks(x)
        no_color(x)
        pipe(x)
        question(x)
        pager(x)
        interrupted(x)
        two_at_once(x)
        no_locale(x)
        bus.run("remove", "6")
        for columns in (80, 40):
            for name, argv in RECORDS:
                # Each of them is of slot 6; numbers and times are those of this run.
                x.look(f"{name}-{columns}", argv if name != "certificate" else ["certificate"], columns, **PLAIN)
    except BaseException:
        print(bus.log(), file=sys.stderr)
        raise
    finally:
        bus.close()
    stray = {p.stem for p in FOLDER.glob("*.txt")} - x.names
    if x.wrong or stray:
        sys.exit("\n".join([*x.wrong, *(f"no case for {name}" for name in sorted(stray))]))


main()
