/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/cxl/card-parts.h"
#include "kernel/cxl/card-state.h"

typedef enum FieldKind {
        FIELD_TEXT,
        FIELD_NUMBER,
        FIELD_FLAG,
        FIELD_PART,             /* an object with fields of its own */
} FieldKind;

typedef struct Field {
        const char *key;
        FieldKind kind;
        const struct Field *part;
        int64_t least;          /* of a number, 0 where nothing stands here */
} Field;

enum {
        COLDEST = -273,
};

static const Field identity_fields[] = {
        { "firmware_version", FIELD_TEXT }, { "total_bytes", FIELD_NUMBER }, { "volatile_bytes", FIELD_NUMBER },
        { "persistent_bytes", FIELD_NUMBER }, { "partition_align_bytes", FIELD_NUMBER }, { "label_bytes", FIELD_NUMBER }, { 0 },
};

static const Field health_fields[] = {
        { "maintenance_needed", FIELD_FLAG }, { "performance_degraded", FIELD_FLAG }, { "replacement_needed", FIELD_FLAG },
        { "media", FIELD_TEXT },
        { "life_used_percent", FIELD_NUMBER }, { "life_used_status", FIELD_TEXT },
        { "temperature_celsius", FIELD_NUMBER, .least = COLDEST }, { "temperature_status", FIELD_TEXT },
        { "corrected_volatile_errors", FIELD_NUMBER }, { "corrected_volatile_status", FIELD_TEXT },
        { "corrected_persistent_errors", FIELD_NUMBER }, { "corrected_persistent_status", FIELD_TEXT },
        { "dirty_shutdowns", FIELD_NUMBER }, { 0 },
};

static const Field alert_fields[] = {
        { "life_used_warning_percent", FIELD_NUMBER }, { "life_used_critical_percent", FIELD_NUMBER },
        { "over_temperature_warning_celsius", FIELD_NUMBER, .least = COLDEST }, { "over_temperature_critical_celsius", FIELD_NUMBER, .least = COLDEST },
        { "under_temperature_warning_celsius", FIELD_NUMBER, .least = COLDEST },
        { "under_temperature_critical_celsius", FIELD_NUMBER, .least = COLDEST },
        { "corrected_volatile_warning", FIELD_NUMBER }, { "corrected_persistent_warning", FIELD_NUMBER }, { 0 },
};

static const Field partition_fields[] = {
        { "volatile_bytes", FIELD_NUMBER }, { "persistent_bytes", FIELD_NUMBER }, { "next_volatile_bytes", FIELD_NUMBER },
        { "next_persistent_bytes", FIELD_NUMBER }, { 0 },
};

static const Field firmware_fields[] = {
        { "slots", FIELD_NUMBER }, { "active_slot", FIELD_NUMBER }, { "staged_slot", FIELD_NUMBER }, { "activates_online", FIELD_FLAG },
        { "slot_1_version", FIELD_TEXT }, { "slot_2_version", FIELD_TEXT }, { "slot_3_version", FIELD_TEXT }, { "slot_4_version", FIELD_TEXT },
        { 0 },
};

static const Field memdev_fields[] = {
        { "name", FIELD_TEXT }, { "serial", FIELD_TEXT }, { "security", FIELD_TEXT }, { "transfer", FIELD_TEXT },
        { "identity", FIELD_PART, identity_fields }, { "health", FIELD_PART, health_fields }, { "alerts", FIELD_PART, alert_fields },
        { "partition", FIELD_PART, partition_fields }, { "firmware", FIELD_PART, firmware_fields }, { 0 },
};

static const Field nmem_alert_fields[] = {
        { "switched_on", FIELD_TEXT }, { "spares_warning_percent", FIELD_NUMBER },
        { "over_temperature_warning_celsius", FIELD_NUMBER, .least = COLDEST },
        { "over_controller_temperature_warning_celsius", FIELD_NUMBER, .least = COLDEST }, { 0 },
};

static const Field nmem_fields[] = {
        { "name", FIELD_TEXT }, { "id", FIELD_TEXT }, { "security", FIELD_TEXT }, { "activation", FIELD_TEXT }, { "dirty_shutdowns", FIELD_NUMBER },
        { "smart", FIELD_TEXT }, { "health", FIELD_TEXT }, { "life_used_percent", FIELD_NUMBER }, { "spares_percent", FIELD_NUMBER },
        { "temperature_celsius", FIELD_NUMBER, .least = COLDEST }, { "trouble", FIELD_TEXT }, { "alarms", FIELD_TEXT },
        { "alerts", FIELD_PART, nmem_alert_fields }, { 0 },
};

static const Field bad_block_fields[] = {
        { "region", FIELD_TEXT }, { "start", FIELD_TEXT }, { "ranges", FIELD_NUMBER }, { "blocks", FIELD_NUMBER }, { 0 },
};

static const Field scrub_fields[] = {
        { "bus", FIELD_TEXT }, { "state", FIELD_TEXT }, { "count", FIELD_NUMBER }, { 0 },
};

static const struct {
        const char *key;
        const Field *fields;
} lists[] = {
        { "memdevs", memdev_fields }, { "nmems", nmem_fields }, { "bad_blocks", bad_block_fields }, { "scrubs", scrub_fields },
};

/* library_work_t */
static int ask(Library *l, json_object *question, json_object *answer) {
        json_set(answer, "notes", json_object_new_array());
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                json_set(answer, lists[i].key, json_object_new_array());
        if (json_len(json_array(question, "memdevs")) > 0)
                card_ask_cxl(l, question, answer);
        if (json_len(json_array(question, "nmems")) > 0)
                card_ask_nd(l, question, answer);
        return 0;
}

int card_state_ask(json_object *question, LibraryCall **ret) {
        return library_ask(ask, question, ret);
}

static json_object *part_checked(json_object *o, const Field *fields);

/* What is not as it has to be is not known. A new reference. */
static json_object *field_checked(json_object *value, const Field *f) {
        switch (f->kind) {
        case FIELD_TEXT:
                return json_object_is_type(value, json_type_string) && json_object_get_string_len(value) <= CARD_TEXT_MAX ? json_ref(value) : NULL;
        case FIELD_NUMBER:
                return json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= f->least ? json_ref(value) : NULL;
        case FIELD_FLAG:
                return json_object_is_type(value, json_type_boolean) ? json_ref(value) : NULL;
        default:
                return json_object_is_type(value, json_type_object) ? part_checked(value, f->part) : NULL;
        }
}

static json_object *part_checked(json_object *o, const Field *fields) {
        json_object *checked = json_object_new_object();

        for (const Field *f = fields; f->key; f++)
                json_set(checked, f->key, field_checked(json_get(o, f->key), f));
        return checked;
}

static void add_notes(json_object *state, json_object *texts) {
        for (size_t i = 0; i < json_len(texts); i++)
                if (json_object_is_type(json_at(texts, i), json_type_string))
                        card_note(state, "%s", json_object_get_string(json_at(texts, i)));
}

/* The answer came from a process in which others' code has run: nothing is taken that is not in the tables. */
json_object *card_state_checked(json_object *answer) {
        json_object *state = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                json_object *list = json_array(answer, lists[i].key), *checked = json_object_new_array();
                for (size_t k = 0; k < json_len(list); k++)
                        if (json_object_is_type(json_at(list, k), json_type_object))
                                json_object_array_add(checked, part_checked(json_at(list, k), lists[i].fields));
                json_set(state, lists[i].key, checked);
        }
        json_set(state, "notes", json_object_new_array());
        add_notes(state, json_array(answer, "notes"));
        add_notes(state, json_array(answer, "said"));
        return state;
}

json_object *card_state_unknown(const char *why) {
        json_object *state = card_state_checked(NULL);

        card_note(state, "not known: %s", why);
        return state;
}

int card_state_take(LibraryCall *call, uint64_t wait_usec, json_object **ret) {
        _cleanup_json_ json_object *answer = NULL;

        int r = library_answer(call, wait_usec, &answer);
        if (r == -EAGAIN || r == -ENOMEM)
                return r;
        if (r == -ETIME)
                *ret = card_state_unknown("libcxl and libndctl did not answer within 2 s (they wait for udev's queue)");
        else if (r == -ECHILD)
                *ret = card_state_unknown("the process that asked libcxl and libndctl died");
        else
                *ret = r < 0 ? card_state_unknown(strerror(-r)) : card_state_checked(answer);
        return 0;
}
