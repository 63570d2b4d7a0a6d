/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/process/process-stat.h"

enum {
        /* proc_pid_stat(5); what follows the command's closing parenthesis begins with the third. */
        FIRST_FIELD = 3,
        FIELD_PPID = 4,
        FIELD_SESSION = 6,
        FIELD_FLAGS = 9,
        FIELD_THREADS = 20,
        FIELD_START_TIME = 22,

        KERNEL_THREAD = 0x00200000, /* PF_KTHREAD, include/linux/sched.h */
};

/* The command may contain blanks and parentheses, so fields count from the last parenthesis. */
static int stat_field(const char *stat, unsigned field, uint64_t *ret) {
        const char *p = strrchr(stat, ')');

        if (!p || *++p != ' ')
                return -EBADMSG;
        p++;
        for (unsigned i = FIRST_FIELD; i < field; i++) {
                p = strchr(p, ' ');
                if (!p)
                        return -EBADMSG;
                p++;
        }

        _cleanup_free_ char *text = strndup(p, strcspn(p, " \n"));
        if (!text)
                return -ENOMEM;
        return parse_u64(text, ret) < 0 ? -EBADMSG : 0;
}

int stat_start_time(const char *stat, uint64_t *ret) {
        return stat_field(stat, FIELD_START_TIME, ret);
}

int stat_parse(const char *stat, ProcessStat *ret) {
        uint64_t ppid, session, flags, threads, start;

        int r = stat_field(stat, FIELD_PPID, &ppid);
        if (r >= 0)
                r = stat_field(stat, FIELD_SESSION, &session);
        if (r >= 0)
                r = stat_field(stat, FIELD_FLAGS, &flags);
        if (r >= 0)
                r = stat_field(stat, FIELD_THREADS, &threads);
        if (r >= 0)
                r = stat_field(stat, FIELD_START_TIME, &start);
        if (r < 0)
                return r;
        if (ppid > INT32_MAX || session > INT32_MAX)
                return -EBADMSG;

        *ret = (ProcessStat) {
                .state = strrchr(stat, ')')[2],
                .ppid = (int) ppid,
                .session = (int) session,
                .kernel_thread = flags & KERNEL_THREAD,
                .threads = threads,
                .start_time = start,
        };
        return 0;
}

bool process_stat_ended(const ProcessStat *st) {
        return (st->state == 'Z' || st->state == 'X') && st->threads <= 1;
}
