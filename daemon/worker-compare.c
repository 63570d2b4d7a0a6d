/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is everything as it was before? Nobody says so who has not compared: what there was is written down before the first step takes
 * anything away, and compared with what there is when the way back has come to its end. What is another thing then is listed as lost. */
#include <errno.h>

#include "base/clock.h"
#include "daemon/worker-removal.h"
#include "plan/picture.h"

enum {
        /* What comes up by itself (a driver, udev's link) may be a moment behind the last step. */
        SETTLE_MSEC = 2000,
        AGAIN_MSEC = 200,
};

/* The plan's slots in a topology; -ENODEV when one of them is not there. */
static int scope_of_plan(const Topology *t, const Plan *p, Scope *ret) {
        size_t n = plan_n_slots(p);
        _cleanup_free_ const Slot **slots = calloc(n + 1, sizeof(*slots));

        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const char *port = json_str(plan_slot(p, i), "port");
                slots[i] = port ? topology_slot_of_port(t, port) : topology_slot(t, json_str(plan_slot(p, i), "name") ?: "");
                if (!slots[i])
                        return -ENODEV;
        }
        return scope_find_all(t, slots[0], slots + 1, n - 1, ret);
}

static int picture_take(const Topology *t, const Plan *p, json_object *before, json_object **ret) {
        _cleanup_(scope_done) Scope s = { 0 };

        int r = scope_of_plan(t, p, &s);
        if (r < 0)
                return r;
        *ret = picture_of(&s, t);
        picture_add_holders(*ret, json_array(p->doc, "holders"), before);
        return 0;
}

static int look(const Removal *m, json_object **ret) {
        _cleanup_(topology_freep) Topology *t = NULL;

        int r = topology_load(&t);
        return r < 0 ? r : picture_take(t, m->plan, m->journal->before, ret);
}

/* Whoever goes on for another one has that one's, or comes too late to take one. */
static bool is_untouched(const Removal *m) {
        for (size_t n = 0; m->journal->last_do != SIZE_MAX && n <= m->journal->last_do; n++)
                if (m->plan->steps[n].type != STEP_HOLD)
                        return false;
        return !m->journal->before && !plan_is_finish(m->plan);
}

int removal_picture(Removal *m) {
        _cleanup_json_ json_object *picture = NULL;

        if (!is_untouched(m))
                return 0;
        int r = m->request.topology ? picture_take(m->request.topology, m->plan, NULL, &picture) : look(m, &picture);
        return r < 0 ? r : journal_before(m->journal, picture);
}

/* picture_told_t */
static void tell_lost(void *userdata, const char *text) {
        Removal *m = userdata;

        (void) journal_lost(m->journal, m->engine.step, text);
}

static void tell_nobody(void *userdata, const char *text) {
        (void) userdata;
        (void) text;
}

/* Lists what is not as in `before`. 0 or a negative errno: nobody can see. */
static int compare_with(Removal *m, json_object *before) {
        uint64_t deadline = now_monotonic() + SETTLE_MSEC * USEC_PER_MSEC;
        _cleanup_json_ json_object *now = NULL;
        int r;

        while ((r = look(m, &now)) >= 0 && now_monotonic() < deadline && picture_compare(before, now, tell_nobody, NULL) > 0) {
                json_object_put(TAKE_PTR(now));
                step_pause(&m->engine.run, AGAIN_MSEC);
        }
        if (r >= 0)
                (void) picture_compare(before, now, tell_lost, m);
        return r;
}

static char *compared_text(const Removal *m, const char *before_what) {
        return strf("; everything is as it was before%s%s", before_what, json_len(m->journal->lost) > 0 ? ", except for what is listed" : "");
}

char *removal_compare(Removal *m) {
        if (!picture_is_known(m->journal->before))
                return strdup(m->plan->n_steps > 1 ? "; what was taken down is put back" : "; nothing was taken down");
        int r = compare_with(m, m->journal->before);
        return r < 0 ? strf("; what was taken down is put back, but that all is as it was before cannot be seen (%s)", strerror(-r))
                     : compared_text(m, "");
}

/* "; the memory at 0x... is at 0x... now". NULL: out of memory. */
static char *moves_text(const RegionMoves *moves) {
        char *text = strdup("");

        for (size_t i = 0; i < moves->n && text; i++) {
                _cleanup_free_ char *before = text;
                text = strf("%s; the memory that was at 0x%jx is at 0x%jx now", before, (uintmax_t) moves->items[i].from, (uintmax_t) moves->items[i].to);
        }
        return text;
}

char *restoration_compare(Removal *m) {
        _cleanup_(journal_freep) Journal *removal = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(region_moves_done) RegionMoves moves = { 0 };
        _cleanup_free_ char *why = NULL;

        int r = journal_read(json_str(m->plan->doc, "of") ?: "", &removal, &plan, &why);
        if (r < 0)
                return strf("; whether all is as it was before that cannot be seen (its record cannot be read: %s)", why ?: strerror(-r));
        if (!picture_is_known(removal->before) || !picture_is_known(m->journal->before))
                return strdup("; how all was before that is not on record");
        r = region_moves_find(m->plan->steps, m->plan->n_steps, true, &moves);
        if (r < 0)
                return NULL;
        _cleanup_json_ json_object *then = picture_moved(removal->before, &moves);
        _cleanup_json_ json_object *before = picture_of_restored(then, m->journal->before,
                                                                 json_str(json_get(plan->doc, "card"), "serial"),
                                                                 json_str(json_get(m->plan->doc, "card"), "serial"));
        r = compare_with(m, before);
        if (r < 0)
                return strf("; whether all is as it was before that cannot be seen (%s)", strerror(-r));
        _cleanup_free_ char *compared = compared_text(m, " that"), *moved = moves_text(&moves);
        return strf("%s%s", moved ?: "", compared ?: "");
}
