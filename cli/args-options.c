/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "base/parse.h"
#include "cli/text/output.h"
#include "args-options.h"

enum {
        SECONDS_MAX = 24 * 3600,
        LIMIT_MAX = 10000,
        DIGEST_LENGTH = 64,
        /* Above every character, for the options without a short form. */
        OPT_NO_LEGEND = 256,
        OPT_FORCE,
        OPT_DRY_RUN,
        OPT_EQUAL_CARD,
        OPT_ACKNOWLEDGE,
        OPT_NO_COLOR,
        OPT_NO_WAIT,
        OPT_VERIFY,
};

static ExitCode set_number(const char *value, uint32_t max, uint32_t *ret, bool *ret_has, const char *name) {
        uint64_t v;

        if (parse_u64(value, &v) < 0 || v > max)
                return fail(CODE_USAGE, NULL, "--%s wants a whole number from 0 to %u, not '%s'", name, max, value);
        *ret = (uint32_t) v;
        *ret_has = true;
        return CODE_DONE;
}

static ExitCode set_digest(Args *a, const char *value) {
        size_t n = strlen(value);

        for (size_t i = 0; i < n; i++)
                if (!isxdigit((unsigned char) value[i]))
                        n = 0;
        if (n != DIGEST_LENGTH)
                return fail(CODE_USAGE, NULL, "--plan wants the %d hex digits that 'safe-remove plan' printed, not '%s'",
                            DIGEST_LENGTH, value);
        a->digest = value;
        return CODE_DONE;
}

static ExitCode set_zone_normal(Args *a, const char *value) {
        if (!streq(value, "try") && !streq(value, "refuse"))
                return fail(CODE_USAGE, NULL, "--zone-normal wants 'try' or 'refuse', not '%s'", value);
        a->zone_normal = value;
        return CODE_DONE;
}

static ExitCode set_force(Args *a, const char *value) {
        static const char *const words[] = { "kill", "shutdown", "unmap", "unproven", "poison" };

        /* The second would take the first one's place, which nobody who says both means. */
        if (a->force)
                return fail(CODE_USAGE, NULL, "--force is given twice; name all words at once, such as --force=%s,%s", a->force, value);
        for (const char *p = value; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
                size_t n = strcspn(p, ","), i = 0;
                while (i < ELEMENTSOF(words) && (strlen(words[i]) != n || strncmp(words[i], p, n) != 0))
                        i++;
                if (i == ELEMENTSOF(words))
                        return fail(CODE_USAGE, NULL, "--force wants 'kill', 'shutdown', 'unmap', 'unproven', 'poison' or several with commas, not '%s'", value);
        }
        a->force = value;
        return CODE_DONE;
}

static ExitCode set_equal_card(Args *a, const char *value) {
        if (!streq(value, "yes") && !streq(value, "no"))
                return fail(CODE_USAGE, NULL, "--equal-card wants 'yes' or 'no', not '%s'", value);
        a->equal_card = value;
        return CODE_DONE;
}

static ExitCode set_acknowledge(Args *a, const char *value) {
        if (!streq(value, "kernel-log"))
                return fail(CODE_USAGE, NULL, "--acknowledge wants 'kernel-log', not '%s'", value);
        a->acknowledge = value;
        return CODE_DONE;
}

static ExitCode set_json(Args *a, const char *value) {
        static const char *const words[_JSON_MODE_MAX] = { "off", "short", "pretty" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(value ?: "short", words[i])) {
                        output.json = (JsonMode) i;
                        return CODE_DONE;
                }
        return fail(CODE_USAGE, NULL, "--json wants 'pretty', 'short' or 'off', not '%s'", value);
}

static ExitCode set_grace(Args *a, const char *value) {
        return set_number(value, SECONDS_MAX, &a->grace_sec, &a->has_grace, "grace");
}

static ExitCode set_offline_timeout(Args *a, const char *value) {
        return set_number(value, SECONDS_MAX, &a->offline_timeout_sec, &a->has_offline_timeout, "offline-timeout");
}

static ExitCode set_limit(Args *a, const char *value) {
        return set_number(value, LIMIT_MAX, &a->limit, &a->has_limit, "lines");
}

static ExitCode set_help(Args *a, const char *value) {
        a->help = true;
        return CODE_DONE;
}

static ExitCode set_version(Args *a, const char *value) {
        a->version = true;
        return CODE_DONE;
}

static ExitCode set_no_legend(Args *a, const char *value) {
        a->no_legend = true;
        return CODE_DONE;
}

static ExitCode set_no_color(Args *a, const char *value) {
        a->no_color = true;
        return CODE_DONE;
}

static ExitCode set_verify(Args *a, const char *value) {
        a->verify = true;
        return CODE_DONE;
}

static ExitCode set_dry_run(Args *a, const char *value) {
        a->dry_run = true;
        return CODE_DONE;
}

static ExitCode set_no_wait(Args *a, const char *value) {
        a->no_wait = true;
        return CODE_DONE;
}

const OptionRow option_rows[OPTION_ROWS] = {
        { "plan", 'p', "DIGEST", "remove ", set_digest, "only if the plan is still the one with this digest" },
        { "grace", 'g', "SEC", "plan explain remove ", set_grace, "give listeners at least this long" },
        { "offline-timeout", 't', "SEC", "plan explain remove ", set_offline_timeout,
          "give up on a memory block after this long" },
        { "zone-normal", 'z', "try|refuse", "plan explain remove ", set_zone_normal,
          "what to do about memory in ZONE_NORMAL" },
        { "force", OPT_FORCE, "WORDS", "plan explain remove ", set_force, "kill,shutdown,unmap,unproven,poison: what only force allows" },
        { "acknowledge", OPT_ACKNOWLEDGE, "kernel-log", "remove ", set_acknowledge,
          "what the kernel has complained of is not about this card" },
        { "equal-card", OPT_EQUAL_CARD, "yes|no", "restore ", set_equal_card,
          "whether another card of the same make and size will do" },
        { "dry-run", OPT_DRY_RUN, NULL, "restore ", set_dry_run, "print the plan, do nothing" },
        { "no-wait", OPT_NO_WAIT, NULL, "remove restore cancel ", set_no_wait, "return as soon as the request is accepted" },
        { "lines", 'n', "N", "history ", set_limit, "show the last N removals (0: all)" },
        { "verify", OPT_VERIFY, NULL, "certificate ", set_verify, "check that no certificate is missing or altered" },
        { "json", 'j', "[pretty|short|off]", NULL, set_json, "JSON on standard output" },
        { "no-legend", OPT_NO_LEGEND, NULL, NULL, set_no_legend, "no headers, no closing remarks" },
        { "no-color", OPT_NO_COLOR, NULL, NULL, set_no_color, "no color (as with NO_COLOR in the environment)" },
        { "help", 'h', NULL, NULL, set_help, "this text" },
        { "version", 'V', NULL, NULL, set_version, "print the version" },
};
