/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The processes that write to the kernel for a removal. They may outlive it, or its worker: a process that hangs in the kernel does not react
 * to a signal, so those are recorded too that a signal should end. What they write may take effect at any time. Until they have ended, the
 * removal does not go on, nothing of the card is put back into use, and no other plan is made for its slot. Who has ended what it wrote may live on,
 * for the next write, and is none of them then.
 *
 * They end with the boot, and so does their record, run_dir()/writers/ID: all writers of one removal, whatever became of its journal. The
 * journal also has those that no signal ends, for the worker that resumes the removal. */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "base/parse.h"
#include "base/run-dir.h"
#include "engine/journal.h"
#include "engine/state-dir.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/process/apart.h"
#include "kernel/run/boot-record.h"
#include "kernel/process/kernel-stack.h"
#include "kernel/sysfs/listing.h"

#define LIGHT_PREFIX "light-" /* and the port: of a light that is set for no removal */

enum {
        WRITERS_MAX_BYTES = 1024 * 1024, /* of one removal, which has a few at most */
};

/* A record without a process stands for a file that is there and cannot be read: until it is away somebody may be at it. */
static bool is_alive(json_object *writer) {
        const char *file = json_str(writer, "unread");

        if (file)
                return access(file, F_OK) >= 0 || errno != ENOENT;
        return apart_is_alive((int) json_u64(writer, "pid"), json_u64(writer, "start_time"));
}

static char *writers_path(const Journal *j) {
        return strf("%s/writers/%ju", run_dir(), (uintmax_t) journal_removal(j));
}

static char *light_path(const char *port) {
        return strf("%s/writers/" LIGHT_PREFIX "%s", run_dir(), port);
}

static int folder_make(void) {
        _cleanup_free_ char *folder = strf("%s/writers", run_dir());

        if (!folder)
                return -ENOMEM;
        int r = mkdir_private(run_dir());
        return r < 0 ? r : mkdir_private(folder);
}

/* Those that are at it, and the one that is about to begin. It is memory: nothing is waited for. */
static int writers_write(const char *path, uint64_t removal, json_object *slots, json_object *writers) {
        _cleanup_json_ json_object *doc = json_object_new_object();

        format_set(doc, FORMAT_WRITERS);
        json_set_u64(doc, "removal", removal);
        json_set(doc, "slots", json_ref(slots));
        json_set(doc, "writers", json_ref(writers));
        if (!path)
                return -ENOMEM;
        int r = replace_file(path, json_text(doc));
        if (r != -ENOENT)
                return r;
        r = folder_make();
        return r < 0 ? r : replace_file(path, json_text(doc));
}

/* A new array of those that are at it still. */
static json_object *living(json_object *writers) {
        json_object *found = json_object_new_array();

        for (size_t i = 0; i < json_len(writers); i++)
                if (is_alive(json_at(writers, i)))
                        json_object_array_add(found, json_ref(json_at(writers, i)));
        return found;
}

/* In the order in which they were written down; a process may be older than one that was written down before it. */
static int writer_keep(Journal *j, json_object *record) {
        _cleanup_json_ json_object *writers = living(j->writers);

        json_set_u64(record, "order", ++j->n_writers);
        if (json_object_array_add(writers, json_ref(record)) < 0)
                return -ENOMEM;
        json_object_put(j->writers);
        j->writers = TAKE_PTR(writers);
        return 0;
}

static json_object *record_new(const char *what, int pid, uint64_t start_time) {
        json_object *record = json_object_new_object();

        json_set_str(record, "ev", "write");
        json_set_str(record, "what", what);
        json_set_u64(record, "pid", (uint64_t) pid);
        json_set_u64(record, "start_time", start_time);
        json_set_u64(record, "usec", now_wall());
        return record;
}

int journal_write_begins(void *journal, const char *what, int pid, uint64_t start_time, bool mortal) {
        _cleanup_json_ json_object *record = record_new(what, pid, start_time);
        Journal *j = journal;

        int r = writer_keep(j, record);
        if (r < 0)
                return r;
        _cleanup_free_ char *path = writers_path(j);
        r = writers_write(path, journal_removal(j), j->slots, j->writers);
        int q = mortal ? r : append_line(j->fd, json_text(record));
        /* One of the two will do. On the way back and at the end neither has to: a slot that stays held for want of a record, or a light that does not say
         * that it is stuck, is the worse end. */
        return r >= 0 || q >= 0 || j->backwards || j->ending ? 0 : r;
}

/* One of these that cannot be taken from the file counts as being at it until it has ended: so its process is not kept. */
int journal_write_ended(void *journal, int pid, uint64_t start_time) {
        _cleanup_json_ json_object *writers = json_object_new_array();
        Journal *j = journal;

        for (size_t i = 0; i < json_len(j->writers); i++) {
                json_object *writer = json_at(j->writers, i);
                if (json_u64(writer, "pid") != (uint64_t) pid || json_u64(writer, "start_time") != start_time)
                        json_object_array_add(writers, json_ref(writer));
        }
        _cleanup_free_ char *path = writers_path(j);
        int r = !path ? -ENOMEM : json_len(writers) > 0 ? writers_write(path, journal_removal(j), j->slots, writers) : unlink(path) < 0 ? -errno : 0;
        if (r < 0 && r != -ENOENT)
                return r;
        json_object_put(j->writers);
        j->writers = TAKE_PTR(writers);
        return 0;
}

int journal_writer_replay(Journal *j, json_object *record) {
        if (!json_str(record, "what") || json_u64(record, "pid") == 0)
                return -EBADMSG;
        return j->other_boot ? 0 : writer_keep(j, record);
}

/* Does it say who is at it? */
static bool is_whole(json_object *doc) {
        json_object *writers = json_array(doc, "writers");

        for (size_t i = 0; i < json_len(writers); i++) {
                json_object *writer = json_at(writers, i);
                if (!json_str(writer, "what") || (json_u64(writer, "pid") == 0 && !json_str(writer, "unread")))
                        return false;
        }
        return writers;
}

/* What another worker has written down of a removal, or of a light. */
static int writers_read(const char *path, json_object **ret) {
        _cleanup_json_ json_object *doc = NULL;
        _cleanup_free_ char *text = NULL;
        size_t length;

        int r = read_regular_file(path, WRITERS_MAX_BYTES, &text, &length);
        if (r >= 0)
                r = json_parse_names(text, length, &doc);
        if (r >= 0)
                r = format_check(doc, FORMAT_WRITERS);
        if (r < 0)
                return r;
        if (!is_whole(doc))
                return -EBADMSG;
        *ret = TAKE_PTR(doc);
        return 0;
}

/* Who may be at it, by a file that cannot be read. */
static json_object *record_unread(const char *path, int error) {
        _cleanup_free_ char *what = strf("%s cannot be read (%s)", path, format_strerror(error));
        json_object *record = record_new(what, 0, 0);

        json_set_str(record, "unread", path);
        return record;
}

/* A new array of those that a file knows: none where there is no file, and one that nobody knows where it cannot be read. */
static json_object *writers_of_file(const char *path) {
        _cleanup_json_ json_object *doc = NULL;

        int r = writers_read(path, &doc);
        if (r >= 0)
                return json_ref(json_get(doc, "writers"));
        json_object *writers = json_object_new_array();
        if (r != -ENOENT)
                json_object_array_add(writers, record_unread(path, r));
        return writers;
}

json_object *journal_writers_left(const Journal *j) {
        _cleanup_free_ char *path = writers_path(j);

        return path && !j->other_boot ? writers_of_file(path) : json_object_new_array();
}

int journal_writers_load(Journal *j) {
        _cleanup_free_ char *path = writers_path(j);

        if (!path)
                return -ENOMEM;
        if (j->other_boot)
                return 0;
        _cleanup_json_ json_object *writers = writers_of_file(path);
        int r = 0;
        for (size_t i = 0; i < json_len(writers) && r >= 0; i++)
                r = writer_keep(j, json_at(writers, i));
        return r;
}

void journal_writers_close(Journal *j) {
        _cleanup_free_ char *path = j->slots && !j->other_boot ? writers_path(j) : NULL;

        if (path && !journal_writer(j))
                (void) unlink(path);
}

/* Those of a light that are at it still. */
static json_object *light_writers(const char *path) {
        _cleanup_json_ json_object *writers = writers_of_file(path);

        return living(writers);
}

int light_write_begins(void *port, const char *what, int pid, uint64_t start_time, bool mortal) {
        _cleanup_json_ json_object *slots = json_object_new_array(), *slot = json_object_new_object();
        _cleanup_free_ char *path = light_path(port);
        _cleanup_json_ json_object *writers = path ? light_writers(path) : json_object_new_array();

        json_set_str(slot, "port", port);
        json_object_array_add(slots, json_ref(slot));
        json_object_array_add(writers, record_new(what, pid, start_time));
        (void) writers_write(path, 0, slots, writers);
        return 0;
}

json_object *light_writer(const char *port) {
        _cleanup_free_ char *path = light_path(port);
        _cleanup_json_ json_object *writers = path ? light_writers(path) : json_object_new_array();

        if (json_len(writers) > 0)
                return json_ref(json_at(writers, 0));
        if (path)
                (void) unlink(path);
        return NULL;
}

json_object *journal_writer(const Journal *j) {
        for (size_t i = json_len(j->writers); i-- > 0;)
                if (is_alive(json_at(j->writers, i)))
                        return json_at(j->writers, i);
        return NULL;
}

bool journal_may_darken(const Journal *j, const char *port) {
        for (size_t i = 0; i < json_len(j->writers); i++) {
                json_object *writer = json_at(j->writers, i);
                if ((json_str(writer, "unread") || slot_write_darkens(json_str(writer, "what"), port)) && is_alive(writer))
                        return true;
        }
        return false;
}

/* Of whose slots is a file that says nothing? A light's name tells; any other's may be of any. */
static json_object *slots_unread(const char *name) {
        json_object *slots = json_object_new_array(), *slot;
        const char *port = startswith(name, LIGHT_PREFIX);

        if (port) {
                slot = json_object_new_object();
                json_set_str(slot, "port", port);
                json_object_array_add(slots, slot);
        }
        return slots;
}

static int add_alive(const char *name, uint64_t but, json_object *found) {
        _cleanup_free_ char *path = strf("%s/writers/%s", run_dir(), name);
        _cleanup_json_ json_object *doc = NULL;
        uint64_t id = 0;

        (void) parse_u64(name, &id);
        if (but > 0 && id == but)
                return 0;
        int r = path ? writers_read(path, &doc) : -ENOMEM;
        if (r == -ENOMEM || r == -ENOENT)
                return r == -ENOENT ? 0 : r;
        _cleanup_json_ json_object *slots = r >= 0 ? json_ref(json_get(doc, "slots")) : slots_unread(name);
        _cleanup_json_ json_object *writers = r >= 0 ? living(json_get(doc, "writers")) : json_object_new_array();
        if (r < 0)
                json_object_array_add(writers, record_unread(path, r));
        for (size_t i = 0; i < json_len(writers); i++) {
                json_object *writer = json_at(writers, i);
                json_set_u64(writer, "removal", id);
                json_set_bool(writer, "light", startswith(name, LIGHT_PREFIX));
                json_set(writer, "slots", json_ref(slots));
                json_object_array_add(found, json_ref(writer));
        }
        return 0;
}

int writers_alive(uint64_t but, json_object **ret) {
        _cleanup_json_ json_object *found = NULL;
        _cleanup_listing_ Listing names = { 0 };

        int r = held_writers(&found); /* the guard's have no record */
        if (r < 0)
                return r;
        r = listing_readf(&names, "%s/writers", run_dir());
        if (r < 0 && r != -ENOENT)
                return r;
        for (size_t i = 0; i < names.n; i++)
                /* Whoever wrote a ".new" died of it, and began nothing (replace_file()). */
                if (!endswith(names.names[i], ".new")) {
                        r = add_alive(names.names[i], but, found);
                        if (r < 0)
                                return r;
                }
        *ret = TAKE_PTR(found);
        return 0;
}

bool port_is_written(const char *port) {
        _cleanup_json_ json_object *alive = NULL;

        if (writers_alive(0, &alive) < 0)
                return true;
        for (size_t i = 0; i < json_len(alive); i++) {
                json_object *writer = json_at(alive, i), *slots = json_get(writer, "slots");
                if (json_u64(writer, "pid") == (uint64_t) getpid())
                        continue;
                if (json_len(slots) == 0 || json_find(slots, "port", port))
                        return true;
        }
        return false;
}

char *writer_text(json_object *writer) {
        const char *what = json_str(writer, "what"), *names = what ? startswith(what, WRITER_LETS_RUN) : NULL;

        if (json_str(writer, "unread"))
                return strf("%s: the process that it names may still wait in the kernel", what);
        if (names)
                return strf("process %ju waits for a write to the kernel, and after that continues the stopped processes: %s",
                            (uintmax_t) json_u64(writer, "pid"), names);
        _cleanup_free_ char *stack = kernel_stack((int) json_u64(writer, "pid"));
        return strf("process %ju still waits in the kernel (%s%s%s)", (uintmax_t) json_u64(writer, "pid"), json_str(writer, "what"),
                    stack ? "; its kernel stack: " : "", stack ?: "");
}

char *writer_remedy(json_object *writer, const char *then) {
        const char *file = json_str(writer, "unread");

        if (file)
                return strf("ps -eo pid,stat,wchan,args | grep ' D'; ls -ld %s  # where no process of safe-remove hangs: rm -r %s && %s; else restart the machine",
                            file, file, then);
        return strf("tail --pid=%ju -f /dev/null && %s  # if it never ends, restart the machine", (uintmax_t) json_u64(writer, "pid"), then);
}

/* What else of a removal is kept for the boot: how it ended. */

static const BootRecords ends = { .folder = "ended", .format = FORMAT_ENDED, .max_bytes = 4 * 1024 * 1024, .has_names = true, .fleeting = true };

enum {
        ENDS_MAX = 200,        /* a state folder that was brought back is of a day ago, and not of so many removals */
};

static void keep_newest(void) {
        _cleanup_listing_ Listing names = { 0 };
        uint64_t highest = journal_ends_highest();

        if (boot_record_list(&ends, &names) < 0 || names.n <= ENDS_MAX)
                return;
        for (size_t i = 0; i < names.n; i++) {
                uint64_t id;
                if (parse_u64(names.names[i], &id) >= 0 && highest - id >= ENDS_MAX)
                        (void) boot_record_remove(&ends, names.names[i]);
        }
}

/* `key`: what it is that its record may lack. */
static int keep(const Journal *j, const char *key, json_object *record) {
        _cleanup_free_ char *id = strf("%ju", (uintmax_t) journal_removal(j));
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_u64(o, "began", json_u64(j->start, "monotonic_usec"));
        json_set(o, key, json_ref(record));
        int r = id ? boot_record_write(&ends, id, NULL, o) : -ENOMEM;
        if (r >= 0)
                keep_newest();
        return r;
}

/* Of this very removal; `member`: what such a record always has. */
static int kept(const Journal *j, const char *key, const char *member, json_object **ret) {
        _cleanup_free_ char *id = strf("%ju", (uintmax_t) journal_removal(j));
        _cleanup_json_ json_object *o = NULL;

        int r = id ? boot_record_read(&ends, id, NULL, &o) : -ENOMEM;
        if (r < 0)
                return r == -ENOMEM ? r : -ENOENT;
        if (j->other_boot || json_u64(o, "began") != json_u64(j->start, "monotonic_usec") || !json_str(json_get(o, key), member))
                return -ENOENT;
        *ret = json_ref(json_get(o, key));
        return 0;
}

int journal_end_keep(const Journal *j, json_object *end) {
        return keep(j, "end", end);
}

int journal_end_kept(const Journal *j, json_object **ret) {
        return kept(j, "end", "outcome", ret);
}

int journal_back_keep(const Journal *j, json_object *back) {
        return keep(j, "back", back);
}

int journal_back_kept(const Journal *j, json_object **ret) {
        return kept(j, "back", "code", ret);
}

int journal_end_forget(uint64_t removal) {
        _cleanup_free_ char *id = strf("%ju", (uintmax_t) removal);

        return id ? boot_record_remove(&ends, id) : -ENOMEM;
}

/* 1: its record had none. */
static int make_up(const char *id) {
        _cleanup_free_ char *dir = NULL, *why = NULL;
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_json_ json_object *end = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;

        int r = removal_dir(id, &dir);
        if (r < 0 || access(dir, F_OK) < 0 || removal_has_ended(dir))
                return 0;
        r = journal_open(id, &j, &plan, &why);
        if (r < 0) /* what is damaged stays so */
                return state_may_come(r) ? r : 0;
        if (j->ended || journal_end_kept(j, &end) < 0)
                return 0;
        r = journal_append(j, end);
        return r < 0 ? r : 1;
}

int journals_make_up(json_object *made, json_object *missing) {
        _cleanup_listing_ Listing names = { 0 };
        int result = 0;

        int r = boot_record_list(&ends, &names);
        if (r < 0)
                return r;
        for (size_t i = 0; i < names.n; i++) {
                r = make_up(names.names[i]);
                result = r < 0 ? r : result;
                if (r != 0)
                        json_append_str(r > 0 ? made : missing, names.names[i]);
        }
        return result;
}

uint64_t journal_ends_highest(void) {
        _cleanup_listing_ Listing names = { 0 };
        uint64_t highest = 0, id;

        if (boot_record_list(&ends, &names) < 0)
                return 0;
        for (size_t i = 0; i < names.n; i++)
                if (parse_u64(names.names[i], &id) >= 0 && id > highest)
                        highest = id;
        return highest;
}
