/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/quirks.h"

#define RELEASE(major, minor) ((major) << 16 | (minor))

/* From the kernels' sources and from trying (Debian's 6.1, 6.12 and 7.2). What no row covers has not been looked at. */
static const struct {
        ForcedUnmap way;
        unsigned from, before;
        const char *why;        /* NULL: it works */
} rows[] = {
        /* drivers/dax/bus.c:kill_dev_dax. Pinned pages are another matter: nothing waits for those. */
        { FORCED_DEVICE_DAX, RELEASE(6, 1), RELEASE(6, 13), NULL },
        { FORCED_XFS, RELEASE(6, 1), RELEASE(6, 7), "it takes the removal for broken memory and poisons every page (drivers/dax/super.c:kill_dax)" },
        /* Once the files in use are written back: it does not let go of their dirty pages, and crashes at the umount. */
        { FORCED_XFS, RELEASE(6, 7), RELEASE(6, 13), NULL },
        /* rm_startblock + 1 wraps to 0: four billion turns with the file system frozen and the device locked. */
        { FORCED_XFS, RELEASE(6, 13), RELEASE(7, 3), "it never comes back (fs/xfs/xfs_notify_failure.c counts its blocks wrongly)" },
        { FORCED_FSDAX, RELEASE(6, 1), RELEASE(6, 13), "the processes keep reading memory that is gone, and the kernel crashes when the file system is "
                                                       "unmounted" },
        { FORCED_FSDAX, RELEASE(6, 13), RELEASE(7, 3), "the processes keep reading memory that is gone, and the kernel crashes when they end or the "
                                                       "file system is unmounted" },
        /* Before files' pages had counts of their own (6.13 to 6.15) nothing looks at a page that is gone when its mapping goes. */
        { FORCED_FSDAX_END, RELEASE(6, 1), RELEASE(6, 13), NULL },
        { FORCED_FSDAX_END, RELEASE(6, 13), RELEASE(7, 3), "the kernel crashes when a process ends that has memory mapped which is gone" },
};

static int parse_release(const char *release, unsigned *ret) {
        unsigned long major, minor;
        char *end;

        major = strtoul(release, &end, 10);
        if (end == release || *end != '.')
                return -EBADMSG;
        const char *rest = end + 1;
        minor = strtoul(rest, &end, 10);
        if (end == rest || major > UINT16_MAX || minor > UINT16_MAX)
                return -EBADMSG;
        *ret = RELEASE((unsigned) major, (unsigned) minor);
        return 0;
}

bool kernel_is_at_least(const char *release, unsigned major, unsigned minor) {
        unsigned version = 0;

        return release && parse_release(release, &version) >= 0 && version >= RELEASE(major, minor);
}

int forced_unmap_check(ForcedUnmap way, const char *release, char **ret_why) {
        struct utsname name = { 0 };
        unsigned version = 0;

        if (!release && uname(&name) >= 0)
                release = name.release;
        if (release && parse_release(release, &version) >= 0)
                for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                        if (rows[i].way != way || version < rows[i].from || version >= rows[i].before)
                                continue;
                        if (!rows[i].why)
                                return 0;
                        *ret_why = strf("kernel %s does not stand it: %s", release, rows[i].why);
                        return -EOPNOTSUPP;
                }
        *ret_why = strf("how kernel %s stands it is not known", release ?: "?");
        return -EOPNOTSUPP;
}

Lockdown lockdown_parse(const char *text) {
        if (strstr(text, "[none]"))
                return LOCKDOWN_NONE;
        if (strstr(text, "[integrity]"))
                return LOCKDOWN_INTEGRITY;
        return strstr(text, "[confidentiality]") ? LOCKDOWN_CONFIDENTIALITY : LOCKDOWN_UNKNOWN;
}

Lockdown lockdown_read(void) {
        _cleanup_free_ char *text = NULL;

        int r = attr_read("/sys/kernel/security/lockdown", &text);
        if (r < 0)
                return r == -ENOENT ? LOCKDOWN_NONE : LOCKDOWN_UNKNOWN;
        return lockdown_parse(text);
}
