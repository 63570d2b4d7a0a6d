/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/client.h"
#include "cli/text/output.h"
#include "cli/text/probe-text.h"
#include "verbs.h"

static bool is_about_nothing(json_object *o) {
        return streq_ptr(json_str(o, "subject"), "none");
}

/* A disk that is gone and in use, of which nothing tells whether it was in this slot. */
static void print_not_known(json_object *o) {
        json_object *disks = json_array(o, "not_known");

        printf("slot %s: ", json_str(o, "slot") ?: "?");
        print_colored(COLOR_BAD, "not known");
        puts(": a disk that is gone is still in use, and may have been in this slot");
        for (size_t i = 0; i < json_len(disks); i++) {
                json_object *lost = json_array(json_at(disks, i), "lost");
                printf("  %s", json_str(json_at(disks, i), "device") ?: "?");
                for (size_t k = 0; k < json_len(lost); k++)
                        printf("%s%s", k > 0 ? "; " : ": ", json_object_get_string(json_at(lost, k)));
                puts("");
        }
}

/* "2 of 3 probes fail, 1 is not known": the two are not the same, but neither proves anything. */
static void print_unproven(json_object *probes) {
        size_t n = json_len(probes), n_no = 0, n_unknown = 0;

        for (size_t i = 0; i < n; i++) {
                bool known = json_get(json_at(probes, i), "holds") != NULL;
                n_unknown += !known;
                n_no += known && !json_flag(json_at(probes, i), "holds");
        }
        if (n_no > 0)
                print_colored(COLOR_BAD, "not proven safe: %zu of %zu probes fail%s", n_no, n, n_no == 1 ? "s" : "");
        else
                print_colored(COLOR_BAD, "not proven safe: of %zu probes none fails", n);
        if (n_unknown > 0)
                print_colored(COLOR_BAD, ", %zu %s not known", n_unknown, n_unknown == 1 ? "is" : "are");
}

static void print_verdict(json_object *o) {
        const char *power = json_str(o, "power_led"), *attention = json_str(o, "attention_led");
        json_object *probes = json_array(o, "probes");
        const char *removal = json_str(o, "removal");
        bool holds = json_flag(o, "holds");

        printf("slot %s: ", json_str(o, "slot") ?: "?");
        if (is_about_nothing(o)) {
                print_colored(COLOR_WARN, "nothing to prove");
                puts(": no card has been seen in it since the machine was started");
                return;
        }
        if (holds)
                print_colored(COLOR_GOOD, "proven safe, every probe is ok");
        else
                print_unproven(probes);
        printf("  (%s%s", removal ? "after removal " : streq_ptr(json_str(o, "subject"), "last-seen") ?
                          "the card was pulled or lost its power without being removed" : "the card is up", removal ?: "");
        printf("; power LED %s, attention LED %s)\n", power ?: "none", attention ?: "none");
        if (!holds && !removal && !streq_ptr(json_str(o, "subject"), "last-seen") && output.legend)
                puts("  While the card is in use most probes fail; that is expected.");
}

ExitCode verb_verify(const Args *a) {
        _cleanup_json_ json_object *o = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect_for_details(&bus);
        if (code == CODE_DONE)
                code = client_verify(bus, a->target, &o);
        if (code != CODE_DONE)
                return code;

        if (output.json != JSON_OFF)
                print_json(o);
        else {
                if (json_has(o, "not_known"))
                        print_not_known(o);
                if (!is_about_nothing(o) || !json_has(o, "not_known"))
                        print_verdict(o);
                if (!is_about_nothing(o))
                        probes_print(json_array(o, "probes"), "  ");
        }
        if (is_about_nothing(o) && !json_has(o, "not_known"))
                return CODE_NOTHING;
        return json_flag(o, "holds") ? CODE_DONE : CODE_NOT_PROVEN;
}
