/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "base/util.h"

/* One record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg): "prio,seq,usec,flags[,more];text\n KEY=value\n". */
typedef struct KmsgRecord {
        unsigned priority;     /* syslog level in the low three bits, facility above */
        uint64_t sequence;     /* gapless; a gap means lost records */
        uint64_t usec;         /* monotonic */
        char *text;
        char *device;          /* value of DEVICE=, or NULL: only the kernel can set it */
} KmsgRecord;

void kmsg_record_done(KmsgRecord *record);

/* Parses one record as one read() of /dev/kmsg returns it and undoes its \xHH escapes. -EBADMSG when it is not one. */
int kmsg_parse(const char *data, size_t length, KmsgRecord *ret);

/* The log, without waiting for what will be said; and from its beginning on. A descriptor or a negative errno. */
int kmsg_open(int flags);
int kmsg_open_all(void);

/* 1: a record was read, for kmsg_record_done(); 0: there are no more. Where some were overwritten (EPIPE), the next one is the first after
 * them: its number tells. */
int kmsg_next(int fd, KmsgRecord *ret);

/* What pciehp says about a slot. There is no uevent, netlink message or tracepoint for the button: its log line is the
 * only sign (drivers/pci/hotplug/pciehp_ctrl.c:pciehp_handle_button_press, 6.1 to 7.2). */
typedef enum SlotMessage {
        SLOT_MESSAGE_POWER_OFF,        /* pressed: pciehp will power the slot off in 5 seconds */
        SLOT_MESSAGE_CANCEL,           /* pressed again: it will not */
        SLOT_MESSAGE_CARD_GONE,        /* pulled without asking */
        SLOT_MESSAGE_CARD_DOUBTED,     /* its link went down, or an error may have taken it: whether it is gone the slot tells */
        _SLOT_MESSAGE_MAX,
        _SLOT_MESSAGE_INVALID = -EINVAL,
} SlotMessage;

DECLARE_STRING_TABLE(slot_message, SlotMessage); /* "power-off", "cancel", "card-gone", "card-doubted" */

/* The slot message a record carries, and the address of the port it is about (points into the record).
 * _SLOT_MESSAGE_INVALID for every other record. The DEVICE key decides which port it is: the number in the text is the
 * physical slot number, which need not be unique. */
SlotMessage kmsg_slot_message(const KmsgRecord *record, const char **ret_port);
