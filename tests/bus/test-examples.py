#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The programs in docs/SERVICES.md and docs/FLEETS.md do what stands beside them: they are taken from the pages, built, and run against the daemon."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import BusTest, NAME, PATIENCE, ROOT, wait_for

SAFE_REMOVE = os.environ["SAFE_REMOVE"]
SYSTEM_PYTHON = "/usr/bin/python3"  # which Debian's modules are for


def example(language, of="SERVICES"):
    with open(f"{harness.SOURCE}/docs/{of}.md") as page:
        found = re.findall(rf"^```{language}\n(.*?)^```$", page.read(), re.M | re.S)
    assert len(found) == 1, f"{len(found)} examples in {language}"
    return found[0]


def can(*argv):
    return shutil.which(argv[0]) and subprocess.run(argv, capture_output=True, check=False).returncode == 0


class Words(unittest.TestCase):
    @unittest.skipUnless(can("shellcheck", "--version"), "needs shellcheck")
    def test_shells(self):
        for page in ("SERVICES", "FLEETS"):
            said = subprocess.run(["shellcheck", "-"], input=example("sh", page), capture_output=True, text=True, check=False)
            self.assertEqual(said.stdout, "", page)


    def test_declaration(self):
        with open(f"{harness.SOURCE}/docs/SERVICES.md") as page, tempfile.NamedTemporaryFile("w", suffix=".service") as unit:
            unit.write(re.search(r"^```\n(\[X-SafeRemove\]\n.*?)^```$", page.read(), re.M | re.S)[1])
            unit.flush()
            env = {**os.environ, "SAFE_REMOVE_WORKER": os.environ["REAL_WORKER"]}
            done = subprocess.run([SAFE_REMOVE, "policy", "check", unit.name], env=env, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "1 file read, nothing wrong\n", ""))


class Services(BusTest):
    """A removal waits at its announcement, until nobody delays it."""
    script = "step hold\nstep announce\nannounce\nawait-release\nstep power-off\n"

    def setUp(self):
        super().setUp()
        self.env["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={self.path('bus')}"
        self.env["PATH"] = f"{os.path.dirname(SAFE_REMOVE)}:{self.env['PATH']}"

    def listed(self):
        return [entry[:4] for entry in self.busctl("call", NAME, ROOT, "org.saferemove1.Manager", "ListInhibitors")["data"][0]]

    def begin(self, *argv, want):
        """What stands in the list once it runs."""
        process = self.background(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: self.listed() or process.poll() is not None, "the inhibitor")
        self.assertIsNone(process.poll(), process.poll() is not None and process.stderr.read())
        self.assertEqual(self.listed(), [want])
        return process

    @unittest.skipUnless(can("cc", "--version") and can("pkg-config", "--exists", "libsystemd"), "needs a compiler and libsystemd's headers")
    def test_c(self):
        text = example("c")
        self.write("gives-way.c", text)
        words = re.match(r"/\* (cc .*) \*/\n", text)[1].replace("cc ", "cc -Wall -Wextra -Werror -Wno-unused-parameter ", 1)
        built = subprocess.run(["sh", "-c", words], cwd=self.path(""), capture_output=True, text=True, check=False)
        self.assertEqual(built.returncode, 0, built.stderr)
        process = self.begin(self.path("gives-way"), want=["all", "cache", "saves its index first", "delay"])
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        self.assertEqual(process.stdout.readline(), "the card in slot 2 leaves: saved\n")
        self.assertIn("released", self.worker_log())
        wait_for(self.listed, "a new inhibitor, for the next removal")

    @unittest.skipUnless(can(SYSTEM_PYTHON, "-c", "import dbus"), "needs python3-dbus")
    def test_python(self):
        self.write("uncut.py", example("python"))
        process = self.begin(SYSTEM_PYTHON, self.path("uncut.py"), "sh", "-c", "cat; exit 7", want=["all", "uncut.py", "half of it is written", "block"])
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE), 7)
        wait_for(lambda: not self.listed(), "the end of it")

    def test_shell(self):
        self.write("before-leave", example("sh"))
        os.chmod(self.path("before-leave"), 0o755)
        process = self.begin(self.path("before-leave"), "2", "echo", "saved", want=["slot:2", "before-leave", "echo saved", "delay"])
        self.assertEqual(self.wait_end(self.remove("2")), "safe")
        self.assertEqual((process.communicate(timeout=PATIENCE)[0], process.returncode), ("saved\n", 0))
        self.assertIn("released", self.worker_log())


class Fleets(BusTest):
    def take(self, *argv):
        self.write("take", example("sh", "FLEETS"))
        env = {**self.env, "PATH": f"{os.path.dirname(SAFE_REMOVE)}:{self.env['PATH']}"}
        done = subprocess.run(["sh", self.path("take"), *argv], env=env, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE * 3, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_shell(self):
        self.write("play/digest", "5f0c1a2b" * 8)
        self.assertEqual(self.take("2"), (0, "slot 2: pull the card\n", ""))
        with open(self.path("removal-2.json")) as f:
            self.assertEqual(json.load(f)["outcome"], "safe")
        self.write("play/script", "step hold\nstuck\n")
        self.assertEqual(self.take("3"), (7, "slot 3: somebody has to look; do not pull\n", ""))
        self.assertEqual(self.take("9")[:2], (3, "slot 9: exit status 3\n"))


if __name__ == "__main__":
    harness.main()
