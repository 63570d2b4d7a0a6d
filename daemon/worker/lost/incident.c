/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/parse.h"
#include "daemon/worker/history.h"
#include "daemon/worker/verbs.h"
#include "daemon/worker/view.h"
#include "engine/last-seen.h"
#include "kernel/sysfs/attr.h"
#include "plan/scope/scope.h"
#include "probe/probe.h"
#include "incident.h"
#include "incidents.h"
#include "last-seen.h"
#include "lost.h"

#define BEFORE_USEC (10 * 60 * USEC_PER_SEC) /* of what the kernel said before it */
#define RECOVERY_USEC PCI_RECOVERY_USEC      /* also for its link (drivers/pci/pcie/dpc.c) */
#define COPIES_USEC (5 * USEC_PER_SEC)
#define ANSWER_USEC USEC_PER_SEC             /* for one function, which answers at once or is being reset */

enum {
        RECOVERY_POLL_MSEC = 100,
};

static const char *const incident_cause_table[_INCIDENT_CAUSE_MAX] = {
        [CAUSE_CARD_GONE] = "card-gone",
        [CAUSE_CARD_DOUBTED] = "card-doubted",
        [CAUSE_LOOK] = "look",
        [CAUSE_REMOVAL] = "removal",
};

DEFINE_STRING_TABLE(incident_cause, IncidentCause)

/* Somebody says that it may have died, and it is in its slot all the same. */
static bool is_doubted(IncidentCause cause) {
        return cause == CAUSE_CARD_DOUBTED || cause == CAUSE_REMOVAL;
}

IncidentVerdict incident_judge(IncidentCause cause, const IncidentSigns *s) {
        bool dead = is_doubted(cause) && s->powered && (s->link_down || s->silent);

        if (!s->functions)
                return s->remembered || s->removing ? INCIDENT_CARD_GONE : INCIDENT_NO_CARD;
        /* The kernel shows what it has not been told to forget: of a slot that is held, and of one that it took for empty before. */
        return s->registers && (s->vacant || dead) ? INCIDENT_CARD_GONE : INCIDENT_CARD_THERE;
}

static const char *const verdicts[] = {
        [INCIDENT_NO_CARD] = "no-card",
        [INCIDENT_CARD_THERE] = "there",
        [INCIDENT_CARD_GONE] = "gone",
};

/* One of them, and what it is about. */
typedef struct Incident {
        json_object *request;
        Topology *t;
        const Slot *slot;
        const char *key;
        json_object *before, *scope, *card; /* before: NULL where nobody saw the card; the others are borrowed from it or owned by `plan` */
        json_object *plan;
        bool taken;             /* the card is in its slot and up: the kernel alone does not have it any more */
        IncidentWork work;
} Incident;

static void incident_done(Incident *i) {
        incident_work_done(&i->work);
        json_object_put(i->plan);
        json_object_put(i->before);
        topology_free(i->t);
}

/* What the removal that it was in the middle of has written down of it. */
static void take_plan(Incident *i) {
        uint64_t number;

        if (parse_u64(json_str(i->request, "removal") ?: "", &number) < 0 || history_plan(number, &i->plan) < 0)
                return;
        json_object *steps = json_array(i->plan, "steps");
        for (size_t n = json_len(steps); n-- > 0 && !i->scope;) {
                json_object *scope = json_get(json_get(json_at(steps, n), "args"), "scope");
                if (streq_ptr(json_str(scope, "slot"), i->slot->name))
                        i->scope = scope;
        }
        i->card = i->card ?: json_get(i->plan, "card");
}

static int incident_find(json_object *request, Incident *ret) {
        const char *port = json_str(request, "port"), *name = json_str(request, "slot");

        ret->request = request;
        int r = topology_load(&ret->t);
        if (r < 0)
                return r;
        ret->slot = port ? topology_slot_of_port(ret->t, port) : name ? topology_slot(ret->t, name) : NULL;
        if (!ret->slot)
                return -ENODEV;
        ret->key = last_seen_key(ret->slot->port, ret->slot->name);
        r = last_seen_load(ret->key, &ret->before);
        if (r == -ENOENT)
                r = last_seen_load_retired(ret->key, &ret->before);
        if (r < 0 && r != -ENOENT)
                return r;
        ret->scope = json_get(ret->before, "scope");
        ret->card = json_get(ret->before, "card");
        take_plan(ret);
        return 0;
}

/* Who cannot be asked may answer. */
static bool is_silent(const Scope *now) {
        for (size_t k = 0; k < now->n_functions; k++)
                if (pci_function_answers(now->functions[k]->bdf, ANSWER_USEC) != 0)
                        return false;
        return now->n_functions > 0;
}

/* Of those that the look has found. */
static bool any_is_there(const Scope *now) {
        for (size_t k = 0; k < now->n_functions; k++)
                if (path_existsf("/sys/bus/pci/devices/%s", now->functions[k]->bdf))
                        return true;
        return false;
}

static IncidentVerdict judge_once(Incident *i, IncidentCause cause, bool *ret_functions) {
        _cleanup_(scope_done) Scope now = { 0 };
        IncidentSigns signs = {
                .functions = scope_find(i->t, i->slot, &now) < 0 || any_is_there(&now), /* what cannot be told is no sign that it is gone */
                .remembered = i->before, .removing = i->plan,
        };
        SlotRegisters r;

        if (i->slot->port && slot_registers_read(i->slot->port, &r) >= 0) {
                signs.registers = true;
                signs.vacant = slot_is_vacant(&r);
                signs.link_down = r.has_link_active && !r.link_active;
                signs.powered = r.power_on;
                i->taken = !signs.functions && lost_shows_card_up(&r);
                signs.silent = is_doubted(cause) && !signs.vacant && !signs.link_down && is_silent(&now);
        }
        *ret_functions = signs.functions;
        return incident_judge(cause, &signs);
}

/* The kernel says of an error when it begins to recover from it: the link is down then, and with it what shows that a card is present, or the card is
 * being reset. One that comes back was never gone; and a card that the kernel takes for gone it forgets. */
static IncidentVerdict judge(Incident *i, IncidentCause cause) {
        uint64_t until = now_monotonic() + RECOVERY_USEC;
        bool functions = false;

        for (;;) {
                IncidentVerdict verdict = judge_once(i, cause, &functions);
                if (cause != CAUSE_CARD_DOUBTED || verdict != INCIDENT_CARD_GONE || !functions || now_monotonic() >= until)
                        return verdict;
                (void) poll(NULL, 0, RECOVERY_POLL_MSEC);
        }
}

static char *what_is_left(const Incident *i) {
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_json_ json_object *lines = NULL;

        if (!i->scope)
                return NULL;
        if (topology_load(&t) < 0)
                return strdup("the machine cannot be looked at");
        lines = lost_lines(t, i->scope);
        return json_len(lines) > 0 ? strdup(json_object_get_string(json_at(lines, 0))) : NULL;
}

/* Of the slot, and of those that have something of the same memory. */
static void add_next_of_cards(const Incident *i, const char *left, const char *word, json_object *next) {
        json_object *peers = json_array(i->scope, "peers");

        if (i->taken && left)
                json_append_strf(next, "do not pull the card out of slot %s: it has power, and is there again once the machine was restarted", word);
        else if (i->taken)
                json_append_strf(next, "do not pull the card out of slot %s: it has power. It comes back with: echo 1 > /sys/bus/pci/rescan; then it can be removed: "
                                       "safe-remove remove %s", word, word);
        else if (left)
                json_append_strf(next, "put no card into slot %s before its attention LED is off", word);
        else
                json_append_strf(next, "slot %s may be used again; what was on the card and had not been saved is lost", word);
        for (size_t k = 0; k < json_len(peers); k++) {
                const char *slot = json_str(json_at(peers, k), "slot");
                _cleanup_free_ char *beside = slot ? slot_word(slot) : NULL;

                if (beside)
                        json_append_strf(next, "leave the card in slot %s as it is: what is persistent of the memory that both had together is whole again once both are there",
                                         beside);
        }
}

/* Arrays with another copy, disks with another path. Of what has ended meanwhile nothing is said, nor of what does not tell that it serves. */
static void add_next_of_copies(const Incident *i, json_object *next) {
        json_object *parts = json_array(i->scope, "goes_on");
        uint64_t until = now_monotonic() + COPIES_USEC;

        for (size_t k = 0; k < json_len(parts) && now_monotonic() < until; k++) {
                _cleanup_json_ json_object *scope = json_object_new_object();
                _cleanup_free_ char *dev = NULL, *answer = NULL;
                const char *name = json_str(json_at(parts, k), "name");
                json_object *one = json_object_new_array();

                json_object_array_add(one, json_ref(json_at(parts, k)));
                json_set(scope, "goes_on", one);
                json_set(scope, "block_devices", json_ref(json_array(i->scope, "block_devices")));
                if (name && attr_readf(&dev, "/sys/class/block/%s/dev", name) >= 0 && streq_ptr(dev, json_str(json_at(parts, k), "dev")) &&
                    probe_goes_on.ask(scope, &answer) > 0)
                        json_append_strf(next, "what is on %s is there: it goes on without the card, with one copy or path less; save it, or give it another one", name);
        }
}

/* What the technician does next. */
static json_object *next_steps(const Incident *i, const char *left) {
        json_object *next = json_object_new_array();
        _cleanup_free_ char *word = slot_word(i->slot->name), *answer = NULL;
        bool memory = i->scope && probe_memory_blocks.ask(i->scope, &answer) <= 0;

        if (memory)
                json_append_strf(next, "restart the machine as soon as you can: memory is online with nothing behind it (%s), and whoever uses it may take the machine down", answer ?: "?");
        else if (i->work.reboot)
                json_append_str(next, "restart the machine when you can; until then end no process and unmount no file system that is listed as left");
        if (i->work.spared)
                json_append_str(next, "a process that is listed as left still has what it holds in memory of its own: have it save that elsewhere before the restart");
        add_next_of_copies(i, next);
        if (left && !memory && !i->work.reboot)
                json_append_strf(next, "end who still uses what was on the card, and unmount it; then ask again: safe-remove verify %s", word ?: "?");
        add_next_of_cards(i, left, word ?: "?", next);
        return next;
}

static json_object *names_of(const Incident *i) {
        json_object *names = json_object_new_array(), *functions = json_array(i->scope, "functions");
        static const char *const keys[] = { "memdevs", "block_devices", "dax_devices" };

        if (i->slot->port)
                json_append_str(names, i->slot->port);
        for (size_t k = 0; k < json_len(functions); k++)
                json_append_str(names, json_object_get_string(json_at(functions, k)));
        for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                for (size_t n = 0; n < json_len(json_array(i->scope, keys[k])); n++)
                        if (json_str(json_at(json_array(i->scope, keys[k]), n), "name"))
                                json_append_str(names, json_str(json_at(json_array(i->scope, keys[k]), n), "name"));
        return names;
}

static json_object *timeline_of(const Incident *i, uint64_t found_usec, uint64_t log_since) {
        json_object *timeline = json_object_new_array();
        _cleanup_json_ json_object *names = names_of(i);
        uint64_t seen = json_u64(i->before, "seen_usec"), now = now_monotonic();

        /* It has an end: what is longest comes last. */
        timeline_add(timeline, found_usec, "safe-remove finds that the card is gone");
        if (seen > 0 && seen <= now)
                timeline_add(timeline, now_wall() - (now - seen), "the card was last seen to have changed");
        for (size_t k = 0; k < json_len(i->work.done); k++)
                timeline_add(timeline, now_wall(), json_object_get_string(json_at(i->work.done, k)));
        if (json_str(i->request, "removal"))
                timeline_add_removal(timeline, json_str(i->request, "removal"));
        timeline_add_kernel(timeline, log_since, names);
        timeline_sort(timeline);
        return timeline;
}

static json_object *document_of(const Incident *i, IncidentCause cause, json_object *lost, const char *left, uint64_t found_usec) {
        uint64_t now = now_monotonic(), log_since = now > BEFORE_USEC ? now - BEFORE_USEC : 0;
        const char *removal = json_str(i->request, "removal"), *serial = json_str(i->card, "serial");
        json_object *o = json_object_new_object(), *last = json_object_new_object();
        _cleanup_free_ char *how = strf(i->taken ? "in slot %s was taken away from the kernel" : "was pulled out of slot %s, or died in it,", i->slot->name);

        json_set_str(o, "slot", i->slot->name);
        json_set_str(o, "port", i->slot->port);
        json_set(o, "card", json_ref(i->card));
        json_set_str(o, "cause", incident_cause_to_string(cause));
        json_set_str(o, "said", json_str(i->request, "text"));
        json_set_str(o, "removal", removal);
        json_set_u64(o, "found_usec", found_usec);
        json_set_str(o, "outcome", left ? "lost" : "gone");
        json_set_strf(o, "message", "the card%s%s %s %s%s; %s%s", serial ? " with the serial number " : "", serial ?: "", how ?: "is gone",
                      removal ? "in the middle of removal " : "without having been removed", removal ?: "",
                      left ? "not all of it is gone: " : "nothing of it is in use any more", left ?: "");
        json_set(o, "lost", json_ref(lost));
        json_set(o, "done", json_ref(i->work.done));
        json_set(o, "left", json_ref(i->work.left));
        json_set(o, "next", next_steps(i, left));
        json_set(o, "timeline", timeline_of(i, found_usec, log_since));
        json_set(last, "card", json_ref(i->card));
        json_set(last, "scope", json_ref(i->scope));
        json_set(o, "last_seen", last);
        json_set(o, "kernel_log", incident_kernel_log(log_since));
        return o;
}

/* Of what is told of one everywhere: how the rest of it is to be had. */
static json_object *answer_of(json_object *document, IncidentVerdict verdict, const char *unrecorded) {
        static const char *const told[] = { "id", "slot", "port", "removal", "message", "lost", "done", "left", "next" };
        json_object *o = json_object_new_object();

        json_set_str(o, "type", "incident");
        json_set_str(o, "verdict", verdicts[verdict]);
        for (size_t k = 0; document && k < ELEMENTSOF(told); k++)
                if (json_has(document, told[k]))
                        json_set(o, told[k], json_ref(json_get(document, told[k])));
        if (unrecorded)
                json_set_str(o, "unrecorded", unrecorded);
        return o;
}

static json_object *act(Incident *i, IncidentCause cause) {
        uint64_t found_usec = now_wall();
        _cleanup_json_ json_object *lost = json_ref(json_array(i->before, "lost")), *document = NULL;

        /* Before anything is taken away: afterwards less is found. */
        if (!lost) {
                lost = i->scope ? lost_lines(i->t, i->scope) : json_object_new_array();
                lost_add_peers(i->scope, lost);
        }
        i->work.late = json_flag(i->request, "late");
        incident_act(i->scope, &i->work);
        _cleanup_free_ char *left = what_is_left(i);
        document = document_of(i, cause, lost, left, found_usec);
        int r = incident_record(document);
        if (r >= 0)
                (void) last_seen_add_incident(i->key, json_str(document, "id"));
        return answer_of(document, INCIDENT_CARD_GONE, r < 0 ? format_strerror(r) : NULL);
}

/* The number as which it is on record already, newly allocated: by what was seen last in the slot, or, of a card that was pulled in the middle of a removal, by
 * that one. A daemon that has just started asks about those again, since the one before may have died before it came to that. */
static char *on_record(const Incident *i) {
        const char *number = json_str(i->before, "incident"), *removal = json_str(i->request, "removal");
        _cleanup_json_ json_object *list = NULL;

        if (number || !removal || incident_list(&list) < 0)
                return number ? strdup(number) : NULL;
        for (size_t k = 0; k < json_len(list); k++) {
                json_object *o = json_at(list, k);
                if (streq_ptr(json_str(o, "removal"), removal) && streq_ptr(json_str(o, "slot"), i->slot->name))
                        return strdup(json_str(o, "id") ?: "?");
        }
        return NULL;
}

int worker_incident(WorkerIo *io, json_object *request) {
        int cause = incident_cause_from_string(json_str(request, "cause"));
        _cleanup_(incident_done) Incident i = { 0 };

        int r = cause < 0 ? -EINVAL : incident_find(request, &i);
        if (r < 0) {
                worker_send_error(io, "internal", format_strerror(r));
                return r;
        }
        IncidentVerdict verdict = judge(&i, (IncidentCause) cause);
        _cleanup_free_ char *again = on_record(&i);
        json_object *answer = verdict == INCIDENT_CARD_GONE && json_flag(request, "act") && !again ? act(&i, (IncidentCause) cause) : answer_of(NULL, verdict, NULL);
        if (verdict == INCIDENT_CARD_GONE && again)
                json_set_str(answer, "again", again);
        worker_send(io, answer);
        return 0;
}

int worker_incident_record(WorkerIo *io, json_object *request) {
        const char *id = json_str(request, "id") ?: "";
        _cleanup_json_ json_object *document = NULL;
        _cleanup_free_ char *none = *id ? strf("There is no incident '%s' on record.", id) : strdup("There is no incident on record.");

        int r = incident_read(id, &document);
        if (r == -ENOENT || r == -EINVAL || r == -ERANGE)
                worker_send_error(io, "unknown", none ?: "There is no such incident on record.");
        else if (r < 0)
                worker_send_error(io, "internal", format_strerror(r));
        if (r < 0)
                return r;
        view_restrict(document, json_get(request, "by"));
        worker_send_document(io, request, json_text(document));
        return 0;
}
