/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/cxl/nmem-overwrite.h"
#include "kernel/log/kmsg.h"
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

int overwrite_ended(const char *nmem, uint64_t since) {
        _cleanup_free_ char *device = NULL, *completed = strf("%s: overwrite completed", nmem), *failed = strf("%s: overwrite failed", nmem);
        int said = -ENODATA;

        int r = completed && failed ? device_of(nmem, &device) : -ENOMEM;
        _cleanup_close_ int fd = r < 0 ? r : kmsg_open_all();
        if (fd < 0)
                return fd;
        for (;;) {
                _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };

                r = kmsg_next(fd, &record);
                if (r <= 0)
                        return r < 0 ? r : said;
                /* Nobody but the kernel can name a device in a record. */
                if (record.sequence < since || record.priority >> FACILITY_SHIFT != 0 || !streq_ptr(record.device, device))
                        continue;
                if (endswith(record.text, completed))
                        said = 1;
                else if (endswith(record.text, failed))
                        said = 0;
        }
}
