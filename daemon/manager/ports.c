/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/step.h"
#include "ports.h"

/* What the daemon wants of the guard, port by port. It follows from the steps that hold slots and release them. */

static void *guard_of(const Manager *m) {
        return m->source_states[SOURCE_GUARD];
}

void manager_begin_guard(Manager *m) {
        if (guard_of(m))
                guard_begin(guard_of(m));
}

int manager_want(Manager *m, const char *port, PortWant want) {
        return !port || !*port ? 0 : guard_of(m) ? guard_want(guard_of(m), port, want) : -ENXIO;
}

int manager_look_at_slot(Manager *m, const char *port, bool lost) {
        return guard_of(m) ? guard_look(guard_of(m), port, lost) : -ENXIO;
}

void manager_give_back_press(Manager *m, const char *port, const char *why) {
        if (guard_of(m))
                guard_give_back(guard_of(m), port, why);
}

/* The ports that a plan holds, those of slots inside of its slots among them: {"PORT": "want"}, as it is known. */
void manager_claim_slots(Manager *m, Removal *r, json_object *holds) {
        for (size_t i = 0; i < removal_n_slots(r); i++)
                if (removal_port(r, i) && !json_has(holds, removal_port(r, i)))
                        (void) manager_want(m, removal_port(r, i), PORT_WANT_CLAIM);
        json_object_object_foreach(holds, port, want) {
                int w = port_want_from_string(json_object_get_string(want));
                json_set_bool(r->holds, port, true);
                (void) manager_want(m, port, w < 0 ? PORT_WANT_CLAIM : (PortWant) w);
        }
}

/* Is the port held by another one that runs? */
static bool is_others(Manager *m, const Removal *r, const char *port) {
        const Removal *other = manager_running_holding(m, port);

        return other && other != r;
}

/* What the step that holds a slot, or lets it go, makes of it. A step is told when it stands in the record: from then on whoever has the
 * record gives the slot back. Backwards (a restoration is a removal's way back) each is the other one's opposite. */
static PortWant want_of_step(const Removal *r, bool hold, StepPhase phase) {
        bool back = (phase == PHASE_UNDO || phase == PHASE_UNDONE) != (r->kind == KIND_RESTORE), over = phase == PHASE_DONE || phase == PHASE_UNDONE;

        if (hold != back)
                return PORT_WANT_CLAIM;
        /* Let go for the power-off it is the kernel's; given back, it is as any other slot. */
        return !hold ? PORT_WANT_YIELD : over ? PORT_WANT_WATCH : PORT_WANT_CLAIM;
}

static void take_step_at(Manager *m, const Removal *r, const char *port, bool hold, StepPhase phase) {
        PortWant want = want_of_step(r, hold, phase);

        (void) manager_want(m, port, want);
        if (phase == PHASE_DONE || phase == PHASE_UNDONE)
                manager_show_held(m, port, want == PORT_WANT_CLAIM);
}

static void take_step(Manager *m, Removal *r, StepPhase phase) {
        bool hold = streq_ptr(r->step, step_type_to_string(STEP_HOLD)), let_go = streq_ptr(r->step, step_type_to_string(STEP_RELEASE));
        const char *port = json_object_get_string(json_at(r->step_ports, r->step_index));

        if ((!hold && !let_go) || phase == PHASE_FAILED)
                return;
        if (port) {
                json_set_bool(r->holds, port, true);
                take_step_at(m, r, port, hold, phase);
        }
        for (size_t i = 0; i < removal_n_slots(r) && !port; i++)
                take_step_at(m, r, removal_port(r, i), hold, phase);
}

static bool is_kept(Manager *m, const char *port) {
        for (size_t i = 0; i < m->n_removals; i++) {
                const Removal *r = m->removals[i];
                if (r->given_up && json_has(r->holds, port))
                        return true;
                for (size_t k = 0; k < removal_n_slots(r) && r->given_up; k++)
                        if (streq_ptr(removal_port(r, k), port))
                                return true;
        }
        return manager_running_holding(m, port) != NULL;
}

/* The next card's light is none of the former one's. */
void manager_slot_seen(Manager *m, const ManagedSlot *s) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);

        if ((s->outcome != OUTCOME_SAFE || *slot_get(s, SLOT_TEXT_CARD_ADDRESS)) && !is_kept(m, port))
                (void) manager_want(m, port, PORT_WANT_NOTHING);
}

/* The source looks for itself whether there is a card. */
void manager_guard_slot(Manager *m, const ManagedSlot *s) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);

        if (s->outcome != OUTCOME_SAFE || !*port)
                return;
        if (manager_want(m, port, PORT_WANT_LIGHT) < 0)
                log_plain(LOG_WARNING, "Slot %s cannot be guarded: its light stays as it is when somebody powers it up again.",
                                slot_get(s, SLOT_TEXT_NAME));
}

static void on_started(Removal *r, void *userdata) {
        for (size_t i = 0; i < removal_n_slots(r); i++)
                if (manager_want(userdata, removal_port(r, i), PORT_WANT_WATCH) < 0)
                        log_plain(LOG_WARNING, "Slot %s cannot be watched: a second press of its button will not be noticed.", removal_slot(r, i));
}

static void on_told(Removal *r, json_object *event, void *userdata) {
        StepPhase phase = (StepPhase) step_phase_from_string(json_str(event, "phase"));

        if (streq_ptr(json_str(event, "type"), "step") && phase >= 0)
                take_step(userdata, r, phase);
}

/* Nothing comes of the press that it was started for. */
static void on_unbegun(Removal *r, const char *why, void *userdata) {
        if (r->trigger == TRIGGER_BUTTON && r->port)
                manager_give_back_press(userdata, r->port, why);
}

/* It has nothing more to say of the port, and a look is on its way (slots.c). */
static void let_port_go(Manager *m, const Removal *r, const char *port, PortWant want) {
        if (is_others(m, r, port))
                return;
        (void) manager_want(m, port, want);
        if (port)
                manager_held_by_looks(m, port);
}

static void on_ended(Removal *r, void *userdata) {
        /* A removal that nobody could end is still the slot's: a second press and a pulled card are to be noticed there. */
        PortWant want = r->given_up ? PORT_WANT_CLAIM : PORT_WANT_NOTHING;
        Manager *m = userdata;

        for (size_t i = 0; i < removal_n_slots(r); i++)
                let_port_go(m, r, removal_port(r, i), want);
        json_object_object_foreach(r->holds, held_port, held) {
                (void) held;
                let_port_go(m, r, held_port, want);
        }
        for (size_t i = 0; i < removal_n_slots(r); i++) {
                const ManagedSlot *slot = manager_slot_of_removal(m, r, i);
                const char *port = removal_port(r, i);

                if (r->pressed && port && manager_look_at_slot(m, port, false) < 0)
                        log_plain(LOG_WARNING, "Slot %s cannot be looked at after its button was pressed.", removal_slot(r, i) ?: "?");
                if (slot)
                        manager_guard_slot(m, slot);
        }
}

const RemovalListener ports_listener = {
        .started = on_started,
        .told = on_told,
        .unbegun = on_unbegun,
        .ended = on_ended,
};
