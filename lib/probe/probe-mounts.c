/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "kernel/mounts/mounts.h"
#include "probe/evidence.h"

enum {
        TIMEOUT_SEC = 10,
};

/* Anybody can make more of them, or larger ones, than there is time for. */
static bool is_cut(int error) {
        return error == -E2BIG || error == -EFBIG || error == -ETIME || error == -EINPROGRESS;
}

static int fs_gone(json_object *scope, json_object *file_system, char **ret_answer) {
        _cleanup_json_ json_object *mounts = NULL;
        MountedFs fs = { .type = json_str(file_system, "type") };

        int r = dev_parse(json_str(file_system, "dev") ?: "", &fs.dev);
        if (r >= 0)
                r = mounts_find_all(&fs, TIMEOUT_SEC * USEC_PER_SEC, &mounts);
        if (is_cut(r) && evidence_storage_is_free(scope))
                return 1;
        if (is_cut(r)) {
                *ret_answer = strdup("there are more mount namespaces than could be looked through");
                return 0;
        }
        if (r < 0)
                return r;
        if (json_len(mounts) == 0)
                return 1;
        json_object *first = json_at(mounts, 0);
        *ret_answer = strf("%s is mounted on %s (namespace %ju)", json_str(first, "source"), json_str(first, "target"),
                           (uintmax_t) json_u64(first, "ns"));
        return 0;
}

static int ask(json_object *scope, char **ret_answer) {
        json_object *all = json_array(scope, "file_systems");

        for (size_t i = 0; i < json_len(all); i++) {
                int r = fs_gone(scope, json_at(all, i), ret_answer);
                if (r <= 0)
                        return r;
        }
        return 1;
}

const Probe probe_mounts = {
        .name = "mounts",
        .question = "is no file system of the card mounted in any namespace",
        .before_power_off = true,
        .ask = ask,
};
