/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/find/blockers.h"

static const char *const blocker_code_table[_BLOCKER_CODE_MAX] = {
        [BLOCKER_ZONE_NORMAL] = "ZONE_NORMAL",
        [BLOCKER_NO_ROOM] = "NO_ROOM",
        [BLOCKER_CGROUP_LIMIT] = "CGROUP_LIMIT",
        [BLOCKER_HUGETLB_NO_ROOM] = "HUGETLB_NO_ROOM",
        [BLOCKER_BOUND_TMPFS] = "BOUND_TMPFS",
        [BLOCKER_CPUSET_EMPTY] = "CPUSET_EMPTY",
        [BLOCKER_LAST_MEMORY] = "LAST_MEMORY",
        [BLOCKER_SYSTEM_RAM] = "SYSTEM_RAM",
        [BLOCKER_FOREIGN_DEVICE] = "FOREIGN_DEVICE",
        [BLOCKER_UNKNOWN_DRIVER] = "UNKNOWN_DRIVER",
        [BLOCKER_USER_DRIVER] = "USER_DRIVER",
        [BLOCKER_NO_POWER_SWITCH] = "NO_POWER_SWITCH",
        [BLOCKER_SLOT_REGISTERS] = "SLOT_REGISTERS",
        [BLOCKER_DARK_LIGHT] = "DARK_LIGHT",
        [BLOCKER_NO_LIGHT] = "NO_LIGHT",
        [BLOCKER_LOCKDOWN] = "LOCKDOWN",
        [BLOCKER_UNCOUNTABLE] = "UNCOUNTABLE",
        [BLOCKER_SLOT_HELD] = "SLOT_HELD",
        [BLOCKER_UNDER_WAY] = "UNDER_WAY",
        [BLOCKER_INHIBITED] = "INHIBITED",
        [BLOCKER_DELAYED] = "DELAYED",
        [BLOCKER_STILL_WRITING] = "STILL_WRITING",
        [BLOCKER_RECORD_UNREAD] = "RECORD_UNREAD",
        [BLOCKER_BOUND_PROCESS] = "BOUND_PROCESS",
        [BLOCKER_LOCKED] = "LOCKED",
        [BLOCKER_UNKNOWN_TARGET] = "UNKNOWN_TARGET",
        [BLOCKER_MEMORY_UNKNOWN] = "MEMORY_UNKNOWN",
        [BLOCKER_ADDRESSES_UNKNOWN] = "ADDRESSES_UNKNOWN",
        [BLOCKER_ADDRESSES_CLAIMED] = "ADDRESSES_CLAIMED",
        [BLOCKER_VIRTIO_MEM] = "VIRTIO_MEM",
        [BLOCKER_FOREIGN_MEMMAP] = "FOREIGN_MEMMAP",
        [BLOCKER_NOT_UNDERSTOOD] = "NOT_UNDERSTOOD",
        [BLOCKER_LIBRARIES_DISAGREE] = "LIBRARIES_DISAGREE",
        [BLOCKER_SYSTEM_FS] = "SYSTEM_FS",
        [BLOCKER_MOUNT_BELOW] = "MOUNT_BELOW",
        [BLOCKER_LOCKED_MOUNT] = "LOCKED_MOUNT",
        [BLOCKER_MOUNT_LOOP] = "MOUNT_LOOP",
        [BLOCKER_AUTOMOUNT] = "AUTOMOUNT",
        [BLOCKER_NO_WAY_BACK] = "NO_WAY_BACK",
        [BLOCKER_LAST_HOLD] = "LAST_HOLD",
        [BLOCKER_DAX_MOUNTED] = "DAX_MOUNTED",
        [BLOCKER_SPANS_DEVICES] = "SPANS_DEVICES",
        [BLOCKER_DEGRADES] = "DEGRADES",
        [BLOCKER_GOES_ON] = "GOES_ON",
        [BLOCKER_ARRAY_BUSY] = "ARRAY_BUSY",
        [BLOCKER_SUSPENDED] = "SUSPENDED",
        [BLOCKER_ENCRYPTED] = "ENCRYPTED",
        [BLOCKER_UNKNOWN_MAPPING] = "UNKNOWN_MAPPING",
        [BLOCKER_PARTIAL] = "PARTIAL",
        [BLOCKER_KERNEL_USER] = "KERNEL_USER",
        [BLOCKER_CARD_BUSY] = "CARD_BUSY",
        [BLOCKER_CARD_LOCKED] = "CARD_LOCKED",
        [BLOCKER_NFS_EXPORT] = "NFS_EXPORT",
        [BLOCKER_HOLDER_REFUSES] = "HOLDER_REFUSES",
        [BLOCKER_HOLDER_PROTECTED] = "HOLDER_PROTECTED",
        [BLOCKER_CANNOT_UNMAP] = "CANNOT_UNMAP",
        [BLOCKER_FS_SHUTDOWN] = "FS_SHUTDOWN",
        [BLOCKER_CANNOT_SHUT_DOWN] = "CANNOT_SHUT_DOWN",
        [BLOCKER_HOLDERS_UNKNOWN] = "HOLDERS_UNKNOWN",
        [BLOCKER_OTHER_CARD] = "OTHER_CARD",
        [BLOCKER_OTHER_WINDOW] = "OTHER_WINDOW",
        [BLOCKER_PEER_MISSING] = "PEER_MISSING",
        [BLOCKER_NOT_READY] = "NOT_READY",
        [BLOCKER_NO_PROGRAM] = "NO_PROGRAM",
        [BLOCKER_NO_SANITIZE] = "NO_SANITIZE",
        [BLOCKER_PASSPHRASE] = "PASSPHRASE",
        [BLOCKER_WHICH_SERIAL] = "WHICH_SERIAL",
        [BLOCKER_ERASES] = "ERASES",
        [BLOCKER_ERASED] = "ERASED",
        [BLOCKER_POWER_UNSEEN] = "POWER_UNSEEN",
        [BLOCKER_NOT_IDLE] = "NOT_IDLE",
        [BLOCKER_HOOK_VETO] = "HOOK_VETO",
        [BLOCKER_HOOK_FAILED] = "HOOK_FAILED",
        [BLOCKER_HOOKS_NOT_ASKED] = "HOOKS_NOT_ASKED",
        [BLOCKER_POLICY] = "POLICY",
};

DEFINE_STRING_TABLE(blocker_code, BlockerCode)

json_object *finding(Findings *f, BlockerCode code, bool hard, const char *format, ...) {
        _cleanup_free_ char *what = NULL;
        json_object *o = json_object_new_object();
        va_list ap;

        va_start(ap, format);
        what = strfv(format, ap);
        va_end(ap);

        json_set_str(o, "code", blocker_code_to_string(code));
        json_set_str(o, "severity", hard ? "hard" : "soft");
        json_set_str(o, "what", what);
        json_set_str(o, "evidence", NULL);
        json_set(o, "remedy", json_object_new_array());
        json_object_array_add(hard ? f->blockers : f->warnings, o);
        return o;
}

void finding_remedy(json_object *o, const char *format, ...) {
        _cleanup_free_ char *line = NULL;
        va_list ap;

        va_start(ap, format);
        line = strfv(format, ap);
        va_end(ap);
        json_append_str(json_array(o, "remedy"), line);
}
