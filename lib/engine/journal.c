/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "base/parse.h"
#include "engine/journal.h"
#include "engine/state-dir.h"

void journal_free(Journal *j) {
        closep(&j->fd);
        free(j->dir);
        free(j->back_code);
        free(j->back_why);
        json_object_put(j->start);
        json_object_put(j->end);
        json_object_put(j->notes);
        json_object_put(j->undone);
        json_object_put(j->before);
        json_object_put(j->card);
        json_object_put(j->writers);
        json_object_put(j->slots);
        json_object_put(j->lost);
        json_object_put(j->lost_set);
        free(j);
}

static int journal_new(const char *id, Journal **ret) {
        _cleanup_(journal_freep) Journal *j = calloc(1, sizeof(Journal));
        if (!j)
                return -ENOMEM;

        j->fd = -EBADF;
        j->last_do = SIZE_MAX;
        int r = removal_dir(id, &j->dir);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

int journal_append(Journal *j, json_object *record) {
        json_set_u64(record, "usec", now_wall());
        return append_line_durably(j->fd, json_text(record));
}

/* Outlives us, but not yet the machine. */
static int append(Journal *j, json_object *record) {
        json_set_u64(record, "usec", now_wall());
        return append_line(j->fd, json_text(record));
}

int journal_append_all(Journal *j, json_object *records) {
        _cleanup_free_ char *text = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        uint64_t now = now_wall();
        size_t size = 0;

        if (json_len(records) == 0)
                return 0;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        for (size_t i = 0; i < json_len(records); i++) {
                json_set_u64(json_at(records, i), "usec", now);
                fprintf(f, "%s%s", i > 0 ? "\n" : "", json_text(json_at(records, i)));
        }
        if (fflush(f) != 0)
                return -ENOMEM;
        return append_line_durably(j->fd, text);
}

static json_object *record_new(const char *ev) {
        json_object *o = json_object_new_object();

        json_set_str(o, "ev", ev);
        return o;
}

static int file_open(Journal *j, int flags) {
        _cleanup_free_ char *path = strf("%s/journal", j->dir);
        if (!path)
                return -ENOMEM;

        j->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
        return j->fd < 0 ? -errno : 0;
}

int journal_replace_plan(Journal *j, const Plan *plan) {
        _cleanup_free_ char *path = strf("%s/plan.json", j->dir);

        return path ? write_file_durably(path, json_text(plan->doc)) : -ENOMEM;
}

static int dirs_make(const Journal *j) {
        _cleanup_free_ char *removals = strf("%s/removals", state_dir());
        if (!removals)
                return -ENOMEM;

        int r = mkdir_private(state_dir());
        if (r >= 0)
                r = mkdir_private(removals);
        if (r < 0)
                return r;
        return mkdir(j->dir, 0700) < 0 ? -errno : 0;
}

/* Nobody has heard of the removal yet, so its folder and both files last at once, and only here: a file system writes what belongs together for
 * the first that is waited for. All of it before the record with which the removal has begun: after a power cut that record has its plan. */
static int make_durable(const Journal *j) {
        _cleanup_free_ char *plan = strf("%s/plan.json", j->dir);
        if (!plan)
                return -ENOMEM;

        int r = fsync_path(plan);
        if (r >= 0)
                r = fsync_path(j->dir);
        return r < 0 ? r : fsync_parent(j->dir);
}

static int plan_write(const Journal *j, const Plan *plan) {
        _cleanup_free_ char *path = strf("%s/plan.json", j->dir);

        return path ? replace_file(path, json_text(plan->doc)) : -ENOMEM;
}

static json_object *slot_names(const Plan *plan) {
        json_object *names = json_object_new_array();

        for (size_t i = 0; i < plan_n_slots(plan); i++)
                json_append_str(names, json_str(plan_slot(plan, i), "name"));
        return names;
}

static json_object *slots_of(const Plan *plan) {
        json_object *slots = json_object_new_array();

        for (size_t i = 0; i < plan_n_slots(plan); i++) {
                json_object *slot = json_object_new_object();
                json_set_str(slot, "name", json_str(plan_slot(plan, i), "name"));
                json_set_str(slot, "port", json_str(plan_slot(plan, i), "port"));
                json_object_array_add(slots, slot);
        }
        return slots;
}

int journal_create(const char *id, const Plan *plan, json_object *start, Journal **ret) {
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_json_ json_object *owned = start, *record = record_new("start");
        char boot[33];

        int r = journal_new(id, &j);
        if (r >= 0)
                r = boot_id_read(boot);
        if (r >= 0)
                r = journal_end_forget(journal_removal(j));
        if (r >= 0)
                r = dirs_make(j);
        if (r >= 0)
                r = plan_write(j, plan);
        if (r >= 0)
                r = file_open(j, O_CREAT | O_EXCL);
        if (r >= 0)
                r = make_durable(j);
        if (r < 0)
                return r;

        j->slots = slots_of(plan);
        format_set(record, FORMAT_JOURNAL);
        json_set_str(record, "boot", boot);
        json_set_u64(record, "monotonic_usec", now_monotonic());
        json_set_str(record, "slot", plan_slot_name(plan));
        if (plan_n_slots(plan) > 1)
                json_set(record, "slots", slot_names(plan));
        json_set(record, "card", json_ref(json_get(plan->doc, "card")));
        json_object_object_foreach(owned, key, value)
                json_set(record, key, json_ref(value));
        r = journal_append(j, record);
        if (r < 0) {
                /* Whoever asked hears that it was not begun, so nobody may go on with it later. */
                (void) !ftruncate(j->fd, 0);
                return r;
        }
        j->start = json_ref(record);
        *ret = TAKE_PTR(j);
        return 0;
}

static int text_keep(char **field, json_object *record, const char *key) {
        free(TAKE_PTR(*field));
        const char *s = json_str(record, key);
        if (!s)
                return 0;
        *field = strdup(s);
        return *field ? 0 : -ENOMEM;
}

static int record_replay(Journal *j, json_object *record, const char *boot) {
        const char *ev = json_str(record, "ev");

        if (!ev)
                return -EBADMSG;
        if (streq(ev, "start")) {
                if (j->start)
                        return -EBADMSG;
                j->start = json_ref(record);
                j->other_boot = !streq_ptr(json_str(record, "boot"), boot);
                return format_check(record, FORMAT_JOURNAL);
        } else if (!j->start)
                return -EBADMSG;
        else if (streq(ev, "do")) {
                uint64_t n = json_u64(record, "n");
                if (j->last_do == SIZE_MAX || n > j->last_do)
                        j->last_do = n;
        } else if (streq(ev, "undone")) {
                _cleanup_free_ char *key = strf("%ju", (uintmax_t) json_u64(record, "n"));
                j->undone = j->undone ?: json_object_new_object();
                if (!key)
                        return -ENOMEM;
                json_set_bool(j->undone, key, true);
                j->backwards = true;
        } else if (streq(ev, "write"))
                return journal_writer_replay(j, record);
        else if (streq(ev, "note"))
                return journal_note_replay(j, record);
        else if (streq(ev, "before")) {
                json_object_put(j->before);
                j->before = json_ref(json_get(record, "picture"));
                journal_card_keep(j, json_get(record, "card"), NULL);
        } else if (streq(ev, "card")) {
                journal_card_keep(j, json_get(record, "before"), json_get(record, "after"));
        } else if (streq(ev, "lost"))
                return journal_lost_replay(j, record);
        else if (streq(ev, "back")) {
                j->backwards = true;
                int r = text_keep(&j->back_code, record, "code");
                return r < 0 ? r : text_keep(&j->back_why, record, "why");
        } else if (streq(ev, "undo"))
                j->backwards = true;
        else if (streq(ev, "end")) {
                json_object_put(j->end);
                j->end = json_ref(record);
                j->ended = true;
        } else if (!streq(ev, "done") && !streq(ev, "failed"))
                return -EPROTONOSUPPORT; /* whoever does not know what was done cannot go on with it, nor undo it */
        return 0;
}

int journal_replay(Journal *j, const char *text, const char *boot) {
        for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
                _cleanup_json_ json_object *record = NULL;

                int r = json_parse_names(line, (size_t) (end - line), &record);
                if (r >= 0)
                        r = record_replay(j, record, boot);
                if (r < 0)
                        return r;
        }
        return j->start ? 0 : -EBADMSG;
}

/* It turned back, and its record could not say so. */
static int take_kept_back(Journal *j) {
        _cleanup_json_ json_object *record = NULL;

        if (j->ended || j->backwards)
                return 0;
        int r = journal_back_kept(j, &record);
        return r >= 0 ? record_replay(j, record, "") : r == -ENOENT ? 0 : r;
}

static int plan_load(const Journal *j, Plan **ret, char **ret_why) {
        _cleanup_free_ char *path = strf("%s/plan.json", j->dir), *text = NULL;
        _cleanup_json_ json_object *doc = NULL;
        size_t length;

        if (!path)
                return -ENOMEM;
        int r = record_file_read(path, &text, &length);
        if (r >= 0)
                r = json_parse_names(text, length, &doc);
        if (r < 0) {
                *ret_why = strf("%s: %s", path, format_strerror(r));
                return r;
        }
        return plan_from_json(doc, ret, ret_why);
}

/* *ret_length: of what is whole. */
static int journal_load(const char *id, Journal **ret, Plan **ret_plan, size_t *ret_length, char **ret_why) {
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_free_ char *path = NULL, *text = NULL;
        char boot[33];

        int r = journal_new(id, &j);
        if (r < 0)
                return r;
        path = strf("%s/journal", j->dir);
        if (!path)
                return -ENOMEM;

        r = boot_id_read(boot);
        if (r >= 0)
                r = record_file_read(path, &text, NULL);
        if (r >= 0)
                r = journal_replay(j, text, boot);
        if (r >= 0)
                r = take_kept_back(j);
        if (r < 0) {
                *ret_why = strf("%s: %s", path, format_strerror(r));
                return r;
        }
        r = plan_load(j, &plan, ret_why);
        if (r < 0)
                return r;
        if (j->last_do != SIZE_MAX && j->last_do >= plan->n_steps) {
                *ret_why = strf("%s: speaks of step %zu, the plan has %zu", path, j->last_do, plan->n_steps);
                return -EBADMSG;
        }

        j->slots = slots_of(plan);
        *ret_length = (size_t) (strrchr(text, '\n') + 1 - text);
        *ret_plan = TAKE_PTR(plan);
        *ret = TAKE_PTR(j);
        return 0;
}

int journal_read(const char *id, Journal **ret, Plan **ret_plan, char **ret_why) {
        size_t length;

        return journal_load(id, ret, ret_plan, &length, ret_why);
}

int journal_open(const char *id, Journal **ret, Plan **ret_plan, char **ret_why) {
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;
        size_t length = 0;

        int r = journal_load(id, &j, &plan, &length, ret_why);
        if (r >= 0)
                r = file_open(j, 0);
        if (r < 0)
                return r;

        /* A torn last line must not swallow the record that comes next. */
        if (ftruncate(j->fd, (off_t) length) < 0)
                return -errno;
        r = journal_writers_load(j);
        if (r < 0)
                return r;
        *ret_plan = TAKE_PTR(plan);
        *ret = TAKE_PTR(j);
        return 0;
}

uint64_t journal_removal(const Journal *j) {
        const char *slash = strrchr(j->dir, '/');
        uint64_t id = 0;

        (void) parse_u64(slash ? slash + 1 : j->dir, &id);
        return id;
}

int journal_step(Journal *j, const char *ev, size_t n, const char *text) {
        _cleanup_json_ json_object *record = record_new(ev);

        json_set_u64(record, "n", n);
        json_set_u64(record, "monotonic_usec", now_monotonic());
        if (text)
                json_set_str(record, "text", text);
        /* Whoever goes on asks the kernel whether a step that was begun is done, and not this: it is synced with the record after it. */
        int r = streq(ev, "done") ? append(j, record) : journal_append(j, record);
        if (r >= 0 && streq(ev, "do") && (j->last_do == SIZE_MAX || n > j->last_do))
                j->last_do = n;
        return r;
}

int journal_back(Journal *j, const char *code, const char *why) {
        _cleanup_json_ json_object *record = record_new("back");

        json_set_str(record, "code", code);
        json_set_str(record, "why", why);
        j->backwards = true;
        int r = text_keep(&j->back_code, record, "code");
        if (r >= 0)
                r = text_keep(&j->back_why, record, "why");
        int q = journal_append(j, record);
        /* Before anything is put back: whoever comes next in this boot would go on forward. */
        if (q < 0)
                (void) journal_back_keep(j, record);
        return r < 0 ? r : q;
}

int journal_end(Journal *j, const char *outcome, const char *code, const char *message, json_object *remedy) {
        _cleanup_json_ json_object *record = record_new("end");
        char boot[33];

        if (boot_id_read(boot) >= 0)
                json_set_str(record, "boot", boot);
        json_set_u64(record, "monotonic_usec", now_monotonic());
        json_set_str(record, "outcome", outcome);
        json_set_str(record, "code", code);
        json_set_str(record, "message", message);
        json_set(record, "remedy", json_ref(remedy));
        json_set(record, "lost", j->lost ? json_ref(j->lost) : json_object_new_array());
        json_set(record, "disturbed", journal_disturbed(j));
        j->ended = true;
        int r = journal_append(j, record), k = journal_end_keep(j, record);
        return r < 0 && k >= 0 ? 1 : r;
}
