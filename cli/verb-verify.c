/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"
#include "output.h"
#include "probe-text.h"
#include "verbs.h"

static size_t count_no(json_object *probes) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(probes); i++)
                n += !json_flag(json_at(probes, i), "holds");
        return n;
}

static void print_verdict(json_object *o) {
        const char *power = json_str(o, "power_led"), *attention = json_str(o, "attention_led");
        json_object *probes = json_array(o, "probes");
        bool holds = json_flag(o, "holds");

        printf("slot %s: ", json_str(o, "slot") ?: "?");
        if (holds)
                print_colored(COLOR_GOOD, "every probe holds");
        else
                print_colored(COLOR_BAD, "not proven safe: %zu of %zu probes do not hold", count_no(probes), json_len(probes));
        printf("  (%s%s", json_str(o, "removal") ? "after removal " : "the card is up", json_str(o, "removal") ?: "");
        printf("; power LED %s, attention LED %s)\n", power ?: "none", attention ?: "none");
}

ExitCode verb_verify(const Args *a) {
        _cleanup_json_ json_object *o = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code == CODE_DONE)
                code = client_verify(bus, a->target, &o);
        if (code != CODE_DONE)
                return code;

        if (output.json != JSON_OFF)
                print_json(o);
        else {
                print_verdict(o);
                probes_print(json_array(o, "probes"), "  ");
        }
        return json_flag(o, "holds") ? CODE_DONE : CODE_NOT_PROVEN;
}
