/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes that are still under way in the kernel after a step, forward or back. journal-writers.c knows them; the engine waits or stops by them. */
#include <errno.h>
#include <poll.h>

#include "engine/engine.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/process/apart.h"
#include "step/evict/holder-freeze.h"
#include "step/evict/take-mappings.h"

enum {
        NAMED_MAX = 3,
        LINES_MAX = 100,
        WRITER_POLL_MSEC = 500, /* it may take days */
};

bool engine_left_behind(Engine *e, json_object *writer, int result) {
        json_object *now = journal_writer(e->journal);
        bool is_new = json_u64(now, "order") > json_u64(writer, "order");

        /* Whatever the step has made of it: some of what it writes it does not wait for, or does not need. And what did not come to its end in
         * time may have been a look, or has come to it since; a step's word does only where nobody writes down who is at it. */
        if (!is_new && (result != -EINPROGRESS || apart_has_witness()))
                return false;
        e->left_behind = true;
        return true;
}

/* The daemon hears of the write's end too, and has the rest done: what became of that is what somebody wants to know. */
static char *then_status(const Engine *e) {
        _cleanup_free_ char *word = slot_word(plan_slot_name(e->plan));

        return strf("safe-remove status %s", word ?: "");
}

int engine_fail_under_way(Engine *e) {
        json_object *writer = journal_writer(e->journal);

        if (!writer)
                return step_fail(&e->run, -EINPROGRESS, "a write to the kernel is still under way, nothing is put back in use");
        _cleanup_free_ char *text = writer_text(writer), *then = then_status(e), *remedy = then ? writer_remedy(writer, then) : NULL;
        if (remedy)
                step_remedy(&e->run, "%s", remedy);
        return step_fail(&e->run, -EINPROGRESS, "%s: nothing is put back in use", text ?: "a write to the kernel is still under way");
}

/* Whoever ran again now could pin pages of memory that is on its way out. */
bool engine_has_taken(const Engine *e) {
        for (size_t n = 0; n < e->plan->n_steps; n++)
                if (take_in_notes(journal_notes(e->journal, n)))
                        return true;
        return false;
}

bool engine_goes_back_meanwhile(const Engine *e, const StepOps *ops) {
        return !e->left_behind || ops->meanwhile == MEANWHILE_BACK || (ops->meanwhile == MEANWHILE_LET_RUN && !engine_has_taken(e));
}

/* As many as fit into a line that somebody pastes. All are in the record, as notes. */
static char *go_on_line(json_object *standing, const char *then) {
        _cleanup_free_ char *line = NULL;
        size_t n = 0;

        json_object_object_foreach(standing, each, name)
                if (name && n++ < LINES_MAX)
                        (void) text_add(&line, "", "%s; ", each);
        return strf("{ %s%s; }", line ?: "", then ?: "true");
}

static char *names_line(json_object *standing) {
        char *line = NULL;
        size_t n = 0;

        json_object_object_foreach(standing, each, name)
                if (each && n++ < NAMED_MAX)
                        (void) text_add(&line, ", ", "%s", json_object_get_string(name));
        if (n > NAMED_MAX)
                (void) text_add(&line, " ", "and %zu more", n - NAMED_MAX);
        return line;
}

/* In a process of its own. */
static int let_go(void *data, char **ret_text) {
        Engine *e = data;
        int r = 0;

        while (journal_writer(e->journal))
                (void) poll(NULL, 0, WRITER_POLL_MSEC);
        for (size_t n = e->plan->n_steps; n-- > 0;) {
                int q = freeze_notes_undo(journal_notes(e->journal, n), &e->run);
                r = r < 0 ? r : q;
        }
        return r;
}

/* Whoever stands still for a write runs on when it has ended, whenever that is: somebody waits for it who outlives this worker. He is written
 * down as one who is at it too, so that nobody freezes them for another removal in the same moment. NULL: there is nobody, and the remedy
 * does it. */
static json_object *leave_somebody(Engine *e, const char *names) {
        _cleanup_free_ char *what = strf(WRITER_LETS_RUN "%s", names);
        const ApartOptions options = { .what = what, .outlives = true };
        json_object *writer = json_ref(journal_writer(e->journal));

        if (writer && what)
                (void) run_apart(let_go, e, &options, NULL);
        json_object *last = writer ? journal_writer(e->journal) : NULL;
        bool is_new = last && json_u64(last, "pid") != json_u64(writer, "pid");
        json_object_put(writer);
        return is_new ? last : NULL;
}

/* He is through in a moment when the write is. By hand it is done once more: somebody may have ended him. */
static char *standing_remedy(json_object *writer, json_object *somebody, const char *line) {
        _cleanup_free_ char *then = somebody ? strf("tail --pid=%ju -f /dev/null && %s", (uintmax_t) json_u64(somebody, "pid"), line) : strdup(line);

        return !then ? NULL : writer ? writer_remedy(writer, then) : strdup(then);
}

void engine_tell_standing(Engine *e) {
        _cleanup_json_ json_object *standing = json_object_new_object(), *writer = json_ref(journal_writer(e->journal));

        for (size_t n = 0; n < e->plan->n_steps; n++)
                freeze_notes_standing(journal_notes(e->journal, n), standing);
        if (json_object_object_length(standing) == 0)
                return;
        _cleanup_free_ char *names = names_line(standing), *then = then_status(e), *line = go_on_line(standing, then);
        json_object *somebody = leave_somebody(e, names ?: "some");
        char *remedy = line ? standing_remedy(writer, somebody, line) : NULL;
        (void) text_add(&e->stuck_why, "; ", "until then these stay stopped: %s", names ?: "some");
        if (remedy) {
                free(e->stuck_remedy);
                e->stuck_remedy = remedy;
        }
}
