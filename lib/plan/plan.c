/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sha256.h>

#include "base/format.h"
#include "kernel/pci/pcie-slot.h"
#include "plan/plan.h"

enum {
        MOVED_BYTES_PER_USEC = 400,
        SANITIZED_BYTES_PER_USEC = 100,
};

static const char *const plan_verdict_table[_PLAN_VERDICT_MAX] = {
        [PLAN_READY] = "ready",
        [PLAN_BLOCKED] = "blocked",
        [PLAN_NOTHING] = "nothing",
};

DEFINE_STRING_TABLE(plan_verdict, PlanVerdict)

void plan_free(Plan *p) {
        for (size_t i = 0; i < p->n_steps; i++) {
                json_object_put(p->steps[i].args);
                json_object_put(p->steps[i].notes);
        }
        free(p->steps);
        json_object_put(p->doc);
        free(p);
}

int plan_new(Plan **ret) {
        _cleanup_(plan_freep) Plan *p = calloc(1, sizeof(Plan));
        if (!p)
                return -ENOMEM;

        p->doc = json_object_new_object();
        if (!p->doc)
                return -ENOMEM;
        format_set(p->doc, FORMAT_PLAN);
        *ret = TAKE_PTR(p);
        return 0;
}

int plan_add_step(Plan *p, StepType type, json_object *args) {
        _cleanup_json_ json_object *owned = args;

        int r = vec_grow((void **) &p->steps, p->n_steps, &p->n_allocated, sizeof(Step));
        if (r < 0)
                return r;
        p->steps[p->n_steps++] = (Step) { .type = type, .args = TAKE_PTR(owned) };
        return 0;
}

size_t plan_first_irreversible(const Plan *p) {
        size_t i = 0;

        while (i < p->n_steps && !step_ops(p->steps[i].type)->irreversible)
                i++;
        return i;
}

/* After a step that cannot be undone comes none that can: only what is meant to stand there does. */
static bool tail_is_tail(const Plan *p) {
        for (size_t i = plan_first_irreversible(p); i < p->n_steps; i++)
                if (!step_ops(p->steps[i].type)->irreversible && !step_ops(p->steps[i].type)->in_tail)
                        return false;
        return true;
}

static json_object *step_to_json(const Plan *p, size_t n) {
        const Step *step = &p->steps[n];
        const StepOps *ops = step_ops(step->type);
        _cleanup_free_ char *does = NULL, *undo = NULL;
        bool restores = plan_is_restoration(p), tail = n >= plan_first_irreversible(p);
        json_object *o = json_object_new_object();

        ops->describe(step->args, &does, &undo);
        json_set_u64(o, "n", n);
        json_set_str(o, "name", step_type_to_string(step->type));
        json_set_str(o, "does", restores ? undo : does);
        json_set_str(o, "undo", restores || tail ? NULL : undo);
        json_set_bool(o, "reversible", !tail && !restores);
        json_set(o, "args", json_ref(step->args));
        if (restores) {
                json_set_bool(o, "frame", step->frame);
                json_set(o, "notes", step->notes ? json_ref(step->notes) : json_object_new_array());
        }
        return o;
}

/* Measured on emulated hardware, which is slower at this than a server. What must move is added for the whole plan. */
static uint64_t step_estimate(const Step *step) {
        uint64_t blocks = json_len(json_array(step->args, "blocks"));

        switch (step->type) {
        case STEP_OFFLINE_MEMORY:
                return blocks * 50000;
        case STEP_SANITIZE:
                return json_u64(step->args, "bytes") / SANITIZED_BYTES_PER_USEC;
        case STEP_ANNOUNCE:
                return json_u64(step->args, "grace_sec") * 1000000;
        default:
                return step_ops(step->type)->typical_usec;
        }
}

/* Without the arguments that name who is there at the moment: a service that starts or ends, in whose sandbox a file system is mounted as
 * well, is no other machine. */
static json_object *step_for_digest(json_object *step) {
        json_object *o = json_object_new_object(), *args = json_object_new_object();

        json_object_object_foreach(step, key, value)
                if (!streq(key, "args"))
                        json_set(o, key, json_ref(value));
        json_object_object_foreach(json_get(step, "args"), name, argument)
                if (!streq(name, "mounts") && !streq(name, "targets"))
                        json_set(args, name, json_ref(argument));
        json_set(o, "args", args);
        return o;
}

/* What would be done, to what, and what stands against it: not how many bytes somebody has on the node this second. */
static void digest_set(Plan *p) {
        static const char *const keys[] = { "verdict", "slot", "slots", "card" };
        _cleanup_json_ json_object *o = json_object_new_object();
        json_object *codes = json_object_new_array(), *steps = json_object_new_array();
        json_object *blockers = json_array(p->doc, "blockers"), *all = json_array(p->doc, "steps");
        char hex[SHA256_DIGEST_STRING_LENGTH];

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (!streq(keys[i], "slots") || json_has(p->doc, "slots"))
                        json_set(o, keys[i], json_ref(json_get(p->doc, keys[i])));
        for (size_t i = 0; i < json_len(all); i++)
                json_object_array_add(steps, step_for_digest(json_at(all, i)));
        for (size_t i = 0; i < json_len(blockers); i++)
                json_append_str(codes, json_str(json_at(blockers, i), "code"));
        json_set(o, "steps", steps);
        json_set(o, "blockers", codes);

        const char *text = json_text(o);
        SHA256Data((const uint8_t *) text, strlen(text), hex);
        json_set_str(p->doc, "digest", hex);
}

int plan_seal(Plan *p) {
        json_object *steps = json_object_new_array();
        uint64_t estimate = json_u64(json_get(p->doc, "takes_down"), "used_bytes") / MOVED_BYTES_PER_USEC;

        json_set(p->doc, "steps", steps);
        if (!tail_is_tail(p))
                return -EINVAL;
        for (size_t i = 0; i < p->n_steps; i++) {
                json_object_array_add(steps, step_to_json(p, i));
                estimate += step_estimate(&p->steps[i]);
        }
        json_set_u64(p->doc, "eta_usec", estimate);
        digest_set(p);
        return 0;
}

static int step_from_json(Plan *p, json_object *o, char **ret_why) {
        json_object *args = json_get(o, "args");
        int type = step_type_from_string(json_str(o, "name"));

        if (type < 0 || !json_object_is_type(args, json_type_object)) {
                *ret_why = strf("step '%s' is not known or has no arguments", json_str(o, "name") ?: "");
                return -EBADMSG;
        }
        int r = plan_add_step(p, (StepType) type, json_ref(args));
        if (r < 0)
                return r;
        p->steps[p->n_steps - 1].frame = json_flag(o, "frame");
        p->steps[p->n_steps - 1].notes = json_ref(json_array(o, "notes"));
        return step_validate(&p->steps[p->n_steps - 1], ret_why);
}

int plan_from_json(json_object *doc, Plan **ret, char **ret_why) {
        int r = format_check(doc, FORMAT_PLAN);
        if (r < 0) {
                *ret_why = strf("%s", r == -EBADMSG ? "not a plan: the schema is not safe-remove/plan/NUMBER" : format_strerror(r));
                return r;
        }
        _cleanup_(plan_freep) Plan *p = calloc(1, sizeof(Plan));
        if (!p)
                return -ENOMEM;
        p->doc = json_ref(doc);

        json_object *steps = json_array(doc, "steps");
        for (size_t i = 0; i < json_len(steps); i++) {
                r = step_from_json(p, json_at(steps, i), ret_why);
                if (r < 0)
                        return r;
        }
        if (!tail_is_tail(p)) {
                *ret_why = strf("a step that can be undone comes after one that cannot");
                return -EBADMSG;
        }
        *ret = TAKE_PTR(p);
        return 0;
}

bool plan_is_restoration(const Plan *p) {
        return streq_ptr(json_str(p->doc, "kind"), "restore");
}

bool plan_is_finish(const Plan *p) {
        return streq_ptr(json_str(p->doc, "kind"), "finish");
}

bool plan_is_self_test(const Plan *p) {
        return json_has(p->doc, "self_test");
}

PlanVerdict plan_verdict(const Plan *p) {
        int v = plan_verdict_from_string(json_str(p->doc, "verdict"));

        return v < 0 ? PLAN_BLOCKED : (PlanVerdict) v;
}

bool plan_has_blocker(const Plan *p, const char *code) {
        return json_find(json_array(p->doc, "blockers"), "code", code);
}

const char *plan_digest(const Plan *p) {
        return json_str(p->doc, "digest");
}

const char *plan_slot_name(const Plan *p) {
        return json_str(json_get(p->doc, "slot"), "name");
}

size_t plan_n_slots(const Plan *p) {
        json_object *slots = json_array(p->doc, "slots");

        return slots ? json_len(slots) : 1;
}

json_object *plan_slot(const Plan *p, size_t i) {
        json_object *slots = json_array(p->doc, "slots");

        return slots ? json_at(slots, i) : json_get(p->doc, "slot");
}

const char *plan_slot_address(const Plan *p, size_t i) {
        const char *name = json_str(plan_slot(p, i), "name");

        for (size_t n = p->n_steps; n-- > 0;) {
                json_object *scope = json_get(p->steps[n].args, "scope");
                const char *address = json_str(scope, "address");
                if (address && (plan_n_slots(p) == 1 || streq_ptr(json_str(scope, "slot"), name)))
                        return address;
        }
        return NULL;
}

char *plan_slot_words(const Plan *p) {
        _cleanup_free_ char *words = strdup("");

        for (size_t i = 0; i < plan_n_slots(p); i++) {
                _cleanup_free_ char *word = slot_word(json_str(plan_slot(p, i), "name"));
                if (text_add(&words, " ", "%s", word ?: "?") < 0)
                        return NULL;
        }
        return TAKE_PTR(words);
}
