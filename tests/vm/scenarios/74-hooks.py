# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of the administrator's that have a say: they veto, hang, crash and talk too much, and nobody waits for them longer than was said."""

from harness import removal, storage
from harness.scenario import scenario

FOLDER = "/etc/safe-remove/hooks.d"
LOG = "/run/lab-hooks"

# What each of them writes down of a call: its phase, as whom, and of which removal.
NOTE = (f"""#!/bin/sh
printf '%s %s %s\\n' "$1" "$(id -un)" "$(grep -o '"removal":[^,]*' | cut -d: -f2)" >> {LOG}
""")


def hooks(lab, **scripts):
    """These hooks and no others, and an empty log of their calls that all of them may write to."""
    lab.sh(f"rm -rf {FOLDER}; install -d -m 755 {FOLDER}; : > {LOG}; chmod 666 {LOG}")
    lab.cleanup(lambda: lab.sh(f"rm -rf {FOLDER} {LOG}"))
    for name, script in scripts.items():
        lab.guest.write(f"{FOLDER}/{name}", NOTE + script)
        lab.sh(f"chmod 755 {FOLDER}/{name}")


def calls(lab):
    """Who was called, as [phase, user, removal], of all of them; the log is empty then."""
    return [line.split() for line in lab.sh(f"sort {LOG}; : > {LOG}").splitlines()]


def said(plan, kind="blockers"):
    return {(finding["code"], finding.get("hook")): finding["what"] for finding in plan[kind]}


@scenario("hooks-object", turn=True)
def object_to_it(lab):
    """One vetoes, one hangs, one crashes, one prints 10 MiB: the first three block, each in its words, and nothing of them is left."""
    lab.ram(2)
    hooks(lab, backup='[ "$1" = query ] || exit 2\necho "the backup runs until six"\nexit 3\n')
    text = said(storage.plan(lab, "2"))[("HOOK_VETO", "backup")]
    lab.check("the backup runs until six" in text, f"the hook's reason: {text}")
    lab.equal(calls(lab), [["query", "nobody", "null"]], "the calls")

    plan = lab.sh("runuser -u daemon -- safe-remove plan 2 --json=short")
    lab.check("HOOKS_NOT_ASKED" in plan and "HOOK_VETO" not in plan, f"somebody else's plan should say that they are asked later: {plan}")
    lab.equal(calls(lab), [], "the calls for somebody else's plan")

    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    end = removal.wait_for_end(lab, number)
    lab.equal((end["outcome"], end["code"]), ("refused", "blocked"), "the ending of the pressed one")
    lab.check("the backup runs until six" in end["message"], f"the reason should be told: {end}")
    lab.equal(calls(lab), [["query", "nobody", f'"{number}"']], "the calls")

    # 10 MiB take their time on a busy machine; whoever hangs is the only one that needs a short one.
    removal.policy(lab, HookTimeoutSec=60, HookUser="nobody loud=root")
    hooks(lab, crashes="kill -SEGV $$\n", loud="head -c 10485760 /dev/zero | tr '\\\\0' x\necho\necho fine\n", elsewhere="exit 2\n")
    texts = said(storage.plan(lab, "2"))
    lab.equal(set(texts), {("HOOK_FAILED", "crashes")}, "the blockers")
    lab.check("signal 11" in texts["HOOK_FAILED", "crashes"], f"the one that crashes: {texts}")
    lab.equal(sorted(user for _, user, _ in calls(lab)), ["nobody", "nobody", "root"], "the users that they ran as")
    removal.policy(lab, HookTimeoutSec=3)
    hooks(lab, hangs="trap '' TERM\nsleep 1000 &\nsleep 1000\n")
    texts = said(storage.plan(lab, "2"))
    lab.equal(set(texts), {("HOOK_FAILED", "hangs")}, "the blockers")
    lab.check("within 3 s" in texts["HOOK_FAILED", "hangs"], f"the one that hangs: {texts}")
    lab.equal(lab.sh("systemctl list-units --all --no-legend 'safe-remove-hook*'; pgrep -f '^sleep 1000' || true"), "", "what is left of them")


@scenario("hooks-run", turn=True)
def run(lab):
    """Called off, they are told so; one that fails when it begins calls it off; and of a card that is out all are told in the end."""
    lab.ram(2)
    hooks(lab, note="exit 0\n")
    before = removal.Picture.take(lab)
    number = removal.last_id(lab) + 1
    go = removal.drill(lab, "after-run-hooks")
    lab.spawn("remove", ["safe-remove", "remove", "2"])
    lab.wait_for(lambda: "pre " in lab.sh(f"cat {LOG}"), 60, "the hook to hear that it begins")
    lab.sh(removal.call_off(number, 2, go), timeout=90)
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    lab.equal(calls(lab), [[phase, "nobody", f'"{number}"'] for phase in ("pre", "query", "undo")], "the calls")

    hooks(lab, note="exit 0\n", unwilling='[ "$1" != pre ] || { echo "no disk left"; exit 1; }\n')
    status, out, err = lab.cli("remove", "2", check=False)
    lab.equal(status, removal.RESTORED, f"the exit status ({out}{err})")
    lab.check("unwilling" in out + err and "no disk left" in out + err, f"the hook and its reason should be told: {out}{err}")
    lab.equal([phase for phase, _, _ in calls(lab)], ["pre", "pre", "query", "query", "undo", "undo"], "the calls")
    lab.equal(removal.Picture.take(lab), before, "the machine")

    hooks(lab, note='[ "$1" != post ] || exit 1\n')
    lab.equal(lab.cli("remove", "2")[0], removal.SAFE, "the exit status")
    lab.wait_for(lambda: "post " in lab.sh(f"cat {LOG}"), 30, "the hook to hear that the card can be pulled")
    lab.equal([phase for phase, _, _ in calls(lab)], ["post", "pre", "query"], "the calls")


@scenario("hooks-worker-killed", turn=True)
def worker_killed(lab):
    """The removal's process dies while a hook is told that it begins: what that one has started is ended, it is told once more, and in the end that it
    was called off."""
    lab.ram(2)
    removal.policy(lab, HookTimeoutSec=30)
    hooks(lab, slow='[ "$1" = pre ] || exit 0\nsleep 1001 &\nsleep 1001\n', quick="exit 0\n")
    before = removal.Picture.take(lab)
    number = removal.last_id(lab) + 1
    lab.spawn("remove", ["safe-remove", "remove", "2"])
    lab.wait_for(lambda: lab.sh(f"grep -c '^pre ' {LOG} || true") == "2" and lab.sh("pgrep -fc '^sleep 1001' || true") == "2", 60, "both hooks to be told")
    first = lab.sh("pgrep -f '^sleep 1001'").split()
    lab.sh("pkill -KILL -x safe-remove-wor")
    lab.wait_for(lambda: lab.sh(f"grep -c '^pre ' {LOG} || true") == "4", 60, "both to be told once more")
    left = lab.sh("pgrep -f '^sleep 1001' || true").split()
    lab.equal(set(first) & set(left), set(), "what is left of the first ones")
    lab.cli("cancel", "slot:2")
    end = removal.wait_for_end(lab, number, 120)
    lab.equal((end["outcome"], end["code"]), ("restored", "cancelled"), "the ending")
    lab.equal([phase for phase, _, _ in calls(lab)], ["pre"] * 4 + ["query"] * 2 + ["undo"] * 2, "the calls")
    lab.equal(lab.sh("systemctl list-units --all --no-legend 'safe-remove-hook*'; pgrep -f '^sleep 1001' || true"), "", "what is left of them")
    lab.equal(removal.Picture.take(lab), before, "the machine")


@scenario("hooks-once", turn=True)
def once(lab):
    """Asked once for the plan and the removal that goes by it, and again where anything has changed; a file that nobody may run blocks until it is masked;
    told when the card is back."""
    lab.ram(2)
    hooks(lab, note="exit 0\n", broken="exit 0\n")
    lab.sh(f"chmod 644 {FOLDER}/broken")
    text = said(storage.plan(lab, "2"))[("HOOK_FAILED", "broken")]
    lab.check("not executable" in text, f"why it cannot be asked: {text}")
    lab.equal(calls(lab), [], "the calls while something is in the way")
    lab.sh(f"rm {FOLDER}/broken; ln -s /dev/null {FOLDER}/broken")

    digest = storage.plan(lab, "2")["digest"]
    lab.sh(f"touch {FOLDER}/note")
    number = removal.last_id(lab) + 1
    go = removal.drill(lab, "after-run-hooks")
    lab.spawn("remove", ["safe-remove", "remove", "2", "--plan", digest])
    lab.wait_for(lambda: "pre " in lab.sh(f"cat {LOG}"), 60, "the hook to hear that it begins")
    lab.sh(removal.call_off(number, 2, go), timeout=90)
    removal.wait_for_end(lab, number, 120)
    lab.equal([phase for phase, _, _ in calls(lab)], ["pre", "query", "query", "undo"], "the calls where the hook has changed")

    digest = storage.plan(lab, "2")["digest"]
    lab.equal(lab.cli("remove", "2", "--plan", digest)[0], removal.SAFE, "the exit status")
    lab.wait_for(lambda: "post " in lab.sh(f"cat {LOG}"), 30, "the hook to hear that the card can be pulled")
    lab.equal([phase for phase, _, _ in calls(lab)], ["post", "pre", "query"], "the calls of plan and removal")

    lab.slot(2).insert()
    lab.cli("restore", "2")
    lab.wait_for(lambda: "restore " in lab.sh(f"cat {LOG}"), 30, "the hook to hear that it is back")
    lab.equal([phase for phase, _, _ in calls(lab)], ["restore"], "the calls of the restoration")
