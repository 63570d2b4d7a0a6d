/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>

#include "base/fileio.h"
#include "engine/engine.h"
#include "kernel/memory/memory-block.h"
#include "tests/unit/plan/plan-text.h"
#include "tests/unit/test.h"

/* A world for the engine: a recorded machine (tests/roots/enter.c, ram2.root), whose files take every write but move nothing: a policy
 * file keeps what was written, a driver stays bound whatever is written to unbind. A case is one plan with its journal. */

static const StepLimits limits = { .offline_timeout_usec = 1000000, .write_timeout_usec = 5000000 };
static unsigned next_id = 1;
static int cancel_after = -1;

static inline bool cancelled(void *userdata) {
        return cancel_after >= 0 && cancel_after-- == 0;
}

static inline void policy_write(const char *value) {
        _cleanup_fclose_ FILE *f = fopen(AUTO_ONLINE_PATH, "we");

        CHECK(f && fprintf(f, "%s\n", value) > 0);
}

static inline void check_policy(const char *expected) {
        _cleanup_free_ char *now = NULL;

        CHECK_INT(auto_online_policy_read(&now), 0);
        CHECK_STR(now, expected);
}

/* kind: "removal" or "restore"; card and steps: JSON. */
static inline Plan *make_plan(const char *kind, const char *card, const char *steps) {
        _cleanup_free_ char *text = strf("{\"schema\": \"safe-remove/plan/1\", \"kind\": \"%s\", \"slot\": {\"name\": \"2\"}, \"card\": %s,"
                                         "\"steps\": [%s]}", kind, card, steps);

        CHECK(text);
        return plan_of_text(text);
}

typedef struct Case {
        char *id;
        Plan *plan;
        Journal *journal;
        Engine engine;
} Case;

static inline void case_set_up(Case *c) {
        c->engine = (Engine) { .plan = c->plan, .journal = c->journal, .run = { .limits = &limits, .cancelled = cancelled } };
}

/* Takes over the plan. */
static inline void case_begin(Case *c, Plan *plan) {
        *c = (Case) { .id = strf("%u", next_id++), .plan = plan };
        CHECK(c->id);
        CHECK_INT(journal_create(c->id, c->plan, json_object_new_object(), &c->journal), 0);
        case_set_up(c);
        policy_write("online_movable");
}

/* As another worker finds it, that goes on. */
static inline void case_reopen(Case *c) {
        _cleanup_free_ char *why = NULL;

        engine_done(&c->engine);
        journal_free(TAKE_PTR(c->journal));
        plan_free(TAKE_PTR(c->plan));
        CHECK_INT(journal_open(c->id, &c->journal, &c->plan, &why), 0);
        case_set_up(c);
        c->engine.resumed = true;
}

static inline void case_done(Case *c) {
        engine_done(&c->engine);
        journal_free(c->journal);
        plan_free(c->plan);
        free(c->id);
}

static inline char *journal_text(const Case *c) {
        _cleanup_free_ char *path = strf("%s/journal", c->journal->dir);
        char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        return text;
}

/* The kinds of records in their order: "start do done ...". */
static inline void check_kinds(const Case *c, const char *expected) {
        _cleanup_free_ char *text = journal_text(c), *kinds = strdup("");

        for (const char *p = text; (p = strstr(p, "\"ev\":\""));) {
                p += strlen("\"ev\":\"");
                CHECK_INT(text_add(&kinds, " ", "%.*s", (int) strcspn(p, "\""), p), 0);
        }
        CHECK_STR(kinds, expected);
}

/* Puts the journal of a finished case back to the first n lines of its text. */
static inline void journal_cut(const Case *c, const char *text, size_t n) {
        _cleanup_free_ char *path = strf("%s/journal", c->journal->dir);
        const char *end = text;

        for (size_t i = 0; i < n; i++)
                end = strchr(end, '\n') + 1;
        _cleanup_fclose_ FILE *f = fopen(path, "we");
        CHECK(f && fwrite(text, 1, (size_t) (end - text), f) == (size_t) (end - text));
}
