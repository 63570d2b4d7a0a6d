#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""fleet-client.py list | plan CARD... | remove CARD...: all that a fleet tool needs of org.saferemove1, without JSON."""
import sys
import time
import dbus

NAME = "org.saferemove1"
bus = dbus.SystemBus()
manager = dbus.Interface(bus.get_object(NAME, "/org/saferemove1"), NAME + ".Manager")


def show_slots(cards):
    for path, name, state, occupied, address, memdev, serial, *more in manager.ListSlots():
        print(f"slot {name}: {state}, {f'card {serial} at {address}' if occupied else 'no card'}")


def plan(cards):
    digest, verdict, _, slots, serials, eta_usec, steps, *more = manager.Plan("remove", cards, {}, timeout=120)
    print(f"slots {' '.join(slots)}: {verdict}, {steps} steps, about {eta_usec / 1e6:.1f} s")
    first, total, page = 0, 1, ""
    while first < total:  # pages of one list, however long it is
        _, page, total, blockers = manager.ListPlanBlockers("remove", cards, {"digest": digest}, page, first, 0, timeout=120)
        for code, severity, what, evidence, remedy, more in blockers:
            print(f"{code}: {what}", *remedy, sep="\n  ")
        first += len(blockers)
    return digest if verdict == "ready" else sys.exit(1)


def remove(cards):
    path = manager.RemoveSeveral(cards, {"digest": plan(cards)}, timeout=120)  # this plan, or none
    removal, step = dbus.Interface(bus.get_object(NAME, path), dbus.PROPERTIES_IFACE), ""
    while (now := removal.GetAll(NAME + ".Removal"))["State"] != "ended":  # PropertiesChanged tells it without being asked
        if now["Step"] != step:
            print(f"[{now['StepIndex'] + 1}/{now['StepCount']}] {(step := now['Step'])}", flush=True)
        time.sleep(0.2)
    print(f"slots {' '.join(now['Slots'])}: {now['Outcome']} ({now['Code']})")
    sys.exit(now["Outcome"] != "safe")


{"list": show_slots, "plan": plan, "remove": remove}[sys.argv[1]](sys.argv[2:])
