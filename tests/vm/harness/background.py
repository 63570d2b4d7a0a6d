# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that run in the guest while a scenario goes on. Each is a service, as most processes on a server are, so that
it has a unit of its own to be named by; all are in one slice, so that none can be left over."""

import shlex
import shutil

from .errors import LabError

SLICE = "lab.slice"
# In the folder that the guest shares with us: what was said is readable without the guest, and after its end.
FOLDER = "out"
KILL_ALL = f"/sys/fs/cgroup/{SLICE}/cgroup.kill"
UNITS = "/run/systemd/system"


class Background:
    """A command running in the guest, with what it has printed so far."""

    def __init__(self, guest, name, command, properties=()):
        self.guest = guest
        self.name = name
        self.unit = f"lab-{name}.service"
        folder = guest.dir / "share" / FOLDER
        folder.mkdir(exist_ok=True)
        self.out_path = folder / f"{name}.out"
        self.status_path = folder / f"{name}.status"
        self.out_path.unlink(missing_ok=True)
        self.status_path.unlink(missing_ok=True)
        self.pid = int(self._start(command, properties))

    def _start(self, command, properties):
        """Returns the number of its main process."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        # systemd replaces variables in a service's arguments; the shell is the one to do it here.
        return self._start_unit([word.replace("$", "$$") for word in argv], [*self._properties(), *properties])

    def _properties(self):
        said = f"append:/lab/{FOLDER}/{self.name}.out"
        return [f"StandardOutput={said}", f"StandardError={said}",
                # No variable: systemd 252 writes "$$" as "\$\$" into the file of a transient unit, and reads that again at a daemon-reload.
                f"ExecStopPost=/bin/sh -c 'printenv EXIT_STATUS > /lab/{FOLDER}/{self.name}.status'"]

    def _start_unit(self, argv, properties):
        """A transient service is forgotten when it ends."""
        run = ["systemd-run", "--quiet", f"--unit={self.unit}", f"--slice={SLICE}",
               *(f"--property={item}" for item in properties), "--", *argv]
        return self.guest.out(f"systemctl reset-failed {self.unit} 2> /dev/null; {shlex.join(run)} && {self._show()}")

    def _show(self):
        return f"systemctl show -P MainPID {self.unit}"

    def output(self):
        return _read(self.out_path)

    def tail(self):
        return self.output()[-500:]

    def running(self):
        return self.guest.succeeds(["/usr/bin/systemctl", "is-active", "--quiet", self.unit])

    def status(self):
        """The exit status (or the signal's name) of the command; None while it runs."""
        return _read(self.status_path).strip() or None

    def signal(self, name):
        self.guest.run(["/bin/kill", f"-{name}", str(self.pid)])

    def wait_for_output(self, text, timeout=60):
        """Wait until it has printed a text; fails at once when it has ended without."""
        def printed():
            found = text in self.output()
            if not found and self.status() is not None and text not in self.output():
                raise LabError(f"{self.name} ended with {self.status()} before it said '{text}': {self.tail()}")
            return found
        self.guest.wait_for(printed, timeout, f"{self.name} to say '{text}'")

    def wait(self, timeout=60):
        """Wait for the end; returns the exit status."""
        return self.guest.wait_for(self.status, timeout, f"{self.name} to end")

    def stop(self):
        """Ask for the end and wait for it; returns the exit status."""
        self.guest.run(f"systemctl stop {self.unit} 2> /dev/null || true", timeout=120)
        return self.status()


class Service(Background):
    """The same with a unit file, so that somebody who has stopped it can start it again."""

    def _start_unit(self, argv, properties):
        # What these quotes mean to a shell they mean to systemd.
        lines = "".join(f"{item}\n" for item in properties)
        text = f"[Service]\nSlice={SLICE}\nExecStart={shlex.join(argv).replace('%', '%%')}\n{lines}"
        self.guest.write(f"{UNITS}/{self.unit}", text)
        return self.guest.out(f"systemctl daemon-reload && systemctl start {self.unit} && {self._show()}")

    def main_pid(self):
        """The process now; 0 when it is stopped."""
        return int(self.guest.out(self._show()))


def _read(path):
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


# Ends every background process, also those that do not care to.
STOP_ALL = f"""[ ! -e {KILL_ALL} ] || systemctl stop {SLICE} 2> /dev/null
[ ! -e {KILL_ALL} ] || echo 1 > {KILL_ALL}
! ls {UNITS}/lab-*.service > /dev/null 2>&1 || {{ rm {UNITS}/lab-*.service; systemctl daemon-reload; }}
"""


def forget_all(guest):
    """What those of an earlier scenario said."""
    shutil.rmtree(guest.dir / "share" / FOLDER, ignore_errors=True)
