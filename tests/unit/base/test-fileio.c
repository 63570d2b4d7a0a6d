/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "tests/unit/test.h"

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

/* Whatever may stand in the place of a file of ours: nobody waits for it, or reads on without end. */
static void test_no_file(const char *folder) {
        _cleanup_free_ char *file = strf("%s/file", folder), *fifo = strf("%s/fifo", folder), *link = strf("%s/link", folder), *text = NULL;
        _cleanup_free_ char *null = strf("%s/null", folder), *half = strf("%s/file.new", folder), *text_of_own = NULL, *linked = NULL, *empty = NULL;
        size_t n = 0;

        CHECK_INT(write_file_durably(file, "0123456789"), 0);
        CHECK(mkfifo(fifo, 0600) == 0 && symlink(file, link) == 0 && symlink("/dev/null", null) == 0);
        CHECK_INT(read_regular_file(file, 10, &text, &n), 0);
        CHECK_STR(text, "0123456789");
        CHECK_INT(n, 10);
        CHECK_INT(read_regular_file(file, 9, &text, NULL), -EFBIG);
        CHECK_INT(read_regular_file(fifo, 10, &text, NULL), -EMEDIUMTYPE);
        CHECK_INT(read_regular_file(link, 10, &text, NULL), -EMEDIUMTYPE);
        CHECK_INT(read_regular_file(folder, 10, &text, NULL), -EMEDIUMTYPE);
        CHECK_INT(read_regular_file("/dev/zero", 10, &text, NULL), -EMEDIUMTYPE);
        CHECK_INT(read_regular_file("/nonexistent", 10, &text, NULL), -ENOENT);
        CHECK_INT(read_regular_file_of(file, geteuid(), 10, &text_of_own, NULL), 0);
        CHECK_STR(text_of_own, "0123456789");
        if (geteuid() != 0)
                CHECK_INT(read_regular_file_of(file, geteuid() + 1, 10, &text, NULL), -EPERM);

        CHECK_INT(read_config_file(link, &linked, NULL), 0);
        CHECK_STR(linked, "0123456789");
        CHECK_INT(read_config_file(null, &empty, NULL), 0);
        CHECK_STR(empty, "");
        CHECK_INT(read_config_file(fifo, &text, NULL), -EMEDIUMTYPE);
        CHECK_INT(read_config_file("/dev/zero", &text, NULL), -EMEDIUMTYPE);
        CHECK_INT(read_config_file(folder, &text, NULL), -EMEDIUMTYPE);

        /* Who has a lease on it is given 45 s to let go. */
        CHECK(signal(SIGIO, SIG_IGN) != SIG_ERR);
        int lease = open(file, O_RDWR | O_CLOEXEC);
        CHECK(lease >= 0);
        if (fcntl(lease, F_SETLEASE, F_WRLCK) >= 0) { /* not every file system has them */
                CHECK_INT(read_config_file(link, &text, NULL), -EAGAIN);
                CHECK_INT(fcntl(lease, F_SETLEASE, F_UNLCK), 0);
        }
        close(lease);

        CHECK(mkfifo(half, 0600) == 0);
        CHECK_INT(write_file_durably(file, "new"), -ENXIO);
        CHECK(unlink(half) == 0);
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

/* A name is followed as far as it was said, from the folder on. */
static void test_way(const char *folder) {
        _cleanup_free_ char *file = strf("%s/on-way", folder), *link = strf("%s/way", folder), *last = strf("%s/way-file", folder);
        _cleanup_close_ int dirfd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat wanted, found;

        CHECK_INT(write_file_durably(file, "x"), 0);
        CHECK(dirfd >= 0 && stat(file, &wanted) == 0 && symlink(".", link) == 0 && symlink("on-way", last) == 0);
        _cleanup_close_ int through = open_resolved(dirfd, "way/on-way", O_PATH, 0), plain = open_resolved(dirfd, "on-way", O_PATH, RESOLVE_NO_SYMLINKS);
        CHECK(through >= 0 && fstat(through, &found) == 0 && found.st_ino == wanted.st_ino);
        CHECK(plain >= 0 && fstat(plain, &found) == 0 && found.st_ino == wanted.st_ino);
        CHECK_INT(fcntl(plain, F_GETFD), FD_CLOEXEC);
        CHECK_INT(open_resolved(dirfd, "way/on-way", O_PATH, RESOLVE_NO_SYMLINKS), -ELOOP);
        CHECK_INT(open_resolved(dirfd, "way-file", O_PATH, RESOLVE_NO_SYMLINKS), -ELOOP);
        CHECK_INT(open_resolved(dirfd, "on-way/x", O_PATH, RESOLVE_NO_SYMLINKS), -ENOTDIR);
        CHECK_INT(open_resolved(dirfd, "nothing", O_PATH, 0), -ENOENT);
        CHECK_INT(open_resolved(AT_FDCWD, "/proc/self/exe", O_PATH, RESOLVE_NO_SYMLINKS), -ELOOP);

        /* What is open is known, and nobody has to be asked for it. */
        int fd;
        for (unsigned n = 0; (fd = open_resolved(dirfd, "on-way", O_PATH, RESOLVE_CACHED)) == -EAGAIN && n < 1000; n++)
                ;
        CHECK(fd >= 0);
        closep(&fd);
}

/* Somebody renames a file, elsewhere, all the time: a way with ".." in it is found all the same. */
static void test_renamed_meanwhile(const char *folder) {
        _cleanup_free_ char *here = strf("%s/here", folder), *there = strf("%s/there", folder);
        _cleanup_close_ int dirfd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

        CHECK(dirfd >= 0 && mkdir(here, 0700) == 0);
        pid_t parent = getpid(), pid = fork();
        CHECK(pid >= 0);
        /* Not longer than a test that fails. */
        if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
                _exit(1);
        while (pid == 0)
                if (rename(here, there) < 0 || rename(there, here) < 0)
                        _exit(1);
        for (unsigned i = 0; i < 5000; i++) {
                _cleanup_close_ int fd = open_resolved(dirfd, "../../../on-way", O_PATH, RESOLVE_IN_ROOT);
                CHECK(fd >= 0);
        }
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
}

int main(void) {
        char folder[] = "/tmp/test-fileio.XXXXXX";

        CHECK(mkdtemp(folder));
        test_read(folder);
        test_replace(folder);
        test_no_file(folder);
        test_append(folder);
        test_mkdir(folder);
        test_way(folder);
        test_renamed_meanwhile(folder);
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
