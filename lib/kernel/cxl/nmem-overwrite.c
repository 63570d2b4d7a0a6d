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

int overwrite_ended(const char *nmem, uint64_t since) {
        _cleanup_free_ char *device = strf("+nd:%s", nmem);
        int r = -ENOMEM, said = -ENODATA;

        _cleanup_close_ int fd = device ? kmsg_open_all() : -ENOMEM;
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
                if (endswith(record.text, "overwrite completed"))
                        said = 1;
                else if (endswith(record.text, "overwrite failed"))
                        said = 0;
        }
}
