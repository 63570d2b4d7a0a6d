/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "test.h"

static void test_read(const char *folder) {
        _cleanup_free_ char *path = strf("%s/data", folder), *text = NULL, *maps = NULL, *missing = NULL;
        size_t n = 0;

        CHECK_INT(write_file_durably(path, "a line\n"), 0);
        CHECK_INT(read_file(path, &text, &n), 0);
        CHECK_STR(text, "a line\n");
        CHECK_INT(n, 7);
        CHECK_INT(read_file("/proc/self/maps", &maps, NULL), 0); /* says its size is 0 */
        CHECK(strlen(maps) > 100);
        CHECK_INT(read_file("/nonexistent", &missing, NULL), -ENOENT);
        CHECK_INT(read_file(folder, &missing, NULL), -EISDIR);
        CHECK_STR(missing, NULL);
}

/* Nothing of the old text may be left, and nothing beside the file. */
static void test_replace(const char *folder) {
        _cleanup_free_ char *path = strf("%s/replaced", folder), *left = strf("%s/replaced.new", folder), *text = NULL;
        struct stat st;

        CHECK_INT(write_file_durably(path, "the long old text"), 0);
        CHECK_INT(write_file_durably(path, "new"), 0);
        CHECK_INT(read_file(path, &text, NULL), 0);
        CHECK_STR(text, "new");
        CHECK(access(left, F_OK) < 0);
        CHECK_INT(stat(path, &st), 0);
        CHECK_INT(st.st_mode & 0777, 0600);
        CHECK_INT(write_file_durably("/nonexistent/x", ""), -ENOENT);
}

static void test_append(const char *folder) {
        _cleanup_free_ char *path = strf("%s/appended", folder), *text = NULL;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK_INT(append_line_durably(fd, "one"), 0);
        CHECK_INT(append_line_durably(fd, "two"), 0);
        CHECK_INT(read_file(path, &text, NULL), 0);
        CHECK_STR(text, "one\ntwo\n");
}

static void test_mkdir(const char *folder) {
        _cleanup_free_ char *path = strf("%s/private", folder), *deep = strf("%s/no/such", folder);
        struct stat st;

        CHECK_INT(mkdir_private(path), 0);
        CHECK_INT(mkdir_private(path), 0);
        CHECK_INT(stat(path, &st), 0);
        CHECK_INT(st.st_mode & 0777, 0700);
        CHECK_INT(mkdir_private(deep), -ENOENT);
}

int main(void) {
        char folder[] = "/tmp/test-fileio.XXXXXX";

        CHECK(mkdtemp(folder));
        test_read(folder);
        test_replace(folder);
        test_append(folder);
        test_mkdir(folder);
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
