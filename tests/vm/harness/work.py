# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which scenario is run next, by whom."""

import copy
import multiprocessing


class Work:
    """Scenarios that one or more processes take one by one."""

    def __init__(self, items):
        self.items = items
        self.end = 0
        self._taken = multiprocessing.Array("b", len(items))

    def of_worker(self, number):
        """The same work, for the process of that number. Every second one begins new guests with what comes last, so that
        as few scenarios as possible of those that could share a guest have two."""
        other = copy.copy(self)
        other.end = -((number + 1) % 2)
        return other

    def take(self, machine):
        """The next one, preferably one for the guest that runs already; None when there is nothing left."""
        with self._taken.get_lock():
            left = self._left()
            if not left:
                return None
            wanted = self.items[left[self.end]]
            same = [number for number in left if self._shares(number, machine)]
            if not same and not wanted.own_guest:
                same = [number for number in left if self._shares(number, wanted.machine)]
            number = same[0] if same else left[self.end]
            self._taken[number] = True
            return self.items[number]

    def left(self):
        """Those that nobody took."""
        return [self.items[number] for number in self._left()]

    def _left(self):
        return [number for number, taken in enumerate(self._taken) if not taken]

    def _shares(self, number, machine):
        return self.items[number].machine == machine and not self.items[number].own_guest
