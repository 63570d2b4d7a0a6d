# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a user may who is not root, by the real polkit: nothing, or what a rule says. And what the audit log has of it."""

import re
import shlex

from harness import removal
from harness.paths import TOP_DIR
from harness.scenario import scenario

ACTIONS = ("read-details", "remove", "restore", "cancel", "end-processes", "force-kill", "force-shutdown", "force-unmap", "force-unproven", "force-poison",
           "sanitize", "locate", "inhibit", "override-inhibitor", "manage-policy")
USER = "games"
RULES = "/etc/polkit-1/rules.d/10-lab.rules"
RULE = """polkit.addRule(function(action, subject) {
    if (action.id == "org.saferemove1.%s" && action.lookup("slot") == "2" && subject.user == "games")
        return polkit.Result.YES;
});
"""
AS_USER = f"setpriv --reuid={USER} --regid={USER} --clear-groups"
FLEET = "fleet"
FLEET_MAY = {"read-details", "remove", "restore", "end-processes"}

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


def as_user(lab, *words, user=USER):
    status, out, err = lab.run(f"{AS_USER.replace(USER, user)} {shlex.join(['safe-remove', *words])}", check=False, timeout=120)
    return status, out + err


def denied(lab, action, *words, user=USER):
    status, said = as_user(lab, *words, user=user)
    lab.equal(status, 77, f"the exit status of {words} ({said})")
    lab.check(f"org.saferemove1.{action}" in said, f"the refusal should name the action: {said}")
    return said


def is_registered(lab, action):
    return lab.run(f"pkaction --action-id org.saferemove1.{action} --verbose", check=False)[0] == 0


def pkcheck(lab, process, action, slot):
    """What polkit's own tool says of a process: does it authorize it without a person?"""
    return lab.run(f"pkcheck --action-id org.saferemove1.{action} --process {process.pid} --detail slot {slot}", check=False)[0] == 0


def allow(lab, action):
    lab.write(RULES, RULE % action)
    lab.run(f"chmod 0644 {RULES}")


def fleet(lab):
    """Its user, with the very rule of the page, and a process of his."""
    path, rule = re.search(r"^```\n// (/etc/polkit-1/\S+)\n(.*?)^```$", (TOP_DIR / "docs/FLEETS.md").read_text(), re.M | re.S).groups()
    lab.sh(f"useradd --system --user-group {FLEET}")
    lab.cleanup(lambda: lab.run(f"userdel {FLEET}; rm -f {path}"))
    agent = lab.spawn("agent", "exec sleep 3600", properties=[f"User={FLEET}"])
    lab.check(not pkcheck(lab, agent, "remove", 2), "without the rule he should not be authorized")
    lab.write(path, rule)
    lab.run(f"chmod 0644 {path}")
    lab.wait_for(lambda: pkcheck(lab, agent, "remove", 2), 30, "the rule to be read")
    return agent


@scenario("rights", timeout=400)
def rights(lab):
    lab.write("/run/lab-audit", AUDIT)
    audit = lab.spawn("audit", "exec python3 /run/lab-audit")
    audit.wait_for_output("listens")
    lab.ram(2)
    for action in ACTIONS:
        lab.check(is_registered(lab, action), f"polkit should know the action {action}")

    # Denied by name, in the journal and in the audit log.
    denied(lab, "remove", "remove", "2")
    line = lab.wait_for(lambda: lab.journal("SAFE_REMOVE_ACTION=org.saferemove1.remove"), 20, "the line in the journal")
    lab.check(re.search(r"uid 5 \(process \d+, safe-remove, .*unit \S+\) is not authorized", line), f"it should say who: {line}")
    audit.wait_for_output("op=denied-remove")
    lab.check(re.search(r'op=denied-remove slot="2" serial="0x1" asked-uid=5 .*res=failed', audit.output()), audit.output())

    # Allowed by a rule; a word of force is an action of its own.
    allow(lab, "remove")
    lab.wait_for(lambda: "org.saferemove1.force-kill" in as_user(lab, "remove", "2", "--force=kill")[1], 30, "the rule to be read")
    user = lab.spawn("user", "exec sleep 3600", properties=[f"User={USER}"])
    lab.equal([pkcheck(lab, user, *asked) for asked in (("remove", 2), ("remove", 3), ("force-kill", 2), ("restore", 2))], [True, False, False, False],
              "what pkcheck says of remove at 2 and 3, of force-kill and of restore at 2")
    user.stop()
    denied(lab, "override-inhibitor", "remove", "2", "--ignore-inhibitors")
    denied(lab, "inhibit", "inhibit", "--what=2", "true")

    # The rule of the page for fleets: it is about that user alone, and lets him do what the page says.
    agent = fleet(lab)
    lab.equal({action for action in ACTIONS if pkcheck(lab, agent, action, 2)}, FLEET_MAY, f"what the user {FLEET} may")
    agent.stop()
    denied(lab, "force-kill", "remove", "2", "--force=kill", user=FLEET)

    # Each by the plan that he has seen.
    lab.equal(as_user(lab, "remove", "2", "--plan=" + "0" * 64)[0], 10, "the exit status of a plan that is another one")
    status, said = as_user(lab, "remove", "2", "--plan=" + lab.cli_json("plan", "2")["digest"][:8])
    lab.equal(status, 0, f"the exit status ({said})")
    lab.check("safe to pull" in said, said)
    entry = removal.history(lab)[0]
    lab.equal(entry["by"]["uid"], 5, "who asked")
    lab.check(entry["by"].get("unit"), f"from which unit: {entry['by']}")
    denied(lab, "restore", "restore", "2")

    # A restoration is of the plan that was asked about, or none.
    lab.slot(2).insert()
    path = lab.sh("busctl call org.saferemove1 /org/saferemove1 org.saferemove1.Manager Restore 'sa{sv}' 2 1 digest s " + "0" * 64).split('"')[1]
    lab.wait_for(lambda: '"stale"' in lab.sh(f"busctl get-property org.saferemove1 {path} org.saferemove1.Removal Code"), 60, "the restoration to be refused as stale")
    status, said = as_user(lab, "restore", "2", user=FLEET)
    lab.equal(status, 0, f"the exit status of the fleet's restoration ({said})")
    entry = removal.history(lab)[0]
    lab.equal((entry["kind"], entry["outcome"], entry["by"]["uid"], entry["target"]), ("restore", "rebuilt", int(lab.sh(f"id -u {FLEET}")), "slot:2"),
              "the restoration on record")


# Runs a command on a terminal of its own, types a word when that asks for a password, and prints what it shows. What is typed before the echo is off is
# thrown away by who turns it off.
TYPIST = r"""
import os, pty, select, sys, termios, time
end, word, command = time.monotonic() + 90, sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown, typed = b"", 0
while time.monotonic() < end:
    try:
        data = os.read(fd, 4096) if select.select([fd], [], [], 0.2)[0] else b""
    except OSError:
        break
    shown += data
    if shown.count(b"Password:") > typed and not termios.tcgetattr(fd)[3] & termios.ECHO:
        typed += 1
        os.write(fd, word.encode() + b"\n")
else:
    os.kill(pid, 9)
sys.stdout.write(shown.decode(errors="replace").replace("\r", ""))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def on_terminal(lab, password, *words):
    """What a user sees who types that password, and the exit status."""
    status, out, err = lab.run(f"{AS_USER} python3 /run/lab-typist {password} {shlex.join(['safe-remove', *words])}", check=False, timeout=120)
    return status, out + err


@scenario("rights-terminal", timeout=300, turn=True)
def terminal(lab):
    """On a terminal polkit's agent asks for an administrator's password: a wrong one is a no by the action's name, the right one lets it go on."""
    lab.write("/run/lab-typist", TYPIST)
    lab.cleanup(lambda: lab.run("passwd -d root"))
    lab.sh("echo root:right-one | chpasswd")
    lab.ram(2)
    lab.remember()
    status, said = on_terminal(lab, "wrong-one", "remove", "2", "--yes")
    lab.equal(status, 77, f"the exit status after a wrong password ({said})")
    lab.check("org.saferemove1.remove" in said and "Authentication is required to remove the memory card in slot 2 (serial 0x1)" in said, said)
    lab.check("wrong-one" not in said, f"a password should not be shown: {said}")
    status, said = on_terminal(lab, "right-one", "remove", "2", "--yes")
    lab.equal(status, 0, f"the exit status after the right password ({said})")
    lab.check("safe to pull" in said, said)
    lab.equal(removal.history(lab)[0]["by"]["uid"], 5, "who asked")


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
