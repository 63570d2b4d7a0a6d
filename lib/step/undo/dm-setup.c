/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/block/blockdev.h"
#include "kernel/block/dm-table.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "step/undo/device-back.h"
#include "step/undo/dm-setup.h"

#define MAPPED "mapper/"

int dm_find(const char *name, const char *uuid, char **ret_block) {
        _cleanup_listing_ Listing l = { 0 };
        bool by_uuid = uuid && *uuid;

        int r = listing_readf(&l, "/sys/block");
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                _cleanup_free_ char *text = NULL;

                if (!startswith(l.names[i], "dm-") || attr_readf(&text, "/sys/block/%s/dm/%s", l.names[i], by_uuid ? "uuid" : "name") < 0)
                        continue;
                if (!streq(text, by_uuid ? uuid : name))
                        continue;
                *ret_block = strdup(l.names[i]);
                return *ret_block ? 0 : -ENOMEM;
        }
        return r < 0 ? r : -ENODEV;
}

int dm_setup_table(StepRun *run, const char *name, char **ret) {
        const char *const argv[] = { "dmsetup", "table", name, NULL };

        return step_command(run, argv, ret);
}

/* What tells the disk under a name from another that has the name by now: a partition has that of its disk. NULL where it has none. */
static char *identity(const char *block) {
        static const char *const places[] = { "wwid", "device/wwid", "../wwid", "../device/wwid" };
        char *id = NULL;

        for (size_t i = 0; i < ELEMENTSOF(places) && !id; i++)
                if (attr_readf(&id, "/sys/class/block/%s/%s", block, places[i]) >= 0 && !*id) {
                        free(id);
                        id = NULL;
                }
        return id;
}

typedef struct Noted {
        json_object *made_of;   /* a name for each number */
        json_object *ids;       /* an identity for some of them */
        bool missing;           /* one of them is not there */
} Noted;

/* translate(): collects the names instead. */
static char *collect(const char *number, void *userdata) {
        const Noted *noted = userdata;
        _cleanup_free_ char *name = NULL, *mapping = NULL, *path = NULL, *id = NULL;
        dev_t dev;

        if (dev_parse(number, &dev) < 0 || blockdev_name(dev, &name) < 0)
                return NULL;
        if (attr_readf(&mapping, "/sys/class/block/%s/dm/name", name) >= 0)
                path = strf(MAPPED "%s", mapping);
        else
                id = identity(name);
        json_set_str(noted->made_of, number, path ?: name);
        if (id)
                json_set_str(noted->ids, number, id);
        return NULL;
}

int dm_setup_note(StepRun *run, const char *name, const char *block) {
        _cleanup_json_ json_object *note = json_object_new_object();
        Noted noted = { .made_of = json_object_new_object(), .ids = json_object_new_object() };
        _cleanup_free_ char *table = NULL, *same = NULL;
        uint64_t read_only = 0;

        int r = dm_setup_table(run, name, &table);
        if (r >= 0) {
                (void) attr_read_u64f(&read_only, "/sys/block/%s/ro", block);
                same = dm_table_translate(table, collect, &noted);
        }
        json_set_str(note, "table", table);
        json_set_bool(note, "read_only", read_only);
        json_set(note, "made_of", noted.made_of);
        json_set(note, "ids", noted.ids);
        if (r < 0)
                return r;
        return same ? step_note(run, TAKE_PTR(note)) : -ENOMEM;
}

static bool has_identity(const char *block, const char *id) {
        _cleanup_free_ char *now = identity(block);

        return streq_ptr(now, id);
}

static bool is_noted(const Noted *noted, const char *block) {
        json_object_object_foreach(noted->made_of, number, name) {
                (void) number;
                if (streq_ptr(json_object_get_string(name), block))
                        return true;
        }
        return false;
}

/* The same disk under another name: not one that is noted itself, since two ways to a disk have one identity. */
static char *other_name(const Noted *noted, const char *id) {
        _cleanup_listing_ Listing l = { 0 };

        if (listing_readf(&l, "/sys/class/block") < 0)
                return NULL;
        for (size_t i = 0; i < l.n; i++)
                if (!path_existsf("/sys/class/block/%s/partition", l.names[i]) && path_existsf("/sys/class/block/%s/dev", l.names[i]) &&
                    !is_noted(noted, l.names[i]) && has_identity(l.names[i], id))
                        return strdup(l.names[i]);
        return NULL;
}

/* The name that a noted device has now: newly allocated, or NULL. */
static char *name_now(const Noted *noted, const char *number) {
        const char *name = json_str(noted->made_of, number), *id = json_str(noted->ids, number);
        const char *mapping = name ? startswith(name, MAPPED) : NULL;
        char *block = NULL;

        if (mapping)
                return dm_find(mapping, NULL, &block) >= 0 ? block : NULL;
        if (!name)
                return NULL;
        return !id || has_identity(name, id) ? strdup(name) : other_name(noted, id);
}

/* translate(): the number that the noted device has now. */
static char *number_now(const char *number, void *userdata) {
        Noted *noted = userdata;
        _cleanup_free_ char *name = name_now(noted, number);
        dev_t dev;

        if (name && blockdev_number(name, &dev) >= 0)
                return strf("%u:%u", major(dev), minor(dev));
        noted->missing = noted->missing || json_str(noted->made_of, number);
        return NULL;
}

char *dm_setup_name_now(StepRun *run, const char *name) {
        Noted noted = { .made_of = step_noted_object(run, "made_of"), .ids = step_noted_object(run, "ids") };

        if (!noted.made_of)
                return NULL;
        json_object_object_foreach(noted.made_of, number, noted_name)
                if (streq_ptr(json_object_get_string(noted_name), name))
                        return name_now(&noted, number);
        return NULL;
}

char *dm_setup_noted(StepRun *run) {
        Noted noted = { .made_of = step_noted_object(run, "made_of"), .ids = step_noted_object(run, "ids") };
        const char *table = step_noted(run, "table");
        _cleanup_free_ char *now = table ? dm_table_translate(table, number_now, &noted) : NULL;

        /* What has the number of a device that is not there is another one. */
        return noted.missing ? NULL : TAKE_PTR(now);
}
