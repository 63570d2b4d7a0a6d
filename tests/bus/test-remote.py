#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another machine's daemon, by ssh and the program that systemctl -H has at the other end; and connections that end while a request is on its way."""
import os
import shutil
import signal
import subprocess
import sys
import unittest

import harness
from harness import BusTest, wait_for

BRIDGE = shutil.which("systemd-stdio-bridge")
# What ssh has in between passes no descriptors, as a network.
SSH = """#!{python}
import os, select, subprocess, sys
with open("{folder}/ssh.log", "a") as log:
    log.write(" ".join(sys.argv[1:]) + chr(10))
if os.path.exists("{folder}/unreachable"):
    sys.exit(255)
bridge = subprocess.Popen(["{bridge}", "--bus-path=unix:path={folder}/bus"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
ways = {{0: bridge.stdin.fileno(), bridge.stdout.fileno(): 1}}
while True:
    for way in select.select(list(ways), [], [])[0]:
        data = os.read(way, 65536)
        if not data:
            bridge.kill()
            sys.exit(255)
        while data:
            select.select([], [ways[way]], [])
            data = data[os.write(ways[way], data[:4096]):]
"""


@unittest.skipUnless(BRIDGE, "needs systemd-stdio-bridge")
class Remote(BusTest):
    script = "step hold\nwait go\nstep power-off\n"

    def setUp(self):
        super().setUp()
        self.write("ssh", SSH.format(folder=self.folder, bridge=BRIDGE, python=sys.executable))
        os.chmod(self.path("ssh"), 0o755)
        # This machine has neither a bus nor a socket of the daemon's.
        self.here = {**self.env, "SYSTEMD_SSH": self.path("ssh"), "SAFE_REMOVE_RUN_DIR": self.path("nowhere"),
                     "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.path('no-bus')}"}

    def command(self, *argv):
        return subprocess.run([os.environ["SAFE_REMOVE"], *argv], env=self.here, capture_output=True, text=True, timeout=harness.PATIENCE * 3)

    def start_command(self, *argv):
        return self.background([os.environ["SAFE_REMOVE"], *argv], env=self.here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_step(self, step):
        wait_for(lambda: any(o[f"{harness.NAME}.Removal"]["Step"]["data"] == step for o in self.objects("removal").values()), f"the step {step}")

    def test_verbs(self):
        """What each of them says there is what it says here, long documents too."""
        self.write("play/filling", "x" * 300000)
        for argv in (["list", "--json"], ["plan", "2", "--json"], ["explain", "2", "3"], ["verify", "2", "--json"], ["history", "--json"], ["status"],
                     ["restore", "2", "--dry-run"], ["certificate", "--verify", "--json"]):
            here = subprocess.run([os.environ["SAFE_REMOVE"], *argv], env=self.env, capture_output=True, text=True, timeout=harness.PATIENCE * 3)
            there = self.command(*argv, "-H", "root@other")
            self.assertEqual((there.returncode, there.stdout.replace(" -H root@other", ""), there.stderr), (here.returncode, here.stdout, here.stderr), argv)
        self.assertNotEqual(self.command("list").returncode, 0)
        with open(self.path("ssh.log")) as f:
            self.assertEqual(set(f), {"-xT -- root@other systemd-stdio-bridge\n"})
        self.command("list", "--host=root@other:2222")
        with open(self.path("ssh.log")) as f:
            self.assertEqual(list(f)[-1], "-xT -p 2222 -- root@other systemd-stdio-bridge\n")

    def test_removal(self):
        """Which machine it is about is said; what is to be typed next goes there too."""
        removing = self.start_command("remove", "2", "-H", "other")
        self.assertIn("removal 1 started on other", removing.stdout.readline())
        self.wait_step("hold")
        removing.send_signal(signal.SIGINT)
        out, _ = removing.communicate(timeout=harness.PATIENCE * 3)
        self.assertIn("safe-remove -H other status 2", out)
        self.write("play/go", "")
        self.assertEqual(self.wait_end("/org/saferemove1/removal/_31"), "safe")
        self.assertIn("slot 2: safe to pull", self.command("status", "2", "-H", "other").stdout)

    def test_connection_lost(self):
        """It is made again, and the removal found by its id."""
        removing = self.start_command("remove", "2", "-H", "other")
        removing.stdout.readline()
        self.wait_step("hold")
        self.write("unreachable", "")
        for pid in self.bridges():
            os.kill(pid, signal.SIGKILL)
        self.hears(removing, "the connection to that machine is lost")
        os.unlink(self.path("unreachable"))
        self.hears(removing, "the connection is back")
        self.write("play/go", "")
        out, _ = removing.communicate(timeout=harness.PATIENCE * 3)
        self.assertEqual(removing.returncode, 0, out)
        self.assertIn("slot 2: safe to pull", out)

    def hears(self, process, text):
        while text not in (line := process.stdout.readline()):
            self.assertTrue(line, text)

    def bridges(self):
        found = []
        for pid in os.listdir("/proc"):
            if pid.isdigit():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        line = f.read()
                except OSError:
                    continue
                if line.startswith(BRIDGE.encode()) and self.folder.encode() in line:
                    found.append(int(pid))
        return found

    def test_unreachable(self):
        self.write("unreachable", "")
        result = self.command("list", "-H", "other")
        self.assertEqual(result.returncode, 69)
        self.assertIn("other cannot be reached by ssh", result.stderr)
        for wrong in ("", "-oProxyCommand=x", ":22"):
            self.assertEqual(self.command("list", f"--host={wrong}").returncode, 64)


class CutOff(BusTest):
    """The request was made, and the connection ended before its answer."""
    script = "step hold\nwait go\nstep power-off\n"

    def start_command(self, *argv, by_bus=True, **more):
        return self.background([os.environ["SAFE_REMOVE"], *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**self.env, **({"SAFE_REMOVE_RUN_DIR": self.path("nowhere")} if by_bus else {})}, **more)

    def restart_bus(self):
        self.bus_daemon.kill()
        self.bus_daemon.wait()
        os.unlink(self.path("bus"))
        wait_for(lambda: "The connection to the bus is lost" in self.log(), "the daemon to know")
        self.start_bus()
        wait_for(lambda: self.objects("slot"), "the daemon on the new bus")

    def asked(self, n=1):
        wait_for(lambda: self.requests() == n, "the request")

    def requests(self):
        return len([line for line in self.worker_log() if line.startswith("run ")])

    def test_bus_restarted(self):
        """It was accepted all the same: the command finds it, and asks for nothing a second time."""
        self.write("play/slow-target", "")
        removing = self.start_command("remove", "2")
        self.asked()
        self.restart_bus()
        self.assertIn("looking whether it was accepted", removing.stdout.readline())
        os.unlink(self.path("play/slow-target"))
        self.wait_started()
        self.write("play/go", "")
        out, _ = removing.communicate(timeout=harness.PATIENCE * 3)
        self.assertEqual(removing.returncode, 0, out)
        self.assertIn("removal 1 started", out)
        self.assertIn("slot 2: safe to pull", out)
        self.assertEqual(self.requests(), 1)

    def wait_started(self):
        wait_for(lambda: self.objects("removal"), "the removal")

    def test_daemon_killed(self):
        """By root's own way. Nothing had begun, and nothing was asked for again."""
        self.write("play/slow-target", "")
        removing = self.start_command("remove", "2", "--no-wait", by_bus=False)
        self.asked()
        self.stop_daemon(signal.SIGKILL)
        os.unlink(self.path("play/slow-target"))
        self.start_daemon()
        out, _ = removing.communicate(timeout=harness.PATIENCE * 4)
        self.assertEqual(removing.returncode, 69, out)
        self.assertIn("nothing was asked for again", out)
        self.assertEqual(self.requests(), 1)
        self.assertEqual(self.objects("removal"), {})

    def test_other_removals_are_none(self):
        """One of another card that runs is not taken for it."""
        self.write("play/script", "step hold\nwait go\n")
        self.remove("3")
        self.asked()
        self.write("play/slow-target", "")
        removing = self.start_command("remove", "2")
        self.asked(2)
        self.restart_bus()
        self.assertIn("looking whether it was accepted", removing.stdout.readline())
        os.unlink(self.path("play/slow-target"))
        self.write("play/go", "")
        out, _ = removing.communicate(timeout=harness.PATIENCE * 3)
        self.assertIn("removal 2 started", out)
        self.assertEqual(removing.returncode, 0, out)


if __name__ == "__main__":
    harness.main()
