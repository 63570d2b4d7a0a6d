/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A second witness: libcxl, libdaxctl and libndctl read the kernel with eyes of their own. They may be late, since they wait for udev: nobody waits for
 * them in front of the light, and one that has something against it afterwards has it withdrawn (libraries_late()). */
#include <errno.h>

#include "base/clock.h"
#include "kernel/cxl/libraries.h"
#include "kernel/cxl/library.h"
#include "kernel/cxl/testimony.h"
#include "probe/probe.h"

/* What was asked about a slot, until there is something against it. */
typedef struct Asked Asked;
struct Asked {
        char *slot;
        Libraries *libraries;
        Asked *next;
};

static Asked *asked;

static void forget(json_object *scope) {
        for (Asked **a = &asked; *a; a = &(*a)->next) {
                if (!streq((*a)->slot, json_str(scope, "slot") ?: ""))
                        continue;
                Asked *forgotten = *a;
                *a = forgotten->next;
                libraries_free(forgotten->libraries);
                free(forgotten->slot);
                free(forgotten);
                return;
        }
}

static Asked *find(json_object *scope) {
        for (Asked *a = asked; a; a = a->next)
                if (streq(a->slot, json_str(scope, "slot") ?: ""))
                        return a;
        return NULL;
}

static int remember(json_object *scope, Libraries *libraries) {
        Asked *a = calloc(1, sizeof(*a));
        char *slot = strdup(json_str(scope, "slot") ?: "");

        if (!a || !slot) {
                free(a);
                free(slot);
                libraries_free(libraries);
                return -ENOMEM;
        }
        *a = (Asked) { .slot = slot, .libraries = libraries, .next = asked };
        asked = a;
        return 0;
}

static int put_question(json_object *scope, json_object *gone) {
        _cleanup_json_ json_object *none = json_object_new_array();
        Libraries *libraries = NULL;

        forget(scope);
        int r = libraries_ask(gone ?: none, &libraries);
        return r < 0 ? r : remember(scope, libraries);
}

void libraries_begin(json_object *scope) {
        (void) put_question(scope, json_array(scope, "functions")); /* else the proof asks */
}

static json_object *found_left(json_object *scope) {
        _cleanup_json_ json_object *seen = libraries_seen(find(scope)->libraries);

        return testimony_left(scope, seen);
}

/* All that they have to say, in words; NULL: nothing. */
static char *in_words(json_object *found) {
        char *words = NULL;

        for (size_t i = 0; i < json_len(found); i++) {
                char *longer = strf("%s%s%s", words ?: "", words ? "; " : "", json_str(json_at(found, i), "text"));
                free(words);
                words = longer;
        }
        return words;
}

/* Does it say anything of it, or is it silent? */
static bool speaks_of_it(json_object *found, const char *library) {
        for (size_t i = 0; i < json_len(found); i++)
                if (streq_ptr(json_str(json_at(found, i), "library"), library))
                        return true;
        return false;
}

/* Something of it may have been on its way out still. Who does not answer this time has taken nothing back. */
static int ask_again(json_object *scope, json_object *said, char **ret_answer) {
        int r = put_question(scope, NULL);
        bool all = r >= 0 && libraries_hear(find(scope)->libraries, LIBRARY_USEC);
        _cleanup_json_ json_object *found = all ? found_left(scope) : NULL;
        json_object *says = testimony_contradiction(found);

        if (found && !says && !speaks_of_it(found, json_str(said, "library")))
                return 1;
        *ret_answer = strdup(json_str(says ?: said, "text"));
        forget(scope);
        return 0;
}

static int judge(json_object *scope, char **ret_answer) {
        _cleanup_json_ json_object *found = found_left(scope);
        json_object *said = testimony_contradiction(found);

        if (said)
                return ask_again(scope, said, ret_answer);
        *ret_answer = in_words(found);
        return 1;
}

static int ask(json_object *scope, char **ret_answer) {
        if (!find(scope)) {
                int r = put_question(scope, NULL);
                if (r < 0)
                        return r;
                (void) libraries_hear_unless_busy(find(scope)->libraries);
        }
        (void) libraries_hear(find(scope)->libraries, 0);
        return judge(scope, ret_answer);
}

int libraries_late(json_object *scope, char **ret_answer) {
        _cleanup_free_ char *answer = NULL;

        if (!find(scope))
                return 1;
        /* Who was late has all of its time once more: a second that the power-off took may be most of it. */
        int r = libraries_have_spoken(find(scope)->libraries) ? 0 : put_question(scope, NULL);
        if (r < 0)
                return 1;
        (void) libraries_hear(find(scope)->libraries, LIBRARY_USEC);
        r = judge(scope, &answer);
        if (r == 0)
                *ret_answer = TAKE_PTR(answer);
        return r;
}

const Probe probe_libraries = {
        .name = "libraries",
        .question = "do libcxl, libdaxctl and libndctl see nothing of the card either",
        .ask = ask,
};
