/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does what is in use fit into what stays? Said before anything is touched, with the arithmetic: the kernel would find out by ending
 * processes. A control group's memory.max is not asked, as pages that move stay charged as they were (mm/memcontrol.c:
 * mem_cgroup_migrate); how much it may swap is. */
#include "holders/memory/memory-groups.h"
#include "holders/memory/unmovable.h"
#include "kernel/memory/memory-block.h"
#include "kernel/memory/node-memory.h"
#include "plan/find/blockers.h"

typedef struct Room {
        uint64_t going;         /* online bytes that go, with this card and with those of other removals under way */
        uint64_t total;         /* of the whole machine */
        uint64_t free, droppable; /* of the whole machine; half of what can be dropped counts, the rest keeps it usable */
        uint64_t swap;          /* free swap that stays */
        uint64_t swappable;     /* what of it may be used */
} Room;

/* Other cards may share the node, so a node is not simply there or gone. */
uint64_t findings_bytes_going(const Findings *f) {
        uint64_t n = 0;

        for (size_t i = 0; i < f->t->n_blocks; i++)
                if (f->t->blocks[i].online && scope_has_block(findings_all(f), f->t, &f->t->blocks[i]))
                        n += f->t->block_size;
        return n;
}

static Room room_look(const Findings *f) {
        Room r = { .going = findings_bytes_going(f) };

        for (size_t i = 0; i < f->t->n_nodes; i++) {
                r.total += f->t->nodes[i].total;
                r.free += f->t->nodes[i].free;
                r.droppable += f->t->nodes[i].reclaimable;
        }
        for (size_t i = 0; i < f->t->n_swaps; i++) {
                const Swap *s = &f->t->swaps[i];
                if (!SCOPE_HAS(findings_all(f), swaps, s) && s->size > s->used)
                        r.swap += s->size - s->used;
        }
        return r;
}

/* A unit that can be stopped or given more, the largest first: by its memory, or by how much of it may not be swapped. */
static const MemoryGroup *largest(const MemoryGroups *groups, bool by_limit) {
        const MemoryGroup *found = NULL;
        uint64_t most = 0;

        for (size_t i = 0; i < groups->n_items; i++) {
                const MemoryGroup *g = &groups->items[i];
                uint64_t free = by_limit ? g->swap_left : 0, bytes = g->anonymous > free ? g->anonymous - free : 0;

                if (bytes > most && memory_group_unit(g)) {
                        most = bytes;
                        found = g;
                }
        }
        return found;
}

static char *evidence(const Room *r, const MemoryGroup *g) {
        uint64_t without_swap = r->free + r->droppable / 2;
        _cleanup_free_ char *group = !g ? strdup("") : g->swap_left == UINT64_MAX ?
                strf("; %s has %ju MiB", g->cgroup, (uintmax_t) (g->anonymous >> 20)) :
                strf("; %s has %ju MiB and may swap %ju MiB more (memory.swap.max)", g->cgroup, (uintmax_t) (g->anonymous >> 20),
                     (uintmax_t) (g->swap_left >> 20));

        return strf("%ju MiB go; on the whole machine %ju MiB are free, %ju MiB are file pages, half of which can be dropped, and %ju MiB of "
                    "%ju MiB free swap may be used: %ju MiB are missing%s", (uintmax_t) (r->going >> 20), (uintmax_t) (r->free >> 20),
                    (uintmax_t) (r->droppable >> 20), (uintmax_t) (r->swappable >> 20), (uintmax_t) (r->swap >> 20),
                    (uintmax_t) ((r->going - without_swap - r->swappable) >> 20), group ?: "");
}

static void tell(Findings *f, const Room *r, const MemoryGroups *groups) {
        bool limited = r->going <= r->free + r->droppable / 2 + memory_groups_anonymous(groups, r->swap);
        const MemoryGroup *g = largest(groups, limited);
        json_object *o;

        if (limited)
                o = finding(f, BLOCKER_CGROUP_LIMIT, true, "the card's used memory fits elsewhere only if some is swapped, and the limits of its "
                            "control groups do not allow that");
        else
                o = finding(f, BLOCKER_NO_ROOM, true, "the card's used memory does not fit into the memory that remains");
        _cleanup_free_ char *why = evidence(r, g), *unit = g ? shell_quoted(memory_group_unit(g)) : NULL;
        json_set_str(o, "evidence", why);
        if (limited && unit)
                finding_remedy(o, "systemctl set-property --runtime %s MemorySwapMax=infinity", unit);
        if (unit)
                finding_remedy(o, "systemctl stop %s  # or add memory or swap", unit);
        else
                finding_remedy(o, "systemctl list-units  # stop one with much memory, or add memory or swap");
}

int find_room(Findings *f) {
        Room r = room_look(f);
        MemoryGroups groups = { 0 };

        if (r.going == 0)
                return 0;
        if (r.going >= r.total) {
                json_object *o = finding(f, BLOCKER_LAST_MEMORY, true, "this machine has no other memory");
                json_set_strf(o, "evidence", "/sys/devices/system/node: %ju MiB go, of %ju MiB in all", (uintmax_t) (r.going >> 20),
                              (uintmax_t) (r.total >> 20));
                finding_remedy(o, "safe-remove list  # pull another card, or add memory first");
                return 0;
        }
        if (r.going <= r.free + r.droppable / 2)
                return 0;
        int q = memory_groups_scan(NULL, 0, f->request->policy->holder_scan_usec, &groups);
        if (q < 0)
                return q;
        r.swappable = memory_groups_swappable(&groups, r.swap);
        if (r.going > r.free + r.droppable / 2 + r.swappable)
                tell(f, &r, &groups);
        memory_groups_done(&groups);
        return 0;
}

/* Blocks in kernel zones: how many, which, and what is known to sit on them. */
typedef struct KernelZone {
        size_t n;
        uint64_t first, last;
        Zone zone;
        UnmovablePages pages;
        bool known;
} KernelZone;

static KernelZone kernel_zone_look(const Findings *f) {
        KernelZone k = { .known = true };

        for (size_t i = 0; i < f->t->n_blocks; i++) {
                const MemoryBlock *b = &f->t->blocks[i];
                UnmovablePages p = { 0 };

                if (!b->online || b->zone == ZONE_MOVABLE || !scope_has_block(f->s, f->t, b))
                        continue;
                if (k.n++ == 0)
                        k.first = b->id;
                k.last = b->id;
                k.zone = b->zone;

                /* One block that cannot move is one too many; a terabyte is not read to the end for it. */
                if (k.pages.slab + k.pages.page_tables + k.pages.reserved + k.pages.other > 0)
                        continue;
                if (unmovable_pages_in_block(b->start, f->t->block_size, &p) < 0)
                        k.known = false;
                k.pages.slab += p.slab;
                k.pages.page_tables += p.page_tables;
                k.pages.reserved += p.reserved;
                k.pages.other += p.other;
        }
        return k;
}

char *memory_block_words(uint64_t first, uint64_t last) {
        return first == last ? strf("memory%ju", (uintmax_t) first) : strf("memory%ju to memory%ju", (uintmax_t) first, (uintmax_t) last);
}

void find_kernel_zone(Findings *f) {
        KernelZone k = kernel_zone_look(f);
        uint64_t n = k.pages.slab + k.pages.page_tables + k.pages.reserved + k.pages.other;
        bool hard = f->request->policy->zone_normal == ZONE_POLICY_REFUSE && (n > 0 || !k.known);

        if (k.n == 0)
                return;
        _cleanup_free_ char *blocks = memory_block_words(k.first, k.last);
        json_object *o = k.n == 1 ? finding(f, BLOCKER_ZONE_NORMAL, hard, "memory block %s is in zone %s", blocks, zone_to_string(k.zone)) :
                         finding(f, BLOCKER_ZONE_NORMAL, hard, "memory blocks %s (%zu) are in zone %s", blocks, k.n, zone_to_string(k.zone));
        if (k.known && n == 0)
                json_set_str(o, "evidence", "no page that cannot move was seen on them (/proc/kpageflags)");
        else if (k.known)
                json_set_strf(o, "evidence", "at least %ju pages that cannot move: %ju slab, %ju page table, %ju reserved, %ju other "
                              "kernel pages (/proc/kpageflags)", (uintmax_t) n, (uintmax_t) k.pages.slab,
                              (uintmax_t) k.pages.page_tables, (uintmax_t) k.pages.reserved, (uintmax_t) k.pages.other);
        else
                json_set_str(o, "evidence", "what these pages are used for cannot be read (/proc/kpageflags)");
        if (hard)
                finding_remedy(o, "safe-remove remove %s --zone-normal=try", f->s->words);
        finding_remedy(o, "echo online_movable > " AUTO_ONLINE_PATH "  # before the next card is added, so that its memory can leave again");
}
