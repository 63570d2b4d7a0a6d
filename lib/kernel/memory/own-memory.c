/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kernel/memory/node-memory.h"
#include "kernel/memory/own-memory.h"
#include "kernel/sysfs/attr.h"

#define NODES "/sys/devices/system/node"

enum {
        NODES_MAX = 1024,      /* the largest CONFIG_NODES_SHIFT there is */
        WORD_BITS = sizeof(unsigned long) * 8,
};

typedef struct Nodes {
        unsigned long words[NODES_MAX / WORD_BITS];
        size_t n;
} Nodes;

static int nodes_add(Nodes *nodes, int node) {
        nodes->words[(size_t) node / WORD_BITS] |= 1UL << ((size_t) node % WORD_BITS);
        nodes->n++;
        return 0;
}

/* Those with memory: with a processor too, and the others. */
static int nodes_read(Nodes *ret_own, Nodes *ret_others) {
        _cleanup_free_ char *memory = NULL, *processors = NULL;

        int r = attr_read(NODES "/has_memory", &memory);
        if (r >= 0)
                r = attr_read(NODES "/has_cpu", &processors);
        for (int node = 0; node < NODES_MAX && r >= 0; node++) {
                r = node_list_has(memory, node);
                if (r <= 0)
                        continue;
                r = node_list_has(processors, node);
                if (r >= 0)
                        r = nodes_add(r > 0 ? ret_own : ret_others, node);
        }
        return r;
}

/* One more than the bits that count: the kernel takes one off. */
static int policy_set(int mode, const Nodes *nodes) {
        return syscall(SYS_set_mempolicy, mode, nodes ? nodes->words : NULL, nodes ? NODES_MAX + 1 : 0) < 0 ? -errno : 0;
}

int own_memory_bind(void) {
        Nodes own = { 0 }, others = { 0 };

        int r = nodes_read(&own, &others);
        if (r == -ENOENT || (r >= 0 && own.n == 0))
                return 0;
        /* In a cpuset the nodes are those of both. Static: when the cpuset gets others they are not translated into what may be a card's. */
        if (r >= 0)
                r = policy_set(MPOL_BIND | MPOL_F_STATIC_NODES, &own);
        if (r == -ENOSYS)
                return 0;
        if (r < 0 || others.n == 0)
                return r;
        /* Pages that cannot be moved now stay: they are files' or others' as well, and go when the card's memory is taken offline. */
        return syscall(SYS_migrate_pages, 0, NODES_MAX + 1, others.words, own.words) < 0 ? -errno : 0;
}

int own_memory_unbind(void) {
        return policy_set(MPOL_DEFAULT, NULL);
}

int own_memory_lock(void) {
        struct rlimit limit;

        /* With a limit each mapping beyond it would fail from then on. */
        if (geteuid() != 0 && (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur != RLIM_INFINITY))
                return -EPERM;
        return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0 ? -errno : 0;
}
