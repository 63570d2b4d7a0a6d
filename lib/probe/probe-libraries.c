/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A second witness: libcxl, libdaxctl and libndctl read the kernel with eyes of their own. They may be late, since they wait for udev: nobody waits for
 * them before the light, and one that has something against it afterwards has it withdrawn (libraries_late()). */
#include <errno.h>

#include "base/clock.h"
#include "kernel/cxl/libraries.h"
#include "kernel/cxl/library.h"
#include "kernel/cxl/testimony.h"
#include "probe/probe.h"

enum {
        TOLD_MAX = 8,           /* in words; a card has many devices, and a library may see each of them */
};

/* What was asked about a slot, until there is something against it. */
typedef struct Asked Asked;
struct Asked {
        char *slot;
        Libraries *libraries;
        Asked *next;
};

static Asked *asked;

/* "slot" -> what was found against it, until those who have said it take it back. The proof is asked several times in a row. */
static json_object *against;

static const char *slot_of(json_object *scope) {
        return json_str(scope, "slot") ?: "";
}

static void remember_against(json_object *scope, json_object *found) {
        if (!against)
                against = json_object_new_object();
        if (testimony_contradiction(found))
                json_set(against, slot_of(scope), json_ref(found));
        else
                json_set(against, slot_of(scope), json_object_new_array()); /* it is taken back */
}

static void forget(json_object *scope) {
        for (Asked **a = &asked; *a; a = &(*a)->next) {
                if (!streq((*a)->slot, slot_of(scope)))
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
                if (streq(a->slot, slot_of(scope)))
                        return a;
        return NULL;
}

static int remember(json_object *scope, Libraries *libraries) {
        Asked *a = calloc(1, sizeof(*a));
        char *slot = strdup(slot_of(scope));

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
        Asked *a = find(scope);
        _cleanup_json_ json_object *seen = a ? libraries_seen(a->libraries) : NULL;

        return testimony_left(scope, seen);
}

/* Of the machine as it is, so that one question is about all cards. They have all of their time. */
static int ask_now(Libraries **ret) {
        _cleanup_json_ json_object *none = json_object_new_array();

        int r = libraries_ask(none, ret);
        if (r >= 0)
                (void) libraries_hear(*ret, LIBRARY_USEC);
        return r;
}

/* Something of it may have been on its way out still. What was found before, by what they see now. */
static json_object *found_again(json_object *scope, json_object *before, json_object *seen) {
        json_object *found = testimony_left(scope, seen);

        testimony_add_standing(found, before, seen);
        return found;
}

/* All that they have to say, in words, or where any of them contradicts what those say who do; NULL: nothing. */
static char *in_words(json_object *found) {
        bool contradicted = testimony_contradiction(found);
        char *words = NULL;
        size_t n = 0;

        for (size_t i = 0; i < json_len(found); i++) {
                json_object *said = json_at(found, i);
                if ((contradicted && !json_flag(said, "contradicts")) || n++ >= TOLD_MAX)
                        continue;
                (void) text_add(&words, "; ", "%s", json_str(said, "text"));
        }
        if (n > TOLD_MAX)
                (void) text_add(&words, "; ", "and %zu things more", n - TOLD_MAX);
        return words;
}

/* What stands against the card from an earlier question: of this process, or of another one of this removal or of the one that is being finished,
 * which wrote it down. Borrowed. */
static json_object *said_before(json_object *scope) {
        return json_get(against, slot_of(scope)) ?: json_array(scope, "libraries_against");
}

json_object *libraries_standing(json_object *scope) {
        json_object *found = json_get(against, slot_of(scope));

        return found ? testimony_contradictions(found) : NULL;
}

static int ask(json_object *scope, char **ret_answer) {
        if (!find(scope)) {
                int r = put_question(scope, NULL);
                if (r < 0)
                        return r;
                (void) libraries_hear_unless_busy(find(scope)->libraries);
        }
        (void) libraries_hear(find(scope)->libraries, 0);

        _cleanup_json_ json_object *heard = libraries_seen(find(scope)->libraries), *first = found_again(scope, said_before(scope), heard),
                                   *found = testimony_contradiction(first) ? NULL : json_ref(first), *seen = NULL;
        if (!found) {
                _cleanup_(libraries_freep) Libraries *again = NULL;
                if (ask_now(&again) >= 0)
                        seen = libraries_seen(again);
                found = found_again(scope, first, seen);
                forget(scope);
                if (!testimony_contradiction(found) && remember(scope, TAKE_PTR(again)) < 0)
                        return -ENOMEM;
        }
        remember_against(scope, found);
        *ret_answer = in_words(found);
        return !testimony_contradiction(found);
}

/* What became of those who had not said all for the light, by what was found then and what is found now. NULL: there is nothing to say. */
static json_object *late_word(json_object *before, json_object *found) {
        bool says = testimony_contradiction(found);
        _cleanup_free_ char *words = in_words(found);
        json_object *o;

        for (size_t i = 0; i < json_len(before) && !says; i++) {
                const char *library = json_str(json_at(before, i), "library");
                if (!json_find(found, "library", library)) /* it says nothing of it any more */
                        (void) text_add(&words, "; ", "%s has answered late, and agrees", library);
        }
        if (!words && !says)
                return NULL;
        o = json_object_new_object();
        json_set_bool(o, "contradicts", says);
        json_set_str(o, "text", words ?: "out of memory");
        if (says)
                json_set(o, "libraries_against", testimony_contradictions(found));
        return o;
}

static json_object *could_not_ask(int error) {
        json_object *o = json_object_new_object();

        json_set_bool(o, "contradicts", false);
        json_set_strf(o, "text", "libcxl, libdaxctl and libndctl could not be asked: %s", strerror(-error));
        return o;
}

/* What they have to say of each scope that is open. NULL: they could not be asked. */
static json_object *found_of(json_object *scopes, json_object *open, int *ret_error) {
        _cleanup_(libraries_freep) Libraries *first = NULL, *second = NULL;
        _cleanup_json_ json_object *seen = NULL, *again = NULL;

        *ret_error = ask_now(&first);
        if (*ret_error < 0)
                return NULL;
        json_object *all = json_object_new_array();
        seen = libraries_seen(first);
        for (size_t i = 0; i < json_len(scopes); i++) {
                json_object *scope = json_at(scopes, i), *found = json_at(open, i) ? testimony_left(scope, seen) : NULL;
                if (testimony_contradiction(found)) {
                        _cleanup_json_ json_object *before = found;
                        if (!second && ask_now(&second) >= 0)
                                again = libraries_seen(second);
                        found = found_again(scope, before, again);
                }
                json_object_array_add(all, found);
        }
        return all;
}

json_object *libraries_late(json_object *scopes) {
        json_object *late = json_object_new_array();
        _cleanup_json_ json_object *open = json_object_new_array(), *found = NULL; /* open: what was found for the light, where that was not all */
        bool any = false;
        int error = 0;

        for (size_t i = 0; i < json_len(scopes); i++) {
                Asked *a = find(json_at(scopes, i));
                bool is_open = !a || !libraries_have_answered(a->libraries);
                json_object_array_add(open, is_open ? found_left(json_at(scopes, i)) : NULL);
                any = any || is_open;
        }
        /* Who was late has all of its time once more: a second that the power-off took may be most of it. */
        if (any)
                found = found_of(scopes, open, &error);
        for (size_t i = 0; i < json_len(scopes); i++)
                json_object_array_add(late, !json_at(open, i) ? NULL : found ? late_word(json_at(open, i), json_at(found, i)) : could_not_ask(error));
        return late;
}

const Probe probe_libraries = {
        .name = "libraries",
        .question = "do libcxl, libdaxctl and libndctl see nothing of the card",
        .ask = ask,
};
