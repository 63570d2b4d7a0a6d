/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "kernel/boot-log.h"

enum {
        RECORDS_MAX = 1 << 18, /* more than a log has: whoever fills it meanwhile does not keep us */
        FIELD_MAX = 31,
};

void boot_log_done(BootLog *l) {
        for (size_t i = 0; i < l->n_items; i++) {
                free(l->items[i].bdf);
                free(l->items[i].controller);
        }
        free(l->items);
        *l = (BootLog) { 0 };
}

static int add(BootLog *l, const char *bdf, const char *controller, uint32_t class, uint64_t sequence) {
        int r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(LogEntry));
        if (r < 0)
                return r;
        LogEntry *e = &l->items[l->n_items++];
        *e = (LogEntry) { .bdf = strdup(bdf), .controller = controller ? strdup(controller) : NULL, .class = class, .sequence = sequence };
        return e->bdf && (e->controller || !controller) ? 0 : -ENOMEM;
}

static void drop(BootLog *l, LogEntry *e) {
        free(e->bdf);
        free(e->controller);
        *e = l->items[--l->n_items];
}

/* "pci 0000:0d:00.0: [1b36:0010] type 00 class 0x010802 PCIe Endpoint" (older kernels without the last words). */
static int take_function(BootLog *l, const KmsgRecord *record, const char *said) {
        char bdf[FIELD_MAX + 1];
        unsigned class;

        if (sscanf(said, "%31[0-9a-f:.] [%*x:%*x] type %*x class 0x%x", bdf, &class) != 2 || !endswith(bdf, ":"))
                return 0;
        bdf[strlen(bdf) - 1] = '\0';
        for (size_t i = 0; i < l->n_items; i++)
                if (!l->items[i].controller && l->items[i].class == class && streq(l->items[i].bdf, bdf)) {
                        l->items[i].sequence = record->sequence;
                        return 0;
                }
        return add(l, bdf, NULL, class, record->sequence);
}

/* "nvme nvme0: pci function 0000:0d:00.0"; of one that is reached over a network something else. A number is given out again when nothing
 * refers to its controller any more. */
static int take_controller(BootLog *l, const KmsgRecord *record, const char *said) {
        char name[FIELD_MAX + 1], bdf[FIELD_MAX + 1];
        int fields = sscanf(said, "%31[a-z0-9]: pci function %31[0-9a-f:.]", name, bdf);

        if (fields < 1 || (fields < 2 && !strstr(said, ": new ctrl: ")))
                return 0;
        LogEntry *before = (LogEntry *) boot_log_controller(l, name);
        if (before)
                drop(l, before);
        return fields < 2 ? 0 : add(l, bdf, name, 0, record->sequence);
}

int boot_log_take(BootLog *l, const KmsgRecord *record) {
        if (!l->begun)
                l->first = record->sequence;
        l->begun = true;
        /* A program may say anything, but neither for the kernel nor of a device (kernel/kmsg.c). */
        if (record->priority >> 3 != 0 || !record->device)
                return 0;
        const char *function = startswith(record->text, "pci "), *controller = startswith(record->text, "nvme ");
        if (function && startswith(record->device, "+pci:"))
                return take_function(l, record, function);
        return controller ? take_controller(l, record, controller) : 0;
}

int boot_log_load(BootLog *l) {
        _cleanup_close_ int fd = kmsg_open_all();
        int r = fd < 0 ? fd : 1;

        for (size_t i = 0; i < RECORDS_MAX && r > 0; i++) {
                _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };
                int k;

                r = kmsg_next(fd, &record);
                k = r > 0 ? boot_log_take(l, &record) : 0;
                r = k < 0 ? k : r;
        }
        return r < 0 ? r : 0;
}

const LogEntry *boot_log_controller(const BootLog *l, const char *controller) {
        for (size_t i = 0; i < l->n_items; i++)
                if (streq_ptr(l->items[i].controller, controller))
                        return &l->items[i];
        return NULL;
}
