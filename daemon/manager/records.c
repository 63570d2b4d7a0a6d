/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/run-dir.h"
#include "engine/state-dir.h"
#include "kernel/process/pidfd.h"
#include "light.h"
#include "ports.h"
#include "records.h"
#include "removals.h"
#include "slots.h"

/* Reads the records when the daemon starts. A worker does that, since a file system may never answer. Until it has answered, it is not known
 * which slots have an unfinished removal and which numbers are free: no removal is started, and no slot is shown as ready. */

#define READ_USEC (20 * USEC_PER_SEC)
#define COME_UP_USEC (5 * USEC_PER_SEC)  /* longer than reading takes on a busy machine; then the daemon serves without */
#define AGAIN_USEC USEC_PER_SEC          /* at first; twice as long each time, since a reader that hangs in the kernel stays */
#define AGAIN_MAX_USEC (64 * USEC_PER_SEC)

/* Once, with the records or without them: from here on the slots are looked at. */
static void come_up(Manager *m) {
        if (m->up)
                return;
        m->up = true;
        manager_rescan(m);
}

static void tell_status(Manager *m) {
        const char *status = !m->records_known ? "The records of removals cannot be read; no removal is started." :
                             json_len(m->unreadable) > 0 ? "Watching the slots; some records of removals cannot be read." : "Watching the slots.";

        (void) sd_notifyf(0, "%sSTATUS=%s", m->up ? "READY=1\n" : "", status);
}

/* At the first time all of them; later those that could not be read before: the others are this daemon's own. */
static void resume_all(Manager *m, json_object *unfinished) {
        for (size_t i = 0; i < json_len(unfinished); i++) {
                json_object *entry = json_at(unfinished, i);
                const char *id = json_str(entry, "id");

                if (m->records_known && (!json_find(m->unreadable, "id", id) || manager_has_removal(m, id)))
                        continue;
                int r = manager_resume(m, entry);
                if (r < 0)
                        log_plain(LOG_ERR, "Removal %s has not ended and cannot be resumed: %s", id, strerror(-r));
        }
}

static void tell_unreadable(Manager *m, json_object *unreadable) {
        for (size_t i = 0; i < json_len(unreadable); i++) {
                json_object *entry = json_at(unreadable, i);
                const char *id = json_str(entry, "id"), *port = json_str(entry, "port");

                if (!json_find(m->unreadable, "id", id))
                        log_plain(LOG_ERR, "The record of removal %s cannot be read: %s. Whether it has ended is not known%s%s; see %s/removals/%s.", id,
                                  json_str(entry, "why"), port ? ", and no removal is started at port " : unread_is_of_any(entry) ? ", nor at which slot: none is started" : "",
                                  port ?: "", state_dir(), id);
        }
}

/* What ended while its record could not take the end, or its certificate, is written down when that can be. */

static int make_up(Manager *m);

static int on_make_up_time(sd_event_source *timer, uint64_t usec, void *userdata) {
        if (make_up(userdata) < 0)
                log_plain(LOG_ERR, "What is missing of records is not tried again until the next removal ends.");
        return 0;
}

static int make_up_later(Manager *m) {
        m->make_up_timer = sd_event_source_disable_unref(m->make_up_timer);
        m->make_up_delay = m->make_up_delay == 0 ? AGAIN_USEC : m->make_up_delay < AGAIN_MAX_USEC ? m->make_up_delay * 2 : AGAIN_MAX_USEC;
        return sd_event_add_time_relative(m->event, &m->make_up_timer, CLOCK_MONOTONIC, m->make_up_delay, USEC_PER_MSEC, on_make_up_time, m);
}

/* Each is told once, until nothing is missing any more: that what is missing is not known, and what is. */
static void tell_missing(Manager *m, json_object *answer, const char *why_not) {
        _cleanup_free_ char *ids = json_joined(json_array(answer, "missing"), NULL, ", ");
        bool known = json_has(answer, "certificates");

        if (!known && m->make_up_delay == 0)
                log_plain(LOG_WARNING, "Whether all that has ended is on record in %s is not known (%s). It is asked again, and what is missing is written down when that can be.",
                          state_dir(), json_str(answer, "message") ?: why_not ?: "the worker gave no answer");
        if (known && !m->make_up_told)
                log_plain(LOG_WARNING, "What has ended is not all on record in %s: %s%s is missing (%s). It is kept in memory, and written down when that can be.", state_dir(),
                          ids && *ids ? "the end of removal " : "a certificate", ids ?: "", json_str(answer, "why") ?: "?");
        m->make_up_told = m->make_up_told || known;
}

static void take_made_up(Manager *m, json_object *answer, const char *why_not) {
        json_object *made = json_array(answer, "made");

        for (size_t i = 0; i < json_len(made); i++)
                log_plain(LOG_NOTICE, "The end of removal %s is on record now.", json_object_get_string(json_at(made, i)));
        if (json_len(json_array(answer, "missing")) == 0 && json_flag(answer, "certificates")) {
                if (m->make_up_delay > 0)
                        log_plain(LOG_NOTICE, "Nothing is missing of the records any more.");
                m->make_up_delay = 0;
                m->make_up_told = false;
                return;
        }
        tell_missing(m, answer, why_not);
        (void) make_up_later(m);
}

static void on_made_up(json_object *answer, const char *why_not, void *userdata) {
        Manager *m = userdata;

        take_made_up(m, answer, why_not);
        question_free(TAKE_PTR(m->make_up));
        /* Where something is missing still, the next time has that too. */
        bool again = m->make_up_again && m->make_up_delay == 0;
        m->make_up_again = false;
        if (again && make_up(m) < 0)
                log_plain(LOG_ERR, "What is missing of records is not tried again until the next removal ends.");
}

static int make_up(Manager *m) {
        return m->make_up ? 0 : question_ask(m->event, "make-up", NULL, READ_USEC, on_made_up, m, &m->make_up);
}

static void on_told(Removal *r, json_object *event, void *userdata) {
        Manager *m = userdata;

        if (!streq_ptr(json_str(event, "type"), "end") || !json_flag(event, "unwritten"))
                return;
        m->make_up_again = m->make_up != NULL; /* its worker may have looked before */
        if (m->make_up_delay == 0)
                (void) make_up(m);
}

const RemovalListener records_listener = {
        .told = on_told,
};

static void take(Manager *m, json_object *answer) {
        json_object *unreadable = json_array(answer, "unreadable");
        bool first = !m->records_known;

        if (first)
                m->last_number = json_u64(answer, "highest");
        if (first && json_str(answer, "totals_unread"))
                log_plain(LOG_WARNING, "How many removals have ended how is not counted, and old records are kept twice as long: %s/totals.json: %s. What is deleted "
                          "until that can be read is in no sum.", state_dir(), json_str(answer, "totals_unread"));
        tell_unreadable(m, unreadable);
        resume_all(m, json_array(answer, "unfinished"));
        json_object_put(m->unreadable);
        m->unreadable = json_ref(unreadable);
        m->records_known = true;
        if (first)
                (void) make_up(m);
        if (first) {
                manager_begin_guard(m);
                manager_recall_outcomes(m, json_array(answer, "recent"));
                manager_look_for_late(m);
        }
        for (size_t i = 0; i < m->n_slots; i++)
                manager_refresh_slot(m->slots[i]);
}

static void tell_unread(Manager *m, const char *why) {
        if (!m->told_unread && !m->records_known)
                log_plain(LOG_ERR, "The records of removals in %s cannot be read: %s. Until they can be no removal is started, and a pressed button is "
                          "given back; they are tried again.", state_dir(), why);
        m->told_unread = true;
}

static int in_a_while(Manager *m, uint64_t usec);

static int on_time(sd_event_source *timer, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        if (!m->reading)
                return manager_read_records(m) < 0 ? in_a_while(m, AGAIN_MAX_USEC) : 0;
        tell_unread(m, "the file system does not answer");
        come_up(m);
        tell_status(m);
        return 0;
}

static int in_a_while(Manager *m, uint64_t usec) {
        m->read_timer = sd_event_source_disable_unref(m->read_timer);
        return sd_event_add_time_relative(m->event, &m->read_timer, CLOCK_MONOTONIC, usec, USEC_PER_MSEC, on_time, m);
}

static void on_read(json_object *answer, const char *why_not, void *userdata) {
        Manager *m = userdata;
        bool read = streq_ptr(json_str(answer, "type"), "records");

        m->read_timer = sd_event_source_disable_unref(m->read_timer);
        if (read)
                take(m, answer);
        else
                tell_unread(m, json_str(answer, "message") ?: why_not ?: "?");
        question_free(TAKE_PTR(m->reading));
        come_up(m);
        tell_status(m);
        if (read && json_len(m->unreadable) == 0)
                return;
        m->read_delay = m->read_delay == 0 ? AGAIN_USEC : m->read_delay < AGAIN_MAX_USEC ? m->read_delay * 2 : AGAIN_MAX_USEC;
        if (in_a_while(m, m->read_delay) < 0)
                log_plain(LOG_ERR, "The records of removals are not tried again: %s", strerror(ENOMEM));
}

int manager_read_records(Manager *m) {
        int r = question_ask(m->event, "records", NULL, READ_USEC, on_read, m, &m->reading);

        return r < 0 ? r : in_a_while(m, COME_UP_USEC);
}

void manager_free_reading(Manager *m) {
        sd_event_source_disable_unref(m->read_timer);
        sd_event_source_disable_unref(m->make_up_timer);
        question_free(m->make_up);
        question_free(m->reading);
        json_object_put(m->unreadable);
}

/* Writes to the kernel that a removal has left behind, most often when it got stuck. Of the end of the process that is at one the daemon hears by its descriptor; what
 * is to be done then a worker says. */

#define LATE_LOOK_USEC (20 * USEC_PER_SEC)
#define LATE_PAUSE_USEC USEC_PER_SEC          /* between two looks, whatever happens */
#define LATE_AGAIN_USEC (60 * USEC_PER_SEC)   /* after one that failed */

enum {
        WATCHED_MAX = 32,                /* a slot has one, or one and who waits for it */
};

struct Late {
        Question *question;
        bool again;                      /* somebody has ended, or got stuck, while it was asked */
        sd_event_source *pause;
        sd_event_source *watched[WATCHED_MAX];
        size_t n_watched;
        json_object *asked;              /* {"2": "7 2"}: by the slot, what the rest was asked for last of */
        json_object *done;               /* {"7 2": true}: of these the rest has begun; that it does once in the life of a daemon */
};

static void late_forget(Late *l) {
        for (size_t i = 0; i < l->n_watched; i++)
                sd_event_source_disable_unref(l->watched[i]);
        l->n_watched = 0;
}

static int on_writer_end(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Manager *m = userdata;

        late_forget(m->late);
        manager_look_for_late(m);
        return 0;
}

/* By a descriptor, which is never another process's; the worker says after that whether it is still the one. */
static void late_watch(Manager *m, json_object *waiting) {
        Late *l = m->late;
        int fd;

        if (l->n_watched >= WATCHED_MAX)
                return;
        int r = pidfd_open_process((int) json_u64(waiting, "pid"), &fd);
        if (r == -ESRCH) {
                l->again = true;
                return;
        }
        sd_event_source *source = NULL;
        if (r >= 0) {
                r = sd_event_add_io(m->event, &source, fd, EPOLLIN, on_writer_end, m);
                if (r < 0)
                        close(fd);
        }
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(source, true);
        if (r < 0) {
                sd_event_source_disable_unref(source);
                log_plain(LOG_WARNING, "Nobody hears of the end of process %" PRIu64 ", at which removal %s has got stuck: %s", json_u64(waiting, "pid"),
                          json_str(waiting, "id"), strerror(-r));
                return;
        }
        l->watched[l->n_watched++] = source;
}

/* All of it had been put back, and then a write to the slot itself took effect. */
static void give_back(Manager *m, json_object *ended) {
        const char *id = json_str(ended, "id"), *slot = json_str(ended, "slot"), *port = json_str(ended, "port");
        const char *shows = json_str(ended, "shows");
        bool held = streq_ptr(json_str(ended, "do"), "give-back");

        log_plain(LOG_NOTICE, "A write to the kernel that removal %s of slot %s had left behind has taken effect: %s.", id, slot,
                  held ? "the slot is held for nobody, and is given back" : shows ? "its attention LED is not as it was" : "its power LED is not as it was");
        if (held)
                manager_give_back_press(m, port, "a write of a removal that is over held it");
        else if ((shows ? light_as_before(m, port, shows) : light_steady(m, port)) < 0)
                log_plain(LOG_ERR, "The %s LED of slot %s cannot be turned %s.", shows ? "attention" : "power", slot, shows ?: "on");
}

/* It looks for its slot, and has not begun. */
static bool is_asked(const Manager *m, const char *slot) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (m->removals[i]->trigger == TRIGGER_LATE && !m->removals[i]->started && streq(m->removals[i]->target, slot))
                        return true;
        return false;
}

/* One that is not begun, for whatever reason, is asked for again by the next look. */
static void on_late_started(Removal *r, void *userdata) {
        const Manager *m = userdata;
        const char *key = r->trigger == TRIGGER_LATE && m->late ? json_str(m->late->asked, r->target) : NULL;

        if (key)
                json_set_bool(m->late->done, key, true);
}

static void do_the_rest(Manager *m, json_object *ended) {
        _cleanup_json_ json_object *by = json_object_new_object();
        const char *id = json_str(ended, "id"), *slot = json_str(ended, "slot"), *port = json_str(ended, "port");
        bool restore = streq_ptr(json_str(ended, "do"), "restore");
        _cleanup_free_ char *key = id && slot ? strf("%s %s %s %s", id, slot, json_str(ended, "do"), port ?: "") : NULL;

        if (!key || json_has(m->late->done, key) || (!port && is_asked(m, slot)))
                return;
        json_set(by, "uid", NULL);
        json_set(by, "pid", NULL);
        json_set_str(by, "comm", "safe-removed");
        if (port) {
                json_set_bool(m->late->done, key, true);
                give_back(m, ended);
                return;
        }
        if (m->going_down) /* there is a look when that is over */
                return;
        json_set_str(m->late->asked, slot, key);
        log_plain(LOG_NOTICE, "The write to the kernel at which removal %s of slot %s had got stuck has come to its end: %s.", id, slot,
                  restore ? "what is still taken down is put back" : "what is left is proved and shown");
        int r = manager_remove(m, (RemovalRequest) { .kind = restore ? KIND_RESTORE : KIND_REMOVE, .trigger = TRIGGER_LATE, .target = slot, .by = by });
        if (r < 0)
                log_plain(LOG_ERR, "What removal %s of slot %s has left cannot be dealt with: %s", id, slot, strerror(-r));
}

static int on_late_pause_over(sd_event_source *timer, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        m->late->pause = sd_event_source_disable_unref(m->late->pause);
        if (m->late->again)
                manager_look_for_late(m);
        return 0;
}

static void on_late(json_object *answer, const char *why_not, void *userdata) {
        Manager *m = userdata;
        Late *l = m->late;
        json_object *waiting = json_array(answer, "waiting"), *ended = json_array(answer, "ended");

        if (!waiting) {
                log_plain(LOG_WARNING, "Whether a write to the kernel came to its end after its removal could not be looked at: %s",
                          json_str(answer, "message") ?: why_not ?: "?");
                l->again = true;
        }
        late_forget(l);
        for (size_t i = 0; i < json_len(waiting); i++)
                late_watch(m, json_at(waiting, i));
        for (size_t i = 0; i < json_len(ended); i++)
                do_the_rest(m, json_at(ended, i));
        question_free(TAKE_PTR(l->question));
        if (sd_event_add_time_relative(m->event, &l->pause, CLOCK_MONOTONIC, waiting ? LATE_PAUSE_USEC : LATE_AGAIN_USEC, 0, on_late_pause_over, m) < 0)
                log_plain(LOG_WARNING, "Writes that come late are not looked at again: %s", strerror(ENOMEM));
}

void manager_look_for_late(Manager *m) {
        if (!m->late)
                m->late = calloc(1, sizeof(Late));
        Late *l = m->late;

        if (!l || !m->records_known)
                return;
        if (!l->done) {
                l->done = json_object_new_object();
                l->asked = json_object_new_object();
        }
        l->again = l->question || l->pause;
        if (l->again)
                return;
        int r = question_ask(m->event, "late", NULL, LATE_LOOK_USEC, on_late, m, &l->question);
        if (r < 0)
                on_late(NULL, strerror(-r), m);
}

void manager_free_late(Manager *m) {
        if (!m->late)
                return;
        late_forget(m->late);
        question_free(m->late->question);
        sd_event_source_disable_unref(m->late->pause);
        json_object_put(m->late->done);
        json_object_put(m->late->asked);
        free(m->late);
}

/* Whatever its end, somebody may be at a write yet: where root alone may look, a worker does. */
static bool has_writers(const Removal *r) {
        _cleanup_free_ char *path = strf("%s/writers/%s", run_dir(), r->id);

        return !path || access(path, F_OK) >= 0 || errno != ENOENT;
}

static void on_removal_ended(Removal *r, void *userdata) {
        if (r->outcome == OUTCOME_STUCK || r->outcome == OUTCOME_INCOMPLETE || has_writers(r))
                manager_look_for_late(userdata);
}

const RemovalListener late_listener = {
        .started = on_late_started,
        .ended = on_removal_ended,
};
