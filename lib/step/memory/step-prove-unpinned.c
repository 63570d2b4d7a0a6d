/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last check before a driver releases memory that processes used: does anything still refer to a page of it? The kernel
 * would not wait for that (mm/memremap.c:memunmap_pages), and releasing such a page later crashes the machine. By now the
 * holders have ended and no new ones can come. So a reference that is left either goes by itself within moments (I/O in flight, an io_uring that is
 * being taken apart in the background) or has an owner, who is named. Changes nothing: there is nothing to undo. */
#include <errno.h>

#include "base/clock.h"
#include "holders/pins/pin-holder.h"
#include "holders/process.h"
#include "kernel/pci/pcie-slot.h"
#include "step/step.h"

enum {
        /* The kernel has no event for "the last reference is gone". Looking for suspects reads all of /proc, and so less often. */
        CENSUS_PAUSE_MSEC = 100,
        SUSPECTS_PAUSE_MSEC = 500,

        SCAN_BUDGET_SEC = 30,
        NAMED_MAX = 3,
};

/* What is looked at, and what the looks so far have shown. */
typedef struct Proof {
        CardMemory *memory;
        size_t n_memory;
        HoldTargets targets;
        CensusResult census;
        uint64_t census_usec;   /* how long the last count took */
        uint64_t n_references_first;
        Pins *pins;             /* NULL: not looked for */
} Proof;

static void proof_done(Proof *p) {
        free(p->memory);
        hold_targets_done(&p->targets);
        census_result_done(&p->census);
        pins_free(p->pins);
}

static void prove_describe(json_object *args, char **ret_does, char **ret_undo) {
        json_object *ranges = json_array(args, "ranges");
        _cleanup_free_ char *where = strdup("");

        for (size_t i = 0; i < json_len(ranges); i++) {
                uint64_t start = json_u64(json_at(ranges, i), "start"), size = json_u64(json_at(ranges, i), "size");
                (void) text_add(&where, ", ", "0x%jx-0x%jx", (uintmax_t) start, (uintmax_t) (start + size - 1));
        }
        *ret_does = strf("count the references to every page of %s: nobody may hold one%s", where ?: "the card",
                         json_flag(args, "force") ? " (forced: go on if somebody does)" : "");
}

static int proof_begin(json_object *args, StepRun *run, Proof *p) {
        int r = card_memory_from_json(json_array(args, "ranges"), &p->memory, &p->n_memory);
        if (r >= 0)
                r = hold_targets_from_json(json_array(args, "targets"), &p->targets);
        return r < 0 ? step_fail(run, r, "the step's ranges or targets cannot be understood: %s", strerror(-r)) : 0;
}

static int count_pages(Proof *p, StepRun *run) {
        uint64_t start = now_monotonic();

        census_result_done(&p->census);
        int r = page_census_all(p->memory, p->n_memory, &p->census);
        p->census_usec = now_monotonic() - start;
        return r < 0 ? step_fail(run, r, "the card's pages cannot be counted: %s", strerror(-r)) : 0;
}

static int look_for_pins(Proof *p, StepRun *run) {
        pins_free(TAKE_PTR(p->pins));
        int r = pins_scan(p->memory, p->n_memory, &p->targets, NULL, SCAN_BUDGET_SEC * USEC_PER_SEC, &p->pins);
        return r < 0 ? step_fail(run, r, "who has pages pinned cannot be found out: %s", strerror(-r)) : 0;
}

/* 1 when nothing stands in the way: no page is referenced, or nobody can know and nobody is suspected. (The latter is no proof: see prove_apply().) */
static int look(Proof *p, StepRun *run) {
        int r = count_pages(p, run);
        if (r >= 0 && p->census.verdict == CENSUS_NOT_PROVABLE)
                r = look_for_pins(p, run);
        if (r < 0)
                return r;
        return p->census.verdict == CENSUS_CLEAN || (p->census.verdict == CENSUS_NOT_PROVABLE && p->pins->n_items == 0);
}

static int look_until(Proof *p, StepRun *run, uint64_t timeout_usec) {
        uint64_t start = now_monotonic(), passed = 0;
        int r;

        for (bool first = true; (r = look(p, run)) == 0; first = false) {
                _cleanup_free_ char *text = census_result_text(&p->census);
                if (first)
                        p->n_references_first = p->census.n_references;
                passed = now_monotonic() - start;
                if (passed >= timeout_usec)
                        return 0;
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled while waiting for the last references");
                step_progress(run, passed / USEC_PER_SEC, timeout_usec / USEC_PER_SEC, "%s", text ?: "waiting for the last references");
                step_pause(run, p->census.verdict == CENSUS_REFERENCED ? CENSUS_PAUSE_MSEC : SUSPECTS_PAUSE_MSEC);
        }
        return r;
}

/* Who it is, as far as anybody can tell. */
static char *owners_text(const Proof *p) {
        char *text = NULL;
        size_t n = p->pins ? p->pins->n_items : 0;

        if (n == 0)
                return strdup("nobody can be named (what is on its way through a socket is in nobody's hands)");
        for (size_t i = 0; i < n && i < NAMED_MAX; i++) {
                _cleanup_free_ char *one = pin_text(&p->pins->items[i]);
                const Pin *pin = &p->pins->items[i];
                /* The amount after where it was found: who may not look there is shown neither (daemon/worker/view.c). */
                (void) text_add(&text, "; ", "%s (%s: %ju bytes)", one ?: "?", pin->found, (uintmax_t) pin->bytes);
        }
        if (n > NAMED_MAX)
                (void) text_add(&text, "; ", "and %zu more", n - NAMED_MAX);
        return text;
}

static const char *trend(const Proof *p) {
        return p->census.verdict != CENSUS_REFERENCED ? "" :
               p->census.n_references > p->n_references_first ? ", and they become more" :
               p->census.n_references < p->n_references_first ? ", though they become fewer" : "";
}

static void give_remedy(const Proof *p, StepRun *run) {
        const Pin *pin = p->pins && p->pins->n_items > 0 ? &p->pins->items[0] : NULL;
        _cleanup_free_ char *end = pin ? process_end_command(pin->who.unit, pin->who.pid) : NULL;

        if (pin)
                step_remedy(run, "%s", end);
}

static int note(const Proof *p, StepRun *run, const char *key, char *text) {
        _cleanup_free_ char *owned = text;
        json_object *o = json_object_new_object();

        step_progress(run, 1, 1, "%s", owned ?: "?");
        json_set_str(o, key, owned);
        json_set_u64(o, "census_usec", p->census_usec);
        return step_note(run, o);
}

static int object(Proof *p, StepRun *run, bool force, uint64_t timeout_usec) {
        _cleanup_free_ char *census = NULL, *owners = NULL;

        int r = p->pins ? 0 : look_for_pins(p, run);
        if (r < 0)
                return r;
        census = census_result_text(&p->census);
        owners = owners_text(p);
        if (force)
                return note(p, run, "forced", strf("unproven: %s: %s", census ?: "?", owners ?: "?"));
        give_remedy(p, run);
        return step_fail(run, -EBUSY, "%s, still after %ju s%s: %s", census, (uintmax_t) (timeout_usec / USEC_PER_SEC), trend(p), owners);
}

/* The slots of the plan, as a command names them; the caller's. */
static char *slot_words(json_object *plan) {
        json_object *slots = json_array(plan, "slots");
        char *words = json_len(slots) > 0 ? NULL : slot_word(json_str(json_get(plan, "slot"), "name"));

        for (size_t i = 0; i < json_len(slots); i++) {
                _cleanup_free_ char *word = slot_word(json_str(json_at(slots, i), "name"));
                (void) text_add(&words, " ", "%s", word ?: "?");
        }
        return words;
}

/* Whatever it is that keeps us from counting: a pin need be in nobody's hands whom we could suspect. */
static int refuse_blindly(const Proof *p, StepRun *run) {
        _cleanup_free_ char *census = census_result_text(&p->census);
        _cleanup_free_ char *slots = slot_words(run->plan);

        step_remedy(run, "safe-remove remove %s --force=unproven  # only where it is known that nobody has memory of the card registered for I/O",
                    slots ?: "?");
        return step_fail(run, -EBUSY, "%s; nobody is seen to have pages of the card, but one that is pinned when the driver lets go can crash the kernel",
                         census ?: "not provable here");
}

static int prove_apply(json_object *args, StepRun *run) {
        uint64_t timeout_usec = json_u64(args, "timeout_sec") * USEC_PER_SEC;
        _cleanup_(proof_done) Proof p = { 0 };

        int r = proof_begin(args, run, &p);
        if (r >= 0)
                r = look_until(&p, run, timeout_usec);
        if (r <= 0)
                return r < 0 ? r : object(&p, run, json_flag(args, "force"), timeout_usec);
        if (p.census.verdict == CENSUS_CLEAN)
                return note(&p, run, "proven", census_result_text(&p.census));
        return json_flag(args, "force") ? note(&p, run, "unproven", census_result_text(&p.census)) : refuse_blindly(&p, run);
}

static bool is_noted(StepRun *run, const char *key) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_str(json_at(run->notes, i), key))
                        return true;
        return false;
}

/* The proof is written down once it is made. For another worker it counts as long as nobody is seen to hold a page again. */
static int prove_verify(json_object *args, StepRun *run) {
        _cleanup_(proof_done) Proof p = { 0 };

        if (run->backwards)
                return STEP_NOT_APPLIED;
        if (is_noted(run, "forced"))
                return STEP_APPLIED;
        if (!is_noted(run, "proven") && !is_noted(run, "unproven"))
                return STEP_NOT_APPLIED;
        int r = proof_begin(args, run, &p);
        if (r >= 0)
                r = count_pages(&p, run);
        if (r < 0)
                return r;
        return p.census.verdict == CENSUS_REFERENCED ? STEP_NOT_APPLIED : STEP_APPLIED;
}

const StepOps step_prove_unpinned_ops = {
        .needs_card = true,
        .typical_usec = 100000,
        .args = "ranges:a targets:a force:b timeout_sec:u",
        .describe = prove_describe,
        .apply = prove_apply,
        .verify = prove_verify,
};
