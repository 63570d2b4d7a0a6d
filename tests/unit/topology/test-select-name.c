/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/test.h"
#include "topology/select/select-name.h"

int main(void) {
        static const struct {
                const char *name;
                int kind;
                const char *text;
                uint64_t number;
        } cases[] = {
                { "2", NAME_SLOT, "2", 0 },
                { "slot2", NAME_SLOT, "2", 0 },
                { "slot:2", NAME_SLOT, "2", 0 },
                { "slot:PCIe bay", NAME_SLOT, "PCIe bay", 0 },
                { "2-1", NAME_SLOT, "2-1", 0 },
                { "slot2-1", NAME_SLOT, "2-1", 0 },
                { "0000:0D:00.0", NAME_FUNCTION, "0000:0d:00.0", 0 },
                { "0d:00.0", NAME_FUNCTION, "0d:00.0", 0 },
                { "port:0000:0c:00.0", NAME_PORT, "0000:0c:00.0", 0 },
                { "mem1", NAME_MEMDEV, "mem1", 1 },
                { "region0", NAME_REGION, "region0", 0 },
                { "dax0.0", NAME_DAX, "dax0.0", 0 },
                { "dax10.12", NAME_DAX, "dax10.12", 0 },
                { "node1", NAME_NODE, "node1", 1 },
                { "memory147", NAME_BLOCK, "memory147", 147 },
                { "serial:0x1", NAME_SERIAL, "0x1", 1 },
                { "serial:17", NAME_SERIAL, "0x11", 17 },
                { "nmem3", NAME_NMEM, "nmem3", 3 },
                { "namespace0.0", NAME_NAMESPACE, "namespace0.0", 0 },
                { "/dev/pmem0", NAME_DEVICE, "/dev/pmem0", 0 },
                { "/dev/mapper/a b", NAME_DEVICE, "/dev/mapper/a b", 0 },
                { "/dev/pmem0/", NAME_DEVICE, "/dev/pmem0", 0 },
                { "/dev", NAME_MOUNT, "/dev", 0 },
                { "/dev/", NAME_MOUNT, "/dev", 0 },
                { "/", NAME_MOUNT, "/", 0 },
                { "///", NAME_MOUNT, "/", 0 },
                { "/mnt/data//", NAME_MOUNT, "/mnt/data", 0 },
                { "serial:x", NAME_SERIAL, "x", 0 },
                { "serial:-1", NAME_SERIAL, "-1", 0 },
                { "serial:89-a2 b", NAME_SERIAL, "89-a2 b", 0 },
                { "0xABCDEF0123456789", NAME_SERIAL, "0xabcdef0123456789", 0xabcdef0123456789 },
        };
        static const char *const malformed[] = {
                "", " 2", "2 ", "-2", "2-", "2-x", "+2", "slot", "slot:", "slotx", "port:", "port:2", "mem", "mem1.0", "mem-1",
                "memory", "memoryx", "region", "dax", "dax0", "dax0.", "dax.0", "dax0.0.0", "node", "node-1", "serial:",
                "0x", "0xg", "0x12345678123456789", "99999999999999999999x", "foo", "0d:00", "Slot2",
                "mem99999999999999999999", "nmem", "nmemx", "namespace0", "namespace0.", "mnt/data",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(name_done) Name n = { 0 };
                fprintf(stderr, "'%s':\n", cases[i].name);
                CHECK_INT(name_parse(cases[i].name, &n), 0);
                CHECK_STR(name_kind_to_string(n.kind), name_kind_to_string((NameKind) cases[i].kind));
                CHECK_STR(n.text, cases[i].text);
                CHECK_INT(n.number, cases[i].number);
        }
        for (size_t i = 0; i < ELEMENTSOF(malformed); i++) {
                Name n = { 0 };
                fprintf(stderr, "'%s':\n", malformed[i]);
                CHECK_INT(name_parse(malformed[i], &n), -EINVAL);
                CHECK_STR(n.text, NULL);
        }
        return EXIT_SUCCESS;
}
