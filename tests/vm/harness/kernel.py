# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernels that guests boot: Debian's own, by suite, each with its modules on a disk of its own, so that any of them boots on any root file system."""

import shutil
import subprocess
from pathlib import Path

from . import cache, debian, initrd
from .errors import LabError
from .paths import VM_DIR

RECIPE = VM_DIR / "image"
PACKAGE = "linux-image-amd64"
SUITES = ("bookworm", "trixie", "trixie-backports", "sid")
NEWEST = "trixie-backports"  # of those that a release has
DISK_SIZE = "1G"
KEEP = 8

# What apt says of a suite or a package that the mirror does not have; everything else that goes wrong is a failure.
NOT_THERE = ("does not have a Release file", "no longer has a Release file", "Unable to locate package", "has no installation candidate",
             "is invalid for APT::Default-Release")


class NotAvailable(LabError):
    """The mirror has no such suite, or no kernel in it."""


class Kernel:
    """A kernel that was fetched: itself, an initial RAM disk, and the disk with its modules."""

    def __init__(self, folder):
        self.folder = folder
        self.image = folder / "vmlinuz"
        self.initrd = folder / "initrd"
        self.modules = folder / "modules.img"

    @property
    def release(self):
        """What uname -r says."""
        return (self.folder / "release").read_text(encoding="utf-8").strip()


def _fetch(suite, root, log):
    release = suite.removesuffix("-backports")
    try:
        debian.bootstrap(release, root, [PACKAGE, "busybox-static"], debian.sources_of(suite), log, variant="extract",
                         options=[f'--aptopt=APT::Default-Release "{suite}"'])
    except subprocess.CalledProcessError:
        said = [line for line in Path(log.name).read_text(encoding="utf-8", errors="replace").splitlines() if any(word in line for word in NOT_THERE)]
        if said:
            raise NotAvailable(f"the kernel of {suite} is not available: {said[0].strip()}") from None
        raise


def _first(*places):
    """The one that there is."""
    found = [place for place in places if place.exists()]
    if not found:
        raise LabError(f"a kernel's package has none of {', '.join(map(str, places))}")
    return found[0]


def _build(suite, folder, log):
    cache.need("mmdebstrap", "mkfs.ext4", "depmod")
    root = folder / "root"
    _fetch(suite, root, log)
    # Where /lib is no link to usr/lib, since nothing was set up, a package may have put them there.
    modules = _first(root / "usr/lib/modules", root / "lib/modules")
    release = sorted(modules.iterdir())[-1].name
    base = folder / "base"
    (base / "lib").mkdir(parents=True)
    cache.as_root(["mv", str(modules), str(base / "lib/modules")])
    cache.as_root(["depmod", "-b", str(base), release], stdout=log, stderr=log)
    modules = base / "lib/modules"
    # Packages of unstable have it beside the modules, and copy it when they are set up.
    shutil.copyfile(_first(root / "boot" / f"vmlinuz-{release}", modules / release / "vmlinuz"), folder / "vmlinuz")
    (folder / "initrd").write_bytes(initrd.build(modules / release, _first(root / "usr/bin/busybox", root / "bin/busybox"), RECIPE / "init", RECIPE / "initrd-modules"))
    cache.as_root(["mkfs.ext4", "-q", "-O", "^has_journal", "-d", str(modules), str(folder / "modules.img"), DISK_SIZE], stdout=log, stderr=log)
    cache.as_root(["chmod", "0644", str(folder / "modules.img")])
    cache.as_root(["rm", "-rf", "--one-file-system", str(root), str(base)])
    (folder / "release").write_text(f"{release}\n", encoding="utf-8")


def get(suite, say=lambda text: None):
    """The kernel of a suite, fetched first when there is none yet. Raises NotAvailable."""
    files = [Path(module.__file__) for module in (initrd, debian)]
    digest = cache.digest(suite, [*files, Path(__file__), RECIPE / "init", RECIPE / "initrd-modules"])
    return Kernel(cache.get("kernels", f"{suite}-{digest}", f"the kernel of Debian's {suite}, some twenty seconds",
                            lambda folder, log: _build(suite, folder, log), KEEP, say))


def known_release(suite):
    """The release of a suite's kernel, if it has been fetched."""
    try:
        return get(suite).release
    except LabError:
        return None
