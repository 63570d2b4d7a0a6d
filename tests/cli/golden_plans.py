# SPDX-License-Identifier: LGPL-2.1-or-later
"""The golden plans of tests/plans that the command can be asked for."""

import json

# The world around the machine, or another verb's: no options of plan.
NO_OPTIONS = {"inhibitors", "hooks", "units", "self_test"}


def cases(plans):
    """(name, recorded machine, targets, options) of each, of the folder with the plans."""
    for line in (plans / "cases").read_text().splitlines():
        if line and not line.startswith("#"):
            name, root, target, options = line.split(maxsplit=3)
            if not NO_OPTIONS & (wish := json.loads(options)).keys():
                yield name, root, target.split("+"), wish
    for line in (plans / "machines").read_text().splitlines():
        if line and not line.startswith("#"):
            name, target, *_ = line.split()
            yield f"machine-{name}", f"cases/{name}.root", target.split("+"), {}
