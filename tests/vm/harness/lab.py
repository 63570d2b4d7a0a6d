# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a scenario is handed: the guest, its slots, memory on its cards, the product's command, and checks."""

import json
import random
import re
import shlex

from . import filesystem, holder, memory, pmem, programs, stage, storage_state, wait
from .background import Service
from .counter import Counter
from .keeper import Keeper
from .kernel_log import KernelLog
from .picture import Picture
from .postgres import Postgres
from .removal import CURSOR, RESTORED, STATE_DIR
from .slot import Slot
from .writer import Writer


class Lab:
    """One scenario's view of the machine."""

    def __init__(self, guest, name, seed, uses_daemon=True):
        self.guest = guest
        self.name = name
        self.uses_daemon = uses_daemon
        self.random = random.Random(f"{seed}-{name}")
        self.log = KernelLog(guest, name)
        self.seed = seed
        self.others = []       # of the machines that were started beside this one
        self._undo = []
        self._before = None

    # -- the machine --------------------------------------------------------------------------------------------------

    def slot(self, number):
        return Slot(self.guest, number, before_press=self.remember)

    @property
    def has_storage(self):
        return storage_state.has_storage(self.guest)

    def ram(self, *slots, online="online_movable", window=0):
        """A RAM region over the cards in these slots; see memory.create."""
        return memory.create(self.guest, *slots, online=online, window=window)

    def destroy(self, ram):
        """Take a region down by hand, as the manuals say."""
        memory.destroy(self.guest, ram.region)

    def pmem(self, *slots, uuid=None, window=0):
        """A region of persistent memory over the cards in these slots; see harness/pmem.py for namespaces on it."""
        return pmem.create(self.guest, *slots, uuid=uuid, window=window)

    def nvdimm(self):
        """The region of the persistent memory that the board has beside its slots."""
        return pmem.board(self.guest)

    def disk(self, number):
        """The block device that the card in slot `number` is, or None."""
        found = self.sh(f"ls -d /sys/bus/pci/devices/{self.slot(number).place.bdf}/*/nvme/nvme*/nvme*n1 2> /dev/null || true")
        # What hangs below the controller may be only a path (nvme0c0n1) to the disk (nvme0n1).
        return "/dev/" + re.sub(r"c\d+n", "n", found.rsplit("/", 1)[-1]) if found else None

    def second(self):
        """Another machine like this one, with the same installed, at the other end of its wire (a profile with `wire`; harness/ssh.py); it is there as long
        as the scenario."""
        guest = self.guest.second()
        self.cleanup(guest.down)
        guest.up_like(self.guest)
        stage.install_same(guest, self.guest)
        other = Lab(guest, self.name, self.seed, self.uses_daemon)
        self.others.append(other)
        return other

    def devdax(self, ram):
        """Have offline memory (lab.ram(2, online="offline")) driven as a device of its own; returns its path."""
        return memory.to_devdax(self.guest, ram)

    def filesystem(self, device, kind="xfs", target="/mnt/card", options=None):
        """Make a file system and mount it; see harness/filesystem.py."""
        return filesystem.create(self.guest, device, kind, target, options)

    def holder(self, *options, name=None, properties=()):
        """A process that uses what is on a card, in the way that the options say; see guest/holder."""
        return holder.Holder(self.guest, options, name, properties)

    def pinner(self, *options, name=None):
        """A process that has pages of a card pinned, in the way that the options say; see guest/pinner."""
        return holder.Holder(self.guest, options, name, program=self.program("pinner"))

    def writer(self, disk, **options):
        """A service that writes to a file system and logs what is persistent; see harness/writer.py."""
        return Writer(self.guest, disk.target, **options)

    def counter(self, disk):
        """A service that uses a file system and counts its input; see harness/counter.py."""
        return Counter(self.guest, disk.target)

    def postgres(self, disk):
        """PostgreSQL with its data on a file system; see harness/postgres.py."""
        return Postgres(self, disk.target)

    def program(self, name):
        """The path of one of our guest programs."""
        return programs.provide(self.guest, name)

    def keeper(self, node, mib=32, **options):
        """An application with its memory on a node; see Keeper."""
        return Keeper(self.guest, node, mib, **options)

    def spawn(self, name, command, properties=()):
        """A command in the guest that goes on by itself; ended after the scenario at the latest."""
        if "safe-remove remove" in (command if isinstance(command, str) else " ".join(map(str, command))):
            self.remember()
        return self.guest.spawn(name, command, properties)

    def service(self, name, command, properties=()):
        """The same with a unit file: one that can be started again after it was stopped."""
        return Service(self.guest, name, command, properties)

    def run(self, command, **options):
        return self.guest.run(command, **options)

    def sh(self, command, timeout=120):
        """The output of a shell line that must succeed."""
        return self.guest.out(command, timeout)

    def write(self, path, text):
        """Write a file in the guest; it is put back as it was after the scenario."""
        swap = 'if [ -e "$0" ]; then echo there; cat "$0"; else mkdir -p "${0%/*}"; fi && exec cat > "$0"'
        was, _, old = self.guest.run(["/bin/sh", "-c", swap, path], stdin=text)[1].partition("\n")
        self.cleanup(lambda: self.guest.write(path, old) if was else self.guest.run(["/bin/rm", "-f", path]))

    def cleanup(self, function):
        """Have a function called after the scenario, passed or failed; the last one first."""
        self._undo.append(function)

    def clean_up(self):
        while self._undo:
            self._undo.pop()()

    # -- the product --------------------------------------------------------------------------------------------------

    def cli(self, *words, check=True, timeout=120):
        """Run safe-remove: (exit status, output, error output). A removal that was called off has left everything as it was."""
        if words[0] == "remove":
            self.remember()
        result = self.guest.run(shlex.join(["safe-remove", *map(str, words)]), timeout=timeout, check=check)
        if words[0] == "remove" and "--no-wait" not in words:
            self.compare(result[0] == RESTORED)
        return result

    def cli_json(self, *words, check=True, timeout=120):
        """Run safe-remove with --json; returns what it printed, as Python has it."""
        return json.loads(self.cli(*words, "--json", check=check, timeout=timeout)[1])

    def remember(self):
        """How everything is, before a removal; unless one is under way that began with it."""
        if self._before is None and self.uses_daemon:
            self._before = Picture.take(self)

    def compare(self, called_off):
        """After a removal: if it was called off, everything must be as it was before, for which what the scenario itself has changed
        meanwhile must be told (changed)."""
        before, self._before = self._before, None
        if called_off and before:
            before.check(self)

    def changed(self):
        """The scenario has changed something itself in the middle of a removal, and compares by its own means."""
        self._before = None

    def reset(self, how=None):
        """The machine goes down in the middle of something, and comes up again (see guest.reset): what was before that is no measure any more."""
        self.changed()
        self.guest.reset(how)

    def compare_left(self):
        """For a scenario that has waited for no end: the newest removal's."""
        if self._before:
            newest = f"{STATE_DIR}/removals/$(ls {STATE_DIR}/removals | sort -n | tail -n 1)/journal"
            self.compare('"outcome":"restored"' in self.sh(f"tail -n 1 {newest} 2> /dev/null || true"))

    def journal(self, filters):
        """What the journal has had since the scenario began, message by message: what journalctl's filters (a part of a shell line) choose. Other
        scenarios ran in this guest before. (With --after-cursor the journalctl of Debian 12 leaves out the first one chosen.)"""
        return self.sh(f"""journalctl -q -o cat --cursor="$(sed -n 's/^-- cursor: //p' {CURSOR})" {filters} || true""")

    def restart_daemon(self):
        self.guest.run("systemctl restart safe-removed.service")

    # -- checks -------------------------------------------------------------------------------------------------------

    def wait_for(self, condition, timeout, what):
        """Wait until a function returns something true, and return that."""
        return wait.until(condition, max(timeout, wait.PATIENCE), what, rest=self.guest.agent.rest)

    def wait_leds(self, number, timeout=30, **wanted):
        """Wait until a slot's lights are as wanted: power="off", attention="off", power_on=False, safe=True, ..."""
        slot = self.slot(number)

        def as_wanted():
            leds = slot.leds()
            return leds if all(getattr(leds, name) == value for name, value in wanted.items()) else None
        what = " ".join(f"{name}={value}" for name, value in wanted.items())
        return self.wait_for(as_wanted, timeout, f"slot {number} to show {what}")

    def check(self, condition, text):
        """Fail the scenario unless the condition holds; the text says what should have been."""
        if not condition:
            raise AssertionError(text)

    def equal(self, found, wanted, what):
        if found != wanted:
            raise AssertionError(f"{what} is {found!r}, should be {wanted!r}")
