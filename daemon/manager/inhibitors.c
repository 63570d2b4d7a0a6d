/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/parse.h"
#include "daemon/caller/sub-uid.h"
#include "daemon/caller/who.h"
#include "fd-store.h"
#include "inhibitors.h"

enum {
        OF_ONE_MAX = 8,        /* of a user */
        OF_USERS_MAX = 32,     /* of all users */
        OF_ROOT_MAX = 64,      /* the unit's FileDescriptorStoreMax= has twice all of these */
        DESCRIPTION_MAX = 4096, /* bytes; longer than one can be */
        PIPE_BYTES = 4096,     /* nobody is to write into it */
};

#define LATER_USEC (100 * USEC_PER_MSEC)
#define USERS_BLOCK_USEC (24 * 3600 * USEC_PER_SEC) /* as long as a user's may block a removal: a card that fails waits for nobody for ever */
#define NAME_PREFIX "inhibitor-" /* of the descriptors that systemd keeps */

typedef struct Inhibitor {
        Manager *manager;
        uint64_t id;
        json_object *doc;
        int fd;                /* our end of the pipe; negative: it was lost */
        bool ended;            /* and systemd has not been told so yet */
        sd_event_source *end, *later, *too_long;
} Inhibitor;

struct Inhibitors {
        Inhibitor **all;       size_t n, allocated;
        json_object *list;     /* of all; NULL: to be made */
        char *words[_INHIBIT_MODE_MAX]; /* likewise: what everybody may read again and again */
        uint64_t last_id;
        bool told_unkept;
};

static void inhibitor_free(Inhibitor *i) {
        if (!i)
                return;
        sd_event_source_disable_unref(i->end);
        sd_event_source_disable_unref(i->later);
        sd_event_source_disable_unref(i->too_long);
        if (i->fd >= 0)
                close(i->fd);
        json_object_put(i->doc);
        free(i);
}

DEFINE_CLEANUP_FUNC(Inhibitor, inhibitor_free)

static void forget_list(Inhibitors *h) {
        json_object_put(TAKE_PTR(h->list));
        for (size_t i = 0; i < ELEMENTSOF(h->words); i++)
                free(TAKE_PTR(h->words[i]));
}

void manager_inhibitors_free(Manager *m) {
        if (!m->inhibitors)
                return;
        for (size_t i = 0; i < m->inhibitors->n; i++)
                inhibitor_free(m->inhibitors->all[i]);
        free(m->inhibitors->all);
        forget_list(m->inhibitors);
        free(m->inhibitors);
        m->inhibitors = NULL;
}

json_object *manager_inhibitors(Manager *m) {
        Inhibitors *h = m->inhibitors;

        if (!h->list) {
                h->list = json_object_new_array();
                for (size_t i = 0; i < h->n; i++)
                        if (!h->all[i]->ended)
                                json_object_array_add(h->list, json_ref(h->all[i]->doc));
        }
        return json_len(h->list) > 0 ? h->list : NULL;
}

static char *words_of(Manager *m, InhibitMode mode) {
        _cleanup_json_ json_object *seen = json_object_new_array();
        json_object *list = manager_inhibitors(m);
        _cleanup_free_ char *words = strdup("");

        for (size_t i = 0; i < json_len(list); i++) {
                json_object *what = json_array(json_at(list, i), "what");
                for (size_t k = 0; k < json_len(what) && inhibitor_mode(json_at(list, i)) == mode; k++) {
                        const char *word = json_object_get_string(json_at(what, k));
                        if (json_has_string(seen, word))
                                continue;
                        json_append_str(seen, word);
                        if (text_add(&words, json_len(seen) > 1 ? " " : "", "%s", word) < 0)
                                return NULL;
                }
        }
        return TAKE_PTR(words);
}

const char *manager_inhibited(Manager *m, InhibitMode mode) {
        char **words = &m->inhibitors->words[mode];

        if (!*words)
                *words = words_of(m, mode);
        return *words;
}

static void changed(Manager *m) {
        forget_list(m->inhibitors);
        if (m->listener && m->listener->inhibitors_changed)
                m->listener->inhibitors_changed(m->listener_data);
}

static bool is_alive(const Inhibitors *h, uint64_t id) {
        for (size_t i = 0; i < h->n; i++)
                if (h->all[i]->id == id && !h->all[i]->ended)
                        return true;
        return false;
}

/* Is there nobody left for whom it would wait? */
static void release_if_free(Removal *r) {
        const Inhibitors *h = manager_of(r)->inhibitors;

        for (size_t i = 0; i < json_len(r->delays); i++)
                if (is_alive(h, json_object_get_uint64(json_at(r->delays, i))))
                        return;
        if (json_len(r->delays) > 0 && removal_runs(r))
                removal_release(r);
}

/* Somebody is passed over, who may ask later why. A plan that is told once more passes over the same ones. */
static void log_passed_over(Removal *r) {
        const Inhibitors *h = manager_of(r)->inhibitors;
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        for (size_t i = 0; i < h->n && json_len(r->passed_over) > 0 && r->attempts == 0; i++) {
                json_object *o = h->all[i]->doc;
                for (size_t k = 0; k < json_len(r->passed_over); k++)
                        if (json_object_get_uint64(json_at(r->passed_over, k)) == h->all[i]->id)
                                log_write(LOG_WARNING, LOG_MESSAGE_NONE, &subject, "Removal %s of slot %s was asked for by uid %s with ignore_inhibitors, and "
                                          "passes over the %s inhibitor of '%s' (uid %" PRIu64 "): %s", r->id, removal_label(r), subject.by_uid ?: "?",
                                          json_str(o, "mode"), json_str(o, "who"), json_u64(o, "uid"), json_str(o, "why"));
        }
}

/* A plan names those that may hold it up, also one that another daemon's worker has made. */
static void on_told(Removal *r, json_object *event, void *userdata) {
        if (!streq_ptr(json_str(event, "type"), "plan"))
                return;
        release_if_free(r);
        log_passed_over(r);
}

const RemovalListener inhibitors_listener = { .told = on_told };

/* systemd hands them to the next process of this unit. Without FDPOLL=0 it would drop the pipe at the end of whoever has the other one, and nobody could tell
 * that from one that was lost. */
static int keep(Inhibitors *h, uint64_t id, int pipe, int description) {
        const int fds[] = { pipe, description };
        _cleanup_free_ char *state = strf("FDSTORE=1\nFDNAME=" NAME_PREFIX "%" PRIu64 "\nFDPOLL=0", id);

        int r = state ? store_notify(state, fds, ELEMENTSOF(fds)) : -ENOMEM;
        if (r == 0 && !h->told_unkept)
                log_plain(LOG_WARNING, "There is no systemd here that keeps inhibitors: they end with this process.");
        h->told_unkept = h->told_unkept || r == 0;
        return r;
}

static void log_about(const Inhibitor *i, const char *what) {
        log_plain(LOG_INFO, "Inhibitor %" PRIu64 " (%s) of '%s', uid %" PRIu64 ", process %" PRIu64 ": %s. It said: %s", i->id,
                  inhibit_mode_to_string(inhibitor_mode(i->doc)), json_str(i->doc, "who"), json_u64(i->doc, "uid"), json_u64(i->doc, "pid"), what,
                  json_str(i->doc, "why"));
}

static int on_later(sd_event_source *timer, uint64_t usec, void *userdata);

/* It is over. What is kept of it has to go first: the store has an end too, and what it does not take is not kept. */
static void forget(Inhibitor *i) {
        _cleanup_free_ char *state = strf("FDSTOREREMOVE=1\nFDNAME=" NAME_PREFIX "%" PRIu64, i->id);
        Inhibitors *h = i->manager->inhibitors;
        size_t at = 0;

        i->later = sd_event_source_disable_unref(i->later);
        if (state && store_notify(state, NULL, 0) == -EAGAIN &&
            sd_event_add_time_relative(i->manager->event, &i->later, CLOCK_MONOTONIC, LATER_USEC, 0, on_later, i) >= 0)
                return;
        while (h->all[at] != i)
                at++;
        memmove(h->all + at, h->all + at + 1, (--h->n - at) * sizeof(Inhibitor *));
        inhibitor_free(i);
}

static int on_later(sd_event_source *timer, uint64_t usec, void *userdata) {
        forget(userdata);
        return 0;
}

static void end(Inhibitor *i, const char *why) {
        Manager *m = i->manager;

        i->ended = true;
        i->end = sd_event_source_disable_unref(i->end);
        i->too_long = sd_event_source_disable_unref(i->too_long);
        log_about(i, why);
        forget(i);
        changed(m);
        for (size_t k = 0; k < m->n_removals; k++)
                release_if_free(m->removals[k]);
}

/* The last copy of the other end is closed. */
static int on_end(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        end(userdata, "over");
        return 0;
}

/* Whoever has the other end sees that too: nobody reads there any more. */
static int on_too_long(sd_event_source *timer, uint64_t usec, void *userdata) {
        end(userdata, "ended, since it has lasted as long as a user's may");
        return 0;
}

/* Drills do not wait for a day. */
static uint64_t users_block_usec(void) {
        const char *text = getenv("SAFE_REMOVE_INHIBIT_SEC");
        uint64_t sec;

        return text && parse_u64(text, &sec) >= 0 && sec > 0 && sec < USERS_BLOCK_USEC / USEC_PER_SEC ? sec * USEC_PER_SEC : USERS_BLOCK_USEC;
}

/* Root's has no end of its own, and a delay has one in each removal. */
static int limit(Inhibitor *i) {
        if (inhibitor_mode(i->doc) != INHIBIT_BLOCK || json_flag(i->doc, "lost") || who_is_privileged_uid((uint32_t) json_u64(i->doc, "uid")))
                return 0;
        if (!json_has(i->doc, "until_usec")) /* an older version's */
                json_set_u64(i->doc, "until_usec", now_monotonic() + users_block_usec());
        return sd_event_add_time(i->manager->event, &i->too_long, CLOCK_MONOTONIC, json_u64(i->doc, "until_usec"), 0, on_too_long, i);
}

/* Takes over doc and fd, whatever comes of it. */
static int add(Manager *m, uint64_t id, json_object *doc, int fd) {
        _cleanup_(inhibitor_freep) Inhibitor *i = calloc(1, sizeof(*i));
        Inhibitors *h = m->inhibitors;

        if (!i) {
                json_object_put(doc);
                if (fd >= 0)
                        close(fd);
                return -ENOMEM;
        }
        *i = (Inhibitor) { .manager = m, .id = id, .doc = doc, .fd = fd };
        int r = vec_grow((void **) &h->all, h->n, &h->allocated, sizeof(Inhibitor *));
        /* Nothing is read from it, and its end is told without being asked for. */
        if (r >= 0 && fd >= 0)
                r = sd_event_add_io(m->event, &i->end, fd, 0, on_end, i);
        if (r >= 0)
                r = limit(i);
        if (r < 0)
                return r;
        h->last_id = id > h->last_id ? id : h->last_id;
        h->all[h->n++] = TAKE_PTR(i);
        return 0;
}

static int describe(const InhibitRequest *q, uint64_t id, json_object **ret, char **ret_why) {
        _cleanup_json_ json_object *o = json_object_new_object(), *what = NULL;

        int r = inhibit_what_parse(q->what, &what, ret_why);
        if (r >= 0)
                r = inhibit_text_check("who", q->who, INHIBIT_WHO_MAX, ret_why);
        if (r >= 0)
                r = inhibit_text_check("why", q->why, INHIBIT_WHY_MAX, ret_why);
        if (r < 0)
                return r;
        if (inhibit_mode_from_string(q->mode) < 0) {
                *ret_why = strf("the mode is 'block' or 'delay'");
                return -EINVAL;
        }
        json_set_u64(o, "id", id);
        json_set(o, "what", TAKE_PTR(what));
        json_set_str(o, "who", q->who);
        json_set_str(o, "why", q->why);
        json_set_str(o, "mode", q->mode);
        json_set_u64(o, "uid", q->uid);
        json_set_u64(o, "pid", q->pid);
        if (q->start_time > 0)
                json_set_u64(o, "start_time", q->start_time);
        json_set_u64(o, "since_usec", now_wall());
        if (streq(q->mode, "block") && !who_is_privileged_uid(q->uid))
                json_set_u64(o, "until_usec", now_monotonic() + users_block_usec());
        *ret = TAKE_PTR(o);
        return 0;
}

static int check_room(const Inhibitors *h, const InhibitRequest *q, char **ret_why) {
        bool privileged = who_is_privileged_uid(q->uid);
        size_t own = 0, all = 0, most = privileged ? OF_ROOT_MAX : OF_ONE_MAX;

        for (size_t i = 0; i < h->n; i++) {
                uint32_t uid = (uint32_t) json_u64(h->all[i]->doc, "uid");
                bool is_privileged = who_is_privileged_uid(uid);

                own += privileged ? is_privileged : !is_privileged && sub_uid_user(uid) == sub_uid_user(q->uid);
                all += !is_privileged;
        }
        if (own < most && (privileged || all < OF_USERS_MAX))
                return 0;
        *ret_why = own >= most ? strf("you have %zu inhibitors already, as many as one may have: end some first", own) :
                                 strf("there are %zu inhibitors of users already: try again when some have ended", all);
        return -EDQUOT;
}

/* Who protects a slot that is not there protects nothing, and relies on it. A serial number may be of a card that is still to come. */
static int check_slots(Manager *m, json_object *doc, char **ret_why) {
        json_object *what = json_array(doc, "what");
        _cleanup_free_ char *there = NULL;

        for (size_t i = 0; i < json_len(what); i++) {
                const char *word = json_object_get_string(json_at(what, i)), *slot = startswith(word, "slot:"), *port = startswith(word, "port:");
                if ((!slot && !port) || (slot ? manager_slot(m, slot) : manager_slot_at_port(m, port)))
                        continue;
                for (size_t k = 0; k < m->n_slots; k++)
                        if (text_add(&there, k > 0 ? " " : "", "%s", slot ? slot_get(m->slots[k], SLOT_TEXT_NAME) : slot_get(m->slots[k], SLOT_TEXT_PORT)) < 0)
                                return -ENOMEM;
                *ret_why = !m->topology ? strf("the slots have not been looked at yet: try again in a moment") :
                                          strf("there is no %s '%s' in this machine; there are: %s", slot ? "slot" : "port", slot ?: port, there ?: "none");
                return m->topology ? -ENOENT : -EBUSY;
        }
        return 0;
}

/* One that has begun goes on: whoever is told that it is blocked must be able to rely on it. */
static int check_running(Manager *m, json_object *doc, char **ret_why) {
        json_object *what = json_array(doc, "what");

        for (size_t i = 0; i < json_len(what) && inhibitor_mode(doc) == INHIBIT_BLOCK; i++) {
                const Removal *r = manager_removal_inhibited(m, json_object_get_string(json_at(what, i)));
                if (!r)
                        continue;
                *ret_why = strf("removal %s of slot %s has begun already. Cancel it (safe-remove cancel %s), or wait for its end", r->id, removal_label(r), r->id);
                return -EBUSY;
        }
        /* It was told who has an inhibitor before this one, and may be about anything yet. */
        const Removal *unplanned = inhibitor_mode(doc) == INHIBIT_BLOCK ? manager_removal_unplanned(m) : NULL;
        if (!unplanned)
                return 0;
        *ret_why = strf("removal %s of slot %s has begun, and what goes with it is not known yet: try again in a moment", unplanned->id, removal_label(unplanned));
        return -EBUSY;
}

/* Sealed: what systemd hands back later is what was put in. */
static int description_file(json_object *doc) {
        _cleanup_json_ json_object *kept = json_object_new_object();
        _cleanup_close_ int fd = memfd_create("inhibitor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        format_set(kept, FORMAT_INHIBITOR);
        json_object_object_foreach(doc, key, value)
                json_set(kept, key, json_ref(value));
        const char *text = json_text(kept);
        if (fd < 0)
                return -errno;
        ssize_t n = write(fd, text, strlen(text));
        if (n != (ssize_t) strlen(text))
                return n < 0 ? -errno : -EIO;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int manager_inhibit(Manager *m, const InhibitRequest *request, int *ret_fd, char **ret_why) {
        uint64_t now = now_monotonic(), id = now > m->inhibitors->last_id ? now : m->inhibitors->last_id + 1;
        _cleanup_json_ json_object *doc = NULL;
        int ends[2];

        int r = describe(request, id, &doc, ret_why);
        if (r >= 0)
                r = check_room(m->inhibitors, request, ret_why);
        if (r >= 0)
                r = check_slots(m, doc, ret_why);
        if (r >= 0)
                r = check_running(m, doc, ret_why);
        if (r < 0)
                return r;
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        _cleanup_close_ int theirs = ends[1], description = description_file(doc);
        (void) fcntl(theirs, F_SETPIPE_SZ, PIPE_BYTES);
        if (description < 0) {
                close(ends[0]);
                return description;
        }
        r = keep(m->inhibitors, id, ends[0], description);
        if (r < 0) {
                close(ends[0]);
                *ret_why = strf("systemd does not take it now (%s): try again in a moment", strerror(-r));
                return -EBUSY;
        }
        r = add(m, id, TAKE_PTR(doc), ends[0]);
        if (r < 0)
                return r;
        log_about(m->inhibitors->all[m->inhibitors->n - 1], "taken");
        changed(m);
        *ret_fd = TAKE_FD(theirs);
        return 0;
}

/* What was kept under one name: a pipe, and a file that says what it is. */
typedef struct Kept {
        const char *name;
        int pipe, description;
} Kept;

static json_object *read_description(int fd, uint64_t id) {
        char text[DESCRIPTION_MAX];
        json_object *doc = NULL;

        ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text), 0) : -1;
        if (n <= 0 || n == DESCRIPTION_MAX || inhibitor_parse(text, (size_t) n, &doc) < 0)
                return NULL;
        if (json_u64(doc, "id") == id)
                return doc;
        json_object_put(doc);
        return NULL;
}

/* Closed world: what may be somebody's veto is one. */
static int take_kept(Manager *m, const Kept *k) {
        const char *number = startswith(k->name, NAME_PREFIX);
        uint64_t id = 0;

        bool named = number && parse_u64(number, &id) >= 0;
        json_object *doc = named ? read_description(k->description, id) : NULL;
        if (k->description >= 0)
                close(k->description);
        if (!doc || k->pipe < 0) {
                log_plain(LOG_ERR, "What systemd has kept as '%s' is no inhibitor that can be read (%s). It is taken for one against every removal. "
                          "'systemctl stop safe-removed.service' drops all inhibitors.", k->name, !doc ? "its description is missing" : "its pipe is missing");
                json_object_put(doc);
                doc = inhibitor_lost(id);
        }
        return add(m, id, doc, k->pipe);
}

static void sort_in(Kept *kept, size_t *n, const char *name, int fd) {
        struct stat st;
        size_t i = 0;

        while (i < *n && !streq(kept[i].name, name))
                i++;
        if (i == *n)
                kept[(*n)++] = (Kept) { .name = name, .pipe = -EBADF, .description = -EBADF };
        int *place = fstat(fd, &st) >= 0 && S_ISFIFO(st.st_mode) ? &kept[i].pipe : &kept[i].description;
        if (*place >= 0)
                close(fd); /* the same once more */
        else
                *place = fd;
}

int manager_inhibitors_start(Manager *m) {
        char **names = NULL;

        m->inhibitors = calloc(1, sizeof(Inhibitors));
        if (!m->inhibitors)
                return -ENOMEM;
        int n = sd_listen_fds_with_names(true, &names), r = 0;
        if (n < 0) {
                log_plain(LOG_ERR, "What systemd has kept for this service cannot be taken over: %s. There may have been inhibitors, so nothing is removed. "
                          "'systemctl stop safe-removed.service' drops all inhibitors.", strerror(-n));
                return add(m, 0, inhibitor_lost(0), -EBADF);
        }
        _cleanup_free_ Kept *kept = calloc((size_t) n + 1, sizeof(Kept));
        size_t n_kept = 0;
        for (int i = 0; kept && i < n; i++)
                sort_in(kept, &n_kept, names[i], SD_LISTEN_FDS_START + i);
        for (size_t i = 0; i < n_kept && r >= 0; i++)
                r = take_kept(m, &kept[i]);
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        return kept ? r : -ENOMEM;
}
