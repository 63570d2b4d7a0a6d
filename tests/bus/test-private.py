#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Root's own way in: a socket that nobody else can flood, and that needs no bus daemon."""
import json
import os
import pwd
import select
import signal
import subprocess
import unittest

import harness
from harness import BusTest, NOBODY, ROOT, wait_for
from plain_bus import Connection

PRIVATE_MAX = 64
REFUSED = 17


def connected_as(path, uid, gid):
    """The exit status of a process of that user's that has tried to use root's socket."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            Connection(path, alone=True)
        except ConnectionError:
            code = REFUSED
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Private(BusTest):
    script = "step hold\nwait go\nstep power-off\n"

    def connect(self):
        connection = Connection(self.path("run/daemon/private"), alone=True)
        self.addCleanup(connection.close)
        return connection

    def command(self, *argv):
        return subprocess.run([os.environ["SAFE_REMOVE"], *argv], env=self.env, capture_output=True, text=True, timeout=harness.PATIENCE * 3)

    def start_command(self, *argv):
        return self.background([os.environ["SAFE_REMOVE"], *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop_bus(self):
        self.bus_daemon.kill()
        self.bus_daemon.wait()
        os.unlink(self.path("bus"))

    def wait_step(self, slot):
        def waits():
            removal = json.loads(self.command("status", slot, "--json").stdout)
            return removal.get("state") == "working" and removal.get("step") == "hold"
        wait_for(waits, f"the removal of {slot} in its step")

    def test_same_objects(self):
        """What the bus shows and does, without the bus."""
        c = self.connect()
        self.assertIn(f"{ROOT}/slot/_32", c.answer(c.send("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager")).body)
        answer = c.answer(c.send("Remove", "sa{sv}", ("2", {})))
        self.assertEqual(answer.text, f"{ROOT}/removal/_31")
        report = json.loads(c.answer(c.send("GetReport", path=answer.text, interface=f"{harness.NAME}.Removal")).text)
        self.assertNotIn("withheld", report)
        self.assertEqual(c.answer(c.send("Cancel", "s", ("2",))).kind, 2)
        self.assertEqual(self.wait_end(answer.text), "restored")
        self.assertEqual(self.get(answer.text, "Removal", "ByUid"), os.geteuid())

    def test_everything_is_heard(self):
        """All that is told comes on every connection, addressed to whoever may hear everything."""
        connections = [self.connect() for _ in range(3)]
        for c in connections:
            self.assertEqual(c.answer(c.send("Subscribe")).kind, 2)
        self.write("play/script", "step hold\nstuck\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "stuck")
        for c in connections:
            heard = []
            while not heard or heard[-1].member != "Completed":
                heard.append(c.next())
                self.assertTrue(heard[-1], "nothing more is said")
            events = [(m, json.loads(m.text)) for m in heard if m.member == "Event"]
            self.assertEqual(events[-1][1]["lost"], ["process 812 (dd) was ended"])
            self.assertTrue(all(m.destination and m.sender == harness.NAME for m, _ in events))
            self.assertIn("PropertiesChanged", [m.member for m in heard])
            self.assertIn("InterfacesAdded", [m.member for m in heard])

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs another user")
    def test_nobody_else(self):
        """Neither by the modes nor by what the kernel says of the other end."""
        self.assertEqual(os.stat(self.path("run/daemon/private")).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.path("run")).st_mode & 0o777, 0o711)  # the way to the socket for everybody
        os.chmod(self.path("run"), 0o755)
        os.chmod(self.path("run/daemon/private"), 0o666)
        self.connect()
        self.assertEqual(connected_as(self.path("run/daemon/private"), NOBODY, os.getgid()), REFUSED)

    def test_so_many(self):
        """There is an end to them; the command takes the bus then."""
        connections = [self.connect() for _ in range(PRIVATE_MAX)]
        with self.assertRaises(OSError):
            self.connect()
        result = self.command("list", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        connections[0].close()

        def gets_in():
            try:
                return self.connect()
            except OSError:
                return None
        wait_for(gets_in, "the free place")

    def test_without_a_bus(self):
        """The bus daemon ends in the middle of a removal: it goes on, can be called off, and is on the next bus again."""
        removing = self.start_command("remove", "2")
        self.wait_step("2")
        daemon = self.daemon.pid
        self.stop_bus()
        wait_for(lambda: "The connection to the bus is lost" in self.log(), "the daemon to know")
        monitor = self.start_command("monitor", "--json")
        listed = self.command("list", "--json")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        cancelled = self.command("cancel", "2")
        self.assertEqual(cancelled.returncode, 0, cancelled.stderr)
        self.assertIn("slot 2: not removed: cancelled by command", cancelled.stdout)
        self.assertEqual(removing.wait(harness.PATIENCE), 6)
        self.start_bus()
        wait_for(lambda: self.objects("slot"), "the daemon on the new bus")
        self.assertEqual(self.get(f"{ROOT}/removal/_31", "Removal", "Outcome"), "restored")
        self.assertEqual(self.daemon.pid, daemon)
        self.assertIsNone(self.daemon.poll())
        self.assertIsNone(monitor.poll())

    def test_started_without_a_bus(self):
        self.stop_daemon()
        self.stop_bus()
        with open(self.path("daemon.log"), "ab") as log:
            self.daemon = self.background([harness.DAEMON], stdout=log, stderr=log)
        self.addCleanup(self.stop_daemon)
        wait_for(lambda: len(json.loads(self.command("list", "--json").stdout or "{}").get("slots", [])) == 2, "root's own way")
        self.start_bus()
        wait_for(lambda: len(self.objects("slot")) == 2, "the bus")

    def test_bus_takes_nothing(self):
        """A bus that stands still, or takes no more of what is not read, is left, and joined again when it goes on."""
        self.bus_daemon.send_signal(signal.SIGSTOP)
        c = self.connect()
        removal = c.answer(c.send("Remove", "sa{sv}", ("2", {}))).text
        wait_for(lambda: "accepts no more messages" in self.log(), "the daemon to leave it", harness.PATIENCE * 4)
        self.assertEqual(c.answer(c.send("Cancel", "s", ("2",))).kind, 2)
        self.bus_daemon.send_signal(signal.SIGCONT)
        wait_for(lambda: self.objects("slot"), "the daemon on the bus")
        self.assertEqual(self.wait_end(removal), "restored")

    def test_name_not_free_yet(self):
        """The next bus gives the name to somebody else for a while."""
        self.daemon.send_signal(signal.SIGSTOP)
        self.stop_bus()
        self.start_bus()
        other = Connection(self.path("bus"))
        other.answer(other.send("RequestName", "su", (harness.NAME, 0), interface="org.freedesktop.DBus", path="/org/freedesktop/DBus",
                                destination="org.freedesktop.DBus"))
        self.daemon.send_signal(signal.SIGCONT)
        wait_for(lambda: "is not free on the bus yet" in self.log(), "the daemon to try")
        other.close()
        wait_for(lambda: self.objects("slot"), "the daemon on the new bus")
        self.assertIsNone(self.daemon.poll())

    def test_bus_restarted_below_a_command(self):
        """One that came by the bus, that is."""
        removing = self.background([os.environ["SAFE_REMOVE"], "remove", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env={**self.env, "SAFE_REMOVE_RUN_DIR": self.path("nowhere")})
        self.assertIn("removal 1 started", removing.stdout.readline())
        self.wait_step("2")
        self.stop_bus()
        wait_for(lambda: "The connection to the bus is lost" in self.log(), "the daemon to know")
        self.start_bus()
        wait_for(lambda: self.objects("slot"), "the daemon on the new bus")
        self.write("play/go", "")
        out, _ = removing.communicate(timeout=harness.PATIENCE * 3)
        self.assertEqual(removing.returncode, 0, out)
        self.assertIn("the bus is gone; what runs goes on", out)
        self.assertIn("the bus is back", out)
        self.assertIn("slot 2: safe to pull", out)

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs another user")
    def test_bus_restarted_below_a_user(self):
        """Who waits for a removal by the bus finds it again on the next one."""
        self.command("remove", "2", "--no-wait")
        self.wait_step("2")
        watching = self.background(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", os.environ["SAFE_REMOVE"], "monitor", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env={**self.env, "SAFE_REMOVE_RUN_DIR": self.path("nowhere")})

        def heard():
            self.command("remove", "3", "--no-wait")
            self.command("cancel", "3")
            return select.select([watching.stdout], [], [], 0)[0]

        def hear(**what):
            events = []
            while not events or not what.items() <= events[-1].items():
                events.append(json.loads(watching.stdout.readline()))
            return events

        wait_for(heard, "the monitor to hear something")
        self.stop_bus()
        hear(type="daemon", state="gone")
        self.start_bus()
        hear(type="daemon", state="running")
        self.write("play/go", "")
        self.assertIn("step", [e["type"] for e in hear(type="end", removal="1")])

    def test_daemon_restarted(self):
        """Over root's own way, too, a command waits for the next daemon."""
        removing = self.start_command("remove", "2")
        self.wait_step("2")
        self.write("play/resume-script", "step power-off\n")
        self.stop_daemon(signal.SIGKILL)
        self.start_daemon()
        self.write("play/go", "")
        out, _ = removing.communicate(timeout=harness.PATIENCE * 3)
        self.assertEqual(removing.returncode, 0, out)
        self.assertIn("the daemon is gone", out)
        self.assertIn("the daemon is back", out)

    def test_not_read(self):
        """Who does not read what he is told is let go, and the daemon is none the bigger for it."""
        deaf = self.connect()
        self.write("play/script", "led on off\n" * 6000 + "step hold\n")
        removal = self.remove("2")
        self.assertEqual(self.wait_end(removal), "safe")
        unread = 0
        deaf.socket.settimeout(harness.PATIENCE)
        while data := deaf.socket.recv(65536):
            unread += len(data)
        self.assertLess(unread, 1 << 20)


DAEMON_UID = pwd.getpwnam("daemon").pw_uid  # some user that a bus knows


@unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs another user")
class OwnUser(BusTest):
    """As the units have it: the guard is root's, and its group is the daemon's, who has a user of its own that may do nothing else."""

    daemon_uid = DAEMON_UID
    daemon_as = ["setpriv", f"--reuid={DAEMON_UID}", f"--regid={DAEMON_UID}", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]

    def start_guard(self, before=()):
        os.makedirs(self.path("run/daemon"))
        os.chown(self.path("run"), 0, DAEMON_UID)
        os.chmod(self.path("run"), 0o751)
        os.chown(self.path("run/daemon"), DAEMON_UID, DAEMON_UID)
        os.chmod(self.path("run/daemon"), 0o751)
        super().start_guard(["setpriv", f"--regid={DAEMON_UID}", "--clear-groups"])

    def test_removes_for_root_alone(self):
        for uid in (DAEMON_UID, NOBODY):
            with self.assertRaises(harness.BusError) as refused:
                self.manager("Remove", "'2'", "{}", as_uid=uid)
            self.assertEqual(refused.exception.name, "NotAuthorized")
        self.assertEqual(self.wait_end(self.remove("2")), "safe")

    def test_shares_nothing(self):
        """Root's socket is not for the daemon's own user, whatever its mode."""
        self.assertEqual(connected_as(self.path("run/daemon/private"), DAEMON_UID, NOBODY), REFUSED)


if __name__ == "__main__":
    harness.main()
