/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-scope MACHINE: what goes with a card on a recorded machine, and in which order. */
#include "plan/scope/scope.h"
#include "tests/unit/test.h"

typedef struct Case {
        const char *machine, *slot;
        const char *inner, *functions;
        const char *nd_regions, *namespaces, *daxes, *peers;
        const char *blocks;     /* each before what it stands on */
        const char *mounts;     /* of the host; file systems above before those below */
        const char *swaps;
} Case;

static const Case cases[] = {
        /* Half of md127 (RAID 1) is on each card, so it stays, and md126 (RAID 0) goes with either. The overlay has a folder on both. */
        { "storage", "3", "", "0000:0e:00.0", "region0",
          "namespace0.0 namespace0.1 namespace0.2 namespace0.3 namespace0.4 namespace0.5", "dax0.1", "",
          "loop0 loop1 dm-0 dm-1 md126 pmem0 pmem0.2s pmem0.3 pmem0.4 pmem0.5",
          "/mnt/img /mnt/ov /mnt/striped /mnt/lv /mnt/data", "/dev/pmem0.3" },
        { "storage", "4", "", "0000:01:00.0", "", "", "", "",
          "md126 nvme0n1p1 nvme0n1p2 nvme0n1p3 nvme0n1 nvme0c0n1",
          "/mnt/ov /mnt/striped /mnt/data/nested /mnt/nvme", "/mnt/nvme/swap" },
        { "storage", "nmem1", "", "", "region2", "namespace2.0", "", "", "pmem2", "/mnt/board", "" },
        { "storage", "2", "", "0000:0d:00.0", "", "", "", "", "", "", "" },
        { "storage", "5", "", "", "", "", "", "", "", "", "" },
        /* A box with slots of its own, and one of those; the slot's own card comes first. */
        { "cases/nested-slots", "4", "10 11", "0000:01:00.0 0000:02:04.0 0000:02:08.0 0000:03:00.0 0000:04:00.0", "", "", "", "",
          "nvme0n1p1 nvme1n1p1 nvme0n1 nvme1n1", "/srv/a /srv/b", "" },
        { "cases/nested-slots", "11", "", "0000:04:00.0", "", "", "", "", "nvme1n1p1 nvme1n1", "/srv/b", "" },
        /* A domain of its own below the card, one disk of it in a slot. */
        { "cases/vmd", "4", "12", "0000:01:00.0 10000:e0:00.0 10000:e0:01.0 10000:e2:00.0 10000:e1:00.0", "", "", "", "",
          "nvme0n1p1 nvme1n1p1 nvme0n1 nvme1n1", "/srv/a /srv/b", "" },
        { "cases/vmd", "12", "", "10000:e1:00.0", "", "", "", "", "nvme0n1p1 nvme0n1", "/srv/a", "" },
};

/* Appends one name to a list of them; both are given back. */
static char *append(char *list, const char *name) {
        char *longer = strf("%s%s%s", list, *list ? " " : "", name);

        CHECK(longer);
        free(list);
        return longer;
}

#define CHECK_NAMES(s, field, member, want)                                             \
        do {                                                                            \
                _cleanup_free_ char *_list = strdup("");                                \
                for (size_t _i = 0; _i < (s)->n_##field; _i++)                          \
                        _list = append(_list, (s)->field[_i]->member);                  \
                CHECK_STR(_list, want);                                                 \
        } while (0)

static void check_mounts(const Topology *t, const Scope *s, const char *want) {
        _cleanup_free_ char *list = strdup("");

        for (size_t i = 0; i < s->n_mounts; i++)
                if (s->mounts[i]->ns == topology_host_ns(t))
                        list = append(list, s->mounts[i]->target);
        CHECK_STR(list, want);
}

static void check_together(const Scope *s) {
        for (size_t i = 1; i < s->n_mounts; i++)
                for (size_t j = 0; j + 1 < i; j++)
                        CHECK(s->mounts[j]->dev != s->mounts[i]->dev || s->mounts[i - 1]->dev == s->mounts[i]->dev);
}

/* Nothing is unmounted while something of the same list stands on it. */
static void check_mount_order(const Scope *s) {
        for (size_t i = 0; i < s->n_mounts; i++)
                for (size_t j = i + 1; j < s->n_mounts; j++)
                        CHECK(s->mounts[i]->ns != s->mounts[j]->ns || s->mounts[j]->parent_id != s->mounts[i]->id);
}

static void check(const Topology *t, const Case *c) {
        _cleanup_(scope_done) Scope s = { 0 };
        const Slot *slot = topology_slot(t, c->slot);

        fprintf(stderr, "%s, slot %s:\n", c->machine, c->slot);
        CHECK(slot);
        CHECK_INT(scope_find(t, slot, &s), 0);
        CHECK_NAMES(&s, inner, name, c->inner);
        CHECK_NAMES(&s, functions, bdf, c->functions);
        CHECK_NAMES(&s, nd_regions, name, c->nd_regions);
        CHECK_NAMES(&s, namespaces, name, c->namespaces);
        CHECK_NAMES(&s, daxes, name, c->daxes);
        CHECK_NAMES(&s, peers, name, c->peers);
        CHECK_NAMES(&s, blocks, name, c->blocks);
        CHECK_NAMES(&s, swaps, path, c->swaps);
        check_mounts(t, &s, c->mounts);
        check_together(&s);
        check_mount_order(&s);
}

int main(int argc, char **argv) {
        _cleanup_(topology_freep) Topology *t = NULL;
        size_t n = 0;

        CHECK_INT(argc, 2);
        CHECK_INT(topology_load(&t), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (streq(cases[i].machine, argv[1])) {
                        check(t, &cases[i]);
                        n++;
                }
        CHECK(n > 0);
        return EXIT_SUCCESS;
}
