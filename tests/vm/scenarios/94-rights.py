# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a user may who is not root, by the real polkit: nothing, or what a rule says. And what the audit log has of it."""

import re
import shlex

from harness import removal
from harness.scenario import scenario

USER = "games"
RULES = "/etc/polkit-1/rules.d/10-lab.rules"
RULE = """polkit.addRule(function(action, subject) {
    if (action.id == "org.saferemove1.%s" && action.lookup("slot") == "2" && subject.user == "games")
        return polkit.Result.YES;
});
"""
AS_USER = f"setpriv --reuid={USER} --regid={USER} --clear-groups"

# Says each record that programs write to the kernel's audit log. That is switched on for it: a kernel whose log is off takes all, and keeps nothing.
AUDIT = """
import re, socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)
s.setsockopt(270, 1, 1)
s.send(struct.pack("=IHHII", 16 + 40, 1001, 5, 1, 0) + struct.pack("=10I", 1, 1, *[0] * 8))
print("listens", flush=True)
while True:
    data = s.recv(65536)
    if struct.unpack_from("=H", data, 4)[0] == 1005:
        print(data[16:].decode(errors="replace").rstrip("\\0"), flush=True)
"""


def as_user(lab, *words):
    status, out, err = lab.run(f"{AS_USER} {shlex.join(['safe-remove', *words])}", check=False, timeout=120)
    return status, out + err


def denied(lab, action, *words):
    status, said = as_user(lab, *words)
    lab.equal(status, 77, f"the exit status of {words} ({said})")
    lab.check(f"org.saferemove1.{action}" in said, f"the refusal should name the action: {said}")
    return said


def is_registered(lab, action):
    return lab.run(f"pkaction --action-id org.saferemove1.{action} --verbose", check=False)[0] == 0


def allow(lab, action):
    lab.write(RULES, RULE % action)
    lab.run(f"chmod 0644 {RULES}")


@scenario("rights", timeout=400)
def rights(lab):
    lab.write("/run/lab-audit", AUDIT)
    audit = lab.spawn("audit", "exec python3 /run/lab-audit")
    audit.wait_for_output("listens")
    lab.ram(2)
    for action in ("read-details", "remove", "restore", "cancel", "end-processes", "force-kill", "force-shutdown", "force-unmap", "force-unproven",
                   "force-poison", "sanitize", "locate", "inhibit", "override-inhibitor", "manage-policy"):
        lab.check(is_registered(lab, action), f"polkit should know the action {action}")

    # Denied by name, in the journal and in the audit log.
    denied(lab, "remove", "remove", "2")
    line = lab.wait_for(lambda: lab.sh("journalctl -q -o cat SAFE_REMOVE_ACTION=org.saferemove1.remove"), 20, "the line in the journal")
    lab.check(re.search(r"uid 5 \(process \d+, safe-remove, .*unit \S+\) is not authorized", line), f"it should say who: {line}")
    audit.wait_for_output("op=denied-remove")
    lab.check(re.search(r'op=denied-remove slot="2" serial="0x1" asked-uid=5 .*res=failed', audit.output()), audit.output())

    # Allowed by a rule; a word of force is an action of its own.
    allow(lab, "remove")
    lab.wait_for(lambda: "org.saferemove1.force-kill" in as_user(lab, "remove", "2", "--force=kill")[1], 30, "the rule to be read")
    denied(lab, "override-inhibitor", "remove", "2", "--ignore-inhibitors")
    denied(lab, "inhibit", "inhibit", "--what=2", "true")
    lab.equal(as_user(lab, "remove", "2", "--plan=" + "0" * 64)[0], 10, "the exit status of a plan that is another one")
    status, said = as_user(lab, "remove", "2", "--plan=" + lab.cli_json("plan", "2")["digest"][:8])
    lab.equal(status, 0, f"the exit status ({said})")
    lab.check("safe to pull" in said, said)
    entry = removal.history(lab)[0]
    lab.equal(entry["by"]["uid"], 5, "who asked")
    lab.check(entry["by"].get("unit"), f"from which unit: {entry['by']}")
    denied(lab, "restore", "restore", "2")


@scenario("rights-audit", profile="mixed", timeout=300, turn=True)
def forced(lab):
    """What was forced is in the audit log."""
    lab.write("/run/lab-audit", AUDIT)
    audit = lab.spawn("audit", "exec python3 /run/lab-audit")
    audit.wait_for_output("listens")
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    lab.holder("--map=shared", "--stubborn", f"{disk.target}/file", name="stubborn", properties=["SendSIGKILL=no", "TimeoutStopSec=2"])
    lab.cli("remove", "3", "--force=kill")
    audit.wait_for_output("op=end-processes")
    for op in ("force-kill", "end-processes"):
        lab.check(re.search(rf'op={op} removal=\d+ slot="3" serial="0x\w+" outcome="safe" asked-uid=0 .*res=success', audit.output()), audit.output())
