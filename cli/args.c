/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>

#include "base/hook.h"
#include "base/parse.h"
#include "cli/text/output.h"
#include "args.h"
#include "connect.h"

enum {
        SECONDS_MAX = 24 * 3600,
        LIMIT_MAX = 10000, LOCATE_MAX = 3600,
        OPERAND_MAX = 4096,     /* a path's longest */
        /* Above every character, for the options without a short form. */
        OPT_NO_LEGEND = 256,
        OPT_FORCE,
        OPT_DRY_RUN,
        OPT_EQUAL_CARD,
        OPT_ACKNOWLEDGE,
        OPT_NO_COLOR,
        OPT_NO_PAGER,
        OPT_NO_ASK_PASSWORD,
        OPT_NAMES,
        OPT_NO_WAIT,
        OPT_SANITIZE,
        OPT_WITH_POWER,
        OPT_VERIFY,
        OPT_KEEP_NAMES,
        OPT_PHASE,
        OPT_IGNORE_INHIBITORS,
        OPT_WHAT,
        OPT_WHO,
        OPT_WHY,
        OPT_MODE,
        OPT_FOR, OPT_OFF, OPT_WAIT, /* of locate and replace */
};

#define FLAG(field) .flag = offsetof(Args, field)
#define TEXT(field) .text = offsetof(Args, field)
#define NUMBER(field, most) .flag = offsetof(Args, has_##field), .number = offsetof(Args, field), .max = (most)
#define JSON_WORDS { "off", "short", "pretty" }

static ExitCode set_digest(Args *a, const char *value) {
        size_t n = strlen(value);

        for (size_t i = 0; i < n; i++)
                if (!isxdigit((unsigned char) value[i]))
                        n = 0;
        if (n < DIGEST_SHORTEST || n > DIGEST_LENGTH)
                return fail(CODE_USAGE, NULL, "--plan wants the digest that 'safe-remove plan' printed, or its first %d hex digits or more, not '%s'",
                            DIGEST_SHORTEST, value);
        a->digest = value;
        return CODE_DONE;
}

/* "; did you mean 'try'?", or nothing where no word is near. Newly allocated; NULL is nothing too. */
static char *meant(const char *text, const void *rows, size_t n, size_t size, const char *prefix) {
        _cleanup_free_ char *word = strndup(text, strcspn(text, "=,"));
        const char *nearest = word ? text_nearest(word, rows, n, size) : NULL;

        return nearest ? strf("; did you mean '%s%s'?", prefix, nearest) : NULL;
}

/* "'pre', 'undo' or 'post'". Newly allocated, or NULL. */
static char *words_or(const char *const *words, size_t n, const char *last) {
        char *all = NULL;

        for (size_t i = 0; i < n; i++)
                (void) text_add(&all, i + 1 < n || last ? ", " : " or ", "'%s'", words[i]);
        if (last)
                (void) text_add(&all, " or ", "%s", last);
        return all;
}

/* last: what may be said besides the words; NULL: nothing. */
static ExitCode fail_word(const char *option, const char *const *words, size_t n, const char *last, const char *value, const char *near) {
        _cleanup_free_ char *wants = words_or(words, n, last), *hint = meant(near, words, n, sizeof(*words), "");

        return fail(CODE_USAGE, NULL, "--%s wants %s, not '%s'%s", option, wants ?: words[0], value, hint ?: "");
}

static ExitCode fail_value(const char *option, const char *value, const char *const *words, size_t n) {
        return fail_word(option, words, n, NULL, value, value);
}

/* One of two words. */
static ExitCode set_word(const char *option, const char *const words[static 2], const char *value, const char **ret) {
        if (!streq(value, words[0]) && !streq(value, words[1]))
                return fail_value(option, value, words, 2);
        *ret = value;
        return CODE_DONE;
}

static ExitCode set_zone_normal(Args *a, const char *value) {
        return set_word("zone-normal", (const char *const[]){ "try", "refuse" }, value, &a->zone_normal);
}

static ExitCode set_equal_card(Args *a, const char *value) {
        return set_word("equal-card", (const char *const[]){ "yes", "no" }, value, &a->equal_card);
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
                if (i < ELEMENTSOF(words))
                        continue;
                return fail_word("force", words, ELEMENTSOF(words), "several with commas", value, p);
        }
        a->force = value;
        return CODE_DONE;
}

static ExitCode set_mode(Args *a, const char *value) {
        return set_word("mode", (const char *const[]){ "block", "delay" }, value, &a->mode);
}

static ExitCode set_acknowledge(Args *a, const char *value) {
        static const char *const words[] = { "kernel-log" };

        if (!streq(value, words[0]))
                return fail_value("acknowledge", value, words, ELEMENTSOF(words));
        a->acknowledge = value;
        return CODE_DONE;
}

static ExitCode set_sanitize(Args *a, const char *value) {
        if (value && (!*value || *value == ',' || strstr(value, ",,") || value[strlen(value) - 1] == ','))
                return fail(CODE_USAGE, NULL, "--sanitize wants serial numbers with commas between them, not '%s'", value);
        a->sanitize = value ?: "yes";
        return CODE_DONE;
}

static ExitCode set_output(Args *a, const char *value) {
        if (!*value)
                return fail(CODE_USAGE, NULL, "--output wants the name of a file");
        a->output = streq(value, "-") ? NULL : value;
        return CODE_DONE;
}

static ExitCode set_phase(Args *a, const char *value) {
        const char *words[_HOOK_PHASE_MAX];

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                words[i] = hook_phase_to_string((HookPhase) i);
        if (hook_phase_from_string(value) < 0)
                return fail_value("phase", value, words, ELEMENTSOF(words));
        a->phase = value;
        return CODE_DONE;
}

static ExitCode set_json(Args *a, const char *value) {
        static const char *const words[_JSON_MODE_MAX] = JSON_WORDS;

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(value ?: "short", words[i])) {
                        output.json = (JsonMode) i;
                        return CODE_DONE;
                }
        return fail_value("json", value, words, ELEMENTSOF(words));
}

static bool is_json_word(const char *text) {
        static const char *const words[] = JSON_WORDS;

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(text, words[i]))
                        return true;
        return false;
}

static ExitCode set_host(Args *a, const char *value) {
        if (!*value || *value == '-' || *value == ':')
                return fail(CODE_USAGE, NULL, "--host wants [USER@]HOST[:PORT], not '%s'", value);
        client_set_host(value);
        return CODE_DONE;
}

const OptionRow option_rows[] = {
        { "plan", 'p', "DIGEST", "remove restore replace", set_digest, "only if the plan still has this digest" },
        { "grace", 'g', "SEC", "plan explain remove replace", NULL, "wait SEC after the announcement before taking anything away",
          NUMBER(grace_sec, SECONDS_MAX) },
        { "offline-timeout", 't', "SEC", "plan explain remove replace", NULL, "give up on a memory block after SEC",
          NUMBER(offline_timeout_sec, SECONDS_MAX) },
        { "zone-normal", 'z', "try|refuse", "plan explain remove replace", set_zone_normal, "what to do about memory in ZONE_NORMAL" },
        { "force", OPT_FORCE, "WORDS", "plan explain remove replace", set_force, "kill,shutdown,unmap,unproven,poison: what only force allows" },
        { "acknowledge", OPT_ACKNOWLEDGE, "kernel-log", "remove replace", set_acknowledge, "the kernel's errors are not about this card" },
        { "ignore-inhibitors", OPT_IGNORE_INHIBITORS, NULL, "plan explain remove replace", NULL, "whoever keeps it is not asked", FLAG(ignore_inhibitors) },
        { "sanitize", OPT_SANITIZE, "[SERIAL,...]", "plan explain remove replace", set_sanitize,
          "have the card erase itself; persistent data: give its serial" },
        { "equal-card", OPT_EQUAL_CARD, "yes|no", "restore replace", set_equal_card, "whether another card of the same make and size will do" },
        { "dry-run", OPT_DRY_RUN, NULL, "remove restore replace cancel self-test locate inhibit", NULL, "print what would be done, do nothing", FLAG(dry_run) },
        { "yes", 'y', NULL, "remove restore replace cancel self-test", NULL, "do not ask on a terminal whether to go ahead", FLAG(yes) },
        { "no-ask-password", OPT_NO_ASK_PASSWORD, NULL, "remove restore replace cancel self-test inhibit policy locate", NULL, "do not ask for authorization", FLAG(no_ask_password) },
        { "names", OPT_NAMES, NULL, "list", NULL, "every name that a card goes by, one a line (for completions)", FLAG(names) },
        { "no-wait", OPT_NO_WAIT, NULL, "remove restore cancel self-test", NULL, "return as soon as the request is accepted", FLAG(no_wait) },
        { "wait", OPT_WAIT, "SEC", "replace", NULL, "wait for the new card as long as this (default: 1800)", NUMBER(wait_sec, SECONDS_MAX) },
        { "for", OPT_FOR, "SEC", "locate", NULL, "blink as long as this (default: 60)", NUMBER(for_sec, LOCATE_MAX), .min = 1 },
        { "off", OPT_OFF, NULL, "locate", NULL, "blink no more", FLAG(off) },
        { "lines", 'n', "N", "history", NULL, "show the last N removals (0: all)", NUMBER(limit, LIMIT_MAX) },
        { "what", OPT_WHAT, "all|NAMES", "inhibit", NULL, "slots, ports, serial numbers (default: all)", TEXT(what) },
        { "who", OPT_WHO, "TEXT", "inhibit", NULL, "who you are (default: the command)", TEXT(who) },
        { "why", OPT_WHY, "TEXT", "inhibit", NULL, "the reason, for whoever wants to remove the card", TEXT(why) },
        { "mode", OPT_MODE, "block|delay", "inhibit", set_mode, "not at all (default), or not before the command has ended" },
        { "verify", OPT_VERIFY, NULL, "certificate", NULL, "check that no certificate is missing or altered", FLAG(verify) },
        { "with-power", OPT_WITH_POWER, NULL, "self-test", NULL, "switch its power off and on again, too", FLAG(with_power) },
        { "output", 'o', "FILE", "snapshot self-test metrics incident", set_output, "write it there: the recording, the report of a test, the text, or (a folder) an incident" },
        { "keep-names", OPT_KEEP_NAMES, NULL, "snapshot", NULL, "with names and serial numbers as they are", FLAG(keep_names) },
        { "phase", OPT_PHASE, "PHASE", "hook-test", set_phase, "query, pre, undo, post or restore: this phase alone" },
        { "host", 'H', "HOST", "list show plan explain remove restore replace cancel self-test locate status monitor watch history metrics verify certificate incident inhibitors holders", set_host,
          "on that machine, by ssh: [USER@]HOST[:PORT]" },
        { "json", 'j', "[pretty|short|off]", NULL, set_json, "JSON on standard output", .but = "watch metrics" },
        { "no-legend", OPT_NO_LEGEND, NULL, NULL, NULL, "no headers, no closing remarks", FLAG(no_legend), .but = "watch metrics" },
        { "no-pager", OPT_NO_PAGER, NULL, NULL, NULL, "do not show long output in a pager", FLAG(no_pager), .of_pages = true },
        { "no-color", OPT_NO_COLOR, NULL, NULL, NULL, "no color (as with NO_COLOR in the environment)", FLAG(no_color) },
        { "help", 'h', NULL, NULL, NULL, "this text", FLAG(help) },
        { "version", 'V', NULL, NULL, NULL, "print the version", FLAG(version) },
};

enum {
        OPTION_ROWS = ELEMENTSOF(option_rows),
};

const size_t option_rows_size = OPTION_ROWS;

static ExitCode set_row(const OptionRow *row, Args *a, const char *value) {
        uint64_t v;

        if (row->set)
                return row->set(a, value);
        if (row->text > 0) {
                *(const char **) (void *) ((char *) a + row->text) = value;
                return CODE_DONE;
        }
        if (row->max > 0) {
                if (parse_u64(value, &v) < 0 || v < row->min || v > row->max)
                        return fail(CODE_USAGE, NULL, "--%s wants a whole number from %u to %u, not '%s'", row->name, row->min, row->max, value);
                *(uint32_t *) (void *) ((char *) a + row->number) = (uint32_t) v;
        }
        *(bool *) ((char *) a + row->flag) = true;
        return CODE_DONE;
}

static bool has_word(const char *words, const char *word) {
        size_t n = strlen(word);

        for (const char *p = words; *p; p += strcspn(p, " "), p += strspn(p, " "))
                if (strcspn(p, " ") == n && strncmp(p, word, n) == 0)
                        return true;
        return false;
}

bool option_is_for(const OptionRow *row, const Verb *verb) {
        if (!verb)
                return true;
        return row->verbs ? has_word(row->verbs, verb->name) : !row->but || !has_word(row->but, verb->name);
}

static const OptionRow *row_by_letter(int letter) {
        for (size_t i = 0; i < OPTION_ROWS; i++)
                if (option_rows[i].letter == letter)
                        return &option_rows[i];
        return NULL;
}

static ExitCode fail_option(int c, const char *text, const Verb *verb) {
        const OptionRow *row = row_by_letter(optopt);
        const char *name = verb ? verb->name : "", *blank = verb ? " " : "";

        if (c == ':')
                return fail(CODE_USAGE, NULL, "option '--%s' needs a value: --%s=%s", row->name, row->name, row->value);
        if (row)
                return fail(CODE_USAGE, NULL, "option '--%s' takes no value", row->name);
        if (optopt)
                return fail(CODE_USAGE, NULL, "unknown option '-%c'; 'safe-remove %s%s--help' lists them", optopt, name, blank);
        _cleanup_free_ char *hint = meant(text + strspn(text, "-"), option_rows, OPTION_ROWS, sizeof(OptionRow), "--");
        if (hint)
                return fail(CODE_USAGE, NULL, "unknown option '%s'%s", text, hint);
        return fail(CODE_USAGE, NULL, "unknown option '%s'; 'safe-remove %s%s--help' lists them", text, name, blank);
}

typedef struct Grammar {
        struct option longs[OPTION_ROWS + 1];
        char shorts[3 * OPTION_ROWS + 3];
} Grammar;

/* `stops`: at the first operand, which belongs to somebody else together with all that follows. */
static Grammar grammar_make(bool stops) {
        Grammar g = { .shorts = { stops ? '+' : ':', ':' } };
        size_t n = stops ? 2 : 1;

        for (size_t i = 0; i < OPTION_ROWS; i++) {
                int has = !option_rows[i].value ? no_argument : option_rows[i].value[0] == '[' ? optional_argument : required_argument;
                g.longs[i] = (struct option){ option_rows[i].name, has, NULL, option_rows[i].letter };
                if (option_rows[i].letter >= 256)
                        continue;
                g.shorts[n++] = (char) option_rows[i].letter;
                for (int k = has; k > 0; k--)
                        g.shorts[n++] = ':';
        }
        g.shorts[n] = '\0';
        return g;
}

/* Of argv, whose first word is no option. Afterwards optind is the first operand. */
static ExitCode parse_options(int argc, char **argv, bool stops, Args *a, bool seen[static OPTION_ROWS]) {
        Grammar g = grammar_make(stops);

        optind = 0; /* from the beginning, whatever was read before */
        for (;;) {
                int c = getopt_long(argc, argv, g.shorts, g.longs, NULL);
                if (c < 0)
                        return CODE_DONE;
                if (c == ':' || c == '?')
                        return fail_option(c, argv[optind - 1], a->verb);

                const OptionRow *row = row_by_letter(c);
                seen[row - option_rows] = true;
                /* It would be a target more, and that card would be erased too. */
                if (c == OPT_SANITIZE && !optarg && optind < argc && argv[optind][0] != '-')
                        return fail(CODE_USAGE, NULL, "'--sanitize %s' is not clear: a serial number comes right after '=' (--sanitize=%s), and a target "
                                    "before --sanitize", argv[optind], argv[optind]);
                if (row->set == set_json && !optarg && optind < argc && is_json_word(argv[optind]))
                        return fail(CODE_USAGE, NULL, "'%s' is no operand: a form comes right after '=': --json=%s", argv[optind], argv[optind]);
                ExitCode code = set_row(row, a, optarg);
                if (code != CODE_DONE)
                        return code;
        }
}

static ExitCode find_verb(const Verb *verbs, const char *name, const Verb **ret) {
        for (const Verb *v = verbs; v->name; v++)
                if (streq(v->name, name)) {
                        *ret = v;
                        return CODE_DONE;
                }

        if (streq(name, "help") || streq(name, "version"))
                return fail(CODE_USAGE, NULL, "'%s' is an option: safe-remove --%s", name, name);
        _cleanup_free_ char *names = NULL;
        size_t n = 0;
        for (const Verb *v = verbs; v->name; v++, n++)
                (void) text_add(&names, ", ", "%s", v->name);
        _cleanup_free_ char *hint = meant(name, verbs, n, sizeof(Verb), "");
        return fail(CODE_USAGE, NULL, "unknown verb '%s'%s%s", name, hint ?: "; there are: ", hint ? "" : names ?: "");
}

/* Of a verb that only says where the rest is to be done: a verb with its options, or none. */
static ExitCode find_inner_verb(const Verb *verbs, int *argc, char ***argv, Args *a, bool seen[static OPTION_ROWS]) {
        ExitCode code = parse_options(*argc, *argv, true, a, seen);

        if (code != CODE_DONE || optind >= *argc)
                return code;
        *argv += optind;
        *argc -= optind;
        a->machine = **argv;
        a->verb = NULL;
        code = parse_options(*argc, *argv, true, a, seen);
        *argv += optind;
        *argc -= optind;
        return code == CODE_DONE && *argc > 0 ? find_verb(verbs, **argv, &a->verb) : code;
}

static ExitCode check_operands(const Verb *verb, int n, char **operands) {
        if (verb->operand_required && n < 1)
                return fail(CODE_USAGE, NULL, "'%s' needs %s %s, such as: safe-remove %s %s", verb->name,
                            strchr("AEIOU", verb->operand[0]) ? "an" : "a", verb->operand, verb->name, verb->example ?: "2");
        if (!verb->operand && n > 0)
                return fail(CODE_USAGE, NULL, "'%s' takes no operand; '%s' is one too many", verb->name, operands[0]);
        if (n > 1 && !verb->several)
                return fail(CODE_USAGE, NULL, "'%s' takes one %s; '%s' is one too many", verb->name, verb->operand,
                            operands[1]);
        for (int i = 0; i < n; i++)
                if (operands[i][0] == '\0')
                        return fail(CODE_USAGE, NULL, "the %s of '%s' is empty", verb->operand, verb->name);
        for (int i = 0; i < n && !verb->command; i++)
                if (strlen(operands[i]) > OPERAND_MAX)
                        return fail(CODE_USAGE, NULL, "the %s of '%s' is longer than %d bytes: no name is", verb->operand, verb->name, OPERAND_MAX);
        return CODE_DONE;
}

/* The command alone has only what all have. */
static const Verb no_verb = { .name = "" };

/* What somebody wants who asks for it all the same. */
static const struct {
        const char *verb, *option, *hint;
} instead[] = {
        { .verb = "metrics", .option = "json", .hint = "it has the one form that Prometheus reads; the same as JSON: safe-remove list, plan, history --json" },
        { .verb = "watch", .option = "json", .hint = "it is for people; the same as JSON: safe-remove monitor --json" },
        { .verb = "replace", .option = "no-wait", .hint = "waiting for the new card is what it does; without that it is 'safe-remove remove TARGET --no-wait', and 'safe-remove restore "
          "TARGET' when the card is in" },
};

/* The first verb that has it, as it is typed. */
static ExitCode fail_without_verb(const Verb *verbs, const OptionRow *row) {
        const Verb *v = verbs;

        while (v->name && !has_word(row->verbs, v->name))
                v++;
        bool has_value = row->value && *row->value != '[';
        _cleanup_free_ char *option = strf(" --%s%s%s", row->name, has_value ? "=" : "", has_value ? row->value : "");
        _cleanup_free_ char *operand = strf("%s%s", v->operand_required ? " " : "", v->operand_required ? v->example ?: "2" : "");
        return fail(CODE_USAGE, NULL, "'--%s' needs a verb, such as: safe-remove %s%s%s; 'safe-remove --help' lists them", row->name, v->name,
                    v->command ? option : operand, v->command ? operand : option);
}

static ExitCode check_options(const Verb *verbs, const Verb *verb, const bool seen[static OPTION_ROWS]) {
        for (size_t i = 0; i < OPTION_ROWS; i++) {
                if (!seen[i] || option_is_for(&option_rows[i], verb))
                        continue;
                if (!*verb->name)
                        return fail_without_verb(verbs, &option_rows[i]);
                for (size_t k = 0; k < ELEMENTSOF(instead); k++)
                        if (streq(verb->name, instead[k].verb) && streq(option_rows[i].name, instead[k].option))
                                return fail_with_hint(CODE_USAGE, NULL, instead[k].hint, "'%s' has no option '--%s'", verb->name, option_rows[i].name);
                return fail(CODE_USAGE, NULL, "'%s' has no option '--%s'; 'safe-remove %s --help' lists those it has", verb->name,
                            option_rows[i].name, verb->name);
        }
        return CODE_DONE;
}

ExitCode args_parse(const Verb *verbs, int argc, char **argv, Args *ret) {
        bool seen[OPTION_ROWS] = { false };
        const Verb *outer = NULL;
        Args a = { 0 };

        /* Up to the verb, which says how the rest is to be read. */
        opterr = 0;
        ExitCode code = parse_options(argc, argv, true, &a, seen);
        argc -= optind;
        argv += optind;
        if (code == CODE_DONE && argc > 0)
                code = find_verb(verbs, argv[0], &a.verb);
        if (code == CODE_DONE && a.verb && a.verb->refuses) {
                outer = a.verb;
                code = find_inner_verb(verbs, &argc, &argv, &a, seen);
                outer = a.machine ? outer : NULL;
        }
        if (code == CODE_DONE && a.verb)
                code = parse_options(argc, argv, a.verb->command, &a, seen);
        if (code != CODE_DONE)
                return code;

        if (!a.help && !a.version) {
                const char *why = outer ? outer->refuses(&a) : NULL;
                if (why)
                        return fail_with_hint(CODE_USAGE, NULL, "see: safe-remove simulate --help", "'%s' has no '%s': %s", outer->name,
                                              client_host() ? "--host" : a.verb->name, why);
                code = check_options(verbs, a.verb ?: &no_verb, seen);
                if (code == CODE_DONE && a.verb)
                        code = check_operands(a.verb, argc - optind, argv + optind);
                if (code != CODE_DONE)
                        return code;
        }
        if (a.verb) {
                a.target = argv[optind];
                a.targets = argv + optind;
                a.n_targets = (size_t) (argc - optind);
        }
        *ret = a;
        return CODE_DONE;
}
