# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command on the machine that runs the tests or in a guest, and the daemon in another guest: over a network, ssh and systemd-stdio-bridge,
as people do it. The guests need the profile `network`."""

import os
import re
import shutil
import subprocess
import tarfile

from .errors import Skip
from .machine import wire_address

FOLDER = "/run/lab-ssh"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
COMMAND = "usr/bin/safe-remove"
# What somebody's own configuration says has no part in it.
SSH = """#!/bin/sh
exec ssh -F none -i '{folder}/key' -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile='{folder}/known' -o StrictHostKeyChecking=yes "$@"
"""
SSHD = (f"/usr/sbin/sshd -D -e -o UsePAM=no -o StrictModes=no -o PermitRootLogin=prohibit-password -o PidFile=none "
        f"-o AuthorizedKeysFile={FOLDER}/authorized")


def _has_address(lab, link, address):
    """The link is a shell's word for the network card."""
    lab.sh(f'modprobe virtio_net; udevadm settle; link={link}; busybox ip link set "$link" up && busybox ip addr flush dev "$link" && '
           f'busybox ip addr add {address}/24 dev "$link"')


def _on_wire(lab):
    mac, address = (wire_address(lab.guest.dir, what) for what in ("mac", "ip"))
    _has_address(lab, f"$(basename $(dirname $(grep -lx {mac} /sys/class/net/*/address)))", address)
    return address


def _serve(lab, key):
    """Whoever has the key may come in as root."""
    lab.sh(f"mkdir -p /run/sshd {FOLDER}")
    lab.write(f"{FOLDER}/authorized", key)
    lab.spawn("sshd", SSHD).wait_for_output("Server listening on 0.0.0.0 port 22")


def connect(near, far):
    """Root of one guest may come into the other one, at the end of its wire (lab.second()): the host that `safe-remove -H` there is told."""
    _on_wire(near)
    address = _on_wire(far)
    near.cleanup(lambda: near.sh("rm -rf /root/.ssh"))
    near.sh("mkdir -m 700 -p /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    near.write("/root/.ssh/known_hosts", f"{address} {far.sh(f'cat {HOST_KEY}')}\n")
    _serve(far, near.sh("cat /root/.ssh/id_ed25519.pub"))
    return f"root@{address}"


class Remote:
    """safe-remove -H, from outside the guest."""

    def __init__(self, lab):
        if not shutil.which("ssh-keygen"):
            raise Skip("needs ssh on this machine (tools/install-deps lab)")
        self.lab = lab
        self.folder = lab.guest.dir / "ssh"
        self.folder.mkdir(exist_ok=True)
        self._unpack()
        self._let_in()
        self.port = self._port()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {lab.sh(f'cat {HOST_KEY}')}\n")
        (self.folder / "ssh").write_text(SSH.format(folder=self.folder))
        (self.folder / "ssh").chmod(0o755)
        self.host = f"root@127.0.0.1:{self.port}"
        # Neither a bus nor a daemon of this machine's is asked by mistake.
        self.env = {**os.environ, "SYSTEMD_SSH": str(self.folder / "ssh"), "SAFE_REMOVE_RUN_DIR": str(self.folder / "none"), "LC_ALL": "C"}

    def _unpack(self):
        """The command that was installed in the guest, for this machine."""
        with tarfile.open(self.lab.guest.dir / "share/stage.tar") as tar:
            member = tar.getmember(f"./{COMMAND}")
            with open(self.folder / "safe-remove", "wb") as file:
                shutil.copyfileobj(tar.extractfile(member), file)
        (self.folder / "safe-remove").chmod(0o755)

    def _let_in(self):
        key = self.folder / "key"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, stdin=subprocess.DEVNULL)
        wire = wire_address(self.lab.guest.dir, "mac")
        _has_address(self.lab, f"$(basename $(dirname $(grep -Lx -e {wire} -e 00:00:00:00:00:00 /sys/class/net/*/address)))", "10.0.2.15")
        _serve(self.lab, key.with_suffix(".pub").read_text())

    def _port(self):
        """QEMU has taken one that was free, and hands what comes there on to the guest."""
        said = self.lab.guest.qmp("human-monitor-command", **{"command-line": "info usernet"})
        found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", said)
        self.lab.check(found, f"QEMU should forward a port: {said}")
        return int(found.group(1))

    def _argv(self, words):
        return [str(self.folder / "safe-remove"), *words, "-H", self.host]

    def run(self, *words, timeout=120):
        """To its end: what it has printed."""
        ended = subprocess.run(self._argv(words), env=self.env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False)
        self.lab.equal(ended.returncode, 0, f"the exit status of {words} ({ended.stdout}{ended.stderr})")
        return ended.stdout

    def start(self, *words):
        """One that goes on; its output is a file, so that it waits for nobody who reads it."""
        log = self.folder / "output"
        with open(log, "wb") as file:
            process = subprocess.Popen(self._argv(words), env=self.env, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
        self.lab.cleanup(end)
        return process, log
