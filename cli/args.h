/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "exit-code.h"

typedef struct Verb Verb;

/* The command line, parsed and checked. Strings belong to argv. */
typedef struct Args {
        const Verb *verb;
        const char *machine;            /* a recorded one, of which the rest is; or NULL */
        const char *target;             /* the verb's first operand, or NULL */
        char **targets;                 /* all of them */
        size_t n_targets;
        const char *digest;
        const char *output;             /* a file */
        const char *zone_normal;
        const char *force;              /* words with commas between them */
        const char *equal_card;
        const char *acknowledge;
        const char *what, *who, *why, *mode; /* of an inhibitor; NULL: not said */
        const char *sanitize;           /* "yes", or serial numbers with commas between them */
        const char *self_test;          /* "held", "power": no removal, but a test */
        const char *phase;              /* of a hook */
        uint32_t grace_sec, offline_timeout_sec, limit, for_sec, wait_sec;
        bool has_grace_sec, has_offline_timeout_sec, has_limit, has_for_sec, has_wait_sec;
        bool no_wait, dry_run, with_power, off, ignore_inhibitors, yes, names, no_ask_password, verify, keep_names, no_legend, no_color, no_pager;
        bool help, version;
} Args;

/* Where --help lists it. */
typedef enum VerbGroup {
        VERB_LOOKS,
        VERB_CHANGES,
        VERB_FOLLOWS,
        VERB_SETS_UP,
        _VERB_GROUP_MAX,
} VerbGroup;

/* A row needs its first five columns; the rest is named where it is not 0. */
struct Verb {
        const char *name;
        const char *operand;            /* "TARGET", "[ID|TARGET]", NULL: takes none */
        bool operand_required;
        const char *help;
        ExitCode (*run)(const Args *a);
        bool several;                   /* takes more than one operand: cards that go together */
        bool command;                   /* its operands are a COMMAND: an option behind the first is that command's */
        bool pages;                     /* prints a document and ends: wrapped on a terminal, and in a pager if it is long */
        VerbGroup group;
        ExitCode codes[12];             /* what it may return beside those that every verb may return (0 1 64 69 75 77); for --help */
        const char *(*refuses)(const Args *a); /* after its operand comes a command line, or nothing; why not this one, NULL: it is taken */
        const char *example;            /* an operand; NULL: "2" */
};

/* verbs: all there are, after them one without a name. On anything but CODE_DONE the error has been printed. Sets the output mode as soon as it is known, so that later
 * errors come in the form that was asked for. */
ExitCode args_parse(const Verb *verbs, int argc, char **argv, Args *ret);

/* One row per option: what getopt_long() gets, what --help says, and which verbs take it all come from here. */
typedef struct OptionRow {
        const char *name;
        int letter;             /* above every character: without a short form */
        const char *value;      /* "[...]": optional */
        const char *verbs;      /* NULL: all; else words with blanks between them */
        ExitCode (*set)(Args *a, const char *value);
        const char *help;
        size_t flag;            /* without a function: where the word is that it sets, */
        size_t number;          /* and the number, if max says that it is one */
        uint32_t min, max;
        size_t text;            /* or where its value is to be found as it is */
        const char *but;        /* verbs that do not take it, where all others do */
        bool of_pages;          /* those that print no pages take it, too, and have no use for it: --help does not tell of it there */
} OptionRow;

extern const OptionRow option_rows[];
extern const size_t option_rows_size;

/* Whether this verb takes it; NULL: any. */
bool option_is_for(const OptionRow *row, const Verb *verb);

/* Of one of them; NULL: of all. In cli/text/help.c. */
void args_print_help(const Verb *verbs, const Verb *verb);
