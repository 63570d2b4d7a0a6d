/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Remove, wait for the new card, restore: each as the verb of that name does it, and one story of all three. */
#include "cli/arrival.h"
#include "cli/ask.h"
#include "cli/removal.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "cli/text/wrap.h"
#include "verbs.h"

enum {
        WAIT_SEC = 30 * 60,
};

typedef struct Replacement {
        const Args *args;
        json_object *removed, *card, *restored; /* safe-remove/removal/1, the slot with the new card in it, safe-remove/removal/1; NULL: it did not come to that */
        char *leds;             /* after the removal, in words */
        char *slot, *next;      /* for people: what to type for the slot, and when the new card is in */
        bool same_card;
        bool left;              /* it did not come to its end */
} Replacement;

static void replacement_done(Replacement *p) {
        json_object_put(p->removed);
        json_object_put(p->card);
        json_object_put(p->restored);
        free(p->leds);
        free(p->slot);
        free(p->next);
}

static json_object *card_of(const Replacement *p) {
        static const char *const keys[] = { "card_address", "memdev", "serial" };
        json_object *o = p->card ? json_object_new_object() : NULL;

        for (size_t i = 0; o && i < ELEMENTSOF(keys); i++)
                json_set(o, keys[i], json_ref(json_get(p->card, keys[i])));
        return o;
}

static void print_document(const Replacement *p, ExitCode code) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/replace/1");
        json_set(o, "slot", json_ref(json_get(p->removed, "slot")));
        json_set(o, "removed", json_ref(p->removed));
        json_set(o, "card", card_of(p));
        json_set(o, "same_card", p->card ? json_object_new_boolean(p->same_card) : NULL);
        json_set(o, "restored", json_ref(p->restored));
        json_set_str(o, "next", p->left ? p->next : NULL);
        json_set_u64(o, "exit", code);
        print_json(o);
}

/* Where it did not come to its end: what there is to say, and what to type. */
static ExitCode leave(Replacement *p, ExitCode code, const char *what) {
        p->left = true;
        return output.json != JSON_OFF ? code : fail(code, NULL, "slot %s: %s; when the new card is in: %s", p->slot, what, p->next);
}

static const char *removed_serial(const Replacement *p) {
        return json_str(json_get(json_get(p->removed, "plan"), "card"), "serial");
}

static void tell_technician(const Replacement *p, uint32_t sec) {
        const char *serial = removed_serial(p);

        if (output.json != JSON_OFF)
                return;
        output_line(stdout, "slot %s: pull the card%s%s, and put the new one in\n", p->slot, serial ? ", serial " : "", serial ?: "");
        if (p->leds)
                output_line(stdout, "  its lights: %s\n", p->leds);
        output_line(stdout, TEXT_AS_IT_IS "  to have it blink: %s locate %s\n", client_command(), p->slot);
        if (sec > 0)
                output_line(stdout, "waiting for the new card, at most %s\n", FORMAT_DURATION(sec * UINT64_C(1000000)));
        fflush(stdout);
}

static void tell_card(const Replacement *p) {
        const char *memdev = json_str(p->card, "memdev"), *serial = json_str(p->card, "serial");

        if (output.json != JSON_OFF)
                return;
        output_line(stdout, "slot %s: card %s%s%s, serial %s is in: %s\n", p->slot, json_str(p->card, "card_address") ?: "?", memdev && *memdev ? ", " : "", memdev ?: "",
               serial && *serial ? serial : "unknown", p->same_card ? "the same one" : "another one");
        fflush(stdout);
}

/* The daemon restores cards by itself where it is set up so, and may be through with it. */
static bool is_restored_already(Replacement *p) {
        const char *last = json_str(p->card, "last_removal"), *outcome = json_str(p->card, "last_outcome");
        _cleanup_bus_ sd_bus *bus = NULL;

        if (!last || streq_ptr(last, json_str(p->removed, "id")) || (!streq_ptr(outcome, "rebuilt") && !streq_ptr(outcome, "incomplete")))
                return false;
        return client_open(&bus) >= 0 && removal_from_history(bus, last, &p->restored) >= 0;
}

static ExitCode restore(Replacement *p) {
        _cleanup_free_ char *target = strf("slot:%s", json_str(p->removed, "slot") ?: "?"), *leds = NULL;
        char *targets[] = { target, NULL };
        const Args with = {
                .verb = p->args->verb, .target = target, .targets = targets, .n_targets = 1, .equal_card = p->args->equal_card,
                .no_ask_password = p->args->no_ask_password,
        };

        if (!target)
                return fail_memory();
        if (!is_restored_already(p)) {
                ExitCode code = ask_and_wait(&with, "restoration", client_restore, &p->restored, &leds);
                if (code != CODE_DONE)
                        return code;
        }
        if (output.json == JSON_OFF)
                return removal_report(p->restored, leds);
        return exit_code_of_removal(json_str(p->restored, "outcome"), json_str(p->restored, "code"));
}

/* *ret_printed: its last word is an error that was printed. */
static ExitCode replace(Replacement *p, bool *ret_printed) {
        uint32_t sec = p->args->has_wait_sec ? p->args->wait_sec : WAIT_SEC;
        const char *outcome = json_str(p->removed, "outcome"), *slot = json_str(p->removed, "slot");

        ExitCode code = exit_code_of_removal(outcome, json_str(p->removed, "code"));
        if (output.json == JSON_OFF)
                (void) removal_report(p->removed, p->leds);
        if (streq_ptr(outcome, "released"))
                return leave(p, CODE_NO_CARD, "it cannot be pulled while the machine runs");
        if (streq_ptr(outcome, "nothing"))
                return leave(p, code, "nothing was to be removed, so no new card is waited for");
        if (!streq_ptr(outcome, "safe") || !slot)
                return code;

        tell_technician(p, sec);
        code = arrival_wait(slot, sec, &p->card);
        if (code == CODE_NO_CARD)
                return leave(p, code, "the card is removed, and no new one has come in time");
        if (code == CODE_DETACHED)
                return leave(p, code, "the card is removed, and nobody waits for the new one any more");
        if (code != CODE_DONE) {
                *ret_printed = true;
                return code;
        }
        p->same_card = streq_ptr(removed_serial(p), json_str(p->card, "serial"));
        tell_card(p);
        code = restore(p);
        *ret_printed = !p->restored;
        return code;
}

ExitCode verb_replace(const Args *a) {
        _cleanup_(remove_answers_done) RemoveAnswers answers = { 0 };
        _cleanup_(replacement_done) Replacement p = { .args = a };
        bool printed = false;
        Args with;

        if (a->dry_run)
                return verb_remove(a);
        ExitCode code = remove_prepare(a, &with, &answers);
        if (code == CODE_DONE)
                code = ask_and_wait(&with, "removal", client_remove, &p.removed, &p.leds);
        if (code != CODE_DONE)
                return code;
        p.slot = shell_quoted(json_str(p.removed, "slot") ?: "?");
        p.next = p.slot ? strf("%s restore %s", client_command(), p.slot) : NULL;
        if (!p.next)
                return fail_memory();
        code = replace(&p, &printed);
        if (output.json != JSON_OFF && !printed)
                print_document(&p, code);
        return code;
}
