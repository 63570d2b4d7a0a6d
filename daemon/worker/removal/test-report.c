/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report of a self-test, from its records and those of the restoration that came after it: what a maker of this program, or of the card, wants to
 * know, and nothing that a machine's owner may not want to show. */
#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"
#include "daemon/worker/history.h"
#include "daemon/worker/verbs.h"
#include "daemon/worker/view.h"
#include "engine/engine.h"
#include "engine/journal.h"
#include "engine/state-dir.h"
#include "kernel/sysfs/attr.h"
#include "recorded/names-json.h"

#define SCHEMA "safe-remove/self-test/1"

/* What is gathered of one removal, step by step. */
typedef struct Gathered {
        json_object *steps, *lights, *probes;   /* borrowed from the report */
        json_object *start, *end, *before;      /* borrowed from `records` */
        json_object *records;                   /* array: keeps them */
        json_object *began;                     /* {"N": usec of its "do" or "undo"} */
} Gathered;

static void gathered_done(Gathered *g) {
        json_object_put(g->records);
        json_object_put(g->began);
}

static void take_note(Gathered *g, json_object *step, json_object *note) {
        if (json_get(note, "read")) {
                json_object *light = json_object_new_object();
                json_set_str(light, "step", json_str(step, "name"));
                json_set(light, "asked", json_ref(json_get(note, "asked")));
                json_set(light, "read", json_ref(json_get(note, "read")));
                json_object_array_add(g->lights, light);
        }
        for (size_t i = 0; i < json_len(json_array(note, "probes")); i++) {
                json_object *answer = json_at(json_array(note, "probes"), i), *probe = json_object_new_object();
                json_set_str(probe, "name", json_str(answer, "name"));
                json_set(probe, "holds", json_ref(json_get(answer, "holds")));
                json_object_array_add(g->probes, probe);
        }
}

/* How long each way took: from its "do" to its "done". */
static void take_time(Gathered *g, json_object *step, const char *ev, uint64_t n, json_object *record) {
        uint64_t usec = journal_moment(record);
        char key[24];

        snprintf(key, sizeof(key), "%" PRIu64, n);
        uint64_t began = json_u64(g->began, key);
        if (streq(ev, "do") || streq(ev, "undo"))
                json_set_u64(g->began, key, usec);
        else if (streq(ev, "done") || streq(ev, "undone")) {
                json_set_u64(step, streq(ev, "done") ? "do_usec" : "undo_usec", began > 0 && usec > began ? usec - began : 0);
                json_object_object_del(g->began, key);
        } else if (streq(ev, "failed"))
                json_set_str(step, "failed", json_str(record, "text") ?: "no reason given");
}

/* history_take_t */
static void take_record(json_object *record, void *userdata) {
        const char *ev = json_str(record, "ev") ?: "";
        Gathered *g = userdata;
        json_object *step = json_has(record, "n") ? json_at(g->steps, json_u64(record, "n")) : NULL;

        json_object_array_add(g->records, json_ref(record));
        if (streq(ev, "start"))
                g->start = record;
        else if (streq(ev, "end"))
                g->end = record;
        else if (streq(ev, "before"))
                g->before = json_get(record, "picture");
        else if (step && streq(ev, "note"))
                take_note(g, step, json_get(record, "note"));
        else if (step)
                take_time(g, step, ev, json_u64(record, "n"), record);
}

static json_object *steps_of(json_object *plan) {
        static const char *const keys[] = { "n", "name", "does", "undo" };
        json_object *all = json_array(plan, "steps"), *steps = json_object_new_array();

        for (size_t i = 0; i < json_len(all); i++) {
                json_object *step = json_object_new_object();
                for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                        json_set(step, keys[k], json_ref(json_get(json_at(all, i), keys[k])));
                json_set(step, "do_usec", NULL);
                json_set(step, "undo_usec", NULL);
                json_object_array_add(steps, step);
        }
        return steps;
}

/* The codes alone: who is in the way is nobody's business elsewhere. */
static json_object *codes_of(json_object *findings) {
        json_object *codes = json_object_new_array();

        for (size_t i = 0; i < json_len(findings); i++)
                json_append_str(codes, json_str(json_at(findings, i), "code"));
        return codes;
}

static void copy(json_object *to, json_object *from, const char *const *keys, size_t n) {
        for (size_t i = 0; i < n; i++)
                json_set(to, keys[i], json_ref(json_get(from, keys[i])));
}

/* How one of them ended, and what it took. 0 or a negative errno. */
static int add_part(json_object *o, uint64_t number, json_object *plan, bool with_before) {
        static const char *const started[] = { "kernel", "version" }, *const ended[] = { "outcome", "code" };
        static const char *const sections[] = { "blocks", "things", "functions", "frame" };
        _cleanup_(gathered_done) Gathered g = {
                .steps = steps_of(plan), .lights = json_object_new_array(), .probes = json_object_new_array(), .records = json_object_new_array(),
                .began = json_object_new_object(),
        };

        json_set_strf(o, "removal", "%" PRIu64, number);
        json_set(o, "steps", g.steps);
        json_set(o, "lights", g.lights);
        json_set(o, "probes", g.probes);
        int r = history_records(number, take_record, &g);
        if (r < 0)
                return r;
        copy(o, g.start, started, ELEMENTSOF(started));
        json_set(o, "started_usec", json_ref(json_get(g.start, "usec")));
        json_set(o, "ended_usec", json_ref(json_get(g.end, "usec")));
        copy(o, g.end, ended, ELEMENTSOF(ended));
        bool refused = streq_ptr(json_str(g.end, "outcome"), outcome_to_string(OUTCOME_REFUSED));
        json_set_str(o, "message", refused ? NULL : json_str(g.end, "message"));
        json_set(o, "blockers", codes_of(json_array(plan, "blockers")));
        json_set(o, "warnings", codes_of(json_array(plan, "warnings")));
        json_set(o, "differences", json_array(g.end, "lost") ? json_ref(json_array(g.end, "lost")) : json_object_new_array());
        if (!with_before)
                return 0;
        json_object *before = g.before ? json_object_new_object() : NULL;
        if (before)
                copy(before, g.before, sections, ELEMENTSOF(sections));
        json_set(o, "before", before);
        return 0;
}

/* As its firmware says; what is not there is null. */
static json_object *machine_of(void) {
        static const char *const words[][2] = {
                { "vendor", "sys_vendor" }, { "product", "product_name" }, { "board", "board_name" }, { "firmware", "bios_version" },
        };
        json_object *o = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                _cleanup_free_ char *text = NULL;
                (void) attr_readf(&text, "/sys/class/dmi/id/%s", words[i][1]);
                json_set_str(o, words[i][0], text);
        }
        return o;
}

/* What the slot has, as the step knows it that tests its lights. */
static json_object *slot_of(json_object *plan) {
        static const char *const keys[] = { "number", "attention_button", "power_controller", "power_indicator", "attention_indicator", "link_reported" };
        json_object *step = json_find(json_array(plan, "steps"), "name", step_type_to_string(STEP_TEST_LIGHTS)), *o = json_object_new_object();

        json_set_str(o, "name", json_str(json_get(plan, "slot"), "name"));
        json_set_str(o, "port", json_str(json_get(plan, "slot"), "port"));
        copy(o, json_get(step, "args"), keys, ELEMENTSOF(keys));
        return o;
}

/* The newest restoration of what this one took down; 0: there is none. */
static uint64_t restoration_of(uint64_t removal, json_object **ret_plan) {
        _cleanup_free_ char *id = strf("%" PRIu64, removal);
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        if (removal_ids(&ids, &n) < 0)
                return 0;
        for (size_t i = n; i-- > 0 && ids[i] > removal;) {
                _cleanup_json_ json_object *plan = NULL;
                if (history_plan(ids[i], &plan) < 0 || !streq_ptr(json_str(plan, "kind"), "restore") || !streq_ptr(json_str(plan, "of"), id))
                        continue;
                *ret_plan = TAKE_PTR(plan);
                return ids[i];
        }
        return 0;
}

static bool ended_as(json_object *o, Outcome outcome) {
        return streq_ptr(json_str(o, "outcome"), outcome_to_string(outcome));
}

/* Passed is what went through, and left nothing another thing than before. */
static const char *verdict_of(json_object *o, bool power) {
        json_object *restoration = json_get(o, "restoration");

        if (!json_get(o, "outcome"))
                return "unfinished";
        if (ended_as(o, OUTCOME_REFUSED) || ended_as(o, OUTCOME_NOTHING))
                return "refused";
        if (!ended_as(o, OUTCOME_TESTED) || json_len(json_array(o, "differences")) > 0)
                return "failed";
        if (power && (!restoration || !json_get(restoration, "outcome")))
                return "unfinished";
        return power && (!ended_as(restoration, OUTCOME_REBUILT) || json_len(json_array(restoration, "differences")) > 0) ? "failed" : "passed";
}

static int report_make(uint64_t number, json_object **ret) {
        _cleanup_json_ json_object *plan = NULL, *restoration_plan = NULL, *o = json_object_new_object();

        int r = history_plan(number, &plan);
        if (r < 0)
                return r;
        const char *test = json_str(plan, "self_test");
        if (!test)
                return -ENOENT;
        bool power = streq(test, "power");
        json_set_str(o, "schema", SCHEMA);
        json_set_str(o, "verdict", NULL); /* in its place */
        json_set_bool(o, "with_power", power);
        json_set(o, "machine", machine_of());
        json_set(o, "slot", slot_of(plan));
        json_set(o, "card", json_ref(json_get(plan, "card")));
        r = add_part(o, number, plan, true);
        uint64_t restoration = r >= 0 && power ? restoration_of(number, &restoration_plan) : 0;
        json_object *part = restoration > 0 ? json_object_new_object() : NULL;
        json_set(o, "restoration", part);
        if (part)
                r = add_part(part, restoration, restoration_plan, false);
        if (r < 0)
                return r;
        json_set_str(o, "verdict", verdict_of(o, power));
        *ret = TAKE_PTR(o);
        return 0;
}

int worker_test_report(WorkerIo *io, json_object *request) {
        _cleanup_json_ json_object *report = NULL, *made = NULL;
        _cleanup_(names_freep) Names *names = names_new();
        const char *id = json_str(request, "id") ?: "";
        uint64_t number = 0;

        int r = names ? parse_u64(id, &number) : -ENOMEM;
        if (r >= 0)
                r = report_make(number, &report);
        if (r >= 0) {
                (void) view_restrict(report, json_get(request, "by"));
                made = names_json(names, report);
                r = made ? 0 : -ENOMEM;
        }
        if (r >= 0) {
                json_set_str(made, "schema", SCHEMA); /* it looks like a path */
        }
        if (r == -ENOENT || r == -EINVAL || r == -ERANGE) {
                _cleanup_free_ char *none = strf("There is no self-test '%s'.", id);
                worker_send_error(io, "unknown", none ?: "There is no such self-test.");
        } else if (r < 0)
                worker_send_error(io, "internal", strerror(-r));
        if (r < 0)
                return r;
        worker_send_document(io, request, json_text(made));
        return 0;
}
