/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "step/hooks/hooks-said.h"

#define COUNTS_USEC (60 * USEC_PER_SEC)

enum {
        BYTES_MAX = 64 * 1024, /* more than as many hooks as there may be come to */
};

static char *path_of_said(void) {
        return strf("%s/hooks-said.json", run_dir());
}

/* All that the answer was about, as one text: whatever else it is now, it is not this. */
static json_object *subject(json_object *hooks, json_object *plan) {
        json_object *o = json_object_new_object(), *files = json_object_new_array();
        char boot[33];

        json_set(o, "files", files);
        if (boot_id_read(boot) >= 0)
                json_set_str(o, "boot", boot);
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
        _cleanup_free_ char *path = path_of_said();

        json_set(o, "subject", subject(hooks, plan));
        json_set_u64(o, "at_usec", now_monotonic());
        const char *text = json_text(o);
        if (!path || !text)
                return -ENOMEM;
        if (strlen(text) > BYTES_MAX)
                return -EFBIG;
        int r = mkdir_private(run_dir());
        return r < 0 ? r : replace_file(path, text);
}

bool hooks_said_take(json_object *hooks, json_object *plan) {
        _cleanup_json_ json_object *kept = NULL, *now = subject(hooks, plan);
        _cleanup_free_ char *path = path_of_said(), *text = NULL;
        uint64_t at, time = now_monotonic();
        size_t n = 0;

        if (!path || read_regular_file(path, BYTES_MAX, &text, &n) < 0)
                return false;
        (void) unlink(path);
        if (json_parse(text, n, &kept) < 0 || !json_str(json_get(kept, "subject"), "boot"))
                return false;
        at = json_u64(kept, "at_usec");
        return at <= time && time - at < COUNTS_USEC && json_object_equal(json_get(kept, "subject"), now);
}
