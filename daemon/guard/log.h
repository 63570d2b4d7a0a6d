/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "kernel/log/kmsg.h"

/* Keeps what the kernel's log said of PCI functions, for when it is overwritten (kernel/log/boot-log.h). */
typedef struct KeptLog KeptLog;

/* Reads the log up to here. NULL: nothing is kept; both others do nothing then. */
KeptLog *kept_log_new(sd_event *event);
void kept_log_free(KeptLog *k);

/* One more record. It is written after everything else there is to do, and by another process. */
void kept_log_take(KeptLog *k, const KmsgRecord *record);
