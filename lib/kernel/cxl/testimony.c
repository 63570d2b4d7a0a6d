/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/span.h"
#include "kernel/cxl/testimony.h"

typedef struct Kind {
        const char *library, *list;
        const char *numbers[2], *words[2];      /* keys that must be the same where both know them */
} Kind;

static const Kind kinds[] = {
        { "libcxl", "memdevs", { NULL }, { "bdf", "serial" } },
        { "libcxl", "regions", { "start", "size" }, { NULL } },
        { "libdaxctl", "daxes", { "start", "size" }, { NULL } },
        { "libndctl", "namespaces", { "size" }, { "region" } },
        { "libndctl", "nmems", { NULL }, { "id" } },
};

/* What it does, in words; taken over. */
static void add(json_object *found, json_object *answer, bool contradicts, char *does) {
        const char *library = json_str(answer, "library") ?: "a library without a name";
        _cleanup_free_ char *owned = does;
        json_object *o = json_object_new_object();

        json_set_str(o, "library", library);
        json_set_bool(o, "contradicts", contradicts);
        json_set_strf(o, "text", "%s %s", library, owned ?: "says something for which there is no memory");
        json_object_array_add(found, o);
}

static bool is_known(json_object *o, const char *key, json_type type) {
        return json_object_is_type(json_get(o, key), type);
}

static bool is_on_ranges(json_object *card, json_object *o) {
        json_object *ranges = json_array(card, "ranges");

        for (size_t i = 0; i < json_len(ranges); i++) {
                json_object *range = json_at(ranges, i);
                if (!json_flag(range, "goes_with_power") &&
                    span_overlaps(json_u64(o, "start"), json_u64(o, "size"), json_u64(range, "start"), json_u64(range, "size")))
                        return true;
        }
        return false;
}

/* By what the library says of it. */
static bool is_said_to_be_cards(json_object *ours, json_object *theirs) {
        json_object *targets = json_array(theirs, "targets"), *memdevs = json_array(ours, "memdevs");

        if (json_has_string(json_array(ours, "functions"), json_str(theirs, "bdf")) || is_on_ranges(ours, theirs))
                return true;
        for (size_t i = 0; i < json_len(targets); i++)
                if (json_flag(json_find(memdevs, "name", json_str(json_at(targets, i), "memdev")), "card"))
                        return true;
        return false;
}

static json_object *target_at(json_object *targets, uint64_t position) {
        for (size_t i = 0; i < json_len(targets); i++)
                if (json_u64(json_at(targets, i), "position") == position)
                        return json_at(targets, i);
        return NULL;
}

static bool is_other_word(json_object *ours, json_object *theirs, const char *key) {
        return is_known(ours, key, json_type_string) && is_known(theirs, key, json_type_string) && !streq(json_str(ours, key), json_str(theirs, key));
}

static void compare_targets(json_object *found, json_object *answer, json_object *ours, json_object *theirs) {
        json_object *here = json_array(ours, "targets"), *there = json_array(theirs, "targets");
        const char *name = json_str(theirs, "name");

        if (!here || !there)
                return;
        if (json_len(here) != json_len(there))
                add(found, answer, true, strf("reads %zu targets of %s, and the kernel shows us %zu", json_len(there), name, json_len(here)));
        for (size_t i = 0; i < json_len(there); i++) {
                json_object *o = json_at(there, i), *t = target_at(here, json_u64(o, "position"));
                if (t && !is_other_word(t, o, "decoder") && !is_other_word(t, o, "memdev"))
                        continue;
                add(found, answer, true, strf("reads %s of %s as target %ju of %s, and the kernel shows us %s of %s", json_str(o, "decoder") ?: "?",
                                              json_str(o, "memdev") ?: "?", (uintmax_t) json_u64(o, "position"), name,
                                              json_str(t, "decoder") ?: "none", json_str(t, "memdev") ?: "none"));
        }
}

static void compare(const Kind *kind, json_object *found, json_object *answer, json_object *ours, json_object *theirs) {
        const char *name = json_str(theirs, "name");

        for (size_t i = 0; i < ELEMENTSOF(kind->words) && kind->words[i]; i++)
                if (is_other_word(ours, theirs, kind->words[i]))
                        add(found, answer, true, strf("reads %s as the %s of %s, and the kernel shows us %s", json_str(theirs, kind->words[i]),
                                                      kind->words[i], name, json_str(ours, kind->words[i])));
        for (size_t i = 0; i < ELEMENTSOF(kind->numbers) && kind->numbers[i]; i++) {
                const char *key = kind->numbers[i];
                uint64_t here = json_u64(ours, key), there = json_u64(theirs, key);
                if (is_known(ours, key, json_type_int) && is_known(theirs, key, json_type_int) && here != there)
                        add(found, answer, true, strf("reads 0x%jx as the %s of %s, and the kernel shows us 0x%jx", (uintmax_t) there, key, name,
                                                      (uintmax_t) here));
        }
        compare_targets(found, answer, ours, theirs);
}

/* What the library has of the card, and what it has not. */
static void compare_lists(const Kind *kind, json_object *found, json_object *answer, json_object *ours) {
        json_object *here = json_array(ours, kind->list), *there = json_array(answer, kind->list), *said = json_array(answer, "said");

        for (size_t i = 0; i < json_len(there); i++) {
                json_object *theirs = json_at(there, i), *same = json_find(here, "name", json_str(theirs, "name"));
                if (json_flag(same, "card"))
                        compare(kind, found, answer, same, theirs);
                else if (is_said_to_be_cards(ours, theirs))
                        add(found, answer, true, strf(same ? "sees %s as the card's, and the kernel shows us that it is not" :
                                                             "sees %s on the card, which the kernel does not show us",
                                                      json_str(theirs, "name") ?: "something without a name"));
        }
        for (size_t i = 0; i < json_len(here); i++) {
                json_object *o = json_at(here, i);
                const char *name = json_str(o, "name");
                if (!json_flag(o, "card") || json_find(there, "name", name))
                        continue;
                /* One that has logged an error may have left out what it does not see. */
                add(found, answer, json_len(said) == 0, strf("does not see %s", name ?: "?"));
        }
}

static bool has_any(json_object *ours, const char *library) {
        for (size_t k = 0; k < ELEMENTSOF(kinds); k++) {
                json_object *list = streq(kinds[k].library, library) ? json_array(ours, kinds[k].list) : NULL;
                for (size_t i = 0; i < json_len(list); i++)
                        if (json_flag(json_at(list, i), "card"))
                                return true;
        }
        return false;
}

/* Why there may be more than it has said, in words. NULL: there is nothing that it has not said. */
static char *why_not_all(json_object *answer) {
        json_object *lines = json_array(answer, "said");
        const char *silent = json_str(answer, "silent");
        _cleanup_free_ char *said = json_joined(lines, NULL, "; ");

        if (silent)
                return strf("%s", silent);
        return json_len(lines) > 0 ? strf("may have left something out: %s", said && *said ? said : "?") : NULL;
}

/* Each that has not said all, once. */
static void add_notes(json_object *found, json_object *theirs) {
        for (size_t i = 0; i < json_len(theirs); i++) {
                char *why = why_not_all(json_at(theirs, i));
                if (why)
                        add(found, json_at(theirs, i), false, why);
        }
}

json_object *testimony_against(json_object *ours, json_object *theirs) {
        json_object *found = json_object_new_array();
        _cleanup_json_ json_object *of_card = json_object_new_array();

        if (!json_object_is_type(theirs, json_type_array))
                return found;
        for (size_t k = 0; k < ELEMENTSOF(kinds); k++) {
                json_object *answer = json_find(theirs, "library", kinds[k].library);
                if (!json_array(answer, kinds[k].list))
                        continue;
                compare_lists(&kinds[k], found, answer, ours);
        }
        /* Of a network card nobody has to hear that libndctl is silent. */
        for (size_t i = 0; i < json_len(theirs); i++)
                if (has_any(ours, json_str(json_at(theirs, i), "library") ?: ""))
                        json_object_array_add(of_card, json_ref(json_at(theirs, i)));
        add_notes(found, of_card);
        return found;
}

/* Names are given out again, and so are addresses of PCI functions, but not in the same slot while it has no power. */
static bool is_left_memdev(json_object *scope, json_object *memdev) {
        const char *bdf = json_str(memdev, "bdf"), *address = json_str(scope, "address");

        if (bdf)
                return json_has_string(json_array(scope, "functions"), bdf) || (address && *address && startswith(bdf, address));
        return json_find(json_array(scope, "memdevs"), "serial", json_str(memdev, "serial"));
}

static bool is_left(json_object *scope, const char *list, json_object *o) {
        if (streq(list, "memdevs"))
                return is_left_memdev(scope, o);
        if (streq(list, "nmems") || (streq(list, "daxes") && !json_flag(o, "driven")))
                return false;
        return (streq(list, "daxes") || json_len(json_array(scope, "functions")) > 0) && is_on_ranges(scope, o);
}

static bool is_memory(json_object *scope) {
        json_object *ranges = json_array(scope, "ranges");

        for (size_t i = 0; i < json_len(ranges); i++)
                if (!json_flag(json_at(ranges, i), "goes_with_power"))
                        return true;
        return json_len(json_array(scope, "memdevs")) > 0 || json_flag(scope, "memory_unknown");
}

json_object *testimony_left(json_object *scope, json_object *theirs) {
        json_object *found = json_object_new_array();

        if (!json_object_is_type(theirs, json_type_array))
                return found;
        for (size_t k = 0; k < ELEMENTSOF(kinds); k++) {
                json_object *answer = json_find(theirs, "library", kinds[k].library), *list = json_array(answer, kinds[k].list);
                for (size_t i = 0; i < json_len(list); i++) {
                        json_object *o = json_at(list, i);
                        const char *name = json_str(o, "name") ?: "something without a name", *serial = json_str(o, "serial");
                        if (!is_left(scope, kinds[k].list, o))
                                continue;
                        add(found, answer, true, json_has(o, "start") ? strf("sees %s at 0x%jx", name, (uintmax_t) json_u64(o, "start")) :
                                                 serial ? strf("sees %s with serial %s", name, serial) : strf("sees %s", name));
                }
        }
        if (is_memory(scope))
                add_notes(found, theirs);
        return found;
}

static bool has_lists(json_object *answer) {
        const char *library = json_str(answer, "library");

        for (size_t k = 0; k < ELEMENTSOF(kinds); k++)
                if (streq_ptr(kinds[k].library, library) && !json_array(answer, kinds[k].list))
                        return false;
        return library;
}

static const char *first_said(json_object *found) {
        return json_str(found, "said") ?: json_str(found, "text") ?: "?";
}

static bool has_said(json_object *list, json_object *found) {
        for (size_t i = 0; i < json_len(list); i++)
                if (streq_ptr(json_str(json_at(list, i), "library"), json_str(found, "library")) &&
                    streq(first_said(json_at(list, i)), first_said(found)))
                        return true;
        return false;
}

void testimony_add_standing(json_object *found, json_object *earlier, json_object *theirs) {
        for (size_t i = 0; i < json_len(earlier); i++) {
                json_object *e = json_at(earlier, i), *answer = json_find(theirs, "library", json_str(e, "library") ?: "");
                _cleanup_free_ char *why = why_not_all(answer);
                if (!json_flag(e, "contradicts") || (has_lists(answer) && !why) || has_said(found, e))
                        continue;
                json_object *o = json_object_new_object();
                json_set_str(o, "library", json_str(e, "library"));
                json_set_bool(o, "contradicts", true);
                json_set_str(o, "said", first_said(e));
                json_set_strf(o, "text", "%s; asked again it %s", first_said(e), why ?: "has not answered");
                json_object_array_add(found, o);
        }
}

json_object *testimony_contradictions(json_object *found) {
        json_object *all = json_object_new_array();

        for (size_t i = 0; i < json_len(found); i++) {
                json_object *said = json_at(found, i);
                if (!json_flag(said, "contradicts") || has_said(all, said))
                        continue;
                json_object *o = json_object_new_object();
                json_set_str(o, "library", json_str(said, "library"));
                json_set_bool(o, "contradicts", true);
                json_set_str(o, "text", first_said(said));
                json_object_array_add(all, o);
        }
        return all;
}

json_object *testimony_contradiction(json_object *found) {
        for (size_t i = 0; i < json_len(found); i++)
                if (json_flag(json_at(found, i), "contradicts"))
                        return json_at(found, i);
        return NULL;
}
