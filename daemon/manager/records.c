/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "engine/state-dir.h"
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
        m->look_for_presses = true;
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
        if (first) {
                manager_begin_guard(m);
                manager_recall_outcomes(m, json_array(answer, "recent"));
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
        question_free(m->reading);
        json_object_put(m->unreadable);
}
