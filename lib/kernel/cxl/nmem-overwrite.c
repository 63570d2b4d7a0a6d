/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/cxl/nmem-overwrite.h"
#include "kernel/log/kmsg-since.h"
#include "kernel/sysfs/attr.h"

enum {
        FACILITY_SHIFT = 3,     /* of a record's priority; 0 is the kernel */
};

const char *overwrite_control(void) {
        static const char *const places[] = { "/proc/dynamic_debug/control", "/sys/kernel/debug/dynamic_debug/control" };

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (path_existsf("%s", places[i]))
                        return places[i];
        return NULL;
}

/* drivers/nvdimm/security.c:462 [libnvdimm]__nvdimm_security_overwrite_query =p "overwrite completed\012" (lib/dynamic_debug.c:ddebug_proc_show).
 * 1 or 0: the message is there, and on or off. -ENOENT: another message. */
static int read_line(const char *line, size_t n) {
        static const char function[] = "]__nvdimm_security_overwrite_query =";
        const char *flags = memmem(line, n, function, strlen(function)), *end = line + n;

        if (!flags)
                return -ENOENT;
        flags += strlen(function);
        const char *text = memchr(flags, ' ', (size_t) (end - flags));
        if (!text || !memmem(text, (size_t) (end - text), "overwrite completed", strlen("overwrite completed")))
                return -ENOENT;
        return memchr(flags, 'p', (size_t) (text - flags)) ? 1 : 0;
}

int overwrite_is_told(void) {
        const char *control = overwrite_control();
        _cleanup_free_ char *text = NULL;

        int r = control ? read_file(control, &text, NULL) : -EOPNOTSUPP;
        return r < 0 ? r : overwrite_told_by(text);
}

int overwrite_told_by(const char *text) {
        for (const char *line = text; *line;) {
                size_t n = strcspn(line, "\n");

                int r = read_line(line, n);
                if (r >= 0)
                        return r;
                line += n + (line[n] ? 1 : 0);
        }
        return -EOPNOTSUPP;
}

/* A record is of a module by its device number, or by its name where it has none (drivers/base/core.c:set_dev_info). */
static int device_of(const char *nmem, char **ret) {
        _cleanup_free_ char *number = NULL;

        int r = attr_readf(&number, "/sys/bus/nd/devices/%s/dev", nmem);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = number ? strf("c%s", number) : strf("+nd:%s", nmem);
        return *ret ? 0 : -ENOMEM;
}

typedef struct Ending {
        const char *device, *completed, *failed;
        int said;
} Ending;

/* The last word of the kernel counts. Nobody else can name a device in a record. */
static bool hear_ending(KmsgRecord *record, void *data) {
        Ending *e = data;

        if (record->priority >> FACILITY_SHIFT == 0 && streq_ptr(record->device, e->device))
                e->said = endswith(record->text, e->completed) ? 1 : endswith(record->text, e->failed) ? 0 : e->said;
        return false;
}

int overwrite_ended(const char *nmem, uint64_t since) {
        _cleanup_free_ char *device = NULL, *completed = strf("%s: overwrite completed", nmem), *failed = strf("%s: overwrite failed", nmem);
        uint64_t next_one;

        int r = completed && failed ? device_of(nmem, &device) : -ENOMEM;
        if (r < 0)
                return r;
        Ending ending = { .device = device, .completed = completed, .failed = failed, .said = -ENODATA };
        r = kmsg_each_since(since, hear_ending, &ending, &next_one);
        return r < 0 ? r : ending.said;
}
