# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guests' disk images: a minimal Debian of the host's release with its kernel beside it, and one with a newer kernel."""

import shutil
import subprocess
from pathlib import Path

from . import cache, debian, initrd
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
    """A finished image: root file system, kernel and initial RAM disk."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root.img"
        self.kernel = folder / "vmlinuz"
        self.initrd = folder / "initrd"


def _listed(name):
    lines = (RECIPE / name).read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _finish_root(root):
    """What makes it the lab's: our files, and a boot without what nobody waits for."""
    cache.as_root(["cp", "-r", "--no-preserve=ownership", f"{RECIPE / 'overlay'}/.", str(root)])
    system = root / "etc/systemd/system"
    for unit in _listed("masked-units"):
        cache.as_root(["ln", "-sfn", "/dev/null", str(system / unit)])
    cache.as_root(["chroot", str(root), "passwd", "-d", "root"], stdout=subprocess.DEVNULL)


def _build(release, newer, folder, log):
    cache.need("mmdebstrap", "mkfs.ext4")
    root = folder / "root"
    debian.bootstrap(release, root, [*_listed("packages"), debian.kernel_package(release, newer)],
                     debian.sources(release, debian.kernel_from_backports(release, newer)), log,
                     options=[f"--dpkgopt={option}" for option in DPKG_OPTIONS])
    _finish_root(root)
    kernel = sorted((root / "usr/lib/modules").iterdir())[-1].name
    shutil.copyfile(root / "boot" / f"vmlinuz-{kernel}", folder / "vmlinuz")
    (folder / "initrd").write_bytes(initrd.build(root, kernel, RECIPE / "init", _listed("initrd-modules")))
    image = folder / "root.img"
    cache.as_root(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-d", str(root), str(image),
                   IMAGE_SIZE], stdout=log, stderr=log)
    cache.as_root(["chmod", "0644", str(image)])
    cache.as_root(["rm", "-rf", "--one-file-system", str(root)])


def get(say=lambda text: None, newer=False):
    """The image for this recipe, with the newer kernel if that is asked for; built first when there is none yet."""
    release = debian.guest_release(newer)
    kind = "newer-" if newer else ""
    files = [path for path in RECIPE.rglob("*") if path.is_file()]
    digest = cache.digest(release, [*files, *(Path(module.__file__) for module in (initrd, debian)), Path(__file__)])
    return Image(cache.get("images", f"{release}-{kind}{digest}",
                           f"the guest image (Debian {release}{', its backports kernel' if newer else ''}), about a minute",
                           lambda folder, log: _build(release, newer, folder, log), KEEP, say))
