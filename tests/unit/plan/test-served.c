/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process that uses the card and is a disk to others: found by both kinds of such devices, and told when somebody uses that disk. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/users/served-block.h"
#include "plan/find/blockers.h"
#include "tests/unit/test.h"

static char nbd[] = "nbd0", part[] = "nbd0p1", ublk[] = "ublkb3", type[] = "ext4";
static char *on_nbd[] = { nbd }, *on_part[] = { part };

static BlockDevice devices[] = {
        { .name = nbd, .dev = 1, .kind = BLOCK_DISK },
        { .name = part, .dev = 2, .kind = BLOCK_PARTITION, .lower = on_nbd, .n_lower = 1 },
        { .name = ublk, .dev = 3, .kind = BLOCK_DISK },
};
static FileSystem file_systems[] = { { .dev = 2, .type = type, .devices = on_part, .n_devices = 1 } };

static void make_folders(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        for (char *p = copy + 1; (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                CHECK(mkdir(copy, 0755) == 0 || errno == EEXIST);
        }
}

static void put_number(const char *path, int number) {
        make_folders(path);
        _cleanup_fclose_ FILE *f = fopen(path, "we");
        CHECK(f && fprintf(f, "%d\n", number) > 0);
}

static void check_device(int pid, const char *expected) {
        _cleanup_free_ char *name = NULL;

        CHECK_INT(served_block_of(pid, &name), 0);
        CHECK_STR(name ?: "(none)", expected);
}

/* How many blockers there are, on a machine with a file system on nbd0p1 or without one, with swap on ublkb3 or without. */
static size_t count(int pid, bool mounted, dev_t swap) {
        Swap swaps[] = { { .dev = swap } };
        const Topology t = { .block_devices = devices, .n_block_devices = 3, .file_systems = file_systems, .n_file_systems = mounted,
                             .swaps = swaps, .n_swaps = 1 };
        _cleanup_json_ json_object *hard = json_object_new_array(), *soft = json_object_new_array();
        Findings f = { .t = &t, .blockers = hard, .warnings = soft };

        CHECK_INT(find_served(&f, pid, "qemu-nbd"), 0);
        return json_len(hard);
}

int main(void) {
        int self = getpid();
        _cleanup_free_ char *fd = strf("/proc/%d/fd/9", self);

        check_device(self, "(none)");
        put_number("/sys/class/block/nbd0/pid", self + 1);
        check_device(self, "(none)");
        put_number("/sys/class/block/nbd0/pid", self);
        check_device(self, "nbd0");
        CHECK_INT(count(self, true, 7), 1);
        CHECK_INT(count(self, false, 7), 0);
        CHECK_INT(count(self, false, 1), 1);
        CHECK_INT(unlink("/sys/class/block/nbd0/pid"), 0);

        make_folders(fd);
        CHECK_INT(symlink("/dev/ublk-control", fd), 0);
        check_device(self, "(none)");
        CHECK_INT(unlink(fd), 0);
        CHECK_INT(symlink("/dev/ublkc3", fd), 0);
        check_device(self, "ublkb3");
        CHECK_INT(count(self, true, 7), 0);
        CHECK_INT(count(self, true, 3), 1);
        return EXIT_SUCCESS;
}
