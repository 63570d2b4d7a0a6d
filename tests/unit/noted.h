/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* A step's notes as the engine keeps them, without a journal. */
static inline int keep_notes(StepRun *run, json_object *notes) {
        if (!run->notes)
                run->notes = json_object_new_array();
        for (size_t i = 0; i < json_len(notes); i++)
                json_object_array_add(run->notes, json_ref(json_at(notes, i)));
        return 0;
}
