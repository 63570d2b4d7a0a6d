/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has changed between two times that a card was asked. What got worse, and what the card is that it was not, keeps anybody from saying that all
 * is as it was; so does what is known of one time alone. What merely differs is told apart from that, and what changes by nature not at all. */
#include "kernel/cxl/card-state.h"

typedef enum Rule {
        GROWS,                  /* worse when more */
        SHRINKS,                /* worse when less */
        DIFFERS,                /* any other value is another card */
        IS_NOTED,               /* any other value is no worse */
        BECOMES_TRUE,
        HAS_WORDS,              /* from good to bad; one that is none of them is the worst */
        IS_ANSWERED,            /* both times, or nobody knows */
        HAS_LIMITS,             /* a temperature, by the alerts */
} Rule;

typedef enum Change {
        SAME,
        NOTED,
        WORSE,
} Change;

typedef struct Question {
        const char *part;       /* NULL: of the device itself */
        const char *key;
        const char *words;
        Rule rule;
        const char *unit;
        const char *const *good;
        bool counts_always;     /* it can be known of every one: one that is not known both times is told as well */
} Question;

static const char *const normal[] = { "normal", NULL };
static const char *const statuses[] = { "normal", "warning", "critical", NULL };
static const char *const healths[] = { "ok", "non-critical", "critical", "fatal", NULL };
static const char *const idle[] = { "idle", NULL };
static const char *const none[] = { "none", NULL };

static const Question of_memdevs[] = {
        { "health", "maintenance_needed", "it asks for maintenance", BECOMES_TRUE },
        { "health", "performance_degraded", "its performance is degraded", BECOMES_TRUE },
        { "health", "replacement_needed", "it asks to be replaced", BECOMES_TRUE },
        { "health", "media", "its media is", HAS_WORDS, .good = normal },
        { "health", "life_used_percent", "used of its life:", GROWS, " %" },
        { "health", "life_used_status", "its life's status is", HAS_WORDS, .good = statuses },
        { "health", "temperature_celsius", "its temperature is", HAS_LIMITS, " C" },
        { "health", "temperature_status", "its temperature's status is", HAS_WORDS, .good = statuses },
        { "health", "corrected_volatile_errors", "corrected errors of volatile memory:", GROWS },
        { "health", "corrected_volatile_status", "the status of these is", HAS_WORDS, .good = statuses },
        { "health", "corrected_persistent_errors", "corrected errors of persistent memory:", GROWS },
        { "health", "corrected_persistent_status", "the status of these is", HAS_WORDS, .good = statuses },
        { "health", "dirty_shutdowns", "dirty shutdowns:", GROWS },
        { "identity", "firmware_version", "its firmware is", DIFFERS },
        { "identity", "total_bytes", "its bytes in all are", DIFFERS },
        { "identity", "label_bytes", "its bytes of labels are", DIFFERS },
        { "partition", "volatile_bytes", "its volatile bytes are", DIFFERS },
        { "partition", "persistent_bytes", "its persistent bytes are", DIFFERS },
        { "partition", "next_volatile_bytes", "its volatile bytes after a reset are", IS_NOTED },
        { "partition", "next_persistent_bytes", "its persistent bytes after a reset are", IS_NOTED },
        { "firmware", "active_slot", "its firmware runs from slot", DIFFERS },
        { "firmware", "staged_slot", "its firmware after a reset is from slot", IS_NOTED },
        { "firmware", "slot_1_version", "its firmware in slot 1 is", IS_NOTED },
        { "firmware", "slot_2_version", "its firmware in slot 2 is", IS_NOTED },
        { "firmware", "slot_3_version", "its firmware in slot 3 is", IS_NOTED },
        { "firmware", "slot_4_version", "its firmware in slot 4 is", IS_NOTED },
        /* Somebody has set these, and no step sets them again. */
        { "alerts", "life_used_warning_percent", "it warns at a life used of", DIFFERS, " %" },
        { "alerts", "over_temperature_warning_celsius", "it warns above", DIFFERS, " C" },
        { "alerts", "under_temperature_warning_celsius", "it warns below", DIFFERS, " C" },
        { "alerts", "corrected_volatile_warning", "corrected errors of volatile memory at which it warns:", DIFFERS },
        { "alerts", "corrected_persistent_warning", "corrected errors of persistent memory at which it warns:", DIFFERS },
        { "alerts", "life_used_critical_percent", "critical is a life used of", IS_NOTED, " %" },
        { "alerts", "over_temperature_critical_celsius", "critical is above", IS_NOTED, " C" },
        { "alerts", "under_temperature_critical_celsius", "critical is below", IS_NOTED, " C" },
        { NULL, "security", "its security state is", DIFFERS },
};

static const Question of_nmems[] = {
        { NULL, "smart", "asked for its health it has", IS_ANSWERED },
        { NULL, "health", "its health is", HAS_WORDS, .good = healths },
        { NULL, "life_used_percent", "used of its life:", GROWS, " %" },
        { NULL, "spares_percent", "left of its spares:", SHRINKS, " %" },
        { NULL, "dirty_shutdowns", "dirty shutdowns:", GROWS },
        { NULL, "trouble", "it has had trouble:", HAS_WORDS, .good = none },
        { NULL, "security", "its security state is", DIFFERS },
        { NULL, "activation", "the activation of its firmware is", HAS_WORDS, .good = idle },
        { NULL, "alarms", "it has raised alarms:", HAS_WORDS, .good = none },
        { "alerts", "switched_on", "alarms that are switched on:", DIFFERS },
        { "alerts", "spares_warning_percent", "it warns at spares of", DIFFERS, " %" },
        { "alerts", "over_temperature_warning_celsius", "it warns above", DIFFERS, " C" },
        { "alerts", "over_controller_temperature_warning_celsius", "it warns at a controller's temperature above", DIFFERS, " C" },
};

static const Question of_bad_blocks[] = {
        { NULL, "blocks", "bad blocks:", GROWS, .counts_always = true },
};

/* One that runs may find bad blocks that nobody knows of yet. */
static const Question of_scrubs[] = {
        { NULL, "state", "scrubbing is", IS_NOTED },
};

/* By what stays: names are given anew when a card comes back. */
static const struct {
        const char *list, *identity, *called, *whole;
        const Question *questions;
        size_t n;
} lists[] = {
        { "memdevs", "serial", "the card with serial number", "what it says of itself", of_memdevs, ELEMENTSOF(of_memdevs) },
        { "nmems", "id", "the memory module", "what it says of itself", of_nmems, ELEMENTSOF(of_nmems) },
        { "bad_blocks", "start", "the nvdimm region at", "what is bad of it", of_bad_blocks, ELEMENTSOF(of_bad_blocks) },
        { "scrubs", "bus", "the bus", NULL, of_scrubs, ELEMENTSOF(of_scrubs) }, /* one without the others is no loss */
};

typedef struct Compare {
        card_told_t tell;
        void *userdata;
        size_t n_worse;
} Compare;

_printf_(3, 4) static void told(Compare *c, Change change, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *text = strfv(format, ap);
        va_end(ap);
        if (text)
                c->tell(c->userdata, change == WORSE, text);
        c->n_worse += change == WORSE;
}

static json_object *value_of(json_object *o, const Question *q) {
        return json_get(q->part ? json_get(o, q->part) : o, q->key);
}

static size_t rank(const Question *q, json_object *word) {
        size_t i = 0;

        while (q->good[i] && !streq_ptr(q->good[i], json_object_get_string(word)))
                i++;
        return i;
}

/* The first limit that is known of these. */
static json_object *limit_of(json_object *device, const char *warning, const char *critical) {
        json_object *alerts = json_get(device, "alerts");

        return json_get(alerts, warning) ?: json_get(alerts, critical);
}

static bool is_beyond(json_object *device, json_object *temperature) {
        json_object *over = limit_of(device, "over_temperature_warning_celsius", "over_temperature_critical_celsius"),
                    *under = limit_of(device, "under_temperature_warning_celsius", "under_temperature_critical_celsius");
        int64_t celsius = json_object_get_int64(temperature);

        return (over && celsius > json_object_get_int64(over)) || (under && celsius < json_object_get_int64(under));
}

static Change change_of(const Question *q, json_object *before, json_object *now) {
        json_object *was = value_of(before, q), *is = value_of(now, q);

        if (!was && !is)
                return q->counts_always ? WORSE : SAME;
        if (!was || !is)
                return q->rule == IS_NOTED ? NOTED : WORSE;
        bool same = streq_ptr(json_object_get_string(was), json_object_get_string(is));
        switch (q->rule) {
        case GROWS:
                return json_object_get_int64(is) > json_object_get_int64(was) ? WORSE : SAME;
        case SHRINKS:
                return json_object_get_int64(is) < json_object_get_int64(was) ? WORSE : SAME;
        case BECOMES_TRUE:
                return json_object_get_boolean(is) && !json_object_get_boolean(was) ? WORSE : SAME;
        case IS_NOTED:
                return same ? SAME : NOTED;
        case HAS_WORDS:
                return same ? SAME : rank(q, is) >= rank(q, was) ? WORSE : NOTED;
        case IS_ANSWERED:
                return same && streq(json_object_get_string(is), "answered") ? SAME : WORSE;
        case HAS_LIMITS:
                return is_beyond(now, is) && !is_beyond(now, was) ? WORSE : SAME;
        default:
                return same ? SAME : WORSE;
        }
}

static char *value_text(const Question *q, json_object *value) {
        if (!value)
                return strdup("not known");
        if (q->rule == BECOMES_TRUE)
                return strdup(json_object_get_boolean(value) ? "yes" : "no");
        return strf("%s%s", json_object_get_string(value), q->unit ?: "");
}

/* A part has values where the card has answered; it is an object without any where it failed, and none where the card does not offer it. */
static bool has_values(json_object *part) {
        if (!json_object_is_type(part, json_type_object))
                return false;
        json_object_object_foreach(part, key, value)
                if (key && value)
                        return true;
        return false;
}

/* True: the part is known of both, and its values are to be compared. Told once for all of them where it is not. */
static bool compare_part(Compare *c, size_t list, json_object *before, json_object *now, const char *part) {
        json_object *was = json_get(before, part), *is = json_get(now, part);
        bool then = has_values(was), today = has_values(is), are_many = endswith(part, "s");

        if (then && today)
                return true;
        if (was || is)
                told(c, WORSE, "%s %s: its %s %s %sknown, before %s", lists[list].called, json_str(now, lists[list].identity), part,
                     are_many ? "are" : "is", today ? "" : "not ", !then ? "not" : are_many ? "they were" : "it was");
        return false;
}

static void compare(Compare *c, size_t list, json_object *before, json_object *now) {
        const char *part = NULL;
        bool both = true;

        for (size_t i = 0; i < lists[list].n; i++) {
                const Question *q = &lists[list].questions[i];
                if (q->part && !streq_ptr(q->part, part)) {
                        part = q->part;
                        both = compare_part(c, list, before, now, part);
                }
                Change change = q->part && !both ? SAME : change_of(q, before, now);
                if (change == SAME)
                        continue;
                _cleanup_free_ char *was = value_text(q, value_of(before, q)), *is = value_text(q, value_of(now, q));
                told(c, change, "%s %s: %s%s %s, before %s", lists[list].called, json_str(now, lists[list].identity), q->words,
                     q->rule == BECOMES_TRUE ? ":" : "", is ?: "?", was ?: "?");
        }
}

static void compare_list(Compare *c, size_t list, json_object *before, json_object *now) {
        json_object *then = json_array(before, lists[list].list), *today = json_array(now, lists[list].list);

        for (size_t i = 0; i < json_len(today); i++) {
                const char *name = json_str(json_at(today, i), lists[list].identity);
                json_object *was = json_find(then, lists[list].identity, name);
                if (was)
                        compare(c, list, was, json_at(today, i));
                else if (lists[list].whole)
                        told(c, WORSE, "%s %s: %s is known, before not", lists[list].called, name ?: "not known", lists[list].whole);
        }
        for (size_t i = 0; i < json_len(then); i++) {
                const char *name = json_str(json_at(then, i), lists[list].identity);
                if (!json_find(today, lists[list].identity, name) && lists[list].whole)
                        told(c, WORSE, "%s %s: %s is not known, before it was", lists[list].called, name ?: "not known", lists[list].whole);
        }
}

/* Is there anything of a card in it? */
static bool has_cards(json_object *state) {
        return json_len(json_array(state, "memdevs")) + json_len(json_array(state, "nmems")) > 0;
}

size_t card_state_compare(json_object *before, json_object *now, card_told_t tell, void *userdata) {
        Compare c = { .tell = tell, .userdata = userdata };

        if ((before || now) && !has_cards(before) && !has_cards(now))
                told(&c, WORSE, "what the card says of itself is not known, and was not before");
        for (size_t list = 0; list < ELEMENTSOF(lists); list++)
                compare_list(&c, list, before, now);
        return c.n_worse;
}
