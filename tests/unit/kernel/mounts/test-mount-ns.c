/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In a user namespace of its own, so that anybody may run it: mount namespaces that nobody is in. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/mounts/mounts.h"
#include "tests/unit/own-processes.h"

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

/* Where a namespace is mounted is anybody's choice, and so is what lies beside it: it speaks for none. */
static void test_name_of_a_process(const char *folder) {
        _cleanup_free_ char *path = strf("%s/ns/mnt", folder), *table = strf("%s/mountinfo", folder), *root = strf("%s/root", folder);
        const MountNs ns = { .id = 1, .path = path };
        char *text = NULL;

        CHECK_INT(mkfifo(table, 0600), 0);
        CHECK_INT(symlink("/", root), 0);
        CHECK_INT(mount_ns_text(&ns, SIZE_MAX, &text), -EAGAIN);
        CHECK_INT(unlink(table) + unlink(root), 0);
}

/* What many may have made is looked up: whoever walks over all for each needs some thousand times as long. */
static void test_many(void) {
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        enum { MANY = 200000 };
        uint64_t began = now_monotonic();

        for (uint64_t id = 0; id < 2 * MANY; id++)
                CHECK_INT(mount_ns_add(&l, id % MANY << 8, 1, NULL), 0);
        CHECK_INT(l.n_items, MANY);
        for (uint64_t id = 0; id < MANY; id++)
                CHECK(mount_ns_find(&l, id << 8) == &l.items[id]);
        CHECK(!mount_ns_find(&l, 1));
        CHECK(now_monotonic() < began + 10 * USEC_PER_SEC);
}

static char *add_line(char *text, size_t id, size_t parent, const char *rest) {
        char *longer = text + sprintf(text, "%zu %zu %s", id, parent, rest);

        *longer++ = '\n';
        *longer = '\0';
        return longer;
}

/* What is mounted on each mount of a file system, in its order: other file systems, and names of namespaces by themselves. */
static void test_on_top(void) {
        enum { MANY = 50000 };
        static char text[MANY * 100];
        static char type[] = "ext4";
        const MountNs ns = { .id = 1 };
        const MountedFs fs = { .dev = makedev(259, 1), .type = type };
        _cleanup_mount_entries_ MountEntries l = { 0 };
        _cleanup_json_ json_object *found = json_object_new_array();
        uint64_t began = now_monotonic();
        char *end = add_line(text, 10, 1, "0:5 / /z rw - tmpfs x rw");

        for (size_t i = 0; i < MANY / 2; i++)
                end = add_line(end, 100 + i, 10, "259:1 / /srv rw - ext4 /dev/pmem0 rw");
        end = add_line(end, 90001, 101, "0:6 / /srv/b rw - tmpfs x rw");
        end = add_line(end, 90002, 101, "259:1 / /srv/itself rw - ext4 /dev/pmem0 rw");
        end = add_line(end, 90003, 101, "0:4 net:[4026532600] /srv/net rw - nsfs nsfs rw");
        end = add_line(end, 90004, 101, "0:7 / /srv/a rw - tmpfs x rw");
        for (size_t i = 0; i < MANY / 2; i++)
                end = add_line(end, 100000 + i, 102, "0:8 / /srv/c rw - tmpfs x rw");
        CHECK_INT(mountinfo_parse(text, &l), 0);
        CHECK_INT(mounts_of_table(&fs, &ns, &l, found), 0);
        CHECK_INT(json_len(found), MANY / 2 + 1);
        CHECK_INT(json_len(json_array(json_at(found, 0), "on_top")), 0);
        CHECK_STR(json_text(json_get(json_at(found, 1), "on_top")), "[\"/srv/b\",\"/srv/a\"]");
        CHECK_STR(json_text(json_get(json_at(found, 1), "names")), "[\"net:[4026532600] at /srv/net\"]");
        CHECK_INT(json_len(json_array(json_at(found, 2), "on_top")), MANY / 2);
        CHECK(now_monotonic() < began + 10 * USEC_PER_SEC);
}

static size_t n_opened;

static int count_opened(const MountNs *ns, int fd, void *data) {
        struct stat st;

        if (fd < 0)
                return 0;
        CHECK_INT(fstat(fd, &st), 0);
        CHECK_INT(st.st_ino, ns->id);
        n_opened++;
        return 0;
}

/* Each that is there once, whatever is said of the way to it. */
static void test_open_each(void) {
        char own[] = "/proc/self/ns/mnt", nowhere[] = "/proc/self/ns/net";
        MountNs items[] = { { .path = own }, { .path = nowhere }, { .id = 1 }, { .path = own } };

        CHECK_INT(mount_ns_id(own, &items[0].id), 0);
        items[1].id = 2;
        items[3].id = items[0].id;
        CHECK_INT(mount_ns_open_each(items, ELEMENTSOF(items), count_opened, NULL), 0);
        CHECK_INT(n_opened, 1);
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
        test_many();
        test_on_top();
        (void) see_own_processes();
        if (!stay_on_one_processor() || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return CANNOT_RUN;
        CHECK(mkdtemp(folder));
        test_name_of_a_process(folder);
        test_open_each();
        test_kept_by_descriptor();
        test_kept_by_bind_mount(folder);
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
