# SPDX-License-Identifier: LGPL-2.1-or-later
"""What shared.h has, for whoever plays a history."""

import ctypes

KINDS = ["none", "error", "late-error", "nothing", "half", "hang", "late", "kill-before", "kill-after", "kill-worker", "torn", "cancel", "actor", "actor-after", "kill"]
# model.h, Half
HALVES = {"functions": 1, "power": 2, "link": 4, "indicator": 8, "adapter": 16}
# Who is killed.
WHO = {"worker": 1, "daemon": 2, "guard": 4}
FAULTS_MAX = 8
PROCESSES_MAX = 32
MATCH_MAX = 64


class Fault(ctypes.Structure):
    _fields_ = [("event", ctypes.c_uint32), ("kind", ctypes.c_uint32), ("arg", ctypes.c_int64), ("times", ctypes.c_uint32), ("wide", ctypes.c_uint32),
                ("hit", ctypes.c_uint32), ("touch", ctypes.c_uint32), ("what", ctypes.c_uint64),
                ("seen", ctypes.c_uint32), ("match", ctypes.c_char * MATCH_MAX)]


class Process(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_int32), ("until", ctypes.c_uint64)]


class Shared(ctypes.Structure):
    _fields_ = [("ahead", ctypes.c_uint64), ("wall_ahead", ctypes.c_uint64), ("journal_length", ctypes.c_uint64), ("touched_length", ctypes.c_uint64),
                ("n_events", ctypes.c_uint32), ("n_touches", ctypes.c_uint32), ("worker", ctypes.c_int32), ("daemon", ctypes.c_int32), ("guard", ctypes.c_int32),
                ("whole", ctypes.c_uint32), ("n_faults", ctypes.c_uint32),
                ("faults", Fault * FAULTS_MAX), ("processes", Process * PROCESSES_MAX)]

    def arm(self, faults):
        """Of the next worker. A fault: {"event", "kind", "arg", "times", "wide", "touch", "match"}."""
        if len(faults) > FAULTS_MAX:
            raise ValueError(f"{len(faults)} faults, and there is room for {FAULTS_MAX}")
        self.n_events = self.n_touches = 0
        self.n_faults = len(faults)
        for i, fault in enumerate(faults):
            self.faults[i] = Fault(fault["event"], KINDS.index(fault["kind"]), fault.get("arg", 0), fault.get("times", 1), fault.get("wide", 0), 0, fault.get("touch", 0), 0,
                                   0, fault.get("match", "").encode())
