#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others rely on: who may do what, the interfaces as their file describes them, and the journal's catalog."""
import importlib.machinery
import os
import re
import shutil
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

import harness
from harness import BusError, BusTest, NAME, NOBODY, ROOT, SOURCE, wait_for

bus_methods = importlib.machinery.SourceFileLoader("bus_methods", f"{SOURCE}/tests/vm/harness/bus_methods.py").load_module()


WORDS = "org.gtk.GDBus.DocString"


def canonical(interface):
    """Without the words, which the service does not say."""
    for element in interface.iter():
        element.text = element.tail = None
        for words in element.findall(f"annotation[@name='{WORDS}']"):
            element.remove(words)
        element[:] = sorted(element, key=lambda e: (e.tag != "arg", e.tag, e.get("name")) if e.tag != "arg" else ("", "", ""))
    ElementTree.indent(interface)
    return ElementTree.tostring(interface, encoding="unicode")


class Contract(BusTest):
    def introspect(self, path):
        result = subprocess.run(["gdbus", "introspect", "--xml", "--address", f"unix:path={self.path('bus')}", "--dest", NAME,
                                 "--object-path", path], env=self.env, capture_output=True, text=True, check=True)
        return ElementTree.fromstring(result.stdout)

    def test_interfaces_are_as_described(self):
        described = {i.get("name"): i for i in ElementTree.parse(f"{SOURCE}/units/org.saferemove1.xml").getroot()}
        self.assertEqual(len(described), 3)
        for path, name in ((ROOT, "Manager"), (f"{ROOT}/slot/_32", "Slot"), (self.remove("2"), "Removal")):
            real = [i for i in self.introspect(path) if i.get("name") == f"org.saferemove1.{name}"]
            self.assertEqual(len(real), 1, path)
            self.assertEqual(canonical(described[f"org.saferemove1.{name}"]), canonical(real[0]))

    def test_every_member_has_words(self):
        """A sentence for each, which is about no other."""
        said = {}
        for interface in ElementTree.parse(f"{SOURCE}/units/org.saferemove1.xml").getroot():
            for member in (interface, *(m for m in interface if m.tag in ("method", "property", "signal"))):
                words = member.findall(f"annotation[@name='{WORDS}']")
                self.assertEqual(len(words), 1, member.get("name"))
                self.assertRegex(words[0].get("value"), r"^\S.{10,}|^The same.*", member.get("name"))
                said.setdefault((interface.get("name"), words[0].get("value")), []).append(member.get("name"))
        for (_, words), members in said.items():
            self.assertTrue(len(members) == 1 or words.startswith("The same"), (words, members))

    def out(self, command):
        """As a guest of the emulated machine does it."""
        return subprocess.run(command.replace("busctl", f"busctl --address=unix:path={self.path('bus')}"), shell=True, env=self.env,
                              capture_output=True, text=True, check=True).stdout

    @unittest.skipUnless(shutil.which("busctl"), "needs busctl")
    def test_siege_knows_every_method(self):
        """What the emulated machine's flood of calls is made of (tests/vm/harness/siege.py)."""
        self.wait_end(self.remove("2"))
        flood = {(interface, member) for _, interface, member, _, _ in bus_methods.all_of(self)}
        for interface in ElementTree.parse(f"{SOURCE}/units/org.saferemove1.xml").getroot():
            for method in interface.iter("method"):
                self.assertIn((interface.get("name"), method.get("name")), flood)

    def test_nodes_can_be_found(self):
        self.wait_end(self.remove("2"))
        self.assertEqual({n.get("name") for n in self.introspect(f"{ROOT}/slot") if n.tag == "node"}, {"_32", "_33"})
        self.assertEqual({n.get("name") for n in self.introspect(f"{ROOT}/removal") if n.tag == "node"}, {"_31"})
        self.assertRegex(self.get(ROOT, "Manager", "Version"), r"^\d+\.\d+")

    @unittest.skipUnless(os.environ.get("SAFE_REMOVE_TEST_INSIDE") == "root", "needs a second user")
    def test_only_root_may_change_anything(self):
        self.write("play/script", "step hold\nwait go\n")
        removal = self.remove("3")
        for path, interface, method, arguments in ((ROOT, "Manager", "Remove", ("'2'", "{}")), (ROOT, "Manager", "Cancel", ("'3'",)),
                                                   (removal, "Removal", "Cancel", ())):
            with self.assertRaises(BusError) as refused:
                self.call(path, f"org.saferemove1.{interface}", method, *arguments, as_uid=NOBODY)
            self.assertEqual(refused.exception.name, "NotAuthorized", method)
            self.assertIn("root", refused.exception.message)
        self.assertEqual(list(self.objects("removal")), [removal])
        self.assertEqual(self.get(removal, "Removal", "State"), "working")
        self.manager("PlanRemoval", "'2'", "{}", as_uid=NOBODY)
        self.manager("GetTopology", as_uid=NOBODY)
        self.manager("GetHistory", "0", as_uid=NOBODY)
        self.manager("Verify", "'2'", as_uid=NOBODY)
        self.manager("VerifyCertificates", as_uid=NOBODY)
        with self.assertRaises(BusError):  # the bus itself: nobody else may take our name
            self.busctl("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                        "org.saferemove1.Other", "0", as_uid=NOBODY)

    def test_one_daemon(self):
        self.write("play/script", "step hold\nwait go\n")
        removal = self.remove("2")
        wait_for(lambda: self.get(removal, "Removal", "Step"), "its first step")
        for env in (self.env, {**self.env, "SAFE_REMOVE_RUN_DIR": self.path("other")}): # by root's own socket, and by the name on the bus
            second = subprocess.run([harness.DAEMON], env=env, capture_output=True, text=True, timeout=harness.PATIENCE)
            self.assertEqual(second.returncode, 1)
            self.assertIn("nother safe-removed", second.stderr)
        self.assertFalse([line for line in self.worker_log() if line.startswith("resume")])

    def test_catalog_explains_every_message(self):
        with open(f"{SOURCE}/daemon/log.c") as f:
            sent = re.findall(r'"([0-9a-f]{32})"', f.read())
        with open(f"{SOURCE}/units/safe-remove.catalog") as f:
            explained = re.findall(r"^-- ([0-9a-f]{32})$", f.read(), re.MULTILINE)
        with open(f"{SOURCE}/docs/man/safe-removed.service.8") as f:
            manual = f.read()
        self.assertEqual(len(set(sent)), len(sent))
        self.assertEqual(sorted(sent), sorted(explained))
        self.assertEqual(sorted(sent), sorted(re.findall(r"^\.It ([0-9a-f]{32}) Ta", manual, re.MULTILINE)))

    def test_manual_has_every_field(self):
        with open(f"{SOURCE}/daemon/log.c") as f:
            sent = re.findall(r'"(SAFE_REMOVE_[A-Z_]+)[="]', f.read())
        with open(f"{SOURCE}/docs/man/safe-removed.service.8") as f:
            told = re.findall(r"^\.It Cm (SAFE_REMOVE_[A-Z_]+)= Ta", f.read(), re.MULTILINE)
        self.assertEqual(sorted(set(sent) - {"SAFE_REMOVE_JOURNAL"}), sorted(told))


if __name__ == "__main__":
    harness.main()
