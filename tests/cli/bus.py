# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private bus with the real daemon on it, whose guard starts fake_worker.py for every worker."""
import fcntl
import json
import os
import pathlib
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT = 60

# What a look finds of a slot, and the property that shows it.
FACTS = {"name": "Name", "held": "Held", "occupied": "Occupied", "power": "Power", "power_led": "PowerLed", "attention_led": "AttentionLed"}

# Whoever writes durably waits for the disk, which has what all others write to do first: in memory where that can be had.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None


class Bus:
    def __init__(self, cli, daemon, guard):
        self.cli, self.daemon_path = cli, daemon
        self.daemon = self.guard = None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="safe-remove-cli-", dir=MEMORY))
        self.state = self.folder / "state"
        self.state.mkdir()
        # Not --session: its configuration would start services of the machine the test runs on.
        config = self.folder / "bus.conf"
        config.write_text(
            '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" '
            '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
            f"<busconfig><type>session</type><listen>unix:path={self.folder}/bus</listen>"
            '<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>'
            '<allow own="*"/></policy></busconfig>')
        self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"],
                                    stdout=subprocess.PIPE, text=True, stderr=open(self.folder / "bus.log", "w"))
        address = self.bus.stdout.readline().strip()
        self.env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "LANG", "LC_ALL", "COLUMNS", "PAGER", "SAFE_REMOVE_PAGER", "LESS")}
        self.env.update(DBUS_SESSION_BUS_ADDRESS=address, SAFE_REMOVE_BUS="session", TZ="UTC", TERM="xterm",
                        SAFE_REMOVE_STATE_DIR=str(self.state))
        # What the command is not told of: it comes by the bus.
        self.daemon_env = {**self.env, "SAFE_REMOVE_WORKER": str(HERE / "fake-worker"), "TEST_PYTHON": sys.executable,
                           "SAFE_REMOVE_RUN_DIR": str(self.folder / "run"),
                           "SAFE_REMOVE_KMSG": str(self.folder / "kmsg")}
        self.start_guard(guard)

    def start_guard(self, guard):
        """It sees no slot of the machine that the test runs on."""
        flags = "-m" if os.getuid() == 0 else "-rm"
        if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL).returncode != 0:
            print("namespaces cannot be made here")
            sys.exit(77)
        os.mkfifo(self.folder / "kmsg")
        self.kmsg = os.open(self.folder / "kmsg", os.O_RDWR)  # a log without a writer would be at its end
        self.guard = self.start(["unshare", flags, "sh", "-c", 'mount -t tmpfs test /sys && exec "$0"', guard])
        wait_for((self.folder / "run/workers").exists, "the guard")

    def start(self, argv):
        with open(self.folder / "daemon.log", "a") as log:
            return subprocess.Popen(argv, env=self.daemon_env, stdin=subprocess.DEVNULL, stderr=log)

    def start_daemon(self, records_known=True):
        self.daemon = self.start([self.daemon_path])
        wait_for(lambda: self.is_up(records_known), "the daemon, its first scan and the records")

    def is_up(self, records_known):
        """With its slots; until it has read the records, which may take longer, it knows of none whether it is ready, and starts no removal."""
        slots = json.loads(self.run("list", "--json").stdout).get("slots")
        return slots and not (records_known and "unknown" in [slot["state"] for slot in slots])

    def settle(self):
        """Until what the daemon shows of each slot is what a look finds: the one that follows a removal may not be over when that has ended."""
        wait_for(self.is_settled, "the slots to be shown as they are")

    def is_settled(self):
        reply = subprocess.run(["busctl", f"--address={self.env['DBUS_SESSION_BUS_ADDRESS']}", "--json=short", "call", "org.saferemove1", "/org/saferemove1",
                                "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"], capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
        shown = [of["org.saferemove1.Slot"] for of in json.loads(reply)["data"][0].values() if "org.saferemove1.Slot" in of]
        found = json.loads(self.run("list", "--json").stdout)["slots"]
        return sorted(tuple(slot[name]["data"] for name in FACTS.values()) for slot in shown) == sorted(tuple(slot[name] for name in FACTS) for slot in found)

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()

    def run(self, *argv, **env):
        return subprocess.run([self.cli, *argv], env={**self.env, **env}, capture_output=True, text=True, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL)

    def close(self):
        # Nothing of them is wanted any more, and how the daemon stops is another test's subject. A fake worker leaves
        # when its socket closes.
        for p in (self.daemon, self.guard, self.bus):
            if p and p.poll() is None:
                p.kill()
                p.wait()
        shutil.rmtree(self.folder)

    def log(self):
        return (self.folder / "daemon.log").read_text()


def wait_for(condition, what, seconds=TIMEOUT):
    """There is no event for what another process has printed or written; a short look now and then, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Terminal:
    """The CLI on a terminal of its own."""

    def __init__(self, bus, *argv, columns=0, rows=0, env=None, program=None):
        self.master, slave = os.openpty()
        self.output = ""
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(program or [bus.cli, *argv], env=env or bus.env, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        os.close(slave)

    def read(self):
        ready, _, _ = select.select([self.master], [], [], 0.05)
        if ready:
            try:
                self.output += os.read(self.master, 65536).decode()
            except OSError:  # EIO: the other side is closed
                return False
        return True

    def wait_for(self, text):
        def seen():
            self.read()
            return text in self.output
        wait_for(seen, f"'{text}' on the terminal (have: {self.output!r})")

    def type(self, keys):
        os.write(self.master, keys)

    def finish(self):
        wait_for(lambda: not self.read(), "the end of the terminal")
        os.close(self.master)
        return self.process.wait(TIMEOUT)
