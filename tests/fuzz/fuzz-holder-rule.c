/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/holder-rule.h"
#include "kernel/pages/page-census.h"
#include "fuzz.h"

static void check_targets(json_object *array) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 }, again = { 0 };

        int r = hold_targets_from_json(array, &targets);
        FUZZ_CHECK(r == 0 || r == -EINVAL);
        if (r < 0)
                return;
        _cleanup_json_ json_object *back = hold_targets_to_json(&targets);
        FUZZ_CHECK(hold_targets_from_json(back, &again) == 0 && again.n_items == targets.n_items);
}

static void check_rules(json_object *rules) {
        char comm[] = "a", exe[] = "/usr/bin/a", unit[] = "a.service";
        Hold hold = { .way = HOLD_MAPPING };
        const Holder holder = { .pid = 7, .comm = comm, .exe = exe, .unit = unit, .holds = &hold, .n_holds = 1 };

        json_object *rule = holder_rule_for(rules, &holder);
        FUZZ_CHECK(holder_rule_reason(rule));
        for (int i = 0; i < 4; i++) {
                const HolderForce force = { .kill = i & 1, .shutdown = i & 2 };
                HolderAction rungs[_HOLDER_ACTION_MAX];
                size_t n = holder_rule_ladder(rule, &holder, force, rungs);

                FUZZ_CHECK(n <= _HOLDER_ACTION_MAX && (n == 0 || !holder_rule_has(rule, HOLDER_REFUSE)));
                for (size_t k = 0; k < n; k++) {
                        FUZZ_CHECK(rungs[k] > HOLDER_REFUSE && rungs[k] < _HOLDER_ACTION_MAX);
                        FUZZ_CHECK(rungs[k] != HOLDER_KILL || force.kill);
                        FUZZ_CHECK(rungs[k] != HOLDER_SHUTDOWN || (force.shutdown && k + 1 < n && rungs[k + 1] == HOLDER_KILL));
                        (void) holder_rule_usec(rule, rungs[k]);
                }
        }
}

static void check_card_memory(json_object *array) {
        _cleanup_free_ CardMemory *memory = NULL;
        size_t n = 4711;

        int r = card_memory_from_json(array, &memory, &n);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && n == 4711 && !memory));
}

/* The arguments of steps that find holders, whatever a plan on disk says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *doc = NULL;
        _cleanup_free_ char *text = fuzz_text(data, size);

        if (json_parse(text, size, &doc) < 0)
                return 0;
        check_targets(doc);
        check_rules(doc);
        check_card_memory(doc);
        return 0;
}
