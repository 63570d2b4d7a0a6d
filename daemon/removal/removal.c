/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a removal is, and what the lines of its worker make of it. */
#include <assert.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "daemon/strv.h"
#include "removal.h"

static const char *const trigger_table[_TRIGGER_MAX] = {
        [TRIGGER_COMMAND] = "command",
        [TRIGGER_BUTTON] = "button",
        [TRIGGER_UEVENT] = "uevent",
        [TRIGGER_INSERT] = "insert",
        [TRIGGER_LATE] = "late",
};

DEFINE_STRING_TABLE(trigger, Trigger)

static const char *const removal_kind_table[_REMOVAL_KIND_MAX] = {
        [KIND_REMOVE] = "remove",
        [KIND_RESTORE] = "restore",
};

DEFINE_STRING_TABLE(removal_kind, RemovalKind)

static const char *const removal_state_table[_REMOVAL_STATE_MAX] = {
        [REMOVAL_PLANNING] = "planning",
        [REMOVAL_WAITING] = "waiting",
        [REMOVAL_WORKING] = "working",
        [REMOVAL_FINISHING] = "finishing",
        [REMOVAL_RESTORING] = "restoring",
        [REMOVAL_ENDED] = "ended",
};

DEFINE_STRING_TABLE(removal_state, RemovalState)

void removal_free(Removal *r) {
        if (!r)
                return;
        worker_free(r->worker);
        worker_free(r->hanging);
        question_free(r->question);
        sd_event_source_disable_unref(r->retry);
        json_object_put(r->options);
        json_object_put(r->by);
        json_object_put(r->card);
        json_object_put(r->outer);
        json_object_put(r->step_ports);
        json_object_put(r->holds);
        json_object_put(r->targets);
        json_object_put(r->others);
        json_object_put(r->plan);
        json_object_put(r->delays);
        json_object_put(r->passed_over);
        json_object_put(r->regions);
        json_object_put(r->record);
        removal_report_free(r->report);
        free(r->id);
        free(r->path);
        free(r->target);
        free(r->slot);
        free(r->port);
        free(r->label);
        free(r->step);
        free(r->code);
        free(r->message);
        free(r->certificate);
        strv_free(r->remedy);
        strv_free(r->lost);
        strv_free(r->disturbed);
        free(r);
}

int removal_new(const RemovalOwner *owner, const RemovalRequest *request, Removal **ret) {
        _cleanup_(removal_freep) Removal *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;

        *r = (Removal) {
                .owner = owner,
                .number = request->number,
                .kind = request->kind,
                .trigger = request->trigger,
                .outcome = _OUTCOME_INVALID,
                .started_usec = now_wall(),
                .asked_usec = now_monotonic(),
                .targets = json_ref(request->targets),
                .options = json_ref(request->options),
                .by = json_ref(request->by),
                .holds = json_object_new_object(),
                .asker = request->asker,
        };
        r->id = strf("%" PRIu64, r->number);
        r->target = strdup(request->target);
        if (!r->id || !r->target || !r->holds)
                return -ENOMEM;

        int n = sd_bus_path_encode(REMOVAL_PATH, r->id, &r->path);
        if (n < 0)
                return n;

        *ret = TAKE_PTR(r);
        return 0;
}

static int add_other(Removal *r, json_object *slot) {
        const char *name = json_str(slot, "name");

        if (!name || streq(name, r->slot))
                return 0;
        int k = text_add(&r->label, " ", "%s", name);
        if (k < 0)
                return k;
        r->others = r->others ?: json_object_new_array();
        json_object_array_add(r->others, json_ref(slot));
        return 0;
}

int removal_take_slots(Removal *r, const char *slot, const char *port, json_object *slots) {
        r->slot = slot ? strdup(slot) : NULL;
        r->port = port ? strdup(port) : NULL;
        r->label = slot ? strdup(slot) : NULL;
        if ((slot && (!r->slot || !r->label)) || (port && !r->port))
                return -ENOMEM;
        for (size_t i = 0; slot && i < json_len(slots); i++) {
                int k = add_other(r, json_at(slots, i));
                if (k < 0)
                        return k;
        }
        return 0;
}

LogSubject removal_subject(const Removal *r, char uid[static 24]) {
        (void) snprintf(uid, 24, "%" PRIu64, json_u64(r->by, "uid"));
        return (LogSubject) {
                .removal = r->id,
                .slot = r->slot,
                .others = r->others,
                .slots = r->label,
                .step = r->step,
                .outcome = outcome_to_string(r->outcome),
                .serial = json_str(r->card, "serial"),
                .by_uid = json_get(r->by, "uid") ? uid : NULL, /* else a button, or an event */
                .by_session = json_str(r->by, "session"),
                .by_unit = json_str(r->by, "unit"),
                .certificate = r->certificate,
        };
}

const char *removal_noun(const Removal *r) {
        return r->kind == KIND_RESTORE ? "Restoration" : "Removal";
}

const char *removal_command(const Removal *r) {
        const char *test = json_str(r->options, "self_test");

        if (r->kind == KIND_RESTORE)
                return "restore";
        return !test ? "remove" : streq(test, "power") ? "self-test --with-power" : "self-test";
}

uint64_t removal_age(const Removal *r) {
        return r->state == REMOVAL_ENDED ? r->took_usec : now_monotonic() - r->asked_usec;
}

int removal_report(Removal *r, bool privileged, Answer **ret) {
        const RemovalEnding ending = { .id = r->id, .message = r->message, .remedy = r->remedy, .lost = r->lost, .disturbed = r->disturbed };

        return removal_report_make(&r->report, &ending, privileged, ret);
}

void removal_listen(RemovalOwner *owner, const RemovalListener *calls, void *userdata) {
        assert(owner->n_listeners < REMOVAL_LISTENERS_MAX);
        owner->listeners[owner->n_listeners].calls = calls;
        owner->listeners[owner->n_listeners++].userdata = userdata;
}

#define TELL_ONE(r, i, what, ...) \
        do { \
                const RemovalListener *calls = (r)->owner->listeners[i].calls; \
                if (calls->what) \
                        calls->what((r), ##__VA_ARGS__, (r)->owner->listeners[i].userdata); \
        } while (false)

#define TELL_ALL(r, what, ...) \
        for (size_t i = 0; i < (r)->owner->n_listeners; i++) \
                TELL_ONE((r), i, what, ##__VA_ARGS__)

void removal_tell_started(Removal *r) {
        for (size_t i = r->owner->n_listeners; i-- > 0;)
                TELL_ONE(r, i, started);
}

void removal_tell_forgotten(Removal *r) {
        TELL_ALL(r, forgotten);
}

void removal_tell_unbegun(Removal *r, const char *why) {
        TELL_ALL(r, unbegun, why);
}

void removal_changed(Removal *r, const char *const *properties) {
        TELL_ALL(r, changed, properties);
}

void removal_tell(Removal *r, json_object *event) {
        TELL_ALL(r, told, event);
}

static void tell_ended(Removal *r) {
        TELL_ALL(r, ended);
}

/* From here on: what the lines of a worker mean for the removal's properties, one handler per type. */

static const LogMessage message_of_outcome[_OUTCOME_MAX] = {
        [OUTCOME_SAFE] = LOG_MESSAGE_SAFE,
        [OUTCOME_RESTORED] = LOG_MESSAGE_RESTORED,
        [OUTCOME_REFUSED] = LOG_MESSAGE_REFUSED,
        [OUTCOME_NOTHING] = LOG_MESSAGE_REFUSED,
        [OUTCOME_STUCK] = LOG_MESSAGE_STUCK,
        [OUTCOME_INTERRUPTED] = LOG_MESSAGE_RESTORED,
        [OUTCOME_RELEASED] = LOG_MESSAGE_RELEASED,
        [OUTCOME_TESTED] = LOG_MESSAGE_TESTED,
        [OUTCOME_REBUILT] = LOG_MESSAGE_REBUILT,
        [OUTCOME_INCOMPLETE] = LOG_MESSAGE_INCOMPLETE,
};

/* By the plan's estimate, which counts from the moment that listeners were promised; where that is over, by how long it took so far. How long a
 * way back takes nobody has estimated. */
static void set_estimate(Removal *r) {
        uint64_t eta = json_u64(r->plan, "eta_usec"), now = now_wall(), clock = now_monotonic(), spent = r->begun_usec > 0 ? clock - r->begun_usec : 0;
        uint64_t promised = r->promised_until > clock ? r->promised_until - clock : 0, left = spent < eta ? eta - spent : 0;

        if (promised > 0)
                left = eta;
        else if (left == 0 && r->progress > 0)
                left = (uint64_t) ((double) spent / r->progress * (1 - r->progress));
        r->estimated_end_usec = eta > 0 && (r->state == REMOVAL_WORKING || r->state == REMOVAL_FINISHING) ? now + promised + left : 0;
}

static void set_state(Removal *r, RemovalState state) {
        if (r->state == state)
                return;
        if (state == REMOVAL_WORKING)
                r->begun_usec = now_monotonic();
        r->state = state;
        set_estimate(r);
        if (state == REMOVAL_FINISHING)
                r->cancelled = false; /* came too late */
        removal_emit(r, "State", "Cancelable", "EstimatedEndUsec");
}

static void set_progress(Removal *r, double steps_done) {
        double of = r->step_count > 0 ? r->step_count : 1;

        r->progress = steps_done < of ? steps_done / of : 1;
        set_estimate(r);
}

static int take_plan(Removal *r, json_object *event) {
        int k = removal_report_take_plan(&r->report, event);
        if (k < 0)
                return k;
        removal_learn_plan(r, json_get(event, "plan"));
        set_estimate(r);
        removal_emit(r, "StepCount", "Holders", "Blockers", "Warnings", "Digest", "Verdict", "EstimatedEndUsec");
        /* The event goes on without it. */
        json_object_object_del(event, "plan");
        json_object_object_del(event, "public");
        json_object_object_foreach(r->plan, key, value)
                json_set(event, key, json_ref(value));
        return 0;
}

static int take_waiting(Removal *r, json_object *event) {
        int k = set_text(&r->message, json_str(event, "message"));
        if (k >= 0)
                k = removal_report_take_ending(&r->report, NULL); /* none yet, but root's report has the message */
        if (k < 0)
                return k;
        set_state(r, REMOVAL_WAITING);
        return 0;
}

static int take_announce(Removal *r, json_object *event) {
        if (r->announced && r->promised_usec > 0)
                json_set_bool(event, "again", true); /* a resumed one goes by the same time */
        r->announced = true;
        r->promised_usec = json_u64(event, "deadline_usec");
        uint64_t now = now_wall(); /* what is left is known now; the wall clock may be set later */
        r->promised_until = r->promised_usec > now ? now_monotonic() + (r->promised_usec - now) : 0;
        set_estimate(r);
        removal_emit(r, "DeadlineUsec", "EstimatedEndUsec");
        return 0;
}

static void log_step(Removal *r, StepPhase phase, json_object *event) {
        const char *text = json_str(event, "text");
        int priority = phase == PHASE_FAILED ? LOG_WARNING : phase == PHASE_DO || phase == PHASE_UNDO ? LOG_DEBUG : LOG_INFO;
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        log_write(priority, LOG_MESSAGE_STEP, &subject, "Slot %s: step %u of %u, %s, %s (%" PRIu64 " ms)%s%s", removal_label(r),
                        r->step_index + 1, r->step_count, r->step ?: "?", step_phase_to_string(phase),
                        json_u64(event, "usec") / 1000, text ? ": " : "", text ?: "");
}

static int take_step(Removal *r, json_object *event) {
        StepPhase phase = (StepPhase) step_phase_from_string(json_str(event, "phase"));
        if (phase < 0)
                return -EBADMSG;

        int k = set_text(&r->step, json_str(event, "name"));
        if (k < 0)
                return k;
        r->step_index = (unsigned) json_u64(event, "n");
        if (json_has(event, "of"))
                r->step_count = (unsigned) json_u64(event, "of");
        set_progress(r, r->step_index + (phase == PHASE_DONE || phase == PHASE_UNDO ? 1.0 : 0.0));
        removal_emit(r, "Step", "StepIndex", "StepCount", "Progress", "EstimatedEndUsec");
        log_step(r, phase, event);
        return 0;
}

static int take_progress(Removal *r, json_object *event) {
        double done = (double) json_u64(event, "done"), of = (double) json_u64(event, "of");
        double part = of > 0 && done <= of ? done / of : 0;

        set_progress(r, (double) json_u64(event, "n") + (r->state == REMOVAL_RESTORING ? 1 - part : part));
        removal_emit(r, "Progress", "EstimatedEndUsec");
        return 0;
}

static int take_state(Removal *r, json_object *event) {
        RemovalState state = (RemovalState) removal_state_from_string(json_str(event, "state"));
        if (state < 0 || state == REMOVAL_ENDED) /* that is for the end event to say */
                return -EBADMSG;

        set_state(r, state);
        return 0;
}

static int take_lines(char ***field, json_object *lines) {
        size_t n = json_len(lines);
        char **strv = calloc(n + 1, sizeof(char *));
        if (!strv)
                return -ENOMEM;

        for (size_t i = 0, k = 0; i < n; i++) {
                const char *line = json_object_get_string(json_at(lines, i));
                if (line && (strv[k] = strdup(line)))
                        k++;
        }
        strv_free(*field);
        *field = strv;
        return 0;
}

static bool is_success(Outcome outcome) {
        return outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED || outcome == OUTCOME_REBUILT || outcome == OUTCOME_TESTED;
}

static void log_end(Removal *r) {
        int priority = r->outcome == OUTCOME_STUCK || r->outcome == OUTCOME_INCOMPLETE ? LOG_ERR :
                       is_success(r->outcome) ? LOG_NOTICE : LOG_WARNING;
        char uid[24];
        LogSubject subject = removal_subject(r, uid);
        const char *said = r->message ? strstr(r->message, ": ") : NULL;

        /* The slot is named already. */
        said = said && startswith(r->message, "slot ") ? said + strlen(": ") : r->message;
        log_write(priority, message_of_outcome[r->outcome], &subject, "%s %s of slot %s ended (%s): %s.%s%s", removal_noun(r), r->id, removal_label(r),
                        outcome_to_string(r->outcome), said ?: "",
                        r->remedy && r->remedy[0] ? " Remedy: " : "", r->remedy && r->remedy[0] ? r->remedy[0] : "");
        for (char **line = r->lost; line && *line; line++)
                log_write(LOG_WARNING, LOG_MESSAGE_NONE, &subject, "%s %s of slot %s, %s: %s.", removal_noun(r), r->id, removal_label(r),
                                r->outcome == OUTCOME_SAFE || r->outcome == OUTCOME_RELEASED ? "lost" : "not put back", *line);
}

static int take_end(Removal *r, json_object *event) {
        Outcome outcome = (Outcome) outcome_from_string(json_str(event, "outcome"));

        int k = set_text(&r->code, json_str(event, "code") ?: "");
        if (k < 0)
                return k;
        k = set_text(&r->message, json_str(event, "message") ?: "");
        if (k < 0)
                return k;
        if (json_str(event, "certificate")) {
                k = set_text(&r->certificate, json_str(event, "certificate"));
                if (k < 0)
                        return k;
        }
        k = take_lines(&r->remedy, json_array(event, "remedy"));
        if (k < 0)
                return k;
        k = take_lines(&r->lost, json_array(event, "lost"));
        if (k >= 0)
                k = take_lines(&r->disturbed, json_array(event, "disturbed"));
        if (k >= 0)
                k = removal_report_take_ending(&r->report, json_get(event, "public"));
        if (k < 0)
                return k;
        json_object_object_del(event, "public");

        /* A word we do not know must not look like success. */
        r->outcome = outcome < 0 ? OUTCOME_STUCK : outcome;
        r->took_usec = removal_age(r);
        r->state = REMOVAL_ENDED;
        if (is_success(r->outcome))
                r->progress = 1;
        r->ended_usec = now_wall();
        set_estimate(r);
        removal_emit(r, "State", "Cancelable", "Progress", "Outcome", "Code", "Certificate", "EndedUsec", "EstimatedEndUsec");
        log_end(r);
        return 0;
}

/* Its own words, for who reads the journal. */
static int take_library(Removal *r, json_object *event) {
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        subject.library = json_str(event, "library");
        log_write(LOG_INFO, LOG_MESSAGE_NONE, &subject, "%s %s of slot %s: %s", removal_noun(r), r->id, removal_label(r), json_str(event, "text") ?: "?");
        return 0;
}

/* A resumed worker that cannot even begin. */
static int take_error(Removal *r, json_object *event) {
        removal_give_up(r, OUTCOME_STUCK, json_str(event, "message") ?: "The worker gave no reason.");
        return 0;
}

static const struct {
        const char *type;
        int (*take)(Removal *r, json_object *event);
        bool quiet;            /* not for the listeners: what it leads to is */
} handlers[] = {
        { "plan", take_plan },
        { "waiting", take_waiting },
        { "announce", take_announce },
        { "step", take_step },
        { "progress", take_progress },
        { "state", take_state },
        { "end", take_end },
        { "library", take_library, .quiet = true },
        { "error", take_error, .quiet = true },
};

int removal_take_event(Removal *r, json_object *event) {
        const char *type = json_str(event, "type");

        for (size_t i = 0; i < ELEMENTSOF(handlers); i++) {
                if (!streq_ptr(type, handlers[i].type))
                        continue;

                int k = handlers[i].take(r, event);
                if (k < 0)
                        return k;
                if (!handlers[i].quiet)
                        removal_tell(r, event);
                if (r->state == REMOVAL_ENDED && !handlers[i].quiet)
                        tell_ended(r);
                return 0;
        }

        /* Of the slots' lights, or from a newer worker: for others to see, nothing for us. */
        removal_tell(r, event);
        return 0;
}
