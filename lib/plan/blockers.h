/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "plan/planner.h"
#include "plan/scope.h"

/* What stands against a removal. The code is the stable part; evidence and remedy are for people, the remedy works when
 * pasted. */
typedef enum BlockerCode {
        BLOCKER_ZONE_NORMAL,    /* memory in a kernel zone, with pages on it that cannot move */
        BLOCKER_NO_ROOM,        /* the rest of the machine cannot absorb what is on the card */
        BLOCKER_LAST_MEMORY,    /* nothing would be left */
        BLOCKER_SYSTEM_RAM,     /* a region whose memory the firmware gave to the kernel: no dax device to take down */
        BLOCKER_PMEM,           /* a persistent region: its file systems and mappings are not quiesced by this version */
        BLOCKER_DAX_USERS,      /* a dax device with another driver than kmem: its mappings are not looked for */
        BLOCKER_FOREIGN_DEVICE, /* block device, network interface, ... on the card */
        BLOCKER_USER_DRIVER,    /* vfio-pci or uio drives a function: removal would wait for its user for ever */
        BLOCKER_NO_POWER_SWITCH, /* the slot has no power attribute to write to */
        BLOCKER_BOUND_PROCESS,  /* a process may use no other memory than what goes: the kernel would kill it */
        BLOCKER_LOCKED,         /* the firmware has locked the decoders (regionN/locked): commit 0 is refused */
        BLOCKER_UNKNOWN_TARGET, /* a committed region has a target whose card is not known: it may be this one */
        BLOCKER_POLICY,         /* warning: a line of the policy files could not be used */
        _BLOCKER_CODE_MAX,
        _BLOCKER_CODE_INVALID = -EINVAL,
} BlockerCode;

DECLARE_STRING_TABLE(blocker_code, BlockerCode);

/* Fills "blockers", "warnings", "holders" and "holders_complete" of the plan's document. Sets *ret_blocked. */
int plan_add_blockers(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request, bool *ret_blocked);
