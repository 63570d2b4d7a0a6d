# SPDX-License-Identifier: LGPL-2.1-or-later
"""An initial RAM disk with nothing but busybox and the modules that lead to the root file system."""

import gzip
import lzma
import stat
import subprocess

from .errors import LabError


class Archive:
    """A cpio archive of the kind that the kernel unpacks ("newc")."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, path, mode, content=b""):
        name = path.encode() + b"\0"
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        self.data += b"070701" + "".join(f"{field:08x}" for field in fields).encode()
        self._padded(name)
        self._padded(content)

    def _padded(self, data):
        self.data += data
        self.data += b"\0" * (-len(self.data) % 4)

    def finish(self):
        self.add("TRAILER!!!", 0)
        return gzip.compress(bytes(self.data), compresslevel=1)


def _plain_module(path):
    data = path.read_bytes()
    if path.name.endswith(".xz"):
        return lzma.decompress(data)
    if path.name.endswith(".zst"):
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return data


def _module_name(path):
    return path.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_")


def _dependencies(modules_dir):
    """Module name -> (path, paths it needs), as depmod wrote them down."""
    table = {}
    for line in (modules_dir / "modules.dep").read_text().splitlines():
        path, needs = line.split(":", 1)
        table[_module_name(path)] = (path, needs.split())
    return table


def load_order(modules_dir, wanted):
    """The paths of the wanted modules, each after those it needs; built-in ones are left out, and one with a question mark may be missing."""
    table = _dependencies(modules_dir)
    builtin = {_module_name(line) for line in (modules_dir / "modules.builtin").read_text().splitlines()}
    order = []
    for word in wanted:
        name = word.rstrip("?")
        if name in builtin or (word != name and name not in table):
            continue
        if name not in table:
            raise LabError(f"{modules_dir.name}: no module {name}")
        path, needs = table[name]
        # modules.dep lists the nearest need first.
        for needed in [*reversed(needs), path]:
            if needed not in order:
                order.append(needed)
    return order


def listed(path):
    """The words of a list, one a line; comments begin with #."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def build(modules_dir, busybox, init, wanted):
    """The initrd for the kernel whose modules are in this folder; `wanted` is a list of modules."""
    archive = Archive()
    for folder in ("bin", "dev", "modules", "root"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("bin/busybox", stat.S_IFREG | 0o755, busybox.resolve().read_bytes())
    archive.add("init", stat.S_IFREG | 0o755, init.read_bytes())
    names = []
    for path in load_order(modules_dir, listed(wanted)):
        names.append(_module_name(path) + ".ko")
        archive.add(f"modules/{names[-1]}", stat.S_IFREG | 0o644, _plain_module(modules_dir / path))
    archive.add("modules/order", stat.S_IFREG | 0o644, "".join(f"{name}\n" for name in names).encode())
    return archive.finish()
