/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "base/run-dir.h"
#include "kernel/log/boot-log.h"

enum {
        RECORDS_MAX = 1 << 18, /* more than a log has: whoever fills it meanwhile does not keep us */
        ITEMS_MAX = 8192,      /* 32 network cards with all their virtual functions */
        FIELD_MAX = 31,
        KEPT_MAX = 2 * 1024 * 1024, /* as many, of 160 bytes each */
};

void boot_log_done(BootLog *l) {
        for (size_t i = 0; i < l->n_items; i++) {
                free(l->items[i].bdf);
                free(l->items[i].controller);
        }
        free(l->items);
        *l = (BootLog) { 0 };
}

static void begin(BootLog *l, uint64_t sequence) {
        boot_log_done(l);
        l->begun = true;
        l->first = l->last = l->changed = sequence;
}

static int add(BootLog *l, const char *bdf, const char *controller, uint32_t class, uint64_t sequence) {
        if (l->n_items >= ITEMS_MAX)
                begin(l, sequence);
        int r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(LogEntry));
        if (r < 0)
                return r;
        LogEntry *e = &l->items[l->n_items++];
        l->changed = sequence;
        *e = (LogEntry) { .bdf = strdup(bdf), .controller = controller ? strdup(controller) : NULL, .class = class, .sequence = sequence };
        return e->bdf && (e->controller || !controller) ? 0 : -ENOMEM;
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
                        l->items[i].sequence = l->changed = record->sequence;
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
        if (before) {
                free(before->bdf);
                free(before->controller);
                *before = l->items[--l->n_items];
                l->changed = record->sequence;
        }
        return fields < 2 ? 0 : add(l, bdf, name, 0, record->sequence);
}

int boot_log_take(BootLog *l, const KmsgRecord *record) {
        if (l->begun && record->sequence <= l->last)
                return 0;
        if (!l->begun || record->sequence - l->last > 1)
                begin(l, record->sequence);
        l->last = record->sequence;
        /* A program may say anything, but neither for the kernel nor of a device (kernel/log/kmsg.c). */
        if (record->priority >> 3 != 0 || !record->device)
                return 0;
        const char *function = startswith(record->text, "pci "), *controller = startswith(record->text, "nvme ");
        if (function && startswith(record->device, "+pci:"))
                return take_function(l, record, function);
        return controller ? take_controller(l, record, controller) : 0;
}

/* 0: all of it was read, *ret_last is the newest record's number. */
static int take_all(BootLog *l, uint64_t *ret_last) {
        uint64_t last = 0;
        int r;

        _cleanup_close_ int fd = kmsg_open_all();
        if (fd < 0)
                return fd;
        for (size_t i = 0; i < RECORDS_MAX; i++) {
                _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };

                r = kmsg_next(fd, &record);
                if (r == 0)
                        *ret_last = last;
                if (r <= 0)
                        return r;
                last = record.sequence;
                r = boot_log_take(l, &record);
                if (r < 0)
                        return r;
        }
        return -EOVERFLOW;
}

int boot_log_load(BootLog *l) {
        uint64_t last;

        int r = boot_log_kept(l);
        if (r == -ENOMEM)
                return r;
        r = take_all(l, &last);
        /* What is kept goes no further than the log, or is of another one. */
        if (r >= 0 && l->begun && l->last != last)
                r = -EBADMSG;
        if (r < 0)
                boot_log_done(l);
        return r;
}

const LogEntry *boot_log_controller(const BootLog *l, const char *controller) {
        for (size_t i = 0; i < l->n_items; i++)
                if (streq_ptr(l->items[i].controller, controller))
                        return &l->items[i];
        return NULL;
}

static char *kept_path(void) {
        return strf("%s/kernel-log", run_dir());
}

int boot_log_keep(const BootLog *l) {
        _cleanup_json_ json_object *o = json_object_new_object(), *said = json_object_new_array();
        _cleanup_free_ char *path = kept_path();
        char boot[33];

        int r = path ? boot_id_read(boot) : -ENOMEM;
        if (r >= 0)
                r = mkdir_private(run_dir());
        if (r < 0)
                return r;
        format_set(o, FORMAT_KERNEL_LOG);
        json_set_str(o, "boot", boot);
        json_set_u64(o, "first", l->first);
        json_set_u64(o, "last", l->last);
        for (size_t i = 0; i < l->n_items; i++) {
                json_object *e = json_object_new_object();
                json_set_str(e, "bdf", l->items[i].bdf);
                json_set_u64(e, "class", l->items[i].class);
                json_set_str(e, "controller", l->items[i].controller);
                json_set_u64(e, "sequence", l->items[i].sequence);
                json_object_array_add(said, e);
        }
        json_set(o, "said", json_ref(said));
        const char *text = json_text(o);
        return text ? write_file_durably(path, text) : -ENOMEM;
}

/* json_u64() that takes nothing else for a number. */
static int number_of(json_object *o, const char *key, uint64_t max, uint64_t *ret) {
        json_object *v = json_get(o, key);

        if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0 || json_object_get_uint64(v) > max)
                return -EBADMSG;
        *ret = json_object_get_uint64(v);
        return 0;
}

static int take_kept(BootLog *l, json_object *e) {
        const char *bdf = json_str(e, "bdf"), *controller = json_str(e, "controller");
        uint64_t class, sequence;

        int r = number_of(e, "class", UINT32_MAX, &class);
        if (r >= 0)
                r = number_of(e, "sequence", l->last, &sequence);
        if (r < 0 || !bdf || sequence < l->first || (json_has(e, "controller") && !controller) || l->n_items >= ITEMS_MAX)
                return -EBADMSG;
        return add(l, bdf, controller, (uint32_t) class, sequence);
}

static int understand(BootLog *l, json_object *o) {
        json_object *said = json_array(o, "said");
        char boot[33];

        int r = boot_id_read(boot);
        if (r < 0)
                return r;
        if (!streq_ptr(json_str(o, "boot"), boot))
                return -ENOENT;
        r = format_check(o, FORMAT_KERNEL_LOG);
        if (r >= 0)
                r = number_of(o, "last", UINT64_MAX, &l->last);
        if (r >= 0)
                r = number_of(o, "first", l->last, &l->first);
        if (r >= 0 && !said)
                r = -EBADMSG;
        for (size_t i = 0; i < json_len(said) && r >= 0; i++)
                r = take_kept(l, json_at(said, i));
        l->begun = true;
        return r;
}

int boot_log_kept(BootLog *ret) {
        _cleanup_free_ char *path = kept_path(), *text = NULL;
        _cleanup_json_ json_object *o = NULL;
        _cleanup_boot_log_ BootLog l = { 0 };
        size_t length;

        int r = path ? read_regular_file(path, KEPT_MAX, &text, &length) : -ENOMEM;
        if (r >= 0)
                r = json_parse(text, length, &o);
        if (r >= 0)
                r = understand(&l, o);
        if (r < 0)
                return r;
        l.changed = l.last;
        *ret = l;
        l = (BootLog) { 0 };
        return 0;
}
