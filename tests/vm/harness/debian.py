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

# Guests with another kernel than the host's own ones are this release, on a host that is one of these: what is built there runs here.
NEWER_RELEASE = "trixie"
RUNS_ON_NEWER = ("bookworm", "trixie")

ROLLING = ("sid",)  # suites that have no updates, security and backports beside them


def codename():
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    raise LabError("the lab needs a Debian release as its host (no VERSION_CODENAME in /etc/os-release)")


def guest_release(kernel=""):
    """The release of a guest: the host's own, or the newer one when the kernel of a suite is asked for."""
    own = codename()
    return NEWER_RELEASE if kernel and own in RUNS_ON_NEWER else own


def kernel_suite(release):
    """The suite of the kernel that guests of this release have unless another one is asked for."""
    return f"{release}-backports" if release in RELEASES_WITH_BACKPORTS_KERNEL else release


def sources_of(suite):
    """apt source lines for a suite, be it a release, its backports, or one that never ends."""
    lines = sources(suite.removesuffix("-backports"), suite.endswith("-backports")).splitlines(keepends=True)
    return "".join(line for line in lines if suite not in ROLLING or f" {suite} " in line)


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
