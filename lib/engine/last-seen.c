/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "base/run-dir.h"
#include "engine/last-seen.h"

enum {
        SIZE_MAX_BYTES = 256 * 1024, /* a card with a thousand partitions has less */
};

static int path_of(const char *key, char **ret) {
        if (!key || !*key || *key == '.' || strchr(key, '/'))
                return -EINVAL;
        char *path = strf("%s/cards/%s.json", run_dir(), key);
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}

char *last_seen_path(const char *key) {
        char *path = NULL;

        return path_of(key, &path) < 0 ? NULL : path;
}

int last_seen_load(const char *key, json_object **ret) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        _cleanup_json_ json_object *o = NULL;
        char boot[33];
        size_t n = 0;

        int r = path_of(key, &path);
        if (r == -EINVAL)
                return -ENOENT; /* nobody remembers anything by such a key */
        if (r >= 0)
                r = read_regular_file(path, SIZE_MAX_BYTES, &text, &n);
        if (r >= 0)
                r = json_parse_names(text, n, &o);
        if (r >= 0)
                r = boot_id_read(boot);
        if (r < 0)
                return r;
        if (!streq_ptr(json_str(o, "boot"), boot))
                return -ENOENT;
        r = format_check(o, FORMAT_CARD);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

static int folder_make(void) {
        _cleanup_free_ char *folder = strf("%s/cards", run_dir());

        if (!folder)
                return -ENOMEM;
        int r = mkdir_private(run_dir());
        return r < 0 ? r : mkdir_private(folder);
}

static int store(const char *key, json_object *o) {
        _cleanup_free_ char *path = NULL;
        const char *text = json_text(o);

        int r = path_of(key, &path);
        if (r < 0)
                return r;
        if (!text)
                return -ENOMEM;
        if (strlen(text) > SIZE_MAX_BYTES)
                return -EFBIG;
        r = folder_make();
        return r < 0 ? r : write_file_durably(path, text);
}

int last_seen_store(const char *key, json_object *card, json_object *scope) {
        _cleanup_json_ json_object *o = json_object_new_object();
        char boot[33];

        int r = boot_id_read(boot);
        if (r < 0)
                return r;
        format_set(o, FORMAT_CARD);
        json_set_str(o, "boot", boot);
        json_set_u64(o, "seen_usec", now_monotonic());
        json_set(o, "card", json_ref(card));
        json_set(o, "scope", json_ref(scope));
        return store(key, o);
}

int last_seen_add_lost(const char *key, json_object *lost) {
        _cleanup_json_ json_object *o = NULL;

        int r = last_seen_load(key, &o);
        if (r < 0)
                return r;
        json_set(o, "lost", json_ref(lost));
        return store(key, o);
}

void last_seen_forget(const char *key) {
        _cleanup_free_ char *path = NULL;

        if (path_of(key, &path) >= 0)
                (void) unlink(path);
}
