/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/sysmacros.h>

#include "kernel/block/dm-set.h"
#include "kernel/block/dm-state.h"
#include "kernel/block/dm-table.h"
#include "fuzz.h"

static char *leave(const char *number, void *userdata) {
        FUZZ_CHECK(strchr(number, ':'));
        return NULL;
}

static char *number_of(dev_t dev, void *userdata) {
        return strf("%u:%u", major(dev), minor(dev));
}

/* The text as what the kernel says, as the table of an array, as one that is to lose a part. */
static void as_sets(const char *text) {
        const dev_t parts[] = { makedev(8, 0), makedev(259, 1) };
        _cleanup_dm_targets_ DmTargets all = { 0 };
        _cleanup_(md_array_freep) MdArray *a = NULL;
        _cleanup_free_ char *less = dm_table_without(text, parts, ELEMENTSOF(parts)), *type = NULL;

        (void) dm_targets_parse(text, &all);
        if (dm_raid_parse(text, text, number_of, NULL, &a) >= 0)
                FUZZ_CHECK(a->level);
        (void) dm_paths_without(text, parts, ELEMENTSOF(parts));
        (void) dm_table_fate(text, false, &type);
        FUZZ_CHECK(!less || (!strstr(less, " 8:0 ") && !strstr(less, " 259:1 ")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *same = dm_table_translate(text, leave, NULL);
        _cleanup_free_ char *concise = dm_table_concise(text, text, false, text);

        FUZZ_CHECK(same && streq(same, text));
        FUZZ_CHECK(concise && strlen(concise) >= 3 * strlen(text));
        as_sets(text);
        return 0;
}
