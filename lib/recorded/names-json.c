/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names in a document of ours, in which a serial number stands in the middle of sentences ("memory device 0x2"). */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"
#include "recorded/names-json.h"
#include "recorded/names-private.h"

#define WITHHELD "(not shown)"

typedef struct Dress {
        Names *names;
        json_object *serials;   /* {real: made up} */
} Dress;

static int add_serial(Dress *d, const char *serial) {
        uint64_t number;

        if (!*serial || json_has(d->serials, serial))
                return 0;
        if (parse_u64(serial, &number) >= 0) {
                uint64_t made = dictionary_serial(&d->names->dictionary, number);
                if (number > 0)
                        json_set_strf(d->serials, serial, startswith(serial, "0x") ? "0x%" PRIx64 : "%" PRIu64, made);
                return number > 0 && made == 0 ? -ENOMEM : 0;
        }
        const char *made = dictionary_word(&d->names->dictionary, WORD_NAME, serial, strlen(serial));
        json_set_str(d->serials, serial, made);
        return made ? 0 : -ENOMEM;
}

static int find_serials(Dress *d, json_object *o) {
        int r = 0;

        if (json_object_is_type(o, json_type_object)) {
                json_object_object_foreach(o, key, value) {
                        if (r >= 0 && streq(key, "serial") && json_object_is_type(value, json_type_string))
                                r = add_serial(d, json_object_get_string(value));
                        else if (r >= 0)
                                r = find_serials(d, value);
                }
        }
        for (size_t i = 0; json_object_is_type(o, json_type_array) && i < json_len(o) && r >= 0; i++)
                r = find_serials(d, json_at(o, i));
        return r;
}

static bool is_of_number(char c) {
        return isalnum((unsigned char) c) || c == '_';
}

/* The known number that stands here as a word of its own, and the one in its place; NULL: none. */
static const char *serial_at(const Dress *d, const char *text, const char *at, const char **ret_made) {
        json_object_object_foreach(d->serials, serial, made) {
                const char *end = startswith(at, serial);
                if (!end || is_of_number(*end) || (at > text && is_of_number(at[-1])))
                        continue;
                *ret_made = json_object_get_string(made);
                return end;
        }
        return NULL;
}

static const char *process_at(const char *at) {
        const char *number = startswith(at, "process ");

        return number && isdigit((unsigned char) *number) ? number : NULL;
}

/* Newly allocated, or NULL. */
static char *without_serials(const Dress *d, const char *text) {
        _cleanup_free_ char *all = strdup("");

        for (const char *at = text; *at;) {
                const char *made = NULL, *end = serial_at(d, text, at, &made);
                if (process_at(at))
                        return text_add(&all, "", "process " WITHHELD) < 0 ? NULL : TAKE_PTR(all);
                if (text_add(&all, "", "%.*s", end ? (int) strlen(made) : 1, end ? made : at) < 0)
                        return NULL;
                at = end ?: at + 1;
        }
        return TAKE_PTR(all);
}

static char *dressed(const Dress *d, const char *text) {
        _cleanup_free_ char *bare = without_serials(d, text);

        return bare ? names_text(d->names, "", bare) : NULL;
}

static int dress(const Dress *d, json_object *o, json_object **ret);

static int dress_object(const Dress *d, json_object *o, json_object *to) {
        int r = 0;

        json_object_object_foreach(o, key, value) {
                _cleanup_free_ char *name = dressed(d, key);
                json_object *made = NULL;

                r = r < 0 ? r : name ? dress(d, value, &made) : -ENOMEM;
                if (r >= 0)
                        json_set(to, name, made);
        }
        return r;
}

static int dress_array(const Dress *d, json_object *o, json_object *to) {
        for (size_t i = 0; i < json_len(o); i++) {
                json_object *made = NULL;

                int r = dress(d, json_at(o, i), &made);
                if (r < 0)
                        return r;
                json_object_array_add(to, made);
        }
        return 0;
}

static int dress(const Dress *d, json_object *o, json_object **ret) {
        _cleanup_json_ json_object *to = NULL;
        _cleanup_free_ char *text = NULL;
        int r = 0;

        switch (json_object_get_type(o)) {
        case json_type_object:
                to = json_object_new_object();
                r = dress_object(d, o, to);
                break;
        case json_type_array:
                to = json_object_new_array();
                r = dress_array(d, o, to);
                break;
        case json_type_string:
                text = dressed(d, json_object_get_string(o));
                to = text ? json_object_new_string(text) : NULL;
                r = to ? 0 : -ENOMEM;
                break;
        default:
                to = json_ref(o);
                break;
        }
        if (r >= 0)
                *ret = TAKE_PTR(to);
        return r;
}

json_object *names_json(Names *n, json_object *document) {
        _cleanup_json_ json_object *serials = json_object_new_object();
        Dress d = { .names = n, .serials = serials };
        json_object *made = NULL;

        return find_serials(&d, document) >= 0 && dress(&d, document, &made) >= 0 ? made : NULL;
}
