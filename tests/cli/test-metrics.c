/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a name can do to the file: nothing. With an argument it prints a file full of such names, for promtool. */
#include "base/json.h"
#include "base/util.h"
#include "cli/verb/metrics-text.h"
#include "check.h"

static const struct {
        const char *text, *label;
} labels[] = {
        { "2", "2" },
        { "", "" },
        { NULL, "" },
        { "a\"b", "a\\\"b" },
        { "a\\", "a\\\\" },
        { "a\nsafe_remove_up 1", "a safe_remove_up 1" },
        { "\"} 1\n#", "\\\"} 1 #" },
        { "a\xff\xfe", "a\uFFFD\uFFFD" },
        { "\x1b[31m\r", "?[31m " },
        { "caf\u00e9", "caf\u00e9" },
};

static json_object *slot(const char *name, const char *serial, const char *verdict) {
        json_object *s = json_object_new_object();

        json_set_str(s, "name", name);
        json_set_str(s, "serial", serial);
        json_set_str(s, "state", "ready");
        json_set_bool(s, "occupied", true);
        json_set_str(s, "verdict", verdict);
        return s;
}

static json_object *blocker(const char *code) {
        json_object *o = json_object_new_object();

        json_set_str(o, "code", code);
        return o;
}

/* Slots whose names are one once they can be printed, and a plan whose codes are no words. */
static char *hostile(void) {
        _cleanup_json_ json_object *o = json_object_new_object();
        json_object *slots = json_object_new_array(), *blockers = json_object_new_array(), *totals = json_object_new_object(),
                    *rows = json_object_new_array(), *row = json_object_new_object();

        json_set_str(o, "version", "1");
        json_set_bool(o, "up", true);
        json_set(o, "slots", slots);
        json_object_array_add(slots, slot("2", "\"} 1\nsafe_remove_up 0\n", "ready"));
        json_object_array_add(slots, slot("a\x1b", "\\", NULL));
        json_object_array_add(slots, slot("a\x7f", "\xff", "nothing"));
        json_object_array_add(slots, slot("a\x07", "#", "blocked"));
        json_object_array_add(blockers, blocker("HELD"));
        json_object_array_add(blockers, blocker("NO\nCODE\""));
        json_object_array_add(blockers, blocker("HELD"));
        json_set(json_at(slots, 3), "blockers", blockers);
        json_set_str(row, "kind", "remove");
        json_set_str(row, "outcome", "safe");
        json_set_str(row, "code", "done");
        json_set_u64(row, "count", UINT64_MAX);
        json_object_array_add(rows, row);
        json_set(totals, "removals", rows);
        json_set_bool(totals, "damaged", true);
        json_set(o, "totals", totals);
        return metrics_text(o);
}

static void check_has(const char *text, const char *line) {
        _cleanup_free_ char *whole = strf("\n%s\n", line);

        CHECK_STR(strstr(text, whole) ? line : text, line);
}

int main(int argc, char *argv[]) {
        _cleanup_free_ char *text = hostile();

        if (argc > 1) {
                fputs(text, stdout);
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(labels); i++) {
                _cleanup_free_ char *got = metrics_label(labels[i].text);
                CHECK_STR(got, labels[i].label);
        }
        /* Each is one series, though all print as one name. */
        check_has(text, "safe_remove_slot_removable{slot=\"2\"} 1");
        check_has(text, "safe_remove_slot_removable{slot=\"a?\"} 0");
        check_has(text, "safe_remove_slot_removable{slot=\"a?~\"} 0");
        check_has(text, "safe_remove_slot_removable{slot=\"a?~~\"} 0");
        check_has(text, "safe_remove_slot_blockers{slot=\"a?\",code=\"no-plan\"} 1");
        check_has(text, "safe_remove_slot_blockers{slot=\"a?~\",code=\"nothing\"} 1");
        check_has(text, "safe_remove_slot_blockers{slot=\"a?~~\",code=\"HELD\"} 2");
        check_has(text, "safe_remove_slot_blockers{slot=\"a?~~\",code=\"NO CODE\\\"\"} 1");
        check_has(text, "safe_remove_totals_intact 0");
        check_has(text, "safe_remove_up 1");
        CHECK_INT(strstr(text, "\nsafe_remove_up 0") != NULL, false);
        return 0;
}
