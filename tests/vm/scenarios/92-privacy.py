# SPDX-License-Identifier: LGPL-2.1-or-later
"""What one unprivileged user is shown of another one's: what /proc shows him, and nothing of a closed folder, an argument or an address."""

import re

from harness import removal
from harness.scenario import scenario

FIRST, SECOND = "games", "nobody"
# All that nobody else may see has this in its name.
SECRET = "topsecret"
CLOSET = f"/mnt/card/{SECRET}-closet"
PLACE = f"/mnt/{SECRET}-home/place"

MANAGER = "org.saferemove1 /org/saferemove1 org.saferemove1.Manager"
ASKED = {
    "plan": "safe-remove plan 3", "plan --json": "safe-remove plan 3 --json", "explain": "safe-remove explain 3",
    "explain --json": "safe-remove explain 3 --json", "history": "safe-remove history --json", "list": "safe-remove list --json",
    "status": "safe-remove status 3 --json", "verify": "safe-remove verify 3 --json", "certificate": "safe-remove certificate --json",
    "PlanRemoval": f"busctl call {MANAGER} PlanRemoval 'sa{{sv}}' 3 0", "GetHistory": f"busctl call {MANAGER} GetHistory u 0",
    "GetTopology": f"busctl call {MANAGER} GetTopology", "Verify": f"busctl call {MANAGER} Verify s 3",
    "GetCertificate": f"busctl call {MANAGER} GetCertificate s ''", "VerifyCertificates": f"busctl call {MANAGER} VerifyCertificates",
    "objects": "busctl call org.saferemove1 /org/saferemove1 org.freedesktop.DBus.ObjectManager GetManagedObjects",
}
RANGE = re.compile(r"0x[0-9a-f]+-0x[0-9a-f]+")


def whole(text):
    """What busctl prints has octal escapes for what is no ASCII."""
    return text.replace("\\\"", "\"")


def ask(lab, user, what):
    _, out, err = lab.run(f"setpriv --reuid={user} --regid=nogroup --clear-groups sh -c {quoted(ASKED[what])}", check=False, timeout=120)
    return whole(out + err)


def quoted(command):
    return "\"" + command.replace("\"", "\\\"") + "\""


def check_shown_nothing(lab, what, text, addresses):
    found = [line for line in text.splitlines() if SECRET in line]
    lab.equal(found, [], f"what {what} shows {SECOND} of {FIRST}'s")
    for address in addresses:
        lab.check(address not in text, f"{what} should not show the address {address}")
    lab.equal(RANGE.findall(text), [], f"the addresses that {what} shows")


def first_user(lab):
    """Has a closed folder with a file that is mapped, another that is a disk, and a program of its own, and the card at a place of his own as well.
    Returns the processes."""
    lab.sh(f"install -d -m 0700 -o {FIRST} {CLOSET} && truncate -s 1M {CLOSET}/{SECRET}-file && truncate -s 16M {CLOSET}/{SECRET}-image && "
           f"install -m 0755 {lab.program('holder')} {CLOSET}/program && chown {FIRST} {CLOSET}/*")
    lab.sh(f"losetup /dev/loop0 {CLOSET}/{SECRET}-image && mkfs.ext4 -q /dev/loop0 && mkdir {CLOSET}/{SECRET}-mount && "
           f"mount /dev/loop0 {CLOSET}/{SECRET}-mount")
    lab.sh(f"install -d -m 0700 -o {FIRST} {PLACE.rsplit('/', 1)[0]} && mkdir {PLACE} && mount --bind /mnt/card {PLACE}")
    lab.cleanup(lambda: lab.run(f"umount {PLACE}; rm -rf {PLACE.rsplit('/', 1)[0]}", check=False))
    user = (f"User={FIRST}",)
    program = lab.spawn("program", f"cd {CLOSET} && exec ./program --cwd {CLOSET}", user)
    program.wait_for_output("ready")
    return [lab.holder("--map=shared", f"{CLOSET}/{SECRET}-file", name="mapper", properties=user),
            lab.holder("--socket", f"{CLOSET}/{SECRET}-socket", name="socket", properties=user), program]


def addresses_of(lab, process):
    """Where its mappings of the card are."""
    found = lab.sh(f"grep {SECRET} /proc/{process.pid}/maps").split()[0]
    return [word.lstrip("0") for word in found.split("-")]


@scenario("privacy", profile="mixed", timeout=400, turn=True)
def privacy(lab):
    lab.filesystem(lab.pmem(3).namespace().device, "ext4")
    mapper, *others = first_user(lab)
    addresses = addresses_of(lab, mapper)
    listener = lab.spawn("listener", "exec safe-remove monitor --json", (f"User={SECOND}",))
    bus = lab.spawn("bus", "exec dbus-monitor --system \"type='signal'\"", (f"User={SECOND}",))
    for what in ASKED:
        check_shown_nothing(lab, what, ask(lab, SECOND, what), addresses)
    for what in ("plan --json", "explain --json", "PlanRemoval"):
        lab.check(f'"pid":{mapper.pid}' in ask(lab, SECOND, what).replace(" ", ""), f"{what} should name the process, as /proc does")
    own = ask(lab, FIRST, "plan --json")
    lab.check(f"{CLOSET}/{SECRET}-file" in own, f"{FIRST} should be shown his own: {own[:2000]}")
    root = lab.cli("plan", "3", "--json", check=False)[1]
    for process in (mapper, *others):
        lab.check(f'"pid":{process.pid},' in root.replace(" ", ""), f"root should be shown process {process.pid}")
    lab.check(f"{SECRET}-file" in root and not any(address in root for address in addresses), f"root should be shown the paths, and no address: {root[:2000]}")

    number = removal.last_id(lab) + 1
    lab.cli("remove", PLACE, timeout=180)
    removal.check_safe(lab, 3)
    removal.certificate(lab, number)
    for what in ("history", "certificate", "status", "verify", "GetHistory", "GetCertificate", "objects"):
        check_shown_nothing(lab, what, ask(lab, SECOND, what), addresses)
    lab.check(PLACE in lab.cli("history", "--json")[1], "the removal should have been asked for by a place that nobody else may know")
    for what, words in (("certificate", "safe-remove/certificate/1"), ("GetCertificate", "safe-remove/certificate/1"), ("GetHistory", '"outcome":"safe"')):
        lab.check(words in ask(lab, SECOND, what).replace(" ", ""), f"{what} should have {words}")
    lab.wait_for(lambda: "safe" in listener.output(), 30, "the events")
    check_shown_nothing(lab, "monitor", listener.output(), addresses)
    check_shown_nothing(lab, "the bus", bus.output(), addresses)
    lab.check(f"{SECRET}-file" in lab.sh(f"cat {removal.STATE_DIR}/removals/{number}/*"), "the record should have it all")
