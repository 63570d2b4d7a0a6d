/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which file systems can be shut down, and that nothing is shut down but what was meant. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/mounts/fs-shutdown.h"
#include "tests/unit/own-processes.h"

#define TIMEOUT (20 * USEC_PER_SEC)

static char top[] = "/tmp/test-fs-shutdown-XXXXXX", beside[] = "/tmp/test-fs-shutdown-XXXXXX";

static void can(const char *type, const char *release, bool want) {
        _cleanup_free_ char *why = NULL;

        CHECK_INT(fs_shutdown_check(type, release, &why), want ? 0 : -EOPNOTSUPP);
        CHECK_INT(!why, want);
}

static void test_table(void) {
        can("xfs", "6.1.0-18-amd64", true);
        can("ext4", "6.12.95+deb12-amd64", true);
        can("ext3", "6.12.95", true);
        can("f2fs", "6.1.192", true);
        can("btrfs", "6.12.107", false);
        can("btrfs", "7.1.9", false);
        can("btrfs", "7.2.13-amd64", true);
        can("vfat", "7.2.13-amd64", false);
        can("xfs", "rubbish", false);
        can("xfs", "", false);
}

static void test_words(void) {
        CHECK_INT(fs_shutdown_from_string("flush"), FS_SHUTDOWN_FLUSH);
        CHECK_INT(fs_shutdown_from_string("noflush"), FS_SHUTDOWN_NO_FLUSH);
        CHECK_INT(fs_shutdown_from_string("no"), FS_SHUTDOWN_NO);
        CHECK_INT(fs_shutdown_from_string("rubbish"), FS_SHUTDOWN_NO);
        CHECK_INT(fs_shutdown_from_string(NULL), FS_SHUTDOWN_NO);
}

static json_object *found(const MountedFs *fs) {
        json_object *mounts = NULL;

        CHECK_INT(mounts_find(fs, TIMEOUT, &mounts), 0);
        return mounts;
}

/* One that cannot do it says so and works on. Another device than the one that was looked at, or another mount than that, is left alone:
 * what lies below a mount point that has been emptied is somebody else's. */
static void test_not_another(void) {
        _cleanup_free_ char *why = NULL, *why2 = NULL, *why3 = NULL, *folder = strf("%s/folder", top);
        struct stat st;

        CHECK_INT(mount("ours", top, "tmpfs", 0, "size=1m"), 0);
        CHECK_INT(stat(top, &st), 0);
        const MountedFs fs = { .dev = st.st_dev, .type = "tmpfs" };
        _cleanup_json_ json_object *mounts = found(&fs);
        json_object *m = json_at(mounts, 0);
        CHECK_INT(fs_is_shut_down(&fs, m, TIMEOUT), 0);
        CHECK_INT(fs_quiesce(&fs, m, FS_SHUTDOWN_NO, TIMEOUT, &why), 0);
        CHECK_INT(fs_quiesce(&fs, m, FS_SHUTDOWN_FLUSH, TIMEOUT, &why), -ENOTTY);
        CHECK(strstr(why, "cannot be shut down"));
        CHECK_INT(mkdir(folder, 0700), 0);

        /* Made before the other goes: the kernel gives numbers out again. */
        CHECK_INT(mount("other", beside, "tmpfs", 0, "size=1m"), 0);
        CHECK_INT(umount2(top, 0), 0);
        CHECK_INT(mount(beside, top, NULL, MS_MOVE, NULL), 0);
        CHECK_INT(fs_quiesce(&fs, m, FS_SHUTDOWN_FLUSH, TIMEOUT, &why2), -ESTALE);
        CHECK_INT(umount2(top, 0), 0);
        CHECK_INT(fs_quiesce(&fs, m, FS_SHUTDOWN_FLUSH, TIMEOUT, &why3), -ESTALE);
}

/* The same mount, and by its number another device: as a path is that leads elsewhere by now. */
static void test_another_device(void) {
        _cleanup_free_ char *why = NULL;
        struct stat st;

        CHECK_INT(mount("ours", top, "tmpfs", 0, "size=1m"), 0);
        CHECK_INT(stat(top, &st), 0);
        const MountedFs fs = { .dev = st.st_dev, .type = "tmpfs" }, disk = { .dev = makedev(259, 7), .type = "tmpfs" };
        _cleanup_json_ json_object *mounts = found(&fs);
        CHECK_INT(fs_quiesce(&disk, json_at(mounts, 0), FS_SHUTDOWN_FLUSH, TIMEOUT, &why), -ESTALE);
        CHECK_INT(fs_is_shut_down(&disk, json_at(mounts, 0), TIMEOUT), -ESTALE);
        CHECK_INT(umount2(top, 0), 0);
}

int main(void) {
        test_table();
        test_words();
        CHECK(fs_media_gone(makedev(259, 1 << 19))); /* no such device */
        if (!see_own_processes() || mount("x", "/proc/1", "tmpfs", 0, NULL) < 0 || mkdir("/proc/1/ns", 0700) < 0 ||
            symlink("mnt:[1]", "/proc/1/ns/mnt") < 0) {
                puts("the rest needs root");
                return EXIT_SUCCESS;
        }
        CHECK(mkdtemp(top) && mkdtemp(beside));
        test_not_another();
        test_another_device();
        test_remove_tree(top);
        test_remove_tree(beside);
        return EXIT_SUCCESS;
}
