/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was set for the card's devices and nodes, on the recorded machines "storage" and "ram2" with more files: told when it is another one, with the line
 * that sets it again. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/plan/picture/picture-told.h"
#include "topology/load/load.h"

#define FSDAX "disk of namespace 4c830f10-b192-4cc8-885e-4f3dd0eddddf"
#define STRIPED "md device 369853f9-3c2b-99cb-1e78-6635578b43c1"

/* With the folders above it. */
static void put(const char *path, const char *text) {
        _cleanup_free_ char *copy = strdup(path);

        for (char *slash = copy + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
                *slash = '\0';
                CHECK(mkdir(copy, 0755) == 0 || errno == EEXIST);
        }
        FILE *f = fopen(path, "we");
        CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static const struct {
        const char *path, *was, *now, *told;
} changes[] = {
        { "/sys/class/block/pmem0/queue/read_ahead_kb", "4096\n", "128\n",
          "queue/read_ahead_kb of " FSDAX ": now 128, before it was 4096; to have it as it was: echo 4096 > /sys/class/block/pmem0/queue/read_ahead_kb\n" },
        { "/sys/class/block/pmem0/queue/write_cache", "write through\n", "write back\n",
          "queue/write_cache of " FSDAX ": now write back, before it was write through; to have it as it was: "
          "echo 'write through' > /sys/class/block/pmem0/queue/write_cache\n" },
        { "/sys/class/block/dm-0/queue/scheduler", "none [mq-deadline] bfq\n", "[none] mq-deadline bfq\n",
          "queue/scheduler of dm device lab-scratch: now none, before it was mq-deadline; to have it as it was: echo mq-deadline > "
          "/sys/class/block/$(basename $(readlink -f /dev/mapper/lab-scratch))/queue/scheduler\n" },
        { "/sys/class/block/md126/md/sync_speed_max", "50000 (local)\n", "200000 (system)\n",
          "md/sync_speed_max of " STRIPED ": now 200000, before it was 50000; to have it as it was: echo 50000 > "
          "/sys/class/block/md126/md/sync_speed_max\n" },
};

static void test_changed(Topology *t) {
        for (size_t i = 0; i < ELEMENTSOF(changes); i++)
                put(changes[i].path, changes[i].was);
        _cleanup_json_ json_object *before = take(t, "3");
        check_told(before, t, "3", "");
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                put(changes[i].path, changes[i].now);
                check_told(before, t, "3", changes[i].told);
                put(changes[i].path, changes[i].was);
        }
}

/* Each of them, by its name alone. */
static void test_each(Topology *t) {
        static const struct {
                const char *device, *name, *setting;
        } each[] = {
                { "pmem0", FSDAX, "queue/read_ahead_kb" }, { "pmem0", FSDAX, "queue/scheduler" }, { "pmem0", FSDAX, "queue/nr_requests" },
                { "pmem0", FSDAX, "queue/max_sectors_kb" }, { "pmem0", FSDAX, "queue/nomerges" }, { "pmem0", FSDAX, "queue/rq_affinity" },
                { "pmem0", FSDAX, "queue/iostats" }, { "pmem0", FSDAX, "queue/write_cache" }, { "md126", STRIPED, "md/stripe_cache_size" },
                { "md126", STRIPED, "md/group_thread_cnt" }, { "md126", STRIPED, "md/sync_speed_min" }, { "md126", STRIPED, "md/sync_speed_max" },
        };

        for (size_t i = 0; i < ELEMENTSOF(each); i++) {
                _cleanup_free_ char *path = strf("/sys/class/block/%s/%s", each[i].device, each[i].setting);
                _cleanup_free_ char *told = strf("%s of %s: now 9, before it was 7; to have it as it was: echo 7 > %s\n", each[i].setting, each[i].name, path);
                put(path, "7\n");
                _cleanup_json_ json_object *before = take(t, "3");
                put(path, "9\n");
                check_told(before, t, "3", told);
        }
}

/* Of a disk that is none of the card's nothing is said. */
static void test_other_disk(Topology *t) {
        put("/sys/class/block/vda/queue/read_ahead_kb", "4096\n");
        _cleanup_json_ json_object *before = take(t, "3");
        put("/sys/class/block/vda/queue/read_ahead_kb", "128\n");
        check_told(before, t, "3", "");
}

/* Free huge pages go with the memory that they lie on. Surplus ones come and go by themselves, and other nodes' are not asked for. */
static void test_huge_pages(Topology *t) {
#define POOL "/sys/devices/system/node/node1/hugepages/hugepages-2048kB"
#define OTHER_POOL "/sys/devices/system/node/node0/hugepages/hugepages-2048kB"
        put(POOL "/free_hugepages", "8\n");
        put(POOL "/nr_hugepages", "10\n");
        put(POOL "/surplus_hugepages", "2\n");
        put(OTHER_POOL "/free_hugepages", "4\n");
        put(OTHER_POOL "/nr_hugepages", "4\n");
        _cleanup_json_ json_object *before = take(t, "2");
        put(OTHER_POOL "/nr_hugepages", "2\n");
        check_told(before, t, "2", "");
        put(POOL "/nr_hugepages", "8\n");
        put(POOL "/surplus_hugepages", "0\n");
        check_told(before, t, "2", "");
        put(POOL "/nr_hugepages", "3\n");
        check_told(before, t, "2", "huge pages of 2048 KiB on node 1: now 3, before it was 8; to have it as it was: echo 8 > " POOL "/nr_hugepages\n");
        put(POOL "/nr_hugepages", "0\n");
        check_told(before, t, "2", "huge pages of 2048 KiB on node 1 is not there any more, and was: 8; to have it as it was: echo 8 > " POOL
                                   "/nr_hugepages\n");
}

int main(void) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        if (!topology_block_device(t, "pmem0")) {
                test_huge_pages(t);
                return EXIT_SUCCESS;
        }
        test_changed(t);
        test_each(t);
        test_other_disk(t);
        return EXIT_SUCCESS;
}
