/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What anybody may make of mount namespaces and mounts, for real: a look goes past it, keeps all that is the host's own, and says what it
 * left out. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/mounts/mount-ns-list.h"
#include "kernel/mounts/mounts.h"
#include "tests/unit/own-processes.h"
#include "topology/load/load.h"

enum {
        CANNOT_RUN = 77,
        NOBODY = 65534,
        NAMESPACES = 300,
        MOUNTS = 1500,
        MORE_MOUNTS = 800,      /* in a table that is read */
        SOURCE_BYTES = 4000,
};

static char folder[] = "/tmp/test-mount-bomb.XXXXXX";

static void add(MountNsList *l, uint64_t id, int pid, bool foreign, uint32_t owner) {
        CHECK_INT(mount_ns_add(l, id, pid, NULL), 0);
        l->items[l->n_items - 1].foreign = foreign;
        l->items[l->n_items - 1].owner = owner;
}

static size_t place_of(const MountNsList *l, uint64_t id) {
        const MountNs *ns = mount_ns_find(l, id);

        CHECK(ns);
        CHECK_INT(ns->id, id);
        return (size_t) (ns - l->items);
}

static void test_order(void) {
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        enum { MANY = 5000 };

        add(&l, 1, 1, false, 0);
        for (uint64_t i = 0; i < MANY; i++)
                add(&l, 100 + i, 0, true, 1000);
        add(&l, 50, 50, true, 1000);
        add(&l, 60, 60, true, 1001);
        add(&l, 61, 0, true, 1001);
        add(&l, 2, 0, false, 0);
        CHECK_INT(mount_ns_sort(&l), 0);
        /* The host's own, then each user's in turn, and of each those first that somebody is in. */
        CHECK_INT(place_of(&l, 1), 0);
        CHECK_INT(place_of(&l, 2), 1);
        CHECK_INT(place_of(&l, 50), 2);
        CHECK_INT(place_of(&l, 60), 3);
        CHECK_INT(place_of(&l, 100), 4);
        CHECK_INT(place_of(&l, 61), 5);
        CHECK_INT(place_of(&l, 101), 6);
        CHECK_INT(place_of(&l, 100 + MANY - 1), l.n_items - 1);
}

static void test_budget(void) {
        const MountNs own = { .id = 1, .pid = 1 }, theirs = { .id = 2, .foreign = true };
        MountNsBudget b;

        mount_ns_budget_begin(&b, 60 * 1000, 1000);
        CHECK_INT(mount_ns_budget_for(&b, &theirs), 1000);
        CHECK(mount_ns_budget_for(&b, &own) > MOUNT_NS_TABLE_BYTES);
        CHECK_INT(mount_ns_budget_took(&b, &theirs, 600), 0);
        CHECK_INT(mount_ns_budget_for(&b, &theirs), 400);
        CHECK_INT(mount_ns_budget_took(&b, &theirs, -EFBIG), 0);
        CHECK_INT(b.n_left_out, 1);
        CHECK_INT(mount_ns_budget_took(&b, &own, -EIO), -EIO);
        CHECK_INT(mount_ns_budget_took(&b, &theirs, -ENOMEM), -ENOMEM);
        CHECK_INT(mount_ns_budget_took(&b, &theirs, 500), 0);
        CHECK_INT(mount_ns_budget_for(&b, &theirs), 0);
        CHECK_INT(b.n_left_out, 2);

        mount_ns_budget_begin(&b, 0, SIZE_MAX);
        CHECK_INT(mount_ns_budget_for(&b, &theirs), 0);
        CHECK(mount_ns_budget_for(&b, &own) > 0);
}

/* What one user takes is taken from his own time, in whatever namespaces. */
static void test_shares(void) {
        const MountNs own = { .id = 1, .pid = 1 }, first = { .id = 2, .foreign = true, .owner = 1000 },
                      second = { .id = 3, .foreign = true, .owner = 1000 }, other = { .id = 4, .foreign = true, .owner = 1001 },
                      unknown = { .id = 5, .foreign = true, .owner = 1002 };
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        MountNsShares s;

        add(&l, 1, 1, false, 0);
        add(&l, 2, 0, true, 1000);
        add(&l, 3, 0, true, 1000);
        add(&l, 4, 0, true, 1001);
        CHECK_INT(mount_ns_shares_begin(&s, &l, 1000), 0);
        CHECK_INT(mount_ns_shares_until(&s, &first, 7), 500007);
        mount_ns_shares_took(&s, &own, 3600 * USEC_PER_SEC);
        mount_ns_shares_took(&s, &first, 300000);
        CHECK_INT(mount_ns_shares_until(&s, &second, 7), 200007);
        mount_ns_shares_took(&s, &second, 200000);
        CHECK_INT(mount_ns_shares_until(&s, &first, 7), 0);
        CHECK_INT(mount_ns_shares_until(&s, &other, 7), 500007);
        CHECK_INT(mount_ns_shares_until(&s, &unknown, 7), 0);
        CHECK(mount_ns_shares_until(&s, &own, 7) == UINT64_MAX);
        mount_ns_shares_done(&s);

        /* However many there are. */
        for (uint32_t i = 0; i < 10000; i++)
                add(&l, 100 + i, 0, true, 2000 + i);
        CHECK_INT(mount_ns_shares_begin(&s, &l, 1000), 0);
        CHECK_INT(mount_ns_shares_until(&s, &other, 0), MOUNT_NS_SHARE_MSEC * USEC_PER_MSEC);
        mount_ns_shares_done(&s);
}

static bool become_root_of_nothing(void) {
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
            prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return false;
        test_put("/proc/self/setgroups", "deny");
        test_put("/proc/self/uid_map", "0 65534 1");
        test_put("/proc/self/gid_map", "0 65534 1");
        return true;
}

/* Namespaces that descriptors keep, and in the last one mounts of which each has a page in the table. */
static void be_bomb(void) {
        char source[SOURCE_BYTES + 1] = { 0 };

        memset(source, 'x', SOURCE_BYTES);
        CHECK(become_root_of_nothing());
        for (int i = 0; i < NAMESPACES; i++) {
                CHECK(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC) >= 0);
                CHECK_INT(unshare(CLONE_NEWNS), 0);
        }
        CHECK_INT(mount(source, folder, "tmpfs", 0, NULL), 0);
        for (int i = 1; i < MOUNTS; i++)
                CHECK_INT(mount(folder, folder, NULL, MS_BIND, NULL), 0);
}

static bool has_odd_table(const Topology *t) {
        for (size_t i = 0; i < t->n_odd; i++)
                if (strstr(t->odd[i].path, "/proc"))
                        return true;
        return false;
}

static void test_bomb(void) {
        _cleanup_(topology_freep) Topology *before = calloc(1, sizeof(Topology)), *t = calloc(1, sizeof(Topology));
        uint64_t own;

        CHECK(before && t);
        CHECK_INT(load_mounts(before), 0);
        CHECK_INT(before->n_namespaces_left_out, 0);

        pid_t bomb = waiting_child_start(be_bomb);
        CHECK_INT(load_mounts(t), 0);
        waiting_child_end(bomb);

        CHECK(t->n_namespaces_left_out >= 1);
        CHECK_INT(t->n_left_out, 1);
        CHECK_INT(t->left_out[0].owner, NOBODY);
        CHECK_INT(t->left_out[0].n, t->n_namespaces_left_out);
        CHECK(t->left_out[0].n_long >= 1);
        CHECK(!has_odd_table(t));
        CHECK_INT(mount_ns_host(&own), 0);
        size_t n_own = 0, n_own_before = 0, n_long = 0;
        for (size_t i = 0; i < t->n_mounts; i++) {
                n_own += t->mounts[i].ns == own;
                n_long += strlen(t->mounts[i].source) >= SOURCE_BYTES;
        }
        for (size_t i = 0; i < before->n_mounts; i++)
                n_own_before += before->mounts[i].ns == own;
        CHECK_INT(n_own, n_own_before);
        CHECK_INT(n_long, 0);
        /* Time or not, it is not all of them that went. */
        CHECK(t->n_namespaces_left_out <= NAMESPACES + 1);
}

static void be_hoarder(void) {
        char source[SOURCE_BYTES + 1] = { 0 };

        memset(source, 'x', SOURCE_BYTES);
        CHECK(become_root_of_nothing());
        CHECK_INT(mount(source, folder, "tmpfs", 0, NULL), 0);
        for (int i = 1; i < MORE_MOUNTS; i++)
                CHECK_INT(mount(folder, folder, NULL, MS_BIND, NULL), 0);
}

/* An answer has an end: whose mounts are more than his part of it is told, and all of the machine's own are in it. */
static void test_more(void) {
        _cleanup_json_ json_object *before = NULL, *found = NULL;
        const MountedFs fs = { .type = "tmpfs" };
        size_t n_more = 0, n_own = 0, n_long = 0;

        CHECK_INT(mount("own", folder, "tmpfs", 0, NULL), 0);
        CHECK_INT(mounts_find(&fs, 20 * USEC_PER_SEC, &before), 0);
        pid_t hoarder = waiting_child_start(be_hoarder);
        CHECK_INT(mounts_find(&fs, 20 * USEC_PER_SEC, &found), 0);
        waiting_child_end(hoarder);
        CHECK_INT(umount2(folder, MNT_DETACH), 0);
        for (size_t i = 0; i < json_len(found); i++) {
                json_object *m = json_at(found, i);
                n_own += !json_flag(m, "foreign");
                n_long += strlen(json_str(m, "source")) == SOURCE_BYTES;
                n_more += json_flag(m, "more") && json_u64(m, "owner") == NOBODY && json_flag(m, "foreign");
        }
        CHECK_INT(n_own, json_len(before));
        CHECK_INT(n_more, 1);
        CHECK(n_long > 0 && n_long < MORE_MOUNTS);
}

int main(void) {
        test_order();
        test_budget();
        test_shares();
        if (!see_own_processes())
                return CANNOT_RUN;
        CHECK(mkdtemp(folder));
        CHECK_INT(chmod(folder, 0777), 0);
        test_bomb();
        test_more();
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
