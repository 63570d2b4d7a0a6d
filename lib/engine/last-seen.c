/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "engine/last-seen.h"
#include "kernel/run/boot-record.h"

static const BootRecords records = {
        .folder = "cards",
        .format = FORMAT_CARD,
        .max_bytes = 256 * 1024, /* a card with a thousand partitions has less */
        .has_names = true,
};

/* Newly allocated, and NULL without memory: a slot without a key has no record either. */
static char *name_of(const char *key) {
        return strf("%s.json", key ?: "");
}

char *last_seen_path(const char *key) {
        _cleanup_free_ char *name = name_of(key);

        return boot_record_path(&records, name);
}

int last_seen_load(const char *key, json_object **ret) {
        _cleanup_free_ char *name = name_of(key);

        int r = name ? boot_record_read(&records, name, NULL, ret) : -ENOMEM;
        return r == -ESTALE ? -ENOENT : r;
}

static int store(const char *key, json_object *o) {
        _cleanup_free_ char *name = name_of(key);

        return name ? boot_record_write(&records, name, NULL, o) : -ENOMEM;
}

int last_seen_store(const char *key, json_object *card, json_object *scope) {
        _cleanup_json_ json_object *o = json_object_new_object();

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
        _cleanup_free_ char *name = name_of(key);

        if (name)
                (void) boot_record_remove(&records, name);
}
