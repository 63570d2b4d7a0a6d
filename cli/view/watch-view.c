/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>

#include "base/clock.h"
#include "cli/removal.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "cli/text/wrap.h"
#include "slots-view.h"
#include "watch-view.h"

enum {
        ROOMY = 20,             /* rows, from which on sections have a blank line between them */
        EVENTS_MIN = 3,         /* rows for the events, whatever else there is */
        REMOVALS_MIN = 4,       /* and for what runs */
        BAR = 20,
        HOLDERS_SHOWN = 6,
};

/* A part of the screen: its lines, of which the first `shown` are on it. */
typedef struct Section {
        char *text;
        size_t lines, shown;
} Section;

static void section_done(Section *s) {
        free(s->text);
}

#define _cleanup_section_ _cleanup_(section_done)

static const char *skip_lines(const char *text, size_t n) {
        for (; n > 0 && *text; n--) {
                text += strcspn(text, "\n");
                text += *text == '\n';
        }
        return text;
}

static Section section_of(char *text) {
        Section s = { .text = text };

        for (const char *p = text; p && *p; s.lines++)
                p = skip_lines(p, 1);
        s.shown = s.lines;
        return s;
}

static void put_lines(FILE *f, const char *text, size_t n) {
        fwrite(text, 1, (size_t) (skip_lines(text, n) - text), f);
}

/* With a line, instead of the last one that there is room for, that says how many there are. */
static void section_print(FILE *f, const Section *s) {
        bool all = s->shown == s->lines;

        if (s->shown == 0 || !s->text)
                return;
        put_lines(f, s->text, s->shown - !all);
        if (!all)
                fprintf(f, "%s(%zu more lines)%s\n", color_start(COLOR_DIM), s->lines - s->shown + 1, color_end());
}

/* What runs. */

void watch_view_keep_times(json_object *removal, json_object *changed) {
        static const struct {
                const char *key, *kept;
        } ends[] = { { "deadline_usec", "deadline_here" }, { "estimated_end_usec", "estimated_end_here" } };
        uint64_t wall = now_wall(), now = now_monotonic();

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                uint64_t end = json_u64(removal, ends[i].key);
                if (json_has(changed, ends[i].key))
                        json_set_u64(removal, ends[i].kept, end > wall ? now + (end - wall) : 0);
        }
        if (json_has(changed, "age_usec"))
                json_set_u64(removal, "began_here", now - json_u64(changed, "age_usec"));
}

static uint64_t left_until(uint64_t usec) {
        uint64_t now = now_monotonic();

        return usec > now ? usec - now : 0;
}

/* No tenths: it is painted once a second. */
static const char *seconds(char buf[static FORMAT_MAX], uint64_t usec) {
        uint64_t sec = usec / USEC_PER_SEC;

        if (sec >= 60)
                return format_duration(buf, usec);
        snprintf(buf, FORMAT_MAX, "%" PRIu64 " s", sec);
        return buf;
}

static void print_bar(json_object *r) {
        double progress = json_object_get_double(json_get(r, "progress"));
        size_t full = progress > 0 ? (size_t) (progress * BAR + 0.5) : 0, percent = progress > 0 ? (size_t) (progress * 100) : 0;
        uint64_t left = left_until(json_u64(r, "estimated_end_here"));

        printf("  [");
        for (size_t i = 0; i < BAR; i++)
                putchar(i < full ? '#' : '.');
        printf("] %3zu %%", percent);
        if (left > 0)
                printf("  about %s left", seconds((char[FORMAT_MAX]) { 0 }, left));
        putchar('\n');
}

/* These wait for whoever uses the card. */
static bool waits_for_holders(const char *step) {
        static const char *const steps[] = { "announce", "run-hooks", "freeze-holders", "end-holders" };

        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
                if (streq_ptr(steps[i], step))
                        return true;
        return false;
}

static void print_holders(json_object *r) {
        json_object *holders = json_array(json_get(r, "plan"), "holders");
        size_t all = json_u64(r, "holders"), named = 0;

        if (all == 0)
                return;
        printf("  used by ");
        for (size_t i = 0; i < json_len(holders) && named < HOLDERS_SHOWN; i++) {
                json_object *h = json_at(holders, i);
                const char *comm = json_str(h, "comm");
                if (comm)
                        printf("%s%s (%" PRIu64 ")", named++ > 0 ? ", " : "", comm, json_u64(h, "pid"));
        }
        if (named == 0)
                printf("%zu holder%s\n", all, all == 1 ? "" : "s");
        else if (named < all)
                printf(" and %zu more\n", all - named);
        else
                putchar('\n');
}

static void print_doing(json_object *r, const char *doing) {
        json_object *step = json_at(json_array(json_get(r, "plan"), "steps"), json_u64(r, "step_index"));
        const char *does = streq_ptr(json_str(step, "name"), json_str(r, "step")) ? json_str(step, "does") : NULL;
        uint64_t promised = left_until(json_u64(r, "deadline_here"));

        if (doing ?: does)
                printf("  %s\n", doing ?: does);
        if (promised > 0)
                printf("  nothing is taken away for another %s\n", seconds((char[FORMAT_MAX]) { 0 }, promised));
}

static void print_running(json_object *r, json_object *doing) {
        uint64_t age = json_has(r, "began_here") ? now_monotonic() - json_u64(r, "began_here") : 0;
        const char *state = json_str(r, "state"), *noun = removal_noun(r);
        _cleanup_free_ char *slots = slots_label(r), *asker = asker_text(r);

        printf("%c%s %s of %s: ", toupper((unsigned char) *noun), noun + 1, json_str(r, "id") ?: "?", slots);
        print_colored(COLOR_WARN, "%s", state ?: "?");
        if (json_u64(r, "step_count") > 0)
                printf(", step %" PRIu64 "/%" PRIu64 " %s", json_u64(r, "step_index") + 1, json_u64(r, "step_count"), json_str(r, "step") ?: "");
        printf(", for %s%s\n", seconds((char[FORMAT_MAX]) { 0 }, age),
               streq_ptr(state, "finishing") ? ", cannot be cancelled any more" : "");
        print_bar(r);
        print_doing(r, json_str(doing, json_str(r, "id") ?: ""));
        if (waits_for_holders(json_str(r, "step")))
                print_holders(r);
        printf("  asked for by %s\n", asker && *asker ? asker : "?");
}

/* How the newest one ended; not that a slot is safe which no longer says so itself. */
static void print_last(const WatchView *v) {
        json_object *r = json_at(v->removals, 0), *slot = json_find(v->slots, "name", json_str(r, "slot"));

        if (!r || (streq_ptr(json_str(r, "outcome"), "safe") && !streq_ptr(json_str(slot, "state"), "safe")))
                return;
        printf("Last %s %s, ", removal_noun(r), json_str(r, "id") ?: "?");
        (void) removal_print(r, NULL);
}

static Section make_removals(const WatchView *v) {
        _cleanup_json_ json_object *running = removals_running(v->removals);

        output_keep();
        for (size_t i = 0; i < json_len(running); i++)
                print_running(json_at(running, i), v->doing);
        if (json_len(running) == 0)
                print_last(v);
        return section_of(output_take());
}

bool watch_view_runs(const WatchView *v) {
        _cleanup_json_ json_object *running = removals_running(v->removals);

        return json_len(running) > 0;
}

/* Slots. */

static bool is_dull(json_object *slot) {
        const char *state = json_str(slot, "state");

        return (streq_ptr(state, "ready") || streq_ptr(state, "empty")) && !json_flag(slot, "stale");
}

/* The first `most`, and before these all that are not as they should be; in their order. */
static json_object *choose_slots(json_object *slots, size_t most) {
        json_object *chosen = json_object_new_array();
        size_t dull = most;

        for (size_t i = 0; i < json_len(slots); i++)
                dull -= !is_dull(json_at(slots, i)) && dull > 0;
        for (size_t i = 0; i < json_len(slots) && json_len(chosen) < most; i++) {
                json_object *slot = json_at(slots, i);
                if (is_dull(slot) && dull == 0)
                        continue;
                dull -= is_dull(slot);
                json_object_array_add(chosen, json_ref(slot));
        }
        return chosen;
}

static Section print_slots(json_object *slots, size_t left_out) {
        output_keep();
        if (json_len(slots) > 0)
                slots_print_small(slots);
        else
                puts("no hot-plug slots");
        if (left_out > 0)
                printf("%s(%zu more slots)%s\n", color_start(COLOR_DIM), left_out, color_end());
        slots_print_located(slots, NULL);
        slots_print_stays(slots, NULL);
        return section_of(output_take());
}

static Section make_slots(const WatchView *v, size_t most) {
        size_t n = json_len(v->slots);
        Section all = print_slots(v->slots, 0);

        for (size_t shown = n; all.lines > most && shown > 1;) {
                size_t over = all.lines - most;
                shown = shown > over + 1 ? shown - over : 1;
                _cleanup_json_ json_object *chosen = choose_slots(v->slots, shown);
                section_done(&all);
                all = print_slots(chosen, n - json_len(chosen));
        }
        all.shown = all.lines < most ? all.lines : most;
        return all;
}

/* The whole. */

static void print_head(const WatchView *v) {
        _cleanup_free_ char *title = strf("safe-remove on %s", v->machine);
        static const char keys[] = "q quits";
        size_t width = title ? format_width(title) : 0, room = output.columns > width + strlen(keys) ? output.columns - width - strlen(keys) : 0;

        print_colored(COLOR_BOLD, "%s", title ?: "");
        if (room > 1)
                printf("%*s%s", (int) room, "", keys);
        putchar('\n');
        if (v->problem)
                print_colored(COLOR_BAD, "%s\n", v->problem);
}

static Section make_head(const WatchView *v) {
        output_keep();
        print_head(v);
        return section_of(output_take());
}

/* Of as many as there is room for the last lines. */
static Section make_events(const WatchView *v, size_t rows) {
        size_t n = json_len(v->events), first = n > rows ? n - rows : 0;

        output_keep();
        for (size_t i = first; i < n; i++)
                printf("%s\n", json_object_get_string(json_at(v->events, i)));
        Section s = section_of(output_take());
        s.shown = s.lines < rows ? s.lines : rows;
        return s;
}

/* What runs has what slots leave, and half of all in any case. */
static void share(const WatchView *v, size_t rows, Section *slots, Section *removals) {
        *slots = make_slots(v, rows);
        size_t room = rows - slots->shown > rows / 2 ? rows - slots->shown : rows / 2;

        room = room < REMOVALS_MIN ? REMOVALS_MIN : room;
        removals->shown = removals->lines < room ? removals->lines : room;
        if (slots->shown + removals->shown <= rows)
                return;
        section_done(slots);
        *slots = make_slots(v, rows > removals->shown ? rows - removals->shown : 1);
}

char *watch_view(const WatchView *v, size_t rows) {
        size_t blank = rows >= ROOMY ? 1 : 0, kept = EVENTS_MIN + 3 * blank, size = 0;
        _cleanup_section_ Section head = make_head(v), removals = make_removals(v), slots = { 0 };
        char *text = NULL;

        share(v, rows > head.lines + kept ? rows - head.lines - kept : 1, &slots, &removals);
        size_t used = head.shown + slots.shown + removals.shown + 2 * blank + (removals.shown > 0 ? blank : 0);
        _cleanup_section_ Section events = make_events(v, rows > used ? rows - used : 0);

        FILE *f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        section_print(f, &head);
        fputs(blank > 0 ? "\n" : "", f);
        section_print(f, &slots);
        fputs(blank > 0 && removals.shown > 0 ? "\n" : "", f);
        section_print(f, &removals);
        fputs(blank > 0 ? "\n" : "", f);
        fputs(events.text ? skip_lines(events.text, events.lines - events.shown) : "", f);
        if (fclose(f) == 0)
                return text;
        free(text);
        return NULL;
}
