# SPDX-License-Identifier: LGPL-2.1-or-later
"""This machine's Debian: its release, its mirrors, and what apt was told about reaching them."""

import re
import subprocess

from .errors import LabError
from .paths import TOP_DIR

# Debian 12's own kernel, 6.1, has no volatile CXL regions.
RELEASES_WITH_BACKPORTS_KERNEL = ("bookworm",)


def codename():
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    raise LabError("the lab needs a Debian release as its host (no VERSION_CODENAME in /etc/os-release)")


def kernel_package(release):
    """The kernel for the guest, as apt-get install wants it."""
    if release in RELEASES_WITH_BACKPORTS_KERNEL:
        return f"linux-image-amd64/{release}-backports"
    return "linux-image-amd64"


def sources(release):
    """apt source lines for a guest of the host's own release."""
    command = [TOP_DIR / "tools" / "debian-sources"]
    if release in RELEASES_WITH_BACKPORTS_KERNEL:
        command.append("--backports")
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise LabError(found.stderr.strip())
    return found.stdout


def acquire_options():
    """How apt on this machine is told to fetch (proxy, snapshot mirrors), for an apt that does not read its files."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r"^Acquire::(http|https|ftp|Retries|Check-|ForceIPv)[^ ]* \"[^\"]+\";$")
    return [line for line in dump.splitlines() if wanted.match(line)]
