/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/log/kmsg.h"

/* Whatever a kernel log record holds: no crash, and a slot message only of a PCI device with text. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };
        const char *port = NULL;

        if (kmsg_parse((const char *) data, size, &record) < 0)
                return 0;
        if (strlen(record.text) > size || (record.device && strlen(record.device) > size))
                abort();
        if (kmsg_slot_message(&record, &port) >= 0 && (!port || !startswith(record.device, "+pci:")))
                abort();
        return 0;
}
