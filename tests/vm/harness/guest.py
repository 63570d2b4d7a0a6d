# SPDX-License-Identifier: LGPL-2.1-or-later
"""One running guest: start it, run commands in it, look at its files, end it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import textwrap
import time

from . import image, machine, qemu, wait
from .profiles import DRIVERS, PROFILES, SWITCHES
from .agent import Agent
from .background import Background
from .errors import CommandFailed, GuestGone, LabError, Timeout
from .paths import SECOND, run_dir
from .qmp import Qmp
from .slot import Slot

# Of a host on which much else runs: half a minute on a quiet one.
BOOT_TIMEOUT = 600
PING_TIMEOUT = 10


class Guest:
    """A guest by its name; several programs may use the same one at a time."""

    def __init__(self, name="dev"):
        self.name = name
        self.dir = run_dir(name)
        self.qmp = Qmp(self.dir)
        self.agent = Agent(self.dir)
        self.spoiled = False

    # -- life ---------------------------------------------------------------------------------------------------------

    def up(self, profile="ram2", vmlinuz=None, initrd=None, cmdline="", suite="", say=lambda text: None):
        """Boot, with the kernel of a suite if one is asked for, and return when the guest answers. Seldom an emulated processor never
        comes up: then once more."""
        if self.alive():
            raise LabError(f"guest {self.name} is up already")
        base, emulator = image.get(say, suite), qemu.get(say)
        try:
            self._boot(emulator, profile, base, vmlinuz, initrd, cmdline, suite)
        except Timeout as error:
            say(f"     ({error}; once more)")
            self.down()
            self._boot(emulator, profile, base, vmlinuz, initrd, cmdline, suite)
        self._light_up()

    def _boot(self, emulator, profile, base, vmlinuz, initrd, cmdline, suite):
        shutil.rmtree(self.dir, ignore_errors=True)
        (self.dir / "share").mkdir(parents=True)
        (self.dir / "machine.json").write_text(json.dumps({"profile": profile, "suite": suite}))
        command = machine.command_line(emulator, PROFILES[profile], base, self.dir, vmlinuz, initrd, cmdline)
        (self.dir / "command").write_text(shlex.join(command) + "\n")
        started = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if started.returncode != 0:
            raise LabError(f"QEMU does not start: {started.stderr.strip()}")
        self.spoiled = False
        self._wait_for_boot()

    def _wait_for_boot(self):
        wait.until(self._answers, BOOT_TIMEOUT, f"guest {self.name} to boot (see {self.dir / 'serial.log'})")
        self.wait_for("systemctl is-system-running --wait", BOOT_TIMEOUT, ok=(0, 1))
        self.wait_for("mountpoint -q /lab && udevadm settle -t 10", BOOT_TIMEOUT)

    def _light_up(self):
        """Set the power lights of the slots with a card to on, as a real machine's firmware does: QEMU starts with all
        lights off, which would read as "safe to pull", and the kernel leaves them as it finds them."""
        profile = self.profile
        for number in profile.slots:
            if number in profile.cards:
                Slot(self, number).light_up()

    def boot_id(self):
        return self.read("/proc/sys/kernel/random/boot_id").strip()

    def reset(self, how=None, timeout=BOOT_TIMEOUT):
        """As the reset button does, or by a shell line that ends in one, or in a power-off, after which somebody switches it on; returns when it answers anew.
        What it had not written to its disk is lost, and so is what only this boot of the machine had: it is in no state for other scenarios."""
        self.spoiled = True
        self.qmp("set-action", reboot="reset", shutdown="pause")
        before = self.boot_id()
        if how:
            self.run(how, check=False)
        else:
            self.qmp("system_reset")
        self.agent.rest()

        def is_anew():
            try:
                self._switch_on()
                return self._answers() and self.boot_id() != before
            except LabError:
                if not self.alive():
                    raise
                return False
        wait.until(is_anew, timeout, f"guest {self.name} to come up again (see {self.dir / 'serial.log'})")
        self._wait_for_boot()

    def _is_off(self):
        return self.qmp("query-status")["status"] == "shutdown"

    def _switch_on(self):
        """A machine that has switched itself off, as reset() has it, is still there with its disk."""
        if self._is_off():
            self.qmp("system_reset")
            self.wait_for(lambda: not self._is_off(), BOOT_TIMEOUT, f"guest {self.name} to be reset")
            self.qmp("cont")

    def _answers(self):
        if not self.alive():
            raise GuestGone(f"guest {self.name} ended while booting: see {self.dir / 'serial.log'}")
        try:
            self.agent.ping(PING_TIMEOUT)
        except GuestGone:
            return False
        return True

    def pid(self):
        try:
            return int((self.dir / "qemu.pid").read_text())
        except (OSError, ValueError):
            return None

    def alive(self):
        pid = self.pid()
        if pid is None:
            return False
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                # The number may have been given to another process since.
                return str(self.dir).encode() in file.read()
        except OSError:
            return False

    def down(self):
        """End the guest as pulling the mains would; its disk is thrown away in any case."""
        self.agent.rest()
        if not self.alive():
            return
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        try:
            wait.until(lambda: not self.alive(), 10, "QEMU to end", interval=0.05)
        except Timeout:
            os.kill(pid, signal.SIGKILL)
            wait.until(lambda: not self.alive(), 10, "QEMU to be gone", interval=0.05)

    @property
    def profile(self):
        return PROFILES[json.loads((self.dir / "machine.json").read_text())["profile"]]

    def second(self):
        """The one at the other end of this one's wire (lab.second()), whether it is up or not."""
        return Guest(self.name + SECOND)

    def up_like(self, other):
        """Boot the machine that the other one is."""
        self.up(**json.loads((other.dir / "machine.json").read_text()))

    def cards(self, kind=None):
        """QEMU's paths of the cards that are plugged in: all of one kind, or all."""
        kinds = [kind] if kind else sorted({*DRIVERS.values(), *SWITCHES})
        return self.qmp.children("/machine/peripheral", kinds)

    # -- commands -----------------------------------------------------------------------------------------------------

    def run(self, command, timeout=120, check=True, stdin="", env=()):
        """Run a command (a shell line or a list) to its end: (exit status, output, error output)."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        pid = self.agent.start(argv, stdin.encode(), env)
        try:
            rc, out, err = self._result(pid, timeout, command)
        except (Timeout, KeyboardInterrupt):
            # We may have been interrupted in the middle of an answer.
            self.agent.rest()
            self.agent.start(["/bin/sh", "-c", f"pkill -KILL -P {pid}; kill -KILL {pid}"])
            raise
        if check and rc != 0:
            raise CommandFailed(command, rc, out, err)
        return rc, out, err

    def _result(self, pid, timeout, command):
        began = time.monotonic()
        pause = 0.01
        while (ended := self.agent.status(pid)) is None:
            lasted = time.monotonic() - began
            if lasted > timeout:
                raise Timeout(f"after {timeout:g} s still running: {textwrap.shorten(str(command), 100)}")
            if lasted > wait.BEFORE_REST:
                self.agent.rest()
            time.sleep(pause)
            pause = min(pause * 2, 0.2)
        return ended

    def spawn(self, name, command, properties=()):
        """Start a command that goes on by itself, as a transient service; see Background."""
        return Background(self, name, command, properties)

    def out(self, command, timeout=120):
        """The output of a command that must succeed, without the last line's end."""
        return self.run(command, timeout)[1].rstrip("\n")

    def succeeds(self, command, timeout=120):
        return self.run(command, timeout, check=False)[0] == 0

    def read(self, path):
        return self.run(["/bin/cat", path])[1]

    def write(self, path, text):
        self.run(["/bin/sh", "-c", 'cat > "$0"', path], stdin=text)

    def wait_for(self, condition, timeout, what=None, ok=(0,)):
        """Wait for a function to return something true, or for a command to end with an expected status."""
        def command():
            return self.run(condition, timeout, check=False)[0] in ok
        return wait.until(condition if callable(condition) else command, max(timeout, wait.PATIENCE), what or str(condition),
                          rest=self.agent.rest)
