/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-select MACHINE: names on a recorded machine, what they lead to, and what the operator is told. */
#include "tests/unit/test.h"
#include "topology/select/select.h"

enum {
        NAMES = 30,
};

typedef struct Case {
        const char *machine;
        const char *name;
        SelectResult result;
        const char *answer; /* the slot that was found, or what is part of the reason */
} Case;

#define TWO "slot 2 (0000:0d:00.0, mem1, serial 0x1), slot 3 (0000:0e:00.0, mem0, serial 0x2)"

static const Case cases[] = {
        { "ram2", "2", SELECT_FOUND, "2" },
        { "ram2", "slot3", SELECT_FOUND, "3" },
        { "ram2", "slot:5", SELECT_FOUND, "5" }, /* empty, but a slot */
        { "ram2", "0", SELECT_FOUND, "0" },      /* of another hot-plug driver */
        { "ram2", "0000:0d:00.0", SELECT_FOUND, "2" },
        { "ram2", "0e:00.0", SELECT_FOUND, "3" },
        { "ram2", "port:0000:0c:01.0", SELECT_FOUND, "3" },
        { "ram2", "port:0c:00.0", SELECT_FOUND, "2" },
        { "ram2", "mem1", SELECT_FOUND, "2" },
        { "ram2", "region0", SELECT_FOUND, "2" },
        { "ram2", "dax0.0", SELECT_FOUND, "2" },
        { "ram2", "node1", SELECT_FOUND, "2" },
        { "ram2", "memory146", SELECT_FOUND, "2" },
        { "ram2", "memory149", SELECT_FOUND, "2" },
        { "ram2", "serial:0x1", SELECT_FOUND, "2" },
        { "ram2", "serial:2", SELECT_FOUND, "3" },
        { "ram2", "0x2", SELECT_FOUND, "3" },

        { "ram2", "foo", SELECT_MALFORMED, "\"foo\" does not name a card; use a slot (2, slot2, slot:2), " },
        { "ram2", "regoin0", SELECT_MALFORMED, "or a mount point; did you mean region0?" },
        { "ram2", "regoin7", SELECT_MALFORMED, "or a mount point" },
        { "storage", "/mnt/dta", SELECT_UNKNOWN, "/mnt/data/nested; did you mean /mnt/data?" },
        { "ram2", "two\nlines\x1b[31m", SELECT_MALFORMED, "\"two?lines?[31m\" does not" },
        { "ram2", "7", SELECT_UNKNOWN, "there is no slot 7 here; there are: 0, 2, 3, 5" },
        { "ram2", "slot:a\nb", SELECT_UNKNOWN, "there is no slot a?b here" },
        { "ram2", "mem7", SELECT_UNKNOWN, "there is no memory device mem7 here; there are: mem0, mem1" },
        { "ram2", "region7", SELECT_UNKNOWN, "there is: region0" },
        { "ram2", "dax7.0", SELECT_UNKNOWN, "there is: dax0.0" },
        { "ram2", "node7", SELECT_UNKNOWN, "there are: node0, node1" },
        { "ram2", "node4294967297", SELECT_UNKNOWN, "there are: node0, node1" },
        { "ram2", "memory150", SELECT_UNKNOWN, "there is: memory146 to memory149 (region0)" },
        { "ram2", "0x77", SELECT_UNKNOWN, "no card with the serial number 0x77 here; there are: 0x2, 0x1" },
        { "ram2", "0000:77:00.0", SELECT_UNKNOWN, "0000:0d:00.0 (slot 2), 0000:0e:00.0 (slot 3)" },
        { "ram2", "0001:0d:00.0", SELECT_UNKNOWN, "there is no PCI function 0001:0d:00.0 here" },
        { "ram2", "port:0000:00:03.0", SELECT_UNKNOWN, "0000:0c:00.0 (slot 2)" },
        { "ram2", "0000:00:01.0", SELECT_NO_SLOT, "PCI function 0000:00:01.0 is not on a card in a hot-plug slot" },
        { "ram2", "0000:0c:00.0", SELECT_NO_SLOT, "is the port above slot 2; name the slot (2) or port:0000:0c:00.0" },
        { "ram2", "node0", SELECT_NO_SLOT, "node node0 is not on a card" },
        { "ram2", "memory0", SELECT_NO_SLOT, "memory block memory0 is not on a card" },

        { "interleaved", "region0", SELECT_AMBIGUOUS, "region region0 could mean 2 cards, name one of them: " TWO },
        { "interleaved", "dax0.0", SELECT_AMBIGUOUS, TWO },
        { "interleaved", "node1", SELECT_AMBIGUOUS, TWO },
        { "interleaved", "memory153", SELECT_AMBIGUOUS, TWO },
        { "interleaved", "mem0", SELECT_FOUND, "3" },

        { "torn", "region0", SELECT_FOUND, "2" }, /* the card that is left */

        { "same-serial", "0x1", SELECT_AMBIGUOUS, "slot 3 (0000:0e:00.0, mem0, serial 0x1), slot 2 (0000:0d:00.0, mem1" },
        { "same-serial", "mem0", SELECT_FOUND, "3" },

        { "two-domains", "0d:00.0", SELECT_AMBIGUOUS, "slot 2 (0000:0d:00.0, mem1, serial 0x1), no slot (0001:0d:00.0)" },
        { "two-domains", "0000:0d:00.0", SELECT_FOUND, "2" },
        { "two-domains", "0001:0d:00.0", SELECT_NO_SLOT, "is not on a card in a hot-plug slot" },

        { "held", "2", SELECT_FOUND, "2" },
        { "held", "region0", SELECT_FOUND, "2" },
        { "same-number", "2-1", SELECT_FOUND, "2-1" },
        { "same-number", "mem0", SELECT_FOUND, "2-1" },

        { "storage", "nmem0", SELECT_FOUND, "3" },
        { "storage", "nmem1", SELECT_FOUND, "nmem1" },
        { "storage", "slot:nmem1", SELECT_FOUND, "nmem1" },
        { "storage", "region0", SELECT_FOUND, "3" }, /* of CXL and of the nvdimm bus */
        { "storage", "region2", SELECT_FOUND, "nmem1" },
        { "storage", "namespace0.4", SELECT_FOUND, "3" },
        { "storage", "namespace2.0", SELECT_FOUND, "nmem1" },
        { "storage", "dax0.1", SELECT_FOUND, "3" },
        { "storage", "/dev/dax0.1", SELECT_FOUND, "3" },
        { "storage", "/dev/cxl/mem1", SELECT_FOUND, "3" },
        { "storage", "/dev/nmem1", SELECT_FOUND, "nmem1" },
        { "storage", "/dev/pmem0", SELECT_FOUND, "3" },
        { "storage", "/dev/pmem0.2s", SELECT_FOUND, "3" },
        { "storage", "/dev/pmem2", SELECT_FOUND, "nmem1" },
        { "storage", "/dev/nvme0n1", SELECT_FOUND, "4" },
        { "storage", "/dev/nvme0n1p2", SELECT_FOUND, "4" },
        { "storage", "/dev/mapper/lab-scratch", SELECT_FOUND, "3" },
        { "storage", "/dev/loop1", SELECT_FOUND, "3" },
        { "storage", "/dev/md127", SELECT_AMBIGUOUS, "could mean 2 cards, name one of them: slot 4 (0000:01:00.0), slot 3 (0000:0e:00.0, mem1" },
        { "storage", "/dev/vda", SELECT_NO_SLOT, "device /dev/vda is not on a card in a hot-plug slot" },
        { "storage", "/dev/null", SELECT_UNKNOWN, "there is no device /dev/null here; there are: /dev/dm-0, " },
        { "storage", "/mnt/data", SELECT_FOUND, "3" },
        { "storage", "/mnt/data/", SELECT_FOUND, "3" },
        { "storage", "/mnt/data/nested", SELECT_FOUND, "4" },
        { "storage", "/mnt/bind", SELECT_FOUND, "3" }, /* in one namespace only */
        { "storage", "/mnt/img", SELECT_FOUND, "3" },
        { "storage", "/mnt/lv", SELECT_FOUND, "3" },
        { "storage", "/mnt/nvme", SELECT_FOUND, "4" },
        { "storage", "/mnt/board", SELECT_FOUND, "nmem1" },
        { "storage", "/mnt/ov", SELECT_AMBIGUOUS, "mount point /mnt/ov could mean 3 cards" },
        { "storage", "/mnt/striped", SELECT_AMBIGUOUS, "slot 4 (0000:01:00.0), slot 3" },
        { "storage", "/mnt/data/img", SELECT_UNKNOWN, "there is no mount point /mnt/data/img here; there are: /, /mnt/data" },
        { "storage", "/", SELECT_NO_SLOT, "mount point / is not on a card" },
        { "storage", "/run", SELECT_NO_SLOT, "mount point /run is not on a card" },
        { "storage", "nmem7", SELECT_UNKNOWN, "there is no memory module nmem7 here; there are: nmem0, nmem1" },
        { "storage", "serial:8680-56341200", SELECT_FOUND, "nmem1" }, /* no number */
        { "storage", "serial:8680", SELECT_UNKNOWN, "no card with the serial number 0x21e8 here; there are: 0x1, 0x2, 8680-56341200" },
        { "storage", "region1", SELECT_UNKNOWN, "there are: region0, region2" },
        { "storage", "namespace1.0", SELECT_UNKNOWN, "there are: namespace0.0, " },

        { "bare", "2", SELECT_UNKNOWN, "there is no slot 2 here" },
        { "bare", "memory1", SELECT_UNKNOWN, "there is no memory block memory1 here" },
};

static void check(const Topology *t, const Case *c) {
        _cleanup_free_ char *why = NULL;
        const Slot *slot = NULL;

        int r = topology_select(t, c->name, &slot, &why);
        if (r != (int) c->result)
                fprintf(stderr, "%s, '%s': %s\n", c->machine, c->name, why ?: "");
        CHECK_STR(select_result_to_string((SelectResult) r), select_result_to_string(c->result));

        if (r == SELECT_FOUND) {
                CHECK_STR(slot->name, c->answer);
                CHECK_STR(why, NULL);
                return;
        }
        CHECK(!slot);
        if (!strstr(why, c->answer) || strchr(why, '\n') || (strstr(why, "did you mean") && !strstr(c->answer, "did you mean")))
                CHECK_STR(why, c->answer);
}

/* Not as many as anybody mounts. */
static void check_many(void) {
        char slot[] = "1", bdf[NAMES][16] = { 0 };
        PciFunction functions[NAMES] = { 0 };
        const Topology t = { .functions = functions, .n_functions = NAMES };
        const Slot *found = NULL;
        _cleanup_free_ char *why = NULL;

        for (size_t i = 0; i < NAMES; i++) {
                (void) snprintf(bdf[i], sizeof(bdf[i]), "0000:01:%02zx.0", i);
                functions[i] = (PciFunction) { .bdf = bdf[i], .slot = slot };
        }
        CHECK_INT(topology_select(&t, "0001:01:00.0", &found, &why), SELECT_UNKNOWN);
        CHECK(strstr(why, "0000:01:13.0 (slot 1) and 10 more") && !strstr(why, "0000:01:14.0"));
}

int main(int argc, char **argv) {
        _cleanup_(topology_freep) Topology *t = NULL;
        size_t n = 0;

        check_many();
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
