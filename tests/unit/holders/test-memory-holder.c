/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "holders/memory/memory-holder.h"
#include "kernel/sysfs/attr.h"
#include "tests/unit/holders/scan/hanging-process.h"

enum {
        KEPT = 64 << 20,
        SKIPPED = 77,
};

/* A child that has memory, and says so. */
static pid_t keep(bool interleaved) {
        int fds[2];

        CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                unsigned long nodes = 1;
                if (interleaved && syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 8 * sizeof(nodes)) < 0)
                        _exit(EXIT_FAILURE);
                char *m = mmap(NULL, KEPT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (m == MAP_FAILED)
                        _exit(EXIT_FAILURE);
                memset(m, 1, KEPT);
                if (write(fds[1], "", 1) != 1)
                        _exit(EXIT_FAILURE);
                pause();
                _exit(EXIT_SUCCESS);
        }

        char c;
        close(fds[1]);
        CHECK_INT(read(fds[0], &c, 1), 1);
        close(fds[0]);
        return pid;
}

static const MemoryHolder *find(const MemoryHolders *h, int pid) {
        for (size_t i = 0; i < h->n_items; i++)
                if (h->items[i].pid == pid)
                        return &h->items[i];
        return NULL;
}

static void test_scan(pid_t pid) {
        _cleanup_(memory_holders_freep) MemoryHolders *h = NULL;
        uint64_t on_all_nodes = 0;

        /* Which node it got is the machine's business. */
        for (int node = 0; path_existsf("/sys/devices/system/node/node%d", node); node++) {
                CHECK_INT(memory_holders_scan(&node, 1, 0, &h), 0);
                const MemoryHolder *found = find(h, pid);
                if (found) {
                        on_all_nodes += found->bytes;
                        CHECK_STR(found->comm, "test-memory-hol");
                        CHECK(strstr(found->exe, "test-memory-holder"));
                        CHECK_INT(found->uid, getuid());
                        CHECK(found->start_time > 0);
                }
                for (size_t i = 1; i < h->n_items; i++)
                        CHECK(h->items[i - 1].bytes >= h->items[i].bytes);
                memory_holders_free(TAKE_PTR(h));
        }
        CHECK(on_all_nodes >= KEPT);
}

/* Whose policy has the node, and nobody else who has pages there. */
static void test_policies(pid_t plain, pid_t interleaved) {
        _cleanup_(memory_holders_freep) MemoryHolders *h = NULL;

        CHECK_INT(memory_policies_scan(0, 0, &h), 0);
        CHECK(find(h, interleaved) && find(h, interleaved)->named);
        CHECK(!find(h, plain));
        memory_holders_free(TAKE_PTR(h));
        CHECK_INT(memory_policies_scan(1, 0, &h), 0);
        CHECK(!find(h, interleaved));
}

static void test_nowhere(void) {
        _cleanup_(memory_holders_freep) MemoryHolders *h = NULL;

        CHECK_INT(memory_holders_scan(&(int) { 4711 }, 1, 0, &h), 0);
        CHECK_INT(h->n_items, 0);
}

static void test_budget(void) {
        _cleanup_(memory_holders_freep) MemoryHolders *h = NULL;

        CHECK_INT(memory_holders_scan(&(int) { 0 }, 1, 1, &h), 0);
        CHECK(!gaps_none(&h->gaps));
}

/* Somebody whose memory cannot be asked for costs nobody else: without a limit the look ends, and with one as early. */
static void test_hang(pid_t keeper) {
        HangingProcess hanging;

        if (!hanging_process_start(&hanging))
                return;
        for (uint64_t budget = 0; budget <= 60 * USEC_PER_SEC; budget += 60 * USEC_PER_SEC) {
                uint64_t bytes = 0, began = now_monotonic();
                for (int node = 0; path_existsf("/sys/devices/system/node/node%d", node); node++) {
                        _cleanup_(memory_holders_freep) MemoryHolders *h = NULL;
                        CHECK_INT(memory_holders_scan(&node, 1, budget, &h), 0);
                        CHECK(!gaps_none(&h->gaps));
                        CHECK(!find(h, hanging.pid));
                        bytes += find(h, keeper) ? find(h, keeper)->bytes : 0;
                }
                CHECK(bytes >= KEPT);
                CHECK(now_monotonic() < began + 30 * USEC_PER_SEC);
        }
        hanging_process_end(&hanging);
}

static void test_json(void) {
        char comm[] = "redis", unit[] = "redis.service";
        MemoryHolder h = { .pid = 7, .start_time = 8, .comm = comm, .unit = unit, .uid = 9, .bytes = 10, .bound = true, .named = true };
        _cleanup_json_ json_object *o = memory_holder_to_json(&h);

        CHECK_STR(json_text(o), "{\"kind\":\"memory\",\"pid\":7,\"start_time\":8,\"comm\":\"redis\",\"exe\":null,"
                                "\"unit\":\"redis.service\",\"uid\":9,\"bytes\":10,\"bound\":true,\"in_policy\":true}");
}

int main(void) {
        test_json();
        (void) see_own_processes();
        if (access("/proc/self/numa_maps", F_OK) < 0)
                return SKIPPED; /* a kernel without NUMA */

        pid_t pid = keep(false), interleaved = keep(true);
        test_scan(pid);
        test_policies(pid, interleaved);
        test_hang(pid);
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
        CHECK_INT(kill(interleaved, SIGKILL), 0);
        CHECK_INT(waitpid(interleaved, NULL, 0), interleaved);
        test_nowhere();
        test_budget();
        return EXIT_SUCCESS;
}
