/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "holders/holder.h"
#include "kernel/mounts/mountinfo.h"

static const char *const target_kind_table[_TARGET_KIND_MAX] = {
        [TARGET_FS] = "fs",
        [TARGET_BLOCK] = "block",
        [TARGET_CHAR] = "char",
        [TARGET_FILE] = "file",
};

DEFINE_STRING_TABLE(target_kind, TargetKind)

void hold_targets_done(HoldTargets *t) {
        for (size_t i = 0; i < t->n_items; i++)
                free(t->items[i].name);
        free(t->items);
        free(t->protect_sessions);
        *t = (HoldTargets) { 0 };
}

bool hold_targets_have(const HoldTargets *t, const HoldTarget *target) {
        for (size_t i = 0; i < t->n_items; i++)
                if (t->items[i].kind == target->kind && t->items[i].dev == target->dev && t->items[i].inode == target->inode)
                        return true;
        return false;
}

static int add(HoldTargets *t, TargetKind kind, dev_t dev, uint64_t inode, const char *name) {
        if (hold_targets_have(t, &(HoldTarget) { .kind = kind, .dev = dev, .inode = inode }))
                return 0;

        int r = vec_grow((void **) &t->items, t->n_items, &t->n_allocated, sizeof(HoldTarget));
        if (r < 0)
                return r;
        char *copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        t->items[t->n_items++] = (HoldTarget) { .kind = kind, .dev = dev, .inode = inode, .name = copy };
        return 0;
}

int hold_targets_add(HoldTargets *t, TargetKind kind, dev_t dev, const char *name) {
        return kind == TARGET_FILE ? -EINVAL : add(t, kind, dev, 0, name);
}

int hold_targets_add_file(HoldTargets *t, dev_t dev, uint64_t inode, const char *name) {
        return inode == 0 ? -EINVAL : add(t, TARGET_FILE, dev, inode, name);
}

int hold_targets_protect_session(HoldTargets *t, int sid) {
        for (size_t i = 0; i < t->n_protect_sessions; i++)
                if (t->protect_sessions[i] == sid)
                        return 0;

        int r = vec_grow((void **) &t->protect_sessions, t->n_protect_sessions, &t->n_protect_sessions_allocated, sizeof(int));
        if (r < 0)
                return r;
        t->protect_sessions[t->n_protect_sessions++] = sid;
        return 0;
}

int hold_targets_copy(const HoldTargets *t, HoldTargets *ret) {
        _cleanup_(hold_targets_done) HoldTargets copy = { 0 };
        int r = 0;

        for (size_t i = 0; i < t->n_items && r >= 0; i++)
                r = add(&copy, t->items[i].kind, t->items[i].dev, t->items[i].inode, t->items[i].name);
        for (size_t i = 0; i < t->n_protect_sessions && r >= 0; i++)
                r = hold_targets_protect_session(&copy, t->protect_sessions[i]);
        if (r < 0)
                return r;
        *ret = copy;
        copy = (HoldTargets) { 0 };
        return 0;
}

static int add_from_json(HoldTargets *t, json_object *o) {
        const char *dev_text = json_str(o, "dev"), *name = json_str(o, "name");
        uint64_t session = json_u64(o, "protect_session"), inode = json_u64(o, "inode");
        dev_t dev;

        if (session > 0)
                return session <= INT32_MAX ? hold_targets_protect_session(t, (int) session) : -EINVAL;

        int kind = target_kind_from_string(json_str(o, "kind"));
        if (kind < 0 || !dev_text || (kind == TARGET_FILE) != (inode > 0))
                return -EINVAL;
        int r = dev_parse(dev_text, &dev);
        return r < 0 ? r : add(t, (TargetKind) kind, dev, inode, name ?: dev_text);
}

int hold_targets_from_json(json_object *array, HoldTargets *ret) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };

        if (!json_object_is_type(array, json_type_array))
                return -EINVAL;
        for (size_t i = 0; i < json_len(array); i++) {
                int r = add_from_json(&t, json_at(array, i));
                if (r < 0)
                        return r;
        }

        *ret = t;
        t = (HoldTargets) { 0 };
        return 0;
}

json_object *hold_targets_to_json(const HoldTargets *t) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < t->n_items; i++) {
                json_object *o = json_object_new_object();

                json_set_str(o, "kind", target_kind_to_string(t->items[i].kind));
                json_set_strf(o, "dev", "%u:%u", major(t->items[i].dev), minor(t->items[i].dev));
                if (t->items[i].inode > 0)
                        json_set_u64(o, "inode", t->items[i].inode);
                json_set_str(o, "name", t->items[i].name);
                json_object_array_add(array, o);
        }
        for (size_t i = 0; i < t->n_protect_sessions; i++) {
                json_object *o = json_object_new_object();

                json_set_u64(o, "protect_session", (uint64_t) t->protect_sessions[i]);
                json_object_array_add(array, o);
        }
        return array;
}
