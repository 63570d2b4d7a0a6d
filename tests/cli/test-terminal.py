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
NUMBER = re.compile(r"(self-test|[Rr]emoval|restoration) \d+")
WHOSE = re.compile(r"^((?:USER|PID) +)\S+", re.MULTILINE)
ESCAPE = re.compile(r"\033\[[0-9;]*m")

# What may be wider than the terminal: a command, which is copied as a whole, and a word that would have to be cut.
COMMAND = re.compile(r"^ *(remedy:|Run it:|There:|Next:|More:|echo |restart |systemctl |kill )")

PLAIN = {"NO_COLOR": "1"}
LOOKS = [("overview", []), ("list", ["list"]), ("show", ["show", "2"]), ("plan", ["plan", "2"]), ("plan-blocked", ["plan", "3"]), ("explain", ["explain", "3"]),
         ("verify", ["verify", "3"]), ("error", ["plan", "99"]), ("misspelt", ["remvoe", "2"])]
ROOT = os.geteuid() == 0
BACKUP = """#!/bin/sh
case $1 in
query) echo the backup runs until six, and would have to begin anew; exit 3 ;;
pre|undo|post|restore) exit 0 ;;
esac
exit 2
"""
# On a terminal of 40 columns alone, in this order.
NARROW = [("locate", ["locate", "7"]), ("locate-off", ["locate", "7", "--off"]), ("locate-dry", ["locate", "7", "--dry-run"]), ("locate-unknown", ["locate", "mem99"]),
          ("inhibit-dry", ["inhibit", "--dry-run", "--what=2", "--why=the weekly copy", "rsync", "-a", "/srv", "/backup"]),
          ("inhibit-unknown", ["inhibit", "--what=99", "true"]), ("policy-check", ["policy", "check", "bad.conf"]), ("policy-misspelt", ["policy", "relod"]),
          ("self-test", ["self-test", "2", "-y"]), ("self-test-nothing", ["self-test", "4", "-y"]), ("self-test-refused", ["self-test", "3", "-y"]),
          ("self-test-no-wait", ["self-test", "2", "-y", "--no-wait", "--with-power"]), ("replace-no-wait", ["replace", "2", "--no-wait"]),
          ("replace", ["replace", "2", "-y", "--wait=0"]), ("simulate", ["simulate", "ram2.root"]), ("simulate-plan", ["simulate", "ram2.root", "plan", "0"]),
          ("simulate-remove", ["simulate", "ram2.root", "remove", "2"]), ("snapshot", ["simulate", "ram2.root", "snapshot", "--output=again.root"])]
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

    def terminal(self, argv, columns, program=None, **env):
        t = Terminal(self.bus, *argv, columns=columns, rows=24, env={**self.bus.env, "PAGER": "cat", **env}, program=program)
        code = t.finish()
        return f"{screen(t.output)}--- exit {code}\n"

    def look(self, name, argv, columns, program=None, **env):
        text = self.terminal(argv, columns, program, **env)
        if name.startswith("narrow-"):
            text = WHOSE.sub(r"\1N", NUMBER.sub(r"\1 N", text))
        text = text.replace(str(self.bus.folder), "/FOLDER").replace(str(self.bus.cli), "safe-remove")
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


def narrow(x):
    """What is newer than those of two widths, where it is hardest: in a folder with what is named there."""
    folder = pathlib.Path(x.bus.folder)
    env = {**PLAIN, "SAFE_REMOVE_WORKER": os.environ["REAL_WORKER"], "SAFE_REMOVE_CONFIG_DIRS": str(folder / "etc")}
    (folder / "bad.conf").write_text("[Removal]\nGraceSecs=3\nGraceSec=long\n")
    (folder / "50-mine").write_text(BACKUP)
    (folder / "50-mine").chmod(0o755)
    (folder / "ram2.root").write_bytes((HERE.parent / "roots/ram2.root").read_bytes())
    folder.chmod(0o755)
    os.chdir(folder)
    for name, argv in NARROW:
        x.look(f"narrow-{name}", argv, 40, **env)
    inhibit = ["inhibit", "--what=2 serial:0x1", "--who=backup", "--why=the weekly copy of the databases"]
    x.look("narrow-inhibitors", [*inhibit, x.bus.cli, "inhibitors"], 40, **env)
    if ROOT:
        x.look("narrow-hook-test", ["hook-test", "./50-mine"], 40, **env)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", x.bus.cli]
        for name, argv in (("remove", ["remove", "7", "-y"]), ("locate", ["locate", "7"]), ("inhibit", ["inhibit", "true"])):
            x.look(f"narrow-denied-{name}", argv, 40, [*nobody, argv[0], "--no-ask-password", *argv[1:]], **env)


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
    """The second one joins the removal that the first has left, which begins nothing that it would be asked about; a third cancels it for both."""
    second = Terminal(x.bus, "remove", "7", columns=80, rows=24, env={**x.bus.env, **PLAIN})
    second.wait_for("leaves it running")
    x.compare("two-joined", re.sub(r"(removal) \d+", r"\1 N", screen(second.output)))
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
    bus = Bus(*map(os.path.abspath, sys.argv[1:4]))
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
        narrow(x)
    except BaseException:
        print(bus.log(), file=sys.stderr)
        raise
    finally:
        bus.close()
    stray = {p.stem for p in FOLDER.glob("*.txt")} - x.names
    if x.wrong or stray:
        sys.exit("\n".join([*x.wrong, *(f"no case for {name}" for name in sorted(stray))]))


main()
