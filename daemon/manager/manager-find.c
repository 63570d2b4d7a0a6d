/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "manager.h"

/* Which removal somebody means. */

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

/* "serial:0x1", "serial:1", "0x1"; in numbers, as 0x01 is the same card. */
static bool names_serial(const char *text, const char *serial) {
        const char *number = startswith(text, "serial:");
        uint64_t asked, have;

        if (!number && startswith(text, "0x"))
                number = text;
        return number && serial && parse_u64(number, &asked) == 0 && parse_u64(serial, &have) == 0 && asked == have;
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
