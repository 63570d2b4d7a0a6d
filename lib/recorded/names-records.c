/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is recorded of removals on record, with their words left out: what they say of users, hooks and processes is anybody's. What is not known to be
 * nobody's name is left out, too. */
#include <errno.h>

#include "base/parse.h"
#include "recorded/names-json.h"
#include "recorded/names-private.h"

#define WITHHELD "(not shown)"

/* Words of our own, and numbers. */
static const char *const own_keys[] = { "ev", "schema", "n", "usec", "monotonic_usec", "kind", "of", "trigger", "outcome", "code", NULL };

/* What has names in it that have others in their place. */
static const char *const named_keys[] = { "slot", "slots", "card", NULL };

static const char *const plan_keys[] = { "schema", "kind", "trigger", "verdict", NULL }, *const plan_named_keys[] = { "slot", "slots", NULL };

static void copy_keys(json_object *to, json_object *from, const char *const *keys) {
        for (; *keys; keys++)
                if (json_has(from, *keys))
                        json_set(to, *keys, json_ref(json_get(from, *keys)));
}

/* Serial numbers with commas between them, which have others in their place; what else it is, nobody knows. Newly allocated, or NULL. */
static char *serials_of(Names *n, const char *text) {
        _cleanup_json_ json_object *serials = json_object_new_array();
        _cleanup_free_ char *copy = strdup(text);
        char *rest = copy;
        uint64_t number;

        for (char *word; (word = strsep(&rest, ","));) {
                _cleanup_json_ json_object *real = json_object_new_object();
                if (parse_u64(word, &number) < 0)
                        return strdup(WITHHELD);
                json_set_str(real, "serial", word);
                json_object *made = names_json(n, real);
                if (!made)
                        return NULL;
                json_object_array_add(serials, made);
        }
        return json_joined(serials, "serial", ",");
}

/* Those that are a switch or a number, and those of few words. */
static int set_options(Names *n, json_object *to, json_object *options) {
        const char *sanitize = json_str(options, "sanitize"), *test = json_str(options, "self_test");
        json_object *kept = json_object_new_object();

        json_set(to, "options", kept);
        json_object_object_foreach(options, key, value)
                if (json_object_is_type(value, json_type_boolean) || json_object_is_type(value, json_type_int))
                        json_set(kept, key, json_ref(value));
        if (test && (streq(test, "held") || streq(test, "power")))
                json_set_str(kept, "self_test", test);
        if (!sanitize)
                return 0;
        _cleanup_free_ char *made = streq(sanitize, "yes") ? strdup(sanitize) : serials_of(n, sanitize);
        if (!made)
                return -ENOMEM;
        json_set_str(kept, "sanitize", made);
        return 0;
}

/* The same one as in /proc/sys/kernel/random/boot_id, which has dashes. */
static int set_boot(Names *n, json_object *to, const char *boot) {
        if (strlen(boot) != 32)
                return 0;
        _cleanup_free_ char *uuid = strf("%.8s-%.4s-%.4s-%.4s-%.12s", boot, boot + 8, boot + 12, boot + 16, boot + 20), *made = uuid ? names_text(n, "", uuid) : NULL;
        char *end = made;

        if (!made)
                return -ENOMEM;
        for (const char *from = made; *from; from++)
                if (*from != '-')
                        *end++ = *from;
        *end = '\0';
        json_set_str(to, "boot", made);
        return 0;
}

static int set_more(Names *n, json_object *to, json_object *record) {
        json_object *by = json_get(record, "by"), *options = json_get(record, "options");

        if (json_has(record, "message"))
                json_set_str(to, "message", WITHHELD);
        if (json_object_is_type(options, json_type_object) && set_options(n, to, options) < 0)
                return -ENOMEM;
        if (json_has(by, "uid")) {
                json_object *o = json_object_new_object();
                json_set(o, "uid", json_ref(json_get(by, "uid")));
                json_set(to, "by", o);
        }
        return json_str(record, "boot") ? set_boot(n, to, json_str(record, "boot")) : 0;
}

/* One that is none of ours says nothing. */
static bool is_known(json_object *record) {
        static const char *const events[] = { "start", "do", "done", "back", "undo", "undone", "failed", "end", NULL };
        const char *ev = json_str(record, "ev");

        return ev && names_match(ev, events);
}

static int add_record(Names *n, char **out, json_object *record) {
        _cleanup_json_ json_object *made = json_object_new_object(), *named = json_object_new_object(), *dressed = NULL;

        copy_keys(named, record, named_keys);
        dressed = names_json(n, named);
        if (!dressed)
                return -ENOMEM;
        copy_keys(made, record, own_keys);
        copy_keys(made, dressed, named_keys);
        int r = set_more(n, made, record);
        return r < 0 ? r : text_add(out, "", "%s\n", json_text(made));
}

int names_add_journal(Names *n, char **out, char *line) {
        _cleanup_json_ json_object *record = NULL;

        return json_parse(line, strlen(line), &record) < 0 || !is_known(record) ? 0 : add_record(n, out, record);
}

int names_add_plan(Names *n, char **out, const char *text) {
        _cleanup_json_ json_object *plan = NULL, *made = json_object_new_object(), *named = json_object_new_object(), *dressed = NULL;
        json_object *steps = json_object_new_array();

        json_set(made, "steps", steps);
        if (json_parse(text, strlen(text), &plan) < 0)
                return 0;
        for (size_t i = 0; i < json_len(json_array(plan, "steps")); i++) {
                json_object *step = json_object_new_object();
                json_set_str(step, "name", json_str(json_at(json_array(plan, "steps"), i), "name"));
                json_object_array_add(steps, step);
        }
        copy_keys(named, plan, plan_named_keys);
        dressed = names_json(n, named);
        copy_keys(made, plan, plan_keys);
        copy_keys(made, dressed, plan_named_keys);
        return dressed ? text_add(out, "", "%s\n", json_text(made)) : -ENOMEM;
}
