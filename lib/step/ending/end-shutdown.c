/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rung "shutdown": the file systems of somebody who has outlived everything else end before he does, so that he comes back from
 * where he hangs in them, and writes nothing more. */
#include <errno.h>

#include "step/back/mount-back.h"
#include "step/ending/end-holder.h"
#include "step/ending/shutdown.h"

static bool uses(const EndRun *e, const Holder *h, json_object *entry) {
        dev_t dev;

        if (dev_parse(json_str(json_get(entry, "fs"), "dev"), &dev) < 0)
                return false;
        for (size_t i = 0; i < h->n_holds; i++) {
                if (h->holds[i].target >= e->look->targets.n_items)
                        continue;
                const HoldTarget *t = &e->look->targets.items[h->holds[i].target];
                if (t->kind == TARGET_FS && t->dev == dev)
                        return true;
        }
        return false;
}

bool end_shutdown_concerns(const EndRun *e, const Holder *h) {
        for (size_t i = 0; i < json_len(e->shutdown); i++)
                if (uses(e, h, json_at(e->shutdown, i)))
                        return true;
        return false;
}

static size_t rung_of(const Ending *n, HolderAction action) {
        for (size_t i = 0; i < n->n_rungs; i++)
                if (n->rungs[i] == action)
                        return i;
        return n->n_rungs;
}

/* Those who have their time still are not to get errors for the sake of another one. */
static bool has_time(const EndRun *e, const Holder *h) {
        for (size_t i = 0; i < e->n_endings; i++) {
                const Ending *n = &e->endings[i];
                if (n->pid == h->pid && n->start_time == h->start_time)
                        return n->at < rung_of(n, HOLDER_SHUTDOWN) && n->at < n->n_rungs;
        }
        return true; /* was not looked at in this round yet */
}

/* Who uses it, in words; NULL where one of them has time left. */
static char *users_text(const EndRun *e, json_object *entry) {
        const Holder *first = NULL;
        size_t more = 0;

        for (size_t i = 0; e->round && i < e->round->n_items; i++) {
                const Holder *h = &e->round->items[i];
                if (!uses(e, h, entry))
                        continue;
                if (has_time(e, h))
                        return NULL;
                more += first != NULL;
                first = first ?: h;
        }
        _cleanup_free_ char *name = first ? holder_name(first) : strdup("nobody"), *others = more > 0 ? strf(" and %zu more", more) : strdup("");
        return strf("%s%s", name ?: "?", others ?: "");
}

static bool was_tried(const EndRun *e, json_object *entry) {
        for (size_t i = 0; i < json_len(e->tried); i++)
                if (json_at(e->tried, i) == entry)
                        return true;
        return false;
}

static int end_one(EndRun *e, Ending *n, json_object *entry) {
        _cleanup_free_ char *users = users_text(e, entry);

        if (!users)
                return 1;
        e->tried = e->tried ?: json_object_new_array();
        json_object_array_add(e->tried, json_ref(entry));
        int r = fs_args_shut_down(entry, users, e->run);
        if (r == 0)
                (void) end_pass(n, strf("this kernel cannot shut down %s", json_str(json_get(entry, "fs"), "source")));
        return r < 0 ? r : 0;
}

int end_shutdown(EndRun *e, Ending *n, const Holder *h) {
        for (size_t i = 0; i < json_len(e->shutdown); i++) {
                json_object *entry = json_at(e->shutdown, i);
                int r = !was_tried(e, entry) && uses(e, h, entry) ? end_one(e, n, entry) : 0;
                if (r != 0)
                        return r;
        }
        return 0;
}

static bool noted(StepRun *run, const char *key, json_object *entry) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (streq_ptr(json_str(json_at(run->notes, i), key), json_str(json_get(entry, "fs"), "dev")))
                        return true;
        return false;
}

static int bring_back(json_object *entry, StepRun *run) {
        int dead = fs_args_dead(entry, run);

        if (dead < 0)
                return dead;
        if (dead > 0) {
                json_object *note = json_object_new_object();
                json_set_str(note, "remounting", json_str(json_get(entry, "fs"), "dev"));
                int r = step_note(run, note);
                if (r < 0)
                        return r;
        }
        return noted(run, "remounting", entry) ? mounts_back(entry, run) : 0;
}

int end_shutdown_undo(json_object *entries, StepRun *run) {
        for (size_t i = json_len(entries); i-- > 0;) {
                int r = noted(run, "shutdown", json_at(entries, i)) ? bring_back(json_at(entries, i), run) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int end_shutdown_left(json_object *entries, StepRun *run) {
        for (size_t i = 0; i < json_len(entries); i++) {
                int r = noted(run, "shutdown", json_at(entries, i)) ? fs_args_dead(json_at(entries, i), run) : 0;
                if (r != 0)
                        return r;
        }
        return 0;
}
