# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the service can be asked over the bus, as it says itself."""

import re

NAME = "org.saferemove1"
KNOWN = re.compile(r"(s|u|as|a\{sv\})*")  # what guest/siege can make arguments of


def all_of(guest):
    """All that the service and its objects can be asked, as it says itself: path, interface, member, signature, and what to put into strings."""
    found = []
    for path in guest.out(f"busctl --no-pager tree --list {NAME}").split():
        interface = None
        for line in guest.out(f"busctl --no-pager introspect {NAME} {path}").splitlines():
            member, kind, signature = line.split()[:3]
            if kind == "interface":
                interface = member
            elif kind == "method" and not interface.endswith(".Properties"):
                if not KNOWN.fullmatch(signature.replace("-", "")):
                    raise AssertionError(f"guest/siege has no arguments for {member} ({signature})")
                found.append((path, interface, member.lstrip("."), signature, "2"))
            elif kind == "method" and member == ".GetAll":
                found.append((path, interface, "GetAll", signature, f"{NAME}.Manager"))
    if not any(member == "PlanRemoval" for _, _, member, _, _ in found):
        raise AssertionError(f"the service should tell its methods, not only {found}")
    return found
