# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file that answers no read: whoever reads it hangs in the kernel, and no signal ends that (fs/fuse/dev.c:request_wait_answer waits for a
request that its server has taken, whatever comes)."""

import ctypes
import errno
import os
import select
import signal
import struct

FORGET, GETATTR, OPEN, READ, INIT, INTERRUPT = 2, 3, 14, 15, 26, 36
REGULAR = 0o100444


class HangingFile:
    """Lies over `path` until close(). The kernel's FUSE protocol, version 7.22, as far as one file needs it (include/uapi/linux/fuse.h).
    OSError where there is no FUSE, or it is not for us."""

    def __init__(self, path):
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={device},rootmode={REGULAR:o},user_id={os.getuid()},group_id={os.getgid()}"
        if libc.mount(b"hanging", os.fsencode(path), b"fuse", 0, options.encode()) < 0:
            error = ctypes.get_errno()
            os.close(device)
            raise OSError(error, os.strerror(error))
        self.reads, told = os.pipe()
        self.server = os.fork()
        if self.server == 0:
            serve(device, told)
        os.close(told)
        os.close(device)

    def wait_for_reader(self, seconds):
        """Until somebody hangs in it."""
        return bool(select.select([self.reads], [], [], seconds)[0])

    def close(self):
        """Ends the connection with its server: whoever hangs comes out with an error."""
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        os.close(self.reads)


def answer(device, unique, data=b"", error=0):
    os.write(device, struct.pack("=IiQ", 16 + len(data), -error, unique) + data)


def serve(device, told):
    attributes = struct.pack("=QIIQQQQQQIIIIIIIIII", 3600, 0, 0, 1, 4096, 8, 0, 0, 0, 0, 0, 0, REGULAR, 1, os.getuid(), os.getgid(), 0, 4096, 0)
    while True:
        _, opcode, unique = struct.unpack_from("=IIQ", os.read(device, 1 << 17))
        if opcode == INIT:
            answer(device, unique, struct.pack("=IIIIHHI", 7, 22, 1 << 16, 0, 12, 9, 1 << 16))
        elif opcode == GETATTR:
            answer(device, unique, attributes)
        elif opcode == OPEN:
            answer(device, unique, struct.pack("=QII", 1, 1, 0))  # FOPEN_DIRECT_IO: each read is asked for
        elif opcode == READ:
            os.write(told, b"x")
        elif opcode not in (FORGET, INTERRUPT):  # which want no answer
            answer(device, unique, error=errno.ENOSYS)
