# SPDX-License-Identifier: LGPL-2.1-or-later
"""One card is pulled while an application uses it, shown step by step: with safe-remove, or by the kernel alone."""

import sys
import time
from pathlib import Path

from . import memory, stage
from .errors import LabError
from .guest import Guest
from .keeper import Keeper
from .kernel_log import KernelLog
from .slot import Slot

SLOT = 2
KEEPER_MIB = 200
# Without safe-remove there is nothing to be moved; the smaller one only shows what becomes of it.
LOST_MIB = 32
SAFE_TIMEOUT = 120


class Screen:
    """Prints what happens, with the time since the start of the act."""

    def __init__(self):
        self.start = time.monotonic()
        self.light = None

    def restart(self):
        self.start = time.monotonic()

    def say(self, text):
        for line in text.splitlines():
            print(f"[{time.monotonic() - self.start:6.1f} s] {line}", flush=True)

    def title(self, text):
        print(f"\n== {text}", flush=True)

    def plain(self, text):
        print(text.rstrip(), flush=True)

    def lights(self, leds):
        """Said when they change. This is the port's own register, not what any program claims."""
        shown = f"power light {leds.power}, attention light {leds.attention}, " \
                f"slot power {'on' if leds.power_on else 'off'}"
        if shown != self.light:
            self.light = shown
            self.say(f"LIGHTS   {shown}{'   <- safe to pull' if leds.safe else ''}")


def _boot(screen, guest):
    screen.title("A machine with two CXL memory cards (Debian's kernel, emulated hardware)")
    guest.down()
    guest.up(say=screen.say)
    screen.say(f"booted, kernel {guest.out('uname -r')}")


def _use_card(screen, guest, mib):
    """Put an application's memory on the card in the slot."""
    ram = memory.create(guest, SLOT)
    screen.say(f"the card in slot {SLOT} is System RAM: {ram.size >> 20} MiB in node {ram.node}, "
               f"{ram.online()} blocks online")
    screen.say(f"an application fills {mib} MiB of it")
    keeper = Keeper(guest, ram.node, mib)
    pages = keeper.verify()
    screen.say(f"{pages * 4 >> 10} MiB of its memory are on the card, a word of each cache line checked")
    return ram, keeper


def _follow(screen, guest, done, lines_of, timeout=SAFE_TIMEOUT):
    """Show new lines and changes of the lights until done() says so; False when it never does."""
    slot = Slot(guest, SLOT)
    deadline = time.monotonic() + timeout
    shown = 0
    while True:
        leds = slot.leds()
        lines = lines_of()
        for line in lines[shown:]:
            screen.say(f"         {line}")
        shown = len(lines)
        screen.lights(leds)
        if done(leds):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def _show_command(screen, guest, command):
    screen.plain(f"# {command}")
    _, out, err = guest.run(command, timeout=60, check=False)
    screen.plain(out + err)


def _verdict(screen, facts):
    """Print what was found; True when all of it is as it should be."""
    screen.title("Looked at afterwards")
    for good, text in facts:
        screen.plain(f"{'ok  ' if good else 'FAIL'} {text}")
    return all(good for good, _ in facts)


def with_daemon(guest, folder):
    """Act one: the button is pressed, safe-remove clears the card, the light says so."""
    screen = Screen()
    _boot(screen, guest)
    stage.install(guest, folder)
    log = KernelLog(guest, "demo")
    ram, keeper = _use_card(screen, guest, KEEPER_MIB)
    screen.title("What safe-remove sees, and what it would do")
    _show_command(screen, guest, "safe-remove list")
    _show_command(screen, guest, f"safe-remove plan {SLOT}")

    screen.title(f"Somebody presses the button of slot {SLOT}")
    monitor = guest.spawn("monitor", "safe-remove monitor")
    monitor.wait_for_output("\n")  # its first line says that it listens
    screen.restart()
    Slot(guest, SLOT).press()
    safe = _follow(screen, guest, lambda leds: leds.safe, lambda: monitor.output().splitlines()[1:])
    seconds = time.monotonic() - screen.start

    trouble = log.trouble()
    facts = [(safe, f"the lights say \"safe to pull\" after {seconds:.1f} s"),
             (not Slot(guest, SLOT).occupied, "the card could be taken out, and was"),
             (not ram.blocks(), "none of its memory is left in the system"),
             (_intact(keeper), f"the application runs on, its {KEEPER_MIB} MiB are as they were (each cache line)"),
             (not trouble, "the kernel has no complaint" + "".join(f"\n     {line}" for line in trouble))]
    return _verdict(screen, facts)


def _intact(keeper):
    try:
        return keeper.finish() == 0
    except LabError as error:
        print(error)
        return False


def without_daemon(guest):
    """Act two: the same press, and nobody there but the kernel."""
    screen = Screen()
    _boot(screen, guest)
    log = KernelLog(guest, "demo")
    ram, keeper = _use_card(screen, guest, LOST_MIB)

    screen.title(f"Somebody presses the button of slot {SLOT}; nobody but the kernel is there")
    screen.restart()
    Slot(guest, SLOT).press()
    off = _follow(screen, guest, lambda leds: leds.safe, lambda: _telling(log), timeout=60)

    online = ram.online()
    lost = not _quick_intact(guest, keeper)
    facts = [(off, "the lights say \"safe to pull\""),
             (log.has("cannot be hotremoved"), "though the kernel could not take the memory away"),
             (online > 0, f"{online} of {len(ram.block_numbers)} memory blocks are online with no card behind them"),
             (lost, "the application's bytes are gone: " + (keeper.tail().splitlines() or ["it hangs"])[-1])]
    return _verdict(screen, facts)


def _telling(log):
    words = ("pciehp", "removing memory", "hotremoved", "BUG", "Oops")
    return [line for line in log.lines() if any(word in line for word in words)]


def _quick_intact(guest, keeper):
    """Whether the application still has its bytes; it may well be unable to say so."""
    try:
        guest.wait_for(lambda: "CORRUPT" in keeper.output() or keeper.status(), 20, "the application to notice")
    except LabError:
        return keeper.running()
    return False


def main(argv):
    guest = Guest("demo")
    try:
        good = without_daemon(guest) if argv == ["--without"] else with_daemon(guest, Path(argv[0]))
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        good = False
    finally:
        guest.down()
    return 0 if good else 1
