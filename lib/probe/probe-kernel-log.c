/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/kmsg-since.h"
#include "probe/probe.h"

/* A kernel that has complained about its own memory is not asked whether the card's is gone. */
static int ask(json_object *scope, char **ret_answer) {
        json_object *since = json_get(scope, "since");
        const KmsgMark mark = { .sequence = json_u64(since, "sequence"), .taint = json_u64(since, "taint") };
        _cleanup_free_ char *line = NULL;

        if (!since) {
                *ret_answer = strdup("no removal is known from whose start on to look");
                return 1;
        }
        int r = kmsg_clean_since(&mark, &line);
        if (r == 0)
                *ret_answer = strf("it says: %s", line);
        return r;
}

const Probe probe_kernel_log = {
        .name = "kernel-log",
        .question = "has the kernel complained of nothing since the removal began",
        .before_power_off = true,
        .ask = ask,
};
