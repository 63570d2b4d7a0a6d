/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holders/memory/unmovable.h"
#include "kernel/memory/memory-block.h"
#include "plan/find/blockers.h"

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
                json_set_str(o, "evidence", "what sits on these pages cannot be seen (/proc/kpageflags)");
        if (hard)
                finding_remedy(o, "safe-remove remove %s --zone-normal=try", f->s->words);
        finding_remedy(o, "echo online_movable > " AUTO_ONLINE_PATH "  # before the next card is added, so that its memory can leave again");
}
