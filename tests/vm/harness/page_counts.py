# SPDX-License-Identifier: LGPL-2.1-or-later
"""The reference counts of a card's pages, read from outside the guest: what the product counts is compared with it, and the
two have nothing in common but the kernel."""

import array

from .errors import LabError

# struct page of x86-64, the same in all kernels that the lab knows; check() would notice another one.
ENTRY, REFCOUNT, FRAME = 64, 52, 4096
UNIT = 2 << 20


class PageCounts:
    """What device-dax memory of 2 MiB alignment shows."""

    def __init__(self, guest):
        self.guest = guest
        self.file = guest.dir / "pages.bin"
        symbol = guest.out("grep ' vmemmap_base$' /proc/kallsyms").split()[0]
        self.base = array.array("Q", self._read(int(symbol, 16), 8))[0]

    def _read(self, address, size):
        """The kernel's memory at a virtual address, by way of QEMU."""
        self.guest.qmp("memsave", **{"val": address, "size": size, "filename": str(self.file), "cpu-index": 0})
        return self.file.read_bytes()

    def heads(self, start, size):
        """The count of each page of 2 MiB."""
        words = array.array("i", self._read(self.base + start // FRAME * ENTRY, size // FRAME * ENTRY))
        counts = words[REFCOUNT // 4::ENTRY // 4]
        tails = {count for index, count in enumerate(counts) if index % (UNIT // FRAME)}
        if tails != {0}:
            raise LabError(f"the counts of tails should be 0, not {sorted(tails)[:5]}: is this kernel's struct page another one?")
        return counts[::UNIT // FRAME]

    def referenced(self, start, size):
        """How many pages of 2 MiB somebody has a reference to; an unused one shows 1."""
        return sum(count != 1 for count in self.heads(start, size))
