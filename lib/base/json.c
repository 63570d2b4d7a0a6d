/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <json-c/printbuf.h>

#include "base/json.h"
#include "base/util.h"

enum {
        /* Deep enough for everything we write (a plan nests 6 levels), shallow enough for any stack. */
        DEPTH_MAX = 32,
};

json_object *json_get(json_object *o, const char *key) {
        json_object *v = NULL;

        if (!o || !json_object_is_type(o, json_type_object))
                return NULL;
        json_object_object_get_ex(o, key, &v);
        return v;
}

bool json_has(json_object *o, const char *key) {
        return json_get(o, key) != NULL;
}

const char *json_str(json_object *o, const char *key) {
        json_object *v = json_get(o, key);

        return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

uint64_t json_u64(json_object *o, const char *key) {
        json_object *v = json_get(o, key);

        return json_object_is_type(v, json_type_int) ? json_object_get_uint64(v) : 0;
}

bool json_flag(json_object *o, const char *key) {
        json_object *v = json_get(o, key);

        return json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

json_object *json_array(json_object *o, const char *key) {
        json_object *v = json_get(o, key);

        return json_object_is_type(v, json_type_array) ? v : NULL;
}

size_t json_len(json_object *array) {
        return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

json_object *json_at(json_object *array, size_t i) {
        return i < json_len(array) ? json_object_array_get_idx(array, i) : NULL;
}

json_object *json_find(json_object *array, const char *key, const char *value) {
        for (size_t i = 0; value && i < json_len(array); i++)
                if (streq_ptr(json_str(json_at(array, i), key), value))
                        return json_at(array, i);
        return NULL;
}

bool json_has_string(json_object *array, const char *value) {
        for (size_t i = 0; value && i < json_len(array); i++)
                if (streq_ptr(json_object_get_string(json_at(array, i)), value))
                        return true;
        return false;
}

char *json_joined(json_object *array, const char *key, const char *separator) {
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; i < json_len(array); i++) {
                json_object *o = json_at(array, i);
                const char *part = key ? json_str(o, key) : json_object_get_string(o);
                if (part && text_add(&text, separator, "%s", part) < 0)
                        return NULL;
        }
        return TAKE_PTR(text);
}

void json_set(json_object *o, const char *key, json_object *value) {
        json_object_object_add(o, key, value);
}

void json_set_str(json_object *o, const char *key, const char *value) {
        json_set(o, key, value ? json_object_new_string(value) : NULL);
}

void json_set_strf(json_object *o, const char *key, const char *format, ...) {
        _cleanup_free_ char *s = NULL;
        va_list ap;

        va_start(ap, format);
        s = strfv(format, ap);
        va_end(ap);
        json_set_str(o, key, s);
}

void json_set_u64(json_object *o, const char *key, uint64_t value) {
        json_set(o, key, json_object_new_uint64(value));
}

void json_set_bool(json_object *o, const char *key, bool value) {
        json_set(o, key, json_object_new_boolean(value));
}

void json_append_str(json_object *array, const char *value) {
        json_object_array_add(array, value ? json_object_new_string(value) : NULL);
}

void json_append_strf(json_object *array, const char *format, ...) {
        _cleanup_free_ char *s = NULL;
        va_list ap;

        va_start(ap, format);
        s = strfv(format, ap);
        va_end(ap);
        json_append_str(array, s);
}

static void tokener_freep(json_tokener **t) {
        if (*t)
                json_tokener_free(*t);
}

/* The grammar's outlines. (json-c has a strict mode for that, which in 0.18 takes every character beyond ASCII for a control
 * character, json-c issue 892; and without it, it takes comments, single quotes and commas that nothing follows.) */
static bool is_strict(const char *text, size_t length) {
        bool quoted = false;
        unsigned char last = 0;

        for (size_t i = 0; i < length; i++) {
                unsigned char c = (unsigned char) text[i];
                if (quoted) {
                        if (c < 0x20)
                                return false;
                        i += c == '\\' && i + 1 < length && (unsigned char) text[i + 1] >= 0x20;
                        quoted = c != '"';
                } else if (!c || !strchr(" \t\r\n", c)) {
                        bool closes = c == ']' || c == '}';
                        if (c < 0x20 || c >= 0x7f || c == '\'' || c == '/' || (closes && last == ','))
                                return false;
                        quoted = c == '"';
                        last = c;
                }
        }
        return true;
}

static bool is_message(const char *text, size_t length) {
        return length <= INT32_MAX && utf8_is_valid(text, length) && is_strict(text, length);
}

static int parse(const char *text, size_t length, json_object **ret) {
        _cleanup_(tokener_freep) json_tokener *tok = json_tokener_new_ex(DEPTH_MAX);
        if (!tok)
                return -ENOMEM;

        _cleanup_json_ json_object *o = json_tokener_parse_ex(tok, text, (int) length);
        if (json_tokener_get_error(tok) != json_tokener_success || !o)
                return -EBADMSG;
        for (size_t i = json_tokener_get_parse_end(tok); i < length; i++)
                if (!strchr(" \t\r\n", text[i]) || !text[i])
                        return -EBADMSG;

        *ret = TAKE_PTR(o);
        return 0;
}

int json_parse(const char *text, size_t length, json_object **ret) {
        return is_message(text, length) ? parse(text, length, ret) : -EBADMSG;
}

int json_parse_names(const char *text, size_t length, json_object **ret) {
        if (!is_message(text, length))
                return -EBADMSG;
        _cleanup_free_ char *copy = strndup(text, length);
        return copy ? parse(copy, utf8_to_bytes(copy, length), ret) : -ENOMEM;
}

static _Thread_local const char *encoded;

static int put_encoded(json_object *o, struct printbuf *pb, int level, int flags) {
        return printbuf_memappend(pb, encoded, (int) strlen(encoded));
}

/* The object keeps its text in a buffer that json-c has for that, so a text that has to be another one is written there once more. (As userdata it
 * would be lost on json-c 0.19, which takes that of a container for its parent when it frees it: json_object_put(), json-c issue 934.) */
static const char *text_by(json_object *o, int flags) {
        const char *text = json_object_to_json_string_ext(o, flags | JSON_C_TO_STRING_NOSLASHESCAPE);
        if (!text || utf8_is_valid(text, strlen(text)))
                return text;

        _cleanup_free_ char *valid = utf8_from_bytes(text);
        if (!valid)
                return NULL;
        encoded = valid;
        json_object_set_serializer(o, put_encoded, NULL, NULL);
        text = json_object_to_json_string_ext(o, flags);
        json_object_set_serializer(o, NULL, NULL, NULL);
        encoded = NULL;
        return text;
}

const char *json_text(json_object *o) {
        return text_by(o, JSON_C_TO_STRING_PLAIN);
}

const char *json_text_pretty(json_object *o) {
        return text_by(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}
