/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is everything as it was before? Nobody says so who has not compared: what there was is written down before the first step takes
 * anything away, and compared with what there is when the way back has come to its end. What is another thing then is listed as lost. */
#include <errno.h>

#include "base/clock.h"
#include "holders/memory/memory-holder.h"
#include "holders/process.h"
#include "kernel/cxl/card-state.h"
#include "kernel/cxl/libraries.h"
#include "plan/picture/picture.h"
#include "removal.h"

enum {
        POLICIES_USEC = 2 * 1000 * 1000,
        POLICIES_TOLD_MAX = 20, /* anybody can have processes with one */

        /* What comes up by itself (a driver, udev's link) may be a moment after the last step. */
        SETTLE_MSEC = 2000,
        AGAIN_MSEC = 200,

        /* udev is at what has just come back, and the card's libraries wait for it: their 2 s are for their answer. Anybody can keep it busy. */
        UDEV_MSEC = 5000,
        UDEV_AGAIN_MSEC = 20,
};

/* The removal whose things a restoration has put back. Nothing in it is owned. */
typedef struct Restored {
        const Journal *journal;
        const RegionMoves *moves;
        bool same_card;
} Restored;

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

/* ret_question: to the card's libraries, NULL where there is none to put; or NULL. */
static int picture_take(const Topology *t, const Plan *p, json_object *before, json_object **ret_question, json_object **ret) {
        _cleanup_(scope_done) Scope s = { 0 };

        int r = scope_of_plan(t, p, &s);
        if (r < 0)
                return r;
        if (ret_question)
                *ret_question = scope_card_question(&s);
        *ret = picture_of(&s, t);
        picture_add_holders(*ret, json_array(p->doc, "holders"), before);
        return 0;
}

static int look(const Removal *m, json_object **ret_question, json_object **ret) {
        _cleanup_(topology_freep) Topology *t = NULL;

        int r = topology_load(&t);
        return r < 0 ? r : picture_take(t, m->plan, m->journal->before, ret_question, ret);
}

/* Whoever goes on for another one has that one's, or comes too late to take one. */
static bool is_untouched(const Removal *m) {
        for (size_t n = 0; m->journal->last_do != SIZE_MAX && n <= m->journal->last_do; n++)
                if (m->plan->steps[n].type != STEP_HOLD)
                        return false;
        return !m->journal->before && !plan_is_finish(m->plan);
}

int removal_picture(Removal *m) {
        _cleanup_json_ json_object *picture = NULL, *card = NULL;

        if (!is_untouched(m))
                return 0;
        int r = m->request.topology ? picture_take(m->request.topology, m->plan, NULL, NULL, &picture) : look(m, NULL, &picture);
        if (r < 0)
                return r;
        /* Nobody waits for what the card says: it comes into the record with the ending then. */
        if (m->request.card && !plan_is_restoration(m->plan))
                (void) card_state_take(m->request.card, 0, &card);
        return journal_before(m->journal, picture, card);
}

void removal_card(Removal *m) {
        _cleanup_json_ json_object *card = NULL;

        if (!m->request.card || json_get(m->journal->card, "before") || plan_is_restoration(m->plan))
                return;
        if (card_state_take(m->request.card, 0, &card) < 0)
                card = card_state_unknown("libcxl and libndctl did not answer before the removal came to its end");
        (void) journal_card(m->journal, card, NULL);
}

/* picture_told_t */
static void tell_lost(void *texts, const char *text) {
        json_append_str(texts, text);
}

static void tell_nobody(void *userdata, const char *text) {
        (void) userdata;
        (void) text;
}

/* Lists what is not as in `before`. 0 or a negative errno: nobody can see. ret_question: what the card is to be asked, as it is in the end; or NULL. */
static int compare_pictures(Removal *m, json_object *before, json_object **ret_question, json_object *lost) {
        uint64_t deadline = now_monotonic() + SETTLE_MSEC * USEC_PER_MSEC;
        _cleanup_json_ json_object *now = NULL, *question = NULL;
        int r;

        while ((r = look(m, &question, &now)) >= 0 && now_monotonic() < deadline && picture_compare(before, now, tell_nobody, NULL) > 0) {
                json_object_put(TAKE_PTR(now));
                json_object_put(TAKE_PTR(question));
                step_pause(&m->engine.run, AGAIN_MSEC);
        }
        if (r >= 0)
                (void) picture_compare(before, now, tell_lost, lost);
        if (ret_question)
                *ret_question = TAKE_PTR(question);
        return r;
}

/* Has its policy lost the node, which it had? */
static bool has_lost_node(const MemoryHolders *now, json_object *holder) {
        uint64_t start_time = json_u64(holder, "start_time");
        int pid = (int) json_u64(holder, "pid");
        _cleanup_close_ int dirfd = -EBADF;

        if (process_open(pid, start_time, &dirfd, NULL) < 0)
                return false;
        for (size_t i = 0; now && i < now->n_items; i++)
                if (now->items[i].pid == pid && now->items[i].start_time == start_time)
                        return false;
        return true;
}

/* When the last memory of a node goes, the kernel takes the node out of everybody's memory policy (kernel/cgroup/cpuset.c: mpol_rebind_task(),
 * mpol_rebind_mm()), and does not put it back with the memory. Nobody but the process itself can. */
static void compare_policies(json_object *holders, json_object *lost) {
        _cleanup_(memory_holders_freep) MemoryHolders *now = NULL;
        int node = -1, r = 0;
        bool unknown = false;
        size_t n = 0;

        for (size_t i = 0; i < json_len(holders) && r >= 0; i++) {
                json_object *h = json_at(holders, i);
                if (!json_flag(h, "in_policy"))
                        continue;
                /* Node by node, as the holders of a plan are listed; what was found of the one before is of no use for the next. */
                if (node != (int) json_u64(h, "node")) {
                        memory_holders_free(TAKE_PTR(now));
                        node = (int) json_u64(h, "node");
                        r = memory_policies_scan(node, time_for(POLICIES_USEC), &now);
                }
                bool missing = r >= 0 && has_lost_node(now, h), is_sure = missing && gaps_none(&now->gaps);
                unknown = unknown || r < 0 || missing != is_sure;
                _cleanup_free_ char *text = !is_sure || n++ >= POLICIES_TOLD_MAX ? NULL :
                                            strf("process %d (%s): node %d is no longer in its memory policy, before it was; to have it as it was: start "
                                                 "it again", (int) json_u64(h, "pid"), json_str(h, "comm") ?: "?", node);
                if (text)
                        tell_lost(lost, text);
        }
        _cleanup_free_ char *more = n > POLICIES_TOLD_MAX ? strf("the memory policies of %zu processes more", n - POLICIES_TOLD_MAX) : NULL;
        if (more)
                tell_lost(lost, more);
        if (unknown)
                tell_lost(lost, "not every process could be looked at again, whether its memory policy is as it was");
}

/* What the card says of itself in the end. NULL: there is no card to ask. */
static json_object *ask_card(Removal *m, json_object *question) {
        uint64_t deadline = now_monotonic() + UDEV_MSEC * USEC_PER_MSEC;
        _cleanup_(library_call_freep) LibraryCall *call = NULL;
        json_object *state = NULL;

        if (!question)
                return NULL;
        while (udev_is_busy() && now_monotonic() < deadline && !step_cancelled(&m->engine.run))
                step_pause(&m->engine.run, UDEV_AGAIN_MSEC);
        int r = card_state_ask(question, &call);
        if (r >= 0)
                r = card_state_take(call, LIBRARY_USEC, &state);
        return r < 0 ? card_state_unknown(strerror(-r)) : state;
}

/* What we see of the plan's cards now. */
static json_object *seen_now(void *removal) {
        const Removal *m = removal;
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_(scope_done) Scope s = { 0 };

        return topology_load(&t) >= 0 && scope_of_plan(t, m->plan, &s) >= 0 ? scope_witness_json(&s, t) : NULL;
}

/* The second witness: it is in the way of nothing here, and what it has against it is listed. */
static void ask_witness(Removal *m, json_object *lost) {
        _cleanup_json_ json_object *against = libraries_against(seen_now, m);

        for (size_t i = 0; i < json_len(against); i++) {
                _cleanup_free_ char *text = strf("%s does not see the card as we do: %s", json_str(json_at(against, i), "library") ?: "?",
                                                 json_str(json_at(against, i), "text") ?: "?");
                if (text)
                        tell_lost(lost, text);
        }
}

typedef struct Told {
        json_object *now, *lost;
} Told;

/* card_told_t */
static void tell_card(void *userdata, bool worse, const char *text) {
        const Told *told = userdata;

        if (worse)
                tell_lost(told->lost, text);
        else
                json_append_str(json_array(told->now, "notes"), text);
}

/* Of a restoration: is the card worse, or another one in itself, than before its removal? Nobody says that it is not who does not know. One that stands
 * in for it is another one, and the plan has said so. */
static void compare_cards(Removal *m, const Restored *of, json_object *question, json_object *lost) {
        _cleanup_json_ json_object *now = ask_card(m, question), *before = NULL;
        Told told = { .now = now, .lost = lost };

        if (json_get(of->journal->card, "before"))
                before = region_moves_apply(of->moves, json_get(of->journal->card, "before"));
        if (of->same_card)
                (void) card_state_compare(before, now, tell_card, &told);
        if (now)
                (void) journal_card(m->journal, json_get(of->journal->card, "before"), now);
}

/* of: NULL but for a restoration. */
static int compare_with(Removal *m, json_object *before, json_object *holders, const Restored *of) {
        _cleanup_json_ json_object *lost = json_object_new_array(), *question = NULL;

        int r = compare_pictures(m, before, of ? &question : NULL, lost);
        compare_policies(holders, lost);
        if (of)
                compare_cards(m, of, question, lost);
        ask_witness(m, lost);
        (void) journal_lost(m->journal, m->engine.step, lost);
        return r;
}

static char *compared_text(const Removal *m, const char *before_what) {
        return strf("; everything is as it was before%s%s", before_what, json_len(m->journal->lost) > 0 ? ", except for what is listed" : "");
}

char *removal_compare(Removal *m, bool *ret_same) {
        if (!picture_is_known(m->journal->before))
                return strdup(m->plan->n_steps > 1 ? "; what was taken down is put back" : "; nothing was taken down");
        int r = compare_with(m, m->journal->before, json_array(m->plan->doc, "holders"), NULL);
        if (ret_same)
                *ret_same = r >= 0 && json_len(m->journal->lost) == 0;
        return r < 0 ? strf("; what was taken down is put back, whether everything is as before cannot be checked (%s)", strerror(-r))
                     : compared_text(m, "");
}

/* How one of its slots is after a boot, for a person. Newly allocated. */
static char *slot_after_boot(const Topology *t, json_object *place) {
        const char *name = json_str(place, "name") ?: "?", *port = json_str(place, "port");
        const Slot *slot = port ? topology_slot_of_port(t, port) : topology_slot(t, name);
        bool up = false;

        if (!slot)
                return strf("slot %s is not there", name);
        if (slot->nmem)
                return strf("the module %s is there", name);
        if (!slot->has_registers)
                return strf("what is in slot %s cannot be read", name);
        if (!slot->registers.card_present)
                return strf("slot %s is empty", name);
        for (size_t i = 0; i < t->n_functions && !up; i++)
                up = streq_ptr(t->functions[i].slot, slot->name);
        return strf("the card in slot %s %s", name, !slot->registers.power_on ? "has no power" : up ? "is there and has power" : "has power and does not answer");
}

/* What of the card there was before and is not as it was. What else there is now nobody has lost, and the lights and the machine's policy begin anew with each boot. */
static json_object *of_card(json_object *picture, json_object *before) {
        static const char *const sections[] = { "things", "functions" };
        json_object *o = json_object_new_object();

        json_set(o, "blocks", json_ref(json_get(picture, "blocks")));
        json_set(o, "back", json_ref(json_get(picture, "back")));
        json_set(o, "namespaces", json_ref(json_get(picture, "namespaces")));
        for (size_t i = 0; i < ELEMENTSOF(sections); i++) {
                json_object *all = json_get(picture, sections[i]), *kept = json_object_new_object();
                json_set(o, sections[i], kept);
                if (!json_object_is_type(all, json_type_object))
                        continue;
                json_object_object_foreach(all, key, value)
                        if (json_has(json_get(before, sections[i]), key))
                                json_set(kept, key, json_ref(value));
        }
        return o;
}

/* 0: it could be compared. */
static int compare_boot(const Removal *m, const Topology *t, json_object *lost) {
        _cleanup_json_ json_object *now = NULL;

        int r = picture_take(t, m->plan, m->journal->before, NULL, &now);
        if (r < 0)
                return r;
        _cleanup_json_ json_object *before = of_card(m->journal->before, m->journal->before), *after = of_card(now, m->journal->before);
        (void) picture_compare(before, after, tell_lost, lost);
        return 0;
}

char *removal_compare_boot(Removal *m) {
        _cleanup_json_ json_object *lost = json_object_new_array();
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_free_ char *text = NULL;

        int r = topology_load(&t);
        for (size_t i = 0; r >= 0 && i < plan_n_slots(m->plan); i++) {
                _cleanup_free_ char *slot = slot_after_boot(t, plan_slot(m->plan, i));
                (void) text_add(&text, "", "; %s", slot ?: "?");
        }
        if (r < 0 || !picture_is_known(m->journal->before))
                return TAKE_PTR(text);
        r = compare_boot(m, t, lost);
        (void) journal_lost(m->journal, m->journal->last_do == SIZE_MAX ? 0 : m->journal->last_do, lost);
        (void) text_add(&text, "", "; %s", r < 0 ? "what was on the card cannot be compared with what is on it now" : json_len(lost) > 0 ?
                        "what was on the card and has not come back as it was is listed" : "all that was on the card is there again");
        return TAKE_PTR(text);
}

/* "; the memory that was at 0x... is at 0x... now". NULL: none of it moved. */
static char *moves_text(const RegionMoves *moves) {
        char *text = NULL;

        for (size_t i = 0; i < moves->n; i++)
                (void) text_add(&text, "", "; the memory that was at 0x%jx is at 0x%jx now", (uintmax_t) moves->items[i].from, (uintmax_t) moves->items[i].to);
        return text;
}

char *restoration_compare(Removal *m) {
        _cleanup_(journal_freep) Journal *removal = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(region_moves_done) RegionMoves moves = { 0 };
        _cleanup_free_ char *why = NULL;

        int r = journal_read(json_str(m->plan->doc, "of") ?: "", &removal, &plan, &why);
        if (r < 0)
                return strf("; whether everything is as before cannot be checked (its record cannot be read: %s)", why ?: strerror(-r));
        if (!picture_is_known(removal->before) || !picture_is_known(m->journal->before))
                return strdup("; the state before that is not on record");
        r = region_moves_find(m->plan->steps, m->plan->n_steps, true, &moves);
        if (r < 0)
                return NULL;
        const char *serial = json_str(json_get(plan->doc, "card"), "serial"), *serial_now = json_str(json_get(m->plan->doc, "card"), "serial");
        /* Of several none stands in for another one, and any of them may be the first now. */
        const Restored of = { .journal = removal, .moves = &moves, .same_card = plan_n_slots(plan) > 1 || streq_ptr(serial, serial_now) };
        _cleanup_json_ json_object *then = picture_moved(removal->before, &moves);
        _cleanup_json_ json_object *before = picture_of_restored(then, m->journal->before, serial, serial_now);
        r = compare_with(m, before, json_array(plan->doc, "holders"), &of);
        if (r < 0)
                return strf("; whether everything is as before cannot be checked (%s)", strerror(-r));
        _cleanup_free_ char *compared = compared_text(m, " that"), *moved = moves_text(&moves);
        return strf("%s%s", moved ?: "", compared ?: "");
}
