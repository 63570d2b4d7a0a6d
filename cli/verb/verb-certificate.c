/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "cli/client.h"
#include "cli/text/card-view.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "cli/text/probe-text.h"
#include "verbs.h"

static void print_lines(const char *label, json_object *lines) {
        for (size_t i = 0; i < json_len(lines); i++)
                printf("  %-9s %s\n", i == 0 ? label : "", json_object_get_string(json_at(lines, i)));
}

/* A button, an event and a card that was put back are no user: there is no uid to tell. */
static void print_asker(json_object *c) {
        static const char *const words[][2] = {
                { "button", "by the button of the slot" },
                { "uevent", "by a device event" },
                { "insert", "by nobody, its card was back" },
                { "late", "by nobody, a write to the kernel came to its end late" },
        };
        json_object *by = json_get(c, "by");

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq_ptr(words[i][0], json_str(c, "trigger"))) {
                        printf("  %-9s %s\n", "asked", words[i][1]);
                        return;
                }
        const char *session = json_str(by, "session"), *unit = json_str(by, "unit");

        printf("  %-9s %s of '%s' by uid %" PRIu64 " (%s%s%s%s%s)\n", "asked", json_str(c, "trigger") ?: "?", json_str(c, "target") ?: "?",
               json_u64(by, "uid"), json_str(by, "comm") ?: "?", session ? ", session " : "", session ?: "", unit ? ", unit " : "", unit ?: "");
}

static void print_subject(json_object *c) {
        json_object *card = json_get(c, "card"), *slot = json_get(c, "slot");

        json_object *slots = json_array(c, "slots");

        if (!slots)
                printf("  %-9s slot %s (port %s)\n", "slot", json_str(slot, "name") ?: "?", json_str(slot, "port") ?: "none");
        for (size_t i = 0; i < json_len(slots); i++)
                printf("  %-9s slot %s (port %s)\n", i == 0 ? "slots" : "", json_str(json_at(slots, i), "name") ?: "?",
                       json_str(json_at(slots, i), "port") ?: "none");
        if (card)
                printf("  %-9s %s, serial %s\n", "card", json_str(card, "bdf") ?: json_str(card, "nmem") ?: "?", json_str(card, "serial") ?: "unknown");
        print_asker(c);
        printf("  %-9s %s, kernel %s\n", "on", json_str(c, "host") ?: "?", json_str(c, "kernel") ?: "?");
        printf("  %-9s %s to %s\n", "time", FORMAT_TIME(json_u64(c, "started_usec")), FORMAT_TIME(json_u64(c, "ended_usec")));
        printf("  %-9s %s\n", "plan", json_str(c, "plan_digest") ?: "-");
}

static void print_chain(json_object *c) {
        json_object *chain = json_get(c, "chain");

        printf("  %-9s number %" PRIu64 ", ", "chain", json_u64(chain, "number"));
        if (json_str(chain, "previous"))
                printf("follows that of removal %s, %s\n", json_str(chain, "previous_removal") ?: "?", json_str(chain, "previous"));
        else
                puts("the first");
        printf("  %-9s %s\n", "sha256", json_str(c, "sha256") ?: "-");
}

static void print_sanitized(json_object *sanitized) {
        for (size_t i = 0; i < json_len(sanitized); i++) {
                json_object *s = json_at(sanitized, i);
                printf("  %-9s %s, serial %s, by %s, %s to %s\n", "erased", json_str(s, "sanitized") ?: "?", json_str(s, "serial") ?: "unknown",
                       json_str(s, "method") ?: "?", FORMAT_TIME(json_u64(s, "started_usec")), FORMAT_TIME(json_u64(s, "ended_usec")));
                print_lines("verified", json_array(s, "verified"));
                print_lines("not seen", json_array(s, "not_verified"));
        }
}

static void print_certificate(json_object *c) {
        bool safe = streq_ptr(json_str(c, "outcome"), "safe");

        printf("removal %s: ", json_str(c, "removal") ?: "?");
        print_colored(safe ? COLOR_GOOD : COLOR_WARN, "%s", json_str(c, "outcome") ?: "?");
        printf(": %s\n", json_str(c, "message") ?: "");
        print_subject(c);
        print_lines("disturbed", json_array(c, "disturbed"));
        print_lines("forced", json_array(c, "forced"));
        print_sanitized(json_array(c, "sanitized"));
        print_lines("lost", json_array(c, "lost"));
        print_chain(c);
        if (json_len(json_array(c, "probes")) > 0)
                probes_print(json_array(c, "probes"), "  ");
        card_state_print(json_get(json_get(c, "card_state"), "before"), "Card state before");
        card_state_print(json_get(json_get(c, "card_state"), "after"), "Card state after");
}

static ExitCode show(sd_bus *bus, const Args *a) {
        _cleanup_json_ json_object *c = NULL;
        _cleanup_free_ char *text = NULL;

        ExitCode code = client_certificate(bus, a->target ?: "", &text);
        if (code != CODE_DONE)
                return code;
        int r = client_parse(text, &c);
        if (r < 0)
                return client_fail(r, NULL);

        /* Byte for byte, so that its digest can be made again. */
        if (output.json == JSON_SHORT)
                puts(text);
        else if (output.json == JSON_PRETTY)
                print_json(c);
        else
                print_certificate(c);
        return CODE_DONE;
}

static void print_report(json_object *report) {
        json_object *problems = json_array(report, "problems");
        bool verified = json_flag(report, "verified");

        for (size_t i = 0; i < json_len(problems); i++) {
                json_object *p = json_at(problems, i);
                printf("%s%s: %s\n", json_str(p, "removal") ? "removal " : "the chain", json_str(p, "removal") ?: "",
                       json_str(p, "what") ?: "?");
        }
        print_colored(verified ? COLOR_GOOD : COLOR_BAD, "%s", verified ? "verified" : "NOT VERIFIED");
        printf(": %" PRIu64 " certificate%s", json_u64(report, "certificates"), json_u64(report, "certificates") == 1 ? "" : "s");
        if (json_u64(report, "first") > 0)
                printf(", number %" PRIu64 " to %" PRIu64, json_u64(report, "first"), json_u64(report, "last"));
        if (json_u64(report, "pruned") > 0)
                printf("; number 1 to %" PRIu64 " were deleted with their old records", json_u64(report, "pruned"));
        printf("\nnewest: %s\n", json_str(report, "sha256") ?: "none");
}

static ExitCode verify(sd_bus *bus) {
        _cleanup_json_ json_object *report = NULL;

        ExitCode code = client_verify_certificates(bus, &report);
        if (code != CODE_DONE)
                return code;
        if (output.json != JSON_OFF)
                print_json(report);
        else
                print_report(report);
        return json_flag(report, "verified") ? CODE_DONE : CODE_NOT_PROVEN;
}

ExitCode verb_certificate(const Args *a) {
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect_for_details(&bus);
        if (code != CODE_DONE)
                return code;
        if (!a->verify)
                return show(bus, a);

        /* One document on standard output. A certificate that was altered is no reason not to say which. */
        if (a->target && output.json == JSON_OFF) {
                code = show(bus, a);
                if (code != CODE_DONE && code != CODE_NOT_PROVEN)
                        return code;
        }
        return verify(bus);
}
