/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/cxl/testimony.h"
#include "fuzz.h"

static void check_found(json_object *found) {
        bool any = false;

        FUZZ_CHECK(json_object_is_type(found, json_type_array));
        for (size_t i = 0; i < json_len(found); i++) {
                FUZZ_CHECK(json_str(json_at(found, i), "text") && json_str(json_at(found, i), "library"));
                any = any || json_flag(json_at(found, i), "contradicts");
        }
        FUZZ_CHECK(any == (testimony_contradiction(found) != NULL));
        json_object_put(found);
}

static void check_standing(json_object *earlier, json_object *theirs) {
        json_object *found = json_object_new_array();

        testimony_add_standing(found, earlier, theirs);
        check_found(found);
}

/* Two documents in an array: whatever has not their form says nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *both = NULL;

        if (json_parse((const char *) data, size, &both) < 0)
                return 0;
        _cleanup_json_ json_object *earlier = testimony_against(json_at(both, 0), json_at(both, 1));
        check_standing(earlier, json_at(both, 1));
        check_standing(earlier, json_at(both, 0));
        check_found(testimony_contradictions(earlier));
        check_found(testimony_contradictions(json_at(both, 0)));
        check_found(json_ref(earlier));
        check_found(testimony_left(json_at(both, 0), json_at(both, 1)));
        return 0;
}
