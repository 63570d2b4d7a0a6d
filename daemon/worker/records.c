/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is on record, for those who ask the daemon: reading it takes as long as there is a lot of it. */
#include <errno.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/parse.h"
#include "daemon/worker/lost/incidents.h"
#include "engine/chain.h"
#include "engine/certificate.h"
#include "engine/engine.h"
#include "engine/journal.h"
#include "engine/state-dir.h"
#include "engine/totals.h"
#include "plan/policy.h"
#include "history.h"
#include "page.h"
#include "request.h"
#include "verbs.h"
#include "view.h"

enum {
        RECALL_MAX = 64,       /* removals that are looked through for their slots' last outcome */
        RECORDS_MAX = 200,     /* how far back a card is looked for */
};

static int unreadable_records(WorkerIo *io, int error) {
        _cleanup_free_ char *text = strf("The records in %s cannot be read: %s.", state_dir(), format_strerror(error));

        worker_send_error(io, "internal", text ?: format_strerror(error));
        return error;
}

int worker_history(WorkerIo *io, json_object *request) {
        _cleanup_json_ json_object *history = NULL;
        uint64_t limit = json_u64(request, "limit");

        uint64_t before = UINT64_MAX;
        const char *id = json_str(request, "before");

        int r = id && *id ? parse_u64(id, &before) : 0;
        if (r < 0) {
                worker_send_error(io, "malformed", "The id of a removal is a number.");
                return r;
        }
        r = history_load_before(before, limit < UINT32_MAX ? (uint32_t) limit : 0, &history);
        if (r < 0)
                return unreadable_records(io, r);
        json_object *totals = NULL;
        if (!json_get(request, "page") && totals_load(&totals) >= 0) {
                json_object_object_del(totals, "schema");
                json_object_object_del(totals, "counted");
                json_set(history, "totals", totals);
        }
        json_object *incidents = NULL;
        if (!json_get(request, "page") && incident_list(&incidents) >= 0)
                json_set(history, "incidents", incidents);
        view_restrict(history, json_get(request, "by"));
        worker_send_pages(io, request, history);
        return 0;
}

int worker_records(WorkerIo *io) {
        _cleanup_json_ json_object *unfinished = NULL, *unreadable = NULL, *recent = NULL;
        uint64_t highest = 0;

        int r = history_survey(RECALL_MAX, &highest, &unfinished, &unreadable, &recent);
        if (r < 0)
                return unreadable_records(io, r);
        for (size_t i = 0; i < json_len(unfinished); i++) {
                uint64_t number = 0;
                (void) parse_u64(json_str(json_at(unfinished, i), "id"), &number);
                bool finishing = false;
                json_set(json_at(unfinished, i), "holds", history_holds(number, &finishing));
                json_set_bool(json_at(unfinished, i), "finishing", finishing);
        }
        _cleanup_json_ json_object *totals = NULL;
        r = totals_read(&totals);
        json_object *o = json_object_new_object();
        json_set_str(o, "type", "records");
        uint64_t kept = journal_ends_highest(); /* the folder may be an older one by now, and a number is nobody's twice in one boot */
        json_set_u64(o, "highest", highest > kept ? highest : kept);
        if (r < 0 && r != -EBADMSG) /* where both are damaged they are begun anew */
                json_set_str(o, "totals_unread", format_strerror(r));
        json_set(o, "unfinished", json_ref(unfinished));
        json_set(o, "unreadable", json_ref(unreadable));
        json_set(o, "recent", json_ref(recent));
        worker_send(io, o);
        return 0;
}

int worker_make_up(WorkerIo *io) {
        json_object *o = worker_line("made-up"), *made = json_object_new_array(), *missing = json_object_new_array();
        _cleanup_close_ int lock = -EBADF;

        int r = journals_make_up(made, missing), k = chain_lock(CHAIN_LOCK_USEC, &lock);
        if (k >= 0)
                k = certificates_write();
        json_set(o, "made", made);
        json_set(o, "missing", missing);
        json_set_bool(o, "certificates", !state_may_come(k));
        if (r < 0 || k < 0)
                json_set_str(o, "why", format_strerror(r < 0 ? r : k));
        worker_send(io, o);
        return 0;
}

int worker_record(WorkerIo *io, json_object *request) {
        _cleanup_json_ json_object *entry = NULL, *holds = NULL;
        json_object *o;
        uint64_t number = 0;
        bool finishing = false;

        int r = parse_u64(json_str(request, "id"), &number);
        if (r >= 0)
                r = history_entry(number, &entry);
        if (r >= 0 && !json_flag(entry, "ended")) {
                history_add_port(entry, number);
                holds = history_holds(number, &finishing);
                json_set_bool(entry, "finishing", finishing);
        }
        if (r < 0 && r != -ENOENT && r != -ENODATA)
                return unreadable_records(io, r);
        o = json_object_new_object();
        json_set_str(o, "type", "record");
        if (entry)
                json_set(o, "entry", json_ref(entry));
        if (holds)
                json_set(o, "holds", json_ref(holds));
        worker_send(io, o);
        return 0;
}

static int no_certificate(WorkerIo *io, int error, const char *id) {
        _cleanup_free_ char *none = *id ? strf("Removal '%s' has no certificate.", id) : strdup("There is no certificate yet.");

        if (error == -EBADMSG)
                worker_send_error(io, "not-proven", "The certificate is not as it was written; 'safe-remove certificate --verify' says more.");
        else if (error == -EPROTONOSUPPORT)
                worker_send_error(io, "not-proven", "A newer version of safe-remove wrote the certificate, or the chain that it is in, in a form that this version does "
                                  "not know: ask that version.");
        else if (error == -ENOENT || error == -EINVAL || error == -ERANGE)
                worker_send_error(io, "unknown", none ?: "There is no certificate.");
        else
                return unreadable_records(io, error);
        return error;
}

int worker_certificate(WorkerIo *io, json_object *request) {
        const char *id = json_str(request, "id") ?: "";
        _cleanup_json_ json_object *certificate = NULL;
        _cleanup_free_ char *text = NULL;
        uint64_t removal = 0;

        int r = *id ? parse_u64(id, &removal) : chain_newest(&removal);
        if (r >= 0)
                r = chain_read(removal, &certificate, &text, NULL);
        if (r < 0)
                return no_certificate(io, r, id);
        text[strcspn(text, "\n")] = '\0';
        /* As it is kept, byte for byte, for whoever may see all of it: its digest is over that. */
        bool withheld = view_restrict(certificate, json_get(request, "by"));
        worker_send_document(io, request, withheld ? json_text(certificate) : text);
        return 0;
}

/* It was removed alone, or with others in one request. */
static bool is_of_card(json_object *card, const char *serial) {
        json_object *endpoints = json_array(card, "endpoints");
        bool found = streq_ptr(json_str(card, "serial"), serial);

        for (size_t i = 0; i < json_len(endpoints) && !found; i++)
                found = json_str(json_at(endpoints, i), "slot") && streq_ptr(json_str(json_at(endpoints, i), "serial"), serial);
        return found;
}

/* The newest record of this card; of the slot, where the card has none. */
static json_object *newest_record(json_object *entries, const char *serial, const char *slot) {
        json_object *of_slot = NULL;

        for (size_t i = 0; i < json_len(entries); i++) {
                json_object *entry = json_at(entries, i);

                if (*serial && is_of_card(json_get(entry, "card"), serial))
                        return entry;
                if (!of_slot && streq_ptr(json_str(entry, "slot"), slot))
                        of_slot = entry;
        }
        return of_slot;
}

/* After a reboot it is for what the machine does at boot to decide what is used. */
static bool is_finished_removal(json_object *entry) {
        int outcome = outcome_from_string(json_str(entry, "outcome"));
        char boot[33];

        return boot_id_read(boot) >= 0 && streq_ptr(json_str(entry, "boot"), boot) && streq_ptr(json_str(entry, "kind"), "remove") &&
               (outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED || (outcome == OUTCOME_TESTED && streq_ptr(json_str(entry, "code"), "powered")));
}

/* A card's driver comes a moment after the card. */
static bool is_ready(json_object *now, json_object *entry) {
        json_object *card = json_get(entry, "card");

        return (!json_str(card, "memdev") || *(json_str(now, "memdev") ?: "")) && (!json_str(card, "serial") || *(json_str(now, "serial") ?: ""));
}

/* Restoring unasked (Restore=auto): which of the cards that are new in their slots get back what their removal took down. Once for each
 * removal: what counts is the newest record of the card, or else of the slot, so that a daemon that was away neither misses a card
 * nor tries one twice. */
int worker_came_back(WorkerIo *io, json_object *request) {
        json_object *cards = json_array(request, "cards"), *restore = json_object_new_array(), *o = json_object_new_object();
        _cleanup_json_ json_object *history = NULL, *warnings = json_object_new_array();
        _cleanup_(policy_done) Policy policy = { 0 };

        json_set_str(o, "type", "came-back");
        json_set(o, "restore", restore);
        if (policy_load(&policy, warnings) >= 0 && policy.restore_auto && history_load(RECORDS_MAX, &history) >= 0)
                for (size_t i = 0; i < json_len(cards); i++) {
                        json_object *card = json_at(cards, i);
                        const char *slot = json_str(card, "slot") ?: "";
                        json_object *entry = newest_record(json_array(history, "removals"), json_str(card, "serial") ?: "", slot);

                        if (entry && is_finished_removal(entry) && is_ready(card, entry))
                                json_append_str(restore, slot);
                }
        worker_send(io, o);
        return 0;
}
