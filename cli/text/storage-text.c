/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "format.h"
#include "storage-text.h"

static void print_namespace(json_object *n) {
        const char *block = json_str(n, "block_device"), *dax = json_str(n, "dax");

        printf("  %s  %s %s%s%s\n", json_str(n, "name") ?: "?", FORMAT_SIZE(json_u64(n, "size")), json_str(n, "mode") ?: "",
               block || dax ? ", " : "", block ?: dax ?: "");
}

static void print_block_device(json_object *b) {
        const char *label = json_str(b, "label");

        printf("  %s  %s %s%s%s\n", json_str(b, "name") ?: "?", FORMAT_SIZE(json_u64(b, "size")), json_str(b, "kind") ?: "",
               label ? " " : "", label ?: "");
}

/* Mounts of other namespaces with a process that sees them. */
static void print_file_system(json_object *fs) {
        json_object *mounts = json_array(fs, "mounts");
        uint64_t first = json_u64(json_at(mounts, 0), "ns");

        printf("  %s on %s, mounted at\n", json_str(fs, "type") ?: "?", json_str(fs, "source") ?: "?");
        for (size_t i = 0; i < json_len(mounts); i++) {
                json_object *m = json_at(mounts, i);

                printf("    %s", json_str(m, "target") ?: "?");
                if (json_u64(m, "ns") != first)
                        printf("  (mount namespace %" PRIu64 ", of process %" PRIu64 ")", json_u64(m, "ns"), json_u64(m, "pid"));
                putchar('\n');
        }
}

static void print_swap(json_object *s) {
        printf("  swap on %s  %s", json_str(s, "path") ?: "?", FORMAT_SIZE(json_u64(s, "size")));
        printf(", %s in use\n", FORMAT_SIZE(json_u64(s, "used")));
}

void storage_print(json_object *down) {
        static const struct {
                const char *key;
                void (*print)(json_object *item);
        } kinds[] = {
                { "namespaces", print_namespace },
                { "block_devices", print_block_device },
                { "file_systems", print_file_system },
                { "swaps", print_swap },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                json_object *items = json_array(down, kinds[i].key);
                for (size_t k = 0; k < json_len(items); k++)
                        kinds[i].print(json_at(items, k));
        }
}
