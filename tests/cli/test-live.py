#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the CLI does while a removal runs: the live view, detaching, cancelling, monitor, and a daemon that dies."""
import json
import os
import pathlib
import pwd
import select
import shlex
import shutil
import subprocess
import sys

from bus import HERE, Bus, Terminal, wait_for

USER = pwd.getpwuid(os.geteuid()).pw_name


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def status(bus, name):
    return json.loads(bus.run("status", name, "--json").stdout)


def wait_running(bus, slot):
    """Until its second step has begun: from there the fake worker waits."""
    wait_for(lambda: status(bus, slot).get("step_index") == 1 and status(bus, slot)["state"] == "working",
             f"slot {slot} being removed")


def test_live_view(bus):
    t = Terminal(bus, "remove", "2", "--yes")
    code = t.finish()
    expect(code == 0, f"exit {code}: {t.output}")
    expect("\r\033[K" in t.output, "no line was repainted")
    expect("[ 2/6] offline-memory" in t.output, "a step is missing")
    expect("from here on there is no way back" in t.output, "the point of no return was not announced")
    told = [line for line in t.output.replace("\r\n", "\n").strip().split("\n") if not line.startswith(("  disturbed: ", "      "))]
    expect("slot 2: \033[1;32msafe to pull\033[0m  (power LED off, attention LED off)" in told[-1], f"last line: {told[-1]!r}")
    widest = max(len(part) for line in t.output.split("\n") for part in line.split("\r\033[K") if part.startswith("["))
    expect(widest <= 81, f"a step's line takes {widest} columns of 80")


def test_detach_and_cancel(bus):
    t = Terminal(bus, "remove", "7", "-y")
    t.wait_for("1/4 memory147 offline")
    t.type(b"\x03")
    code = t.finish()
    expect(code == 130, f"exit {code}")
    expect("goes on" in t.output and "safe-remove cancel 7" in t.output, t.output)
    expect("\r\033[Ksafe-remove: removal" in t.output, f"what was said about it is on a line of its own: {t.output!r}")
    expect(status(bus, "7")["state"] == "working", "the removal did not go on")

    table = bus.run("status").stdout.split("\n")
    expect(table[1].split()[1:5] == ["7", "working", "2/6", "offline-memory"], f"status: {table}")
    expect(table[1].endswith(f"  {USER}, session c3"), f"who asked: {table}")
    one = bus.run("status", "slot:7")
    expect("is working, step 2/6 offline-memory" in one.stdout and one.returncode == 0, one.stdout)

    busy = bus.run("remove", "7", "--grace=3")
    expect(busy.returncode == 75, f"other options on a running removal: exit {busy.returncode}: {busy.stderr}")

    waiter = subprocess.Popen([bus.cli, "remove", "7"], env=bus.env, stdout=subprocess.PIPE, text=True)
    expect(waiter.stdout.readline().startswith("removal "), "the second one did not join")
    cancel = bus.run("cancel", "7")
    expect(cancel.returncode == 0, f"cancel: exit {cancel.returncode}: {cancel.stderr}")
    end = "slot 7: not removed: cancelled before memory146 (by command); everything is as it was before\n"
    expect(cancel.stdout.endswith(end), cancel.stdout)
    out, _ = waiter.communicate(timeout=60)
    expect(waiter.returncode == 6 and out.endswith(end), f"the one who waited: {waiter.returncode}: {out}")


def test_asks_for_the_serial_number(bus):
    """Somebody at a terminal is asked once more which card he means; nobody else is, and a wrong answer touches nothing."""
    t = Terminal(bus, "remove", "2", "--sanitize", "--yes")
    t.wait_for("Serial number of the card to erase: ")
    t.type(b"0x1\n")
    expect(t.finish() == 0, f"the right number: {t.output}")
    for typed, want in ((b"0x7\n", "refused, nothing was touched"), (b"\n", "no serial number was given: nothing was touched")):
        t = Terminal(bus, "remove", "2", "--sanitize", "--yes")
        t.wait_for("Serial number of the card to erase: ")
        t.type(typed)
        expect(t.finish() == 5 and want in t.output, f"after {typed}: {t.output}")
    t = Terminal(bus, "remove", "2", "--sanitize")
    t.wait_for("Serial number of the card to erase: ")
    t.type(b"0x1\n")
    t.wait_for("ERASED         all that is on the card; there is no way back\r\nGo ahead? [y/N] ")
    t.type(b"\n")
    expect(t.finish() == 5 and "not confirmed: nothing was touched" in t.output, f"the right number, and no yes: {t.output}")
    silent = bus.run("remove", "2", "--sanitize")
    expect(silent.returncode == 5 and "Serial number of" not in silent.stderr, f"without a terminal: {silent.returncode}: {silent.stderr}")
    expect(bus.run("remove", "2", "--sanitize=0x1").returncode == 0, "the number on the command line")


def test_confirmation(bus):
    """Somebody at a terminal is told what goes down, and nothing does without a yes. Nobody else is asked, nor who has given the digest."""
    for keys in (b"n\n", b"\n", b"\x04", b"yess\n"):
        t = Terminal(bus, "remove", "2")
        t.wait_for("Go ahead? [y/N] ")
        t.type(keys)
        code = t.finish()
        expect(code == 5 and "not confirmed: nothing was touched" in t.output and "started" not in t.output, f"{keys}: exit {code}: {t.output}")
    shown = t.output.replace("\r\n", "\n")
    host = os.uname().nodename
    expect(f"Remove the card of slot 2 on {host}:" in shown and "card 0000:0d:00.0, mem1, serial 0x1" in shown, shown)
    expect("memory         384 MiB of System RAM\n" in shown and "also loses it  slot 7 (serial 0x6)\n" in shown, shown)
    for keys in (b"y\n", b"YES\n"):
        t = Terminal(bus, "remove", "2")
        t.wait_for("Go ahead? [y/N] ")
        t.type(keys)
        code = t.finish()
        expect(code == 0 and "safe to pull" in t.output, f"{keys}: exit {code}: {t.output}")
    # What was said yes to is what is asked for: of slot 8 the plan is another one by then.
    t = Terminal(bus, "remove", "8")
    t.wait_for("Go ahead? [y/N] ")
    t.type(b"y\n")
    expect(t.finish() == 10, f"another plan than the one that was shown: {t.output}")
    digest = json.loads(bus.run("plan", "2", "--json").stdout)["digest"]
    t = Terminal(bus, "remove", "2", "--plan", digest[:8])
    expect(t.finish() == 0 and "Go ahead" not in t.output, f"with the digest: {t.output}")
    # A refusal needs no question, and a second wish for the same removal none either.
    t = Terminal(bus, "remove", "3")
    expect(t.finish() == 5 and "Go ahead" not in t.output, t.output)


def test_asks_whoever_forces(bus):
    """Who joins what runs is asked nothing, unless he forces or erases, or passes over somebody: had it just ended, another one would begin."""
    for option in (["--force=kill"], ["--ignore-inhibitors"], ["--sanitize=0x6"]):
        started = bus.run("remove", "7", "--no-wait", *option)
        expect(started.returncode == 0, f"{option}: {started}")
        wait_running(bus, "7")
        t = Terminal(bus, "remove", "7", *option)
        t.wait_for("Go ahead? [y/N] ")
        t.type(b"n\n")
        expect(t.finish() == 5 and "not confirmed" in t.output, f"{option}: {t.output}")
        expect(bus.run("cancel", "7").returncode == 0, f"cancel after {option}")


def test_logs_in_once(bus):
    """Up to the question there is one login, which may take a password."""
    bridge = shutil.which("systemd-stdio-bridge")
    if not bridge:
        return
    ssh = bus.folder / "ssh"
    ssh.write_text(f"#!/bin/sh\necho login >> {bus.folder}/logins\nexec {bridge} --bus-path=unix:path={bus.folder}/bus\n")
    ssh.chmod(0o755)
    for argv in (["remove", "2"], ["self-test", "2"]):
        (bus.folder / "logins").unlink(missing_ok=True)
        t = Terminal(bus, *argv, "-H", "other", env={**bus.env, "SYSTEMD_SSH": str(ssh)})
        t.wait_for("Go ahead? [y/N] ")
        logins = (bus.folder / "logins").read_text()
        t.type(b"n\n")
        expect(t.finish() == 5 and logins == "login\n", f"{argv}: {logins}{t.output}")


def test_name_without_a_plan(bus):
    """What a name means is found out without a look for holders, and without the hooks that a plan asks."""
    planned = bus.state / "planned"
    planned.unlink(missing_ok=True)
    for verb in ("status", "cancel"):
        r = bus.run(verb, "region8")
        expect(r.returncode == 2 and "no removal of 'region8' is running" in r.stderr and not planned.exists(), f"{verb}: {r}")


def test_nothing_of_that_name(bus):
    """Whoever names a card or a slot that is not there hears the same of every verb."""
    for verb in ("show", "plan", "explain", "holders", "remove", "restore", "self-test", "replace", "cancel", "status", "verify", "locate"):
        r = bus.run(verb, "mem99")
        expect(r.returncode == 3 and r.stdout == "" and r.stderr.rstrip().endswith("there are: mem1, mem2; see: safe-remove list"), f"{verb}: {r}")
        if verb in ("cancel", "locate", "remove"):
            r = bus.run(verb, "mem99", "--dry-run")
            expect(r.returncode == 3 and "see: safe-remove list" in r.stderr, f"{verb} --dry-run: {r}")
    r = bus.run("inhibit", "--what=99", "true")
    expect(r.returncode == 3 and r.stderr.endswith("there are: 2 3 4 5 6 7 8; see: safe-remove list\n"), f"inhibit: {r}")
    # A number may be that of a removal, too.
    for verb in ("cancel", "status"):
        r = bus.run(verb, "99")
        expect((r.returncode, r.stderr) == (3, "safe-remove: no removal has the id or the target '99'; see: safe-remove history\n"), f"{verb}: {r}")
        # It is there, and has nothing to tell of.
        r = bus.run(verb, "8")
        expect(r.returncode == 2 and f"no removal of '8' is running{' or on record' if verb == 'status' else ''}; see: safe-remove status" in r.stderr, f"{verb}: {r}")
    for argv in (["plan", "4"], ["holders", "4"], ["holders", "4", "--json"], ["remove", "4"], ["self-test", "4"], ["replace", "4"]):
        expect(bus.run(*argv).returncode == 2, f"{argv} of an empty slot")


def test_no_wait(bus):
    text = bus.run("remove", "7", "--no-wait")
    expect(text.returncode == 0 and "started; see: safe-remove status 7\n" in text.stdout, text.stdout + text.stderr)
    wait_running(bus, "7")
    joins = bus.run("remove", "7", "--no-wait").stdout
    expect("is running already, step 2/6 offline-memory; see: safe-remove status 7\n" in joins, joins)
    again = json.loads(bus.run("remove", "7", "--no-wait", "--json").stdout)
    expect(again["schema"] == "safe-remove/removal/1" and again["slot"] == "7" and again["outcome"] in ("", None), again)
    asked = json.loads(bus.run("cancel", "7", "--no-wait", "--json").stdout)
    expect(asked["id"] == again["id"], asked)
    wait_for(lambda: status(bus, "7")["state"] == "ended", "the cancelled removal's end")
    expect(status(bus, "7")["code"] == "cancelled", status(bus, "7"))
    test = bus.run("self-test", "7", "--no-wait")
    expect(test.returncode == 0 and "self-test " in test.stdout and "started; see: safe-remove status 7\n" in test.stdout, test)
    wait_for(lambda: status(bus, "7")["outcome"] == "tested", "the test's end")


def test_monitor(bus):
    text = subprocess.Popen([bus.cli, "monitor"], env=bus.env, stdout=subprocess.PIPE, text=True)
    machine = subprocess.Popen([bus.cli, "monitor", "--json"], env=bus.env, stdout=subprocess.PIPE, text=True)
    lines, human = [], ""
    try:
        # Whether they listen yet shows only in that they hear something.
        while len(select.select([text.stdout, machine.stdout], [], [], 0)[0]) < 2:
            expect(bus.run("remove", "5").returncode == 6, "remove 5")
        bus.run("remove", "2")
        while not lines or lines[-1].get("outcome") != "safe":
            lines.append(json.loads(machine.stdout.readline()))
        while "ended safe" not in human:  # it may come after the other one
            human += text.stdout.readline()
    finally:
        for p in (text, machine):
            p.terminate()
    human += text.communicate(timeout=60)[0]
    expect(text.returncode == 0, f"monitor: exit {text.returncode}")
    expect(all(line["schema"] == "safe-remove/event/1" for line in lines), "an event without its schema")
    expect({"plan", "step", "progress", "state", "led", "end"} <= {line["type"] for line in lines}, "types are missing")
    expect("slot 2  removal " in human and "step 2/6 offline-memory done in 0.2 s" in human, human)
    expect("ended safe after 1.5 s: safe to pull" in human, human)
    blanks = [line for line in human.split("\n") if line.endswith((" ", ":"))]
    expect(not blanks, f"lines with nothing after a colon or a blank: {blanks}")


def completing(bus):
    """Completions call the command by its name."""
    return {**bus.env, "PATH": f"{pathlib.Path(bus.cli).resolve().parent}:{bus.env['PATH']}"}


def complete(bus, *words):
    script = """. "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=1000 COMP_WORDBREAKS=$' \\t\\n=:'
                _safe_remove; printf '%s\\n' "${COMPREPLY[@]}" """
    source = str(HERE.parent.parent / "cli/completion/safe-remove")
    r = subprocess.run(["bash", "-c", script, "bash", source, "safe-remove", *words], env=completing(bus),
                       capture_output=True, text=True, timeout=60)
    expect(not r.stderr, r.stderr)
    return r.stdout.split()


NAMES = {"3", "0000:0e:00.0", "mem2", "serial:0x2", "port:0000:0c:01.0", "region1", "dax1.0"}


def test_completion(bus):
    expect("explain" in complete(bus, "") and complete(bus, "rem") == ["remove"], "verbs")
    expect("4" in complete(bus, "locate", "") and "4" not in complete(bus, "replace", ""), "the empty slot, to be found and to be replaced")
    expect("--off" in complete(bus, "locate", "2", "--") and "--wait" in complete(bus, "replace", "2", "--"), "options of locate and replace")
    expect(NAMES <= set(complete(bus, "plan", "")), complete(bus, "plan", ""))
    expect("4" not in complete(bus, "plan", "") and "4" in complete(bus, "verify", ""), "the empty slot")
    expect(complete(bus, "plan", "0000", ":", "0e", ":", "") == ["00.0"], complete(bus, "plan", "0000", ":", "0e", ":", ""))
    expect(complete(bus, "plan", "serial", ":") == ["0x2", "0x4", "0x5", "0x6", "0x7"], complete(bus, "plan", "serial", ":"))
    expect("--plan" in complete(bus, "remove", "2", "--"), "options of remove")
    expect("--plan" not in complete(bus, "plan", "2", "--"), "options of plan")
    expect(complete(bus, "remove", "--zone-normal", "=", "t") == ["try"], "values")
    expect(complete(bus, "remove", "--force", "=", "unm") == ["unmap"], "values")
    expect(complete(bus, "remove", "--sanitize", "=", "0x2") == ["0x2"], "serial numbers")
    expect(complete(bus, "cancel", "") == [], "nothing runs")
    ids = bus.run("history", "--no-legend").stdout.split("\n")
    expect(complete(bus, "certificate", "")[0] == ids[0].split()[0], "ids")
    folder = bus.state / "incidents" / "5"
    folder.mkdir(parents=True)
    (folder / "incident.json").write_text('{"schema": "safe-remove/incident/1", "id": "5", "slot": "2", "found_usec": 1, "message": "gone"}')
    expect(complete(bus, "incident", "") == ["5"], complete(bus, "incident", ""))
    shutil.rmtree(folder)
    bus.run("remove", "7", "--no-wait")
    expect(complete(bus, "cancel", "") == ["7"], "what runs")
    bus.run("cancel", "7")
    # Whoever cannot reach the daemon is left alone.
    silent = dict(bus.env)
    bus.env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nonexistent"
    expect(complete(bus, "plan", "") == [], "without a bus")
    bus.env.update(silent)


def test_completion_of_fish(bus):
    if not shutil.which("fish"):
        print("  skipped: no fish here")
        return

    def fish(line):
        source = HERE.parent.parent / "cli/completion/safe-remove.fish"
        r = subprocess.run(["fish", "--no-config", "-c", f"source {source}; complete -C {shlex.quote(line)}"], env=completing(bus),
                           capture_output=True, text=True, timeout=60)
        expect(r.returncode == 0 and not r.stderr, f"{r.returncode}: {r.stderr}")
        return [entry.split("\t")[0] for entry in r.stdout.splitlines()]

    expect({"remove", "replace", "restore"} == set(fish("safe-remove re")), fish("safe-remove re"))
    expect(NAMES <= set(fish("safe-remove plan ")) and "4" not in fish("safe-remove plan "), fish("safe-remove plan "))
    expect("4" in fish("safe-remove verify "), "the empty slot")
    expect("--plan" in fish("safe-remove remove 2 --p") and "--plan" not in fish("safe-remove plan 2 --p"), "options")
    expect(fish("safe-remove remove --zone-normal=t") == ["--zone-normal=try"], fish("safe-remove remove --zone-normal=t"))


def test_completion_of_zsh(bus):
    if not shutil.which("zsh"):
        print("  skipped: no zsh here")
        return
    folder = HERE.parent.parent / "cli/completion"
    t = Terminal(bus, program=["zsh", "-f", "-i"], env={**completing(bus), "PS1": "> "}, columns=200, rows=50)
    t.type(f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -D -u; LISTMAX=1000; echo rea''dy\n".encode())
    t.wait_for("ready")
    for typed, want in ((b"safe-remove verif\t", "safe-remove verify"), (b"safe-remove plan mem2\t", "mem2"), (b"safe-remove plan ser\t", "serial"),
                        (b"safe-remove remove --acknow\t", "--acknowledge"), (b"safe-remove remove --zone-normal=t\t", "=try")):
        t.output = ""
        t.type(typed)
        t.wait_for(want)
        t.type(b"\x15\n")
    t.type(b"exit\n")
    t.finish()


def test_replace(bus):
    """The whole way, over a restart of the daemon while it waits, with another card and with the same one."""
    def begin(slot, *more):
        p = subprocess.Popen([bus.cli, "replace", slot, "--yes", *more], env=bus.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for((bus.state / f"off-{slot}").exists, "the removal")
        wait_for(lambda: [s["card_address"] for s in json.loads(bus.run("list", "--json").stdout)["slots"] if s["name"] == slot] == [""], "the empty slot")
        return p

    def insert(slot):
        (bus.state / f"off-{slot}").unlink()
        bus.run("list")  # the daemon looks

    (bus.state / "off-2").unlink(missing_ok=True)
    bus.run("list")
    p = begin("2")
    bus.kill_daemon()
    bus.start_daemon()
    (bus.state / "other-2").touch()
    insert("2")
    out, err = p.communicate(timeout=60)
    expect(p.returncode == 0 and err == "", f"exit {p.returncode}: {out}{err}")
    story = [line for line in out.split("\n") if line.startswith(("slot 2", "waiting", "restoration", "  to have"))]
    expect([line.split(":")[-1].split("  ")[0] for line in story][:3] == [" safe to pull", " pull the card, serial 0x1, and put the new one in", " safe-remove locate 2"], f"{story}")
    expect(story[3] == "waiting for the new card, at most 30 min 00 s", story[3])
    expect(story[4] == "slot 2: card 0000:0d:00.0, mem1, serial 0x77 is in: another one", story[4])
    expect(story[-1] == "slot 2: rebuilt: what removal 1 took down is there again", story[-1])
    (bus.state / "other-2").unlink()
    bus.run("list")

    p = begin("2", "--json")
    insert("2")
    out, err = p.communicate(timeout=60)
    document = json.loads(out)
    expect((p.returncode, document["exit"], document["same_card"], document["next"]) == (0, 0, True, None), out)
    expect(document["removed"]["outcome"] == "safe" and document["card"]["serial"] == "0x1" and document["restored"]["outcome"] == "rebuilt", out)

    # Nobody has to wait.
    t = Terminal(bus, "replace", "2", "--yes")
    t.wait_for("waiting for the new card")
    t.type(b"\x03")
    expect(t.finish() == 130, t.output)
    expect("when the new card is in: safe-remove restore 2" in t.output.replace("\r\n", " "), t.output)
    expect(bus.run("restore", "2").returncode == 0, "and that works")
    (bus.state / "off-2").unlink()
    bus.run("list")


def test_metrics(bus):
    """A file that is whole, for everybody, and says when there is nobody to ask; nobody is started for it."""
    path = bus.folder / "metrics.prom"
    path.write_text("old")
    old = path.stat().st_ino
    r = bus.run("metrics", "-o", str(path))
    text = path.read_text()
    expect(r.returncode == 0 and not r.stdout and not r.stderr, r)
    expect("\nsafe_remove_up 1\n" in text and 'safe_remove_slot_removable{slot="2"} 1' in text, text)
    expect(path.stat().st_ino != old and path.stat().st_mode & 0o777 == 0o644, "not in the place of the old one, or not for everybody")
    expect([p.name for p in bus.folder.glob("metrics.prom*")] == ["metrics.prom"], "something is left over")
    missing = bus.run("metrics", "-o", str(bus.folder / "nowhere/metrics.prom"))
    expect(missing.returncode == 1 and "No such file" in missing.stderr, missing)

    bus.kill_daemon()
    gone = bus.run("metrics", "--output", str(path))
    expect(gone.returncode == 69 and "systemctl status safe-removed" in gone.stderr, gone)
    text = path.read_text()
    expect("\nsafe_remove_up 0\n" in text and "slot" not in text, text)
    no_bus = bus.run("metrics", DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent")
    expect(no_bus.returncode == 69 and no_bus.stdout == text, no_bus)
    bus.start_daemon()


def test_altered_certificate(bus):
    bus.run("remove", "2")
    newest = json.loads(bus.run("certificate", "--json").stdout)["removal"]
    path = bus.state / "removals" / newest / "certificate.json"
    text = path.read_text()
    expect(bus.run("certificate", newest, "--json").stdout == text, "not the text as it is")
    path.write_text(text.replace('"safe"', '"Safe"'))
    (bus.state / "altered").touch()
    r = bus.run("certificate", newest)
    expect(r.returncode == 11 and "not as it was written" in r.stderr, f"exit {r.returncode}: {r.stderr}")
    r = bus.run("certificate", newest, "--verify")
    expect(r.returncode == 11 and "NOT VERIFIED: 3 certificates, number 2 to 4" in r.stdout, f"exit {r.returncode}: {r.stdout}")
    expect("removal 5: the certificate is not as it was written\nthe chain: certificates 2 to 2 are missing" in r.stdout, r.stdout)
    r = bus.run("certificate", "--verify", "--json")
    expect(r.returncode == 11 and not json.loads(r.stdout)["verified"], f"exit {r.returncode}: {r.stdout}")


def test_daemon_comes_back(bus):
    waiter = subprocess.Popen([bus.cli, "remove", "7"], env=bus.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_running(bus, "7")
    bus.kill_daemon()
    bus.start_daemon()
    out, err = waiter.communicate(timeout=60)
    expect(waiter.returncode == 0, f"exit {waiter.returncode}: {out}{err}")
    expect("the daemon is gone" in out and "the daemon is back" in out, out)
    expect("slot 7: safe to pull" in out, out)


def test_unknown_slots(bus):
    """A record that is none: nobody knows of any slot whether all is well, and no script may take it for that."""
    expect(bus.run("list").returncode == 0, "list of known slots")
    bus.kill_daemon()
    record = bus.state / "removals/900000"
    record.mkdir()
    os.mkfifo(record / "journal")
    bus.start_daemon(records_known=False)
    listed = bus.run("list")
    expect(listed.returncode == 1 and "unknown" in listed.stdout and "cannot be read" in listed.stderr, f"{listed.returncode}: {listed.stderr}")
    as_json = bus.run("list", "--json")
    expect(as_json.returncode == 1 and {slot["state"] for slot in json.loads(as_json.stdout)["slots"]} == {"unknown"}, as_json)
    (record / "journal").unlink()
    record.rmdir()


def test_no_daemon(bus):
    bus.kill_daemon()
    gone = bus.run("list")
    expect(gone.returncode == 69 and "systemctl status safe-removed" in gone.stderr, f"{gone.returncode}: {gone.stderr}")
    expect(bus.run("monitor").returncode == 69, "monitor of nothing")
    as_json = bus.run("plan", "2", "--json")
    error = json.loads(as_json.stdout)
    expect(error["schema"] == "safe-remove/error/1" and error["exit"] == 69 and not as_json.stderr, as_json)
    no_bus = bus.run("list", DBUS_SESSION_BUS_ADDRESS="unix:path=/nonexistent")
    expect(no_bus.returncode == 69, f"no bus: {no_bus.returncode}")


def main():
    bus = Bus(*sys.argv[1:4])
    try:
        bus.start_daemon()
        for test in (test_nothing_of_that_name, test_name_without_a_plan, test_asks_whoever_forces, test_logs_in_once, test_live_view, test_asks_for_the_serial_number, test_detach_and_cancel, test_confirmation, test_no_wait, test_monitor, test_completion, test_completion_of_fish, test_completion_of_zsh,
                     test_metrics, test_replace, test_altered_certificate, test_daemon_comes_back, test_unknown_slots, test_no_daemon):
            print(test.__name__, flush=True)
            test(bus)
    except BaseException:
        print(bus.log(), file=sys.stderr)
        raise
    finally:
        bus.close()


main()
