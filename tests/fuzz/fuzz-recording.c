/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recorded machine may come from anybody: whatever stands in it, nothing is made outside of its folder, and what is wrong has words. And what we
 * write of any bytes is read as these bytes. */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/fileio.h"
#include "recorded/recording.h"
#include "tests/unit/test.h"
#include "fuzz.h"

static int memory_of(const void *data, size_t size) {
        int fd = memfd_create("recording", MFD_CLOEXEC);

        FUZZ_CHECK(fd >= 0);
        FUZZ_CHECK(write_all(fd, data, size) >= 0);
        return fd;
}

static int unpack(const char *top, const void *data, size_t size, Tree *ret) {
        _cleanup_close_ int fd = memory_of(data, size);
        _cleanup_free_ char *path = strf("/proc/self/fd/%d", fd), *error = NULL;

        *ret = (Tree) { .top = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC) };
        FUZZ_CHECK(path && ret->top >= 0);
        int r = recording_unpack(path, ret, &error);
        FUZZ_CHECK(r >= 0 ? !error && ret->entries > 0 : error && *error);
        close(ret->top);
        return r;
}

static void check_alone(const char *outer) {
        _cleanup_(closedirp) DIR *d = opendir(outer);

        FUZZ_CHECK(d);
        for (struct dirent *e; (e = readdir(d));)
                FUZZ_CHECK(streq(e->d_name, ".") || streq(e->d_name, "..") || streq(e->d_name, "machine"));
}

static void check_anything(const char *outer, const uint8_t *data, size_t size) {
        _cleanup_free_ char *top = strf("%s/machine", outer);
        Tree t;

        FUZZ_CHECK(top && mkdir(top, 0700) >= 0);
        (void) unpack(top, data, size, &t);
        check_alone(outer);
}

static void check_round_trip(const char *outer, const uint8_t *data, size_t size) {
        _cleanup_free_ char *top = strf("%s/machine", outer), *file = strf("%s/machine/sys/x", outer), *escaped = recording_escape((const char *) data, size);
        _cleanup_free_ char *line = strf("f\t/sys/x\t%s\n", escaped ?: ""), *back = NULL;
        size_t length;
        Tree t;

        FUZZ_CHECK(top && file && escaped && line && mkdir(top, 0700) >= 0);
        FUZZ_CHECK(unpack(top, line, strlen(line), &t) >= 0);
        FUZZ_CHECK(read_file(file, &back, &length) >= 0);
        FUZZ_CHECK(length == size && memcmp(back, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const checks[])(const char *outer, const uint8_t *data, size_t size) = { check_anything, check_round_trip };

        for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
                char *outer = test_folder();

                FUZZ_CHECK(outer);
                checks[i](outer, data, size);
                test_remove_tree(outer);
                free(outer);
        }
        return 0;
}
