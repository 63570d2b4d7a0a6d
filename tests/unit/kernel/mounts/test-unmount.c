/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file system of our own in several places, in two mount namespaces. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/mounts/mounts.h"
#include "kernel/mounts/remount.h"
#include "kernel/mounts/unmount.h"
#include "step/step.h"
#include "tests/unit/noted.h"
#include "tests/unit/own-processes.h"

static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC };
static const StepOps *ops;
static char top[] = "/tmp/test-unmount-XXXXXX";
static char *place, *other;     /* two folders below */

static void mount_it(void) {
        CHECK_INT(mount("ours", place, "tmpfs", 0, "size=1m"), 0);
        CHECK_INT(mount(place, other, NULL, MS_BIND, NULL), 0);
}

static json_object *found(void) {
        json_object *mounts = NULL;
        struct stat st;

        CHECK_INT(stat(place, &st), 0);
        const MountedFs fs = { .dev = st.st_dev, .type = "tmpfs" };
        CHECK_INT(mounts_find(&fs, limits.write_timeout_usec, &mounts), 0);
        return mounts;
}

/* By whatever tmpfs: what comes back is not the one that went. */
static size_t places_taken(void) {
        const MountedFs any = { .type = "tmpfs" };
        _cleanup_json_ json_object *mounts = NULL;
        size_t n = 0;

        CHECK_INT(mounts_find(&any, limits.write_timeout_usec, &mounts), 0);
        for (size_t i = 0; i < json_len(mounts); i++) {
                const char *target = json_str(json_at(mounts, i), "target");
                n += streq_ptr(target, place) || streq_ptr(target, other);
        }
        return n;
}

/* As a plan has them, from what is mounted now. */
static json_object *args_new(void) {
        json_object *args = json_object_new_object(), *fs = json_object_new_object();
        struct stat st;

        CHECK_INT(stat(place, &st), 0);
        json_set_strf(fs, "dev", "%u:%u", major(st.st_dev), minor(st.st_dev));
        json_set_str(fs, "type", "tmpfs");
        json_set_str(fs, "source", "ours");
        json_set_str(fs, "super_options", "rw,size=1024k");
        json_set(args, "fs", fs);
        json_set(args, "mounts", found());
        return args;
}

static StepRun run_new(void) {
        return (StepRun) { .limits = &limits, .note = keep_notes, .notes = json_object_new_array() };
}

static void run_done(StepRun *run) {
        json_object_put(run->notes);
        step_run_done(run);
}

static void in_own_mounts(void) {
        CHECK_INT(unshare(CLONE_NEWNS), 0);
}

static void with_folder_there(void) {
        CHECK_INT(chdir(place), 0);
}

/* Everywhere, also where nobody but another process sees it; and back in all the places. */
static void test_everywhere(void) {
        _cleanup_(run_done) StepRun run = run_new();

        mount_it();
        pid_t pid = waiting_child_start(in_own_mounts);
        _cleanup_json_ json_object *args = args_new();
        CHECK_INT(json_len(json_array(args, "mounts")), 4);
        CHECK_INT(ops->check(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(umount2(other, 0), 0);
        CHECK_INT(ops->verify(args, &run), STEP_PARTLY_APPLIED);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(places_taken(), 0);

        run.backwards = true;
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(places_taken(), 4);
        waiting_child_end(pid);
        CHECK(umount2(other, 0) == 0 && umount2(place, 0) == 0);
}

/* Somebody else's file system on top of it goes first, by its own step. */
static void test_on_top(void) {
        _cleanup_free_ char *folder = strf("%s/top", place), *why = strf("%s is mounted below %s", folder, place);
        _cleanup_(run_done) StepRun run = run_new();

        mount_it();
        CHECK(mkdir(folder, 0700) == 0 && mount("x", folder, "tmpfs", 0, NULL) == 0);
        _cleanup_json_ json_object *args = args_new();
        CHECK_INT(ops->check(args, &run), -EBUSY);
        CHECK_STR(run.why, why);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK(umount2(folder, 0) == 0 && umount2(other, 0) == 0 && umount2(place, 0) == 0);
}

/* A name of a namespace goes with it, and is told; that of a mount namespace, which may have a tmpfs in it, does not. */
static void test_name_on_top(void) {
        _cleanup_free_ char *name = strf("%s/name", place);
        _cleanup_(run_done) StepRun run = run_new();

        mount_it();
        _cleanup_close_ int file = open(name, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
        CHECK(file >= 0 && mount("/proc/self/ns/uts", name, NULL, MS_BIND, NULL) == 0);
        close(TAKE_FD(file));
        _cleanup_json_ json_object *args = args_new();
        CHECK_INT(ops->check(args, &run), 0);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        CHECK(json_len(run.lost) == 1 && strstr(json_object_get_string(json_at(run.lost, 0)), name));
        CHECK(mount_is_name("nsfs", "net:[1]"));
        CHECK(!mount_is_name("nsfs", "mnt:[1]") && !mount_is_name("nsfs", "ipc:[1]") && !mount_is_name("ext4", "net:[1]"));
}

/* Whoever is in there is named, and keeps it. */
static void test_busy(void) {
        _cleanup_(run_done) StepRun run = run_new();

        mount_it();
        pid_t pid = waiting_child_start(with_folder_there);
        _cleanup_free_ char *who = strf("process %d (test-unmount", pid);
        _cleanup_json_ json_object *args = args_new();
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        if (!strstr(run.why, who))
                CHECK_STR(run.why, who);
        CHECK(strstr(run.remedy, "fuser -vm"));
        CHECK_INT(ops->verify(args, &run), STEP_PARTLY_APPLIED); /* the other place is gone */
        waiting_child_end(pid);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
}

enum {
        REBINDERS = 4,
        LOCKED = 2,
};

static unsigned *n_made;        /* shared with the children */

/* Whatever is taken away of it comes again, beside the copies that are locked. */
static void rebind(const char *folder) {
        struct stat st, now;

        CHECK_INT(stat(place, &st), 0);
        for (;;)
                if (stat(folder, &now) == 0 && now.st_dev != st.st_dev)
                        __atomic_add_fetch(n_made, mount(place, folder, NULL, MS_BIND, NULL) == 0, __ATOMIC_SEQ_CST);
                else
                        usleep(100);
}

static char *rebind_folder(unsigned i) {
        return strf("%s/again%u", top, i);
}

static void rebind_for_ever(void) {
        CHECK_INT(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
        for (unsigned i = 0; i < REBINDERS; i++) {
                _cleanup_free_ char *folder = rebind_folder(i);
                CHECK_INT(mount(place, folder, NULL, MS_BIND, NULL), 0);
                pid_t pid = fork();
                CHECK(pid >= 0);
                if (pid == 0) {
                        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                        rebind(folder);
                }
        }
}

/* It comes to its end, in no more passes than mounts were there, and says what is locked. */
static void test_made_again(void) {
        _cleanup_json_ json_object *left = NULL;
        struct stat st;
        size_t locked = 0;

        n_made = mmap(NULL, sizeof(*n_made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(n_made != MAP_FAILED);
        mount_it();
        CHECK_INT(stat(place, &st), 0);
        const MountedFs fs = { .dev = st.st_dev, .type = "tmpfs" };
        for (unsigned i = 0; i < REBINDERS; i++) {
                _cleanup_free_ char *folder = rebind_folder(i);
                CHECK(mkdir(folder, 0700) == 0);
        }
        pid_t pid = waiting_child_start(rebind_for_ever);
        CHECK_INT(fs_unmount(&fs, limits.write_timeout_usec, &left), 0);
        for (size_t i = 0; i < json_len(left); i++)
                locked += json_u64(json_at(left, i), "error") == EINVAL;
        waiting_child_end(pid);
        CHECK_INT(locked, LOCKED);
        CHECK(*n_made <= REBINDERS * (LOCKED + REBINDERS));
        CHECK_INT(munmap(n_made, sizeof(*n_made)), 0);
}

enum {
        BUSY_PLACES = 12,       /* each is waited for, for 0.2 s */
};

static uid_t user;

static void with_users_of_his_own(void) {
        _cleanup_free_ char *map = strf("0 %u 1", user);

        CHECK(setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0);
        CHECK(prctl(PR_SET_DUMPABLE, 1) == 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
        test_put("/proc/self/setgroups", "deny");
        test_put("/proc/self/uid_map", map);
        test_put("/proc/self/gid_map", map);
}

static char *busy_folder(unsigned i) {
        return strf("%s/busy%u", top, i);
}

static char *quiet_folder(void) {
        return strf("%s/quiet", top);
}

static void keep_busy(void) {
        with_users_of_his_own();
        for (unsigned i = 0; i < BUSY_PLACES; i++) {
                _cleanup_free_ char *folder = busy_folder(i);
                CHECK_INT(mount(place, folder, NULL, MS_BIND, NULL), 0);
                CHECK(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0);
        }
}

static void keep_quiet(void) {
        _cleanup_free_ char *folder = quiet_folder();

        with_users_of_his_own();
        CHECK_INT(mount(place, folder, NULL, MS_BIND, NULL), 0);
}

static void with_locked_copies(void) {
        CHECK_INT(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
}

/* Who has a copy that nobody can take from him is named while all the others are still there. */
static void test_locked(void) {
        _cleanup_(run_done) StepRun run = run_new();

        mount_it();
        _cleanup_json_ json_object *args = args_new();
        pid_t pid = waiting_child_start(with_locked_copies);
        _cleanup_free_ char *who = strf("in the namespace of process %d: it is locked", pid);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        if (!strstr(run.why, who))
                CHECK_STR(run.why, who);
        CHECK(run.remedy && (strstr(run.remedy, "kill") || strstr(run.remedy, "systemctl stop")));
        CHECK_INT(places_taken(), 2 + LOCKED);
        waiting_child_end(pid);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
}

/* One that goes with the host's own, locked as it is. */
static void test_locked_follower(void) {
        _cleanup_(run_done) StepRun run = run_new();

        CHECK(mount(top, top, NULL, MS_BIND, NULL) == 0 && mount(NULL, top, NULL, MS_SHARED, NULL) == 0);
        mount_it();
        _cleanup_json_ json_object *args = args_new();
        pid_t pid = waiting_child_start(with_locked_copies);
        CHECK_INT(places_taken(), 2 + LOCKED);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        CHECK_INT(places_taken(), 0);
        waiting_child_end(pid);
        CHECK_INT(umount2(top, MNT_DETACH), 0);
}

/* Who keeps more of them busy than there is time for does it to himself: what another user has goes. */
static void test_shared_time(void) {
        _cleanup_json_ json_object *left = NULL, *still = NULL;
        _cleanup_free_ char *quiet = quiet_folder(), *busy = busy_folder(0);
        size_t n_busy = 0, n_quiet = 0;
        struct stat st;

        mount_it();
        CHECK(stat(place, &st) == 0 && chmod(top, 0755) == 0 && mkdir(quiet, 0700) == 0);
        const MountedFs fs = { .dev = st.st_dev, .type = "tmpfs" };
        for (unsigned i = 0; i < BUSY_PLACES; i++) {
                _cleanup_free_ char *folder = busy_folder(i);
                CHECK(mkdir(folder, 0700) == 0);
        }
        /* In whatever order they are looked at. */
        user = 65532;
        pid_t before = waiting_child_start(keep_quiet);
        user = 65533;
        pid_t one = waiting_child_start(keep_busy);
        user = 65531;
        pid_t behind = waiting_child_start(keep_quiet);
        CHECK_INT(fs_unmount(&fs, limits.write_timeout_usec, &left), 0);
        CHECK(json_len(left) > 0);
        CHECK_INT(mounts_find(&fs, limits.write_timeout_usec, &still), 0);
        for (size_t i = 0; i < json_len(still); i++) {
                json_object *m = json_at(still, i);
                CHECK(json_flag(m, "foreign"));
                n_busy += streq_ptr(json_str(m, "target"), busy);
                n_quiet += streq_ptr(json_str(m, "target"), quiet);
        }
        waiting_child_end(behind);
        waiting_child_end(one);
        waiting_child_end(before);
        CHECK_INT(n_quiet, 0);
        CHECK_INT(n_busy, 1);
}

/* What stands in a folder of its own: whoever takes it away is not in there when the outer one's turn comes. */
static void test_in_itself(void) {
        _cleanup_free_ char *inner = strf("%s/inner", place);
        _cleanup_json_ json_object *left = NULL;
        struct stat st;

        mount_it();
        CHECK(mkdir(inner, 0700) == 0 && mount(other, inner, NULL, MS_BIND, NULL) == 0 && stat(place, &st) == 0);
        const MountedFs fs = { .dev = st.st_dev, .type = "tmpfs" };
        CHECK_INT(fs_unmount(&fs, limits.write_timeout_usec, &left), 0);
        CHECK_INT(json_len(left), 0);
        CHECK_INT(places_taken(), 0);
}

static json_object *at(json_object *mounts, const char *target) {
        for (size_t i = 0; i < json_len(mounts); i++)
                if (streq_ptr(json_str(json_at(mounts, i), "target"), target))
                        return json_at(mounts, i);
        return NULL;
}

static void check_no_way(const MountAgain *again) {
        _cleanup_free_ char *lost = NULL, *why = NULL;

        CHECK_INT(mount_again(again, limits.write_timeout_usec, &lost, &why), -ELOOP);
        CHECK(why && strstr(why, "a link or a file is on the way to it now"));
}

/* Whoever has a folder on the way to the part that was mounted makes a link of it: nothing comes back, and not what that leads to. */
static void test_link_to_part(void) {
        _cleanup_free_ char *way = strf("%s/way", place), *part = strf("%s/way/part", place), *was = strf("%s/was", place), *lost = NULL, *why = NULL;
        _cleanup_json_ json_object *fs = json_object_new_object(), *before = NULL, *now = NULL;
        struct stat st;

        CHECK_INT(mount("ours", place, "tmpfs", 0, "size=1m"), 0);
        CHECK(mkdir(way, 0700) == 0 && mkdir(part, 0700) == 0 && mount(part, other, NULL, MS_BIND, NULL) == 0 && stat(place, &st) == 0);
        const MountedFs ours = { .dev = st.st_dev, .type = "tmpfs" };
        CHECK_INT(mounts_find(&ours, limits.write_timeout_usec, &before), 0);
        json_set_str(fs, "type", "tmpfs");
        json_set_str(fs, "source", "ours");
        const MountAgain again = { .fs = fs, .mount = at(before, other), .source = "ours", .model = at(before, place) };
        CHECK(again.mount && again.model && umount2(other, 0) == 0);
        CHECK_INT(mount_again(&again, limits.write_timeout_usec, &lost, &why), 0);
        CHECK_INT(mounts_find(&ours, limits.write_timeout_usec, &now), 0);
        CHECK_STR(json_str(at(now, other), "root"), "/way/part");

        CHECK(umount2(other, 0) == 0 && rename(way, was) == 0 && symlink(".", way) == 0);
        _cleanup_free_ char *elsewhere = strf("%s/part", place);
        CHECK_INT(mkdir(elsewhere, 0700), 0);
        json_object_put(now);
        (void) mount_again(&again, limits.write_timeout_usec, &lost, &why);
        CHECK_INT(mounts_find(&ours, limits.write_timeout_usec, &now), 0);
        CHECK(!at(now, other));
        free(TAKE_PTR(why));

        /* One that is nowhere mounted yet: /class/net/lo is a link. */
        json_set_str(fs, "type", "sysfs");
        json_set_str(fs, "source", "sysfs");
        json_set_str(again.mount, "root", "/class/net/lo/queues");
        check_no_way(&(MountAgain) { .fs = fs, .mount = again.mount, .source = "sysfs" });
        json_set_str(again.mount, "root", "/class/net");
        CHECK_INT(mount_again(&(MountAgain) { .fs = fs, .mount = again.mount, .source = "sysfs" }, limits.write_timeout_usec, &lost, &why), 0);
        CHECK_INT(umount2(other, 0), 0);

        /* Options are another matter of the mount that was found, wherever a link leads to now. */
        _cleanup_free_ char *link = strf("%s/link", top), *by_link = strf("%s/place", link);
        json_object *found = at(before, place);
        CHECK_INT(symlink(".", link), 0);
        json_set_str(found, "target", by_link);
        _cleanup_json_ json_object *wanted = json_object_new_object(), *after = NULL;
        bool shared = strstr(json_str(found, "propagation"), "shared:");
        json_set_str(wanted, "options", "ro,relatime");
        json_set_str(wanted, "propagation", shared ? "" : "shared:1");
        CHECK(!mount_is_as(found, wanted));
        CHECK_INT(mount_adjust(found, wanted, false, limits.write_timeout_usec), -ELOOP);
        json_set_str(found, "target", place);
        CHECK_INT(mount_adjust(found, wanted, false, limits.write_timeout_usec), 0);
        CHECK_INT(mounts_find(&ours, limits.write_timeout_usec, &after), 0);
        CHECK(at(after, place) && mount_is_as(at(after, place), wanted)); /* also how what is mounted below it is passed on */
        json_set_u64(found, "id", json_u64(found, "id") + 1);
        CHECK_INT(mount_adjust(found, wanted, false, limits.write_timeout_usec), -ESTALE);
        CHECK(unlink(link) == 0 && umount2(place, 0) == 0);
}

/* The kernel lists all mount namespaces only for who is in the first PID namespace, and is asked through /proc/1/ns/mnt. Without that
 * they are found by who is in them; the host's is one that nobody is in. */
static bool world_begin(void) {
        return see_own_processes() && mount("x", "/proc/1", "tmpfs", 0, NULL) == 0 && mkdir("/proc/1/ns", 0700) == 0 &&
               symlink("mnt:[1]", "/proc/1/ns/mnt") == 0 && symlink("/proc/self/ns/user", "/proc/1/ns/user") == 0;
}

int main(void) {
        if (!world_begin()) {
                puts("needs root");
                return 77;
        }
        CHECK(mkdtemp(top));
        place = strf("%s/place", top);
        other = strf("%s/other", top);
        CHECK(place && other && mkdir(place, 0700) == 0 && mkdir(other, 0700) == 0);
        ops = step_ops(STEP_UNMOUNT);
        test_everywhere();
        test_on_top();
        test_name_on_top();
        test_busy();
        test_made_again();
        test_locked();
        test_locked_follower();
        test_shared_time();
        test_in_itself();
        test_link_to_part();
        test_remove_tree(top);
        free(place);
        free(other);
        return EXIT_SUCCESS;
}
