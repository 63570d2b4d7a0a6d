/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/attr.h"
#include "kernel/blockdev.h"
#include "kernel/dm-table.h"
#include "kernel/listing.h"
#include "kernel/mountinfo.h"
#include "step/device-back.h"
#include "step/dm-setup.h"

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

/* translate(): collects the names instead. */
static char *collect(const char *number, void *userdata) {
        _cleanup_free_ char *name = NULL, *mapping = NULL, *path = NULL;
        dev_t dev;

        if (dev_parse(number, &dev) < 0 || blockdev_name(dev, &name) < 0)
                return NULL;
        if (attr_readf(&mapping, "/sys/class/block/%s/dm/name", name) >= 0)
                path = strf(MAPPED "%s", mapping);
        json_set_str(userdata, number, path ?: name);
        return NULL;
}

int dm_setup_note(StepRun *run, const char *name, const char *block) {
        _cleanup_json_ json_object *note = json_object_new_object();
        json_object *made_of = json_object_new_object();
        _cleanup_free_ char *table = NULL, *same = NULL;
        uint64_t read_only = 0;

        int r = dm_setup_table(run, name, &table);
        if (r >= 0) {
                (void) attr_read_u64f(&read_only, "/sys/block/%s/ro", block);
                same = dm_table_translate(table, collect, made_of);
        }
        json_set_str(note, "table", table);
        json_set_bool(note, "read_only", read_only);
        json_set(note, "made_of", made_of);
        if (r < 0)
                return r;
        return same ? step_note(run, TAKE_PTR(note)) : -ENOMEM;
}

/* translate(): the number that the noted name has now. */
static char *number_now(const char *number, void *userdata) {
        const char *name = json_str(userdata, number), *mapping = name ? startswith(name, MAPPED) : NULL;
        _cleanup_free_ char *block = NULL;
        dev_t dev;

        if (mapping && dm_find(mapping, NULL, &block) >= 0)
                name = block;
        return name && blockdev_number(name, &dev) >= 0 ? strf("%u:%u", major(dev), minor(dev)) : NULL;
}

char *dm_setup_noted(StepRun *run) {
        const char *table = step_noted(run, "table");

        return table ? dm_table_translate(table, number_now, step_noted_object(run, "made_of")) : NULL;
}
