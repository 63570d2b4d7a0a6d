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

static const BootRecords retired = {
        .folder = "cards-gone",
        .format = FORMAT_CARD,
        .max_bytes = 256 * 1024,
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

static int load(const BootRecords *of, const char *key, json_object **ret) {
        _cleanup_free_ char *name = name_of(key);

        int r = name ? boot_record_read(of, name, NULL, ret) : -ENOMEM;
        return r == -ESTALE ? -ENOENT : r;
}

int last_seen_load(const char *key, json_object **ret) {
        return load(&records, key, ret);
}

int last_seen_load_retired(const char *key, json_object **ret) {
        return load(&retired, key, ret);
}

static int store(const BootRecords *in, const char *key, json_object *o) {
        _cleanup_free_ char *name = name_of(key);

        return name ? boot_record_write(in, name, NULL, o) : -ENOMEM;
}

static void forget(const BootRecords *of, const char *key) {
        _cleanup_free_ char *name = name_of(key);

        if (name)
                (void) boot_record_remove(of, name);
}

int last_seen_store(const char *key, json_object *card, json_object *scope) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_u64(o, "seen_usec", now_monotonic());
        json_set(o, "card", json_ref(card));
        json_set(o, "scope", json_ref(scope));
        forget(&retired, key);
        return store(&records, key, o);
}

int last_seen_add_lost(const char *key, json_object *lost) {
        _cleanup_json_ json_object *o = NULL;

        int r = last_seen_load(key, &o);
        if (r < 0)
                return r;
        json_set(o, "lost", json_ref(lost));
        return store(&records, key, o);
}

int last_seen_add_incident(const char *key, const char *id) {
        const BootRecords *in = &records;
        _cleanup_json_ json_object *o = NULL;

        int r = load(in, key, &o);
        if (r == -ENOENT) {
                in = &retired;
                r = load(in, key, &o);
        }
        if (r < 0)
                return r;
        json_set_str(o, "incident", id);
        return store(in, key, o);
}

void last_seen_forget(const char *key) {
        forget(&records, key);
        forget(&retired, key);
}

/* What cannot be moved is not kept: nothing is left of it, which is what the other records are about. */
void last_seen_retire(const char *key) {
        _cleanup_free_ char *name = name_of(key);

        int r = name ? boot_record_make_folder(&retired) : -ENOMEM;
        if (r >= 0)
                r = boot_record_move(&records, &retired, name);
        if (r < 0)
                forget(&records, key);
}
