/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plan in which users are named is told in a line that the daemon takes, however many they are and whatever their files are called. */
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/worker/removal/removal.h"
#include "plan/find/blockers.h"
#include "tests/unit/test.h"

enum {
        PATH_LENGTH = 4000,
        LINE_MAX_BYTES = 64 * 1024 * 1024, /* daemon/source/worker-client.c */
};

static json_object *hold_with(const char *path) {
        json_object *o = json_object_new_object();

        json_set_str(o, "way", "descriptor");
        json_set_str(o, "path", path);
        return o;
}

/* As the scan gives them. */
static json_object *holder(uint64_t uid, size_t n_holds) {
        json_object *o = json_object_new_object(), *holds = json_object_new_array();
        char path[PATH_LENGTH + 1] = { 0 };

        memset(path, 1, PATH_LENGTH);
        path[0] = '/';
        json_set_str(o, "kind", "process");
        json_set_u64(o, "pid", 12);
        json_set_str(o, "comm", "x");
        json_set_str(o, "exe", path);
        json_set_str(o, "cgroup", path);
        json_set_u64(o, "uid", uid);
        for (size_t i = 0; i < n_holds; i++)
                json_object_array_add(holds, hold_with(path));
        json_set(o, "holds", holds);
        json_set_u64(o, "more_holds", 1);
        return o;
}

static json_object *told(json_object *doc) {
        _cleanup_close_ int fd = memfd_create("told", MFD_CLOEXEC);
        WorkerIo io = { .in = -EBADF, .out = fd };
        Plan plan = { .doc = doc };
        Removal m = { .io = &io, .plan = &plan };
        json_object *o = NULL;

        CHECK(fd >= 0);
        tell_plan(&m);
        off_t length = lseek(fd, 0, SEEK_END);
        CHECK(length > 0 && length <= LINE_MAX_BYTES);
        char *line = mmap(NULL, (size_t) length, PROT_READ, MAP_PRIVATE, fd, 0);
        CHECK(line != MAP_FAILED);
        CHECK_INT(json_parse(line, (size_t) length - 1, &o), 0);
        CHECK_INT(munmap(line, (size_t) length), 0);
        return o;
}

/* One user's processes, then other users': each is named, and how many holds it has is known. */
static void test_holds(void) {
        json_object *holders = json_object_new_array();
        _cleanup_json_ json_object *doc = json_object_new_object();
        size_t listed = 0;

        json_set(doc, "holders", holders);
        for (size_t i = 0; i < 130; i++)
                json_object_array_add(holders, holder(i < 100 ? 1000 : 1000 + i, 16));
        json_object_array_add(holders, holder(0, 16));
        CHECK_INT(bound_holders(holders), 0);
        CHECK(strlen(json_text(doc)) < 12 * 1024 * 1024);
        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *h = json_at(holders, i);
                CHECK_INT(json_len(json_array(h, "holds")) + json_u64(h, "more_holds"), 17);
                CHECK_STR(json_str(h, "comm"), "x");
                listed += json_len(json_array(h, "holds"));
        }
        CHECK_INT(json_len(json_array(json_at(holders, 0), "holds")), 16);
        CHECK_INT(json_len(json_array(json_at(holders, 99), "holds")), 0);
        CHECK(!json_str(json_at(holders, 99), "exe"));
        CHECK_INT(json_len(json_array(json_at(holders, 100), "holds")), 16);
        CHECK_INT(json_len(json_array(json_at(holders, 130), "holds")), 16);
        CHECK(listed < 131 * 16);

        _cleanup_json_ json_object *line = told(doc);
        CHECK_INT(json_len(json_array(json_get(line, "plan"), "holders")), 131);
        CHECK_INT(json_len(json_array(json_get(line, "public"), "holders")), 131);
        CHECK(!json_has(json_get(line, "plan"), "left_out"));
}

/* More of them than a line holds: the steps are all there, and what is not is counted. */
static void test_many(void) {
        _cleanup_json_ json_object *doc = json_object_new_object();
        json_object *holders = json_object_new_array(), *steps = json_object_new_array();

        for (size_t i = 0; i < 1500; i++)
                json_object_array_add(holders, holder(1000, 0));
        json_object_array_add(steps, json_object_new_string("hold"));
        json_set(doc, "holders", holders);
        json_set(doc, "steps", steps);
        _cleanup_json_ json_object *line = told(doc);
        json_object *plan = json_get(line, "plan"), *left_out = json_get(plan, "left_out");
        size_t n = json_len(json_array(plan, "holders"));

        CHECK(n > 0 && n < 1500);
        CHECK_INT(n + json_u64(left_out, "holders"), 1500);
        CHECK_INT(json_len(json_array(plan, "steps")), 1);
        CHECK_INT(json_u64(json_get(json_get(line, "public"), "left_out"), "holders"), json_u64(left_out, "holders"));
        CHECK_INT(json_len(holders), 1500);
}

static size_t count_in(const char *text, const char *word) {
        size_t n = 0;

        for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
                n++;
        return n;
}

/* Nobody fills the journal with what a library logs, however often it is asked. */
static void test_said(void) {
        _cleanup_close_ int fd = memfd_create("told", MFD_CLOEXEC);
        WorkerIo io = { .in = -EBADF, .out = fd };
        Removal m = { .io = &io };
        char lines[16384] = { 0 };

        for (size_t i = 0; i < 40; i++) {
                _cleanup_free_ char *line = strf("libcxl: mem%zu: odd", i % 20);
                tell_said(&m, line);
        }
        CHECK(pread(fd, lines, sizeof(lines) - 1, 0) > 0);
        CHECK_INT(count_in(lines, "\n"), 17);
        CHECK_INT(count_in(lines, "\"libcxl\""), 16);
        CHECK_INT(count_in(lines, "libcxl: mem7: odd"), 1);
        CHECK_INT(count_in(lines, "the libraries have logged more than that"), 1);
        json_object_put(m.said);
}

/* A reason is told as who asked may see it. */
static void test_error(void) {
        static const char message[] = "there is no mount point /x here; there is: /, ";
        _cleanup_free_ char *folder = test_folder(), *inner = strf("%s/closed", folder), *text = strf("%s%s/inner/mount; did you mean %s/inner/mount?", message, inner, inner);
        _cleanup_json_ json_object *by = json_object_new_object();

        CHECK_INT(mkdir(inner, 0700), 0);
        for (uint64_t uid = 0; uid <= 4242; uid += 4242) {
                _cleanup_close_ int fd = memfd_create("told", MFD_CLOEXEC);
                WorkerIo io = { .in = -EBADF, .out = fd, .by = by };
                char line[1024] = { 0 };

                json_set_u64(by, "uid", uid);
                worker_send_error(&io, "unknown", text);
                CHECK(pread(fd, line, sizeof(line) - 1, 0) > 0);
                CHECK(strstr(line, message));
                CHECK(!strstr(line, "/inner/mount") == (uid != 0));
        }
        test_remove_tree(folder);
}

int main(void) {
        test_holds();
        test_many();
        test_error();
        test_said();
        return EXIT_SUCCESS;
}
