# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's control socket. Each command has a connection of its own, so that several programs can share a guest."""

import json
import socket

from .errors import GuestGone, LabError
from .paths import locked

# While the kernel moves pages off an emulated card, QEMU may come to nothing else for ten seconds, on a busy machine for a minute.
TIMEOUT = 150


class QmpError(LabError):
    """QEMU refused a command."""


class Qmp:
    """Sends commands to the QEMU behind a socket."""

    def __init__(self, run_dir):
        self.path = run_dir / "qmp.sock"
        self.lock = run_dir / "qmp.lock"

    def __call__(self, command, **arguments):
        with locked(self.lock), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            try:
                sock.connect(str(self.path))
                lines = sock.makefile("rw", encoding="utf-8")
                json.loads(lines.readline() or "{}")
                self._ask(lines, "qmp_capabilities", {})
                return self._ask(lines, command, arguments)
            except (OSError, ValueError) as error:
                raise GuestGone(f"QEMU does not answer: {error}") from error

    @staticmethod
    def _ask(lines, command, arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        lines.write(json.dumps(request) + "\n")
        lines.flush()
        for line in lines:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpError(f"{command}: {answer['error']['desc']}")
        raise GuestGone(f"QEMU ended during {command}")

    def children(self, path, kinds):
        """The paths of the objects of some types below a path."""
        types = {f"child<{kind}>" for kind in kinds}
        return [f"{path}/{item['name']}" for item in self("qom-list", path=path) if item["type"] in types]
