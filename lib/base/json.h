/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>

#include "base/util.h"

static inline void json_putp(json_object **o) {
        json_object_put(*o);
}

#define _cleanup_json_ _cleanup_(json_putp)

/* Readers. They never fail: a missing key or a wrong type gives NULL, 0 or false; where the difference matters
 * ask json_has(). Strings and objects stay owned by the parent. */
bool json_has(json_object *o, const char *key);
const char *json_str(json_object *o, const char *key);
uint64_t json_u64(json_object *o, const char *key);
bool json_flag(json_object *o, const char *key);
json_object *json_get(json_object *o, const char *key);
json_object *json_array(json_object *o, const char *key); /* NULL unless it is an array */
size_t json_len(json_object *array);                      /* 0 for NULL */
json_object *json_at(json_object *array, size_t i);
json_object *json_find(json_object *array, const char *key, const char *value); /* the first element that has it; NULL for a value of NULL */
bool json_has_string(json_object *array, const char *value);                    /* as one of its elements; NULL is none of them */

/* Its strings in one text, or with a key what its objects have there; what has none is passed over. Newly allocated; "" where there is nothing,
 * NULL when out of memory. */
char *json_joined(json_object *array, const char *key, const char *separator);

/* Writers. json_set() takes over `value`; a NULL string or object is written as null. */
void json_set(json_object *o, const char *key, json_object *value);
void json_set_str(json_object *o, const char *key, const char *value);
void json_set_strf(json_object *o, const char *key, const char *format, ...) _printf_(3, 4);
void json_set_u64(json_object *o, const char *key, uint64_t value);
void json_set_bool(json_object *o, const char *key, bool value);
void json_append_str(json_object *array, const char *value);
void json_append_strf(json_object *array, const char *format, ...) _printf_(2, 3);

/* One more reference to a shared value, for putting it into a second parent. */
static inline json_object *json_ref(json_object *o) {
        return json_object_get(o);
}

/* Strict parse of a whole text (no trailing rubbish, depth-limited, UTF-8). 0, -EBADMSG or -ENOMEM. The first leaves strings as
 * they are in the text; so does whoever passes them on or shows them. The second is for who hands them to the kernel: names have the
 * bytes that they have there (base/util.h). */
int json_parse(const char *text, size_t length, json_object **ret);
int json_parse_names(const char *text, size_t length, json_object **ret);

/* Compact text without escaped slashes, or as indented lines; UTF-8 whatever bytes are in its strings. Owned by the object, until it
 * is asked for again. NULL where memory is short. */
const char *json_text(json_object *o);
const char *json_text_pretty(json_object *o);
