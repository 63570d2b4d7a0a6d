/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns requests into removals, one at a time for a slot; and a card that has come back into its restoration. */
#include "base/clock.h"
#include "base/parse.h"
#include "daemon/caller/options.h"
#include "daemon/caller/who.h"
#include "inhibitors.h"
#include "ports.h"
#include "removals.h"

#define ASK_USEC (60 * USEC_PER_SEC)

enum {
        ENDED_MAX = 32,        /* ended removals that stay on the bus */
};

/* From here on everybody sees it. Room is made for it on the bus: a slot shows its newest removal, and there is an end to how far back one can look (the
 * history goes further). */
static void show_started(Removal *r) {
        Manager *m = manager_of(r);
        size_t n_ended = 0;

        for (size_t i = m->n_removals; i-- > 0;) {
                Removal *other = m->removals[i];

                if (other == r || !other->started || removal_runs(other))
                        continue;
                if (manager_all_in(other, r) || ++n_ended > ENDED_MAX)
                        manager_forget(other);
        }
        removal_tell_started(r);
}

static void reply_path(Removal *r, const char *path) {
        manager_answer(manager_of(r), TAKE_PTR(r->asker), path, NULL, NULL);
}

static void reply_error(Removal *r, const char *code, const char *message) {
        manager_answer(manager_of(r), TAKE_PTR(r->asker), NULL, code, message);
}

/* The first event of every removal. The worker said it when nobody could know yet whether anything would come of it. */
static void tell_target(Removal *r) {
        _cleanup_json_ json_object *event = json_object_new_object();

        json_set_str(event, "type", "target");
        json_set_str(event, "port", r->port);
        json_set(event, "card", json_ref(r->card));
        removal_tell(r, event);
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
                reply_error(r, "busy", message ?: "Busy");
        } else if (other || options_contradict(r->options, running->options, running->plan)) {
                _cleanup_free_ char *message = strf("Slot %s is being %s%s (%s %s). Wait for its end or cancel it first.",
                                removal_label(r), running->kind == KIND_RESTORE ? "restored" : "removed", other ? "" : " with other options",
                                running->kind == KIND_RESTORE ? "restoration" : "removal", running->id);
                reply_error(r, "busy", message ?: "Busy");
        } else
                reply_path(r, running->path);
        manager_drop_enquiry(r);
}

void manager_drop_enquiry(Removal *r) {
        Manager *m = manager_of(r);

        if (r->number == m->last_number && !r->slot)
                m->last_number--; /* its worker has not come to keeping it: never said to anybody, and nothing bears it */
        manager_forget(r);
}

static int take_history(Removal *r, json_object *entry) {
        const char *port = json_str(entry, "port") ?: startswith(r->target, "port:");

        r->card = json_ref(json_get(entry, "card"));
        char boot[33];

        if (json_has(entry, "started_usec"))
                r->started_usec = json_u64(entry, "started_usec");
        if (json_has(entry, "monotonic_usec") && boot_id_read(boot) >= 0 && streq_ptr(json_str(entry, "boot"), boot))
                r->asked_usec = json_u64(entry, "monotonic_usec");
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
        k = removal_new(&m->owner, &request, &r);
        if (k < 0)
                return k;
        k = take_history(r, entry);
        if (k < 0)
                return k;
        k = manager_remember(m, r);
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

/* A user was authorized for what he asked for, and that goes on with what somebody else was authorized for: other words of force, perhaps. */
static bool is_of_another(const Removal *r, const Removal *left) {
        return r->asker && !who_is_privileged(r->by) && !(json_get(left->by, "uid") && json_u64(left->by, "uid") == json_u64(r->by, "uid"));
}

/* Continued in the direction that its record and its caller say; `back`: nobody wants it any more. NULL: it cannot be. */
static Removal *resume_left(Manager *m, Removal *left, bool back) {
        _cleanup_json_ json_object *record = TAKE_PTR(left->record); /* the next one takes its place, and it is freed */
        Removal *resumed = NULL;

        left->given_up = false;
        int k = resume(m, json_get(record, "entry"), json_get(record, "holds"), back, &resumed);
        return k < 0 ? NULL : resumed;
}

/* Whoever had asked was told that it is stuck, and may have turned to something else: nothing more is taken down for him. */
void manager_removal_died(Removal *r, void *userdata) {
        Manager *m = userdata;

        r->died_since = m->going_down != NULL;
        if (!r->record || m->going_down) {
                log_plain(LOG_WARNING, "The worker of %s %s has ended after all, and nobody goes on with it yet: %s.", r->kind == KIND_RESTORE ? "restoration" : "removal", r->id,
                          m->going_down ? "the machine is going down" : "its record could not be read");
                return;
        }
        log_plain(LOG_NOTICE, "The worker of %s %s of slot %s has ended after all. The %s.", r->kind == KIND_RESTORE ? "restoration" : "removal", r->id,
                  removal_label(r), r->kind == KIND_RESTORE ? "restoration goes on" : "removal is put back, or finished where the power has gone");
        if (!resume_left(m, r, r->kind == KIND_REMOVE))
                log_plain(LOG_ERR, "It cannot be taken up.");
}

/* A test that was left over, and somebody who wants the card out. It would switch the power on again: so it is called off, and does not. */
static bool call_test_off(Removal *r, Removal *left) {
        _cleanup_free_ char *text = strf("Self-test %s of slot %s had not ended. It is called off now, without switching the power on again. "
                                         "Once it has ended, ask again.", left->id, removal_label(left));
        Manager *m = manager_of(r);

        if (!resume_left(m, left, true))
                return false;
        if (r->trigger == TRIGGER_BUTTON) {
                log_plain(LOG_NOTICE, "A button was pressed. %s", text ?: "");
                manager_drop_enquiry(r); /* given back with its end */
        } else
                manager_removal_unstartable(r, "busy", text, m);
        return true;
}

/* The slot's last removal has no end on record: its workers died of it again and again. Who asks for the slot has it taken up once more (of users he
 * who had asked for it alone), and a press calls it off. Nothing is read here: where the records hang the daemon must not. False: it cannot be taken up. */
static bool take_up(Removal *r, Removal *left) {
        Manager *m = manager_of(r);

        if (!left->record) {
                _cleanup_free_ char *message = strf("%s %s of slot %s has not ended, and its record could not be read. Once it can be, continue it "
                                                    "(systemctl restart safe-removed.service).", removal_noun(left), left->id, removal_label(left));
                manager_removal_unstartable(r, "busy", message, m);
                return true;
        }
        /* It may come out of the kernel at any time and go on, and another worker beside it. Of its end nobody may have heard, where its starter had died before. */
        if (left->hanging && (kill(worker_pid(left->hanging), 0) >= 0 || errno != ESRCH)) {
                _cleanup_free_ char *message = strf("%s %s of slot %s has not ended: its worker process %d sits in the kernel and cannot be killed. When it has ended all the same, the "
                                                    "rest is done by itself.", removal_noun(left), left->id, removal_label(left), worker_pid(left->hanging));
                manager_removal_unstartable(r, "busy", message, m);
                return true;
        }
        if (is_of_another(r, left)) {
                _cleanup_free_ char *message = strf("%s %s of slot %s has not ended, and you have not asked for it. Who has, or root, continues it.",
                                                    removal_noun(left), left->id, removal_label(left));
                manager_removal_unstartable(r, "busy", message, m);
                return true;
        }
        /* A test is not asked for by who wants a card out, nor the other way round. */
        const char *test = json_str(left->options, "self_test");
        if (test && r->kind == left->kind && !json_has(r->options, "self_test"))
                return call_test_off(r, left);
        if (r->kind == left->kind && r->trigger != TRIGGER_BUTTON && !streq_ptr(json_str(r->options, "self_test"), test)) {
                _cleanup_free_ char *message = strf("%s %s of slot %s has not ended. Continue it first (safe-remove %s).", test ? "The self-test" : "The removal",
                                                    left->id, removal_label(left), removal_command(left));
                manager_removal_unstartable(r, "busy", message, m);
                return true;
        }
        if (r->kind != left->kind) {
                _cleanup_free_ char *message = strf("%s %s of slot %s has not ended. Continue it first (safe-remove "
                                                    "%s).", removal_noun(left), left->id, removal_label(left), removal_command(left));
                manager_removal_unstartable(r, "busy", message, m);
                return true;
        }
        Removal *resumed = resume_left(m, left, r->trigger == TRIGGER_BUTTON);
        if (!resumed)
                return false;
        reply_path(r, resumed->path);
        manager_drop_enquiry(r);
        return true;
}

/* Of two removals one of which takes the other's slot away only the first runs. A press is answered all the same, or the kernel would
 * power the slot off in the middle of it. */
static char *refuse_nested(const Removal *r) {
        const Removal *other = manager_running_around(manager_of(r), r);

        return other ? strf("slot %s and slot %s are one inside of the other, and %s is being %s (%s %s)", removal_label(r),
                            removal_label(other), removal_label(other),
                            other->kind == KIND_RESTORE ? "restored" : "removed",
                            other->kind == KIND_RESTORE ? "restoration" : "removal", other->id) : NULL;
}

/* A press at a slot inside of one that is being taken down: its light blinks, or is about to, and a press there means what it means
 * everywhere while a removal runs. */
static bool call_outer_off(Removal *r) {
        Removal *outer = r->trigger == TRIGGER_BUTTON ? manager_running_outside(manager_of(r), r) : NULL;

        if (!outer)
                return false;
        json_set_bool(outer->holds, r->port, true);
        (void) manager_want(manager_of(r), r->port, PORT_WANT_WATCH); /* given back with its end */
        (void) removal_cancel(outer, "button");
        manager_drop_enquiry(r);
        return true;
}

static const char *going_down_text(const Manager *m) {
        return streq(m->going_down, "suspend") ? "The machine is being suspended: nothing is removed or restored until it is back."
                                               : "The machine is being shut down: nothing is removed or restored any more.";
}

void manager_removal_found(Removal *r, void *userdata) {
        static const char *const asker[_TRIGGER_MAX] = {
                [TRIGGER_COMMAND] = "command, uid ",
                [TRIGGER_BUTTON] = "the button of the slot",
                [TRIGGER_UEVENT] = "a device event",
                [TRIGGER_INSERT] = "its card is back",
                [TRIGGER_LATE] = "a write to the kernel has come to its end late",
        };
        Manager *m = userdata;
        Removal *running = manager_running_at_slots(m, r);
        char uid[24];

        if (m->going_down) {
                manager_removal_unstartable(r, "busy", going_down_text(m), m);
                return;
        }
        if (running) {
                join_running(r, running);
                return;
        }
        Removal *left = manager_given_up_at_slots(m, r);
        if (left && take_up(r, left))
                return;
        if (call_outer_off(r))
                return;
        _cleanup_free_ char *unread = manager_unread_text(m, r);
        if (unread) {
                manager_removal_unstartable(r, "busy", unread, m);
                return;
        }
        _cleanup_free_ char *refuse = refuse_nested(r);
        if (refuse && r->trigger != TRIGGER_BUTTON) {
                manager_removal_unstartable(r, "busy", refuse, m);
                return;
        }

        int k = removal_go(r, refuse);
        if (k < 0) {
                manager_removal_unstartable(r, "internal", "The worker process does not listen.", m);
                return;
        }

        LogSubject subject = removal_subject(r, uid);
        log_write(LOG_NOTICE, r->kind == KIND_RESTORE ? LOG_MESSAGE_RESTORE_STARTED : LOG_MESSAGE_STARTED, &subject,
                        "%s %s of slot %s (%s) starts: %s%s%s%s%s%s.", removal_noun(r), r->id, removal_label(r), r->target,
                        asker[r->trigger], subject.by_uid ?: "", subject.by_session ? ", session " : "", subject.by_session ?: "",
                        subject.by_unit ? ", unit " : "", subject.by_unit ?: "");
        show_started(r);
        tell_target(r);
        reply_path(r, r->path);
}

void manager_removal_unstartable(Removal *r, const char *code, const char *message, void *userdata) {
        Manager *m = userdata;
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        const char *port = r->trigger == TRIGGER_BUTTON ? startswith(r->target, "port:") : NULL;

        /* The kernel goes on counting: asked again until the light stops blinking, one way or the other. */
        message = message ?: "The worker gave no reason.";
        if (port)
                manager_give_back_press(m, port, message);
        if (port && manager_look_at_slot(m, port, false) < 0)
                log_plain(LOG_ERR, "The slot at port %s cannot be looked at after its button was pressed.", port);
        bool told = r->asker && !streq(code ?: "", "internal"); /* what is wrong with the machine is not for the caller alone */
        if (r->asker)
                reply_error(r, code, message);
        if (!told)
                log_write(LOG_WARNING, LOG_MESSAGE_REFUSED, &subject, "The %s asks for %s, which cannot be %s: %s",
                                trigger_to_string(r->trigger), r->target, r->kind == KIND_RESTORE ? "restored" : "removed", message);
        manager_drop_enquiry(r);
}

static int refuse_unread(Manager *m, const RemovalRequest *request) {
        _cleanup_free_ char *text = manager_unread_text(m, NULL);

        if (!text)
                return -ENOMEM;
        if (request->asker)
                manager_answer(m, request->asker, NULL, "busy", text);
        else
                log_write(LOG_WARNING, LOG_MESSAGE_REFUSED, NULL, "%s cannot be removed now: %s", request->target, text);
        return 0;
}

/* A press would have the kernel's clock for its answer. */
static int refuse_going_down(Manager *m, const RemovalRequest *request) {
        const char *port = request->trigger == TRIGGER_BUTTON ? startswith(request->target, "port:") : NULL, *text = going_down_text(m);

        if (port)
                manager_give_back_press(m, port, text);
        if (request->asker)
                manager_answer(m, request->asker, NULL, "busy", text);
        else
                log_write(LOG_WARNING, LOG_MESSAGE_REFUSED, NULL, "%s is not %s: %s", request->target, request->kind == KIND_RESTORE ? "restored" : "removed", text);
        return 0;
}

int manager_remove(Manager *m, RemovalRequest request) {
        _cleanup_json_ json_object *unread = manager_unread(m);
        _cleanup_(removal_freep) Removal *r = NULL;

        if (m->going_down)
                return refuse_going_down(m, &request);
        if (!m->records_known)
                return refuse_unread(m, &request);
        request.number = ++m->last_number;
        int k = removal_new(&m->owner, &request, &r);
        if (k < 0)
                return k;
        k = removal_enquire(r, unread);
        if (k < 0)
                return k;
        k = manager_remember(m, r);
        if (k < 0)
                return k;

        (void) TAKE_PTR(r);
        return 0;
}

int manager_cancel(Removal *r, json_object *by) {
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        if (r->state == REMOVAL_ENDED)
                return -EALREADY;
        int k = removal_cancel(r, "command");
        if (k < 0)
                return k;

        log_write(LOG_NOTICE, LOG_MESSAGE_NONE, &subject, "%s %s of slot %s is cancelled by uid %" PRIu64 ".", removal_noun(r), r->id,
                        removal_label(r), json_u64(by, "uid"));
        return 0;
}

int manager_resume(Manager *m, json_object *entry) {
        return resume(m, entry, json_get(entry, "holds"), false, NULL);
}

/* Restoring unasked (Restore=auto): a worker is asked which of the cards that have come get back what their removal took down. */

static void start_restoration(Manager *m, const ManagedSlot *s) {
        _cleanup_json_ json_object *by = json_object_new_object();
        const RemovalRequest request = {
                .kind = KIND_RESTORE, .trigger = TRIGGER_INSERT, .target = slot_get(s, SLOT_TEXT_NAME), .by = by,
        };

        json_set(by, "uid", NULL);
        json_set(by, "pid", NULL);
        json_set_str(by, "comm", "safe-removed");
        int r = manager_remove(m, request);
        if (r < 0)
                log_plain(LOG_ERR, "The restoration of slot %s cannot be started: %s", request.target, strerror(-r));
}

/* What is in the slot, NULL when nothing is that could be restored. */
static char *card_of(const ManagedSlot *s) {
        const char *address = slot_get(s, SLOT_TEXT_CARD_ADDRESS), *serial = slot_get(s, SLOT_TEXT_SERIAL);

        return *address ? strf("%s %s %s", address, slot_get(s, SLOT_TEXT_MEMDEV), serial) : NULL;
}

/* May be NULL: there is none, it is known, or nothing is to be done about it. */
static json_object *new_card(ManagedSlot *s) {
        _cleanup_free_ char *card = card_of(s);

        if (!card || streq_ptr(card, s->considered))
                return NULL;
        free(s->considered);
        s->considered = TAKE_PTR(card);
        json_object *o = json_object_new_object();
        json_set_str(o, "slot", slot_get(s, SLOT_TEXT_NAME));
        json_set_str(o, "memdev", slot_get(s, SLOT_TEXT_MEMDEV));
        json_set_str(o, "serial", slot_get(s, SLOT_TEXT_SERIAL));
        return o;
}

/* Whatever is there from now on is asked about again. */
static void forget_considered(ManagedSlot *s) {
        if (!s)
                return;
        free(s->considered);
        s->considered = NULL;
}

static void on_came_back(json_object *answer, const char *why_not, void *userdata) {
        Manager *m = userdata;
        json_object *restore = json_array(answer, "restore");

        if (!answer)
                log_plain(LOG_WARNING, "Whether a card has come back cannot be found out: %s", why_not);
        for (size_t i = 0; i < json_len(restore); i++) {
                /* It may have gone, or have been removed, since it was asked about: one that was and still sits in its slot has not come back. */
                const char *name = json_object_get_string(json_at(restore, i));
                ManagedSlot *s = name ? manager_slot(m, name) : NULL;
                _cleanup_free_ char *card = s ? card_of(s) : NULL;
                const Removal *last = s ? manager_removal_of_slot(m, name, slot_get(s, SLOT_TEXT_PORT)) : NULL;

                if (m->going_down) /* nothing begins now */
                        forget_considered(s);
                if (card && streq_ptr(card, s->considered) && (!last || (!removal_runs(last) && last->number <= m->came_back_number)))
                        start_restoration(m, s);
        }
        question_free(TAKE_PTR(m->came_back));
        manager_consider_restoring(m); /* what has come meanwhile */
}

void manager_consider_restoring(Manager *m) {
        _cleanup_json_ json_object *request = json_object_new_object();
        json_object *cards = json_object_new_array();

        json_set(request, "cards", cards);
        /* That a card has gone is seen also while nobody can be asked: the same one may be back before that. */
        bool asks = !m->came_back && m->records_known && !m->going_down;
        for (size_t i = 0; i < m->n_slots; i++) {
                ManagedSlot *s = m->slots[i];
                if (manager_running_at_slot(m, slot_get(s, SLOT_TEXT_NAME), slot_get(s, SLOT_TEXT_PORT)))
                        continue;
                if (!*slot_get(s, SLOT_TEXT_CARD_ADDRESS))
                        forget_considered(s);
                json_object *card = asks ? new_card(s) : NULL;
                if (card)
                        json_object_array_add(cards, card);
        }
        if (json_len(cards) == 0)
                return;
        m->came_back_number = m->last_number;
        int r = question_ask(m->event, "came-back", request, ASK_USEC, on_came_back, m, &m->came_back);
        if (r < 0)
                log_plain(LOG_WARNING, "Whether a card has come back cannot be asked: %s", strerror(-r));
}
