# SPDX-License-Identifier: LGPL-2.1-or-later
"""This machine's Debian: its release, its mirrors, and what apt was told about reaching them."""

import re
import subprocess
import tempfile

from .cache import as_root
from .errors import LabError
from .paths import TOP_DIR

# Debian 12's own kernel, 6.1, has no volatile CXL regions.
RELEASES_WITH_BACKPORTS_KERNEL = ("bookworm",)

# The newer of the two guests is this release with the kernel of its backports. What is built on one of these runs there.
NEWER_RELEASE = "trixie"
RUNS_ON_NEWER = ("bookworm", "trixie")


def codename():
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    raise LabError("the lab needs a Debian release as its host (no VERSION_CODENAME in /etc/os-release)")


def guest_release(newer=False):
    """The release of a guest: the host's own, or the one that has the newer kernel."""
    own = codename()
    return NEWER_RELEASE if newer and own in RUNS_ON_NEWER else own


def kernel_package(release, newer=False):
    """The kernel for the guest, as apt-get install wants it."""
    if kernel_from_backports(release, newer):
        return f"linux-image-amd64/{release}-backports"
    return "linux-image-amd64"


def kernel_from_backports(release, newer=False):
    return release in RELEASES_WITH_BACKPORTS_KERNEL or (newer and release == NEWER_RELEASE)


def sources(release, backports=False):
    """apt source lines for a release, from the mirrors that this machine's apt uses."""
    command = [TOP_DIR / "tools" / "debian-sources", *(["--backports"] if backports else []), release]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise LabError(found.stderr.strip())
    return found.stdout


def acquire_options():
    """How apt on this machine is told to fetch (proxy, snapshot mirrors), for an apt that does not read its files."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r"^Acquire::(http|https|ftp|Retries|Check-|ForceIPv)[^ ]* \"[^\"]+\";$")
    return [line for line in dump.splitlines() if wanted.match(line)]


def bootstrap(release, folder, packages, source_lines, log, variant="minbase", options=()):
    """Unpack packages with all that they depend on into a folder; the variant says what else comes along, and whether they are set
    up there (minbase) or only unpacked (extract)."""
    command = ["mmdebstrap", f"--variant={variant}", "--format=directory", f"--include={','.join(packages)}"]
    command += [f"--aptopt={option}" for option in acquire_options()]
    command += ["--aptopt=APT::Install-Recommends false", *options]
    with tempfile.NamedTemporaryFile("w", suffix=".list") as file:
        file.write(source_lines)
        file.flush()
        # A kernel package would build a general initrd, for a minute, that nobody boots from.
        as_root(["env", "INITRD=No", *command, release, str(folder), file.name], stdout=log, stderr=log)
