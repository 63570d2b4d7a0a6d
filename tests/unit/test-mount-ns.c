/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In a user namespace of its own, so that anybody may run it: mount namespaces that nobody is in. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "kernel/mount-ns.h"
#include "own-processes.h"

enum { CANNOT_RUN = 77 };

static const MountNs *find(const MountNsList *l, uint64_t id) {
        for (size_t i = 0; i < l->n_items; i++)
                if (l->items[i].id == id)
                        return &l->items[i];
        return NULL;
}

/* A namespace that only the descriptor keeps. */
static int make_namespace(uint64_t *ret_id) {
        int ready[2], done[2];
        char byte;

        CHECK_INT(pipe2(ready, O_CLOEXEC), 0);
        CHECK_INT(pipe2(done, O_CLOEXEC), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                if (unshare(CLONE_NEWNS) < 0 || write(ready[1], "x", 1) != 1 || read(done[0], &byte, 1) != 1)
                        _exit(EXIT_FAILURE);
                _exit(EXIT_SUCCESS);
        }
        close(ready[1]);
        CHECK_INT(read(ready[0], &byte, 1), 1);
        _cleanup_free_ char *path = strf("/proc/%d/ns/mnt", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_INT(mount_ns_id(path, ret_id), 0);
        CHECK_INT(write(done[1], "x", 1), 1);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
        close(ready[0]);
        close(done[0]);
        close(done[1]);
        return fd;
}

static void check_opens(const MountNsList *l, uint64_t id) {
        const MountNs *ns = find(l, id);
        struct stat st;

        CHECK(ns);
        CHECK_INT(ns->pid, 0);
        CHECK(ns->path);
        _cleanup_close_ int fd = mount_ns_open(id, ns->path);
        CHECK(fd >= 0);
        CHECK_INT(fstat(fd, &st), 0);
        CHECK_INT(st.st_ino, id);
}

static void test_kept_by_descriptor(void) {
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        uint64_t id, own;

        _cleanup_close_ int fd = make_namespace(&id);
        CHECK_INT(mount_ns_id("/proc/self/ns/mnt", &own), 0);
        CHECK(own != id);
        CHECK_INT(mount_ns_list_kept(&l), 0);
        check_opens(&l, id);
}

static void test_kept_by_bind_mount(const char *folder) {
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        _cleanup_free_ char *file = strf("%s/a namespace", folder), *own = strf("/proc/%d/ns/mnt", getpid());
        uint64_t id, own_id;

        _cleanup_close_ int made = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(made >= 0);
        _cleanup_close_ int fd = make_namespace(&id);
        _cleanup_free_ char *link = strf("/proc/self/fd/%d", fd);
        CHECK_INT(mount(link, file, NULL, MS_BIND, NULL), 0);
        close(TAKE_FD(fd));

        CHECK_INT(mount_ns_id(own, &own_id), 0);
        CHECK_INT(mount_ns_add(&l, own_id, getpid(), TAKE_PTR(own)), 0);
        CHECK_INT(mount_ns_list_kept(&l), 0);
        check_opens(&l, id);
        CHECK(strstr(find(&l, id)->path, "/root/"));
        CHECK_INT(umount2(file, MNT_DETACH), 0);
}

static void test_names(void) {
        static const char *const bad[] = { "", "mnt:[", "mnt:[]", "mnt:[1", "mnt:[1]x", "mnt:[x]", "net:[1]", "/a/mnt:[1]", "mnt:[1]]" };
        uint64_t id = 0;

        CHECK_INT(mount_ns_parse("mnt:[4026531841]", &id), 0);
        CHECK_INT(id, 4026531841);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK(mount_ns_parse(bad[i], &id) < 0);
}

/* A namespace's file can be mounted only in one that is older, and 6.18 tells the age by numbers that each processor hands out of
 * its own supply: all of ours are to come from the same. */
static bool stay_on_one_processor(void) {
        cpu_set_t one;
        int cpu = sched_getcpu();

        CPU_ZERO(&one);
        CPU_SET(cpu < 0 ? 0 : (unsigned) cpu, &one);
        return sched_setaffinity(0, sizeof(one), &one) == 0;
}

int main(void) {
        char folder[] = "/tmp/test-mount-ns.XXXXXX";

        test_names();
        (void) see_own_processes();
        if (!stay_on_one_processor() || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return CANNOT_RUN;
        CHECK(mkdtemp(folder));
        test_kept_by_descriptor();
        test_kept_by_bind_mount(folder);
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
