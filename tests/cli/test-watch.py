#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view: screens of two sizes in tmux, compared with screens/NAME.txt, a removal to its end on them, a daemon that goes and comes back; and what is
left of it on the terminal. `test-watch.py CLI DAEMON GUARD --update` writes the screens anew."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import termios

from bus import HERE, Bus, Terminal, wait_for

FOLDER = HERE / "screens"
HOST = os.uname().nodename
ENTER, LEAVE = "\033[?1049h", "\033[?1049l"
# What follows it shows how it was left. (The cat keeps the window.)
SCRIPT = 'echo before; "$0" "$@"; echo "exit $?"; stty -a; exec cat'


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


class Tmux:
    """A terminal whose screen can be looked at."""

    def __init__(self, bus, *argv, columns=80, rows=24, **env):
        self.bus, self.socket = bus, str(bus.folder / f"tmux-{columns}")
        self.env = {**bus.env, "NO_COLOR": "1", "SHELL": "/bin/sh", **env}
        self.call("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "sh", "-c", SCRIPT, bus.cli, *argv)
        self.call("set-option", "-g", "status", "off")
        self.resize(columns, rows)

    def call(self, *argv):
        return subprocess.run(["tmux", "-S", self.socket, *argv], env=self.env, check=True, capture_output=True, text=True, timeout=60).stdout

    def resize(self, columns, rows):
        self.call("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self):
        return self.call("capture-pane", "-p")

    def type(self, key):
        self.call("send-keys", key)

    def wait_for(self, pattern):
        found = []

        def seen():
            found[:] = [self.screen()]
            return re.search(pattern, found[0])
        try:
            wait_for(seen, pattern)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{found[0]}") from error
        return found[0]

    def close(self):
        self.call("kill-server")


def masked(screen):
    """Without what differs from run to run; a host's name moves what stands beside it."""
    screen = re.sub(rf"^safe-remove on {re.escape(HOST)}\s+", "safe-remove on machine  ", screen)
    screen = re.sub(r"^\d\d:\d\d:\d\d", "HH:MM:SS", screen, flags=re.MULTILINE)
    screen = re.sub(r"at \d{4}-\d\d-\d\d\s+\d\d:\d\d:\d\d", "at DATE", screen)
    screen = re.sub(r"  about .* left", "", screen)  # it may be over
    screen = re.sub(r"asked for by .*", "asked for by USER", screen)
    return re.sub(r"for \d+ s\b|\d+\.?\d* (m?s|min \d+ s)\b", "N s", screen)


class Screens:
    def __init__(self, bus, update):
        self.bus, self.update, self.wrong, self.names = bus, update, [], set()

    def compare(self, name, screen):
        text, path = masked(screen), FOLDER / f"{name}.txt"
        self.names.add(name)
        if self.update:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(text)
        elif text != (path.read_text() if path.exists() else None):
            self.wrong.append(name)
            print(f"== {name}\n-- got\n{text}-- want {path}", file=sys.stderr)

    def compare_both(self, t, name, pattern):
        """Each size after the other, on the same terminal."""
        for columns, rows in ((80, 24), (40, 15)):
            t.resize(columns, rows)
            # Drawn for this size: the title has something at both ends, and no line is longer.
            wait_for(lambda: re.match(rf"safe-remove on .{{{columns - 22}}}q quits\n", t.screen()), f"the title of {columns} columns")
            self.compare(f"{name}-{columns}", t.wait_for(pattern))


def screens(x):
    """A removal from its beginning to its end, with what is known of its plan; the daemon is restarted, and a resumed one goes on."""
    bus = x.bus
    t = Tmux(bus, "watch")
    t.wait_for("q quits")
    x.compare_both(t, "idle", "SLOT")
    t.resize(80, 24)
    bus.run("remove", "7", "--no-wait")
    x.compare_both(t, "running", r"1 of 4: memory147 offline")
    bus.run("cancel", "7")
    x.compare_both(t, "cancelled", r"Last removal .*not removed:")
    bus.run("remove", "2")
    x.compare_both(t, "safe", r"Last removal .*safe to pull")
    bus.kill_daemon()
    x.compare_both(t, "gone", "the daemon is gone")
    bus.start_daemon()
    wait_for(lambda: "the daemon is gone" not in t.screen(), "the daemon to be seen again")
    t.resize(80, 24)
    t.type("q")
    left = t.wait_for("(?s)exit 0.* icanon")
    expect(left.startswith("before\nexit 0\n"), f"what was on the screen before is not there again: {left}")
    expect(" icanon" in left and " echo" in left.replace("-echo", ""), f"keys are not as they were: {left}")
    t.close()


def main_test(bus):
    """How it ends leaves nothing behind; and who has no terminal is told what to use."""
    for how in (b"q", b"\x03", signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        t = Terminal(bus, "watch", columns=80, rows=24)
        before = termios.tcgetattr(t.master)
        t.wait_for("q quits")
        expect(termios.tcgetattr(t.master) != before, "keys are taken one by one")
        if isinstance(how, bytes):
            t.type(how)
        else:
            t.process.send_signal(how)
        wait_for(lambda: t.process.poll() is not None, "its end")
        after = termios.tcgetattr(t.master)
        code = t.finish()
        expect(code == 0, f"{how}: exit {code}: {t.output!r}")
        expect(t.output.count(ENTER) == 1 and t.output.endswith(LEAVE), f"{how}: {t.output!r}")
        expect(after == before, f"{how}: keys are not as they were")


def stopped(bus):
    """Ctrl-Z gives the terminal back, fg takes it again."""
    t = Terminal(bus, "watch", columns=80, rows=24)
    t.wait_for("q quits")
    t.type(b"\x1a")
    pid = t.process.pid
    wait_for(lambda: t.read() and pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "it to be stopped")
    expect(t.output.endswith(LEAVE), f"stopped: {t.output!r}")
    t.process.send_signal(signal.SIGCONT)
    wait_for(lambda: t.read() and t.output.count(ENTER) == 2 and t.output.count("q quits") == 2, "it to be drawn again")
    t.type(b"q")
    expect(t.finish() == 0, t.output)


def quiet(bus):
    """Where nothing happens nothing is drawn, and nothing is waited for with a clock."""
    t = Terminal(bus, "watch", columns=80, rows=24)
    t.wait_for("q quits")
    drawn = t.output.count("\033[H")
    bus.run("list")
    bus.run("plan", "2")
    for _ in range(20):
        t.read()
    expect(t.output.count("\033[H") <= drawn + 1, f"it was drawn {t.output.count(chr(27) + '[H') - drawn} times more")
    wchan = subprocess.run(["cat", f"/proc/{t.process.pid}/syscall"], capture_output=True, text=True).stdout.split()
    # epoll_wait(fd, events, max, timeout): -1 is without end.
    expect(len(wchan) < 5 or wchan[4] in ("0xffffffff", "0xffffffffffffffff"), f"it does not wait for events alone: {wchan}")
    t.type(b"q")
    expect(t.finish() == 0, t.output)


def no_terminal(bus):
    for argv, env, want in ((["watch"], {}, "standard output is none; line by line: safe-remove monitor"),
                            (["watch", "--json"], {}, "monitor --json")):
        got = bus.run(*argv, **env)
        expect(got.returncode == 64 and want in got.stderr + got.stdout, f"{argv}: {got}")
    t = Terminal(bus, "watch", columns=80, rows=24, env={**bus.env, "TERM": "dumb"})
    expect(t.finish() == 64 and "TERM=dumb" in t.output and ENTER not in t.output, t.output)


def colors(bus):
    """Escape sequences that are not the program's own do not get through, and without color there is none."""
    t = Terminal(bus, "watch", columns=80, rows=24, env={**bus.env, "NO_COLOR": "1"})
    t.wait_for("q quits")
    bus.run("remove", "5")
    t.wait_for("ended restored")
    t.type(b"q")
    t.finish()
    expect(not re.search(r"\033\[[0-9;]+m", t.output.replace("\033[0m", "")), f"{t.output!r}")


def hostile(bus):
    """Names are anybody's to choose: no character of theirs does anything to the terminal, and one that it cannot show is a question mark."""
    (bus.state / "hostile").touch()
    for locale, name in (("C", r"of \?\[2J\?\]0;title[? ]+va"), ("C.UTF-8", r"of \?\[2J\?\]0;title[? ]+\u00e9va")):
        t = Terminal(bus, "watch", columns=80, rows=24, env={**bus.env, "LC_ALL": locale})
        t.wait_for("q quits")
        started = bus.run("remove", "7", "--no-wait")
        expect(started.returncode == 0, started)
        t.wait_for("memory147 offline of")
        bus.run("cancel", "7")
        t.wait_for("ended restored")
        t.type(b"q")
        expect(t.finish() == 0, t.output)
        expect(re.search(name, t.output), f"{locale}: {t.output!r}")
        expect("title\a" not in t.output and t.output.count("\033[2J") == 1 and "\u202e" not in t.output, f"{locale}: {t.output!r}")
        expect(locale != "C" or t.output.isascii(), f"{locale}: {t.output!r}")
    (bus.state / "hostile").unlink()


def main():
    if not shutil.which("tmux"):
        print("tmux is not there (tools/install-deps tests)")
        sys.exit(77)
    bus = Bus(*sys.argv[1:4])
    x = Screens(bus, "--update" in sys.argv)
    try:
        bus.start_daemon()
        screens(x)
        for test in (main_test, stopped, quiet, no_terminal, colors, hostile):
            test(bus)
    except BaseException:
        print(bus.log(), file=sys.stderr)
        raise
    finally:
        for socket in bus.folder.glob("tmux-*"):
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True)
        bus.close()
    stray = {p.stem for p in FOLDER.glob("*.txt")} - x.names
    if x.wrong or stray:
        sys.exit("\n".join([*x.wrong, *(f"no case for {name}" for name in sorted(stray))]))


main()
