/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A FIFO that nobody reads stands in for an attribute that does not come back: opening it for writing blocks, and a signal
 * ends that. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/sysfs/write.h"
#include "tests/unit/test.h"

static char *dir_file(const char *dir, const char *name) {
        char *path = strf("%s/%s", dir, name);

        CHECK(path);
        return path;
}

static unsigned interruptions;

/* In the place of the C library's: as the kernel answers where it looks for signals and the process was stopped and continued. */
ssize_t write(int fd, const void *data, size_t size) {
        if (interruptions > 0 && size == strlen("offline") && memcmp(data, "offline", size) == 0) {
                interruptions--;
                errno = EINTR;
                return -1;
        }
        return syscall(SYS_write, fd, data, size);
}

static bool yes(void *userdata) {
        return true;
}

static int try_write(const char *path, WriteKind kind, uint64_t msec, write_cancelled_t cancelled) {
        const WriteOptions options = { .kind = kind, .timeout_usec = msec * USEC_PER_MSEC, .cancelled = cancelled };

        return kernel_write(path, "offline", &options);
}

static void test_plain(const char *dir) {
        _cleanup_free_ char *path = dir_file(dir, "state"), *text = NULL;

        CHECK_INT(write_file_durably(path, "online_movable"), 0);
        CHECK_INT(try_write(path, WRITE_ABANDONABLE, 10000, NULL), 0);
        CHECK_INT(read_file(path, &text, NULL), 0);
        CHECK_STR(text, "offline");
}

/* The kernel's answer comes back as it was given. */
static void test_errno(const char *dir) {
        _cleanup_free_ char *path = dir_file(dir, "missing");

        CHECK_INT(try_write(path, WRITE_ABANDONABLE, 10000, NULL), -ENOENT);
        CHECK_INT(try_write("/dev/full", WRITE_ABANDONABLE, 10000, NULL), -ENOSPC);
}

/* A stop that interrupts it is no failure. */
static void test_interrupted(const char *dir) {
        _cleanup_free_ char *path = dir_file(dir, "state"), *text = NULL;

        CHECK_INT(write_file_durably(path, "online"), 0);
        interruptions = 3;
        CHECK_INT(try_write(path, WRITE_INTERRUPTIBLE, 10000, NULL), 0);
        CHECK_INT(try_write(path, WRITE_ABANDONABLE, 10000, NULL), 0);
        CHECK_INT(try_write("/dev/full", WRITE_ABANDONABLE, 10000, NULL), -ENOSPC);
        interruptions = 0;
        CHECK_INT(read_file(path, &text, NULL), 0);
        CHECK_STR(text, "offline");
}

static void test_hanging(const char *dir) {
        _cleanup_free_ char *path = dir_file(dir, "fifo");

        CHECK_INT(mkfifo(path, 0600), 0);
        CHECK_INT(try_write(path, WRITE_INTERRUPTIBLE, 300, NULL), -ETIME);
        CHECK_INT(try_write(path, WRITE_INTERRUPTIBLE, 600 * 1000, yes), -ECANCELED);

        /* One that cannot be ended is left behind, whoever cancels, and only at the deadline. */
        uint64_t start = now_monotonic();
        CHECK_INT(try_write(path, WRITE_ABANDONABLE, 300, yes), -EINPROGRESS);
        CHECK(now_monotonic() - start >= 300 * USEC_PER_MSEC);

        /* Lets the one that was left behind end. */
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        CHECK(f);
}

static void look_behind_it(void *path) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        char text[16] = "";

        CHECK(f && fgets(text, sizeof(text), f));
        CHECK_STR(text, "offline");
}

/* What is to be done meanwhile is: nobody else reads what is written. */
static void test_meanwhile(const char *dir) {
        _cleanup_free_ char *path = dir_file(dir, "meanwhile");
        const WriteOptions options = { .timeout_usec = 10 * USEC_PER_SEC, .meanwhile = look_behind_it, .userdata = path };

        CHECK_INT(mkfifo(path, 0600), 0);
        CHECK_INT(kernel_write(path, "offline", &options), 0);
}

int main(void) {
        char dir[] = "/tmp/safe-remove-write-XXXXXX";

        CHECK(mkdtemp(dir));
        test_plain(dir);
        test_errno(dir);
        test_interrupted(dir);
        test_hanging(dir);
        test_meanwhile(dir);
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
