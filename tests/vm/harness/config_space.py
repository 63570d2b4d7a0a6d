# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads and writes PCI configuration registers from outside the guest, through QEMU: also while it is busy or hung, and whatever its kernel
lets nobody do (lockdown)."""

import re
import socket

from .errors import GuestGone, LabError

# Where the board's firmware (SeaBIOS on q35) puts the memory-mapped configuration space.
ECAM = 0xB0000000
TIMEOUT = 60
CAPABILITY_LIST = 0x34
EXPRESS = 0x10


def _address(bdf):
    bus, device, function = (int(part, 16) for part in re.fullmatch(r"0000:(..):(..)\.(.)", bdf).groups())
    return ECAM + (bus << 20) + (device << 15) + (function << 12)


def read(qmp, bdf, offset):
    """One register of 32 bits."""
    address = _address(bdf) + offset
    answer = qmp("human-monitor-command", **{"command-line": f"xp /1wx {address:#x}"})
    found = re.search(r": 0x([0-9a-f]{8})", answer)
    if not found:
        raise LabError(f"cannot read the configuration space of {bdf}: {answer.strip()}")
    return int(found.group(1), 16)


def express_capability(qmp, bdf):
    """The offset of the PCI Express capability."""
    pointer = read(qmp, bdf, CAPABILITY_LIST) & 0xFC
    while pointer:
        header = read(qmp, bdf, pointer)
        if header & 0xFF == EXPRESS:
            return pointer
        pointer = header >> 8 & 0xFC
    raise LabError(f"{bdf} has no PCI Express capability")


def _packet(text):
    return f"${text}#{sum(text.encode()) & 0xFF:02x}".encode()


def write_word(run_dir, bdf, offset, value):
    """One register of 16 bits, by QEMU's door for debuggers: the machine stands still meanwhile. QMP has no way to write."""
    address = _address(bdf) + offset
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(str(run_dir / "gdb.sock"))
            answers = sock.makefile("rb")
            for said in ("Qqemu.PhyMemMode:1", f"M{address:x},2:{value.to_bytes(2, 'little').hex()}", "Qqemu.PhyMemMode:0", "D"):
                sock.sendall(b"+" + _packet(said))
                answer = _answer(answers)
                if answer != b"OK":
                    raise LabError(f"cannot write the configuration space of {bdf}: {said}: {answer!r}")
            sock.sendall(b"+")
        except OSError as error:
            raise GuestGone(f"QEMU does not answer: {error}") from error


def _answer(stream):
    """The text of the next packet; whether the debugger's own was understood is in its answer."""
    byte = stream.read(1)
    while byte == b"+":
        byte = stream.read(1)
    if byte != b"$":
        raise GuestGone(f"QEMU ended in the middle of an answer to a debugger ({byte!r})")
    text = b""
    while (byte := stream.read(1)) not in (b"#", b""):
        text += byte
    stream.read(2)
    return text
