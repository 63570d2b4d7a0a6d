/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/picture/picture.h"
#include "tests/unit/test.h"

/* What a comparison of a recorded machine with itself tells, once something of it is another. */

typedef struct Told {
        char *text;             /* all lines */
        size_t n;
} Told;

static inline void keep(void *userdata, const char *text) {
        Told *t = userdata;
        char *before = t->text;

        t->text = strf("%s%s\n", before ?: "", text);
        t->n++;
        free(before);
}

static inline json_object *take(Topology *t, const char *slot_name) {
        _cleanup_(scope_done) Scope s = { 0 };
        const Slot *slot = topology_slot(t, slot_name);

        CHECK(slot);
        CHECK_INT(scope_find(t, slot, &s), 0);
        return picture_of(&s, t);
}

static inline void check_told(json_object *before, Topology *t, const char *slot, const char *want) {
        _cleanup_json_ json_object *after = take(t, slot);
        Told told = { 0 };

        size_t n = picture_compare(before, after, keep, &told);
        CHECK_INT(n, told.n);
        CHECK_STR(told.text ?: "", want);
        free(told.text);
}

static inline void set(char **field, const char *value) {
        free(*field);
        *field = value ? strdup(value) : NULL;
}

/* One thing of the machine that somebody else makes another one, and what is said of it. */
typedef struct Change {
        void (*make)(Topology *t);
        const char *told;
} Change;

/* Each by itself, on a look of its own. */
static inline void check_changes(json_object *before, const char *slot, const Change *changes, size_t n) {
        for (size_t i = 0; i < n; i++) {
                _cleanup_(topology_freep) Topology *t = NULL;

                CHECK_INT(topology_load(&t), 0);
                changes[i].make(t);
                check_told(before, t, slot, changes[i].told);
        }
}
