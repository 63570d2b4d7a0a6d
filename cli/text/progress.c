/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/clock.h"
#include "event-text.h"
#include "format.h"
#include "output.h"
#include "progress.h"
#include "wrap.h"

static void repaint(const Progress *p) {
        _cleanup_free_ char *text = strf("%s  %8s  %s", p->step, FORMAT_DURATION(now_monotonic() - p->started), p->detail ?: "");

        /* One column is left free: a line that fills the last one wraps, and the next repaint would miss it. The whole line comes at the step's end. */
        size_t columns = terminal_columns() - 1, more = output.utf8 ? 1 : strlen("...");
        if (text && format_width(text) > columns)
                printf("\r\033[K%.*s%s", (int) text_clip(text, columns - more), text, output.utf8 ? "\u2026" : "...");
        else if (text)
                printf("\r\033[K%s", text);
        fflush(stdout);
}

static void clear_line(Progress *p) {
        if (p->step)
                fputs("\r\033[K", stdout);
        free(TAKE_PTR(p->step));
        free(TAKE_PTR(p->detail));
}

void progress_start(Progress *p) {
        const char *term = getenv("TERM");

        *p = (Progress) {
                .silent = output.json != JSON_OFF,
                .live = output.json == JSON_OFF && isatty(STDOUT_FILENO) && term && !streq(term, "dumb"),
        };
}

void progress_done(Progress *p) {
        clear_line(p);
        json_object_put(TAKE_PTR(p->plan));
        free(TAKE_PTR(p->started_note));
        fflush(stdout);
}

static void print_line(Progress *p, Color color, const char *text) {
        _cleanup_free_ char *wrapped = text_wrap(text, p->live ? terminal_columns() : 0);

        clear_line(p);
        print_colored(color, "%s\n", wrapped ?: text);
        fflush(stdout);
}

void progress_note(Progress *p, const char *text) {
        if (!p->silent)
                print_line(p, COLOR_NONE, text);
}

void progress_has_started(Progress *p) {
        _cleanup_free_ char *note = TAKE_PTR(p->started_note);

        if (note)
                progress_note(p, note);
}

void progress_tick(Progress *p) {
        if (p->step)
                repaint(p);
}

/* A restoration's steps are a removal's, each of them undone. */
static char *step_prefix(const Progress *p, json_object *e) {
        bool restores = streq_ptr(json_str(p->plan, "kind"), "restore");

        return strf("[%2" PRIu64 "/%" PRIu64 "] %s%-*s", json_u64(e, "n") + 1, json_u64(e, "of"), restores ? "undo " : "",
                    STEP_COLUMNS, json_str(e, "name") ?: "");
}

static void step_begins(Progress *p, json_object *e, const char *what) {
        clear_line(p);
        if (!p->live)
                return;
        p->step = step_prefix(p, e);
        p->detail = strdup(what);
        p->started = now_monotonic();
        progress_tick(p);
}

/* What the worker says of it, else what the plan says that it does. */
static const char *step_text(const Progress *p, json_object *e) {
        json_object *step = json_at(json_array(p->plan, "steps"), json_u64(e, "n"));

        return json_str(e, "text") ?: json_str(step, "does") ?: "";
}

static void step_ends(Progress *p, json_object *e, const char *what, Color color) {
        _cleanup_free_ char *prefix = step_prefix(p, e), *said = *what ? text_with(what, step_text(p, e)) : strdup(step_text(p, e));
        uint64_t took = json_u64(e, "usec");
        _cleanup_free_ char *line = strf("%s  %8s  %s", prefix ?: "", took > 0 ? FORMAT_DURATION(took) : "", said ?: "");

        if (!line)
                return;
        for (size_t n = strlen(line); n > 0 && line[n - 1] == ' '; n--)
                line[n - 1] = '\0';
        print_line(p, color, line);
}

static void on_step(Progress *p, json_object *e) {
        static const struct {
                const char *phase;
                bool ends;
                const char *what;
                Color color;
        } phases[] = {
                { "do",     false, "",             COLOR_NONE },
                { "undo",   false, "putting back", COLOR_NONE },
                { "done",   true,  "",             COLOR_NONE },
                { "undone", true,  "undone",       COLOR_WARN },
                { "failed", true,  "FAILED",       COLOR_BAD },
        };

        for (size_t i = 0; i < ELEMENTSOF(phases); i++) {
                if (!streq_ptr(phases[i].phase, json_str(e, "phase")))
                        continue;
                if (phases[i].ends)
                        step_ends(p, e, phases[i].what, phases[i].color);
                else
                        step_begins(p, e, phases[i].what);
        }
}

static void on_progress(Progress *p, json_object *e) {
        if (!p->step)
                return;
        free(p->detail);
        p->detail = strf("%" PRIu64 "/%" PRIu64 " %s", json_u64(e, "done"), json_u64(e, "of"), json_str(e, "text") ?: "");
        repaint(p);
}

static void on_plan(Progress *p, json_object *e) {
        json_object_put(p->plan);
        p->plan = json_ref(json_get(e, "plan"));
}

static void on_text(Progress *p, json_object *e) {
        _cleanup_free_ char *text = event_text(e);

        if (text)
                print_line(p, COLOR_DIM, text);
}

/* What an operator has to know while it runs. The rest (target, plan, led, end) is said before or after. */
static void on_state(Progress *p, json_object *e) {
        static const struct {
                const char *state, *text;
                Color color;
        } states[] = {
                { "finishing", "from here on there is no way back", COLOR_WARN },
                { "restoring", "putting everything back", COLOR_WARN },
        };

        /* What is tested comes back. */
        bool test = p->plan && json_has(p->plan, "self_test");

        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (streq_ptr(states[i].state, json_str(e, "state")))
                        print_line(p, states[i].color, test && i == 0 ? "from here on it cannot be called off; its power comes on again" : states[i].text);
}

void progress_event(Progress *p, json_object *event) {
        static const struct {
                const char *type;
                void (*handle)(Progress *p, json_object *e);
        } types[] = {
                { "plan", on_plan },    { "step", on_step },     { "progress", on_progress },
                { "state", on_state },  { "waiting", on_text },  { "announce", on_text },
                { "kmsg-lost", on_text },
        };

        for (size_t i = 0; !p->silent && i < ELEMENTSOF(types); i++) {
                if (!streq_ptr(types[i].type, json_str(event, "type")))
                        continue;
                if (!streq(types[i].type, "plan") || streq_ptr(json_str(event, "verdict"), "ready"))
                        progress_has_started(p);
                types[i].handle(p, event);
        }
}
