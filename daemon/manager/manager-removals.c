/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "daemon/bus/bus-error.h"
#include "daemon/bus/removal-bus.h"
#include "daemon/caller/options.h"
#include "light.h"
#include "manager.h"

/* From "somebody wants this card out" to one running removal per slot, and to its end. */

enum {
        ENDED_MAX = 32,        /* ended removals that stay on the bus */
};

static size_t index_of(const Manager *m, const Removal *r) {
        size_t i = 0;

        while (i < m->n_removals && m->removals[i] != r)
                i++;
        return i;
}

/* Off the list, keeping its order. */
static void forget(Removal *r) {
        Manager *m = r->manager;
        size_t i = index_of(m, r);

        if (r->started)
                removal_bus_removed(r);
        memmove(m->removals + i, m->removals + i + 1, (--m->n_removals - i) * sizeof(Removal *));
        removal_free(r);
}

static int remember(Manager *m, Removal *r) {
        int k = vec_grow((void **) &m->removals, m->n_removals, &m->a_removals, sizeof(Removal *));
        if (k < 0)
                return k;
        m->removals[m->n_removals++] = r;
        return 0;
}

void manager_free_removals(Manager *m) {
        for (size_t i = 0; i < m->n_removals; i++)
                removal_free(m->removals[i]);
        free(m->removals);
        m->removals = NULL;
        m->n_removals = m->a_removals = 0;
}

/* Makes room on the bus: a slot shows its newest removal, and there is an end to how far back one can look (the history
 * goes further). */
static void forget_ended(Manager *m, const Removal *started) {
        size_t n_ended = 0;

        for (size_t i = m->n_removals; i-- > 0;) {
                Removal *r = m->removals[i];

                if (r == started || !r->started || removal_runs(r))
                        continue;
                if (manager_all_in(r, started) || ++n_ended > ENDED_MAX)
                        forget(r);
        }
}

/* From here on everybody sees it. */
static void show_started(Removal *r) {
        Manager *m = r->manager;

        forget_ended(m, r);
        removal_bus_added(r);
        manager_bus_removals_changed(m);
        manager_watch_slot(m, r);
        for (size_t i = 0; i < removal_n_slots(r); i++) {
                ManagedSlot *slot = manager_slot_of_removal(m, r, i);
                if (!slot)
                        continue;
                slot->outcome = _OUTCOME_INVALID;
                slot->withdrawn = false; /* its lights are this one's now */
                light_drop(m, slot);
                manager_refresh_slot(slot);
        }
}

static void reply_path(Removal *r, const char *path) {
        if (r->call && sd_bus_reply_method_return(r->call, "o", path) < 0)
                log_plain(LOG_WARNING, "Removal %s: its caller could not be answered.", r->id);
        r->call = sd_bus_message_unref(r->call);
}

/* The first event of every removal. The worker said it when nobody could know yet whether anything would come of it. */
static void tell_target(Removal *r) {
        _cleanup_json_ json_object *event = json_object_new_object();

        json_set_str(event, "type", "target");
        json_set_str(event, "port", r->port);
        json_set(event, "card", json_ref(r->card));
        manager_bus_event(r->manager, r, event);
}

/* The slot has a removal already: the same wish gets the same removal. */
static void join_running(Removal *r, Removal *running) {
        /* A press that came while a command was still asking: the kernel counts its 5 s, and the technician means what a press
         * means while a removal runs. */
        if (r->trigger == TRIGGER_BUTTON) {
                running->pressed = true;
                (void) removal_cancel(running, "button");
        }
        bool other = r->kind != running->kind;

        if (!manager_all_in(r, running) || !manager_all_in(running, r)) {
                _cleanup_free_ char *message = strf("Slot %s is asked for, and slot %s is being %s (%s %s). Wait for its end or cancel it first.",
                                removal_label(r), removal_label(running), running->kind == KIND_RESTORE ? "restored" : "removed",
                                running->kind == KIND_RESTORE ? "restoration" : "removal", running->id);
                if (r->call)
                        (void) sd_bus_reply_method_errorf(r->call, BUS_ERROR_BUSY, "%s", message ?: "Busy");
        } else if (other || options_contradict(r->options, running->options, running->plan)) {
                _cleanup_free_ char *message = strf("Slot %s is being %s%s (%s %s). Wait for its end or cancel it first.",
                                removal_label(r), running->kind == KIND_RESTORE ? "restored" : "removed", other ? "" : " with other options",
                                running->kind == KIND_RESTORE ? "restoration" : "removal", running->id);
                if (r->call)
                        (void) sd_bus_reply_method_errorf(r->call, BUS_ERROR_BUSY, "%s", message ?: "Busy");
        } else
                reply_path(r, running->path);
        manager_drop_enquiry(r);
}

void manager_drop_enquiry(Removal *r) {
        if (r->number == r->manager->last_number)
                r->manager->last_number--; /* never said to anybody, and nothing bears it */
        forget(r);
}

static int take_history(Removal *r, json_object *entry) {
        const char *port = json_str(entry, "port") ?: startswith(r->target, "port:");

        r->card = json_ref(json_get(entry, "card"));
        if (json_has(entry, "started_usec"))
                r->started_usec = json_u64(entry, "started_usec");
        return removal_take_slots(r, json_str(entry, "slot"), port, json_array(entry, "plan_slots"));
}

/* `back`: nobody wants it any more. */
static int resume(Manager *m, json_object *entry, json_object *holds, bool back, Removal **ret) {
        _cleanup_(removal_freep) Removal *r = NULL;
        int trigger = trigger_from_string(json_str(entry, "trigger")), kind = removal_kind_from_string(json_str(entry, "kind"));
        uint64_t number = 0;

        int k = parse_u64(json_str(entry, "id"), &number);
        if (k < 0)
                return k;

        const RemovalRequest request = {
                .number = number,
                .kind = kind < 0 ? KIND_REMOVE : (RemovalKind) kind,
                .trigger = trigger < 0 ? TRIGGER_COMMAND : (Trigger) trigger,
                .target = json_str(entry, "target") ?: json_str(entry, "slot") ?: "",
                .targets = json_get(entry, "targets"),
                .options = json_get(entry, "options"),
                .by = json_get(entry, "by"),
        };
        k = removal_new(m, &request, &r);
        if (k < 0)
                return k;
        k = take_history(r, entry);
        if (k < 0)
                return k;
        k = remember(m, r);
        if (k < 0)
                return k;

        Removal *resumed = TAKE_PTR(r);
        resumed->cancelled = back;
        resumed->finishing = json_flag(entry, "finishing");
        removal_resume(resumed);
        show_started(resumed);
        manager_claim_slots(m, resumed, holds); /* the hold is on record, whoever holds it: it is this one's to give back */
        if (ret)
                *ret = resumed;
        return 0;
}

/* The slot's last removal has no end on record: its workers died of it again and again. Whoever asks for the slot has it taken up once more, and
 * a press calls it off. Nothing is read here: where the records hang the daemon must not. False: it cannot be taken up. */
static bool take_up(Removal *r, Removal *left) {
        Manager *m = r->manager;
        Removal *resumed = NULL;

        if (!left->record) {
                _cleanup_free_ char *message = strf("%s %s of slot %s has not ended, and its record could not be read. Once it can be, have it go on "
                                                    "(systemctl restart safe-removed.service).", removal_noun(left), left->id, removal_label(left));
                manager_removal_unstartable(r, "busy", message);
                return true;
        }
        if (r->kind != left->kind) {
                _cleanup_free_ char *message = strf("%s %s of slot %s has not ended. Have it go on first (safe-remove %s).", removal_noun(left), left->id,
                                                    removal_label(left), left->kind == KIND_RESTORE ? "restore" : "remove");
                manager_removal_unstartable(r, "busy", message);
                return true;
        }
        left->given_up = false;
        _cleanup_json_ json_object *record = TAKE_PTR(left->record); /* the next one takes its place, and it is freed */
        int k = resume(m, json_get(record, "entry"), json_get(record, "holds"), r->trigger == TRIGGER_BUTTON, &resumed);
        if (k < 0)
                return false;
        reply_path(r, resumed->path);
        manager_drop_enquiry(r);
        return true;
}

/* Of two removals one of which takes the other's slot away only the first runs. A press is answered all the same, or the kernel would
 * power the slot off in the middle of it. */
static char *refuse_nested(const Removal *r) {
        const Removal *other = manager_running_around(r->manager, r);

        return other ? strf("slot %s and slot %s are one inside of the other, and %s is being %s (%s %s)", removal_label(r),
                            removal_label(other), removal_label(other),
                            other->kind == KIND_RESTORE ? "restored" : "removed",
                            other->kind == KIND_RESTORE ? "restoration" : "removal", other->id) : NULL;
}

/* A press at a slot inside of one that is being taken down: its light blinks, or is about to, and a press there means what it means
 * everywhere while a removal runs. */
static bool call_outer_off(Removal *r) {
        Removal *outer = r->trigger == TRIGGER_BUTTON ? manager_running_outside(r->manager, r) : NULL;

        if (!outer)
                return false;
        json_set_bool(outer->holds, r->port, true);
        (void) manager_want(r->manager, r->port, PORT_WANT_WATCH); /* given back with its end */
        (void) removal_cancel(outer, "button");
        manager_drop_enquiry(r);
        return true;
}

void manager_removal_found(Removal *r) {
        Removal *running = manager_running_at_slots(r->manager, r);
        char uid[24];

        if (running) {
                join_running(r, running);
                return;
        }
        Removal *left = manager_given_up_at_slots(r->manager, r);
        if (left && take_up(r, left))
                return;
        if (call_outer_off(r))
                return;
        _cleanup_free_ char *unread = manager_unread_text(r->manager, r);
        if (unread) {
                manager_removal_unstartable(r, "busy", unread);
                return;
        }
        _cleanup_free_ char *refuse = refuse_nested(r);
        if (refuse && r->trigger != TRIGGER_BUTTON) {
                manager_removal_unstartable(r, "busy", refuse);
                return;
        }

        int k = removal_go(r, refuse);
        if (k < 0) {
                manager_removal_unstartable(r, "internal", "The worker process does not listen.");
                return;
        }

        LogSubject subject = removal_subject(r, uid);
        log_write(LOG_NOTICE, r->kind == KIND_RESTORE ? LOG_MESSAGE_RESTORE_STARTED : LOG_MESSAGE_STARTED, &subject,
                        "%s %s of slot %s (%s) starts: %s, uid %s.", removal_noun(r), r->id, removal_label(r), r->target,
                        trigger_to_string(r->trigger), uid);
        show_started(r);
        tell_target(r);
        reply_path(r, r->path);
}

void manager_removal_unstartable(Removal *r, const char *code, const char *message) {
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        const char *port = r->trigger == TRIGGER_BUTTON ? startswith(r->target, "port:") : NULL;

        /* The kernel goes on counting: asked again until the light stops blinking, one way or the other. */
        message = message ?: "The worker gave no reason.";
        if (port)
                manager_give_back_press(r->manager, port, message);
        if (port && manager_look_at_slot(r->manager, port) < 0)
                log_plain(LOG_ERR, "The slot at port %s cannot be looked at after its button was pressed.", port);
        if (r->call)
                (void) sd_bus_reply_method_errorf(r->call, bus_error_of_code(code), "%s", message);
        else
                log_write(LOG_WARNING, LOG_MESSAGE_REFUSED, &subject, "The %s asks for %s, which cannot be %s: %s",
                                trigger_to_string(r->trigger), r->target, r->kind == KIND_RESTORE ? "restored" : "removed", message);
        manager_drop_enquiry(r);
}

static int refuse_unread(Manager *m, const char *target, sd_bus_message *call) {
        _cleanup_free_ char *text = manager_unread_text(m, NULL);

        if (!text)
                return -ENOMEM;
        if (call)
                return sd_bus_reply_method_errorf(call, BUS_ERROR_BUSY, "%s", text);
        log_write(LOG_WARNING, LOG_MESSAGE_REFUSED, NULL, "%s cannot be removed now: %s", target, text);
        return 0;
}

int manager_remove(Manager *m, RemovalRequest request, sd_bus_message *call) {
        _cleanup_(removal_freep) Removal *r = NULL;

        if (!m->records_known)
                return refuse_unread(m, request.target, call);
        request.number = ++m->last_number;
        int k = removal_new(m, &request, &r);
        if (k < 0)
                return k;
        k = removal_enquire(r);
        if (k < 0)
                return k;
        k = remember(m, r);
        if (k < 0)
                return k;

        r->call = sd_bus_message_ref(call);
        (void) TAKE_PTR(r);
        return 0;
}

int manager_cancel(Removal *r, json_object *by, sd_bus_error *reterr) {
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        if (r->state == REMOVAL_ENDED)
                return sd_bus_error_setf(reterr, BUS_ERROR_NOT_RUNNING, "%s %s has ended already (%s).", removal_noun(r), r->id,
                                outcome_to_string(r->outcome));
        if (removal_cancel(r, "command") < 0)
                return sd_bus_error_setf(reterr, BUS_ERROR_TOO_LATE,
                                "Removal %s is past the point from which it can be put back. It will be over in a moment.", r->id);

        log_write(LOG_NOTICE, LOG_MESSAGE_NONE, &subject, "%s %s of slot %s is cancelled by uid %" PRIu64 ".", removal_noun(r), r->id,
                        removal_label(r), json_u64(by, "uid"));
        return 0;
}

static void end_at_slot(Removal *r, size_t i) {
        ManagedSlot *slot = manager_slot_of_removal(r->manager, r, i);
        const char *name = removal_slot(r, i), *port = removal_port(r, i);

        if (r->pressed && port && manager_look_at_slot(r->manager, port) < 0)
                log_plain(LOG_WARNING, "Slot %s cannot be looked at after its button was pressed.", name ?: "?");
        if (r->announced)
                manager_bus_prepare(r->manager, name ?: "", false, 0);
        if (slot) {
                slot->outcome = r->kind == KIND_REMOVE ? r->outcome : _OUTCOME_INVALID;
                light_resume(r->manager, slot, r->outcome == OUTCOME_REFUSED || r->outcome == OUTCOME_RESTORED);
                manager_guard_slot(r->manager, slot);
        }
        /* Its light would go on blinking, as if somebody were at work; or whoever was left behind in the kernel may turn it off yet. */
        if (slot && (r->given_up || slot->outcome == OUTCOME_STUCK) && port && light_attention(r->manager, slot, "on") < 0)
                log_plain(LOG_ERR, "The attention LED of slot %s cannot be turned on.", name ?: "?");
        manager_refresh_slot(slot);
}

void manager_removal_ended(Removal *r) {
        Manager *m = r->manager;

        manager_unwatch_slot(m, r);
        scanner_distrust(m->scanner);
        for (size_t i = 0; i < removal_n_slots(r); i++)
                end_at_slot(r, i);
        removal_bus_completed(r);
        manager_bus_removals_changed(m);
        manager_rescan(m);
}

int manager_resume(Manager *m, json_object *entry) {
        return resume(m, entry, json_get(entry, "holds"), false, NULL);
}
