# SPDX-License-Identifier: LGPL-2.1-or-later
"""A rule about a program is about its file, not about a name that somebody runs a file by."""

from harness import removal, storage
from harness.scenario import scenario

LEDGER, OTHER = "/usr/local/bin/ledger", "/usr/local/bin/other"


def run(lab, disk, name, path, *properties):
    """A service that uses a file of the card."""
    running = lab.spawn(name, [path, "--map=shared", "--close", f"{disk.target}/{name}"], properties)
    running.wait_for_output("ready")
    return running


def spared(lab):
    """The processes that a rule keeps from being disturbed."""
    return {int(word) for each in storage.plan(lab, "3")["blockers"] if each["code"] == "HOLDER_REFUSES"
            for word in (each["what"] + " " + each["evidence"]).replace("(", " ").split() if word.isdigit()}


def check_spared(lab, names, *services):
    """By their numbers: these and nobody else."""
    found = spared(lab)
    lab.equal({name for name, running in names.items() if running.pid in found}, set(services), "who is spared")


@scenario("policy-program", profile="mixed", timeout=240, turn=True)
def program(lab):
    """The file is bound to another name, another file to its name, and it is upgraded while it runs: also of a service with mounts of its own."""
    disk = lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    lab.cleanup(lambda: lab.sh(f"rm -f {LEDGER} {OTHER} {LEDGER}.new"))
    lab.sh(f"install -m 0755 {lab.program('holder')} {LEDGER} && install -m 0755 {lab.program('holder')} {OTHER}")
    storage.rules(lab, ({"Exe": LEDGER}, {"Action": "refuse", "Reason": "ask the bookkeepers"}))
    services = {
        "plain": run(lab, disk, "plain", LEDGER),
        "apart": run(lab, disk, "apart", LEDGER, "PrivateTmp=yes"),
        "renamed": run(lab, disk, "renamed", OTHER, f"BindReadOnlyPaths={LEDGER}:{OTHER}"),
        "disguised": run(lab, disk, "disguised", LEDGER, f"BindReadOnlyPaths={OTHER}:{LEDGER}"),
        "other": run(lab, disk, "other", OTHER),
    }
    check_spared(lab, services, "plain", "apart", "renamed")
    lab.equal(lab.cli("remove", "3", check=False)[0], removal.BLOCKED, "the exit status")

    lab.sh(f"install -m 0755 {lab.program('holder')} {LEDGER}.new && mv {LEDGER}.new {LEDGER}")
    services["new"] = run(lab, disk, "new", LEDGER)
    check_spared(lab, services, "plain", "apart", "new")
    for name in ("plain", "apart", "new"):
        services[name].stop()
    storage.take_out(lab, 3)
    for name in ("renamed", "disguised", "other"):
        lab.check(not services[name].running(), f"{name} is not the bookkeepers' and should have been ended")
