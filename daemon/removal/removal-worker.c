/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "kernel/pci/pcie-slot.h"
#include "removal.h"

/* A removal and its workers: the enquiry, the start, cancelling, and what happens when one dies. */

enum {
        ATTEMPTS_AUTO = 3,     /* resumed in the direction the journal says ... */
        ATTEMPTS_MAX = 6,      /* ... then only back, and after that a person has to look */
};

/* Reading the machine to find the target; a caller on the bus gives up after 25 s. */
#define ENQUIRY_USEC (20 * USEC_PER_SEC)

/* The worker has a deadline of its own for everything it waits for and says something before and after each; the longest
 * silence it keeps on purpose is an hour (another removal has the machine), but for what listeners were promised. This is
 * the net below. */
#define SILENCE_USEC (2 * 3600 * USEC_PER_SEC)
#define LOOK_USEC (50 * USEC_PER_SEC)  /* longer than its worker tries again, shorter than the guard waits for a claim */
#define RECORD_USEC (20 * USEC_PER_SEC)
#define LEAVE_USEC (30 * USEC_PER_SEC) /* from the end of the removal to the end of its worker */

/* A resumed worker that fails at once must not use up its attempts while a disk or a lock recovers. */
#define RETRY_USEC (100 * USEC_PER_MSEC)

/* Of a press nothing but the hold is done until there is a plan: a look that hangs ends it, and the slot is given back. */
static bool only_looks(const Removal *r) {
        return r->trigger == TRIGGER_BUTTON && r->state == REMOVAL_PLANNING;
}

static int set_silence_deadline(Removal *r) {
        if (only_looks(r))
                return worker_set_deadline(r->worker, LOOK_USEC);

        uint64_t now = now_monotonic(), promised = r->promised_until > now ? r->promised_until - now : 0;

        return worker_set_deadline(r->worker, SILENCE_USEC + promised);
}

static void unstartable(Removal *r, const char *code, const char *message) {
        r->owner->unstartable(r, code, message, r->owner->userdata);
}

/* What the worker has found out of who asked (worker/rights/asker.h). */
static void take_asker(Removal *r, json_object *by) {
        static const char *const keys[] = { "login_uid", "audit_session", "session", "unit", "private" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_get(by, keys[i]))
                        json_set(r->by, keys[i], json_ref(json_get(by, keys[i])));
}

static void take_enquiry_answer(Removal *r, json_object *line) {
        const char *type = json_str(line, "type"), *slot = json_str(line, "slot"), *port = json_str(line, "port");

        if (streq_ptr(type, "error")) {
                unstartable(r, json_str(line, "code"), json_str(line, "message"));
                return;
        }
        if (!streq_ptr(type, "target") || !slot) {
                unstartable(r, "internal", "The worker answered neither a target nor an error.");
                return;
        }

        int k = removal_take_slots(r, slot, port, json_array(line, "slots"));
        r->card = json_ref(json_get(line, "card"));
        take_asker(r, json_get(line, "by"));
        r->outer = json_ref(json_array(line, "outer"));
        if (k < 0)
                unstartable(r, "internal", "Out of memory.");
        else
                r->owner->found(r, r->owner->userdata);
}

static void on_line(json_object *line, void *userdata) {
        Removal *r = userdata;

        if (!r->started) {
                take_enquiry_answer(r, line); /* may free it */
                return;
        }
        /* It may log what comes after its end; there is nothing else left to happen. */
        if (r->state == REMOVAL_ENDED && !streq_ptr(json_str(line, "type"), "library"))
                return;

        int k = removal_take_event(r, line);
        if (k < 0)
                log_plain(LOG_WARNING, "Removal %s: an event of its worker could not be taken over: %s", r->id, strerror(-k));
        if (r->worker && r->state == REMOVAL_ENDED)
                (void) worker_set_deadline(r->worker, LEAVE_USEC);
        else if (r->worker)
                (void) set_silence_deadline(r);
}

static int on_retry(sd_event_source *timer, uint64_t usec, void *userdata) {
        removal_resume(userdata);
        return 0;
}

static int retry_later(Removal *r) {
        uint64_t delay = RETRY_USEC << (r->attempts < ATTEMPTS_MAX ? r->attempts : ATTEMPTS_MAX);

        r->retry = sd_event_source_disable_unref(r->retry);
        return sd_event_add_time_relative(r->owner->event, &r->retry, CLOCK_MONOTONIC, delay, USEC_PER_MSEC, on_retry, r);
}

static void give_up_stuck(Removal *r, const char *why) {
        _cleanup_free_ char *message = strf("%s; it stopped at step %s.", why, r->step ?: "(none)");

        r->given_up = !only_looks(r); /* else there is nothing to go on with but the hold, which the guard has */
        removal_give_up(r, OUTCOME_STUCK, message ?: why);
}

/* Newly allocated. */
static char *why_it_hangs(const Worker *w) {
        const char *stack = worker_stack(w);
        int tracer = worker_traced_by(w);
        _cleanup_free_ char *by = tracer > 0 ? strf("was stopped by process %d, which traces it, and cannot be killed before that has ended", tracer) : NULL;

        return strf("The worker process %s (process %d%s%s)", by ?: "sits in the kernel and cannot be killed", worker_pid(w), stack ? "; its kernel stack: " : "", stack ?: "");
}

static void end_unbegun(Removal *r) {
        r->pressed = r->pressed || r->trigger == TRIGGER_BUTTON; /* and the kernel goes on counting */
        removal_tell_unbegun(r, "the worker died before anything was on record");
        removal_give_up(r, r->kind == KIND_RESTORE ? OUTCOME_REFUSED : OUTCOME_RESTORED, "The worker process died before it had touched anything.");
}

static void take_up(Removal *r) {
        if (r->death == WORKER_TIMED_OUT && only_looks(r) && r->attempts < ATTEMPTS_AUTO)
                r->attempts = ATTEMPTS_AUTO; /* the next one goes back */
        if (r->death == WORKER_UNKILLABLE) {
                if (only_looks(r))
                        removal_tell_unbegun(r, "its worker hangs in the kernel before anything is on record");
                /* It may come out of the kernel at any time and go on: nobody else may touch this removal. */
                _cleanup_free_ char *why = r->hanging ? why_it_hangs(r->hanging) : NULL;
                give_up_stuck(r, why ?: "The worker process sits in the kernel and cannot be killed");
        } else if (r->attempts >= ATTEMPTS_MAX || retry_later(r) < 0)
                give_up_stuck(r, "The worker process failed again and again");
}

/* What the dead worker had written down decides whether there is anything to resume: it may have come to the end and
 * died telling so, or not have begun. */
static void on_record(json_object *answer, const char *why_not, void *userdata) {
        bool read = streq_ptr(json_str(answer, "type"), "record");
        json_object *entry = json_get(answer, "entry");
        Removal *r = userdata;

        if (!read)
                log_plain(LOG_WARNING, "Removal %s: its record cannot be read: %s", r->id, json_str(answer, "message") ?: why_not ?: "?");
        if (read && !entry)
                end_unbegun(r);
        else if (json_flag(entry, "ended")) {
                json_set_str(entry, "type", "end");
                json_set_u64(entry, "usec", removal_age(r));
                (void) removal_take_event(r, entry);
        } else {
                json_object_put(r->record);
                r->record = read ? json_ref(answer) : NULL;
                take_up(r);
        }
        question_free(TAKE_PTR(r->question));
}

static int ask_record(Removal *r) {
        _cleanup_json_ json_object *request = json_object_new_object();

        json_set_str(request, "id", r->id);
        return question_ask(r->owner->event, "record", request, RECORD_USEC, on_record, r, &r->question);
}

static void on_ended(WorkerEnd end, int code, void *userdata) {
        Removal *r = userdata;
        _cleanup_free_ char *how = worker_end_text(end, code), *why = NULL;

        if (end == WORKER_UNKILLABLE)
                r->hanging = TAKE_PTR(r->worker);
        else
                worker_free(TAKE_PTR(r->worker));
        if (r->state == REMOVAL_ENDED)
                return;

        why = end == WORKER_NOT_STARTED ? strf("The worker process %s", how) : strf("The worker process %s before the removal had ended", how);
        if (!r->started) {
                unstartable(r, "internal", why);
                return;
        }

        log_plain(LOG_ERR, "Removal %s of slot %s: %s.", r->id, removal_label(r), why);
        r->death = end;
        if (ask_record(r) < 0)
                take_up(r);
}

static void on_died(void *userdata) {
        Removal *r = userdata;

        worker_free(TAKE_PTR(r->hanging));
        if (r->question)
                r->death = WORKER_KILLED; /* it is not given up yet */
        else if (r->given_up)
                r->owner->died(r, r->owner->userdata);
}

static const WorkerHandler removal_handler = {
        .line = on_line,
        .ended = on_ended,
        .died = on_died,
};

static int start_worker(Removal *r, const char *verb, json_object *message) {
        int k = worker_spawn(r->owner->event, verb, &removal_handler, r, &r->worker);
        if (k < 0)
                return k;
        return worker_send(r->worker, message);
}

int removal_enquire(Removal *r, json_object *unread) {
        _cleanup_json_ json_object *request = json_object_new_object();

        json_set_str(request, "id", r->id);
        json_set_str(request, "target", r->target);
        if (r->targets)
                json_set(request, "targets", json_ref(r->targets));
        json_set_str(request, "trigger", trigger_to_string(r->trigger));
        json_set(request, "by", json_ref(r->by));
        json_set(request, "options", r->options ? json_ref(r->options) : json_object_new_object());
        if (unread)
                json_set(request, "unread", json_ref(unread));

        int k = start_worker(r, r->kind == KIND_RESTORE ? "restore" : "run", request);
        return k < 0 ? k : worker_set_deadline(r->worker, ENQUIRY_USEC);
}

static void set_inhibitors(Removal *r, json_object *message) {
        json_object *inhibitors = r->owner->inhibitors ? r->owner->inhibitors(r->owner->userdata) : NULL;

        if (inhibitors && r->kind == KIND_REMOVE)
                json_set(message, "inhibitors", json_ref(inhibitors));
}

int removal_go(Removal *r, const char *refuse) {
        _cleanup_json_ json_object *go = json_object_new_object();

        json_set_str(go, "type", "go");
        if (refuse)
                json_set_str(go, "refuse", refuse);
        set_inhibitors(r, go);
        int k = worker_send(r->worker, go);
        if (k < 0)
                return k;

        r->started = true;
        return set_silence_deadline(r);
}

void removal_resume(Removal *r) {
        _cleanup_json_ json_object *message = json_object_new_object();
        const char *direction = r->attempts < ATTEMPTS_AUTO && !r->cancelled ? "auto" : "back";
        char uid[24];

        r->retry = sd_event_source_disable_unref(r->retry);
        r->started = true;
        r->attempts++;
        json_set_str(message, "id", r->id);
        json_set_str(message, "direction", direction);
        set_inhibitors(r, message); /* it may have been held and not planned */
        r->released = false;

        LogSubject subject = removal_subject(r, uid);
        log_write(LOG_NOTICE, LOG_MESSAGE_RESUMED, &subject, "%s %s of slot %s is resumed (attempt %u of %u, direction %s).",
                        removal_noun(r), r->id, removal_label(r), r->attempts, ATTEMPTS_MAX, direction);

        int k = start_worker(r, "resume", message);
        if (k >= 0)
                (void) set_silence_deadline(r);
        else if (!r->worker && (r->attempts >= ATTEMPTS_MAX || retry_later(r) < 0))
                give_up_stuck(r, "No worker process could be started");
}

int removal_cancel(Removal *r, const char *why) {
        _cleanup_json_ json_object *message = NULL;

        if (r->state == REMOVAL_FINISHING || r->state == REMOVAL_ENDED)
                return -ESTALE;
        if (r->state == REMOVAL_RESTORING || r->cancelled)
                return 0;

        message = json_object_new_object();
        json_set_str(message, "type", "cancel");
        json_set_str(message, "why", why);

        /* Without a worker (the last one died), or when it dies of this: the next one is told to go back. */
        int k = r->worker ? worker_send(r->worker, message) : 0;
        if (k < 0)
                log_plain(LOG_WARNING, "Removal %s: its worker does not take the cancel: %s", r->id, strerror(-k));
        r->cancelled = true;
        removal_emit(r, "Cancelable");
        return 0;
}

void removal_release(Removal *r) {
        _cleanup_json_ json_object *message = json_object_new_object();

        if (r->released || !r->worker)
                return;
        json_set_str(message, "type", "released");
        r->released = worker_send(r->worker, message) >= 0; /* else it goes by the clock */
}

void removal_confirm_announced(Removal *r) {
        _cleanup_json_ json_object *message = json_object_new_object();

        json_set_str(message, "type", "announced");
        if (r->worker)
                (void) worker_send(r->worker, message); /* else they are told twice, and not never */
}

void removal_give_up(Removal *r, Outcome outcome, const char *message) {
        _cleanup_json_ json_object *end = json_object_new_object();
        json_object *remedy = json_object_new_array();
        _cleanup_free_ char *word = slot_word(r->slot);

        if (outcome == OUTCOME_STUCK) {
                json_append_strf(remedy, "journalctl -u safe-removed SAFE_REMOVE_REMOVAL=%s  # what happened", r->id);
                if (r->hanging)
                        json_append_strf(remedy, "tail --pid=%d -f /dev/null  # waits for its end, after which the %s by itself; if it never ends, restart the machine", worker_pid(r->hanging),
                                         r->kind == KIND_RESTORE ? "restoration goes on" : "removal is put back, or finished where the power has gone,");
                else
                        json_append_strf(remedy, "safe-remove %s %s  # goes on with it, as a restart of safe-removed does", removal_command(r), word ?: r->target);
        }
        json_set_str(end, "type", "end");
        json_set_str(end, "outcome", outcome_to_string(outcome));
        json_set_str(end, "code", outcome == OUTCOME_STUCK ? "stuck" : "failed");
        json_set_str(end, "message", message);
        json_set(end, "remedy", remedy);
        json_set_u64(end, "usec", removal_age(r));
        (void) removal_take_event(r, end);
}
