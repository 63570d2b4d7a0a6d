/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fileio.h"
#include "recorded/dress.h"
#include "recorded/recording.h"
#include "sandbox.h"

#define PROC "/proc/" DRESS_REAL_PROC

/* Whatever is recorded by somebody, it takes no more of this machine's memory. */
#define SIZE "256M"
#define INODES "600000"

static int write_text(const char *path, const char *text) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

/* Root in there, and nobody more than before out here. */
static int become_root(uid_t uid, gid_t gid) {
        _cleanup_free_ char *uids = strf("0 %u 1\n", uid), *gids = strf("0 %u 1\n", gid);

        if (!uids || !gids)
                return -ENOMEM;
        int r = write_text("/proc/self/setgroups", "deny");
        if (r >= 0)
                r = write_text("/proc/self/uid_map", uids);
        return r < 0 ? r : write_text("/proc/self/gid_map", gids);
}

/* Root needs no user namespace where there are none. */
static int leave_namespaces(void) {
        uid_t uid = geteuid();
        gid_t gid = getegid();

        int r = unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC) < 0 ? -errno : become_root(uid, gid);
        if (r < 0 && uid == 0)
                r = unshare(CLONE_NEWNS) < 0 ? -errno : 0;
        if (r >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                r = -errno;
        return r;
}

/* A folder in memory that is not in any other yet. */
static int new_memory(bool limited) {
        const char *const size = limited ? SIZE : "50%", *const inodes = limited ? INODES : "0"; /* 0: any number */
        _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

        if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0) < 0 ||
            fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0700", 0) < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        int fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        return fd < 0 ? -errno : fd;
}

/* A mount of our own needs a place, which nobody sees afterwards. */
static int put_up(int top) {
        static const char *const places[] = { "/tmp", "/run", "/mnt", "/var" };

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (move_mount(top, "", AT_FDCWD, places[i], MOVE_MOUNT_F_EMPTY_PATH) >= 0)
                        return chdir(places[i]) < 0 ? -errno : 0;
        return -errno;
}

static int lay(const char *from, const char *to) {
        return mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
}

/* To be read only. */
static int lend(const char *from, const char *to) {
        struct mount_attr only_read = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };

        int r = lay(from, to);
        return r >= 0 && mount_setattr(AT_FDCWD, to, AT_RECURSIVE, &only_read, sizeof(only_read)) < 0 ? -errno : r;
}

/* Programs and libraries: as links where they are links here. */
static int lend_programs(void) {
        static const char *const names[] = { "usr", "lib", "lib64", "lib32", "bin", "sbin", "gnu", "nix" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *from = strf("/%s", names[i]), *target = NULL;
                struct stat st;

                if (!from)
                        return -ENOMEM;
                if (lstat(from, &st) < 0)
                        continue;
                if (S_ISLNK(st.st_mode)) {
                        int r = read_link_at(AT_FDCWD, from, &target);
                        if (r < 0 || symlink(target, names[i]) < 0)
                                return r < 0 ? r : -errno;
                        continue;
                }
                int r = mkdir(names[i], 0700) < 0 ? -errno : lend(from, names[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int lend_file(const char *from, const char *to) {
        if (access(from, F_OK) < 0)
                return 0;
        int fd = open(to, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        close(fd);
        return mount(from, to, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int lend_nodes(void) {
        static const char *const names[] = { "null", "zero", "full", "random", "urandom" };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++) {
                _cleanup_free_ char *from = strf("/dev/%s", names[i]);
                r = from ? lend_file(from, from + 1) : -ENOMEM;
        }
        return r;
}

static int make_folders(Tree *t, const char *const names[]) {
        for (size_t i = 0; names[i]; i++) {
                _cleanup_close_ int fd = tree_folder(t, names[i]);
                if (fd < 0)
                        return fd;
        }
        return 0;
}

/* The new root takes the place of the old one, and lies on it for a moment (pivot_root(2)). */
static int change_root(void) {
        if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
                return -errno;
        return 0;
}

/* What a recorded machine is to have, whatever else is there; it becomes the working folder. */
static int furnish(Tree *t) {
        static const char *const names[] = { "/sys", "/dev", "/dev/shm", "/proc", NULL };

        int r = dress_tree(t);
        if (r >= 0)
                r = make_folders(t, names);
        if (r >= 0)
                r = put_up(t->top);
        return r < 0 ? r : lend_nodes();
}

/* What lives as long as the boot or longer (run and var), and files of programs' own. */
static int be_alone(Tree *t) {
        static const char *const names[] = { "/etc", "/run", "/var", "/var/lib", "/var/lib/safe-remove", NULL };

        int r = furnish(t);
        if (r >= 0)
                r = make_folders(t, names);
        if (r >= 0)
                r = lend("/proc", PROC + 1);
        if (r >= 0)
                r = lend_programs();
        if (r >= 0)
                r = lend_file("/etc/ld.so.cache", "etc/ld.so.cache");
        return r < 0 ? r : change_root();
}

static int lie_over(Tree *t) {
        static const char *const names[] = { "/sys", "/proc", "/dev" };
        _cleanup_close_ int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        int r = here < 0 ? -errno : furnish(t);
        if (r >= 0 && mkdir(SANDBOX_RUN + 1, 0700) < 0)
                r = -errno;
        if (r >= 0)
                r = lend_file("/dev/fuse", "dev/fuse");
        if (r >= 0)
                r = lay("/proc", PROC + 1);
        for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++)
                r = lay(names[i] + 1, names[i]);
        /* Where it was put up, there is again what was there. */
        return r >= 0 && (umount2(".", MNT_DETACH) < 0 || fchdir(here) < 0) ? -errno : r;
}

static int enter(const char *machine, bool alone, char **ret_error) {
        int r = leave_namespaces();
        _cleanup_close_ int top = r < 0 ? r : new_memory(alone);

        if (top < 0) {
                *ret_error = strf("a recorded machine needs a user and a mount namespace of its own, which this system does not allow: %s (see sysctl "
                                  "kernel.unprivileged_userns_clone, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns; "
                                  "root needs no user namespace)", strerror(-top));
                return -EUSERS;
        }
        Tree t = { .top = top, .unlimited = !alone };
        r = dress_programs(&t);
        if (r >= 0)
                r = recording_unpack(machine, &t, ret_error);
        if (r < 0)
                return r;
        r = alone ? be_alone(&t) : lie_over(&t);
        if (r < 0)
                *ret_error = strf("the recorded machine cannot be set up: %s", strerror(-r));
        return r;
}

int sandbox_enter(const char *machine, char **ret_error) {
        return enter(machine, true, ret_error);
}

int sandbox_lay_over(const char *machine, char **ret_error) {
        return enter(machine, false, ret_error);
}

int sandbox_show_self(void) {
        _cleanup_free_ char *folder = strf("/proc/%d", getpid()), *link = strf("/proc/%d/task", getpid()), *target = strf("../" DRESS_REAL_PROC "/%d/task", getpid());

        if (!folder || !link || !target)
                return -ENOMEM;
        return mkdir(folder, 0700) < 0 || symlink(target, link) < 0 ? -errno : 0;
}

void sandbox_forget(pid_t pid) {
        _cleanup_free_ char *folder = strf("/proc/%d", pid), *link = strf("/proc/%d/task", pid);

        if (link && folder && unlink(link) >= 0)
                (void) rmdir(folder);
}
