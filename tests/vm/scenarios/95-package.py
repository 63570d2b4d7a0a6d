# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages, as a newcomer and an administrator handle them: the command's alone, then all, upgraded and removed while a removal is under way,
purged. tests/package builds them; $PACKAGES is their folder, or with the name of the guest's release behind it the folder of that release's ("out/package"
is out/package-trixie on Debian 13). Without it there is nothing to show."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import removal, stage
from harness.paths import TOP_DIR
from harness.scenario import scenario, skip

DAEMON, TOOLS = "safe-remove", "safe-remove-tools"
LEFT = "/var/lib/safe-remove /etc/safe-remove /run/safe-remove /usr/lib/safe-remove /usr/libexec/safe-remove /usr/bin/safe-remove"
BEFORE_TOOLS = "0.1.0"  # the last version in which one package had it all
AS_NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"


# What the README's commands have to say, each in its turn.
SAYS = {"apt install": "Setting up safe-remove (", "systemctl status": "active (running)", "safe-remove": "safe-remove plan", "man safe-remove": "NAME", "safe-remove plan": "can be removed"}


def built(lab):
    folder = os.environ.get("PACKAGES", "/nowhere")
    release = lab.sh(". /etc/os-release; echo $VERSION_CODENAME")
    folder = Path(f"{folder}-{release}" if Path(f"{folder}-{release}").is_dir() else folder)
    found = [next(iter(sorted(folder.glob(f"{name}_*.deb"))), None) for name in (DAEMON, TOOLS)]
    return found if all(found) else skip("no packages are built: tests/package FOLDER, and PACKAGES=FOLDER")


def readme_commands():
    """Those of the first listing of the README's "Install"; what stands behind two blanks is said of them."""
    listing = re.search(r"^## Install$.*?^```$(.*?)^```$", (TOP_DIR / "README.md").read_text(), re.M | re.S)
    return [re.split(r" {2,}", line)[0] for line in listing[1].strip().splitlines()]


def command_alone(lab, tools):
    """Only the command is there, and an ordinary user: he looks at a recorded machine and at the settings, and is told what is missing for more."""
    lab.sh(f"dpkg --install {stage.push(lab.guest, tools)}; install -m 0644 {stage.push(lab.guest, TOP_DIR / 'tests/roots/ram2.root')} /tmp/ram2.root")
    said = lab.sh(f"cd /tmp && {AS_NOBODY} safe-remove simulate ram2.root plan 2 2>&1")
    lab.check("slot 2: can be removed" in said, f"a plan without a daemon: {said}")
    said = lab.sh("safe-remove cat-config")
    lab.check("/usr/lib/safe-remove/policy.d/10-system.conf" in said, f"what the program comes with: {said}")
    for who in ("", AS_NOBODY):
        said = lab.sh(f"{who} safe-remove 2>&1; echo $?")
        lab.check("the daemon is not installed on this machine" in said and "install the package safe-remove;" in said and said.endswith("69"), f"what is missing: {said}")
    lab.sh(f"dpkg --purge {TOOLS}")


def newcomer(lab, packages):
    """Who follows the README, from the folder in which the packages were built. The lab's guest has no manuals of others, and his machine has."""
    pushed = " ".join(stage.push(lab.guest, package) for package in packages)
    lab.sh(f"rm -f /etc/dpkg/dpkg.cfg.d/*; mkdir -p /root/tree/out/package; cp {pushed} /root/tree/out/package")
    commands = readme_commands()
    lab.equal(len(commands), 5, "the README's commands")
    for command, (begins, says) in zip(commands, SAYS.items(), strict=True):
        lab.check(command.startswith(begins), f"the README's command should be '{begins}': {command}")
        said = lab.sh(f"cd /root/tree && {command} < /dev/null 2>&1", 300)
        lab.check(says in said, f"'{command}' should say '{says}': {said}")


def made_of(lab, packages, name, change):
    """A package of all that these have, with the scripts of the first and its control file as `change` has it; its path in the guest."""
    with tempfile.TemporaryDirectory() as folder:
        root, more = Path(folder, "root"), Path(folder, "more")
        subprocess.run(["dpkg-deb", "--raw-extract", packages[0], root], check=True)
        for package in packages[1:]:
            subprocess.run(["dpkg-deb", "--raw-extract", package, more], check=True)
            shutil.copytree(more, root, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("DEBIAN", TOOLS))
        control = root / "DEBIAN/control"
        control.write_text(change(control.read_text()))
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, f"{folder}/{name}.deb"], check=True, stdout=subprocess.DEVNULL)
        return stage.push(lab.guest, Path(folder, f"{name}.deb"))


def older(lab, packages):
    """One package, as it was before the command had its own."""
    return made_of(lab, packages, "older", lambda text: re.sub(r"^Version: .*", f"Version: {BEFORE_TOOLS}", re.sub(rf" {TOOLS} \([^)]*\),", "", text), flags=re.M))


def newer(lab, packages):
    """The same with a higher version; their paths in the guest."""
    def change(text):
        return re.sub(rf"^(Version: \S+|.* {TOOLS} \(= [^)]*)", r"\1+newer", text, flags=re.M)
    return " ".join(made_of(lab, [package], f"newer{i}", change) for i, package in enumerate(packages))


def in_the_middle(lab, then):
    """A removal of slot 2 stands still with its memory offline, and `then` happens. Its number, and what that printed."""
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    said = removal.wait_for_record(lab, number, '"ev":"do","n":4', 120, then=then.replace("GO", go).replace("BACK", removal.when_back(number)))
    return number, said


def upgraded(lab, ram, how):
    """A removal goes on, and to its end, with the programs of the packages that are installed in the middle of it; then the card is there again."""
    number, said = in_the_middle(lab, f"{how} && GO")
    lab.equal(removal.wait_for_end(lab, number, 150)["outcome"], "safe", f"the ending, after an upgrade in the middle: {said}")
    removal.check_safe(lab, 2, ram)
    lab.check(lab.sh(f"journalctl -q -o cat SAFE_REMOVE_REMOVAL={number} MESSAGE_ID=c95dd9af16904ea9bef9ad424c06aed5"), "it should have been continued")
    lab.equal(lab.sh("systemctl is-active safe-removed.service safe-remove-guard.service").split(), ["active"] * 2, "the services")
    lab.slot(2).pull()
    lab.slot(2).insert()
    lab.wait_for(lambda: "ready" in lab.sh("safe-remove list | grep '^2 '"), 60, "the card")
    return lab.ram(2)


def all_gone(lab):
    """The daemon's package leaves the command behind, which says what is missing; that one leaves nothing."""
    lab.sh(f"dpkg --purge {DAEMON}")
    lab.equal(lab.sh("ls -d /var/lib/safe-remove /etc/safe-remove /run/safe-remove 2> /dev/null || true"), "", "what a purge of the daemon leaves")
    lab.check("is not installed" in lab.sh("safe-remove 2>&1 || true"), "the command should say what is missing")
    lab.sh(f"dpkg --purge {TOOLS}")
    lab.equal(lab.sh(f"ls -d {LEFT} 2> /dev/null || true"), "", "what a purge leaves")
    lab.equal(lab.sh("systemctl list-units --all --plain --no-legend 'safe-remove*'"), "", "its units")


@scenario("package", daemon=False, own_guest=True, timeout=1500)
def package(lab):
    """The command's package is of use alone; the README's commands do what they say, and what they install runs by itself; an upgrade goes on with what is under way, from the days of one package too, and a removal of the package puts it back; a purge leaves nothing."""
    packages = built(lab)
    ram = lab.ram(2)
    command_alone(lab, packages[1])
    newcomer(lab, packages)
    said = lab.sh("""systemctl is-active safe-removed.service safe-remove-guard.service; systemctl is-enabled safe-removed.service safe-remove-guard.service
        stat -c '%U %G %a' /var/lib/safe-remove /run/safe-remove; ps -o user:20= -p $(systemctl show -P MainPID safe-removed.service)""").split("\n")
    lab.equal(said, ["active", "active", "enabled", "enabled", "root root 700", "root safe-remove 751", "safe-remove"], "what was installed")
    lab.check("ready" in lab.sh(f"{AS_NOBODY} safe-remove list"), "everybody should see the slots")
    ram = upgraded(lab, ram, f"dpkg --install {newer(lab, packages)}")

    lab.sh(f"dpkg --purge {DAEMON} {TOOLS} && mkdir -p /etc/safe-remove/conf.d && dpkg --install {older(lab, packages)}", 300)
    ram = upgraded(lab, ram, "apt-get install --yes --quiet /root/tree/out/package/*.deb < /dev/null")
    lab.equal(lab.sh("ls /usr/libexec/safe-remove/safe-remove-worker /usr/bin/safe-remove > /dev/null && dpkg --search /usr/libexec/safe-remove/safe-remove-worker /usr/bin/safe-remove"),
              f"{TOOLS}: /usr/libexec/safe-remove/safe-remove-worker\n{TOOLS}: /usr/bin/safe-remove", "whose the files are after the move")

    before = removal.Picture.take(lab)
    number, said = in_the_middle(lab, f"{{ BACK && GO; }} & dpkg --remove {DAEMON}; wait")
    lab.check("put back" in said, f"who removes the package should be told: {said}")
    removal.check_untouched(lab, 2, before)
    lab.check(lab.sh(f"grep restored /var/lib/safe-remove/removals/{number}/journal"), "the record should say so")

    all_gone(lab)
    lab.sh("mkdir -p /etc/safe-remove/conf.d")  # for what the drills put back
