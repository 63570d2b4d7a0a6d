# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian package, as a newcomer and an administrator handle it: installed, upgraded and removed while a removal is under way, purged.
tests/package builds it; $PACKAGES is its folder, or with the name of the guest's release behind it the folder of that release's ("out/package" is
out/package-trixie on Debian 13). Without it there is nothing to show."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from harness import removal, stage
from harness.paths import TOP_DIR
from harness.scenario import scenario, skip

PACKAGE = "safe-remove"
LEFT = "/var/lib/safe-remove /etc/safe-remove /run/safe-remove /usr/lib/safe-remove /usr/libexec/safe-remove /usr/bin/safe-remove"


# What the README's commands have to say, each in its turn.
SAYS = {"apt install": "Setting up safe-remove", "systemctl status": "active (running)", "safe-remove": "safe-remove plan", "man safe-remove": "NAME", "safe-remove plan": "can be removed"}


def built(lab):
    folder = os.environ.get("PACKAGES", "/nowhere")
    release = lab.sh(". /etc/os-release; echo $VERSION_CODENAME")
    found = sorted(Path(f"{folder}-{release}" if Path(f"{folder}-{release}").is_dir() else folder).glob(f"{PACKAGE}_*.deb"))
    return found[0] if found else skip("no packages are built: tests/package FOLDER, and PACKAGES=FOLDER")


def readme_commands():
    """Those of the first listing of the README's "Install"; what stands behind two blanks is said of them."""
    listing = re.search(r"^## Install$.*?^```$(.*?)^```$", (TOP_DIR / "README.md").read_text(), re.M | re.S)
    return [re.split(r" {2,}", line)[0] for line in listing[1].strip().splitlines()]


def newcomer(lab, package):
    """Who follows the README, from the folder in which the package was built. The lab's guest has no manuals of others, and his machine has."""
    pushed = stage.push(lab.guest, package)
    lab.sh(f"rm -f /etc/dpkg/dpkg.cfg.d/*; mkdir -p /root/tree/out/package; cp {pushed} /root/tree/out/package")
    commands = readme_commands()
    lab.equal(len(commands), 5, "the README's commands")
    for command, (begins, says) in zip(commands, SAYS.items(), strict=True):
        lab.check(command.startswith(begins), f"the README's command should be '{begins}': {command}")
        said = lab.sh(f"cd /root/tree && {command} < /dev/null 2>&1", 300)
        lab.check(says in said, f"'{command}' should say '{says}': {said}")


def newer(lab, package):
    """The same with a higher version; its path in the guest."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "--raw-extract", package, f"{folder}/root"], check=True)
        control = Path(folder, "root/DEBIAN/control")
        control.write_text("".join(f"Version: {line.split()[1]}+newer\n" if line.startswith("Version:") else line
                                   for line in control.read_text().splitlines(keepends=True)))
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", f"{folder}/root", f"{folder}/newer.deb"], check=True, stdout=subprocess.DEVNULL)
        return stage.push(lab.guest, Path(folder, "newer.deb"))


def in_the_middle(lab, then):
    """A removal of slot 2 stands still with its memory offline, and `then` happens. Its number, and what that printed."""
    go = removal.drill(lab, "disable-region")
    number = removal.last_id(lab) + 1
    lab.slot(2).press()
    said = removal.wait_for_record(lab, number, '"ev":"do","n":4', 120, then=then.replace("GO", go).replace("BACK", removal.when_back(number)))
    return number, said


@scenario("package", daemon=False, own_guest=True, timeout=900)
def package(lab):
    """The README's commands do what they say, and what they install runs by itself; an upgrade goes on with what is under way, and a removal of the package puts it back; a purge leaves nothing."""
    first = built(lab)
    ram = lab.ram(2)
    newcomer(lab, first)
    said = lab.sh("""systemctl is-active safe-removed.service safe-remove-guard.service; systemctl is-enabled safe-removed.service safe-remove-guard.service
        stat -c '%U %G %a' /var/lib/safe-remove /run/safe-remove; ps -o user:20= -p $(systemctl show -P MainPID safe-removed.service)""").split("\n")
    lab.equal(said, ["active", "active", "enabled", "enabled", "root root 700", "root safe-remove 751", "safe-remove"], "what was installed")
    lab.check("ready" in lab.sh("setpriv --reuid=nobody --regid=nogroup --clear-groups safe-remove list"), "everybody should see the slots")

    upgrade = newer(lab, first)
    number, said = in_the_middle(lab, f"dpkg --install {upgrade} && GO")
    lab.equal(removal.wait_for_end(lab, number, 150)["outcome"], "safe", f"the ending, after an upgrade in the middle: {said}")
    removal.check_safe(lab, 2, ram)
    lab.check(lab.sh(f"journalctl -q -o cat SAFE_REMOVE_REMOVAL={number} MESSAGE_ID=c95dd9af16904ea9bef9ad424c06aed5"), "it should have been continued")
    lab.equal(lab.sh("systemctl is-active safe-removed.service safe-remove-guard.service").split(), ["active"] * 2, "the services")

    lab.slot(2).pull()
    lab.slot(2).insert()
    lab.wait_for(lambda: "ready" in lab.sh("safe-remove list | grep '^2 '"), 60, "the card")
    lab.ram(2)
    before = removal.Picture.take(lab)
    number, said = in_the_middle(lab, f"{{ BACK && GO; }} & dpkg --remove {PACKAGE}; wait")
    lab.check("put back" in said, f"who removes the package should be told: {said}")
    removal.check_untouched(lab, 2, before)
    lab.check(lab.sh(f"grep restored /var/lib/safe-remove/removals/{number}/journal"), "the record should say so")

    lab.sh(f"dpkg --purge {PACKAGE}")
    lab.equal(lab.sh(f"ls -d {LEFT} 2> /dev/null || true"), "", "what a purge leaves")
    lab.equal(lab.sh("systemctl list-units --all --plain --no-legend 'safe-remove*'"), "", "its units")
    lab.sh("mkdir -p /etc/safe-remove/conf.d")  # for what the drills put back
