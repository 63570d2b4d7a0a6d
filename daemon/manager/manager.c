/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "engine/state-dir.h"
#include "manager.h"

/* The manager's state: slots, removals, which of them belong together, and records that cannot be read; and its listeners. */

enum {
        UNREAD_MAX = 64,       /* removals that cannot be read, of which a worker is told */
};

/* Off the list, keeping its order. */
void manager_forget(Removal *r) {
        Manager *m = manager_of(r);
        size_t i = 0;

        while (i < m->n_removals && m->removals[i] != r)
                i++;

        manager_answer(m, TAKE_PTR(r->asker), NULL, "internal", "It was called off before it had begun.");
        if (r->started)
                removal_tell_forgotten(r);
        memmove(m->removals + i, m->removals + i + 1, (--m->n_removals - i) * sizeof(Removal *));
        removal_free(r);
}

int manager_remember(Manager *m, Removal *r) {
        int k = vec_grow((void **) &m->removals, m->n_removals, &m->a_removals, sizeof(Removal *));
        if (k < 0)
                return k;
        m->removals[m->n_removals++] = r;
        return 0;
}

ManagedSlot *manager_slot(Manager *m, const char *name) {
        for (size_t i = 0; i < m->n_slots; i++)
                if (streq_ptr(slot_get(m->slots[i], SLOT_TEXT_NAME), name))
                        return m->slots[i];
        return NULL;
}

ManagedSlot *manager_slot_at_port(Manager *m, const char *port) {
        for (size_t i = 0; i < m->n_slots; i++)
                if (streq_ptr(slot_get(m->slots[i], SLOT_TEXT_PORT), port))
                        return m->slots[i];
        return NULL;
}

ManagedSlot *manager_slot_named(Manager *m, const char *name, const char *port) {
        ManagedSlot *s = port ? manager_slot_at_port(m, port) : NULL;

        return s ?: name ? manager_slot(m, name) : NULL;
}

ManagedSlot *manager_slot_of_removal(Manager *m, const Removal *r, size_t i) {
        return manager_slot_named(m, removal_slot(r, i), removal_port(r, i));
}


/* The port decides where both are known: a held slot's name can differ from the one the kernel gave it. */
static bool is_at(const Removal *r, const char *slot, const char *port) {
        for (size_t i = 0; i < removal_n_slots(r); i++) {
                const char *own = removal_port(r, i);
                if (port && *port && own ? streq(own, port) : slot && streq_ptr(removal_slot(r, i), slot))
                        return true;
        }
        return false;
}

bool manager_has_removal(Manager *m, const char *id) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (streq_ptr(m->removals[i]->id, id))
                        return true;
        return false;
}

Removal *manager_running_at_slot(Manager *m, const char *slot, const char *port) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (removal_runs(m->removals[i]) && is_at(m->removals[i], slot, port))
                        return m->removals[i];
        return NULL;
}

Removal *manager_running_at_slots(Manager *m, const Removal *r) {
        Removal *found = NULL;

        for (size_t i = 0; i < removal_n_slots(r) && !found; i++)
                found = manager_running_at_slot(m, removal_slot(r, i), removal_port(r, i));
        return found;
}

bool manager_all_in(const Removal *a, const Removal *b) {
        for (size_t i = 0; i < removal_n_slots(a); i++)
                if (!is_at(b, removal_slot(a, i), removal_port(a, i)))
                        return false;
        return true;
}

static bool is_inside(const Removal *inner, const Removal *outer) {
        for (size_t i = 0; i < json_len(inner->outer); i++) {
                json_object *slot = json_at(inner->outer, i);
                if (is_at(outer, json_str(slot, "name"), json_str(slot, "port")))
                        return true;
        }
        return false;
}

Removal *manager_running_around(Manager *m, const Removal *r) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (m->removals[i] != r && removal_runs(m->removals[i]) && (is_inside(r, m->removals[i]) || is_inside(m->removals[i], r)))
                        return m->removals[i];
        return NULL;
}

Removal *manager_running_outside(Manager *m, const Removal *r) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (m->removals[i] != r && removal_runs(m->removals[i]) && is_inside(r, m->removals[i]))
                        return m->removals[i];
        return NULL;
}

bool manager_any_running(Manager *m) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (removal_runs(m->removals[i]))
                        return true;
        return false;
}

Removal *manager_running_at_port(Manager *m, const char *port) {
        const ManagedSlot *s = manager_slot_at_port(m, port);

        return manager_running_at_slot(m, s ? slot_get(s, SLOT_TEXT_NAME) : NULL, port);
}

Removal *manager_running_holding(Manager *m, const char *port) {
        Removal *at = manager_running_at_port(m, port);

        for (size_t i = 0; i < m->n_removals && !at && port; i++)
                if (removal_runs(m->removals[i]) && json_has(m->removals[i]->holds, port))
                        at = m->removals[i];
        return at;
}

Removal *manager_given_up_at_slots(Manager *m, const Removal *r) {
        for (size_t i = 0; i < m->n_removals; i++)
                for (size_t k = 0; k < removal_n_slots(r) && m->removals[i]->given_up; k++)
                        if (is_at(m->removals[i], removal_slot(r, k), removal_port(r, k)))
                                return m->removals[i];
        return NULL;
}

Removal *manager_enquiry_at_port(Manager *m, const char *port) {
        for (size_t i = 0; i < m->n_removals; i++) {
                const char *asked = startswith(m->removals[i]->target, "port:");

                if (!m->removals[i]->started && streq_ptr(asked, port))
                        return m->removals[i];
        }
        return NULL;
}

Removal *manager_removal_of_slot(Manager *m, const char *slot, const char *port) {
        for (size_t i = m->n_removals; i-- > 0;)
                if (m->removals[i]->started && is_at(m->removals[i], slot, port))
                        return m->removals[i];
        return NULL;
}

/* "2", "slot2", "slot:2" */
static bool names_slot(const char *text, const char *slot) {
        const char *rest = startswith(text, "slot:") ?: startswith(text, "slot");

        return streq(text, slot) || (rest && streq(rest, slot));
}

/* "0000:0d:00.0", "0d:00.0" */
static bool names_function(const char *text, const char *bdf) {
        _cleanup_free_ char *asked = NULL;
        bool has_domain;

        if (!bdf || parse_bdf(text, &asked, &has_domain) < 0)
                return false;

        const char *behind_domain = strchr(bdf, ':');
        return streq(asked, has_domain || !behind_domain ? bdf : behind_domain + 1);
}

/* "serial:0x1", "serial:1", "0x1"; in numbers where both are, as 0x01 is the same card. */
static bool names_serial(const char *text, const char *serial) {
        const char *number = startswith(text, "serial:");
        uint64_t asked, have;

        if (!number && startswith(text, "0x"))
                number = text;
        if (!number || !serial)
                return false;
        return streq(number, serial) || (parse_u64(number, &asked) == 0 && parse_u64(serial, &have) == 0 && asked == have);
}

static bool names_card(const char *text, json_object *card) {
        return streq(text, json_str(card, "memdev") ?: "") || names_function(text, json_str(card, "bdf")) ||
                names_serial(text, json_str(card, "serial"));
}

static bool means(const char *text, const Removal *r) {
        const char *port = startswith(text, "port:");

        for (size_t i = 0; i < removal_n_slots(r); i++) {
                json_object *card = i == 0 ? r->card : json_get(json_at(r->others, i - 1), "card");
                if ((removal_slot(r, i) && names_slot(text, removal_slot(r, i))) || (port && streq_ptr(port, removal_port(r, i))) ||
                    names_card(text, card))
                        return true;
        }
        return streq(text, r->target);
}

static bool is_inside_of(const char *text, const Removal *r) {
        for (size_t i = 0; i < json_len(r->outer); i++) {
                const char *port = startswith(text, "port:"), *slot = json_str(json_at(r->outer, i), "name");

                if ((slot && names_slot(text, slot)) || (port && streq_ptr(port, json_str(json_at(r->outer, i), "port"))))
                        return true;
        }
        return false;
}

/* A slot inside of its slots, or another card that loses a region. */
static bool goes_with(Manager *m, const char *word, const Removal *r) {
        const char *slot = startswith(word, "slot:"), *port = startswith(word, "port:");
        const ManagedSlot *s = slot ? manager_slot(m, slot) : port ? manager_slot_at_port(m, port) : NULL;
        const char *name = s ? slot_get(s, SLOT_TEXT_NAME) : slot, *at = s ? slot_get(s, SLOT_TEXT_PORT) : port;

        for (size_t i = 0; at && *at && i < json_len(r->step_ports); i++)
                if (streq_ptr(at, json_object_get_string(json_at(r->step_ports, i))))
                        return true;
        for (size_t i = 0; i < json_len(r->regions); i++) {
                json_object *peers = json_array(json_at(r->regions, i), "peers");
                for (size_t k = 0; k < json_len(peers); k++)
                        if ((name && streq_ptr(name, json_str(json_at(peers, k), "slot"))) || names_serial(word, json_str(json_at(peers, k), "serial")))
                                return true;
        }
        return false;
}

static bool takes_down(const Removal *r) {
        return removal_runs(r) && r->kind == KIND_REMOVE && r->state != REMOVAL_RESTORING && !r->cancelled;
}

Removal *manager_removal_inhibited(Manager *m, const char *word) {
        for (size_t i = 0; i < m->n_removals; i++) {
                Removal *r = m->removals[i];

                if (takes_down(r) && (streq(word, "all") || means(word, r) || is_inside_of(word, r) || goes_with(m, word, r)))
                        return r;
        }
        return NULL;
}

Removal *manager_removal_unplanned(Manager *m) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (takes_down(m->removals[i]) && (!m->removals[i]->plan || m->removals[i]->hold_only))
                        return m->removals[i];
        return NULL;
}

Removal *manager_running_meant(Manager *m, const char *text) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (removal_runs(m->removals[i]) && means(text, m->removals[i]))
                        return m->removals[i];

        /* A bare number is a slot wherever there is one of that name, as everywhere else; only then an id. */
        if (manager_slot(m, text))
                return NULL;
        for (size_t i = 0; i < m->n_removals; i++)
                if (removal_runs(m->removals[i]) && streq(m->removals[i]->id, text))
                        return m->removals[i];
        return NULL;
}

/* Records that cannot be read: who knows which slots they are of. */

/* Nor can its plan be read: it may be of any slot. */
bool unread_is_of_any(json_object *entry) {
        return !json_str(entry, "port") && json_len(json_array(entry, "plan_slots")) == 0;
}

static bool is_port_of(json_object *entry, const char *slot, const char *port) {
        json_object *slots = json_array(entry, "plan_slots");

        return unread_is_of_any(entry) || json_find(slots, "name", slot) ||
               (port && *port && (streq_ptr(json_str(entry, "port"), port) || json_find(slots, "port", port)));
}

static json_object *unread_at(Manager *m, const char *slot, const char *port) {
        for (size_t i = 0; i < json_len(m->unreadable); i++)
                if (is_port_of(json_at(m->unreadable, i), slot, port))
                        return json_at(m->unreadable, i);
        return NULL;
}

bool manager_is_unread(Manager *m, const char *slot, const char *port) {
        return !m->records_known || unread_at(m, slot, port);
}

char *manager_unread_text(Manager *m, const Removal *r) {
        if (!m->records_known)
                return m->told_unread ? strf("The records of removals in %s cannot be read yet, so which of them have not ended is not known. They are "
                                             "read again (journalctl -u safe-removed; findmnt -T %s).", state_dir(), state_dir()) :
                                        strf("The service has just started and is still reading the records of removals in %s: which of them have not "
                                             "ended is not known yet. Try again in a moment.", state_dir());
        for (size_t i = 0; r && i < removal_n_slots(r); i++) {
                json_object *entry = unread_at(m, removal_slot(r, i), removal_port(r, i));
                const char *id = json_str(entry, "id");
                if (entry)
                        return strf("The record of removal %s, which %s at slot %s, cannot be read (%s), so whether it has ended is not known. "
                                    "%s (ls -l %s/removals/%s); it is then read again.", id, unread_is_of_any(entry) ? "may have been" : "was", removal_slot(r, i) ?: "?", json_str(entry, "why"),
                                    json_flag(entry, "newer") ? "Install the version that wrote it again" : "Repair it or move it away", state_dir(), id);
        }
        return NULL;
}

json_object *manager_unread(Manager *m) {
        if (m->records_known && json_len(m->unreadable) == 0)
                return NULL;
        json_object *list = json_object_new_array();
        /* More than these are as good as all: whoever plans is told that it may be any slot's. */
        if (!m->records_known || json_len(m->unreadable) > UNREAD_MAX) {
                json_object *any = json_object_new_object();
                json_set_str(any, "why", m->records_known ? "too many of them cannot be read" : "they have not been read yet");
                json_object_array_add(list, any);
        }
        for (size_t i = 0; m->records_known && i < json_len(m->unreadable) && i < UNREAD_MAX; i++)
                json_object_array_add(list, json_ref(json_at(m->unreadable, i)));
        return list;
}

bool manager_holds_slot(const Manager *m) {
        for (size_t i = 0; i < m->n_slots; i++)
                if (m->slots[i]->shown && m->slots[i]->view.held && m->slots[i]->marked)
                        return true;
        return false;
}

static void tell_held(Manager *m) {
        bool holds = manager_holds_slot(m);

        if (holds == m->told_held)
                return;
        m->told_held = holds;
        if (m->listener)
                m->listener->held_changed(m->listener_data);
}

static void show(ManagedSlot *s, SlotView *view) {
        const char *changed[SLOT_PROPERTIES_MAX + 1];
        Manager *m = s->manager;

        if (slot_take_view(s, view, changed) > 0 && s->shown && m->listener)
                m->listener->slot_changed(s, changed, m->listener_data);
        tell_held(m);
}

void manager_show_slot(ManagedSlot *s, json_object *entry, bool stale) {
        const Removal *removal = manager_removal_of_slot(s->manager, slot_get(s, SLOT_TEXT_NAME),
                        slot_get(s, SLOT_TEXT_PORT));
        SlotView view;

        s->unknown = manager_is_unread(s->manager, slot_get(s, SLOT_TEXT_NAME), entry ? json_str(entry, "port") : slot_get(s, SLOT_TEXT_PORT));
        int r = slot_view_make(s, entry, removal, &view);
        if (r < 0) {
                log_plain(LOG_ERR, "Slot %s cannot be updated: %s", slot_get(s, SLOT_TEXT_NAME), strerror(-r));
                return;
        }
        view.stale = view.stale || stale;
        if (entry && !s->held_told)
                s->marked = json_flag(entry, "marked");
        show(s, &view);
}

void manager_refresh_slot(ManagedSlot *s) {
        if (s)
                manager_show_slot(s, NULL, false);
}

void manager_show_leds(ManagedSlot *s, const char *power, const char *attention) {
        const Removal *removal = manager_removal_of_slot(s->manager, slot_get(s, SLOT_TEXT_NAME), slot_get(s, SLOT_TEXT_PORT));
        SlotView view;

        if (slot_view_make(s, NULL, removal, &view) < 0)
                return;
        if ((power && slot_view_set(&view, SLOT_TEXT_POWER_LED, power) < 0) ||
            (attention && slot_view_set(&view, SLOT_TEXT_ATTENTION_LED, attention) < 0))
                log_plain(LOG_ERR, "Slot %s: its indicators cannot be shown: %s", slot_get(s, SLOT_TEXT_NAME), strerror(ENOMEM));
        show(s, &view);
}

void manager_show_stays(ManagedSlot *s, const char *words) {
        const Removal *removal = manager_removal_of_slot(s->manager, slot_get(s, SLOT_TEXT_NAME), slot_get(s, SLOT_TEXT_PORT));
        SlotView view;

        if (slot_view_make(s, NULL, removal, &view) < 0)
                return;
        if (slot_view_set(&view, SLOT_TEXT_STAYS, words) < 0)
                log_plain(LOG_ERR, "Slot %s: what is said of its memory cannot be shown: %s", slot_get(s, SLOT_TEXT_NAME), strerror(ENOMEM));
        show(s, &view);
}

void manager_show_held(Manager *m, const char *port, bool held) {
        ManagedSlot *s = port && *port ? manager_slot_at_port(m, port) : NULL; /* a memory module's is at none */
        SlotView view;

        if (!s || slot_view_make(s, NULL, manager_removal_of_slot(m, slot_get(s, SLOT_TEXT_NAME), port), &view) < 0)
                return;
        s->held_told = true;
        s->marked = held;
        view.held = held;
        show(s, &view);
}

void manager_held_by_looks(Manager *m, const char *port) {
        for (size_t i = 0; i < m->n_slots; i++)
                if (!port || streq(slot_get(m->slots[i], SLOT_TEXT_PORT), port))
                        m->slots[i]->held_told = false;
}

void manager_show_new_slot(ManagedSlot *s) {
        Manager *m = s->manager;

        s->shown = true;
        if (m->listener)
                m->listener->slot_added(s, m->listener_data);
        tell_held(m);
}

void manager_hide_slot(ManagedSlot *s) {
        Manager *m = s->manager;

        s->shown = false;
        if (m->listener)
                m->listener->slot_removed(s, m->listener_data);
        tell_held(m);
}

void manager_listen(Manager *m, const ManagerListener *slots, const RemovalListener *removals, void *userdata) {
        m->listener = slots;
        m->listener_data = userdata;
        removal_listen(&m->owner, removals, userdata);
}

void manager_answer(Manager *m, void *asker, const char *path, const char *code, const char *message) {
        if (asker && m->listener)
                m->listener->answered(asker, path, code, message, m->listener_data);
}

void manager_tell(Manager *m, json_object *event) {
        if (m->listener)
                m->listener->told(event, m->listener_data);
}

json_object *manager_event_about(Manager *m, const char *type, const char *port, const char *text) {
        json_object *event = json_object_new_object();
        const ManagedSlot *s = port ? manager_slot_at_port(m, port) : NULL;

        json_set_str(event, "type", type);
        if (port)
                json_set_str(event, "port", port);
        if (s)
                json_set_str(event, "slot", slot_get(s, SLOT_TEXT_NAME));
        if (text)
                json_set_str(event, "message", text);
        return event;
}

void manager_tell_about(Manager *m, const char *type, const char *port, const char *text) {
        _cleanup_json_ json_object *event = manager_event_about(m, type, port, text);

        manager_tell(m, event);
}

void manager_log_about(Manager *m, int priority, LogMessage message, const char *port, const char *what) {
        const ManagedSlot *s = manager_slot_at_port(m, port);
        const char *name = s ? slot_get(s, SLOT_TEXT_NAME) : NULL;
        LogSubject subject = { .slot = name };

        log_write(priority, message, &subject, "Slot %s (port %s): %s.", name ?: "?", port, what);
}

void manager_rescan(Manager *m) {
        int r = scanner_want(m->scanner, NULL, NULL);
        if (r < 0)
                log_plain(LOG_ERR, "The machine cannot be scanned: %s. Is the worker program installed?", strerror(-r));
}
