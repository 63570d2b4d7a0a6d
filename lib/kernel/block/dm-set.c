/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/dm-set.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

/* The words of a line, taken one after the other. */
typedef struct Words {
        char *copy, **words;
        size_t n, a, at;
} Words;

static void words_done(Words *w) {
        free(w->copy);
        free(w->words);
}

#define _cleanup_words_ _cleanup_(words_done)

static int words_of(const char *text, Words *ret) {
        _cleanup_words_ Words w = { .copy = strdup(text) };
        char *rest = w.copy;
        int r = w.copy ? 0 : -ENOMEM;

        for (char *word; r >= 0 && (word = strsep(&rest, " \n"));) {
                if (!*word)
                        continue;
                r = vec_grow((void **) &w.words, w.n, &w.a, sizeof(char *));
                if (r >= 0)
                        w.words[w.n++] = word;
        }
        if (r < 0)
                return r;
        *ret = w;
        w = (Words) { 0 };
        return 0;
}

static const char *next(Words *w) {
        return w->at < w->n ? w->words[w->at++] : NULL;
}

/* A number that says how many words or things follow; 0 after the end and for nonsense, with *ok cleared. */
static size_t next_count(Words *w, bool *ok) {
        const char *word = next(w);
        uint64_t value = 0;

        *ok = *ok && word && parse_u64(word, &value) >= 0 && value <= w->n;
        return *ok ? (size_t) value : 0;
}

static void skip(Words *w, size_t n) {
        w->at = n < w->n - w->at ? w->at + n : w->n;
}

static bool is_one_of(const char *word, const dev_t *devs, size_t n) {
        dev_t dev;

        for (size_t i = 0; word && dev_parse(word, &dev) >= 0 && i < n; i++)
                if (devs[i] == dev)
                        return true;
        return false;
}

/* After the number of each path stands whether it is active (drivers/md/dm-mpath.c:multipath_status). */
static bool path_state(const Words *w, size_t i, dev_t *ret) {
        return i + 1 < w->n && dev_parse(w->words[i], ret) >= 0 && (streq(w->words[i + 1], "A") || streq(w->words[i + 1], "F"));
}

bool dm_path_works(const char *status, dev_t dev) {
        _cleanup_words_ Words w = { 0 };
        dev_t found;

        if (!status || words_of(status, &w) < 0)
                return false;
        for (size_t i = 0; i < w.n; i++)
                if (path_state(&w, i, &found) && found == dev)
                        return streq(w.words[i + 1], "A");
        return false;
}

size_t dm_paths_without(const char *status, const dev_t *devs, size_t n) {
        _cleanup_words_ Words w = { 0 };
        size_t working = 0;
        dev_t found;

        if (!status || words_of(status, &w) < 0)
                return 0;
        for (size_t i = 0; i < w.n; i++)
                working += path_state(&w, i, &found) && streq(w.words[i + 1], "A") && !is_one_of(w.words[i], devs, n);
        return working;
}

/* "running" of SCSI, "live" of an NVMe controller; others have no such state. 1; 0: it does not; -ENODEV: it is gone. */
static int device_works(const char *name) {
        _cleanup_free_ char *state = NULL;

        int r = attr_readf(&state, "/sys/class/block/%s/device/state", name);
        if (r >= 0)
                return streq(state, "running") || streq(state, "live");
        return !path_existsf("/sys/class/block/%s/dev", name) ? -ENODEV : r == -ENOENT;
}

int dm_multipath_serves(const char *block, const char *status, md_goes_t goes, void *userdata) {
        _cleanup_listing_ Listing l = { 0 };
        size_t n = 0, gone = 0;

        int r = listing_readf(&l, "/sys/class/block/%s/slaves", block);
        _cleanup_free_ dev_t *devs = calloc(l.n + 1, sizeof(dev_t));
        if (r >= 0 && !devs)
                r = -ENOMEM;
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                int works = device_works(l.names[i]);

                if (works == -ENODEV) /* of its number nobody tells any more, and the status may still have it as one that works */
                        gone++;
                else if (works <= 0 || goes(l.names[i], userdata))
                        r = blockdev_number(l.names[i], &devs[n++]);
        }
        return r < 0 ? r : dm_paths_without(status, devs, n) > gone;
}

bool dm_mirror_is_whole(const char *status) {
        _cleanup_words_ Words w = { 0 };
        bool ok = true;

        if (!status || words_of(status, &w) < 0)
                return false;
        size_t legs = next_count(&w, &ok);
        skip(&w, legs + 2);
        const char *health = next(&w);
        return ok && legs > 0 && health && strlen(health) == legs && strspn(health, "A") == legs;
}

typedef char *(*name_t)(dev_t dev, void *userdata);

static int add_leg(MdArray *a, const char *meta, const char *data, MdRole role, name_t name, void *userdata) {
        _cleanup_free_ char *data_name = NULL;
        dev_t dev;

        /* A leg that is missing. */
        if (streq(data, "-"))
                return 0;
        if (dev_parse(data, &dev) < 0)
                return -EBADMSG;
        data_name = name(dev, userdata);
        int r = data_name ? md_add_member(a, data_name, role) : -ENOMEM;
        if (r < 0)
                return r;
        if (streq(meta, "-")) {
                a->no_metadata = a->no_metadata || (role != MD_JOURNAL && !streq(a->level, "raid0"));
                return 0;
        }
        if (dev_parse(meta, &dev) < 0)
                return -EBADMSG;
        a->members[a->n_members - 1].meta = name(dev, userdata);
        return a->members[a->n_members - 1].meta ? 0 : -ENOMEM;
}

/* "raid1 3 0 region_size 1024 2 252:0 252:1 252:2 252:3": what follows the level is told in words, a journal among them. */
static int add_legs(MdArray *a, Words *table, const char *health, name_t name, void *userdata) {
        bool ok = true;
        size_t params = next_count(table, &ok), end = table->at + params;
        int r = ok ? 0 : -EBADMSG;

        for (size_t i = table->at; r >= 0 && i + 1 < end && end <= table->n; i++)
                if (streq(table->words[i], "journal_dev"))
                        r = add_leg(a, "-", table->words[i + 1], MD_JOURNAL, name, userdata);
        skip(table, params);
        a->disks = next_count(table, &ok);
        for (size_t i = 0; i < a->disks && ok && r >= 0; i++) {
                const char *meta = next(table), *data = next(table);
                if (!data)
                        return -EBADMSG;
                char h = i < strlen(health) ? health[i] : '\0';
                r = add_leg(a, meta, data, h == 'A' ? MD_IN_SYNC : h == 'a' ? MD_REBUILT : h == 'D' ? MD_FAULTY : MD_UNKNOWN, name, userdata);
        }
        return r < 0 ? r : ok ? 0 : -EBADMSG;
}

/* The status: "raid1 2 AA 262144/262144 idle 0 0 -" (Documentation/admin-guide/device-mapper/dm-raid.rst). */
int dm_raid_parse(const char *params, const char *status, name_t name, void *userdata, MdArray **ret) {
        _cleanup_(md_array_freep) MdArray *a = calloc(1, sizeof(*a));
        _cleanup_words_ Words table = { 0 }, state = { 0 };

        int r = a ? words_of(params ?: "", &table) : -ENOMEM;
        if (r >= 0)
                r = words_of(status ?: "", &state);
        if (r < 0)
                return r;
        const char *type = next(&table), *health = state.n > 2 ? state.words[2] : "", *action = state.n > 4 ? state.words[4] : "";
        if (!type)
                return -EBADMSG;
        /* "raid5_ls" and "raid10_near" are layouts of a level; what has metadata and no copies is none. */
        a->level = startswith(type, "raid0") ? strdup("raid0") : strndup(type, strcspn(type, "_"));
        a->reshaping = streq(action, "reshape");
        if (streq(action, "resync") || streq(action, "recover"))
                a->syncing = strdup(action);
        r = a->level ? add_legs(a, &table, health, name, userdata) : -ENOMEM;
        if (r >= 0)
                *ret = TAKE_PTR(a);
        return r;
}

char *dm_member_name(dev_t dev, void *userdata) {
        char *name = NULL;

        return blockdev_name(dev, &name) >= 0 ? name : strdup("a device that is not known");
}

/* The words from one to another, with a blank before each. */
static void copy(FILE *out, const Words *w, size_t from, size_t to) {
        for (size_t i = from; i < to && i < w->n; i++)
                fprintf(out, " %s", w->words[i]);
}

static bool raid_without(FILE *out, Words *w, const dev_t *devs, size_t n) {
        bool ok = true, any = false;
        size_t from = w->at;

        (void) next(w);
        skip(w, next_count(w, &ok));
        size_t legs = next_count(w, &ok);
        copy(out, w, from, w->at);
        for (size_t i = 0; i < legs && ok; i++) {
                const char *meta = next(w), *data = next(w);
                bool goes = is_one_of(meta, devs, n) || is_one_of(data, devs, n);
                fprintf(out, " %s %s", goes ? "-" : meta ?: "", goes ? "-" : data ?: "");
                any = any || goes;
                ok = ok && data;
        }
        return ok && any;
}

/* One group of paths: "service-time 0 2 1 8:0 1 8:16 1", of which the ones that stay are printed; none is left out as a whole. */
static size_t group_without(FILE *out, Words *w, const dev_t *devs, size_t n, bool *ok) {
        size_t from = w->at, stay = 0;

        (void) next(w);
        skip(w, next_count(w, ok));
        size_t to = w->at, paths = next_count(w, ok), args = next_count(w, ok), first = w->at, step = args + 1;

        for (size_t i = 0; i < paths && *ok; i++)
                stay += first + i * step < w->n && !is_one_of(w->words[first + i * step], devs, n);
        if (stay > 0) {
                copy(out, w, from, to);
                fprintf(out, " %zu %zu", stay, args);
        }
        for (size_t i = 0; i < paths && *ok; i++) {
                if (w->at < w->n && !is_one_of(w->words[w->at], devs, n))
                        copy(out, w, w->at, w->at + step);
                *ok = *ok && w->at + step <= w->n;
                skip(w, step);
        }
        return stay;
}

/* Features, hardware handler, how many groups, the one to begin with, the groups (drivers/md/dm-mpath.c:multipath_ctr). */
static bool multipath_without(FILE *out, Words *w, const dev_t *devs, size_t n) {
        _cleanup_free_ char *groups = NULL;
        size_t from = w->at, size, left = 0, stay = 0;
        bool ok = true;

        skip(w, next_count(w, &ok));
        skip(w, next_count(w, &ok));
        copy(out, w, from, w->at);
        size_t count = next_count(w, &ok);
        (void) next_count(w, &ok);
        FILE *inner = open_memstream(&groups, &size);
        if (!inner)
                return false;
        for (size_t i = 0; i < count && ok; i++) {
                size_t paths = group_without(inner, w, devs, n, &ok);
                stay += paths;
                left += paths > 0;
        }
        if (fclose(inner) != 0 || !ok || stay == 0)
                return false;
        fprintf(out, " %zu 1%s", left, groups);
        return true;
}

static bool names_any(const Words *w, const dev_t *devs, size_t n) {
        for (size_t i = 0; i < w->n; i++)
                if (is_one_of(w->words[i], devs, n))
                        return true;
        return false;
}

char *dm_table_without(const char *table, const dev_t *devs, size_t n) {
        _cleanup_words_ Words w = { 0 }, left = { 0 };
        _cleanup_free_ char *text = NULL;
        size_t size;
        bool ok;

        if (strchr(table, '\n') || words_of(table, &w) < 0 || w.n < 4)
                return NULL;
        FILE *out = names_any(&w, devs, n) ? open_memstream(&text, &size) : NULL;
        if (!out)
                return NULL;
        fprintf(out, "%s %s %s", w.words[0], w.words[1], w.words[2]);
        w.at = 3;
        ok = streq(w.words[2], "raid") ? raid_without(out, &w, devs, n) :
                streq(w.words[2], "multipath") && multipath_without(out, &w, devs, n);
        if (fclose(out) != 0 || !ok || words_of(text, &left) < 0)
                return NULL;
        /* What is no leg and no path, a journal, cannot be left out. */
        return names_any(&left, devs, n) ? NULL : TAKE_PTR(text);
}
