/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The same file under another name, and another one under the same name. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/mounts/file-id.h"
#include "tests/unit/test.h"

enum {
        TRIES = 1000, /* for an inode that is given to the next file */
};

static char top[] = "/tmp/safe-remove-file-id-XXXXXX";

static char *in(const char *name) {
        return strf("%s/%s", top, name);
}

static void make(const char *name) {
        _cleanup_free_ char *path = in(name);
        _cleanup_close_ int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
}

static json_object *id_of(const char *name) {
        _cleanup_free_ char *path = in(name);
        _cleanup_close_ int fd = path_open_straight(path);

        CHECK(fd >= 0);
        json_object *id = file_id(fd);
        CHECK(id);
        return id;
}

static bool is_same(json_object *noted, const char *name) {
        _cleanup_json_ json_object *now = id_of(name);

        return file_id_same(noted, now);
}

static void rename_to(const char *from, const char *to) {
        _cleanup_free_ char *a = in(from), *b = in(to);

        CHECK_INT(rename(a, b), 0);
}

static void remove_it(const char *name) {
        _cleanup_free_ char *path = in(name);

        CHECK_INT(unlink(path), 0);
}

static int open_error(const char *name) {
        _cleanup_free_ char *path = in(name);
        _cleanup_close_ int fd = path_open_straight(path);

        return fd < 0 ? fd : 0;
}

static void link_to(const char *where, const char *name) {
        _cleanup_free_ char *path = in(name);

        CHECK_INT(symlink(where, path), 0);
}

static void test_names(void) {
        make("one");
        make("two");
        _cleanup_json_ json_object *noted = id_of("one");
        CHECK(is_same(noted, "one"));
        CHECK(!is_same(noted, "two"));
        rename_to("one", "kept");
        make("one");
        CHECK(is_same(noted, "kept"));
        CHECK(!is_same(noted, "one"));
        rename_to("kept", "one");
        CHECK(is_same(noted, "one"));
        remove_it("two");
}

/* Whoever removes a file and makes one gets the same number, sooner or later; where he does not, there is nothing to see. */
static void test_next_of_inode(void) {
        make("first");
        _cleanup_json_ json_object *noted = id_of("first");
        bool found = false;

        remove_it("first");
        for (int i = 0; i < TRIES && !found; i++) {
                make("first");
                _cleanup_json_ json_object *now = id_of("first");
                found = json_u64(now, "inode") == json_u64(noted, "inode");
                CHECK(!file_id_same(noted, now));
                remove_it("first");
        }
        if (!found)
                fprintf(stderr, "no file had the number of another one\n");
}

/* What says nothing but a number, or is not as much as was noted, is another one. */
static void test_little_is_known(void) {
        static const struct {
                const char *noted, *now;
                bool same;
        } cases[] = {
                { "{\"inode\": 3}", "{\"inode\": 3}", false },
                { "{\"inode\": 3}", "{\"inode\": 3, \"born\": \"1.0\", \"handle\": \"1:00\"}", false },
                { "{\"inode\": 3, \"born\": \"1.0\"}", "{\"inode\": 3}", false },
                { "{\"inode\": 3, \"born\": \"1.0\", \"handle\": \"1:00\"}", "{\"inode\": 3, \"born\": \"1.0\"}", false },
                { "{\"inode\": 3, \"born\": \"1.0\", \"handle\": \"1:00\"}", "{\"inode\": 3, \"born\": \"2.0\", \"handle\": \"1:00\"}", false },
                { "{\"inode\": 3, \"born\": \"1.0\"}", "{\"inode\": 4, \"born\": \"1.0\"}", false },
                { "{\"inode\": 3, \"born\": \"1.0\"}", "{\"inode\": 3, \"born\": \"1.0\", \"handle\": \"1:00\"}", true },
                { "{\"inode\": 3, \"handle\": \"1:00\"}", "{\"inode\": 3, \"handle\": \"1:00\"}", true },
                { "{\"size\": 8, \"born\": \"1.0\"}", "{\"size\": 8, \"born\": \"1.0\"}", true },
                { "{\"size\": 8, \"born\": \"1.0\"}", "{\"size\": 9, \"born\": \"1.0\"}", false },
                { "{\"size\": 8, \"born\": \"1.0\"}", "{\"size\": 8, \"born\": \"2.0\"}", false },
                { "{\"size\": 8, \"born\": \"1.0\"}", "{\"inode\": 8, \"born\": \"1.0\"}", false },
                { "{\"inode\": 8, \"born\": \"1.0\"}", "{\"size\": 8, \"born\": \"1.0\"}", false },
                { "{\"size\": 8}", "{\"size\": 8}", false },
                { "{}", "{}", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *noted = NULL, *now = NULL;
                CHECK_INT(json_parse(cases[i].noted, strlen(cases[i].noted), &noted), 0);
                CHECK_INT(json_parse(cases[i].now, strlen(cases[i].now), &now), 0);
                CHECK_INT(file_id_same(noted, now), cases[i].same);
        }
}

/* Another file, or one that nobody can tell from others? */
static void test_tells(void) {
        static const struct {
                const char *noted, *now;
                bool tells;
        } cases[] = {
                { "{\"inode\": 3, \"handle\": \"1:00\"}", "{\"inode\": 4}", true },
                { "{\"inode\": 3, \"born\": \"1.0\"}", NULL, true },
                { "{\"inode\": 3}", NULL, false },
                { "{\"size\": 8, \"born\": \"1.0\"}", "{\"size\": 8}", true },
                { "{\"size\": 8}", "{\"size\": 8}", false },
                { "{\"size\": 8}", NULL, false },
                { "{\"inode\": 3, \"born\": \"1.0\", \"handle\": \"1:00\"}", "{\"size\": 8, \"born\": \"1.0\"}", false },
                { "{}", NULL, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *noted = NULL, *now = NULL;
                CHECK_INT(json_parse(cases[i].noted, strlen(cases[i].noted), &noted), 0);
                if (cases[i].now)
                        CHECK_INT(json_parse(cases[i].now, strlen(cases[i].now), &now), 0);
                CHECK_INT(file_id_tells(noted, now), cases[i].tells);
        }
        CHECK(!file_id_tells(NULL, NULL));
}

static void test_straight(void) {
        _cleanup_free_ char *folder = in("folder"), *other = in("folder/file");

        CHECK_INT(mkdir(folder, 0700), 0);
        make("folder/file");
        link_to("folder", "link");
        link_to(other, "folder/last");
        CHECK_INT(open_error("folder/file"), 0);
        CHECK_INT(open_error("link/file"), -ELOOP);
        CHECK_INT(open_error("folder/last"), -ELOOP);
        CHECK_INT(open_error("folder/file/below"), -ELOOP);
        CHECK_INT(open_error("folder/none"), -ENOENT);
}

int main(void) {
        CHECK(mkdtemp(top));
        test_names();
        test_next_of_inode();
        test_little_is_known();
        test_tells();
        test_straight();
        test_remove_tree(top);
        return EXIT_SUCCESS;
}
