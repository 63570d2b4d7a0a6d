/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who does not want the card to go, or not yet (plan/find/inhibitor.h). In his own words: it is he who has to be asked. */
#include "base/clock.h"
#include "kernel/process/apart.h"
#include "plan/find/blockers.h"
#include "plan/find/inhibitor.h"

bool blockers_are_vetoes(json_object *blockers) {
        for (size_t i = 0; i < json_len(blockers); i++)
                if (!streq_ptr(json_str(json_at(blockers, i), "code"), blocker_code_to_string(BLOCKER_INHIBITED)))
                        return false;
        return json_len(blockers) > 0;
}

/* Whoever has it now may be another one: it lasts as long as its descriptor, which is handed on, and its number may be somebody else's by now. */
static const char *what_of_process(json_object *inhibitor) {
        uint64_t start_time = json_u64(inhibitor, "start_time");

        if (start_time == 0)
                return " when it was taken";
        return apart_is_alive((int) json_u64(inhibitor, "pid"), start_time) ? "" : ", which has ended and left it to another one";
}

static void set_evidence(json_object *o, json_object *inhibitor) {
        json_object *what = json_array(inhibitor, "what");
        _cleanup_free_ char *words = strdup("");

        json_set_u64(o, "inhibitor", json_u64(inhibitor, "id"));
        for (size_t i = 0; i < json_len(what); i++)
                (void) text_add(&words, " ", "%s", json_object_get_string(json_at(what, i)));
        if (json_flag(inhibitor, "lost"))
                json_set_strf(o, "evidence", "inhibitor %ju, of which is not known whom it is of", (uintmax_t) json_u64(inhibitor, "id"));
        else
                json_set_strf(o, "evidence", "%s inhibitor of %s, by uid %ju, process %ju%s", inhibit_mode_to_string(inhibitor_mode(inhibitor)), words ?: "?",
                              (uintmax_t) json_u64(inhibitor, "uid"), (uintmax_t) json_u64(inhibitor, "pid"), what_of_process(inhibitor));
}

static void find_one(Findings *f, json_object *inhibitor) {
        const char *who = json_str(inhibitor, "who") ?: "?", *why = json_str(inhibitor, "why") ?: "?";
        const Policy *policy = f->request->policy;
        json_object *o;

        if (policy->ignore_inhibitors) {
                o = finding(f, BLOCKER_INHIBITED, false, "the inhibitor of '%s' is passed over, as was asked for: %s", who, why);
                set_evidence(o, inhibitor);
                return;
        }
        if (inhibitor_mode(inhibitor) == INHIBIT_DELAY) {
                o = finding(f, BLOCKER_DELAYED, false, "it waits for '%s' for %ju s at most: %s", who, (uintmax_t) (policy->inhibit_delay_usec / USEC_PER_SEC),
                            why);
                set_evidence(o, inhibitor);
                return;
        }
        o = finding(f, BLOCKER_INHIBITED, true, "'%s' does not let it go: %s", who, why);
        set_evidence(o, inhibitor);
        if (json_flag(inhibitor, "lost"))
                finding_remedy(o, "systemctl stop safe-removed.service; systemctl start safe-removed.service  # drops all inhibitors: ask who may have one");
        else
                finding_remedy(o, "safe-remove inhibitors  # who it is; it ends with the process that has it");
        finding_remedy(o, "safe-remove remove --ignore-inhibitors %s  # in spite of it", f->s->words);
}

void find_inhibitors(Findings *f) {
        for (size_t i = 0; i < json_len(f->request->inhibitors); i++)
                if (inhibitor_is_about(json_at(f->request->inhibitors, i), f->t, f->s))
                        find_one(f, json_at(f->request->inhibitors, i));
}
