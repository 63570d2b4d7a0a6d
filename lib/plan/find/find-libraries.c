/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libcxl, libdaxctl and libndctl see of the card, against what we do. */
#include "kernel/cxl/testimony.h"
#include "plan/find/blockers.h"

enum {
        NOTES_MAX = 16,
};

/* How to see what it sees. */
static const char *command_of(const char *library) {
        return streq_ptr(library, "libdaxctl") ? "daxctl list -D -R" : streq_ptr(library, "libndctl") ? "ndctl list -R -N -i" : "cxl list -M -R -T";
}

static void tell(Findings *f, json_object *said) {
        const char *library = json_str(said, "library") ?: "?";
        bool hard = json_flag(said, "contradicts");
        json_object *o = finding(f, BLOCKER_LIBRARIES_DISAGREE, hard,
                                 hard ? "%s and the kernel's own files disagree about this card" : "%s has not "
                    "given a complete answer about this card", library);

        json_set_str(o, "library", library);
        json_set_str(o, "evidence", json_str(said, "text"));
        if (hard)
                finding_remedy(o, "%s  # shows what the library sees; compare with safe-remove show. Nothing is removed while they differ",
                               command_of(library));
        else
                finding_remedy(o, "udevadm settle --timeout=60; %s  # what it sees", command_of(library));
}

/* Every contradiction is in the way, and told. Of what is not said there may be a line for each device. */
static void tell_all(Findings *f, json_object *said) {
        size_t n_notes = 0;

        for (size_t i = 0; i < json_len(said); i++)
                if (json_flag(json_at(said, i), "contradicts") || n_notes++ < NOTES_MAX)
                        tell(f, json_at(said, i));
        if (n_notes > NOTES_MAX) {
                json_object *o = finding(f, BLOCKER_LIBRARIES_DISAGREE, false, "%zu more things that the libraries do not see of the card, or have not said",
                                         n_notes - NOTES_MAX);
                json_set_strf(o, "evidence", "the first %d are told one by one", NOTES_MAX);
        }
}

void find_libraries(Findings *f) {
        if (!f->request->libraries)
                return;
        _cleanup_json_ json_object *ours = scope_witness_json(f->s, f->t), *found = testimony_against(ours, f->request->libraries);

        testimony_add_standing(found, f->request->said_before, f->request->libraries);
        tell_all(f, found);
}
