/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/json.h"
#include "tests/unit/test.h"

static int parse(const char *text) {
        _cleanup_json_ json_object *o = NULL;

        return json_parse(text, strlen(text), &o);
}

static void test_parse(void) {
        CHECK_INT(parse("{}"), 0);
        CHECK_INT(parse(" {\"a\": [1, 2]} \r\n\t"), 0);
        CHECK_INT(parse(""), -EBADMSG);
        CHECK_INT(parse("{"), -EBADMSG);
        CHECK_INT(parse("{} {}"), -EBADMSG);
        CHECK_INT(parse("{}x"), -EBADMSG);
        CHECK_INT(parse("{\"a\": 1,}"), -EBADMSG);
        CHECK_INT(parse("{\"a\": \"\xff\"}"), -EBADMSG);
        CHECK_INT(parse("{\"a\": [1, ]}"), -EBADMSG);
        CHECK_INT(parse("{'a': 1}"), -EBADMSG);
        CHECK_INT(parse("{} // x"), -EBADMSG);
        CHECK_INT(parse("{\"a\": /* x */ 1}"), -EBADMSG);
        CHECK_INT(parse("{\"a\": \"x\ny\"}"), -EBADMSG);
        CHECK_INT(parse("{\"a\": \xc3\xa9}"), -EBADMSG);
        CHECK_INT(parse("{\"a\": \"x"), -EBADMSG);
        CHECK_INT(parse("{\"a\": \"x\\"), -EBADMSG);
        CHECK_INT(parse("{\"\xc3\xa9\": \"'// \xe2\x82\xac,]\\\" \xf0\x9f\x98\x80\"}"), 0);

        _cleanup_json_ json_object *o = NULL;
        CHECK_INT(json_parse("{}\0", 3, &o), -EBADMSG);
        CHECK_INT(json_parse_names("{\"\\\0\"}", 7, &o), -EBADMSG);
        CHECK(!o);
}

static void test_depth(void) {
        char text[400] = { 0 };

        memset(text, '[', 200);
        memset(text + 200, ']', 199);
        CHECK_INT(parse(text), -EBADMSG);
}

static void test_find(void) {
        static const char text[] = "[{\"n\": \"a\"}, 1, {\"n\": null}, {\"n\": \"b\", \"i\": 1}, {\"n\": \"b\", \"i\": 2}]";
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        CHECK_INT(json_u64(json_find(o, "n", "b"), "i"), 1);
        CHECK(!json_find(o, "n", "c"));
        CHECK(!json_find(o, "n", NULL)); /* nothing is not the same as nothing */
        CHECK(!json_find(NULL, "n", "a"));
}

static void test_joined(void) {
        static const char text[] = "{\"strings\": [\"a\", null, \"b\"], \"objects\": [{\"n\": \"a\"}, {}, 1, {\"n\": \"b\"}, {\"n\": \"c\"}]}";
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        _cleanup_free_ char *strings = json_joined(json_array(o, "strings"), NULL, ", "), *values = json_joined(json_array(o, "objects"), "n", " "),
                            *none = json_joined(json_array(o, "objects"), "m", ", "), *nothing = json_joined(NULL, NULL, ", ");
        CHECK_STR(strings, "a, b");
        CHECK_STR(values, "a b c");
        CHECK_STR(none, "");
        CHECK_STR(nothing, "");
}

static void test_has_string(void) {
        static const char text[] = "[\"a\", null, \"\", \"b\"]";
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        CHECK(json_has_string(o, "a") && json_has_string(o, "b") && json_has_string(o, ""));
        CHECK(!json_has_string(o, "c"));
        CHECK(!json_has_string(o, NULL));
        CHECK(!json_has_string(NULL, "a"));
}

static void test_readers(void) {
        static const char text[] = "{\"s\": \"x\", \"n\": 18446744073709551615, \"b\": true, \"a\": [\"y\"], \"z\": null}";
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        CHECK_STR(json_str(o, "s"), "x");
        CHECK(json_u64(o, "n") == UINT64_MAX);
        CHECK(json_flag(o, "b"));
        CHECK_INT(json_len(json_array(o, "a")), 1);
        CHECK_STR(json_object_get_string(json_at(json_array(o, "a"), 0)), "y");

        /* The wrong type, and what is not there, are nothing. */
        CHECK_STR(json_str(o, "n"), NULL);
        CHECK_INT(json_u64(o, "s"), 0);
        CHECK(!json_flag(o, "s"));
        CHECK(!json_array(o, "s"));
        CHECK(!json_has(o, "nothing"));
        CHECK(!json_at(json_array(o, "a"), 1));
        CHECK_INT(json_len(NULL), 0);
        CHECK_STR(json_str(NULL, "s"), NULL);
        CHECK_STR(json_str(json_array(o, "a"), "s"), NULL);
}

static void test_writers(void) {
        _cleanup_json_ json_object *o = json_object_new_object(), *shared = json_object_new_object();
        json_object *array = json_object_new_array();

        json_set_str(o, "path", "/sys/bus");
        json_set_str(o, "none", NULL);
        json_set_strf(o, "text", "%u-%s", 2, "x");
        json_set_u64(o, "max", UINT64_MAX);
        json_set_bool(o, "no", false);
        json_append_str(array, "a");
        json_append_strf(array, "%d", 3);
        json_set(o, "array", array);
        json_set(o, "shared", json_ref(shared));
        CHECK_STR(json_text(o), "{\"path\":\"/sys/bus\",\"none\":null,\"text\":\"2-x\",\"max\":18446744073709551615,"
                                "\"no\":false,\"array\":[\"a\",\"3\"],\"shared\":{}}");
}

/* A name that is no UTF-8 goes over every way, and arrives as it was where it is used. */
static void test_names(void) {
        static const char name[] = "/mnt/caf\xe9 \x80\xff \xc3\xa9", text[] = "{\"name\":\"/mnt/caf\uf7e9 \uf780\uf7ff \xc3\xa9\"}";
        _cleanup_json_ json_object *o = json_object_new_object(), *shown = NULL, *used = NULL;

        json_set_str(o, "name", name);
        CHECK_STR(json_text(o), text);
        CHECK_STR(json_text(o), text);
        CHECK_INT(json_parse(text, strlen(text), &shown), 0);
        CHECK_STR(json_text(shown), text);
        CHECK_INT(json_parse_names(text, strlen(text), &used), 0);
        CHECK_STR(json_str(used, "name"), name);
        CHECK_STR(json_text(used), text);
        CHECK(strstr(json_text_pretty(used), "\uf7e9"));
}

int main(void) {
        test_names();
        test_parse();
        test_depth();
        test_readers();
        test_find();
        test_has_string();
        test_joined();
        test_writers();
        return EXIT_SUCCESS;
}
