# SPDX-License-Identifier: LGPL-2.1-or-later
"""The QEMU guest agent: runs commands in the guest, without a network and without a console."""

import base64
import contextlib
import fcntl
import json
import secrets
import socket
import threading

from .errors import GuestGone, LabError


# While the kernel moves pages off an emulated card, QEMU may come to nothing else for ten seconds, on a busy machine for a minute.
TIMEOUT = 150
IMPATIENT = 5


class AgentError(LabError):
    """The agent answered, and refused."""


class Agent:
    """Asks the guest's agent. The channel takes one program at a time and is slow to change hands (the agent looks for
    a new peer ten times a second), so it is kept between questions and let go by rest()."""

    def __init__(self, run_dir):
        self.path = run_dir / "agent.sock"
        self.lock_path = run_dir / "agent.lock"
        self.mutex = threading.RLock()
        self.lock = self.sock = self.lines = None
        self.silent = False

    def ask(self, command, timeout=TIMEOUT, **arguments):
        # A guest that has left one question without an answer is not given that long again.
        timeout = min(timeout, IMPATIENT) if self.silent else timeout
        with self.mutex:
            try:
                if self.sock is None:
                    self._connect(timeout)
                self.sock.settimeout(timeout)
                self._send(command, arguments)
                answer = self._receive()
                self.silent = False
            except (OSError, ValueError) as error:
                self.silent = True
                self.rest()
                raise GuestGone(f"the guest does not answer: {error}") from error
        if "error" in answer:
            raise AgentError(f"{command}: {answer['error'].get('desc', answer['error'])}")
        return answer["return"]

    def rest(self):
        """Let other programs have the channel: to be called before doing nothing for a while."""
        with self.mutex:
            for thing in (self.lines, self.sock, self.lock):
                if thing is not None:
                    with contextlib.suppress(OSError):
                        thing.close()
            self.lock = self.sock = self.lines = None

    def _connect(self, timeout):
        self.lock = open(self.lock_path, "w", encoding="utf-8")  # pylint: disable=consider-using-with
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(self.path))
        self.lines = self.sock.makefile("rwb")
        self._sync()

    def _sync(self):
        """Drop what an earlier program may have left in the channel: everything up to our own number."""
        number = secrets.randbelow(1 << 31)
        # The 0xff byte makes the agent forget a half-read request.
        self.lines.write(b"\xff")
        self._send("guest-sync-delimited", {"id": number})
        while self._receive().get("return") != number:
            pass

    def _send(self, command, arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self.lines.write(json.dumps(request).encode() + b"\n")
        self.lines.flush()

    def _receive(self):
        line = self.lines.readline()
        if not line:
            raise GuestGone("the guest agent's channel is closed")
        return json.loads(line.split(b"\xff")[-1])

    def ping(self, timeout):
        self.ask("guest-ping", timeout=timeout)

    def start(self, argv, stdin=b"", env=()):
        """Start a command; its output is kept for status()."""
        arguments = {"path": argv[0], "arg": list(argv[1:]), "capture-output": True}
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        if env:
            arguments["env"] = list(env)
        return self.ask("guest-exec", **arguments)["pid"]

    def status(self, pid):
        """None while it runs, then (exit status, output, error output)."""
        state = self.ask("guest-exec-status", pid=pid)
        if not state["exited"]:
            return None
        rc = state["exitcode"] if "exitcode" in state else 128 + state.get("signal", 0)
        return rc, _text(state.get("out-data")), _text(state.get("err-data"))


def _text(data):
    return base64.b64decode(data or "").decode("utf-8", "replace")
