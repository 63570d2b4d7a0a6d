/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "daemon/bus/removal-bus.h"
#include "daemon/bus/removal-report.h"
#include "daemon/caller/question.h"
#include "daemon/strv.h"
#include "removal.h"

static const char *const trigger_table[_TRIGGER_MAX] = {
        [TRIGGER_COMMAND] = "command",
        [TRIGGER_BUTTON] = "button",
        [TRIGGER_UEVENT] = "uevent",
        [TRIGGER_INSERT] = "insert",
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
        question_free(r->question);
        sd_event_source_disable_unref(r->retry);
        sd_bus_message_unref(r->call);
        json_object_put(r->options);
        json_object_put(r->by);
        json_object_put(r->card);
        json_object_put(r->outer);
        json_object_put(r->step_ports);
        json_object_put(r->holds);
        json_object_put(r->targets);
        json_object_put(r->others);
        json_object_put(r->plan);
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
        free(r);
}

int removal_new(Manager *m, const RemovalRequest *request, Removal **ret) {
        _cleanup_(removal_freep) Removal *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;

        *r = (Removal) {
                .manager = m,
                .number = request->number,
                .kind = request->kind,
                .trigger = request->trigger,
                .outcome = _OUTCOME_INVALID,
                .started_usec = now_wall(),
                .targets = json_ref(request->targets),
                .options = json_ref(request->options),
                .by = json_ref(request->by),
                .holds = json_object_new_object(),
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
        char *label = strf("%s %s", r->label, name);
        if (!label)
                return -ENOMEM;
        free(r->label);
        r->label = label;
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

json_object *removal_slot_names(const Removal *r) {
        json_object *names = json_object_new_array();

        for (size_t i = 0; i < removal_n_slots(r); i++)
                json_append_str(names, removal_slot(r, i));
        return names;
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
                .by_uid = r->by ? uid : NULL,
                .certificate = r->certificate,
        };
}

const char *removal_noun(const Removal *r) {
        return r->kind == KIND_RESTORE ? "Restoration" : "Removal";
}

uint64_t removal_age(const Removal *r) {
        uint64_t now = now_wall();

        return now > r->started_usec ? now - r->started_usec : 0; /* the wall clock may have been set */
}
