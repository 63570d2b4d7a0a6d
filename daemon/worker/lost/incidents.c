/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "base/parse.h"
#include "daemon/worker/history.h"
#include "engine/state-dir.h"
#include "kernel/log/kmsg-since.h"
#include "incidents.h"

enum {
        KEPT = 100,
        LOG_MAX = 1000,         /* records; a card that dies may have the kernel say more */
        LINE_MAX_BYTES = 500,   /* so that all of them fit into a record, whatever anybody has had the kernel say */
        TIMELINE_MAX = 400,
        FILE_MAX = 4 * 1024 * 1024,
};

static char *path_of(uint64_t number, const char *file) {
        return strf("%s/incidents/%" PRIu64 "%s%s", state_dir(), number, file ? "/" : "", file ?: "");
}

/* Who cannot take away what is old has it one longer. */
static void prune(void) {
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        if (state_ids("incidents", &ids, &n) < 0)
                return;
        for (size_t i = 0; i + KEPT < n; i++) {
                _cleanup_free_ char *folder = path_of(ids[i], NULL), *file = path_of(ids[i], "incident.json");
                if (folder && file && unlink(file) >= 0)
                        (void) rmdir(folder);
        }
}

/* The folder is the number's: of two workers at once each has its own. */
static int take_number(uint64_t *ret) {
        _cleanup_free_ char *parent = strf("%s/incidents", state_dir());

        int r = parent ? mkdir_private(state_dir()) : -ENOMEM;
        if (r >= 0)
                r = mkdir_private(parent);
        for (unsigned tries = 0; r >= 0 && tries < 8; tries++) {
                _cleanup_free_ uint64_t *ids = NULL;
                size_t n = 0;

                r = state_ids("incidents", &ids, &n);
                uint64_t number = r >= 0 && n > 0 ? ids[n - 1] + 1 : 1;
                _cleanup_free_ char *folder = r >= 0 ? path_of(number, NULL) : NULL;
                if (r >= 0)
                        r = folder ? mkdir_durably(folder) : -ENOMEM;
                if (r >= 0)
                        *ret = number;
                if (r != -EEXIST)
                        return r;
                r = 0;
        }
        return r < 0 ? r : -EEXIST;
}

int incident_record(json_object *incident) {
        uint64_t number = 0;

        int r = take_number(&number);
        if (r < 0)
                return r;
        _cleanup_free_ char *path = path_of(number, "incident.json"), *folder = path_of(number, NULL);
        format_set(incident, FORMAT_INCIDENT);
        json_set_strf(incident, "id", "%" PRIu64, number);
        const char *text = json_text(incident);
        r = !path || !text ? -ENOMEM : strlen(text) > FILE_MAX ? -EFBIG : write_file_durably(path, text);
        if (r < 0) {
                json_object_object_del(incident, "id");
                if (folder)
                        (void) rmdir(folder);
                return r;
        }
        prune();
        return 0;
}

static int read_number(uint64_t number, json_object **ret) {
        _cleanup_free_ char *path = path_of(number, "incident.json"), *text = NULL;
        _cleanup_json_ json_object *o = NULL;
        size_t length = 0;

        int r = path ? read_regular_file(path, FILE_MAX, &text, &length) : -ENOMEM;
        if (r >= 0)
                r = json_parse_names(text, length, &o);
        if (r >= 0)
                r = format_check(o, FORMAT_INCIDENT);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

int incident_read(const char *id, json_object **ret) {
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t number = 0;
        size_t n = 0;

        int r = *id ? parse_u64(id, &number) : state_ids("incidents", &ids, &n);
        if (r < 0)
                return r;
        if (!*id && n == 0)
                return -ENOENT;
        return read_number(*id ? number : ids[n - 1], ret);
}

int incident_list(json_object **ret) {
        static const char *const shown[] = { "id", "slot", "found_usec", "cause", "removal", "outcome", "message" };
        _cleanup_json_ json_object *list = json_object_new_array();
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        int r = state_ids("incidents", &ids, &n);
        if (r < 0)
                return r;
        for (size_t i = n; i-- > 0 && json_len(list) < KEPT;) {
                _cleanup_json_ json_object *o = NULL;
                json_object *entry;

                if (read_number(ids[i], &o) < 0)
                        continue;
                entry = json_object_new_object();
                for (size_t k = 0; k < ELEMENTSOF(shown); k++)
                        json_set(entry, shown[k], json_ref(json_get(o, shown[k])));
                json_object_array_add(list, entry);
        }
        *ret = TAKE_PTR(list);
        return 0;
}

/* The last so many of them, oldest first from `at` on. */
typedef struct Tail {
        char *lines[LOG_MAX];
        uint64_t usec[LOG_MAX];
        size_t at, n;
        uint64_t since;
} Tail;

static bool take_line(KmsgRecord *record, void *data) {
        Tail *t = data;

        if (record->usec < t->since)
                return false;
        size_t place = (t->at + t->n) % LOG_MAX;
        if (t->n == LOG_MAX) {
                free(t->lines[t->at]);
                place = t->at;
                t->at = (t->at + 1) % LOG_MAX;
        } else
                t->n++;
        t->lines[place] = strndup(record->text, LINE_MAX_BYTES);
        t->usec[place] = record->usec;
        return false;
}

static Tail *tail_read(uint64_t since_usec) {
        Tail *t = calloc(1, sizeof(*t));
        uint64_t next;

        if (!t)
                return NULL;
        t->since = since_usec;
        (void) kmsg_each_since(0, take_line, t, &next);
        return t;
}

static void tail_free(Tail *t) {
        if (!t)
                return;
        for (size_t i = 0; i < LOG_MAX; i++)
                free(t->lines[i]);
        free(t);
}

DEFINE_CLEANUP_FUNC(Tail, tail_free)

json_object *incident_kernel_log(uint64_t since_usec) {
        _cleanup_(tail_freep) Tail *t = tail_read(since_usec);
        json_object *lines = json_object_new_array();

        for (size_t i = 0; t && i < t->n; i++) {
                size_t k = (t->at + i) % LOG_MAX;
                json_append_strf(lines, "[%" PRIu64 ".%06" PRIu64 "] %s", t->usec[k] / USEC_PER_SEC, t->usec[k] % USEC_PER_SEC, t->lines[k] ?: "?");
        }
        return lines;
}

void timeline_add(json_object *timeline, uint64_t wall_usec, const char *what) {
        json_object *o;

        if (json_len(timeline) >= TIMELINE_MAX)
                return;
        o = json_object_new_object();
        json_set_u64(o, "usec", wall_usec);
        json_set_str(o, "what", what);
        json_object_array_add(timeline, o);
}

typedef struct OfRemoval {
        json_object *timeline, *plan;
        const char *id;
} OfRemoval;

static void add_record(json_object *record, void *userdata) {
        const OfRemoval *of = userdata;
        const char *ev = json_str(record, "ev"), *message = json_str(record, "message") ?: json_str(record, "text");
        json_object *step = json_has(record, "n") ? json_at(json_array(of->plan, "steps"), (size_t) json_u64(record, "n")) : NULL;

        if (!ev || !json_has(record, "usec"))
                return;
        _cleanup_free_ char *what = strf("removal %s: %s%s%s%s%s", of->id, ev, step ? " " : "", step ? json_str(step, "name") ?: "?" : "", message ? ": " : "", message ?: "");
        timeline_add(of->timeline, json_u64(record, "usec"), what);
}

void timeline_add_removal(json_object *timeline, const char *id) {
        _cleanup_json_ json_object *plan = NULL;
        OfRemoval of = { .timeline = timeline, .id = id };
        uint64_t number;

        if (parse_u64(id, &number) < 0)
                return;
        if (history_plan(number, &plan) >= 0)
                of.plan = plan;
        (void) history_records(number, add_record, &of);
}

static bool names_any(const char *text, json_object *names) {
        for (size_t i = 0; i < json_len(names); i++)
                if (strstr(text, json_object_get_string(json_at(names, i))))
                        return true;
        return false;
}

void timeline_add_kernel(json_object *timeline, uint64_t since_usec, json_object *names) {
        _cleanup_(tail_freep) Tail *t = tail_read(since_usec);
        uint64_t wall = now_wall(), now = now_monotonic();

        for (size_t i = 0; t && i < t->n; i++) {
                size_t k = (t->at + i) % LOG_MAX;
                if (!t->lines[k] || !names_any(t->lines[k], names))
                        continue;
                _cleanup_free_ char *what = strf("kernel: %s", t->lines[k]);
                timeline_add(timeline, t->usec[k] < now ? wall - (now - t->usec[k]) : wall, what);
        }
}

static int by_time(const void *a, const void *b) {
        json_object *const *x = a, *const *y = b;
        uint64_t t = json_u64(*x, "usec"), u = json_u64(*y, "usec");

        return t < u ? -1 : t > u;
}

void timeline_sort(json_object *timeline) {
        json_object_array_sort(timeline, by_time);
}
