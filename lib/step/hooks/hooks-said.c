/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "kernel/run/boot-record.h"
#include "step/hooks/hooks-said.h"

#define COUNTS_USEC (60 * USEC_PER_SEC)

#define KEY "hooks-said.json"

static const BootRecords records = {
        .format = FORMAT_HOOKS_SAID,
        .max_bytes = 64 * 1024, /* more than as many hooks as there may be come to */
        .fleeting = true,
};

/* All that the answer was about, as one text: whatever else it is now, it is not this. */
static json_object *subject(json_object *hooks, json_object *plan) {
        json_object *o = json_object_new_object(), *files = json_object_new_array();

        json_set(o, "files", files);
        json_set_str(o, "digest", json_str(plan, "digest"));
        json_set_u64(o, "holders", json_len(json_array(plan, "holders")));
        for (size_t i = 0; i < json_len(hooks); i++) {
                json_object *hook = json_at(hooks, i);
                const char *path = json_str(hook, "path"), *user = json_str(hook, "user");
                struct stat st;

                if (!path || stat(path, &st) < 0)
                        json_object_array_add(files, NULL);
                else
                        json_append_strf(files, "%s as %s: %ju:%ju %jd bytes, %jd.%09ld %jd.%09ld", path, user ?: "?", (uintmax_t) st.st_dev,
                                         (uintmax_t) st.st_ino, (intmax_t) st.st_size, (intmax_t) st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                                         (intmax_t) st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
        }
        return o;
}

int hooks_said_keep(json_object *hooks, json_object *plan) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set(o, "subject", subject(hooks, plan));
        json_set_u64(o, "at_usec", now_monotonic());
        return boot_record_write(&records, KEY, NULL, o);
}

bool hooks_said_take(json_object *hooks, json_object *plan) {
        _cleanup_json_ json_object *kept = NULL, *now = subject(hooks, plan);
        uint64_t time = now_monotonic();

        int r = boot_record_read(&records, KEY, NULL, &kept);
        (void) boot_record_remove(&records, KEY);
        if (r < 0)
                return false;
        uint64_t at = json_u64(kept, "at_usec");
        return at <= time && time - at < COUNTS_USEC && json_object_equal(json_get(kept, "subject"), now);
}
