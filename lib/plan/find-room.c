/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does what is in use fit into what stays? Said before anything is touched, with the arithmetic: the kernel would find out by ending
 * processes. A control group's memory.max is not asked, as pages that move stay charged as they were (mm/memcontrol.c:
 * mem_cgroup_migrate); how much it may swap is. */
#include "holders/memory-groups.h"
#include "kernel/memory-block.h"
#include "kernel/node-memory.h"
#include "plan/findings.h"

typedef struct Room {
        uint64_t going;         /* online bytes that go */
        uint64_t total;         /* of the whole machine */
        uint64_t free, droppable; /* of the whole machine; half of what can be dropped counts, the rest keeps it usable */
        uint64_t swap;          /* free swap that stays */
        uint64_t swappable;     /* what of it may be used */
} Room;

/* Other cards may share the node, so a node is not simply there or gone. */
static uint64_t bytes_going(const Findings *f) {
        uint64_t n = 0;

        for (size_t i = 0; i < f->t->n_blocks; i++)
                if (f->t->blocks[i].online && scope_has_block(f->s, f->t, &f->t->blocks[i]))
                        n += f->t->block_size;
        return n;
}

static bool swap_goes(const Findings *f, const Swap *swap) {
        for (size_t i = 0; i < f->s->n_swaps; i++)
                if (f->s->swaps[i] == swap)
                        return true;
        return false;
}

static Room room_look(const Findings *f) {
        Room r = { .going = bytes_going(f) };

        for (size_t i = 0; i < f->t->n_nodes; i++) {
                r.total += f->t->nodes[i].total;
                r.free += f->t->nodes[i].free;
                r.droppable += f->t->nodes[i].reclaimable;
        }
        for (size_t i = 0; i < f->t->n_swaps; i++) {
                const Swap *s = &f->t->swaps[i];
                if (!swap_goes(f, s) && s->size > s->used)
                        r.swap += s->size - s->used;
        }
        return r;
}

static void tell(Findings *f, const Room *r) {
        uint64_t without_swap = r->free + r->droppable / 2;
        bool limited = r->going <= without_swap + r->swap;
        json_object *o;

        if (limited)
                o = finding(f, BLOCKER_CGROUP_LIMIT, true, "what is in use only fits if it is swapped, and the limits of its control groups do "
                            "not allow that");
        else
                o = finding(f, BLOCKER_NO_ROOM, true, "what is in use does not fit into the memory that stays");
        json_set_strf(o, "evidence", "%ju MiB go; on the whole machine %ju MiB are free, %ju MiB are file pages, half of which can be dropped, and "
                      "%ju MiB of %ju MiB free swap may be used: %ju MiB are missing", (uintmax_t) (r->going >> 20),
                      (uintmax_t) (r->free >> 20), (uintmax_t) (r->droppable >> 20), (uintmax_t) (r->swappable >> 20),
                      (uintmax_t) (r->swap >> 20), (uintmax_t) ((r->going - without_swap - r->swappable) >> 20));
        if (limited)
                finding_remedy(o, "systemctl set-property --runtime UNIT MemorySwapMax=infinity  # of a unit with much memory");
        finding_remedy(o, "systemctl stop UNIT  # of a process listed as holder, or add memory or swap");
}

int find_room(Findings *f) {
        Room r = room_look(f);
        MemoryGroups groups = { 0 };

        if (r.going == 0)
                return 0;
        if (r.going >= r.total) {
                json_object *o = finding(f, BLOCKER_LAST_MEMORY, true, "this machine has no other memory");
                finding_remedy(o, "safe-remove list  # pull another card, or add memory first");
                return 0;
        }
        if (r.going <= r.free + r.droppable / 2)
                return 0;
        if (r.swap > 0) {
                int q = memory_groups_scan(NULL, 0, f->request->policy->holder_scan_usec, &groups);
                if (q < 0)
                        return q;
                r.swappable = memory_groups_swappable(&groups, r.swap);
                memory_groups_done(&groups);
        }
        if (r.going > r.free + r.droppable / 2 + r.swappable)
                tell(f, &r);
        return 0;
}
