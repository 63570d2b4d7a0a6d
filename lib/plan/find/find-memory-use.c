/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the memory of the card's nodes is used for, and what of it cannot simply move. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/id-map.h"
#include "base/parse.h"
#include "holders/memory/memory-groups.h"
#include "kernel/memory/node-memory.h"
#include "kernel/pages/page-cache.h"
#include "kernel/process/apart.h"
#include "plan/find/blockers.h"

/* Whose the page cache on a node is: the largest files, as far as the kernel's memory may be read. They move or are dropped; but who
 * wants the node empty beforehand has to know whom to ask. */

enum {
        FILES_MAX = 5,
};

/* Below that nobody is asked, and the look is spared. */
#define WORTH_A_LOOK (UINT64_C(1) << 20)

/* Where the first of its mounts has it; what is mounted nowhere, or has no name, has NULL. Newly allocated. */
static char *path_of(const Topology *t, const CachedFile *file) {
        for (size_t i = 0; file->path && i < t->n_mounts; i++) {
                const Mount *m = &t->mounts[i];
                const char *root = streq(m->root, "/") ? "" : m->root, *rest = m->dev == file->dev ? startswith(file->path, root) : NULL;

                if (rest && (*rest == '/' || !*rest))
                        return strf("%s%s", streq(m->target, "/") ? "" : m->target, rest);
        }
        return NULL;
}

static int count_blocks(const Findings *f, const Node *node, PageCache *cache) {
        uint64_t budget = f->request->policy->holder_scan_usec, deadline = budget > 0 ? now_monotonic() + budget : UINT64_MAX;
        int r = 0;

        for (size_t i = 0; i < f->t->n_blocks && r >= 0 && now_monotonic() < deadline; i++) {
                const MemoryBlock *b = &f->t->blocks[i];
                if (b->online && b->node == node->id && scope_has_block(f->s, f->t, b))
                        r = page_cache_count(cache, b->start, f->t->block_size);
        }
        return r;
}

/* the largest files with pages on the node, of `bytes` of page cache and shared memory ("files" of its object). 0 or
 * -ENOMEM. */
static int find_files(const Findings *f, const Node *node, uint64_t bytes, json_object *to) {
        _cleanup_(page_cache_freep) PageCache *cache = NULL;
        _cleanup_free_ char *why = NULL;
        CachedFiles files = { 0 };

        json_set(to, "files", NULL);
        if (bytes < WORTH_A_LOOK || page_cache_open(&cache, &why) < 0 || count_blocks(f, node, cache) < 0)
                return 0;
        int r = page_cache_largest(cache, FILES_MAX, &files);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        json_object *array = json_object_new_array();
        for (size_t i = 0; i < files.n; i++) {
                const CachedFile *file = &files.items[i];
                _cleanup_free_ char *path = path_of(f->t, file);
                json_object *o = json_object_new_object();

                json_set_str(o, "path", path);
                json_set_strf(o, "dev", "%u:%u", major(file->dev), minor(file->dev));
                json_set_u64(o, "inode", file->inode);
                json_set_u64(o, "bytes", file->bytes);
                json_object_array_add(array, o);
        }
        json_set(to, "files", array);
        cached_files_done(&files);
        return 0;
}

/* Does the node keep memory of another card, or of the machine's own? */
bool findings_node_stays(const Findings *f, const Node *node) {
        for (size_t i = 0; i < f->t->n_blocks; i++) {
                const MemoryBlock *b = &f->t->blocks[i];
                if (b->online && b->node == node->id && !scope_has_block(findings_all(f), f->t, b))
                        return true;
        }
        return false;
}

/* Above that the buddy allocator cannot help (mm/hugetlb.c:hstate_is_gigantic). */
#define HUGE_ORDINARY (UINT64_C(32) << 20)

static uint64_t used(const HugePool *p) {
        return p->total > p->free ? p->total - p->free : 0;
}

static const HugePool *pool_of(const HugePool *pools, size_t n, uint64_t page_bytes) {
        for (size_t i = 0; i < n; i++)
                if (pools[i].page_bytes == page_bytes)
                        return &pools[i];
        return NULL;
}

/* So many pages more on the node with the most room. */
static void remedy_pool(const Findings *f, json_object *o, uint64_t page_bytes, uint64_t missing) {
        _cleanup_free_ HugePool *pools = NULL;
        const Node *to = NULL;
        size_t n = 0;

        for (size_t i = 0; i < f->t->n_nodes; i++)
                if (findings_node_stays(f, &f->t->nodes[i]) && (!to || f->t->nodes[i].free > to->free))
                        to = &f->t->nodes[i];
        if (!to || huge_pools_read(to->id, &pools, &n) < 0)
                return;
        const HugePool *p = pool_of(pools, n, page_bytes);
        if (p)
                finding_remedy(o, "echo %ju > /sys/devices/system/node/node%d/hugepages/hugepages-%jukB/nr_hugepages",
                               (uintmax_t) (p->total + missing), to->id, (uintmax_t) (page_bytes >> 10));
}

/* The kernel can make a page of ordinary size anywhere, one of a gibibyte only where such pages are free already
 * (mm/hugetlb.c:alloc_hugetlb_folio_nodemask); and it does not take a free one off the pool that was promised to somebody
 * (dissolve_free_hugetlb_folio). */
static void huge_finding(Findings *f, const Node *node, const HugePool *here, const HugePool *all) {
        uint64_t elsewhere = all->free > here->free ? all->free - here->free : 0;
        uint64_t promised = all->reserved > elsewhere ? all->reserved - elsewhere : 0;
        bool gigantic = here->page_bytes > HUGE_ORDINARY;
        uint64_t needed = (gigantic ? used(here) : 0) + (here->total > 0 ? all->reserved : 0);

        if (findings_node_stays(f, node) || (promised == 0 && (!gigantic || needed <= elsewhere)))
                return;
        json_object *o = finding(f, BLOCKER_HUGETLB_NO_ROOM, true, "huge pages of %ju MiB on node %d are in use, and no other node has room for them",
                                 (uintmax_t) (here->page_bytes >> 20), node->id);
        json_set_strf(o, "evidence", "%ju in use and %ju free on the node (%ju MiB), %ju free elsewhere, %ju promised to mappings",
                      (uintmax_t) used(here), (uintmax_t) here->free, (uintmax_t) (here->total * here->page_bytes >> 20), (uintmax_t) elsewhere,
                      (uintmax_t) all->reserved);
        remedy_pool(f, o, here->page_bytes, needed > elsewhere ? needed - elsewhere : promised);
        finding_remedy(o, "grep -l hugepages /proc/[0-9]*/maps  # stop one of these");
}

static int look_at_huge_pages(Findings *f, const Node *node, json_object *list, uint64_t *ret_used) {
        _cleanup_free_ HugePool *here = NULL, *all = NULL;
        size_t n_here = 0, n_all = 0;
        uint64_t bytes = 0;

        int r = huge_pools_read(node->id, &here, &n_here);
        if (r >= 0)
                r = huge_pools_read(-1, &all, &n_all);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_here; i++) {
                const HugePool *machine = pool_of(all, n_all, here[i].page_bytes);
                if (here[i].total == 0)
                        continue;
                bytes += used(&here[i]) * here[i].page_bytes;

                json_object *o = json_object_new_object();
                json_set_u64(o, "node", (uint64_t) node->id);
                json_set_u64(o, "page_bytes", here[i].page_bytes);
                json_set_u64(o, "total", here[i].total);
                json_set_u64(o, "free", here[i].free);
                json_object_array_add(list, o);
                if (machine)
                        huge_finding(f, node, &here[i], machine);
        }
        *ret_used = bytes;
        return 0;
}

static void add_part(json_object *parts, const char *part, uint64_t bytes, const char *fate) {
        json_object *o = json_object_new_object();

        json_set_str(o, "part", part);
        json_set_u64(o, "bytes", bytes);
        json_set_str(o, "fate", fate);
        json_object_array_add(parts, o);
}

static int add_node(Findings *f, const Node *node, json_object *nodes, json_object *huge) {
        json_object *o = json_object_new_object(), *parts = json_object_new_array();
        uint64_t huge_bytes = 0;
        NodeMemory m;

        json_object_array_add(nodes, o);
        json_set_u64(o, "node", (uint64_t) node->id);
        json_set_bool(o, "stays", findings_node_stays(f, node));
        json_set(o, "parts", parts);
        int r = node_memory_read(node->id, &m);
        if (r >= 0)
                r = look_at_huge_pages(f, node, huge, &huge_bytes);
        if (r < 0)
                return r;
        json_set_u64(o, "total_bytes", m.total);
        json_set_u64(o, "free_bytes", m.free);
        add_part(parts, "anonymous", m.anonymous, "moves");
        add_part(parts, "shared", m.shared, "moves");
        add_part(parts, "files", m.files, "moves or is dropped");
        add_part(parts, "huge pages", huge_bytes, "moves where there is room");
        add_part(parts, "kernel", m.kernel, "cannot move");
        return find_files(f, node, m.files + m.shared, o);
}

/* "mpol=bind:1", "mpol=bind=static:1-2" among the options (mm/mempolicy.c:mpol_to_str); the node list may have commas, but then
 * the next word begins with a digit. Newly allocated, NULL: it is bound to nothing. */
static char *bound_nodes(const char *options) {
        const char *p = strstr(options, "mpol=bind");

        if (!p || (p != options && p[-1] != ','))
                return NULL;
        p += strcspn(p, ":,");
        if (*p != ':')
                return NULL;
        size_t n = strspn(++p, "0123456789-,");
        while (n > 0 && p[n - 1] == ',')
                n--;
        return strndup(p, n);
}

static int ask_used_bytes(void *data, char **ret_text) {
        struct statfs s;

        _cleanup_close_ int fd = open(data, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstatfs(fd, &s) < 0)
                return -errno;
        if (s.f_type != TMPFS_MAGIC)
                return -ESTALE;
        *ret_text = strf("%ju", (uintmax_t) ((uint64_t) (s.f_blocks - s.f_bfree) * (uint64_t) s.f_bsize));
        return *ret_text ? 0 : -ENOMEM;
}

/* Through a process of its namespace. The tmpfs waits for nobody, but what it is mounted in, or what is mounted on it, may be anybody's: after one
 * that does not answer no other is asked. */
static int mount_used_bytes(const Mount *m, bool *hangs, uint64_t *ret) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = USEC_PER_SEC };
        _cleanup_free_ char *path = strf("/proc/%d/root%s", m->pid, m->target), *text = NULL;

        if (!path)
                return -ENOMEM;
        if (m->pid == 0 || *hangs)
                return -ENOENT;
        int r = run_apart(ask_used_bytes, path, &options, &text);
        *hangs = r == -ETIME;
        return r < 0 ? r : text ? parse_u64(text, ret) : -ENODATA;
}

/* A tmpfs that may have its files on these nodes only: whoever writes there next would be ended. Its pages move all the same. */
static int look_at_tmpfs(Findings *f, const Mount *m, const int *going, size_t n, bool *hangs, json_object *list) {
        _cleanup_free_ char *nodes = streq_ptr(m->type, "tmpfs") && m->super_options ? bound_nodes(m->super_options) : NULL;

        if (!nodes || node_list_within(nodes, going, n) <= 0)
                return 0;
        uint64_t bytes = 0;
        bool known = mount_used_bytes(m, hangs, &bytes) >= 0;
        json_object *o = json_object_new_object();
        json_set_str(o, "path", m->target);
        json_set(o, "bytes", known ? json_object_new_uint64(bytes) : NULL);
        json_object_array_add(list, o);

        _cleanup_free_ char *target = shell_quoted(m->target);
        o = finding(f, BLOCKER_BOUND_TMPFS, true, "the tmpfs on %s is bound to node %s, which leaves with the card", m->target, nodes);
        if (known)
                json_set_strf(o, "evidence", "%ju KiB are in it; mounted with %s", (uintmax_t) (bytes >> 10), m->super_options);
        else
                json_set_strf(o, "evidence", "mounted with %s", m->super_options);
        finding_remedy(o, "umount %s  # and mount it again without mpol=, its files are lost with it", target);
        return 0;
}

/* Only its group's last node going makes a process homeless; until the kernel has given it the parent's, it is ended for the next page
 * that it wants (mm/oom_kill.c, CONSTRAINT_CPUSET). */
static int look_at_groups(Findings *f, const int *going, size_t n) {
        MemoryGroups groups = { 0 };

        int r = memory_groups_scan(going, n, f->request->policy->holder_scan_usec, &groups);
        for (size_t i = 0; r >= 0 && i < groups.n_items; i++) {
                const MemoryGroup *g = &groups.items[i];
                _cleanup_free_ char *path = strf("/sys/fs/cgroup%s/cpuset.mems", g->cgroup), *file = shell_quoted(path);
                _cleanup_free_ char *unit = shell_quoted(strrchr(g->cgroup, '/') + 1);
                if (!g->bound)
                        continue;
                json_object *o = finding(f, BLOCKER_CPUSET_EMPTY, true, "the control group %s may use only memory of node %s, which leaves with "
                                         "the card",
                                         g->cgroup, g->mems);
                json_set_strf(o, "evidence", "cpuset.mems.effective is %s; process %d is in it with %ju KiB of anonymous memory in the group", g->mems,
                              g->pid, (uintmax_t) (g->anonymous >> 10));
                if (unit && strchr(unit, '.'))
                        finding_remedy(o, "systemctl set-property --runtime %s AllowedMemoryNodes=", unit);
                finding_remedy(o, "echo > %s", file);
        }
        memory_groups_done(&groups);
        return r;
}

static int look_at_bound(Findings *f, json_object *tmpfs) {
        const Scope *all = findings_all(f);
        _cleanup_free_ int *going = calloc(all->n_nodes + 1, sizeof(int));
        _cleanup_(id_map_done) IdMap seen = { 0 };
        bool hangs = false;
        size_t n = 0;

        if (!going)
                return -ENOMEM;
        for (size_t i = 0; i < all->n_nodes; i++)
                if (!findings_node_stays(f, all->nodes[i]))
                        going[n++] = all->nodes[i]->id;
        if (n == 0)
                return 0;
        for (size_t i = 0; i < f->t->n_mounts; i++) {
                int r = id_map_add(&seen, f->t->mounts[i].dev, i);
                if (r > 0)
                        r = look_at_tmpfs(f, &f->t->mounts[i], going, n, &hangs, tmpfs);
                if (r < 0)
                        return r;
        }
        return look_at_groups(f, going, n);
}

int find_memory_use(Findings *f, json_object *doc) {
        json_object *o = json_object_new_object(), *nodes = json_object_new_array(), *huge = json_object_new_array();
        json_object *tmpfs = json_object_new_array();

        json_set(o, "nodes", nodes);
        json_set(o, "huge_pages", huge);
        json_set(o, "bound_tmpfs", tmpfs);
        json_set(doc, "memory", o);
        for (size_t i = 0; i < f->s->n_nodes; i++)
                if (add_node(f, f->s->nodes[i], nodes, huge) == -ENOMEM)
                        return -ENOMEM;
        return look_at_bound(f, tmpfs);
}
