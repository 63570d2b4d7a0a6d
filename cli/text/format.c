/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "format.h"

const char *format_size(char buf[static FORMAT_MAX], uint64_t bytes) {
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        uint64_t unit = 1;
        size_t u = 0;

        while (u + 1 < ELEMENTSOF(units) && bytes / unit >= 1024) {
                unit *= 1024;
                u++;
        }

        uint64_t whole = bytes / unit, tenth = 0;
        if (u > 0) {
                /* Rounded down: a number of free bytes must never be shown larger than it is. */
                tenth = bytes % unit / (unit / 1024) * 10 / 1024;
        }
        if (tenth > 0 && whole < 100)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 ".%" PRIu64 " %s", whole, tenth, units[u]);
        else
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " %s", whole, units[u]);
        return buf;
}

const char *format_duration(char buf[static FORMAT_MAX], uint64_t usec) {
        uint64_t sec = usec / USEC_PER_SEC;

        if (usec < 100 * USEC_PER_MSEC)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " ms", usec / USEC_PER_MSEC);
        else if (sec < 10)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 ".%" PRIu64 " s", sec, usec % USEC_PER_SEC / 100000);
        else if (sec < 60)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " s", sec);
        else if (sec < 3600)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " min %02" PRIu64 " s", sec / 60, sec % 60);
        else
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " h %02" PRIu64 " min", sec / 3600, sec / 60 % 60);
        return buf;
}

const char *format_time(char buf[static FORMAT_MAX], uint64_t usec) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (usec == 0 || !localtime_r(&t, &tm) || strftime(buf, FORMAT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                snprintf(buf, FORMAT_MAX, "-");
        return buf;
}

size_t format_width(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                if (((unsigned char) *s & 0xc0) != 0x80)
                        n++;
        return n;
}
