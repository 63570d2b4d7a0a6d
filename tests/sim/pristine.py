# SPDX-License-Identifier: LGPL-2.1-or-later
"""A folder as it was at the beginning, put back as often as it is wanted: what has not been touched meanwhile stays, since a history touches little."""

import os
import shutil
import stat


def entries(top):
    """(path, its stat) of all that is below, folders before what is in them."""
    for entry in os.scandir(top):
        yield entry.path, entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            yield from entries(entry.path)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


class Pristine:
    def __init__(self, top):
        self.top = top
        self.content, self.seen = {}, {}
        for path, st in entries(top):
            self.content[path] = stat.S_IMODE(st.st_mode), self.read(path, st)
            self.seen[path] = self.mark(path, st)

    @staticmethod
    def read(path, st):
        """None for a folder, text for where a link leads, bytes for a file."""
        if stat.S_ISDIR(st.st_mode):
            return None
        if stat.S_ISLNK(st.st_mode):
            return os.readlink(path)
        with open(path, "rb") as file:
            return file.read()

    @staticmethod
    def mark(path, st):
        """Another one where somebody has written to it, or put another thing in its place."""
        if stat.S_ISDIR(st.st_mode):
            return "folder"
        if stat.S_ISLNK(st.st_mode):
            return os.readlink(path)
        return st.st_ino, st.st_mtime_ns, st.st_ctime_ns, st.st_size

    def put_back(self):
        now = dict(entries(self.top))
        for path in now:
            if path not in self.content and os.path.lexists(path):
                remove(path)
        for path, (mode, content) in self.content.items():
            st = now.get(path)
            if st is None or self.mark(path, st) != self.seen[path]:
                self.make(path, mode, content)
                self.seen[path] = self.mark(path, os.lstat(path))

    @staticmethod
    def make(path, mode, content):
        if os.path.lexists(path):
            remove(path)
        if content is None:
            os.mkdir(path, mode)
        elif isinstance(content, str):
            os.symlink(content, path)
        else:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, content)
            os.fchmod(fd, mode)
            os.close(fd)
