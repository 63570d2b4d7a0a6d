/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "probe/probe.h"

const Probe *const probes[] = {
        &probe_processes,
        &probe_mounts,
        &probe_references,
        &probe_below_port,
        &probe_block_devices,
        &probe_goes_on,
        &probe_kernel_users,
        &probe_memory_blocks,
        &probe_iomem,
        &probe_regions,
        &probe_decoders,
        &probe_drivers,
        &probe_functions,
        &probe_memdevs,
        &probe_power,
        &probe_link,
        &probe_indicators,
        &probe_libraries,
        &probe_kernel_log,
        NULL,
};

json_object *probe_scope(json_object *scope, json_object *since) {
        json_object *o = json_object_new_object();

        if (json_object_is_type(scope, json_type_object)) {
                json_object_object_foreach(scope, key, value)
                        json_set(o, key, json_ref(value));
        }
        if (since)
                json_set(o, "since", json_ref(since));
        return o;
}

static bool is_asked(const Probe *p, bool before_power_off) {
        return p->before_power_off || !before_power_off;
}

static bool report_on(json_object *scope, bool before_power_off, json_object *early, json_object **ret) {
        json_object *report = json_object_new_array();
        bool all = true;

        for (const Probe *const *p = probes; *p; p++) {
                _cleanup_free_ char *answer = NULL;

                if (!is_asked(*p, before_power_off))
                        continue;
                bool is_known = (*p)->ask_early && scope_names(early, "holds", (*p)->name);
                int r = is_known ? 1 : (*p)->ask(scope, &answer);
                json_object *o = json_object_new_object();
                if (is_known)
                        json_set_u64(o, "asked_usec", json_u64(early, "asked_usec"));
                json_set_str(o, "name", (*p)->name);
                json_set_str(o, "question", (*p)->question);
                json_set(o, "holds", r < 0 ? NULL : json_object_new_boolean(r > 0));
                json_set_str(o, "answer", answer ?: (r < 0 ? strerror(-r) : NULL));
                json_object_array_add(report, o);
                all = all && r > 0;
        }
        *ret = report;
        return all;
}

bool probes_report(json_object *scope, bool before_power_off, json_object **ret) {
        return report_on(scope, before_power_off, NULL, ret);
}

bool probes_report_behind(json_object *scope, json_object *early, json_object **ret) {
        return report_on(scope, false, early, ret);
}

static char *in_words(const char *name, const char *question, const char *answer) {
        return strf("%s (%s): %s", name, question, answer ?: "no");
}

char *probes_why(json_object *report) {
        for (size_t i = 0; i < json_len(report); i++) {
                json_object *o = json_at(report, i);
                if (!json_flag(o, "holds"))
                        return in_words(json_str(o, "name"), json_str(o, "question"), json_str(o, "answer"));
        }
        return NULL;
}

enum {
        BEGUN_MAX = 2,
};

#define FRESH_USEC (50 * USEC_PER_MSEC) /* after it an answer is given once more; usually what was begun has ended by then */

/* What was begun, in the order of the probes. */
typedef struct Begun {
        const Probe *probes[BEGUN_MAX];
        void *questions[BEGUN_MAX];
        size_t n;
} Begun;

static void begin_all(json_object *scope, bool before_power_off, Begun *ret) {
        for (const Probe *const *p = probes; *p && ret->n < BEGUN_MAX; p++) {
                void *question = NULL;

                if (!(*p)->begin || !is_asked(*p, before_power_off) || (*p)->begin(scope, &question) < 0)
                        continue;
                ret->probes[ret->n] = *p;
                ret->questions[ret->n++] = question;
        }
}

static bool was_begun(const Begun *begun, const Probe *p) {
        for (size_t i = 0; i < begun->n; i++)
                if (begun->probes[i] == p)
                        return true;
        return false;
}

/* The first no is the answer, also where another one was begun before it. */
static bool is_yes(const Probe *p, int r, char *answer, char **why) {
        if (r <= 0 && !*why)
                *why = in_words(p->name, p->question, answer ?: (r < 0 ? strerror(-r) : NULL));
        free(answer);
        return r > 0;
}

/* Those that were not begun. */
static bool ask_others(json_object *scope, bool before_power_off, const Begun *begun, char **why) {
        bool all = true;

        for (const Probe *const *p = probes; *p && all; p++) {
                char *answer = NULL;

                if (!is_asked(*p, before_power_off) || was_begun(begun, *p))
                        continue;
                int r = (*p)->ask(scope, &answer);
                all = is_yes(*p, r, answer, why);
        }
        return all;
}

int probes_ask(json_object *scope, bool before_power_off, char **ret_why) {
        Begun begun = { 0 };
        char *why = NULL;

        begin_all(scope, before_power_off, &begun);
        bool all = ask_others(scope, before_power_off, &begun, &why);
        uint64_t answered = now_monotonic();
        for (size_t i = 0; i < begun.n; i++) {
                char *answer = NULL;

                int r = begun.probes[i]->end(begun.questions[i], &answer);
                all = is_yes(begun.probes[i], r, answer, &why) && all;
        }
        /* Anybody can have enough processes for half a minute, in which the other answers grow old. */
        if (all && begun.n > 0 && now_monotonic() > answered + FRESH_USEC)
                all = ask_others(scope, before_power_off, &begun, &why);
        if (!all)
                *ret_why = why;
        return all;
}
