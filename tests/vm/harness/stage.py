# SPDX-License-Identifier: LGPL-2.1-or-later
"""Brings an installed staging tree (DESTDIR=... meson install) into a running guest."""

import shutil
import tarfile

SERVICE = "safe-removed.service"
GUARD = "safe-remove-guard.service"

# The tree's folders must neither replace the guest's /lib link nor bring their owners and modes along. D-Bus learns
# about new names and rules only when told.
UNPACK = f"""set -e
tar -C / -xf /lab/stage.tar --keep-directory-symlink --no-overwrite-dir --no-same-owner
systemd-sysusers
systemctl enable --no-reload --quiet {SERVICE} {GUARD} 2> /dev/null || true
systemctl daemon-reload
systemd-tmpfiles --create
udevadm control --reload
udevadm trigger --settle --subsystem-match=cxl --subsystem-match=pci --subsystem-match=dax
busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
if systemctl cat {SERVICE} > /dev/null 2>&1; then
        systemctl reset-failed {SERVICE} {GUARD} 2> /dev/null || true
        systemctl restart {GUARD} {SERVICE}
fi
"""


def install(guest, folder):
    """Unpack the tree into the guest's root and (re)start the daemon when there is one."""
    with tarfile.open(guest.dir / "share" / "stage.tar", "w") as tar:
        tar.add(folder, arcname=".")
    guest.run(UNPACK, timeout=120)


def install_same(guest, other):
    """What the other guest has."""
    shutil.copyfile(other.dir / "share" / "stage.tar", guest.dir / "share" / "stage.tar")
    guest.run(UNPACK, timeout=120)


def push(guest, path):
    """Copy one file to /lab in the guest; returns its path there."""
    target = guest.dir / "share" / path.name
    target.write_bytes(path.read_bytes())
    target.chmod(path.stat().st_mode & 0o777)
    return f"/lab/{path.name}"
