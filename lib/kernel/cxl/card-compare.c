/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has changed between two times that a card was asked. A count that can only grow tells when it has grown; of a word and a flag any other value is
 * told. What is not known of one of the two is not compared. */
#include "kernel/cxl/card-state.h"

typedef enum Rule {
        GROWS,                  /* worse when more */
        DIFFERS,
        BECOMES_TRUE,
} Rule;

typedef struct Question {
        const char *part;       /* NULL: of the device itself */
        const char *key;
        const char *words;
        Rule rule;
        const char *unit;
} Question;

static const Question of_memdevs[] = {
        { "health", "maintenance_needed", "it asks for maintenance", BECOMES_TRUE },
        { "health", "performance_degraded", "its performance is degraded", BECOMES_TRUE },
        { "health", "replacement_needed", "it asks to be replaced", BECOMES_TRUE },
        { "health", "media", "its media is", DIFFERS },
        { "health", "life_used_percent", "used of its life:", GROWS, " %" },
        { "health", "life_used_status", "its life's status is", DIFFERS },
        { "health", "temperature_status", "its temperature's status is", DIFFERS },
        { "health", "corrected_volatile_errors", "corrected errors of volatile memory:", GROWS, "" },
        { "health", "corrected_volatile_status", "the status of these is", DIFFERS },
        { "health", "corrected_persistent_errors", "corrected errors of persistent memory:", GROWS, "" },
        { "health", "corrected_persistent_status", "the status of these is", DIFFERS },
        { "health", "dirty_shutdowns", "dirty shutdowns:", GROWS, "" },
        { "identity", "firmware_version", "its firmware is", DIFFERS },
        { "identity", "total_bytes", "its bytes in all are", DIFFERS },
        { "identity", "label_bytes", "its bytes of labels are", DIFFERS },
        { "partition", "volatile_bytes", "its volatile bytes are", DIFFERS },
        { "partition", "persistent_bytes", "its persistent bytes are", DIFFERS },
        { NULL, "security", "its security state is", DIFFERS },
};

static const Question of_nmems[] = {
        { NULL, "health", "its health is", DIFFERS },
        { NULL, "life_used_percent", "used of its life:", GROWS, " %" },
        { NULL, "dirty_shutdowns", "dirty shutdowns:", GROWS, "" },
        { NULL, "trouble", "it has had trouble:", DIFFERS },
        { NULL, "security", "its security state is", DIFFERS },
};

static const Question of_bad_blocks[] = {
        { NULL, "blocks", "bad blocks:", GROWS, "" },
};

/* By what stays: names are given anew when a card comes back. */
static const struct {
        const char *list, *identity, *called;
        const Question *questions;
        size_t n;
} lists[] = {
        { "memdevs", "serial", "the card with serial number", of_memdevs, ELEMENTSOF(of_memdevs) },
        { "nmems", "id", "the memory module", of_nmems, ELEMENTSOF(of_nmems) },
        { "bad_blocks", "start", "the nvdimm region at", of_bad_blocks, ELEMENTSOF(of_bad_blocks) },
};

static json_object *value_of(json_object *o, const Question *q) {
        return json_get(q->part ? json_get(o, q->part) : o, q->key);
}

static bool is_worse(const Question *q, json_object *before, json_object *now) {
        switch (q->rule) {
        case GROWS:
                return json_object_get_int64(now) > json_object_get_int64(before);
        case BECOMES_TRUE:
                return json_object_get_boolean(now) && !json_object_get_boolean(before);
        default:
                return !streq(json_object_get_string(before), json_object_get_string(now));
        }
}

static size_t compare(json_object *before, json_object *now, size_t list, card_told_t tell, void *userdata) {
        const char *name = json_str(now, lists[list].identity);
        size_t n = 0;

        for (size_t i = 0; i < lists[list].n; i++) {
                const Question *q = &lists[list].questions[i];
                json_object *was = value_of(before, q), *is = value_of(now, q);
                if (!was || !is || !is_worse(q, was, is))
                        continue;
                _cleanup_free_ char *text = q->rule == BECOMES_TRUE ? strf("%s %s: %s, before not", lists[list].called, name, q->words)
                        : strf("%s %s: %s %s%s, before %s%s", lists[list].called, name, q->words, json_object_get_string(is), q->unit ?: "",
                               json_object_get_string(was), q->unit ?: "");
                if (text)
                        tell(userdata, text);
                n++;
        }
        return n;
}

size_t card_state_compare(json_object *before, json_object *now, card_told_t tell, void *userdata) {
        size_t n = 0;

        for (size_t list = 0; list < ELEMENTSOF(lists); list++) {
                json_object *then = json_array(before, lists[list].list), *new = json_array(now, lists[list].list);
                for (size_t i = 0; i < json_len(new); i++) {
                        const char *name = json_str(json_at(new, i), lists[list].identity);
                        for (size_t k = 0; name && k < json_len(then); k++)
                                if (streq_ptr(json_str(json_at(then, k), lists[list].identity), name))
                                        n += compare(json_at(then, k), json_at(new, i), list, tell, userdata);
                }
        }
        return n;
}
