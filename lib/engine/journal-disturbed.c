/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom a removal has disturbed, and who has disturbed it, in words, by what its steps noted before they did it. For the ending: who uses the card is told before, but who
 * was really sent a signal only the notes know. */
#include <string.h>

#include "engine/journal.h"

enum {
        LINES_MAX = 256, /* how many processes there are is their users' choice, and the daemon keeps the lines */
};

typedef struct Disturbed {
        json_object *processes; /* "PID:START": {"who", "signals": ["SIGTERM", ...], "stopped"}, in the order of the notes */
        json_object *groups;    /* unit: {"one", "stop", "frozen"} */
        json_object *rivals;    /* what somebody else did: by whom, once for each */
} Disturbed;

static json_object *entry_of(json_object *all, const char *key) {
        if (!json_has(all, key))
                json_set(all, key, json_object_new_object());
        return json_get(all, key);
}

static json_object *process_of(Disturbed *d, json_object *note, uint64_t pid) {
        _cleanup_free_ char *key = strf("%ju:%ju", (uintmax_t) pid, (uintmax_t) json_u64(note, "start_time"));
        _cleanup_free_ char *user = json_has(note, "uid") ? strf(" of user %ju", (uintmax_t) json_u64(note, "uid")) : strdup("");
        const char *unit = json_str(note, "unit");
        json_object *entry = entry_of(d->processes, key ?: "");

        if (!json_has(entry, "who") || unit)
                json_set_strf(entry, "who", "process %ju (%s)%s%s%s", (uintmax_t) pid, json_str(note, "comm") ?: "?", user ?: "", unit ? ", " : "", unit ?: "");
        return entry;
}

static void take_signal(Disturbed *d, json_object *note) {
        json_object *entry = process_of(d, note, json_u64(note, "pid"));
        const char *name = sigabbrev_np((int) json_u64(note, "signal"));

        if (!json_has(entry, "signals"))
                json_set(entry, "signals", json_object_new_array());
        json_append_strf(json_get(entry, "signals"), "SIG%s", name ?: "?");
}

/* It had let go of the card, or had ended, after the signal was noted. */
static void take_unsent(Disturbed *d, json_object *note) {
        json_object *signals = json_get(process_of(d, note, json_u64(note, "unsent")), "signals");

        if (json_len(signals) > 0)
                json_object_array_del_idx(signals, json_len(signals) - 1, 1);
}

static void take_stop(Disturbed *d, json_object *note) {
        json_object *units = json_get(note, "units"), *passing = json_get(note, "passing"), *one = json_get(note, "process");
        const char *unit = json_str(note, "stop");
        json_object *entry = entry_of(d->groups, unit);
        char *text = strdup("their unit was stopped");

        for (size_t i = 0; i < json_len(units) + json_len(passing); i++) {
                const char *with = json_object_get_string(i < json_len(units) ? json_at(units, i) : json_at(passing, i - json_len(units)));
                if (streq_ptr(with, unit))
                        continue;
                (void) text_add(&text, ", ", "and %s with it", with);
        }
        if (one)
                json_set_strf(entry, "one", ", %ju (%s) of user %ju among them", (uintmax_t) json_u64(one, "pid"), json_str(one, "comm") ?: "?",
                              (uintmax_t) json_u64(one, "uid"));
        json_set_str(entry, "stop", text);
        free(text);
}

static void take_note(Disturbed *d, json_object *note) {
        const char *group = json_str(note, "cgroup");

        if (json_str(note, "rival"))
                json_set_str(d->rivals, json_str(note, "did") ?: "?", json_str(note, "rival"));
        else if (json_has(note, "signal"))
                take_signal(d, note);
        else if (json_has(note, "unsent"))
                take_unsent(d, note);
        else if (json_str(note, "stop"))
                take_stop(d, note);
        else if (group)
                json_set_bool(entry_of(d->groups, json_str(note, "unit") ?: group), "frozen", true);
        else if (json_has(note, "pid"))
                json_set_bool(process_of(d, note, json_u64(note, "pid")), "stopped", true);
}

typedef struct Lines {
        json_object *array;
        size_t left_out;
} Lines;

static void add_line(Lines *l, const char *who, const char *what) {
        if (json_len(l->array) < LINES_MAX)
                json_append_strf(l->array, "%s: %s", who, what);
        else
                l->left_out++;
}

/* Who was ended comes first. */
static void add_lines(Lines *l, const Disturbed *d, bool ended) {
        json_object_object_foreach(d->groups, unit, group) {
                _cleanup_free_ char *who = strf("processes of %s%s", unit, json_str(group, "one") ?: "");
                const char *stop = json_str(group, "stop");
                if ((stop != NULL) == ended)
                        add_line(l, who ?: "?", stop ?: "frozen meanwhile");
        }
        json_object_object_foreach(d->processes, key, process) {
                json_object *signals = json_get(process, "signals");
                _cleanup_free_ char *text = json_joined(signals, NULL, ", ");
                if (json_len(signals) > 0 ? ended : !ended && json_flag(process, "stopped"))
                        add_line(l, json_str(process, "who") ?: key, ended ? text ?: "?" : "stopped meanwhile");
        }
}

json_object *journal_disturbed(const Journal *j) {
        _cleanup_json_ json_object *processes = json_object_new_object(), *groups = json_object_new_object(), *rivals = json_object_new_object();
        Disturbed d = { .processes = processes, .groups = groups, .rivals = rivals };
        Lines l = { .array = json_object_new_array() };

        /* The notes of a restoration are its removal's. */
        if (streq_ptr(json_str(j->start, "kind"), "restore") || !j->notes)
                return l.array;
        json_object_object_foreach(j->notes, n, notes)
                for (size_t i = 0; n && i < json_len(notes); i++)
                        take_note(&d, json_at(notes, i));
        json_object_object_foreach(rivals, did, who)
                add_line(&l, json_object_get_string(who), did);
        add_lines(&l, &d, true);
        add_lines(&l, &d, false);
        if (l.left_out > 0)
                json_append_strf(l.array, "processes that are not listed: %zu more", l.left_out);
        return l.array;
}
