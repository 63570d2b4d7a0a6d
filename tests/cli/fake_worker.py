# SPDX-License-Identifier: LGPL-2.1-or-later
"""Speaks the worker's side of docs/PROTOCOL.md out of canned data, so that the CLI can be tested against the real
daemon without a card. What a slot does is decided by its name:

    2  ready: its steps succeed                     5  a step fails, everything is put back
    3  blocked                                      6  a step fails and cannot be put back
    4  empty                                        7  ready, but takes until it is cancelled or told to finish
    8  ready, but the plan is never the one asked for
"""
import hashlib
import json
import os
import pathlib
import select
import sys
import time

DATA = pathlib.Path(__file__).resolve().parent / "data"
STATE = pathlib.Path(os.environ["SAFE_REMOVE_STATE_DIR"])
ERRORS = {
    "?": ("malformed", "'?' is no name of a card; use a slot (2), an address (0000:0d:00.0) or a serial number (serial:0x1)"),
    "99": ("unknown", "there is no slot 99; the slots are 2, 3, 4, 5, 6, 7, 8"),
    "mem99": ("unknown", "there is no memory device mem99 here; there are: mem1, mem2"),
    "region9": ("ambiguous", "region9 is on more than one card: slot 2 (serial 0x1), slot 3 (serial 0x2)"),
    "0000:00:1f.0": ("no-slot", "0000:00:1f.0 is not in a slot that can be removed"),
}
# Who asks is root in what is recorded, whoever runs the test; what is found out of him goes by the slot.
ASKER = {"2": {"unit": "backup.service"}, "5": {"session": "12"}, "7": {"session": "c3", "unit": "session-c3.scope"}}
TARGETS = {"mem1": "2", "region8": "8", "serial:0x1": "2", "0000:0d:00.0": "2"}


PROBES = [
    {"name": "memory-blocks", "question": "is no memory block of the card left", "holds": True, "answer": None},
    {"name": "link", "question": "is the link to the card down", "holds": True, "answer": "port 0000:0c:00.0 does not report it"},
    {"name": "power", "question": "is the slot's power off", "holds": True, "answer": None},
]
UNPROVEN = [
    {"name": "memory-blocks", "question": "is no memory block of the card left", "holds": False, "answer": "memory147 is online"},
    {"name": "link", "question": "is the link to the card down", "holds": True, "answer": None},
    {"name": "power", "question": "is the slot's power off", "holds": None, "answer": "No such file or directory"},
]


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def hostile():
    """What somebody may have called his process, where a test wants that."""
    return " of \033[2J\033]0;title\a\u202e\u009b\u00e9va" if (STATE / "hostile").exists() else ""


def hear():
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def load(name):
    return json.loads((DATA / f"{name}.json").read_text())


LIGHTS = [("blink", "on"), ("off", "on"), ("blink", "off")]


def make_self_test(plan, how):
    """The steps of a removal up to those without a way back, or with the power again at the end."""
    plan["self_test"] = how
    if not plan["steps"]:
        return
    steps = [step for step in plan["steps"] if how == "power" or step["reversible"]]
    steps.insert(1, {"name": "test-lights", "does": "set each light, and read it back", "undo": "power LED blinking, attention LED off", "reversible": True,
                     "args": {"number": 2, "attention_button": True, "power_controller": True, "power_indicator": True, "attention_indicator": True,
                              "link_reported": True}})
    if how == "power":
        steps.append({"name": "power-on", "does": "write 1 to /sys/bus/pci/slots/2/power", "undo": None, "reversible": False, "args": {}})
    plan["steps"] = [{**step, "n": n} for n, step in enumerate(steps)]


def plan_of(slot, request):
    plan = load({"3": "plan-blocked", "4": "plan-nothing"}.get(slot, "plan-ready"))
    topology = load("topology")
    entry = next(s for s in topology["slots"] if s["name"] == slot)
    plan["slot"].update({key: entry[key] for key in ("name", "port", "service")})
    plan["card"] = entry["card"]
    plan["target"] = request["target"]
    if "targets" in request:
        plan["targets"] = request["targets"]
        plan["slots"] = [{**{key: s[key] for key in ("name", "port", "service", "card")}} for s in topology["slots"]
                         if s["name"] in request["targets"]]
    # Another wish is another plan: an option that got lost on the way shows.
    options = {key: value for key, value in request.get("options", {}).items() if key != "digest"}
    if options.get("sanitize", plan["card"] and plan["card"]["serial"]) != (plan["card"] and plan["card"]["serial"]):
        plan.update(verdict="blocked", blockers=[{
            "code": "WHICH_SERIAL", "severity": "hard", "what": "mem1 has persistent data, which is erased only where its serial number is given",
            "evidence": "other numbers were given", "remedy": [f"safe-remove show {slot}"]}])
    if options.get("self_test"):
        make_self_test(plan, options["self_test"])
    if options:
        plan["digest"] = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
    return plan


def restore_plan_of(slot, request):
    """Slot 3 has another card in it, slot 4 none; of slot 8's card no removal is on record."""
    plan = plan_of(slot, request)
    restore = load("plan-restore")
    restore.update({key: plan[key] for key in ("slot", "card", "target")})
    if slot == "3":
        restore.update(verdict="blocked", blockers=[{
            "code": "OTHER_CARD", "severity": "hard", "what": "the card in slot 3 is not the one that was removed: it is of another size",
            "evidence": "its serial number is 0x2, the removed card's 0x77; it has 1073741824 bytes of memory, that one had 536870912",
            "remedy": ["safe-remove remove 3  # and put the card with serial number 0x77 in"]}])
    tests = [plan.parent.name for plan in STATE.glob("removals/*/plan.json") if "self_test" in plan.read_text()]
    restore["of"] = max(tests, key=int) if tests else restore["of"]
    if slot in ("4", "8"):
        why = {"4": ("empty-slot", "there is no card with power in slot 4"),
               "8": ("no-removal", "no removal of the card in slot 8 is on record")}[slot]
        restore.update(verdict="nothing", of=None, brings_back=None, steps=[], code=why[0], message=why[1])
    return restore


def find(request):
    """Of several cards the first decides how it goes."""
    target = request.get("targets", [request["target"]])[0]
    if target in ERRORS:
        code, message = ERRORS[target]
        say(type="error", code=code, message=message)
        sys.exit(0)
    return TARGETS.get(target, target.removeprefix("slot:").removeprefix("slot"))


def sealed(document):
    """As lib/engine/seal.h has it."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text[:-1]},"sha256":"{digest}"}}\n', digest


class Run:
    """One removal. The steps are those of the plan; `usec` is canned, so that what is printed does not vary."""

    def __init__(self, ident, slot, plan):
        self.slot, self.plan, self.steps = slot, plan, plan["steps"]
        self.slots = [s["name"] for s in plan.get("slots", [])] or [slot]
        self.folder = STATE / "removals" / ident
        self.usec = 0
        self.disturbed = {"2": ["processes of db.service, 20 (db) of user 113 among them: their unit was stopped"],
                          "6": [f"process {n} (dd) of user 1000: SIGTERM, SIGKILL" for n in range(12, 34)]}.get(slot, [])

    def note(self, **record):
        """With the plan beside it."""
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            (self.folder / "plan.json").write_text(json.dumps(self.plan))
        record.setdefault("usec", 1767225600000000 + self.usec)
        if record["ev"] in ("start", "end"):
            record.setdefault("monotonic_usec", 1000000 + record["usec"] - 1767225600000000)
        with open(self.folder / "journal", "a") as journal:
            journal.write(json.dumps(record, separators=(",", ":")) + "\n")  # as the worker writes it: what has ended is found by that

    def step(self, n, phase, usec=0, text=None):
        self.usec += usec
        say(type="step", n=n, of=len(self.steps), name=self.steps[n]["name"], phase=phase, text=text, usec=usec)

    def forward(self, n):
        self.step(n, "do")
        self.note(ev="do", n=n)
        if self.steps[n]["name"] == "test-lights":
            for power, attention in LIGHTS:
                lights = {"power": power, "attention": attention}
                self.note(ev="note", n=n, note={"asked": lights, "read": lights})
        if self.steps[n]["name"] == "offline-memory":
            for done in range(1, 5):
                say(type="progress", n=n, done=done, of=4, text=f"memory{148 - done} offline{hostile()}")
        if not self.steps[n]["reversible"] and self.steps[n - 1]["reversible"]:
            say(type="state", state="finishing")
        self.step(n, "done", 250000)
        self.note(ev="done", n=n)

    def back(self, last):
        say(type="state", state="restoring")
        for n in range(last, -1, -1):
            self.step(n, "undo")
            self.note(ev="undo", n=n)
            self.step(n, "undone", 50000)
            self.note(ev="undone", n=n)

    def end(self, outcome, code, message, remedy=(), lost=()):
        for slot in self.slots if outcome == "safe" else ():
            (STATE / f"off-{slot}").touch()
        power = {"safe": "off", "stuck": "blink"}.get(outcome, "on")
        attention = "on" if outcome == "stuck" else "off"
        say(type="led", state={"safe": "safe", "stuck": "stuck"}.get(outcome, "refused"), power=power, attention=attention)
        if self.folder.exists():
            self.certify(outcome, code, message, remedy)
            self.note(ev="end", usec=1767225605000000, outcome=outcome, code=code, message=message, remedy=list(remedy),
                      lost=list(lost), disturbed=self.disturbed)
        say(type="end", outcome=outcome, code=code, message=message, remedy=list(remedy), lost=list(lost), disturbed=self.disturbed, usec=self.usec)

    def certify(self, outcome, code, message, remedy):
        ends = json.loads((STATE / "chain.json").read_text()) if (STATE / "chain.json").exists() else {"head": {"number": 0}}
        head = ends["head"]
        text, digest = sealed({
            "schema": "safe-remove/certificate/1", "removal": self.folder.name,
            "chain": {"number": head["number"] + 1, "previous_removal": head.get("removal"), "previous": head.get("sha256")},
            "slot": self.plan["slot"], "card": self.plan["card"], "plan_digest": self.plan["digest"], "target": self.slot,
            **({"trigger": "button", "by": {"uid": None, "pid": None, "comm": "button"}} if self.slot == "6" else
               {"trigger": "command", "by": {"uid": 0, "pid": 0, "comm": "safe-remove"}}), "options": {"force": "kill"}, "host": "machine",
            "kernel": "6.12", "started_usec": 1767225600000000, "ended_usec": 1767225605000000, "outcome": outcome, "code": code,
            "message": message, "remedy": list(remedy), "lost": ["process 12 (dd) was ended"], "disturbed": self.disturbed, "forced": ["SIGKILL to process 12 (dd)"],
            "probes": PROBES if outcome == "safe" else []})
        (self.folder / "certificate.json").write_text(text)
        newest = {"number": head["number"] + 1, "removal": self.folder.name, "sha256": digest}
        (STATE / "chain.json").write_text(sealed({
            "schema": "safe-remove/chain-ends/1", "first_removal": 1, "pruned": {"number": 0, "removal": "0", "sha256": ""},
            "head": newest, "damaged": None})[0])

    def start(self, request):
        self.note(ev="start", usec=1767225600000000, slot=self.slot, target=request["target"], trigger=request["trigger"],
                  by={**request["by"], "uid": 0, **ASKER.get(self.slot, {})}, card=self.plan["card"], kernel="6.12", version="1", host="machine", **({"slots": self.slots} if len(self.slots) > 1 else {}), **({"options": request["options"]} if "self_test" in self.plan else {}), **{k: self.plan[k] for k in ("kind", "of") if k in self.plan})
        say(type="plan", plan=self.plan)
        say(type="state", state="working")

    def test(self):
        for n in range(len(self.steps)):
            self.forward(n)
        if self.plan["self_test"] == "power":
            self.end("tested", "powered", "its power was off, proven safe, and is on again; what was taken down is to be restored",
                     [f"safe-remove restore {self.slot}"])
            return
        self.back(len(self.steps) - 1)
        self.end("tested", "tested", "all that a removal takes down could be taken down; everything is as it was before")

    def finish(self, first=0):
        for n in range(first, len(self.steps)):
            self.forward(n)
        self.end("safe", "done", f"slot {self.slot}: safe to pull")

    def fail(self):
        self.forward(0)
        self.forward(1)
        self.step(2, "do")
        self.step(2, "failed", 5000000, "dax0.0 is still bound to kmem after unbind")
        if self.slot == "6":
            self.end("stuck", "stuck", "slot 6: step disable-dax: dax0.0 is still bound to kmem after unbind",
                     ["echo dax0.0 > /sys/bus/dax/drivers/kmem/bind", "systemctl restart safe-removed"])
            return
        self.back(1)
        self.end("restored", "failed", "slot 5: failed, step disable-dax: dax0.0 is still bound to kmem after unbind; "
                 "everything is as it was before, except for what is listed",
                 lost=["process 812 (dd) was ended and is not started again"])

    def wait(self):
        """Until cancelled, or until the test says that it may go on."""
        self.forward(0)
        self.step(1, "do")
        say(type="progress", n=1, done=1, of=4, text=f"memory147 offline{hostile()}")
        while not (STATE / "go-on").exists():
            ready, _, _ = select.select([sys.stdin], [], [], 0.05)
            if not ready:
                continue
            heard = hear()
            if heard is None:
                sys.exit(1)
            if heard["type"] == "cancel":
                self.step(1, "failed", 1000000, "cancelled before memory146")
                self.back(1)
                self.end("restored", "cancelled",
                         f"slot {self.slot}: cancelled before memory146 (by command); everything is as it was before")
                return
        self.finish(1)


def run():
    request = hear()
    slot = find(request)
    plan = plan_of(slot, request)
    removal = Run(request["id"], slot, plan)
    say(type="target", slot=slot, port=plan["slot"]["port"], card=plan["card"], **({"slots": plan["slots"]} if "slots" in plan else {}),
        by=ASKER.get(slot))
    if hear() is None:
        return
    digest = request.get("options", {}).get("digest")
    if plan["verdict"] == "nothing":
        removal.end("nothing", "empty-slot", "the slot is empty")
    elif plan["verdict"] == "blocked":
        removal.end("refused", "blocked", plan["blockers"][0]["what"], plan["blockers"][0]["remedy"])
    elif digest and (not plan["digest"].startswith(digest) or slot == "8"):
        removal.end("refused", "stale", "the plan is no longer the one with this digest", [f"safe-remove plan {slot}"])
    else:
        removal.start(request)
        if "self_test" in plan:
            removal.test()
            return
        {"5": removal.fail, "6": removal.fail, "7": removal.wait}.get(slot, removal.finish)()


def restore():
    request = hear()
    slot = find(request)
    plan = restore_plan_of(slot, request)
    restoration = Run(request["id"], slot, plan)
    say(type="target", slot=slot, port=plan["slot"]["port"], card=plan["card"])
    if hear() is None:
        return
    if plan["verdict"] == "nothing":
        say(type="plan", plan=plan)
        restoration.end("nothing", plan["code"], plan["message"])
        return
    restoration.start(request)
    if plan["verdict"] == "blocked":
        restoration.end("refused", "blocked", "OTHER_CARD: " + plan["blockers"][0]["what"], plan["blockers"][0]["remedy"])
    elif not plan["digest"].startswith(request.get("options", {}).get("digest", "")):
        restoration.end("refused", "stale", "the machine has changed since the plan was shown: its digest is now another one")
    elif slot == "5":
        restoration.forward(0)
        restoration.step(1, "do")
        restoration.step(1, "failed", 1000, "region0 came back at 0x4b0000000 instead of 0x490000000: another region took its place")
        restoration.end("incomplete", "failed", "step delete-region: region0 came back at 0x4b0000000 instead of 0x490000000: another "
                        "region took its place; what is listed is not put back", ["safe-remove restore 5  # goes on from there"],
                        ["delete-region (create the region again)", "offline-memory (write the word of its zone)"])
    else:
        for n in range(len(plan["steps"])):
            restoration.step(n, "do")
            restoration.step(n, "done", 50000)
        restoration.end("rebuilt", "done", "what removal 1 took down is there again")


def plan_restore():
    request = hear()
    say(**restore_plan_of(find(request), request))


def resume():
    request = hear()
    journal = [json.loads(line) for line in open(STATE / "removals" / request["id"] / "journal")]
    slot = journal[0]["slot"]
    plan = plan_of(slot, journal[0])
    removal = Run(request["id"], slot, plan)
    say(type="plan", plan=plan)
    say(type="state", state="working")
    # Long enough for the removal to be seen running again.
    time.sleep(0.5)
    removal.finish(1)


def machine():
    """The canned machine, with the slots off that were removed since: the daemon looks again after every removal."""
    topology = load("topology")
    for slot in topology["slots"]:
        if (STATE / f"off-{slot['name']}").exists():
            slot.update(card=None, power="off", power_led="off")
            topology["memdevs"] = [m for m in topology["memdevs"] if m["slot"] != slot["name"]]
        if (STATE / f"other-{slot['name']}").exists() and slot["card"]:
            slot["card"]["serial"] = "0x77"
        if (STATE / f"blinks-{slot['name']}").exists():
            slot.update(attention_led="blink", located_usec=60000000)
    return topology


def scan():
    say(**machine())


def document(request, value):
    """As the real worker sends what may be long."""
    if not request.get("parts"):
        say(**value)
        return
    text = json.dumps(value)
    for i in range(0, len(text), 1000):
        say(type="part", text=text[i:i + 1000])
    say(type="answer")


def topology():
    document(hear(), machine())


def stays():
    hear()
    say(type="stays", slots=[])


def real_worker():
    """What reads the records is no different where the records are made up."""
    os.execv(os.environ["REAL_WORKER"], ["safe-remove-worker", sys.argv[1]])


def plan():
    request = hear()
    (STATE / "planned").touch()
    document(request, plan_of(find(request), request))


def verify():
    slot = find(hear())
    probes = UNPROVEN if slot == "3" else PROBES
    if slot == "4":
        say(schema="safe-remove/verify/1", slot=slot, port="0000:0c:02.0", removal=None, subject="none", holds=False, power_led="off",
            attention_led="off", not_known=load("topology")["vanished"][:1], probes=probes, asked_usec=1767225600000000)
        return
    say(schema="safe-remove/verify/1", slot=slot, port="0000:0c:00.0", removal=None if slot == "3" else "5",
        holds=all(p["holds"] for p in probes), power_led="off", attention_led="off", probes=probes, asked_usec=1767225600000000)


def find_slot():
    request = hear()
    say(type="found", slot=find(request), port=plan_of(find(request), request)["slot"]["port"])


def rights():
    request = hear()
    plan = plan_of(find(request), request)
    say(type="rights", actions=["remove"], slots=[plan["slot"]["name"]], serial=plan["card"]["serial"], holders=0, digest=plan["digest"])


def light():
    request = hear()
    slot = [slot for slot in machine()["slots"] if slot["port"] == request["port"]][0]
    blinks = STATE / f"blinks-{slot['name']}"
    if request["attention"] == "blink":
        blinks.touch()
    else:
        blinks.unlink(missing_ok=True)
    say(type="led", power=slot["power_led"], attention="blink" if blinks.exists() else "off", writing=False)


def certificates():
    """What it says is canned too: what is true of the records is the real worker's to find out."""
    altered = (STATE / "altered").exists()
    problems = [{"removal": "5", "what": "the certificate is not as it was written"},
                {"removal": None, "what": "certificates 2 to 2 are missing"}] if altered else []
    say(schema="safe-remove/chain/1", verified=not altered, certificates=3, first=2 if altered else 1, last=4, sha256="ab" * 32,
        pruned=1 if altered else 0, problems=problems)


REAL = ("history", "certificate", "test-report", "record", "records", "sub-uids", "check-policy", "came-back", "incident-record", "late")
VERBS = {"waits-for-a-verb": lambda: None, "scan": scan, "topology": topology, "stays": stays, "plan": plan, "run": run, "restore": restore,
         "plan-restore": plan_restore, "resume": resume, "verify": verify, "find": find_slot, "light": light, "rights": rights, "denied": hear,
         "make-up": lambda: say(type="made-up", made=[], missing=[], certificates=True), "certificates": certificates, **dict.fromkeys(REAL, real_worker)}


def main():
    VERBS[sys.argv[1]]()
