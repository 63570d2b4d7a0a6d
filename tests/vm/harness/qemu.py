# SPDX-License-Identifier: LGPL-2.1-or-later
"""The QEMU that emulates the machine: one and the same on every host, whatever the host's release has.

Releases before 11 emulate each access to a CXL card's memory by a call: some 8 MiB a second. This one maps a card into the guest
unless it is interleaved. It is unpacked from Debian's packages into a folder of its own, not installed, and run by the loader and
with the libraries that lie beside it: no chroot, nothing mounted, and the host's packages stay as they are."""

from pathlib import Path

from . import cache, debian

RELEASE = "trixie"
SUITE = f"{RELEASE}-backports"
PACKAGE = "qemu-system-x86"
KEEP = 2
LIBRARIES = "usr/lib/x86_64-linux-gnu"
# Of what is unpacked nobody reads these here.
UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var")


class Qemu:
    """An unpacked QEMU."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def command(self):
        """How to start it."""
        return [str(self.folder / "usr/lib64/ld-linux-x86-64.so.2"), "--library-path", str(self.folder / LIBRARIES),
                str(self.folder / "usr/bin/qemu-system-x86_64"),
                "-L", str(self.folder / "usr/share/qemu"), "-L", str(self.folder / "usr/share/seabios")]


def _build(folder, log):
    debian.bootstrap(RELEASE, folder, [PACKAGE], debian.sources(RELEASE, backports=True), log, variant="extract",
                     options=[f'--aptopt=APT::Default-Release "{SUITE}"'])
    cache.as_root(["rm", "-rf", *(str(folder / unread) for unread in UNREAD)])


def get(say=lambda text: None):
    """The QEMU of this recipe; fetched first when there is none yet."""
    digest = cache.digest(SUITE + PACKAGE, [Path(path) for path in (__file__, debian.__file__)])

    def build(folder, log):
        cache.need("mmdebstrap")
        _build(folder, log)
    return Qemu(cache.get("qemu", f"{SUITE}-{digest}", f"a folder with QEMU (of Debian's {SUITE}), some ten seconds", build, KEEP,
                          say))
