# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that touches nothing: it speaks docs/PROTOCOL.md and does what the files of its play folder say.

PLAY/machine.json    the topology that scan answers with; run and plan find their slots in it (/closed/NAME is what slot NAME is mounted at)
PLAY/script          how a removal goes, one word a line:
        step NAME [P]   do and done of one step (that is about the port P)
        wait FILE       until PLAY/FILE exists, or a cancel comes
        announce [again] tells listeners (whom a worker before it has told)
        await-release   until nobody may delay it any more, or a cancel comes
        plan            tells the plan that is on record
        logs            says what a library has logged
        led P A [S P]   what the indicators show (of the slot S at port P, of a removal of several)
        die             SIGKILL, without an end
        deaf            ignores cancels from here on (finishing)
        garble          says something that is no JSON
        hang            does nothing for ever
        stop            stops itself, as SIGSTOP from anybody does
        stuck           ends stuck
        stuck-at WORDS  ends stuck, and says so
        end-as WORD [L] ends with this outcome; what it says of what is lost
        die-early       SIGKILL before anything is written down
PLAY/restore-script  the same for a restoration
PLAY/resume-script   the same for resume; without it a resumed removal is put back
PLAY/slow-target     run does not find its target as long as this is there; it dies of it where it is not empty
PLAY/scan-fails      scan gives no answer, or an error where the file is not empty
PLAY/slow-looks      topology does not answer as long as this is there; slow-looks-of-UID: to that user
PLAY/slow-light       no attention light is turned on as long as this is there
PLAY/light-fails      no attention light can be written as long as this is there
PLAY/light-slips      it is written, and the slot shows the other one
PLAY/slow-blink       no attention light blinks as long as this is there
PLAY/located          until when lights blink, by their ports
PLAY/no-room          what has ended cannot be written down as long as this is there
PLAY/slow-make-up     that is noted, and not said as long as this is there; where it is not empty nothing was missing before
PLAY/had-no-room      it is written down when that can be
PLAY/make-up-dies     who is asked for that gives no answer as long as this is there
PLAY/light-hangs      somebody else writes to the light as long as this is there
PLAY/incident        what the worker finds of a card that may be gone
PLAY/slow-incident   that is not found out as long as this is there
PLAY/incident-dies   whoever is to find that out dies of it as long as this is there
PLAY/card-is-gone    a removal that is called off does not end as long as this is there, and then as one whose card was pulled
PLAY/never-waits     the worker that is made beforehand does not get as far as to wait for its verb
PLAY/hold-only       the plan is that of a press that is only held
PLAY/slow-plan       a removal has no plan as long as this is there
PLAY/slow-came-back  came-back does not answer as long as this is there
PLAY/late            what late answers; without it nothing
PLAY/unaudited       a removal says that after its end
PLAY/log-late        late is in the log
PLAY/log-stays       stays is in the log
PLAY/brings-online   stays has brought memory online that has come
PLAY/stays           why the memory of cards will not leave again: the slots of the answer of stays
PLAY/filling         topology is so many bytes longer
PLAY/digest          that of all plans; d1 without it
PLAY/eta             what plans say of how long they take, microseconds
PLAY/withholds       plans have less in them for users who may not read details
PLAY/log-looks       topology and came-back are in the log too
PLAY/rights          what a user's removal takes, in words; without it remove alone
PLAY/log             what it was started with, one line each
"""
import json
import os
import select
import signal
import sys
import time

play = os.environ["FAKE_WORKER_PLAY"]
state_dir = os.environ["SAFE_REMOVE_STATE_DIR"]
received = b""


def path(name):
    return os.path.join(play, name)


def digest_of_plans():
    if not os.path.exists(path("digest")):
        return "d1"
    with open(path("digest")) as f:
        return f.read()


def note(text):
    with open(path("log"), "a") as log:
        log.write(text + "\n")


def say(**line):
    os.write(1, (json.dumps(line) + "\n").encode())


def leave_with_the_test():
    if not os.path.exists(play):
        sys.exit(0)


def usec():
    return int(time.time() * 1e6)


def hear(timeout):
    """The next line from the daemon; None when none came in time, "" at the end of the stream."""
    global received
    while b"\n" not in received:
        if not select.select([0], [], [], timeout)[0]:
            return None
        data = os.read(0, 65536)
        if not data:
            return ""
        received += data
    line, received = received.split(b"\n", 1)
    return json.loads(line)


def read_lines(name):
    with open(path(name)) as script:
        return [line.split() for line in script if line.strip()]


def machine():
    with open(path("machine.json")) as f:
        topology = json.load(f)
    for slot in topology["slots"]:
        if slot["port"] in located():
            slot["located_usec"] = max(0, int((located()[slot["port"]] - time.monotonic()) * 1e6))
    return topology


def write_machine(topology):
    with open(path("machine.json.new"), "w") as f:
        json.dump(topology, f)
    os.rename(path("machine.json.new"), path("machine.json"))


def reason():
    """What else there is to say of it, if anything."""
    if not os.path.exists(path("reason")):
        return ""
    with open(path("reason")) as f:
        return f.read()


def find_slot(target):
    found = [s for s in machine()["slots"]
             if target in (s["name"], f"slot:{s['name']}", f"port:{s['port']}", f"/closed/{s['name']}") or
             (s["card"] and target in (s["card"]["bdf"], s["card"]["memdev"]))]
    if found:
        return found[0]
    say(type="error", code={"?": "malformed", "all": "ambiguous", "dimm0": "no-slot"}.get(target, "unknown"),
        message=f"Nothing here is called '{target}'." + reason())
    sys.exit(1)


class Journal:
    def __init__(self, number):
        self.folder = os.path.join(state_dir, "removals", number)

    def write(self, **record):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "journal"), "a") as f:
            f.write(json.dumps({**record, "usec": usec()}) + "\n")

    def plan(self, plan):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "plan.json"), "w") as f:
            json.dump(plan, f)


class Removal:
    def __init__(self, number, script, kind="remove"):
        self.kind = kind
        self.journal = Journal(number)
        self.script = script
        self.steps = sum(1 for line in script if line[0] == "step")
        self.n = 0
        self.deaf = False
        self.cancelled = None
        self.released = False

    def listen(self, timeout):
        line = hear(timeout)
        if line and line["type"] == "cancel" and not self.deaf:
            self.cancelled = line["why"]
        if line and line["type"] in ("announced", "released"):
            note(line["type"])
            self.released = self.released or line["type"] == "released"
        if line == "":  # the daemon is gone; the real one goes on too
            leave_with_the_test()
            time.sleep(timeout)

    def end(self, outcome, code, message, remedy=(), lost=()):
        disturbed = ["process 813 (cat) of user 1000: SIGKILL"] if outcome == "stuck" else []
        self.journal.write(ev="end", outcome=outcome, code=code, message=message, remedy=list(remedy), lost=list(lost), disturbed=disturbed)
        say(type="end", outcome=outcome, code=code, message=message, remedy=list(remedy), lost=list(lost), disturbed=disturbed, usec=1000, **({"unwritten": True} if os.path.exists(path("no-room")) else {}),
            public={"message": "public", "remedy": [], "lost": [], "disturbed": [], "withheld": True})
        if os.path.exists(path("unaudited")):
            say(type="library", library=None, text="the audit log is full")
        sys.exit(0)

    def put_back(self, code, why):
        if self.kind == "restore":
            self.end("incomplete", code, why, [], ["offline-memory (write online)"])
        say(type="state", state="restoring")
        self.journal.write(ev="back", why=why)
        while self.n > 0:
            self.n -= 1
            say(type="step", n=self.n, of=self.steps, name="some", phase="undo", text="")
            say(type="step", n=self.n, of=self.steps, name="some", phase="undone", text="", usec=5)
            self.journal.write(ev="undone", n=self.n)
        if wait_while("card-is-gone"):
            self.end("stuck", "card-gone", "the card was pulled in the middle of its removal")
        self.end("restored", code, why)

    def do_step(self, name, *port):
        say(type="step", n=self.n, of=self.steps, name=name, phase="do", text="write it")
        self.journal.write(ev="do", n=self.n)
        say(type="progress", n=self.n, done=1, of=2, text="half")
        self.journal.write(ev="done", n=self.n)
        say(type="step", n=self.n, of=self.steps, name=name, phase="done", text="write it", usec=1234)
        self.n += 1

    def do_wait(self, name):
        while not os.path.exists(path(name)) and not self.cancelled:
            self.listen(0.02)

    def do_await_release(self):
        while not self.released and not self.cancelled:
            self.listen(0.02)

    def do_plan(self):
        with open(os.path.join(self.journal.folder, "plan.json")) as f:
            say(type="plan", plan=json.load(f), public={"digest": digest_of_plans(), "withheld": True})

    def do_announce(self, *again):
        say(type="announce", deadline_usec=usec() + 1000000, **({"again": True} if again else {}))

    def do_logs(self):
        say(type="library", library="libcxl", text="libcxl: mem9: odd")

    def do_led(self, power, attention, *slot):
        say(type="led", state="working", power=power, attention=attention, **({"slot": slot[0], "port": slot[1]} if slot else {}))

    def do_die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def do_deaf(self):
        say(type="state", state="finishing")
        self.deaf = True

    def do_garble(self):
        os.write(1, b"{this is no JSON\n")

    def do_hang(self):
        while True:
            leave_with_the_test()
            time.sleep(0.5)

    def do_stop(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def do_stuck(self):
        self.end("stuck", "stuck", "step offline-memory: memory147 cannot be offlined", ["Stop the process that pins it."],
                     ["process 812 (dd) was ended"])

    def do_stuck_at(self, *words):
        """With words that are not for everybody."""
        text = " ".join(words)
        self.end("stuck", "stuck", text, [text], [text])

    def do_end_as(self, outcome, *words):
        self.end(outcome, "done", "", lost=[" ".join(words)] if words else [])

    def run(self):
        for word, *rest in self.script:
            getattr(self, "do_" + word.replace("-", "_"))(*rest)
            if self.cancelled and not self.deaf:
                self.put_back("cancelled", "cancelled by " + self.cancelled)
        if self.kind == "restore":
            self.end("rebuilt", "done", "What removal 1 took down is there again.")
        self.end("safe", "done", "The card may be pulled.")


def find_slots(request):
    """All that are asked for; more than one where the request has targets."""
    return [find_slot(target) for target in request.get("targets") or [request["target"]]]


def several(slots):
    return {"slots": [{"name": slot["name"], "port": slot["port"], "card": slot["card"]} for slot in slots]} if len(slots) > 1 else {}


def steps_of(script):
    return [{"n": i, "name": name, **({"args": {"port": port[0]}} if port else {})}
            for i, (name, *port) in enumerate(line[1:] for line in script if line[0] == "step")]


def make_plan(slot, target, steps, **more):
    if os.path.exists(path("eta")):
        with open(path("eta")) as f:
            more["eta_usec"] = int(f.read())
    more.update({} if os.path.exists(path("hold-only")) else {"takes_down": {}})
    return {**more, "schema": "safe-remove/plan/1", "digest": digest_of_plans(), "verdict": "ready", "target": target,
            "slot": {"name": slot["name"], "port": slot["port"]}, "card": slot["card"],
            "steps": steps}


def verb_scan():
    if os.path.exists(path("scan-fails")):
        if os.path.getsize(path("scan-fails")) > 0:
            say(type="error", code="internal", message="Timer expired")
        sys.exit(1)
    say(**machine())


def document(request, text):
    """What the real worker does with a document: in parts where the daemon wants it so."""
    if not request.get("parts"):
        os.write(1, (text + "\n").encode())
        return
    for i in range(0, len(text), 10000):
        say(type="part", text=text[i:i + 10000])
    say(type="answer")


def plan_document(request, plan):
    """The plan, or a page of it as the real worker makes it."""
    if "page" not in request:
        return json.dumps(plan)
    what = request["page"]["what"].split("@")[0]
    lists = {k: plan.get(k, []) for k in ("steps", "holders", "blockers", "warnings")}
    lists["summary"] = [{"digest": plan["digest"], "verdict": plan["verdict"], "kind": plan.get("kind", "remove"), "eta_usec": plan.get("eta_usec", 0),
                         "slots": [s["name"] for s in plan.get("slots", [plan["slot"]])],
                         "serials": [s["card"]["serial"] for s in plan.get("slots", [{"card": plan["card"]}])],
                         **{k: len(v) for k, v in lists.items()}}]
    first, most = request["page"]["first"], request["page"]["most"] or 1000
    return json.dumps({"schema": "safe-remove/page/1", "digest": plan["digest"], "what": what, "list": f"{what}@{'0' * 32}", "first": first,
                       "total": len(lists[what]), "items": lists[what][first:first + most]})


def verb_topology():
    request = hear(5)
    if os.path.exists(path("log-looks")):
        note("topology " + json.dumps(request))
    while os.path.exists(path("slow-looks")) or os.path.exists(path(f"slow-looks-of-{request['by']['uid']}")):
        leave_with_the_test()
        time.sleep(0.02)
    document(request, json.dumps({**machine(), "filling": "x" * (os.path.getsize(path("filling")) if os.path.exists(path("filling")) else 0)}, ensure_ascii=False))


def verb_came_back():
    if os.path.exists(path("log-looks")):
        note("came-back")
    while os.path.exists(path("slow-came-back")):
        leave_with_the_test()
        time.sleep(0.02)
    real_worker()


def verb_late():
    if os.path.exists(path("log-late")):
        note("late")
    if os.path.exists(path("late")):
        with open(path("late")) as f:
            say(type="late", **json.load(f))
    else:
        say(type="late", waiting=[], ended=[])


def verb_stays():
    request = hear(5)
    if os.path.exists(path("log-stays")):
        note("stays arrived" if request["arrived"] else "stays")
    slots = []
    if os.path.exists(path("stays")):
        with open(path("stays")) as f:
            slots = json.load(f)
    online = {"online": {"blocks": 4, "failed": 1, "why": "it hangs"}} if request["arrived"] and os.path.exists(path("brings-online")) else {}
    say(type="stays", slots=slots, **online)


def real_worker():
    """What reads the records and nothing else."""
    os.execv(os.environ["REAL_WORKER"], ["safe-remove-worker", sys.argv[1]])


def verb_plan():
    request = hear(5)
    note("plan " + json.dumps(request))
    if request["options"].get("zone_normal") == "wrong":
        say(type="error", code="bad-option", message="zone_normal must be refuse or try.")
        sys.exit(1)
    slots = find_slots(request)
    plan = make_plan(slots[0], request["target"], [{"n": 0, "name": "hold"}], **several(slots))
    if os.path.exists(path("withholds")) and request["by"]["uid"] != 0 and not request["by"].get("details"):
        plan["withheld"] = True
    document(request, plan_document(request, plan))


def verb_rights():
    request = hear(5)
    note("rights " + json.dumps(request))
    slots = find_slots(request)
    actions = ["restore"] if request["kind"] == "restore" else ["remove"]
    if os.path.exists(path("rights")):
        with open(path("rights")) as f:
            actions = f.read().split()
    say(type="rights", actions=actions, slots=[slot["name"] for slot in slots], serial=slots[0]["card"]["serial"], holders=3, digest=digest_of_plans(),
        by={**request["by"], "unit": "some.scope"})


def verb_denied():
    request = hear(5)
    note("denied " + json.dumps(request))
    say(type="denied", by={**request["by"], "unit": "some.scope", "session": "3"}, unaudited=reason() or None)


def verb_plan_restore():
    request = hear(5)
    note("plan-restore " + json.dumps(request))
    plan = make_plan(find_slot(request["target"]), request["target"], [{"n": 0, "name": "release"}], kind="restore", of="1")
    document(request, plan_document(request, plan))


def verb_restore():
    begin("restore", {"kind": "restore", "of": "1"})


def verb_run():
    begin("run", {})


def begin(verb, more):
    request = hear(5)
    note(f"{verb} " + json.dumps(request))
    slots = find_slots(request)
    slot = slots[0]
    while os.path.exists(path("slow-target")):
        if os.path.getsize(path("slow-target")) > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
    asker = {}
    if os.path.exists(path("asker")):
        with open(path("asker")) as f:
            asker = json.load(f)
        request["by"].update(asker)
    say(type="target", slot=slot["name"], port=slot["port"], card=slot["card"], **several(slots), **({"outer": slot["outer"]} if "outer" in slot else {}),
        **({"by": asker} if asker else {}))
    go = hear(20)
    if not go or go["type"] != "go":
        note("left " + request["id"])
        return
    note("go " + request["id"])
    removal = Removal(request["id"], read_lines("restore-script" if more else "script"), more.get("kind", "remove"))
    if removal.script == [["die-early"]]:
        os.kill(os.getpid(), signal.SIGKILL)
    plan = make_plan(slot, request["target"], steps_of(removal.script), **several(slots))
    if go.get("inhibitors"):
        note("inhibited " + json.dumps(go))
    if request["options"].get("ignore_inhibitors"):
        plan["warnings"] = [{"code": "INHIBITED", "inhibitor": i["id"]} for i in go.get("inhibitors", []) if "slot:" + slot["name"] in i["what"]]
    for step in plan["steps"]:
        if step["name"] == "announce":
            step["args"] = {"inhibitors": [i["id"] for i in go.get("inhibitors", []) if i["mode"] == "delay"]}
    removal.journal.plan(plan)
    removal.journal.write(ev="start", boot=open("/proc/sys/kernel/random/boot_id").read().strip().replace("-", ""),
                          slot=slot["name"], card=slot["card"], **more,
                          **({"slots": [s["name"] for s in slots], "targets": request["targets"]} if len(slots) > 1 else {}),
                          **{k: request[k] for k in ("target", "trigger", "by", "options")})
    if "refuse" in go:
        removal.end("refused", "blocked", go["refuse"])
    say(type="state", state="planning")
    while os.path.exists(path("slow-plan")) and not removal.cancelled:
        removal.listen(0.02)
    say(type="plan", plan=plan, public={"digest": plan["digest"], "withheld": True})
    say(type="state", state="working")
    removal.run()


def verb_resume():
    request = hear(5)
    note(f"resume {request['id']} {request['direction']}")
    if not os.path.exists(path("resume-script")):
        Removal(request["id"], []).put_back("failed", "the worker died")
    with open(os.path.join(state_dir, "removals", request["id"], "journal")) as f:
        kind = json.loads(f.readline()).get("kind", "remove")
    removal = Removal(request["id"], read_lines("resume-script"), kind)
    say(type="state", state="working")
    removal.run()


def verb_verify():
    request = hear(5)
    note("verify " + json.dumps(request))
    slot = find_slot(request["target"])
    say(schema="safe-remove/verify/1", slot=slot["name"], port=slot["port"], removal=None, holds=True, probes=[])


def located():
    """What the real one keeps in the run folder: when it ends, by the monotonic clock."""
    if not os.path.exists(path("located")):
        return {}
    with open(path("located")) as f:
        return json.load(f)


def wait_while(name):
    """As long as PLAY/name is there; whether it was."""
    waited = False
    while os.path.exists(path(name)):
        waited = True
        leave_with_the_test()
        time.sleep(0.02)
    return waited


def wait_for_light(attention):
    wait_while({"on": "slow-light", "blink": "slow-blink"}.get(attention, "no-such-file"))


def verb_make_up():
    if os.path.exists(path("make-up-dies")):
        sys.exit(1)
    missing = os.path.exists(path("no-room"))
    if os.path.exists(path("slow-make-up")):
        missing = missing and os.path.getsize(path("slow-make-up")) == 0
        note("make-up")
    wait_while("slow-make-up")
    say(type="made-up", made=[] if missing or not os.path.exists(path("had-no-room")) else ["1"], missing=["1"] if missing else [], certificates=not missing,
        **({"why": "No space left on device"} if missing else {}))


def verb_light():
    request = hear(5)
    port, attention = request["port"], request["attention"]
    note("light-asked " + json.dumps(request))
    wait_for_light(attention)
    if os.path.exists(path("light-fails")):
        say(type="error", code="internal", message="Operation now in progress")
        return
    with open(path("machine.json")) as f:
        topology = json.load(f)
    slot = [s for s in topology["slots"] if s["port"] == port][0]
    if attention == "lit":
        if not os.path.exists(path("light-slips")):
            slot["power_led"] = "on"
        write_machine(topology)
        note("light " + json.dumps(request))
        say(type="led", power=slot["power_led"], attention=slot["attention_led"], writing=False, dark=slot["power_led"] == "off")
        return
    until = located()
    if attention == "blink" and slot["attention_led"] == "on":
        say(type="error", code="no-light", message="its attention LED is on, which says that something is wrong there")
        return
    if attention == "before":
        shown = "off" if port in until and slot["attention_led"] == "blink" else slot["attention_led"]
    elif os.path.exists(path("light-slips")):
        shown = {"on": "off", "off": "on", "blink": "off"}[attention]
    else:
        shown = attention
    until.pop(port, None)
    if attention == "blink":
        until[port] = time.monotonic() + request["usec"] / 1e6
    slot["attention_led"] = shown
    with open(path("located"), "w") as f:
        json.dump(until, f)
    write_machine(topology)
    note("light " + json.dumps(request))
    say(type="led", power=slot["power_led"] if attention in ("blink", "before") else "blink", attention=shown, writing=os.path.exists(path("light-hangs")))


def verb_find():
    request = hear(5)
    note("find " + json.dumps(request))
    slot = find_slot(request["target"])
    say(type="found", slot=slot["name"], port=slot["port"])


def verb_incident():
    """PLAY/incident: what is found; without it the card is gone, and nothing else is known of it."""
    request = hear(5)
    note("incident " + json.dumps(request))
    wait_while("slow-incident")
    if os.path.exists(path("incident-dies")):
        os.kill(os.getpid(), signal.SIGKILL)
    found = {}
    if os.path.exists(path("incident")):
        with open(path("incident")) as f:
            found = json.load(f)
    say(**{"type": "incident", "verdict": "gone", **found})


def verb_certificates():
    note("certificates")
    if os.path.exists(path("chain-busy")):
        say(type="error", code="busy", message="A removal is writing its certificate.")
        sys.exit(1)
    say(schema="safe-remove/chain/1", verified=True, certificates=0, problems=[])


def wait_for_a_verb():
    """Made beforehand (daemon/guard/start.c): becomes what it is needed for when somebody says so."""
    import socket  # pylint: disable=import-outside-toplevel # the others need none, and it takes as long as the rest of their start
    while os.path.exists(path("never-waits")):
        leave_with_the_test()
        time.sleep(0.02)
    door = socket.socket(fileno=0)
    door.send(b"waiting")
    with open("/proc/self/comm", "w") as name:
        name.write("safe-remove-idl")
    try:
        word, streams, _, _ = socket.recv_fds(door, 16, 1)
    except ConnectionResetError:
        word = b""
    if not word:
        sys.exit(0)
    os.dup2(streams[0], 0)
    os.dup2(streams[0], 1)
    os.close(streams[0])
    sys.argv[1] = word.decode()
    if sys.argv[1] in REAL:
        real_worker()
    os.execv(sys.argv[0], ["fake-worker", sys.argv[1]])


REAL = ("history", "page", "certificate", "test-report", "record", "records", "sub-uids", "check-policy", "snapshot",
        "incident-record")
VERBS = {"waits-for-a-verb": wait_for_a_verb, "scan": verb_scan, "topology": verb_topology, "stays": verb_stays, "came-back": verb_came_back, "plan": verb_plan,
         "run": verb_run, "plan-restore": verb_plan_restore, "restore": verb_restore, "resume": verb_resume, "verify": verb_verify, "rights": verb_rights,
         "denied": verb_denied, "certificates": verb_certificates, "light": verb_light, "find": verb_find,
         "make-up": verb_make_up, "late": verb_late, "incident": verb_incident, **dict.fromkeys(REAL, real_worker)}


def main():
    VERBS[sys.argv[1]]()
