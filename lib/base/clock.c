/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"

static uint64_t now(clockid_t id) {
        struct timespec ts = { 0 };

        clock_gettime(id, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

uint64_t now_monotonic(void) {
        return now(CLOCK_MONOTONIC);
}

uint64_t now_wall(void) {
        return now(CLOCK_REALTIME);
}

static uint64_t end;
static bool was_short;

void time_set_end(uint64_t monotonic) {
        end = monotonic;
        was_short = was_short && end > 0;
}

bool time_has_ended(void) {
        return end > 0 && now_monotonic() >= end;
}

uint64_t time_for(uint64_t usec) {
        uint64_t now = now_monotonic(), half = end > now ? (end - now) / 2 : 0;

        if (end == 0 || usec <= half)
                return usec;
        was_short = true;
        return half;
}

bool time_was_short(void) {
        return was_short;
}

int boot_id_read(char ret[static 33]) {
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        int r = read_file("/proc/sys/kernel/random/boot_id", &text, NULL);
        if (r < 0)
                return r;
        for (const char *p = text; *p && *p != '\n'; p++) {
                if (*p == '-')
                        continue;
                if (n >= 32)
                        return -EBADMSG;
                ret[n++] = *p;
        }
        ret[n] = '\0';
        return n == 32 ? 0 : -EBADMSG;
}
