/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "removal-report.h"

enum {
        FOR_EVERYBODY,
        FOR_ROOT,
        _FOR_MAX,
};

struct RemovalReport {
        Answer *plans[_FOR_MAX];
        Answer *made[_FOR_MAX];        /* put together, until something new is said */
        json_object *public;           /* the ending for everybody */
};

void removal_report_free(RemovalReport *p) {
        for (size_t i = 0; p && i < _FOR_MAX; i++) {
                answer_unref(p->plans[i]);
                answer_unref(p->made[i]);
        }
        if (p)
                json_object_put(p->public);
        free(p);
}

/* Something new is said. */
static RemovalReport *change(RemovalReport **p) {
        *p = *p ?: calloc(1, sizeof(**p));
        for (size_t i = 0; *p && i < _FOR_MAX; i++)
                (*p)->made[i] = answer_unref((*p)->made[i]);
        return *p;
}

static int keep_plan(json_object *plan, Answer **ret) {
        _cleanup_(answer_unrefp) Answer *a = NULL;
        const char *text = plan ? json_text(plan) : NULL;

        *ret = answer_unref(*ret);
        if (!plan)
                return 0;
        int r = text ? answer_new(ANSWER_BYTES_MAX, &a) : -ENOMEM;
        if (r >= 0)
                r = answer_append(a, text, strlen(text));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

int removal_report_take_plan(RemovalReport **report, json_object *event) {
        RemovalReport *p = change(report);
        if (!p)
                return -ENOMEM;

        int k = keep_plan(json_get(event, "plan"), &p->plans[FOR_ROOT]);
        return k < 0 ? k : keep_plan(json_get(event, "public"), &p->plans[FOR_EVERYBODY]);
}

int removal_report_take_ending(RemovalReport **report, json_object *public) {
        RemovalReport *p = change(report);
        if (!p)
                return -ENOMEM;
        json_object_put(p->public);
        p->public = json_ref(public);
        return 0;
}

static json_object *lines_of(char **lines) {
        json_object *array = json_object_new_array();

        for (char **line = lines; line && *line; line++)
                json_append_str(array, *line);
        return array;
}

/* Without the plan, which comes after it. */
static json_object *ending_of(const RemovalEnding *e, const RemovalReport *p, bool privileged) {
        json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/report/1");
        json_set_str(o, "id", e->id);
        if (privileged) {
                json_set_str(o, "message", e->message ?: "");
                json_set(o, "remedy", lines_of(e->remedy));
                json_set(o, "lost", lines_of(e->lost));
                json_set(o, "disturbed", lines_of(e->disturbed));
                return o;
        }
        json_set_str(o, "message", json_str(p->public, "message") ?: "");
        json_set(o, "remedy", json_ref(json_array(p->public, "remedy")) ?: json_object_new_array());
        json_set(o, "lost", json_ref(json_array(p->public, "lost")) ?: json_object_new_array());
        json_set(o, "disturbed", json_ref(json_array(p->public, "disturbed")) ?: json_object_new_array());
        json_set_bool(o, "withheld", true);
        return o;
}

static int make(const RemovalEnding *e, const RemovalReport *p, bool privileged, Answer **ret) {
        _cleanup_json_ json_object *ending = ending_of(e, p, privileged);
        const Answer *plan = p->plans[privileged ? FOR_ROOT : FOR_EVERYBODY];
        _cleanup_(answer_unrefp) Answer *a = NULL;
        const char *text = json_text(ending);

        int k = text ? answer_new(ANSWER_BYTES_MAX, &a) : -ENOMEM;
        if (k >= 0)
                k = answer_append(a, text, strlen(text) - 1); /* its closing brace */
        if (k >= 0)
                k = answer_append(a, ",\"plan\":", 8);
        if (k >= 0)
                k = plan ? answer_append_answer(a, plan) : answer_append(a, "null", 4);
        if (k >= 0)
                k = answer_append(a, "}", 1);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(a);
        return 0;
}

int removal_report_make(RemovalReport **report, const RemovalEnding *ending, bool privileged, Answer **ret) {
        RemovalReport *p = *report ?: change(report);
        size_t who = privileged ? FOR_ROOT : FOR_EVERYBODY;

        if (!p)
                return -ENOMEM;
        int k = p->made[who] ? 0 : make(ending, p, privileged, &p->made[who]);
        if (k < 0)
                return k;
        *ret = answer_ref(p->made[who]);
        return 0;
}
