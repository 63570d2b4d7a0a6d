# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's disk image: a minimal Debian of the host's release, with its kernel beside it."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import debian, initrd
from .errors import LabError
from .paths import VM_DIR, lab_dir, locked

RECIPE = VM_DIR / "image"
IMAGE_SIZE = "2G"
KEEP_IMAGES = 4
NEEDED_TOOLS = ("mmdebstrap", "mkfs.ext4", "qemu-system-x86_64")

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


def _recipe_digest(release):
    """Changes whenever the image would be made differently; not when the mirror has newer packages."""
    digest = hashlib.sha256(release.encode())
    files = [path for path in RECIPE.rglob("*") if path.is_file()]
    for path in sorted([*files, Path(__file__), Path(initrd.__file__), Path(debian.__file__)]):
        digest.update(str(path.relative_to(VM_DIR)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _as_root(command, **kwargs):
    if os.geteuid() != 0:
        command = ["sudo", "-n", *command]
    # Without a file to hand over, the children would read this program's input.
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **kwargs)


def _debootstrap(release, root, log):
    include = ",".join([*_listed("packages"), debian.kernel_package(release)])
    command = ["mmdebstrap", "--variant=minbase", "--format=directory", f"--include={include}"]
    command += [f"--aptopt={option}" for option in debian.acquire_options()]
    command += ["--aptopt=APT::Install-Recommends false"]
    command += [f"--dpkgopt={option}" for option in DPKG_OPTIONS]
    sources = debian.sources(release)
    with tempfile.NamedTemporaryFile("w", suffix=".list") as file:
        file.write(sources)
        file.flush()
        # The kernel package would build a general initrd, for a minute, that nobody boots from.
        _as_root(["env", "INITRD=No", *command, release, str(root), file.name], stdout=log, stderr=log)


def _finish_root(root):
    """What makes it the lab's: our files, and a boot without what nobody waits for."""
    _as_root(["cp", "-r", "--no-preserve=ownership", f"{RECIPE / 'overlay'}/.", str(root)])
    system = root / "etc/systemd/system"
    for unit in _listed("masked-units"):
        _as_root(["ln", "-sfn", "/dev/null", str(system / unit)])
    _as_root(["chroot", str(root), "passwd", "-d", "root"], stdout=subprocess.DEVNULL)


def _build(release, folder, log):
    root = folder / "root"
    _debootstrap(release, root, log)
    _finish_root(root)
    kernel = sorted((root / "usr/lib/modules").iterdir())[-1].name
    shutil.copyfile(root / "boot" / f"vmlinuz-{kernel}", folder / "vmlinuz")
    (folder / "initrd").write_bytes(initrd.build(root, kernel, RECIPE / "init", _listed("initrd-modules")))
    image = folder / "root.img"
    _as_root(["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-d", str(root), str(image),
              IMAGE_SIZE], stdout=log, stderr=log)
    _as_root(["chmod", "0644", str(image)])
    _as_root(["rm", "-rf", "--one-file-system", str(root)])


def _drop_old(images):
    """Images are large: those used last stay. A guest that runs from one keeps it alive by itself."""
    finished = [path for path in images.iterdir() if (path / "root.img").exists()]
    for path in sorted(finished, key=lambda path: path.stat().st_mtime)[:-KEEP_IMAGES]:
        shutil.rmtree(path, ignore_errors=True)


def _check_tools():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [tool for tool in NEEDED_TOOLS if not shutil.which(tool, path=path)]
    if missing:
        raise LabError(f"missing: {', '.join(missing)} (tools/install-deps lab installs what the lab needs)")
    os.environ["PATH"] = path


def get(say=lambda text: None):
    """The image for this recipe; built first when there is none yet."""
    release = debian.codename()
    images = lab_dir() / "images"
    final = images / f"{release}-{_recipe_digest(release)}"
    with locked(images / ".lock"):
        if final.exists():
            os.utime(final)
            return Image(final)
        _check_tools()
        say(f"building the guest image (Debian {release}), about a minute")
        folder = Path(tempfile.mkdtemp(dir=images, prefix=".new-"))
        log_path = images / f"{final.name}.log"
        try:
            with open(log_path, "w", encoding="utf-8") as log:
                _build(release, folder, log)
            folder.rename(final)
        except subprocess.CalledProcessError as error:
            raise LabError(f"building the guest image failed at {error.cmd[0]}: see {log_path}") from error
        finally:
            if folder.exists():
                _as_root(["rm", "-rf", "--one-file-system", str(folder)])
        _drop_old(images)
    return Image(final)
