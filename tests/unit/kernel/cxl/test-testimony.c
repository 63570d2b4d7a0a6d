/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libraries say of a card against what we know of it: each kind of object, the same and otherwise. */
#include "kernel/cxl/testimony.h"
#include "tests/unit/test.h"

/* A card of everything, and beside it another one. */
static const char OURS[] =
        "{'functions': ['0000:0d:00.0'],"
        " 'ranges': [{'start': 4096, 'size': 4096}, {'start': 65536, 'size': 4096, 'goes_with_power': true}],"
        " 'memdevs': [{'name': 'mem1', 'card': true, 'bdf': '0000:0d:00.0', 'serial': '0x1'}, {'name': 'mem0', 'bdf': '0000:0e:00.0', 'serial': '0x2'}],"
        " 'regions': [{'name': 'region0', 'card': true, 'start': 4096, 'size': 4096,"
        "              'targets': [{'position': 0, 'decoder': 'decoder3.0', 'memdev': 'mem1'}, {'position': 1, 'decoder': 'decoder2.0', 'memdev': 'mem0'}]},"
        "             {'name': 'region1', 'start': 8192, 'size': 4096, 'targets': [{'position': 0, 'decoder': 'decoder2.1', 'memdev': 'mem0'}]}],"
        " 'daxes': [{'name': 'dax0.0', 'card': true, 'start': 4096, 'size': 4096}, {'name': 'dax1.0', 'start': 8192, 'size': 4096}],"
        " 'namespaces': [{'name': 'namespace0.0', 'card': true, 'region': 'region0', 'size': 4096}, {'name': 'namespace1.0', 'region': 'region1', 'size': 4096}],"
        " 'nmems': [{'name': 'nmem0', 'card': true, 'id': '0x1'}, {'name': 'nmem1', 'id': '0x2'}]}";

static const char THEIRS[] =
        "[{'library': 'libdaxctl', 'said': [], 'daxes': [{'name': 'dax0.0', 'start': 4096, 'size': 4096}, {'name': 'dax1.0', 'start': 8192, 'size': 4096}]},"
        " {'library': 'libcxl', 'said': [],"
        "  'memdevs': [{'name': 'mem1', 'bdf': '0000:0d:00.0', 'serial': '0x1'}, {'name': 'mem0', 'bdf': '0000:0e:00.0', 'serial': '0x2'}],"
        "  'regions': [{'name': 'region0', 'start': 4096, 'size': 4096,"
        "               'targets': [{'position': 1, 'decoder': 'decoder2.0', 'memdev': 'mem0'}, {'position': 0, 'decoder': 'decoder3.0', 'memdev': 'mem1'}]},"
        "              {'name': 'region1', 'start': 8192, 'size': 4096, 'targets': [{'position': 0, 'decoder': 'decoder2.1', 'memdev': 'mem0'}]}]},"
        " {'library': 'libndctl', 'said': [], 'namespaces': [{'name': 'namespace0.0', 'region': 'region0', 'start': 4096, 'size': 4096},"
        "                                                   {'name': 'namespace1.0', 'region': 'region1', 'start': 8192, 'size': 4096}],"
        "  'nmems': [{'name': 'nmem0', 'id': '0x1'}, {'name': 'nmem1', 'id': '0x2'}]}]";

static json_object *parse(const char *text) {
        json_object *o = NULL;
        char *quoted = strdup(text);

        CHECK(quoted);
        for (char *p = quoted; *p; p++)
                *p = *p == '\'' ? '"' : *p;
        CHECK_INT(json_parse(quoted, strlen(quoted), &o), 0);
        free(quoted);
        return o;
}

/* One text in the place of another, which is there once. */
static char *with(const char *text, const char *old, const char *new) {
        const char *at = strstr(text, old);

        CHECK(at && !strstr(at + 1, old));
        return strf("%.*s%s%s", (int) (at - text), text, new, at + strlen(old));
}

static void check_found(json_object *found, bool contradicts, const char *expected) {
        json_object *first = testimony_contradiction(found), *last = json_at(found, json_len(found) - 1);

        CHECK_INT(json_len(found), expected ? 1 : 0);
        CHECK_STR(json_str(last, "text"), expected);
        CHECK_INT(json_flag(last, "contradicts"), expected && contradicts);
        CHECK(contradicts ? first == last : !first);
        json_object_put(found);
}

static void check(const char *ours, const char *theirs, bool contradicts, const char *expected) {
        _cleanup_json_ json_object *a = parse(ours), *b = parse(theirs);

        check_found(testimony_against(a, b), contradicts, expected);
}

/* As it is, but for one thing that the library says otherwise, or that we do. */
static const struct {
        bool ours;
        const char *old, *new;
        bool contradicts;
        const char *expected;
} cases[] = {
        /* The same, and what is not known. */
        { false, "'library'", "'library'", false, NULL },
        { false, "'name': 'mem1', 'bdf': '0000:0d:00.0', 'serial': '0x1'", "'name': 'mem1'", false, NULL },
        { true, "'bdf': '0000:0d:00.0', 'serial': '0x1'", "'odd': 1", false, NULL },
        { false, "'name': 'mem1', 'bdf': '0000:0d:00.0', 'serial': '0x1'", "'name': 'mem1', 'bdf': 7, 'serial': {}", false, NULL },
        { false, "{'name': 'region0', 'start': 4096, 'size': 4096,", "{'name': 'region0',", false, NULL },
        { true, "'card': true, 'start': 4096, 'size': 4096,", "'card': true,", false, NULL },
        { false, "'decoder': 'decoder3.0', 'memdev': 'mem1'", "'decoder': 'decoder3.0'", false, NULL },
        { false, "'dax0.0', 'start': 4096, 'size': 4096", "'dax0.0'", false, NULL },
        { true, "'name': 'dax0.0', 'card': true, 'start': 4096, 'size': 4096", "'name': 'dax0.0', 'card': true", false, NULL },
        { false, "'region': 'region0', 'start': 4096, 'size': 4096", "'start': null", false, NULL },
        { false, "'name': 'nmem0', 'id': '0x1'", "'name': 'nmem0'", false, NULL },
        { true, "'name': 'nmem0', 'card': true, 'id': '0x1'", "'name': 'nmem0', 'card': true, 'id': null", false, NULL },

        /* Another number. */
        { false, "'serial': '0x1'", "'serial': '0x7'", true, "libcxl reads 0x7 as the serial of mem1, and the kernel shows us 0x1" },
        { false, "'bdf': '0000:0d:00.0'", "'bdf': '0000:0f:00.0'", true, "libcxl reads 0000:0f:00.0 as the bdf of mem1, and the kernel shows us 0000:0d:00.0" },
        { false, "'name': 'region0', 'start': 4096", "'name': 'region0', 'start': 12288", true, "libcxl reads 0x3000 as the start of region0, and the kernel shows us 0x1000" },
        { false, "'name': 'region0', 'start': 4096, 'size': 4096", "'name': 'region0', 'start': 4096, 'size': 8192", true,
          "libcxl reads 0x2000 as the size of region0, and the kernel shows us 0x1000" },
        { false, "'dax0.0', 'start': 4096, 'size': 4096", "'dax0.0', 'start': 4096, 'size': 1", true,
          "libdaxctl reads 0x1 as the size of dax0.0, and the kernel shows us 0x1000" },
        { false, "'dax0.0', 'start': 4096", "'dax0.0', 'start': 1", true, "libdaxctl reads 0x1 as the start of dax0.0, and the kernel shows us 0x1000" },
        { false, "'region': 'region0', 'start': 4096, 'size': 4096", "'region': 'region0', 'size': 1", true,
          "libndctl reads 0x1 as the size of namespace0.0, and the kernel shows us 0x1000" },
        { false, "'namespace0.0', 'region': 'region0'", "'namespace0.0', 'region': 'region1'", true,
          "libndctl reads region1 as the region of namespace0.0, and the kernel shows us region0" },
        { false, "'id': '0x1'", "'id': '8089-a2-1842-00002b'", true,
          "libndctl reads 8089-a2-1842-00002b as the id of nmem0, and the kernel shows us 0x1" },

        /* Other targets. */
        { false, "'decoder': 'decoder3.0'", "'decoder': 'decoder3.1'", true,
          "libcxl reads decoder3.1 of mem1 as target 0 of region0, and the kernel shows us decoder3.0 of mem1" },
        { false, "'decoder': 'decoder3.0', 'memdev': 'mem1'", "'decoder': 'decoder3.0', 'memdev': 'mem4'", true,
          "libcxl reads decoder3.0 of mem4 as target 0 of region0, and the kernel shows us decoder3.0 of mem1" },
        { false, "{'position': 1, 'decoder': 'decoder2.0', 'memdev': 'mem0'}, ", "", true, "libcxl reads 1 targets of region0, and the kernel shows us 2" },
        { true, "'regions': [{'name': 'region0', 'card': true,", "'regions': [{'name': 'region0',", true,
          "libcxl sees region0 as the card's, and the kernel shows us that it is not" },

        /* Missing there, missing here. */
        { false, "{'name': 'mem1', 'bdf': '0000:0d:00.0', 'serial': '0x1'}, ", "", true, "libcxl does not see mem1" },
        { false, "{'name': 'dax0.0', 'start': 4096, 'size': 4096}, ", "", true, "libdaxctl does not see dax0.0" },
        { false, "{'name': 'namespace0.0', 'region': 'region0', 'start': 4096, 'size': 4096},", "", true, "libndctl does not see namespace0.0" },
        { false, "{'name': 'nmem0', 'id': '0x1'}, ", "", true, "libndctl does not see nmem0" },
        { true, "{'name': 'mem1', 'card': true, 'bdf': '0000:0d:00.0', 'serial': '0x1'}, ", "", true,
          "libcxl sees mem1 on the card, which the kernel does not show us" },
        { true, "'name': 'dax0.0', 'card': true", "'name': 'dax7.0'", true, "libdaxctl sees dax0.0 on the card, which the kernel does not show us" },
        { true, "'name': 'namespace0.0', 'card': true", "'name': 'namespace7.0'", true,
          "libndctl sees namespace0.0 on the card, which the kernel does not show us" },
        { true, "'name': 'dax0.0', 'card': true", "'name': 'dax0.0'", true, "libdaxctl sees dax0.0 as the card's, and the kernel shows us that it is not" },

        /* Of the other card nothing is in the way. */
        { false, "'serial': '0x2'", "'serial': '0x7'", false, NULL },
        { false, "'id': '0x2'", "'id': '0x7'", false, NULL },
        { false, ", {'name': 'nmem1', 'id': '0x2'}", "", false, NULL },
        { false, ", {'name': 'mem0', 'bdf': '0000:0e:00.0', 'serial': '0x2'}", "", false, NULL },
        { true, ", {'name': 'mem0', 'bdf': '0000:0e:00.0', 'serial': '0x2'}", "", false, NULL },
        { true, "{'name': 'dax1.0', 'start': 8192, 'size': 4096}", "7", false, NULL },
        { false, "'dax1.0', 'start': 8192", "'dax1.0', 'start': 65536", false, NULL }, /* a BAR of the card's is no memory */

        /* Who complains of something may have left out what it does not see; and who says nothing says nothing against it. */
        { false, "'libdaxctl', 'said': []", "'libdaxctl', 'said': ['dax0.0: add_dev() failed']", false,
          "libdaxctl may have left something out: dax0.0: add_dev() failed" },
        { false, "'daxes': [{'name': 'dax0.0', 'start': 4096, 'size': 4096}, {'name': 'dax1.0', 'start': 8192, 'size': 4096}]",
          "'silent': 'has not answered within 2 s'", false, "libdaxctl has not answered within 2 s" },
        { false, "'library': 'libdaxctl'", "'library': 'libother'", false, NULL },
};

static void test_cases(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *ours = cases[i].ours ? with(OURS, cases[i].old, cases[i].new) : strdup(OURS);
                bool same = streq(cases[i].old, cases[i].new);
                _cleanup_free_ char *theirs = cases[i].ours || same ? strdup(THEIRS) : with(THEIRS, cases[i].old, cases[i].new);

                check(ours, theirs, cases[i].contradicts, cases[i].expected);
        }
}

static void test_complaints(void) {
        _cleanup_free_ char *one = with(THEIRS, "{'name': 'mem1', 'bdf': '0000:0d:00.0', 'serial': '0x1'}, ", "");
        _cleanup_free_ char *theirs = with(one, "'libcxl', 'said': []", "'libcxl', 'said': ['mem1: add_dev() failed', 'region9: odd']");
        _cleanup_json_ json_object *a = parse(OURS), *b = parse(theirs), *found = testimony_against(a, b);

        CHECK_INT(json_len(found), 2);
        CHECK(!testimony_contradiction(found));
        CHECK_STR(json_str(json_at(found, 0), "text"), "libcxl does not see mem1");
        CHECK_STR(json_str(json_at(found, 1), "text"), "libcxl may have left something out: mem1: add_dev() failed; region9: odd");

        /* A card without memory: nobody has to hear of it. */
        check("{'functions': ['0000:04:00.0'], 'ranges': []}", theirs, false, NULL);
        check("{'functions': ['0000:0d:00.0'], 'ranges': []}", THEIRS, true, "libcxl sees mem1 on the card, which the kernel does not show us");
        check("[7]", "{'library': 7}", false, NULL);
        check(OURS, "[7, {'library': 'libcxl', 'memdevs': 7}, {'library': 'libcxl', 'said': [null]}]", false,
              "libcxl may have left something out: ?");
}

static json_object *standing(json_object *earlier, json_object *theirs) {
        json_object *found = json_object_new_array();

        testimony_add_standing(found, earlier, theirs);
        return found;
}

/* What was said against it stands until that same library has said all that it sees, and does not say it again. */
static void test_standing(void) {
        static const char EARLIER[] = "[{'library': 'libcxl', 'contradicts': true, 'text': 'libcxl sees mem9'}, {'library': 'libndctl', 'contradicts': false},"
                                      " {'library': 'libdaxctl', 'contradicts': true, 'text': 'libdaxctl sees dax9.0'}]";
        static const struct {
                const char *old, *new, *expected;
        } again[] = {
                { "'said'", "'said'", NULL },
                { "'libndctl', 'said': []", "'libndctl', 'silent': 'x'", NULL },
                { "'libcxl', 'said': []", "'libcxl', 'said': ['mem9: odd']", "libcxl sees mem9; asked again it may have left something out: mem9: odd" },
                { "'libcxl', 'said': []", "'libcxl', 'silent': 'could not be asked: x'", "libcxl sees mem9; asked again it could not be asked: x" },
                { "'libdaxctl', 'said': []", "'libdaxctl', 'silent': 'has not answered yet'",
                  "libdaxctl sees dax9.0; asked again it has not answered yet" },
                { "'daxes'", "'odd'", "libdaxctl sees dax9.0; asked again it has not answered" },
                { "'library': 'libcxl'", "'library': 'libother'", "libcxl sees mem9; asked again it has not answered" },
        };
        _cleanup_json_ json_object *earlier = parse(EARLIER);

        for (size_t i = 0; i < ELEMENTSOF(again); i++) {
                _cleanup_free_ char *text = streq(again[i].old, again[i].new) ? strdup(THEIRS) : with(THEIRS, again[i].old, again[i].new);
                _cleanup_json_ json_object *theirs = parse(text);

                check_found(standing(earlier, theirs), again[i].expected, again[i].expected);
        }
        _cleanup_json_ json_object *nobody = standing(earlier, NULL);
        CHECK_INT(json_len(nobody), 2);

        /* However often nobody answers: each stands once, and is written down as it was said first. */
        json_object_array_add(nobody, json_ref(json_at(earlier, 0)));
        json_object_array_add(nobody, json_ref(json_at(earlier, 1)));
        _cleanup_json_ json_object *again_nobody = standing(nobody, NULL), *all = testimony_contradictions(nobody);
        CHECK_INT(json_len(again_nobody), 2);
        CHECK_STR(json_str(json_at(again_nobody, 0), "text"), "libcxl sees mem9; asked again it has not answered");
        CHECK_INT(json_len(all), 2);
        CHECK_STR(json_str(json_at(all, 0), "text"), "libcxl sees mem9");
        CHECK_STR(json_str(json_at(all, 1), "text"), "libdaxctl sees dax9.0");
        CHECK_STR(json_str(json_at(all, 1), "library"), "libdaxctl");
        check_found(testimony_contradictions(NULL), false, NULL);

        /* What it says again, and may have left something out, it says once. */
        _cleanup_json_ json_object *anew = json_object_new_array();
        json_object_array_add(anew, json_ref(json_at(earlier, 0)));
        testimony_add_standing(anew, earlier, NULL);
        CHECK_INT(json_len(anew), 2);
        CHECK_STR(json_str(json_at(anew, 0), "text"), "libcxl sees mem9");
        check_found(standing(NULL, NULL), false, NULL);
}

/* After the power-off. */
static const char SCOPE[] = "{'slot': '2', 'address': '0000:0d:00', 'functions': ['0000:0d:00.0'], 'memdevs': [{'name': 'mem1', 'serial': '0x1'}],"
                            " 'ranges': [{'start': 4096, 'size': 4096}, {'start': 65536, 'size': 4096, 'goes_with_power': true}]}";
static const char SOCKET[] = "{'slot': 'nmem0', 'functions': [], 'memdevs': [], 'ranges': [{'start': 4096, 'size': 4096}]}";

static void check_left(const char *scope, const char *theirs, bool contradicts, const char *expected) {
        _cleanup_json_ json_object *a = parse(scope), *b = parse(theirs);

        check_found(testimony_left(a, b), contradicts, expected);
}

static void test_left(void) {
        static const struct {
                const char *library, *list, *object, *expected;
        } left[] = {
                { "libcxl", "memdevs", "'name': 'mem1', 'bdf': '0000:0d:00.0', 'serial': '0x1'", "libcxl sees mem1 with serial 0x1" },
                { "libcxl", "memdevs", "'name': 'mem7', 'bdf': '0000:0d:00.1'", "libcxl sees mem7" },
                { "libcxl", "memdevs", "'name': 'mem7', 'serial': '0x1'", "libcxl sees mem7 with serial 0x1" },
                { "libcxl", "memdevs", "'name': 'mem1', 'bdf': '0000:0e:00.0', 'serial': '0x1'", NULL }, /* elsewhere, whatever its number */
                { "libcxl", "memdevs", "'name': 'mem1'", NULL },
                { "libcxl", "regions", "'name': 'region0', 'start': 8191, 'size': 1", "libcxl sees region0 at 0x1fff" },
                { "libcxl", "regions", "'name': 'region0', 'start': 8192, 'size': 4096", NULL },
                { "libcxl", "regions", "'name': 'region0'", NULL },
                { "libcxl", "regions", "'name': 'region0', 'start': 65536, 'size': 4096", NULL },
                { "libdaxctl", "daxes", "'name': 'dax0.0', 'start': 4096, 'size': 4096, 'driven': true", "libdaxctl sees dax0.0 at 0x1000" },
                { "libdaxctl", "daxes", "'name': 'dax0.0', 'start': 4096, 'size': 4096, 'driven': false", NULL }, /* the firmware's stays, unused */
                { "libndctl", "namespaces", "'name': 'namespace0.0', 'start': 4096, 'size': 1", "libndctl sees namespace0.0 at 0x1000" },
                { "libndctl", "namespaces", "'name': 'namespace0.0', 'size': 1", NULL },
                { "libndctl", "nmems", "'name': 'nmem0', 'id': '0x1', 'start': 4096, 'size': 4096", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(left); i++) {
                _cleanup_free_ char *theirs = strf("[{'library': '%s', 'said': [], '%s': [{%s}]}]", left[i].library, left[i].list, left[i].object);

                check_left(SCOPE, theirs, left[i].expected, left[i].expected);
        }
        check_left(SCOPE, "[{'library': 'libcxl', 'silent': 'has not answered yet'}]", false, "libcxl has not answered yet");
        check_left("{'slot': '4', 'functions': ['0000:04:00.0']}", "[{'library': 'libcxl', 'silent': 'has not answered yet'}]", false, NULL);
        check_left(SOCKET, "[{'library': 'libndctl', 'said': [], 'namespaces': [{'name': 'namespace0.0', 'start': 4096, 'size': 1}]}]", false, NULL);
        check_left(SOCKET, "[{'library': 'libdaxctl', 'said': [], 'daxes': [{'name': 'dax0.0', 'start': 4096, 'size': 1, 'driven': true}]}]", true,
                   "libdaxctl sees dax0.0 at 0x1000");
        check_left("[]", "[[]]", false, NULL);
        check_left(SCOPE, "{}", false, NULL);
}

int main(void) {
        test_cases();
        test_complaints();
        test_standing();
        test_left();
        return EXIT_SUCCESS;
}
