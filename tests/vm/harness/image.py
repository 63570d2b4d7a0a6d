# SPDX-License-Identifier: LGPL-2.1-or-later
"""What guests boot from: a minimal Debian without a kernel, and a kernel beside it (harness/kernel.py)."""

import subprocess
from pathlib import Path

from . import cache, debian, kernel
from .initrd import listed
from .paths import VM_DIR

RECIPE = VM_DIR / "image"
IMAGE_SIZE = "2G"
KEEP = 6

# Translations and manuals only cost time here; PostgreSQL's just-in-time compiler costs 130 MB.
DPKG_OPTIONS = ["path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/doc/*",
                "path-exclude=/usr/share/info/*", "path-exclude=/usr/lib/*/libLLVM*", "path-exclude=/usr/lib/llvm-*",
                "path-exclude=/usr/lib/postgresql/*/lib/llvmjit*", "path-exclude=/usr/lib/postgresql/*/lib/bitcode/*",
                "force-unsafe-io"]


class Image:
    """A finished image: root file system and kernel."""

    def __init__(self, folder, its_kernel):
        self.folder = folder
        self.root = folder / "root.img"
        self.kernel = its_kernel


def _finish_root(root):
    """What makes it the lab's: our files, and a boot without what nobody waits for."""
    cache.as_root(["cp", "-r", "--no-preserve=ownership", f"{RECIPE / 'overlay'}/.", str(root)])
    system = root / "etc/systemd/system"
    for unit in listed(RECIPE / "masked-units"):
        cache.as_root(["ln", "-sfn", "/dev/null", str(system / unit)])
    cache.as_root(["mkdir", "-p", str(root / "usr/lib/modules")])  # the kernel's disk is mounted there
    cache.as_root(["chroot", str(root), "passwd", "-d", "root"], stdout=subprocess.DEVNULL)


def _build(release, folder, log):
    cache.need("mmdebstrap", "mkfs.ext4")
    root = folder / "root"
    debian.bootstrap(release, root, listed(RECIPE / "packages"), debian.sources(release), log,
                     options=[f"--dpkgopt={option}" for option in DPKG_OPTIONS])
    _finish_root(root)
    image = folder / "root.img"
    cache.as_root(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-d", str(root), str(image),
                   IMAGE_SIZE], stdout=log, stderr=log)
    cache.as_root(["chmod", "0644", str(image)])
    cache.as_root(["rm", "-rf", "--one-file-system", str(root)])


def get(say=lambda text: None, suite=""):
    """The image for this recipe, with the kernel of that suite if one is asked for; what of it there is not yet is made first. Raises
    kernel.NotAvailable."""
    release = debian.guest_release(suite)
    files = [path for path in RECIPE.rglob("*") if path.is_file() and path.name not in ("init", "initrd-modules")]
    digest = cache.digest(release, [*files, Path(debian.__file__), Path(__file__)])
    its_kernel = kernel.get(suite or debian.kernel_suite(release), say)
    return Image(cache.get("images", f"{release}-{digest}", f"the guest image (Debian {release}), about a minute",
                           lambda folder, log: _build(release, folder, log), KEEP, say), its_kernel)
